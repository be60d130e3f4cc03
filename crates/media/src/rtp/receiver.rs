//! The direction that we hear (RFC 3550 §8, Appendix A.1): which of the sources that send to us is the peer's, and
//! since when. A call has one peer, so one source is heard at a time.
//!
//! ```text
//!                   passes probation
//!    (nobody) ─────────────────────────────────► one is heard ◄──────────────────────┐
//!                                                    │ another one passes probation  │
//!                                                    ▼                               │
//!                                         the other waits until the first one        │
//!                                         is silent or has said BYE ─────────────────┘
//! ```
//!
//! That one waits keeps two sources that send at once (a media server that speaks over a ring tone, a stray stream)
//! from tearing each other to pieces.

use super::source::{Heard, Source, Step};
use super::{ClockRate, Interval, Range, RtpPacket, Ssrc};
use std::time::{Duration, Instant};

/// So many packets in a row make a source valid (A.1).
const MIN_SEQUENTIAL: u16 = 2;

/// When a source has been silent for so long another one takes its place: more than the longest packet time.
const SILENT: Duration = Duration::from_millis(100);

/// So many sources may be on probation at a time; the one that was silent longest makes room.
const CANDIDATES: usize = 4;

/// The hearing half of a stream.
#[derive(Clone, Debug)]
pub struct RtpReceiver {
    clock: ClockRate,
    min_sequential: u16,
    source: Option<Source>,
    /// Whoever else sends, the one heard last at the end.
    others: Vec<Source>,
    /// The source that is heard has said BYE.
    left: bool,
    packets: u64,
    octets: u64,
    refused: u64,
    /// Loss of the sources before this one.
    lost_before: i64,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// When the packet is the peer's.
    Accepted {
        /// Its sequence number with its cycle.
        sequence: u64,
    },
    /// When the packet is the peer's, who is another one than before or has started anew: what was remembered of his
    /// packets is void.
    NewSource {
        /// Its sequence number with its cycle.
        sequence: u64,
    },
    /// When the source has still to prove that it is one.
    Probation,
    /// When another source is heard already.
    OtherSource,
    /// When the sequence number is far off and the next packet has to confirm it.
    Jump,
}

impl RtpReceiver {
    /// A receiver that has heard nobody yet.
    pub fn new(clock: ClockRate) -> RtpReceiver {
        RtpReceiver {
            clock,
            min_sequential: MIN_SEQUENTIAL,
            source: None,
            others: Vec::new(),
            left: false,
            packets: 0,
            octets: 0,
            refused: 0,
            lost_before: 0,
        }
    }

    /// A receiver whose packets SRTP vouches for: sources need no probation.
    pub fn authenticated(mut self) -> RtpReceiver {
        self.min_sequential = 0;
        self
    }

    /// Decides about a packet and counts it.
    pub fn receive(&mut self, now: Instant, packet: &RtpPacket<'_>) -> Reception {
        let reception = self.judge(now, packet);
        match reception {
            Reception::Accepted { .. } | Reception::NewSource { .. } => {
                self.packets += 1;
                self.octets += packet.payload.len() as u64;
            }
            Reception::Probation | Reception::OtherSource | Reception::Jump => self.refused += 1,
        }
        reception
    }

    /// A source has said BYE (RFC 3550 §6.6): the next one need not wait.
    pub fn leave(&mut self, ssrc: Ssrc) {
        if self.ssrc() == Some(ssrc) {
            self.left = true;
        }
        self.others.retain(|other| other.ssrc() != ssrc);
    }

    /// Goes on with another clock, because the codec has changed.
    pub fn set_clock(&mut self, clock: ClockRate) {
        self.clock = clock;
        self.source.iter_mut().chain(&mut self.others).for_each(|source| source.set_clock(clock));
    }

    /// Who is heard.
    pub fn ssrc(&self) -> Option<Ssrc> {
        self.source.as_ref().map(Source::ssrc)
    }

    /// When the peer's last packet came.
    pub fn last_heard(&self) -> Option<Instant> {
        self.source.as_ref().map(Source::last_heard)
    }

    /// The clock of the timestamps.
    pub fn clock(&self) -> ClockRate {
        self.clock
    }

    /// Packets accepted.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Octets of payload accepted.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Packets of others, on probation, or out of sequence.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Packets lost, of all sources that have been heard; negative where duplicates outnumber them.
    pub fn lost(&self) -> i64 {
        self.lost_before + self.source.as_ref().map_or(0, Source::lost)
    }

    /// How unevenly packets come (A.8).
    pub fn jitter(&self) -> Duration {
        self.source.as_ref().map_or(Duration::ZERO, Source::jitter)
    }

    /// The least and the greatest jitter.
    pub fn jitter_range(&self) -> Range<Duration> {
        self.source.as_ref().map_or_else(Range::default, Source::jitter_range)
    }

    /// Loss between the last two reports.
    pub fn interval(&self) -> Option<Interval> {
        self.source.as_ref().and_then(Source::interval)
    }

    /// The least and the greatest loss between two reports, as parts of 1.
    pub fn loss_range(&self) -> Range<f32> {
        self.source.as_ref().map_or_else(Range::default, Source::fraction_range)
    }

    /// What a report says of the peer; closes the interval.
    pub(crate) fn report(&mut self) -> Option<Heard> {
        self.source.as_mut().map(Source::report)
    }

    fn judge(&mut self, now: Instant, packet: &RtpPacket<'_>) -> Reception {
        if let Some(source) = self.source.as_mut().filter(|source| source.ssrc() == packet.ssrc) {
            return match source.step(now, packet) {
                Step::Valid(sequence) => Reception::Accepted { sequence },
                Step::Started(sequence) => Reception::NewSource { sequence },
                Step::Probation => Reception::Probation,
                Step::Jump => Reception::Jump,
            };
        }
        if !self.is_candidate(now, packet) {
            return Reception::Probation;
        }
        if !self.may_be_replaced(now) {
            return Reception::OtherSource;
        }
        self.others.retain(|other| other.ssrc() != packet.ssrc);
        self.lost_before += self.source.as_ref().map_or(0, Source::lost);
        self.left = false;
        // It starts here: what was not heard while it waited is not lost.
        let source = self.source.insert(Source::new(now, self.clock, packet, 0));
        Reception::NewSource { sequence: source.highest_sequence() }
    }

    /// Takes note of a packet of another source and says whether that has passed probation.
    fn is_candidate(&mut self, now: Instant, packet: &RtpPacket<'_>) -> bool {
        let known = self.others.iter().position(|other| other.ssrc() == packet.ssrc);
        let candidate = match known {
            Some(known) => {
                let mut candidate = self.others.remove(known);
                candidate.step(now, packet);
                candidate
            }
            None => Source::new(now, self.clock, packet, self.min_sequential),
        };
        let valid = candidate.is_valid();
        if self.others.len() == CANDIDATES {
            self.others.remove(0);
        }
        self.others.push(candidate);
        valid
    }

    fn may_be_replaced(&self, now: Instant) -> bool {
        let silent = |source: &Source| now.saturating_duration_since(source.last_heard()) >= SILENT;
        self.left || self.source.as_ref().is_none_or(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdp::PayloadType;

    const FRAME: Duration = Duration::from_millis(20);

    fn packet(ssrc: u32, sequence: u16) -> RtpPacket<'static> {
        let blank = RtpPacket::parse(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]).unwrap();
        let timestamp = u32::from(sequence) * 160;
        RtpPacket { sequence, timestamp, payload_type: PayloadType::new(0).unwrap(), ssrc: Ssrc(ssrc), ..blank }
    }

    fn started(sequence: u64) -> Reception {
        Reception::NewSource { sequence: 1 << 16 | sequence }
    }

    fn accepted(sequence: u64) -> Reception {
        Reception::Accepted { sequence: 1 << 16 | sequence }
    }

    #[test]
    fn the_first_source_is_heard_from_its_second_packet_or_its_first_if_it_is_authenticated() {
        let now = Instant::now();
        let mut receiver = RtpReceiver::new(ClockRate::NARROW);
        assert_eq!(receiver.receive(now, &packet(1, 10)), Reception::Probation);
        assert_eq!(receiver.receive(now, &packet(1, 11)), started(11));
        assert_eq!(receiver.receive(now, &packet(1, 12)), accepted(12));
        assert_eq!((receiver.packets(), receiver.octets(), receiver.refused()), (2, 8, 1));
        assert_eq!(receiver.lost(), 0);
        let mut receiver = RtpReceiver::new(ClockRate::NARROW).authenticated();
        assert_eq!(receiver.receive(now, &packet(1, 10)), started(10));
    }

    #[test]
    fn a_stray_packet_of_a_stranger_changes_nothing() {
        let now = Instant::now();
        let mut receiver = RtpReceiver::new(ClockRate::NARROW).authenticated();
        receiver.receive(now, &packet(1, 10));
        assert_eq!(receiver.receive(now, &packet(2, 500)), Reception::OtherSource);
        assert_eq!(receiver.receive(now, &packet(1, 11)), accepted(11));
        assert_eq!(receiver.ssrc(), Some(Ssrc(1)));
    }

    #[test]
    fn of_two_sources_that_send_at_once_the_first_one_is_heard() {
        let start = Instant::now();
        let mut receiver = RtpReceiver::new(ClockRate::NARROW);
        for number in 0..100 {
            let now = start + FRAME * u32::from(number);
            let first = receiver.receive(now, &packet(1, number));
            assert!(number == 0 || matches!(first, Reception::NewSource { .. } | Reception::Accepted { .. }));
            let second = receiver.receive(now, &packet(2, number));
            assert!(matches!(second, Reception::Probation | Reception::OtherSource), "{number}: {second:?}");
        }
        assert_eq!(receiver.lost(), 0);
    }

    #[test]
    fn another_source_takes_over_when_the_first_one_falls_silent() {
        let start = Instant::now();
        let mut receiver = RtpReceiver::new(ClockRate::NARROW);
        receiver.receive(start, &packet(1, 1));
        receiver.receive(start, &packet(1, 2));
        receiver.receive(start, &packet(1, 5));
        let then: Vec<Reception> =
            (0..8).map(|number| receiver.receive(start + FRAME * u32::from(number), &packet(2, number))).collect();
        assert_eq!(then[0], Reception::Probation);
        assert_eq!(then[1..5], [Reception::OtherSource; 4]);
        assert_eq!(then[5..], [started(5), accepted(6), accepted(7)]);
        assert_eq!(receiver.lost(), 2, "the first one's loss is not forgotten");
    }

    #[test]
    fn another_source_takes_over_at_once_after_a_bye() {
        let now = Instant::now();
        let mut receiver = RtpReceiver::new(ClockRate::NARROW);
        receiver.receive(now, &packet(1, 1));
        receiver.receive(now, &packet(1, 2));
        receiver.leave(Ssrc(1));
        assert_eq!(receiver.receive(now, &packet(2, 1)), Reception::Probation);
        assert_eq!(receiver.receive(now, &packet(2, 2)), started(2));
    }

    #[test]
    fn a_source_that_starts_anew_is_a_new_one_after_two_packets() {
        let now = Instant::now();
        let mut receiver = RtpReceiver::new(ClockRate::NARROW).authenticated();
        receiver.receive(now, &packet(1, 10));
        assert_eq!(receiver.receive(now, &packet(1, 30_000)), Reception::Jump);
        assert_eq!(receiver.receive(now, &packet(1, 30_001)), started(30_001));
    }

    #[test]
    fn a_flood_of_sources_leaves_the_one_that_is_heard_in_peace_and_needs_no_memory() {
        let start = Instant::now();
        let mut receiver = RtpReceiver::new(ClockRate::NARROW);
        receiver.receive(start, &packet(1, 0));
        receiver.receive(start, &packet(1, 1));
        for number in 2..1_000_u16 {
            let now = start + FRAME * u32::from(number);
            for stranger in 0..20 {
                let ssrc = 2 + u32::from(number) * 20 + stranger;
                assert_eq!(receiver.receive(now, &packet(ssrc, number)), Reception::Probation);
            }
            assert_eq!(receiver.receive(now, &packet(1, number)), accepted(u64::from(number)));
        }
    }
}
