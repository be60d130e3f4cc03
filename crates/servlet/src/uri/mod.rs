//! URIs as applications hold them: SIP and SIPS (RFC 3261 §19.1), tel (RFC 3966), and any other scheme as it is.
//!
//! A value is one checked text on the heap, read anew by whoever asks for a part of it: cheap to keep, to clone and to
//! put into a message, where the text is what counts. Whoever asks for many parts, or wants none of them copied, takes
//! the borrowed view of `sip-message` ([`Uri::as_message_uri`]) and reads it once.
//!
//! Equality is that of the scheme, not of the text: RFC 3261 §19.1.4, RFC 3966 §4. By the first of these it is not
//! transitive (`sip:a@b;x=1` and `sip:a@b;x=2` both equal `sip:a@b`), hence neither `Eq` nor `Hash`; what a table can
//! be keyed by is [`Uri::address_of_record`].

mod sip;
mod tel;
mod text_form;

use std::fmt;

use sip_message::uri::{UriParams, percent};
use sip_message::{UriBuf, UriError};

pub use sip::SipUri;
pub use tel::TelUrl;
pub(crate) use text_form::text_form;

use crate::optional_text::OptionalText;
use crate::parse_error::{IllegalValue, ServletParseError};

/// A URI of any scheme.
///
/// ```
/// use servlet::Uri;
///
/// let mut uri: Uri = "sip:alice@example.com;transport=tcp".parse()?;
/// uri.set_parameter("lr", "")?;
/// assert_eq!(uri.to_string(), "sip:alice@example.com;transport=tcp;lr");
/// assert_eq!(uri.parameter("transport").as_deref(), Some("tcp"));
/// assert_eq!(uri.as_sip().and_then(|sip| sip.user()).as_deref(), Some("alice"));
/// assert_eq!(uri, Uri::parse("SIP:%61lice@EXAMPLE.com;Transport=TCP")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
pub enum Uri {
    /// `sip:` or `sips:`.
    Sip(SipUri),
    /// `tel:`.
    Tel(TelUrl),
    /// Any other scheme.
    Other(OtherUri),
}

impl Uri {
    /// Reads a URI and nothing behind it.
    pub fn parse(text: &str) -> Result<Uri, ServletParseError> {
        Ok(Uri::from(sip_message::Uri::parse(text)?))
    }

    /// The scheme, without the colon; `sip`, `sips` and `tel` in lower case, any other as it was written.
    pub fn scheme(&self) -> &str {
        match self {
            Uri::Sip(uri) if uri.secure() => "sips",
            Uri::Sip(_) => "sip",
            Uri::Tel(_) => "tel",
            Uri::Other(uri) => uri.scheme(),
        }
    }

    /// Whether the scheme is `sip` or `sips`.
    pub fn is_sip_uri(&self) -> bool {
        matches!(self, Uri::Sip(_))
    }

    /// The SIP URI that this is.
    pub fn as_sip(&self) -> Option<&SipUri> {
        match self {
            Uri::Sip(uri) => Some(uri),
            _ => None,
        }
    }

    /// The SIP URI that this is, to change it.
    pub fn as_sip_mut(&mut self) -> Option<&mut SipUri> {
        match self {
            Uri::Sip(uri) => Some(uri),
            _ => None,
        }
    }

    /// The telephone number that this is.
    pub fn as_tel(&self) -> Option<&TelUrl> {
        match self {
            Uri::Tel(uri) => Some(uri),
            _ => None,
        }
    }

    /// The telephone number that this is, to change it.
    pub fn as_tel_mut(&mut self) -> Option<&mut TelUrl> {
        match self {
            Uri::Tel(uri) => Some(uri),
            _ => None,
        }
    }

    /// The value of a parameter, unescaped; empty for a flag such as `lr`. A URI of another scheme has no parameters.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.params().and_then(|params| parameter(params, name))
    }

    /// Sets a parameter; an empty value makes a flag, `None` removes it. Name and value are escaped.
    pub fn set_parameter<'v>(&mut self, name: &str, value: impl OptionalText<'v>) -> Result<(), IllegalValue> {
        let changed = with_parameter(self.as_ref(), name, value.optional_text())?;
        *self.text_mut() = changed;
        Ok(())
    }

    /// Takes a parameter away. The `phone-context` of a local number stays, which is nothing without it.
    pub fn remove_parameter(&mut self, name: &str) {
        let changed = UriBuf::clone(self.as_ref()).without_param(name);
        *self.text_mut() = changed;
    }

    /// The names of the parameters, in order.
    pub fn parameter_names(&self) -> impl Iterator<Item = String> {
        self.params().into_iter().flat_map(parameter_names)
    }

    /// The key of an address-of-record (RFC 3261 §10.3, step 5): without parameters, and the same for all spellings.
    pub fn address_of_record(&self) -> String {
        self.as_message_uri().address_of_record()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        UriBuf::as_str(self.as_ref())
    }

    /// The URI as messages know it; nothing is copied.
    pub fn as_message_uri(&self) -> sip_message::Uri<'_> {
        UriBuf::as_uri(self.as_ref())
    }

    /// The text as messages own it.
    pub fn to_uri_buf(&self) -> UriBuf {
        UriBuf::clone(self.as_ref())
    }

    /// The text as messages own it; nothing is copied.
    pub fn into_uri_buf(self) -> UriBuf {
        match self {
            Uri::Sip(uri) => uri.into(),
            Uri::Tel(uri) => uri.into(),
            Uri::Other(uri) => uri.text,
        }
    }

    /// What messages own, without a copy.
    pub fn from_uri_buf(text: UriBuf) -> Uri {
        match text.as_uri() {
            sip_message::Uri::Sip(_) => Uri::Sip(SipUri { text }),
            sip_message::Uri::Tel(_) => Uri::Tel(TelUrl { text }),
            sip_message::Uri::Absolute(_) => Uri::Other(OtherUri { text }),
        }
    }

    fn params(&self) -> Option<UriParams<'_>> {
        match self.as_message_uri() {
            sip_message::Uri::Sip(uri) => Some(uri.params()),
            sip_message::Uri::Tel(uri) => Some(uri.params()),
            sip_message::Uri::Absolute(_) => None,
        }
    }

    /// Only for a text of the same scheme.
    fn text_mut(&mut self) -> &mut UriBuf {
        match self {
            Uri::Sip(uri) => &mut uri.text,
            Uri::Tel(uri) => &mut uri.text,
            Uri::Other(uri) => &mut uri.text,
        }
    }
}

text_form!(Uri);

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AsRef<UriBuf> for Uri {
    fn as_ref(&self) -> &UriBuf {
        match self {
            Uri::Sip(uri) => uri.as_ref(),
            Uri::Tel(uri) => uri.as_ref(),
            Uri::Other(uri) => uri.as_ref(),
        }
    }
}

impl From<sip_message::Uri<'_>> for Uri {
    fn from(uri: sip_message::Uri<'_>) -> Uri {
        let text = uri.to_buf();
        match uri {
            sip_message::Uri::Sip(_) => Uri::Sip(SipUri { text }),
            sip_message::Uri::Tel(_) => Uri::Tel(TelUrl { text }),
            sip_message::Uri::Absolute(_) => Uri::Other(OtherUri { text }),
        }
    }
}

impl From<UriBuf> for Uri {
    fn from(text: UriBuf) -> Uri {
        Uri::from_uri_buf(text)
    }
}

impl From<&UriBuf> for Uri {
    fn from(text: &UriBuf) -> Uri {
        Uri::from(text.as_uri())
    }
}

impl From<Uri> for UriBuf {
    fn from(uri: Uri) -> UriBuf {
        uri.into_uri_buf()
    }
}

impl From<SipUri> for Uri {
    fn from(uri: SipUri) -> Uri {
        Uri::Sip(uri)
    }
}

impl From<TelUrl> for Uri {
    fn from(uri: TelUrl) -> Uri {
        Uri::Tel(uri)
    }
}

impl From<OtherUri> for Uri {
    fn from(uri: OtherUri) -> Uri {
        Uri::Other(uri)
    }
}

impl TryFrom<Uri> for SipUri {
    type Error = ServletParseError;

    fn try_from(uri: Uri) -> Result<SipUri, ServletParseError> {
        match uri {
            Uri::Sip(uri) => Ok(uri),
            _ => Err(SipUri::OTHER_SCHEME),
        }
    }
}

impl TryFrom<Uri> for TelUrl {
    type Error = ServletParseError;

    fn try_from(uri: Uri) -> Result<TelUrl, ServletParseError> {
        match uri {
            Uri::Tel(uri) => Ok(uri),
            _ => Err(TelUrl::OTHER_SCHEME),
        }
    }
}

/// A URI of which only the scheme is understood: `http:`, `urn:`, `im:` …
///
/// ```
/// let uri = servlet::Uri::parse("urn:service:sos").unwrap();
/// assert_eq!((uri.scheme(), uri.is_sip_uri()), ("urn", false));
/// ```
#[derive(Clone)]
pub struct OtherUri {
    text: UriBuf,
}

impl OtherUri {
    /// Reads a URI that is neither a SIP nor a tel one.
    pub fn parse(text: &str) -> Result<OtherUri, ServletParseError> {
        match Uri::parse(text)? {
            Uri::Other(uri) => Ok(uri),
            _ => Err(ServletParseError::Scheme { expected: "neither sip, sips nor tel" }),
        }
    }

    /// The scheme as it was written, without the colon.
    pub fn scheme(&self) -> &str {
        let (scheme, _) = self.as_str().split_once(':').unwrap_or_default();
        scheme
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }
}

text_form!(OtherUri);

impl fmt::Display for OtherUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for OtherUri {
    fn eq(&self, other: &OtherUri) -> bool {
        self.text.as_uri().equivalent(&other.text.as_uri())
    }
}

impl AsRef<UriBuf> for OtherUri {
    fn as_ref(&self) -> &UriBuf {
        &self.text
    }
}

fn parameter(params: UriParams<'_>, name: &str) -> Option<String> {
    Some(params.get(name)?.decoded().unwrap_or_default().into_owned())
}

fn parameter_names(params: UriParams<'_>) -> impl Iterator<Item = String> {
    params.iter().map(|param| percent::decode(param.name).into_owned())
}

fn with_parameter(text: &UriBuf, name: &str, value: Option<&str>) -> Result<UriBuf, UriError> {
    let text = text.clone();
    match value {
        Some("") => text.with_flag(name),
        Some(value) => text.with_param(name, value),
        None => Ok(text.without_param(name)),
    }
}
