//! Retry-After, RFC 3261 §20.33.

use std::borrow::Cow;
use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::{self, Cursor, TEXT};
use crate::param::{Param, Params};

/// After how many seconds a refused request may be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAfter<'a> {
    seconds: u32,
    /// With its parentheses.
    comment: Option<Cow<'a, str>>,
    params: Params<'a>,
}

impl<'a> RetryAfter<'a> {
    /// This many seconds.
    pub fn new(seconds: u32) -> RetryAfter<'a> {
        RetryAfter { seconds, comment: None, params: Params::new() }
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<RetryAfter<'a>, Malformed> {
        let seconds = cursor.number()?;
        cursor.lws();
        let comment = if cursor.peek() == Some(b'(') { Some(Cow::Borrowed(read_comment(cursor)?)) } else { None };
        let params = Params::read(cursor, check_duration)?;
        Ok(RetryAfter { seconds, comment, params })
    }

    /// The seconds.
    pub fn seconds(&self) -> u32 {
        self.seconds
    }

    /// The comment as it was written, with its parentheses.
    pub fn raw_comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// For how many seconds the called party will then be reachable.
    pub fn duration(&self) -> Option<u32> {
        self.params.get("duration")?.number("", 0).ok()
    }

    /// The parameters.
    pub fn params(&self) -> &Params<'a> {
        &self.params
    }

    /// The same with a comment, which is escaped.
    pub fn with_comment(mut self, comment: &str) -> Result<RetryAfter<'a>, Malformed> {
        grammar::check_text(comment)?;
        let mut text = String::with_capacity(comment.len() + 2);
        text.push('(');
        for c in comment.chars() {
            if matches!(c, '(' | ')' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push(')');
        self.comment = Some(Cow::Owned(text));
        Ok(self)
    }

    /// The same with a duration in seconds.
    pub fn with_duration(mut self, seconds: u32) -> RetryAfter<'a> {
        self.params.put("duration", Some(&seconds.to_string()));
        self
    }
}

typed_header!(RetryAfter, false);

impl fmt::Display for RetryAfter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        if let Some(comment) = &self.comment {
            write!(f, " {comment}")?;
        }
        write!(f, "{}", self.params)
    }
}

/// `comment`, which may hold others; the depth is counted, not recursed into.
fn read_comment<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    let start = cursor.at();
    let text = cursor.rest();
    let octets = text.as_bytes();
    let (mut at, mut depth) = (0, 0usize);
    while let Some(&octet) = octets.get(at) {
        match octet {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'\\' if octets.get(at + 1).is_some_and(|&o| o < 0x80 && o != b'\r' && o != b'\n') => at += 1,
            b'\\' => break,
            octet if !grammar::is(octet, TEXT) => break,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            cursor.set(start + at);
            return Ok(&text[..at]);
        }
    }
    cursor.set(start);
    cursor.expected("a comment in parentheses")
}

fn check_duration(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    if param.name.eq_ignore_ascii_case("duration") { param.number("seconds as duration", at).map(drop) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::{TypedHeader, assert_prints, assert_refuses};
    use super::*;

    /// RFC 3261 §20.33.
    #[test]
    fn retry_after_reads_and_prints() {
        let value: RetryAfter = assert_prints("18000;duration=3600", "18000;duration=3600");
        assert_eq!((value.seconds(), value.duration()), (18000, Some(3600)));
        let value: RetryAfter =
            assert_prints("120  (I'm in a (long \\) ) meeting)", "120 (I'm in a (long \\) ) meeting)");
        assert_eq!(value.raw_comment(), Some("(I'm in a (long \\) ) meeting)"));
        let built = RetryAfter::new(5).with_comment("a) \\b").unwrap().with_duration(6);
        assert_eq!(built.to_string(), "5 (a\\) \\\\b);duration=6");
        assert_eq!(RetryAfter::parse(&built.to_string()).unwrap(), built);
    }

    /// RFC 4475 §3.1.2.5.
    #[test]
    fn what_is_no_retry_after_is_refused() {
        assert_refuses::<RetryAfter>(&[
            "949302838503028349304023988",
            "",
            "5 (open",
            "5 (a(b)",
            "5 (a\\",
            "5)",
            "5 x",
            "5;duration=x",
        ]);
        assert!(RetryAfter::new(1).with_comment("\n").is_err());
    }
}
