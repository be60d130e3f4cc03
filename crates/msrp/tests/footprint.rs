//! What sessions cost that say nothing, and peers that say too much: memory of the whole process, as the system counts it.
//! Each test wants a process of its own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers are tests as well

mod world;

use bytes::BytesMut;
use msrp::endpoint::*;
use world::{ALICE, BOB, World, plan};

/// One at a time, also where all tests of a file share a process.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Octets of memory that this process has.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Both ends of each session live here, so that what one costs is half of it.
#[test]
fn ten_thousand_idle_sessions_cost_less_than_twelve_kibibytes_each() {
    const COUNT: u64 = 10_000;
    let _alone = ALONE.lock();
    let mut world = World::new(1);
    let before = resident();
    for number in 0..COUNT {
        // Each on a connection of its own.
        let (key, now) = (SessionKey(number), world.now);
        let mut bob = plan("bob");
        bob.port = 1 + number as u16;
        let offer = world.ends[ALICE].endpoint.open(now, key, plan("alice")).unwrap();
        let answer = world.ends[BOB].endpoint.open(now, key, bob).unwrap();
        world.ends[BOB].endpoint.bind(now, key, RemotePlan::direct(offer, Role::Passive)).unwrap();
        world.ends[ALICE].endpoint.bind(now, key, RemotePlan::direct(answer, Role::Active)).unwrap();
        // Those that have talked for long are a few; the others have said hello.
        let lines = if number % 20 == 0 { 300 } else { 1 };
        for line in 0..lines {
            world.say(ALICE, key, &format!("a{line}"), "hello");
            world.say(BOB, key, &format!("b{line}"), "hello");
            run_last(&mut world);
        }
        assert!(world.take(ALICE, key).len() > 2 * lines, "they have talked");
        world.take(BOB, key);
        for end in [ALICE, BOB] {
            world.wires.last_mut().unwrap().log[end] = Vec::new();
        }
    }
    let each = resident().saturating_sub(before) / (2 * COUNT as usize);
    assert_eq!(world.ends.iter().map(|end| end.endpoint.sessions()).sum::<usize>(), 2 * COUNT as usize);
    assert!((256..=12 << 10).contains(&each), "{each} octets");
}

/// As `World::run`, which would look at each of ten thousand wires.
fn run_last(world: &mut World) {
    while world.step_from(world.wires.len().saturating_sub(1)) {}
}

/// 2^63 octets announced, chunks that lie far away, guessed paths and methods that nobody knows: each is answered, and
/// nothing of it stays.
#[test]
fn a_peer_that_means_no_good_costs_nothing() {
    let _alone = ALONE.lock();
    let mut world = World::new(2);
    let [alice, bob] = world.meet(SessionKey(1), plan("alice"), plan("bob"));
    let connection = world.wires[0].names[BOB];
    let (own, now) = (bob.to_string(), world.now);
    let guess = own.replace(bob.first().session_id().unwrap(), "guessed");
    let mut octets = BytesMut::new();
    let mut codes = std::collections::BTreeMap::new();
    let mut hostile = |rounds: u64, world: &mut World| {
        for round in 0..rounds {
            for (kind, (method, to, range)) in [
                ("SEND", &own, format!("1-*/{}", 1_u64 << 63)),
                ("SEND", &own, format!("{}-*/*", u64::MAX)),
                ("SEND", &guess, "1-1/1".to_owned()),
                ("FLY", &own, "1-1/1".to_owned()),
            ]
            .into_iter()
            .enumerate()
            {
                let id = format!("tid{kind}r{round}");
                let text = format!(
                    "MSRP {id} {method}\r\nTo-Path: {to}\r\nFrom-Path: {alice}\r\nMessage-ID: {id}\r\nByte-Range: {range}\r\n\
                     Content-Type: text/plain\r\n\r\n{}\r\n-------{id}+\r\n",
                    "x".repeat(2000)
                );
                let endpoint = &mut world.ends[BOB].endpoint;
                endpoint.handle(now, Input::Received { connection, bytes: text.into() });
                while endpoint.poll_transmit(now, connection, &mut octets, 65_536) {}
                while endpoint.poll_output().is_some() {}
                let code = String::from_utf8_lossy(&octets).split(' ').nth(2).unwrap().parse::<u16>().unwrap();
                *codes.entry((kind, code)).or_insert(0) += 1;
                octets.clear();
            }
        }
    };
    hostile(1000, &mut world);
    let before = resident();
    hostile(30_000, &mut world);
    let grown = resident().saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} octets");
    let each = 31_000;
    let expected = [((0, 413), each), ((1, 413), each), ((2, 481), each), ((3, 501), each)];
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), expected);
}

/// What is being put together stays within its limit, however it comes.
#[test]
fn messages_without_an_end_cost_no_more_than_the_limit() {
    let _alone = ALONE.lock();
    const LIMIT: usize = 8 << 20;
    let limits = Limits { octets: LIMIT, ..Limits::default() };
    let mut world = World::with(3, limits, Timers::default());
    let [alice, bob] = world.meet(SessionKey(1), plan("alice"), plan("bob"));
    let (connection, now) = (world.wires[0].names[BOB], world.now);
    let before = resident();
    let (mut taken, mut refused) = (0, 0);
    for round in 0..2000 {
        // Sixteen messages, a part of each in turn.
        let (id, start) = (round % 16, round / 16 * 16_384 + 1);
        let text = format!(
            "MSRP tid{round} SEND\r\nTo-Path: {bob}\r\nFrom-Path: {alice}\r\nMessage-ID: m{id}\r\nByte-Range: {start}-*/*\r\n\
             Content-Type: text/plain\r\n\r\n{}\r\n-------tid{round}+\r\n",
            "x".repeat(16_384)
        );
        let endpoint = &mut world.ends[BOB].endpoint;
        endpoint.handle(now, Input::Received { connection, bytes: text.into() });
        let mut octets = BytesMut::new();
        while endpoint.poll_transmit(now, connection, &mut octets, 65_536) {}
        while endpoint.poll_output().is_some() {}
        match String::from_utf8_lossy(&octets).split(' ').nth(2).unwrap() {
            "200" => taken += 16_384,
            "413" => refused += 1,
            other => panic!("{other}"),
        }
        let grown = resident().saturating_sub(before);
        assert!(grown < LIMIT + (2 << 20), "{grown} octets for {taken}");
    }
    assert!(taken > LIMIT / 2 && refused > 500, "{taken} {refused}");
}

/// 128 KiB of whole requests in one delivery, as a socket gives them, and the beginning of another one behind.
fn delivery(request: &str, beginning: &str) -> Vec<u8> {
    let mut octets = request.repeat((128 << 10) / request.len()).into_bytes();
    octets.extend_from_slice(beginning.as_bytes());
    octets.shrink_to_fit();
    octets
}

/// What has been dealt with is let go, though the beginning of a request that came with it is not.
#[test]
fn a_request_that_never_ends_holds_no_more_than_what_has_come_of_it() {
    const COUNT: usize = 500;
    let _alone = ALONE.lock();
    let mut world = World::new(4);
    let now = world.now;
    let mut bound = Vec::new();
    for number in 0..COUNT as u64 {
        let (key, mut bob) = (SessionKey(number), plan("bob"));
        bob.port = 1 + number as u16;
        let [alice, bob] = world.meet(key, plan("alice"), bob);
        bound.push((world.wires.last().unwrap().names[BOB], alice, bob));
    }
    let before = resident();
    for (connection, alice, bob) in bound {
        let report = format!(
            "MSRP tid1 REPORT\r\nTo-Path: {bob}\r\nFrom-Path: {alice}\r\nMessage-ID: m\r\nStatus: 000 200 OK\r\n-------tid1$\r\n"
        );
        let bytes = delivery(&report, "MSRP tid2 SEND\r\nTo-Path: ").into();
        world.ends[BOB].endpoint.handle(now, Input::Received { connection, bytes });
    }
    let each = resident().saturating_sub(before) / COUNT;
    assert_eq!(world.ends[BOB].endpoint.sessions(), COUNT);
    assert!(each < 8 << 10, "{each} octets");
}

/// Whoever keeps lines, as a room does, keeps what they say and not all that came with them.
#[test]
fn a_line_that_is_kept_keeps_nothing_else() {
    const COUNT: usize = 500;
    let _alone = ALONE.lock();
    let mut world = World::new(5);
    let now = world.now;
    let [alice, bob] = world.meet(SessionKey(1), plan("alice"), plan("bob"));
    let connection = world.wires[0].names[BOB];
    let report = format!("MSRP tid1 REPORT\r\nTo-Path: {bob}\r\nFrom-Path: {alice}\r\n-------tid1$\r\n");
    let mut history = Vec::new();
    let before = resident();
    for number in 0..COUNT {
        let line = format!(
            "MSRP tid2 SEND\r\nTo-Path: {bob}\r\nFrom-Path: {alice}\r\nMessage-ID: m{number}\r\nFailure-Report: no\r\n\
             Content-Type: text/plain\r\n\r\nhello\r\n-------tid2$\r\n"
        );
        let bytes = delivery(&report, &line).into();
        let endpoint = &mut world.ends[BOB].endpoint;
        endpoint.handle(now, Input::Received { connection, bytes });
        history.extend(std::iter::from_fn(|| endpoint.poll_output()));
    }
    let each = resident().saturating_sub(before) / COUNT;
    assert_eq!(history.len(), COUNT);
    assert!(each < 8 << 10, "{each} octets");
}

struct Open;

impl msrp::relay::Authority for Open {
    fn challenge(&mut self, _now: std::time::Instant) -> String {
        String::new()
    }

    fn check(&mut self, _: std::time::Instant, _: &str, _: &str, _: &str) -> msrp::relay::Verdict {
        msrp::relay::Verdict::Accepted { user: "somebody".into(), info: None }
    }
}

/// Bob reads, carol does not; of each delivery one line is for her. What waits for her is what her limit says.
#[test]
fn what_waits_at_a_relay_for_somebody_slow_is_no_more_than_the_limit() {
    use msrp::relay::{Input, Limits, Relay, Settings};
    const LIMIT: usize = 256 << 10;
    let _alone = ALONE.lock();
    let now = std::time::Instant::now();
    let limits = Limits { queue: LIMIT, ..Limits::default() };
    let settings = Settings { limits, ..Settings::new("relay.example.com", 2855, false) };
    let mut random = world::Random(6);
    let mut relay = Relay::new(settings, Box::new(Open), Box::new(move || random.next()));
    let owns = ["alice", "bob", "carol"].map(|name| format!("msrp://{name}.example.com:1/x;tcp"));
    let mut octets = BytesMut::new();
    let mut uris = Vec::new();
    for (number, own) in owns.iter().enumerate() {
        let connection = ConnectionId(number as u64);
        relay.handle(now, Input::Accepted { connection });
        let auth = format!(
            "MSRP auth1 AUTH\r\nTo-Path: msrp://relay.example.com;tcp\r\nFrom-Path: {own}\r\nAuthorization: x\r\n-------auth1$\r\n"
        );
        relay.handle(now, Input::Received { connection, octets: auth.into() });
        relay.poll_transmit(now, connection, &mut octets);
        let answer = msrp::chunk::Chunk::parse(octets.split().freeze()).unwrap();
        uris.push(answer.head.get("Use-Path").unwrap().to_owned());
    }
    let line = |to: usize| {
        format!(
            "MSRP tid1 SEND\r\nTo-Path: {} {} {}\r\nFrom-Path: {}\r\nMessage-ID: m\r\nFailure-Report: no\r\n\
             Content-Type: text/plain\r\n\r\nhello\r\n-------tid1$\r\n",
            uris[0], uris[to], owns[to], owns[0]
        )
    };
    let [alice, bob] = [ConnectionId(0), ConnectionId(1)];
    let (before, mut deliveries) = (resident(), 0);
    while relay.has_room(alice) {
        let delivery = delivery(&line(1), &line(2));
        let mut rest = bytes::Bytes::from(delivery);
        while !rest.is_empty() {
            // As the sockets have it: all are parts of one delivery.
            let part = rest.split_to(rest.len().min(16_000));
            relay.handle(now, Input::Received { connection: alice, octets: part });
            while relay.poll_transmit(now, bob, &mut octets) {}
            while relay.poll_output().is_some() {}
            octets.clear();
        }
        deliveries += 1;
        assert!(deliveries < 10_000, "a queue without a bound");
    }
    let grown = resident().saturating_sub(before);
    assert!(deliveries > 100 && grown < LIMIT + (2 << 20), "{grown} octets for {deliveries} lines");
}

/// With its socket and all that the driver has for it.
#[cfg(feature = "driver")]
#[test]
fn an_idle_session_of_an_engine_costs_less_than_twelve_kibibytes() {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use msrp::driver::{ChatPlan, MsrpCommand, MsrpEngine, MsrpEvent, MsrpSettings, Remote, StreamKey};

    // Two descriptors each, of which a process has a thousand at least.
    const COUNT: u64 = 400;
    let _alone = ALONE.lock();
    let (told, events) = std::sync::mpsc::channel();
    let engine = MsrpEngine::start(MsrpSettings::default(), move |event| drop(told.send(event))).unwrap();
    let handle = engine.handle();
    let mut sockets = Vec::new();
    let mut before = 0;
    for number in 0..COUNT + 50 {
        if number == 50 {
            // Threads and tables are there.
            before = resident();
        }
        let stream = StreamKey(number);
        handle.send(MsrpCommand::Prepare { stream, plan: ChatPlan::new([127, 0, 0, 1].into()) }).unwrap();
        let Ok(MsrpEvent::Prepared { path, address, .. }) = events.recv() else { panic!("it is prepared") };
        let own = format!("msrp://127.0.0.1:9/{number};tcp");
        let remote = Remote { path: own.parse().unwrap(), we_connect: false, next_hop: None, fingerprints: Vec::new() };
        handle.send(MsrpCommand::Apply { stream, remote }).unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        let text = |id: &str, more: &str| {
            format!(
                "MSRP {id} SEND\r\nTo-Path: {path}\r\nFrom-Path: {own}\r\nMessage-ID: {id}\r\n{more}-------{id}$\r\n"
            )
        };
        socket.write_all(text("tid1", "").as_bytes()).unwrap();
        socket.write_all(text("tid2", "Content-Type: text/plain\r\n\r\nhello\r\n").as_bytes()).unwrap();
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains("-------tid2$") {
            let mut octets = [0; 1024];
            let length = socket.read(&mut octets).unwrap();
            assert_ne!(length, 0);
            heard.extend_from_slice(&octets[..length]);
        }
        assert!(matches!(events.recv(), Ok(MsrpEvent::Bound { .. })));
        assert!(matches!(events.recv(), Ok(MsrpEvent::Got { .. })));
        sockets.push(socket);
    }
    let each = resident().saturating_sub(before) / COUNT as usize;
    assert!((256..=12 << 10).contains(&each), "{each} octets");
}
