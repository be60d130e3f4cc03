//! Key presses: as events, as tones, against loss (RFC 4733).

use std::time::Duration;

use media::signal;
use media::stream::DtmfMode;

use crate::world::{Plans, World};

const ALL: &str = "0123456789*#ABCD";
const PRESS: Duration = Duration::from_millis(120);

fn dial(world: &mut World, digits: &str) {
    for digit in digits.chars() {
        assert!(world.alice.stream.send_digit(digit, PRESS));
    }
    world.pass(Duration::from_millis(300) * digits.len() as u32 + Duration::from_secs(1));
}

#[test]
fn digits_arrive_in_order_and_once_by_every_codec() {
    for codec in ["PCMA", "G722", "opus"] {
        let mut world = World::in_a_call(Plans::new(&[codec]));
        world.pass_seconds(1);
        dial(&mut world, ALL);
        assert_eq!(world.bob.digits, ALL, "{codec}");
        assert_eq!(world.alice.digits, "", "{codec}");
    }
}

#[test]
fn digits_survive_loss_and_jitter_and_duplication() {
    for seed in 1..=10 {
        let mut world = World::in_a_call(Plans { seed, ..Plans::new(&["PCMA"]) });
        world.pass_seconds(1);
        world.weather.loss = 50;
        world.weather.duplicates = 50;
        world.weather.jitter = Duration::from_millis(60);
        dial(&mut world, "0123456789");
        assert_eq!(world.bob.digits, "0123456789", "seed {seed}");
    }
}

#[test]
fn the_same_digit_again_is_another_press() {
    let mut world = World::in_a_call(Plans::new(&["PCMU"]));
    world.pass_seconds(1);
    dial(&mut world, "1111");
    assert_eq!(world.bob.digits, "1111");
}

#[test]
fn opus_without_events_of_its_own_clock_takes_those_of_8000() {
    let mut world = World::new(Plans::new(&["opus"]));
    world.bob.capabilities.streams[0].codecs.retain(|codec| codec.clock_rate == 8_000 || codec.is_named("opus"));
    let offer = world.offer_by_alice();
    world.answer_by_bob(offer).unwrap();
    world.pass_seconds(1);
    dial(&mut world, "159");
    assert_eq!(world.bob.digits, "159");
    let events = world.alice.sent.iter().filter(|(number, _)| *number == 101).count();
    assert!(events > 3 * 5, "{events} events");
}

#[test]
fn where_the_peer_takes_no_events_digits_are_tones_that_he_can_detect() {
    let mut plans = Plans::new(&["PCMA"]);
    plans.bob.audio.detect_inband_dtmf = true;
    let mut world = World::new(plans);
    world.bob.capabilities.streams[0].codecs.retain(|codec| !codec.is_auxiliary());
    let offer = world.offer_by_alice();
    world.answer_by_bob(offer).unwrap();
    let rate = world.rate;
    world.alice.says_nothing(rate);
    world.pass_seconds(1);
    dial(&mut world, ALL);
    assert_eq!(world.bob.digits, ALL);
    assert!(world.alice.sent.iter().all(|(number, _)| *number == 8));
}

#[test]
fn digits_are_tones_where_that_is_wanted() {
    let plans = Plans::new(&["PCMA"]).both(|plan| plan.audio.dtmf = DtmfMode::Inband);
    let mut world = World::in_a_call(plans);
    let rate = world.rate;
    world.alice.says_nothing(rate);
    world.pass_seconds(1);
    assert!(world.alice.stream.send_digit('5', Duration::from_millis(400)));
    let start = world.bob.heard.len();
    world.pass_seconds(1);
    assert_eq!(world.bob.digits, "");
    let heard = &world.bob.heard[start..];
    let loud = signal::loud_ranges(heard, rate, media::level::Dbfs(-40.0)).remove(0);
    let tone = &heard[loud.start + 960..loud.end - 960];
    // ITU-T Q.23: 5 is 770 and 1,336 Hz.
    assert!(signal::level_at(tone, rate, 770.0).0 > -20.0 && signal::level_at(tone, rate, 1_336.0).0 > -20.0);
    assert!(signal::tone_to_rest(tone, rate, &[770.0, 1_336.0]) > 20.0);
}

#[test]
fn what_is_no_digit_is_not_sent() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    for character in ['x', '!', ' ', 'E'] {
        assert!(!world.alice.stream.send_digit(character, PRESS), "{character}");
    }
}

#[test]
fn while_a_digit_is_sent_no_audio_is() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    world.pass_seconds(1);
    world.alice.sent.clear();
    assert!(world.alice.stream.send_digit('1', Duration::from_millis(200)));
    world.pass(Duration::from_millis(400));
    let numbers: Vec<u8> = world.alice.sent.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers.len(), 20, "one packet each 20 ms");
    assert!(numbers.iter().filter(|number| **number == 101).count() >= 10);
}
