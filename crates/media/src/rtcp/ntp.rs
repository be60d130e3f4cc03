//! Wall-clock time as reports tell it (RFC 3550 §4).

use std::time::{Duration, Instant};

/// From 1900, where NTP counts from, to 1970.
const TO_UNIX_EPOCH: Duration = Duration::from_secs(2_208_988_800);

/// Seconds since 1900 with 32 binary places. Rolls over in 2036, which hurts nobody who only compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NtpTime(pub u64);

/// Tells the wall-clock time of instants, by knowing it of one.
#[derive(Clone, Copy, Debug)]
pub struct NtpClock {
    instant: Instant,
    since_1900: Duration,
}

impl NtpClock {
    /// A clock that showed so much time since 1970-01-01T00:00Z at an instant.
    pub fn new(at: Instant, since_unix_epoch: Duration) -> NtpClock {
        NtpClock { instant: at, since_1900: since_unix_epoch.saturating_add(TO_UNIX_EPOCH) }
    }

    /// What it shows at another instant.
    pub fn at(&self, now: Instant) -> NtpTime {
        let time = self.since_1900.saturating_add(now.saturating_duration_since(self.instant));
        let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
        NtpTime((time.as_secs() & 0xffff_ffff) << 32 | fraction)
    }
}

impl NtpTime {
    /// The middle 32 bits, which report blocks return: units of 1/65536 s (§4).
    pub fn middle(self) -> u32 {
        (self.0 >> 16 & 0xffff_ffff) as u32
    }
}

/// A span in units of 1/65536 s, as report blocks count.
pub(crate) fn compact(span: Duration) -> u32 {
    u32::try_from(span.as_nanos() * 65_536 / 1_000_000_000).unwrap_or(u32::MAX)
}

/// The span of so many 1/65536 s.
pub(crate) fn span(compact: u32) -> Duration {
    Duration::from_nanos(u64::from(compact) * 1_000_000_000 / 65_536)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unix_epoch_is_2208988800_seconds_after_ntps() {
        let now = Instant::now();
        let clock = NtpClock::new(now, Duration::ZERO);
        assert_eq!(clock.at(now), NtpTime(2_208_988_800 << 32));
        assert_eq!(clock.at(now + Duration::from_millis(1_500)), NtpTime(2_208_988_801 << 32 | 1 << 31));
        assert_eq!(clock.at(now).middle(), (2_208_988_800_u64 & 0xffff) as u32 * 65_536);
    }

    #[test]
    fn the_clock_rolls_over_in_2036() {
        let now = Instant::now();
        let clock = NtpClock::new(now, Duration::from_secs((1 << 32) - 2_208_988_800));
        assert_eq!(clock.at(now), NtpTime(0));
    }

    #[test]
    fn a_span_comes_back_to_within_one_unit() {
        for milliseconds in [0, 1, 20, 999, 5_000, 65_000] {
            let there = Duration::from_millis(milliseconds);
            assert!(there - span(compact(there)) < Duration::from_micros(16));
        }
        assert_eq!(compact(Duration::from_secs(1 << 20)), u32::MAX);
    }
}
