//! The unit of RTP timestamps (RFC 3550 §5.1, RFC 3551 §4).

use std::time::Duration;

/// How many units a stream's timestamps count in a second. Not always the rate of the samples: G.722 counts 8,000
/// (RFC 3551 §4.5.2), Opus always 48,000 (RFC 7587 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClockRate(u32);

impl ClockRate {
    /// 8,000: all of the telephone's codecs.
    pub const NARROW: ClockRate = ClockRate(8_000);
    /// 48,000: Opus.
    pub const FULL: ClockRate = ClockRate(48_000);

    /// The clock of an `a=rtpmap`, unless it stands still.
    pub const fn new(hertz: u32) -> Option<ClockRate> {
        if hertz == 0 { None } else { Some(ClockRate(hertz)) }
    }

    /// In units per second.
    pub const fn hertz(self) -> u32 {
        self.0
    }

    /// The whole units in a span.
    pub fn ticks(self, span: Duration) -> u64 {
        let ticks = span.as_nanos() * u128::from(self.0) / 1_000_000_000;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// The units nearest to a span, where the span was computed and has been rounded.
    pub fn nearest_ticks(self, span: Duration) -> u64 {
        let ticks = (span.as_nanos() * u128::from(self.0) + 500_000_000) / 1_000_000_000;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// How long so many units last.
    pub fn duration(self, ticks: u64) -> Duration {
        let rate = u64::from(self.0);
        let nanoseconds = (ticks % rate) * 1_000_000_000 / rate;
        Duration::new(ticks / rate, u32::try_from(nanoseconds).expect("a remainder is less than a second"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_milliseconds_are_160_units_of_the_telephones_clock_and_960_of_opus() {
        let frame = Duration::from_millis(20);
        assert_eq!(ClockRate::NARROW.ticks(frame), 160);
        assert_eq!(ClockRate::FULL.ticks(frame), 960);
        assert_eq!(ClockRate::NARROW.duration(160), frame);
        assert_eq!(ClockRate::FULL.duration(960), frame);
    }

    #[test]
    fn units_survive_the_way_to_a_duration_and_back_at_any_rate() {
        for hertz in [1, 7, 8_000, 11_025, 44_100, 48_000, 90_000, 1_000_000_000] {
            let clock = ClockRate::new(hertz).unwrap();
            for ticks in [0, 1, 2, 159, 441, 1_000_003, u64::from(u32::MAX), 1 << 40] {
                assert_eq!(clock.nearest_ticks(clock.duration(ticks)), ticks, "{ticks} at {hertz}");
            }
        }
        assert_eq!(ClockRate::new(0), None);
    }
}
