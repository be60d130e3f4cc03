//! Sessions with audio and chat: both from the beginning, and one added to or removed from the other.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::{Duration, Instant};

use client::session::State;
use client::{ClientError, StreamKind, Streams};
use client_world::{Fate, Person, Stage};
use testkit::Link;

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

/// Alice and bob in a session with these streams. What was told so far is read.
fn in_session(stage: &Stage, streams: Streams) -> (Person, Person) {
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls_with(&bob, streams);
    stage.a_moment();
    bob.tries_to_accept(streams).unwrap();
    stage.a_moment();
    alice.told();
    bob.told();
    (alice, bob)
}

#[test]
fn audio_and_chat_begin_together() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls_with(&bob, Streams::audio_and_chat());
    stage.a_moment();
    bob.tries_to_accept(Streams::audio_and_chat()).unwrap();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing audio+chat",
        "GotRingIndication",
        "GotProvisionalResponse 180 Ringing",
        "WillStart",
        "GotStreamUpdate audio",
        "ChangedState CALLING -> ESTABLISHED",
        "DidStart",
        "GotStreamUpdate audio+chat",
    ]);
    bob.is_told(&[
        "ChangedState NULL -> INCOMING",
        "NewIncoming audio+chat",
        "ChangedState INCOMING -> ACCEPTING",
        "GotStreamUpdate audio",
        "WillStart",
        "ChangedState ACCEPTING -> ESTABLISHED",
        "DidStart",
        "GotStreamUpdate audio+chat",
    ]);
    bob.says("hello");
    stage.a_moment();
    alice.is_told(&["GotMessage text/plain hello"]);
    bob.hangs_up();
    stage.a_moment();
    alice.is_told(&["GotStreamUpdate none", "ChangedState ESTABLISHED -> TERMINATED", "DidEnd remote"]);
    stage.ends();
}

/// What is not accepted is answered with port 0, and what waited for it is not delivered.
#[test]
fn the_callee_takes_one_of_both() {
    for streams in [Streams::audio(), Streams::chat()] {
        let stage = stage();
        let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
        alice.calls_with(&bob, Streams::audio_and_chat());
        alice.says("one");
        stage.a_moment();
        bob.tries_to_accept(streams).unwrap();
        stage.a_moment();
        assert_eq!((alice.info().streams, bob.info().streams), (streams, streams));
        let told = alice.told();
        let delivered = told.iter().any(|line| line == "DidDeliverMessage 200 OK");
        let lost = told.iter().any(|line| line == "DidNotDeliverMessage 0 Stream ended");
        assert_eq!((delivered, lost), (streams.chat, streams.audio), "{told:?}");
        alice.hangs_up();
        stage.ends();
    }
}

/// "Add stream by us" and "by remote"; GotStreamUpdate with chat when it is bound.
#[test]
fn chat_is_added_to_audio() {
    let stage = stage();
    let (alice, bob) = in_session(&stage, Streams::audio());
    let add = alice.adds_chat();
    let id = alice.says("queued on what is to be");
    stage.a_moment();
    alice.is_told(&["ChangedState ESTABLISHED -> PROPOSING", "GotStreamProposal local chat"]);
    bob.is_told(&["ChangedState ESTABLISHED -> PROPOSED", "GotStreamProposal remote chat"]);
    bob.accepts_proposal(Streams::chat());
    stage.a_moment();
    alice.is_told(&[
        "ChangedState PROPOSING -> ESTABLISHED",
        "AcceptedStreamProposal local",
        "GotStreamUpdate audio+chat",
        "DidDeliverMessage 200 OK",
    ]);
    bob.is_told(&[
        "ChangedState PROPOSED -> ESTABLISHED",
        "AcceptedStreamProposal remote",
        "GotStreamUpdate audio+chat",
        "GotMessage text/plain queued on what is to be",
    ]);
    assert_eq!((alice.outcome(add), id.len()), (Some(Ok(())), 16));
    alice.hangs_up();
    stage.ends();
}

/// The other way round; and the chat goes on all the while.
#[test]
fn audio_is_added_to_chat() {
    let stage = stage();
    let (alice, bob) = in_session(&stage, Streams::chat());
    bob.adds_audio();
    stage.a_moment();
    alice.is_told(&["ChangedState ESTABLISHED -> PROPOSED", "GotStreamProposal remote audio"]);
    bob.says("do you hear me?");
    alice.says("not yet");
    stage.a_moment();
    alice.is_told(&["GotMessage text/plain do you hear me?", "DidDeliverMessage 200 OK"]);
    alice.accepts_proposal(Streams::audio());
    stage.a_moment();
    alice.is_told(&[
        "ChangedState PROPOSED -> ESTABLISHED",
        "AcceptedStreamProposal remote",
        "GotStreamUpdate audio+chat",
    ]);
    bob.is_told(&[
        "ChangedState ESTABLISHED -> PROPOSING",
        "GotStreamProposal local audio",
        "GotMessage text/plain not yet",
        "DidDeliverMessage 200 OK",
        "GotStreamUpdate audio+chat",
        "ChangedState PROPOSING -> ESTABLISHED",
        "AcceptedStreamProposal local",
    ]);
    alice.hangs_up();
    stage.ends();
}

/// "Remove stream by us: stream stopped and GotStreamUpdate posted first, then re-INVITE with port 0". "By remote: answered
/// 200 without asking; GotStreamUpdate."
#[test]
fn chat_is_removed_from_audio_and_added_again() {
    let stage = stage();
    let (alice, bob) = in_session(&stage, Streams::audio_and_chat());
    let remove = alice.removes_chat();
    alice.is_told(&["GotStreamUpdate audio"]);
    stage.a_moment();
    bob.is_told(&["GotStreamUpdate audio"]);
    assert_eq!(alice.outcome(remove), Some(Ok(())));
    for person in [&alice, &bob] {
        assert_eq!(person.sees(|phone| phone.media.chats().count()), 0);
    }
    bob.adds_chat();
    stage.a_moment();
    alice.accepts_proposal(Streams::chat());
    stage.a_moment();
    assert_eq!((alice.info().streams, bob.info().streams), (Streams::audio_and_chat(), Streams::audio_and_chat()));
    alice.told();
    bob.told();
    alice.says("again");
    stage.a_moment();
    bob.is_told(&["GotMessage text/plain again"]);
    alice.hangs_up();
    stage.ends();
}

#[test]
fn audio_is_removed_from_chat() {
    let stage = stage();
    let (alice, bob) = in_session(&stage, Streams::audio_and_chat());
    let remove = |who: &Person| who.asks(|client, now, endpoint, id| client.remove_audio(now, endpoint, id));
    remove(&alice).unwrap();
    stage.a_moment();
    alice.is_told(&["GotStreamUpdate chat"]);
    bob.is_told(&["GotStreamUpdate chat"]);
    assert_eq!(remove(&bob), Err(ClientError::NoStream(StreamKind::Audio)));
    let last = bob.asks(|client, now, endpoint, id| client.remove_chat(now, endpoint, id));
    assert_eq!(last, Err(ClientError::LastStream));
    bob.says("no sound");
    stage.a_moment();
    alice.is_told(&["GotMessage text/plain no sound"]);
    alice.hangs_up();
    stage.ends();
}

/// A stream whose connection is lost is gone at once; the peer's m-line follows when it has said nothing of it.
#[test]
fn a_session_outlives_its_chat() {
    let stage = stage();
    let (alice, bob) = in_session(&stage, Streams::audio_and_chat());
    alice.loses_chat();
    alice.is_told(&["GotStreamUpdate audio"]);
    stage.a_moment();
    bob.is_told(&["GotStreamUpdate audio"]);
    stage.seconds(8);
    alice.is_told(&[]);
    bob.is_told(&[]);
    assert_eq!((alice.state(), bob.state()), (State::Established, State::Established));
    // What is said now goes as MESSAGE.
    alice.says("are you there?");
    stage.a_moment();
    bob.is_told(&["GotMessage text/plain are you there?"]);
    // And a chat can be proposed anew.
    bob.adds_chat();
    stage.a_moment();
    alice.accepts_proposal(Streams::chat());
    stage.a_moment();
    assert!(alice.info().has_chat() && bob.info().has_chat());
    alice.hangs_up();
    stage.ends();
}

#[test]
fn what_was_said_on_a_proposal_that_is_rejected_is_not_delivered() {
    let stage = stage();
    let (alice, bob) = in_session(&stage, Streams::audio());
    alice.adds_chat();
    alice.says("one");
    stage.a_moment();
    alice.told();
    bob.asks(|client, now, endpoint, id| client.reject_proposal(now, endpoint, id, None)).unwrap();
    stage.a_moment();
    alice.is_told(&[
        "DidNotDeliverMessage 0 Stream ended",
        "ChangedState PROPOSING -> ESTABLISHED",
        "RejectedStreamProposal local Proposal rejected with: 488 Not Acceptable Here",
    ]);
    alice.says("two");
    stage.a_moment();
    alice.is_told(&["DidDeliverMessage 200 OK"]);
    alice.hangs_up();
    stage.ends();
}

#[test]
fn our_proposal_of_chat_fails_for_want_of_media() {
    let stage = stage();
    let (alice, bob) = in_session(&stage, Streams::audio());
    alice.does(|phone, _, _| phone.media.fate = Fate::Fails("the relay does not answer"));
    alice.adds_chat();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState ESTABLISHED -> PROPOSING",
        "GotStreamProposal local chat",
        "ChangedState PROPOSING -> ESTABLISHED",
        "RejectedStreamProposal local Failed to initialize MSRP chat transport: the relay does not answer",
    ]);
    bob.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// Both propose at once, each what it likes: one of them has to wait (RFC 3261 §14.1), neither is lost.
#[test]
fn proposals_cross() {
    let stage = stage();
    let (alice, bob) = in_session(&stage, Streams::audio());
    for person in [&alice, &bob] {
        person.does(|phone, _, _| phone.accepts_all = true);
    }
    alice.adds_chat();
    bob.adds_chat();
    stage.seconds(12);
    assert_eq!((alice.info().streams, bob.info().streams), (Streams::audio_and_chat(), Streams::audio_and_chat()));
    assert_eq!((alice.state(), bob.state()), (State::Established, State::Established));
    for person in [&alice, &bob] {
        assert_eq!(person.sees(|phone| phone.media.chats().count()), 1);
    }
    alice.told();
    bob.told();
    alice.says("one");
    bob.says("two");
    stage.a_moment();
    alice.is_told(&["GotMessage text/plain two", "DidDeliverMessage 200 OK"]);
    bob.is_told(&["GotMessage text/plain one", "DidDeliverMessage 200 OK"]);
    alice.hangs_up();
    stage.ends();
}

/// A hold crosses the removal of the chat; a BYE crosses a proposal.
#[test]
fn re_invites_and_a_bye_cross() {
    let stage = stage();
    let (alice, bob) = in_session(&stage, Streams::audio_and_chat());
    let hold = alice.holds();
    bob.removes_chat();
    stage.seconds(12);
    assert_eq!(alice.outcome(hold), Some(Ok(())));
    assert_eq!((alice.info().streams, bob.info().streams), (Streams::audio(), Streams::audio()));
    assert!(bob.info().on_hold_by_remote);
    bob.adds_chat();
    stage.passes(Duration::from_millis(5));
    alice.hangs_up();
    stage.seconds(2);
    assert_eq!((alice.state(), bob.state()), (State::Terminated, State::Terminated));
    stage.ends();
}

/// Half of all datagrams are lost: everything takes longer, and nothing else is told.
#[test]
fn a_lossy_network_changes_nothing_but_time() {
    for seed in 0..20 {
        let stage = Stage::new(seed, Instant::now());
        let link = Link::with_delay(Duration::from_millis(10)).with_loss(0.3).with_duplication(0.1);
        stage.links(link);
        let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
        for person in [&alice, &bob] {
            person.does(|phone, _, _| phone.accepts_all = true);
        }
        alice.calls_with(&bob, Streams::chat());
        alice.says("one");
        stage.seconds(40);
        let told = alice.told();
        let is = |line: &&str| !line.contains("Ring") && !line.contains("Provisional");
        let told: Vec<&str> = told.iter().map(String::as_str).filter(is).collect();
        assert_eq!(
            told,
            [
                "ChangedState NULL -> CALLING",
                "NewOutgoing chat",
                "WillStart",
                "ChangedState CALLING -> ESTABLISHED",
                "DidStart",
                "GotStreamUpdate chat",
                "DidDeliverMessage 200 OK",
            ],
            "seed {seed}"
        );
        let add = bob.adds_audio();
        stage.seconds(40);
        assert_eq!(bob.outcome(add), Some(Ok(())), "seed {seed}");
        assert_eq!((alice.info().streams, bob.info().streams), (Streams::audio_and_chat(), Streams::audio_and_chat()));
        bob.hangs_up();
        stage.seconds(70);
        stage.ends();
    }
}

/// The connection is lost on both sides, and the peer proposes a new one before its loss has become a removal: another path
/// on the same line is another chat.
#[test]
fn a_chat_that_is_lost_is_proposed_anew_at_once() {
    let stage = stage();
    let (alice, bob) = in_session(&stage, Streams::audio_and_chat());
    alice.loses_chat();
    stage.passes(Duration::from_millis(100));
    let add = bob.adds_chat();
    stage.a_moment();
    alice.accepts_proposal(Streams::chat());
    stage.seconds(8);
    assert_eq!(bob.outcome(add), Some(Ok(())));
    assert_eq!((alice.info().streams, bob.info().streams), (Streams::audio_and_chat(), Streams::audio_and_chat()));
    alice.told();
    bob.told();
    bob.says("here again");
    stage.a_moment();
    alice.is_told(&["GotMessage text/plain here again"]);
    alice.hangs_up();
    stage.ends();
}

/// The chat is gone before the ACK has come: the call goes on with its audio, and the peer is told when it is up.
#[test]
fn a_chat_is_lost_before_the_session_is_up() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls_with(&bob, Streams::audio_and_chat());
    stage.a_moment();
    bob.told();
    bob.tries_to_accept(Streams::audio_and_chat()).unwrap();
    stage.passes(Duration::from_millis(10));
    stage.loses(alice.node(), bob.node(), 1);
    stage.passes(Duration::from_millis(200));
    assert_eq!(bob.state(), State::Accepting);
    bob.loses_chat();
    stage.seconds(8);
    bob.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "GotStreamUpdate audio",
        "WillStart",
        "GotStreamUpdate audio+chat",
        "GotStreamUpdate audio",
        "ChangedState ACCEPTING -> ESTABLISHED",
        "DidStart",
    ]);
    assert_eq!((alice.info().streams, bob.info().streams), (Streams::audio(), Streams::audio()));
    assert!(alice.sees(|phone| phone.media.chats().next().is_none()));
    alice.hangs_up();
    stage.ends();
}

/// A proposal of chat is taken back: what waited for it goes nowhere, and the next message by MESSAGE.
#[test]
fn a_proposal_of_chat_is_cancelled() {
    let stage = stage();
    let (alice, bob) = in_session(&stage, Streams::audio());
    alice.adds_chat();
    alice.says("one");
    stage.a_moment();
    alice.asks(|client, now, endpoint, id| client.cancel_proposal(now, endpoint, id)).unwrap();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState ESTABLISHED -> PROPOSING",
        "GotStreamProposal local chat",
        "DidNotDeliverMessage 0 Stream ended",
        "ChangedState PROPOSING -> ESTABLISHED",
        "RejectedStreamProposal local Proposal cancelled",
    ]);
    bob.is_told(&[
        "ChangedState ESTABLISHED -> PROPOSED",
        "GotStreamProposal remote chat",
        "ChangedState PROPOSED -> ESTABLISHED",
        "RejectedStreamProposal remote Proposal cancelled",
    ]);
    alice.says("two");
    stage.a_moment();
    bob.is_told(&["GotMessage text/plain two"]);
    alice.hangs_up();
    stage.ends();
}
