//! Requests that belong to another shard: RFC 3261 §17.2.3 and §9.2 across two endpoints.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod support;

use std::time::Duration;

use sip_endpoint::{Event, HandOver, HandOverError, Input, Load, Output};
use sip_message::{Request, Response, StatusCode};
use support::{Alone, begun, flow, request, sent};

/// Two shards; the network comes to the first, the session is on the second.
struct Two {
    first: Alone,
    second: Alone,
}

impl Two {
    fn new() -> Two {
        let first = Alone::new(0);
        let mut second = Alone::new(1);
        second.now = first.now;
        Two { first, second }
    }

    /// What the second shard says when the first one receives this.
    fn receive(&mut self, request: Request) -> Vec<Output> {
        assert!(self.first.receive(request).is_empty(), "the first shard only passes it on");
        self.carry()
    }

    fn carry(&mut self) -> Vec<Output> {
        let HandOver { partition, flow, request } = self.first.endpoint.poll_hand_over().expect("a hand-over");
        assert_eq!(partition, 1);
        assert!(self.first.endpoint.poll_hand_over().is_none());
        self.second.tell(Input::HandedOver { flow, request })
    }

    fn hand_over(&mut self, request: Request) -> Vec<Output> {
        let (server, request) = self.first.begins(request);
        self.first.endpoint.hand_over(self.first.now, server, request, flow(), 1).unwrap();
        assert!(self.first.outputs().is_empty(), "neither an answer nor an end is told");
        self.carry()
    }

    fn pass(&mut self, span: Duration) {
        self.first.pass(span);
        self.second.pass(span);
    }
}

#[test]
fn the_other_shard_answers_and_its_answer_goes_back_where_the_request_came_from() {
    let mut two = Two::new();
    let (server, options) = begun(two.hand_over(request("OPTIONS", "1", ""))).unwrap();
    two.second.endpoint.respond(two.second.now, server, Response::to(&options, StatusCode::OK)).unwrap();
    let outputs = two.second.outputs();
    let [Output::Transmit { to, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(*to, sip_endpoint::Destination::Flow(flow()));
    assert_eq!(two.first.endpoint.load().servers, 0);
    assert_eq!(two.first.endpoint.load().pending, 0);
}

#[test]
fn a_retransmission_goes_the_same_way_and_gets_the_same_answer() {
    let mut two = Two::new();
    let (server, options) = begun(two.hand_over(request("OPTIONS", "1", ""))).unwrap();
    two.second.endpoint.respond(two.second.now, server, Response::to(&options, StatusCode::OK)).unwrap();
    two.second.outputs();
    let again = two.receive(request("OPTIONS", "1", ""));
    assert_eq!(sent(&again), [200]);
    assert!(begun(again).is_none());
}

/// A client of RFC 2543 has no unique branch, and its key is the whole Via: with what was written into it on the way.
#[test]
fn a_retransmission_without_a_unique_branch_is_known_on_the_other_shard_too() {
    let old = || {
        let text = String::from_utf8(request("OPTIONS", "1", "").to_bytes().to_vec()).unwrap();
        let text = text.replace(";branch=z9hG4bK1", "");
        match sip_message::parse_datagram(text.into_bytes().into(), &sip_message::Limits::default()) {
            Ok(sip_message::Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    };
    let mut two = Two::new();
    assert!(begun(two.hand_over(old())).is_some());
    assert!(two.receive(old()).is_empty());
}

#[test]
fn a_cancel_cancels_the_invite_on_the_other_shard() {
    let mut two = Two::new();
    begun(two.hand_over(request("INVITE", "1", ""))).unwrap();
    // It rings for longer than any transaction timer.
    two.pass(Duration::from_secs(290));
    let outputs = two.receive(request("CANCEL", "1", ""));
    assert_eq!(sent(&outputs), [200]);
    assert!(outputs.iter().any(|output| matches!(output, Output::Event(Event::Cancelled { .. }))));
    // And a copy of it, too.
    assert_eq!(sent(&two.receive(request("CANCEL", "1", ""))), [200]);
}

#[test]
fn the_ack_of_a_failure_ends_its_retransmission_on_the_other_shard() {
    let mut two = Two::new();
    let (server, invite) = begun(two.hand_over(request("INVITE", "1", ""))).unwrap();
    two.second.endpoint.respond(two.second.now, server, Response::to(&invite, StatusCode::BUSY_HERE)).unwrap();
    two.second.outputs();
    assert_eq!(sent(&two.second.pass(Duration::from_millis(600))), [486]);
    assert!(two.receive(request("ACK", "1", ";tag=whose")).is_empty(), "it is no ACK of a 2xx");
    assert_eq!(sent(&two.second.pass(Duration::from_secs(10))), [0u16; 0]);
}

#[test]
fn what_was_handed_over_to_a_shard_is_not_handed_over_again() {
    let mut two = Two::new();
    let (server, options) = begun(two.hand_over(request("OPTIONS", "1", ""))).unwrap();
    let refused = two.second.endpoint.hand_over(two.second.now, server, options, flow(), 0);
    assert_eq!(refused, Err(HandOverError::HandedOverToUs));
    assert!(two.second.endpoint.is_answerable(server), "nothing has changed");
}

#[test]
fn a_hand_over_to_oneself_and_one_of_an_answered_request_are_refused() {
    let mut alone = Alone::new(3);
    let (server, options) = alone.begins(request("OPTIONS", "1", ""));
    let refused = alone.endpoint.hand_over(alone.now, server, options.clone(), flow(), 3);
    assert_eq!(refused, Err(HandOverError::OwnPartition));
    alone.endpoint.respond(alone.now, server, Response::to(&options, StatusCode::OK)).unwrap();
    let refused = alone.endpoint.hand_over(alone.now, server, options.clone(), flow(), 1);
    assert_eq!(refused, Err(HandOverError::AlreadyAnswered));
    alone.pass(Duration::from_secs(64));
    let refused = alone.endpoint.hand_over(alone.now, server, options, flow(), 1);
    assert_eq!(refused, Err(HandOverError::Ended));
    assert!(alone.endpoint.poll_hand_over().is_none());
}

#[test]
fn the_key_of_what_was_handed_over_is_forgotten_in_the_end() {
    let mut two = Two::new();
    two.hand_over(request("OPTIONS", "1", ""));
    two.hand_over(request("INVITE", "2", ""));
    assert_eq!(two.first.endpoint.load().handed_over, 2);
    two.first.pass(Duration::from_secs(33));
    assert_eq!(two.first.endpoint.load().handed_over, 1);
    // 64·T1 after the ACK of its failure, the INVITE is over.
    two.receive(request("ACK", "2", ";tag=x"));
    two.first.pass(Duration::from_secs(33));
    assert_eq!(two.first.endpoint.load(), Load::default());
}

#[test]
fn an_invite_that_nobody_speaks_of_any_more_is_forgotten_after_five_minutes() {
    let mut two = Two::new();
    two.hand_over(request("INVITE", "1", ""));
    two.first.pass(Duration::from_secs(301));
    assert_eq!(two.first.endpoint.load(), Load::default());
    // A CANCEL that comes later is answered like any other that finds nothing (RFC 3261 §9.2).
    assert_eq!(sent(&two.first.receive(request("CANCEL", "1", ""))), [481]);
}

#[test]
fn keys_are_kept_up_to_a_limit_and_none_is_evicted() {
    let mut alone = Alone::new(0);
    let limit = 4 * support::settings(0).max_pending;
    for number in 0..limit {
        let (server, options) = alone.begins(request("OPTIONS", &number.to_string(), ""));
        alone.endpoint.hand_over(alone.now, server, options, flow(), 1).unwrap();
        assert!(alone.endpoint.poll_hand_over().is_some());
    }
    let (server, options) = alone.begins(request("OPTIONS", "more", ""));
    let refused = alone.endpoint.hand_over(alone.now, server, options, flow(), 1);
    assert_eq!(refused, Err(HandOverError::TooMany));
    assert!(alone.endpoint.is_answerable(server));
    assert!(alone.receive(request("OPTIONS", "0", "")).is_empty());
    assert!(alone.endpoint.poll_hand_over().is_some(), "the first one still goes its way");
}

#[test]
fn the_ack_of_a_success_can_be_handed_over_and_leaves_nothing_behind() {
    let mut two = Two::new();
    let outputs = two.first.receive(request("ACK", "9", ";tag=callee"));
    let [Output::Event(Event::Ack { .. })] = &outputs[..] else { panic!("{outputs:?}") };
    let Some(Output::Event(Event::Ack { request, flow })) = outputs.into_iter().next() else { return };
    two.first.endpoint.hand_over_ack(request, flow, 1).unwrap();
    let outputs = two.carry();
    assert!(matches!(&outputs[..], [Output::Event(Event::Ack { .. })]), "{outputs:?}");
    assert_eq!(two.first.endpoint.load(), Load::default());
}
