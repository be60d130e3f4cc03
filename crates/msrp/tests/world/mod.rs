//! Two endpoints, the wires between them, and time that moves by hand. Everything comes from one seed.

#![allow(dead_code)] // each test file uses its part

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use msrp::Path;
use msrp::chunk::{Chunk, FailureReport};
use msrp::endpoint::*;

pub(crate) const ALICE: usize = 0;
pub(crate) const BOB: usize = 1;
pub(crate) const CHAT: SessionKey = SessionKey(1);

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) ends: [End; 2],
    pub(crate) wires: Vec<Wire>,
    /// Octets that a pull asks for.
    pub(crate) room: usize,
    /// Whether each pull takes one chunk, as for WebSocket.
    pub(crate) by_chunk: bool,
    /// Whether what is pulled arrives in pieces of random length.
    pub(crate) cuts: bool,
    random: Random,
}

pub(crate) struct End {
    pub(crate) endpoint: Endpoint,
    pub(crate) events: Vec<(SessionKey, SessionEvent)>,
    pub(crate) files: HashMap<(SessionKey, MessageId), Bytes>,
    links: HashMap<ConnectionId, usize>,
    next_accepted: u64,
    /// The connections of its own asking are not made.
    pub(crate) refuses: bool,
}

pub(crate) struct Wire {
    /// The names that the two ends have for it.
    pub(crate) names: [ConnectionId; 2],
    pub(crate) is_alive: bool,
    /// Everything that went each way: from the end of this index.
    pub(crate) log: [Vec<u8>; 2],
    /// What is on its way to the other end.
    flying: [VecDeque<Bytes>; 2],
    wants: [bool; 2],
    /// Breaks after so many octets of both ways.
    pub(crate) breaks_after: Option<u64>,
    /// An end of which nothing is pulled.
    pub(crate) deaf: Option<usize>,
    carried: u64,
}

#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Bytes {
        (0..count).map(|_| self.next() as u8).collect::<Vec<u8>>().into()
    }
}

pub(crate) fn endpoint(seed: u64, limits: Limits, timers: Timers) -> Endpoint {
    let mut random = Random(seed);
    Endpoint::new(Config { limits, timers, random: Box::new(move || random.next()) })
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        World::with(seed, Limits::default(), Timers::default())
    }

    pub(crate) fn with(seed: u64, limits: Limits, timers: Timers) -> World {
        let end = |salt| End {
            endpoint: endpoint(seed ^ salt, limits.clone(), timers.clone()),
            events: Vec::new(),
            files: HashMap::new(),
            links: HashMap::new(),
            next_accepted: 1,
            refuses: false,
        };
        World {
            now: Instant::now(),
            ends: [end(0xa11ce), end(0xb0b)],
            wires: Vec::new(),
            room: 4096,
            by_chunk: false,
            cuts: true,
            random: Random(seed),
        }
    }

    /// A world in which alice's chat with bob is bound.
    pub(crate) fn chat(seed: u64) -> World {
        let mut world = World::new(seed);
        world.meet(CHAT, plan("alice"), plan("bob"));
        world
    }

    /// Alice offers, bob answers, alice connects.
    pub(crate) fn meet(&mut self, key: SessionKey, alice: SessionPlan, bob: SessionPlan) -> [Path; 2] {
        let now = self.now;
        let offer = self.ends[ALICE].endpoint.open(now, key, alice).unwrap();
        let answer = self.ends[BOB].endpoint.open(now, key, bob).unwrap();
        self.ends[BOB].endpoint.bind(now, key, RemotePlan::direct(offer.clone(), Role::Passive)).unwrap();
        self.ends[ALICE].endpoint.bind(now, key, RemotePlan::direct(answer.clone(), Role::Active)).unwrap();
        self.run();
        for end in [ALICE, BOB] {
            assert_eq!(self.take(end, key), [SessionEvent::Bound]);
        }
        [offer, answer]
    }

    pub(crate) fn say(&mut self, end: usize, key: SessionKey, id: &str, text: &str) {
        self.send(end, key, OutgoingMessage::whole(id.into(), "text/plain", text.to_owned(), true));
    }

    pub(crate) fn send(&mut self, end: usize, key: SessionKey, message: OutgoingMessage) {
        self.ends[end].endpoint.send(self.now, key, message).unwrap();
    }

    pub(crate) fn send_file(&mut self, end: usize, key: SessionKey, id: &str, content: Bytes, success_report: bool) {
        let size = Some(content.len() as u64);
        self.ends[end].files.insert((key, id.into()), content);
        let message = OutgoingMessage {
            id: id.into(),
            content_type: "application/octet-stream".into(),
            content: Content::Streamed { size, from: 0 },
            success_report,
            failure_report: FailureReport::Yes,
        };
        self.send(end, key, message);
    }

    /// What has happened in a session, since it was last asked.
    pub(crate) fn take(&mut self, end: usize, key: SessionKey) -> Vec<SessionEvent> {
        let (taken, left) = std::mem::take(&mut self.ends[end].events).into_iter().partition(|event| event.0 == key);
        self.ends[end].events = left;
        taken.into_iter().map(|event| event.1).collect()
    }

    /// Goes on until nothing moves.
    pub(crate) fn run(&mut self) {
        while self.step() {}
    }

    /// Lets time go by; each timer goes off at its moment.
    pub(crate) fn wait(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            self.run();
            let next = self.ends.iter().filter_map(|end| end.endpoint.next_timeout()).min();
            match next.filter(|next| *next <= until) {
                Some(next) => {
                    self.now = self.now.max(next);
                    for end in &mut self.ends {
                        end.endpoint.handle_timeout(self.now);
                    }
                }
                None => break,
            }
        }
        self.now = until;
    }

    /// One round: commands' outputs, then one pull and one delivery on each wire.
    pub(crate) fn step(&mut self) -> bool {
        self.step_from(0)
    }

    /// As [`World::step`], where all wires before this one are known to be silent.
    pub(crate) fn step_from(&mut self, first: usize) -> bool {
        let mut moved = false;
        for end in [ALICE, BOB] {
            moved |= self.collect(end);
        }
        for wire in first..self.wires.len() {
            for from in [ALICE, BOB] {
                moved |= self.pull(wire, from);
                moved |= self.deliver(wire, from);
            }
        }
        moved
    }

    fn collect(&mut self, end: usize) -> bool {
        let mut moved = false;
        while let Some(output) = self.ends[end].endpoint.poll_output() {
            moved = true;
            match output {
                Output::Connect { connection, is_secure, .. } => self.connect(end, connection, is_secure),
                Output::Close { connection } => {
                    if let Some(wire) = self.ends[end].links.remove(&connection) {
                        self.close(wire, end);
                    }
                }
                Output::Transmit { connection } => {
                    if let Some(wire) = self.ends[end].links.get(&connection) {
                        self.wires[*wire].wants[end] = true;
                    }
                }
                Output::Event { key, event } => self.event(end, key, event),
                Output::Answered { .. } | Output::Connection { .. } => {}
            }
        }
        moved
    }

    fn event(&mut self, end: usize, key: SessionKey, event: SessionEvent) {
        if let SessionEvent::Wanted { id, at, up_to } = &event {
            let content = self.ends[end].files[&(key, id.clone())].clone();
            let from = *at as usize;
            let to = content.len().min(from + up_to);
            let is_last = to == content.len();
            let _ = self.ends[end].endpoint.supply(self.now, key, id, content.slice(from..to), is_last);
            return;
        }
        self.ends[end].events.push((key, event));
    }

    fn connect(&mut self, end: usize, connection: ConnectionId, is_secure: bool) {
        let now = self.now;
        if self.ends[end].refuses {
            let reason = Arc::from("refused");
            return self.ends[end].endpoint.handle(now, Input::Closed { connection, reason });
        }
        let other = 1 - end;
        let accepted = ConnectionId(self.ends[other].next_accepted);
        self.ends[other].next_accepted += 1;
        let mut names = [connection; 2];
        names[other] = accepted;
        self.ends[end].links.insert(connection, self.wires.len());
        self.ends[other].links.insert(accepted, self.wires.len());
        self.wires.push(Wire {
            names,
            is_alive: true,
            log: Default::default(),
            flying: Default::default(),
            wants: [false; 2],
            breaks_after: None,
            deaf: None,
            carried: 0,
        });
        self.ends[other].endpoint.handle(now, Input::Accepted { connection: accepted, is_secure, certificate: None });
        self.ends[end].endpoint.handle(now, Input::Connected { connection });
    }

    /// This end has closed: what is on its way still arrives at the other one, then the end of the stream.
    fn close(&mut self, wire: usize, end: usize) {
        let other = 1 - end;
        if !std::mem::replace(&mut self.wires[wire].is_alive, false) {
            return;
        }
        let connection = self.wires[wire].names[other];
        for bytes in std::mem::take(&mut self.wires[wire].flying[end]) {
            self.ends[other].endpoint.handle(self.now, Input::Received { connection, bytes });
        }
        self.ends[other].endpoint.handle(self.now, Input::Closed { connection, reason: "closed by the peer".into() });
        self.ends[other].links.remove(&connection);
    }

    /// The wire breaks for both.
    pub(crate) fn break_wire(&mut self, wire: usize) {
        self.wires[wire].is_alive = false;
        for end in [ALICE, BOB] {
            let connection = self.wires[wire].names[end];
            self.ends[end].links.remove(&connection);
            self.ends[end].endpoint.handle(self.now, Input::Closed { connection, reason: "broken".into() });
        }
    }

    fn pull(&mut self, wire: usize, from: usize) -> bool {
        let it = &mut self.wires[wire];
        if !it.is_alive || !it.wants[from] || it.deaf == Some(from) || it.flying[from].len() > 8 {
            return false;
        }
        let mut out = BytesMut::new();
        let connection = it.names[from];
        let endpoint = &mut self.ends[from].endpoint;
        if self.by_chunk {
            it.wants[from] = endpoint.poll_chunk(self.now, connection, &mut out, self.room);
            assert!(out.is_empty() || Chunk::parse(out.clone()).is_ok(), "one whole chunk");
            assert!(out.len() <= self.room.max(2048) + 1024, "{}", out.len());
        } else {
            it.wants[from] = endpoint.poll_transmit(self.now, connection, &mut out, self.room);
        }
        it.log[from].extend_from_slice(&out);
        let mut out = out.freeze();
        while !out.is_empty() {
            let most = out.len() as u64;
            let length = if self.cuts { 1 + self.random.below(most) } else { most };
            it.flying[from].push_back(out.split_to(length as usize));
        }
        true
    }

    fn deliver(&mut self, wire: usize, from: usize) -> bool {
        let it = &mut self.wires[wire];
        if !it.is_alive {
            return false;
        }
        let Some(bytes) = it.flying[from].pop_front() else { return false };
        it.carried += bytes.len() as u64;
        let to = 1 - from;
        match it.breaks_after.map(|after| it.carried.saturating_sub(after)).filter(|surplus| *surplus > 0) {
            None => {
                let connection = it.names[to];
                self.ends[to].endpoint.handle(self.now, Input::Received { connection, bytes });
            }
            Some(surplus) => {
                let connection = it.names[to];
                let bytes = bytes.slice(..bytes.len().saturating_sub(surplus as usize));
                self.ends[to].endpoint.handle(self.now, Input::Received { connection, bytes });
                self.break_wire(wire);
            }
        }
        true
    }

    /// Octets from nowhere, as if the other end had sent them.
    pub(crate) fn inject(&mut self, wire: usize, to: usize, text: impl Into<Bytes>) {
        let connection = self.wires[wire].names[to];
        self.ends[to].endpoint.handle(self.now, Input::Received { connection, bytes: text.into() });
    }

    /// The chunks that went out from an end, in order.
    pub(crate) fn chunks(&self, wire: usize, from: usize) -> Vec<Chunk> {
        chunks(&self.wires[wire].log[from])
    }
}

/// A byte stream as whole chunks.
pub(crate) fn chunks(stream: &[u8]) -> Vec<Chunk> {
    use msrp::chunk::{Framer, FramerLimits};
    let mut framer = Framer::new(FramerLimits { hold: usize::MAX, ..FramerLimits::default() });
    framer.feed(Bytes::copy_from_slice(stream));
    let mut chunks = Vec::new();
    while let Some(piece) = framer.next().expect("what we send is MSRP") {
        let body = piece.head.has_body().then_some(piece.body);
        chunks.push(Chunk { head: (*piece.head).clone(), body, end: piece.end.unwrap() });
    }
    chunks
}

pub(crate) fn plan(host: &str) -> SessionPlan {
    SessionPlan::chat(format!("{host}.example.com"), 2855, false)
}

pub(crate) fn messages(events: &[SessionEvent]) -> Vec<(String, Bytes)> {
    events
        .iter()
        .filter_map(|event| match event {
            SessionEvent::Message(message) => Some((message.id.to_string(), message.content.clone())),
            _ => None,
        })
        .collect()
}

/// How messages ended: their ids and codes.
pub(crate) fn fates(events: &[SessionEvent]) -> Vec<(String, bool, u16)> {
    events
        .iter()
        .filter_map(|event| match event {
            SessionEvent::Delivered { id, code, .. } => Some((id.to_string(), true, *code)),
            SessionEvent::NotDelivered { id, code, .. } => Some((id.to_string(), false, *code)),
            _ => None,
        })
        .collect()
}
