//! What comes before the answer: ringing, progress, and early media (RFC 3960).
//!
//! A description in a 180 or 183 is the answer when the response is reliable (RFC 3262 §5), and only foreshadows it
//! otherwise (RFC 3261 §13.2.1); its media are played either way, until the 2xx says what is to be.

use std::sync::Arc;

use sdp::{Agreement, OfferAnswer, Side};
use sip_dialog::invite::{Body, DialogKey, Input};
use sip_message::{Response, StatusCode};

use super::agreement::with_session_level;
use super::core::Session;
use super::media_side::media_type;
use super::offered;
use super::work::Work;
use super::{State, call};
use crate::media::{MediaCommand, Sound};
use crate::notification::Data;
use crate::streams::StreamKind;

impl Session {
    /// A provisional response to the INVITE that began the session.
    pub(super) fn provisional(&mut self, work: &mut Work<'_>, dialog: Option<DialogKey>, response: &Response) {
        if self.state != State::Calling {
            return;
        }
        self.note_route(work);
        let has_media = dialog.is_some_and(|dialog| self.play_early_media(work, dialog, response));
        if response.status() == StatusCode::RINGING {
            self.post(work, Data::SessionGotRingIndication);
        }
        self.tell_transferor(work, Some(response.status()), response.reason());
        let reason = response.reason().into();
        self.post(work, Data::SessionGotProvisionalResponse { code: response.status(), reason });
        if has_media {
            self.play(work, Sound::Silence);
        } else if response.status() == StatusCode::RINGING && !self.has_early_media() {
            self.play(work, Sound::Ringback);
        }
    }

    /// Answers an offer in a reliable provisional response.
    pub(super) fn answer_provisional(&mut self, work: &mut Work<'_>, dialog: DialogKey, response: &Response) {
        let exchange = self.call.as_ref().and_then(|call| call.usage.offer_answer(dialog));
        let offer = offered::description(response.headers(), response.body());
        let answer = offer.zip(exchange).and_then(|(offer, exchange)| self.answer_to(exchange, &offer).ok());
        let body = answer.map(|answer| Body::sdp(self.with_session_attributes(answer)));
        let _ = self.step(work, Input::AcknowledgeProvisional { dialog, body });
    }

    fn has_early_media(&self) -> bool {
        self.applied.is_some()
    }

    /// Lets the media of a fork be heard. Whether there are any.
    fn play_early_media(&mut self, work: &mut Work<'_>, dialog: DialogKey, response: &Response) -> bool {
        let Some(agreement) = self.early_agreement(dialog, response) else { return false };
        if self.applied.as_ref() == Some(&agreement) {
            return true;
        }
        let remote = Arc::new(agreement.remote.clone());
        let agreed = agreement.streams();
        let mut any = false;
        // What goes over MSRP waits for the answer: it is nothing that one would miss the beginning of.
        let audio = self.streams.iter().filter(|stream| stream.kind == StreamKind::Audio);
        for stream in audio.filter(|stream| !stream.closed) {
            let kind = media_type(stream.kind);
            let Some(of_line) = agreed.iter().find(|of_line| of_line.enabled && of_line.media == kind) else {
                continue;
            };
            any = true;
            work.books.media.push_back(MediaCommand::Apply {
                stream: stream.id,
                agreement: Box::new(of_line.clone()),
                local: Box::new(with_session_level(&agreement.local, of_line.index)),
                remote: Arc::clone(&remote),
                early: true,
            });
        }
        if any {
            self.applied = Some(agreement);
        }
        any
    }

    /// What the fork has agreed to, or what it will.
    fn early_agreement(&self, dialog: DialogKey, response: &Response) -> Option<Agreement> {
        let exchange = self.call.as_ref()?.usage.offer_answer(dialog)?;
        if let Some(agreement) = exchange.agreement() {
            return Some(agreement.clone());
        }
        let foreshadowed = offered::description(response.headers(), response.body())?;
        let (Side::Local, local) = exchange.pending_offer()? else { return None };
        // It is read as the answer that it announces, by a copy of the machine.
        let mut preview: OfferAnswer = exchange.clone();
        preview.handle(sdp::Input::RemoteAnswer(foreshadowed)).ok()?;
        let agreement = preview.agreement()?.clone();
        (agreement.local == *local).then_some(agreement)
    }

    /// Which of the routes has answered.
    pub(super) fn note_route(&mut self, work: &Work<'_>) {
        let Some(client) = self.call.as_ref().and_then(call::Call::initial_invite) else { return };
        let Some(sip_endpoint::Destination::Target { target, .. }) = work.endpoint.destination_of(client) else {
            return;
        };
        let taken = |route: &&super::Route| route.addr == target.addr && route.transport == target.transport;
        let given = self.routes.iter().find(taken).cloned();
        self.route = Some(given.unwrap_or_else(|| super::Route {
            addr: target.addr,
            transport: target.transport,
            tls_name: target.server_name.clone(),
        }));
    }
}
