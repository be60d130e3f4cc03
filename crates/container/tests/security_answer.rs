//! Answering challenges with `addAuthHeader`: RFC 3261 §22.2 and §22.3, RFC 7616 §3.5 and §3.6.

#![allow(clippy::unwrap_used, reason = "an unwrap of a test is an assertion")]

mod security_common;

use container::security::*;
use security_common::*;
use servlet::AuthInfo;
use sip_dialog::digest::{Asker, Unanswered};
use sip_message::header::{Authorization, DigestCredentials, TypedHeader as _};
use sip_message::{HeaderName, Method, Request, Response, StatusCode, UriBuf};

const HOME: &str = "Digest realm=\"home\", nonce=\"h1\", qop=\"auth\", algorithm=SHA-256";
const TRANSIT: &str = "Digest realm=\"transit\", nonce=\"t1\", qop=\"auth\", algorithm=MD5";
const WWW: HeaderName = HeaderName::WwwAuthenticate;
const PROXY: HeaderName = HeaderName::ProxyAuthenticate;

fn info() -> AuthInfo {
    let mut info = AuthInfo::new();
    info.add_auth_info(StatusCode::UNAUTHORIZED, "home", "alice", "one").unwrap();
    info.add_auth_info(StatusCode::PROXY_AUTHENTICATION_REQUIRED, "transit", "trunk", "two").unwrap();
    info
}

fn invite() -> Request {
    request(Method::Invite)
}

fn in_dialog(method: Method) -> Request {
    request_with(method, "<sip:bob@example.com>;tag=b1")
}

/// The same request once more, with the answer.
fn again(session: &mut SessionCredentials, sent: &Request, response: &Response) -> Result<Request, Unanswered> {
    let mut next = request_with(sent.method().clone(), sent.headers().first(HeaderName::To).unwrap());
    next.headers_mut().copy_from(sent.headers(), HeaderName::Route);
    answer_challenge(&mut next, sent, response, &info(), session, CNONCE)?;
    Ok(next)
}

/// What `request` shows to a realm.
fn shown<'r>(request: &'r Request, asker: Asker, realm: &str) -> Option<DigestCredentials<'r>> {
    let fields = request.headers().fields_of(asker.credentials_header());
    let mut digests = fields.filter_map(|text| Authorization::parse(text).ok()?.digest().cloned());
    digests.find(|digest| digest.realm == realm)
}

#[test]
fn one_response_may_ask_for_the_server_and_for_proxies_at_once() {
    let sent = invite();
    let response = challenge(&sent, 407, &[(PROXY, TRANSIT), (WWW, HOME)]);
    assert_eq!(ChallengeRealms::of(&response).collect::<Vec<_>>(), ["home".into(), "transit".into()]);
    let next = again(&mut SessionCredentials::new(), &sent, &response).unwrap();
    assert_eq!(shown(&next, Asker::Server, "home").unwrap().username, "alice");
    assert_eq!(shown(&next, Asker::Proxy, "transit").unwrap().username, "trunk");
}

#[test]
fn the_realms_of_a_response_are_named_once_and_other_schemes_have_none() {
    let md5 = "Digest realm=\"a, \\\"b\\\"\", nonce=\"n\", algorithm=MD5";
    let sha = "Digest realm=\"a, \\\"b\\\"\", nonce=\"n\", algorithm=SHA-256";
    let response = challenge(&invite(), 401, &[(WWW, sha), (WWW, md5), (WWW, "Basic realm=\"c\""), (WWW, "Digest")]);
    assert_eq!(ChallengeRealms::of(&response).collect::<Vec<_>>(), ["a, \"b\"".into()]);
}

#[test]
fn a_realm_may_know_us_by_another_name_when_it_asks_as_a_proxy() {
    let mut both = AuthInfo::new();
    both.add_auth_info(StatusCode::UNAUTHORIZED, "home", "alice", "one").unwrap();
    both.add_auth_info(StatusCode::PROXY_AUTHENTICATION_REQUIRED, "home", "gateway", "two").unwrap();
    let (sent, mut next) = (invite(), invite());
    let response = challenge(&sent, 401, &[(WWW, HOME), (PROXY, HOME)]);
    answer_challenge(&mut next, &sent, &response, &both, &mut SessionCredentials::new(), CNONCE).unwrap();
    assert_eq!(shown(&next, Asker::Server, "home").unwrap().username, "alice");
    assert_eq!(shown(&next, Asker::Proxy, "home").unwrap().username, "gateway");
}

#[test]
fn a_realm_without_credentials_is_named_and_gets_none() {
    let sent = invite();
    let foreign = "Digest realm=\"foreign\", nonce=\"f\", qop=\"auth\"";
    let alone = challenge(&sent, 401, &[(WWW, foreign)]);
    let refused = again(&mut SessionCredentials::new(), &sent, &alone);
    assert_eq!(refused.unwrap_err(), Unanswered::NoAccount(vec!["foreign".into()]));

    let mut next = invite();
    let beside = challenge(&sent, 401, &[(WWW, foreign), (WWW, HOME)]);
    let answered =
        answer_challenge(&mut next, &sent, &beside, &info(), &mut SessionCredentials::new(), CNONCE).unwrap();
    assert_eq!(answered.realms, [(Asker::Server, "home".into())]);
    assert_eq!(answered.unanswered.len(), 1);
    assert!(shown(&next, Asker::Server, "foreign").is_none());
}

/// The status is part of what an application says: what is for a proxy is not shown to the far end.
#[test]
fn credentials_for_407_do_not_answer_401() {
    let sent = invite();
    let response = challenge(&sent, 401, &[(WWW, TRANSIT)]);
    let mut next = invite();
    let refused = answer_challenge(&mut next, &sent, &response, &info(), &mut SessionCredentials::new(), CNONCE);
    assert_eq!(refused, Err(Unanswered::NoAccount(vec!["transit".into()])));
    assert!(!next.headers().contains(HeaderName::Authorization));
}

#[test]
fn a_password_that_was_refused_is_not_sent_again() {
    let mut session = SessionCredentials::new();
    let sent = invite();
    let next = again(&mut session, &sent, &challenge(&sent, 401, &[(WWW, HOME)])).unwrap();
    let another = "Digest realm=\"home\", nonce=\"h2\", qop=\"auth\", algorithm=SHA-256";
    let refused = again(&mut session, &next, &challenge(&next, 401, &[(WWW, another)]));
    assert_eq!(refused.unwrap_err(), Unanswered::Refused("home".into()));
}

#[test]
fn another_password_is_tried_where_one_was_refused() {
    let mut session = SessionCredentials::new();
    let sent = invite();
    let mut next = again(&mut session, &sent, &challenge(&sent, 401, &[(WWW, HOME)])).unwrap();
    let other = AuthInfo::for_any_realm("alice", "corrected");
    let refusal = challenge(&next, 401, &[(WWW, HOME)]);
    let sent = next.clone();
    answer_challenge(&mut next, &sent, &refusal, &other, &mut session, CNONCE).unwrap();
    let (before, after) = (shown(&sent, Asker::Server, "home").unwrap(), shown(&next, Asker::Server, "home").unwrap());
    assert_ne!(before.response, after.response);
    assert_eq!(next.headers().fields_of(HeaderName::Authorization).count(), 1);
}

#[test]
fn a_stale_nonce_is_replaced_without_asking_but_not_for_ever() {
    let mut session = SessionCredentials::new();
    let sent = invite();
    let mut next = again(&mut session, &sent, &challenge(&sent, 401, &[(WWW, HOME)])).unwrap();
    let mut rounds = 0;
    for round in 0..10 {
        let stale = format!("Digest realm=\"home\", nonce=\"s{round}\", qop=\"auth\", algorithm=SHA-256, stale=true");
        match again(&mut session, &next, &challenge(&next, 401, &[(WWW, &stale)])) {
            Ok(request) => next = request,
            Err(why) => {
                assert_eq!(why, Unanswered::Refused("home".into()));
                break;
            }
        }
        rounds += 1;
    }
    assert!((1..10).contains(&rounds), "{rounds}");
}

/// RFC 7616 §3.4: the count rises with every request for which the nonce is used.
#[test]
fn a_further_request_of_the_session_carries_the_next_count() {
    let mut session = SessionCredentials::new();
    let sent = invite();
    again(&mut session, &sent, &challenge(&sent, 401, &[(WWW, HOME)])).unwrap();
    for count in 2..5 {
        let mut next = in_dialog(Method::Invite);
        assert!(session.authorize(&mut next, CNONCE).unwrap());
        let digest = shown(&next, Asker::Server, "home").unwrap();
        assert_eq!((&*digest.nonce, digest.nonce_count), ("h1", Some(count)));
    }
}

/// A second proxy may ask when the first is content: the first sees the same nonce once more, which must not be a replay.
#[test]
fn a_realm_that_was_content_gets_the_next_count_when_another_one_asks() {
    let mut session = SessionCredentials::new();
    let sent = invite();
    let second = again(&mut session, &sent, &challenge(&sent, 407, &[(PROXY, TRANSIT)])).unwrap();
    let third = again(&mut session, &second, &challenge(&second, 401, &[(WWW, HOME)])).unwrap();
    let digest = shown(&third, Asker::Proxy, "transit").unwrap();
    assert_eq!((&*digest.nonce, digest.nonce_count), ("t1", Some(2)));
    assert_eq!(third.headers().fields_of(HeaderName::ProxyAuthorization).count(), 1);
    assert_eq!(shown(&third, Asker::Server, "home").unwrap().nonce_count, Some(1));
}

/// RFC 7616 §3.5.
#[test]
fn the_next_nonce_is_used_from_its_first_count_on() {
    let mut session = SessionCredentials::new();
    let sent = invite();
    let next = again(&mut session, &sent, &challenge(&sent, 401, &[(WWW, HOME)])).unwrap();
    let mut success = Response::to(&next, StatusCode::OK);
    success.headers_mut().push(HeaderName::AuthenticationInfo, "nextnonce=\"h2\"").unwrap();
    session.succeeded(&next, &success);
    let mut further = in_dialog(Method::Bye);
    session.authorize(&mut further, CNONCE).unwrap();
    let digest = shown(&further, Asker::Server, "home").unwrap();
    assert_eq!((&*digest.nonce, digest.nonce_count), ("h2", Some(1)));
}

/// A callee who asks for the gateway's password gets nothing, whichever way it asks.
#[test]
fn the_far_end_of_a_dialog_is_no_proxy() {
    let mut session = SessionCredentials::new();
    let sent = invite();
    again(&mut session, &sent, &challenge(&sent, 407, &[(PROXY, TRANSIT)])).unwrap();

    let mut bye = in_dialog(Method::Bye);
    assert!(!session.authorize(&mut bye, CNONCE).unwrap());
    assert!(!bye.headers().contains(HeaderName::ProxyAuthorization));
    let refused = again(&mut session, &bye, &challenge(&bye, 407, &[(PROXY, TRANSIT)]));
    assert_eq!(refused.unwrap_err(), Unanswered::OtherWay("transit".into()));
    let refused = again(&mut session, &bye, &challenge(&bye, 401, &[(WWW, TRANSIT)]));
    assert_eq!(refused.unwrap_err(), Unanswered::NoAccount(vec!["transit".into()]));

    let mut by_route = with(in_dialog(Method::Bye), HeaderName::Route, "<sip:proxy.example.com;lr>");
    assert!(session.authorize(&mut by_route, CNONCE).unwrap());
    assert!(
        again(
            &mut session,
            &by_route,
            &challenge(&by_route, 407, &[(PROXY, "Digest realm=\"transit\", nonce=\"t2\", stale=true")])
        )
        .is_ok()
    );
}

#[test]
fn credentials_for_any_realm_answer_no_new_realm_within_a_dialog() {
    let any = AuthInfo::for_any_realm("alice", "one");
    let mut session = SessionCredentials::new();
    let (sent, mut next) = (invite(), invite());
    answer_challenge(&mut next, &sent, &challenge(&sent, 401, &[(WWW, HOME)]), &any, &mut session, CNONCE).unwrap();

    let bye = in_dialog(Method::Bye);
    let mut next = in_dialog(Method::Bye);
    let gateway = challenge(&bye, 401, &[(WWW, "Digest realm=\"gateway\", nonce=\"g\", qop=\"auth\"")]);
    let refused = answer_challenge(&mut next, &bye, &gateway, &any, &mut session, CNONCE);
    assert_eq!(refused, Err(Unanswered::NoAccount(vec!["gateway".into()])));
    let known = challenge(&bye, 401, &[(WWW, "Digest realm=\"home\", nonce=\"h9\", qop=\"auth\"")]);
    assert!(answer_challenge(&mut next, &bye, &known, &any, &mut session, CNONCE).is_ok());
}

#[test]
fn nothing_goes_unasked_to_another_host_outside_a_dialog() {
    let mut session = SessionCredentials::new();
    let sent = invite();
    again(&mut session, &sent, &challenge(&sent, 401, &[(WWW, HOME)])).unwrap();
    let mut redirected = invite();
    redirected.set_uri(&UriBuf::parse("sip:bob@elsewhere.example.org").unwrap());
    assert!(!session.authorize(&mut redirected, CNONCE).unwrap());
    assert!(!redirected.headers().contains(HeaderName::Authorization));
    assert!(session.authorize(&mut invite(), CNONCE).unwrap());
}

/// RFC 3261 §13.2.2.4, §22.1.
#[test]
fn an_ack_carries_the_credentials_of_its_invite() {
    let sent = invite();
    let response = challenge(&sent, 407, &[(PROXY, TRANSIT), (WWW, HOME)]);
    let next = again(&mut SessionCredentials::new(), &sent, &response).unwrap();
    let mut ack = in_dialog(Method::Ack);
    carry_credentials(&next, &mut ack);
    for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
        assert_eq!(ack.headers().first(name), next.headers().first(name));
    }
}

#[test]
fn a_response_without_a_challenge_has_no_answer_and_changes_nothing() {
    let (sent, mut next) = (invite(), invite());
    let before = next.to_bytes();
    for challenges in [&[][..], &[(WWW, "Basic realm=\"home\"")], &[(WWW, "Digest realm=\"home\"")]] {
        let response = challenge(&sent, 401, challenges);
        let refused = answer_challenge(&mut next, &sent, &response, &info(), &mut SessionCredentials::new(), CNONCE);
        assert_eq!(refused, Err(Unanswered::NoChallenge));
    }
    assert_eq!(next.to_bytes(), before);
}

#[test]
fn a_server_of_ours_accepts_what_a_session_of_ours_answers() {
    let mut guard = guard(policy(agents_only()));
    let mut info = AuthInfo::new();
    info.add_auth_info(StatusCode::UNAUTHORIZED, REALM, "alice", password_of("alice")).unwrap();
    let mut session = SessionCredentials::new();
    let (sent, mut next) = (invite(), invite());
    let asked = refused(judged(&mut guard, &sent, &stranger(), at(0))).response(&sent);
    answer_challenge(&mut next, &sent, &asked, &info, &mut session, CNONCE).unwrap();
    admitted(judged(&mut guard, &next, &stranger(), at(1)));
    for second in 2..6 {
        let mut further = in_dialog(Method::Info);
        session.authorize(&mut further, CNONCE).unwrap();
        admitted(judged(&mut guard, &further, &stranger(), at(second)));
    }
}

#[test]
fn a_session_prints_no_password() {
    let mut session = SessionCredentials::new();
    let (sent, mut next) = (invite(), invite());
    let any = AuthInfo::for_any_realm("alice", "hunter2");
    answer_challenge(&mut next, &sent, &challenge(&sent, 401, &[(WWW, HOME)]), &any, &mut session, CNONCE).unwrap();
    assert!(!format!("{session:?}").contains("hunter2"));
}
