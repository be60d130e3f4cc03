//! Who is who in a room: URIs as far as they name somebody (RFC 7701 §6.1).
//!
//! A participant is known by a SIP, `tel` or `im` URI. The same mailbox may be written as `sip:`, `sips:` or `im:`, with
//! the parameters of a way to it or without, so that two URIs are compared by what is left: user, host and port.

use std::fmt;

/// The host of addresses that lead nowhere (RFC 3323 §4.1.1.3).
const ANONYMOUS_HOST: &str = "anonymous.invalid";

/// A URI without what does not tell one person from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who(String);

impl Who {
    /// Reads a URI; one that is written without a scheme counts as a SIP URI. `None` for what names nobody.
    pub fn of(uri: &str) -> Option<Who> {
        let (scheme, rest) = match uri.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            _ => ("sip".to_owned(), uri),
        };
        let rest = rest.split([';', '?']).next().unwrap_or(rest);
        match &*scheme {
            "sip" | "sips" | "im" | "pres" => mailbox(rest),
            "tel" => number(rest),
            _ => None,
        }
    }

    /// Whether this is an address of somebody who does not say who he is.
    pub fn is_anonymous(&self) -> bool {
        self.0.ends_with("@anonymous.invalid")
    }

    /// The address of RFC 3323 that all who are anonymous have in common.
    pub fn anonymous() -> Who {
        Who(format!("anonymous@{ANONYMOUS_HOST}"))
    }
}

/// An anonymous URI that one participant of a room has, and no other (RFC 7701 §6.1).
pub(super) fn anonymous_uri(number: u64) -> String {
    format!("sip:anonymous-{number}@{ANONYMOUS_HOST}")
}

fn mailbox(rest: &str) -> Option<Who> {
    let (user, host) = rest.rsplit_once('@')?;
    let user = unescaped(user.split(':').next().unwrap_or(user));
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (host, ""),
    };
    if user.is_empty() || host.is_empty() {
        return None;
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    match port {
        "" | "5060" | "5061" => Some(Who(format!("{user}@{host}"))),
        port => Some(Who(format!("{user}@{host}:{port}"))),
    }
}

/// RFC 3966 §4: visual separators say nothing.
fn number(rest: &str) -> Option<Who> {
    let digits: String = rest.chars().filter(|character| !"-.()".contains(*character)).collect();
    (!digits.is_empty()).then(|| Who(format!("tel:{}", digits.to_ascii_lowercase())))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet))
        && !text.contains('@')
}

/// RFC 3261 §19.1.4: an escaped character is the same as itself.
fn unescaped(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = escaped.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        octets.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8(octets).unwrap_or_else(|_| text.to_owned())
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        Who::of(one).is_some() && Who::of(one) == Who::of(other)
    }

    #[test]
    fn a_mailbox_is_the_same_by_every_scheme_and_whatever_way_leads_to_it() {
        let alice = "sip:alice@example.com";
        for other in [
            "sips:alice@EXAMPLE.com",
            "im:alice@example.com",
            "alice@example.com",
            "sip:%61lice@example.com:5060;transport=tcp",
            "sip:alice@example.com.?Subject=x",
        ] {
            assert!(same(alice, other), "{other}");
        }
        for other in ["sip:Alice@example.com", "sip:alice@example.org", "sip:alice@example.com:5070", "sip:example.com"]
        {
            assert!(!same(alice, other), "{other}");
        }
    }

    #[test]
    fn a_telephone_number_is_the_same_with_and_without_separators() {
        assert!(same("tel:+49-30-123", "tel:+4930123;phone-context=x"));
        assert!(!same("tel:+4930123", "tel:+4930124"));
    }

    #[test]
    fn a_port_is_part_of_an_ipv6_address_only_behind_its_bracket() {
        assert!(same("sip:a@[2001:db8::1]:5060", "sip:a@[2001:DB8::1]"));
        assert!(!same("sip:a@[2001:db8::1]:5070", "sip:a@[2001:db8::1]"));
    }

    #[test]
    fn what_names_nobody_is_nobody() {
        for uri in ["", "sip:", "sip:@example.com", "sip:alice@", "mailto:alice@example.com", "tel:", "sip:example.com"]
        {
            assert_eq!(Who::of(uri), None, "{uri}");
        }
    }

    /// Hostile escapes neither panic nor make two people one.
    #[test]
    fn an_escape_that_is_none_stays_as_it_is() {
        assert!(!same("sip:%@example.com", "sip:%25x@example.com"));
        assert!(same("sip:%4@example.com", "sip:%4@example.com"));
        assert!(same("sip:%ff@example.com", "sip:%ff@example.com"));
    }

    #[test]
    fn an_anonymous_address_is_known_as_such() {
        assert!(Who::of("sip:anonymous@anonymous.invalid").is_some_and(|who| who.is_anonymous()));
        assert_eq!(Who::of("sip:anonymous@anonymous.invalid"), Some(Who::anonymous()));
        assert!(Who::of(&anonymous_uri(3)).is_some_and(|who| who.is_anonymous()));
        assert!(!Who::of("sip:alice@example.com").is_some_and(|who| who.is_anonymous()));
    }
}
