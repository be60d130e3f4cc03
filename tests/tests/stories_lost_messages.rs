//! What gets lost is repaired by whoever is responsible for it: RFC 3261 §13, §17, RFC 6026.
#![allow(clippy::unwrap_used, missing_docs)]

mod stories_support;

use sip_message::{Message, Method, StatusCode};
use stories_support::{home, millis, register, secs, story};
use testkit::{End, NodeId, Outcome, Person, Story};

/// Alice, a proxy, and Bob.
fn alice_proxy_bob(story: &Story) -> (Person, NodeId, Person) {
    let proxy = home(story, &["home", "home.test"]);
    let (alice, bob) = (story.person("alice"), story.person_of("bob", "home.test"));
    register(story, "sip:home.test", &[(&bob, "1.0")]);
    (alice, proxy, bob)
}

fn requests(story: &Story, from: NodeId, to: NodeId, method: &Method) -> usize {
    let is = |message: &Message| matches!(message, Message::Request(request) if request.method() == method);
    story.sent(from, to).iter().filter(|(message, _)| is(message)).count()
}

fn responses(story: &Story, from: NodeId, to: NodeId, status: StatusCode) -> usize {
    let is = |message: &Message| matches!(message, Message::Response(response) if response.status() == status);
    story.sent(from, to).iter().filter(|(message, _)| is(message)).count()
}

/// RFC 3261 §13.3.1.4: the callee repeats its 2xx, and the proxy passes every copy on (§16.7 step 5).
#[test]
fn a_200_that_is_lost_behind_the_proxy_is_repeated_by_the_callee() {
    let story = story(1);
    let (alice, proxy, bob) = alice_proxy_bob(&story);
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    story.world_mut().network_mut().lose_next(proxy, alice.node(), 2);
    bob.answers();
    story.run_for(secs(3));
    story.expect(alice.talks() && bob.talks(), "both talk");
    story.expect_eq(responses(&story, proxy, alice.node(), StatusCode::OK), 3, "times that the proxy sent the 200");
    alice.hangs_up();
    story.ends();
}

/// RFC 3261 §13.2.2.4: a copy of the 2xx gets a copy of the ACK.
#[test]
fn an_ack_that_is_lost_is_sent_again_for_the_next_200() {
    let story = story(2);
    let (alice, proxy, bob) = alice_proxy_bob(&story);
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    bob.answers();
    story.world_mut().network_mut().lose_next(alice.node(), proxy, 1);
    story.run_for(secs(3));
    story.expect_eq(requests(&story, proxy, bob.node(), &Method::Ack), 1, "ACKs that reached bob");
    story.expect_eq(bob.outcome(), Some(Outcome::Answered), "bob's outcome");
    bob.hangs_up();
    story.ends();
    story.expect_eq(alice.end(), Some(End::PeerHungUp), "alice's end");
}

/// RFC 3261 §17.1.1.2, §17.2.3: a copy of the INVITE is no second call.
#[test]
fn an_invite_that_is_repeated_is_answered_once() {
    let story = story(3);
    let (alice, proxy, bob) = alice_proxy_bob(&story);
    // The proxy does not get its 100 through, so that alice repeats her INVITE.
    story.world_mut().network_mut().lose_next(proxy, alice.node(), 3);
    alice.calls_uri("sip:bob@home.test");
    story.run_for(secs(4));
    story.expect(requests(&story, alice.node(), proxy, &Method::Invite) >= 3, "alice has repeated her INVITE");
    story.expect_eq(requests(&story, proxy, bob.node(), &Method::Invite), 1, "INVITEs that bob got");
    story.expect_eq(bob.records().len(), 1, "calls at bob's");
    bob.answers();
    story.a_moment();
    alice.hangs_up();
    story.ends();
}

/// RFC 3261 §9.1: the 200 and the CANCEL cross. The caller acknowledges, and hangs up.
#[test]
fn the_answer_crosses_the_cancel() {
    let story = story(4);
    let (alice, _, bob) = alice_proxy_bob(&story);
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    bob.rings();
    story.a_moment();
    bob.answers();
    alice.hangs_up();
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::Cancelled), "alice's outcome");
    story.expect_eq((bob.outcome(), bob.end()), (Some(Outcome::Answered), Some(End::PeerHungUp)), "bob");
}

/// RFC 3261 §9.1: there is no CANCEL before a provisional response; it follows as soon as there is one.
#[test]
fn a_cancel_waits_for_the_first_answer() {
    let story = story(5);
    let (alice, proxy, bob) = alice_proxy_bob(&story);
    alice.calls_uri("sip:bob@home.test");
    story.run_for(millis(6));
    story.expect_eq(requests(&story, alice.node(), proxy, &Method::Invite), 1, "INVITEs that have left");
    alice.hangs_up();
    story.run_for(millis(1));
    story.expect_eq(requests(&story, alice.node(), proxy, &Method::Cancel), 0, "CANCELs before the 100");
    story.ends();
    story.expect_eq(requests(&story, alice.node(), proxy, &Method::Cancel), 1, "CANCELs");
    story.expect_eq((alice.outcome(), bob.outcome()), (Some(Outcome::Cancelled), Some(Outcome::Cancelled)), "both");
}

/// Nobody hears of a call that is given up while the name of the callee's domain is still looked up.
#[test]
fn a_call_that_is_given_up_before_it_has_left_is_never_sent() {
    let story = story(11);
    let (alice, proxy, bob) = alice_proxy_bob(&story);
    alice.calls_uri("sip:bob@home.test");
    alice.hangs_up();
    story.ends();
    story.expect_eq(alice.outcome(), Some(Outcome::Cancelled), "alice's outcome");
    story.expect(story.sent(alice.node(), proxy).is_empty() && !bob.was_called(), "nothing was sent");
}

/// RFC 3261 §17.1.2: the BYE is repeated until the partition ends.
#[test]
fn a_bye_gets_through_when_the_partition_ends() {
    let story = story(6);
    let (alice, proxy, bob) = alice_proxy_bob(&story);
    bob.usually_answers(millis(10), millis(20));
    alice.calls_uri("sip:bob@home.test");
    story.run_for(secs(2));
    story.world_mut().partition(proxy, bob.node(), secs(10));
    alice.hangs_up();
    story.run_for(secs(9));
    story.expect(bob.talks(), "bob knows nothing yet");
    story.run_for(secs(10));
    story.expect_eq(bob.end(), Some(End::PeerHungUp), "bob's end");
    story.ends();
}

/// RFC 3261 §12.2.1.2: who was not told is told by 481.
#[test]
fn who_missed_the_bye_learns_it_when_he_hangs_up_himself() {
    let story = story(7);
    let (alice, proxy, bob) = alice_proxy_bob(&story);
    bob.usually_answers(millis(10), millis(20));
    alice.calls_uri("sip:bob@home.test");
    story.run_for(secs(2));
    story.world_mut().partition(proxy, bob.node(), secs(60));
    alice.hangs_up();
    story.run_for(secs(90));
    story.expect(bob.talks() && !alice.talks(), "only bob still believes in the call");
    bob.hangs_up();
    story.ends();
    story.expect_eq(responses(&story, alice.node(), proxy, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST), 1, "481s");
}

/// RFC 3261 §13.3.1.4: without an ACK the callee gives the call up after 64·T1.
#[test]
fn a_callee_whom_nobody_acknowledges_hangs_up() {
    let story = story(8);
    let (alice, proxy, bob) = alice_proxy_bob(&story);
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    story.world_mut().partition(proxy, alice.node(), secs(60));
    bob.answers();
    story.run_for(secs(31));
    story.expect_eq(bob.outcome(), None, "bob's outcome within 64·T1");
    story.run_for(secs(2));
    story.expect_eq(bob.outcome(), Some(Outcome::Unacknowledged), "bob's outcome");
    alice.hangs_up();
    story.ends();
}

/// RFC 3261 §14.1: both ask at once, both hear 491, and try again at different times.
#[test]
fn two_reinvites_that_meet_both_succeed_later() {
    let story = story(9);
    let (alice, _, bob) = alice_proxy_bob(&story);
    bob.usually_answers(millis(10), millis(20));
    alice.calls_uri("sip:bob@home.test");
    story.run_for(secs(2));
    alice.reinvites();
    bob.reinvites();
    story.run_for(secs(1));
    let glares = |person: &Person| person.record().unwrap().talk().unwrap().glares;
    story.expect(glares(&alice) == 1 && glares(&bob) == 1, "they meet");
    story.run_for(secs(20));
    let done = |person: &Person| person.record().unwrap().talk().unwrap().reinvites;
    story.expect(done(&alice) == 1 && done(&bob) == 1, "both get through");
    bob.hangs_up();
    story.ends();
}

/// RFC 3261 §16.8: after Timer C the proxy takes care of a call that nobody takes care of.
#[test]
fn a_phone_that_rings_for_ever_is_given_up_by_the_proxy() {
    let story = story(10);
    let (alice, _, bob) = alice_proxy_bob(&story);
    for person in [&alice, &bob] {
        person.phone(|phone| phone.set_patience(secs(3600)));
    }
    alice.calls_uri("sip:bob@home.test");
    story.a_moment();
    bob.rings();
    story.run_for(secs(179));
    story.expect_eq(alice.outcome(), None, "alice's outcome within three minutes");
    story.run_for(secs(5));
    story.expect_eq(bob.outcome(), Some(Outcome::Cancelled), "bob's outcome");
    let timeout = [StatusCode::REQUEST_TIMEOUT, StatusCode::REQUEST_TERMINATED].map(|s| Some(Outcome::Rejected(s)));
    story.expect(timeout.contains(&alice.outcome()), "alice is told");
    story.ends();
}
