//! `( name-addr / addr-spec ) *( SEMI generic-param )`, RFC 3261 §20.10 and §25.1: the value of From, To, Contact, Route …

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::grammar::{self, Cursor, Malformed, TOKEN, URIC, WSP};
use crate::param::{Param, Params};
use crate::uri::{Uri, UriBuf};

/// A URI with a display name and the parameters of the header round it.
///
/// "If the URI is not enclosed in angle brackets, any semicolon-delimited parameters are header-parameters, not URI
/// parameters" (RFC 3261 §20); a URI with a comma or question mark must be enclosed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// As it was written: tokens, or a quoted string.
    display: Option<Cow<'a, str>>,
    uri: Uri<'a>,
    params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads a whole header value.
    pub fn parse(text: &'a str) -> Result<NameAddr<'a>, Malformed> {
        NameAddr::read(&mut Cursor::new(text), Bare::Allowed, |_, _| Ok(()))
    }

    /// Reads up to the end of the value, and shows each parameter to `check`.
    #[inline]
    pub(crate) fn read(
        cursor: &mut Cursor<'a>,
        bare: Bare,
        check: impl FnMut(Param<'a>, usize) -> Result<(), Malformed>,
    ) -> Result<NameAddr<'a>, Malformed> {
        cursor.lws();
        let (display, uri) = match cursor.peek() {
            Some(b'"') => {
                let display = cursor.quoted()?;
                cursor.lws();
                (Some(Cow::Borrowed(display)), read_bracketed(cursor)?)
            }
            Some(b'<') => (None, read_bracketed(cursor)?),
            _ => {
                let start = cursor.at();
                let octets = cursor.octets();
                let word_end = grammar::run(octets, start, TOKEN);
                if bare == Bare::Allowed && word_end > start && octets.get(word_end) == Some(&b':') {
                    (None, read_addr_spec(cursor)?)
                } else {
                    // `*(token LWS)`; no LWS before "<" is accepted too (RFC 4475 §3.1.1.6).
                    let words = cursor.rest();
                    cursor.set(grammar::run(octets, start, TOKEN | WSP));
                    let words = words[..cursor.at() - start].trim_end_matches([' ', '\t']);
                    (Some(Cow::Borrowed(words)), read_bracketed(cursor)?)
                }
            }
        };
        let params = Params::read(cursor, check)?;
        Ok(NameAddr { display, uri, params })
    }

    /// A value of a URI alone.
    pub fn new(uri: Uri<'a>) -> NameAddr<'a> {
        NameAddr { display: None, uri, params: Params::new() }
    }

    /// The same with a display name, which gets quotes.
    pub fn with_display_name(mut self, name: &str) -> Result<NameAddr<'a>, Malformed> {
        self.display = Some(Cow::Owned(grammar::quote(name)?));
        Ok(self)
    }

    /// The same with a header parameter.
    pub fn with_param(mut self, name: &str, value: &str) -> Result<NameAddr<'a>, Malformed> {
        self.params.set(name, value)?;
        Ok(self)
    }

    /// The display name without quotes and escapes.
    pub fn display_name(&self) -> Option<Cow<'_, str>> {
        self.display.as_deref().map(grammar::unquote)
    }

    /// The display name as it was written.
    pub fn raw_display_name(&self) -> Option<&str> {
        self.display.as_deref()
    }

    /// The URI.
    pub fn uri(&self) -> Uri<'a> {
        self.uri
    }

    /// The header parameters; the URI has its own.
    pub fn params(&self) -> &Params<'a> {
        &self.params
    }

    /// The header parameters, to change them.
    pub fn params_mut(&mut self) -> &mut Params<'a> {
        &mut self.params
    }

    /// A copy that owns its text.
    pub fn to_buf(&self) -> NameAddrBuf {
        NameAddrBuf { text: self.to_string().into() }
    }
}

/// Always in the form with `<>`, in which nothing can be taken for something else.
impl fmt::Display for NameAddr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            f.write_str(display)?;
            f.write_str(" ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// Whether a URI may stand without `<>`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    /// `name-addr / addr-spec`.
    Allowed,
    /// `name-addr`, as in Route and Record-Route.
    Refused,
}

/// `LAQUOT addr-spec RAQUOT`.
pub(crate) fn read_bracketed<'a>(cursor: &mut Cursor<'a>) -> Result<Uri<'a>, Malformed> {
    if !cursor.eat(b'<') {
        return cursor.expected("\"<\"");
    }
    let start = cursor.at();
    let rest = cursor.rest();
    let Some(length) = memchr::memchr(b'>', rest.as_bytes()) else {
        return cursor.expected("a URI and \">\"");
    };
    let uri = Uri::parse(&rest[..length]).map_err(|e| e.behind(start))?;
    cursor.set(start + length + 1);
    Ok(uri)
}

/// A URI without `<>`: it ends before the first semicolon.
fn read_addr_spec<'a>(cursor: &mut Cursor<'a>) -> Result<Uri<'a>, Malformed> {
    let start = cursor.at();
    let rest = cursor.rest();
    let end = rest.bytes().position(|o| o == b';' || !(grammar::is(o, URIC) || o == b'%')).unwrap_or(rest.len());
    let text = &rest[..end];
    if let Some(at) = memchr::memchr2(b',', b'?', text.as_bytes()) {
        return Err(Malformed::new("\"<\" and \">\" round a URI with this character", start + at));
    }
    let uri = Uri::parse(text).map_err(|e| e.behind(start))?;
    cursor.set(start + end);
    Ok(uri)
}

/// A [`NameAddr`] that owns its text. Equality and hash are those of the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NameAddrBuf {
    /// Checked: [`NameAddr::parse`] reads it.
    text: Box<str>,
}

impl NameAddrBuf {
    /// Keeps a text that is a name-addr or an addr-spec, with parameters.
    pub fn parse(text: impl Into<Box<str>>) -> Result<NameAddrBuf, Malformed> {
        let text = text.into();
        NameAddr::parse(&text)?;
        Ok(NameAddrBuf { text })
    }

    /// A value of a URI alone.
    pub fn new(uri: &UriBuf) -> NameAddrBuf {
        NameAddr::new(uri.as_uri()).to_buf()
    }

    /// The same with a display name, which gets quotes.
    pub fn with_display_name(self, name: &str) -> Result<NameAddrBuf, Malformed> {
        Ok(self.as_name_addr().with_display_name(name)?.to_buf())
    }

    /// The same with a header parameter.
    pub fn with_param(self, name: &str, value: &str) -> Result<NameAddrBuf, Malformed> {
        Ok(self.as_name_addr().with_param(name, value)?.to_buf())
    }

    /// The value, to read it.
    pub fn as_name_addr(&self) -> NameAddr<'_> {
        NameAddr::parse(&self.text).expect("the text was read when the NameAddrBuf was made")
    }

    /// The URI.
    pub fn uri(&self) -> Uri<'_> {
        self.as_name_addr().uri()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<&NameAddr<'_>> for NameAddrBuf {
    fn from(value: &NameAddr<'_>) -> NameAddrBuf {
        value.to_buf()
    }
}

impl From<&UriBuf> for NameAddrBuf {
    fn from(uri: &UriBuf) -> NameAddrBuf {
        NameAddrBuf::new(uri)
    }
}

impl FromStr for NameAddrBuf {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<NameAddrBuf, Malformed> {
        NameAddrBuf::parse(text)
    }
}

impl fmt::Display for NameAddrBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for NameAddrBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> NameAddr<'_> {
        NameAddr::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// RFC 3261 §20.10, §20.20, §20.31, §20.34, §20.39.
    #[test]
    fn the_examples_of_section_20_are_read() {
        let value = read("\"Mr. Watson\" <sip:watson@worcester.bell-telephone.com> ;q=0.7; expires=3600");
        assert_eq!(value.display_name().as_deref(), Some("Mr. Watson"));
        assert_eq!(value.params().value("expires"), Some("3600"));
        assert_eq!(read("\"A. G. Bell\" <sip:agb@bell-telephone.com> ;tag=a48s").params().value("tag"), Some("a48s"));
        assert_eq!(
            read("sip:+12125551212@server.phone2net.com;tag=887s").uri().as_str(),
            "sip:+12125551212@server.phone2net.com"
        );
        assert_eq!(
            read("Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=hyh8").display_name().as_deref(),
            Some("Anonymous")
        );
        assert_eq!(read("Bob <sip:bob@biloxi.com>").raw_display_name(), Some("Bob"));
    }

    /// RFC 4475 §3.3.12 and §3.3.13.
    #[test]
    fn parameters_belong_to_the_header_without_brackets_and_to_the_uri_within() {
        let value = read("sip:+19725552222@gw1.example.net;unknownparam");
        assert!(value.params().contains("unknownparam"));
        assert!(value.uri().sip().unwrap().params().is_empty());
        let value = read("<sip:+19725552222@gw1.example.net;unknownparam>");
        assert!(value.params().is_empty());
        assert!(value.uri().sip().unwrap().params().contains("unknownparam"));
    }

    /// RFC 4475 §3.1.1.1, §3.1.1.2, §3.1.1.6.
    #[test]
    fn torture_display_names_are_read() {
        assert_eq!(
            read("\"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>   ;   tag = 98asjd8")
                .display_name()
                .unwrap(),
            "J Rosenberg \\\""
        );
        assert_eq!(
            read("\"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f\" <sip:a@b>").display_name().unwrap(),
            "BEL:\x07 NUL:\0 DEL:\x7f"
        );
        let value = read(
            "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
        );
        assert_eq!(value.raw_display_name(), Some("token1~` token2'+_ token3*%!.-"));
        assert_eq!(value.params().unquoted("fromParam''~+*_!.-%").as_deref(), Some("работающий"));
        assert_eq!(read("caller<sip:caller@example.com>;tag=323").display_name().as_deref(), Some("caller"));
    }

    /// RFC 4475 §3.1.2.6, §3.1.2.13, §3.1.2.14, §3.1.2.15, and the like.
    #[test]
    fn what_the_grammar_does_not_have_is_refused() {
        for text in [
            "",
            "  ",
            "Bell, Alexander <sip:a@b>;tag=43",
            "\"Mr. J. User <sip:j.user@example.com>",
            "< sip:a@b >",
            "<sip:a@b",
            "sip:user@example.com?Route=%3Csip:x%3E",
            "sip:a,b@c",
            "<sip:a@b> x",
            "<sip:a@b>;",
            "<sip:a@b>;;x",
            "sip:a@b c",
            "\"a\" sip:a@b",
            "Müller <sip:a@b>",
            "<>",
            "\"a\"\"b\" <sip:a@b>",
            "sip:user;par=u@example.com",
        ] {
            assert!(NameAddr::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_is_built_and_owned() {
        let uri = UriBuf::parse("sip:a@b;lr").unwrap();
        let value = NameAddrBuf::new(&uri).with_display_name("A \"B\"").unwrap().with_param("x", "1 2").unwrap();
        assert_eq!(value.as_str(), "\"A \\\"B\\\"\" <sip:a@b;lr>;x=\"1 2\"");
        assert!(NameAddr::new(uri.as_uri()).with_display_name("a\r\nb").is_err());
    }

    proptest! {
        #[test]
        fn printing_is_the_inverse_of_parsing(text in "(?s)(\"[^\"]{0,6}\"|[a-z \\t]{0,6})<?(sip:|tel:\\+)[a-z0-9@.]{1,8}>?[;=a-z\" ]{0,12}") {
            if let Ok(value) = NameAddr::parse(&text) {
                let printed = value.to_string();
                prop_assert_eq!(NameAddr::parse(&printed).unwrap(), value);
            }
        }

        #[test]
        fn any_text_parses_or_is_refused_without_a_panic(text in "(?s).{0,40}") {
            let _ = NameAddr::parse(&text);
        }

        #[test]
        fn any_display_name_is_read_back_or_refused(name in "(?s).{0,24}") {
            let uri = UriBuf::parse("sip:a@b").unwrap();
            if let Ok(value) = NameAddr::new(uri.as_uri()).with_display_name(&name) {
                let text = value.to_string();
                let read = NameAddr::parse(&text).unwrap();
                prop_assert_eq!(read.display_name().unwrap(), &*name);
            }
        }
    }
}
