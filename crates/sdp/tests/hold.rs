//! Direction and hold: RFC 3264 §6.1, §8.4; RFC 6337 §5.3, §5.4.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
use common::{Phone, audio, exchange};
use sdp::{Codec, Direction, Input, OfferAnswer, Rule};

/// RFC 3264 §6.1, the permitted answers.
#[test]
fn an_offer_permits_exactly_these_answers() {
    let table = [
        (SendRecv, &[SendRecv, SendOnly, RecvOnly, Inactive][..]),
        (SendOnly, &[RecvOnly, Inactive]),
        (RecvOnly, &[SendOnly, Inactive]),
        (Inactive, &[Inactive]),
    ];
    for (offered, permitted) in table {
        for answered in Direction::ALL {
            let expected = permitted.contains(&answered);
            assert_eq!(offered.permits(answered), expected, "{offered} {answered}");
            let line = |direction| format!("a={direction}");
            let media = "m=audio 4000 RTP/AVP 0";
            let mut machine = OfferAnswer::strict();
            let offer = audio(1, &[media, &line(offered)]);
            machine.handle(Input::LocalOffer(offer)).unwrap();
            let answer = audio(1, &[media, &line(answered)]);
            let outcome = machine.handle(Input::RemoteAnswer(answer));
            let rule = outcome.err().map(|violation| violation.rule);
            let broken = Rule::DirectionNotPermitted { media: 0 };
            assert_eq!(rule, (!expected).then_some(broken), "{offered} {answered}");
        }
    }
}

/// The same for every wish of both sides, on hold and not: what is offered, what is
/// answered, and who sends in the end.
#[test]
fn each_direction_meets_each_other_with_and_without_hold() {
    // The wish, whether we hold, and what we therefore offer (RFC 3264 §8.4).
    let wishes = [
        (SendRecv, false, SendRecv),
        (SendOnly, false, SendOnly),
        (RecvOnly, false, RecvOnly),
        (Inactive, false, Inactive),
        (SendRecv, true, SendOnly),
        (SendOnly, true, SendOnly),
        (RecvOnly, true, Inactive),
        (Inactive, true, Inactive),
    ];
    // Rows: offered; columns: the answerer's wish sendrecv, sendonly, recvonly,
    // inactive; entries: the answer.
    let answers = [
        (SendRecv, [SendRecv, SendOnly, RecvOnly, Inactive]),
        (SendOnly, [RecvOnly, Inactive, RecvOnly, Inactive]),
        (RecvOnly, [SendOnly, SendOnly, Inactive, Inactive]),
        (Inactive, [Inactive, Inactive, Inactive, Inactive]),
    ];
    for (wish, on_hold, offered) in wishes {
        for (other_wish, other_on_hold, other_desired) in wishes {
            let (mut alice, mut bob) = phones();
            alice.wishes.streams[0].direction = wish;
            alice.wishes.set_on_hold(on_hold);
            bob.wishes.streams[0].direction = other_wish;
            bob.wishes.set_on_hold(other_on_hold);
            exchange(&mut alice, &mut bob);

            let row = answers.iter().find(|(row, _)| *row == offered).unwrap();
            let column = Direction::ALL.iter().position(|d| *d == other_desired);
            let answered = row.1[column.unwrap()];
            let agreed = alice.machine.agreement().unwrap();
            let stated = |side: &sdp::SessionDescription| side.direction_of(&side.media[0]);
            assert_eq!(stated(&agreed.local), offered);
            assert_eq!(stated(&agreed.remote), answered, "{offered} {other_desired}");
            assert_eq!(direction(&alice), answered.reversed());
            assert_eq!(direction(&bob), answered);
        }
    }
}

/// RFC 6337 §5.3, the whole story: hold, hold of the already held, resume by one,
/// resume by the other.
#[test]
fn a_held_party_that_holds_too_must_also_resume() {
    let (mut one, mut two) = phones();
    exchange(&mut one, &mut two);
    one.wishes.set_on_hold(true);
    exchange(&mut one, &mut two);
    assert_eq!((direction(&one), direction(&two)), (SendOnly, RecvOnly));
    assert!(two.machine.agreement().unwrap().is_held_by_peer());
    assert!(!one.machine.agreement().unwrap().is_held_by_peer());

    two.wishes.set_on_hold(true);
    let offer = two.offer();
    assert_eq!(offer.direction_of(&offer.media[0]), SendOnly);
    let answer = one.answer(&offer).unwrap();
    assert_eq!(answer.direction_of(&answer.media[0]), Inactive);
    two.machine.handle(Input::RemoteAnswer(answer)).unwrap();
    assert!(one.machine.agreement().unwrap().is_held_by_peer());

    one.wishes.set_on_hold(false);
    exchange(&mut one, &mut two);
    assert_eq!((direction(&one), direction(&two)), (RecvOnly, SendOnly));
    two.wishes.set_on_hold(false);
    exchange(&mut two, &mut one);
    assert_eq!((direction(&one), direction(&two)), (SendRecv, SendRecv));
}

/// RFC 6337 §5.3, last paragraph: not to get stuck on hold.
#[test]
fn a_party_that_was_made_to_answer_recvonly_still_offers_sendrecv() {
    let (mut one, mut two) = phones();
    one.wishes.set_on_hold(true);
    exchange(&mut one, &mut two);
    assert_eq!(direction(&two), RecvOnly);
    let refresh = two.offer();
    assert_eq!(refresh.direction_of(&refresh.media[0]), SendRecv);
}

/// RFC 6337 §5.4: the answer goes by the attribute, the media by the address.
#[test]
fn an_address_of_zeros_is_answered_by_its_direction_and_sent_nothing() {
    let (mut alice, mut bob) = phones();
    exchange(&mut alice, &mut bob);
    let mut hold = alice.wishes.offer_in(&alice.machine);
    let zeros = std::net::IpAddr::from([0, 0, 0, 0]);
    hold.connection = Some(sdp::ConnectionData::new(zeros));
    alice.machine.handle(Input::LocalOffer(hold.clone())).unwrap();
    hold.origin.session_version = 1;
    let answer = bob.answer(&hold).unwrap();
    assert_eq!(answer.direction_of(&answer.media[0]), SendRecv);
    alice.machine.handle(Input::RemoteAnswer(answer)).unwrap();
    assert_eq!((direction(&alice), direction(&bob)), (SendOnly, RecvOnly));
    assert!(bob.machine.agreement().unwrap().is_held_by_peer());
}

/// RFC 8840 §4.1.1: with ICE, zeros only mean that candidates will follow.
#[test]
fn an_address_of_zeros_is_no_hold_where_ice_finds_the_address() {
    let lines = ["m=audio 9 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=ice-ufrag:abcd"];
    let trickling = audio(1, &lines);
    assert!(!trickling.is_held_by_address(&trickling.media[0]));
    let held = audio(1, &lines[..2]);
    assert!(held.is_held_by_address(&held.media[0]));
}

/// RFC 8866 §6.7.
#[test]
fn a_stream_without_direction_inherits_that_of_the_session() {
    let media = "m=audio 4000 RTP/AVP 0";
    let inherited = audio(1, &["a=recvonly", media, media, "a=sendonly"]);
    assert_eq!(inherited.direction_of(&inherited.media[0]), RecvOnly);
    assert_eq!(inherited.direction_of(&inherited.media[1]), SendOnly);
    let default = audio(1, &[media]);
    assert_eq!(default.direction_of(&default.media[0]), SendRecv);
}

fn phones() -> (Phone, Phone) {
    let codecs = [Codec::pcmu()];
    (Phone::audio(1, &codecs), Phone::audio(2, &codecs))
}

fn direction(phone: &Phone) -> Direction {
    phone.machine.agreement().unwrap().streams()[0].direction
}
