//! `uri-parameters`, RFC 3261 §25.1, and the parameters of a tel URI, RFC 3966 §3: no white space, no quotes, escapes.

use std::borrow::Cow;
use std::fmt;

use super::{UriError, UriPart, percent};
use crate::grammar::{self, URI_PARAM, URI_PARAM_EQUAL};

/// The parameters of a URI: text that was checked, and is searched when somebody asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UriParams<'a> {
    /// Empty, or from the first `;` on.
    text: &'a str,
}

/// One parameter of a URI, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UriParam<'a> {
    /// The name, possibly with escapes.
    pub name: &'a str,
    /// The value, possibly with escapes.
    pub value: Option<&'a str>,
}

impl<'a> UriParams<'a> {
    /// Reads parameters from `at` on, and says where they end.
    #[inline]
    pub(crate) fn read(text: &'a str, at: usize) -> Result<(UriParams<'a>, usize), UriError> {
        let octets = text.as_bytes();
        let mut end = at;
        while octets.get(end) == Some(&b';') {
            let name = end + 1;
            end = grammar::escaped_run(octets, name, URI_PARAM);
            if end == name {
                return Err(UriError::new(UriPart::Parameter, end));
            }
            if octets.get(end) == Some(&b'=') {
                let value = end + 1;
                end = grammar::escaped_run(octets, value, URI_PARAM | URI_PARAM_EQUAL);
                if end == value {
                    return Err(UriError::new(UriPart::Parameter, end));
                }
            }
        }
        Ok((UriParams { text: &text[at..end] }, end))
    }

    /// The parameters in a text that [`UriParams::read`] has read.
    pub(super) fn checked(text: &'a str) -> UriParams<'a> {
        UriParams { text }
    }

    /// The parameter called `name`, in any case and with any escapes. Of several the first.
    pub fn get(&self, name: &str) -> Option<UriParam<'a>> {
        self.iter().find(|param| param.is_called(name))
    }

    /// The value of the parameter called `name`, unescaped; `None` also when it has none.
    pub fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.value.map(percent::decode)
    }

    /// Whether there is a parameter of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = UriParam<'a>> + use<'a> {
        self.text.split(';').skip(1).map(|param| match param.split_once('=') {
            Some((name, value)) => UriParam { name, value: Some(value) },
            None => UriParam { name: param, value: None },
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text, from the first `;` on.
    pub fn as_str(&self) -> &'a str {
        self.text
    }
}

impl fmt::Display for UriParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl<'a> UriParam<'a> {
    /// Whether `name` is what this parameter is called.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || (self.name.contains('%') && percent::decode(self.name).eq_ignore_ascii_case(name))
    }

    /// The value, unescaped.
    pub fn decoded(&self) -> Option<Cow<'a, str>> {
        self.value.map(percent::decode)
    }
}

impl fmt::Display for UriParam<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.value {
            Some(value) => write!(f, "={value}"),
            None => Ok(()),
        }
    }
}
