//! Telephone URIs, RFC 3966. How a number is dialled or routed is nothing that a URI knows.

use std::borrow::Cow;
use std::fmt;

use super::{Host, UriError, UriParams, UriPart};

/// A tel URI: a global number, or a local one with the context in which it means something.
#[derive(Clone, Copy, Debug)]
pub struct TelUri<'a> {
    text: &'a str,
    number: &'a str,
    params: UriParams<'a>,
}

impl<'a> TelUri<'a> {
    /// Reads `text`, in which the scheme ends before `at`.
    pub(super) fn read(text: &'a str, at: usize) -> Result<TelUri<'a>, UriError> {
        let octets = text.as_bytes();
        let global = octets.get(at) == Some(&b'+');
        let start = at + usize::from(global);
        let is_digit = if global { is_phonedigit } else { is_phonedigit_hex };
        let end = octets[start..].iter().position(|&o| !is_digit(o)).map_or(octets.len(), |n| start + n);
        if octets[start..end].iter().all(|&o| is_visual_separator(o)) {
            return Err(UriError::new(UriPart::Number, end));
        }
        let number = &text[at..end];
        let params_at = end;
        let (params, end) = UriParams::read(text, end)?;
        if end != octets.len() {
            let part = if params.is_empty() { UriPart::Number } else { UriPart::Parameter };
            return Err(UriError::new(part, end));
        }
        let uri = TelUri { text, number, params };
        uri.check_params().map_err(|part| UriError::new(part, params_at))?;
        Ok(uri)
    }

    fn check_params(&self) -> Result<(), UriPart> {
        match self.params.get("phone-context") {
            Some(context) if !context.value.is_some_and(is_descriptor) => {
                return Err(UriPart::PhoneContext);
            }
            None if !self.is_global() => return Err(UriPart::PhoneContext),
            _ => {}
        }
        match self.params.get("ext") {
            Some(ext) if !ext.value.is_some_and(|value| value.bytes().all(is_phonedigit)) => Err(UriPart::Parameter),
            _ => Ok(()),
        }
    }

    /// Reads a tel URI.
    pub fn parse(text: &'a str) -> Result<TelUri<'a>, UriError> {
        match super::Uri::parse(text)? {
            super::Uri::Tel(uri) => Ok(uri),
            _ => Err(UriError::new(UriPart::Scheme, 0)),
        }
    }

    /// The URI as it was written.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Whether the number is a `global-number`, one that starts with `+`.
    pub fn is_global(&self) -> bool {
        self.number.starts_with('+')
    }

    /// The number as it was written, with its visual separators.
    pub fn raw_number(&self) -> &'a str {
        self.number
    }

    /// The number without visual separators.
    pub fn number(&self) -> Cow<'a, str> {
        without_separators(self.number)
    }

    /// The parameters.
    pub fn params(&self) -> UriParams<'a> {
        self.params
    }

    /// The context of a local number: a domain name, or the leading digits of a global number.
    pub fn phone_context(&self) -> Option<&'a str> {
        self.params.get("phone-context")?.value
    }

    /// The extension behind the number, without visual separators.
    pub fn ext(&self) -> Option<Cow<'a, str>> {
        self.params.get("ext")?.value.map(without_separators)
    }

    /// The ISDN subaddress, unescaped.
    pub fn isub(&self) -> Option<Cow<'a, str>> {
        self.params.value("isub")
    }
}

/// Two URIs are equal when their texts are; what means the same: [`super::Uri::equivalent`].
impl PartialEq for TelUri<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TelUri<'_> {}

impl fmt::Display for TelUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// `descriptor = domainname / global-number-digits`.
fn is_descriptor(text: &str) -> bool {
    match text.strip_prefix('+') {
        Some(digits) => digits.bytes().all(is_phonedigit) && digits.bytes().any(|o| o.is_ascii_digit()),
        None => matches!(Host::parse(text), Ok(Host::Name(_))),
    }
}

pub(super) fn without_separators(number: &str) -> Cow<'_, str> {
    if number.bytes().any(is_visual_separator) {
        Cow::Owned(number.replace(['-', '.', '(', ')'], ""))
    } else {
        Cow::Borrowed(number)
    }
}

fn is_visual_separator(octet: u8) -> bool {
    matches!(octet, b'-' | b'.' | b'(' | b')')
}

fn is_phonedigit(octet: u8) -> bool {
    octet.is_ascii_digit() || is_visual_separator(octet)
}

fn is_phonedigit_hex(octet: u8) -> bool {
    octet.is_ascii_hexdigit() || matches!(octet, b'*' | b'#') || is_visual_separator(octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3966 §6 and §5.1.5.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let uri = TelUri::parse("tel:+1-201-555-0123").unwrap();
        assert!(uri.is_global());
        assert_eq!(uri.number(), "+12015550123");
        let uri = TelUri::parse("tel:7042;phone-context=example.com").unwrap();
        assert_eq!((uri.number().as_ref(), uri.phone_context()), ("7042", Some("example.com")));
        let uri = TelUri::parse("tel:863-1234;phone-context=+1-914-555").unwrap();
        assert_eq!((uri.is_global(), uri.phone_context()), (false, Some("+1-914-555")));
        let uri = TelUri::parse("TEL:+358-555-1234567;isub=1411;ext=12-3;postd=pp22").unwrap();
        assert_eq!(uri.isub().as_deref(), Some("1411"));
        assert_eq!(uri.ext().as_deref(), Some("123"));
    }

    #[test]
    fn what_the_grammar_does_not_have_is_refused() {
        for text in [
            "tel:",
            "tel:+",
            "tel:+-",
            "tel:--;phone-context=a.b",
            "tel:7042",
            "tel:+1 201",
            "tel:+12a",
            "tel:1x;phone-context=a",
            "tel:7042;phone-context",
            "tel:7042;phone-context=+",
            "tel:7042;phone-context=a..b",
            "tel:+1;ext=abc",
            "tel:+1;",
            "tel:+1;=x",
            "tel:+1@host",
            "tel:+1?a=b",
        ] {
            assert!(TelUri::parse(text).is_err(), "{text}");
        }
    }
}
