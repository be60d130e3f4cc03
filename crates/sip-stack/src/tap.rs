//! Listening in: whoever wants to see every message as it goes over the wire, for traces and captures.

use std::fmt;
use std::net::SocketAddr;

use sip_message::Transport;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From us.
    Sent,
    /// To us.
    Received,
}

/// One message on the wire, in clear also where the transport is encrypted.
#[derive(Clone, Copy, Debug)]
pub struct Tapped<'a> {
    /// Which way.
    pub way: Way,
    /// The transport.
    pub transport: Transport,
    /// Our address.
    pub local: SocketAddr,
    /// The other one.
    pub remote: SocketAddr,
    /// The octets; of a received message as we print it.
    pub octets: &'a [u8],
}

/// Sees every message that a stack sends and every one that it receives and can read. Called on a shard's thread, so it
/// must not wait. A stack without a tap pays nothing for it.
pub trait Tap: fmt::Debug + Send + Sync {
    /// A message has come or goes.
    fn message(&self, tapped: Tapped<'_>);
}
