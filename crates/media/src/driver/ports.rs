//! Pairs of ports out of a range: an even one for RTP and the odd one above it for RTCP (RFC 3550 §11).

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;

/// Finds free pairs. Goes round through the range, so that a port rests before it is taken again: late packets of the
/// last call do not come into the next one.
#[derive(Debug)]
pub(super) struct Ports {
    first: u16,
    pairs: u16,
    next: u16,
}

/// Two bound sockets.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    pub(super) rtp_address: SocketAddr,
    pub(super) rtcp_address: SocketAddr,
}

impl Ports {
    /// From the first to the last port, both included. `start` is any number: where in the range to begin, so that two
    /// engines do not try the same ones.
    pub(super) fn new((first, last): (u16, u16), start: u16) -> Ports {
        let first = first.saturating_add(first & 1).max(2);
        let pairs = (last.saturating_sub(first).saturating_add(1)) / 2;
        Ports { first, pairs, next: start.checked_rem(pairs).unwrap_or(0) }
    }

    /// A free pair at an address.
    pub(super) fn bind(&mut self, ip: IpAddr) -> io::Result<Pair> {
        let mut last_error = None;
        for _ in 0..self.pairs {
            let port = self.first + 2 * self.next;
            self.next = (self.next + 1) % self.pairs;
            match bind_pair(ip, port) {
                Ok(pair) => return Ok(pair),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last_error = Some(error),
                // The address is not ours, or there are no more descriptors: other ports do not help.
                Err(error) => return Err(error),
            }
        }
        Err(last_error.unwrap_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "no ports in the range")))
    }
}

fn bind_pair(ip: IpAddr, port: u16) -> io::Result<Pair> {
    let rtp = UdpSocket::bind(SocketAddr::new(ip, port))?;
    let rtcp = UdpSocket::bind(SocketAddr::new(ip, port + 1))?;
    Ok(Pair { rtp_address: rtp.local_addr()?, rtcp_address: rtcp.local_addr()?, rtp, rtcp })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_pair_is_an_even_port_and_the_odd_one_above() {
        let mut ports = Ports::new((48_001, 48_101), 7);
        let pair = ports.bind(LOOPBACK).unwrap();
        assert_eq!(pair.rtp_address.port() % 2, 0);
        assert_eq!(pair.rtcp_address.port(), pair.rtp_address.port() + 1);
        assert!((48_002..48_101).contains(&pair.rtp_address.port()));
    }

    #[test]
    fn a_pair_is_not_taken_twice_and_rests_when_it_is_free_again() {
        let mut ports = Ports::new((48_200, 48_205), 0);
        let one = ports.bind(LOOPBACK).unwrap();
        let freed = one.rtp_address.port();
        drop(one);
        let (two, three) = (ports.bind(LOOPBACK).unwrap(), ports.bind(LOOPBACK).unwrap());
        assert!(two.rtp_address.port() != freed && three.rtp_address.port() != freed);
        assert_eq!(ports.bind(LOOPBACK).unwrap().rtp_address.port(), freed);
    }

    #[test]
    fn a_range_that_is_taken_or_empty_is_said_to_be_in_use() {
        let mut ports = Ports::new((48_300, 48_301), 0);
        let _held = ports.bind(LOOPBACK).unwrap();
        assert_eq!(ports.bind(LOOPBACK).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(Ports::new((9, 8), 3).bind(LOOPBACK).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
