//! Any order of offers and answers, ours and the peer's: what we write is always allowed, and what is refused changes
//! nothing (RFC 3264, RFC 6337).
#![no_main]

use cordboard_fuzz::steps;
use libfuzzer_sys::fuzz_target;
use sdp::{
    Capabilities, Codec, Input, OfferAnswer, Origin, PayloadType, SessionDescription, Side, State, StreamCapability,
};

fuzz_target!(|script: &[u8]| {
    let mut machine = OfferAnswer::new();
    let mut wishes = phone();
    for (letter, text) in steps(script).take(64) {
        let Some(input) = input(letter, text, &machine, &mut wishes) else {
            continue;
        };
        let before = (machine.state(), machine.agreement().cloned());
        let is_ours = matches!(input, Input::LocalOffer(_) | Input::LocalAnswer(_));
        let shown = format!("{input:?}");
        match machine.handle(input) {
            Ok(_) => {}
            Err(violation) => {
                assert!(!is_ours, "we may not send what we wrote: {violation:?} {shown}");
                let after = (machine.state(), machine.agreement().cloned());
                assert_eq!(before, after, "a refused step changes nothing");
            }
        }
        if let Some(agreement) = machine.agreement() {
            let streams = agreement.streams();
            assert_eq!(streams.len(), agreement.local.media.len());
        }
    }
});

/// The step that a letter names; ours are written from our wishes, and only where our side may speak.
fn input(letter: u8, text: &[u8], machine: &OfferAnswer, wishes: &mut Capabilities) -> Option<Input> {
    match letter {
        b'o' => Some(Input::RemoteOffer(SessionDescription::parse(text).ok()?)),
        b'a' => Some(Input::RemoteAnswer(SessionDescription::parse(text).ok()?)),
        b'O' => (machine.state() == State::Idle).then(|| Input::LocalOffer(wishes.offer_in(machine))),
        b'A' => {
            let (Side::Remote, offer) = machine.pending_offer()? else {
                return None;
            };
            Some(Input::LocalAnswer(wishes.answer_in(machine, offer).ok()?))
        }
        b'h' => {
            wishes.set_on_hold(text.is_empty());
            None
        }
        b'x' => Some(Input::Rejected),
        b'b' => Some(Input::TransactionBegan),
        b's' => Some(Input::TransactionSucceeded),
        b'r' => Some(Input::RolledBack),
        _ => None,
    }
}

fn phone() -> Capabilities {
    let host = [192, 0, 2, 1].into();
    let events = PayloadType::new(101).expect("101 is a payload type");
    let codecs = [Codec::g722(), Codec::pcma(), Codec::telephone_event(events, 8000)];
    Capabilities::new(Origin::new(1, host), host).with(StreamCapability::audio(49170, &codecs))
}
