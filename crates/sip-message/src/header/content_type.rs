//! Content-Type, RFC 3261 §20.15; media types: RFC 2045 §5.1.

use std::borrow::Cow;
use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::{self, Cursor};
use crate::param::{Param, Params};

/// A media type: `type/subtype;parameters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    main_type: &'a str,
    subtype: &'a str,
    params: Params<'a>,
}

impl<'a> MediaType<'a> {
    /// `main_type/subtype`.
    pub fn new(main_type: &'a str, subtype: &'a str) -> Result<MediaType<'a>, Malformed> {
        grammar::check_token(main_type)?;
        grammar::check_token(subtype)?;
        Ok(MediaType { main_type, subtype, params: Params::new() })
    }

    /// Reads a media type and nothing behind it.
    pub fn parse(text: &'a str) -> Result<MediaType<'a>, Malformed> {
        MediaType::read(&mut Cursor::new(text), |_, _| Ok(()))
    }

    pub(super) fn read(
        cursor: &mut Cursor<'a>,
        check: impl FnMut(Param<'a>, usize) -> Result<(), Malformed>,
    ) -> Result<MediaType<'a>, Malformed> {
        let main_type = cursor.token()?;
        if !cursor.separator(b'/') {
            return cursor.expected("\"/\"");
        }
        let subtype = cursor.token()?;
        let params = Params::read(cursor, check)?;
        Ok(MediaType { main_type, subtype, params })
    }

    /// What stands before the slash.
    pub fn main_type(&self) -> &'a str {
        self.main_type
    }

    /// What stands behind the slash.
    pub fn subtype(&self) -> &'a str {
        self.subtype
    }

    /// Whether this is `main_type/subtype`, with any parameters; types have no case.
    pub fn is(&self, main_type: &str, subtype: &str) -> bool {
        self.main_type.eq_ignore_ascii_case(main_type) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// The parameters.
    pub fn params(&self) -> &Params<'a> {
        &self.params
    }

    /// The `boundary` of a multipart body.
    pub fn boundary(&self) -> Option<Cow<'_, str>> {
        self.params.unquoted("boundary")
    }

    /// The same with a parameter.
    pub fn with_param(mut self, name: &str, value: &str) -> Result<MediaType<'a>, Malformed> {
        self.params.set(name, value)?;
        Ok(self)
    }
}

impl fmt::Display for MediaType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.main_type, self.subtype, self.params)
    }
}

/// The media type of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType<'a>(MediaType<'a>);

impl<'a> ContentType<'a> {
    /// This media type.
    pub fn new(media_type: MediaType<'a>) -> ContentType<'a> {
        ContentType(media_type)
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<ContentType<'a>, Malformed> {
        let media_type = MediaType::read(cursor, |param, at| match param.value {
            Some(_) => Ok(()),
            None => Err(Malformed::new("a value of the parameter", at)),
        })?;
        Ok(ContentType(media_type))
    }

    /// The media type.
    pub fn media_type(&self) -> &MediaType<'a> {
        &self.0
    }

    /// Whether the media type is `main_type/subtype`, with any parameters.
    pub fn is(&self, main_type: &str, subtype: &str) -> bool {
        self.0.is(main_type, subtype)
    }

    /// The `boundary` of a multipart body.
    pub fn boundary(&self) -> Option<Cow<'_, str>> {
        self.0.boundary()
    }
}

typed_header!(ContentType, false);

impl fmt::Display for ContentType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn media_types_read_and_print() {
        assert!(assert_prints::<ContentType>("application/sdp", "application/sdp").is("Application", "SDP"));
        let text = "multipart/mixed;boundary=\"7a9c:=(x)\"";
        assert_eq!(assert_prints::<ContentType>(text, text).boundary().as_deref(), Some("7a9c:=(x)"));
        let html: ContentType = assert_prints("text / html; charset=ISO-8859-4", "text/html; charset=ISO-8859-4");
        assert_eq!(html.media_type().params().value("charset"), Some("ISO-8859-4"));
        let built = MediaType::new("multipart", "mixed").unwrap().with_param("boundary", "a b").unwrap();
        assert_eq!(ContentType::new(built).to_string(), "multipart/mixed;boundary=\"a b\"");
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        assert_refuses::<ContentType>(&["", "text", "text/", "text/html;charset", "text/html, text/plain", "a b/c"]);
        assert!(MediaType::new("a/b", "c").is_err());
    }
}
