//! RFC 4975 §5 and §7, RFC 7701 §7: two endpoints talk, in virtual time.

#![allow(clippy::unwrap_used)] // helpers are tests as well

mod world;

use std::time::Duration;

use bytes::Bytes;
use msrp::chunk::{ByteRange, Continuation, FailureReport, Method, Start};
use msrp::endpoint::*;
use world::{ALICE, BOB, CHAT, Random, World, fates, messages, plan};

const SECOND: Duration = Duration::from_secs(1);

/// §5.4: the active end sends a SEND without a body; its 200 binds.
#[test]
fn the_active_end_binds_the_session_with_an_empty_send() {
    let mut world = World::new(1);
    let [offer, answer] = world.meet(CHAT, plan("alice"), plan("bob"));
    let sent = world.chunks(0, ALICE);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].head.method(), Some(&Method::Send));
    assert_eq!(sent[0].head.to_path().unwrap(), answer);
    assert_eq!(sent[0].head.from_path().unwrap(), offer);
    assert_eq!(sent[0].head.get("Byte-Range"), Some("1-0/0"));
    assert_eq!(sent[0].body, None);
    let response = &world.chunks(0, BOB)[0];
    assert_eq!(response.head.start(), &Start::Response(200, "OK".into()));
    assert_eq!(response.head.transaction(), sent[0].head.transaction());
    assert_eq!(response.head.to_path().unwrap(), offer);
    assert_eq!(response.head.from_path().unwrap(), answer);
}

#[test]
fn a_line_arrives_and_its_arrival_is_reported() {
    let mut world = World::chat(2);
    world.say(ALICE, CHAT, "m1", "Hey Bob, are you there?");
    world.run();
    assert_eq!(messages(&world.take(BOB, CHAT)), [("m1".into(), Bytes::from("Hey Bob, are you there?"))]);
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("m1".into(), true, 200)]);
    let send = &world.chunks(0, ALICE)[1];
    assert_eq!(send.head.get("Byte-Range"), Some("1-23/23"));
    assert_eq!(send.head.get("Success-Report"), Some("yes"));
    let report = &world.chunks(0, BOB)[2];
    assert_eq!(report.head.method(), Some(&Method::Report));
    assert_eq!(report.head.message_id(), Some("m1"));
    assert_eq!(report.head.byte_range(), Ok(Some(ByteRange::whole(23))));
    assert_eq!(report.head.get("Status"), Some("000 200 OK"));
    assert_eq!(report.head.get("Success-Report"), None);
}

#[test]
fn what_is_said_before_the_session_is_bound_is_sent_when_it_is() {
    let mut world = World::new(3);
    let now = world.now;
    let offer = world.ends[ALICE].endpoint.open(now, CHAT, plan("alice")).unwrap();
    let answer = world.ends[BOB].endpoint.open(now, CHAT, plan("bob")).unwrap();
    world.say(ALICE, CHAT, "a", "from alice");
    world.say(BOB, CHAT, "b", "from bob");
    world.run();
    world.ends[BOB].endpoint.bind(now, CHAT, RemotePlan::direct(offer, Role::Passive)).unwrap();
    world.ends[ALICE].endpoint.bind(now, CHAT, RemotePlan::direct(answer, Role::Active)).unwrap();
    world.run();
    assert_eq!(messages(&world.take(BOB, CHAT)), [("a".into(), Bytes::from("from alice"))]);
    let alice = world.take(ALICE, CHAT);
    assert_eq!(messages(&alice), [("b".into(), Bytes::from("from bob"))]);
    assert_eq!(fates(&alice), [("a".into(), true, 200)]);
}

/// An answerer that is active may connect before its answer is here.
#[test]
fn a_peer_that_is_faster_than_its_description_is_let_in_and_checked_later() {
    for is_right in [true, false] {
        let mut world = World::new(4);
        let now = world.now;
        let offer = world.ends[ALICE].endpoint.open(now, CHAT, plan("alice")).unwrap();
        let answer = world.ends[BOB].endpoint.open(now, CHAT, plan("bob")).unwrap();
        world.ends[BOB].endpoint.bind(now, CHAT, RemotePlan::direct(offer, Role::Active)).unwrap();
        world.run();
        assert_eq!(world.take(BOB, CHAT), [SessionEvent::Bound]);
        assert_eq!(world.take(ALICE, CHAT), []);
        let said = if is_right { answer } else { "msrp://mallory.example.com:1/x;tcp".parse().unwrap() };
        world.ends[ALICE].endpoint.bind(now, CHAT, RemotePlan::direct(said, Role::Passive)).unwrap();
        world.run();
        let expected =
            if is_right { SessionEvent::Bound } else { SessionEvent::Ended { reason: EndReason::WrongPeer } };
        assert_eq!(world.take(ALICE, CHAT), [expected]);
    }
}

/// §7.1.1: what a session's user says in short keeps its order, whatever its length up to 16 KiB.
#[test]
fn lines_keep_their_order() {
    for seed in 0..30 {
        let mut world = World::chat(seed);
        world.room = 700;
        let mut random = Random(seed);
        let said: Vec<(String, Bytes)> =
            (0..40).map(|n| (format!("m{n}"), random.bytes(random.clone().below(9000) as usize))).collect();
        for (id, content) in &said {
            world.send(ALICE, CHAT, OutgoingMessage::whole((**id).into(), "a/b", content.clone(), true));
            world.step();
        }
        world.run();
        assert_eq!(messages(&world.take(BOB, CHAT)), said, "seed {seed}");
        assert_eq!(fates(&world.take(ALICE, CHAT)).len(), 40);
    }
}

/// §7.1.1: whatever else waits for the connection waits for 2048 octets of a file.
#[test]
fn a_file_delays_a_line_by_no_more_than_one_short_chunk() {
    let mut world = World::chat(5);
    world.room = 1500;
    let file = Random(5).bytes(3_000_000);
    world.send_file(ALICE, CHAT, "file", file.clone(), true);
    for _ in 0..20 {
        world.step();
    }
    let before = world.wires[0].log[ALICE].len();
    world.say(ALICE, CHAT, "line", "quick");
    world.run();
    let log = &world.wires[0].log[ALICE];
    let at = log[before..].windows(5).position(|window| window == b"quick").unwrap();
    assert!(at < 2048 + 1500 + 600, "{at}");
    assert_eq!(messages(&world.take(BOB, CHAT))[1], ("file".into(), file));
    // Each chunk but the first begins where the one before ended, and only the last is complete.
    let chunks: Vec<_> =
        world.chunks(0, ALICE).into_iter().filter(|chunk| chunk.head.message_id() == Some("file")).collect();
    let mut next = 1;
    for chunk in &chunks {
        let range = chunk.head.byte_range().unwrap().unwrap();
        assert_eq!((range.start, range.end, range.total), (next, None, Some(3_000_000)));
        next += chunk.body.as_ref().unwrap().len() as u64;
    }
    assert!(chunks.len() >= 3);
    let flags: Vec<_> = chunks.iter().map(|chunk| chunk.end).collect();
    assert!(flags[..flags.len() - 1].iter().all(|flag| *flag == Continuation::More));
    assert_eq!(flags.last(), Some(&Continuation::Complete));
}

/// The peer's own lines and its responses to ours don't wait for its file either.
#[test]
fn a_file_delays_responses_and_reports_by_no_more_than_one_short_chunk() {
    let mut world = World::chat(6);
    world.room = 1500;
    world.send_file(BOB, CHAT, "file", Random(5).bytes(2_000_000), false);
    for _ in 0..20 {
        world.step();
    }
    let before = world.wires[0].log[BOB].len();
    world.say(ALICE, CHAT, "m", "hello");
    let mut rounds = 0;
    while fates(&world.take(ALICE, CHAT)).is_empty() {
        assert!(world.step());
        rounds += 1;
    }
    assert!(rounds < 60, "{rounds}");
    assert!(world.wires[0].log[BOB].len() - before < 200_000);
    world.run();
    assert_eq!(fates(&world.take(BOB, CHAT)), [("file".into(), true, 200)]);
}

/// §7.1.1: several long messages on one connection take turns.
#[test]
fn two_files_share_a_connection_fairly() {
    let mut world = World::chat(7);
    world.cuts = false;
    for id in ["one", "two"] {
        world.send_file(ALICE, CHAT, id, Random(7).bytes(2_000_000), false);
    }
    world.run();
    let chunks = world.chunks(0, ALICE);
    let mut sent = [0_i64; 2];
    for chunk in &chunks[1..] {
        let which = usize::from(chunk.head.message_id() == Some("two"));
        sent[which] += chunk.body.as_ref().unwrap().len() as i64;
        assert!((sent[0] - sent[1]).abs() <= 70_000, "{sent:?}");
    }
    assert_eq!(sent, [2_000_000, 2_000_000]);
}

#[test]
fn lines_without_end_do_not_starve_a_file() {
    let mut world = World::chat(8);
    world.cuts = false;
    world.send_file(ALICE, CHAT, "file", Random(8).bytes(200_000), false);
    let mut said = 0;
    while !world
        .take(ALICE, CHAT)
        .iter()
        .any(|event| matches!(event, SessionEvent::Delivered { id, .. } if id.as_str() == "file"))
    {
        for _ in 0..20 {
            said += 1;
            world.say(ALICE, CHAT, &format!("m{said}"), &"x".repeat(1000));
        }
        world.step();
        world.step();
        assert!(said < 20_000);
    }
}

/// RFC 7977 §5.1: a WebSocket message is one chunk.
#[test]
fn chunks_can_be_pulled_one_by_one() {
    let mut world = World::new(30);
    world.by_chunk = true;
    world.room = 10_000;
    world.meet(CHAT, plan("alice"), plan("bob"));
    let file = Random(30).bytes(300_000);
    world.send_file(ALICE, CHAT, "file", file.clone(), true);
    for number in 0..100 {
        world.say(ALICE, CHAT, &format!("a{number}"), &"x".repeat(100 * number));
        world.say(BOB, CHAT, &format!("b{number}"), "y");
        world.step();
    }
    world.run();
    assert_eq!(fates(&world.take(ALICE, CHAT)).iter().filter(|fate| fate.1).count(), 101);
    let bob = world.take(BOB, CHAT);
    assert_eq!(fates(&bob).iter().filter(|fate| fate.1).count(), 100);
    assert!(messages(&bob).contains(&("file".into(), file)));
}

/// §7.1: the end-line must not be in the body; our answer is to interrupt there.
#[test]
fn a_body_that_contains_its_own_end_line_arrives_all_the_same() {
    let mut world = World::chat(9);
    world.cuts = false;
    world.room = 600;
    let message = OutgoingMessage {
        id: "sly".into(),
        content_type: "a/b".into(),
        content: Content::Streamed { size: Some(30_000), from: 0 },
        success_report: true,
        failure_report: FailureReport::Yes,
    };
    // The content is made up while its transaction id is known already.
    let now = world.now;
    world.send(ALICE, CHAT, message);
    let mut content = Vec::new();
    let mut random = Random(9);
    let mut out = bytes::BytesMut::new();
    let name = world.wires[0].names[ALICE];
    while content.len() < 30_000 {
        let endpoint = &mut world.ends[ALICE].endpoint;
        while endpoint.poll_output().is_some() {}
        let text = String::from_utf8_lossy(&out).into_owned();
        let id = text.rsplit("MSRP ").next().unwrap_or_default().split(' ').next().unwrap_or_default();
        // Whole, and in two parts of which neither shows it.
        let mut first = format!("\r\n-------{id}$\r\n").into_bytes();
        let second = first.split_off(1 + random.below(first.len() as u64) as usize);
        for mut part in [first, second] {
            part.truncate(30_000 - content.len());
            content.extend_from_slice(&part);
            if !part.is_empty() {
                let is_last = content.len() == 30_000;
                endpoint.supply(now, CHAT, &"sly".into(), part.into(), is_last).unwrap();
                while endpoint.poll_transmit(now, name, &mut out, 600) {}
            }
        }
    }
    // What was asked for meanwhile has been answered.
    while world.ends[ALICE].endpoint.poll_output().is_some() {}
    let sent = out.freeze();
    world.inject(0, BOB, sent.clone());
    assert!(world::chunks(&sent).len() > 10, "it was interrupted where it had to be");
    world.run();
    assert_eq!(messages(&world.take(BOB, CHAT)), [("sly".into(), Bytes::from(content))]);
}

#[test]
fn a_file_is_asked_for_as_it_goes_and_arrives_in_parts() {
    for seed in 0..10 {
        let mut world = World::new(seed);
        let mut bob = plan("bob");
        bob.streams_incoming = true;
        world.meet(CHAT, plan("alice"), bob);
        let file = Random(seed).bytes(1_000_000 + seed as usize);
        world.send_file(ALICE, CHAT, "file", file.clone(), true);
        world.run();
        let mut came = Vec::new();
        let mut lasts = 0;
        for event in world.take(BOB, CHAT) {
            let SessionEvent::Data { at, bytes, total, is_last, .. } = event else { panic!("{event:?}") };
            assert_eq!(at, came.len() as u64);
            assert_eq!(total, Some(file.len() as u64));
            came.extend_from_slice(&bytes);
            lasts += usize::from(is_last);
            assert_eq!(is_last, came.len() == file.len());
        }
        assert_eq!((came, lasts), (file.to_vec(), 1));
        let alice = world.take(ALICE, CHAT);
        assert_eq!(fates(&alice), [("file".into(), true, 200)]);
        let progress: Vec<u64> = alice
            .iter()
            .filter_map(|event| match event {
                SessionEvent::Progress { acknowledged, .. } => Some(*acknowledged),
                _ => None,
            })
            .collect();
        assert!(progress.is_sorted() && progress.last() == Some(&(file.len() as u64)), "{progress:?}");
    }
}

#[test]
fn a_transfer_goes_on_where_it_stopped() {
    let mut world = World::new(11);
    let mut bob = plan("bob");
    bob.streams_incoming = true;
    world.meet(CHAT, plan("alice"), bob);
    let file = Random(11).bytes(50_000);
    world.ends[ALICE].files.insert((CHAT, "file".into()), file.clone());
    let content = Content::Streamed { size: Some(50_000), from: 20_000 };
    let message = OutgoingMessage { content, ..OutgoingMessage::whole("file".into(), "a/b", "", false) };
    world.send(ALICE, CHAT, message);
    world.run();
    let came: usize = world
        .take(BOB, CHAT)
        .iter()
        .map(|event| match event {
            SessionEvent::Data { at, bytes, .. } => {
                assert_eq!(bytes[..], file[*at as usize..*at as usize + bytes.len()]);
                bytes.len()
            }
            event => panic!("{event:?}"),
        })
        .sum();
    assert_eq!(came, 30_000);
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("file".into(), true, 200)]);
}

#[test]
fn a_message_of_unknown_length_ends_where_its_content_ends() {
    let mut world = World::chat(12);
    let content = Content::Streamed { size: None, from: 0 };
    let message = OutgoingMessage { content, ..OutgoingMessage::whole("m".into(), "a/b", "", true) };
    let file = Random(12).bytes(400_000);
    world.ends[ALICE].files.insert((CHAT, "m".into()), file.clone());
    world.send(ALICE, CHAT, message);
    world.run();
    assert_eq!(messages(&world.take(BOB, CHAT)), [("m".into(), file)]);
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("m".into(), true, 200)]);
    assert_eq!(world.chunks(0, ALICE)[1].head.get("Byte-Range"), Some("1-*/*"));
}

#[test]
fn content_that_is_not_as_long_as_it_was_said_to_be_is_given_up() {
    for (supplied, is_last) in [(400, true), (600, false), (600, true)] {
        let mut world = World::chat(13);
        let content = Content::Streamed { size: Some(500), from: 0 };
        world.send(ALICE, CHAT, OutgoingMessage { content, ..OutgoingMessage::whole("m".into(), "a/b", "", false) });
        let now = world.now;
        let bytes = Bytes::from(vec![b'x'; supplied]);
        world.ends[ALICE].endpoint.supply(now, CHAT, &"m".into(), bytes, is_last).unwrap();
        world.ends[ALICE].files.insert((CHAT, "m".into()), Bytes::new());
        world.run();
        assert_eq!(fates(&world.take(ALICE, CHAT)), [("m".into(), false, 0)]);
        assert_eq!(messages(&world.take(BOB, CHAT)), []);
    }
}

/// §7.1: `#` tells that no more will come.
#[test]
fn a_message_that_is_given_up_is_aborted_at_the_receiver() {
    for seed in 0..20 {
        let mut world = World::chat(seed);
        world.room = 1000;
        world.send_file(ALICE, CHAT, "file", Random(seed).bytes(500_000), true);
        world.send_file(ALICE, CHAT, "other", Random(seed).bytes(500_000), true);
        for _ in 0..20 + seed {
            world.step();
        }
        let now = world.now;
        world.ends[ALICE].endpoint.abort(now, CHAT, &"file".into()).unwrap();
        world.run();
        let bob = world.take(BOB, CHAT);
        assert_eq!(bob[0], SessionEvent::Aborted { id: "file".into() }, "seed {seed}");
        assert_eq!(messages(&bob).len(), 1);
        assert_eq!(fates(&world.take(ALICE, CHAT)), [("file".into(), false, 0), ("other".into(), true, 200)]);
        assert!(world.chunks(0, ALICE).iter().any(|chunk| chunk.end == Continuation::Aborted));
    }
}

#[test]
fn a_line_that_is_given_up_half_sent_holds_up_no_other() {
    for steps in 0..12 {
        let mut world = World::chat(31);
        world.room = 1000;
        world.say(ALICE, CHAT, "long", &"x".repeat(10_000));
        world.say(ALICE, CHAT, "short", "y");
        for _ in 0..steps {
            world.step();
        }
        let now = world.now;
        world.ends[ALICE].endpoint.abort(now, CHAT, &"long".into()).unwrap();
        world.run();
        assert_eq!(
            fates(&world.take(ALICE, CHAT)),
            [("long".into(), false, 0), ("short".into(), true, 200)],
            "{steps}"
        );
    }
}

#[test]
fn a_message_that_is_given_up_before_its_turn_is_never_sent() {
    let mut world = World::chat(14);
    world.say(ALICE, CHAT, "m", "never");
    let now = world.now;
    world.ends[ALICE].endpoint.abort(now, CHAT, &"m".into()).unwrap();
    world.run();
    assert_eq!(world.chunks(0, ALICE).len(), 1);
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("m".into(), false, 0)]);
    assert_eq!(world.ends[ALICE].endpoint.abort(now, CHAT, &"m".into()), Err(CommandError::NoMessage));
}

/// §5.3 and §7.1.1, for each wish of the sender: who is told what, and when.
#[test]
fn a_sender_is_told_what_it_asked_for_and_no_more() {
    use FailureReport::{No, Partial, Yes};
    for (success_report, failure_report, replies, after) in [
        (true, Yes, 2, None),
        (false, Yes, 1, None),
        (true, No, 1, None),
        (true, Partial, 1, None),
        (false, No, 0, None),
        (false, Partial, 0, Some(30)),
    ] {
        let mut world = World::chat(15);
        let message =
            OutgoingMessage { failure_report, ..OutgoingMessage::whole("m".into(), "a/b", "x", success_report) };
        world.send(ALICE, CHAT, message);
        world.run();
        assert_eq!(world.chunks(0, BOB).len() - 1, replies, "{success_report} {failure_report:?}");
        if let Some(seconds) = after {
            world.wait(SECOND * (seconds - 1));
            assert_eq!(fates(&world.take(ALICE, CHAT)), []);
            world.wait(SECOND);
        }
        assert_eq!(fates(&world.take(ALICE, CHAT)), [("m".into(), true, 200)]);
        world.wait(SECOND * 120);
        assert_eq!(world.take(ALICE, CHAT), []);
    }
}

/// §7.1.1: 30 seconds from the last octet on.
#[test]
fn silence_is_a_failure_after_thirty_seconds() {
    for (success_report, failure_report) in
        [(true, FailureReport::Yes), (false, FailureReport::Yes), (true, FailureReport::No)]
    {
        let mut world = World::chat(16);
        world.wires[0].deaf = Some(BOB);
        let message =
            OutgoingMessage { failure_report, ..OutgoingMessage::whole("m".into(), "a/b", "x", success_report) };
        world.send(ALICE, CHAT, message);
        world.wait(SECOND * 29);
        assert_eq!(world.take(ALICE, CHAT), []);
        world.wait(SECOND);
        assert_eq!(fates(&world.take(ALICE, CHAT)), [("m".into(), false, 408)]);
        // What comes too late is no second end.
        world.wires[0].deaf = None;
        world.wires[0].breaks_after = None;
        world.wait(SECOND * 60);
        assert_eq!(world.take(ALICE, CHAT), []);
    }
}

/// Reports of alice's messages, as bob's hand writes them.
fn report(world: &World, id: &str, range: &str, status: &str) -> String {
    let head = &world.chunks(0, ALICE)[0].head;
    let (to, from) = (head.from_path().unwrap(), head.to_path().unwrap());
    format!(
        "MSRP report1 REPORT\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\nMessage-ID: {id}\r\nByte-Range: {range}\r\n\
         Status: {status}\r\n-------report1$\r\n"
    )
}

/// A chat in which bob's own endpoint says nothing.
fn chat_with_silent_bob(seed: u64) -> World {
    let mut world = World::chat(seed);
    world.wires[0].deaf = Some(BOB);
    world
}

/// §7.1.3: "a success report for parts"; they may come in any order, twice, and over each other.
#[test]
fn reports_of_parts_in_any_order_make_one_delivery() {
    for seed in 0..100 {
        let mut world = chat_with_silent_bob(seed);
        let mut random = Random(seed);
        for id in ["m", "other"] {
            let message = OutgoingMessage::whole(id.into(), "a/b", "x".repeat(1000), true);
            world.send(ALICE, CHAT, OutgoingMessage { failure_report: FailureReport::No, ..message });
        }
        world.run();
        let mut parts: Vec<(u64, u64)> = (0..10).map(|n| (100 * n + 1, 100 * n + 100)).collect();
        for _ in 0..5 {
            let start = 1 + random.below(999);
            parts.push((start, start + random.below(1001 - start)));
        }
        for index in (1..parts.len()).rev() {
            parts.swap(index, random.below(index as u64 + 1) as usize);
        }
        let mut covered = [false; 1000];
        let mut deliveries = 0;
        for (start, end) in parts {
            // Each sign of the receiver prolongs the wait.
            world.wait(SECOND * 20);
            let text = report(&world, "m", &format!("{start}-{end}/1000"), "000 200 OK");
            world.inject(0, ALICE, text);
            world.run();
            covered[start as usize - 1..end as usize].fill(true);
            let told: Vec<_> = fates(&world.take(ALICE, CHAT)).into_iter().filter(|fate| fate.0 == "m").collect();
            deliveries += told.len();
            assert!(told.iter().all(|fate| fate.1 && fate.2 == 200));
            assert_eq!(deliveries, usize::from(covered.iter().all(|part| *part)), "seed {seed}: {start}-{end}");
        }
        assert_eq!(deliveries, 1);
    }
}

/// §5.3: parts that were reported and then silence: nobody can tell of the rest.
#[test]
fn a_message_of_which_only_a_part_is_reported_is_not_delivered() {
    let mut world = chat_with_silent_bob(1);
    world.say(ALICE, CHAT, "m", &"x".repeat(1000));
    world.send(
        ALICE,
        CHAT,
        OutgoingMessage {
            failure_report: FailureReport::No,
            ..OutgoingMessage::whole("n".into(), "a/b", "x".repeat(1000), true)
        },
    );
    world.run();
    world.wait(SECOND * 20);
    for id in ["m", "n"] {
        let text = report(&world, id, "2-1000/1000", "000 200 OK");
        world.inject(0, ALICE, text);
    }
    world.wait(SECOND * 29);
    // The one whose 200 was wanted as well has had its 30 s.
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("m".into(), false, 408)]);
    world.wait(SECOND);
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("n".into(), false, 408)]);
    let text = report(&world, "n", "1-1000/1000", "000 200 OK");
    world.inject(0, ALICE, text);
    world.run();
    assert_eq!(world.take(ALICE, CHAT), []);
}

/// §7.1.2: a failure report ends its message, whatever was reported before, and no other one.
#[test]
fn a_failure_report_is_the_end_of_its_message_only() {
    for (code, failure_report) in
        [(408, FailureReport::Yes), (413, FailureReport::Partial), (481, FailureReport::Yes), (403, FailureReport::No)]
    {
        let mut world = chat_with_silent_bob(2);
        for id in ["m", "n"] {
            let message = OutgoingMessage::whole(id.into(), "a/b", "x".repeat(1000), true);
            world.send(ALICE, CHAT, OutgoingMessage { failure_report, ..message });
        }
        world.run();
        for (range, status) in [
            ("1-500/1000", "000 200 OK".to_owned()),
            // Of another namespace: nobody knows what it says.
            ("1-1000/1000", "001 999 Whatever".to_owned()),
            ("501-1000/1000", format!("000 {code} So sorry")),
            ("1-1000/1000", "000 200 OK".to_owned()),
        ] {
            let text = report(&world, "m", range, &status);
            world.inject(0, ALICE, text);
            world.run();
        }
        let told = world.take(ALICE, CHAT);
        assert_eq!(fates(&told), [("m".into(), false, code)]);
        assert!(matches!(&told[0], SessionEvent::NotDelivered { reason, .. } if &**reason == "So sorry"), "{told:?}");
        let text = report(&world, "n", "1-1000/1000", "000 200 OK");
        world.inject(0, ALICE, text);
        world.run();
        assert_eq!(fates(&world.take(ALICE, CHAT)), [("n".into(), true, 200)]);
    }
}

/// §10.5 by way of a report, as a relay's next hop says it: no further chunk.
#[test]
fn a_file_that_a_report_refuses_stops() {
    let mut world = chat_with_silent_bob(3);
    world.room = 1500;
    world.send_file(ALICE, CHAT, "file", Random(3).bytes(5_000_000), true);
    for _ in 0..40 {
        world.step();
    }
    let text = report(&world, "file", "1-*/5000000", "000 413 Enough");
    world.inject(0, ALICE, text);
    world.run();
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("file".into(), false, 413)]);
    assert!(world.wires[0].log[ALICE].len() < 200_000, "{}", world.wires[0].log[ALICE].len());
    assert_eq!(world.chunks(0, ALICE).last().unwrap().end, Continuation::Aborted);
}

/// §14.1: at least 80 random bits, of which no session has another's.
#[test]
fn a_session_id_cannot_be_guessed() {
    let mut seen = std::collections::HashSet::new();
    let mut letters = std::collections::HashMap::new();
    for seed in 0..4 {
        let mut world = World::new(seed);
        let now = world.now;
        for number in 0..2000 {
            let path = world.ends[ALICE].endpoint.open(now, SessionKey(number), plan("alice")).unwrap();
            let id = path.first().session_id().unwrap().to_owned();
            for (place, letter) in id.chars().enumerate() {
                *letters.entry((place, letter)).or_insert(0) += 1;
            }
            assert!(seen.insert(id));
        }
    }
    // Letters of 36 kinds are 5.17 bits each, if they come equally often: 8000 / 36 = 222 times, and not by far another.
    assert!(letters.len() >= 36 * 16, "at least 16 places of 36 letters each: {}", letters.len());
    assert!(letters.values().all(|count| (140..320).contains(count)), "{letters:?}");
}

/// RFC 6714 §4: where to connect is one thing, what the request says another.
#[test]
fn a_middlebox_is_connected_to_and_the_path_stays_the_peers() {
    let mut world = World::new(29);
    let now = world.now;
    let alice = &mut world.ends[ALICE].endpoint;
    alice.open(now, CHAT, plan("alice")).unwrap();
    let path: msrp::Path = "msrp://bob.example.com:7654/abc;tcp".parse().unwrap();
    let next_hop = Some(("192.0.2.7".into(), 1234));
    let remote = RemotePlan { next_hop, ..RemotePlan::direct(path.clone(), Role::Active) };
    alice.bind(now, CHAT, remote).unwrap();
    let Some(Output::Connect { connection, host, port, .. }) = alice.poll_output() else { panic!("it connects") };
    assert_eq!((&*host, port), ("192.0.2.7", 1234));
    alice.handle(now, Input::Connected { connection });
    let mut out = bytes::BytesMut::new();
    alice.poll_transmit(now, connection, &mut out, 4096);
    assert_eq!(world::chunks(&out)[0].head.to_path().unwrap(), path);
}

/// A 200 alone is not the report that was asked for.
#[test]
fn a_message_whose_report_never_comes_is_not_delivered() {
    let mut world = World::new(17);
    let mut bob = plan("bob");
    bob.asks = true;
    world.meet(CHAT, plan("alice"), bob);
    let message =
        OutgoingMessage { failure_report: FailureReport::No, ..OutgoingMessage::whole("m".into(), "a/b", "x", true) };
    world.send(ALICE, CHAT, message);
    world.wait(SECOND * 31);
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("m".into(), false, 408)]);
}

#[test]
fn a_session_that_asks_answers_when_it_has_decided() {
    let mut world = World::new(18);
    let mut bob = plan("bob");
    bob.asks = true;
    world.meet(CHAT, plan("alice"), bob);
    for id in ["good", "bad"] {
        world.say(ALICE, CHAT, id, "x");
    }
    world.run();
    assert_eq!(messages(&world.take(BOB, CHAT)).len(), 2);
    assert_eq!(world.take(ALICE, CHAT), []);
    let now = world.now;
    let bob = &mut world.ends[BOB].endpoint;
    bob.accept(now, CHAT, &"bad".into(), Verdict::Refuse(403, "not you".into())).unwrap();
    bob.accept(now, CHAT, &"good".into(), Verdict::Deliver).unwrap();
    assert_eq!(bob.accept(now, CHAT, &"good".into(), Verdict::Deliver), Err(CommandError::NoMessage));
    world.run();
    let alice = world.take(ALICE, CHAT);
    assert_eq!(fates(&alice), [("bad".into(), false, 403), ("good".into(), true, 200)]);
    assert!(matches!(&alice[0], SessionEvent::NotDelivered { reason, .. } if &**reason == "not you"));
}

/// §10.5: a sender that hears 413 in the middle of a chunk interrupts it.
#[test]
fn a_file_that_is_refused_on_its_way_stops() {
    let mut world = World::new(19);
    let mut bob = plan("bob");
    (bob.asks, bob.streams_incoming) = (true, true);
    world.meet(CHAT, plan("alice"), bob);
    world.send_file(ALICE, CHAT, "file", Random(19).bytes(5_000_000), true);
    while world.take(BOB, CHAT).is_empty() {
        world.step();
    }
    let now = world.now;
    world.ends[BOB].endpoint.accept(now, CHAT, &"file".into(), Verdict::Refuse(413, "no thanks".into())).unwrap();
    world.run();
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("file".into(), false, 413)]);
    assert!(world.wires[0].log[ALICE].len() < 600_000, "{}", world.wires[0].log[ALICE].len());
    assert_eq!(world.chunks(0, ALICE).last().unwrap().end, Continuation::Aborted);
    // The session goes on.
    world.say(ALICE, CHAT, "m", "sorry");
    world.run();
    assert_eq!(fates(&world.take(ALICE, CHAT)).len(), 0, "it waits for its verdict");
    world.ends[BOB].endpoint.accept(now, CHAT, &"m".into(), Verdict::Deliver).unwrap();
    world.run();
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("m".into(), true, 200)]);
}

/// §5.4 lets sessions between the same hosts share a connection.
#[test]
fn sessions_share_a_connection_and_the_last_one_closes_it() {
    let mut world = World::new(20);
    let keys = [SessionKey(1), SessionKey(2), SessionKey(3)];
    for key in keys {
        world.meet(key, plan("alice"), plan("bob"));
    }
    assert_eq!(world.wires.len(), 1);
    for key in keys {
        world.say(ALICE, key, "m", &format!("to {}", key.0));
    }
    world.run();
    for key in keys {
        assert_eq!(messages(&world.take(BOB, key))[0].1, format!("to {}", key.0));
        assert_eq!(fates(&world.take(ALICE, key)), [("m".into(), true, 200)]);
    }
    let now = world.now;
    for key in keys {
        assert!(world.wires[0].is_alive);
        world.ends[ALICE].endpoint.close(now, key);
        world.run();
        assert_eq!(world.take(ALICE, key), [SessionEvent::Ended { reason: EndReason::Closed }]);
    }
    assert!(!world.wires[0].is_alive);
    for key in keys {
        let ended = world.take(BOB, key);
        assert!(matches!(ended[..], [SessionEvent::Ended { reason: EndReason::ConnectionLost(_) }]), "{ended:?}");
    }
}

#[test]
fn closing_a_session_in_the_middle_of_a_file_leaves_the_others_whole() {
    let mut world = World::new(21);
    let (first, second) = (SessionKey(1), SessionKey(2));
    for key in [first, second] {
        world.meet(key, plan("alice"), plan("bob"));
    }
    world.send_file(ALICE, first, "file", Random(1).bytes(900_000), true);
    for _ in 0..10 {
        world.step();
    }
    let now = world.now;
    world.ends[ALICE].endpoint.close(now, first);
    world.say(ALICE, second, "m", "still here");
    world.run();
    assert_eq!(fates(&world.take(ALICE, first)), [("file".into(), false, 0)]);
    assert_eq!(fates(&world.take(ALICE, second)), [("m".into(), true, 200)]);
    assert_eq!(messages(&world.take(BOB, second)).len(), 1);
    assert_eq!(world.take(BOB, first), [SessionEvent::Aborted { id: "file".into() }]);
}

#[test]
fn a_connection_that_cannot_be_made_ends_the_session_and_tells_of_each_message() {
    let mut world = World::new(22);
    world.ends[ALICE].refuses = true;
    let now = world.now;
    world.ends[ALICE].endpoint.open(now, CHAT, plan("alice")).unwrap();
    world.say(ALICE, CHAT, "m", "anybody?");
    let path = "msrp://bob.example.com:2855/abc;tcp".parse().unwrap();
    world.ends[ALICE].endpoint.bind(now, CHAT, RemotePlan::direct(path, Role::Active)).unwrap();
    world.run();
    let alice = world.take(ALICE, CHAT);
    assert_eq!(fates(&alice), [("m".into(), false, 0)]);
    assert_eq!(alice[1], SessionEvent::Ended { reason: EndReason::ConnectionLost("refused".into()) });
    assert_eq!(world.ends[ALICE].endpoint.next_timeout(), None);
}

#[test]
fn a_passive_end_waits_thirty_seconds() {
    let mut world = World::new(23);
    let now = world.now;
    world.ends[BOB].endpoint.open(now, CHAT, plan("bob")).unwrap();
    let path = "msrp://alice.example.com:2855/abc;tcp".parse().unwrap();
    world.ends[BOB].endpoint.bind(now, CHAT, RemotePlan::direct(path, Role::Passive)).unwrap();
    world.wait(SECOND * 29);
    assert_eq!(world.take(BOB, CHAT), []);
    world.wait(SECOND);
    assert_eq!(world.take(BOB, CHAT), [SessionEvent::Ended { reason: EndReason::TimedOut }]);
}

#[test]
fn keep_alives_find_out_that_nobody_answers() {
    let timers = Timers { keep_alive: Some(SECOND * 60), ..Timers::default() };
    let mut world = World::with(24, Limits::default(), timers);
    world.meet(CHAT, plan("alice"), plan("bob"));
    world.wait(SECOND * 600);
    assert_eq!(world.take(ALICE, CHAT), []);
    assert!(world.chunks(0, ALICE).len() > 8);
    world.wires[0].deaf = Some(BOB);
    world.wait(SECOND * 91);
    let alice = world.take(ALICE, CHAT);
    assert!(matches!(alice[..], [SessionEvent::Ended { reason: EndReason::ConnectionLost(_) }]), "{alice:?}");
}

/// RFC 7701 §7.1 and §7.2.
#[test]
fn a_nickname_is_asked_for_and_answered() {
    let mut world = World::chat(25);
    let now = world.now;
    // Bob is no room: he says so at once.
    world.ends[ALICE].endpoint.nickname(now, CHAT, "Alice").unwrap();
    world.run();
    let refused = SessionEvent::NicknameAnswered { code: 501, reason: "Method Unknown".into() };
    assert_eq!((world.take(ALICE, CHAT), world.take(BOB, CHAT)), (vec![refused], Vec::new()));

    let room = SessionPlan { gives_nicknames: true, ..plan("bob") };
    let mut world = World::new(25);
    world.meet(CHAT, plan("alice"), room);
    for (code, reason) in [(200, "OK"), (425, "Nickname In Use")] {
        world.ends[ALICE].endpoint.nickname(now, CHAT, "Alice \"the\\great\"\r\n").unwrap();
        world.run();
        let bob = world.take(BOB, CHAT);
        let [SessionEvent::Nickname { transaction, nickname }] = &bob[..] else { panic!("{bob:?}") };
        assert_eq!(&**nickname, "Alice \"the\\great\"  ");
        world.ends[BOB].endpoint.answer_nickname(now, CHAT, *transaction, code, reason).unwrap();
        world.run();
        let answered = SessionEvent::NicknameAnswered { code, reason: reason.into() };
        assert_eq!(world.take(ALICE, CHAT), [answered]);
    }
    assert_eq!(world.chunks(0, ALICE)[1].head.method(), Some(&Method::Nickname));
    world.ends[ALICE].endpoint.nickname(now, CHAT, "").unwrap();
    world.wait(SECOND * 31);
    let alice = world.take(ALICE, CHAT);
    assert!(matches!(alice[..], [SessionEvent::NicknameAnswered { code: 408, .. }]), "{alice:?}");
}

/// RFC 4976 §5.1: requests go through our relays, then along the peer's path, over a connection that is there.
#[test]
fn a_session_behind_a_relay_uses_the_connection_to_it() {
    let mut world = World::new(26);
    let now = world.now;
    let alice = &mut world.ends[ALICE].endpoint;
    let connection = alice.connect(now, "relay.example.com".into(), 2855, true, None);
    let transaction = alice.transaction_id();
    let to = "msrps://relay.example.com;tcp".parse().unwrap();
    let own = alice.open(now, CHAT, plan("alice")).unwrap();
    let auth = msrp::chunk::Head::request(transaction, Method::Auth, &to, &own);
    let request = alice.request(now, connection, auth).unwrap();
    let asked = alice.poll_output();
    assert!(matches!(asked, Some(Output::Connect { is_secure: true, port: 2855, .. })), "{asked:?}");
    alice.handle(now, Input::Connected { connection });
    let mut out = bytes::BytesMut::new();
    alice.poll_transmit(now, connection, &mut out, 4096);
    let sent = world::chunks(&out);
    assert_eq!(sent[0].head.method(), Some(&Method::Auth));
    let use_path: msrp::Path = "msrps://relay.example.com:2855/token;tcp".parse().unwrap();
    let response = sent[0].head.response(to.first(), 200, "OK").unwrap().with("Use-Path", &use_path);
    let bytes = msrp::chunk::Chunk::bodiless(response.clone()).to_bytes();
    alice.handle(now, Input::Received { connection, bytes });
    let answered = std::iter::from_fn(|| alice.poll_output())
        .find_map(|output| match output {
            Output::Answered { request, head, .. } => Some((request, *head.unwrap())),
            _ => None,
        })
        .unwrap();
    assert_eq!((answered.0, answered.1.get("Use-Path")), (request, Some(use_path.first().as_str())));

    let path: msrp::Path = "msrps://other.example.com:1/r;tcp msrps://bob.example.com:2/b;tcp".parse().unwrap();
    let remote = RemotePlan {
        relays: use_path.uris().to_vec(),
        connection: Some(connection),
        ..RemotePlan::direct(path, Role::Active)
    };
    alice.bind(now, CHAT, remote).unwrap();
    out.clear();
    alice.poll_transmit(now, connection, &mut out, 4096);
    let bind = &world::chunks(&out)[0].head;
    assert_eq!(
        bind.get("To-Path"),
        Some(
            "msrps://relay.example.com:2855/token;tcp msrps://other.example.com:1/r;tcp msrps://bob.example.com:2/b;tcp"
        )
    );
    assert_eq!(bind.from_path().unwrap(), own);
}

#[test]
fn a_request_beside_sessions_is_answered_or_timed_out() {
    let mut world = World::new(27);
    let now = world.now;
    let alice = &mut world.ends[ALICE].endpoint;
    let connection = alice.connect(now, "relay.example.com".into(), 2855, false, None);
    let path = "msrp://relay.example.com;tcp".parse().unwrap();
    let transaction = alice.transaction_id();
    let request = alice.request(now, connection, msrp::chunk::Head::request(transaction, Method::Auth, &path, &path));
    let later = now + SECOND * 30;
    assert_eq!(alice.next_timeout(), Some(later));
    alice.handle_timeout(later);
    let answered = std::iter::from_fn(|| alice.poll_output()).last();
    assert_eq!(answered, Some(Output::Answered { connection, request: request.unwrap(), head: None }));
    alice.disconnect(later, connection);
    assert_eq!(alice.poll_output(), Some(Output::Close { connection }));
}

#[test]
fn commands_on_what_is_not_there_are_errors_and_change_nothing() {
    let mut world = World::chat(28);
    let now = world.now;
    let endpoint = &mut world.ends[ALICE].endpoint;
    let message = |id: &str, content_type: &str| OutgoingMessage::whole(id.into(), content_type, "x", false);
    let nobody = SessionKey(99);
    assert_eq!(endpoint.send(now, nobody, message("m", "a/b")), Err(CommandError::NoSession));
    assert_eq!(endpoint.open(now, CHAT, plan("a")), Err(CommandError::SessionExists));
    assert_eq!(endpoint.open(now, nobody, plan("a b\r\n")), Err(CommandError::BadHost));
    assert_eq!(endpoint.send(now, CHAT, message("a\r\nb", "a/b")), Err(CommandError::BadId));
    assert_eq!(endpoint.send(now, CHAT, message("m", "a/b\r\nX: y")), Err(CommandError::BadContentType));
    assert_eq!(endpoint.send(now, CHAT, message("m", "a/b")), Ok(()));
    assert_eq!(endpoint.send(now, CHAT, message("m", "a/b")), Err(CommandError::DuplicateId));
    assert_eq!(endpoint.supply(now, CHAT, &"m".into(), Bytes::new(), true), Err(CommandError::NoMessage));
    let elsewhere = RemotePlan::direct("msrp://x:1/y;tcp".parse().unwrap(), Role::Active);
    assert_eq!(endpoint.bind(now, CHAT, elsewhere), Err(CommandError::BoundElsewhere));
    world.run();
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("m".into(), true, 200)]);
}
