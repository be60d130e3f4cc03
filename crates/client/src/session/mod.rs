//! Sessions: the state machine with its nine states, and what can be asked of one.
//!
//! ```text
//!                       connect                       2xx, ACK
//!              ┌────────────────────► CALLING ─────────────────────┐
//!              │                        │ end, failure             ▼        add_…          any final
//!            NULL                       ▼                     ESTABLISHED ────────► PROPOSING ────┐
//!              │                   TERMINATING ◄── end ──────   ▲   │  ▲                          │
//!              │ INVITE                 │                       │   │  └──────────────────────────┘
//!              └────► INCOMING ── accept ──► ACCEPTING ── ACK ──┘   │  re-INVITE with a new stream
//!                        │              │        │                  ├────────► PROPOSED ──► ESTABLISHED
//!                        │ reject, end  ▼        │ failure          │             accept_…, reject_…
//!                        └──────────► TERMINATED ◄── BYE ───────────┘
//! ```

mod agreement;
mod answering;
mod call;
mod calling;
mod chat;
mod composing;
mod core;
mod digits;
mod early;
mod ending;
mod events;
mod file;
mod hold;
mod incoming;
mod info;
mod loss;
mod media_side;
mod messages;
mod notices;
mod offered;
mod planning;
mod proposal;
mod queue;
mod recording;
mod recording_name;
mod referred;
mod renegotiation;
mod restart;
mod sessions;
mod transfer;
pub(crate) mod work;
mod wrapping;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use sip_message::{NameAddrBuf, Uri};

use crate::account::AccountId;
use crate::media::FileDescription;
use crate::notification::Party;
use crate::streams::Streams;

pub(crate) use self::core::Session;
pub(crate) use calling::Wanted;
pub(crate) use sessions::Sessions;

/// A session of an engine. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A command that takes its time: how it ended is told under this name. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u64);

/// The nine states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing has happened.
    #[default]
    Null,
    /// We call.
    Calling,
    /// We are called.
    Incoming,
    /// We have accepted and wait for the ACK.
    Accepting,
    /// It is up.
    Established,
    /// We propose a stream.
    Proposing,
    /// The peer proposes a stream.
    Proposed,
    /// We are ending it.
    Terminating,
    /// It is over.
    Terminated,
}

impl State {
    /// The reference's name.
    pub fn name(self) -> &'static str {
        match self {
            State::Null => "NULL",
            State::Calling => "CALLING",
            State::Incoming => "INCOMING",
            State::Accepting => "ACCEPTING",
            State::Established => "ESTABLISHED",
            State::Proposing => "PROPOSING",
            State::Proposed => "PROPOSED",
            State::Terminating => "TERMINATING",
            State::Terminated => "TERMINATED",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which side the session began at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallDirection {
    /// The peer called.
    Incoming,
    /// We called.
    Outgoing,
}

/// Where requests are sent: an address, tried in order with others (RFC 3263 §4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The address.
    pub addr: SocketAddr,
    /// The protocol.
    pub transport: sip_message::Transport,
    /// The name that its certificate must have, on TLS.
    pub tls_name: Option<Arc<str>>,
}

/// All that the reference lets one see of a session, as it was at one moment. What has no value is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionInfo {
    /// Which session.
    pub id: SessionId,
    /// The state.
    pub state: State,
    /// The account.
    pub account: AccountId,
    /// Which side it began at; `None` before it has.
    pub direction: Option<CallDirection>,
    /// When it was established.
    pub start_time: Option<SystemTime>,
    /// When it was over.
    pub stop_time: Option<SystemTime>,
    /// Whether we hold.
    pub on_hold_by_local: bool,
    /// Whether the peer holds.
    pub on_hold_by_remote: bool,
    /// What the peer calls itself.
    pub remote_user_agent: Option<Arc<str>>,
    /// Our side's name and address.
    pub local_identity: Option<NameAddrBuf>,
    /// The peer's name and address.
    pub remote_identity: Option<NameAddrBuf>,
    /// The route that answered, of those given to `connect`.
    pub route: Option<Route>,
    /// The Call-ID, for traces.
    pub call_id: Option<Arc<str>>,
    /// What the peer proposes, while it does.
    pub proposed_streams: Streams,
    /// The active streams.
    pub streams: Streams,
    /// Samples per second of the codec.
    pub audio_sample_rate: Option<u32>,
    /// The codec's name.
    pub audio_codec: Option<Arc<str>>,
    /// Whether SRTP is in use.
    pub audio_srtp_active: bool,
    /// How it is encrypted.
    pub audio_encryption: Option<Arc<str>>,
    /// Where we receive.
    pub audio_local_rtp_address: Option<IpAddr>,
    /// Where we receive.
    pub audio_local_rtp_port: Option<u16>,
    /// Where the peer said it receives.
    pub audio_remote_rtp_address_sdp: Option<IpAddr>,
    /// Where the peer said it receives.
    pub audio_remote_rtp_port_sdp: Option<u16>,
    /// Where the peer sends from.
    pub audio_remote_rtp_address_received: Option<IpAddr>,
    /// Where the peer sends from.
    pub audio_remote_rtp_port_received: Option<u16>,
    /// Whether any audio was received.
    pub audio_was_received: bool,
    /// The file that is being recorded to.
    pub audio_recording_file_name: Option<PathBuf>,
    /// Whether our audio is muted.
    pub muted: bool,
    /// Whether the peer is a conference (RFC 4579 `isfocus`).
    pub remote_focus: bool,
    /// The file that the session is for, if it is for one.
    pub file: Option<Arc<FileDescription>>,
}

impl SessionInfo {
    /// Whether either side holds.
    pub fn on_hold(&self) -> bool {
        self.on_hold_by_local || self.on_hold_by_remote
    }

    /// Our address.
    pub fn local_uri(&self) -> Option<Uri<'_>> {
        self.local_identity.as_ref().map(NameAddrBuf::uri)
    }

    /// The peer's address.
    pub fn remote_uri(&self) -> Option<Uri<'_>> {
        self.remote_identity.as_ref().map(NameAddrBuf::uri)
    }

    /// Who called.
    pub fn caller_uri(&self) -> Option<Uri<'_>> {
        match self.direction? {
            CallDirection::Incoming => self.remote_uri(),
            CallDirection::Outgoing => self.local_uri(),
        }
    }

    /// Who was called.
    pub fn callee_uri(&self) -> Option<Uri<'_>> {
        match self.direction? {
            CallDirection::Incoming => self.local_uri(),
            CallDirection::Outgoing => self.remote_uri(),
        }
    }

    /// Whether there is an active audio stream.
    pub fn has_audio(&self) -> bool {
        self.streams.audio
    }

    /// Whether there is an active chat stream: a message is sent at once.
    pub fn has_chat(&self) -> bool {
        self.streams.chat
    }
}

/// Who ended what, where the reference says so.
pub type Originator = Party;
