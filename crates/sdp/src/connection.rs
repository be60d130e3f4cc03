//! Connection data, the `c=` line (RFC 8866 §5.7).
//!
//! Also the address of a hold in RFC 2543's manner, `c=IN IP4 0.0.0.0`, which
//! RFC 3264 §8.4 still obliges us to understand. What may be *sent to* an address
//! is decided in `capabilities`.

use crate::text::Token;
use std::fmt;
use std::net::IpAddr;

/// `<nettype> <addrtype> <connection-address>`, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionData {
    /// The network, `IN` in all practice.
    pub network: Token,
    /// `IP4`, `IP6` or something newer.
    pub address_type: Token,
    /// Address or host name, with the suffixes of a multicast address if any
    /// (`224.2.1.1/127/3`).
    pub address: Token,
}

/// What kind of place an address names, as far as its digits tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// A host somewhere.
    Unicast,
    /// `0.0.0.0` or `::`: no media may be sent (RFC 3264 §8.4).
    Unspecified,
    /// This very machine.
    Loopback,
    /// Everybody on a network.
    Broadcast,
    /// A group.
    Multicast,
    /// A host name, which only a resolver can judge.
    HostName,
}

impl ConnectionData {
    /// The connection data of a plain unicast address.
    pub fn new(address: IpAddr) -> ConnectionData {
        ConnectionData {
            network: Token::literal("IN"),
            address_type: Token::literal(if address.is_ipv4() { "IP4" } else { "IP6" }),
            address: Token::literal(address.to_string()),
        }
    }

    /// Reads the three fields of a `c=` line or of the tail of `a=rtcp`.
    pub(crate) fn parse(value: &str) -> Option<ConnectionData> {
        let mut words = value.split_ascii_whitespace();
        let connection = ConnectionData {
            network: Token::new(words.next()?).ok()?,
            address_type: Token::new(words.next()?).ok()?,
            address: Token::new(words.next()?).ok()?,
        };
        words.next().is_none().then_some(connection)
    }

    /// The address without its suffixes, unless it is a host name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// Address or host name without the suffixes of a multicast address.
    pub fn host(&self) -> &str {
        self.address.split('/').next().unwrap_or_default()
    }

    /// The time to live of an IPv4 multicast address.
    pub fn ttl(&self) -> Option<u8> {
        (self.address_type == "IP4").then(|| self.address.split('/').nth(1)?.parse().ok()).flatten()
    }

    /// What kind of place this is.
    pub fn class(&self) -> AddressClass {
        let Some(ip) = self.ip() else {
            return AddressClass::HostName;
        };
        // An IPv4 address in IPv6 clothes is the IPv4 address.
        match ip.to_canonical() {
            ip if ip.is_unspecified() => AddressClass::Unspecified,
            ip if ip.is_loopback() => AddressClass::Loopback,
            ip if ip.is_multicast() => AddressClass::Multicast,
            IpAddr::V4(v4) if v4.is_broadcast() => AddressClass::Broadcast,
            _ => AddressClass::Unicast,
        }
    }
}

impl fmt::Display for ConnectionData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.network, self.address_type, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(value: &str) -> AddressClass {
        ConnectionData::parse(value).unwrap().class()
    }

    #[test]
    fn an_address_is_classed_by_its_digits() {
        assert_eq!(class("IN IP4 192.0.2.1"), AddressClass::Unicast);
        assert_eq!(class("IN IP6 2001:db8::1"), AddressClass::Unicast);
        assert_eq!(class("IN IP4 0.0.0.0"), AddressClass::Unspecified);
        assert_eq!(class("IN IP6 ::"), AddressClass::Unspecified);
        assert_eq!(class("IN IP4 127.9.9.9"), AddressClass::Loopback);
        assert_eq!(class("IN IP6 ::ffff:127.0.0.1"), AddressClass::Loopback);
        assert_eq!(class("IN IP4 255.255.255.255"), AddressClass::Broadcast);
        assert_eq!(class("IN IP4 224.2.1.1/127/3"), AddressClass::Multicast);
        assert_eq!(class("IN IP6 FF15::101/3"), AddressClass::Multicast);
        assert_eq!(class("IN IP4 host.example.com"), AddressClass::HostName);
    }

    #[test]
    fn the_time_to_live_belongs_to_ipv4_only() {
        let ttl = |value| ConnectionData::parse(value).unwrap().ttl();
        assert_eq!(ttl("IN IP4 224.2.1.1/127/3"), Some(127));
        assert_eq!(ttl("IN IP6 FF15::101/3"), None);
    }
}
