//! Letting another program hear.

use super::super::{DeviceError, DeviceEvent, Sink};
use super::{REST, RING, STANDARD, is_named_pipe, problem, start};
use crate::pcm::SampleRate;
use rtrb::{Consumer, Producer, RingBuffer};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Writes to a pipe.
///
/// While nobody reads from a named pipe, what is written goes nowhere; once someone does, he hears the call as it is then.
/// Who reads too slowly misses something, and [`DeviceEvent::Lost`] tells.
#[derive(Debug)]
pub struct PipeSink {
    name: String,
    ring: Producer<i16>,
    lost: u64,
    /// Samples written since something was lost last.
    since_lost: usize,
    rate: SampleRate,
    stopping: Arc<AtomicBool>,
    failures: Receiver<io::Error>,
    thread: JoinHandle<()>,
}

impl PipeSink {
    /// Standard output.
    pub fn standard_output(rate: SampleRate) -> Result<PipeSink, DeviceError> {
        PipeSink::start(STANDARD, rate, || Ok(Some(io::stdout())))
    }

    /// A named pipe, or a new file of raw samples. What is there already is not overwritten.
    pub fn open(path: &Path, rate: SampleRate) -> Result<PipeSink, DeviceError> {
        let name = path.display().to_string();
        if is_named_pipe(path) {
            let path = path.to_owned();
            return PipeSink::start(&name, rate, move || open_named_pipe(&path));
        }
        let mut file = Some(open(path).map_err(|error| problem(&name, error))?);
        PipeSink::start(&name, rate, move || Ok(file.take()))
    }

    /// `open` is asked until it opens something.
    fn start<W: Write>(
        name: &str,
        rate: SampleRate,
        open: impl FnMut() -> io::Result<Option<W>> + Send + 'static,
    ) -> Result<PipeSink, DeviceError> {
        let (ring, samples) = RingBuffer::new(rate.samples_in(RING));
        let (tell, failures) = channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let output = Output { ring: samples, stopping: Arc::clone(&stopping), octets: Vec::new() };
        let thread = start(name, move || {
            if let Err(error) = output.pour_into(open) {
                // Nobody may be listening any more.
                let _ = tell.send(error);
            }
        })?;
        Ok(PipeSink { name: name.to_owned(), ring, lost: 0, since_lost: 0, rate, stopping, failures, thread })
    }
}

impl Sink for PipeSink {
    fn write(&mut self, pcm: &[i16]) {
        if self.ring.is_abandoned() {
            return;
        }
        match self.ring.push_entire_slice(pcm) {
            Ok(()) => self.since_lost = self.since_lost.saturating_add(pcm.len()),
            Err(_) => {
                self.lost += pcm.len() as u64;
                self.since_lost = 0;
            }
        }
        self.thread.thread().unpark();
    }

    fn poll_event(&mut self) -> Option<DeviceEvent> {
        if let Ok(error) = self.failures.try_recv() {
            return Some(DeviceEvent::Failed(problem(&self.name, error)));
        }
        // Told when it is over, or once in a second while it lasts.
        let a_second = self.rate.hertz() as usize;
        if self.lost == 0 || (self.since_lost < a_second / 2 && self.lost < a_second as u64) {
            return None;
        }
        Some(DeviceEvent::Lost { samples: std::mem::take(&mut self.lost) })
    }

    fn close(mut self: Box<Self>) -> Result<(), DeviceError> {
        self.stopping.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // Ends when the thread does, with or without a word.
        match self.failures.recv() {
            Ok(error) => Err(problem(&std::mem::take(&mut self.name), error)),
            Err(_) => Ok(()),
        }
    }
}

/// The thread's side.
struct Output {
    ring: Consumer<i16>,
    stopping: Arc<AtomicBool>,
    octets: Vec<u8>,
}

impl Output {
    fn pour_into<W: Write>(mut self, mut open: impl FnMut() -> io::Result<Option<W>>) -> io::Result<()> {
        let mut medium = None;
        loop {
            // Asked first, so that what was written before the end is still found.
            let last = self.is_stopping();
            if medium.is_none() {
                medium = open()?;
            }
            self.take_waiting();
            if let Some(medium) = &mut medium {
                self.write_out(medium)?;
            }
            if last {
                return Ok(());
            }
            thread::park_timeout(LOOK_AGAIN);
        }
    }

    fn take_waiting(&mut self) {
        self.octets.clear();
        if let Ok(chunk) = self.ring.read_chunk(self.ring.slots()) {
            self.octets.extend(chunk.into_iter().flat_map(i16::to_le_bytes));
        }
    }

    fn write_out(&self, medium: &mut impl Write) -> io::Result<()> {
        let mut rest = self.octets.as_slice();
        let mut rests = 0;
        while !rest.is_empty() {
            match medium.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => rest = &rest[length..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // In the end a reader that reads no more is waited for, but not for ever.
                    rests += u32::from(self.is_stopping());
                    if rests > LAST_RESTS {
                        return Err(error);
                    }
                    thread::sleep(REST);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        medium.flush()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire) || self.ring.is_abandoned()
    }
}

/// `None` while nobody reads from it.
#[cfg(unix)]
fn open_named_pipe(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;
    match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn open_named_pipe(path: &Path) -> io::Result<Option<File>> {
    open(path).map(Some)
}

/// Devices and the like are opened, files only made.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true);
    if !std::fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        options.create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options.open(path)
}

/// How long the thread sleeps when nothing is written that wakes it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A second.
const LAST_RESTS: u32 = 100;
