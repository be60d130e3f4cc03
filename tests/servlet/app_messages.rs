//! Store and forward for MESSAGE, told with registrar, proxy and container between those who write and those who read:
//! RFC 3428.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::app_messaging::{Peer, Server, ends, text, value};
use applications::domains::KnownUsers;
use applications::messages::{Capacity, MemoryStore};
use sip_message::Method;
use testkit::{Link, NodeId, Story};

const SECOND: Duration = Duration::from_secs(1);
const BOB: &str = "sip:bob@example.test";

struct Scene {
    story: Story,
    server: Vec<NodeId>,
    alice: Peer,
    bob: Peer,
}

fn scene() -> Scene {
    scene_with(Server::default())
}

fn scene_with(server: Server) -> Scene {
    let story = Story::new(1, Instant::now());
    let server = server.at(&story);
    let (alice, bob) = (Peer::new(&story, "alice"), Peer::new(&story, "bob"));
    Scene { story, server, alice, bob }
}

impl Scene {
    #[track_caller]
    fn ends(&self) {
        ends(&self.story, &self.server);
    }

    #[track_caller]
    fn bob_has_read(&self, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        self.story.expect_eq(self.bob.has_read(), expected, "what bob has read");
    }
}

#[test]
fn somebody_who_is_there_reads_at_once_and_nothing_is_stored() {
    let scene = scene();
    scene.bob.registers(600);
    scene.story.expect_eq(scene.alice.writes(BOB, "hello"), 200, "the answer of bob's phone");
    scene.bob_has_read(&["hello"]);
    scene.bob.registers(600);
    scene.story.run_for(60 * SECOND);
    scene.bob_has_read(&["hello"]);
    scene.ends();
}

/// RFC 3428 §7: "SHOULD return a 202 (Accepted) response".
#[test]
fn somebody_who_is_away_reads_everything_in_its_order_when_he_comes() {
    let scene = scene();
    for message in ["one", "two", "three"] {
        scene.story.expect_eq(scene.alice.writes(BOB, message), 202, "the server's answer");
        scene.story.run_for(10 * SECOND);
    }
    scene.bob_has_read(&[]);
    scene.bob.registers(3600);
    scene.story.run_for(3 * SECOND);
    scene.bob_has_read(&["one", "two", "three"]);

    let first = &scene.bob.received(&Method::Message)[0];
    assert!(value(first.headers(), "From").starts_with("<sip:alice@example.test>;tag="));
    assert_eq!(value(first.headers(), "To"), "<sip:bob@example.test>");
    assert_eq!(value(first.headers(), "Date"), "Sun, 09 Sep 2001 01:46:40 GMT");
    assert_eq!(value(first.headers(), "Content-Type"), "text/plain");
    assert_eq!(value(first.headers(), "Contact"), "");

    scene.bob.registers(3600);
    scene.story.run_for(3600 * SECOND);
    scene.bob_has_read(&["one", "two", "three"]);
    scene.ends();
}

/// The sender's transaction ends after 32 s; it has to hear before that what became of its message.
#[test]
fn a_phone_that_does_not_answer_gets_the_message_when_it_is_back() {
    let scene = scene();
    scene.bob.registers(3600);
    scene.bob.answers(&Method::Message, None);
    scene.story.expect_eq(scene.alice.writes(BOB, "hello"), 202, "the server's answer");
    scene.bob.answers(&Method::Message, Some(200));
    scene.bob.registers(3600);
    scene.story.run_for(5 * SECOND);
    assert_eq!(scene.bob.has_read().last().map(String::as_str), Some("hello"));
    let read = scene.bob.has_read().len();
    scene.story.run_for(3600 * SECOND);
    assert_eq!(scene.bob.has_read().len(), read);
    scene.ends();
}

#[test]
fn a_phone_that_registers_in_vain_is_tried_less_and_less_often() {
    let scene = scene();
    scene.alice.writes(BOB, "hello");
    scene.bob.answers(&Method::Message, Some(480));
    scene.bob.registers(7200);
    scene.story.run_for(600 * SECOND);
    // After 1, 31, 91, 211 and 451 s.
    scene.bob_has_read(&["hello"; 5]);
    scene.bob.answers(&Method::Message, Some(200));
    scene.story.run_for(600 * SECOND);
    scene.bob_has_read(&["hello"; 6]);
    scene.story.run_for(3600 * SECOND);
    scene.bob_has_read(&["hello"; 6]);
    scene.ends();
}

/// What comes out of the store and fails goes back to its place, and not into the store once more.
#[test]
fn a_message_from_the_store_is_never_stored_again() {
    let scene = scene();
    for message in ["one", "two"] {
        scene.alice.writes(BOB, message);
    }
    scene.bob.answers(&Method::Message, Some(480));
    for _ in 0..10 {
        scene.bob.registers(3600);
        scene.story.run_for(5 * SECOND);
    }
    scene.bob_has_read(&["one"; 10]);
    scene.bob.answers(&Method::Message, Some(200));
    scene.bob.registers(3600);
    scene.story.run_for(5 * SECOND);
    assert_eq!(scene.bob.has_read()[10..], ["one", "two"]);
    scene.ends();
}

/// RFC 3428 §7: a 6xx is "delivered successfully, but refused", and what a phone can't read it can't read later.
#[test]
fn a_message_that_nobody_wants_does_not_keep_the_next_one_back() {
    let scene = scene();
    for message in ["one", "two"] {
        scene.alice.writes(BOB, message);
    }
    scene.bob.answers(&Method::Message, Some(415));
    scene.bob.registers(3600);
    scene.story.run_for(5 * SECOND);
    scene.bob_has_read(&["one", "two"]);
    scene.bob.answers(&Method::Message, Some(200));
    scene.bob.registers(3600);
    scene.story.run_for(60 * SECOND);
    scene.bob_has_read(&["one", "two"]);
    scene.ends();
}

#[test]
fn a_message_that_has_expired_is_not_delivered() {
    let scene = scene();
    let write = |seconds: &str, words: &str| {
        let headers = [("Expires", seconds), ("Date", "Sun, 09 Sep 2001 01:46:40 GMT")];
        scene.alice.sends(Method::Message, BOB, &headers, ("text/plain", words)).status().code()
    };
    assert_eq!(write("10", "soon over"), 202);
    assert_eq!(write("600", "over later"), 202);
    scene.story.run_for(20 * SECOND);
    assert_eq!(write("10", "over already"), 480, "the Expires counts from the Date");
    scene.bob.registers(3600);
    scene.story.run_for(5 * SECOND);
    scene.bob_has_read(&["over later"]);
    scene.ends();
}

#[test]
fn nobody_waits_for_a_message_to_somebody_who_does_not_exist() {
    let scene = scene_with(Server { users: KnownUsers::only(["alice", "bob"]), ..Server::default() });
    assert_eq!(scene.alice.writes("sip:nobody@example.test", "hello"), 404);
    assert_eq!(scene.alice.writes(BOB, "hello"), 202);
    scene.bob.registers(600);
    scene.ends();
    scene.bob_has_read(&["hello"]);
}

/// RFC 3994.
#[test]
fn that_somebody_was_typing_is_not_told_later() {
    let scene = scene();
    let typing = ("application/im-iscomposing+xml", "<isComposing/>");
    assert_eq!(scene.alice.sends(Method::Message, BOB, &[], typing).status().code(), 480);
    scene.ends();
}

#[test]
fn a_full_queue_refuses_and_says_so() {
    let mut server = Server::default();
    server.messages.limits.messages = 3;
    server.messages.limits.messages_of_one_sender = 2;
    let scene = scene_with(server);
    let carol = Peer::new(&scene.story, "carol");
    let statuses: Vec<u16> = (0..3).map(|number| scene.alice.writes(BOB, &number.to_string())).collect();
    assert_eq!(statuses, [202, 202, 480]);
    assert_eq!((carol.writes(BOB, "c"), carol.writes(BOB, "d")), (202, 480));
    scene.bob.registers(3600);
    scene.story.run_for(5 * SECOND);
    scene.bob_has_read(&["0", "1", "c"]);
    assert_eq!(scene.alice.writes(BOB, "now"), 200);
    scene.ends();
}

#[test]
fn a_store_that_the_program_brings_is_used_and_may_be_full() {
    let store = Rc::new(MemoryStore::new(Capacity { messages: 2, octets: 10_000 }));
    let scene = scene_with(Server { store: Some(store.clone()), ..Server::default() });
    for (recipient, status) in [("bob", 202), ("carol", 202), ("dora", 480)] {
        assert_eq!(scene.alice.writes(&format!("sip:{recipient}@example.test"), "hello"), status);
    }
    assert_eq!(store.len(), 2);
    let carol = Peer::new(&scene.story, "carol");
    for recipient in [&scene.bob, &carol] {
        recipient.registers(3600);
        scene.story.run_for(5 * SECOND);
        scene.story.expect_eq(recipient.has_read(), vec!["hello".to_owned()], "what was read");
    }
    assert!(store.is_empty());
    scene.ends();
}

/// A message is as old as its sender made it, and its hops count over the store.
#[test]
fn the_store_is_a_hop() {
    let scene = scene();
    scene.alice.writes(BOB, "hello");
    scene.bob.registers(3600);
    scene.story.run_for(5 * SECOND);
    let message = scene.bob.latest(&Method::Message);
    assert_eq!(text(message.body()), "hello");
    let left: u8 = value(message.headers(), "Max-Forwards").parse().unwrap();
    assert!(left < 69, "70, less one for the store, less those of the proxies: {left}");
    scene.ends();
}

#[test]
fn lost_messages_delay_and_lose_nothing() {
    for seed in 0..20 {
        let story = Story::new(seed, Instant::now());
        let server = Server::default().at(&story);
        story.links(Link { loss: 0.2, ..Link::default() });
        let (alice, bob) = (Peer::new(&story, "alice"), Peer::new(&story, "bob"));
        for message in ["one", "two"] {
            story.expect_eq(alice.writes(BOB, message), 202, "the server's answer");
        }
        bob.registers(7200);
        story.run_for(600 * SECOND);
        let mut read = bob.has_read();
        read.dedup();
        story.expect_eq(read, vec!["one".to_owned(), "two".to_owned()], "what bob has read");
        ends(&story, &server);
    }
}

/// Whoever writes, whoever registers, and the store itself may be on different shards.
#[test]
fn it_does_not_matter_which_shard_is_asked() {
    let scene = scene_with(Server { shards: 4, ..Server::default() });
    let writers: Vec<Peer> = (0..6).map(|number| Peer::new(&scene.story, &format!("writer{number}"))).collect();
    for (number, writer) in writers.iter().enumerate() {
        assert_eq!(writer.writes(BOB, &number.to_string()), 202);
    }
    scene.bob.registers(3600);
    scene.story.run_for(10 * SECOND);
    scene.bob_has_read(&["0", "1", "2", "3", "4", "5"]);
    scene.ends();
}
