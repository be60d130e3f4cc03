//! The INVITE client transaction: RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §8.4, and the end of a cancelled
//! INVITE of RFC 3261 §9.1. Left to others: the ACK for a 2xx (`sip-dialog`), CANCEL (a transaction of its own), Timer C
//! and the choice of the next server (RFC 3263), and matching ([`crate::key`]).
//!
//! ```text
//!                                 │INVITE from TU
//!                Timer A fires    │INVITE sent       Timer B fires
//!                Reset A,         ▼                  or Transport Err.
//!                INVITE sent ┌────────────┐          inform TU
//!                  ┌─────────┤            ├──────────────────────────┐
//!                  │         │  Calling   │                          │
//!                  └────────►│            ├──────────────┐           │
//!    300-699                 └─────┬──┬───┘ 2xx          │           │
//!    ACK sent                      │  │     2xx to TU    │           │
//!    resp. to TU                   │  │1xx               │           │
//!    ┌─────────────────────────────┘  │1xx to TU         │           │
//!    │               1xx              ▼                  │           │
//!    │               1xx to TU ┌────────────┐            │           │
//!    │                 ┌───────┤            │ no final response      │
//!    │                 │       │ Proceeding │ 64·T1 after CANCEL     │
//!    │                 └──────►│            ├────────────────────────┤
//!    │                         └──┬─────┬───┘ 2xx        │           │
//!    │          300-699           │     │     2xx to TU  │           │
//!    │          ACK sent,         │     └───────────────►│           │
//!    │          resp. to TU       │                      │           │
//!    │                            ▼                      ▼           │
//!    │                 ┌────────────┐ Transport Err. ┌──────────┐    │
//!    └────────────────►│            │ Inform TU      │          │    │
//!                      │ Completed  ├────────┐       │ Accepted ├─┐  │
//!              ┌───────┤            │        │       │          │ │2xx
//!      300-699 │       └──────┬─────┘        │       └────┬─────┘ │2xx to TU
//!      ACK sent│         ▲    │Timer D fires │      ▲     │       │  │
//!              └─────────┘    │-             │      └─────┼───────┘  │
//!                             │              │            │Timer M fires
//!                             ▼              ▼            ▼-         │
//!                      ┌──────────────────────────────────────┐      │
//!                      │              Terminated              │◄─────┘
//!                      └──────────────────────────────────────┘
//! ```

use bytes::Bytes;
use sip_message::{Response, Transport};
use smallvec::smallvec;

use crate::ack::ack_for_failure;
use crate::output::{Output, Outputs, Reason, Violation, disarm, ignored};
use crate::timer::{Timer, Timers};

/// The states of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The INVITE was sent and nothing came back.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A failure came and was acknowledged; further copies are acknowledged again.
    Completed,
    /// A 2xx came; further ones go to the transaction user.
    Accepted,
    /// The machine is to be destroyed.
    Terminated,
}

/// What can happen to the transaction.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// When a response came that matches the transaction (RFC 3261 §17.1.3).
    ResponseReceived(&'a Response),
    /// When the transaction user has sent a CANCEL for the INVITE.
    CancelSent,
    /// When a timer fired that the transaction had set.
    TimerFired(Timer),
    /// When the transport could not send what the transaction sent.
    TransportFailed,
}

/// One INVITE from its sending to the end of the wait for copies of its final response.
#[derive(Debug)]
pub struct InviteClientTransaction {
    state: State,
    transport: Transport,
    /// Whether Timer Cancel runs.
    cancelled: bool,
    /// How often the INVITE was sent.
    sent: u8,
    /// What may have to be sent, or to be acknowledged: the INVITE in Calling and Proceeding, the ACK in Completed,
    /// nothing in Accepted.
    message: Bytes,
}

impl InviteClientTransaction {
    /// Sends `invite`, printed with the branch of this transaction in its top Via.
    pub fn start(invite: Bytes, transport: Transport, timers: &Timers) -> (InviteClientTransaction, Outputs) {
        let mut out: Outputs = smallvec![Output::Send(invite.clone())];
        if !transport.is_reliable() {
            out.push(Output::SetTimer(Timer::A, timers.a(1)));
        }
        out.push(Output::SetTimer(Timer::B, timers.timeout()));
        let transaction =
            InviteClientTransaction { state: State::Calling, transport, cancelled: false, sent: 1, message: invite };
        (transaction, out)
    }

    /// Where in the figure the transaction is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The INVITE as it was sent, for as long as it may be repeated or cancelled (RFC 3261 §9.1 makes the CANCEL of it).
    pub fn request(&self) -> Option<&Bytes> {
        matches!(self.state, State::Calling | State::Proceeding).then_some(&self.message)
    }

    /// The timers that are armed in this state.
    pub fn armed(&self) -> [Option<Timer>; 2] {
        match self.state {
            State::Calling => [(!self.transport.is_reliable()).then_some(Timer::A), Some(Timer::B)],
            State::Proceeding => [None, self.cancelled.then_some(Timer::Cancel)],
            State::Completed => [None, Some(Timer::D)],
            State::Accepted => [None, Some(Timer::M)],
            State::Terminated => [None, None],
        }
    }

    /// Goes along an arrow of the figure.
    pub fn handle(&mut self, input: Input<'_>, timers: &Timers) -> Outputs {
        use Input::{CancelSent, ResponseReceived, TimerFired, TransportFailed};
        use State::{Accepted, Calling, Completed, Proceeding, Terminated};

        match (self.state, input) {
            (Calling, TimerFired(Timer::A)) if !self.transport.is_reliable() => {
                self.sent = self.sent.saturating_add(1);
                smallvec![Output::Send(self.message.clone()), Output::SetTimer(Timer::A, timers.a(self.sent))]
            }
            (Calling, TimerFired(Timer::B)) => self.terminate(Reason::Timeout, Some(Timer::B)),

            (Calling | Proceeding, ResponseReceived(response)) if response.status().is_provisional() => self.proceed(),
            (Calling | Proceeding, ResponseReceived(response)) if response.status().is_success() => self.accept(timers),
            (Calling | Proceeding, ResponseReceived(response)) => self.complete(response, timers),

            (Proceeding, CancelSent) if !self.cancelled => {
                self.cancelled = true;
                smallvec![Output::SetTimer(Timer::Cancel, timers.timeout())]
            }
            (Proceeding, TimerFired(Timer::Cancel)) if self.cancelled => {
                self.terminate(Reason::CancelTimeout, Some(Timer::Cancel))
            }

            // The response matches the transaction, so it is a copy of the one that was acknowledged, whatever its code.
            (Completed, ResponseReceived(response)) if is_failure(response) => {
                smallvec![Output::Send(self.message.clone())]
            }
            (Completed, TimerFired(Timer::D)) => self.terminate(Reason::Finished, Some(Timer::D)),

            (Accepted, ResponseReceived(response)) if response.status().is_success() => {
                smallvec![Output::DeliverToUser]
            }
            (Accepted, TimerFired(Timer::M)) => self.terminate(Reason::Finished, Some(Timer::M)),

            (Calling | Completed, TransportFailed) => self.terminate(Reason::TransportFailed, None),

            (Terminated, _) => ignored(Violation::TransactionOver),
            (Completed | Accepted, ResponseReceived(_)) => ignored(Violation::StrayResponse),
            (Calling, CancelSent) => ignored(Violation::CancelTooEarly),
            (Proceeding, CancelSent) => ignored(Violation::CancelledAlready),
            (Completed | Accepted, CancelSent) => ignored(Violation::AnsweredAlready),
            // A connection that breaks while the callee rings is no failure: the response may come over another one
            // (RFC 3261 §18.2.2).
            (Proceeding | Accepted, TransportFailed) => ignored(Violation::StrayTransportFailure),
            (_, TimerFired(_)) => ignored(Violation::StrayTimer),
        }
    }

    fn proceed(&mut self) -> Outputs {
        let mut out: Outputs = smallvec![Output::DeliverToUser];
        if self.state == State::Calling {
            disarm(self.armed(), None, &mut out);
            self.state = State::Proceeding;
        }
        out
    }

    fn accept(&mut self, timers: &Timers) -> Outputs {
        let mut out: Outputs = smallvec![Output::DeliverToUser];
        disarm(self.armed(), None, &mut out);
        self.state = State::Accepted;
        self.message = Bytes::new();
        out.push(Output::SetTimer(Timer::M, timers.timeout()));
        out
    }

    fn complete(&mut self, response: &Response, timers: &Timers) -> Outputs {
        let ack = ack_for_failure(&self.message, response);
        let mut out: Outputs = smallvec![Output::Send(ack.clone()), Output::DeliverToUser];
        disarm(self.armed(), None, &mut out);
        self.message = ack;
        let wait = timers.d(self.transport);
        if wait.is_zero() {
            self.end(Reason::Finished, &mut out);
        } else {
            self.state = State::Completed;
            out.push(Output::SetTimer(Timer::D, wait));
        }
        out
    }

    fn terminate(&mut self, reason: Reason, fired: Option<Timer>) -> Outputs {
        let mut out = Outputs::new();
        disarm(self.armed(), fired, &mut out);
        self.end(reason, &mut out);
        out
    }

    fn end(&mut self, reason: Reason, out: &mut Outputs) {
        self.state = State::Terminated;
        self.message = Bytes::new();
        out.push(Output::Terminated(reason));
    }
}

fn is_failure(response: &Response) -> bool {
    response.status().is_final() && !response.status().is_success()
}
