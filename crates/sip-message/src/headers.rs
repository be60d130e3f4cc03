//! The header fields of one message, RFC 3261 §7.3: spans into the received octets and into a text of additions.
//!
//! What was received is never copied and never moved: an edit adds to the second text and puts a new span in the list.
//! Printing copies the untouched runs as they were received, so that unknown headers, compact names and spacing pass
//! a proxy unchanged (RFC 3261 §16.6 step 1).

use std::fmt::{self, Write as _};

use bytestring::ByteString;
use memchr::memchr2;

use crate::grammar;
use crate::header::{HeaderError, TypedHeader};
use crate::header_name::HeaderName;

/// A value that can't be put into a message: it would end its line and begin another, or end the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// The value holds a carriage return, a line feed, or a NUL that is no quoted pair (RFC 3261 §25.1).
    LineBreakOrNul,
    /// The name is not a token (RFC 3261 §25.1), or longer than any line; [`HeaderName::Extension`] is no name.
    NameIsNotAToken,
    /// There is no field of this name to change.
    NoSuchField(HeaderName),
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueError::LineBreakOrNul => f.write_str("a header value can't hold CR, LF or NUL"),
            ValueError::NameIsNotAToken => f.write_str("a header name must be a token"),
            ValueError::NoSuchField(name) => write!(f, "the message has no {name} field"),
        }
    }
}

impl std::error::Error for ValueError {}

/// Where a span's octets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the received octets, and the whole line can be copied as it is.
    Received,
    /// In the received octets, but the line has to be printed anew from name and value.
    ReceivedValue,
    /// In the additions, and the whole line can be copied as it is.
    Added,
    /// In the additions, but the line has to be printed anew from name and value.
    AddedValue,
}

impl Source {
    /// What a field becomes when a part of its value is taken away.
    fn cut(self) -> Source {
        match self {
            Source::Received | Source::ReceivedValue => Source::ReceivedValue,
            Source::Added | Source::AddedValue => Source::AddedValue,
        }
    }

    fn is_added(self) -> bool {
        matches!(self, Source::Added | Source::AddedValue)
    }
}

/// One field: `start..start + name_len` is the name, `value..end` the value, `end` is before the CRLF.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) start: u32,
    pub(crate) value: u32,
    pub(crate) end: u32,
    pub(crate) name_len: u16,
    pub(crate) name: HeaderName,
    pub(crate) source: Source,
}

/// A stretch of text in one of the two buffers: the Request-URI or the reason phrase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextSpan {
    pub(crate) added: bool,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// The header fields of one message, in their order.
#[derive(Clone, Default)]
pub struct Headers {
    /// The received head.
    received: ByteString,
    added: String,
    fields: Vec<Field>,
}

impl Headers {
    /// An empty list.
    pub fn new() -> Headers {
        Headers { received: ByteString::new(), added: String::new(), fields: Vec::with_capacity(16) }
    }

    /// The first value of `name`: of a list header the part before the first comma, of another the whole field.
    pub fn first(&self, name: HeaderName) -> Option<&str> {
        let field = self.find(name)?;
        let value = self.value(field);
        Some(if name.is_list() { &value[..grammar::first_value_end(value)] } else { value })
    }

    /// Every value of `name`; a list header's fields are split at their commas, and an empty one has no value
    /// (RFC 3261 §20.37: "Supported" may be empty).
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |field| field.name == name)
            .map(|field| self.value(field))
            .filter(move |value| !(value.is_empty() && name.is_list()))
            .flat_map(move |value| Values { rest: Some(value), split: name.is_list() })
    }

    /// The whole value of every field of `name`, commas and all.
    pub fn fields_of(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |field| field.name == name).map(|field| self.value(field))
    }

    /// The values of every field that is called `text`, for names that [`HeaderName`] does not know.
    pub fn extension<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| value)
    }

    /// Whether there is a field of this name.
    pub fn contains(&self, name: HeaderName) -> bool {
        self.find(name).is_some()
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Every field as (name as it will be printed, value), in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (self.name_text(field), self.value(field)))
    }

    /// The first value of a typed header; `None` when there is no such field.
    pub fn get<'a, H: TypedHeader<'a>>(&'a self) -> Option<Result<H, HeaderError>> {
        self.first(H::NAME).map(H::parse)
    }

    /// Every value of a typed header.
    pub fn all<'a, H: TypedHeader<'a>>(&'a self) -> impl Iterator<Item = Result<H, HeaderError>> {
        self.values(H::NAME).map(H::parse)
    }

    /// Whether the list header `name` (Supported, Require, Allow …) has `token`, in any case.
    pub fn has_token(&self, name: HeaderName, token: &str) -> bool {
        self.values(name).any(|value| value.eq_ignore_ascii_case(token))
    }

    /// Adds a field at the end.
    pub fn push(&mut self, name: HeaderName, value: impl fmt::Display) -> Result<(), ValueError> {
        let field = self.add(name, name.as_str(), value)?;
        self.fields.push(field);
        Ok(())
    }

    /// Adds a field of any name at the end.
    pub fn push_extension(&mut self, name: &str, value: impl fmt::Display) -> Result<(), ValueError> {
        let field = self.add(HeaderName::lookup(name), name, value)?;
        self.fields.push(field);
        Ok(())
    }

    /// Adds a field before the first of its name, or before all others: where Via, Route and Record-Route go.
    pub fn push_front(&mut self, name: HeaderName, value: impl fmt::Display) -> Result<(), ValueError> {
        let field = self.add(name, name.as_str(), value)?;
        let at = self.fields.iter().position(|field| field.name == name).unwrap_or(0);
        self.fields.insert(at, field);
        Ok(())
    }

    /// Makes `value` the only field of this name, in the place of the first.
    pub fn set(&mut self, name: HeaderName, value: impl fmt::Display) -> Result<(), ValueError> {
        let field = self.add(name, name.as_str(), value)?;
        match self.fields.iter().position(|field| field.name == name) {
            Some(at) => {
                self.fields[at] = field;
                let mut index = 0;
                self.fields.retain(|field| {
                    index += 1;
                    field.name != name || index - 1 == at
                });
            }
            None => self.fields.push(field),
        }
        Ok(())
    }

    /// Puts `value` in the place of the first value of `name`, leaving the others as they are.
    pub fn replace_first(&mut self, name: HeaderName, value: impl fmt::Display) -> Result<(), ValueError> {
        let at = self.fields.iter().position(|field| field.name == name).ok_or(ValueError::NoSuchField(name))?;
        let field = self.add(name, name.as_str(), value)?;
        // What is left of the list, if anything, stays where it stood: right behind the new value.
        self.pop_first(name);
        self.fields.insert(at, field);
        Ok(())
    }

    /// Takes the first value of `name` away; of a list only that value. Whether there was one.
    pub fn pop_first(&mut self, name: HeaderName) -> bool {
        let Some(at) = self.fields.iter().position(|field| field.name == name) else {
            return false;
        };
        let value = self.value(&self.fields[at]);
        let end = if name.is_list() { grammar::first_value_end(value) } else { value.len() };
        // `first_value_end` stops before the white space in front of the comma.
        let rest = value[end..].trim_start_matches([' ', '\t']);
        let rest = rest.strip_prefix(',').unwrap_or("").trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            self.fields.remove(at);
        } else {
            let kept = rest.len() as u32;
            let field = &mut self.fields[at];
            field.value = field.end - kept;
            field.source = field.source.cut();
        }
        true
    }

    /// Takes the last value of `name` away; of a list only that value. Whether there was one.
    pub fn pop_last(&mut self, name: HeaderName) -> bool {
        let Some(at) = self.fields.iter().rposition(|field| field.name == name) else {
            return false;
        };
        let mut last_start = 0;
        let value = self.value(&self.fields[at]);
        if name.is_list() {
            let mut rest = value;
            loop {
                let end = grammar::first_value_end(rest);
                let Some(comma) = rest[end..].find(',') else {
                    break;
                };
                let next = end + comma + 1;
                last_start += next;
                rest = &rest[next..];
            }
        }
        let kept = value[..last_start].trim_end_matches([' ', '\t', ',']).len() as u32;
        if kept == 0 {
            self.fields.remove(at);
        } else {
            let field = &mut self.fields[at];
            field.end = field.value + kept;
            field.source = field.source.cut();
        }
        true
    }

    /// Removes every field of this name. Whether there was one.
    pub fn remove(&mut self, name: HeaderName) -> bool {
        let before = self.fields.len();
        self.fields.retain(|field| field.name != name);
        before != self.fields.len()
    }

    /// Removes every field that is called `text`. Whether there was one.
    pub fn remove_extension(&mut self, text: &str) -> bool {
        let keep: Vec<bool> = self.iter().map(|(name, _)| !name.eq_ignore_ascii_case(text)).collect();
        let mut keep = keep.into_iter();
        let before = self.fields.len();
        self.fields.retain(|_| keep.next().unwrap_or(true));
        before != self.fields.len()
    }

    /// Copies every field of `name` from another message, behind the fields that are here.
    ///
    /// A list that was received with `self` sharing the same octets costs no copy of text.
    pub fn copy_from(&mut self, other: &Headers, name: HeaderName) {
        let shared = self.received.as_ptr() == other.received.as_ptr() && self.received.len() == other.received.len();
        for field in other.fields.iter().filter(|field| field.name == name) {
            if shared && !field.source.is_added() {
                self.fields.push(*field);
            } else {
                let value = other.value(field);
                let field = self.add_text(name, other.name_text(field), |text| text.push_str(value));
                self.fields.push(field);
            }
        }
    }

    /// An empty list over the same received octets, so that [`Headers::copy_from`] copies spans only.
    pub(crate) fn sharing(other: &Headers) -> Headers {
        Headers { received: other.received.clone(), added: String::new(), fields: Vec::with_capacity(12) }
    }

    /// A list over the octets of a received head, which the parser has checked to be UTF-8.
    pub(crate) fn over(received: ByteString) -> Headers {
        Headers { received, added: String::new(), fields: Vec::with_capacity(20) }
    }

    /// How many octets the received head has.
    pub(crate) fn received_len(&self) -> usize {
        self.received.len()
    }

    pub(crate) fn push_field(&mut self, field: Field) {
        self.fields.push(field);
    }

    /// The parser's way to add a line that it had to unfold.
    pub(crate) fn push_unfolded(&mut self, name: HeaderName, name_text: &str, value: &str) {
        let field = self.add_text(name, name_text, |text| text.push_str(value));
        self.fields.push(field);
    }

    pub(crate) fn text(&self, span: TextSpan) -> &str {
        if span.added {
            &self.added[span.start as usize..span.end as usize]
        } else {
            self.received_text(span.start, span.end)
        }
    }

    /// Adds a text that is not a field: a Request-URI, a reason phrase.
    pub(crate) fn add_span(&mut self, value: impl fmt::Display) -> Result<TextSpan, ValueError> {
        let start = self.added.len();
        // Writing to a String can't fail.
        let _ = write!(self.added, "{value}");
        if grammar::breaks_a_line(&self.added.as_bytes()[start..]) {
            self.added.truncate(start);
            return Err(ValueError::LineBreakOrNul);
        }
        Ok(TextSpan { added: true, start: start as u32, end: self.added.len() as u32 })
    }

    /// Prints the fields, each with its CRLF.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.write_fields(self.fields.iter(), out);
    }

    /// Prints the fields that are not of this name.
    pub(crate) fn write_without(&self, name: HeaderName, out: &mut Vec<u8>) {
        self.write_fields(self.fields.iter().filter(|field| field.name != name), out);
    }

    fn write_fields<'a>(&self, fields: impl Iterator<Item = &'a Field>, out: &mut Vec<u8>) {
        // A run of received lines that follow each other is copied at once.
        let mut run: Option<(u32, u32)> = None;
        for field in fields {
            if field.source == Source::Received {
                run = match run {
                    Some((start, end)) if end + 2 == field.start => Some((start, field.end)),
                    other => {
                        self.write_run(other, out);
                        Some((field.start, field.end))
                    }
                };
                continue;
            }
            self.write_run(run.take(), out);
            match field.source {
                Source::Added => {
                    out.extend_from_slice(&self.added.as_bytes()[field.start as usize..field.end as usize]);
                }
                _ => {
                    out.extend_from_slice(self.name_text(field).as_bytes());
                    out.extend_from_slice(b": ");
                    out.extend_from_slice(self.value(field).as_bytes());
                }
            }
            out.extend_from_slice(b"\r\n");
        }
        self.write_run(run, out);
    }

    /// How many octets [`Headers::write`] will need, at the most about.
    pub(crate) fn printed_len(&self) -> usize {
        self.received.len() + self.added.len() + 64
    }

    fn write_run(&self, run: Option<(u32, u32)>, out: &mut Vec<u8>) {
        if let Some((start, end)) = run {
            out.extend_from_slice(&self.received.as_bytes()[start as usize..end as usize]);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn find(&self, name: HeaderName) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    fn value(&self, field: &Field) -> &str {
        match field.source {
            Source::Added | Source::AddedValue => &self.added[field.value as usize..field.end as usize],
            _ => self.received_text(field.value, field.end),
        }
    }

    fn name_text(&self, field: &Field) -> &str {
        let end = field.start + u32::from(field.name_len);
        match field.source {
            Source::Added | Source::AddedValue => &self.added[field.start as usize..end as usize],
            // A name that is printed anew is printed in its canonical form, so that two hops can't read two names.
            Source::ReceivedValue if field.name != HeaderName::Extension => field.name.as_str(),
            _ => self.received_text(field.start, end),
        }
    }

    fn received_text(&self, start: u32, end: u32) -> &str {
        &self.received[start as usize..end as usize]
    }

    fn add(&mut self, name: HeaderName, text: &str, value: impl fmt::Display) -> Result<Field, ValueError> {
        if !grammar::is_token(text) || text.len() > usize::from(u16::MAX) {
            return Err(ValueError::NameIsNotAToken);
        }
        let start = self.added.len();
        let field = self.add_text(name, text, |added| {
            let _ = write!(added, "{value}");
        });
        // A NUL that was received as a quoted pair (RFC 4475 §3.1.1.2) may be put back, as when a To gets its tag.
        let value = &self.added.as_bytes()[field.value as usize..];
        if grammar::breaks_a_line(value) && (memchr2(b'\r', b'\n', value).is_some() || !grammar::nul_is_quoted(value)) {
            self.added.truncate(start);
            return Err(ValueError::LineBreakOrNul);
        }
        Ok(field)
    }

    fn add_text(&mut self, name: HeaderName, text: &str, value: impl FnOnce(&mut String)) -> Field {
        if self.added.capacity() == 0 {
            self.added.reserve(256);
        }
        let start = self.added.len() as u32;
        self.added.push_str(text);
        self.added.push_str(": ");
        let at = self.added.len() as u32;
        value(&mut self.added);
        Field {
            start,
            value: at,
            end: self.added.len() as u32,
            name_len: text.len() as u16,
            name,
            source: Source::Added,
        }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The values of one field.
struct Values<'a> {
    rest: Option<&'a str>,
    split: bool,
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.take()?;
        if !self.split {
            return Some(rest);
        }
        let end = grammar::first_value_end(rest);
        if let Some(comma) = rest[end..].find(',') {
            self.rest = Some(rest[end + comma + 1..].trim_start_matches([' ', '\t']));
        }
        Some(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(headers: &Headers) -> String {
        let mut out = Vec::new();
        headers.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn example() -> Headers {
        let mut headers = Headers::new();
        headers.push(HeaderName::Via, "SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b;branch=z9hG4bK2").unwrap();
        headers.push(HeaderName::Via, "SIP/2.0/UDP c;branch=z9hG4bK3").unwrap();
        headers.push(HeaderName::Subject, "a, b").unwrap();
        headers
    }

    #[test]
    fn a_list_is_split_at_its_commas_and_free_text_is_not() {
        let headers = example();
        let vias: Vec<_> = headers.values(HeaderName::Via).collect();
        assert_eq!(
            vias,
            ["SIP/2.0/UDP a;branch=z9hG4bK1", "SIP/2.0/UDP b;branch=z9hG4bK2", "SIP/2.0/UDP c;branch=z9hG4bK3"]
        );
        assert_eq!(headers.first(HeaderName::Subject), Some("a, b"));
    }

    #[test]
    fn popping_takes_one_value_at_a_time() {
        let mut headers = example();
        assert!(headers.pop_first(HeaderName::Via));
        assert_eq!(headers.first(HeaderName::Via), Some("SIP/2.0/UDP b;branch=z9hG4bK2"));
        assert!(headers.pop_first(HeaderName::Via));
        assert_eq!(headers.first(HeaderName::Via), Some("SIP/2.0/UDP c;branch=z9hG4bK3"));
        assert!(headers.pop_first(HeaderName::Via));
        assert!(!headers.pop_first(HeaderName::Via));
        assert_eq!(printed(&headers), "Subject: a, b\r\n");
    }

    #[test]
    fn popping_from_the_end_takes_the_last_value() {
        let mut headers = example();
        assert!(headers.pop_last(HeaderName::Via));
        assert!(headers.pop_last(HeaderName::Via));
        assert_eq!(headers.values(HeaderName::Via).collect::<Vec<_>>(), ["SIP/2.0/UDP a;branch=z9hG4bK1"]);
    }

    #[test]
    fn the_first_value_of_a_list_is_replaced_in_place() {
        let mut headers = example();
        headers.replace_first(HeaderName::Via, "SIP/2.0/TCP x").unwrap();
        assert_eq!(
            printed(&headers),
            "Via: SIP/2.0/TCP x\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK2\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK3\r\n\
             Subject: a, b\r\n"
        );
    }

    #[test]
    fn no_value_can_begin_another_line() {
        let mut headers = Headers::new();
        for value in ["a\r\nX: y", "a\nb", "a\rb", "a\0b"] {
            assert_eq!(headers.push(HeaderName::Subject, value), Err(ValueError::LineBreakOrNul));
            assert_eq!(headers.push_extension("X", value), Err(ValueError::LineBreakOrNul));
        }
        assert_eq!(headers.push_extension("X\r\nY", "v"), Err(ValueError::NameIsNotAToken));
        assert_eq!(printed(&headers), "");
    }
}
