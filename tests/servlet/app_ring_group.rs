//! Ring groups: everybody rings, and whoever answers first has the call.

use std::time::{Duration, Instant};

use crate::app_support::{Server, ends};
use applications::domains::Domains;
use applications::ring_group::{self, Group, Order, Settings};
use sip_message::StatusCode;
use testkit::{Action, End, Outcome, Person, Script, Story};

const SECOND: Duration = Duration::from_secs(1);

struct Office {
    story: Story,
    alice: Person,
    bob: Person,
    carol: Person,
}

fn office(members: &[&str], order: Order) -> Office {
    let group =
        Group { members: members.iter().map(|member| (*member).to_owned()).collect(), order, record_route: true };
    let settings = Settings { groups: [("sales".to_owned(), group)].into(), domains: Domains::new(["example.test"]) };
    let story = Story::new(1, Instant::now());
    let wanting = settings.clone();
    Server::new()
        .application(ring_group::application(settings), move |request| ring_group::wants(&wanting, request))
        .at(&story, "example.test");
    let (alice, bob, carol) = (story.person("alice"), story.person("bob"), story.person("carol"));
    Office { story, alice, bob, carol }
}

const BOTH: [&str; 2] = ["sip:bob@bob", "sip:carol@carol"];

#[test]
fn all_phones_ring_and_the_first_that_answers_has_the_call() {
    let office = office(&BOTH, Order::AtOnce);
    office.bob.usually(Script::nothing().then(SECOND, Action::Ring));
    office.carol.usually_answers(SECOND, 3 * SECOND);
    office.alice.calls_uri("sip:sales@example.test");
    office.story.run_for(2 * SECOND);
    office.story.expect(office.bob.was_called() && office.carol.was_called(), "both ring");
    office.story.run_for(2 * SECOND);
    office.story.expect(office.alice.talks() && office.carol.talks(), "alice talks to carol");
    office.story.expect_eq(office.bob.outcome(), Some(Outcome::Cancelled), "bob's phone");
    office.carol.hangs_up();
    office.story.a_moment();
    office.story.expect_eq(office.alice.end(), Some(End::PeerHungUp), "alice's end");
    ends(&office.story);
}

#[test]
fn in_turn_the_second_rings_when_the_first_has_had_his_time() {
    let office = office(&BOTH, Order::InTurn(10 * SECOND));
    office.bob.usually(Script::nothing().then(SECOND, Action::Ring));
    office.carol.usually_answers(SECOND, 2 * SECOND);
    office.alice.calls_uri("sip:sales@example.test");
    office.story.run_for(9 * SECOND);
    office.story.expect(office.bob.was_called() && !office.carol.was_called(), "only bob's phone rings");
    office.story.run_for(5 * SECOND);
    office.story.expect_eq(office.bob.outcome(), Some(Outcome::Cancelled), "bob's phone");
    office.story.expect(office.alice.talks() && office.carol.talks(), "alice talks to carol");
    office.alice.hangs_up();
    ends(&office.story);
}

#[test]
fn in_turn_a_refusal_makes_the_next_one_ring_at_once() {
    let office = office(&BOTH, Order::InTurn(10 * SECOND));
    office.bob.usually(Script::nothing().then(SECOND, Action::Reject(StatusCode::BUSY_HERE)));
    office.carol.usually_answers(SECOND, 2 * SECOND);
    office.alice.calls_uri("sip:sales@example.test");
    office.story.run_for(4 * SECOND);
    office.story.expect(office.alice.talks() && office.carol.talks(), "alice talks to carol");
    office.alice.hangs_up();
    ends(&office.story);
}

#[test]
fn when_all_are_busy_the_caller_hears_that() {
    let office = office(&BOTH, Order::AtOnce);
    for person in [&office.bob, &office.carol] {
        person.usually(Script::nothing().then(SECOND, Action::Reject(StatusCode::BUSY_HERE)));
    }
    office.alice.calls_uri("sip:sales@example.test");
    office.story.run_for(3 * SECOND);
    office.story.expect_eq(office.alice.outcome(), Some(Outcome::Rejected(StatusCode::BUSY_HERE)), "alice's call");
    ends(&office.story);
}

#[test]
fn a_group_without_members_is_unavailable() {
    let office = office(&[], Order::AtOnce);
    office.alice.calls_uri("sip:sales@example.test");
    office.story.a_moment();
    let unavailable = Outcome::Rejected(StatusCode::TEMPORARILY_UNAVAILABLE);
    office.story.expect_eq(office.alice.outcome(), Some(unavailable), "alice's call");
    ends(&office.story);
}

#[test]
fn a_member_who_calls_the_group_does_not_ring_himself() {
    let office = office(&BOTH, Order::AtOnce);
    office.carol.usually_answers(SECOND, 2 * SECOND);
    office.bob.calls_uri("sip:sales@example.test");
    office.story.run_for(3 * SECOND);
    office.story.expect_eq(office.bob.records().len(), 1, "bob's calls");
    office.story.expect(office.bob.talks() && office.carol.talks(), "bob talks to carol");
    office.bob.hangs_up();
    ends(&office.story);
}

#[test]
fn a_caller_who_gives_up_stops_every_phone() {
    let office = office(&BOTH, Order::AtOnce);
    for person in [&office.bob, &office.carol] {
        person.usually(Script::nothing().then(SECOND, Action::Ring));
    }
    office.alice.calls_uri("sip:sales@example.test");
    office.story.run_for(3 * SECOND);
    office.alice.hangs_up();
    office.story.a_moment();
    for person in [&office.alice, &office.bob, &office.carol] {
        office.story.expect_eq(person.outcome(), Some(Outcome::Cancelled), "everybody's call");
    }
    ends(&office.story);
}
