//! What goes into a relay and what comes out of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::endpoint::ConnectionId;
use crate::uri::MsrpUri;

/// Who may use the relay: digest (RFC 4976 §9.1), and what comes after it.
pub trait Authority {
    /// The value of a `WWW-Authenticate`: realm, nonce and qop.
    fn challenge(&mut self, now: Instant) -> String;

    /// Checks the value of an `Authorization`. `uri` is the one of the digest: the rightmost of the To-Path.
    fn check(&mut self, now: Instant, authorization: &str, method: &str, uri: &str) -> Verdict;

    /// Whether a user may send to this next hop. A relay that leads anywhere is a way into whatever network it stands in.
    fn allows(&mut self, _user: &str, _next_hop: &MsrpUri) -> bool {
        true
    }
}

/// What an [`Authority`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This user, proven.
    Accepted {
        /// Who.
        user: Arc<str>,
        /// The value of the `Authentication-Info`, which §9.1 requires.
        info: Option<String>,
    },
    /// Proven, and may not use the relay: 403.
    Forbidden,
    /// Not proven: 401 once more.
    Challenge {
        /// The value of the `WWW-Authenticate`.
        challenge: String,
        /// Only the nonce was old: no failure.
        is_stale: bool,
    },
}

/// What a relay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// §4.2: its name in DNS, as it stands in its URIs.
    pub host: String,
    /// Names and addresses that it answers to as well.
    pub other_names: Vec<String>,
    /// Its port, as it stands in its URIs.
    pub port: u16,
    /// Whether its URIs are `msrps:`.
    pub is_secure: bool,
    /// How long a URI holds if its client does not say.
    pub expires: Duration,
    /// The shortest that a client may ask for.
    pub min_expires: Duration,
    /// The longest.
    pub max_expires: Duration,
    /// §5.4: how long a connection that we opened stays open without any use.
    pub idle: Duration,
    /// How much it takes.
    pub limits: Limits,
}

impl Settings {
    /// A relay by this name at this port.
    pub fn new(host: &str, port: u16, is_secure: bool) -> Settings {
        Settings {
            host: host.to_owned(),
            other_names: Vec::new(),
            port,
            is_secure,
            expires: Duration::from_secs(900),
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3600),
            idle: Duration::from_secs(300),
            limits: Limits::default(),
        }
    }
}

/// How much a relay takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a body that go on in one piece.
    pub piece: usize,
    /// Octets that wait for one connection; when there are more, whoever sends them is not read from.
    pub queue: usize,
    /// Requests on one connection that wait for their response.
    pub pending: usize,
    /// URIs of one connection.
    pub grants: usize,
    /// URIs in all.
    pub all_grants: usize,
    /// Connections to next hops.
    pub next_hops: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { piece: 16 * 1024, queue: 256 * 1024, pending: 4096, grants: 64, all_grants: 100_000, next_hops: 1024 }
    }
}

/// What happens to a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// When somebody has connected.
    Accepted {
        /// Below [`ConnectionId::FIRST_ASKED_FOR`].
        connection: ConnectionId,
    },
    /// When a connection that was asked for is there.
    Connected {
        /// The one of [`Output::Connect`].
        connection: ConnectionId,
    },
    /// When octets have come.
    Received {
        /// By which connection.
        connection: ConnectionId,
        /// Any number of them.
        octets: Bytes,
    },
    /// When a connection is over, or could not be made.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
}

/// What a relay orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect.
    Connect {
        /// Its name from now on.
        connection: ConnectionId,
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
        /// By TLS, and the certificate has to be the host's.
        is_secure: bool,
    },
    /// Close, once what there is to transmit has been.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// There is something to pull: see [`super::Relay::poll_transmit`].
    Transmit {
        /// For which.
        connection: ConnectionId,
    },
    /// There is room again for what comes.
    Read {
        /// By which.
        connection: ConnectionId,
    },
}

/// What a relay has done, and has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Connections now.
    pub connections: usize,
    /// URIs now.
    pub grants: usize,
    /// Requests that went on, each piece of a long one counted.
    pub forwarded: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// REPORTs of failures at the next hop.
    pub reported: u64,
    /// How often there was no room.
    pub blocked: u64,
}
