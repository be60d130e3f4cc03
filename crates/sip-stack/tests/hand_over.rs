//! Two shards on one port: a request is answered by the shard that it belongs to, whichever the kernel gave it to.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod support;

use std::collections::BTreeSet;
use std::time::Instant;

use sip_endpoint::{Endpoint, Event, TransactionUser};
use sip_message::header::To;
use sip_message::{HeaderName, Method, Response, StatusCode};
use support::{Client, answer, start, wish, with_answer};

/// Answers what is wished from its partition, and hands over what is not.
struct Keyed;

impl TransactionUser for Keyed {
    type Message = ();

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        match event {
            Event::Request { server, request, flow } => {
                let owner = wish(&request).parse().unwrap();
                let here = endpoint.partition();
                if owner != here {
                    return endpoint.hand_over(now, server, request, flow, owner).unwrap();
                }
                let status = match request.method() {
                    Method::Invite => StatusCode::RINGING,
                    _ => StatusCode::OK,
                };
                let response = with_answer(Response::to(&request, status), format_args!("shard {here}"));
                endpoint.respond(now, server, response).unwrap();
            }
            Event::Cancelled { server, cancel } => {
                let mut response = Response::to(&cancel, StatusCode::REQUEST_TERMINATED);
                response.headers_mut().set(HeaderName::Cseq, "1 INVITE").unwrap();
                let response = with_answer(response, format_args!("shard {}", endpoint.partition()));
                endpoint.respond(now, server, response).unwrap();
            }
            _ => {}
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        true
    }
}

fn tag(response: &Response) -> String {
    response.headers().get::<To>().unwrap().unwrap().tag().unwrap().to_owned()
}

/// Enough senders that the kernel gives some of them to each shard.
const SENDERS: usize = 16;

#[test]
fn a_request_is_answered_by_the_shard_that_it_belongs_to() {
    let (stack, addr) = start(2, |_| Keyed);
    for _ in 0..SENDERS {
        let client = Client::new(addr);
        for owner in ["0", "1"] {
            let response = client.ask(owner, owner);
            assert_eq!(answer(&response), format!("shard {owner}"));
            // Its tag names the shard, which is all that a request in the dialog needs.
            assert_eq!(sip_endpoint::partition_of_tag(&tag(&response)), owner.parse().ok());
        }
    }
    let received: Vec<_> =
        stack.counters().iter().map(|c| c.received.load(std::sync::atomic::Ordering::Relaxed)).collect();
    assert!(received.iter().all(|count| *count > 0), "the kernel gave everything to one shard: {received:?}");
}

#[test]
fn a_retransmission_is_answered_with_the_same_answer() {
    let (_stack, addr) = start(2, |_| Keyed);
    for _ in 0..SENDERS {
        let client = Client::new(addr);
        for owner in ["0", "1"] {
            let tags: BTreeSet<_> = (0..3).map(|_| tag(&client.ask(owner, owner))).collect();
            assert_eq!(tags.len(), 1, "one transaction makes one tag");
        }
    }
}

#[test]
fn a_cancel_finds_its_invite_and_the_ack_ends_its_failure() {
    let (_stack, addr) = start(2, |_| Keyed);
    for _ in 0..SENDERS {
        let client = Client::new(addr);
        for owner in ["0", "1"] {
            client.send("INVITE", owner, owner, "");
            assert_eq!(client.receive().status(), StatusCode::RINGING);
            client.send("CANCEL", owner, owner, "");
            let mut answers = [client.receive(), client.receive()];
            answers.sort_by_key(|response| response.status().code());
            assert_eq!(answers.each_ref().map(|response| response.status().code()), [200, 487]);
            assert_eq!(answer(&answers[1]), format!("shard {owner}"));
            client.send("ACK", owner, owner, &format!(";tag={}", tag(&answers[1])));
        }
        // Nothing is repeated: the next to come is the answer to the next.
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(answer(&client.ask("1", "last")), "shard 1");
    }
}
