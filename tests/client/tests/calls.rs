//! Calls from their beginning to their end, with the whole list of what both sides are told.

use std::time::{Duration, Instant};

use client::media::Sound;
use client::session::{CallDirection, State};
use client::{ClientError, StreamKind, Streams};
use client_world::{Fate, Person, Stage};
use sip_endpoint::TransactionUser as _;
use sip_message::StatusCode;

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

/// "Outgoing, accepted", "Incoming, accepted", "End by us", "End by remote".
#[test]
fn a_call_is_accepted_and_ended_by_the_caller() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    stage.a_moment();
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing audio",
        "GotRingIndication",
        "GotProvisionalResponse 180 Ringing",
    ]);
    bob.is_told(&["ChangedState NULL -> INCOMING", "NewIncoming audio"]);
    bob.accepts();
    stage.a_moment();
    alice.is_told(&["WillStart", "GotStreamUpdate audio", "ChangedState CALLING -> ESTABLISHED", "DidStart"]);
    bob.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "GotStreamUpdate audio",
        "WillStart",
        "ChangedState ACCEPTING -> ESTABLISHED",
        "DidStart",
    ]);
    stage.seconds(30);
    alice.hangs_up();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    bob.is_told(&["GotStreamUpdate none", "ChangedState ESTABLISHED -> TERMINATED", "DidEnd remote"]);
    stage.ends();
}

/// RFC 3261 §13.2.2.4: the caller would acknowledge the 2xx for another half minute. Who wants to go doesn't wait for that.
#[test]
fn nobody_waits_for_a_call_that_is_over() {
    let stage = stage();
    let (alice, bob) = established(&stage);
    let is_idle = |who: &Person| who.sees(|phone| phone.client.is_idle());
    assert!(!is_idle(&alice) && !is_idle(&bob), "a call that is up is waited for");
    alice.hangs_up();
    assert!(!is_idle(&alice), "and a BYE without an answer");
    stage.a_moment();
    assert!(is_idle(&alice) && is_idle(&bob));
    assert!(alice.sees(|phone| !phone.client.is_empty()), "there is still an ACK to repeat");
    stage.ends();
    assert!(alice.sees(|phone| phone.client.is_empty()));
}

#[test]
fn a_call_is_ended_by_the_callee() {
    let stage = stage();
    let (alice, bob) = established(&stage);
    bob.hangs_up();
    stage.a_moment();
    bob.is_told(&[
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    alice.is_told(&["GotStreamUpdate none", "ChangedState ESTABLISHED -> TERMINATED", "DidEnd remote"]);
    stage.ends();
}

/// The media of who hangs up ends at once, however long the peer takes to answer the BYE.
#[test]
fn nobody_is_heard_after_hanging_up() {
    let stage = stage();
    let (alice, bob) = established(&stage);
    stage.world_mut().set_down(bob.node(), true);
    alice.hangs_up();
    assert!(alice.sees(|phone| phone.media.streams().next().is_none()));
    stage.seconds(40);
    alice.is_told(&[
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    stage.world_mut().set_down(bob.node(), false);
    bob.hangs_up();
    stage.ends();
}

#[test]
fn both_hang_up_at_once() {
    let stage = stage();
    let (alice, bob) = established(&stage);
    alice.hangs_up();
    bob.hangs_up();
    stage.a_moment();
    for person in [&alice, &bob] {
        person.is_told(&[
            "ChangedState ESTABLISHED -> TERMINATING",
            "WillEnd",
            "GotStreamUpdate none",
            "ChangedState TERMINATING -> TERMINATED",
            "DidEnd local",
        ]);
    }
    stage.ends();
}

/// "Outgoing, rejected"; "Incoming, rejected": 603, and the caller's user hears why.
#[test]
fn a_call_is_rejected() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    bob.rejects(None);
    stage.a_moment();
    bob.is_told(&[
        "ChangedState INCOMING -> TERMINATING",
        "WillEnd",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    alice.is_told(&["ChangedState CALLING -> TERMINATED", "DidFail remote 603 Decline", "DidEnd remote"]);
    assert_eq!(alice.sees(|phone| phone.media.sound), Sound::Busy);
    stage.ends();
}

#[test]
fn a_call_is_rejected_with_a_status() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    bob.rejects(Some(StatusCode::BUSY_HERE));
    stage.a_moment();
    alice.is_told(&["ChangedState CALLING -> TERMINATED", "DidFail remote 486 Busy Here", "DidEnd remote"]);
    assert_eq!(
        bob.asks(|client, now, endpoint, id| client.reject(now, endpoint, id, None)),
        Err(ClientError::NoSuchSession)
    );
    stage.ends();
}

/// An incoming session that is ended instead of rejected is rejected.
#[test]
fn an_incoming_session_can_be_ended() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    bob.hangs_up();
    stage.a_moment();
    bob.is_told(&[
        "ChangedState INCOMING -> TERMINATING",
        "WillEnd",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    alice.is_told(&["ChangedState CALLING -> TERMINATED", "DidFail remote 603 Decline", "DidEnd remote"]);
    stage.ends();
}

/// "Outgoing, local cancel"; "Incoming, remote CANCEL".
#[test]
fn the_caller_cancels() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    alice.hangs_up();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState CALLING -> TERMINATING",
        "WillEnd",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    bob.is_told(&["ChangedState INCOMING -> TERMINATED", "DidFail remote Request cancelled", "DidEnd remote"]);
    stage.ends();
}

/// "If `end()` comes before the INVITE was sent: TERMINATING, WillEnd, TERMINATED, DidEnd at once."
#[test]
fn a_call_is_ended_before_its_invite_is_sent() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    alice.hangs_up();
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing audio",
        "ChangedState CALLING -> TERMINATING",
        "WillEnd",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    stage.a_moment();
    bob.is_told(&[]);
    stage.ends();
}

/// The name of the callee is still being looked up: the INVITE is never sent.
#[test]
fn a_call_is_ended_while_its_next_hop_is_looked_up() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    stage.passes(Duration::from_millis(9));
    alice.hangs_up();
    stage.seconds(1);
    assert_eq!(alice.told().last().map(String::as_str), Some("DidEnd local"));
    bob.is_told(&[]);
    stage.ends();
}

#[test]
fn a_call_to_nobody_fails_for_us() {
    let stage = stage();
    let alice = stage.softphone("alice");
    alice.dials("sip:somebody@nowhere.test", Vec::new()).unwrap();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing audio",
        "ChangedState CALLING -> TERMINATED",
        "DidFail local 503 Service Unavailable",
        "DidEnd local",
    ]);
    stage.ends();
}

/// "No answer at all": originator local, 408.
#[test]
fn a_call_without_any_response_fails_for_us() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    stage.world_mut().set_down(bob.node(), true);
    alice.calls(&bob);
    stage.seconds(40);
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing audio",
        "ChangedState CALLING -> TERMINATED",
        "DidFail local 408 Request Timeout",
        "DidEnd local",
    ]);
    stage.ends();
}

/// `sip.invite_timeout`: CANCEL, and a failure of ours.
#[test]
fn a_call_that_nobody_takes_is_cancelled() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    stage.seconds(91);
    alice.is_told(&[
        "ChangedState CALLING -> TERMINATED",
        "DidFail local 408 Nobody has answered in time",
        "DidEnd local",
    ]);
    bob.is_told(&["ChangedState INCOMING -> TERMINATED", "DidFail remote Request cancelled", "DidEnd remote"]);
    stage.ends();
}

/// The caller has vanished without a CANCEL: 480 after twice the time.
#[test]
fn an_incoming_session_does_not_ring_for_ever() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    stage.world_mut().set_down(alice.node(), true);
    stage.seconds(181);
    bob.is_told(&[
        "ChangedState INCOMING -> TERMINATED",
        "DidFail local 480 Nobody has answered in time",
        "DidEnd local",
    ]);
    stage.ends();
}

/// "Outgoing, media transport cannot be made".
#[test]
fn a_caller_without_media_fails() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.does(|phone, _, _| phone.media.fate = Fate::Fails("no port is free"));
    alice.calls(&bob);
    stage.a_moment();
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing audio",
        "ChangedState CALLING -> TERMINATED",
        "DidFail local Failed to initialize audio RTP transport: no port is free",
        "DidEnd local",
    ]);
    bob.is_told(&[]);
    stage.ends();
}

#[test]
fn a_callee_without_media_fails() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    bob.does(|phone, _, _| phone.media.fate = Fate::Fails("no port is free"));
    bob.accepts();
    stage.a_moment();
    bob.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "ChangedState ACCEPTING -> TERMINATED",
        "DidFail local 500 Failed to initialize audio RTP transport: no port is free",
        "DidEnd local",
    ]);
    alice.is_told(&["ChangedState CALLING -> TERMINATED", "DidFail remote 500 Server Internal Error", "DidEnd remote"]);
    stage.ends();
}

/// Every wait has a timeout: that for the media side, too.
#[test]
fn a_media_side_that_says_nothing_is_not_waited_for() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.does(|phone, _, _| phone.media.fate = Fate::Lost);
    alice.calls(&bob);
    stage.seconds(16);
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing audio",
        "ChangedState CALLING -> TERMINATED",
        "DidFail local Failed to initialize audio RTP transport: it took too long",
        "DidEnd local",
    ]);
    stage.ends();
}

/// "An RTP init failure with STUN is retried once per transport WITHOUT STUN."
#[test]
fn without_an_answer_of_the_stun_server_the_host_s_own_address_does() {
    let stage = stage();
    let stun = "192.0.2.1:3478".parse().unwrap();
    let alice = stage.softphone_with("alice", |_, account| account.nat_traversal.stun_servers = vec![stun]);
    let bob = stage.softphone("bob");
    alice.does(|phone, _, _| phone.media.fate = Fate::Fails("no STUN server answers"));
    alice.calls(&bob);
    stage.a_moment();
    assert_eq!(bob.state(), State::Incoming);
    alice.hangs_up();
    stage.ends();
}

/// "Incoming, no ACK".
#[test]
fn a_callee_whose_answer_is_never_acknowledged_fails() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    stage.world_mut().set_down(alice.node(), true);
    bob.accepts();
    stage.seconds(40);
    bob.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "GotStreamUpdate audio",
        "WillStart",
        "GotStreamUpdate none",
        "ChangedState ACCEPTING -> TERMINATED",
        "DidFail local 408 No ACK received",
        "DidEnd local",
    ]);
    stage.world_mut().set_down(alice.node(), false);
    alice.hangs_up();
    stage.ends();
}

/// "ACCEPTING, `end()`": before the 200 it is a rejection.
#[test]
fn a_session_is_ended_while_it_is_being_accepted() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    bob.accepts();
    bob.hangs_up();
    stage.a_moment();
    bob.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "ChangedState ACCEPTING -> TERMINATING",
        "WillEnd",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    alice.is_told(&["ChangedState CALLING -> TERMINATED", "DidFail remote 603 Decline", "DidEnd remote"]);
    stage.ends();
}

/// "ACCEPTING, `end()`": after the 200 it is a BYE, which waits for the ACK (RFC 3261 §15).
#[test]
fn a_session_is_ended_before_its_ack_has_come() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    bob.accepts();
    stage.passes(Duration::from_millis(9));
    bob.hangs_up();
    stage.a_moment();
    bob.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "GotStreamUpdate audio",
        "WillStart",
        "ChangedState ACCEPTING -> TERMINATING",
        "WillEnd",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    alice.is_told(&[
        "WillStart",
        "GotStreamUpdate audio",
        "ChangedState CALLING -> ESTABLISHED",
        "DidStart",
        "GotStreamUpdate none",
        "ChangedState ESTABLISHED -> TERMINATED",
        "DidEnd remote",
    ]);
    stage.ends();
}

/// The 2xx crosses the CANCEL: it is acknowledged and taken leave of (RFC 3261 §9.1), and the caller is not bothered.
#[test]
fn the_answer_crosses_the_cancel() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    bob.accepts();
    stage.passes(Duration::from_millis(9));
    alice.hangs_up();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState CALLING -> TERMINATING",
        "WillEnd",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    bob.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "GotStreamUpdate audio",
        "WillStart",
        "ChangedState ACCEPTING -> ESTABLISHED",
        "DidStart",
        "GotStreamUpdate none",
        "ChangedState ESTABLISHED -> TERMINATED",
        "DidEnd remote",
    ]);
    stage.ends();
}

/// CANCEL meets a callee who is just accepting.
#[test]
fn the_cancel_comes_while_the_callee_accepts() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    bob.does(|phone, _, _| phone.media.fate = Fate::After(Duration::from_millis(100)));
    bob.accepts();
    alice.hangs_up();
    stage.a_moment();
    bob.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "ChangedState ACCEPTING -> TERMINATED",
        "DidFail remote Request cancelled",
        "DidEnd remote",
    ]);
    stage.ends();
}

#[test]
fn a_session_can_be_asked_for_all_that_the_reference_names() {
    let stage = stage();
    let (alice, bob) = established(&stage);
    let info = alice.info();
    assert_eq!((info.state, info.direction), (State::Established, Some(CallDirection::Outgoing)));
    assert!(info.start_time.is_some() && info.stop_time.is_none());
    assert_eq!(info.remote_uri().map(|uri| uri.to_string()).as_deref(), Some("sip:bob@bob"));
    assert_eq!(info.caller_uri().map(|uri| uri.to_string()).as_deref(), Some("sip:alice@alice"));
    assert_eq!(info.route, Some(bob.route()));
    assert!(info.remote_user_agent.is_some_and(|agent| agent.starts_with("Cordboard/")));
    assert_eq!((info.audio_codec.as_deref(), info.audio_sample_rate), (Some("opus"), Some(48_000)));
    assert!(info.audio_was_received && info.audio_remote_rtp_port_received == info.audio_remote_rtp_port_sdp);
    assert_eq!(info.audio_remote_rtp_port_sdp, bob.info().audio_local_rtp_port);
    assert_eq!(alice.sees(|phone| phone.client.sessions()), [alice.session()]);
    alice.hangs_up();
    stage.a_moment();
    assert!(alice.info().stop_time > alice.info().start_time);
    assert!(alice.sees(|phone| phone.client.sessions()).is_empty());
    stage.ends();
}

/// Wrong state: an error that names it, and nothing changes.
#[test]
fn what_can_not_be_asked_now_is_refused() {
    let stage = stage();
    let (alice, bob) = ringing(&stage);
    let illegal = |method, state| ClientError::IllegalState { method, state };
    let hold = alice.asks(|client, now, endpoint, id| client.hold(now, endpoint, id));
    assert_eq!(hold, Err(illegal("hold", State::Calling)));
    let accept = alice.tries_to_accept(Streams::audio());
    assert_eq!(accept, Err(illegal("accept", State::Calling)));
    assert_eq!(bob.tries_to_accept(Streams::NONE), Err(ClientError::NoStreams));
    assert_eq!(bob.tries_to_accept(Streams::chat()), Err(ClientError::NotProposed(StreamKind::Chat)));
    let nothing = alice.does(|phone, now, endpoint| {
        let account = phone.account();
        phone.client.connect(now, endpoint, account, "bob@bob", Vec::new(), Streams::NONE)
    });
    assert_eq!(nothing, Err(ClientError::NoStreams));
    alice.is_told(&[]);
    bob.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// Alice and bob, whose phone rings. What was told so far is read.
fn ringing(stage: &Stage) -> (Person, Person) {
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    stage.a_moment();
    assert_eq!((alice.state(), bob.state()), (State::Calling, State::Incoming));
    alice.told();
    bob.told();
    (alice, bob)
}

/// Alice and bob in a session. What was told so far is read.
fn established(stage: &Stage) -> (Person, Person) {
    let (alice, bob) = ringing(stage);
    bob.accepts();
    stage.a_moment();
    assert_eq!((alice.state(), bob.state()), (State::Established, State::Established));
    alice.told();
    bob.told();
    (alice, bob)
}
