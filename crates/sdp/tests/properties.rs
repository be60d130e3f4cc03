//! What holds for all input: no panic, printing and parsing agree, two machines
//! agree.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::{Phone, exchange};
use proptest::prelude::*;
use sdp::{Codec, Direction, Input, MediaType, OfferAnswer, PayloadType, SessionDescription, StreamCapability, Token};

/// Text that is nearly a description, so that the parser gets far.
fn nearly_a_description() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("v=0".to_owned()),
        "o=[ -~]{0,12} [0-9]{1,3} [0-9]{1,21} IN IP4 [a-z0-9.]{1,9}",
        "m=(audio|video|message|x) [0-9]{1,5}(/[0-9])? (RTP/AVP|RTP/SAVP|TCP/MSRP|x)( [0-9*]{1,3}){0,4}",
        "a=rtpmap:[0-9]{0,3} ?[A-Za-z]{0,4}/?[0-9]{0,6}/?[0-9]?",
        "a=(fmtp|crypto|rtcp|ptime|group|mid|setup|fingerprint):[ -~]{0,30}",
        "a=crypto:[0-9] (AES_CM_128_HMAC_SHA1_80|X) inline:[A-Za-z0-9+/=|^:;]{0,50}",
        "a=(sendrecv|sendonly|recvonly|inactive)?",
        "c=IN (IP4|IP6) [0-9a-f:./]{0,12}",
        "[bitrzkuepsdfx]=[ -~\\u{80}-\\u{ff}]{0,10}",
        "[ -~]{0,8}",
    ];
    let end = prop_oneof![Just("\r\n"), Just("\n"), Just("\r\r\n"), Just("\r")];
    let lines = prop::collection::vec((line, end), 0..20);
    let head = prop::bool::weighted(0.9);
    (head, lines).prop_map(|(head, lines)| {
        let mut text = String::new();
        if head {
            text.push_str("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n");
        }
        for (line, end) in lines {
            text.push_str(&line);
            text.push_str(end);
        }
        text.into_bytes()
    })
}

fn direction() -> impl Strategy<Value = Direction> {
    prop::sample::select(Direction::ALL.to_vec())
}

fn codec() -> impl Strategy<Value = Codec> {
    let dynamic = 96..=127u8;
    let names = prop::sample::select(vec!["iLBC", "speex", "L16", "opus", "telephone-event"]);
    prop_oneof![
        Just(Codec::pcmu()),
        Just(Codec::pcma()),
        (dynamic, names, prop::sample::select(vec![8000, 16000])).prop_map(|(n, name, rate)| {
            let number = PayloadType::new(n).unwrap();
            Codec::new(number, Token::new(name).unwrap(), rate)
        }),
    ]
}

fn stream() -> impl Strategy<Value = StreamCapability> {
    let media = prop::sample::select(vec![MediaType::Audio, MediaType::Video, MediaType::Text]);
    let codecs = prop::collection::vec(codec(), 1..5);
    let port = (1..8u16).prop_map(|n| 4000 + 2 * n);
    (media, port, codecs, direction(), any::<bool>()).prop_map(|(media, port, codecs, direction, on_hold)| {
        let mut stream = StreamCapability::rtp(media, port, &codecs);
        stream.direction = direction;
        stream.on_hold = on_hold;
        stream
    })
}

/// What happens in a session: who offers, and what the two wish by then.
fn story() -> impl Strategy<Value = Vec<(bool, Vec<StreamCapability>, Vec<StreamCapability>)>> {
    let streams = || prop::collection::vec(stream(), 0..4);
    prop::collection::vec((any::<bool>(), streams(), streams()), 1..6)
}

proptest! {
    #[test]
    fn no_octets_make_the_parser_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = SessionDescription::parse(&octets);
    }

    #[test]
    fn what_is_printed_is_parsed_to_the_same(octets in nearly_a_description()) {
        if let Ok(parsed) = SessionDescription::parse(&octets) {
            let printed = parsed.to_string();
            prop_assert_eq!(SessionDescription::parse(&printed), Ok(parsed));
        }
    }

    #[test]
    fn no_offer_or_answer_makes_the_machine_or_the_phone_panic(
        one in nearly_a_description(),
        two in nearly_a_description(),
        wishes in prop::collection::vec(stream(), 0..4),
    ) {
        let mut phone = Phone::new(1);
        phone.machine = OfferAnswer::new();
        phone.wishes.streams = wishes;
        if let Ok(offer) = SessionDescription::parse(&one)
            && phone.machine.handle(Input::RemoteOffer(offer.clone())).is_ok()
        {
            match phone.wishes.answer_in(&phone.machine, &offer) {
                // What we write ourselves passes our own, strict judgement.
                Ok(answer) => prop_assert!(phone.machine.handle(Input::LocalAnswer(answer)).is_ok()),
                Err(_) => prop_assert!(phone.machine.handle(Input::Rejected).is_ok()),
            }
        }
        let offer = phone.wishes.offer_in(&phone.machine);
        prop_assert!(phone.machine.handle(Input::LocalOffer(offer)).is_ok());
        if let Ok(answer) = SessionDescription::parse(&two) {
            let _ = phone.machine.handle(Input::RemoteAnswer(answer));
        }
        if let Some(agreement) = phone.machine.agreement() {
            prop_assert_eq!(agreement.streams().len(), agreement.local.media.len());
        }
    }

    #[test]
    fn two_machines_always_agree_on_streams_directions_and_codecs(story in story()) {
        let (mut alice, mut bob) = (Phone::new(1), Phone::new(2));
        for (alice_offers, alice_wishes, bob_wishes) in story {
            alice.wishes.streams = alice_wishes;
            bob.wishes.streams = bob_wishes;
            let (offerer, answerer) = if alice_offers {
                (&mut alice, &mut bob)
            } else {
                (&mut bob, &mut alice)
            };
            let offer = offerer.wishes.offer_in(&offerer.machine);
            if answerer.wishes.answer_in(&answerer.machine, &offer).is_err() {
                // Sent and refused, on both sides.
                let offer = offerer.offer();
                answerer.machine.handle(Input::RemoteOffer(offer)).unwrap();
                answerer.machine.handle(Input::Rejected).unwrap();
                offerer.machine.handle(Input::Rejected).unwrap();
            } else {
                exchange(offerer, answerer);
            }
            assert_mirrored(&alice, &bob);
        }
    }
}

/// What one sends, the other receives.
fn assert_mirrored(alice: &Phone, bob: &Phone) {
    let streams = |phone: &Phone| phone.machine.agreement().map(|agreed| agreed.streams());
    let (Some(ours), Some(theirs)) = (streams(alice), streams(bob)) else {
        assert_eq!(streams(alice), streams(bob));
        return;
    };
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!((ours.enabled, &ours.media), (theirs.enabled, &theirs.media));
        assert_eq!(ours.direction.reversed(), theirs.direction);
        for (sender, receiver) in [(ours, theirs), (theirs, ours)] {
            for codec in &sender.send {
                let number = codec.payload_type;
                let heard = receiver.receive.iter().find(|c| c.payload_type == number);
                assert!(heard.is_some_and(|c| c.same_mapping(codec)), "{codec:?}");
            }
        }
        assert!(!ours.enabled || !ours.send.is_empty());
    }
}
