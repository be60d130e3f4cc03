//! Two endpoints in one thread, without sockets: chat lines and file octets a second, and what an idle session takes.
//!
//! `cargo bench -p cordboard-msrp --bench endpoint`
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use msrp::chunk::{FailureReport, Framer, FramerLimits};
use msrp::endpoint::*;

fn main() {
    // `cargo test` runs benches to see that they still do.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let scale = if is_test { 100 } else { 1 };
    idle_sessions(10_000 / scale);
    for success_report in [false, true] {
        lines(500_000 / scale, success_report);
    }
    for is_streamed in [false, true] {
        file((2 << 30) / scale, is_streamed);
    }
    framing((4 << 30) / scale);
}

const CHAT: SessionKey = SessionKey(1);

/// Both ends and the wires between them.
struct Pair {
    now: Instant,
    ends: [Endpoint; 2],
    wires: Vec<[ConnectionId; 2]>,
    /// What waits to be delivered, and from which end.
    ready: Vec<(usize, usize)>,
    events: [Vec<SessionEvent>; 2],
    buffer: BytesMut,
}

impl Pair {
    fn new() -> Pair {
        let end = |seed: u64| {
            let mut state = seed;
            let random = move || {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed ^ (mixed >> 31)
            };
            let (limits, timers) = (Limits::default(), Timers::default());
            Endpoint::new(Config { limits, timers, random: Box::new(random) })
        };
        Pair {
            now: Instant::now(),
            ends: [end(1), end(2)],
            wires: Vec::new(),
            ready: Vec::new(),
            events: Default::default(),
            buffer: BytesMut::new(),
        }
    }

    fn meet(&mut self, key: SessionKey, port: u16, max_message: u64, streams_incoming: bool) {
        let mut plan = SessionPlan::chat("alice.example.com", 2855, false);
        let offer = self.ends[0].open(self.now, key, plan.clone()).expect("a fresh key");
        (plan.host, plan.port) = ("bob.example.com".into(), port);
        (plan.max_message, plan.streams_incoming) = (max_message, streams_incoming);
        let answer = self.ends[1].open(self.now, key, plan).expect("a fresh key");
        self.ends[1].bind(self.now, key, RemotePlan::direct(offer, Role::Passive)).expect("just opened");
        self.ends[0].bind(self.now, key, RemotePlan::direct(answer, Role::Active)).expect("just opened");
        self.run();
    }

    fn run(&mut self) {
        loop {
            for end in 0..2 {
                while let Some(output) = self.ends[end].poll_output() {
                    self.output(end, output);
                }
            }
            let Some((wire, end)) = self.ready.pop() else { return };
            let more = self.ends[end].poll_transmit(self.now, self.wires[wire][end], &mut self.buffer, 65_536);
            if more {
                self.ready.push((wire, end));
            }
            let (connection, bytes) = (self.wires[wire][1 - end], self.buffer.split().freeze());
            self.ends[1 - end].handle(self.now, Input::Received { connection, bytes });
        }
    }

    fn output(&mut self, end: usize, output: Output) {
        match output {
            Output::Connect { connection, .. } => {
                let accepted = ConnectionId(self.wires.len() as u64);
                self.wires.push([connection, accepted]);
                self.ends[1]
                    .handle(self.now, Input::Accepted { connection: accepted, is_secure: false, certificate: None });
                self.ends[0].handle(self.now, Input::Connected { connection });
            }
            Output::Transmit { connection } => {
                let wire = match connection.0.checked_sub(ConnectionId::FIRST_ASKED_FOR) {
                    Some(asked_for) => asked_for as usize,
                    None => connection.0 as usize,
                };
                self.ready.push((wire, end));
            }
            Output::Event { event, .. } => self.events[end].push(event),
            _ => {}
        }
    }

    fn message(id: &str, content: Content, success_report: bool) -> OutgoingMessage {
        let failure_report = FailureReport::Yes;
        OutgoingMessage { id: id.into(), content_type: "text/plain".into(), content, success_report, failure_report }
    }
}

/// Each with a connection of its own; memory of both ends, halved.
fn idle_sessions(count: usize) {
    let mut pair = Pair::new();
    let before = resident();
    for number in 0..count {
        pair.meet(SessionKey(number as u64), 1 + number as u16, SessionPlan::MAX_MESSAGE, false);
        // They have talked before they fell silent.
        for end in 0..2 {
            let content = Content::Whole(Bytes::from_static(b"hello"));
            pair.ends[end]
                .send(pair.now, SessionKey(number as u64), Pair::message("m", content, true))
                .expect("it is open");
            pair.run();
        }
        pair.events = Default::default();
    }
    let octets = resident().saturating_sub(before) / (2 * count);
    println!("idle: {count} sessions on as many connections, {octets} octets each");
    // Fewer say more about pages than about chats.
    assert!(count < 10_000 || octets <= 12 * 1024, "more than 12 KiB for a chat in which nobody speaks");
    black_box(&pair);
}

fn lines(count: usize, success_report: bool) {
    let mut pair = Pair::new();
    pair.meet(CHAT, 1, SessionPlan::MAX_MESSAGE, false);
    let line = Bytes::from_static(&[b'x'; 100]);
    let begin = Instant::now();
    let (mut came, mut delivered) = (0, 0);
    for number in 0..count {
        let message = Pair::message(&format!("m{number:08}"), Content::Whole(line.clone()), success_report);
        pair.ends[0].send(pair.now, CHAT, message).expect("it is open");
        if number % 16 == 15 || number + 1 == count {
            pair.run();
            came += pair.events[1].drain(..).filter(|event| matches!(event, SessionEvent::Message(_))).count();
            delivered +=
                pair.events[0].drain(..).filter(|event| matches!(event, SessionEvent::Delivered { .. })).count();
        }
    }
    let spent = begin.elapsed();
    assert_eq!((came, delivered), (count, count));
    let reports = if success_report { " with reports" } else { "" };
    println!("lines{reports}: {:.0} a second, both ends", count as f64 / spent.as_secs_f64());
}

fn file(size: usize, is_streamed: bool) {
    let mut pair = Pair::new();
    pair.meet(CHAT, 1, u64::MAX, true);
    let part = Bytes::from((0..256 << 10).map(|n: u32| (n * 7) as u8).collect::<Vec<u8>>());
    let content = match is_streamed {
        true => Content::Streamed { size: Some(size as u64), from: 0 },
        false => Content::Whole(part.repeat(size / part.len() / 8).into()),
    };
    let size = if is_streamed { size } else { size / part.len() / 8 * part.len() };
    let begin = Instant::now();
    pair.ends[0].send(pair.now, CHAT, Pair::message("file", content, true)).expect("it is open");
    let (mut came, mut is_delivered) = (0, false);
    while !is_delivered {
        pair.run();
        for event in std::mem::take(&mut pair.events[0]) {
            match event {
                SessionEvent::Wanted { id, at, up_to } => {
                    let count = up_to.min(size - at as usize).min(part.len());
                    let is_last = at as usize + count == size;
                    pair.ends[0].supply(pair.now, CHAT, &id, part.slice(..count), is_last).expect("it was wanted");
                }
                SessionEvent::Delivered { .. } => is_delivered = true,
                _ => {}
            }
        }
        for event in pair.events[1].drain(..) {
            if let SessionEvent::Data { bytes, .. } = event {
                came += bytes.len();
            }
        }
    }
    let spent = begin.elapsed();
    assert_eq!(came, size);
    let kind = if is_streamed { "streamed file" } else { "file in memory" };
    println!("{kind}: {:.0} MB a second, both ends", megabytes(size, spent));
}

/// The framer alone, on one long chunk in reads of 64 KiB.
fn framing(size: usize) {
    let mut framer = Framer::new(FramerLimits::default());
    framer.feed(Bytes::from_static(b"MSRP abcd1234 SEND\r\nContent-Type: a/b\r\n\r\n"));
    let part = Bytes::from((0..65_536_u32).map(|n| (n * 7) as u8).collect::<Vec<u8>>());
    let begin = Instant::now();
    let mut came = 0;
    for _ in 0..size / part.len() {
        framer.feed(part.clone());
        while let Ok(Some(piece)) = framer.next() {
            came += black_box(piece).body.len();
        }
    }
    println!("framing: {:.0} MB a second", megabytes(came, begin.elapsed()));
}

fn megabytes(octets: usize, spent: Duration) -> f64 {
    octets as f64 / 1e6 / spent.as_secs_f64()
}

/// Octets of memory that this process has.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default();
    pages * 4096
}
