//! Identities that somebody else vouches for: RFC 3325, RFC 8224, `identity-assertion` of SIP Servlet 1.1.

#![allow(clippy::unwrap_used, reason = "an unwrap of a test is an assertion")]

mod security_common;

use container::security::*;
use security_common::*;
use sip_message::{HeaderName, Method, Request, StatusCode, UriBuf};

fn asserting(scheme: IdentityScheme, support: IdentitySupport, constraint: SecurityConstraint) -> AccessControl {
    let identity_assertion = Some(IdentityAssertion { scheme, support });
    let login = Some(LoginConfig { realm: REALM.into(), identity_assertion });
    guard(SecurityPolicy { constraints: vec![constraint], login })
}

fn supported() -> AccessControl {
    asserting(IdentityScheme::PAssertedIdentity, IdentitySupport::Supported, agents_only())
}

fn required() -> AccessControl {
    asserting(IdentityScheme::PAssertedIdentity, IdentitySupport::Required, agents_only())
}

fn asserted(values: &[&str]) -> Request {
    values.iter().fold(request(Method::Invite), |request, value| with(request, HeaderName::PAssertedIdentity, value))
}

/// Whom the guard would look up for a trusted peer's word.
fn named(values: &[&str]) -> Option<String> {
    match supported().begin("main", &asserted(values), &trusted_peer(), at(0)) {
        Step::NeedsUser(pending) => Some(pending.user().to_owned()),
        Step::Decided(_) => None,
    }
}

#[test]
fn a_trusted_peers_word_replaces_the_password() {
    let invite = asserted(&["\"Alice\" <sip:alice@example.com>"]);
    let principal = admitted(judged(&mut supported(), &invite, &trusted_peer(), at(0))).unwrap();
    assert_eq!((&*principal.name, principal.proof), ("alice", Proof::Asserted));
    assert!(principal.is_in_role("agent"));
}

#[test]
fn a_trusted_peers_word_gives_no_role_that_the_user_is_not_in() {
    for user in ["carol", "nobody-we-know"] {
        let invite = asserted(&[&format!("<sip:{user}@example.com>")]);
        let denial = refused(judged(&mut supported(), &invite, &trusted_peer(), at(0)));
        assert_eq!((denial.status, denial.reason), (StatusCode::FORBIDDEN, DenialReason::NotInRole(user.into())));
    }
}

/// RFC 3325 §8: "it MUST NOT use the P-Asserted-Identity header field in any way".
#[test]
fn a_strangers_word_is_worth_nothing() {
    let invite = asserted(&["<sip:alice@example.com>"]);
    let denial = refused(judged(&mut supported(), &invite, &stranger(), at(0)));
    assert_eq!((denial.status, denial.reason), (StatusCode::UNAUTHORIZED, DenialReason::NoCredentials));
    let denial = refused(judged(&mut required(), &invite, &stranger(), at(0)));
    assert_eq!((denial.status, denial.reason), (StatusCode::USE_IDENTITY_HEADER, DenialReason::NoIdentity));
}

#[test]
fn without_the_descriptors_leave_nobodys_word_counts() {
    let invite = asserted(&["<sip:alice@example.com>"]);
    let denial = refused(judged(&mut guard(policy(agents_only())), &invite, &trusted_peer(), at(0)));
    assert_eq!(denial.status, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_peer_may_be_trusted_for_its_certificate() {
    let names = ["edge.example.com".into()];
    let facts = FlowFacts { secure: true, peer_names: &names, ..stranger() };
    let invite = asserted(&["<sip:alice@example.com>"]);
    assert!(admitted(judged(&mut supported(), &invite, &facts, at(0))).is_some());
}

#[test]
fn who_has_no_identity_logs_in_where_it_is_supported_and_gets_428_where_it_is_required() {
    let invite = request(Method::Invite);
    assert_eq!(refused(judged(&mut supported(), &invite, &trusted_peer(), at(0))).status, StatusCode::UNAUTHORIZED);
    let denial = refused(judged(&mut required(), &invite, &trusted_peer(), at(0)));
    assert_eq!((denial.status, denial.headers.len()), (StatusCode::USE_IDENTITY_HEADER, 0));
}

#[test]
fn a_user_of_another_domain_is_none_of_ours() {
    assert_eq!(named(&["<sip:alice@example.org>"]).as_deref(), Some("alice@example.org"));
    assert_eq!(named(&["<sip:alice@EXAMPLE.com>"]).as_deref(), Some("alice"));
    assert_eq!(named(&["<sips:alice@example.net;user=phone>"]).as_deref(), Some("alice"));
    assert_eq!(named(&["<sip:alice%40example.org@example.com>"]), None);
    assert_eq!(named(&["<sip:example.com>"]), None);
}

/// RFC 3325 §9.1: one value, or a sip and a tel URI.
#[test]
fn one_sip_and_one_tel_uri_may_be_asserted_and_nothing_else() {
    assert_eq!(named(&["tel:+1-555-0100"]).as_deref(), Some("+15550100"));
    assert_eq!(named(&["<tel:7042;phone-context=example.com>"]).as_deref(), Some("7042;phone-context=example.com"));
    assert_eq!(named(&["<tel:+15550100>, <sip:alice@example.com>"]).as_deref(), Some("alice"));
    assert_eq!(named(&["<tel:+15550100>", "<sip:alice@example.com>"]).as_deref(), Some("alice"));
    for ambiguous in [
        &["<sip:alice@example.com>, <sip:carol@example.com>"][..],
        &["<sip:alice@example.com>", "<sips:alice@example.com>"],
        &["<tel:+15550100>", "<tel:+15550101>"],
        &["<http://example.com/alice>"],
        &["<sip:alice@example.com>, garbage <"],
        &[""],
    ] {
        assert_eq!(named(ambiguous), None, "{ambiguous:?}");
    }
}

#[test]
fn where_nothing_is_asked_a_vouched_identity_is_the_principal_without_roles() {
    let open = SecurityConstraint::default();
    let mut guard = asserting(IdentityScheme::PAssertedIdentity, IdentitySupport::Required, open);
    let principal = admitted(judged(&mut guard, &asserted(&["<sip:alice@example.com>"]), &trusted_peer(), at(0)));
    assert_eq!(principal.as_ref().map(|known| (&*known.name, known.roles.len())), Some(("alice", 0)));
    assert_eq!(judged(&mut guard, &request(Method::Invite), &trusted_peer(), at(0)), Verdict::Admitted(None));
}

/// RFC 8224 §6.2.2: 428 without the header, 437 for a signature that means nothing to the verifier.
#[test]
fn an_identity_signature_counts_when_somebody_has_checked_it() {
    let mut guard = asserting(IdentityScheme::Identity, IdentitySupport::Required, agents_only());
    let bare = request(Method::Invite);
    assert_eq!(refused(judged(&mut guard, &bare, &trusted_peer(), at(0))).status, StatusCode::USE_IDENTITY_HEADER);
    let signed = with(bare, HeaderName::Identity, "eyJh.eyJv.c2ln;info=<https://example.org/cert>");
    let denial = refused(judged(&mut guard, &signed, &trusted_peer(), at(0)));
    assert_eq!((denial.status.code(), denial.reason), (437, DenialReason::UnverifiedIdentity));
    let alice = UriBuf::parse("sip:alice@example.com").unwrap();
    let verified = FlowFacts { verified_identity: Some(alice.as_uri()), ..stranger() };
    assert_eq!(admitted(judged(&mut guard, &signed, &verified, at(0))).unwrap().proof, Proof::Signed);
}

/// RFC 3325 §5.
#[test]
fn the_identity_that_a_stranger_claims_is_stripped_in_every_spelling() {
    let mut invite = asserted(&["<sip:alice@example.com>", "<tel:+15550100>"]);
    invite.headers_mut().push_extension("p-asserted-IDENTITY", "<sip:boss@example.com>").unwrap();
    assert!(strip_untrusted_identity(invite.headers_mut()));
    let left = invite.headers().iter().filter(|(name, _)| name.eq_ignore_ascii_case("P-Asserted-Identity")).count();
    assert_eq!(left, 0);
    assert!(!strip_untrusted_identity(invite.headers_mut()));
}

/// RFC 3325 §7.
#[test]
fn an_identity_leaves_the_trust_domain_unless_its_user_wants_privacy() {
    for (privacy, stays) in [(None, true), (Some("none"), true), (Some("header;id"), false), (Some(";"), false)] {
        let mut invite = with(asserted(&["<sip:alice@example.com>"]), HeaderName::PPreferredIdentity, "<sip:al@b>");
        if let Some(privacy) = privacy {
            invite = with(invite, HeaderName::Privacy, privacy);
        }
        withhold_private_identity(invite.headers_mut());
        assert_eq!(invite.headers().contains(HeaderName::PAssertedIdentity), stays, "{privacy:?}");
        assert!(!invite.headers().contains(HeaderName::PPreferredIdentity));
    }
}
