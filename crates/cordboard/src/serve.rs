//! `cordboard serve`: the shards with the built-in services on them, until a signal ends it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use sip_dialog::digest::Algorithm;
use sip_message::{Limits, ListenerId, Transport};
use sip_stack::{EndpointConfig, Stack, StackConfig, StartError};
use sip_transport::{
    ClientCertificate, ListenerConfig, Origins, Roots, StreamLimits, TlsClientConfig, TransportsConfig,
};

use crate::config::{Config, Relay};
use crate::services::echo::Echo;
use crate::services::{self, Secret, Services, ServicesConfig, UserSecret, WallClock};

/// Why serving ended, other than by a signal.
#[derive(Debug)]
pub enum ServeError {
    /// The shards did not start.
    Start(StartError),
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
            ServeError::Start(error) => error.fmt(f),
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
    if let Some(hint) = hint(config, server.listeners()) {
        say(&hint);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Signals)?;
    // Whoever has read `ready` may signal at once.
    let mut signals = runtime.block_on(async { Signals::new() }).map_err(ServeError::Signals)?;
    say("ready");
    runtime.block_on(signals.next());
    let within = config.drain();
    tracing::info!(seconds = within.as_secs(), "leaving: no new calls; calls that are up may end");
    server.stack.drain(within);
    let ended = std::thread::spawn(move || server.stack.join());
    // A second signal does not wait.
    runtime.block_on(async {
        while !ended.is_finished() {
            tokio::select! {
                () = signals.next() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
        ended.join().ok().and_then(Result::ok).ok_or(ServeError::ShardEnded)
    })
}

/// A server in this process; dropping it stops it.
pub struct Server {
    stack: Stack,
}

impl Server {
    /// Binds everything and serves.
    pub fn start(config: &Config) -> Result<Server, ServeError> {
        let shards = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(64) as u16),
            workers => workers,
        };
        let services = std::sync::Arc::new(services_config(config, shards)?);
        let stack = StackConfig {
            transports: transports_config(config, shards),
            endpoint: EndpointConfig {
                public_host: config.public_host.clone(),
                seed: random()?,
                datagram_limit: 1_300,
                max_pending: config.limits.pending,
                timers: sip_endpoint::Timers::default(),
                product: concat!("Cordboard/", env!("CARGO_PKG_VERSION")).into(),
            },
            shards,
        };
        let stack = Stack::start(stack, move |_| Services::new(services.clone()).with_echo(echo()))
            .map_err(ServeError::Start)?;
        Ok(Server { stack })
    }

    /// What is bound, in the order of the configuration.
    pub fn listeners(&self) -> &[(Transport, SocketAddr)] {
        self.stack.listeners()
    }
}

/// How many echo calls one shard takes.
const MIRRORS: usize = 1_000;

fn echo() -> Box<Echo> {
    Box::new(Echo::new(Box::new(SocketMirrors(media::Mirrors::new(MIRRORS)))))
}

/// The echo user agent's media, from real sockets.
struct SocketMirrors(media::Mirrors);

struct SocketMirror(media::Mirror);

impl services::echo::Mirrors for SocketMirrors {
    fn open(&mut self, local: IpAddr, peer: Option<IpAddr>) -> Option<Box<dyn services::echo::Mirror>> {
        match self.0.open(local, peer) {
            Ok(mirror) => Some(Box::new(SocketMirror(mirror))),
            Err(error) => {
                tracing::warn!(%error, "an echo call is refused");
                None
            }
        }
    }
}

impl services::echo::Mirror for SocketMirror {
    fn addr(&self) -> SocketAddr {
        self.0.addr()
    }
}

/// What a newcomer can try next.
fn hint(config: &Config, listeners: &[(Transport, SocketAddr)]) -> Option<String> {
    let (_, addr) = listeners.iter().find(|(transport, _)| !transport.is_secure())?;
    let echo = if config.echo { format!(", or call sip:echo@{addr} and hear yourself") } else { String::new() };
    Some(format!("try: point a phone at {addr} as sip:alice@{}, any password{echo}", addr.ip()))
        .filter(|_| config.user.is_empty() && config.registrar.authenticate != Some(true))
        .or_else(|| Some(format!("try: register one of the [[user]]s at {addr}{echo}")))
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

fn random() -> Result<u64, ServeError> {
    getrandom::u64().map_err(ServeError::NoRandomness)
}

fn services_config(config: &Config, shards: u16) -> Result<ServicesConfig, ServeError> {
    let mut services = ServicesConfig {
        domains: config.domains.iter().map(|domain| domain.as_str().into()).collect(),
        echo: config.echo,
        secret: Secret([random()?, random()?]),
        clock: SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(WallClock::unknown(), |since| WallClock::new(Instant::now(), since.as_secs())),
        shared: shards > 1,
        ..ServicesConfig::default()
    };
    for user in &config.user {
        services.users.insert(&user.name, UserSecret::Password(user.password.as_str().into()));
    }
    let registrar = &config.registrar;
    services.algorithms = registrar.algorithms.iter().filter_map(|name| Algorithm::parse(name)).collect();
    services.registrar = services::RegistrarConfig {
        authenticate: registrar.authenticate.unwrap_or(!config.user.is_empty()),
        min_expires: Duration::from_secs(registrar.min_expires.into()),
        max_expires: Duration::from_secs(registrar.max_expires.into()),
        default_expires: Duration::from_secs(registrar.default_expires.into()),
        max_bindings: registrar.max_contacts,
        max_total: registrar.max_bindings,
        ..services.registrar
    };
    services.proxy = services::ProxyConfig {
        relay: match config.proxy.relay {
            Relay::None => services::Relay::None,
            Relay::Any => services::Relay::Any,
        },
        record_route: config.proxy.record_route,
        recurse: config.proxy.recurse,
        authenticate: config.proxy.authenticate,
        timer_c: Duration::from_secs(config.proxy.ring_seconds),
        ..services.proxy
    };
    Ok(services)
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
