//! WebSocket: RFC 7118, RFC 6455.
// The lint's exception for tests does not see the helpers beside them.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::{World, call_id, connect, options, read_exactly, read_to_end, write};
use sip_message::{ListenerId, Transport};
use sip_transport::{CloseReason, KeepAlive, ListenerConfig, Origins, SendError, TransportEvent, TransportsConfig};

async fn world() -> World {
    World::with(&[Transport::Ws], TransportsConfig::default()).await
}

fn upgrade(more: &str) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

const SIP: &str = "Sec-WebSocket-Protocol: sip\r\n";

/// A client's frame (RFC 6455 §5.2), masked with zeros, which leaves the octets as they are.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const TEXT_TO_BE_CONTINUED: u8 = 0x01;
const CONTINUATION: u8 = 0x00;
const LAST_CONTINUATION: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// A server's frame: its first octet and its payload.
fn read_frame(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let head = read_exactly(stream, 2);
    let length = match head[1] {
        126 => usize::from(u16::from_be_bytes(read_exactly(stream, 2).try_into().unwrap())),
        short => usize::from(short),
    };
    (head[0], read_exactly(stream, length))
}

async fn open(world: &mut World) -> TcpStream {
    let mut alice = connect(world.address(0));
    write(&mut alice, &upgrade(SIP));
    world.opened().await;
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        response.extend(read_exactly(&mut alice, 1));
    }
    alice
}

/// RFC 7118 §4.1; the accept value is RFC 6455 §1.3's.
#[tokio::test]
async fn the_handshake_echoes_the_protocol() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    for piece in upgrade("Sec-WebSocket-Protocol: xmpp, sip\r\n").as_bytes().chunks(7) {
        alice.write_all(piece).unwrap();
        world.settle(Duration::from_micros(100)).await;
    }
    let flow = world.opened().await;
    assert_eq!(flow.transport, Transport::Ws);
    world.transports.close(flow.connection.unwrap());
    world.settle(Duration::from_millis(2)).await;
    let mut octets = Vec::new();
    alice.shutdown(std::net::Shutdown::Write).unwrap();
    alice.read_to_end(&mut octets).unwrap();
    let response = String::from_utf8_lossy(&octets).to_ascii_lowercase();
    assert!(response.starts_with("http/1.1 101 "), "{response}");
    assert!(response.contains("\r\nsec-websocket-protocol: sip\r\n"), "{response}");
    assert!(response.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{response}");
    assert!(octets.ends_with(&[CLOSE, 0]), "the closing handshake");
}

#[tokio::test]
async fn handshakes_that_are_not_for_sip_get_their_http_status() {
    let rows = [
        (upgrade(""), 400),
        (upgrade("Sec-WebSocket-Protocol: xmpp\r\n"), 400),
        (upgrade("Sec-WebSocket-Protocol: sips\r\n"), 400),
        (upgrade(SIP).replace("Version: 13", "Version: 8"), 426),
        (upgrade(SIP).replace("Sec-WebSocket-Key", "X-Key"), 400),
        ("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n".to_string(), 426),
        ("POST / HTTP/1.1\r\nHost: example.com\r\n\r\n".to_string(), 405),
        ("GET / HTTP/1.0\r\n\r\n".to_string(), 505),
        (options("a", 0), 400),
        ("\u{1}\u{2}\u{3}\r\n\r\n".to_string(), 400),
        (format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20_000)), 431),
    ];
    for (request, status) in rows {
        let mut world = world().await;
        let mut alice = connect(world.address(0));
        write(&mut alice, &request);
        alice.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(world.closed().await, CloseReason::Http(status), "{request}");
        let response = read_to_end(&mut alice);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{response}");
        assert_eq!(world.transports.counters().websocket_refused, 1);
    }
}

/// RFC 6455 §10.2.
#[tokio::test]
async fn only_the_listed_origins_may_connect() {
    let mut config = TransportsConfig::default();
    let mut listener = ListenerConfig::new(ListenerId(0), Transport::Ws, "127.0.0.1:0".parse().unwrap());
    listener.origins = Origins::Only(vec!["https://phone.example".to_string()]);
    config.listeners.push(listener);
    let mut world = World::bind(config).await;
    for origin in ["Origin: https://evil.example\r\n", "Origin: https://phone.example.evil.example\r\n", ""] {
        let mut alice = connect(world.address(0));
        write(&mut alice, &upgrade(&format!("{SIP}{origin}")));
        alice.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(world.closed().await, CloseReason::Http(403), "{origin}");
    }
    let mut alice = connect(world.address(0));
    write(&mut alice, &upgrade(&format!("{SIP}Origin: https://Phone.example\r\n")));
    world.opened().await;
}

/// RFC 7118 §4.2: one message of SIP in one message of WebSocket, text or binary.
#[tokio::test]
async fn messages_come_as_text_or_binary_or_in_fragments_and_leave_as_text() {
    let mut world = world().await;
    let mut alice = open(&mut world).await;
    alice.write_all(&frame(TEXT, options("text", 10).as_bytes())).unwrap();
    alice.write_all(&frame(BINARY, options("binary", 10).as_bytes())).unwrap();
    let whole = options("fragments", 200);
    let (first, rest) = whole.as_bytes().split_at(50);
    let (second, third) = rest.split_at(100);
    alice.write_all(&frame(TEXT_TO_BE_CONTINUED, first)).unwrap();
    alice.write_all(&frame(CONTINUATION, second)).unwrap();
    alice.write_all(&frame(PING, b"between")).unwrap();
    alice.write_all(&frame(LAST_CONTINUATION, third)).unwrap();
    let mut flow = None;
    for expected in ["text", "binary", "fragments"] {
        let (on, message) = world.message().await;
        assert_eq!(call_id(&message), expected);
        flow = Some(on);
    }
    world.settle(Duration::from_millis(1)).await;
    assert_eq!(read_frame(&mut alice), (PONG, b"between".to_vec()));
    world.send_on(flow.unwrap(), "answer", 0);
    assert_eq!(read_frame(&mut alice), (TEXT, b"answer".to_vec()));
    world.send_on(flow.unwrap(), vec![0xff, 0xfe], 0);
    assert_eq!(read_frame(&mut alice), (BINARY, vec![0xff, 0xfe]));
}

#[tokio::test]
async fn two_sip_messages_in_one_websocket_message_are_not_two() {
    let mut world = world().await;
    let mut alice = open(&mut world).await;
    let two = options("first", 0) + &options("second", 0);
    alice.write_all(&frame(TEXT, two.as_bytes())).unwrap();
    alice.write_all(&frame(TEXT, options("third", 0).as_bytes())).unwrap();
    assert_eq!(call_id(&world.message().await.1), "first");
    assert_eq!(call_id(&world.message().await.1), "third");
}

#[tokio::test]
async fn keep_alives_in_either_form_are_answered_in_kind() {
    let mut world = world().await;
    let mut alice = open(&mut world).await;
    alice.write_all(&frame(TEXT, b"\r\n\r\n")).unwrap();
    world.until(|e| matches!(e, TransportEvent::KeepAlive { kind: KeepAlive::Ping, .. }).then_some(())).await;
    world.settle(Duration::from_millis(1)).await;
    assert_eq!(read_frame(&mut alice), (TEXT, b"\r\n".to_vec()));
    alice.write_all(&frame(TEXT, options("a", 0).as_bytes())).unwrap();
    let (flow, _) = world.message().await;
    world.transports.keep_alive(&flow).unwrap();
    world.transports.flush();
    assert_eq!(read_frame(&mut alice), (PING, Vec::new()));
    alice.write_all(&frame(PONG, b"")).unwrap();
    let pong = KeepAlive::Pong { mapped: None };
    world.until(|e| matches!(e, TransportEvent::KeepAlive { kind, .. } if *kind == pong).then_some(())).await;
}

#[tokio::test]
async fn a_client_that_closes_is_answered_and_gone() {
    let mut world = world().await;
    let mut alice = open(&mut world).await;
    alice.write_all(&frame(CLOSE, &1000u16.to_be_bytes())).unwrap();
    assert_eq!(world.closed().await, CloseReason::ByPeer);
    assert_eq!(read_frame(&mut alice).0, CLOSE);
}

#[tokio::test]
async fn what_breaks_rfc6455_ends_the_connection() {
    let unmasked = vec![TEXT, 2, b'h', b'i'];
    let reserved = frame(0xf1, b"x");
    let orphan = frame(LAST_CONTINUATION, b"x");
    let huge = [&[TEXT, 0x80 | 127][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    let long_ping = frame(PING, &[0; 200]);
    let not_text = frame(TEXT, &[0xff, 0xff]);
    for octets in [unmasked, reserved, orphan, huge, long_ping, not_text] {
        let mut world = world().await;
        let mut alice = open(&mut world).await;
        alice.write_all(&octets).unwrap();
        world.settle(Duration::from_millis(1)).await;
        drop(alice);
        assert_eq!(world.closed().await, CloseReason::Unintelligible, "{octets:?}");
    }
}

#[tokio::test]
async fn a_flood_of_pings_that_nobody_reads_the_pongs_of_is_bounded() {
    let mut config = TransportsConfig::default();
    config.streams.write_queue = 10_000;
    let mut world = World::with(&[Transport::Ws], config).await;
    let alice = open(&mut world).await;
    alice.set_nonblocking(true).unwrap();
    let pings = frame(PING, &[b'x'; 100]).repeat(500);
    let mut rounds = 0;
    while !world.events.iter().any(|e| matches!(e, TransportEvent::Closed { .. })) {
        // Only whole writes keep the framing; a full socket means that the server is to be given a turn.
        let mut sent = 0;
        while sent < pings.len() {
            match (&alice).write(&pings[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    world.settle(Duration::from_micros(50)).await;
                }
                Err(_) => break,
            }
            if world.events.iter().any(|e| matches!(e, TransportEvent::Closed { .. })) {
                break;
            }
        }
        world.settle(Duration::from_micros(50)).await;
        rounds += 1;
        assert!(rounds < 2_000, "the queue has no bound");
    }
    assert_eq!(world.closed().await, CloseReason::WriteOverflow);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_pinged_and_closed_when_it_stays_silent() {
    let mut world = world().await;
    let mut alice = open(&mut world).await;
    alice.write_all(&frame(TEXT, options("a", 0).as_bytes())).unwrap();
    world.message().await;
    let begun = tokio::time::Instant::now();
    while !world.events.iter().any(|e| matches!(e, TransportEvent::Closed { .. })) {
        world.transports.turn(None, &mut world.events).await;
    }
    assert_eq!(world.closed().await, CloseReason::Idle);
    assert!(begun.elapsed() >= Duration::from_secs(119));
    assert_eq!(read_frame(&mut alice), (PING, Vec::new()));
}

/// RFC 7118 §5: browsers connect to us, never the other way.
#[tokio::test]
async fn nothing_connects_over_websocket() {
    let mut world = world().await;
    let target = common::target(Transport::Ws, world.address(0));
    world.send_to(0, target, options("a", 0), 3);
    assert_eq!(world.send_failed().await, (3, SendError::NotConnectable(Transport::Ws)));
}
