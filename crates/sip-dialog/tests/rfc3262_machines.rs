//! RFC 3262 §3 and §4: the machines of reliable provisional responses, by themselves.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use std::time::Instant;

use common::*;
use sip_dialog::reliable::{
    NotMatching, ReceivedProvisional, ReliableReceiver, ReliableSender, Repetition, rack_of, rseq_of,
};
use sip_message::header::Rack;
use sip_message::{HeaderName, Method, Response};
use sip_transaction::Timers;

fn provisional(code: u16, body: Option<(&str, &str)>) -> Response {
    let mut response = Response::to(&invite(None), status(code));
    if let Some((content_type, body)) = body {
        response.set_body(content_type, body.to_owned()).unwrap();
    }
    response
}

/// One whose first RSeq is 8.
fn sender() -> ReliableSender {
    ReliableSender::new(1, 7)
}

fn send(sender: &mut ReliableSender, now: Instant, code: u16) -> Option<Response> {
    sender.send(now, &Timers::default(), provisional(code, None))
}

fn rack(rseq: u32) -> Rack {
    Rack::new(rseq, 1, Method::Invite)
}

/// §3: "Require header field containing the option tag 100rel, and MUST include an RSeq header field".
#[test]
fn what_is_sent_has_rseq_and_require_once() {
    let mut sender = sender();
    let mut ringing = provisional(180, None);
    ringing.headers_mut().push(HeaderName::Require, "100rel").unwrap();
    let sent = sender.send(Instant::now(), &Timers::default(), ringing).unwrap();
    assert_eq!(sent.headers().values(HeaderName::Require).collect::<Vec<_>>(), ["100rel"]);
    assert_eq!(rseq_of(sent.headers()), Some(8));
    assert_eq!(rack_of(&sent), Some(rack(8)));
    assert_eq!(rseq_of(provisional(180, None).headers()), None);
}

/// §3: "MUST be between 1 and 2**31 - 1".
#[test]
fn the_first_rseq_is_from_1_to_2_31_minus_1() {
    for random in [0, 1, (1 << 31) - 2, (1 << 31) - 1, u32::MAX] {
        let sent = send(&mut ReliableSender::new(1, random), Instant::now(), 183).unwrap();
        let rseq = rseq_of(sent.headers()).unwrap();
        assert!((1..1 << 31).contains(&rseq), "{rseq}");
    }
}

/// §3: no second one "until the first is acknowledged".
#[test]
fn a_further_one_waits_for_the_prack_and_has_the_next_number() {
    let now = Instant::now();
    let mut sender = sender();
    assert!(send(&mut sender, now, 183).is_some());
    assert!(send(&mut sender, now, 180).is_none());
    assert_eq!(sender.unacknowledged().unwrap().status(), status(183));
    assert_eq!(sender.prack(&rack(8)).unwrap().status(), status(183));
    let next = sender.next(now, &Timers::default()).unwrap();
    assert_eq!((next.status(), rseq_of(next.headers())), (status(180), Some(9)));
    assert!(sender.next(now, &Timers::default()).is_none());
}

/// §3: "that does not match any unacknowledged reliable provisional response, the UAS MUST respond […] with a 481".
#[test]
fn a_prack_for_something_else_is_refused_and_changes_nothing() {
    let mut sender = sender();
    assert_eq!(sender.prack(&rack(8)).unwrap_err(), NotMatching);
    send(&mut sender, Instant::now(), 183).unwrap();
    for wrong in [rack(9), Rack::new(8, 2, Method::Invite), Rack::new(8, 1, Method::Update)] {
        assert_eq!(sender.prack(&wrong).unwrap_err().status(), status(481), "{wrong}");
    }
    assert!(sender.prack(&rack(8)).is_ok());
    assert_eq!(sender.prack(&rack(8)).unwrap_err(), NotMatching);
}

/// §3: "If a reliable provisional response is retransmitted for 64*T1 seconds without reception of a corresponding PRACK".
#[test]
fn it_is_repeated_with_doubling_intervals_and_given_up_after_64_t1() {
    let began = Instant::now();
    let mut sender = sender();
    send(&mut sender, began, 183).unwrap();
    let mut sent_at = Vec::new();
    let given_up = loop {
        let now = sender.next_timeout().unwrap();
        match sender.time_passed(now).unwrap() {
            Repetition::Repeat(response) => {
                assert_eq!(rseq_of(response.headers()), Some(8));
                sent_at.push((now - began).as_millis());
            }
            Repetition::GiveUp(_) => break now - began,
        }
    };
    assert_eq!((&sent_at[..], given_up), (&[500, 1500, 3500, 7500, 15_500, 31_500][..], seconds(32)));
    assert_eq!(sender.next_timeout(), None);
    assert!(send(&mut sender, began + seconds(33), 180).is_none(), "there is only the failure left to send");
}

/// §3: a 2xx waits while one with a session description is unacknowledged, sent or not.
#[test]
fn a_description_that_is_not_acknowledged_holds_the_2xx() {
    let now = Instant::now();
    let timers = Timers::default();
    let mut sender = sender();
    send(&mut sender, now, 180).unwrap();
    assert!(!sender.holds_success());
    assert!(sender.send(now, &timers, provisional(183, Some(("application/sdp", ANSWER)))).is_none());
    assert!(sender.holds_success());
    sender.prack(&rack(8)).unwrap();
    sender.next(now, &timers).unwrap();
    assert!(sender.holds_success());
    sender.prack(&rack(9)).unwrap();
    assert!(!sender.holds_success());
    sender.send(now, &timers, provisional(183, Some(("text/plain", "hello")))).unwrap();
    assert!(!sender.holds_success());
    sender.prack(&rack(10)).unwrap();
    sender.send(now, &timers, provisional(183, Some(("Multipart/mixed;boundary=x", "--x")))).unwrap();
    assert!(sender.holds_success());
}

/// §3: after the final response it "SHOULD NOT continue to retransmit […] but it MUST be prepared to process PRACK
/// requests for those outstanding responses".
#[test]
fn after_the_final_response_a_late_prack_is_still_taken() {
    let now = Instant::now();
    let mut sender = sender();
    send(&mut sender, now, 183).unwrap();
    send(&mut sender, now, 180);
    sender.finish();
    assert_eq!((sender.next_timeout(), sender.time_passed(now + seconds(1)).is_none()), (None, true));
    assert!(sender.prack(&rack(8)).is_ok());
    assert!(sender.next(now, &Timers::default()).is_none());
}

/// §4.
#[test]
fn the_receiver_tells_new_from_repeated_and_too_early() {
    let mut receiver = ReliableReceiver::default();
    let mut received = |rseq| receiver.received(rseq);
    assert_eq!(received(100), ReceivedProvisional::New);
    assert_eq!(received(100), ReceivedProvisional::Repeated);
    assert_eq!(received(102), ReceivedProvisional::OutOfOrder);
    assert_eq!(received(101), ReceivedProvisional::New);
    assert_eq!(received(100), ReceivedProvisional::Repeated);
    assert_eq!(received(102), ReceivedProvisional::New);
}
