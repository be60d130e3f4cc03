//! The latest messages to all, for those who come later.

use std::collections::VecDeque;

use bytes::Bytes;

/// A message that was said to all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) content: Bytes,
    /// What the wrapper holds.
    pub(super) content_type: String,
}

/// The latest of them, as many as may be.
#[derive(Clone, Debug)]
pub(super) struct History {
    messages: VecDeque<Remembered>,
    octets: usize,
    max_messages: usize,
    max_octets: usize,
}

impl History {
    pub(super) fn new(max_messages: usize, max_octets: usize) -> History {
        History { messages: VecDeque::new(), octets: 0, max_messages, max_octets }
    }

    /// Keeps a message, and lets go of the oldest that have no room beside it.
    pub(super) fn push(&mut self, message: Remembered) {
        if self.max_messages == 0 || message.content.len() > self.max_octets {
            return;
        }
        self.octets += message.content.len();
        self.messages.push_back(message);
        while self.messages.len() > self.max_messages || self.octets > self.max_octets {
            let Some(oldest) = self.messages.pop_front() else { return };
            self.octets -= oldest.content.len();
        }
    }

    /// The oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Remembered> {
        self.messages.iter()
    }

    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.octets = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(history: &History) -> Vec<&[u8]> {
        history.iter().map(|message| &*message.content).collect()
    }

    fn message(text: &'static str) -> Remembered {
        Remembered { content: Bytes::from_static(text.as_bytes()), content_type: "text/plain".to_owned() }
    }

    #[test]
    fn the_latest_messages_are_kept_and_no_more() {
        let mut history = History::new(2, 100);
        for text in ["one", "two", "three"] {
            history.push(message(text));
        }
        assert_eq!(kept(&history), [b"two" as &[u8], b"three"]);
    }

    #[test]
    fn long_messages_leave_less_room_for_others_and_too_long_ones_are_not_kept() {
        let mut history = History::new(10, 8);
        for text in ["one", "two", "three", "far too long"] {
            history.push(message(text));
        }
        assert_eq!(kept(&history), [b"two" as &[u8], b"three"]);
    }

    #[test]
    fn a_room_without_history_keeps_nothing() {
        let mut history = History::new(0, 100);
        history.push(message("one"));
        assert!(kept(&history).is_empty());
    }
}
