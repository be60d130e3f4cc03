//! Measuring audio: what tests ask of what they recorded.
//!
//! ```
//! use media::pcm::SampleRate;
//! use media::signal;
//! use media::tone::{Tone, ToneGenerator};
//!
//! let mut recorded = vec![0; 8_000];
//! ToneGenerator::new(Tone::sine(440.0), SampleRate::Narrow).fill(&mut recorded);
//! assert!((signal::dominant_frequency(&recorded, SampleRate::Narrow) - 440.0).abs() < 1.0);
//! ```
//!
//! Levels are in dBFS as [`Dbfs`] defines them. Nothing here is made for the hot path.

use crate::level::Dbfs;
use crate::pcm::SampleRate;
use std::f64::consts::TAU;
use std::ops::Range;

/// The level of the whole, as the root of its mean square.
pub fn rms(pcm: &[i16]) -> Dbfs {
    Dbfs::of_mean_square(mean_square(pcm))
}

/// The level of the largest sample.
pub fn peak(pcm: &[i16]) -> Dbfs {
    Dbfs::of_amplitude(f64::from(pcm.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)))
}

/// The level (root of the mean square) of a sine of this frequency in the audio: Goertzel's algorithm at that very
/// frequency, under a Hann window, so that neighbours further off than 4 / length do not count.
pub fn level_at(pcm: &[i16], rate: SampleRate, hertz: f64) -> Dbfs {
    let (real, imaginary) = project(&windowed(samples(pcm), pcm.len()), rate, hertz);
    // The sum of a Hann window is half its length.
    let amplitude = 4.0 * real.hypot(imaginary) / pcm.len().max(1) as f64;
    Dbfs::of_mean_square(amplitude * amplitude / 2.0)
}

/// How pure tones are: the energy at these frequencies over the energy of all the rest, in dB. A tone rounded to 16 bits
/// gives 80 and more, one through G.711 about 38. The tones must keep their level throughout.
pub fn tone_to_rest(pcm: &[i16], rate: SampleRate, hertz: &[f64]) -> f64 {
    let mut rest: Vec<f64> = pcm.iter().map(|&sample| f64::from(sample)).collect();
    // The sum of a Hann window is half its length.
    let window = (rest.len() as f64 / 2.0).max(1.0);
    // Close neighbours are taken for parts of each other at first; what was taken wrongly is left in the rest.
    for _ in 0..4 {
        for &hertz in hertz {
            let (real, imaginary) = project(&windowed(rest.iter().copied(), rest.len()), rate, hertz);
            let (real, imaginary) = (2.0 * real / window, 2.0 * imaginary / window);
            let turn = TAU * hertz / f64::from(rate.hertz());
            for (index, sample) in rest.iter_mut().enumerate() {
                let (sine, cosine) = (turn * index as f64).sin_cos();
                *sample -= real * cosine - imaginary * sine;
            }
        }
    }
    let (mut tones, mut others) = (0.0, 0.0);
    for (index, (&sample, &rest)) in pcm.iter().zip(&rest).enumerate() {
        let weight = hann(index, pcm.len()).powi(2);
        tones += (f64::from(sample) - rest).powi(2) * weight;
        others += rest.powi(2) * weight;
    }
    10.0 * (tones.max(1e-9) / others.max(1e-9)).log10()
}

/// The frequency with the most energy, to a fraction of a hertz for a second of audio; 0 for silence.
///
/// Searches from 50 Hz to half the rate in steps of half the window's resolution, then narrows in.
pub fn dominant_frequency(pcm: &[i16], rate: SampleRate) -> f64 {
    // A long recording is searched in its first second: the grid grows with the length, and so would the time.
    let pcm = &pcm[..pcm.len().min(rate.hertz() as usize)];
    if pcm.len() < 16 || mean_square(pcm) == 0.0 {
        return 0.0;
    }
    let power = |audio: &[f64], hertz: f64| {
        let (real, imaginary) = project(audio, rate, hertz);
        real * real + imaginary * imaginary
    };
    // First over a short piece, whose resolution is coarse, from the loudest place; then over all of it.
    let piece = loudest_piece(pcm, rate.samples_per_tick() * 4);
    let (piece, whole) = (windowed(samples(piece), piece.len()), windowed(samples(pcm), pcm.len()));
    let mut step = f64::from(rate.hertz()) / piece.len() as f64 / 2.0;
    let highest = f64::from(rate.hertz()) / 2.0 - step;
    let mut best = (0.0, 0.0);
    let mut hertz = 50.0;
    while hertz < highest {
        let here = power(&piece, hertz);
        if here > best.0 {
            best = (here, hertz);
        }
        hertz += step;
    }
    let mut centre = best.1;
    for audio in [&piece, &whole] {
        let finest = f64::from(rate.hertz()) / audio.len() as f64 / 100.0;
        while step > finest {
            step /= 2.0;
            centre = [centre - step, centre, centre + step]
                .into_iter()
                .max_by(|&one, &other| power(audio, one).total_cmp(&power(audio, other)))
                .unwrap_or(centre);
        }
    }
    centre
}

/// How alike two pieces of audio are where `later` lies `lag` samples behind `earlier`: 1 the same but for gain, 0
/// unrelated, -1 inverted.
pub fn correlation(earlier: &[i16], later: &[i16], lag: usize) -> f64 {
    let later = later.get(lag..).unwrap_or(&[]);
    let (mut product, mut one, mut other) = (0.0, 0.0, 0.0);
    for (&a, &b) in earlier.iter().zip(later) {
        let (a, b) = (f64::from(a), f64::from(b));
        product += a * b;
        one += a * a;
        other += b * b;
    }
    if one == 0.0 || other == 0.0 { 0.0 } else { product / (one * other).sqrt() }
}

/// The lag within `lags` at which the two are most alike, and how alike. Each lag costs a pass over the audio.
pub fn best_lag(earlier: &[i16], later: &[i16], lags: Range<usize>) -> (usize, f64) {
    lags.map(|lag| (lag, correlation(earlier, later, lag)))
        .max_by(|one, other| one.1.total_cmp(&other.1))
        .unwrap_or((0, 0.0))
}

/// How far a copy is from what it was copied from, as signal over difference in dB; infinite where they are the same.
pub fn signal_to_noise(original: &[i16], copy: &[i16]) -> f64 {
    let (mut signal, mut noise) = (0.0, 0.0);
    for (&a, &b) in original.iter().zip(copy) {
        signal += f64::from(a).powi(2);
        noise += (f64::from(a) - f64::from(b)).powi(2);
    }
    10.0 * (signal / noise).log10()
}

/// Where it is louder than `threshold`, measured tick by tick (20 ms), as ranges of samples. Ticks of one range touch.
pub fn loud_ranges(pcm: &[i16], rate: SampleRate, threshold: Dbfs) -> Vec<Range<usize>> {
    let tick = rate.samples_per_tick();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (index, piece) in pcm.chunks(tick).enumerate() {
        if rms(piece) <= threshold {
            continue;
        }
        let start = index * tick;
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = start + piece.len(),
            _ => ranges.push(start..start + piece.len()),
        }
    }
    ranges
}

/// The largest step between neighbouring samples: a click is a step far above what the audio's own slope makes.
pub fn largest_step(pcm: &[i16]) -> u16 {
    pcm.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap_or(0)
}

/// White noise from a seed, at a level: the same audio for the same seed on every machine.
pub fn noise(seed: u64, samples: usize, level: Dbfs) -> Vec<i16> {
    let mut random = Random::new(seed);
    // A uniform distribution over ±a has a mean square of a²/3.
    let amplitude = level.mean_square().sqrt() * 3f64.sqrt();
    (0..samples).map(|_| (random.next_signed() * amplitude).round() as i16).collect()
}

/// A generator of numbers for tests: splitmix64, seeded.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 up to, not including, 1.
    pub fn next_unit(&mut self) -> f64 {
        (self.next_bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From -1 up to, not including, 1.
    pub fn next_signed(&mut self) -> f64 {
        self.next_unit() * 2.0 - 1.0
    }
}

fn mean_square(pcm: &[i16]) -> f64 {
    if pcm.is_empty() {
        return 0.0;
    }
    samples(pcm).map(|sample| sample.powi(2)).sum::<f64>() / pcm.len() as f64
}

fn samples(pcm: &[i16]) -> impl Iterator<Item = f64> {
    pcm.iter().map(|&sample| f64::from(sample))
}

fn windowed(samples: impl Iterator<Item = f64>, length: usize) -> Vec<f64> {
    samples.enumerate().map(|(index, sample)| sample * hann(index, length)).collect()
}

/// Audio against a complex sine.
fn project(audio: &[f64], rate: SampleRate, hertz: f64) -> (f64, f64) {
    let (sine, cosine) = (TAU * hertz / f64::from(rate.hertz())).sin_cos();
    let (mut phase, mut sums) = ((1.0, 0.0), (0.0, 0.0));
    for sample in audio {
        sums = (sums.0 + sample * phase.0, sums.1 - sample * phase.1);
        phase = (phase.0 * cosine - phase.1 * sine, phase.0 * sine + phase.1 * cosine);
    }
    sums
}

fn hann(index: usize, length: usize) -> f64 {
    0.5 - 0.5 * (TAU * (index as f64 + 0.5) / length as f64).cos()
}

fn loudest_piece(pcm: &[i16], length: usize) -> &[i16] {
    pcm.chunks(length)
        .filter(|piece| piece.len() == length)
        .max_by(|one, other| mean_square(one).total_cmp(&mean_square(other)))
        .unwrap_or(pcm)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate: SampleRate, hertz: f64, amplitude: f64, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| (amplitude * (TAU * hertz * n as f64 / f64::from(rate.hertz())).sin()).round() as i16)
            .collect()
    }

    #[test]
    fn a_full_scale_sine_is_three_decibels_below_full_scale() {
        let pcm = sine(SampleRate::Narrow, 1_000.0, 32_767.0, 8_000);
        assert!((rms(&pcm).0 + 3.01).abs() < 0.01, "{:?}", rms(&pcm));
        assert!(peak(&pcm).0.abs() < 0.01);
    }

    #[test]
    fn the_level_of_one_tone_among_others_is_its_own() {
        let rate = SampleRate::Wide;
        let loud = sine(rate, 440.0, 10_000.0, 16_000);
        let quiet = sine(rate, 1_800.0, 100.0, 16_000);
        let both: Vec<i16> = loud.iter().zip(&quiet).map(|(a, b)| a + b).collect();
        assert!((level_at(&both, rate, 440.0).0 - rms(&loud).0).abs() < 0.05);
        assert!((level_at(&both, rate, 1_800.0).0 - rms(&quiet).0).abs() < 0.2);
        assert!(level_at(&both, rate, 3_000.0).0 < -85.0);
        assert!((tone_to_rest(&both, rate, &[440.0]) - 40.0).abs() < 0.5);
    }

    #[test]
    fn the_dominant_frequency_is_found_within_a_tenth_of_a_hertz() {
        for rate in SampleRate::ALL {
            for hertz in [61.7, 440.0, 1_004.0, 3_333.3] {
                let pcm = sine(rate, hertz, 3_000.0, rate.hertz() as usize);
                let found = dominant_frequency(&pcm, rate);
                assert!((found - hertz).abs() < 0.1, "{found} for {hertz} at {rate:?}");
            }
        }
        assert_eq!(dominant_frequency(&[0; 800], SampleRate::Narrow), 0.0);
    }

    #[test]
    fn a_delay_is_found_by_correlation() {
        let original = noise(7, 4_000, Dbfs(-20.0));
        let mut delayed = vec![0; 123];
        delayed.extend(original.iter().map(|sample| sample / 2));
        let (lag, alike) = best_lag(&original, &delayed, 0..400);
        assert_eq!(lag, 123);
        assert!(alike > 0.999);
        assert!(correlation(&original, &noise(8, 4_000, Dbfs(-20.0)), 0).abs() < 0.1);
    }

    #[test]
    fn noise_has_the_level_asked_for() {
        assert!((rms(&noise(1, 48_000, Dbfs(-30.0))).0 + 30.0).abs() < 0.1);
    }

    #[test]
    fn loud_ranges_are_where_the_tone_is() {
        let rate = SampleRate::Narrow;
        let mut pcm = vec![0; 1_600];
        pcm.extend(sine(rate, 400.0, 5_000.0, 800));
        pcm.extend(vec![0; 800]);
        pcm.extend(sine(rate, 400.0, 5_000.0, 80));
        assert_eq!(loud_ranges(&pcm, rate, Dbfs(-50.0)), [1_600..2_400, 3_200..3_280]);
    }
}
