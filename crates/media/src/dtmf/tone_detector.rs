//! Digits by their tones in the audio: ITU-T Q.23 for the tones, ITU-T Q.24 for what a receiver takes for one.
//!
//! ```text
//!   audio ─► to 8 kHz ─► every 5 ms, the last 25.6 ms under a Hann window ─► eight Goertzel filters
//!                                                                               │
//!     one press ◄─ five times in a row, until it is missing as often ◄─ this is a digit:
//!                                                                    loud enough, two tones and little else,
//!                                                                    twist, frequencies, steadiness
//! ```
//!
//! How far a tone is from its nominal frequency shows in how its phase turns from one look to the next, which is much
//! finer than the width of the filters. Since what lies outside the tones counts against them, a piece of a tone in the
//! window counts against itself: that is how the length is judged.
//!
//! Tones of 40 ms with pauses of 40 ms are heard, of 23 ms not; 1.5 % off frequency heard, 3.5 % not; from -30 dBm0 a tone
//! upwards; the higher one up to 4 dB above the lower one and up to 8 dB below. What the line does to dial tone is left to
//! the line.

use crate::pcm::SampleRate;
use crate::tone::telephone::{HIGH_FREQUENCIES, KEYPAD, LOW_FREQUENCIES};
use std::f32::consts::TAU;

/// Hears the keys that are pressed in a stream of audio.
#[derive(Clone, Debug)]
pub struct ToneDetector {
    decimator: Decimator,
    /// The last samples at 8 kHz, the oldest first.
    recent: Vec<f32>,
    /// Samples in `recent` that no look has seen yet.
    unseen: usize,
    window: Vec<f32>,
    /// What the filters gave at the last look.
    last: Option<[Bin; 8]>,
    press: Press,
}

impl ToneDetector {
    /// For audio at this rate.
    pub fn new(rate: SampleRate) -> ToneDetector {
        let hann = |n: usize| 0.5 - 0.5 * (TAU * (n as f32 + 0.5) / WINDOW as f32).cos();
        ToneDetector {
            decimator: Decimator::new(rate),
            recent: vec![0.0; WINDOW],
            unseen: 0,
            window: (0..WINDOW).map(hann).collect(),
            last: None,
            press: Press::default(),
        }
    }

    /// Hears the next samples, any number of them. Tells each press once, as soon as it is certain, as `0` to `9`, `*`,
    /// `#` or `A` to `D`.
    pub fn push(&mut self, pcm: &[i16], mut press: impl FnMut(char)) {
        for piece in pcm.chunks(PIECE) {
            self.decimator.push(piece, &mut self.recent);
            self.unseen = self.recent.len() - WINDOW;
            while self.unseen >= HOP {
                let start = self.recent.len() - WINDOW - self.unseen + HOP;
                let seen = self.look(start);
                if let Some(digit) = self.press.next(seen) {
                    press(digit);
                }
                self.unseen -= HOP;
            }
            let passed = self.recent.len() - WINDOW - self.unseen;
            self.recent.drain(..passed);
        }
    }

    /// Which digit fills the window that begins here.
    fn look(&mut self, start: usize) -> Option<Seen> {
        let mut samples = [0.0; WINDOW];
        let (mut energy, mut weights) = (0.0, 0.0);
        for ((sample, &recent), &weight) in samples.iter_mut().zip(&self.recent[start..]).zip(&self.window) {
            *sample = recent * weight;
            energy += *sample * *sample;
            weights += weight * weight;
        }
        let power = energy / weights;
        if power < FAINTEST {
            self.last = None;
            return None;
        }
        let bins = goertzel(&samples);
        let last = self.last.replace(bins)?;
        judge(&bins, &last, power)
    }
}

/// A digit as one look saw it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    digit: char,
    /// How much of the power was in its tones.
    purity: f32,
    /// How far its tones were from their frequencies, as parts of them.
    deviations: [f32; 2],
}

/// What one look must show.
fn judge(bins: &[Bin; 8], last: &[Bin; 8], power: f32) -> Option<Seen> {
    let (row, column) = (loudest(&bins[..4]), loudest(&bins[4..]));
    let low = Tone::of(&bins[row], &last[row], LOW_FREQUENCIES[row] as f32);
    let high = Tone::of(&bins[4 + column], &last[4 + column], HIGH_FREQUENCIES[column] as f32);
    let purity = (low.power + high.power) / power;
    let twist = high.power / low.power;
    let is_digit = purity >= LEAST_PURITY
        && low.power >= FAINTEST
        && high.power >= FAINTEST
        && (LEAST_TWIST..=MOST_TWIST).contains(&twist)
        && low.deviation.abs() <= MOST_DEVIATION
        && high.deviation.abs() <= MOST_DEVIATION;
    let deviations = [low.deviation, high.deviation];
    is_digit.then_some(Seen { digit: KEYPAD[row][column], purity, deviations })
}

fn loudest(bins: &[Bin]) -> usize {
    let loudest = bins.iter().enumerate().max_by(|(_, one), (_, other)| one.power().total_cmp(&other.power()));
    loudest.map_or(0, |(index, _)| index)
}

/// What one filter found.
struct Tone {
    /// The mean square of the sine.
    power: f32,
    /// From its nominal frequency, as a part of it.
    deviation: f32,
}

impl Tone {
    fn of(bin: &Bin, last: &Bin, nominal: f32) -> Tone {
        let turned = bin.phase() - last.phase() - TAU * nominal / RATE * HOP as f32;
        let turned = turned - TAU * (turned / TAU).round();
        let hertz = turned / TAU * RATE / HOP as f32;
        // The filter hears a sine beside its middle less loud than it is. No further than where it cannot be one.
        let beside = (hertz.abs() / (RATE / WINDOW as f32)).min(0.9);
        let response = hann_response(beside);
        // The sum of a Hann window is half its length.
        let amplitude = 2.0 / (WINDOW as f32 / 2.0 * response);
        Tone { power: bin.power() * amplitude * amplitude / 2.0, deviation: hertz / nominal }
    }
}

/// How loud a sine is heard that lies so many filter widths beside the filter's middle.
fn hann_response(widths: f32) -> f32 {
    if widths < 1e-3 {
        return 1.0;
    }
    let x = widths * TAU / 2.0;
    x.sin() / x / (1.0 - widths * widths)
}

/// The output of one filter, turning with its frequency.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    real: f32,
    imaginary: f32,
}

impl Bin {
    fn power(&self) -> f32 {
        self.real * self.real + self.imaginary * self.imaginary
    }

    fn phase(&self) -> f32 {
        self.imaginary.atan2(self.real)
    }
}

/// Eight filters side by side, so that they run in the lanes of one register. The phase is that at the window's end.
fn goertzel(samples: &[f32; WINDOW]) -> [Bin; 8] {
    let turns: [f32; 8] = std::array::from_fn(|index| {
        let hertz = if index < 4 { LOW_FREQUENCIES[index] } else { HIGH_FREQUENCIES[index - 4] };
        TAU * hertz as f32 / RATE
    });
    let factors = turns.map(|turn| 2.0 * turn.cos());
    let (mut one, mut two) = ([0.0f32; 8], [0.0f32; 8]);
    for &sample in samples {
        for lane in 0..8 {
            let next = sample + factors[lane] * one[lane] - two[lane];
            two[lane] = one[lane];
            one[lane] = next;
        }
    }
    std::array::from_fn(|lane| Bin {
        real: one[lane] - turns[lane].cos() * two[lane],
        imaginary: turns[lane].sin() * two[lane],
    })
}

/// From looks to presses.
#[derive(Clone, Copy, Debug, Default)]
struct Press {
    /// What the last looks saw.
    run: Option<Run>,
    /// What is pressed and has been told.
    pressed: Option<char>,
    /// Looks since it was seen last.
    missing: u32,
}

/// Looks in a row that saw the same digit.
#[derive(Clone, Copy, Debug)]
struct Run {
    digit: char,
    looks: u32,
    /// Of the purest look.
    purity: f32,
    /// The least and the most of each tone.
    deviations: [(f32, f32); 2],
}

impl Press {
    /// Takes the next look; gives a digit when its press becomes certain.
    fn next(&mut self, seen: Option<Seen>) -> Option<char> {
        let digit = seen.map(|seen| seen.digit);
        self.missing = if digit.is_some() && digit == self.pressed { 0 } else { self.missing.saturating_add(1) };
        if self.missing >= LOOKS {
            self.pressed = None;
        }
        self.run = seen.map(|seen| match self.run {
            Some(run) if run.digit == seen.digit => run.with(seen),
            _ => Run::of(seen),
        });
        let run = self.run.filter(|run| self.pressed != Some(run.digit) && run.is_certain())?;
        self.pressed = Some(run.digit);
        self.missing = 0;
        Some(run.digit)
    }
}

impl Run {
    fn of(seen: Seen) -> Run {
        let Seen { digit, purity, deviations } = seen;
        Run { digit, looks: 1, purity, deviations: deviations.map(|deviation| (deviation, deviation)) }
    }

    fn with(self, seen: Seen) -> Run {
        let widen = |index: usize| {
            let ((least, most), deviation) = (self.deviations[index], seen.deviations[index]);
            (least.min(deviation), most.max(deviation))
        };
        Run {
            looks: self.looks.saturating_add(1),
            purity: self.purity.max(seen.purity),
            deviations: [widen(0), widen(1)],
            ..self
        }
    }

    /// Long enough, for a moment with next to nothing beside the tones, and steadier than a voice.
    fn is_certain(&self) -> bool {
        let is_steady = self.deviations.iter().all(|(least, most)| most - least <= MOST_GLIDE);
        self.looks >= LOOKS && self.purity >= BEST_PURITY && is_steady
    }
}

/// Down to 8 kHz: what would fold back onto the tones is 60 dB down.
#[derive(Clone, Debug)]
struct Decimator {
    factor: usize,
    filter: Vec<f32>,
    /// Samples that the filter still needs, the oldest first.
    history: Vec<f32>,
}

impl Decimator {
    fn new(rate: SampleRate) -> Decimator {
        let factor = (rate.hertz() / SampleRate::Narrow.hertz()) as usize;
        if factor == 1 {
            return Decimator { factor, filter: vec![1.0], history: Vec::new() };
        }
        let taps = 12 * factor + 1;
        let middle = (taps / 2) as f32;
        let cutoff = 3_900.0 / rate.hertz() as f32;
        let mut filter: Vec<f32> = (0..taps)
            .map(|tap| {
                let x = TAU * cutoff * (tap as f32 - middle);
                let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
                let turn = TAU * tap as f32 / (taps - 1) as f32;
                // Blackman's window.
                sinc * (0.42 - 0.5 * turn.cos() + 0.08 * (2.0 * turn).cos())
            })
            .collect();
        let sum: f32 = filter.iter().sum();
        filter.iter_mut().for_each(|weight| *weight /= sum);
        Decimator { factor, filter, history: vec![0.0; taps - 1] }
    }

    fn push(&mut self, pcm: &[i16], output: &mut Vec<f32>) {
        self.history.extend(pcm.iter().map(|&sample| f32::from(sample)));
        let mut start = 0;
        while start + self.filter.len() <= self.history.len() {
            let samples = &self.history[start..start + self.filter.len()];
            output.push(samples.iter().zip(&self.filter).map(|(sample, weight)| sample * weight).sum());
            start += self.factor;
        }
        self.history.drain(..start.min(self.history.len()));
    }
}

/// All is judged at 8 kHz.
const RATE: f32 = 8_000.0;

/// 25.6 ms: neighbouring rows, 73 Hz apart, are nearly two filter widths apart.
const WINDOW: usize = 205;

/// 5 ms: the phase shows deviations of up to 100 Hz.
const HOP: usize = 40;

/// A tone of 40 ms is seen six times, one of 23 ms at most four times; a pause of 40 ms nine times, one of 10 ms at most
/// three times.
const LOOKS: u32 = 5;

/// A sine of -32 dBm0: an amplitude of 560, its mean square.
const FAINTEST: f32 = 157_000.0;

/// Of all the power, in the two tones. A window that they fill to two thirds has 0.72.
const LEAST_PURITY: f32 = 0.72;
/// In the best look of a press. Noise 8 dB below the tones leaves so much, speech hardly ever does.
const BEST_PURITY: f32 = 0.87;

/// -9.5 and 5.5 dB: what is asked for, and something for the line's noise.
const LEAST_TWIST: f32 = 0.112;
const MOST_TWIST: f32 = 3.55;

/// Half way between 1.5 % and 3.5 %.
const MOST_DEVIATION: f32 = 0.025;

/// From look to look. Of a tone 1.5 % off, half shows while it fills the window, and the line adds noise.
const MOST_GLIDE: f32 = 0.015;

/// Bounds what is held at once, however much is pushed.
const PIECE: usize = 960;

#[cfg(test)]
mod tests;
