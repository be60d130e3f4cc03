//! Proxies and registrars for stories: what the program hosts, on nodes of a world.
#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(unreachable_pub, reason = "this is a test's own module")]

use std::time::{Duration, Instant, SystemTime};

use container::{Clock, Resources};
use cordboard::config::{Config, Relay};
use cordboard::hosting::{Hosting, Keys};
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
pub fn config(domains: &[&str]) -> Config {
    let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
    let mut config = Config { domains, echo: false, ..Config::default() };
    config.registrar.authenticate = Some(false);
    config.proxy.relay = Relay::Any;
    config.proxy.ring_seconds = 181;
    // What these tell of is the registrar and the proxy.
    config.applications.messages.enabled = false;
    config.applications.presence.enabled = false;
    config
}

/// A server that is called as its first domain.
#[allow(clippy::unwrap_used, reason = "the configurations of stories are good")]
pub fn server(story: &Story, config: Config) -> NodeId {
    let name = config.domains.first().map_or("proxy", |name| name);
    // Different proxies have different secrets.
    let keys = Keys::known(name.bytes().fold(7, |sum: u64, octet| sum * 31 + u64::from(octet)));
    let now = story.world().now();
    let clock = Clock::new(now, SystemTime::UNIX_EPOCH);
    let hosting = Hosting::shipped(&config, &keys, 1).unwrap();
    let node = story.server(name, hosting.shard(0, now, clock, Resources::default()).unwrap().container);
    for domain in config.domains.iter().skip(1) {
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
