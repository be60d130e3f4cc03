//! The three-way handshake of INVITE above the transactions: RFC 3261 §13.3.1.4 (the 2xx is repeated until its ACK comes)
//! and §13.2.2.4 (the ACK is repeated for each repetition of the 2xx). What the UAS does when no ACK comes, and what an
//! ACK has in it, is left to the owner.
//!
//! ```text
//!   UAS: 2xx sent at 0, T1, 3·T1, 7·T1 … (the interval doubles up to T2)   ACK: silence    64·T1 without ACK: give up
//!   UAC: ACK sent, and again for each 2xx with its CSeq                                    64·T1: forgotten
//! ```

use std::time::Instant;

use sip_message::{Request, Response};
use sip_transaction::Timers;

use super::{Due, Repetition, Schedule};

/// The 2xx responses of one dialog whose ACK has not come: that of the initial INVITE, and of re-INVITEs.
///
/// `M` is what the owner needs to send one again: the response, or the octets and the way they took.
#[derive(Clone, Debug)]
pub struct SuccessSender<M = Response>(Vec<Success<M>>);

#[derive(Clone, Debug)]
struct Success<M> {
    cseq: u32,
    schedule: Schedule,
    message: M,
}

impl<M> Default for SuccessSender<M> {
    fn default() -> SuccessSender<M> {
        SuccessSender(Vec::new())
    }
}

impl<M: Clone> SuccessSender<M> {
    /// When a 2xx to the INVITE with this CSeq is sent.
    pub fn sent(&mut self, now: Instant, timers: &Timers, cseq: u32, success: M) {
        // One place is nearly always enough.
        self.0.reserve_exact(1);
        self.0.push(Success { cseq, schedule: Schedule::start(now, timers, timers.t2()), message: success });
    }

    /// When an ACK with this CSeq came. The 2xx that it is for; `None` when it is a copy, or for none of ours.
    pub fn acknowledged(&mut self, cseq: u32) -> Option<M> {
        let at = self.0.iter().position(|success| success.cseq == cseq)?;
        Some(self.0.remove(at).message)
    }

    /// Those whose ACK has not come, with their CSeq.
    pub fn unacknowledged(&self) -> impl Iterator<Item = (u32, &M)> {
        self.0.iter().map(|success| (success.cseq, &success.message))
    }

    /// Whether every ACK has come.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Repeats nothing more: the session is over.
    pub fn stop(&mut self) {
        self.0 = Vec::new();
    }

    /// When [`SuccessSender::time_passed`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.0.iter().map(|success| success.schedule.next_timeout()).min()
    }

    /// What is due; to be asked until there is nothing. After [`Repetition::GiveUp`] "the dialog is confirmed, but the
    /// session SHOULD be terminated": with a BYE.
    pub fn time_passed(&mut self, now: Instant) -> Option<Repetition<M>> {
        if let Some(at) = self.0.iter().position(|success| success.schedule.until <= now) {
            return Some(Repetition::GiveUp(self.0.remove(at).message));
        }
        self.0.iter_mut().find_map(|success| match success.schedule.time_passed(now) {
            Due::Repeat => Some(Repetition::Repeat(success.message.clone())),
            Due::Nothing | Due::GiveUp => None,
        })
    }
}

/// The ACKs of one dialog that were sent for a 2xx, for as long as the 2xx may come again.
///
/// `A` is what the owner needs to send one again: the request, or the octets and the way they took.
#[derive(Clone, Debug)]
pub struct AckKeeper<A = Request>(Vec<KeptAck<A>>);

#[derive(Clone, Debug)]
struct KeptAck<A> {
    cseq: u32,
    until: Instant,
    ack: A,
}

impl<A> Default for AckKeeper<A> {
    fn default() -> AckKeeper<A> {
        AckKeeper(Vec::new())
    }
}

impl<A> AckKeeper<A> {
    /// When the ACK of the 2xx to the INVITE with this CSeq is sent.
    pub fn sent(&mut self, now: Instant, timers: &Timers, cseq: u32, ack: A) {
        self.0.reserve_exact(1);
        self.0.push(KeptAck { cseq, until: now + timers.timeout(), ack });
    }

    /// When a 2xx with this CSeq came. The ACK to send again; `None`: there is none yet, and the 2xx is new, or its owner
    /// has not acknowledged it.
    pub fn repeated_2xx(&self, cseq: u32) -> Option<&A> {
        self.0.iter().find(|kept| kept.cseq == cseq).map(|kept| &kept.ack)
    }

    /// Those that are kept.
    pub fn kept(&self) -> impl Iterator<Item = &A> {
        self.0.iter().map(|kept| &kept.ack)
    }

    /// Whether there is nothing to repeat.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When [`AckKeeper::time_passed`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.0.iter().map(|kept| kept.until).min()
    }

    /// Forgets those whose time is over.
    pub fn time_passed(&mut self, now: Instant) {
        self.0.retain(|kept| kept.until > now);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }
}
