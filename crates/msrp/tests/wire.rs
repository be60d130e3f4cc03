//! RFC 4975 §7.1 and §9: what is read is printed back, and how a stream was cut does not matter.

#![allow(clippy::unwrap_used)] // helpers are tests as well

mod world;

use std::path::PathBuf;

use bytes::Bytes;
use msrp::chunk::{Broken, Chunk, ChunkError, Continuation, Framer, FramerLimits, HeadFault, Method, Start};
use world::Random;

fn vectors(folder: &str) -> Option<PathBuf> {
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

fn examples() -> Vec<(String, Vec<u8>)> {
    let Some(folder) = vectors("msrp") else { return Vec::new() };
    let mut examples: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "msrp"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    examples.sort();
    assert!(examples.len() >= 34);
    examples
}

#[test]
fn every_example_of_rfc_4975_and_4976_is_printed_back_as_it_came() {
    for (name, text) in examples() {
        let chunk = Chunk::parse(text.clone()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(String::from_utf8_lossy(&chunk.to_bytes()), String::from_utf8_lossy(&text), "{name}");
        assert_eq!(chunk.head.fault(), None, "{name}");
        // §5.1 leaves the paths away where it explains chunks.
        let is_excerpt = chunk.head.message_id() == Some("4564dpWd");
        assert_eq!(chunk.head.to_path().is_err(), is_excerpt, "{name}");
        assert_eq!(chunk.head.from_path().is_err(), is_excerpt, "{name}");
    }
}

#[test]
fn an_example_says_what_it_is() {
    let text = "MSRP dkei38sd REPORT\r\nTo-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r\n\
                From-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r\nMessage-ID: 12339sdqwer\r\n\
                Byte-Range: 1-106/106\r\nStatus: 000 200 OK\r\n-------dkei38sd$\r\n";
    let report = Chunk::parse(text).unwrap();
    assert_eq!(report.head.method(), Some(&Method::Report));
    assert_eq!(report.body, None);
    assert_eq!(report.head.status().unwrap().code, 200);
    assert_eq!(report.head.byte_range().unwrap().unwrap().total, Some(106));
    assert_eq!(report.head.from_path().unwrap().last().session_id(), Some("9di4eae923wzd"));
}

/// All the pieces of a stream, joined again to heads, bodies and flags.
fn read(
    stream: &[u8],
    mut cut: impl FnMut(usize) -> usize,
    hold: usize,
) -> Vec<(String, Vec<u8>, Continuation, usize)> {
    let mut framer = Framer::new(FramerLimits { hold, ..FramerLimits::default() });
    let (mut read, mut body, mut pieces) = (Vec::new(), Vec::new(), 0);
    let mut rest = stream;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(cut(rest.len()));
        rest = later;
        framer.feed(Bytes::copy_from_slice(now));
        while let Some(piece) = framer.next().unwrap() {
            assert_eq!(piece.offset, body.len() as u64);
            assert!(piece.end.is_some() || piece.body.len() > hold);
            body.extend_from_slice(&piece.body);
            pieces += 1;
            if let Some(end) = piece.end {
                read.push((format!("{:?}", piece.head), std::mem::take(&mut body), end, pieces));
                pieces = 0;
            }
        }
    }
    assert!(framer.is_between());
    assert_eq!(framer.consumed(), stream.len() as u64);
    read
}

fn stream(random: &mut Random) -> Vec<u8> {
    let mut stream = Vec::new();
    for number in 0..20 {
        let id = format!("tid{number}x");
        let paths = "To-Path: msrp://b:1/b;tcp\r\nFrom-Path: msrp://a:1/a;tcp\r\n";
        if random.below(4) == 0 {
            stream.extend_from_slice(format!("MSRP {id} 200 OK\r\n{paths}-------{id}$\r\n").as_bytes());
            continue;
        }
        stream.extend_from_slice(
            format!("MSRP {id} SEND\r\n{paths}Message-ID: m\r\nContent-Type: a/b\r\n\r\n").as_bytes(),
        );
        // Bodies that look like their own end as much as a body may.
        for _ in 0..random.below(40) {
            let other = format!("\r\n-------tid{}y$\r\n", number + 1);
            let almost = format!("\r\n-------{id}");
            let parts: [&[u8]; 8] = [
                b"\r\n",
                b"-------",
                b"\r",
                b"\r\n-------",
                b"text ",
                other.as_bytes(),
                &almost.as_bytes()[..almost.len() - 1],
                b"\0\xff----\r\n\r\n",
            ];
            stream.extend_from_slice(parts[random.below(8) as usize]);
        }
        stream
            .extend_from_slice(format!("\r\n-------{id}{}\r\n", ["$", "+", "#"][random.below(3) as usize]).as_bytes());
    }
    stream
}

#[test]
fn any_cut_of_a_stream_gives_the_same() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let stream = stream(&mut random);
        let whole = read(&stream, |left| left, usize::MAX);
        assert_eq!(whole.len(), 20);
        assert_eq!(read(&stream, |_| 1, usize::MAX), whole, "octet by octet, seed {seed}");
        assert_eq!(read(&stream, |left| 1 + random.below(left as u64) as usize, usize::MAX), whole, "seed {seed}");
        // Held back less, bodies come in more pieces, but with the same octets.
        let same = |left: &[(String, Vec<u8>, Continuation, usize)]| {
            left.iter().map(|chunk| (chunk.0.clone(), chunk.1.clone(), chunk.2)).collect::<Vec<_>>()
        };
        for hold in [0, 1, 16] {
            let cut = read(&stream, |left| 1 + random.below(left.min(97) as u64) as usize, hold);
            assert_eq!(same(&cut), same(&whole), "seed {seed}, holding {hold}");
        }
    }
}

#[test]
fn every_example_may_be_cut_anywhere() {
    let examples = examples();
    let stream: Vec<u8> = examples.iter().flat_map(|(_, text)| text.clone()).collect();
    if stream.is_empty() {
        return;
    }
    let whole = read(&stream, |left| left, usize::MAX);
    assert_eq!(whole.len(), examples.len());
    for at in 1..stream.len() {
        let mut first = true;
        let cut = read(&stream, |left| if std::mem::take(&mut first) { at } else { left }, usize::MAX);
        assert_eq!(cut, whole, "cut at {at}");
    }
}

#[test]
fn a_body_comes_as_slices_of_what_was_received() {
    let mut framer = Framer::new(FramerLimits::default());
    let head =
        "MSRP abcd SEND\r\nTo-Path: msrp://b:1/b;tcp\r\nFrom-Path: msrp://a:1/a;tcp\r\nContent-Type: a/b\r\n\r\n";
    let first = Bytes::from([head.as_bytes(), &[b'x'; 60_000]].concat());
    let second = Bytes::from(vec![b'y'; 60_000]);
    for (fed, body) in [(&first, 60_000), (&second, 60_000)] {
        framer.feed(fed.clone());
        let piece = framer.next().unwrap().unwrap();
        assert_eq!(piece.body.len(), body);
        assert!(fed.as_ptr_range().contains(&piece.body.as_ptr()), "no copy");
        assert_eq!(framer.held(), 0);
    }
}

#[test]
fn a_body_without_an_end_is_handed_on_and_not_kept() {
    let mut framer = Framer::new(FramerLimits::default());
    framer.feed(Bytes::from_static(b"MSRP abcd SEND\r\nContent-Type: a/b\r\n\r\n"));
    let mut came = 0;
    for _ in 0..1000 {
        framer.feed(Bytes::from_static(&[b'\r'; 3000]));
        while let Some(piece) = framer.next().unwrap() {
            came += piece.body.len();
        }
        assert!(framer.held() <= 4096 + 3000);
    }
    assert!(came > 2_900_000);
}

#[test]
fn what_cannot_be_framed_breaks_the_stream_for_good() {
    let long = format!("MSRP abcd SEND\r\nX: {}\r\n", "y".repeat(20_000));
    let endless = "MSRP ".to_owned() + &"a".repeat(600);
    for (text, broken) in [
        ("GET / HTTP/1.1\r\n\r\n", Broken::NoStartLine),
        ("MSRQ", Broken::NoStartLine),
        ("MSRP abcd\r\n", Broken::NoStartLine),
        ("MSRP ab\u{e9}d SEND\r\n", Broken::NoStartLine),
        ("MSRP abcdefghijklmnopqrstuvwxyz0123456789 SEND\r\n", Broken::NoStartLine),
        (&endless, Broken::NoStartLine),
        (&long, Broken::HeadTooLong),
    ] {
        let mut framer = Framer::new(FramerLimits::default());
        framer.feed(Bytes::from(text.to_owned()));
        assert_eq!(framer.next(), Err(broken), "{text:.40}");
        framer.feed(Bytes::from_static(b"MSRP abcd 200 OK\r\n-------abcd$\r\n"));
        assert_eq!(framer.next(), Err(broken));
        assert_eq!(framer.held(), 0);
    }
}

#[test]
fn a_head_with_a_bad_line_is_framed_and_said_to_be_bad() {
    for (lines, fault) in [
        ("no colon here\r\n", HeadFault::Line),
        (": no name\r\n", HeadFault::Line),
        ("X: a\u{7}b\r\n", HeadFault::Line),
        (" X: folded\r\n", HeadFault::Line),
    ] {
        let chunk = Chunk::parse(format!("MSRP abcd SEND\r\n{lines}-------abcd$\r\n")).unwrap();
        assert_eq!(chunk.head.fault(), Some(fault), "{lines}");
    }
    let chunk = Chunk::parse("MSRP abcd send\r\n-------abcd$\r\n").unwrap();
    assert_eq!(chunk.head.fault(), Some(HeadFault::Method));
    let chunk = Chunk::parse(Bytes::from_static(b"MSRP abcd SEND\r\nX: \xff\r\n-------abcd$\r\n")).unwrap();
    assert_eq!(chunk.head.fault(), Some(HeadFault::NotText));
}

#[test]
fn a_chunk_is_whole_or_it_is_none() {
    assert_eq!(Chunk::parse("MSRP abcd 200 OK\r\n-------abcd$\r"), Err(ChunkError::Unfinished));
    assert_eq!(Chunk::parse("MSRP abcd 200 OK\r\n-------abcd$\r\nMSRP"), Err(ChunkError::Trailing));
    assert_eq!(Chunk::parse("SIP/2.0 200 OK\r\n"), Err(ChunkError::Broken(Broken::NoStartLine)));
}

/// §7.1: a bodiless request and one with an empty body are not the same.
#[test]
fn an_empty_body_is_not_no_body() {
    let empty = Chunk::parse("MSRP abcd SEND\r\nContent-Type: a/b\r\n\r\n\r\n-------abcd$\r\n").unwrap();
    assert_eq!(empty.body, Some(Bytes::new()));
    let none = Chunk::parse("MSRP abcd SEND\r\n-------abcd$\r\n").unwrap();
    assert_eq!(none.body, None);
}

#[test]
fn empty_lines_between_chunks_are_let_pass() {
    let chunk = "MSRP abcd 200 OK\r\n-------abcd$\r\n";
    assert_eq!(read(format!("\r\n\r\n{chunk}\r\n{chunk}").as_bytes(), |_| 1, 0).len(), 2);
}

#[test]
fn a_value_cannot_begin_another_line() {
    let head = Chunk::parse("MSRP abcd SEND\r\n-------abcd$\r\n").unwrap().head;
    let head = head.with("X", "a\r\nTo-Path: msrp://evil:1/x;tcp").with("Y\r\nZ", "\n");
    let text = String::from_utf8(Chunk::bodiless(head).to_bytes().to_vec()).unwrap();
    assert_eq!(text, "MSRP abcd SEND\r\nX: a  To-Path: msrp://evil:1/x;tcp\r\nY  Z:  \r\n-------abcd$\r\n");
}

#[test]
fn a_field_is_changed_at_its_place() {
    let mut head = Chunk::parse("MSRP abcd SEND\r\nA: 1\r\nB: 2\r\nC: 3\r\n-------abcd$\r\n").unwrap().head;
    head.set("b", "two");
    head.set("D", 4);
    assert_eq!(head.iter().collect::<Vec<_>>(), [("A", "1"), ("B", "two"), ("C", "3"), ("D", "4")]);
}

#[test]
fn a_response_goes_back_as_far_as_its_method_says() {
    let text = |method: &str| {
        format!(
            "MSRP abcd {method}\r\nTo-Path: msrp://c:1/c;tcp\r\n\
             From-Path: msrp://b:1/b;tcp msrp://a:1/a;tcp\r\n-------abcd$\r\n"
        )
    };
    let us = "msrp://c:1/c;tcp".parse().unwrap();
    for (method, to) in [("SEND", "msrp://b:1/b;tcp"), ("AUTH", "msrp://b:1/b;tcp msrp://a:1/a;tcp")] {
        let response = Chunk::parse(text(method)).unwrap().head.response(&us, 200, "OK").unwrap();
        assert_eq!(response.start(), &Start::Response(200, "OK".into()));
        assert_eq!(response.to_path().unwrap().to_string(), to);
        assert_eq!(response.from_path().unwrap().to_string(), us.as_str());
    }
}
