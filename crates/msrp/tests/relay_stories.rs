//! What happens at a relay (RFC 4976), in virtual time.

mod relay_world;

use std::time::Duration;

use bytes::Bytes;
use msrp::chunk::{Chunk, Continuation};
use msrp::relay::{Limits, Settings};
use relay_world::{Network, World, code, field, method, response, send};

const ALICE: &str = "msrps://alice.example.com:9892/98cjs;tcp";
const BOB: &str = "msrps://bob.example.com:8145/foo;tcp";
const SECOND: Duration = Duration::from_secs(1);

fn text(chunk: &Chunk) -> &str {
    std::str::from_utf8(chunk.body.as_deref().unwrap_or_default()).expect("text")
}

/// §6.4: alice's URI and bob's follow each other in the path, and one relay visits both.
#[test]
fn two_clients_talk_through_one_relay() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    world.say(alice, send("1hello", &format!("{a} {b} {BOB}"), ALICE, "Success-Report: yes\r\n", "hello bob"));

    let answer = world.hear_one(alice);
    assert_eq!((code(&answer), answer.head.transaction().as_str()), (200, "1hello"));
    assert_eq!((field(&answer, "To-Path"), field(&answer, "From-Path")), (ALICE, a.as_str()));

    let heard = world.hear_one(bob);
    assert_eq!((method(&heard), text(&heard)), ("SEND", "hello bob"));
    assert_eq!(field(&heard, "To-Path"), BOB);
    assert_eq!(field(&heard, "From-Path"), format!("{b} {a} {ALICE}"));
    assert_eq!(field(&heard, "Byte-Range"), "1-9/9");
    assert_ne!(heard.head.transaction().as_str(), "1hello", "the next hop has transactions of its own");

    world.say(bob, response(&heard, 200, "OK"));
    assert!(world.hear(alice).is_empty(), "a response goes one hop");
    let report = format!(
        "MSRP report1 REPORT\r\nTo-Path: {b} {a} {ALICE}\r\nFrom-Path: {BOB}\r\nMessage-ID: m1hello\r\n\
         Byte-Range: 1-9/9\r\nStatus: 000 200 OK\r\n-------report1$\r\n"
    );
    world.say(bob, report);
    assert!(world.hear(bob).is_empty(), "nobody answers a REPORT");
    let report = world.hear_one(alice);
    assert_eq!((method(&report), field(&report, "To-Path")), ("REPORT", ALICE));
    assert_eq!(field(&report, "From-Path"), format!("{a} {b} {BOB}"));
}

#[test]
fn two_clients_talk_through_two_relays() {
    let mut network = Network::new(&["a.example.org", "b.example.net"]);
    let (alice, a) = network.at("a.example.org").client("Alice", ALICE);
    let (bob, b) = network.at("b.example.net").client("Bob", BOB);
    network.at("a.example.org").say(alice, send("1hello", &format!("{a} {b} {BOB}"), ALICE, "", "hello bob"));
    network.run();
    assert_eq!(code(&network.at("a.example.org").hear_one(alice)), 200);
    let heard = network.at("b.example.net").hear_one(bob);
    assert_eq!((text(&heard), field(&heard, "From-Path")), ("hello bob", format!("{b} {a} {ALICE}").as_str()));

    // The second relay refuses on behalf of bob, who has gone: the first one tells alice.
    network.at("b.example.net").gone(bob);
    network.run();
    let told = network.at("a.example.org").hear(alice);
    assert!(told.iter().all(|chunk| method(chunk) == "REPORT"), "{told:?}");
    network.at("a.example.org").say(alice, send("2hello", &format!("{a} {b} {BOB}"), ALICE, "", "are you there"));
    network.run();
    let heard = network.at("a.example.org").hear(alice);
    assert_eq!((heard.len(), code(&heard[0]), method(&heard[1])), (2, 200, "REPORT"));
    assert_eq!(field(&heard[1], "Status"), "000 481 No such URI here");
    assert_eq!((field(&heard[1], "Message-ID"), field(&heard[1], "Byte-Range")), ("m2hello", "1-13/13"));
    assert_eq!((field(&heard[1], "To-Path"), field(&heard[1], "From-Path")), (ALICE, a.as_str()));
}

/// §5.1: the AUTH to the outer relay goes through the inner one, and its responses come back the same way.
#[test]
fn a_client_authenticates_at_an_outer_relay_through_an_inner_one() {
    let mut network = Network::new(&["intra.example.com", "extra.example.com"]);
    let (alice, inner) = network.at("intra.example.com").client("Alice", ALICE);
    let auth = |id: &str, more: &str| {
        format!(
            "MSRP {id} AUTH\r\nTo-Path: {inner} msrps://extra.example.com:9000;tcp\r\nFrom-Path: {ALICE}\r\n{more}-------{id}$\r\n"
        )
    };
    network.at("intra.example.com").say(alice, auth("mnbvw", ""));
    network.run();
    let challenged = network.at("intra.example.com").hear_one(alice);
    assert_eq!((code(&challenged), challenged.head.transaction().as_str()), (401, "mnbvw"));
    assert_eq!(field(&challenged, "From-Path"), format!("{inner} msrps://extra.example.com:9000;tcp"));
    network
        .at("intra.example.com")
        .say(alice, auth("m3nbvx", "Authorization: Digest username=\"Alice\", response=\"right\"\r\n"));
    network.run();
    let ready = network.at("intra.example.com").hear_one(alice);
    assert_eq!(code(&ready), 200);
    let (first, outer) = field(&ready, "Use-Path").split_once(' ').expect("two URIs");
    assert_eq!(first, inner);

    // And somebody else's message comes through both, to her.
    let stranger = network.at("extra.example.com").accept();
    network.at("extra.example.com").say(stranger, send("1hello", &format!("{outer} {inner} {ALICE}"), BOB, "", "hi"));
    network.run();
    let heard = network.at("intra.example.com").hear_one(alice);
    assert_eq!((text(&heard), field(&heard, "From-Path")), ("hi", format!("{inner} {outer} {BOB}").as_str()));
}

/// §6.4.1, Failure-Report.
#[test]
fn failure_report_says_who_is_told_what() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    let path = format!("{a} {b} {BOB}");
    for (wish, at_once, failed) in [("yes", 1, 1), ("partial", 0, 1), ("no", 0, 0)] {
        world.say(alice, send(&format!("1{wish}"), &path, ALICE, &format!("Failure-Report: {wish}\r\n"), "hello"));
        let answers = world.hear(alice);
        assert_eq!(answers.len(), at_once, "{wish}: a 200 only where it is wanted");
        let heard = world.hear_one(bob);
        world.say(bob, response(&heard, 413, "Enough"));
        let told = world.hear(alice);
        assert_eq!(told.len(), failed, "{wish}");
        for report in told {
            assert_eq!((method(&report), field(&report, "Status")), ("REPORT", "000 413 Enough"));
        }
    }
    // Silence.
    for (wish, told) in [("yes", 1), ("partial", 0), ("no", 0)] {
        world.say(alice, send(&format!("2{wish}"), &path, ALICE, &format!("Failure-Report: {wish}\r\n"), "hello"));
        world.hear(alice);
        world.pass(60 * SECOND);
        assert!(world.hear(alice).is_empty(), "{wish}: the time begins when the last octet is out");
        world.hear_one(bob);
        world.pass(29 * SECOND);
        assert!(world.hear(alice).is_empty(), "{wish}");
        world.pass(2 * SECOND);
        let reports = world.hear(alice);
        assert_eq!(reports.len(), told, "{wish}");
        assert!(reports.iter().all(|report| field(report, "Status") == "000 408 The next hop is silent"));
    }
}

#[test]
fn a_next_hop_that_cannot_be_reached_is_reported() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    world.say(alice, send("1hello", &format!("{a} {BOB}"), ALICE, "", "hello"));
    assert_eq!(code(&world.hear_one(alice)), 200);
    let (connection, target) = world.wanted.pop().expect("a connection");
    assert_eq!(target, "bob.example.com:8145");
    world.gone(connection);
    let report = world.hear_one(alice);
    assert_eq!(field(&report, "Status"), "000 408 The next hop cannot be reached");
    assert_eq!((field(&report, "Message-ID"), field(&report, "Byte-Range")), ("m1hello", "1-5/5"));
    // The next message tries again.
    world.say(alice, send("2hello", &format!("{a} {BOB}"), ALICE, "", "hello"));
    let (connection, _) = world.wanted.pop().expect("a connection");
    world.connected(connection);
    assert_eq!(text(&world.hear_one(connection)), "hello");
}

/// §6.4.1 for what Failure-Report asks, §6.4.3 for what is no SEND.
#[test]
fn a_next_hop_that_cannot_be_reached_is_told_to_whoever_wants_to_know() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    let path = format!("{a} {BOB}");
    for (wish, told) in [("yes", 1), ("partial", 1), ("no", 0)] {
        let id = format!("1{wish}");
        world.say(alice, send(&id, &path, ALICE, &format!("Failure-Report: {wish}\r\n"), "hello"));
        world.hear(alice);
        let (connection, _) = world.wanted.pop().expect("a connection");
        world.gone(connection);
        let reports = world.hear(alice);
        assert_eq!(reports.len(), told, "{wish}");
        for report in reports {
            assert_eq!((method(&report), field(&report, "Message-ID")), ("REPORT", format!("m{id}").as_str()));
            assert!(field(&report, "Status").starts_with("000 408 "));
            assert_eq!((field(&report, "To-Path"), field(&report, "From-Path")), (ALICE, a.as_str()));
        }
    }
    for (asked, answers) in [("NICKNAME", 1), ("AUTH", 1), ("REPORT", 0)] {
        let text = format!("MSRP 1ask {asked}\r\nTo-Path: {path}\r\nFrom-Path: {ALICE}\r\n-------1ask$\r\n");
        world.say(alice, text);
        assert!(world.hear(alice).is_empty(), "{asked}: nobody knows yet");
        let (connection, _) = world.wanted.pop().expect("a connection");
        world.gone(connection);
        let heard = world.hear(alice);
        assert_eq!(heard.len(), answers, "{asked}");
        for answer in heard {
            assert_eq!((code(&answer), answer.head.transaction().as_str()), (408, "1ask"));
        }
    }
}

/// A long message loses its next hop in its middle: what had gone on is reported, what still comes is refused.
#[test]
fn a_next_hop_that_goes_in_the_middle_of_a_message_is_told_once_for_each_part() {
    let limits = Limits { piece: 1000, ..Limits::default() };
    let mut world = World::with(Settings { limits, ..Settings::new("relay.example.com", 9000, true) });
    let (alice, a) = world.client("Alice", ALICE);
    let message = send("1long", &format!("{a} {BOB}"), ALICE, "", &"x".repeat(9000)).replace("1-9000/9000", "1-*/9000");
    let (first, rest) = message.split_at(5000);
    world.say(alice, first.to_owned());
    let (connection, _) = world.wanted.pop().expect("a connection");
    world.connected(connection);
    let pieces = world.hear(connection);
    assert!(!pieces.is_empty());
    world.gone(connection);
    let reports = world.hear(alice);
    let ranges =
        |chunks: &[Chunk]| chunks.iter().map(|chunk| field(chunk, "Byte-Range").to_owned()).collect::<Vec<_>>();
    let (mut gone, mut told) = (ranges(&pieces), ranges(&reports));
    gone.sort();
    told.sort();
    assert_eq!(gone, told);
    assert!(reports.iter().all(|report| field(report, "Status") == "000 408 The next hop is gone"));
    world.say(alice, rest.to_owned());
    assert_eq!(code(&world.hear_one(alice)), 408);
    assert!(world.wanted.is_empty(), "the rest alone is of no use to anybody");
}

/// §6.4.2: a peer behind a NAT is met on the connection that it made; and nobody takes its place while that lives.
#[test]
fn a_peer_that_has_come_to_the_relay_is_answered_on_its_own_connection() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, eve) = (world.accept(), world.accept());
    world.say(bob, send("1hello", &format!("{a} {ALICE}"), BOB, "", "hello"));
    world.say(eve, send("2hello", &format!("{a} {ALICE}"), BOB, "", "I am bob"));
    assert_eq!(world.hear(alice).len(), 2);
    world.hear(bob);
    world.hear(eve);
    world.say(alice, send("3hello", &format!("{a} {BOB}"), ALICE, "", "for bob"));
    assert!(world.wanted.is_empty() && world.hear(eve).is_empty());
    assert_eq!(text(&world.hear_one(bob)), "for bob");
    world.gone(bob);
    world.hear(alice);
    world.say(alice, send("4hello", &format!("{a} {BOB}"), ALICE, "", "for bob"));
    assert_eq!(world.wanted.len(), 1);
}

/// §6.4: either from the client of a URI or to it, and nothing else.
#[test]
fn a_forged_path_leads_nowhere() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    let eve = world.accept();
    let mut refused = |who, to: &str, from: &str| {
        world.say(who, send("1forged", to, from, "", "forged"));
        code(&world.hear_one(who))
    };
    let elsewhere = "msrps://eve.example.com:1/eve;tcp";
    assert_eq!(refused(bob, &format!("{a} {elsewhere}"), BOB), 403, "out by somebody else's URI");
    assert_eq!(refused(bob, &format!("{a} {elsewhere}"), ALICE), 506, "in somebody else's name");
    assert_eq!(refused(alice, &format!("{b} {elsewhere}"), ALICE), 403);
    assert_eq!(refused(alice, &format!("{a} {b} {elsewhere}"), ALICE), 403, "by way of her own");
    assert_eq!(refused(alice, &format!("{a} msrps://10.0.0.1:1/x;tcp"), ALICE), 403, "into the relay's own network");
    assert_eq!(refused(alice, "msrps://relay.example.com:9000/guessed;tcp msrps://x:1/y;tcp", ALICE), 481);
    assert_eq!(refused(alice, &a, ALICE), 481, "a path that ends at the relay");
    assert_eq!(
        refused(eve, &format!("{a} {}", ALICE.replace("98cjs", "98CJS")), elsewhere),
        403,
        "session ids count to the letter"
    );
    assert!(world.hear(alice).is_empty() && world.hear(bob).is_empty() && world.wanted.is_empty());
}

/// §6.2.
#[test]
fn who_addresses_somebody_else_is_dropped() {
    let mut world = World::new("relay.example.com");
    let eve = world.accept();
    world.say(eve, send("1hello", "msrps://other.example.com:9000/x;tcp msrps://y:1/z;tcp", ALICE, "", "hello"));
    assert_eq!(world.closed, [eve]);
    let other = world.accept();
    world.say(other, "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(world.closed, [eve, other]);
}

/// §6.1 and §6.3.
#[test]
fn strangers_have_half_a_minute_and_a_few_attempts() {
    let mut world = World::new("relay.example.com");
    let (idle, guesser) = (world.accept(), world.accept());
    let (alice, _) = world.client("Alice", ALICE);
    for attempt in 1..=5 {
        assert!(world.closed.is_empty(), "attempt {attempt}");
        let id = format!("guess{attempt}");
        world.say(
            guesser,
            format!(
                "MSRP {id} AUTH\r\nTo-Path: msrps://relay.example.com;tcp\r\nFrom-Path: {BOB}\r\n\
                 Authorization: Digest username=\"Bob\", response=\"wrong\"\r\n-------{id}$\r\n"
            ),
        );
        assert_eq!(code(&world.hear_one(guesser)), 401);
    }
    assert_eq!(world.closed, [guesser]);
    world.gone(guesser);
    world.pass(31 * SECOND);
    assert_eq!(world.closed, [guesser, idle]);
    world.gone(idle);
    world.gone(alice);
    let left = world.statistics();
    assert_eq!((left.connections, left.grants), (0, 0));
}

/// §6.3, Expires.
#[test]
fn a_uri_ends_when_its_time_is_over_and_lives_on_when_it_is_asked_for_again() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    let say = |world: &mut World| {
        world.say(bob, send("1hello", &format!("{b} {a} {ALICE}"), BOB, "", "hello"));
        code(&world.hear_one(bob))
    };
    world.pass(800 * SECOND);
    assert_eq!(world.auth(alice, "Alice", ALICE, "Expires: 1000\r\n"), a, "the URI stays the same");
    assert_eq!(world.auth(bob, "Bob", BOB, "Expires: 3600\r\n"), b);
    world.pass(999 * SECOND);
    assert_eq!(say(&mut world), 200);
    world.pass(SECOND);
    assert_eq!(say(&mut world), 481);
    assert_eq!(world.statistics().grants, 1);
}

#[test]
fn an_interval_out_of_bounds_is_refused_with_the_bound() {
    let mut world = World::new("relay.example.com");
    let alice = world.accept();
    for (asked, name, bound) in [(10, "Min-Expires", "60"), (100_000, "Max-Expires", "3600")] {
        world.say(
            alice,
            format!(
                "MSRP auth1 AUTH\r\nTo-Path: msrps://alice@relay.example.com:9000;tcp\r\nFrom-Path: {ALICE}\r\n\
                 Authorization: Digest username=\"Alice\", response=\"right\"\r\nExpires: {asked}\r\n-------auth1$\r\n"
            ),
        );
        let answer = world.hear_one(alice);
        assert_eq!((code(&answer), field(&answer, name)), (423, bound));
    }
}

/// §6.3: "If the client's connection is closed and then reopened, the URI MUST be invalidated."
#[test]
fn a_uri_ends_with_its_connection() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    world.gone(alice);
    let (again, new) = world.client("Alice", ALICE);
    assert_ne!(new, a);
    world.say(bob, send("1hello", &format!("{b} {a} {ALICE}"), BOB, "", "hello"));
    assert_eq!(code(&world.hear_one(bob)), 481);
    assert!(world.hear(again).is_empty());
}

/// §6.4.1: a long chunk goes on in pieces, whose ranges and flags say what they are.
#[test]
fn a_long_message_goes_on_in_pieces_as_it_comes() {
    let limits = Limits { piece: 1000, ..Limits::default() };
    let mut world = World::with(Settings { limits, ..Settings::new("relay.example.com", 9000, true) });
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    let body: String = (0..1000).map(|number| format!("{number:010}")).collect();
    let message = send("1long", &format!("{a} {b} {BOB}"), ALICE, "", &body).replace("1-10000/10000", "1-*/10000");
    let (first, rest) = message.split_at(5000);
    world.say(alice, first.to_owned());
    let mut pieces = world.hear(bob);
    assert!(!pieces.is_empty() && world.hear(alice).is_empty(), "no 200 before it has come");
    world.say(alice, rest.to_owned());
    assert_eq!(code(&world.hear_one(alice)), 200);
    pieces.extend(world.hear(bob));
    let mut next = 1;
    for (index, piece) in pieces.iter().enumerate() {
        let length = text(piece).len();
        assert_eq!(field(piece, "Byte-Range"), format!("{next}-{}/10000", next + length - 1));
        let is_last = index + 1 == pieces.len();
        assert_eq!(piece.end, if is_last { Continuation::Complete } else { Continuation::More });
        next += length;
    }
    assert_eq!(pieces.iter().map(text).collect::<String>(), body);

    // One of the pieces is refused: the report says which octets.
    world.say(bob, response(&pieces[1], 413, "Enough"));
    let report = world.hear_one(alice);
    assert_eq!(field(&report, "Byte-Range"), field(&pieces[1], "Byte-Range"));
}

/// Bounded buffers: bob reads nothing, alice is not read from.
#[test]
fn who_sends_to_somebody_slow_waits() {
    let limits = Limits { queue: 64 * 1024, ..Limits::default() };
    let mut world = World::with(Settings { limits, ..Settings::new("relay.example.com", 9000, true) });
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    let (carol, c) = world.client("Alice", "msrps://carol.example.com:1/c;tcp");
    let body = "x".repeat(8000);
    let mut sent = 0;
    while world.relay.has_room(alice) {
        let message = send(&format!("{sent}flood"), &format!("{a} {b} {BOB}"), ALICE, "Failure-Report: no\r\n", &body);
        world.say(alice, message);
        sent += 1;
        assert!(sent < 20, "a queue without a bound");
    }
    // Others are not concerned.
    world.say(carol, send("1hi", &format!("{c} {a} {ALICE}"), "msrps://carol.example.com:1/c;tcp", "", "hi"));
    assert_eq!(code(&world.hear_one(carol)), 200);
    assert_eq!(text(&world.hear_one(alice)), "hi");
    // Bob reads: everything comes, in order, and alice is read from again.
    let heard = world.hear(bob);
    let ids: Vec<String> = heard.iter().map(|chunk| field(chunk, "Message-ID").to_owned()).collect();
    assert_eq!(ids, (0..sent).map(|number| format!("m{number}flood")).collect::<Vec<_>>());
    assert!(world.relay.has_room(alice));
}

/// Who isn't read from can't be heard to answer: that is no failure of what was sent to him.
#[test]
fn responses_behind_what_has_no_room_are_not_late() {
    let limits = Limits { queue: 64 * 1024, ..Limits::default() };
    let mut world = World::with(Settings { limits, ..Settings::new("relay.example.com", 9000, true) });
    let carols = "msrps://carol.example.com:1/c;tcp";
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    let (carol, c) = world.client("Alice", carols);
    world.say(carol, send("1hi", &format!("{c} {a} {ALICE}"), carols, "", "hi"));
    assert_eq!(code(&world.hear_one(carol)), 200);
    let heard = world.hear_one(alice);
    let (body, mut sent) = ("x".repeat(8000), 0);
    while world.relay.has_room(alice) {
        world.say(
            alice,
            send(&format!("{sent}flood"), &format!("{a} {b} {BOB}"), ALICE, "Failure-Report: no\r\n", &body),
        );
        sent += 1;
    }
    world.say(alice, response(&heard, 200, "OK"));
    world.pass(Duration::from_secs(45));
    assert!(world.hear(carol).is_empty());
    assert_eq!(world.hear(bob).len(), sent);
    world.pass(Duration::from_secs(90));
    assert!(world.hear(carol).is_empty());
}

/// Whoever sends much and reads nothing, not even its 200s, is not read from either.
#[test]
fn responses_that_nobody_reads_are_bounded() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    for number in 0..100_000 {
        world.say(alice, send(&format!("{number}flood"), &format!("{a} {b} {BOB}"), ALICE, "", "x"));
        if !world.relay.has_room(alice) {
            return;
        }
        let heard = world.hear_one(bob);
        world.say(bob, response(&heard, 200, "OK"));
    }
    panic!("a queue of responses without a bound");
}

/// A next hop that answers nothing holds a bounded number of requests, and gets no more meanwhile.
#[test]
fn requests_without_a_response_are_bounded() {
    let limits = Limits { pending: 100, ..Limits::default() };
    let mut world = World::with(Settings { limits, ..Settings::new("relay.example.com", 9000, true) });
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    let mut sent = 0;
    while world.relay.has_room(alice) {
        world.say(alice, send(&format!("{sent}flood"), &format!("{a} {b} {BOB}"), ALICE, "", "x"));
        world.hear(alice);
        world.hear(bob);
        sent += 1;
        assert!(sent < 200);
    }
    world.pass(31 * SECOND);
    assert!(world.relay.has_room(alice));
    assert_eq!(world.hear(alice).iter().filter(|chunk| chunk.head.method().is_some()).count(), 100);
}

/// RFC 7701's NICKNAME and methods of tomorrow: forwarded, and their responses the whole way back.
#[test]
fn an_unknown_method_is_forwarded_and_its_response_comes_back() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    world.say(
        alice,
        format!("MSRP 1nick NICKNAME\r\nTo-Path: {a} {b} {BOB}\r\nFrom-Path: {ALICE}\r\nUse-Nickname: \"Al\"\r\n-------1nick$\r\n"),
    );
    assert!(world.hear(alice).is_empty());
    let asked = world.hear_one(bob);
    assert_eq!((method(&asked), field(&asked, "Use-Nickname")), ("NICKNAME", "\"Al\""));
    world.say(bob, response(&asked, 425, "Taken"));
    // Bob's response names both of the relay's URIs, and both are visited at once.
    let answer = world.hear_one(alice);
    assert_eq!((code(&answer), answer.head.transaction().as_str()), (425, "1nick"));
    assert_eq!((field(&answer, "To-Path"), field(&answer, "From-Path")), (ALICE, format!("{a} {b} {BOB}").as_str()));
}

/// However the network cuts what is said, the same goes on.
#[test]
fn octets_one_by_one_are_the_same_as_all_at_once() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    let (bob, b) = world.client("Bob", BOB);
    let message = send("1hello", &format!("{a} {b} {BOB}"), ALICE, "", "a\r\n-------1hell\r\nb");
    for octet in message.bytes() {
        world.say(alice, Bytes::copy_from_slice(&[octet]));
    }
    assert_eq!(text(&world.hear_one(bob)), "a\r\n-------1hell\r\nb");
}

/// §5.4: what we opened and nobody uses is closed.
#[test]
fn a_connection_to_a_next_hop_that_nobody_uses_is_closed() {
    let mut world = World::new("relay.example.com");
    let (alice, a) = world.client("Alice", ALICE);
    world.say(alice, send("1hello", &format!("{a} {BOB}"), ALICE, "Failure-Report: no\r\n", "hello"));
    let (connection, _) = world.wanted.pop().expect("a connection");
    world.connected(connection);
    world.hear_one(connection);
    world.pass(250 * SECOND);
    assert!(world.closed.is_empty());
    world.pass(100 * SECOND);
    assert_eq!(world.closed, [connection]);
}

/// Whatever strangers, clients and next hops say, and however it is cut: no panic, and nothing is left when all have gone.
#[test]
fn after_any_story_every_table_is_empty() {
    let mut happened = [0; 4];
    for seed in 0..150 {
        let mut next = relay_world::random(seed);
        let mut roll = move |sides: usize| usize::try_from(next() % sides as u64).expect("few sides");
        let limits = Limits { queue: 4096, pending: 8, grants: 3, piece: 64, ..Limits::default() };
        let mut world = World::with(Settings { limits, ..Settings::new("relay.example.com", 9000, true) });
        let (alice, a) = world.client("Alice", ALICE);
        let (bob, b) = world.client("Bob", BOB);
        let mut there = vec![alice, bob, world.accept()];
        let paths = [
            format!("{a} {b} {BOB}"),
            format!("{b} {a} {ALICE}"),
            format!("{a} {BOB}"),
            format!("{a} {a} {b} {BOB}"),
            a.clone(),
            "msrps://relay.example.com;tcp".to_owned(),
            format!("{b} msrps://x.example.com:1/{seed};tcp"),
        ];
        let mut heard: Vec<Chunk> = Vec::new();
        for step in 0..200 {
            // Mostly alice and bob, mostly to each other.
            let who = if roll(3) == 0 { roll(there.len()) } else { roll(2) };
            let (to, from) = match roll(3) {
                0 => (&paths[roll(paths.len())], [ALICE, BOB][roll(2)]),
                _ => (&paths[who % 2], [ALICE, BOB][who % 2]),
            };
            let who = there[who];
            let wish = ["", "Failure-Report: no\r\n", "Failure-Report: partial\r\n", "Byte-Range: x\r\n"][roll(4)];
            let mut said = match roll(6) {
                0 => format!(
                    "MSRP r{step} REPORT\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\nStatus: 000 200\r\n-------r{step}$\r\n"
                ),
                1 => format!(
                    "MSRP r{step} {}\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n\
                     Authorization: Digest username=\"Alice\"\r\nExpires: {}\r\n-------r{step}$\r\n",
                    ["AUTH", "NICKNAME", "X"][roll(3)],
                    roll(5000),
                ),
                2 if !heard.is_empty() => {
                    let chunk = heard.swap_remove(roll(heard.len()));
                    let is_request = chunk.head.method().is_some() && chunk.head.to_path().is_ok();
                    let code = [200, 401, 413, 481][roll(4)];
                    let octets = if is_request { response(&chunk, code, "so") } else { chunk.to_bytes() };
                    String::from_utf8_lossy(&octets).into_owned()
                }
                _ => send(&format!("s{step}"), to, from, wish, &"x".repeat(roll(300))),
            };
            // Now and then something is lost of it.
            if roll(200) == 0 {
                said.truncate(roll(said.len()));
            }
            for part in said.as_bytes().chunks(1 + roll(600)) {
                if world.relay.has_room(who) {
                    world.say(who, Bytes::copy_from_slice(part));
                }
            }
            match roll(8) {
                0 => world.pass(Duration::from_secs(roll(100) as u64)),
                1 => there.push(world.accept()),
                2 => {
                    for (connection, _) in std::mem::take(&mut world.wanted) {
                        if roll(2) == 0 {
                            world.connected(connection);
                            there.push(connection);
                        } else {
                            world.gone(connection);
                        }
                    }
                }
                3 if there.len() > 3 => world.gone(there.swap_remove(2 + roll(there.len() - 2))),
                _ => heard.extend(world.hear(who)),
            }
        }
        for connection in there.into_iter().chain(world.wanted.clone().into_iter().map(|(connection, _)| connection)) {
            world.gone(connection);
        }
        world.pass(2 * 3600 * SECOND);
        let left = world.statistics();
        assert_eq!((left.connections, left.grants, world.relay.next_timeout()), (0, 0, None), "seed {seed}");
        for (sum, count) in happened.iter_mut().zip([left.forwarded, left.refused, left.reported, left.blocked]) {
            *sum += count;
        }
    }
    assert!(happened.iter().all(|&count| count > 100), "stories in which nothing happened: {happened:?}");
}
