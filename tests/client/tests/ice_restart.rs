//! The peer begins ICE anew in a running session (RFC 8839 §4.4.3.1).

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::{Duration, Instant};

use client::session::State;
use client_world::{Fate, Foreigner, Person, Stage};
use sip_message::{Method, StatusCode};

fn audio(fragment: &str) -> String {
    format!("m=audio 4000 RTP/AVP 0 8\na=ice-ufrag:{fragment}\na=ice-pwd:the-password-of-carol-22")
}

/// Alice and carol in a session with ICE; what was ordered so far is read.
fn with_ice() -> (Stage, Person, Foreigner) {
    let stage = Stage::new(1, Instant::now());
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.does(|phone, _, _| phone.media.has_ice = true);
    alice.dials(&carol.address(), Vec::new()).unwrap();
    stage.a_moment();
    assert!(carol.last_sdp().contains("a=ice-ufrag:ours0"), "{}", carol.last_sdp());
    carol.responds(StatusCode::OK, Some(&carol.sdp(1, &audio("first"))));
    stage.a_moment();
    orders(&alice);
    carol.saw();
    (stage, alice, carol)
}

fn orders(who: &Person) -> Vec<String> {
    let orders = who.does(|phone, _, _| phone.media.orders());
    orders.into_iter().filter(|order| !order.starts_with("Play")).collect()
}

#[test]
fn a_restart_is_answered_with_what_the_media_side_makes_for_it() {
    for method in [Method::Invite, Method::Update] {
        let (stage, alice, carol) = with_ice();
        let offer = carol.sdp(2, &audio("second"));
        carol.sends(method, Some(("application/sdp", &offer)));
        stage.a_moment();
        assert_eq!(orders(&alice), ["Prepare 10.0.0.1", "Apply sendrecv"]);
        assert!(carol.last_sdp().contains("a=ice-ufrag:ours1"), "{}", carol.last_sdp());
        alice.told();
        alice.hangs_up();
        stage.ends();
    }
}

/// An offer that only holds does not disturb the path.
#[test]
fn what_does_not_restart_is_answered_at_once() {
    let (stage, alice, carol) = with_ice();
    carol.reinvites(Some(&carol.sdp(2, &format!("{}\na=sendonly", audio("first")))));
    stage.a_moment();
    assert_eq!(orders(&alice), ["Apply recvonly"]);
    assert!(carol.last_sdp().contains("a=ice-ufrag:ours0"), "{}", carol.last_sdp());
    alice.hangs_up();
    stage.ends();
}

/// The media side says nothing: better the old answer than none.
#[test]
fn a_restart_that_nobody_prepares_is_answered_all_the_same() {
    let (stage, alice, carol) = with_ice();
    alice.does(|phone, _, _| phone.media.fate = Fate::Lost);
    carol.reinvites(Some(&carol.sdp(2, &audio("second"))));
    stage.seconds(1);
    assert!(!carol.saw().contains(&"200 INVITE".to_owned()));
    stage.seconds(2);
    assert!(carol.saw().contains(&"200 INVITE".to_owned()));
    alice.hangs_up();
    stage.ends();
}

/// What is asked meanwhile waits; what is taken back is not answered.
#[test]
fn a_restart_is_cancelled_or_ended_before_it_is_answered() {
    for ends in [false, true] {
        let (stage, alice, carol) = with_ice();
        alice.does(|phone, _, _| phone.media.fate = Fate::After(Duration::from_secs(1)));
        carol.reinvites(Some(&carol.sdp(2, &audio("second"))));
        stage.passes(Duration::from_millis(100));
        let hold = alice.holds();
        if ends {
            alice.hangs_up();
            stage.seconds(3);
            assert_eq!(alice.state(), State::Terminated);
        } else {
            carol.cancels_reinvite();
            stage.seconds(3);
            assert!(carol.saw().contains(&"487 INVITE".to_owned()));
            assert!(carol.last_sdp().contains("a=sendonly"), "{}", carol.last_sdp());
            carol.responds(StatusCode::OK, Some(&carol.sdp(3, &format!("{}\na=recvonly", audio("first")))));
            stage.a_moment();
            assert_eq!(alice.outcome(hold), Some(Ok(())));
            alice.hangs_up();
        }
        stage.ends();
    }
}

/// A proposal that begins ICE anew beside it waits for both.
#[test]
fn a_proposal_restarts_what_runs() {
    let (stage, alice, carol) = with_ice();
    let chat = "m=message 2855 TCP/MSRP *\na=path:msrp://10.0.0.9:2855/9a0acea512654f5dfcea;tcp\na=accept-types:*";
    carol.reinvites(Some(&carol.sdp(2, &format!("{}\n{chat}", audio("second")))));
    stage.a_moment();
    alice.accepts_proposal(client::Streams::chat());
    stage.a_moment();
    let answer = carol.last_sdp();
    assert!(answer.contains("a=ice-ufrag:ours1") && answer.contains("m=message 50"), "{answer}");
    assert_eq!(alice.info().streams, client::Streams::audio_and_chat());
    alice.hangs_up();
    stage.ends();
}
