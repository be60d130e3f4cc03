//! Raw samples from and to other programs: 16 bits, signed, little-endian, mono, at the rate of the bridge.
//!
//! A thread of its own waits for each pipe, so that the tick never does; between them are a fifth of a second of audio.

mod sink;
mod source;

pub use sink::PipeSink;
pub use source::PipeSource;

use super::DeviceError;
use std::fmt;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What standard input and output are called.
const STANDARD: &str = "-";

/// What lies between the pipe and the tick.
const RING: Duration = Duration::from_millis(200);

/// How long a thread rests when a pipe or a ring cannot go on.
const REST: Duration = Duration::from_millis(10);

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, DeviceError> {
    const STACK: usize = 256 * 1024;
    let named = thread::Builder::new().name("pipe".to_owned()).stack_size(STACK);
    named.spawn(work).map_err(|error| problem(name, error))
}

fn problem(name: &str, problem: impl fmt::Display) -> DeviceError {
    DeviceError::Pipe { name: name.to_owned(), problem: problem.to_string() }
}

/// Is it a pipe by its name? To open one is to wait for the other side, unless one is careful.
#[cfg(unix)]
fn is_named_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_named_pipe(_path: &Path) -> bool {
    false
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
