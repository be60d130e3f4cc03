//! Two engines over loopback: messages, files, certificates, browsers, and what happens when a connection goes.

#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "an unwrap of a test is an assertion")]

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use msrp::driver::{
    ChatPlan, FileError, FileFacts, IncomingFile, MsrpCommand, MsrpEngine, MsrpEvent, MsrpSettings, OutgoingFile,
    Remote, StreamKey, Tap, Tapped, TlsSettings, Verification, Way, WebSockets,
};
use msrp::endpoint::{EndReason, MessageId, OutgoingMessage};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SOON: Duration = Duration::from_secs(10);
const STREAM: StreamKey = StreamKey(7);

/// An engine with what it has told.
struct End {
    engine: MsrpEngine,
    events: Receiver<MsrpEvent>,
}

/// What an end says of itself.
struct Here {
    path: msrp::uri::Path,
    address: SocketAddr,
    fingerprint: Option<Arc<str>>,
}

impl End {
    fn start(settings: MsrpSettings) -> End {
        let (tell, events) = channel();
        End { engine: MsrpEngine::start(settings, move |event| drop(tell.send(event))).unwrap(), events }
    }

    fn order(&self, command: MsrpCommand) {
        self.engine.handle().send(command).unwrap();
    }

    fn prepare(&self, stream: StreamKey, plan: ChatPlan) -> Here {
        self.order(MsrpCommand::Prepare { stream, plan });
        self.awaits(|event| match event {
            MsrpEvent::Prepared { path, address, fingerprint, .. } => Some(Here { path, address, fingerprint }),
            _ => None,
        })
    }

    fn awaits<T>(&self, what: impl Fn(MsrpEvent) -> Option<T>) -> T {
        let end = Instant::now() + SOON;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect("what is awaited comes");
            if let Some(found) = what(event) {
                return found;
            }
        }
    }

    fn is_bound(&self) {
        self.awaits(|event| matches!(event, MsrpEvent::Bound { .. }).then_some(()));
    }

    fn gets(&self) -> (String, String) {
        self.awaits(|event| match event {
            MsrpEvent::Got { message, .. } => {
                Some((message.content_type.to_string(), String::from_utf8(message.content.to_vec()).unwrap()))
            }
            _ => None,
        })
    }

    fn says(&self, id: &str, text: &str) {
        let message = OutgoingMessage::whole(MessageId(id.into()), "text/plain", text.to_owned(), true);
        self.order(MsrpCommand::Send { stream: STREAM, message });
    }

    /// What becomes of a message: its code, and whether it has arrived.
    fn outcome(&self, id: &str) -> (bool, u16) {
        self.awaits(|event| match event {
            MsrpEvent::Delivered { id: of, code, .. } if of.as_str() == id => Some((true, code)),
            MsrpEvent::NotDelivered { id: of, code, .. } if of.as_str() == id => Some((false, code)),
            _ => None,
        })
    }

    fn file_ends(&self) -> (Option<PathBuf>, Option<FileError>) {
        self.awaits(|event| match event {
            MsrpEvent::FileEnded { path, error, .. } => Some((path, error)),
            _ => None,
        })
    }
}

fn remote(of: &Here, we_connect: bool) -> Remote {
    Remote { path: of.path.clone(), we_connect, next_hop: None, fingerprints: of.fingerprint.iter().cloned().collect() }
}

/// Two ends with a session between them; the first connects.
fn pair(secure: bool, receives_file: bool) -> (End, End) {
    let (one, other) = (End::start(MsrpSettings::default()), End::start(MsrpSettings::default()));
    let plan = ChatPlan { is_secure: secure, ..ChatPlan::new(LOOPBACK) };
    let here = one.prepare(STREAM, plan.clone());
    let there = other.prepare(STREAM, ChatPlan { receives_file, ..plan });
    other.order(MsrpCommand::Apply { stream: STREAM, remote: remote(&here, false) });
    one.order(MsrpCommand::Apply { stream: STREAM, remote: remote(&there, true) });
    one.is_bound();
    other.is_bound();
    (one, other)
}

/// A folder of one test's own, gone with it.
struct Folder(PathBuf);

impl std::ops::Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn folder() -> Folder {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("driver-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    Folder(folder)
}

/// A file whose octets don't repeat soon.
fn file(folder: &Path, name: &str, size: usize) -> PathBuf {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let octets: Vec<u8> = (0..size)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    let path = folder.join(name);
    fs::write(&path, octets).unwrap();
    path
}

fn outgoing(path: &Path, from: u64) -> MsrpCommand {
    let file = OutgoingFile { id: MessageId("file1".into()), path: path.into(), content_type: "x/y".into(), from };
    MsrpCommand::SendFile { stream: STREAM, file }
}

fn incoming(folder: &Path, facts: &FileFacts, from: u64) -> MsrpCommand {
    let file = IncomingFile {
        folder: folder.into(),
        name: facts.name.clone(),
        size: Some(facts.size),
        hash: Some(facts.hash),
        from,
    };
    MsrpCommand::ReceiveFile { stream: STREAM, file }
}

/// RFC 4975 §5.4, §7.2: bound by the first request, answered, and reported.
#[test]
fn messages_go_both_ways_and_are_known_to_have_arrived() {
    for secure in [false, true] {
        let (one, other) = pair(secure, false);
        one.says("m1", "hello");
        assert_eq!(other.gets(), ("text/plain".to_owned(), "hello".to_owned()));
        assert_eq!(one.outcome("m1"), (true, 200));
        other.says("m2", "hello yourself");
        assert_eq!(one.gets().1, "hello yourself");
        assert_eq!(other.outcome("m2"), (true, 200));
    }
}

/// RFC 4975 §14.4: a certificate whose fingerprint is another one ends the session before anything was said.
#[test]
fn a_server_with_another_certificate_than_described_is_not_spoken_to() {
    let (one, other) = (End::start(MsrpSettings::default()), End::start(MsrpSettings::default()));
    let plan = ChatPlan { is_secure: true, ..ChatPlan::new(LOOPBACK) };
    let here = one.prepare(STREAM, plan.clone());
    let mut there = other.prepare(STREAM, plan);
    other.order(MsrpCommand::Apply { stream: STREAM, remote: remote(&here, false) });
    there.fingerprint = here.fingerprint.clone();
    one.order(MsrpCommand::Apply { stream: STREAM, remote: remote(&there, true) });
    one.says("m1", "secret");
    assert_eq!(one.outcome("m1"), (false, 0));
    assert!(other.events.try_iter().all(|event| !matches!(event, MsrpEvent::Got { .. })));
}

/// RFC 4975 §14.4, the other way round: who connects shows his certificate, too.
#[test]
fn a_client_with_another_certificate_than_described_is_not_listened_to() {
    let (one, other) = (End::start(MsrpSettings::default()), End::start(MsrpSettings::default()));
    let plan = ChatPlan { is_secure: true, ..ChatPlan::new(LOOPBACK) };
    let mut here = one.prepare(STREAM, plan.clone());
    let there = other.prepare(STREAM, plan);
    here.fingerprint = there.fingerprint.clone();
    other.order(MsrpCommand::Apply { stream: STREAM, remote: remote(&here, false) });
    one.order(MsrpCommand::Apply { stream: STREAM, remote: remote(&there, true) });
    one.says("m1", "secret");
    assert_eq!(one.outcome("m1"), (false, 0));
    let ended = |event| if let MsrpEvent::Closed { reason, .. } = event { Some(reason) } else { None };
    assert_eq!(other.awaits(ended), EndReason::WrongPeer);
    assert!(other.events.try_iter().all(|event| !matches!(event, MsrpEvent::Got { .. })));
}

/// RFC 4975 §14.2: without a fingerprint the host must be in a certificate that somebody vouches for.
#[test]
fn a_server_without_a_fingerprint_must_be_vouched_for_unless_the_settings_say_otherwise() {
    for (verification, arrives) in [(Verification::Name, false), (Verification::None, true)] {
        let tls = TlsSettings { verification, ..TlsSettings::default() };
        let (one, other) =
            (End::start(MsrpSettings { tls, ..MsrpSettings::default() }), End::start(MsrpSettings::default()));
        let plan = ChatPlan { is_secure: true, ..ChatPlan::new(LOOPBACK) };
        let here = one.prepare(STREAM, plan.clone());
        let there = Here { fingerprint: None, ..other.prepare(STREAM, plan) };
        other.order(MsrpCommand::Apply { stream: STREAM, remote: remote(&here, false) });
        one.order(MsrpCommand::Apply { stream: STREAM, remote: remote(&there, true) });
        one.says("m1", "hello");
        assert_eq!(one.outcome("m1").0, arrives, "{verification:?}");
    }
}

#[test]
fn a_message_under_way_when_the_connection_goes_is_told_not_to_have_arrived() {
    let (one, other) = pair(false, false);
    drop(other);
    one.says("m1", "anybody there?");
    assert!(!one.outcome("m1").0);
    // And what is said after the end, at once.
    one.says("m2", "hello?");
    assert_eq!(one.outcome("m2"), (false, 0));
}

/// RFC 5547 §8.4: it is there as a whole, under its name, and its sender knows.
#[test]
fn a_file_arrives_with_its_name_and_its_hash() {
    for (secure, size) in [(false, 3_000_000), (true, 3_000_000), (false, 0), (false, 1)] {
        let (from, to) = (folder(), folder());
        let path = file(&from, "notes.txt", size);
        let facts = FileFacts::of(&path).unwrap();
        let (one, other) = pair(secure, true);
        other.order(incoming(&to, &facts, 0));
        one.order(outgoing(&path, 0));
        let (stored, error) = other.file_ends();
        assert_eq!((error, stored.as_deref()), (None, Some(&*to.join("notes.txt"))), "{size}");
        assert!(fs::read(to.join("notes.txt")).unwrap() == fs::read(&path).unwrap(), "{size}");
        assert_eq!(one.file_ends(), (Some(path), None), "{size}");
    }
}

/// RFC 5547 §8.5.
#[test]
fn a_file_goes_on_where_it_broke_off() {
    let (from, to) = (folder(), folder());
    let path = file(&from, "notes.txt", 500_000);
    let facts = FileFacts::of(&path).unwrap();
    fs::write(to.join("notes.txt.part"), &fs::read(&path).unwrap()[..200_000]).unwrap();
    assert_eq!(msrp::driver::kept(&to, "notes.txt"), 200_000);
    let (one, other) = pair(false, true);
    other.order(incoming(&to, &facts, 200_000));
    one.order(outgoing(&path, 200_000));
    assert_eq!(other.file_ends(), (Some(to.join("notes.txt")), None));
    assert!(fs::read(to.join("notes.txt")).unwrap() == fs::read(&path).unwrap());
}

#[test]
fn a_file_with_another_hash_than_announced_is_refused_and_thrown_away() {
    let (from, to) = (folder(), folder());
    let path = file(&from, "notes.txt", 10_000);
    let facts = FileFacts { hash: [7; 20], ..FileFacts::of(&path).unwrap() };
    let (one, other) = pair(false, true);
    other.order(incoming(&to, &facts, 0));
    one.order(outgoing(&path, 0));
    assert_eq!(other.file_ends(), (None, Some(FileError::Hash)));
    assert!(matches!(one.file_ends().1, Some(FileError::Refused(413, _))));
    assert_eq!(fs::read_dir(&*to).unwrap().count(), 0);
}

#[test]
fn a_file_longer_than_announced_is_not_taken() {
    let (from, to) = (folder(), folder());
    let path = file(&from, "notes.txt", 2_000_000);
    let facts = FileFacts { size: 1_000, ..FileFacts::of(&path).unwrap() };
    let (one, other) = pair(false, true);
    other.order(incoming(&to, &facts, 0));
    one.order(outgoing(&path, 0));
    assert_eq!(other.file_ends(), (None, Some(FileError::TooLong)));
    assert!(matches!(one.file_ends().1, Some(FileError::Refused(413, _))));
}

/// The disk is a device that is always full.
#[test]
fn a_folder_that_can_not_be_written_to_is_told_to_both() {
    let from = folder();
    let path = file(&from, "notes.txt", 10_000);
    let facts = FileFacts::of(&path).unwrap();
    let (one, other) = pair(false, true);
    // No folder can be made below a file.
    other.order(incoming(&path.join("below"), &facts, 0));
    one.order(outgoing(&path, 0));
    assert!(matches!(other.file_ends(), (None, Some(FileError::Disk(_)))));
    assert!(one.file_ends().1.is_some());
}

/// RFC 4975 §5.1: a chunk may be broken off for another message.
#[test]
fn a_chat_line_is_not_held_up_by_a_file() {
    let from = folder();
    let path = file(&from, "big", 30_000_000);
    let (one, other) = pair(false, false);
    let file = OutgoingFile { id: MessageId("file1".into()), path, content_type: "x/y".into(), from: 0 };
    one.order(MsrpCommand::SendFile { stream: STREAM, file });
    one.says("m1", "by the way");
    assert_eq!(other.gets().1, "by the way");
}

#[test]
fn many_sessions_share_a_port_and_none_hears_another() {
    let (one, other) = (End::start(MsrpSettings::default()), End::start(MsrpSettings::default()));
    let streams: Vec<StreamKey> = (1..=20).map(StreamKey).collect();
    let mut ports = HashMap::new();
    for stream in &streams {
        let here = one.prepare(*stream, ChatPlan::new(LOOPBACK));
        let there = other.prepare(*stream, ChatPlan::new(LOOPBACK));
        *ports.entry(there.address.port()).or_insert(0) += 1;
        other.order(MsrpCommand::Apply { stream: *stream, remote: remote(&here, false) });
        one.order(MsrpCommand::Apply { stream: *stream, remote: remote(&there, true) });
    }
    for stream in &streams {
        let text = format!("for {}", stream.0);
        let message = OutgoingMessage::whole(MessageId("m".into()), "text/plain", text, true);
        one.order(MsrpCommand::Send { stream: *stream, message });
    }
    assert_eq!(ports.len(), 1);
    let mut heard: Vec<(u64, String)> = streams
        .iter()
        .map(|_| {
            other.awaits(|event| match event {
                MsrpEvent::Got { stream, message } => {
                    Some((stream.0, String::from_utf8(message.content.to_vec()).unwrap()))
                }
                _ => None,
            })
        })
        .collect();
    heard.sort();
    let wanted: Vec<(u64, String)> = streams.iter().map(|stream| (stream.0, format!("for {}", stream.0))).collect();
    assert_eq!(heard, wanted);
}

#[derive(Debug, Default)]
struct Watch(Mutex<Vec<(Way, String)>>);

impl Tap for Watch {
    fn octets(&self, tapped: Tapped<'_>) {
        let text = String::from_utf8_lossy(tapped.octets).into_owned();
        self.0.lock().unwrap().push((tapped.way, text));
    }
}

#[test]
fn whoever_watches_sees_both_ways_in_clear() {
    let watch = Arc::new(Watch::default());
    let one = End::start(MsrpSettings { tap: Some(watch.clone()), ..MsrpSettings::default() });
    let other = End::start(MsrpSettings::default());
    let plan = ChatPlan { is_secure: true, ..ChatPlan::new(LOOPBACK) };
    let (here, there) = (one.prepare(STREAM, plan.clone()), other.prepare(STREAM, plan));
    other.order(MsrpCommand::Apply { stream: STREAM, remote: remote(&here, false) });
    one.order(MsrpCommand::Apply { stream: STREAM, remote: remote(&there, true) });
    one.says("m1", "seen");
    one.outcome("m1");
    let seen = watch.0.lock().unwrap();
    assert!(seen.iter().any(|(way, text)| *way == Way::Out && text.contains("seen")));
    assert!(seen.iter().any(|(way, text)| *way == Way::In && text.contains("200")));
}

/// RFC 7977 §4: the handshake wants the subprotocol, and frames carry chunks.
#[test]
fn a_browser_connects_by_websocket() {
    let other = End::start(MsrpSettings { websockets: WebSockets::Always, ..MsrpSettings::default() });
    let there = other.prepare(STREAM, ChatPlan::new(LOOPBACK));
    let handshake = |protocol: &str| {
        let mut socket = TcpStream::connect(there.address).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: \
             dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        let mut octet = [0];
        while !head.ends_with(b"\r\n\r\n") && socket.read(&mut octet).unwrap() == 1 {
            head.push(octet[0]);
        }
        (socket, String::from_utf8(head).unwrap())
    };
    assert!(handshake("sip").1.starts_with("HTTP/1.1 400"));
    let (mut socket, head) = handshake("msrp");
    assert!(
        head.starts_with("HTTP/1.1 101") && head.to_ascii_lowercase().contains("sec-websocket-protocol: msrp"),
        "{head}"
    );
    let ours = "msrp://abc.invalid:2855/fedcba9876543210;ws";
    other.order(MsrpCommand::Apply {
        stream: STREAM,
        remote: Remote { path: ours.parse().unwrap(), we_connect: false, next_hop: None, fingerprints: Vec::new() },
    });
    let chunk = format!(
        "MSRP a786hjs2 SEND\r\nTo-Path: {}\r\nFrom-Path: {ours}\r\nMessage-ID: 87652491\r\nByte-Range: \
         1-5/5\r\nContent-Type: text/plain\r\n\r\nhello\r\n-------a786hjs2$\r\n",
        there.path
    );
    // RFC 6455 §5.2: a final text frame, masked, here by zeros.
    let length = u16::try_from(chunk.len()).unwrap().to_be_bytes();
    let mut frame = vec![0x82, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
    frame.extend(chunk.as_bytes());
    socket.write_all(&frame).unwrap();
    assert_eq!(other.gets().1, "hello");
    let mut first = [0; 2];
    socket.read_exact(&mut first).unwrap();
    assert_eq!(first[0], 0x82, "a binary message");
    let mut answer = vec![0; usize::from(first[1] & 0x7f)];
    if first[1] == 126 {
        let mut length = [0; 2];
        socket.read_exact(&mut length).unwrap();
        answer = vec![0; usize::from(u16::from_be_bytes(length))];
    }
    socket.read_exact(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("MSRP a786hjs2 200"), "{answer}");
}
