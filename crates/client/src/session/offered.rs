//! Reading the peer's descriptions: which streams an offer has, and whether one of them can be used.

use sdp::{
    Agreement, Attribute, Direction, MediaDescription, MediaType, NotAcceptable, OfferAnswer, Protocol,
    SessionDescription,
};
use sip_message::{Headers, Request};

use super::call::is_description;
use super::core::Session;
use super::wrapping::described;
use crate::media::FileDescription;
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

/// The kinds of streams that an offer has. A file has a session of its own: beside other streams it is left.
pub(super) fn streams_of(offer: &SessionDescription) -> Streams {
    let has = |kind| index_of(offer, kind).is_some();
    let (audio, chat) = (has(StreamKind::Audio), has(StreamKind::Chat));
    Streams { audio, chat, file: !audio && !chat && has(StreamKind::File) }
}

/// The index of the m-line that counts for a kind of stream: the first one of several, which is also the one that is
/// answered.
pub(super) fn index_of(offer: &SessionDescription, kind: StreamKind) -> Option<usize> {
    offer.media.iter().position(|media| !media.is_disabled() && is_for(media, kind))
}

fn is_for(media: &MediaDescription, kind: StreamKind) -> bool {
    match kind {
        StreamKind::Audio => media.media == MediaType::Audio && media.protocol.is_rtp(),
        StreamKind::Chat => is_msrp(media) && !is_file(media),
        // Only one that the peer sends; what it would have of us it has to ask our user for.
        StreamKind::File => {
            is_msrp(media) && is_file(media) && media.attributes.direction() == Some(Direction::SendOnly)
        }
    }
}

/// RFC 4975 §8: without a path there is nobody to talk to.
fn is_msrp(media: &MediaDescription) -> bool {
    let is_msrp = matches!(media.protocol, Protocol::TcpMsrp | Protocol::TcpTlsMsrp);
    is_msrp && media.media == MediaType::Message && media.msrp_path().is_some()
}

/// RFC 5547 §6.
fn is_file(media: &MediaDescription) -> bool {
    media.attributes.has("file-selector")
}

/// The file that an offer has.
pub(super) fn file_of(offer: &SessionDescription) -> Option<FileDescription> {
    let media = offer.media.get(index_of(offer, StreamKind::File)?)?;
    let file = described(media)?.file?;
    let hash = file.selector.hashes.first().map(|hash| {
        let octets: Vec<String> = hash.value.iter().map(|octet| format!("{octet:02X}")).collect();
        format!("{}:{}", hash.algorithm, octets.join(":")).into()
    });
    Some(FileDescription {
        name: file.selector.safe_name().unwrap_or_default().into(),
        content_type: file.selector.content_type.as_ref().map(|content_type| content_type.to_string().into()),
        size: file.selector.size,
        hash,
        transfer_id: file.transfer_id.unwrap_or_default().into(),
    })
}

/// Whether a stream of that kind in an offer may come to something.
pub(super) fn usable_streams(offer: &SessionDescription, codecs: &[String], encryption: Encryption) -> Streams {
    let offered = streams_of(offer);
    Streams { audio: offered.audio && has_usable_audio(offer, codecs, encryption), ..offered }
}

/// Whether an audio line of the offer may come to something: a codec that we have, and an encryption that we may use. The
/// media side has the last word.
fn has_usable_audio(offer: &SessionDescription, codecs: &[String], encryption: Encryption) -> bool {
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
    /// What a re-INVITE proposes beyond what there is: streams of a kind that the session has not, on lines that are new.
    pub(super) fn proposed_by(&self, offer: &SessionDescription) -> Streams {
        let active = self.active_streams();
        let agreement = self.exchange().and_then(OfferAnswer::agreement);
        let is_known = |index: usize| {
            let path = |side: &SessionDescription| side.media.get(index)?.msrp_path().map(str::to_owned);
            // Another path on a line of MSRP is another session; that of a connection that is lost comes to nothing.
            agreement.is_some_and(|agreement| agreement.is_enabled(index) && path(&agreement.remote) == path(offer))
        };
        let is_new = |kind| {
            let index = index_of(offer, kind).filter(|_| !active.has(kind));
            index.is_some_and(|index| !is_known(index))
        };
        Streams { audio: is_new(StreamKind::Audio), chat: is_new(StreamKind::Chat), file: false }
    }

    /// Our answer to an offer.
    pub(super) fn answer_to(
        &self,
        exchange: &OfferAnswer,
        offer: &SessionDescription,
    ) -> Result<SessionDescription, NotAcceptable> {
        let mut answer = self.capabilities().answer_in(exchange, &self.for_our_streams(offer))?;
        for (index, (ours, theirs)) in answer.media.iter_mut().zip(&offer.media).enumerate() {
            if ours.media == MediaType::Message && !ours.is_disabled() {
                answer_role(ours, theirs, exchange.agreement().filter(|agreement| agreement.is_enabled(index)), index);
            }
        }
        Ok(answer)
    }

    /// An offer with those lines alone that our streams answer: several of MSRP look the same otherwise.
    fn for_our_streams(&self, offer: &SessionDescription) -> SessionDescription {
        let ours: Vec<usize> = self
            .streams
            .iter()
            .filter(|stream| !stream.closed && stream.kind != StreamKind::Audio)
            .filter_map(|stream| stream.agreement().map(|agreed| agreed.index).or_else(|| stream.offered_at()))
            .collect();
        let mut offer = offer.clone();
        for (index, media) in offer.media.iter_mut().enumerate() {
            if media.media == MediaType::Message && !ours.contains(&index) {
                *media = media.disabled();
            }
        }
        offer
    }
}

/// Writes who connects to whom into the answer of an MSRP line (RFC 6135, RFC 4145 §4.1): a connection that there is keeps
/// its roles, whatever was said when it was made.
fn answer_role(ours: &mut MediaDescription, theirs: &MediaDescription, before: Option<&Agreement>, index: usize) {
    let Some(said) = ours.attributes.value("setup") else { return };
    let in_force = before.and_then(|agreement| {
        let of = |side: &SessionDescription| side.media.get(index)?.attributes.value("setup").map(str::to_owned);
        match (of(&agreement.local)?.as_str(), of(&agreement.remote)?.as_str()) {
            ("active", _) | ("actpass", "passive") => Some("active"),
            ("passive", _) | ("actpass", "active") => Some("passive"),
            _ => None,
        }
    });
    let role = match (theirs.attributes.value("setup"), in_force.unwrap_or(said)) {
        (Some("active"), _) => "passive",
        (Some("passive"), _) => "active",
        (Some("actpass") | None, role @ ("active" | "passive")) => role,
        (Some("actpass") | None, _) => "passive",
        (Some(_), _) => "holdconn",
    };
    if role != said
        && let Ok(attribute) = Attribute::new("setup", role)
    {
        ours.attributes.remove("setup");
        ours.attributes.push(attribute);
    }
}
