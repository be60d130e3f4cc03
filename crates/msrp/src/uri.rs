//! MSRP URIs and paths of them, RFC 4975 §6, §8.2 and §9.
//!
//! ```text
//!   msrps://alice@host.example.com:2855/jshA7weztas;tcp;name=value
//!   scheme   user authority        port session-id  transport
//! ```
//!
//! A URI keeps its text, so it is printed as it came; [`MsrpUri::matches`] compares as §6.1 says. Finding an address for
//! a host name is left to whoever opens connections.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest URI that is read; longer ones are nobody's session.
const LONGEST: usize = 1024;
/// The most URIs in a path: RFC 4976 knows two relays on each side.
const MOST_HOPS: usize = 16;

/// An `msrp:` or `msrps:` URI.
#[derive(Clone)]
pub struct MsrpUri {
    text: Arc<str>,
    is_secure: bool,
    port: Option<u16>,
    host: Span,
    session_id: Option<Span>,
    transport: Span,
}

/// Octets of the text, which is short enough for these.
#[derive(Clone, Copy)]
struct Span {
    start: u16,
    end: u16,
}

/// Why a text is no MSRP URI, or no path of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriError {
    /// It is longer than anybody's.
    TooLong,
    /// It begins neither with `msrp://` nor with `msrps://`.
    Scheme,
    /// The host is missing or has letters that no host has.
    Host,
    /// The port is no number of a port.
    Port,
    /// The session id is empty or has letters that RFC 4975 §9 does not allow.
    SessionId,
    /// The transport parameter is missing or malformed.
    Transport,
    /// A path has no URI, or more than anybody visits.
    Hops,
}

impl MsrpUri {
    /// The URI of a session: what goes into the `path` attribute of an offer or answer.
    pub fn for_session(is_secure: bool, host: &str, port: u16, session_id: &str) -> Result<MsrpUri, UriError> {
        let scheme = if is_secure { "msrps" } else { "msrp" };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let (open, close) = if bare.contains(':') { ("[", "]") } else { ("", "") };
        format!("{scheme}://{open}{bare}{close}:{port}/{session_id};tcp").parse()
    }

    /// As it came.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the scheme is `msrps`, so that the connection has to be TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The host: a name, or an address, of version 6 without its brackets.
    pub fn host(&self) -> &str {
        let host = self.slice(self.host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port, where it is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Which session at that host; `None` for the host itself, as of a relay.
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.map(|span| self.slice(span))
    }

    /// The transport: `tcp`, or `ws` (RFC 7977).
    pub fn transport(&self) -> &str {
        self.slice(self.transport)
    }

    /// Whether both mean the same session, RFC 4975 §6.1: user parts don't count, session ids count to the letter.
    pub fn matches(&self, other: &MsrpUri) -> bool {
        self.text == other.text
            || (self.is_secure == other.is_secure
                && same_host(self.host(), other.host())
                && self.port == other.port
                && self.session_id() == other.session_id()
                && self.transport().eq_ignore_ascii_case(other.transport()))
    }

    /// Whether both have the same session id: all that is left to compare where something on the way rewrites addresses
    /// (RFC 6714, and clients that go by the session id alone).
    pub fn matches_session_id(&self, other: &MsrpUri) -> bool {
        self.session_id.is_some() && self.session_id() == other.session_id()
    }

    fn slice(&self, span: Span) -> &str {
        &self.text[usize::from(span.start)..usize::from(span.end)]
    }
}

/// Addresses by value, names without regard to case and to percent-encoding of what needs none.
fn same_host(one: &str, other: &str) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    let addresses = (one.parse::<std::net::IpAddr>(), other.parse::<std::net::IpAddr>());
    match addresses {
        (Ok(one), Ok(other)) => one == other,
        _ => {
            (one.contains('%') || other.contains('%')) && {
                let [one, other] = [one, other].map(unescape_unreserved);
                one.eq_ignore_ascii_case(&other)
            }
        }
    }
}

fn unescape_unreserved(host: &str) -> String {
    let mut plain = String::with_capacity(host.len());
    let mut rest = host;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let octet = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match octet {
            Some(octet) if is_unreserved(octet) => {
                plain.push(char::from(octet));
                rest = &after[2..];
            }
            _ => {
                plain.push('%');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

impl FromStr for MsrpUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<MsrpUri, UriError> {
        if text.len() > LONGEST {
            return Err(UriError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UriError::Scheme)?;
        let is_secure = match scheme {
            scheme if scheme.eq_ignore_ascii_case("msrp") => false,
            scheme if scheme.eq_ignore_ascii_case("msrps") => true,
            _ => return Err(UriError::Scheme),
        };
        let offset = |part: &str| (part.as_ptr() as usize - text.as_ptr() as usize) as u16;
        let span = |part: &str| Span { start: offset(part), end: offset(part) + part.len() as u16 };

        let (address, parameters) = rest.split_once(';').ok_or(UriError::Transport)?;
        let (authority, session_id) = match address.split_once('/') {
            Some((authority, session_id)) => (authority, Some(session_id)),
            None => (address, None),
        };
        if session_id.is_some_and(|id| id.is_empty() || !id.bytes().all(is_of_session_id)) {
            return Err(UriError::SessionId);
        }
        let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = split_port(host_and_port)?;
        let transport = parameters.split(';').next().unwrap_or_default();
        if transport.is_empty() || !transport.bytes().all(|octet| octet.is_ascii_alphanumeric()) {
            return Err(UriError::Transport);
        }
        if !parameters.bytes().all(|octet| octet.is_ascii_graphic()) || !authority.bytes().all(|o| o.is_ascii_graphic())
        {
            return Err(UriError::Host);
        }
        Ok(MsrpUri {
            is_secure,
            port,
            host: span(host),
            session_id: session_id.map(span),
            transport: span(transport),
            text: text.into(),
        })
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), UriError> {
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']').ok_or(UriError::Host)?;
        let (host, rest) = text.split_at(end + 1);
        if host[1..end].parse::<std::net::Ipv6Addr>().is_err() {
            return Err(UriError::Host);
        }
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(UriError::Host),
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let is_of_host = |octet: u8| is_unreserved(octet) || b"%!$&'()*+,=[]:".contains(&octet);
    if host.is_empty() || !host.bytes().all(is_of_host) {
        return Err(UriError::Host);
    }
    let port = match port {
        None => None,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            Some(digits.parse().map_err(|_| UriError::Port)?)
        }
        Some(_) => return Err(UriError::Port),
    };
    Ok((host, port))
}

fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~".contains(&octet)
}

fn is_of_session_id(octet: u8) -> bool {
    is_unreserved(octet) || b"+=/".contains(&octet)
}

impl PartialEq for MsrpUri {
    /// To the letter; [`MsrpUri::matches`] is RFC 4975's comparison.
    fn eq(&self, other: &MsrpUri) -> bool {
        self.text == other.text
    }
}

impl Eq for MsrpUri {}

impl fmt::Display for MsrpUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for MsrpUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

/// URIs to be visited in order, at least one: `a=path`, To-Path, From-Path, Use-Path.
#[derive(Clone, PartialEq, Eq)]
pub struct Path {
    uris: Arc<[MsrpUri]>,
}

impl Path {
    /// A path of these, which must be some.
    pub fn new(uris: impl Into<Vec<MsrpUri>>) -> Result<Path, UriError> {
        let uris: Vec<MsrpUri> = uris.into();
        if uris.is_empty() || uris.len() > MOST_HOPS {
            return Err(UriError::Hops);
        }
        Ok(Path { uris: uris.into() })
    }

    /// All of them, the next one to be visited first.
    pub fn uris(&self) -> &[MsrpUri] {
        &self.uris
    }

    /// The next one to be visited (leftmost).
    pub fn first(&self) -> &MsrpUri {
        &self.uris[0]
    }

    /// Whom it leads to (rightmost).
    pub fn last(&self) -> &MsrpUri {
        &self.uris[self.uris.len() - 1]
    }

    /// The path without its first URI; `None` where that was the only one.
    pub fn rest(&self) -> Option<Path> {
        Path::new(&self.uris[1..]).ok()
    }

    /// The path with one more to be visited first.
    pub fn after(&self, first: MsrpUri) -> Result<Path, UriError> {
        let mut uris = Vec::with_capacity(self.uris.len() + 1);
        uris.push(first);
        uris.extend_from_slice(&self.uris);
        Path::new(uris)
    }

    /// Whether both lead through the same URIs, RFC 4975 §6.1.
    pub fn matches(&self, other: &Path) -> bool {
        self.uris.len() == other.uris.len() && self.uris.iter().zip(&*other.uris).all(|(a, b)| a.matches(b))
    }
}

impl From<MsrpUri> for Path {
    fn from(uri: MsrpUri) -> Path {
        Path { uris: Arc::new([uri]) }
    }
}

impl FromStr for Path {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Path, UriError> {
        let mut uris = Vec::with_capacity(1);
        for uri in text.split(' ').filter(|uri| !uri.is_empty()) {
            if uris.len() == MOST_HOPS {
                return Err(UriError::Hops);
            }
            uris.push(uri.parse()?);
        }
        Path::new(uris)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, uri) in self.uris.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{uri}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UriError::TooLong => "the URI is too long",
            UriError::Scheme => "the scheme is neither msrp nor msrps",
            UriError::Host => "the URI's host is malformed",
            UriError::Port => "the URI's port is no port",
            UriError::SessionId => "the URI's session id is malformed",
            UriError::Transport => "the URI names no transport",
            UriError::Hops => "the path has no URI or too many",
        })
    }
}

impl std::error::Error for UriError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> MsrpUri {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_uri_says_what_it_is_made_of() {
        let uri = uri("msrps://alice@host.example.com:8493/asfd34;tcp;x=y");
        assert!(uri.is_secure());
        assert_eq!(uri.host(), "host.example.com");
        assert_eq!(uri.port(), Some(8493));
        assert_eq!(uri.session_id(), Some("asfd34"));
        assert_eq!(uri.transport(), "tcp");
        assert_eq!(uri.to_string(), "msrps://alice@host.example.com:8493/asfd34;tcp;x=y");
    }

    #[test]
    fn an_address_of_version_6_is_given_without_brackets() {
        assert_eq!(uri("msrp://[2001:db8::1]:9/s;tcp").host(), "2001:db8::1");
        let made = MsrpUri::for_session(false, "::1", 2855, "abc").unwrap();
        assert_eq!(made.as_str(), "msrp://[::1]:2855/abc;tcp");
        assert_eq!(MsrpUri::for_session(false, "[::1]", 2855, "abc").unwrap(), made);
    }

    /// RFC 4975 §6.1, rules 1 to 5.
    #[test]
    fn uris_are_compared_by_the_rules_of_section_6_1() {
        let ours = uri("msrp://host.example.com:7777/iau39;tcp");
        for same in [
            "MSRP://host.example.com:7777/iau39;tcp",
            "msrp://HOST.example.com:7777/iau39;tcp",
            "msrp://bob@host.example.com:7777/iau39;TCP",
            "msrp://h%6fst.example.com:7777/iau39;tcp",
            "msrp://host.example.com:7777/iau39;tcp;more=1",
        ] {
            assert!(ours.matches(&uri(same)), "{same}");
        }
        for other in [
            "msrps://host.example.com:7777/iau39;tcp",
            "msrp://host.example.com:7778/iau39;tcp",
            "msrp://host.example.com/iau39;tcp",
            "msrp://host.example.com:7777/IAU39;tcp",
            "msrp://host.example.com:7777;tcp",
            "msrp://host.example.com:7777/iau39;ws",
            "msrp://host.example.org:7777/iau39;tcp",
        ] {
            assert!(!ours.matches(&uri(other)), "{other}");
        }
        assert!(uri("msrp://[::1]:1/a;tcp").matches(&uri("msrp://[0:0::1]:1/a;tcp")));
    }

    #[test]
    fn what_is_no_uri_is_refused_with_the_part_that_is_wrong() {
        for (text, error) in [
            ("sip:bob@example.com", UriError::Scheme),
            ("http://h:1/s;tcp", UriError::Scheme),
            ("msrp://h:1/s", UriError::Transport),
            ("msrp://h:1/s;", UriError::Transport),
            ("msrp://h:1/;tcp", UriError::SessionId),
            ("msrp://h:1/a b;tcp", UriError::SessionId),
            ("msrp://:1/s;tcp", UriError::Host),
            ("msrp://[::1/s;tcp", UriError::Host),
            ("msrp://h:/s;tcp", UriError::Port),
            ("msrp://h:65536/s;tcp", UriError::Port),
            ("msrp://h:+1/s;tcp", UriError::Port),
            ("msrp://h\r\nX: y/s;tcp", UriError::Host),
        ] {
            assert_eq!(text.parse::<MsrpUri>(), Err(error), "{text}");
        }
        let long = format!("msrp://h:1/{};tcp", "s".repeat(2000));
        assert_eq!(long.parse::<MsrpUri>(), Err(UriError::TooLong));
    }

    #[test]
    fn a_path_has_a_first_and_a_last() {
        let path: Path = "msrps://a.example.org:9000/k;tcp msrps://b.example.net:9000/a;tcp".parse().unwrap();
        assert_eq!(path.first().host(), "a.example.org");
        assert_eq!(path.last().host(), "b.example.net");
        assert_eq!(path.rest().unwrap().uris().len(), 1);
        assert_eq!(path.rest().unwrap().rest(), None);
        assert_eq!("".parse::<Path>(), Err(UriError::Hops));
        assert_eq!("msrp://h:1/s;tcp ".repeat(17).parse::<Path>(), Err(UriError::Hops));
    }
}
