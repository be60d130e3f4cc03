//! What can be wrong with a `sip.xml`. All of it is the mistake of who wrote the file.

use std::fmt::{self, Write};

use super::tree::Place;
use crate::routing::rules::PathError;

/// A mistake in a descriptor, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipXmlError {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong there.
    pub what: SipXmlMistake,
}

/// What is wrong with a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SipXmlMistake {
    /// The text is longer than this.
    TooLong(usize),
    /// Elements, or conditions of a pattern, lie in each other deeper than this.
    TooDeep(usize),
    /// An element has more attributes than this.
    TooManyAttributes(usize),
    /// The text is not well-formed XML.
    NotWellFormed(String),
    /// A reference to an entity that is not one of XML's own five. Entities of a DTD are never expanded.
    Entity(String),
    /// The root is another element than `sip-app`.
    NotSipApp(String),
    /// An element where the schema has none of this name.
    UnknownElement {
        /// Its name.
        element: String,
        /// The element in which it stands.
        inside: String,
    },
    /// Text between elements.
    StrayText {
        /// The element in which it stands.
        inside: String,
    },
    /// Something that is required is missing or empty.
    Missing {
        /// What is required.
        expected: &'static str,
        /// The element in which it is missing.
        inside: String,
    },
    /// Something stands there for the second time.
    Twice(String),
    /// A value that means nothing.
    Value {
        /// The element or attribute.
        element: String,
        /// What its value should be.
        expected: &'static str,
        /// What its value is.
        found: String,
    },
    /// Both `main-servlet` and `servlet-mapping` choose the servlet.
    MainServletAndMapping,
    /// An `auth-method` that is not served.
    AuthMethod(String),
    /// A `var` that leads nowhere.
    Variable(PathError),
}

impl SipXmlError {
    pub(super) fn new(place: Place, what: SipXmlMistake) -> SipXmlError {
        SipXmlError { line: place.line, column: place.column, what }
    }
}

impl fmt::Display for SipXmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sip.xml, line {}, column {}: {}", self.line, self.column, self.what)
    }
}

impl std::error::Error for SipXmlError {}

impl fmt::Display for SipXmlMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SipXmlMistake::TooLong(limit) => write!(f, "a descriptor has at most {limit} octets"),
            SipXmlMistake::TooDeep(limit) => write!(f, "elements lie in each other at most {limit} deep"),
            SipXmlMistake::TooManyAttributes(limit) => write!(f, "an element has at most {limit} attributes"),
            SipXmlMistake::NotWellFormed(why) => write!(f, "not well-formed XML: {}", OneLine(why)),
            SipXmlMistake::Entity(name) => {
                write!(f, "`&{};` is not expanded; there are lt, gt, amp, quot, apos and numbers", OneLine(name))
            }
            SipXmlMistake::NotSipApp(found) => {
                write!(f, "expected the root `sip-app` in the namespace of SIP servlets, found `{}`", OneLine(found))
            }
            SipXmlMistake::UnknownElement { element, inside } => {
                write!(f, "`{}` has no element `{}`", OneLine(inside), OneLine(element))
            }
            SipXmlMistake::StrayText { inside } => {
                write!(f, "expected only elements in `{}`, found text", OneLine(inside))
            }
            SipXmlMistake::Missing { expected, inside } => write!(f, "expected {expected} in `{}`", OneLine(inside)),
            SipXmlMistake::Twice(what) => write!(f, "`{}` stands here for the second time", OneLine(what)),
            SipXmlMistake::Value { element, expected, found } => {
                write!(f, "expected {expected} in `{}`, found \"{}\"", OneLine(element), OneLine(found))
            }
            SipXmlMistake::MainServletAndMapping => {
                f.write_str("expected either a main-servlet or servlet-mappings, found both")
            }
            SipXmlMistake::AuthMethod(found) => {
                write!(f, "expected auth-method DIGEST, found \"{}\"", OneLine(found))?;
                if found.eq_ignore_ascii_case("BASIC") {
                    f.write_str(", which RFC 3261 §22 forbids")?;
                }
                Ok(())
            }
            SipXmlMistake::Variable(error) => error.fmt(f),
        }
    }
}

/// Text of a file, in which a line break would forge a line of a log.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c.is_control() {
            true => c.escape_default().fmt(f),
            false => f.write_char(c),
        })
    }
}
