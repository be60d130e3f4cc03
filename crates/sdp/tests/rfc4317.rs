//! RFC 4317: its offers and answers run through two machines, Alice's and Bob's.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::files;
use sdp::{Direction, Input, OfferAnswer, Output, Rule, SessionDescription};
use std::collections::BTreeMap;

/// The descriptions by section, offer and answer in turn, with the file names.
fn sections() -> BTreeMap<String, Vec<(String, SessionDescription)>> {
    let mut sections: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (name, bytes) in files("sdp/rfc4317", ".sdp") {
        let section = name.split('-').next().unwrap().to_owned();
        let description = SessionDescription::parse(&bytes).unwrap();
        sections.entry(section).or_default().push((name, description));
    }
    sections
}

/// Runs an offer from one machine to the other, each writing its own `o=` line,
/// which must come out as printed.
fn send_offer(from: &mut OfferAnswer, to: &mut OfferAnswer, offer: &SessionDescription) {
    match from.handle(Input::LocalOffer(offer.clone())) {
        Ok(Output::SendOffer(sent)) => assert_eq!(sent, *offer),
        other => panic!("{other:?}"),
    }
    let taken = to.handle(Input::RemoteOffer(offer.clone())).unwrap();
    assert!(matches!(taken, Output::AnswerOffer(_)));
}

fn send_answer(from: &mut OfferAnswer, to: &mut OfferAnswer, answer: &SessionDescription) {
    match from.handle(Input::LocalAnswer(answer.clone())) {
        Ok(Output::SendAnswer(sent)) => assert_eq!(sent, *answer),
        other => panic!("{other:?}"),
    }
    to.handle(Input::RemoteAnswer(answer.clone())).unwrap();
}

#[test]
fn every_exchange_leaves_both_sides_with_the_same_view() {
    for (section, descriptions) in sections() {
        let (mut alice, mut bob) = (OfferAnswer::strict(), OfferAnswer::strict());
        for pair in descriptions.chunks(2) {
            let [(_, offer), (name, answer)] = pair else { panic!("section {section} has an offer without answer") };
            if name == ERRONEOUS {
                continue;
            }
            let by_alice = offer.origin.username == "alice";
            let (offerer, answerer) = if by_alice { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
            send_offer(offerer, answerer, offer);
            send_answer(answerer, offerer, answer);

            let ours = alice.agreement().unwrap().streams();
            let theirs = bob.agreement().unwrap().streams();
            assert_eq!(ours.len(), offer.media.len(), "{name}");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours.enabled, theirs.enabled, "{name}");
                assert_eq!(ours.direction, theirs.direction.reversed(), "{name}");
                assert!(!ours.enabled || !ours.send.is_empty(), "{name}");
            }
        }
    }
}

/// §3.2 answers `sendonly` with `sendrecv`, which RFC 3264 §6.1 forbids.
const ERRONEOUS: &str = "s3.2-29-Second-Answer.sdp";

#[test]
fn the_answer_of_section_3_2_is_a_violation_that_is_tolerated_without_harm() {
    let sections = sections();
    let Some(hold) = sections.get("s3.2") else {
        return;
    };
    let [(_, offer), (_, answer), (_, second), (name, erroneous)] = &hold[..] else {
        panic!("section 3.2 has four descriptions")
    };
    assert_eq!(name, ERRONEOUS);
    let agree = |mut bob: OfferAnswer| {
        bob.handle(Input::RemoteOffer(offer.clone())).unwrap();
        bob.handle(Input::LocalAnswer(answer.clone())).unwrap();
        bob.handle(Input::LocalOffer(second.clone())).unwrap();
        let outcome = bob.handle(Input::RemoteAnswer(erroneous.clone()));
        (bob, outcome)
    };

    let (_, strict) = agree(OfferAnswer::strict());
    let rule = strict.unwrap_err().rule;
    assert_eq!(rule, Rule::DirectionNotPermitted { media: 0 });

    let (bob, tolerant) = agree(OfferAnswer::new());
    tolerant.unwrap();
    let stream = &bob.agreement().unwrap().streams()[0];
    assert_eq!(stream.direction, Direction::SendOnly);
    assert!(stream.held_by_us && !stream.held_by_peer);
}

/// The stream that an exchange of the RFC ends with.
fn outcome(section: &str, media: usize) -> Option<sdp::StreamAgreement> {
    let sections = sections();
    let descriptions = sections.get(section)?;
    let (mut alice, mut bob) = (OfferAnswer::new(), OfferAnswer::new());
    for pair in descriptions.chunks(2) {
        let by_alice = pair[0].1.origin.username == "alice";
        let (offerer, answerer) = if by_alice { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        send_offer(offerer, answerer, &pair[0].1);
        send_answer(answerer, offerer, &pair[1].1);
    }
    Some(alice.agreement().unwrap().streams().remove(media))
}

/// §2.3: iLBC is 97 in the offer and 99 in the answer.
#[test]
fn each_side_sends_with_the_numbers_of_the_other() {
    let Some(audio) = outcome("s2.3", 0) else {
        return;
    };
    let numbers = |codecs: &[sdp::Codec]| -> Vec<(u8, String)> {
        codecs.iter().map(|c| (c.payload_type.number(), c.encoding.to_string())).collect()
    };
    assert_eq!(numbers(&audio.send), [(99, "iLBC".to_owned())]);
    assert!(numbers(&audio.receive).contains(&(97, "iLBC".to_owned())));
}

/// §2.2: Bob rejects the video.
#[test]
fn a_stream_answered_with_port_zero_does_not_exist() {
    let Some(video) = outcome("s2.2", 1) else {
        return;
    };
    assert!(!video.enabled);
    assert_eq!(video.destination, None);
}

/// §2.8: the video goes to another host than the audio.
#[test]
fn a_stream_goes_to_the_address_of_its_own_c_line() {
    let Some(video) = outcome("s2.8", 1) else {
        return;
    };
    let destination = video.destination.unwrap();
    assert_eq!(destination.connection.host(), "otherhost.biloxi.example.com");
    assert_eq!((destination.port, destination.rtcp_port), (49172, Some(49173)));
}

/// §5.3: Bob does not know his address yet.
#[test]
fn nothing_is_sent_to_the_address_of_zeros_until_a_true_one_comes() {
    let sections = sections();
    let Some(descriptions) = sections.get("s5.3") else {
        return;
    };
    let (mut alice, mut bob) = (OfferAnswer::strict(), OfferAnswer::strict());
    send_offer(&mut alice, &mut bob, &descriptions[0].1);
    send_answer(&mut bob, &mut alice, &descriptions[1].1);
    let waiting = &alice.agreement().unwrap().streams()[0];
    assert_eq!(waiting.direction, Direction::RecvOnly);
    send_offer(&mut bob, &mut alice, &descriptions[2].1);
    send_answer(&mut alice, &mut bob, &descriptions[3].1);
    let talking = &alice.agreement().unwrap().streams()[0];
    assert_eq!(talking.direction, Direction::SendRecv);
}
