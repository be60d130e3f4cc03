//! Proxies and registrars for stories: the program's own services on nodes of a world.
#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(unreachable_pub, reason = "this is a test's own module")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use cordboard::services::{Relay, Secret, Services, ServicesConfig};
use testkit::{NodeId, Person, Story};

/// A story that begins now; of this instant nothing is used but that it is one.
pub fn story(seed: u64) -> Story {
    Story::new(seed, Instant::now())
}

/// Seconds.
pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
pub fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A proxy that is responsible for these domains, asks nobody for a password, and stays on the path of dialogs.
pub fn config(domains: &[&str]) -> ServicesConfig {
    let mut config = ServicesConfig {
        domains: domains.iter().map(|domain| (*domain).into()).collect(),
        // Different proxies have different secrets.
        secret: Secret([domains.first().map_or(1, |domain| domain.len() as u64), 7]),
        ..ServicesConfig::default()
    };
    config.registrar.authenticate = false;
    config.proxy.relay = Relay::Any;
    config
}

/// A server that is called as its first domain.
pub fn server(story: &Story, config: ServicesConfig) -> NodeId {
    let domains = config.domains.clone();
    let name = domains.first().map_or("proxy", |name| &**name).to_owned();
    let node = story.server(&name, Services::new(Arc::new(config)));
    for domain in domains.iter().skip(1) {
        let mut world = story.world_mut();
        let address = world.address(node, sip_message::Transport::Udp).expect("every node speaks UDP");
        world.zone_mut().address(domain, address.ip());
    }
    node
}

/// A proxy and registrar for these domains.
pub fn home(story: &Story, domains: &[&str]) -> NodeId {
    server(story, config(domains))
}

/// Lets these people register at their domain, each with a preference.
pub fn register(story: &Story, registrar: &str, people: &[(&Person, &str)]) {
    for (person, q) in people {
        person.registers_at(registrar, q);
    }
    story.a_moment();
    for (person, _) in people {
        let accepted = person.registered() == Some(sip_message::StatusCode::OK);
        story.expect(accepted, "everybody is registered");
    }
}
