//! How loud it is: levels in dBFS and a meter for a live screen.

use crate::pcm::SampleRate;
use std::fmt;

/// A level in decibels below full scale: 0 is the mean square of a square wave of full amplitude (the dBov of RFC 6464),
/// so that a sine of full amplitude has -3.01. In G.711, 0 dBm0 is about -6.2 here (ITU-T G.711 table 5: a full sine is
/// 3.14 to 3.17 dBm0).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Dbfs(pub f64);

impl Dbfs {
    /// What digital silence is said to be, less than any 16-bit audio can have.
    pub const SILENCE: Dbfs = Dbfs(-100.0);

    /// Of so large a sample (32,768 is full scale).
    pub fn of_amplitude(amplitude: f64) -> Dbfs {
        Dbfs::of_mean_square(amplitude * amplitude)
    }

    /// Of so large a mean square.
    pub fn of_mean_square(mean_square: f64) -> Dbfs {
        let level = 10.0 * (mean_square / (FULL_SCALE * FULL_SCALE)).log10();
        Dbfs(level.max(Dbfs::SILENCE.0))
    }

    /// Of so many dBm0, the telephone network's level, through G.711.
    pub fn of_dbm0(dbm0: f64) -> Dbfs {
        Dbfs(dbm0 - 6.18)
    }

    /// The mean square of samples of this level.
    pub fn mean_square(self) -> f64 {
        FULL_SCALE * FULL_SCALE * 10f64.powf(self.0 / 10.0)
    }

    /// The amplitude of a sine whose root mean square has this level.
    pub fn sine_amplitude(self) -> f64 {
        (2.0 * self.mean_square()).sqrt()
    }
}

impl fmt::Display for Dbfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} dBFS", self.0)
    }
}

/// What a meter shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The power lately heard.
    pub rms: Dbfs,
    /// The largest sample lately heard.
    pub peak: Dbfs,
}

impl Level {
    /// Nothing heard.
    pub const SILENCE: Level = Level { rms: Dbfs::SILENCE, peak: Dbfs::SILENCE };
}

/// A meter as a live screen wants it: up at once, down by 24 dB a second (the peak by 12), so that an eye can follow.
///
/// Costs one pass over the samples; logarithms are taken only when someone looks.
#[derive(Clone, Debug)]
pub struct LevelMeter {
    rms_fall: f64,
    peak_fall: f64,
    mean_square: f64,
    peak_square: f64,
}

impl LevelMeter {
    /// One that shows silence.
    pub fn new(rate: SampleRate) -> LevelMeter {
        let seconds = 1.0 / f64::from(rate.hertz());
        LevelMeter {
            rms_fall: -RMS_FALL * seconds / 10.0 * std::f64::consts::LOG2_10,
            peak_fall: -PEAK_FALL * seconds / 10.0 * std::f64::consts::LOG2_10,
            mean_square: 0.0,
            peak_square: 0.0,
        }
    }

    /// Hears the next piece, a tick for example.
    pub fn push(&mut self, pcm: &[i16]) {
        if pcm.is_empty() {
            return;
        }
        let (mut sum, mut largest) = (0u64, 0u16);
        for &sample in pcm {
            let size = sample.unsigned_abs();
            sum += u64::from(u32::from(size) * u32::from(size));
            largest = largest.max(size);
        }
        self.pass(pcm.len());
        self.mean_square = self.mean_square.max(sum as f64 / pcm.len() as f64);
        self.peak_square = self.peak_square.max(f64::from(largest).powi(2));
    }

    /// So many samples passed with nothing to hear.
    pub fn pass(&mut self, samples: usize) {
        if self.peak_square > 0.0 {
            self.mean_square *= (self.rms_fall * samples as f64).exp2();
            self.peak_square *= (self.peak_fall * samples as f64).exp2();
            // Half a sample: nothing that a 16-bit sample could have been.
            if self.peak_square < 0.25 {
                (self.mean_square, self.peak_square) = (0.0, 0.0);
            }
        }
    }

    /// What the meter shows now.
    pub fn level(&self) -> Level {
        Level { rms: Dbfs::of_mean_square(self.mean_square), peak: Dbfs::of_mean_square(self.peak_square) }
    }
}

const FULL_SCALE: f64 = 32_768.0;
/// In dB per second.
const RMS_FALL: f64 = 24.0;
const PEAK_FALL: f64 = 12.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_wave_of_full_scale_is_zero_and_silence_is_the_floor() {
        let mut meter = LevelMeter::new(SampleRate::Narrow);
        assert_eq!(meter.level(), Level::SILENCE);
        meter.push(&[i16::MIN; 160]);
        assert_eq!(meter.level().rms, Dbfs(0.0));
        assert_eq!(meter.level().peak, Dbfs(0.0));
    }

    #[test]
    fn the_meter_rises_at_once_and_falls_by_24_decibels_a_second_at_every_rate() {
        for rate in SampleRate::ALL {
            let mut meter = LevelMeter::new(rate);
            meter.push(&vec![1_000; rate.samples_per_tick()]);
            let before = meter.level();
            assert!((before.rms.0 - Dbfs::of_amplitude(1_000.0).0).abs() < 0.01);
            for _ in 0..25 {
                meter.push(&vec![0; rate.samples_per_tick()]);
            }
            meter.pass(rate.hertz() as usize / 2);
            let after = meter.level();
            assert!((before.rms.0 - after.rms.0 - 24.0).abs() < 0.1, "{before:?} {after:?}");
            assert!((before.peak.0 - after.peak.0 - 12.0).abs() < 0.1, "{before:?} {after:?}");
        }
    }

    #[test]
    fn levels_and_amplitudes_are_each_other_s_inverse() {
        assert!((Dbfs::of_mean_square(Dbfs(-37.5).mean_square()).0 + 37.5).abs() < 1e-9);
        assert!((Dbfs(-3.01).sine_amplitude() - 32_768.0).abs() < 5.0);
        assert_eq!(Dbfs(-3.01).to_string(), "-3.0 dBFS");
    }
}
