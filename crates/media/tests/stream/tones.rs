//! A tone goes in at one end and comes out at the other, by every codec.

use std::time::Duration;

use media::level::Dbfs;
use media::pcm::SampleRate;
use media::signal;

use crate::world::{Plans, World};

/// Alice says 440 Hz and Bob 1,000 Hz; both hear the other, as loud as it was, without gaps, after a short while.
fn both_hear_each_other(plans: Plans, decibels: f64) {
    let mut world = World::in_a_call(plans);
    world.pass_seconds(4);
    let rate = world.rate;
    for (heard, hertz) in [(&world.bob.heard, 440.0), (&world.alice.heard, 1_000.0)] {
        let settled = &heard[rate.samples_in(Duration::from_secs(1))..];
        let found = signal::dominant_frequency(settled, rate);
        assert!((found - hertz).abs() < 1.0, "{found} Hz instead of {hertz}");
        let level = signal::level_at(settled, rate, hertz);
        assert!((level.0 + 16.0).abs() < decibels, "{level} instead of -16 dBFS");
        let loud: usize = signal::loud_ranges(settled, rate, Dbfs(-25.0)).iter().map(|range| range.len()).sum();
        assert_eq!(loud, settled.len(), "gaps");
    }
    assert!(!world.alice.has_failed() && !world.bob.has_failed());
}

#[test]
fn a_tone_goes_through_g711() {
    for codec in ["PCMU", "PCMA"] {
        for rate in SampleRate::ALL {
            both_hear_each_other(Plans::new(&[codec]).at(rate), 0.5);
        }
    }
}

#[test]
fn a_tone_goes_through_g722() {
    for rate in SampleRate::ALL {
        both_hear_each_other(Plans::new(&["G722"]).at(rate), 0.5);
    }
}

#[test]
fn a_tone_goes_through_linear_audio_at_each_of_its_rates() {
    for codec in ["L16/8000", "L16/16000", "L16/32000"] {
        both_hear_each_other(Plans::new(&[codec]), 0.5);
    }
}

#[test]
fn a_tone_goes_through_opus() {
    for rate in SampleRate::ALL {
        both_hear_each_other(Plans::new(&["opus"]).at(rate), 1.5);
    }
}

#[test]
fn a_tone_goes_through_in_packets_of_any_length() {
    for milliseconds in [10, 20, 30, 40, 60] {
        let packet_time = Duration::from_millis(milliseconds);
        let plans = Plans::new(&["PCMA"]).both(|plan| plan.audio.packet_time = packet_time);
        both_hear_each_other(plans, 0.5);
    }
}
