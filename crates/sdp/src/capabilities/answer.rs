//! Making answers (RFC 3264 §6): for each m-line of the offer one of ours, with the
//! common codecs in the offer's order under the offer's numbers, the direction that
//! both wishes allow, or port zero and a reason.

use super::{Assignment, Capabilities, Security, StreamCapability};
use crate::attribute::{ICE_NAMES, Setup};
use crate::codec::Codec;
use crate::connection::AddressClass;
use crate::description::SessionDescription;
use crate::media::MediaDescription;
use crate::offer_answer::OfferAnswer;
use std::fmt;

/// No stream of an offer can be accepted: 488 Not Acceptable Here. One reason for
/// each m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAcceptable(pub Vec<StreamRefusal>);

/// Why a stream of the offer is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamRefusal {
    /// The offer itself says port zero.
    OfferedDisabled,
    /// We have no stream of that media type and transport, or none is left.
    NotSupported,
    /// We have no codec or format in common.
    NoCommonFormat,
    /// Media may not be sent to that address, or there is none.
    Destination,
    /// Keys or fingerprint are missing, malformed or of no suite that we support.
    Security,
}

impl Capabilities {
    /// The answer to a first offer.
    pub fn answer(&self, offer: &SessionDescription) -> Result<SessionDescription, NotAcceptable> {
        self.answer_in(&OfferAnswer::new(), offer)
    }

    /// The answer to an offer within this session.
    pub fn answer_in(
        &self,
        session: &OfferAnswer,
        offer: &SessionDescription,
    ) -> Result<SessionDescription, NotAcceptable> {
        let assignment = self.assign_for_answer(session, offer);
        let mut answer = self.blank();
        // RFC 3264 §6: the time of a session cannot be negotiated.
        answer.times = offer.times.clone();
        let mut refusals = Vec::new();
        for (index, offered) in offer.media.iter().enumerate() {
            let stream = assignment.by_media.get(index).copied().flatten();
            let stream = stream.and_then(|stream| self.streams.get(stream));
            let continuing = session.continuing(index, &offered.media);
            let numbers = |codecs: &[Codec]| session.payload_types().number_answer(continuing, codecs);
            // RFC 8842 §5.5: an association that exists keeps its roles.
            let role = continuing.and_then(|_| session.agreement()?.local_setup(index));
            match self.answer_stream(stream, offer, offered, numbers, role) {
                Ok(media) => answer.media.push(media),
                Err(refusal) => {
                    refusals.push(refusal);
                    answer.media.push(offered.disabled());
                }
            }
        }
        // RFC 3264 §6: nothing in common for all streams rejects the session. An
        // offer that asked for no stream is no such case.
        let asked = offer.media.iter().any(|media| !media.is_disabled());
        if asked && refusals.len() == offer.media.len() {
            return Err(NotAcceptable(refusals));
        }
        Ok(answer)
    }

    /// Streams keep their m-lines; the others go by what suits best: a common
    /// codec, then the mere transport, then a transport without the keys that we
    /// require, so that the refusal tells the true reason.
    fn assign_for_answer(&self, session: &OfferAnswer, offer: &SessionDescription) -> Assignment {
        let mut assignment = Assignment::new(offer.media.len(), self.streams.len());
        let offered = || offer.media.iter().enumerate().filter(|(_, m)| !m.is_disabled());
        if let Some(agreement) = session.agreement() {
            for (index, media) in offered().filter(|(index, _)| agreement.is_enabled(*index)) {
                let port = agreement.local.media.get(index).map(|before| before.port);
                let same = |stream: &StreamCapability| stream.suits(offer, media) && Some(stream.port) == port;
                assignment.assign(index, &self.streams, same);
            }
        }
        for (index, media) in offered() {
            // Once for the m-line, not for each pair.
            let codecs = media.codecs();
            let suits = |stream: &StreamCapability| stream.suits(offer, media);
            assignment.assign(index, &self.streams, |stream| suits(stream) && stream.has_common_format(media, &codecs));
        }
        for (index, media) in offered() {
            assignment.assign(index, &self.streams, |stream| stream.suits(offer, media));
        }
        for (index, media) in offered() {
            assignment.assign(index, &self.streams, |stream| {
                stream.media == media.media && stream.security != Security::None && media.protocol.is_rtp()
            });
        }
        assignment
    }

    fn answer_stream(
        &self,
        stream: Option<&StreamCapability>,
        offer: &SessionDescription,
        offered: &MediaDescription,
        number: impl Fn(&[Codec]) -> Vec<Codec>,
        role: Option<Setup>,
    ) -> Result<MediaDescription, StreamRefusal> {
        if offered.is_disabled() {
            return Err(StreamRefusal::OfferedDisabled);
        }
        let stream = stream.ok_or(StreamRefusal::NotSupported)?;
        let multicast = self.check_destination(stream, offer, offered)?;
        let codecs = number(&stream.common_codecs(offered));
        let formats = stream.common_formats(offered);
        if codecs.is_empty() && formats.is_empty() {
            return Err(StreamRefusal::NoCommonFormat);
        }
        let mut media = stream.describe(offered.protocol.clone(), &codecs);
        if !offered.protocol.is_rtp() {
            media.formats = formats;
        }
        // RFC 8839 §4.3.1: only if the offer has it.
        if !offered.attributes.has("ice-ufrag") && !offer.attributes.has("ice-ufrag") {
            ICE_NAMES.into_iter().for_each(|name| media.attributes.remove(name));
        }
        if offered.protocol.is_rtp() {
            stream.security.write_answer(&mut media, offer, offered, role)?;
            let direction = offer.direction_of(offered);
            media.attributes.set_direction(if multicast {
                // All members of a group share one view (RFC 3264 §6.2).
                direction
            } else {
                direction.answer(stream.desired_direction())
            });
            // RFC 5761 §5.1.1: only if the offer has it.
            if !offered.attributes.has("rtcp-mux") {
                media.attributes.remove("rtcp-mux");
            }
        }
        if multicast {
            media.port = offered.port;
            media.connections = offer.connection_of(offered).cloned().into_iter().collect();
        }
        Ok(media)
    }

    /// Whether the address may be sent to; true if it is that of a group.
    fn check_destination(
        &self,
        stream: &StreamCapability,
        offer: &SessionDescription,
        offered: &MediaDescription,
    ) -> Result<bool, StreamRefusal> {
        let connection = offer.connection_of(offered).ok_or(StreamRefusal::Destination)?;
        let own = stream.address.unwrap_or(self.address);
        let refused = Err(StreamRefusal::Destination);
        match connection.class() {
            // Zeros are a hold, or candidates to come (RFC 3264 §8.4).
            AddressClass::Unicast | AddressClass::Unspecified | AddressClass::HostName => Ok(false),
            AddressClass::Loopback if self.destinations.loopback || own.is_loopback() => Ok(false),
            AddressClass::Multicast if self.destinations.multicast => Ok(true),
            AddressClass::Loopback | AddressClass::Multicast | AddressClass::Broadcast => refused,
        }
    }
}

impl StreamCapability {
    fn suits(&self, offer: &SessionDescription, offered: &MediaDescription) -> bool {
        let keyed = || self.protocol.is_rtp() && self.security.finds_keys_in(offer, offered);
        self.media == offered.media && (self.accepts(&offered.protocol) || keyed())
    }

    fn has_common_format(&self, offered: &MediaDescription, codecs: &[Codec]) -> bool {
        let common = |ours: &Codec| codecs.iter().any(|codec| codec.is_compatible(ours));
        self.codecs.iter().any(common) || !self.common_formats(offered).is_empty()
    }

    /// In the offer's order, each with our own parameters. Nothing, if only key
    /// presses and the like are common to a stream that offers more than that.
    fn common_codecs(&self, offered: &MediaDescription) -> Vec<Codec> {
        let offered = offered.codecs();
        let mut common: Vec<Codec> = Vec::new();
        for theirs in &offered {
            let number = theirs.payload_type;
            let listed = common.iter().any(|codec| codec.payload_type == number);
            let ours = self.codecs.iter().find(|c| c.is_compatible(theirs));
            if let (Some(ours), false) = (ours, listed) {
                common.push(ours.clone().with_payload_type(number));
            }
        }
        let conversation = |codecs: &[Codec]| codecs.iter().any(|codec| !codec.is_auxiliary());
        if conversation(&offered) && !conversation(&common) {
            common.clear();
        }
        common
    }

    /// The formats of a transport other than RTP.
    fn common_formats(&self, offered: &MediaDescription) -> Vec<crate::Token> {
        if offered.protocol.is_rtp() {
            return Vec::new();
        }
        let common = offered.formats.iter().filter(|f| self.formats.contains(f));
        common.cloned().collect()
    }
}

impl fmt::Display for NotAcceptable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no stream of the offer can be accepted:")?;
        for (media, refusal) in self.0.iter().enumerate() {
            write!(f, " m-line {media}: {refusal};")?;
        }
        Ok(())
    }
}

impl fmt::Display for StreamRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StreamRefusal::OfferedDisabled => "offered with port zero",
            StreamRefusal::NotSupported => "media type or transport not supported",
            StreamRefusal::NoCommonFormat => "no common format",
            StreamRefusal::Destination => "no address that media may be sent to",
            StreamRefusal::Security => "no acceptable key or fingerprint",
        })
    }
}

impl std::error::Error for NotAcceptable {}
