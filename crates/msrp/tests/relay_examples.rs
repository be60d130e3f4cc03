//! RFC 4976's own examples, octet by octet but for what is random: the relay's URIs and the transactions of the next hop.

mod relay_world;

use std::path::PathBuf;

use msrp::chunk::Chunk;
use msrp::relay::client::{AuthClient, AuthError, Challenge, Step};
use relay_world::{World, code, field, transaction};

/// An example, with CRLF behind its last line.
fn example(number: &str) -> Option<String> {
    let folder = std::env::var_os("CORDBOARD_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")), PathBuf::from);
    let found = std::fs::read_dir(folder.join("msrp"))
        .ok()?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&format!("rfc4976-{number}-")));
    let text = std::fs::read_to_string(found?.path()).ok()?;
    Some(format!("{}\r\n", text.trim_end()))
}

macro_rules! examples {
    ($($number:literal),*) => {
        match [$(example($number)),*].into_iter().collect::<Option<Vec<String>>>() {
            Some(examples) => <[String; { [$($number),*].len() }]>::try_from(examples).expect("as many as asked for"),
            None => {
                eprintln!("SKIPPED: the examples of RFC 4976 are missing");
                return;
            }
        }
    };
}

fn printed(chunk: &Chunk) -> String {
    String::from_utf8(chunk.to_bytes().to_vec()).expect("text")
}

/// §3: a SEND through two relays, its 200s from hop to hop, the REPORT the whole way back.
#[test]
fn a_message_through_two_relays_is_as_the_rfc_prints_it() {
    let [send, answer, at_b, answer_b, at_bob, report, report_a, report_alice] =
        examples!("14", "15", "16", "17", "18", "19", "20", "21");
    let alice_uri = "msrps://alice.example.org:7965/bar;tcp";
    let bob_uri = "msrps://bob.example.net:8145/foo;tcp";

    // Alice's relay.
    let mut world = World::new("a.example.org");
    let (alice, granted) = world.client("Alice", alice_uri);
    let ours = |text: &str| text.replace("msrps://a.example.org:9000/kjfjan;tcp", &granted);
    world.say(alice, ours(&send));
    assert_eq!(printed(&world.hear_one(alice)), ours(&answer));
    let (next, target) = world.wanted.pop().expect("a connection");
    assert_eq!(target, "b.example.net:9000");
    world.connected(next);
    let forwarded = world.hear_one(next);
    let own = forwarded.head.transaction().to_string();
    // The example's field order differs from one hop to the next; the fields are the same.
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&printed(&forwarded)), sorted(&ours(&at_b).replace("juh76", &own)));
    world.say(next, ours(&answer_b).replace("juh76", &own));
    assert!(world.hear(alice).is_empty());
    world.say(next, ours(&report_a));
    let told = world.hear_one(alice);
    let own = told.head.transaction().to_string();
    assert_eq!(printed(&told), ours(&report_alice).replace("yh67", &own));

    // Bob's relay.
    let mut world = World::new("b.example.net");
    let (bob, granted) = world.client("Bob", bob_uri);
    let ours = |text: &str| text.replace("msrps://b.example.net:9000/aeiug;tcp", &granted);
    let neighbour = world.accept();
    world.say(neighbour, ours(&at_b));
    assert_eq!(printed(&world.hear_one(neighbour)), ours(&answer_b));
    let forwarded = world.hear_one(bob);
    let own = forwarded.head.transaction().to_string();
    assert_eq!(printed(&forwarded), ours(&at_bob).replace("xght6", &own));
    world.say(bob, ours(&report));
    // §6.4.2: there is a connection to the next hop already.
    assert!(world.wanted.is_empty());
    let told = world.hear_one(neighbour);
    let own = told.head.transaction().to_string();
    assert_eq!(printed(&told), ours(&report_a).replace("yh67", &own));
}

/// §5.1: AUTH, challenged and let in.
#[test]
fn auth_is_challenged_and_answered_as_the_rfc_prints_it() {
    let [auth, challenged, again, ready] = examples!("22", "23", "24", "25");
    let mut world = World::new("intra.example.com");
    let alice = world.accept();
    world.say(alice, auth);
    assert_eq!(printed(&world.hear_one(alice)), challenged);
    world.say(alice, again);
    let answer = world.hear_one(alice);
    assert_eq!(code(&answer), 200);
    let info = "nextnonce=\"40f2e879449675f288476d772627370a\", rspauth=\"7327570c586207eca2afae94fc20903d\", \
                cnonce=\"0a4f113b\", nc=00000001, qop=auth";
    assert_eq!(
        printed(&answer).replace("nextnonce=\"40f2\"", info),
        ready.replace("msrps://intra.example.com:9000/jui787s2f;tcp", field(&answer, "Use-Path"))
    );
}

/// §5.1: AUTH to an outer relay, as the inner one passes it on, and back.
#[test]
fn auth_passes_through_a_relay_as_the_rfc_prints_it() {
    let [auth, passed, challenged, back] = examples!("26", "27", "28", "29");
    let mut world = World::new("intra.example.com");
    let (alice, granted) = world.client("Alice", "msrps://alice.example.com:9892/98cjs;tcp");
    let ours = |text: &str| text.replace("msrps://intra.example.com:9000/jui787s2f;tcp", &granted);
    world.say(alice, ours(&auth));
    let (next, target) = world.wanted.pop().expect("a connection");
    assert_eq!(target, "extra.example.com:2855");
    world.connected(next);
    let forwarded = world.hear_one(next);
    let own = forwarded.head.transaction().to_string();
    assert_eq!(printed(&forwarded), ours(&passed).replace("m2nbvw", &own));
    world.say(next, ours(&challenged).replace("m2nbvw", &own));
    assert_eq!(printed(&world.hear_one(alice)), ours(&back));
}

/// §5.1 from the client's side: both relays, one after the other, and the paths that come of them.
#[test]
fn a_client_asks_its_relays_as_the_rfc_prints_it() {
    let [auth, challenged, again, ready] = examples!("22", "23", "24", "25");
    let [outer, outer_challenged, outer_again, outer_ready] = examples!("26", "29", "30", "33");
    let now = std::time::Instant::now();
    let uris = ["msrps://alice@intra.example.com;tcp", "msrps://extra.example.com;tcp"];
    let us = "msrps://alice.example.com:9892/98cjs;tcp".parse().unwrap();
    let mut client = AuthClient::new(uris.map(|uri| uri.parse().unwrap()).to_vec(), us, None);
    let request = |step: Step| match step {
        Step::Send(head) => printed(&Chunk::bodiless(*head)),
        step => panic!("{step:?}"),
    };
    let read = |text: &str| Chunk::parse(text.to_owned()).unwrap().head;
    let authorization = |text: &str| read(text).get("Authorization").unwrap().to_owned();

    let first = client.start(now, transaction("49fh")).unwrap();
    assert_eq!(printed(&Chunk::bodiless(first)), auth);
    let mut hosts = Vec::new();
    let step = client.handle(now, &read(&challenged), transaction("49fi"), &mut |challenge: Challenge<'_>| {
        hosts.push(challenge.host.to_owned());
        Some(authorization(&again))
    });
    assert_eq!(request(step.unwrap()), again);
    let step = client.handle(now, &read(&ready), transaction("mnbvw"), &mut |_| None);
    assert_eq!(request(step.unwrap()), outer);
    let step = client.handle(now, &read(&outer_challenged), transaction("m3nbvx"), &mut |challenge| {
        hosts.push(challenge.host.to_owned());
        Some(authorization(&outer_again))
    });
    assert_eq!(request(step.unwrap()), outer_again);
    assert_eq!(hosts, ["intra.example.com", "extra.example.com"]);
    let step = client.handle(now, &read(&outer_ready), transaction("unused"), &mut |_| None).unwrap();
    let [inner, outer] =
        ["msrps://intra.example.com:9000/jui787s2f;tcp", "msrps://extra.example.com:9000/mywdEe1233;tcp"];
    let seconds = std::time::Duration::from_secs;
    assert_eq!(
        step,
        Step::Ready { use_path: format!("{inner} {outer}").parse().unwrap(), expires: now + seconds(900) }
    );
    let path = client.path_attribute().unwrap().to_string();
    assert_eq!(path, format!("{outer} {inner} msrps://alice.example.com:9892/98cjs;tcp"));

    // In time it asks again.
    let renew = client.next_timeout().unwrap();
    assert_eq!(renew, now + seconds(720));
    assert_eq!(client.handle_timeout(renew - seconds(1), transaction("none")), Ok(None));
    let again = client.handle_timeout(renew, transaction("49fh")).unwrap().unwrap();
    assert_eq!(printed(&Chunk::bodiless(again)), auth);
    assert_eq!(client.handle_timeout(renew + seconds(30), transaction("none")), Err(AuthError::Timeout));
}

#[test]
fn a_client_with_the_wrong_password_or_interval_does_not_go_on_for_ever() {
    let now = std::time::Instant::now();
    let us: msrp::uri::MsrpUri = "msrps://alice.example.com:9892/98cjs;tcp".parse().unwrap();
    let relay: msrp::uri::MsrpUri = "msrps://relay.example.com;tcp".parse().unwrap();
    let answer = |id: &str, status: &str, more: &str| {
        Chunk::parse(format!("MSRP {id} {status}\r\nTo-Path: {us}\r\nFrom-Path: {relay}\r\n{more}-------{id}$\r\n"))
            .unwrap()
            .head
    };
    let challenge = "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\", qop=\"auth\"\r\n";
    let mut right = |_: Challenge<'_>| Some("Digest username=\"alice\"".to_owned());

    let mut client = AuthClient::new(vec![relay.clone()], us.clone(), None);
    client.start(now, transaction("1auth")).unwrap();
    assert_eq!(client.handle(now, &answer("other", "200 OK", ""), transaction("2auth"), &mut right), Ok(Step::Nothing));
    let step = client.handle(now, &answer("1auth", "401 Unauthorized", challenge), transaction("2auth"), &mut right);
    assert!(matches!(step, Ok(Step::Send(_))));
    let step = client.handle(now, &answer("2auth", "401 Unauthorized", challenge), transaction("3auth"), &mut right);
    assert_eq!(step, Err(AuthError::Unauthorized));
    assert_eq!(client.use_path(), None);

    let mut client = AuthClient::new(vec![relay.clone()], us.clone(), Some(std::time::Duration::from_secs(10)));
    client.start(now, transaction("1auth")).unwrap();
    let short = answer("1auth", "423 Interval", "Min-Expires: 60\r\n");
    let Ok(Step::Send(longer)) = client.handle(now, &short, transaction("2auth"), &mut right) else {
        panic!("it asks for what the relay takes")
    };
    assert_eq!(longer.get("Expires"), Some("60"));
    let short = answer("2auth", "423 Interval", "Min-Expires: 90\r\n");
    assert!(matches!(client.handle(now, &short, transaction("3auth"), &mut right), Err(AuthError::Refused(423, _))));
}
