//! What is remembered of one source that we hear: whether its sequence numbers make sense (RFC 3550 Appendix A.1), how
//! many of its packets are lost (A.3), and how unevenly they come (A.8).
//!
//! ```text
//!                 MIN_SEQUENTIAL packets in a row
//!   ┌───────────┐ ───────────────────────────────► ┌───────┐ ◄─┐ in order, a gap below MAX_DROPOUT,
//!   │ probation │                                  │ valid │ ──┘ or at most MAX_MISORDER behind
//!   └───────────┘ ◄─┐ any gap                      └───────┘
//!          └────────┘                                │   ▲
//!                                       far from the │   │ the next one follows it: the source has
//!                                           last one ▼   │ started anew, and so do the counts
//!                                              ┌──────────────┐
//!                                              │ one bad jump │
//!                                              └──────────────┘
//! ```

use super::{ClockRate, Range, RtpPacket, Ssrc};
use std::time::{Duration, Instant};

/// So many packets may be missing in a row; more is another beginning.
const MAX_DROPOUT: u16 = 3_000;
/// So far behind a packet may come; further is another beginning.
const MAX_MISORDER: u16 = 100;
/// A change of the transit time beyond this is a change of the sender's clock, not of the network.
const CLOCK_JUMP: Duration = Duration::from_secs(2);
/// Cumulative loss is reported in 24 bits with a sign (§6.4.1).
const MAX_REPORTED_LOSS: i64 = 0x7f_ffff;

/// One source.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    ssrc: Ssrc,
    clock: ClockRate,
    /// Packets in a row that still have to come until it is valid.
    probation: u16,
    /// With cycles; the first packet is in cycle 1.
    first_sequence: u64,
    highest_sequence: u64,
    /// The sequence number that would confirm a jump.
    bad_sequence: Option<u16>,
    received: u64,
    prior: Counts,
    jitter: Jitter,
    /// Loss of the beginnings before this one.
    lost_before: i64,
    interval: Option<Interval>,
    fraction: Range<f32>,
    last_heard: Instant,
}

/// How a source's packet goes on from those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// As it should, or nearly.
    Valid(u64),
    /// The packet confirms that the source started anew, or has passed probation.
    Started(u64),
    /// The source has still to show that it is one.
    Probation,
    /// A jump that the next packet has to confirm.
    Jump,
}

/// Loss between two reports (§6.4.1, A.3).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// Packets that should have come.
    pub expected: u64,
    /// Packets of these that did not; negative where duplicates outnumber them.
    pub lost: i64,
}

/// What a report block says of the source (§6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) ssrc: Ssrc,
    /// Of 256.
    pub(crate) fraction_lost: u8,
    /// Since the source began.
    pub(crate) cumulative_lost: i32,
    pub(crate) highest_sequence: u32,
    /// In units of its clock.
    pub(crate) jitter: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    expected: u64,
    received: u64,
}

/// A.8 in 1/16 of a clock unit.
#[derive(Clone, Debug)]
struct Jitter {
    epoch: Instant,
    /// Arrival less timestamp, of the last packet, in units that roll over.
    transit: Option<u32>,
    timestamp: u32,
    sixteenths: u64,
    range: Range<Duration>,
}

impl Source {
    /// A source of which this is the first packet. `min_sequential` packets in a row make it valid, this one counted.
    pub(crate) fn new(now: Instant, clock: ClockRate, packet: &RtpPacket<'_>, min_sequential: u16) -> Source {
        let first = 1 << 16 | u64::from(packet.sequence);
        let mut source = Source {
            ssrc: packet.ssrc,
            clock,
            probation: min_sequential.saturating_sub(1),
            first_sequence: first,
            highest_sequence: first,
            bad_sequence: None,
            received: 0,
            prior: Counts::default(),
            jitter: Jitter::new(now),
            lost_before: 0,
            interval: None,
            fraction: Range::default(),
            last_heard: now,
        };
        if source.is_valid() {
            source.count(now, packet);
        }
        source
    }

    /// The next packet.
    pub(crate) fn step(&mut self, now: Instant, packet: &RtpPacket<'_>) -> Step {
        let ahead = packet.sequence.wrapping_sub((self.highest_sequence & 0xffff) as u16);
        if !self.is_valid() {
            self.probation = if ahead == 1 { self.probation - 1 } else { self.probation.max(1) };
            self.begin(packet.sequence);
            if !self.is_valid() {
                return Step::Probation;
            }
            self.count(now, packet);
            return Step::Started(self.highest_sequence);
        }
        let behind = ahead.wrapping_neg();
        let sequence = if ahead < MAX_DROPOUT {
            self.highest_sequence += u64::from(ahead);
            self.highest_sequence
        } else if behind <= MAX_MISORDER {
            // The first cycle is 1: there is room below.
            self.highest_sequence - u64::from(behind)
        } else if self.bad_sequence == Some(packet.sequence) {
            self.lost_before += self.lost_since_beginning();
            self.begin(packet.sequence);
            self.count(now, packet);
            return Step::Started(self.highest_sequence);
        } else {
            self.bad_sequence = Some(packet.sequence.wrapping_add(1));
            return Step::Jump;
        };
        self.bad_sequence = None;
        self.count(now, packet);
        Step::Valid(sequence)
    }

    /// Who it is.
    pub(crate) fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.probation == 0
    }

    /// When its last packet that made sense came.
    pub(crate) fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// Its highest sequence number, with cycles.
    pub(crate) fn highest_sequence(&self) -> u64 {
        self.highest_sequence
    }

    /// Packets lost, all beginnings together; negative where duplicates outnumber them.
    pub(crate) fn lost(&self) -> i64 {
        self.lost_before + self.lost_since_beginning()
    }

    /// The smoothed difference of transit times.
    pub(crate) fn jitter(&self) -> Duration {
        self.clock.duration(self.jitter.sixteenths / 16)
    }

    pub(crate) fn jitter_range(&self) -> Range<Duration> {
        self.jitter.range
    }

    /// The loss of the last interval that was closed.
    pub(crate) fn interval(&self) -> Option<Interval> {
        self.interval
    }

    pub(crate) fn fraction_range(&self) -> Range<f32> {
        self.fraction
    }

    /// Other packets have another clock (the codec has changed): transit times are not comparable any more.
    pub(crate) fn set_clock(&mut self, clock: ClockRate) {
        if clock != self.clock {
            self.jitter.sixteenths = self.jitter.sixteenths * u64::from(clock.hertz()) / u64::from(self.clock.hertz());
            self.jitter.transit = None;
            self.clock = clock;
        }
    }

    /// Closes an interval and tells of it what a report block does.
    pub(crate) fn report(&mut self) -> Heard {
        let expected = self.expected();
        let interval = Interval {
            expected: expected - self.prior.expected,
            lost: signed(expected - self.prior.expected) - signed(self.received - self.prior.received),
        };
        self.prior = Counts { expected, received: self.received };
        self.interval = Some(interval);
        if interval.expected > 0 {
            self.fraction.note(interval.fraction());
        }
        let cumulative = self.lost_since_beginning().clamp(-MAX_REPORTED_LOSS - 1, MAX_REPORTED_LOSS);
        Heard {
            ssrc: self.ssrc,
            fraction_lost: interval.fraction_of_256(),
            cumulative_lost: i32::try_from(cumulative).expect("24 bits fit in 32"),
            highest_sequence: ((self.highest_sequence - (1 << 16)) & 0xffff_ffff) as u32,
            jitter: u32::try_from(self.jitter.sixteenths / 16).unwrap_or(u32::MAX),
        }
    }

    fn begin(&mut self, sequence: u16) {
        self.first_sequence = 1 << 16 | u64::from(sequence);
        self.highest_sequence = self.first_sequence;
        self.bad_sequence = None;
        self.received = 0;
        self.prior = Counts::default();
        self.jitter.transit = None;
    }

    fn count(&mut self, now: Instant, packet: &RtpPacket<'_>) {
        self.received += 1;
        self.last_heard = now;
        self.jitter.note(now, self.clock, packet.timestamp);
    }

    fn expected(&self) -> u64 {
        self.highest_sequence - self.first_sequence + 1
    }

    fn lost_since_beginning(&self) -> i64 {
        signed(self.expected()) - signed(self.received)
    }
}

impl Interval {
    /// The part of the packets that was lost, 0 to 1.
    pub fn fraction(&self) -> f32 {
        if self.expected == 0 || self.lost <= 0 { 0.0 } else { (self.lost as f32 / self.expected as f32).min(1.0) }
    }

    /// As eight bits: all lost would be 256, which there is no room for (A.3).
    fn fraction_of_256(&self) -> u8 {
        let lost = u64::try_from(self.lost).unwrap_or(0);
        let parts = (lost << 8).checked_div(self.expected).unwrap_or(0);
        u8::try_from(parts).unwrap_or(u8::MAX)
    }
}

impl Jitter {
    fn new(epoch: Instant) -> Jitter {
        Jitter { epoch, transit: None, timestamp: 0, sixteenths: 0, range: Range::default() }
    }

    /// A.8. Only the first packet with a timestamp is looked at: those of a telephone event all have the one that it
    /// began with and would make a jitter of its length. (RFC 4733 §2.5.2.2 counts them, and says itself that the
    /// number is then good for comparing only.)
    fn note(&mut self, now: Instant, clock: ClockRate, timestamp: u32) {
        let arrival = (clock.ticks(now.saturating_duration_since(self.epoch)) & 0xffff_ffff) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        let Some(last) = self.transit else {
            (self.transit, self.timestamp) = (Some(transit), timestamp);
            return;
        };
        if timestamp == self.timestamp {
            return;
        }
        (self.transit, self.timestamp) = (Some(transit), timestamp);
        let difference = u64::from(transit.wrapping_sub(last).cast_signed().unsigned_abs());
        if difference > clock.ticks(CLOCK_JUMP) {
            return;
        }
        self.sixteenths = self.sixteenths + difference - (self.sixteenths + 8) / 16;
        self.range.note(clock.duration(self.sixteenths / 16));
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).expect("packets are counted one by one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdp::PayloadType;

    const FRAME: Duration = Duration::from_millis(20);

    fn packet(sequence: u16, timestamp: u32) -> RtpPacket<'static> {
        let blank = RtpPacket::parse(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        RtpPacket { sequence, timestamp, payload_type: PayloadType::new(0).unwrap(), ssrc: Ssrc(1), ..blank }
    }

    /// A valid source, and its steps when these sequence numbers follow.
    fn steps(first: u16, sequences: &[u16]) -> (Source, Vec<Step>) {
        let now = Instant::now();
        let mut source = Source::new(now, ClockRate::NARROW, &packet(first, 0), 0);
        let steps = sequences.iter().map(|sequence| source.step(now, &packet(*sequence, 0))).collect();
        (source, steps)
    }

    #[test]
    fn a_source_is_valid_after_two_packets_in_a_row() {
        let now = Instant::now();
        let mut source = Source::new(now, ClockRate::NARROW, &packet(7, 0), 2);
        assert_eq!(source.step(now, &packet(9, 0)), Step::Probation);
        assert_eq!(source.step(now, &packet(9, 0)), Step::Probation);
        assert_eq!(source.step(now, &packet(10, 0)), Step::Started(0x1000a));
        assert_eq!(source.step(now, &packet(11, 0)), Step::Valid(0x1000b));
        assert_eq!(source.lost(), 0);
    }

    #[test]
    fn an_authenticated_source_needs_no_probation() {
        assert!(Source::new(Instant::now(), ClockRate::NARROW, &packet(7, 0), 0).is_valid());
        assert!(Source::new(Instant::now(), ClockRate::NARROW, &packet(7, 0), 1).is_valid());
    }

    #[test]
    fn sequence_numbers_roll_over_and_may_be_in_disorder_there() {
        let (source, steps) = steps(65_534, &[0, 65_535, 1]);
        assert_eq!(steps, [Step::Valid(0x20000), Step::Valid(0x1ffff), Step::Valid(0x20001)]);
        assert_eq!(source.lost(), 0);
    }

    #[test]
    fn one_wild_sequence_number_is_nothing_and_two_in_a_row_are_a_new_beginning() {
        let (source, steps) = steps(100, &[40_000, 101, 40_001, 40_002, 40_003]);
        assert_eq!(steps, [Step::Jump, Step::Valid(0x10065), Step::Jump, Step::Started(0x19c42), Step::Valid(0x19c43)]);
        assert_eq!(source.lost(), 0);
    }

    #[test]
    fn packets_far_behind_are_a_jump_too() {
        let (_, steps) = steps(1_000, &[900, 899]);
        assert_eq!(steps, [Step::Valid(0x10384), Step::Jump]);
    }

    #[test]
    fn what_is_missing_is_lost_until_it_comes_and_duplicates_count_against_it() {
        let (source, _) = steps(1, &[2, 5]);
        assert_eq!(source.lost(), 2);
        let (source, _) = steps(1, &[2, 5, 3, 4]);
        assert_eq!(source.lost(), 0);
        let (source, _) = steps(1, &[2, 2, 2]);
        assert_eq!(source.lost(), -2);
    }

    #[test]
    fn each_report_tells_of_its_own_interval_and_of_all_before() {
        let (mut source, _) = steps(1, &[2, 3, 5, 6, 8]);
        let report = source.report();
        assert_eq!((report.fraction_lost, report.cumulative_lost, report.highest_sequence), (64, 2, 8));
        assert_eq!(source.interval(), Some(Interval { expected: 8, lost: 2 }));
        let now = Instant::now();
        for sequence in 9..=12 {
            source.step(now, &packet(sequence, 0));
        }
        let report = source.report();
        assert_eq!((report.fraction_lost, report.cumulative_lost, report.highest_sequence), (0, 2, 12));
        let report = source.report();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 2), "nothing expected, nothing lost");
    }

    #[test]
    fn an_interval_of_duplicates_has_no_loss_and_one_without_packets_no_more_than_fits() {
        let (mut source, _) = steps(1, &[1, 1, 1]);
        let report = source.report();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, -3));
        assert_eq!(Interval { expected: 10, lost: 10 }.fraction_of_256(), 255);
    }

    #[test]
    fn loss_beyond_24_bits_is_reported_as_the_most_that_fits() {
        let now = Instant::now();
        let mut source = Source::new(now, ClockRate::NARROW, &packet(0, 0), 0);
        let mut sequence = 0_u16;
        for _ in 0..3_000 {
            sequence = sequence.wrapping_add(2_999);
            source.step(now, &packet(sequence, 0));
        }
        assert_eq!(source.lost(), 3_000 * 2_998);
        assert_eq!(source.report().cumulative_lost, 0x7f_ffff);
    }

    #[test]
    fn jitter_is_none_for_an_even_stream_and_nears_the_difference_of_an_uneven_one() {
        let start = Instant::now();
        let stream = |uneven: Duration| {
            let mut source = Source::new(start, ClockRate::NARROW, &packet(0, 0), 0);
            for number in 1..500_u16 {
                let late = if number % 2 == 0 { uneven } else { Duration::ZERO };
                let at = start + FRAME * u32::from(number) + late;
                source.step(at, &packet(number, u32::from(number) * 160));
            }
            source.jitter()
        };
        assert_eq!(stream(Duration::ZERO), Duration::ZERO);
        let uneven = stream(Duration::from_millis(10));
        assert!(uneven > Duration::from_millis(9) && uneven <= Duration::from_millis(11), "{uneven:?}");
    }

    #[test]
    fn a_telephone_event_and_a_new_media_clock_make_no_jitter() {
        let start = Instant::now();
        let mut source = Source::new(start, ClockRate::NARROW, &packet(0, 0), 0);
        for number in 1..20_u16 {
            source.step(start + FRAME * u32::from(number), &packet(number, 160));
        }
        source.step(start + FRAME * 20, &packet(20, 20 * 160));
        source.step(start + FRAME * 21, &packet(21, 0x9000_0000));
        source.step(start + FRAME * 22, &packet(22, 0x9000_0000 + 160));
        assert_eq!(source.jitter(), Duration::ZERO);
    }
}
