//! Ways that break, and other ways: RFC 3261 §18, RFC 3263 §4.
#![allow(clippy::unwrap_used, missing_docs)]

mod stories_support;

use sip_message::{HeaderName, StatusCode, Transport, UriBuf};
use stories_support::{config, home, millis, register, secs, server, story};
use testkit::{End, Order, Outcome, Person, Phone, Story};

/// Two phones that serve the domain `service.test`, the first before the second.
fn two_servers(story: &Story) -> (Person, Person) {
    let one = story.person_with("one", "sip:service@service.test");
    let two = story.person_with("two", "sip:service@service.test");
    let mut world = story.world_mut();
    for person in [&one, &two] {
        let address = world.address(person.node(), Transport::Udp).unwrap();
        world.zone_mut().server("service.test", Transport::Udp, address);
    }
    drop(world);
    (one, two)
}

/// RFC 3263 §4.3: a 503 asks for the next server.
#[test]
fn a_server_that_says_503_is_followed_by_the_next() {
    let story = story(1);
    let alice = story.person("alice");
    let (one, two) = two_servers(&story);
    alice.calls_uri("sip:service@service.test");
    story.a_moment();
    one.rejects(StatusCode::SERVICE_UNAVAILABLE);
    story.a_moment();
    two.answers();
    story.a_moment();
    story.expect(alice.talks() && two.talks(), "alice talks to the second");
    two.hangs_up();
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::Answered), "alice's outcome");
}

/// RFC 3263 §4.3: so does silence, after Timer B.
#[test]
fn a_server_that_is_silent_is_followed_by_the_next() {
    let story = story(2);
    let alice = story.person("alice");
    let (one, two) = two_servers(&story);
    story.world_mut().set_down(one.node(), true);
    two.usually_answers(millis(10), millis(20));
    alice.calls_uri("sip:service@service.test");
    story.run_for(secs(31));
    story.expect(!two.was_called(), "Timer B has not fired");
    story.run_for(secs(3));
    story.expect(alice.talks() && two.talks(), "alice talks to the second");
    alice.hangs_up();
    story.ends();
}

/// What can't be delivered to the server that was left has nothing to do with the next one: here the ACK of the 503.
#[test]
fn trouble_with_the_server_that_was_left_does_not_harm_the_next() {
    let story = story(13);
    let alice = story.person("alice");
    let one = story.person_with("one", "sip:service@service.test");
    let two = story.person_with("two", "sip:service@service.test");
    let servers = [(&one, Transport::Tcp), (&two, Transport::Udp)];
    for (person, transport) in servers {
        let mut world = story.world_mut();
        let address = world.address(person.node(), transport).unwrap();
        world.zone_mut().server("service.test", transport, address);
    }
    two.usually_answers(millis(10), millis(20));
    alice.calls_uri("sip:service@service.test");
    story.a_moment();
    one.rejects(StatusCode::SERVICE_UNAVAILABLE);
    // The 503 is on its way; the ACK will not come through, which is noticed after 20 s, while the next server is being
    // asked.
    story.run_for(millis(5));
    story.world_mut().partition(alice.node(), one.node(), secs(300));
    story.world_mut().set_down(two.node(), true);
    story.run_for(secs(25));
    story.world_mut().set_down(two.node(), false);
    story.run_for(secs(10));
    story.expect(alice.talks() && two.talks(), "alice talks to the second");
    alice.hangs_up();
    story.ends();
}

/// RFC 3261 §21.5.4 through a proxy: its caller hears 500, since the 503 was meant for the proxy (§16.7 step 6).
#[test]
fn a_proxy_keeps_a_503_to_itself() {
    let story = story(3);
    home(&story, &["home", "home.test"]);
    let (alice, bob) = (story.person("alice"), story.person_of("bob", "home.test"));
    register(&story, "sip:home.test", &[(&bob, "1.0")]);
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    bob.rejects(StatusCode::SERVICE_UNAVAILABLE);
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::Rejected(StatusCode::SERVER_INTERNAL_ERROR)), "alice's outcome");
}

fn long_call(to: &str) -> Order {
    let mut order = Order::to(UriBuf::parse(to).unwrap());
    order.fields.push((HeaderName::Subject, "long ".repeat(400)));
    order
}

/// RFC 3261 §18.1.1: what does not fit into a datagram takes a stream; its answers come back on it.
#[test]
fn a_long_invite_takes_a_stream() {
    let story = story(4);
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    bob.usually_answers(millis(10), millis(20));
    alice.places(long_call("sip:bob@bob"));
    story.run_for(secs(2));
    story.expect(alice.talks() && bob.talks(), "both talk");
    story.expect_eq(story.world().connections(), 1, "connections");
    alice.hangs_up();
    story.ends();
}

/// RFC 3261 §18.1.1: who speaks no TCP gets the long INVITE in a datagram after all.
#[test]
fn a_long_invite_goes_in_a_datagram_to_who_takes_no_stream() {
    let story = story(5);
    let alice = story.person("alice");
    let mut settings = story.world_mut().settings();
    settings.listeners.truncate(1);
    let bob = Phone::new(UriBuf::parse("sip:bob@bob").unwrap());
    let bob = story.world_mut().node_with("bob", settings, bob);
    let bob = story.person_on(bob);
    bob.usually_answers(millis(10), millis(20));
    alice.places(long_call("sip:bob@bob"));
    story.run_for(secs(10));
    story.expect(alice.talks() && bob.talks(), "both talk");
    alice.hangs_up();
    story.ends();
}

/// An answer is the target's last word, on whichever transport it was asked.
#[test]
fn a_long_invite_that_is_refused_with_503_is_sent_once() {
    let story = story(6);
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    alice.places(long_call("sip:bob@bob"));
    story.run_for(secs(1));
    bob.rejects(StatusCode::SERVICE_UNAVAILABLE);
    story.run_for(secs(10));
    story.expect_eq(bob.records().len(), 1, "calls at bob's");
    story.expect_eq(alice.outcome(), Some(Outcome::Rejected(StatusCode::SERVICE_UNAVAILABLE)), "alice's outcome");
    story.ends();
}

/// A host that is off the network is given up, however long the request is.
#[test]
fn a_long_invite_to_a_host_that_is_away_fails_in_the_end() {
    let story = story(7);
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    story.world_mut().set_down(bob.node(), true);
    alice.phone(|phone| phone.set_patience(secs(3600)));
    alice.places(long_call("sip:bob@bob"));
    story.run_for(secs(100));
    let failed = matches!(alice.outcome(), Some(Outcome::TimedOut | Outcome::Unreachable(_)));
    story.expect(failed, "alice gives up");
    story.ends();
}

/// RFC 3261 §18.2.2, §12.2: the talk goes on over a new connection.
#[test]
fn a_talk_outlives_its_connections() {
    let story = story(8);
    let proxy = home(&story, &["home", "home.test"]);
    let (alice, bob) = (story.person("alice"), story.person_of("bob", "home.test"));
    for person in [&alice, &bob] {
        person.speaks(Transport::Tcp);
    }
    register(&story, "sip:home.test", &[(&bob, "1.0")]);
    alice.goes_through(&["sip:home;transport=tcp;lr"]);
    bob.usually_answers(millis(10), millis(20));
    alice.calls_uri("sip:bob@home.test");
    story.run_for(secs(2));
    story.expect(alice.talks() && bob.talks(), "both talk");
    story.world_mut().cut_connections(alice.node(), proxy);
    story.world_mut().cut_connections(bob.node(), proxy);
    story.a_moment();
    alice.hangs_up();
    story.ends();
    story.expect_eq(bob.end(), Some(End::PeerHungUp), "bob's end");
}

/// RFC 3261 §18.2.2: the answer to a request whose connection has ended goes to where its Via says.
#[test]
fn an_answer_finds_its_way_though_the_connection_has_ended() {
    let story = story(9);
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    for person in [&alice, &bob] {
        person.speaks(Transport::Tcp);
    }
    alice.calls_uri("sip:bob@bob;transport=tcp");
    story.a_moment();
    story.world_mut().cut_connections(alice.node(), bob.node());
    story.a_moment();
    bob.answers();
    story.run_for(secs(3));
    story.expect(alice.talks() && bob.talks(), "both talk");
    bob.hangs_up();
    story.ends();
    story.expect_eq(alice.end(), Some(End::PeerHungUp), "alice's end");
}

#[test]
fn a_call_goes_through_two_proxies_over_tls() {
    let story = story(10);
    server(&story, config(&["near"]));
    home(&story, &["far", "far.test"]);
    let (alice, bob) = (story.person("alice"), story.person_of("bob", "far.test"));
    for person in [&alice, &bob] {
        person.speaks(Transport::Tls);
    }
    register(&story, "sip:far.test", &[(&bob, "1.0")]);
    alice.goes_through(&["sip:near;transport=tls;lr", "sip:far;transport=tls;lr"]);
    bob.usually_answers(millis(10), millis(20));
    alice.calls_uri("sip:bob@far.test");
    story.run_for(secs(2));
    story.expect(alice.talks() && bob.talks(), "both talk");
    bob.hangs_up();
    story.ends();
    story.expect_eq(alice.end(), Some(End::PeerHungUp), "alice's end");
}

/// A proxy that leaves takes no new call, and sees those that it has through to their end.
#[test]
fn a_proxy_that_is_leaving_refuses_new_calls_and_keeps_the_old() {
    let story = story(11);
    let proxy = home(&story, &["home", "home.test"]);
    let (alice, bob) = (story.person("alice"), story.person_of("bob", "home.test"));
    register(&story, "sip:home.test", &[(&bob, "1.0")]);
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    story.world_mut().drain(proxy);
    bob.answers();
    story.a_moment();
    story.expect(alice.talks() && bob.talks(), "the call that was there is answered");
    let carol = story.person("carol");
    carol.calls_uri("sip:bob@home.test");
    story.a_moment();
    let refused = Some(Outcome::Rejected(StatusCode::SERVICE_UNAVAILABLE));
    story.expect_eq(carol.outcome(), refused, "carol's outcome");
    alice.hangs_up();
    story.ends();
    story.expect_eq(bob.end(), Some(End::PeerHungUp), "bob's end");
}

/// A message to nowhere is one line in the ladder, and nothing else.
#[test]
fn datagrams_to_an_address_without_a_host_are_lost() {
    let story = story(12);
    let alice = story.person("alice");
    alice.calls_uri("sip:bob@10.200.0.1");
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::TimedOut), "alice's outcome");
    story.expect(story.world().ladder(None).contains("NOBODY"), "the ladder tells it");
}
