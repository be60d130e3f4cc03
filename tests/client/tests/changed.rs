//! What changes of a session without a notification is found by whoever shows it.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::Instant;

use client::session::SessionId;
use client_world::{Person, Stage};

fn changed(who: &Person) -> Vec<SessionId> {
    who.does(|phone, _, _| std::iter::from_fn(|| phone.client.take_changed()).collect())
}

#[test]
fn mute_and_the_source_of_audio_are_seen_though_nobody_tells_them() {
    let stage = Stage::new(1, Instant::now());
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    let id = alice.calls(&bob);
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    // The first packet has come, of which nobody is told.
    assert!(alice.info().audio_was_received);
    assert_eq!(changed(&alice), [id]);
    assert_eq!(changed(&alice), []);
    let mute = |muted| alice.asks(|client, now, endpoint, id| client.set_muted(now, endpoint, id, muted)).unwrap();
    mute(true);
    assert_eq!(changed(&alice), [id]);
    assert!(alice.info().muted);
    mute(true);
    assert_eq!(changed(&alice), []);
    mute(false);
    assert_eq!(changed(&alice), [id]);
    alice.told();
    alice.hangs_up();
    stage.ends();
}

/// Who takes notifications looks at the session anyway.
#[test]
fn what_is_told_is_not_noted_as_well() {
    let stage = Stage::new(1, Instant::now());
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    changed(&alice);
    changed(&bob);
    alice.holds();
    stage.a_moment();
    assert!(alice.info().on_hold() && bob.info().on_hold());
    assert_eq!((changed(&alice), changed(&bob)), (Vec::new(), Vec::new()));
    alice.hangs_up();
    stage.a_moment();
    assert_eq!(changed(&bob), []);
    stage.ends();
}
