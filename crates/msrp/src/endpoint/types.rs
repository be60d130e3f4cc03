//! What goes into an endpoint and what comes out of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::chunk::{FailureReport, Head};
use crate::uri::{MsrpUri, Path};

/// A transport connection. Those that the endpoint asks for have the highest bit set; those that were accepted are
/// named by whoever accepts them, below that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// The lowest id of a connection that the endpoint asks for.
    pub const FIRST_ASKED_FOR: u64 = 1 << 63;
}

/// A session, named by whoever opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub u64);

/// A Message-ID, RFC 4975 §7.1.1.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub Arc<str>);

impl MessageId {
    /// Out of 128 random bits: nobody repeats it.
    pub fn random(random: &mut dyn FnMut() -> u64) -> MessageId {
        MessageId(format!("{:016x}{:016x}", random(), random()).into())
    }

    /// As on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for MessageId {
    fn from(text: &str) -> MessageId {
        MessageId(text.into())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an endpoint is made with.
pub struct Config {
    /// How much it takes from peers.
    pub limits: Limits,
    /// How long it waits.
    pub timers: Timers,
    /// Where session ids and transaction ids come from: the operating system's randomness, or a test's seed.
    pub random: Box<dyn FnMut() -> u64 + Send>,
}

/// How much is taken from peers before they are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest head of a request or response.
    pub head: usize,
    /// Messages of one session that are being put together at the same time.
    pub messages: usize,
    /// Octets of one session that are being put together, over all its messages.
    pub octets: usize,
    /// Separate spans of one message, where its chunks come out of order.
    pub spans: usize,
    /// Octets that may still come of a message after it was refused; then the connection is closed.
    pub overrun: u64,
    /// Messages that wait for a verdict ([`SessionPlan::asks`]).
    pub verdicts: usize,
    /// Responses and reports that wait to be sent on one connection; a peer that reads none of them is cut off.
    pub replies: usize,
    /// Octets of a streamed message that are asked for ahead of sending.
    pub ahead: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: 16_384,
            messages: 16,
            octets: 32 << 20,
            spans: 64,
            overrun: 16 << 20,
            verdicts: 256,
            replies: 1 << 20,
            ahead: 256 << 10,
        }
    }
}

/// How long is waited, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// For a connection and its first exchange.
    pub bind: Duration,
    /// For a response, from the last octet of a request on (RFC 4975 §7.1.1).
    pub response: Duration,
    /// For a success report, from the last octet of a message or the last sign of its receiver on.
    pub report: Duration,
    /// For the next chunk of a message that has begun.
    pub reassembly: Duration,
    /// Empty requests that keep a connection's session; `None`: none are sent.
    pub keep_alive: Option<Duration>,
}

impl Default for Timers {
    fn default() -> Timers {
        let half_a_minute = Duration::from_secs(30);
        Timers {
            bind: half_a_minute,
            response: half_a_minute,
            report: half_a_minute,
            reassembly: Duration::from_secs(300),
            keep_alive: None,
        }
    }
}

/// What a session is to be, from our side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPlan {
    /// Our host, as peers are to connect to it.
    pub host: Arc<str>,
    /// Our port.
    pub port: u16,
    /// Whether peers are to come by TLS.
    pub is_secure: bool,
    /// Media types that are taken: `text/plain`, `text/*`, `*`. None here takes all.
    pub accept_types: Vec<Arc<str>>,
    /// The longest message that is taken, in octets.
    pub max_message: u64,
    /// Whether incoming messages come in parts as [`SessionEvent::Data`]: files.
    pub streams_incoming: bool,
    /// Whether each incoming message waits for [`super::Endpoint::accept`] before it is answered: a room, a file.
    pub asks: bool,
    /// Whether peers may ask for nicknames (RFC 7701 §7): a room. Elsewhere the method is unknown.
    pub gives_nicknames: bool,
    /// Whether peers may use our URI with another address (RFC 6714, and those who go by the session id alone).
    pub by_session_id_only: bool,
}

impl SessionPlan {
    /// The longest message that is taken in a chat, unless another length is asked for.
    pub const MAX_MESSAGE: u64 = 10 << 20;

    /// A chat that takes everything.
    pub fn chat(host: impl Into<Arc<str>>, port: u16, is_secure: bool) -> SessionPlan {
        SessionPlan {
            host: host.into(),
            port,
            is_secure,
            accept_types: Vec::new(),
            max_message: SessionPlan::MAX_MESSAGE,
            streams_incoming: false,
            asks: false,
            gives_nicknames: false,
            by_session_id_only: false,
        }
    }
}

/// Who connects, RFC 4975 §5.4 and RFC 6135.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We connect, and bind the session with a first request.
    Active,
    /// The peer connects.
    Passive,
}

/// What the peer said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotePlan {
    /// The peer's `path` attribute, whole.
    pub path: Path,
    /// Who connects.
    pub role: Role,
    /// Where to connect instead of the first URI's host and port (RFC 6714).
    pub next_hop: Option<(Arc<str>, u16)>,
    /// What the peer's certificate is known by, as `a=fingerprint` says it. Over TLS a peer that has another one, or shows
    /// none, is not the one that was described (RFC 4975 §14.4).
    pub fingerprint: Option<Arc<str>>,
    /// Our own relays, the first to be visited first (RFC 4976 §5.1 reverses Use-Path for this).
    pub relays: Vec<MsrpUri>,
    /// A connection that is there already: to our relay.
    pub connection: Option<ConnectionId>,
}

impl RemotePlan {
    /// A peer without relays.
    pub fn direct(path: Path, role: Role) -> RemotePlan {
        RemotePlan { path, role, next_hop: None, fingerprint: None, relays: Vec::new(), connection: None }
    }
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// Its id, not used before in the session.
    pub id: MessageId,
    /// Its media type with parameters.
    pub content_type: Arc<str>,
    /// What it says.
    pub content: Content,
    /// Whether the peer is to report that all of it has come.
    pub success_report: bool,
    /// Which failures are to be told.
    pub failure_report: FailureReport,
}

impl OutgoingMessage {
    /// A message whose failure is told, and whose arrival if `success_report`.
    pub fn whole(
        id: MessageId,
        content_type: impl Into<Arc<str>>,
        content: impl Into<Bytes>,
        success_report: bool,
    ) -> Self {
        OutgoingMessage {
            id,
            content_type: content_type.into(),
            content: Content::Whole(content.into()),
            success_report,
            failure_report: FailureReport::Yes,
        }
    }
}

/// Where the octets of an outgoing message come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// They are here.
    Whole(Bytes),
    /// They are asked for by [`SessionEvent::Wanted`] and given by [`super::Endpoint::supply`].
    Streamed {
        /// How many there will be, if that is known.
        size: Option<u64>,
        /// The offset of the first one that will be supplied: not 0 where a transfer goes on.
        from: u64,
    },
}

/// What was decided about an incoming message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken: 200, and a success report if one was asked for.
    Deliver,
    /// It is refused with this code and comment, and no more of it is taken.
    Refuse(u16, Arc<str>),
}

/// Why a command did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// There is no such session, or not any more.
    NoSession,
    /// The session has a message of this id.
    DuplicateId,
    /// The id is empty, too long, or has letters that no id has.
    BadId,
    /// There is no such message, or nothing of the kind is expected of it.
    NoMessage,
    /// There is no such connection.
    NoConnection,
    /// There is a session of this key.
    SessionExists,
    /// The session is with another peer already; a new path asks for a new session.
    BoundElsewhere,
    /// The host is none that a URI could have.
    BadHost,
    /// The media type has letters that no header field may have.
    BadContentType,
}

/// The certificate of a peer that has connected to us. Hashing it is left to whoever has it.
pub trait Certificate: fmt::Debug + Send + Sync {
    /// Whether it is the one that a description knows by this fingerprint (RFC 8122 §5).
    fn matches(&self, fingerprint: &str) -> bool;
}

/// What happened to a connection.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection that was asked for is there.
    Connected {
        /// Which.
        connection: ConnectionId,
    },
    /// A peer has connected.
    Accepted {
        /// The name that whoever accepts gives it, below [`ConnectionId::FIRST_ASKED_FOR`].
        connection: ConnectionId,
        /// Whether it is TLS.
        is_secure: bool,
        /// What it has shown of itself in the handshake, if anything.
        certificate: Option<Arc<dyn Certificate>>,
    },
    /// Octets have come.
    Received {
        /// On which.
        connection: ConnectionId,
        /// The octets.
        bytes: Bytes,
    },
    /// A connection is gone, or could not be made.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// What is known of the reason.
        reason: Arc<str>,
    },
}

/// What is to be done, and what has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open a connection, then say [`Input::Connected`] or [`Input::Closed`].
    Connect {
        /// The name it will have.
        connection: ConnectionId,
        /// A name or an address.
        host: Arc<str>,
        /// The port.
        port: u16,
        /// Whether it has to be TLS.
        is_secure: bool,
        /// By what the peer's certificate is known, where not by its name.
        fingerprint: Option<Arc<str>>,
    },
    /// Close a connection; nothing is to be said about it any more.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// There is something to pull for a connection. Said once, until a pull has taken all.
    Transmit {
        /// Which.
        connection: ConnectionId,
    },
    /// Something has happened in a session.
    Event {
        /// Which.
        key: SessionKey,
        /// What.
        event: SessionEvent,
    },
    /// A response to [`super::Endpoint::request`]; `None` where none has come in time.
    Answered {
        /// On which connection the request was sent.
        connection: ConnectionId,
        /// The number that the request was given.
        request: u64,
        /// The response.
        head: Option<Box<Head>>,
    },
    /// A connection that [`super::Endpoint::connect`] asked for is there, or is gone (with the reason).
    Connection {
        /// Which.
        connection: ConnectionId,
        /// Why it is gone.
        gone: Option<Arc<str>>,
    },
}

/// What happens in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// Both ends know their connection: what is sent goes out from now on.
    Bound,
    /// The session is over. The last of its events.
    Ended {
        /// Why.
        reason: EndReason,
    },
    /// A message has come, whole.
    Message(IncomingMessage),
    /// A part of a message has come ([`SessionPlan::streams_incoming`]). No octet comes twice.
    Data {
        /// Of which message.
        id: MessageId,
        /// Its media type.
        content_type: Arc<str>,
        /// The offset of the part in the message.
        at: u64,
        /// The part.
        bytes: Bytes,
        /// How long the message is, if its sender said so.
        total: Option<u64>,
        /// Whether all of the message is there with this.
        is_last: bool,
    },
    /// The sender of a message gave it up, or no more of it came in time.
    Aborted {
        /// Of which message.
        id: MessageId,
    },
    /// The peer has told how much of a message it has.
    Progress {
        /// Of which message.
        id: MessageId,
        /// How many octets.
        acknowledged: u64,
    },
    /// Octets of a streamed message are wanted: supply some, at most so many.
    Wanted {
        /// Of which message.
        id: MessageId,
        /// The offset of the first one.
        at: u64,
        /// How many at most.
        up_to: usize,
    },
    /// A message has arrived, as far as it was asked for to know.
    Delivered {
        /// Which.
        id: MessageId,
        /// 200.
        code: u16,
        /// The peer's comment.
        reason: Arc<str>,
    },
    /// A message has not arrived, or nobody can tell.
    NotDelivered {
        /// Which.
        id: MessageId,
        /// The peer's code, 408 after silence, 0 where the session ended before.
        code: u16,
        /// The peer's comment, or ours.
        reason: Arc<str>,
    },
    /// The peer asks for a name in a room: [`super::Endpoint::answer_nickname`] is owed.
    Nickname {
        /// What to answer.
        transaction: crate::chunk::TransactionId,
        /// The name; empty to give up the one it has.
        nickname: Arc<str>,
    },
    /// The room has answered.
    NicknameAnswered {
        /// 200, or why not; 408 after silence.
        code: u16,
        /// The comment.
        reason: Arc<str>,
    },
}

/// A message that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingMessage {
    /// Its id, the sender's.
    pub id: MessageId,
    /// Its media type with parameters.
    pub content_type: Arc<str>,
    /// What it says.
    pub content: Bytes,
    /// Whether the sender asked for a success report.
    pub success_report: bool,
    /// Which failures the sender wants to hear of.
    pub failure_report: FailureReport,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// We closed it.
    Closed,
    /// The connection was not made, or is gone.
    ConnectionLost(Arc<str>),
    /// Nobody connected, or answered, in time.
    TimedOut,
    /// The peer knows no such session (481), has it elsewhere (506), or refuses the first request.
    Refused(u16, Arc<str>),
    /// Who connected is not who was expected: the From-Path is not the peer's path.
    WrongPeer,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::Closed => f.write_str("the session was closed"),
            EndReason::ConnectionLost(reason) => write!(f, "the connection is gone: {reason}"),
            EndReason::TimedOut => f.write_str("nobody came or answered in time"),
            EndReason::Refused(code, reason) => write!(f, "the peer refused the session: {code} {reason}"),
            EndReason::WrongPeer => f.write_str("somebody else came than was expected"),
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommandError::NoSession => "there is no such session",
            CommandError::DuplicateId => "the session has a message of this id",
            CommandError::BadId => "the message id is none",
            CommandError::NoMessage => "there is no such message",
            CommandError::NoConnection => "there is no connection",
            CommandError::SessionExists => "there is a session of this key",
            CommandError::BoundElsewhere => "the session is with another peer",
            CommandError::BadHost => "the host is none",
            CommandError::BadContentType => "the media type is none",
        })
    }
}

impl std::error::Error for CommandError {}
