//! All codecs through the same measurements.

mod garbage;
mod loss;
mod opus;
mod quality;
mod vectors;

use super::{CodecKind, CodecSettings, CodecSpec, Decoder, Encoder, all};
use crate::pcm::SampleRate;
use std::f64::consts::TAU;

/// Every codec to talk with, at every rate that it has.
fn talking() -> Vec<(&'static CodecSpec, SampleRate)> {
    let specs = all().iter().filter(|spec| spec.kind != CodecKind::ComfortNoise);
    let mut pairs: Vec<_> = specs.flat_map(|spec| SampleRate::ALL.map(|rate| (spec, spec.sample_rate(rate)))).collect();
    pairs.dedup();
    pairs
}

fn spec(kind: CodecKind) -> &'static CodecSpec {
    all().iter().find(|spec| spec.kind == kind).expect("it is there")
}

fn coder(spec: &CodecSpec, rate: SampleRate, settings: &CodecSettings) -> (Box<dyn Encoder>, Box<dyn Decoder>) {
    let far = spec.offer(sdp::PayloadType::new(96).unwrap());
    (spec.encoder(&far, rate, settings), spec.decoder(rate))
}

/// One payload per tick.
fn encoded(encoder: &mut dyn Encoder, pcm: &[i16], tick: usize) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    for tick in pcm.chunks_exact(tick) {
        let mut payload = Vec::new();
        encoder.encode(tick, &mut payload).unwrap();
        payloads.push(payload);
    }
    payloads
}

fn decoded(decoder: &mut dyn Decoder, payloads: &[Vec<u8>]) -> Vec<i16> {
    let mut pcm = Vec::new();
    for payload in payloads {
        decoder.decode(payload, &mut pcm).unwrap();
    }
    pcm
}

fn sine(rate: SampleRate, hertz: f64, amplitude: f64, samples: usize) -> Vec<i16> {
    let sample = |n: usize| (n as f64 * hertz * TAU / f64::from(rate.hertz())).sin() * amplitude;
    (0..samples).map(|n| sample(n).round() as i16).collect()
}

/// Something like a voice: syllables of a gliding pitch whose harmonics have two formants, with pauses and a little noise.
fn voice(rate: SampleRate, seconds: usize) -> Vec<i16> {
    let hertz = f64::from(rate.hertz());
    let mut phase = 0.0;
    let mut noise = Seed(7);
    (0..seconds * rate.hertz() as usize)
        .map(|n| {
            let time = n as f64 / hertz;
            let pitch = 120.0 + 20.0 * (time * 2.1).sin() + 3.0 * (time * 7.0).sin();
            phase += pitch * TAU / hertz;
            let formants = [500.0 + 200.0 * (time * 3.3).sin(), 1_500.0 + 400.0 * (time * 2.7).cos()];
            let harmonics = (1..24).map(|k| f64::from(k) * pitch).take_while(|&h| h < 3_400.0);
            let sum: f64 = harmonics
                .enumerate()
                .map(|(k, h)| {
                    let gain: f64 = formants.iter().map(|formant| 1.0 / (1.0 + ((h - formant) / 150.0).powi(2))).sum();
                    ((k + 1) as f64 * phase).sin() * gain
                })
                .sum();
            let syllable = (time * TAU * 1.7).sin().max(0.0).sqrt();
            let breath = f64::from(noise.next() as i16) / 32_768.0;
            (sum * syllable * 6_000.0 + breath * 40.0) as i16
        })
        .collect()
}

/// Numbers without a pattern, the same ones every time.
struct Seed(u32);

impl Seed {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    fn octets(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}
