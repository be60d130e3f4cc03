//! RFC 5627: GRUUs at the registrar (§5) and at the authoritative proxy (§6).

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod server_world;

use std::time::Duration;

use server_world::{Sent, World, invite, one, register, request, udp};
use sip_message::HeaderName;

const AT: &str = "203.0.113.5:5060";
const ONE: &str = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";
const TWO: &str = "<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>";

/// A REGISTER of an instance of bob's.
fn instance(world: &mut World, call_id: &str, cseq: u32, contact: &str, instance: &str) -> Sent {
    let more = format!("Supported: gruu\nContact: <{contact}>;+sip.instance=\"{instance}\"\n");
    world.receive(&udp(AT), &register("bob", call_id, cseq, &more, AT));
    world.only()
}

fn param(sent: &Sent, contact: usize, name: &str) -> Option<String> {
    let value = sent.all(HeaderName::Contact)[contact].to_owned();
    let at = value.find(&format!(";{name}=\""))? + name.len() + 3;
    Some(value[at..].split('"').next().unwrap().to_owned())
}

fn public(sent: &Sent) -> String {
    param(sent, 0, "pub-gruu").expect("a public GRUU")
}

fn temporary(sent: &Sent) -> String {
    param(sent, 0, "temp-gruu").expect("a temporary GRUU")
}

/// §5.2: "the registrar MUST add a "temp-gruu" … In addition, … a "pub-gruu""; §5.1: "constructed by adding the "gr" URI
/// parameter, with a value, to the AOR"; "that instance ID is returned".
#[test]
fn an_instance_gets_two_gruus() {
    let mut world = World::default();
    let ok = instance(&mut world, "a", 1, "sip:bob@203.0.113.5", ONE);
    assert_eq!(public(&ok), "sip:bob@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    let temporary = temporary(&ok);
    assert!(temporary.starts_with("sip:tgruu.") && temporary.ends_with("@example.com;gr"), "{temporary}");
    assert!(ok.first(HeaderName::Contact).contains(&format!("+sip.instance=\"{ONE}\"")));
}

/// §5.2: only a client that says it knows GRUUs is told of them; "The registrar SHOULD NOT include the "gruu" option tag in
/// the Require or Supported header field of the response."
#[test]
fn who_does_not_know_gruus_is_told_of_none() {
    let mut world = World::default();
    let more = format!("Contact: <sip:bob@203.0.113.5>;+sip.instance=\"{ONE}\"\n");
    world.receive(&udp(AT), &register("bob", "a", 1, &more, AT));
    let ok = world.only();
    assert!(!ok.text.contains("gruu"), "{}", ok.text);
    assert!(ok.text.contains("+sip.instance"));
    let ok = instance(&mut world, "b", 1, "sip:bob@203.0.113.5", ONE);
    assert!(!ok.headers().contains(HeaderName::Require) && !ok.headers().contains(HeaderName::Supported));
}

/// §5.1: "If the contact contained a "pub-gruu" Contact header field parameter, the header field parameter MUST be
/// ignored".
#[test]
fn a_client_s_own_idea_of_a_gruu_is_ignored() {
    let mut world = World::default();
    let more = format!(
        "Supported: gruu\nContact: <sip:bob@203.0.113.5>;+sip.instance=\"{ONE}\";pub-gruu=\"sip:eve@e;gr=1\";temp-gruu=\"sip:x@y;gr\"\n"
    );
    world.receive(&udp(AT), &register("bob", "a", 1, &more, AT));
    let ok = world.only();
    assert!(!ok.text.contains("sip:eve@e") && !ok.text.contains("sip:x@y"), "{}", ok.text);
}

/// §5.1: a contact that is the address-of-record or a GRUU of it: 403. A contact that is no SIP URI: 403.
#[test]
fn a_contact_that_leads_in_a_circle_is_forbidden() {
    let mut world = World::default();
    let ok = instance(&mut world, "a", 1, "sip:bob@203.0.113.5", ONE);
    for (n, contact) in
        ["sip:bob@example.com", &public(&ok), &temporary(&ok), "mailto:bob@example.com"].into_iter().enumerate()
    {
        assert_eq!(instance(&mut world, &format!("c{n}"), 1, contact, ONE).status(), 403, "{contact}");
    }
    assert_eq!(world.bindings(), 1);
}

/// §6.1: a GRUU leads to its instance and to no other.
#[test]
fn a_gruu_leads_to_its_instance_only() {
    let mut world = World::default();
    let one_ok = instance(&mut world, "a", 1, "sip:one@203.0.113.5", ONE);
    instance(&mut world, "b", 1, "sip:two@203.0.113.5", TWO);
    assert_eq!(world.caller(&invite("sip:bob@example.com", "all")).len(), 2);
    let sent = one(world.caller(&invite(&public(&one_ok), "pub")));
    assert_eq!(sent.uri(), "sip:one@203.0.113.5", "without the gr parameter");
    assert_eq!(one(world.caller(&invite(&temporary(&one_ok), "temp"))).uri(), "sip:one@203.0.113.5");
}

/// §6.1: "If it contains the "gr" URI parameter but is not … a currently valid GRUU …, it SHOULD be rejected with a 404".
#[test]
fn a_gruu_that_was_made_up_is_not_found() {
    let mut world = World::default();
    let ok = instance(&mut world, "a", 1, "sip:one@203.0.113.5", ONE);
    let forged = temporary(&ok).replacen("tgruu.", "tgruu.0", 1);
    for (n, uri) in ["sip:bob@example.com;gr", "sip:tgruu.123@example.com;gr", &forged].into_iter().enumerate() {
        assert_eq!(one(world.caller(&invite(uri, &format!("{n}")))).status(), 404, "{uri}");
    }
}

/// §5.1: "requests addressed to those GRUUs will be rejected by the domain with a 404 from this point forward", when an
/// instance registers with another Call-ID.
#[test]
fn a_client_that_begins_anew_makes_its_old_temporary_gruus_invalid() {
    let mut world = World::default();
    let first = temporary(&instance(&mut world, "a", 1, "sip:one@203.0.113.5", ONE));
    let second = temporary(&instance(&mut world, "a", 2, "sip:one@203.0.113.5", ONE));
    assert_ne!(first, second);
    for (n, uri) in [&first, &second].into_iter().enumerate() {
        assert_eq!(one(world.caller(&invite(uri, &format!("live{n}")))).uri(), "sip:one@203.0.113.5");
    }
    let third = temporary(&instance(&mut world, "another", 1, "sip:one@203.0.113.5", ONE));
    for (n, uri) in [&first, &second].into_iter().enumerate() {
        assert_eq!(one(world.caller(&invite(uri, &format!("dead{n}")))).status(), 404);
    }
    assert_eq!(one(world.caller(&invite(&third, "third"))).uri(), "sip:one@203.0.113.5");
}

/// §5.3: temporary GRUUs end with the last contact of their instance; a public GRUU is then answered with 480.
#[test]
fn when_an_instance_is_gone_its_public_gruu_is_unavailable_and_its_temporary_one_unknown() {
    let mut world = World::default();
    let ok = instance(&mut world, "a", 1, "sip:one@203.0.113.5", ONE);
    world.advance(Duration::from_secs(3601));
    assert_eq!(one(world.caller(&invite(&public(&ok), "pub"))).status(), 480);
    assert_eq!(one(world.caller(&invite(&temporary(&ok), "temp"))).status(), 404);
}

/// §6.1: "The proxy MUST select the most recently refreshed contact. … if a request to this target fails with a 408 … or
/// 430 …, the proxy SHOULD retry with the next most recently refreshed contact. … any other response, the proxy MUST NOT".
#[test]
fn of_several_contacts_of_an_instance_the_latest_is_tried_first() {
    let mut world = World::default();
    instance(&mut world, "a", 1, "sip:old@203.0.113.5", ONE);
    world.advance(Duration::from_secs(5));
    let ok = instance(&mut world, "b", 1, "sip:new@203.0.113.6", ONE);
    let gruu = public(&ok);
    let first = one(world.caller(&invite(&gruu, "1")));
    assert_eq!(first.uri(), "sip:new@203.0.113.6");
    world.answer(&first, 430, "t", "");
    let second = one(world.sent().into_iter().filter(|sent| sent.method() == "INVITE").collect());
    assert_eq!(second.uri(), "sip:old@203.0.113.5");
    let first = one(world.caller(&invite(&gruu, "2")));
    world.answer(&first, 404, "t", "");
    assert!(world.sent().iter().all(|sent| sent.method() != "INVITE"));
}

/// §6.1: "If the received request has Route header field values beyond the one pointing to the authoritative proxy itself
/// …, the Path URI MUST be discarded."
#[test]
fn in_a_dialog_the_route_leads_and_not_the_path() {
    let mut world = World::new({
        let mut config = server_world::config();
        config.proxy.relay = cordboard::config::Relay::Any;
        config
    });
    let more = format!(
        "Supported: gruu, path\nPath: <sip:203.0.113.30;lr>\nContact: <sip:one@10.0.0.1>;+sip.instance=\"{ONE}\"\n"
    );
    world.receive(&udp(AT), &register("bob", "a", 1, &more, AT));
    let gruu = public(&world.only());
    let outside = one(world.caller(&invite(&gruu, "1")));
    assert_eq!(outside.all(HeaderName::Route), ["<sip:203.0.113.30;lr>"]);
    let more = "Route: <sip:192.0.2.1;lr>, <sip:203.0.113.31;lr>\n";
    let inside = one(world.caller(&request("INFO", &gruu, "2", more)));
    assert_eq!((inside.uri(), inside.all(HeaderName::Route)), ("sip:one@10.0.0.1", vec!["<sip:203.0.113.31;lr>"]));
}
