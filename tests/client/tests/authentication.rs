//! Credentials (RFC 3261 §22): for our realm on our own way, and for nobody else, in dialogs as out of them.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::Instant;

use client::session::State;
use client_world::{Foreigner, Person, Stage};
use sip_message::{HeaderName, Request, StatusCode};

const OURS: &str = "Digest realm=\"example.test\", nonce=\"4711\", algorithm=SHA-256, qop=\"auth\"";
const FOREIGN: &str = "Digest realm=\"elsewhere\", nonce=\"4712\", algorithm=MD5, qop=\"auth\"";

/// Alice, whose proxy is carol, has called by way of her.
fn calling(stage: &Stage) -> (Person, Foreigner) {
    let carol = stage.stranger("carol");
    let alice = stage.softphone_with("alice", |_, account| {
        account.auth.password = "secret".into();
        account.auth.realm = Some("example.test".into());
        account.sip.outbound_proxy = Some("sip:carol".into());
    });
    alice.dials("sip:bob@example.test", Vec::new()).unwrap();
    stage.a_moment();
    assert_eq!(carol.saw(), ["INVITE"]);
    alice.told();
    (alice, carol)
}

fn has_credentials(request: &Request) -> bool {
    let headers = request.headers();
    headers.contains(HeaderName::Authorization) || headers.contains(HeaderName::ProxyAuthorization)
}

fn challenges(carol: &Foreigner, challenge: &str) {
    carol.adds(HeaderName::ProxyAuthenticate, challenge);
    carol.responds(StatusCode::PROXY_AUTHENTICATION_REQUIRED, None);
}

/// The challenge is answered, and nothing is told of it; so it is within the dialog.
#[test]
fn our_proxy_is_told_who_we_are() {
    let stage = Stage::new(1, Instant::now());
    let (alice, carol) = calling(&stage);
    challenges(&carol, OURS);
    stage.a_moment();
    assert_eq!(carol.saw(), ["INVITE"]);
    assert!(has_credentials(&carol.last_request()));
    alice.is_told(&[]);
    carol.responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    assert_eq!(alice.state(), State::Established);
    carol.saw();
    let hold = alice.holds();
    stage.a_moment();
    challenges(&carol, OURS);
    stage.a_moment();
    assert!(has_credentials(&carol.last_request()));
    carol.responds(StatusCode::OK, Some(&carol.sdp(2, "m=audio 4000 RTP/AVP 0\na=recvonly")));
    stage.a_moment();
    assert_eq!(alice.outcome(hold), Some(Ok(())));
    alice.hangs_up();
    stage.a_moment();
    assert_eq!(alice.state(), State::Terminated);
    stage.ends();
}

/// Credentials that are refused are not sent again and again.
#[test]
fn wrong_credentials_fail() {
    let stage = Stage::new(1, Instant::now());
    let (alice, carol) = calling(&stage);
    challenges(&carol, OURS);
    stage.a_moment();
    challenges(&carol, OURS);
    stage.a_moment();
    alice.is_told(&[
        "ChangedState CALLING -> TERMINATED",
        "DidFail remote 407 Proxy Authentication Required",
        "DidEnd remote",
    ]);
    assert_eq!(carol.saw(), ["INVITE"]);
    stage.ends();
}

/// A realm that is not ours gets nothing.
#[test]
fn a_foreign_realm_gets_no_credentials() {
    let stage = Stage::new(1, Instant::now());
    let (alice, carol) = calling(&stage);
    challenges(&carol, FOREIGN);
    stage.a_moment();
    assert!(carol.saw().is_empty());
    assert_eq!(alice.state(), State::Terminated);
    stage.ends();
}

/// A callee that we reach directly gets nothing, whatever realm it names: not for a BYE, either.
#[test]
fn a_callee_gets_no_credentials() {
    let stage = Stage::new(1, Instant::now());
    let carol = stage.stranger("carol");
    let alice = stage.softphone_with("alice", |_, account| {
        account.auth.password = "secret".into();
        account.auth.realm = Some("example.test".into());
    });
    alice.dials("sip:carol@carol", Vec::new()).unwrap();
    stage.a_moment();
    carol.responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    alice.told();
    carol.saw();
    let hold = alice.holds();
    stage.a_moment();
    challenges(&carol, OURS);
    stage.a_moment();
    assert!(alice.outcome(hold).is_some_and(|outcome| outcome.is_err()));
    carol.is(|stranger| stranger.challenges_bye = Some(OURS.into()));
    alice.hangs_up();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    assert_eq!(carol.saw(), ["INVITE", "BYE"]);
    assert!(!has_credentials(&carol.last_request()));
    stage.seconds(70);
    assert!(alice.sees(sip_endpoint::TransactionUser::is_idle));
}
