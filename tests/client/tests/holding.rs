//! Hold and unhold, by both sides, in any order.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::{Duration, Instant};

use client::ClientError;
use client::session::State;
use client_world::{Foreigner, Person, Stage};
use sdp::Direction;
use sip_message::{HeaderName, Method, StatusCode};

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

/// Alice and bob in a session. What was told so far is read.
fn talking(stage: &Stage) -> (Person, Person) {
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    alice.told();
    bob.told();
    (alice, bob)
}

/// Alice and a stranger in a session, alice having called.
fn talking_to_a_stranger(stage: &Stage) -> (Person, Foreigner) {
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.dials(&carol.address(), Vec::new()).unwrap();
    stage.a_moment();
    carol.responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    alice.told();
    carol.saw();
    (alice, carol)
}

fn direction(person: &Person) -> Direction {
    person.sees(|phone| phone.media.agreement().expect("a stream runs").direction)
}

/// "Hold by us … Hold by remote".
#[test]
fn a_peer_is_held_and_taken_back() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    let hold = alice.holds();
    alice.is_told(&[]);
    stage.a_moment();
    assert_eq!(alice.outcome(hold), Some(Ok(())));
    alice.is_told(&["GotHoldRequest local"]);
    bob.is_told(&["GotHoldRequest remote"]);
    assert!(alice.info().on_hold_by_local && !alice.info().on_hold_by_remote);
    assert!(bob.info().on_hold_by_remote && !bob.info().on_hold_by_local);
    assert_eq!((direction(&alice), direction(&bob)), (Direction::SendOnly, Direction::RecvOnly));
    let unhold = alice.unholds();
    stage.a_moment();
    assert_eq!(alice.outcome(unhold), Some(Ok(())));
    alice.is_told(&["GotUnholdRequest local"]);
    bob.is_told(&["GotUnholdRequest remote"]);
    assert_eq!((direction(&alice), direction(&bob)), (Direction::SendRecv, Direction::SendRecv));
    assert_eq!((alice.state(), bob.state()), (State::Established, State::Established));
    alice.hangs_up();
    stage.ends();
}

/// "Both sides may hold independently": neither forgets the other's hold.
#[test]
fn both_sides_hold() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    alice.holds();
    stage.a_moment();
    bob.holds();
    stage.a_moment();
    alice.is_told(&["GotHoldRequest local", "GotHoldRequest remote"]);
    bob.is_told(&["GotHoldRequest remote", "GotHoldRequest local"]);
    assert_eq!((direction(&alice), direction(&bob)), (Direction::Inactive, Direction::Inactive));
    alice.unholds();
    stage.a_moment();
    alice.is_told(&["GotUnholdRequest local"]);
    bob.is_told(&["GotUnholdRequest remote"]);
    assert_eq!((direction(&alice), direction(&bob)), (Direction::RecvOnly, Direction::SendOnly));
    bob.unholds();
    stage.a_moment();
    alice.is_told(&["GotUnholdRequest remote"]);
    bob.is_told(&["GotUnholdRequest local"]);
    assert_eq!((direction(&alice), direction(&bob)), (Direction::SendRecv, Direction::SendRecv));
    bob.hangs_up();
    stage.ends();
}

/// "Commands during a pending re-INVITE wait for it in order (hold, then unhold, never loses either)."
#[test]
fn hold_and_unhold_in_one_breath_lose_neither() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    let commands = [alice.holds(), alice.unholds(), alice.holds(), alice.unholds()];
    stage.seconds(2);
    assert!(commands.iter().all(|command| alice.outcome(*command) == Some(Ok(()))));
    alice.is_told(&[
        "GotHoldRequest local",
        "GotUnholdRequest local",
        "GotHoldRequest local",
        "GotUnholdRequest local",
    ]);
    bob.is_told(&[
        "GotHoldRequest remote",
        "GotUnholdRequest remote",
        "GotHoldRequest remote",
        "GotUnholdRequest remote",
    ]);
    alice.hangs_up();
    stage.ends();
}

/// "hold when held / unhold when not: silently ignored."
#[test]
fn a_hold_that_is_there_already_is_silent() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    let unhold = alice.unholds();
    assert_eq!(alice.outcome(unhold), Some(Ok(())));
    alice.holds();
    stage.a_moment();
    let again = alice.holds();
    assert_eq!(alice.outcome(again), Some(Ok(())));
    stage.a_moment();
    alice.is_told(&["GotHoldRequest local"]);
    bob.is_told(&["GotHoldRequest remote"]);
    alice.hangs_up();
    stage.ends();
}

/// Glare: both hold at once, both get 491, both succeed in the end, and nobody is told of the glare (RFC 3261 §14.1).
#[test]
fn both_sides_hold_at_once() {
    for seed in 0..20 {
        let stage = Stage::new(seed, Instant::now());
        let (alice, bob) = talking(&stage);
        let (by_alice, by_bob) = (alice.holds(), bob.holds());
        stage.seconds(10);
        assert_eq!((alice.outcome(by_alice), bob.outcome(by_bob)), (Some(Ok(())), Some(Ok(()))));
        for person in [&alice, &bob] {
            let mut told = person.told();
            told.sort();
            assert_eq!(told, ["GotHoldRequest local", "GotHoldRequest remote"]);
            assert_eq!(direction(person), Direction::Inactive);
        }
        alice.hangs_up();
        stage.ends();
    }
}

/// "A refused hold posts nothing but is returned as an error to the caller."
#[test]
fn a_refused_hold_is_an_error_and_posts_nothing() {
    let stage = stage();
    let (alice, carol) = talking_to_a_stranger(&stage);
    let hold = alice.holds();
    stage.a_moment();
    assert!(carol.last_sdp().contains("a=sendonly"));
    carol.responds(StatusCode::NOT_ACCEPTABLE_HERE, None);
    stage.a_moment();
    assert_eq!(alice.outcome(hold), Some(Err(ClientError::Refused(StatusCode::NOT_ACCEPTABLE_HERE))));
    alice.is_told(&[]);
    assert!(!alice.info().on_hold_by_local);
    // What is offered next does not hold.
    carol.reinvites(Some(&carol.audio(2)));
    stage.a_moment();
    assert!(carol.last_sdp().contains("a=sendrecv"), "{}", carol.last_sdp());
    alice.hangs_up();
    stage.ends();
}

/// A second 491 is the outcome.
#[test]
fn a_second_glare_is_reported() {
    let stage = stage();
    let (alice, carol) = talking_to_a_stranger(&stage);
    let hold = alice.holds();
    stage.a_moment();
    carol.responds(StatusCode::REQUEST_PENDING, None);
    stage.seconds(1);
    assert_eq!(alice.outcome(hold), None);
    stage.seconds(4);
    assert_eq!(carol.saw(), ["INVITE", "INVITE"]);
    carol.responds(StatusCode::REQUEST_PENDING, None);
    stage.a_moment();
    assert_eq!(alice.outcome(hold), Some(Err(ClientError::Refused(StatusCode::REQUEST_PENDING))));
    alice.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// `sip.reinvite_timeout`: the re-INVITE is cancelled, and the hold has failed.
#[test]
fn a_hold_that_is_not_answered_is_cancelled() {
    let stage = stage();
    let (alice, carol) = talking_to_a_stranger(&stage);
    let hold = alice.holds();
    stage.a_moment();
    carol.responds(StatusCode::RINGING, None);
    stage.seconds(6);
    assert_eq!(carol.saw(), ["INVITE", "CANCEL"]);
    assert_eq!(alice.outcome(hold), Some(Err(ClientError::TimedOut)));
    alice.is_told(&[]);
    assert_eq!(alice.state(), State::Established);
    alice.hangs_up();
    stage.ends();
}

/// The 2xx crosses the CANCEL of a hold: then the hold is there.
#[test]
fn a_hold_that_is_answered_late_is_a_hold() {
    let stage = stage();
    let (alice, carol) = talking_to_a_stranger(&stage);
    let hold = alice.holds();
    stage.a_moment();
    carol.responds(StatusCode::RINGING, None);
    stage.passes(Duration::from_millis(4_700));
    carol.responds(StatusCode::OK, Some(&carol.sdp(2, "m=audio 4000 RTP/AVP 0\na=recvonly")));
    stage.seconds(1);
    assert_eq!(alice.outcome(hold), Some(Ok(())));
    alice.is_told(&["GotHoldRequest local"]);
    alice.hangs_up();
    stage.ends();
}

/// The session ends while the hold is on its way: the command is told so.
#[test]
fn a_bye_that_crosses_a_hold_drops_it() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    let (hold, unhold) = (alice.holds(), alice.unholds());
    bob.hangs_up();
    stage.seconds(1);
    assert_eq!(alice.outcome(hold), Some(Err(ClientError::Dropped)));
    assert_eq!(alice.outcome(unhold), Some(Err(ClientError::Dropped)));
    alice.is_told(&["GotStreamUpdate none", "ChangedState ESTABLISHED -> TERMINATED", "DidEnd remote"]);
    stage.ends();
}

/// "a peer's `c=0.0.0.0` is understood as hold."
#[test]
fn an_address_of_zeros_is_a_hold() {
    let stage = stage();
    let (alice, carol) = talking_to_a_stranger(&stage);
    carol
        .reinvites(Some(&carol.audio(2).replace(&format!("c=IN IP4 {}", carol.route().addr.ip()), "c=IN IP4 0.0.0.0")));
    stage.a_moment();
    alice.is_told(&["GotHoldRequest remote"]);
    assert_eq!(direction(&alice), Direction::RecvOnly);
    carol.reinvites(Some(&carol.audio(3)));
    stage.a_moment();
    alice.is_told(&["GotUnholdRequest remote"]);
    alice.hangs_up();
    stage.ends();
}

/// Hold never changes address, port or codecs (decision 10).
#[test]
fn a_hold_changes_nothing_but_the_direction() {
    let stage = stage();
    let (alice, carol) = talking_to_a_stranger(&stage);
    carol.reinvites(Some(&carol.audio(2)));
    stage.a_moment();
    let before = carol.last_sdp();
    alice.holds();
    stage.a_moment();
    let held = carol.last_sdp();
    assert!(held.contains("a=sendonly") && !held.contains("0.0.0.0"), "{held}");
    let port = |sdp: &str| sdp.lines().find(|line| line.starts_with("m=")).map(|line| line[..13].to_owned());
    assert_eq!(port(&before), port(&held));
    carol.responds(StatusCode::OK, Some(&carol.sdp(3, "m=audio 4000 RTP/AVP 0\na=recvonly")));
    stage.a_moment();
    // The peer holds, too: what we offer then is inactive.
    carol.reinvites(Some(&carol.sdp(4, "m=audio 4000 RTP/AVP 0\na=sendonly")));
    stage.a_moment();
    assert!(carol.last_sdp().contains("a=inactive"), "{}", carol.last_sdp());
    alice.told();
    alice.hangs_up();
    stage.ends();
}

/// Who is held may answer `inactive`; that is no hold of its own (RFC 6337 §5.3).
#[test]
fn an_inactive_answer_to_our_hold_is_not_the_peer_s() {
    let stage = stage();
    let (alice, carol) = talking_to_a_stranger(&stage);
    alice.holds();
    stage.a_moment();
    carol.responds(StatusCode::OK, Some(&carol.sdp(2, "m=audio 4000 RTP/AVP 0\na=inactive")));
    stage.a_moment();
    alice.is_told(&["GotHoldRequest local"]);
    alice.unholds();
    stage.a_moment();
    carol.responds(StatusCode::OK, Some(&carol.audio(3)));
    stage.a_moment();
    alice.is_told(&["GotUnholdRequest local"]);
    alice.hangs_up();
    stage.ends();
}

/// Our hold waits while a re-INVITE of the peer's has no ACK yet.
#[test]
fn a_hold_waits_for_the_peer_s_re_invite() {
    let stage = stage();
    let (alice, carol) = talking_to_a_stranger(&stage);
    carol.reinvites(Some(&carol.audio(2)));
    stage.passes(Duration::from_millis(15));
    let hold = alice.holds();
    stage.a_moment();
    assert_eq!(carol.saw(), ["200 INVITE", "INVITE"]);
    carol.responds(StatusCode::OK, Some(&carol.sdp(3, "m=audio 4000 RTP/AVP 0\na=recvonly")));
    stage.a_moment();
    assert_eq!(alice.outcome(hold), Some(Ok(())));
    alice.hangs_up();
    stage.ends();
}

/// The peer loses our dialog: 481 to the re-INVITE ends the session.
#[test]
fn a_peer_that_has_forgotten_the_dialog_ends_the_session() {
    let stage = stage();
    let (alice, carol) = talking_to_a_stranger(&stage);
    let hold = alice.holds();
    stage.a_moment();
    carol.responds(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST, None);
    stage.a_moment();
    alice.is_told(&[
        "GotStreamUpdate none",
        "ChangedState ESTABLISHED -> TERMINATED",
        "DidFail remote 481 Call/Transaction Does Not Exist",
        "DidEnd remote",
    ]);
    assert!(alice.outcome(hold).is_some_and(|outcome| outcome.is_err()));
    stage.ends();
}

/// No credentials leave for a realm that is not ours.
#[test]
fn a_challenge_that_can_not_be_answered_refuses_the_hold() {
    let stage = stage();
    let (alice, carol) = talking_to_a_stranger(&stage);
    let hold = alice.holds();
    stage.a_moment();
    carol.adds(HeaderName::ProxyAuthenticate, "Digest realm=\"elsewhere\", nonce=\"1\", algorithm=MD5, qop=\"auth\"");
    carol.responds(StatusCode::PROXY_AUTHENTICATION_REQUIRED, None);
    stage.a_moment();
    assert_eq!(carol.saw(), ["INVITE", "ACK"][..1]);
    assert!(!alice.info().on_hold_by_local);
    let refused = ClientError::Refused(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    assert_eq!(alice.outcome(hold), Some(Err(refused)));
    carol.sends(Method::Bye, None);
    stage.a_moment();
    stage.ends();
}
