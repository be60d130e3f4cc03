//! The INVITE server transaction: RFC 3261 §17.2.1 with the Accepted state and the transport errors of RFC 6026 §7.1.
//! Left to others: the retransmission of a 2xx and of a reliable provisional response (`sip-dialog`), and matching
//! ([`crate::key`]).
//!
//! ```text
//!                                 │INVITE
//!                                 │pass INV to TU
//!                INVITE           ▼ send 100 if TU won't in 200 ms
//!                send response┌────────────┐
//!                   ┌─────────┤            ├────────┐ 101-199 from TU
//!                   │         │            │        │ send response
//!                   └────────►│            │◄───────┘
//!                             │ Proceeding │
//!                             │            ├────────┐ Transport Err.
//!                             │            │        │ Inform TU
//!                             │            │◄───────┘
//!                             └───┬────┬───┘
//!               300-699 from TU   │    │ 2xx from TU
//!               send response     │    │ send response
//!                 ┌───────────────┘    └───────────┐
//!                 │                                │
//!    INVITE       ▼         Timer G fires          │
//!    send response┌───────────┐ send response      │
//!     ┌───────────┤           ├─────────┐          │
//!     │           │           │         │          │
//!     └──────────►│ Completed │◄────────┘  INVITE  │  Transport Err.
//!                 │           │            -       │  Inform TU
//!     ┌───────────┤           ├────┐       ┌─────┐ │ ┌─────┐
//!     │           └───────────┘    │ACK    │     ▼ ▼ ▼     │
//!     │             ▲   │          │-      │   ┌──────────┐│
//!     │             │   │          │       └───┤          ├┘
//!     └─────────────┘   │          │           │ Accepted ├───┐ ACK
//!     Transport Err.    │          ▼           │          │   │ to TU
//!     Inform TU         │    ┌───────────┐     │          │◄──┘
//!                       │    │ Confirmed │     └─┬──────┬─┘
//!                       │    └─────┬─────┘       │  ▲   │ 2xx from TU
//!       Timer H fires   │          │             │  └───┘ send response
//!       Inform TU       │          │Timer I      │
//!                       │          │fires        │ Timer L fires
//!                       │          │-            │ -
//!                       ▼          ▼             ▼
//!                 ┌────────────────────────────────┐
//!                 │           Terminated           │
//!                 └────────────────────────────────┘
//! ```

use bytes::Bytes;
use sip_message::{StatusCode, Transport};
use smallvec::smallvec;

use crate::output::{Output, Outputs, Reason, Violation, disarm, ignored};
use crate::timer::{Timer, Timers};

/// The states of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// There is no final response yet. It is the transaction user's duty to come to one: no timer runs.
    Proceeding,
    /// A failure was sent and is sent again until the ACK comes.
    Completed,
    /// The ACK came; copies of it are absorbed.
    Confirmed,
    /// A 2xx was sent. Copies of the INVITE are absorbed, ACKs go to the transaction user.
    Accepted,
    /// The machine is to be destroyed.
    Terminated,
}

/// What can happen to the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// When a copy of the INVITE came (RFC 3261 §17.2.3).
    InviteReceived,
    /// When an ACK came that matches the INVITE (RFC 3261 §17.2.3).
    AckReceived,
    /// When the transaction user responds, with the octets to send.
    Respond(StatusCode, Bytes),
    /// When a timer fired that the transaction had set.
    TimerFired(Timer),
    /// When the transport could not send a response, not to a backup either (RFC 3263 §5).
    TransportFailed,
}

/// One INVITE from its coming to the end of the wait for copies of it, or of its ACK.
#[derive(Debug)]
pub struct InviteServerTransaction {
    state: State,
    transport: Transport,
    /// Whether Timer Trying100 runs.
    trying_due: bool,
    /// How often the failure was sent.
    sent: u8,
    /// What may have to be sent again: the last provisional response in Proceeding (nothing before the first), the
    /// failure in Completed, nothing later.
    message: Bytes,
}

impl InviteServerTransaction {
    /// Passes an INVITE, which matches no transaction, to the transaction user.
    pub fn start(transport: Transport, timers: &Timers) -> (InviteServerTransaction, Outputs) {
        let out = smallvec![Output::DeliverToUser, Output::SetTimer(Timer::Trying100, timers.invite_trying())];
        let transaction = InviteServerTransaction {
            state: State::Proceeding,
            transport,
            trying_due: true,
            sent: 0,
            message: Bytes::new(),
        };
        (transaction, out)
    }

    /// Where in the figure the transaction is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The timers that are armed in this state.
    pub fn armed(&self) -> [Option<Timer>; 2] {
        match self.state {
            State::Proceeding => [self.trying_due.then_some(Timer::Trying100), None],
            State::Completed => [(!self.transport.is_reliable()).then_some(Timer::G), Some(Timer::H)],
            State::Confirmed => [None, Some(Timer::I)],
            State::Accepted => [None, Some(Timer::L)],
            State::Terminated => [None, None],
        }
    }

    /// Goes along an arrow of the figure.
    pub fn handle(&mut self, input: Input, timers: &Timers) -> Outputs {
        use Input::{AckReceived, InviteReceived, Respond, TimerFired, TransportFailed};
        use State::{Accepted, Completed, Confirmed, Proceeding, Terminated};

        match (self.state, input) {
            (Proceeding, TimerFired(Timer::Trying100)) if self.trying_due => {
                self.trying_due = false;
                smallvec![Output::RespondTrying]
            }
            (Proceeding, InviteReceived) if self.message.is_empty() => Outputs::new(),
            (Proceeding | Completed, InviteReceived) => {
                smallvec![Output::Send(self.message.clone())]
            }

            (Proceeding, Respond(status, response)) if status.is_provisional() => self.proceed(response),
            (Proceeding, Respond(status, response)) if status.is_success() => self.accept(response, timers),
            (Proceeding, Respond(_, response)) => self.complete(response, timers),

            (Completed, TimerFired(Timer::G)) if !self.transport.is_reliable() => {
                self.sent = self.sent.saturating_add(1);
                smallvec![Output::Send(self.message.clone()), Output::SetTimer(Timer::G, timers.e(self.sent))]
            }
            (Completed, TimerFired(Timer::H)) => self.terminate(Reason::AckTimeout, Timer::H),
            (Completed, AckReceived) => self.confirm(timers),

            (Confirmed, AckReceived) => Outputs::new(),
            (Confirmed, TimerFired(Timer::I)) => self.terminate(Reason::Finished, Timer::I),

            (Accepted, InviteReceived) => Outputs::new(),
            // An ACK for a 2xx has a branch of its own, but that of an RFC 2543 client has none and matches here
            // (RFC 6026 §6).
            (Accepted, AckReceived) => smallvec![Output::DeliverToUser],
            (Accepted, Respond(status, response)) if status.is_success() => {
                smallvec![Output::Send(response)]
            }
            (Accepted, TimerFired(Timer::L)) => self.terminate(Reason::Finished, Timer::L),

            (Proceeding | Completed | Accepted, TransportFailed) => {
                smallvec![Output::ReportTransportFailure]
            }

            (Terminated, _) => ignored(Violation::TransactionOver),
            (Proceeding, AckReceived) => ignored(Violation::StrayAck),
            (Confirmed, InviteReceived) => ignored(Violation::StrayRequest),
            (Completed | Confirmed | Accepted, Respond(..)) => ignored(Violation::AnsweredAlready),
            (Confirmed, TransportFailed) => ignored(Violation::StrayTransportFailure),
            (_, TimerFired(_)) => ignored(Violation::StrayTimer),
        }
    }

    fn proceed(&mut self, response: Bytes) -> Outputs {
        let mut out: Outputs = smallvec![Output::Send(response.clone())];
        disarm(self.armed(), None, &mut out);
        self.trying_due = false;
        self.message = response;
        out
    }

    fn accept(&mut self, response: Bytes, timers: &Timers) -> Outputs {
        let mut out: Outputs = smallvec![Output::Send(response)];
        disarm(self.armed(), None, &mut out);
        self.state = State::Accepted;
        self.message = Bytes::new();
        out.push(Output::SetTimer(Timer::L, timers.timeout()));
        out
    }

    fn complete(&mut self, response: Bytes, timers: &Timers) -> Outputs {
        let mut out: Outputs = smallvec![Output::Send(response.clone())];
        disarm(self.armed(), None, &mut out);
        self.state = State::Completed;
        self.message = response;
        self.sent = 1;
        if !self.transport.is_reliable() {
            out.push(Output::SetTimer(Timer::G, timers.e(1)));
        }
        out.push(Output::SetTimer(Timer::H, timers.timeout()));
        out
    }

    fn confirm(&mut self, timers: &Timers) -> Outputs {
        let mut out = Outputs::new();
        disarm(self.armed(), None, &mut out);
        self.message = Bytes::new();
        let wait = timers.k(self.transport);
        if wait.is_zero() {
            self.end(Reason::Finished, &mut out);
        } else {
            self.state = State::Confirmed;
            out.push(Output::SetTimer(Timer::I, wait));
        }
        out
    }

    fn terminate(&mut self, reason: Reason, fired: Timer) -> Outputs {
        let mut out = Outputs::new();
        disarm(self.armed(), Some(fired), &mut out);
        self.end(reason, &mut out);
        out
    }

    fn end(&mut self, reason: Reason, out: &mut Outputs) {
        self.state = State::Terminated;
        self.message = Bytes::new();
        out.push(Output::Terminated(reason));
    }
}
