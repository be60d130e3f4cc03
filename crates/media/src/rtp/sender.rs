//! The direction that we send (RFC 3550 §5.1, §6.3.1, §8.1): who we are, the next sequence number, the media clock,
//! and what has been sent. When to send and what, [`stream`](crate::stream) decides.

use super::{ClockRate, RtpHeader, RtpPacket, Ssrc};
use sdp::PayloadType;
use std::time::{Duration, Instant};

/// Where random octets come from: fills the slice.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// A packet that comes back within so long is an echo of ours: longer than a satellite and two jitter buffers take.
const ECHO: Duration = Duration::from_secs(10);

/// So many packets at most are sent in [`ECHO`]: one each 10 ms, and as many telephone events again.
const ECHO_PACKETS: u16 = 2_000;

/// The sending half of a stream.
#[derive(Clone, Debug)]
pub struct RtpSender {
    ssrc: Ssrc,
    clock: ClockRate,
    /// Of the next packet.
    sequence: u16,
    /// Of the next frame.
    timestamp: u32,
    packets: u64,
    /// Of payload, without headers (§6.4.1).
    octets: u64,
    /// When a frame was last sent, and its timestamp: what sender reports count from.
    last: Option<(Instant, u32)>,
    /// Packets that were sent under this SSRC, which sender reports tell.
    since_ssrc: (u64, u64),
}

impl RtpSender {
    /// A sender with an SSRC, a first sequence number and a first timestamp by chance (§5.1, §8.1).
    pub fn new(clock: ClockRate, random: Random<'_>) -> RtpSender {
        let mut octets = [0; 6];
        random(&mut octets);
        let [s0, s1, t0, t1, t2, t3] = octets;
        RtpSender {
            ssrc: random_ssrc(random),
            clock,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            packets: 0,
            octets: 0,
            last: None,
            since_ssrc: (0, 0),
        }
    }

    /// Appends a packet with the frame that begins at the current [`timestamp`](Self::timestamp).
    pub fn write(
        &mut self,
        now: Instant,
        payload_type: PayloadType,
        marker: bool,
        payload: &[u8],
        packet: &mut Vec<u8>,
    ) {
        self.last = Some((now, self.timestamp));
        self.write_at(now, self.timestamp, payload_type, marker, payload, packet);
    }

    /// Appends a packet with a timestamp of its own: a telephone event keeps the one that it began with (RFC 4733
    /// §2.5.1.2).
    pub fn write_at(
        &mut self,
        now: Instant,
        timestamp: u32,
        payload_type: PayloadType,
        marker: bool,
        payload: &[u8],
        packet: &mut Vec<u8>,
    ) {
        RtpHeader { marker, payload_type, sequence: self.sequence, timestamp, ssrc: self.ssrc }.write(packet);
        packet.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.octets += payload.len() as u64;
        self.last.get_or_insert((now, self.timestamp));
    }

    /// Moves on to the next frame: the clock runs through silence, hold and telephone events as well.
    pub fn advance(&mut self, ticks: u32) {
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    /// Who we are.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// The current frame's.
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// The next packet's sequence number.
    pub fn next_sequence(&self) -> u16 {
        self.sequence
    }

    /// The clock of the timestamps.
    pub fn clock(&self) -> ClockRate {
        self.clock
    }

    /// Goes on with another clock, because the codec has changed. The timestamp steps on from where it is (RFC 7160
    /// §4.1 allows no better without a change of the SSRC).
    pub fn set_clock(&mut self, clock: ClockRate) {
        if clock != self.clock {
            self.clock = clock;
            self.last = None;
        }
    }

    /// Takes another SSRC, because somebody else has ours (§8.2). Send BYE for the old one before.
    pub fn change_ssrc(&mut self, random: Random<'_>) {
        let old = self.ssrc;
        self.ssrc = random_ssrc(random);
        if self.ssrc == old {
            self.ssrc = Ssrc(old.0.wrapping_add(0x9e37_79b9));
        }
        self.since_ssrc = (self.packets, self.octets);
    }

    /// Packets sent.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Octets of payload sent.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// What a sender report tells: packets and octets under this SSRC, rolling over (§6.4.1).
    pub(crate) fn reported_counts(&self) -> (u32, u32) {
        let low = |count: u64| (count & 0xffff_ffff) as u32;
        (low(self.packets - self.since_ssrc.0), low(self.octets - self.since_ssrc.1))
    }

    /// What the media clock shows now (§6.4.1: the timestamp that belongs to a sender report's NTP time), or nothing
    /// before the first packet.
    pub(crate) fn timestamp_at(&self, now: Instant) -> Option<u32> {
        let (at, timestamp) = self.last?;
        let ticks = self.clock.ticks(now.saturating_duration_since(at));
        Some(timestamp.wrapping_add((ticks & 0xffff_ffff) as u32))
    }

    /// Whether this packet may be one that we sent a while ago: it has our SSRC, and a sequence number and a timestamp
    /// that we have used in the last seconds. Chance fits both once in several million.
    pub fn sent_recently(&self, packet: &RtpPacket<'_>) -> bool {
        let packets_ago = self.sequence.wrapping_sub(packet.sequence);
        let ticks_ago = self.timestamp.wrapping_sub(packet.timestamp);
        packet.ssrc == self.ssrc
            && (1..=ECHO_PACKETS).contains(&packets_ago)
            && u64::from(packets_ago) <= self.packets
            && u64::from(ticks_ago) <= self.clock.ticks(ECHO)
    }
}

fn random_ssrc(random: Random<'_>) -> Ssrc {
    let mut octets = [0; 4];
    random(&mut octets);
    Ssrc(u32::from_be_bytes(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::dice::Dice;

    fn pcmu() -> PayloadType {
        PayloadType::new(0).unwrap()
    }

    fn sender(seed: u64) -> RtpSender {
        let mut dice = Dice::new(seed);
        RtpSender::new(ClockRate::NARROW, &mut |octets| dice.fill(octets))
    }

    #[test]
    fn each_packet_has_the_next_sequence_number_and_each_frame_its_own_timestamp() {
        let mut sender = sender(1);
        let (first, start, now) = (sender.next_sequence(), sender.timestamp(), Instant::now());
        let mut packet = Vec::new();
        for frame in 0..70_000_u32 {
            packet.clear();
            sender.write(now, pcmu(), frame == 0, &[0xff; 160], &mut packet);
            sender.advance(160);
            let read = RtpPacket::parse(&packet).unwrap();
            assert_eq!(read.sequence, first.wrapping_add((frame & 0xffff) as u16));
            assert_eq!(read.timestamp, start.wrapping_add(frame * 160));
            assert_eq!((read.marker, read.payload.len()), (frame == 0, 160));
        }
        assert_eq!((sender.packets(), sender.octets()), (70_000, 70_000 * 160));
    }

    #[test]
    fn a_telephone_event_takes_sequence_numbers_but_keeps_its_timestamp() {
        let mut sender = sender(2);
        let (first, start, now) = (sender.next_sequence(), sender.timestamp(), Instant::now());
        for sent in 0..3 {
            let mut packet = Vec::new();
            sender.write_at(now, start, PayloadType::new(101).unwrap(), sent == 0, &[1, 10, 0, 160], &mut packet);
            sender.advance(160);
            let read = RtpPacket::parse(&packet).unwrap();
            assert_eq!((read.sequence, read.timestamp), (first.wrapping_add(sent), start));
        }
        assert_eq!(sender.timestamp(), start.wrapping_add(480));
    }

    #[test]
    fn the_media_clock_goes_on_between_packets() {
        let mut sender = sender(3);
        let now = Instant::now();
        assert_eq!(sender.timestamp_at(now), None);
        sender.write(now, pcmu(), true, &[0xff; 160], &mut Vec::new());
        let start = sender.timestamp();
        sender.advance(160);
        assert_eq!(sender.timestamp_at(now + Duration::from_secs(1)), Some(start.wrapping_add(8_000)));
    }

    #[test]
    fn an_echo_of_our_packets_is_known_and_a_stranger_with_our_ssrc_is_none() {
        let mut sender = sender(4);
        let now = Instant::now();
        let mut packets = Vec::new();
        for _ in 0..10 {
            let mut packet = Vec::new();
            sender.write(now, pcmu(), false, &[0xff; 160], &mut packet);
            sender.advance(160);
            packets.push(packet);
        }
        for packet in &packets {
            assert!(sender.sent_recently(&RtpPacket::parse(packet).unwrap()));
        }
        let mut stranger = RtpPacket::parse(&packets[0]).unwrap();
        stranger.timestamp = stranger.timestamp.wrapping_add(1 << 30);
        assert!(!sender.sent_recently(&stranger));
    }

    #[test]
    fn a_new_ssrc_is_never_the_old_one_and_starts_its_counts_anew() {
        let mut sender = RtpSender::new(ClockRate::NARROW, &mut |octets| octets.fill(7));
        let old = sender.ssrc();
        sender.write(Instant::now(), pcmu(), false, &[0; 160], &mut Vec::new());
        assert_eq!(sender.reported_counts(), (1, 160));
        sender.change_ssrc(&mut |octets| octets.fill(7));
        assert_ne!(sender.ssrc(), old);
        assert_eq!(sender.reported_counts(), (0, 0));
        assert_eq!(sender.packets(), 1);
    }
}
