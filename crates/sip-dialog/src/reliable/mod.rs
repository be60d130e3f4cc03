//! What is repeated end to end, above the transactions: the 2xx to an INVITE and its ACK (RFC 3261 §13), and the
//! provisional responses of RFC 3262.
//!
//! | machine | of whom | what it does |
//! | --- | --- | --- |
//! | [`SuccessSender`] | UAS | repeats a 2xx until its ACK has come |
//! | [`AckKeeper`] | UAC | has the ACK at hand for each repetition of the 2xx |
//! | [`ReliableSender`] | UAS | numbers reliable provisional responses, and repeats each until its PRACK has come |
//! | [`ReliableReceiver`] | UAC | tells a new reliable provisional response from a copy and from one that came too early |
//!
//! Each is one dialog's. They decide when; what is sent, and what an acknowledgement says, is their owner's business: the
//! [`InviteUsage`](crate::InviteUsage)'s, or that of an application which sends its own ACKs and PRACKs.

mod provisional;
mod success;

use std::time::{Duration, Instant};

use sip_transaction::Timers;

pub use provisional::{NotMatching, ReceivedProvisional, ReliableReceiver, ReliableSender, rack_of, rseq_of};
pub use success::{AckKeeper, SuccessSender};

/// What a sender is to do because time has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repetition<M> {
    /// Send this again.
    Repeat(M),
    /// When no acknowledgement has come for 64·T1. It is repeated no more.
    GiveUp(M),
}

/// When something is sent again: at T1, 3·T1, 7·T1 …, until 64·T1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Schedule {
    at: Instant,
    until: Instant,
    interval: Duration,
    longest: Duration,
}

/// What a schedule says at a time.
enum Due {
    Nothing,
    Repeat,
    GiveUp,
}

impl Schedule {
    /// Of what is sent now. `longest`: what the interval doubles up to.
    fn start(now: Instant, timers: &Timers, longest: Duration) -> Schedule {
        let interval = timers.t1();
        Schedule { at: now + interval, until: now + timers.timeout(), interval, longest }
    }

    fn next_timeout(&self) -> Instant {
        self.at.min(self.until)
    }

    fn time_passed(&mut self, now: Instant) -> Due {
        if self.until <= now {
            return Due::GiveUp;
        }
        if self.at > now {
            return Due::Nothing;
        }
        self.interval = self.interval.saturating_mul(2).min(self.longest);
        self.at = now + self.interval;
        Due::Repeat
    }
}
