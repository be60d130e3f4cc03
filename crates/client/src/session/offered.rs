//! Reading the peer's descriptions: which streams an offer has, and whether one of them can be used.

use sdp::{MediaDescription, MediaType, Protocol, SessionDescription};
use sip_message::{Headers, Request};

use super::call::is_description;
use super::core::Session;
use crate::settings::Encryption;
use crate::streams::{StreamKind, Streams};

/// The description in a message, if it has one that can be read.
pub(super) fn description(headers: &Headers, body: &[u8]) -> Option<SessionDescription> {
    if body.is_empty() || !is_description(headers) {
        return None;
    }
    SessionDescription::parse(body).ok()
}

/// The description in a request.
pub(super) fn offer_of(request: &Request) -> Option<SessionDescription> {
    description(request.headers(), request.body())
}

/// The kinds of streams that an offer has.
pub(super) fn streams_of(offer: &SessionDescription) -> Streams {
    let enabled = || offer.media.iter().filter(|media| !media.is_disabled());
    Streams {
        audio: enabled().any(|media| media.media == MediaType::Audio && media.protocol.is_rtp()),
        chat: enabled().any(is_chat),
    }
}

fn is_chat(media: &MediaDescription) -> bool {
    media.media == MediaType::Message && matches!(media.protocol, Protocol::TcpMsrp | Protocol::TcpTlsMsrp)
}

/// The index of the m-line that counts for a kind of stream: the first one of several, which is also the one that is
/// answered.
pub(super) fn index_of(offer: &SessionDescription, kind: StreamKind) -> Option<usize> {
    let counts = |media: &MediaDescription| match kind {
        StreamKind::Audio => media.media == MediaType::Audio && media.protocol.is_rtp(),
        StreamKind::Chat => is_chat(media),
    };
    offer.media.iter().position(|media| !media.is_disabled() && counts(media))
}

/// Whether an audio line of the offer may come to something: a codec that we have, and an encryption that we may use. The
/// media side has the last word.
pub(super) fn has_usable_audio(offer: &SessionDescription, codecs: &[String], encryption: Encryption) -> bool {
    let usable = |media: &MediaDescription| {
        let known = media.codecs().iter().any(|codec| codecs.iter().any(|name| codec.is_named(name)));
        let dtls = matches!(media.protocol, Protocol::UdpTlsRtpSavp | Protocol::UdpTlsRtpSavpf);
        let keys = dtls || media.attributes.has("crypto") || has_fingerprint(offer, media);
        let secure = match encryption {
            Encryption::Disabled => !media.protocol.is_secure() && !dtls,
            Encryption::SdesMandatory | Encryption::DtlsMandatory => keys,
            _ => true,
        };
        !media.is_disabled() && media.media == MediaType::Audio && media.protocol.is_rtp() && known && secure
    };
    offer.media.iter().any(usable)
}

fn has_fingerprint(offer: &SessionDescription, media: &MediaDescription) -> bool {
    offer.attributes.has("fingerprint") || media.attributes.has("fingerprint")
}

impl Session {
    /// What a re-INVITE proposes beyond what there is: streams of a kind that the session has not.
    pub(super) fn proposed_by(&self, offer: &SessionDescription) -> Streams {
        let active = self.active_streams();
        // Chat has its place here; as long as it can't be used, its m-line is answered with port zero.
        Streams { audio: !active.audio && streams_of(offer).audio, chat: false }
    }
}
