//! Who is not the peer is neither heard nor answered (security row 22).

use std::net::SocketAddr;
use std::time::Duration;

use media::level::Dbfs;
use media::signal;

use crate::world::{Plans, World, rtp_packet};

/// A stranger's loud noise at 1,000 packets a second, in sequence, with the right payload type.
struct Spray {
    from: SocketAddr,
    sequence: u16,
}

impl Spray {
    fn at(&mut self, world: &mut World, to: SocketAddr, span: Duration) {
        for _ in 0..span.as_millis() / 20 {
            for _ in 0..20 {
                let noise = signal::noise(u64::from(self.sequence), 160, Dbfs(-3.0));
                let payload: Vec<u8> = noise.iter().map(|sample| (sample >> 8) as u8).collect();
                let timestamp = u32::from(self.sequence).wrapping_mul(160);
                world.hand_over(self.from, to, rtp_packet(8, self.sequence, timestamp, 0xbad, &payload));
                self.sequence = self.sequence.wrapping_add(1);
            }
            world.pass(Duration::from_millis(20));
        }
    }
}

fn strangers() -> [SocketAddr; 3] {
    // Another host, the peer's host, the peer's RTCP port.
    [([203, 0, 113, 9], 4_000), ([10, 0, 0, 1], 5_000), ([10, 0, 0, 1], 4_001)].map(SocketAddr::from)
}

fn only_alice_is_heard(world: &World, from: usize) {
    let heard = &world.bob.heard[from..];
    assert!((signal::dominant_frequency(heard, world.rate) - 440.0).abs() < 1.0);
    let purity = signal::tone_to_rest(heard, world.rate, &[440.0]);
    assert!(purity > 30.0, "{purity}");
    assert_eq!(signal::loud_ranges(heard, world.rate, Dbfs(-25.0)).len(), 1);
}

#[test]
fn a_spray_into_a_running_call_is_not_heard_and_redirects_nothing() {
    for from in strangers() {
        let mut world = World::in_a_call(Plans::new(&["PCMA"]));
        // Until the jitter buffer has found its delay.
        world.pass_seconds(6);
        let (bob, start) = (world.bob.rtp, world.bob.heard.len());
        Spray { from, sequence: 0 }.at(&mut world, bob, Duration::from_secs(5));
        only_alice_is_heard(&world, start);
        assert_eq!(world.bob.stream.strangers(), 5_000, "{from}");
        assert_eq!(world.astray, 0, "{from}");
        assert!(!signal::loud_ranges(&world.alice.heard[start..], world.rate, Dbfs(-25.0)).is_empty());
    }
}

#[test]
fn a_spray_that_begins_before_the_call_is_not_heard_and_redirects_nothing() {
    for from in strangers() {
        let mut world = World::new(Plans::new(&["PCMA"]));
        let offer = world.offer_by_alice();
        let bob = world.bob.rtp;
        let mut spray = Spray { from, sequence: 0 };
        spray.at(&mut world, bob, Duration::from_secs(1));
        world.answer_by_bob(offer).unwrap();
        spray.at(&mut world, bob, Duration::from_secs(4));
        only_alice_is_heard(&world, world.bob.heard.len() - 3 * 48_000);
        let first_seconds = &world.bob.heard[..world.bob.heard.len() - 3 * 48_000];
        assert!(signal::rms(first_seconds).0 < -15.0, "the stranger was heard");
        assert_eq!(world.astray, 0, "{from}");
    }
}

#[test]
fn a_spray_into_a_call_on_hold_is_not_heard_afterwards() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    world.pass_seconds(1);
    world.bob.capabilities.set_on_hold(true);
    world.renegotiate_by_bob();
    let bob = world.bob.rtp;
    let mut spray = Spray { from: strangers()[0], sequence: 0 };
    spray.at(&mut world, bob, Duration::from_secs(2));
    world.bob.capabilities.set_on_hold(false);
    world.renegotiate_by_bob();
    world.pass_seconds(1);
    let start = world.bob.heard.len();
    spray.at(&mut world, bob, Duration::from_secs(2));
    only_alice_is_heard(&world, start);
    assert_eq!(world.astray, 0);
}

#[test]
fn a_peer_behind_an_address_translator_is_heard_and_answered_where_he_comes_from() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    world.alice.outside = Some([198, 51, 100, 7].into());
    world.pass_seconds(3);
    for party in [&world.alice, &world.bob] {
        assert!(signal::rms(&party.heard[party.heard.len() - 48_000..]).0 > -20.0);
    }
}

#[test]
fn reports_of_strangers_are_not_taken() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    world.pass_seconds(10);
    let before = world.bob.stream.statistics();
    // A receiver report that says all is lost, and BYE in the peer's name.
    let mut report = vec![0x81, 201, 0, 7];
    report.extend_from_slice(&[0; 4]);
    report.extend_from_slice(&[0xff; 24]);
    for from in [SocketAddr::from(([203, 0, 113, 9], 4_001)), SocketAddr::from(([203, 0, 113, 9], 4_000))] {
        let to = SocketAddr::new(world.bob.rtp.ip(), 4_001);
        world.hand_over(from, to, report.clone());
    }
    assert_eq!(world.bob.stream.statistics().remote_loss, before.remote_loss);
}
