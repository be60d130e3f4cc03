//! The `TelURL` of the SIP Servlet model: tel URIs, RFC 3966. How a number is dialled or routed is nothing it knows.

use std::fmt;

use sip_message::uri::{TelUri, UriPart};
use sip_message::{UriBuf, UriError};

use super::{parameter, parameter_names, text_form, with_parameter};
use crate::optional_text::OptionalText;
use crate::parse_error::{IllegalValue, ServletParseError};

/// A telephone number: a global one, or a local one with the context in which it means something.
///
/// ```
/// use servlet::TelUrl;
///
/// let mut number = TelUrl::parse("tel:+1-201-555-0123")?;
/// assert_eq!((number.is_global(), number.phone_number().as_str()), (true, "1-201-555-0123"));
/// assert_eq!(number, TelUrl::parse("tel:+12015550123")?);
/// number.set_local_number("7042", "example.com")?;
/// assert_eq!(number.to_string(), "tel:7042;phone-context=example.com");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TelUrl {
    /// Always a tel URI.
    pub(super) text: UriBuf,
}

impl TelUrl {
    pub(super) const OTHER_SCHEME: ServletParseError = ServletParseError::Scheme { expected: "tel" };

    /// A global number, with or without its `+`.
    pub fn global(number: &str) -> Result<TelUrl, IllegalValue> {
        Ok(TelUrl { text: global_number(number, "")? })
    }

    /// A local number in its context: a domain name, or the leading digits of a global number with `+`.
    pub fn local(number: &str, context: &str) -> Result<TelUrl, IllegalValue> {
        Ok(TelUrl { text: local_number(number, context, "")? })
    }

    /// Reads a tel URI.
    pub fn parse(text: &str) -> Result<TelUrl, ServletParseError> {
        super::Uri::parse(text)?.try_into()
    }

    /// The number with its visual separators, without the `+` of a global one.
    pub fn phone_number(&self) -> String {
        let number = self.as_message_uri().raw_number();
        number.strip_prefix('+').unwrap_or(number).to_owned()
    }

    /// The context of a local number.
    pub fn phone_context(&self) -> Option<String> {
        self.as_message_uri().phone_context().map(str::to_owned)
    }

    /// Whether the number means the same everywhere: one that is written with `+`.
    pub fn is_global(&self) -> bool {
        self.as_message_uri().is_global()
    }

    /// Puts a global number in the place of the number, with or without its `+`. The context goes, other parameters stay.
    pub fn set_phone_number(&mut self, number: &str) -> Result<(), IllegalValue> {
        self.text = global_number(number, &self.params_without_context())?;
        Ok(())
    }

    /// Puts a local number and its context in the place of the number. Other parameters stay.
    pub fn set_local_number(&mut self, number: &str, context: &str) -> Result<(), IllegalValue> {
        self.text = local_number(number, context, &self.params_without_context())?;
        Ok(())
    }

    /// The value of a parameter, unescaped; empty for a flag.
    pub fn parameter(&self, name: &str) -> Option<String> {
        parameter(self.as_message_uri().params(), name)
    }

    /// Sets a parameter; an empty value makes a flag, `None` removes it. Name and value are escaped.
    pub fn set_parameter<'v>(&mut self, name: &str, value: impl OptionalText<'v>) -> Result<(), IllegalValue> {
        self.text = with_parameter(&self.text, name, value.optional_text())?;
        Ok(())
    }

    /// Takes a parameter away. The `phone-context` of a local number stays, which is nothing without it.
    pub fn remove_parameter(&mut self, name: &str) {
        self.text = self.text.clone().without_param(name);
    }

    /// The names of the parameters, in order.
    pub fn parameter_names(&self) -> impl Iterator<Item = String> {
        parameter_names(self.as_message_uri().params())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The URI as messages know it; nothing is copied.
    pub fn as_message_uri(&self) -> TelUri<'_> {
        self.text.as_uri().tel().expect("nothing but tel URIs becomes a TelUrl")
    }

    fn params_without_context(&self) -> String {
        let params = self.as_message_uri().params();
        params.iter().filter(|param| !param.is_called("phone-context")).map(|param| format!(";{param}")).collect()
    }
}

text_form!(TelUrl);

impl fmt::Display for TelUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// RFC 3966 §4: by digits and all parameters.
impl PartialEq for TelUrl {
    fn eq(&self, other: &TelUrl) -> bool {
        self.text.as_uri().equivalent(&other.text.as_uri())
    }
}

impl From<TelUri<'_>> for TelUrl {
    fn from(uri: TelUri<'_>) -> TelUrl {
        TelUrl { text: UriBuf::from(sip_message::Uri::Tel(uri)) }
    }
}

impl From<TelUrl> for UriBuf {
    fn from(uri: TelUrl) -> UriBuf {
        uri.text
    }
}

impl AsRef<UriBuf> for TelUrl {
    fn as_ref(&self) -> &UriBuf {
        &self.text
    }
}

/// `params` were read before.
fn global_number(number: &str, params: &str) -> Result<UriBuf, UriError> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let text = UriBuf::parse(format!("tel:+{digits}{params}"))?;
    // Or the number would bring parameters of its own.
    match read_back(&text).raw_number().strip_prefix('+') == Some(digits) {
        true => Ok(text),
        false => Err(UriError { part: UriPart::Number, at: 0 }),
    }
}

/// `params` were read before.
fn local_number(number: &str, context: &str, params: &str) -> Result<UriBuf, UriError> {
    let text = UriBuf::parse(format!("tel:{number};phone-context={context}{params}"))?;
    let read = read_back(&text);
    let (same_number, same_context) = (read.raw_number() == number, read.phone_context() == Some(context));
    match (same_number && !read.is_global(), same_context) {
        (true, true) => Ok(text),
        (false, _) => Err(UriError { part: UriPart::Number, at: 0 }),
        (true, false) => Err(UriError { part: UriPart::PhoneContext, at: 0 }),
    }
}

fn read_back(text: &UriBuf) -> TelUri<'_> {
    text.as_uri().tel().expect("it starts with tel:")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3966 §3: the number keeps its visual separators.
    #[test]
    fn a_global_number_is_told_without_its_plus_and_with_its_separators() {
        let number = TelUrl::parse("tel:+1-201-555-0123;ext=12").unwrap();
        assert_eq!((number.phone_number().as_str(), number.phone_context()), ("1-201-555-0123", None));
        assert_eq!(TelUrl::global("+44 1").unwrap_err(), TelUrl::global("44 1").unwrap_err());
        assert_eq!(TelUrl::global("+44-1").unwrap(), TelUrl::global("441").unwrap());
    }

    #[test]
    fn setting_a_number_keeps_the_other_parameters() {
        let mut number = TelUrl::parse("tel:7042;ext=12;phone-context=example.com;x=y").unwrap();
        number.set_phone_number("+1-201").unwrap();
        assert_eq!(number.to_string(), "tel:+1-201;ext=12;x=y");
        number.set_local_number("70-42", "+1-914").unwrap();
        assert_eq!(number.to_string(), "tel:70-42;phone-context=+1-914;ext=12;x=y");
        assert_eq!(number.phone_context().as_deref(), Some("+1-914"));
        assert!(!number.is_global());
    }

    #[test]
    fn a_number_brings_no_parameters_and_no_context_of_its_own() {
        let mut number = TelUrl::global("1").unwrap();
        for text in ["", "+", "1;ext=5", "1;phone-context=a.b", "abc", "1\r\n", "++1", "1%41"] {
            assert!(number.set_phone_number(text).is_err(), "{text:?}");
            assert!(number.set_local_number(text, "a;x=y").is_err(), "{text:?}");
        }
        for (text, context) in
            [("7042;ext=1", "a.b"), ("+7042", "a.b"), ("7042", "a.b;x=y"), ("7042", ""), ("7042", "+")]
        {
            assert!(number.set_local_number(text, context).is_err(), "{text:?} {context:?}");
        }
        assert_eq!(number.to_string(), "tel:+1");
    }

    #[test]
    fn the_context_of_a_local_number_can_be_changed_but_not_removed() {
        let mut number = TelUrl::local("7042", "a.b").unwrap();
        number.remove_parameter("phone-context");
        assert_eq!(number.phone_context().as_deref(), Some("a.b"));
        assert!(number.set_parameter("phone-context", "not a context").is_err());
        number.set_parameter("phone-context", "+1").unwrap();
        assert_eq!(number.to_string(), "tel:7042;phone-context=+1");
    }
}
