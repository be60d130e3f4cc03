//! RFC 3261 §17.1.3, matching responses to client transactions.

use std::hash::RandomState;

use sip_message::{HeaderName, Method};
use sip_transaction::{ClientKey, KeyError};

use crate::harness::{response, response_to_invite};

fn response_with(via: &str, cseq: &str) -> sip_message::Response {
    response(&format!(
        "SIP/2.0 200 OK
        Via: {via}
        To: <sip:bob@biloxi.com>;tag=1
        From: <sip:alice@atlanta.com>;tag=2
        Call-ID: 3
        CSeq: {cseq}"
    ))
}

#[test]
fn a_response_matches_by_branch_and_cseq_method() {
    let sent = ClientKey::new("z9hG4bKkjshdyff", &Method::Invite).to_owned();
    let received = ClientKey::of(&response_to_invite(200)).unwrap();
    assert!(sent.matches(&received));
    let hasher = RandomState::new();
    assert_eq!(sent.hash(&hasher), received.hash(&hasher));
}

/// "The method is needed since a CANCEL request constitutes a different transaction, but shares the same value of the
/// branch parameter."
#[test]
fn the_response_to_a_cancel_is_not_one_to_its_invite() {
    let invite = ClientKey::new("z9hG4bK1", &Method::Invite).to_owned();
    let cancel = ClientKey::new("z9hG4bK1", &Method::Cancel).to_owned();
    let received = ClientKey::of(&response_with("SIP/2.0/UDP h;branch=z9hG4bK1", "1 CANCEL")).unwrap();
    assert!(cancel.matches(&received));
    assert!(!invite.matches(&received));
}

#[test]
fn only_the_top_via_counts_and_its_branch_is_compared_octet_for_octet() {
    let sent = ClientKey::new("z9hG4bKa", &Method::Bye).to_owned();
    let matches = |via| sent.matches(&ClientKey::of(&response_with(via, "1 BYE")).unwrap());
    assert!(matches("SIP/2.0/UDP h;branch=z9hG4bKa;received=192.0.2.1;rport=5, SIP/2.0/UDP i;branch=z9hG4bKb"));
    assert!(!matches("SIP/2.0/UDP h;branch=z9hG4bKb, SIP/2.0/UDP i;branch=z9hG4bKa"));
    assert!(!matches("SIP/2.0/UDP h;branch=z9hG4bKA"));
    assert!(!matches("SIP/2.0/UDP h;branch=z9hG4bKaa"));
}

#[test]
fn a_response_without_a_branch_is_not_ours() {
    assert_eq!(ClientKey::of(&response_with("SIP/2.0/UDP h", "1 BYE")), Err(KeyError::NoBranch));
    let mut response = response_to_invite(200);
    response.headers_mut().remove(HeaderName::Via);
    assert_eq!(ClientKey::of(&response), Err(KeyError::Missing(HeaderName::Via)));
}
