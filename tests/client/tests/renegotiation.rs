//! The peer's re-INVITEs and UPDATEs that propose nothing new: RFC 3261 §14, RFC 3264 §8, RFC 3311, RFC 6337.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::{Duration, Instant};

use client::media::MediaEvent;
use client::session::State;
use client_world::{Foreigner, Person, Stage};
use sdp::Direction;
use sip_message::{HeaderName, Method, StatusCode};

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

fn talking(stage: &Stage) -> (Person, Foreigner) {
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.dials(&carol.address(), Vec::new()).unwrap();
    stage.a_moment();
    carol.responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    alice.told();
    carol.saw();
    (alice, carol)
}

/// Address and codec change without a word, and the media side is told.
#[test]
fn a_changed_address_and_codec_are_applied_in_silence() {
    let stage = stage();
    let (alice, carol) = talking(&stage);
    carol.reinvites(Some(&carol.sdp(2, "m=audio 5002 RTP/AVP 9\nc=IN IP4 192.0.2.9")));
    stage.a_moment();
    assert_eq!(carol.saw(), ["200 INVITE"]);
    alice.is_told(&[]);
    let info = alice.info();
    assert_eq!((info.audio_codec.as_deref(), info.audio_sample_rate), (Some("G722"), Some(16_000)));
    assert_eq!(info.audio_remote_rtp_address_sdp, Some([192, 0, 2, 9].into()));
    assert_eq!(info.audio_remote_rtp_port_sdp, Some(5002));
    alice.hangs_up();
    stage.ends();
}

/// RFC 3264 §8: m-lines are never deleted. 488 leaves the session as it was.
#[test]
fn fewer_lines_are_not_acceptable() {
    let stage = stage();
    let (alice, carol) = talking(&stage);
    carol.reinvites(Some(&carol.sdp(2, "a=nothing")));
    stage.a_moment();
    assert_eq!(carol.saw(), ["488 INVITE"]);
    alice.is_told(&[]);
    assert_eq!(alice.state(), State::Established);
    alice.hangs_up();
    stage.ends();
}

/// Nothing in common any more: 488, and what was agreed on stays.
#[test]
fn an_offer_without_a_common_codec_leaves_the_session_as_it_was() {
    let stage = stage();
    let (alice, carol) = talking(&stage);
    carol.reinvites(Some(&carol.sdp(2, "m=audio 4000 RTP/AVP 18")));
    stage.a_moment();
    assert_eq!(carol.saw(), ["488 INVITE"]);
    assert!(carol.last_response().headers().contains(HeaderName::Warning));
    assert_eq!(alice.info().audio_codec.as_deref(), Some("PCMU"));
    alice.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// Decision 8: "a changed o= version by more than one is tolerated."
#[test]
fn a_jump_of_the_version_is_tolerated() {
    let stage = stage();
    let (alice, carol) = talking(&stage);
    carol.reinvites(Some(&carol.sdp(77, "m=audio 4000 RTP/AVP 0\na=sendonly")));
    stage.a_moment();
    assert_eq!(carol.saw(), ["200 INVITE"]);
    alice.is_told(&["GotHoldRequest remote"]);
    alice.hangs_up();
    stage.ends();
}

/// "Same version + same SDP: 200 with the current local SDP."
#[test]
fn a_refresh_is_answered_with_what_there_is() {
    let stage = stage();
    let (alice, carol) = talking(&stage);
    carol.reinvites(Some(&carol.audio(1)));
    stage.a_moment();
    let first = carol.last_sdp();
    carol.reinvites(Some(&carol.audio(1)));
    stage.a_moment();
    assert_eq!(carol.last_sdp(), first);
    alice.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// RFC 3261 §14.2: a re-INVITE without an offer is answered with one; its answer is in the ACK.
#[test]
fn a_re_invite_without_an_offer_is_answered_with_one() {
    let stage = stage();
    let (alice, carol) = talking(&stage);
    let held = carol.sdp(2, "m=audio 4000 RTP/AVP 0\na=sendonly");
    carol.is(|stranger| stranger.ack = Some(held));
    carol.reinvites(None);
    stage.a_moment();
    assert!(carol.last_sdp().contains("m=audio"));
    alice.is_told(&["GotHoldRequest remote"]);
    assert_eq!(
        alice.sees(|phone| phone.media.agreement().map(|agreement| agreement.direction)),
        Some(Direction::RecvOnly)
    );
    alice.hangs_up();
    stage.ends();
}

/// A second audio line beside the one that there is, and video: not accepted, not asked about.
#[test]
fn what_we_can_not_have_is_answered_with_port_zero() {
    let stage = stage();
    let (alice, carol) = talking(&stage);
    carol.reinvites(Some(&carol.sdp(2, "m=audio 4000 RTP/AVP 0\nm=audio 4004 RTP/AVP 0\nm=video 4008 RTP/AVP 31")));
    stage.a_moment();
    let answer = carol.last_sdp();
    let lines: Vec<&str> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert!(lines[1].starts_with("m=audio 0 ") && lines[2].starts_with("m=video 0 "), "{lines:?}");
    alice.is_told(&[]);
    // Our own next offer has as many lines.
    alice.holds();
    stage.a_moment();
    assert_eq!(carol.last_sdp().lines().filter(|line| line.starts_with("m=")).count(), 3);
    alice.hangs_up();
    stage.ends();
}

/// RFC 3311: an UPDATE with an offer is answered at once.
#[test]
fn an_update_holds_and_unholds() {
    let stage = stage();
    let (alice, carol) = talking(&stage);
    let held = carol.sdp(2, "m=audio 4000 RTP/AVP 0\na=sendonly");
    carol.sends(Method::Update, Some(("application/sdp", &held)));
    stage.a_moment();
    assert_eq!(carol.saw(), ["200 UPDATE"]);
    alice.is_told(&["GotHoldRequest remote"]);
    carol.sends(Method::Update, Some(("application/sdp", &carol.audio(3))));
    stage.a_moment();
    alice.is_told(&["GotUnholdRequest remote"]);
    alice.hangs_up();
    stage.ends();
}

/// OPTIONS within a session says what we can do; what nobody knows is refused with what is allowed.
#[test]
fn other_requests_in_the_dialog_are_answered() {
    let stage = stage();
    let (alice, carol) = talking(&stage);
    carol.sends(Method::Options, None);
    stage.a_moment();
    let response = carol.last_response();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().has_token(HeaderName::Allow, "REFER"));
    carol.sends(Method::Publish, None);
    stage.a_moment();
    assert_eq!(carol.last_response().status(), StatusCode::METHOD_NOT_ALLOWED);
    carol.sends(Method::Subscribe, None);
    stage.a_moment();
    assert_eq!(carol.last_response().status(), StatusCode::BAD_EVENT);
    alice.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// The session timer (RFC 4028): both sides refresh for hours in silence.
#[test]
fn a_session_is_refreshed_in_silence() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    alice.told();
    bob.told();
    stage.seconds(3 * 3600);
    alice.is_told(&[]);
    bob.is_told(&[]);
    assert_eq!((alice.state(), bob.state()), (State::Established, State::Established));
    let updates = stage.world().ladder(None).matches("UPDATE").count();
    assert!(updates >= 10, "{updates} refreshes");
    alice.hangs_up();
    stage.ends();
}

/// The peer has vanished: the session does not outlive its timer.
#[test]
fn a_session_with_a_peer_that_has_vanished_ends() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    alice.told();
    bob.told();
    let (one, other) = (alice.node(), bob.node());
    stage.world_mut().partition(one, other, Duration::from_secs(3600));
    stage.seconds(2000);
    for person in [&alice, &bob] {
        let told = person.told();
        assert_eq!(told[..2], ["GotStreamUpdate none", "ChangedState ESTABLISHED -> TERMINATED"]);
        assert!(told[2].starts_with("DidFail local 408 "), "{told:?}");
        assert_eq!(told[3..], ["DidEnd local"]);
    }
    stage.ends();
}

/// RFC 8839: when ICE has found another way than the m-lines say, the offerer tells it; the answerer does not.
#[test]
fn the_offerer_tells_the_way_that_ice_has_found() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    alice.told();
    bob.told();
    let chosen = |port| {
        let (local, remote) = (([192, 0, 2, 7], port).into(), ([192, 0, 2, 8], port).into());
        move |stream| MediaEvent::PathChosen { stream, local, remote }
    };
    bob.media(chosen(6000));
    stage.a_moment();
    assert_eq!(alice.info().audio_remote_rtp_port_sdp, bob.info().audio_local_rtp_port);
    alice.media(chosen(7000));
    stage.a_moment();
    assert_eq!(bob.info().audio_remote_rtp_port_sdp, Some(7000));
    assert_eq!(bob.info().audio_remote_rtp_address_sdp, Some([192, 0, 2, 7].into()));
    alice.is_told(&[]);
    bob.is_told(&[]);
    assert!(alice.info().has_audio() && bob.info().has_audio());
    alice.hangs_up();
    stage.ends();
}

/// RFC 4579: a peer that says `isfocus` is asked who takes part.
#[test]
fn a_conference_is_asked_who_takes_part() {
    let stage = stage();
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.dials(&carol.address(), Vec::new()).unwrap();
    stage.a_moment();
    let contact = format!("<sip:room@{}>;isfocus", carol.route().addr);
    carol.adds(HeaderName::Contact, &contact).responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    assert!(alice.info().remote_focus);
    assert_eq!(carol.saw(), ["INVITE", "ACK", "SUBSCRIBE"]);
    assert_eq!(carol.last_request().headers().first(HeaderName::Event), Some("conference"));
    alice.hangs_up();
    stage.ends();
}
