//! XML as a tree of elements: as much of XML 1.0 and its namespaces as a descriptor needs. A DTD is passed over, and
//! nothing that it defines is expanded or fetched.

use quick_xml::NsReader;
use quick_xml::errors::{Error as XmlError, IllFormedError};
use quick_xml::escape::{EscapeError, resolve_xml_entity};
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

use super::{Ignored, MAX_LENGTH, SipXmlError, SipXmlMistake};
use crate::routing::rules;

/// Namespaces whose elements are a descriptor's own. The schema takes some of its types from Java EE's, so that their
/// elements are written with a prefix of that namespace.
const NAMESPACES: [&[u8]; 5] = [
    b"http://www.jcp.org/xml/ns/sipservlet",
    b"http://xmlns.jcp.org/xml/ns/sipservlet",
    b"http://java.sun.com/xml/ns/javaee",
    b"http://xmlns.jcp.org/xml/ns/javaee",
    b"http://java.sun.com/xml/ns/j2ee",
];

/// A pattern as deep as rules may be, and a few elements round and in it.
pub(super) const MAX_DEPTH: usize = rules::MAX_DEPTH + 8;

const MAX_ATTRIBUTES: usize = 64;

/// Where something starts; both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// An element.
pub(super) struct Element {
    /// Without its prefix.
    pub(super) name: String,
    pub(super) place: Place,
    /// Names without a prefix, and values.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    /// All text that stands in it itself.
    pub(super) text: String,
}

/// A document.
pub(super) struct Tree {
    pub(super) root: Element,
    /// Elements of foreign namespaces.
    pub(super) ignored: Vec<Ignored>,
}

impl Tree {
    pub(super) fn parse(text: &str) -> Result<Tree, SipXmlError> {
        // A byte order mark is no character of the document.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > MAX_LENGTH {
            return Err(SipXmlError::new(Place { line: 1, column: 1 }, SipXmlMistake::TooLong(MAX_LENGTH)));
        }
        let mut builder = Builder { open: Vec::new(), root: None, foreign: 0, ignored: Vec::new() };
        let mut places = Places { text, offset: 0, place: Place { line: 1, column: 1 } };
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        loop {
            let place = places.advance(reader.buffer_position());
            let event = match reader.read_resolved_event() {
                Ok(event) => event,
                Err(error) => {
                    let place = places.advance(reader.error_position());
                    return Err(SipXmlError::new(place, not_well_formed(&error)));
                }
            };
            let more = builder.take(event, place).map_err(|what| SipXmlError::new(place, what))?;
            if !more {
                return builder.finish(place);
            }
        }
    }
}

/// The tree as far as it has been read.
struct Builder {
    /// The elements whose end has not come, from the root on.
    open: Vec<Element>,
    root: Option<Element>,
    /// How many elements of a foreign one are open.
    foreign: usize,
    ignored: Vec<Ignored>,
}

impl Builder {
    /// Takes what comes next; `false` at the end of the text.
    fn take(
        &mut self,
        (namespace, event): (ResolveResult<'_>, Event<'_>),
        place: Place,
    ) -> Result<bool, SipXmlMistake> {
        match event {
            Event::Start(start) => self.start(&namespace, &start, place)?,
            Event::End(_) if self.foreign > 0 => self.foreign -= 1,
            Event::End(_) => self.end(),
            // With `expand_empty_elements` the reader makes a start and an end of it.
            Event::Empty(start) => {
                self.start(&namespace, &start, place)?;
                if self.foreign > 0 { self.foreign -= 1 } else { self.end() }
            }
            Event::Text(text) => self.text(&text.xml_content().map_err(|e| not_well_formed(&e.into()))?)?,
            Event::CData(text) => self.text(&text.xml_content().map_err(|e| not_well_formed(&e.into()))?)?,
            Event::GeneralRef(reference) => self.reference(&reference)?,
            Event::Eof => return Ok(false),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
        Ok(true)
    }

    fn start(
        &mut self,
        namespace: &ResolveResult<'_>,
        start: &BytesStart<'_>,
        place: Place,
    ) -> Result<(), SipXmlMistake> {
        if self.open.len() + self.foreign >= MAX_DEPTH {
            return Err(SipXmlMistake::TooDeep(MAX_DEPTH));
        }
        let name = String::from_utf8_lossy(start.local_name().into_inner()).into_owned();
        if self.foreign > 0 {
            self.foreign += 1;
            return Ok(());
        }
        let foreign = match namespace {
            ResolveResult::Unbound => None,
            ResolveResult::Bound(Namespace(uri)) if NAMESPACES.contains(uri) => None,
            ResolveResult::Bound(Namespace(uri)) => Some(format!("{{{}}}{name}", String::from_utf8_lossy(uri))),
            ResolveResult::Unknown(prefix) => {
                let prefix = String::from_utf8_lossy(prefix);
                return Err(SipXmlMistake::NotWellFormed(format!("the prefix `{prefix}` is not declared")));
            }
        };
        match (self.open.is_empty(), foreign) {
            (true, _) if self.root.is_some() => {
                return Err(SipXmlMistake::NotWellFormed("a second root element".to_owned()));
            }
            (true, Some(name)) => return Err(SipXmlMistake::NotSipApp(name)),
            (true, None) if name != "sip-app" => return Err(SipXmlMistake::NotSipApp(name)),
            (false, Some(element)) => {
                self.ignored.push(Ignored { element, line: place.line, column: place.column });
                self.foreign = 1;
            }
            (_, None) => {
                let attributes = attributes(start)?;
                self.open.push(Element { name, place, attributes, children: Vec::new(), text: String::new() });
            }
        }
        Ok(())
    }

    /// The reader has checked that it is the end of the innermost.
    fn end(&mut self) {
        let Some(element) = self.open.pop() else {
            return;
        };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), SipXmlMistake> {
        match self.open.last_mut() {
            _ if self.foreign > 0 => Ok(()),
            Some(element) => {
                element.text.push_str(text);
                Ok(())
            }
            None if text.trim().is_empty() => Ok(()),
            None => Err(SipXmlMistake::NotWellFormed("text outside of the root element".to_owned())),
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), SipXmlMistake> {
        if let Some(character) = reference.resolve_char_ref().map_err(|e| not_well_formed(&e))? {
            return self.text(character.encode_utf8(&mut [0; 4]));
        }
        let name = reference.decode().map_err(|e| not_well_formed(&e.into()))?;
        match resolve_xml_entity(&name) {
            Some(text) => self.text(text),
            None => Err(SipXmlMistake::Entity(name.into_owned())),
        }
    }

    fn finish(self, place: Place) -> Result<Tree, SipXmlError> {
        match (self.open.last(), self.root) {
            (Some(open), _) => {
                let what = SipXmlMistake::NotWellFormed(format!("`{}` has no end", open.name));
                Err(SipXmlError::new(open.place, what))
            }
            (None, Some(root)) => Ok(Tree { root, ignored: self.ignored }),
            (None, None) => Err(SipXmlError::new(place, SipXmlMistake::NotSipApp("nothing".to_owned()))),
        }
    }
}

/// Attributes without a prefix: those with one are the business of others (`xsi:schemaLocation`, `xml:lang`).
fn attributes(start: &BytesStart<'_>) -> Result<Vec<(String, String)>, SipXmlMistake> {
    let mut found = Vec::new();
    // The reader's own check for duplicates compares each with all.
    for (count, attribute) in start.attributes().with_checks(false).enumerate() {
        if count == MAX_ATTRIBUTES {
            return Err(SipXmlMistake::TooManyAttributes(MAX_ATTRIBUTES));
        }
        let attribute = attribute.map_err(|e| not_well_formed(&e.into()))?;
        let value = attribute_value(&attribute)?;
        if attribute.key.prefix().is_some() || attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let name = String::from_utf8_lossy(attribute.key.into_inner()).into_owned();
        if found.iter().any(|(other, _)| *other == name) {
            return Err(SipXmlMistake::Twice(name));
        }
        found.push((name, value));
    }
    Ok(found)
}

fn attribute_value(attribute: &Attribute<'_>) -> Result<String, SipXmlMistake> {
    match attribute.unescape_value_with(resolve_xml_entity) {
        Ok(value) => Ok(value.into_owned()),
        Err(error) => Err(not_well_formed(&error)),
    }
}

fn not_well_formed(error: &XmlError) -> SipXmlMistake {
    match error {
        XmlError::Escape(EscapeError::UnrecognizedEntity(_, name)) => SipXmlMistake::Entity(name.clone()),
        XmlError::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
            SipXmlMistake::NotWellFormed(format!("expected the end of `{expected}`, found that of `{found}`"))
        }
        error => SipXmlMistake::NotWellFormed(error.to_string()),
    }
}

/// Counts lines and characters as the reader goes on.
struct Places<'t> {
    text: &'t str,
    offset: usize,
    place: Place,
}

impl Places<'_> {
    /// The place of an offset that is not before the last one.
    fn advance(&mut self, offset: u64) -> Place {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        let passed = self.text.as_bytes().get(self.offset..offset).unwrap_or_default();
        for &octet in passed {
            match octet {
                b'\n' => self.place = Place { line: self.place.line + 1, column: 1 },
                // The second and later octets of a character.
                0x80..=0xbf => {}
                _ => self.place.column += 1,
            }
        }
        self.offset = self.offset.max(offset);
        self.place
    }
}
