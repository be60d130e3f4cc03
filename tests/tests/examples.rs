//! The examples of `crates/cordboard/examples` do what they say at their top, and the stories of
//! `docs/manual/testing.md` go as they are told there.
#![allow(missing_docs, reason = "the names are the claims")]

#[allow(dead_code, reason = "main is for who runs it")]
#[path = "../../crates/cordboard/examples/read_a_message.rs"]
mod read_a_message;
#[allow(dead_code, reason = "main is for who runs it")]
#[path = "../../crates/cordboard/examples/simulate_a_call.rs"]
mod simulate_a_call;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::{HeaderName, StatusCode};

use cordboard::services::{Services, ServicesConfig};
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
    let mut config = ServicesConfig { domains: vec!["example.test".into()], ..ServicesConfig::default() };
    config.registrar.authenticate = false;
    story.server("example.test", Services::new(Arc::new(config)));
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
