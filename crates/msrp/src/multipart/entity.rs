//! A MIME entity (RFC 2045 §3): header fields, an empty line, a body.

use std::fmt;

use bytes::Bytes;
use memchr::memchr;

use super::content_type::is_token;
use super::{ContentType, Multipart, MultipartError};

/// Fields of one entity.
const MAX_FIELDS: usize = 32;
/// Octets of all its fields.
const MAX_FIELDS_LENGTH: usize = 16 * 1024;

/// A body and what is said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entity {
    /// In their order.
    pub fields: Vec<Field>,
    /// As it came: a transfer encoding is not undone (MSRP and SIP are 8-bit clean and need none).
    pub body: Bytes,
}

/// `Content-ID: <1234567890@foo.com>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As it was written; compared without regard to case.
    pub name: String,
    /// Folded lines joined, white space around it gone.
    pub value: String,
}

/// What is wrong with an entity; the author's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityError {
    /// More fields than 32, or more octets of fields than 16 KiB.
    TooLarge,
    /// A line that is no field.
    Field,
    /// A field's name or value that would not be one field.
    Unprintable,
}

impl Field {
    /// A field, if it is one line with one name.
    pub fn new(name: &str, value: &str) -> Result<Field, EntityError> {
        let is_one_line = !value.contains(['\r', '\n', '\0']);
        if is_token(name) && is_one_line {
            Ok(Field { name: name.to_owned(), value: value.trim().to_owned() })
        } else {
            Err(EntityError::Unprintable)
        }
    }
}

impl Entity {
    /// A body of this type.
    pub fn new(content_type: ContentType, body: impl Into<Bytes>) -> Entity {
        let content_type = Field { name: "Content-Type".to_owned(), value: content_type.to_string() };
        Entity { fields: vec![content_type], body: body.into() }
    }

    /// Reads fields up to the first empty line; without one the entity ends with its fields. The body shares the octets.
    pub fn parse(octets: &Bytes) -> Result<Entity, EntityError> {
        let mut fields: Vec<Field> = Vec::new();
        let mut at = 0;
        while let Some((line, next)) = next_line(octets, at) {
            at = next;
            if line.is_empty() {
                break;
            }
            if next > MAX_FIELDS_LENGTH {
                return Err(EntityError::TooLarge);
            }
            let line = std::str::from_utf8(line).map_err(|_| EntityError::Field)?;
            if line.contains(['\r', '\0']) {
                return Err(EntityError::Field);
            }
            if line.starts_with([' ', '\t']) {
                let last = fields.last_mut().ok_or(EntityError::Field)?;
                last.value.push(' ');
                last.value.push_str(line.trim());
                continue;
            }
            if fields.len() == MAX_FIELDS {
                return Err(EntityError::TooLarge);
            }
            let (name, value) = line.split_once(':').ok_or(EntityError::Field)?;
            fields.push(Field::new(name.trim_end(), value).map_err(|_| EntityError::Field)?);
        }
        // A folded line that is blank, or is folded onto nothing, leaves a space that no printed value has.
        for field in &mut fields {
            field.value = field.value.trim().to_owned();
        }
        Ok(Entity { fields, body: octets.slice(at..) })
    }

    /// The fields, an empty line, the body.
    pub fn print(&self) -> Bytes {
        let mut octets = Vec::with_capacity(self.body.len() + 64);
        for field in &self.fields {
            octets.extend_from_slice(field.name.as_bytes());
            octets.extend_from_slice(b": ");
            octets.extend_from_slice(field.value.as_bytes());
            octets.extend_from_slice(b"\r\n");
        }
        octets.extend_from_slice(b"\r\n");
        octets.extend_from_slice(&self.body);
        octets.into()
    }

    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| &*field.value)
    }

    /// What the body is: RFC 2045 §5.2 takes what is not said, and what cannot be read, for plain text.
    pub fn content_type(&self) -> Option<ContentType> {
        self.field("Content-Type").and_then(|value| value.parse().ok())
    }

    /// What is in it, if it is a multipart.
    pub fn parts(&self) -> Result<Multipart, MultipartError> {
        let content_type = self.content_type().ok_or(MultipartError::ContentType)?;
        Multipart::parse(&content_type, &self.body)
    }
}

/// The line at `at` without its end, and where the next begins. A bare LF ends a line too: some senders write it.
pub(crate) fn next_line(octets: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = octets.get(at..).filter(|rest| !rest.is_empty())?;
    match memchr(b'\n', rest) {
        Some(end) => Some((rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]), at + end + 1)),
        None => Some((rest, octets.len())),
    }
}

impl fmt::Display for EntityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EntityError::TooLarge => "too many header fields",
            EntityError::Field => "a line that is no header field",
            EntityError::Unprintable => "what would not be one header field",
        })
    }
}

impl std::error::Error for EntityError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Entity, EntityError> {
        Entity::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn folded_fields_are_joined_and_names_know_no_case() {
        let entity = read("content-type: text/plain;\r\n charset=utf-8\r\nContent-ID:<a@b>\n\nbody").unwrap();
        assert_eq!(entity.field("CONTENT-TYPE"), Some("text/plain; charset=utf-8"));
        assert_eq!(entity.field("Content-Id"), Some("<a@b>"));
        assert_eq!(entity.body, "body");
    }

    #[test]
    fn a_line_without_a_colon_and_a_field_with_a_line_end_are_refused() {
        assert_eq!(read("no field\r\n\r\n"), Err(EntityError::Field));
        assert_eq!(read(" folded first\r\n\r\n"), Err(EntityError::Field));
        assert_eq!(Field::new("X", "a\r\nY: b"), Err(EntityError::Unprintable));
        assert_eq!(Field::new("X: a\r\nY", "b"), Err(EntityError::Unprintable));
    }

    #[test]
    fn fields_have_a_bound() {
        let many: &'static str = Box::leak("a: b\r\n".repeat(MAX_FIELDS + 1).into_boxed_str());
        assert_eq!(read(many), Err(EntityError::TooLarge));
        let long: &'static str = Box::leak(format!("a: {}\r\n", "b".repeat(MAX_FIELDS_LENGTH)).into_boxed_str());
        assert_eq!(read(long), Err(EntityError::TooLarge));
    }
}
