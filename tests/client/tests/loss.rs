//! The same sequences over a network that loses almost every third message: what is told is what would be told without.

use std::time::{Duration, Instant};

use client::session::State;
use client_world::{Person, Stage};
use testkit::Link;

/// Whether a line is of a message that is not repeated when it is lost, and may come twice: a 180.
fn is_unreliable(line: &str) -> bool {
    line.starts_with("GotRingIndication") || line.starts_with("GotProvisionalResponse")
}

#[track_caller]
fn is_told(stage: &Stage, seed: u64, person: &Person, lines: &[&str]) {
    let told = person.told().into_iter().filter(|line| !is_unreliable(line)).collect::<Vec<_>>();
    if told != lines {
        stage.fail(&format!("seed {seed}: is told {told:#?}, should be {lines:#?}"));
    }
}

fn lossy(seed: u64) -> Stage {
    let stage = Stage::new(seed, Instant::now());
    let link = Link::with_delay(Duration::from_millis(20)).with_loss(0.3).with_jitter(Duration::from_millis(40));
    stage.links(link);
    stage
}

#[test]
fn a_call_with_hold_and_unhold() {
    for seed in 0..100 {
        let stage = lossy(seed);
        let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
        alice.calls(&bob);
        stage.seconds(20);
        bob.accepts();
        stage.seconds(40);
        let (hold, unhold) = (alice.holds(), alice.unholds());
        stage.seconds(60);
        let by_bob = bob.holds();
        stage.seconds(40);
        let slow = [alice.outcome(hold), alice.outcome(unhold), bob.outcome(by_bob)];
        if slow.iter().any(|outcome| *outcome != Some(Ok(()))) {
            // A re-INVITE that takes longer than it may is cancelled; what comes of it is said to its caller.
            alice.hangs_up();
            stage.ends();
            continue;
        }
        bob.hangs_up();
        stage.seconds(40);
        is_told(
            &stage,
            seed,
            &alice,
            &[
                "ChangedState NULL -> CALLING",
                "NewOutgoing audio",
                "WillStart",
                "GotStreamUpdate audio",
                "ChangedState CALLING -> ESTABLISHED",
                "DidStart",
                "GotHoldRequest local",
                "GotUnholdRequest local",
                "GotHoldRequest remote",
                "GotStreamUpdate none",
                "ChangedState ESTABLISHED -> TERMINATED",
                "DidEnd remote",
            ],
        );
        is_told(
            &stage,
            seed,
            &bob,
            &[
                "ChangedState NULL -> INCOMING",
                "NewIncoming audio",
                "ChangedState INCOMING -> ACCEPTING",
                "GotStreamUpdate audio",
                "WillStart",
                "ChangedState ACCEPTING -> ESTABLISHED",
                "DidStart",
                "GotHoldRequest remote",
                "GotUnholdRequest remote",
                "GotHoldRequest local",
                "ChangedState ESTABLISHED -> TERMINATING",
                "WillEnd",
                "GotStreamUpdate none",
                "ChangedState TERMINATING -> TERMINATED",
                "DidEnd local",
            ],
        );
        stage.ends();
    }
}

#[test]
fn a_call_that_is_cancelled() {
    for seed in 0..100 {
        let stage = lossy(seed);
        let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
        alice.calls(&bob);
        stage.seconds(20);
        alice.hangs_up();
        stage.seconds(70);
        is_told(
            &stage,
            seed,
            &alice,
            &[
                "ChangedState NULL -> CALLING",
                "NewOutgoing audio",
                "ChangedState CALLING -> TERMINATING",
                "WillEnd",
                "ChangedState TERMINATING -> TERMINATED",
                "DidEnd local",
            ],
        );
        is_told(
            &stage,
            seed,
            &bob,
            &[
                "ChangedState NULL -> INCOMING",
                "NewIncoming audio",
                "ChangedState INCOMING -> TERMINATED",
                "DidFail remote Request cancelled",
                "DidEnd remote",
            ],
        );
        stage.ends();
    }
}

#[test]
fn a_call_that_is_rejected() {
    for seed in 0..100 {
        let stage = lossy(seed);
        let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
        alice.calls(&bob);
        stage.seconds(20);
        bob.rejects(None);
        stage.seconds(70);
        is_told(
            &stage,
            seed,
            &alice,
            &[
                "ChangedState NULL -> CALLING",
                "NewOutgoing audio",
                "ChangedState CALLING -> TERMINATED",
                "DidFail remote 603 Decline",
                "DidEnd remote",
            ],
        );
        assert_eq!(bob.state(), State::Terminated);
        stage.ends();
    }
}

/// Both hang up while a hold is on its way, at every distance in time.
#[test]
fn a_hold_and_both_byes_cross() {
    for step in 0..60 {
        let stage = Stage::new(step, Instant::now());
        let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
        alice.calls(&bob);
        stage.a_moment();
        bob.accepts();
        stage.a_moment();
        let hold = alice.holds();
        stage.passes(Duration::from_millis(step));
        bob.hangs_up();
        stage.passes(Duration::from_millis(step / 3));
        alice.hangs_up();
        stage.ends();
        assert!(alice.outcome(hold).is_some());
        for person in [&alice, &bob] {
            assert!(person.told().last().is_some_and(|line| line.starts_with("DidEnd")));
        }
    }
}

/// The caller cancels at every moment of an answer; whatever crosses what, both sides end.
#[test]
fn a_cancel_crosses_an_answer_at_any_moment() {
    for step in 0..60 {
        let stage = Stage::new(step, Instant::now());
        let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
        alice.calls(&bob);
        stage.a_moment();
        bob.accepts();
        stage.passes(Duration::from_millis(step));
        alice.hangs_up();
        stage.ends();
        assert_eq!((alice.state(), bob.state()), (State::Terminated, State::Terminated));
        assert_eq!(alice.told().last().map(String::as_str), Some("DidEnd local"));
        assert_eq!(bob.told().last().map(String::as_str), Some("DidEnd remote"));
    }
}
