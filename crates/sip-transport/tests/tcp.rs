//! TCP: RFC 3261 §18.3 framing, RFC 5626 §3.5.1 keep-alives, RFC 5923 reuse, and peers that are slow or lie.
// The lint's exception for tests does not see the helpers beside them.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

use common::{PATIENCE, World, call_id, connect, options, read_exactly, read_to_end, target, write};
use sip_message::{Fault, Transport};
use sip_transport::{CloseReason, KeepAlive, OpenedBy, SendError, StreamLimits, TransportEvent, TransportsConfig};

fn limits(change: impl FnOnce(&mut StreamLimits)) -> TransportsConfig {
    let mut config = TransportsConfig::default();
    change(&mut config.streams);
    config
}

async fn world() -> World {
    World::with(&[Transport::Tcp], TransportsConfig::default()).await
}

#[tokio::test]
async fn messages_that_come_octet_by_octet_are_framed() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    for octet in options("a", 5).bytes().chain(options("b", 0).bytes()) {
        alice.write_all(&[octet]).unwrap();
        world.settle(Duration::from_micros(100)).await;
    }
    assert_eq!(call_id(&world.message().await.1), "a");
    assert_eq!(call_id(&world.message().await.1), "b");
}

#[tokio::test]
async fn messages_that_come_together_are_cut_apart_and_answered_in_one_write() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    write(&mut alice, &[options("a", 3), options("b", 0), options("c", 1)].concat());
    for (expected, answer) in [("a", "1"), ("b", "2"), ("c", "3")] {
        let (flow, message) = world.message().await;
        assert_eq!(call_id(&message), expected);
        world.send_on(flow, answer, 0);
    }
    assert_eq!(read_exactly(&mut alice, 3), b"123");
}

#[tokio::test]
async fn five_thousand_messages_in_one_stream_come_in_bounded_turns_and_in_order() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    let sender = std::thread::spawn(move || {
        for number in 0..5_000 {
            write(&mut alice, &options(&number.to_string(), 100));
        }
        alice
    });
    let mut expected = 0;
    while expected < 5_000 {
        let mut events = Vec::new();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        world.transports.turn(Some(deadline), &mut events).await;
        assert!(!events.is_empty() && events.len() <= 258, "{}", events.len());
        for event in events {
            if let TransportEvent::Received { received, .. } = event {
                assert_eq!(call_id(&received.unwrap()), expected.to_string());
                expected += 1;
            }
        }
    }
    sender.join().unwrap();
}

/// RFC 5626 §3.5.1, in both directions.
#[tokio::test]
async fn a_double_crlf_is_answered_with_a_single_one() {
    let mut server = world().await;
    let mut client = world().await;
    client.send_to(0, target(Transport::Tcp, server.address(0)), options("first", 0), 0);
    let flow = client.opened().await;
    server.message().await;
    let keep_alive = |e: &TransportEvent| match e {
        TransportEvent::KeepAlive { kind, .. } => Some(*kind),
        _ => None,
    };
    // Nothing but answers comes in between: two of them in a row are no ping.
    for _ in 0..3 {
        client.transports.keep_alive(&flow).unwrap();
        client.transports.flush();
        assert_eq!(server.until(keep_alive).await, KeepAlive::Ping);
        server.settle(Duration::from_millis(2)).await;
        assert_eq!(client.until(keep_alive).await, KeepAlive::Pong { mapped: None });
        assert!(client.events.is_empty() && !server.events.iter().any(|e| keep_alive(e).is_some()));
    }
}

#[tokio::test]
async fn requests_to_one_address_share_one_connection_and_it_says_who_opened_it() {
    let mut server = world().await;
    let mut client = world().await;
    let to = target(Transport::Tcp, server.address(0));
    for call in ["a", "b"] {
        client.send_to(0, to.clone(), options(call, 0), 0);
    }
    client.settle(Duration::from_millis(2)).await;
    let (first, _) = server.message().await;
    let (second, _) = server.message().await;
    assert_eq!(first, second);
    let opened = |e: &TransportEvent| match e {
        TransportEvent::Opened { by, flow, .. } => Some((*by, *flow)),
        _ => None,
    };
    assert_eq!(server.until(opened).await, (OpenedBy::Peer, first));
    let (by, flow) = client.until(opened).await;
    assert_eq!((by, flow.remote, flow.local), (OpenedBy::Us, server.address(0), first.remote));
    assert_eq!(flow.connection.unwrap().0 >> 48, 3, "the shard's number is in the upper bits");
    assert_eq!(client.transports.flow_to(flow.listener, &to), Some(flow));
    assert_eq!(client.transports.counters().connected, 1);
}

/// RFC 5923 §5.
#[tokio::test]
async fn an_aliased_connection_carries_requests_to_the_aliased_address() {
    let mut server = world().await;
    let mut alice = connect(server.address(0));
    write(&mut alice, &options("a", 0));
    let (flow, _) = server.message().await;
    let aliased = target(Transport::Tcp, "127.0.0.1:5999".parse().unwrap());
    assert_eq!(server.transports.flow_to(flow.listener, &aliased), None);
    assert!(server.transports.alias(flow.connection.unwrap(), 5999));
    server.send_to(0, aliased.clone(), "request", 0);
    assert_eq!(read_exactly(&mut alice, 7), b"request");
    drop(alice);
    assert_eq!(server.closed().await, CloseReason::ByPeer);
    assert_eq!(server.transports.flow_to(flow.listener, &aliased), None);
}

#[tokio::test]
async fn sending_to_a_port_where_nobody_listens_fails_with_its_token() {
    let mut world = world().await;
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.send_to(0, target(Transport::Tcp, gone), "a", 11);
    world.send_to(0, target(Transport::Tcp, gone), "b", 0);
    world.send_to(0, target(Transport::Tcp, gone), "c", 12);
    assert_eq!(world.send_failed().await, (11, SendError::Refused));
    assert_eq!(world.send_failed().await, (12, SendError::Refused));
    assert_eq!(world.closed().await, CloseReason::ConnectFailed(SendError::Refused));
    assert_eq!(world.transports.counters().connect_failed, 1);
}

/// RFC 3261 §18.2.2: what a server does then is its decision.
#[tokio::test]
async fn sending_on_a_flow_that_is_gone_fails_and_opens_nothing() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    write(&mut alice, &options("a", 0));
    let (flow, _) = world.message().await;
    drop(alice);
    assert_eq!(world.closed().await, CloseReason::ByPeer);
    world.send_on(flow, "answer", 5);
    assert_eq!(world.send_failed().await, (5, SendError::NoConnection));
}

#[tokio::test]
async fn a_peer_that_has_said_its_last_word_still_gets_the_answer() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    write(&mut alice, &options("a", 0));
    alice.shutdown(Shutdown::Write).unwrap();
    let (flow, _) = world.message().await;
    world.send_on(flow, "answer", 5);
    assert_eq!(world.closed().await, CloseReason::ByPeer);
    assert_eq!(read_to_end(&mut alice), "answer");
    assert!(!world.events.iter().any(|e| matches!(e, TransportEvent::SendFailed { .. })));
}

#[tokio::test]
async fn everything_that_came_before_the_end_of_the_stream_is_delivered() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    write(&mut alice, &(0..600).map(|n| options(&n.to_string(), 0)).collect::<String>());
    drop(alice);
    assert_eq!(world.closed().await, CloseReason::ByPeer);
    let received = world.events.iter().filter(|e| matches!(e, TransportEvent::Received { received: Ok(_), .. }));
    assert_eq!(received.count(), 600);
}

/// RFC 3261 §18.3: without Content-Length a stream can't be framed any more.
#[tokio::test]
async fn after_what_cannot_be_framed_the_answer_leaves_and_the_connection_closes() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    write(&mut alice, &options("a", 0).replace("Content-Length: 0\r\n", ""));
    write(&mut alice, &options("b", 0));
    let (flow, received) = world.received().await;
    assert_eq!(received.unwrap_err().fault(), &Fault::ContentLengthMissing);
    world.send_on(flow, "answer", 5);
    world.settle(Duration::from_millis(2)).await;
    assert_eq!(read_to_end(&mut alice), "answer");
    drop(alice);
    assert_eq!(world.closed().await, CloseReason::Unintelligible);
    assert!(!world.events.iter().any(|e| matches!(e, TransportEvent::Received { .. })));
}

#[tokio::test]
async fn a_head_without_end_is_refused_at_the_limit() {
    let mut config = TransportsConfig::default();
    config.limits.head = 4_096;
    let mut world = World::with(&[Transport::Tcp], config).await;
    let mut alice = connect(world.address(0));
    write(&mut alice, "OPTIONS sip:a@b SIP/2.0\r\nX: ");
    write(&mut alice, &"x".repeat(5_000));
    let (_, received) = world.received().await;
    assert_eq!(received.unwrap_err().fault(), &Fault::HeadTooLong);
    drop(alice);
    assert_eq!(world.closed().await, CloseReason::Unintelligible);
}

#[tokio::test]
async fn http_on_a_sip_port_gets_an_http_answer() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    write(&mut alice, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    alice.shutdown(Shutdown::Write).unwrap();
    world.settle(Duration::from_millis(5)).await;
    assert!(read_to_end(&mut alice).starts_with("HTTP/1.1 400 "));
    assert_eq!(world.closed().await, CloseReason::Http(400));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_closed_after_the_handshake_time() {
    let mut world = world().await;
    let _alice = connect(world.address(0));
    world.opened().await;
    let begun = tokio::time::Instant::now();
    assert_eq!(until_closed(&mut world).await, CloseReason::HandshakeTooSlow);
    let expected = StreamLimits::default().handshake;
    assert!((expected..expected * 2).contains(&begun.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_closed_at_its_deadline_however_it_drips() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    let begun = tokio::time::Instant::now();
    for octet in options("slow", 0).bytes().take(40) {
        if alice.write_all(&[octet]).is_err() {
            break;
        }
        let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
        world.transports.turn(Some(deadline), &mut world.events).await;
        tokio::time::sleep_until(deadline).await;
    }
    assert_eq!(until_closed(&mut world).await, CloseReason::HeadTooSlow);
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(world.transports.counters().too_slow, 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_closed_at_its_own_deadline() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    let lying = options("lying", 0).replace("Content-Length: 0", "Content-Length: 500000");
    write(&mut alice, &lying);
    let begun = tokio::time::Instant::now();
    assert_eq!(until_closed(&mut world).await, CloseReason::BodyTooSlow);
    assert!(begun.elapsed() >= StreamLimits::default().body);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_when_idle_unless_it_may_be() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    let mut bob = connect(world.address(0));
    write(&mut alice, &options("alice", 0));
    let (kept, _) = world.message().await;
    write(&mut bob, &options("bob", 0));
    let (flow, _) = world.message().await;
    world.transports.set_idle(kept.connection.unwrap(), None);
    let begun = tokio::time::Instant::now();
    assert_eq!(until_closed(&mut world).await, CloseReason::Idle);
    assert!(begun.elapsed() >= StreamLimits::default().idle - Duration::from_secs(1));
    world.send_on(flow, "x", 1);
    assert_eq!(world.send_failed().await, (1, SendError::NoConnection));
    world.send_on(kept, "still here", 2);
    assert_eq!(read_exactly(&mut alice, 10), b"still here");
}

/// Under paused time the clock jumps to the next deadline whenever nothing is ready.
async fn until_closed(world: &mut World) -> CloseReason {
    loop {
        let closed = world.events.iter().find_map(|e| match e {
            TransportEvent::Closed { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        if let Some(reason) = closed {
            return reason;
        }
        world.transports.turn(None, &mut world.events).await;
    }
}

#[tokio::test]
async fn more_connections_than_one_address_may_have_are_closed_at_once() {
    let config = limits(|l| l.connections_per_address = 2);
    let mut world = World::with(&[Transport::Tcp], config).await;
    let peers: Vec<_> = (0..3).map(|_| connect(world.address(0))).collect();
    world.settle(Duration::from_millis(5)).await;
    assert_eq!(world.transports.counters().refused_per_address, 1);
    assert_eq!(read_to_end(&mut { &peers[2] }), "");
    drop(peers);
    world.closed().await;
    world.closed().await;
    assert_eq!(world.transports.connections(), 0);
    let mut again = connect(world.address(0));
    write(&mut again, &options("again", 0));
    assert_eq!(call_id(&world.message().await.1), "again");
}

#[tokio::test]
async fn more_connections_than_the_shard_may_have_are_closed_at_once() {
    let config = limits(|l| l.connections = 1);
    let mut world = World::with(&[Transport::Tcp], config).await;
    let _first = connect(world.address(0));
    let mut second = connect(world.address(0));
    world.settle(Duration::from_millis(5)).await;
    assert_eq!(read_to_end(&mut second), "");
    assert_eq!(world.transports.counters().refused_at_limit, 1);
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_connection_and_nobody_else_notices() {
    let config = limits(|l| l.write_queue = 100_000);
    let mut world = World::with(&[Transport::Tcp], config).await;
    let (mut deaf, mut alice) = (connect(world.address(0)), connect(world.address(0)));
    write(&mut deaf, &options("deaf", 0));
    let (flow, _) = world.message().await;
    write(&mut alice, &options("alice", 0));
    let (other, _) = world.message().await;
    let mut token = 0;
    while !world.events.iter().any(|e| matches!(e, TransportEvent::Closed { .. })) {
        token += 1;
        assert!(token < 100_000, "the queue has no bound");
        world.send_on(flow, vec![b'x'; 20_000], token);
        world.settle(Duration::from_micros(100)).await;
    }
    assert_eq!(world.closed().await, CloseReason::WriteOverflow);
    let failed = world.events.iter().filter(|e| matches!(e, TransportEvent::SendFailed { .. }));
    assert!((2..=8).contains(&failed.count()), "what was queued and what overflowed");
    world.send_on(other, "fine", 0);
    assert_eq!(read_exactly(&mut alice, 4), b"fine");
}

#[tokio::test]
async fn a_large_answer_is_written_as_fast_as_the_peer_reads() {
    let mut world = World::with(&[Transport::Tcp], limits(|l| l.write_queue = 50_000_000)).await;
    let mut alice = connect(world.address(0));
    write(&mut alice, &options("alice", 0));
    let (flow, _) = world.message().await;
    world.send_on(flow, vec![b'x'; 30_000_000], 1);
    world.send_on(flow, "end", 2);
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = alice.read_to_end(&mut all);
        all
    });
    world.transports.close(flow.connection.unwrap());
    assert_eq!(world.closed().await, CloseReason::ByUs);
    let all = reader.join().unwrap();
    assert_eq!(all.len(), 30_000_003);
    assert!(all.ends_with(b"xend"));
}

#[tokio::test]
async fn a_listener_that_stops_accepting_keeps_its_connections() {
    let mut world = world().await;
    let mut alice = connect(world.address(0));
    write(&mut alice, &options("a", 0));
    let (flow, _) = world.message().await;
    let address = world.address(0);
    world.transports.stop_accepting();
    assert!(std::net::TcpStream::connect(address).is_err());
    world.send_on(flow, "ok", 0);
    assert_eq!(read_exactly(&mut alice, 2), b"ok");
}

/// While datagrams pour in, connections get their turn, and the other way round.
#[tokio::test]
async fn a_flood_of_datagrams_does_not_keep_a_connection_waiting() {
    let mut world = World::with(&[Transport::Udp, Transport::Tcp], TransportsConfig::default()).await;
    let mut alice = connect(world.address(1));
    world.opened().await;
    let flood = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..1_000 {
        flood.send_to(options("flood", 0).as_bytes(), world.address(0)).unwrap();
    }
    write(&mut alice, &options("alice", 0));
    for _ in 0..2 {
        world.transports.turn(None, &mut world.events).await;
    }
    let over_tcp = |e: &TransportEvent| matches!(e, TransportEvent::Received { flow, .. } if flow.connection.is_some());
    assert!(world.events.iter().any(over_tcp));
    assert!(world.events.len() < 1_000);
}

/// The test runs itself again in a process with few descriptors.
#[test]
fn without_descriptors_connections_are_closed_at_once_and_the_next_ones_served() {
    const NAME: &str = "without_descriptors_connections_are_closed_at_once_and_the_next_ones_served";
    const INSIDE: &str = "SIP_TRANSPORT_TEST_FEW_DESCRIPTORS";
    if std::env::var_os(INSIDE).is_none() {
        let program = std::env::current_exe().unwrap();
        let status = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 40; exec \"$0\" --exact \"$1\"", program.to_str().unwrap(), NAME])
            .env(INSIDE, "1")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = world().await;
        let mut peers = Vec::new();
        // Every second descriptor is ours, so that accepting fails before connecting does.
        for _ in 0..40 {
            let Ok(peer) = std::net::TcpStream::connect(world.address(0)) else { break };
            peers.push(peer);
            world.settle(Duration::from_micros(200)).await;
        }
        assert!(world.transports.counters().out_of_descriptors > 0, "{:?}", world.transports.counters());
        peers.clear();
        world.settle(Duration::from_millis(20)).await;
        let mut alice = connect(world.address(0));
        write(&mut alice, &options("after", 0));
        assert_eq!(call_id(&world.message().await.1), "after");
    });
}
