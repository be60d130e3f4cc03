//! What a text lacks to be a URI.

use std::fmt;

use crate::grammar::Malformed;

/// The part of a URI in which something illegal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UriPart {
    /// The scheme, or the colon behind it.
    Scheme,
    /// The user of a SIP URI.
    User,
    /// The password of a SIP URI.
    Password,
    /// The host.
    Host,
    /// The port.
    Port,
    /// A URI parameter.
    Parameter,
    /// The headers behind `?`.
    Headers,
    /// The number of a tel URI.
    Number,
    /// The `phone-context` of a tel URI; a local number must have one (RFC 3966 §5.1.5).
    PhoneContext,
    /// What stands behind the scheme of any other URI.
    Opaque,
    /// A component that this kind of URI does not have.
    Component,
}

impl UriPart {
    /// What should have stood there.
    pub fn expected(self) -> &'static str {
        match self {
            UriPart::Scheme => "a URI scheme",
            UriPart::User => "the user of a SIP URI",
            UriPart::Password => "the password of a SIP URI",
            UriPart::Host => "a host",
            UriPart::Port => "a port",
            UriPart::Parameter => "a URI parameter",
            UriPart::Headers => "the headers of a SIP URI",
            UriPart::Number => "a telephone number",
            UriPart::PhoneContext => "a phone-context",
            UriPart::Opaque => "URI characters",
            UriPart::Component => "a URI that has this component",
        }
    }
}

/// A text that is no URI, or that can't become a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UriError {
    /// The part that is wrong.
    pub part: UriPart,
    /// The octet of the text at which it goes wrong.
    pub at: usize,
}

impl UriError {
    pub(crate) const fn new(part: UriPart, at: usize) -> UriError {
        UriError { part, at }
    }

    /// The same as an error of the grammar round it, in which the URI starts at `base`.
    pub(crate) fn behind(self, base: usize) -> Malformed {
        Malformed::new(self.part.expected(), base + self.at)
    }
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at octet {}", self.part.expected(), self.at)
    }
}

impl std::error::Error for UriError {}
