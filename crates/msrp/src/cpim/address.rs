//! `[ Formal-name ] "<" URI ">"` (RFC 3862 §3.6), and what is written instead of it.

use std::fmt;

use super::{CpimError, escape};

/// Somebody: `Winnie the Pooh <im:pooh@100akerwood.com>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    name: Option<String>,
    uri: String,
}

impl Address {
    /// An address, if the URI is one line without spaces and angle brackets.
    pub fn new(name: Option<&str>, uri: &str) -> Result<Address, CpimError> {
        if !is_uri(uri) {
            return Err(CpimError::Unprintable);
        }
        let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
        Ok(Address { name, uri: uri.to_owned() })
    }

    /// Reads a header's value. Without angle brackets the whole is the URI.
    pub fn parse(value: &str) -> Option<Address> {
        let value = value.trim();
        let Some((name, rest)) = value.rsplit_once('<') else {
            return Address::new(None, value).ok();
        };
        let (uri, behind) = rest.split_once('>')?;
        if !behind.trim().is_empty() {
            return None;
        }
        let name = name.trim();
        let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
            Some(quoted) => escape::unescape(quoted),
            None => escape::unescape(name),
        };
        Address::new(Some(&name), uri.trim()).ok()
    }

    /// The name that people know.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// As it was written: some clients leave the scheme out.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The URI with a scheme: its own, or `sip:` where it was left out.
    pub fn uri_with_scheme(&self) -> String {
        if has_scheme(&self.uri) { self.uri.clone() } else { format!("sip:{}", self.uri) }
    }

    /// Whether both mean the same mailbox: the scheme may be missing, the host knows no case, parameters do not count.
    pub fn is_same_as(&self, other: &Address) -> bool {
        let [this, that] = [self, other].map(|address| Mailbox::of(&address.uri));
        this == that
    }
}

/// User and host of a URI, by which two addresses are compared.
#[derive(PartialEq, Eq)]
struct Mailbox<'a> {
    user: Option<&'a str>,
    host: String,
}

impl Mailbox<'_> {
    fn of(uri: &str) -> Mailbox<'_> {
        let rest = if has_scheme(uri) { uri.split_once(':').map_or(uri, |(_, rest)| rest) } else { uri };
        let rest = rest.split([';', '?']).next().unwrap_or(rest);
        match rest.rsplit_once('@') {
            Some((user, host)) => Mailbox { user: Some(user), host: host.to_ascii_lowercase() },
            None => Mailbox { user: None, host: rest.to_ascii_lowercase() },
        }
    }
}

/// RFC 3986 §3.1; what has an `@` before its first colon is a mailbox with a port.
fn has_scheme(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet))
    })
}

/// What stands between angle brackets and keeps the line.
pub(super) fn is_uri(uri: &str) -> bool {
    let breaks = |character: char| character.is_whitespace() || character.is_control() || "<>\"".contains(character);
    !uri.is_empty() && !uri.contains(breaks)
}

/// `1*( Token SP )`: what needs no quotes.
fn is_words(name: &str) -> bool {
    let is_separator = |character: char| "()<>@,;:\\\"/[]?={}".contains(character);
    let is_token = |word: &str| {
        !word.is_empty() && !word.contains(|character: char| character.is_control() || is_separator(character))
    };
    name.split(' ').all(is_token)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => {}
            Some(name) if is_words(name) => write!(f, "{name} ")?,
            Some(name) => write!(f, "\"{}\" ", escape::escape(name).replace('"', "\\\""))?,
        }
        write!(f, "<{}>", self.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> (Option<String>, String) {
        let address = Address::parse(value).unwrap();
        (address.name().map(str::to_owned), address.uri_with_scheme())
    }

    #[test]
    fn an_address_may_lack_its_scheme_its_brackets_or_its_name() {
        let alice = |name: Option<&str>| (name.map(str::to_owned), "sip:alice@example.com".to_owned());
        assert_eq!(read("Alice Liddell <sip:alice@example.com>"), alice(Some("Alice Liddell")));
        assert_eq!(read("<sip:alice@example.com>"), alice(None));
        assert_eq!(read("Alice <alice@example.com>"), alice(Some("Alice")));
        assert_eq!(read("alice@example.com"), alice(None));
        assert_eq!(read("\"Alice \\\"A\\\" <x>\" <alice@example.com>"), alice(Some("Alice \"A\" <x>")));
        assert_eq!(read("alice@example.com:5060").1, "sip:alice@example.com:5060");
        assert_eq!(read("<im:alice@example.com>").1, "im:alice@example.com");
    }

    #[test]
    fn what_is_no_address_is_none() {
        for value in ["", "<>", "a b", "Alice <sip:alice", "<sip:alice> more", "<sip:a b@c>"] {
            assert_eq!(Address::parse(value), None, "{value}");
        }
    }

    #[test]
    fn any_name_reads_as_it_was_written() {
        for name in ["Bob", "Bob  B", " Bob", "a\"b\\", "a\r\nX: y", "<sip:eve@example.com>", "Zoë", "\"", "\""] {
            let address = Address::new(Some(name), "sip:bob@example.com").unwrap();
            assert_eq!(Address::parse(&address.to_string()).as_ref(), Some(&address), "{address}");
        }
        assert_eq!(Address::new(None, "sip:a\r\nX: y"), Err(CpimError::Unprintable));
    }

    #[test]
    fn the_same_mailbox_is_known_with_and_without_scheme() {
        let [with, without] =
            ["<sip:alice@Example.com;transport=tcp>", "alice@example.com"].map(|value| Address::parse(value).unwrap());
        assert!(with.is_same_as(&without));
        assert!(!with.is_same_as(&Address::parse("<sip:Alice@example.com>").unwrap()));
    }
}
