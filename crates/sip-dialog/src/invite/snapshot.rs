//! What of an established session has to be written down: the dialog (RFC 3261 §12), what was agreed (RFC 3264), and the
//! session timer (RFC 4028). What is in progress is not: a transaction does not outlive its process.

use std::time::{Duration, Instant};

use sdp::Agreement;

use super::api::{DialogKey, Policy};
use super::negotiation::Negotiation;
use super::session::{Phase, Session};
use crate::dialog::Dialog;
use crate::session_timer::SessionTimer;

/// An established session as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSnapshot {
    /// Its key within the usage.
    pub key: DialogKey,
    /// The dialog.
    pub dialog: Dialog,
    /// What both sides agreed on, if that is followed and has happened.
    pub agreement: Option<Agreement>,
    /// The session timer, if there is one.
    pub timer: Option<SessionTimerSnapshot>,
    /// Whether the peer takes UPDATE.
    pub peer_allows_update: bool,
    /// The info packages that the peer wants, if it said so.
    pub peer_recv_info: Option<Box<[Box<str>]>>,
}

/// A session timer as plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimerSnapshot {
    /// The interval that the last 2xx set.
    pub interval: Duration,
    /// Whether we refresh.
    pub we_refresh: bool,
}

impl SessionSnapshot {
    pub(crate) fn of(session: &Session) -> Option<SessionSnapshot> {
        if session.phase != Phase::Established {
            return None;
        }
        let interval = session.timer.interval();
        Some(SessionSnapshot {
            key: session.key,
            dialog: session.dialog.clone(),
            agreement: session.negotiation.as_ref().and_then(|negotiation| negotiation.machine().agreement().cloned()),
            timer: interval.map(|interval| SessionTimerSnapshot { interval, we_refresh: session.timer.we_refresh() }),
            peer_allows_update: session.peer.allows_update,
            peer_recv_info: session.peer.recv_info.clone(),
        })
    }

    pub(crate) fn restore(self, now: Instant, policy: &Policy) -> Session {
        let negotiation = policy.offer_answer.then(|| self.agreement.map(Negotiation::resume).unwrap_or_default());
        let mut session = Session::new(self.key, self.dialog, Phase::Established, negotiation);
        session.timer = match self.timer {
            Some(timer) => SessionTimer::resume(now, timer.interval, timer.we_refresh),
            None => SessionTimer::default(),
        };
        session.peer.allows_update = self.peer_allows_update;
        session.peer.recv_info = self.peer_recv_info;
        session
    }
}
