//! What to play for a packet that is missing, for codecs that carry the waveform: the last pitch periods again, fading
//! to silence. In the spirit of G.711 Appendix I, without its delay of 3.75 ms.
//!
//! ```text
//!   heard ───────────────┐ lost ──────────────────────────┐ heard again
//!        │ period│ period│ period│ period│ two periods │ … │
//!   gain 1 ──────────────┼─ 1, 10 ms ─╲______ 0 at 60 ms   │
//!                        └─ the step at the seam fades     └─ cross-fade, the longer the longer the loss
//! ```

use crate::pcm::SampleRate;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Pitches from 66 to 400 Hz are repeated as they are; of faster ones several periods.
const LONGEST_PERIOD: Duration = Duration::from_micros(15_000);
const SHORTEST_PERIOD: Duration = Duration::from_micros(2_500);
/// Over how much the last samples are compared with earlier ones.
const COMPARED: Duration = Duration::from_millis(10);
/// How long the fill is as loud as what was heard, and when it is silent.
const LOUD: Duration = Duration::from_millis(10);
const SILENT: Duration = Duration::from_millis(60);
/// The step at the seam is gone after this.
const SEAM: Duration = Duration::from_micros(2_500);
/// The cross-fade after a loss of one packet; and at most.
const SHORTEST_FADE: Duration = Duration::from_millis(4);
const LONGEST_FADE: Duration = Duration::from_millis(10);

/// Less alike than this, and there is no pitch to repeat: the longest piece is the least tonal.
const ALIKE: f64 = 0.3;

/// Fills gaps in one stream of audio. What is heard passes through [`heard`](Concealment::heard) in order.
#[derive(Clone, Debug)]
pub struct Concealment {
    rate: SampleRate,
    /// The last samples heard, the newest last; of fixed length.
    history: Vec<i16>,
    gap: Option<Gap>,
    /// What is repeated in a gap: up to three periods, whose end runs into their beginning.
    wave: Vec<i16>,
    scratch: Vec<i16>,
}

/// A gap that is being filled.
#[derive(Clone, Copy, Debug)]
struct Gap {
    /// The pitch period, in samples.
    period: usize,
    /// Where in the wave.
    position: usize,
    /// Samples so far.
    filled: usize,
    /// From where the wave would have gone on, up to the last sample heard.
    step: i32,
}

impl Concealment {
    /// For a stream of this rate.
    pub fn new(rate: SampleRate) -> Concealment {
        // The longest wave is three periods and a quarter before them; what is compared and a period before it is less.
        let history = vec![0; rate.samples_in(LONGEST_PERIOD) * 4];
        Concealment { rate, history, gap: None, wave: Vec::new(), scratch: Vec::new() }
    }

    /// Takes what was decoded and will be played next. After a gap its beginning is mixed with the fill's end.
    pub fn heard(&mut self, pcm: &mut [i16]) {
        if self.gap.is_some() {
            self.fade_over(pcm);
        }
        let kept = self.history.len();
        match pcm.len().checked_sub(kept) {
            Some(older) => self.history.copy_from_slice(&pcm[older..]),
            None => {
                self.history.copy_within(pcm.len().., 0);
                self.history[kept - pcm.len()..].copy_from_slice(pcm);
            }
        }
    }

    /// Appends so many samples of what might have come.
    pub fn fill(&mut self, samples: usize, pcm: &mut Vec<i16>) {
        let mut gap = match self.gap {
            Some(gap) => gap,
            None => self.begin(),
        };
        let (loud, silent) = (self.rate.samples_in(LOUD), self.rate.samples_in(SILENT));
        let end = pcm.len() + samples;
        while pcm.len() < end && gap.filled < silent {
            // The same period over and over would hum: after 10 ms there are two in the wave, after 20 ms three.
            if gap.filled == loud || gap.filled == 2 * loud {
                self.lengthen(&mut gap);
            }
            pcm.push(self.next(&mut gap));
        }
        pcm.resize(end, 0);
        self.gap = Some(gap);
    }

    fn begin(&mut self) -> Gap {
        let period = self.period();
        let newest = self.history.len() - 1;
        let step = i32::from(self.history[newest]) - i32::from(self.history[newest - period]);
        self.wave.clear();
        let mut gap = Gap { period, position: 0, filled: 0, step };
        self.lengthen(&mut gap);
        gap.position = 0;
        gap
    }

    /// Takes one more of the last periods into the wave and stays at the same place of the last one.
    fn lengthen(&mut self, gap: &mut Gap) {
        let length = self.wave.len() + gap.period;
        let start = self.history.len() - length;
        self.wave.clear();
        self.wave.extend_from_slice(&self.history[start..]);
        // Its last quarter of a period becomes, bit by bit, what came before its beginning, so that it can start over.
        let overlap = gap.period / 4;
        let tail = &mut self.wave[length - overlap..];
        for (index, (own, &earlier)) in tail.iter_mut().zip(&self.history[start - overlap..start]).enumerate() {
            *own = mixed(*own, earlier, index + 1, overlap);
        }
        gap.position += gap.period;
    }

    /// The wave's next sample, corrected for the seam and faded.
    fn next(&self, gap: &mut Gap) -> i16 {
        let (seam, loud, silent) =
            (self.rate.samples_in(SEAM), self.rate.samples_in(LOUD), self.rate.samples_in(SILENT));
        gap.position %= self.wave.len();
        let mut sample = i32::from(self.wave[gap.position]);
        if gap.filled < seam {
            sample += gap.step * (seam - gap.filled) as i32 / seam as i32;
        }
        if gap.filled > loud {
            sample = sample * (silent - gap.filled) as i32 / (silent - loud) as i32;
        }
        gap.position += 1;
        gap.filled += 1;
        saturate(sample)
    }

    /// The distance at which the last 10 ms resemble what came before them most, in samples.
    fn period(&mut self) -> usize {
        let range = |rate: SampleRate| (rate.samples_in(SHORTEST_PERIOD), rate.samples_in(LONGEST_PERIOD));
        // First at 8,000 samples per second, where it is cheap.
        let narrow = SampleRate::Narrow;
        let coarse = (self.rate.hertz() / narrow.hertz()) as usize;
        self.scratch.clear();
        self.scratch.extend(self.history.chunks_exact(coarse).map(mean));
        let (shortest, longest) = range(narrow);
        let found = most_alike(&self.scratch, narrow.samples_in(COMPARED), shortest..=longest);
        let (shortest, longest) = range(self.rate);
        match found {
            None => longest,
            Some(period) if coarse == 1 => period,
            // Then to the sample.
            Some(period) => {
                let near = (period - 1) * coarse..=(period + 1) * coarse;
                let near = shortest.max(*near.start())..=longest.min(*near.end());
                most_alike(&self.history, self.rate.samples_in(COMPARED), near).unwrap_or(period * coarse)
            }
        }
    }

    /// Mixes the fill's continuation into the beginning of what is heard again, and ends the gap.
    fn fade_over(&mut self, pcm: &mut [i16]) {
        let lost = self.gap.map_or(Duration::ZERO, |gap| self.rate.duration_of(gap.filled));
        // 4 ms and 0.4 ms for each millisecond lost, up to 10 (Appendix I has the same slope).
        let fade = (SHORTEST_FADE + lost * 4 / 10).min(LONGEST_FADE);
        let length = self.rate.samples_in(fade).min(pcm.len());
        let mut continued = std::mem::take(&mut self.scratch);
        continued.clear();
        self.fill(length, &mut continued);
        for (index, (heard, &continued)) in pcm.iter_mut().zip(&continued).enumerate() {
            *heard = mixed(continued, *heard, index + 1, length + 1);
        }
        self.scratch = continued;
        self.gap = None;
    }
}

/// The distance, of these, at which the last `compared` samples are most like earlier ones, if they are at all.
fn most_alike(pcm: &[i16], compared: usize, distances: RangeInclusive<usize>) -> Option<usize> {
    let start = pcm.len() - compared;
    let last = &pcm[start..];
    let own = product(last, last);
    let alike = |distance: usize| {
        let earlier = &pcm[start - distance..pcm.len() - distance];
        let energies = own * product(earlier, earlier);
        if energies > 0.0 { product(last, earlier) / energies.sqrt() } else { 0.0 }
    };
    let (likeness, distance) =
        distances.map(|distance| (alike(distance), distance)).max_by(|(left, _), (right, _)| left.total_cmp(right))?;
    (likeness > ALIKE).then_some(distance)
}

fn product(left: &[i16], right: &[i16]) -> f64 {
    left.iter().zip(right).map(|(&left, &right)| i64::from(i32::from(left) * i32::from(right))).sum::<i64>() as f64
}

fn mean(samples: &[i16]) -> i16 {
    (samples.iter().map(|&sample| i32::from(sample)).sum::<i32>() / samples.len() as i32) as i16
}

/// From `start` to `end`, at `part` of `whole`.
fn mixed(start: i16, end: i16, part: usize, whole: usize) -> i16 {
    let (part, whole) = (part as i32, whole as i32);
    ((i32::from(end) * part + i32::from(start) * (whole - part)) / whole) as i16
}

fn saturate(sample: i32) -> i16 {
    sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn sine(rate: SampleRate, hertz: f64, samples: usize) -> Vec<i16> {
        let sample = |n: usize| ((n as f64 * hertz * TAU / f64::from(rate.hertz())).sin() * 8_000.0) as i16;
        (0..samples).map(sample).collect()
    }

    #[test]
    fn a_hum_goes_on_through_a_short_gap_without_a_step() {
        for rate in SampleRate::ALL {
            let tick = rate.samples_per_tick();
            let original = sine(rate, 150.0, 8 * tick);
            let mut concealment = Concealment::new(rate);
            let mut played = original.clone();
            concealment.heard(&mut played[..5 * tick]);
            let mut fill = Vec::new();
            concealment.fill(tick, &mut fill);
            played[5 * tick..6 * tick].copy_from_slice(&fill);
            concealment.heard(&mut played[6 * tick..]);

            // The largest step of a sine is its amplitude times the angle of a sample.
            let largest = played.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap();
            let usual = 8_000.0 * TAU * 150.0 / f64::from(rate.hertz());
            assert!(f64::from(largest) < usual * 1.3, "{rate:?}: a step of {largest}, usually {usual:.0}");
            // The first 10 ms are as loud, and nearly the same.
            let first = 5 * tick..5 * tick + tick / 2;
            let error = product_of_difference(&played[first.clone()], &original[first.clone()]);
            assert!(error < product(&original[first.clone()], &original[first]) * 0.01, "{rate:?}");
        }
    }

    fn product_of_difference(left: &[i16], right: &[i16]) -> f64 {
        left.iter().zip(right).map(|(&l, &r)| f64::from(i32::from(l) - i32::from(r)).powi(2)).sum()
    }

    #[test]
    fn after_60_ms_there_is_silence() {
        let rate = SampleRate::Narrow;
        let mut concealment = Concealment::new(rate);
        concealment.heard(&mut sine(rate, 200.0, 800));
        let mut fill = Vec::new();
        for _ in 0..50 {
            concealment.fill(160, &mut fill);
        }
        assert_eq!(fill.len(), 50 * 160);
        assert!(fill[400..470].iter().any(|&sample| sample.abs() > 300));
        assert!(fill[480..].iter().all(|&sample| sample == 0));
    }

    #[test]
    fn before_anything_was_heard_the_fill_is_silence() {
        let mut fill = Vec::new();
        Concealment::new(SampleRate::Full).fill(960, &mut fill);
        assert_eq!(fill, [0; 960]);
    }

    #[test]
    fn gaps_and_packets_of_any_length_keep_the_count() {
        let rate = SampleRate::Wide;
        let mut concealment = Concealment::new(rate);
        let pcm = sine(rate, 333.0, 5_000);
        for length in [1, 0, 7, 160, 4_999, 3, 320] {
            concealment.heard(&mut pcm[..length].to_vec());
            let mut fill = vec![1, 2, 3];
            concealment.fill(length, &mut fill);
            assert_eq!(fill.len(), 3 + length);
        }
    }
}
