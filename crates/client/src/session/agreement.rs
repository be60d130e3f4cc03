//! What offer and answer have agreed on becomes the media side's orders, and what the application is told of it.
//!
//! The call usage knows the agreement in force, whoever's offer and whichever message brought it. After each step it is
//! held against the one that the media side runs by; so a change by UPDATE, re-INVITE or rollback needs no path of its own.

use std::sync::Arc;

use sdp::{Agreement, MediaDescription, OfferAnswer, SessionDescription, Side, StreamAgreement};

use super::core::Session;
use super::media_side::{Phase, Stream, media_type};
use super::work::{Alarm, Work};
use crate::media::{MediaCommand, StreamId};
use crate::notification::{Data, Party};
use crate::streams::StreamKind;

impl Session {
    /// The offer/answer exchange of the session's dialog.
    pub(super) fn exchange(&self) -> Option<&OfferAnswer> {
        self.call.as_ref()?.usage.offer_answer(self.dialog?)
    }

    /// Does what the agreement in force says, if that is another one than before.
    pub(super) fn follow(&mut self, work: &mut Work<'_>) {
        let Some(agreement) = self.exchange().and_then(OfferAnswer::agreement) else { return };
        if self.applied.as_ref() == Some(agreement) {
            return;
        }
        let agreement = agreement.clone();
        let held_before = self.on_hold();
        let active_before = self.active_streams();
        self.apply(work, &agreement);
        self.tell_streams(work);
        self.follow_remote_hold(work, &agreement);
        if !active_before.audio && self.active_streams().audio {
            self.watch_for_audio(work);
        }
        self.applied = Some(agreement);
        self.recording_follows_hold(work, held_before);
    }

    fn apply(&mut self, work: &mut Work<'_>, agreement: &Agreement) {
        let agreed = agreement.streams();
        let remote = Arc::new(agreement.remote.clone());
        let mut over: Vec<StreamId> = Vec::new();
        for stream in self.streams.iter_mut().filter(|stream| !stream.closed) {
            let Some(line) = stream.line().cloned() else { continue };
            let Some(ours) = line_of(stream, agreement) else {
                // One that is proposed and not agreed on yet has no m-line.
                if stream.is_active() {
                    over.push(stream.id);
                }
                continue;
            };
            let Some(of_line) = agreed.get(ours) else { continue };
            if stream.kind != StreamKind::Audio && stream.is_active() && !differs(&self.applied, agreement, ours) {
                continue;
            }
            stream.phase = Phase::Active(line, Box::new(of_line.clone()));
            work.books.media.push_back(MediaCommand::Apply {
                stream: stream.id,
                agreement: Box::new(of_line.clone()),
                local: Box::new(with_session_level(&agreement.local, ours)),
                remote: Arc::clone(&remote),
                early: false,
            });
        }
        for id in over {
            if self.audio().is_some_and(|audio| audio.id == id) {
                self.end_recording(work);
                self.clear_alarm(work, Alarm::NoAudio);
            }
            self.forget_stream(work, id);
        }
    }

    /// Whether the peer holds us: it does not want to receive (RFC 3264 §8.4).
    fn follow_remote_hold(&mut self, work: &mut Work<'_>, agreement: &Agreement) {
        let Some(audio) = self.audio().and_then(Stream::agreement) else { return };
        let mut held = audio.held_by_peer;
        if held && agreement.offerer == Side::Local && audio.held_by_us && !self.on_hold_by_remote {
            // Who is held may answer that it does not send, either (RFC 3264 §6.1): that is not yet a hold of its own.
            held = remote_address_holds(audio, agreement);
        }
        if held != self.on_hold_by_remote {
            self.on_hold_by_remote = held;
            let originator = Party::Remote;
            self.post(
                work,
                match held {
                    true => Data::SessionGotHoldRequest { originator },
                    false => Data::SessionGotUnholdRequest { originator },
                },
            );
        }
    }
}

fn remote_address_holds(audio: &StreamAgreement, agreement: &Agreement) -> bool {
    let remote = agreement.remote.media.get(audio.index);
    remote.is_some_and(|media| agreement.remote.is_held_by_address(media))
}

/// Whether an m-line says other things than before.
fn differs(before: &Option<Agreement>, agreement: &Agreement, index: usize) -> bool {
    let line = |side: &SessionDescription| side.media.get(index).cloned();
    before.as_ref().is_none_or(|before| {
        line(&before.local) != line(&agreement.local) || line(&before.remote) != line(&agreement.remote)
    })
}

/// The index of the m-line that is a stream's, if both sides have it enabled.
fn line_of(stream: &Stream, agreement: &Agreement) -> Option<usize> {
    let port = stream.line()?.capability.port;
    let kind = media_type(stream.kind);
    let mut attributes = stream.line()?.capability.attributes.iter();
    let path = attributes.find(|attribute| attribute.is("path")).and_then(sdp::Attribute::value);
    let is_its = |media: &MediaDescription| {
        media.media == kind && media.port == port && media.msrp_path() == path && !media.is_disabled()
    };
    let at = agreement.local.media.iter().position(is_its)?;
    agreement.is_enabled(at).then_some(at)
}

/// An m-line of ours, with the attributes of the session level that it does not have itself.
pub(super) fn with_session_level(description: &SessionDescription, index: usize) -> MediaDescription {
    let Some(media) = description.media.get(index) else {
        return MediaDescription::new(media_type(StreamKind::Audio), 0, sdp::Protocol::RtpAvp);
    };
    let mut media = media.clone();
    if media.connections.is_empty() {
        media.connections.extend(description.connection.clone());
    }
    for attribute in description.attributes.iter() {
        if !media.attributes.has(attribute.name()) {
            media.attributes.push(attribute.clone());
        }
    }
    media
}
