//! `host`, RFC 3261 §25.1: a name, an IPv4 address, or an IPv6 reference in brackets (RFC 5118).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{UriError, UriPart};
use crate::grammar::{self, DIGIT, HOST};

/// The host of a URI or a Via.
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// A host name; names have no case.
    Name(&'a str),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; printed in brackets.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads a host and nothing behind it. An IPv6 address stands in brackets.
    pub fn parse(text: &'a str) -> Result<Host<'a>, UriError> {
        match Host::read(text, 0)? {
            (host, end) if end == text.len() => Ok(host),
            (_, end) => Err(UriError::new(UriPart::Host, end)),
        }
    }

    /// Reads a host that starts at `at`, and says where it ends.
    #[inline]
    pub(crate) fn read(text: &'a str, at: usize) -> Result<(Host<'a>, usize), UriError> {
        let octets = text.as_bytes();
        if octets.get(at) == Some(&b'[') {
            return reference(text, at);
        }
        if let Some((address, end)) = dotted_quad(octets, at) {
            return Ok((Host::V4(address), end));
        }
        let end = grammar::run(octets, at, HOST);
        let host = &text[at..end];
        let last = last_label(host).as_bytes();
        match last.first() {
            None => Err(UriError::new(UriPart::Host, at)),
            // `toplabel` starts with a letter. Names like a container's "5f3a9c0d1b2e" are used all the same, and can't
            // be taken for an address.
            Some(first) if first.is_ascii_digit() && grammar::all(last, DIGIT) => Err(UriError::new(UriPart::Host, at)),
            Some(_) => {
                check_name(host).map_err(|n| UriError::new(UriPart::Host, at + n))?;
                Ok((Host::Name(host), end))
            }
        }
    }

    /// The address, when the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match *self {
            Host::Name(_) => None,
            Host::V4(address) => Some(IpAddr::V4(address)),
            Host::V6(address) => Some(IpAddr::V6(address)),
        }
    }

    /// The name, when the host is one.
    pub fn name(&self) -> Option<&'a str> {
        match *self {
            Host::Name(name) => Some(name),
            _ => None,
        }
    }

    /// A name may come from anywhere; it must be a host and nothing behind it.
    pub(crate) fn checked(self) -> Result<Host<'a>, UriError> {
        match self {
            Host::Name(name) => Host::parse(name),
            address => Ok(address),
        }
    }
}

impl From<IpAddr> for Host<'_> {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        }
    }
}

/// Names are compared without case; an address never equals a name (RFC 3261 §19.1.4).
impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Host::Name(one), Host::Name(other)) => one.eq_ignore_ascii_case(other),
            (Host::V4(one), Host::V4(other)) => one == other,
            (Host::V6(one), Host::V6(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => address.fmt(f),
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

fn last_label(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    match memchr::memrchr(b'.', host.as_bytes()) {
        Some(dot) => &host[dot + 1..],
        None => host,
    }
}

/// `hostname`, with `_` as a letter; on failure the octet.
fn check_name(name: &str) -> Result<(), usize> {
    let octets = name.as_bytes();
    let mut before = b'.';
    for (at, &octet) in octets.iter().enumerate() {
        // No label is empty, starts or ends with a hyphen.
        if matches!((before, octet), (b'.' | b'-', b'.') | (b'.', b'-')) {
            return Err(at);
        }
        before = octet;
    }
    if before == b'-' { Err(octets.len()) } else { Ok(()) }
}

/// The IPv4 address that starts at `at`, and where it ends. Every message has a dozen, and the standard library's parser
/// takes three times as long.
fn dotted_quad(octets: &[u8], at: usize) -> Option<(Ipv4Addr, usize)> {
    let (mut address, mut dots, mut end) = (0, 0, at);
    let mut number = None;
    for octet in &octets[at..] {
        match (octet, number) {
            // "192.0.2.04" is no address: who reads it as octal gets another one.
            (b'0'..=b'9', Some(0 | 26..)) => return None,
            (digit @ b'0'..=b'9', before) => number = Some(before.unwrap_or(0) * 10 + u32::from(digit - b'0')),
            (b'.', Some(number @ 0..256)) if dots < 3 => {
                address = (address | number) << 8;
                dots += 1;
            }
            (octet, _) if grammar::is(*octet, HOST) => return None,
            _ => break,
        }
        if *octet == b'.' {
            number = None;
        }
        end += 1;
    }
    match number {
        Some(number @ 0..256) if dots == 3 => Some(((address | number).into(), end)),
        _ => None,
    }
}

fn reference(text: &str, at: usize) -> Result<(Host<'_>, usize), UriError> {
    let wrong = UriError::new(UriPart::Host, at);
    let inner = &text[at + 1..];
    let length = memchr::memchr(b']', inner.as_bytes()).ok_or(wrong)?;
    let address = ipv6(&inner[..length]).ok_or(wrong)?;
    Ok((Host::V6(address), at + length + 2))
}

/// An IPv6 address without a zone. The three colons of a bug in RFC 3261's grammar are read as two (RFC 5118 §4.10).
pub(crate) fn ipv6(text: &str) -> Option<Ipv6Addr> {
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) if text.contains(":::") => text.replacen(":::", "::", 1).parse().ok(),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_references_are_told_apart() {
        assert_eq!(Host::parse("atlanta.com"), Ok(Host::Name("ATLANTA.com")));
        assert_eq!(Host::parse("192.0.2.4"), Ok(Host::V4(Ipv4Addr::new(192, 0, 2, 4))));
        assert_eq!(Host::parse("[2001:db8::10]").unwrap().to_string(), "[2001:db8::10]");
        for name in ["localhost", "a.b.", "my_host.lan", "_sip._udp.example.com", "x--1.example", "5f3a9c0d1b2e"] {
            assert_eq!(Host::parse(name).unwrap().name(), Some(name));
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "-a.b",
            "a-.b",
            "a-",
            "1.2.3",
            "1.2.3.256",
            "1.2.3.4.5",
            "192.0.2.04",
            "a b",
            "a%41",
            "2001:db8::10",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[::1",
            "[]",
            "[1.2.3.4]",
            "é.example",
        ] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }

    /// RFC 5118 §4.10.
    #[test]
    fn three_colons_are_read_as_two() {
        assert_eq!(Host::parse("[2001:db8:::192.0.2.1]"), Host::parse("[2001:db8::192.0.2.1]"));
    }
}
