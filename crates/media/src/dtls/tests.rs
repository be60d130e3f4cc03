//! Two sessions over a network in memory, in virtual time: loss, strangers, forged records, wrong certificates.

use super::*;
use crate::srtp::SrtpContext;

const ALICE: &str = "192.0.2.1:4000";
const BOB: &str = "192.0.2.2:5000";

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// Alice is the client, Bob the server; datagrams take 20 ms.
struct World {
    now: Instant,
    alice: End,
    bob: End,
    /// When, from, to, what.
    flying: Vec<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    seed: u64,
    /// Lost of a hundred.
    loss: u64,
}

struct End {
    session: DtlsSession,
    /// Where its datagrams come from, as others see it.
    address: SocketAddr,
    events: Vec<DtlsOutput>,
}

impl World {
    fn new() -> World {
        let (alice, bob) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        World::with(
            session(&alice, DtlsRole::Client, BOB, DtlsSources::PeerOnly, &bob),
            session(&bob, DtlsRole::Server, ALICE, DtlsSources::PeerOnly, &alice),
        )
    }

    fn with(alice: DtlsSession, bob: DtlsSession) -> World {
        let end = |session, address| End { session, address: at(address), events: Vec::new() };
        World {
            now: Instant::now(),
            alice: end(alice, ALICE),
            bob: end(bob, BOB),
            flying: Vec::new(),
            seed: 1,
            loss: 0,
        }
    }

    fn start(&mut self) {
        self.bob.session.start(self.now);
        self.alice.session.start(self.now);
        self.collect();
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let arrival = self.flying.iter().map(|(when, ..)| *when).min();
            let timeouts = [self.alice.session.next_timeout(), self.bob.session.next_timeout()];
            let next = arrival.into_iter().chain(timeouts.into_iter().flatten()).min();
            let Some(next) = next.filter(|next| *next <= end) else {
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
            for end in [&mut self.alice, &mut self.bob] {
                if end.address == destination {
                    end.session.handle(now, source, &datagram);
                }
            }
        }
        for end in [&mut self.alice, &mut self.bob] {
            if end.session.next_timeout().is_some_and(|at| at <= now) {
                end.session.handle_timeout(now);
            }
        }
        self.collect();
    }

    fn collect(&mut self) {
        let arrival = self.now + Duration::from_millis(20);
        for end in [&mut self.alice, &mut self.bob] {
            while let Some(output) = end.session.poll_output() {
                let DtlsOutput::Send { destination, datagram } = output else {
                    end.events.push(output);
                    continue;
                };
                self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if (self.seed >> 33) % 100 >= self.loss {
                    self.flying.push((arrival, end.address, destination, datagram));
                }
            }
        }
    }
}

impl End {
    fn keys(&self) -> Option<&SrtpKeys> {
        self.events.iter().find_map(|event| match event {
            DtlsOutput::Keys { keys, .. } => Some(keys),
            _ => None,
        })
    }
}

fn session(own: &Certificate, role: DtlsRole, peer: &str, sources: DtlsSources, theirs: &Certificate) -> DtlsSession {
    DtlsSession::new(own, role, at(peer), sources, vec![theirs.fingerprint().clone()])
}

/// What one end protects with its keys, the other reads with its.
fn assert_talking(world: &World) {
    let mut alice = SrtpContext::new(world.alice.keys().expect("Alice has keys"));
    let mut bob = SrtpContext::new(world.bob.keys().expect("Bob has keys"));
    let plain = [&[0x80, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4][..], b"hello"].concat();
    let mut packet = plain.clone();
    alice.protect_rtp(&mut packet).unwrap();
    assert_eq!(bob.unprotect_rtp(&mut packet), Ok(plain.len()));
    let mut packet = plain.clone();
    bob.protect_rtp(&mut packet).unwrap();
    assert_eq!(alice.unprotect_rtp(&mut packet), Ok(plain.len()));
}

/// A server asks for a second hello first: three round trips.
#[test]
fn two_sessions_agree_on_keys_in_three_round_trips() {
    let mut world = World::new();
    world.start();
    world.run(Duration::from_millis(130));
    assert_talking(&world);
    let peer = |end: &End| match &end.events[..] {
        [DtlsOutput::Keys { peer, .. }] => *peer,
        events => panic!("{events:?}"),
    };
    assert_eq!((peer(&world.alice), peer(&world.bob)), (at(BOB), at(ALICE)));
    assert_eq!(world.alice.session.next_timeout(), None);
}

/// RFC 6347 §4.2.4.
#[test]
fn a_handshake_survives_loss() {
    let mut slowest = Duration::ZERO;
    for seed in 0..30 {
        let mut world = World::new();
        (world.seed, world.loss) = (seed, 30);
        world.start();
        let began = world.now;
        while world.alice.keys().is_none() || world.bob.keys().is_none() {
            world.run(Duration::from_millis(100));
            assert!(
                world.now < began + HANDSHAKE_LIMIT,
                "seed {seed}: {:?} {:?}",
                world.alice.events,
                world.bob.events
            );
        }
        slowest = slowest.max(world.now - began);
        assert_talking(&world);
    }
    assert!(slowest > Duration::from_secs(1), "nothing was lost");
}

/// Security expectation: a certificate other than the announced one gives no keys, on either side.
#[test]
fn another_certificate_than_the_announced_one_gives_no_keys() {
    let [alice, bob, mallory] = [(); 3].map(|()| Certificate::generate().unwrap());
    let mut world = World::with(
        session(&mallory, DtlsRole::Client, BOB, DtlsSources::PeerOnly, &bob),
        session(&bob, DtlsRole::Server, ALICE, DtlsSources::PeerOnly, &alice),
    );
    world.start();
    world.run(Duration::from_secs(1));
    assert_eq!(world.bob.events, [DtlsOutput::Failed(DtlsError::Fingerprint)]);

    let mut world = World::with(
        session(&alice, DtlsRole::Client, BOB, DtlsSources::PeerOnly, &bob),
        session(&mallory, DtlsRole::Server, ALICE, DtlsSources::PeerOnly, &alice),
    );
    world.start();
    world.run(Duration::from_secs(1));
    assert_eq!(world.alice.events, [DtlsOutput::Failed(DtlsError::Fingerprint)]);
}

/// CVE-2023-49786 and its like: hellos sprayed at the port while the handshake runs.
#[test]
fn the_hello_of_a_stranger_is_nobodys() {
    for sources in [DtlsSources::PeerOnly, DtlsSources::Any] {
        let [alice, bob, mallory] = [(); 3].map(|()| Certificate::generate().unwrap());
        let mut world = World::with(
            session(&alice, DtlsRole::Client, BOB, DtlsSources::PeerOnly, &bob),
            session(&bob, DtlsRole::Server, ALICE, sources, &alice),
        );
        let hellos: Vec<Vec<u8>> = (0..5)
            .map(|_| {
                let mut stranger = session(&mallory, DtlsRole::Client, BOB, DtlsSources::PeerOnly, &bob);
                stranger.start(world.now);
                match stranger.poll_output() {
                    Some(DtlsOutput::Send { datagram, .. }) => datagram,
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        world.start();
        for millisecond in 0..200 {
            for (port, hello) in (6_000u16..).zip(&hellos) {
                let source = SocketAddr::from(([198, 51, 100, 1], port));
                world.flying.push((world.now, source, at(BOB), hello.clone()));
                world.flying.push((world.now, source, at(ALICE), hello.clone()));
                // A server cannot tell a hello under its peer's address from its peer's, a client can.
                world.flying.push((world.now, at(BOB), at(ALICE), hello.clone()));
            }
            world.run(Duration::from_millis(1));
            assert!(world.bob.session.strangers.len() <= STRANGERS, "{millisecond}");
        }
        assert_talking(&world);
    }
}

/// Alerts and data that anyone could have written into a datagram.
#[test]
fn records_in_the_clear_do_not_end_a_handshake() {
    let mut world = World::new();
    let forged: [&[u8]; 4] = [
        b"\x15\xfe\xfd\0\0\0\0\0\0\0\x09\0\x02\x02\x28",
        b"\x15\xfe\xfd\0\0\0\0\0\0\0\x0a\0\x02\x01\x00",
        b"\x17\xfe\xfd\0\0\0\0\0\0\0\x0b\0\x05hello",
        b"\x16\xfe\xfd\0\0\0\0\0\0\0\x0c\0\x05hello",
    ];
    world.start();
    for _ in 0..150 {
        for record in forged {
            world.flying.push((world.now, at(ALICE), at(BOB), record.to_vec()));
            world.flying.push((world.now, at(BOB), at(ALICE), record.to_vec()));
        }
        world.run(Duration::from_millis(1));
    }
    assert_talking(&world);
    // Nor the association afterwards.
    for record in forged {
        world.flying.push((world.now, at(ALICE), at(BOB), record.to_vec()));
    }
    world.run(Duration::from_millis(1));
    assert!(world.bob.session.is_established());
}

/// A handshake that a forged message has spoilt begins anew.
#[test]
fn a_spoilt_handshake_begins_anew() {
    let mut world = World::new();
    world.start();
    world.run(Duration::from_millis(70));
    assert!(world.bob.keys().is_none());
    // A whole message that cannot be read, with the next number, for either side.
    for (source, destination, message) in [(ALICE, BOB, 16), (BOB, ALICE, 2)] {
        for number in 0..6 {
            let header = [message, 0, 0, 4, 0, number, 0, 0, 0, 0, 0, 4];
            let record = [0x16, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0x20 + number, 0, 16];
            let datagram = [&record[..], &header, &[0xff; 4]].concat();
            world.flying.push((world.now, at(source), at(destination), datagram));
        }
    }
    world.run(HANDSHAKE_LIMIT);
    assert_talking(&world);
}

/// Without connectivity checks the announced address of a peer behind an address translator is not the one that its
/// datagrams come from.
#[test]
fn a_peer_behind_a_translator_is_known_by_its_certificate() {
    let (alice, bob) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    let mut world = World::with(
        session(&alice, DtlsRole::Client, BOB, DtlsSources::PeerOnly, &bob),
        session(&bob, DtlsRole::Server, "10.0.0.1:4000", DtlsSources::Any, &alice),
    );
    world.start();
    world.run(Duration::from_secs(1));
    assert_talking(&world);
    assert!(matches!(world.bob.events[..], [DtlsOutput::Keys { peer, .. }] if peer == at(ALICE)));
}

#[test]
fn a_handshake_goes_on_over_another_path() {
    let (alice, bob) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    let mut world = World::with(
        session(&alice, DtlsRole::Client, BOB, DtlsSources::Checked, &bob),
        session(&bob, DtlsRole::Server, ALICE, DtlsSources::Checked, &alice),
    );
    world.start();
    world.run(Duration::from_millis(50));
    world.bob.address = at("203.0.113.9:9");
    world.alice.session.set_remote(world.now, at("203.0.113.9:9"));
    world.run(Duration::from_secs(5));
    assert_talking(&world);
}

#[test]
fn a_peer_that_does_not_answer_is_given_up() {
    let mut world = World::new();
    world.loss = 100;
    world.start();
    world.run(HANDSHAKE_LIMIT + Duration::from_secs(1));
    assert_eq!(world.alice.events, [DtlsOutput::Failed(DtlsError::TimedOut)]);
    assert_eq!(world.bob.events, [DtlsOutput::Failed(DtlsError::TimedOut)]);
    assert_eq!(world.alice.session.next_timeout(), None);
}

#[test]
fn a_peer_that_leaves_says_so() {
    let mut world = World::new();
    world.start();
    world.run(Duration::from_secs(1));
    world.alice.session.close(world.now);
    world.collect();
    world.run(Duration::from_secs(1));
    assert_eq!(world.bob.events.last(), Some(&DtlsOutput::Closed));
}

/// A peer that explains why it cannot go on is quoted.
#[test]
fn an_alert_explains_what_went_wrong() {
    let mut world = World::new();
    world.bob.address = at("192.0.2.99:9");
    world.start();
    let alert = b"\x15\xfe\xfd\0\0\0\0\0\0\0\x09\0\x02\x02\x28".to_vec();
    world.flying.push((world.now, at(BOB), at(ALICE), alert));
    world.run(HANDSHAKE_LIMIT + Duration::from_secs(1));
    let [DtlsOutput::Failed(DtlsError::Handshake(reason))] = &world.alice.events[..] else {
        panic!("{:?}", world.alice.events);
    };
    assert!(reason.contains("40"), "{reason}");
}
