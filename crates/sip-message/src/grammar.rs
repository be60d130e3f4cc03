//! The basic rules of SIP's grammar, RFC 3261 §25.1: character classes, white space, quoted strings, lists.
//! What a URI or a header makes of them is the business of [`crate::uri`] and [`crate::header`].

use std::borrow::Cow;
use std::fmt;

/// A text that the grammar does not allow: what should have stood there, and where.
///
/// Builders return it when the caller's value does not fit; parsers wrap it together with the header's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What the grammar asks for.
    pub expected: &'static str,
    /// The octet at which it was missed.
    pub at: usize,
}

impl Malformed {
    /// `expected` was missed at octet `at`.
    pub(crate) const fn new(expected: &'static str, at: usize) -> Malformed {
        Malformed { expected, at }
    }

    /// The same, seen from a text in which this one starts at `base`.
    pub(crate) const fn behind(self, base: usize) -> Malformed {
        Malformed { expected: self.expected, at: self.at + base }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at octet {}", self.expected, self.at)
    }
}

impl std::error::Error for Malformed {}

/// A set of character classes: one bit a class.
pub(crate) type Class = u16;

/// `token` without its length rule: alphanum and ``-.!%*_+`'~``.
pub(crate) const TOKEN: Class = 1;
/// `word`: what a Call-ID is made of.
pub(crate) const WORD: Class = 1 << 1;
/// `unreserved / user-unreserved` of a SIP URI's user, and `#`, which phones send unescaped in service codes.
pub(crate) const USER: Class = 1 << 2;
/// A password's characters without `escaped`.
pub(crate) const PASSWORD: Class = 1 << 3;
/// `paramchar` of a SIP URI without `escaped`.
pub(crate) const URI_PARAM: Class = 1 << 4;
/// `hnv-unreserved / unreserved`: header names and values behind a URI's `?`.
pub(crate) const URI_HEADER: Class = 1 << 5;
/// `uric` without `escaped`, with the brackets and fragments of RFC 3986.
pub(crate) const URIC: Class = 1 << 6;
/// What host names and IPv4 addresses are made of, and `_`, which real hosts use.
pub(crate) const HOST: Class = 1 << 7;
/// `token / host` without length rules: an unquoted parameter value (`gen-value`).
pub(crate) const GEN_VALUE: Class = 1 << 8;
/// `qdtext`, with the octets of UTF-8 and white space.
pub(crate) const QDTEXT: Class = 1 << 9;
/// `DIGIT`.
pub(crate) const DIGIT: Class = 1 << 10;
/// `HEXDIG`, in both cases.
pub(crate) const HEX: Class = 1 << 11;
/// `SP / HTAB`.
pub(crate) const WSP: Class = 1 << 12;
/// `unreserved`: never needs an escape in a URI.
pub(crate) const UNRESERVED: Class = 1 << 13;
/// Printable text: `TEXT-UTF8char` and white space.
pub(crate) const TEXT: Class = 1 << 14;

/// "=", which is no `paramchar`, but which values in Base64 carry and which can mean nothing else there.
pub(crate) const URI_PARAM_EQUAL: Class = 1 << 15;

static CLASSES: [Class; 256] = {
    let mut table = [0; 256];
    let alphanum = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let uri = USER | PASSWORD | URI_PARAM | URI_HEADER | URIC | UNRESERVED;
    table = mark(table, alphanum, TOKEN | WORD | HOST | GEN_VALUE | uri);
    table = mark(table, b"0123456789", DIGIT | HEX);
    table = mark(table, b"ABCDEFabcdef", HEX);
    table = mark(table, b"-.!%*_+`'~", TOKEN | WORD | GEN_VALUE);
    table = mark(table, b"()<>:\\\"/[]?{}", WORD);
    table = mark(table, b"-_.!~*'()", uri);
    table = mark(table, b"&=+$,;?/#", USER);
    table = mark(table, b"&=+$,", PASSWORD);
    table = mark(table, b"[]/:&+$", URI_PARAM);
    table = mark(table, b"=", URI_PARAM_EQUAL);
    table = mark(table, b"[]/?:+$", URI_HEADER);
    table = mark(table, b";/?:@&=+$,[]#", URIC);
    table = mark(table, b"-._", HOST);
    table = mark(table, b"[]:", GEN_VALUE);
    table = mark(table, b" \t", QDTEXT | WSP | TEXT);
    let mut octet = 0x21;
    while octet <= 0xff {
        if octet != 0x7f {
            table[octet] |= TEXT;
            if octet != b'"' as usize && octet != b'\\' as usize {
                table[octet] |= QDTEXT;
            }
        }
        octet += 1;
    }
    table
};

const fn mark(mut table: [Class; 256], octets: &[u8], class: Class) -> [Class; 256] {
    let mut at = 0;
    while at < octets.len() {
        table[octets[at] as usize] |= class;
        at += 1;
    }
    table
}

/// Whether `octet` is of one of the classes.
#[inline]
pub(crate) fn is(octet: u8, class: Class) -> bool {
    CLASSES[octet as usize] & class != 0
}

/// Where the run of octets of a class that starts at `at` ends.
#[inline]
pub(crate) fn run(octets: &[u8], mut at: usize, class: Class) -> usize {
    while at < octets.len() && is(octets[at], class) {
        at += 1;
    }
    at
}

/// Whether every octet is of a class.
#[inline]
pub(crate) fn all(octets: &[u8], class: Class) -> bool {
    run(octets, 0, class) == octets.len()
}

/// Where the run of a URI's characters ends: those of a class and `%` with two digits behind it.
#[inline]
pub(crate) fn escaped_run(octets: &[u8], mut at: usize, class: Class) -> usize {
    loop {
        at = run(octets, at, class);
        match octets.get(at..at + 3) {
            Some([b'%', high, low]) if is(*high, HEX) && is(*low, HEX) => at += 3,
            _ => return at,
        }
    }
}

/// Whether `text` is a `token`.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && all(text.as_bytes(), TOKEN)
}

/// How many octets at the front make a token.
pub(crate) fn token_len(octets: &[u8]) -> usize {
    run(octets, 0, TOKEN)
}

/// Behind the white space at `at`. Values are unfolded, so that LWS is spaces and tabs.
#[inline]
pub(crate) fn skip_lws(octets: &[u8], at: usize) -> usize {
    run(octets, at, WSP)
}

/// `text` without white space at both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Behind the quoted string that starts at `at`; `None` when there is none, or when it does not end.
#[inline]
pub(crate) fn quoted_end(octets: &[u8], at: usize) -> Option<usize> {
    if octets.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at = run(octets, at, QDTEXT);
        match octets.get(at)? {
            b'"' => return Some(at + 1),
            // quoted-pair: any octet of ASCII but CR and LF.
            b'\\' if octets.get(at + 1).is_some_and(|&o| o < 0x80 && o != b'\r' && o != b'\n') => at += 2,
            _ => return None,
        }
    }
}

/// The content of a quoted string; a text that is none is returned as it is.
pub(crate) fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Writes `text` as a quoted string. What can't stand in one must have been refused before: [`check_text`].
pub(crate) fn write_quoted(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') || (c.is_ascii_control() && c != '\t') {
            out.write_char('\\')?;
        }
        out.write_char(c)?;
    }
    out.write_char('"')
}

/// `text` as a quoted string.
pub(crate) fn quote(text: &str) -> Result<String, Malformed> {
    check_text(text)?;
    let mut out = String::with_capacity(text.len() + 2);
    // Writing to a String can't fail.
    let _ = write_quoted(&mut out, text);
    Ok(out)
}

/// Refuses CR, LF, NUL and the other controls but HTAB in what a caller wants to put into a message.
pub(crate) fn check_text(text: &str) -> Result<(), Malformed> {
    match run(text.as_bytes(), 0, TEXT) {
        end if end == text.len() => Ok(()),
        end => Err(Malformed::new("text without control characters", end)),
    }
}

/// Refuses what is no token.
pub(crate) fn check_token(text: &str) -> Result<(), Malformed> {
    if is_token(text) { Ok(()) } else { Err(Malformed::new("a token", token_len(text.as_bytes()))) }
}

/// Whether the octets would end the line that they are printed into, or confuse a peer that stops at NUL.
pub(crate) fn breaks_a_line(octets: &[u8]) -> bool {
    memchr::memchr3(b'\r', b'\n', 0, octets).is_some()
}

/// Whether every NUL stands as a quoted-pair in a quoted string, the only place where RFC 3261 §25.1 allows one.
pub(crate) fn nul_is_quoted(octets: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for &octet in octets {
        if octet == 0 && !(quoted && escaped) {
            return false;
        }
        (quoted, escaped) = match octet {
            _ if escaped => (quoted, false),
            b'\\' if quoted => (true, true),
            b'"' => (!quoted, false),
            _ => (quoted, false),
        };
    }
    true
}

/// Where the first element of a list ends: before the first comma that stands neither in quotes nor in `<>`, and before
/// the white space in front of it.
pub(crate) fn first_value_end(value: &str) -> usize {
    let octets = value.as_bytes();
    let Some(mut end) = memchr::memchr(b',', octets) else {
        return trimmed_end(octets, octets.len());
    };
    // A quote or bracket before the comma may hold it.
    if memchr::memchr2(b'"', b'<', &octets[..end]).is_some() {
        end = outer_comma(octets).unwrap_or(octets.len());
    }
    trimmed_end(octets, end)
}

/// Where the octets before `end` end without their white space.
fn trimmed_end(octets: &[u8], mut end: usize) -> usize {
    while end > 0 && is(octets[end - 1], WSP) {
        end -= 1;
    }
    end
}

fn outer_comma(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr3(b',', b'"', b'<', &octets[at..])?;
        match octets[at] {
            b',' => return Some(at),
            b'"' => at = lenient_quoted_end(octets, at)?,
            _ => at += memchr::memchr(b'>', &octets[at..])? + 1,
        }
    }
}

/// Behind the quoted string at `at`, whatever is in it: only quotes and backslashes count.
fn lenient_quoted_end(octets: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', octets.get(at..)?)?;
        if octets[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// A decimal number that fits 32 bits: `1*DIGIT`, leading zeros allowed. Larger ones are refused (RFC 4475 §3.1.2.4).
pub(crate) fn number(digits: &str) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for octet in digits.bytes() {
        if !octet.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(octet - b'0');
        if value > u64::from(u32::MAX) {
            return None;
        }
    }
    Some(value as u32)
}

/// Reads one value from left to right; each step says what it expects.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn set(&mut self, at: usize) {
        self.at = at;
    }

    pub(crate) fn octets(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.octets().get(self.at).copied()
    }

    pub(crate) fn is_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub(crate) fn expected<T>(&self, expected: &'static str) -> Result<T, Malformed> {
        Err(Malformed::new(expected, self.at))
    }

    /// `SWS`; whether there was any.
    #[inline]
    pub(crate) fn lws(&mut self) -> bool {
        let start = self.at;
        self.at = skip_lws(self.octets(), start);
        self.at != start
    }

    /// `SWS octet SWS`, when it stands here; nothing is taken otherwise.
    #[inline]
    pub(crate) fn separator(&mut self, octet: u8) -> bool {
        let at = skip_lws(self.octets(), self.at);
        if self.octets().get(at) != Some(&octet) {
            return false;
        }
        self.at = skip_lws(self.octets(), at + 1);
        true
    }

    /// `octet`, when it stands here.
    #[inline]
    pub(crate) fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    /// One or more octets of a class. Only for classes without a part of a multi-octet character.
    #[inline]
    pub(crate) fn some(&mut self, class: Class, expected: &'static str) -> Result<&'a str, Malformed> {
        let start = self.at;
        self.at = run(self.octets(), start, class);
        if self.at == start {
            return self.expected(expected);
        }
        Ok(&self.text[start..self.at])
    }

    #[inline]
    pub(crate) fn token(&mut self) -> Result<&'a str, Malformed> {
        self.some(TOKEN, "a token")
    }

    /// `1*DIGIT` up to 2^32 - 1.
    pub(crate) fn number(&mut self) -> Result<u32, Malformed> {
        let start = self.at;
        let digits = self.some(DIGIT, "digits")?;
        number(digits).ok_or(Malformed::new("a number below 2^32", start))
    }

    /// A quoted string with its quotes.
    pub(crate) fn quoted(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        match quoted_end(self.octets(), start) {
            Some(end) => {
                self.at = end;
                Ok(&self.text[start..end])
            }
            None => self.expected("a quoted string"),
        }
    }

    /// White space, then nothing.
    pub(crate) fn end(&mut self) -> Result<(), Malformed> {
        self.lws();
        if self.is_end() { Ok(()) } else { self.expected("the end of the value") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(class: Class) -> String {
        (0u8..0x80).filter(|&o| is(o, class)).map(char::from).collect()
    }

    fn sorted(text: &str) -> String {
        let mut octets: Vec<u8> = text.bytes().collect();
        octets.sort_unstable();
        octets.dedup();
        String::from_utf8(octets).unwrap()
    }

    const ALPHANUM: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const MARK: &str = "-_.!~*'()";

    /// RFC 3261 §25.1, rule by rule.
    #[test]
    fn each_class_holds_the_characters_of_its_rule() {
        assert_eq!(members(TOKEN), sorted(&format!("{ALPHANUM}-.!%*_+`'~")));
        assert_eq!(members(WORD), sorted(&format!("{ALPHANUM}-.!%*_+`'~()<>:\\\"/[]?{{}}")));
        assert_eq!(members(USER), sorted(&format!("{ALPHANUM}{MARK}&=+$,;?/#")));
        assert_eq!(members(PASSWORD), sorted(&format!("{ALPHANUM}{MARK}&=+$,")));
        assert_eq!(members(URI_PARAM), sorted(&format!("{ALPHANUM}{MARK}[]/:&+$")));
        assert_eq!(members(URI_HEADER), sorted(&format!("{ALPHANUM}{MARK}[]/?:+$")));
        assert_eq!(members(UNRESERVED), sorted(&format!("{ALPHANUM}{MARK}")));
        assert_eq!(members(HEX), "0123456789ABCDEFabcdef");
        assert_eq!(members(WSP), "\t ");
        assert!(!is(0x7f, TEXT | QDTEXT) && !is(0, TEXT | QDTEXT) && is(0xc3, TEXT) && is(0xc3, QDTEXT));
    }

    #[test]
    fn a_quoted_string_ends_at_its_own_quote() {
        assert_eq!(quoted_end(br#""a \" b" c"#, 0), Some(8));
        assert_eq!(quoted_end(br#""a \\" b"#, 0), Some(6));
        assert_eq!(quoted_end(b"\"\\\0\"", 0), Some(4));
        assert_eq!(quoted_end(b"\"\0\"", 0), None);
        assert_eq!(quoted_end(b"\"a\r\nb\"", 0), None);
        assert_eq!(quoted_end(b"\"\\\n\"", 0), None);
        assert_eq!(quoted_end(b"\"open", 0), None);
        assert_eq!(quoted_end(b"\"open\\", 0), None);
        assert_eq!(quoted_end("\"\\é\"".as_bytes(), 0), None);
    }

    #[test]
    fn quoting_and_unquoting_are_inverse() {
        for text in ["", "plain", r#"say "hi""#, r"back\slash", "Ж tab\t"] {
            let quoted = quote(text).unwrap();
            assert_eq!(quoted_end(quoted.as_bytes(), 0), Some(quoted.len()));
            assert_eq!(unquote(&quoted), text);
        }
        assert!(quote("a\r\nVia: x").is_err());
        assert!(quote("a\0").is_err());
    }

    #[test]
    fn commas_in_quotes_and_brackets_do_not_split() {
        for (list, first) in [
            (r#""a, b" <sip:x,y@z> , sip:c"#, r#""a, b" <sip:x,y@z>"#),
            (r#"sip:c ;q="," , x"#, r#"sip:c ;q=",""#),
            (r#""\"," <d>, x"#, r#""\"," <d>"#),
            (", x", ""),
        ] {
            assert_eq!(&list[..first_value_end(list)], first);
        }
        assert_eq!(first_value_end("one  , two"), 3);
        assert_eq!(first_value_end("\"open, two"), 10);
        assert_eq!(first_value_end("<open, two"), 10);
        assert_eq!(first_value_end("  "), 0);
    }

    #[test]
    fn a_nul_is_only_allowed_as_a_quoted_pair() {
        assert!(nul_is_quoted(b"\"a \\\0\" <sip:a@b>"));
        assert!(!nul_is_quoted(b"\"a \0\" <sip:a@b>"));
        assert!(!nul_is_quoted(b"a\\\0"));
        assert!(!nul_is_quoted(b"\"a\\\\\0\""));
    }

    #[test]
    fn numbers_stop_at_32_bits() {
        assert_eq!(number("0009"), Some(9));
        assert_eq!(number("4294967295"), Some(u32::MAX));
        assert_eq!(number("4294967296"), None);
        assert_eq!(number("99999999999999999999999999"), None);
        assert_eq!(number(""), None);
        assert_eq!(number("-1"), None);
    }
}
