//! Answer-Mode and Priv-Answer-Mode, RFC 5373 §4.3: whether a person shall answer.

use super::shapes::{any_param, token, word_header};

macro_rules! answer_mode {
    ($(#[$doc:meta])* $type:ident) => {
        word_header! {
            $(#[$doc])*
            $type, false,
            /// `Auto`, `Manual` or another word.
            mode, token, any_param
        }

        impl $type<'_> {
            /// Whether the call shall be answered without a person.
            pub fn is_auto(&self) -> bool {
                self.mode.eq_ignore_ascii_case("auto")
            }

            /// Whether the call shall fail rather than be answered otherwise.
            pub fn is_required(&self) -> bool {
                self.params.contains("require")
            }
        }
    };
}

answer_mode! {
    /// How the call shall be answered.
    AnswerMode
}

answer_mode! {
    /// How the call shall be answered, whatever the called party has set.
    PrivAnswerMode
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn answer_modes_read_and_print() {
        let mode: AnswerMode = assert_prints("Auto ;require", "Auto;require");
        assert!(mode.is_auto() && mode.is_required());
        assert!(!assert_prints::<PrivAnswerMode>("Manual", "Manual").is_auto());
    }

    #[test]
    fn what_is_no_answer_mode_is_refused() {
        assert_refuses::<AnswerMode>(&["", ";require", "Auto Manual"]);
    }
}
