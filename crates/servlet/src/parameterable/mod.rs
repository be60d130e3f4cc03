//! The `Parameterable` of the SIP Servlet model: a header value with parameters, RFC 3261 §7.3.1 and §25.1.
//!
//! Two shapes are read, and printed as they were:
//!
//! ```text
//!   value *( ";" name [ "=" value ] )            Via, Content-Type, Event, Reason, <sip:…> …
//!   scheme name "=" value *( "," name "=" … )    WWW-Authenticate, Authorization and their twins (§20.44)
//! ```
//!
//! What a value means is the header's business; here it is text that can't end a line or a list element.

mod parameters;

use std::fmt;

use sip_message::{NameAddr, Params};

pub(crate) use parameters::{Parameters, Quotes};

use crate::optional_text::OptionalText;
use crate::parse_error::{IllegalValue, ServletParseError};
use crate::uri::text_form;

/// A header value with parameters.
///
/// ```
/// use servlet::Parameterable;
///
/// let mut event = Parameterable::parse("dialog;id=7;sla")?;
/// assert_eq!((event.value(), event.parameter("ID").as_deref()), ("dialog", Some("7")));
/// assert_eq!(event.parameter("sla").as_deref(), Some(""));
/// event.set_parameter("id", None)?;
/// event.set_parameter("call-id", "a b")?;
/// assert_eq!(event.to_string(), "dialog;sla;call-id=\"a b\"");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Parameterable {
    /// Checked: [`is_value`], or a token before credentials.
    value: Box<str>,
    parameters: Parameters,
    shape: Shape,
}

/// How value and parameters stand together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `value;name=value;…`.
    Value,
    /// `scheme name=value, …`.
    Credentials,
}

impl Parameterable {
    /// Reads one value of any header that may have parameters.
    pub fn parse(text: &str) -> Result<Parameterable, ServletParseError> {
        let text = text.trim_matches([' ', '\t']);
        if let Some(at) = text.bytes().position(|octet| matches!(octet, b'\r' | b'\n')) {
            return Err(ServletParseError::header("a value of one line", at));
        }
        if let Some(credentials) = read_credentials(text) {
            return Ok(credentials);
        }
        let end = value_end(text)?;
        let value = text[..end].trim_end_matches([' ', '\t']);
        if value.is_empty() {
            return Err(ServletParseError::header("a value", 0));
        }
        if let Some(at) = value.bytes().position(|octet| octet == 0) {
            return Err(ServletParseError::header("a value without NUL", at));
        }
        if end < text.len() && read_credentials(value).is_some() {
            return Err(ServletParseError::header("credentials with commas between their parameters", end));
        }
        let parameters = Parameters::read(Params::parse(&text[end..])?);
        Ok(Parameterable { value: value.into(), parameters, shape: Shape::Value })
    }

    /// The value without its parameters, as it was written; of credentials their scheme.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Puts another value before the parameters. It can bring no parameters, and no second element of a list.
    pub fn set_value(&mut self, value: &str) -> Result<(), IllegalValue> {
        if let Some(at) = value.bytes().position(|octet| octet.is_ascii_control() && octet != b'\t') {
            return Err(IllegalValue::header("a value without control characters", at));
        }
        let fits = match self.shape {
            Shape::Credentials => is_token(value),
            Shape::Value => is_value(value)?,
        };
        if !fits {
            return Err(IllegalValue::header("a value without parameters", 0));
        }
        self.value = value.into();
        Ok(())
    }

    /// The value of a parameter without its quotes; empty for a flag.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters.get(name)
    }

    /// Sets a parameter; an empty value makes a flag, `None` removes it. A value gets quotes where it needs them.
    pub fn set_parameter<'v>(&mut self, name: &str, value: impl OptionalText<'v>) -> Result<(), IllegalValue> {
        let value = value.optional_text();
        if self.shape == Shape::Credentials && value == Some("") {
            return Err(IllegalValue::header("a value: credentials have no flags", 0));
        }
        self.parameters.set(name, value, self.shape.quotes(name))
    }

    /// Takes a parameter away.
    pub fn remove_parameter(&mut self, name: &str) {
        self.parameters.remove(name);
    }

    /// The names of the parameters, in order.
    pub fn parameter_names(&self) -> impl Iterator<Item = String> {
        self.parameters.names()
    }

    /// Names and values of the parameters, in order; the value of a flag is empty.
    pub fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        self.parameters.all()
    }
}

text_form!(Parameterable);

impl fmt::Display for Parameterable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value)?;
        if self.shape == Shape::Value {
            return write!(f, "{}", self.parameters.params());
        }
        let mut separator = " ";
        for param in self.parameters.params().iter() {
            write!(f, "{separator}{param}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// RFC 3261 §7.3.1: all parameters must be the same, in any order; a value with a URI as RFC 3261 §20.20 has it; of other
/// values only what stands in quotes has case.
impl PartialEq for Parameterable {
    fn eq(&self, other: &Parameterable) -> bool {
        same_value(&self.value, &other.value) && self.parameters.same(&other.parameters)
    }
}

impl Shape {
    fn quotes(self, name: &str) -> Quotes {
        /// What credentials have as tokens (RFC 3261 §25.1).
        const TOKENS: [&str; 4] = ["algorithm", "stale", "nc", "qop"];
        match self {
            Shape::Credentials if !TOKENS.iter().any(|token| token.eq_ignore_ascii_case(name)) => Quotes::Rather,
            _ => Quotes::WhereNeeded,
        }
    }
}

fn same_value(one: &str, other: &str) -> bool {
    if let (Ok(one), Ok(other)) = (NameAddr::parse(one), NameAddr::parse(other)) {
        return one.uri().equivalent(&other.uri());
    }
    let mut quoted = false;
    one.len() == other.len()
        && one.bytes().zip(other.bytes()).all(|(a, b)| {
            quoted ^= a == b'"';
            if quoted { a == b } else { a.eq_ignore_ascii_case(&b) }
        })
}

/// Whether a text is a value with nothing behind it.
fn is_value(text: &str) -> Result<bool, IllegalValue> {
    match Parameterable::parse(text) {
        Ok(read) => Ok(read.value() == text && read.shape == Shape::Value && read.parameters.is_empty()),
        Err(ServletParseError::Header(malformed)) => Err(malformed.into()),
        Err(_) => Ok(false),
    }
}

/// Where the value ends: before the first `;` that stands neither in quotes, nor in `<>`, nor in a comment.
fn value_end(text: &str) -> Result<usize, ServletParseError> {
    let octets = text.as_bytes();
    // Of the headers with parameters only Retry-After, which starts with a number, has a comment (RFC 3261 §20.33).
    let mut comments = octets.first().is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    while let Some(&octet) = octets.get(at) {
        at = match octet {
            b';' => return Ok(at),
            b',' => return Err(ServletParseError::header("one value, no list", at)),
            b'"' => closing(octets, at, b'"').ok_or(ServletParseError::header("a quoted string that ends", at))?,
            b'<' => closing(octets, at, b'>').ok_or(ServletParseError::header("\">\"", octets.len()))?,
            b'(' if comments => match closing(octets, at, b')') {
                Some(end) => end,
                None => {
                    comments = false;
                    at
                }
            },
            _ => at,
        } + 1;
    }
    Ok(octets.len())
}

/// Where what opens at `at` is closed. In `<>` nothing is escaped, and a comment may hold others.
fn closing(octets: &[u8], at: usize, close: u8) -> Option<usize> {
    let open = octets[at];
    let mut depth = 0;
    let mut escaped = false;
    for (n, &octet) in octets.iter().enumerate().skip(at + 1) {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if close != b'>' => escaped = true,
            _ if octet == close && depth == 0 => return Some(n),
            _ if octet == close => depth -= 1,
            _ if octet == open && close == b')' => depth += 1,
            _ => {}
        }
    }
    None
}

/// `scheme 1*WSP name "=" value *( "," name "=" value )`; `None` when it is something else, as `Basic` with its Base64.
fn read_credentials(text: &str) -> Option<Parameterable> {
    let (scheme, rest) = text.split_once([' ', '\t'])?;
    let rest = rest.trim_start_matches([' ', '\t']);
    let (name, _) = rest.split_once('=')?;
    if !is_token(scheme) || !is_token(name.trim_end_matches([' ', '\t'])) {
        return None;
    }
    let mut params = String::with_capacity(rest.len() + 1);
    for piece in commas_apart(rest) {
        let param = format!(";{piece}");
        if Params::parse(&param).ok()?.iter().map(|param| param.value).collect::<Vec<_>>().as_slice()
            != [piece_value(piece)]
        {
            return None;
        }
        params.push_str(&param);
    }
    let parameters = Parameters::read(Params::parse(&params).ok()?);
    Some(Parameterable { value: scheme.into(), parameters, shape: Shape::Credentials })
}

/// What stands behind the `=`.
fn piece_value(piece: &str) -> Option<&str> {
    let (_, value) = piece.split_once('=')?;
    Some(value.trim_matches([' ', '\t']))
}

/// The elements of a list, without white space round them, and without the empty ones.
fn commas_apart(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' => return !quoted,
            _ => {}
        }
        false
    })
    .map(|piece| piece.trim_matches([' ', '\t']))
    .filter(|piece| !piece.is_empty())
}

/// `token`, RFC 3261 §25.1.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parameterable {
        Parameterable::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn the_headers_of_rfc_3261_that_have_parameters_are_read_and_printed() {
        for (text, value, name, parameter) in [
            (
                "SIP/2.0/UDP pc33.atlanta.com:5060;branch=z9hG4bK776asdhds",
                "SIP/2.0/UDP pc33.atlanta.com:5060",
                "branch",
                "z9hG4bK776asdhds",
            ),
            ("application/sdp;level=1", "application/sdp", "Level", "1"),
            ("gzip;q=1.0", "gzip", "q", "1.0"),
            ("<http://www.example.com/a;b,c?d>;purpose=icon", "<http://www.example.com/a;b,c?d>", "purpose", "icon"),
            (
                "18000 (in a meeting; back, soon (maybe\\) ));duration=3600",
                "18000 (in a meeting; back, soon (maybe\\) ))",
                "duration",
                "3600",
            ),
            ("\"A;B, C\" <sip:a@b;lr>;tag=1", "\"A;B, C\" <sip:a@b;lr>", "tag", "1"),
            ("sip:a@b;tag=1", "sip:a@b", "tag", "1"),
            ("session;handling=optional", "session", "handling", "optional"),
            ("*;audio", "*", "audio", ""),
        ] {
            let parameterable = read(text);
            assert_eq!(parameterable.value(), value);
            assert_eq!(parameterable.parameter(name).as_deref(), Some(parameter), "{text}");
            assert_eq!(parameterable.to_string(), text);
        }
    }

    /// RFC 3261 §20.44: parameters behind a scheme are a list.
    #[test]
    fn challenges_and_credentials_keep_their_shape() {
        let mut challenge = read("Digest realm=\"a, b; c\",nonce=\"x\" ,  qop=\"auth,auth-int\", stale=FALSE");
        assert_eq!((challenge.value(), challenge.parameter("realm").as_deref()), ("Digest", Some("a, b; c")));
        challenge.set_parameter("opaque", "token").unwrap();
        challenge.set_parameter("algorithm", "SHA-256").unwrap();
        challenge.set_parameter("nonce", "y").unwrap();
        challenge.remove_parameter("stale");
        let text = "Digest realm=\"a, b; c\", nonce=\"y\", qop=\"auth,auth-int\", opaque=\"token\", algorithm=SHA-256";
        assert_eq!(challenge.to_string(), text);
        assert_eq!(read(text), challenge);
        assert!(challenge.set_parameter("flag", "").is_err());
        assert!(challenge.set_value("not a scheme").is_err());
        challenge.set_value("Other").unwrap();
        assert!(challenge.to_string().starts_with("Other realm="));
        assert_eq!(read("Basic QWxhZGRpbg==").value(), "Basic QWxhZGRpbg==");
    }

    #[test]
    fn what_is_no_value_with_parameters_is_refused() {
        for text in [
            "",
            "  ",
            ";a=b",
            "a;",
            "a;b=",
            "a;;b",
            "a, b",
            "\"a",
            "<a",
            "a;b=\"c",
            "a\r\nb",
            "a\0",
            "a;b=c\r\nVia: x",
            "Digest a=b;c=d",
        ] {
            assert!(Parameterable::parse(text).is_err(), "{text:?}");
        }
        assert!(Parameterable::parse(&"(".repeat(60_000)).is_ok(), "in one pass");
    }

    #[test]
    fn a_value_brings_neither_parameters_nor_another_element_of_the_list() {
        let mut parameterable = read("a;b=c");
        for value in ["", " ", " x", "x;y", "x, y", "\"x", "<x", "x\r\ny", "x\0", "Digest a=b", "\u{1}"] {
            assert!(parameterable.set_value(value).is_err(), "{value:?}");
        }
        assert_eq!(parameterable.to_string(), "a;b=c");
        parameterable.set_value("\"x;y, z\" <sip:a@b;lr>").unwrap();
        assert_eq!(parameterable.to_string(), "\"x;y, z\" <sip:a@b;lr>;b=c");
    }

    /// RFC 3261 §7.3.1.
    #[test]
    fn equality_has_neither_order_nor_case_outside_of_quotes() {
        assert_eq!(read("application/SDP;Level=A;x"), read("Application/sdp;X;level=a"));
        assert_ne!(read("application/sdp;level=1"), read("application/sdp"));
        assert_ne!(read("a;b=\"C\""), read("a;b=\"c\""));
        assert_ne!(read("\"A\""), read("\"a\""));
        assert_eq!(read("\"A\" <sip:a@H>;x=y"), read("sip:a@h;X=Y"));
        assert_ne!(read("<sip:A@h>"), read("<sip:a@h>"));
    }

    #[test]
    fn parameters_are_told_in_their_order() {
        let parameterable = read("a;z=1;flag;b=\"2 3\"");
        assert_eq!(parameterable.parameter_names().collect::<Vec<_>>(), ["z", "flag", "b"]);
        let all: Vec<_> = parameterable.parameters().collect();
        let expected =
            [("z", "1"), ("flag", ""), ("b", "2 3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(all, expected);
    }
}
