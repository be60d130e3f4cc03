//! A WAV file while it is written: 16-bit mono, playable after every [`append`](WavFile::append).

use super::format::{HEADER_OCTETS, MOST_OCTETS, header};
use super::{WavError, WavProblem};
use crate::pcm::SampleRate;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Where the octets go: a file, and in tests something that fails.
pub(super) trait Medium: Write + Seek + Send {
    fn truncate(&mut self, octets: u64) -> io::Result<()>;
}

impl Medium for File {
    fn truncate(&mut self, octets: u64) -> io::Result<()> {
        self.set_len(octets)
    }
}

/// A file that grows.
pub(super) struct WavFile<M = File> {
    medium: M,
    rate: SampleRate,
    /// Audio in the file, in octets.
    octets: u64,
    most_octets: u64,
    /// Reused from piece to piece.
    buffer: Vec<u8>,
}

impl WavFile<File> {
    /// Opens a new file with its folders. Nothing is overwritten: if the name is taken, `-1`, `-2`, … goes behind it.
    /// Recordings are private, so only their owner may read what is created here.
    pub(super) fn create(path: &Path, rate: SampleRate) -> Result<(WavFile<File>, PathBuf), WavError> {
        let error = |error: io::Error| WavError::new(path, error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(folder).map_err(error)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        for number in 0..MOST_OF_ONE_NAME {
            let path = numbered(path, number);
            match options.open(&path) {
                Ok(file) => {
                    let file = WavFile::start(file, rate).map_err(|problem| WavError::new(&path, problem))?;
                    return Ok((file, path));
                }
                Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {}
                Err(other) => return Err(error(other)),
            }
        }
        Err(error(io::ErrorKind::AlreadyExists.into()))
    }
}

impl<M: Medium> WavFile<M> {
    /// Writes the header of an empty file.
    pub(super) fn start(mut medium: M, rate: SampleRate) -> Result<WavFile<M>, WavProblem> {
        medium.write_all(&header(rate.hertz(), 0))?;
        Ok(WavFile { medium, rate, octets: 0, most_octets: u64::from(MOST_OCTETS), buffer: Vec::new() })
    }

    /// Writes audio, then the sizes. What could be written of it before an error stays, and the file playable.
    pub(super) fn append(&mut self, pcm: &[i16]) -> Result<(), WavProblem> {
        let room = usize::try_from((self.most_octets - self.octets) / 2).unwrap_or(usize::MAX);
        let fitting = &pcm[..pcm.len().min(room)];
        self.buffer.clear();
        self.buffer.extend(fitting.iter().flat_map(|sample| sample.to_le_bytes()));
        let (written, result) = write_what_fits(&mut self.medium, &self.buffer);
        self.octets += written - written % 2;
        if written % 2 == 1 || result.is_err() {
            // Half a sample, and whatever else the failed write may have left. A disk that fails now too leaves a tail
            // that no reader looks at, since the sizes end before it.
            let _ = self.medium.truncate(self.end());
        }
        let sizes = self.write_sizes();
        result?;
        sizes?;
        if fitting.len() < pcm.len() { Err(WavProblem::TooLong) } else { Ok(()) }
    }

    /// Samples in the file.
    pub(super) fn samples(&self) -> u64 {
        self.octets / 2
    }

    /// They overwrite what is there, so that a full disk has room for them.
    fn write_sizes(&mut self) -> io::Result<()> {
        self.medium.seek(SeekFrom::Start(0))?;
        self.medium.write_all(&header(self.rate.hertz(), self.octets))?;
        self.medium.seek(SeekFrom::Start(self.end()))?;
        self.medium.flush()
    }

    fn end(&self) -> u64 {
        HEADER_OCTETS as u64 + self.octets
    }

    #[cfg(test)]
    pub(super) fn with_limit(self, most_octets: u64) -> WavFile<M> {
        WavFile { most_octets, ..self }
    }

    #[cfg(test)]
    pub(super) fn into_medium(self) -> M {
        self.medium
    }
}

/// `write_all`, but tells how much went through before it failed.
fn write_what_fits(medium: &mut impl Write, octets: &[u8]) -> (u64, io::Result<()>) {
    let mut written = 0;
    while written < octets.len() {
        match medium.write(&octets[written..]) {
            Ok(0) => return (written as u64, Err(io::ErrorKind::StorageFull.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written as u64, Err(error)),
        }
    }
    (written as u64, Ok(()))
}

/// `call.wav`, `call-1.wav`, `call-2.wav`, …
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Then something is wrong that one more number does not mend.
const MOST_OF_ONE_NAME: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::super::format::Format;
    use super::*;
    use std::io::Cursor;

    /// A disk of so many octets, which takes half of a write that does not fit.
    struct SmallDisk {
        content: Cursor<Vec<u8>>,
        size: usize,
    }

    impl Write for SmallDisk {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let room = self.size - self.content.position() as usize;
            if room == 0 && !octets.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.content.write(&octets[..octets.len().min(room)])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for SmallDisk {
        fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
            self.content.seek(position)
        }
    }

    impl Medium for SmallDisk {
        fn truncate(&mut self, octets: u64) -> io::Result<()> {
            self.content.get_mut().truncate(octets as usize);
            Ok(())
        }
    }

    fn small_disk(size: usize) -> SmallDisk {
        SmallDisk { content: Cursor::new(Vec::new()), size }
    }

    fn frames(medium: SmallDisk) -> u64 {
        let mut content = medium.content;
        let format = Format::read(&mut content).unwrap();
        assert_eq!(format.start + format.octets, content.get_ref().len() as u64);
        format.frames()
    }

    #[test]
    fn a_full_disk_leaves_a_file_with_every_whole_sample_that_fitted() {
        // 44 for the header, then 160 samples, then 50 and a half.
        let mut file = WavFile::start(small_disk(44 + 320 + 101), SampleRate::Narrow).unwrap();
        assert_eq!(file.append(&[1; 160]), Ok(()));
        assert_eq!(file.append(&[2; 160]), Err(WavProblem::DiskFull));
        assert_eq!(file.samples(), 210);
        assert_eq!(frames(file.into_medium()), 210);
    }

    #[test]
    fn a_disk_without_room_for_a_header_is_said_to_be_full() {
        assert_eq!(WavFile::start(small_disk(20), SampleRate::Narrow).err(), Some(WavProblem::DiskFull));
    }

    #[test]
    fn a_file_that_would_grow_too_long_stops_at_its_last_sample() {
        let mut file = WavFile::start(small_disk(10_000), SampleRate::Narrow).unwrap().with_limit(500);
        assert_eq!(file.append(&[1; 200]), Ok(()));
        assert_eq!(file.append(&[1; 200]), Err(WavProblem::TooLong));
        assert_eq!(file.append(&[1; 1]), Err(WavProblem::TooLong));
        assert_eq!(frames(file.into_medium()), 250);
    }

    #[test]
    fn a_taken_name_gets_a_number_before_its_ending() {
        assert_eq!(numbered(Path::new("a/call.wav"), 0), Path::new("a/call.wav"));
        assert_eq!(numbered(Path::new("a/call.wav"), 2), Path::new("a/call-2.wav"));
        assert_eq!(numbered(Path::new("call"), 1), Path::new("call-1"));
        assert_eq!(numbered(Path::new("b@example.test.wav"), 1), Path::new("b@example.test-1.wav"));
    }
}
