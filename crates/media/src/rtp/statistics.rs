//! How a stream is doing, in numbers: put together from the parts that count.

use super::{Impairment, Rating, RtpReceiver, RtpSender};
use crate::jitter::JitterBuffer;
use crate::rtcp::{RtcpSession, VoipMetrics};
use std::time::Duration;

/// The delay of a call that the network and the jitter buffer don't account for: packetizing, coding, the devices at
/// both ends. An assumption for the rating.
const ENDS: Duration = Duration::from_millis(40);

/// The least and the greatest of a number over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range<T> {
    extremes: Option<(T, T)>,
}

/// A stream's numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Packets sent.
    pub packets_sent: u64,
    /// Octets of payload sent.
    pub octets_sent: u64,
    /// Packets received from the peer.
    pub packets_received: u64,
    /// Octets of payload received from the peer.
    pub octets_received: u64,
    /// Packets received that are not the peer's.
    pub refused: u64,
    /// Packets that the network lost.
    pub lost: u64,
    /// The part lost between the last two reports, 0 to 1; of all, before the first report.
    pub fraction_lost: f32,
    /// The same, at its best and its worst.
    pub fraction_lost_range: Range<f32>,
    /// Packets that came after they should have been played.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets that the jitter buffer threw away or skipped to keep its bounds.
    pub discarded: u64,
    /// How unevenly packets come (RFC 3550 §6.4.1).
    pub jitter: Duration,
    /// The same, at its best and its worst.
    pub jitter_range: Range<Duration>,
    /// How long the jitter buffer holds packets back.
    pub buffered: Duration,
    /// To the peer and back, if reports tell.
    pub round_trip: Option<Duration>,
    /// The same, at its best and its worst.
    pub round_trip_range: Range<Duration>,
    /// What the peer reports of our packets: the part lost lately, 0 to 1.
    pub remote_fraction_lost: Option<f32>,
    /// What the peer reports of our packets: all lost.
    pub remote_lost: Option<u64>,
    /// What the peer reports of our packets: how unevenly they come.
    pub remote_jitter: Option<Duration>,
    /// What the peer tells in extended reports (RFC 3611 §4.7).
    pub remote_metrics: Option<VoipMetrics>,
    /// How good the call is for us now.
    pub rating: Rating,
    /// How good it was in the worst interval between two reports.
    pub worst_rating: Rating,
}

impl Statistics {
    /// Asks everybody.
    pub fn gather(
        sender: &RtpSender,
        receiver: &RtpReceiver,
        reports: &RtcpSession,
        buffer: &JitterBuffer,
        codec: Impairment,
    ) -> Statistics {
        let held = buffer.statistics();
        let lost = u64::try_from(receiver.lost()).unwrap_or(0);
        let overall = part(lost, lost + receiver.packets());
        let fraction_lost = receiver.interval().map_or(overall, |interval| interval.fraction());
        let late = part(held.late, receiver.packets());
        let one_way = |round_trip: Option<Duration>| round_trip.unwrap_or_default() / 2 + buffer.delay() + ENDS;
        let worst_loss = receiver.loss_range().greatest().unwrap_or(0.0).max(fraction_lost);
        let rated = |round_trip, loss: f32| Rating::of(one_way(round_trip), loss + late, codec);
        let remote = reports.remote();
        Statistics {
            packets_sent: sender.packets(),
            octets_sent: sender.octets(),
            packets_received: receiver.packets(),
            octets_received: receiver.octets(),
            refused: receiver.refused(),
            lost,
            fraction_lost,
            fraction_lost_range: receiver.loss_range(),
            late: held.late,
            duplicates: held.duplicates,
            discarded: held.discarded + held.skipped,
            jitter: receiver.jitter(),
            jitter_range: receiver.jitter_range(),
            buffered: buffer.delay(),
            round_trip: reports.round_trip(),
            round_trip_range: reports.round_trip_range(),
            remote_fraction_lost: remote.map(|block| f32::from(block.fraction_lost) / 256.0),
            remote_lost: remote.map(|block| u64::try_from(block.cumulative_lost).unwrap_or(0)),
            remote_jitter: remote.map(|block| sender.clock().duration(u64::from(block.jitter))),
            remote_metrics: reports.remote_metrics(),
            rating: rated(reports.round_trip(), fraction_lost),
            worst_rating: rated(reports.round_trip_range().greatest(), worst_loss),
        }
    }
}

impl<T: Copy + PartialOrd> Range<T> {
    /// Takes note of a value.
    pub fn note(&mut self, value: T) {
        let (least, greatest) = self.extremes.unwrap_or((value, value));
        self.extremes =
            Some((if value < least { value } else { least }, if value > greatest { value } else { greatest }));
    }

    /// The least value, if there was any.
    pub fn least(&self) -> Option<T> {
        self.extremes.map(|(least, _)| least)
    }

    /// The greatest value, if there was any.
    pub fn greatest(&self) -> Option<T> {
        self.extremes.map(|(_, greatest)| greatest)
    }
}

impl<T> Default for Range<T> {
    fn default() -> Range<T> {
        Range { extremes: None }
    }
}

fn part(count: u64, of: u64) -> f32 {
    if of == 0 { 0.0 } else { (count as f32 / of as f32).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_seen_nothing_then_one_value_then_both_ends() {
        let mut range = Range::default();
        assert_eq!((range.least(), range.greatest()), (None, None));
        range.note(5);
        assert_eq!((range.least(), range.greatest()), (Some(5), Some(5)));
        for value in [3, 9, 4] {
            range.note(value);
        }
        assert_eq!((range.least(), range.greatest()), (Some(3), Some(9)));
    }
}
