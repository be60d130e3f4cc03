//! Call back: the server calls both and connects them; RFC 3725 flow III.

use std::time::{Duration, Instant};

use crate::app_support::by_hand::{ByHand, text, value};
use crate::app_support::{HOLD, Server, ends};
use applications::callback::{self, Settings};
use applications::domains::Domains;
use sip_message::{Method, StatusCode};
use testkit::{End, Outcome, Story};

const SECOND: Duration = Duration::from_secs(1);
const CALLBACK: &str = "sip:callback@example.test";

fn story() -> Story {
    let settings = Settings { domains: Domains::new(["example.test", "alice", "bob"]), ..Settings::default() };
    let story = Story::new(1, Instant::now());
    let wanting = settings.clone();
    Server::new()
        .application(callback::application(settings), move |request| callback::wants(&wanting, request))
        .locating("example.test")
        .at(&story, "example.test");
    story
}

fn by_hand() -> (Story, ByHand, ByHand) {
    let story = story();
    let (alice, bob) = (ByHand::new(&story, "alice"), ByHand::new(&story, "bob"));
    (story, alice, bob)
}

/// Alice has asked, has answered, and bob's phone rings.
fn bob_rings() -> (Story, ByHand, ByHand) {
    let (story, alice, bob) = by_hand();
    alice.asks(Method::Message, CALLBACK, &[], "sip:bob@bob");
    alice.replies(200, &[], ALICES);
    bob.replies(180, &[], "");
    (story, alice, bob)
}

/// They talk.
fn connected() -> (Story, ByHand, ByHand) {
    let (story, alice, bob) = bob_rings();
    bob.replies(200, &[], BOBS);
    alice.replies(200, &[], ALICES);
    (story, alice, bob)
}

const ALICES: &str = "v=0\r\no=alice 11 1 IN IP4 192.0.2.11\r\ns=-\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\n\
                      m=audio 5000 RTP/AVP 8\r\nm=video 5002 RTP/AVP 31\r\n";
const BOBS: &str = "v=0\r\no=bob 22 1 IN IP4 192.0.2.22\r\ns=-\r\nc=IN IP4 192.0.2.22\r\nt=0 0\r\n\
                    m=audio 6000 RTP/AVP 8\r\n";

fn origin(description: &str) -> Vec<String> {
    let line = description.lines().find_map(|line| line.strip_prefix("o=")).unwrap();
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn a_call_to_callback_bob_is_refused_and_comes_back_with_bob() {
    let story = story();
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    alice.usually_answers(SECOND, 2 * SECOND);
    bob.usually_answers(SECOND, 3 * SECOND);
    alice.calls_uri("sip:callback-bob@example.test");
    story.a_moment();
    let unavailable = Outcome::Rejected(StatusCode::TEMPORARILY_UNAVAILABLE);
    story.expect_eq(alice.records()[0].outcome, Some(unavailable), "alice's own call");
    story.run_for(SECOND);
    story.expect(!bob.was_called(), "bob is not called before alice has answered");
    story.run_for(6 * SECOND);
    story.expect(alice.talks() && bob.talks(), "alice talks to bob");
    bob.hangs_up();
    story.a_moment();
    story.expect_eq(alice.end(), Some(End::PeerHungUp), "alice's end");
    ends(&story);
}

#[test]
fn the_caller_is_called_first_and_without_an_offer() {
    let (story, alice, bob) = by_hand();
    alice.asks(Method::Message, CALLBACK, &[], "sip:bob@bob");
    assert_eq!(alice.statuses(), [202]);
    let invite = alice.latest(&Method::Invite);
    assert_eq!(text(invite.body()), "");
    assert!(value(invite.headers(), "From").unwrap().contains("bob"), "the phone shows who is going to be called");
    assert!(bob.methods().is_empty());
    alice.replies(486, &[], "");
    assert!(bob.methods().is_empty());
    ends(&story);
}

#[test]
fn the_caller_is_kept_in_a_black_hole_while_the_other_phone_rings() {
    let (story, alice, bob) = bob_rings();
    let nothing = alice.ack_bodies().remove(0);
    assert!(nothing.contains("c=IN IP4 0.0.0.0") && nothing.contains("a=inactive"), "{nothing}");
    assert_eq!(nothing.matches("m=").count(), 2);
    let invite = bob.latest(&Method::Invite);
    assert_eq!(text(invite.body()), "");
    assert!(value(invite.headers(), "From").unwrap().contains("sip:alice@alice"));
    // However long that takes.
    story.run_for(60 * SECOND);
    bob.replies(486, &[], "");
    assert_eq!(alice.methods().last().map(String::as_str), Some("BYE"));
    assert_eq!(value(alice.latest(&Method::Bye).headers(), "Reason").as_deref(), Some("SIP;cause=486"));
    alice.replies(200, &[], "");
    ends(&story);
}

/// RFC 3725 §4.3, RFC 3264 §8: the number of m-lines never falls, `o=` changes in its version alone.
#[test]
fn both_get_an_offer_or_an_answer_that_is_right_for_them() {
    let (story, alice, bob) = connected();
    let nothing = alice.ack_bodies().remove(0);
    let offer = text(alice.latest(&Method::Invite).body());
    assert!(offer.contains("c=IN IP4 192.0.2.22\r\n") && offer.contains("m=audio 6000 RTP/AVP 8\r\n"), "{offer}");
    assert!(offer.contains("m=video 0 "), "{offer}");
    let (before, after) = (origin(&nothing), origin(&offer));
    assert_eq!((&before[0], &before[1], &before[5]), (&after[0], &after[1], &after[5]));
    assert_eq!((before[2].as_str(), after[2].as_str()), ("0", "1"));
    let answer = bob.ack_bodies().remove(0);
    assert!(answer.contains("c=IN IP4 192.0.2.11\r\n") && answer.contains("m=audio 5000"), "{answer}");
    assert_eq!(origin(&answer), origin(ALICES));
    bob.says(Method::Bye, &[], "");
    alice.replies(200, &[], "");
    ends(&story);
}

#[test]
fn whoever_hangs_up_ends_both() {
    for bob_does in [false, true] {
        let (story, alice, bob) = connected();
        let (one, other) = if bob_does { (&bob, &alice) } else { (&alice, &bob) };
        one.says(Method::Bye, &[], "");
        assert_eq!(one.latest_response().status().code(), 200);
        assert_eq!(other.methods().last().map(String::as_str), Some("BYE"));
        other.replies(200, &[], "");
        ends(&story);
    }
}

#[test]
fn hold_passes_and_the_callers_description_stays_one_session() {
    let (story, alice, bob) = connected();
    bob.says(Method::Invite, &[], HOLD);
    let offer = text(alice.latest(&Method::Invite).body());
    assert!(offer.contains("a=sendonly"), "{offer}");
    assert_eq!((origin(&offer)[0].as_str(), origin(&offer)[2].as_str()), ("-", "2"));
    assert_eq!(offer.matches("m=").count(), 2, "{offer}");
    alice.replies(200, &[], ALICES);
    assert_eq!(bob.latest_response().status().code(), 200);
    bob.acks("");
    alice.says(Method::Bye, &[], "");
    bob.replies(200, &[], "");
    ends(&story);
}

#[test]
fn a_caller_who_hangs_up_while_the_other_phone_rings_stops_it() {
    let (story, alice, bob) = bob_rings();
    alice.says(Method::Bye, &[], "");
    story.expect(bob.was_cancelled(), "bob's phone stops");
    ends(&story);
}

#[test]
fn an_answer_that_the_caller_can_not_take_ends_both() {
    let (story, alice, bob) = bob_rings();
    bob.replies(200, &[], BOBS);
    alice.replies(488, &[], "");
    for side in [&alice, &bob] {
        assert_eq!(side.methods().last().map(String::as_str), Some("BYE"));
        side.replies(200, &[], "");
    }
    ends(&story);
}

/// RFC 3261 §14.1.
#[test]
fn an_offer_that_meets_another_is_made_again() {
    let (story, alice, bob) = bob_rings();
    bob.replies(200, &[], BOBS);
    alice.replies(491, &[], "");
    story.run_for(5 * SECOND);
    alice.replies(200, &[], ALICES);
    assert!(bob.ack_bodies().iter().any(|answer| answer.contains("m=audio 5000")));
    bob.says(Method::Bye, &[], "");
    alice.replies(200, &[], "");
    ends(&story);
}

#[test]
fn strangers_are_not_called_and_do_not_call() {
    let (story, alice, bob) = by_hand();
    alice.asks(Method::Message, CALLBACK, &[], "sip:victim@elsewhere.invalid");
    assert_eq!(alice.statuses(), [403]);
    let mallory = ByHand::of(&story, "mallory", "elsewhere.invalid");
    mallory.asks(Method::Message, CALLBACK, &[], "sip:bob@bob");
    assert_eq!(mallory.statuses(), [403]);
    assert!(bob.methods().is_empty());
    ends(&story);
}

#[test]
fn what_names_nobody_is_a_bad_request() {
    let (story, alice, _) = by_hand();
    alice.asks(Method::Message, CALLBACK, &[], "please call my mother");
    assert_eq!(alice.statuses(), [400]);
    ends(&story);
}

#[test]
fn a_caller_who_does_not_answer_the_call_back_is_left_alone() {
    let (story, alice, bob) = by_hand();
    alice.asks(Method::Message, CALLBACK, &[], "bob");
    alice.replies(480, &[], "");
    story.run_for(60 * SECOND);
    assert_eq!((alice.methods(), bob.methods()), (vec!["INVITE".to_owned()], vec![]));
    ends(&story);
}
