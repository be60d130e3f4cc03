//! `cordboard serve`: the shards with a container on each, until a signal ends it.

mod mirrors;
mod relay;
mod rooms;
mod router_file;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use container::{Clock, Report, Resources};
use servlet::SipApplicationRouter;
use sip_message::{Limits, ListenerId, Transport};
use sip_stack::{EndpointConfig, Stack, StackConfig, StartError};
use sip_transport::{
    ClientCertificate, ListenerConfig, Origins, Roots, StreamLimits, TlsClientConfig, TransportsConfig,
};

use crate::builder::MakeResources;
use crate::config::{Config, ConfigError};
use crate::hosting::{Hosting, Keys};
use crate::operations::{Operations, Watched};
use crate::worker::{Control, Worker};
use rooms::{Rooms, RoomsSettings};
use router_file::RouterFile;

/// Why serving ended, other than by a signal.
#[derive(Debug)]
pub enum ServeError {
    /// The configuration names what is not there.
    Configuration(ConfigError),
    /// The shards did not start.
    Start(StartError),
    /// The MSRP relay did not start.
    MsrpRelay(msrp::driver::MsrpError),
    /// Operations can't be served where the configuration says.
    Operations(std::io::Error),
    /// The system gives no random numbers, so that nothing could be kept secret.
    NoRandomness(getrandom::Error),
    /// Signals can't be waited for.
    Signals(std::io::Error),
    /// A shard has ended by itself.
    ShardEnded,
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Configuration(error) => error.fmt(f),
            ServeError::Start(error) => error.fmt(f),
            ServeError::MsrpRelay(error) => write!(f, "the MSRP relay did not start: {error}"),
            ServeError::Operations(error) => write!(f, "operations can't be served: {error}"),
            ServeError::NoRandomness(error) => write!(f, "the system gives no random numbers: {error}"),
            ServeError::Signals(error) => write!(f, "signals can't be waited for: {error}"),
            ServeError::ShardEnded => f.write_str("a shard has ended; its log says why"),
        }
    }
}

impl std::error::Error for ServeError {}

/// Serves until SIGTERM or SIGINT, then drains. Says what is bound, and `ready` when all is.
pub fn run(config: &Config, say: impl Fn(&str)) -> Result<(), ServeError> {
    let server = Server::start(config)?;
    for (transport, addr) in server.listeners() {
        say(&format!("listening on {}:{addr}", transport.via_token().to_ascii_lowercase()));
    }
    if let Some(addr) = server.msrp_relay() {
        say(&format!("MSRP relay on {addr}"));
    }
    if let Some(addr) = server.operations() {
        say(&format!("operations at http://{addr}"));
    }
    if let Some(hint) = hint(config, server.listeners()) {
        say(&hint);
    }
    run_until_signal(server, config, say)
}

fn run_until_signal(server: Server, config: &Config, say: impl Fn(&str)) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Signals)?;
    // Whoever has read `ready` may signal at once.
    let mut signals = runtime.block_on(async { Signals::new() }).map_err(ServeError::Signals)?;
    let mut router_file = RouterFile::of(config, &server.hosting);
    say("ready");
    runtime.block_on(async {
        loop {
            tokio::select! {
                () = signals.next() => return,
                () = tokio::time::sleep(RouterFile::PERIOD), if router_file.is_some() => {
                    if let Some(file) = &mut router_file {
                        file.look(&server.hosting, &server.control);
                    }
                }
            }
        }
    });
    let within = config.drain();
    tracing::info!(seconds = within.as_secs(), "leaving: no new calls; calls that are up may end");
    server.drain(within);
    let ended = std::thread::spawn(move || server.join());
    // A second signal does not wait.
    runtime.block_on(async {
        while !ended.is_finished() {
            tokio::select! {
                () = signals.next() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
        ended.join().unwrap_or(Err(ServeError::ShardEnded))
    })
}

/// A server in this process; dropping it stops it.
pub struct Server {
    stack: Stack,
    hosting: Arc<Hosting>,
    control: Control,
    operations: Option<Operations>,
    msrp_relay: Option<msrp::driver::RelayEngine>,
}

impl Server {
    /// Binds everything and serves the shipped applications.
    pub fn start(config: &Config) -> Result<Server, ServeError> {
        let keys = Keys::random().map_err(ServeError::NoRandomness)?;
        let hosting = Hosting::shipped(config, &keys, shards(config)).map_err(ServeError::Configuration)?;
        Server::host(config, hosting, None)
    }

    /// Binds everything and serves these applications.
    pub(crate) fn host(
        config: &Config,
        mut hosting: Hosting,
        resources: Option<MakeResources>,
    ) -> Result<Server, ServeError> {
        let shards = shards(config);
        hosting.open_files().map_err(ServeError::Configuration)?;
        let hosting = Arc::new(hosting);
        let (control, ends) = Control::new(shards);
        let stack = StackConfig {
            transports: transports_config(config, shards),
            endpoint: EndpointConfig {
                public_host: config.public_host.clone(),
                seed: getrandom::u64().map_err(ServeError::NoRandomness)?,
                datagram_limit: 1_300,
                max_pending: config.limits.pending,
                timers: sip_endpoint::Timers::default(),
                product: concat!("Cordboard/", env!("CARGO_PKG_VERSION")).into(),
            },
            shards,
            tap: None,
        };
        let hosted = hosting.clone();
        let rooms = rooms(config, shards);
        let stack = Stack::start(stack, move |index| {
            let now = Instant::now();
            let clock = Clock::new(now, SystemTime::now());
            let resources = resources.as_ref().map_or_else(Resources::default, |make| make(index));
            let shard =
                hosted.shard(index, now, clock, resources.with(mirrors::resource()).with(rooms.resource(index)));
            // What can be wrong with a deployment was found before.
            let shard = shard.expect("the applications were checked when they were chosen");
            Worker::new(shard.container, index, &ends)
        });
        let stack = stack.map_err(ServeError::Start)?;
        let watched = Watched::new(hosting.clone(), control.clone(), stack.counters().to_vec());
        let operations = config.operations.listen.map(|listen| Operations::start(listen, watched));
        let operations = operations.transpose().map_err(ServeError::Operations)?;
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(ServeError::NoRandomness)?;
        let msrp_relay = relay::start(config, key).map_err(ServeError::MsrpRelay)?;
        Ok(Server { stack, hosting, control, operations, msrp_relay })
    }

    /// What is bound, in the order of the configuration.
    pub fn listeners(&self) -> &[(Transport, SocketAddr)] {
        self.stack.listeners()
    }

    /// Where the MSRP relay listens, if there is one.
    pub fn msrp_relay(&self) -> Option<SocketAddr> {
        self.msrp_relay.as_ref().map(msrp::driver::RelayEngine::address)
    }

    /// Where `/metrics` and the like are served, if they are.
    pub fn operations(&self) -> Option<SocketAddr> {
        self.operations.as_ref().map(Operations::addr)
    }

    /// What is counted of each application.
    pub fn report(&self) -> Report {
        self.hosting.report()
    }

    /// Stops an application: it takes no initial requests any more, and its sessions go on to their end. `false` when
    /// there is none of this name.
    pub fn stop_application(&self, name: &str) -> bool {
        let known = self.hosting.applications().any(|application| application == name);
        if known {
            self.control.stop(name);
        }
        known
    }

    /// Takes another application router for requests that come from now on.
    pub fn set_router(&self, router: Arc<dyn SipApplicationRouter>) {
        self.control.route(&router);
    }

    /// Takes no new calls, and ends when there are none, or after this time.
    pub fn drain(&self, within: Duration) {
        if let Some(operations) = &self.operations {
            operations.draining();
        }
        self.stack.drain(within);
    }

    /// Waits until a drained server has ended. Not to be called from asynchronous code.
    pub fn join(self) -> Result<(), ServeError> {
        self.stack.join().map_err(|_| ServeError::ShardEnded)
    }

    /// Serves until SIGTERM or SIGINT, then drains.
    pub fn run(self, config: &Config) -> Result<(), ServeError> {
        run_until_signal(self, config, |_| {})
    }
}

/// One shard a processor, unless the configuration says how many.
pub(crate) fn shards(config: &Config) -> u16 {
    match config.workers {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(64) as u16),
        workers => workers,
    }
}

/// What a newcomer can try next.
fn hint(config: &Config, listeners: &[(Transport, SocketAddr)]) -> Option<String> {
    let (_, addr) = listeners.iter().find(|(transport, _)| !transport.is_secure())?;
    let applications = &config.applications;
    let mut more = Vec::new();
    if config.echo && applications.echo.enabled {
        more.push(format!("call sip:{}@{addr} and hear yourself", applications.echo.user));
    }
    if applications.chat_room.enabled {
        more.push(format!("chat at sip:{}@{addr}", applications.chat_room.user));
    }
    let more: String = more.iter().map(|step| format!("; {step}")).collect();
    Some(format!("try: point a phone at {addr} as sip:alice@{}, any password{more}", addr.ip()))
        .filter(|_| config.user.is_empty() && config.registrar.authenticate != Some(true))
        .or_else(|| Some(format!("try: register one of the [[user]]s at {addr}{more}")))
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn transports_config(config: &Config, shards: u16) -> TransportsConfig {
    let limits = &config.limits;
    TransportsConfig {
        listeners: config
            .listen
            .iter()
            .zip(0..)
            .map(|(address, id)| ListenerConfig {
                tls: address.transport.is_secure().then(|| server_tls(config)).flatten(),
                origins: match config.websocket.origins.as_slice() {
                    [] => Origins::Any,
                    origins => Origins::Only(origins.to_vec()),
                },
                ..ListenerConfig::new(ListenerId(id), address.transport, address.addr)
            })
            .collect(),
        limits: Limits {
            message: limits.message,
            headers: limits.headers,
            line: limits.line,
            uri: limits.uri,
            body: limits.body,
            ..Limits::default()
        },
        streams: StreamLimits {
            // Each shard counts its own.
            connections: limits.connections.div_ceil(usize::from(shards)),
            connections_per_address: limits.connections_per_address,
            idle: Duration::from_secs(limits.idle_seconds),
            ..StreamLimits::default()
        },
        tls_client: TlsClientConfig {
            roots: config.tls.ca.clone().map_or(Roots::System, Roots::File),
            identity: config.tls.certificate.clone().zip(config.tls.key.clone()),
            ..TlsClientConfig::default()
        },
        ..TransportsConfig::default()
    }
}

/// Where chat rooms are reached.
fn rooms(config: &Config, shards: u16) -> Rooms {
    let section = &config.applications.chat_room;
    let identity = config.tls.certificate.clone().zip(config.tls.key.clone());
    let settings = RoomsSettings {
        ports: (section.first_port, section.last_port),
        max_message: section.max_octets,
        host: config.public_host.clone(),
        tls: msrp::driver::TlsSettings { identity, authorities: config.tls.ca.clone(), ..Default::default() },
    };
    Rooms::new(settings, shards)
}

fn server_tls(config: &Config) -> Option<sip_transport::TlsConfig> {
    let tls = &config.tls;
    Some(sip_transport::TlsConfig {
        certificate: tls.certificate.clone()?,
        key: tls.key.clone()?,
        client_certificate: match (&tls.ca, tls.require_client_certificate) {
            (Some(ca), true) => ClientCertificate::Required(ca.clone()),
            _ => ClientCertificate::NotAsked,
        },
    })
}
