//! Reliable provisional responses: RFC 3262 §3 (UAS) and §4 (UAC). Offers and answers in them (§5), the PRACK itself and
//! its response are left to the owner.
//!
//! ```text
//!   UAS: 1xx with RSeq n at 0, T1, 3·T1, 7·T1 … (doubling)    PRACK for n: the next one, n + 1    64·T1: give up
//!   UAC: RSeq one above the last: PRACK        any other is a copy, or came too early: no answer
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use sip_message::header::{Rack, Rseq};
use sip_message::{HeaderName, Headers, Method, Response, StatusCode};
use sip_transaction::Timers;

use super::{Due, Repetition, Schedule};
use crate::fields;

/// The reliable provisional responses to one INVITE, at its UAS. Each has a number, in RSeq; a further
/// one waits until the one before it is acknowledged (RFC 3262 §3).
#[derive(Clone, Debug)]
pub struct ReliableSender {
    invite_cseq: u32,
    /// The number of the next one.
    next_rseq: u32,
    outstanding: Option<Box<Outstanding>>,
    queue: VecDeque<Response>,
    finished: bool,
}

/// A reliable response whose PRACK has not come.
#[derive(Clone, Debug)]
struct Outstanding {
    rseq: u32,
    response: Response,
    /// `None`: it is repeated no more, but its PRACK may still come.
    schedule: Option<Schedule>,
}

/// Why a PRACK acknowledges nothing: the peer's fault. "If a PRACK request is received by the UA core that
/// does not match any unacknowledged reliable provisional response, the UAS MUST respond to the PRACK with a 481 response"
/// (RFC 3262 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotMatching;

impl NotMatching {
    /// The response that is owed.
    pub fn status(self) -> StatusCode {
        StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST
    }
}

impl fmt::Display for NotMatching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the PRACK matches no unacknowledged provisional response")
    }
}

impl std::error::Error for NotMatching {}

impl ReliableSender {
    /// That of an INVITE with this CSeq. `random`: any number, of which the first RSeq is made, from 1 to
    /// 2^31 − 1.
    pub fn new(invite_cseq: u32, random: u32) -> ReliableSender {
        ReliableSender {
            invite_cseq,
            next_rseq: random % ((1 << 31) - 1) + 1,
            outstanding: None,
            queue: VecDeque::new(),
            finished: false,
        }
    }

    /// Takes a provisional response, other than 100, to an INVITE whose sender supports 100rel. What is to be sent now:
    /// this response with `Require: 100rel` and its RSeq; `None` when it has to wait, for [`ReliableSender::next`].
    pub fn send(&mut self, now: Instant, timers: &Timers, response: Response) -> Option<Response> {
        if self.finished {
            return None;
        }
        self.queue.push_back(response);
        self.next(now, timers)
    }

    /// The response that waited for a PRACK and is to be sent now.
    pub fn next(&mut self, now: Instant, timers: &Timers) -> Option<Response> {
        if self.outstanding.is_some() {
            return None;
        }
        let mut response = self.queue.pop_front()?;
        let rseq = self.next_rseq;
        self.next_rseq = rseq.wrapping_add(1);
        fields::add_option(response.headers_mut(), HeaderName::Require, "100rel");
        fields::set(response.headers_mut(), HeaderName::Rseq, rseq);
        // "with an exponential backoff" (RFC 3262 §1): no T2 stops its doubling.
        let schedule = Some(Schedule::start(now, timers, Duration::MAX));
        self.outstanding = Some(Box::new(Outstanding { rseq, response: response.clone(), schedule }));
        Some(response)
    }

    /// When a PRACK came. The response that it acknowledges; after that, [`ReliableSender::next`] may have another.
    pub fn prack(&mut self, rack: &Rack) -> Result<Response, NotMatching> {
        let invite = rack.method == Method::Invite && rack.sequence == self.invite_cseq;
        let acknowledged = self.outstanding.take_if(|outstanding| invite && outstanding.rseq == rack.rseq);
        acknowledged.map(|outstanding| outstanding.response).ok_or(NotMatching)
    }

    /// The response whose PRACK has not come.
    pub fn unacknowledged(&self) -> Option<&Response> {
        self.outstanding.as_ref().map(|outstanding| &outstanding.response)
    }

    /// Whether a 2xx has to wait: "if any of the unacknowledged reliable provisional responses contained a session
    /// description" (RFC 3262 §3).
    pub fn holds_success(&self) -> bool {
        let repeated = self.outstanding.iter().filter(|outstanding| outstanding.schedule.is_some());
        repeated.map(|outstanding| &outstanding.response).chain(&self.queue).any(may_describe_session)
    }

    /// When the final response is sent: nothing is repeated any more and what waits is dropped, but "it MUST be prepared
    /// to process PRACK requests for those outstanding responses".
    pub fn finish(&mut self) {
        self.finished = true;
        self.queue = VecDeque::new();
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.schedule = None;
        }
    }

    /// When [`ReliableSender::time_passed`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        Some(self.outstanding.as_ref()?.schedule?.next_timeout())
    }

    /// What is due. After [`Repetition::GiveUp`] "the UAS SHOULD reject the original request with a 5xx response"; the
    /// machine is finished.
    pub fn time_passed(&mut self, now: Instant) -> Option<Repetition<Response>> {
        let outstanding = self.outstanding.as_mut()?;
        let due = outstanding.schedule.as_mut()?.time_passed(now);
        let response = || outstanding.response.clone();
        match due {
            Due::Nothing => None,
            Due::Repeat => Some(Repetition::Repeat(response())),
            Due::GiveUp => {
                let given_up = response();
                self.finish();
                Some(Repetition::GiveUp(given_up))
            }
        }
    }
}

/// What the UAC has seen of the reliable provisional responses to one INVITE, in one dialog: each fork counts for itself
/// (RFC 3262 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReliableReceiver {
    last: Option<u32>,
}

/// What a reliable provisional response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedProvisional {
    /// When it is the next: a PRACK is owed.
    New,
    /// When it was seen before: "retransmissions of that response MUST be discarded".
    Repeated,
    /// When one before it is missing: it "MUST NOT be acknowledged with a PRACK, and MUST NOT be processed further". It
    /// comes again.
    OutOfOrder,
}

impl ReliableReceiver {
    /// When a provisional response with this RSeq came. The first sets the beginning, whatever its number.
    pub fn received(&mut self, rseq: u32) -> ReceivedProvisional {
        let distance = self.last.map_or(1, |last| rseq.wrapping_sub(last));
        match distance {
            1 => {
                self.last = Some(rseq);
                ReceivedProvisional::New
            }
            0 => ReceivedProvisional::Repeated,
            behind if behind >= 1 << 31 => ReceivedProvisional::Repeated,
            _ => ReceivedProvisional::OutOfOrder,
        }
    }
}

/// The number of a reliable provisional response; `None` for one that is not.
pub fn rseq_of(headers: &Headers) -> Option<u32> {
    if !fields::requires(headers, "100rel") {
        return None;
    }
    headers.get::<Rseq>()?.ok().map(|rseq| rseq.0)
}

/// The RAck of the PRACK for a reliable provisional response; `None` for one that is not.
pub fn rack_of(response: &Response) -> Option<Rack> {
    let cseq = fields::cseq(response.headers())?;
    Some(Rack::new(rseq_of(response.headers())?, cseq.sequence, cseq.method))
}

/// Whether there is a description in the body, or may be in one of its parts.
fn may_describe_session(response: &Response) -> bool {
    let (headers, body) = (response.headers(), response.body());
    let media_type = fields::media_type(headers);
    fields::is_description(headers, body)
        || !body.is_empty() && media_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
}
