//! Header parameters, RFC 3261 §25.1: `*( SEMI generic-param )`, `generic-param = token [ EQUAL gen-value ]`.
//! The parameters of a URI have another grammar (escapes, no quotes, no white space): [`crate::uri::UriParams`].

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::grammar::{self, Cursor, GEN_VALUE, Malformed};

/// The parameters behind a header value: text that was checked, and is searched when somebody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Params<'a> {
    /// Empty, or from the first `;` on; the P- headers of RFC 7315 have no `;` before the first.
    text: Cow<'a, str>,
}

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// The name; names have no case.
    pub name: &'a str,
    /// The value as it was written, quotes and all.
    pub value: Option<&'a str>,
}

/// What a parameter's value is, by its first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A name without `=`.
    Flag,
    /// A token; a host name or an IPv4 address is one too.
    Token,
    /// What only a host can be: an IPv6 address, or a name with a port.
    Host,
    /// A quoted string.
    Quoted,
    /// A URI in `<>`, as Identity's `info` has it (RFC 8224 §4).
    Bracketed,
}

impl<'a> Params<'a> {
    /// No parameters.
    pub const fn new() -> Params<'a> {
        Params { text: Cow::Borrowed("") }
    }

    /// Reads `;name=value;flag …`.
    pub fn parse(text: &'a str) -> Result<Params<'a>, Malformed> {
        Params::read(&mut Cursor::new(text), |_, _| Ok(()))
    }

    /// Reads parameters up to the end of the value, and shows each to `check` with the place where it starts.
    #[inline]
    pub(crate) fn read(
        cursor: &mut Cursor<'a>,
        mut check: impl FnMut(Param<'a>, usize) -> Result<(), Malformed>,
    ) -> Result<Params<'a>, Malformed> {
        cursor.lws();
        let text = cursor.rest();
        while !cursor.is_end() {
            if !cursor.separator(b';') {
                return cursor.expected("\";\" or the end of the value");
            }
            let start = cursor.at();
            let param = read_param(cursor)?;
            check(param, start)?;
            cursor.lws();
        }
        Ok(Params { text: Cow::Borrowed(grammar::trim(text)) })
    }

    /// Reads parameters of which the first has no semicolon before it, up to the end of the value.
    pub(crate) fn read_list(cursor: &mut Cursor<'a>) -> Result<Params<'a>, Malformed> {
        cursor.lws();
        let text = cursor.rest();
        read_param(cursor)?;
        Params::read(cursor, |_, _| Ok(()))?;
        Ok(Params { text: Cow::Borrowed(grammar::trim(text)) })
    }

    /// The parameter called `name`, in any case. Of several the first.
    pub fn get(&self, name: &str) -> Option<Param<'_>> {
        self.iter().find(|param| param.name.eq_ignore_ascii_case(name))
    }

    /// The raw value of the parameter called `name`; `None` also when it has no value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name)?.value
    }

    /// The value of the parameter called `name`, without quotes.
    pub fn unquoted(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name)?.unquoted()
    }

    /// Whether there is a parameter of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All of them, in order.
    pub fn iter(&self) -> ParamIter<'_> {
        ParamIter::over(&self.text)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text, from the first `;` on.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Adds a parameter, or changes the one of that name. A value that is neither token nor host gets quotes.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Malformed> {
        grammar::check_token(name)?;
        let value = match value {
            bare if !bare.is_empty() && grammar::all(bare.as_bytes(), GEN_VALUE) => Cow::Borrowed(bare),
            other => Cow::Owned(grammar::quote(other)?),
        };
        self.put(name, Some(&value));
        Ok(())
    }

    /// Adds a parameter whose grammar has no quotes, as a tag or a branch.
    pub(crate) fn set_token(&mut self, name: &str, value: &str) -> Result<(), Malformed> {
        grammar::check_token(name)?;
        grammar::check_token(value)?;
        self.put(name, Some(value));
        Ok(())
    }

    /// Adds a parameter whose grammar asks for quotes.
    pub(crate) fn set_quoted(&mut self, name: &str, value: &str) -> Result<(), Malformed> {
        grammar::check_token(name)?;
        let value = grammar::quote(value)?;
        self.put(name, Some(&value));
        Ok(())
    }

    /// Adds a parameter without a value.
    pub fn set_flag(&mut self, name: &str) -> Result<(), Malformed> {
        grammar::check_token(name)?;
        self.put(name, None);
        Ok(())
    }

    /// Takes every parameter of that name away.
    pub fn remove(&mut self, name: &str) {
        if !self.contains(name) {
            return;
        }
        let mut kept = String::with_capacity(self.text.len());
        for param in self.iter().filter(|param| !param.name.eq_ignore_ascii_case(name)) {
            let _ = write!(kept, ";{param}");
        }
        self.text = Cow::Owned(kept);
    }

    /// Writes a checked parameter, in the place of the first of its name if there is one.
    pub(crate) fn put(&mut self, name: &str, value: Option<&str>) {
        let new = Param { name, value };
        if !self.contains(name) {
            let _ = write!(self.text.to_mut(), ";{new}");
            return;
        }
        let mut text = String::with_capacity(self.text.len() + value.map_or(0, str::len));
        let mut pending = Some(new);
        for param in self.iter() {
            if !param.name.eq_ignore_ascii_case(name) {
                let _ = write!(text, ";{param}");
            } else if let Some(new) = pending.take() {
                let _ = write!(text, ";{new}");
            }
        }
        self.text = Cow::Owned(text);
    }

    /// The same without the borrowed buffer.
    pub fn into_owned(self) -> Params<'static> {
        Params { text: Cow::Owned(self.text.into_owned()) }
    }
}

impl fmt::Display for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'a> Param<'a> {
    /// What the value is.
    pub fn kind(&self) -> ParamKind {
        match self.value {
            None => ParamKind::Flag,
            Some(value) => match value.as_bytes().first() {
                Some(b'"') => ParamKind::Quoted,
                Some(b'<') => ParamKind::Bracketed,
                _ if grammar::is_token(value) => ParamKind::Token,
                _ => ParamKind::Host,
            },
        }
    }

    /// The value without its quotes and escapes.
    pub fn unquoted(&self) -> Option<Cow<'a, str>> {
        self.value.map(grammar::unquote)
    }

    /// The value where the grammar allows a token and nothing else.
    pub(crate) fn token(&self, expected: &'static str, at: usize) -> Result<&'a str, Malformed> {
        self.value.filter(|value| grammar::is_token(value)).ok_or(Malformed::new(expected, at))
    }

    /// The value where the grammar allows a number of 32 bits and nothing else.
    pub(crate) fn number(&self, expected: &'static str, at: usize) -> Result<u32, Malformed> {
        self.value.and_then(grammar::number).ok_or(Malformed::new(expected, at))
    }
}

impl fmt::Display for Param<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.value {
            Some(value) => write!(f, "={value}"),
            None => Ok(()),
        }
    }
}

/// Walks over parameters.
#[derive(Clone, Debug)]
pub struct ParamIter<'a> {
    cursor: Cursor<'a>,
}

impl<'a> ParamIter<'a> {
    /// Those in a text that begins with white space or `;`.
    pub(crate) fn over(text: &'a str) -> ParamIter<'a> {
        ParamIter { cursor: Cursor::new(text) }
    }
}

impl<'a> Iterator for ParamIter<'a> {
    type Item = Param<'a>;

    #[inline]
    fn next(&mut self) -> Option<Param<'a>> {
        self.cursor.separator(b';');
        if self.cursor.is_end() {
            return None;
        }
        read_param(&mut self.cursor).ok()
    }
}

#[inline]
pub(crate) fn read_param<'a>(cursor: &mut Cursor<'a>) -> Result<Param<'a>, Malformed> {
    let name = cursor.some(grammar::TOKEN, "a parameter name")?;
    if !cursor.separator(b'=') {
        return Ok(Param { name, value: None });
    }
    let value = match cursor.peek() {
        Some(b'"') => cursor.quoted()?,
        Some(b'<') => bracketed(cursor)?,
        _ => cursor.some(GEN_VALUE, "a parameter value")?,
    };
    Ok(Param { name, value: Some(value) })
}

fn bracketed<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    let rest = cursor.rest();
    let end = grammar::escaped_run(rest.as_bytes(), 1, grammar::URIC);
    cursor.set(cursor.at() + end);
    if end == 1 || !cursor.eat(b'>') {
        return cursor.expected("a URI in <>");
    }
    Ok(&rest[..=end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn white_space_may_stand_round_semicolon_and_equal() {
        let params = Params::parse(" ;  tag \t=  1918 ;flag; q=\"a;b=\\\"c\" ").unwrap();
        assert_eq!(params.value("TAG"), Some("1918"));
        assert_eq!(params.get("flag").map(|p| p.kind()), Some(ParamKind::Flag));
        assert_eq!(params.unquoted("q").as_deref(), Some("a;b=\"c"));
        assert_eq!(params.iter().count(), 3);
    }

    #[test]
    fn kinds_are_told_apart() {
        let params = Params::parse(";a=x;b=[::1]:5060;c=\"y\";d;e=<https://a/b>").unwrap();
        let kinds: Vec<ParamKind> = params.iter().map(|p| p.kind()).collect();
        use ParamKind::*;
        assert_eq!(kinds, [Token, Host, Quoted, Flag, Bracketed]);
    }

    /// RFC 4475 §3.1.2.1 sends `;;;;`.
    #[test]
    fn empty_names_and_values_are_refused() {
        for text in [";", ";;a=b", ";a=", ";=b", ";a=b c", "a=b", ";a=\"b", ";a=b@c", ";a=<x"] {
            assert!(Params::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn setting_replaces_and_removing_removes_every_one_of_the_name() {
        let mut params = Params::parse(";a=1;b;A=2").unwrap();
        params.set("a", "3 4").unwrap();
        assert_eq!(params.as_str(), ";a=\"3 4\";b");
        params.remove("A");
        assert_eq!(params.as_str(), ";b");
        params.set_flag("c").unwrap();
        assert_eq!(params.as_str(), ";b;c");
    }

    proptest! {
        #[test]
        fn whatever_is_set_is_read_back_or_refused(name in "[a-z%]{1,8}|.{0,8}", value in "(?s).{0,24}") {
            let mut params = Params::parse(";first=1").unwrap();
            if params.set(&name, &value).is_ok() {
                let text = params.to_string();
                prop_assert!(!grammar::breaks_a_line(text.as_bytes()));
                let read = Params::parse(&text).unwrap();
                let got = read.unquoted(&name);
                prop_assert_eq!(got.as_deref(), Some(value.as_str()));
            }
        }

        #[test]
        fn parsing_never_panics_and_printing_is_its_inverse(text in "(?s)[;=\", <>a%\\\\\\PC]{0,40}") {
            if let Ok(params) = Params::parse(&text) {
                let printed = params.to_string();
                prop_assert_eq!(Params::parse(&printed).unwrap(), params);
            }
        }
    }
}
