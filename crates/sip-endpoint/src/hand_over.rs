//! Requests that came to one shard and belong to another: the session that they are for lives there.
//!
//! ```text
//!               request            Endpoint::hand_over              hand-over
//!   network ──────────────► shard A ─────────────────► driver ────────────────► shard B ──► answers
//!                              │                                                   ▲
//!                  retransmission, CANCEL, ACK ────────────────────────────────────┘
//! ```
//!
//! The kernel gives a sender's datagrams to one shard, and a connection is one shard's, so that what belongs to the same
//! transaction comes to shard A again: the copies of the request (RFC 3261 §17.2.3), the CANCEL (§9.2) and the ACK of a
//! failure (§17.1.1.3). Shard A keeps the key, and nothing else, to send them the same way.
//!
//! Shard B does not hand over what was handed over to it, so that no request goes round in a circle.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use sip_message::{Flow, Method, Request};
use sip_transaction::{OwnedServerKey, ServerKey};

use crate::Endpoint;
use crate::api::ServerId;
use crate::endpoint::{Core, Due};
use crate::slab::{Key, Slab};

/// How long a key is kept after an INVITE: it may ring for so long without a word from its sender before a CANCEL comes.
/// Timer C is 3 minutes (§16.6 step 11). All other keys are kept for 64·T1.
const RINGING: Duration = Duration::from_secs(300);

/// How many keys are kept for each transaction that may be pending: those of INVITEs stay for minutes.
const KEYS_PER_PENDING: usize = 4;

/// An order to the driver: let another shard's endpoint take this in with [`crate::Input::HandedOver`].
#[derive(Debug)]
pub struct HandOver {
    /// Whose it is.
    pub partition: u8,
    /// The path that it came on. Answers go back on it.
    pub flow: Flow,
    /// The request; its top Via carries `received` and `rport` already.
    pub request: Request,
}

/// Why a request cannot be handed over; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverError {
    /// The transaction has ended.
    Ended,
    /// It has its final response.
    AlreadyAnswered,
    /// It was handed over to us: both shards take it for the other's.
    HandedOverToUs,
    /// The partition is our own.
    OwnPartition,
    /// Too many keys of such requests are kept. The request wants a 503.
    TooMany,
}

impl fmt::Display for HandOverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HandOverError::Ended => "the transaction has ended",
            HandOverError::AlreadyAnswered => "a final response was sent before",
            HandOverError::HandedOverToUs => "the request was handed over to us",
            HandOverError::OwnPartition => "the partition is our own",
            HandOverError::TooMany => "too many requests were handed over in the last minutes",
        })
    }
}

impl std::error::Error for HandOverError {}

impl Endpoint {
    /// Gives a request to the shard that serves the partition `to`: forgets its server transaction without an answer, and
    /// sends what still comes for it the same way. No [`crate::Event::ServerEnded`] tells of it. The request is handed
    /// over as it is given: whatever was changed in it since it came is seen by the other shard's user.
    pub fn hand_over(
        &mut self,
        now: Instant,
        server: ServerId,
        request: Request,
        flow: Flow,
        to: u8,
    ) -> Result<(), HandOverError> {
        if to == self.core.settings.partition {
            return Err(HandOverError::OwnPartition);
        }
        let (servers, core) = self.servers();
        servers.hand_over(core, now, server.0, request.method(), to)?;
        self.core.hand_overs.push_back(HandOver { partition: to, flow, request });
        Ok(())
    }

    /// Gives an ACK that belongs to no transaction ([`crate::Event::Ack`]) to the shard that serves the partition `to`,
    /// where it is an ACK like any other. Nothing is kept of it, not even that it was handed over: shards that take an
    /// ACK for each other's would send it round in a circle.
    pub fn hand_over_ack(&mut self, request: Request, flow: Flow, to: u8) -> Result<(), HandOverError> {
        if to == self.core.settings.partition {
            return Err(HandOverError::OwnPartition);
        }
        self.core.hand_overs.push_back(HandOver { partition: to, flow, request });
        Ok(())
    }

    /// The next request that is to be handed over. To be drained together with [`Endpoint::poll_output`] by a driver of
    /// several shards; a driver of one has no partition that a user could hand anything over to.
    pub fn poll_hand_over(&mut self) -> Option<HandOver> {
        self.core.hand_overs.pop_front()
    }
}

/// What is to be handed over, in order. Nothing is allocated as long as nothing is.
pub(crate) type HandOvers = VecDeque<HandOver>;

/// The keys of the transactions that live on other shards.
#[derive(Default)]
pub(crate) struct Elsewhere {
    entries: Slab<Entry>,
    /// Slots by the hash of their keys.
    by_key: HashTable<u32>,
}

struct Entry {
    key: OwnedServerKey,
    hash: u64,
    partition: u8,
    timer: Key,
}

impl Elsewhere {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn is_full(&self, core: &Core) -> bool {
        self.entries.len() >= core.settings.max_pending.saturating_mul(KEYS_PER_PENDING)
    }

    /// Keeps the key of a request that has just been handed over.
    pub(crate) fn keep(
        &mut self,
        core: &mut Core,
        now: Instant,
        (key, hash): (OwnedServerKey, u64),
        method: &Method,
        partition: u8,
    ) {
        let entry = Entry { key, hash, partition, timer: Key { slot: u32::MAX, generation: 0 } };
        let kept = self.entries.insert(entry);
        let entries = &self.entries;
        self.by_key.insert_unique(hash, kept.slot, |slot| entries.in_slot(*slot).map_or(0, |(_, entry)| entry.hash));
        self.keep_on(core, now, kept, method);
    }

    /// The partition that a request with this key goes to, when its transaction lives elsewhere.
    pub(crate) fn whither(
        &mut self,
        core: &mut Core,
        now: Instant,
        (key, hash): (&ServerKey, u64),
        method: &Method,
    ) -> Option<u8> {
        let kept = self.find(key, hash)?;
        self.keep_on(core, now, kept, method);
        self.entries.get(kept).map(|entry| entry.partition)
    }

    /// Forgets a key: its transaction will live here.
    pub(crate) fn forget(&mut self, core: &mut Core, key: &ServerKey, hash: u64) {
        if let Some(kept) = self.find(key, hash) {
            self.end(core, kept);
        }
    }

    pub(crate) fn timer_fired(&mut self, core: &mut Core, kept: Key) {
        self.end(core, kept);
    }

    /// A message of this method came: how long another one may come after it. After the ACK of an INVITE or its CANCEL
    /// there are only copies to wait for.
    fn keep_on(&mut self, core: &mut Core, now: Instant, kept: Key, method: &Method) {
        let Some(entry) = self.entries.get_mut(kept) else { return };
        let after = match method {
            Method::Invite => RINGING,
            _ => core.settings.timers.t1() * 64,
        };
        core.wheel.cancel(entry.timer);
        entry.timer = core.wheel.set(now, after, Due::Elsewhere(kept));
    }

    fn find(&self, key: &ServerKey, hash: u64) -> Option<Key> {
        if self.entries.is_empty() {
            return None;
        }
        let matches = |slot: &u32| self.entries.in_slot(*slot).is_some_and(|(_, entry)| entry.key.matches(key));
        let slot = self.by_key.find(hash, matches)?;
        self.entries.in_slot(*slot).map(|(kept, _)| kept)
    }

    fn end(&mut self, core: &mut Core, kept: Key) {
        let Some(entry) = self.entries.remove(kept) else { return };
        core.wheel.cancel(entry.timer);
        if let Ok(found) = self.by_key.find_entry(entry.hash, |slot| *slot == kept.slot) {
            found.remove();
        }
        let (len, capacity) = (self.by_key.len(), self.by_key.capacity());
        if capacity > 256 && len < capacity / 8 {
            let entries = &self.entries;
            self.by_key.shrink_to(len * 2, |slot| entries.in_slot(*slot).map_or(0, |(_, entry)| entry.hash));
        }
    }
}
