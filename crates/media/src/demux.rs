//! Which protocol a datagram at a media port speaks: by its first octet (RFC 7983 §7), and RTP from RTCP by its
//! second (RFC 5761 §4).
//!
//! ```text
//!                +----------------+
//!                |        [0..3] -+--> forward to STUN
//!                |      [16..19] -+--> drop (ZRTP)
//!    packet -->  |      [20..63] -+--> forward to DTLS
//!                |      [64..79] -+--> drop (TURN channel)
//!                |    [128..191] -+--> forward to RTP/RTCP
//!                +----------------+
//! ```
//!
//! Whether a datagram is what its first octets claim is left to the protocol's own reader.

/// What a datagram claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Datagram {
    /// STUN: connectivity checks and their answers.
    Stun,
    /// DTLS: a handshake for keys.
    Dtls,
    /// RTP, or SRTP where keys are agreed.
    Rtp,
    /// RTCP, or SRTCP where keys are agreed.
    Rtcp,
    /// Nothing that belongs here: ZRTP, TURN channels, empty datagrams and noise.
    Unknown,
}

/// Payload types that RTP may not use where RTCP shares its port, because with the marker bit they look like RTCP's
/// packet types 192 to 223 (RFC 5761 §4).
pub const RTCP_RANGE: std::ops::RangeInclusive<u8> = 64..=95;

impl Datagram {
    /// Tells by the first two octets.
    pub fn classify(datagram: &[u8]) -> Datagram {
        match *datagram {
            [0..=3, ..] => Datagram::Stun,
            [20..=63, ..] => Datagram::Dtls,
            [128..=191, second, ..] if RTCP_RANGE.contains(&(second & 0x7f)) => Datagram::Rtcp,
            [128..=191, _, ..] => Datagram::Rtp,
            _ => Datagram::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7983 §7, Figure 3.
    #[test]
    fn the_first_octet_tells_the_protocol() {
        for first in 0..=u8::MAX {
            let expected = match first {
                0..=3 => Datagram::Stun,
                20..=63 => Datagram::Dtls,
                128..=191 => Datagram::Rtp,
                _ => Datagram::Unknown,
            };
            assert_eq!(Datagram::classify(&[first, 0]), expected, "{first}");
        }
    }

    /// RFC 5761 §4: sender and receiver reports, SDES, BYE, APP, feedback (RFC 4585) and XR (RFC 3611).
    #[test]
    fn the_second_octet_tells_rtcp_from_rtp() {
        for packet_type in 192..=223 {
            assert_eq!(Datagram::classify(&[0x80, packet_type]), Datagram::Rtcp, "{packet_type}");
        }
        for payload_type in (0..64).chain(96..=127) {
            for marker in [0, 0x80] {
                assert_eq!(Datagram::classify(&[0x80, payload_type | marker]), Datagram::Rtp, "{payload_type}");
            }
        }
    }

    /// Keep-alives of phones: nothing, or CR LF.
    #[test]
    fn an_empty_datagram_is_unknown() {
        for datagram in [&b""[..], b"\r\n\r\n", &[0x80]] {
            assert_eq!(Datagram::classify(datagram), Datagram::Unknown);
        }
    }
}
