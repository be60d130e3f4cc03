//! RTCP packets as they come (RFC 3550 §6.1, §6.4 to §6.6, Appendix A.2), read without copying. Several lie one behind
//! the other in a datagram; reduced-size datagrams (RFC 5506) may begin with any of them.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |V=2|P|  count  |      PT       |  length in words, less one    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::extended::{self, VoipMetrics};
use super::ntp::NtpTime;
use crate::rtp::{Csrc, Ssrc};
use std::fmt;

pub(crate) const SENDER_REPORT: u8 = 200;
pub(crate) const RECEIVER_REPORT: u8 = 201;
pub(crate) const SOURCE_DESCRIPTION: u8 = 202;
pub(crate) const GOODBYE: u8 = 203;
const EXTENDED_REPORT: u8 = 207;

/// Octets of a report block (§6.4.1).
const REPORT_BLOCK: usize = 24;
/// The SDES item that says who a source is (§6.5.1).
pub(crate) const CNAME: u8 = 1;

/// A datagram whose packets fit into it exactly.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    rest: &'a [u8],
    reduced_size: bool,
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// When somebody who sends tells what, and what he hears (§6.4.1).
    SenderReport {
        /// Who reports.
        ssrc: Ssrc,
        /// What he sends.
        sender: SenderInfo,
        /// What he hears.
        reports: ReportBlocks<'a>,
    },
    /// When somebody who does not send tells what he hears (§6.4.2).
    ReceiverReport {
        /// Who reports.
        ssrc: Ssrc,
        /// What he hears.
        reports: ReportBlocks<'a>,
    },
    /// When sources say who they are (§6.5).
    SourceDescription(Chunks<'a>),
    /// When sources leave (§6.6).
    Goodbye {
        /// Which ones.
        sources: Csrc<'a>,
        /// Why.
        reason: Option<&'a [u8]>,
    },
    /// When somebody reports more (RFC 3611); of it, how he hears voice.
    ExtendedReport {
        /// Who reports.
        ssrc: Ssrc,
        /// Whom he hears, and how.
        voice: Option<(Ssrc, VoipMetrics)>,
    },
    /// When the packet is of a kind that is read over: APP (§6.7), feedback (RFC 4585), what is still to come.
    Other(u8),
    /// When the packet is of a kind that is known and does not hold what it should.
    Malformed(u8),
}

/// What a sender sends (§6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// When he reports, by his wall clock.
    pub ntp: NtpTime,
    /// The same, by his media clock.
    pub timestamp: u32,
    /// Packets since he began.
    pub packets: u32,
    /// Octets of payload since he began.
    pub octets: u32,
}

/// How a source is heard (§6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// Which source.
    pub ssrc: Ssrc,
    /// The part of its packets that was lost since the last report, of 256.
    pub fraction_lost: u8,
    /// Packets lost since it began; negative where duplicates outnumber them. 24 bits with the sign.
    pub cumulative_lost: i32,
    /// Cycles, and the highest sequence number that came.
    pub highest_sequence: u32,
    /// How unevenly its packets come, in units of its clock.
    pub jitter: u32,
    /// The middle of the NTP time of its last report, 0 if there was none.
    pub last_sender_report: u32,
    /// How long ago that report came, in 1/65536 s.
    pub delay_since_last: u32,
}

/// The blocks of a report.
#[derive(Clone, Copy, Debug)]
pub struct ReportBlocks<'a>(&'a [u8]);

/// The chunks of a source description.
#[derive(Clone, Copy, Debug)]
pub struct Chunks<'a>(&'a [u8]);

/// What is said of one source.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Which one.
    pub ssrc: Ssrc,
    /// What.
    pub items: Items<'a>,
}

/// The items of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Items<'a>(&'a [u8]);

/// One thing that is said of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// What it is about; 1 is the CNAME.
    pub kind: u8,
    /// UTF-8, if the peer keeps to the rule.
    pub text: &'a [u8],
}

/// Why a datagram is not RTCP. The peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcpError {
    /// It has no whole packet.
    Empty,
    /// A packet is of another version than 2.
    Version(u8),
    /// A packet ends after the datagram.
    Length {
        /// The octets that the packet's header tells of.
        expected: usize,
        /// The octets that were left.
        got: usize,
    },
    /// A packet that is not the last one is padded, or the last one's padding is more than there is.
    Padding,
}

impl<'a> Compound<'a> {
    /// Checks that a datagram consists of RTCP packets (A.2).
    pub fn parse(datagram: &'a [u8]) -> Result<Compound<'a>, RtcpError> {
        let mut rest = datagram;
        let mut first_kind = None;
        while !rest.is_empty() {
            let (header, packet, behind) = split(rest)?;
            if header & 0x20 != 0 && !behind.is_empty() {
                return Err(RtcpError::Padding);
            }
            body(header, packet).ok_or(RtcpError::Padding)?;
            first_kind.get_or_insert(packet[1]);
            rest = behind;
        }
        let first_kind = first_kind.ok_or(RtcpError::Empty)?;
        Ok(Compound { rest: datagram, reduced_size: !matches!(first_kind, SENDER_REPORT | RECEIVER_REPORT) })
    }

    /// Whether it does without the report that §6.1 wants first (RFC 5506).
    pub fn is_reduced_size(&self) -> bool {
        self.reduced_size
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let (header, packet, behind) = split(self.rest).ok()?;
        self.rest = behind;
        let kind = packet[1];
        let body = body(header, packet)?;
        Some(read(header & 0x1f, kind, body).unwrap_or(Packet::Malformed(kind)))
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_first_chunk::<REPORT_BLOCK>()?;
        self.0 = rest;
        let word = |index: usize| u32::from_be_bytes([0, 1, 2, 3].map(|octet| block[index * 4 + octet]));
        Some(ReportBlock {
            ssrc: Ssrc(word(0)),
            fraction_lost: block[4],
            // Shifted up and down again, the upper one of 24 bits becomes the sign.
            cumulative_lost: (word(1) << 8).cast_signed() >> 8,
            highest_sequence: word(2),
            jitter: word(3),
            last_sender_report: word(4),
            delay_since_last: word(5),
        })
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (ssrc, rest) = self.0.split_first_chunk::<4>()?;
        let mut items = Items(rest);
        while items.next().is_some() {}
        let end = rest.len() - items.0.len();
        // The list ends with a null octet at least, and the chunk on a word (§6.5).
        let padded = (end / 4 + 1) * 4;
        self.0 = rest.get(padded..).unwrap_or_default();
        Some(Chunk { ssrc: Ssrc(u32::from_be_bytes(*ssrc)), items: Items(&rest[..end]) })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let (&[kind, length], rest) = self.0.split_first_chunk::<2>()?;
        if kind == 0 {
            return None;
        }
        let (text, rest) = rest.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(Item { kind, text })
    }
}

impl fmt::Display for RtcpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RtcpError::Empty => f.write_str("an RTCP datagram without a packet"),
            RtcpError::Version(version) => write!(f, "RTCP version {version}"),
            RtcpError::Length { expected, got } => {
                write!(f, "an RTCP packet of {expected} octets, of which {got} are there")
            }
            RtcpError::Padding => f.write_str("an RTCP packet that can't have this padding"),
        }
    }
}

impl std::error::Error for RtcpError {}

/// The first octet, the whole packet with its header, and what lies behind it.
fn split(rest: &[u8]) -> Result<(u8, &[u8], &[u8]), RtcpError> {
    let Some(&[header, _, l0, l1]) = rest.first_chunk::<4>() else {
        return Err(if rest.is_empty() {
            RtcpError::Empty
        } else {
            RtcpError::Length { expected: 4, got: rest.len() }
        });
    };
    if header >> 6 != 2 {
        return Err(RtcpError::Version(header >> 6));
    }
    let expected = (usize::from(u16::from_be_bytes([l0, l1])) + 1) * 4;
    let (packet, behind) = rest.split_at_checked(expected).ok_or(RtcpError::Length { expected, got: rest.len() })?;
    Ok((header, packet, behind))
}

/// What lies between the header and the padding, if the padding leaves that much.
fn body(header: u8, packet: &[u8]) -> Option<&[u8]> {
    let body = packet.get(4..)?;
    if header & 0x20 == 0 {
        return Some(body);
    }
    let padding = usize::from(*body.last()?);
    if padding == 0 { None } else { body.get(..body.len().checked_sub(padding)?) }
}

fn read(count: u8, kind: u8, body: &[u8]) -> Option<Packet<'_>> {
    let count = usize::from(count);
    Some(match kind {
        SENDER_REPORT => {
            let (ssrc, rest) = ssrc_of(body)?;
            let (info, rest) = rest.split_first_chunk::<20>()?;
            let word = |index: usize| u32::from_be_bytes([0, 1, 2, 3].map(|octet| info[index * 4 + octet]));
            let sender = SenderInfo {
                ntp: NtpTime(u64::from(word(0)) << 32 | u64::from(word(1))),
                timestamp: word(2),
                packets: word(3),
                octets: word(4),
            };
            Packet::SenderReport { ssrc, sender, reports: ReportBlocks(rest.get(..count * REPORT_BLOCK)?) }
        }
        RECEIVER_REPORT => {
            let (ssrc, rest) = ssrc_of(body)?;
            Packet::ReceiverReport { ssrc, reports: ReportBlocks(rest.get(..count * REPORT_BLOCK)?) }
        }
        SOURCE_DESCRIPTION => Packet::SourceDescription(Chunks(body)),
        GOODBYE => {
            let (sources, rest) = body.split_at_checked(count * 4)?;
            let reason = rest.split_first().and_then(|(length, text)| text.get(..usize::from(*length)));
            Packet::Goodbye { sources: Csrc::of(sources), reason }
        }
        EXTENDED_REPORT => {
            let (ssrc, blocks) = ssrc_of(body)?;
            Packet::ExtendedReport { ssrc, voice: extended::voip_metrics(blocks) }
        }
        _ => Packet::Other(kind),
    })
}

fn ssrc_of(body: &[u8]) -> Option<(Ssrc, &[u8])> {
    let (ssrc, rest) = body.split_first_chunk::<4>()?;
    Some((Ssrc(u32::from_be_bytes(*ssrc)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::write;
    use crate::rtp::dice::Dice;

    fn block(cumulative_lost: i32) -> ReportBlock {
        ReportBlock {
            ssrc: Ssrc(2),
            fraction_lost: 64,
            cumulative_lost,
            highest_sequence: 0x1_0005,
            jitter: 17,
            last_sender_report: 0xdead_beef,
            delay_since_last: 65_536,
        }
    }

    fn sender() -> SenderInfo {
        SenderInfo { ntp: NtpTime(0x0102_0304_0506_0708), timestamp: 9, packets: 10, octets: 11 }
    }

    fn compound() -> Vec<u8> {
        let mut octets = Vec::new();
        write::report(Ssrc(1), Some(sender()), Some(block(-3)), &mut octets);
        write::cname(Ssrc(1), "alice@example", &mut octets);
        write::goodbye(Ssrc(1), Some("hung up"), &mut octets);
        octets
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let octets = compound();
        let compound = Compound::parse(&octets).unwrap();
        assert!(!compound.is_reduced_size());
        let packets: Vec<Packet<'_>> = compound.collect();
        let [
            Packet::SenderReport { ssrc: Ssrc(1), sender: told, mut reports },
            Packet::SourceDescription(mut chunks),
            Packet::Goodbye { mut sources, reason },
        ] = packets[..]
        else {
            panic!("{packets:?}");
        };
        assert_eq!(told, sender());
        assert_eq!((reports.next(), reports.next()), (Some(block(-3)), None));
        let Chunk { ssrc, mut items } = chunks.next().unwrap();
        assert_eq!((ssrc, items.next()), (Ssrc(1), Some(Item { kind: CNAME, text: b"alice@example" })));
        assert!(items.next().is_none() && chunks.next().is_none());
        assert_eq!((sources.next(), sources.next(), reason), (Some(Ssrc(1)), None, Some(&b"hung up"[..])));
    }

    #[test]
    fn loss_is_a_number_of_24_bits_with_a_sign() {
        for lost in [0, 1, -1, 0x7f_ffff, -0x80_0000] {
            let mut octets = Vec::new();
            write::report(Ssrc(1), None, Some(block(lost)), &mut octets);
            let Some(Packet::ReceiverReport { mut reports, .. }) = Compound::parse(&octets).unwrap().next() else {
                panic!("a receiver report");
            };
            assert_eq!(reports.next().unwrap().cumulative_lost, lost);
        }
    }

    #[test]
    fn names_of_every_length_end_on_a_word_and_let_the_next_chunk_be_read() {
        for length in 0..=255 {
            let name = "n".repeat(length);
            let mut octets = Vec::new();
            write::cname(Ssrc(1), &name, &mut octets);
            assert_eq!(octets.len() % 4, 0);
            // A second chunk behind the first one.
            let first = octets.split_off(4);
            octets.extend_from_slice(&first);
            octets.extend_from_slice(&[0, 0, 0, 2, 1, 1, b'b', 0]);
            octets[0] += 1;
            let words = u16::try_from(octets.len() / 4 - 1).unwrap();
            octets[2..4].copy_from_slice(&words.to_be_bytes());
            let Some(Packet::SourceDescription(chunks)) = Compound::parse(&octets).unwrap().next() else {
                panic!("a source description");
            };
            let read: Vec<(Ssrc, usize)> =
                chunks.map(|mut chunk| (chunk.ssrc, chunk.items.next().unwrap().text.len())).collect();
            assert_eq!(read, [(Ssrc(1), length), (Ssrc(2), 1)]);
        }
    }

    #[test]
    fn a_reduced_size_datagram_may_begin_with_anything() {
        let mut octets = Vec::new();
        write::goodbye(Ssrc(1), None, &mut octets);
        let mut compound = Compound::parse(&octets).unwrap();
        assert!(compound.is_reduced_size());
        assert!(matches!(compound.next(), Some(Packet::Goodbye { reason: None, .. })));
    }

    #[test]
    fn application_packets_and_feedback_are_read_over() {
        let mut octets = vec![0x81, 204, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e', 0x81, 205, 0, 0];
        octets.extend_from_slice(&compound());
        let kinds: Vec<Packet<'_>> = Compound::parse(&octets).unwrap().take(2).collect();
        assert!(matches!(kinds[..], [Packet::Other(204), Packet::Other(205)]));
    }

    #[test]
    fn only_the_last_packet_may_be_padded() {
        let mut padded = vec![0xa0, RECEIVER_REPORT, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4];
        assert!(matches!(Compound::parse(&padded).unwrap().next(), Some(Packet::ReceiverReport { .. })));
        let mut followed = padded.clone();
        followed.extend_from_slice(&compound());
        assert_eq!(Compound::parse(&followed).unwrap_err(), RtcpError::Padding);
        for wrong in [0, 9, 255] {
            padded[11] = wrong;
            assert_eq!(Compound::parse(&padded).unwrap_err(), RtcpError::Padding);
        }
    }

    #[test]
    fn lengths_have_to_add_up_and_versions_to_fit() {
        assert_eq!(Compound::parse(&[]).unwrap_err(), RtcpError::Empty);
        let octets = compound();
        for length in 1..octets.len() {
            if let Ok(compound) = Compound::parse(&octets[..length]) {
                assert!(compound.count() < 3, "only whole packets are left of {length}");
            }
        }
        let mut other = octets.clone();
        other[0] = other[0] & 0x3f | 0x40;
        assert_eq!(Compound::parse(&other).unwrap_err(), RtcpError::Version(1));
    }

    #[test]
    fn a_report_that_counts_more_blocks_than_it_has_does_not_spoil_the_others() {
        let mut octets = compound();
        octets[0] |= 0x1f;
        let kinds: Vec<Packet<'_>> = Compound::parse(&octets).unwrap().collect();
        assert!(matches!(
            kinds[..],
            [Packet::Malformed(SENDER_REPORT), Packet::SourceDescription(_), Packet::Goodbye { .. }]
        ));
    }

    #[test]
    fn random_octets_are_read_or_refused() {
        let mut dice = Dice::new(2);
        for round in 0..100_000 {
            let mut octets = compound();
            if round % 2 == 0 {
                dice.fill(&mut octets);
                octets[0] = octets[0] & 0x3f | 0x80;
                octets[1] = 200 + (octets[1] & 7);
                octets[2] = 0;
                octets[3] %= 24;
            } else {
                for _ in 0..4 {
                    let at = dice.below(octets.len());
                    dice.fill(&mut octets[at..=at]);
                }
            }
            let Ok(compound) = Compound::parse(&octets) else { continue };
            for packet in compound {
                match packet {
                    Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => {
                        assert!(reports.count() <= 31);
                    }
                    Packet::SourceDescription(chunks) => {
                        assert!(chunks.map(|chunk| chunk.items.count()).sum::<usize>() <= octets.len() / 2);
                    }
                    Packet::Goodbye { sources, .. } => assert!(sources.count() <= 31),
                    Packet::ExtendedReport { .. } | Packet::Other(_) | Packet::Malformed(_) => {}
                }
            }
        }
    }
}
