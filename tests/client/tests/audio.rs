//! What comes of the audio stream: recording, digits, silence, failure, encryption; and messages within the session.

use std::time::Instant;

use bytes::Bytes;
use client::media::MediaEvent;
use client::session::State;
use client::settings::{DtmfMode, Settings};
use client::{Client, ClientError};
use client_world::{Person, Stage};
use sip_message::{Method, StatusCode};

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

fn talking(stage: &Stage) -> (Person, Person) {
    talking_with(stage, |_| {})
}

/// Alice, who is set up otherwise, and bob in a session. What was told so far is read.
fn talking_with(stage: &Stage, set_up: impl FnOnce(&mut Settings)) -> (Person, Person) {
    let alice = stage.softphone_with("alice", |settings, _| set_up(settings));
    let bob = stage.softphone("bob");
    alice.calls(&bob);
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    alice.told();
    bob.told();
    alice.does(|phone, _, _| phone.media.orders());
    (alice, bob)
}

fn record(alice: &Person) -> Result<(), ClientError> {
    alice.asks(|client, now, endpoint, id| client.start_recording_audio(now, endpoint, id, None))
}

fn stop(alice: &Person) -> Result<(), ClientError> {
    alice.asks(|client, now, endpoint, id| client.stop_recording_audio(now, endpoint, id))
}

const FILE: &str = "/recordings/alice@alice/20261121-015319-bob@bob-outgoing.wav";

/// "Recording: WillStart…, DidStart…; stop: WillStop…, DidStop…", in the usual place under the usual name.
#[test]
fn a_session_is_recorded() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    record(&alice).unwrap();
    assert_eq!(record(&alice), Err(ClientError::Recording("a recording runs already")));
    stage.a_moment();
    alice.is_told(&[&format!("WillStartRecordingAudio {FILE}"), &format!("DidStartRecordingAudio {FILE}")]);
    assert_eq!(alice.info().audio_recording_file_name, Some(FILE.into()));
    stop(&alice).unwrap();
    stage.a_moment();
    alice.is_told(&[&format!("WillStopRecordingAudio {FILE}"), &format!("DidStopRecordingAudio {FILE}")]);
    assert_eq!(alice.info().audio_recording_file_name, None);
    assert_eq!(stop(&alice), Err(ClientError::Recording("no recording runs")));
    bob.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// "A given name is joined to the same folder."
#[test]
fn a_recording_may_have_a_name() {
    let stage = stage();
    let (alice, _) = talking(&stage);
    let name = Some("talk.wav".into());
    alice.asks(|client, now, endpoint, id| client.start_recording_audio(now, endpoint, id, name)).unwrap();
    stage.a_moment();
    alice.is_told(&[
        "WillStartRecordingAudio /recordings/alice@alice/talk.wav",
        "DidStartRecordingAudio /recordings/alice@alice/talk.wav",
    ]);
    alice.hangs_up();
    stage.ends();
}

/// "Hold pauses and unhold resumes WITHOUT notifications", whoever holds.
#[test]
fn hold_pauses_the_recording_in_silence() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    record(&alice).unwrap();
    stage.a_moment();
    alice.told();
    let recording = |alice: &Person| alice.sees(|phone| phone.media.is_recording());
    assert!(recording(&alice));
    alice.holds();
    stage.a_moment();
    bob.holds();
    stage.a_moment();
    assert!(!recording(&alice));
    alice.unholds();
    stage.a_moment();
    assert!(!recording(&alice), "bob still holds");
    bob.unholds();
    stage.a_moment();
    assert!(recording(&alice));
    alice.is_told(&[
        "GotHoldRequest local",
        "GotHoldRequest remote",
        "GotUnholdRequest local",
        "GotUnholdRequest remote",
    ]);
    alice.hangs_up();
    stage.ends();
}

/// "Started while on hold: … the two notifications only posted, at unhold."
#[test]
fn a_recording_that_is_started_on_hold_begins_with_its_end() {
    let stage = stage();
    let (alice, _) = talking(&stage);
    alice.holds();
    stage.a_moment();
    record(&alice).unwrap();
    stage.a_moment();
    alice.is_told(&["GotHoldRequest local"]);
    alice.unholds();
    stage.a_moment();
    alice.is_told(&[
        "GotUnholdRequest local",
        &format!("WillStartRecordingAudio {FILE}"),
        &format!("DidStartRecordingAudio {FILE}"),
    ]);
    alice.hangs_up();
    stage.ends();
}

/// "End by us: on its final answer: [WillStopRecordingAudio, DidStopRecordingAudio], GotStreamUpdate…"
#[test]
fn a_recording_ends_with_its_session() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    for person in [&alice, &bob] {
        let name = Some("talk.wav".into());
        person.asks(|client, now, endpoint, id| client.start_recording_audio(now, endpoint, id, name)).unwrap();
    }
    stage.a_moment();
    alice.told();
    bob.told();
    alice.hangs_up();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "WillStopRecordingAudio /recordings/alice@alice/talk.wav",
        "DidStopRecordingAudio /recordings/alice@alice/talk.wav",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    bob.is_told(&[
        "WillStopRecordingAudio /recordings/bob@bob/talk.wav",
        "DidStopRecordingAudio /recordings/bob@bob/talk.wav",
        "GotStreamUpdate none",
        "ChangedState ESTABLISHED -> TERMINATED",
        "DidEnd remote",
    ]);
    stage.ends();
}

/// "Start error: WillStart, DidStop"; a full disk later leaves the call unharmed.
#[test]
fn a_recording_that_fails_leaves_the_call_unharmed() {
    let stage = stage();
    let (alice, _) = talking(&stage);
    alice.does(|phone, _, _| phone.media.records = false);
    record(&alice).unwrap();
    stage.a_moment();
    alice.is_told(&[
        &format!("WillStartRecordingAudio {FILE}"),
        &format!("DidStopRecordingAudio {FILE} (permission denied)"),
    ]);
    alice.does(|phone, _, _| phone.media.records = true);
    record(&alice).unwrap();
    stage.a_moment();
    alice.told();
    alice.media(|stream| MediaEvent::RecordingStopped { stream, error: Some("no space is left".into()) });
    let told = alice.told();
    assert!(told[0].starts_with("WillStopRecordingAudio") && told[1].ends_with("(no space is left)"), "{told:?}");
    assert_eq!(alice.state(), State::Established);
    alice.hangs_up();
    stage.ends();
}

fn press(alice: &Person, digit: char) -> Result<(), ClientError> {
    alice.asks(|client: &mut Client, now, endpoint, id| client.send_dtmf(now, endpoint, id, digit))
}

/// "DTMF: sent as telephone-event; tone also played locally." On receive, too.
#[test]
fn digits_are_sent_by_the_media_side() {
    let stage = stage();
    let (alice, _) = talking(&stage);
    for digit in ['a', 'E', 'x', ' '] {
        assert_eq!(press(&alice, digit), Err(ClientError::InvalidDigit(digit)));
    }
    press(&alice, '5').unwrap();
    press(&alice, '#').unwrap();
    let orders = alice.does(|phone, _, _| phone.media.orders());
    assert_eq!(orders, ["SendDigit 5", "Play Digit('5')", "SendDigit #", "Play Digit('#')"]);
    alice.media(|stream| MediaEvent::Digit { stream, digit: '7' });
    alice.is_told(&["GotDTMF 7"]);
    alice.hangs_up();
    stage.ends();
}

/// INFO with `application/dtmf-relay`, in both directions.
#[test]
fn digits_are_sent_in_info() {
    let stage = stage();
    let (alice, bob) = talking_with(&stage, |settings| settings.audio.dtmf = DtmfMode::Info);
    press(&alice, '9').unwrap();
    press(&alice, 'D').unwrap();
    stage.a_moment();
    bob.is_told(&["GotDTMF 9", "GotDTMF D"]);
    alice.hangs_up();
    stage.ends();
}

#[test]
fn digits_of_strangers_are_understood() {
    let stage = stage();
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.dials(&carol.address(), Vec::new()).unwrap();
    stage.a_moment();
    carol.responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    alice.told();
    carol.saw();
    for (content_type, body, answer) in [
        ("application/dtmf-relay", "Signal=4\nDuration=100", "200 INFO"),
        ("application/dtmf", "*", "200 INFO"),
        ("application/dtmf-relay", "Signal=11", "200 INFO"),
        ("application/media_control+xml", "<x/>", "415 INFO"),
    ] {
        carol.sends(Method::Info, Some((content_type, body)));
        stage.a_moment();
        assert_eq!(carol.saw(), [answer], "{content_type}");
    }
    alice.is_told(&["GotDTMF 4", "GotDTMF *", "GotDTMF #"]);
    alice.hangs_up();
    stage.ends();
}

/// "No audio: 5 s after the audio stream starts … The session goes on."
#[test]
fn silence_is_noticed_once() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.does(|phone, _, _| phone.media.hears = false);
    alice.calls(&bob);
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    alice.told();
    stage.seconds(4);
    alice.is_told(&[]);
    stage.seconds(60);
    alice.is_told(&["GotNoAudio"]);
    assert!(!alice.info().audio_was_received);
    alice.hangs_up();
    stage.ends();
}

/// Whoever is on hold is not missed.
#[test]
fn silence_on_hold_is_none() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.does(|phone, _, _| phone.media.hears = false);
    alice.calls(&bob);
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    alice.holds();
    stage.a_moment();
    alice.told();
    stage.seconds(60);
    alice.is_told(&[]);
    alice.unholds();
    stage.seconds(6);
    alice.is_told(&["GotUnholdRequest local", "GotNoAudio"]);
    alice.hangs_up();
    stage.ends();
}

/// `rtp.hangup_on_timeout`, and not while nothing is to be heard.
#[test]
fn a_dead_stream_ends_the_session() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    alice.holds();
    stage.a_moment();
    alice.media(|stream| MediaEvent::TimedOut { stream });
    alice.unholds();
    stage.a_moment();
    alice.is_told(&["GotHoldRequest local", "GotUnholdRequest local"]);
    bob.told();
    alice.media(|stream| MediaEvent::TimedOut { stream });
    stage.a_moment();
    alice.is_told(&[
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local (RTP timeout)",
    ]);
    bob.is_told(&["GotStreamUpdate none", "ChangedState ESTABLISHED -> TERMINATED", "DidEnd remote (RTP timeout)"]);
    stage.ends();
}

#[test]
fn a_dead_stream_need_not_end_the_session() {
    let stage = stage();
    let (alice, _) = talking_with(&stage, |settings| settings.rtp.hangup_on_timeout = false);
    alice.media(|stream| MediaEvent::TimedOut { stream });
    stage.a_moment();
    alice.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// The only stream fails while the session is up.
#[test]
fn the_session_ends_with_its_last_stream() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    alice.media(|stream| MediaEvent::Failed { stream, reason: "the device is gone".into() });
    stage.a_moment();
    assert_eq!(alice.told().last().map(String::as_str), Some("DidEnd local (the device is gone)"));
    assert_eq!(bob.state(), State::Terminated);
    stage.ends();
}

#[test]
fn encryption_is_told_and_shown() {
    let stage = stage();
    let (alice, _) = talking(&stage);
    assert!(!alice.info().audio_srtp_active);
    alice.media(|stream| MediaEvent::Encryption { stream, how: Some("SDES AES_CM_128_HMAC_SHA1_80".into()) });
    alice.is_told(&["DidChangeEncryption SDES AES_CM_128_HMAC_SHA1_80"]);
    assert!(alice.info().audio_srtp_active);
    alice.hangs_up();
    stage.ends();
}

/// Muting outlives the streams that it was said of.
#[test]
fn muting_is_ordered_and_remembered() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    alice.asks(|client, now, endpoint, id| client.set_muted(now, endpoint, id, true)).unwrap();
    stage.a_moment();
    let orders = alice.does(|phone, _, _| phone.media.orders());
    assert!(orders.contains(&"Mute true".to_owned()), "{orders:?}");
    assert!(alice.info().muted);
    alice.hangs_up();
    stage.ends();
}

fn say(alice: &Person, text: &'static str) -> std::sync::Arc<str> {
    let said = alice.asks(|client, now, endpoint, id| {
        client.send_message(now, endpoint, id, Bytes::from_static(text.as_bytes()), "text/plain")
    });
    said.expect("something can be said")
}

/// MESSAGE within the dialog: "every message ends in exactly one of Did or DidNot deliver".
#[test]
fn messages_are_delivered_within_the_session() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    let (one, two) = (say(&alice, "hello"), say(&alice, "again"));
    assert_ne!(one, two);
    stage.a_moment();
    alice.is_told(&["DidDeliverMessage 200 OK", "DidDeliverMessage 200 OK"]);
    bob.is_told(&["GotMessage text/plain hello", "GotMessage text/plain again"]);
    alice.hangs_up();
    stage.ends();
}

/// "silence after the timeout is DidNot", and so is the end of the session.
#[test]
fn messages_that_are_not_answered_are_not_delivered() {
    let stage = stage();
    let (alice, bob) = talking(&stage);
    stage.world_mut().set_down(bob.node(), true);
    say(&alice, "hello");
    stage.seconds(33);
    alice.is_told(&["DidNotDeliverMessage 408 Request Timeout"]);
    stage.world_mut().set_down(bob.node(), false);
    stage.loses(alice.node(), bob.node(), 1);
    say(&alice, "anybody there?");
    alice.hangs_up();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "DidNotDeliverMessage 0 Session ended",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    stage.ends();
}
