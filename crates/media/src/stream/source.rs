//! Whose packets are heard and to whom ours go: symmetric RTP (RFC 4961) without bleeding.
//!
//! Whoever sprays packets at ports must neither be heard nor be answered. So the address that was signalled is believed
//! at once, and another one only if the signalled one stays silent, if nobody else sends meanwhile, and until the
//! signalled one is heard. After that nothing is learnt until the next signalled change.
//!
//! ```text
//!                    signalled address sends
//!   (nobody) ───────────────────────────────────────────► locked to it
//!      │                                                       ▲
//!      │ for GRACE nothing from there, PROOF packets in a row  │ signalled address sends
//!      └──────────────────────────────────► locked to another ─┘
//! ```
//!
//! Where packets are authenticated (SRTP) they are heard from wherever they come; where ours go is settled once as above,
//! only that an authentic packet proves itself. Where ICE runs, this is not asked at all: its checks say who the peer is.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// For so long the signalled address may be silent before another one is listened to.
const GRACE: Duration = Duration::from_millis(300);

/// So many packets in a row, in sequence, make another address the peer's.
const PROOF: u8 = 3;

/// Decides for each packet whether it is the peer's.
#[derive(Clone, Debug)]
pub(super) struct PeerSource {
    /// What the description says.
    signalled: Option<SocketAddr>,
    since: Instant,
    candidate: Option<Candidate>,
    locked: Option<SocketAddr>,
    /// Packets that were not the peer's.
    strangers: u64,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    address: SocketAddr,
    ssrc: u32,
    next: u16,
    seen: u8,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the peer's.
    Accept,
    /// It is the first one that is the peer's, or the first from another address.
    Locked,
    /// It is a stranger's, or not yet known to be the peer's.
    Drop,
}

impl PeerSource {
    /// Expects a peer that has signalled this address.
    pub(super) fn new(now: Instant, signalled: Option<SocketAddr>) -> PeerSource {
        PeerSource { signalled, since: now, candidate: None, locked: None, strangers: 0 }
    }

    /// The peer has signalled again: if the address is another one, all is learnt anew.
    pub(super) fn signal(&mut self, now: Instant, signalled: Option<SocketAddr>) {
        if self.signalled != signalled {
            *self = PeerSource { strangers: self.strangers, ..PeerSource::new(now, signalled) };
        }
    }

    /// Decides about a packet that could be anybody's.
    pub(super) fn judge(&mut self, now: Instant, from: SocketAddr, ssrc: u32, sequence: u16) -> Verdict {
        if self.locked == Some(from) {
            return Verdict::Accept;
        }
        if self.signalled == Some(from) || (self.locked.is_none() && self.is_proven(now, from, ssrc, sequence)) {
            self.locked = Some(from);
            return Verdict::Locked;
        }
        self.strangers += 1;
        Verdict::Drop
    }

    /// Decides about a packet that is certainly the peer's.
    pub(super) fn judge_authentic(&mut self, from: SocketAddr) -> Verdict {
        let settles = self.locked.is_none() || self.signalled == Some(from);
        if settles && self.locked != Some(from) {
            self.locked = Some(from);
            return Verdict::Locked;
        }
        Verdict::Accept
    }

    /// Where our packets go.
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        self.locked.or(self.signalled)
    }

    /// How many packets were not the peer's.
    pub(super) fn strangers(&self) -> u64 {
        self.strangers
    }

    /// Whether packets from there can be the peer's, as far as addresses tell.
    pub(super) fn is_plausible(&self, from: SocketAddr) -> bool {
        self.locked == Some(from)
            || self.signalled == Some(from)
            || (self.locked.is_none() && self.may_learn(from.ip()))
    }

    fn is_proven(&mut self, now: Instant, from: SocketAddr, ssrc: u32, sequence: u16) -> bool {
        if !self.may_learn(from.ip()) {
            return false;
        }
        let seen = match self.candidate {
            Some(Candidate { address, ssrc: of, next, seen }) if (address, of, next) == (from, ssrc, sequence) => {
                seen.saturating_add(1)
            }
            // A second one sends as well: which of the two the peer is, nobody can tell yet.
            _ => 1,
        };
        self.candidate = Some(Candidate { address: from, ssrc, next: sequence.wrapping_add(1), seen });
        seen >= PROOF && now.saturating_duration_since(self.since) >= GRACE
    }

    /// Whether a peer who signalled that address can come from this one: from another port of the same host, or, where
    /// the signalled one means nothing outside the peer's own network, through an address translator.
    fn may_learn(&self, from: IpAddr) -> bool {
        self.signalled.is_none_or(|signalled| signalled.ip() == from || !is_global(signalled.ip()))
    }
}

/// Whether an address is one that the whole internet reaches.
pub(super) fn is_global(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // RFC 6598: behind a carrier's translator.
            let shared = first == 100 && second & 0xc0 == 64;
            !(shared
                || address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_documentation())
        }
        IpAddr::V6(address) => {
            let first = address.segments()[0];
            let local = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80;
            !(local || address.is_loopback() || address.is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], port))
    }

    struct Listener {
        source: PeerSource,
        start: Instant,
    }

    impl Listener {
        fn expecting(signalled: SocketAddr) -> Listener {
            let start = Instant::now();
            Listener { source: PeerSource::new(start, Some(signalled)), start }
        }

        fn hears(&mut self, millis: u64, from: SocketAddr, sequence: u16) -> Verdict {
            let now = self.start + Duration::from_millis(millis);
            self.source.judge(now, from, u32::from(from.port()), sequence)
        }
    }

    #[test]
    fn the_signalled_address_is_heard_at_once_and_nobody_else_then() {
        let mut listener = Listener::expecting(at(1, 4_000));
        assert_eq!(listener.hears(0, at(1, 4_000), 7), Verdict::Locked);
        for step in 0..1_000 {
            assert_eq!(listener.hears(step, at(1, 4_002), step as u16), Verdict::Drop);
            assert_eq!(listener.hears(step, at(2, 4_000), step as u16), Verdict::Drop);
        }
        assert_eq!(listener.hears(1_000, at(1, 4_000), 8), Verdict::Accept);
        assert_eq!(listener.source.strangers(), 2_000);
    }

    /// Security row 22: a spray that began before the peer did.
    #[test]
    fn a_stranger_who_was_there_first_is_left_when_the_signalled_address_sends() {
        let mut listener = Listener::expecting(at(1, 4_000));
        for step in 0..300 {
            assert_eq!(listener.hears(step, at(2, 9_999), step as u16), Verdict::Drop);
            assert_eq!(listener.source.destination(), Some(at(1, 4_000)));
        }
        assert_eq!(listener.hears(300, at(2, 9_999), 300), Verdict::Locked);
        assert_eq!(listener.hears(301, at(1, 4_000), 1), Verdict::Locked);
        assert_eq!(listener.hears(302, at(2, 9_999), 301), Verdict::Drop);
        assert_eq!(listener.source.destination(), Some(at(1, 4_000)));
    }

    #[test]
    fn a_peer_behind_a_translator_is_heard_after_the_grace_where_he_sends_alone() {
        let mut listener = Listener::expecting(at(1, 4_000));
        let outside = SocketAddr::from(([203, 0, 113, 7], 61_000));
        for step in 0..15 {
            assert_eq!(listener.hears(step * 20, outside, step as u16), Verdict::Drop);
        }
        assert_eq!(listener.hears(300, outside, 15), Verdict::Locked);
        assert_eq!(listener.source.destination(), Some(outside));
    }

    #[test]
    fn of_two_who_send_in_turns_none_is_believed() {
        let mut listener = Listener::expecting(at(1, 4_000));
        for step in 0..1_000 {
            assert_eq!(listener.hears(step * 20, at(2, 1), step as u16), Verdict::Drop);
            assert_eq!(listener.hears(step * 20, at(3, 1), step as u16), Verdict::Drop);
        }
    }

    #[test]
    fn a_peer_with_a_public_address_comes_from_that_host_and_no_other() {
        let public = SocketAddr::from(([198, 18, 0, 1], 4_000));
        let mut listener = Listener::expecting(public);
        for step in 0..1_000 {
            assert_eq!(listener.hears(step * 20, at(2, 1), step as u16), Verdict::Drop);
        }
        let other_port = SocketAddr::new(public.ip(), 4_444);
        let verdicts: Vec<Verdict> = (0..3).map(|n| listener.hears(20_000 + n, other_port, n as u16)).collect();
        assert_eq!(verdicts, [Verdict::Drop, Verdict::Drop, Verdict::Locked]);
    }

    #[test]
    fn what_is_signalled_again_is_kept_and_another_address_is_learnt_anew() {
        let mut listener = Listener::expecting(at(1, 4_000));
        listener.hears(0, at(1, 4_000), 0);
        listener.source.signal(listener.start, Some(at(1, 4_000)));
        assert_eq!(listener.source.locked, Some(at(1, 4_000)));
        listener.source.signal(listener.start, Some(at(5, 4_000)));
        assert_eq!(listener.source.destination(), Some(at(5, 4_000)));
        assert_eq!(listener.hears(0, at(1, 4_000), 1), Verdict::Drop);
        assert_eq!(listener.hears(1, at(5, 4_000), 0), Verdict::Locked);
    }

    #[test]
    fn an_authentic_packet_is_heard_from_anywhere_and_moves_nothing_once_settled() {
        let mut source = PeerSource::new(Instant::now(), Some(at(1, 4_000)));
        assert_eq!(source.judge_authentic(at(9, 1)), Verdict::Locked);
        assert_eq!(source.judge_authentic(at(8, 1)), Verdict::Accept);
        assert_eq!(source.destination(), Some(at(9, 1)));
        assert_eq!(source.judge_authentic(at(1, 4_000)), Verdict::Locked);
        assert_eq!(source.destination(), Some(at(1, 4_000)));
    }
}
