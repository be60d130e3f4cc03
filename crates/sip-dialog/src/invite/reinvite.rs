//! re-INVITE, from both sides: RFC 3261 §14, RFC 6141.

use sip_message::{Method, Request, Response, StatusCode};

use super::api::{Event, Misuse, ServerKey, Step};
use super::info::add_recv_info;
use super::negotiation::Received;
use super::prack::Acknowledged;
use super::session::{Calling, How, Phase, Ringing, Session, add_contact, is_challenge, set_retry_after};
use super::uac::offers_100rel;
use crate::fields::{self, is_description};
use crate::reliable::ReliableSender;
use crate::session_timer::SessionTimer;

impl Session {
    // ----- ours -----

    /// Sends a re-INVITE (RFC 3261 §14.1).
    pub(crate) fn send_reinvite(&mut self, step: &mut Step<'_>, mut request: Request, how: How) -> Result<(), Misuse> {
        if self.phase != Phase::Established {
            return Err(Misuse::NotConfirmed);
        }
        // "A UAC MUST NOT initiate a new INVITE transaction within a dialog while another INVITE transaction is in
        // progress in either direction."
        if self.invite_in_progress() {
            return Err(Misuse::InviteInProgress);
        }
        if let Some(negotiation) = &mut self.negotiation {
            if negotiation.pending().is_some() {
                return Err(Misuse::UpdateInProgress);
            }
            negotiation.invite_began();
            match negotiation.sending(sdp::carriage::MessageKind::Invite, request.headers(), request.body()) {
                Ok(Some(stamped)) => set_description(&mut request, stamped),
                Ok(None) => {}
                Err(misuse) => {
                    negotiation.invite_ended(false);
                    return Err(misuse);
                }
            }
        }
        add_contact(request.headers_mut(), step);
        add_recv_info(request.headers_mut(), step.policy);
        offers_100rel(request.headers_mut(), step.policy);
        self.timer.ask(request.headers_mut(), &step.policy.session_timer);
        self.number(&mut request)?;
        let transaction = step.request(request.clone());
        self.calling = Some(Calling {
            transaction,
            request,
            initial: false,
            acknowledged: Acknowledged::default(),
            provisional: false,
            cancelled: false,
            after_glare: how == How::AfterGlare,
            own: how == How::Refresh,
        });
        Ok(())
    }

    /// A response to it.
    pub(crate) fn reinvite_response(&mut self, step: &mut Step<'_>, response: Response) {
        let status = response.status();
        if status.is_success() && self.is_repeated_success(step, &response) {
            return;
        }
        if self.calling.is_none() {
            return;
        }
        if status.is_provisional() {
            self.provisional_received(step, response);
        } else if status.is_success() {
            self.success_received(step, response);
        } else {
            self.reinvite_failed(step, response);
        }
    }

    fn reinvite_failed(&mut self, step: &mut Step<'_>, response: Response) {
        let Some(calling) = self.calling.take() else { return };
        self.invite_ended(false);
        if !self.is_alive() {
            return;
        }
        let status = response.status();
        let may_retry = !calling.after_glare && !calling.cancelled;
        if status == StatusCode::REQUEST_PENDING && may_retry && !calling.own {
            self.retry_later(step, calling.request);
        } else if status == StatusCode::SESSION_INTERVAL_TOO_SMALL && self.timer.enlarge(response.headers()) {
            let how = if calling.own { How::Refresh } else { How::ForUser };
            let mut request = calling.request;
            SessionTimer::remove(request.headers_mut());
            // It was sent in this state before, so that it can be sent again.
            let _ = self.send_reinvite(step, request, how);
        } else if is_challenge(status) {
            step.event(Event::Challenged { dialog: self.key, request: calling.request, response });
        } else {
            if calling.own {
                self.timer.refresh_failed(step.now);
            } else {
                step.event(Event::Response { dialog: self.key, response, ack_owed: false });
            }
            self.lose_peer(step, &Method::Invite, status);
        }
    }

    // ----- the peer's -----

    /// A re-INVITE (RFC 3261 §14.2).
    pub(crate) fn reinvite_received(&mut self, step: &mut Step<'_>, transaction: ServerKey, request: Request) {
        // "A UAS that receives a second INVITE before it sends the final response to a first INVITE with a lower CSeq
        // sequence number on the same dialog MUST return a 500 […] and MUST include a Retry-After".
        if self.ringing.is_some() {
            return self.refuse(step, transaction, &request, StatusCode::SERVER_INTERNAL_ERROR);
        }
        // "A UAS that receives an INVITE on a dialog while an INVITE it had sent on that dialog is in progress MUST
        // return a 491".
        if self.calling.is_some() {
            return self.refuse(step, transaction, &request, StatusCode::REQUEST_PENDING);
        }
        if let Some(refusal) = self.timer.refuse(&request, &step.policy.session_timer) {
            return step.respond(transaction, refusal);
        }
        if let Err(status) = self.take_offer_of_reinvite(&request) {
            return self.refuse(step, transaction, &request, status);
        }
        let cseq = fields::cseq_of(request.headers(), &Method::Invite).unwrap_or_default();
        self.ringing = Some(Ringing {
            transaction,
            request: request.clone(),
            initial: false,
            reliable: ReliableSender::new(cseq, step.random.below(u32::MAX)),
            held: None,
        });
        step.event(Event::Request { dialog: self.key, transaction, request });
    }

    fn take_offer_of_reinvite(&mut self, request: &Request) -> Result<Received, StatusCode> {
        let update_with_offer = self.update_with_offer_is_pending();
        let Some(negotiation) = &mut self.negotiation else {
            return if update_with_offer { Err(StatusCode::REQUEST_PENDING) } else { Ok(Received::Nothing) };
        };
        // An offer of either side is pending: in our 2xx whose ACK was lost (RFC 5407 §3.1.5), or in an UPDATE.
        match negotiation.pending() {
            Some(sdp::Side::Local) => return Err(StatusCode::REQUEST_PENDING),
            Some(sdp::Side::Remote) => return Err(StatusCode::SERVER_INTERNAL_ERROR),
            None => {}
        }
        negotiation.invite_began();
        let taken = negotiation.received(sdp::carriage::MessageKind::Invite, request.headers(), request.body());
        if taken.is_err() {
            negotiation.invite_ended(false);
        }
        taken
    }

    /// Refuses a request that can't be taken now. A 500 says when it may come again.
    pub(crate) fn refuse(
        &mut self,
        step: &mut Step<'_>,
        transaction: ServerKey,
        request: &Request,
        status: StatusCode,
    ) {
        let mut response = Response::to(request, status);
        if status == StatusCode::SERVER_INTERNAL_ERROR {
            set_retry_after(&mut response, step);
        }
        step.respond(transaction, response);
    }

    fn update_with_offer_is_pending(&self) -> bool {
        let mut updates = self.sent.iter().filter(|sent| *sent.request.method() == Method::Update);
        updates.any(|sent| is_description(sent.request.headers(), sent.request.body()))
    }
}

/// Puts the description with its right version in the place of the user's.
pub(crate) fn set_description(request: &mut Request, octets: bytes::Bytes) {
    request.set_body("application/sdp", octets).expect("the content type has no line break");
}
