//! A connection that is lost somewhere in a transfer, RFC 4975 §5.4: nothing is lost in silence, nothing comes twice,
//! and no more memory is held than the limits say.

#![allow(clippy::unwrap_used)] // helpers are tests as well

mod world;

use std::time::Duration;

use bytes::Bytes;
use msrp::endpoint::*;
use world::{ALICE, BOB, CHAT, Random, World, fates, messages, plan};

const FILE: usize = 1_000_000;

/// Alice sends a file and lines, the wire breaks after so many octets.
fn broken_after(octets: u64, seed: u64, file: &Bytes) {
    let mut world = World::new(seed);
    let streams = (SessionKey(2), {
        let mut bob = plan("bob");
        bob.streams_incoming = true;
        bob
    });
    world.meet(CHAT, plan("alice"), plan("bob"));
    world.meet(streams.0, plan("alice"), streams.1);
    world.room = 1 + (seed as usize * 977) % 20_000;
    world.cuts = seed.is_multiple_of(2);
    world.wires[0].breaks_after = Some(octets);
    world.send_file(ALICE, streams.0, "file", file.clone(), true);
    let mut said = 0;
    for number in 0..20 {
        world.say(ALICE, CHAT, &format!("a{number}"), &format!("line {number}"));
        world.say(BOB, CHAT, &format!("b{number}"), &format!("line {number}"));
        said += 1;
        for _ in 0..3 {
            world.step();
        }
        if !world.wires[0].is_alive {
            break;
        }
    }
    world.run();
    world.wait(Duration::from_secs(600));

    // Each message that was taken ended once, and what was delivered had come.
    for (sender, receiver) in [(ALICE, BOB), (BOB, ALICE)] {
        let sent = world.take(sender, CHAT);
        let ended = fates(&sent);
        let mut ids: Vec<&String> = ended.iter().map(|fate| &fate.0).collect();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), ended.len()), (said, said), "an end for each, one end for each");
        let received = world.take(receiver, CHAT);
        let mut came: Vec<String> = messages(&received).into_iter().map(|message| message.0).collect();
        for (id, is_delivered, code) in &ended {
            assert!(!is_delivered || came.contains(id), "{id} is said to be delivered");
            assert!(*is_delivered || *code == 0, "{id}: {code}");
        }
        let count = came.len();
        came.sort();
        came.dedup();
        assert_eq!(came.len(), count, "nothing comes twice");
        world.ends[sender].events.extend(sent.into_iter().map(|event| (CHAT, event)));
        world.ends[receiver].events.extend(received.into_iter().map(|event| (CHAT, event)));
    }
    let alice = fates(&world.take(ALICE, streams.0));
    assert_eq!(alice.len(), 1, "the file ended once: {alice:?}");
    let mut came = 0;
    let (mut lasts, mut aborts) = (0, 0);
    for event in world.take(BOB, streams.0) {
        match event {
            SessionEvent::Data { at, bytes, is_last, .. } => {
                assert_eq!(at, came, "in order, without gaps, once");
                assert!(bytes[..] == file[at as usize..][..bytes.len()], "the same octets");
                came += bytes.len() as u64;
                lasts += usize::from(is_last);
            }
            SessionEvent::Aborted { .. } => aborts += 1,
            SessionEvent::Ended { .. } => {}
            event => panic!("{event:?}"),
        }
    }
    assert_eq!(lasts == 1, came == FILE as u64);
    assert!(lasts + aborts <= 1);
    assert!(!alice[0].1 || lasts == 1, "delivered only if it is there");
    // The wire has no sessions any more.
    if !world.wires[0].is_alive {
        for end in [ALICE, BOB] {
            assert_eq!(world.ends[end].endpoint.next_timeout(), None);
            let ended = world.take(end, CHAT);
            assert!(matches!(ended.last(), Some(SessionEvent::Ended { .. })), "{ended:?}");
        }
    }
}

/// At each 251st octet, and at each one where heads and end-lines are; with `EVERY_OCTET` in the environment at every one,
/// or, as `EVERY_OCTET=3/8`, at the third eighth of them.
#[test]
fn a_connection_may_be_lost_anywhere_in_a_transfer_of_a_megabyte() {
    let file = Random(99).bytes(FILE);
    let end = 1_012_000;
    let positions: Vec<u64> = match std::env::var("EVERY_OCTET").ok() {
        None => (900..end).step_by(251).chain(900..1400).chain(end - 12_000..end - 11_500).collect(),
        Some(part) => {
            let (part, of): (u64, u64) =
                part.split_once('/').map_or((1, 1), |(part, of)| (part.parse().unwrap(), of.parse().unwrap()));
            (900 + (end - 900) * (part - 1) / of..900 + (end - 900) * part / of).collect()
        }
    };
    for position in positions {
        broken_after(position, position, &file);
    }
}

/// The last octets of all, where the message has come and its report is on the way.
#[test]
fn a_connection_may_be_lost_between_a_message_and_its_report() {
    let mut fates_of_bob = std::collections::BTreeMap::new();
    for after in 0..1200 {
        let mut world = World::chat(after);
        world.wires[0].breaks_after = Some(700 + after);
        world.say(ALICE, CHAT, "m", "did you get this?");
        world.run();
        world.wait(Duration::from_secs(60));
        let came = messages(&world.take(BOB, CHAT)).len();
        let [(_, is_delivered, code)] = &fates(&world.take(ALICE, CHAT))[..] else { panic!("one end") };
        assert!(!is_delivered || came == 1);
        assert_eq!(*code, if *is_delivered { 200 } else { 0 });
        *fates_of_bob.entry((came, *is_delivered)).or_insert(0) += 1;
    }
    let kinds: Vec<&(usize, bool)> = fates_of_bob.keys().collect();
    assert_eq!(kinds, [&(0, false), &(1, false), &(1, true)], "each of them has been seen: {fates_of_bob:?}");
}

#[test]
fn a_session_that_is_made_anew_takes_a_message_under_its_old_id() {
    let mut world = World::chat(1);
    world.wires[0].deaf = Some(BOB);
    world.say(ALICE, CHAT, "m", "did you get this?");
    world.run();
    world.break_wire(0);
    world.run();
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("m".into(), false, 0)]);
    world.take(BOB, CHAT);
    world.meet(CHAT, plan("alice"), plan("bob"));
    world.say(ALICE, CHAT, "m", "did you get this?");
    world.run();
    assert_eq!(fates(&world.take(ALICE, CHAT)), [("m".into(), true, 200)]);
}

#[test]
fn after_it_is_over_nothing_is_left() {
    let mut world = World::chat(2);
    for number in 0..100 {
        world.say(ALICE, CHAT, &format!("m{number}"), "x");
        world.run();
    }
    let now = world.now;
    world.ends[ALICE].endpoint.close(now, CHAT);
    world.run();
    world.wait(Duration::from_secs(32));
    for end in [ALICE, BOB] {
        let endpoint = &world.ends[end].endpoint;
        assert_eq!(endpoint.next_timeout(), None);
        assert_eq!((endpoint.sessions(), endpoint.connections()), (0, 0));
    }
    assert!(!world.wires[0].is_alive);
}
