//! Proposals by both sides: accepted, rejected, called off, and in each other's way.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::{Duration, Instant};

use client::session::State;
use client::{ClientError, StreamKind, Streams};
use client_world::{Fate, Foreigner, Person, Stage};
use sip_message::{Method, StatusCode};

const NO_AUDIO: &str = "m=audio 0 RTP/AVP 0";
const AUDIO: &str = "m=audio 4000 RTP/AVP 0 8";

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

/// Alice and a stranger in a session, from which the stranger has removed audio. What was told so far is read.
fn without_streams(stage: &Stage) -> (Person, Foreigner) {
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.dials(&carol.address(), Vec::new()).unwrap();
    stage.a_moment();
    carol.responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    alice.told();
    carol.reinvites(Some(&carol.sdp(2, NO_AUDIO)));
    stage.a_moment();
    // "Remove stream by remote: answered 200 without asking; GotStreamUpdate."
    alice.is_told(&["GotStreamUpdate none"]);
    assert_eq!(alice.state(), State::Established);
    assert!(alice.sees(|phone| phone.media.streams().next().is_none()));
    carol.saw();
    (alice, carol)
}

/// "Add stream by us: accepted". The line that was freed is used again.
#[test]
fn our_proposal_is_accepted() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    let add = alice.adds_audio();
    alice.is_told(&["ChangedState ESTABLISHED -> PROPOSING", "GotStreamProposal local audio"]);
    stage.a_moment();
    let offer = carol.last_sdp();
    assert_eq!(offer.lines().filter(|line| line.starts_with("m=")).count(), 1, "{offer}");
    carol.responds(StatusCode::OK, Some(&carol.sdp(3, AUDIO)));
    stage.a_moment();
    alice.is_told(&["GotStreamUpdate audio", "ChangedState PROPOSING -> ESTABLISHED", "AcceptedStreamProposal local"]);
    assert_eq!(alice.outcome(add), Some(Ok(())));
    alice.hangs_up();
    stage.ends();
}

/// "2xx but port 0/unusable".
#[test]
fn our_proposal_is_answered_with_port_zero() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    let add = alice.adds_audio();
    stage.a_moment();
    alice.told();
    carol.responds(StatusCode::OK, Some(&carol.sdp(3, NO_AUDIO)));
    stage.a_moment();
    alice.is_told(&[
        "ChangedState PROPOSING -> ESTABLISHED",
        "RejectedStreamProposal local Audio SDP negotiation failed",
    ]);
    assert_eq!(alice.outcome(add), Some(Err(ClientError::Refused(StatusCode::NOT_ACCEPTABLE_HERE))));
    assert!(alice.sees(|phone| phone.media.streams().next().is_none()));
    alice.hangs_up();
    stage.ends();
}

/// ">=300".
#[test]
fn our_proposal_is_rejected() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    let add = alice.adds_audio();
    stage.a_moment();
    alice.told();
    carol.responds(StatusCode::DECLINE, None);
    stage.a_moment();
    alice.is_told(&[
        "ChangedState PROPOSING -> ESTABLISHED",
        "RejectedStreamProposal local Proposal rejected with: 603 Decline",
    ]);
    assert_eq!(alice.outcome(add), Some(Err(ClientError::Refused(StatusCode::DECLINE))));
    alice.hangs_up();
    stage.ends();
}

/// Glare is retried before it is reported (decision 6).
#[test]
fn only_a_second_glare_rejects_our_proposal() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    let add = alice.adds_audio();
    stage.a_moment();
    alice.told();
    carol.responds(StatusCode::REQUEST_PENDING, None);
    stage.seconds(5);
    alice.is_told(&[]);
    assert_eq!((alice.state(), alice.outcome(add)), (State::Proposing, None));
    carol.responds(StatusCode::REQUEST_PENDING, None);
    stage.a_moment();
    alice.is_told(&[
        "ChangedState PROPOSING -> ESTABLISHED",
        "RejectedStreamProposal local Proposal rejected with: 491 Request Pending",
    ]);
    alice.hangs_up();
    stage.ends();
}

/// "local transport failure".
#[test]
fn our_proposal_fails_for_want_of_media() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    alice.does(|phone, _, _| phone.media.fate = Fate::Fails("no port is free"));
    let add = alice.adds_audio();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState ESTABLISHED -> PROPOSING",
        "GotStreamProposal local audio",
        "ChangedState PROPOSING -> ESTABLISHED",
        "RejectedStreamProposal local Failed to initialize audio RTP transport: no port is free",
    ]);
    assert!(alice.outcome(add).is_some_and(|outcome| outcome.is_err()));
    assert!(carol.saw().is_empty());
    alice.hangs_up();
    stage.ends();
}

/// "A proposal can be cancelled": before it is sent, and after.
#[test]
fn our_proposal_is_cancelled() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    let cancel = |alice: &Person| alice.asks(|client, now, endpoint, id| client.cancel_proposal(now, endpoint, id));
    let add = alice.adds_audio();
    cancel(&alice).unwrap();
    let cancelled = [
        "ChangedState ESTABLISHED -> PROPOSING",
        "GotStreamProposal local audio",
        "ChangedState PROPOSING -> ESTABLISHED",
        "RejectedStreamProposal local Proposal cancelled",
    ];
    alice.is_told(&cancelled);
    assert_eq!(alice.outcome(add), Some(Err(ClientError::Dropped)));
    stage.a_moment();
    assert!(carol.saw().is_empty());

    alice.adds_audio();
    stage.a_moment();
    carol.responds(StatusCode::RINGING, None);
    stage.a_moment();
    cancel(&alice).unwrap();
    stage.a_moment();
    alice.is_told(&cancelled);
    assert_eq!(carol.saw(), ["INVITE", "CANCEL"]);
    let state = State::Established;
    assert_eq!(cancel(&alice), Err(ClientError::IllegalState { method: "cancel_proposal", state }));
    alice.hangs_up();
    stage.ends();
}

/// The 2xx crosses the CANCEL: what was agreed on is taken back with another re-INVITE.
#[test]
fn a_proposal_that_is_accepted_too_late_is_taken_back() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    alice.adds_audio();
    stage.a_moment();
    carol.responds(StatusCode::RINGING, None);
    stage.a_moment();
    alice.told();
    carol.responds(StatusCode::OK, Some(&carol.sdp(3, AUDIO)));
    alice.asks(|client, now, endpoint, id| client.cancel_proposal(now, endpoint, id)).unwrap();
    stage.a_moment();
    alice.is_told(&["ChangedState PROPOSING -> ESTABLISHED", "RejectedStreamProposal local Proposal cancelled"]);
    assert!(carol.last_sdp().contains("m=audio 0 "), "{}", carol.last_sdp());
    carol.responds(StatusCode::OK, Some(&carol.sdp(4, NO_AUDIO)));
    stage.a_moment();
    alice.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// `sip.proposal_timeout`, ours: the re-INVITE is cancelled.
#[test]
fn our_proposal_is_not_answered() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    let add = alice.adds_audio();
    stage.a_moment();
    carol.responds(StatusCode::RINGING, None);
    stage.seconds(61);
    alice.is_told(&[
        "ChangedState ESTABLISHED -> PROPOSING",
        "GotStreamProposal local audio",
        "ChangedState PROPOSING -> ESTABLISHED",
        "RejectedStreamProposal local Proposal timed out",
    ]);
    assert_eq!(alice.outcome(add), Some(Err(ClientError::TimedOut)));
    alice.hangs_up();
    stage.ends();
}

/// "Add stream by remote: accept_proposal()".
#[test]
fn the_peer_s_proposal_is_accepted() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    carol.reinvites(Some(&carol.sdp(3, AUDIO)));
    stage.a_moment();
    alice.is_told(&["ChangedState ESTABLISHED -> PROPOSED", "GotStreamProposal remote audio"]);
    assert_eq!(carol.saw(), ["180 INVITE"]);
    assert_eq!(alice.info().proposed_streams, Streams::audio());
    let accept = |streams| alice.asks(|client, now, endpoint, id| client.accept_proposal(now, endpoint, id, streams));
    assert_eq!(accept(Streams::NONE), Err(ClientError::NoStreams));
    assert_eq!(accept(Streams::chat()), Err(ClientError::NotProposed(StreamKind::Chat)));
    accept(Streams::audio()).unwrap();
    assert_eq!(alice.state(), State::Proposed);
    stage.a_moment();
    alice.is_told(&["ChangedState PROPOSED -> ESTABLISHED", "AcceptedStreamProposal remote", "GotStreamUpdate audio"]);
    assert_eq!(carol.saw(), ["200 INVITE"]);
    alice.hangs_up();
    stage.ends();
}

/// "reject_proposal()".
#[test]
fn the_peer_s_proposal_is_rejected() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    carol.reinvites(Some(&carol.sdp(3, AUDIO)));
    stage.a_moment();
    alice.told();
    alice.asks(|client, now, endpoint, id| client.reject_proposal(now, endpoint, id, None)).unwrap();
    stage.a_moment();
    alice.is_told(&["ChangedState PROPOSED -> ESTABLISHED", "RejectedStreamProposal remote Rejected by user"]);
    assert_eq!(carol.saw(), ["180 INVITE", "488 INVITE"]);
    alice.hangs_up();
    stage.ends();
}

/// "transport failure: the same with reason text and - 500."
#[test]
fn the_peer_s_proposal_fails_for_want_of_media() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    alice.does(|phone, _, _| phone.media.fate = Fate::Fails("no port is free"));
    carol.reinvites(Some(&carol.sdp(3, AUDIO)));
    stage.a_moment();
    alice.told();
    alice.asks(|client, now, endpoint, id| client.accept_proposal(now, endpoint, id, Streams::audio())).unwrap();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState PROPOSED -> ESTABLISHED",
        "RejectedStreamProposal remote Failed to initialize audio RTP transport: no port is free",
    ]);
    assert_eq!(carol.saw(), ["180 INVITE", "500 INVITE"]);
    alice.hangs_up();
    stage.ends();
}

/// "CANCEL of a re-INVITE is honoured", and of one that is being accepted, too.
#[test]
fn the_peer_cancels_its_proposal() {
    for accepts in [false, true] {
        let stage = stage();
        let (alice, carol) = without_streams(&stage);
        alice.does(|phone, _, _| phone.media.fate = Fate::After(Duration::from_secs(1)));
        carol.reinvites(Some(&carol.sdp(3, AUDIO)));
        stage.a_moment();
        alice.told();
        if accepts {
            alice
                .asks(|client, now, endpoint, id| client.accept_proposal(now, endpoint, id, Streams::audio()))
                .unwrap();
        }
        carol.cancels_reinvite();
        stage.a_moment();
        alice.is_told(&["ChangedState PROPOSED -> ESTABLISHED", "RejectedStreamProposal remote Proposal cancelled"]);
        assert_eq!(carol.saw(), ["180 INVITE", "487 INVITE"]);
        stage.seconds(2);
        assert!(alice.sees(|phone| phone.media.streams().next().is_none()));
        alice.hangs_up();
        stage.ends();
    }
}

/// "an unanswered remote proposal is rejected after a timeout."
#[test]
fn the_peer_s_proposal_is_not_answered() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    carol.reinvites(Some(&carol.sdp(3, AUDIO)));
    stage.seconds(61);
    alice.is_told(&[
        "ChangedState ESTABLISHED -> PROPOSED",
        "GotStreamProposal remote audio",
        "ChangedState PROPOSED -> ESTABLISHED",
        "RejectedStreamProposal remote Nobody has answered in time",
    ]);
    assert_eq!(carol.saw().last().map(String::as_str), Some("488 INVITE"));
    alice.hangs_up();
    stage.ends();
}

/// "End in PROPOSING/PROPOSED: as in ESTABLISHED; the pending proposal gets no Rejected notification."
#[test]
fn a_session_ends_in_the_middle_of_a_proposal() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    carol.reinvites(Some(&carol.sdp(3, AUDIO)));
    stage.a_moment();
    alice.told();
    alice.hangs_up();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState PROPOSED -> TERMINATING",
        "WillEnd",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    assert_eq!(carol.saw(), ["180 INVITE", "BYE", "487 INVITE"]);
    stage.ends();

    let stage = self::stage();
    let (alice, carol) = without_streams(&stage);
    let add = alice.adds_audio();
    stage.a_moment();
    alice.told();
    carol.responds(StatusCode::RINGING, None);
    carol.sends(Method::Bye, None);
    stage.a_moment();
    alice.is_told(&["ChangedState PROPOSING -> TERMINATED", "DidEnd remote"]);
    assert_eq!(alice.outcome(add), Some(Err(ClientError::Dropped)));
    stage.ends();
}

/// A proposal of the peer's that comes while ours is still being prepared goes first.
#[test]
fn the_peer_s_proposal_overtakes_ours() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    alice.does(|phone, _, _| phone.media.fate = Fate::After(Duration::from_secs(1)));
    let add = alice.adds_audio();
    carol.reinvites(Some(&carol.sdp(3, AUDIO)));
    stage.a_moment();
    alice.is_told(&[
        "ChangedState ESTABLISHED -> PROPOSING",
        "GotStreamProposal local audio",
        "ChangedState PROPOSING -> ESTABLISHED",
        "RejectedStreamProposal local The peer has proposed streams",
        "ChangedState ESTABLISHED -> PROPOSED",
        "GotStreamProposal remote audio",
    ]);
    assert!(alice.outcome(add).is_some_and(|outcome| outcome.is_err()));
    alice.hangs_up();
    stage.ends();
}

/// A command that is given while the peer proposes waits for the answer.
#[test]
fn a_hold_waits_until_the_proposal_is_answered() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    carol.reinvites(Some(&carol.sdp(3, AUDIO)));
    stage.a_moment();
    let hold = alice.holds();
    stage.seconds(1);
    assert_eq!(alice.outcome(hold), None);
    alice.asks(|client, now, endpoint, id| client.accept_proposal(now, endpoint, id, Streams::audio())).unwrap();
    stage.a_moment();
    assert!(carol.last_sdp().contains("a=sendonly"), "{}", carol.last_sdp());
    carol.responds(StatusCode::OK, Some(&carol.sdp(4, "m=audio 4000 RTP/AVP 0\na=recvonly")));
    stage.a_moment();
    assert_eq!(alice.outcome(hold), Some(Ok(())));
    alice.hangs_up();
    stage.ends();
}

/// "A stream added while on hold is offered with `a=sendonly`."
#[test]
fn a_stream_that_is_added_on_hold_is_offered_so() {
    let stage = stage();
    let (alice, carol) = without_streams(&stage);
    let hold = alice.holds();
    stage.a_moment();
    carol.responds(StatusCode::OK, Some(&carol.sdp(3, NO_AUDIO)));
    stage.a_moment();
    assert_eq!(alice.outcome(hold), Some(Ok(())));
    alice.adds_audio();
    stage.a_moment();
    assert!(carol.last_sdp().contains("a=sendonly"), "{}", carol.last_sdp());
    alice.hangs_up();
    stage.ends();
}

/// Errors that are raised at once, and change nothing.
#[test]
fn what_can_not_be_added_or_removed_is_refused() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    alice.told();
    let audio = StreamKind::Audio;
    let chat = StreamKind::Chat;
    alice.asks(|client, now, endpoint, id| {
        assert_eq!(client.add_audio(now, endpoint, id), Err(ClientError::StreamExists(audio)));
        assert_eq!(client.remove_audio(now, endpoint, id), Err(ClientError::LastStream));
        assert_eq!(client.remove_chat(now, endpoint, id), Err(ClientError::NoStream(chat)));
        let illegal = ClientError::IllegalState { method: "reject_proposal", state: State::Established };
        assert_eq!(client.reject_proposal(now, endpoint, id, None), Err(illegal));
    });
    stage.a_moment();
    alice.is_told(&[]);
    bob.hangs_up();
    stage.ends();

    let stage = self::stage();
    let (alice, _) = without_streams(&stage);
    alice.asks(|client, now, endpoint, id| {
        assert_eq!(client.remove_audio(now, endpoint, id), Err(ClientError::NoStream(audio)));
        assert_eq!(client.send_dtmf(now, endpoint, id, '1'), Err(ClientError::NoStream(audio)));
        assert_eq!(client.start_recording_audio(now, endpoint, id, None), Err(ClientError::NoStream(audio)));
    });
    alice.hangs_up();
    stage.ends();
}
