//! What the transports are told when they are bound. Every limit counts for one shard.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sip_message::{Limits, ListenerId, Transport};

use crate::resolve::LookupConfig;

/// Everything that [`Transports::bind`](crate::Transports::bind) needs to know.
#[derive(Clone, Debug, Default)]
pub struct TransportsConfig {
    /// The sockets to open.
    pub listeners: Vec<ListenerConfig>,
    /// What a message may cost.
    pub limits: Limits,
    /// What a connection may cost.
    pub streams: StreamLimits,
    /// What a UDP socket may cost.
    pub udp: UdpLimits,
    /// How we check, and show, certificates when we connect.
    pub tls_client: TlsClientConfig,
    /// How domains are looked up.
    pub lookup: LookupConfig,
}

/// One socket to open.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Its name in flows and destinations.
    pub id: ListenerId,
    /// Its protocol.
    pub transport: Transport,
    /// The address. Port 0 means any free one, which only makes sense with one shard.
    pub bind: SocketAddr,
    /// The certificate; TLS and WSS need one to be connected to.
    pub tls: Option<TlsConfig>,
    /// Whether others may connect to it. A client without a certificate has a TLS listener that nobody can connect to: it
    /// names our end of the connections that we make.
    pub accepts: bool,
    /// Which web pages may connect (WS and WSS).
    pub origins: Origins,
}

impl ListenerConfig {
    /// A listener without TLS that any Origin may connect to.
    pub fn new(id: ListenerId, transport: Transport, bind: SocketAddr) -> Self {
        ListenerConfig { id, transport, bind, tls: None, accepts: true, origins: Origins::Any }
    }
}

/// The server side of TLS. The files are looked at again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Our certificate chain, PEM, our own certificate first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Whether clients show a certificate (RFC 5922 §7.4).
    pub client_certificate: ClientCertificate,
}

/// What a TLS client has to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificate {
    /// It is not asked.
    #[default]
    NotAsked,
    /// It is asked, and checked if it shows one. Roots: a PEM file.
    Optional(PathBuf),
    /// Without one there is no connection. Roots: a PEM file.
    Required(PathBuf),
}

/// The client side of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsClientConfig {
    /// Whom we trust.
    pub roots: Roots,
    /// Our own certificate chain and key, PEM, for servers that ask.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// How much a server has to prove.
    pub verification: ServerVerification,
}

/// Whom we trust to vouch for a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// The operating system's store.
    #[default]
    System,
    /// The certificates of a PEM file, and no others.
    File(PathBuf),
}

/// How much a server has to prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerVerification {
    /// A chain to a root and the domain asked for (RFC 5922 §7.3).
    #[default]
    Domain,
    /// Nothing: for laboratories. The connection is encrypted to whoever answered.
    None,
}

/// Which web pages may open a WebSocket (RFC 6455 §10.2). A browser always says its page's origin; other programs say
/// what they like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Any, also none.
    #[default]
    Any,
    /// These, compared without regard to case; a client that names none is refused.
    Only(Vec<String>),
}

impl Origins {
    pub(crate) fn allow(&self, origin: Option<&str>) -> bool {
        match (self, origin) {
            (Origins::Any, _) => true,
            (Origins::Only(list), Some(origin)) => list.iter().any(|o| o.eq_ignore_ascii_case(origin)),
            (Origins::Only(_), None) => false,
        }
    }
}

/// What connections may cost one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Accepted connections. Default 20,000.
    pub connections: usize,
    /// Accepted connections from one address. Default 64.
    pub connections_per_address: usize,
    /// Connections that we opened. Default 20,000.
    pub outgoing: usize,
    /// Octets queued for one connection before it is closed. Default 2 MiB.
    pub write_queue: usize,
    /// From the connection to the end of the TLS and WebSocket handshakes, and to the first octet. Default 10 s.
    pub handshake: Duration,
    /// To connect. Default 5 s.
    pub connect: Duration,
    /// From the first octet of a message to the end of its head. Default 10 s.
    pub head: Duration,
    /// From there to the end of the body. Default 30 s.
    pub body: Duration,
    /// Without a single octet from the peer. Default 120 s.
    pub idle: Duration,
    /// With something queued and the peer not taking an octet. Default 20 s.
    pub stalled: Duration,
    /// After this long without an octet from a WebSocket client it is sent a ping. Default 30 s.
    pub websocket_ping: Duration,
    /// How long a connection that we close waits for the peer to take the last octets. Default 1 s.
    pub linger: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        StreamLimits {
            connections: 20_000,
            connections_per_address: 64,
            outgoing: 20_000,
            write_queue: 2 * 1024 * 1024,
            handshake: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(120),
            stalled: Duration::from_secs(20),
            websocket_ping: Duration::from_secs(30),
            linger: Duration::from_secs(1),
        }
    }
}

/// What a UDP socket may cost one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpLimits {
    /// The kernel's receive and send buffers, in octets; as much of it as the system grants. Default 8 MiB.
    pub socket_buffer: usize,
    /// Datagrams that wait for room in the kernel's send buffer. Default 4,096.
    pub backlog: usize,
}

impl Default for UdpLimits {
    fn default() -> Self {
        UdpLimits { socket_buffer: 8 * 1024 * 1024, backlog: 4_096 }
    }
}
