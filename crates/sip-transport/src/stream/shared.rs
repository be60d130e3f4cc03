//! What all connections of a shard share: where events go, the read buffers, the deadlines, and the time.
//! Everything is owned by one thread.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem;

use sip_message::{ConnectionId, Limits};
use tokio::time::Instant;

use crate::config::StreamLimits;
use crate::counters::Counters;
use crate::event::TransportEvent;

/// Octets per read. Messages are copied out, so that an idle connection holds no buffer at all.
const SCRATCH: usize = 64 * 1024;

pub(crate) struct Shared {
    pub(crate) limits: StreamLimits,
    pub(crate) message_limits: Limits,
    pub(crate) events: RefCell<Vec<TransportEvent>>,
    pub(crate) counters: RefCell<Counters>,
    pub(super) scratch: RefCell<Scratch>,
    deadlines: RefCell<BinaryHeap<Reverse<(Instant, ConnectionId)>>>,
    /// Messages that connections may still deliver in this turn.
    budget: Cell<usize>,
    /// The present turn; what is to happen after the driver has seen the events of a turn waits for the next.
    turn: Cell<u64>,
    now: Cell<Instant>,
}

/// Where reads put their octets.
pub(super) struct Scratch {
    /// As they came from a socket.
    pub(super) raw: Box<[u8]>,
    /// Out of TLS.
    pub(super) plain: Box<[u8]>,
}

impl Shared {
    pub(crate) fn new(limits: StreamLimits, message_limits: Limits) -> Self {
        Shared {
            limits,
            message_limits,
            events: RefCell::default(),
            counters: RefCell::default(),
            scratch: RefCell::new(Scratch { raw: vec![0; SCRATCH].into(), plain: vec![0; SCRATCH].into() }),
            deadlines: RefCell::default(),
            budget: Cell::new(0),
            turn: Cell::new(0),
            now: Cell::new(Instant::now()),
        }
    }

    pub(crate) fn begin_turn(&self) {
        self.turn.set(self.turn.get() + 1);
    }

    pub(crate) fn turn(&self) -> u64 {
        self.turn.get()
    }

    pub(crate) fn begin_pass(&self, now: Instant, budget: usize) {
        self.now.set(now);
        self.budget.set(budget);
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn set_now(&self, now: Instant) {
        self.now.set(now);
    }

    /// Delivers an event that counts against the turn's budget.
    pub(super) fn deliver(&self, event: TransportEvent) {
        self.budget.set(self.budget.get().saturating_sub(1));
        self.events.borrow_mut().push(event);
    }

    pub(super) fn spend(&self) {
        self.budget.set(self.budget.get().saturating_sub(1));
    }

    pub(super) fn exhausted(&self) -> bool {
        self.budget.get() == 0
    }

    /// Delivers an event that must not wait.
    pub(crate) fn report(&self, event: TransportEvent) {
        self.events.borrow_mut().push(event);
    }

    pub(crate) fn count(&self, add: impl FnOnce(&mut Counters) -> &mut u64) {
        *add(&mut self.counters.borrow_mut()) += 1;
    }

    pub(super) fn arm(&self, at: Instant, connection: ConnectionId) {
        self.deadlines.borrow_mut().push(Reverse((at, connection)));
    }

    /// The next deadline of any connection. It may turn out to be none any more.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.borrow().peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a deadline that has come.
    pub(super) fn due(&self) -> Option<(Instant, ConnectionId)> {
        let mut deadlines = self.deadlines.borrow_mut();
        if deadlines.peek()?.0.0 > self.now.get() {
            return None;
        }
        deadlines.pop().map(|Reverse(due)| due)
    }

    pub(crate) fn take_events(&self, into: &mut Vec<TransportEvent>) {
        let mut events = self.events.borrow_mut();
        if into.is_empty() {
            mem::swap(&mut *events, into);
        } else {
            into.append(&mut events);
        }
    }
}
