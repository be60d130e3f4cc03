//! The IPv6 torture messages of RFC 5118, with CRLF line ends and the Content-Length of their bodies.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::{files, message, refusal, request, status};
use sip_message::header::*;
use sip_message::{Fault, Headers, Host};
use std::net::{IpAddr, Ipv6Addr};

/// File, section, whether it is accepted.
const CORPUS: &[(&str, &str, bool)] = &[
    ("ipv6-good", "4.1", true),
    ("ipv6-bad", "4.2", false),
    ("port-ambiguous", "4.3", true),
    ("port-unambiguous", "4.4", true),
    ("via-received-param-with-delim", "4.5", true),
    ("via-received-param-no-delim", "4.5", true),
    ("ipv6-in-sdp", "4.6", true),
    ("mult-ip-in-header", "4.7", true),
    ("mult-ip-in-sdp", "4.8", true),
    ("ipv4-mapped-ipv6", "4.9", true),
    ("ipv6-bug-abnf-3-colons", "4.10", true),
    ("ipv6-correct-abnf-2-colons", "4.10", true),
];

fn file(name: &str) -> Option<bytes::Bytes> {
    files("rfc5118/crlf", "dat").remove(name)
}

fn get<'a, H: TypedHeader<'a>>(headers: &'a Headers) -> H {
    headers.get::<H>().expect("the header is there").expect("it can be read")
}

fn v6(text: &str) -> Host<'static> {
    Host::V6(text.parse().unwrap())
}

#[test]
fn corpus_is_completely_classified() {
    let files = files("rfc5118/crlf", "dat");
    if files.is_empty() {
        return;
    }
    let mut named: Vec<&str> = CORPUS.iter().map(|(name, ..)| *name).collect();
    named.sort_unstable();
    assert_eq!(named, files.keys().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn every_message_gets_its_verdict() {
    let files = files("rfc5118/crlf", "dat");
    for (name, section, accepted) in CORPUS {
        let Some(octets) = files.get(*name) else { continue };
        assert_eq!(common::parse(octets).is_ok(), *accepted, "{name}, section {section}");
    }
}

/// §4.1
#[test]
fn a_reference_stands_in_request_uri_via_and_contact() {
    let Some(octets) = file("ipv6-good") else { return };
    let register = request(&octets);
    assert_eq!(register.uri().sip().unwrap().host(), v6("2001:db8::10"));
    assert_eq!(get::<Via>(register.headers()).host(), v6("2001:db8::9:1"));
    let contact = get::<Contact>(register.headers());
    assert_eq!(contact.uri().unwrap().sip().unwrap().host(), v6("2001:db8::1"));
}

/// §4.2: "a SIP implementation receiving this request should respond with a 400".
#[test]
fn a_reference_without_brackets_is_answered_400() {
    let Some(octets) = file("ipv6-bad") else { return };
    let refusal = refusal(&octets);
    assert_eq!((refusal.fault(), status(&refusal)), (&Fault::RequestUri, Some(400)));
}

/// §4.3 and §4.4: what is between the brackets is the address, whatever its writer meant.
#[test]
fn only_what_is_behind_the_brackets_is_a_port() {
    let Some(octets) = file("port-ambiguous") else { return };
    let ambiguous = request(&octets);
    let uri = ambiguous.uri().sip().unwrap();
    assert_eq!((uri.host(), uri.port()), (v6("2001:db8::10:5070"), None));
    let unambiguous = request(&file("port-unambiguous").unwrap());
    let uri = unambiguous.uri().sip().unwrap();
    assert_eq!((uri.host(), uri.port()), (v6("2001:db8::10"), Some(5070)));
}

/// §4.5: "implementations […] should be liberal" about brackets round `received`, and must not send them.
#[test]
fn received_is_read_with_brackets_and_written_without() {
    let Some(octets) = file("via-received-param-with-delim") else { return };
    let address: Ipv6Addr = "2001:db8::9:255".parse().unwrap();
    let with = request(&octets);
    assert_eq!(get::<Via>(with.headers()).received(), Some(IpAddr::V6(address)));
    let without = request(&file("via-received-param-no-delim").unwrap());
    let via = get::<Via>(without.headers());
    assert_eq!(via.received(), Some(IpAddr::V6(address)));
    assert!(via.with_received(address.into()).to_string().contains(";received=2001:db8::9:255"));
}

/// §4.6, §4.8
#[test]
fn bodies_with_addresses_of_both_kinds_are_framed() {
    let Some(octets) = file("ipv6-in-sdp") else { return };
    assert_eq!(request(&octets).body().len(), 251);
    assert_eq!(request(&file("mult-ip-in-sdp").unwrap()).body().len(), 189);
}

/// §4.7
#[test]
fn addresses_of_both_kinds_stand_side_by_side_in_vias() {
    let Some(octets) = file("mult-ip-in-header") else { return };
    let bye = request(&octets);
    let vias: Vec<Via> = bye.headers().all().map(Result::unwrap).collect();
    let hosts: Vec<Host> = vias.iter().map(Via::host).collect();
    assert_eq!(hosts, [v6("2001:db8::9:1"), Host::V4([192, 0, 2, 1].into()), v6("2001:db8::9:255")]);
    assert_eq!(vias[0].port(), Some(6050));
    assert_eq!(vias[2].received(), Some([192, 0, 2, 200].into()));
}

/// §4.9
#[test]
fn mapped_addresses_are_addresses() {
    let Some(octets) = file("ipv4-mapped-ipv6") else { return };
    let invite = request(&octets);
    let vias: Vec<Via> = invite.headers().all().map(Result::unwrap).collect();
    assert_eq!((vias[0].host(), vias[0].port()), (v6("::ffff:192.0.2.10"), Some(19823)));
    assert_eq!(vias[1].host(), v6("::ffff:192.0.2.2"));
    assert_eq!(get::<Contact>(invite.headers()).uri().unwrap().sip().unwrap().host(), v6("::ffff:192.0.2.2"));
}

/// §4.10: the third colon came of a fault in the grammar; "be liberal in what you accept".
#[test]
fn three_colons_are_two() {
    let Some(octets) = file("ipv6-bug-abnf-3-colons") else { return };
    let three = request(&octets);
    let two = request(&file("ipv6-correct-abnf-2-colons").unwrap());
    let host = v6("2001:db8::192.0.2.1");
    assert_eq!(three.uri().sip().unwrap().host(), host);
    assert_eq!(two.uri().sip().unwrap().host(), host);
    assert_eq!(get::<To>(three.headers()).uri().sip().unwrap().host(), host);
}

#[test]
fn valid_messages_reach_a_serialisation_fixed_point() {
    let files = files("rfc5118/crlf", "dat");
    for (name, ..) in CORPUS.iter().filter(|(.., accepted)| *accepted) {
        let Some(octets) = files.get(*name) else { continue };
        // Nothing is folded here: what is printed is what came.
        assert_eq!(message(octets).to_bytes(), octets, "{name}");
    }
}

#[test]
fn no_message_panics_at_any_truncation() {
    for (name, octets) in files("rfc5118/crlf", "dat") {
        for end in 0..octets.len() {
            assert!(common::parse(&octets[..end]).is_err(), "{name} up to {end}");
        }
    }
}
