//! What the callee answers, and how it is understood: failures with their reasons, descriptions that can't be used, early
//! media, forks.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::{Duration, Instant};

use client::media::Sound;
use client::session::State;
use client_world::{Foreigner, Person, Stage};
use sip_message::{HeaderName, Method, StatusCode};

/// Alice calls a stranger, who has the INVITE.
fn calling(stage: &Stage) -> (Person, Foreigner) {
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.dials(&carol.address(), Vec::new()).unwrap();
    stage.a_moment();
    assert_eq!(carol.saw(), ["INVITE"]);
    alice.told();
    (alice, carol)
}

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

/// "`reason` = the reason phrase, or `<phrase> (<Warning text>)`".
#[test]
fn the_warning_is_part_of_the_reason() {
    let stage = stage();
    let (alice, carol) = calling(&stage);
    carol.adds(HeaderName::Warning, "399 carol \"no trombones\"").responds(StatusCode::NOT_ACCEPTABLE_HERE, None);
    stage.a_moment();
    alice.is_told(&[
        "ChangedState CALLING -> TERMINATED",
        "DidFail remote 488 Not Acceptable Here (no trombones)",
        "DidEnd remote",
    ]);
    stage.ends();
}

/// 3xx: the Contacts are told, and nothing is followed unasked.
#[test]
fn a_redirection_tells_where_else_the_callee_may_be() {
    let stage = stage();
    let (alice, carol) = calling(&stage);
    carol.adds(HeaderName::Contact, "<sip:carol@home.test>").adds(HeaderName::Contact, "<sip:carol@work.test>;q=0.5");
    carol.responds(StatusCode::MOVED_TEMPORARILY, None);
    stage.a_moment();
    alice.is_told(&[
        "ChangedState CALLING -> TERMINATED",
        "DidFail remote 302 Moved Temporarily -> sip:carol@home.test -> sip:carol@work.test",
        "DidEnd remote",
    ]);
    stage.ends();
}

/// "Outgoing, SDP answer unusable": acknowledged, and taken leave of.
#[test]
fn an_answer_without_a_stream_is_taken_leave_of() {
    for sdp in [None, Some("m=audio 0 RTP/AVP 0"), Some("m=video 4000 RTP/AVP 31")] {
        let stage = stage();
        let (alice, carol) = calling(&stage);
        let sdp = sdp.map(|lines| carol.sdp(1, lines));
        carol.responds(StatusCode::OK, sdp.as_deref());
        stage.a_moment();
        assert_eq!(carol.saw(), ["ACK", "BYE"]);
        let told = alice.told();
        assert_eq!(told[0], "ChangedState CALLING -> TERMINATED");
        assert!(told[1].starts_with("DidFail local SDP negotiation failed: "), "{told:?}");
        assert_eq!(told[2..], ["DidEnd local"]);
        stage.ends();
    }
}

/// Only 180 is a ring indication; each 1xx but 100 is a provisional response.
#[test]
fn only_180_is_a_ring_indication() {
    let stage = stage();
    let (alice, carol) = calling(&stage);
    carol.responds(StatusCode::TRYING, None);
    carol.responds(StatusCode::SESSION_PROGRESS, None);
    carol.responds(StatusCode::RINGING, None);
    carol.responds(StatusCode::RINGING, None);
    stage.a_moment();
    alice.is_told(&[
        "GotProvisionalResponse 183 Session Progress",
        "GotRingIndication",
        "GotProvisionalResponse 180 Ringing",
        "GotRingIndication",
        "GotProvisionalResponse 180 Ringing",
    ]);
    assert_eq!(alice.sees(|phone| phone.media.sound), Sound::Ringback);
    carol.responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    assert_eq!(alice.sees(|phone| phone.media.sound), Sound::Silence);
    alice.hangs_up();
    stage.ends();
}

/// A description in an unreliable 183 only foreshadows the answer; its media are heard instead of our ringback.
#[test]
fn early_media_is_heard() {
    let stage = stage();
    let (alice, carol) = calling(&stage);
    carol.responds(StatusCode::RINGING, None);
    stage.a_moment();
    assert_eq!(alice.sees(|phone| phone.media.sound), Sound::Ringback);
    carol.responds(StatusCode::SESSION_PROGRESS, Some(&carol.audio(1)));
    stage.a_moment();
    assert!(alice.sees(|phone| phone.media.is_early()));
    assert_eq!(alice.sees(|phone| phone.media.sound), Sound::Silence);
    carol.responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    assert!(!alice.sees(|phone| phone.media.is_early()));
    assert_eq!(alice.state(), State::Established);
    assert_eq!(alice.info().audio_codec.as_deref(), Some("PCMU"));
    alice.hangs_up();
    stage.ends();
}

/// RFC 3262: a reliable 183 is acknowledged by PRACK; its description is the answer, and the 2xx needs none.
#[test]
fn a_reliable_provisional_response_is_acknowledged() {
    let stage = stage();
    let (alice, carol) = calling(&stage);
    carol.responds_reliably(StatusCode::SESSION_PROGRESS, Some(&carol.audio(1)));
    stage.a_moment();
    assert_eq!(carol.saw(), ["PRACK"]);
    assert!(alice.sees(|phone| phone.media.is_early()));
    carol.responds(StatusCode::OK, None);
    stage.a_moment();
    alice.is_told(&[
        "GotProvisionalResponse 183 Session Progress",
        "WillStart",
        "GotStreamUpdate audio",
        "ChangedState CALLING -> ESTABLISHED",
        "DidStart",
    ]);
    alice.hangs_up();
    stage.ends();
}

/// The name that the peer gives itself: Server, else User-Agent.
#[test]
fn the_peer_s_name_is_taken_from_server() {
    let stage = stage();
    let (alice, carol) = calling(&stage);
    carol.adds(HeaderName::Server, "Carol/1.0").responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    assert_eq!(alice.info().remote_user_agent.as_deref(), Some("Carol/1.0"));
    alice.hangs_up();
    stage.ends();
}

/// An answer that holds from the beginning.
#[test]
fn an_answer_may_hold() {
    let stage = stage();
    let (alice, carol) = calling(&stage);
    carol.responds(StatusCode::OK, Some(&carol.sdp(1, "m=audio 4000 RTP/AVP 0\na=inactive")));
    stage.a_moment();
    alice.is_told(&[
        "WillStart",
        "GotStreamUpdate audio",
        "GotHoldRequest remote",
        "ChangedState CALLING -> ESTABLISHED",
        "DidStart",
    ]);
    alice.hangs_up();
    stage.ends();
}

/// The ACK is lost: the 2xx comes again, is acknowledged again, and tells nothing new.
#[test]
fn a_copy_of_the_answer_is_acknowledged_again() {
    let stage = stage();
    let (alice, carol) = calling(&stage);
    stage.loses(alice.node(), carol.node(), 2);
    carol.responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.passes(Duration::from_secs(4));
    assert_eq!(carol.saw(), ["ACK"]);
    alice.is_told(&["WillStart", "GotStreamUpdate audio", "ChangedState CALLING -> ESTABLISHED", "DidStart"]);
    alice.hangs_up();
    stage.ends();
}

/// BYE says why (RFC 3326), and so does the CANCEL.
#[test]
fn the_reason_of_a_bye_is_told() {
    let stage = stage();
    let (alice, carol) = calling(&stage);
    carol.responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    alice.told();
    carol.adds(HeaderName::Reason, "Q.850;cause=16;text=\"Normal clearing\"").sends(Method::Bye, None);
    stage.a_moment();
    alice.is_told(&[
        "GotStreamUpdate none",
        "ChangedState ESTABLISHED -> TERMINATED",
        "DidEnd remote (Normal clearing)",
    ]);
    stage.ends();
}
