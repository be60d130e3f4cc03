//! Keys and fingerprints: RFC 4568 §5.1.2, §6.3; RFC 5763 §5; RFC 4145 §4.1.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::{Phone, audio};
use sdp::{
    Codec, Crypto, Fingerprint, Input, OfferAnswer, Rule, Security, Setup, StreamCapability, StreamRefusal,
    TypedAttribute,
};

const LONG: &str = "AES_CM_128_HMAC_SHA1_80";
const SHORT: &str = "AES_CM_128_HMAC_SHA1_32";
const SRTP: &str = "m=audio 4000 RTP/SAVP 0";
const FINGERPRINT: &str = "sha-1 42:89:C5:C6:55:9D:6E:C8:E8:83:55:2A:39:F9:B6:EB:E9:A3:A9:E7";

fn key(tag: u32, suite: &str) -> String {
    format!("{tag} {suite} inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR")
}

fn line(tag: u32, suite: &str) -> String {
    format!("a=crypto:{}", key(tag, suite))
}

fn phone(number: u8, security: Security) -> Phone {
    let mut phone = Phone::new(number);
    let stream = StreamCapability::audio(49170, &[Codec::pcmu()]);
    phone.wishes.streams.push(stream.secured(security));
    phone
}

fn sdes(suite: &str) -> Security {
    Security::Sdes { keys: vec![Crypto::parse(&key(1, suite)).unwrap()], accept_plain: false }
}

fn dtls() -> Security {
    Security::Dtls { fingerprint: Fingerprint::parse(FINGERPRINT).unwrap() }
}

/// The rule that an answer breaks.
fn broken_by(offer: &[&str], answer: &[&str]) -> Option<Rule> {
    let mut machine = OfferAnswer::strict();
    machine.handle(Input::LocalOffer(audio(1, offer))).unwrap();
    let outcome = machine.handle(Input::RemoteAnswer(audio(1, answer)));
    outcome.err().map(|violation| violation.rule)
}

/// Security expectation: a secure offer is never answered in the clear.
#[test]
fn plain_rtp_never_answers_an_offer_of_srtp() {
    let sdes = |accept_plain| Security::Sdes { keys: vec![Crypto::parse(&key(1, LONG)).unwrap()], accept_plain };
    let policies = [Security::None, sdes(false), sdes(true), dtls()];
    // Rows: the offerer; columns: the answerer in the same order.
    let table = [
        [true, false, true, false],
        [false, true, true, false],
        [false, true, true, false],
        [false, false, false, true],
    ];
    for (offerer, row) in policies.iter().zip(table) {
        for (answerer, expected) in policies.iter().zip(row) {
            let (mut alice, mut bob) = (phone(1, offerer.clone()), phone(2, answerer.clone()));
            let offer = alice.offer();
            let accepted = bob.wishes.answer(&offer).is_ok();
            assert_eq!(accepted, expected, "{offerer:?} {answerer:?}");
            if accepted {
                let answer = bob.answer(&offer).unwrap();
                assert_eq!(answer.media[0].protocol, offer.media[0].protocol);
                alice.machine.handle(Input::RemoteAnswer(answer)).unwrap();
            }
        }
    }
}

/// RFC 4568 §5.1.2.
#[test]
fn an_answer_chooses_one_of_the_offered_keys() {
    let offer = [SRTP, &line(1, LONG), &line(2, SHORT)];
    let answered = |lines: &[String]| {
        let lines: Vec<&str> = std::iter::once(SRTP).chain(lines.iter().map(String::as_str)).collect();
        broken_by(&offer, &lines)
    };
    let foreign = Some(Rule::CryptoNotOffered { media: 0 });
    assert_eq!(answered(&[line(2, SHORT)]), None);
    assert_eq!(answered(&[]), foreign);
    assert_eq!(answered(&[line(2, LONG)]), foreign);
    assert_eq!(answered(&[line(3, SHORT)]), foreign);
    assert_eq!(answered(&[line(1, LONG), line(2, SHORT)]), foreign);
}

/// RFC 4568 §5.1.2: the tag is the offer's, the key our own.
#[test]
fn a_key_answers_the_line_whose_suite_we_have() {
    let bob = phone(2, sdes(SHORT));
    let offer = audio(1, &[SRTP, "a=crypto:0 X inline:AAAA", &line(6, LONG), &line(7, SHORT)]);
    let answer = bob.wishes.answer(&offer).unwrap();
    let chosen: Crypto = answer.media[0].attribute().unwrap();
    assert_eq!(chosen, Crypto::parse(&key(7, SHORT)).unwrap());
    let none = audio(1, &[SRTP, &line(1, LONG)]);
    let refusal = bob.wishes.answer(&none).unwrap_err();
    assert_eq!(refusal.0, [StreamRefusal::Security]);
}

/// RFC 4568 §6.3.
#[test]
fn a_line_with_a_session_parameter_that_we_lack_is_not_chosen() {
    let bob = phone(2, sdes(LONG));
    let accepted = |parameter: &str| {
        let line = format!("{} {parameter}", line(1, LONG));
        bob.wishes.answer(&audio(1, &[SRTP, &line])).is_ok()
    };
    assert!(accepted(""));
    assert!(accepted("-X WSH=64"));
    assert!(!accepted("UNENCRYPTED_SRTP"));
}

/// RFC 5763 §5.
#[test]
fn the_answerer_of_dtls_opens_the_connection_where_it_may() {
    let (mut alice, bob) = (phone(1, dtls()), phone(2, dtls()));
    let offer = alice.offer();
    assert_eq!(offer.media[0].attribute(), Some(Setup::Actpass));
    let answer = bob.wishes.answer(&offer).unwrap();
    assert_eq!(answer.media[0].attribute(), Some(Setup::Active));
    assert!(answer.media[0].attribute::<Fingerprint>().is_some());
}

/// RFC 4145 §4.1.
#[test]
fn two_ends_cannot_both_open_the_connection() {
    let media = "m=audio 4000 UDP/TLS/RTP/SAVP 0";
    let active = [media, "a=setup:active"];
    let passive = [media, "a=setup:passive"];
    let wrong = Some(Rule::SetupNotPermitted { media: 0 });
    assert_eq!(broken_by(&active, &active), wrong);
    assert_eq!(broken_by(&active, &passive), None);
}
