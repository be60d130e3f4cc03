//! Hostile descriptions: refused with the right status, or harmless.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::{Phone, description, files};
use sdp::{
    Codec, Crypto, Limits, ParseErrorKind, Security, SessionDescription, StreamCapability, StreamRefusal,
    TypedAttribute,
};
use std::time::{Duration, Instant};

/// The body of the attack message of that name.
fn attack(name: &str) -> Option<Vec<u8>> {
    let file = format!("{name}.bin");
    let message = files("attacks", ".bin").into_iter().find(|(n, _)| *n == file);
    let message = message?.1;
    let head = message.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(message[head + 4..].to_vec())
}

fn phone() -> Phone {
    Phone::audio(2, &[Codec::pcmu()])
}

#[test]
fn attributes_without_name_or_value_are_carried_and_otherwise_ignored() {
    let Some(body) = attack("sdp-empty-a") else {
        return;
    };
    let offer = SessionDescription::parse(&body).unwrap();
    assert_eq!(offer.to_string().as_bytes(), body);
    assert_eq!(offer.media[0].codecs(), [Codec::pcmu()]);
    assert!(phone().answer(&offer).is_ok());
}

#[test]
fn a_hundred_and_twenty_eight_formats_are_refused_with_488() {
    let Some(body) = attack("sdp-128-fmts-x-fmtp") else {
        return;
    };
    let error = SessionDescription::parse(&body).unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::TooManyFormats { limit: 64 });
    assert_eq!(error.status(), 488);
}

#[test]
fn negotiating_more_formats_than_we_allow_would_still_be_quick() {
    let Some(body) = attack("sdp-128-fmts-x-fmtp") else {
        return;
    };
    let limits = Limits { formats: 1000, ..Limits::default() };
    let offer = SessionDescription::parse_within(&body, &limits).unwrap();
    let began = Instant::now();
    assert!(phone().answer(&offer).is_ok());
    assert!(began.elapsed() < Duration::from_millis(100));
}

#[test]
fn an_empty_key_refuses_the_stream() {
    let Some(body) = attack("sdp-crypto-zero") else {
        return;
    };
    let offer = SessionDescription::parse(&body).unwrap();
    let mut phone = phone();
    let key = "1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";
    phone.wishes.streams = vec![
        StreamCapability::audio(49170, &[Codec::pcmu()])
            .secured(Security::Sdes { keys: vec![Crypto::parse(key).unwrap()], accept_plain: true }),
    ];
    let refusal = phone.wishes.answer(&offer).unwrap_err();
    assert_eq!(refusal.0, [StreamRefusal::Security]);
}

#[test]
fn media_is_not_sent_to_a_broadcast_address() {
    let Some(body) = attack("sdp-c-loopback-own") else {
        return;
    };
    let offer = SessionDescription::parse(&body).unwrap();
    let refusal = phone().wishes.answer(&offer).unwrap_err();
    assert_eq!(refusal.0, [StreamRefusal::Destination]);
}

#[test]
fn media_is_not_sent_to_loopback_or_a_group_unless_configured() {
    for (address, loopback, multicast) in [("127.0.0.1", true, false), ("224.2.1.1/127", false, true)] {
        let connection = format!("c=IN IP4 {address}");
        let lines = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", &connection, "t=0 0"];
        let offer = description(&[&lines[..], &["m=audio 4000 RTP/AVP 0"]].concat());
        let mut phone = phone();
        let refusal = phone.wishes.answer(&offer).unwrap_err();
        assert_eq!(refusal.0, [StreamRefusal::Destination], "{address}");
        phone.wishes.destinations = sdp::DestinationPolicy { loopback, multicast };
        assert!(phone.answer(&offer).is_ok(), "{address}");
    }
}

#[test]
fn each_limit_refuses_with_488_before_it_costs_memory() {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";
    let repeated = |line: &str, times| format!("{head}{}", line.repeat(times));
    let kind = |text: String| {
        let error = SessionDescription::parse(text).unwrap_err();
        assert_eq!(error.status(), 488);
        error.kind
    };
    let media = "m=audio 4000 RTP/AVP 0\r\n";
    assert!(SessionDescription::parse(repeated(media, 32)).is_ok());
    let too_many = ParseErrorKind::TooManyMedia { limit: 32 };
    assert_eq!(kind(repeated(media, 33)), too_many);
    assert!(SessionDescription::parse(repeated("a=x\r\n", 512)).is_ok());
    let too_many = ParseErrorKind::TooManyAttributes { limit: 512 };
    assert_eq!(kind(repeated("a=x\r\n", 513)), too_many);
    let too_many = ParseErrorKind::TooManyLines { limit: 1024 };
    assert_eq!(kind(repeated("e=x\r\n", 1024)), too_many);
    let too_long = ParseErrorKind::TooLong { limit: 65536 };
    assert_eq!(kind(repeated("a=xxxxxxxx\r\n", 6000)), too_long);
    let formats = format!("{head}m=audio 4000 RTP/AVP{}\r\n", " 0".repeat(65));
    let too_many = ParseErrorKind::TooManyFormats { limit: 64 };
    assert_eq!(kind(formats), too_many);
}

#[test]
fn two_readings_of_one_description_are_refused_with_400() {
    let lines = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    let refused = |extra: &str, kind| {
        let error = SessionDescription::parse(format!("{lines}{extra}\r\n")).unwrap_err();
        assert_eq!((error.kind, error.status()), (kind, 400), "{extra}");
    };
    for (extra, letter) in
        [("v=0", 'v'), ("o=- 2 2 IN IP4 192.0.2.2", 'o'), ("s=other", 's'), ("c=IN IP4 192.0.2.2", 'c')]
    {
        refused(extra, ParseErrorKind::Duplicate { letter });
    }
    refused("a=x\ra=y", ParseErrorKind::ForbiddenCharacter);
    refused("a=x\0y", ParseErrorKind::ForbiddenCharacter);
    refused("no line", ParseErrorKind::NotALine);
    for (extra, letter) in [
        ("m=audio", 'm'),
        ("m=audio 65536 RTP/AVP 0", 'm'),
        ("m=audio -1 RTP/AVP 0", 'm'),
        ("m=audio 1/x RTP/AVP 0", 'm'),
        ("m=audio 1 RTP/AVP", 'm'),
        ("b=AS", 'b'),
        ("b=AS:-1", 'b'),
        ("t=x", 't'),
        ("m=audio 1 RTP/AVP 0\r\nc=IN IP4", 'c'),
    ] {
        refused(extra, ParseErrorKind::Malformed { letter });
    }
}
