//! Messages out of a byte stream, RFC 3261 §18.3 and §7.5, RFC 5626 §3.5.1: how the octets are cut into pieces never
//! matters, and what can't be framed ends the stream.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use bytes::{Bytes, BytesMut};
use common::{assert_same, in_words, parse, status, stream};
use sip_message::{Fault, Limits, StreamItem, StreamParser, StreamState};

fn request(call_id: &str, rest: &str) -> String {
    format!(
        "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK{call_id}\r\n\
         From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: {call_id}\r\nCSeq: 1 MESSAGE\r\n{rest}"
    )
}

fn with_body(call_id: &str, body: &str) -> String {
    request(call_id, &format!("Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn response(call_id: &str) -> String {
    format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK{call_id}\r\n\
         From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>;tag=2\r\nCall-ID: {call_id}\r\nCSeq: 1 MESSAGE\r\n\
         l: 0\r\n\r\n"
    )
}

/// Streams with the number of items in them.
fn streams() -> Vec<(&'static str, String, usize)> {
    let (one, two) = (with_body("one", "hello"), with_body("two", "v=0\r\n\r\n\r\nINVITE x SIP/2.0\r\n"));
    vec![
        ("back to back", format!("{one}{two}{}", response("three")), 3),
        ("keep-alives between", format!("{one}\r\n\r\n{two}\r\n\r\n\r\n\r\n{one}\r\n"), 10),
        ("keep-alives first", format!("\r\n\r\n{one}"), 3),
        ("one line end first", format!("\r\n{one}\r\n"), 3),
        ("folded", format!("{}{one}", request("f", "Subject: a\r\n b\r\nContent-Length:\r\n 2\r\n\r\nhi")), 2),
        ("refused in the middle", format!("{one}{}{two}", with_body("bad", "x").replace("CSeq: 1", "CSeq: -1")), 3),
        ("unknown version in the middle", format!("{one}{}{two}", with_body("v", "x").replacen("2.0", "3.0", 1)), 3),
        (
            "broken at the end",
            format!("{one}{}{two}", request("b", "Content-Length: 1\r\nContent-Length: 2\r\n\r\nhi")),
            2,
        ),
        ("broken in the keep-alive", format!("{one}\r\n\r{two}"), 3),
        ("unfinished head", format!("{one}{}", &two[..60]), 1),
        ("unfinished body", format!("{one}{}", &two[..two.len() - 1]), 1),
    ]
}

#[test]
fn every_split_gives_the_items_of_one_piece() {
    let limits = Limits::default();
    for (name, text, count) in streams() {
        let octets = text.as_bytes();
        let whole = stream([octets], &limits);
        assert_eq!(whole.len(), count, "{name}: {whole:#?}");
        for at in 0..=octets.len() {
            assert_eq!(stream([&octets[..at], &octets[at..]], &limits), whole, "{name} at {at}");
        }
    }
}

#[test]
fn pieces_of_any_size_give_the_items_of_one_piece() {
    let limits = Limits::default();
    for (name, text, _) in streams() {
        let whole = stream([text.as_bytes()], &limits);
        for size in [1, 2, 3, 4, 5, 7, 16, 61] {
            assert_eq!(stream(text.as_bytes().chunks(size), &limits), whole, "{name} by {size}");
        }
    }
}

#[test]
fn every_split_in_three_of_a_short_stream_gives_the_items_of_one_piece() {
    let limits = Limits::default();
    let text = format!("\r\n\r\n{}\r\n\r\n\r\n", request("s", "l:1\r\n\r\n!"));
    let octets = text.as_bytes();
    let whole = stream([octets], &limits);
    assert_eq!(whole.len(), 6);
    for first in 0..=octets.len() {
        for second in first..=octets.len() {
            let pieces = [&octets[..first], &octets[first..second], &octets[second..]];
            assert_eq!(stream(pieces, &limits), whole, "{first}, {second}");
        }
    }
}

#[test]
fn a_message_is_the_same_from_a_stream_and_from_a_datagram() {
    for text in [with_body("one", "hello"), response("two"), request("f", "Subject: a\r\n b\r\nl: 0\r\n\r\n")] {
        let mut buffer = BytesMut::from(text.as_bytes());
        let Some(StreamItem::Message(message)) = StreamParser::new(Limits::default()).next(&mut buffer) else {
            panic!("{text}");
        };
        assert_same(&message, &parse(text.as_bytes()).unwrap());
        assert!(buffer.is_empty());
    }
}

/// RFC 5626 §3.5.1: CRLF CRLF is a ping, a single CRLF is its answer.
#[test]
fn a_pong_does_not_wait_for_what_comes_behind_it() {
    let mut parser = StreamParser::new(Limits::default());
    let mut buffer = BytesMut::from("\r\n");
    assert!(matches!(parser.next(&mut buffer), Some(StreamItem::Pong)));
    assert!(parser.next(&mut buffer).is_none());
    buffer.extend_from_slice(b"\r\n");
    assert!(matches!(parser.next(&mut buffer), Some(StreamItem::Ping)));
    assert!(parser.next(&mut buffer).is_none());
    assert_eq!(parser.state(&buffer), StreamState::Idle);
}

/// RFC 3261 §20.14: on a stream the Content-Length is mandatory.
#[test]
fn a_message_without_content_length_breaks_the_stream_and_is_answered_400() {
    let items = broken_by(&request("m", "\r\n"));
    assert_eq!(items, (Fault::ContentLengthMissing, Some(400)));
}

#[test]
fn two_content_lengths_that_differ_break_the_stream_and_are_answered_400() {
    for lines in ["Content-Length: 1\r\nl: 2\r\n\r\n", "l: 2\r\nX: y\r\nContent-Length: 1\r\n\r\n"] {
        assert_eq!(broken_by(&request("d", lines)), (Fault::ContentLength, Some(400)));
    }
}

/// RFC 4475 §3.1.2.3: "the framing error is not recoverable, and the connection should be closed".
#[test]
fn a_content_length_that_is_no_number_breaks_the_stream_and_is_answered_400() {
    for value in ["-999", "five", "", "5, 5", "1e3", "18446744073709551616"] {
        let text = request("n", &format!("Content-Length: {value}\r\n\r\n"));
        assert_eq!(broken_by(&text), (Fault::ContentLength, Some(400)), "{value}");
    }
}

/// The first fault is told, and is not forgotten for the missing length.
#[test]
fn a_foreign_version_without_content_length_is_answered_505() {
    assert_eq!(broken_by(&request("v", "\r\n").replacen("2.0", "9.0", 1)), (Fault::Version, Some(505)));
}

/// RFC 4475 §3.1.2.2: there is "not much the receiving party could do but wait".
#[test]
fn a_content_length_beyond_the_octets_takes_what_comes_next_into_the_body() {
    let next = with_body("next", "");
    let text = format!("{}{next}", request("lying", &format!("Content-Length: {}\r\n\r\nhello", 5 + next.len())));
    let items = stream([text.as_bytes()], &Limits::default());
    assert_eq!(items.len(), 1);
    assert!(items[0].ends_with(&next));
}

#[test]
fn a_content_length_short_of_the_octets_leaves_a_rest_that_is_no_message() {
    let text = request("short", "Content-Length: 2\r\n\r\nhello\r\n\r\n");
    let items = stream([text.as_bytes()], &Limits::default());
    assert_eq!(items.len(), 2);
    assert_eq!(items[1], "broken Malformed start line, None");
}

#[test]
fn a_claimed_body_takes_no_memory_before_it_comes() {
    let mut parser = StreamParser::new(Limits::default());
    let mut buffer = BytesMut::from(&*request("big", "Content-Length: 1048576\r\n\r\n"));
    assert!(parser.next(&mut buffer).is_none());
    assert!(buffer.capacity() < 100_000, "{}", buffer.capacity());
}

#[test]
fn a_head_too_long_breaks_the_stream_at_the_limit_however_it_comes() {
    let limits = Limits { head: 300, ..Limits::default() };
    let text = request("h", &format!("X: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(300)));
    for pieces in [vec![text.as_bytes()], text.as_bytes().chunks(1).collect()] {
        let items = stream(pieces, &limits);
        assert_eq!(items, ["broken Head too long, Some(513)"]);
    }
    let mut parser = StreamParser::new(limits);
    let mut buffer = BytesMut::from(&text.as_bytes()[..304]);
    assert!(matches!(parser.next(&mut buffer), Some(StreamItem::Broken(_))));
}

/// What answers a head that is too long is never taken from the body behind it.
#[test]
fn the_answer_to_a_head_too_long_is_made_of_the_head() {
    let limits = Limits { head: 300, ..Limits::default() };
    let body = "Via: SIP/2.0/UDP evil.example\r\nX: y\r\n";
    let text = request("h", &format!("X: {}\r\nContent-Length: {}\r\n\r\n{body}", "x".repeat(300), body.len()));
    let mut buffer = BytesMut::from(&*text);
    let Some(StreamItem::Broken(refusal)) = StreamParser::new(limits).next(&mut buffer) else { panic!() };
    let printed = refusal.response().unwrap().to_bytes();
    assert!(memchr::memmem::find(&printed, b"evil").is_none());
}

#[test]
fn the_state_tells_which_deadline_runs() {
    let text = with_body("s", "hello");
    let mut parser = StreamParser::new(Limits::default());
    let mut buffer = BytesMut::new();
    assert_eq!(parser.state(&buffer), StreamState::Idle);
    let head = text.len() - 5;
    for (at, octet) in text.bytes().enumerate() {
        buffer.extend_from_slice(&[octet]);
        let item = parser.next(&mut buffer);
        let expected = match at + 1 {
            n if n == text.len() => StreamState::Idle,
            n if n >= head => StreamState::InBody,
            _ => StreamState::InHead,
        };
        assert_eq!(item.is_some(), at + 1 == text.len());
        assert_eq!(parser.state(&buffer), expected, "behind octet {at}");
    }
}

#[test]
fn after_a_broken_message_nothing_more_is_read() {
    let mut parser = StreamParser::new(Limits::default());
    let mut buffer = BytesMut::from(&*format!("{}{}", request("m", "\r\n"), with_body("next", "x")));
    assert!(matches!(parser.next(&mut buffer), Some(StreamItem::Broken(_))));
    for _ in 0..3 {
        assert!(parser.next(&mut buffer).is_none());
        assert!(buffer.is_empty());
        buffer.extend_from_slice(with_body("again", "x").as_bytes());
        buffer.extend_from_slice(b"\r\n\r\n");
    }
}

/// A message holds its own octets: the stream's buffer is used on.
#[test]
fn a_message_outlives_the_buffer_that_it_came_in() {
    let mut parser = StreamParser::new(Limits::default());
    let mut buffer = BytesMut::from(&*with_body("one", "hello"));
    let Some(StreamItem::Message(message)) = parser.next(&mut buffer) else { panic!() };
    buffer.extend_from_slice(&[b'z'; 4096]);
    assert_eq!(message.to_bytes(), Bytes::from(with_body("one", "hello")));
}

fn broken_by(text: &str) -> (Fault, Option<u16>) {
    let mut buffer = BytesMut::from(text);
    match StreamParser::new(Limits::default()).next(&mut buffer) {
        Some(StreamItem::Broken(refusal)) => (refusal.fault().clone(), status(&refusal)),
        other => panic!("{:?}", other.as_ref().map(in_words)),
    }
}
