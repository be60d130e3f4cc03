//! Two agents over networks in memory, in virtual time: with and without address translators, with loss, with a lite
//! peer, without an answer, with forged checks.

use super::*;
use sdp::{ConnectionData, MediaDescription, MediaType, Protocol as Transport, SessionDescription};
use std::collections::HashMap;
use std::net::IpAddr;

const STUN_SERVER: &str = "203.0.113.1:3478";
const DELAY: Duration = Duration::from_millis(30);

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// An address translator that lets in only what was asked for (RFC 4787: address and port-dependent filtering).
struct Translator {
    public: IpAddr,
    /// A port for each destination (address and port-dependent mapping), or one for all.
    symmetric: bool,
    ports: HashMap<(SocketAddr, Option<SocketAddr>), u16>,
    /// Which port a destination may answer to.
    open: HashSet<(u16, SocketAddr)>,
}

impl Translator {
    fn new(public: &str, symmetric: bool) -> Translator {
        Translator { public: public.parse().unwrap(), symmetric, ports: HashMap::new(), open: HashSet::new() }
    }

    fn out(&mut self, source: SocketAddr, destination: SocketAddr) -> SocketAddr {
        let fresh = 40_000 + u16::try_from(self.ports.len()).unwrap();
        let port = *self.ports.entry((source, self.symmetric.then_some(destination))).or_insert(fresh);
        self.open.insert((port, destination));
        SocketAddr::new(self.public, port)
    }

    fn back(&self, source: SocketAddr, port: u16) -> Option<SocketAddr> {
        let (inside, _) = self.ports.iter().find(|(_, known)| **known == port)?.0;
        self.open.contains(&(port, source)).then_some(*inside)
    }
}

struct Host {
    agent: IceAgent,
    address: SocketAddr,
    translator: Option<Translator>,
    events: Vec<(Duration, IceOutput)>,
    sent: usize,
}

struct World {
    start: Instant,
    now: Instant,
    hosts: [Host; 2],
    flying: Vec<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    seed: u64,
    /// Lost of a hundred.
    loss: u64,
}

/// Randomness of a test, from a seed.
fn random(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut state = seed;
    move |octets| {
        octets.fill_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
    }
}

impl World {
    /// Alice offers, Bob answers.
    fn new(alice: (&str, Option<Translator>), bob: (&str, Option<Translator>)) -> World {
        let now = Instant::now();
        let host = |role, seed, (address, translator): (&str, Option<Translator>)| {
            let mut agent = IceAgent::new(role, &mut random(seed));
            agent.add_host(at(address));
            agent.gather(now, &[at(STUN_SERVER)], &mut random(seed + 100));
            Host { agent, address: at(address), translator, events: Vec::new(), sent: 0 }
        };
        let hosts = [host(IceRole::Controlling, 1, alice), host(IceRole::Controlled, 2, bob)];
        let mut world = World { start: now, now, hosts, flying: Vec::new(), seed: 1, loss: 0 };
        world.collect();
        world
    }

    fn on_one_network() -> World {
        World::new(("192.0.2.1:4000", None), ("192.0.2.2:5000", None))
    }

    fn behind_translators() -> World {
        let alice = Translator::new("198.51.100.1", false);
        let bob = Translator::new("198.51.100.2", false);
        World::new(("10.0.0.1:4000", Some(alice)), ("10.0.0.1:5000", Some(bob)))
    }

    /// Gathers, then exchanges descriptions.
    fn connect(&mut self) {
        self.run(Duration::from_secs(3));
        self.tell(0, 1);
        self.tell(1, 0);
    }

    /// What one says, as the other hears it.
    fn tell(&mut self, from: usize, to: usize) {
        let (description, media) = described(&self.hosts[from].agent, |_| {});
        assert!(self.hosts[to].agent.set_remote(&description, &media, &mut random(300 + to as u64)));
        self.collect();
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let arrivals = self.flying.iter().map(|(when, ..)| *when).min();
            let timeouts = self.hosts.each_mut().map(|host| host.agent.next_timeout());
            let Some(next) = timeouts.into_iter().flatten().chain(arrivals).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    fn step(&mut self) {
        let now = self.now;
        let (due, flying) = std::mem::take(&mut self.flying).into_iter().partition(|(when, ..)| *when <= now);
        self.flying = flying;
        for (_, source, destination, datagram) in due {
            self.deliver(source, destination, &datagram);
        }
        for host in &mut self.hosts {
            if host.agent.next_timeout().is_some_and(|at| at <= now) {
                host.agent.handle_timeout(now);
            }
        }
        self.collect();
    }

    fn deliver(&mut self, source: SocketAddr, destination: SocketAddr, datagram: &[u8]) {
        if destination == at(STUN_SERVER) {
            let reply = binding_success(datagram, source);
            self.flying.push((self.now + DELAY, destination, source, reply));
            return;
        }
        for host in &mut self.hosts {
            let inside = match &host.translator {
                Some(translator) if translator.public == destination.ip() => {
                    translator.back(source, destination.port())
                }
                Some(_) => None,
                None => Some(destination),
            };
            if inside == Some(host.address) {
                host.agent.handle(self.now, host.address, source, datagram);
            }
        }
    }

    fn collect(&mut self) {
        for host in &mut self.hosts {
            while let Some(output) = host.agent.poll_output() {
                let IceOutput::Send { path, datagram } = output else {
                    host.events.push((self.now - self.start, output));
                    continue;
                };
                host.sent += 1;
                self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if (self.seed >> 33) % 100 < self.loss {
                    continue;
                }
                let source = match &mut host.translator {
                    Some(translator) => translator.out(path.local, path.remote),
                    None => path.local,
                };
                self.flying.push((self.now + DELAY, source, path.remote, datagram));
            }
        }
    }

    fn selected(&self) -> [Option<IcePair>; 2] {
        self.hosts.each_ref().map(|host| host.agent.selected())
    }

    fn failures(&self, host: usize) -> usize {
        self.hosts[host].events.iter().filter(|(_, event)| *event == IceOutput::Failed).count()
    }
}

/// An m-line with an agent's attributes, changed as a peer might.
fn described(agent: &IceAgent, change: impl FnOnce(&mut MediaDescription)) -> (SessionDescription, MediaDescription) {
    let default = agent.default_address().unwrap();
    let mut media = MediaDescription::new(MediaType::Audio, default.port(), Transport::RtpAvp);
    media.formats.push(sdp::Token::new("0").unwrap());
    media.connections.push(ConnectionData::new(default.ip()));
    media.attributes.extend(agent.attributes());
    change(&mut media);
    let mut description = SessionDescription::new(sdp::Origin::new(1, default.ip()));
    description.media.push(media);
    let description = SessionDescription::parse(description.to_string()).unwrap();
    let media = description.media[0].clone();
    (description, media)
}

/// RFC 8489 §6.3.1.1.
fn binding_success(request: &[u8], source: SocketAddr) -> Vec<u8> {
    let IpAddr::V4(ip) = source.ip() else {
        panic!("the tests speak IPv4");
    };
    let cookie = 0x2112_a442u32;
    let port = source.port() ^ (cookie >> 16) as u16;
    let address = ip.to_bits() ^ cookie;
    [&[1, 1, 0, 12], &request[4..20], &[0, 0x20, 0, 8, 0, 1], &port.to_be_bytes()[..], &address.to_be_bytes()].concat()
}

fn pair(local: &str, remote: &str) -> Option<IcePair> {
    Some(IcePair { local: at(local), remote: at(remote) })
}

#[test]
fn two_hosts_on_one_network_find_each_other_at_once() {
    let mut world = World::on_one_network();
    world.connect();
    let connected = world.now;
    while world.selected().contains(&None) {
        world.run(Duration::from_millis(10));
        assert!(world.now < connected + Duration::from_millis(500));
    }
    world.run(Duration::from_secs(1));
    let expected = [pair("192.0.2.1:4000", "192.0.2.2:5000"), pair("192.0.2.2:5000", "192.0.2.1:4000")];
    assert_eq!(world.selected(), expected);
    assert!(world.hosts[0].agent.is_validated(at("192.0.2.2:5000")));
    assert!(!world.hosts[0].agent.is_validated(at("192.0.2.3:5000")));
}

/// Without servers nothing is waited for, and no address is told that is not ours.
#[test]
fn without_servers_the_candidates_are_the_sockets() {
    let now = Instant::now();
    let mut agent = IceAgent::new(IceRole::Controlling, &mut random(1));
    for address in ["192.0.2.1:4000", "[2001:db8::1]:4000", "127.0.0.1:4000", "0.0.0.0:4000"] {
        agent.add_host(at(address));
    }
    agent.gather(now, &[], &mut random(2));
    assert!(agent.is_gathered());
    assert_eq!(agent.poll_output(), Some(IceOutput::Gathered));
    assert_eq!(agent.poll_output(), None);
    let (_, media) = described(&agent, |_| {});
    let candidates: Vec<sdp::Candidate> = media.attributes.typed().map(Result::unwrap).collect();
    let addresses: Vec<String> = candidates.iter().map(|candidate| candidate.address.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.1", "2001:db8::1", "127.0.0.1"]);
    assert!(candidates.iter().all(|candidate| candidate.component == 1 && candidate.transport == "UDP"));
    assert!(media.attributes.has("end-of-candidates"));
    assert_eq!(agent.next_timeout(), None);
}

/// Half trickle: everything is gathered before the offer.
#[test]
fn two_hosts_behind_translators_find_a_way_through() {
    let mut world = World::behind_translators();
    world.run(Duration::from_secs(3));
    for host in &world.hosts {
        assert_eq!(host.events[0].1, IceOutput::Gathered);
        assert_eq!(host.events[0].0, 2 * DELAY);
    }
    assert_eq!(world.hosts[0].agent.default_address(), Some(at("198.51.100.1:40000")));
    world.connect();
    world.run(Duration::from_secs(5));
    let expected = [pair("10.0.0.1:4000", "198.51.100.2:40000"), pair("10.0.0.1:5000", "198.51.100.1:40000")];
    assert_eq!(world.selected(), expected);
}

/// The peer's checks come from an address that nobody announced: a peer-reflexive candidate (RFC 8445 §7.3.1.3).
#[test]
fn a_translator_with_a_port_for_each_destination_is_no_hindrance_for_a_public_peer() {
    let symmetric = || Some(Translator::new("198.51.100.1", true));
    for (alice, bob) in [
        (("10.0.0.1:4000", symmetric()), ("192.0.2.2:5000", None)),
        (("192.0.2.2:5000", None), ("10.0.0.1:4000", symmetric())),
    ] {
        let mut world = World::new(alice, bob);
        world.connect();
        world.run(Duration::from_secs(5));
        for (host, selected) in world.hosts.iter().zip(world.selected()) {
            let remote = selected.expect("there is a path").remote;
            let expected = if host.translator.is_some() { at("192.0.2.2:5000") } else { at("198.51.100.1:40001") };
            assert_eq!(remote, expected);
        }
    }
}

#[test]
fn checks_survive_loss() {
    for seed in 0..20 {
        let mut world = World::behind_translators();
        (world.seed, world.loss) = (seed, 30);
        world.connect();
        world.run(Duration::from_secs(10));
        assert!(!world.selected().contains(&None), "seed {seed}");
    }
}

/// RFC 8445 §6.1.1: who is lite does not choose, even if it offered.
#[test]
fn a_lite_peer_leaves_the_choice_to_us() {
    let mut world = World::on_one_network();
    world.hosts[0].agent.agent.set_ice_lite(true);
    world.hosts[0].agent.agent.set_controlling(false);
    world.run(Duration::from_secs(3));
    let (mut description, media) = described(&world.hosts[0].agent, |_| {});
    description.attributes.push(sdp::Attribute::of(&sdp::IceLite));
    assert!(world.hosts[1].agent.set_remote(&description, &media, &mut random(3)));
    world.tell(1, 0);
    world.run(Duration::from_secs(2));
    assert_eq!(world.hosts[1].agent.role(), IceRole::Controlling);
    let expected = [pair("192.0.2.1:4000", "192.0.2.2:5000"), pair("192.0.2.2:5000", "192.0.2.1:4000")];
    assert_eq!(world.selected(), expected);
}

/// RFC 8445 §7.3.1.1.
#[test]
fn of_two_who_want_to_choose_one_gives_way() {
    let mut world = World::on_one_network();
    world.hosts[1].agent.agent.set_controlling(true);
    world.connect();
    world.run(Duration::from_secs(3));
    assert!(!world.selected().contains(&None));
    assert_ne!(world.hosts[0].agent.role(), world.hosts[1].agent.role());
}

/// Phones without rtcp-mux, with TCP, and browsers that hide their addresses.
#[test]
fn candidates_of_no_use_are_passed_over() {
    let mut world = World::on_one_network();
    world.run(Duration::from_secs(3));
    world.tell(0, 1);
    let (description, media) = described(&world.hosts[1].agent, |media| {
        for value in [
            "1 2 UDP 2130706430 192.0.2.2 5001 typ host",
            "9 1 TCP 2130706431 192.0.2.2 9 typ host tcptype active",
            "8 1 UDP 2130706431 6a2f.local 5000 typ host",
            "rubbish",
        ] {
            media.attributes.push(sdp::Attribute::new("candidate", value).unwrap());
        }
    });
    assert!(world.hosts[0].agent.set_remote(&description, &media, &mut random(3)));
    assert_eq!(world.hosts[0].agent.agent.remote_candidates().count(), 1);
    world.run(Duration::from_secs(2));
    assert!(!world.selected().contains(&None));
}

/// RFC 8838: an answer without candidates, which come one by one.
#[test]
fn candidates_may_come_after_the_answer() {
    let mut world = World::on_one_network();
    world.run(Duration::from_secs(3));
    world.tell(0, 1);
    let mut late = None;
    let (description, media) = described(&world.hosts[1].agent, |media| {
        late = media.attributes.value("candidate").map(str::to_owned);
        media.attributes.remove("candidate");
        media.attributes.remove("end-of-candidates");
        media.port = 9;
    });
    assert!(!world.hosts[0].agent.add_remote_candidate(late.as_ref().unwrap()), "ahead of the credentials");
    assert!(world.hosts[0].agent.set_remote(&description, &media, &mut random(3)));
    assert_eq!(world.hosts[0].agent.agent.remote_candidates().count(), 0);
    assert!(!world.hosts[0].agent.add_remote_candidate("rubbish"));
    assert!(world.hosts[0].agent.add_remote_candidate(&format!("candidate:{}", late.unwrap())));
    assert_eq!(world.hosts[0].agent.agent.remote_candidates().count(), 1);
    world.run(Duration::from_secs(2));
    assert!(!world.selected().contains(&None));
}

#[test]
fn a_peer_without_ice_is_none() {
    let mut world = World::on_one_network();
    world.run(Duration::from_secs(3));
    let (description, media) = described(&world.hosts[1].agent, |media| media.attributes.remove("ice-ufrag"));
    assert!(!world.hosts[0].agent.set_remote(&description, &media, &mut random(3)));
    assert_eq!(world.hosts[0].agent.next_timeout(), None);
}

/// RFC 7675: consent is asked for again and again, and media stops at the latest 30 s after it ended.
#[test]
fn a_path_is_used_as_long_as_the_peer_consents() {
    let mut world = World::on_one_network();
    world.connect();
    world.run(Duration::from_secs(2));
    let sent = world.hosts[0].sent;
    world.run(Duration::from_secs(300));
    assert!(!world.selected().contains(&None));
    let checks = world.hosts[0].sent - sent;
    // Requests and answers, one of each at least every six seconds.
    assert!((100..=400).contains(&checks), "{checks} in five minutes");

    world.loss = 100;
    world.run(Duration::from_secs(15));
    assert!(!world.selected().contains(&None), "a short break ends nothing");
    world.run(Duration::from_secs(15));
    assert_eq!(world.selected(), [None, None]);
    assert_eq!([world.failures(0), world.failures(1)], [1, 1]);
}

#[test]
fn a_peer_that_cannot_be_reached_is_given_up() {
    let mut world = World::on_one_network();
    world.run(Duration::from_secs(3));
    world.loss = 100;
    world.connect();
    world.run(CHECK_LIMIT + Duration::from_secs(1));
    assert_eq!(world.selected(), [None, None]);
    assert_eq!([world.failures(0), world.failures(1)], [1, 1]);
    world.run(Duration::from_secs(600));
    assert_eq!([world.failures(0), world.failures(1)], [1, 1]);
}

/// RFC 8445 §9: new credentials; the path in use stays in use until there is a new one.
#[test]
fn a_restart_finds_a_path_anew() {
    let mut world = World::on_one_network();
    world.connect();
    world.run(Duration::from_secs(2));
    let before = world.selected();
    let ufrag = |world: &World, host: usize| {
        let attributes = world.hosts[host].agent.attributes();
        attributes.iter().find(|attribute| attribute.is("ice-ufrag")).unwrap().clone()
    };
    let old = [ufrag(&world, 0), ufrag(&world, 1)];

    world.hosts[0].agent.restart(&mut random(7));
    assert_eq!(world.selected(), before);
    world.tell(0, 1);
    assert_eq!(world.selected(), before);
    world.tell(1, 0);
    assert_ne!(ufrag(&world, 0), old[0]);
    assert_ne!(ufrag(&world, 1), old[1], "the peer answers with new ones, too");
    world.run(Duration::from_secs(60));
    assert_eq!(world.selected(), before);
    assert_eq!([world.failures(0), world.failures(1)], [0, 0]);

    // The same description again is none.
    let same = [ufrag(&world, 0), ufrag(&world, 1)];
    world.tell(0, 1);
    world.tell(1, 0);
    assert_eq!([ufrag(&world, 0), ufrag(&world, 1)], same);
}

/// RFC 8839 §4.4.1.2.2.
#[test]
fn the_controlling_side_tells_which_candidate_it_chose() {
    let mut world = World::on_one_network();
    world.connect();
    assert_eq!(world.hosts[0].agent.remote_candidates(), None);
    world.run(Duration::from_secs(2));
    let told = world.hosts[0].agent.remote_candidates().unwrap();
    assert_eq!(told.value(), Some("1 192.0.2.2 5000"));
    assert_eq!(world.hosts[1].agent.remote_candidates(), None);
}

/// Security expectation: whoever does not know the password moves nothing, and is not answered.
#[test]
fn a_strangers_checks_are_not_answered() {
    let mut world = World::on_one_network();
    world.connect();
    let local = world.hosts[0].address;
    let is_request = |(_, _, to, datagram): &(Instant, SocketAddr, SocketAddr, Vec<u8>)| {
        *to == local && datagram.starts_with(&[0, 1])
    };
    while !world.flying.iter().any(is_request) {
        world.run(Duration::from_millis(1));
    }
    let request = world.flying.iter().find(|flying| is_request(flying)).unwrap().3.clone();
    world.run(Duration::from_secs(2));
    let before = world.selected();
    let sent = world.hosts[0].sent;
    let mut next = random(9);
    for number in 0..20_000u32 {
        let source = SocketAddr::new([198, 51, (number >> 8) as u8, number as u8].into(), 9);
        let mut forged = request.clone();
        let mut octets = [0; 4];
        next(&mut octets);
        // But for the checksum at the end, which protects nothing.
        let at = usize::from(octets[0]) % (forged.len() - 8);
        forged[at] ^= octets[1] | 1;
        if number % 2 == 0 {
            forged.truncate(usize::from(octets[2]));
        }
        world.hosts[0].agent.handle(world.now, local, source, &forged);
        world.collect();
    }
    assert_eq!(world.selected(), before);
    assert_eq!(world.hosts[0].sent, sent);
    assert!(world.hosts[0].agent.sources.len() <= 2);
}
