//! A chat between two clients of the field, as their own logs have it: with one of them played by our endpoint, the
//! other one would have seen the same.

#![allow(clippy::unwrap_used)] // helpers are tests as well

mod world;

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use msrp::chunk::{Chunk, Method, Start};
use msrp::endpoint::*;
use world::{CHAT, endpoint};

/// A line of the log: whether its writer sent it, and the chunk.
fn log(name: &str) -> Vec<(bool, Chunk)> {
    let root = match std::env::var_os("CORDBOARD_VECTORS") {
        Some(root) => PathBuf::from(root),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    let path = root.join("../interop/traces").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no trace {}", path.display());
        return Vec::new();
    };
    let text = text.replace('\n', "\r\n");
    let starts: Vec<usize> =
        text.match_indices("MSRP ").map(|found| found.0).filter(|at| text[..*at].ends_with('\n')).collect();
    starts
        .iter()
        .map(|&start| {
            let id = text[start + 5..].split(' ').next().unwrap();
            let end = text[start..].find(&format!("\r\n-------{id}$\r\n")).unwrap() + start + 12 + id.len();
            let line = text[..start].trim_end().rsplit("\r\n").next().unwrap();
            let mut chunk = Chunk::parse(text[start..end].to_owned()).unwrap();
            assert_eq!(chunk.to_bytes(), text[start..end], "what is read is printed back");
            if let Some(body) = &chunk.body {
                // The log has one kind of line end. The octets had LF behind CPIM's own header, as their count shows.
                let body = std::str::from_utf8(body).unwrap();
                let (cpim, wrapped) = body.split_once("\r\n\r\n").unwrap();
                chunk.body = Some(format!("{cpim}\r\n\r\n{}", wrapped.replace("\r\n", "\n")).into());
            }
            (line.contains("-->"), chunk)
        })
        .collect()
}

/// Plays the writer of a log.
fn play(name: &str, role: Role) {
    let log = log(name);
    if log.is_empty() {
        return;
    }
    let now = std::time::Instant::now();
    let mut us = endpoint(1, Limits::default(), Timers::default());
    let first = &log[0].1.head;
    let (theirs, mine) = match role {
        Role::Active => (first.to_path().unwrap(), first.from_path().unwrap()),
        Role::Passive => (first.from_path().unwrap(), first.to_path().unwrap()),
    };
    let mine = mine.first();
    let plan = SessionPlan::chat(mine.host(), mine.port().unwrap(), mine.is_secure());
    let own = us.open(now, CHAT, plan).unwrap();
    us.bind(now, CHAT, RemotePlan::direct(theirs, role)).unwrap();
    let connection = match role {
        Role::Passive => {
            us.handle(now, Input::Accepted { connection: ConnectionId(1), is_secure: false, certificate: None });
            ConnectionId(1)
        }
        Role::Active => {
            let Some(Output::Connect { connection, .. }) = us.poll_output() else { panic!("it connects") };
            us.handle(now, Input::Connected { connection });
            connection
        }
    };

    let (mut sent, mut events) = (Vec::new(), Vec::new());
    let mut ours: std::collections::HashMap<String, String> = Default::default();
    for (is_ours, chunk) in log {
        // Our path and our transaction ids are our own.
        let text = String::from_utf8(chunk.to_bytes().to_vec()).unwrap().replace(mine.as_str(), own.first().as_str());
        let pull = |us: &mut Endpoint, sent: &mut Vec<Chunk>| {
            let mut out = BytesMut::new();
            while us.poll_transmit(now, connection, &mut out, 4096) {}
            sent.extend(world::chunks(&out));
        };
        if !is_ours {
            let id = chunk.head.transaction();
            let text = match ours.get(id.as_str()) {
                Some(own_id) => text.replace(id.as_str(), own_id.as_str()),
                None => text.clone(),
            };
            us.handle(now, Input::Received { connection, bytes: text.into() });
        } else if chunk.head.method() == Some(&Method::Send) && chunk.body.is_some() {
            let id = MessageId::from(chunk.head.message_id().unwrap());
            let content: Bytes = chunk.body.clone().unwrap();
            let content_type = chunk.head.content_type().unwrap();
            us.send(now, CHAT, OutgoingMessage::whole(id, content_type, content, true)).unwrap();
        }
        events.extend(std::iter::from_fn(|| us.poll_output()).filter_map(|output| match output {
            Output::Event { event, .. } => Some(event),
            _ => None,
        }));
        if is_ours {
            if sent.is_empty() {
                pull(&mut us, &mut sent);
            }
            let said: Chunk = sent.remove(0);
            let expected = Chunk::parse(text).unwrap();
            ours.insert(chunk.head.transaction().to_string(), said.head.transaction().to_string());
            compare(&said, &expected);
        }
    }
    assert!(sent.is_empty(), "nothing more than they said: {sent:?}");
    let bound = events.iter().filter(|event| **event == SessionEvent::Bound).count();
    assert_eq!((bound, world::messages(&events).len(), world::fates(&events).len()), (1, 1, 1), "{events:?}");
    assert!(world::fates(&events)[0].1);
}

/// The same but for ids that everybody makes up, and fields that say what is so anyway.
fn compare(said: &Chunk, expected: &Chunk) {
    assert_eq!((said.head.start(), &said.body, said.end), (expected.head.start(), &expected.body, expected.end));
    let is_empty_send = said.body.is_none() && matches!(said.head.start(), Start::Request(Method::Send));
    for name in ["To-Path", "From-Path", "Byte-Range", "Message-ID", "Status", "Content-Type", "Success-Report"] {
        if name != "Message-ID" || !is_empty_send {
            assert_eq!(said.head.get(name), expected.head.get(name), "{name} of {:?}", expected.head);
        }
    }
    assert_eq!(said.head.failure_report(), expected.head.failure_report());
    if expected.head.method().is_none() {
        assert_eq!(said.head.transaction(), expected.head.transaction());
    }
}

#[test]
fn we_could_have_been_the_caller() {
    play("sipsimple-chat-alice-msrp.txt", Role::Active);
}

#[test]
fn we_could_have_been_the_callee() {
    play("sipsimple-chat-bob-msrp.txt", Role::Passive);
}
