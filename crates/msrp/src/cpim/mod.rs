//! Message/CPIM (RFC 3862): a message with who wrote it, to whom and when, end to end and whatever carries it.
//!
//! ```text
//! From: Alice <sip:alice@example.com>           headers: names, namespaces, one line each ([`Header`])
//! To: <sip:bob@example.com>
//! DateTime: 2026-11-21T01:57:48.312+00:00
//!                                               an empty line
//! Content-Type: text/plain;charset=utf-8        the content's own header fields ([`Entity`])
//!                                               an empty line
//! hello bob                                     the content
//! ```
//!
//! What is written keeps to the RFC's letter. What is read may stray as running clients do: addresses without angle brackets or
//! without a scheme, no space behind the colon, bare line feeds, times without a zone, `charset="utf8"`, and the MIME header
//! `Content-Type: message/cpim` once more in front.

mod address;
mod date_time;
mod escape;
mod header;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::multipart::{ContentType, Entity, EntityError};
pub use address::Address;
pub use date_time::{DateTime, DateTimeError};
pub use header::Header;

/// The type of such a message.
pub const CONTENT_TYPE: &str = "message/cpim";
/// RFC 3862 §4: the namespace of headers without a prefix.
pub const NAMESPACE: &str = "urn:ietf:params:cpim-headers:";

/// Headers of one message.
const MAX_HEADERS: usize = 64;
/// Octets of all its headers. RFC 3862 §2.2 wants no limit to a line; strangers want one.
const MAX_HEADERS_LENGTH: usize = 32 * 1024;

/// A message and its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    headers: Vec<Header>,
    /// What is said, with its own header fields.
    pub content: Entity,
}

/// What is wrong with a message. All but [`CpimError::Unprintable`] are its author's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpimError {
    /// More headers than 64, or more octets of headers than 32 KiB.
    TooLarge,
    /// Headers that are not UTF-8.
    Encoding,
    /// A line that is no header.
    Header,
    /// No empty line ends the headers.
    Unfinished,
    /// The content's header fields.
    Content(EntityError),
    /// A text in a charset that is not known here.
    Charset(String),
    /// A text that is not in the charset that it claims.
    Text,
    /// We: a name, address or language that no header can carry.
    Unprintable,
}

impl Message {
    /// A message of one author to one reader.
    pub fn new(from: &Address, to: &Address, content: Entity) -> Message {
        let headers = vec![Header::address("From", from), Header::address("To", to)];
        Message { headers, content }
    }

    /// Reads a message. The content shares the octets.
    pub fn parse(octets: &Bytes) -> Result<Message, CpimError> {
        let (headers, end) = read_headers(octets)?;
        // The MIME header of the whole, which belongs to whatever carries it.
        let is_wrapper = |header: &Header| {
            header.name().eq_ignore_ascii_case("Content-Type") && header.value().eq_ignore_ascii_case(CONTENT_TYPE)
        };
        let (headers, end) = if headers.len() <= 2 && headers.iter().any(is_wrapper) {
            let (headers, more) = read_headers(&octets[end..])?;
            (headers, end + more)
        } else {
            (headers, end)
        };
        let content = Entity::parse(&octets.slice(end..)).map_err(CpimError::Content)?;
        Ok(Message { headers, content })
    }

    /// The message on the wire.
    pub fn print(&self) -> Bytes {
        let content = self.content.print();
        let mut octets = Vec::with_capacity(content.len() + 64 * self.headers.len());
        for header in &self.headers {
            octets.extend_from_slice(header.to_string().as_bytes());
            octets.extend_from_slice(b"\r\n");
        }
        octets.extend_from_slice(b"\r\n");
        octets.extend_from_slice(&content);
        octets.into()
    }

    /// All headers, in their order.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// One header more.
    pub fn push(&mut self, header: Header) {
        self.headers.push(header);
    }

    /// Who wrote it.
    pub fn from(&self) -> Option<Address> {
        self.get(NAMESPACE, "From").and_then(|header| Address::parse(header.value()))
    }

    /// To whom.
    pub fn to(&self) -> impl Iterator<Item = Address> {
        self.all(NAMESPACE, "To").filter_map(|header| Address::parse(header.value()))
    }

    /// Who else reads it.
    pub fn cc(&self) -> impl Iterator<Item = Address> {
        self.all(NAMESPACE, "cc").filter_map(|header| Address::parse(header.value()))
    }

    /// When it was written.
    pub fn date_time(&self) -> Option<DateTime> {
        self.get(NAMESPACE, "DateTime").and_then(|header| header.value().parse().ok())
    }

    /// Says when it was written.
    pub fn set_date_time(&mut self, date_time: DateTime) {
        self.headers.retain(|header| header.name() != "DateTime");
        self.headers.push(Header::raw("DateTime", date_time.to_string()));
    }

    /// What it is about; of several languages the first.
    pub fn subject(&self) -> Option<Cow<'_, str>> {
        self.get(NAMESPACE, "Subject").map(Header::text)
    }

    /// What it is about, in a language.
    pub fn subject_in(&self, language: &str) -> Option<Cow<'_, str>> {
        let in_it = |header: &&Header| header.language().is_some_and(|its| its.eq_ignore_ascii_case(language));
        self.all(NAMESPACE, "Subject").find(in_it).map(Header::text)
    }

    /// The first header of this name in this namespace.
    pub fn get<'a>(&'a self, namespace: &'a str, name: &'a str) -> Option<&'a Header> {
        self.all(namespace, name).next()
    }

    /// The headers of this name in this namespace (§3.4), whatever prefix they have it by.
    pub fn all<'a>(&'a self, namespace: &'a str, name: &'a str) -> impl Iterator<Item = &'a Header> {
        let mut scope = Scope::default();
        self.headers.iter().filter(move |header| {
            scope.take(header);
            header.local_name() == name && scope.namespace(header.prefix()) == Some(namespace)
        })
    }

    /// The prefix by which a namespace goes in this message; it is declared if it has none yet.
    pub fn prefix_of(&mut self, namespace: &str, preferred: &str) -> Result<String, CpimError> {
        let mut scope = Scope::default();
        self.headers.iter().for_each(|header| scope.take(header));
        if let Some(prefix) = scope.prefix(namespace) {
            return Ok(prefix.to_owned());
        }
        // Somebody else's namespace may have the name already.
        let mut prefix = preferred.to_owned();
        while scope.namespace(Some(&prefix)).is_some() {
            prefix.push('x');
        }
        if !header::is_name(&prefix) || !address::is_uri(namespace) {
            return Err(CpimError::Unprintable);
        }
        self.headers.push(Header::raw("NS", format!("{prefix} <{namespace}>")));
        Ok(prefix)
    }

    /// What must be understood (§3.5): namespace and name, or a name whose prefix nobody declared.
    pub fn required(&self) -> Vec<Required> {
        let mut scope = Scope::default();
        let mut required = Vec::new();
        for header in &self.headers {
            scope.take(header);
            // "Required" is what one widespread client writes.
            if matches!(header.name(), "Require" | "Required") {
                required.extend(header.value().split(',').map(str::trim).filter(|name| !name.is_empty()).map(|name| {
                    let (prefix, local) = header::split_name(name);
                    Required {
                        namespace: scope.namespace(prefix).map(str::to_owned),
                        name: if scope.namespace(prefix).is_some() { local } else { name }.to_owned(),
                    }
                }));
            }
        }
        required
    }

    /// The content as text: read in its charset, UTF-8 if it names none.
    pub fn text(&self) -> Result<Cow<'_, str>, CpimError> {
        let charset = self.content.content_type().and_then(|content_type| {
            let charset = content_type.parameter("charset")?;
            Some(charset.to_ascii_lowercase())
        });
        decode_text(&self.content.body, charset.as_deref())
    }

    /// What the content is; plain text if it does not say.
    pub fn content_type(&self) -> ContentType {
        self.content.content_type().unwrap_or_else(ContentType::text)
    }
}

/// Something that a message requires to be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Required {
    /// The namespace, if its prefix was declared.
    pub namespace: Option<String>,
    /// The header's or feature's name in it.
    pub name: String,
}

/// A text's octets in a charset (as it is written in lower case). US-ASCII is read as the UTF-8 that it is a part of.
pub fn decode_text<'a>(octets: &'a [u8], charset: Option<&str>) -> Result<Cow<'a, str>, CpimError> {
    match charset {
        None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => {
            std::str::from_utf8(octets).map(Cow::Borrowed).map_err(|_| CpimError::Text)
        }
        Some("iso-8859-1" | "latin1") => Ok(octets.iter().map(|&octet| char::from(octet)).collect()),
        Some(charset) => Err(CpimError::Charset(charset.to_owned())),
    }
}

/// Headers up to the empty line, and where the line ends.
fn read_headers(octets: &[u8]) -> Result<(Vec<Header>, usize), CpimError> {
    let mut headers = Vec::new();
    let mut at = 0;
    while let Some((line, next)) = crate::multipart::next_line(octets, at) {
        at = next;
        if line.is_empty() {
            return Ok((headers, at));
        }
        if headers.len() == MAX_HEADERS || at > MAX_HEADERS_LENGTH {
            return Err(CpimError::TooLarge);
        }
        let line = std::str::from_utf8(line).map_err(|_| CpimError::Encoding)?;
        headers.push(Header::parse(line).ok_or(CpimError::Header)?);
    }
    Err(CpimError::Unfinished)
}

/// The namespaces as they are declared up to some header.
struct Scope<'a> {
    default: Cow<'a, str>,
    declared: Vec<(&'a str, Cow<'a, str>)>,
}

impl Default for Scope<'_> {
    fn default() -> Self {
        Scope { default: Cow::Borrowed(NAMESPACE), declared: Vec::new() }
    }
}

impl<'a> Scope<'a> {
    fn take(&mut self, header: &'a Header) {
        let declaration = header.value().strip_suffix('>').filter(|_| header.name() == "NS");
        let Some((prefix, uri)) = declaration.and_then(|value| value.split_once('<')) else {
            return;
        };
        match prefix.trim() {
            "" => self.default = Cow::Borrowed(uri),
            prefix => {
                self.declared.retain(|(known, _)| *known != prefix);
                self.declared.push((prefix, Cow::Borrowed(uri)));
            }
        }
    }

    fn namespace(&self, prefix: Option<&str>) -> Option<&str> {
        match prefix {
            None => Some(&self.default),
            Some(prefix) => self.declared.iter().find(|(known, _)| *known == prefix).map(|(_, uri)| &**uri),
        }
    }

    fn prefix(&self, namespace: &str) -> Option<&str> {
        self.declared.iter().find(|(_, uri)| *uri == namespace).map(|(prefix, _)| *prefix)
    }
}

impl fmt::Display for CpimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CpimError::TooLarge => f.write_str("too many headers"),
            CpimError::Encoding => f.write_str("headers that are not UTF-8"),
            CpimError::Header => f.write_str("a line that is no header"),
            CpimError::Unfinished => f.write_str("no empty line ends the headers"),
            CpimError::Content(error) => write!(f, "the content: {error}"),
            CpimError::Charset(charset) => write!(f, "the charset {charset:?} is not known"),
            CpimError::Text => f.write_str("a text that is not in its charset"),
            CpimError::Unprintable => f.write_str("what no header can carry"),
        }
    }
}

impl std::error::Error for CpimError {}
