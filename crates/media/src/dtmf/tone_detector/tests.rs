//! Tones at the edges of what ITU-T Q.24 asks for, through lines and codecs, and speech that is no tone.

use super::*;
use crate::level::Dbfs;
use crate::signal::{self, Random};
use crate::tone::{Tone as Sound, ToneGenerator};
use std::time::Duration;

const ALL: &str = "123A456B789C*0#D";

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn heard(rate: SampleRate, pcm: &[i16]) -> String {
    let mut detector = ToneDetector::new(rate);
    let mut digits = String::new();
    pcm.chunks(rate.samples_per_tick()).for_each(|tick| detector.push(tick, |digit| digits.push(digit)));
    digits
}

/// Two sines as they come, without swelling; amplitudes from dBm0.
fn tones(rate: SampleRate, low: (f64, f64), high: (f64, f64), length: Duration) -> Vec<i16> {
    let sine = |(hertz, dbm0): (f64, f64), n: usize| {
        let turn = std::f64::consts::TAU * hertz / f64::from(rate.hertz());
        Dbfs::of_dbm0(dbm0).sine_amplitude() * (turn * n as f64).sin()
    };
    (0..rate.samples_in(length)).map(|n| (sine(low, n) + sine(high, n)).round() as i16).collect()
}

/// A digit with deviations from what is nominal: frequencies as factors, levels in dBm0.
fn digit(digit: char, factors: (f64, f64), dbm0: (f64, f64), length: Duration) -> Vec<i16> {
    let (low, high) = crate::tone::telephone::frequencies(digit).unwrap();
    tones(SampleRate::Narrow, (low * factors.0, dbm0.0), (high * factors.1, dbm0.1), length)
}

fn silence(rate: SampleRate, length: Duration) -> Vec<i16> {
    vec![0; rate.samples_in(length)]
}

/// The digits one after another, at an offset that falls differently into the looks each time.
fn dialled(digits: &str, one: impl Fn(char) -> Vec<i16>, pause: Duration) -> Vec<i16> {
    let rate = SampleRate::Narrow;
    let mut pcm = silence(rate, ms(101));
    for (index, digit) in digits.chars().enumerate() {
        pcm.extend(one(digit));
        pcm.extend(silence(rate, pause));
        pcm.extend(vec![0; index * 7 % 40]);
    }
    pcm.extend(silence(rate, ms(100)));
    pcm
}

fn with_noise(pcm: &[i16], seed: u64, level: Dbfs) -> Vec<i16> {
    let noise = signal::noise(seed, pcm.len(), level);
    pcm.iter().zip(noise).map(|(&sample, noise)| sample.saturating_add(noise)).collect()
}

/// There and back through µ-law (ITU-T G.711): the nearest of its values.
fn through_mu_law(pcm: &[i16]) -> Vec<i16> {
    let mut values: Vec<i16> = (0..8)
        .flat_map(|exponent| (0..16).map(move |mantissa| ((mantissa << 3 | 0x84) << exponent) - 0x84))
        .flat_map(|size: i16| [size, -size])
        .collect();
    values.sort_unstable();
    let nearest = |sample: i16| {
        let above = values.partition_point(|&value| value < sample).min(values.len() - 1);
        let below = above.saturating_sub(1);
        let distance = |index: usize| i32::from(values[index]).abs_diff(i32::from(sample));
        if distance(below) < distance(above) { values[below] } else { values[above] }
    };
    pcm.iter().map(|&sample| nearest(sample)).collect()
}

#[test]
fn every_digit_is_heard_once_at_every_rate() {
    for rate in SampleRate::ALL {
        let mut pcm = silence(rate, ms(33));
        let mut generator = ToneGenerator::new(Sound::digits(ALL, ms(100), ms(60)).unwrap(), rate);
        let mut tick = vec![0; rate.samples_per_tick()];
        while !generator.is_over() {
            generator.fill(&mut tick);
            pcm.extend(&tick);
        }
        assert_eq!(heard(rate, &pcm), ALL, "{rate:?}");
    }
}

#[test]
fn the_shortest_digits_and_pauses_are_heard() {
    let pcm = dialled(ALL, |key| digit(key, (1.0, 1.0), (-10.0, -10.0), ms(40)), ms(40));
    assert_eq!(heard(SampleRate::Narrow, &pcm), ALL);
    // And as a generator sends them that swells.
    let mut swelling = vec![0; 12_000];
    ToneGenerator::new(Sound::digits(ALL, ms(45), ms(40)).unwrap(), SampleRate::Narrow).fill(&mut swelling);
    assert_eq!(heard(SampleRate::Narrow, &swelling), ALL);
}

#[test]
fn what_is_too_short_for_a_digit_is_none() {
    let pcm = dialled(ALL, |key| digit(key, (1.0, 1.0), (-10.0, -10.0), ms(23)), ms(60));
    assert_eq!(heard(SampleRate::Narrow, &pcm), "");
}

#[test]
fn the_same_key_twice_is_two_presses_and_a_long_one_is_one() {
    let press = |key| digit(key, (1.0, 1.0), (-10.0, -10.0), ms(50));
    assert_eq!(heard(SampleRate::Narrow, &dialled("5555##", press, ms(40))), "5555##");
    let long = |key| digit(key, (1.0, 1.0), (-10.0, -10.0), ms(5_000));
    assert_eq!(heard(SampleRate::Narrow, &dialled("7", long, ms(40))), "7");
}

#[test]
fn an_interruption_of_ten_milliseconds_does_not_make_two_presses() {
    let key = digit('8', (1.0, 1.0), (-10.0, -10.0), ms(150));
    for start in 400..480 {
        let mut pcm = [silence(SampleRate::Narrow, ms(50)), key.clone(), silence(SampleRate::Narrow, ms(50))].concat();
        pcm[start + 400..start + 480].fill(0);
        assert_eq!(heard(SampleRate::Narrow, &pcm), "8", "{start}");
    }
}

#[test]
fn a_tone_a_little_off_its_frequency_is_heard_and_one_far_off_is_not() {
    for (low, high) in [(1.0, 1.0), (1.015, 1.015), (0.985, 0.985), (1.015, 0.985), (0.985, 1.015)] {
        let pcm = dialled(ALL, |key| digit(key, (low, high), (-10.0, -10.0), ms(50)), ms(50));
        assert_eq!(heard(SampleRate::Narrow, &pcm), ALL, "{low} {high}");
    }
    for (low, high) in [(1.035, 1.0), (0.965, 1.0), (1.0, 1.035), (1.0, 0.965), (1.035, 1.035), (0.965, 0.965)] {
        let pcm = dialled(ALL, |key| digit(key, (low, high), (-10.0, -10.0), ms(100)), ms(50));
        assert_eq!(heard(SampleRate::Narrow, &pcm), "", "{low} {high}");
    }
}

#[test]
fn tones_of_unequal_level_are_heard_within_the_twist_allowed() {
    for (low, high) in [(-8.0, -16.0), (-12.0, -8.0), (-17.0, -25.0), (-25.0, -21.0)] {
        let pcm = dialled(ALL, |key| digit(key, (1.0, 1.0), (low, high), ms(50)), ms(50));
        assert_eq!(heard(SampleRate::Narrow, &pcm), ALL, "{low} {high}");
    }
    for (low, high) in [(-8.0, -20.0), (-16.0, -8.0)] {
        let pcm = dialled(ALL, |key| digit(key, (1.0, 1.0), (low, high), ms(50)), ms(50));
        assert_eq!(heard(SampleRate::Narrow, &pcm), "", "{low} {high}");
    }
}

#[test]
fn faint_digits_are_heard_and_very_loud_ones() {
    for level in [-30.0, -25.0, -3.0, 0.0] {
        let pcm = dialled(ALL, |key| digit(key, (1.0, 1.0), (level, level), ms(50)), ms(50));
        assert_eq!(heard(SampleRate::Narrow, &pcm), ALL, "{level} dBm0");
    }
    let pcm = dialled(ALL, |key| digit(key, (1.0, 1.0), (-45.0, -45.0), ms(100)), ms(50));
    assert_eq!(heard(SampleRate::Narrow, &pcm), "");
}

#[test]
fn faint_and_detuned_digits_are_heard_through_mu_law() {
    let pcm = dialled(ALL, |key| digit(key, (1.015, 0.985), (-25.0, -25.0), ms(50)), ms(45));
    assert_eq!(heard(SampleRate::Narrow, &through_mu_law(&pcm)), ALL);
    let pcm = dialled(ALL, |key| digit(key, (1.0, 1.0), (-17.0, -25.0), ms(40)), ms(40));
    assert_eq!(heard(SampleRate::Narrow, &through_mu_law(&pcm)), ALL);
}

/// What a codec for speech at a low rate adds lies some 10 to 15 dB below the tones.
#[test]
fn digits_are_heard_in_noise() {
    let pcm = dialled(&ALL.repeat(4), |key| digit(key, (1.0, 1.0), (-16.0, -16.0), ms(60)), ms(60));
    let tones = Dbfs::of_dbm0(-13.0);
    for seed in 0..10 {
        let noisy = with_noise(&pcm, seed, Dbfs(tones.0 - 12.0));
        assert_eq!(heard(SampleRate::Narrow, &noisy), ALL.repeat(4), "seed {seed}");
    }
}

#[test]
fn single_tones_and_call_progress_are_no_digits() {
    use crate::tone::Region;
    let mut pcm = vec![0; 40_000];
    let regions = [Region::Etsi, Region::UnitedKingdom, Region::UnitedStates];
    let progress = regions.into_iter().flat_map(|region| {
        [Sound::ringback(region), Sound::busy(region), Sound::congestion(region), Sound::call_waiting(region)]
    });
    let single = LOW_FREQUENCIES.into_iter().chain(HIGH_FREQUENCIES).map(Sound::sine);
    for sound in progress.chain(single).chain([Sound::ring(), Sound::hang_up()]) {
        ToneGenerator::new(sound.clone(), SampleRate::Narrow).fill(&mut pcm);
        assert_eq!(heard(SampleRate::Narrow, &pcm), "", "{sound:?}");
    }
}

#[test]
fn noise_alone_is_no_digit() {
    for seed in 0..20 {
        assert_eq!(heard(SampleRate::Narrow, &signal::noise(seed, 8_000 * 10, Dbfs(-15.0))), "", "seed {seed}");
    }
}

/// A quarter of an hour of syllables: a gliding voice with its harmonics through gliding formants, hisses and pauses.
#[test]
fn speech_is_not_taken_for_digits() {
    let mut talked_off = String::new();
    for seed in 0..15 {
        talked_off += &heard(SampleRate::Narrow, &speech(seed, 60));
    }
    assert_eq!(talked_off, "");
}

#[test]
fn digits_over_speech_of_the_other_side_that_is_twenty_decibels_lower_are_heard() {
    let pcm = dialled(&ALL.repeat(4), |key| digit(key, (1.0, 1.0), (-10.0, -10.0), ms(80)), ms(80));
    let speech = speech(3, pcm.len().div_ceil(8_000));
    let gain = Dbfs::of_dbm0(-27.0).sine_amplitude() / 2f64.sqrt() / signal::rms(&speech).mean_square().sqrt();
    let mixed: Vec<i16> =
        pcm.iter().zip(&speech).map(|(&tone, &voice)| tone + (f64::from(voice) * gain) as i16).collect();
    assert_eq!(heard(SampleRate::Narrow, &mixed), ALL.repeat(4));
}

/// What sounds like speech to a detector.
fn speech(seed: u64, seconds: usize) -> Vec<i16> {
    let rate = 8_000.0;
    let mut random = Random::new(seed);
    let mut between = move |low: f64, high: f64| low + (high - low) * random.next_unit();
    let mut pcm = Vec::with_capacity(seconds * 8_000);
    let voice = between(85.0, 260.0);
    let (mut phase, mut memory) = (0.0f64, [[0.0f64; 2]; 4]);
    while pcm.len() < seconds * 8_000 {
        let length = between(0.06, 0.35) * rate;
        let kind = between(0.0, 1.0);
        let (voiced, hiss) = match kind {
            k if k < 0.70 => (1.0, 0.01),
            k if k < 0.85 => (0.0, 0.3),
            _ => (0.0, 0.0),
        };
        let pitch = (voice * between(0.7, 1.4), voice * between(0.7, 1.4));
        let formants: [[f64; 2]; 4] = [
            [between(250.0, 850.0), between(250.0, 850.0)],
            [between(800.0, 2_300.0), between(800.0, 2_300.0)],
            [between(2_000.0, 3_000.0), between(2_000.0, 3_000.0)],
            [3_500.0, 3_500.0],
        ];
        let loudness = between(3_000.0, 12_000.0);
        let mut spoken = Vec::with_capacity(length as usize);
        for n in 0..length as usize {
            let along = n as f64 / length;
            phase += (pitch.0 + (pitch.1 - pitch.0) * along) / rate;
            // Puffs of air: a short pulse each period, not quite even.
            let puff = if phase >= 1.0 { between(0.9, 1.1) } else { 0.0 };
            phase -= phase.floor();
            let mut sample = voiced * puff + hiss * between(-1.0, 1.0);
            for (index, (formant, memory)) in formants.iter().zip(&mut memory).enumerate() {
                let hertz = formant[0] + (formant[1] - formant[0]) * along;
                let width = [60.0, 90.0, 140.0, 200.0][index];
                let radius = (-std::f64::consts::PI * width / rate).exp();
                let turn = std::f64::consts::TAU * hertz / rate;
                let next =
                    sample * (1.0 - radius) + 2.0 * radius * turn.cos() * memory[0] - radius * radius * memory[1];
                *memory = [next, memory[0]];
                sample = next;
            }
            spoken.push(sample * (std::f64::consts::PI * along).sin());
        }
        let peak = spoken.iter().fold(1e-9f64, |peak, sample| peak.max(sample.abs()));
        let scale = if voiced + hiss > 0.0 { loudness / peak } else { 0.0 };
        pcm.extend(spoken.into_iter().map(|sample| (sample * scale) as i16));
    }
    pcm
}
