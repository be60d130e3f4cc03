//! XML 1.0 with its namespaces, as far as the two small documents of this crate need it (RFC 3994, RFC 5438) and no further than
//! is safe to read from strangers: no document type, no entity but XML's own five, bounded length, depth and number.

use std::fmt;

use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

/// Octets of a document.
const MAX_LENGTH: usize = 64 * 1024;
/// Elements in elements, the root counted.
const MAX_DEPTH: usize = 16;
/// Elements in all.
const MAX_ELEMENTS: usize = 256;

/// What is wrong with a text that should be XML; the author's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XmlError {
    /// Too long, too deep or too many elements.
    TooLarge,
    /// Not UTF-8.
    Encoding,
    /// There is a document type, of which nothing good can come.
    DocumentType,
    /// Not well-formed.
    NotWellFormed,
}

/// An element, its text and the elements in it. Attributes do not matter in these documents.
#[derive(Debug, Default)]
pub(crate) struct Element {
    namespace: String,
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document.
    pub(crate) fn parse(octets: &[u8]) -> Result<Element, XmlError> {
        if octets.len() > MAX_LENGTH {
            return Err(XmlError::TooLarge);
        }
        let text = std::str::from_utf8(octets).map_err(|_| XmlError::Encoding)?;
        if !text.chars().all(is_character) {
            return Err(XmlError::NotWellFormed);
        }
        // A byte order mark is no character of the document.
        let mut reader = NsReader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        reader.config_mut().expand_empty_elements = true;
        let mut open: Vec<Element> = Vec::new();
        let mut root = None;
        let mut elements = 0;
        loop {
            let (namespace, event) = reader.read_resolved_event().map_err(|_| XmlError::NotWellFormed)?;
            match event {
                Event::Start(start) => {
                    elements += 1;
                    if open.len() == MAX_DEPTH || elements > MAX_ELEMENTS {
                        return Err(XmlError::TooLarge);
                    }
                    let namespace = match namespace {
                        ResolveResult::Bound(namespace) => utf8(namespace.into_inner())?,
                        ResolveResult::Unbound => String::new(),
                        ResolveResult::Unknown(_) => return Err(XmlError::NotWellFormed),
                    };
                    if root.is_some() {
                        return Err(XmlError::NotWellFormed);
                    }
                    let name = utf8(start.local_name().into_inner())?;
                    open.push(Element { namespace, name, ..Element::default() });
                }
                Event::End(_) => {
                    let closed = open.pop().ok_or(XmlError::NotWellFormed)?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(closed),
                        None => root = Some(closed),
                    }
                }
                Event::Text(text) => {
                    let text = text.decode().map_err(|_| XmlError::Encoding)?;
                    append(&mut open, &text)?;
                }
                Event::CData(data) => {
                    let text = data.decode().map_err(|_| XmlError::Encoding)?;
                    append(&mut open, &text)?;
                }
                Event::GeneralRef(reference) => {
                    let named = reference.decode().map_err(|_| XmlError::Encoding)?;
                    let character = reference.resolve_char_ref().map_err(|_| XmlError::NotWellFormed)?;
                    let text = match (character, &*named) {
                        (Some(character), _) => character.to_string(),
                        (None, name) => {
                            quick_xml::escape::resolve_xml_entity(name).ok_or(XmlError::NotWellFormed)?.to_owned()
                        }
                    };
                    append(&mut open, &text)?;
                }
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::Empty(_) | Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
                Event::Eof if open.is_empty() => return root.ok_or(XmlError::NotWellFormed),
                Event::Eof => return Err(XmlError::NotWellFormed),
            }
        }
    }

    /// Whether the element has this name in this namespace.
    pub(crate) fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    /// Its name without the prefix.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The first element in it that has this name in its own namespace.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.own_children().find(|child| child.name == name)
    }

    /// The elements in it of its own namespace: the others are extensions.
    pub(crate) fn own_children(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter(|child| child.namespace == self.namespace)
    }

    /// Its own text, without white space around it.
    pub(crate) fn text(&self) -> &str {
        self.text.trim()
    }
}

fn utf8(octets: &[u8]) -> Result<String, XmlError> {
    String::from_utf8(octets.to_vec()).map_err(|_| XmlError::Encoding)
}

/// Text outside of the root may only be white space.
fn append(open: &mut [Element], text: &str) -> Result<(), XmlError> {
    match open.last_mut() {
        Some(_) if !text.chars().all(is_character) => return Err(XmlError::NotWellFormed),
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(XmlError::NotWellFormed),
    }
    Ok(())
}

/// XML 1.0 §2.2, `Char`.
fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// A text as it may stand in an element: characters that XML does not know are left out.
pub(crate) fn escape(text: &str) -> String {
    let kept: String = text.chars().filter(|&character| is_character(character)).collect();
    // A bare CR would be read as a line feed.
    quick_xml::escape::escape(kept).replace('\r', "&#13;")
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            XmlError::TooLarge => "a document that is too large",
            XmlError::Encoding => "a document that is not UTF-8",
            XmlError::DocumentType => "a document with a document type",
            XmlError::NotWellFormed => "a document that is not well-formed",
        })
    }
}

impl std::error::Error for XmlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bombs_and_document_types_are_refused() {
        let refused = |text: &str| Element::parse(text.as_bytes()).unwrap_err();
        assert_eq!(refused("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"), XmlError::DocumentType);
        assert_eq!(refused("<a>&b;</a>"), XmlError::NotWellFormed);
        assert_eq!(refused(&"<a>".repeat(MAX_DEPTH + 1)), XmlError::TooLarge);
        assert_eq!(refused(&format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS))), XmlError::TooLarge);
        assert_eq!(refused(&" ".repeat(MAX_LENGTH + 1)), XmlError::TooLarge);
        for text in ["", "<a>", "<a></b>", "<a/><a/>", "text", "<p:a/>", "</a>", "<a>\u{1}</a>", "<a>&#1;</a>"] {
            assert_eq!(refused(text), XmlError::NotWellFormed, "{text}");
        }
    }

    #[test]
    fn text_is_what_was_escaped() {
        let said = "a < b & c > \"d\" 'e'\r\u{1}\u{7f}é";
        let document = format!("<a>{}</a>", escape(said));
        assert_eq!(Element::parse(document.as_bytes()).unwrap().text(), said.replace('\u{1}', ""));
    }
}
