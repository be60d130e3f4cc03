//! What the session logic asks of the media side and what it is told: the seam behind which sockets, codecs and devices
//! are. Whoever drives the client carries [`MediaCommand`]s out and [`MediaEvent`]s in; a test may be the media side.
//!
//! ```text
//!   Prepare ──► Prepared (what the m-line shall say) | Failed
//!   Apply   ──► (the stream runs as agreed)  Heard · Encryption · Digit · Silent · Failed
//!   StartRecording ──► RecordingStarted | RecordingStopped{error}
//!   Close   ──► (nothing more comes)
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sdp::{MediaDescription, SessionDescription, StreamAgreement, StreamCapability};

use crate::session::SessionId;
use crate::settings::{AudioSettings, Encryption, NatTraversal};

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
