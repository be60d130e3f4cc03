//! What a text lacks to be a URI, an address or a value with parameters; and what an argument lacks to become a part of one.
//!
//! Two types, because the fault is another's: a text that can't be read mostly came from a peer or a configuration, an
//! argument that can't be written came from the calling application. Both say what was expected, and at which octet.

use std::fmt;

use sip_message::UriError;
use sip_message::header::Malformed;

/// A text that is not what it was read as.
///
/// ```
/// use servlet::{ServletParseError, SipUri, Uri};
///
/// assert!(matches!(Uri::parse("sip:a b@c"), Err(ServletParseError::Uri(_))));
/// assert_eq!(SipUri::parse("tel:+1"), Err(ServletParseError::Scheme { expected: "sip or sips" }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServletParseError {
    /// No URI; which part is wrong, and where.
    Uri(UriError),
    /// A URI of another scheme than the type stands for.
    Scheme {
        /// The schemes that the type stands for.
        expected: &'static str,
    },
    /// No header value of this shape.
    Header(Malformed),
}

/// An argument that can't become a part of a value. The value is as it was.
///
/// ```
/// use servlet::{IllegalValue, SipUri};
///
/// let mut uri = SipUri::parse("sip:alice@example.com").unwrap();
/// assert!(matches!(uri.set_host("no host"), Err(IllegalValue::Uri(_))));
/// assert_eq!(uri.to_string(), "sip:alice@example.com");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IllegalValue {
    /// It can't become this part of a URI.
    Uri(UriError),
    /// It can't become this part of a header value.
    Header(Malformed),
    /// A preference (`q`) lies between 0 and 1.
    PreferenceOutOfRange,
    /// The wildcard `*` has neither a display name nor parameters (RFC 3261 §20.10).
    Wildcard,
}

impl ServletParseError {
    pub(crate) const fn header(expected: &'static str, at: usize) -> ServletParseError {
        ServletParseError::Header(Malformed { expected, at })
    }
}

impl IllegalValue {
    pub(crate) const fn header(expected: &'static str, at: usize) -> IllegalValue {
        IllegalValue::Header(Malformed { expected, at })
    }
}

impl From<UriError> for ServletParseError {
    fn from(error: UriError) -> ServletParseError {
        ServletParseError::Uri(error)
    }
}

impl From<Malformed> for ServletParseError {
    fn from(malformed: Malformed) -> ServletParseError {
        ServletParseError::Header(malformed)
    }
}

impl From<UriError> for IllegalValue {
    fn from(error: UriError) -> IllegalValue {
        IllegalValue::Uri(error)
    }
}

impl From<Malformed> for IllegalValue {
    fn from(malformed: Malformed) -> IllegalValue {
        IllegalValue::Header(malformed)
    }
}

impl fmt::Display for ServletParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServletParseError::Uri(error) => error.fmt(f),
            ServletParseError::Scheme { expected } => write!(f, "expected a URI of the scheme {expected}"),
            ServletParseError::Header(malformed) => malformed.fmt(f),
        }
    }
}

impl fmt::Display for IllegalValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IllegalValue::Uri(error) => error.fmt(f),
            IllegalValue::Header(malformed) => malformed.fmt(f),
            IllegalValue::PreferenceOutOfRange => f.write_str("a preference lies between 0 and 1"),
            IllegalValue::Wildcard => f.write_str("the wildcard address has neither display name nor parameters"),
        }
    }
}

impl std::error::Error for ServletParseError {}

impl std::error::Error for IllegalValue {}
