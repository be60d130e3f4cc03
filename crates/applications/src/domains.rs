//! Which URIs are ours, and under which name a user of ours is found: RFC 3261 §10.3 step 5, §16.4, §16.5.

use std::sync::Arc;

use servlet::SipServletMessage;
use sip_message::{Host, SipUri};

/// The domains that we are responsible for. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains {
    /// In lower case.
    names: Arc<[Box<str>]>,
}

/// The users that there are. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownUsers {
    /// In order; `None`: whoever registers is known.
    names: Option<Arc<[Box<str>]>>,
}

/// Which addresses are ours, beside the domains.
pub(crate) trait OwnAddresses {
    /// Whether host and port of a URI are those of one of our interfaces.
    fn is_own(&self, uri: &SipUri<'_>) -> bool;
}

impl Domains {
    /// These domains; the first is the one that our addresses belong to.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Domains {
        Domains { names: names.into_iter().map(|name| name.as_ref().to_ascii_lowercase().into()).collect() }
    }

    /// Whether we are responsible for a URI: its host is one of our domains, whatever the port, or host and port are
    /// those of one of our interfaces. The message says where it came to, and knows of the others.
    pub fn cover(&self, message: &SipServletMessage, uri: &SipUri<'_>) -> bool {
        self.is_ours(message, uri)
    }

    /// The address-of-record that a URI of ours means, `user@domain` in canonical form; `None` when the URI is not ours
    /// or names no user. An address of ours stands for our first domain, so that a phone that was given an address
    /// instead of a name finds its user.
    pub fn address_of_record(&self, message: &SipServletMessage, uri: &SipUri<'_>) -> Option<String> {
        self.user_of_ours(message, uri)
    }

    /// The domain that our addresses belong to.
    pub fn first(&self) -> &str {
        self.names.first().map_or("localhost", |name| name)
    }

    pub(crate) fn is_ours(&self, own: &(impl OwnAddresses + ?Sized), uri: &SipUri<'_>) -> bool {
        self.named(uri).is_some() || own.is_own(uri)
    }

    pub(crate) fn user_of_ours(&self, own: &(impl OwnAddresses + ?Sized), uri: &SipUri<'_>) -> Option<String> {
        let domain = match self.named(uri) {
            Some(name) => name,
            None if own.is_own(uri) => self.first(),
            None => return None,
        };
        let user = uri.user()?;
        let mut name = String::with_capacity(user.len() + 1 + domain.len());
        name.push_str(&user);
        name.push('@');
        name.push_str(domain);
        Some(name)
    }

    fn named(&self, uri: &SipUri<'_>) -> Option<&str> {
        let Host::Name(host) = uri.host() else { return None };
        let host = host.strip_suffix('.').unwrap_or(host);
        self.names.iter().map(|name| &**name).find(|name| name.eq_ignore_ascii_case(host))
    }
}

impl KnownUsers {
    /// Everybody who registers.
    pub fn everybody() -> KnownUsers {
        KnownUsers::default()
    }

    /// These, and nobody else.
    pub fn only<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> KnownUsers {
        let mut names: Vec<Box<str>> = names.into_iter().map(|name| name.as_ref().into()).collect();
        names.sort_unstable();
        KnownUsers { names: Some(names.into()) }
    }

    /// Whether there may be such a user.
    pub fn may_be(&self, name: &str) -> bool {
        let Some(names) = &self.names else { return true };
        names.binary_search_by(|known| (**known).cmp(name)).is_ok()
    }
}

impl OwnAddresses for SipServletMessage {
    /// Most requests are for the address that they came to; else all interfaces are asked for.
    fn is_own(&self, uri: &SipUri<'_>) -> bool {
        let port = uri.port().unwrap_or(if uri.is_secure() { 5061 } else { 5060 });
        if let (Some(ip), Some(local)) = (uri.host().ip(), self.local_addr()) {
            let here = local.ip().to_canonical();
            if local.port() == port && (here == ip || here.is_unspecified() && ip.is_loopback()) {
                return true;
            }
        }
        self.host().outbound_interfaces().iter().any(|interface| names_same(&interface.as_message_uri(), uri))
    }
}

/// Whether two URIs have the same host and port. A port that is left out is one of the usual ones.
fn names_same(interface: &SipUri<'_>, uri: &SipUri<'_>) -> bool {
    let same_host = match (interface.host().ip(), uri.host().ip()) {
        (Some(one), Some(other)) => one == other,
        (None, None) => interface.host().to_string().eq_ignore_ascii_case(&uri.host().to_string()),
        _ => false,
    };
    let usual = |port: Option<u16>| matches!(port, None | Some(5060 | 5061));
    same_host
        && match (interface.port(), uri.port()) {
            (Some(one), Some(other)) => one == other,
            (one, other) => usual(one) && usual(other),
        }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Interfaces at these URIs.
    pub(crate) struct At(pub(crate) &'static [&'static str]);

    impl OwnAddresses for At {
        fn is_own(&self, uri: &SipUri<'_>) -> bool {
            self.0.iter().any(|interface| names_same(&SipUri::parse(interface).unwrap(), uri))
        }
    }

    const HERE: At = At(&["sip:192.0.2.1", "sip:192.0.2.1:5070;transport=tcp", "sip:[2001:db8::1]"]);

    fn ours(text: &str) -> bool {
        Domains::new(["Example.COM"]).is_ours(&HERE, &SipUri::parse(text).unwrap())
    }

    #[test]
    fn our_domains_are_ours_whatever_the_port_and_the_case() {
        for uri in ["sip:a@example.com", "sips:EXAMPLE.com.", "sip:example.com:1234;transport=tcp"] {
            assert!(ours(uri), "{uri}");
        }
        for uri in ["sip:a@sub.example.com", "sip:example.org", "sip:a@198.51.100.1"] {
            assert!(!ours(uri), "{uri}");
        }
    }

    #[test]
    fn an_address_is_ours_with_its_port_only() {
        for uri in ["sip:192.0.2.1", "sip:a@192.0.2.1:5060", "sip:192.0.2.1:5070", "sip:[2001:DB8::1]"] {
            assert!(ours(uri), "{uri}");
        }
        for uri in ["sip:192.0.2.1:5080", "sip:192.0.2.2", "sip:[2001:db8::1]:5070"] {
            assert!(!ours(uri), "{uri}");
        }
    }

    /// RFC 3261 §10.3 step 5: "all URI parameters MUST be removed …, any escaped characters MUST be converted".
    #[test]
    fn an_address_of_record_has_one_form() {
        let domains = Domains::new(["example.com", "example.org"]);
        let name = |uri: &str| domains.user_of_ours(&HERE, &SipUri::parse(uri).unwrap());
        assert_eq!(name("sip:%62ob@EXAMPLE.com:5070;x=y").as_deref(), Some("bob@example.com"));
        assert_eq!(name("sip:bob@example.org").as_deref(), Some("bob@example.org"));
        assert_eq!(name("sip:bob@192.0.2.1").as_deref(), Some("bob@example.com"));
        assert_eq!((name("sip:example.com"), name("sip:bob@example.net")), (None, None));
    }

    #[test]
    fn where_users_are_known_others_do_not_exist() {
        let known = KnownUsers::only(["carol", "bob"]);
        assert!(known.may_be("bob") && known.may_be("carol") && !known.may_be("eve"));
        assert!(KnownUsers::everybody().may_be("eve") && !KnownUsers::only(["x"; 0]).may_be("eve"));
    }
}
