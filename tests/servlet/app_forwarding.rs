//! Call forwarding: always, when busy, when nobody answers, and never in a circle.

use std::time::{Duration, Instant};

use crate::app_support::by_hand::{ByHand, value};
use crate::app_support::{SDP, Server, ends};
use applications::domains::Domains;
use applications::forwarding::{self, Rules, Settings};
use sip_message::{HeaderName, Method, StatusCode};
use testkit::{Action, Outcome, Person, Script, Story};

const SECOND: Duration = Duration::from_secs(1);

/// Everybody's host is a domain of ours, so that all have their rules here.
fn story_with(users: &[(&str, Rules)]) -> Story {
    let users = users.iter().map(|(user, rules)| ((*user).to_owned(), rules.clone())).collect();
    let settings = Settings { users, domains: Domains::new(["example.test", "bob", "carol", "dora", "erik"]) };
    let story = Story::new(1, Instant::now());
    let wanting = settings.clone();
    Server::new()
        .application(forwarding::application(settings), move |request| forwarding::wants(&wanting, request))
        .at(&story, "example.test");
    story
}

fn caller(story: &Story) -> Person {
    let alice = story.person("alice");
    alice.goes_through(&["sip:example.test;lr"]);
    alice
}

fn busy(to: &str) -> Rules {
    Rules { busy: Some(to.to_owned()), ..Rules::default() }
}

fn always(to: &str) -> Rules {
    Rules { always: Some(to.to_owned()), ..Rules::default() }
}

fn no_answer(to: &str) -> Rules {
    Rules { no_answer: Some((to.to_owned(), 10 * SECOND)), ..Rules::default() }
}

const CAROL: &str = "sip:carol@carol";

fn rejects(person: &Person, status: StatusCode) {
    person.usually(Script::nothing().then(SECOND, Action::Reject(status)));
}

#[test]
fn a_busy_phone_sends_its_calls_to_another() {
    let story = story_with(&[("bob", busy(CAROL))]);
    let (alice, bob, carol) = (caller(&story), story.person("bob"), story.person("carol"));
    rejects(&bob, StatusCode::BUSY_HERE);
    carol.usually_answers(SECOND, 2 * SECOND);
    alice.calls(&bob);
    story.run_for(5 * SECOND);
    story.expect(alice.talks() && carol.talks(), "alice talks to carol");
    alice.hangs_up();
    ends(&story);
}

#[test]
fn a_phone_that_nobody_answers_stops_and_another_rings() {
    let story = story_with(&[("bob", no_answer(CAROL))]);
    let (alice, bob, carol) = (caller(&story), story.person("bob"), story.person("carol"));
    bob.usually(Script::nothing().then(SECOND, Action::Ring));
    carol.usually_answers(SECOND, 2 * SECOND);
    alice.calls(&bob);
    story.run_for(9 * SECOND);
    story.expect(!carol.was_called(), "bob's phone has its time");
    story.run_for(5 * SECOND);
    story.expect_eq(bob.outcome(), Some(Outcome::Cancelled), "bob's phone");
    story.expect(alice.talks() && carol.talks(), "alice talks to carol");
    alice.hangs_up();
    ends(&story);
}

#[test]
fn a_phone_that_is_not_there_sends_its_calls_to_another_at_once() {
    let story = story_with(&[("bob", no_answer(CAROL))]);
    let (alice, bob, carol) = (caller(&story), story.person("bob"), story.person("carol"));
    rejects(&bob, StatusCode::TEMPORARILY_UNAVAILABLE);
    carol.usually_answers(SECOND, 2 * SECOND);
    alice.calls(&bob);
    story.run_for(4 * SECOND);
    story.expect(alice.talks() && carol.talks(), "alice talks to carol");
    alice.hangs_up();
    ends(&story);
}

#[test]
fn whoever_forwards_always_is_not_called_at_all() {
    let story = story_with(&[("bob", always(CAROL))]);
    let (alice, bob, carol) = (caller(&story), story.person("bob"), story.person("carol"));
    carol.usually_answers(SECOND, 2 * SECOND);
    alice.calls(&bob);
    story.run_for(3 * SECOND);
    story.expect(alice.talks() && carol.talks() && !bob.was_called(), "alice talks to carol, and bob has his peace");
    alice.hangs_up();
    ends(&story);
}

#[test]
fn other_refusals_are_the_callers_to_hear() {
    let story = story_with(&[("bob", Rules { no_answer: Some((CAROL.into(), SECOND * 10)), ..busy(CAROL) })]);
    let (alice, bob, carol) = (caller(&story), story.person("bob"), story.person("carol"));
    rejects(&bob, StatusCode::DECLINE);
    alice.calls(&bob);
    story.run_for(2 * SECOND);
    story.expect_eq(alice.outcome(), Some(Outcome::Rejected(StatusCode::DECLINE)), "alice's call");
    story.expect(!carol.was_called(), "carol is left in peace");
    ends(&story);
}

#[test]
fn a_caller_who_gives_up_is_not_forwarded() {
    let story = story_with(&[("bob", no_answer(CAROL))]);
    let (alice, bob, carol) = (caller(&story), story.person("bob"), story.person("carol"));
    bob.usually(Script::nothing().then(SECOND, Action::Ring));
    alice.calls(&bob);
    story.run_for(3 * SECOND);
    alice.hangs_up();
    story.run_for(15 * SECOND);
    story.expect_eq(alice.outcome(), Some(Outcome::Cancelled), "alice's call");
    story.expect(!carol.was_called(), "carol is left in peace");
    ends(&story);
}

#[test]
fn whom_a_call_is_forwarded_to_may_forward_it_as_well() {
    let story = story_with(&[("bob", always(CAROL)), ("carol", busy("sip:dora@dora"))]);
    let (alice, bob) = (caller(&story), story.person("bob"));
    let (carol, dora) = (story.person("carol"), story.person("dora"));
    rejects(&carol, StatusCode::BUSY_HERE);
    dora.usually_answers(SECOND, 2 * SECOND);
    alice.calls(&bob);
    story.run_for(5 * SECOND);
    story.expect(alice.talks() && dora.talks(), "alice talks to dora");
    alice.hangs_up();
    ends(&story);
}

#[test]
fn two_who_forward_to_each_other_are_both_tried_once() {
    let story = story_with(&[("bob", busy(CAROL)), ("carol", busy("sip:bob@bob"))]);
    let (alice, bob, carol) = (caller(&story), story.person("bob"), story.person("carol"));
    rejects(&bob, StatusCode::BUSY_HERE);
    rejects(&carol, StatusCode::BUSY_HERE);
    alice.calls(&bob);
    story.run_for(10 * SECOND);
    story.expect_eq(alice.outcome(), Some(Outcome::Rejected(StatusCode::BUSY_HERE)), "alice's call");
    story.expect_eq((bob.records().len(), carol.records().len()), (1, 1), "calls of bob and carol");
    ends(&story);
}

#[test]
fn a_circle_of_those_who_always_forward_is_unavailable() {
    let story = story_with(&[("bob", always(CAROL)), ("carol", always("sip:bob@bob"))]);
    let (alice, bob) = (caller(&story), story.person("bob"));
    alice.calls(&bob);
    story.a_moment();
    let unavailable = Outcome::Rejected(StatusCode::TEMPORARILY_UNAVAILABLE);
    story.expect_eq(alice.outcome(), Some(unavailable), "alice's call");
    ends(&story);
}

/// RFC 5806 §4, RFC 7044 §10.3, RFC 4458 §2.
#[test]
fn the_next_phone_is_told_who_was_called_and_why_it_rings() {
    let story = story_with(&[("bob", busy(CAROL))]);
    let (alice, bob, carol) = (ByHand::new(&story, "alice"), ByHand::new(&story, "bob"), ByHand::new(&story, "carol"));
    alice.invites("sip:bob@bob", &[("Route", "<sip:example.test;lr>")], SDP);
    assert_eq!(value(bob.latest(&Method::Invite).headers(), "Diversion"), None);
    bob.replies(486, &[], "");
    let invite = carol.latest(&Method::Invite);
    assert_eq!(value(invite.headers(), "Diversion").as_deref(), Some("<sip:bob@bob>;reason=user-busy;counter=1"));
    let history: Vec<&str> = invite.headers().values(HeaderName::HistoryInfo).collect();
    assert_eq!(
        history,
        [
            "<sip:bob@bob>;index=1",
            "<sip:bob@bob?Reason=SIP%3Bcause%3D486>;index=1.1;np=1",
            "<sip:carol@carol;cause=486>;index=1.2;mp=1.1"
        ]
    );
    carol.replies(603, &[], "");
    assert_eq!(alice.statuses(), [603]);
    ends(&story);
}

/// Three diversions on the whole way are enough; the fourth is not made.
#[test]
fn a_call_that_was_diverted_three_times_stays_where_it_is() {
    let story = story_with(&[("bob", busy(CAROL))]);
    let (alice, bob) = (ByHand::new(&story, "alice"), ByHand::new(&story, "bob"));
    let diverted = ("Diversion", "<sip:a@x>;counter=2, <sip:b@x>");
    alice.invites("sip:bob@bob", &[("Route", "<sip:example.test;lr>"), diverted], SDP);
    bob.replies(486, &[], "");
    story.expect_eq(alice.statuses(), vec![486], "what alice hears");
    ends(&story);
}
