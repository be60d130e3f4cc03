//! Where to send a request: RFC 3263 over DNS, with RFC 2782 (SRV) and RFC 6157 (two address families).
//! The procedure is [`locate()`], over abstract [`Records`]; [`Resolver`] runs it over the real DNS with a time limit.
//! Trying the next target when one fails (§4.3) is left to whoever makes the transactions.

mod dns;
mod locate;
mod srv;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sip_message::Transport;

pub use dns::Resolver;
pub(crate) use dns::unguessable;
pub use locate::{Naptr, RecordError, Records, locate};
pub use srv::Srv;

/// What to locate: the parts of a URI, or of a Via, that matter to RFC 3263 §4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRequest {
    /// TARGET: the `maddr` parameter or else the host part, a name or an address (with or without brackets).
    pub host: String,
    /// The port that is written there.
    pub port: Option<u16>,
    /// The transport that is written there.
    pub transport: Option<Transport>,
    /// Whether it is a SIPS URI.
    pub secure: bool,
    /// What we can send over.
    pub supported: TransportSet,
    /// The address families that we have sockets for.
    pub families: Families,
}

/// One place to try.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Over what.
    pub transport: Transport,
    /// To which address and port.
    pub addr: SocketAddr,
    /// The domain that a TLS certificate has to name: the one asked for, never one that the DNS gave (RFC 5922 §7.3).
    pub server_name: Option<Arc<str>>,
}

/// A set of transports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportSet(u8);

impl TransportSet {
    /// Whether `transport` is in it.
    pub fn contains(self, transport: Transport) -> bool {
        self.0 & bit(transport) != 0
    }

    /// Adds `transport`.
    pub fn insert(&mut self, transport: Transport) {
        self.0 |= bit(transport);
    }
}

impl FromIterator<Transport> for TransportSet {
    fn from_iter<I: IntoIterator<Item = Transport>>(transports: I) -> Self {
        TransportSet(transports.into_iter().fold(0, |set, t| set | bit(t)))
    }
}

fn bit(transport: Transport) -> u8 {
    match transport {
        Transport::Udp => 1,
        Transport::Tcp => 2,
        Transport::Tls => 4,
        Transport::Ws => 8,
        Transport::Wss => 16,
    }
}

/// Address families, and which comes first where a host has both (RFC 6157 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both in turn, IPv4 first.
    #[default]
    V4First,
    /// Both in turn, IPv6 first.
    V6First,
}

impl Families {
    /// Whether an address is of one of them.
    pub fn contain(self, ip: IpAddr) -> bool {
        match self {
            Families::V4 => ip.is_ipv4(),
            Families::V6 => ip.is_ipv6(),
            Families::V4First | Families::V6First => true,
        }
    }
}

/// How names are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupConfig {
    /// The name servers; `None`: those of `/etc/resolv.conf`.
    pub servers: Option<Vec<SocketAddr>>,
    /// The file of host names; what it names is not asked of the DNS. Default `/etc/hosts`.
    pub hosts: Option<PathBuf>,
    /// For the whole of one lookup. Default 3 s.
    pub timeout: Duration,
    /// Lookups at a time. Default 1,000.
    pub concurrent: usize,
}

impl Default for LookupConfig {
    fn default() -> Self {
        LookupConfig {
            servers: None,
            hosts: Some(PathBuf::from("/etc/hosts")),
            timeout: Duration::from_secs(3),
            concurrent: 1_000,
        }
    }
}

/// Why there is nowhere to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// The name has no address of our families: a definite answer.
    NoSuchHost,
    /// Neither side's transports suit the other, or the URI asks for what is impossible (SIPS over UDP).
    NoCommonTransport,
    /// What was to be looked up is no host name.
    NotAName,
    /// The DNS did not answer in time.
    TimedOut,
    /// The DNS answered that it can't.
    ServerFailure,
    /// No name server is known.
    NoServers,
    /// Too many lookups are under way.
    TooManyLookups,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LookupError::NoSuchHost => "no such host",
            LookupError::NoCommonTransport => "no transport in common",
            LookupError::NotAName => "not a host name",
            LookupError::TimedOut => "the DNS did not answer in time",
            LookupError::ServerFailure => "the DNS failed",
            LookupError::NoServers => "no name server",
            LookupError::TooManyLookups => "too many lookups at a time",
        })
    }
}

impl std::error::Error for LookupError {}
