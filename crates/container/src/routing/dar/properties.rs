//! The syntax of Java's properties files (`java.util.Properties.load`): comments, continued lines, separators, escapes.

use std::iter::Peekable;
use std::str::Chars;

use super::{DarError, DarMistake};

/// Where a character stands; both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A character of a logical line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) character: char,
    pub(super) place: Place,
    /// Whether it was written with a backslash, and so separates nothing.
    escaped: bool,
}

/// A key and its value.
pub(super) struct Property {
    pub(super) key: String,
    /// Where the key starts.
    pub(super) place: Place,
    pub(super) value: Vec<Spot>,
    /// Where the value ends.
    pub(super) end: Place,
}

/// The properties of a text, in order.
pub(super) struct Properties<'t> {
    characters: Peekable<Chars<'t>>,
    place: Place,
}

impl<'t> Properties<'t> {
    pub(super) fn new(text: &'t str) -> Properties<'t> {
        Properties { characters: text.chars().peekable(), place: Place { line: 1, column: 1 } }
    }

    /// The next character; every end of a line is one `\n`.
    fn take(&mut self) -> Option<char> {
        let character = self.characters.next()?;
        if character != '\r' && character != '\n' {
            self.place.column += 1;
            return Some(character);
        }
        if character == '\r' {
            self.characters.next_if_eq(&'\n');
        }
        self.place = Place { line: self.place.line + 1, column: 1 };
        Some('\n')
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.characters.peek().is_some_and(|&character| wanted(character)) {
            self.take();
        }
    }

    /// Up to the first character of the next property; `false` when there is none.
    fn skip_to_property(&mut self) -> bool {
        loop {
            self.skip_while(|c| is_blank(c) || is_line_end(c));
            match self.characters.peek() {
                None => return false,
                Some('#' | '!') => self.skip_while(|c| !is_line_end(c)),
                Some(_) => return true,
            }
        }
    }

    /// The characters up to the end of a line that is not continued, without escapes.
    fn logical_line(&mut self) -> Result<Vec<Spot>, DarError> {
        let mut line = Vec::new();
        loop {
            let place = self.place;
            match self.characters.peek() {
                None => return Ok(line),
                Some(&c) if is_line_end(c) => return Ok(line),
                Some('\\') => {
                    self.take();
                    if let Some(character) = self.escaped(place)? {
                        line.push(Spot { character, place, escaped: true });
                    }
                }
                Some(&character) => {
                    self.take();
                    line.push(Spot { character, place, escaped: false });
                }
            }
        }
    }

    /// What a backslash and the characters behind it mean; `None` when they continue the line.
    fn escaped(&mut self, place: Place) -> Result<Option<char>, DarError> {
        let character = match self.take() {
            None => return Ok(None),
            Some('\n') => {
                self.skip_while(is_blank);
                return Ok(None);
            }
            Some('t') => '\t',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('f') => '\u{c}',
            Some('u') => self.code_point().ok_or_else(|| DarError::new(place, DarMistake::Escape))?,
            Some(other) => other,
        };
        Ok(Some(character))
    }

    /// Behind `\u`: a UTF-16 unit, or two with `\u` between them.
    fn code_point(&mut self) -> Option<char> {
        let first = self.unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first.into());
        }
        if self.take() != Some('\\') || self.take() != Some('u') {
            return None;
        }
        let second = self.unit()?;
        char::decode_utf16([first, second]).next()?.ok()
    }

    fn unit(&mut self) -> Option<u16> {
        (0..4).try_fold(0, |unit, _| {
            let digit = self.take()?.to_digit(16)?;
            Some(unit << 4 | u16::try_from(digit).ok()?)
        })
    }
}

impl Iterator for Properties<'_> {
    type Item = Result<Property, DarError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.skip_to_property() {
            return None;
        }
        let place = self.place;
        Some(self.logical_line().map(|line| property(&line, place, self.place)))
    }
}

/// The key ends at the first white space, `=` or `:`; one `=` or `:` and the white space round it belong to neither.
fn property(line: &[Spot], place: Place, end: Place) -> Property {
    let key_end = line.iter().position(|spot| spot.is_blank() || spot.is_assignment()).unwrap_or(line.len());
    let (key, rest) = line.split_at(key_end);
    let mut rest = skip_blanks(rest);
    if let [first, others @ ..] = rest
        && first.is_assignment()
    {
        rest = skip_blanks(others);
    }
    Property { key: key.iter().map(|spot| spot.character).collect(), place, value: rest.to_vec(), end }
}

fn skip_blanks(line: &[Spot]) -> &[Spot] {
    let blanks = line.iter().take_while(|spot| spot.is_blank()).count();
    &line[blanks..]
}

impl Spot {
    pub(super) fn is_blank(&self) -> bool {
        !self.escaped && is_blank(self.character)
    }

    fn is_assignment(&self) -> bool {
        !self.escaped && matches!(self.character, '=' | ':')
    }
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}')
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\r' | '\n')
}
