//! Every limit of [`Limits`]: a message exactly as large is accepted, one octet or line more has the answer that the
//! documentation of the limit promises; the same from a datagram and from a stream.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use bytes::{Bytes, BytesMut};
use common::{in_words, status, stream};
use sip_message::{Fault, Limits, StreamItem, StreamParser, parse_datagram};

/// An OPTIONS with this user in its URI, these lines and this body.
fn message(user: &str, lines: &str, body: &str) -> String {
    format!(
        "OPTIONS sip:{user}@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
         From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n{lines}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[track_caller]
fn accepted(text: &str, limits: &Limits) {
    if let Err(refusal) = parse_datagram(Bytes::copy_from_slice(text.as_bytes()), limits) {
        panic!("{refusal}");
    }
    for pieces in [vec![text.as_bytes()], text.as_bytes().chunks(1).collect()] {
        let items = stream(pieces, limits);
        assert!(items.len() == 1 && items[0].starts_with("message"), "{items:?}");
    }
}

/// Refused on both kinds of transport; on a stream `broken` when its end can't be trusted or is not worth waiting for.
#[track_caller]
fn refused(text: &str, limits: &Limits, fault: Fault, code: u16, broken: bool) {
    assert_eq!(fault.status().code(), code);
    let refusal = parse_datagram(Bytes::copy_from_slice(text.as_bytes()), limits).unwrap_err();
    assert_eq!((refusal.fault(), status(&refusal)), (&fault, Some(code)));
    let mut buffer = BytesMut::from(text);
    match StreamParser::new(limits.clone()).next(&mut buffer) {
        Some(StreamItem::Broken(refusal)) if broken => {
            assert_eq!((refusal.fault(), status(&refusal)), (&fault, Some(code)))
        }
        Some(StreamItem::Refused(refusal)) if !broken => {
            assert_eq!((refusal.fault(), status(&refusal)), (&fault, Some(code)));
        }
        other => panic!("{:?}", other.as_ref().map(in_words)),
    }
}

/// The octets of start-line and headers, without the empty line.
fn head_of(text: &str) -> usize {
    text.find("\r\n\r\n").unwrap()
}

#[test]
fn a_message_as_long_as_the_limit_is_accepted_and_a_longer_one_answered_513() {
    let text = message("bob", "", "hello");
    accepted(&text, &Limits { message: text.len(), ..Limits::default() });
    let limits = Limits { message: text.len() - 1, ..Limits::default() };
    refused(&text, &limits, Fault::MessageTooLong, 513, true);
}

#[test]
fn a_head_as_long_as_the_limit_is_accepted_and_a_longer_one_answered_513() {
    let text = message("bob", "", "hello");
    accepted(&text, &Limits { head: head_of(&text), ..Limits::default() });
    let limits = Limits { head: head_of(&text) - 1, ..Limits::default() };
    refused(&text, &limits, Fault::HeadTooLong, 513, true);
}

/// Octet by octet, a stream's head is refused as soon as it can't end within the limit any more, and answered with the
/// lines that were whole by then.
#[test]
fn a_head_without_an_end_is_answered_513_at_the_limit() {
    let text = message("bob", "X: y\r\n", "");
    let limits = Limits { head: text.len() - 10, ..Limits::default() };
    let mut parser = StreamParser::new(limits.clone());
    let mut buffer = BytesMut::new();
    for octet in text.bytes().take(limits.head + 3) {
        buffer.extend_from_slice(&[octet]);
        assert!(parser.next(&mut buffer).is_none());
    }
    buffer.extend_from_slice(b"x");
    let Some(StreamItem::Broken(refusal)) = parser.next(&mut buffer) else { panic!() };
    assert_eq!((refusal.fault(), status(&refusal)), (&Fault::HeadTooLong, Some(513)));
}

#[test]
fn a_line_as_long_as_the_limit_is_accepted_and_a_longer_one_answered_400() {
    let line = "Subject: 0123456789012345678901234567890123456789";
    let text = message("bob", &format!("{line}\r\n"), "hello");
    accepted(&text, &Limits { line: line.len(), ..Limits::default() });
    let limits = Limits { line: line.len() - 1, ..Limits::default() };
    refused(&text, &limits, Fault::LineTooLong, 400, false);
}

#[test]
fn the_continuations_of_a_line_count() {
    let line = "Subject: 0123456789012345678901234567890123456789\r\n 0123456789\r\n\t0123456789";
    let text = message("bob", &format!("{line}\r\n"), "hello");
    accepted(&text, &Limits { line: line.len(), ..Limits::default() });
    let limits = Limits { line: line.len() - 1, ..Limits::default() };
    refused(&text, &limits, Fault::LineTooLong, 400, false);
}

#[test]
fn a_request_uri_as_long_as_the_limit_is_accepted_and_a_longer_one_answered_414() {
    let text = message("bob", "", "hello");
    let uri = "sip:bob@example.com".len();
    accepted(&text, &Limits { uri, ..Limits::default() });
    refused(&text, &Limits { uri: uri - 1, ..Limits::default() }, Fault::RequestUriTooLong, 414, false);
}

/// 414 says more than 513.
#[test]
fn a_request_uri_that_makes_the_head_too_long_is_answered_414() {
    let text = message(&"b".repeat(70_000), "", "hello");
    refused(&text, &Limits::default(), Fault::RequestUriTooLong, 414, true);
}

#[test]
fn as_many_header_lines_as_the_limit_are_accepted_and_one_more_is_answered_400() {
    let text = message("bob", "A: 1\r\nA: 2\r\nA: 3\r\n", "hello");
    accepted(&text, &Limits { headers: 9, ..Limits::default() });
    // A Content-Length may stand behind the line at which reading ended.
    refused(&text, &Limits { headers: 8, ..Limits::default() }, Fault::TooManyHeaders, 400, true);
}

#[test]
fn a_body_as_long_as_the_limit_is_accepted_and_a_longer_one_answered_413() {
    let text = message("bob", "", "hello");
    accepted(&text, &Limits { body: 5, ..Limits::default() });
    refused(&text, &Limits { body: 4, ..Limits::default() }, Fault::BodyTooLong, 413, true);
}

/// Nobody waits for a body that will be refused.
#[test]
fn a_body_too_long_is_refused_on_a_stream_before_it_comes() {
    let text = message("bob", "", "").replace("Content-Length: 0", "Content-Length: 1048577");
    let mut buffer = BytesMut::from(&*text);
    let Some(StreamItem::Broken(refusal)) = StreamParser::new(Limits::default()).next(&mut buffer) else { panic!() };
    assert_eq!((refusal.fault(), status(&refusal)), (&Fault::BodyTooLong, Some(413)));
}

/// The defaults, which operators read in the manual.
#[test]
fn the_defaults_are_what_their_documentation_says() {
    let limits = Limits::default();
    let message = (limits.message, limits.head, limits.body);
    assert_eq!(message, (65_535 + 1_048_576, 65_536, 1_048_576));
    assert_eq!((limits.line, limits.uri, limits.headers), (8_192, 4_096, 256));
    accepted(&self::message(&"b".repeat(4_096 - "sip:@example.com".len()), "", ""), &limits);
    accepted(&self::message("bob", &format!("X: {}\r\n", "x".repeat(8_192 - 3)), ""), &limits);
    accepted(&self::message("bob", &"X-Y: z\r\n".repeat(256 - 6), ""), &limits);
}
