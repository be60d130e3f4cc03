//! What changes while a call lasts: hold, codec, packet time, address, direction (RFC 3264 §8).

use std::net::IpAddr;
use std::time::Duration;

use media::level::Dbfs;
use media::signal;
use media::stream::{StreamEvent, codecs_named};
use sdp::Direction;

use crate::world::{Plans, World};

fn last_second(heard: &[i16]) -> &[i16] {
    &heard[heard.len() - 48_000..]
}

fn is_silent(heard: &[i16]) -> bool {
    signal::rms(heard).0 < -60.0
}

#[test]
fn who_is_held_hears_nothing_more_and_is_heard_no_more_until_he_is_taken_back() {
    for by_alice in [true, false] {
        let mut world = World::in_a_call(Plans::new(&["PCMA"]));
        world.pass_seconds(1);
        let hold = |world: &mut World, held| {
            if by_alice {
                world.alice.capabilities.set_on_hold(held);
                world.renegotiate();
            } else {
                world.bob.capabilities.set_on_hold(held);
                world.renegotiate_by_bob();
            }
        };
        hold(&mut world, true);
        world.pass_seconds(2);
        let (holder, held) = if by_alice { (&world.alice, &world.bob) } else { (&world.bob, &world.alice) };
        assert!(is_silent(last_second(&holder.heard)));
        // The holder may send: music, an announcement; here what his device gives.
        assert!(!is_silent(last_second(&held.heard)));
        let sent = held.sent.len();
        world.pass_seconds(2);
        let held = if by_alice { &world.bob } else { &world.alice };
        assert_eq!(held.sent.len(), sent, "who is held sends nothing");
        hold(&mut world, false);
        world.pass_seconds(2);
        for party in [&world.alice, &world.bob] {
            let gaps = signal::loud_ranges(last_second(&party.heard), world.rate, Dbfs(-25.0));
            assert_eq!(gaps.len(), 1, "{gaps:?}");
        }
    }
}

#[test]
fn held_by_both_a_call_is_silent_and_not_taken_for_dead() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    world.pass_seconds(1);
    world.alice.capabilities.set_on_hold(true);
    world.renegotiate();
    world.bob.capabilities.set_on_hold(true);
    world.renegotiate_by_bob();
    world.pass_seconds(120);
    for party in [&world.alice, &world.bob] {
        assert!(is_silent(last_second(&party.heard)));
        assert!(!party.events.iter().any(|event| matches!(event, StreamEvent::TimedOut)));
    }
    world.alice.capabilities.set_on_hold(false);
    world.bob.capabilities.set_on_hold(false);
    world.renegotiate();
    world.pass_seconds(2);
    assert!(!is_silent(last_second(&world.bob.heard)) && !is_silent(last_second(&world.alice.heard)));
}

#[test]
fn reports_go_on_while_a_call_is_held() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    world.pass_seconds(20);
    world.alice.capabilities.set_on_hold(true);
    world.renegotiate();
    let received_before = world.alice.reports_received;
    world.pass_seconds(30);
    assert!(world.alice.reports_received >= received_before + 3);
}

#[test]
fn the_codec_changes_in_a_running_call() {
    let mut world = World::in_a_call(Plans::new(&["PCMA", "opus", "G722", "PCMU"]));
    for codecs in [&["opus"][..], &["G722"], &["PCMU"], &["opus", "PCMA"], &["PCMA", "opus"]] {
        world.pass_seconds(2);
        let events = world.alice.capabilities.streams[0].codecs.iter().filter(|codec| codec.is_auxiliary()).cloned();
        let mut wanted = codecs_named(codecs.iter().copied());
        wanted.extend(events.collect::<Vec<_>>());
        world.alice.capabilities.streams[0].codecs = wanted;
        world.renegotiate();
        world.pass_seconds(3);
        for (party, hertz) in [(&world.bob, 440.0), (&world.alice, 1_000.0)] {
            let heard = last_second(&party.heard);
            assert!((signal::dominant_frequency(heard, world.rate) - hertz).abs() < 1.0, "{codecs:?}");
            assert!((signal::rms(heard).0 + 16.0).abs() < 1.5, "{codecs:?}: {}", signal::rms(heard));
            let (name, _) = party.stream.statistics().codec.expect("a codec");
            assert_eq!(&*name, codecs[0]);
        }
    }
}

/// RFC 3264 §6.1: all agreed codecs may be used at any time.
#[test]
fn a_peer_who_takes_another_of_the_agreed_codecs_is_heard() {
    let mut world = World::in_a_call(Plans::new(&["PCMA", "PCMU", "opus", "G722"]));
    world.pass_seconds(1);
    // Bob's own view changes without a new offer: he likes µ-law best.
    for codecs in [["PCMU", "PCMA"], ["opus", "PCMA"], ["G722", "PCMA"]] {
        world.bob.apply_with(world.now, |agreement| {
            let first = |name: &str| agreement.send.iter().find(|codec| codec.is_named(name)).cloned();
            agreement.send = codecs.iter().filter_map(|name| first(name)).collect();
        });
        world.pass_seconds(3);
        let heard = last_second(&world.alice.heard);
        assert!((signal::dominant_frequency(heard, world.rate) - 1_000.0).abs() < 1.0, "{codecs:?}");
        assert_eq!(signal::loud_ranges(heard, world.rate, Dbfs(-25.0)).len(), 1, "{codecs:?}");
    }
}

#[test]
fn the_peer_s_packet_time_is_kept() {
    let mut plans = Plans::new(&["PCMA"]);
    plans.alice.audio.packet_time = Duration::from_millis(20);
    plans.bob.audio.packet_time = Duration::from_millis(60);
    let mut world = World::in_a_call(plans);
    world.pass_seconds(1);
    let all_have = |sent: &[(u8, usize)], octets| sent.iter().all(|(_, size)| size - 12 == octets);
    assert!(all_have(&world.alice.sent, 480) && all_have(&world.bob.sent, 160));
}

#[test]
fn a_peer_who_moves_is_sent_to_and_heard_at_the_new_address_only() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    world.pass_seconds(1);
    let old = world.alice.rtp;
    let moved = IpAddr::from([10, 0, 0, 9]);
    world.alice.rtp.set_ip(moved);
    world.alice.capabilities.streams[0].address = Some(moved);
    world.renegotiate();
    world.pass_seconds(2);
    assert!(!is_silent(last_second(&world.alice.heard)) && !is_silent(last_second(&world.bob.heard)));
    let heard: Vec<_> = world
        .bob
        .events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::Heard { from } => Some(*from),
            _ => None,
        })
        .collect();
    assert_eq!(heard, [old, world.alice.rtp]);
    let strangers = world.bob.stream.strangers();
    world.hand_over(old, world.bob.rtp, crate::world::rtp_packet(8, 1, 1, 1, &[0; 160]));
    assert_eq!(world.bob.stream.strangers(), strangers + 1);
}

#[test]
fn early_media_is_heard_before_the_call_is_answered() {
    let mut world = World::new(Plans::new(&["PCMA"]));
    let offer = world.offer_by_alice();
    world.prepare_bob_for(&offer);
    world.answer_early(offer);
    world.pass_seconds(2);
    assert!(!is_silent(last_second(&world.alice.heard)));
    assert!(!world.alice.events.iter().any(|event| matches!(event, StreamEvent::TimedOut)));
}

#[test]
fn a_muted_party_sends_silence_and_the_packets_flow() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    world.pass_seconds(1);
    world.alice.stream.set_muted(true);
    let sent = world.alice.sent.len();
    world.pass_seconds(2);
    assert!(is_silent(last_second(&world.bob.heard)));
    assert_eq!(world.alice.sent.len() - sent, 100);
    world.alice.stream.set_muted(false);
    world.pass_seconds(2);
    assert!(!is_silent(last_second(&world.bob.heard)));
}

#[test]
fn who_goes_silent_is_told_of_after_the_timeout_once_and_again_only_after_he_was_heard() {
    let mut world = World::in_a_call(Plans { timeout: Duration::from_secs(30), ..Plans::new(&["PCMA"]) });
    let timeouts =
        |world: &World| world.alice.events.iter().filter(|event| matches!(event, StreamEvent::TimedOut)).count();
    world.pass_seconds(5);
    world.weather.loss = 1_000;
    world.pass_seconds(29);
    assert_eq!(timeouts(&world), 0);
    world.pass_seconds(2);
    assert_eq!(timeouts(&world), 1);
    world.pass_seconds(100);
    assert_eq!(timeouts(&world), 1);
    world.weather.loss = 0;
    world.pass_seconds(5);
    world.weather.loss = 1_000;
    world.pass_seconds(31);
    assert_eq!(timeouts(&world), 2);
}

#[test]
fn a_direction_of_one_way_is_kept() {
    let mut world = World::new(Plans::new(&["PCMA"]));
    world.alice.capabilities.streams[0].direction = Direction::SendOnly;
    let offer = world.offer_by_alice();
    world.prepare_bob_for(&offer);
    world.answer_by_bob(offer).unwrap();
    world.pass_seconds(2);
    assert!(is_silent(last_second(&world.alice.heard)) && !is_silent(last_second(&world.bob.heard)));
    assert!(world.bob.sent.is_empty());
}

#[test]
fn a_stream_that_is_removed_sends_nothing_more() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    world.pass_seconds(1);
    world.alice.capabilities.streams.clear();
    let offer = world.offer_by_alice();
    assert!(offer.media[0].is_disabled());
    world.answer_by_bob(offer).expect("an offer without streams is answered");
    let sent = (world.alice.sent.len(), world.bob.sent.len());
    world.pass_seconds(2);
    assert_eq!((world.alice.sent.len(), world.bob.sent.len()), sent);
}

/// RFC 3550 §6.6: who leaves says so.
#[test]
fn a_closed_stream_says_goodbye_and_nothing_after() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    world.pass_seconds(10);
    world.alice.stream.close(world.now);
    let mut last = Vec::new();
    let mut datagram = Vec::new();
    while world.alice.stream.poll_transmit(&mut datagram).is_some() {
        last.clone_from(&datagram);
    }
    // The last packet of the compound is BYE (203).
    assert!(last.windows(2).any(|pair| pair[0] >> 6 == 2 && pair[1] == 203));
    assert_eq!(world.alice.stream.next_timeout(), None);
    let sent = world.alice.sent.len();
    world.pass_seconds(2);
    assert_eq!(world.alice.sent.len(), sent);
}

#[test]
fn silence_is_not_sent_where_that_is_agreed_and_is_heard_as_silence() {
    for codec in ["PCMA", "opus"] {
        let plans = Plans::new(&[codec]).both(|plan| plan.audio.silence_suppression = true);
        let mut world = World::in_a_call(plans);
        world.pass_seconds(2);
        let rate = world.rate;
        world.alice.says_nothing(rate);
        let sent = world.alice.sent.len();
        world.pass_seconds(10);
        let in_silence = world.alice.sent.len() - sent;
        assert!(in_silence < 120, "{codec}: {in_silence} packets in 10 s of silence");
        assert!(signal::rms(last_second(&world.bob.heard)).0 < -45.0, "{codec}");
        world.alice.says = media::tone::ToneGenerator::new(media::tone::Tone::sine(440.0), rate);
        world.pass_seconds(3);
        let heard = last_second(&world.bob.heard);
        assert_eq!(signal::loud_ranges(heard, rate, Dbfs(-25.0)).len(), 1, "{codec}");
    }
}

/// RFC 6263: an address translator of ours forgets a call in which we say nothing.
#[test]
fn a_held_call_across_the_internet_is_kept_open_by_a_packet_now_and_then() {
    let mut plans = Plans::new(&["PCMA"]);
    plans.bob.local = IpAddr::from([198, 18, 0, 2]);
    let mut world = World::in_a_call(plans);
    world.pass_seconds(1);
    world.bob.capabilities.set_on_hold(true);
    world.renegotiate_by_bob();
    world.alice.sent.clear();
    world.bob.sent.clear();
    world.bob.stream.set_muted(true);
    world.pass_seconds(61);
    assert_eq!(world.alice.sent, [(8, 12); 4]);
    assert!(world.bob.sent.iter().all(|(_, size)| *size > 12), "who has a public address needs none");
    assert!(is_silent(last_second(&world.bob.heard)));
}
