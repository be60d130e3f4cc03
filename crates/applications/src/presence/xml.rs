//! XML 1.0 with its namespaces, as much as a presence document needs and no more than is safe to read from strangers: no
//! document type, no entity but the five that XML itself has, bounded depth, attributes and length.
//!
//! A document is read into a tree and written anew from it. What is written is well-formed whatever was read: names and
//! characters were checked, text is escaped again, comments and processing instructions are gone.

use std::fmt::{self, Write};
use std::rc::Rc;

use quick_xml::Reader;
use quick_xml::errors::Error as ReadError;
use quick_xml::escape::{EscapeError, resolve_xml_entity};
use quick_xml::events::{BytesRef, BytesStart, Event};

/// As much as may stand in a document, in octets.
pub(super) const MAX_LENGTH: usize = 64 * 1024;
/// Elements in elements, the root counted.
pub(super) const MAX_DEPTH: usize = 64;
/// Attributes of one element.
pub(super) const MAX_ATTRIBUTES: usize = 64;

/// What is wrong with a text that should be XML; the author's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XmlError {
    /// Longer than 64 KiB.
    TooLong,
    /// Elements nested deeper than 64.
    TooDeep,
    /// More than 64 attributes in one element.
    TooManyAttributes,
    /// Neither UTF-8 nor declared as something that is UTF-8.
    Encoding,
    /// There is a document type, of which nothing good can come.
    DocumentType,
    /// An entity that XML itself does not have.
    Entity,
    /// Not well-formed, or not with regard to namespaces.
    NotWellFormed(&'static str),
}

/// An element and everything in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// As it was written, with its prefix.
    pub(super) name: String,
    /// The URI; empty for an element without one.
    pub(super) namespace: Rc<str>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) children: Vec<Node>,
}

/// An attribute, or the declaration of a prefix.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    /// As it was written, with its prefix.
    pub(super) name: String,
    pub(super) value: String,
}

/// What stands in an element.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// Reads a document of which only the root and what is in it counts.
    pub(super) fn parse(octets: &[u8]) -> Result<Element, XmlError> {
        if octets.len() > MAX_LENGTH {
            return Err(XmlError::TooLong);
        }
        let text = std::str::from_utf8(octets).map_err(|_| XmlError::Encoding)?;
        // A byte order mark is no character of the document.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        let mut tree = Tree::default();
        loop {
            match reader.read_event().map_err(|error| from_reader(&error))? {
                Event::Eof => return tree.finish(),
                event => tree.take(&event)?,
            }
        }
    }

    /// The name without its prefix.
    pub(super) fn local_name(&self) -> &str {
        local(&self.name)
    }

    /// Whether the element has this name in this namespace.
    pub(super) fn is(&self, namespace: &str, local_name: &str) -> bool {
        *self.namespace == *namespace && self.local_name() == local_name
    }

    /// The value of an attribute, by its name as it was written.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| &*attribute.value)
    }

    /// The elements in it.
    pub(super) fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The text that stands in it itself.
    pub(super) fn text(&self) -> String {
        self.children.iter().fold(String::new(), |mut text, node| {
            if let Node::Text(more) = node {
                text.push_str(more);
            }
            text
        })
    }

    /// The prefixes that it declares, with their URIs; the default namespace is the empty prefix.
    pub(super) fn declarations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().filter_map(|attribute| Some((declared_prefix(&attribute.name)?, &*attribute.value)))
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for Attribute { name, value } in &self.attributes {
            write!(f, " {name}=\"{}\"", Quoted(value))?;
        }
        if self.children.is_empty() {
            return f.write_str("/>");
        }
        f.write_char('>')?;
        for child in &self.children {
            match child {
                Node::Element(element) => element.fmt(f)?,
                Node::Text(text) => escape(text, false, f)?,
            }
        }
        write!(f, "</{}>", self.name)
    }
}

/// A value as it stands between the quotes of an attribute.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, true, f)
    }
}

/// XML 1.0 §2.11, §3.3.3: white space in attributes and CR anywhere are changed by readers unless they are escaped.
fn escape(text: &str, in_attribute: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for character in text.chars() {
        match character {
            '&' => f.write_str("&amp;")?,
            '<' => f.write_str("&lt;")?,
            '>' => f.write_str("&gt;")?,
            '\r' => f.write_str("&#13;")?,
            '"' if in_attribute => f.write_str("&quot;")?,
            '\n' if in_attribute => f.write_str("&#10;")?,
            '\t' if in_attribute => f.write_str("&#9;")?,
            other => f.write_char(other)?,
        }
    }
    Ok(())
}

/// The tree as far as it has been read.
#[derive(Default)]
struct Tree {
    /// The elements whose end has not come, from the root on.
    open: Vec<Element>,
    root: Option<Element>,
    /// The declarations that hold here, the innermost last, each with the depth of its element.
    scope: Vec<(usize, String, Rc<str>)>,
    is_begun: bool,
}

const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

impl Tree {
    fn take(&mut self, event: &Event<'_>) -> Result<(), XmlError> {
        match event {
            Event::Start(start) | Event::Empty(start) => self.start(start)?,
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(&text.xml_content().map_err(|_| XmlError::Encoding)?)?,
            Event::CData(text) if self.open.is_empty() && !text.is_empty() => {
                return Err(XmlError::NotWellFormed("text outside of the root element"));
            }
            Event::CData(text) => self.text(&text.xml_content().map_err(|_| XmlError::Encoding)?)?,
            Event::GeneralRef(reference) => self.reference(reference)?,
            Event::Decl(_) if self.is_begun => return Err(XmlError::NotWellFormed("a declaration that comes late")),
            Event::Decl(declaration) => match declaration.encoding() {
                Some(Ok(name)) if !is_utf_8(&name) => return Err(XmlError::Encoding),
                Some(Err(_)) => return Err(XmlError::NotWellFormed("a declaration")),
                _ => {}
            },
            Event::DocType(_) => return Err(XmlError::DocumentType),
            Event::Comment(_) | Event::PI(_) | Event::Eof => {}
        }
        self.is_begun = true;
        Ok(())
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), XmlError> {
        if self.root.is_some() {
            return Err(XmlError::NotWellFormed("a second root element"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(XmlError::TooDeep);
        }
        let name = qualified_name(start.name().into_inner())?;
        let attributes = attributes(start)?;
        for attribute in &attributes {
            self.declare(attribute)?;
        }
        let namespace = self.namespace(prefix(&name).unwrap_or_default())?;
        self.check_attributes(&attributes)?;
        self.open.push(Element { name, namespace, attributes, children: Vec::new() });
        Ok(())
    }

    /// The reader has checked that it is the end of the innermost.
    fn end(&mut self) {
        let Some(element) = self.open.pop() else {
            return;
        };
        let depth = self.open.len();
        while self.scope.last().is_some_and(|(declared_at, _, _)| *declared_at >= depth) {
            self.scope.pop();
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(element)),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        if !text.chars().all(is_character) {
            return Err(XmlError::NotWellFormed("a character that no document may have"));
        }
        match self.open.last_mut() {
            Some(element) => {
                match element.children.last_mut() {
                    Some(Node::Text(before)) => before.push_str(text),
                    _ => element.children.push(Node::Text(text.to_owned())),
                }
                Ok(())
            }
            None if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() => Ok(()),
            None => Err(XmlError::NotWellFormed("text outside of the root element")),
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), XmlError> {
        if self.open.is_empty() {
            return Err(XmlError::NotWellFormed("text outside of the root element"));
        }
        if let Some(character) = reference.resolve_char_ref().map_err(|error| from_reader(&error))? {
            return self.text(character.encode_utf8(&mut [0; 4]));
        }
        let name = reference.decode().map_err(|_| XmlError::Encoding)?;
        self.text(resolve_xml_entity(&name).ok_or(XmlError::Entity)?)
    }

    /// Namespaces in XML 1.0, §2.2 and §3 with their constraints.
    fn declare(&mut self, attribute: &Attribute) -> Result<(), XmlError> {
        let Some(prefix) = declared_prefix(&attribute.name) else {
            return Ok(());
        };
        let is_xml = (prefix == "xml") == (attribute.value == XML);
        if prefix == "xmlns" || attribute.value == XMLNS || !is_xml {
            return Err(XmlError::NotWellFormed("a reserved prefix or namespace"));
        }
        if !prefix.is_empty() && attribute.value.is_empty() {
            return Err(XmlError::NotWellFormed("a prefix without a namespace"));
        }
        self.scope.push((self.open.len(), prefix.to_owned(), attribute.value.as_str().into()));
        Ok(())
    }

    fn namespace(&self, prefix: &str) -> Result<Rc<str>, XmlError> {
        let declared = self.scope.iter().rev().find(|(_, known, _)| known == prefix);
        match (declared, prefix) {
            (Some((_, _, namespace)), _) => Ok(Rc::clone(namespace)),
            (None, "") => Ok("".into()),
            (None, "xml") => Ok(XML.into()),
            (None, _) => Err(XmlError::NotWellFormed("a prefix that is not declared")),
        }
    }

    /// No attribute twice, by whatever prefix.
    fn check_attributes(&self, attributes: &[Attribute]) -> Result<(), XmlError> {
        let mut seen: Vec<(Option<Rc<str>>, &str)> = Vec::with_capacity(attributes.len());
        for Attribute { name, .. } in attributes {
            let full = match prefix(name) {
                Some("xmlns") | None => (None, name.as_str()),
                Some(prefix) => (Some(self.namespace(prefix)?), local(name)),
            };
            if seen.contains(&full) {
                return Err(XmlError::NotWellFormed("an attribute twice"));
            }
            seen.push(full);
        }
        Ok(())
    }

    fn finish(self) -> Result<Element, XmlError> {
        match self.root {
            Some(root) if self.open.is_empty() => Ok(root),
            _ => Err(XmlError::NotWellFormed("an element without its end, or none at all")),
        }
    }
}

fn attributes(start: &BytesStart<'_>) -> Result<Vec<Attribute>, XmlError> {
    let mut found = Vec::new();
    // The reader's own check for duplicates compares each with all, before their number is known.
    for attribute in start.attributes().with_checks(false) {
        if found.len() == MAX_ATTRIBUTES {
            return Err(XmlError::TooManyAttributes);
        }
        let attribute = attribute.map_err(|_| XmlError::NotWellFormed("an attribute"))?;
        let name = qualified_name(attribute.key.into_inner())?;
        if attribute.value.contains(&b'<') {
            return Err(XmlError::NotWellFormed("`<` in an attribute"));
        }
        let value = attribute.unescape_value_with(resolve_xml_entity).map_err(|error| from_reader(&error))?;
        if !value.chars().all(is_character) {
            return Err(XmlError::NotWellFormed("a character that no document may have"));
        }
        found.push(Attribute { name, value: value.into_owned() });
    }
    Ok(found)
}

/// `QName`, Namespaces in XML 1.0 §4.
fn qualified_name(octets: &[u8]) -> Result<String, XmlError> {
    let name = std::str::from_utf8(octets).map_err(|_| XmlError::Encoding)?;
    let is_name = match name.split_once(':') {
        Some((prefix, local)) => is_plain_name(prefix) && is_plain_name(local),
        None => is_plain_name(name),
    };
    if is_name { Ok(name.to_owned()) } else { Err(XmlError::NotWellFormed("a name")) }
}

fn prefix(name: &str) -> Option<&str> {
    name.split_once(':').map(|(prefix, _)| prefix)
}

fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

/// Of the name of an attribute the prefix that it declares; empty for the default namespace.
fn declared_prefix(name: &str) -> Option<&str> {
    match name {
        "xmlns" => Some(""),
        _ => name.strip_prefix("xmlns:"),
    }
}

/// `NCName`.
fn is_plain_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(begins_name) && characters.all(|character| {
        begins_name(character)
            || matches!(character, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
    })
}

/// `NameStartChar` (XML 1.0 §2.3) but for the colon.
fn begins_name(character: char) -> bool {
    matches!(character,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

/// `Char` (XML 1.0 §2.2).
fn is_character(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn is_utf_8(encoding: &[u8]) -> bool {
    encoding.eq_ignore_ascii_case(b"utf-8") || encoding.eq_ignore_ascii_case(b"us-ascii")
}

fn from_reader(error: &ReadError) -> XmlError {
    match error {
        ReadError::Escape(EscapeError::UnrecognizedEntity(..)) => XmlError::Entity,
        ReadError::Encoding(_) => XmlError::Encoding,
        _ => XmlError::NotWellFormed("markup"),
    }
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            XmlError::TooLong => write!(f, "the document has more than {MAX_LENGTH} octets"),
            XmlError::TooDeep => write!(f, "elements are nested deeper than {MAX_DEPTH}"),
            XmlError::TooManyAttributes => write!(f, "an element has more than {MAX_ATTRIBUTES} attributes"),
            XmlError::Encoding => f.write_str("the document is not in UTF-8"),
            XmlError::DocumentType => f.write_str("the document has a document type"),
            XmlError::Entity => f.write_str("the document has an entity that XML itself has not"),
            XmlError::NotWellFormed(what) => write!(f, "the document is not well-formed: {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Element, XmlError> {
        Element::parse(text.as_bytes())
    }

    #[track_caller]
    fn assert_not_well_formed(text: &str) {
        assert!(matches!(parse(text), Err(XmlError::NotWellFormed(_))), "{text}: {:?}", parse(text));
    }

    #[test]
    fn what_is_written_reads_as_what_was_read() {
        for text in [
            "<a/>",
            "<?xml version='1.0' encoding='UTF-8'?>\n<a b='1' c=\"x&quot;&#10;'&lt;\">t&amp;u<![CDATA[<&]]><!-- c --> <x:d xmlns:x='u'/></a>\n",
            "\u{feff}<a xmlns='u' xmlns:p='v'><p:b p:c='1' c='2'>\u{e9}\u{1f600}&#13;</p:b><b xmlns=''/></a>",
        ] {
            let read = parse(text).unwrap();
            assert_eq!(parse(&read.to_string()), Ok(read), "{text}");
        }
        assert_eq!(parse("<a b='&#x9;'>&gt;]]&gt;</a>").unwrap().to_string(), "<a b=\"&#9;\">&gt;]]&gt;</a>");
    }

    #[test]
    fn names_belong_to_the_namespace_that_their_prefix_has_where_they_stand() {
        let root = parse("<a xmlns='u' xmlns:p='v'><p:b/><c xmlns='w'><d/></c><e/></a>").unwrap();
        let spaces: Vec<&str> = root.elements().map(|element| &*element.namespace).collect();
        assert_eq!((&*root.namespace, spaces), ("u", vec!["v", "w", "u"]));
        let inner = root.elements().nth(1).unwrap().elements().next().unwrap();
        assert!(inner.is("w", "d"));
    }

    #[test]
    fn nothing_is_expanded_and_nothing_is_fetched() {
        assert_eq!(parse("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), Err(XmlError::DocumentType));
        assert_eq!(parse("<a>&b;</a>"), Err(XmlError::Entity));
        assert_eq!(parse("<a b='&c;'/>"), Err(XmlError::Entity));
    }

    #[test]
    fn depth_attributes_and_length_are_bounded() {
        let deep = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        assert!(parse(&deep(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&deep(MAX_DEPTH + 1)), Err(XmlError::TooDeep));
        let wide = |count: usize| format!("<a{}/>", (0..count).map(|n| format!(" b{n}=''")).collect::<String>());
        assert!(parse(&wide(MAX_ATTRIBUTES)).is_ok());
        assert_eq!(parse(&wide(MAX_ATTRIBUTES + 1)), Err(XmlError::TooManyAttributes));
        assert_eq!(parse(&format!("<a>{}</a>", " ".repeat(MAX_LENGTH))), Err(XmlError::TooLong));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "",
            "a",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a/>b",
            "&amp;<a/>",
            "<a/><![CDATA[b]]>",
            " <a/><?xml version='1.0'?>",
            "<a b='1' b='2'/>",
            "<a b=1/>",
            "<a b/>",
            "<a b='<'/>",
            "<a>\u{1}</a>",
            "<a>&#0;</a>",
            "<a>&#xfffe;</a>",
            "<a b='&#1;'/>",
            "<1a/>",
            "<a:b:c xmlns:a='u'/>",
            "<:a/>",
            "<a><!-- -- --></a>",
            "<a>& b</a>",
        ] {
            assert_not_well_formed(text);
        }
        assert_eq!(Element::parse(b"<a>\xff</a>"), Err(XmlError::Encoding));
        assert_eq!(parse("<?xml version='1.0' encoding='ISO-8859-1'?><a/>"), Err(XmlError::Encoding));
    }

    /// Namespaces in XML 1.0.
    #[test]
    fn what_is_not_well_formed_with_regard_to_namespaces_is_refused() {
        for text in [
            "<p:a/>",
            "<a p:b=''/>",
            "<a><b xmlns:p='u'/><p:c/></a>",
            "<a xmlns:p=''/>",
            "<a xmlns:xmlns='u'/>",
            "<a xmlns:xml='u'/>",
            "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
            "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
            "<a xmlns:p='u' xmlns:q='u' p:b='' q:b=''/>",
        ] {
            assert_not_well_formed(text);
        }
        assert!(parse("<a xml:lang='en' xmlns:xml='http://www.w3.org/XML/1998/namespace'/>").is_ok());
    }
}
