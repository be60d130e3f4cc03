//! A server of one's own applications, on real sockets.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::UdpSocket;
use std::rc::Rc;

use cordboard::container::Resources;
use cordboard::prelude::*;

struct Word(&'static str);

/// Answers OPTIONS with a word that the program has bound to the container.
fn application() -> SipApplication {
    SipApplication::new("word").handlers(Handlers::new().options(|options| async move {
        let context = options.application_session()?.servlet_context()?;
        let word = context.resource::<Word>().map_or("none", |word| word.0);
        Ok(options.create_response_with_reason(StatusCode::OK, word)?.send()?)
    }))
}

#[test]
fn an_application_of_one_s_own_is_served_and_finds_what_the_program_has_bound() {
    let server = Server::builder().application(application()).listen("udp:127.0.0.1:0").workers(1);
    let server = server.resources(|_| Resources::default().with(Rc::new(Word("Hello")))).start().unwrap();
    let there = server.listeners()[0].1;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let here = socket.local_addr().unwrap();
    let text = format!(
        "OPTIONS sip:{there} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:a@example.test>;tag=1\r\nTo: <sip:{there}>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(text.as_bytes(), there).unwrap();
    let mut octets = [0; 2_048];
    let length = socket.recv(&mut octets).unwrap();
    assert!(octets[..length].starts_with(b"SIP/2.0 200 Hello\r\n"));
    let report = server.report();
    assert_eq!(report.application("word").unwrap().all_requests_in(), 1);
}

#[test]
fn what_is_no_listen_address_is_refused_before_anything_is_bound() {
    let refused = Server::builder().application(application()).listen("dccp:127.0.0.1:0").start().map(drop);
    assert!(refused.unwrap_err().to_string().contains("`dccp:127.0.0.1:0` is no listen address"));
}
