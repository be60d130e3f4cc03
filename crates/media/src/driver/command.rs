//! What the driver is asked, and what it tells.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sdp::{MediaDescription, SessionDescription, StreamAgreement, StreamCapability};

use crate::stream::StreamPlan;

/// A stream, from its preparation to its end. Chosen by the caller, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(pub u64);

/// A session, for which sounds are played to our user. Chosen by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub u64);

/// An order to the media thread.
#[derive(Clone, Debug)]
pub enum MediaCommand {
    /// Make a transport; answered with [`MediaEvent::Prepared`] or [`MediaEvent::Failed`].
    ///
    /// For a stream that runs: the peer has offered anew, as the plan says. Where that begins ICE anew, another
    /// [`MediaEvent::Prepared`] tells with what it is to be answered; otherwise nothing comes.
    Prepare {
        /// The stream.
        stream: StreamKey,
        /// Whose.
        session: SessionKey,
        /// How.
        plan: Box<StreamPlan>,
    },
    /// Run as offer and answer agreed: the first time and after each renegotiation.
    Apply {
        /// The stream.
        stream: StreamKey,
        /// What was agreed.
        agreement: Box<StreamAgreement>,
        /// Our m-line, with the session level's attributes where it has none.
        local: Box<MediaDescription>,
        /// The peer's description.
        remote: Arc<SessionDescription>,
        /// Whether this is only early media (RFC 3960).
        early: bool,
    },
    /// Send a digit as telephone-event, or as tones where the peer takes no events.
    SendDigit {
        /// The stream.
        stream: StreamKey,
        /// One of `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How long it is pressed.
        duration: Duration,
    },
    /// Send silence instead of what the device gives, or no longer.
    Mute {
        /// The stream.
        stream: StreamKey,
        /// Whether.
        muted: bool,
    },
    /// Record what is said by both.
    StartRecording {
        /// The stream.
        stream: StreamKey,
        /// The full path.
        file_name: PathBuf,
    },
    /// Write nothing while this is so, and go on then (hold).
    PauseRecording {
        /// The stream.
        stream: StreamKey,
        /// Whether.
        paused: bool,
    },
    /// Close the file.
    StopRecording {
        /// The stream.
        stream: StreamKey,
    },
    /// Play a file to the peer instead of what the device gives; ends with [`MediaEvent::Played`].
    PlayFile {
        /// The stream.
        stream: StreamKey,
        /// A WAV file.
        file_name: PathBuf,
        /// How often; 0 until it is stopped.
        times: u32,
        /// 0 to 100 (and more: louder than it is), in percent.
        volume: u8,
    },
    /// Play it no further.
    StopFile {
        /// The stream.
        stream: StreamKey,
    },
    /// Send back to the peer what it says, in place of the device's audio; through decoder, bridge and encoder.
    Mirror {
        /// The stream.
        stream: StreamKey,
        /// Whether.
        mirrored: bool,
    },
    /// Let the two hear each other: a conference of several is every pair of them.
    Connect {
        /// One stream.
        one: StreamKey,
        /// Another.
        other: StreamKey,
    },
    /// No longer.
    Disconnect {
        /// One stream.
        one: StreamKey,
        /// Another.
        other: StreamKey,
    },
    /// Take other devices: as in [`AudioOptions`](crate::stream::AudioOptions).
    SetDevices {
        /// The stream.
        stream: StreamKey,
        /// Where what we say comes from.
        input: String,
        /// Where what we hear goes to.
        output: String,
    },
    /// Play a sound to our user, until the next one: ringing, ringback, the beep of an end.
    Play {
        /// For which session.
        session: SessionKey,
        /// Which.
        sound: Sound,
    },
    /// End the stream; its ports are free afterwards, and nothing more comes.
    Close {
        /// The stream.
        stream: StreamKey,
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

/// News of the media thread.
#[derive(Clone, Debug)]
pub enum MediaEvent {
    /// When a transport is there: with this capability the m-line is written.
    Prepared {
        /// The stream.
        stream: StreamKey,
        /// Address, port, protocol, codecs, security and further attributes.
        capability: Box<StreamCapability>,
        /// Attributes of the session level: `ice-lite`, …
        session_attributes: Vec<sdp::Attribute>,
    },
    /// When there is no transport, or no longer.
    Failed {
        /// The stream.
        stream: StreamKey,
        /// Why, in words.
        reason: Arc<str>,
    },
    /// When the first packet of the peer's was taken, and when its source changes.
    Heard {
        /// The stream.
        stream: StreamKey,
        /// From where.
        from: SocketAddr,
    },
    /// When nothing was heard for as long as the settings allow.
    TimedOut {
        /// The stream.
        stream: StreamKey,
    },
    /// When it is settled whether and how the stream is encrypted, and when that changes.
    Encryption {
        /// The stream.
        stream: StreamKey,
        /// `SDES AES_CM_128_HMAC_SHA1_80`, `DTLS AEAD_AES_128_GCM`; nothing when it is plain.
        how: Option<Arc<str>>,
    },
    /// When ICE has chosen another path than the m-lines say: a re-INVITE with it is due from the offerer (RFC 8839).
    PathChosen {
        /// The stream.
        stream: StreamKey,
        /// Ours.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
    },
    /// When the peer has pressed a digit.
    Digit {
        /// The stream.
        stream: StreamKey,
        /// Which.
        digit: char,
    },
    /// When the file is open.
    RecordingStarted {
        /// The stream.
        stream: StreamKey,
    },
    /// When the file is closed.
    RecordingStopped {
        /// The stream.
        stream: StreamKey,
        /// Why, if nobody asked for it.
        error: Option<Arc<str>>,
    },
    /// When a file was played to its end or could not be.
    Played {
        /// The stream.
        stream: StreamKey,
        /// Why it could not be.
        error: Option<Arc<str>>,
    },
    /// When a device is gone or could not be opened; the call goes on with silence in its place.
    DeviceFailed {
        /// The stream, or nothing for the alert device.
        stream: Option<StreamKey>,
        /// The device as it was asked for.
        device: Arc<str>,
        /// Why, in words.
        reason: Arc<str>,
    },
}
