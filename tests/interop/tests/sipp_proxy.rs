//! What RFC 3261 §16 asks of a proxy, seen by SIPp on both sides.

use std::time::Duration;

use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::sipp::{RunningSipp, Sipp, register_with};

const BOB: &str = "sip:bob@example.test";

/// One more device of bob's that plays this scenario.
fn device(server: &Server, scenario: &str, parameters: &str) -> RunningSipp {
    let device = Sipp::new(scenario).key("user", "bob");
    let contact = device.contact("bob");
    let device = device.start();
    register_with(server, "bob", &contact, parameters);
    device
}

/// §16.6, §16.7 step 10.
#[test]
fn devices_of_one_user_ring_together_and_the_others_are_cancelled() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default());
    let mut answers = device(&server, "uas_call_late.xml", "");
    let mut cancelled = device(&server, "uas_cancelled.xml", "");
    Sipp::caller("uac_call.xml", &server, BOB).hold(Duration::from_millis(300)).run();
    answers.succeeds();
    cancelled.succeeds();
}

/// §16.6: a lower q is tried when the higher one failed.
#[test]
fn device_of_lower_q_is_tried_after_the_preferred_one_is_busy() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default());
    let mut second = device(&server, "uas_call.xml", ";q=0.5");
    let mut first = device(&server, "uas_busy.xml", ";q=0.9");
    Sipp::caller("uac_call.xml", &server, BOB).run();
    first.succeeds();
    second.succeeds();
}

#[test]
fn device_of_lower_q_is_left_alone_when_the_preferred_one_answers() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default());
    let second = device(&server, "uas_call.xml", ";q=0.5");
    let mut first = device(&server, "uas_call.xml", ";q=0.9");
    Sipp::caller("uac_call.xml", &server, BOB).run();
    first.succeeds();
    assert!(second.received("INVITE").is_empty(), "the second device rang");
}

/// §16.3 step 3.
#[test]
fn request_that_may_not_be_forwarded_is_answered_483() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default());
    let bob = device(&server, "uas_call.xml", "");
    Sipp::caller("uac_refused.xml", &server, BOB).key("max_forwards", "0").expecting(483).run();
    assert!(bob.received("INVITE").is_empty(), "the request was forwarded");
}

/// §16.3 step 4 and RFC 5393 §4: bob's calls go to carol at the server, and carol's to bob.
#[test]
fn request_that_turns_in_a_circle_is_answered_482() {
    if !all_present(&["sipp"]) {
        return;
    }
    let mut server = Server::start(Settings::default());
    register_with(&server, "bob", &format!("sip:carol@{}", server.address()), "");
    register_with(&server, "carol", &format!("sip:bob@{}", server.address()), "");
    Sipp::caller("uac_refused.xml", &server, BOB).expecting(482).run();
    assert!(server.is_alive());
}

/// §17.2.1: the server transaction absorbs the retransmission.
#[test]
fn invite_sent_twice_reaches_the_callee_once() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default());
    let mut bob = device(&server, "uas_call_late.xml", "");
    Sipp::caller("uac_retransmits.xml", &server, BOB).run();
    bob.succeeds();
    assert_eq!(bob.received("INVITE").len(), 1);
}

#[test]
fn call_to_a_foreign_domain_is_refused() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default());
    let stranger = Sipp::new("uas_call.xml");
    let address = format!("sip:stranger@{}", stranger.address());
    let stranger = stranger.start();
    Sipp::caller("uac_refused.xml", &server, &address).expecting(403).run();
    assert!(stranger.received("INVITE").is_empty(), "an open relay");
}

/// §16.9: nobody listens there, and the kernel or the transaction says so.
#[test]
fn unreachable_tcp_callee_fails_the_call_at_once() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default());
    let nobody = format!("sip:bob@127.0.0.1:{};transport=tcp", cordboard_interop::ports::free());
    register_with(&server, "bob", &nobody, "");
    let started = std::time::Instant::now();
    Sipp::caller("uac_fails.xml", &server, BOB).run();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
