//! Whatever comes to an MSRP relay (RFC 4976), from clients, strangers and next hops, in any order and cut anywhere: nothing
//! panics, it says whole chunks only, and nothing is left of anybody who has gone. And whatever a relay answers to AUTH: its
//! client goes on or gives up.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use cordboard_fuzz::steps;
use libfuzzer_sys::fuzz_target;
use msrp::chunk::{Chunk, Head, Start, TransactionId};
use msrp::endpoint::ConnectionId;
use msrp::relay::client::AuthClient;
use msrp::relay::{Authority, Input, Limits, Output, Relay, Settings, Verdict};
use msrp::uri::MsrpUri;

fuzz_target!(|script: &[u8]| {
    let mut world = World::new();
    for (letter, text) in steps(script).take(128) {
        match letter {
            b'h' => auth_client(text),
            letter => world.step(letter, text),
        }
    }
    world.end();
});

/// Lets everybody in who has any credentials, but no one out to 10.0.0.1.
struct Doorman;

impl Authority for Doorman {
    fn challenge(&mut self, _now: Instant) -> String {
        "Digest realm=\"r\", qop=\"auth\", nonce=\"1\"".to_owned()
    }

    fn check(&mut self, now: Instant, authorization: &str, _method: &str, _uri: &str) -> Verdict {
        match authorization.len() % 4 {
            0 => Verdict::Challenge { challenge: self.challenge(now), is_stale: authorization.contains('s') },
            1 => Verdict::Forbidden,
            _ => Verdict::Accepted { user: "u".into(), info: None },
        }
    }

    fn allows(&mut self, _user: &str, next_hop: &MsrpUri) -> bool {
        next_hop.host() != "10.0.0.1"
    }
}

const ALICE: ConnectionId = ConnectionId(1);
const BOB: ConnectionId = ConnectionId(2);
const EVE: ConnectionId = ConnectionId(3);
const OWN: [&str; 2] = ["msrps://alice.example.com:9892/98cjs;tcp", "msrps://bob.example.com:8145/foo;tcp"];

struct World {
    now: Instant,
    relay: Relay,
    granted: [String; 2],
    there: BTreeSet<ConnectionId>,
    /// Asked for, and not known to be there or not.
    wanted: Vec<ConnectionId>,
    /// The last request that somebody heard.
    heard: BTreeMap<ConnectionId, Head>,
}

impl World {
    fn new() -> World {
        let mut state = 1_u64;
        let random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ (state >> 29)
        };
        let limits = Limits { piece: 64, queue: 8192, pending: 16, grants: 3, all_grants: 8, next_hops: 3 };
        let settings = Settings { limits, ..Settings::new("relay.example.com", 9000, true) };
        let mut world = World {
            now: Instant::now(),
            relay: Relay::new(settings, Box::new(Doorman), Box::new(random)),
            granted: Default::default(),
            there: BTreeSet::new(),
            wanted: Vec::new(),
            heard: BTreeMap::new(),
        };
        for connection in [ALICE, BOB, EVE] {
            world.there.insert(connection);
            world.relay.handle(world.now, Input::Accepted { connection });
        }
        for (index, connection) in [ALICE, BOB].into_iter().enumerate() {
            let text = format!(
                "MSRP auth1 AUTH\r\nTo-Path: msrps://relay.example.com;tcp\r\nFrom-Path: {}\r\nAuthorization: ab\r\n\
                 -------auth1$\r\n",
                OWN[index]
            );
            world.say(connection, text.as_bytes());
            let mut out = BytesMut::new();
            assert!(world.relay.poll_transmit(world.now, connection, &mut out));
            let answer = Chunk::parse(out.freeze()).expect("a relay says chunks");
            world.granted[index] = answer.head.get("Use-Path").expect("it was let in").to_owned();
        }
        world
    }

    fn step(&mut self, letter: u8, text: &[u8]) {
        match letter {
            b'a' => self.say(ALICE, text),
            b'b' => self.say(BOB, text),
            b'e' => self.say(EVE, text),
            b'n' => {
                if let Some(connection) = self.there.last().copied() {
                    self.say(connection, text);
                }
            }
            b'c' => {
                if let Some(connection) = self.wanted.pop() {
                    self.there.insert(connection);
                    self.relay.handle(self.now, Input::Connected { connection });
                }
            }
            b'x' => {
                if let Some(connection) = self.wanted.pop() {
                    self.relay.handle(self.now, Input::Closed { connection });
                }
            }
            b'g' => self.go(text.len()),
            b'p' => self.pull(),
            b'r' => self.respond(text),
            b't' => self.wait(Duration::from_secs(text.len() as u64)),
            _ => {}
        }
        self.poll();
    }

    /// In two parts: what is cut anywhere is the same.
    fn say(&mut self, connection: ConnectionId, text: &[u8]) {
        let octets = self.fill(text);
        let (first, second) = octets.split_at(octets.len() / 2);
        for part in [first, second] {
            if self.relay.has_room(connection) {
                let octets = Bytes::copy_from_slice(part);
                self.relay.handle(self.now, Input::Received { connection, octets });
            }
        }
    }

    /// `@A` and `@B` stand for the URIs that alice and bob got, `@a` and `@b` for their own; lines end as MSRP's do.
    fn fill(&self, text: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(text.len());
        let mut octets = text.iter();
        while let Some(&octet) = octets.next() {
            let name = octets.as_slice().first().filter(|_| octet == b'@').and_then(|name| match name {
                b'A' => Some(&*self.granted[0]),
                b'B' => Some(&*self.granted[1]),
                b'a' => Some(OWN[0]),
                b'b' => Some(OWN[1]),
                _ => None,
            });
            match name {
                Some(name) => {
                    filled.extend_from_slice(name.as_bytes());
                    octets.next();
                }
                None if octet == b'\n' && filled.last() != Some(&b'\r') => filled.extend_from_slice(b"\r\n"),
                None => filled.push(octet),
            }
        }
        filled
    }

    fn poll(&mut self) {
        while let Some(output) = self.relay.poll_output() {
            match output {
                Output::Connect { connection, host, .. } => {
                    assert_ne!(host, "10.0.0.1", "that one is not allowed");
                    self.wanted.push(connection);
                }
                Output::Close { connection } => {
                    self.hear(connection);
                    self.there.remove(&connection);
                    self.wanted.retain(|wanted| *wanted != connection);
                    self.relay.handle(self.now, Input::Closed { connection });
                }
                Output::Transmit { .. } | Output::Read { .. } => {}
            }
        }
    }

    fn pull(&mut self) {
        for connection in self.there.clone() {
            self.hear(connection);
        }
    }

    fn hear(&mut self, connection: ConnectionId) {
        let mut out = BytesMut::new();
        while self.relay.poll_transmit(self.now, connection, &mut out) {
            let chunk = Chunk::parse(out.split().freeze()).expect("a relay says chunks, one at a time");
            if chunk.head.method().is_some() {
                self.heard.insert(connection, chunk.head);
            }
        }
    }

    /// Each of those who have heard a request responds to it.
    fn respond(&mut self, text: &[u8]) {
        self.pull();
        let code = [200, 401, 413, 481][text.len() % 4];
        for (connection, head) in std::mem::take(&mut self.heard) {
            let Ok(to) = head.to_path() else { continue };
            if let Ok(response) = head.response(to.first(), code, "so")
                && self.relay.has_room(connection)
            {
                let octets = Chunk::bodiless(response).to_bytes();
                self.relay.handle(self.now, Input::Received { connection, octets });
            }
        }
    }

    fn go(&mut self, which: usize) {
        if let Some(connection) = self.there.iter().nth(which % self.there.len().max(1)).copied() {
            self.there.remove(&connection);
            self.relay.handle(self.now, Input::Closed { connection });
        }
    }

    fn wait(&mut self, span: Duration) {
        self.now += span;
        self.relay.handle_timeout(self.now);
    }

    fn end(mut self) {
        self.poll();
        for connection in self.there.clone().into_iter().chain(self.wanted.clone()) {
            self.relay.handle(self.now, Input::Closed { connection });
        }
        self.wait(Duration::from_secs(2 * 3600));
        let left = self.relay.statistics();
        assert_eq!((left.connections, left.grants, self.relay.next_timeout()), (0, 0, None));
    }
}

/// Any response, to the very request that was made.
fn auth_client(text: &[u8]) {
    let text: Vec<u8> = text
        .iter()
        .flat_map(|octet| if *octet == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(octet) })
        .copied()
        .collect();
    let Ok(chunk) = Chunk::parse(text) else { return };
    let now = Instant::now();
    let uri = |text: &str| text.parse::<MsrpUri>().expect("a URI");
    let relays = vec![uri("msrps://one.example.com;tcp"), uri("msrps://two.example.com;tcp")];
    let mut client = AuthClient::new(relays, uri(OWN[0]), Some(Duration::from_secs(300)));
    let transaction = chunk.head.transaction();
    client.start(now, transaction);
    // The same answer to everything: it comes to an end all the same.
    for _ in 0..8 {
        let other = TransactionId::parse(b"other").expect("an id");
        let next = if transaction == other { TransactionId::parse(b"third").expect("an id") } else { transaction };
        let step = client.handle(now, &chunk.head, next, &mut |_| Some("Digest x".to_owned()));
        if !matches!(chunk.head.start(), Start::Response(..)) {
            assert!(matches!(step, Ok(msrp::relay::client::Step::Nothing)));
        }
        if let Some(path) = client.use_path() {
            assert!(path.uris().len() >= 2);
        }
        if !matches!(step, Ok(msrp::relay::client::Step::Send(_))) {
            return;
        }
    }
    panic!("a client that asks without end");
}
