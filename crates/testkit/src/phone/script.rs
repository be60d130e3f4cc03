//! What a phone does of its own accord in a call, and when.

use std::time::Duration;

use sip_message::StatusCode;

/// One thing that the person at the phone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lets it ring: 180.
    Ring,
    /// Answers.
    Answer,
    /// Rejects the call.
    Reject(StatusCode),
    /// Hangs up: CANCEL before the answer, a rejection instead of one, BYE after it.
    HangUp,
    /// Sends a re-INVITE.
    Reinvite,
}

/// What happens in one call at one phone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Counted from the beginning: when the INVITE is sent, or when it came.
    pub from_start: Vec<(Duration, Action)>,
    /// Counted from when both know that the call is answered: when the 2xx came, or its ACK.
    pub from_answer: Vec<(Duration, Action)>,
}

impl Script {
    /// Nothing is done but by hand.
    pub fn nothing() -> Script {
        Script::default()
    }

    /// The same, and this after so long from the start.
    pub fn then(mut self, after: Duration, action: Action) -> Script {
        self.from_start.push((after, action));
        self
    }

    /// The same, and this after so long a talk.
    pub fn after_answer(mut self, after: Duration, action: Action) -> Script {
        self.from_answer.push((after, action));
        self
    }
}
