//! What the four machines order from their owner, and what they say when they ignore something.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use crate::timer::Timer;

/// The orders that follow from one input, to be carried out in their order. Never more than five, so that the list
/// needs no allocation.
pub type Outputs = SmallVec<[Output; 5]>;

/// An order to the owner of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send these octets: a request or an ACK to where the request went, a response to where the request came from. When
    /// the transport fails, say so with `TransportFailed`.
    Send(Bytes),
    /// Give the message that the input told of to the transaction user.
    DeliverToUser,
    /// Make a 100 (Trying) from the request, without a To tag (RFC 3261 §17.2.1), and hand it in as `Respond`.
    RespondTrying,
    /// Tell the transaction user that a response could not be sent. The transaction goes on (RFC 6026 §7.1).
    ReportTransportFailure,
    /// Arm this timer, which is not armed.
    SetTimer(Timer, Duration),
    /// Disarm this timer, which is armed.
    CancelTimer(Timer),
    /// Do nothing: no arrow of the figure starts here. The owner may count it.
    Ignored(Violation),
    /// Destroy the machine now; no timer of it is armed any more. Always the last order.
    Terminated(Reason),
}

/// Why a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// When it ran its course: Timers D, I, J, K, L, M.
    Finished,
    /// When a client got no response in time: Timers B and F. Its user takes this for a 408 (RFC 3261 §8.1.3.1).
    Timeout,
    /// When a failure to an INVITE was not acknowledged: Timer H.
    AckTimeout,
    /// When a cancelled INVITE got no final response: RFC 3261 §9.1. Its user takes this for a 487.
    CancelTimeout,
    /// When the transaction user let a request other than INVITE go unanswered until its client gave up: RFC 4320 §4.2.
    Unanswered,
    /// When a request or an ACK could not be sent: RFC 3261 §17.1.4. Its user takes this for a 503 (§8.1.3.1) and may
    /// try the next server (RFC 3263 §4.3) in a transaction of its own.
    TransportFailed,
}

/// What was wrong with an input that a machine ignored, and by whose doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// The peer's: a response that the state has no arrow for, such as a 180 after a 200.
    StrayResponse,
    /// The peer's: a copy of the request in a state that has no arrow for it.
    StrayRequest,
    /// The peer's: an ACK before any final response.
    StrayAck,
    /// The owner's: a timer that this state does not have.
    StrayTimer,
    /// The owner's: a failure of the transport in a state that sends nothing.
    StrayTransportFailure,
    /// The owner's: anything after `Terminated`.
    TransactionOver,
    /// The user's: a response after the final response; a 2xx after a 2xx to an INVITE is none.
    AnsweredAlready,
    /// The user's: a CANCEL before the first provisional response (RFC 3261 §9.1).
    CancelTooEarly,
    /// The user's: a second CANCEL.
    CancelledAlready,
    /// The user's: a provisional response other than 100 to a request other than INVITE (RFC 4320 §4.1).
    ProvisionalToNonInvite,
    /// The user's: a 100 (Trying) over UDP to a request other than INVITE before it is due (RFC 4320 §4.1).
    TryingTooEarly,
    /// The user's: a 408 to a request other than INVITE (RFC 4320 §4.2).
    RequestTimeoutToNonInvite,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::StrayResponse => "response does not fit the state",
            Violation::StrayRequest => "request does not fit the state",
            Violation::StrayAck => "ACK before a final response",
            Violation::StrayTimer => "timer is not one of this state",
            Violation::StrayTransportFailure => "nothing was sent that could fail",
            Violation::TransactionOver => "transaction has ended",
            Violation::AnsweredAlready => "final response was given already",
            Violation::CancelTooEarly => "CANCEL before a provisional response",
            Violation::CancelledAlready => "CANCEL was sent already",
            Violation::ProvisionalToNonInvite => "provisional response other than 100 to a request other than INVITE",
            Violation::TryingTooEarly => "100 to a request other than INVITE before Timer E reaches T2",
            Violation::RequestTimeoutToNonInvite => "408 to a request other than INVITE",
        })
    }
}

/// Disarms `armed`, except for the timer that has just fired.
pub(crate) fn disarm(armed: [Option<Timer>; 2], fired: Option<Timer>, out: &mut Outputs) {
    out.extend(armed.into_iter().flatten().filter(|timer| Some(*timer) != fired).map(Output::CancelTimer));
}

/// The answer to an input that the figure has no arrow for.
pub(crate) fn ignored(violation: Violation) -> Outputs {
    smallvec![Output::Ignored(violation)]
}
