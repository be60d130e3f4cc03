//! Which part of what was said is this that came back, and how long was it on its way?
//!
//! Both sides are decoded into one line of samples each, by the packets' timestamps. A piece of what was said is looked for
//! in what came back, by correlation. The way begins when the packet with its first sample goes out and ends when the packet
//! with that sample comes back, both plus what lies before the sample in the packet.

use std::time::{Duration, Instant};

use media::level::Dbfs;
use media::pcm::SampleRate;
use media::signal;

use crate::talk::{PACKET, Talk};

const RATE: SampleRate = SampleRate::Narrow;
/// An eighth of a second is compared at a time, twice in each second.
const PIECE: usize = 1_000;
const STRIDE: usize = 4_000;
/// Nothing is later than this.
const LATEST: usize = 2_400;
/// A piece that came back whole is as like as this, Opus at complexity 0 included.
const ALIKE: f64 = 0.7;

/// Packets of a call.
#[derive(Default)]
pub(crate) struct Kept {
    /// When, and which payload of the talk.
    pub(crate) sent: Vec<(Instant, usize)>,
    /// When, timestamp, payload.
    pub(crate) heard: Vec<(Instant, u32, Vec<u8>)>,
}

/// What became of the audio.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// Pieces that were looked for, and those that were not found.
    pub(crate) pieces: usize,
    pub(crate) unlike: usize,
    /// Said to heard.
    pub(crate) median: Duration,
    pub(crate) worst: Duration,
    /// The same less what the jitter buffer held back at the end.
    pub(crate) added: Duration,
    pub(crate) added_worst: Duration,
}

/// Samples in a line, with the time of each packet.
struct Line {
    pcm: Vec<i16>,
    packets: Vec<Option<Instant>>,
}

/// Compares what was said after `from`. `buffered` tells for each call what its jitter buffer held back at the end.
pub(crate) fn compare(calls: Vec<(usize, &Kept, &Kept)>, talk: &Talk, from: Instant, buffered: &[Duration]) -> Heard {
    let mut heard = Heard::default();
    let (mut ways, mut added) = (Vec::new(), Vec::new());
    for (call, said_by, heard_by) in calls {
        let (said, came) = (Line::said(said_by, talk), Line::heard(heard_by, talk));
        let begin = said.packets.iter().position(|at| at.is_some_and(|at| at >= from)).unwrap_or(0);
        let begin = begin * RATE.samples_per_tick();
        let mut last = None;
        for start in (begin..said.pcm.len().saturating_sub(2 * PIECE + LATEST)).step_by(STRIDE) {
            let piece = &said.pcm[start..start + PIECE];
            // Noise between phrases is like any other.
            if signal::rms(piece) < Dbfs(-45.0) {
                continue;
            }
            heard.pieces += 1;
            // A piece in which the jitter buffer left out a period is like nothing; the one behind it is whole again.
            let behind = start + PIECE;
            let found = said.time_of(start).and_then(|at| came.find(piece, at));
            match found.or_else(|| came.find(&said.pcm[behind..behind + PIECE], said.time_of(behind)?)) {
                Some(way) => {
                    ways.push(way);
                    last = Some(way);
                }
                None => heard.unlike += 1,
            }
        }
        // What the buffer holds back changes with time; it was asked at the end.
        added.extend(last.map(|way| way.saturating_sub(buffered.get(call).copied().unwrap_or_default())));
    }
    ways.sort_unstable();
    added.sort_unstable();
    let at = |sorted: &[Duration], share: f64| {
        let last = sorted.len().saturating_sub(1) as f64;
        sorted.get((last * share) as usize).copied().unwrap_or_default()
    };
    (heard.median, heard.worst) = (at(&ways, 0.5), at(&ways, 0.99));
    (heard.added, heard.added_worst) = (at(&added, 0.5), at(&added, 1.0));
    heard
}

impl Line {
    fn said(kept: &Kept, talk: &Talk) -> Line {
        let mut decoder = talk.decoder();
        let mut line = Line { pcm: Vec::new(), packets: Vec::new() };
        for &(at, payload) in &kept.sent {
            line.packets.push(Some(at));
            decoder.decode(&talk.payloads[payload], &mut line.pcm).expect("our own encoder made it");
        }
        line
    }

    fn heard(kept: &Kept, talk: &Talk) -> Line {
        let mut decoder = talk.decoder();
        let mut line = Line { pcm: Vec::new(), packets: Vec::new() };
        let Some((_, first, _)) = kept.heard.first() else { return line };
        for (at, timestamp, payload) in &kept.heard {
            let place = (timestamp.wrapping_sub(*first) / talk.ticks) as usize;
            // Earlier than the first, or what nobody has sent: neither is compared.
            if place < line.packets.len() || place > line.packets.len() + 1_000 {
                continue;
            }
            line.packets.resize(place, None);
            line.pcm.resize(place * RATE.samples_per_tick(), 0);
            line.packets.push(Some(*at));
            if decoder.decode(payload, &mut line.pcm).is_err() {
                line.pcm.resize(line.packets.len() * RATE.samples_per_tick(), 0);
            }
        }
        line
    }

    /// When a sample went out, or came.
    fn time_of(&self, sample: usize) -> Option<Instant> {
        let tick = RATE.samples_per_tick();
        let at = *self.packets.get(sample / tick)?;
        at.map(|at| at + PACKET * (sample % tick) as u32 / tick as u32)
    }

    /// How long after `said` a piece came.
    fn find(&self, piece: &[i16], said: Instant) -> Option<Duration> {
        // What came before it was said is not it.
        let first = self.packets.iter().position(|at| at.is_some_and(|at| at + PACKET >= said))?;
        let start = first * RATE.samples_per_tick();
        let later = self.pcm.get(start..)?;
        let most = later.len().saturating_sub(piece.len()).min(LATEST);
        let (lag, alike) = signal::best_lag(piece, later, 0..most);
        let came = self.time_of(start + lag)?;
        (alike >= ALIKE).then(|| came.saturating_duration_since(said))
    }
}
