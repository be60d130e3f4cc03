//! Which INVITEs become a session.

use std::time::Instant;

use client::session::State;
use client::settings::Encryption;
use client::{ClientError, StreamKind, Streams};
use client_world::Stage;
use sip_message::{HeaderName, StatusCode};

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

/// What an INVITE of carol's with these lines is answered, after 100 and 180.
#[track_caller]
fn answer(lines: &str) -> (u16, String) {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    let sdp = carol.sdp(1, lines);
    carol.calls(&bob, Some(&sdp));
    stage.a_moment();
    let response = carol.last_response();
    let warning = response.headers().first(HeaderName::Warning).unwrap_or_default().to_owned();
    if response.status() == StatusCode::RINGING {
        carol.cancels();
    } else {
        bob.is_told(&[]);
    }
    stage.ends();
    (response.status().code(), warning)
}

/// "No account for the request URI: 404."
#[test]
fn nobody_s_address_is_not_found() {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    carol.dials("sip:charles@bob", Some(&carol.audio(1)));
    stage.a_moment();
    assert_eq!(carol.saw(), ["404 INVITE"]);
    bob.is_told(&[]);
    stage.ends();
}

/// "No usable stream: 488."
#[test]
fn an_offer_without_a_usable_stream_is_not_acceptable() {
    assert_eq!(answer("m=audio 4000 RTP/AVP 0").0, 180);
    for lines in [
        "m=audio 0 RTP/AVP 0",
        "m=video 4000 RTP/AVP 31",
        "m=audio 4000 RTP/AVP 18",
        "m=audio 4000 RTP/AVP 97\na=rtpmap:97 GSM-EFR/8000",
        "m=message 2855 TCP/MSRP *",
    ] {
        let (status, warning) = answer(lines);
        assert_eq!(status, 488, "{lines}");
        assert!(warning.contains("305"), "{warning}");
    }
}

#[test]
fn a_body_that_is_no_description_is_refused() {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    carol.adds(HeaderName::ContentType, "text/plain");
    carol.is(|_| ());
    carol.calls(&bob, None);
    stage.a_moment();
    // There is a type and no body: that is an INVITE without an offer.
    assert_eq!(carol.last_response().status(), StatusCode::RINGING);
    carol.cancels();
    stage.a_moment();
    assert_eq!(answer("this is no line\nm=audio").0, 488);
    stage.ends();
}

/// RFC 3261 §8.2.2.3.
#[test]
fn an_extension_that_we_lack_is_named() {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    carol.adds(HeaderName::Require, "100rel, precondition").calls(&bob, Some(&carol.audio(1)));
    stage.a_moment();
    let response = carol.last_response();
    assert_eq!(response.status(), StatusCode::BAD_EXTENSION);
    assert_eq!(response.headers().first(HeaderName::Unsupported), Some("precondition"));
    bob.is_told(&[]);
    stage.ends();
}

/// "180 is sent when the session is created (an option leaves it to the application)."
#[test]
fn ringing_may_be_left_to_the_application() {
    let stage = stage();
    let bob = stage.softphone_with("bob", |settings, _| settings.sip.ring_at_once = false);
    let carol = stage.stranger("carol");
    carol.calls(&bob, Some(&carol.audio(1)));
    stage.a_moment();
    assert_eq!(bob.state(), State::Incoming);
    assert_eq!(carol.saw(), ["100 INVITE"]);
    bob.asks(|client, now, endpoint, id| client.ring(now, endpoint, id)).unwrap();
    stage.a_moment();
    assert_eq!(carol.saw(), ["180 INVITE"]);
    carol.cancels();
    stage.ends();
}

/// What is not accepted is answered with port 0; video is left so.
#[test]
fn video_is_left_with_port_zero() {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    let lines = "m=video 4002 RTP/AVP 31\nm=audio 4000 RTP/AVP 8\nm=message 2855 TCP/MSRP *\na=path:msrp://c:1/x;tcp";
    let sdp = carol.sdp(1, lines);
    carol.calls(&bob, Some(&sdp));
    stage.a_moment();
    bob.is_told(&["ChangedState NULL -> INCOMING", "NewIncoming audio+chat"]);
    assert_eq!(bob.tries_to_accept(Streams::file()), Err(ClientError::NotProposed(StreamKind::File)));
    bob.accepts();
    stage.a_moment();
    let answer = carol.last_sdp();
    let lines: Vec<&str> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert!(lines[0].starts_with("m=video 0 ") && lines[2].starts_with("m=message 0 "), "{lines:?}");
    assert!(lines[1].starts_with("m=audio 5") && lines[1].contains(" 8"), "{lines:?}");
    bob.hangs_up();
    stage.ends();
}

/// An INVITE without an offer: ours is in the 200, the answer in the ACK, and the streams begin then.
#[test]
fn an_invite_without_an_offer_is_answered_with_one() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.stranger("bob"));
    let answer = bob.audio(1);
    bob.is(|stranger| stranger.ack = Some(answer));
    bob.calls(&alice, None);
    stage.a_moment();
    alice.is_told(&["ChangedState NULL -> INCOMING", "NewIncoming audio"]);
    alice.accepts();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "WillStart",
        "GotStreamUpdate audio",
        "ChangedState ACCEPTING -> ESTABLISHED",
        "DidStart",
    ]);
    alice.hangs_up();
    stage.ends();
}

#[test]
fn an_offer_of_ours_that_the_ack_does_not_answer_ends_the_session() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.stranger("bob"));
    bob.calls(&alice, None);
    stage.a_moment();
    alice.is_told(&["ChangedState NULL -> INCOMING", "NewIncoming audio"]);
    alice.accepts();
    stage.a_moment();
    // The ACK had no answer: there is nothing to talk with.
    alice.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "WillStart",
        "ChangedState ACCEPTING -> TERMINATED",
        "DidFail local SDP negotiation failed: the answer can't be used",
        "DidEnd local",
    ]);
    assert!(bob.last_sdp().contains("m=audio"));
    stage.ends();
}

/// The reason of a CANCEL is told: somebody else has taken the call.
#[test]
fn the_reason_of_a_cancel_is_told() {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    carol.calls(&bob, Some(&carol.audio(1)));
    stage.a_moment();
    bob.told();
    carol.cancels_because("SIP;cause=200;text=\"Call completed elsewhere\"");
    stage.a_moment();
    bob.is_told(&["ChangedState INCOMING -> TERMINATED", "DidFail remote Call completed elsewhere", "DidEnd remote"]);
    stage.ends();
}

/// An INVITE that has come by two ways is one (RFC 3261 §8.2.2.2).
#[test]
fn a_merged_invite_is_refused() {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    carol.calls(&bob, Some(&carol.audio(1)));
    stage.a_moment();
    carol.repeats_by_another_way(&bob);
    stage.a_moment();
    assert!(carol.saw().contains(&"482 INVITE".to_owned()));
    bob.is_told(&["ChangedState NULL -> INCOMING", "NewIncoming audio"]);
    carol.cancels();
    stage.ends();
}

/// The encryption that the account demands is part of what can be used.
#[test]
fn a_plain_offer_is_refused_where_encryption_is_demanded() {
    let stage = stage();
    let bob = stage.softphone_with("bob", |_, account| account.rtp.encryption = Encryption::SdesMandatory);
    let carol = stage.stranger("carol");
    carol.calls(&bob, Some(&carol.audio(1)));
    stage.a_moment();
    assert_eq!(carol.last_response().status(), StatusCode::NOT_ACCEPTABLE_HERE);
    stage.ends();
}

/// RFC 3262: who demands reliable responses gets one. Without a description in it the 200 need not wait for its PRACK.
#[test]
fn a_caller_may_demand_reliable_responses() {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    carol.adds(HeaderName::Require, "100rel").calls(&bob, Some(&carol.audio(1)));
    stage.passes(std::time::Duration::from_millis(15));
    bob.accepts();
    stage.a_moment();
    assert_eq!(carol.saw(), ["180 INVITE", "200 INVITE", "200 PRACK"]);
    bob.is_told(&[
        "ChangedState NULL -> INCOMING",
        "NewIncoming audio",
        "ChangedState INCOMING -> ACCEPTING",
        "GotStreamUpdate audio",
        "WillStart",
        "ChangedState ACCEPTING -> ESTABLISHED",
        "DidStart",
    ]);
    bob.hangs_up();
    stage.ends();
}
