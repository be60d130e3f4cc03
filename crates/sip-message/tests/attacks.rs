//! Hostile messages, one a class of attack: what the parser says to them, and that it says so at once.
//!
//! The small ones stand in `attacks/` beside this file; the long ones are made here, or read from the shared vectors
//! where these are at hand. Attacks on what is above the parser are accepted here, and are theirs to refuse; the table
//! says what they can tell it from.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use bytes::Bytes;
use common::{parse, read_files, refusal, request, status, stream};
use sip_message::header::{Authorization, Contact, ContentType, Expires, MaxForwards, To, Via};
use sip_message::{Fault, HeaderName, Host, Limits, Message};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What becomes of an attack that comes as a datagram, and as the only octets of a stream.
struct Attack {
    name: &'static str,
    datagram: Outcome,
    stream: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Refused with this status; on a stream nothing can be framed after it.
    Refused(u16),
    /// Refused without an answer; on a stream nothing can be framed after it.
    Dropped,
    /// Refused with this status, and the stream goes on.
    RefusedAndOn(u16),
    /// Accepted.
    Accepted,
    /// The stream waits for more until its deadline.
    Waits,
}

use Outcome::{Accepted, Dropped, Refused, RefusedAndOn, Waits};

const ATTACKS: &[Attack] = &[
    // The body ends where Content-Length says; what is left of the stream is no message (see below).
    Attack { name: "cl-short", datagram: Accepted, stream: Accepted },
    Attack { name: "cl-i64-overflow", datagram: Refused(400), stream: Refused(400) },
    Attack { name: "cl-list", datagram: Refused(400), stream: Refused(400) },
    Attack { name: "cl-missing-tcp", datagram: Accepted, stream: Refused(400) },
    Attack { name: "hdr-name-ctl", datagram: Refused(400), stream: RefusedAndOn(400) },
    Attack { name: "hdr-nul-name", datagram: Refused(400), stream: RefusedAndOn(400) },
    Attack { name: "hdr-bare-cr", datagram: Refused(400), stream: Refused(400) },
    // A password has no colon; with escaped ones the same URI is accepted (see below).
    Attack { name: "uri-escaped-crlf", datagram: Refused(400), stream: RefusedAndOn(400) },
    Attack { name: "cseq-neg", datagram: Refused(400), stream: RefusedAndOn(400) },
    Attack { name: "via-broadcast", datagram: Accepted, stream: Accepted },
    Attack { name: "via-received-forged", datagram: Accepted, stream: Accepted },
    Attack { name: "max-forwards-missing", datagram: Accepted, stream: Accepted },
    Attack { name: "auth-cut", datagram: Accepted, stream: Accepted },
    Attack { name: "contact-uri-headers", datagram: Accepted, stream: Accepted },
    Attack { name: "multipart-empty-boundary", datagram: Accepted, stream: Accepted },
    Attack { name: "register-star-with-others", datagram: Accepted, stream: Accepted },
    Attack { name: "cancel-no-transaction", datagram: Accepted, stream: Accepted },
    Attack { name: "ack-stray", datagram: Accepted, stream: Accepted },
    Attack { name: "resp-unsolicited-200", datagram: Accepted, stream: Accepted },
    Attack { name: "http-on-sip-port", datagram: Dropped, stream: Dropped },
    Attack { name: "stun-on-sip-port", datagram: Dropped, stream: Waits },
];

fn attacks() -> BTreeMap<String, Bytes> {
    read_files(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/attacks"), "bin")
}

fn attack(name: &str) -> Bytes {
    attacks().remove(name).unwrap()
}

/// An OPTIONS with these lines in the middle.
fn options(lines: &str) -> String {
    format!(
        "OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;rport;branch=z9hG4bKatt\r\n\
         Max-Forwards: 70\r\nFrom: <sip:mallory@example.net>;tag=m1\r\nTo: <sip:bob@example.com>\r\n\
         Call-ID: att@127.0.0.1\r\nCSeq: 1 OPTIONS\r\n{lines}Content-Length: 0\r\n\r\n"
    )
}

fn as_datagram(octets: &[u8]) -> Outcome {
    match parse(octets) {
        Ok(_) => Accepted,
        Err(refusal) => status(&refusal).map_or(Dropped, Refused),
    }
}

fn as_stream(octets: &[u8]) -> Outcome {
    let items = stream([octets], &Limits::default());
    let Some(first) = items.first() else { return Waits };
    let code = || first.split("Some(").nth(1).and_then(|rest| rest.trim_end_matches(')').parse().ok());
    match first.split(' ').next() {
        Some("message") => Accepted,
        Some("refused") => code().map_or(Dropped, RefusedAndOn),
        _ => code().map_or(Dropped, Refused),
    }
}

#[test]
fn corpus_is_completely_classified() {
    let mut named: Vec<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
    named.sort_unstable();
    assert_eq!(named, attacks().keys().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn every_attack_has_its_outcome_on_both_kinds_of_transport() {
    let files = attacks();
    for attack in ATTACKS {
        let octets = &files[attack.name];
        assert_eq!((as_datagram(octets), as_stream(octets)), (attack.datagram, attack.stream), "{}", attack.name);
    }
}

#[test]
fn text_behind_a_short_content_length_never_becomes_part_of_the_body() {
    let octets = attack("cl-short");
    assert_eq!(request(&octets).body().len(), 92);
    let items = stream([&octets[..], b"\r\n\r\n"], &Limits::default());
    assert_eq!(items.len(), 2);
    assert!(items[1].starts_with("broken Malformed start line"), "{}", items[1]);
}

#[test]
fn a_content_length_that_two_readers_may_read_differently_ends_the_stream() {
    for lines in [
        "Content-Length: 5\r\n",
        "l: 5\r\n",
        "Content-Length : 5\r\n",
        "Content-Length:\r\n 5\r\n",
        "Content-Length: 0, 0\r\n",
        "Content-Length: +0\r\n",
        "Content-Length: -0\r\n",
        "Content-Length: 0x0\r\n",
        "Content-Length: 0\0\r\n",
        "Content-Length: \r\n",
        "Content-Length: 0 0\r\n",
        "Content-Length: 99999999999999999999\r\n",
        // A fault that comes first does not hide the second.
        "Broken\r\nContent-Length: 5\r\n",
        "Subject: a\rb\r\nContent-Length: 0\r\n",
        // Where reading ends, another one may follow.
        "Content-Length: 0\r\nSubject: a\rb\r\n",
        "Content-Length: 0\r\nSubject: a\r\n b\rc\r\n",
    ] {
        assert_eq!(as_stream(options(lines).as_bytes()), Refused(400), "{lines:?}");
    }
    let hidden = format!("Content-Length:{}5\r\n", " ".repeat(9_000));
    assert_eq!(as_stream(options(&hidden).as_bytes()), Refused(400));
    let many = format!("Content-Length: 0\r\n{}", "X-Y: z\r\n".repeat(256));
    assert_eq!(as_stream(options(&many).as_bytes()), Refused(400));
    let unknown_version = options("Content-Length: 5\r\n").replacen("SIP/2.0", "SIP/7.0", 1);
    assert_eq!(as_stream(unknown_version.as_bytes()), Refused(505));
}

/// Equal ones frame the message, which is refused all the same (RFC 3261 §7.3.1).
#[test]
fn a_repeated_content_length_is_refused_and_the_stream_goes_on() {
    assert_eq!(as_stream(options("Content-Length: 0\r\n").as_bytes()), RefusedAndOn(400));
    assert_eq!(as_stream(options("l: 00\r\n").as_bytes()), RefusedAndOn(400));
}

#[test]
fn no_control_character_makes_a_header_or_ends_one() {
    assert_eq!(*refusal(&attack("hdr-name-ctl")).fault(), Fault::HeaderLine);
    assert_eq!(*refusal(&attack("hdr-nul-name")).fault(), Fault::HeaderLine);
    let bare = refusal(&attack("hdr-bare-cr"));
    assert_eq!(*bare.fault(), Fault::StrayControl);
    assert!(!bare.response().unwrap().headers().contains(HeaderName::Route));
    for value in ["a\rb", "a\nb", "a\n b", "a\r b", "a\0b", "\"a\0b\"", "a\\\0b"] {
        let refusal = refusal(options(&format!("Subject: {value}\r\n")).as_bytes());
        assert_eq!(*refusal.fault(), Fault::StrayControl, "{value:?}");
    }
    let reason = b"SIP/2.0 200 O\0K\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\r\n";
    assert_eq!(*refusal(reason).fault(), Fault::StartLine);
}

#[test]
fn an_escaped_line_end_stays_escaped() {
    let octets = attack("uri-escaped-crlf");
    assert_eq!(*refusal(&octets).fault(), Fault::RequestUri);
    let uri = "sip:bob%0d%0aRoute%3a%20%3csip%3aevil.example%3e@example.com";
    let text = String::from_utf8(octets.to_vec()).unwrap();
    let text = text.replace("sip:bob%0d%0aRoute:%20%3csip:evil.example%3e@example.com", uri);
    let request = request(text.as_bytes());
    assert_eq!(request.uri_text(), uri);
    let user = request.uri().sip().unwrap().user().unwrap().into_owned();
    assert_eq!(user, "bob\r\nRoute: <sip:evil.example>");
    // Put back by somebody who forgot that it was unescaped, it is refused.
    let mut headers = request.headers().clone();
    assert!(headers.push(HeaderName::Subject, &user).is_err());
    assert!(sip_message::UriBuf::sip(&*user, Host::Name("example.com"), None).is_err());
    assert!(!headers.contains(HeaderName::Route));
}

#[test]
fn what_an_answer_must_not_follow_can_be_told() {
    let broadcast = request(&attack("via-broadcast"));
    assert_eq!(broadcast.headers().get::<Via>().unwrap().unwrap().host(), Host::V4([255; 4].into()));
    let forged = request(&attack("via-received-forged"));
    let via = forged.headers().get::<Via>().unwrap().unwrap();
    let stamped = via.with_received([127, 0, 0, 1].into()).with_rport(Some(5070)).to_string();
    assert!(!stamped.contains("127.0.0.9") && !stamped.contains("rport=9"), "{stamped}");
    let endless = request(&attack("max-forwards-missing"));
    assert!(endless.headers().get::<MaxForwards>().is_none());
    let contact = request(&attack("contact-uri-headers"));
    let contact = contact.headers().get::<Contact>().unwrap().unwrap();
    assert!(contact.uri().unwrap().check_request_uri().is_err());
}

#[test]
fn what_a_registrar_must_refuse_can_be_told() {
    let cut = request(&attack("auth-cut"));
    assert!(cut.headers().get::<Authorization>().unwrap().is_err());
    let star = request(&attack("register-star-with-others"));
    let contacts: Vec<Contact> = star.headers().all().map(Result::unwrap).collect();
    assert!(contacts.contains(&Contact::Star) && contacts.len() == 2);
    assert_eq!(star.headers().get::<Expires>().unwrap().unwrap(), Expires(0));
}

#[test]
fn an_empty_boundary_is_no_boundary() {
    let message = request(&attack("multipart-empty-boundary"));
    let content_type = message.headers().get::<ContentType>().unwrap();
    assert!(content_type.is_err() || content_type.is_ok_and(|it| it.boundary().is_none_or(|b| b.is_empty())));
}

#[test]
fn requests_that_belong_to_nothing_are_still_requests() {
    assert!(request(&attack("cancel-no-transaction")).headers().get::<Via>().unwrap().unwrap().has_unique_branch());
    assert_eq!(request(&attack("ack-stray")).headers().get::<To>().unwrap().unwrap().tag(), Some("guess"));
    assert!(matches!(parse(&attack("resp-unsolicited-200")), Ok(Message::Response(_))));
}

/// "ACK is never answered", however wrong it is.
#[test]
fn a_malformed_ack_or_response_gets_no_answer() {
    let ack = String::from_utf8(attack("ack-stray").to_vec()).unwrap();
    assert_eq!(status(&refusal(ack.replace("1 ACK", "-1 ACK").as_bytes())), None);
    let ok = String::from_utf8(attack("resp-unsolicited-200").to_vec()).unwrap();
    assert_eq!(status(&refusal(ok.replace("1 INVITE", "-1 INVITE").as_bytes())), None);
}

/// The long ones, made here: each is refused by its limit, or read.
fn long_attacks() -> Vec<(&'static str, Vec<u8>, Outcome, Outcome)> {
    let lines = |count: usize, line: fn(usize) -> String| options(&(0..count).map(line).collect::<String>());
    let uri = options("").replacen("sip:bob@", &format!("sip:{}@", "a".repeat(65_500)), 1);
    let one_line = |line: String| options(&format!("{line}\r\n"));
    vec![
        ("header flood", lines(5_000, |n| format!("X-{n}: a\r\n")).into(), Refused(400), Refused(400)),
        (
            "route flood",
            lines(500, |n| format!("Route: <sip:r{n}.example.com;lr>\r\n")).into(),
            Refused(400),
            Refused(400),
        ),
        (
            "credentials flood",
            lines(100, |n| {
                format!(
                    "Authorization: Digest username=\"a\",realm=\"r{n}\",nonce=\"n\",uri=\"sip:x\",response=\"0\"\r\n"
                )
            })
            .into(),
            Accepted,
            Accepted,
        ),
        ("uri of 64 KiB", uri.into(), Refused(414), Refused(414)),
        (
            "5000 parameters",
            one_line(format!(
                "Contact: <sip:m@127.0.0.1>{}",
                (0..5_000).map(|n| format!(";p{n}={n}")).collect::<String>()
            ))
            .into(),
            Refused(400),
            RefusedAndOn(400),
        ),
        ("64 KiB of folds", one_line(format!("X:{}", "\r\n ".repeat(20_000))).into(), Refused(400), RefusedAndOn(400)),
        ("8 KiB of folds", one_line(format!("X: a{}b", "\r\n ".repeat(2_700))).into(), Accepted, Accepted),
        ("8 KiB of quotes", one_line(format!("Via: {}", "\"".repeat(8_000))).into(), Accepted, Accepted),
        ("8 KiB of brackets", one_line(format!("Route: {}", "<".repeat(8_000))).into(), Accepted, Accepted),
        ("8 KiB of commas", one_line(format!("Route: {}", ",".repeat(8_000))).into(), Accepted, Accepted),
        ("8 KiB of backslashes", one_line(format!("Route: \"{}", "\\".repeat(8_000))).into(), Accepted, Accepted),
        ("60 KiB without a line", vec![b'a'; 60_000], Dropped, Waits),
        ("60 KiB of empty lines", b"\r\n".repeat(30_000), Dropped, Dropped),
        ("60 KiB of carriage returns", vec![b'\r'; 60_000], Dropped, Waits),
        ("60 KiB of NUL", vec![0; 60_000], Dropped, Waits),
    ]
}

#[test]
fn long_messages_are_refused_by_their_limit_or_read() {
    for (name, octets, datagram, stream) in long_attacks() {
        assert_eq!(as_datagram(&octets), datagram, "{name}");
        // Empty lines between messages are keep-alives, however many.
        if name != "60 KiB of empty lines" {
            assert_eq!(as_stream(&octets), stream, "{name}");
        }
    }
}

#[test]
fn a_flood_of_keep_alives_is_a_ping_for_every_two_line_ends() {
    let items = stream([&b"\r\n".repeat(10_000)[..]], &Limits::default());
    assert_eq!(items.len(), 10_000);
    assert_eq!(items.iter().filter(|item| *item == "ping").count(), 5_000);
}

/// "O(n) work, < 1 ms": the bound here is loose enough for a busy machine and a debug build, and still far below what
/// quadratic work on 64 KiB takes.
#[test]
fn no_attack_takes_long_in_one_piece_or_octet_by_octet() {
    const BOUND: Duration = Duration::from_millis(100);
    let mut all: Vec<(String, Bytes)> = attacks().into_iter().collect();
    all.extend(long_attacks().into_iter().map(|(name, octets, ..)| (name.to_owned(), octets.into())));
    if common::vectors("attacks").is_some() {
        all.extend(common::files("attacks", "bin"));
    }
    for (name, octets) in all {
        let best = |work: &dyn Fn()| {
            let time = |_| {
                let start = Instant::now();
                work();
                start.elapsed()
            };
            (0..3).map(time).min().unwrap()
        };
        let datagram = best(&|| {
            let read = parse(&octets);
            if let Ok(message) = read {
                for name in HeaderName::ALL {
                    message
                        .headers()
                        .values(*name)
                        .for_each(|value| drop(sip_message::header::parse_any(*name, value)));
                }
            }
        });
        assert!(datagram < BOUND, "{name}: {datagram:?}");
        let pieces = best(&|| drop(stream(octets.chunks(1), &Limits::default())));
        assert!(pieces < BOUND, "{name} octet by octet: {pieces:?}");
    }
}

/// The same in the shared vectors, which hold the long ones as files.
#[test]
fn the_long_ones_of_the_shared_vectors_have_their_outcome() {
    let files = common::files("attacks", "bin");
    for (name, outcome) in [
        ("hdr-flood-5000", Refused(400)),
        ("route-flood-500", Refused(400)),
        ("uri-64k", Refused(414)),
        ("params-5000", RefusedAndOn(400)),
        ("auth-100-headers", Accepted),
        ("sdp-128-fmts-x-fmtp", Accepted),
        ("xml-deep-10000", Accepted),
    ] {
        let Some(octets) = files.get(name) else { continue };
        assert_eq!(as_stream(octets), outcome, "{name}");
    }
}
