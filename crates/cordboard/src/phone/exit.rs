//! What the exit code of a command says, so that a script needs to read nothing else.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As asked.
    Done,
    /// The system did not give what was needed: a port, a device, a file.
    Unavailable,
    /// The command line or the settings are at fault.
    Usage,
    /// The other side refused: busy, not found, rejected.
    Refused,
    /// Nobody answered in time, or nobody was reached.
    Unanswered,
    /// A call that was up ended because something broke.
    Broken,
    /// What was expected did not happen.
    Unexpected,
    /// A signal or a key ended it before it was through.
    Interrupted,
}

impl Outcome {
    /// All, with what they mean, for the manual and the help.
    #[cfg(test)]
    pub(super) const ALL: [Outcome; 8] = [
        Outcome::Done,
        Outcome::Unavailable,
        Outcome::Usage,
        Outcome::Refused,
        Outcome::Unanswered,
        Outcome::Broken,
        Outcome::Unexpected,
        Outcome::Interrupted,
    ];

    /// The exit code.
    pub(super) fn code(self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::Unavailable => 1,
            Outcome::Usage => 2,
            Outcome::Refused => 3,
            Outcome::Unanswered => 4,
            Outcome::Broken => 5,
            Outcome::Unexpected => 6,
            // As shells say it of a program that SIGINT ended.
            Outcome::Interrupted => 130,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        ExitCode::from(outcome.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_says_what_each_exit_code_means() {
        let manual = include_str!("../../../../docs/manual/phone.md");
        for outcome in Outcome::ALL {
            assert!(manual.contains(&format!("| {} |", outcome.code())), "docs/manual/phone.md lacks {outcome:?}");
        }
    }
}
