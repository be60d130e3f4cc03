//! Application sessions: the record.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use servlet::SessionState;
use servlet::spi::{AppId, AppSessionFacts, AppSessionKey, SessionKey, TimerKey};
use smallvec::SmallVec;

use crate::attributes::Attributes;
use crate::jobs::{Job, Running};
use crate::state::{Armed, State};

/// One application session. It is valid as long as it is in its table.
pub(crate) struct AppSession {
    pub(crate) facts: Rc<AppSessionFacts>,
    pub(crate) app: AppId,
    pub(crate) sessions: SmallVec<[SessionKey; 2]>,
    /// The latest timer; the others hang on it.
    pub(crate) timers: Option<TimerKey>,
    pub(crate) timer_count: u32,
    pub(crate) attributes: Attributes,
    /// How long it lives when nothing happens; `None`: for ever.
    pub(crate) lifetime: Option<Duration>,
    /// When it would expire. Refreshed with every access; the timer looks at it when it fires.
    pub(crate) expires_at: Option<Instant>,
    pub(crate) expiry_timer: Armed,
    /// Its time has come, and its listeners are being told.
    pub(crate) expired: bool,
    pub(crate) invalidate_when_ready: bool,
    /// Something has happened after which it may be ready, or one of its sessions.
    pub(crate) unsettled: bool,
    /// Sessions in which that was.
    pub(crate) touched: SmallVec<[SessionKey; 2]>,
    /// It is being invalidated: nothing new comes into it.
    pub(crate) ending: bool,
    /// How many of its sessions are calls, as counted last.
    pub(crate) calls: usize,
    pub(crate) mailbox: VecDeque<Job>,
    pub(crate) running: Option<Box<Running>>,
    /// It is in the queue of those that have something to do.
    pub(crate) queued: bool,
}

impl State {
    /// The number that tells an application session from all others; drawn, and free.
    pub(crate) fn new_number(&mut self) -> u64 {
        let mut number = self.random();
        while self.by_number.contains_key(&number) || self.app_by_number.contains_key(&number) {
            // Before the first event there is nothing to draw from, and every draw is the same.
            number = number.wrapping_add(1);
        }
        number
    }

    /// Enters an application session.
    pub(crate) fn open_app_session(
        &mut self,
        app: AppId,
        name: Rc<str>,
        key: Option<Box<str>>,
        lifetime: Option<Duration>,
    ) -> AppSessionKey {
        let (number, partition, created) = (self.new_number(), self.partition(), self.time());
        let facts = Rc::new(AppSessionFacts {
            application: name,
            number,
            partition,
            key: key.clone(),
            created,
            last_accessed: std::cell::Cell::new(created),
        });
        let session = self.app_sessions.insert(AppSession {
            facts,
            app,
            sessions: SmallVec::new(),
            timers: None,
            timer_count: 0,
            attributes: Attributes::default(),
            lifetime,
            expires_at: None,
            expiry_timer: Armed::No,
            expired: false,
            invalidate_when_ready: true,
            unsettled: false,
            touched: SmallVec::new(),
            ending: false,
            calls: 0,
            mailbox: VecDeque::new(),
            running: None,
            queued: false,
        });
        self.app_by_number.insert(number, session);
        if let Some(key) = key {
            self.by_key.insert((app, key), session);
        }
        self.restart_lifetime(session);
        session
    }

    /// Begins the lifetime anew. The timer that is armed stays where it is: when it fires too early, it is armed again.
    pub(crate) fn restart_lifetime(&mut self, key: AppSessionKey) {
        let now = self.now;
        let Some(session) = self.app_sessions.get_mut(key) else { return };
        session.expires_at = session.lifetime.map(|lifetime| now + lifetime);
        if let Some(lifetime) = session.lifetime.filter(|_| session.expiry_timer == Armed::No) {
            let armed = self.arm(crate::state::Due::Expiry(key), lifetime);
            if let Some(session) = self.app_sessions.get_mut(key) {
                session.expiry_timer = armed;
            }
        }
    }

    /// A request has come or gone, or a response has come.
    pub(crate) fn touch(&mut self, key: AppSessionKey) {
        let (now, time) = (self.now, self.time());
        let Some(session) = self.app_sessions.get_mut(key) else { return };
        session.facts.last_accessed.set(time);
        // What is sent while the listeners hear of the expiry is no reason to live on; only `set_expires` is.
        if !session.expired && session.lifetime.is_some() {
            session.expires_at = session.lifetime.map(|lifetime| now + lifetime);
        }
    }

    /// Counts the calls of an application session anew: what a graceful stop waits for.
    pub(crate) fn count_calls(&mut self, key: AppSessionKey) {
        let calls = self.calls_of(key);
        let Some(session) = self.app_sessions.get_mut(key) else { return };
        let before = std::mem::replace(&mut session.calls, calls);
        self.calls = self.calls + calls - before;
    }

    /// Counts all calls: when a graceful stop begins, and never before.
    pub(crate) fn count_all_calls(&mut self) {
        let keys: Vec<AppSessionKey> = self.app_sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.count_calls(key);
        }
    }

    pub(crate) fn calls_of(&self, key: AppSessionKey) -> usize {
        let Some(session) = self.app_sessions.get(key) else { return 0 };
        session.sessions.iter().filter(|session| self.is_call(**session)).count()
    }

    /// The Call-ID of an application session's first SIP session.
    pub(crate) fn call_id_of(&self, key: AppSessionKey) -> Option<Rc<str>> {
        let first = self.app_sessions.get(key)?.sessions.first()?;
        Some(Rc::clone(&self.sessions.get(*first)?.facts.call_id))
    }

    /// Takes an application session out of its table.
    pub(crate) fn remove_app_session(&mut self, key: AppSessionKey) -> Option<AppSession> {
        let session = self.app_sessions.remove(key)?;
        self.calls -= session.calls;
        Some(session)
    }

    fn is_call(&self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key) else { return false };
        matches!(session.state, SessionState::Early | SessionState::Confirmed)
            && (session.is_proxy()
                || session.state == SessionState::Early
                || session.ua.as_ref().is_some_and(|ua| ua.has_call))
    }
}
