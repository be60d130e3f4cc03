//! The non-INVITE client transaction: RFC 3261 §17.1.2. Left to others: the choice of the next server (RFC 3263) and
//! matching ([`crate::key`]).
//!
//! ```text
//!                                 │Request from TU
//!                Timer E          │send request
//!                send request     ▼
//!                            ┌────────────┐ Timer F
//!                  ┌─────────┤            │ or Transport Err.
//!                  │         │   Trying   │ inform TU
//!                  └────────►│            ├──────────────────┐
//!    200-699                 └─────┬──┬───┘                  │
//!    resp. to TU                   │  │1xx                   │
//!    ┌─────────────────────────────┘  │resp. to TU           │
//!    │               Timer E          ▼                      │
//!    │               send req ┌────────────┐ Timer F         │
//!    │                 ┌──────┤            │ or Transport Err.
//!    │                 │      │ Proceeding │ inform TU       │
//!    │                 └─────►│            ├────────────────►│
//!    │                        └──┬──────┬──┘                 │
//!    │          200-699          │   ▲  │1xx                 │
//!    │          resp. to TU      │   └──┘resp. to TU         │
//!    │                           ▼                           │
//!    │                        ┌────────────┐                 │
//!    └───────────────────────►│ Completed  │                 │
//!                             └─────┬──────┘                 │
//!                                   │Timer K                 │
//!                                   ▼-                       │
//!                             ┌────────────┐                 │
//!                             │ Terminated │◄────────────────┘
//!                             └────────────┘
//! ```

use bytes::Bytes;
use sip_message::{StatusCode, Transport};
use smallvec::smallvec;

use crate::output::{Output, Outputs, Reason, Violation, disarm, ignored};
use crate::timer::{Timer, Timers};

/// The states of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The request was sent and nothing came back.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came; copies of it are absorbed.
    Completed,
    /// The machine is to be destroyed.
    Terminated,
}

/// What can happen to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// When a response came that matches the transaction (RFC 3261 §17.1.3).
    ResponseReceived(StatusCode),
    /// When a timer fired that the transaction had set.
    TimerFired(Timer),
    /// When the transport could not send what the transaction sent.
    TransportFailed,
}

/// One request other than INVITE and ACK from its sending to the end of the wait for copies of its response.
#[derive(Debug)]
pub struct NonInviteClientTransaction {
    state: State,
    transport: Transport,
    /// How often the request was sent.
    sent: u8,
    /// What may have to be sent: the request in Trying and Proceeding, nothing in Completed.
    message: Bytes,
}

impl NonInviteClientTransaction {
    /// Sends `request`, printed with the branch of this transaction in its top Via.
    pub fn start(request: Bytes, transport: Transport, timers: &Timers) -> (NonInviteClientTransaction, Outputs) {
        let mut out: Outputs = smallvec![Output::Send(request.clone())];
        if !transport.is_reliable() {
            out.push(Output::SetTimer(Timer::E, timers.e(1)));
        }
        out.push(Output::SetTimer(Timer::F, timers.timeout()));
        let transaction = NonInviteClientTransaction { state: State::Trying, transport, sent: 1, message: request };
        (transaction, out)
    }

    /// Where in the figure the transaction is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The timers that are armed in this state.
    pub fn armed(&self) -> [Option<Timer>; 2] {
        match self.state {
            State::Trying | State::Proceeding => [(!self.transport.is_reliable()).then_some(Timer::E), Some(Timer::F)],
            State::Completed => [None, Some(Timer::K)],
            State::Terminated => [None, None],
        }
    }

    /// Goes along an arrow of the figure.
    pub fn handle(&mut self, input: Input, timers: &Timers) -> Outputs {
        use Input::{ResponseReceived, TimerFired, TransportFailed};
        use State::{Completed, Proceeding, Terminated, Trying};

        match (self.state, input) {
            (Trying, TimerFired(Timer::E)) if !self.transport.is_reliable() => {
                self.sent = self.sent.saturating_add(1);
                smallvec![Output::Send(self.message.clone()), Output::SetTimer(Timer::E, timers.e(self.sent))]
            }
            (Proceeding, TimerFired(Timer::E)) if !self.transport.is_reliable() => {
                smallvec![Output::Send(self.message.clone()), Output::SetTimer(Timer::E, timers.t2())]
            }
            (Trying | Proceeding, TimerFired(Timer::F)) => self.terminate(Reason::Timeout, Some(Timer::F)),

            // Timer E runs on: what is left of its interval is T2 at the most.
            (Trying | Proceeding, ResponseReceived(status)) if status.is_provisional() => {
                self.state = Proceeding;
                smallvec![Output::DeliverToUser]
            }
            (Trying | Proceeding, ResponseReceived(_)) => self.complete(timers),

            (Completed, ResponseReceived(status)) if status.is_final() => Outputs::new(),
            (Completed, TimerFired(Timer::K)) => self.terminate(Reason::Finished, Some(Timer::K)),

            (Trying | Proceeding, TransportFailed) => self.terminate(Reason::TransportFailed, None),

            (Terminated, _) => ignored(Violation::TransactionOver),
            (Completed, ResponseReceived(_)) => ignored(Violation::StrayResponse),
            (Completed, TransportFailed) => ignored(Violation::StrayTransportFailure),
            (_, TimerFired(_)) => ignored(Violation::StrayTimer),
        }
    }

    fn complete(&mut self, timers: &Timers) -> Outputs {
        let mut out: Outputs = smallvec![Output::DeliverToUser];
        disarm(self.armed(), None, &mut out);
        self.message = Bytes::new();
        let wait = timers.k(self.transport);
        if wait.is_zero() {
            self.end(Reason::Finished, &mut out);
        } else {
            self.state = State::Completed;
            out.push(Output::SetTimer(Timer::K, wait));
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
