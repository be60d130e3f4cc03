//! Which of this machine's addresses a client can use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::transports::source_address;

/// Addresses of documentation networks (RFC 5737, RFC 3849): nothing is sent there, the routing table is only asked.
const ABROAD: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

/// The addresses that the world and this machine itself reach us by, those for the world first.
pub fn local_addresses() -> Vec<IpAddr> {
    let abroad = ABROAD.into_iter().filter_map(|remote| source_address(remote).ok());
    let abroad = abroad.filter(|address| !address.is_loopback() && !address.is_unspecified());
    let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    abroad.chain(here).filter(|address| UdpSocket::bind((*address, 0)).is_ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_itself_can_always_be_reached() {
        assert!(local_addresses().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
