//! RFC 3311: UPDATE.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::Side::{Alice, Bob};
use common::*;
use sip_dialog::invite::{Event, Input, Misuse, Policy};
use sip_message::{HeaderName, Method};

#[test]
fn an_update_changes_the_session() {
    let mut world = World::established();
    world.send(Bob, Method::Update, Some(&ANSWER.replace("a=rtpmap", "a=sendonly\r\na=rtpmap")));
    world.settle();
    world.respond(Alice, 200, Some(&OFFER.replace("a=rtpmap", "a=recvonly\r\na=rtpmap")), false);
    world.settle();
    assert_eq!(world.log(), ["bob UPDATE", "alice 200 UPDATE"]);
    assert!(matches!(world.event(Bob), Some(Event::Response { .. })));
    assert!(world.usage(Bob).offer_answer(FIRST).unwrap().pending_offer().is_none());
}

/// §5.1: it may be sent in an early dialog, once the offer of the INVITE is answered.
#[test]
fn an_update_works_in_an_early_dialog() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.respond(Bob, 183, Some(ANSWER), true);
    world.settle();
    world.send(Alice, Method::Update, Some(OFFER));
    world.settle();
    world.bob.waiting.swap(0, 1);
    world.respond(Bob, 200, Some(ANSWER), false);
    world.settle();
    assert!(world.log().ends_with(&["alice UPDATE".to_owned(), "bob 200 UPDATE".to_owned()]));
}

/// §5.2: while our own offer has no answer: 491; while the peer's has none: 500 with Retry-After.
#[test]
fn an_offer_while_one_is_pending_is_refused() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.answer(180, None);
    world.settle();
    let mut update = world.usage(Alice).create_request(FIRST, Method::Update).unwrap();
    update.set_body("application/sdp", OFFER).unwrap();
    world.log.clear();
    world.inject(Bob, update);
    assert_eq!(world.log(), ["bob 500 UPDATE"]);
    let packet = world.wire.pop_back().unwrap();
    assert!(packet.message.headers().contains(HeaderName::RetryAfter));

    let mut update = world.usage(Bob).create_request(FIRST, Method::Update).unwrap();
    update.set_body("application/sdp", ANSWER).unwrap();
    world.inject(Alice, update);
    assert_eq!(world.log(), ["alice 491 UPDATE"]);
}

/// §5.1: not before the former one is answered.
#[test]
fn two_updates_at_a_time_are_refused_to_the_user() {
    let mut world = World::established();
    world.send(Alice, Method::Update, Some(OFFER));
    let request = world.usage(Alice).create_request(FIRST, Method::Update).unwrap();
    assert_eq!(world.act(Alice, Input::Send { dialog: FIRST, request }), Err(Misuse::UpdateInProgress));
}

/// §5.2: a refused UPDATE leaves the session as it was.
#[test]
fn a_refused_update_changes_nothing() {
    let mut world = World::established();
    let before = world.usage(Alice).offer_answer(FIRST).unwrap().agreement().cloned();
    world.send(Alice, Method::Update, Some(&OFFER.replace("a=rtpmap", "a=sendonly\r\na=rtpmap")));
    world.settle();
    world.respond(Bob, 488, None, false);
    world.settle();
    for side in [Alice, Bob] {
        assert!(world.usage(side).offer_answer(FIRST).unwrap().pending_offer().is_none());
    }
    assert_eq!(world.usage(Alice).offer_answer(FIRST).unwrap().agreement().cloned(), before);
}

/// §5.1: UPDATE is a target refresh request; without a description it is answered without asking anybody.
#[test]
fn an_update_without_description_refreshes_the_target() {
    let mut world = World::established();
    let mut request = world.usage(Alice).create_request(FIRST, Method::Update).unwrap();
    request.headers_mut().push(HeaderName::Contact, "<sip:alice@192.0.2.99>").unwrap();
    world.act(Alice, Input::Send { dialog: FIRST, request }).unwrap();
    world.settle();
    assert_eq!(world.log(), ["alice UPDATE", "bob 200 UPDATE"]);
    assert_eq!(world.usage(Bob).dialog(FIRST).unwrap().remote_target.as_str(), "sip:alice@192.0.2.99");
}

#[test]
fn a_user_may_want_to_see_refreshes() {
    let bob = Policy { answer_refreshes: false, ..policy("bob") };
    let mut world = World::established_with(policy("alice"), bob);
    world.send(Alice, Method::Update, None);
    world.settle();
    assert_eq!(world.log(), ["alice UPDATE"]);
    world.respond(Bob, 200, None, false);
    assert_eq!(world.log(), ["bob 200 UPDATE"]);
}
