//! Reliable provisional responses in a session: RFC 3262, the PRACK and its response. When what is repeated, and what is
//! new: [`crate::reliable`].

use sdp::carriage::MessageKind;
use sip_message::header::Rack;
use sip_message::{HeaderName, Method, Request, Response, StatusCode};

use super::api::{Acknowledge, Body, Event, Misuse, ServerKey, Step};
use super::negotiation::Received;
use super::session::{How, Sent, Session, is_challenge};
use crate::fields;
use crate::reliable::{ReceivedProvisional, ReliableReceiver, ReliableSender, Repetition, rseq_of};

/// What the UAC has acknowledged of one INVITE in one dialog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acknowledged {
    receiver: ReliableReceiver,
    /// The response that the user has to acknowledge.
    owed: Option<u32>,
}

impl Session {
    // ----- the callee -----

    pub(crate) fn repeat_provisional(&mut self, step: &mut Step<'_>) {
        let Some(ringing) = &mut self.ringing else { return };
        match ringing.reliable.time_passed(step.now) {
            Some(Repetition::Repeat(response)) => step.respond(ringing.transaction, response),
            Some(Repetition::GiveUp(_)) => {
                let mut response = Response::to(&ringing.request, StatusCode::SERVER_TIMEOUT);
                self.add_local_tag(&mut response);
                step.event(Event::ProvisionalNotAcknowledged { dialog: self.key });
                // A failure can't be refused: it has no body.
                let _ = self.respond_to_invite(step, response, false);
            }
            None => {}
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
        let senders = [self.ringing.as_mut().map(|ringing| &mut ringing.reliable), self.late_prack.as_mut()];
        senders.into_iter().flatten().any(|sender| sender.prack(rack).is_ok())
    }

    fn go_on_after_prack(&mut self, step: &mut Step<'_>) {
        let Some(ringing) = &mut self.ringing else { return };
        if let Some(response) = ringing.reliable.next(step.now, &step.policy.timers) {
            step.respond(ringing.transaction, response);
        }
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
    pub(crate) fn expect_late_prack(&mut self, mut reliable: ReliableSender) {
        reliable.finish();
        self.late_prack = reliable.unacknowledged().is_some().then_some(reliable);
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
        let reliable = rseq_of(response.headers());
        if reliable.is_some_and(|rseq| calling.acknowledged.receiver.received(rseq) != ReceivedProvisional::New) {
            return;
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
