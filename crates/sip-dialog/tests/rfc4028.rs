//! RFC 4028: the session timer.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::Side::{Alice, Bob};
use common::*;
use sip_dialog::invite::{Event, Policy, SessionTimerPolicy, Termination};
use sip_message::{HeaderName, Method};

fn with_timer(name: &str, interval: Option<u64>, min_se: u64) -> Policy {
    let session_timer =
        SessionTimerPolicy { supported: true, interval: interval.map(seconds), min_se: seconds(min_se) };
    Policy { session_timer, ..policy(name) }
}

fn without_timer(name: &str) -> Policy {
    let session_timer = SessionTimerPolicy { supported: false, ..SessionTimerPolicy::default() };
    Policy { session_timer, ..policy(name) }
}

/// The last message of this kind, header by header.
fn last(world: &World, side: Side, name: HeaderName) -> Option<String> {
    let phone = if side == Alice { &world.alice } else { &world.bob };
    phone.events.iter().rev().find_map(|event| match event {
        Event::Answered { response, .. } => Some(response.headers().first(name)?.to_owned()),
        _ => None,
    })
}

fn answered(alice: Policy, bob: Policy) -> World {
    let mut world = World::new(alice, bob);
    world.call(Some(OFFER));
    world.answer(200, Some(ANSWER));
    world.settle();
    world.log.clear();
    world
}

/// §7.1, §9, table 2: the UAC asks, the UAS grants and names the refresher.
#[test]
fn the_interval_is_negotiated_in_the_invite() {
    let world = answered(with_timer("alice", Some(1800), 90), with_timer("bob", None, 90));
    assert_eq!(last(&world, Alice, HeaderName::SessionExpires).as_deref(), Some("1800;refresher=uac"));
    assert_eq!(last(&world, Alice, HeaderName::Require).as_deref(), Some("timer"));
}

/// §9: "The UAS response MAY reduce its value […] MUST NOT increase".
#[test]
fn the_callee_may_shorten_the_interval_and_not_lengthen_it() {
    let shorter = answered(with_timer("alice", Some(1800), 90), with_timer("bob", Some(600), 90));
    assert_eq!(last(&shorter, Alice, HeaderName::SessionExpires).as_deref(), Some("600;refresher=uac"));
    let longer = answered(with_timer("alice", Some(600), 90), with_timer("bob", Some(1800), 90));
    assert_eq!(last(&longer, Alice, HeaderName::SessionExpires).as_deref(), Some("600;refresher=uac"));
}

/// §9: the UAS may ask for a timer on its own; without support at the UAC it refreshes itself (table 2, first row).
#[test]
fn a_callee_that_wants_a_timer_alone_refreshes_itself() {
    let mut world = answered(without_timer("alice"), with_timer("bob", Some(600), 90));
    assert_eq!(last(&world, Alice, HeaderName::SessionExpires).as_deref(), Some("600;refresher=uas"));
    assert_eq!(last(&world, Alice, HeaderName::Require), None);
    world.advance(seconds(300));
    assert_eq!(world.log(), ["bob UPDATE", "alice 200 UPDATE"]);
}

/// §7.2: a UAC whose peer has not heard of the extension may refresh for its own benefit.
#[test]
fn a_caller_that_wants_a_timer_alone_refreshes_itself() {
    let mut world = answered(with_timer("alice", Some(600), 90), without_timer("bob"));
    world.advance(seconds(300));
    assert!(world.log()[0].starts_with("alice "));
}

/// §10: at half the interval, by UPDATE without an offer if the peer allows it (§7.4), and the session goes on.
#[test]
fn the_refresher_refreshes_at_half_the_interval() {
    let mut invite = invite(Some(OFFER));
    invite.headers_mut().remove(HeaderName::Allow);
    let mut world = World::new(with_timer("alice", Some(600), 90), with_timer("bob", None, 90));
    world.call_with(invite);
    let (_, request) = world.bob.waiting.front().cloned().unwrap();
    let mut ok = sip_message::Response::to(&request, status(200));
    ok.headers_mut().push(HeaderName::Allow, "INVITE, ACK, BYE, UPDATE").unwrap();
    ok.set_body("application/sdp", ANSWER).unwrap();
    world.respond_with(Bob, ok, false).unwrap();
    world.settle();
    world.log.clear();
    world.advance(ms(299_999));
    assert_eq!(world.log(), [""; 0]);
    world.advance(ms(1));
    assert_eq!(world.log(), ["alice UPDATE", "bob 200 UPDATE"]);
    world.advance(seconds(2999));
    assert_eq!(world.log().len(), 18, "every 300 s");
}

/// §7.4: otherwise by a re-INVITE with the offer of before, unchanged.
#[test]
fn without_update_the_refresh_is_a_reinvite_with_the_same_offer() {
    let mut world = answered(with_timer("alice", Some(600), 90), with_timer("bob", None, 90));
    world.advance(seconds(300));
    assert_eq!(world.log(), ["alice INVITE"]);
    let (_, request) = world.bob.waiting.front().unwrap();
    assert_eq!(String::from_utf8(request.body().to_vec()).unwrap(), OFFER);
    assert_eq!(request.headers().first(HeaderName::SessionExpires), Some("600;refresher=uac"));
    world.respond(Bob, 200, Some(ANSWER), false);
    world.settle();
    assert_eq!(world.log(), ["bob 200 INVITE", "alice ACK"]);
    assert!(!world.alice.events.iter().any(|event| matches!(event, Event::Response { .. })), "nobody asked for it");
}

/// §10: without a refresh, BYE at interval − min(32 s, interval/3).
#[test]
fn a_session_that_is_not_refreshed_ends_with_bye_in_time() {
    for (interval, end) in [(600, 568_000), (90, 60_000)] {
        let mut world = answered(with_timer("alice", Some(interval), 90), with_timer("bob", None, 90));
        // Nobody answers the re-INVITE that refreshes.
        world.advance(ms(end - 1));
        assert!(!world.log().iter().any(|what| what.ends_with("BYE")));
        world.advance(ms(1));
        assert!(world.log().iter().any(|what| what == "bob BYE" || what == "alice BYE"));
        let over = world
            .bob
            .events
            .iter()
            .any(|event| matches!(event, Event::Terminated { reason: Termination::SessionExpired, .. }));
        assert!(over);
    }
}

/// §9, §7.3: an interval below the UAS's minimum gets 422 with Min-SE, and the UAC asks again with the next number.
#[test]
fn too_short_an_interval_gets_422_and_is_asked_for_again() {
    let mut world = World::new(with_timer("alice", Some(120), 90), with_timer("bob", None, 300));
    world.call(Some(OFFER));
    assert_eq!(world.log(), ["alice INVITE", "bob 422 INVITE", "alice INVITE"]);
    let (_, request) = world.bob.waiting.front().unwrap();
    assert_eq!(request.headers().first(HeaderName::Cseq), Some("2 INVITE"));
    assert_eq!(request.headers().first(HeaderName::SessionExpires), Some("300"));
    assert_eq!(request.headers().first(HeaderName::MinSe), Some("300"));
    world.answer(200, Some(ANSWER));
    world.settle();
    assert_eq!(last(&world, Alice, HeaderName::SessionExpires).as_deref(), Some("300;refresher=uac"));
}

/// §9: a UAC that does not know the extension would not understand a 422.
#[test]
fn a_caller_without_the_extension_gets_no_422() {
    let mut world = World::new(without_timer("alice"), with_timer("bob", None, 300));
    let mut request = invite(Some(OFFER));
    // A proxy on the way has put it in.
    request.headers_mut().push(HeaderName::SessionExpires, "120").unwrap();
    world.call_with(request);
    assert_eq!(world.log(), ["alice INVITE"]);
}

/// §7.4: within the dialog the refresher stays who it was, whoever sends a re-INVITE.
#[test]
fn a_reinvite_refreshes_and_keeps_the_roles() {
    let mut world = answered(with_timer("alice", Some(600), 90), with_timer("bob", None, 90));
    world.advance(seconds(200));
    world.send(Bob, Method::Invite, Some(ANSWER));
    world.settle();
    let (_, request) = world.alice.waiting.front().unwrap();
    assert_eq!(request.headers().first(HeaderName::SessionExpires), Some("600;refresher=uas"));
    world.respond(Alice, 200, Some(OFFER), false);
    world.settle();
    world.log.clear();
    world.advance(seconds(299));
    assert_eq!(world.log(), [""; 0]);
    world.advance(seconds(1));
    assert_eq!(world.log()[0], "alice UPDATE".replace("UPDATE", "INVITE"));
}

/// A peer that grants less than 90 s could make us refresh without end.
#[test]
fn an_interval_below_90_s_is_taken_for_90() {
    let mut world = World::new(with_timer("alice", Some(1800), 90), without_timer("bob"));
    world.call(Some(OFFER));
    let (_, request) = world.bob.waiting.front().cloned().unwrap();
    let mut ok = sip_message::Response::to(&request, status(200));
    ok.headers_mut().push(HeaderName::SessionExpires, "1;refresher=uac").unwrap();
    ok.set_body("application/sdp", ANSWER).unwrap();
    world.respond_with(Bob, ok, false).unwrap();
    world.settle();
    world.log.clear();
    world.advance(seconds(44));
    assert_eq!(world.log(), [""; 0]);
}

/// An UPDATE in an early dialog may ask for a timer; it runs from the 2xx to the INVITE on, which sets it anew.
#[test]
fn no_timer_runs_before_there_is_a_session() {
    let mut world = World::new(with_timer("alice", Some(90), 90), with_timer("bob", None, 90));
    world.call(Some(OFFER));
    world.respond(Bob, 183, Some(ANSWER), true);
    world.settle();
    world.send(Alice, Method::Update, None);
    world.settle();
    world.log.clear();
    world.advance(seconds(200));
    assert_eq!(world.log(), [""; 0]);
    world.answer(200, None);
    world.settle();
    world.log.clear();
    world.advance(seconds(44));
    assert_eq!(world.log(), [""; 0]);
    world.advance(seconds(1));
    assert_eq!(world.log().first().map(String::as_str), Some("alice INVITE"));
}
