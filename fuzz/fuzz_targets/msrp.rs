//! Whatever comes to an MSRP endpoint, in any order and cut anywhere, also into the midst of its own sessions (RFC 4975,
//! RFC 7701): nothing panics, what is framed is the same however it was cut, every message ends once, and nobody's
//! session is reached but by its path.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use cordboard_fuzz::steps;
use libfuzzer_sys::fuzz_target;
use msrp::Path;
use msrp::chunk::{Chunk, FailureReport, Framer, FramerLimits};
use msrp::endpoint::*;

fuzz_target!(|script: &[u8]| {
    cut_anywhere(script);
    let mut world = World::new();
    for (letter, text) in steps(script).take(128) {
        world.step(letter, text);
    }
    world.end();
});

/// The same chunks, whole or octet by octet; and what is read whole is printed back.
fn cut_anywhere(stream: &[u8]) {
    let read = |parts: &mut dyn Iterator<Item = &[u8]>| {
        let mut framer = Framer::new(FramerLimits { hold: usize::MAX, ..FramerLimits::default() });
        let mut pieces = Vec::new();
        for part in parts {
            framer.feed(Bytes::copy_from_slice(part));
            while let Ok(Some(piece)) = framer.next() {
                pieces.push(piece);
            }
        }
        pieces
    };
    let whole = read(&mut std::iter::once(stream));
    assert_eq!(whole, read(&mut stream.chunks(1)));
    for piece in whole {
        if let Some(end) = piece.end.filter(|_| piece.head.fault().is_none()) {
            let body = piece.head.has_body().then_some(piece.body);
            let chunk = Chunk { head: (*piece.head).clone(), body, end };
            let printed = chunk.to_bytes();
            let again = Chunk::parse(printed.clone()).expect("what was read can be read again");
            assert_eq!(again.to_bytes(), printed);
        }
    }
    if let Ok(text) = std::str::from_utf8(stream)
        && let Ok(path) = text.parse::<Path>()
    {
        assert!(path.to_string().parse::<Path>().expect("what was read can be read again").matches(&path));
    }
}

const ALICE: usize = 0;
const BOB: usize = 1;
const STRANGER: ConnectionId = ConnectionId(99);

struct World {
    now: Instant,
    ends: [Endpoint; 2],
    paths: Vec<[Path; 2]>,
    wires: Vec<[ConnectionId; 2]>,
    ready: Vec<(usize, usize)>,
    /// Messages that were taken, and those that have ended.
    taken: [BTreeSet<(u64, String)>; 2],
    ended: [BTreeSet<(u64, String)>; 2],
    wanted: BTreeMap<(usize, u64, String), usize>,
    next: u64,
}

impl World {
    fn new() -> World {
        let end = |seed: u64| {
            let mut state = seed;
            let random = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state ^ (state >> 29)
            };
            let limits = Limits { octets: 1 << 20, messages: 4, spans: 8, overrun: 4096, ..Limits::default() };
            Endpoint::new(Config { limits, timers: Timers::default(), random: Box::new(random) })
        };
        let mut world = World {
            now: Instant::now(),
            ends: [end(1), end(2)],
            paths: Vec::new(),
            wires: Vec::new(),
            ready: Vec::new(),
            taken: Default::default(),
            ended: Default::default(),
            wanted: BTreeMap::new(),
            next: 0,
        };
        for key in 0..3 {
            world.open(key);
        }
        world.ends[BOB]
            .handle(world.now, Input::Accepted { connection: STRANGER, is_secure: false, certificate: None });
        world.run();
        world
    }

    /// Sessions of three kinds: a chat, a file, a room.
    fn open(&mut self, key: u64) {
        let mut plan = SessionPlan::chat("alice.example.com", 2855, false);
        plan.max_message = 100_000;
        let now = self.now;
        let offer = self.ends[ALICE].open(now, SessionKey(key), plan.clone()).expect("a fresh key");
        plan.host = "bob.example.com".into();
        (plan.streams_incoming, plan.asks) = (key == 1, key == 2);
        (plan.by_session_id_only, plan.gives_nicknames) = (key == 2, key == 2);
        let answer = self.ends[BOB].open(now, SessionKey(key), plan).expect("a fresh key");
        let _ = self.ends[BOB].bind(now, SessionKey(key), RemotePlan::direct(offer.clone(), Role::Passive));
        let _ = self.ends[ALICE].bind(now, SessionKey(key), RemotePlan::direct(answer.clone(), Role::Active));
        self.paths.push([offer, answer]);
    }

    fn step(&mut self, letter: u8, text: &[u8]) {
        let (key, rest) = text.split_first().map_or((0, text), |(key, rest)| (u64::from(key % 3), rest));
        let who = usize::from(letter.is_ascii_uppercase());
        match letter {
            b'm' | b'M' => self.send(who, key, Content::Whole(Bytes::copy_from_slice(rest)), rest.len()),
            b'f' | b'F' => self.send(who, key, Content::Streamed { size: None, from: 0 }, rest.len()),
            b'l' | b'L' => {
                let content = Bytes::from(vec![b'-'; 100 * rest.len()]);
                self.send(who, key, Content::Whole(content), rest.len());
            }
            b's' | b'S' => self.supply(who, rest),
            b'g' | b'G' => self.give_up(who, key),
            b'r' | b'R' => self.run(),
            b'i' | b'I' => self.inject(who, key, rest),
            b'x' => {
                self.ends[BOB].handle(self.now, Input::Received { connection: STRANGER, bytes: self.fill(key, rest) })
            }
            b'v' => {
                let id = MessageId::from(&*String::from_utf8_lossy(rest));
                let verdict = if rest.len() % 2 == 0 { Verdict::Deliver } else { Verdict::Refuse(413, "no".into()) };
                let _ = self.ends[BOB].accept(self.now, SessionKey(key), &id, verdict);
            }
            b'n' => {
                let _ = self.ends[ALICE].nickname(self.now, SessionKey(key), &String::from_utf8_lossy(rest));
            }
            b'c' | b'C' => self.ends[who].close(self.now, SessionKey(key)),
            b't' => self.wait(Duration::from_secs(rest.len() as u64)),
            b'b' => self.lose(key as usize),
            _ => {}
        }
    }

    fn send(&mut self, who: usize, key: u64, content: Content, choice: usize) {
        self.next += 1;
        let id = format!("m{}", self.next);
        let message = OutgoingMessage {
            id: id.as_str().into(),
            content_type: "text/plain".into(),
            content,
            success_report: choice % 2 == 0,
            failure_report: [FailureReport::Yes, FailureReport::No, FailureReport::Partial][choice % 3],
        };
        if self.ends[who].send(self.now, SessionKey(key), message).is_ok() {
            self.taken[who].insert((key, id));
        }
    }

    fn supply(&mut self, who: usize, text: &[u8]) {
        let Some((of, _)) = self.wanted.iter().find(|(of, _)| of.0 == who) else { return };
        let (_, key, id) = of.clone();
        self.wanted.remove(&(who, key, id.clone()));
        let bytes = Bytes::copy_from_slice(text);
        let is_last = text.is_empty();
        let _ = self.ends[who].supply(self.now, SessionKey(key), &id.as_str().into(), bytes, is_last);
    }

    fn give_up(&mut self, who: usize, key: u64) {
        if let Some((_, id)) = self.taken[who].iter().rfind(|taken| taken.0 == key).cloned() {
            let _ = self.ends[who].abort(self.now, SessionKey(key), &id.as_str().into());
        }
    }

    /// Octets into the midst of a session, as if its peer had sent them.
    fn inject(&mut self, who: usize, key: u64, text: &[u8]) {
        let bytes = self.fill(key, text);
        if let Some(wire) = self.wires.first() {
            self.ends[who].handle(self.now, Input::Received { connection: wire[who], bytes });
        }
    }

    /// `@A` and `@B` stand for the two paths, which no fuzzer would guess.
    fn fill(&self, key: u64, text: &[u8]) -> Bytes {
        let mut filled = Vec::with_capacity(text.len());
        let mut octets = text.iter();
        while let Some(&octet) = octets.next() {
            match (octet, octets.as_slice().first()) {
                (b'@', Some(b'A' | b'B')) => {
                    let which = usize::from(octets.next() == Some(&b'B'));
                    filled.extend_from_slice(self.paths[key as usize][which].to_string().as_bytes());
                }
                _ => filled.push(octet),
            }
        }
        filled.into()
    }

    fn lose(&mut self, index: usize) {
        if let Some(wire) = self.wires.get(index).copied() {
            for (end, connection) in wire.into_iter().enumerate() {
                self.ends[end].handle(self.now, Input::Closed { connection, reason: "lost".into() });
            }
        }
    }

    fn wait(&mut self, span: Duration) {
        self.run();
        self.now += span;
        for end in &mut self.ends {
            end.handle_timeout(self.now);
        }
        self.run();
    }

    fn run(&mut self) {
        for _ in 0..10_000 {
            for end in [ALICE, BOB] {
                while let Some(output) = self.ends[end].poll_output() {
                    self.output(end, output);
                }
            }
            let Some((wire, end)) = self.ready.pop() else { return };
            let mut out = BytesMut::new();
            if self.ends[end].poll_transmit(self.now, self.wires[wire][end], &mut out, 3000) {
                self.ready.push((wire, end));
            }
            let (connection, bytes) = (self.wires[wire][1 - end], out.freeze());
            self.ends[1 - end].handle(self.now, Input::Received { connection, bytes });
        }
        panic!("two endpoints come to rest");
    }

    fn output(&mut self, end: usize, output: Output) {
        match output {
            Output::Connect { connection, .. } if end == ALICE => {
                let accepted = ConnectionId(self.wires.len() as u64);
                self.wires.push([connection, accepted]);
                self.ends[BOB]
                    .handle(self.now, Input::Accepted { connection: accepted, is_secure: false, certificate: None });
                self.ends[ALICE].handle(self.now, Input::Connected { connection });
            }
            Output::Transmit { connection } => {
                if let Some(wire) = self.wires.iter().position(|wire| wire[end] == connection) {
                    self.ready.push((wire, end));
                }
            }
            Output::Close { connection } => {
                if let Some(wire) = self.wires.iter().position(|wire| wire[end] == connection) {
                    let connection = self.wires[wire][1 - end];
                    self.ends[1 - end].handle(self.now, Input::Closed { connection, reason: "closed".into() });
                }
            }
            Output::Event { key, event } => self.event(end, key.0, event),
            _ => {}
        }
    }

    fn event(&mut self, end: usize, key: u64, event: SessionEvent) {
        match event {
            SessionEvent::Wanted { id, up_to, .. } => {
                self.wanted.insert((end, key, id.to_string()), up_to);
            }
            SessionEvent::Delivered { id, .. } | SessionEvent::NotDelivered { id, .. } => {
                let of = (key, id.to_string());
                assert!(self.taken[end].contains(&of), "it was sent");
                assert!(self.ended[end].insert(of), "it ends once");
            }
            _ => {}
        }
    }

    /// When both are closed, everything that was sent has ended and nothing is left.
    fn end(mut self) {
        for end in [ALICE, BOB] {
            for key in 0..3 {
                self.ends[end].close(self.now, SessionKey(key));
            }
        }
        self.wait(Duration::from_secs(60));
        for end in [ALICE, BOB] {
            assert_eq!(self.ended[end], self.taken[end], "each message has an end");
            assert_eq!((self.ends[end].sessions(), self.ends[end].next_timeout()), (0, None));
        }
    }
}
