//! Accept, RFC 3261 §20.1: one media range.

use std::fmt;

use super::{Malformed, MediaType, QValue, typed_header};
use crate::grammar::Cursor;

/// A media type, `type/*` or `*/*`, that the sender takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept<'a>(MediaType<'a>);

impl<'a> Accept<'a> {
    /// This media range.
    pub fn new(range: MediaType<'a>) -> Accept<'a> {
        Accept(range)
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Accept<'a>, Malformed> {
        let range = MediaType::read(cursor, |param, at| match param.name {
            "q" | "Q" => QValue::read(param.value, at).map(drop),
            _ => Ok(()),
        })?;
        Ok(Accept(range))
    }

    /// The media range with its parameters, among them `q`.
    pub fn range(&self) -> &MediaType<'a> {
        &self.0
    }

    /// The preference.
    pub fn q(&self) -> QValue {
        self.0.params().value("q").and_then(QValue::parse).unwrap_or(QValue::ONE)
    }

    /// Whether the sender takes `media_type` at all.
    pub fn covers(&self, media_type: &MediaType<'_>) -> bool {
        let fits = |range: &str, name: &str| range == "*" || range.eq_ignore_ascii_case(name);
        self.q() != QValue::ZERO
            && fits(self.0.main_type(), media_type.main_type())
            && fits(self.0.subtype(), media_type.subtype())
    }
}

typed_header!(Accept, true);

impl fmt::Display for Accept<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn media_ranges_read_print_and_cover() {
        let range: Accept = assert_prints("application / sdp;level=1 ; q=0.5", "application/sdp;level=1 ; q=0.5");
        assert_eq!(range.q(), QValue::new(500).unwrap());
        let sdp = MediaType::new("application", "SDP").unwrap();
        assert!(range.covers(&sdp));
        assert!(assert_prints::<Accept>("*/*", "*/*").covers(&sdp));
        assert!(!assert_prints::<Accept>("text/*", "text/*").covers(&sdp));
        assert!(!assert_prints::<Accept>("*/*;q=0", "*/*;q=0").covers(&sdp));
    }

    #[test]
    fn what_is_no_media_range_is_refused() {
        assert_refuses::<Accept>(&["", "application", "application/", "/sdp", "a/b;q=2", "a/b c"]);
    }
}
