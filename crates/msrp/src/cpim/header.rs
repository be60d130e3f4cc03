//! One header (RFC 3862 §3): `Name:;lang=fr value`.

use std::borrow::Cow;
use std::fmt;

use super::{Address, CpimError, escape};

/// A header as it was written: §2.2 wants every octet preserved, so what is read is kept raw and understood when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    name: String,
    /// `;lang=fr`, or nothing.
    parameters: String,
    value: String,
}

impl Header {
    /// A header that says this text. What a line cannot carry is escaped.
    pub fn new(name: &str, text: &str) -> Result<Header, CpimError> {
        let is_header_name = {
            let (prefix, local) = split_name(name);
            prefix.is_none_or(is_name) && is_name(local)
        };
        if is_header_name { Ok(Header::raw(name, escape::escape(text.trim()))) } else { Err(CpimError::Unprintable) }
    }

    /// The same, in a language (§3.3): its tag of RFC 5646.
    pub fn in_language(mut self, tag: &str) -> Result<Header, CpimError> {
        if tag.is_empty() || !tag.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') {
            return Err(CpimError::Unprintable);
        }
        self.parameters = format!(";lang={tag}");
        Ok(self)
    }

    /// `From`, `To`, `cc` and their like.
    pub fn address(name: &'static str, address: &Address) -> Header {
        Header::raw(name, address.to_string())
    }

    /// What is known to be a header's.
    pub(super) fn raw(name: &str, value: String) -> Header {
        Header { name: name.to_owned(), parameters: String::new(), value }
    }

    /// Reads a line.
    pub(super) fn parse(line: &str) -> Option<Header> {
        // §2.2: a control character needs an escape. A tab is forgiven.
        if line.chars().any(|character| character.is_ascii_control() && character != '\t') {
            return None;
        }
        let (name, rest) = line.split_once(':')?;
        let (prefix, local) = split_name(name);
        if !is_name(local) || prefix.is_some_and(|prefix| !is_name(prefix)) {
            return None;
        }
        let (parameters, value) = if rest.starts_with(';') { split_parameters(rest) } else { ("", rest) };
        Some(Header {
            name: name.to_owned(),
            parameters: parameters.trim_end().to_owned(),
            value: value.trim().to_owned(),
        })
    }

    /// With its prefix, as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The prefix of its namespace.
    pub fn prefix(&self) -> Option<&str> {
        split_name(&self.name).0
    }

    /// Without its prefix.
    pub fn local_name(&self) -> &str {
        split_name(&self.name).1
    }

    /// As it was written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The value with its escapes undone.
    pub fn text(&self) -> Cow<'_, str> {
        escape::unescape(&self.value)
    }

    /// The language that it says it is in.
    pub fn language(&self) -> Option<&str> {
        self.parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("lang="))
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {}", self.name, self.parameters, self.value)
    }
}

/// `[ Name-prefix "." ] Name`.
pub(super) fn split_name(name: &str) -> (Option<&str>, &str) {
    match name.split_once('.') {
        Some((prefix, local)) => (Some(prefix), local),
        None => (None, name),
    }
}

/// `1*NAMECHAR`.
pub(super) fn is_name(name: &str) -> bool {
    let is_separator = |octet: u8| b"()<>@,;:\\\"/[]?={}. ".contains(&octet);
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic() && !is_separator(octet))
}

/// The parameters end at the first space that is in no string.
fn split_parameters(text: &str) -> (&str, &str) {
    let mut in_string = false;
    let mut is_escaped = false;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b' ' if !in_string => return text.split_at(at),
            _ => {}
        }
    }
    (text, "")
}
