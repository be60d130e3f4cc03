//! SIP and SIPS URIs, RFC 3261 §19.1, with the parameters of RFC 5626 (`ob`) and RFC 5627 (`gr`).
//! Which component is legal where: [`SipUri::check_request_uri`]. When two mean the same: [`super::Uri::equivalent`].

use std::borrow::Cow;
use std::fmt;

use super::{Host, UriError, UriParams, UriPart, percent};
use crate::grammar::{self, DIGIT, PASSWORD, URI_HEADER, USER};
use crate::transport::Transport;

/// A SIP or SIPS URI.
///
/// ```text
///   sip:user:password@host:port;uri-parameters?headers
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SipUri<'a> {
    text: &'a str,
    host: Host<'a>,
    // Offsets into the text: a URI is copied often, and so kept small.
    /// Behind the user; 0 without one.
    user_end: u32,
    /// Where the host starts.
    host_at: u32,
    /// Where the parameters start, and where they end.
    params_at: u32,
    params_end: u32,
    port: Option<u16>,
    secure: bool,
}

impl<'a> SipUri<'a> {
    /// Reads `text`, in which the scheme ends before `at`.
    #[inline]
    pub(super) fn read(text: &'a str, secure: bool, at: usize) -> Result<SipUri<'a>, UriError> {
        let octets = text.as_bytes();
        if u32::try_from(octets.len()).is_err() {
            return Err(UriError::new(UriPart::Scheme, 0));
        }
        let (user_end, host_at) = match memchr::memchr(b'@', &octets[at..]) {
            Some(length) => (check_userinfo(octets, at, at + length)?, at + length + 1),
            None => (0, at),
        };
        let (host, mut end) = Host::read(text, host_at)?;
        let mut port = None;
        if octets.get(end) == Some(&b':') {
            let digits = end + 1;
            end = grammar::run(octets, digits, DIGIT);
            port = Some(read_port(&text[digits..end]).ok_or(UriError::new(UriPart::Port, digits))?);
        }
        let params_at = end;
        let (_, params_end) = UriParams::read(text, params_at)?;
        end = params_end;
        if octets.get(end) == Some(&b'?') {
            end = check_headers(octets, end + 1)?;
        }
        if end != octets.len() {
            let part = match port {
                _ if end != params_end => UriPart::Headers,
                _ if params_end != params_at => UriPart::Parameter,
                Some(_) => UriPart::Port,
                None => UriPart::Host,
            };
            return Err(UriError::new(part, end));
        }
        Ok(SipUri {
            text,
            host,
            user_end: user_end as u32,
            host_at: host_at as u32,
            params_at: params_at as u32,
            params_end: params_end as u32,
            port,
            secure,
        })
    }

    /// Reads a SIP or SIPS URI.
    pub fn parse(text: &'a str) -> Result<SipUri<'a>, UriError> {
        match super::Uri::parse(text)? {
            super::Uri::Sip(uri) => Ok(uri),
            _ => Err(UriError::new(UriPart::Scheme, 0)),
        }
    }

    /// The URI as it was written.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Whether the scheme is `sips`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The user, unescaped.
    pub fn user(&self) -> Option<Cow<'a, str>> {
        self.raw_user().map(percent::decode)
    }

    /// The user as it was written.
    pub fn raw_user(&self) -> Option<&'a str> {
        let start = if self.secure { 5 } else { 4 };
        (self.user_end != 0).then(|| &self.text[start..self.user_end as usize])
    }

    /// The password as it was written.
    pub fn raw_password(&self) -> Option<&'a str> {
        // "user@host" has one character between user and host, "user:password@host" at least two.
        let (start, end) = (self.user_end as usize + 1, self.host_at as usize);
        (self.user_end != 0 && start < end).then(|| &self.text[start..end - 1])
    }

    /// The host.
    pub fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port, when one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The URI parameters.
    pub fn params(&self) -> UriParams<'a> {
        UriParams::checked(&self.text[self.params_at as usize..self.params_end as usize])
    }

    /// What stands behind `?`, as it was written.
    pub fn raw_headers(&self) -> Option<&'a str> {
        self.text.get(self.params_end as usize + 1..)
    }

    /// The headers behind `?`: name and value, unescaped. What may be done with them: RFC 3261 §19.1.5.
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        self.raw_header_pairs().map(|(name, value)| (percent::decode(name), percent::decode(value)))
    }

    pub(super) fn raw_header_pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.raw_headers()
            .into_iter()
            .flat_map(|headers| headers.split('&'))
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// The `transport` parameter, unescaped.
    pub fn transport_param(&self) -> Option<Cow<'a, str>> {
        self.params().value("transport")
    }

    /// The transport that the `transport` parameter names. `None` when there is none, or an unknown one.
    pub fn transport(&self) -> Option<Transport> {
        Transport::from_token(&self.transport_param()?)
    }

    /// Whether the element is a loose router (`lr`, RFC 3261 §16.12). `lr=on` means the same.
    pub fn lr(&self) -> bool {
        self.params().contains("lr")
    }

    /// The `maddr` parameter, when it is a host. An IPv6 address may lack its brackets.
    pub fn maddr(&self) -> Option<Host<'a>> {
        let value = self.params().get("maddr")?.value?;
        Host::parse(value).ok().or_else(|| super::ipv6(value).map(Host::V6))
    }

    /// The `ttl` parameter: 0 to 255.
    pub fn ttl(&self) -> Option<u8> {
        self.params().get("ttl")?.value?.parse().ok()
    }

    /// The `user` parameter: `phone`, `ip`, or something else.
    pub fn user_param(&self) -> Option<Cow<'a, str>> {
        self.params().value("user")
    }

    /// Whether the user is declared a telephone number (`user=phone`).
    pub fn is_phone(&self) -> bool {
        self.user_param().is_some_and(|value| value.eq_ignore_ascii_case("phone"))
    }

    /// The `method` parameter: the method of a request formed from this URI (§19.1.5).
    pub fn method_param(&self) -> Option<Cow<'a, str>> {
        self.params().value("method")
    }

    /// The `gr` parameter of a GRUU (RFC 5627 §6.1): `Some(None)` for a temporary one, which has no value.
    pub fn gr(&self) -> Option<Option<Cow<'a, str>>> {
        self.params().get("gr").map(|param| param.decoded())
    }

    /// Whether requests shall take the flow of the registration (`ob`, RFC 5626 §5).
    pub fn ob(&self) -> bool {
        self.params().contains("ob")
    }

    /// Whether the URI may stand in a request line: no method and no headers (§19.1.1, table 1).
    pub fn check_request_uri(&self) -> Result<(), IllegalComponent> {
        if self.raw_headers().is_some() {
            return Err(IllegalComponent::Headers);
        }
        if self.params().contains("method") {
            return Err(IllegalComponent::Method);
        }
        Ok(())
    }
}

/// Two URIs are equal when their texts are; what means the same: [`super::Uri::equivalent`].
impl PartialEq for SipUri<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SipUri<'_> {}

impl fmt::Display for SipUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// A component that has no place in a Request-URI (RFC 3261 §19.1.1, table 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IllegalComponent {
    /// A `method` parameter.
    Method,
    /// Headers behind `?`; they must never become headers of the request.
    Headers,
}

impl fmt::Display for IllegalComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IllegalComponent::Method => "a Request-URI has no method parameter",
            IllegalComponent::Headers => "a Request-URI has no headers",
        })
    }
}

impl std::error::Error for IllegalComponent {}

/// `( user ) [ ":" password ]` between `start` and `end`; where the user ends.
#[inline]
fn check_userinfo(octets: &[u8], start: usize, end: usize) -> Result<usize, UriError> {
    let octets = &octets[..end];
    let user_end = grammar::escaped_run(octets, start, USER);
    // "If the @ sign is present in a SIP or SIPS URI, the user field MUST NOT be empty." (§19.1.1)
    if user_end == start || !matches!(octets.get(user_end), None | Some(b':')) {
        return Err(UriError::new(UriPart::User, user_end));
    }
    if user_end != end {
        let password_end = grammar::escaped_run(octets, user_end + 1, PASSWORD);
        if password_end != end {
            return Err(UriError::new(UriPart::Password, password_end));
        }
    }
    Ok(user_end)
}

/// `1*DIGIT`, as far as it is a port.
pub(crate) fn read_port(digits: &str) -> Option<u16> {
    grammar::number(digits).and_then(|port| u16::try_from(port).ok())
}

/// `header *( "&" header )`; where it ends.
pub(super) fn check_headers(octets: &[u8], mut at: usize) -> Result<usize, UriError> {
    loop {
        let equal = grammar::escaped_run(octets, at, URI_HEADER);
        if equal == at || octets.get(equal) != Some(&b'=') {
            return Err(UriError::new(UriPart::Headers, equal));
        }
        at = grammar::escaped_run(octets, equal + 1, URI_HEADER);
        if octets.get(at) != Some(&b'&') {
            return Ok(at);
        }
        at += 1;
    }
}
