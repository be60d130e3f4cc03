//! RFC 5407: the race conditions of calls, a test for each of its figures.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::Side::{Alice, Bob};
use common::*;
use sip_dialog::invite::{Event, Input, Termination};
use sip_message::Method;

fn ringing() -> World {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.answer(180, None);
    world.settle();
    world.log.clear();
    world.alice.events.clear();
    world
}

fn terminations(world: &mut World, side: Side) -> Vec<Termination> {
    let of = |event: &Event| match event {
        Event::Terminated { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    world.phone(side).events.iter().filter_map(of).collect()
}

/// §3.1.1: a copy of the initial INVITE is the transaction's business (RFC 6026); the usage has nothing that could take it
/// for another call.
#[test]
fn s3_1_1_a_copy_of_the_invite_after_the_200_is_no_new_call() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    let (transaction, copy) = world.bob.waiting.front().cloned().unwrap();
    world.hold("bob 200 INVITE");
    world.answer(200, Some(ANSWER));
    world.settle();
    world.log.clear();
    world.act(Bob, Input::RequestReceived { transaction, request: copy }).unwrap();
    assert_eq!(world.usage(Bob).dialogs().count(), 1);
    world.wire.clear();
    world.release();
    assert!(world.log().contains(&"alice ACK".to_owned()));
}

/// §3.1.2: CANCEL crosses the 200: it is answered 200 without effect, the caller sends ACK and then BYE.
#[test]
fn s3_1_2_cancel_crossing_the_200() {
    let mut world = ringing();
    world.act(Alice, Input::Cancel).unwrap();
    world.answer(200, Some(ANSWER));
    world.settle();
    let log = world.log();
    assert_eq!(log[..2], ["alice CANCEL", "bob 200 INVITE"]);
    assert!(log.contains(&"bob 200 CANCEL".to_owned()));
    let ack = log.iter().position(|what| what == "alice ACK").expect("ACK");
    let bye = log.iter().position(|what| what == "alice BYE").expect("BYE");
    assert!(ack < bye);
    assert_eq!(terminations(&mut world, Alice), [Termination::ByeSent]);
    assert!(!world.alice.events.iter().any(|event| matches!(event, Event::Answered { .. })), "no session begins");
    world.assert_all_over();
}

/// §3.1.3: BYE in the early dialog crosses the 200: the 200 is acknowledged, and no session begins.
#[test]
fn s3_1_3_early_bye_crossing_the_200() {
    let mut world = ringing();
    world.send(Alice, Method::Bye, None);
    world.answer(200, Some(ANSWER));
    world.settle();
    assert_eq!(world.log(), ["alice BYE", "bob 200 INVITE", "bob 200 BYE", "alice ACK"]);
    assert!(!world.alice.events.iter().any(|event| matches!(event, Event::Answered { .. })));
    assert!(matches!(terminations(&mut world, Bob)[..], [Termination::ByeReceived(_)]));
    world.assert_all_over();
}

/// §3.1.4: the ACK is lost, and a re-INVITE comes before its repetition: it can be answered.
#[test]
fn s3_1_4_reinvite_before_the_ack_when_the_exchange_is_complete() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.lose("alice ACK");
    world.answer(200, Some(ANSWER));
    world.settle();
    world.send(Alice, Method::Invite, Some(OFFER));
    world.settle();
    world.log.clear();
    world.respond(Bob, 200, Some(ANSWER), false);
    world.settle();
    assert_eq!(world.log(), ["bob 200 INVITE", "alice ACK"]);
    // The first 200 is still not acknowledged: its repetition brings the ACK.
    world.advance(ms(600));
    assert_eq!(world.log(), ["bob 200 INVITE", "alice ACK"]);
    world.advance(seconds(40));
    assert_eq!(world.log(), [""; 0]);
    assert!(terminations(&mut world, Bob).is_empty());
}

/// §3.1.5: the lost ACK has the answer: the re-INVITE gets 491.
#[test]
fn s3_1_5_reinvite_before_the_ack_with_the_answer() {
    let mut world = World::default_policies();
    world.call(None);
    world.answer(200, Some(ANSWER));
    world.settle();
    world.lose("alice ACK");
    world.act(Alice, Input::Acknowledge { dialog: FIRST, body: sdp(OFFER) }).unwrap();
    world.settle();
    world.log.clear();
    world.send(Alice, Method::Invite, Some(OFFER));
    world.settle();
    assert_eq!(world.log(), ["alice INVITE", "bob 491 INVITE"]);
    world.advance(ms(600));
    assert!(world.usage(Bob).offer_answer(FIRST).unwrap().agreement().is_some(), "the ACK's repetition has the answer");
}

/// §3.1.6: the ACK is lost, BYE comes: the 200 is not repeated any more, and its copies begin no session.
#[test]
fn s3_1_6_bye_before_the_ack() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.lose("alice ACK");
    world.answer(200, Some(ANSWER));
    world.settle();
    world.hold("alice BYE");
    world.advance(ms(500));
    world.lose("alice ACK");
    world.send(Alice, Method::Bye, None);
    world.log.clear();
    world.release();
    assert_eq!(world.log(), ["bob 200 BYE"]);
    world.log.clear();
    world.advance(seconds(20));
    assert_eq!(world.log(), [""; 0]);
    world.assert_all_over();
}

/// §3.2.1: BYE crosses BYE: both are answered 200.
#[test]
fn s3_2_1_bye_crossing_bye() {
    let mut world = World::established();
    world.send(Alice, Method::Bye, None);
    world.send(Bob, Method::Bye, None);
    world.settle();
    assert_eq!(world.log(), ["alice BYE", "bob BYE", "bob 200 BYE", "alice 200 BYE"]);
    for side in [Alice, Bob] {
        assert_eq!(terminations(&mut world, side), [Termination::ByeSent]);
    }
    world.assert_all_over();
}

/// §3.2.2: a re-INVITE crosses BYE: 481.
#[test]
fn s3_2_2_reinvite_crossing_bye() {
    let mut world = World::established();
    world.send(Alice, Method::Bye, None);
    world.send(Bob, Method::Invite, Some(ANSWER));
    world.settle();
    assert_eq!(world.log(), ["alice BYE", "bob INVITE", "bob 200 BYE", "alice 481 INVITE"]);
    world.assert_all_over();
}

/// §3.2.3: the 200 to a re-INVITE crosses BYE: it is acknowledged.
#[test]
fn s3_2_3_the_200_of_a_reinvite_crossing_bye() {
    let mut world = World::established();
    world.send(Bob, Method::Invite, Some(ANSWER));
    world.settle();
    world.send(Bob, Method::Bye, None);
    world.respond(Alice, 200, Some(OFFER), false);
    world.settle();
    let log = world.log();
    assert!(log.contains(&"bob ACK".to_owned()), "{log:?}");
    assert!(log.contains(&"alice 200 BYE".to_owned()), "{log:?}");
    world.assert_all_over();
}

/// §3.2.4: the callee hangs up before the ACK has come. RFC 3261 §15 lets its BYE wait for the ACK, so that the ACK finds
/// no dialog that is over.
#[test]
fn s3_2_4_ack_and_the_callees_bye() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.hold("alice ACK");
    world.answer(200, Some(ANSWER));
    world.settle();
    world.send(Bob, Method::Bye, None);
    world.release();
    assert!(world.log().ends_with(&["bob BYE".to_owned(), "alice 200 BYE".to_owned()]));
    world.assert_all_over();
}

/// §3.3.1: re-INVITE crosses re-INVITE. The waiting times are in `rfc3261_s14_reinvite.rs`.
#[test]
fn s3_3_1_reinvite_crossing_reinvite() {
    let mut world = World::established();
    world.send(Alice, Method::Invite, Some(OFFER));
    world.send(Bob, Method::Invite, Some(ANSWER));
    world.settle();
    assert_eq!(world.log()[2..], ["bob 491 INVITE", "alice 491 INVITE"]);
}

/// §3.3.2: an UPDATE with an offer crosses a re-INVITE with one: both get 491, and both are tried again.
#[test]
fn s3_3_2_update_crossing_reinvite() {
    let mut world = World::established();
    world.send(Alice, Method::Update, Some(OFFER));
    world.send(Bob, Method::Invite, Some(ANSWER));
    world.settle();
    assert_eq!(world.log(), ["alice UPDATE", "bob INVITE", "bob 491 UPDATE", "alice 491 INVITE"]);
    world.advance(seconds(2));
    world.respond(Alice, 200, Some(OFFER), false);
    world.settle();
    world.advance(seconds(2));
    world.respond(Bob, 200, Some(ANSWER), false);
    world.settle();
    assert_eq!(world.log(), ["bob INVITE", "alice 200 INVITE", "bob ACK", "alice UPDATE", "bob 200 UPDATE"]);
}

/// §3.3.2: "an UPDATE for session refresh that doesn't contain a session description and a re-INVITE cross each other, both
/// requests succeed".
#[test]
fn s3_3_2_update_without_offer_crossing_reinvite() {
    let mut world = World::established();
    world.send(Alice, Method::Update, None);
    world.send(Bob, Method::Invite, Some(ANSWER));
    world.settle();
    world.respond(Alice, 200, Some(OFFER), false);
    world.settle();
    assert_eq!(world.log(), ["alice UPDATE", "bob INVITE", "bob 200 UPDATE", "alice 200 INVITE", "bob ACK"]);
}

/// §3.3.3: a REFER crosses BYE: 481.
#[test]
fn s3_3_3_refer_crossing_bye() {
    let mut world = World::established();
    world.send(Alice, Method::Bye, None);
    world.send(Bob, Method::Refer, None);
    world.settle();
    assert_eq!(world.log(), ["alice BYE", "bob REFER", "bob 200 BYE", "alice 481 REFER"]);
    world.assert_all_over();
}
