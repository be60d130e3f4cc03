//! The player: any WAV file, at the rate that is asked for.

use super::format::Format;
use super::{WavError, WavProblem};
use crate::bridge::Gain;
use crate::pcm::SampleRate;
use crate::resample::Resampler;
use crate::tone::Repeat;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a file is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlayerOptions {
    /// How often.
    pub repeat: Repeat,
    /// Silence between one time and the next.
    pub pause: Duration,
    /// Silence before the first.
    pub initial_delay: Duration,
    /// 0 to 100; 100 is as recorded.
    pub volume: u8,
}

impl Default for PlayerOptions {
    fn default() -> PlayerOptions {
        PlayerOptions { repeat: Repeat::Times(1), pause: Duration::ZERO, initial_delay: Duration::ZERO, volume: 100 }
    }
}

/// Plays a WAV file, tick by tick.
///
/// A file of up to a mebibyte (two minutes of G.711) is read when it is opened, and no disk is touched after that. Of a
/// longer one 64 KiB are held; reading on from a local disk is short, since the system reads ahead.
#[derive(Debug)]
pub struct Player {
    path: PathBuf,
    format: Format,
    content: Content,
    rate: SampleRate,
    options: PlayerOptions,
    gain: Gain,
    resampler: Resampler,
    /// What of the resampler's output is before the file's first sample.
    early: usize,
    phase: Phase,
    /// Times played through.
    rounds: u32,
    /// Octets of this round not read yet.
    remaining: u64,
    raw: Vec<u8>,
    decoded: Vec<i16>,
    /// What is decoded and not played yet begins here in `ready`.
    played: usize,
    ready: Vec<i16>,
    failure: Option<WavError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Samples of silence still to come, before a round.
    Silent(usize),
    Playing,
    Over,
}

#[derive(Debug)]
enum Content {
    Held(Cursor<Vec<u8>>),
    Streamed(BufReader<File>),
}

impl Player {
    /// Opens a file and reads its header, and all of it if it is short.
    pub fn open(path: &Path, rate: SampleRate, options: PlayerOptions) -> Result<Player, WavError> {
        let (content, format) = open(path).map_err(|problem| WavError::new(path, problem))?;
        let resampler = Resampler::between_hertz(format.hertz, rate.hertz());
        let never = options.repeat == Repeat::Times(0) || format.octets == 0;
        Ok(Player {
            path: path.to_owned(),
            format,
            content,
            rate,
            options,
            gain: Gain::of_percent(options.volume.min(100)),
            early: early(&resampler, format.hertz, rate),
            resampler,
            phase: if never { Phase::Over } else { Phase::Silent(rate.samples_in(options.initial_delay)) },
            rounds: 0,
            remaining: format.octets,
            raw: Vec::new(),
            decoded: Vec::new(),
            played: 0,
            ready: Vec::new(),
            failure: None,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rate it plays at.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// How long the file is, played once.
    pub fn length(&self) -> Duration {
        let microseconds = u128::from(self.format.frames()) * 1_000_000 / u128::from(self.format.hertz);
        Duration::from_micros(u64::try_from(microseconds).unwrap_or(u64::MAX))
    }

    /// Plays the next samples. Returns how many belong to what is played, with its pauses; silence follows them.
    pub fn fill(&mut self, pcm: &mut [i16]) -> usize {
        let mut done = 0;
        while done < pcm.len() {
            let rest = &mut pcm[done..];
            match self.phase {
                Phase::Silent(0) => self.phase = Phase::Playing,
                Phase::Silent(silence) => {
                    let length = silence.min(rest.len());
                    rest[..length].fill(0);
                    self.phase = Phase::Silent(silence - length);
                    done += length;
                }
                Phase::Playing if self.played < self.ready.len() => {
                    let ready = &self.ready[self.played..];
                    let length = ready.len().min(rest.len());
                    rest[..length].copy_from_slice(&ready[..length]);
                    self.gain.apply(&mut rest[..length]);
                    self.played += length;
                    done += length;
                }
                Phase::Playing => self.read_on(),
                Phase::Over => break,
            }
        }
        pcm[done..].fill(0);
        done
    }

    /// Has everything been played?
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Why it ended early, if it did: the file could not be read any further.
    pub fn failure(&self) -> Option<&WavError> {
        self.failure.as_ref()
    }

    /// Changes the volume, 0 to 100.
    pub fn set_volume(&mut self, volume: u8) {
        self.gain = Gain::of_percent(volume.min(100));
    }

    /// Decodes the next piece, or ends the round.
    fn read_on(&mut self) {
        self.ready.clear();
        self.played = 0;
        if self.remaining == 0 {
            return self.end_round();
        }
        // A tick of the file, which becomes a tick of ours.
        let frames = u64::from(self.format.hertz / 50).max(1);
        let octets = (frames * self.format.frame_octets() as u64).min(self.remaining);
        // At most 384,000 Hz / 50 × 256 channels × 8 octets.
        self.raw.resize(usize::try_from(octets).unwrap_or(0), 0);
        if let Err(error) = self.content.read_exact(&mut self.raw) {
            self.failure = Some(WavError::new(&self.path, error));
            self.phase = Phase::Over;
            return;
        }
        self.remaining -= octets;
        self.decoded.clear();
        self.format.decode(&self.raw, &mut self.decoded);
        if self.remaining == 0 {
            // What the resampler still holds of the file comes out with as much silence.
            self.decoded.resize(self.decoded.len() + self.resampler.delay(), 0);
        }
        self.resampler.resample(&self.decoded, &mut self.ready);
        self.played = self.early.min(self.ready.len());
        self.early -= self.played;
    }

    fn end_round(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
        let again = match self.options.repeat {
            Repeat::Forever => true,
            Repeat::Times(times) => self.rounds < times,
        };
        if !again {
            self.phase = Phase::Over;
            return;
        }
        if let Err(error) = self.content.seek(SeekFrom::Start(self.format.start)) {
            self.failure = Some(WavError::new(&self.path, error));
            self.phase = Phase::Over;
            return;
        }
        self.remaining = self.format.octets;
        // As much silence again, so that nothing of this round is left in the next.
        self.decoded.clear();
        self.decoded.resize(self.resampler.delay(), 0);
        self.resampler.resample(&self.decoded, &mut self.ready);
        self.ready.clear();
        self.early = early(&self.resampler, self.format.hertz, self.rate);
        self.phase = Phase::Silent(self.rate.samples_in(self.options.pause));
    }
}

/// A resampler's delay in samples of its output.
fn early(resampler: &Resampler, hertz: u32, rate: SampleRate) -> usize {
    resampler.delay() * rate.hertz() as usize / hertz as usize
}

fn open(path: &Path) -> Result<(Content, Format), WavProblem> {
    // Asked before opening: to open a pipe is to wait for who writes to it.
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(WavProblem::NotAFile);
    }
    let mut file = BufReader::with_capacity(READ_AHEAD, File::open(path)?);
    let format = Format::read(&mut file)?;
    if about.len() > MOST_HELD {
        file.seek(SeekFrom::Start(format.start))?;
        return Ok((Content::Streamed(file), format));
    }
    let mut held = Vec::new();
    file.take(format.octets).read_to_end(&mut held)?;
    // Were it cut shorter meanwhile, it is as long as it is.
    let octets = held.len() as u64 - held.len() as u64 % format.frame_octets() as u64;
    Ok((Content::Held(Cursor::new(held)), Format { start: 0, octets, ..format }))
}

impl Read for Content {
    fn read(&mut self, octets: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Content::Held(content) => content.read(octets),
            Content::Streamed(file) => file.read(octets),
        }
    }
}

impl Seek for Content {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        match self {
            Content::Held(content) => content.seek(position),
            Content::Streamed(file) => file.seek(position),
        }
    }
}

/// Files up to this size are held in memory.
const MOST_HELD: u64 = 1024 * 1024;

const READ_AHEAD: usize = 64 * 1024;

#[cfg(test)]
mod tests;
