//! What the session logic asks of the media side and what it is told: the seam behind which sockets, codecs and devices
//! are. Whoever drives the client carries [`MediaCommand`]s out and [`MediaEvent`]s in; a test may be the media side.
//!
//! ```text
//!   Prepare ──► Prepared (what the m-line shall say) | Failed
//!   Apply   ──► (the stream runs as agreed)  Heard · Encryption · Digit · Silent · Failed
//!   StartRecording ──► RecordingStarted | RecordingStopped{error}
//!   Close   ──► (nothing more comes)
//!
//!   PrepareChat ──► Prepared | Failed          SendChat    ──► ChatDelivered | ChatNotDelivered, one for each
//!   Apply       ──► ChatBound · ChatGot        SetNickname ──► NicknameAnswered
//!                   FileProgress · FileEnded · Failed (the connection is lost)
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sdp::{MediaDescription, SessionDescription, StreamAgreement, StreamCapability};

use crate::session::SessionId;
use crate::settings::{AudioSettings, AuthSettings, ChatSettings, Encryption, FileTransferSettings, NatTraversal};

/// A stream of a session, from its preparation to its end. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// How an audio stream is to be made.
#[derive(Clone, Debug)]
pub struct AudioPlan {
    /// Codecs, packet time and what else the settings say, the account's over the general.
    pub audio: AudioSettings,
    /// Whether and how it is encrypted.
    pub encryption: Encryption,
    /// ICE and STUN.
    pub nat: NatTraversal,
    /// The address towards the peer's signalling: where the stream shall be bound.
    pub local: std::net::IpAddr,
    /// The peer's part when it is the offerer: session level and its m-line's index.
    pub offer: Option<(Arc<SessionDescription>, usize)>,
}

/// How a stream over MSRP (RFC 4975) is to be made.
#[derive(Clone, Debug)]
pub struct ChatPlan {
    /// Transport, types, limits.
    pub chat: ChatSettings,
    /// Where files go, and how many octets are taken.
    pub file_transfer: FileTransferSettings,
    /// The relay that the stream goes through, if it does (RFC 4976).
    pub relay: Option<ChatRelay>,
    /// The address towards the peer's signalling: where the stream shall be bound.
    pub local: std::net::IpAddr,
    /// The peer's part when it is the offerer: session level and its m-line's index.
    pub offer: Option<(Arc<SessionDescription>, usize)>,
    /// What it is for.
    pub purpose: ChatPurpose,
}

/// A relay, and who uses it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRelay {
    /// `host`, `host:port`, or an MSRP URI.
    pub address: Box<str>,
    /// What it is told when it asks; the name is always there.
    pub auth: AuthSettings,
}

/// What a stream over MSRP is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatPurpose {
    /// Messages to and fro.
    Chat,
    /// A file of ours (RFC 5547). The m-line describes it; it is sent once the stream is bound.
    SendFile {
        /// What the peer is told of it.
        file: Arc<FileDescription>,
        /// Where it is.
        path: PathBuf,
    },
    /// A file of the peer's.
    ReceiveFile {
        /// What the peer says of it.
        file: Arc<FileDescription>,
        /// The folder that it goes to. No file there is ever overwritten.
        folder: PathBuf,
    },
}

/// A file, as its selector says (RFC 5547 §6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileDescription {
    /// Its name without a folder.
    pub name: Arc<str>,
    /// Its media type.
    pub content_type: Option<Arc<str>>,
    /// Its length in octets.
    pub size: Option<u64>,
    /// `sha-1:` and its digest, as octets in hexadecimal with colons between.
    pub hash: Option<Arc<str>>,
    /// `file-transfer-id`: which transfer it is. Empty in what the application gives: it is made then.
    pub transfer_id: Arc<str>,
}

/// A message on a chat stream, as it stands on the wire: wrapped where that is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Its Message-ID. Ours are never used again.
    pub id: Arc<str>,
    /// Its Content-Type.
    pub content_type: Arc<str>,
    /// Its body.
    pub content: Bytes,
    /// Whether its delivery is to be reported (RFC 4975 §7.1.2).
    pub success_report: bool,
    /// Which failures are to be reported.
    pub failure_report: FailureReport,
}

/// Which failures a message is to be reported for (RFC 4975 §7.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureReport {
    /// All, silence among them.
    #[default]
    Yes,
    /// None.
    No,
    /// Those that somebody tells of.
    Partial,
}

/// An order to the media side.
#[derive(Clone, Debug)]
pub enum MediaCommand {
    /// Make a transport; answered with [`MediaEvent::Prepared`] or [`MediaEvent::Failed`].
    Prepare {
        /// The stream.
        stream: StreamId,
        /// Whose.
        session: SessionId,
        /// How.
        plan: Box<AudioPlan>,
    },
    /// Make the stream's end of an MSRP session; answered with [`MediaEvent::Prepared`] or [`MediaEvent::Failed`].
    PrepareChat {
        /// The stream.
        stream: StreamId,
        /// Whose.
        session: SessionId,
        /// How.
        plan: Box<ChatPlan>,
    },
    /// Run as offer and answer agreed: the first time and after each renegotiation.
    Apply {
        /// The stream.
        stream: StreamId,
        /// What was agreed.
        agreement: Box<StreamAgreement>,
        /// Our m-line, with the session level's attributes where it has none.
        local: Box<MediaDescription>,
        /// The peer's description.
        remote: Arc<SessionDescription>,
        /// Whether the agreement stands (an answer came or went), or is only early media (RFC 3960).
        early: bool,
    },
    /// Send a digit as telephone-event, or as tones where the peer takes no events.
    SendDigit {
        /// The stream.
        stream: StreamId,
        /// One of `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How long it is pressed.
        duration: Duration,
    },
    /// Send silence instead of what the device gives, or no longer.
    Mute {
        /// The stream.
        stream: StreamId,
        /// Whether.
        muted: bool,
    },
    /// Record what is said by both.
    StartRecording {
        /// The stream.
        stream: StreamId,
        /// The full path.
        file_name: PathBuf,
    },
    /// Write nothing while this is so, and go on then (hold).
    PauseRecording {
        /// The stream.
        stream: StreamId,
        /// Whether.
        paused: bool,
    },
    /// Close the file.
    StopRecording {
        /// The stream.
        stream: StreamId,
    },
    /// Play a sound to our user: ringing, ringback, the beep of an end.
    Play {
        /// For which session.
        session: SessionId,
        /// Which.
        sound: Sound,
    },
    /// Send a message on a stream that is bound. Its end is told by [`MediaEvent::ChatDelivered`] or
    /// [`MediaEvent::ChatNotDelivered`], even if nobody is to report on it, unless the stream ends before.
    SendChat {
        /// The stream.
        stream: StreamId,
        /// The message.
        message: Box<ChatMessage>,
    },
    /// Ask the room for a nickname (RFC 7701 §7.1); an empty one is none. Answered with [`MediaEvent::NicknameAnswered`],
    /// one for each in their order.
    SetNickname {
        /// The stream.
        stream: StreamId,
        /// Which.
        nickname: Arc<str>,
    },
    /// End the stream; its ports are free afterwards.
    Close {
        /// The stream.
        stream: StreamId,
    },
}

/// A sound for our own user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// Nothing any more.
    Silence,
    /// We are called.
    InboundRing,
    /// The callee is called.
    Ringback,
    /// The session has ended.
    HangUp,
    /// The callee is busy or has rejected.
    Busy,
    /// This digit was pressed.
    Digit(char),
}

/// News of the media side.
#[derive(Clone, Debug)]
pub enum MediaEvent {
    /// When a transport is there: with this capability the m-line is written.
    Prepared {
        /// The stream.
        stream: StreamId,
        /// Address, port, protocol, codecs, security and further attributes.
        capability: Box<StreamCapability>,
        /// Attributes of the session level: fingerprint, `ice-lite`, …
        session_attributes: Vec<sdp::Attribute>,
    },
    /// When there is no transport, or no longer.
    Failed {
        /// The stream.
        stream: StreamId,
        /// Why, in words.
        reason: Arc<str>,
    },
    /// When the first packet of the peer's was taken, and when its source changes.
    Heard {
        /// The stream.
        stream: StreamId,
        /// From where.
        from: SocketAddr,
    },
    /// When nothing was heard for as long as the settings allow.
    TimedOut {
        /// The stream.
        stream: StreamId,
    },
    /// When it is settled whether and how the stream is encrypted, and when that changes.
    Encryption {
        /// The stream.
        stream: StreamId,
        /// `SDES AES_CM_128_HMAC_SHA1_80`, `DTLS AEAD_AES_128_GCM`; nothing when it is plain.
        how: Option<Arc<str>>,
    },
    /// When ICE has chosen another path than the m-lines say: a re-INVITE with it is due from the offerer (RFC 8839).
    PathChosen {
        /// The stream.
        stream: StreamId,
        /// Ours.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
    },
    /// When the peer has pressed a digit.
    Digit {
        /// The stream.
        stream: StreamId,
        /// Which.
        digit: char,
    },
    /// When the MSRP session is bound: messages can be sent and come.
    ChatBound {
        /// The stream.
        stream: StreamId,
    },
    /// When a message has come whole.
    ChatGot {
        /// The stream.
        stream: StreamId,
        /// The message.
        message: Box<ChatMessage>,
    },
    /// When a message of ours has arrived, as far as was asked.
    ChatDelivered {
        /// The stream.
        stream: StreamId,
        /// Its id.
        id: Arc<str>,
        /// The code of the report or response.
        code: u16,
        /// Its phrase.
        reason: Arc<str>,
    },
    /// When a message of ours has not arrived, or nobody says so.
    ChatNotDelivered {
        /// The stream.
        stream: StreamId,
        /// Its id.
        id: Arc<str>,
        /// The code of the report or response; 408 for silence, 0 when the connection is lost.
        code: u16,
        /// Its phrase.
        reason: Arc<str>,
    },
    /// When the room has answered the oldest of our requests for a nickname.
    NicknameAnswered {
        /// The stream.
        stream: StreamId,
        /// The code.
        code: u16,
        /// Its phrase.
        reason: Arc<str>,
    },
    /// When more of a file has come, or was taken by the peer. Not more often than somebody can look at it.
    FileProgress {
        /// The stream.
        stream: StreamId,
        /// So many octets.
        transferred: u64,
        /// Of so many.
        total: Option<u64>,
    },
    /// When a file is there as a whole and its hash is right, or was taken by the peer; or will never be.
    FileEnded {
        /// The stream.
        stream: StreamId,
        /// Where it is.
        file_name: Option<PathBuf>,
        /// Why it is not.
        error: Option<Arc<str>>,
    },
    /// When the file is open.
    RecordingStarted {
        /// The stream.
        stream: StreamId,
    },
    /// When the file is closed.
    RecordingStopped {
        /// The stream.
        stream: StreamId,
        /// Why, if nobody asked for it.
        error: Option<Arc<str>>,
    },
}

/// How a stream is doing; asked for by whoever shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudioStatistics {
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// Packets lost on the way to us.
    pub lost: u64,
    /// Which share of what the peer sent was lost lately, 0 to 1.
    pub loss: f32,
    /// Which share of what we sent the peer has lost lately (its reports), 0 to 1.
    pub remote_loss: Option<f32>,
    /// Interarrival jitter (RFC 3550 §6.4.1).
    pub jitter: Duration,
    /// There and back, if reports tell.
    pub round_trip: Option<Duration>,
    /// How long the jitter buffer holds back what came.
    pub buffered: Duration,
    /// Mean opinion score that the E-model expects, 1 to 4.5.
    pub mos: f32,
    /// How loud the peer is, in dBFS.
    pub level_in: f32,
    /// How loud we are, in dBFS.
    pub level_out: f32,
    /// The codec's name, and its rate in samples per second.
    pub codec: Option<(Arc<str>, u32)>,
}
