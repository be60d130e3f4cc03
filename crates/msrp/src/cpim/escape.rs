//! The escapes of RFC 3862 §2.3: what a header's one line cannot carry.

use std::borrow::Cow;
use std::fmt::Write;

/// The text without control characters and without bare backslashes.
pub(super) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, character| {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\u{8}' => escaped.push_str("\\b"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            control if control.is_ascii_control() => {
                write!(escaped, "\\u{:04x}", u32::from(control)).expect("writing to a String never fails");
            }
            character => escaped.push(character),
        }
        escaped
    })
}

/// The text that was escaped.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    // Escapes are of UCS-2: two of them may make one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if character != '\\' {
            push(&mut units, character);
            continue;
        }
        // An isolated backslash at the end is ignored.
        let Some(letter) = rest.chars().next() else { break };
        rest = &rest[letter.len_utf8()..];
        match letter {
            'b' => push(&mut units, '\u{8}'),
            't' => push(&mut units, '\t'),
            'n' => push(&mut units, '\n'),
            'r' => push(&mut units, '\r'),
            'u' => match rest.get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit())) {
                Some(digits) => {
                    units.extend(u16::from_str_radix(digits, 16));
                    rest = &rest[4..];
                }
                None => push(&mut units, 'u'),
            },
            // What is no escape is the character itself.
            letter => push(&mut units, letter),
        }
    }
    Cow::Owned(String::from_utf16_lossy(&units))
}

fn push(units: &mut Vec<u16>, character: char) {
    units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_reads_as_it_was() {
        for text in ["", "plain", "a\\b", "\u{0}\u{8}\t\n\r\u{1f}\u{7f}", "ü\\uü", "😀"] {
            let escaped = escape(text);
            assert!(!escaped.contains(|character: char| character.is_ascii_control()), "{escaped:?}");
            assert_eq!(unescape(&escaped), text);
        }
    }

    /// RFC 3862 §2.3.1: what processors should recognise beyond what they write.
    #[test]
    fn every_escape_is_understood_and_what_is_none_is_its_letter() {
        assert_eq!(unescape(r#"\u0041\u00e9\ud83d\ude00"#), "Aé😀");
        assert_eq!(unescape(r#"\"\'\q\u12"#), "\"'qu12");
        assert_eq!(unescape("end\\"), "end");
        assert_eq!(unescape(r"\ud83d alone"), "\u{fffd} alone");
    }
}
