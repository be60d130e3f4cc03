//! RFC 3327: the Path header at the registrar and at the home proxy.

mod server_world;

use cordboard::config::Relay;
use server_world::{Sent, World, addr, config, invite, one, register, request, stream, udp};
use sip_message::{HeaderName, Transport};

const P3: &str = "203.0.113.30:5060";

/// A REGISTER of bob's that P3 passes on, with these lines.
fn through_p3(world: &mut World, call_id: &str, more: &str) -> Sent {
    let more = format!("Contact: <sip:bob@10.1.1.1>\n{more}");
    let text = register("bob", call_id, 1, &more, P3).replacen(
        "From:",
        "Via: SIP/2.0/UDP 10.1.1.1;branch=z9hG4bKua\nFrom:",
        1,
    );
    world.receive(&udp(P3), &text);
    world.only()
}

/// §5.3: "The registrar copies the Path header field values into a Path header field in the successful (200 class)
/// REGISTER response", "preserving the order".
#[test]
fn the_path_is_told_back() {
    let mut world = World::default();
    let more =
        "Supported: path\nPath: <sip:p3.example.com;lr>\nPath: <sip:p1.example.net;lr;x=y>, <sip:p0.example.net;lr>\n";
    let ok = through_p3(&mut world, "1", more);
    assert_eq!(ok.status(), 200);
    assert_eq!(
        ok.all(HeaderName::Path),
        ["<sip:p3.example.com;lr>", "<sip:p1.example.net;lr;x=y>", "<sip:p0.example.net;lr>"]
    );
}

/// §5.3: "The recommended policy is for the registrar to reject the request with a 420 "Bad Extension" response indicating
/// the Path extension."
#[test]
fn a_path_that_the_client_does_not_know_of_is_refused() {
    let mut world = World::default();
    let refused = through_p3(&mut world, "1", "Path: <sip:p3.example.com;lr>\n");
    assert_eq!((refused.status(), refused.first(HeaderName::Unsupported)), (420, "path"));
    assert_eq!(world.bindings(), 0);
}

/// §5.2: a Path value is a loose route.
#[test]
fn a_path_that_is_no_loose_route_is_a_bad_request() {
    let mut world = World::default();
    for (n, path) in ["<sip:p3.example.com>", "<tel:+1>", "<sip:p3;lr"].iter().enumerate() {
        let more = format!("Supported: path\nPath: {path}\n");
        assert_eq!(through_p3(&mut world, &format!("{n}"), &more).status(), 400, "{path}");
    }
}

/// §5.4: "the home proxy also copies the stored path vector … into the Route header field of the outgoing request as a
/// preloaded route".
#[test]
fn a_call_goes_along_the_path_of_its_binding() {
    let mut world = World::default();
    world.host("p3.example.net", P3);
    let more = "Supported: path\nPath: <sip:p3.example.net;lr>, <sip:p1.example.net;lr>\n";
    assert_eq!(through_p3(&mut world, "1", more).status(), 200);
    let sent = one(world.caller(&invite("sip:bob@example.com", "call")));
    assert_eq!((sent.uri(), sent.to), ("sip:bob@10.1.1.1", addr(P3)));
    assert_eq!(sent.all(HeaderName::Route), ["<sip:p3.example.net;lr>", "<sip:p1.example.net;lr>"]);
}

/// §5.4, the ACK goes by the dialog's route set and not by the path.
#[test]
fn each_binding_has_its_own_path() {
    let mut world = World::default();
    world.host("p3.example.net", P3);
    through_p3(&mut world, "1", "Supported: path\nPath: <sip:p3.example.net;lr>\n");
    world.register("bob", "<sip:bob@203.0.113.5>", "203.0.113.5:5060");
    let mut sent = world.caller(&invite("sip:bob@example.com", "call"));
    sent.sort_by_key(|sent| sent.to);
    assert_eq!((sent[0].to, sent[0].all(HeaderName::Route).len()), (addr("203.0.113.5:5060"), 0));
    assert_eq!((sent[1].to, sent[1].all(HeaderName::Route).len()), (addr(P3), 1));
}

/// A refresh without the path is a client that has moved: the path is no more.
#[test]
fn a_refresh_replaces_the_path() {
    let mut world = World::default();
    through_p3(&mut world, "1", "Supported: path\nPath: <sip:p3.example.net;lr>\n");
    let ok = world.register("bob", "<sip:bob@10.1.1.1>", "10.1.1.1:5060");
    assert_eq!((ok.status(), ok.all(HeaderName::Path).len()), (200, 0));
    let sent = one(world.caller(&invite("sip:bob@example.com", "call")));
    assert_eq!((sent.all(HeaderName::Route).len(), sent.to), (0, addr("10.1.1.1:5060")));
}

/// §5.2: as a proxy in front of another registrar we put ourselves into the Path of a client that needs it, and its
/// requests come back through us.
#[test]
fn we_stand_in_the_path_to_another_registrar() {
    let mut config = config();
    config.proxy.relay = Relay::Any;
    let mut world = World::new(config);
    world.host("example.org", "203.0.113.40:5060");
    let flow = stream(Transport::Ws, "203.0.113.5:50000", 7);
    let text = register("bob", "1", 1, "Supported: path\nContact: <sip:bob@abc.invalid;transport=ws>\n", "abc.invalid")
        .replace("example.com", "example.org")
        .replace("SIP/2.0/UDP", "SIP/2.0/WS");
    world.receive(&flow, &text);
    let sent = world.only();
    let path = sent.first(HeaderName::Path).to_owned();
    assert!(path.contains(";lr") && path.contains("@192.0.2.1:8080"), "{path}");
    assert!(!sent.headers().contains(HeaderName::RecordRoute));
    // The home proxy's request comes along the Path, and goes over the client's connection.
    let more = format!("Route: {path}\n");
    world.receive(&udp("203.0.113.40:5060"), &request("MESSAGE", "sip:bob@abc.invalid;transport=ws", "2", &more));
    let sent = world.only();
    assert_eq!((sent.connection.map(|c| c.0), sent.all(HeaderName::Route).len()), (Some(7), 0));
}

/// A client that does not say it knows of Path gets none.
#[test]
fn we_put_nothing_into_the_path_of_a_client_that_does_not_know_of_it() {
    let mut config = config();
    config.proxy.relay = Relay::Any;
    let mut world = World::new(config);
    world.host("example.org", "203.0.113.40:5060");
    let text = register("bob", "1", 1, "Contact: <sip:bob@203.0.113.5>\n", "203.0.113.5:5060")
        .replace("example.com", "example.org");
    world.receive(&udp("203.0.113.5:5060"), &text);
    assert!(!world.only().headers().contains(HeaderName::Path));
}
