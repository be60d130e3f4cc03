//! As much of XML 1.0 with namespaces as a document from a stranger may have: no document type, no entity but the five that
//! XML itself has, bounded length, depth and number of elements. What is read is a tree of the elements of one namespace;
//! elements of others, and what is in them, are left out.

use std::fmt;

use quick_xml::NsReader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

/// As much as is read, in octets.
const MAX_LENGTH: usize = 256 * 1024;
/// Elements in elements, the root counted.
const MAX_DEPTH: usize = 32;
/// Elements altogether.
const MAX_ELEMENTS: usize = 16 * 1024;
/// Attributes of one element.
const MAX_ATTRIBUTES: usize = 32;

/// What is wrong with a document; its author's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum XmlError {
    /// Too long, too deep, or too many elements or attributes.
    TooLarge,
    /// There is a document type, of which nothing good can come.
    DocumentType,
    /// Not UTF-8, not well-formed, or with an entity that XML itself has not.
    Malformed,
    /// The root is another element, or of another namespace.
    OtherRoot,
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            XmlError::TooLarge => "the document is too large",
            XmlError::DocumentType => "the document has a document type",
            XmlError::Malformed => "the document is not well-formed",
            XmlError::OtherRoot => "the document is of another kind",
        })
    }
}

/// An element with the elements of the same namespace that are in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Without a prefix.
    pub(super) name: String,
    /// Those without a prefix.
    attributes: Vec<(String, String)>,
    /// The text in it, pieced together.
    text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    /// Reads a document whose root is this element of this namespace.
    pub(super) fn parse(octets: &[u8], namespace: &str, root: &str) -> Result<Element, XmlError> {
        if octets.len() > MAX_LENGTH {
            return Err(XmlError::TooLarge);
        }
        let text = std::str::from_utf8(octets).map_err(|_| XmlError::Malformed)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut tree = Tree::default();
        loop {
            let (resolved, event) = reader.read_resolved_event().map_err(|_| XmlError::Malformed)?;
            let is_known = resolved == ResolveResult::Bound(Namespace(namespace.as_bytes()));
            match event {
                Event::Eof => break,
                event => tree.take(&event, is_known)?,
            }
        }
        tree.root.filter(|read| tree.open.is_empty() && read.name == root).ok_or(XmlError::OtherRoot)
    }

    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first element in it that has this name.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children(name).next()
    }

    /// The elements in it that have this name.
    pub(super) fn children(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text in it, without the white space around.
    pub(super) fn text(&self) -> &str {
        self.text.trim()
    }
}

/// The tree as far as it is read.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    /// How deep we are in an element of another namespace.
    foreign: usize,
    elements: usize,
}

impl Tree {
    fn take(&mut self, event: &Event<'_>, is_known: bool) -> Result<(), XmlError> {
        match event {
            Event::Start(start) => self.start(start, is_known),
            Event::End(_) => {
                self.end();
                Ok(())
            }
            Event::Text(text) => self.text(&text.xml_content().map_err(|_| XmlError::Malformed)?),
            Event::CData(text) => self.text(&text.xml_content().map_err(|_| XmlError::Malformed)?),
            Event::GeneralRef(reference) => {
                if let Some(character) = reference.resolve_char_ref().map_err(|_| XmlError::Malformed)? {
                    return self.text(character.encode_utf8(&mut [0; 4]));
                }
                let name = reference.decode().map_err(|_| XmlError::Malformed)?;
                self.text(resolve_xml_entity(&name).ok_or(XmlError::Malformed)?)
            }
            Event::DocType(_) => Err(XmlError::DocumentType),
            Event::Empty(_) | Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>, is_known: bool) -> Result<(), XmlError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS || self.open.len() + self.foreign >= MAX_DEPTH {
            return Err(XmlError::TooLarge);
        }
        if self.root.is_some() {
            return Err(XmlError::Malformed);
        }
        if self.foreign > 0 || !is_known {
            if self.open.is_empty() {
                return Err(XmlError::OtherRoot);
            }
            self.foreign += 1;
            return Ok(());
        }
        let name = start.local_name();
        let name = std::str::from_utf8(name.as_ref()).map_err(|_| XmlError::Malformed)?.to_owned();
        self.open.push(Element { name, attributes: attributes(start)?, ..Element::default() });
        Ok(())
    }

    /// The reader has checked that it is the end of the innermost.
    fn end(&mut self) {
        if self.foreign > 0 {
            self.foreign -= 1;
            return;
        }
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(element) if self.foreign == 0 => element.text.push_str(text),
            Some(_) => {}
            None if text.trim().is_empty() => {}
            None => return Err(XmlError::Malformed),
        }
        Ok(())
    }
}

fn attributes(start: &BytesStart<'_>) -> Result<Vec<(String, String)>, XmlError> {
    let mut found: Vec<(String, String)> = Vec::new();
    // The reader's own check for duplicates compares each with all, before their number is known.
    for (count, attribute) in start.attributes().with_checks(false).enumerate() {
        if count == MAX_ATTRIBUTES {
            return Err(XmlError::TooLarge);
        }
        let attribute = attribute.map_err(|_| XmlError::Malformed)?;
        if attribute.key.prefix().is_some() || attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let name = std::str::from_utf8(attribute.key.as_ref()).map_err(|_| XmlError::Malformed)?.to_owned();
        let value = attribute.unescape_value_with(resolve_xml_entity).map_err(|_| XmlError::Malformed)?;
        if found.iter().any(|(known, _)| *known == name) {
            return Err(XmlError::Malformed);
        }
        found.push((name, value.into_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Element, XmlError> {
        Element::parse(text.as_bytes(), "u", "a")
    }

    #[test]
    fn elements_of_the_namespace_are_read_and_others_are_left_out_with_what_is_in_them() {
        let root = parse(
            "<?xml version='1.0'?>\n<p:a xmlns:p='u' c='1&amp;2' p:c='3'>x<q:b xmlns:q='v'>y<p:d/></q:b>&lt;<p:d>z</p:d><![CDATA[>]]></p:a>\n",
        )
        .unwrap();
        assert_eq!((root.attribute("c"), root.text()), (Some("1&2"), "x<>"));
        assert_eq!(root.children("d").map(Element::text).collect::<Vec<_>>(), ["z"]);
        assert_eq!(root.children.len(), 1);
    }

    #[test]
    fn nothing_is_expanded_and_nothing_is_fetched() {
        assert_eq!(parse("<!DOCTYPE a [<!ENTITY b 'c'>]><a xmlns='u'>&b;</a>"), Err(XmlError::DocumentType));
        assert_eq!(parse("<a xmlns='u'>&b;</a>"), Err(XmlError::Malformed));
        assert_eq!(parse("<a xmlns='u' b='&c;'/>"), Err(XmlError::Malformed));
    }

    #[test]
    fn length_depth_elements_and_attributes_are_bounded() {
        let nested = |name: &str, depth: usize| {
            let inner = depth - 1;
            let (open, close) = (format!("<{name}>").repeat(inner), format!("</{name}>").repeat(inner));
            parse(&format!("<a xmlns='u' xmlns:f='f'>{open}{close}</a>"))
        };
        assert!(nested("b", MAX_DEPTH).is_ok() && nested("f:b", MAX_DEPTH).is_ok());
        assert_eq!(nested("b", MAX_DEPTH + 1), Err(XmlError::TooLarge));
        assert_eq!(nested("f:b", MAX_DEPTH + 1), Err(XmlError::TooLarge));
        let many = |count: usize| parse(&format!("<a xmlns='u'>{}</a>", "<b/>".repeat(count)));
        assert!(many(MAX_ELEMENTS - 1).is_ok());
        assert_eq!(many(MAX_ELEMENTS), Err(XmlError::TooLarge));
        let wide: String = (0..MAX_ATTRIBUTES).map(|n| format!(" b{n}=''")).collect();
        assert_eq!(parse(&format!("<a xmlns='u'{wide}/>")), Err(XmlError::TooLarge));
        assert_eq!(parse(&format!("<a xmlns='u'>{}</a>", " ".repeat(MAX_LENGTH))), Err(XmlError::TooLarge));
    }

    #[test]
    fn what_is_not_well_formed_or_of_another_kind_is_refused() {
        for text in ["<a xmlns='u'></b>", "<a xmlns='u'/>x", "<a xmlns='u' b='1' b='2'/>", "<a xmlns='u'>& b</a>"] {
            assert_eq!(parse(text), Err(XmlError::Malformed), "{text}");
        }
        for text in ["", "<a/>", "<a xmlns='v'/>", "<b xmlns='u'/>", "<a xmlns='u'>"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(Element::parse(b"<a xmlns='u'>\xff</a>", "u", "a"), Err(XmlError::Malformed));
    }
}
