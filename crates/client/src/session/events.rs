//! What the call usage tells, and whom it concerns.

use sip_dialog::invite::{DialogKey, Event, Failure, Input, ServerKey};
use sip_dialog::subscription::NotifierInput;
use sip_message::{HeaderName, Method, Request, Response, StatusCode};

use super::core::Session;
use super::work::Work;
use super::{State, call};

impl Session {
    /// The usage tells something.
    pub(super) fn happened(&mut self, work: &mut Work<'_>, event: Event) {
        match event {
            Event::Provisional { dialog, response, prack_owed } => {
                if let (Some(dialog), true) = (dialog, prack_owed) {
                    self.answer_provisional(work, dialog, &response);
                }
                if self.dialog.is_none() {
                    self.provisional(work, dialog, &response);
                }
            }
            Event::Answered { dialog, response, ack_owed } => self.answered(work, dialog, &response, ack_owed),
            Event::Rejected { status, response } => self.rejected(work, status, response),
            Event::Response { dialog, response, ack_owed } => {
                if ack_owed {
                    // Our re-INVITEs have offers: what is owed is no answer.
                    let _ = self.step(work, Input::Acknowledge { dialog, body: None });
                }
                self.response(work, &response);
            }
            Event::Challenged { dialog, request, response } => {
                if !self.challenged(work, dialog, request.clone(), &response) {
                    self.unanswered_challenge(work, &request, &response);
                }
            }
            Event::NoResponse { method, failure, .. } => {
                // An INVITE or UPDATE without response ends the session; that is told apart.
                if !matches!(method, Method::Invite | Method::Update) {
                    self.request_is_lost(work, &method, failure);
                }
            }
            Event::Request { dialog, transaction, request } => self.asked(work, dialog, transaction, request),
            Event::Acknowledged { ack, .. } => self.acknowledged(work, &ack),
            Event::ProvisionalAcknowledged { .. } => self.follow_if_up(work),
            // The INVITE was refused with it; that is told as the end of its dialog.
            Event::ProvisionalNotAcknowledged { .. } => {
                let status = StatusCode::SERVER_TIMEOUT;
                self.invitation = None;
                self.fail_locally(work, Some(status), "No PRACK received".into());
            }
            Event::Cancelled { cancel, .. } => self.cancelled(work, &cancel),
            Event::GlareRetryWaits { wait, .. } => self.glare_waits(work, wait),
            Event::RefreshDue { .. } => self.refresh(work),
            Event::Terminated { dialog, reason } => {
                let is_ours = self.dialog == Some(dialog);
                self.dialog_is_over(work, is_ours, reason);
            }
        }
    }

    /// A final response to a request of ours in the dialog.
    fn response(&mut self, work: &mut Work<'_>, response: &Response) {
        match call::method_of(response) {
            Some(Method::Invite) => self.reinvite_was_answered(work, response),
            Some(Method::Message) => self.message_was_answered(work, response),
            Some(Method::Refer) => self.refer_was_answered(work, response),
            Some(Method::Notify) => self.notify_was_answered(work, NotifierInput::ResponseReceived(response.clone())),
            // UPDATE and PRACK are the usage's own; what they changed is followed with every step.
            _ => {}
        }
    }

    /// A challenge to a request of ours that has no answer: the request has failed with it.
    fn unanswered_challenge(&mut self, work: &mut Work<'_>, request: &Request, response: &Response) {
        match request.method() {
            Method::Invite => self.reinvite_was_answered(work, response),
            Method::Message => self.message_was_answered(work, response),
            Method::Refer => self.refer_was_answered(work, response),
            Method::Bye => self.bye_was_refused(work),
            _ => {}
        }
    }

    /// A request of ours gets no response.
    fn request_is_lost(&mut self, work: &mut Work<'_>, method: &Method, failure: Failure) {
        let status = failure.status();
        match method {
            Method::Message => self.message_is_lost(work, status),
            Method::Refer => self.transfer_failed(work, Some(status), status.reason_phrase()),
            Method::Notify => self.notify_was_answered(work, NotifierInput::RequestFailed(failure)),
            _ => {}
        }
    }

    /// A request of the peer's that wants our response.
    fn asked(&mut self, work: &mut Work<'_>, dialog: DialogKey, transaction: ServerKey, request: Request) {
        let other_fork = self.dialog.is_some_and(|ours| ours != dialog);
        if other_fork || matches!(self.state, State::Terminating | State::Terminated) {
            // It is being left, or its BYE only waits for an ACK.
            let response = Response::to(&request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
            self.respond(work, transaction, response);
            return;
        }
        match request.method() {
            Method::Invite => self.reinvited(work, transaction, request),
            Method::Update | Method::Prack => self.answer_offer_within(work, dialog, transaction, request),
            Method::Info => self.got_info(work, transaction, &request),
            Method::Message => self.got_message(work, transaction, &request),
            Method::Refer => self.got_refer(work, transaction, request),
            Method::Notify => self.got_notify(work, transaction, &request),
            Method::Options => {
                let mut response = Response::to(&request, StatusCode::OK);
                call::introduce(response.headers_mut());
                let _ = response.headers_mut().set(HeaderName::Accept, "application/sdp");
                self.respond(work, transaction, response);
            }
            Method::Subscribe => {
                self.respond(work, transaction, Response::to(&request, StatusCode::BAD_EVENT));
            }
            _ => {
                let mut response = Response::to(&request, StatusCode::METHOD_NOT_ALLOWED);
                call::introduce(response.headers_mut());
                self.respond(work, transaction, response);
            }
        }
    }

    fn follow_if_up(&mut self, work: &mut Work<'_>) {
        if self.state == State::Accepting {
            self.begin_if_answered(work);
        }
    }
}
