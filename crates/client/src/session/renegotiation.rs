//! re-INVITE and UPDATE (RFC 3261 §14, RFC 3311, RFC 6337 §3): ours are sent for a command, the peer's are answered at
//! once unless they propose something new.

use std::net::SocketAddr;

use sdp::OfferAnswer;
use sip_dialog::invite::{Body, DialogKey, Input, Misuse, ServerKey};
use sip_message::{HeaderName, Method, Request, Response, StatusCode};

use super::call;
use super::core::Session;
use super::incoming::with_warning;
use super::media_side::{Phase, media_type};
use super::offered;
use super::queue::Command;
use super::restart::Asked;
use super::work::{Alarm, Work};
use crate::error::ClientError;
use crate::media::StreamId;
use crate::streams::StreamKind;

/// What sending a re-INVITE has come to.
pub(super) enum Reinvite {
    Sent,
    /// Another one is in progress, of either side.
    Busy,
    Failed(ClientError),
}

impl Session {
    // ----- ours -----

    /// Offers what we want now.
    pub(super) fn send_reinvite(&mut self, work: &mut Work<'_>) -> Reinvite {
        let Some(exchange) = self.exchange() else { return Reinvite::Busy };
        let offer = self.with_session_attributes(self.capabilities().offer_in(exchange));
        let Some((dialog, mut request)) = self.create_request(work, Method::Invite) else {
            return Reinvite::Failed(ClientError::Dropped);
        };
        let body = Body::sdp(offer);
        if let Err(error) = request.set_body(&body.content_type, body.octets) {
            return Reinvite::Failed(ClientError::Stack(error.to_string().into()));
        }
        match self.step(work, Input::Send { dialog, request }) {
            Ok(()) => Reinvite::Sent,
            Err(Misuse::InviteInProgress | Misuse::UpdateInProgress | Misuse::NotConfirmed) => Reinvite::Busy,
            Err(misuse) => Reinvite::Failed(ClientError::Stack(misuse.to_string().into())),
        }
    }

    /// Only we know a description to refresh the session with.
    pub(super) fn refresh(&mut self, _work: &mut Work<'_>) {
        if !self.is_queued(Command::Refresh) {
            self.enqueue_own(Command::Refresh);
        }
    }

    /// ICE has found another way than the m-line says; the offerer tells it (RFC 8839 §4.4.1.2.2).
    pub(super) fn path_chosen(&mut self, work: &mut Work<'_>, id: StreamId, local: SocketAddr) {
        let we_offered = self.applied.as_ref().is_some_and(|agreement| agreement.offerer == sdp::Side::Local);
        let Some(stream) = self.stream_mut(id) else { return };
        let Phase::Active(line, _) = &mut stream.phase else { return };
        let said = (line.capability.address, line.capability.port);
        if !we_offered || said == (Some(local.ip()), local.port()) {
            return;
        }
        line.capability.address = Some(local.ip());
        line.capability.port = local.port();
        self.refresh(work);
    }

    /// Ends our side of a stream that is to be removed.
    pub(super) fn stop_stream(&mut self, work: &mut Work<'_>, kind: StreamKind) {
        let Some(id) = self.streams.iter().find(|stream| stream.kind == kind).map(|stream| stream.id) else { return };
        if kind == StreamKind::Audio {
            self.end_recording(work);
            self.clear_alarm(work, Alarm::NoAudio);
        }
        self.forget_stream(work, id);
        self.tell_streams(work);
    }

    /// The indices of the m-lines that both sides have enabled.
    fn enabled_lines(&self) -> Vec<usize> {
        let agreement = self.exchange().and_then(OfferAnswer::agreement);
        let lines = agreement.map(|agreement| (0..agreement.local.media.len(), agreement));
        let enabled = lines.map(|(lines, agreement)| lines.filter(|index| agreement.is_enabled(*index)).collect());
        enabled.unwrap_or_default()
    }

    /// Whether both sides have agreed on an m-line of that kind.
    pub(super) fn has_line(&self, kind: StreamKind) -> bool {
        let Some(agreement) = self.exchange().and_then(OfferAnswer::agreement) else { return false };
        let media = agreement.local.media.iter().enumerate();
        let mut of_kind = media.filter(|(_, media)| media.media == media_type(kind));
        of_kind.any(|(index, _)| agreement.is_enabled(index))
    }

    // ----- the peer's -----

    /// A re-INVITE has come. One that proposes nothing new is answered at once.
    pub(super) fn reinvited(&mut self, work: &mut Work<'_>, transaction: ServerKey, request: Request) {
        self.learn_peer(request.headers(), HeaderName::UserAgent);
        match offered::offer_of(&request) {
            Some(offer) => {
                let streams = self.proposed_by(&offer);
                if !streams.is_empty() {
                    return self.got_proposal(work, transaction, request, offer, streams);
                }
                let Some(dialog) = self.dialog else { return };
                let asked = Asked { dialog, transaction, request, offer };
                if let Some(asked) = self.wait_for_restart(work, asked) {
                    self.answer_asked(work, asked);
                }
            }
            None if request.body().is_empty() => {
                self.answer_reinvite(work, transaction, &request, None);
            }
            None => {
                let mut response = Response::to(&request, StatusCode::UNSUPPORTED_MEDIA_TYPE);
                let _ = response.headers_mut().set(HeaderName::Accept, "application/sdp");
                self.respond(work, transaction, response);
            }
        }
    }

    /// Answers an offer that proposes nothing new.
    pub(super) fn answer_asked(&mut self, work: &mut Work<'_>, asked: Asked) {
        let Asked { dialog, transaction, request, offer } = asked;
        match request.method() {
            Method::Invite => {
                self.answer_reinvite(work, transaction, &request, Some(&offer));
            }
            _ => self.answer_within(work, dialog, transaction, &request, &offer),
        }
    }

    /// Answers a re-INVITE with what we have. Whether it was accepted.
    pub(super) fn answer_reinvite(
        &mut self,
        work: &mut Work<'_>,
        transaction: ServerKey,
        request: &Request,
        offer: Option<&sdp::SessionDescription>,
    ) -> bool {
        let enabled_before = self.enabled_lines();
        let Some(exchange) = self.exchange() else { return false };
        let description = match offer {
            Some(offer) => self.answer_to(exchange, offer),
            None => Ok(self.capabilities().offer_in(exchange)),
        };
        let Ok(description) = description else {
            self.refuse_reinvite(work, transaction, request);
            return false;
        };
        let body = Body::sdp(self.with_session_attributes(description));
        let mut response = Response::to(request, StatusCode::OK);
        call::introduce(response.headers_mut());
        let fits = response.set_body(&body.content_type, body.octets).is_ok();
        if fits && self.respond(work, transaction, response) {
            if self.enabled_lines() != enabled_before {
                self.renew_after_glare(work);
            }
            return true;
        }
        let response = Response::to(request, StatusCode::SERVER_INTERNAL_ERROR);
        self.respond(work, transaction, response);
        false
    }

    fn refuse_reinvite(&mut self, work: &mut Work<'_>, transaction: ServerKey, request: &Request) {
        let response = Box::new(Response::to(request, StatusCode::NOT_ACCEPTABLE_HERE));
        let response = with_warning(work, response, 305, "Incompatible media format");
        self.respond(work, transaction, *response);
    }

    /// Answers the offer of an UPDATE or a PRACK, which nobody can be asked about (RFC 3311 §5.2): what is new in it is
    /// not accepted.
    pub(super) fn answer_offer_within(
        &mut self,
        work: &mut Work<'_>,
        dialog: DialogKey,
        transaction: ServerKey,
        request: Request,
    ) {
        let Some(offer) = offered::offer_of(&request) else {
            self.respond(work, transaction, Response::to(&request, StatusCode::OK));
            return;
        };
        let asked = Asked { dialog, transaction, request, offer };
        if let Some(asked) = self.wait_for_restart(work, asked) {
            self.answer_asked(work, asked);
        }
    }

    fn answer_within(
        &mut self,
        work: &mut Work<'_>,
        dialog: DialogKey,
        transaction: ServerKey,
        request: &Request,
        offer: &sdp::SessionDescription,
    ) {
        let exchange = self.call.as_ref().and_then(|call| call.usage.offer_answer(dialog));
        let answer = exchange.and_then(|exchange| self.answer_to(exchange, offer).ok());
        let Some(answer) = answer else { return self.refuse_reinvite(work, transaction, request) };
        let body = Body::sdp(self.with_session_attributes(answer));
        let mut response = Response::to(request, StatusCode::OK);
        let fits = response.set_body(&body.content_type, body.octets).is_ok();
        if !fits || !self.respond(work, transaction, response) {
            let response = Response::to(request, StatusCode::SERVER_INTERNAL_ERROR);
            self.respond(work, transaction, response);
        }
    }
}
