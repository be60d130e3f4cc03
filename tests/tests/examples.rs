//! The examples of `crates/cordboard/examples` do what they say at their top, and the stories of
//! `docs/manual/testing.md` go as they are told there.
#![allow(missing_docs, clippy::unwrap_used, reason = "the names are the claims, and a helper fails the test")]

#[allow(dead_code, reason = "main is for who runs it")]
#[path = "../../crates/cordboard/examples/hello.rs"]
mod hello;
#[allow(dead_code, reason = "main is for who runs it")]
#[path = "../../crates/cordboard/examples/options_responder.rs"]
mod options_responder;
#[allow(dead_code, reason = "main is for who runs it")]
#[path = "../../crates/cordboard/examples/read_a_message.rs"]
mod read_a_message;
#[allow(dead_code, reason = "main is for who runs it")]
#[path = "../../crates/cordboard/examples/redirect_server.rs"]
mod redirect_server;
#[allow(dead_code, reason = "main is for who runs it")]
#[path = "../../crates/cordboard/examples/simulate_a_call.rs"]
mod simulate_a_call;

use std::time::{Duration, Instant, SystemTime};

use container::{Clock, Container, Resources};
use servlet::SipApplication;
use sip_message::{HeaderName, Method, Response, StatusCode};

use cordboard::config::Config;
use cordboard::hosting::{Hosting, Keys};
use testkit::{Link, Outcome, Story};

use simulate_a_call::Simulation;

#[test]
fn a_message_is_read_and_told() {
    let told = read_a_message::tell(&read_a_message::read(read_a_message::INVITE).unwrap()).unwrap();
    assert!(told.starts_with("Alice calls sip:bob@example.com from 192.0.2.1"), "{told}");
    assert!(told.ends_with("on instance urn:uuid:00000000-0000-1000-8000-000A95A0E128"), "{told}");
}

#[test]
fn an_edited_message_keeps_what_was_left_alone() {
    let mut request = read_a_message::read(read_a_message::INVITE).unwrap();
    read_a_message::forward(&mut request).unwrap();
    let printed = String::from_utf8(request.to_bytes().to_vec()).unwrap();
    assert!(printed.starts_with("INVITE sip:bob@192.0.2.4 SIP/2.0\r\n"), "{printed}");
    for line in ["f: \"Alice\" <sip:alice@example.com>;tag=9fxced76sl", "X-Mood: cheerful", "Max-Forwards: 69"] {
        assert_eq!(printed.lines().filter(|printed| *printed == line).count(), 1, "{line} in\n{printed}");
    }
    let vias: Vec<&str> = request.headers().values(HeaderName::Via).collect();
    assert_eq!(vias.len(), 2);
    assert!(vias[0].contains("198.51.100.7") && vias[1].contains("192.0.2.1"), "{vias:?}");
    assert!(!printed.contains("evil"), "{printed}");
}

#[test]
fn a_message_without_a_cseq_is_refused_with_400() {
    let refused = read_a_message::read(read_a_message::WITHOUT_CSEQ).unwrap_err().to_string();
    assert!(refused.starts_with("400: "), "{refused}");
}

#[test]
fn the_simulated_call_is_declined_whatever_is_lost() {
    let mut losses = 0;
    for seed in 0..100 {
        let mut simulation = Simulation::new(seed, Instant::now());
        simulation.run();
        let ladder = simulation.ladder.join("\n");
        losses += ladder.matches(", lost").count();
        for phone in &simulation.phones {
            assert_eq!(phone.answer, Some(StatusCode::DECLINE), "seed {seed}\n{ladder}");
            assert_eq!(phone.endpoint.load(), sip_endpoint::Load::default(), "seed {seed}\n{ladder}");
        }
    }
    assert!(losses > 100, "the network loses messages: {losses}");
}

#[test]
fn the_same_seed_gives_the_same_simulated_call() {
    let ladder = |seed| {
        let mut simulation = Simulation::new(seed, Instant::now());
        simulation.run();
        simulation.ladder
    };
    assert_eq!(ladder(7), ladder(7));
    assert!((0..10).any(|seed| ladder(seed) != ladder(7)), "seeds matter");
}

#[test]
fn the_manual_s_first_story_goes_as_it_is_told() {
    let story = Story::new(1, Instant::now());
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    alice.calls(&bob);
    story.a_moment();
    bob.rings();
    story.a_moment();
    bob.answers();
    story.a_moment();
    story.expect(alice.talks() && bob.talks(), "both talk");
    alice.hangs_up();
    story.ends();
    story.expect_eq(bob.outcome(), Some(Outcome::Answered), "bob");
}

#[test]
fn the_manual_s_server_registers_carol_over_the_manual_s_bad_network() {
    let story = Story::new(1, Instant::now());
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    let config = Config { domains: vec!["example.test".into()], ..Config::default() };
    let hosting = Hosting::shipped(&config, &Keys::known(1), 1).unwrap();
    let now = story.world().now();
    let shard = hosting.shard(0, now, Clock::new(now, SystemTime::UNIX_EPOCH), Resources::default()).unwrap();
    story.server("example.test", shard.container);
    let carol = story.person_of("carol", "example.test");

    let bad = Link::with_delay(Duration::from_millis(20)).with_jitter(Duration::from_millis(200)).with_loss(0.3);
    story.links(bad.with_duplication(0.2));
    story.world_mut().network_mut().lose_next(alice.node(), bob.node(), 1);
    story.world_mut().partition(alice.node(), bob.node(), Duration::from_secs(1));
    story.world_mut().cut_connections(alice.node(), bob.node());

    carol.registers_at("sip:example.test", "1.0");
    bob.usually_answers(Duration::from_secs(1), Duration::from_secs(3));
    alice.calls(&bob);
    story.run_for(Duration::from_secs(60));
    story.expect_eq(carol.registered(), Some(StatusCode::OK), "carol");
    story.expect(alice.talks(), "alice was answered though her first INVITE was lost");
}

/// What an application answers to a request of this method to this user at its node.
fn answer(application: SipApplication, method: &str, user: &str) -> Response {
    use sip_endpoint::{Endpoint, Input, Listener, Output, Settings, TransactionUser as _};
    let now = Instant::now();
    let local = std::net::SocketAddr::from(([192, 0, 2, 1], 5060));
    let (transport, listener) = (sip_message::Transport::Udp, sip_message::ListenerId(0));
    let mut endpoint = Endpoint::new(Settings {
        listeners: vec![Listener { id: listener, transport, local, sent_by: "192.0.2.1".into() }],
        partition: 0,
        seed: 1,
        datagram_limit: 1_300,
        max_pending: 100,
        timers: sip_endpoint::Timers::default(),
        product: "".into(),
    });
    let mut container = Container::builder().application(application).build(now).unwrap();
    let text = format!(
        "{method} sip:{user}@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:tester@example.test>;tag=1\r\nTo: <sip:{user}@192.0.2.1>\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:tester@192.0.2.9>\r\nContent-Length: 0\r\n\r\n"
    );
    let received = sip_message::parse_datagram(text.into(), &sip_message::Limits::default());
    let remote = std::net::SocketAddr::from(([192, 0, 2, 9], 5060));
    let flow = sip_message::Flow { transport, listener, local, remote, connection: None };
    endpoint.handle(now, Input::Received { flow, received });
    let mut answers = Vec::new();
    while let Some(output) = endpoint.poll_output() {
        match output {
            Output::Event(event) => container.event(now, &mut endpoint, event, &mut Vec::new()),
            Output::Transmit { bytes, .. } => answers.push(bytes),
            Output::Lookup { .. } | Output::KeepAlive { .. } | Output::Close { .. } => {}
        }
    }
    match sip_message::parse_datagram(answers.pop().unwrap(), &sip_message::Limits::default()) {
        Ok(sip_message::Message::Response(response)) => response,
        other => panic!("no response: {other:?}"),
    }
}

#[test]
fn hello_answers_every_call() {
    let answered = answer(hello::application(), "INVITE", "anybody");
    assert_eq!((answered.status(), answered.reason()), (StatusCode::BUSY_HERE, "Hello, world"));
}

#[test]
fn the_options_responder_answers_options_and_tells_others_that_it_does_nothing_else() {
    for (method, status) in [("OPTIONS", 200), ("INVITE", 405), ("MESSAGE", 405), ("TELEPORT", 501)] {
        let answered = answer(options_responder::application(), method, "anybody");
        assert_eq!(answered.status().code(), status, "{method}");
        assert_eq!(answered.headers().first(HeaderName::Allow), Some(Method::Options.as_str()), "{method}");
    }
}

#[test]
fn the_redirect_server_tells_where_a_user_is_in_order() {
    let redirect = |method, user| answer(redirect_server::application(redirect_server::table()), method, user);
    let moved = redirect("INVITE", "alice");
    assert_eq!(moved.status(), StatusCode::MOVED_TEMPORARILY);
    let contacts: Vec<&str> = moved.headers().values(HeaderName::Contact).collect();
    assert_eq!(contacts, ["<sip:alice@desk.example.com>;q=0.9", "<sip:alice@home.example.com>;q=0.1"]);
    assert_eq!(redirect("INVITE", "nobody").status(), StatusCode::NOT_FOUND);
    assert_eq!(redirect("OPTIONS", "alice").status(), StatusCode::OK);
}
