//! Vectors of the RFCs, and what a context promises: RFC 3711 §3.3, §9; RFC 4568; security expectations for replay,
//! roll-over and forged packets.

use super::counter::CounterMode;
use super::derivation::{Label, derive};
use super::keys::MasterKey;
use super::*;
use sdp::{Crypto, InlineKey, MasterKeyIdentifier, TypedAttribute};
use serde_json::Value;

const SSRC: u32 = 0xcafe_babe;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../vectors/srtp.json")).unwrap()
}

/// Vectors that are not ours to copy, where they lie beside the checkout.
fn shared_vectors() -> Vec<Value> {
    let root = match std::env::var_os("CORDBOARD_VECTORS") {
        Some(root) => std::path::PathBuf::from(root),
        None => std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    match std::fs::read(root.join("srtp/srtp_vectors.json")) {
        Ok(text) => serde_json::from_slice(&text).unwrap(),
        Err(error) => {
            eprintln!("SKIPPED: no SRTP vectors in {}: {error}", root.display());
            Vec::new()
        }
    }
}

fn octets(vector: &Value, field: &str) -> Vec<u8> {
    let text = vector[field].as_str().unwrap_or_else(|| panic!("{} has no {field}", vector["id"]));
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(octet).collect()
}

fn id(vector: &Value) -> &str {
    vector["id"].as_str().unwrap()
}

fn master(vector: &Value) -> MasterKey {
    MasterKey { key: octets(vector, "master_key"), salt: octets(vector, "master_salt"), identifier: Vec::new() }
}

/// RFC 3711 B.2; RFC 6188 §7.1, §7.3.
#[test]
fn the_keystream_is_that_of_the_rfcs() {
    let mut seen = 0;
    for vector in vectors().iter().filter(|vector| vector.get("points").is_some()) {
        let cipher = CounterMode::new(&octets(vector, "session_key"));
        for point in vector["points"].as_array().unwrap() {
            let mut keystream = [0; 16];
            cipher.apply(octets(point, "counter").try_into().unwrap(), &mut keystream);
            assert_eq!(keystream[..], octets(point, "keystream"), "{}", id(vector));
            seen += 1;
        }
        // In one piece, and cut off in the middle of a block.
        use sha2::{Digest, Sha256};
        let mut segment = vec![0; vector["segment_octets"].as_u64().unwrap().try_into().unwrap()];
        cipher.apply(octets(vector, "salt_shifted").try_into().unwrap(), &mut segment);
        assert_eq!(Sha256::digest(&segment)[..], octets(vector, "segment_sha256"), "{}", id(vector));
        let mut short = [0; 21];
        cipher.apply(octets(vector, "salt_shifted").try_into().unwrap(), &mut short);
        assert_eq!(short, segment[..21]);
    }
    assert_eq!(seen, 18);
}

/// RFC 3711 B.3; RFC 6188 §7.2, §7.4.
#[test]
fn session_keys_are_those_of_the_rfcs() {
    let mut seen = 0;
    for vector in vectors().iter().filter(|vector| vector.get("cipher_salt").is_some()) {
        for (label, field) in [
            (Label::RtpEncryption, "cipher_key"),
            (Label::RtpSalt, "cipher_salt"),
            (Label::RtpAuthentication, "auth_key"),
        ] {
            let expected = octets(vector, field);
            let mut found = vec![0; expected.len()];
            derive(&master(vector), label, &mut found);
            assert_eq!(found, expected, "{} {field}", id(vector));
            seen += 1;
        }
    }
    assert_eq!(seen, 9);
}

/// RFC 7714 §16, §17; packets around a roll-over.
#[test]
fn packets_are_those_of_the_rfcs() {
    let seen = vectors().iter().filter(|vector| check_packet(vector)).count();
    assert_eq!(seen, 2 + 4 + 5);
}

#[test]
fn packets_are_those_of_other_implementations() {
    for vector in shared_vectors().iter().filter(|vector| id(vector).starts_with("libsrtp")) {
        assert!(check_packet(vector), "{}", id(vector));
    }
}

/// Protects the plain packet and unprotects the protected one; false if the vector is no packet.
fn check_packet(vector: &Value) -> bool {
    let number = |field: &str| vector[field].as_u64().unwrap();
    let transform = match (vector.get("profile"), vector.get("session_key")) {
        (Some(name), _) => {
            let name = name.as_str().unwrap();
            let profile = Profile::ALL.into_iter().find(|profile| profile.suite().as_str() == name).unwrap();
            Transform::new(profile, &master(vector))
        }
        (None, Some(_)) if vector.get("iv").is_some() => {
            Transform::of_session_key(&octets(vector, "session_key"), &octets(vector, "session_salt"))
        }
        _ => return false,
    };
    if vector.get("rtp").is_some() {
        let (plain, protected) = (octets(vector, "rtp"), octets(vector, "srtp"));
        let header = RtpHeader::read(&plain).unwrap();
        let index = number("roc") << 16 | u64::from(header.sequence);
        let place = RtpPlace { header: header.length, ssrc: header.ssrc, index };
        let mut packet = plain.clone();
        transform.protect_rtp(&mut packet, place);
        assert_eq!(packet, protected, "{}", id(vector));
        let length = transform.unprotect_rtp(&mut packet, place).unwrap();
        assert_eq!(packet[..length], plain, "{}", id(vector));
    } else {
        let (plain, protected) = (octets(vector, "rtcp"), octets(vector, "srtcp"));
        let index = u32::try_from(number("srtcp_index")).unwrap();
        let ssrc = rtcp_ssrc(&plain).unwrap();
        if !id(vector).ends_with("tagonly") {
            let mut packet = plain.clone();
            transform.protect_rtcp(&mut packet, ssrc, index);
            assert_eq!(packet, protected, "{}", id(vector));
        }
        let mut packet = protected;
        assert_eq!(transform.rtcp_index(&packet), Some(index), "{}", id(vector));
        let length = transform.unprotect_rtcp(&mut packet, ssrc).unwrap();
        assert_eq!(packet[..length], plain, "{}", id(vector));
    }
    true
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend((0..160).map(|at: u16| (at ^ sequence) as u8));
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0x81, 202, 0, 2, 1, 2, 3, 4, 1, 2, b'c', b'b']);
    packet
}

fn keys_of(profile: Profile, local: u8, remote: u8) -> SrtpKeys {
    let key = |seed| vec![seed; profile.key_length() + profile.salt_length()];
    SrtpKeys::new(profile, &key(local), &key(remote)).unwrap()
}

/// Two ends of a call.
fn pair(profile: Profile) -> (SrtpContext, SrtpContext) {
    (SrtpContext::new(&keys_of(profile, 1, 2)), SrtpContext::new(&keys_of(profile, 2, 1)))
}

fn protected(sender: &mut SrtpContext, sequence: u16) -> Vec<u8> {
    let mut packet = rtp(SSRC, sequence);
    sender.protect_rtp(&mut packet).unwrap();
    packet
}

fn unprotected(receiver: &mut SrtpContext, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut packet = packet.to_vec();
    let length = receiver.unprotect_rtp(&mut packet)?;
    packet.truncate(length);
    Ok(packet)
}

#[test]
fn what_one_end_protects_the_other_reads() {
    for profile in Profile::ALL {
        let (mut alice, mut bob) = pair(profile);
        for sequence in 0..20 {
            let packet = protected(&mut alice, sequence);
            assert_eq!(packet.len(), rtp(SSRC, sequence).len() + profile.rtp_tag_length());
            assert_ne!(packet[12..172], rtp(SSRC, sequence)[12..], "{profile:?}");
            assert_eq!(unprotected(&mut bob, &packet), Ok(rtp(SSRC, sequence)), "{profile:?}");

            let mut packet = rtcp(SSRC);
            bob.protect_rtcp(&mut packet).unwrap();
            assert_eq!(packet.len(), rtcp(SSRC).len() + 4 + profile.rtcp_tag_length());
            let length = alice.unprotect_rtcp(&mut packet).unwrap();
            assert_eq!(packet[..length], rtcp(SSRC), "{profile:?}");
        }
        assert_eq!(bob.counters(), SrtpCounters { accepted: 20, ..SrtpCounters::default() });
    }
}

/// RFC 3550 §5.3: contributing sources and extensions stay readable.
#[test]
fn the_header_stays_readable_up_to_its_end() {
    let header = [0x92, 0, 0, 7, 0, 0, 0, 0, 1, 2, 3, 4, 5, 5, 5, 5, 6, 6, 6, 6, 0xbe, 0xde, 0, 1, 9, 9, 9, 9];
    let plain = [&header[..], &[0x55; 40]].concat();
    for profile in Profile::ALL {
        let (mut alice, mut bob) = pair(profile);
        let mut packet = plain.clone();
        alice.protect_rtp(&mut packet).unwrap();
        assert_eq!(packet[..28], header);
        assert_ne!(packet[28..68], plain[28..]);
        assert_eq!(unprotected(&mut bob, &packet), Ok(plain.clone()));
    }
}

/// RFC 3711 §3.3: every octet is authenticated, header too.
#[test]
fn no_octet_can_be_changed() {
    for profile in Profile::ALL {
        let (mut alice, mut bob) = pair(profile);
        let packet = protected(&mut alice, 7);
        let mut report = rtcp(SSRC);
        alice.protect_rtcp(&mut report).unwrap();
        for at in 0..packet.len() {
            let mut forged = packet.clone();
            forged[at] ^= 1;
            assert!(bob.unprotect_rtp(&mut forged).is_err(), "{profile:?} {at}");
        }
        for at in 0..report.len() {
            let mut forged = report.clone();
            forged[at] ^= 1;
            assert!(bob.unprotect_rtcp(&mut forged).is_err(), "{profile:?} {at}");
        }
        assert_eq!(bob.counters().accepted, 0);
        // Nothing was learnt from them.
        assert!(bob.unprotect_rtp(&mut packet.clone()).is_ok());
        assert!(bob.unprotect_rtcp(&mut report.clone()).is_ok());
    }
}

#[test]
fn a_packet_cut_off_anywhere_is_refused() {
    for profile in Profile::ALL {
        let (mut alice, mut bob) = pair(profile);
        let packet = protected(&mut alice, 7);
        let mut report = rtcp(SSRC);
        alice.protect_rtcp(&mut report).unwrap();
        for length in 0..packet.len() {
            assert!(bob.unprotect_rtp(&mut packet[..length].to_vec()).is_err(), "{profile:?} {length}");
        }
        for length in 0..report.len() {
            assert!(bob.unprotect_rtcp(&mut report[..length].to_vec()).is_err(), "{profile:?} {length}");
        }
    }
}

/// RFC 3711 §3.3.2.
#[test]
fn a_packet_is_accepted_once() {
    for profile in Profile::ALL {
        let (mut alice, mut bob) = pair(profile);
        let first = protected(&mut alice, 1);
        let second = protected(&mut alice, 2);
        assert!(unprotected(&mut bob, &second).is_ok());
        assert!(unprotected(&mut bob, &first).is_ok());
        assert_eq!(unprotected(&mut bob, &first), Err(SrtpError::Replayed));
        assert_eq!(unprotected(&mut bob, &second), Err(SrtpError::Replayed));

        let mut report = rtcp(SSRC);
        alice.protect_rtcp(&mut report).unwrap();
        assert!(bob.unprotect_rtcp(&mut report.clone()).is_ok());
        assert_eq!(bob.unprotect_rtcp(&mut report), Err(SrtpError::Replayed));
        assert_eq!(bob.counters().replayed, 3);
    }
}

/// The window is 1,024 packets: the 1,024th behind the newest is too old to be told from a replay.
#[test]
fn a_packet_may_be_a_thousand_late() {
    let (mut alice, mut bob) = pair(Profile::AesCm128HmacSha1_80);
    let late = protected(&mut alice, 1);
    let later = protected(&mut alice, 2);
    assert!(unprotected(&mut bob, &protected(&mut alice, 1 + 1_024)).is_ok());
    assert!(unprotected(&mut bob, &later).is_ok());
    assert_eq!(unprotected(&mut bob, &late), Err(SrtpError::Replayed));
}

/// RFC 3711 §3.3.1.
#[test]
fn sequence_numbers_roll_over_with_loss_and_disorder() {
    for profile in [Profile::AesCm128HmacSha1_32, Profile::AeadAes128Gcm] {
        let (mut alice, mut bob) = pair(profile);
        let mut held = None;
        let mut accepted = 0u32;
        for index in 65_000..3 * 65_536u32 {
            let packet = protected(&mut alice, index as u16);
            match index % 7 {
                3 => {}
                5 => held = Some((index, packet)),
                _ => {
                    assert_eq!(unprotected(&mut bob, &packet), Ok(rtp(SSRC, index as u16)), "{index}");
                    accepted += 1;
                    if let Some((late, packet)) = held.take() {
                        assert_eq!(unprotected(&mut bob, &packet), Ok(rtp(SSRC, late as u16)), "{late}");
                        accepted += 1;
                    }
                }
            }
        }
        assert!(accepted > 100_000);
    }
}

/// CVE-2021-41105 and its like: packets that anyone can send end no call and move no counter.
#[test]
fn a_million_forged_packets_change_nothing() {
    let (mut alice, mut bob) = pair(Profile::AesCm128HmacSha1_80);
    assert!(unprotected(&mut bob, &protected(&mut alice, 40_000)).is_ok());
    let mut forged = protected(&mut alice, 40_001);
    for number in 0..1_000_000u32 {
        // Every sequence number, also those that would look like roll-overs, and new sources.
        forged[2..4].copy_from_slice(&(number as u16).to_be_bytes());
        let ssrc = if number % 8 == 0 { number } else { SSRC };
        forged[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let last = forged.len() - 1;
        forged[last] = forged[last].wrapping_add(1) | 1;
        // A forged tag is right by chance once in 2^80.
        assert!(bob.unprotect_rtp(&mut forged).is_err());
    }
    assert_eq!(bob.inbound.rtp.table.len(), 1);
    assert_eq!(unprotected(&mut bob, &protected(&mut alice, 40_002)), Ok(rtp(SSRC, 40_002)));
    assert_eq!(bob.counters().accepted, 2);
}

/// A listener that comes late finds roll-over counter zero; that of the next round too, if the sender began just
/// before the roll-over and the packets before it are lost.
#[test]
fn a_stream_is_joined_late() {
    for first in [0, 500, 32_768, 65_535] {
        let (mut alice, mut bob) = pair(Profile::AesCm128HmacSha1_80);
        for missed in (0..first).step_by(1_000) {
            protected(&mut alice, missed);
        }
        let late = protected(&mut alice, first);
        assert!(unprotected(&mut bob, &late).is_ok(), "{first}");
    }
    let (mut alice, mut bob) = pair(Profile::AeadAes256Gcm);
    for sequence in 65_500..=65_535 {
        protected(&mut alice, sequence);
    }
    for sequence in 0..100 {
        assert!(unprotected(&mut bob, &protected(&mut alice, sequence)).is_ok(), "{sequence}");
    }
}

#[test]
fn a_peer_may_take_a_new_source_again_and_again() {
    let (mut alice, mut bob) = pair(Profile::AesCm128HmacSha1_80);
    for ssrc in 0..200 {
        for sequence in [65_535, 0] {
            let mut packet = rtp(ssrc, sequence);
            alice.protect_rtp(&mut packet).unwrap();
            assert_eq!(unprotected(&mut bob, &packet), Ok(rtp(ssrc, sequence)));
        }
    }
    assert_eq!(bob.inbound.rtp.table.len(), SOURCES);
}

/// A forgotten roll-over counter would encrypt two packets alike.
#[test]
fn we_ourselves_do_not_take_sources_without_end() {
    let (mut alice, _) = pair(Profile::AesCm128HmacSha1_80);
    let outcomes = (0..300).map(|ssrc| alice.protect_rtp(&mut rtp(ssrc, 1)));
    assert_eq!(outcomes.filter(Result::is_ok).count(), OWN_SOURCES);
}

/// RFC 3711 §3.3.1: the roll-over counter goes on under a new key.
#[test]
fn new_keys_take_over_without_a_gap() {
    let profile = Profile::AesCm128HmacSha1_80;
    let (mut alice, mut bob) = pair(profile);
    for sequence in [65_534, 65_535, 0, 1] {
        assert!(unprotected(&mut bob, &protected(&mut alice, sequence)).is_ok());
    }
    let on_the_way = protected(&mut alice, 2);
    bob.rekey(&keys_of(profile, 4, 3));
    alice.rekey(&keys_of(profile, 3, 4));
    let first = protected(&mut alice, 3);
    assert!(unprotected(&mut bob, &first).is_ok());
    assert!(unprotected(&mut bob, &on_the_way).is_ok(), "late, under the old key");
    assert_eq!(unprotected(&mut bob, &on_the_way), Err(SrtpError::Replayed));
    for sequence in 4..4 + 300 {
        assert!(unprotected(&mut bob, &protected(&mut alice, sequence)).is_ok());
    }
    assert_eq!(bob.inbound.keys.len(), 1, "the old key is forgotten");
}

/// Many phones make a new context for new keys, against RFC 3711 §3.3.1.
#[test]
fn a_peer_that_counts_anew_under_new_keys_is_heard() {
    for profile in [Profile::AesCm128HmacSha1_80, Profile::AeadAes128Gcm] {
        let (mut alice, mut bob) = pair(profile);
        for sequence in [65_535, 0, 1] {
            assert!(unprotected(&mut bob, &protected(&mut alice, sequence)).is_ok());
        }
        let old = protected(&mut alice, 2);
        let mut report = rtcp(SSRC);
        alice.protect_rtcp(&mut report).unwrap();
        assert!(bob.unprotect_rtcp(&mut report.clone()).is_ok());

        bob.rekey(&keys_of(profile, 4, 3));
        let mut alice = SrtpContext::new(&keys_of(profile, 3, 4));
        for sequence in 2..50 {
            assert!(unprotected(&mut bob, &protected(&mut alice, sequence)).is_ok(), "{sequence}");
        }
        // A recorded packet under the old key lies far ahead now, and must not pull the window there.
        assert_eq!(unprotected(&mut bob, &old), Err(SrtpError::Replayed));
        assert!(unprotected(&mut bob, &protected(&mut alice, 50)).is_ok());
        let mut report = rtcp(SSRC);
        alice.protect_rtcp(&mut report).unwrap();
        assert!(bob.unprotect_rtcp(&mut report).is_ok());
    }
}

#[test]
fn the_same_keys_again_change_nothing() {
    let profile = Profile::AeadAes128Gcm;
    let (mut alice, mut bob) = pair(profile);
    let packet = protected(&mut alice, 1);
    assert!(unprotected(&mut bob, &packet).is_ok());
    bob.rekey(&keys_of(profile, 2, 1));
    assert_eq!(unprotected(&mut bob, &packet), Err(SrtpError::Replayed));
    assert_eq!(bob.inbound.keys.len(), 1);
}

fn line(seed: u8, mki: Option<MasterKeyIdentifier>) -> Crypto {
    let key = InlineKey { key_and_salt: vec![seed; 30], lifetime: Some(1 << 20), mki };
    Crypto { tag: 1, suite: sdp::CryptoSuite::AesCm128HmacSha1_80, keys: vec![key], session_parameters: Vec::new() }
}

/// RFC 4568 §6.1: `|1:4`.
#[test]
fn packets_with_a_key_identifier_are_read_and_written() {
    let mki = Some(MasterKeyIdentifier { value: 1, length: 4 });
    let (ours, theirs) = (line(1, None), line(2, mki));
    let mut alice = SrtpContext::new(&SrtpKeys::from_sdes(&theirs, &ours).unwrap());
    let mut bob = SrtpContext::new(&SrtpKeys::from_sdes(&ours, &theirs).unwrap());
    let packet = protected(&mut alice, 1);
    assert_eq!(packet[packet.len() - 14..packet.len() - 10], [0, 0, 0, 1]);
    assert_eq!(unprotected(&mut bob, &packet), Ok(rtp(SSRC, 1)));
    let mut report = rtcp(SSRC);
    alice.protect_rtcp(&mut report).unwrap();
    assert_eq!(bob.unprotect_rtcp(&mut report), Ok(rtcp(SSRC).len()));
    // Some announce an identifier and write none.
    let mut careless = SrtpContext::new(&SrtpKeys::from_sdes(&line(2, None), &ours).unwrap());
    assert_eq!(unprotected(&mut bob, &protected(&mut careless, 2)), Ok(rtp(SSRC, 2)));
}

/// RFC 4568 §6.1: several keys in a line, told apart by their identifiers.
#[test]
fn each_key_of_a_line_is_known_by_its_identifier() {
    let identifier = |value| Some(MasterKeyIdentifier { value, length: 1 });
    let mut theirs = line(2, identifier(1));
    theirs.keys.extend(line(3, identifier(2)).keys);
    let ours = line(1, None);
    let mut bob = SrtpContext::new(&SrtpKeys::from_sdes(&ours, &theirs).unwrap());
    for (sequence, key) in [(1, line(2, identifier(1))), (2, line(3, identifier(2))), (3, line(2, identifier(1)))] {
        let mut alice = SrtpContext::new(&SrtpKeys::from_sdes(&key, &ours).unwrap());
        assert!(unprotected(&mut bob, &protected(&mut alice, sequence)).is_ok(), "{sequence}");
    }
}

#[test]
fn keys_of_two_suites_make_no_context() {
    let other = Crypto { suite: sdp::CryptoSuite::AesCm128HmacSha1_32, ..line(2, None) };
    assert_eq!(SrtpKeys::from_sdes(&line(1, None), &other), Err(KeyError::Suite));
    let unknown = Crypto::parse("1 X inline:AAAA").unwrap();
    assert_eq!(SrtpKeys::from_sdes(&unknown, &unknown), Err(KeyError::Suite));
    let none = Crypto { keys: Vec::new(), ..line(2, None) };
    assert_eq!(SrtpKeys::from_sdes(&line(1, None), &none), Err(KeyError::Length));
}

#[test]
fn neither_rtp_nor_rtcp_is_refused_as_such() {
    let (mut alice, mut bob) = pair(Profile::AeadAes128Gcm);
    for octets in [&b""[..], b"\x80", b"INVITE sip:a@b SIP/2.0\r\n", &[0x9f; 12], &[0x90; 15], &[0x80; 11]] {
        assert_eq!(alice.protect_rtp(&mut octets.to_vec()), Err(SrtpError::Malformed));
        assert_eq!(bob.unprotect_rtp(&mut octets.to_vec()), Err(SrtpError::Malformed));
    }
    for octets in [&b""[..], b"\x80\xc8", b"INVITE sip:a@b SIP/2.0\r\n", &[0x80; 8]] {
        assert_eq!(bob.unprotect_rtcp(&mut octets.to_vec()), Err(SrtpError::Malformed));
    }
    assert_eq!(bob.counters().malformed, 6 + 4);
}

/// RFC 3711 §9.2: a key protects 2^31 RTCP packets.
#[test]
fn a_key_is_not_used_beyond_its_end() {
    let (mut alice, _) = pair(Profile::AesCm128HmacSha1_80);
    alice.outbound.rtcp_index = RTCP_INDEXES - 1;
    assert_eq!(alice.protect_rtcp(&mut rtcp(SSRC)), Ok(()));
    assert_eq!(alice.protect_rtcp(&mut rtcp(SSRC)), Err(SrtpError::KeyExhausted));
    alice.outbound.sources = vec![(SSRC, (1 << 48) - 1)];
    assert_eq!(alice.protect_rtp(&mut rtp(SSRC, 0)), Err(SrtpError::KeyExhausted));
}

/// RFC 3711 §3.4: packets with the E flag off are authenticated only; some peers send their reports so.
#[test]
fn a_report_in_the_clear_is_read_if_it_is_authentic() {
    let (_, mut bob) = pair(Profile::AesCm128HmacSha1_80);
    let mut packet = rtcp(SSRC);
    packet.extend_from_slice(&5u32.to_be_bytes());
    let mut key = [0; 20];
    let master = MasterKey { key: vec![1; 16], salt: vec![1; 14], identifier: Vec::new() };
    derive(&master, Label::RtcpAuthentication, &mut key);
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&key).unwrap();
    mac.update(&packet);
    packet.extend_from_slice(&mac.finalize().into_bytes()[..10]);
    let length = bob.unprotect_rtcp(&mut packet).unwrap();
    assert_eq!(packet[..length], rtcp(SSRC));
}
