//! The `SipURI` of the SIP Servlet model: SIP and SIPS URIs, RFC 3261 §19.1.
//! Which component is legal in which header (table 1 there) is for those who put it there: `header_rules`.

use std::fmt::{self, Write};
use std::net::Ipv6Addr;

use sip_message::uri::{UriPart, percent};
use sip_message::{Host, UriBuf, UriError};

use super::{parameter, parameter_names, text_form, with_parameter};
use crate::optional_text::OptionalText;
use crate::parse_error::{IllegalValue, ServletParseError};

/// A SIP or SIPS URI.
///
/// ```text
///   sip:user:password@host:port;uri-parameters?headers
/// ```
///
/// What is set is escaped where the grammar wants it; what can't be, such as a line break or a host that is none, is
/// refused and changes nothing. What is read is unescaped.
///
/// ```
/// use servlet::SipUri;
///
/// let mut uri = SipUri::new("j@s0n", "example.com")?;
/// uri.set_port(5070);
/// uri.set_transport_param("tcp")?;
/// uri.set_lr_param(true);
/// assert_eq!(uri.to_string(), "sip:j%40s0n@example.com:5070;transport=tcp;lr");
/// assert_eq!(uri.user().as_deref(), Some("j@s0n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SipUri {
    /// Always a SIP or SIPS URI.
    pub(super) text: UriBuf,
}

impl SipUri {
    pub(super) const OTHER_SCHEME: ServletParseError = ServletParseError::Scheme { expected: "sip or sips" };

    /// `sip:user@host`, or `sip:host` without a user.
    pub fn new<'u>(user: impl OptionalText<'u>, host: &str) -> Result<SipUri, IllegalValue> {
        Ok(SipUri { text: UriBuf::sip(user.optional_text(), read_host(host)?, None)? })
    }

    /// Reads a SIP or SIPS URI.
    pub fn parse(text: &str) -> Result<SipUri, ServletParseError> {
        super::Uri::parse(text)?.try_into()
    }

    /// The user, unescaped.
    pub fn user(&self) -> Option<String> {
        self.as_message_uri().user().map(|user| user.into_owned())
    }

    /// Sets the user; `None` takes user and password away.
    pub fn set_user<'u>(&mut self, user: impl OptionalText<'u>) -> Result<(), IllegalValue> {
        self.text = self.text.clone().with_user(user.optional_text())?;
        Ok(())
    }

    /// The password, unescaped. RFC 3261 §19.1.1 recommends against its use.
    pub fn user_password(&self) -> Option<String> {
        self.as_message_uri().raw_password().map(|password| percent::decode(password).into_owned())
    }

    /// Sets the password, which only a URI with a user can have.
    pub fn set_user_password<'p>(&mut self, password: impl OptionalText<'p>) -> Result<(), IllegalValue> {
        let uri = self.as_message_uri();
        let password = password.optional_text();
        let Some(user) = uri.raw_user() else {
            return match password {
                None => Ok(()),
                Some(_) => Err(UriError { part: UriPart::Component, at: 0 }.into()),
            };
        };
        // No user holds a "@" that is not escaped, so that the first one ends it.
        let (_, behind) = uri.as_str().split_once('@').expect("a URI with a user has an @");
        let scheme = if uri.is_secure() { "sips" } else { "sip" };
        let mut text = format!("{scheme}:{user}");
        if let Some(password) = password {
            refuse_controls(password, UriPart::Password)?;
            text.push(':');
            escape(password, b"&=+$,", &mut text);
        }
        let _ = write!(text, "@{behind}");
        self.text = UriBuf::parse(text)?;
        Ok(())
    }

    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> String {
        self.as_message_uri().host().to_string()
    }

    /// Sets the host; an IPv6 address may lack its brackets.
    pub fn set_host(&mut self, host: &str) -> Result<(), IllegalValue> {
        self.text = self.text.clone().with_host(read_host(host)?)?;
        Ok(())
    }

    /// The port, when one is written.
    pub fn port(&self) -> Option<u16> {
        self.as_message_uri().port()
    }

    /// Sets the port; `None` leaves it to the transport.
    pub fn set_port(&mut self, port: impl Into<Option<u16>>) {
        self.text = self.text.clone().with_port(port).expect("every SIP URI takes a port");
    }

    /// Whether the scheme is `sips`.
    pub fn secure(&self) -> bool {
        self.as_message_uri().is_secure()
    }

    /// Makes the scheme `sips` or `sip`.
    pub fn set_secure(&mut self, secure: bool) {
        self.text = self.text.clone().with_secure(secure).expect("every SIP URI takes both schemes");
    }

    /// The `transport` parameter: `udp`, `tcp`, `tls`, `ws` …
    pub fn transport_param(&self) -> Option<String> {
        self.parameter("transport")
    }

    /// Sets or removes the `transport` parameter.
    pub fn set_transport_param<'v>(&mut self, transport: impl OptionalText<'v>) -> Result<(), IllegalValue> {
        self.set_valued("transport", transport.optional_text())
    }

    /// The `maddr` parameter: the host to which requests are sent instead of the URI's.
    pub fn maddr_param(&self) -> Option<String> {
        self.parameter("maddr")
    }

    /// Sets or removes the `maddr` parameter, which must be a host.
    pub fn set_maddr_param<'v>(&mut self, host: impl OptionalText<'v>) -> Result<(), IllegalValue> {
        match host.optional_text() {
            Some(host) => self.set_valued("maddr", Some(&read_host(host)?.to_string())),
            None => self.set_valued("maddr", None),
        }
    }

    /// The `method` parameter: the method of a request that is formed from this URI (§19.1.5).
    pub fn method_param(&self) -> Option<String> {
        self.parameter("method")
    }

    /// Sets or removes the `method` parameter.
    pub fn set_method_param<'v>(&mut self, method: impl OptionalText<'v>) -> Result<(), IllegalValue> {
        self.set_valued("method", method.optional_text())
    }

    /// The `ttl` parameter of a multicast address, when it is one.
    pub fn ttl_param(&self) -> Option<u8> {
        self.as_message_uri().ttl()
    }

    /// Sets or removes the `ttl` parameter.
    pub fn set_ttl_param(&mut self, ttl: impl Into<Option<u8>>) {
        let ttl = ttl.into().map(|ttl| ttl.to_string());
        self.set_valued("ttl", ttl.as_deref()).expect("digits are a parameter value");
    }

    /// The `user` parameter: `phone` when the user is a telephone number, `ip` …
    pub fn user_param(&self) -> Option<String> {
        self.parameter("user")
    }

    /// Sets or removes the `user` parameter.
    pub fn set_user_param<'v>(&mut self, user: impl OptionalText<'v>) -> Result<(), IllegalValue> {
        self.set_valued("user", user.optional_text())
    }

    /// Whether the element that the URI names routes loosely (`lr`, RFC 3261 §16.12).
    pub fn lr_param(&self) -> bool {
        self.as_message_uri().lr()
    }

    /// Sets or removes the `lr` parameter.
    pub fn set_lr_param(&mut self, loose: bool) {
        self.set_parameter("lr", loose.then_some("")).expect("lr is a parameter name");
    }

    /// The value of a parameter, unescaped; empty for a flag such as `lr`.
    pub fn parameter(&self, name: &str) -> Option<String> {
        parameter(self.as_message_uri().params(), name)
    }

    /// Sets a parameter; an empty value makes a flag, `None` removes it. Name and value are escaped.
    pub fn set_parameter<'v>(&mut self, name: &str, value: impl OptionalText<'v>) -> Result<(), IllegalValue> {
        self.text = with_parameter(&self.text, name, value.optional_text())?;
        Ok(())
    }

    /// Takes a parameter away.
    pub fn remove_parameter(&mut self, name: &str) {
        self.text = self.text.clone().without_param(name);
    }

    /// The names of the parameters, in order.
    pub fn parameter_names(&self) -> impl Iterator<Item = String> {
        parameter_names(self.as_message_uri().params())
    }

    /// The value of a header behind `?`, unescaped; of several with one name the first.
    ///
    /// Such headers came with the URI from wherever it is from: nobody has to put them into a request (§19.1.5).
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.as_message_uri().headers().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value.into_owned())
    }

    /// Sets a header behind `?`, in the place of all of that name. Name and value are escaped.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), IllegalValue> {
        if name.is_empty() {
            return Err(UriError { part: UriPart::Headers, at: 0 }.into());
        }
        refuse_controls(name, UriPart::Headers)?;
        refuse_controls(value, UriPart::Headers)?;
        let mut new = String::with_capacity(name.len() + value.len() + 1);
        escape(name, b"[]/?:+$", &mut new);
        new.push('=');
        escape(value, b"[]/?:+$", &mut new);
        self.text = self.with_headers(name, Some(&new))?;
        Ok(())
    }

    /// Takes every header of that name away.
    pub fn remove_header(&mut self, name: &str) {
        if self.header(name).is_some() {
            self.text = self.with_headers(name, None).expect("headers that were read can be written");
        }
    }

    /// The names of the headers behind `?`, in order.
    pub fn header_names(&self) -> impl Iterator<Item = String> {
        self.as_message_uri().headers().map(|(name, _)| name.into_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The URI as messages know it; nothing is copied.
    pub fn as_message_uri(&self) -> sip_message::SipUri<'_> {
        self.text.as_uri().sip().expect("nothing but SIP URIs becomes a SipUri")
    }

    /// A parameter that is nothing without a value.
    fn set_valued(&mut self, name: &str, value: Option<&str>) -> Result<(), IllegalValue> {
        if value == Some("") {
            return Err(UriError { part: UriPart::Parameter, at: 0 }.into());
        }
        self.set_parameter(name, value)
    }

    /// The same with `new`, escaped, in the place of the headers called `name`. The others keep their spelling.
    fn with_headers(&self, name: &str, new: Option<&str>) -> Result<UriBuf, UriError> {
        let uri = self.as_message_uri();
        let raw = uri.raw_headers();
        let behind = raw.map_or(0, |headers| headers.len() + 1);
        let mut text = uri.as_str()[..uri.as_str().len() - behind].to_owned();
        let mut pending = new;
        let mut mark = '?';
        let mut push = |pair: &str| {
            text.push(mark);
            text.push_str(pair);
            mark = '&';
        };
        for pair in raw.into_iter().flat_map(|headers| headers.split('&')) {
            let (other, _) = pair.split_once('=').unwrap_or((pair, ""));
            if !percent::decode(other).eq_ignore_ascii_case(name) {
                push(pair);
            } else if let Some(new) = pending.take() {
                push(new);
            }
        }
        if let Some(new) = pending {
            push(new);
        }
        UriBuf::parse(text)
    }
}

text_form!(SipUri);

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// RFC 3261 §19.1.4.
impl PartialEq for SipUri {
    fn eq(&self, other: &SipUri) -> bool {
        self.text.as_uri().equivalent(&other.text.as_uri())
    }
}

impl From<sip_message::SipUri<'_>> for SipUri {
    fn from(uri: sip_message::SipUri<'_>) -> SipUri {
        SipUri { text: uri.into() }
    }
}

impl TryFrom<UriBuf> for SipUri {
    type Error = ServletParseError;

    fn try_from(text: UriBuf) -> Result<SipUri, ServletParseError> {
        super::Uri::from_uri_buf(text).try_into()
    }
}

impl From<SipUri> for UriBuf {
    fn from(uri: SipUri) -> UriBuf {
        uri.text
    }
}

impl AsRef<UriBuf> for SipUri {
    fn as_ref(&self) -> &UriBuf {
        &self.text
    }
}

fn read_host(text: &str) -> Result<Host<'_>, UriError> {
    match text.parse::<Ipv6Addr>() {
        Ok(address) => Ok(Host::V6(address)),
        Err(_) => Host::parse(text),
    }
}

/// An escape could carry them, but no caller means it.
fn refuse_controls(text: &str, part: UriPart) -> Result<(), UriError> {
    match text.bytes().position(|octet| octet.is_ascii_control() && octet != b'\t') {
        Some(at) => Err(UriError { part, at }),
        None => Ok(()),
    }
}

/// Escapes whatever is neither `unreserved` (RFC 3261 §25.1) nor `allowed` in this component (§19.1.2).
fn escape(text: &str, allowed: &[u8], out: &mut String) {
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&octet) || allowed.contains(&octet) {
            out.push(char::from(octet));
        } else {
            // Writing to a String can't fail.
            let _ = write!(out, "%{octet:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> SipUri {
        SipUri::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// RFC 3261 §19.1.3.
    #[test]
    fn every_component_of_the_examples_is_read() {
        let text = "sip:+1-212-555-1212:1234@gateway.com:5070;user=phone;method=INVITE;ttl=15;maddr=239.255.255.1;lr";
        let uri = uri(text);
        assert_eq!((uri.user().as_deref(), uri.user_password().as_deref()), (Some("+1-212-555-1212"), Some("1234")));
        assert_eq!((uri.host().as_str(), uri.port(), uri.secure()), ("gateway.com", Some(5070), false));
        assert_eq!((uri.user_param().as_deref(), uri.method_param().as_deref()), (Some("phone"), Some("INVITE")));
        assert_eq!((uri.ttl_param(), uri.maddr_param().as_deref()), (Some(15), Some("239.255.255.1")));
        assert_eq!((uri.lr_param(), uri.parameter("lr").as_deref(), uri.transport_param()), (true, Some(""), None));
        assert_eq!(uri.parameter_names().collect::<Vec<_>>(), ["user", "method", "ttl", "maddr", "lr"]);
    }

    #[test]
    fn every_component_can_be_set_and_taken_away() {
        let mut uri = SipUri::new(None, "example.com").unwrap();
        uri.set_user("alice").unwrap();
        uri.set_user_password("a:b@c").unwrap();
        uri.set_host("2001:db8::1").unwrap();
        uri.set_port(5061);
        uri.set_secure(true);
        uri.set_transport_param("tcp").unwrap();
        uri.set_maddr_param("::1").unwrap();
        uri.set_method_param("INVITE").unwrap();
        uri.set_ttl_param(7);
        uri.set_user_param("phone").unwrap();
        uri.set_lr_param(true);
        let params = ";transport=tcp;maddr=[::1];method=INVITE;ttl=7;user=phone;lr";
        assert_eq!(uri.to_string(), format!("sips:alice:a%3Ab%40c@[2001:db8::1]:5061{params}"));
        assert_eq!((uri.user_password().as_deref(), uri.maddr_param().as_deref()), (Some("a:b@c"), Some("[::1]")));

        uri.set_user_password(None).unwrap();
        uri.set_port(None);
        uri.set_secure(false);
        uri.set_transport_param(None).unwrap();
        uri.set_maddr_param(None).unwrap();
        uri.set_method_param(None).unwrap();
        uri.set_ttl_param(None);
        uri.set_user_param(None).unwrap();
        uri.set_lr_param(false);
        uri.set_lr_param(false);
        assert_eq!(uri.to_string(), "sip:alice@[2001:db8::1]");
        uri.set_user(None).unwrap();
        assert_eq!(uri.to_string(), "sip:[2001:db8::1]");
    }

    #[test]
    fn what_is_no_such_component_is_refused_and_changes_nothing() {
        let mut uri = uri("sip:alice@example.com;x=y?a=b");
        for host in ["", "a b", "h:5060", "h;lr", "h>", "a@b", "1.2.3", "h\r\nVia: x"] {
            assert!(uri.set_host(host).is_err(), "{host:?}");
            assert!(uri.set_maddr_param(host).is_err(), "{host:?}");
        }
        for text in ["", "\r\n", "a\0b", "\u{7f}"] {
            assert!(uri.set_user(text).is_err(), "{text:?}");
            assert!(uri.set_transport_param(text).is_err(), "{text:?}");
            assert!(uri.set_header(text, "x").is_err(), "{text:?}");
            assert!(uri.set_parameter(text, "x").is_err(), "{text:?}");
        }
        assert!(uri.set_user_password("\n").is_err());
        assert!(uri.set_header("x", "\n").is_err());
        assert!(SipUri::new("a", "b c").is_err());
        assert!(SipUri::parse("sip:h").unwrap().set_user_password("x").is_err());
        assert_eq!(uri.to_string(), "sip:alice@example.com;x=y?a=b");
    }

    /// RFC 3261 §19.1.2: "?" is legal in a user, and so does not start the headers.
    #[test]
    fn headers_are_found_set_and_removed_in_any_case() {
        let mut uri = uri("sip:a?b@c?Subject=project%20x&priority=urgent&SUBJECT=y");
        assert_eq!(uri.header("subject").as_deref(), Some("project x"));
        uri.set_header("subject", "a&b=c").unwrap();
        assert_eq!(uri.to_string(), "sip:a?b@c?subject=a%26b%3Dc&priority=urgent");
        uri.set_header("To", "").unwrap();
        assert_eq!(uri.header_names().collect::<Vec<_>>(), ["subject", "priority", "To"]);
        assert_eq!(uri.header("To").as_deref(), Some(""));
        for name in ["TO", "Subject", "Priority", "Priority"] {
            uri.remove_header(name);
        }
        assert_eq!((uri.to_string().as_str(), uri.header("To")), ("sip:a?b@c", None));
    }

    /// RFC 3261 §19.1.4, one of each list; the rest is `sip-message`'s to prove.
    #[test]
    fn equality_is_that_of_the_scheme() {
        assert_eq!(uri("sip:%61lice@atlanta.com;transport=TCP"), uri("sip:alice@AtLanTa.CoM;Transport=tcp"));
        assert_ne!(uri("sip:bob@biloxi.com"), uri("sip:bob@biloxi.com:5060"));
        assert_ne!(uri("sip:bob@biloxi.com"), uri("sips:bob@biloxi.com"));
    }
}
