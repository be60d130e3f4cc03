//! The URI that owns its text, and how URIs are built. Every setter escapes or refuses; what is built was read back.

use std::fmt::{self, Write};
use std::str::FromStr;

use super::sip::check_headers;
use super::{Host, SipUri, Uri, UriError, UriParams, UriPart, percent};
use crate::grammar::{self, URI_HEADER, URI_PARAM, URI_PARAM_EQUAL, USER};

/// An owned URI. Equality and hash are those of the text; what means the same: [`Uri::equivalent`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UriBuf {
    /// Checked: [`Uri::parse`] reads it.
    text: Box<str>,
}

impl UriBuf {
    /// Keeps a text that is a URI.
    pub fn parse(text: impl Into<Box<str>>) -> Result<UriBuf, UriError> {
        let text = text.into();
        Uri::parse(&text)?;
        Ok(UriBuf { text })
    }

    /// `sip:user@host:port`; the user is escaped.
    pub fn sip<'u>(
        user: impl Into<Option<&'u str>>,
        host: Host<'_>,
        port: impl Into<Option<u16>>,
    ) -> Result<UriBuf, UriError> {
        UriBuf::of_parts(false, user.into(), host, port.into())
    }

    /// `sips:user@host:port`; the user is escaped.
    pub fn sips<'u>(
        user: impl Into<Option<&'u str>>,
        host: Host<'_>,
        port: impl Into<Option<u16>>,
    ) -> Result<UriBuf, UriError> {
        UriBuf::of_parts(true, user.into(), host, port.into())
    }

    fn of_parts(secure: bool, user: Option<&str>, host: Host<'_>, port: Option<u16>) -> Result<UriBuf, UriError> {
        let user = user.map(escape_user).transpose()?;
        let host = host.checked()?;
        Parts { secure, user: user.as_deref(), password: None, host, port, params: "", headers: None }.build()
    }

    /// The URI, to read it.
    pub fn as_uri(&self) -> Uri<'_> {
        Uri::parse(&self.text).expect("the text was read when the UriBuf was made")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same with another user, which is escaped; `None` takes user and password away.
    pub fn with_user<'u>(self, user: impl Into<Option<&'u str>>) -> Result<UriBuf, UriError> {
        let user = user.into().map(escape_user).transpose()?;
        let parts = self.parts()?;
        let password = parts.password.filter(|_| user.is_some());
        Parts { user: user.as_deref(), password, ..parts }.build()
    }

    /// The same at another host.
    pub fn with_host(self, host: Host<'_>) -> Result<UriBuf, UriError> {
        let host = host.checked()?;
        Parts { host, ..self.parts()? }.build()
    }

    /// The same at another port; `None` leaves the port to the transport.
    pub fn with_port(self, port: impl Into<Option<u16>>) -> Result<UriBuf, UriError> {
        Parts { port: port.into(), ..self.parts()? }.build()
    }

    /// The same as `sips:` or `sip:`.
    pub fn with_secure(self, secure: bool) -> Result<UriBuf, UriError> {
        Parts { secure, ..self.parts()? }.build()
    }

    /// The same with a parameter, in the place of one of that name if there is one. Name and value are escaped.
    pub fn with_param(self, name: &str, value: &str) -> Result<UriBuf, UriError> {
        if value.is_empty() {
            return Err(UriError::new(UriPart::Parameter, 0));
        }
        check(value, UriPart::Parameter)?;
        let value = percent::encode(value, URI_PARAM | URI_PARAM_EQUAL);
        self.put_param(name, Some(&value))
    }

    /// The same with a parameter that has no value, such as `lr`.
    pub fn with_flag(self, name: &str) -> Result<UriBuf, UriError> {
        self.put_param(name, None)
    }

    /// The same without a parameter.
    pub fn without_param(self, name: &str) -> UriBuf {
        if !self.params().is_some_and(|params| params.contains(name)) {
            return self;
        }
        let mut text = String::new();
        for param in self.params().iter().flat_map(|params| params.iter()).filter(|param| !param.is_called(name)) {
            let _ = write!(text, ";{param}");
        }
        // A local number is nothing without its context (RFC 3966 §5.1.5): then the URI stays as it is.
        self.replace_params(&text).unwrap_or(self)
    }

    /// The same without any parameter; `tel` URIs keep them.
    pub fn without_params(self) -> UriBuf {
        match self.parts() {
            Ok(parts) => Parts { params: "", ..parts }.build().unwrap_or(self),
            Err(_) => self,
        }
    }

    /// The same without the headers behind `?`.
    pub fn without_headers(self) -> UriBuf {
        match self.parts() {
            Ok(parts) => Parts { headers: None, ..parts }.build().unwrap_or(self),
            Err(_) => self,
        }
    }

    /// The same with one more header behind `?`. Name and value are escaped.
    pub fn with_header(self, name: &str, value: &str) -> Result<UriBuf, UriError> {
        let parts = self.parts()?;
        check(name, UriPart::Headers)?;
        check(value, UriPart::Headers)?;
        let mut headers = parts.headers.map(|headers| format!("{headers}&")).unwrap_or_default();
        headers.push_str(&percent::encode(name, URI_HEADER));
        headers.push('=');
        headers.push_str(&percent::encode(value, URI_HEADER));
        check_headers(headers.as_bytes(), 0)?;
        Parts { headers: Some(&headers), ..parts }.build()
    }

    fn put_param(self, name: &str, value: Option<&str>) -> Result<UriBuf, UriError> {
        check(name, UriPart::Parameter)?;
        if name.is_empty() {
            return Err(UriError::new(UriPart::Parameter, 0));
        }
        let params = self.params().ok_or(UriError::new(UriPart::Component, 0))?;
        let escaped = percent::encode(name, URI_PARAM);
        let mut text = String::with_capacity(params.as_str().len() + name.len() + value.map_or(0, str::len) + 2);
        let mut pending = true;
        for param in params.iter() {
            if !param.is_called(name) {
                let _ = write!(text, ";{param}");
            } else if std::mem::take(&mut pending) {
                push_param(&mut text, &escaped, value);
            }
        }
        if pending {
            push_param(&mut text, &escaped, value);
        }
        self.replace_params(&text)
    }

    fn params(&self) -> Option<UriParams<'_>> {
        match self.as_uri() {
            Uri::Sip(uri) => Some(uri.params()),
            Uri::Tel(uri) => Some(uri.params()),
            Uri::Absolute(_) => None,
        }
    }

    fn replace_params(&self, params: &str) -> Result<UriBuf, UriError> {
        match self.as_uri() {
            Uri::Sip(uri) => Parts { params, ..Parts::of(uri) }.build(),
            Uri::Tel(uri) => UriBuf::parse(format!("tel:{}{params}", uri.raw_number())),
            Uri::Absolute(_) => Err(UriError::new(UriPart::Component, 0)),
        }
    }

    fn parts(&self) -> Result<Parts<'_>, UriError> {
        self.as_uri().sip().map(Parts::of).ok_or(UriError::new(UriPart::Component, 0))
    }
}

/// The components of a SIP URI, escaped and checked.
struct Parts<'a> {
    secure: bool,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: Host<'a>,
    port: Option<u16>,
    params: &'a str,
    headers: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(uri: SipUri<'a>) -> Parts<'a> {
        Parts {
            secure: uri.is_secure(),
            user: uri.raw_user(),
            password: uri.raw_password(),
            host: uri.host(),
            port: uri.port(),
            params: uri.params().as_str(),
            headers: uri.raw_headers(),
        }
    }

    fn build(&self) -> Result<UriBuf, UriError> {
        let mut text = String::with_capacity(64);
        text.push_str(if self.secure { "sips:" } else { "sip:" });
        if let Some(user) = self.user {
            text.push_str(user);
            if let Some(password) = self.password {
                text.push(':');
                text.push_str(password);
            }
            text.push('@');
        }
        // Writing to a String can't fail.
        let _ = write!(text, "{}", self.host);
        if let Some(port) = self.port {
            let _ = write!(text, ":{port}");
        }
        text.push_str(self.params);
        if let Some(headers) = self.headers {
            text.push('?');
            text.push_str(headers);
        }
        UriBuf::parse(text)
    }
}

fn push_param(text: &mut String, name: &str, value: Option<&str>) {
    text.push(';');
    text.push_str(name);
    if let Some(value) = value {
        text.push('=');
        text.push_str(value);
    }
}

fn escape_user(user: &str) -> Result<String, UriError> {
    check(user, UriPart::User)?;
    if user.is_empty() {
        return Err(UriError::new(UriPart::User, 0));
    }
    // "#" is read because phones send it, and written as the grammar wants it.
    Ok(percent::encode(user, USER).replace('#', "%23"))
}

/// An escape could carry a line break or a NUL too, but no caller means it.
fn check(text: &str, part: UriPart) -> Result<(), UriError> {
    grammar::check_text(text).map_err(|e| UriError::new(part, e.at))
}

impl From<Uri<'_>> for UriBuf {
    fn from(uri: Uri<'_>) -> UriBuf {
        UriBuf { text: uri.as_str().into() }
    }
}

impl From<SipUri<'_>> for UriBuf {
    fn from(uri: SipUri<'_>) -> UriBuf {
        UriBuf { text: uri.as_str().into() }
    }
}

impl FromStr for UriBuf {
    type Err = UriError;

    fn from_str(text: &str) -> Result<UriBuf, UriError> {
        UriBuf::parse(text)
    }
}

impl TryFrom<&str> for UriBuf {
    type Error = UriError;

    fn try_from(text: &str) -> Result<UriBuf, UriError> {
        UriBuf::parse(text)
    }
}

impl AsRef<str> for UriBuf {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl PartialEq<str> for UriBuf {
    fn eq(&self, other: &str) -> bool {
        &*self.text == other
    }
}

impl PartialEq<&str> for UriBuf {
    fn eq(&self, other: &&str) -> bool {
        &*self.text == *other
    }
}

impl fmt::Display for UriBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for UriBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_uri_is_built_piece_by_piece() {
        let uri = UriBuf::sip("j@s0n", Host::Name("example.com"), 5070).unwrap();
        assert_eq!(uri, "sip:j%40s0n@example.com:5070");
        let uri = uri.with_param("transport", "tcp").unwrap().with_flag("lr").unwrap();
        assert_eq!(uri, "sip:j%40s0n@example.com:5070;transport=tcp;lr");
        let uri = uri.with_param("Transport", "a b").unwrap().with_port(None).unwrap();
        assert_eq!(uri, "sip:j%40s0n@example.com;Transport=a%20b;lr");
        let uri = uri.without_param("transport").with_header("Subject", "project x").unwrap();
        assert_eq!(uri, "sip:j%40s0n@example.com;lr?Subject=project%20x");
        let uri = uri.without_headers().with_user(None).unwrap().with_secure(true).unwrap();
        assert_eq!(uri, "sips:example.com;lr");
        let uri = uri.with_host(Host::V6("2001:db8::1".parse().unwrap())).unwrap();
        assert_eq!(uri, "sips:[2001:db8::1];lr");
    }

    #[test]
    fn a_tel_uri_takes_parameters_and_keeps_its_context() {
        let uri: UriBuf = "tel:7042;phone-context=a.b".parse().unwrap();
        let uri = uri.with_param("x", "y").unwrap();
        assert_eq!(uri, "tel:7042;phone-context=a.b;x=y");
        assert_eq!(uri.clone().without_param("phone-context"), uri);
        assert_eq!(uri.clone().with_user("x").unwrap_err().part, UriPart::Component);
    }

    #[test]
    fn line_breaks_nul_and_foreign_hosts_are_refused() {
        assert!(UriBuf::sip("a\r\nVia: x", Host::Name("h"), None).is_err());
        assert!(UriBuf::sip("a\0", Host::Name("h"), None).is_err());
        assert!(UriBuf::sip("", Host::Name("h"), None).is_err());
        assert!(UriBuf::sip("a", Host::Name("h;lr"), None).is_err());
        assert!(UriBuf::sip("a", Host::Name("h:1"), None).is_err());
        assert!(UriBuf::parse("sip:a@b\r\n").is_err());
    }

    proptest! {
        #[test]
        fn whatever_a_setter_takes_is_read_back(user in "(?s).{0,12}", name in ".{0,6}", value in "(?s).{0,12}") {
            let Ok(uri) = UriBuf::sip(&*user, Host::Name("h"), None) else { return Ok(()) };
            prop_assert_eq!(uri.as_uri().sip().unwrap().user().unwrap(), &*user);
            if let Ok(uri) = uri.clone().with_param(&name, &value) {
                prop_assert_eq!(uri.as_uri().sip().unwrap().params().value(&name).unwrap(), &*value);
            }
            if let Ok(uri) = uri.with_header(&name, &value) {
                let parsed = uri.as_uri().sip().unwrap();
                let headers: Vec<_> = parsed.headers().collect();
                prop_assert_eq!(headers, vec![(name.into(), value.into())]);
            }
        }

        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in "(sip:|sips:|tel:|x:)?[a-z0-9@:;=?&%\\[\\].+ \u{80}-\u{200}-]{0,32}") {
            if let Ok(uri) = Uri::parse(&text) {
                prop_assert_eq!(uri.as_str(), &*text);
                prop_assert!(uri.equivalent(&uri));
                let key = uri.address_of_record();
                prop_assert_eq!(Uri::parse(&key).unwrap().address_of_record(), key);
            }
        }
    }
}
