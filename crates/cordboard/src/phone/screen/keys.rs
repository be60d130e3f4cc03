//! What the keys mean.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::text::Clean;

/// What somebody at the keyboard wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::phone) enum Key {
    /// Hold, or hold no longer.
    Hold,
    /// Record, or record no longer.
    Record,
    /// Send this digit.
    Digit(char),
    /// Have the other side call somebody else.
    Transfer,
    /// Be silent, or no longer.
    Mute,
    /// Show all that is known of the call, or no longer.
    Info,
    /// End the call.
    End,
    /// Explain the keys, or no longer.
    Help,
    /// Answer the call that comes.
    Answer,
    /// Reject it.
    Reject,
    /// Look at the next call.
    Next,
    /// Look at the one before.
    Previous,
    /// This letter is typed, where text is asked for.
    Text(char),
    /// The last letter is taken back.
    Backspace,
    /// That is the text.
    Enter,
    /// Rather not.
    Escape,
    /// End everything at once.
    Interrupt,
}

/// What an event of the terminal means; `typing` says whether text is asked for.
pub(super) fn meant(event: &Event, typing: bool) -> Vec<Key> {
    match event {
        Event::Key(key) => pressed(key, typing).into_iter().collect(),
        // A pasted text presses no keys: it could hang up.
        Event::Paste(text) if typing => {
            // One line is typed here; what was on several stays apart.
            let letters = text.trim().chars().map(|letter| if letter.is_whitespace() { ' ' } else { letter });
            letters.filter_map(Clean::letter).map(Key::Text).collect()
        }
        _ => Vec::new(),
    }
}

fn pressed(key: &KeyEvent, typing: bool) -> Option<Key> {
    let held = key.modifiers.intersection(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match (key.kind, typing) {
        (KeyEventKind::Release, _) | (KeyEventKind::Repeat, false) => return None,
        (KeyEventKind::Press | KeyEventKind::Repeat, _) => {}
    }
    match (key.code, held) {
        (KeyCode::Char('c' | 'C'), KeyModifiers::CONTROL) => Some(Key::Interrupt),
        (KeyCode::Esc, _) => Some(Key::Escape),
        // What ends a call in clients of this kind, and a text in all terminals.
        (KeyCode::Char('d' | 'D'), KeyModifiers::CONTROL) => Some(Key::End),
        (code, held) if typing => typed(code, held),
        (KeyCode::Char(letter), KeyModifiers::NONE) => command(letter),
        (KeyCode::Right | KeyCode::Down | KeyCode::Tab, KeyModifiers::NONE) => Some(Key::Next),
        (KeyCode::Left | KeyCode::Up | KeyCode::BackTab, KeyModifiers::NONE) => Some(Key::Previous),
        (KeyCode::F(1), _) => Some(Key::Help),
        _ => None,
    }
}

fn typed(code: KeyCode, held: KeyModifiers) -> Option<Key> {
    match code {
        // AltGr, with which many keyboards write `@`, is Ctrl and Alt together.
        KeyCode::Char(letter) if held.is_empty() || held == KeyModifiers::CONTROL | KeyModifiers::ALT => {
            Clean::letter(letter).map(Key::Text)
        }
        // Ctrl-H is what some terminals send for it.
        KeyCode::Backspace | KeyCode::Char('h') => Some(Key::Backspace),
        KeyCode::Enter => Some(Key::Enter),
        _ => None,
    }
}

fn command(letter: char) -> Option<Key> {
    Some(match letter {
        // Upper case, because `d` and its like may become commands.
        '0'..='9' | '*' | '#' | 'A'..='D' => Key::Digit(letter),
        'h' | 'H' | ' ' => Key::Hold,
        'r' | 'R' => Key::Record,
        't' | 'T' => Key::Transfer,
        'm' | 'M' => Key::Mute,
        'i' | 'I' => Key::Info,
        'q' | 'Q' => Key::End,
        'y' | 'Y' => Key::Answer,
        'n' | 'N' => Key::Reject,
        '?' => Key::Help,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode, modifiers: KeyModifiers, typing: bool) -> Option<Key> {
        meant(&Event::Key(KeyEvent::new(code, modifiers)), typing).first().copied()
    }

    fn letter(letter: char) -> Option<Key> {
        press(KeyCode::Char(letter), KeyModifiers::NONE, false)
    }

    #[test]
    fn letters_are_commands_and_upper_case_a_to_d_are_digits() {
        let keys = [('h', Key::Hold), ('r', Key::Record), ('t', Key::Transfer), ('m', Key::Mute), ('i', Key::Info)];
        let more = [('q', Key::End), ('?', Key::Help), ('y', Key::Answer), ('n', Key::Reject), (' ', Key::Hold)];
        for (pressed, key) in keys.into_iter().chain(more) {
            assert_eq!(letter(pressed), Some(key));
        }
        for digit in "0123456789*#ABCD".chars() {
            assert_eq!(letter(digit), Some(Key::Digit(digit)));
        }
        for nothing in "abcdezE\u{7}é".chars() {
            assert_eq!(letter(nothing), None, "{nothing:?}");
        }
        assert_eq!(press(KeyCode::Char('D'), KeyModifiers::SHIFT, false), Some(Key::Digit('D')));
    }

    #[test]
    fn control_c_ends_at_once_whatever_is_asked() {
        for typing in [false, true] {
            assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL, typing), Some(Key::Interrupt));
        }
        for typing in [false, true] {
            assert_eq!(press(KeyCode::Char('d'), KeyModifiers::CONTROL, typing), Some(Key::End));
        }
        assert_eq!(press(KeyCode::Char('q'), KeyModifiers::CONTROL, false), None);
        assert_eq!(press(KeyCode::Char('h'), KeyModifiers::ALT, false), None);
    }

    #[test]
    fn arrows_turn_to_other_calls() {
        for (code, key) in [
            (KeyCode::Right, Key::Next),
            (KeyCode::Down, Key::Next),
            (KeyCode::Left, Key::Previous),
            (KeyCode::Up, Key::Previous),
        ] {
            assert_eq!(press(code, KeyModifiers::NONE, false), Some(key));
        }
    }

    #[test]
    fn where_text_is_asked_for_letters_are_letters() {
        let typed = |letter| press(KeyCode::Char(letter), KeyModifiers::NONE, true);
        for plain in "qht?1A é".chars() {
            assert_eq!(typed(plain), Some(Key::Text(plain)));
        }
        assert_eq!(press(KeyCode::Char('@'), KeyModifiers::CONTROL | KeyModifiers::ALT, true), Some(Key::Text('@')));
        assert_eq!(press(KeyCode::Backspace, KeyModifiers::NONE, true), Some(Key::Backspace));
        assert_eq!(press(KeyCode::Char('h'), KeyModifiers::CONTROL, true), Some(Key::Backspace));
        assert_eq!(press(KeyCode::Enter, KeyModifiers::NONE, true), Some(Key::Enter));
        assert_eq!(press(KeyCode::Esc, KeyModifiers::NONE, true), Some(Key::Escape));
        assert_eq!(press(KeyCode::Left, KeyModifiers::NONE, true), None);
        assert_eq!(typed('\u{202e}'), None);
    }

    #[test]
    fn a_pasted_text_is_typed_but_presses_no_keys() {
        let paste = Event::Paste("q\x1b\r\nt\n".into());
        assert_eq!(meant(&paste, false), []);
        let letters: Vec<Key> = "q  t".chars().map(Key::Text).collect();
        assert_eq!(meant(&paste, true), letters);
    }

    #[test]
    fn a_key_that_is_let_go_presses_nothing() {
        let with = |kind| Event::Key(KeyEvent::new_with_kind(KeyCode::Char('q'), KeyModifiers::NONE, kind));
        assert_eq!(meant(&with(KeyEventKind::Release), false), []);
        assert_eq!(meant(&with(KeyEventKind::Repeat), false), []);
        assert_eq!(meant(&with(KeyEventKind::Repeat), true), [Key::Text('q')]);
    }
}
