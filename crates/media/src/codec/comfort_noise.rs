//! Comfort noise (RFC 3389): level and colour of the background, instead of the background.
//!
//! ```text
//!   octet 0: level, in -dBov     octets 1 to M: the reflection coefficients of an all-pole filter, quantized
//!
//!   Analyser:  pcm ─► autocorrelation ─► Levinson-Durbin ─► payload
//!   Generator: payload ─► filter;  white noise ─► filter ─► pcm, until the next payload or speech
//! ```
//!
//! When to send it is left to the caller. The RFC does not say which sign the coefficients have; this is that of
//! G.711 Appendix II and of browsers: noise of low frequencies has a negative first one.

use super::{CodecError, Decoder, Encoder};
use crate::pcm::SampleRate;

/// Coefficients that are sent.
const ORDER: usize = 6;
/// Coefficients that are made use of. More may come.
const HIGHEST_ORDER: usize = 12;
/// 0 dBov is the power of a square wave of this height.
const OVERLOAD: f64 = 32_768.0;

/// Describes noise. What it encodes is a payload of one packet; it remembers nothing.
#[derive(Clone, Debug)]
pub struct Analyser {
    windowed: Vec<f64>,
}

impl Analyser {
    /// For audio of this rate.
    pub fn new(rate: SampleRate) -> Analyser {
        Analyser { windowed: Vec::with_capacity(rate.samples_per_tick()) }
    }
}

impl Encoder for Analyser {
    fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        if pcm.is_empty() {
            return Err(CodecError::PacketTime { samples: 0 });
        }
        let energy: f64 = pcm.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        let power = energy / pcm.len() as f64 / OVERLOAD.powi(2);
        // As a cast, below -127 dBov and for silence.
        payload.push((-10.0 * power.log10()).round().clamp(0.0, 127.0) as u8);
        self.windowed.clear();
        self.windowed.extend(pcm.iter().enumerate().map(|(index, &sample)| f64::from(sample) * hann(index, pcm.len())));
        let correlations: [f64; ORDER + 1] = std::array::from_fn(|lag| {
            self.windowed.iter().zip(self.windowed.iter().skip(lag)).map(|(now, later)| now * later).sum()
        });
        if correlations[0] > 0.0 {
            payload.extend(reflections(&correlations).map(quantized));
        }
        Ok(())
    }
}

/// Makes noise as described. Before the first description it is silent.
#[derive(Clone, Debug)]
pub struct Generator {
    rate: SampleRate,
    /// The filter 1 / (1 + Σ a·z⁻ⁱ).
    filter: [f32; HIGHEST_ORDER],
    /// Height of the white noise: that in use and that described.
    gain: f32,
    described: f32,
    /// The last samples, the newest first.
    memory: [f32; HIGHEST_ORDER],
    noise: u32,
}

impl Generator {
    /// For audio of this rate.
    pub fn new(rate: SampleRate) -> Generator {
        Generator {
            rate,
            filter: [0.0; HIGHEST_ORDER],
            gain: 0.0,
            described: 0.0,
            memory: [0.0; HIGHEST_ORDER],
            // Noise need not be unforeseeable.
            noise: 0x2545_f491,
        }
    }

    fn generate(&mut self, samples: usize, pcm: &mut Vec<i16>) {
        // To a new level within 20 ms.
        let tick = self.rate.samples_per_tick();
        let step = (self.described - self.gain) / tick as f32;
        for index in 0..samples {
            self.gain = if index < tick { self.gain + step } else { self.described };
            let past: f32 = self.filter.iter().zip(&self.memory).map(|(factor, sample)| factor * sample).sum();
            let sample = self.white() * self.gain - past;
            self.memory.copy_within(..HIGHEST_ORDER - 1, 1);
            self.memory[0] = sample;
            // A cast from floating point saturates.
            pcm.push(sample as i16);
        }
    }

    /// Evenly distributed, of power 1.
    fn white(&mut self) -> f32 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 17;
        self.noise ^= self.noise << 5;
        self.noise.cast_signed() as f32 * (3f32.sqrt() / i32::MAX as f32)
    }
}

impl Decoder for Generator {
    /// Takes a new description and appends noise of one tick.
    fn decode(&mut self, payload: &[u8], pcm: &mut Vec<i16>) -> Result<(), CodecError> {
        let (&level, coefficients) = payload.split_first().ok_or(CodecError::Payload)?;
        let power = 10f64.powf(-f64::from(level & 0x7f) / 10.0) * OVERLOAD.powi(2);
        let (mut filter, mut order, mut loss) = ([0.0; HIGHEST_ORDER], 0, 1.0);
        for &index in coefficients.iter().take(HIGHEST_ORDER) {
            let reflection = reflection(index);
            step_up(&mut filter, order, reflection);
            loss *= 1.0 - reflection * reflection;
            order += 1;
        }
        self.filter = filter.map(|factor| factor as f32);
        // The filter amplifies by the inverse of this.
        self.described = (power * loss).sqrt() as f32;
        self.generate(self.rate.samples_per_tick(), pcm);
        Ok(())
    }

    /// Goes on: comfort noise is sent once and lasts.
    fn conceal(&mut self, samples: usize, _next: Option<&[u8]>, pcm: &mut Vec<i16>) {
        self.generate(samples, pcm);
    }

    fn samples_in(&self, payload: &[u8]) -> Option<usize> {
        (!payload.is_empty()).then(|| self.rate.samples_per_tick())
    }
}

/// RFC 3389 §3.2. Index 255 is reserved; taken for 254 the filter stays stable.
fn reflection(index: u8) -> f64 {
    258.0 * (f64::from(index.min(254)) - 127.0) / 32_768.0
}

fn quantized(reflection: f64) -> u8 {
    (reflection * 32_768.0 / 258.0 + 127.0).round().clamp(0.0, 254.0) as u8
}

/// Levinson-Durbin: the reflection coefficients of a signal with these autocorrelations.
fn reflections(correlations: &[f64; ORDER + 1]) -> [f64; ORDER] {
    let (mut filter, mut coefficients) = ([0.0; HIGHEST_ORDER], [0.0; ORDER]);
    // A little white noise keeps the equations solvable.
    let mut error = correlations[0] * 1.000_1;
    for order in 0..ORDER {
        let sum: f64 = (0..order).map(|index| filter[index] * correlations[order - index]).sum();
        let reflection = (-(correlations[order + 1] + sum) / error).clamp(-0.999, 0.999);
        step_up(&mut filter, order, reflection);
        coefficients[order] = reflection;
        error *= 1.0 - reflection * reflection;
    }
    coefficients
}

/// The filter of one order more.
fn step_up(filter: &mut [f64; HIGHEST_ORDER], order: usize, reflection: f64) {
    let before = *filter;
    for index in 0..order {
        filter[index] += reflection * before[order - 1 - index];
    }
    filter[order] = reflection;
}

fn hann(index: usize, length: usize) -> f64 {
    0.5 - 0.5 * ((index as f64 + 0.5) / length as f64 * std::f64::consts::TAU).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(payload: &[u8], rate: SampleRate) -> Vec<i16> {
        let (mut generator, mut pcm) = (Generator::new(rate), Vec::new());
        generator.decode(payload, &mut pcm).unwrap();
        assert_eq!(generator.samples_in(payload), Some(pcm.len()));
        pcm.clear();
        generator.conceal(rate.hertz() as usize, None, &mut pcm);
        pcm
    }

    fn dbov(pcm: &[i16]) -> f64 {
        let energy: f64 = pcm.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        10.0 * (energy / pcm.len() as f64 / OVERLOAD.powi(2)).log10()
    }

    #[test]
    fn noise_is_as_loud_as_described() {
        for level in [20, 40, 60, 70] {
            for coefficients in [&[][..], &[20], &[230, 100, 127], &[127; 40]] {
                let payload = [&[level], coefficients].concat();
                let measured = dbov(&generated(&payload, SampleRate::Narrow));
                assert!(
                    (measured + f64::from(level)).abs() < 1.0,
                    "{measured} dBov instead of -{level}, {coefficients:?}"
                );
            }
        }
    }

    /// RFC 3389 §3.2.
    #[test]
    fn coefficients_are_quantized_and_back() {
        for index in 0..255 {
            assert_eq!(quantized(reflection(index)), index);
        }
        assert!(reflection(0) > -1.0 && reflection(255) < 1.0);
    }

    #[test]
    fn a_description_of_generated_noise_is_what_it_was_made_from() {
        let original = [45, 60, 180, 120, 140, 127, 127];
        let pcm = generated(&original, SampleRate::Wide);
        let mut described = Vec::new();
        Analyser::new(SampleRate::Wide).encode(&pcm, &mut described).unwrap();
        assert_eq!(described.len(), original.len());
        for (left, right) in described.iter().zip(original) {
            assert!(left.abs_diff(right) <= 6, "{described:?} of {original:?}");
        }
    }

    #[test]
    fn silence_is_the_lowest_level_without_a_colour() {
        let mut payload = Vec::new();
        Analyser::new(SampleRate::Narrow).encode(&[0; 160], &mut payload).unwrap();
        assert_eq!(payload, [127]);
    }

    #[test]
    fn any_description_gives_bounded_noise() {
        for first in 0..=255 {
            let payload: Vec<u8> = (0..=40u8).map(|n| first ^ n.wrapping_mul(first)).collect();
            // The loudest would clip; the filter must not run away and the audio must go on.
            assert_eq!(generated(&payload, SampleRate::Narrow).len(), 8_000);
        }
    }
}
