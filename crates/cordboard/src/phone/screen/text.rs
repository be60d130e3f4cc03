//! Text for a terminal: what others wrote is cleaned once, where it comes in, and then fitted to the room there is.

use std::fmt;
use std::ops::Deref;

use ratatui::buffer::CellWidth as _;
use ratatui::style::Style;
use ratatui::text::Span;

use super::super::lines::printable;

/// Text in which nothing is left that a terminal obeys, that turns the direction of writing, that can't be seen, or that
/// terminals give different widths. The screen shows no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::phone) struct Clean(String);

/// A peer that writes more than this has nothing to say to people.
const LONGEST: usize = 1_024;

/// How many marks may stand on one letter; Vietnamese and Hebrew need two.
const MARKS: usize = 2;

impl Clean {
    /// Cleans a text.
    pub(in crate::phone) fn new(text: &str) -> Clean {
        let spaced: String = text.chars().take(LONGEST + 1).map(space).collect();
        let mut clean = String::new();
        // A mark at the very beginning would stand on what is left of the text.
        let mut marks = MARKS;
        for (count, letter) in printable(&spaced).chars().enumerate() {
            if count == LONGEST {
                clean.push('…');
                break;
            }
            match kind(letter) {
                Kind::Letter => marks = 0,
                Kind::Mark if marks < MARKS => marks += 1,
                Kind::Mark | Kind::Invisible => continue,
                Kind::Turning => {
                    clean.push('\u{fffd}');
                    marks = MARKS;
                    continue;
                }
            }
            clean.push(letter);
        }
        Clean(clean)
    }

    /// A letter that somebody types, if it may stand in such a text.
    pub(super) fn letter(letter: char) -> Option<char> {
        (!letter.is_control() && matches!(kind(letter), Kind::Letter | Kind::Mark)).then_some(letter)
    }
}

impl Deref for Clean {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl From<&str> for Clean {
    fn from(text: &str) -> Clean {
        Clean::new(text)
    }
}

impl From<String> for Clean {
    fn from(text: String) -> Clean {
        Clean::new(&text)
    }
}

/// The text if it has room, otherwise as much as has, and an ellipsis.
pub(super) fn fitted(text: &str, width: usize) -> String {
    if cells(text) <= width {
        return text.to_owned();
    }
    let mut fitted = String::new();
    let mut used = 0;
    for letter in letters(text) {
        used += cells_of(letter);
        if used >= width {
            break;
        }
        fitted.push_str(letter);
    }
    if width > 0 {
        fitted.push('…');
    }
    fitted
}

/// The end of the text if all of it has no room: what is being typed.
pub(super) fn fitted_end(text: &str, width: usize) -> String {
    let mut used = 0;
    let fitting = letters(text).rev().take_while(|letter| {
        used += cells_of(letter);
        used <= width
    });
    let mut end: Vec<&str> = fitting.collect();
    end.reverse();
    end.concat()
}

/// The text in lines of that width, broken between words where it can be.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && used + 1 + cells(word) > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if !line.is_empty() {
            line.push(' ');
            used += 1;
        }
        // Only a word that is longer than a line is broken itself.
        for letter in letters(word) {
            let taken = cells_of(letter);
            if !line.is_empty() && used + taken > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push_str(letter);
            used += taken;
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// How many cells of a terminal it takes.
pub(super) fn cells(text: &str) -> usize {
    letters(text).map(cells_of).sum()
}

fn cells_of(letter: &str) -> usize {
    usize::from(letter.cell_width())
}

/// What a reader sees as letters: a mark belongs to what it stands on.
fn letters(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    let graphemes = Span::raw(text);
    let graphemes: Vec<usize> =
        graphemes.styled_graphemes(Style::new()).map(|grapheme| grapheme.symbol.len()).collect();
    let mut rest = text;
    let mut letters = Vec::with_capacity(graphemes.len());
    for length in graphemes {
        let Some((letter, after)) = rest.split_at_checked(length) else { break };
        letters.push(letter);
        rest = after;
    }
    letters.into_iter()
}

/// What breaks lines or jumps to columns is a space on a screen.
fn space(letter: char) -> char {
    if matches!(letter, '\t'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}') { ' ' } else { letter }
}

/// What a character does on a terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Takes a place.
    Letter,
    /// Stands on a letter.
    Mark,
    /// Is not seen, or changes how wide terminals draw its neighbours, each in its own way.
    Invisible,
    /// Turns the direction of writing: an address could be read backwards (Unicode TR 36, §2.5).
    Turning,
}

fn kind(letter: char) -> Kind {
    match letter {
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Kind::Turning,
        // Default_Ignorable_Code_Point of Unicode, interlinear annotations, and the tints of emoji.
        '\u{ad}'
        | '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{1f3fb}'..='\u{1f3ff}'
        | '\u{e0000}'..='\u{e0fff}' => Kind::Invisible,
        _ if letter.encode_utf8(&mut [0; 4]).cell_width() == 0 => Kind::Mark,
        _ => Kind::Letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_replaced() {
        assert_eq!(
            &*Clean::new("\x1b]0;owned\x07 \x1b[2Jbob\u{9b}31m"),
            "\u{fffd}]0;owned\u{fffd} \u{fffd}[2Jbob\u{fffd}31m"
        );
        assert_eq!(&*Clean::new("two\nlines\tand\u{2028}more"), "two lines and more");
    }

    /// Unicode TR 36, §2.5.
    #[test]
    fn an_address_can_not_be_turned_round() {
        assert_eq!(&*Clean::new("sip:\u{202e}moc.live@bob"), "sip:\u{fffd}moc.live@bob");
        assert_eq!(&*Clean::new("sip:al\u{200b}ice\u{fe0f}\u{e0041}"), "sip:alice");
    }

    #[test]
    fn names_keep_their_marks_but_not_a_tower_of_them() {
        assert_eq!(&*Clean::new("Nguye\u{302}\u{303}n"), "Nguye\u{302}\u{303}n");
        let tower = format!("e{}n", "\u{301}".repeat(1_000));
        assert_eq!(&*Clean::new(&tower), "e\u{301}\u{301}n");
        assert_eq!(&*Clean::new("\u{301}x"), "x");
    }

    #[test]
    fn a_text_without_an_end_has_one() {
        let long = Clean::new(&"a".repeat(100_000));
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with('…'));
        assert_eq!(Clean::new(&"a".repeat(LONGEST)).len(), LONGEST);
    }

    #[test]
    fn cleaning_twice_changes_nothing_more() {
        for text in ["\x1b[2J\u{202e}a\u{301}\u{301}\u{301}", "日本語", "", "\u{301}", "👩\u{200d}👩"] {
            let once = Clean::new(text);
            assert_eq!(Clean::new(&once), once, "{text:?}");
        }
    }

    #[test]
    fn a_text_is_fitted_by_cells_and_not_by_letters() {
        assert_eq!(fitted("alice", 5), "alice");
        assert_eq!(fitted("alice", 4), "ali…");
        assert_eq!(fitted("日本語", 5), "日本…");
        assert_eq!(fitted("日本語", 4), "日…");
        assert_eq!(fitted("alice", 1), "…");
        assert_eq!(fitted("alice", 0), "");
        assert_eq!(fitted_end("alice", 3), "ice");
        assert_eq!(fitted_end("日本語", 5), "本語");
    }

    #[test]
    fn lines_break_between_words_and_long_words_break_anywhere() {
        assert_eq!(
            wrapped("not agreed: 488 Not Acceptable Here", 12),
            ["not agreed:", "488 Not", "Acceptable", "Here"]
        );
        assert_eq!(wrapped("sip:abcdefghij x", 6), ["sip:ab", "cdefgh", "ij x"]);
        assert_eq!(wrapped("", 6), [""]);
        assert_eq!(wrapped("ab", 0), ["a", "b"]);
    }
}
