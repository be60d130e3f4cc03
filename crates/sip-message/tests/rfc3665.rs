//! The call flows of RFC 3665, and flows of RFC 3327, 3515, 4916 and 5626: every message is read as a reader reads it who
//! knows nothing but lines, colons and RFC 3261 §7.3.1.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::{assert_same, message, parse, stream};
use sip_message::header::{Cseq, Via, parse_any};
use sip_message::{HeaderName, Limits, Message};
use std::collections::BTreeMap;

/// The files hold blocks of text, one a message: lines indented by two behind `- |+`.
fn messages(yaml: &str) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for line in yaml.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with("- |") {
            messages.push(String::new());
        } else if let Some(text) = messages.last_mut() {
            assert!(line.is_empty() || line.starts_with("  "), "{line:?}");
            text.push_str(line.get(2..).unwrap_or(""));
            text.push_str("\r\n");
        }
    }
    messages
}

/// What a simple reader sees in a message.
struct Simple {
    start: Vec<String>,
    fields: Vec<(String, String)>,
    body: String,
}

fn read_simply(text: &str) -> Simple {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.trim_end(), ""));
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap().splitn(3, ' ').map(str::to_owned).collect();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        match (line.starts_with([' ', '\t']), fields.last_mut()) {
            (true, Some((_, value))) => *value = format!("{value} {}", line.trim()),
            _ => {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                fields.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }
    Simple { start, fields, body: body.to_owned() }
}

/// All messages of all files, with a name for each.
fn all() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (file, octets) in common::files("rfc3665-parsed", "yaml") {
        let messages = messages(std::str::from_utf8(&octets).unwrap());
        assert!(!messages.is_empty(), "{file}");
        all.extend(messages.into_iter().enumerate().map(|(n, text)| (format!("{file} F{}", n + 1), text)));
    }
    all
}

/// The text with a Content-Length for the body that is there: the flows count line ends that their text lost, and leave
/// out what the reader may add (RFC 5626 §9 has no Via).
fn completed(text: &str) -> String {
    let Simple { mut fields, body, start } = read_simply(text);
    let has = |fields: &[(String, String)], name: &str| fields.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
    if !has(&fields, "Via") {
        fields.insert(0, ("Via".into(), "SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKgiven".into()));
    }
    fields.retain(|(name, _)| !name.eq_ignore_ascii_case("Content-Length"));
    fields.push(("Content-Length".into(), body.len().to_string()));
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{}\r\n{fields}\r\n{body}", start.join(" "))
}

#[test]
fn every_message_is_read_as_a_simple_reader_reads_it() {
    for (name, text) in all() {
        let text = completed(&text);
        let simple = read_simply(&text);
        let read = parse(text.as_bytes()).unwrap_or_else(|refusal| panic!("{name}: {refusal}\n{text}"));
        let start: Vec<String> = match &read {
            Message::Request(request) => {
                vec![request.method().to_string(), request.uri_text().to_owned(), "SIP/2.0".to_owned()]
            }
            Message::Response(response) => {
                vec!["SIP/2.0".to_owned(), response.status().to_string(), response.reason().to_owned()]
            }
        };
        assert_eq!(start, simple.start, "{name}");
        let fields: Vec<(String, String)> =
            read.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(fields, simple.fields, "{name}");
        assert_eq!(read.body(), simple.body.as_bytes(), "{name}");
        let cseq = read.headers().get::<Cseq>().unwrap().unwrap();
        let expected = simple.fields.iter().find(|(name, _)| name == "CSeq").unwrap();
        assert_eq!(cseq.to_string(), expected.1, "{name}");
    }
}

/// The folding of the originals makes no difference.
#[test]
fn every_message_is_the_same_folded_and_unfolded() {
    for (name, text) in all() {
        let Ok(read) = parse(text.as_bytes()) else { continue };
        let simple = read_simply(&text);
        let fields: Vec<(String, String)> =
            read.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(fields, simple.fields, "{name}");
    }
}

/// What RFC 3515 leaves to imagination.
const UNREADABLE: &[(&str, &str)] = &[
    ("Refer-To", "(whatever URI)"),
    ("Refer-To", "(some different URI)"),
    ("Subscription-State", "active;expires=(depends on Refer-To URI)"),
];

#[test]
fn every_known_header_of_every_message_can_be_read() {
    let mut unreadable = BTreeMap::new();
    for (name, text) in all() {
        let read = message(completed(&text).as_bytes());
        for header in HeaderName::ALL {
            for value in read.headers().values(*header) {
                if let Err(error) = parse_any(*header, value) {
                    unreadable.insert((header.to_string(), value.to_owned()), format!("{name}: {error}"));
                }
            }
        }
    }
    unreadable.retain(|(header, value), _| !UNREADABLE.contains(&(header.as_str(), value.as_str())));
    assert!(unreadable.is_empty(), "{unreadable:#?}");
}

#[test]
fn every_message_is_printed_and_read_again() {
    for (_, text) in all() {
        let read = message(completed(&text).as_bytes());
        assert_same(&message(&read.to_bytes()), &read);
    }
}

/// A flow as one stream, as one side of it would come if it were one side.
#[test]
fn a_whole_flow_is_framed_as_one_stream() {
    let mut flows: BTreeMap<String, String> = BTreeMap::new();
    for (name, text) in all() {
        flows.entry(name.split(" F").next().unwrap().to_owned()).or_default().push_str(&completed(&text));
    }
    for (name, text) in flows {
        let whole = stream([text.as_bytes()], &Limits::default());
        assert!(whole.iter().all(|item| item.starts_with("message")), "{name}");
        assert_eq!(stream(text.as_bytes().chunks(7), &Limits::default()), whole, "{name}");
    }
}

/// A response goes back by the Vias of its request: every one in the flows has a branch that is unique.
#[test]
fn every_via_has_the_cookie() {
    for (name, text) in all() {
        for via in message(completed(&text).as_bytes()).headers().all::<Via>() {
            assert!(via.unwrap().has_unique_branch(), "{name}");
        }
    }
}
