//! `Content-Type` (RFC 2045 §5.1): a type, a subtype, parameters.

use std::fmt;
use std::str::FromStr;

/// Parameters of one type.
const MAX_PARAMETERS: usize = 16;

/// `text/plain;charset=utf-8`. Two are equal if they say the same: type, subtype and names of parameters know no case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContentType {
    main_type: String,
    subtype: String,
    parameters: Vec<(String, String)>,
}

/// A text that is no content type; its author's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentTypeError;

impl ContentType {
    /// A type without parameters.
    pub fn new(main_type: &str, subtype: &str) -> Result<ContentType, ContentTypeError> {
        if !is_token(main_type) || !is_token(subtype) {
            return Err(ContentTypeError);
        }
        let [main_type, subtype] = [main_type, subtype].map(str::to_ascii_lowercase);
        Ok(ContentType { main_type, subtype, parameters: Vec::new() })
    }

    /// `application/octet-stream`: octets of which nothing is known.
    pub fn octets() -> ContentType {
        let [main_type, subtype] = ["application", "octet-stream"].map(str::to_owned);
        ContentType { main_type, subtype, parameters: Vec::new() }
    }

    /// `text/plain;charset=utf-8`.
    pub fn text() -> ContentType {
        let [main_type, subtype] = ["text", "plain"].map(str::to_owned);
        ContentType { main_type, subtype, parameters: vec![("charset".to_owned(), "utf-8".to_owned())] }
    }

    /// The same with one parameter more.
    pub fn with_parameter(mut self, name: &str, value: &str) -> Result<ContentType, ContentTypeError> {
        let is_printable = !value.contains(|character: char| character.is_ascii_control());
        if !is_token(name) || !is_printable || self.parameters.len() == MAX_PARAMETERS {
            return Err(ContentTypeError);
        }
        self.parameters.push((name.to_ascii_lowercase(), value.to_owned()));
        Ok(self)
    }

    /// "text", in lower case.
    pub fn main_type(&self) -> &str {
        &self.main_type
    }

    /// "plain", in lower case.
    pub fn subtype(&self) -> &str {
        &self.subtype
    }

    /// Whether this is `text/plain` or the like, whatever its parameters.
    pub fn is(&self, name: &str) -> bool {
        name.split_once('/').is_some_and(|(main_type, subtype)| {
            self.main_type.eq_ignore_ascii_case(main_type) && self.subtype.eq_ignore_ascii_case(subtype)
        })
    }

    /// A parameter's value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The parameters, in their order.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Type and subtype without the parameters.
    pub fn essence(&self) -> String {
        format!("{}/{}", self.main_type, self.subtype)
    }
}

impl FromStr for ContentType {
    type Err = ContentTypeError;

    fn from_str(text: &str) -> Result<ContentType, ContentTypeError> {
        let (essence, mut rest) = text.split_once(';').unwrap_or((text, ""));
        let (main_type, subtype) = essence.split_once('/').ok_or(ContentTypeError)?;
        let mut content_type = ContentType::new(main_type.trim(), subtype.trim())?;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            if rest.is_empty() {
                return Ok(content_type);
            }
            let (name, value) = rest.split_once('=').ok_or(ContentTypeError)?;
            let (value, tail) = parameter_value(value.trim_start())?;
            content_type = content_type.with_parameter(name.trim(), &value)?;
            rest = tail;
        }
    }
}

/// A token or a quoted string, and what comes behind it.
fn parameter_value(text: &str) -> Result<(String, &str), ContentTypeError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let value = text[..end].trim_end();
        return if value.is_empty() { Err(ContentTypeError) } else { Ok((value.to_owned(), &text[end..])) };
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let tail = quoted[at + 1..].trim_start();
                let ends_well = tail.is_empty() || tail.starts_with(';');
                return if ends_well { Ok((value, tail)) } else { Err(ContentTypeError) };
            }
            '\\' => value.push(characters.next().ok_or(ContentTypeError)?.1),
            character => value.push(character),
        }
    }
    Err(ContentTypeError)
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.main_type, self.subtype)?;
        for (name, value) in &self.parameters {
            if is_token(value) {
                write!(f, ";{name}={value}")?;
            } else {
                write!(f, ";{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ContentTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no content type")
    }
}

impl std::error::Error for ContentTypeError {}

/// RFC 2045 §5.1: any US-ASCII character but space, controls and `tspecials`.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_parameter_is_quoted_again_only_where_it_must_be() {
        let read = |text: &str| text.parse::<ContentType>().unwrap().to_string();
        assert_eq!(read("Text/Plain; charset=\"utf8\""), "text/plain;charset=utf8");
        assert_eq!(read("image/png ; name=\"a \\\"b\\\".png\" ; x=y"), "image/png;name=\"a \\\"b\\\".png\";x=y");
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in
            ["", "text", "text/", "/plain", "text/plain; charset", "text/plain;a=\"b", "te xt/plain", "a/b;c=\"d\"e"]
        {
            assert_eq!(text.parse::<ContentType>(), Err(ContentTypeError), "{text}");
        }
    }

    #[test]
    fn a_parameter_cannot_bring_a_line_with_it() {
        assert_eq!(ContentType::text().with_parameter("name", "a\r\nX: y"), Err(ContentTypeError));
    }
}
