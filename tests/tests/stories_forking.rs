//! One user, several phones: RFC 3261 §16.6, §16.7, §13.2.2.4.
#![allow(clippy::unwrap_used, missing_docs)]

mod stories_support;

use sip_message::StatusCode;
use stories_support::{config, home, millis, register, secs, server, story};
use testkit::{End, Link, Outcome, Person, Story};

/// Alice, and two phones of Bob's at one registrar.
fn alice_and_two_bobs(story: &Story, preferences: [&str; 2]) -> (Person, Person, Person) {
    home(story, &["home", "home.test"]);
    let alice = story.person("alice");
    let desk = story.person_with("desk", "sip:bob@home.test");
    let mobile = story.person_with("mobile", "sip:bob@home.test");
    register(story, "sip:home.test", &[(&desk, preferences[0]), (&mobile, preferences[1])]);
    (alice, desk, mobile)
}

/// RFC 3261 §16.7 step 10, §9.2.
#[test]
fn the_caller_hangs_up_while_it_rings_at_two_phones() {
    let story = story(1);
    let (alice, desk, mobile) = alice_and_two_bobs(&story, ["0.5", "0.5"]);
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    desk.rings();
    mobile.rings();
    story.a_moment();
    alice.hangs_up();
    story.ends();
    for person in [&alice, &desk, &mobile] {
        story.expect_eq(person.outcome(), Some(Outcome::Cancelled), "outcome");
    }
}

/// RFC 3261 §16.7 step 10: a 2xx cancels what is still ringing.
#[test]
fn who_answers_first_stops_the_ringing_elsewhere() {
    let story = story(2);
    let (alice, desk, mobile) = alice_and_two_bobs(&story, ["0.5", "0.5"]);
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    desk.rings();
    mobile.rings();
    story.a_moment();
    mobile.answers();
    story.a_moment();
    story.expect(alice.talks() && mobile.talks(), "alice talks to the mobile");
    story.expect_eq(desk.outcome(), Some(Outcome::Cancelled), "the desk's outcome");
    mobile.hangs_up();
    story.ends();
    story.expect_eq(alice.end(), Some(End::PeerHungUp), "alice's end");
}

/// RFC 3261 §13.2.2.4: every 2xx is acknowledged, and the talks that are not wanted are ended with BYE.
#[test]
fn of_two_who_answer_at_once_one_is_hung_up() {
    let story = story(3);
    let (alice, desk, mobile) = alice_and_two_bobs(&story, ["0.5", "0.5"]);
    story.links(Link::with_delay(millis(80)));
    alice.calls_uri("sip:bob@home.test");
    story.run_for(millis(500));
    desk.answers();
    mobile.answers();
    story.run_for(secs(2));
    let talks = alice.record().unwrap().talks;
    story.expect_eq(talks.len(), 2, "alice has heard both");
    story.expect_eq(talks.iter().filter(|talk| talk.surplus).count(), 1, "talks that are not wanted");
    story.expect(desk.talks() != mobile.talks(), "one of them still talks");
    alice.hangs_up();
    story.ends();
    for person in [&desk, &mobile] {
        story.expect_eq((person.outcome(), person.end()), (Some(Outcome::Answered), Some(End::PeerHungUp)), "a callee");
    }
}

/// RFC 3261 §16.6: "the proxy MAY … process the targets in order of decreasing q".
#[test]
fn the_preferred_phone_rings_first() {
    let story = story(4);
    let (alice, desk, mobile) = alice_and_two_bobs(&story, ["0.3", "0.9"]);
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    story.expect(mobile.was_called() && !desk.was_called(), "only the mobile is called");
    mobile.rejects(StatusCode::BUSY_HERE);
    story.a_moment();
    story.expect(desk.was_called(), "the desk is called next");
    story.expect_eq(alice.outcome(), None, "alice's outcome so far");
    desk.answers();
    story.a_moment();
    story.expect(alice.talks() && desk.talks(), "alice talks to the desk");
    alice.hangs_up();
    story.ends();
}

/// RFC 3261 §16.7 step 6: of the failures the best one is told, once all have failed.
#[test]
fn alice_hears_one_failure_when_all_phones_reject() {
    let story = story(5);
    let (alice, desk, mobile) = alice_and_two_bobs(&story, ["0.5", "0.5"]);
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    desk.rejects(StatusCode::SERVER_INTERNAL_ERROR);
    story.a_moment();
    story.expect_eq(alice.outcome(), None, "alice's outcome while the mobile rings");
    mobile.rejects(StatusCode::BUSY_HERE);
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::Rejected(StatusCode::BUSY_HERE)), "alice's outcome");
}

/// RFC 3261 §16.7 step 5: a 6xx speaks for the user and not for the phone.
#[test]
fn who_declines_at_one_phone_declines_at_all() {
    let story = story(6);
    let (alice, desk, mobile) = alice_and_two_bobs(&story, ["0.5", "0.5"]);
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    mobile.rings();
    desk.rejects(StatusCode::DECLINE);
    story.ends();
    story.expect_eq(mobile.outcome(), Some(Outcome::Cancelled), "the mobile's outcome");
    story.expect_eq(alice.outcome(), Some(Outcome::Rejected(StatusCode::DECLINE)), "alice's outcome");
}

/// RFC 5393 §4.2: what comes back unchanged is a loop.
#[test]
fn a_loop_of_two_proxies_ends_with_482() {
    let story = story(7);
    home(&story, &["a", "a.test"]);
    home(&story, &["b", "b.test"]);
    let (alice, one, two) =
        (story.person("alice"), story.person_of("bob", "a.test"), story.person_with("bobby", "sip:bob@b.test"));
    one.diverts_to("sip:a.test", "sip:bob@b.test");
    two.diverts_to("sip:b.test", "sip:bob@a.test");
    story.a_moment();
    story.expect_eq(one.registered(), Some(StatusCode::OK), "registration");
    alice.calls_uri("sip:bob@a.test");
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::Rejected(StatusCode::LOOP_DETECTED)), "alice's outcome");
    let sent = story.world().network().trace().len();
    story.expect(sent < 40, "the loop is found in its first round");
}

/// RFC 3261 §16.3 step 4: the same proxy twice, for different users, is a spiral and no loop.
#[test]
fn a_spiral_is_no_loop() {
    let story = story(8);
    home(&story, &["a", "a.test"]);
    home(&story, &["b", "b.test"]);
    let alice = story.person("alice");
    let diverting = story.person_of("bob", "a.test");
    let forwarding = story.person_with("secretary", "sip:carol@b.test");
    let dave = story.person_of("dave", "a.test");
    diverting.diverts_to("sip:a.test", "sip:carol@b.test");
    forwarding.diverts_to("sip:b.test", "sip:dave@a.test");
    register(&story, "sip:a.test", &[(&dave, "1.0")]);
    dave.usually_answers(millis(10), millis(20));
    alice.calls_uri("sip:bob@a.test");
    story.run_for(secs(2));
    story.expect(alice.talks() && dave.talks(), "alice talks to dave");
    alice.hangs_up();
    story.ends();
    story.expect_eq(dave.end(), Some(End::PeerHungUp), "dave's end");
}

/// RFC 3261 §16.3 step 3.
#[test]
fn a_call_with_too_few_hops_ends_with_483() {
    let story = story(9);
    server(&story, config(&["near"]));
    home(&story, &["far", "far.test"]);
    let (alice, bob) = (story.person("alice"), story.person_of("bob", "far.test"));
    register(&story, "sip:far.test", &[(&bob, "1.0")]);
    alice.goes_through(&["sip:near;lr"]);
    alice.phone(|phone| phone.set_max_forwards(1));
    alice.calls_uri("sip:bob@far.test");
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::Rejected(StatusCode::TOO_MANY_HOPS)), "alice's outcome");
    story.expect(!bob.was_called(), "bob was not called");
}
