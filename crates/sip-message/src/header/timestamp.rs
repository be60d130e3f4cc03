//! Timestamp, RFC 3261 §20.38.

use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::{Cursor, DIGIT};

/// When the client sent the request by its own clock, and how long the server then took: decimal seconds, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timestamp<'a> {
    time: &'a str,
    delay: Option<&'a str>,
}

impl<'a> Timestamp<'a> {
    /// A time, and for a response the delay: digits with at most one dot.
    pub fn new(time: &'a str, delay: Option<&'a str>) -> Result<Timestamp<'a>, Malformed> {
        for (text, least) in [(Some(time), 1), (delay, 0)] {
            let Some(text) = text else { continue };
            let mut cursor = Cursor::new(text);
            read_decimal(&mut cursor, least)?;
            if !cursor.is_end() {
                return cursor.expected("decimal seconds");
            }
        }
        Ok(Timestamp { time, delay })
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Timestamp<'a>, Malformed> {
        let time = read_decimal(cursor, 1)?;
        let delay = match cursor.lws() && !cursor.is_end() {
            true => Some(read_decimal(cursor, 0)?),
            false => None,
        };
        Ok(Timestamp { time, delay })
    }

    /// The time as it was written; the server sends it back unchanged.
    pub fn time(&self) -> &'a str {
        self.time
    }

    /// The delay as it was written.
    pub fn delay(&self) -> Option<&'a str> {
        self.delay
    }
}

typed_header!(Timestamp, false);

impl fmt::Display for Timestamp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.time)?;
        match self.delay {
            Some(delay) => write!(f, " {delay}"),
            None => Ok(()),
        }
    }
}

/// Digits with at most one dot, at least `least` digits before it and one character in all.
fn read_decimal<'a>(cursor: &mut Cursor<'a>, least: usize) -> Result<&'a str, Malformed> {
    let start = cursor.at();
    let text = cursor.rest();
    let whole = cursor.some(DIGIT, "digits").map_or(0, str::len);
    let dot = cursor.eat(b'.');
    if dot {
        let _ = cursor.some(DIGIT, "digits");
    }
    let length = cursor.at() - start;
    if whole < least || length == 0 {
        return cursor.expected("decimal seconds");
    }
    Ok(&text[..length])
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn timestamps_read_and_print() {
        assert_eq!(assert_prints::<Timestamp>("54", "54").time(), "54");
        assert_eq!(assert_prints::<Timestamp>("54.21  .5 ", "54.21 .5"), Timestamp::new("54.21", Some(".5")).unwrap());
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        assert_refuses::<Timestamp>(&["", ".5", "x", "1.2.3", "1 x", "1 2 3", "-1"]);
        assert!(Timestamp::new("1 2", None).is_err());
        assert!(Timestamp::new("1", Some("")).is_err());
    }
}
