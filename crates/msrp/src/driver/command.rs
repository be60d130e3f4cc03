//! What an engine is told, and what it tells.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::files::Hash;
use crate::chunk::TransactionId;
use crate::endpoint::{EndReason, IncomingMessage, MessageId, OutgoingMessage, Verdict};
use crate::relay::client::Challenge;
use crate::uri::{MsrpUri, Path};

/// A stream of whoever gives orders, from its preparation to its end. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(pub u64);

/// How a stream's end of an MSRP session is made.
#[derive(Clone, Debug)]
pub struct ChatPlan {
    /// The address to listen at.
    pub local: IpAddr,
    /// What our URI says instead of that address.
    pub host: Option<Arc<str>>,
    /// Whether it goes over TLS. With a relay the relay's URI says that.
    pub is_secure: bool,
    /// The relay that it goes through; none: peers connect to each other.
    pub relay: Option<RelayPlan>,
    /// Media types that are taken: `text/plain`, `text/*`, `*`; none: all.
    pub accept_types: Vec<Arc<str>>,
    /// The longest message that is taken, in octets.
    pub max_message: u64,
    /// Whether each message waits for [`MsrpCommand::Answer`] before it is answered.
    pub asks: bool,
    /// Whether the peer may ask for a nickname (RFC 7701 §7): a room.
    pub gives_nicknames: bool,
    /// Whether a file comes over it: then its octets are not collected but written.
    pub receives_file: bool,
    /// Whether the session id alone tells that a request is for us (RFC 6714): addresses on the way were changed.
    pub by_session_id: bool,
}

impl ChatPlan {
    /// A chat over TCP at this address.
    pub fn new(local: IpAddr) -> ChatPlan {
        ChatPlan {
            local,
            host: None,
            is_secure: false,
            relay: None,
            accept_types: Vec::new(),
            max_message: 4 * 1024 * 1024,
            asks: false,
            gives_nicknames: false,
            receives_file: false,
            by_session_id: false,
        }
    }

    pub(super) fn goes_by_tls(&self) -> bool {
        self.relay.as_ref().map_or(self.is_secure, |relay| relay.uri.is_secure())
    }
}

/// A relay that lets us in (RFC 4976).
#[derive(Clone)]
pub struct RelayPlan {
    /// The relay, without a session; without a port: 2855.
    pub uri: MsrpUri,
    /// How its challenges are answered.
    pub answer: Answer,
}

/// Gives the value of an `Authorization`, or nothing to whom there is nothing to say. Called on the engine's thread.
pub type Answer = Arc<dyn Fn(Challenge<'_>) -> Option<String> + Send + Sync>;

impl std::fmt::Debug for RelayPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayPlan").field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// The peer's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its path.
    pub path: Path,
    /// Whether we connect (RFC 6135), and do not wait to be connected to.
    pub we_connect: bool,
    /// Where to, if not where the first URI of the path says (RFC 6714).
    pub next_hop: Option<(Arc<str>, u16)>,
    /// The fingerprints of its description.
    pub fingerprints: Vec<Arc<str>>,
}

/// A file that goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingFile {
    /// The Message-ID that it is sent with.
    pub id: MessageId,
    /// Where it is.
    pub path: PathBuf,
    /// Its media type.
    pub content_type: Arc<str>,
    /// The octets that the peer has already.
    pub from: u64,
}

/// A file that comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingFile {
    /// Where it goes. The folder is made if there is none; no file is ever overwritten.
    pub folder: PathBuf,
    /// What it is called there.
    pub name: String,
    /// Its length; what is longer is refused.
    pub size: Option<u64>,
    /// Its hash; what has another one is thrown away.
    pub hash: Option<Hash>,
    /// The octets that we have already ([`kept`](super::kept)).
    pub from: u64,
}

/// An order.
#[derive(Clone, Debug)]
pub enum MsrpCommand {
    /// Make our end; answered with [`MsrpEvent::Prepared`] or [`MsrpEvent::Failed`], as soon as the relay has answered if
    /// there is one.
    Prepare {
        /// The stream.
        stream: StreamKey,
        /// How.
        plan: ChatPlan,
    },
    /// Take up the session with this peer; answered with [`MsrpEvent::Bound`] or [`MsrpEvent::Closed`].
    Apply {
        /// The stream.
        stream: StreamKey,
        /// The peer.
        remote: Remote,
    },
    /// Send a message; answered with exactly one of [`MsrpEvent::Delivered`] and [`MsrpEvent::NotDelivered`].
    Send {
        /// The stream.
        stream: StreamKey,
        /// The message.
        message: OutgoingMessage,
    },
    /// Send a file; answered with one [`MsrpEvent::FileEnded`].
    SendFile {
        /// The stream.
        stream: StreamKey,
        /// The file.
        file: OutgoingFile,
    },
    /// Write what comes to a file; answered with one [`MsrpEvent::FileEnded`]. Before [`MsrpCommand::Apply`].
    ReceiveFile {
        /// The stream.
        stream: StreamKey,
        /// The file.
        file: IncomingFile,
    },
    /// Answer a message, if the plan says that it waits for that.
    Answer {
        /// The stream.
        stream: StreamKey,
        /// The message.
        id: MessageId,
        /// How.
        verdict: Verdict,
    },
    /// Send no more of a message or file.
    Abort {
        /// The stream.
        stream: StreamKey,
        /// Which.
        id: MessageId,
    },
    /// Ask for a nickname (RFC 7701 §7.1).
    Nickname {
        /// The stream.
        stream: StreamKey,
        /// Which; empty: none any more.
        nickname: Arc<str>,
    },
    /// Answer the peer's request for a nickname.
    AnswerNickname {
        /// The stream.
        stream: StreamKey,
        /// Which request.
        transaction: TransactionId,
        /// With what.
        code: u16,
        /// And why.
        reason: Arc<str>,
    },
    /// End the stream. Nothing more is told of it.
    Close {
        /// The stream.
        stream: StreamKey,
    },
}

/// News of a stream.
#[derive(Clone, Debug)]
pub enum MsrpEvent {
    /// When our end is there.
    Prepared {
        /// The stream.
        stream: StreamKey,
        /// Our path, for the description: our relay if there is one, then we.
        path: Path,
        /// Where we listen.
        address: SocketAddr,
        /// The fingerprint of our certificate, with TLS; not with a relay, which shows its own.
        fingerprint: Option<Arc<str>>,
    },
    /// When there is no end of ours.
    Failed {
        /// The stream.
        stream: StreamKey,
        /// Why.
        reason: Arc<str>,
    },
    /// When the session is bound.
    Bound {
        /// The stream.
        stream: StreamKey,
    },
    /// When a message has come whole.
    Got {
        /// The stream.
        stream: StreamKey,
        /// The message.
        message: IncomingMessage,
    },
    /// When a message of ours has arrived, as far as was asked.
    Delivered {
        /// The stream.
        stream: StreamKey,
        /// Which.
        id: MessageId,
        /// The code of the report or response.
        code: u16,
        /// Its phrase.
        reason: Arc<str>,
    },
    /// When a message of ours has not arrived, or nobody says so.
    NotDelivered {
        /// The stream.
        stream: StreamKey,
        /// Which.
        id: MessageId,
        /// The code; 408 for silence, 0 when the connection is lost.
        code: u16,
        /// Its phrase.
        reason: Arc<str>,
    },
    /// When the peer asks for a nickname.
    Nickname {
        /// The stream.
        stream: StreamKey,
        /// Which request.
        transaction: TransactionId,
        /// Which nickname; empty: none any more.
        nickname: Arc<str>,
    },
    /// When our oldest request for a nickname was answered.
    NicknameAnswered {
        /// The stream.
        stream: StreamKey,
        /// The code.
        code: u16,
        /// Its phrase.
        reason: Arc<str>,
    },
    /// When more of a file has come, or was taken by the peer; ten times a second at most.
    FileProgress {
        /// The stream.
        stream: StreamKey,
        /// So many octets, those among them that were there before.
        transferred: u64,
        /// Of so many.
        total: Option<u64>,
    },
    /// When a file is through, or will never be.
    FileEnded {
        /// The stream.
        stream: StreamKey,
        /// Where it is.
        path: Option<PathBuf>,
        /// Why it is not there as a whole.
        error: Option<FileError>,
    },
    /// When the session is over and nobody of ours has asked for it.
    Closed {
        /// The stream.
        stream: StreamKey,
        /// Why.
        reason: EndReason,
    },
}

/// Why a file is not through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// Our disk: it can't be read or written.
    Disk(Arc<str>),
    /// Our disk is full.
    DiskFull,
    /// The peer's: what came has another hash than was announced.
    Hash,
    /// The peer's: more came than was announced.
    TooLong,
    /// The peer has broken it off, or refused it with this code.
    Refused(u16, Arc<str>),
    /// The connection is lost.
    Lost(Arc<str>),
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FileError::Disk(why) => write!(f, "the file: {why}"),
            FileError::DiskFull => f.write_str("the disk is full"),
            FileError::Hash => f.write_str("what came has another hash than was announced"),
            FileError::TooLong => f.write_str("more came than was announced"),
            FileError::Refused(code, reason) => write!(f, "refused: {code} {reason}"),
            FileError::Lost(why) => write!(f, "the connection is lost: {why}"),
        }
    }
}

impl std::error::Error for FileError {}
