//! Nicknames: which may be used, and which are the same (RFC 7701 §7), by the Nickname profile of PRECIS (RFC 8266, once
//! RFC 7700): spaces, case and forms of the same letter do not tell one from another, and what can't be seen is refused.
//!
//! Not here: letters of different scripts that look alike (Latin `a`, Cyrillic `а`), which that profile leaves to people.

use precis_profiles::precis_core::profile::{Profile as _, Rules as _, stabilize};

/// RFC 7701 §7.1: "MUST NOT be more than 1023 octets in length".
const MAX_OCTETS: usize = 1023;

/// A nickname, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nickname {
    shown: String,
    compared: String,
}

impl Nickname {
    /// Reads what somebody wants to be called. `None` for what can't be a nickname.
    pub(super) fn of(text: &str) -> Option<Nickname> {
        if text.len() > MAX_OCTETS {
            return None;
        }
        let profile = precis_profiles::Nickname::new();
        let shown = profile.enforce(text).ok()?.into_owned();
        // A normal form may be longer than what it is the form of.
        if shown.len() > MAX_OCTETS {
            return None;
        }
        // RFC 8266 §2.4: in lower case, again and again until nothing changes any more.
        let compared = stabilize(&*shown, |text| profile.enforce(profile.case_mapping_rule(text)?));
        Some(Nickname { compared: compared.ok()?.into_owned(), shown })
    }

    /// As others see it.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// Whether others would take one for the other.
    pub(super) fn is_same_as(&self, other: &Nickname) -> bool {
        self.compared == other.compared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        Nickname::of(one).unwrap().is_same_as(&Nickname::of(other).unwrap())
    }

    /// RFC 8266 §2.1, §2.4 and its examples of §3.
    #[test]
    fn case_and_spaces_do_not_tell_one_nickname_from_another() {
        assert!(same("Swan of Avon", "  swan  of\u{3000}AVON "));
        assert!(same("Foo", "foo") && same("ΣΊΣΥΦΟΙ", "σίσυφοι"));
        // Each letter alone: a sigma at the end of a word is another letter.
        assert!(same("Σ", "σ") && !same("Σ", "ς"));
        assert!(!same("BOY", "B0Y"));
        assert_eq!(Nickname::of(" Alice  the great ").unwrap().as_str(), "Alice the great");
    }

    /// RFC 8266 §2.1: NFKC.
    #[test]
    fn nor_do_forms_of_the_same_letter() {
        assert!(same("Bob", "\u{ff22}\u{ff4f}\u{ff42}"), "full width");
        assert!(same("Ren\u{e9}", "rene\u{301}"), "one character, or a letter and its accent");
        assert!(same("Richard \u{2163}", "richard iv"), "one character for a Roman number");
        assert_eq!(Nickname::of("\u{fb01}sh").unwrap().as_str(), "fish");
    }

    /// RFC 7701 §7.1; RFC 8264 §4.3.
    #[test]
    fn what_has_no_letters_or_too_many_or_can_not_be_seen_is_no_nickname() {
        for text in
            ["   ", "\u{3000}", "a\u{7}b", "line\r\nbreak", "bo\u{200b}b", "bob\u{ad}", "\u{202e}bob", "\u{e000}"]
        {
            assert_eq!(Nickname::of(text), None, "{text:?}");
        }
        assert_eq!(Nickname::of(&"x".repeat(1024)), None);
        assert!(Nickname::of(&"x".repeat(1023)).is_some());
        // Each of them is eighteen characters once it has its normal form.
        assert_eq!(Nickname::of(&"\u{fdfa}".repeat(300)), None);
    }
}
