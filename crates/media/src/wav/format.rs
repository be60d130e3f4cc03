//! The header of a WAV file and the forms that its samples have.
//!
//! Every number comes from a file that anyone may have written: sizes are believed as far as the file reaches, and what
//! is allocated never depends on them.

use super::WavProblem;
use crate::codec::g711;
use std::io::{self, Read, Seek, SeekFrom};

/// What a file's header says of its audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) encoding: Encoding,
    pub(super) channels: u16,
    pub(super) hertz: u32,
    /// Where the audio begins, in octets.
    pub(super) start: u64,
    /// How much of it there is, in octets: whole frames.
    pub(super) octets: u64,
}

/// How one sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Unsigned8,
    Signed16,
    Signed24,
    Signed32,
    Float32,
    Float64,
    ALaw,
    MuLaw,
}

impl Format {
    /// Reads a file's header and goes on to its first sample.
    pub(super) fn read(file: &mut (impl Read + Seek)) -> Result<Format, WavProblem> {
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let riff: [u8; 12] = read_array(file)?;
        if (&riff[..4] != b"RIFF" && &riff[..4] != b"RF64") || &riff[8..] != b"WAVE" {
            return Err(WavProblem::NotWave("it does not begin with RIFF and WAVE"));
        }
        // Sizes are written when a recording ends; of one that was killed they are still these.
        let unfinished = matches!(little_endian_u32(&riff[4..8]), 0 | u32::MAX);
        let mut layout = None;
        let mut long_size = None;
        for _ in 0..MOST_CHUNKS {
            let chunk: [u8; 8] = read_array(file)?;
            let size = little_endian_u32(&chunk[4..]);
            let start = file.stream_position()?;
            match &chunk[..4] {
                b"fmt " => layout = Some(Layout::read(file, size)?),
                // RF64 (EBU Tech 3306): the true sizes of what has 0xffffffff below.
                b"ds64" if size >= 24 => {
                    let sizes: [u8; 16] = read_array(file)?;
                    let (_, data) = sizes.split_at(8);
                    long_size = data.try_into().map(u64::from_le_bytes).ok();
                }
                b"data" => {
                    let layout = layout.ok_or(WavProblem::NotWave("audio before its format"))?;
                    let octets = match (size, long_size) {
                        (u32::MAX, Some(octets)) => octets,
                        (u32::MAX, None) => u64::MAX,
                        (0, _) if unfinished => u64::MAX,
                        (size, _) => u64::from(size),
                    };
                    file.seek(SeekFrom::Start(start))?;
                    return Ok(layout.of_audio(start, octets.min(end.saturating_sub(start))));
                }
                _ => {}
            }
            // Chunks are padded to even lengths.
            file.seek(SeekFrom::Start(start + u64::from(size) + u64::from(size % 2)))?;
        }
        Err(WavProblem::NotWave("too much comes before its audio"))
    }

    /// Octets of one sample of every channel.
    pub(super) fn frame_octets(&self) -> usize {
        usize::from(self.channels) * self.encoding.octets()
    }

    /// Samples per channel.
    pub(super) fn frames(&self) -> u64 {
        self.octets / self.frame_octets() as u64
    }

    /// Appends whole frames as mono, the mean of the channels.
    pub(super) fn decode(&self, octets: &[u8], pcm: &mut Vec<i16>) {
        let size = self.encoding.octets();
        let frames = octets.chunks_exact(self.frame_octets());
        if self.channels == 1 && self.encoding == Encoding::Signed16 {
            pcm.extend(frames.map(|sample| i16::from_le_bytes([sample[0], sample[1]])));
            return;
        }
        let share = 1.0 / f32::from(self.channels);
        pcm.extend(frames.map(|frame| {
            let sum: f32 = frame.chunks_exact(size).map(|sample| self.encoding.decode(sample)).sum();
            // `as` saturates, and takes NaN for silence.
            (sum * share).round() as i16
        }));
    }
}

impl Encoding {
    fn octets(self) -> usize {
        match self {
            Encoding::Unsigned8 | Encoding::ALaw | Encoding::MuLaw => 1,
            Encoding::Signed16 => 2,
            Encoding::Signed24 => 3,
            Encoding::Signed32 | Encoding::Float32 => 4,
            Encoding::Float64 => 8,
        }
    }

    /// One sample, on the scale of 16 bits.
    fn decode(self, octets: &[u8]) -> f32 {
        match (self, octets) {
            (Encoding::Unsigned8, &[a]) => (f32::from(a) - 128.0) * 256.0,
            (Encoding::ALaw, &[a]) => f32::from(g711::from_a_law(a)),
            (Encoding::MuLaw, &[a]) => f32::from(g711::from_mu_law(a)),
            (Encoding::Signed16, &[a, b]) => f32::from(i16::from_le_bytes([a, b])),
            (Encoding::Signed24, &[a, b, c]) => i32::from_le_bytes([0, a, b, c]) as f32 / 65_536.0,
            (Encoding::Signed32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]) as f32 / 65_536.0,
            (Encoding::Float32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]) * 32_768.0,
            (Encoding::Float64, &[a, b, c, d, e, f, g, h]) => {
                (f64::from_le_bytes([a, b, c, d, e, f, g, h]) * 32_768.0) as f32
            }
            _ => 0.0,
        }
    }
}

/// The header of a file of 16-bit mono audio. Sizes that do not fit say the most that does.
pub(super) fn header(hertz: u32, octets: u64) -> [u8; HEADER_OCTETS] {
    let octets = u32::try_from(octets).unwrap_or(u32::MAX).min(MOST_OCTETS);
    let mut header = [0; HEADER_OCTETS];
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&(octets + RIFF_OVERHEAD).to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&16u32.to_le_bytes());
    header[20..22].copy_from_slice(&PCM.to_le_bytes());
    header[22..24].copy_from_slice(&1u16.to_le_bytes());
    header[24..28].copy_from_slice(&hertz.to_le_bytes());
    header[28..32].copy_from_slice(&(hertz * 2).to_le_bytes());
    header[32..34].copy_from_slice(&2u16.to_le_bytes());
    header[34..36].copy_from_slice(&16u16.to_le_bytes());
    header[36..40].copy_from_slice(b"data");
    header[40..].copy_from_slice(&octets.to_le_bytes());
    header
}

/// RIFF, fmt and the start of data.
pub(super) const HEADER_OCTETS: usize = 44;

/// Audio of one file: what is left of 4 GiB beside the header, in whole samples.
pub(super) const MOST_OCTETS: u32 = (u32::MAX - RIFF_OVERHEAD) & !1;

/// What the RIFF size counts beside the audio.
const RIFF_OVERHEAD: u32 = HEADER_OCTETS as u32 - 8;

/// The fmt chunk, checked.
#[derive(Clone, Copy)]
struct Layout {
    encoding: Encoding,
    channels: u16,
    hertz: u32,
}

impl Layout {
    fn read(file: &mut impl Read, size: u32) -> Result<Layout, WavProblem> {
        if size < 16 {
            return Err(WavProblem::NotWave("its format is cut short"));
        }
        let basic: [u8; 16] = read_array(file)?;
        let mut tag = little_endian_u16(&basic[..2]);
        let channels = little_endian_u16(&basic[2..4]);
        let hertz = little_endian_u32(&basic[4..8]);
        let frame = little_endian_u16(&basic[12..14]);
        let bits = little_endian_u16(&basic[14..16]);
        if tag == EXTENSIBLE && size >= 40 {
            let extension: [u8; 24] = read_array(file)?;
            // The first two octets of the GUID are the tag that there would be without.
            if extension[10..] == GUID_TAIL {
                tag = little_endian_u16(&extension[8..10]);
            }
        }
        if !(1..=MOST_CHANNELS).contains(&channels) {
            return Err(WavProblem::Unsupported(format!("{channels} channels")));
        }
        if !(LOWEST_HERTZ..=HIGHEST_HERTZ).contains(&hertz) {
            return Err(WavProblem::Unsupported(format!("{hertz} samples a second")));
        }
        // Samples of 12 or 20 bits lie in the upper part of 16 or 24.
        let sample_octets = if frame.is_multiple_of(channels) { frame / channels } else { 0 };
        let encoding = match (tag, sample_octets) {
            (PCM, 1) => Encoding::Unsigned8,
            (PCM, 2) => Encoding::Signed16,
            (PCM, 3) => Encoding::Signed24,
            (PCM, 4) => Encoding::Signed32,
            (FLOAT, 4) => Encoding::Float32,
            (FLOAT, 8) => Encoding::Float64,
            (A_LAW, 1) => Encoding::ALaw,
            (MU_LAW, 1) => Encoding::MuLaw,
            (PCM | FLOAT | A_LAW | MU_LAW, _) => {
                return Err(WavProblem::Unsupported(format!("{bits} bits a sample in frames of {frame} octets")));
            }
            _ => return Err(WavProblem::Unsupported(format!("format {tag:#06x}"))),
        };
        Ok(Layout { encoding, channels, hertz })
    }

    fn of_audio(self, start: u64, octets: u64) -> Format {
        let Layout { encoding, channels, hertz } = self;
        let format = Format { encoding, channels, hertz, start, octets };
        Format { octets: octets - octets % format.frame_octets() as u64, ..format }
    }
}

fn read_array<const N: usize>(file: &mut impl Read) -> Result<[u8; N], WavProblem> {
    let mut octets = [0; N];
    match file.read_exact(&mut octets) {
        Ok(()) => Ok(octets),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(WavProblem::NotWave("it ends before its audio"))
        }
        Err(error) => Err(error.into()),
    }
}

fn little_endian_u16(octets: &[u8]) -> u16 {
    octets.iter().rev().fold(0, |value, &octet| value << 8 | u16::from(octet))
}

fn little_endian_u32(octets: &[u8]) -> u32 {
    octets.iter().rev().fold(0, |value, &octet| value << 8 | u32::from(octet))
}

// Format tags (RFC 2361).
const PCM: u16 = 0x0001;
const FLOAT: u16 = 0x0003;
const A_LAW: u16 = 0x0006;
const MU_LAW: u16 = 0x0007;
const EXTENSIBLE: u16 = 0xfffe;

/// What follows the tag in the GUIDs of these formats.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// Before the audio. Files have a handful.
const MOST_CHUNKS: usize = 1_000;

const MOST_CHANNELS: u16 = 256;
const LOWEST_HERTZ: u32 = 4_000;
const HIGHEST_HERTZ: u32 = 384_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(octets: &[u8]) -> Result<Format, WavProblem> {
        Format::read(&mut Cursor::new(octets))
    }

    fn with_audio(hertz: u32, octets: usize) -> Vec<u8> {
        let mut file = header(hertz, octets as u64).to_vec();
        file.extend(vec![0; octets]);
        file
    }

    #[test]
    fn our_own_header_is_read_back() {
        let format = read(&with_audio(32_000, 640)).unwrap();
        let expected = Format { encoding: Encoding::Signed16, channels: 1, hertz: 32_000, start: 44, octets: 640 };
        assert_eq!(format, expected);
        assert_eq!(format.frames(), 320);
    }

    #[test]
    fn the_audio_of_a_recording_that_was_killed_goes_on_to_the_end_of_the_file() {
        for size in [0, u32::MAX] {
            let mut file = with_audio(8_000, 641);
            file[4..8].copy_from_slice(&size.to_le_bytes());
            file[40..44].copy_from_slice(&size.to_le_bytes());
            assert_eq!(read(&file).unwrap().octets, 640);
        }
        let mut empty = with_audio(8_000, 0);
        empty.extend(b"LIST\x04\0\0\0abcd");
        assert_eq!(read(&empty).unwrap().octets, 0);
    }

    #[test]
    fn a_size_beyond_the_file_is_believed_no_further_than_the_file() {
        let mut file = with_audio(8_000, 100);
        file[40..44].copy_from_slice(&3_000_000_000u32.to_le_bytes());
        assert_eq!(read(&file).unwrap().octets, 100);
    }

    #[test]
    fn chunks_of_other_kinds_are_passed_over_with_their_padding() {
        let file = with_audio(8_000, 10);
        let mut padded = file[..12].to_vec();
        padded.extend(b"bext\x03\0\0\0abc\0");
        padded.extend(&file[12..]);
        assert_eq!(read(&padded).unwrap().octets, 10);
    }

    #[test]
    fn an_rf64_file_has_its_size_in_another_chunk() {
        let file = with_audio(8_000, 10);
        let mut long = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".to_vec();
        long.extend(90u64.to_le_bytes());
        long.extend(10u64.to_le_bytes());
        long.extend([0; 12]);
        long.extend(&file[12..40]);
        long.extend([0xff; 4]);
        long.extend([0; 10]);
        long.extend(b"LIST\x04\0\0\0abcd");
        assert_eq!(read(&long).unwrap().octets, 10);
    }

    #[test]
    fn what_cannot_be_played_is_said() {
        assert!(matches!(read(b"OggS"), Err(WavProblem::NotWave(_))));
        assert!(matches!(read(b"OggS\0\0\0\0\0\0\0\0\0\0"), Err(WavProblem::NotWave(_))));
        assert!(matches!(read(&with_audio(8_000, 0)[..40]), Err(WavProblem::NotWave(_))));
        let mut file = with_audio(8_000, 0);
        file[20..22].copy_from_slice(&0x55u16.to_le_bytes());
        assert_eq!(read(&file), Err(WavProblem::Unsupported("format 0x0055".to_owned())));
        let mut file = with_audio(8_000, 0);
        file[22..24].copy_from_slice(&0u16.to_le_bytes());
        assert_eq!(read(&file), Err(WavProblem::Unsupported("0 channels".to_owned())));
        let mut file = with_audio(8_000, 0);
        file[24..28].copy_from_slice(&4u32.to_le_bytes());
        assert_eq!(read(&file), Err(WavProblem::Unsupported("4 samples a second".to_owned())));
    }

    /// Every prefix of a file and every file with one octet changed either is read or is refused.
    #[test]
    fn no_header_makes_the_reader_panic_or_run_away() {
        let mut file = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".to_vec();
        file.extend([7; 28]);
        file.extend(&with_audio(8_000, 20)[12..]);
        for cut in 0..file.len() {
            let _ = read(&file[..cut]);
        }
        for index in 0..file.len() {
            for octet in [0, 1, 0x7f, 0x80, 0xfe, 0xff] {
                let mut changed = file.clone();
                changed[index] = octet;
                if let Ok(format) = read(&changed) {
                    assert!(format.start + format.octets <= changed.len() as u64);
                    let mut pcm = Vec::new();
                    format.decode(&changed[format.start as usize..], &mut pcm);
                }
            }
        }
    }

    #[test]
    fn the_longest_file_ends_below_four_gibibytes() {
        assert_eq!(u64::from(MOST_OCTETS) % 2, 0);
        let header = header(8_000, u64::MAX);
        assert_eq!(little_endian_u32(&header[4..8]), MOST_OCTETS + 36);
        assert!(u64::from(MOST_OCTETS) + 36 <= u64::from(u32::MAX));
    }
}
