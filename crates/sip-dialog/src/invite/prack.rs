//! Reliable provisional responses: RFC 3262.
//!
//! ```text
//!   UAS: 1xx with RSeq at 0, T1, 3·T1, 7·T1 … (doubling)      PRACK: 200, the next one      64·T1: the INVITE gets 504
//!   UAC: RSeq one above the last: PRACK       any other: a copy, or one that came too early, is not answered
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sdp::carriage::MessageKind;
use sip_message::header::{Rack, Rseq};
use sip_message::{HeaderName, Headers, Method, Request, Response, StatusCode};

use super::api::{Acknowledge, Body, Event, Misuse, ServerKey, Step};
use super::negotiation::{Received, is_description};
use super::session::{How, Sent, Session, is_challenge};
use crate::fields;

/// What the UAC has acknowledged of one INVITE in one dialog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acknowledged {
    last: Option<u32>,
    /// The response that the user has to acknowledge.
    owed: Option<u32>,
}

/// What the UAS has sent reliably of one INVITE.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReliableSender {
    last: Option<u32>,
    unacknowledged: Option<Provisional>,
    /// "A UAS MUST NOT send a second reliable provisional response until the first is acknowledged" (RFC 3262 §3).
    queue: VecDeque<Response>,
}

/// A reliable response whose PRACK has not come.
#[derive(Clone, Debug)]
struct Provisional {
    rseq: u32,
    response: Response,
    has_description: bool,
    at: Instant,
    interval: Duration,
    until: Instant,
}

impl ReliableSender {
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.unacknowledged.as_ref().map(|provisional| provisional.at.min(provisional.until))
    }

    /// Whether a 2xx has to wait: "if any of the unacknowledged reliable provisional responses contained a session
    /// description" (RFC 3262 §3).
    pub(crate) fn holds_success(&self) -> bool {
        self.unacknowledged.as_ref().is_some_and(|provisional| provisional.has_description)
            || self.queue.iter().any(|response| is_description(response.headers(), response.body()))
    }

    /// Sends a response reliably, now or after the PRACK of the one before it.
    pub(crate) fn send(&mut self, step: &mut Step<'_>, transaction: ServerKey, response: Response) {
        self.queue.push_back(response);
        self.send_next(step, transaction);
    }

    fn send_next(&mut self, step: &mut Step<'_>, transaction: ServerKey) {
        if self.unacknowledged.is_some() {
            return;
        }
        let Some(mut response) = self.queue.pop_front() else { return };
        // "The value of the header field for the first reliable provisional response […] MUST be between 1 and 2**31 - 1"
        let rseq = self.last.map_or_else(|| step.random.below((1 << 31) - 1) + 1, |last| last.wrapping_add(1));
        self.last = Some(rseq);
        fields::add_option(response.headers_mut(), HeaderName::Require, "100rel");
        fields::set(response.headers_mut(), HeaderName::Rseq, rseq);
        let interval = step.policy.timers.t1();
        self.unacknowledged = Some(Provisional {
            rseq,
            has_description: is_description(response.headers(), response.body()),
            response: response.clone(),
            at: step.now + interval,
            interval,
            until: step.now + step.policy.timers.timeout(),
        });
        step.respond(transaction, response);
    }
}

impl Session {
    // ----- the callee -----

    pub(crate) fn repeat_provisional(&mut self, step: &mut Step<'_>) {
        let Some(ringing) = &mut self.ringing else { return };
        let Some(provisional) = &mut ringing.reliable.unacknowledged else { return };
        if provisional.until <= step.now {
            let mut response = Response::to(&ringing.request, StatusCode::SERVER_TIMEOUT);
            self.add_local_tag(&mut response);
            step.event(Event::ProvisionalNotAcknowledged { dialog: self.key });
            // A failure can't be refused: it has no body.
            let _ = self.respond_to_invite(step, response, false);
        } else if provisional.at <= step.now {
            provisional.interval *= 2;
            provisional.at = step.now + provisional.interval;
            step.respond(ringing.transaction, provisional.response.clone());
        }
    }

    /// A PRACK (RFC 3262 §3).
    pub(crate) fn prack_received(&mut self, step: &mut Step<'_>, transaction: ServerKey, request: Request) {
        let Some(Ok(rack)) = request.headers().get::<Rack>() else {
            return step.respond(transaction, Response::to(&request, StatusCode::BAD_REQUEST));
        };
        if !self.take_acknowledged(&rack) {
            let response = Response::to(&request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
            return step.respond(transaction, response);
        }
        let received = match &mut self.negotiation {
            Some(negotiation) => negotiation.received(MessageKind::Prack, request.headers(), request.body()),
            // Without offer/answer the user has to see to a body.
            None if !request.body().is_empty() => Ok(Received::Offer),
            None => Ok(Received::Nothing),
        };
        step.event(Event::ProvisionalAcknowledged { dialog: self.key, prack: request.clone() });
        match received {
            Ok(Received::Offer) => self.ask_user(step, transaction, request),
            Ok(_) => step.respond(transaction, Response::to(&request, StatusCode::OK)),
            Err(status) => step.respond(transaction, Response::to(&request, status)),
        }
        self.go_on_after_prack(step);
    }

    fn take_acknowledged(&mut self, rack: &Rack) -> bool {
        let matched = self.ringing.as_mut().filter(|ringing| {
            let cseq = fields::cseq_of(ringing.request.headers(), &rack.method);
            let rseq = ringing.reliable.unacknowledged.as_ref().map(|provisional| provisional.rseq);
            cseq == Some(rack.sequence) && rseq == Some(rack.rseq)
        });
        if let Some(ringing) = matched {
            ringing.reliable.unacknowledged = None;
            return true;
        }
        // "it MUST be prepared to process PRACK requests for those outstanding responses" after the final one.
        self.late_prack.take_if(|late| *late == (rack.rseq, rack.sequence)).is_some()
    }

    fn go_on_after_prack(&mut self, step: &mut Step<'_>) {
        let Some(ringing) = &mut self.ringing else { return };
        let transaction = ringing.transaction;
        ringing.reliable.send_next(step, transaction);
        if !ringing.reliable.holds_success()
            && let Some(success) = ringing.held.take()
        {
            // It was checked when the user gave it; what can fail now is a description that the PRACK has made wrong.
            if self.respond_to_invite(step, success, false).is_err()
                && let Some(ringing) = &self.ringing
            {
                let response = Response::to(&ringing.request, StatusCode::SERVER_INTERNAL_ERROR);
                let _ = self.respond_to_invite(step, response, false);
            }
        }
    }

    /// Remembers the reliable response that the final one overtook.
    pub(crate) fn expect_late_prack(&mut self, reliable: &ReliableSender, invite: &Request) {
        let rseq = reliable.unacknowledged.as_ref().map(|provisional| provisional.rseq);
        self.late_prack = rseq.zip(fields::cseq_of(invite.headers(), &Method::Invite));
    }

    /// Completes the user's response to a PRACK with an offer.
    pub(crate) fn before_prack_response(&mut self, response: &mut Response) -> Result<(), Misuse> {
        if response.status().is_success() {
            if let Some(negotiation) = &mut self.negotiation
                && let Some(stamped) =
                    negotiation.sending(MessageKind::PrackSuccess, response.headers(), response.body())?
            {
                super::uas::set_description(response, stamped);
            }
        } else if response.status().is_final() {
            self.refuse_offer_of(&Method::Prack);
        }
        Ok(())
    }

    // ----- the caller -----

    /// A provisional response to an INVITE of ours, other than 100 (RFC 3262 §4).
    pub(crate) fn provisional_received(&mut self, step: &mut Step<'_>, response: Response) {
        let Some(calling) = &mut self.calling else { return };
        if !calling.initial && !calling.provisional && calling.cancelled {
            super::session::cancel(step, calling.transaction);
        }
        calling.provisional = true;
        let reliable = rseq(response.headers());
        if let Some(rseq) = reliable {
            // A copy, or one that is not the next.
            if calling.acknowledged.last.is_some_and(|last| last.wrapping_add(1) != rseq) {
                return;
            }
            calling.acknowledged.last = Some(rseq);
        }
        if response.status() == StatusCode::TRYING || !self.is_alive() {
            return;
        }
        self.peer.learn(response.headers());
        let kind =
            if reliable.is_some() { MessageKind::ReliableProvisional } else { MessageKind::UnreliableProvisional };
        let offered = self.description_in_response(kind, &response);
        let prack_owed = reliable.is_some() && (offered || step.policy.acknowledge == Acknowledge::ByUser);
        if let Some(rseq) = reliable {
            self.owe_prack(rseq);
            if !prack_owed {
                // Without a body there is nothing that could be refused.
                let _ = self.acknowledge_provisional(step, None);
            }
        }
        let (dialog, own) = (Some(self.key), self.calling.as_ref().is_some_and(|calling| calling.own));
        if !own {
            step.event(Event::Provisional { dialog, response, prack_owed });
        }
    }

    fn owe_prack(&mut self, rseq: u32) {
        if let Some(calling) = &mut self.calling {
            calling.acknowledged.owed = Some(rseq);
        }
    }

    /// Sends the PRACK that is owed.
    pub(crate) fn acknowledge_provisional(&mut self, step: &mut Step<'_>, body: Option<Body>) -> Result<(), Misuse> {
        let calling = self.calling.as_ref().ok_or(Misuse::NothingToAcknowledge)?;
        let rseq = calling.acknowledged.owed.ok_or(Misuse::NothingToAcknowledge)?;
        let cseq = fields::cseq_of(calling.request.headers(), &Method::Invite).unwrap_or_default();
        let body = match body {
            Some(body) => Some(self.with_version(MessageKind::Prack, body)?),
            None => None,
        };
        let mut prack = self.make_request(step, Method::Prack).ok_or(Misuse::CseqExhausted)?;
        fields::set(prack.headers_mut(), HeaderName::Rack, Rack::new(rseq, cseq, Method::Invite));
        if let Some(body) = body {
            prack.set_body(&body.content_type, body.octets).map_err(|_| Misuse::BadDescription)?;
        }
        if let Some(calling) = &mut self.calling {
            calling.acknowledged.owed = None;
        }
        self.send_other(step, prack, How::ForUser)
    }

    /// The final response to a PRACK. The user hears of it when it matters.
    pub(crate) fn prack_response(&mut self, step: &mut Step<'_>, sent: Sent, response: Response) {
        let status = response.status();
        if is_challenge(status) {
            return step.event(Event::Challenged { dialog: self.key, request: sent.request, response });
        }
        if status.is_success() {
            if let Some(negotiation) = &mut self.negotiation
                && negotiation.received(MessageKind::PrackSuccess, response.headers(), response.body()).is_err()
            {
                negotiation.refused(MessageKind::Prack);
            }
        } else {
            self.refuse_offer_of(&Method::Prack);
        }
        if !status.is_success() || !sent.request.body().is_empty() {
            step.event(Event::Response { dialog: self.key, response, ack_owed: false });
        }
        self.lose_peer(step, &Method::Prack, status);
    }
}

/// The number of a reliable provisional response; `None` for one that is not.
fn rseq(headers: &Headers) -> Option<u32> {
    if !fields::requires(headers, "100rel") {
        return None;
    }
    headers.get::<Rseq>()?.ok().map(|rseq| rseq.0)
}
