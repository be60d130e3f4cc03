//! Where messages wait for their recipients: what a store is, and one in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A message that waits, with everything that it is delivered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// Whom it is for, as `user@domain`.
    pub recipient: String,
    /// The Request-URI.
    pub uri: String,
    /// The original's From, without its tag.
    pub from: String,
    /// The original's To.
    pub to: String,
    /// What the original had left, less one.
    pub max_forwards: u8,
    /// Headers that belong to the message and not to its way, Date among them.
    pub headers: Vec<(String, String)>,
    /// The Content-Type; empty when there is no body.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Names a message in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageId(pub u64);

/// A store of messages. Which of them wait for whom, and in which order, the application session of the recipient knows;
/// a store that outlives the process is of use where sessions do.
pub trait MessageStore {
    /// Keeps a message under this id, which no other has.
    fn keep(&self, id: MessageId, message: StoredMessage) -> Result<(), NotKept>;

    /// The message with this id.
    fn message(&self, id: MessageId) -> Option<Rc<StoredMessage>>;

    /// Lets a message go. Nothing happens when it is not there.
    fn forget(&self, id: MessageId);
}

/// Why a store does not keep a message. Its sender is told what the recipient's phones have said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// There is no more room.
    Full,
    /// The store can't be used now.
    Unavailable,
}

/// A store to be bound to the container as a resource; without one the application makes a [`MemoryStore`].
#[derive(Clone)]
pub struct SharedMessageStore(pub Rc<dyn MessageStore>);

/// How much a [`MemoryStore`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Messages.
    pub messages: usize,
    /// Octets of all messages together.
    pub octets: usize,
}

/// Keeps messages as long as the process lives.
#[derive(Debug)]
pub struct MemoryStore {
    capacity: Capacity,
    kept: RefCell<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    messages: BTreeMap<MessageId, Rc<StoredMessage>>,
    octets: usize,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(capacity: Capacity) -> MemoryStore {
        MemoryStore { capacity, kept: RefCell::default() }
    }

    /// How many messages it keeps.
    pub fn len(&self) -> usize {
        self.kept.borrow().messages.len()
    }

    /// Whether it keeps none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl MessageStore for MemoryStore {
    fn keep(&self, id: MessageId, message: StoredMessage) -> Result<(), NotKept> {
        let mut kept = self.kept.borrow_mut();
        let octets = kept.octets.saturating_add(message.octets());
        let is_known = kept.messages.contains_key(&id);
        if is_known || kept.messages.len() >= self.capacity.messages || octets > self.capacity.octets {
            return Err(NotKept::Full);
        }
        kept.octets = octets;
        kept.messages.insert(id, Rc::new(message));
        Ok(())
    }

    fn message(&self, id: MessageId) -> Option<Rc<StoredMessage>> {
        self.kept.borrow().messages.get(&id).cloned()
    }

    fn forget(&self, id: MessageId) {
        let mut kept = self.kept.borrow_mut();
        if let Some(message) = kept.messages.remove(&id) {
            kept.octets -= message.octets();
        }
    }
}

impl StoredMessage {
    /// The body, as messages take it.
    pub(super) fn content(&self) -> Bytes {
        self.body.clone().into()
    }

    fn octets(&self) -> usize {
        let texts = [&self.recipient, &self.uri, &self.from, &self.to, &self.content_type];
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.body.len() + texts.iter().map(|text| text.len()).sum::<usize>() + headers.sum::<usize>()
    }
}

impl fmt::Debug for SharedMessageStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedMessageStore")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> StoredMessage {
        StoredMessage {
            recipient: String::new(),
            uri: String::new(),
            from: String::new(),
            to: String::new(),
            max_forwards: 69,
            headers: Vec::new(),
            content_type: String::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_store_gives_back_what_it_was_given_until_it_is_let_go() {
        let store = MemoryStore::new(Capacity { messages: 2, octets: 10 });
        store.keep(MessageId(7), message("one")).unwrap();
        assert_eq!(store.message(MessageId(7)).as_deref(), Some(&message("one")));
        assert_eq!(store.message(MessageId(8)), None);
        store.forget(MessageId(7));
        store.forget(MessageId(7));
        assert!(store.is_empty() && store.message(MessageId(7)).is_none());
    }

    #[test]
    fn a_full_store_refuses_and_keeps_what_it_has() {
        let store = MemoryStore::new(Capacity { messages: 2, octets: 10 });
        store.keep(MessageId(1), message("12345")).unwrap();
        assert_eq!(store.keep(MessageId(2), message("123456")), Err(NotKept::Full));
        assert_eq!(store.keep(MessageId(1), message("")), Err(NotKept::Full), "an id is used once");
        store.keep(MessageId(2), message("12345")).unwrap();
        assert_eq!(store.keep(MessageId(3), message("")), Err(NotKept::Full));
        store.forget(MessageId(1));
        assert_eq!(store.keep(MessageId(3), message("")), Ok(()));
        assert_eq!(store.message(MessageId(2)).unwrap().body, b"12345");
    }
}
