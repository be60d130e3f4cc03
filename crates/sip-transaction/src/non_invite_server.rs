//! The non-INVITE server transaction: RFC 3261 §17.2.2 with what RFC 4320 §4 forbids and asks for, and with the transport
//! errors of RFC 6026 §8.8. Left to others: matching ([`crate::key`]).
//!
//! The figure of RFC 3261 has no way out of Trying and Proceeding for a transaction user that stays silent. RFC 4320
//! §4.2 names it: the transaction expires with its client's Timer F, and nothing is sent.
//!
//! ```text
//!                                 │Request received
//!                                 │pass to TU
//!                                 ▼
//!                           ┌────────────┐ Timer Trying100: RespondTrying
//!                           │   Trying   ├──────────────┬──────────────┐
//!                           └─────┬──────┘              │200-699       │
//!                                 │100 from TU          │from TU       │
//!                                 │send response        │send response │
//!           Request               ▼                     │(never 408)   │
//!           send response   ┌────────────┐ 100 from TU  │              │
//!                  ┌────────┤            ├─────────┐    │              │
//!                  │        │            │ send response              │
//!                  └───────►│ Proceeding │◄────────┘    │              │
//!          Trnsprt Err┌─────┤            │              │              │
//!          Inform TU  └────►│            ├──────────────┼─────────────►│
//!                           └─────┬──────┘              │     Expiry   │
//!                                 │200-699 from TU      │     64·T1    │
//!           Request               │send response        │     -        │
//!           send response         ▼                     │              │
//!                  ┌────────┌────────────┐              │              │
//!                  └───────►│ Completed  │◄─────────────┘              │
//!          Trnsprt Err┌─────┤            │                             │
//!          Inform TU  └────►└─────┬──────┘                             │
//!                                 │Timer J fires                       │
//!                                 ▼-                                   │
//!                           ┌────────────┐                             │
//!                           │ Terminated │◄────────────────────────────┘
//!                           └────────────┘
//! ```

use bytes::Bytes;
use sip_message::{StatusCode, Transport};
use smallvec::smallvec;

use crate::output::{Output, Outputs, Reason, Violation, disarm, ignored};
use crate::timer::{Timer, Timers};

/// The states of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing was sent yet; copies of the request are absorbed.
    Trying,
    /// A 100 (Trying) was sent; copies of the request are answered with it.
    Proceeding,
    /// The final response was sent; copies of the request are answered with it.
    Completed,
    /// The machine is to be destroyed.
    Terminated,
}

/// What can happen to the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// When a copy of the request came (RFC 3261 §17.2.3).
    RequestReceived,
    /// When the transaction user responds, with the octets to send.
    Respond(StatusCode, Bytes),
    /// When a timer fired that the transaction had set.
    TimerFired(Timer),
    /// When the transport could not send a response, not to a backup either (RFC 3263 §5).
    TransportFailed,
}

/// One request other than INVITE and ACK from its coming to the end of the wait for copies of it.
#[derive(Debug)]
pub struct NonInviteServerTransaction {
    state: State,
    transport: Transport,
    /// Whether Timer Trying100 runs.
    trying_due: bool,
    /// What may have to be sent again: the 100 in Proceeding, the final response in Completed.
    message: Bytes,
}

impl NonInviteServerTransaction {
    /// Passes a request, which matches no transaction, to the transaction user.
    pub fn start(transport: Transport, timers: &Timers) -> (NonInviteServerTransaction, Outputs) {
        let out = smallvec![
            Output::DeliverToUser,
            Output::SetTimer(Timer::Trying100, timers.non_invite_trying()),
            Output::SetTimer(Timer::Expiry, timers.timeout()),
        ];
        let transaction =
            NonInviteServerTransaction { state: State::Trying, transport, trying_due: true, message: Bytes::new() };
        (transaction, out)
    }

    /// Where in the figure the transaction is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The timers that are armed in this state.
    pub fn armed(&self) -> [Option<Timer>; 2] {
        match self.state {
            State::Trying | State::Proceeding => [self.trying_due.then_some(Timer::Trying100), Some(Timer::Expiry)],
            State::Completed => [None, Some(Timer::J)],
            State::Terminated => [None, None],
        }
    }

    /// Goes along an arrow of the figure.
    pub fn handle(&mut self, input: Input, timers: &Timers) -> Outputs {
        use Input::{RequestReceived, Respond, TimerFired, TransportFailed};
        use State::{Completed, Proceeding, Terminated, Trying};

        match (self.state, input) {
            (Trying, TimerFired(Timer::Trying100)) if self.trying_due => {
                self.trying_due = false;
                smallvec![Output::RespondTrying]
            }
            (Trying, RequestReceived) => Outputs::new(),
            (Proceeding | Completed, RequestReceived) => {
                smallvec![Output::Send(self.message.clone())]
            }

            (Trying | Proceeding, Respond(status, response)) => match self.forbids(status) {
                Some(violation) => ignored(violation),
                None if status.is_provisional() => self.proceed(response),
                None => self.complete(response, timers),
            },
            (Trying | Proceeding, TimerFired(Timer::Expiry)) => self.terminate(Reason::Unanswered, Timer::Expiry),

            (Completed, TimerFired(Timer::J)) => self.terminate(Reason::Finished, Timer::J),

            (Proceeding | Completed, TransportFailed) => smallvec![Output::ReportTransportFailure],

            (Terminated, _) => ignored(Violation::TransactionOver),
            (Completed, Respond(..)) => ignored(Violation::AnsweredAlready),
            (Trying, TransportFailed) => ignored(Violation::StrayTransportFailure),
            (_, TimerFired(_)) => ignored(Violation::StrayTimer),
        }
    }

    /// What RFC 4320 §4 has against this response now.
    fn forbids(&self, status: StatusCode) -> Option<Violation> {
        match status {
            StatusCode::TRYING if self.trying_due && !self.transport.is_reliable() => Some(Violation::TryingTooEarly),
            StatusCode::TRYING => None,
            StatusCode::REQUEST_TIMEOUT => Some(Violation::RequestTimeoutToNonInvite),
            status => status.is_provisional().then_some(Violation::ProvisionalToNonInvite),
        }
    }

    fn proceed(&mut self, response: Bytes) -> Outputs {
        let mut out: Outputs = smallvec![Output::Send(response.clone())];
        if self.trying_due {
            out.push(Output::CancelTimer(Timer::Trying100));
            self.trying_due = false;
        }
        self.state = State::Proceeding;
        self.message = response;
        out
    }

    fn complete(&mut self, response: Bytes, timers: &Timers) -> Outputs {
        let mut out: Outputs = smallvec![Output::Send(response.clone())];
        disarm(self.armed(), None, &mut out);
        let wait = timers.j(self.transport);
        if wait.is_zero() {
            self.end(Reason::Finished, &mut out);
        } else {
            self.state = State::Completed;
            self.message = response;
            out.push(Output::SetTimer(Timer::J, wait));
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
