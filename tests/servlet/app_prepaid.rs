//! Prepaid calls and call detail records, told with the container between alice and bob.

use std::time::{Duration, Instant};

use crate::app_support::{Records, Server, ends};
use applications::cdr::{CallDetailRecord, EndedBy};
use applications::prepaid::{self, Settings, Tariff};
use sip_message::StatusCode;
use testkit::{Action, End, Link, Outcome, Person, Script, Story};

struct Call {
    story: Story,
    alice: Person,
    bob: Person,
    records: Records,
}

const SECOND: Duration = Duration::from_secs(1);

/// Alice has so many seconds; bob rings after a second and answers after two.
fn with_balance(seconds: u64) -> Call {
    with(Settings { balances: [("alice".to_owned(), seconds)].into(), ..Settings::default() })
}

fn with(settings: Settings) -> Call {
    with_seed(1, settings)
}

fn with_seed(seed: u64, settings: Settings) -> Call {
    let story = Story::new(seed, Instant::now());
    let records = Records::default();
    let wanting = settings.clone();
    Server::new()
        .application(prepaid::application(settings), move |request| prepaid::wants(&wanting, request))
        .records(&records)
        .at(&story, "example.test");
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    alice.goes_through(&["sip:example.test;lr"]);
    bob.usually_answers(SECOND, 2 * SECOND);
    Call { story, alice, bob, records }
}

impl Call {
    fn alice_calls(&self) {
        self.alice.calls(&self.bob);
        self.story.run_for(2 * SECOND + Duration::from_millis(500));
        self.story.expect(self.alice.talks() && self.bob.talks(), "they talk");
    }

    /// The record of the only call.
    fn record(&self) -> CallDetailRecord {
        let records = self.records.taken();
        self.story.expect_eq(records.len(), 1, "records");
        records.into_iter().next().unwrap()
    }
}

#[test]
fn a_call_ends_when_the_balance_is_used_up() {
    let call = with_balance(60);
    call.alice_calls();
    call.story.run_for(59 * SECOND);
    call.story.expect(call.alice.talks(), "there is a second left");
    call.story.run_for(SECOND);
    call.story.expect_eq(call.alice.end(), Some(End::PeerHungUp), "alice's end");
    call.story.expect_eq(call.bob.end(), Some(End::PeerHungUp), "bob's end");
    ends(&call.story);
    let record = call.record();
    assert_eq!((record.ended_by, record.status), (Some(EndedBy::Server), 200));
    assert_eq!(record.talked.duration().as_secs(), 60);
    assert_eq!(record.reason.as_deref(), Some("the balance is used up"));
}

#[test]
fn without_a_balance_the_caller_has_to_pay_first_and_nobody_is_called() {
    let call = with_balance(0);
    call.alice.calls(&call.bob);
    call.story.a_moment();
    call.story.expect_eq(call.alice.outcome(), Some(Outcome::Rejected(StatusCode::PAYMENT_REQUIRED)), "alice's call");
    call.story.expect(!call.bob.was_called(), "bob is left in peace");
    ends(&call.story);
    let record = call.record();
    assert_eq!((record.status, record.callee_call_id, record.answered), (402, None, None));
}

#[test]
fn what_was_not_talked_is_left_for_the_next_call() {
    let call = with_balance(60);
    call.alice_calls();
    call.story.run_for(40 * SECOND);
    call.alice.hangs_up();
    call.story.run_for(SECOND);
    call.alice_calls();
    call.story.run_for(18 * SECOND);
    call.story.expect(call.alice.talks(), "there is a second left");
    call.story.run_for(3 * SECOND);
    call.story.expect_eq(call.alice.end(), Some(End::PeerHungUp), "alice's end");
    ends(&call.story);
}

#[test]
fn a_call_that_was_not_answered_costs_nothing() {
    let call = with_balance(60);
    call.bob.usually(Script::nothing().then(30 * SECOND, Action::Reject(StatusCode::BUSY_HERE)));
    call.alice.calls(&call.bob);
    call.story.run_for(31 * SECOND);
    call.story.expect_eq(call.alice.outcome(), Some(Outcome::Rejected(StatusCode::BUSY_HERE)), "alice's call");
    call.bob.usually_answers(SECOND, 2 * SECOND);
    call.alice_calls();
    call.story.run_for(58 * SECOND);
    call.story.expect(call.alice.talks(), "the balance is whole");
    call.alice.hangs_up();
    ends(&call.story);
    let records = call.records.taken();
    assert_eq!((records[0].status, records[0].ended_by, records[0].talked.0), (486, Some(EndedBy::Callee), 0));
}

#[test]
fn a_second_call_of_the_same_caller_finds_nothing_left() {
    let call = with_balance(60);
    let carol = call.story.person("carol");
    call.alice_calls();
    call.alice.calls(&carol);
    call.story.a_moment();
    call.story.expect_eq(
        call.alice.outcome(),
        Some(Outcome::Rejected(StatusCode::PAYMENT_REQUIRED)),
        "alice's second call",
    );
    call.bob.hangs_up();
    ends(&call.story);
}

/// Workers tell each other what they book.
#[test]
fn a_second_call_finds_nothing_left_on_another_worker_either() {
    let settings = Settings { balances: [("alice".to_owned(), 60)].into(), ..Settings::default() };
    let story = Story::new(1, Instant::now());
    let wanting = settings.clone();
    Server::new()
        .application(prepaid::application(settings), move |request| prepaid::wants(&wanting, request))
        .shards(4)
        .at(&story, "example.test");
    let bob = story.person("bob");
    bob.usually_answers(SECOND, 2 * SECOND);
    let phones = ["desk", "mobile", "kitchen", "car", "door", "attic"];
    let phones = phones.map(|name| story.person_with(name, "sip:alice@alice"));
    for phone in &phones {
        phone.goes_through(&["sip:example.test;lr"]);
        phone.calls(&bob);
        story.run_for(3 * SECOND);
    }
    let talking = phones.iter().filter(|phone| phone.talks()).count();
    story.expect_eq((talking, phones[0].talks()), (1, true), "the first call, and no other");
    phones[0].hangs_up();
    ends(&story);
}

#[test]
fn a_minute_that_was_begun_is_paid() {
    let minutes = Tariff { first: 60 * SECOND, then: 60 * SECOND };
    let settings = Settings { balances: [("alice".to_owned(), 100)].into(), tariff: minutes, ..Settings::default() };
    let call = with(settings);
    call.alice_calls();
    call.alice.hangs_up();
    call.story.a_moment();
    call.alice.calls(&call.bob);
    call.story.a_moment();
    call.story.expect_eq(
        call.alice.outcome(),
        Some(Outcome::Rejected(StatusCode::PAYMENT_REQUIRED)),
        "40 seconds are no minute",
    );
    ends(&call.story);
}

#[test]
fn whoever_hangs_up_ends_both_legs_and_is_recorded() {
    for bob_does in [false, true] {
        let call = with_balance(60);
        call.alice_calls();
        call.story.run_for(9 * SECOND);
        let (one, other) = if bob_does { (&call.bob, &call.alice) } else { (&call.alice, &call.bob) };
        one.hangs_up();
        call.story.a_moment();
        call.story.expect_eq(one.end(), Some(End::HungUp), "the end of who hung up");
        call.story.expect_eq(other.end(), Some(End::PeerHungUp), "the other's end");
        ends(&call.story);
        let record = call.record();
        assert_eq!(record.ended_by, Some(if bob_does { EndedBy::Callee } else { EndedBy::Caller }));
        assert_eq!((record.from.as_str(), record.to.as_str()), ("sip:alice@alice", "sip:bob@bob"));
        assert_eq!(Some(record.call_id), call.alice.record().map(|record| record.call_id));
        assert_eq!(record.callee_call_id, call.bob.record().map(|record| record.call_id));
        assert!(record.started < record.answered.unwrap() && record.answered < record.ended);
    }
}

#[test]
fn a_caller_who_gives_up_stops_the_callees_phone() {
    let call = with_balance(60);
    call.bob.usually(Script::nothing().then(SECOND, Action::Ring));
    call.alice.calls(&call.bob);
    call.story.run_for(3 * SECOND);
    call.alice.hangs_up();
    call.story.a_moment();
    call.story.expect_eq(call.alice.outcome(), Some(Outcome::Cancelled), "alice's call");
    call.story.expect_eq(call.bob.outcome(), Some(Outcome::Cancelled), "bob's call");
    ends(&call.story);
    let record = call.record();
    assert_eq!((record.ended_by, record.status, record.answered), (Some(EndedBy::Caller), 487, None));
}

/// The callee answers at the very moment in which the caller gives up.
#[test]
fn an_answer_that_crosses_a_cancel_costs_nothing() {
    let call = with_balance(60);
    call.bob.usually(Script::nothing().then(SECOND, Action::Ring));
    call.alice.calls(&call.bob);
    call.story.run_for(3 * SECOND);
    call.bob.answers();
    call.alice.hangs_up();
    call.story.run_for(5 * SECOND);
    call.story.expect(!call.alice.talks() && !call.bob.talks(), "nobody is left in a talk");
    ends(&call.story);
    assert!(call.record().talked.0 < 1_000);
}

#[test]
fn a_caller_who_is_not_prepaid_is_nobodys_business_here() {
    let call = with_balance(60);
    let dora = call.story.person("dora");
    dora.goes_through(&["sip:example.test;lr"]);
    dora.calls(&call.bob);
    call.story.run_for(3 * SECOND);
    assert!(call.records.taken().is_empty());
}

/// Whatever is lost on the way: the call is over on both sides and in the accounts, and nobody pays for time in which he
/// could not talk.
#[test]
fn lost_messages_leave_no_call_and_no_debt_behind() {
    for seed in 0..20 {
        let balances = [("alice".to_owned(), 600)].into();
        let call = with_seed(seed, Settings { balances, ..Settings::default() });
        call.story.links(Link::PERFECT.with_loss(0.2).with_jitter(Duration::from_millis(20)));
        call.alice.calls(&call.bob);
        call.story.run_for(45 * SECOND);
        call.alice.hangs_up();
        call.story.run_for(70 * SECOND);
        call.story.links(Link::PERFECT);
        call.story.expect(!call.alice.talks(), "alice talks no more");
        ends(&call.story);
        assert!(call.record().talked.duration() < 60 * SECOND, "seed {seed}");
    }
}
