//! The two kinds of string of a session description (RFC 8866 §9).
//!
//! [`Text`] is `byte-string`: anything but CR, LF and NUL. [`Token`] is a word
//! between spaces. Because every field has one of these types, no value that an
//! application sets can begin a line of its own.

use std::fmt;

/// One line's worth of text: no CR, LF or NUL. May be empty.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(String);

/// A word: not empty, without white space or control characters.
///
/// Wider than the grammar's `token` on purpose: addresses, format names and
/// `trailing;` semicolons that phones add to identifiers all have to survive a
/// round trip.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(String);

/// Why a string cannot stand in a session description. The caller's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidText {
    /// CR, LF or NUL would begin a new line or end the text (RFC 8866 §5).
    LineBreak,
    /// White space or a control character would end the word.
    WhiteSpace,
    /// A word must not be empty.
    Empty,
    /// The name of an attribute ends at its first colon.
    Colon,
}

impl Text {
    /// Checks that the text stays on its line.
    pub fn new(text: impl Into<String>) -> Result<Text, InvalidText> {
        let text = text.into();
        if text.contains(['\r', '\n', '\0']) {
            return Err(InvalidText::LineBreak);
        }
        Ok(Text(text))
    }
}

impl Token {
    /// Checks that the word is one.
    pub fn new(word: impl Into<String>) -> Result<Token, InvalidText> {
        let word = word.into();
        if word.is_empty() {
            return Err(InvalidText::Empty);
        }
        if word.contains(['\r', '\n', '\0']) {
            return Err(InvalidText::LineBreak);
        }
        if word.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(InvalidText::WhiteSpace);
        }
        Ok(Token(word))
    }

    /// A word that this crate itself wrote down.
    pub(crate) fn literal(word: impl Into<String>) -> Token {
        Token::new(word).expect("words of this crate's own tables hold no white space")
    }
}

/// A text that this crate itself composed of words and numbers.
pub(crate) fn composed(text: impl Into<String>) -> Text {
    Text::new(text).expect("words and numbers hold no line break")
}

impl fmt::Display for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidText::LineBreak => "the text holds CR, LF or NUL",
            InvalidText::WhiteSpace => "the word holds white space or a control character",
            InvalidText::Empty => "the word is empty",
            InvalidText::Colon => "the name holds a colon",
        })
    }
}

impl std::error::Error for InvalidText {}

macro_rules! behaves_as_str {
    ($name:ident) => {
        impl $name {
            /// The characters.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidText;
            fn try_from(value: &str) -> Result<Self, InvalidText> {
                $name::new(value)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;
            fn try_from(value: String) -> Result<Self, InvalidText> {
                $name::new(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

behaves_as_str!(Text);
behaves_as_str!(Token);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_begin_a_line_of_its_own() {
        assert_eq!(Text::new("x\r\na=evil"), Err(InvalidText::LineBreak));
        assert_eq!(Text::new("x\0"), Err(InvalidText::LineBreak));
        assert_eq!(Token::new("a b"), Err(InvalidText::WhiteSpace));
        assert_eq!(Token::new("a\n"), Err(InvalidText::LineBreak));
        assert_eq!(Token::new(""), Err(InvalidText::Empty));
    }
}
