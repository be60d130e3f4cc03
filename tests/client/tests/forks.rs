//! One INVITE, several answers (RFC 3261 §13.2.2.4): the first 2xx wins, of all others leave is taken.

use std::time::Instant;

use client::session::State;
use client_world::Stage;
use sip_message::StatusCode;

#[test]
fn the_first_answer_wins_and_leave_is_taken_of_the_others() {
    let stage = Stage::new(1, Instant::now());
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.dials(&carol.address(), Vec::new()).unwrap();
    stage.a_moment();
    alice.told();
    carol.saw();
    carol.responds_as("one", StatusCode::RINGING, None);
    carol.responds_as("two", StatusCode::SESSION_PROGRESS, Some(&carol.sdp(1, "m=audio 4100 RTP/AVP 0")));
    stage.a_moment();
    assert!(alice.sees(|phone| phone.media.is_early()));
    carol.responds_as("one", StatusCode::OK, Some(&carol.audio(1)));
    carol.responds_as("two", StatusCode::OK, Some(&carol.sdp(1, "m=audio 4100 RTP/AVP 0")));
    carol.responds_as("three", StatusCode::OK, Some(&carol.sdp(1, "m=audio 4200 RTP/AVP 0")));
    stage.seconds(1);
    alice.is_told(&[
        "GotRingIndication",
        "GotProvisionalResponse 180 Ringing",
        "GotProvisionalResponse 183 Session Progress",
        "WillStart",
        "GotStreamUpdate audio",
        "ChangedState CALLING -> ESTABLISHED",
        "DidStart",
    ]);
    assert_eq!(alice.info().audio_remote_rtp_port_sdp, Some(4000));
    let saw = carol.saw();
    let count = |what: &str| saw.iter().filter(|seen| *seen == what).count();
    assert_eq!((count("ACK"), count("BYE")), (3, 2), "{saw:?}");
    assert_eq!(alice.state(), State::Established);
    alice.hangs_up();
    stage.seconds(70);
    assert_eq!(alice.state(), State::Terminated);
    assert!(alice.sees(|phone| phone.client.sessions().is_empty()));
}

/// A 2xx that comes after the CANCEL, from whichever fork, is taken leave of in silence.
#[test]
fn answers_after_the_cancel_are_taken_leave_of() {
    let stage = Stage::new(1, Instant::now());
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.dials(&carol.address(), Vec::new()).unwrap();
    stage.a_moment();
    carol.responds_as("one", StatusCode::RINGING, None);
    stage.a_moment();
    alice.told();
    carol.saw();
    carol.responds_as("one", StatusCode::OK, Some(&carol.audio(1)));
    carol.responds_as("two", StatusCode::OK, Some(&carol.audio(1)));
    alice.hangs_up();
    stage.seconds(1);
    alice.is_told(&[
        "ChangedState CALLING -> TERMINATING",
        "WillEnd",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    let saw = carol.saw();
    let count = |what: &str| saw.iter().filter(|seen| *seen == what).count();
    assert_eq!((count("ACK"), count("BYE")), (2, 2), "{saw:?}");
}
