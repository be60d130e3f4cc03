//! RFC 3261 §14: modifying a session.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::Side::{Alice, Bob};
use common::*;
use sip_dialog::invite::{Body, Event, Input, Misuse, Policy};
use sip_message::{HeaderName, Method};

fn retry_wait(world: &mut World, side: Side) -> std::time::Duration {
    let wait = world.phone(side).events.iter().find_map(|event| match event {
        Event::GlareRetryWaits { wait, .. } => Some(*wait),
        _ => None,
    });
    wait.expect("it waits")
}

#[test]
fn a_reinvite_changes_the_session() {
    let mut world = World::established();
    world.send(Alice, Method::Invite, Some(OFFER));
    world.settle();
    world.respond(Bob, 200, Some(ANSWER), false);
    world.settle();
    assert_eq!(world.log(), ["alice INVITE", "bob 200 INVITE", "alice ACK"]);
    assert!(matches!(world.event(Alice), Some(Event::Response { ack_owed: false, .. })));
}

#[test]
fn the_callee_may_reinvite_too() {
    let mut world = World::established();
    world.send(Bob, Method::Invite, Some(ANSWER));
    world.settle();
    world.respond(Alice, 200, Some(OFFER), false);
    world.settle();
    assert_eq!(world.log(), ["bob INVITE", "alice 200 INVITE", "bob ACK"]);
}

/// §14.1: "If a UA receives a non-2xx final response to a re-INVITE, the session parameters MUST remain unchanged".
#[test]
fn a_refused_reinvite_leaves_the_session_as_it_was() {
    let mut world = World::established();
    let before = world.usage(Alice).offer_answer(FIRST).unwrap().agreement().cloned();
    let hold = OFFER.replace("a=rtpmap", "a=sendonly\r\na=rtpmap");
    world.send(Alice, Method::Invite, Some(&hold));
    world.settle();
    world.respond(Bob, 488, None, false);
    world.settle();
    assert_eq!(world.usage(Alice).offer_answer(FIRST).unwrap().agreement().cloned(), before);
    assert!(matches!(world.event(Alice), Some(Event::Response { .. })));
    world.send(Alice, Method::Invite, Some(&hold));
    world.settle();
    world.respond(Bob, 200, Some(&ANSWER.replace("a=rtpmap", "a=recvonly\r\na=rtpmap")), false);
    world.settle();
    assert_ne!(world.usage(Alice).offer_answer(FIRST).unwrap().agreement().cloned(), before);
}

/// §14.1: no second INVITE while one is in progress in either direction.
#[test]
fn two_invites_at_a_time_are_refused_to_the_user() {
    let mut world = World::established();
    world.send(Alice, Method::Invite, Some(OFFER));
    for (side, name) in [(Alice, "ours"), (Bob, "the peer's")] {
        world.settle();
        let mut request = world.usage(side).create_request(FIRST, Method::Invite).unwrap();
        request.set_body("application/sdp", OFFER).unwrap();
        let result = world.act(side, Input::Send { dialog: FIRST, request });
        assert_eq!(result, Err(Misuse::InviteInProgress), "{name}");
    }
}

/// §14.2: a second INVITE with a higher number before the first was answered: 500 with Retry-After of 0 to 10 seconds.
#[test]
fn an_invite_on_top_of_an_invite_gets_500_with_retry_after() {
    let mut world = World::established();
    world.send(Alice, Method::Invite, Some(OFFER));
    world.settle();
    let mut second = world.usage(Alice).create_request(FIRST, Method::Invite).unwrap();
    second.headers_mut().push_front(HeaderName::Via, "SIP/2.0/UDP h;branch=z9hG4bKsecond").unwrap();
    let transaction = sip_dialog::invite::ServerKey(999);
    world.usage(Bob);
    let now = world.now;
    world.bob.usage.as_mut().unwrap().handle(now, Input::RequestReceived { transaction, request: second }).unwrap();
    let Some(sip_dialog::invite::Output::SendResponse { response, .. }) = world.usage(Bob).poll_output() else {
        panic!("a response")
    };
    assert_eq!(response.status().code(), 500);
    let after: u32 = response.headers().first(HeaderName::RetryAfter).unwrap().parse().unwrap();
    assert!(after <= 10);
}

/// §14.1: the owner of the Call-ID waits 2.1 to 4 s, the other 0 to 2 s, in units of 10 ms.
#[test]
fn crossing_reinvites_are_both_refused_and_both_tried_again() {
    let mut world = World::established();
    world.send(Alice, Method::Invite, Some(OFFER));
    world.send(Bob, Method::Invite, Some(ANSWER));
    world.settle();
    assert_eq!(world.log(), ["alice INVITE", "bob INVITE", "bob 491 INVITE", "alice 491 INVITE"]);
    let (owner, other) = (retry_wait(&mut world, Alice), retry_wait(&mut world, Bob));
    assert!((ms(2100)..=ms(4000)).contains(&owner), "{owner:?}");
    assert!((ms(0)..=ms(2000)).contains(&other), "{other:?}");
    assert_eq!((owner.as_millis() % 10, other.as_millis() % 10), (0, 0));
    world.advance(other);
    world.respond(Alice, 200, Some(OFFER), false);
    world.settle();
    assert_eq!(world.log(), ["bob INVITE", "alice 200 INVITE", "bob ACK"]);
    world.advance(seconds(4));
    world.respond(Bob, 200, Some(ANSWER), false);
    world.settle();
    assert_eq!(world.log(), ["alice INVITE", "bob 200 INVITE", "alice ACK"]);
}

#[test]
fn a_second_491_is_the_users_to_see() {
    let mut world = World::established();
    world.send(Alice, Method::Invite, Some(OFFER));
    world.settle();
    world.respond(Bob, 491, None, false);
    world.advance(seconds(4));
    world.respond(Bob, 491, None, false);
    world.settle();
    let told = world
        .alice
        .events
        .iter()
        .any(|event| matches!(event, Event::Response { response, .. } if response.status().code() == 491));
    assert!(told);
    world.log.clear();
    world.advance(seconds(10));
    assert_eq!(world.log(), [""; 0]);
}

#[test]
fn a_retry_that_waits_can_be_cancelled() {
    let mut world = World::established();
    world.send(Alice, Method::Invite, Some(OFFER));
    world.settle();
    world.respond(Bob, 491, None, false);
    world.settle();
    world.act(Alice, Input::CancelReinvite(FIRST)).unwrap();
    world.log.clear();
    world.advance(seconds(10));
    assert_eq!(world.log(), [""; 0]);
}

#[test]
fn a_reinvite_can_be_cancelled_and_the_session_lives() {
    let mut world = World::established();
    world.send(Alice, Method::Invite, Some(OFFER));
    world.settle();
    world.respond(Bob, 180, None, false);
    world.settle();
    world.act(Alice, Input::CancelReinvite(FIRST)).unwrap();
    world.settle();
    assert_eq!(world.log(), ["alice INVITE", "bob 180 INVITE", "alice CANCEL", "bob 200 CANCEL", "bob 487 INVITE"]);
    world.send(Alice, Method::Info, None);
    world.settle();
    assert!(matches!(world.bob.waiting.back(), Some((_, request)) if *request.method() == Method::Info));
}

/// §14.1: "If a UAC receives a 481 or a 408 for a re-INVITE": the dialog is over.
#[test]
fn a_481_to_a_reinvite_ends_the_session_with_bye() {
    for code in [481, 408] {
        let mut world = World::established();
        world.send(Alice, Method::Invite, Some(OFFER));
        world.settle();
        world.respond(Bob, code, None, false);
        world.settle();
        assert!(world.log().contains(&"alice BYE".to_owned()));
        world.assert_all_over();
    }
}

/// RFC 6337 §5.1: the offer in a 2xx to a re-INVITE without one is answered in the ACK.
#[test]
fn a_reinvite_without_offer_gets_one() {
    let mut world = World::established();
    world.send(Alice, Method::Invite, None);
    world.settle();
    world.respond(Bob, 200, Some(ANSWER), false);
    world.settle();
    assert!(matches!(world.event(Alice), Some(Event::Response { ack_owed: true, .. })));
    world.act(Alice, Input::Acknowledge { dialog: FIRST, body: sdp(OFFER) }).unwrap();
    world.settle();
    assert!(matches!(world.bob.events.back(), Some(Event::Acknowledged { .. })));
}

/// RFC 3264 §8: the version in our o= line rises exactly when the description changes.
#[test]
fn the_version_of_a_changed_offer_is_written_by_the_usage() {
    let mut world = World::established();
    let hold = OFFER.replace("a=rtpmap", "a=sendonly\r\na=rtpmap");
    world.send(Alice, Method::Invite, Some(&hold));
    world.settle();
    let (_, request) = world.bob.waiting.front().unwrap();
    let text = String::from_utf8(request.body().to_vec()).unwrap();
    assert!(text.contains("o=alice 1 2 IN IP4 192.0.2.1"), "{text}");
}

/// A back-to-back user agent passes bodies on as they are.
#[test]
fn with_offer_answer_off_bodies_are_not_read() {
    let off = |name| Policy { offer_answer: false, ..policy(name) };
    let mut world = World::established_with(off("alice"), off("bob"));
    let body = Body { content_type: "application/sdp".into(), octets: "no description".into() };
    let mut request = world.usage(Alice).create_request(FIRST, Method::Invite).unwrap();
    request.set_body(&body.content_type, body.octets.clone()).unwrap();
    world.act(Alice, Input::Send { dialog: FIRST, request }).unwrap();
    world.settle();
    let (_, request) = world.bob.waiting.front().unwrap();
    assert_eq!(request.body(), &body.octets);
    assert!(world.usage(Bob).offer_answer(FIRST).is_none());
}
