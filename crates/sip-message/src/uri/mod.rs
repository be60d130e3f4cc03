//! URIs: SIP and SIPS (RFC 3261 §19.1), tel (RFC 3966), and any other, of which only the scheme matters.
//!
//! A [`Uri`] is a view of text that was checked when it was read; [`UriBuf`] owns such a text, and is what URIs are built
//! with. Where a request to a URI goes (RFC 3263) is the transport's business.

mod buf;
mod compare;
mod error;
mod host;
mod params;
pub mod percent;
mod sip;
mod tel;

use std::fmt;

pub use buf::UriBuf;
pub use error::{UriError, UriPart};
pub use host::Host;
pub(crate) use host::ipv6;
pub use params::{UriParam, UriParams};
pub(crate) use sip::read_port;
pub use sip::{IllegalComponent, SipUri};
pub use tel::TelUri;

use crate::grammar::{self, URIC};

/// A URI, borrowed from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uri<'a> {
    /// `sip:` or `sips:`.
    Sip(SipUri<'a>),
    /// `tel:`.
    Tel(TelUri<'a>),
    /// Any other scheme.
    Absolute(AbsoluteUri<'a>),
}

impl<'a> Uri<'a> {
    /// Reads a URI and nothing behind it.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Uri<'a>, UriError> {
        let octets = text.as_bytes();
        match octets {
            [s, i, p, b':', ..] if s | 32 == b's' && i | 32 == b'i' && p | 32 == b'p' => {
                SipUri::read(text, false, 4).map(Uri::Sip)
            }
            [s, i, p, t, b':', ..] if s | 32 == b's' && i | 32 == b'i' && p | 32 == b'p' && t | 32 == b's' => {
                SipUri::read(text, true, 5).map(Uri::Sip)
            }
            [t, e, l, b':', ..] if t | 32 == b't' && e | 32 == b'e' && l | 32 == b'l' => {
                TelUri::read(text, 4).map(Uri::Tel)
            }
            _ => AbsoluteUri::read(text).map(Uri::Absolute),
        }
    }

    /// The URI as it was written.
    pub fn as_str(&self) -> &'a str {
        match self {
            Uri::Sip(uri) => uri.as_str(),
            Uri::Tel(uri) => uri.as_str(),
            Uri::Absolute(uri) => uri.as_str(),
        }
    }

    /// The scheme as it was written, without the colon.
    pub fn scheme(&self) -> &'a str {
        let text = self.as_str();
        &text[..memchr::memchr(b':', text.as_bytes()).unwrap_or(text.len())]
    }

    /// The URI, when it is a SIP or SIPS one.
    pub fn sip(&self) -> Option<SipUri<'a>> {
        match *self {
            Uri::Sip(uri) => Some(uri),
            _ => None,
        }
    }

    /// The URI, when it is a telephone number.
    pub fn tel(&self) -> Option<TelUri<'a>> {
        match *self {
            Uri::Tel(uri) => Some(uri),
            _ => None,
        }
    }

    /// Whether both mean the same: RFC 3261 §19.1.4, RFC 3966 §4. Not transitive, see the RFC.
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        compare::equivalent(self, other)
    }

    /// The key under which a registrar keeps an address-of-record (RFC 3261 §10.3, step 5): without parameters and
    /// headers, escapes undone as far as the grammar allows the character itself, the host in lower case.
    pub fn address_of_record(&self) -> String {
        compare::address_of_record(self)
    }

    /// Whether the URI may stand in a request line (RFC 3261 §19.1.1, table 1).
    pub fn check_request_uri(&self) -> Result<(), IllegalComponent> {
        match self {
            Uri::Sip(uri) => uri.check_request_uri(),
            _ => Ok(()),
        }
    }

    /// A copy that owns its text.
    pub fn to_buf(&self) -> UriBuf {
        UriBuf::from(*self)
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A URI of another scheme: `absoluteURI`, RFC 3261 §25.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AbsoluteUri<'a> {
    text: &'a str,
    scheme_len: usize,
}

impl<'a> AbsoluteUri<'a> {
    fn read(text: &'a str) -> Result<AbsoluteUri<'a>, UriError> {
        let octets = text.as_bytes();
        let scheme_len = octets
            .iter()
            .position(|&o| !(o.is_ascii_alphanumeric() || matches!(o, b'+' | b'-' | b'.')))
            .unwrap_or(octets.len());
        let starts = octets.first().is_some_and(u8::is_ascii_alphabetic);
        if !starts || octets.get(scheme_len) != Some(&b':') {
            return Err(UriError::new(UriPart::Scheme, scheme_len));
        }
        match grammar::escaped_run(octets, scheme_len + 1, URIC) {
            end if end == octets.len() && end > scheme_len + 1 => Ok(AbsoluteUri { text, scheme_len }),
            end => Err(UriError::new(UriPart::Opaque, end)),
        }
    }

    /// The URI as it was written.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The scheme; schemes have no case.
    pub fn scheme(&self) -> &'a str {
        &self.text[..self.scheme_len]
    }

    /// What stands behind the scheme's colon.
    pub fn rest(&self) -> &'a str {
        &self.text[self.scheme_len + 1..]
    }
}

impl fmt::Display for AbsoluteUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sip(text: &str) -> SipUri<'_> {
        SipUri::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// RFC 3261 §19.1.3.
    #[test]
    fn the_examples_of_section_19_1_3_are_read() {
        assert_eq!(sip("sip:alice@atlanta.com").user().as_deref(), Some("alice"));
        let uri = sip("sip:alice:secretword@atlanta.com;transport=tcp");
        assert_eq!(uri.raw_password(), Some("secretword"));
        assert_eq!(uri.transport(), Some(crate::Transport::Tcp));
        let uri = sip("sips:alice@atlanta.com?subject=project%20x&priority=urgent");
        assert!(uri.is_secure());
        let headers: Vec<_> = uri.headers().collect();
        assert_eq!(headers, [("subject".into(), "project x".into()), ("priority".into(), "urgent".into())]);
        let uri = sip("sip:+1-212-555-1212:1234@gateway.com;user=phone");
        assert_eq!((uri.raw_user(), uri.raw_password(), uri.is_phone()), (Some("+1-212-555-1212"), Some("1234"), true));
        assert_eq!(sip("sips:1212@gateway.com").host(), Host::Name("gateway.com"));
        assert!(sip("sip:alice@192.0.2.4").host().ip().is_some());
        let uri = sip("sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com");
        assert_eq!((uri.raw_user(), uri.method_param().as_deref()), (None, Some("REGISTER")));
        assert_eq!(sip("sip:alice;day=tuesday@atlanta.com").raw_user(), Some("alice;day=tuesday"));
    }

    /// RFC 4475 §3.1.1.2, §3.1.1.3, §3.1.1.9.
    #[test]
    fn torture_users_and_parameters_are_read() {
        let uri = sip(
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
        );
        assert_eq!(uri.raw_user(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
        let uri = sip("sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31");
        assert!(uri.lr());
        assert_eq!(uri.user().as_deref(), Some("caller"));
        assert_eq!(uri.params().value("name").as_deref(), Some("value%41"));
        assert_eq!(sip("sip:user;par=u%40example.net@example.com").user().as_deref(), Some("user;par=u@example.net"));
        assert_eq!(sip("sip:null-%00-null@example.com").user().as_deref(), Some("null-\0-null"));
    }

    #[test]
    fn parameters_have_accessors() {
        let uri = sip("SIP:a@h:5070;maddr=239.255.255.1;ttl=15;lr=on;gr=urn:uuid:f8;ob;transport=ws;x=QUJD==");
        assert_eq!(uri.maddr(), Some(Host::V4([239, 255, 255, 1].into())));
        assert_eq!((uri.ttl(), uri.lr(), uri.ob(), uri.port()), (Some(15), true, true, Some(5070)));
        assert_eq!(uri.gr(), Some(Some("urn:uuid:f8".into())));
        assert_eq!(sip("sip:h;gr").gr(), Some(None));
        assert_eq!(uri.params().value("x").as_deref(), Some("QUJD=="));
    }

    #[test]
    fn any_other_scheme_is_kept_as_it_is() {
        for (text, scheme) in [
            ("http://www.example.com/a?b=c#d", "http"),
            ("soap.beep://192.0.2.103:3002", "soap.beep"),
            ("isbn:2983792873", "isbn"),
            ("urn:service:sos", "urn"),
            ("name:John_Smith", "name"),
            ("nobodyKnowsThisScheme:totallyopaquecontent", "nobodyKnowsThisScheme"),
        ] {
            let Uri::Absolute(uri) = Uri::parse(text).unwrap() else { panic!("{text}") };
            assert_eq!((uri.scheme(), uri.as_str()), (scheme, text));
        }
    }

    #[test]
    fn what_the_grammar_does_not_have_is_refused_and_named() {
        use UriPart::*;
        for (text, part) in [
            ("", Scheme),
            ("sip", Scheme),
            ("alice@atlanta.com", Scheme),
            ("1a:b", Scheme),
            ("<sip:a@b>", Scheme),
            ("sip:", Host),
            ("sip:@host", User),
            ("sip:a b@host", User),
            ("sip:a%4@host", User),
            ("sip:é@host", User),
            ("sip:a:b;c@host", Password),
            ("sip:a@b@c", Host),
            ("sip:a@", Host),
            ("sip:a@h%41", Host),
            ("sip:user@example.com; lr", Parameter),
            ("sip:h;", Parameter),
            ("sip:h;=x", Parameter),
            ("sip:h;a=", Parameter),
            ("sip:h;a=\"x\"", Parameter),
            ("sip:2001:db8::10", Host),
            ("sip:h:", Port),
            ("sip:h:65536", Port),
            ("sip:h:5060x", Port),
            ("sip:h?", Headers),
            ("sip:h?a", Headers),
            ("sip:h?a=b&", Headers),
            ("sip:h?a=b c", Headers),
            ("sip:h ", Host),
            ("http:", Opaque),
            ("http://a b", Opaque),
            ("http://a\r\n", Opaque),
        ] {
            assert_eq!(Uri::parse(text).map_err(|e| e.part), Err(part), "{text}");
        }
    }

    /// RFC 3261 §19.1.1, table 1.
    #[test]
    fn a_request_uri_has_neither_method_nor_headers() {
        assert_eq!(sip("sip:a@b;user=phone;x=y").check_request_uri(), Ok(()));
        assert_eq!(sip("sip:b;method=INVITE").check_request_uri(), Err(IllegalComponent::Method));
        assert_eq!(sip("sip:b?Route=%3Csip:x%3E").check_request_uri(), Err(IllegalComponent::Headers));
    }

    /// RFC 5118 §4.
    #[test]
    fn ipv6_references_are_read() {
        let uri = sip("sip:[2001:db8::10]:5070");
        assert_eq!((uri.host().to_string().as_str(), uri.port()), ("[2001:db8::10]", Some(5070)));
        let uri = sip("sip:[2001:db8::10:5070]");
        assert_eq!((uri.host().to_string().as_str(), uri.port()), ("[2001:db8::10:5070]", None));
        assert!(Uri::parse("sip:2001:db8::10").is_err());
    }
}
