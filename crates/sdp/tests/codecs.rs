//! Codecs and their payload types: RFC 3264 §6.1, §8.3.2.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::{Phone, exchange};
use sdp::{Codec, Input, PayloadType, Rule, StreamRefusal, Token};

fn number(number: u8) -> PayloadType {
    PayloadType::new(number).unwrap()
}

fn codec(n: u8, name: &str) -> Codec {
    Codec::new(number(n), Token::new(name).unwrap(), 8000)
}

/// §8.3.2.
#[test]
fn a_payload_type_keeps_its_meaning_as_long_as_its_stream() {
    let (ilbc, speex) = (codec(97, "iLBC"), codec(97, "speex"));
    let mut alice = Phone::audio(1, &[ilbc.clone(), Codec::pcmu()]);
    let mut bob = Phone::audio(2, &[ilbc, Codec::pcmu()]);
    exchange(&mut alice, &mut bob);

    // Left alone, an offer finds another number.
    alice.wishes.streams[0].codecs = vec![speex.clone(), Codec::pcmu()];
    let offer = alice.wishes.offer_in(&alice.machine);
    assert_eq!(offer.media[0].codecs()[0], speex.clone().with_payload_type(number(96)));

    // By hand, it is refused on both sides.
    let remapped = Rule::PayloadTypeRemapped { media: 0, payload_type: number(97) };
    let mut wrong = alice.wishes.offer();
    let ours = alice.machine.handle(Input::LocalOffer(wrong.clone()));
    assert_eq!(ours.unwrap_err().rule, remapped);
    wrong.origin.session_version += 1;
    let theirs = bob.machine.handle(Input::RemoteOffer(wrong));
    assert_eq!(theirs.unwrap_err().rule, remapped);
}

/// §6.1.
#[test]
fn an_answer_keeps_the_numbers_and_the_order_of_its_offer() {
    let events = |n| Codec::telephone_event(number(n), 8000);
    let opus = |n| Codec::opus(number(n));
    let mut alice = Phone::audio(1, &[Codec::pcma(), opus(111), Codec::g722(), events(126)]);
    let mut bob = Phone::audio(2, &[opus(96), Codec::pcma(), events(101)]);
    exchange(&mut alice, &mut bob);
    let stream = bob.machine.agreement().unwrap().streams().remove(0);
    let expected = [Codec::pcma(), opus(111), events(126)];
    assert_eq!(stream.send, expected);
    assert_eq!(stream.receive, expected);

    // Bob's own offers keep them too, in the order that Bob prefers.
    exchange(&mut bob, &mut alice);
    let stream = alice.machine.agreement().unwrap().streams().remove(0);
    assert_eq!(stream.send, [opus(111), Codec::pcma(), events(126)]);
}

#[test]
fn key_presses_alone_are_no_conversation() {
    let events = Codec::telephone_event(number(101), 8000);
    let mut alice = Phone::audio(1, &[Codec::g722(), events.clone()]);
    let bob = Phone::audio(2, &[Codec::pcmu(), events.clone()]);
    let refusal = bob.wishes.answer(&alice.offer()).unwrap_err();
    assert_eq!(refusal.0, [StreamRefusal::NoCommonFormat]);
    // Unless the stream is meant for them (RFC 4317 §2.4).
    let keys = Phone::audio(1, std::slice::from_ref(&events)).offer();
    assert!(bob.wishes.answer(&keys).is_ok());
}

/// §8.1: a stream in the slot of another begins anew.
#[test]
fn a_reused_slot_forgets_what_its_payload_types_meant() {
    let mut alice = Phone::audio(1, &[codec(97, "iLBC"), codec(98, "speex")]);
    let mut bob = alice.clone();
    exchange(&mut alice, &mut bob);
    let streams = alice.wishes.streams.clone();
    alice.wishes.streams.clear();
    exchange(&mut alice, &mut bob);

    for phone in [&mut alice, &mut bob] {
        phone.wishes.streams = streams.clone();
        phone.wishes.streams[0].codecs = vec![codec(97, "speex")];
    }
    exchange(&mut alice, &mut bob);
    let stream = alice.machine.agreement().unwrap().streams().remove(0);
    assert_eq!(stream.send, [codec(97, "speex")]);
    alice.wishes.streams[0].codecs.push(codec(98, "iLBC"));
    let expected = [codec(97, "speex"), codec(98, "iLBC")];
    assert_eq!(alice.offer().media[0].codecs(), expected);
}

#[test]
fn an_offer_uses_the_numbers_that_the_peer_uses() {
    let mut alice = Phone::audio(1, &[Codec::pcmu(), codec(97, "iLBC")]);
    let mut bob = Phone::audio(2, &[Codec::pcmu()]);
    exchange(&mut alice, &mut bob);
    bob.wishes.streams[0].codecs.push(codec(120, "iLBC"));
    let expected = [Codec::pcmu(), codec(97, "iLBC")];
    assert_eq!(bob.offer().media[0].codecs(), expected);
}

#[test]
fn two_codecs_of_one_number_are_offered_under_two() {
    let mut alice = Phone::audio(1, &[codec(97, "iLBC"), codec(97, "speex")]);
    let expected = [codec(97, "iLBC"), codec(96, "speex")];
    assert_eq!(alice.offer().media[0].codecs(), expected);
}
