//! The driver: sockets, ports and the thread of media.
//!
//! ```text
//!   MediaHandle ──orders──► queue ──► worker: sockets, schedule ──► channels (streams, files) in rooms (bridges)
//!        ▲                              │  ▲
//!        └──── board: statistics ◄──────┤  └── clerk: a thread that opens and closes files and devices
//!                                       └────► events, by the callback given at the start
//! ```
//!
//! One [`MediaEngine`] is one media thread, enough for a thousand calls. A process may have several; streams of different
//! engines cannot be connected.
//!
//! ```no_run
//! use media::driver::{MediaCommand, MediaEngine, MediaEvent, MediaSettings, SessionKey, StreamKey};
//! use media::stream::StreamPlan;
//!
//! let engine = MediaEngine::start(MediaSettings::default(), |event| {
//!     if let MediaEvent::Prepared { stream, capability, .. } = event {
//!         println!("{stream:?} is at port {}", capability.port);
//!     }
//! })?;
//! let plan = Box::new(StreamPlan::new([127, 0, 0, 1].into()));
//! engine.handle().send(MediaCommand::Prepare { stream: StreamKey(1), session: SessionKey(1), plan })?;
//! # Ok::<(), media::driver::MediaError>(())
//! ```

mod alerts;
mod channel;
mod clerk;
mod command;
pub mod mirror;
mod orders;
mod ports;
mod queue;
mod room;
mod schedule;
mod tap;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use command::{MediaCommand, MediaEvent, SessionKey, Sound, StreamKey};
pub use tap::{Tap, Tapped, TappedKeys, Way};

use crate::pcm::SampleRate;
use crate::stream::AudioStatistics;
use clerk::Clerk;
use queue::{Board, Queue};
use worker::Worker;

/// Who is told of events.
type EventHandler = Box<dyn Fn(MediaEvent) + Send>;

/// Settings of an engine.
#[derive(Clone)]
pub struct MediaSettings {
    /// The first and the last port that streams may take.
    pub ports: (u16, u16),
    /// The rate of bridges and recordings.
    pub rate: SampleRate,
    /// After how long without a packet a stream is taken for dead; zero: never.
    pub timeout: Duration,
    /// Where our user hears rings and beeps: `null`, `file:…`, `pipe:…`, `sound`.
    pub alert: String,
    /// Who watches the packets.
    pub tap: Option<Arc<dyn Tap>>,
}

impl fmt::Debug for MediaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaSettings")
            .field("ports", &self.ports)
            .field("rate", &self.rate)
            .field("timeout", &self.timeout)
            .field("alert", &self.alert)
            .field("tap", &self.tap.is_some())
            .finish()
    }
}

impl Default for MediaSettings {
    fn default() -> MediaSettings {
        MediaSettings {
            ports: (50_000, 50_500),
            rate: SampleRate::Full,
            timeout: Duration::from_secs(30),
            alert: "null".into(),
            tap: None,
        }
    }
}

/// A media thread with all it owns. Ends when it is dropped: every stream is closed, every file finished.
#[derive(Debug)]
pub struct MediaEngine {
    handle: MediaHandle,
    threads: Vec<JoinHandle<()>>,
}

/// The way to a media thread from any other; cheap to clone.
#[derive(Clone, Debug)]
pub struct MediaHandle {
    queue: Arc<Queue>,
    board: Arc<Board>,
}

/// Why an order was not taken, or why there is no engine.
#[derive(Debug)]
pub enum MediaError {
    /// The operating system's: no thread, no waker, no random numbers.
    Io(std::io::Error),
    /// More orders than the media thread does in time; nothing was taken.
    Busy,
    /// The engine has ended.
    Ended,
}

impl MediaEngine {
    /// Starts a media thread. `on_event` is called on it: it must not block.
    pub fn start(
        settings: MediaSettings,
        on_event: impl Fn(MediaEvent) + Send + 'static,
    ) -> Result<MediaEngine, MediaError> {
        let poll = mio::Poll::new().map_err(MediaError::Io)?;
        let waker = mio::Waker::new(poll.registry(), worker::WAKE).map_err(MediaError::Io)?;
        let (queue, board) = (Arc::new(Queue::new(waker)), Arc::new(Board::default()));
        let (clerk, files) = Clerk::start(settings.rate, queue.clone()).map_err(MediaError::Io)?;
        let on_event = Box::new(on_event);
        let worker = Worker::new(settings, on_event, queue.clone(), board.clone(), clerk, poll);
        let media = thread::Builder::new().name("media".to_owned()).spawn(move || worker.run());
        let media = media.map_err(MediaError::Io)?;
        Ok(MediaEngine { handle: MediaHandle { queue, board }, threads: vec![media, files] })
    }

    /// The way in.
    pub fn handle(&self) -> MediaHandle {
        self.handle.clone()
    }
}

impl Drop for MediaEngine {
    fn drop(&mut self) {
        self.handle.queue.end();
        // The media thread hands its files to the other one, so they end in this order.
        for thread in self.threads.drain(..) {
            // Dropped within the callback: the thread cannot wait for itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a media thread has panicked");
            }
        }
    }
}

impl MediaHandle {
    /// Gives an order. Never blocks.
    pub fn send(&self, command: MediaCommand) -> Result<(), MediaError> {
        self.queue.send(command)
    }

    /// How a stream is doing, at most 100 ms old. Does not wait for the media thread.
    pub fn statistics(&self, stream: StreamKey) -> Option<AudioStatistics> {
        self.board.read(stream)
    }
}

impl fmt::Display for MediaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MediaError::Io(error) => write!(f, "no media thread: {error}"),
            MediaError::Busy => f.write_str("the media thread has more orders than it does in time"),
            MediaError::Ended => f.write_str("the media thread has ended"),
        }
    }
}

impl std::error::Error for MediaError {}
