//! What holds for every message: printing is the inverse of parsing; a value is one line or an error; nothing makes the
//! parser panic; how a message comes makes no difference. What edits do: `edits.rs`.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use bytes::{Bytes, BytesMut};
use common::{assert_same, in_words, template, text_of_template};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sip_message::{
    HeaderName, Headers, Limits, Message, Request, Response, StatusCode, StreamItem, StreamParser, parse_datagram,
};
use std::sync::LazyLock;

fn parse(octets: impl Into<Bytes>) -> Result<Message, sip_message::Refusal> {
    parse_datagram(octets.into(), &Limits::default())
}

/// Headers in which any text may stand.
const FREE: [HeaderName; 5] =
    [HeaderName::Subject, HeaderName::Organization, HeaderName::UserAgent, HeaderName::Server, HeaderName::Warning];

/// Text with more of what a line is made of than chance gives.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "(?s).{0,24}",
        "[ \\t\\r\\n:;,<>\"\\\\\0a]{0,16}",
        "a?\r\n(X: y|Via: z|\r\n| folded)?",
        "[ -~\u{80}-\u{2fff}]{0,40}",
        "\"(\\\\\0|\\\\\"|[a-z]){0,6}\"?",
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..64), text().prop_map(String::into_bytes)]
}

/// What is set and what comes back: a value is not white space round it (RFC 3261 §25.1).
fn trimmed(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

proptest! {
    #[test]
    fn what_is_built_from_any_text_is_read_back_as_it_was_built(
        values in proptest::collection::vec((select(&FREE[..]), text()), 0..4),
        extensions in proptest::collection::vec(("X-[a-zA-Z!%~.]{1,8}", text()), 0..4),
        body in body(),
    ) {
        let mut request = template();
        for (name, value) in &values {
            let _ = request.headers_mut().set(*name, value);
        }
        for (name, value) in &extensions {
            let _ = request.headers_mut().push_extension(name, value);
        }
        request.set_body("application/octet-stream", body.clone()).unwrap();
        let printed = request.to_bytes();
        let read = parse(printed.clone()).unwrap_or_else(|e| panic!("{e}: {printed:?}"));
        prop_assert_eq!(read.body(), &body);
        let fields = |headers: &Headers| -> Vec<(String, String)> {
            let given = |(name, _): &(&str, &str)| !name.eq_ignore_ascii_case("Content-Length");
            headers.iter().filter(given).map(|(name, value)| (name.to_owned(), trimmed(value).to_owned())).collect()
        };
        prop_assert_eq!(fields(read.headers()), fields(request.headers()));
        // From here on nothing changes any more.
        let again = parse(read.to_bytes()).unwrap();
        prop_assert_eq!(again.to_bytes(), read.to_bytes());
        assert_same(&again, &read);
    }

    #[test]
    fn a_response_with_any_reason_is_read_back_or_refused(code in 100u16..700, reason in text()) {
        let mut response = Response::to(&template(), StatusCode::new(code).unwrap());
        let breaks = reason.contains(['\r', '\n', '\0']);
        prop_assert_eq!(response.set_reason(&reason).is_err(), breaks);
        let printed = response.to_bytes();
        let Ok(Message::Response(read)) = parse(printed.clone()) else { panic!("{printed:?}") };
        prop_assert_eq!(read.status().code(), code);
        let expected = if breaks { response.status().reason_phrase() } else { &reason };
        prop_assert_eq!(read.reason(), expected);
        prop_assert_eq!(read.headers().len(), response.headers().len() + 1);
    }

    /// "A value set by an application can never inject a header line."
    #[test]
    fn a_value_set_is_exactly_one_field_or_an_error(name in select(settable()), value in text(), how in 0..5) {
        let mut request = template();
        for name in &FREE[..3] {
            request.headers_mut().push(*name, "x").unwrap();
        }
        let before: Vec<String> = lines(&request);
        let headers = request.headers_mut();
        let done = match how {
            0 => headers.push(name, &value),
            1 => headers.push_front(name, &value),
            2 => headers.set(name, &value),
            3 => headers.replace_first(name, &value),
            _ => headers.push_extension(name.as_str(), &value),
        };
        let after = lines(&request);
        match done {
            Err(_) => prop_assert_eq!(before, after),
            Ok(()) => {
                let mut others = after.clone();
                let line = format!("{name}: {value}");
                let at = others.iter().position(|one| *one == line);
                prop_assert!(at.is_some(), "{:?} in {:?}", line, after);
                others.remove(at.unwrap());
                let mut before = before;
                if how == 2 || how == 3 {
                    let of_name = |one: &String| one.split(':').next() == Some(name.as_str());
                    before.retain(|one| !of_name(one));
                }
                prop_assert_eq!(before, others);
            }
        }
    }

    #[test]
    fn a_name_is_a_token_or_an_error(name in text()) {
        let mut headers = Headers::new();
        let is_token = !name.is_empty()
            && name.bytes().all(|o| o.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&o));
        prop_assert_eq!(headers.push_extension(&name, "v").is_ok(), is_token);
        prop_assert!(headers.push(HeaderName::Extension, "v").is_err());
        prop_assert_eq!(headers.len(), usize::from(is_token));
    }

    #[test]
    fn a_value_that_was_received_can_be_put_back(value in "[ \\ta-c\\\\\"\0\u{e9};,<>]{0,14}(\r\n [\\\\\"\0a]{0,8})?") {
        let octets = format!("{}Subject: {value}\r\n\r\n", text_of_template());
        let Ok(read) = parse(octets) else { return Ok(()) };
        let mut headers = Headers::new();
        let received = read.headers().first(HeaderName::Subject).unwrap();
        prop_assert_eq!(headers.push(HeaderName::Subject, received), Ok(()));
        prop_assert_eq!(headers.first(HeaderName::Subject), Some(received));
    }

    #[test]
    fn any_octets_are_accepted_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = parse(octets.clone()).map(|message| message.to_bytes());
        drain(&mut StreamParser::new(Limits::default()), &octets);
    }

    #[test]
    fn any_lines_are_accepted_or_refused(
        start in "(OPTIONS|SIP/2.0|[ -~]{0,8}) ?(sip:[a-z@.:;?]{0,8}|[0-9]{0,4})? ?(SIP/2.0|[ -~]{0,4})?",
        fields in proptest::collection::vec(line(), 0..12),
    ) {
        let mut octets = start.into_bytes();
        octets.extend_from_slice(b"\r\n");
        fields.iter().for_each(|line| octets.extend_from_slice(line.as_bytes()));
        octets.extend_from_slice(b"\r\n");
        let _ = parse(octets.clone()).map_err(|refusal| refusal.response().map(|it| it.to_bytes()));
        drain(&mut StreamParser::new(Limits::default()), &octets);
    }

    #[test]
    fn a_message_with_octets_changed_is_accepted_or_refused_and_what_is_accepted_is_printed_and_read_again(
        which in any::<Index>(),
        changes in proptest::collection::vec((any::<Index>(), mutation()), 1..6),
    ) {
        let mut octets = which.get(&SAMPLES[..]).clone();
        for (at, change) in changes {
            change.apply(&mut octets, at);
        }
        match parse(octets.clone()) {
            Ok(read) => {
                let printed = read.to_bytes();
                let again = parse(printed.clone()).unwrap_or_else(|e| panic!("{e}: {printed:?}"));
                prop_assert_eq!(again.to_bytes(), printed);
                for name in HeaderName::ALL {
                    for value in read.headers().values(*name) {
                        let _ = sip_message::header::parse_any(*name, value);
                    }
                }
            }
            Err(refusal) => {
                // An answer to a malformed message holds no line break that was not in a line's place.
                if let Some(response) = refusal.response() {
                    let printed = String::from_utf8(response.to_bytes().to_vec()).unwrap();
                    prop_assert_eq!(printed.matches(['\r', '\n']).count(), 2 * printed.matches("\r\n").count());
                    prop_assert_eq!(printed.matches("\r\n").count(), response.headers().len() + 3);
                }
            }
        }
    }

    /// Where both accept, they accept the same; a stream refuses more only for want of a Content-Length.
    #[test]
    fn datagram_and_stream_agree(
        which in any::<Index>(),
        changes in proptest::collection::vec((any::<Index>(), mutation()), 0..3),
        cut in any::<Index>(),
    ) {
        let mut octets = which.get(&SAMPLES[..]).clone();
        for (at, change) in changes {
            change.apply(&mut octets, at);
        }
        let mut parser = StreamParser::new(Limits::default());
        let mut buffer = BytesMut::new();
        let cut = cut.index(octets.len() + 1);
        let mut items = Vec::new();
        for piece in [&octets[..cut], &octets[cut..]] {
            buffer.extend_from_slice(piece);
            while let Some(item) = parser.next(&mut buffer) {
                if !matches!(item, StreamItem::Ping | StreamItem::Pong) {
                    items.push(item);
                }
            }
        }
        match (parse(octets.clone()), items.first()) {
            (Ok(datagram), Some(StreamItem::Message(message))) => assert_same(&datagram, message),
            (Ok(datagram), Some(StreamItem::Broken(refusal))) => {
                prop_assert_eq!(refusal.fault(), &sip_message::Fault::ContentLengthMissing);
                prop_assert!(!datagram.headers().contains(HeaderName::ContentLength));
            }
            // A stream may wait for more where a datagram is cut off.
            (Err(_), None) => {}
            (Err(datagram), Some(StreamItem::Refused(refusal) | StreamItem::Broken(refusal))) => {
                let same = refusal.fault() == datagram.fault();
                let missing = *refusal.fault() == sip_message::Fault::ContentLengthMissing;
                let cut_off = *datagram.fault() == sip_message::Fault::BodyCutOff;
                prop_assert!(same || missing || cut_off, "{} and {}", datagram, refusal);
            }
            (datagram, item) => panic!("{datagram:?} and {:?}", item.map(in_words)),
        }
    }
}

/// All but the Content-Length, which is not the caller's to say: see `edits.rs`.
fn settable() -> Vec<HeaderName> {
    HeaderName::ALL.iter().copied().filter(|name| *name != HeaderName::ContentLength).collect()
}

/// The lines between start-line and empty line.
fn lines(request: &Request) -> Vec<String> {
    let printed = String::from_utf8(request.to_bytes().to_vec()).unwrap();
    let head = printed.split_once("\r\n\r\n").unwrap().0;
    head.split("\r\n").skip(1).filter(|line| *line != "Content-Length: 0").map(str::to_owned).collect()
}

fn drain(parser: &mut StreamParser, octets: &[u8]) {
    let mut buffer = BytesMut::from(octets);
    while parser.next(&mut buffer).is_some() {}
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "(Via|v|From|To|t|Call-ID|CSeq|l|Content-Length|[ -~]{0,6}) ?: ?[ -~]{0,16}(\r\n [ -~]{0,6})?\r\n",
        Just("Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n".to_owned()),
        Just("From: <sip:a@b>;tag=1\r\n".to_owned()),
        Just("To: <sip:a@b>\r\n".to_owned()),
        Just("Call-ID: 1\r\n".to_owned()),
        Just("CSeq: 1 OPTIONS\r\n".to_owned()),
        Just("Content-Length: 0\r\n".to_owned()),
        "(?s).{0,16}",
    ]
}

static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut samples: Vec<Vec<u8>> = vec![
        template().to_bytes().to_vec(),
        Response::to(&template(), StatusCode::OK).to_bytes().to_vec(),
        b"INVITE sip:bob@192.0.2.4;transport=udp SIP/2.0\r\nv: SIP / 2.0 / UDP a.example:5060\r\n ;branch=z9hG4bK1, \
          SIP/2.0/TCP [2001:db8::1];branch=z9hG4bK2;received=\"x,y\"\r\nRoute: <sip:p,q@example.com;lr>,<sip:r;lr>\r\n\
          f: \"A \\\"B\\\" \\\0\" <sip:a@example.com>;tag=1\r\nt: sip:b@example.com;x=\"\\\\\"\r\ni: 1@2\r\n\
          CSeq:\r\n 7\r\n  INVITE\r\nMax-Forwards: 70\r\nm: *\r\ns:\r\nc: text/plain\r\nl: 4\r\n\r\n\r\n\r\n"
            .to_vec(),
        b"\r\n\r\nACK sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\n\
          CSeq: 1 ACK\r\n\r\nbody"
            .to_vec(),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    samples.extend(common::read_files(folder, "bin").into_values().map(|octets| octets.to_vec()));
    samples.extend(common::files("rfc4475", "dat").into_values().map(|octets| octets.to_vec()));
    samples
});

/// A change to a message.
#[derive(Clone, Debug)]
enum Mutation {
    Set(u8),
    Insert(&'static [u8]),
    Remove(usize),
    Double(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let pieces: Vec<&'static [u8]> = vec![
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"\"",
        b"\\",
        b"<",
        b">",
        b"@",
        b"%",
        b"%00",
        b"\r\n ",
        b"\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"l: 0\r\n",
        b"\xff",
        b"\xc3\xa9",
        b"SIP/2.0",
        b"=",
        b"\r\nVia: x\r\n",
    ];
    prop_oneof![
        any::<u8>().prop_map(Mutation::Set),
        select(pieces).prop_map(Mutation::Insert),
        (1usize..40).prop_map(Mutation::Remove),
        (1usize..80).prop_map(Mutation::Double),
    ]
}

impl Mutation {
    fn apply(self, octets: &mut Vec<u8>, at: Index) {
        let at = at.index(octets.len() + 1);
        let end = |length: usize| (at + length).min(octets.len());
        match self {
            Mutation::Set(octet) => {
                if let Some(place) = octets.get_mut(at) {
                    *place = octet;
                }
            }
            Mutation::Insert(piece) => drop(octets.splice(at..at, piece.iter().copied())),
            Mutation::Remove(length) => drop(octets.drain(at..end(length))),
            Mutation::Double(length) => {
                let piece = octets[at..end(length)].to_vec();
                octets.splice(at..at, piece);
            }
        }
    }
}
