//! PIDF, the presence document: RFC 3863, and the persons and devices of RFC 4479 as far as they are extensions like any
//! other. Presence by SIP: RFC 3856; what a rich document says (RFC 4480 and others) is for watchers.
//!
//! ```text
//!   presence (entity)            a publication keeps these as text, in the order of the schema:
//!     tuple (id)  *                Tuple      status, extensions, contact, note, timestamp
//!     note        *                Note
//!     any other   *                Extension  of another namespace: person, device, …
//! ```
//!
//! What a publication brings is kept word for word, unknown extensions and all, with the namespaces that its words need.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use super::xml::{Attribute, Element, Quoted, XmlError};

/// The media type.
pub const CONTENT_TYPE: &str = "application/pidf+xml";

const PIDF: &str = "urn:ietf:params:xml:ns:pidf";

/// Tuples, notes and extensions of one document.
const MAX_PARTS: usize = 128;

/// A presence document as one publisher has sent it, without the name of its presentity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pidf {
    parts: Vec<Part>,
}

/// Why a text is no presence document; the publisher's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PidfError {
    /// Not XML that we read.
    Xml(XmlError),
    /// The root is no `presence` of RFC 3863.
    NotPresence,
    /// The root has no `entity`.
    NoEntity,
    /// More than 128 tuples, notes and extensions.
    TooManyParts,
    /// With the namespaces that each part needs it would be longer than a document may be.
    TooLong,
    /// A tuple has no `id`.
    NoId,
    /// Two tuples have the same `id`.
    SameId,
    /// A tuple has no `status`, or an empty one.
    NoStatus,
    /// The basic status is neither `open` nor `closed`.
    Basic,
}

/// The kinds of parts, in the order in which a document has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Kind {
    Tuple,
    Note,
    Extension,
}

/// An element below the root, ready to be written; `id` is apart since it may have to be another where documents meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    kind: Kind,
    /// Up to the value of `id`, or all.
    head: String,
    id: Option<String>,
    tail: String,
}

impl Pidf {
    /// Reads a document. Elements of RFC 3863 may stand in any order; what it does not know in its own namespace or in
    /// none is passed over (§4.2.3).
    pub fn parse(octets: &[u8]) -> Result<Pidf, PidfError> {
        let root = Element::parse(octets)?;
        if !root.is(PIDF, "presence") {
            return Err(PidfError::NotPresence);
        }
        if root.attribute("entity").is_none_or(|entity| entity.trim().is_empty()) {
            return Err(PidfError::NoEntity);
        }
        let mut pidf = Pidf::default();
        let mut ids = BTreeSet::new();
        for element in root.elements() {
            let Some(kind) = kind(element) else { continue };
            if kind == Kind::Tuple {
                check_tuple(element)?;
                if !ids.insert(element.attribute("id")) {
                    return Err(PidfError::SameId);
                }
            }
            if pidf.parts.len() == MAX_PARTS {
                return Err(PidfError::TooManyParts);
            }
            pidf.parts.push(Part::new(kind, element, &root));
            // Each part repeats declarations of the root, which may be long.
            if pidf.len() > super::xml::MAX_LENGTH {
                return Err(PidfError::TooLong);
            }
        }
        pidf.parts.sort_by_key(|part| part.kind);
        Ok(pidf)
    }

    /// The length of the parts, in octets.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// The document of a presentity: what all publications say. Of equal ids, those of later publications get a number, so
/// that every id is there once (RFC 3863 §4.1.2, RFC 4479 §3.3).
pub fn compose<'p>(entity: &str, publications: impl IntoIterator<Item = &'p Pidf>) -> String {
    let mut parts: Vec<&Part> = publications.into_iter().flat_map(|pidf| &pidf.parts).collect();
    if parts.is_empty() {
        return closed(entity);
    }
    // Stable: publications stay in their order.
    parts.sort_by_key(|part| part.kind);
    let mut ids = BTreeMap::new();
    let mut text = opening(entity);
    for part in parts {
        text.push_str(&part.head);
        if let Some(id) = &part.id {
            let id = unique(id, &mut ids);
            let _ = write!(text, "{}", Quoted(&id));
        }
        text.push_str(&part.tail);
        text.push('\n');
    }
    text.push_str("</presence>\n");
    text
}

/// The document of a presentity of whom nobody says anything, or of whom a watcher shall learn nothing.
pub fn closed(entity: &str) -> String {
    let mut text = opening(entity);
    text.push_str("<tuple id=\"offline\"><status><basic>closed</basic></status></tuple>\n</presence>\n");
    text
}

fn opening(entity: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"{PIDF}\" entity=\"{}\">\n", Quoted(entity))
}

/// `taken` knows with every id the number to try next, so that many equal ones cost no more than others.
fn unique(id: &str, taken: &mut BTreeMap<String, u32>) -> String {
    let Some(mut number) = taken.get(id).copied() else {
        taken.insert(id.to_owned(), 2);
        return id.to_owned();
    };
    let free = loop {
        let candidate = format!("{id}-{number}");
        number += 1;
        if !taken.contains_key(&candidate) {
            break candidate;
        }
    };
    taken.insert(id.to_owned(), number);
    taken.insert(free.clone(), 2);
    free
}

fn kind(element: &Element) -> Option<Kind> {
    match (&*element.namespace, element.local_name()) {
        (PIDF, "tuple") => Some(Kind::Tuple),
        (PIDF, "note") => Some(Kind::Note),
        (PIDF | "", _) => None,
        _ => Some(Kind::Extension),
    }
}

/// RFC 3863 §4.1.2 to §4.1.4.
fn check_tuple(tuple: &Element) -> Result<(), PidfError> {
    if tuple.attribute("id").is_none_or(|id| id.trim().is_empty()) {
        return Err(PidfError::NoId);
    }
    let status = tuple.elements().find(|element| element.is(PIDF, "status")).ok_or(PidfError::NoStatus)?;
    if status.elements().next().is_none() {
        return Err(PidfError::NoStatus);
    }
    match status.elements().find(|element| element.is(PIDF, "basic")) {
        Some(basic) if !matches!(basic.text().trim(), "open" | "closed") => Err(PidfError::Basic),
        _ => Ok(()),
    }
}

impl Part {
    fn new(kind: Kind, element: &Element, root: &Element) -> Part {
        let text = element.to_string();
        // The name, which has no white space, and the declarations that the root made for it.
        let after_name = 1 + element.name.len();
        let (name, rest) = text.split_at(after_name);
        let mut head = name.to_owned();
        for (prefix, uri) in missing_declarations(element, root, &text) {
            let colon = if prefix.is_empty() { "" } else { ":" };
            let _ = write!(head, " xmlns{colon}{prefix}=\"{}\"", Quoted(uri));
        }
        let Some(id) = element.attribute("id") else {
            head.push_str(rest);
            return Part { kind, head, id: None, tail: String::new() };
        };
        let before: String = element
            .attributes
            .iter()
            .take_while(|attribute| attribute.name != "id")
            .map(|Attribute { name, value }| format!(" {name}=\"{}\"", Quoted(value)))
            .collect();
        let value = Quoted(id).to_string();
        let start = before.len() + " id=\"".len();
        head.push_str(&rest[..start]);
        Part { kind, head, id: Some(id.to_owned()), tail: rest[start + value.len()..].to_owned() }
    }

    fn len(&self) -> usize {
        self.head.len() + self.tail.len() + self.id.as_ref().map_or(0, String::len)
    }
}

/// What the root has declared and the element, taken from it, misses where RFC 3863's is the default namespace. A
/// prefix may stand in a value as well (`xsi:type`), so that its text is looked for, and not only names.
fn missing_declarations<'r>(element: &Element, root: &'r Element, text: &str) -> Vec<(&'r str, &'r str)> {
    let own: Vec<&str> = element.declarations().map(|(prefix, _)| prefix).collect();
    let default = root.declarations().find(|(prefix, _)| prefix.is_empty()).map_or("", |(_, uri)| uri);
    let mut missing = Vec::new();
    if default != PIDF && !own.contains(&"") {
        missing.push(("", default));
    }
    missing.extend(
        root.declarations()
            .filter(|(prefix, _)| !prefix.is_empty() && !own.contains(prefix) && text.contains(&format!("{prefix}:"))),
    );
    missing
}

impl From<XmlError> for PidfError {
    fn from(error: XmlError) -> PidfError {
        PidfError::Xml(error)
    }
}

impl fmt::Display for PidfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PidfError::Xml(error) => return error.fmt(f),
            PidfError::NotPresence => "the root is not <presence> of RFC 3863",
            PidfError::NoEntity => "<presence> has no entity",
            PidfError::TooManyParts => "<presence> has too many elements",
            PidfError::TooLong => "the document is too long",
            PidfError::NoId => "a <tuple> has no id",
            PidfError::SameId => "two <tuple>s have the same id",
            PidfError::NoStatus => "a <tuple> has no <status>, or an empty one",
            PidfError::Basic => "<basic> is neither `open` nor `closed`",
        })
    }
}

impl std::error::Error for PidfError {}

#[cfg(test)]
mod tests;
