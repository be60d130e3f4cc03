//! The driver: sockets, files and the thread of MSRP.
//!
//! ```text
//!   MsrpHandle ──orders──► queue ──► worker: the pure endpoint ◄──octets──► network: TCP, TLS, WebSocket
//!                                      │  ▲
//!                                      │  └── clerk: a thread that reads, writes and hashes files
//!                                      └────► events, by the callback given at the start
//! ```
//!
//! One [`MsrpEngine`] is one thread with its sockets; it listens at one port for each address and kind of transport, for all
//! sessions of it, from when the first is prepared.
//!
//! ```no_run
//! use msrp::driver::{ChatPlan, MsrpCommand, MsrpEngine, MsrpEvent, MsrpSettings, StreamKey};
//!
//! let engine = MsrpEngine::start(MsrpSettings::default(), |event| {
//!     if let MsrpEvent::Prepared { path, .. } = event {
//!         println!("a=path:{path}");
//!     }
//! })?;
//! let plan = ChatPlan::new([127, 0, 0, 1].into());
//! engine.handle().send(MsrpCommand::Prepare { stream: StreamKey(1), plan })?;
//! # Ok::<(), msrp::driver::MsrpError>(())
//! ```

mod command;
mod files;
mod link;
mod network;
mod opening;
mod relay;
mod relayed;
mod tap;
mod tls;
mod worker;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::LocalSet;

pub use command::{
    Answer, ChatPlan, FileError, IncomingFile, MsrpCommand, MsrpEvent, OutgoingFile, RelayPlan, Remote, StreamKey,
};
pub use files::{FileFacts, Hash, kept};
pub use opening::WebSockets;
pub use relay::{RelayEngine, RelayEngineSettings};
pub use tap::{Tap, Tapped, Way};
pub use tls::{TlsSettings, TlsSetupError, Verification};

use crate::endpoint::{Config, Endpoint, Limits, Timers};
use files::{Clerk, Done};
use network::{Network, NetworkSettings};
use tls::{Clients, Tls};
use worker::{Tell, Worker};

/// Orders that wait.
const QUEUE: usize = 16 * 1024;
/// Orders carried out before sockets have their turn.
const BATCH: usize = 64;
/// For what is still to be written when the engine ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Settings of an engine.
#[derive(Clone, Debug)]
pub struct MsrpSettings {
    /// The first and the last port to listen at; 0: any.
    pub ports: (u16, u16),
    /// Certificates.
    pub tls: TlsSettings,
    /// Whether browsers may connect (RFC 7977).
    pub websockets: WebSockets,
    /// Connections that are accepted at a time.
    pub max_connections: usize,
    /// What a session may cost.
    pub limits: Limits,
    /// How long is waited, and for what.
    pub timers: Timers,
    /// Who watches the octets.
    pub tap: Option<Arc<dyn Tap>>,
}

impl Default for MsrpSettings {
    fn default() -> MsrpSettings {
        MsrpSettings {
            ports: (0, 0),
            tls: TlsSettings::default(),
            websockets: WebSockets::default(),
            max_connections: 20_000,
            limits: Limits::default(),
            timers: Timers::default(),
            tap: None,
        }
    }
}

/// A thread with all its MSRP sessions. Ends when it is dropped: every session is closed.
#[derive(Debug)]
pub struct MsrpEngine {
    handle: MsrpHandle,
    end: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

/// The way to an engine from any thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct MsrpHandle {
    orders: mpsc::Sender<MsrpCommand>,
}

/// Why an order was not taken, or why there is no engine.
#[derive(Debug)]
pub enum MsrpError {
    /// The operating system's: no thread.
    Io(std::io::Error),
    /// The system gives no random numbers, so that no session could be kept secret.
    NoRandomness(getrandom::Error),
    /// Certificates can't be used.
    Tls(TlsSetupError),
    /// More orders than the engine does in time; nothing was taken.
    Busy,
    /// The engine has ended.
    Ended,
}

impl MsrpEngine {
    /// Starts an engine. `on_event` is called on its thread: it must not block.
    pub fn start(
        settings: MsrpSettings,
        on_event: impl Fn(MsrpEvent) + Send + 'static,
    ) -> Result<MsrpEngine, MsrpError> {
        let tls = Tls::new(&settings.tls, Clients::Asked).map_err(MsrpError::Tls)?;
        let seed = getrandom::u64().map_err(MsrpError::NoRandomness)?;
        let (orders, queue) = mpsc::channel(QUEUE);
        let (told, tell) = mpsc::unbounded_channel();
        let clerk = Clerk::start(move |done| drop(told.send(done))).map_err(MsrpError::Io)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(MsrpError::Io)?;
        let end = Arc::new(Notify::new());
        let ending = end.clone();
        let on_event: Tell = Box::new(on_event);
        let run = move || {
            // Secrets come from the system; what it fails to give later is stirred from what it gave.
            let random = move || getrandom::u64().unwrap_or(seed);
            let endpoint =
                Endpoint::new(Config { limits: settings.limits, timers: settings.timers, random: Box::new(random) });
            let network = Network::new(
                Worker::new(endpoint, clerk, on_event),
                NetworkSettings {
                    ports: settings.ports,
                    websockets: settings.websockets,
                    max_connections: settings.max_connections,
                    tls: Rc::new(tls),
                    tap: settings.tap,
                },
            );
            LocalSet::new().block_on(&runtime, serve(network, queue, tell, ending));
        };
        let thread = thread::Builder::new().name("msrp".to_owned()).spawn(run).map_err(MsrpError::Io)?;
        Ok(MsrpEngine { handle: MsrpHandle { orders }, end, thread: Some(thread) })
    }

    /// The way in.
    pub fn handle(&self) -> MsrpHandle {
        self.handle.clone()
    }
}

impl Drop for MsrpEngine {
    fn drop(&mut self) {
        self.end.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the MSRP thread has panicked");
        }
    }
}

impl MsrpHandle {
    /// Gives an order. Never blocks.
    pub fn send(&self, command: MsrpCommand) -> Result<(), MsrpError> {
        self.orders.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => MsrpError::Busy,
            mpsc::error::TrySendError::Closed(_) => MsrpError::Ended,
        })
    }
}

impl fmt::Display for MsrpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MsrpError::Io(error) => write!(f, "no MSRP thread: {error}"),
            MsrpError::NoRandomness(error) => write!(f, "the system gives no random numbers: {error}"),
            MsrpError::Tls(error) => error.fmt(f),
            MsrpError::Busy => f.write_str("the MSRP thread has more orders than it does in time"),
            MsrpError::Ended => f.write_str("the MSRP thread has ended"),
        }
    }
}

impl std::error::Error for MsrpError {}

async fn serve(
    network: Network<Worker>,
    mut orders: mpsc::Receiver<MsrpCommand>,
    mut done: mpsc::UnboundedReceiver<Done>,
    end: Arc<Notify>,
) {
    tokio::task::spawn_local(network.clone().keep_time());
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            count = orders.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    break;
                }
                for command in batch.drain(..) {
                    obey(&network, command);
                }
            }
            Some(done) = done.recv() => network.with(|worker, now| worker.clerk(now, done)),
            () = end.notified() => break,
        }
    }
    network.with(Worker::close_all);
    network.drained(FAREWELL).await;
}

fn obey(network: &Network<Worker>, command: MsrpCommand) {
    let MsrpCommand::Prepare { stream, plan } = command else {
        return network.with(|worker, now| worker.obey(now, command));
    };
    match network.listen(plan.local, plan.goes_by_tls()) {
        Ok(address) => {
            let fingerprint = network.fingerprint();
            network.with(|worker, now| worker.prepare(now, stream, &plan, address, fingerprint));
        }
        Err(error) => {
            let why = format!("nothing can be listened at on {}: {error}", plan.local);
            network.with(|worker, _| worker.failed(stream, why));
        }
    }
}
