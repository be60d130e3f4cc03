//! RFC 3261 §17.2.3, matching requests to server transactions, with the rule for clients of RFC 2543.

use std::hash::RandomState;

use sip_message::{HeaderName, Request};
use sip_transaction::{KeyError, ServerKey};

use crate::harness::{INVITE, request};

/// A request of a client of today.
fn with_branch(method: &str, via: &str) -> Request {
    request(&format!(
        "{method} sip:bob@biloxi.com SIP/2.0
        Via: {via}
        To: <sip:bob@biloxi.com>
        From: <sip:alice@atlanta.com>;tag=88sja8x
        Call-ID: 987asjd97y7atg
        CSeq: 986759 {method}"
    ))
}

/// A request of a client of RFC 2543, as one to take a part away from: the INVITE, its ACK, its CANCEL.
fn old(method: &str, to: &str) -> String {
    format!(
        "{method} sip:bob@biloxi.com SIP/2.0
        Via: SIP/2.0/UDP pc33.atlanta.com
        To: {to}
        From: <sip:alice@atlanta.com>;tag=88sja8x
        Call-ID: 987asjd97y7atg
        CSeq: 986759 {method}"
    )
}

fn matches(kept: &Request, received: &Request) -> bool {
    let kept = ServerKey::of(kept).expect("a key").to_owned();
    let received = ServerKey::of(received).expect("a key");
    let hasher = RandomState::new();
    let matches = kept.matches(&received);
    assert!(!matches || kept.hash(&hasher) == received.hash(&hasher), "keys that match have the same hash");
    matches
}

#[test]
fn a_copy_matches_by_branch_sent_by_and_method() {
    assert!(matches(&request(INVITE), &request(INVITE)));
    let via = "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK1";
    let invite = with_branch("INVITE", via);
    assert!(matches(&invite, &with_branch("INVITE", via)));
    assert!(!matches(&invite, &with_branch("INVITE", "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK2")));
    assert!(!matches(&invite, &with_branch("INVITE", "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK1x")));
    assert!(!matches(&invite, &with_branch("OPTIONS", via)));
}

/// "The sent-by value is used as part of the matching process because there could be accidental or malicious duplication
/// of branch parameters from different clients."
#[test]
fn the_same_branch_from_another_sent_by_is_another_transaction() {
    let invite = with_branch("INVITE", "SIP/2.0/UDP pc33.atlanta.com:5062;branch=z9hG4bK1");
    assert!(!matches(&invite, &with_branch("INVITE", "SIP/2.0/UDP pc34.atlanta.com:5062;branch=z9hG4bK1")));
    assert!(!matches(&invite, &with_branch("INVITE", "SIP/2.0/UDP pc33.atlanta.com:5063;branch=z9hG4bK1")));
    assert!(!matches(&invite, &with_branch("INVITE", "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK1")));
}

#[test]
fn a_host_is_compared_without_case_and_a_port_with_its_default() {
    let invite = with_branch("INVITE", "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK1");
    assert!(matches(&invite, &with_branch("INVITE", "SIP / 2.0 / UDP PC33.Atlanta.COM:5060;x;branch=z9hG4bK1")));
    let invite = with_branch("INVITE", "SIP/2.0/TLS [2001:DB8::1];branch=z9hG4bK1");
    assert!(matches(&invite, &with_branch("INVITE", "SIP/2.0/TLS [2001:db8:0::1]:5061;branch=z9hG4bK1")));
}

/// "… except for ACK, where the method of the request that created the transaction is INVITE."
#[test]
fn an_ack_matches_its_invite() {
    let via = "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK1";
    assert!(matches(&with_branch("INVITE", via), &with_branch("ACK", via)));
    assert!(!matches(&with_branch("OPTIONS", via), &with_branch("ACK", via)));
}

/// §9.2, and a CANCEL is a transaction of its own.
#[test]
fn a_cancel_finds_its_invite_and_is_not_a_copy_of_it() {
    let via = "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK1";
    let invite = ServerKey::of(&with_branch("INVITE", via)).unwrap().to_owned();
    let cancel = with_branch("CANCEL", via);
    assert!(invite.matches(&ServerKey::of_cancelled(&cancel).unwrap()));
    assert!(!invite.matches(&ServerKey::of(&cancel).unwrap()));

    let to = "<sip:bob@biloxi.com>";
    let invite = ServerKey::of(&request(&old("INVITE", to))).unwrap().to_owned();
    let cancel = request(&old("CANCEL", to));
    assert!(invite.matches(&ServerKey::of_cancelled(&cancel).unwrap()));
    assert!(!invite.matches(&ServerKey::of(&cancel).unwrap()));
}

#[test]
fn a_branch_without_the_cookie_or_with_nothing_behind_it_falls_under_the_old_rule() {
    for via in ["SIP/2.0/UDP h", "SIP/2.0/UDP h;branch=1", "SIP/2.0/UDP h;branch=z9hG4bK"] {
        assert!(ServerKey::of(&with_branch("INVITE", via)).unwrap().is_rfc2543(), "{via}");
    }
    assert!(!ServerKey::of(&with_branch("INVITE", "SIP/2.0/UDP h;branch=Z9HG4BKx")).unwrap().is_rfc2543());
}

/// "The INVITE request matches a transaction if the Request-URI, To tag, From tag, Call-ID, CSeq, and top Via header field
/// match"; "for all other request methods" the same with the method.
#[test]
fn the_old_rule_compares_every_part() {
    for method in ["INVITE", "OPTIONS"] {
        let kept = old(method, "<sip:bob@biloxi.com>;tag=5");
        assert!(matches(&request(&kept), &request(&kept)));
        for (part, other) in [
            ("sip:bob@biloxi.com SIP/2.0", "sip:bob@example.com SIP/2.0"),
            ("tag=5", "tag=6"),
            ("tag=88sja8x", "tag=other"),
            ("987asjd97y7atg", "987asjd97y7atG"),
            ("986759", "986760"),
            ("UDP pc33.atlanta.com", "UDP pc33.atlanta.com:5062"),
        ] {
            assert!(kept.contains(part));
            assert!(!matches(&request(&kept), &request(&kept.replace(part, other))), "{method} {part}");
        }
    }
    let to = "<sip:bob@biloxi.com>";
    assert!(!matches(&request(&old("INVITE", to)), &request(&old("OPTIONS", to))));
}

/// "… and the To tag of the ACK matches the To tag of the response sent by the server transaction."
#[test]
fn an_ack_by_the_old_rule_has_the_to_tag_of_the_response() {
    let mut kept = ServerKey::of(&request(&old("INVITE", "<sip:bob@biloxi.com>"))).unwrap().to_owned();
    let invite = ServerKey::of(&request(&old("INVITE", "<sip:bob@biloxi.com>"))).unwrap();
    let ack = |to: &str| ServerKey::of(&request(&old("ACK", to))).unwrap();
    let hasher = RandomState::new();

    assert!(!kept.matches(&ack("<sip:bob@biloxi.com>;tag=ours")));
    kept.answered(Some("ours"));
    assert!(kept.matches(&ack("<sip:bob@biloxi.com>;tag=ours")));
    assert!(!kept.matches(&ack("<sip:bob@biloxi.com>;tag=theirs")));
    assert!(!kept.matches(&ack("<sip:bob@biloxi.com>")));
    // A late copy of the INVITE still has no tag.
    assert!(kept.matches(&invite));
    assert_eq!(kept.hash(&hasher), ack("<sip:bob@biloxi.com>;tag=ours").hash(&hasher));

    // Another response, another tag; one without a tag is acknowledged without.
    kept.answered(Some("o"));
    assert!(kept.matches(&ack("<sip:bob@biloxi.com>;tag=o")));
    kept.answered(None);
    assert!(kept.matches(&ack("<sip:bob@biloxi.com>")));
}

#[test]
fn by_the_new_rule_the_to_tag_does_not_count() {
    let mut kept = ServerKey::of(&request(INVITE)).unwrap().to_owned();
    let before = kept.clone();
    kept.answered(Some("99sa0xk"));
    assert_eq!(kept, before);
    let ack = INVITE.replace("INVITE", "ACK").replace("To: Bob <sip:bob@biloxi.com>", "To: <sip:bob@x>;tag=99sa0xk");
    assert!(kept.matches(&ServerKey::of(&request(&ack)).unwrap()));
}

#[test]
fn a_request_without_a_via_has_no_key() {
    let mut invite = request(INVITE);
    invite.headers_mut().remove(HeaderName::Via);
    assert_eq!(ServerKey::of(&invite), Err(KeyError::Missing(HeaderName::Via)));
}
