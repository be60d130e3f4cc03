//! Security constraints with digest: SIP Servlet 1.1 `security-constraint`, RFC 3261 §22, RFC 7616, RFC 8760.

#![allow(clippy::unwrap_used, reason = "an unwrap of a test is an assertion")]

mod security_common;

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use container::security::*;
use security_common::*;
use sip_message::{HeaderName, Method, StatusCode};

#[test]
fn what_no_constraint_fits_is_admitted_and_nobody_is_asked() {
    let mut guard = guard(policy(SecurityConstraint { methods: vec![Method::Refer], ..agents_only() }));
    assert_eq!(judged(&mut guard, &request(Method::Invite), &stranger(), at(0)), Verdict::Admitted(None));
    let refer = refused(judged(&mut guard, &request(Method::Refer), &stranger(), at(0)));
    assert_eq!(refer.status, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_constraint_is_for_the_servlets_that_it_names() {
    let mut guard = guard(policy(SecurityConstraint { servlets: vec!["voicemail".into()], ..agents_only() }));
    let invite = request(Method::Invite);
    assert!(matches!(guard.begin("main", &invite, &stranger(), at(0)), Step::Decided(Verdict::Admitted(None))));
    assert!(matches!(guard.begin("voicemail", &invite, &stranger(), at(0)), Step::Decided(Verdict::Refused(_))));
}

/// RFC 8760 §2.3: one challenge an algorithm, the strongest first.
#[test]
fn who_shows_no_credentials_is_challenged_once_for_each_algorithm() {
    let mut guard = guard(policy(agents_only()));
    let invite = request(Method::Invite);
    let denial = refused(judged(&mut guard, &invite, &stranger(), at(0)));
    assert_eq!((denial.status, &denial.reason), (StatusCode::UNAUTHORIZED, &DenialReason::NoCredentials));
    let response = denial.response(&invite);
    let challenges: Vec<&str> = response.headers().fields_of(HeaderName::WwwAuthenticate).collect();
    assert_eq!(challenges.len(), 2);
    assert!(challenges[0].contains("algorithm=SHA-256") && challenges[1].contains("algorithm=MD5"), "{challenges:?}");
    assert_eq!(response.headers().first(HeaderName::CallId), Some("call-1@example.com"));
}

#[test]
fn who_knows_the_password_is_admitted_with_name_and_roles() {
    let mut guard = guard(policy(agents_only()));
    let invite = signed(&mut guard, &mut phone("alice", password_of("alice")), request(Method::Invite), at(0));
    let principal = admitted(judged(&mut guard, &invite, &stranger(), at(1))).unwrap();
    assert_eq!((&*principal.name, &*principal.realm, principal.proof), ("alice", REALM, Proof::Digest));
    assert!(principal.is_in_role("agent") && !principal.is_in_role("guest"));
}

/// `proxy-authentication` of the descriptor: 407, and the answer is read from Proxy-Authorization.
#[test]
fn a_proxy_asks_with_407_and_reads_its_own_header() {
    let mut guard = guard(policy(SecurityConstraint { proxy_authentication: true, ..agents_only() }));
    let mut phone = phone("alice", password_of("alice"));
    let invite = signed(&mut guard, &mut phone, request(Method::Invite), at(0));
    assert!(invite.headers().contains(HeaderName::ProxyAuthorization));
    let principal = admitted(judged(&mut guard, &invite, &stranger(), at(0))).unwrap();
    assert_eq!(&*principal.name, "alice");

    let shown = invite.headers().first(HeaderName::ProxyAuthorization).unwrap();
    let elsewhere = with(request(Method::Invite), HeaderName::Authorization, shown);
    let denial = refused(judged(&mut guard, &elsewhere, &stranger(), at(0)));
    assert_eq!(
        (denial.status, denial.reason),
        (StatusCode::PROXY_AUTHENTICATION_REQUIRED, DenialReason::NoCredentials)
    );
}

/// A server and a proxy may share realm and key; what was overheard at one is no good at the other.
#[test]
fn credentials_for_a_server_are_not_accepted_as_those_for_a_proxy() {
    let as_server = SecurityConstraint { methods: vec![Method::Invite], ..agents_only() };
    let as_proxy = SecurityConstraint { servlets: vec!["transit".into()], proxy_authentication: true, ..agents_only() };
    let constraints = vec![SecurityConstraint { servlets: vec!["main".into()], ..as_server }, as_proxy];
    let mut guard = guard(SecurityPolicy { constraints, ..policy(agents_only()) });
    let invite = signed(&mut guard, &mut phone("alice", password_of("alice")), request(Method::Invite), at(0));
    let shown = invite.headers().first(HeaderName::Authorization).unwrap();
    let forged = with(request(Method::Invite), HeaderName::ProxyAuthorization, shown);
    let Step::NeedsUser(pending) = guard.begin("transit", &forged, &stranger(), at(0)) else { panic!("decided") };
    let found = polled(pending.look_up(&users())).unwrap();
    assert_eq!(refused(guard.verify(pending, found, &forged, at(0))).reason, DenialReason::StaleNonce);
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_told_the_same() {
    let mut guard = guard(policy(agents_only()));
    let mut denials = Vec::new();
    for user in ["alice", "mallory"] {
        let invite = signed(&mut guard, &mut phone(user, "guess"), request(Method::Invite), at(0));
        let denial = refused(judged(&mut guard, &invite, &stranger(), at(0)));
        assert_eq!(denial.reason, DenialReason::WrongCredentials);
        assert!(denial.headers.iter().all(|(_, value)| !value.contains("stale")), "{denial:?}");
        denials.push((denial.status, denial.headers.len()));
    }
    assert_eq!(denials[0], denials[1]);
}

#[test]
fn credentials_of_another_method_are_wrong() {
    let mut guard = guard(policy(agents_only()));
    let invite = signed(&mut guard, &mut phone("alice", password_of("alice")), request(Method::Invite), at(0));
    let shown = invite.headers().first(HeaderName::Authorization).unwrap();
    let message = with(request(Method::Message), HeaderName::Authorization, shown);
    assert_eq!(refused(judged(&mut guard, &message, &stranger(), at(0))).reason, DenialReason::WrongCredentials);
}

#[test]
fn the_same_credentials_shown_twice_are_a_replay() {
    let mut guard = guard(policy(agents_only()));
    let mut phone = phone("alice", password_of("alice"));
    let invite = signed(&mut guard, &mut phone, request(Method::Invite), at(0));
    admitted(judged(&mut guard, &invite, &stranger(), at(0)));
    let denial = refused(judged(&mut guard, &invite, &stranger(), at(1)));
    assert_eq!(denial.reason, DenialReason::StaleNonce);
    assert!(denial.headers.iter().all(|(_, value)| value.contains("stale=true")), "{denial:?}");

    let mut next = request(Method::Bye);
    phone.authorize(&mut next, CNONCE).unwrap();
    admitted(judged(&mut guard, &next, &stranger(), at(2)));
}

#[test]
fn an_old_nonce_and_a_foreign_one_are_stale_for_who_knows_the_password() {
    let mut guard = guard(policy(agents_only()));
    let mut phone = phone("alice", password_of("alice"));
    let invite = signed(&mut guard, &mut phone, request(Method::Invite), at(0));
    assert_eq!(refused(judged(&mut guard, &invite, &stranger(), at(301))).reason, DenialReason::StaleNonce);

    let mut invite = request(Method::Invite);
    let foreign = "Digest realm=\"example.com\", nonce=\"0123456789abcdef\", algorithm=MD5, qop=\"auth\"";
    let foreign = challenge(&invite, 401, &[(HeaderName::WwwAuthenticate, foreign)]);
    phone.answer(&mut invite, &foreign, CNONCE).unwrap();
    assert_eq!(refused(judged(&mut guard, &invite, &stranger(), at(0))).reason, DenialReason::StaleNonce);
}

#[test]
fn a_stale_answer_is_mended_in_one_more_round() {
    let mut guard = guard(policy(agents_only()));
    let mut phone = phone("alice", password_of("alice"));
    let mut invite = signed(&mut guard, &mut phone, request(Method::Invite), at(0));
    let stale = refused(judged(&mut guard, &invite, &stranger(), at(3600))).response(&invite);
    phone.answer(&mut invite, &stale, CNONCE).unwrap();
    admitted(judged(&mut guard, &invite, &stranger(), at(3601)));
}

#[test]
fn who_is_in_no_role_that_may_gets_403_and_no_challenge() {
    let mut guard = guard(policy(agents_only()));
    let invite = signed(&mut guard, &mut phone("carol", password_of("carol")), request(Method::Invite), at(0));
    let denial = refused(judged(&mut guard, &invite, &stranger(), at(0)));
    assert_eq!((denial.status, denial.headers.len()), (StatusCode::FORBIDDEN, 0));
    assert_eq!(denial.reason, DenialReason::NotInRole("carol".into()));
}

#[test]
fn a_constraint_without_roles_admits_nobody_not_even_with_a_password() {
    let nobody = SecurityConstraint { roles: AllowedRoles::of_names([]), ..SecurityConstraint::default() };
    let invite = signed(
        &mut guard(policy(agents_only())),
        &mut phone("alice", password_of("alice")),
        request(Method::Invite),
        at(0),
    );
    let denial = refused(judged(&mut guard(policy(nobody)), &invite, &stranger(), at(0)));
    assert_eq!((denial.status, denial.reason), (StatusCode::FORBIDDEN, DenialReason::NobodyMay));
}

#[test]
fn roles_without_a_way_to_log_in_admit_nobody() {
    let policy = SecurityPolicy { constraints: vec![agents_only()], login: None };
    let denial = refused(judged(&mut guard(policy), &request(Method::Invite), &stranger(), at(0)));
    assert_eq!((denial.status, denial.reason), (StatusCode::FORBIDDEN, DenialReason::NoLogin));
}

/// RFC 3261 §22.1: neither can be sent again with credentials.
#[test]
fn ack_and_cancel_are_never_challenged() {
    let tls = SecurityConstraint { transport_guarantee: TransportGuarantee::Integral, ..agents_only() };
    let mut guard = guard(policy(tls));
    for method in [Method::Ack, Method::Cancel] {
        assert_eq!(judged(&mut guard, &request(method), &stranger(), at(0)), Verdict::Admitted(None));
    }
}

#[test]
fn requests_within_a_dialog_are_judged_and_so_is_prack() {
    let mut guard = guard(policy(agents_only()));
    for method in [Method::Bye, Method::Invite, Method::Prack, Method::Info] {
        let within = request_with(method, "<sip:bob@example.com>;tag=b1");
        let denial = refused(judged(&mut guard, &within, &stranger(), at(0)));
        assert_eq!(denial.status, StatusCode::UNAUTHORIZED);
    }
}

#[test]
fn confidential_and_integral_mean_tls() {
    for guarantee in [TransportGuarantee::Confidential, TransportGuarantee::Integral] {
        let constraint = SecurityConstraint { transport_guarantee: guarantee, ..SecurityConstraint::default() };
        let mut guard = guard(policy(constraint));
        let denial = refused(judged(&mut guard, &request(Method::Invite), &stranger(), at(0)));
        assert_eq!((denial.status, denial.reason), (StatusCode::FORBIDDEN, DenialReason::InsecureTransport));
        let over_tls = FlowFacts { secure: true, ..stranger() };
        assert_eq!(judged(&mut guard, &request(Method::Invite), &over_tls, at(0)), Verdict::Admitted(None));
    }
}

#[test]
fn a_store_that_fails_is_our_fault_and_no_wrong_password() {
    let mut guard = guard(policy(agents_only()));
    let invite = signed(&mut guard, &mut phone("alice", password_of("alice")), request(Method::Invite), at(0));
    for (error, status) in [
        (StoreError::Unavailable("no connection".into()), StatusCode::SERVICE_UNAVAILABLE),
        (StoreError::Broken("no such table".into()), StatusCode::SERVER_INTERNAL_ERROR),
    ] {
        let Step::NeedsUser(pending) = guard.begin("main", &invite, &stranger(), at(0)) else { panic!("decided") };
        let denial = refused(guard.verify(pending, Err(error.clone()), &invite, at(0)));
        assert_eq!((denial.status, denial.reason), (status, DenialReason::Store(error)));
        assert!(denial.headers.is_empty());
    }
    admitted(judged(&mut guard, &invite, &stranger(), at(1)));
}

/// A database answers when it does; the request waits beside its future.
#[test]
fn the_store_may_take_its_time() {
    struct Slow(Rc<dyn UserStore>);
    impl UserStore for Slow {
        fn find<'a>(&'a self, realm: &'a str, user: &'a str) -> LookUp<'a> {
            let mut asked = false;
            let wait =
                std::future::poll_fn(
                    move |_| if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending },
                );
            Box::pin(async move {
                wait.await;
                self.0.find(realm, user).await
            })
        }
    }
    let mut guard = guard(policy(agents_only()));
    let invite = signed(&mut guard, &mut phone("alice", password_of("alice")), request(Method::Invite), at(0));
    let Step::NeedsUser(pending) = guard.begin("main", &invite, &stranger(), at(0)) else { panic!("decided") };
    assert_eq!((pending.realm(), pending.user()), (REALM, "alice"));
    let store: Rc<dyn UserStore> = Rc::new(Slow(users()));
    let mut look_up: Pin<_> = pending.look_up(&store);
    drop(store);
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(look_up.as_mut().poll(&mut context), Poll::Pending);
    let Poll::Ready(found) = look_up.as_mut().poll(&mut context) else { panic!("still pending") };
    assert!(matches!(guard.verify(pending, found, &invite, at(2)), Verdict::Admitted(Some(_))));
}

#[test]
fn commas_and_quotes_in_a_name_are_part_of_it() {
    let mut guard = guard(policy(agents_only()));
    let mut phone = phone("o\"hara, pat", password_of("o\"hara, pat"));
    let invite = signed(&mut guard, &mut phone, request(Method::Invite), at(0));
    assert_eq!(&*admitted(judged(&mut guard, &invite, &stranger(), at(0))).unwrap().name, "o\"hara, pat");
}

#[test]
fn credentials_that_are_none_of_ours_are_challenged_and_nobody_is_looked_up() {
    let mut guard = guard(policy(agents_only()));
    for shown in [
        "Digest",
        "Basic YWxpY2U6c2VjcmV0",
        "Digest username=\"alice\", realm=\"elsewhere\", nonce=\"n\", uri=\"sip:b@c\", response=\"0\"",
        "Digest username=\"alice\", realm=\"example.com\", nonce=\"n\", uri=\"sip:b@c\", response=\"0\", algorithm=SHA-1",
        "Digest username=\"alice\", realm=\"example.com\", nonce=\"n\", uri=\"sip:b@c\", response=\"0\", qop=auth",
        "Digest username=\"alice\", realm=\"example.com\", nonce=\"n\", uri=\"sip:b@c\", response=\"0\", userhash=true",
        "\u{0}\u{fffd}, , \"",
    ] {
        let mut invite = request(Method::Invite);
        if invite.headers_mut().push(HeaderName::Authorization, shown).is_err() {
            continue;
        }
        match guard.begin("main", &invite, &stranger(), at(0)) {
            Step::Decided(Verdict::Refused(denial)) => assert_eq!(denial.status, StatusCode::UNAUTHORIZED, "{shown}"),
            other => panic!("{shown}: {other:?}"),
        }
    }
}

#[test]
fn who_guesses_too_fast_waits_and_the_right_user_elsewhere_does_not() {
    let mut guard = guard(policy(agents_only()));
    for _ in 0..5 {
        let invite = signed(&mut guard, &mut phone("alice", "guess"), request(Method::Invite), at(0));
        assert_eq!(refused(judged(&mut guard, &invite, &stranger(), at(0))).status, StatusCode::UNAUTHORIZED);
    }
    let right = signed(&mut guard, &mut phone("alice", password_of("alice")), request(Method::Invite), at(0));
    let denial = refused(judged(&mut guard, &right, &stranger(), at(0)));
    assert_eq!((denial.status, &denial.reason), (StatusCode::SERVICE_UNAVAILABLE, &DenialReason::TooManyTries));
    assert_eq!(denial.headers, [(HeaderName::RetryAfter, "2".to_owned())]);
    let elsewhere = FlowFacts::new("203.0.113.77".parse().unwrap(), false);
    admitted(judged(&mut guard, &right, &elsewhere, at(0)));
    let right = signed(&mut guard, &mut phone("alice", password_of("alice")), request(Method::Invite), at(2));
    admitted(judged(&mut guard, &right, &stranger(), at(2)));
}

#[test]
fn guesses_that_wait_for_the_store_together_are_counted_too() {
    let mut guard = guard(policy(agents_only()));
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let invite = signed(&mut guard, &mut phone("alice", "guess"), request(Method::Invite), at(0));
        let Step::NeedsUser(pending) = guard.begin("main", &invite, &stranger(), at(0)) else { panic!("decided") };
        waiting.push((invite, pending));
    }
    let mut looked_at = 0;
    for (invite, pending) in waiting {
        let found = polled(pending.look_up(&users())).unwrap();
        if refused(guard.verify(pending, found, &invite, at(0))).reason == DenialReason::WrongCredentials {
            looked_at += 1;
        }
    }
    assert_eq!(looked_at, 5);
}
