//! Every encryption policy against every other (RFC 4568, RFC 5763, RFC 8643; security row 25).

use std::time::Duration;

use media::demux::Datagram;
use media::signal;
use media::stream::{Encryption, StreamEvent};
use sdp::Protocol;

use crate::world::{Plans, World};

const POLICIES: [Encryption; 6] = [
    Encryption::Disabled,
    Encryption::SdesOptional,
    Encryption::SdesMandatory,
    Encryption::DtlsOptional,
    Encryption::DtlsMandatory,
    Encryption::Opportunistic,
];

/// What comes of a call: nothing, a plain one, or one encrypted in that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    Plain,
    Sdes,
    Dtls,
}

fn outcome(alice: Encryption, bob: Encryption) -> Outcome {
    let mut world = World::new(Plans::new(&["PCMA"]).encrypted(alice, bob));
    let offer = world.offer_by_alice();
    world.prepare_bob_for(&offer);
    if world.answer_by_bob(offer).is_err() {
        return Outcome::Refused;
    }
    world.pass_seconds(3);
    for party in [&world.alice, &world.bob] {
        assert!(!party.has_failed(), "{alice:?} calls {bob:?}");
        let audio = &party.heard[party.heard.len() / 2..];
        assert!(signal::rms(audio).0 > -20.0, "{alice:?} calls {bob:?}: nothing is heard");
    }
    assert_eq!(world.alice.encryption, world.bob.encryption);
    let plain_sizes = world.alice.sent.iter().filter(|(_, size)| *size == 172).count();
    match world.alice.encryption.clone().expect("it is told") {
        None => Outcome::Plain,
        Some(how) => {
            assert_eq!(plain_sizes, 0, "{alice:?} calls {bob:?}: packets in the clear");
            if how.starts_with("SDES ") { Outcome::Sdes } else { Outcome::Dtls }
        }
    }
}

#[test]
fn every_policy_meets_every_other() {
    use Outcome::{Dtls, Plain, Refused, Sdes};
    // Rows call columns, both in the order of `POLICIES`.
    let expected = [
        [Plain, Plain, Refused, Plain, Refused, Plain],
        [Plain, Sdes, Sdes, Plain, Refused, Sdes],
        [Refused, Sdes, Sdes, Sdes, Refused, Sdes],
        [Plain, Plain, Refused, Dtls, Dtls, Dtls],
        [Refused, Dtls, Refused, Dtls, Dtls, Dtls],
        [Plain, Sdes, Sdes, Dtls, Dtls, Dtls],
    ];
    for (alice, row) in POLICIES.into_iter().zip(expected) {
        for (bob, expected) in POLICIES.into_iter().zip(row) {
            assert_eq!(outcome(alice, bob), expected, "{alice:?} calls {bob:?}");
        }
    }
}

#[test]
fn what_is_offered_tells_the_policy() {
    for (policy, protocol, crypto, fingerprint) in [
        (Encryption::Disabled, Protocol::RtpAvp, false, false),
        (Encryption::SdesOptional, Protocol::RtpAvp, true, false),
        (Encryption::SdesMandatory, Protocol::RtpSavp, true, false),
        (Encryption::DtlsOptional, Protocol::RtpAvp, false, true),
        (Encryption::DtlsMandatory, Protocol::UdpTlsRtpSavp, false, true),
        (Encryption::Opportunistic, Protocol::RtpAvp, true, true),
    ] {
        let mut world = World::new(Plans::new(&["PCMA"]).encrypted(policy, policy));
        let media = &world.offer_by_alice().media[0];
        assert_eq!(media.protocol, protocol, "{policy:?}");
        assert_eq!(media.attributes.has("crypto"), crypto, "{policy:?}");
        assert_eq!(media.attributes.has("fingerprint"), fingerprint, "{policy:?}");
    }
}

#[test]
fn encryption_is_told_in_words() {
    let mut world =
        World::in_a_call(Plans::new(&["PCMA"]).encrypted(Encryption::SdesMandatory, Encryption::SdesOptional));
    world.pass_seconds(1);
    let how = world.alice.encryption.clone().flatten().expect("encrypted");
    assert_eq!(&*how, "SDES AES_CM_128_HMAC_SHA1_80");
}

/// RFC 5763 §5: nothing goes out before the handshake is made, and nothing that comes is heard.
#[test]
fn before_the_handshake_nothing_is_sent_and_nothing_is_heard() {
    let mut world =
        World::in_a_call(Plans::new(&["PCMA"]).encrypted(Encryption::DtlsMandatory, Encryption::DtlsMandatory));
    let (stranger, bob) = (world.alice.rtp, world.bob.rtp);
    world.weather.loss = 1_000;
    world.pass_seconds(1);
    assert!(world.alice.sent.is_empty() && world.bob.sent.is_empty());
    for sequence in 0..50u16 {
        world.hand_over(stranger, bob, rtp(8, sequence, 160 * u32::from(sequence), 7, 0x2a));
    }
    world.pass_seconds(1);
    assert!(signal::rms(&world.bob.heard).0 < -99.0);
    world.weather.loss = 0;
    world.pass_seconds(5);
    assert!(signal::rms(&world.bob.heard[world.bob.heard.len() - 48_000..]).0 > -20.0);
}

/// Security row 24: whoever says hello to all ports during set-up stops nobody.
#[test]
fn a_stranger_s_hello_does_not_end_a_handshake() {
    let plans = Plans::new(&["PCMA"]).encrypted(Encryption::DtlsMandatory, Encryption::DtlsMandatory);
    let mut world = World::in_a_call(plans);
    let hello = world.captured_hello();
    let (alice, bob) = (world.alice.rtp, world.bob.rtp);
    for step in 0..100 {
        for to in [alice, bob] {
            let stranger = std::net::SocketAddr::from(([203, 0, 113, 9], 10_000 + step));
            world.hand_over(stranger, to, hello.clone());
        }
        world.pass(Duration::from_millis(20));
    }
    world.pass_seconds(3);
    assert_eq!(Datagram::classify(&hello), Datagram::Dtls);
    for party in [&world.alice, &world.bob] {
        assert!(party.encryption.clone().flatten().is_some_and(|how| how.starts_with("DTLS ")));
        assert!(signal::rms(&party.heard[party.heard.len() - 48_000..]).0 > -20.0);
    }
}

/// RFC 4568 §5.1.4, RFC 3711: keys that are negotiated anew in a running call.
#[test]
fn a_renegotiation_keeps_the_encryption_and_the_audio() {
    for policy in [Encryption::SdesMandatory, Encryption::DtlsMandatory, Encryption::Opportunistic] {
        let mut world = World::in_a_call(Plans::new(&["PCMA"]).encrypted(policy, policy));
        world.pass_seconds(3);
        world.renegotiate();
        world.pass_seconds(1);
        world.renegotiate_by_bob();
        world.pass_seconds(1);
        for party in [&world.alice, &world.bob] {
            assert!(!party.has_failed(), "{policy:?}");
            let last = &party.heard[party.heard.len() - 72_000..];
            let gaps = signal::loud_ranges(last, world.rate, media::level::Dbfs(-25.0));
            assert_eq!(gaps.len(), 1, "{policy:?}: {gaps:?}");
            let told = party.events.iter().filter(|event| matches!(event, StreamEvent::Encryption { .. })).count();
            assert_eq!(told, 1, "{policy:?}");
        }
    }
}

/// Security row 23: what is not authentic never ends a call.
#[test]
fn a_flood_of_packets_with_wrong_tags_is_dropped_and_the_call_lives() {
    let plans = Plans::new(&["PCMA"]).encrypted(Encryption::SdesMandatory, Encryption::SdesMandatory);
    let mut world = World::in_a_call(plans);
    world.pass_seconds(1);
    let (alice, bob) = (world.alice.rtp, world.bob.rtp);
    for sequence in 0..20_000u16 {
        world.hand_over(alice, bob, rtp(8, sequence, 160 * u32::from(sequence), 7, 0x2a));
    }
    let heard = world.bob.heard.len();
    world.pass_seconds(2);
    assert!(!world.bob.has_failed());
    let after = &world.bob.heard[heard..];
    assert_eq!(signal::loud_ranges(after, world.rate, media::level::Dbfs(-25.0)).len(), 1);
    assert!((signal::dominant_frequency(after, world.rate) - 440.0).abs() < 1.0);
}

fn rtp(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32, fill: u8) -> Vec<u8> {
    crate::world::rtp_packet(payload_type, sequence, timestamp, ssrc, &[fill; 160])
}
