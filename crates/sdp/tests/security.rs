//! Keys and fingerprints: RFC 4568 §5.1.2, §6.3; RFC 5763 §5; RFC 4145 §4.1.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::{Phone, audio};
use sdp::{
    Attribute, Codec, Crypto, Fingerprint, Input, OfferAnswer, Protection, Protocol, Rule, Security,
    SessionDescription, Setup, StreamCapability, StreamRefusal, TypedAttribute,
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

fn keys(suite: &str) -> Vec<Crypto> {
    vec![Crypto::parse(&key(1, suite)).unwrap()]
}

fn fingerprint() -> Fingerprint {
    Fingerprint::parse(FINGERPRINT).unwrap()
}

fn sdes(suite: &str) -> Security {
    Security::Sdes { keys: keys(suite), accept_plain: false }
}

fn dtls() -> Security {
    Security::Dtls { fingerprint: fingerprint() }
}

fn opportunistic() -> Security {
    Security::Opportunistic { keys: keys(LONG), fingerprint: Some(fingerprint()) }
}

/// All that there is to choose, in the order of the columns below.
fn policies() -> [Security; 7] {
    [
        Security::None,
        Security::Opportunistic { keys: keys(LONG), fingerprint: None },
        Security::Opportunistic { keys: Vec::new(), fingerprint: Some(fingerprint()) },
        opportunistic(),
        sdes(LONG),
        dtls(),
        Security::Sdes { keys: keys(LONG), accept_plain: true },
    ]
}

/// What comes out of an exchange, by one letter: plain, SDES, DTLS, or - for a refusal.
fn letter(protection: &Protection) -> char {
    match protection {
        Protection::None => 'p',
        Protection::Sdes { .. } => 's',
        Protection::Dtls { .. } => 'd',
        Protection::Missing => '!',
    }
}

fn protection(machine: &OfferAnswer) -> Protection {
    machine.agreement().unwrap().streams().remove(0).protection
}

/// The rule that an answer breaks.
fn broken_by(offer: &[&str], answer: &[&str]) -> Option<Rule> {
    let mut machine = OfferAnswer::strict();
    machine.handle(Input::LocalOffer(audio(1, offer))).unwrap();
    let outcome = machine.handle(Input::RemoteAnswer(audio(1, answer)));
    outcome.err().map(|violation| violation.rule)
}

/// Each offer that comes, answered under each policy. Rows: offers; columns: [`policies`].
#[test]
fn every_offer_is_answered_as_the_policy_says() {
    let crypto = &line(6, LONG)[..];
    let foreign = &line(1, "AEAD_AES_256_GCM_8")[..];
    let fingerprint = &format!("a=fingerprint:{FINGERPRINT}")[..];
    let setup = "a=setup:actpass";
    let table: [(&str, &[&str], &str); 14] = [
        ("RTP/AVP", &[], "pppp--p"),
        ("RTP/AVPF", &[], "pppp--p"),
        ("RTP/AVP", &[crypto], "pspss-s"),
        ("RTP/AVP", &[foreign], "pppp--p"),
        ("RTP/AVP", &[fingerprint, setup], "ppdd-dp"),
        ("RTP/AVPF", &[crypto, fingerprint, setup], "psddsds"),
        ("RTP/SAVP", &[crypto], "-s-ss-s"),
        ("RTP/SAVP", &[foreign, crypto], "-s-ss-s"),
        ("RTP/SAVP", &[foreign], "-------"),
        ("RTP/SAVP", &[], "-------"),
        ("RTP/SAVPF", &[fingerprint, setup], "--dd-d-"),
        ("UDP/TLS/RTP/SAVP", &[fingerprint, setup], "--dd-d-"),
        ("UDP/TLS/RTP/SAVPF", &[crypto, fingerprint, setup], "--dd-d-"),
        ("UDP/TLS/RTP/SAVP", &[], "-------"),
    ];
    for (protocol, attributes, row) in table {
        let media = format!("m=audio 4000 {protocol} 0");
        let offer = audio(1, &[&[&media[..]], attributes].concat());
        let outcomes: String = policies().map(|policy| outcome_of(&offer, policy)).iter().collect();
        assert_eq!(outcomes, row, "{protocol} {attributes:?}");
    }
}

fn outcome_of(offer: &SessionDescription, policy: Security) -> char {
    let mut bob = phone(2, policy.clone());
    if bob.wishes.answer(offer).is_err() {
        return '-';
    }
    let answer = bob.answer(offer).unwrap();
    let media = &answer.media[0];
    assert_eq!(media.protocol, offer.media[0].protocol, "{policy:?}");
    let protection = protection(&bob.machine);
    // The attributes say what was agreed, and nothing else.
    assert_eq!(media.attributes.has("crypto"), letter(&protection) == 's', "{policy:?}");
    assert_eq!(media.attributes.has("fingerprint"), letter(&protection) == 'd', "{policy:?}");
    letter(&protection)
}

/// Each policy against each. Rows: the offerer; columns: the answerer. Both ends come to the same.
#[test]
fn two_policies_agree_on_the_same_protection() {
    let table = ["pppp--p", "pspss-s", "ppdd-dp", "psddsds", "-s-ss-s", "--dd-d-", "-s-ss-s"];
    for (offerer, row) in policies().into_iter().zip(table) {
        let outcomes: String = policies().iter().map(|answerer| exchanged(&offerer, answerer)).collect();
        assert_eq!(outcomes, row, "{offerer:?}");
    }
}

fn exchanged(offerer: &Security, answerer: &Security) -> char {
    let (mut alice, mut bob) = (phone(1, offerer.clone()), phone(2, answerer.clone()));
    let offer = alice.offer();
    if bob.wishes.answer(&offer).is_err() {
        return '-';
    }
    let answer = bob.answer(&offer).unwrap();
    alice.machine.handle(Input::RemoteAnswer(answer)).unwrap();
    let (at_alice, at_bob) = (protection(&alice.machine), protection(&bob.machine));
    match (&at_alice, &at_bob) {
        (Protection::Sdes { local, remote }, Protection::Sdes { local: theirs, remote: ours }) => {
            assert_eq!((local, remote), (ours, theirs));
        }
        (Protection::Dtls { active, .. }, Protection::Dtls { active: theirs, .. }) => assert_ne!(active, theirs),
        (one, other) => assert_eq!(one, other),
    }
    letter(&at_alice)
}

/// Security expectation: an offer of a secure transport is never answered by a plain one.
#[test]
fn plain_rtp_does_not_answer_an_offer_of_srtp() {
    for secure in ["RTP/SAVP", "UDP/TLS/RTP/SAVP"] {
        let offer = format!("m=audio 4000 {secure} 0");
        let outcome = broken_by(&[&offer, &line(1, LONG)], &["m=audio 4000 RTP/AVP 0"]);
        assert_eq!(outcome, Some(Rule::ProtocolChanged { media: 0 }));
    }
}

/// Keys that do not come leave a secure transport silent, not plain.
#[test]
fn a_secure_transport_without_keys_carries_nothing() {
    let mut machine = OfferAnswer::new();
    let media = "m=audio 4000 UDP/TLS/RTP/SAVP 0";
    let fingerprint = format!("a=fingerprint:{FINGERPRINT}");
    machine.handle(Input::LocalOffer(audio(1, &[media, &fingerprint]))).unwrap();
    machine.handle(Input::RemoteAnswer(audio(1, &[media]))).unwrap();
    assert_eq!(protection(&machine), Protection::Missing);
}

/// RFC 8643 §3: an answer that does not take up the attribute leaves the stream plain.
#[test]
fn an_optional_key_that_fits_nothing_is_none() {
    let plain = "m=audio 4000 RTP/AVP 0";
    let mut machine = OfferAnswer::strict();
    machine.handle(Input::LocalOffer(audio(1, &[plain, &line(1, LONG)]))).unwrap();
    machine.handle(Input::RemoteAnswer(audio(1, &[plain, &line(1, SHORT)]))).unwrap();
    assert_eq!(protection(&machine), Protection::None);
}

/// One phone counts the tags of its answers from one, whatever was offered.
#[test]
fn an_answer_with_a_wrong_tag_means_the_line_of_its_suite() {
    let mut machine = OfferAnswer::new();
    machine.handle(Input::LocalOffer(audio(1, &[SRTP, &line(1, SHORT), &line(2, LONG)]))).unwrap();
    machine.handle(Input::RemoteAnswer(audio(1, &[SRTP, &line(1, LONG)]))).unwrap();
    let Protection::Sdes { local, remote } = protection(&machine) else {
        panic!("{:?}", protection(&machine));
    };
    assert_eq!((local.tag, remote.tag), (2, 1));
    assert_eq!(local.suite, remote.suite);

    let mut machine = OfferAnswer::new();
    machine.handle(Input::LocalOffer(audio(1, &[SRTP, &line(1, SHORT)]))).unwrap();
    let outcome = machine.handle(Input::RemoteAnswer(audio(1, &[SRTP, &line(1, LONG)])));
    assert_eq!(outcome.unwrap_err().rule, Rule::CryptoNotOffered { media: 0 });
}

/// What was agreed once is what is offered again: neither hold nor resume changes transport or keys.
#[test]
fn a_new_offer_keeps_the_transport_of_the_agreement() {
    let (mut alice, mut bob) = (phone(1, sdes(LONG)), phone(2, opportunistic()));
    common::exchange(&mut alice, &mut bob);
    let before = protection(&bob.machine);
    let offer = bob.offer();
    assert_eq!(offer.media[0].protocol, Protocol::RtpSavp);
    let answer = alice.answer(&offer).unwrap();
    bob.machine.handle(Input::RemoteAnswer(answer)).unwrap();
    assert_eq!(protection(&bob.machine), before);
}

/// RFC 8842 §5.5: an association keeps its roles, whoever offers next.
#[test]
fn the_roles_of_a_handshake_stay() {
    let (mut alice, mut bob) = (phone(1, dtls()), phone(2, dtls()));
    common::exchange(&mut alice, &mut bob);
    let before = (protection(&alice.machine), protection(&bob.machine));
    common::exchange(&mut bob, &mut alice);
    assert_eq!((protection(&alice.machine), protection(&bob.machine)), before);
    common::exchange(&mut alice, &mut bob);
    assert_eq!((protection(&alice.machine), protection(&bob.machine)), before);
}

/// RFC 8839 §4.3.1.
#[test]
fn candidates_answer_only_an_offer_with_candidates() {
    let mut bob = phone(2, Security::None);
    let stream = &mut bob.wishes.streams[0];
    for (name, value) in [("ice-ufrag", "8hhY"), ("candidate", "1 1 UDP 1 192.0.2.2 49170 typ host")] {
        stream.attributes.push(Attribute::new(name, value).unwrap());
    }
    let media = "m=audio 4000 RTP/AVP 0";
    let answer = bob.wishes.answer(&audio(1, &[media])).unwrap();
    assert!(!answer.media[0].attributes.has("candidate") && !answer.media[0].attributes.has("ice-ufrag"));
    let answer = bob.wishes.answer(&audio(1, &[media, "a=ice-ufrag:9uB6"])).unwrap();
    assert!(answer.media[0].attributes.has("candidate"));
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
