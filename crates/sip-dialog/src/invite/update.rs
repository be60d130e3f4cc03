//! UPDATE: RFC 3311. It changes session or target before and after the answer, without a three-way handshake.

use sdp::carriage::MessageKind;
use sip_message::{Method, Request, Response, StatusCode};

use super::api::{Event, Misuse, ServerKey, Step};
use super::reinvite::set_description;
use super::session::{How, Sent, Session, add_contact, is_challenge};
use crate::fields::is_description;
use crate::session_timer::SessionTimer;

impl Session {
    // ----- ours -----

    /// Sends an UPDATE (RFC 3311 §5.1).
    pub(crate) fn send_update(&mut self, step: &mut Step<'_>, mut request: Request, how: How) -> Result<(), Misuse> {
        if self.sent.iter().any(|sent| *sent.request.method() == Method::Update) {
            return Err(Misuse::UpdateInProgress);
        }
        if let Some(negotiation) = &mut self.negotiation
            && let Some(stamped) = negotiation.sending(MessageKind::Update, request.headers(), request.body())?
        {
            set_description(&mut request, stamped);
        }
        add_contact(request.headers_mut(), step);
        self.timer.ask(request.headers_mut(), &step.policy.session_timer);
        let sent = self.send_other(step, request, how);
        if sent.is_err() {
            self.refuse_offer_of(&Method::Update);
        }
        sent
    }

    /// Its final response.
    pub(crate) fn update_response(&mut self, step: &mut Step<'_>, sent: Sent, response: Response) {
        let status = response.status();
        if status.is_success() {
            return self.update_succeeded(step, sent, response);
        }
        self.refuse_offer_of(&Method::Update);
        if !self.is_alive() {
            return;
        }
        if status == StatusCode::REQUEST_PENDING && !sent.after_glare && !sent.own {
            self.retry_later(step, sent.request);
        } else if status == StatusCode::SESSION_INTERVAL_TOO_SMALL && self.timer.enlarge(response.headers()) {
            let how = if sent.own { How::Refresh } else { How::ForUser };
            let mut request = sent.request;
            SessionTimer::remove(request.headers_mut());
            // It was sent in this state before, so that it can be sent again.
            let _ = self.send_update(step, request, how);
        } else if is_challenge(status) {
            step.event(Event::Challenged { dialog: self.key, request: sent.request, response });
        } else {
            if sent.own {
                self.timer.refresh_failed(step.now);
            } else {
                step.event(Event::Response { dialog: self.key, response, ack_owed: false });
            }
            self.lose_peer(step, &Method::Update, status);
        }
    }

    fn update_succeeded(&mut self, step: &mut Step<'_>, sent: Sent, response: Response) {
        if !self.is_alive() {
            return;
        }
        self.peer.learn(response.headers());
        self.dialog.refresh_target(response.headers());
        if let Some(negotiation) = &mut self.negotiation
            && negotiation.received(MessageKind::UpdateSuccess, response.headers(), response.body()).is_err()
        {
            negotiation.refused(MessageKind::Update);
        }
        self.timer.learn(step.now, &step.policy.session_timer, sent.request.headers(), response.headers());
        if !sent.own {
            step.event(Event::Response { dialog: self.key, response, ack_owed: false });
        }
    }

    // ----- the peer's -----

    /// An UPDATE (RFC 3311 §5.2).
    pub(crate) fn update_received(&mut self, step: &mut Step<'_>, transaction: ServerKey, request: Request) {
        // "If an UPDATE is received that contains an offer, and the UAS has generated an UPDATE/INVITE with an offer that
        // has no answer: 491"; an offer before the last one was answered: 500 with Retry-After.
        if self.waiting.iter().any(|waiting| *waiting.request.method() == Method::Update) {
            return self.refuse(step, transaction, &request, StatusCode::SERVER_INTERNAL_ERROR);
        }
        if let Some(refusal) = self.timer.refuse(&request, &step.policy.session_timer) {
            return step.respond(transaction, refusal);
        }
        if let Err(status) = self.take_offer_of_update(&request) {
            return self.refuse(step, transaction, &request, status);
        }
        if request.body().is_empty() && step.policy.answer_refreshes {
            let mut response = Response::to(&request, StatusCode::OK);
            self.grant_update(step, &request, &mut response);
            return step.respond(transaction, response);
        }
        self.ask_user(step, transaction, request);
    }

    fn take_offer_of_update(&mut self, request: &Request) -> Result<(), StatusCode> {
        let (headers, body) = (request.headers(), request.body());
        if let Some(negotiation) = &mut self.negotiation {
            return negotiation.received(MessageKind::Update, headers, body).map(|_| ());
        }
        if !is_description(headers, body) {
            return Ok(());
        }
        let has_offer = |request: &Request| is_description(request.headers(), request.body());
        let ours = self.sent.iter().any(|sent| *sent.request.method() == Method::Update && has_offer(&sent.request))
            || self.calling.as_ref().is_some_and(|calling| !calling.initial && has_offer(&calling.request));
        if ours { Err(StatusCode::REQUEST_PENDING) } else { Ok(()) }
    }

    /// Completes the user's response to an UPDATE.
    pub(crate) fn before_update_response(
        &mut self,
        step: &mut Step<'_>,
        request: &Request,
        response: &mut Response,
    ) -> Result<(), Misuse> {
        if response.status().is_success() {
            if let Some(negotiation) = &mut self.negotiation
                && let Some(stamped) =
                    negotiation.sending(MessageKind::UpdateSuccess, response.headers(), response.body())?
            {
                super::uas::set_description(response, stamped);
            }
            self.grant_update(step, request, response);
        } else if response.status().is_final() {
            self.refuse_offer_of(&Method::Update);
        }
        Ok(())
    }

    fn grant_update(&mut self, step: &mut Step<'_>, request: &Request, response: &mut Response) {
        self.dialog.refresh_target(request.headers());
        add_contact(response.headers_mut(), step);
        self.timer.grant(step.now, &step.policy.session_timer, request.headers(), response.headers_mut());
    }
}
