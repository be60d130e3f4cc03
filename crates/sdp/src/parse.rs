//! Reading a session description (RFC 8866 §5, §9), with what RFC 4566 and RFC
//! 2327 senders still do to it.
//!
//! Tolerated: lines ended by LF alone or by CR CR LF, no end of the last line,
//! empty lines, no `s=` or `t=` line, session lines behind an m-line, spaces in the
//! user name of `o=`, runs of spaces between fields, an attribute without a name,
//! a rejected m-line without formats, letters nobody defined, and text in
//! ISO 8859-1 instead of UTF-8.
//!
//! Refused: what two readers could take differently (a second `o=`, `s=` or session
//! `c=`), NUL and bare CR, and whatever exceeds [`Limits`].

use crate::attribute::Attribute;
use crate::connection::ConnectionData;
use crate::description::{Bandwidth, Origin, SessionDescription, Timing, UnknownLine};
use crate::error::{ParseError, ParseErrorKind};
use crate::media::{MediaDescription, MediaType, Protocol};
use crate::text::{Text, Token};
use std::borrow::Cow;
use std::str::FromStr;

/// How much of a session description is accepted. Checked before anything is
/// allocated for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the whole description.
    pub bytes: usize,
    /// Lines of the whole description.
    pub lines: usize,
    /// m-lines.
    pub media: usize,
    /// Formats in one m-line.
    pub formats: usize,
    /// Attributes of the whole description.
    pub attributes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: 64 * 1024, lines: 1024, media: 32, formats: 64, attributes: 512 }
    }
}

impl SessionDescription {
    /// Reads a description within the default [`Limits`].
    pub fn parse(input: impl AsRef<[u8]>) -> Result<SessionDescription, ParseError> {
        SessionDescription::parse_within(input, &Limits::default())
    }

    /// Reads a description within the given limits.
    pub fn parse_within(input: impl AsRef<[u8]>, limits: &Limits) -> Result<SessionDescription, ParseError> {
        let input = input.as_ref();
        if input.len() > limits.bytes {
            return Err(ParseError { line: 1, kind: ParseErrorKind::TooLong { limit: limits.bytes } });
        }
        let mut parser = Parser::new(limits);
        for (index, raw) in input.split(|octet| *octet == b'\n').enumerate() {
            parser.line(index, raw).map_err(|kind| ParseError { line: index.saturating_add(1), kind })?;
        }
        parser.finish()
    }
}

impl FromStr for SessionDescription {
    type Err = ParseError;
    fn from_str(input: &str) -> Result<SessionDescription, ParseError> {
        SessionDescription::parse(input)
    }
}

/// What has been gathered up to the present line.
struct Parser<'l> {
    limits: &'l Limits,
    lines: usize,
    attributes: usize,
    version: bool,
    origin: Option<Origin>,
    session_name: Option<Text>,
    /// All fields but the two above.
    session: SessionDescription,
}

type Outcome = Result<(), ParseErrorKind>;

impl<'l> Parser<'l> {
    fn new(limits: &'l Limits) -> Parser<'l> {
        let placeholder = Origin::new(0, std::net::Ipv4Addr::UNSPECIFIED.into());
        let mut session = SessionDescription::new(placeholder);
        session.times.clear();
        Parser { limits, lines: 0, attributes: 0, version: false, origin: None, session_name: None, session }
    }

    fn line(&mut self, index: usize, raw: &[u8]) -> Outcome {
        let raw = without_line_end(raw);
        if raw.is_empty() {
            return Ok(());
        }
        if raw.contains(&0) || raw.contains(&b'\r') {
            return Err(ParseErrorKind::ForbiddenCharacter);
        }
        self.lines = index.saturating_add(1);
        if self.lines > self.limits.lines {
            return Err(ParseErrorKind::TooManyLines { limit: self.limits.lines });
        }
        let [letter, b'=', value @ ..] = raw else {
            return Err(ParseErrorKind::NotALine);
        };
        if !letter.is_ascii_alphabetic() {
            return Err(ParseErrorKind::NotALine);
        }
        let letter = char::from(*letter);
        let value = decode(value);
        if !self.version {
            self.version = letter == 'v' && value.trim() == "0";
            return self.version.then_some(()).ok_or(ParseErrorKind::Version);
        }
        match self.session.media.last_mut() {
            Some(media) if matches!(letter, 'i' | 'c' | 'b' | 'k') => media_line(media, letter, &value),
            _ => self.session_line(letter, &value),
        }
    }

    /// Lines of the session level, and those that any level may have.
    fn session_line(&mut self, letter: char, value: &str) -> Outcome {
        let malformed = ParseErrorKind::Malformed { letter };
        let session = &mut self.session;
        match letter {
            'v' => return Err(ParseErrorKind::Duplicate { letter }),
            'o' => once(&mut self.origin, letter, parse_origin(value).ok_or(malformed)?)?,
            's' => once(&mut self.session_name, letter, text(value)?)?,
            'i' => once(&mut session.information, letter, text(value)?)?,
            'u' => once(&mut session.uri, letter, text(value)?)?,
            'e' => session.emails.push(text(value)?),
            'p' => session.phones.push(text(value)?),
            'c' => {
                let connection = ConnectionData::parse(value).ok_or(malformed)?;
                once(&mut session.connection, letter, connection)?;
            }
            'b' => session.bandwidths.push(parse_bandwidth(value).ok_or(malformed)?),
            't' => session.times.push(parse_time(value).ok_or(malformed)?),
            'r' => session.times.last_mut().ok_or(malformed)?.repeats.push(text(value)?),
            'z' => once(&mut session.zones, letter, text(value)?)?,
            'k' => once(&mut session.key, letter, text(value)?)?,
            'a' => return self.attribute(value),
            'm' => return self.media(value),
            _ => {
                let unknown = UnknownLine { letter, value: text(value)? };
                match session.media.last_mut() {
                    Some(media) => media.unknown.push(unknown),
                    None => session.unknown.push(unknown),
                }
            }
        }
        Ok(())
    }

    fn attribute(&mut self, value: &str) -> Outcome {
        if self.attributes >= self.limits.attributes {
            return Err(ParseErrorKind::TooManyAttributes { limit: self.limits.attributes });
        }
        self.attributes += 1;
        let attribute = Attribute::parse(value).ok_or(ParseErrorKind::Malformed { letter: 'a' })?;
        match self.session.media.last_mut() {
            Some(media) => media.attributes.push(attribute),
            None => self.session.attributes.push(attribute),
        }
        Ok(())
    }

    fn media(&mut self, value: &str) -> Outcome {
        if self.session.media.len() >= self.limits.media {
            return Err(ParseErrorKind::TooManyMedia { limit: self.limits.media });
        }
        // Three words stand before the formats.
        if value.split_ascii_whitespace().skip(3).count() > self.limits.formats {
            return Err(ParseErrorKind::TooManyFormats { limit: self.limits.formats });
        }
        let media = parse_media(value).ok_or(ParseErrorKind::Malformed { letter: 'm' })?;
        self.session.media.push(media);
        Ok(())
    }

    fn finish(self) -> Result<SessionDescription, ParseError> {
        let line = self.lines;
        let missing = |kind| ParseError { line, kind };
        if !self.version {
            return Err(missing(ParseErrorKind::Version));
        }
        let mut session = self.session;
        session.origin = self.origin.ok_or(missing(ParseErrorKind::Missing { letter: 'o' }))?;
        if let Some(name) = self.session_name {
            session.session_name = name;
        }
        if session.times.is_empty() {
            session.times.push(Timing::default());
        }
        Ok(session)
    }
}

/// The lines that have a place of their own below an m-line.
fn media_line(media: &mut MediaDescription, letter: char, value: &str) -> Outcome {
    let malformed = ParseErrorKind::Malformed { letter };
    match letter {
        'i' => once(&mut media.title, letter, text(value)?),
        'k' => once(&mut media.key, letter, text(value)?),
        'c' => {
            media.connections.push(ConnectionData::parse(value).ok_or(malformed)?);
            Ok(())
        }
        _ => {
            media.bandwidths.push(parse_bandwidth(value).ok_or(malformed)?);
            Ok(())
        }
    }
}

/// Read from the right, because some phones put spaces into their user name.
fn parse_origin(value: &str) -> Option<Origin> {
    let mut rest = value;
    let mut last_word = || {
        let (before, word) = rest.trim_ascii().rsplit_once([' ', '\t'])?;
        rest = before;
        Token::new(word).ok()
    };
    let address = last_word()?;
    let address_type = last_word()?;
    let network = last_word()?;
    let session_version = last_word()?.parse().ok()?;
    let session_id = last_word();
    let (session_id, username) = match session_id {
        Some(session_id) => (session_id, rest.trim_ascii()),
        // An empty user name leaves nothing before the session id.
        None => (Token::new(rest.trim_ascii()).ok()?, "-"),
    };
    Some(Origin { username: Text::new(username).ok()?, session_id, session_version, network, address_type, address })
}

fn parse_bandwidth(value: &str) -> Option<Bandwidth> {
    let (kind, value) = value.split_once(':')?;
    Some(Bandwidth { kind: Token::new(kind.trim_ascii()).ok()?, value: value.trim_ascii().parse().ok()? })
}

fn parse_time(value: &str) -> Option<Timing> {
    let mut words = value.split_ascii_whitespace();
    let start = words.next()?.parse().ok()?;
    let stop = words.next().map_or(Ok(0), str::parse).ok()?;
    words.next().is_none().then_some(Timing { start, stop, repeats: Vec::new() })
}

fn parse_media(value: &str) -> Option<MediaDescription> {
    let mut words = value.split_ascii_whitespace();
    let media = MediaType::from_token(Token::new(words.next()?).ok()?);
    let ports = words.next()?;
    let (port, port_count) = match ports.split_once('/') {
        Some((port, count)) => (port.parse().ok()?, Some(count.parse().ok()?)),
        None => (ports.parse().ok()?, None),
    };
    let protocol = Protocol::from_token(Token::new(words.next()?).ok()?);
    let formats: Vec<Token> = words.map(|word| Token::new(word).ok()).collect::<Option<_>>()?;
    // A rejected stream's formats are ignored (RFC 3264 §6), and some peers
    // therefore leave them out.
    if formats.is_empty() && port != 0 {
        return None;
    }
    let mut description = MediaDescription::new(media, port, protocol);
    description.port_count = port_count;
    description.formats = formats;
    Some(description)
}

fn once<T>(slot: &mut Option<T>, letter: char, value: T) -> Outcome {
    if slot.is_some() {
        return Err(ParseErrorKind::Duplicate { letter });
    }
    *slot = Some(value);
    Ok(())
}

fn text(value: &str) -> Result<Text, ParseErrorKind> {
    Text::new(value).map_err(|_| ParseErrorKind::ForbiddenCharacter)
}

/// Some writers in text mode make CR CR LF of a line's end.
fn without_line_end(mut raw: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r'] = raw {
        raw = rest;
    }
    raw
}

/// Text is UTF-8; what is not was meant as ISO 8859-1 by all senders we know,
/// where each octet is the code point of the same number.
fn decode(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.iter().copied().map(char::from).collect()),
    }
}
