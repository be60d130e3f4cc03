//! Linear audio as it goes from codec to bridge to device: 16-bit samples of one channel, in ticks of 20 ms.

use std::time::Duration;

/// How often bridges mix and devices are asked: the packet time of nearly every call, too (RFC 3551 §4.2).
pub const TICK: Duration = Duration::from_millis(20);

/// Samples per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SampleRate {
    /// 8,000: the telephone's band.
    Narrow,
    /// 16,000: wideband.
    #[default]
    Wide,
    /// 32,000: super-wideband.
    SuperWide,
    /// 48,000: fullband.
    Full,
}

impl SampleRate {
    /// All, the lowest first.
    pub const ALL: [SampleRate; 4] = [SampleRate::Narrow, SampleRate::Wide, SampleRate::SuperWide, SampleRate::Full];

    /// In samples per second.
    pub const fn hertz(self) -> u32 {
        match self {
            SampleRate::Narrow => 8_000,
            SampleRate::Wide => 16_000,
            SampleRate::SuperWide => 32_000,
            SampleRate::Full => 48_000,
        }
    }

    /// The rate of so many samples per second.
    pub fn from_hertz(hertz: u32) -> Option<SampleRate> {
        SampleRate::ALL.into_iter().find(|rate| rate.hertz() == hertz)
    }

    /// Samples in one [`TICK`].
    pub const fn samples_per_tick(self) -> usize {
        (self.hertz() / 50) as usize
    }

    /// Samples in a span, rounded down.
    pub fn samples_in(self, span: Duration) -> usize {
        usize::try_from(u128::from(self.hertz()) * span.as_micros() / 1_000_000).unwrap_or(usize::MAX)
    }

    /// How long so many samples last.
    pub fn duration_of(self, samples: usize) -> Duration {
        Duration::from_micros(samples as u64 * 1_000_000 / u64::from(self.hertz()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_fifty_times_a_second_at_every_rate() {
        for rate in SampleRate::ALL {
            assert_eq!(rate.samples_per_tick() * 50, rate.hertz() as usize);
            assert_eq!(rate.samples_in(TICK), rate.samples_per_tick());
            assert_eq!(rate.duration_of(rate.samples_per_tick()), TICK);
        }
    }
}
