//! Screens to be looked at in tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::media::AudioStatistics;
use client::session::{CallDirection, SessionId, State};
use sip_message::Transport;

use super::shown::{Shown, ShownCall};
use super::text::Clean;

fn at(seconds: u64, millis: u64) -> SystemTime {
    // 2026-11-21T12:03:00Z
    UNIX_EPOCH + Duration::from_millis((1_795_262_580 + seconds) * 1_000 + millis)
}

/// An encrypted call that goes well.
pub(super) fn in_call() -> Shown {
    let call = ShownCall {
        id: Some(SessionId(1)),
        state: State::Established,
        direction: Some(CallDirection::Outgoing),
        lasts: Some(Duration::from_secs(83)),
        peer_name: "Echo".into(),
        peer: "sip:echo@127.0.0.1".into(),
        local: "sip:alice@example.com".into(),
        user_agent: Some("Cordboard/0.1.0".into()),
        call_id: Some("843c1d2e5f6a4b7c9d0e1f2a3b4c5d6e".into()),
        route: Some("udp:127.0.0.1:5060".into()),
        codec: Some(("opus".into(), 48_000)),
        encryption: Some("DTLS AEAD_AES_128_GCM".into()),
        digits_sent: "12#".into(),
        digits_received: "9".into(),
        rtp_local: "127.0.0.1:50000".parse().ok(),
        rtp_remote: "127.0.0.1:40004".parse().ok(),
        rtp_heard: "127.0.0.1:40002".parse().ok(),
        statistics: Some(AudioStatistics {
            sent: 4_152,
            received: 4_147,
            lost: 9,
            loss: 0.002,
            remote_loss: Some(0.0),
            jitter: Duration::from_micros(3_100),
            round_trip: Some(Duration::from_micros(12_400)),
            buffered: Duration::from_millis(40),
            mos: 4.38,
            level_in: -18.0,
            level_out: -31.0,
            codec: None,
        }),
        ..ShownCall::default()
    };
    let log = [
        (4, 120, "Calling sip:echo@127.0.0.1"),
        (4, 161, "Ringing"),
        (6, 204, "Encrypted: DTLS AEAD_AES_128_GCM"),
        (6, 207, "Audio: opus at 48000 Hz"),
        (6, 208, "Connected"),
        (21, 933, "Recording to /home/alice/calls/20261121-120321-echo.wav"),
        (41, 15, "Recorded /home/alice/calls/20261121-120321-echo.wav"),
        (53, 402, "Digit 9"),
    ];
    Shown {
        account: "alice@example.com".to_owned(),
        call: Some(call),
        log: log.map(|(seconds, millis, said)| (at(seconds, millis), Clean::new(said))).into(),
        ..Shown::default()
    }
}

/// The call of the README's second step, somewhat later: the echo user agent neither encrypts nor reports.
pub(super) fn echo_call() -> Shown {
    let mut shown = in_call();
    let log = [
        (4, 120, "Calling sip:echo@127.0.0.1"),
        (4, 126, "Audio: opus at 48000 Hz"),
        (4, 126, "Connected"),
        (4, 127, "Not encrypted"),
        (21, 933, "Recording to /home/alice/calls/20261121-120321-echo.wav"),
        (41, 15, "Recorded /home/alice/calls/20261121-120321-echo.wav"),
        (53, 402, "Digit 9"),
    ];
    shown.account = "bonjour@local".to_owned();
    shown.log = log.map(|(seconds, millis, said)| (at(seconds, millis), Clean::new(said))).into();
    if let Some(call) = &mut shown.call {
        call.peer_name = Clean::default();
        (call.encryption, call.user_agent) = (None, None);
        (call.digits_sent, call.digits_received) = ("9".into(), "9".into());
        if let Some(statistics) = &mut call.statistics {
            (statistics.remote_loss, statistics.round_trip) = (None, None);
            (statistics.lost, statistics.loss) = (0, 0.0);
        }
    }
    shown
}

/// Nobody calls.
pub(super) fn waiting() -> Shown {
    let addr = "127.0.0.1:5060".parse().unwrap();
    Shown {
        account: "alice@example.com".to_owned(),
        ..Shown::waiting(&[(Transport::Udp, addr), (Transport::Tcp, addr)])
    }
}

/// A call with somebody who writes to the terminal wherever he can.
pub(super) fn hostile() -> Shown {
    let order = "\x1b[2J\x1b]0;owned\x07\u{9b}2J\x1b[31337m\u{202e}\r\n\u{200b}\u{85}\x00\x7f";
    let text =
        || Clean::new(&format!("{order}{}{}", "e\u{301}".repeat(300), "日本\u{1100}\u{1100}👩\u{200d}👩".repeat(50)));
    let mut shown = in_call();
    let call = shown.call.as_mut().unwrap();
    (call.peer_name, call.peer, call.local) = (text(), text(), text());
    (call.user_agent, call.call_id, call.route) = (Some(text()), Some(text()), Some(text()));
    (call.recording, call.encryption, call.codec) = (Some(text()), Some(text()), Some((text(), u32::MAX)));
    (call.digits_sent, call.digits_received) = (text(), text());
    call.statistics = Some(AudioStatistics {
        sent: u64::MAX,
        received: u64::MAX,
        lost: u64::MAX,
        loss: f32::INFINITY,
        remote_loss: Some(f32::NAN),
        jitter: Duration::MAX,
        round_trip: Some(Duration::MAX),
        buffered: Duration::MAX,
        mos: f32::MAX,
        level_in: f32::MAX,
        level_out: f32::NAN,
        codec: None,
    });
    call.lasts = Some(Duration::MAX);
    shown.log = (0..100).map(|_| (UNIX_EPOCH, text())).collect();
    shown.account = order.to_owned();
    shown.others = vec![(order.repeat(9), State::Established), ("x".repeat(999), State::Incoming)];
    shown.question = Some(order.repeat(30));
    shown
}
