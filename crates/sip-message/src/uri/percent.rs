//! `escaped = "%" HEXDIG HEXDIG`, RFC 3261 §19.1.2: undone once and only once (RFC 4475 §3.1.1.3).

use std::borrow::Cow;

use crate::grammar::{self, Class, UNRESERVED};

/// The text behind the escapes, unescaped once. Octets that are not UTF-8 become U+FFFD.
pub fn decode(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'%', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let octets: Vec<u8> = Octets::of(text).collect();
    Cow::Owned(String::from_utf8(octets).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

/// Escapes whatever is not of `class`.
pub(crate) fn encode(text: &str, class: Class) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        push(&mut out, octet, class);
    }
    out
}

/// The one spelling of all that mean the same (§19.1.4): escapes of unreserved characters undone, all others in upper
/// case. A reserved character and its escape stay different.
pub(crate) fn normalize(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(percent) = memchr::memchr(b'%', rest.as_bytes()) {
        out.push_str(&rest[..percent]);
        let taken = match escape_at(rest.as_bytes(), percent) {
            Some(octet) => {
                push(out, octet, UNRESERVED);
                3
            }
            None => {
                out.push('%');
                1
            }
        };
        rest = &rest[percent + taken..];
    }
    out.push_str(rest);
}

/// Whether two texts have the same normal form, with or without regard to case.
pub(crate) fn equivalent(one: &str, other: &str, ignore_case: bool) -> bool {
    let mut one = Units::of(one);
    let mut other = Units::of(other);
    loop {
        let same = match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if ignore_case => a.0 == b.0 && a.1.eq_ignore_ascii_case(&b.1),
            (a, b) => a == b,
        };
        if !same {
            return false;
        }
    }
}

fn push(out: &mut String, octet: u8, class: Class) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if octet.is_ascii() && grammar::is(octet, class) {
        out.push(char::from(octet));
    } else {
        out.push('%');
        out.push(char::from(DIGITS[usize::from(octet >> 4)]));
        out.push(char::from(DIGITS[usize::from(octet & 15)]));
    }
}

fn escape_at(octets: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = octets.get(at..at + 3)? else {
        return None;
    };
    Some(hex(*high)? << 4 | hex(*low)?)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Octet by octet, unescaped.
struct Octets<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Octets<'a> {
    fn of(text: &'a str) -> Octets<'a> {
        Octets { octets: text.as_bytes(), at: 0 }
    }
}

impl Iterator for Octets<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let &octet = self.octets.get(self.at)?;
        if let Some(octet) = escape_at(self.octets, self.at) {
            self.at += 3;
            return Some(octet);
        }
        self.at += 1;
        Some(octet)
    }
}

/// Octet by octet, with whether it was an escape that must stay one.
struct Units<'a>(Octets<'a>);

impl<'a> Units<'a> {
    fn of(text: &'a str) -> Units<'a> {
        Units(Octets::of(text))
    }
}

impl Iterator for Units<'_> {
    type Item = (bool, u8);

    fn next(&mut self) -> Option<(bool, u8)> {
        let start = self.0.at;
        let octet = self.0.next()?;
        let escaped = self.0.at == start + 3 && !(octet.is_ascii() && grammar::is(octet, UNRESERVED));
        Some((escaped, octet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4475 §3.1.1.3: `v%61lue%25%34%31` is "value%41", never "valueA".
    #[test]
    fn an_escape_is_undone_once() {
        assert_eq!(decode("v%61lue%25%34%31"), "value%41");
        assert_eq!(decode("null-%00-null"), "null-\0-null");
        assert_eq!(decode("%D0%96"), "Ж");
        assert_eq!(decode("%ff"), "\u{fffd}");
        assert_eq!(decode("100%"), "100%");
    }

    #[test]
    fn an_unreserved_character_equals_its_escape_and_a_reserved_one_does_not() {
        assert!(equivalent("%61lice", "alice", false));
        assert!(!equivalent("%41lice", "alice", false));
        assert!(equivalent("%41lice", "alice", true));
        assert!(equivalent("a%40b", "a%40b", false));
        assert!(equivalent("%3b", "%3B", false));
        assert!(!equivalent("a%3Bb", "a;b", false));
        let mut out = String::new();
        normalize("%61%3b%d0%00", &mut out);
        assert_eq!(out, "a%3B%D0%00");
    }

    #[test]
    fn encoding_escapes_all_but_the_class() {
        assert_eq!(encode("j@s0n Ж", grammar::USER), "j%40s0n%20%D0%96");
    }
}
