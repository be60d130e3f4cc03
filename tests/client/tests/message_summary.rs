//! Message-waiting: RFC 3842 on RFC 6665, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod servers;

use client_world::{Person, Stage};
use servers::{Answer, DOMAIN, Host, Seen, host, is_told, member_with, millis, registrar, stage, told};
use sip_dialog::digest::Asker;
use sip_message::{HeaderName, Method, Transport};
use testkit::Link;

const SUBSCRIBE: Method = Method::Subscribe;
const SUMMARY: &str = "application/simple-message-summary";
const TWO_OF_TEN: &str = "Messages-Waiting: yes\r\nVoice-Message: 2/8 (0/2)\r\n";

/// Somebody whose account follows its mailbox, without registering.
fn following(stage: &Stage) -> Person {
    member_with(stage, "alice", |_, account| {
        account.sip.register = false;
        account.message_summary.enabled = true;
    })
}

/// A server, alice and her SUBSCRIBE, which was accepted and has had its first NOTIFY.
fn subscribed(set_up: impl FnOnce(&Host)) -> (Stage, Host, Person, Seen) {
    let stage = stage(1);
    let server = registrar(&stage);
    set_up(&server);
    let alice = following(&stage);
    stage.a_moment();
    let subscribe = server.last();
    server.notifies(&subscribe, 1, "active;expires=3600", Some((SUMMARY, "Messages-Waiting: no\r\n")));
    stage.a_moment();
    (stage, server, alice, subscribe)
}

fn ends(stage: &Stage, alice: &Person) {
    stage.world_mut().drain(alice.node());
    stage.ends();
}

fn subscriptions(server: &Host) -> Vec<u64> {
    server.seen_of(&SUBSCRIBE).iter().map(|seen| seen.at.as_secs()).collect()
}

#[test]
fn an_account_subscribes_to_its_own_mailbox_and_tells_what_is_in_it() {
    let (stage, server, alice, subscribe) = subscribed(|_| {});
    assert_eq!(subscribe.request.uri_text(), "sip:alice@example.test");
    let field = |name| subscribe.first(name).to_owned();
    assert_eq!((field(HeaderName::Event), field(HeaderName::Accept)), ("message-summary".into(), SUMMARY.into()));
    assert_eq!(field(HeaderName::Expires), "3600");
    server.notifies(&subscribe, 2, "active;expires=3600", Some((SUMMARY, TWO_OF_TEN)));
    stage.a_moment();
    assert_eq!(server.answered().status().code(), 200);
    is_told(&stage, &alice, &["GotMessageSummary false 0/0", "GotMessageSummary true 2/8"]);
    ends(&stage, &alice);
}

/// The realm is learnt by registering, and whoever is not registered has no mailbox that could call.
#[test]
fn an_account_that_registers_subscribes_once_it_is_registered() {
    let stage = stage(1);
    let server = registrar(&stage);
    server.asks(Asker::Server, "asterisk", &[Method::Register, SUBSCRIBE]);
    let alice = member_with(&stage, "alice", |_, account| account.message_summary.enabled = true);
    stage.a_moment();
    let methods: Vec<String> = server.seen().iter().map(|seen| seen.request.method().to_string()).collect();
    assert_eq!(methods, ["REGISTER", "REGISTER", "SUBSCRIBE"]);
    // A refresh of the registration is no reason for another.
    stage.seconds(20);
    server.notifies(&server.last(), 1, "active;expires=3600", Some((SUMMARY, TWO_OF_TEN)));
    stage.seconds(600);
    assert_eq!(server.seen_of(&SUBSCRIBE).len(), 1);
    assert!(told(&alice).contains(&"GotMessageSummary true 2/8".to_owned()));
    server.always(Answer::Usual);
    ends(&stage, &alice);
}

/// RFC 6665 §4.1.2.2.
#[test]
fn a_subscription_is_refreshed_before_it_runs_out() {
    let (stage, server, alice, subscribe) = subscribed(|_| {});
    stage.seconds(3_541);
    server.notifies(&subscribe, 2, "active;expires=3600", Some((SUMMARY, TWO_OF_TEN)));
    stage.seconds(600);
    let seen = server.seen_of(&SUBSCRIBE);
    assert_eq!(subscriptions(&server), [0, 3_540]);
    assert_eq!(seen[1].first(HeaderName::CallId), subscribe.first(HeaderName::CallId));
    assert!(seen[1].first(HeaderName::To).contains(";tag="));
    ends(&stage, &alice);
}

#[test]
fn a_challenge_is_answered_at_first_and_when_it_is_refreshed() {
    let (stage, server, alice, subscribe) = subscribed(|server| server.asks(Asker::Proxy, DOMAIN, &[SUBSCRIBE]));
    stage.seconds(3_541);
    server.notifies(&subscribe, 2, "active;expires=3600", None);
    stage.seconds(60);
    // The nonce is stale after an hour: one round more.
    let with_credentials = |seen: &Seen| seen.request.headers().contains(HeaderName::ProxyAuthorization);
    let asked: Vec<bool> = server.seen_of(&SUBSCRIBE).iter().map(with_credentials).collect();
    assert_eq!(asked, [false, true, true, true]);
    assert_eq!(told(&alice).len(), 1);
    ends(&stage, &alice);
}

/// RFC 6665 §4.1.2.3: `Expires: 0`.
#[test]
fn an_account_that_goes_takes_its_subscription_back() {
    let (stage, server, alice, _) = subscribed(|_| {});
    stage.world_mut().drain(alice.node());
    stage.a_moment();
    let last = server.last();
    assert_eq!((last.request.method(), last.first(HeaderName::Expires)), (&SUBSCRIBE, "0"));
    server.notifies(&last, 2, "terminated;reason=timeout", None);
    stage.a_moment();
    assert_eq!(server.answered().status().code(), 200);
    stage.ends();
}

#[test]
fn a_server_without_mailboxes_is_asked_again_after_an_hour() {
    let stage = stage(1);
    let server = registrar(&stage);
    server.always(Answer::status(489));
    let alice = following(&stage);
    stage.seconds(3_500);
    assert_eq!(subscriptions(&server), [0]);
    stage.seconds(600);
    assert_eq!(server.seen_of(&SUBSCRIBE).len(), 2);
    ends(&stage, &alice);
}

#[test]
fn a_server_that_is_gone_is_asked_again_soon_and_then_less_often() {
    let stage = stage(1);
    let server = registrar(&stage);
    server.always(Answer::status(500));
    let alice = following(&stage);
    stage.seconds(300);
    let at: Vec<f64> = server.seen_of(&SUBSCRIBE).iter().map(|seen| seen.at.as_secs_f64()).collect();
    let waits: Vec<f64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.len() >= 5, "{waits:?}");
    for (wait, base) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0]) {
        assert!((base..=base * 2.0 + 0.1).contains(wait), "{waits:?}");
    }
    ends(&stage, &alice);
}

/// RFC 6665 §4.1.3: `deactivated`, `probation`, `rejected`.
#[test]
fn what_the_notifier_ends_is_begun_again_as_it_says() {
    for (seed, state, within) in [
        (1, "terminated;reason=deactivated", Some(3)),
        (2, "terminated;reason=probation;retry-after=100", Some(101)),
        (3, "terminated;reason=rejected", None),
    ] {
        let stage = stage(seed);
        let server = registrar(&stage);
        let alice = following(&stage);
        stage.a_moment();
        server.notifies(&server.last(), 1, state, None);
        stage.a_moment();
        match within {
            Some(seconds) => {
                stage.seconds(seconds);
                assert_eq!(server.seen_of(&SUBSCRIBE).len(), 2, "{state}");
            }
            None => {
                stage.seconds(10_000);
                assert_eq!(server.seen_of(&SUBSCRIBE).len(), 1, "{state}");
            }
        }
        ends(&stage, &alice);
    }
}

/// RFC 6665 §4.1.2.4, Timer N: after a refresh, too.
#[test]
fn a_refresh_that_is_never_notified_is_the_end_of_a_subscription_and_another_is_begun() {
    let (stage, server, alice, subscribe) = subscribed(|_| {});
    stage.seconds(3_540 + 36);
    let seen = server.seen_of(&SUBSCRIBE);
    assert_eq!(seen.len(), 3);
    assert_ne!(seen[2].first(HeaderName::CallId), subscribe.first(HeaderName::CallId));
    ends(&stage, &alice);
}

/// RFC 6665 §4.1.2.4, Timer N.
#[test]
fn a_subscription_that_is_never_notified_is_begun_again() {
    let stage = stage(1);
    let server = registrar(&stage);
    let alice = following(&stage);
    stage.seconds(36);
    assert_eq!(server.seen_of(&SUBSCRIBE).len(), 2);
    ends(&stage, &alice);
}

#[test]
fn a_mailbox_is_followed_over_a_network_that_loses_messages() {
    for seed in 0..10 {
        let stage = stage(seed);
        stage.links(Link::PERFECT.with_loss(0.25).with_jitter(millis(300)));
        let server = registrar(&stage);
        let alice = following(&stage);
        stage.seconds(8);
        server.notifies(&server.last(), 1, "active;expires=3600", Some((SUMMARY, TWO_OF_TEN)));
        stage.seconds(20);
        assert_eq!(told(&alice), ["GotMessageSummary true 2/8"], "seed {seed}");
        stage.links(Link::PERFECT);
        ends(&stage, &alice);
    }
}

#[test]
fn what_is_no_summary_is_answered_and_not_told() {
    let (stage, server, alice, subscribe) = subscribed(|_| {});
    for (cseq, body) in [(2, (SUMMARY, "hello")), (3, ("text/plain", TWO_OF_TEN))] {
        server.notifies(&subscribe, cseq, "active", Some(body));
        stage.a_moment();
        assert_eq!(server.answered().status().code(), 200);
    }
    assert_eq!(told(&alice).len(), 1);
    ends(&stage, &alice);
}

/// RFC 6665 §7.3: the dialog's tags are what a stranger can't know.
#[test]
fn a_forged_notify_is_answered_481_and_not_told() {
    let (stage, server, alice, subscribe) = subscribed(|_| {});
    let mut forged = subscribe.clone();
    forged.request.headers_mut().set(HeaderName::From, "<sip:alice@example.test>;tag=guessed").unwrap();
    server.notifies(&forged, 2, "active", Some((SUMMARY, TWO_OF_TEN)));
    stage.a_moment();
    assert_eq!(server.answered().status().code(), 481);
    assert_eq!(told(&alice).len(), 1);
    ends(&stage, &alice);
}

mod unsolicited {
    use super::*;

    fn notify(server: &Host, uri: &str, event: &str, body: &str) -> sip_message::Request {
        let mut notify = server.request("NOTIFY", uri);
        notify.headers_mut().push(HeaderName::Event, event).unwrap();
        notify.headers_mut().push(HeaderName::SubscriptionState, "active").unwrap();
        notify.set_body(SUMMARY, body.to_owned()).unwrap();
        notify
    }

    /// As many servers do without having been asked.
    #[test]
    fn a_summary_from_our_registrar_is_told() {
        let stage = stage(1);
        let server = registrar(&stage);
        let alice = servers::member(&stage, "alice");
        stage.a_moment();
        let contact = server.last().first(HeaderName::Contact).to_owned();
        let uri = contact.trim_start_matches('<').split('>').next().unwrap().to_owned();
        server.sends(notify(&server, &uri, "message-summary", TWO_OF_TEN), None);
        stage.a_moment();
        assert_eq!(server.answered().status().code(), 200);
        assert_eq!(told(&alice)[1..], ["GotMessageSummary true 2/8"]);
        server.sends(notify(&server, &uri, "message-summary", "hello"), None);
        stage.a_moment();
        assert_eq!(server.answered().status().code(), 415);
        server.sends(notify(&server, &uri, "presence", TWO_OF_TEN), None);
        stage.a_moment();
        assert_eq!(server.answered().status().code(), 481);
        ends(&stage, &alice);
    }

    #[test]
    fn a_summary_from_anybody_else_is_refused() {
        let stage = stage(1);
        let _server = registrar(&stage);
        let mallory = host(&stage, "mallory");
        let alice = servers::member(&stage, "alice");
        stage.a_moment();
        let address = stage.world().address(alice.node(), Transport::Udp).unwrap();
        mallory.sends(notify(&mallory, &format!("sip:alice@{address}"), "message-summary", TWO_OF_TEN), None);
        stage.a_moment();
        assert_eq!(mallory.answered().status().code(), 481);
        assert_eq!(told(&alice).len(), 1);
        ends(&stage, &alice);
    }
}
