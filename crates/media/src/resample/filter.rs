//! The low-pass filter between two rates, cut into phases.

use std::f64::consts::PI;

/// Taps per phase at the lower rate: gives 70 dB over a transition of 0.27 of the band.
const TAPS: usize = 32;
/// Kaiser's window for 70 dB.
const BETA: f64 = 6.76;
/// Factors are 14 bits and a sign: the sum of their magnitudes stays below 4, so that no product overflows 32 bits.
const ONE: i32 = 1 << 14;
/// More phases than these are rounded to the nearest. 44,100 to 48,000 has 160, 11,025 to 48,000 has 640.
const MOST_PHASES: usize = 1_024;
/// Going down by more than this the filter would be too short.
const MOST_TAPS: usize = 32 * TAPS;

/// All phases of a filter.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// L and M.
    pub(super) up: usize,
    pub(super) down: usize,
    taps: usize,
    phases: usize,
    factors: Vec<i16>,
    /// The one tap of a phase that is 1 while all others are 0, for each phase.
    copies: Vec<Option<usize>>,
}

/// What one output is.
pub(super) enum Phase<'a> {
    /// The sample at this tap.
    Copy(usize),
    /// Their product with as many samples.
    Product(&'a [i16]),
}

impl Filter {
    pub(super) fn between(from: u32, to: u32) -> Filter {
        let divisor = greatest_common_divisor(from, to);
        let (up, down) = ((to / divisor) as usize, (from / divisor) as usize);
        let phases = up.min(MOST_PHASES);
        // Going down the filter is as long in seconds, hence longer in samples.
        let narrower = (down as f64 / up as f64).max(1.0);
        let taps = ((TAPS as f64 * narrower / 8.0).ceil() as usize * 8).min(MOST_TAPS);
        let mut filter = Filter { up, down, taps, phases, factors: Vec::new(), copies: Vec::new() };
        for phase in 0..phases {
            let factors = factors(taps, phase as f64 / phases as f64, narrower);
            let one = factors.iter().position(|&factor| i32::from(factor) == ONE);
            let alone = factors.iter().filter(|&&factor| factor != 0).count() == 1;
            filter.copies.push(one.filter(|_| alone));
            filter.factors.extend(factors);
        }
        filter
    }

    pub(super) fn taps(&self) -> usize {
        self.taps
    }

    /// Samples that must precede the first.
    pub(super) fn history(&self) -> usize {
        self.taps - 1
    }

    /// About how many outputs so many samples give.
    pub(super) fn outputs_of(&self, samples: usize) -> usize {
        (samples as u64 * self.up as u64 / self.down as u64) as usize + 1
    }

    /// The `index`-th of L phases.
    pub(super) fn phase(&self, index: usize) -> Phase<'_> {
        let phase =
            if self.phases == self.up { index } else { (index as u64 * self.phases as u64 / self.up as u64) as usize };
        match self.copies[phase] {
            Some(tap) => Phase::Copy(tap),
            None => Phase::Product(&self.factors[phase * self.taps..]),
        }
    }
}

/// Of samples and factors, rounded and saturated.
#[inline]
pub(super) fn product(samples: &[i16], factors: &[i16]) -> i16 {
    let sum: i32 = samples.iter().zip(factors).map(|(&s, &f)| i32::from(s) * i32::from(f)).sum();
    // Adding half cannot overflow: see `ONE`.
    ((sum + ONE / 2) >> 14).clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// The factors of the output that lies `fraction` of a sample behind the middle tap.
fn factors(taps: usize, fraction: f64, narrower: f64) -> Vec<i16> {
    let middle = (taps / 2 - 1) as f64;
    let half = taps as f64 / 2.0;
    let exact: Vec<f64> = (0..taps)
        .map(|tap| {
            let distance = tap as f64 - middle - fraction;
            sinc(distance / narrower) * kaiser(distance / half)
        })
        .collect();
    // Every phase passes a constant unchanged, or a constant would come out as a tone.
    let scale = f64::from(ONE) / exact.iter().sum::<f64>();
    let mut factors: Vec<i32> = exact.iter().map(|factor| (factor * scale).round() as i32).collect();
    let largest = (0..taps).max_by_key(|&tap| factors[tap]).unwrap_or(0);
    factors[largest] += ONE - factors.iter().sum::<i32>();
    factors.into_iter().map(|factor| factor as i16).collect()
}

fn sinc(x: f64) -> f64 {
    // Exactly one and exactly zero at whole numbers: those make phases that merely copy.
    match (x == 0.0, x.fract() == 0.0) {
        (true, _) => 1.0,
        (_, true) => 0.0,
        _ => (PI * x).sin() / (PI * x),
    }
}

/// Kaiser's window at -1 to 1.
fn kaiser(x: f64) -> f64 {
    if x.abs() > 1.0 { 0.0 } else { bessel(BETA * (1.0 - x * x).sqrt()) / bessel(BETA) }
}

/// The modified Bessel function of the first kind and order zero, by its power series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
