//! Two engines with real sockets over loopback.

#![allow(clippy::unwrap_used, reason = "an unwrap of a test is an assertion")]

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use media::driver::{
    MediaCommand, MediaEngine, MediaError, MediaEvent, MediaHandle, MediaSettings, SessionKey, Sound, StreamKey, Tap,
    Tapped, TappedKeys, Way,
};
use media::level::Dbfs;
use media::pcm::SampleRate;
use media::signal;
use media::stream::{AudioStatistics, Encryption, StreamPlan};
use sdp::{Agreement, Capabilities, Input, OfferAnswer, Origin, Output, StreamCapability};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const LONG_ENOUGH: Duration = Duration::from_secs(10);

struct Phone {
    engine: MediaEngine,
    events: Receiver<MediaEvent>,
    session: OfferAnswer,
    capabilities: Option<Capabilities>,
}

impl Phone {
    fn new(rate: SampleRate, ports: (u16, u16)) -> Phone {
        Phone::with(MediaSettings { rate, ports, ..MediaSettings::default() })
    }

    fn with(settings: MediaSettings) -> Phone {
        let (tell, events) = channel();
        let engine = MediaEngine::start(settings, move |event| {
            // The test may have ended.
            let _ = tell.send(event);
        });
        Phone { engine: engine.unwrap(), events, session: OfferAnswer::new(), capabilities: None }
    }

    fn handle(&self) -> MediaHandle {
        self.engine.handle()
    }

    fn order(&self, command: MediaCommand) {
        self.handle().send(command).unwrap();
    }

    /// Waits for the event that the function finds something in.
    fn wait_for<T>(&self, found: impl Fn(&MediaEvent) -> Option<T>) -> T {
        let until = Instant::now() + LONG_ENOUGH;
        loop {
            let event = self.events.recv_timeout(until.saturating_duration_since(Instant::now())).expect("the event");
            if let Some(found) = found(&event) {
                return found;
            }
        }
    }

    fn prepare(&mut self, key: u64, plan: StreamPlan) -> StreamCapability {
        self.order(MediaCommand::Prepare { stream: StreamKey(key), session: SessionKey(key), plan: Box::new(plan) });
        let capability = self.wait_for(|event| match event {
            MediaEvent::Prepared { stream, capability, .. } if stream.0 == key => Some(capability.clone()),
            MediaEvent::Failed { reason, .. } => panic!("{reason}"),
            _ => None,
        });
        let capabilities = Capabilities::new(Origin::new(key, LOOPBACK), LOOPBACK).with(*capability.clone());
        self.capabilities = Some(capabilities);
        *capability
    }

    fn apply(&self, key: u64) {
        let Agreement { local, remote, .. } = self.session.agreement().unwrap();
        let agreement = Box::new(self.session.agreement().unwrap().streams().remove(0));
        self.order(MediaCommand::Apply {
            stream: StreamKey(key),
            agreement,
            local: Box::new(local.media[0].clone()),
            remote: Arc::new(remote.clone()),
            early: false,
        });
    }
}

/// Sets a call up between stream 1 of each.
fn call(alice: &mut Phone, bob: &mut Phone, plan_of_alice: StreamPlan, plan_of_bob: StreamPlan) {
    call_by_key(alice, bob, 1, plan_of_alice, plan_of_bob);
}

fn call_by_key(alice: &mut Phone, bob: &mut Phone, key: u64, plan_of_alice: StreamPlan, plan_of_bob: StreamPlan) {
    alice.prepare(key, plan_of_alice);
    let offer = alice.capabilities.as_ref().unwrap().offer_in(&alice.session);
    let Output::SendOffer(offer) = alice.session.handle(Input::LocalOffer(offer)).unwrap() else { panic!() };
    bob.prepare(key, StreamPlan { offer: Some((Arc::new(offer.clone()), 0)), ..plan_of_bob });
    bob.session.handle(Input::RemoteOffer(offer.clone())).unwrap();
    let answer = bob.capabilities.as_ref().unwrap().answer_in(&bob.session, &offer).unwrap();
    let Output::SendAnswer(answer) = bob.session.handle(Input::LocalAnswer(answer)).unwrap() else { panic!() };
    bob.apply(key);
    alice.session.handle(Input::RemoteAnswer(answer)).unwrap();
    alice.apply(key);
}

fn plan(codec: &str, input: &str) -> StreamPlan {
    let mut plan = StreamPlan::new(LOOPBACK);
    plan.audio.codecs = vec![codec.to_owned()];
    plan.audio.input = input.to_owned();
    plan.encryption = Encryption::Disabled;
    plan
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("cordboard-driver-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The samples of a recording and its rate.
fn recorded(path: &std::path::Path) -> (Vec<i16>, SampleRate) {
    let mut reader = hound::WavReader::open(path).unwrap();
    let rate = SampleRate::from_hertz(reader.spec().sample_rate).unwrap();
    (reader.samples::<i16>().map(Result::unwrap).collect(), rate)
}

#[test]
fn a_tone_is_recorded_at_the_far_end_as_loud_as_it_was() {
    let mut alice = Phone::new(SampleRate::Narrow, (42_000, 42_098));
    let mut bob = Phone::new(SampleRate::Narrow, (42_100, 42_198));
    let folder = folder("tone");
    call(&mut alice, &mut bob, plan("PCMA", "tone:440"), plan("PCMA", "silence"));
    bob.wait_for(|event| matches!(event, MediaEvent::Heard { .. }).then_some(()));
    bob.order(MediaCommand::StartRecording { stream: StreamKey(1), file_name: folder.join("tone.wav") });
    bob.wait_for(|event| matches!(event, MediaEvent::RecordingStarted { .. }).then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    bob.order(MediaCommand::StopRecording { stream: StreamKey(1) });
    let error = bob.wait_for(|event| match event {
        MediaEvent::RecordingStopped { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert_eq!(error, None);

    let (audio, rate) = recorded(&folder.join("tone.wav"));
    let length = rate.duration_of(audio.len());
    assert!((1.9..2.5).contains(&length.as_secs_f64()), "{length:?}");
    let settled = &audio[rate.samples_per_tick() * 10..];
    assert!((signal::dominant_frequency(settled, rate) - 440.0).abs() < 1.0);
    let level = signal::level_at(settled, rate, 440.0);
    assert!((level.0 + 16.0).abs() < 1.0, "{level}");
    let loud: usize = signal::loud_ranges(settled, rate, Dbfs(-25.0)).iter().map(|range| range.len()).sum();
    assert!(loud * 100 >= settled.len() * 95, "{loud} of {} samples", settled.len());

    let statistics = bob.handle().statistics(StreamKey(1)).unwrap();
    assert!(statistics.received > 80 && statistics.sent > 80, "{statistics:?}");
    assert!(statistics.level_in > -20.0, "{statistics:?}");
    assert_eq!(statistics.codec, Some(("PCMA".into(), 8_000)));
    for phone in [alice, bob] {
        phone.order(MediaCommand::Close { stream: StreamKey(1) });
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn statistics(phone: &Phone, key: u64) -> AudioStatistics {
    phone.handle().statistics(StreamKey(key)).unwrap()
}

/// Waits until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + LONG_ENOUGH;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn record(phone: &Phone, key: u64, path: PathBuf, span: Duration) -> (Vec<i16>, SampleRate) {
    phone.order(MediaCommand::StartRecording { stream: StreamKey(key), file_name: path.clone() });
    phone.wait_for(|event| matches!(event, MediaEvent::RecordingStarted { .. }).then_some(()));
    std::thread::sleep(span);
    phone.order(MediaCommand::StopRecording { stream: StreamKey(key) });
    let error = phone.wait_for(|event| match event {
        MediaEvent::RecordingStopped { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert_eq!(error, None);
    recorded(&path)
}

#[test]
fn what_is_mirrored_comes_back_through_the_bridge() {
    for (codec, rate) in [("PCMU", SampleRate::Narrow), ("opus", SampleRate::Wide)] {
        let mut alice = Phone::new(rate, (42_200, 42_298));
        let mut bob = Phone::new(rate, (42_300, 42_398));
        let folder = folder(&format!("mirror-{codec}"));
        call(&mut alice, &mut bob, plan(codec, "tone:440"), plan(codec, "silence"));
        bob.order(MediaCommand::Mirror { stream: StreamKey(1), mirrored: true });
        until("the tone is back", || statistics(&alice, 1).level_in > -20.0);
        // What is recorded is both sides: the tone as it was said and as it came back, both of 440 Hz.
        let (audio, rate) = record(&alice, 1, folder.join("mirror.wav"), Duration::from_millis(700));
        assert!((signal::dominant_frequency(&audio, rate) - 440.0).abs() < 2.0, "{codec}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_file_is_played_to_the_peer_and_its_end_is_told() {
    let rate = SampleRate::Wide;
    let mut alice = Phone::new(rate, (42_400, 42_498));
    let mut bob = Phone::new(rate, (42_500, 42_598));
    let folder = folder("play");
    let file = folder.join("played.wav");
    write_tone(&file, 16_000, 800.0, Duration::from_secs(1));
    call(&mut alice, &mut bob, plan("G722", "tone:440"), plan("G722", "silence"));
    until("Alice's device is heard", || statistics(&bob, 1).level_in > -20.0);

    let play = |file_name: PathBuf| MediaCommand::PlayFile { stream: StreamKey(1), file_name, times: 1, volume: 100 };
    alice.order(play(file));
    std::thread::sleep(Duration::from_millis(250));
    let (audio, rate) = record(&bob, 1, folder.join("heard.wav"), Duration::from_millis(400));
    assert!((signal::dominant_frequency(&audio, rate) - 800.0).abs() < 3.0, "the file, not the device");
    let played = |event: &MediaEvent| match event {
        MediaEvent::Played { error, .. } => Some(error.clone()),
        _ => None,
    };
    assert_eq!(alice.wait_for(played), None);
    std::thread::sleep(Duration::from_millis(250));
    let (audio, rate) = record(&bob, 1, folder.join("after.wav"), Duration::from_millis(400));
    assert!((signal::dominant_frequency(&audio, rate) - 440.0).abs() < 3.0, "the device again");

    alice.order(play(folder.join("missing.wav")));
    assert!(alice.wait_for(played).is_some_and(|error| error.contains("missing.wav")));
    std::fs::remove_dir_all(folder).unwrap();
}

fn write_tone(path: &std::path::Path, hertz: u32, tone: f64, length: Duration) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: hertz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in 0..(length.as_secs_f64() * f64::from(hertz)) as u32 {
        let phase = f64::from(sample) * tone * std::f64::consts::TAU / f64::from(hertz);
        writer.write_sample((phase.sin() * 8_000.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

#[test]
fn three_calls_connected_are_a_conference_and_nobody_hears_himself() {
    let rate = SampleRate::Narrow;
    let mut centre = Phone::new(rate, (42_600, 42_698));
    let tones = [500.0, 800.0, 1_300.0];
    let mut phones: Vec<Phone> = (0..3).map(|n| Phone::new(rate, (42_700 + n * 100, 42_798 + n * 100))).collect();
    let folder = folder("conference");
    let heard = |key: u64| folder.join(format!("{key}.wav"));
    for (key, (phone, tone)) in (1..).zip(phones.iter_mut().zip(tones)) {
        centre.session = OfferAnswer::new();
        let mut of_phone = plan("PCMA", &format!("tone:{tone}"));
        of_phone.audio.output = format!("file:{}", heard(key).display());
        call_by_key(phone, &mut centre, key, of_phone, plan("PCMA", "silence"));
    }
    for (one, other) in [(1, 2), (2, 3), (1, 3)] {
        centre.order(MediaCommand::Connect { one: StreamKey(one), other: StreamKey(other) });
    }
    std::thread::sleep(Duration::from_millis(1_500));
    // Then two of them alone.
    centre.order(MediaCommand::Disconnect { one: StreamKey(1), other: StreamKey(3) });
    centre.order(MediaCommand::Disconnect { one: StreamKey(2), other: StreamKey(3) });
    std::thread::sleep(Duration::from_millis(1_500));
    drop(phones);
    let present = |audio: &[i16], tone| signal::level_at(audio, rate, tone).0 > -18.0;
    for own in 1..=3u64 {
        let (audio, _) = recorded(&heard(own));
        let (together, later) = (&audio[4_000..10_000], &audio[audio.len() - 6_000..]);
        for (other, tone) in (1u64..).zip(tones) {
            assert_eq!(present(together, tone), other != own, "{other} at {own}");
            assert_eq!(present(later, tone), other != own && other != 3 && own != 3, "{other} at {own}, later");
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_encrypted_call_goes_between_engines() {
    for encryption in [Encryption::SdesMandatory, Encryption::DtlsMandatory] {
        let mut alice = Phone::new(SampleRate::Narrow, (43_000, 43_098));
        let mut bob = Phone::new(SampleRate::Narrow, (43_100, 43_198));
        let encrypted = |input| StreamPlan { encryption, ..plan("PCMA", input) };
        call(&mut alice, &mut bob, encrypted("tone:440"), encrypted("silence"));
        let how = bob.wait_for(|event| match event {
            MediaEvent::Encryption { how, .. } => Some(how.clone()),
            _ => None,
        });
        assert!(how.is_some(), "{encryption:?}");
        until("the tone is heard", || statistics(&bob, 1).level_in > -20.0);
    }
}

#[test]
fn digits_pressed_at_one_engine_are_told_at_the_other() {
    let mut alice = Phone::new(SampleRate::Narrow, (43_200, 43_298));
    let mut bob = Phone::new(SampleRate::Narrow, (43_300, 43_398));
    call(&mut alice, &mut bob, plan("PCMA", "silence"), plan("PCMA", "silence"));
    for digit in "4#2".chars() {
        alice.order(MediaCommand::SendDigit { stream: StreamKey(1), digit, duration: Duration::from_millis(100) });
    }
    for expected in "4#2".chars() {
        let digit = bob.wait_for(|event| match event {
            MediaEvent::Digit { digit, .. } => Some(*digit),
            _ => None,
        });
        assert_eq!(digit, expected);
    }
}

#[test]
fn a_recording_that_cannot_be_made_is_told_and_the_call_goes_on() {
    let mut alice = Phone::new(SampleRate::Narrow, (43_400, 43_498));
    let mut bob = Phone::new(SampleRate::Narrow, (43_500, 43_598));
    call(&mut alice, &mut bob, plan("PCMA", "tone:440"), plan("PCMA", "silence"));
    bob.order(MediaCommand::StartRecording { stream: StreamKey(1), file_name: "/proc/no/such.wav".into() });
    let error = bob.wait_for(|event| match event {
        MediaEvent::RecordingStopped { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert!(error.is_some());
    until("the tone is heard", || statistics(&bob, 1).level_in > -20.0);
}

#[test]
fn a_device_that_cannot_be_opened_is_told_and_the_call_goes_on_in_silence() {
    let mut alice = Phone::new(SampleRate::Narrow, (43_600, 43_698));
    let mut bob = Phone::new(SampleRate::Narrow, (43_700, 43_798));
    call(&mut alice, &mut bob, plan("PCMA", "file:/no/such/file.wav"), plan("PCMA", "silence"));
    let device = alice.wait_for(|event| match event {
        MediaEvent::DeviceFailed { stream, device, .. } => Some((*stream, device.to_string())),
        _ => None,
    });
    assert_eq!(device, (Some(StreamKey(1)), "file:/no/such/file.wav".to_owned()));
    bob.wait_for(|event| matches!(event, MediaEvent::Heard { .. }).then_some(()));
    alice.order(MediaCommand::SetDevices { stream: StreamKey(1), input: "tone:440".into(), output: "null".into() });
    until("another device is heard", || statistics(&bob, 1).level_in > -20.0);
}

#[test]
fn two_calls_share_one_file_as_their_speaker() {
    let rate = SampleRate::Narrow;
    let mut alice = Phone::new(rate, (43_800, 43_898));
    let mut bob = Phone::new(rate, (43_900, 43_998));
    let folder = folder("speaker");
    let speaker = folder.join("speaker.wav");
    for (key, tone) in [(1, 500.0), (2, 1_200.0)] {
        alice.session = OfferAnswer::new();
        bob.session = OfferAnswer::new();
        let mut listening = plan("PCMA", "silence");
        listening.audio.output = format!("file:{}", speaker.display());
        call_by_key(&mut alice, &mut bob, key, plan("PCMA", &format!("tone:{tone}")), listening);
    }
    until("both are heard", || statistics(&bob, 1).level_in > -20.0 && statistics(&bob, 2).level_in > -20.0);
    std::thread::sleep(Duration::from_secs(1));
    bob.order(MediaCommand::Close { stream: StreamKey(1) });
    bob.order(MediaCommand::Close { stream: StreamKey(2) });
    drop(bob);
    let (audio, rate) = recorded(&speaker);
    let last = &audio[audio.len() - rate.samples_per_tick() * 25..];
    for tone in [500.0, 1_200.0] {
        let level = signal::level_at(last, rate, tone);
        assert!((level.0 + 16.0).abs() < 1.0, "{level} of {tone}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_closed_stream_frees_its_ports_and_tells_nothing_more() {
    let mut phone = Phone::new(SampleRate::Narrow, (44_000, 44_001));
    for key in 1..=20 {
        let port = phone.prepare(key, plan("PCMA", "silence")).port;
        assert_eq!(port, 44_000);
        phone.order(MediaCommand::Close { stream: StreamKey(key) });
    }
    phone.prepare(21, plan("PCMA", "silence"));
    let one_more = Box::new(plan("PCMA", "silence"));
    phone.order(MediaCommand::Prepare { stream: StreamKey(22), session: SessionKey(22), plan: one_more });
    let failed = phone.wait_for(|event| match event {
        MediaEvent::Failed { stream, reason } => Some((stream.0, reason.to_string())),
        _ => None,
    });
    assert!(failed.0 == 22 && failed.1.contains("ports"), "{failed:?}");
    assert!(phone.handle().statistics(StreamKey(20)).is_none());
}

#[test]
fn an_engine_that_has_ended_takes_no_orders() {
    let phone = Phone::new(SampleRate::Narrow, (44_100, 44_198));
    let handle = phone.handle();
    drop(phone);
    let refused = handle.send(MediaCommand::Close { stream: StreamKey(1) });
    assert!(matches!(refused, Err(MediaError::Ended)));
}

#[test]
fn a_recording_is_whole_when_its_engine_ends() {
    let mut alice = Phone::new(SampleRate::Narrow, (44_200, 44_298));
    let mut bob = Phone::new(SampleRate::Narrow, (44_300, 44_398));
    let folder = folder("whole");
    call(&mut alice, &mut bob, plan("PCMA", "tone:440"), plan("PCMA", "silence"));
    bob.order(MediaCommand::StartRecording { stream: StreamKey(1), file_name: folder.join("whole.wav") });
    bob.wait_for(|event| matches!(event, MediaEvent::RecordingStarted { .. }).then_some(()));
    std::thread::sleep(Duration::from_millis(800));
    drop(bob);
    let (audio, rate) = recorded(&folder.join("whole.wav"));
    let length = rate.duration_of(audio.len());
    assert!((0.7..1.2).contains(&length.as_secs_f64()), "{length:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[derive(Debug, Default)]
struct Watcher {
    packets: Mutex<Vec<(Way, usize)>>,
    keys: Mutex<Vec<(Way, String, usize)>>,
}

impl Tap for Watcher {
    fn packet(&self, tapped: Tapped<'_>) {
        self.packets.lock().unwrap().push((tapped.way, tapped.octets.len()));
    }

    fn keys(&self, keys: TappedKeys<'_>) {
        self.keys.lock().unwrap().push((keys.way, keys.suite.to_owned(), keys.key_and_salt.len()));
    }
}

#[test]
fn a_tap_sees_packets_as_they_are_on_the_wire_and_the_keys_for_them() {
    let watcher = Arc::new(Watcher::default());
    let mut alice = Phone::with(MediaSettings {
        rate: SampleRate::Narrow,
        ports: (44_400, 44_498),
        tap: Some(watcher.clone()),
        ..MediaSettings::default()
    });
    let mut bob = Phone::new(SampleRate::Narrow, (44_500, 44_598));
    let encrypted = || StreamPlan { encryption: Encryption::SdesMandatory, ..plan("PCMA", "silence") };
    call(&mut alice, &mut bob, encrypted(), encrypted());
    let seen = |way| watcher.packets.lock().unwrap().iter().filter(|(w, size)| *w == way && *size == 182).count();
    until("packets are seen", || seen(Way::Sent) > 10 && seen(Way::Received) > 10);
    let suite = || "AES_CM_128_HMAC_SHA1_80".to_owned();
    assert_eq!(*watcher.keys.lock().unwrap(), [(Way::Sent, suite(), 30), (Way::Received, suite(), 30)]);
}

#[test]
fn rings_and_beeps_go_to_the_alert_device() {
    let folder = folder("alert");
    let alert = folder.join("alert.wav");
    let phone = Phone::with(MediaSettings {
        rate: SampleRate::Narrow,
        ports: (44_600, 44_698),
        alert: format!("file:{}", alert.display()),
        ..MediaSettings::default()
    });
    let play = |sound| phone.order(MediaCommand::Play { session: SessionKey(1), sound });
    play(Sound::Ringback);
    std::thread::sleep(Duration::from_millis(600));
    play(Sound::Digit('5'));
    std::thread::sleep(Duration::from_millis(300));
    play(Sound::Silence);
    drop(phone);
    let (audio, rate) = recorded(&alert);
    assert!(signal::level_at(&audio[..rate.samples_per_tick() * 20], rate, 425.0).0 > -30.0);
    let loudest_of_digit = audio
        .chunks(rate.samples_per_tick() * 3)
        .map(|piece| signal::level_at(piece, rate, 1_336.0).0)
        .fold(f64::NEG_INFINITY, f64::max);
    assert!(loudest_of_digit > -30.0, "{loudest_of_digit}");
    std::fs::remove_dir_all(folder).unwrap();
}
