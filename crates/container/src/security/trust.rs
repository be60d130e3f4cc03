//! The trust domain of RFC 3325 §1: whose word on an identity is taken. It is a list of networks, and of names that a
//! peer has shown a TLS certificate for (RFC 5922; no wildcards).
//!
//! A network stands for whoever can send from it. A UDP source address is easily forged where the network lets forged
//! packets in, so networks are for those that do not.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sip_message::{Host, Uri};

/// What is known of the way that a message came, apart from the message.
#[derive(Clone, Copy, Debug)]
pub struct FlowFacts<'a> {
    /// Whether the hop was protected by TLS.
    pub secure: bool,
    /// The far end's address.
    pub remote: IpAddr,
    /// The names in the certificate that the far end has shown, when we checked it.
    pub peer_names: &'a [Box<str>],
    /// Whom a signature in the message stands for, when somebody checked it (RFC 8224).
    pub verified_identity: Option<Uri<'a>>,
}

impl FlowFacts<'_> {
    /// A hop from this address, of which nothing else is known.
    pub fn new(remote: IpAddr, secure: bool) -> FlowFacts<'static> {
        FlowFacts { secure, remote, peer_names: &[], verified_identity: None }
    }
}

/// Whose word is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustDomain {
    networks: Vec<IpNetwork>,
    names: Vec<Box<str>>,
}

impl TrustDomain {
    /// Nobody's.
    pub fn nobody() -> TrustDomain {
        TrustDomain::default()
    }

    /// A domain of entries such as `192.0.2.0/24`, `2001:db8::/32`, `192.0.2.7` and `proxy.example.com`.
    pub fn parse<'e>(entries: impl IntoIterator<Item = &'e str>) -> Result<TrustDomain, TrustError> {
        let mut domain = TrustDomain::default();
        for entry in entries {
            match domain_name(entry) {
                Some(name) => domain.names.push(name),
                None => domain.networks.push(IpNetwork::parse(entry)?),
            }
        }
        Ok(domain)
    }

    /// Whether the peer at the far end belongs to it.
    pub fn trusts(&self, facts: &FlowFacts<'_>) -> bool {
        let has_shown = |name: &str| facts.peer_names.iter().any(|shown| shown.eq_ignore_ascii_case(name));
        self.networks.iter().any(|network| network.contains(facts.remote))
            || (facts.secure && self.names.iter().any(|name| has_shown(name)))
    }
}

/// The entry as a name in a certificate, if it is one: it has a letter that no address has, and is no pattern.
fn domain_name(entry: &str) -> Option<Box<str>> {
    let name = Host::parse(entry).ok()?.name()?;
    Some(name.trim_end_matches('.').into())
}

/// Why an entry of a trust domain can't be read. The configuration's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustError {
    /// It is neither an address, nor a network, nor a name.
    Unreadable(Box<str>),
    /// The prefix is longer than the address.
    PrefixTooLong(Box<str>),
    /// There are bits behind the prefix: a network was mistyped, or one host was meant.
    BitsBehindPrefix(Box<str>),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrustError::Unreadable(entry) => write!(f, "`{entry}` is no address, network or name"),
            TrustError::PrefixTooLong(entry) => write!(f, "the prefix of `{entry}` is longer than the address"),
            TrustError::BitsBehindPrefix(entry) => write!(f, "`{entry}` has address bits behind its prefix"),
        }
    }
}

impl std::error::Error for TrustError {}

/// The addresses that share a prefix (RFC 4632, RFC 4291 §2.3). IPv4 addresses mapped into IPv6 count as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or an address alone.
    pub fn parse(text: &str) -> Result<IpNetwork, TrustError> {
        let unreadable = || TrustError::Unreadable(text.into());
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let address: IpAddr = address.parse().map_err(|_| unreadable())?;
        let prefix = match prefix {
            None => bits(address),
            // `parse` takes a sign, which no prefix has.
            Some(prefix) if !prefix.bytes().all(|octet| octet.is_ascii_digit()) => return Err(unreadable()),
            Some(prefix) => prefix.parse().map_err(|_| unreadable())?,
        };
        if prefix > bits(address) {
            return Err(TrustError::PrefixTooLong(text.into()));
        }
        let network = IpNetwork { address, prefix }.canonical();
        if masked(network.address, network.prefix) != network.address {
            return Err(TrustError::BitsBehindPrefix(text.into()));
        }
        Ok(network)
    }

    /// Whether the address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        bits(address) == bits(self.address) && masked(address, self.prefix) == self.address
    }

    /// `::ffff:192.0.2.0/120` is `192.0.2.0/24`.
    fn canonical(self) -> IpNetwork {
        match (self.address.to_canonical(), self.prefix.checked_sub(96)) {
            (address @ IpAddr::V4(_), Some(prefix)) if self.address.is_ipv6() => IpNetwork { address, prefix },
            _ => self,
        }
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    // A shift by all bits would overflow: then nothing of the address is left.
    let behind = u32::from(bits(address).saturating_sub(prefix));
    match address {
        IpAddr::V4(ip) => Ipv4Addr::from(u32::from(ip) & u32::MAX.checked_shl(behind).unwrap_or(0)).into(),
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & u128::MAX.checked_shl(behind).unwrap_or(0)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        IpNetwork::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_contains_what_shares_its_prefix() {
        assert!(contains("192.0.2.0/24", "192.0.2.255"));
        assert!(!contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("192.0.2.128/25", "192.0.2.128"));
        assert!(!contains("192.0.2.128/25", "192.0.2.127"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::"));
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.6"));
        assert!(contains("::1", "::1"));
    }

    #[test]
    fn the_prefix_of_no_bits_is_everybody_of_that_family() {
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(!contains("::/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
    }

    /// A socket for both families shows IPv4 peers so (RFC 4291 §2.5.5.2).
    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.1"));
        assert!(contains("::ffff:192.0.2.0/120", "192.0.2.1"));
        assert!(!contains("::ffff:192.0.2.0/120", "192.0.3.1"));
        assert_eq!(IpNetwork::parse("::ffff:192.0.2.0/120").unwrap().to_string(), "192.0.2.0/24");
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_reason() {
        let refused = |text: &str| IpNetwork::parse(text).unwrap_err();
        for text in
            ["", "/", "192.0.2.0/", "192.0.2/24", "192.0.2.0/+8", "192.0.2.0/-1", "192.0.2.0/24/8", "fe80::1%eth0"]
        {
            assert_eq!(refused(text), TrustError::Unreadable(text.into()), "{text}");
        }
        assert_eq!(refused("192.0.2.0/33"), TrustError::PrefixTooLong("192.0.2.0/33".into()));
        assert_eq!(refused("2001:db8::/129"), TrustError::PrefixTooLong("2001:db8::/129".into()));
        assert_eq!(refused("192.0.2.0/999"), TrustError::Unreadable("192.0.2.0/999".into()));
        assert_eq!(refused("192.0.2.1/24"), TrustError::BitsBehindPrefix("192.0.2.1/24".into()));
        assert_eq!(refused("2001:db8::1/32"), TrustError::BitsBehindPrefix("2001:db8::1/32".into()));
    }

    #[test]
    fn a_name_is_trusted_when_a_certificate_has_shown_it() {
        let domain = TrustDomain::parse(["proxy.example.com"]).unwrap();
        let names = ["PROXY.example.com".into()];
        let stranger = FlowFacts::new("203.0.113.1".parse().unwrap(), true);
        assert!(!domain.trusts(&stranger));
        assert!(domain.trusts(&FlowFacts { peer_names: &names, ..stranger }));
        assert!(!domain.trusts(&FlowFacts { peer_names: &names, secure: false, ..stranger }));
        let below = ["evil.proxy.example.com".into(), "example.com".into()];
        assert!(!domain.trusts(&FlowFacts { peer_names: &below, ..stranger }));
    }

    #[test]
    fn a_domain_has_no_patterns_and_an_empty_one_trusts_nobody() {
        assert_eq!(TrustDomain::parse(["*.example.com"]), Err(TrustError::Unreadable("*.example.com".into())));
        assert!(!TrustDomain::nobody().trusts(&FlowFacts::new("127.0.0.1".parse().unwrap(), true)));
    }
}
