//! RFC 3261 §22, RFC 7616, RFC 8760: digest authentication.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::*;
use sip_dialog::digest::algorithm::{ClientNonce, Transcript};
use sip_dialog::digest::{
    Account, Algorithm, Asker, Authenticator, AuthenticatorSettings, DigestClient, HashFunction, HexDigest, Qop,
    Refusal, Secret, Unanswered, UriCheck, Verdict,
};
use sip_message::{HeaderName, Request, Response};

const REALM: &str = "example.com";
const PASSWORD: &str = "s3crét:pw";

fn account(realm: &str) -> Account {
    let secret = Secret::Password(PASSWORD.into());
    Account { realm: realm.into(), username: "alice".into(), secret, next_hop: None }
}

fn client() -> DigestClient {
    DigestClient::new([account(REALM)])
}

fn server(asker: Asker) -> Authenticator {
    Authenticator::new(AuthenticatorSettings::new(asker, REALM, [3; 32]))
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn secret_of(user: &str) -> Option<Secret> {
    (user == "alice").then(|| Secret::Password(PASSWORD.into()))
}

fn challenged(code: u16, name: HeaderName, challenges: &[&str]) -> Response {
    let mut response = Response::to(&invite(None), status(code));
    for challenge in challenges {
        response.headers_mut().push(name, *challenge).unwrap();
    }
    response
}

fn answer_401(client: &mut DigestClient, challenges: &[&str]) -> Result<Request, Unanswered> {
    let mut request = invite(Some(OFFER));
    client.answer(&mut request, &challenged(401, HeaderName::WwwAuthenticate, challenges), "0a4f113b")?;
    Ok(request)
}

fn authorization(request: &Request) -> &str {
    request.headers().first(HeaderName::Authorization).expect("credentials")
}

fn authenticated() -> Verdict {
    Verdict::Authenticated { username: "alice".into() }
}

/// A request that answers a fresh challenge.
fn authorized(client: &mut DigestClient, server: &mut Authenticator, now: SystemTime) -> Request {
    let mut request = invite(Some(OFFER));
    let challenge = server.challenge(now, &request, b"", false).unwrap();
    client.answer(&mut request, &challenge, "0a4f113b").unwrap();
    request
}

/// The values of RFC 2617 and RFC 7616, and our own for SIP. The SHA-512-256 example that RFC 7616 §3.9.2 prints was made
/// with the first half of SHA-512; what has to come out is another value.
#[test]
fn responses_are_those_of_the_rfcs() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("vectors/digest_vectors.json")).unwrap();
    let mut checked = 0;
    for vector in vectors.as_array().unwrap() {
        let text = |name: &str| vector.get(name).and_then(|value| value.as_str());
        let Some(algorithm) = Algorithm::parse(text("algorithm").unwrap()) else {
            assert_eq!(text("algorithm"), Some("SHA-512 cut to 256 bits"));
            continue;
        };
        let session = vector.get("sess").and_then(serde_json::Value::as_bool).unwrap_or(false);
        let secret = Secret::Password(text("pw").unwrap().into());
        let ha1 = secret.ha1(algorithm.hash, text("user").unwrap(), text("realm").unwrap()).unwrap();
        let client = text("qop").map(|qop| ClientNonce {
            qop: Qop::parse(qop).unwrap(),
            count: u32::from_str_radix(text("nc").unwrap(), 16).unwrap(),
            cnonce: text("cn").unwrap(),
        });
        let transcript = Transcript {
            algorithm: Algorithm { session, ..algorithm },
            nonce: text("nonce").unwrap(),
            client,
            method: text("method").unwrap(),
            uri: text("uri").unwrap(),
            body: text("body").unwrap_or("").as_bytes(),
        };
        assert_eq!(transcript.response(ha1).as_str(), text("response").unwrap(), "{}", text("id").unwrap());
        checked += 1;
    }
    assert_eq!(checked, 19);
}

// ----- the client -----

#[test]
fn a_challenge_is_answered() {
    let mut client = client();
    let request =
        answer_401(&mut client, &[r#"Digest realm="example.com", nonce="n1", opaque="o", algorithm=MD5, qop="auth""#])
            .unwrap();
    let value = authorization(&request);
    for part in [
        r#"Digest username="alice""#,
        r#"realm="example.com""#,
        r#"nonce="n1""#,
        r#"uri="sip:bob@example.com""#,
        "algorithm=MD5",
        r#"cnonce="0a4f113b""#,
        r#"opaque="o""#,
        "qop=auth",
        "nc=00000001",
    ] {
        assert!(value.contains(part), "{part} in {value}");
    }
}

/// RFC 8760 §2.4 by local policy: not the topmost, the strongest.
#[test]
fn of_several_challenges_the_strongest_is_answered() {
    let md5 = r#"Digest realm="example.com", nonce="n1", algorithm=MD5, qop="auth""#;
    let sha256 = r#"Digest realm="example.com", nonce="n2", algorithm=SHA-256, qop="auth""#;
    let unknown = r#"Digest realm="example.com", nonce="n3", algorithm=SHA-3, qop="auth""#;
    for order in [[md5, sha256, unknown], [unknown, sha256, md5], [sha256, md5, unknown]] {
        let request = answer_401(&mut client(), &order).unwrap();
        assert_eq!(request.headers().fields_of(HeaderName::Authorization).count(), 1);
        assert!(authorization(&request).contains("algorithm=SHA-256"));
    }
}

#[test]
fn a_kept_ha1_answers_its_own_hash_only() {
    let ha1 = Secret::Password(PASSWORD.into()).ha1(HashFunction::Md5, "alice", REALM).unwrap();
    let secret = Secret::Ha1(vec![(HashFunction::Md5, ha1)]);
    let mut client = DigestClient::new([Account { secret, ..account(REALM) }]);
    let md5 = r#"Digest realm="example.com", nonce="n1", qop="auth""#;
    let sha256 = r#"Digest realm="example.com", nonce="n2", algorithm=SHA-256, qop="auth""#;
    assert!(authorization(&answer_401(&mut client, &[sha256, md5]).unwrap()).contains(r#"nonce="n1""#));
    assert_eq!(answer_401(&mut client, &[sha256]).err(), Some(Unanswered::NoAlgorithm(REALM.into())));
}

/// Never Basic (§22.1), and nothing for a realm that has no account: a digest is worth an attack on the password.
#[test]
fn what_is_not_ours_to_answer_gets_no_credentials() {
    let foreign = r#"Digest realm="evil.example.net", nonce="n1", qop="auth""#;
    assert_eq!(
        answer_401(&mut client(), &[foreign]).err(),
        Some(Unanswered::NoAccount(vec!["evil.example.net".into()]))
    );
    assert_eq!(answer_401(&mut client(), &[r#"Basic realm="example.com""#]).err(), Some(Unanswered::NoChallenge));
    assert_eq!(answer_401(&mut client(), &[]).err(), Some(Unanswered::NoChallenge));
    let no_qop = r#"Digest realm="example.com", nonce="n1", qop="token""#;
    assert_eq!(answer_401(&mut client(), &[no_qop]).err(), Some(Unanswered::NoAlgorithm(REALM.into())));
}

/// A callee that challenges a BYE with the realm of the caller's provider gets nothing: the BYE does not go there.
#[test]
fn credentials_leave_on_the_accounts_way_only() {
    let account = Account { next_hop: Some("proxy.example.com".into()), ..account(REALM) };
    let mut client = DigestClient::new([account]);
    let challenge = r#"Digest realm="example.com", nonce="n1", qop="auth""#;
    assert_eq!(answer_401(&mut client, &[challenge]).err(), Some(Unanswered::OtherWay(REALM.into())));
    let mut request = invite(None);
    request.headers_mut().push(HeaderName::Route, "<sip:PROXY.example.com;lr>").unwrap();
    let response = challenged(401, HeaderName::WwwAuthenticate, &[challenge]);
    assert_eq!(client.answer(&mut request, &response, "c"), Ok(()));
}

/// §22.3: a request may need credentials for several proxies and the server.
#[test]
fn several_realms_each_get_their_credentials() {
    let mut client = DigestClient::new([account(REALM), account("proxy.example.com")]);
    let mut request = invite(None);
    let first =
        challenged(407, HeaderName::ProxyAuthenticate, &[r#"Digest realm="proxy.example.com", nonce="p", qop="auth""#]);
    client.answer(&mut request, &first, "c").unwrap();
    let second =
        challenged(401, HeaderName::WwwAuthenticate, &[r#"Digest realm="example.com", nonce="s", qop="auth""#]);
    client.answer(&mut request, &second, "c").unwrap();
    assert!(request.headers().first(HeaderName::ProxyAuthorization).unwrap().contains(r#"nonce="p""#));
    assert!(authorization(&request).contains(r#"nonce="s""#));
}

#[test]
fn a_second_challenge_after_our_credentials_is_a_refusal() {
    let mut client = client();
    let mut request = answer_401(&mut client, &[r#"Digest realm="example.com", nonce="n1", qop="auth""#]).unwrap();
    let again =
        challenged(401, HeaderName::WwwAuthenticate, &[r#"Digest realm="example.com", nonce="n2", qop="auth""#]);
    assert_eq!(client.answer(&mut request, &again, "c"), Err(Unanswered::Refused(REALM.into())));
}

/// RFC 7616 §3.3: stale=true asks for the same with a new nonce; not for ever, and not with the same one.
#[test]
fn a_stale_nonce_is_replaced_a_few_times() {
    let mut client = client();
    let mut request = answer_401(&mut client, &[r#"Digest realm="example.com", nonce="n0", qop="auth""#]).unwrap();
    let stale = |nonce: u32| {
        let challenge = format!(r#"Digest realm="example.com", nonce="n{nonce}", qop="auth", stale=true"#);
        challenged(401, HeaderName::WwwAuthenticate, &[&challenge])
    };
    assert_eq!(client.answer(&mut request, &stale(0), "c"), Err(Unanswered::Refused(REALM.into())));
    for nonce in 1..=3 {
        client.answer(&mut request, &stale(nonce), "c").unwrap();
        assert!(authorization(&request).contains(&format!(r#"nonce="n{nonce}""#)));
    }
    assert_eq!(client.answer(&mut request, &stale(4), "c"), Err(Unanswered::Refused(REALM.into())));
}

/// §22.2: further requests use the nonce again, with a count that rises; a refusal of those is a new beginning.
#[test]
fn known_nonces_are_used_again_with_a_rising_count() {
    let mut client = client();
    answer_401(&mut client, &[r#"Digest realm="example.com", nonce="n1", qop="auth""#]).unwrap();
    let mut request = invite(None);
    for count in 2..4 {
        assert_eq!(client.authorize(&mut request, "c"), Ok(true));
        assert!(authorization(&request).contains(&format!("nc={count:08x}")));
    }
    let again =
        challenged(401, HeaderName::WwwAuthenticate, &[r#"Digest realm="example.com", nonce="n2", qop="auth""#]);
    assert_eq!(client.answer(&mut request, &again, "c"), Ok(()));
    assert!(authorization(&request).contains("nc=00000001"));
    assert_eq!(DigestClient::new([]).authorize(&mut request, "c"), Ok(false));
}

/// RFC 7616 §3.5: nextnonce.
#[test]
fn the_next_nonce_of_a_success_is_used() {
    let mut client = client();
    let request = answer_401(&mut client, &[r#"Digest realm="example.com", nonce="n1", qop="auth""#]).unwrap();
    let mut ok = Response::to(&request, status(200));
    ok.headers_mut().push(HeaderName::AuthenticationInfo, r#"nextnonce="n9""#).unwrap();
    client.succeeded(&request, &ok);
    let mut next = invite(None);
    client.authorize(&mut next, "c").unwrap();
    assert!(authorization(&next).contains(r#"nonce="n9""#) && authorization(&next).contains("nc=00000001"));
}

#[test]
fn a_peer_of_rfc_2069_is_answered_without_qop() {
    let mut client = client();
    let request =
        answer_401(&mut client, &[r#"Digest realm="example.com", nonce="ABEiM0RVZneImaq7zN3u/w==""#]).unwrap();
    assert!(authorization(&request).contains("5a9b153300cb0545983c05c1316c11ef"));
    for absent in ["qop", "nc=", "cnonce", "algorithm"] {
        assert!(!authorization(&request).contains(absent), "{absent}");
    }
}

// ----- the server -----

/// RFC 8760 §2.3: one challenge an algorithm, the strongest on top, all with one nonce.
#[test]
fn challenges_come_strongest_first() {
    for (asker, code, name) in
        [(Asker::Server, 401, HeaderName::WwwAuthenticate), (Asker::Proxy, 407, HeaderName::ProxyAuthenticate)]
    {
        let response = server(asker).challenge(at(0), &invite(None), b"", false).unwrap();
        assert_eq!(response.status().code(), code);
        let challenges: Vec<&str> = response.headers().fields_of(name).collect();
        assert_eq!(challenges.len(), 3);
        for (challenge, algorithm) in challenges.iter().zip(["SHA-512-256", "SHA-256", "MD5"]) {
            assert!(challenge.contains(&format!("algorithm={algorithm},")), "{challenge}");
            assert!(challenge.contains(r#"qop="auth""#) && !challenge.contains("stale"));
        }
    }
}

#[test]
fn client_and_server_understand_each_other() {
    for asker in Asker::ALL {
        for session in [false, true] {
            for hash in HashFunction::STRONGEST_FIRST {
                let mut settings = AuthenticatorSettings::new(asker, REALM, [3; 32]);
                settings.algorithms = vec![Algorithm { hash, session }];
                let (mut server, mut client) = (Authenticator::new(settings), client());
                let request = authorized(&mut client, &mut server, at(0));
                assert_eq!(server.verify(at(1), &request, b"", secret_of), authenticated(), "{hash:?} {session}");
            }
        }
    }
}

/// RFC 7616 §3.4.3: auth-int protects the body.
#[test]
fn auth_int_notices_a_changed_body() {
    let mut settings = AuthenticatorSettings::new(Asker::Server, REALM, [3; 32]);
    settings.auth_int = true;
    let mut server = Authenticator::new(settings);
    let mut request = invite(Some(OFFER));
    let challenge = server.challenges(at(0), b"", false)[0].replace("auth,auth-int", "auth-int");
    client().answer(&mut request, &challenged(401, HeaderName::WwwAuthenticate, &[&challenge]), "c").unwrap();
    assert!(authorization(&request).contains("qop=auth-int"));
    let mut changed = request.clone();
    changed.set_body("application/sdp", ANSWER).unwrap();
    assert_eq!(server.verify(at(1), &changed, b"", secret_of), Verdict::Refused(Refusal::WrongResponse));
    assert_eq!(server.verify(at(1), &request, b"", secret_of), authenticated());
}

#[test]
fn a_request_without_credentials_for_the_realm_is_to_be_challenged() {
    let mut server = server(Asker::Server);
    assert_eq!(server.verify(at(0), &invite(None), b"", secret_of), Verdict::NoCredentials);
    let mut client = DigestClient::new([account("other.example.com")]);
    let request = answer_401(&mut client, &[r#"Digest realm="other.example.com", nonce="n", qop="auth""#]).unwrap();
    assert_eq!(server.verify(at(0), &request, b"", secret_of), Verdict::NoCredentials);
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_refused_alike() {
    let mut server = server(Asker::Server);
    let request = authorized(&mut client(), &mut server, at(0));
    let wrong = |_: &str| Some(Secret::Password("other".into()));
    let mut asked = 0;
    assert_eq!(server.verify(at(0), &request, b"", wrong), Verdict::Refused(Refusal::WrongResponse));
    let nobody = server.verify(at(0), &request, b"", |_| {
        asked += 1;
        None
    });
    assert_eq!((nobody, asked), (Verdict::Refused(Refusal::WrongResponse), 1));
    // An account that lacks this hash is none either.
    let md5 = Secret::Password(PASSWORD.into()).ha1(HashFunction::Md5, "alice", REALM).unwrap();
    let only_md5 = move |_: &str| Some(Secret::Ha1(vec![(HashFunction::Md5, md5)]));
    assert_eq!(server.verify(at(0), &request, b"", only_md5), Verdict::Refused(Refusal::WrongResponse));
}

#[test]
fn hashes_can_be_kept_in_the_place_of_passwords() {
    let mut server = server(Asker::Server);
    let request = authorized(&mut client(), &mut server, at(0));
    let hashed = |_: &str| Some(Secret::hashed("alice", REALM, PASSWORD));
    assert_eq!(server.verify(at(0), &request, b"", hashed), authenticated());
    assert!(HexDigest::parse(HashFunction::Md5, "0123").is_none());
}

/// RFC 7616 §5.4: a nonce lives for five minutes, and a clock that was set back does not matter.
#[test]
fn an_old_nonce_is_stale() {
    for (verified_at, expected) in [(at(300), authenticated()), (at(301), Verdict::Stale)] {
        let mut server = server(Asker::Server);
        let request = authorized(&mut client(), &mut server, at(0));
        assert_eq!(server.verify(verified_at, &request, b"", secret_of), expected);
    }
    let mut server = server(Asker::Server);
    let request = authorized(&mut client(), &mut server, at(200));
    assert_eq!(server.verify(at(0), &request, b"", secret_of), authenticated());
}

/// stale=true: the client tries again by itself, and comes in.
#[test]
fn a_stale_challenge_leads_to_success() {
    let (mut server, mut client) = (server(Asker::Server), client());
    let mut request = authorized(&mut client, &mut server, at(0));
    assert_eq!(server.verify(at(1000), &request, b"", secret_of), Verdict::Stale);
    let stale = server.challenge(at(1000), &request, b"", true).unwrap();
    client.answer(&mut request, &stale, "c").unwrap();
    assert_eq!(server.verify(at(1001), &request, b"", secret_of), authenticated());
}

/// RFC 7616 §5.5: what was seen once is not accepted again, and counts don't go back.
#[test]
fn a_replay_is_stale() {
    let (mut server, mut client) = (server(Asker::Server), client());
    let first = authorized(&mut client, &mut server, at(0));
    let mut third = invite(None);
    client.authorize(&mut third, "c").unwrap();
    let second = third.clone();
    client.authorize(&mut third, "c").unwrap();
    assert_eq!(server.verify(at(1), &first, b"", secret_of), authenticated());
    assert_eq!(server.verify(at(1), &first, b"", secret_of), Verdict::Stale);
    assert_eq!(server.verify(at(1), &third, b"", secret_of), authenticated());
    assert_eq!(server.verify(at(1), &second, b"", secret_of), Verdict::Stale);
}

#[test]
fn without_qop_a_nonce_is_good_for_one_request() {
    let mut server = server(Asker::Server);
    let challenge = server.challenges(at(0), b"", false)[2].replace(r#", qop="auth""#, "");
    let mut client = client();
    let request = answer_401(&mut client, &[&challenge]).unwrap();
    assert_eq!(server.verify(at(1), &request, b"", secret_of), authenticated());
    let mut next = invite(None);
    client.authorize(&mut next, "c").unwrap();
    assert_eq!(server.verify(at(1), &next, b"", secret_of), Verdict::Stale);
}

/// A nonce that is not ours, of another instance's key or another source: right password, wrong nonce.
#[test]
fn a_foreign_nonce_is_stale() {
    let mut server = server(Asker::Server);
    let request =
        answer_401(&mut client(), &[r#"Digest realm="example.com", nonce="made-up", qop="auth", algorithm=SHA-256"#])
            .unwrap();
    assert_eq!(server.verify(at(1), &request, b"", secret_of), Verdict::Stale);
    let mut bound = invite(None);
    let challenge = server.challenge(at(0), &bound, b"192.0.2.1", false).unwrap();
    client().answer(&mut bound, &challenge, "c").unwrap();
    assert_eq!(server.verify(at(1), &bound, b"192.0.2.66", secret_of), Verdict::Stale);
    assert_eq!(server.verify(at(1), &bound, b"192.0.2.1", secret_of), authenticated());
}

/// Credentials are for one method and one resource.
#[test]
fn credentials_of_another_request_are_refused() {
    let mut server = server(Asker::Server);
    let request = authorized(&mut client(), &mut server, at(0));
    let value = authorization(&request).to_owned();
    let with = |text: &str| {
        let mut other = parse_request(text);
        other.headers_mut().push(HeaderName::Authorization, &value).unwrap();
        other
    };
    let text = |line: &str, method: &str| {
        format!(
            "{line} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 {method}\r\n\r\n"
        )
    };
    let other_method = with(&text("MESSAGE sip:bob@example.com", "MESSAGE"));
    assert_eq!(server.verify(at(1), &other_method, b"", secret_of), Verdict::Refused(Refusal::WrongResponse));
    let other_user = with(&text("INVITE sip:carol@example.com", "INVITE"));
    assert_eq!(server.verify(at(1), &other_user, b"", secret_of), Verdict::Refused(Refusal::OtherUri));
    // A proxy on the way may add parameters.
    let same_user = with(&text("INVITE sip:bob@EXAMPLE.com:5060;transport=udp", "INVITE"));
    assert_eq!(server.verify(at(1), &same_user, b"", secret_of), authenticated());
}

/// §22.4: behind a proxy that gives requests another target the check can be left out.
#[test]
fn the_uri_check_can_be_left_out() {
    let mut settings = AuthenticatorSettings::new(Asker::Server, REALM, [3; 32]);
    settings.uri_check = UriCheck::Skipped;
    let mut server = Authenticator::new(settings);
    let mut request = authorized(&mut client(), &mut server, at(0));
    request.set_uri(&sip_message::UriBuf::parse("sip:bob@192.0.2.2").unwrap());
    assert_eq!(server.verify(at(1), &request, b"", secret_of), authenticated());
}

#[test]
fn what_was_not_offered_or_is_incomplete_is_refused() {
    let mut server = server(Asker::Server);
    let request = authorized(&mut client(), &mut server, at(0));
    let value = authorization(&request).to_owned();
    for (from, to, expected) in [
        ("algorithm=SHA-512-256", "algorithm=SHA-256-sess", Refusal::NotOffered),
        ("algorithm=SHA-512-256", "algorithm=SHA-1", Refusal::NotOffered),
        ("qop=auth", "qop=auth-int", Refusal::NotOffered),
        ("qop=auth", "qop=x", Refusal::NotOffered),
        (", nc=00000001", "", Refusal::Incomplete),
        ("cnonce=\"0a4f113b\", ", "", Refusal::Incomplete),
        ("nc=00000001", "nc=00000002", Refusal::WrongResponse),
        ("response=\"", "response=\"0", Refusal::WrongResponse),
    ] {
        let changed = value.replace(from, to);
        assert_ne!(changed, value, "{from}");
        let mut forged = request.clone();
        forged.headers_mut().set(HeaderName::Authorization, &changed).unwrap();
        assert_eq!(server.verify(at(1), &forged, b"", secret_of), Verdict::Refused(expected), "{to}");
    }
}

#[test]
fn no_two_challenges_have_the_same_nonce() {
    let mut server = server(Asker::Server);
    let nonces: std::collections::HashSet<String> =
        (0..100).map(|_| server.challenges(at(0), b"", false).remove(0)).collect();
    assert_eq!(nonces.len(), 100);
}
