//! A call that rings and is declined, between two endpoints in virtual time, over a network that loses a third of what
//! it carries. Prints what was sent, and what was lost.
//! `cargo run --example simulate_a_call -- SEED`: the same seed gives the same run.
//!
//! [`Simulation::run`] is all that a driver of endpoints has to do; `sip-stack` does it with sockets, and `testkit` with
//! whole networks of phones and proxies. Alice and bob say everything once: what is lost, their endpoints repeat.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_endpoint::{Endpoint, Event, Input, Listener, Output, SendTo, ServerId, Settings};
use sip_message::{Flow, HeaderName, Limits, ListenerId, Method, Request, Response, StatusCode, Transport, UriBuf};

/// Alice, who calls, or bob, who is called.
pub(crate) struct Phone {
    name: &'static str,
    address: SocketAddr,
    pub(crate) endpoint: Endpoint,
    rings: Option<(ServerId, Request)>,
    /// The final response that was sent, or that came.
    pub(crate) answer: Option<StatusCode>,
}

impl Phone {
    /// What a transaction user does: it hears of events, and calls its endpoint.
    fn event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Request { server, request, .. } => {
                let _ = self.endpoint.respond(now, server, Response::to(&request, StatusCode::RINGING));
                self.rings = Some((server, request));
                self.endpoint.set_timer(now, Duration::from_secs(3), 0);
            }
            Event::TimerFired { .. } => {
                let Some((server, request)) = self.rings.take() else { return };
                let _ = self.endpoint.respond(now, server, Response::to(&request, StatusCode::DECLINE));
                self.answer = Some(StatusCode::DECLINE);
            }
            Event::Response { response, .. } if response.status().is_final() => self.answer = Some(response.status()),
            _ => {}
        }
    }
}

/// Two phones, what is on its way between them, and the time.
pub(crate) struct Simulation {
    pub(crate) phones: [Phone; 2],
    on_the_way: BTreeMap<(Instant, usize), (usize, Bytes)>,
    began: Instant,
    now: Instant,
    chance: u64,
    /// What was sent: a line for each message.
    pub(crate) ladder: Vec<String>,
}

impl Simulation {
    /// Alice at 192.0.2.1 and bob at 192.0.2.2. Of `began` nothing is used but that it is an instant.
    pub(crate) fn new(seed: u64, began: Instant) -> Simulation {
        let phone = |name, last| {
            let local = SocketAddr::from(([192, 0, 2, last], 5060));
            let sent_by = local.ip().to_string().into();
            let settings = Settings {
                listeners: vec![Listener { id: ListenerId(0), transport: Transport::Udp, local, sent_by }],
                partition: 0,
                seed: seed ^ u64::from(last),
                datagram_limit: 1_300,
                max_pending: 100,
                timers: sip_endpoint::Timers::default(),
                product: "".into(),
            };
            Phone { name, address: local, endpoint: Endpoint::new(settings), rings: None, answer: None }
        };
        let phones = [phone("alice", 1), phone("bob", 2)];
        Simulation { phones, on_the_way: BTreeMap::new(), began, now: began, chance: seed, ladder: Vec::new() }
    }

    /// Lets alice call bob, and whatever follows from it happen, until no message and no timer is left.
    pub(crate) fn run(&mut self) {
        let _ = self.phones[0].endpoint.send(self.now, invite(), SendTo::NextHop, None);
        self.carry_out(0);
        loop {
            let arrival = self.on_the_way.keys().next().map(|(at, _)| *at);
            let timeouts = self.phones.iter().filter_map(|phone| phone.endpoint.next_timeout());
            let Some(next) = arrival.into_iter().chain(timeouts).min() else { return };
            self.now = next;
            if let Some(entry) = self.on_the_way.first_entry().filter(|entry| entry.key().0 == next) {
                let (to, octets) = entry.remove();
                let [local, remote] = [to, 1 - to].map(|at| self.phones[at].address);
                let (transport, listener) = (Transport::Udp, ListenerId(0));
                let flow = Flow { transport, listener, local, remote, connection: None };
                let received = sip_message::parse_datagram(octets, &Limits::default());
                self.phones[to].endpoint.handle(self.now, Input::Received { flow, received });
            }
            for at in [0, 1] {
                self.phones[at].endpoint.handle(self.now, Input::TimePassed);
                self.carry_out(at);
            }
        }
    }

    /// After every call of an endpoint: does what it says, until it says nothing.
    fn carry_out(&mut self, at: usize) {
        while let Some(output) = self.phones[at].endpoint.poll_output() {
            match output {
                // With two phones there is one place to send to, and no name to look up.
                Output::Transmit { bytes, .. } => self.transmit(at, bytes),
                Output::Lookup { .. } | Output::KeepAlive { .. } | Output::Close { .. } => {}
                Output::Event(event) => self.phones[at].event(self.now, event),
            }
        }
    }

    /// The network: 20 ms, and two of three arrive.
    fn transmit(&mut self, from: usize, octets: Bytes) {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lost = (self.chance >> 33).is_multiple_of(3);
        let text = String::from_utf8_lossy(&octets);
        let first_line = text.lines().next().unwrap_or_default();
        let [sender, receiver] = [from, 1 - from].map(|at| self.phones[at].name);
        let (age, fate) = (self.now - self.began, if lost { ", lost" } else { "" });
        self.ladder.push(format!("{:8.3}  {sender:>5} ──► {receiver:<5}  {first_line}{fate}", age.as_secs_f64()));
        if !lost {
            self.on_the_way.insert((self.now + Duration::from_millis(20), self.ladder.len()), (1 - from, octets));
        }
    }
}

fn invite() -> Request {
    let mut invite = Request::new(Method::Invite, &UriBuf::parse("sip:bob@192.0.2.2").expect("a constant"));
    for (name, value) in [
        (HeaderName::MaxForwards, "70"),
        (HeaderName::From, "<sip:alice@192.0.2.1>;tag=1928301774"),
        (HeaderName::To, "<sip:bob@192.0.2.2>"),
        (HeaderName::CallId, "a84b4c76e66710"),
        (HeaderName::Cseq, "1 INVITE"),
        (HeaderName::Contact, "<sip:alice@192.0.2.1>"),
    ] {
        invite.headers_mut().push(name, value).expect("constants have no line break");
    }
    invite
}

fn main() {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut simulation = Simulation::new(seed, Instant::now());
    simulation.run();
    println!("{}", simulation.ladder.join("\n"));
}
