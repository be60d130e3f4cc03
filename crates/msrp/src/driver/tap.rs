//! Who watches what goes over the connections.

use std::fmt;
use std::net::SocketAddr;

/// Which way octets went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the peer to us.
    In,
    /// From us to the peer.
    Out,
}

/// Octets that went over a connection, in clear: behind TLS and WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct Tapped<'a> {
    /// Which way.
    pub way: Way,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Whether they were encrypted on the wire.
    pub is_secure: bool,
    /// The octets; any part of a chunk, and of several.
    pub octets: &'a [u8],
}

/// A watcher. Called on the engine's thread: it must not block.
pub trait Tap: fmt::Debug + Send + Sync {
    /// These octets went over.
    fn octets(&self, tapped: Tapped<'_>);
}
