//! RFC 3262: reliable provisional responses.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::Side::{Alice, Bob};
use common::*;
use sip_dialog::invite::{Event, Input, Misuse, Policy};
use sip_message::{HeaderName, Method, Response};

fn called() -> World {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.log.clear();
    world
}

fn ring(world: &mut World, body: Option<&str>) {
    world.respond(Bob, 183, body, true);
}

/// §3, §4: RSeq and Require, PRACK with RAck, 200.
#[test]
fn a_reliable_response_is_acknowledged() {
    let mut world = called();
    ring(&mut world, None);
    world.settle();
    assert_eq!(world.log(), ["bob 183 INVITE", "alice PRACK", "bob 200 PRACK"]);
    let Some(Event::Provisional { response, prack_owed: false, .. }) = world.event(Alice) else { panic!("183") };
    assert!(response.headers().has_token(HeaderName::Require, "100rel"));
    let rseq: u32 = response.headers().first(HeaderName::Rseq).unwrap().parse().unwrap();
    assert!((1..1 << 31).contains(&rseq));
    let Some(Event::ProvisionalAcknowledged { prack, .. }) = world.event(Bob) else { panic!("PRACK") };
    assert_eq!(prack.headers().first(HeaderName::Rack), Some(&*format!("{rseq} 1 INVITE")));
    assert_eq!(prack.headers().first(HeaderName::Cseq), Some("2 PRACK"));
}

/// §3: "retransmitted with an exponential backoff", from T1 on, without an upper bound but 64·T1.
#[test]
fn it_is_repeated_with_doubling_intervals() {
    let mut world = called();
    world.hold("alice PRACK");
    ring(&mut world, None);
    world.settle();
    world.log.clear();
    let mut sent_at = Vec::new();
    for tenth in 1..319 {
        world.advance(ms(100));
        if world.log().contains(&"bob 183 INVITE".to_owned()) {
            sent_at.push(tenth * 100);
        }
    }
    assert_eq!(sent_at, [500, 1500, 3500, 7500, 15500, 31500]);
}

/// §3: "If a reliable provisional response is retransmitted for 64*T1 seconds without reception of a corresponding PRACK,
/// the UAS SHOULD reject the original request with a 5xx response."
#[test]
fn without_prack_the_invite_is_rejected_after_64_t1() {
    let mut world = called();
    world.hold("alice PRACK");
    ring(&mut world, None);
    world.advance(seconds(32));
    assert!(world.log().contains(&"bob 504 INVITE".to_owned()));
    assert!(world.bob.events.iter().any(|event| matches!(event, Event::ProvisionalNotAcknowledged { .. })));
    world.bob.waiting.clear();
    world.assert_all_over();
}

/// §4: copies are not acknowledged again, and the user does not see them.
#[test]
fn a_copy_is_not_acknowledged() {
    let mut world = called();
    world.hold("bob 200 PRACK");
    world.hold("alice PRACK");
    ring(&mut world, None);
    world.advance(seconds(4));
    let pracks = world.log().iter().filter(|what| *what == "alice PRACK").count();
    assert_eq!(pracks, 1);
    let seen = world.alice.events.iter().filter(|event| matches!(event, Event::Provisional { .. })).count();
    assert_eq!(seen, 1);
}

/// §3: "MUST NOT send a second reliable provisional response until the first is acknowledged".
#[test]
fn the_second_waits_for_the_prack_of_the_first() {
    let mut world = called();
    world.hold("alice PRACK");
    ring(&mut world, None);
    ring(&mut world, None);
    world.settle();
    assert_eq!(world.log(), ["bob 183 INVITE", "alice PRACK"]);
    world.release();
    assert_eq!(world.log(), ["bob 200 PRACK", "bob 183 INVITE", "alice PRACK", "bob 200 PRACK"]);
    let rseqs: Vec<u32> = world
        .alice
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Provisional { response, .. } => response.headers().first(HeaderName::Rseq)?.parse().ok(),
            _ => None,
        })
        .collect();
    assert_eq!(rseqs[1], rseqs[0] + 1);
}

/// §4: a response whose RSeq is not the next "MUST NOT be acknowledged with a PRACK, and MUST NOT be processed further".
#[test]
fn a_response_out_of_order_is_dropped() {
    let mut world = called();
    ring(&mut world, None);
    world.settle();
    let Some(Event::Provisional { mut response, .. }) = world.event(Alice) else { panic!("183") };
    world.log.clear();
    let rseq: u32 = response.headers().first(HeaderName::Rseq).unwrap().parse().unwrap();
    for wrong in [rseq + 2, rseq, rseq - 1] {
        response.headers_mut().set(HeaderName::Rseq, wrong).unwrap();
        let transaction = sip_dialog::invite::ClientKey(0);
        world.act(Alice, Input::ResponseReceived { transaction, response: response.clone() }).unwrap();
        assert_eq!(world.log(), [""; 0]);
        assert!(world.event(Alice).is_none());
    }
}

/// §3: "If the PRACK does not match any unacknowledged reliable provisional response, the UAS MUST respond […] 481".
#[test]
fn a_prack_that_acknowledges_nothing_gets_481() {
    let mut world = called();
    ring(&mut world, None);
    world.settle();
    let Some(Event::ProvisionalAcknowledged { prack, .. }) = world.event(Bob) else { panic!("PRACK") };
    world.log.clear();
    for (rack, cseq) in [("1 1 INVITE", "3 PRACK"), ("99 99 INVITE", "4 PRACK")] {
        let mut wrong = prack.clone();
        wrong.headers_mut().set(HeaderName::Rack, rack).unwrap();
        wrong.headers_mut().set(HeaderName::Cseq, cseq).unwrap();
        let transaction = sip_dialog::invite::ServerKey(700);
        world.act(Bob, Input::RequestReceived { transaction, request: wrong }).unwrap();
        assert_eq!(world.log(), ["bob 481 PRACK"]);
    }
    let mut unreadable = prack.clone();
    unreadable.headers_mut().remove(HeaderName::Rack);
    unreadable.headers_mut().set(HeaderName::Cseq, "5 PRACK").unwrap();
    let transaction = sip_dialog::invite::ServerKey(701);
    world.act(Bob, Input::RequestReceived { transaction, request: unreadable }).unwrap();
    assert_eq!(world.log(), ["bob 400 PRACK"]);
}

/// §3: with a description in an unacknowledged response the 2xx "MUST NOT" be sent before the PRACK.
#[test]
fn the_2xx_waits_for_the_prack_of_an_answer() {
    let mut world = called();
    world.hold("alice PRACK");
    ring(&mut world, Some(ANSWER));
    world.answer(200, None);
    world.settle();
    assert_eq!(world.log(), ["bob 183 INVITE", "alice PRACK"]);
    world.release();
    assert_eq!(world.log(), ["bob 200 PRACK", "bob 200 INVITE", "alice ACK"]);
    for side in [Alice, Bob] {
        assert!(world.usage(side).offer_answer(FIRST).unwrap().agreement().is_some());
    }
}

/// §3: without one it may overtake; "it MUST be prepared to process PRACK requests for those outstanding responses".
#[test]
fn a_prack_after_the_2xx_is_still_answered() {
    let mut world = called();
    world.hold("alice PRACK");
    ring(&mut world, None);
    world.settle();
    world.answer(200, Some(ANSWER));
    world.settle();
    world.log.clear();
    world.release();
    assert_eq!(world.log(), ["bob 200 PRACK"]);
    world.advance(seconds(40));
    assert!(!world.log().contains(&"bob 183 INVITE".to_owned()));
}

/// §3: only to a peer that supports it.
#[test]
fn a_peer_without_100rel_gets_no_reliable_response() {
    let alice = Policy { reliable_provisionals: false, ..policy("alice") };
    let mut world = World::new(alice, policy("bob"));
    world.call(Some(OFFER));
    let (_, request) = world.bob.waiting.front().cloned().unwrap();
    let response = Response::to(&request, status(183));
    assert_eq!(world.respond_with(Bob, response, true), Err(Misuse::PeerLacks100rel));
}

/// §3: "The UAS MUST send any non-100 provisional response reliably if the initial request contained a Require".
#[test]
fn a_peer_that_requires_it_gets_reliable_responses_only() {
    let mut world = World::default_policies();
    let mut request = invite(Some(OFFER));
    request.headers_mut().push(HeaderName::Require, "100rel").unwrap();
    world.call_with(request);
    world.answer(180, None);
    world.settle();
    assert_eq!(world.log(), ["alice INVITE", "bob 180 INVITE", "alice PRACK", "bob 200 PRACK"]);
}

/// §5: the offer in a reliable response is answered in the PRACK.
#[test]
fn an_offer_in_a_reliable_response_is_answered_in_the_prack() {
    let mut world = World::default_policies();
    world.call(None);
    ring(&mut world, Some(ANSWER));
    world.settle();
    let Some(Event::Provisional { prack_owed: true, .. }) = world.event(Alice) else { panic!("PRACK is owed") };
    assert!(!world.log().contains(&"alice PRACK".to_owned()));
    world.act(Alice, Input::AcknowledgeProvisional { dialog: FIRST, body: sdp(OFFER) }).unwrap();
    world.settle();
    assert_eq!(world.log(), ["alice PRACK", "bob 200 PRACK"]);
    for side in [Alice, Bob] {
        assert!(world.usage(side).offer_answer(FIRST).unwrap().agreement().is_some());
    }
    world.answer(200, None);
    world.settle();
    assert_eq!(world.log(), ["bob 200 INVITE", "alice ACK"]);
}

/// §5: "the UAC MAY […] an additional offer in the PRACK", which its 2xx answers.
#[test]
fn an_offer_in_a_prack_is_answered_in_its_2xx() {
    let alice = Policy { acknowledge: sip_dialog::invite::Acknowledge::ByUser, ..policy("alice") };
    let mut world = World::new(alice, policy("bob"));
    world.call(Some(OFFER));
    ring(&mut world, Some(ANSWER));
    world.settle();
    let hold = OFFER.replace("a=rtpmap", "a=sendonly\r\na=rtpmap");
    world.act(Alice, Input::AcknowledgeProvisional { dialog: FIRST, body: sdp(&hold) }).unwrap();
    world.settle();
    let at = world.bob.waiting.iter().position(|(_, request)| *request.method() == Method::Prack).expect("PRACK waits");
    world.bob.waiting.swap(0, at);
    world.log.clear();
    world.respond(Bob, 200, Some(&ANSWER.replace("a=rtpmap", "a=recvonly\r\na=rtpmap")), false);
    world.settle();
    assert_eq!(world.log(), ["bob 200 PRACK"]);
    assert!(world.usage(Alice).offer_answer(FIRST).unwrap().pending_offer().is_none());
}
