//! Loss, jitter, disorder, duplication, clocks that do not agree.

use std::time::Duration;

use media::level::Dbfs;
use media::pcm::SampleRate;
use media::signal;

use crate::world::{Plans, Weather, World};

#[test]
fn two_percent_of_loss_are_concealed() {
    for codec in ["PCMA", "G722", "opus"] {
        let mut world = World::in_a_call(Plans::new(&[codec]));
        world.weather = Weather { loss: 20, ..Weather::FINE };
        world.pass_seconds(20);
        for (party, hertz) in [(&world.bob, 440.0), (&world.alice, 1_000.0)] {
            let heard = &party.heard[48_000..];
            // A gap that is filled need not end in phase.
            assert!((signal::dominant_frequency(heard, world.rate) - hertz).abs() < 3.0, "{codec}");
            let loud: usize = signal::loud_ranges(heard, world.rate, Dbfs(-30.0)).iter().map(|range| range.len()).sum();
            assert!(loud * 1_000 > heard.len() * 985, "{codec}: {loud} of {}", heard.len());
            let statistics = party.stream.statistics();
            assert!((0.005..0.05).contains(&(statistics.lost as f32 / 1_000.0)), "{codec}: {statistics:?}");
        }
    }
}

#[test]
fn jitter_and_disorder_are_evened_out() {
    for milliseconds in [10, 40, 100, 200] {
        let mut world = World::in_a_call(Plans::new(&["PCMA"]).at(SampleRate::Narrow));
        world.weather = Weather { jitter: Duration::from_millis(milliseconds), duplicates: 10, ..Weather::FINE };
        world.pass_seconds(30);
        // After the buffer has learnt.
        let heard = &world.bob.heard[10 * 8_000..];
        let loud: usize = signal::loud_ranges(heard, world.rate, Dbfs(-30.0)).iter().map(|range| range.len()).sum();
        assert!(loud * 100 > heard.len() * 99, "{milliseconds} ms: {loud} of {}", heard.len());
        let statistics = world.bob.stream.statistics();
        assert!(statistics.buffered < Duration::from_millis(milliseconds + 80), "{statistics:?}");
        assert_eq!(statistics.lost, 0, "{milliseconds} ms");
    }
}

#[test]
fn reports_tell_both_sides_how_it_is() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]));
    world.weather = Weather { delay: Duration::from_millis(50), loss: 50, ..Weather::FINE };
    world.pass_seconds(60);
    for party in [&world.alice, &world.bob] {
        let statistics = party.stream.statistics();
        let round_trip = statistics.round_trip.expect("reports came");
        // A tick of the driver at most at either end, besides the way.
        assert!((0.1..0.16).contains(&round_trip.as_secs_f64()), "{round_trip:?}");
        assert!(statistics.remote_loss.is_some_and(|loss| loss > 0.0 && loss < 0.2), "{statistics:?}");
        assert!((1.0..4.3).contains(&statistics.mos), "{statistics:?}");
        assert_eq!((statistics.level_in.round(), statistics.level_out.round()), (-16.0, -16.0));
    }
}

#[test]
fn reports_share_the_port_where_both_want_that() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]).both(|plan| plan.nat.rtcp_mux = true));
    world.pass_seconds(60);
    assert!(world.alice.stream.statistics().round_trip.is_some());
    assert_eq!(world.by_second_port, 0);
    let mut plans = Plans::new(&["PCMA"]);
    plans.alice.nat.rtcp_mux = true;
    plans.bob.nat.rtcp_mux = false;
    let mut world = World::new(plans);
    world.bob.capabilities.streams[0].attributes.clear();
    let offer = world.offer_by_alice();
    world.answer_by_bob(offer).unwrap();
    world.pass_seconds(60);
    assert!(world.alice.stream.statistics().round_trip.is_some());
    assert!(world.by_second_port > 0);
}

/// The delay that a call adds to the network's and the jitter buffer's: one tick.
#[test]
fn what_is_said_is_heard_within_a_tick_and_the_jitter_buffer_s_delay() {
    let mut world = World::in_a_call(Plans::new(&["PCMA"]).at(SampleRate::Narrow));
    world.weather.delay = Duration::ZERO;
    let rate = world.rate;
    world.alice.says_nothing(rate);
    world.pass_seconds(10);
    let start = world.bob.heard.len();
    world.alice.says = media::tone::ToneGenerator::new(media::tone::Tone::sine(440.0), rate);
    world.pass_seconds(1);
    let heard = &world.bob.heard[start..];
    let first = heard.iter().position(|sample| sample.unsigned_abs() > 1_000).expect("the tone");
    let buffered = world.bob.stream.statistics().buffered;
    let delay = rate.duration_of(first);
    assert!(delay <= buffered + Duration::from_millis(20), "{delay:?} with {buffered:?} in the jitter buffer");
}
