//! Files (RFC 5547 §6): which one, its transfer's id, its dates, a part of it. Who offers what to whom, and what a repeated
//! offer means (§8), is left to the session.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use super::{Attribute, harmless_name};
use crate::multipart::ContentType;

/// Hashes of one file.
const MAX_HASHES: usize = 8;
/// Octets of a hash: as many as SHA-512 has.
const MAX_HASH_LENGTH: usize = 64;

/// What is said of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileDescription {
    /// `a=file-selector`: empty in an answer to "can you?".
    pub selector: FileSelector,
    /// `a=file-transfer-id`: the same id is the same transfer.
    pub transfer_id: Option<String>,
    /// `a=file-disposition`: `attachment` or `render`.
    pub disposition: Option<String>,
    /// `a=file-date`: at most one of each.
    pub dates: Vec<(FileDate, String)>,
    /// `a=file-icon`: a `cid:` URL.
    pub icon: Option<String>,
    /// `a=file-range`.
    pub range: Option<FileRange>,
}

/// Which file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSelector {
    /// As people know it; whatever it holds, it is a name and no path: see [`FileSelector::safe_name`].
    pub name: Option<String>,
    /// Octets.
    pub size: Option<u64>,
    /// What is in it.
    pub content_type: Option<ContentType>,
    /// Of the whole, whatever part is sent.
    pub hashes: Vec<FileHash>,
}

/// `hash:sha-1:72:24:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHash {
    /// `sha-1`, in lower case.
    pub algorithm: String,
    /// The digest.
    pub value: Vec<u8>,
}

/// What a date is of; the date itself is kept as RFC 5322 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileDate {
    /// `creation`.
    Creation,
    /// `modification`.
    Modification,
    /// `read`.
    Read,
}

/// Which octets of the file, the first being 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRange {
    /// The first octet to send: 1 or more.
    pub start: u64,
    /// The last; `None` for `*`, up to the end.
    pub stop: Option<u64>,
}

/// What is wrong with what is said of a file; the other side's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// `a=file-selector`.
    Selector,
    /// `a=file-range`.
    Range,
    /// A selector is missing where another attribute speaks of a file.
    NoSelector,
}

const DATES: [(FileDate, &str); 3] =
    [(FileDate::Creation, "creation"), (FileDate::Modification, "modification"), (FileDate::Read, "read")];

impl FileDescription {
    /// Reads what there is of it; `None` for a stream that transfers no file.
    pub(super) fn parse<'a>(
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Option<FileDescription>, FileError> {
        let mut selector = None;
        let mut file = FileDescription::default();
        for (name, value) in attributes {
            match name {
                "file-selector" => selector = selector.or(Some(value.parse()?)),
                "file-transfer-id" => file.transfer_id = word(value),
                "file-disposition" => file.disposition = word(value),
                "file-date" => file.dates = read_dates(value),
                "file-icon" => file.icon = word(value),
                "file-range" => file.range = Some(value.parse()?),
                _ => {}
            }
        }
        match selector {
            Some(selector) => Ok(Some(FileDescription { selector, ..file })),
            None if file == FileDescription::default() => Ok(None),
            None => Err(FileError::NoSelector),
        }
    }

    pub(super) fn attributes(&self) -> Vec<Attribute> {
        let selector = self.selector.to_string();
        let mut attributes =
            vec![Attribute { name: "file-selector", value: (!selector.is_empty()).then_some(selector) }];
        let words = [
            ("file-transfer-id", &self.transfer_id),
            ("file-disposition", &self.disposition),
            ("file-icon", &self.icon),
        ];
        let keeps_the_line = |value: &String| word(value).as_ref() == Some(value);
        attributes.extend(words.into_iter().filter_map(|(name, value)| {
            value.clone().filter(keeps_the_line).map(|value| Attribute { name, value: Some(value) })
        }));
        let dates: Vec<String> = self
            .dates
            .iter()
            .filter(|(_, date)| is_date(date))
            .filter_map(|(what, date)| {
                let (_, name) = DATES.iter().find(|(known, _)| known == what)?;
                Some(format!("{name}:\"{date}\""))
            })
            .collect();
        if !dates.is_empty() {
            attributes.push(Attribute { name: "file-date", value: Some(dates.join(" ")) });
        }
        attributes.extend(self.range.map(|range| Attribute { name: "file-range", value: Some(range.to_string()) }));
        attributes
    }
}

/// A value that is one word.
fn word(value: &str) -> Option<String> {
    let is_word = !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_graphic());
    is_word.then(|| value.to_owned())
}

/// As far as it matters here: text that keeps its quotes and its line.
fn is_date(date: &str) -> bool {
    !date.is_empty() && !date.contains(|character: char| character == '"' || character.is_control())
}

/// What is no date of a kind known here, or a second of its kind, is passed over.
fn read_dates(value: &str) -> Vec<(FileDate, String)> {
    let mut dates: Vec<(FileDate, String)> = Vec::new();
    let mut rest = value;
    while let Some((name, tail)) = rest.split_once(":\"") {
        let Some((date, tail)) = tail.split_once('"') else { break };
        let known = DATES.iter().find(|(_, known)| *known == name.trim()).map(|(what, _)| *what);
        let is_new = |what: &FileDate| is_date(date) && !dates.iter().any(|(have, _)| have == what);
        if let Some(what) = known.filter(is_new) {
            dates.push((what, date.to_owned()));
        }
        rest = tail;
    }
    dates
}

impl FileSelector {
    /// The name as one that is safe to show and to store under: see [`harmless_name`].
    pub fn safe_name(&self) -> Option<String> {
        self.name.as_deref().map(harmless_name)
    }

    /// The digest by this algorithm.
    pub fn hash(&self, algorithm: &str) -> Option<&[u8]> {
        self.hashes.iter().find(|hash| hash.algorithm.eq_ignore_ascii_case(algorithm)).map(|hash| &*hash.value)
    }
}

impl FromStr for FileSelector {
    type Err = FileError;

    /// Selectors that are not known are passed over: they may come later.
    fn from_str(text: &str) -> Result<FileSelector, FileError> {
        let mut selector = FileSelector::default();
        for part in selectors(text) {
            let (kind, value) = part.split_once(':').ok_or(FileError::Selector)?;
            match kind {
                "name" if selector.name.is_none() => {
                    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                    selector.name =
                        Some(percent_decode(quoted.ok_or(FileError::Selector)?).ok_or(FileError::Selector)?);
                }
                "size" if selector.size.is_none() => {
                    selector.size = Some(value.parse().map_err(|_| FileError::Selector)?);
                }
                "type" if selector.content_type.is_none() => {
                    selector.content_type = Some(read_type(value).ok_or(FileError::Selector)?);
                }
                "hash" if selector.hashes.len() < MAX_HASHES => {
                    selector.hashes.push(value.parse()?);
                }
                _ => {}
            }
        }
        Ok(selector)
    }
}

/// The selectors: spaces between them, but not those in quotes.
fn selectors(text: &str) -> impl Iterator<Item = &str> {
    let mut in_quotes = false;
    text.split(move |character: char| {
        if character == '"' {
            in_quotes = !in_quotes;
        }
        character == ' ' && !in_quotes
    })
    .filter(|part| !part.is_empty())
}

/// `image/jpeg;name="a%22b"`: the values are percent-encoded, and always quoted.
fn read_type(text: &str) -> Option<ContentType> {
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let (main_type, subtype) = essence.split_once('/')?;
    let mut content_type = ContentType::new(main_type, subtype).ok()?;
    let mut rest = parameters;
    while !rest.is_empty() {
        let (name, tail) = rest.split_once("=\"")?;
        let (value, tail) = tail.split_once('"')?;
        content_type = content_type.with_parameter(name, &percent_decode(value)?).ok()?;
        rest = tail.strip_prefix(';').unwrap_or(tail);
    }
    Some(content_type)
}

impl FromStr for FileHash {
    type Err = FileError;

    fn from_str(text: &str) -> Result<FileHash, FileError> {
        let (algorithm, digits) = text.split_once(':').ok_or(FileError::Selector)?;
        let octet = |digits: &str| {
            let are_two = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            if are_two { u8::from_str_radix(digits, 16).ok() } else { None }
        };
        let value: Vec<u8> =
            digits.split(':').take(MAX_HASH_LENGTH + 1).map(octet).collect::<Option<_>>().ok_or(FileError::Selector)?;
        let is_name =
            !algorithm.is_empty() && algorithm.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        if !is_name || value.len() > MAX_HASH_LENGTH {
            return Err(FileError::Selector);
        }
        Ok(FileHash { algorithm: algorithm.to_ascii_lowercase(), value })
    }
}

impl FromStr for FileRange {
    type Err = FileError;

    fn from_str(text: &str) -> Result<FileRange, FileError> {
        let (start, stop) = text.split_once('-').ok_or(FileError::Range)?;
        let number = |digits: &str| digits.parse::<u64>().ok().filter(|&number| number > 0).ok_or(FileError::Range);
        let start = number(start)?;
        let stop = if stop == "*" { None } else { Some(number(stop)?) };
        if stop.is_some_and(|stop| stop < start) { Err(FileError::Range) } else { Ok(FileRange { start, stop }) }
    }
}

impl fmt::Display for FileSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(name) = &self.name {
            parts.push(format!("name:\"{}\"", percent_encode(name)));
        }
        if let Some(content_type) = &self.content_type {
            let mut part = format!("type:{}", content_type.essence());
            for (name, value) in content_type.parameters() {
                write!(part, ";{name}=\"{}\"", percent_encode(value))?;
            }
            parts.push(part);
        }
        if let Some(size) = self.size {
            parts.push(format!("size:{size}"));
        }
        parts.extend(self.hashes.iter().map(|hash| format!("hash:{hash}")));
        f.write_str(&parts.join(" "))
    }
}

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.algorithm)?;
        self.value.iter().try_for_each(|octet| write!(f, ":{octet:02X}"))
    }
}

impl fmt::Display for FileRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stop {
            Some(stop) => write!(f, "{}-{stop}", self.start),
            None => write!(f, "{}-*", self.start),
        }
    }
}

/// `filename-string`: NUL, CR, LF, double quote and percent are encoded; and what a directory is made of, which a name must not
/// have as itself.
fn percent_encode(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut encoded, character| {
        if matches!(character, '\0' | '\r' | '\n' | '"' | '%' | '/' | '\\') {
            write!(encoded, "%{:02X}", u32::from(character)).expect("writing to a String never fails");
        } else {
            encoded.push(character);
        }
        encoded
    })
}

/// A percent sign without two digits behind it is itself: some clients encode nothing.
fn percent_decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let encoded = match (first, tail) {
            (b'%', [high, low, ..]) => Option::zip(char::from(*high).to_digit(16), char::from(*low).to_digit(16)),
            _ => None,
        };
        match encoded {
            Some((high, low)) => {
                octets.push(u8::try_from(high * 16 + low).ok()?);
                rest = &tail[2..];
            }
            None => {
                octets.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(octets).ok()
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileError::Selector => "a file selector that is none",
            FileError::Range => "a file range that is none",
            FileError::NoSelector => "a file without a selector",
        })
    }
}

impl std::error::Error for FileError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5547 §6, figure 2, its lines joined as its note says.
    const SELECTOR: &str = "name:\"My cool picture.jpg\" type:image/jpeg size:32349 \
                            hash:sha-1:72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E";

    #[test]
    fn the_example_is_read_and_written_again() {
        let attributes = [
            ("file-selector", SELECTOR),
            ("file-transfer-id", "vBnG916bdberum2fFEABR1FR3ExZMUrd"),
            ("file-disposition", "attachment"),
            ("file-icon", "cid:id2@alicepc.example.com"),
            ("file-date", "creation:\"Mon, 15 May 2006 15:01:31 +0300\""),
            ("file-range", "1-32349"),
        ];
        let file = FileDescription::parse(attributes).unwrap().unwrap();
        assert_eq!(file.selector.name.as_deref(), Some("My cool picture.jpg"));
        assert_eq!(file.selector.hash("SHA-1").map(<[u8]>::len), Some(20));
        assert_eq!(file.range, Some(FileRange { start: 1, stop: Some(32349) }));
        let written: Vec<(&str, String)> =
            file.attributes().into_iter().map(|attribute| (attribute.name, attribute.value.unwrap())).collect();
        assert_eq!(written, attributes.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn selectors_come_in_any_order_and_unknown_ones_are_passed_over() {
        let selector: FileSelector =
            "hash:sha-1:AB size:1 colour:blue type:text/plain;charset=\"utf-8\" name:\"a%22b%25\"".parse().unwrap();
        assert_eq!(selector.name.as_deref(), Some("a\"b%"));
        assert_eq!(selector.to_string().parse(), Ok(selector));
    }

    #[test]
    fn what_is_no_selector_or_range_is_refused() {
        for text in
            ["name:a", "name:\"a", "size:many", "size:-1", "type:text", "hash:sha-1:XX", "hash:sha-1:", "nothing"]
        {
            assert_eq!(text.parse::<FileSelector>(), Err(FileError::Selector), "{text}");
        }
        for text in ["", "0-1", "2-1", "1", "*-*"] {
            assert_eq!(text.parse::<FileRange>(), Err(FileError::Range), "{text}");
        }
        assert_eq!(FileDescription::parse([("file-range", "1-*")]), Err(FileError::NoSelector));
        assert_eq!(FileDescription::parse([]), Ok(None));
    }

    /// RFC 5547 §6: what is percent-encoded is a path all the same.
    #[test]
    fn a_safe_name_is_made_of_what_was_decoded() {
        let safe = |text: &str| text.parse::<FileSelector>().unwrap().safe_name();
        assert_eq!(safe("name:\"..%2F..%2fetc%5Cpasswd%00\"").as_deref(), Some("passwd_"));
        assert_eq!(safe("name:\"%2Ebashrc\"").as_deref(), Some("bashrc"));
        assert_eq!(safe("name:\"\"").as_deref(), Some("file"));
        assert_eq!(safe("size:1"), None);
    }
}
