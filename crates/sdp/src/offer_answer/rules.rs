//! What an offer must keep of the agreement (RFC 3264 §8) and an answer of its offer
//! (§6). Secrecy: RFC 4568 §5.1.2.

use super::agreement::{Agreement, codecs_of_answer};
use super::protection::chosen_line;
use super::{Revision, Side};
use crate::attribute::{Crypto, Fingerprint, Setup, TypedAttribute};
use crate::codec::PayloadType;
use crate::connection::{AddressClass, ConnectionData};
use crate::description::SessionDescription;
use crate::media::{MediaDescription, Protocol};
use std::fmt;

/// Who broke which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Local: the caller asked for something that must not be sent. Remote: the
    /// peer sent something that it must not.
    pub by: Side,
    /// The rule.
    pub rule: Rule,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// An offer while ours is pending (RFC 3264 §4). From the peer: glare.
    LocalOfferIsPending,
    /// An offer while the peer's is pending (RFC 3264 §4).
    RemoteOfferIsPending,
    /// An answer, or a refusal, to nothing.
    NoOfferIsPending,
    /// An offer with fewer m-lines than are agreed (RFC 3264 §8).
    MediaRemoved {
        /// m-lines that there must at least be.
        expected: usize,
        /// m-lines that came.
        found: usize,
    },
    /// An answer with more or fewer m-lines than its offer (RFC 3264 §6).
    MediaCount {
        /// m-lines of the offer.
        expected: usize,
        /// m-lines of the answer.
        found: usize,
    },
    /// An answer whose m-line is of another media type (RFC 3264 §6.1).
    MediaTypeChanged {
        /// Index of the m-line.
        media: usize,
    },
    /// An answer whose m-line has another transport (RFC 3264 §6).
    ProtocolChanged {
        /// Index of the m-line.
        media: usize,
    },
    /// An answer that accepts a stream offered with port zero (RFC 3264 §8.2).
    DisabledStreamAccepted {
        /// Index of the m-line.
        media: usize,
    },
    /// An answer whose direction the offer does not permit (RFC 3264 §6.1).
    DirectionNotPermitted {
        /// Index of the m-line.
        media: usize,
    },
    /// An answer without any of the offered formats (RFC 3264 §6.1).
    NoCommonFormat {
        /// Index of the m-line.
        media: usize,
    },
    /// A multicast stream changed, or answered by unicast or the other way round
    /// (RFC 3264 §6.1, §6.2).
    MulticastChanged {
        /// Index of the m-line.
        media: usize,
    },
    /// An answer whose `a=crypto` is none of those offered (RFC 4568 §5.1.2).
    CryptoNotOffered {
        /// Index of the m-line.
        media: usize,
    },
    /// An answer whose `a=setup` the offer does not permit (RFC 4145 §4.1).
    SetupNotPermitted {
        /// Index of the m-line.
        media: usize,
    },
    /// An answer with another `t=` line (RFC 3264 §6).
    TimesChanged,
    /// A dynamic payload type that meant another codec before (RFC 3264 §8.3.2).
    PayloadTypeRemapped {
        /// Index of the m-line.
        media: usize,
        /// The number.
        payload_type: PayloadType,
    },
    /// An `o=` line that is not the next version of the one before, or a change
    /// without a new version (RFC 3264 §8).
    OriginIrregular,
}

/// How strictly the peer is judged. We ourselves are always judged strictly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// As RFC 3264 says.
    Strict,
    /// What the field does and media survives is let pass: versions that jump or
    /// stand still, remapped payload types, answers of a direction that the offer
    /// does not permit (the permitted part of it is in force; RFC 4317 §3.2 itself
    /// prints one), DTLS roles, tags of keys and `t=` lines that do not fit.
    #[default]
    Tolerant,
}

impl Violation {
    pub(super) fn local(rule: Rule) -> Violation {
        Violation { by: Side::Local, rule }
    }

    pub(super) fn remote(rule: Rule) -> Violation {
        Violation { by: Side::Remote, rule }
    }

    /// The status code to refuse the peer's offer with: 491 for glare, 500 (with a
    /// Retry-After) for an offer that came before we answered the last one
    /// (RFC 3311 §5.2, RFC 3261 §14.2), 488 for one we cannot accept. `None` where
    /// the violation is ours, or is an answer, to which there is no response.
    pub fn status(&self) -> Option<u16> {
        match (self.by, &self.rule) {
            (Side::Local, _) => None,
            (Side::Remote, Rule::LocalOfferIsPending) => Some(491),
            (Side::Remote, Rule::RemoteOfferIsPending) => Some(500),
            (Side::Remote, Rule::MediaRemoved { .. } | Rule::PayloadTypeRemapped { .. } | Rule::OriginIrregular) => {
                Some(488)
            }
            (Side::Remote, _) => None,
        }
    }
}

/// RFC 3264 §8: the number of m-lines never decreases. Type, transport, address
/// and formats of a stream may all change (§8.3).
pub(super) fn check_offer(offer: &SessionDescription, agreed: Option<&Agreement>) -> Result<(), Rule> {
    let expected = agreed.map_or(0, |agreed| agreed.local.media.len());
    let found = offer.media.len();
    if found < expected {
        return Err(Rule::MediaRemoved { expected, found });
    }
    Ok(())
}

pub(super) fn check_revision(revision: Revision) -> Result<(), Rule> {
    match revision {
        Revision::First | Revision::Unchanged | Revision::Next => Ok(()),
        Revision::Irregular => Err(Rule::OriginIrregular),
    }
}

/// RFC 3264 §6.
pub(super) fn check_answer(
    offer: &SessionDescription,
    answer: &SessionDescription,
    strictness: Strictness,
) -> Result<(), Rule> {
    let (expected, found) = (offer.media.len(), answer.media.len());
    if expected != found {
        return Err(Rule::MediaCount { expected, found });
    }
    if strictness == Strictness::Strict && offer.times != answer.times {
        return Err(Rule::TimesChanged);
    }
    for (media, (offered, answered)) in offer.media.iter().zip(&answer.media).enumerate() {
        let stream = Stream { media, offer, offered, answer, answered };
        stream.check(strictness)?;
    }
    Ok(())
}

/// One m-line of an offer with its answer.
struct Stream<'a> {
    media: usize,
    offer: &'a SessionDescription,
    offered: &'a MediaDescription,
    answer: &'a SessionDescription,
    answered: &'a MediaDescription,
}

impl Stream<'_> {
    fn check(&self, strictness: Strictness) -> Result<(), Rule> {
        let media = self.media;
        if self.offered.media != self.answered.media {
            return Err(Rule::MediaTypeChanged { media });
        }
        if self.answered.is_disabled() {
            // All else of it is ignored (§6).
            return Ok(());
        }
        if self.offered.protocol != self.answered.protocol {
            return Err(Rule::ProtocolChanged { media });
        }
        if self.offered.is_disabled() {
            return Err(Rule::DisabledStreamAccepted { media });
        }
        if !self.has_common_format() {
            return Err(Rule::NoCommonFormat { media });
        }
        if !self.crypto_was_offered(strictness) {
            return Err(Rule::CryptoNotOffered { media });
        }
        self.check_multicast()?;
        if strictness == Strictness::Strict {
            if !self.direction_is_permitted() {
                return Err(Rule::DirectionNotPermitted { media });
            }
            if !self.setup_is_permitted() {
                return Err(Rule::SetupNotPermitted { media });
            }
        }
        Ok(())
    }

    fn has_common_format(&self) -> bool {
        if !self.offered.protocol.is_rtp() {
            let wildcard = |media: &MediaDescription| media.formats.iter().any(|f| f == "*");
            return wildcard(self.offered)
                || wildcard(self.answered)
                || self.answered.formats.iter().any(|format| self.offered.formats.contains(format));
        }
        let offered = self.offered.codecs();
        let answered = codecs_of_answer(self.offered, self.answered);
        let same_codec = answered.iter().any(|codec| offered.iter().any(|other| other.same_mapping(codec)));
        // Numbers that neither side explains can only be compared as such.
        let unexplained = |format: &&crate::Token| {
            PayloadType::parse(format).is_none_or(|number| answered.iter().all(|codec| codec.payload_type != number))
        };
        same_codec
            || self.answered.formats.iter().filter(unexplained).any(|format| self.offered.formats.contains(format))
    }

    /// An answer chooses one of the offered lines by its tag and keeps its suite. A wrong tag with an offered suite
    /// leaves no doubt which line is meant. Where the transport is plain, keys that do not fit are none.
    fn crypto_was_offered(&self, strictness: Strictness) -> bool {
        let sdes = matches!(self.offered.protocol, Protocol::RtpSavp | Protocol::RtpSavpf);
        let dtls = self.answer.attribute_of::<Fingerprint>(self.answered).is_some();
        if !sdes || dtls || !self.offered.attributes.has(Crypto::NAME) {
            return true;
        }
        let one = self.answered.attributes.values(Crypto::NAME).count() == 1;
        match chosen_line(self.offered, self.answered) {
            Some((offered, answered)) => strictness == Strictness::Tolerant || (one && offered.tag == answered.tag),
            None => false,
        }
    }

    fn check_multicast(&self) -> Result<(), Rule> {
        let offered = self.offer.connection_of(self.offered);
        let answered = self.answer.connection_of(self.answered);
        let multicast =
            |connection: Option<&ConnectionData>| connection.is_some_and(|c| c.class() == AddressClass::Multicast);
        let kept = match (multicast(offered), multicast(answered)) {
            (false, false) => true,
            (true, true) => offered == answered && self.offered.port == self.answered.port,
            _ => false,
        };
        kept.then_some(()).ok_or(Rule::MulticastChanged { media: self.media })
    }

    fn direction_is_permitted(&self) -> bool {
        let offered = self.offer.direction_of(self.offered);
        let answered = self.answer.direction_of(self.answered);
        let class = self.offer.connection_of(self.offered).map(ConnectionData::class);
        match class {
            // All members of a group see the stream alike (§6.2).
            Some(AddressClass::Multicast) => offered == answered,
            _ => offered.permits(answered),
        }
    }

    fn setup_is_permitted(&self) -> bool {
        let offered = self.offer.attribute_of::<Setup>(self.offered);
        let answered = self.answer.attribute_of::<Setup>(self.answered);
        match (offered, answered) {
            (Some(offered), Some(answered)) => offered.permits(answered),
            _ => true,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.by {
            Side::Local => "we",
            Side::Remote => "the peer",
        };
        write!(f, "offer/answer, broken by {who}: {}", self.rule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Rule::*;
        match self {
            LocalOfferIsPending => f.write_str("our offer is pending"),
            RemoteOfferIsPending => f.write_str("the peer's offer is pending"),
            NoOfferIsPending => f.write_str("no offer is pending"),
            MediaRemoved { expected, found } => {
                write!(f, "{found} m-lines offered where {expected} are agreed")
            }
            MediaCount { expected, found } => {
                write!(f, "{found} m-lines answer {expected}")
            }
            MediaTypeChanged { media } => write!(f, "m-line {media} answers another media type"),
            ProtocolChanged { media } => write!(f, "m-line {media} answers another transport"),
            DisabledStreamAccepted { media } => {
                write!(f, "m-line {media} was offered with port zero")
            }
            DirectionNotPermitted { media } => {
                write!(f, "m-line {media} answers a direction that was not offered")
            }
            NoCommonFormat { media } => write!(f, "m-line {media} answers no offered format"),
            MulticastChanged { media } => write!(f, "m-line {media} changes a multicast stream"),
            CryptoNotOffered { media } => write!(f, "m-line {media} answers no offered crypto"),
            SetupNotPermitted { media } => {
                write!(f, "m-line {media} answers a setup role that was not offered")
            }
            TimesChanged => f.write_str("the answer changes the t= line"),
            PayloadTypeRemapped { media, payload_type } => {
                write!(f, "m-line {media} gives payload type {payload_type} another meaning")
            }
            OriginIrregular => f.write_str("the o= line is not the next version"),
        }
    }
}

impl std::error::Error for Violation {}
