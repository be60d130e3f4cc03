//! Peers that mean no good, or have bugs: what they can cost is bounded, and they reach nobody's session but their own.

#![allow(clippy::unwrap_used)] // helpers are tests as well

mod world;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use msrp::chunk::{Chunk, Start};
use msrp::endpoint::*;
use world::{ALICE, BOB, CHAT, Random, World, fates, messages, plan};

/// A peer that speaks by hand to bob, on a connection of its own.
struct Peer {
    world: World,
    bob: String,
    own: String,
    connection: ConnectionId,
}

impl Peer {
    fn new(plan: SessionPlan) -> Peer {
        Peer::with(plan, Limits::default())
    }

    fn with(plan: SessionPlan, limits: Limits) -> Peer {
        let mut world = World::with(1, limits, Timers::default());
        let now = world.now;
        let bob = &mut world.ends[BOB].endpoint;
        let path = bob.open(now, CHAT, plan).unwrap();
        let own = "msrp://mallory.example.com:1/evil;tcp";
        bob.bind(now, CHAT, RemotePlan::direct(own.parse().unwrap(), Role::Passive)).unwrap();
        let connection = ConnectionId(1);
        bob.handle(now, Input::Accepted { connection, is_secure: false, certificate: None });
        Peer { bob: path.to_string(), own: own.into(), world, connection }
    }

    fn bound(plan: SessionPlan) -> Peer {
        let mut peer = Peer::new(plan);
        assert_eq!(peer.ask("SEND", "", None), [200]);
        assert_eq!(peer.events(), [SessionEvent::Bound]);
        peer
    }

    fn head(&self, method: &str, fields: &str) -> String {
        format!("MSRP tid0001x {method}\r\nTo-Path: {}\r\nFrom-Path: {}\r\n{fields}", self.bob, self.own)
    }

    fn say(&mut self, octets: impl Into<Bytes>) {
        let input = Input::Received { connection: self.connection, bytes: octets.into() };
        self.world.ends[BOB].endpoint.handle(self.world.now, input);
    }

    /// A request; the codes of what comes back.
    fn ask(&mut self, method: &str, fields: &str, body: Option<&str>) -> Vec<u16> {
        let body = body.map(|body| format!("\r\n{body}\r\n")).unwrap_or_default();
        let text = format!("{}{body}-------tid0001x$\r\n", self.head(method, fields));
        self.say(text);
        self.codes()
    }

    fn send(&mut self, id: &str, range: &str, body: &str) -> Vec<u16> {
        self.ask(
            "SEND",
            &format!("Message-ID: {id}\r\nByte-Range: {range}\r\nContent-Type: text/plain\r\n"),
            Some(body),
        )
    }

    fn replies(&mut self) -> Vec<Chunk> {
        let mut out = bytes::BytesMut::new();
        while self.world.ends[BOB].endpoint.poll_transmit(self.world.now, self.connection, &mut out, 4096) {}
        world::chunks(&out)
    }

    fn codes(&mut self) -> Vec<u16> {
        self.replies()
            .iter()
            .filter_map(|chunk| match chunk.head.start() {
                Start::Response(code, _) => Some(*code),
                Start::Request(_) => None,
            })
            .collect()
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.world.ends[BOB].endpoint.poll_output()).collect()
    }

    fn events(&mut self) -> Vec<SessionEvent> {
        self.outputs()
            .into_iter()
            .filter_map(|output| match output {
                Output::Event { event, .. } => Some(event),
                _ => None,
            })
            .collect()
    }

    fn is_cut_off(&mut self) -> bool {
        self.outputs().contains(&Output::Close { connection: self.connection })
    }
}

/// §7.3: 481, and a connection that has no session is closed.
#[test]
fn a_path_that_is_not_ours_is_unknown_and_ends_the_connection() {
    let right = Peer::new(plan("bob")).bob;
    let session_id = right.rsplit('/').next().unwrap().trim_end_matches(";tcp").to_owned();
    let swapped = right.replace("bob.example.com", "mallory.example.com");
    for path in [
        "msrp://bob.example.com:2855/guess;tcp",
        "msrp://bob.example.com:2855;tcp",
        &right.replace(&session_id, &session_id.to_uppercase()),
        &right.replace("2855", "2856"),
        &right.replace("msrp:", "msrps:"),
        &right.replace(";tcp", ";ws"),
        &format!("{right} msrp://next.example.com:1/x;tcp"),
        &format!("msrp://relay.example.com:1/x;tcp {right}"),
        &swapped,
    ] {
        let mut peer = Peer::new(plan("bob"));
        assert_eq!(peer.bob, right, "the seed is the same");
        peer.bob = path.to_owned();
        assert_eq!(peer.ask("SEND", "Message-ID: m\r\n", None), [481], "{path}");
        assert!(peer.is_cut_off(), "{path}");
    }
}

#[test]
fn whoever_does_not_come_by_the_peers_path_is_not_the_peer() {
    let mut peer = Peer::new(plan("bob"));
    peer.own = "msrp://eve.example.com:1/evil;tcp".into();
    assert_eq!(peer.ask("SEND", "", None), [481]);
    assert!(peer.is_cut_off());
    // The session still waits for its peer.
    let mut peer = Peer { connection: ConnectionId(2), own: "msrp://mallory.example.com:1/evil;tcp".into(), ..peer };
    let input = Input::Accepted { connection: peer.connection, is_secure: false, certificate: None };
    peer.world.ends[BOB].endpoint.handle(peer.world.now, input);
    assert_eq!(peer.ask("SEND", "", None), [200]);
}

/// A certificate with one fingerprint.
#[derive(Debug)]
struct Shown(&'static str);

impl Certificate for Shown {
    fn matches(&self, fingerprint: &str) -> bool {
        fingerprint == self.0
    }
}

/// §14.4: the session ends, whether its description was there before the peer or came after it.
#[test]
fn whoever_shows_another_certificate_than_was_described_is_not_the_peer() {
    let shown = |name| -> Option<Arc<dyn Certificate>> { Some(Arc::new(Shown(name))) };
    let cases = [(shown("sha-256 AA"), true), (shown("sha-256 BB"), false), (None, false)];
    for (certificate, is_peer) in cases {
        for described_first in [true, false] {
            let mut world = World::with(1, Limits::default(), Timers::default());
            let (now, bob) = (world.now, &mut world.ends[BOB].endpoint);
            let path = bob.open(now, CHAT, SessionPlan { is_secure: true, ..plan("bob") }).unwrap();
            let own = "msrps://alice.example.com:1/a;tcp";
            let mut remote = RemotePlan::direct(own.parse().unwrap(), Role::Passive);
            remote.fingerprint = Some("sha-256 AA".into());
            let connection = ConnectionId(1);
            if described_first {
                bob.bind(now, CHAT, remote.clone()).unwrap();
            }
            bob.handle(now, Input::Accepted { connection, is_secure: true, certificate: certificate.clone() });
            let mut peer = Peer { bob: path.to_string(), own: own.into(), world, connection };
            let codes = peer.ask("SEND", "Message-ID: m\r\n", None);
            if !described_first {
                peer.world.ends[BOB].endpoint.bind(now, CHAT, remote).unwrap();
            }
            let said = format!("{certificate:?}, described first: {described_first}");
            assert_eq!(codes, [if is_peer || !described_first { 200 } else { 481 }], "{said}");
            let events = peer.events();
            match is_peer {
                true => assert_eq!(events, [SessionEvent::Bound], "{said}"),
                false => assert_eq!(events, [SessionEvent::Ended { reason: EndReason::WrongPeer }], "{said}"),
            }
        }
    }
}

/// §5.4: 506, and nothing of it reaches the session.
#[test]
fn a_session_that_is_bound_is_not_taken_over_by_another_connection() {
    let mut peer = Peer::bound(plan("bob"));
    let second = ConnectionId(2);
    peer.world.ends[BOB]
        .endpoint
        .handle(peer.world.now, Input::Accepted { connection: second, is_secure: false, certificate: None });
    peer.connection = second;
    assert_eq!(peer.send("m", "1-1/1", "x"), [506]);
    assert!(peer.is_cut_off());
    peer.connection = ConnectionId(1);
    assert_eq!(peer.send("m", "1-1/1", "y"), [200]);
    assert_eq!(messages(&peer.events()), [("m".into(), Bytes::from("y"))]);
}

/// A session of the same connection is as far away as any other.
#[test]
fn a_peer_cannot_speak_into_another_session_of_its_connection() {
    let mut peer = Peer::bound(plan("bob"));
    let (other, now) = (SessionKey(2), peer.world.now);
    let bob = &mut peer.world.ends[BOB].endpoint;
    let path = bob.open(now, other, plan("bob")).unwrap();
    let honest = "msrp://honest.example.com:1/good;tcp";
    bob.bind(now, other, RemotePlan::direct(honest.parse().unwrap(), Role::Passive)).unwrap();
    peer.bob = path.to_string();
    assert_eq!(peer.send("m", "1-1/1", "x"), [481]);
    assert_eq!(peer.events(), []);
}

#[test]
fn a_response_or_report_from_another_connection_settles_nothing() {
    let mut world = World::chat(3);
    world.wires[0].deaf = Some(BOB);
    // One that a response would settle, one that a report would.
    world.send(ALICE, CHAT, OutgoingMessage::whole("m".into(), "a/b", "x", false));
    world.send(ALICE, CHAT, OutgoingMessage::whole("n".into(), "a/b", "x", true));
    world.run();
    let sent = &world.chunks(0, ALICE)[1].head;
    let us = sent.to_path().unwrap().first().clone();
    let response = Chunk::bodiless(sent.response(&us, 200, "OK").unwrap()).to_bytes();
    let report = format!(
        "MSRP tid0001x REPORT\r\nTo-Path: {}\r\nFrom-Path: {us}\r\nMessage-ID: n\r\nByte-Range: 1-1/1\r\n\
         Status: 000 200 OK\r\n-------tid0001x$\r\n",
        sent.from_path().unwrap()
    );
    let now = world.now;
    let alice = &mut world.ends[ALICE].endpoint;
    let connection = ConnectionId(77);
    alice.handle(now, Input::Accepted { connection, is_secure: false, certificate: None });
    alice.handle(now, Input::Received { connection, bytes: response });
    alice.handle(now, Input::Received { connection, bytes: report.into() });
    world.run();
    assert_eq!(world.take(ALICE, CHAT), []);
}

#[test]
fn each_fault_of_a_request_has_its_code() {
    let mut bob = plan("bob");
    bob.accept_types = vec!["text/*".into(), "message/cpim".into()];
    bob.max_message = 100;
    bob.gives_nicknames = true;
    let mut peer = Peer::bound(bob);
    let text = "Content-Type: text/plain\r\n";
    for (method, fields, body, codes) in [
        ("SEND", format!("Message-ID: a\r\n{text}"), Some("x"), &[200][..]),
        ("SEND", "Message-ID: b\r\nContent-Type: image/png\r\n".into(), Some("x"), &[415]),
        ("SEND", "Message-ID: c\r\nContent-Type: nonsense\r\n".into(), Some("x"), &[415]),
        ("SEND", "Message-ID: d\r\n".into(), Some("x"), &[415]),
        ("SEND", text.into(), Some("x"), &[400]),
        ("SEND", format!("Message-ID: e\r\nByte-Range: 2-1-3\r\n{text}"), Some("x"), &[400]),
        ("SEND", format!("Message-ID: f\r\nByte-Range: 0-1/1\r\n{text}"), Some("x"), &[400]),
        ("SEND", format!("Message-ID: g\r\nnonsense\r\n{text}"), Some("x"), &[400]),
        ("SEND", format!("Message-ID: h\r\nByte-Range: 1-*/101\r\n{text}"), Some("x"), &[413]),
        ("SEND", format!("Message-ID: i\r\nByte-Range: 102-*/*\r\n{text}"), Some("x"), &[413]),
        ("SEND", "Message-ID: j\r\nContent-Type: TEXT/html; charset=x\r\n".into(), Some("x"), &[200]),
        ("FLY", String::new(), None, &[501]),
        ("AUTH", String::new(), None, &[501]),
        ("NICKNAME", "Use-Nickname: unquoted\r\n".into(), None, &[400]),
        ("REPORT", "Message-ID: nobody\r\nStatus: 000 200 OK\r\n".into(), None, &[]),
        ("REPORT", "nonsense\r\n".into(), None, &[]),
        // §7.1.4: those who want no failure reports get none.
        ("SEND", format!("Message-ID: k\r\nFailure-Report: no\r\nByte-Range: 1-*/101\r\n{text}"), Some("x"), &[]),
        (
            "SEND",
            format!("Message-ID: l\r\nFailure-Report: partial\r\nByte-Range: 1-*/101\r\n{text}"),
            Some("x"),
            &[413],
        ),
        ("SEND", format!("Message-ID: m\r\nFailure-Report: partial\r\n{text}"), Some("x"), &[]),
    ] {
        assert_eq!(peer.ask(method, &fields, body), codes, "{method} {fields}");
    }
    let came: Vec<String> = messages(&peer.events()).into_iter().map(|message| message.0).collect();
    assert_eq!(came, ["a", "j", "m"]);
}

#[test]
fn a_peer_that_announces_two_to_the_sixty_three_octets_is_told_to_stop() {
    let mut peer = Peer::bound(plan("bob"));
    let huge = 1_u64 << 63;
    for (id, range) in [
        ("a", format!("1-*/{huge}")),
        ("b", format!("{huge}-*/*")),
        ("c", format!("{}-*/*", u64::MAX)),
        ("d", format!("1-{huge}/{huge}")),
    ] {
        assert_eq!(peer.send(id, &range, "x"), [413], "{range}");
    }
    // Beyond all numbers.
    assert_eq!(peer.send("e", "1-*/99999999999999999999", "x"), [400]);
    assert_eq!(peer.events(), []);
}

/// Announced or not, no more is taken than may be; later chunks are refused as they begin.
#[test]
fn a_message_that_grows_too_long_is_refused_in_its_middle() {
    let mut bob = plan("bob");
    bob.max_message = 10_000;
    let mut peer = Peer::bound(bob);
    let head = peer.head("SEND", "Message-ID: m\r\nByte-Range: 1-*/*\r\nContent-Type: text/plain\r\n\r\n");
    peer.say(head);
    let part = "x".repeat(5_000);
    let mut codes = Vec::new();
    for _ in 0..4 {
        peer.say(part.clone());
        codes.extend(peer.codes());
    }
    assert_eq!(codes, [413], "before the chunk has ended");
    assert_eq!(peer.events(), [SessionEvent::Aborted { id: "m".into() }]);
    peer.say("\r\n-------tid0001x+\r\n");
    assert!(peer.codes().is_empty(), "one answer is enough");
    assert_eq!(peer.send("m", "20001-20001/*", "x"), [413]);
    assert_eq!(peer.send("n", "1-1/1", "x"), [200]);
}

#[test]
fn a_chunk_that_never_ends_is_cut_off_after_it_was_refused() {
    let mut bob = plan("bob");
    bob.max_message = 1_000_000;
    let limits = Limits { overrun: 2_000_000, ..Limits::default() };
    let mut peer = Peer::with(bob, limits);
    assert_eq!(peer.ask("SEND", "", None), [200]);
    let head = peer.head("SEND", "Message-ID: m\r\nByte-Range: 1-*/*\r\nContent-Type: text/plain\r\n\r\n");
    peer.say(head);
    let mut sent = 0;
    while !peer.is_cut_off() {
        peer.say("x".repeat(50_000));
        sent += 50_000;
        assert!(sent < 3_200_000);
    }
    assert!(sent > 2_900_000);
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let mut peer = Peer::new(plan("bob"));
    let mut sent = 0;
    peer.say("MSRP tid0001x SEND\r\n");
    while !peer.is_cut_off() {
        peer.say(format!("X-{sent}: y\r\n"));
        sent += 10;
        assert!(sent < 20_000);
    }
}

/// A body of something else than SEND may have 10240 octets.
#[test]
fn a_long_body_where_none_belongs_is_cut_off() {
    let mut peer = Peer::bound(plan("bob"));
    assert!(peer.ask("REPORT", "Message-ID: m\r\nContent-Type: a/b\r\n", Some(&"x".repeat(10_240))).is_empty());
    assert!(!peer.is_cut_off());
    peer.ask("REPORT", "Message-ID: m\r\nContent-Type: a/b\r\n", Some(&"x".repeat(10_241)));
    assert!(peer.is_cut_off());
}

#[test]
fn what_is_being_put_together_is_bounded_in_number_and_octets() {
    let mut bob = plan("bob");
    bob.max_message = 1 << 20;
    let limits = Limits { octets: 2 << 20, messages: 4, spans: 8, ..Limits::default() };
    let mut peer = Peer::with(bob, limits);
    assert_eq!(peer.ask("SEND", "", None), [200]);
    let part = |peer: &mut Peer, id: &str, start: u64| {
        let head = peer
            .head("SEND", &format!("Message-ID: {id}\r\nByte-Range: {start}-*/*\r\nContent-Type: text/plain\r\n\r\n"));
        peer.say(head + "x\r\n-------tid0001x+\r\n");
        peer.codes()
    };
    // One octet at a far place costs all the room before it, and that is counted.
    assert_eq!(part(&mut peer, "a", 1_000_000), [200]);
    assert_eq!(part(&mut peer, "b", 1_000_000), [200]);
    assert_eq!(part(&mut peer, "c", 1_000_000), [413]);
    assert_eq!(part(&mut peer, "d", 10), [200]);
    assert_eq!(part(&mut peer, "e", 10), [200]);
    assert_eq!(part(&mut peer, "f", 10), [413]);
    // Gaps are counted as well.
    let codes: Vec<u16> = (0..10).flat_map(|n| part(&mut peer, "d", 20 + 2 * n)).collect();
    assert_eq!(codes, [vec![200; 7], vec![413; 3]].concat());
    // What no more comes of is forgotten.
    peer.events();
    let later = peer.world.now + Duration::from_secs(301);
    peer.world.ends[BOB].endpoint.handle_timeout(later);
    let mut forgotten = peer.events();
    forgotten.retain(|event| matches!(event, SessionEvent::Aborted { .. }));
    assert_eq!(forgotten.len(), 3);
}

/// §7.3.1: chunks in any order, doubled, overlapping.
#[test]
fn chunks_in_any_order_make_the_same_message_once() {
    for (seed, is_streamed) in (0..100).map(|seed| (seed, seed % 2 == 0)) {
        let mut random = Random(seed);
        let content: String = (0..400).map(|n| char::from(b'a' + (n * 7 % 26) as u8)).collect();
        let mut bob = plan("bob");
        bob.streams_incoming = is_streamed;
        let mut peer = Peer::bound(bob);
        let mut chunks: Vec<(usize, usize)> = (0..20).map(|n| (n * 20, n * 20 + 20)).collect();
        for _ in 0..5 {
            let start = random.below(399) as usize;
            chunks.push((start, start + 1 + random.below(400 - start as u64) as usize));
        }
        for index in (1..chunks.len()).rev() {
            chunks.swap(index, random.below(index as u64 + 1) as usize);
        }
        let mut came = vec![0_u8; 400];
        let mut done = 0;
        for (start, end) in chunks {
            let flag = if end == 400 { "$" } else { "+" };
            let fields =
                format!("Message-ID: m\r\nByte-Range: {}-{end}/400\r\nContent-Type: text/plain\r\n\r\n", start + 1);
            let text = peer.head("SEND", &fields) + &content[start..end] + "\r\n-------tid0001x" + flag + "\r\n";
            peer.say(text);
            assert_eq!(peer.codes(), [200]);
            for event in peer.events() {
                match event {
                    SessionEvent::Message(message) => {
                        done += 1;
                        came = message.content.to_vec();
                    }
                    SessionEvent::Data { at, bytes, is_last, .. } => {
                        let place = &mut came[at as usize..][..bytes.len()];
                        assert!(place.iter().all(|octet| *octet == 0), "an octet came twice");
                        place.copy_from_slice(&bytes);
                        done += usize::from(is_last);
                    }
                    event => panic!("{event:?}"),
                }
            }
        }
        assert_eq!((done, &came[..]), (1, content.as_bytes()), "seed {seed}");
    }
}

/// §5.4: acknowledged again, but not shown again.
#[test]
fn a_message_that_comes_again_is_answered_and_not_delivered() {
    let mut peer = Peer::bound(plan("bob"));
    let fields = "Message-ID: m\r\nSuccess-Report: yes\r\nByte-Range: 1-5/5\r\nContent-Type: text/plain\r\n";
    for round in 0..3 {
        let text = peer.head("SEND", fields) + "\r\nhello\r\n-------tid0001x$\r\n";
        peer.say(text);
        let replies = peer.replies();
        assert_eq!(replies.len(), 2, "a response and a report");
        assert_eq!(replies[1].head.get("Byte-Range"), Some("1-5/5"));
        assert_eq!(messages(&peer.events()).len(), usize::from(round == 0));
    }
}

/// RFC 4975's own examples announce another length than they have.
#[test]
fn the_body_counts_and_not_what_was_said_of_its_length() {
    let mut peer = Peer::bound(plan("bob"));
    assert_eq!(peer.send("a", "1-16/16", "Hi, I'm Alice!"), [200]);
    assert_eq!(peer.send("b", "1-3/3", "longer than three"), [200]);
    assert_eq!(
        messages(&peer.events()),
        [("a".into(), Bytes::from("Hi, I'm Alice!")), ("b".into(), Bytes::from("longer than three"))]
    );
}

#[test]
fn a_peer_that_reads_no_responses_is_cut_off() {
    let limits = Limits { replies: 100_000, ..Limits::default() };
    let mut peer = Peer::with(plan("bob"), limits);
    let mut asked = 0;
    while !peer.is_cut_off() {
        let text = peer.head("FLY", "") + "-------tid0001x$\r\n";
        peer.say(text);
        asked += 1;
        assert!(asked < 2000);
    }
}

#[test]
fn a_stranger_that_says_nothing_is_let_go_after_thirty_seconds() {
    let mut peer = Peer::new(plan("bob"));
    let later = peer.world.now + Duration::from_secs(30);
    peer.world.ends[BOB].endpoint.handle_timeout(later);
    assert!(peer.is_cut_off());
}

/// A session that is to be TLS is not reached by TCP, whatever the To-Path says.
#[test]
fn a_session_of_msrps_is_not_reached_without_tls() {
    let mut bob = plan("bob");
    bob.is_secure = true;
    let mut peer = Peer::new(bob);
    assert!(peer.bob.starts_with("msrps:"));
    assert_eq!(peer.ask("SEND", "", None), [481]);
}

/// RFC 6714 and clients that go by the session id: another address is fine, another session id is not.
#[test]
fn a_session_that_goes_by_its_session_id_bears_other_addresses() {
    let mut bob = plan("bob");
    bob.by_session_id_only = true;
    let mut peer = Peer::new(bob);
    peer.bob = peer.bob.replace("bob.example.com:2855", "192.0.2.7:4000");
    peer.own = peer.own.replace("mallory.example.com:1", "192.0.2.8:5000");
    assert_eq!(peer.ask("SEND", "", None), [200]);
    peer.own = peer.own.replace("evil", "other");
    assert_eq!(peer.ask("SEND", "", None), [481]);
}

/// §10.8, §10.10: who is told that there is no such session has none.
#[test]
fn a_session_that_the_peer_does_not_know_is_over() {
    for code in [481, 506] {
        let mut world = World::chat(4);
        world.wires[0].deaf = Some(BOB);
        world.say(ALICE, CHAT, "m", "x");
        world.say(ALICE, CHAT, "n", "y");
        world.run();
        let sent = &world.chunks(0, ALICE)[1].head;
        let us = sent.to_path().unwrap().first().clone();
        let response = Chunk::bodiless(sent.response(&us, code, "gone").unwrap()).to_bytes();
        world.inject(0, ALICE, response);
        world.run();
        let alice = world.take(ALICE, CHAT);
        assert_eq!(fates(&alice), [("m".into(), false, code), ("n".into(), false, 0)]);
        assert_eq!(alice.last(), Some(&SessionEvent::Ended { reason: EndReason::Refused(code, "gone".into()) }));
    }
}

/// Reports of ranges that nobody sent, or twice, or before anything was sent.
#[test]
fn a_report_of_more_than_was_written_settles_nothing_early() {
    let mut world = World::chat(5);
    world.room = 500;
    world.wires[0].deaf = Some(BOB);
    world.send_file(ALICE, CHAT, "file", Random(5).bytes(1_000_000), true);
    for _ in 0..10 {
        world.step();
    }
    let head = world.chunks(0, ALICE)[0].head.clone();
    for range in ["1-1000000/1000000", "1-*/*", "18446744073709551615-18446744073709551615/*", "1-0/0"] {
        let text = format!(
            "MSRP tid0001x REPORT\r\nTo-Path: {}\r\nFrom-Path: {}\r\nMessage-ID: file\r\nByte-Range: {range}\r\n\
             Status: 000 200 OK\r\n-------tid0001x$\r\n",
            head.from_path().unwrap(),
            head.to_path().unwrap()
        );
        world.inject(0, ALICE, text);
        for _ in 0..5 {
            world.step();
        }
        assert_eq!(fates(&world.take(ALICE, CHAT)), [], "{range}");
    }
    // Nor later, when all has been written.
    world.run();
    assert_eq!(fates(&world.take(ALICE, CHAT)), []);
}
