//! RFC 3264: what may follow what, and what an offer and an answer must keep.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::{Phone, audio, exchange};
use sdp::{
    Attribute, Capabilities, Codec, Direction, Input, MediaType, OfferAnswer, Output, PayloadType, Protocol, Revision,
    Rule, SessionDescription, Side, State, StreamCapability, StreamRefusal, Violation,
};

const PCMU: &str = "m=audio 4000 RTP/AVP 0";
const VIDEO: &str = "m=video 4002 RTP/AVP 31";

fn number(number: u8) -> PayloadType {
    PayloadType::new(number).unwrap()
}

fn offered(lines: &[&str]) -> OfferAnswer {
    let mut machine = OfferAnswer::strict();
    machine.handle(Input::LocalOffer(audio(1, lines))).unwrap();
    machine
}

/// The rule that an answer breaks.
fn broken_by(offer: &[&str], answer: &[&str]) -> Option<Rule> {
    let answer = Input::RemoteAnswer(audio(1, answer));
    let violation = offered(offer).handle(answer).err()?;
    assert_eq!((violation.by, violation.status()), (Side::Remote, None));
    Some(violation.rule)
}

/// §4.
#[test]
fn an_offer_waits_until_the_one_before_is_answered() {
    let offer = || audio(1, &[PCMU]);
    let violation = |by, rule| Err(Violation { by, rule });

    let mut waiting = offered(&[PCMU]);
    let again = waiting.handle(Input::LocalOffer(offer()));
    assert_eq!(again, violation(Side::Local, Rule::LocalOfferIsPending));
    let glare = waiting.handle(Input::RemoteOffer(offer()));
    assert_eq!(glare, violation(Side::Remote, Rule::LocalOfferIsPending));
    assert_eq!(glare.unwrap_err().status(), Some(491));
    assert_eq!(waiting.state(), State::LocalOfferPending);

    let mut asked = OfferAnswer::new();
    asked.handle(Input::RemoteOffer(offer())).unwrap();
    let own = asked.handle(Input::LocalOffer(offer()));
    assert_eq!(own, violation(Side::Local, Rule::RemoteOfferIsPending));
    let hasty = asked.handle(Input::RemoteOffer(offer()));
    assert_eq!(hasty, violation(Side::Remote, Rule::RemoteOfferIsPending));
    assert_eq!(hasty.unwrap_err().status(), Some(500));
    assert_eq!(asked.state(), State::RemoteOfferPending);
}

#[test]
fn an_answer_needs_an_offer_of_the_other_side() {
    let nothing = |by| {
        let rule = Rule::NoOfferIsPending;
        Err(Violation { by, rule })
    };
    let mut machine = OfferAnswer::new();
    let ours = || Input::LocalAnswer(audio(1, &[PCMU]));
    let theirs = || Input::RemoteAnswer(audio(1, &[PCMU]));
    assert_eq!(machine.handle(ours()), nothing(Side::Local));
    assert_eq!(machine.handle(theirs()), nothing(Side::Remote));
    assert_eq!(machine.handle(Input::Rejected), nothing(Side::Local));
    assert_eq!(offered(&[PCMU]).handle(ours()), nothing(Side::Local));
    let offer = Input::RemoteOffer(audio(1, &[PCMU]));
    machine.handle(offer).unwrap();
    assert_eq!(machine.handle(theirs()), nothing(Side::Remote));
}

/// §6.
#[test]
fn an_answer_has_the_m_lines_of_its_offer_in_number_type_and_transport() {
    let count = |expected, found| Some(Rule::MediaCount { expected, found });
    assert_eq!(broken_by(&[PCMU, VIDEO], &[PCMU]), count(2, 1));
    assert_eq!(broken_by(&[PCMU], &[PCMU, VIDEO]), count(1, 2));
    let swapped = Some(Rule::MediaTypeChanged { media: 0 });
    assert_eq!(broken_by(&[PCMU, VIDEO], &[VIDEO, PCMU]), swapped);
    let downgraded = Some(Rule::ProtocolChanged { media: 0 });
    let secure = "m=audio 4000 RTP/SAVP 0";
    assert_eq!(broken_by(&[secure], &[PCMU]), downgraded);
    assert_eq!(broken_by(&[PCMU, VIDEO], &[PCMU, VIDEO]), None);
    assert_eq!(broken_by(&[], &[]), None);
}

/// §8.2.
#[test]
fn a_stream_offered_with_port_zero_stays_so() {
    let revived = Some(Rule::DisabledStreamAccepted { media: 1 });
    let off = "m=video 0 RTP/AVP 31";
    assert_eq!(broken_by(&[PCMU, off], &[PCMU, VIDEO]), revived);
    assert_eq!(broken_by(&[PCMU, off], &[PCMU, off]), None);
}

/// §6.1.
#[test]
fn an_answer_lists_at_least_one_format_of_its_offer() {
    let foreign = Some(Rule::NoCommonFormat { media: 0 });
    let pcma = "m=audio 4000 RTP/AVP 8";
    let offer = ["m=audio 4000 RTP/AVP 0 97", "a=rtpmap:97 iLBC/8000"];
    assert_eq!(broken_by(&offer, &[pcma]), foreign);
    // The same number is not the same codec …
    let other = ["m=audio 4000 RTP/AVP 97", "a=rtpmap:97 speex/8000"];
    assert_eq!(broken_by(&offer, &other), foreign);
    // … and the same codec needs no same number.
    let same = ["m=audio 4000 RTP/AVP 99", "a=rtpmap:99 ilbc/8000"];
    assert_eq!(broken_by(&offer, &same), None);
    // Where the answer explains nothing, the offer's rtpmap holds.
    let silent = ["m=audio 4000 RTP/AVP 97"];
    assert_eq!(broken_by(&offer, &silent), None);
    // Further formats are allowed, and a rejected stream's are ignored.
    assert_eq!(broken_by(&offer, &["m=audio 4000 RTP/AVP 8 0"]), None);
    assert_eq!(broken_by(&offer, &["m=audio 0 RTP/AVP 8"]), None);
}

/// §8.
#[test]
fn our_version_grows_by_one_exactly_when_something_changed() {
    let (mut alice, mut bob) = phones();
    let version = |phone: &Phone| {
        let agreed = phone.machine.agreement().unwrap();
        agreed.local.origin.session_version
    };
    exchange(&mut alice, &mut bob);
    assert_eq!((version(&alice), version(&bob)), (0, 0));
    exchange(&mut alice, &mut bob);
    assert_eq!((version(&alice), version(&bob)), (0, 0));
    alice.wishes.streams[0].port += 2;
    exchange(&mut alice, &mut bob);
    assert_eq!((version(&alice), version(&bob)), (1, 0));
    bob.wishes.streams[0].port += 2;
    exchange(&mut alice, &mut bob);
    assert_eq!((version(&alice), version(&bob)), (1, 1));
}

/// §8: the previous description is the last one sent, whatever became of it.
#[test]
fn the_version_of_a_refused_offer_is_not_used_for_another() {
    let (mut alice, mut bob) = phones();
    exchange(&mut alice, &mut bob);
    alice.wishes.streams[0].port += 2;
    assert_eq!(alice.offer().origin.session_version, 1);
    let refused = alice.machine.handle(Input::Rejected);
    assert_eq!(refused, Ok(Output::RestoreAgreement));
    let agreed = alice.machine.agreement().unwrap();
    assert_eq!(agreed.local.origin.session_version, 0);
    alice.wishes.streams[0].port += 2;
    assert_eq!(alice.offer().origin.session_version, 2);
}

#[test]
fn an_offer_of_the_peer_is_first_unchanged_next_or_irregular() {
    let revisions = |mut machine: OfferAnswer, descriptions: &[SessionDescription]| {
        let mut revisions = Vec::new();
        for description in descriptions {
            match machine.handle(Input::RemoteOffer(description.clone())) {
                Ok(Output::AnswerOffer(revision)) => revisions.push(Ok(revision)),
                Ok(other) => panic!("{other:?}"),
                Err(violation) => {
                    revisions.push(Err(violation.rule));
                    continue;
                }
            }
            let answer = Input::LocalAnswer(audio(0, &[PCMU]));
            machine.handle(answer).unwrap();
        }
        revisions
    };
    let regular = [audio(1, &[PCMU]), audio(1, &[PCMU]), audio(2, &[PCMU])];
    let expected = [Revision::First, Revision::Unchanged, Revision::Next].map(Ok);
    assert_eq!(revisions(OfferAnswer::strict(), &regular), expected);
    // A change without a new version, a jump, and a step back.
    let plain = |version| audio(version, &[PCMU, "a=x"]);
    let irregular = [audio(1, &[PCMU]), plain(1), plain(9), plain(2)];
    let strict = revisions(OfferAnswer::strict(), &irregular);
    assert_eq!(strict[0], Ok(Revision::First));
    assert_eq!(strict[1], Err(Rule::OriginIrregular));
    let tolerant = revisions(OfferAnswer::new(), &irregular);
    assert_eq!(tolerant[1..], [Revision::Irregular; 3].map(Ok));
}

/// §8.
#[test]
fn an_m_line_never_goes_away() {
    let (mut alice, mut bob) = phones();
    exchange(&mut alice, &mut bob);
    let removed = Rule::MediaRemoved { expected: 1, found: 0 };
    let nothing = audio(5, &[]);
    let ours = alice.machine.handle(Input::LocalOffer(nothing.clone()));
    assert_eq!(ours.unwrap_err().rule, removed);
    let theirs = alice.machine.handle(Input::RemoteOffer(nothing));
    assert_eq!(theirs.clone().unwrap_err().rule, removed);
    assert_eq!(theirs.unwrap_err().status(), Some(488));
}

/// §8.1, §8.2.
#[test]
fn a_removed_stream_leaves_a_slot_that_a_new_one_takes() {
    let (mut alice, mut bob) = phones();
    let video = |port| {
        let h261 = Codec::of_static(number(31)).unwrap();
        StreamCapability::rtp(MediaType::Video, port, &[h261])
    };
    bob.wishes.streams.push(video(5002));
    alice.wishes.streams.insert(0, video(5002));
    exchange(&mut alice, &mut bob);
    let kinds = |phone: &Phone| -> Vec<(MediaType, bool)> {
        let streams = phone.machine.agreement().unwrap().streams();
        streams.into_iter().map(|s| (s.media, s.enabled)).collect()
    };
    let (audio, video_type) = (MediaType::Audio, MediaType::Video);
    assert_eq!(kinds(&bob), [(video_type.clone(), true), (audio.clone(), true)]);

    // Bob ends the video.
    bob.wishes.streams.pop();
    exchange(&mut bob, &mut alice);
    assert_eq!(kinds(&alice), [(video_type, false), (audio.clone(), true)]);

    // Alice adds a second audio stream, in the slot of the video.
    alice.wishes.streams[0] = StreamCapability::audio(5006, &[Codec::pcma()]);
    bob.wishes.streams.push(StreamCapability::audio(5006, &[Codec::pcma()]));
    exchange(&mut alice, &mut bob);
    assert_eq!(kinds(&bob), [(audio.clone(), true), (audio.clone(), true)]);
    let agreed = bob.machine.agreement().unwrap();
    assert_eq!(agreed.streams()[0].send, [Codec::pcma()]);
    let ports: Vec<u16> = agreed.local.media.iter().map(|m| m.port).collect();
    assert_eq!(ports, [5006, 49170]);

    // And a third, below the others.
    alice.wishes.streams.push(StreamCapability::audio(5008, &[Codec::pcmu()]));
    exchange(&mut alice, &mut bob);
    let third = (audio.clone(), false);
    assert_eq!(kinds(&bob), [(audio.clone(), true), (audio, true), third]);
}

/// §6.
#[test]
fn nothing_in_common_for_all_streams_refuses_the_offer_with_its_reasons() {
    let offer = audio(1, &[VIDEO, "m=audio 4000 RTP/SAVP 0", "m=audio 0 RTP/AVP 0"]);
    let bob = Phone::audio(2, &[Codec::pcmu()]);
    use StreamRefusal::{NotSupported, OfferedDisabled};
    let refusal = bob.wishes.answer(&offer).unwrap_err();
    assert_eq!(refusal.0, [NotSupported, NotSupported, OfferedDisabled]);
    // One stream suffices.
    let offer = audio(1, &[VIDEO, PCMU]);
    let answer = bob.wishes.answer(&offer).unwrap();
    let ports: Vec<u16> = answer.media.iter().map(|media| media.port).collect();
    assert_eq!(ports, [0, 49170]);
    // Without m-lines there is nothing to refuse.
    assert!(bob.wishes.answer(&audio(1, &[])).unwrap().media.is_empty());
}

/// §6.
#[test]
fn the_time_of_an_answer_is_that_of_its_offer() {
    let mut offer = audio(1, &[PCMU]);
    offer.times[0].stop = 3_042_462_419;
    let mut bob = Phone::audio(2, &[Codec::pcmu()]);
    let answer = bob.answer(&offer).unwrap();
    assert_eq!(answer.times, offer.times);
}

/// §8: the i-th stream stays the i-th.
#[test]
fn a_stream_keeps_its_m_line_when_another_of_its_kind_ends() {
    let (mut alice, mut bob) = phones();
    let second = StreamCapability::audio(49172, &[Codec::pcmu()]);
    alice.wishes.streams.push(second.clone());
    bob.wishes.streams.push(second);
    exchange(&mut alice, &mut bob);
    alice.wishes.streams.remove(0);
    let ports: Vec<u16> = alice.offer().media.iter().map(|m| m.port).collect();
    assert_eq!(ports, [0, 49172]);
}

#[test]
fn an_offer_keeps_the_profile_that_its_stream_was_accepted_with() {
    let offer = audio(1, &["m=audio 4000 RTP/AVPF 0"]);
    let mut bob = Phone::audio(2, &[Codec::pcmu()]);
    assert_eq!(bob.offer().media[0].protocol, Protocol::RtpAvp);
    bob.machine.handle(Input::Rejected).unwrap();
    let answer = bob.answer(&offer).unwrap();
    assert_eq!(answer.media[0].protocol, Protocol::RtpAvpf);
    assert_eq!(bob.offer().media[0].protocol, Protocol::RtpAvpf);
}

/// RFC 5761 §5.1.1.
#[test]
fn rtcp_mux_is_answered_only_where_it_is_offered() {
    let mut bob = Phone::audio(2, &[Codec::pcmu()]);
    let mux = Attribute::property("rtcp-mux").unwrap();
    bob.wishes.streams[0].attributes.push(mux);
    let answer = |lines: &[&str]| bob.wishes.answer(&audio(1, lines)).unwrap();
    assert!(answer(&[PCMU, "a=rtcp-mux"]).media[0].attributes.has("rtcp-mux"));
    assert!(!answer(&[PCMU]).media[0].attributes.has("rtcp-mux"));
}

/// §6.1, §6.2.
#[test]
fn a_multicast_stream_is_answered_as_it_was_offered() {
    let group = |port: u16, address: &str| {
        let media = format!("m=audio {port} RTP/AVP 0");
        let connection = format!("c=IN IP4 {address}");
        [media, connection, "a=recvonly".to_owned()]
    };
    let broken = |offer: &[String], answer: &[String]| {
        let lines = |lines: &[String]| audio(1, &lines.iter().map(|l| &l[..]).collect::<Vec<_>>());
        let mut machine = OfferAnswer::strict();
        machine.handle(Input::LocalOffer(lines(offer))).unwrap();
        let outcome = machine.handle(Input::RemoteAnswer(lines(answer)));
        outcome.err().map(|violation| violation.rule)
    };
    let offer = group(4000, "224.2.1.1/127");
    let changed = Some(Rule::MulticastChanged { media: 0 });
    assert_eq!(broken(&offer, &offer), None);
    assert_eq!(broken(&offer, &group(4002, "224.2.1.1/127")), changed);
    assert_eq!(broken(&offer, &group(4000, "224.2.1.2/127")), changed);
    assert_eq!(broken(&offer, &group(4000, "192.0.2.2")), changed);
    assert_eq!(broken(&group(4000, "192.0.2.2"), &offer), changed);
    let mut sending = offer.clone();
    sending[2] = "a=sendonly".to_owned();
    let direction = Some(Rule::DirectionNotPermitted { media: 0 });
    assert_eq!(broken(&offer, &sending), direction);
}

/// RFC 6337 §3.4.
#[test]
fn a_failed_transaction_restores_the_agreement_before_it() {
    let (mut alice, mut bob) = phones();
    exchange(&mut alice, &mut bob);
    let before = alice.machine.agreement().cloned();
    alice.machine.handle(Input::TransactionBegan).unwrap();
    alice.wishes.set_on_hold(true);
    exchange(&mut alice, &mut bob);
    assert_ne!(alice.machine.agreement().cloned(), before);
    let restored = alice.machine.handle(Input::RolledBack);
    assert_eq!(restored, Ok(Output::RestoreAgreement));
    assert_eq!(alice.machine.agreement().cloned(), before);
    assert_eq!(alice.machine.handle(Input::RolledBack), Ok(Output::Nothing));

    alice.machine.handle(Input::TransactionBegan).unwrap();
    alice.machine.handle(Input::TransactionSucceeded).unwrap();
    assert_eq!(alice.machine.handle(Input::RolledBack), Ok(Output::Nothing));
}

#[test]
fn a_machine_goes_on_from_what_was_written_down() {
    let (mut alice, mut bob) = phones();
    exchange(&mut alice, &mut bob);
    alice.wishes.set_on_hold(true);
    alice.offer();
    alice.machine.handle(Input::Rejected).unwrap();

    let agreement = alice.machine.agreement().unwrap().clone();
    let last_sent = alice.machine.last_sent().cloned();
    alice.machine = OfferAnswer::resume(agreement, last_sent);
    alice.wishes.streams[0].port += 2;
    assert_eq!(alice.offer().origin.session_version, 2);
}

/// RFC 4975 §8.
#[test]
fn a_chat_is_offered_and_answered_by_its_paths() {
    let text = |text: String| sdp::Text::new(text).unwrap();
    let phone = |number: u8| {
        let mut phone = Phone::new(number);
        let path = text(format!("msrp://192.0.2.{number}:2855/x;tcp"));
        let types = text("message/cpim text/plain".to_owned());
        let msrp = StreamCapability::msrp(2855, sdp::Protocol::TcpMsrp, path, types);
        phone.wishes = Capabilities::with(phone.wishes, msrp);
        phone
    };
    let (mut alice, mut bob) = (phone(1), phone(2));
    exchange(&mut alice, &mut bob);
    let chat = &alice.machine.agreement().unwrap().remote.media[0];
    assert_eq!(chat.msrp_path(), Some("msrp://192.0.2.2:2855/x;tcp"));
    assert_eq!(chat.accept_types().count(), 2);
    let streams = alice.machine.agreement().unwrap().streams();
    assert!(streams[0].enabled && streams[0].direction == Direction::SendRecv);
}

/// RFC 5761 §5.1.1, RFC 3605.
#[test]
fn rtcp_goes_to_the_next_port_unless_something_else_is_said() {
    let destination = |offer: &[&str], answer: &[&str]| {
        let mut machine = offered(offer);
        let answer = Input::RemoteAnswer(audio(1, answer));
        machine.handle(answer).unwrap();
        let stream = machine.agreement().unwrap().streams().remove(0);
        let destination = stream.destination.unwrap();
        let host = destination.rtcp_connection.host().to_owned();
        (destination.rtcp_port, host)
    };
    let here = "192.0.2.1".to_owned();
    let mux = [PCMU, "a=rtcp-mux"];
    assert_eq!(destination(&[PCMU], &[PCMU]), (Some(4001), here.clone()));
    assert_eq!(destination(&mux, &mux), (Some(4000), here.clone()));
    assert_eq!(destination(&mux, &[PCMU]), (Some(4001), here));
    let there = [PCMU, "a=rtcp:5000 IN IP4 192.0.2.9"];
    let expected = (Some(5000), "192.0.2.9".to_owned());
    assert_eq!(destination(&[PCMU], &there), expected);
}

fn phones() -> (Phone, Phone) {
    let codecs = [Codec::pcmu(), Codec::pcma()];
    (Phone::audio(1, &codecs), Phone::audio(2, &codecs))
}
