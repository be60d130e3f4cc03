//! RTP packets (RFC 3550 §5.1): read without copying, written into a buffer that is used again. What the extension
//! of a header holds (RFC 8285) is left to others, as is the payload.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                           timestamp                           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                             SSRC                              |
//! +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
//! |  CSRC identifiers (CC of them), then the extension when X is  |
//! ```

use sdp::PayloadType;
use std::fmt;

/// Octets before the CSRCs.
const FIXED_HEADER: usize = 12;

/// A synchronisation source: who sends (§3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ssrc(pub u32);

/// A packet that was read: the fields, and slices of the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    /// For audio: the first packet after a silence (RFC 3551 §4.1). For telephone events: the first of an event.
    pub marker: bool,
    /// Which codec the payload is of.
    pub payload_type: PayloadType,
    /// Rises by one with every packet, and rolls over.
    pub sequence: u16,
    /// When the first sample was taken, by the clock of the payload type. Rolls over, too.
    pub timestamp: u32,
    /// Who sent it.
    pub ssrc: Ssrc,
    /// Whose contributions a mixer has put in.
    pub csrc: Csrc<'a>,
    /// The header's extension.
    pub extension: Option<Extension<'a>>,
    /// The payload, without the padding.
    pub payload: &'a [u8],
}

/// The extension of a header, not looked into (§5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What the profile says that it is; 0xBEDE for RFC 8285's short form.
    pub profile: u16,
    /// Its octets, whole words of four.
    pub data: &'a [u8],
}

/// The contributing sources of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Csrc<'a>(&'a [u8]);

/// The fields of a packet that we write: no padding, CSRC or extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// See [`RtpPacket::marker`].
    pub marker: bool,
    /// See [`RtpPacket::payload_type`].
    pub payload_type: PayloadType,
    /// See [`RtpPacket::sequence`].
    pub sequence: u16,
    /// See [`RtpPacket::timestamp`].
    pub timestamp: u32,
    /// See [`RtpPacket::ssrc`].
    pub ssrc: Ssrc,
}

/// Why a datagram is not an RTP packet. The peer's fault, or not RTP at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtpError {
    /// It ends before its header says.
    Truncated {
        /// The octets that the header tells of.
        expected: usize,
        /// The octets that came.
        got: usize,
    },
    /// It is of another version than 2.
    Version(u8),
    /// It tells of so much padding, which is none at all or more than there is payload.
    Padding(u8),
}

impl<'a> RtpPacket<'a> {
    /// Reads a datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<RtpPacket<'a>, RtpError> {
        let mut rest = Rest { datagram, read: 0 };
        let [first, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = rest.array::<FIXED_HEADER>()?;
        if first >> 6 != 2 {
            return Err(RtpError::Version(first >> 6));
        }
        let csrc = Csrc(rest.take(usize::from(first & 0x0f) * 4)?);
        let extension = if first & 0x10 == 0 {
            None
        } else {
            let [p0, p1, l0, l1] = rest.array::<4>()?;
            let data = rest.take(usize::from(u16::from_be_bytes([l0, l1])) * 4)?;
            Some(Extension { profile: u16::from_be_bytes([p0, p1]), data })
        };
        let payload = if first & 0x20 == 0 { rest.left() } else { without_padding(rest.left())? };
        Ok(RtpPacket {
            marker: second & 0x80 != 0,
            payload_type: PayloadType::new(second & 0x7f).expect("seven bits are a payload type"),
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes([i0, i1, i2, i3])),
            csrc,
            extension,
            payload,
        })
    }

    /// The fields that a packet of our own would have.
    pub fn header(&self) -> RtpHeader {
        RtpHeader {
            marker: self.marker,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        }
    }
}

impl RtpHeader {
    /// Appends the header; the payload goes behind it.
    pub fn write(&self, packet: &mut Vec<u8>) {
        packet.extend_from_slice(&[0x80, self.payload_type.number() | if self.marker { 0x80 } else { 0 }]);
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&self.timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.0.to_be_bytes());
    }
}

impl<'a> Csrc<'a> {
    /// The sources whose identifiers these octets are; RTCP's BYE lists them likewise (§6.6).
    pub(crate) fn of(octets: &'a [u8]) -> Csrc<'a> {
        Csrc(octets)
    }
}

impl Iterator for Csrc<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        let (first, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(Ssrc(u32::from_be_bytes(*first)))
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Display for RtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RtpError::Truncated { expected, got } => {
                write!(f, "an RTP packet of at least {expected} octets ends after {got}")
            }
            RtpError::Version(version) => write!(f, "RTP version {version}"),
            RtpError::Padding(padding) => write!(f, "an RTP packet that can't have {padding} octets of padding"),
        }
    }
}

impl std::error::Error for RtpError {}

/// The last octet of the padding counts them all, itself too (§5.1).
fn without_padding(padded: &[u8]) -> Result<&[u8], RtpError> {
    let padding = padded.last().copied().unwrap_or(0);
    match padded.len().checked_sub(usize::from(padding)) {
        Some(payload) if padding > 0 => Ok(&padded[..payload]),
        _ => Err(RtpError::Padding(padding)),
    }
}

struct Rest<'a> {
    datagram: &'a [u8],
    read: usize,
}

impl<'a> Rest<'a> {
    fn left(&self) -> &'a [u8] {
        &self.datagram[self.read..]
    }

    fn take(&mut self, octets: usize) -> Result<&'a [u8], RtpError> {
        let expected = self.read + octets;
        let taken = self.datagram.get(self.read..expected);
        let taken = taken.ok_or(RtpError::Truncated { expected, got: self.datagram.len() })?;
        self.read = expected;
        Ok(taken)
    }

    fn array<const OCTETS: usize>(&mut self) -> Result<[u8; OCTETS], RtpError> {
        let taken = self.take(OCTETS)?;
        Ok(taken.try_into().expect("as many octets were taken as were asked for"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::dice::Dice;

    fn header() -> RtpHeader {
        RtpHeader {
            marker: true,
            payload_type: PayloadType::new(96).unwrap(),
            sequence: 0x0102,
            timestamp: 0x0304_0506,
            ssrc: Ssrc(0x0708_090a),
        }
    }

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        header().write(&mut packet);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let octets = packet(b"audio");
        let read = RtpPacket::parse(&octets).unwrap();
        assert_eq!(read.header(), header());
        assert_eq!(read.payload, b"audio");
        assert_eq!(read.csrc.count(), 0);
        assert_eq!(read.extension, None);
    }

    #[test]
    fn csrcs_and_the_extension_come_before_the_payload_and_the_padding_after_it() {
        let mut octets = packet(&[]);
        octets[0] |= 0x20 | 0x10 | 2;
        octets.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
        octets.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
        octets.extend_from_slice(b"audio\0\0\x03");
        let read = RtpPacket::parse(&octets).unwrap();
        assert_eq!(read.csrc.collect::<Vec<_>>(), [Ssrc(1), Ssrc(2)]);
        assert_eq!(read.extension, Some(Extension { profile: 0xbede, data: &[0x10, 0xff, 0, 0] }));
        assert_eq!(read.payload, b"audio");
    }

    #[test]
    fn a_packet_of_padding_alone_is_an_empty_one() {
        let mut octets = packet(&[0, 0, 0, 4]);
        octets[0] |= 0x20;
        assert_eq!(RtpPacket::parse(&octets).unwrap().payload, b"");
    }

    #[test]
    fn padding_may_not_reach_into_the_header_or_be_none() {
        for (octets, padding) in [(&[9, 9, 4][..], 4), (&[9, 0], 0), (&[], 0)] {
            let mut octets = packet(octets);
            octets[0] |= 0x20;
            assert_eq!(RtpPacket::parse(&octets), Err(RtpError::Padding(padding)));
        }
    }

    #[test]
    fn a_packet_that_ends_too_early_is_refused_at_every_octet() {
        let mut octets = packet(&[]);
        octets[0] |= 0x10 | 3;
        octets.extend_from_slice(&[0; 12]);
        octets.extend_from_slice(&[0, 0, 0, 2]);
        octets.extend_from_slice(&[0; 8]);
        for length in 0..octets.len() {
            let error = RtpPacket::parse(&octets[..length]).unwrap_err();
            assert!(matches!(error, RtpError::Truncated { expected, got } if got == length && expected > length));
        }
        assert_eq!(RtpPacket::parse(&octets).unwrap().payload, b"");
    }

    #[test]
    fn other_versions_are_refused() {
        for version in [0, 1, 3] {
            let mut octets = packet(b"audio");
            octets[0] = octets[0] & 0x3f | version << 6;
            assert_eq!(RtpPacket::parse(&octets), Err(RtpError::Version(version)));
        }
    }

    #[test]
    fn random_octets_are_read_or_refused_and_what_is_read_lies_within_them() {
        let mut dice = Dice::new(1);
        for _ in 0..100_000 {
            let mut octets = vec![0; dice.below(80)];
            dice.fill(&mut octets);
            if let (Some(first), true) = (octets.first_mut(), dice.below(8) > 0) {
                *first = *first & 0x3f | 0x80;
            }
            if let Ok(read) = RtpPacket::parse(&octets) {
                let counted = FIXED_HEADER
                    + read.csrc.count() * 4
                    + read.extension.map_or(0, |extension| 4 + extension.data.len())
                    + read.payload.len();
                assert!(counted <= octets.len());
            }
        }
    }
}
