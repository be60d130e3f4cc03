//! Somebody has our SSRC (RFC 3550 §8.2): another participant by chance, or our own packets have found a way back.
//!
//! A collision is one in four thousand million; a way back is common, since echo services and some gateways return
//! packets as they are. Those are heard, not dropped as §8.2 does in a conference: in a call of two it is the peer who
//! sends them, and a caller of an echo service wants to hear himself.

use super::{RtpPacket, RtpSender};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// So many conflicting addresses are remembered.
const REMEMBERED: usize = 8;

/// An address is forgotten when nothing has come from it for so long: ten report intervals (§8.2).
const FORGOTTEN: Duration = Duration::from_secs(50);

/// What a packet with our own SSRC means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// When another participant has chosen our SSRC: send BYE for it and take another.
    Collision,
    /// When our own packets come back: nothing to be done, another SSRC would come back as well.
    Loop,
}

/// The addresses from which our own SSRC has come.
#[derive(Clone, Debug, Default)]
pub struct Collisions {
    conflicting: Vec<(SocketAddr, Instant)>,
}

impl Collisions {
    /// Judges a packet from an address; nothing, if its SSRC is not ours.
    pub fn judge(
        &mut self,
        now: Instant,
        from: SocketAddr,
        sender: &RtpSender,
        packet: &RtpPacket<'_>,
    ) -> Option<Conflict> {
        if packet.ssrc != sender.ssrc() {
            return None;
        }
        self.conflicting.retain(|(_, seen)| now.saturating_duration_since(*seen) < FORGOTTEN);
        let known = self.conflicting.iter_mut().find(|(address, _)| *address == from);
        let again = known.is_some();
        match known {
            Some((_, seen)) => *seen = now,
            None => {
                if self.conflicting.len() == REMEMBERED {
                    self.conflicting.remove(0);
                }
                self.conflicting.push((from, now));
            }
        }
        // From where it has come before, it comes under any SSRC: the second one was not chosen by chance.
        Some(if again || sender.sent_recently(packet) { Conflict::Loop } else { Conflict::Collision })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{ClockRate, Ssrc};
    use sdp::PayloadType;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn sender() -> RtpSender {
        RtpSender::new(ClockRate::NARROW, &mut |octets| octets.fill(3))
    }

    fn packet(ssrc: Ssrc, sequence: u16, timestamp: u32) -> RtpPacket<'static> {
        let octets: &'static [u8] = &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let packet = RtpPacket::parse(octets).unwrap();
        RtpPacket { ssrc, sequence, timestamp, payload_type: PayloadType::new(0).unwrap(), ..packet }
    }

    #[test]
    fn a_packet_of_another_source_is_no_conflict() {
        let sender = sender();
        let other = packet(Ssrc(1), 1, 1);
        assert_eq!(Collisions::default().judge(Instant::now(), at(1), &sender, &other), None);
    }

    #[test]
    fn a_stranger_with_our_ssrc_is_a_collision_once_and_a_loop_when_it_follows_the_change() {
        let (mut sender, mut collisions, now) = (sender(), Collisions::default(), Instant::now());
        let stranger = packet(sender.ssrc(), 30_000, 1 << 31);
        assert_eq!(collisions.judge(now, at(1), &sender, &stranger), Some(Conflict::Collision));
        sender.change_ssrc(&mut |octets| octets.fill(9));
        assert_eq!(collisions.judge(now, at(1), &sender, &stranger), None);
        let follower = packet(sender.ssrc(), 30_001, 1 << 31);
        assert_eq!(collisions.judge(now, at(1), &sender, &follower), Some(Conflict::Loop));
        assert_eq!(collisions.judge(now + FORGOTTEN, at(1), &sender, &follower), Some(Conflict::Collision));
    }

    #[test]
    fn a_mirror_is_a_loop_from_its_first_packet() {
        let (mut sender, mut collisions, now) = (sender(), Collisions::default(), Instant::now());
        let mut sent = Vec::new();
        sender.write(now, PayloadType::new(0).unwrap(), true, &[0; 160], &mut sent);
        sender.advance(160);
        let mirrored = RtpPacket::parse(&sent).unwrap();
        assert_eq!(collisions.judge(now, at(1), &sender, &mirrored), Some(Conflict::Loop));
    }

    #[test]
    fn a_spray_of_addresses_is_not_remembered_without_end() {
        let (sender, mut collisions, now) = (sender(), Collisions::default(), Instant::now());
        let stranger = packet(sender.ssrc(), 30_000, 1 << 31);
        for port in 1..1_000 {
            assert_eq!(collisions.judge(now, at(port), &sender, &stranger), Some(Conflict::Collision));
        }
        assert_eq!(collisions.conflicting.len(), REMEMBERED);
    }
}
