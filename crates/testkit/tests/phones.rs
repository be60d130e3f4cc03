//! Two phones and the network between them: the kit itself does what it says.

use std::time::{Duration, Instant};

use sip_message::{StatusCode, Transport};
use testkit::{End, Link, Outcome, Story};

fn story(seed: u64) -> Story {
    Story::new(seed, Instant::now())
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_call_is_answered_and_hung_up() {
    let story = story(1);
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    alice.calls(&bob);
    story.a_moment();
    bob.rings();
    story.a_moment();
    bob.answers();
    story.a_moment();
    story.expect(alice.talks() && bob.talks(), "both talk");
    bob.hangs_up();
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::Answered), "alice");
    story.expect_eq(bob.outcome(), Some(Outcome::Answered), "bob");
    story.expect_eq((alice.end(), bob.end()), (Some(End::PeerHungUp), Some(End::HungUp)), "ends");
    story.expect(alice.record().is_some_and(|record| record.rang), "alice heard it ring");
}

#[test]
fn a_call_is_rejected() {
    let story = story(2);
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    alice.calls(&bob);
    story.a_moment();
    bob.rejects(StatusCode::BUSY_HERE);
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::Rejected(StatusCode::BUSY_HERE)), "alice");
    story.expect_eq(bob.outcome(), Some(Outcome::Rejected(StatusCode::BUSY_HERE)), "bob");
}

#[test]
fn a_call_is_cancelled_while_it_rings() {
    let story = story(3);
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    alice.calls(&bob);
    story.a_moment();
    bob.rings();
    story.a_moment();
    alice.hangs_up();
    story.ends();
    story.expect_eq((alice.outcome(), bob.outcome()), (Some(Outcome::Cancelled), Some(Outcome::Cancelled)), "both");
}

#[test]
fn nobody_answers_a_call_to_an_address_without_a_phone() {
    let story = story(4);
    let alice = story.person("alice");
    alice.calls_uri("sip:nobody@10.9.9.9");
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::TimedOut), "alice");
    alice.calls_uri("sip:nobody@nowhere.test");
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::Unreachable(StatusCode::BAD_GATEWAY)), "alice");
}

#[test]
fn a_call_over_tcp_is_answered_and_hung_up() {
    let story = story(5);
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    for person in [&alice, &bob] {
        person.speaks(Transport::Tcp);
    }
    bob.usually_answers(secs(1), secs(3));
    alice.calls_uri("sip:bob@bob;transport=tcp");
    story.run_for(secs(5));
    story.expect(alice.talks() && bob.talks(), "both talk");
    alice.hangs_up();
    story.ends();
    story.expect_eq((alice.end(), bob.end()), (Some(End::HungUp), Some(End::PeerHungUp)), "ends");
    let datagrams = story.sent(alice.node(), bob.node()).len();
    story.expect_eq(datagrams, 3, "INVITE, ACK, BYE, each sent once");
}

#[test]
fn calls_get_through_a_bad_network() {
    let bad = Link::with_delay(Duration::from_millis(20))
        .with_jitter(Duration::from_millis(200))
        .with_loss(0.3)
        .with_duplication(0.2);
    for seed in 0..50 {
        let story = story(seed);
        story.links(bad);
        let (alice, bob) = (story.person("alice"), story.person("bob"));
        bob.usually_answers(secs(1), secs(3));
        alice.calls(&bob);
        story.run_for(secs(60));
        story.expect(alice.talks() && bob.talks(), "both talk");
        alice.reinvites();
        bob.reinvites();
        story.run_for(secs(60));
        alice.hangs_up();
        story.ends();
        story.expect_eq((alice.end(), bob.end()), (Some(End::HungUp), Some(End::PeerHungUp)), "ends");
        let done = |person: &testkit::Person| person.record().and_then(|r| Some(r.talk()?.reinvites)).unwrap_or(0);
        story.expect(done(&alice) == 1 && done(&bob) == 1, "re-INVITEs go through");
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let tell = |seed| {
        let story = story(seed);
        story.links(Link::with_delay(secs(0)).with_jitter(Duration::from_millis(100)).with_loss(0.3));
        let (alice, bob) = (story.person("alice"), story.person("bob"));
        bob.usually_answers(secs(1), secs(3));
        alice.calls(&bob);
        story.run_for(secs(20));
        story.world().ladder(None)
    };
    assert_eq!(tell(7), tell(7));
    assert_ne!(tell(7), tell(8));
}

#[test]
#[should_panic(expected = "this never happens")]
fn what_fails_shows_the_ladder() {
    let story = story(9);
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    alice.calls(&bob);
    story.a_moment();
    let ladder = story.world().ladder(None);
    assert!(ladder.contains("INVITE 1") && ladder.contains("alice"), "{ladder}");
    story.expect(false, "this never happens");
}
