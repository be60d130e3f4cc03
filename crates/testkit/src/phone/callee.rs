//! The called side of an INVITE: RFC 3261 §13.3, and CANCEL (§9.2).

use sip_endpoint::{Ended, ServerId};
use sip_message::header::To;
use sip_message::{HeaderName, Request, Response, StatusCode};

use super::call::Call;
use super::desk::Desk;
use super::leg::News;
use super::record::Outcome;

/// What only the callee has.
pub(crate) struct Callee {
    pub(crate) server: ServerId,
    /// The transaction can still be answered, or repeats its answer.
    pub(crate) alive: bool,
    pub(crate) invite: Request,
    pub(crate) tag: String,
    /// A final response was given.
    pub(crate) answered: bool,
}

impl Callee {
    /// §8.2.6.2: every response has our tag, so that its 1xx and its 2xx are of one dialog.
    fn response(&self, status: StatusCode) -> Response {
        let mut response = Response::to(&self.invite, status);
        // §12.1.1: the caller learns the route set from the response.
        response.headers_mut().copy_from(self.invite.headers(), HeaderName::RecordRoute);
        let to = self.invite.headers().get::<To>().and_then(Result::ok);
        if let Some(tagged) = to.and_then(|to| to.with_tag(&self.tag).ok()) {
            let tagged = tagged.to_string();
            response.headers_mut().set(HeaderName::To, tagged).expect("a To that was parsed is one line");
        }
        response
    }
}

impl Call {
    pub(crate) fn ring(&mut self, desk: &mut Desk<'_>) {
        let Some(callee) = self.callee().filter(|callee| !callee.answered) else { return };
        let mut response = callee.response(StatusCode::RINGING);
        // A phone may name its address already (RFC 3261 §12.1.1).
        super::dialog::put(response.headers_mut(), HeaderName::Contact, &format!("<{}>", desk.contact));
        let server = callee.server;
        self.record.rang |= desk.endpoint.respond(desk.now, server, response).is_ok();
    }

    /// Takes the call.
    pub(crate) fn answer(&mut self, desk: &mut Desk<'_>) {
        let id = self.id;
        let Some(callee) = self.callee_mut().filter(|callee| !callee.answered) else { return };
        callee.answered = true;
        let mut response = callee.response(StatusCode::OK);
        let (server, invite) = (callee.server, callee.invite.clone());
        desk.furnish_answer(&mut response);
        let Some(leg) = self.legs.first_mut() else { return };
        if leg.answer(desk, id, 0, server, &invite, response) {
            leg.early = false;
        } else {
            self.record.settle(Outcome::Undeliverable);
        }
    }

    /// Rejects the call.
    pub(crate) fn reject(&mut self, desk: &mut Desk<'_>, status: StatusCode) {
        if self.finish(desk, status) {
            self.record.settle(Outcome::Rejected(status));
        }
    }

    /// The caller has hung up.
    pub(crate) fn cancelled(&mut self, desk: &mut Desk<'_>) {
        if self.finish(desk, StatusCode::REQUEST_TERMINATED) {
            self.record.settle(Outcome::Cancelled);
        }
    }

    /// Gives a final response other than 2xx. Whether it was the first final one, and could be sent.
    fn finish(&mut self, desk: &mut Desk<'_>, status: StatusCode) -> bool {
        let Some(callee) = self.callee_mut().filter(|callee| !callee.answered) else { return false };
        callee.answered = true;
        let response = callee.response(status);
        let server = callee.server;
        let sent = desk.endpoint.respond(desk.now, server, response).is_ok();
        if !sent {
            self.record.settle(Outcome::Undeliverable);
        }
        sent
    }

    pub(crate) fn invite_server_ended(&mut self, reason: Ended) {
        self.record.no_ack |= reason == Ended::NoAck;
        let Some(callee) = self.callee_mut() else { return };
        callee.alive = false;
        if !callee.answered {
            callee.answered = true;
            self.record.settle(Outcome::Undeliverable);
        }
    }

    /// What a leg has found out about our first 2xx.
    pub(crate) fn learn(&mut self, desk: &mut Desk<'_>, news: Option<News>) {
        let waits = self.record.outcome.is_none() && self.callee().is_some_and(|callee| callee.answered);
        match news {
            Some(News::PeerHasAnswer) if waits => {
                self.record.settle(Outcome::Answered);
                self.follow_script_from_answer(desk);
            }
            Some(News::NobodyAcknowledged) if waits => self.record.settle(Outcome::Unacknowledged),
            _ => {}
        }
    }
}
