//! WAV files as source and sink.

use super::{DeviceError, DeviceEvent, Reading, Sink, Source};
use crate::pcm::SampleRate;
use crate::wav::{Player, PlayerOptions, Recorder, RecorderEvent};
use std::path::Path;

/// Plays a WAV file.
#[derive(Debug)]
pub struct FileSource {
    player: Player,
    told: bool,
}

impl FileSource {
    /// Opens the file.
    pub fn open(path: &Path, rate: SampleRate, options: PlayerOptions) -> Result<FileSource, DeviceError> {
        Ok(FileSource { player: Player::open(path, rate, options)?, told: false })
    }
}

impl Source for FileSource {
    fn read(&mut self, pcm: &mut [i16]) -> Reading {
        match self.player.fill(pcm) {
            0 if self.player.is_over() => Reading::Over,
            _ => Reading::Audio,
        }
    }

    fn poll_event(&mut self) -> Option<DeviceEvent> {
        if self.told || !self.player.is_over() {
            return None;
        }
        self.told = true;
        Some(match self.player.failure() {
            Some(error) => DeviceEvent::Failed(error.clone().into()),
            None => DeviceEvent::Ended,
        })
    }
}

/// Records to a WAV file.
#[derive(Debug)]
pub struct FileSink {
    recorder: Recorder,
}

impl FileSink {
    /// Opens a new file; see [`Recorder::create`].
    pub fn create(path: &Path, rate: SampleRate) -> Result<FileSink, DeviceError> {
        Ok(FileSink { recorder: Recorder::create(path, rate)? })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.recorder.path()
    }
}

impl Sink for FileSink {
    fn write(&mut self, pcm: &[i16]) {
        self.recorder.push(pcm);
    }

    fn pause(&mut self, paused: bool) {
        match paused {
            true => self.recorder.pause(),
            false => self.recorder.resume(),
        }
    }

    fn poll_event(&mut self) -> Option<DeviceEvent> {
        match self.recorder.poll_event()? {
            RecorderEvent::Overflowed { samples } => Some(DeviceEvent::Lost { samples }),
            RecorderEvent::Failed(error) => Some(DeviceEvent::Failed(error.into())),
            RecorderEvent::Finished { .. } => None,
        }
    }

    fn close(self: Box<Self>) -> Result<(), DeviceError> {
        self.recorder.close()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wav::Folder;

    #[test]
    fn what_a_file_sink_takes_a_file_source_gives() {
        let folder = Folder::new();
        let path = folder.file("loop.wav");
        let mut sink = FileSink::create(&path, SampleRate::Wide).unwrap();
        assert_eq!(sink.path(), path);
        sink.write(&[1_000; 320]);
        sink.pause(true);
        sink.write(&[2_000; 320]);
        sink.pause(false);
        sink.write(&[3_000; 320]);
        Box::new(sink).close().unwrap();
        let mut source = FileSource::open(&path, SampleRate::Wide, PlayerOptions::default()).unwrap();
        let mut pcm = [0; 320];
        for expected in [1_000, 3_000] {
            assert_eq!(source.poll_event(), None);
            assert_eq!(source.read(&mut pcm), Reading::Audio);
            assert_eq!(pcm, [expected; 320]);
        }
        assert_eq!(source.read(&mut pcm), Reading::Over);
        assert_eq!(source.poll_event(), Some(DeviceEvent::Ended));
        assert_eq!(source.poll_event(), None);
    }
}
