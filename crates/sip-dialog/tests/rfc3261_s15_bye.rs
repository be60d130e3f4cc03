//! RFC 3261 §15: terminating a session; and what must be left behind: nothing.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::Side::{Alice, Bob};
use common::*;
use sip_dialog::invite::{Event, Failure, Input, Misuse, Termination};
use sip_message::{HeaderName, Method, Response, StatusCode};

#[test]
fn bye_ends_the_session_on_both_sides() {
    for (side, name) in [(Alice, "alice"), (Bob, "bob")] {
        let mut world = World::established();
        world.send(side, Method::Bye, None);
        world.settle();
        let peer = if side == Alice { "bob" } else { "alice" };
        assert_eq!(world.log(), [format!("{name} BYE"), format!("{peer} 200 BYE")]);
        assert!(matches!(world.event(side), Some(Event::Terminated { reason: Termination::ByeSent, .. })));
        let received = world.event(side.other());
        assert!(matches!(received, Some(Event::Terminated { reason: Termination::ByeReceived(_), .. })));
        world.assert_all_over();
    }
}

/// §15.1.1: "If the response for the BYE is a 481 or a 408 or no response at all is received for the BYE, the UAC MUST
/// consider the session and the dialog terminated."
#[test]
fn a_bye_ends_the_session_whatever_comes_back() {
    let mut world = World::established();
    world.lose("alice BYE");
    world.send(Alice, Method::Bye, None);
    world.settle();
    let now = world.now;
    // The call's INVITE was transaction 0, the BYE is the next.
    let failed = Input::RequestFailed { transaction: sip_dialog::invite::ClientKey(1), failure: Failure::TimedOut };
    world.usage(Alice).handle(now, failed).unwrap();
    world.flush(Alice);
    assert!(matches!(world.event(Alice), Some(Event::Terminated { reason: Termination::ByeSent, .. })));
}

#[test]
fn a_bye_without_any_end_of_its_transaction_is_given_up() {
    let mut world = World::established();
    world.lose("alice BYE");
    world.send(Alice, Method::Bye, None);
    world.advance(seconds(65));
    assert!(matches!(world.event(Alice), Some(Event::Terminated { reason: Termination::ByeSent, .. })));
    assert!(world.usage(Alice).is_over());
}

#[test]
fn a_challenged_bye_is_sent_again_with_credentials() {
    let mut world = World::established();
    world.hold("alice BYE");
    world.send(Alice, Method::Bye, None);
    world.settle();
    let now = world.now;
    let bye = world.usage(Alice).create_request(FIRST, Method::Bye);
    assert_eq!(bye.err(), Some(Misuse::NoSuchDialog));
    let sent = sip_message::Request::new(Method::Bye, &sip_message::UriBuf::parse("sip:x").unwrap());
    let mut challenge = Response::to(&sent, StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    challenge.headers_mut().set(HeaderName::Cseq, "2 BYE").unwrap();
    let transaction = sip_dialog::invite::ClientKey(1);
    world.usage(Alice).handle(now, Input::ResponseReceived { transaction, response: challenge }).unwrap();
    world.flush(Alice);
    let Some(Event::Challenged { request, .. }) = world.event(Alice) else { panic!("challenged") };
    assert_eq!(request.headers().first(HeaderName::Cseq), Some("2 BYE"));
    world.act(Alice, Input::Send { dialog: FIRST, request }).unwrap();
    let again = &world.wire.back().unwrap().message;
    assert_eq!(again.headers().first(HeaderName::Cseq), Some("3 BYE"));
}

/// §15: "The caller's UA MAY send a BYE for either confirmed or early dialogs, and the callee's UA MAY send a BYE on
/// confirmed dialogs, but MUST NOT send a BYE on early dialogs."
#[test]
fn the_caller_may_say_bye_early_and_the_callee_may_not() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.answer(180, None);
    world.settle();
    let request = world.usage(Bob).create_request(FIRST, Method::Bye).unwrap();
    assert_eq!(world.act(Bob, Input::Send { dialog: FIRST, request }), Err(Misuse::ByeFromEarlyCallee));
    world.log.clear();
    world.send(Alice, Method::Bye, None);
    world.settle();
    assert_eq!(world.log(), ["alice BYE", "bob 200 BYE", "bob 487 INVITE"]);
    world.assert_all_over();
}

/// §15: the callee "MUST NOT send a BYE on a confirmed dialog until it has received an ACK for its 2xx response or until
/// the server transaction times out".
#[test]
fn the_callees_bye_waits_for_the_ack() {
    let mut world = World::default_policies();
    world.call(Some(OFFER));
    world.hold("alice ACK");
    world.answer(200, Some(ANSWER));
    world.settle();
    world.log.clear();
    world.send(Bob, Method::Bye, None);
    world.settle();
    assert_eq!(world.log(), [""; 0]);
    world.release();
    assert_eq!(world.log(), ["bob BYE", "alice 200 BYE"]);
    world.assert_all_over();
}

/// §15.1.2: "The UAS MUST still respond to any pending requests received for that dialog […] 487".
#[test]
fn bye_answers_what_is_pending_with_487() {
    let mut world = World::established();
    world.send(Alice, Method::Invite, Some(OFFER));
    world.settle();
    world.log.clear();
    world.send(Alice, Method::Bye, None);
    world.settle();
    assert_eq!(world.log(), ["alice BYE", "bob 200 BYE", "bob 487 INVITE"]);
    world.assert_all_over();
}

#[test]
fn a_request_to_a_session_that_is_over_gets_481() {
    let mut world = World::established();
    let bye = world.usage(Alice).create_request(FIRST, Method::Bye).unwrap();
    world.send(Alice, Method::Bye, None);
    world.settle();
    world.log.clear();
    world.inject(Bob, bye);
    assert_eq!(world.log(), ["bob 481 BYE"]);
}

#[test]
fn a_session_can_be_written_down_and_gone_on_with_elsewhere() {
    let mut world = World::established();
    let snapshot = world.usage(Bob).snapshot(FIRST).expect("it is established");
    assert_eq!(world.usage(Bob).snapshot(FIRST), Some(snapshot.clone()));
    let elsewhere = sip_dialog::InviteUsage::resume(world.now, snapshot, policy("bob"), 7);
    world.bob.usage = Some(elsewhere);
    world.send(Bob, Method::Info, None);
    world.send(Alice, Method::Invite, Some(OFFER));
    world.settle();
    world.bob.waiting.retain(|(_, request)| *request.method() == Method::Invite);
    world.respond(Bob, 200, Some(ANSWER), false);
    world.settle();
    world.send(Bob, Method::Bye, None);
    world.settle();
    let log = world.log();
    assert_eq!(
        log,
        ["bob INFO", "alice INVITE", "bob 200 INVITE", "alice ACK", "bob BYE", "alice 200 BYE", "alice 487 INFO"]
    );
}
