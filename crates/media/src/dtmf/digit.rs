//! The digits of a telephone (RFC 4733 §3.2, Table 3).

use std::fmt;
use std::str::FromStr;

/// What a key of a telephone sends: 0 to 9, `*`, `#`, A to D; and the hook's flash, written `!`, which is only
/// received.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digit(u8);

/// The characters by their event codes.
const CHARACTERS: &[u8; 17] = b"0123456789*#ABCD!";

/// A text that is not one digit. The caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotADigit;

impl Digit {
    /// A short press of the hook.
    pub const FLASH: Digit = Digit(16);

    /// All digits that have tones, in the order of their event codes.
    pub fn all() -> impl Iterator<Item = Digit> {
        (0..16).map(Digit)
    }

    /// The digit of an event code.
    pub const fn from_event(event: u8) -> Option<Digit> {
        if event <= Digit::FLASH.0 { Some(Digit(event)) } else { None }
    }

    /// The digit that is written so. Small letters are taken as well.
    pub fn from_char(character: char) -> Option<Digit> {
        let character = u8::try_from(character.to_ascii_uppercase()).ok()?;
        let event = CHARACTERS.iter().position(|known| *known == character)?;
        u8::try_from(event).ok().map(Digit)
    }

    /// Its event code.
    pub const fn event(self) -> u8 {
        self.0
    }

    /// How it is written.
    pub const fn as_char(self) -> char {
        CHARACTERS[self.0 as usize] as char
    }
}

impl FromStr for Digit {
    type Err = NotADigit;

    fn from_str(text: &str) -> Result<Digit, NotADigit> {
        let mut characters = text.chars();
        match (characters.next().and_then(Digit::from_char), characters.next()) {
            (Some(digit), None) => Ok(digit),
            _ => Err(NotADigit),
        }
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_char(), f)
    }
}

impl fmt::Debug for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digit({self})")
    }
}

impl fmt::Display for NotADigit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not one of 0 to 9, *, #, A to D")
    }
}

impl std::error::Error for NotADigit {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_the_codes_of_rfc_4733_table_3() {
        for (text, event) in [("0", 0), ("9", 9), ("*", 10), ("#", 11), ("A", 12), ("D", 15), ("!", 16)] {
            let digit: Digit = text.parse().unwrap();
            assert_eq!((digit.event(), digit.to_string().as_str()), (event, text));
            assert_eq!(Digit::from_event(event), Some(digit));
        }
        assert_eq!("d".parse::<Digit>().unwrap().as_char(), 'D');
    }

    #[test]
    fn what_is_no_digit_or_more_than_one_is_refused() {
        for text in ["", "E", "10", " ", "5 ", "ü", "☎"] {
            assert_eq!(text.parse::<Digit>(), Err(NotADigit), "{text}");
        }
        assert_eq!(Digit::from_event(17), None);
    }

    #[test]
    fn sixteen_digits_have_tones() {
        let all: String = Digit::all().map(Digit::as_char).collect();
        assert_eq!(all, "0123456789*#ABCD");
    }
}
