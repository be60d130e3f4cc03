//! The recorder: whoever pushes never waits; a thread of the recorder's own writes.
//!
//! ```text
//!   media thread                     │                 the recorder's thread
//!   push ──► ring of four seconds ───┼──► half a second's audio ──► file, then its sizes
//!   poll_event ◄─────────────────────┼──── Failed, Finished
//! ```

use super::file::{Medium, WavFile};
use super::{WavError, WavProblem};
use crate::pcm::SampleRate;
use rtrb::{Consumer, Producer, RingBuffer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What a recorder has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecorderEvent {
    /// The disk did not keep up; so many samples were left out, and silence was recorded in their place as far as there
    /// was room.
    Overflowed {
        /// Since this was told last.
        samples: u64,
    },
    /// Recording ended before it was stopped. What was written until then is playable.
    Failed(WavError),
    /// Recording was stopped, and everything pushed before is in the file.
    Finished {
        /// How long the recording is.
        recorded: Duration,
    },
}

/// Records to a WAV file, 16-bit and mono.
///
/// Creating one opens the file and waits for the disk; after that nothing does but [`close`](Recorder::close). So create
/// it where waiting does no harm, and hand it to the thread that pushes. Dropped without being closed, it waits at most
/// a second for what is still to be written.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    ring: Producer<i16>,
    paused: bool,
    /// Silence still to be pushed in place of what there was no room for.
    owed: usize,
    /// Left out and not told yet.
    lost: u64,
    /// Samples pushed since something was lost last.
    since_lost: usize,
    rate: SampleRate,
    writer: Writer,
    /// The last event, once it has come: nothing follows.
    over: Option<RecorderEvent>,
}

impl Recorder {
    /// Starts a recording in a new file, with the folders that it needs. Nothing is overwritten: if the name is taken,
    /// `-1`, `-2`, … goes behind it; [`path`](Recorder::path) tells.
    pub fn create(path: &Path, rate: SampleRate) -> Result<Recorder, WavError> {
        let (file, path) = WavFile::create(path, rate)?;
        Recorder::start(file, path, rate)
    }

    fn start<M: Medium + 'static>(file: WavFile<M>, path: PathBuf, rate: SampleRate) -> Result<Recorder, WavError> {
        let (ring, audio) = RingBuffer::new(rate.samples_in(RING));
        let writer = Writer::start(file, audio, path.clone(), rate)?;
        Ok(Recorder { path, ring, paused: false, owed: 0, lost: 0, since_lost: 0, rate, writer, over: None })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rate of what is pushed and recorded.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Records the next samples. Never waits: what there is no room for is left out and told of.
    pub fn push(&mut self, pcm: &[i16]) {
        if self.paused || self.over.is_some() || self.ring.is_abandoned() {
            return;
        }
        self.repay();
        if self.owed > 0 || self.ring.push_entire_slice(pcm).is_err() {
            self.owed = self.owed.saturating_add(pcm.len());
            self.lost += pcm.len() as u64;
            self.since_lost = 0;
        } else {
            self.since_lost = self.since_lost.saturating_add(pcm.len());
        }
        if self.ring.slots() < self.ring.buffer().capacity() / 2 {
            self.writer.wake();
        }
    }

    /// Leaves out what is pushed from now on: the call is on hold.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Records again what is pushed.
    pub fn resume(&mut self) {
        self.paused = false;
    }

    /// Is it paused?
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The next thing to tell, if there is one. Ask now and then, for example each tick.
    pub fn poll_event(&mut self) -> Option<RecorderEvent> {
        // Told when it is over, or once in a second while it lasts.
        let a_second = self.rate.hertz() as usize;
        let calm = self.since_lost >= a_second / 2 || self.lost >= a_second as u64 || self.writer.is_stopping();
        if self.lost > 0 && calm {
            return Some(RecorderEvent::Overflowed { samples: std::mem::take(&mut self.lost) });
        }
        if self.over.is_none() {
            self.over = self.writer.poll();
            return self.over.clone();
        }
        None
    }

    /// Asks for the end: what was pushed is still written, then comes [`RecorderEvent::Finished`] or
    /// [`RecorderEvent::Failed`]. Does not wait.
    pub fn stop(&mut self) {
        self.paused = true;
        self.writer.stop();
    }

    /// Stops and waits until the file is whole. How long the recording is, or why it is shorter than what was pushed.
    pub fn close(mut self) -> Result<Duration, WavError> {
        self.stop();
        let over = match self.over.take() {
            Some(over) => Some(over),
            None => self.writer.wait(),
        };
        match over {
            Some(RecorderEvent::Finished { recorded }) => Ok(recorded),
            Some(RecorderEvent::Failed(error)) => Err(error),
            Some(RecorderEvent::Overflowed { .. }) | None => Err(WavError::new(&self.path, WavProblem::NoWriter)),
        }
    }

    /// Puts silence where audio was left out, so that what follows keeps its place in time.
    fn repay(&mut self) {
        if self.owed == 0 {
            return;
        }
        let payable = self.owed.min(self.ring.slots());
        if let Ok(chunk) = self.ring.write_chunk(payable) {
            // A chunk begins as zeros.
            chunk.commit_all();
            self.owed -= payable;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.writer.stop();
        if self.over.is_none() {
            // A second for a slow disk; a program that ends meanwhile would lose the tail.
            let _ = self.writer.events.recv_timeout(LAST_WAIT);
        }
    }
}

/// The thread, from outside.
#[derive(Debug)]
struct Writer {
    stopping: Arc<AtomicBool>,
    events: Receiver<RecorderEvent>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn start<M: Medium + 'static>(
        file: WavFile<M>,
        audio: Consumer<i16>,
        path: PathBuf,
        rate: SampleRate,
    ) -> Result<Writer, WavError> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (tell, events) = channel();
        let work = Work { file, audio, path: path.clone(), rate, stopping: Arc::clone(&stopping), tell };
        let thread = thread::Builder::new()
            .name("recorder".to_owned())
            .stack_size(STACK)
            .spawn(move || work.run())
            .map_err(|_| WavError::new(&path, WavProblem::NoWriter))?;
        Ok(Writer { stopping, events, thread: Some(thread) })
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn poll(&self) -> Option<RecorderEvent> {
        self.events.try_recv().ok()
    }

    fn wait(&mut self) -> Option<RecorderEvent> {
        let event = self.events.recv().ok();
        if let Some(thread) = self.thread.take() {
            // It has told how it ended.
            let _ = thread.join();
        }
        event
    }
}

/// The thread, from inside.
struct Work<M> {
    file: WavFile<M>,
    audio: Consumer<i16>,
    path: PathBuf,
    rate: SampleRate,
    stopping: Arc<AtomicBool>,
    tell: Sender<RecorderEvent>,
}

impl<M: Medium> Work<M> {
    fn run(mut self) {
        let over = match self.write_until_stopped() {
            Ok(()) => RecorderEvent::Finished { recorded: self.recorded() },
            Err(problem) => RecorderEvent::Failed(WavError { path: self.path, problem }),
        };
        // The file closes before it is told, so that whoever hears of it finds it closed.
        drop(self.file);
        // Nobody may be listening any more.
        let _ = self.tell.send(over);
    }

    fn write_until_stopped(&mut self) -> Result<(), WavProblem> {
        loop {
            // Asked first, so that what was pushed before the stop is still found.
            let last = self.stopping.load(Ordering::Acquire);
            self.write_waiting()?;
            if last {
                return Ok(());
            }
            thread::park_timeout(PAUSE);
        }
    }

    fn write_waiting(&mut self) -> Result<(), WavProblem> {
        let waiting = self.audio.slots();
        if waiting == 0 {
            return Ok(());
        }
        let Ok(chunk) = self.audio.read_chunk(waiting) else { return Ok(()) };
        let (first, second) = chunk.as_slices();
        self.file.append(first)?;
        if !second.is_empty() {
            self.file.append(second)?;
        }
        chunk.commit_all();
        Ok(())
    }

    fn recorded(&self) -> Duration {
        let microseconds = u128::from(self.file.samples()) * 1_000_000 / u128::from(self.rate.hertz());
        Duration::from_micros(u64::try_from(microseconds).unwrap_or(u64::MAX))
    }
}

/// How long a disk may stand still before audio is left out.
const RING: Duration = Duration::from_secs(4);

/// How long the writer rests between pieces: what a killed process loses at most.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a recorder that is dropped waits.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The thread calls nothing deep.
const STACK: usize = 256 * 1024;

#[cfg(test)]
mod tests;
