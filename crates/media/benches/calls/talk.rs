//! Something like speech, for codecs whose work depends on what is said: voiced and hissing sounds in syllables, with pauses
//! between phrases; and its packets in a codec.

use std::f64::consts::TAU;
use std::time::Duration;

use media::codec::opus::OpusParameters;
use media::codec::{self, CodecSettings, CodecSpec, Decoder};
use media::pcm::{SampleRate, TICK};
use sdp::{Codec, PayloadType};

/// No call hears the same twice while it is measured.
const LENGTH: Duration = Duration::from_secs(40);

/// What every call says, each from another place on.
pub(crate) struct Talk {
    pub(crate) codec: Codec,
    spec: &'static CodecSpec,
    /// One per 20 ms.
    pub(crate) payloads: Vec<Vec<u8>>,
    /// Of the RTP timestamp, per packet.
    pub(crate) ticks: u32,
}

impl Talk {
    /// `far`: the rate of those who hear it, which they have said of themselves where the codec can (RFC 7587 §6.1).
    pub(crate) fn new(name: &str, far: SampleRate) -> Talk {
        let mut codec = match name {
            "opus" => codec::defaults().into_iter().find(|codec| codec.is_named(name)).expect("Opus is there"),
            _ => Codec::pcmu(),
        };
        if name == "opus" {
            let parameters = OpusParameters { max_playback_rate: far.hertz(), ..OpusParameters::of(&codec) };
            codec.parameters = sdp::Text::new(parameters.to_string()).ok();
        }
        let spec = codec::find(&codec).expect("it is one of ours");
        let rate = spec.sample_rate(SampleRate::Full);
        // As a phone encodes that has one call.
        let settings = CodecSettings { complexity: 5, ..CodecSettings::ONE_CALL };
        let mut encoder = spec.encoder(&codec, rate, &settings);
        let speech = speech(rate, rate.samples_in(LENGTH));
        let payloads = speech.chunks_exact(rate.samples_per_tick()).map(|pcm| {
            let mut payload = Vec::new();
            encoder.encode(pcm, &mut payload).expect("a tick is a packet");
            payload
        });
        Talk { spec, payloads: payloads.collect(), ticks: spec.clock_units(rate.samples_per_tick(), rate), codec }
    }

    /// For what was sent or heard, at 8,000 samples per second.
    pub(crate) fn decoder(&self) -> Box<dyn Decoder> {
        self.spec.decoder(SampleRate::Narrow)
    }

    pub(crate) fn payload_type(&self) -> PayloadType {
        self.codec.payload_type
    }
}

/// Audio at any rate: the same at each, but for the highest frequencies.
fn speech(rate: SampleRate, samples: usize) -> Vec<i16> {
    let step = 1.0 / f64::from(rate.hertz());
    let mut noise = Noise(1);
    let mut resonators: [Resonator; 3] = Default::default();
    let (mut phase, mut sound) = (0.0, Sound::next(&mut noise));
    let mut hiss = 0.0;
    let tick = rate.samples_per_tick();
    let mut ticks = 0;
    (0..samples)
        .map(|index| {
            if index % tick == 0 {
                ticks += 1;
                if ticks > sound.ticks {
                    (ticks, sound) = (0, Sound::next(&mut noise));
                    for (resonator, hertz) in resonators.iter_mut().zip(sound.formants) {
                        resonator.tune(hertz, step);
                    }
                }
            }
            let within = (ticks as f64 + (index % tick) as f64 / tick as f64) / (sound.ticks + 1) as f64;
            let envelope = (within * TAU / 2.0).sin().max(0.0);
            // The pitch falls along a syllable.
            phase += sound.pitch * (1.1 - 0.2 * within) * step;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase -= phase.floor();
            let white = noise.next() - 0.5;
            hiss = 0.6 * hiss + white;
            let source = if sound.is_voiced { 40.0 * pulse + 0.05 * hiss } else { hiss };
            let voice: f64 = resonators.iter_mut().map(|resonator| resonator.pass(source)).sum();
            let loud = sound.loudness * envelope * voice + 3.0 * white;
            loud.clamp(-20_000.0, 20_000.0) as i16
        })
        .collect()
}

/// A syllable or a pause.
struct Sound {
    ticks: u32,
    pitch: f64,
    formants: [f64; 3],
    is_voiced: bool,
    loudness: f64,
}

impl Sound {
    fn next(noise: &mut Noise) -> Sound {
        let kind = noise.next();
        Sound {
            ticks: 4 + (noise.next() * 10.0) as u32,
            pitch: 90.0 + 130.0 * noise.next(),
            formants: [300.0 + 500.0 * noise.next(), 900.0 + 1_400.0 * noise.next(), 2_400.0 + 900.0 * noise.next()],
            is_voiced: kind < 0.65,
            // One in eight is a pause.
            loudness: if kind > 0.87 { 0.0 } else { 900.0 + 1_500.0 * noise.next() },
        }
    }
}

/// A band around a frequency, 100 Hz wide.
#[derive(Default)]
struct Resonator {
    back: [f64; 2],
    past: [f64; 2],
    gain: f64,
}

impl Resonator {
    fn tune(&mut self, hertz: f64, step: f64) {
        let radius = (-TAU / 2.0 * 100.0 * step).exp();
        self.back = [2.0 * radius * (TAU * hertz * step).cos(), -radius * radius];
        self.gain = (1.0 - radius) * 3.0;
    }

    fn pass(&mut self, input: f64) -> f64 {
        let output = self.gain * input + self.back[0] * self.past[0] + self.back[1] * self.past[1];
        self.past = [output, self.past[0]];
        output
    }
}

/// The same numbers in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The time that a packet holds.
pub(crate) const PACKET: Duration = TICK;
