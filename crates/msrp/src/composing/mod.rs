//! Is-composing indications (RFC 3994): the document, and the two machines around it, [`Composer`] where somebody types and
//! [`Watcher`] where somebody waits for it.

mod composer;
mod watcher;

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use crate::cpim::DateTime;
pub use crate::xml::XmlError;
use crate::xml::{self, Element};
pub use composer::{Composer, ComposerInput, ComposerSettings};
pub use watcher::{Watcher, WatcherInput};

/// The type of an indication.
pub const CONTENT_TYPE: &str = "application/im-iscomposing+xml";
const NAMESPACE: &str = "urn:ietf:params:xml:ns:im-iscomposing";
/// Of an interval that a stranger names: nobody needs to be told to wait longer than a day.
const LONGEST_REFRESH: u64 = 24 * 60 * 60;

/// Whether somebody is composing. §3.5: what is neither is idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Composing.
    Active,
    /// Not composing.
    #[default]
    Idle,
}

/// What one side tells the other of its composing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indication {
    /// Whether it is.
    pub state: State,
    /// When it last was.
    pub last_active: Option<DateTime>,
    /// What it is composing: "text/plain", or "audio".
    pub content_type: Option<String>,
    /// When it will tell again, at the latest.
    pub refresh: Option<Duration>,
}

/// What is wrong with an indication; its author's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComposingError {
    /// No XML, or none that is safe to read.
    Xml(XmlError),
    /// XML of something else, or without a state.
    NotComposing,
}

impl Indication {
    /// Reads an indication. What is optional and cannot be read is as if it were not there.
    pub fn parse(octets: &[u8]) -> Result<Indication, ComposingError> {
        let root = Element::parse(octets).map_err(ComposingError::Xml)?;
        if !root.is(NAMESPACE, "isComposing") {
            return Err(ComposingError::NotComposing);
        }
        let text = |name: &str| root.child(name).map(Element::text).filter(|text| !text.is_empty());
        let state = match text("state").ok_or(ComposingError::NotComposing)? {
            "active" => State::Active,
            _ => State::Idle,
        };
        let seconds = text("refresh").and_then(|text| text.parse::<u64>().ok()).filter(|&seconds| seconds > 0);
        Ok(Indication {
            state,
            last_active: text("lastactive").and_then(|text| text.parse().ok()),
            content_type: text("contenttype").map(str::to_owned),
            refresh: seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST_REFRESH))),
        })
    }

    /// The document.
    pub fn to_xml(&self) -> String {
        let mut document =
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<isComposing xmlns=\"{NAMESPACE}\">\r\n");
        let mut element = |name: &str, text: &str| {
            writeln!(document, "<{name}>{}</{name}>\r", xml::escape(text)).expect("writing to a String never fails");
        };
        element("state", if self.state == State::Active { "active" } else { "idle" });
        if let Some(last_active) = &self.last_active {
            element("lastactive", &last_active.to_string());
        }
        if let Some(content_type) = &self.content_type {
            element("contenttype", content_type);
        }
        if let Some(refresh) = self.refresh {
            element("refresh", &refresh.as_secs().max(1).to_string());
        }
        document.push_str("</isComposing>\r\n");
        document
    }
}

impl fmt::Display for ComposingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ComposingError::Xml(error) => error.fmt(f),
            ComposingError::NotComposing => f.write_str("a document that is no is-composing indication"),
        }
    }
}

impl std::error::Error for ComposingError {}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"\n\
        xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"\n\
        xsi:schemaLocation=\"urn:ietf:params:xml:ns:im-composing\n   iscomposing.xsd\">\n";

    fn read(inner: &str) -> Result<Indication, ComposingError> {
        Indication::parse(format!("{HEAD}{inner}</isComposing>").as_bytes())
    }

    /// RFC 3994 §5, both examples.
    #[test]
    fn the_examples_are_read_and_written_again() {
        let active =
            read("<state>active</state>\n<contenttype>text/plain</contenttype>\n<refresh>90</refresh>\n").unwrap();
        let text = Some("text/plain".to_owned());
        let refresh = Some(Duration::from_secs(90));
        assert_eq!(active, Indication { state: State::Active, last_active: None, content_type: text, refresh });
        let idle = read(
            "<state>idle</state>\n<lastactive>2003-01-27T10:43:00Z</lastactive>\n<contenttype>audio</contenttype>\n",
        )
        .unwrap();
        assert_eq!(idle.last_active, "2003-01-27T10:43:00Z".parse().ok());
        for indication in [active, idle] {
            assert_eq!(Indication::parse(indication.to_xml().as_bytes()), Ok(indication));
        }
    }

    /// RFC 3994 §3.5.
    #[test]
    fn a_state_of_a_later_document_is_idle_and_foreign_elements_are_ignored() {
        let read =
            read("<state>pondering</state><x:state xmlns:x='urn:x'>active</x:state><refresh>soon</refresh>").unwrap();
        assert_eq!(read, Indication::default());
    }

    #[test]
    fn a_document_without_a_state_is_none() {
        assert_eq!(read("<refresh>60</refresh>"), Err(ComposingError::NotComposing));
        assert_eq!(Indication::parse(b"<a/>"), Err(ComposingError::NotComposing));
    }
}
