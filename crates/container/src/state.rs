//! What one shard's container knows: plain values in tables, named by keys.
//!
//! ```text
//!   AppSession ──┬── Session ── Transaction ── Proxying ── Branch
//!                ├── Session
//!                └── Timer
//! ```
//!
//! Whoever changes the state borrows it for a moment and never while application code runs. What is to be sent or armed
//! is an [`Order`] in a queue, carried out when the application has given control back.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use servlet::spi::{AppId, AppSessionKey, BranchKey, ProxyKey, SessionKey, TimerKey, TransactionKey};
use sip_endpoint::slab::Slab;
use sip_endpoint::{ClientId, Entropy, Listener, ServerId, TimerId};

use crate::app_session::AppSession;
use crate::order::Order;
use crate::proxy::{Branch, Proxying};
use crate::session::Session;
use crate::table::Table;
use crate::timers::{More, Timer};
use crate::transaction::Transaction;

/// See the module's text.
pub(crate) struct State {
    /// The time of the event that is being handled.
    pub(crate) now: Instant,
    /// When the container began; what timers count from.
    pub(crate) began: Instant,
    pub(crate) clock: Clock,
    /// The endpoint's, split off; `None` before the first event.
    pub(crate) entropy: Option<Entropy>,
    pub(crate) listeners: Rc<[Listener]>,
    /// The same as applications choose among them.
    pub(crate) interfaces: Rc<[servlet::SipUri]>,
    pub(crate) timers_of_sip: sip_transaction::Timers,

    pub(crate) app_sessions: Table<AppSessionKey, AppSession>,
    pub(crate) sessions: Table<SessionKey, Box<Session>>,
    pub(crate) transactions: Table<TransactionKey, Box<Transaction>>,
    pub(crate) proxies: Table<ProxyKey, Box<Proxying>>,
    pub(crate) branches: Table<BranchKey, Box<Branch>>,
    pub(crate) timers: Table<TimerKey, Timer>,
    /// What few timers have.
    pub(crate) timers_apart: Slab<More>,

    pub(crate) by_server: HashMap<ServerId, TransactionKey>,
    pub(crate) by_client: HashMap<ClientId, TransactionKey>,
    /// Sessions by the hash of Call-ID and local tag; see [`State::find_dialog`].
    pub(crate) by_dialog: HashTable<SessionKey>,
    pub(crate) dialog_hasher: DefaultHashBuilder,
    /// Sessions by their number, for Record-Route.
    pub(crate) by_number: HashMap<u64, SessionKey>,
    pub(crate) app_by_number: HashMap<u64, AppSessionKey>,
    /// Open initial requests from the wire, by what merged requests have in common.
    pub(crate) merging: HashMap<u64, TransactionKey>,
    pub(crate) by_key: HashMap<(AppId, Box<str>), AppSessionKey>,

    /// Calls that are up or ringing.
    pub(crate) calls: usize,
    pub(crate) orders: VecDeque<Order>,
    /// Application sessions that have something to do.
    pub(crate) runnable: VecDeque<AppSessionKey>,
}

/// The time of day, told by the instant that the driver passes in.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    at: Instant,
    time: SystemTime,
}

impl Clock {
    /// A clock that shows `time` at `at`.
    pub fn new(at: Instant, time: SystemTime) -> Clock {
        Clock { at, time }
    }

    /// The time of day at an instant.
    pub fn time(&self, now: Instant) -> SystemTime {
        match now.checked_duration_since(self.at) {
            Some(since) => self.time + since,
            None => self.time - self.at.duration_since(now),
        }
    }
}

/// What a timer of the endpoint's is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// An application session's age.
    Expiry(AppSessionKey),
    /// A timer of the application's.
    Servlet(TimerKey),
    /// What a user agent's dialog repeats, and session timers.
    Dialog(SessionKey),
    /// A proxy operation's time.
    Proxy(ProxyKey),
    /// A branch's time.
    Branch(BranchKey),
}

impl Due {
    /// As a token: 3 bits of kind, 29 of slot, 32 of generation. There is no room for half a billion sessions anyway.
    pub(crate) fn token(self) -> u64 {
        let (kind, slot, generation) = match self {
            Due::Expiry(key) => (0, key.slot, key.generation),
            Due::Servlet(key) => (1, key.slot, key.generation),
            Due::Dialog(key) => (2, key.slot, key.generation),
            Due::Proxy(key) => (3, key.slot, key.generation),
            Due::Branch(key) => (4, key.slot, key.generation),
        };
        kind << 61 | u64::from(slot & 0x1fff_ffff) << 32 | u64::from(generation)
    }

    pub(crate) fn of_token(token: u64) -> Option<Due> {
        let (slot, generation) = ((token >> 32) as u32 & 0x1fff_ffff, token as u32);
        Some(match token >> 61 {
            0 => Due::Expiry(AppSessionKey { slot, generation }),
            1 => Due::Servlet(TimerKey { slot, generation }),
            2 => Due::Dialog(SessionKey { slot, generation }),
            3 => Due::Proxy(ProxyKey { slot, generation }),
            4 => Due::Branch(BranchKey { slot, generation }),
            _ => return None,
        })
    }
}

/// A timer of the endpoint's that a record has armed: not at all, ordered, or armed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Armed {
    #[default]
    No,
    /// In the queue of orders.
    Ordered,
    Yes(TimerId),
}

impl State {
    pub(crate) fn new(now: Instant, clock: Clock) -> State {
        State {
            now,
            began: now,
            clock,
            entropy: None,
            listeners: Rc::new([]),
            interfaces: Rc::new([]),
            timers_of_sip: sip_transaction::Timers::default(),
            app_sessions: Table::new(),
            sessions: Table::new(),
            transactions: Table::new(),
            proxies: Table::new(),
            branches: Table::new(),
            timers: Table::new(),
            timers_apart: Slab::new(),
            by_server: HashMap::new(),
            by_client: HashMap::new(),
            by_dialog: HashTable::new(),
            dialog_hasher: DefaultHashBuilder::default(),
            by_number: HashMap::new(),
            app_by_number: HashMap::new(),
            merging: HashMap::new(),
            by_key: HashMap::new(),
            calls: 0,
            orders: VecDeque::new(),
            runnable: VecDeque::new(),
        }
    }

    pub(crate) fn time(&self) -> SystemTime {
        self.clock.time(self.now)
    }

    pub(crate) fn random(&mut self) -> u64 {
        // Before the first event there is nothing to be kept secret, and nobody to keep it from.
        self.entropy.as_mut().map_or(0, Entropy::random)
    }

    pub(crate) fn new_tag(&mut self) -> String {
        self.entropy.as_mut().map(Entropy::tag).unwrap_or_default()
    }

    pub(crate) fn partition(&self) -> u8 {
        self.entropy.as_ref().map_or(0, Entropy::partition)
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.orders.push_back(order);
    }

    /// Arms a timer. The record that it is for has an [`Armed`], which says that it was ordered until the endpoint has
    /// given it a name.
    pub(crate) fn arm(&mut self, due: Due, after: Duration) -> Armed {
        self.orders.push_back(Order::Arm { due, at: self.now + after });
        Armed::Ordered
    }

    /// Takes a timer back. One that is only ordered fires, and finds that nobody waits for it.
    pub(crate) fn disarm(&mut self, armed: &mut Armed) {
        if let Armed::Yes(timer) = std::mem::take(armed) {
            self.orders.push_back(Order::Disarm(timer));
        }
    }

    /// The place where a record keeps the name of its timer.
    pub(crate) fn armed_of(&mut self, due: Due) -> Option<&mut Armed> {
        match due {
            Due::Expiry(key) => Some(&mut self.app_sessions.get_mut(key)?.expiry_timer),
            Due::Servlet(key) => Some(&mut self.timers.get_mut(key)?.armed),
            Due::Dialog(key) => Some(&mut self.sessions.get_mut(key)?.ua_mut()?.timer),
            Due::Proxy(key) => Some(&mut self.proxies.get_mut(key)?.timer),
            Due::Branch(key) => Some(&mut self.branches.get_mut(key)?.timer),
        }
    }
}
