//! What a phone can tell of its calls when they are over.

use sip_message::StatusCode;

use super::script::Script;

/// A call of one phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(crate) usize);

/// Which side of the call the phone was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It has called.
    Caller,
    /// It was called.
    Callee,
}

/// How the attempt to call ended, seen from one side. Every attempt has one outcome on each side that it reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The caller had a 2xx; the callee knows that it had.
    Answered,
    /// By this status.
    Rejected(StatusCode),
    /// The caller hung up before he was answered; or he was answered at that very moment, and has hung up at once.
    Cancelled,
    /// The caller had no final response.
    TimedOut,
    /// The caller's INVITE got nowhere.
    Unreachable(StatusCode),
    /// The callee answered, and nobody has acknowledged it within 64·T1.
    Unacknowledged,
    /// The callee could not send an answer.
    Undeliverable,
}

/// How a talk ended, seen from one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// This side hung up.
    HungUp,
    /// The other side hung up.
    PeerHungUp,
    /// The other side knows nothing of the call: 481.
    Gone,
}

/// A talk: the dialog with one of those who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talk {
    /// Our tag.
    pub local_tag: String,
    /// The peer's.
    pub remote_tag: String,
    /// Another fork was first, or the caller had hung up already: it was acknowledged and ended at once.
    pub surplus: bool,
    /// How it ended; `None` while it lasts.
    pub end: Option<End>,
    /// Our re-INVITEs that were answered with a 2xx.
    pub reinvites: u32,
    /// Our re-INVITEs that met one of the peer's (491).
    pub glares: u32,
}

/// All about a call of one phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The Call-ID header, which both sides have.
    pub call_id: String,
    /// Which side we were.
    pub side: Side,
    /// How the attempt ended; `None` while it lasts.
    pub outcome: Option<Outcome>,
    /// Outcomes that came behind the first: there must be none.
    pub contradictions: Vec<Outcome>,
    /// Everybody that was talked to.
    pub talks: Vec<Talk>,
    /// Whether the caller was told that it rings.
    pub rang: bool,
    /// Nobody has acknowledged our rejection (RFC 3261 §17.2.1, Timer H).
    pub no_ack: bool,
    /// What the phone does of its own accord.
    pub(crate) script: Script,
}

impl Record {
    pub(crate) fn new(call_id: &str, side: Side, script: Script) -> Record {
        Record {
            call_id: call_id.to_owned(),
            side,
            outcome: None,
            contradictions: Vec::new(),
            talks: Vec::new(),
            rang: false,
            no_ack: false,
            script,
        }
    }

    /// The talk that is no surplus.
    pub fn talk(&self) -> Option<&Talk> {
        self.talks.iter().find(|talk| !talk.surplus)
    }

    /// Whether somebody is still talked to, or called.
    pub fn lasts(&self) -> bool {
        self.outcome.is_none() || self.talks.iter().any(|talk| talk.end.is_none())
    }

    pub(crate) fn settle(&mut self, outcome: Outcome) {
        match self.outcome {
            None => self.outcome = Some(outcome),
            Some(_) => self.contradictions.push(outcome),
        }
    }
}
