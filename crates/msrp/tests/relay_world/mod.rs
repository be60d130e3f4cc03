//! Relays, their clients and the wires between them, in virtual time.
#![allow(dead_code)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use msrp::chunk::{Chunk, TransactionId};
use msrp::endpoint::ConnectionId;
use msrp::relay::{Authority, Input, Output, Relay, Settings, Statistics, Verdict};
use msrp::uri::MsrpUri;

/// Knows alice and bob, whose password is right if they say so.
pub(crate) struct Doorman;

impl Authority for Doorman {
    fn challenge(&mut self, _now: Instant) -> String {
        "Digest realm=\"intra.example.com\", qop=\"auth\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"".to_owned()
    }

    fn check(&mut self, now: Instant, authorization: &str, method: &str, _uri: &str) -> Verdict {
        assert_eq!(method, "AUTH");
        let user = authorization.split('"').nth(1).unwrap_or_default();
        match user {
            "Alice" | "Bob" if authorization.contains("wrong") => {
                Verdict::Challenge { challenge: self.challenge(now), is_stale: false }
            }
            "Alice" | "Bob" => Verdict::Accepted { user: user.into(), info: Some("nextnonce=\"40f2\"".to_owned()) },
            _ => Verdict::Forbidden,
        }
    }

    fn allows(&mut self, _user: &str, next_hop: &MsrpUri) -> bool {
        next_hop.host() != "10.0.0.1"
    }
}

/// One relay, and clients whose connections are numbers.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) relay: Relay,
    /// What it wants to connect to and has not been told of.
    pub(crate) wanted: Vec<(ConnectionId, String)>,
    pub(crate) closed: Vec<ConnectionId>,
    accepted: u64,
    host: String,
}

pub(crate) fn random(seed: u64) -> Box<dyn FnMut() -> u64> {
    let mut state = seed;
    Box::new(move || {
        // SplitMix64: no two transaction ids alike is all that is asked.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
    })
}

impl World {
    pub(crate) fn new(host: &str) -> World {
        World::with(Settings::new(host, 9000, true))
    }

    pub(crate) fn with(settings: Settings) -> World {
        let host = settings.host.clone();
        let relay = Relay::new(settings, Box::new(Doorman), random(1));
        World { now: Instant::now(), relay, wanted: Vec::new(), closed: Vec::new(), accepted: 0, host }
    }

    pub(crate) fn accept(&mut self) -> ConnectionId {
        self.accepted += 1;
        let connection = ConnectionId(self.accepted);
        self.relay.handle(self.now, Input::Accepted { connection });
        connection
    }

    /// Somebody says this.
    pub(crate) fn say(&mut self, connection: ConnectionId, text: impl Into<Bytes>) {
        self.relay.handle(self.now, Input::Received { connection, octets: text.into() });
        self.poll();
    }

    pub(crate) fn connected(&mut self, connection: ConnectionId) {
        self.relay.handle(self.now, Input::Connected { connection });
        self.poll();
    }

    pub(crate) fn gone(&mut self, connection: ConnectionId) {
        self.relay.handle(self.now, Input::Closed { connection });
        self.poll();
    }

    /// Everything that the relay says to somebody.
    pub(crate) fn hear(&mut self, connection: ConnectionId) -> Vec<Chunk> {
        let mut heard = Vec::new();
        while let Some(octets) = self.hear_octets(connection) {
            heard.push(Chunk::parse(octets).expect("a relay prints chunks"));
        }
        heard
    }

    pub(crate) fn hear_octets(&mut self, connection: ConnectionId) -> Option<Bytes> {
        let mut out = BytesMut::new();
        let has = self.relay.poll_transmit(self.now, connection, &mut out);
        self.poll();
        has.then(|| out.freeze())
    }

    /// The one thing that the relay says to somebody.
    pub(crate) fn hear_one(&mut self, connection: ConnectionId) -> Chunk {
        let heard = self.hear(connection);
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.into_iter().next().expect("there is one")
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.relay.next_timeout().filter(|&at| at <= end) {
            self.now = at.max(self.now);
            self.relay.handle_timeout(self.now);
        }
        self.now = end;
        self.poll();
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.relay.statistics()
    }

    fn poll(&mut self) {
        while let Some(output) = self.relay.poll_output() {
            match output {
                Output::Connect { connection, host, port, is_secure: _ } => {
                    self.wanted.push((connection, format!("{host}:{port}")));
                }
                Output::Close { connection } => self.closed.push(connection),
                Output::Transmit { .. } | Output::Read { .. } => {}
            }
        }
    }

    /// A client of the relay: its connection, its own URI, and the URI that it got.
    pub(crate) fn client(&mut self, user: &str, own: &str) -> (ConnectionId, String) {
        let connection = self.accept();
        let uri = self.auth(connection, user, own, "");
        (connection, uri)
    }

    /// AUTH with the right password; gives the URI.
    pub(crate) fn auth(&mut self, connection: ConnectionId, user: &str, own: &str, more: &str) -> String {
        let host = &self.host;
        let text = format!(
            "MSRP a{user} AUTH\r\nTo-Path: msrps://{host};tcp\r\nFrom-Path: {own}\r\n\
             Authorization: Digest username=\"{user}\", response=\"right\"\r\n{more}-------a{user}$\r\n"
        );
        self.say(connection, text);
        let answer = self.hear_one(connection);
        assert_eq!(code(&answer), 200, "{answer:?}");
        answer.head.get("Use-Path").expect("a path").rsplit(' ').next().expect("a URI").to_owned()
    }
}

pub(crate) fn code(chunk: &Chunk) -> u16 {
    match chunk.head.start() {
        msrp::chunk::Start::Response(code, _) => *code,
        msrp::chunk::Start::Request(method) => panic!("{} is no response", method.as_str()),
    }
}

pub(crate) fn method(chunk: &Chunk) -> &str {
    chunk.head.method().expect("a request").as_str()
}

pub(crate) fn field<'a>(chunk: &'a Chunk, name: &str) -> &'a str {
    chunk.head.get(name).unwrap_or_else(|| panic!("no {name} in {chunk:?}"))
}

/// A SEND on the wire.
pub(crate) fn send(id: &str, to: &str, from: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "MSRP {id} SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\nMessage-ID: m{id}\r\nByte-Range: 1-{length}/{length}\r\n\
         {fields}Content-Type: text/plain\r\n\r\n{body}\r\n-------{id}$\r\n"
    )
}

/// The response to a chunk, from its receiver.
pub(crate) fn response(to: &Chunk, code: u16, comment: &str) -> Bytes {
    let us = to.head.to_path().expect("a path");
    Chunk::bodiless(to.head.response(us.first(), code, comment).expect("paths")).to_bytes()
}

pub(crate) fn transaction(text: &str) -> TransactionId {
    TransactionId::parse(text.as_bytes()).expect("an id")
}

/// Several relays with wires between them.
pub(crate) struct Network {
    pub(crate) worlds: HashMap<String, World>,
    /// What each relay's connection is at the other.
    wires: HashMap<(String, ConnectionId), (String, ConnectionId)>,
}

impl Network {
    pub(crate) fn new(hosts: &[&str]) -> Network {
        let worlds = hosts.iter().map(|&host| (host.to_owned(), World::new(host))).collect();
        Network { worlds, wires: HashMap::new() }
    }

    pub(crate) fn at(&mut self, host: &str) -> &mut World {
        self.worlds.get_mut(host).expect("a relay")
    }

    /// Carries what the relays say to each other, until they are silent.
    pub(crate) fn run(&mut self) {
        loop {
            let mut is_silent = true;
            let hosts: Vec<String> = self.worlds.keys().cloned().collect();
            for host in &hosts {
                for (connection, target) in std::mem::take(&mut self.at(host).wanted) {
                    is_silent = false;
                    let target = target.split(':').next().expect("a host").to_owned();
                    let other = self.at(&target).accept();
                    self.wires.insert((host.clone(), connection), (target.clone(), other));
                    self.wires.insert((target, other), (host.clone(), connection));
                    self.at(host).connected(connection);
                }
            }
            for ((host, connection), (target, other)) in self.wires.clone() {
                while let Some(octets) = self.at(&host).hear_octets(connection) {
                    is_silent = false;
                    self.at(&target).say(other, octets);
                }
            }
            if is_silent {
                return;
            }
        }
    }
}
