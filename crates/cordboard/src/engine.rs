//! The client as a program uses it: an [`Engine`] with its threads, accounts, sessions and their notifications.
//!
//! ```text
//!   Engine, Account, Session ── orders ──► worker: client::Client on a shard of the stack ◄──► sockets (signalling)
//!        ▲                                   │ commands          ▲ events
//!        └──────── notifications ────────────┤                   │
//!                                            ├──► media engine: RTP, devices, files
//!                                            └──► MSRP engine: chat, files
//! ```
//!
//! Nothing of it is global: many engines run in one process.

mod account;
mod bonjour;
mod chat;
mod check;
mod desk;
mod hub;
mod media;
mod notifications;
mod relay;
mod session;
mod worker;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::client::account::AccountId;
use ::client::settings::{AccountSettings, Settings};
use ::client::{ClientError, Data};
use sip_message::Transport;
use sip_stack::StartError;

pub use account::{Account, AccountManager};
pub use notifications::Notifications;
pub use session::{Session, SessionManager};

pub(crate) use check::{check, check_account};
pub(crate) use worker::new_instance;

use bonjour::Neighbourhood;
use desk::Desk;
use sip_endpoint::TransactionUser as _;
use worker::Threads;

/// Why there is no engine, or no longer.
#[derive(Debug)]
pub enum EngineError {
    /// The settings name what can't be.
    Settings(Box<str>),
    /// Signalling did not start: an address is taken, a certificate can't be read.
    Start(StartError),
    /// Media did not start.
    Media(Box<str>),
    /// The system gives no random numbers, so that nothing could be kept secret.
    NoRandomness(getrandom::Error),
    /// A file that was to be sent can't be read.
    File(PathBuf, Box<str>),
    /// No address of this machine can be used.
    NoAddress,
    /// The engine has stopped.
    Stopped,
    /// What was asked can't be had; nothing has changed.
    Client(ClientError),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineError::Settings(why) => f.write_str(why),
            EngineError::Start(error) => error.fmt(f),
            EngineError::Media(why) => write!(f, "media did not start: {why}"),
            EngineError::NoRandomness(error) => write!(f, "the system gives no random numbers: {error}"),
            EngineError::File(path, why) => write!(f, "{}: {why}", path.display()),
            EngineError::NoAddress => f.write_str("no address of this machine can be used"),
            EngineError::Stopped => f.write_str("the engine has stopped"),
            EngineError::Client(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EngineError {}

impl From<ClientError> for EngineError {
    fn from(error: ClientError) -> EngineError {
        EngineError::Client(error)
    }
}

/// A client that runs: its accounts, its sessions, its sockets and threads. Cheap to clone; when the last clone, and the
/// last account and session of it, are gone without [`Engine::stop`], everything ends at once.
#[derive(Clone)]
pub struct Engine {
    desk: Desk,
    threads: Arc<Threads>,
    /// Has everything since the start, for whoever asks first.
    first: Arc<Mutex<Option<Notifications>>>,
    _neighbourhood: Option<Arc<Neighbourhood>>,
}

impl Engine {
    /// Starts with these settings, and without an account but that for calls without a server.
    pub async fn start(settings: Settings) -> Result<Engine, EngineError> {
        Engine::start_with(settings, EngineOptions::default()).await
    }

    /// Starts, with what has no place in settings.
    pub async fn start_with(settings: Settings, options: EngineOptions) -> Result<Engine, EngineError> {
        check(&settings)?;
        let (told, tell) = tokio::sync::oneshot::channel();
        let bonjour = settings.bonjour.enabled;
        // Binding waits for threads; whoever called may be one that must not wait.
        std::thread::spawn(move || {
            let _ = told.send(worker::start(settings, options));
        });
        let (desk, threads) = tell.await.map_err(|_| EngineError::Stopped)??;
        let neighbourhood = if bonjour { Some(Arc::new(Neighbourhood::enter(&desk).await?)) } else { None };
        let first = Arc::new(Mutex::new(Some(desk.hub().notifications())));
        let engine = Engine { desk, threads: Arc::new(threads), first, _neighbourhood: neighbourhood };
        engine.desk.post(Data::EngineDidStart);
        Ok(engine)
    }

    /// The accounts.
    pub fn account_manager(&self) -> AccountManager {
        AccountManager::new(self.clone())
    }

    /// The sessions.
    pub fn session_manager(&self) -> SessionManager {
        SessionManager::new(self.clone())
    }

    /// Adds an account, which registers if its settings say so.
    pub async fn add_account(&self, settings: AccountSettings) -> Result<Account, EngineError> {
        self.account_manager().add(settings).await
    }

    /// The default account: what the settings name, else the first that is enabled, else that for calls without a server.
    pub async fn default_account(&self) -> Result<Account, EngineError> {
        self.account_manager().default_account().await
    }

    /// All notifications from now on; for whoever asks first, all since the start.
    pub fn notifications(&self) -> Notifications {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| self.desk.hub().notifications())
    }

    /// What is bound.
    pub fn listeners(&self) -> &[(Transport, SocketAddr)] {
        self.threads.listeners()
    }

    /// Takes other general settings for what begins from now on; what is bound stays bound.
    pub async fn set_settings(&self, settings: Settings) -> Result<(), EngineError> {
        check(&settings)?;
        self.desk.ask(move |worker, _, _| worker.client.set_settings(settings)).await
    }

    /// Where what sessions send comes from, from now on (`silence`, `tone:440`, `file:…`).
    pub async fn set_input(&self, device: &str) -> Result<(), EngineError> {
        self.threads.media().set_input(device).map_err(EngineError::Media)
    }

    /// Where what is heard goes from now on.
    pub async fn set_output(&self, device: &str) -> Result<(), EngineError> {
        self.threads.media().set_output(device).map_err(EngineError::Media)
    }

    /// Ends all sessions and registrations, waits for both, at most so long, and stops.
    pub async fn stop(self, within: Duration) {
        self.desk.tell(worker::Worker::stop).await;
        let deadline = tokio::time::Instant::now() + within;
        while tokio::time::Instant::now() < deadline {
            match self.desk.ask(|worker, _, _| worker.is_idle()).await {
                Ok(false) => tokio::time::sleep(Duration::from_millis(10)).await,
                Ok(true) | Err(_) => break,
            }
        }
        self.desk.post(Data::EngineDidEnd);
        let threads = self.threads.clone();
        let (told, tell) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            threads.stop();
            let _ = told.send(());
        });
        let _ = tell.await;
    }

    pub(crate) fn account(&self, id: AccountId, name: Arc<str>) -> Account {
        Account::new(self.clone(), id, name)
    }
}

/// What an engine is started with beside its settings.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// What tells this client from others of the same account (RFC 5626 §4.1): `urn:uuid:…`, kept over restarts by whoever
    /// registers. Without it a new one.
    pub instance: Option<String>,
    /// Sees every message that is sent and received.
    pub tap: Option<Arc<dyn sip_stack::Tap>>,
    /// Sees every packet of media that is sent and received, and every key.
    pub media_tap: Option<Arc<dyn ::media::driver::Tap>>,
    /// Sees the octets of every MSRP connection, in clear.
    pub chat_tap: Option<Arc<dyn msrp::driver::Tap>>,
}
