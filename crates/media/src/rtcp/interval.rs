//! How often to report (RFC 3550 §6.2, §6.3.1, Appendix A.7), for two parties. The factor by which §6.3.1 compensates
//! timer reconsideration is left out with the latter.

use crate::rtp::Random;
use std::time::Duration;

/// Of the session's bandwidth (§6.2).
const RTCP_SHARE: f64 = 0.05;
/// IPv4 and UDP, which count as well (§6.2).
const LOWER_LAYERS: usize = 28;
/// We and the peer.
const MEMBERS: f64 = 2.0;

/// Decides when the next report is due.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    minimum: Duration,
    /// In octets per second.
    bandwidth: f64,
    /// Of a compound packet, with lower layers.
    average_size: f64,
    initial: bool,
}

impl Schedule {
    /// For a session of so many bits per second each way.
    pub(crate) fn new(minimum: Duration, session_bits_per_second: u32, probable_size: usize) -> Schedule {
        Schedule {
            minimum,
            bandwidth: f64::from(session_bits_per_second.max(1)) * MEMBERS / 8.0 * RTCP_SHARE,
            average_size: (probable_size + LOWER_LAYERS) as f64,
            initial: true,
        }
    }

    /// A packet was received.
    pub(crate) fn received(&mut self, octets: usize) {
        self.average_size += ((octets + LOWER_LAYERS) as f64 - self.average_size) / 16.0;
    }

    /// A packet was sent.
    pub(crate) fn sent(&mut self, octets: usize) {
        self.received(octets);
        self.initial = false;
    }

    pub(crate) fn has_sent(&self) -> bool {
        !self.initial
    }

    /// From half to one and a half of the calculated interval, by chance. With two members, of which more than a
    /// quarter send, or none, both share all of the bandwidth.
    pub(crate) fn interval(&self, random: Random<'_>) -> Duration {
        let mut octets = [0; 4];
        random(&mut octets);
        let chance = f64::from(u32::from_be_bytes(octets)) / f64::from(u32::MAX);
        self.calculated().mul_f64(0.5 + chance)
    }

    /// Without chance: what time-outs are counted in (§6.3.5).
    pub(crate) fn calculated(&self) -> Duration {
        let minimum = if self.initial { self.minimum / 2 } else { self.minimum };
        // A day is as good as never, and no peer can push beyond it what Duration can hold.
        let wanted = (MEMBERS * self.average_size / self.bandwidth).min(86_400.0);
        minimum.max(Duration::from_secs_f64(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_chance(schedule: &Schedule, octet: u8) -> Duration {
        schedule.interval(&mut |octets| octets.fill(octet))
    }

    #[test]
    fn reports_come_each_five_seconds_give_or_take_half_and_the_first_one_in_half_the_time() {
        let mut schedule = Schedule::new(Duration::from_secs(5), 64_000, 100);
        assert_eq!(with_chance(&schedule, 0), Duration::from_millis(1_250));
        assert_eq!(with_chance(&schedule, 255), Duration::from_millis(3_750));
        schedule.sent(100);
        assert_eq!(with_chance(&schedule, 0), Duration::from_millis(2_500));
        assert_eq!(with_chance(&schedule, 255), Duration::from_millis(7_500));
    }

    #[test]
    fn where_the_session_is_thin_or_packets_are_great_reports_are_rarer() {
        let mut schedule = Schedule::new(Duration::from_secs(5), 1_000, 100);
        schedule.sent(100);
        // Two packets of 128 octets, at 12.5 octets per second.
        assert_eq!(schedule.calculated(), Duration::from_secs_f64(20.48));
        for _ in 0..1_000 {
            schedule.received(65_507);
        }
        assert!(schedule.calculated() > Duration::from_secs(3_600));
        assert!(Schedule::new(Duration::ZERO, 0, usize::MAX - 28).calculated() <= Duration::from_secs(86_400));
    }
}
