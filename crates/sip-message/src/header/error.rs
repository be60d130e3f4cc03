//! A header value that its grammar does not allow.

use std::fmt;

use crate::grammar::Malformed;
use crate::header_name::HeaderName;

/// A header value that could not be read: the peer's fault, which a request answers with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderError {
    /// The header.
    pub header: HeaderName,
    /// What its grammar asks for.
    pub expected: &'static str,
    /// The octet of the value at which it was missed.
    pub at: usize,
}

impl HeaderError {
    /// `malformed` is a value of `header`.
    pub fn new(header: HeaderName, malformed: Malformed) -> HeaderError {
        HeaderError { header, expected: malformed.expected, at: malformed.at }
    }

    /// The header.
    pub fn header(&self) -> HeaderName {
        self.header
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {} at octet {}", self.header, self.expected, self.at)
    }
}

impl std::error::Error for HeaderError {}
