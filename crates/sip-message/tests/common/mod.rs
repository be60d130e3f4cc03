//! What several test files need: the shared vectors, and short words for what the parser says.

#![allow(dead_code)] // each test file uses its part

use bytes::{Bytes, BytesMut};
use sip_message::{
    HeaderName, Limits, Message, Method, Refusal, Request, Response, StreamItem, StreamParser, UriBuf, parse_datagram,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A folder of the shared vectors; `None`, and a word about it, where it is missing.
pub(crate) fn vectors(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("CORDBOARD_VECTORS") {
        Some(root) => PathBuf::from(root),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no test vectors in {}", path.display());
    None
}

/// The files of a folder by their name without `.ending`; empty, and a word about it, where it is missing.
pub(crate) fn files(folder: &str, ending: &str) -> BTreeMap<String, Bytes> {
    let Some(path) = vectors(folder) else {
        return BTreeMap::new();
    };
    read_files(path, ending)
}

pub(crate) fn read_files(path: PathBuf, ending: &str) -> BTreeMap<String, Bytes> {
    let files: BTreeMap<String, Bytes> = std::fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|extension| extension == ending))
        .map(|file| {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(file).unwrap().into())
        })
        .collect();
    assert!(!files.is_empty(), "no .{ending} in {}", path.display());
    files
}

/// The message of a datagram, with the default limits.
#[track_caller]
pub(crate) fn message(octets: &[u8]) -> Message {
    parse(octets).unwrap_or_else(|refusal| panic!("{refusal}: {}", String::from_utf8_lossy(octets)))
}

/// The request of a datagram.
#[track_caller]
pub(crate) fn request(octets: &[u8]) -> Request {
    match message(octets) {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{response:?}"),
    }
}

/// The response of a datagram.
#[track_caller]
pub(crate) fn response(octets: &[u8]) -> Response {
    match message(octets) {
        Message::Response(response) => response,
        Message::Request(request) => panic!("{request:?}"),
    }
}

/// Why a datagram is refused.
#[track_caller]
pub(crate) fn refusal(octets: &[u8]) -> Refusal {
    match parse(octets) {
        Err(refusal) => refusal,
        Ok(message) => panic!("accepted: {message:?}"),
    }
}

pub(crate) fn parse(octets: &[u8]) -> Result<Message, Refusal> {
    parse_datagram(Bytes::copy_from_slice(octets), &Limits::default())
}

/// What the sender of a refused datagram is told; `None`: nothing.
pub(crate) fn status(refusal: &Refusal) -> Option<u16> {
    refusal.response().map(|response| response.status().code())
}

/// Everything that a stream of these pieces carries, in words that can be compared.
pub(crate) fn stream<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Vec<String> {
    let mut parser = StreamParser::new(limits.clone());
    let mut buffer = BytesMut::new();
    let mut items = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(item) = parser.next(&mut buffer) {
            items.push(in_words(&item));
        }
    }
    items
}

pub(crate) fn in_words(item: &StreamItem) -> String {
    match item {
        StreamItem::Message(message) => format!("message {}", String::from_utf8_lossy(&message.to_bytes())),
        StreamItem::Refused(refusal) => format!("refused {refusal}, {:?}", status(refusal)),
        StreamItem::Broken(refusal) => format!("broken {refusal}, {:?}", status(refusal)),
        StreamItem::Ping => "ping".into(),
        StreamItem::Pong => "pong".into(),
    }
}

/// Two messages that say the same: start-line, fields in their order, body.
#[track_caller]
pub(crate) fn assert_same(one: &Message, other: &Message) {
    match (one, other) {
        (Message::Request(one), Message::Request(other)) => {
            assert_eq!(one.method(), other.method());
            assert_eq!(one.uri_text(), other.uri_text());
        }
        (Message::Response(one), Message::Response(other)) => {
            assert_eq!(one.status(), other.status());
            assert_eq!(one.reason(), other.reason());
        }
        _ => panic!("{one:?} and {other:?}"),
    }
    let fields = |message: &Message| -> Vec<(String, String)> {
        message.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    assert_eq!(fields(one), fields(other));
    assert_eq!(one.body(), other.body());
}

/// A request with what every request needs.
pub(crate) fn template() -> Request {
    let mut request = Request::new(Method::Options, &UriBuf::parse("sip:bob@example.com").unwrap());
    let headers = request.headers_mut();
    headers.push(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1").unwrap();
    headers.push(HeaderName::From, "<sip:a@example.com>;tag=1").unwrap();
    headers.push(HeaderName::To, "<sip:b@example.com>").unwrap();
    headers.push(HeaderName::CallId, "1").unwrap();
    headers.push(HeaderName::Cseq, "1 OPTIONS").unwrap();
    request
}

/// The template up to the line end of its CSeq.
pub(crate) fn text_of_template() -> String {
    let printed = String::from_utf8(template().to_bytes().to_vec()).unwrap();
    printed.strip_suffix("Content-Length: 0\r\n\r\n").unwrap().to_owned()
}
