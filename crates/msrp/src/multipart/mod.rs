//! Several bodies in one (RFC 2046 §5.1): what a file's preview or a signed message travels in; read with bounds, since a
//! stranger chose the boundary.
//!
//! A part is an [`Entity`]: header fields, an empty line, octets. What the parts mean to each other ("related", "alternative")
//! is for whoever asked; what is in a part that is itself a multipart is read when somebody asks for it ([`Entity::parts`]), so
//! nothing recurses by itself.

mod content_type;
mod entity;

use std::fmt;

use bytes::Bytes;
use memchr::memmem;

pub use content_type::{ContentType, ContentTypeError};
pub(crate) use entity::next_line;
pub use entity::{Entity, EntityError, Field};

/// Parts of one multipart.
pub const MAX_PARTS: usize = 32;
/// RFC 2046 §5.1.1: no more than 70 characters.
const MAX_BOUNDARY: usize = 70;

/// Bodies side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    /// "mixed", "related", "alternative": the subtype, in lower case.
    pub subtype: String,
    /// In their order.
    pub parts: Vec<Entity>,
}

/// What is wrong with a body that should be a multipart; the author's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultipartError {
    /// Another type, or one without a boundary that RFC 2046 allows.
    ContentType,
    /// The boundary never comes.
    NoParts,
    /// More than [`MAX_PARTS`].
    TooManyParts,
    /// The last boundary does not come.
    NotClosed,
    /// One of the parts.
    Part(EntityError),
}

impl Multipart {
    /// Reads the body that has this type.
    pub fn parse(content_type: &ContentType, body: &Bytes) -> Result<Multipart, MultipartError> {
        let boundary = content_type
            .parameter("boundary")
            .filter(|boundary| content_type.main_type() == "multipart" && is_boundary(boundary))
            .ok_or(MultipartError::ContentType)?;
        let mut delimiters = Delimiters::new(body, boundary);
        let mut open = delimiters.next().ok_or(MultipartError::NoParts)?;
        let mut parts = Vec::new();
        while !open.closes {
            let close = delimiters.next().ok_or(MultipartError::NotClosed)?;
            if parts.len() == MAX_PARTS {
                return Err(MultipartError::TooManyParts);
            }
            // Nothing between two boundaries: an entity without fields and without a body.
            let part = body.slice(open.end.min(close.start)..close.start);
            parts.push(Entity::parse(&part).map_err(MultipartError::Part)?);
            open = close;
        }
        Ok(Multipart { subtype: content_type.subtype().to_owned(), parts })
    }

    /// The type and the body, with a boundary that stands in no part. `random` gives the boundary's letters; it is asked again
    /// should they occur.
    pub fn print(&self, random: &mut dyn FnMut() -> u64) -> (ContentType, Bytes) {
        let printed: Vec<Bytes> = self.parts.iter().map(Entity::print).collect();
        let boundary = loop {
            let boundary = format!("{:016x}", random());
            if printed.iter().all(|part| memmem::find(part, boundary.as_bytes()).is_none()) {
                break boundary;
            }
        };
        let mut body = Vec::new();
        for part in &printed {
            body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            body.extend_from_slice(part);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let content_type = ContentType::new("multipart", &self.subtype)
            .and_then(|content_type| content_type.with_parameter("boundary", &boundary))
            .unwrap_or_else(|_| ContentType::octets());
        (content_type, body.into())
    }
}

/// RFC 2046 §5.1.1: `bchars`, not ending with a space.
fn is_boundary(boundary: &str) -> bool {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&octet);
    (1..=MAX_BOUNDARY).contains(&boundary.len()) && boundary.bytes().all(allowed) && !boundary.ends_with(' ')
}

/// The lines that separate the parts.
struct Delimiters<'a> {
    body: &'a [u8],
    dashed: String,
    at: usize,
}

/// From the line end before `--boundary` (which belongs to it) to the line end after it.
struct Delimiter {
    start: usize,
    end: usize,
    closes: bool,
}

impl<'a> Delimiters<'a> {
    fn new(body: &'a [u8], boundary: &str) -> Self {
        Delimiters { body, dashed: format!("--{boundary}"), at: 0 }
    }

    /// Where the line begins whose dashes stand at `dashes`, if they stand at the beginning of a line.
    fn line_start(&self, dashes: usize) -> Option<usize> {
        match self.body.get(..dashes)? {
            [] => Some(0),
            [.., b'\r', b'\n'] => Some(dashes - 2),
            [.., b'\n'] => Some(dashes - 1),
            _ => None,
        }
    }

    /// The delimiter whose dashes stand at `dashes`: a longer word that begins alike is none.
    fn delimiter(&self, dashes: usize) -> Option<Delimiter> {
        let start = self.line_start(dashes)?;
        let mut rest = self.body.get(dashes + self.dashed.len()..)?;
        let closes = rest.starts_with(b"--");
        if closes {
            rest = &rest[2..];
        }
        // RFC 2046 §5.1.1: padding may stand behind the boundary.
        while let [b' ' | b'\t', tail @ ..] = rest {
            rest = tail;
        }
        rest = match rest {
            [b'\r', b'\n', tail @ ..] | [b'\n', tail @ ..] => tail,
            [] if closes => rest,
            _ => return None,
        };
        Some(Delimiter { start, end: self.body.len() - rest.len(), closes })
    }
}

impl Iterator for Delimiters<'_> {
    type Item = Delimiter;

    fn next(&mut self) -> Option<Delimiter> {
        loop {
            let rest = self.body.get(self.at..)?;
            let dashes = self.at + memmem::find(rest, self.dashed.as_bytes())?;
            self.at = dashes + self.dashed.len();
            if let Some(delimiter) = self.delimiter(dashes) {
                // The line end of one delimiter may be the one before the next: a part with nothing in it.
                self.at = delimiter.end.saturating_sub(2).max(self.at);
                return Some(delimiter);
            }
        }
    }
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MultipartError::ContentType => f.write_str("no multipart, or one without a proper boundary"),
            MultipartError::NoParts => f.write_str("a multipart without any part"),
            MultipartError::TooManyParts => write!(f, "a multipart with more than {MAX_PARTS} parts"),
            MultipartError::NotClosed => f.write_str("a multipart without its last boundary"),
            MultipartError::Part(error) => write!(f, "a part of a multipart: {error}"),
        }
    }
}

impl std::error::Error for MultipartError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(boundary: &str, body: &'static str) -> Result<Multipart, MultipartError> {
        let content_type = format!("multipart/mixed; boundary=\"{boundary}\"").parse().unwrap();
        Multipart::parse(&content_type, &Bytes::from_static(body.as_bytes()))
    }

    /// RFC 2046 §5.1.1, its example: the preamble and the epilogue are nobody's.
    #[test]
    fn parts_stand_between_the_boundaries_and_what_is_around_them_is_ignored() {
        let body = "preamble\r\n--simple boundary\r\n\r\nimplicitly typed\r\n--simple boundary\r\n\
                    Content-type: text/plain; charset=us-ascii\r\n\r\nexplicitly typed\r\n\r\n--simple boundary--\r\nepilogue";
        let multipart = read("simple boundary", body).unwrap();
        assert_eq!(multipart.parts.len(), 2);
        assert_eq!(multipart.parts[0].body, "implicitly typed");
        assert_eq!(multipart.parts[1].body, "explicitly typed\r\n");
        assert_eq!(multipart.parts[1].content_type().unwrap().to_string(), "text/plain;charset=us-ascii");
    }

    #[test]
    fn a_longer_word_that_begins_like_the_boundary_is_content() {
        let multipart = read("b", "--b\r\n\r\n--bc\r\n x--b\r\n--b--").unwrap();
        assert_eq!(multipart.parts[0].body, "--bc\r\n x--b");
    }

    #[test]
    fn parts_with_nothing_in_them_are_parts() {
        let multipart = read("b", "--b\r\n--b\r\n\r\n--b--").unwrap();
        assert_eq!(multipart.parts.len(), 2);
        assert!(multipart.parts.iter().all(|part| part.fields.is_empty() && part.body.is_empty()));
    }

    #[test]
    fn what_does_not_end_or_has_too_many_parts_is_refused() {
        assert_eq!(read("b", "nothing"), Err(MultipartError::NoParts));
        assert_eq!(read("b", "--b\r\n\r\nx\r\n"), Err(MultipartError::NotClosed));
        assert_eq!(read("", "----"), Err(MultipartError::ContentType));
        let many: &'static str = Box::leak("--b\r\n\r\n".repeat(MAX_PARTS + 2).into_boxed_str());
        assert_eq!(read("b", many), Err(MultipartError::TooManyParts));
    }

    #[test]
    fn what_is_printed_reads_again_with_a_boundary_that_no_part_has() {
        let part = |body: &'static str| Entity::new("text/plain".parse().unwrap(), Bytes::from_static(body.as_bytes()));
        let multipart =
            Multipart { subtype: "related".to_owned(), parts: vec![part("--0000000000000001--\r\n"), part("")] };
        let mut next = 0;
        let (content_type, body) = multipart.print(&mut || {
            next += 1;
            next
        });
        assert_eq!(content_type.to_string(), "multipart/related;boundary=0000000000000002");
        assert_eq!(Multipart::parse(&content_type, &body), Ok(multipart));
    }
}
