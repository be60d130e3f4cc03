//! Watching what the media sockets carry: for a trace of a call that its owner asked for.

use std::fmt;
use std::net::SocketAddr;

use super::StreamKey;

/// Sees every datagram of every stream and the keys of those that are encrypted. Called on the media thread: it must
/// not block. An engine without a tap pays nothing for it.
pub trait Tap: fmt::Debug + Send + Sync {
    /// A datagram has come or goes: RTP, RTCP, STUN or DTLS.
    fn packet(&self, tapped: Tapped<'_>);

    /// A stream has another SRTP key in one direction from now on.
    fn keys(&self, keys: TappedKeys<'_>);
}

/// Which way a datagram takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// From us to the peer.
    Sent,
    /// To us, from the peer or from anybody else.
    Received,
}

/// A datagram as it is on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Tapped<'a> {
    /// Whose.
    pub stream: StreamKey,
    /// Which way.
    pub way: Way,
    /// Our socket's address.
    pub local: SocketAddr,
    /// The other one.
    pub remote: SocketAddr,
    /// The payload of UDP.
    pub octets: &'a [u8],
}

/// An SRTP key (RFC 3711 §8.2).
#[derive(Clone, Copy)]
pub struct TappedKeys<'a> {
    /// Whose.
    pub stream: StreamKey,
    /// Of what we send or of what we receive.
    pub way: Way,
    /// The suite's name as in `a=crypto` (RFC 4568 §6.2).
    pub suite: &'a str,
    /// Master key, then master salt.
    pub key_and_salt: &'a [u8],
}

/// Keys do not belong in logs.
impl fmt::Debug for TappedKeys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TappedKeys").field("stream", &self.stream).field("way", &self.way).finish_non_exhaustive()
    }
}
