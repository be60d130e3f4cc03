//! Chat lines a second through a relay: as it is, and with sockets, by the processor time of its thread.
//!
//! `cargo bench -p cordboard-msrp --bench relay`
#![allow(clippy::print_stdout)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use msrp::chunk::{Chunk, Framer, FramerLimits, Method};
use msrp::driver::{RelayEngine, RelayEngineSettings, TlsSettings, WebSockets};
use msrp::endpoint::ConnectionId;
use msrp::relay::{Authority, Input, Relay, Settings, Verdict};
use msrp::uri::MsrpUri;

/// Lines that are under way at a time.
const WINDOW: usize = 64;

fn main() {
    // `cargo test` runs benches to see that they still do.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let scale = if is_test { 100 } else { 1 };
    without_sockets(500_000 / scale);
    let lines_per_second = with_sockets(500_000 / scale);
    assert!(is_test || lines_per_second >= 50_000.0, "fewer than 50,000 lines a second and core");
}

/// Lets everybody in who says so.
struct Open;

impl Authority for Open {
    fn challenge(&mut self, _now: Instant) -> String {
        "Digest realm=\"bench\", nonce=\"1\", qop=\"auth\"".to_owned()
    }

    fn check(&mut self, _now: Instant, _authorization: &str, _method: &str, _uri: &str) -> Verdict {
        Verdict::Accepted { user: Arc::from("bench"), info: None }
    }
}

fn random() -> Box<dyn FnMut() -> u64> {
    let mut state = 1u64;
    Box::new(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    })
}

fn auth(relay: &str, own: &str) -> String {
    format!("MSRP auth1 AUTH\r\nTo-Path: {relay}\r\nFrom-Path: {own}\r\nAuthorization: Digest x\r\n-------auth1$\r\n")
}

fn granted(octets: &[u8]) -> String {
    let text = std::str::from_utf8(octets).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix("Use-Path: ")).expect("a path");
    line.to_owned()
}

fn line(number: usize, to: &str, from: &str) -> String {
    format!(
        "MSRP line{number} SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\nMessage-ID: {number}\r\nByte-Range: 1-64/64\r\n\
         Content-Type: text/plain\r\n\r\n{:64}\r\n-------line{number}$\r\n",
        "a line of sixty-four octets"
    )
}

/// The 200s to the SENDs in these octets, and how many there are.
fn answers(framer: &mut Framer, own: &MsrpUri, octets: Bytes, out: &mut BytesMut) -> usize {
    framer.feed(octets);
    let mut heard = 0;
    while let Some(piece) = framer.next().expect("chunks") {
        if piece.head.method() == Some(&Method::Send) {
            heard += 1;
            Chunk::bodiless(piece.head.response(own, 200, "OK").expect("paths")).write_to(out);
        }
    }
    heard
}

const ALICE: &str = "msrp://alice.example.com:9892/98cjs;tcp";
const BOB: &str = "msrp://bob.example.com:8145/foo;tcp";

fn without_sockets(lines: usize) {
    let now = Instant::now();
    let mut relay = Relay::new(Settings::new("relay.example.com", 2855, false), Box::new(Open), random());
    let [alice, bob] = [ConnectionId(1), ConnectionId(2)];
    let mut out = BytesMut::new();
    let mut uris = Vec::new();
    for (connection, own) in [(alice, ALICE), (bob, BOB)] {
        relay.handle(now, Input::Accepted { connection });
        let octets = auth("msrp://relay.example.com;tcp", own).into();
        relay.handle(now, Input::Received { connection, octets });
        relay.poll_transmit(now, connection, &mut out);
        uris.push(granted(&out.split()));
    }
    let to = format!("{} {} {BOB}", uris[0], uris[1]);
    // What alice and bob do is made beforehand, or does not count.
    let batches: Vec<Bytes> = (0..lines / WINDOW)
        .map(|batch| (0..WINDOW).map(|index| line(batch * WINDOW + index, &to, ALICE)).collect::<String>().into())
        .collect();
    let own: MsrpUri = BOB.parse().expect("a URI");
    let mut framer = Framer::new(FramerLimits::default());
    let (mut busy, mut heard) = (Duration::ZERO, 0);
    for octets in batches {
        let start = Instant::now();
        relay.handle(now, Input::Received { connection: alice, octets });
        while relay.poll_output().is_some() {}
        while relay.poll_transmit(now, bob, &mut out) {}
        busy += start.elapsed();
        let mut responses = BytesMut::new();
        heard += answers(&mut framer, &own, out.split().freeze(), &mut responses);
        let start = Instant::now();
        relay.handle(now, Input::Received { connection: bob, octets: responses.freeze() });
        while relay.poll_transmit(now, alice, &mut out) {}
        while relay.poll_output().is_some() {}
        busy += start.elapsed();
        out.clear();
    }
    println!("without sockets: {:.0} lines/s ({heard} lines)", heard as f64 / busy.as_secs_f64());
}

/// Lines a second of the relay's processor time.
fn with_sockets(lines: usize) -> f64 {
    let settings = RelayEngineSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        relay: Settings::new("127.0.0.1", 0, false),
        tls: TlsSettings::default(),
        websockets: WebSockets::Never,
        max_connections: 10,
    };
    let engine = RelayEngine::start(settings, || Box::new(Open)).expect("a relay");
    let mut phones = [ALICE, BOB].map(|own| {
        let mut stream = TcpStream::connect(engine.address()).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        stream.write_all(auth(&format!("msrp://{};tcp", engine.address()), own).as_bytes()).expect("room");
        let mut octets = [0; 4096];
        let length = stream.read(&mut octets).expect("an answer");
        (stream, granted(&octets[..length]))
    });
    let to = format!("{} {} {BOB}", phones[0].1, phones[1].1);
    let bob = phones[1].0.try_clone().expect("a socket");
    let answering = std::thread::spawn(move || answer(bob, lines));
    let (before, start) = (relay_time(), Instant::now());
    let alice = &mut phones[0].0;
    let (mut sent, mut answered) = (0, 0);
    let mut octets = vec![0; 64 * 1024];
    let mut framer = Framer::new(FramerLimits::default());
    while answered < lines {
        let batch: String = (sent..lines.min(answered + WINDOW)).map(|number| line(number, &to, ALICE)).collect();
        sent = lines.min(answered + WINDOW);
        alice.write_all(batch.as_bytes()).expect("room");
        let length = alice.read(&mut octets).expect("answers");
        framer.feed(Bytes::copy_from_slice(&octets[..length]));
        while framer.next().expect("chunks").is_some() {
            answered += 1;
        }
    }
    answering.join().expect("bob has heard all");
    let (wall, busy) = (start.elapsed(), relay_time().saturating_sub(before));
    let of_processor = lines as f64 / busy.as_secs_f64().max(0.001);
    println!(
        "with sockets: {:.0} lines/s by the clock, {of_processor:.0} lines/s of the relay's processor time",
        lines as f64 / wall.as_secs_f64(),
    );
    of_processor
}

/// Bob: a 200 for each line.
fn answer(mut stream: TcpStream, lines: usize) {
    let own: MsrpUri = BOB.parse().expect("a URI");
    let mut framer = Framer::new(FramerLimits::default());
    let mut octets = vec![0; 64 * 1024];
    let mut heard = 0;
    while heard < lines {
        let length = stream.read(&mut octets).expect("lines");
        let mut out = BytesMut::new();
        heard += answers(&mut framer, &own, Bytes::copy_from_slice(&octets[..length]), &mut out);
        stream.write_all(&out).expect("room");
    }
}

/// What the relay's thread has had of a processor, in Linux's hundredths of a second.
fn relay_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(Result::ok);
    let relay = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let times = relay.filter(|stat| stat.contains("(msrp relay)")).filter_map(|stat| {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * 10))
    });
    times.sum()
}
