//! The generator: two oscillators that follow a tone's steps.

use super::{Repeat, Sine, Step, Tone};
use crate::level::Dbfs;
use crate::pcm::SampleRate;
use std::f64::consts::TAU;
use std::time::Duration;

/// Makes a [`Tone`], tick by tick.
#[derive(Clone, Debug)]
pub struct ToneGenerator {
    tone: Tone,
    rate: SampleRate,
    /// The step that is heard; past the last when the tone is over.
    step: usize,
    /// Samples of it still to come.
    remaining: usize,
    /// Rounds gone through.
    rounds: u32,
    oscillators: [Oscillator; 2],
}

impl ToneGenerator {
    /// From the tone's start.
    pub fn new(tone: Tone, rate: SampleRate) -> ToneGenerator {
        let mut generator =
            ToneGenerator { tone, rate, step: 0, remaining: 0, rounds: 0, oscillators: [Oscillator::silent(); 2] };
        if generator.tone.repeat == Repeat::Times(0) {
            generator.step = generator.tone.steps.len();
        }
        generator.enter_step();
        generator.skip_empty_steps();
        generator
    }

    /// The rate it makes samples at.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Makes the next samples. Returns how many belong to the tone; silence follows them.
    pub fn fill(&mut self, pcm: &mut [i16]) -> usize {
        let mut done = 0;
        while done < pcm.len() && !self.is_over() {
            let length = self.remaining.min(pcm.len() - done);
            self.fill_from_step(&mut pcm[done..done + length]);
            done += length;
            self.remaining -= length;
            self.skip_empty_steps();
        }
        pcm[done..].fill(0);
        done
    }

    /// Has everything been heard?
    pub fn is_over(&self) -> bool {
        self.step >= self.tone.steps.len()
    }

    fn fill_from_step(&mut self, pcm: &mut [i16]) {
        let step = self.tone.steps[self.step];
        let next = self.next_step();
        let ramp = self.rate.samples_in(RAMP).max(1);
        // The fade belongs to the step that ends, so that steps keep their lengths.
        let fade_from = self.remaining.saturating_sub(ramp).min(pcm.len());
        let (steady, fading) = pcm.split_at_mut(fade_from);
        for (index, oscillator) in self.oscillators.iter_mut().enumerate() {
            let goes_on = next.is_some_and(|next| next.sines[index].is_some());
            let level = step.sines[index].map_or(0.0, |sine| amplitude(self.tone.level, sine));
            oscillator.add(steady, level, ramp, index == 0);
            oscillator.add(fading, if goes_on { level } else { 0.0 }, ramp, index == 0);
        }
    }

    fn next_step(&self) -> Option<Step> {
        match self.tone.steps.get(self.step + 1) {
            Some(step) => Some(*step),
            None if self.is_last_round() => None,
            None => self.tone.steps.first().copied(),
        }
    }

    fn is_last_round(&self) -> bool {
        matches!(self.tone.repeat, Repeat::Times(times) if self.rounds + 1 >= times)
    }

    /// Goes on to the step that the next sample is of. A tone whose steps are all empty is over.
    fn skip_empty_steps(&mut self) {
        let mut passed = 0;
        while self.remaining == 0 && !self.is_over() {
            passed += 1;
            self.step += 1;
            if self.step == self.tone.steps.len() && !self.is_last_round() && passed <= self.tone.steps.len() {
                self.step = 0;
                self.rounds = self.rounds.saturating_add(1);
            }
            self.enter_step();
        }
    }

    fn enter_step(&mut self) {
        let Some(step) = self.tone.steps.get(self.step) else { return };
        self.remaining = self.rate.samples_in(step.length);
        for (oscillator, sine) in self.oscillators.iter_mut().zip(step.sines) {
            if let Some(sine) = sine {
                oscillator.tune(sine.hertz, self.rate);
            }
        }
    }
}

/// A sine that keeps its phase when its pitch changes, and whose amplitude moves in small steps.
#[derive(Clone, Copy, Debug)]
struct Oscillator {
    /// Where it is on the unit circle, as cosine and sine.
    phase: (f64, f64),
    /// What it turns by in one sample.
    turn: (f64, f64),
    amplitude: f64,
}

impl Oscillator {
    fn silent() -> Oscillator {
        Oscillator { phase: (1.0, 0.0), turn: (1.0, 0.0), amplitude: 0.0 }
    }

    fn tune(&mut self, hertz: f64, rate: SampleRate) {
        if self.amplitude == 0.0 {
            self.phase = (1.0, 0.0);
        }
        let (sine, cosine) = (TAU * hertz / f64::from(rate.hertz())).sin_cos();
        self.turn = (cosine, sine);
    }

    /// Adds its next samples, on the way to an amplitude that it may reach within `ramp` samples. The first of a group
    /// overwrites.
    fn add(&mut self, pcm: &mut [i16], amplitude: f64, ramp: usize, first: bool) {
        if amplitude == 0.0 && self.amplitude == 0.0 {
            if first {
                pcm.fill(0);
            }
            return;
        }
        // Down as fast as it came up, from where it is.
        let pace = self.amplitude.max(amplitude) / ramp as f64;
        for sample in &mut *pcm {
            let distance = amplitude - self.amplitude;
            self.amplitude += distance.clamp(-pace, pace);
            let below = if first { 0 } else { *sample };
            *sample = below.saturating_add((self.phase.1 * self.amplitude).round() as i16);
            self.phase = (
                self.phase.0 * self.turn.0 - self.phase.1 * self.turn.1,
                self.phase.0 * self.turn.1 + self.phase.1 * self.turn.0,
            );
        }
        // Rounding must not let it grow or shrink over hours.
        let length = self.phase.0.hypot(self.phase.1);
        self.phase = (self.phase.0 / length, self.phase.1 / length);
    }
}

fn amplitude(level: Dbfs, sine: Sine) -> f64 {
    Dbfs(level.0 + sine.offset).sine_amplitude().min(f64::from(i16::MAX))
}

/// Long enough not to click, short enough for a digit of 40 ms.
const RAMP: Duration = Duration::from_millis(4);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal;

    fn made(tone: Tone, rate: SampleRate, samples: usize) -> Vec<i16> {
        // In pieces that fit nothing, as a reader might ask.
        let mut generator = ToneGenerator::new(tone, rate);
        let mut pcm = vec![1; samples];
        for piece in pcm.chunks_mut(37) {
            generator.fill(piece);
        }
        pcm
    }

    #[test]
    fn a_test_tone_has_its_frequency_and_level_at_every_rate() {
        for rate in SampleRate::ALL {
            let pcm = made(Tone::sine(1_004.0).at_level(Dbfs(-20.0)), rate, rate.hertz() as usize);
            assert!((signal::dominant_frequency(&pcm, rate) - 1_004.0).abs() < 0.05);
            assert!((signal::level_at(&pcm, rate, 1_004.0).0 + 20.0).abs() < 0.02);
            assert!(signal::tone_to_rest(&pcm, rate, &[1_004.0]) > 60.0);
        }
    }

    #[test]
    fn steps_keep_their_lengths_to_the_sample() {
        let rate = SampleRate::Narrow;
        let tone = Tone::once()
            .on(&[500.0], Duration::from_millis(100))
            .off(Duration::from_millis(60))
            .on(&[500.0], Duration::from_millis(40));
        assert_eq!(tone.length(), Some(Duration::from_millis(200)));
        let mut generator = ToneGenerator::new(tone, rate);
        let mut pcm = vec![9; 2_000];
        assert_eq!(generator.fill(&mut pcm), 1_600);
        assert!(generator.is_over());
        assert_eq!(generator.fill(&mut pcm[1_600..]), 0);
        assert_eq!(signal::loud_ranges(&pcm, rate, Dbfs(-40.0)), [0..800, 1_280..1_600]);
        assert!(pcm[800..1_280].iter().all(|&sample| sample == 0));
    }

    #[test]
    fn nothing_clicks_where_tones_begin_change_and_end() {
        let rate = SampleRate::Full;
        let pcm = made(Tone::hang_up(), rate, rate.samples_in(Duration::from_millis(400)));
        // The steepest slope of 400 and 800 Hz together at this level.
        let slope = Dbfs(-16.0).sine_amplitude() * TAU * (400.0 + 800.0) / f64::from(rate.hertz());
        assert!(f64::from(signal::largest_step(&pcm)) < slope * 1.05, "{} {slope}", signal::largest_step(&pcm));
        // And no energy far from the tones.
        assert!(signal::level_at(&pcm, rate, 4_000.0).0 < -75.0);
    }

    #[test]
    fn a_pattern_repeats_as_often_as_it_says() {
        let rate = SampleRate::Narrow;
        let beep = Tone::once().on(&[600.0], Duration::from_millis(40)).off(Duration::from_millis(60));
        let thrice = made(beep.clone().repeat(Repeat::Times(3)), rate, 8_000);
        assert_eq!(signal::loud_ranges(&thrice, rate, Dbfs(-40.0)).len(), 3);
        let always = made(beep.clone().repeat(Repeat::Forever), rate, 8_000);
        assert_eq!(signal::loud_ranges(&always, rate, Dbfs(-40.0)).len(), 10);
        let never = made(beep.repeat(Repeat::Times(0)), rate, 800);
        assert!(never.iter().all(|&sample| sample == 0));
    }

    #[test]
    fn a_tone_of_empty_steps_is_over_at_once() {
        let mut generator = ToneGenerator::new(Tone::forever().off(Duration::ZERO), SampleRate::Narrow);
        assert_eq!(generator.fill(&mut [5; 160]), 0);
        assert!(ToneGenerator::new(Tone::once(), SampleRate::Narrow).is_over());
        assert!(!ToneGenerator::new(Tone::silence(), SampleRate::Narrow).is_over());
        assert_eq!(Tone::silence().length(), None);
    }

    #[test]
    fn an_hour_later_the_level_is_the_same() {
        let rate = SampleRate::Narrow;
        let mut generator = ToneGenerator::new(Tone::sine(425.0), rate);
        let mut pcm = vec![0; 8_000];
        for _ in 0..3_600 {
            generator.fill(&mut pcm);
        }
        assert!((signal::rms(&pcm).0 + 16.0).abs() < 0.01);
    }
}
