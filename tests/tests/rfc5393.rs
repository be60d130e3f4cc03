//! RFC 5393: loops are found where requests fork, and the breadth of a fork has a limit.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod server_world;

use server_world::{Sent, World, config, invite, one, request, udp};
use sip_message::HeaderName;

const BOB: &str = "203.0.113.5:5060";
const US: &str = "192.0.2.1:5060";

/// Takes everything that the server sends to itself back in, until it sends nothing to itself any more; says how many
/// requests of `method` that were, and what went elsewhere.
fn settle(world: &mut World, first: Vec<Sent>, method: &str) -> (usize, Vec<Sent>) {
    let mut count = 0;
    let mut elsewhere = Vec::new();
    let mut pending: std::collections::VecDeque<Sent> = first.into();
    while let Some(sent) = pending.pop_front() {
        if sent.to.to_string() != US {
            elsewhere.push(sent);
            continue;
        }
        count += usize::from(sent.method() == method);
        assert!(count < 5000, "the requests multiply");
        world.receive(&udp(US), &sent.text);
        pending.extend(world.sent());
    }
    (count, elsewhere)
}

/// §4.2.2: "If these values are equal, the request has looped and the proxy MUST reject the request with a 482".
#[test]
fn a_request_that_comes_back_unchanged_is_a_loop() {
    let mut world = World::default();
    world.register("a", "<sip:b@192.0.2.1>", BOB);
    world.register("b", "<sip:a@192.0.2.1>", BOB);
    let first = world.caller(&invite("sip:a@192.0.2.1", "1"));
    let (count, elsewhere) = settle(&mut world, first, "INVITE");
    assert_eq!(count, 2);
    assert_eq!(one(elsewhere).status(), 482);
}

/// §4.2.2: "If the values differ, the request is spiraling and processing continues".
#[test]
fn a_request_that_comes_back_for_another_user_is_a_spiral() {
    let mut world = World::default();
    world.register("a", "<sip:b@192.0.2.1>", BOB);
    world.register("b", "<sip:c@192.0.2.1>", BOB);
    world.register("c", "<sip:phone@203.0.113.5>", BOB);
    let first = world.caller(&invite("sip:a@192.0.2.1", "1"));
    let (count, elsewhere) = settle(&mut world, first, "INVITE");
    assert_eq!((count, one(elsewhere).uri()), (2, "sip:phone@203.0.113.5"));
}

/// §4.2.1: "This second part MUST NOT vary with the request method."
#[test]
fn the_mark_is_the_same_for_an_invite_and_its_cancel() {
    let mut world = World::default();
    world.register("a", "<sip:phone@203.0.113.5>", BOB);
    let sent = one(world.caller(&invite("sip:a@192.0.2.1", "1")));
    world.answer(&sent, 180, "t", "");
    world.sent();
    let cancel = world.caller(&server_world::cancel("sip:a@192.0.2.1", "1"));
    let cancel = cancel.iter().find(|sent| sent.method() == "CANCEL").unwrap();
    assert_eq!(cancel.first(HeaderName::Via), sent.first(HeaderName::Via));
    assert!(sent.first(HeaderName::Via).contains('.'));
}

/// §4.2.4: "implementers need to take care to avoid making assumptions about the format of another element's Via".
#[test]
fn strange_vias_of_others_are_no_loop() {
    let mut world = World::default();
    world.register("a", "<sip:phone@203.0.113.5>", BOB);
    let more = "Via: SIP/2.0/UDP h;branch=z9hG4bK.0123456789abcdef;x=\"y;branch=.\";z\n";
    assert_eq!(one(world.caller(&request("MESSAGE", "sip:a@192.0.2.1", "1", more))).method(), "MESSAGE");
}

/// §3: the attack. Two users of one server, each with two contacts that are the other in two guises: 2^71 requests
/// without protection.
#[test]
fn the_attack_of_section_3_stays_small() {
    let mut world = World::default();
    for (user, other) in [("a", "b"), ("b", "a")] {
        world.register(user, &format!("<sip:{other}@192.0.2.1;x=1>, <sip:{other}@192.0.2.1;x=2>"), BOB);
    }
    let first = world.caller(&request("MESSAGE", "sip:a@192.0.2.1", "1", ""));
    let (count, elsewhere) = settle(&mut world, first, "MESSAGE");
    assert!(count < 200, "{count} requests");
    let last: Vec<_> = elsewhere.iter().filter(|sent| sent.response().is_some()).collect();
    assert_eq!(last.len(), 1);
}

/// §3 again, with four users that lead to each other.
#[test]
fn four_users_that_lead_to_each_other_stay_small() {
    let mut world = World::default();
    let users = ["a", "b", "c", "d"];
    for user in users {
        let contacts: Vec<String> =
            users.iter().filter(|other| **other != user).map(|other| format!("<sip:{other}@192.0.2.1>")).collect();
        assert_eq!(world.register(user, &contacts.join(", "), BOB).status(), 200);
    }
    let first = world.caller(&request("MESSAGE", "sip:a@192.0.2.1", "1", ""));
    let (count, _) = settle(&mut world, first, "MESSAGE");
    assert!(count < 200, "{count} requests");
}

/// §5.3.3: "If a SIP proxy receives a request with no Max-Breadth header field value, it MUST add one, with a value that
/// is RECOMMENDED to be 60." "A proxy MUST NOT decrement Max-Breadth for each hop".
#[test]
fn the_breadth_is_sixty_unless_the_request_says_less() {
    let mut world = World::default();
    world.register("a", "<sip:phone@203.0.113.5>", BOB);
    for (n, (more, breadth)) in
        [("", "60"), ("Max-Breadth: 7\n", "7"), ("Max-Breadth: 61\n", "60"), ("Max-Breadth: 99999999999\n", "60")]
            .into_iter()
            .enumerate()
    {
        let sent = one(world.caller(&request("MESSAGE", "sip:a@example.com", &format!("{n}"), more)));
        assert_eq!(sent.all(HeaderName::MaxBreadth), [breadth]);
    }
    let refused = one(world.caller(&request("MESSAGE", "sip:a@example.com", "zero", "Max-Breadth: 0\n")));
    assert_eq!(refused.status(), 400);
}

/// §5.1: "its Max-Breadth value is divided among the outgoing requests".
#[test]
fn branches_share_the_breadth() {
    let mut world = World::default();
    world.register("a", "<sip:1@203.0.113.5>, <sip:2@203.0.113.5>, <sip:3@203.0.113.5>", BOB);
    let sent = world.caller(&request("MESSAGE", "sip:a@example.com", "1", "Max-Breadth: 8\n"));
    let shares: Vec<u32> = sent.iter().map(|sent| sent.first(HeaderName::MaxBreadth).parse().unwrap()).collect();
    assert_eq!((shares.len(), shares.iter().sum::<u32>()), (3, 8));
}

/// §5.5: "that proxy may parallel fork to 4 of these targets initially … If one of these transactions completes with a
/// failure response, the outgoing Max-Breadth drops to 3, allowing the proxy to forward to one of the 4 remaining".
#[test]
fn targets_beyond_the_breadth_wait_their_turn() {
    let mut world = World::new({
        let mut config = config();
        config.registrar.max_contacts = 20;
        config
    });
    let contacts: Vec<String> = (0..8).map(|n| format!("<sip:{n}@203.0.113.{}>", n + 10)).collect();
    world.register("a", &contacts.join(", "), BOB);
    let sent = world.caller(&request("INVITE", "sip:a@example.com", "1", "Max-Breadth: 4\n"));
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|sent| sent.first(HeaderName::MaxBreadth) == "1"));
    world.answer(&sent[0], 486, "t", "");
    let next: Vec<_> = world.sent().into_iter().filter(|sent| sent.method() == "INVITE").collect();
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].first(HeaderName::MaxBreadth), "1");
}

/// §5.1: "a Max-Breadth of 1 restricts a request to pure serial forking".
#[test]
fn a_breadth_of_one_is_a_serial_search() {
    let mut world = World::default();
    world.register("a", "<sip:1@203.0.113.5>, <sip:2@203.0.113.6>, <sip:3@203.0.113.8>", BOB);
    let mut sent = one(world.caller(&request("INVITE", "sip:a@example.com", "1", "Max-Breadth: 1\n")));
    let mut tried = vec![sent.uri().to_owned()];
    for _ in 0..2 {
        world.answer(&sent, 404, "t", "");
        sent = one(world.sent().into_iter().filter(|sent| sent.method() == "INVITE").collect());
        tried.push(sent.uri().to_owned());
    }
    tried.sort();
    assert_eq!(tried, ["sip:1@203.0.113.5", "sip:2@203.0.113.6", "sip:3@203.0.113.8"]);
}
