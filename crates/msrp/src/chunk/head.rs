//! The start line and the fields of a request or response, RFC 4975 §9, kept as they came.

use std::fmt;
use std::ops::Range;

use bytes::BytesMut;

use super::range::ByteRange;
use super::values::{FailureReport, Status, TransactionId, three_digits};
use crate::uri::{Path, UriError};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// RFC 4975: a message or a part of one.
    Send,
    /// RFC 4975: what became of a message.
    Report,
    /// RFC 4976: a client asks a relay for a path.
    Auth,
    /// RFC 7701: a participant of a room asks for a name.
    Nickname,
    /// Another one, in capitals.
    Other(Box<str>),
}

impl Method {
    /// As on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Send => "SEND",
            Method::Report => "REPORT",
            Method::Auth => "AUTH",
            Method::Nickname => "NICKNAME",
            Method::Other(name) => name,
        }
    }

    fn of_name(name: &str) -> Option<Method> {
        Some(match name {
            "SEND" => Method::Send,
            "REPORT" => Method::Report,
            "AUTH" => Method::Auth,
            "NICKNAME" => Method::Nickname,
            // RFC 4975 wants capitals; FILE_OFFSET is in use.
            name if !name.is_empty()
                && name.len() <= 32
                && name.bytes().all(|o| o.is_ascii_uppercase() || o == b'_') =>
            {
                Method::Other(name.into())
            }
            _ => return None,
        })
    }
}

/// What follows the transaction id on the first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// A request.
    Request(Method),
    /// A response: its code and comment.
    Response(u16, Box<str>),
}

/// Start line and fields.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    transaction: TransactionId,
    start: Start,
    /// The fields' lines with their CRLFs, as on the wire.
    text: String,
    fields: Vec<Field>,
    fault: Option<HeadFault>,
    has_body: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: Range<u32>,
    value: Range<u32>,
}

/// What is wrong with a head whose end could be found all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadFault {
    /// Octets that are not UTF-8.
    NotText,
    /// A line without a name and a colon.
    Line,
    /// A method that is none.
    Method,
    /// There are more fields than anybody needs.
    TooManyFields,
    /// To-Path is missing or malformed.
    ToPath,
    /// From-Path is missing or malformed.
    FromPath,
    /// Byte-Range is no range.
    ByteRange,
}

/// The most fields in a head.
const MOST_FIELDS: usize = 64;

impl Head {
    /// A request with its two paths, which come first (RFC 4975 §9).
    pub fn request(transaction: TransactionId, method: Method, to: &Path, from: &Path) -> Head {
        Head::empty(transaction, Start::Request(method)).with("To-Path", to).with("From-Path", from)
    }

    /// A response to this request, §7.2: to a SEND back to the previous hop, to all others the whole way back.
    ///
    /// `us` is the URI that identifies us, in a session or as a relay.
    pub fn response(&self, us: &crate::uri::MsrpUri, code: u16, comment: &str) -> Result<Head, HeadFault> {
        let from = self.from_path()?;
        let to = if self.start == Start::Request(Method::Send) { Path::from(from.first().clone()) } else { from };
        let start = Start::Response(code, clean(comment).into());
        Ok(Head::empty(self.transaction, start).with("To-Path", &to).with("From-Path", us))
    }

    fn empty(transaction: TransactionId, start: Start) -> Head {
        Head { transaction, start, text: String::with_capacity(192), fields: Vec::new(), fault: None, has_body: false }
    }

    /// The transaction id.
    pub fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// Gives it another transaction id, as a relay does for each hop.
    pub fn set_transaction(&mut self, transaction: TransactionId) {
        self.transaction = transaction;
    }

    /// Method, or code and comment.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&Method> {
        match &self.start {
            Start::Request(method) => Some(method),
            Start::Response(..) => None,
        }
    }

    /// Whether an empty line follows, and a body, be it an empty one.
    pub fn has_body(&self) -> bool {
        self.has_body
    }

    /// What is wrong with its lines.
    pub fn fault(&self) -> Option<HeadFault> {
        self.fault
    }

    /// The first value under a name, whatever the name's case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| key.len() == name.len() && key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let slice = |range: &Range<u32>| &self.text[range.start as usize..range.end as usize];
        self.fields.iter().map(move |field| (slice(&field.name), slice(&field.value)))
    }

    /// With one more field at the end. A value cannot begin another line: what is not text becomes a space.
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Head {
        self.push(name, value);
        self
    }

    /// Puts one more field at the end, as [`Head::with`] does.
    pub fn push(&mut self, name: &str, value: impl fmt::Display) {
        use fmt::Write;
        let start = self.text.len() as u32;
        let _ = write!(Clean(&mut self.text), "{name}");
        let name = start..self.text.len() as u32;
        self.text.push_str(": ");
        let start = self.text.len() as u32;
        let _ = write!(Clean(&mut self.text), "{value}");
        let value = start..self.text.len() as u32;
        self.text.push_str("\r\n");
        self.fields.push(Field { name, value });
    }

    /// Gives a field another value at its place; at the end where it is missing.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        let mut changed = Head::empty(self.transaction, self.start.clone());
        let mut value = Some(value);
        for (key, old) in self.iter() {
            match value.take_if(|_| key.eq_ignore_ascii_case(name)) {
                Some(new) => changed.push(key, new),
                None => changed.push(key, old),
            }
        }
        if let Some(value) = value {
            changed.push(name, value);
        }
        self.text = changed.text;
        self.fields = changed.fields;
    }

    /// Gives it other paths, as a relay does.
    pub fn set_paths(&mut self, to: &Path, from: &Path) {
        self.set("To-Path", to);
        self.set("From-Path", from);
    }

    /// Where it goes.
    pub fn to_path(&self) -> Result<Path, HeadFault> {
        self.path("To-Path").map_err(|_| HeadFault::ToPath)
    }

    /// Where it comes from.
    pub fn from_path(&self) -> Result<Path, HeadFault> {
        self.path("From-Path").map_err(|_| HeadFault::FromPath)
    }

    fn path(&self, name: &str) -> Result<Path, UriError> {
        self.get(name).ok_or(UriError::Hops)?.parse()
    }

    /// The Message-ID.
    pub fn message_id(&self) -> Option<&str> {
        self.get("Message-ID").filter(|id| super::values::is_ident(id))
    }

    /// The Byte-Range; `Ok(None)` where there is none, `Err` where there is no sense in it.
    pub fn byte_range(&self) -> Result<Option<ByteRange>, HeadFault> {
        self.get("Byte-Range").map(|value| value.parse().map_err(|()| HeadFault::ByteRange)).transpose()
    }

    /// The Status of a REPORT.
    pub fn status(&self) -> Option<Status> {
        self.get("Status")?.parse().ok()
    }

    /// The Content-Type.
    pub fn content_type(&self) -> Option<&str> {
        self.get("Content-Type")
    }

    /// Whether a success report is asked for.
    pub fn success_report(&self) -> bool {
        self.get("Success-Report").is_some_and(|value| value.eq_ignore_ascii_case("yes"))
    }

    /// Which failures are to be told.
    pub fn failure_report(&self) -> FailureReport {
        FailureReport::of_value(self.get("Failure-Report"))
    }

    /// Prints the start line and the fields, but neither the empty line before a body nor the end-line.
    pub fn write_to(&self, out: &mut BytesMut) {
        out.reserve(64 + self.text.len());
        out.extend_from_slice(b"MSRP ");
        out.extend_from_slice(self.transaction.as_bytes());
        match &self.start {
            Start::Request(method) => {
                out.extend_from_slice(b" ");
                out.extend_from_slice(method.as_str().as_bytes());
            }
            Start::Response(code, comment) => {
                out.extend_from_slice(format!(" {code:03}").as_bytes());
                if !comment.is_empty() {
                    out.extend_from_slice(b" ");
                    out.extend_from_slice(comment.as_bytes());
                }
            }
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.text.as_bytes());
    }

    /// Reads the first line, without its CRLF. Without a transaction id nothing can be framed: `None`.
    pub(super) fn of_start_line(line: &[u8]) -> Option<Head> {
        let rest = line.strip_prefix(b"MSRP ")?;
        let space = memchr::memchr(b' ', rest)?;
        let transaction = TransactionId::parse(&rest[..space])?;
        let (start, fault) = match std::str::from_utf8(&rest[space + 1..]) {
            Ok(rest) => read_start(rest),
            Err(_) => (None, Some(HeadFault::NotText)),
        };
        let start = start.unwrap_or(Start::Request(Method::Other("".into())));
        Some(Head { fault, ..Head::empty(transaction, start) })
    }

    /// Reads the lines of the fields, each with its CRLF.
    pub(super) fn read_fields(&mut self, lines: &[u8], has_body: bool) {
        self.has_body = has_body;
        let fault = match std::str::from_utf8(lines) {
            Ok(text) => self.read_text(text),
            Err(_) => Some(HeadFault::NotText),
        };
        self.fault = self.fault.or(fault);
    }

    fn read_text(&mut self, text: &str) -> Option<HeadFault> {
        self.text.push_str(text);
        let mut fault = None;
        let mut at = 0;
        for line in text.split_terminator("\r\n") {
            let start = at as u32;
            at += line.len() + 2;
            if self.fields.len() == MOST_FIELDS {
                return Some(HeadFault::TooManyFields);
            }
            match line.split_once(':') {
                Some((name, value)) if is_name(name) && !value.contains(is_no_text) => {
                    let blank = value.len() - value.trim_start_matches([' ', '\t']).len();
                    let name_end = start + name.len() as u32;
                    let value_start = name_end + 1 + blank as u32;
                    let value_end = start + line.len() as u32;
                    self.fields.push(Field { name: start..name_end, value: value_start..value_end });
                }
                _ => fault = fault.or(Some(HeadFault::Line)),
            }
        }
        fault
    }
}

fn read_start(rest: &str) -> (Option<Start>, Option<HeadFault>) {
    let (first, comment) = rest.split_once(' ').unwrap_or((rest, ""));
    if let Ok(code) = three_digits(first) {
        if comment.contains(is_no_text) {
            return (None, Some(HeadFault::Method));
        }
        return (Some(Start::Response(code, comment.into())), None);
    }
    match Method::of_name(rest) {
        Some(method) => (Some(Start::Request(method)), None),
        None => (None, Some(HeadFault::Method)),
    }
}

fn is_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&octet))
}

/// `utf8text` of RFC 4975 §9 is everything but control letters, of which it has the tab.
fn is_no_text(letter: char) -> bool {
    letter.is_ascii_control() && letter != '\t'
}

fn clean(text: &str) -> String {
    text.replace(is_no_text, " ")
}

/// Lets nothing through that could begin another line.
struct Clean<'a>(&'a mut String);

impl fmt::Write for Clean<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.contains(is_no_text) {
            self.0.push_str(&clean(text));
        } else {
            self.0.push_str(text);
        }
        Ok(())
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = BytesMut::new();
        self.write_to(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}
