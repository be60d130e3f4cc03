//! ICE (RFC 8445): streams find their way by connectivity checks.

use std::time::Duration;

use media::signal;
use media::stream::{Encryption, StreamEvent};

use crate::world::{Plans, World};

fn with_ice() -> Plans {
    Plans::new(&["PCMA"]).both(|plan| plan.nat.use_ice = true)
}

fn both_hear(world: &World) {
    for party in [&world.alice, &world.bob] {
        assert!(!party.has_failed());
        assert!(signal::rms(&party.heard[party.heard.len() - 48_000..]).0 > -20.0);
    }
}

#[test]
fn two_with_ice_hear_each_other() {
    let mut world = World::in_a_call(with_ice());
    world.pass_seconds(4);
    both_hear(&world);
}

#[test]
fn ice_goes_with_every_kind_of_encryption() {
    for policy in [Encryption::SdesMandatory, Encryption::DtlsMandatory, Encryption::Opportunistic] {
        let mut world = World::in_a_call(with_ice().encrypted(policy, policy));
        world.pass_seconds(6);
        both_hear(&world);
        assert!(world.alice.encryption.clone().flatten().is_some(), "{policy:?}");
    }
}

#[test]
fn a_peer_without_ice_is_reached_as_his_m_line_says() {
    let mut plans = with_ice();
    plans.bob.nat.use_ice = false;
    let mut world = World::in_a_call(plans);
    world.pass_seconds(3);
    both_hear(&world);
}

#[test]
fn a_stranger_is_not_heard_where_ice_has_not_validated_him() {
    let mut world = World::in_a_call(with_ice());
    // Until the jitter buffer has found its delay.
    world.pass_seconds(6);
    let (stranger, bob, start) = ("203.0.113.9:4000".parse().unwrap(), world.bob.rtp, world.bob.heard.len());
    for sequence in 0..5_000u16 {
        let noise = crate::world::rtp_packet(8, sequence, u32::from(sequence) * 160, 9, &[0x2a; 160]);
        world.hand_over(stranger, bob, noise);
        if sequence % 20 == 0 {
            world.pass(Duration::from_millis(20));
        }
    }
    let heard = &world.bob.heard[start..];
    assert!((signal::dominant_frequency(heard, world.rate) - 440.0).abs() < 1.0);
    let purity = signal::tone_to_rest(heard, world.rate, &[440.0]);
    assert!(purity > 30.0, "{purity}");
}

#[test]
fn without_an_answer_of_the_stun_server_the_stream_is_prepared_all_the_same() {
    let mut plans = with_ice();
    plans.alice.nat.stun_servers = vec!["192.0.2.1:3478".parse().unwrap()];
    let mut world = World::new(plans);
    assert!(world.alice.capabilities.streams.is_empty(), "it waits for the server");
    world.pass_seconds(10);
    let prepared = world.alice.events.iter().filter(|event| matches!(event, StreamEvent::Prepared { .. })).count();
    assert_eq!(prepared, 1);
}

#[test]
fn a_call_with_ice_survives_hold_and_renegotiation() {
    let mut world = World::in_a_call(with_ice());
    world.pass_seconds(3);
    world.alice.capabilities.set_on_hold(true);
    world.renegotiate();
    world.pass_seconds(40);
    world.alice.capabilities.set_on_hold(false);
    world.renegotiate();
    world.pass_seconds(2);
    world.renegotiate_by_bob();
    world.pass_seconds(2);
    both_hear(&world);
}

/// RFC 8445 §9: the peer begins anew, and the answer has new credentials as well.
#[test]
fn a_restart_by_the_peer_is_answered_with_new_credentials_and_the_audio_goes_on() {
    let mut world = World::in_a_call(with_ice());
    world.pass_seconds(3);
    let fragment = |offer: &sdp::SessionDescription| offer.media[0].attributes.ice_ufrag().unwrap().to_owned();
    let before = fragment(&world.bob.session.agreement().unwrap().local);
    // Alice's stream is made anew, at the same address: to Bob that is a restart.
    world.replace_alice();
    let offer = world.offer_by_alice();
    world.bob.stream.prepare_answer(&offer, 0);
    world.pass(Duration::from_millis(20));
    world.bob.take_capability();
    world.answer_by_bob(offer).unwrap();
    assert_ne!(fragment(&world.bob.session.agreement().unwrap().local), before);
    world.pass_seconds(60);
    both_hear(&world);
}
