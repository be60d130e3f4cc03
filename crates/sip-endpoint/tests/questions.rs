//! What a user may ask an endpoint, and what it may draw from it.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use sip_endpoint::{Destination, Endpoint, Entropy, Listener, SendTo, Target, partition_of_tag};
use sip_message::{HeaderName, ListenerId, Request, Response, StatusCode, Transport};
use support::{Alone, request, settings};

fn routed(route: Option<&str>, uri: &str) -> Request {
    let text = String::from_utf8(request("OPTIONS", "1", "").to_bytes().to_vec()).unwrap();
    let text = text.replace("sip:bob@10.0.0.1 SIP", &format!("{uri} SIP"));
    let Ok(sip_message::Message::Request(mut request)) =
        sip_message::parse_datagram(text.into_bytes().into(), &sip_message::Limits::default())
    else {
        panic!("a request")
    };
    if let Some(route) = route {
        request.headers_mut().push(HeaderName::Route, route).unwrap();
    }
    request
}

/// RFC 3261 §8.1.2 and §16.6, RFC 3263 §4.
#[test]
fn a_next_hop_is_own_by_the_topmost_route_or_else_by_the_request_uri() {
    let alone = Alone::new(0);
    for (route, uri, own) in [
        (None, "sip:bob@10.0.0.1", true),
        (None, "sip:bob@10.0.0.1:5060;transport=tcp", true),
        (None, "sip:bob@10.0.0.1:5070", false),
        (None, "sip:bob@10.0.0.9", false),
        (None, "sip:bob@example.org;maddr=10.0.0.1", true),
        (None, "sip:bob@10.0.0.1;maddr=10.0.0.9", false),
        (None, "tel:+4930", false),
        (Some("<sip:10.0.0.9;lr>"), "sip:bob@10.0.0.1", false),
        (Some("<sip:10.0.0.1;lr>"), "sip:bob@10.0.0.9", true),
        (Some("<sip:10.0.0.1;lr>"), "tel:+4930", true),
        (Some("<sip:app@10.0.0.1;lr;maddr=10.0.0.9>"), "sip:bob@10.0.0.1", false),
        (Some("nonsense"), "sip:bob@10.0.0.1", false),
    ] {
        assert_eq!(alone.endpoint.next_hop_is_own(&routed(route, uri)), own, "{route:?} {uri}");
    }
}

#[test]
fn the_listener_that_will_be_used_is_known_before_and_after() {
    let mut settings = settings(0);
    let v6 = Listener { id: ListenerId(2), local: "[fd00::1]:5060".parse().unwrap(), ..settings.listeners[0].clone() };
    settings.listeners.push(v6);
    let mut endpoint = Endpoint::new(settings);
    let id = |listener: Option<&Listener>| listener.map(|listener| listener.id.0);
    assert_eq!(id(endpoint.listener_for(Transport::Udp, None)), Some(0));
    assert_eq!(id(endpoint.listener_for(Transport::Tcp, Some("10.0.0.9".parse().unwrap()))), Some(1));
    assert_eq!(id(endpoint.listener_for(Transport::Udp, Some("fd00::9".parse().unwrap()))), Some(2));
    assert_eq!(id(endpoint.listener_for(Transport::Tcp, Some("fd00::9".parse().unwrap()))), None);
    assert_eq!(id(endpoint.listener_for(Transport::Ws, None)), None);

    let now = std::time::Instant::now();
    let target = Target { transport: Transport::Tcp, addr: "10.0.0.9:5060".parse().unwrap(), server_name: None };
    let sent = endpoint.send(now, routed(None, "sip:x@h"), SendTo::Targets(vec![target.clone()]), None).unwrap();
    assert_eq!(id(endpoint.listener_of_client(sent)), Some(1));
    assert_eq!(endpoint.destination_of(sent), Some(&Destination::Target { listener: ListenerId(1), target }));
    let looked_up = endpoint.send(now, routed(None, "sip:x@h"), SendTo::NextHop, None).unwrap();
    assert_eq!(id(endpoint.listener_of_client(looked_up)), None);
}

#[test]
fn a_server_transaction_tells_whether_it_can_be_answered_until_it_ends() {
    let mut alone = Alone::new(0);
    let (server, options) = alone.begins(request("OPTIONS", "1", ""));
    let asked = |alone: &Alone| {
        let endpoint = &alone.endpoint;
        (endpoint.is_answerable(server), endpoint.is_ended(server))
    };
    assert_eq!(asked(&alone), (true, false));
    alone.endpoint.respond(alone.now, server, Response::to(&options, StatusCode::OK)).unwrap();
    assert_eq!(asked(&alone), (false, false));
    alone.pass(Duration::from_secs(33));
    assert_eq!(asked(&alone), (false, true));
}

#[test]
fn entropies_endpoints_and_shards_never_draw_the_same_number() {
    let mut drawn = BTreeSet::new();
    let mut tags = BTreeSet::new();
    let mut count = 0;
    let mut draw = |endpoint: &mut Endpoint, entropies: &mut [Entropy]| {
        for _ in 0..100 {
            drawn.insert(endpoint.random());
            tags.insert(endpoint.new_tag());
            for entropy in &mut *entropies {
                drawn.insert(entropy.random());
                tags.insert(entropy.tag());
            }
            count += 1 + entropies.len();
        }
    };
    // As in one server: the same seed, and a partition for each shard.
    for partition in 0..4 {
        let mut endpoint = Endpoint::new(settings(partition));
        let mut entropies = [endpoint.entropy(), endpoint.entropy()];
        draw(&mut endpoint, &mut entropies);
    }
    assert_eq!(drawn.len(), count);
    assert_eq!(tags.len(), count);
}

#[test]
fn the_tags_of_an_entropy_name_the_partition_of_its_endpoint() {
    let mut endpoint = Endpoint::new(settings(9));
    let mut entropy = endpoint.entropy();
    assert_eq!(entropy.partition(), 9);
    assert_eq!(partition_of_tag(&entropy.tag()), Some(9));
    assert_eq!(partition_of_tag(&endpoint.new_tag()), Some(9));
    for foreign in ["", "as83kd9bs", "0123456789abcdefgh", "é23456789abcdefgh"] {
        assert_eq!(partition_of_tag(foreign), None, "{foreign}");
    }
}

#[test]
fn an_entropy_does_not_print_its_seed() {
    assert_eq!(format!("{:?}", Endpoint::new(settings(2)).entropy()), "Entropy { partition: 2, .. }");
}
