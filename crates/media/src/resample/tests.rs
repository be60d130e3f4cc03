use super::*;
use std::f64::consts::TAU;

const PAIRS: [(SampleRate, SampleRate); 12] = {
    use SampleRate::{Full, Narrow, SuperWide, Wide};
    [
        (Narrow, Wide),
        (Narrow, SuperWide),
        (Narrow, Full),
        (Wide, Narrow),
        (Wide, SuperWide),
        (Wide, Full),
        (SuperWide, Narrow),
        (SuperWide, Wide),
        (SuperWide, Full),
        (Full, Narrow),
        (Full, Wide),
        (Full, SuperWide),
    ]
};

fn sine(hertz: f64, rate: u32, samples: usize) -> Vec<i16> {
    (0..samples).map(|n| ((n as f64 * hertz * TAU / f64::from(rate)).sin() * 16_000.0).round() as i16).collect()
}

/// The amplitude of a frequency, in samples; over whole seconds, so that whole frequencies do not leak.
fn amplitude(pcm: &[i16], rate: u32, hertz: f64) -> f64 {
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (n, &sample) in pcm.iter().enumerate() {
        let angle = n as f64 * hertz * TAU / f64::from(rate);
        real += f64::from(sample) * angle.cos();
        imaginary += f64::from(sample) * angle.sin();
    }
    2.0 * f64::hypot(real, imaginary) / pcm.len() as f64
}

/// The last of two seconds.
fn converted(input: &[i16], from: u32, to: u32) -> Vec<i16> {
    let mut output = Vec::new();
    Resampler::between_hertz(from, to).resample(input, &mut output);
    output.split_off(output.len() - to as usize)
}

fn decibels(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-9).log10()
}

#[test]
fn every_tick_gives_exactly_a_tick() {
    for (from, to) in PAIRS {
        let mut resampler = Resampler::new(from, to);
        for tick in 0..100 {
            let mut output = Vec::new();
            resampler.resample(&vec![tick; from.samples_per_tick()], &mut output);
            assert_eq!(output.len(), to.samples_per_tick(), "{from:?} to {to:?}, tick {tick}");
        }
    }
}

#[test]
fn pieces_of_any_length_give_the_same_as_the_whole() {
    for (from, to) in PAIRS {
        let input = sine(440.0, from.hertz(), 3_000);
        let (mut whole, mut pieces) = (Vec::new(), Vec::new());
        Resampler::new(from, to).resample(&input, &mut whole);
        let mut resampler = Resampler::new(from, to);
        for piece in input.chunks(37) {
            resampler.resample(piece, &mut pieces);
        }
        assert_eq!(whole, pieces, "{from:?} to {to:?}");
    }
}

#[test]
fn the_pass_band_is_flat() {
    for (from, to) in PAIRS {
        let (from, to) = (from.hertz(), to.hertz());
        let lower = from.min(to) / 2;
        for share in [0.01, 0.1, 0.3, 0.5, 0.7, 0.8, 0.86] {
            let hertz = (f64::from(lower) * share).round();
            let gain =
                decibels(amplitude(&converted(&sine(hertz, from, 2 * from as usize), from, to), to, hertz) / 16_000.0);
            assert!(gain.abs() < 0.1, "{from} to {to}: {gain:.3} dB at {hertz} Hz");
        }
    }
}

/// Going up, the mirror images of the band about multiples of the old rate.
#[test]
fn images_are_60_db_down() {
    for (from, to) in PAIRS.into_iter().filter(|(from, to)| from < to) {
        let (from, to) = (from.hertz(), to.hertz());
        for share in [0.05, 0.4, 0.86] {
            let hertz = (f64::from(from / 2) * share).round();
            let output = converted(&sine(hertz, from, 2 * from as usize), from, to);
            for multiple in 1..=to / from {
                for image in [f64::from(multiple * from) - hertz, f64::from(multiple * from) + hertz] {
                    if image < f64::from(to / 2) {
                        let level = decibels(amplitude(&output, to, image) / 16_000.0);
                        assert!(level < -60.0, "{from} to {to}: {hertz} Hz at {image} Hz with {level:.1} dB");
                    }
                }
            }
        }
    }
}

/// Going down, what has no place below half the new rate.
#[test]
fn what_cannot_be_kept_is_60_db_down() {
    for (from, to) in PAIRS.into_iter().filter(|(from, to)| from > to) {
        let (from, to) = (from.hertz(), to.hertz());
        for share in [1.14, 1.3, 1.7, 2.5, 3.9] {
            let hertz = (f64::from(to / 2) * share).round();
            if hertz >= f64::from(from / 2) {
                continue;
            }
            let output = converted(&sine(hertz, from, 2 * from as usize), from, to);
            let left = output.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / output.len() as f64;
            let level = decibels((2.0 * left).sqrt() / 16_000.0);
            assert!(level < -60.0, "{from} to {to}: {hertz} Hz with {level:.1} dB");
        }
    }
}

#[test]
fn a_constant_stays_that_constant() {
    for (from, to) in PAIRS {
        let mut output = Vec::new();
        Resampler::new(from, to).resample(&vec![-12_345; from.hertz() as usize], &mut output);
        let settled = &output[output.len() / 2..];
        assert!(settled.iter().all(|&sample| sample == -12_345), "{from:?} to {to:?}");
    }
}

#[test]
fn the_loudest_square_is_cut_off_and_does_not_wrap() {
    for (from, to) in PAIRS {
        let square: Vec<i16> = (0..4_000).map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let mut output = Vec::new();
        Resampler::new(from, to).resample(&square, &mut output);
        // A sample that wrapped would jump over nearly the whole range; from rail to rail the filter takes several.
        let jump = output.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap();
        assert!(jump < 60_000, "{from:?} to {to:?}: {jump}");
    }
}

/// What files and sound cards have.
#[test]
fn other_rates_keep_frequency_level_and_length() {
    for (from, to) in [
        (44_100, 48_000),
        (11_025, 8_000),
        (22_050, 16_000),
        (24_000, 8_000),
        (96_000, 48_000),
        (48_000, 44_100),
        (12_345, 16_000),
    ] {
        let mut output = Vec::new();
        Resampler::between_hertz(from, to).resample(&sine(1_000.0, from, 2 * from as usize), &mut output);
        assert!(output.len().abs_diff(2 * to as usize) <= 1, "{from} to {to}: {}", output.len());
        let second = &output[output.len() - to as usize..];
        let gain = decibels(amplitude(second, to, 1_000.0) / 16_000.0);
        assert!(gain.abs() < 0.1, "{from} to {to}: {gain:.2} dB");
    }
}
