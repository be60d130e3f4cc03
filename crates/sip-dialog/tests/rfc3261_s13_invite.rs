//! RFC 3261 §13: initiating a session. §9 (CANCEL) where it concerns the session, §13.2.2.4 and §13.3.1.4 in full.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::Side::{Alice, Bob};
use common::*;
use sip_dialog::DialogState;
use sip_dialog::invite::{
    Acknowledge, ClientKey, DialogKey, Event, Failure, Input, InviteUsage, Misuse, Output, Policy, Termination,
};
use sip_message::{HeaderName, Method, Response, StatusCode};

#[test]
fn a_call_is_answered_and_acknowledged() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.answer(180, None);
    world.answer(200, Some(ANSWER));
    world.settle();
    assert_eq!(world.log(), ["alice INVITE", "bob 180 INVITE", "bob 200 INVITE", "alice ACK"]);
    assert!(matches!(world.event(Alice), Some(Event::Provisional { dialog: Some(FIRST), prack_owed: false, .. })));
    assert!(matches!(world.event(Alice), Some(Event::Answered { dialog: FIRST, ack_owed: false, .. })));
    assert!(matches!(world.event(Bob), Some(Event::Acknowledged { dialog: FIRST, .. })));
    for side in [Alice, Bob] {
        let usage = world.usage(side);
        assert_eq!(usage.dialog(FIRST).unwrap().state, DialogState::Confirmed);
        assert!(usage.offer_answer(FIRST).unwrap().agreement().is_some());
    }
}

#[test]
fn our_contact_is_in_the_invite_and_in_its_responses() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    assert_eq!(
        world.usage(Alice).initial_invite().unwrap().headers().first(HeaderName::Contact),
        Some("<sip:alice@alice.example.com>")
    );
    world.answer(200, Some(ANSWER));
    world.settle();
    assert_eq!(world.usage(Alice).dialog(FIRST).unwrap().remote_target.as_str(), "sip:bob@bob.example.com");
    assert_eq!(world.usage(Bob).dialog(FIRST).unwrap().remote_target.as_str(), "sip:alice@alice.example.com");
}

/// §13.3.1.4: "the 2xx response is passed to the transport with an interval that starts at T1 seconds and doubles for each
/// retransmission until it reaches T2 seconds".
#[test]
fn a_2xx_is_repeated_until_it_is_acknowledged() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.hold("alice ACK");
    world.answer(200, Some(ANSWER));
    world.settle();
    world.log.clear();
    let mut sent_at = Vec::new();
    for tenth in 1..=160 {
        world.advance(ms(100));
        if world.log().contains(&"bob 200 INVITE".to_owned()) {
            sent_at.push(tenth * 100);
        }
    }
    assert_eq!(sent_at, [500, 1500, 3500, 7500, 11500, 15500]);
    world.release();
    world.log.clear();
    world.advance(seconds(10));
    assert_eq!(world.log(), [""; 0]);
    let acknowledged = world.bob.events.iter().filter(|event| matches!(event, Event::Acknowledged { .. })).count();
    assert_eq!(acknowledged, 1, "the ACK's repetitions say nothing new");
}

/// §13.3.1.4: after 64·T1 without ACK "the dialog is confirmed, but the session SHOULD be terminated … with a BYE".
#[test]
fn a_callee_that_gets_no_ack_says_bye_after_64_t1() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.hold("alice ACK");
    world.answer(200, Some(ANSWER));
    world.advance(ms(31_900));
    assert!(!world.log().contains(&"bob BYE".to_owned()));
    world.advance(ms(100));
    assert!(world.log().contains(&"bob BYE".to_owned()));
    let reason = world.bob.events.iter().find_map(|event| match event {
        Event::Terminated { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, Some(Termination::AckNotReceived));
    world.assert_all_over();
}

/// §13.2.2.4: the ACK "MUST be passed to the client transport every time a retransmission of the 2xx […] arrives".
#[test]
fn each_repetition_of_the_2xx_is_acknowledged() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.lose("alice ACK");
    world.answer(200, Some(ANSWER));
    world.settle();
    world.advance(ms(600));
    assert_eq!(world.log(), ["alice INVITE", "bob 200 INVITE", "alice ACK", "bob 200 INVITE", "alice ACK"]);
    let answered = world.alice.events.iter().filter(|event| matches!(event, Event::Answered { .. })).count();
    assert_eq!(answered, 1);
}

/// §13.2.2.4: "The ACK MUST contain the same credentials as the INVITE", and the INVITE's CSeq number.
#[test]
fn the_ack_has_number_and_credentials_of_the_invite() {
    let mut world = World::default_policies();
    let mut request = invite(Some(OFFER));
    request
        .headers_mut()
        .push(
            HeaderName::ProxyAuthorization,
            "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"0\"",
        )
        .unwrap();
    world.call_with(request);
    world.answer(200, Some(ANSWER));
    world.settle();
    let Some(Event::Acknowledged { ack, .. }) = world.event(Bob) else { panic!("no ACK") };
    assert_eq!(ack.headers().first(HeaderName::Cseq), Some("1 ACK"));
    assert!(ack.headers().contains(HeaderName::ProxyAuthorization));
    assert_eq!(ack.uri_text(), "sip:bob@bob.example.com");
}

/// §13.2.1: an INVITE without offer gets it in the 2xx and answers it in the ACK.
#[test]
fn an_invite_without_offer_is_answered_in_the_ack() {
    let mut world = World::default_policies();
    world.call(None);
    world.answer(200, Some(ANSWER));
    world.settle();
    let Some(Event::Answered { ack_owed: true, .. }) = world.event(Alice) else { panic!("the user owes an answer") };
    assert_eq!(world.log(), ["alice INVITE", "bob 200 INVITE"]);
    world.act(Alice, Input::Acknowledge { dialog: FIRST, body: sdp(OFFER) }).unwrap();
    world.settle();
    assert_eq!(world.log(), ["alice ACK"]);
    for side in [Alice, Bob] {
        assert!(world.usage(side).offer_answer(FIRST).unwrap().agreement().is_some(), "{side:?}");
    }
    assert_eq!(world.act(Alice, Input::Acknowledge { dialog: FIRST, body: None }), Err(Misuse::NothingToAcknowledge));
}

#[test]
fn a_user_who_wants_to_acknowledges_each_2xx_himself() {
    let alice = Policy { acknowledge: Acknowledge::ByUser, ..policy("alice") };
    let mut world = World::new(alice, policy("bob"));
    world.call(Some(OFFER));
    world.answer(200, Some(ANSWER));
    world.advance(ms(600));
    assert_eq!(world.log(), ["alice INVITE", "bob 200 INVITE", "bob 200 INVITE"]);
    world.act(Alice, Input::Acknowledge { dialog: FIRST, body: None }).unwrap();
    world.settle();
    assert_eq!(world.log(), ["alice ACK"]);
}

#[test]
fn a_rejected_call_is_over_on_both_sides() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.answer(180, None);
    world.answer(486, None);
    world.settle();
    world.event(Alice);
    assert!(matches!(world.event(Alice), Some(Event::Terminated { reason: Termination::NotConfirmed, .. })));
    let Some(Event::Rejected { status, response: Some(_) }) = world.event(Alice) else { panic!("rejected") };
    assert_eq!(status, StatusCode::BUSY_HERE);
    assert!(matches!(world.event(Bob), Some(Event::Terminated { reason: Termination::NotConfirmed, .. })));
    world.assert_all_over();
}

/// §8.1.3.1: no final response is as good as a 408, a transport that fails as good as a 503.
#[test]
fn an_invite_that_gets_no_response_is_rejected_with_408_or_503() {
    for (failure, expected) in [(Failure::TimedOut, 408), (Failure::NotSent, 503)] {
        let mut usage = InviteUsage::call(std::time::Instant::now(), invite(None), false, policy("alice"), 1).unwrap();
        let Some(Output::SendRequest { transaction, .. }) = usage.poll_output() else { panic!("sent") };
        usage.handle(std::time::Instant::now(), Input::RequestFailed { transaction, failure }).unwrap();
        let Some(Output::Event(Event::Rejected { status, response: None })) = usage.poll_output() else {
            panic!("event")
        };
        assert_eq!(status.code(), expected);
        assert!(usage.is_over());
    }
}

/// §22.2: the request is sent again with credentials, the same Call-ID and From tag and the next CSeq.
#[test]
fn a_challenged_invite_is_sent_again_with_the_next_number() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.answer(401, None);
    world.settle();
    assert!(matches!(world.event(Alice), Some(Event::Rejected { status: StatusCode::UNAUTHORIZED, .. })));
    world.bob.usage = None;
    let again = world.usage(Alice).initial_invite().unwrap().clone();
    world.act(Alice, Input::Invite(again)).unwrap();
    world.settle();
    let (_, request) = world.bob.waiting.front().unwrap();
    assert_eq!(request.headers().first(HeaderName::Cseq), Some("2 INVITE"));
    assert_eq!(request.headers().first(HeaderName::CallId), Some("call-1@example.com"));
    assert!(request.headers().first(HeaderName::From).unwrap().contains("tag=a1"));
    world.answer(200, Some(ANSWER));
    world.settle();
    assert!(matches!(world.event(Alice), Some(Event::Answered { .. })));
}

/// §12.1.1, §13.3.1: Record-Routes are copied into the responses that make the dialog, and requests go by them.
#[test]
fn record_routes_come_back_and_become_the_route_set() {
    let mut world = World::default_policies();
    let mut request = invite(Some(OFFER));
    for route in ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"] {
        request.headers_mut().push(HeaderName::RecordRoute, route).unwrap();
    }
    world.call_with(request);
    world.answer(200, Some(ANSWER));
    world.settle();
    for (side, expected) in [
        (Alice, ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]),
        (Bob, ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]),
    ] {
        let bye = world.usage(side).create_request(FIRST, Method::Bye).unwrap();
        assert_eq!(bye.headers().values(HeaderName::Route).collect::<Vec<_>>(), expected);
    }
}

/// Requests may be sent in another order than they were made in: each has a number above the one before it.
#[test]
fn numbers_rise_in_the_order_of_sending() {
    let mut world = World::established();
    let first = world.usage(Alice).create_request(FIRST, Method::Info).unwrap();
    let second = world.usage(Alice).create_request(FIRST, Method::Message).unwrap();
    for request in [second, first] {
        world.act(Alice, Input::Send { dialog: FIRST, request }).unwrap();
    }
    world.settle();
    assert_eq!(world.log(), ["alice MESSAGE", "alice INFO"]);
    assert_eq!(world.bob.waiting.len(), 2);
}

/// What a session needs is kept when the call has long ended: nothing.
#[test]
fn nothing_is_left_of_a_call() {
    let mut world = World::established();
    world.send(Bob, Method::Bye, None);
    world.assert_all_over();
}

// ----- CANCEL -----

/// §9.1: "If no provisional response has been received, the CANCEL request MUST NOT be sent".
#[test]
fn a_cancel_waits_for_the_first_provisional_response() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.act(Alice, Input::Cancel).unwrap();
    assert_eq!(world.log(), ["alice INVITE"]);
    assert_eq!(world.act(Alice, Input::Cancel), Err(Misuse::NothingToCancel));
    world.answer(180, None);
    world.settle();
    assert_eq!(world.log(), ["bob 180 INVITE", "alice CANCEL", "bob 200 CANCEL", "bob 487 INVITE"]);
    assert!(matches!(world.event(Bob), Some(Event::Cancelled { .. })));
    let rejected = world
        .alice
        .events
        .iter()
        .any(|event| matches!(event, Event::Rejected { status: StatusCode::REQUEST_TERMINATED, .. }));
    assert!(rejected);
    world.assert_all_over();
}

/// §9.2: the CANCEL must match the INVITE's topmost Via, too.
#[test]
fn a_cancel_with_another_branch_gets_481_and_has_no_effect() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.answer(180, None);
    world.settle();
    let (_, request) = world.bob.waiting.front().cloned().unwrap();
    let mut forged = cancel_of(&request);
    forged.headers_mut().set(HeaderName::Via, "SIP/2.0/UDP host.example.com;branch=z9hG4bKforged").unwrap();
    world.log.clear();
    world.act(Bob, Input::RequestReceived { transaction: sip_dialog::invite::ServerKey(99), request: forged }).unwrap();
    assert_eq!(world.log(), ["bob 481 CANCEL"]);
    assert_eq!(world.usage(Bob).dialog(FIRST).unwrap().state, DialogState::Early);
}

// ----- forks -----

/// A response to Alice's INVITE from the fork with this tag.
fn from_fork(sent: &sip_message::Request, tag: &str, code: u16, body: Option<&str>) -> Response {
    let mut response = Response::to(sent, status(code));
    let to = format!("{};tag={tag}", response.headers().first(HeaderName::To).unwrap());
    response.headers_mut().set(HeaderName::To, to).unwrap();
    response.headers_mut().push(HeaderName::Contact, format!("<sip:{tag}@{tag}.example.com>")).unwrap();
    if let Some(body) = body {
        response.set_body("application/sdp", body.to_owned()).unwrap();
    }
    response
}

fn drain(usage: &mut InviteUsage) -> Vec<Output> {
    std::iter::from_fn(|| usage.poll_output()).collect()
}

fn forking_call() -> (std::time::Instant, InviteUsage, ClientKey, sip_message::Request) {
    let now = std::time::Instant::now();
    let mut usage = InviteUsage::call(now, invite(Some(OFFER)), false, policy("alice"), 1).unwrap();
    let Some(Output::SendRequest { transaction, request }) = usage.poll_output() else { panic!("sent") };
    (now, usage, transaction, request)
}

/// §13.2.2.1: each To tag in a provisional response is an early dialog of its own.
#[test]
fn each_to_tag_is_an_early_dialog() {
    let (now, mut usage, transaction, sent) = forking_call();
    for tag in ["x", "y", "x"] {
        let response = from_fork(&sent, tag, 180, None);
        usage.handle(now, Input::ResponseReceived { transaction, response }).unwrap();
    }
    let tags: Vec<&str> = usage.dialogs().map(|(_, dialog)| &*dialog.id.remote_tag).collect();
    assert_eq!(tags, ["x", "y"]);
}

/// §13.2.2.4: a 2xx of another fork is acknowledged, and the user takes leave of it with BYE.
#[test]
fn a_second_2xx_is_another_session_that_the_user_may_leave() {
    let (now, mut usage, transaction, sent) = forking_call();
    for tag in ["x", "y"] {
        let response = from_fork(&sent, tag, 200, Some(ANSWER));
        usage.handle(now, Input::ResponseReceived { transaction, response }).unwrap();
        let outputs = drain(&mut usage);
        let Output::SendAck(ack) = &outputs[0] else { panic!("{outputs:?}") };
        assert_eq!(ack.uri_text(), format!("sip:{tag}@{tag}.example.com"));
        assert!(matches!(outputs[1], Output::Event(Event::Answered { .. })));
    }
    let bye = usage.create_request(DialogKey(1), Method::Bye).unwrap();
    assert!(bye.headers().first(HeaderName::To).unwrap().contains("tag=y"));
    usage.handle(now, Input::Send { dialog: DialogKey(1), request: bye }).unwrap();
    let Some(Output::SendRequest { transaction, request }) = usage.poll_output() else { panic!("BYE") };
    let response = Response::to(&request, StatusCode::OK);
    usage.handle(now, Input::ResponseReceived { transaction, response }).unwrap();
    let Some(Output::Event(Event::Terminated { dialog: DialogKey(1), reason: Termination::ByeSent })) =
        usage.poll_output()
    else {
        panic!("the fork is over")
    };
    assert_eq!(usage.dialog(DialogKey(0)).unwrap().state, DialogState::Confirmed);
}

/// §13.2.2.4: "64*T1 seconds after the reception of the first 2xx response, all the early dialogs […] terminated".
#[test]
fn early_dialogs_end_64_t1_after_the_first_2xx() {
    let (now, mut usage, transaction, sent) = forking_call();
    for (tag, code) in [("x", 180), ("y", 180), ("x", 200)] {
        let response = from_fork(&sent, tag, code, None);
        usage.handle(now, Input::ResponseReceived { transaction, response }).unwrap();
    }
    drain(&mut usage);
    usage.handle(now + ms(31_999), Input::TimeReached).unwrap();
    assert_eq!(drain(&mut usage).len(), 0);
    usage.handle(now + seconds(32), Input::TimeReached).unwrap();
    let outputs = drain(&mut usage);
    assert!(
        matches!(
            &outputs[..],
            [Output::Event(Event::Terminated { dialog: DialogKey(1), reason: Termination::NotConfirmed })]
        ),
        "{outputs:?}"
    );
    assert_eq!(usage.dialogs().count(), 1);
}

/// A peer can make up any number of To tags.
#[test]
fn forks_are_followed_up_to_a_limit() {
    let (now, mut usage, transaction, sent) = forking_call();
    for fork in 0..500 {
        let response = from_fork(&sent, &format!("t{fork}"), 180, None);
        usage.handle(now, Input::ResponseReceived { transaction, response }).unwrap();
    }
    assert_eq!(usage.dialogs().count(), 64);
}
