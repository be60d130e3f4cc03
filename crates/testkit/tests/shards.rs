//! One node of several shards: senders are spread, requests are handed over, users tell each other things.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::{Duration, Instant};

use sip_endpoint::{Endpoint, Event, SendTo, Target, TransactionUser};
use sip_message::header::To;
use sip_message::{HeaderName, Method, Request, Response, StatusCode, Transport};
use testkit::{NodeId, World};

/// Answers what belongs to its partition by the user part, hands over what does not, and tells the others of each.
#[derive(Default)]
struct Keyed {
    answered: Vec<Method>,
    cancelled: usize,
    told: Vec<String>,
}

impl TransactionUser for Keyed {
    type Message = String;

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, peers: &mut Vec<String>) {
        match event {
            Event::Request { server, request, flow } => {
                let owner = owner(&request);
                if owner != endpoint.partition() {
                    return endpoint.hand_over(now, server, request, flow, owner).unwrap();
                }
                peers.push(format!("{} has {}", endpoint.partition(), request.method()));
                self.answered.push(request.method().clone());
                let status = match request.method() {
                    Method::Invite => StatusCode::RINGING,
                    _ => StatusCode::OK,
                };
                endpoint.respond(now, server, Response::to(&request, status)).unwrap();
            }
            Event::Cancelled { server, cancel } => {
                self.cancelled += 1;
                let mut response = Response::to(&cancel, StatusCode::REQUEST_TERMINATED);
                response.headers_mut().set(HeaderName::Cseq, "1 INVITE").unwrap();
                endpoint.respond(now, server, response).unwrap();
            }
            _ => {}
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, message: String) {
        self.told.push(message);
    }

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        true
    }
}

fn owner(request: &Request) -> u8 {
    let to = request.headers().get::<To>().unwrap().unwrap();
    to.uri().to_string().strip_prefix("sip:").and_then(|user| user.split('@').next()?.parse().ok()).unwrap()
}

#[derive(Default)]
struct Asker {
    answers: Vec<u16>,
    failed: usize,
}

impl TransactionUser for Asker {
    type Message = ();

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        match event {
            Event::Response { response, client, .. } => {
                self.answers.push(response.status().code());
                if response.status() == StatusCode::RINGING {
                    endpoint.cancel(now, client, None).unwrap();
                }
            }
            Event::Failed { .. } => self.failed += 1,
            _ => {}
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        true
    }
}

fn request(method: Method, key: u8, sequence: u32) -> Request {
    let uri = "sip:server.example.org".parse().unwrap();
    let mut request = Request::new(method.clone(), &uri);
    let headers = request.headers_mut();
    headers.push(HeaderName::From, "<sip:asker.example.org>;tag=1").unwrap();
    headers.push(HeaderName::To, format_args!("<sip:{key}@server.example.org>")).unwrap();
    headers.push(HeaderName::CallId, format_args!("call-{sequence}")).unwrap();
    headers.push(HeaderName::Cseq, format_args!("{sequence} {method}")).unwrap();
    headers.push(HeaderName::MaxForwards, 70).unwrap();
    headers.push(HeaderName::Contact, "<sip:asker@10.0.0.3>").unwrap();
    request
}

struct Server {
    world: World,
    shards: [NodeId; 2],
    askers: [NodeId; 2],
}

impl Server {
    fn new() -> Server {
        let mut world = World::new(1, Instant::now());
        let first = world.node("server.example.org", Keyed::default());
        let second = world.shard(first, Keyed::default());
        let askers = ["one.example.org", "two.example.org"].map(|name| world.node(name, Asker::default()));
        Server { world, shards: [first, second], askers }
    }

    fn ask(&mut self, asker: NodeId, transport: Transport, request: Request) {
        let addr = self.world.address(self.shards[0], transport).unwrap();
        self.world.with(asker, |_: &mut Asker, now, endpoint| {
            let target = Target { transport, addr, server_name: None };
            endpoint.send(now, request, SendTo::Targets(vec![target]), None).unwrap();
        });
    }

    fn answered(&self, shard: usize) -> usize {
        self.world.user::<Keyed>(self.shards[shard]).answered.len()
    }

    fn ended(mut self) {
        self.world.run_until_idle();
        assert!(self.world.leftovers().is_empty(), "{:?}", self.world.leftovers());
    }
}

#[test]
fn whichever_shard_a_request_comes_to_the_one_that_it_belongs_to_answers() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut server = Server::new();
        for (number, asker) in server.askers.into_iter().enumerate() {
            for key in [0, 1] {
                server.ask(asker, transport, request(Method::Options, key, 2 * number as u32 + u32::from(key) + 1));
            }
        }
        server.world.run_for(Duration::from_secs(5));
        for asker in server.askers {
            assert_eq!(server.world.user::<Asker>(asker).answers, [200, 200]);
        }
        assert_eq!((server.answered(0), server.answered(1)), (2, 2));
        let handed_over = server.shards.map(|shard| server.world.endpoint(shard).load().handed_over);
        assert_eq!(handed_over, [1, 1], "each shard has half of the senders, and half of what they send");
        server.ended();
    }
}

#[test]
fn an_invite_that_was_handed_over_is_cancelled_and_its_failure_acknowledged() {
    let mut server = Server::new();
    for asker in server.askers {
        server.ask(asker, Transport::Udp, request(Method::Invite, 1, 1));
    }
    server.world.run_for(Duration::from_secs(5));
    for asker in server.askers {
        assert_eq!(server.world.user::<Asker>(asker).answers, [180, 487]);
    }
    assert_eq!(server.world.user::<Keyed>(server.shards[1]).cancelled, 2);
    server.ended();
}

#[test]
fn what_one_shard_says_the_others_hear() {
    let mut server = Server::new();
    server.ask(server.askers[0], Transport::Udp, request(Method::Options, 1, 1));
    server.world.run_for(Duration::from_secs(1));
    assert_eq!(server.world.user::<Keyed>(server.shards[0]).told, ["1 has OPTIONS"]);
    assert!(server.world.user::<Keyed>(server.shards[1]).told.is_empty());
    server.ended();
}

#[test]
#[should_panic(expected = "hands a request over to partition 7, which nobody serves")]
fn a_hand_over_to_a_partition_that_nobody_serves_ends_the_world() {
    let mut server = Server::new();
    server.ask(server.askers[0], Transport::Udp, request(Method::Options, 7, 1));
    server.ended();
}
