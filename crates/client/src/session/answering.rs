//! The answer to the INVITE that began an incoming session: its 2xx and the ACK.
//!
//! ```text
//!   accept ──► streams are prepared ──► 200 ──► GotStreamUpdate, WillStart ──► ACK ──► ESTABLISHED, DidStart
//!                    │ failed: 500             (no offer in the INVITE: its answer is in the ACK,
//!                    │ nothing in common: 488   and the streams begin then)
//!                    ▼
//!              DidFail(local), DidEnd
//! ```

use std::sync::Arc;

use sip_dialog::DialogState;
use sip_dialog::invite::Body;
use sip_message::{Request, Response, StatusCode};

use super::State;
use super::call;
use super::core::Session;
use super::incoming::with_warning;
use super::work::{Errand, Work};
use crate::notification::Data;

impl Session {
    /// The streams are prepared: the 200 goes out.
    pub(super) fn send_answer(&mut self, work: &mut Work<'_>) {
        let (Some(invitation), Some(exchange)) = (&self.invitation, self.exchange()) else { return };
        let description = match &invitation.offer {
            Some(offer) => self.answer_to(exchange, offer),
            None => Ok(self.capabilities().offer_in(exchange)),
        };
        let description = match description {
            Ok(description) => self.with_session_attributes(description),
            Err(refusals) => {
                let reason: Arc<str> = format!("SDP negotiation failed: {refusals}").into();
                return self.refuse_offer(work, reason);
            }
        };
        let (transaction, mut response) = (invitation.transaction, Response::to(&invitation.request, StatusCode::OK));
        call::introduce(response.headers_mut());
        let body = Body::sdp(description);
        let fits = response.set_body(&body.content_type, body.octets).is_ok();
        if !fits || !self.respond(work, transaction, response) {
            return self.could_not_answer(work, "the answer could not be sent".into());
        }
        self.begin_if_answered(work);
    }

    /// Begins the streams, if the 200 has been sent: it waits for the PRACK of a reliable response (RFC 3262 §3).
    pub(super) fn begin_if_answered(&mut self, work: &mut Work<'_>) {
        let dialog = self.dialog.and_then(|key| self.call.as_ref()?.usage.dialog(key));
        if self.invitation.is_none() || dialog.is_none_or(|dialog| dialog.state != DialogState::Confirmed) {
            return;
        }
        self.invitation = None;
        self.follow(work);
        self.start_time = Some(work.notices.time(work.now));
        self.post(work, Data::SessionWillStart);
    }

    /// The ACK has come.
    pub(super) fn acknowledged(&mut self, work: &mut Work<'_>, _ack: &Request) {
        if self.state != State::Accepting {
            return;
        }
        self.follow(work);
        if self.active_streams().is_empty() {
            self.say_bye(work);
            return self.fail_locally(work, None, "SDP negotiation failed: the answer can't be used".into());
        }
        self.close_unused_streams(work);
        self.set_state(work, State::Established);
        self.post(work, Data::SessionDidStart);
        self.started(work);
    }

    /// What is due once a session is up.
    pub(super) fn started(&mut self, work: &mut Work<'_>) {
        self.watch_conference(work);
        self.tell_transferor(work, Some(StatusCode::OK), StatusCode::OK.reason_phrase());
        if let Some(replaced) = self.replaces.take() {
            work.books.errands.push_back(Errand::EndReplaced(replaced));
        }
    }

    /// The media side could not make what the answer needs.
    pub(super) fn could_not_answer(&mut self, work: &mut Work<'_>, reason: Arc<str>) {
        self.refuse_invitation(work, StatusCode::SERVER_INTERNAL_ERROR);
        self.fail_locally(work, Some(StatusCode::SERVER_INTERNAL_ERROR), reason);
    }

    /// We have nothing in common.
    fn refuse_offer(&mut self, work: &mut Work<'_>, reason: Arc<str>) {
        let status = StatusCode::NOT_ACCEPTABLE_HERE;
        if let Some(invitation) = self.invitation.take() {
            let response = Box::new(Response::to(&invitation.request, status));
            let response = with_warning(work, response, 305, "Incompatible media format");
            self.respond(work, invitation.transaction, *response);
        }
        self.fail_locally(work, Some(status), reason);
    }
}
