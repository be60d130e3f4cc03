//! Which source a media port listens to. Symmetric RTP (RFC 4961) without bleeding: whoever sprays packets at ports
//! must neither be heard nor be answered.

use std::net::{IpAddr, SocketAddr};

/// So many packets in a row from one source settle that it is the peer.
const PROOF: u8 = 3;

/// Decides for each packet whether its source is the peer.
#[derive(Clone, Debug)]
pub struct SourceLock {
    /// The address that was signalled. A peer behind an address translator comes from another one.
    signalled: Option<IpAddr>,
    candidate: Option<(SocketAddr, u8)>,
    locked: Option<SocketAddr>,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the peer's.
    Accept,
    /// It may be the peer's; nothing is done with it yet.
    Wait,
    /// It is a stranger's.
    Drop,
}

impl SourceLock {
    /// A lock that expects a peer at this address, or anywhere.
    pub fn new(signalled: Option<IpAddr>) -> SourceLock {
        SourceLock { signalled, candidate: None, locked: None }
    }

    /// Decides about a packet.
    pub fn judge(&mut self, source: SocketAddr) -> Verdict {
        if let Some(locked) = self.locked {
            return if locked == source { Verdict::Accept } else { Verdict::Drop };
        }
        if self.signalled == Some(source.ip()) {
            self.locked = Some(source);
            return Verdict::Accept;
        }
        let seen = match self.candidate {
            Some((candidate, seen)) if candidate == source => seen + 1,
            _ => 1,
        };
        if seen >= PROOF {
            self.locked = Some(source);
            return Verdict::Accept;
        }
        self.candidate = Some((source, seen));
        Verdict::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn the_signalled_address_is_heard_at_once_and_nobody_else_then() {
        let mut lock = SourceLock::new(Some(at(0).ip()));
        assert_eq!(lock.judge(at(4000)), Verdict::Accept);
        assert_eq!(lock.judge(at(4002)), Verdict::Drop);
        assert_eq!(lock.judge(at(4000)), Verdict::Accept);
    }

    #[test]
    fn another_address_has_to_send_several_packets_in_a_row() {
        let mut lock = SourceLock::new(Some(IpAddr::from([192, 0, 2, 1])));
        assert_eq!(lock.judge(at(1)), Verdict::Wait);
        assert_eq!(lock.judge(at(2)), Verdict::Wait);
        assert_eq!(lock.judge(at(1)), Verdict::Wait);
        assert_eq!(lock.judge(at(1)), Verdict::Wait);
        assert_eq!(lock.judge(at(1)), Verdict::Accept);
        assert_eq!(lock.judge(at(2)), Verdict::Drop);
    }
}
