//! A message on its way in, RFC 4975 §7.3.1: a virtual buffer of what has come and what is missing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::types::{IncomingMessage, MessageId, SessionEvent};
use crate::chunk::{FailureReport, Head, Ranges};

pub(super) struct Incoming {
    pub(super) id: MessageId,
    pub(super) content_type: Arc<str>,
    pub(super) success_report: bool,
    pub(super) failure_report: FailureReport,
    /// As the sender announced it.
    announced: Option<u64>,
    /// As the chunk that closed the message showed it.
    total: Option<u64>,
    ranges: Ranges,
    store: Store,
    /// The last time that something of it came.
    pub(super) touched: Instant,
}

enum Store {
    /// All of it in one slice, nothing else yet: needs no copy.
    Slice(Bytes),
    Buffer(Vec<u8>),
    /// Handed on as it comes.
    Streamed,
}

/// What is shorter is copied.
const SLICE: usize = 16_384;

/// Why no more of a message is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMuch {
    /// It is longer than may be, or its parts lie too far apart.
    Message,
}

/// What a message may take.
pub(super) struct Room {
    pub(super) message: u64,
    pub(super) octets: usize,
    pub(super) spans: usize,
}

impl Incoming {
    pub(super) fn new(now: Instant, id: MessageId, content_type: &str, head: &Head, is_streamed: bool) -> Incoming {
        let announced = head.byte_range().ok().flatten().and_then(|range| range.total);
        Incoming {
            id,
            content_type: content_type.into(),
            success_report: head.success_report(),
            failure_report: head.failure_report(),
            announced,
            total: None,
            ranges: Ranges::default(),
            store: if is_streamed { Store::Streamed } else { Store::Slice(Bytes::new()) },
            touched: now,
        }
    }

    /// How many octets of memory it takes.
    pub(super) fn held(&self) -> usize {
        match &self.store {
            Store::Slice(slice) => slice.len(),
            Store::Buffer(buffer) => buffer.capacity(),
            Store::Streamed => 0,
        }
    }

    /// Puts octets to their place. What is streamed comes back as the parts that are new.
    pub(super) fn put(
        &mut self,
        at: u64,
        bytes: &Bytes,
        is_whole: bool,
        room: &Room,
    ) -> Result<Vec<(u64, Bytes)>, TooMuch> {
        let end = at.checked_add(bytes.len() as u64).ok_or(TooMuch::Message)?;
        if end > room.message {
            return Err(TooMuch::Message);
        }
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        let mut parts = Vec::new();
        match &mut self.store {
            Store::Streamed => {
                for (from, to) in self.ranges.missing(at, end) {
                    parts.push((from, bytes.slice((from - at) as usize..(to - at) as usize)));
                }
            }
            // Only what is handed on at once may stay a slice of what was received, and so keep all of that in memory;
            // and only if it is a good part of it, for whoever gets it may keep it.
            Store::Slice(slice) if slice.is_empty() && is_whole && bytes.len() >= SLICE => *slice = bytes.clone(),
            Store::Slice(slice) if slice.is_empty() && is_whole => *slice = Bytes::copy_from_slice(bytes),
            store => {
                let end = usize::try_from(end).map_err(|_| TooMuch::Message)?;
                let buffer = store.buffer();
                if end > buffer.len() {
                    if end > room.octets {
                        return Err(TooMuch::Message);
                    }
                    // Twice as much at a time, lest each chunk copies all before it; but no more than may be.
                    let wanted = end.max(buffer.capacity() * 2).min(room.octets);
                    let wanted = usize::try_from(room.message).map_or(wanted, |most| wanted.min(most));
                    buffer.reserve_exact(wanted - buffer.len());
                    buffer.resize(end, 0);
                }
                // Of octets that come twice the last ones count (§7.3.1).
                buffer[at as usize..end].copy_from_slice(bytes);
            }
        }
        self.ranges.add(at, end);
        if self.ranges.spans() > room.spans { Err(TooMuch::Message) } else { Ok(parts) }
    }

    /// A chunk that closes the message has ended here: that is its length, whatever was announced.
    pub(super) fn close_at(&mut self, end: u64) {
        self.total = Some(end);
    }

    /// The message's length, once all of it is there.
    pub(super) fn complete(&self) -> Option<u64> {
        self.total.filter(|&total| self.ranges.covers(total))
    }

    /// The part of a streamed message.
    pub(super) fn data(&self, at: u64, bytes: Bytes, is_last: bool) -> SessionEvent {
        SessionEvent::Data {
            id: self.id.clone(),
            content_type: Arc::clone(&self.content_type),
            at,
            bytes,
            total: self.total.or(self.announced),
            is_last,
        }
    }

    pub(super) fn is_streamed(&self) -> bool {
        matches!(self.store, Store::Streamed)
    }

    /// The message, when it is complete.
    pub(super) fn into_message(self, total: u64) -> IncomingMessage {
        let content = match self.store {
            Store::Slice(slice) => slice,
            Store::Buffer(buffer) => buffer.into(),
            Store::Streamed => Bytes::new(),
        };
        // Octets behind the end that its sender gave don't belong to it.
        let length = content.len().min(usize::try_from(total).unwrap_or(usize::MAX));
        IncomingMessage {
            id: self.id,
            content_type: self.content_type,
            content: content.slice(..length),
            success_report: self.success_report,
            failure_report: self.failure_report,
        }
    }
}

impl Store {
    fn buffer(&mut self) -> &mut Vec<u8> {
        if let Store::Slice(slice) = self {
            *self = Store::Buffer(slice.to_vec());
        }
        match self {
            Store::Buffer(buffer) => buffer,
            _ => unreachable!("a streamed message has no buffer"),
        }
    }
}

/// A message that waits for its verdict.
pub(super) struct Pending {
    pub(super) id: MessageId,
    /// Of the chunk that made it whole.
    pub(super) head: Arc<Head>,
    pub(super) total: u64,
}

/// Messages that are done with: one that comes again is answered but not delivered.
#[derive(Default)]
pub(super) struct Seen {
    ids: VecDeque<(u64, Done)>,
}

/// How a message was done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It was delivered, or its verdict is awaited.
    Taken,
    /// It was refused with this code.
    Refused(u16),
    /// Its sender gave it up.
    Aborted,
}

impl Seen {
    const MOST: usize = 256;

    pub(super) fn add(&mut self, hash: u64, done: Done) {
        if let Some(entry) = self.ids.iter_mut().find(|entry| entry.0 == hash) {
            entry.1 = done;
            return;
        }
        if self.ids.len() == Seen::MOST {
            self.ids.pop_front();
        }
        self.ids.push_back((hash, done));
    }

    pub(super) fn get(&self, hash: u64) -> Option<Done> {
        self.ids.iter().rev().find(|entry| entry.0 == hash).map(|entry| entry.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming() -> Incoming {
        let head = crate::chunk::Chunk::parse("MSRP abcd SEND\r\n-------abcd$\r\n").unwrap().head;
        Incoming::new(Instant::now(), "m".into(), "a/b", &head, false)
    }

    /// What is set aside for octets that have not come counts as well.
    #[test]
    fn no_more_memory_is_held_than_there_is_room() {
        let part = Bytes::from(vec![b'x'; 1000]);
        for (message, octets, most) in [(u64::MAX, 100_500, 100_000), (70_000, usize::MAX, 70_000)] {
            let (mut incoming, room) = (incoming(), Room { message, octets, spans: 8 });
            let mut at = 0;
            while incoming.put(at, &part, false, &room).is_ok() {
                at += 1000;
                assert!((at as usize..=octets.min(message as usize)).contains(&incoming.held()), "{at}");
            }
            assert_eq!(at, most);
        }
        let room = Room { message: u64::MAX, octets: 1 << 20, spans: 8 };
        let mut far = incoming();
        assert_eq!(far.put(1 << 40, &part, false, &room), Err(TooMuch::Message));
        assert_eq!(far.put(u64::MAX, &part, false, &room), Err(TooMuch::Message));
        assert_eq!(far.held(), 0, "what is refused takes nothing");
    }
}
