//! The `Address` of the SIP Servlet model: `( name-addr / addr-spec ) *( SEMI generic-param )` (RFC 3261 §20.10, §25.1),
//! and the wildcard `*` of a Contact that removes all bindings (§10.2.2).
//!
//! Which parts the container owns where (the tag of From and To, host and port of its Contact) is told by `header_rules`.

use std::fmt;
use std::time::Duration;

use sip_message::header::{Contact, Malformed, QValue};
use sip_message::{NameAddr, NameAddrBuf};

use crate::optional_text::OptionalText;
use crate::parameterable::{Parameterable, Parameters, Quotes, is_token};
use crate::parse_error::{IllegalValue, ServletParseError};
use crate::uri::{SipUri, TelUrl, Uri, text_form};

/// A URI with a display name and the parameters of the header round it; or the wildcard `*`.
///
/// It prints in the form with `<>`, which is valid wherever an address may stand. Two are equal when their URIs are and
/// no parameter that both have differs (RFC 3261 §20.20); display names do not count. As with URIs this is not
/// transitive, hence neither `Eq` nor `Hash`.
///
/// ```
/// use std::time::Duration;
///
/// use servlet::{Address, Uri};
///
/// let mut contact = Address::parse("Bob <sip:bob@192.0.2.4>;q=0.7")?;
/// assert_eq!((contact.display_name().as_deref(), contact.q()), (Some("Bob"), Some(0.7)));
/// contact.set_expires(Duration::from_secs(3600))?;
/// contact.set_display_name("Bob \"B.\" Builder")?;
/// assert_eq!(contact.to_string(), r#""Bob \"B.\" Builder" <sip:bob@192.0.2.4>;q=0.7;expires=3600"#);
/// assert_eq!(contact.uri(), Some(&Uri::parse("sip:bob@192.0.2.4")?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Address {
    /// As it stands in a message: tokens, or a quoted string.
    display: Option<Box<str>>,
    /// `None` is the wildcard, which has nothing else either.
    uri: Option<Uri>,
    parameters: Parameters,
}

impl Address {
    /// An address of a URI alone.
    pub fn new(uri: impl Into<Uri>) -> Address {
        Address { display: None, uri: Some(uri.into()), parameters: Parameters::default() }
    }

    /// An address of a URI and a display name.
    pub fn with_display_name(uri: impl Into<Uri>, name: &str) -> Result<Address, IllegalValue> {
        let mut address = Address::new(uri);
        address.set_display_name(name)?;
        Ok(address)
    }

    /// `*`: in the Contact of a REGISTER all bindings.
    pub fn wildcard() -> Address {
        Address { display: None, uri: None, parameters: Parameters::default() }
    }

    /// Reads an address, or `*`. Without `<>` round the URI all parameters are the header's (RFC 3261 §20).
    pub fn parse(text: &str) -> Result<Address, ServletParseError> {
        let text = text.trim_matches([' ', '\t']);
        if text == "*" {
            return Ok(Address::wildcard());
        }
        let address = Address::from(NameAddr::parse(text)?);
        let tag = address.parameters.contains("tag").then(|| address.parameters.raw("tag").unwrap_or_default());
        match tag {
            Some(tag) if !is_token(tag) => Err(ServletParseError::header("a token as tag", 0)),
            _ => Ok(address),
        }
    }

    /// The display name, without quotes and escapes.
    pub fn display_name(&self) -> Option<String> {
        let raw = self.display.as_deref()?;
        let text = format!("{raw} <a:b>");
        let read = NameAddr::parse(&text).ok()?;
        read.display_name().map(|name| name.into_owned())
    }

    /// Sets the display name, which gets quotes; `None` or an empty one takes it away.
    pub fn set_display_name<'n>(&mut self, name: impl OptionalText<'n>) -> Result<(), IllegalValue> {
        let display = match name.optional_text().filter(|name| !name.is_empty()) {
            Some(_) if self.is_wildcard() => return Err(IllegalValue::Wildcard),
            Some(name) => Some(quoted(name)?),
            None => None,
        };
        self.display = display;
        Ok(())
    }

    /// The URI; a wildcard has none.
    pub fn uri(&self) -> Option<&Uri> {
        self.uri.as_ref()
    }

    /// The URI, to change it.
    pub fn uri_mut(&mut self) -> Option<&mut Uri> {
        self.uri.as_mut()
    }

    /// Puts another URI in the place of this one. A wildcard becomes an address of this URI.
    pub fn set_uri(&mut self, uri: impl Into<Uri>) {
        self.uri = Some(uri.into());
    }

    /// Whether this is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.uri.is_none()
    }

    /// The preference among several contacts, from 0 to 1.
    pub fn q(&self) -> Option<f32> {
        let q = QValue::parse(self.parameters.raw("q")?)?;
        Some(f32::from(q.thousandths()) / 1000.0)
    }

    /// Sets the preference, from 0 to 1 in thousandths; `None` takes it away.
    pub fn set_q(&mut self, q: impl Into<Option<f32>>) -> Result<(), IllegalValue> {
        match q.into() {
            Some(q) if (0.0..=1.0).contains(&q) => {
                // In range, and so is what it is rounded to.
                let q = QValue::new((q * 1000.0).round() as u16).ok_or(IllegalValue::PreferenceOutOfRange)?;
                self.put("q", &q.to_string())
            }
            Some(_) => Err(IllegalValue::PreferenceOutOfRange),
            None => {
                self.remove_parameter("q");
                Ok(())
            }
        }
    }

    /// The preference to sort contacts by; the greatest when none is given.
    pub fn preference(&self) -> QValue {
        self.parameters.raw("q").and_then(QValue::parse).unwrap_or(QValue::ONE)
    }

    /// How long the address shall be good for: the `expires` parameter.
    pub fn expires(&self) -> Option<Duration> {
        let seconds: u32 = self.parameters.raw("expires").filter(|text| is_number(text))?.parse().ok()?;
        Some(Duration::from_secs(seconds.into()))
    }

    /// Sets the `expires` parameter, in whole seconds up to 2^32 - 1; `None` takes it away.
    pub fn set_expires(&mut self, expires: impl Into<Option<Duration>>) -> Result<(), IllegalValue> {
        match expires.into() {
            Some(expires) => self.put("expires", &expires.as_secs().min(u32::MAX.into()).to_string()),
            None => {
                self.remove_parameter("expires");
                Ok(())
            }
        }
    }

    /// The tag that From and To carry in a dialog.
    pub fn tag(&self) -> Option<String> {
        self.parameter("tag")
    }

    /// A copy for another call or dialog, in which the tag means nothing.
    pub fn without_tag(&self) -> Address {
        let mut address = self.clone();
        address.remove_parameter("tag");
        address
    }

    /// What stands before the parameters: display name and URI, or `*`.
    pub fn value(&self) -> String {
        Bare(self).to_string()
    }

    /// Puts another display name and URI before the parameters. The value can bring no parameters.
    pub fn set_value(&mut self, value: &str) -> Result<(), IllegalValue> {
        let new = match Address::parse(value) {
            Ok(new) if new.parameters.is_empty() => new,
            Ok(_) => return Err(IllegalValue::header("an address without parameters", 0)),
            Err(ServletParseError::Header(malformed)) => return Err(malformed.into()),
            Err(ServletParseError::Uri(error)) => return Err(error.into()),
            Err(ServletParseError::Scheme { .. }) => return Err(IllegalValue::header("an address", 0)),
        };
        if new.is_wildcard() && !self.parameters.is_empty() {
            return Err(IllegalValue::Wildcard);
        }
        (self.display, self.uri) = (new.display, new.uri);
        Ok(())
    }

    /// The value of a header parameter without its quotes; empty for a flag. The URI has parameters of its own.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters.get(name)
    }

    /// Sets a header parameter; an empty value makes a flag, `None` removes it. A value gets quotes where it needs them.
    /// Of `tag`, `q` and `expires` the value must be one.
    pub fn set_parameter<'v>(&mut self, name: &str, value: impl OptionalText<'v>) -> Result<(), IllegalValue> {
        match value.optional_text() {
            Some(value) => {
                check_parameter(name, value)?;
                self.put(name, value)
            }
            None => {
                self.remove_parameter(name);
                Ok(())
            }
        }
    }

    /// Takes a header parameter away.
    pub fn remove_parameter(&mut self, name: &str) {
        self.parameters.remove(name);
    }

    /// The names of the header parameters, in order.
    pub fn parameter_names(&self) -> impl Iterator<Item = String> {
        self.parameters.names()
    }

    /// Names and values of the header parameters, in order; the value of a flag is empty.
    pub fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        self.parameters.all()
    }

    /// The address as messages own it; `None` for the wildcard.
    pub fn to_name_addr_buf(&self) -> Option<NameAddrBuf> {
        self.uri.as_ref()?;
        Some(NameAddrBuf::parse(self.to_string()).expect("an address prints as a name-addr"))
    }

    /// The same as a header value with parameters.
    pub fn to_parameterable(&self) -> Parameterable {
        Parameterable::parse(&self.to_string()).expect("an address prints as a value with parameters")
    }

    /// The same with the display name of another, as that one has it.
    pub(crate) fn with_display_of(&self, other: &Address) -> Address {
        Address { display: other.display.clone(), ..self.clone() }
    }

    fn put(&mut self, name: &str, value: &str) -> Result<(), IllegalValue> {
        if self.is_wildcard() {
            return Err(IllegalValue::Wildcard);
        }
        self.parameters.set(name, Some(value), Quotes::WhereNeeded)
    }
}

text_form!(Address);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Bare(self), self.parameters.params())
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.uri == other.uri && self.parameters.same_as_of_a_uri(&other.parameters)
    }
}

impl From<NameAddr<'_>> for Address {
    fn from(value: NameAddr<'_>) -> Address {
        Address::from(&value)
    }
}

impl From<&NameAddr<'_>> for Address {
    fn from(value: &NameAddr<'_>) -> Address {
        Address {
            display: value.raw_display_name().map(Box::from),
            uri: Some(value.uri().into()),
            parameters: Parameters::read(value.params().clone()),
        }
    }
}

impl From<&NameAddrBuf> for Address {
    fn from(value: &NameAddrBuf) -> Address {
        Address::from(value.as_name_addr())
    }
}

impl From<&Contact<'_>> for Address {
    fn from(contact: &Contact<'_>) -> Address {
        match contact.address() {
            Some(address) => Address::from(address.name_addr()),
            None => Address::wildcard(),
        }
    }
}

impl From<Uri> for Address {
    fn from(uri: Uri) -> Address {
        Address::new(uri)
    }
}

impl From<SipUri> for Address {
    fn from(uri: SipUri) -> Address {
        Address::new(uri)
    }
}

impl From<TelUrl> for Address {
    fn from(uri: TelUrl) -> Address {
        Address::new(uri)
    }
}

/// Without the parameters.
struct Bare<'a>(&'a Address);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(uri) = &self.0.uri else {
            return f.write_str("*");
        };
        if let Some(display) = &self.0.display {
            write!(f, "{display} ")?;
        }
        write!(f, "<{uri}>")
    }
}

fn quoted(name: &str) -> Result<Box<str>, Malformed> {
    let any = sip_message::Uri::parse("a:b").expect("the shortest of URIs");
    let value = NameAddr::new(any).with_display_name(name)?;
    Ok(value.raw_display_name().unwrap_or_default().into())
}

/// The parameters whose grammar others rely on (RFC 3261 §20.10, §20.20).
fn check_parameter(name: &str, value: &str) -> Result<(), IllegalValue> {
    if name.eq_ignore_ascii_case("tag") && !is_token(value) {
        return Err(IllegalValue::header("a token as tag", 0));
    }
    if name.eq_ignore_ascii_case("q") && QValue::parse(value).is_none() {
        return Err(IllegalValue::PreferenceOutOfRange);
    }
    if name.eq_ignore_ascii_case("expires") && !(is_number(value) && value.parse::<u32>().is_ok()) {
        return Err(IllegalValue::header("seconds below 2^32 as expires", 0));
    }
    Ok(())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}
