//! What waits to be written to one connection: whole messages with their senders' tokens, bounded by the caller.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use smallvec::SmallVec;

/// Messages per vectored write; more in one call gain nothing.
const SLICES: usize = 32;

/// Octets that are on their way out.
#[derive(Default)]
pub(crate) struct WriteQueue {
    messages: VecDeque<(Bytes, u64)>,
    /// So much of the first message has left.
    written: usize,
    octets: usize,
}

impl WriteQueue {
    pub(crate) fn push(&mut self, bytes: Bytes, token: u64) {
        self.octets += bytes.len();
        self.messages.push_back((bytes, token));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// The next octets, for a vectored write.
    pub(crate) fn slices(&self) -> SmallVec<[IoSlice<'_>; SLICES]> {
        let mut skip = self.written;
        self.messages.iter().take(SLICES).map(|(bytes, _)| IoSlice::new(&bytes[std::mem::take(&mut skip)..])).collect()
    }

    /// Forgets `count` octets that have left.
    pub(crate) fn advance(&mut self, mut count: usize) {
        self.octets -= count;
        while let Some((first, _)) = self.messages.front() {
            let left = first.len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.messages.pop_front();
        }
    }

    /// Takes the first message, for a layer that cuts octets its own way.
    pub(crate) fn pop(&mut self) -> Option<(Bytes, u64)> {
        let (bytes, token) = self.messages.pop_front()?;
        self.octets -= bytes.len();
        Some((bytes, token))
    }

    /// The tokens of what has not left as a whole.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = u64> + '_ {
        self.messages.iter().map(|(_, token)| *token).filter(|t| *t != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_that_left_are_skipped_across_messages() {
        let mut queue = WriteQueue::default();
        for (text, token) in [("abc", 1), ("", 2), ("defg", 3)] {
            queue.push(Bytes::from_static(text.as_bytes()), token);
        }
        queue.advance(2);
        assert_eq!(queue.slices().iter().map(|s| s.to_vec()).collect::<Vec<_>>().concat(), b"cdefg");
        queue.advance(3);
        assert_eq!(queue.octets(), 2);
        assert_eq!(queue.tokens().collect::<Vec<_>>(), [3]);
        queue.advance(2);
        assert!(queue.is_empty());
    }
}
