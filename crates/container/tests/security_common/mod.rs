//! What the security tests share: a realm, its users, requests, and a hand on the clock.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its own part")]

use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use container::security::*;
use sip_dialog::digest::{Account, DigestClient, Secret};
use sip_message::{HeaderName, Method, Request, Response, UriBuf};

pub const REALM: &str = "example.com";
pub const CNONCE: &str = "0a4f113b5c6d7e8f";

pub fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

pub fn request(method: Method) -> Request {
    request_with(method, "<sip:bob@example.com>")
}

pub fn request_with(method: Method, to: &str) -> Request {
    let cseq = format!("1 {method}");
    let mut request = Request::new(method, &UriBuf::parse("sip:bob@example.com").unwrap());
    for (name, value) in [
        (HeaderName::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
        (HeaderName::From, "<sip:alice@example.com>;tag=a1"),
        (HeaderName::To, to),
        (HeaderName::CallId, "call-1@example.com"),
        (HeaderName::Cseq, &cseq),
    ] {
        request.headers_mut().push(name, value).unwrap();
    }
    request
}

pub fn with(mut request: Request, name: HeaderName, value: &str) -> Request {
    request.headers_mut().push(name, value).unwrap();
    request
}

pub fn users() -> Rc<dyn UserStore> {
    let password = |text: &str| Secret::Password(text.into());
    Rc::new(
        ConfiguredUsers::new()
            .with("alice", password("open, \"sesame\""), &["agent"])
            .with("carol", password("secret"), &["guest"])
            .with("o\"hara, pat", password("comma"), &["agent"]),
    )
}

pub fn password_of(user: &str) -> &'static str {
    match user {
        "alice" => "open, \"sesame\"",
        "carol" => "secret",
        _ => "comma",
    }
}

/// All requests are for agents.
pub fn agents_only() -> SecurityConstraint {
    SecurityConstraint { roles: AllowedRoles::of_names(["agent"]), ..SecurityConstraint::default() }
}

pub fn policy(constraint: SecurityConstraint) -> SecurityPolicy {
    SecurityPolicy { constraints: vec![constraint], login: Some(LoginConfig::digest(REALM)) }
}

pub fn guard(policy: SecurityPolicy) -> AccessControl {
    let trust = TrustDomain::parse(["198.51.100.0/24", "edge.example.com"]).unwrap();
    AccessControl::new(policy, DigestSettings::new([3; 32], 1), trust, vec!["example.net".into()])
}

pub fn stranger() -> FlowFacts<'static> {
    FlowFacts::new("192.0.2.1".parse().unwrap(), false)
}

pub fn trusted_peer() -> FlowFacts<'static> {
    FlowFacts::new("198.51.100.9".parse().unwrap(), false)
}

pub fn polled<T>(mut future: std::pin::Pin<Box<dyn Future<Output = T> + '_>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// What comes of a request, with the users above.
pub fn judged(guard: &mut AccessControl, request: &Request, facts: &FlowFacts<'_>, now: SystemTime) -> Verdict {
    match guard.begin("main", request, facts, now) {
        Step::Decided(verdict) => verdict,
        Step::NeedsUser(pending) => {
            let found = polled(pending.look_up(&users())).unwrap();
            guard.verify(pending, found, request, now)
        }
    }
}

pub fn refused(verdict: Verdict) -> Denial {
    match verdict {
        Verdict::Refused(denial) => denial,
        Verdict::Admitted(principal) => panic!("admitted {principal:?}"),
    }
}

pub fn admitted(verdict: Verdict) -> Option<Principal> {
    match verdict {
        Verdict::Admitted(principal) => principal,
        Verdict::Refused(denial) => panic!("refused: {denial:?}"),
    }
}

/// A phone of `user`, with that password.
pub fn phone(user: &str, password: &str) -> DigestClient {
    let secret = Secret::Password(password.into());
    DigestClient::new([Account { realm: REALM.into(), username: user.into(), secret, next_hop: None }])
}

/// `request` with the answer to the challenge that it gets.
pub fn signed(guard: &mut AccessControl, phone: &mut DigestClient, mut request: Request, now: SystemTime) -> Request {
    let challenge = refused(judged(guard, &request, &stranger(), now)).response(&request);
    phone.answer(&mut request, &challenge, CNONCE).unwrap();
    request
}

/// A response with these challenges.
pub fn challenge(request: &Request, code: u16, challenges: &[(HeaderName, &str)]) -> Response {
    let mut response = Response::to(request, sip_message::StatusCode::new(code).unwrap());
    for (name, value) in challenges {
        response.headers_mut().push(*name, value).unwrap();
    }
    response
}
