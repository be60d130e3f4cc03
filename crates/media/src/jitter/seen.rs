//! Which sequence numbers have come lately: to know copies, and to tell a loss from a sender's silence.

/// So far back.
const WINDOW: u64 = 128;

/// The last sequence numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    highest: Option<u64>,
    /// Bit n: the highest less n has come.
    window: u128,
}

impl Seen {
    /// Takes note of a number and says whether it is new. What is too far back to be known is taken as new.
    pub(super) fn note(&mut self, sequence: u64) -> bool {
        let Some(highest) = self.highest else {
            (self.highest, self.window) = (Some(sequence), 1);
            return true;
        };
        if let Some(ahead) = sequence.checked_sub(highest).filter(|ahead| *ahead > 0) {
            self.window = if ahead < WINDOW { self.window << ahead | 1 } else { 1 };
            self.highest = Some(sequence);
            return true;
        }
        let behind = highest - sequence;
        if behind >= WINDOW {
            return true;
        }
        let bit = 1 << behind;
        let new = self.window & bit == 0;
        self.window |= bit;
        new
    }

    /// Whether all numbers between two have come. Too far back, none is taken to be missing.
    pub(super) fn all_between(&self, before: u64, behind: u64) -> bool {
        let Some(highest) = self.highest else { return true };
        if behind.saturating_sub(before) > WINDOW {
            return false;
        }
        (before + 1..behind).all(|sequence| match highest.checked_sub(sequence) {
            None => false,
            Some(back) => back >= WINDOW || self.window >> back & 1 == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_new_once_in_any_order() {
        let mut seen = Seen::default();
        for (sequence, new) in [(100, true), (102, true), (101, true), (101, false), (100, false), (230, true)] {
            assert_eq!(seen.note(sequence), new, "{sequence}");
        }
        assert!(!seen.note(230));
        assert!(seen.note(100), "too far back to be known");
        assert!(seen.note(500) && !seen.note(500));
    }

    #[test]
    fn a_gap_is_known_as_long_as_it_is_in_the_window() {
        let mut seen = Seen::default();
        for sequence in [10, 11, 13] {
            seen.note(sequence);
        }
        assert!(seen.all_between(10, 11) && seen.all_between(13, 14));
        assert!(!seen.all_between(10, 13) && !seen.all_between(11, 13));
        seen.note(12);
        assert!(seen.all_between(10, 13));
        assert!(!seen.all_between(10, 1_000), "nobody has seen that many");
        assert!(!seen.all_between(13, 15), "what has not come yet has not come");
    }
}
