//! Extended reports (RFC 3611): of the blocks only the VoIP metrics (§4.7) are read, and of these what a caller can
//! make use of. We send none.

use crate::rtp::Ssrc;
use std::time::Duration;

const VOIP_METRICS: u8 = 7;
/// In octets, without the block's header.
const VOIP_METRICS_LENGTH: usize = 32;

/// How the peer hears us, by his own account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoipMetrics {
    /// The part of our packets that the network lost, 0 to 1.
    pub lost: f32,
    /// The part that came too late for him, 0 to 1.
    pub discarded: f32,
    /// To us and back, if he knows.
    pub round_trip: Option<Duration>,
    /// What his end adds: packetizing, jitter buffer, sound device; if he knows.
    pub end_system_delay: Option<Duration>,
    /// His rating factor, 0 to 100.
    pub r_factor: Option<u8>,
    /// The listening quality (without delay), 1 to 5.
    pub mos_listening: Option<f32>,
    /// The conversational quality (with delay), 1 to 5.
    pub mos_conversation: Option<f32>,
    /// How long his jitter buffer holds our packets back.
    pub jitter_buffer: Duration,
}

/// The first block of VoIP metrics among the blocks, and whom it is about.
pub(crate) fn voip_metrics(mut blocks: &[u8]) -> Option<(Ssrc, VoipMetrics)> {
    while let Some((&[kind, _, l0, l1], rest)) = blocks.split_first_chunk::<4>() {
        let (block, behind) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])) * 4)?;
        if let (VOIP_METRICS, Some(block)) = (kind, block.first_chunk::<VOIP_METRICS_LENGTH>()) {
            return Some(read(block));
        }
        blocks = behind;
    }
    None
}

fn read(block: &[u8; VOIP_METRICS_LENGTH]) -> (Ssrc, VoipMetrics) {
    let milliseconds = |at: usize| Duration::from_millis(u16::from_be_bytes([block[at], block[at + 1]]).into());
    let known = |span: Duration| (!span.is_zero()).then_some(span);
    // 127 says "unavailable", and whatever is beyond the scale must be ignored.
    let score = |at: usize| (10..=50).contains(&block[at]).then(|| f32::from(block[at]) / 10.0);
    let metrics = VoipMetrics {
        lost: f32::from(block[4]) / 256.0,
        discarded: f32::from(block[5]) / 256.0,
        round_trip: known(milliseconds(12)),
        end_system_delay: known(milliseconds(14)),
        r_factor: Some(block[20]).filter(|r_factor| *r_factor <= 100),
        mos_listening: score(22),
        mos_conversation: score(23),
        jitter_buffer: milliseconds(26),
    };
    (Ssrc(u32::from_be_bytes([block[0], block[1], block[2], block[3]])), metrics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Compound, Packet};

    fn block() -> Vec<u8> {
        let mut block = vec![7, 0, 0, 8, 0, 0, 0, 2];
        block.extend_from_slice(&[64, 128, 0, 0, 0, 0, 0, 0]);
        block.extend_from_slice(&[0, 150, 0, 60, 0, 0, 127, 16]);
        block.extend_from_slice(&[93, 127, 44, 41, 0xf0, 0, 0, 40, 0, 80, 0, 200]);
        block
    }

    fn report(blocks: &[u8]) -> Vec<u8> {
        let mut octets = vec![0x80, 207, 0, 0, 0, 0, 0, 9];
        octets.extend_from_slice(blocks);
        octets[3] = u8::try_from(octets.len() / 4 - 1).unwrap();
        octets
    }

    #[test]
    fn voip_metrics_are_found_behind_other_blocks() {
        let mut blocks = vec![4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
        blocks.extend_from_slice(&block());
        let octets = report(&blocks);
        let Some(Packet::ExtendedReport { ssrc: Ssrc(9), voice: Some((Ssrc(2), metrics)) }) =
            Compound::parse(&octets).unwrap().next()
        else {
            panic!("an extended report");
        };
        assert_eq!((metrics.lost, metrics.discarded), (0.25, 0.5));
        assert_eq!(metrics.round_trip, Some(Duration::from_millis(150)));
        assert_eq!(metrics.end_system_delay, Some(Duration::from_millis(60)));
        assert_eq!(metrics.r_factor, Some(93));
        assert_eq!((metrics.mos_listening, metrics.mos_conversation), (Some(4.4), Some(4.1)));
        assert_eq!(metrics.jitter_buffer, Duration::from_millis(40));
    }

    #[test]
    fn what_is_unavailable_or_beyond_its_scale_is_none() {
        let mut block = block();
        block[24] = 127;
        block[26] = 127;
        block[27] = 9;
        block[16..20].fill(0);
        let (_, metrics) = voip_metrics(&block).unwrap();
        assert_eq!((metrics.r_factor, metrics.mos_listening, metrics.mos_conversation), (None, None, None));
        assert_eq!((metrics.round_trip, metrics.end_system_delay), (None, None));
    }

    #[test]
    fn blocks_that_are_cut_have_no_metrics() {
        let block = block();
        for length in 0..block.len() {
            assert_eq!(voip_metrics(&block[..length]), None);
        }
    }
}
