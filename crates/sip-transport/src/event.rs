//! What comes out of the transports and what goes in: two closed enums and their parts.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip_message::{Flow, ListenerId, Message, Refusal, Transport};

use crate::resolve::{LookupError, Target};
use crate::tls::TlsError;

/// What the transports report.
#[derive(Debug)]
pub enum TransportEvent {
    /// When a message arrived, or something that was meant to be one.
    /// After a refusal on a stream from which the framer can't recover, the connection closes by itself as soon as the
    /// answer is flushed.
    Received {
        /// The way it came.
        flow: Flow,
        /// The message, or why it is none.
        received: Result<Message, Refusal>,
        /// When the octets were read.
        at: Instant,
    },
    /// When a connection is ready: accepted or connected, and all handshakes done.
    Opened {
        /// The way that it gives.
        flow: Flow,
        /// Who opened it.
        by: OpenedBy,
        /// The SIP domains that the peer's verified certificate names (RFC 5922 §7.1).
        identities: Vec<Arc<str>>,
    },
    /// When a connection is gone, whether it had opened or not. Nothing more comes from it.
    Closed {
        /// The way that is no more.
        flow: Flow,
        /// Why.
        reason: CloseReason,
    },
    /// When a peer kept a way alive or answered us doing so (RFC 5626 §3.5).
    KeepAlive {
        /// The way.
        flow: Flow,
        /// Which of the two.
        kind: KeepAlive,
    },
    /// When something could not be sent, and its sender wanted to know.
    SendFailed {
        /// The sender's name for it.
        token: u64,
        /// Why.
        reason: SendError,
    },
    /// When a lookup is done.
    Resolved {
        /// The asker's name for it.
        id: u64,
        /// Where to send to, best first; or why that is not known.
        result: Result<Vec<Target>, LookupError>,
    },
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenedBy {
    /// We, to send something.
    Us,
    /// The peer.
    Peer,
}

/// What a keep-alive was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// The peer asked, and has been answered where the protocol has an answer.
    Ping,
    /// The peer answered ours.
    Pong {
        /// Our address as the peer sees it; STUN tells (RFC 5389), line ends do not.
        mapped: Option<SocketAddr>,
    },
}

/// Why a connection closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed it in order.
    ByPeer,
    /// [`Transports::close`](crate::Transports::close) was called, or the transports ended.
    ByUs,
    /// The peer sent what the framer or the WebSocket protocol can't recover from.
    Unintelligible,
    /// The TLS or WebSocket handshake, or the first message, did not come in time.
    HandshakeTooSlow,
    /// A message's head did not end in time.
    HeadTooSlow,
    /// A message's body did not end in time.
    BodyTooSlow,
    /// Nothing came for the idle time.
    Idle,
    /// The peer did not take what was queued: too many octets, or for too long.
    WriteOverflow,
    /// There was no connection in the first place.
    ConnectFailed(SendError),
    /// TLS failed.
    Tls(TlsError),
    /// The WebSocket handshake was refused with this HTTP status, or something spoke HTTP to a SIP port.
    Http(u16),
    /// The socket failed.
    Io(io::ErrorKind),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::ByPeer => f.write_str("closed by the peer"),
            CloseReason::ByUs => f.write_str("closed by us"),
            CloseReason::Unintelligible => f.write_str("the peer is unintelligible"),
            CloseReason::HandshakeTooSlow => f.write_str("no first message in time"),
            CloseReason::HeadTooSlow => f.write_str("a message's head did not end in time"),
            CloseReason::BodyTooSlow => f.write_str("a message's body did not end in time"),
            CloseReason::Idle => f.write_str("idle"),
            CloseReason::WriteOverflow => f.write_str("the peer does not take what is sent"),
            CloseReason::ConnectFailed(reason) => write!(f, "no connection: {reason}"),
            CloseReason::Tls(error) => write!(f, "TLS: {error}"),
            CloseReason::Http(status) => write!(f, "answered HTTP with {status}"),
            CloseReason::Io(kind) => write!(f, "socket: {kind}"),
        }
    }
}

/// Why something was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// There is no such listener, or it is of another protocol or address family. The caller's fault.
    NoSuchListener,
    /// This protocol can't be connected to from here (RFC 7118 has browsers connect to us). The caller's fault.
    NotConnectable(Transport),
    /// The flow's connection is gone (RFC 3261 §18.2.2 says what a server does then).
    NoConnection,
    /// The connection closed before the octets left.
    Closed(Box<CloseReason>),
    /// Too much is queued already.
    QueueFull,
    /// The datagram is longer than one can be. The caller's fault.
    TooLong,
    /// The peer's host says that nobody listens.
    Refused,
    /// The network has no way there.
    Unreachable,
    /// The connection was not made in time.
    TimedOut,
    /// Our end has no certificate to check the peer's against, no descriptor, or too many connections.
    Local(LocalError),
    /// The socket failed otherwise.
    Io(io::ErrorKind),
}

/// What is wrong at our end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalError {
    /// As many connections as allowed are open.
    ConnectionLimit,
    /// No roots to check a server's certificate with, or our own certificate can't be read.
    TlsNotConfigured,
    /// The target needs TLS and does not say which domain its certificate is for.
    NoServerName,
    /// The operating system gave no socket.
    NoSocket,
}

impl SendError {
    pub(crate) fn of(error: &io::Error) -> SendError {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => SendError::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
                SendError::Unreachable
            }
            io::ErrorKind::TimedOut => SendError::TimedOut,
            _ if error.raw_os_error() == Some(libc::EMSGSIZE) => SendError::TooLong,
            kind => SendError::Io(kind),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::NoSuchListener => f.write_str("no listener for this destination"),
            SendError::NotConnectable(transport) => write!(f, "no outgoing {transport}"),
            SendError::NoConnection => f.write_str("the flow is gone"),
            SendError::Closed(reason) => write!(f, "the connection closed: {reason}"),
            SendError::QueueFull => f.write_str("too much is queued"),
            SendError::TooLong => f.write_str("too long for a datagram"),
            SendError::Refused => f.write_str("connection refused"),
            SendError::Unreachable => f.write_str("unreachable"),
            SendError::TimedOut => f.write_str("timed out"),
            SendError::Local(LocalError::ConnectionLimit) => f.write_str("connection limit"),
            SendError::Local(LocalError::TlsNotConfigured) => f.write_str("TLS is not configured"),
            SendError::Local(LocalError::NoServerName) => f.write_str("no domain to check"),
            SendError::Local(LocalError::NoSocket) => f.write_str("no socket"),
            SendError::Io(kind) => write!(f, "socket: {kind}"),
        }
    }
}

impl std::error::Error for SendError {}

/// Something to send.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Where to.
    pub to: Destination,
    /// One whole message.
    pub bytes: Bytes,
    /// The sender's name for it in [`TransportEvent::SendFailed`]; 0: don't tell.
    pub token: u64,
}

/// Where to send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The way that something came on. A closed connection is not opened again.
    Flow(Flow),
    /// An address; over the connection that is open to it for the same domain, or a new one.
    Target {
        /// From which of our listeners: its socket (UDP) or its address (streams).
        listener: ListenerId,
        /// To whom.
        target: Target,
    },
}
