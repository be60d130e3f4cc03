//! RFC 6086: INFO and info packages.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::Side::{Alice, Bob};
use common::*;
use sip_dialog::invite::{Event, Input, Misuse, Policy};
use sip_message::{HeaderName, Method};

fn wanting(name: &str, packages: &[&str]) -> Policy {
    Policy { recv_info: Some(packages.iter().map(|package| (*package).into()).collect()), ..policy(name) }
}

fn send_info(world: &mut World, side: Side, package: Option<&str>) -> Result<(), Misuse> {
    let mut request = world.usage(side).create_request(FIRST, Method::Info).unwrap();
    if let Some(package) = package {
        request.headers_mut().push(HeaderName::InfoPackage, package).unwrap();
    }
    let result = world.act(side, Input::Send { dialog: FIRST, request });
    world.settle();
    result
}

/// §4.2.2: what one wants is said in INVITE and 2xx.
#[test]
fn a_package_that_the_peer_wants_arrives() {
    let mut world = World::established_with(wanting("alice", &["dtmf", "foo"]), wanting("bob", &["bar"]));
    send_info(&mut world, Alice, Some("bar;x=y")).unwrap();
    assert_eq!(world.log(), ["alice INFO"]);
    world.respond(Bob, 200, None, false);
    world.settle();
    send_info(&mut world, Bob, Some("DTMF")).unwrap();
    assert_eq!(world.log(), ["bob 200 INFO", "bob INFO"]);
}

/// §4.2.1: "A UA MUST NOT send an INFO request associated with an Info Package that the peer has not indicated".
#[test]
fn a_package_that_the_peer_does_not_want_is_refused_to_the_user() {
    let mut world = World::established_with(wanting("alice", &[]), wanting("bob", &["bar"]));
    assert_eq!(send_info(&mut world, Alice, Some("foo")), Err(Misuse::PackageNotWanted("foo".into())));
    assert_eq!(send_info(&mut world, Bob, Some("bar")), Err(Misuse::PackageNotWanted("bar".into())));
    assert_eq!(world.log(), [""; 0]);
}

/// §4.2.2: 469 with Recv-Info.
#[test]
fn a_package_that_we_do_not_want_gets_469() {
    let mut world = World::established_with(policy("alice"), wanting("bob", &["bar", "baz"]));
    let mut request = world.usage(Alice).create_request(FIRST, Method::Info).unwrap();
    request.headers_mut().push(HeaderName::InfoPackage, "foo").unwrap();
    world.inject(Bob, request);
    assert_eq!(world.log(), ["bob 469 INFO"]);
    let response = world.wire.pop_back().unwrap().message;
    assert_eq!(response.headers().values(HeaderName::RecvInfo).collect::<Vec<_>>(), ["bar", "baz"]);
    assert!(world.bob.waiting.is_empty());
}

/// Appendix A: an INFO of old, without package, goes to the user.
#[test]
fn an_info_without_package_goes_to_the_user() {
    let mut world = World::established_with(policy("alice"), wanting("bob", &[]));
    send_info(&mut world, Alice, None).unwrap();
    assert!(matches!(world.event(Bob), Some(Event::Request { .. })));
}
