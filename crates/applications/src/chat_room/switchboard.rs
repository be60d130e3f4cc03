//! What carries the messages of a room: the MSRP sessions of its participants (RFC 4975), each an end of ours with one
//! peer. Played in tests; in the program it is the driver of the crate `msrp`.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use sdp::MediaDescription;

use super::room::ParticipantId;

/// Where messages travel. Bound to the container as a resource: `Box<dyn Switchboard>`.
///
/// ```text
///   open ──► Opened ──► connect ──► Connected, Said, Nickname, Settled, … ──► Ended
///      └──────────────────────────────────────────────────────────────┘
/// ```
///
/// Nothing comes of a session after its `Ended`, or after it was closed. Orders for one that is not there do nothing.
pub trait Switchboard {
    /// Opens our end. Leads to [`Happening::Opened`], or [`Happening::Ended`].
    fn open(&self, session: ParticipantId, plan: Plan);

    /// Takes the peer's end: the m-line that it has signalled.
    fn connect(&self, session: ParticipantId, peer: &MediaDescription);

    /// Sends a `message/cpim`, also before anything is connected. Leads to one [`Happening::Settled`], unless the session
    /// ends first.
    fn send(&self, session: ParticipantId, copy: u64, content: Bytes);

    /// Answers a message: with 200, or a code and what it means.
    fn answer(&self, session: ParticipantId, message: &str, verdict: Result<(), (u16, &'static str)>);

    /// Answers a request for a nickname.
    fn answer_nickname(&self, session: ParticipantId, transaction: &str, verdict: Result<(), (u16, &'static str)>);

    /// Ends a session.
    fn close(&self, session: ParticipantId);

    /// The next thing that happens in a session of this worker. Wakes the task of `context` when there is one later.
    fn poll(&self, context: &mut Context<'_>) -> Poll<(ParticipantId, Happening)>;
}

/// How our end of a session is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The address of ours that the peer has reached.
    pub local: IpAddr,
    /// The m-line that the peer has offered; without it, ours is offered.
    pub peer: Option<Box<MediaDescription>>,
    /// The longest message that is taken, in octets.
    pub max_message: usize,
}

/// What happens in a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// Our end is there.
    Opened(Box<Opened>),
    /// The peer is there, at its end.
    Connected,
    /// A message has come, and waits for its answer.
    Said {
        /// Its Message-ID.
        message: Arc<str>,
        /// Its Content-Type.
        content_type: Arc<str>,
        /// All of it.
        content: Bytes,
    },
    /// The peer asks for a nickname (RFC 7701 §7.1), and waits for the answer.
    Nickname {
        /// The request's transaction.
        transaction: Arc<str>,
        /// The nickname, without its quotes; empty: none any more.
        nickname: Arc<str>,
    },
    /// A message of ours has arrived, or never will.
    Settled {
        /// Which.
        copy: u64,
    },
    /// The session is over: the peer never came, the connection is lost, or our end could not be made.
    Ended {
        /// Why, for the log.
        reason: Arc<str>,
    },
}

/// Our end of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The address for the c-line.
    pub address: IpAddr,
    /// The m-line with all that is the transport's: path, setup, fingerprint.
    pub media: MediaDescription,
}
