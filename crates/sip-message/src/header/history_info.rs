//! History-Info, RFC 7044 §5: where a request was sent before, one entry each.

use std::borrow::Cow;
use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::Cursor;
use crate::name_addr::{Bare, NameAddr};
use crate::param::{Param, Params};
use crate::uri::Uri;

/// An entry: a target, and its place in the tree of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryInfo<'a>(NameAddr<'a>);

impl<'a> HistoryInfo<'a> {
    /// A target with an index such as `1.2.1`.
    pub fn new(uri: Uri<'a>, index: &str) -> Result<HistoryInfo<'a>, Malformed> {
        let mut address = NameAddr::new(uri);
        check_param(Param { name: "index", value: Some(index) }, 0)?;
        address.params_mut().set_token("index", index)?;
        Ok(HistoryInfo(address))
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<HistoryInfo<'a>, Malformed> {
        let mut indexed = false;
        let address = NameAddr::read(cursor, Bare::Refused, |param, at| {
            indexed |= param.name.eq_ignore_ascii_case("index");
            check_param(param, at)
        })?;
        if indexed { Ok(HistoryInfo(address)) } else { cursor.expected("an index") }
    }

    /// The target.
    pub fn uri(&self) -> Uri<'a> {
        self.0.uri()
    }

    /// The place in the tree: numbers with dots between.
    pub fn index(&self) -> &str {
        self.params().value("index").unwrap_or_default()
    }

    /// The index of the entry whose user this target was mapped from (`mp`).
    pub fn mapped_from(&self) -> Option<&str> {
        self.params().value("mp")
    }

    /// The index of the entry whose Request-URI this target changed without another user being meant (`rc`).
    pub fn changed_from(&self) -> Option<&str> {
        self.params().value("rc")
    }

    /// The display name without quotes and escapes.
    pub fn display_name(&self) -> Option<Cow<'_, str>> {
        self.0.display_name()
    }

    /// All parameters of the entry.
    pub fn params(&self) -> &Params<'a> {
        self.0.params()
    }

    /// The same with a parameter.
    pub fn with_param(self, name: &str, value: &str) -> Result<HistoryInfo<'a>, Malformed> {
        check_param(Param { name, value: Some(value) }, 0)?;
        self.0.with_param(name, value).map(HistoryInfo)
    }
}

typed_header!(HistoryInfo, true);

impl fmt::Display for HistoryInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `index-val = number *( "." number )`
fn check_param(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    if !["index", "mp", "rc", "np"].iter().any(|name| param.name.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    let number = |part: &str| !part.is_empty() && part.bytes().all(|o| o.is_ascii_digit());
    match param.value {
        Some(value) if value.split('.').all(number) => Ok(()),
        _ => Err(Malformed::new("an index such as 1.2", at)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TypedHeader, assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn entries_read_and_print() {
        let text = "<sip:bob@192.0.2.4?Reason=SIP%3Bcause%3D302>;index=1.1;mp=1";
        let entry: HistoryInfo = assert_prints(text, text);
        assert_eq!((entry.index(), entry.mapped_from(), entry.changed_from()), ("1.1", Some("1"), None));
        assert_prints::<HistoryInfo>("<sip:a@b> ;index=1; foo=bar", "<sip:a@b>;index=1; foo=bar");
        let built = HistoryInfo::new(Uri::parse("sip:a@b").unwrap(), "1.2").unwrap().with_param("rc", "1.1").unwrap();
        assert_eq!(HistoryInfo::parse(&built.to_string()).unwrap(), built);
    }

    #[test]
    fn an_entry_has_an_index() {
        assert_refuses::<HistoryInfo>(&[
            "",
            "<sip:a@b>",
            "<sip:a@b>;index",
            "<sip:a@b>;index=1.",
            "<sip:a@b>;index=a",
            "sip:a@b;index=1",
        ]);
        assert!(HistoryInfo::new(Uri::parse("sip:a@b").unwrap(), "x").is_err());
    }
}
