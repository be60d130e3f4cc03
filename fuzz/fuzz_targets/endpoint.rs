//! Any order of datagrams, answers, lookups, failures and waiting: an endpoint never panics, never says more than it was
//! asked to, and 64·T1 after its user has answered everything all its tables are empty.
#![no_main]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cordboard_fuzz::steps;
use libfuzzer_sys::fuzz_target;
use sip_endpoint::{
    ClientId, Destination, Endpoint, Event, Input, Listener, Load, LookupError, Output, SendTo, ServerId, Settings,
    Target, Timers,
};
use sip_message::{
    ConnectionId, Flow, HeaderName, Limits, ListenerId, Message, Refusal, Request, Response, StatusCode, Transport,
    parse_datagram,
};

fuzz_target!(|script: &[u8]| {
    let mut world = World::new();
    for (letter, text) in steps(script).take(128) {
        world.step(letter, text);
    }
    world.come_to_an_end();
    assert_eq!(world.endpoint.load(), Load::default());
});

/// An endpoint, its user, and everybody else.
struct World {
    endpoint: Endpoint,
    now: Instant,
    /// Unanswered requests and requests without a final response, oldest first.
    servers: VecDeque<(ServerId, Request)>,
    clients: VecDeque<ClientId>,
    /// Tokens of orders that can fail, and of lookups that want an answer.
    transmits: VecDeque<u64>,
    lookups: VecDeque<u64>,
    a_transmission_failed: bool,
    /// Requests on the wire, for a peer to answer.
    sent: VecDeque<Request>,
}

/// No script may make the world remember more than this of any kind.
const MEMORY: usize = 64;

impl World {
    fn new() -> World {
        let settings = Settings {
            listeners: [Transport::Udp, Transport::Tcp]
                .into_iter()
                .zip(0..)
                .map(|(transport, id)| Listener {
                    id: ListenerId(id),
                    transport,
                    local: address("192.0.2.1:5060"),
                    sent_by: "192.0.2.1:5060".into(),
                })
                .collect(),
            partition: 3,
            seed: 7,
            datagram_limit: 1300,
            max_pending: 16,
            timers: Timers::default(),
            product: "".into(),
        };
        World {
            endpoint: Endpoint::new(settings),
            now: Instant::now(),
            servers: VecDeque::new(),
            clients: VecDeque::new(),
            transmits: VecDeque::new(),
            lookups: VecDeque::new(),
            a_transmission_failed: false,
            sent: VecDeque::new(),
        }
    }

    fn step(&mut self, letter: u8, text: &[u8]) {
        match letter {
            b'd' => self.receive(flow(Transport::Udp), text),
            b't' => self.receive(flow(Transport::Tcp), text),
            b'w' => self.wait(Duration::from_millis(number(text))),
            b'r' => self.respond(number(text)),
            b's' => self.send(text, SendTo::NextHop),
            b'S' => self.send(text, SendTo::Flow(flow(Transport::Udp))),
            b'T' => self.send(text, SendTo::Targets(targets())),
            b'c' => {
                if let Some(&client) = self.clients.front() {
                    let _ = self.endpoint.cancel(self.now, client, None);
                }
            }
            b'p' => self.peer_answers(number(text)),
            b'l' => {
                let result = match text {
                    b"" => Ok(targets()),
                    b"none" => Ok(Vec::new()),
                    _ => Err(LookupError::NotFound),
                };
                if let Some(token) = self.lookups.pop_front() {
                    self.happen(Input::Resolved { token, result });
                }
            }
            b'x' => {
                if let Some(token) = self.transmits.pop_front() {
                    self.a_transmission_failed = true;
                    self.happen(Input::TransmitFailed { token });
                }
            }
            b'z' => self.happen(Input::ConnectionClosed { flow: flow(Transport::Tcp) }),
            b'o' => self.endpoint.set_shedding(text.is_empty()),
            _ => return,
        }
        self.drain();
    }

    fn happen(&mut self, input: Input) {
        self.endpoint.handle(self.now, input);
        self.drain();
    }

    fn receive(&mut self, flow: Flow, octets: &[u8]) {
        let received = parse_datagram(Bytes::copy_from_slice(octets), &Limits::default());
        self.happen(Input::Received { flow, received });
    }

    /// Time passes in the endpoint's own steps, as a driver would let it.
    fn wait(&mut self, long: Duration) {
        let until = self.now + long;
        while let Some(at) = self.endpoint.next_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.happen(Input::TimePassed);
        }
        self.now = until;
        self.happen(Input::TimePassed);
    }

    fn respond(&mut self, status: u64) {
        let Some(status) = status_code(status) else {
            return;
        };
        let Some((server, request)) = self.servers.pop_front() else {
            return;
        };
        let _ = self.endpoint.respond(self.now, server, Response::to(&request, status));
        if status.is_provisional() {
            self.servers.push_back((server, request));
        }
    }

    fn send(&mut self, text: &[u8], to: SendTo) {
        let message = parse_datagram(Bytes::copy_from_slice(text), &Limits::default());
        if let Ok(Message::Request(request)) = message
            && let Ok(client) = self.endpoint.send(self.now, request, to, None)
        {
            self.clients.push_back(client);
        }
    }

    /// The far end answers the oldest request on the wire; with a provisional response it may answer it again.
    fn peer_answers(&mut self, status: u64) {
        let Some(status) = status_code(status) else {
            return;
        };
        let Some(request) = self.sent.pop_front() else {
            return;
        };
        let mut response = Response::to(&request, status);
        let tagged = format!("{};tag=peer", request.headers().first(HeaderName::To).unwrap_or(""));
        let _ = response.headers_mut().set(HeaderName::To, tagged);
        self.receive(flow(Transport::Udp), &response.to_bytes());
        if status.is_provisional() {
            self.sent.push_back(request);
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { to, bytes, token } => self.transmitted(&to, bytes, token),
                Output::Lookup { token, .. } => self.lookups.push_back(token),
                Output::Event(Event::Request { server, request, .. }) => self.servers.push_back((server, request)),
                Output::Event(Event::ServerEnded { server, .. }) => {
                    self.servers.retain(|(open, _)| *open != server);
                }
                Output::Event(Event::ClientEnded { client }) => {
                    self.clients.retain(|open| *open != client);
                }
                Output::KeepAlive { .. } | Output::Close { .. } | Output::Event(_) => {}
            }
        }
    }

    fn transmitted(&mut self, to: &Destination, bytes: Bytes, token: u64) {
        if token != 0 && self.transmits.len() < MEMORY {
            self.transmits.push_back(token);
        }
        let message = parse_datagram(bytes, &wide_limits());
        if let Destination::Target { target, .. } = to {
            self.assert_may_go_to(target, &message);
        }
        if let Ok(Message::Request(request)) = message
            && self.sent.len() < MEMORY
        {
            self.sent.push_back(request);
        }
    }

    /// Requests go to targets. An answer does when the connection that its request came on could not take an answer, and
    /// then to whom the request came from, whatever its Via says (RFC 3261 §18.2.2).
    fn assert_may_go_to(&self, target: &Target, message: &Result<Message, Refusal>) {
        match message {
            Ok(Message::Request(_)) => {}
            Ok(Message::Response(_)) => {
                let asker = flow(Transport::Tcp).remote.ip();
                assert!(self.a_transmission_failed, "an answer left its connection without need");
                assert_eq!((target.transport, target.addr.ip()), (Transport::Tcp, asker), "an answer went astray");
            }
            Err(refusal) => panic!("a target was sent what nobody can read: {refusal}"),
        }
    }

    /// The user answers what is open, gives up what it asked for, and everybody waits.
    fn come_to_an_end(&mut self) {
        while !self.servers.is_empty() {
            self.respond(500);
            self.drain();
        }
        for client in self.clients.clone() {
            let _ = self.endpoint.cancel(self.now, client, None);
            self.drain();
        }
        // A lookup that nobody answers is the driver's to end; each target that is tried has its own 64·T1.
        for _ in 0..8 {
            while let Some(token) = self.lookups.pop_front() {
                let result = Err(LookupError::TimedOut);
                self.happen(Input::Resolved { token, result });
            }
            self.wait(Timers::default().timeout());
        }
    }
}

/// What the endpoint passes on may be as long as it accepts, and then our Via, a tag or a `received` is added.
fn wide_limits() -> Limits {
    let limits = Limits::default();
    Limits {
        message: 2 * limits.message,
        head: 2 * limits.head,
        line: 2 * limits.line,
        headers: 2 * limits.headers,
        ..limits
    }
}

fn flow(transport: Transport) -> Flow {
    Flow {
        transport,
        listener: ListenerId(u16::from(transport != Transport::Udp)),
        local: address("192.0.2.1:5060"),
        remote: address("192.0.2.7:5070"),
        connection: (transport != Transport::Udp).then_some(ConnectionId(1)),
    }
}

fn targets() -> Vec<Target> {
    [Transport::Udp, Transport::Tcp]
        .map(|transport| Target { transport, addr: address("192.0.2.9:5060"), server_name: None })
        .to_vec()
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address of ours")
}

fn status_code(number: u64) -> Option<StatusCode> {
    StatusCode::new(u16::try_from(number).ok()?)
}

fn number(text: &[u8]) -> u64 {
    text.iter()
        .take(6)
        .filter(|octet| octet.is_ascii_digit())
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
