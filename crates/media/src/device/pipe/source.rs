//! Hearing what another program writes.

use super::super::{DeviceError, DeviceEvent, Reading, Source};
use super::{REST, RING, STANDARD, is_named_pipe, problem, start};
use crate::pcm::SampleRate;
use rtrb::{Consumer, Producer, RingBuffer};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Gives what comes out of a pipe.
///
/// A program that writes faster than the call goes waits, as at any pipe; while it is slower, there is silence, in whole
/// ticks.
#[derive(Debug)]
pub struct PipeSource {
    ring: Consumer<i16>,
    /// How it ended, from the thread.
    ends: Receiver<DeviceEvent>,
    end: Option<DeviceEvent>,
    told: bool,
}

impl PipeSource {
    /// Standard input.
    pub fn standard_input(rate: SampleRate) -> Result<PipeSource, DeviceError> {
        PipeSource::start(STANDARD, rate, Input { medium: io::stdin(), patient: false })
    }

    /// A named pipe, or a file of raw samples. Whoever writes to the pipe may come later.
    pub fn open(path: &Path, rate: SampleRate) -> Result<PipeSource, DeviceError> {
        let name = path.display().to_string();
        let patient = is_named_pipe(path);
        let medium = open(path, patient).map_err(|error| problem(&name, error))?;
        PipeSource::start(&name, rate, Input { medium, patient })
    }

    fn start(
        name: &str,
        rate: SampleRate,
        input: Input<impl Read + Send + 'static>,
    ) -> Result<PipeSource, DeviceError> {
        let (samples, ring) = RingBuffer::new(rate.samples_in(RING));
        let (tell, ends) = channel();
        let pipe = name.to_owned();
        start(name, move || {
            let end = match input.pour_into(samples) {
                Ok(()) => DeviceEvent::Ended,
                Err(error) => DeviceEvent::Failed(problem(&pipe, error)),
            };
            // Nobody may be listening any more.
            let _ = tell.send(end);
        })?;
        Ok(PipeSource { ring, ends, end: None, told: false })
    }
}

impl Source for PipeSource {
    fn read(&mut self, pcm: &mut [i16]) -> Reading {
        // Asked first: what came before the end is in the ring by now.
        if self.end.is_none() {
            self.end = self.ends.try_recv().ok();
        }
        if self.ring.slots() < pcm.len() && self.end.is_none() {
            pcm.fill(0);
            return Reading::Silence;
        }
        let (given, missing) = self.ring.pop_partial_slice(pcm);
        missing.fill(0);
        if given.is_empty() { Reading::Over } else { Reading::Audio }
    }

    fn poll_event(&mut self) -> Option<DeviceEvent> {
        if self.told || !self.ring.is_empty() {
            return None;
        }
        let end = self.end.clone();
        self.told = end.is_some();
        end
    }
}

/// The thread's side.
struct Input<R> {
    medium: R,
    /// A pipe to which nobody writes yet is not at its end.
    patient: bool,
}

impl<R: Read> Input<R> {
    fn pour_into(mut self, mut ring: Producer<i16>) -> io::Result<()> {
        let mut octets = [0; 4_096];
        let mut held = 0;
        let mut samples = Vec::with_capacity(octets.len() / 2);
        while !ring.is_abandoned() {
            match self.medium.read(&mut octets[held..]) {
                Ok(0) if self.patient => thread::sleep(REST),
                Ok(0) => return Ok(()),
                Ok(more) => {
                    self.patient = false;
                    let length = held + more;
                    samples.clear();
                    let pairs = octets[..length].chunks_exact(2);
                    samples.extend(pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
                    push_all(&mut ring, &samples);
                    // Half a sample waits for its other half.
                    held = length % 2;
                    octets[0] = octets[length - 1];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(REST),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn push_all(ring: &mut Producer<i16>, samples: &[i16]) {
    let (_, mut rest) = ring.push_partial_slice(samples);
    while !rest.is_empty() && !ring.is_abandoned() {
        thread::sleep(REST);
        rest = ring.push_partial_slice(rest).1;
    }
}

fn open(path: &Path, named_pipe: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    if named_pipe {
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let _ = named_pipe;
    Ok(file)
}
