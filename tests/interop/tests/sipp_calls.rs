//! Calls between SIPp and SIPp through the server, and from SIPp to the server itself.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use cordboard_interop::ports;
use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::sipp::{RunningSipp, Sipp, register};

const BOB: &str = "sip:bob@example.test";

/// A server with bob registered at a SIPp that plays this scenario.
fn bob_plays(scenario: &str) -> (Server, RunningSipp) {
    let server = Server::start(Settings::default());
    let bob = Sipp::new(scenario).key("user", "bob");
    let contact = bob.contact("bob");
    let bob = bob.start();
    register(&server, "bob", &contact);
    (server, bob)
}

#[test]
fn hundred_calls_over_udp_are_forwarded_by_request_uri() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default().relay_to_any());
    let callee = Sipp::new("uas").calls(100);
    let address = callee.address();
    let mut callee = callee.start();
    Sipp::new("uac").through(&server, address).calls(100).rate(50).run();
    callee.succeeds();
}

#[test]
fn hundred_calls_over_tcp_are_forwarded_by_request_uri() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default().relay_to_any());
    let callee = Sipp::new("uas").calls(100);
    let address = callee.address();
    let mut callee = callee.start();
    // SIPp's own caller names no transport in its Request-URI: the second leg is UDP.
    Sipp::new("uac").tcp().through(&server, address).calls(100).rate(50).run();
    callee.succeeds();
}

#[test]
fn hundred_calls_over_ipv6_are_forwarded_by_request_uri() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default().ipv6().relay_to_any());
    let callee = Sipp::new("uas").host(IpAddr::V6(Ipv6Addr::LOCALHOST)).calls(100);
    let address = callee.address();
    let mut callee = callee.start();
    Sipp::new("uac").through(&server, address).calls(100).rate(50).run();
    callee.succeeds();
}

#[test]
fn registered_user_is_called_and_the_caller_hangs_up() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_call.xml");
    Sipp::caller("uac_call.xml", &server, BOB).run();
    bob.succeeds();
    assert!(bob.received("INVITE")[0].contains("Record-Route:"), "a caller's BYE would bypass the server");
}

#[test]
fn registered_user_is_called_and_hangs_up() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_call_ends.xml");
    Sipp::caller("uac_call_callee_ends.xml", &server, BOB).run();
    bob.succeeds();
}

/// RFC 5658: where the transport changes, both sides get a Record-Route of their own.
#[test]
fn caller_on_udp_reaches_a_callee_on_tcp() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default());
    let bob = Sipp::new("uas_call.xml").tcp().key("user", "bob");
    let contact = bob.contact("bob");
    let mut bob = bob.start();
    register(&server, "bob", &contact);
    Sipp::caller("uac_call.xml", &server, BOB).run();
    bob.succeeds();
}

#[test]
fn caller_on_tcp_reaches_a_callee_on_udp() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_call.xml");
    Sipp::caller("uac_call.xml", &server, BOB).tcp().run();
    bob.succeeds();
}

/// RFC 3261 §9, §16.10.
#[test]
fn caller_who_cancels_gets_487_and_the_callee_is_cancelled() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_cancelled.xml");
    Sipp::caller("uac_cancel.xml", &server, BOB).run();
    bob.succeeds();
}

/// RFC 3262 §3: the PRACK follows the route set of the early dialog, end to end.
#[test]
fn reliable_provisional_response_is_acknowledged_end_to_end() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_100rel.xml");
    Sipp::caller("uac_100rel.xml", &server, BOB).run();
    bob.succeeds();
}

#[test]
fn hold_and_resume_follow_the_route_set() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_hold.xml");
    Sipp::caller("uac_hold.xml", &server, BOB).run();
    bob.succeeds();
}

#[test]
fn busy_callee_makes_the_caller_see_486() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_busy.xml");
    Sipp::caller("uac_refused.xml", &server, BOB).expecting(486).run();
    bob.succeeds();
}

#[test]
fn redirection_reaches_the_caller() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_moved.xml");
    Sipp::caller("uac_redirected.xml", &server, BOB).run();
    bob.succeeds();
}

/// RFC 3261 §16.8: when Timer C fires the proxy cancels what rings.
#[test]
fn callee_who_rings_too_long_is_cancelled() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default().timer_c(2));
    let bob = Sipp::new("uas_cancelled.xml").key("user", "bob");
    let contact = bob.contact("bob");
    let mut bob = bob.start();
    register(&server, "bob", &contact);
    Sipp::caller("uac_unanswered.xml", &server, BOB).run();
    bob.succeeds();
}

#[test]
fn message_reaches_a_registered_user() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_message.xml");
    Sipp::caller("uac_message.xml", &server, BOB).expecting(200).run();
    bob.succeeds();
}

#[test]
fn call_to_a_user_who_is_not_registered_is_answered_480() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default().user("bob", "unused"));
    Sipp::caller("uac_refused.xml", &server, BOB).expecting(480).run();
}

#[test]
fn options_to_the_server_lists_what_it_allows() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default());
    Sipp::caller("uac_options.xml", &server, "sip:example.test").run();
    let address = format!("sip:{}", server.address());
    Sipp::caller("uac_options.xml", &server, &address).run();
}

#[test]
fn echo_user_sends_back_the_rtp_that_it_gets() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default());
    let ears = UdpSocket::bind(("127.0.0.1", ports::free_row(2))).expect("the port was free");
    ears.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout that is not zero");
    let rtp_port = ears.local_addr().expect("a bound socket").port().to_string();
    let mut caller = Sipp::caller("uac_echo.xml", &server, "sip:echo@example.test")
        .key("rtp_port", &rtp_port)
        .hold(Duration::from_secs(2))
        .start();
    caller.awaits("SIP/2.0 200");
    let echo_port = told_port(&mut caller);

    for sequence in 0..10_u16 {
        let packet = rtp_packet(sequence);
        ears.send_to(&packet, ("127.0.0.1", echo_port)).expect("loopback takes a datagram");
        let mut heard = [0; 2048];
        let (length, from) = ears.recv_from(&mut heard).expect("the echo of what was sent");
        assert_eq!(from.port(), echo_port, "symmetric RTP");
        assert_eq!(heard[12..length], packet[12..], "the same sound");
    }
    caller.succeeds();
}

fn told_port(caller: &mut RunningSipp) -> u16 {
    for _ in 0..100 {
        let log = caller.log();
        let told = log.split("echo listens at ").nth(1).and_then(|rest| rest.split('.').next());
        if let Some(port) = told.and_then(|port| port.trim().parse().ok()) {
            return port;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the caller saw no media port in the answer");
}

/// 20 ms of μ-law under an RTP header (RFC 3550 §5.1).
fn rtp_packet(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0x00];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(0x00C0_FFEE_u32.to_be_bytes());
    packet.extend((0..160_u16).map(|octet| (octet + sequence).to_be_bytes()[1]));
    packet
}
