//! UDP: RFC 3261 §18, RFC 5626 §3.5.2 and §8, RFC 5389.
// The lint's exception for tests does not see the helpers beside them.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::UdpSocket;
use std::time::Duration;

use common::{PATIENCE, World, call_id, options, target};
use sip_message::{ListenerId, Transport};
use sip_transport::{
    BindError, BindFailure, KeepAlive, ListenerConfig, SendError, TransportEvent, Transports, TransportsConfig,
};

fn peer(ip: &str) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut octets = [0; 65_536];
    let count = socket.recv(&mut octets).unwrap();
    octets[..count].to_vec()
}

async fn answers_over(ip: &str) {
    let mut config = TransportsConfig::default();
    let bind = (ip.parse::<std::net::IpAddr>().unwrap(), 0).into();
    config.listeners.push(ListenerConfig::new(ListenerId(7), Transport::Udp, bind));
    let mut world = World::bind(config).await;
    let alice = peer(ip);
    alice.send_to(options("one", 0).as_bytes(), world.address(0)).unwrap();
    let (flow, message) = world.message().await;
    assert_eq!(call_id(&message), "one");
    assert_eq!(flow.remote, alice.local_addr().unwrap());
    assert_eq!(flow.local, world.address(0));
    assert_eq!((flow.listener, flow.connection), (ListenerId(7), None));
    world.send_on(flow, "answer", 1);
    assert_eq!(receive(&alice), b"answer");
}

#[tokio::test]
async fn an_answer_goes_back_to_the_source_over_ipv4() {
    answers_over("127.0.0.1").await;
}

#[tokio::test]
async fn an_answer_goes_back_to_the_source_over_ipv6() {
    answers_over("::1").await;
}

#[tokio::test]
async fn a_burst_of_datagrams_is_delivered_whole_over_several_bounded_turns() {
    let mut world = World::with(&[Transport::Udp], TransportsConfig::default()).await;
    let alice = peer("127.0.0.1");
    for number in 0..600 {
        alice.send_to(options(&number.to_string(), 10).as_bytes(), world.address(0)).unwrap();
    }
    let (mut received, mut turns) = (0, 0);
    while received < 600 {
        let mut events = Vec::new();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        world.transports.turn(Some(deadline), &mut events).await;
        assert!(!events.is_empty() && events.len() <= 256, "{}", events.len());
        for event in events {
            let TransportEvent::Received { received: Ok(message), .. } = event else { panic!("{event:?}") };
            assert_eq!(call_id(&message), received.to_string());
            received += 1;
        }
        turns += 1;
    }
    assert!(turns >= 3);
}

/// RFC 3261 §18.1.1: implementations must handle datagrams up to the maximum size.
#[tokio::test]
async fn a_datagram_of_sixty_kilobytes_is_received_and_sent() {
    let mut world = World::with(&[Transport::Udp], TransportsConfig::default()).await;
    let alice = peer("127.0.0.1");
    alice.send_to(options("large", 60_000).as_bytes(), world.address(0)).unwrap();
    let (flow, message) = world.message().await;
    assert_eq!(message.body().len(), 60_000);
    world.send_on(flow, vec![b'x'; 60_000], 0);
    assert_eq!(receive(&alice).len(), 60_000);
}

#[tokio::test]
async fn a_datagram_that_is_too_long_fails_and_those_around_it_leave() {
    let mut world = World::with(&[Transport::Udp], TransportsConfig::default()).await;
    let alice = peer("127.0.0.1");
    let to = target(Transport::Udp, alice.local_addr().unwrap());
    for (octets, token) in [(10, 1), (65_530, 2), (11, 3)] {
        let to = sip_transport::Destination::Target { listener: ListenerId(0), target: to.clone() };
        let bytes = vec![b'x'; octets].into();
        world.transports.send(sip_transport::Transmit { to, bytes, token });
    }
    assert_eq!(world.send_failed().await, (2, SendError::TooLong));
    assert_eq!((receive(&alice).len(), receive(&alice).len()), (10, 11));
}

/// RFC 5626 §8 and what NATs have been kept open with in the field.
#[tokio::test]
async fn keep_alives_are_swallowed_and_garbage_is_counted() {
    let mut world = World::with(&[Transport::Udp], TransportsConfig::default()).await;
    let alice = peer("127.0.0.1");
    for octets in ["\r\n\r\n", "\0", "", "hello?", "\u{80}\u{3}\u{1}", "GET / HTTP/1.1\r\n\r\n"] {
        alice.send_to(octets.as_bytes(), world.address(0)).unwrap();
    }
    alice.send_to(options("after", 0).as_bytes(), world.address(0)).unwrap();
    let (_, message) = world.message().await;
    assert_eq!(call_id(&message), "after");
    assert!(world.events.iter().all(|e| matches!(e, TransportEvent::KeepAlive { kind: KeepAlive::Ping, .. })));
    assert_eq!(world.events.len(), 3);
    assert_eq!(world.transports.counters().garbage, 3);
    alice.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(alice.recv(&mut [0; 10]).is_err(), "nothing of this has an answer");
}

#[tokio::test]
async fn something_that_is_meant_to_be_sip_is_reported_with_its_refusal() {
    let mut world = World::with(&[Transport::Udp], TransportsConfig::default()).await;
    let alice = peer("127.0.0.1");
    let wrong = options("wrong", 0).replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia");
    alice.send_to(wrong.as_bytes(), world.address(0)).unwrap();
    let (_, received) = world.received().await;
    assert_eq!(received.unwrap_err().fault(), &sip_message::Fault::Version);
}

/// RFC 5389 §7.3.1: the address comes back XORed with the magic cookie.
#[tokio::test]
async fn a_stun_binding_request_is_answered_with_its_source() {
    let mut world = World::with(&[Transport::Udp], TransportsConfig::default()).await;
    let alice = peer("127.0.0.1");
    let mut request = b"\x00\x01\x00\x00\x21\x12\xa4\x42".to_vec();
    request.extend_from_slice(b"transaction!");
    alice.send_to(&request, world.address(0)).unwrap();
    world.until(|e| matches!(e, TransportEvent::KeepAlive { kind: KeepAlive::Ping, .. }).then_some(())).await;
    let response = receive(&alice);
    assert_eq!(response[..4], [0x01, 0x01, 0, 12]);
    assert_eq!(response[8..20], *b"transaction!");
    assert_eq!(response[20..26], [0, 0x20, 0, 8, 0, 1]);
    let port = u16::from_be_bytes([response[26], response[27]]) ^ 0x2112;
    assert_eq!(port, alice.local_addr().unwrap().port());
    assert_eq!(response[28..], [127 ^ 0x21, 0x12, 0xa4, 1 ^ 0x42]);
}

/// RFC 5626 §4.4.2, from the client's side.
#[tokio::test]
async fn our_own_stun_request_learns_our_address_and_a_forged_answer_does_not_count() {
    let mut client = World::with(&[Transport::Udp], TransportsConfig::default()).await;
    let mut server = World::with(&[Transport::Udp], TransportsConfig::default()).await;
    let to = target(Transport::Udp, server.address(0));
    let flow = client.transports.flow_to(ListenerId(0), &to).unwrap();
    client.transports.keep_alive(&flow).unwrap();
    client.settle(Duration::from_millis(2)).await;
    let mut forged = b"\x01\x01\x00\x00\x21\x12\xa4\x42".to_vec();
    forged.extend_from_slice(b"transaction!");
    peer("127.0.0.1").send_to(&forged, client.address(0)).unwrap();
    server.until(|e| matches!(e, TransportEvent::KeepAlive { .. }).then_some(())).await;
    let kind = client
        .until(|e| match e {
            TransportEvent::KeepAlive { kind, .. } => Some(*kind),
            _ => None,
        })
        .await;
    assert_eq!(kind, KeepAlive::Pong { mapped: Some(client.address(0)) });
}

/// RFC 1122 §4.1.3.3: an ICMP error belongs to what it was sent for.
#[tokio::test]
async fn a_datagram_to_a_port_where_nobody_listens_disturbs_no_other() {
    let mut world = World::with(&[Transport::Udp], TransportsConfig::default()).await;
    let gone = peer("127.0.0.1").local_addr().unwrap();
    let alice = peer("127.0.0.1");
    for _ in 0..3 {
        world.send_to(0, target(Transport::Udp, gone), "lost", 0);
        world.settle(Duration::from_millis(5)).await;
        world.send_to(0, target(Transport::Udp, alice.local_addr().unwrap()), "found", 9);
        assert_eq!(receive(&alice), b"found");
    }
    assert!(world.events.is_empty(), "{:?}", world.events);
}

#[tokio::test]
async fn a_destination_of_the_wrong_family_or_listener_fails() {
    let mut world = World::with(&[Transport::Udp], TransportsConfig::default()).await;
    world.send_to(0, target(Transport::Udp, "[::1]:5060".parse().unwrap()), "x", 1);
    world.send_to(9, target(Transport::Udp, "127.0.0.1:5060".parse().unwrap()), "x", 2);
    assert_eq!(world.send_failed().await, (1, SendError::NoSuchListener));
    assert_eq!(world.send_failed().await, (2, SendError::NoSuchListener));
}

#[tokio::test]
async fn an_address_in_use_is_reported_with_the_listener_that_wanted_it() {
    let taken = peer("127.0.0.1");
    let bind = taken.local_addr().unwrap();
    let mut config = TransportsConfig::default();
    config.listeners.push(ListenerConfig::new(ListenerId(4), Transport::Udp, bind));
    let error = Transports::bind(config, 0, 1).await.err().unwrap();
    let reason = BindFailure::Socket(std::io::ErrorKind::AddrInUse);
    let expected = BindError::Listener { id: ListenerId(4), transport: Transport::Udp, bind, reason };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn two_shards_bind_the_same_address() {
    let mut config = TransportsConfig::default();
    let free = peer("127.0.0.1").local_addr().unwrap();
    for (id, transport) in [(0, Transport::Udp), (1, Transport::Tcp)] {
        config.listeners.push(ListenerConfig::new(ListenerId(id), transport, free));
    }
    let first = Transports::bind(config.clone(), 0, 2).await.unwrap();
    let second = Transports::bind(config, 1, 2).await.unwrap();
    assert_eq!(first.listeners(), second.listeners());
}
