//! Routes are tried in order until one answers (RFC 3263 §4.3), with one sequence of notifications for the whole.

use std::time::Instant;

use client_world::Stage;
use sip_message::StatusCode;

/// Silence, 503 and a closed port move on; the route that answered is told.
#[test]
fn the_next_route_is_tried_after_silence_503_and_no_connection() {
    let stage = Stage::new(1, Instant::now());
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    let (silent, busy, closed) = (stage.stranger("silent"), stage.stranger("busy"), stage.stranger("closed"));
    stage.world_mut().set_down(silent.node(), true);
    busy.is(|stranger| stranger.answers_with = Some(StatusCode::SERVICE_UNAVAILABLE));
    stage.world_mut().set_down(closed.node(), true);
    let tcp = client::session::Route { transport: sip_message::Transport::Tcp, ..closed.route() };
    alice.dials(&bob.address(), vec![tcp, busy.route(), silent.route(), bob.route()]).unwrap();
    stage.seconds(40);
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing audio",
        "GotRingIndication",
        "GotProvisionalResponse 180 Ringing",
    ]);
    assert_eq!(alice.info().route, Some(bob.route()));
    bob.accepts();
    stage.a_moment();
    alice.is_told(&["WillStart", "GotStreamUpdate audio", "ChangedState CALLING -> ESTABLISHED", "DidStart"]);
    alice.hangs_up();
    stage.ends();
}

/// "A final answer from the callee does not."
#[test]
fn a_final_answer_is_not_tried_elsewhere() {
    let stage = Stage::new(1, Instant::now());
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    let busy = stage.stranger("busy");
    busy.is(|stranger| stranger.answers_with = Some(StatusCode::BUSY_HERE));
    alice.dials(&bob.address(), vec![busy.route(), bob.route()]).unwrap();
    stage.seconds(40);
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing audio",
        "ChangedState CALLING -> TERMINATED",
        "DidFail remote 486 Busy Here",
        "DidEnd remote",
    ]);
    bob.is_told(&[]);
    stage.ends();
}

/// The last 503 is the callee's answer.
#[test]
fn when_every_route_fails_the_session_does() {
    let stage = Stage::new(1, Instant::now());
    let alice = stage.softphone("alice");
    let (one, two) = (stage.stranger("one"), stage.stranger("two"));
    for stranger in [&one, &two] {
        stranger.is(|stranger| stranger.answers_with = Some(StatusCode::SERVICE_UNAVAILABLE));
    }
    alice.dials("sip:bob@bob", vec![one.route(), two.route()]).unwrap();
    stage.seconds(40);
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing audio",
        "ChangedState CALLING -> TERMINATED",
        "DidFail remote 503 Service Unavailable",
        "DidEnd remote",
    ]);
    stage.ends();
}

#[test]
fn a_call_that_is_ended_while_a_route_is_silent_leaves_nothing() {
    let stage = Stage::new(1, Instant::now());
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    let silent = stage.stranger("silent");
    stage.world_mut().set_down(silent.node(), true);
    alice.dials(&bob.address(), vec![silent.route(), bob.route()]).unwrap();
    stage.seconds(5);
    alice.hangs_up();
    stage.seconds(60);
    assert_eq!(alice.told().last().map(String::as_str), Some("DidEnd local"));
    bob.is_told(&[]);
    stage.ends();
}
