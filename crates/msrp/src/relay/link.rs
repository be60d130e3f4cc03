//! One connection of a relay: what has come of it, what waits for it, what it owes responses to.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::{Limits, NextHop};
use crate::chunk::{ByteRange, Continuation, Framer, Head, Piece, TransactionId};
use crate::endpoint::ConnectionId;
use crate::uri::{MsrpUri, Path};

/// Bodies that are copied where they wait: what is longer is a good part of what it came with.
const SHORT: usize = 16_384;

pub(super) struct Link {
    pub(super) framer: Framer,
    /// Taken from the framer while there was no room for it.
    pub(super) held: Option<Piece>,
    /// The request whose pieces are coming.
    pub(super) incoming: Option<Incoming>,
    pub(super) queue: VecDeque<Outgoing>,
    queued: usize,
    pub(super) pending: HashMap<TransactionId, Pending>,
    /// Those of `pending` that have a time, in the order of it; and the others.
    timed: VecDeque<(Instant, TransactionId)>,
    untimed: VecDeque<TransactionId>,
    is_armed: bool,
    /// How many of `pending` have a time.
    awaited: usize,
    /// Which connection has no room for what has come of this one.
    pub(super) waits_for: Option<ConnectionId>,
    pub(super) waiters: Vec<ConnectionId>,
    /// Where it leads, if we opened it.
    pub(super) next_hop: Option<NextHop>,
    pub(super) is_up: bool,
    pub(super) is_closing: bool,
    /// Something that it asked for was done.
    pub(super) is_proven: bool,
    pub(super) failures: u32,
    pub(super) used: Instant,
}

/// What becomes of the pieces of a request.
#[derive(Clone)]
pub(super) enum Incoming {
    /// They go on.
    Forward(Arc<Route>),
    /// They are passed over; what there was to say has been said.
    Ignore,
}

/// Where a request goes.
pub(super) struct Route {
    pub(super) target: ConnectionId,
    /// The paths of the request that goes on.
    pub(super) to: Path,
    pub(super) from: Path,
    /// We, as the request had us.
    pub(super) us: MsrpUri,
    /// Where the request came from.
    pub(super) origin: Path,
}

/// A chunk that waits for its connection.
pub(super) struct Outgoing {
    pub(super) transaction: TransactionId,
    pub(super) head: Head,
    pub(super) body: Option<Bytes>,
    pub(super) end: Continuation,
}

/// A request that went on, and what its response will mean.
pub(super) enum Pending {
    /// A SEND: an error is reported to whoever sent it.
    Send {
        back: ConnectionId,
        us: MsrpUri,
        origin: Path,
        message_id: Box<str>,
        range: ByteRange,
        /// §6.4.1: silence is an error too.
        is_timed: bool,
    },
    /// Another one: the response goes back.
    Request { back: ConnectionId, head: Box<Head>, us: MsrpUri },
}

impl Outgoing {
    pub(super) fn bodiless(head: Head) -> Outgoing {
        Outgoing { transaction: head.transaction(), head, body: None, end: Continuation::Complete }
    }

    pub(super) fn write_to(&self, out: &mut BytesMut) {
        self.head.write_to(out);
        if let Some(body) = &self.body {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(body);
            out.extend_from_slice(b"\r\n");
        }
        self.end.write_to(out, self.transaction);
    }

    /// About as many octets as it holds.
    fn weight(&self) -> usize {
        512 + self.body.as_ref().map_or(0, Bytes::len)
    }
}

impl Pending {
    fn is_timed(&self) -> bool {
        match self {
            Pending::Send { is_timed, .. } => *is_timed,
            Pending::Request { .. } => true,
        }
    }
}

impl Link {
    pub(super) fn new(framer: Framer, now: Instant, is_up: bool) -> Link {
        Link {
            framer,
            held: None,
            incoming: None,
            queue: VecDeque::new(),
            queued: 0,
            pending: HashMap::new(),
            timed: VecDeque::new(),
            untimed: VecDeque::new(),
            is_armed: false,
            awaited: 0,
            waits_for: None,
            waiters: Vec::new(),
            next_hop: None,
            is_up,
            is_closing: false,
            is_proven: false,
            failures: 0,
            used: now,
        }
    }

    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.queued >= limits.queue || self.awaited >= limits.pending
    }

    /// Whether those that waited may go on: not before half of it is free, lest they wait again at once.
    pub(super) fn is_relieved(&self, limits: &Limits) -> bool {
        self.queued <= limits.queue / 2 && self.awaited <= limits.pending / 2
    }

    /// Says whether the queue was empty before.
    pub(super) fn push(&mut self, mut outgoing: Outgoing, pending: Option<Pending>, limits: &Limits) -> bool {
        if let Some(pending) = pending {
            if pending.is_timed() {
                self.awaited += 1;
            } else {
                // Nobody need answer these: what is too old to be an error any more is forgotten.
                if self.untimed.len() >= limits.pending
                    && let Some(oldest) = self.untimed.pop_front()
                {
                    self.pending.remove(&oldest);
                }
                self.untimed.push_back(outgoing.transaction);
            }
            self.pending.insert(outgoing.transaction, pending);
        }
        // A short one that has to wait shall not keep in memory all that came with it.
        if !self.queue.is_empty()
            && let Some(body) = outgoing.body.as_mut().filter(|body| body.len() < SHORT)
        {
            *body = Bytes::copy_from_slice(body);
        }
        self.queued += outgoing.weight();
        self.queue.push_back(outgoing);
        self.queue.len() == 1
    }

    pub(super) fn pop(&mut self) -> Option<Outgoing> {
        let outgoing = self.queue.pop_front()?;
        self.queued -= outgoing.weight();
        Some(outgoing)
    }

    /// A request has gone out: its time runs. Says whether a timer is needed.
    pub(super) fn sent(&mut self, transaction: TransactionId, deadline: Instant) -> bool {
        if !self.pending.get(&transaction).is_some_and(Pending::is_timed) {
            return false;
        }
        self.timed.push_back((deadline, transaction));
        !std::mem::replace(&mut self.is_armed, true)
    }

    /// The response to a request has come.
    pub(super) fn settle(&mut self, transaction: TransactionId) -> Option<Pending> {
        let pending = self.pending.remove(&transaction)?;
        self.awaited -= usize::from(pending.is_timed());
        while self.timed.front().is_some_and(|(_, oldest)| !self.pending.contains_key(oldest)) {
            self.timed.pop_front();
        }
        // Answered ones behind an unanswered one: not more of them than may be unanswered.
        if self.timed.len() > 2 * self.awaited + 64 {
            let pending = &self.pending;
            self.timed.retain(|(_, transaction)| pending.contains_key(transaction));
        }
        Some(pending)
    }

    /// Those whose time is over, and when the next one's is.
    pub(super) fn expire(&mut self, now: Instant) -> (Vec<Pending>, Option<Instant>) {
        let mut late = Vec::new();
        while let Some(&(deadline, transaction)) = self.timed.front() {
            if deadline > now && self.pending.contains_key(&transaction) {
                return (late, Some(deadline));
            }
            self.timed.pop_front();
            if let Some(pending) = self.pending.remove(&transaction) {
                self.awaited -= 1;
                late.push(pending);
            }
        }
        self.is_armed = false;
        (late, None)
    }
}
