//! What SDP says of an MSRP session (RFC 4975 §8), as names and values of attributes: `path`, `accept-types`, `max-size`; who
//! connects (`setup`, RFC 6135, [`Role`]); connections through middleboxes (`msrp-cema`, RFC 6714); files (RFC 5547,
//! [`FileDescription`]); rooms (`chatroom`, RFC 7701). The description as a whole, its lines and its offers and answers, are left
//! to whoever owns SDP.

mod accept;
mod file;
mod name;
mod room;
mod setup;

use std::fmt;

use crate::uri::{Path, UriError};
pub use accept::AcceptTypes;
pub use file::{FileDate, FileDescription, FileError, FileHash, FileRange, FileSelector};
pub use name::harmless_name;
pub use room::ChatRoom;
pub use setup::{Role, Setup, answer_setup, offer_setup, role_of_answerer, role_of_offerer};

/// The port of a stream that is always the connecting side (RFC 6135 §4.2.2): "discard".
pub const ACTIVE_PORT: u16 = 9;

/// What one side says of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The `c=` line's: an address or a name.
    pub host: String,
    /// The m-line's.
    pub port: u16,
    /// The m-line's `TCP/MSRP` or `TCP/TLS/MSRP`.
    pub protocol: Protocol,
    /// `a=path`.
    pub path: Path,
    /// `a=accept-types`.
    pub accept_types: AcceptTypes,
    /// `a=accept-wrapped-types`: what may be inside of what is accepted only as a wrapper.
    pub accept_wrapped_types: Option<AcceptTypes>,
    /// `a=max-size`, in octets.
    pub max_size: Option<u64>,
    /// `a=setup`.
    pub setup: Option<Setup>,
    /// `a=msrp-cema`.
    pub has_cema: bool,
    /// `a=fingerprint`, each `sha-256 AB:CD:…`, as written.
    pub fingerprints: Vec<String>,
    /// `a=chatroom`.
    pub chat_room: Option<ChatRoom>,
    /// `a=file-selector` and the others of RFC 5547.
    pub file: Option<FileDescription>,
}

/// What we say of a stream.
pub type LocalDescription = Description;
/// What the other side says of it.
pub type RemoteDescription = Description;

/// What carries MSRP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `TCP/MSRP`.
    Tcp,
    /// `TCP/TLS/MSRP`.
    Tls,
}

/// `a=name:value`, or `a=name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// As registered.
    pub name: &'static str,
    /// Behind the colon.
    pub value: Option<String>,
}

/// What is wrong with a description; the other side's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DescriptionError {
    /// Neither `TCP/MSRP` nor `TCP/TLS/MSRP`.
    Protocol,
    /// No `a=path`.
    NoPath,
    /// An `a=path` that is none.
    Path(UriError),
    /// RFC 4975 §8: a path that is secure, on a line that is not, or the other way round.
    Security,
    /// `a=file-selector` or one of its company.
    File(FileError),
}

impl Protocol {
    /// As the m-line has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP/MSRP",
            Protocol::Tls => "TCP/TLS/MSRP",
        }
    }

    /// As the m-line has it.
    pub fn parse(text: &str) -> Option<Protocol> {
        [Protocol::Tcp, Protocol::Tls].into_iter().find(|protocol| protocol.as_str().eq_ignore_ascii_case(text))
    }
}

impl Description {
    /// A stream that accepts these types and says nothing else yet.
    pub fn new(host: &str, port: u16, path: Path, accept_types: AcceptTypes) -> Description {
        let protocol = if path.first().is_secure() { Protocol::Tls } else { Protocol::Tcp };
        Description {
            host: host.to_owned(),
            port,
            protocol,
            path,
            accept_types,
            accept_wrapped_types: None,
            max_size: None,
            setup: None,
            has_cema: false,
            fingerprints: Vec::new(),
            chat_room: None,
            file: None,
        }
    }

    /// Reads the other side's. Attributes that are not MSRP's are passed over; an optional one that cannot be read is as if it
    /// were not there. `attributes` are the media line's, and the session's `setup` and `fingerprint` behind them.
    pub fn parse<'a>(
        host: &str,
        port: u16,
        protocol: &str,
        attributes: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Description, DescriptionError> {
        let protocol = Protocol::parse(protocol).ok_or(DescriptionError::Protocol)?;
        let mut path = None;
        let mut accept_types = None;
        let mut accept_wrapped_types = None;
        let mut max_size = None;
        let mut setup = None;
        let mut has_cema = false;
        let mut fingerprints = Vec::new();
        let mut chat_room = None;
        let mut file_attributes = Vec::new();
        for (name, value) in attributes {
            let text = value.unwrap_or_default().trim();
            match name {
                "path" if path.is_none() => path = Some(text.parse().map_err(DescriptionError::Path)?),
                "accept-types" if accept_types.is_none() => accept_types = Some(AcceptTypes::parse(text)),
                "accept-wrapped-types" => {
                    accept_wrapped_types = accept_wrapped_types.or(Some(AcceptTypes::parse(text)))
                }
                "max-size" => max_size = max_size.or(text.parse().ok()),
                "setup" => setup = setup.or(Setup::parse(text)),
                "msrp-cema" => has_cema = true,
                "fingerprint" if is_line(text) => fingerprints.push(text.to_owned()),
                "chatroom" => chat_room = chat_room.or(Some(ChatRoom::parse(text))),
                name if name.starts_with("file-") => file_attributes.push((name, text)),
                _ => {}
            }
        }
        let path: Path = path.ok_or(DescriptionError::NoPath)?;
        // The first hop is whom we connect to; what lies behind it has its own connections.
        if path.first().is_secure() != (protocol == Protocol::Tls) {
            return Err(DescriptionError::Security);
        }
        Ok(Description {
            host: host.to_owned(),
            port,
            protocol,
            path,
            // RFC 4975 §8.6 requires it; a peer without it is not asked for more than what all understand.
            accept_types: accept_types.unwrap_or_else(|| AcceptTypes::parse("text/plain")),
            accept_wrapped_types,
            max_size,
            setup,
            has_cema,
            fingerprints,
            chat_room,
            file: FileDescription::parse(file_attributes).map_err(DescriptionError::File)?,
        })
    }

    /// The attributes to write under the m-line, in the order of RFC 4975's examples.
    pub fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = vec![
            Attribute::new("accept-types", self.accept_types.to_string()),
            Attribute::new("path", self.path.to_string()),
        ];
        if let Some(types) = &self.accept_wrapped_types {
            attributes.insert(1, Attribute::new("accept-wrapped-types", types.to_string()));
        }
        attributes.extend(self.max_size.map(|size| Attribute::new("max-size", size.to_string())));
        attributes.extend(self.setup.map(|setup| Attribute::new("setup", setup.as_str().to_owned())));
        attributes.extend(self.has_cema.then_some(Attribute { name: "msrp-cema", value: None }));
        attributes.extend(self.fingerprints.iter().map(|print| Attribute::new("fingerprint", print.clone())));
        attributes.extend(self.chat_room.iter().map(ChatRoom::attribute));
        attributes.extend(self.file.iter().flat_map(FileDescription::attributes));
        attributes
    }

    /// Whether the `c=` and m-lines lead where the path leads: they don't when something on the way has put itself between.
    pub fn is_straight(&self) -> bool {
        let next = self.path.first();
        // RFC 6135 §4.2.2: an active side names no port.
        let is_port = next.port().is_none_or(|port| port == self.port) || self.port == ACTIVE_PORT;
        is_port && next.host().eq_ignore_ascii_case(self.host.trim_start_matches('[').trim_end_matches(']'))
    }

    /// Where to connect instead of to the path's first host (RFC 6714 §4): to the `c=` and m-lines' address, if both sides know
    /// CEMA.
    pub fn cema_next_hop(&self, we_said_cema: bool) -> Option<(&str, u16)> {
        (we_said_cema && self.has_cema && !self.is_straight() && self.port != 0).then_some((&self.host, self.port))
    }

    /// Whether an answer means that something without CEMA stands in between, so that a new offer without it is due
    /// (RFC 6714 §4.2, fallback).
    pub fn needs_offer_without_cema(&self, we_said_cema: bool) -> bool {
        we_said_cema && !self.has_cema && !self.is_straight()
    }
}

/// Text that an attribute can have.
fn is_line(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ')
}

/// A word between spaces that an attribute can have.
fn is_word(word: &&str) -> bool {
    word.bytes().all(|octet| octet.is_ascii_graphic())
}

impl Attribute {
    fn new(name: &'static str, value: String) -> Attribute {
        Attribute { name, value: Some(value) }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}:{value}", self.name),
            None => f.write_str(self.name),
        }
    }
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DescriptionError::Protocol => f.write_str("neither TCP/MSRP nor TCP/TLS/MSRP"),
            DescriptionError::NoPath => f.write_str("no path"),
            DescriptionError::Path(error) => write!(f, "a path that is none: {error}"),
            DescriptionError::Security => f.write_str("a path that does not fit the line's transport"),
            DescriptionError::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DescriptionError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(protocol: &str, lines: &[&'static str]) -> Result<Description, DescriptionError> {
        let attributes = lines.iter().map(|line| match line.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (*line, None),
        });
        Description::parse("10.77.0.1", 38403, protocol, attributes)
    }

    /// As a widespread client offers a chat.
    #[test]
    fn an_offer_is_read_and_written_again() {
        let lines = [
            "accept-types:message/cpim text/* image/* application/im-iscomposing+xml",
            "accept-wrapped-types:*",
            "path:msrp://10.77.0.1:38403/5e65bea6c50c8127f33;tcp",
            "setup:actpass",
            "chatroom:nickname private-messages",
        ];
        let offer = read("TCP/MSRP", &lines).unwrap();
        assert!(offer.accept_types.accepts("text/html") && !offer.accept_types.accepts("video/mp4"));
        assert_eq!(offer.setup, Some(Setup::Actpass));
        assert!(offer.is_straight());
        let written: Vec<String> = offer.attributes().iter().map(Attribute::to_string).collect();
        assert_eq!(written, lines);
    }

    #[test]
    fn a_stream_without_a_path_or_with_one_of_the_other_transport_is_refused() {
        assert_eq!(read("TCP/MSRP", &["accept-types:*"]), Err(DescriptionError::NoPath));
        assert_eq!(read("RTP/AVP", &["path:msrp://a:1/b;tcp"]), Err(DescriptionError::Protocol));
        assert_eq!(read("TCP/TLS/MSRP", &["path:msrp://a:1/b;tcp"]), Err(DescriptionError::Security));
        assert!(matches!(read("TCP/MSRP", &["path:sip:a@b"]), Err(DescriptionError::Path(_))));
    }

    /// RFC 6714 §4.
    #[test]
    fn a_middlebox_is_met_only_if_both_sides_know_cema() {
        let behind = read("TCP/MSRP", &["path:msrp://192.0.2.7:1234/x;tcp", "msrp-cema"]).unwrap();
        assert_eq!(behind.cema_next_hop(true), Some(("10.77.0.1", 38403)));
        assert_eq!(behind.cema_next_hop(false), None);
        let without = Description { has_cema: false, ..behind };
        assert_eq!(without.cema_next_hop(true), None);
        assert!(without.needs_offer_without_cema(true));
    }
}
