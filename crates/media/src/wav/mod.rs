//! WAV files: played and recorded (RIFF/WAVE, IBM and Microsoft 1991; extensible format 1999).
//!
//! A [`Player`] reads any PCM that is met in practice, and G.711, in bounded memory. A [`Recorder`] writes 16-bit mono
//! from a thread of its own, so that whoever pushes never waits for a disk, and keeps the file playable at every moment.

mod file;
mod format;
mod player;
mod recorder;
#[cfg(test)]
mod scratch;

pub use player::{Player, PlayerOptions};
pub use recorder::{Recorder, RecorderEvent};
#[cfg(test)]
pub(crate) use scratch::Folder;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WavError {
    /// The file.
    pub path: PathBuf,
    /// What is the matter with it.
    pub problem: WavProblem,
}

/// What can be the matter with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WavProblem {
    /// There is none of this name.
    NotFound,
    /// We may not read or write there.
    PermissionDenied,
    /// It is a folder or a device, not a file.
    NotAFile,
    /// It does not begin as WAV files do, or breaks off before its audio.
    NotWave(&'static str),
    /// A WAV file, but in a format that cannot be played: which.
    Unsupported(String),
    /// No room is left on the disk, or in the user's share of it.
    DiskFull,
    /// A WAV file cannot grow beyond 4 GiB.
    TooLong,
    /// The thread that writes could not be started, or is gone.
    NoWriter,
    /// Something else that the system reports.
    Io(io::ErrorKind, String),
}

impl WavError {
    pub(crate) fn new(path: &Path, problem: impl Into<WavProblem>) -> WavError {
        WavError { path: path.to_owned(), problem: problem.into() }
    }
}

impl From<io::Error> for WavProblem {
    fn from(error: io::Error) -> WavProblem {
        match error.kind() {
            io::ErrorKind::NotFound => WavProblem::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => WavProblem::PermissionDenied,
            io::ErrorKind::IsADirectory => WavProblem::NotAFile,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WavProblem::DiskFull,
            io::ErrorKind::FileTooLarge => WavProblem::TooLong,
            kind => WavProblem::Io(kind, error.to_string()),
        }
    }
}

impl fmt::Display for WavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl fmt::Display for WavProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WavProblem::NotFound => f.write_str("no such file or folder"),
            WavProblem::PermissionDenied => f.write_str("permission denied"),
            WavProblem::NotAFile => f.write_str("not a file"),
            WavProblem::NotWave(why) => write!(f, "not a WAV file: {why}"),
            WavProblem::Unsupported(what) => write!(f, "a WAV file of a kind that cannot be played: {what}"),
            WavProblem::DiskFull => f.write_str("the disk is full"),
            WavProblem::TooLong => f.write_str("a WAV file ends at 4 GiB"),
            WavProblem::NoWriter => f.write_str("the thread that writes is not there"),
            WavProblem::Io(_, text) => f.write_str(text),
        }
    }
}

impl std::error::Error for WavError {}
