//! The session descriptions of third party call control, flow III (RFC 3725 §4.3): what each side is told, so that offer
//! and answer (RFC 3264) are right on either leg.
//!
//! ```text
//!   caller                         here                        wanted
//!     │ offer1                      │                             │
//!     ├────────────────────────────►│                             │
//!     │       answer1: black_hole() │                      offer2 │
//!     │◄────────────────────────────┤◄────────────────────────────┤
//!     │        offer2': for_caller() │                             │
//!     │◄────────────────────────────┤                             │
//!     │ answer2'                    │ answer2: for_wanted()        │
//!     ├────────────────────────────►├────────────────────────────►│
//! ```
//!
//! The caller hears of one session whose `o=` line is ours and counts every change; the wanted one hears of the caller's
//! own. The caller may have more m-lines than the wanted one; those are there as rejected ones.

use sdp::{Attributes, ConnectionData, Direction, MediaDescription, Origin, SessionDescription};
use serde::{Deserialize, Serialize};
use servlet::Durable;

/// What was said, as text: descriptions are small and seldom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Descriptions {
    /// What the caller was told last, in our name.
    to_caller: String,
    /// How many m-lines the wanted one knows.
    wanted_lines: usize,
}

impl Durable for Descriptions {
    const VERSION: u16 = 1;
}

/// The zeros that media is not sent to.
const NOWHERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// RFC 863: a port is needed, and this one discards.
const DISCARD: u16 = 9;

impl Descriptions {
    /// The answer to the caller's first offer: his streams, and no media. `session_id` is one that no other session has.
    pub(super) fn black_hole(offer: &SessionDescription, session_id: u64) -> (Descriptions, SessionDescription) {
        let mut answer = SessionDescription::new(Origin::new(session_id, NOWHERE));
        answer.times = offer.times.clone();
        answer.connection = Some(ConnectionData::new(NOWHERE));
        answer.media = offer.media.iter().map(silent).collect();
        (Descriptions { to_caller: answer.to_string(), wanted_lines: 0 }, answer)
    }

    /// What the wanted one says, for the caller.
    pub(super) fn for_caller(&mut self, mut description: SessionDescription) -> SessionDescription {
        self.wanted_lines = description.media.len();
        let Ok(last) = SessionDescription::parse(self.to_caller.as_bytes()) else { return description };
        let more = last.media.iter().skip(description.media.len()).map(MediaDescription::disabled);
        description.media.extend(more);
        description.origin = last.origin.clone();
        if description != last {
            description.origin.session_version = last.origin.session_version.saturating_add(1);
        }
        self.to_caller = description.to_string();
        description
    }

    /// What the caller was told last.
    pub(super) fn caller_knows(&self) -> &str {
        &self.to_caller
    }

    /// What the caller says, for the wanted one: without the m-lines that are there for the caller alone.
    pub(super) fn for_wanted(&mut self, mut description: SessionDescription) -> SessionDescription {
        while description.media.len() > self.wanted_lines
            && description.media.last().is_some_and(MediaDescription::is_disabled)
        {
            description.media.pop();
        }
        self.wanted_lines = description.media.len();
        description
    }
}

/// An m-line that is accepted and has no media. One whose keys would have to be made is rejected: it comes back with the
/// wanted one's offer.
fn silent(offered: &MediaDescription) -> MediaDescription {
    if offered.is_disabled() || offered.protocol.is_secure() || !offered.protocol.is_rtp() {
        return offered.disabled();
    }
    let mut attributes = Attributes::default();
    let formats = offered.attributes.iter().filter(|attribute| attribute.is("rtpmap") || attribute.is("fmtp"));
    formats.for_each(|attribute| attributes.push(attribute.clone()));
    attributes.set_direction(Direction::Inactive);
    let mut silent = MediaDescription::new(offered.media.clone(), DISCARD, offered.protocol.clone());
    silent.formats = offered.formats.clone();
    silent.attributes = attributes;
    silent
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdp::{Input, OfferAnswer};

    fn description(who: &str, version: u64, media: &[&str]) -> SessionDescription {
        let media: String = media.iter().map(|line| format!("m={line}\r\n")).collect();
        let text =
            format!("v=0\r\no={who} 1 {version} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{media}");
        SessionDescription::parse(text.as_bytes()).unwrap()
    }

    const AUDIO: &str = "audio 5000 RTP/AVP 8 0";
    const VIDEO: &str = "video 5002 RTP/AVP 31";
    const SECURE: &str = "audio 5000 RTP/SAVP 8";

    #[test]
    fn a_black_hole_has_the_same_streams_and_hears_nothing() {
        let (_, answer) = Descriptions::black_hole(&description("alice", 1, &[AUDIO, VIDEO]), 7);
        let text = answer.to_string();
        assert!(text.contains("c=IN IP4 0.0.0.0\r\n"), "{text}");
        assert!(text.contains("m=audio 9 RTP/AVP 8 0\r\n") && text.contains("m=video 9 RTP/AVP 31\r\n"), "{text}");
        assert_eq!(text.matches("a=inactive").count(), 2, "{text}");
    }

    #[test]
    fn a_stream_that_needs_keys_is_rejected_at_first() {
        let (_, answer) = Descriptions::black_hole(&description("alice", 1, &[SECURE]), 7);
        assert!(answer.media[0].is_disabled());
    }

    /// RFC 3725 §4.3: "the controller would need to add a video line to the offer (setting its port to zero)".
    #[test]
    fn both_sides_find_their_own_m_lines_and_a_growing_version() {
        let alices = description("alice", 1, &[AUDIO, VIDEO]);
        let bobs = description("bob", 1, &[AUDIO]);
        let (mut at_alice, mut at_bob) = (OfferAnswer::strict(), OfferAnswer::strict());
        at_alice.handle(Input::LocalOffer(alices.clone())).unwrap();
        at_bob.handle(Input::LocalOffer(bobs.clone())).unwrap();

        let (mut descriptions, answer) = Descriptions::black_hole(&alices, 7);
        at_alice.handle(Input::RemoteAnswer(answer)).unwrap();
        let offer = descriptions.for_caller(bobs);
        assert_eq!((offer.origin.session_version, offer.media.len()), (1, 2));
        at_alice.handle(Input::RemoteOffer(offer.clone())).unwrap();
        let answer = description("alice", 2, &[AUDIO, "video 0 RTP/AVP 31"]);
        at_alice.handle(Input::LocalAnswer(answer.clone())).unwrap();
        at_bob.handle(Input::RemoteAnswer(descriptions.for_wanted(answer))).unwrap();
    }

    #[test]
    fn a_description_that_is_said_again_keeps_its_version() {
        let (mut descriptions, _) = Descriptions::black_hole(&description("alice", 1, &[AUDIO]), 7);
        let first = descriptions.for_caller(description("bob", 1, &[AUDIO]));
        let again = descriptions.for_caller(description("bob", 1, &[AUDIO]));
        assert_eq!(first, again);
        let hold = descriptions.for_caller(description("bob", 2, &["audio 0 RTP/AVP 8 0"]));
        assert_eq!(hold.origin.session_version, first.origin.session_version + 1);
    }
}
