//! The life of sessions of both kinds (SIP Servlet 1.1 §6.1.2 and §6.2.4): how they begin, when they are ready to be
//! invalidated, and how they end.
//!
//! ```text
//!   a session is ready ─► session_ready_to_invalidate ─flag is set─► it ends ──┐
//!   a timer is over ───────────────────────────────────────────────────────────┼─► is the application session ready?
//!   the application has ended a session ───────────────────────────────────────┘      and so on, with its own listeners
//!
//!   the end of a session              attributes are unbound ─► session_destroyed ─► it is gone, with its transactions
//!   the end of an application session its sessions end ─► attributes are unbound ─► timers are cancelled
//!                                       ─► session_destroyed ─► it is gone
//! ```
//!
//! Readiness is looked at when an event of the application session has been dealt with, never within a callback. An end
//! goes in steps; what a listener begins to end meanwhile is ended first (see [`crate::listeners`]).
//!
//! A session that ends leaves no peer waiting: what was not answered is answered, and what was called is cancelled. Its
//! dialog is dropped without a word, and who asks for it later gets 481.

use servlet::spi::{AppId, AppSessionKey, SessionKey, TransactionKey};
use servlet::{Error, IllegalState, SessionState, SipServletRequest};
use sip_message::{Method, StatusCode};
use smallvec::SmallVec;

use crate::app_session::AppSession;
use crate::core::Core;
use crate::listeners::{Ending, Notice, Occasion};
use crate::order::Order;
use crate::session::Session;
use crate::state::State;
use crate::transaction::{TransactionRole, shrink};

// ----- beginnings -----

impl Core {
    /// Makes an application session, if there is room for one more, and tells the listeners.
    pub(crate) fn create_app_session(&self, app: AppId, key: Option<&str>) -> Result<AppSessionKey, Error> {
        let deployed = self.app(app);
        let is_full = self.state().app_sessions.len() >= self.settings.max_sessions;
        if is_full || deployed.sessions.get() >= deployed.max_sessions {
            deployed.counters.sessions_rejected.add(1);
            return Err(IllegalState::LimitReached.into());
        }
        let key = key.map(Box::from);
        let session = self.state_mut().open_app_session(app, deployed.name.clone(), key, deployed.lifetime);
        deployed.sessions.set(deployed.sessions.get() + 1);
        deployed.counters.sessions.add(1);
        deployed.counters.sessions_created.add(1);
        self.tell(Notice::AppSession(session, Occasion::Created));
        Ok(session)
    }

    /// A session was made: it is counted, and the listeners are told.
    pub(crate) fn session_created(&self, key: SessionKey) {
        let Some(app) = self.state().sessions.get(key).map(|session| session.app) else { return };
        self.app(app).counters.sip_sessions.add(1);
        self.tell(Notice::Session(key, Occasion::Created));
    }
}

// ----- readiness -----

impl Core {
    /// After an event of an application session: whatever is ready is told so, and ends.
    pub(crate) fn settle(&self, key: AppSessionKey) {
        loop {
            let Some(touched) = self.state_mut().take_unsettled(key) else { return };
            for session in touched {
                self.settle_session(session);
            }
            if self.state().app_session_is_to_settle(key) {
                if !self.state().is_idle(key) {
                    // What waits is dealt with first; it may be a request that brings a new session.
                    return self.state_mut().unsettle(key);
                }
                self.settle_app_session(key);
            }
        }
    }

    fn settle_session(&self, key: SessionKey) {
        if !self.state().session_is_to_settle(key) {
            return;
        }
        self.tell(Notice::Session(key, Occasion::ReadyToInvalidate));
        if self.state().session_is_to_settle(key) {
            // It was valid a moment ago, and nobody has begun to end it.
            let _ = self.invalidate_session(key);
        }
    }

    fn settle_app_session(&self, key: AppSessionKey) {
        self.tell(Notice::AppSession(key, Occasion::ReadyToInvalidate));
        if self.state().app_session_is_to_settle(key) {
            let _ = self.end_app_session(key);
        }
    }

    /// `SipSession.isReadyToInvalidate`.
    pub(crate) fn session_is_ready_now(&self, key: SessionKey) -> Result<bool, Error> {
        let state = self.state();
        let session = state.sessions.get(key).ok_or(IllegalState::InvalidSession)?;
        Ok(state.is_ready(session))
    }

    /// `SipSession.setInvalidateWhenReady`.
    pub(crate) fn watch_session(&self, key: SessionKey, when: bool) -> Result<(), Error> {
        let mut state = self.state_mut();
        let session = state.sessions.get_mut(key).ok_or(IllegalState::InvalidSession)?;
        session.invalidate_when_ready = when;
        if when {
            state.unsettle_session(key);
        }
        Ok(())
    }

    /// `SipApplicationSession.setInvalidateWhenReady`.
    pub(crate) fn watch_app_session(&self, key: AppSessionKey, when: bool) -> Result<(), Error> {
        let mut state = self.state_mut();
        let session = state.app_sessions.get_mut(key).ok_or(IllegalState::InvalidApplicationSession)?;
        session.invalidate_when_ready = when;
        if when {
            state.unsettle(key);
        }
        Ok(())
    }
}

impl State {
    /// Something has happened after which an application session may be ready to be invalidated. It is looked at when its
    /// event has been dealt with; when it has none, soon.
    pub(crate) fn unsettle(&mut self, key: AppSessionKey) {
        let Some(session) = self.app_sessions.get_mut(key) else { return };
        session.unsettled = true;
        if !std::mem::replace(&mut session.queued, true) {
            self.runnable.push_back(key);
        }
    }

    /// The same of a session: a request of it was answered, or is no more.
    pub(crate) fn unsettle_session(&mut self, key: SessionKey) {
        let Some(app_session) = self.sessions.get(key).map(|session| session.app_session) else { return };
        if let Some(record) = self.app_sessions.get_mut(app_session)
            && record.touched.last() != Some(&key)
        {
            record.touched.push(key);
        }
        self.unsettle(app_session);
    }

    /// The sessions to be looked at, when anything is.
    fn take_unsettled(&mut self, key: AppSessionKey) -> Option<SmallVec<[SessionKey; 2]>> {
        let session = self.app_sessions.get_mut(key)?;
        std::mem::take(&mut session.unsettled).then(|| std::mem::take(&mut session.touched))
    }

    /// Whether a session may be invalidated: by the rules of its role, with every request answered and every 2xx to an
    /// INVITE acknowledged.
    pub(crate) fn is_ready(&self, session: &Session) -> bool {
        let is_open = |key: TransactionKey| self.transactions.get(key).is_some_and(|transaction| transaction.is_open());
        let owes_ack = session.ua.as_ref().is_some_and(|ua| !ua.unacknowledged.is_empty());
        session.ready && !owes_ack && !session.open.iter().any(|(key, _)| is_open(*key))
    }

    /// Whether every session is ready and no timer is active. HTTP sessions will have a say here, too: one that is valid
    /// keeps the application session.
    pub(crate) fn app_session_is_ready(&self, session: &AppSession) -> bool {
        session.timer_count == 0
            && session.sessions.iter().all(|key| self.sessions.get(*key).is_none_or(|session| self.is_ready(session)))
    }

    fn session_is_to_settle(&self, key: SessionKey) -> bool {
        let session = self.sessions.get(key);
        session.is_some_and(|session| session.invalidate_when_ready && !session.ending && self.is_ready(session))
    }

    fn app_session_is_to_settle(&self, key: AppSessionKey) -> bool {
        let session = self.app_sessions.get(key);
        session.is_some_and(|session| {
            session.invalidate_when_ready && !session.ending && self.app_session_is_ready(session)
        })
    }

    fn is_idle(&self, key: AppSessionKey) -> bool {
        self.app_sessions.get(key).is_some_and(|session| session.mailbox.is_empty() && session.running.is_none())
    }
}

// ----- ends -----

impl Core {
    /// `SipSession.invalidate`.
    pub(crate) fn invalidate_session(&self, key: SessionKey) -> Result<(), Error> {
        {
            let mut state = self.state_mut();
            let session = state.sessions.get_mut(key).filter(|session| !session.ending);
            session.ok_or(IllegalState::InvalidSession)?.ending = true;
        }
        self.telling.endings.borrow_mut().push(Ending::Session(key));
        self.tell_all();
        Ok(())
    }

    /// `SipApplicationSession.invalidate`.
    pub(crate) fn end_app_session(&self, key: AppSessionKey) -> Result<(), Error> {
        {
            let mut state = self.state_mut();
            let session = state.app_sessions.get_mut(key).filter(|session| !session.ending);
            session.ok_or(IllegalState::InvalidApplicationSession)?.ending = true;
            // Whoever has the same key from now on is another's.
            state.forget_key(key);
        }
        self.telling.endings.borrow_mut().push(Ending::AppSession(key));
        self.tell_all();
        Ok(())
    }

    /// Does one step of the end that was begun last. Whether there was one.
    pub(crate) fn end_next(&self) -> bool {
        let last = self.telling.endings.borrow().last().copied();
        match last {
            None => return false,
            Some(Ending::Session(key)) => self.end_session_step(key),
            Some(Ending::AppSession(key)) => self.end_app_session_step(key),
        }
        true
    }

    fn end_session_step(&self, key: SessionKey) {
        if self.unbind_last(servlet::spi::HolderKey::Session(key)) {
            return;
        }
        self.deliver(Notice::Session(key, Occasion::Destroyed));
        self.end_transactions(key);
        self.ended(Ending::Session(key));
        let Some(session) = self.state_mut().close_session(key) else { return };
        let request = self.state_mut().let_go_of_request(&session);
        self.app(session.app).counters.sip_sessions.take(1);
        self.listener(session.app, move || drop((session, request)));
    }

    fn end_app_session_step(&self, key: AppSessionKey) {
        if let Some(session) = self.state_mut().next_to_end(key) {
            // The listener that has begun this end may be told of the end of that very session.
            self.ended(Ending::Session(session));
            self.telling.endings.borrow_mut().push(Ending::Session(session));
            return;
        }
        if self.unbind_last(servlet::spi::HolderKey::Application(key)) {
            return;
        }
        self.end_timers(key);
        self.deliver(Notice::AppSession(key, Occasion::Destroyed));
        self.ended(Ending::AppSession(key));
        let Some(session) = self.state_mut().close_app_session(key) else { return };
        let app = self.app(session.app);
        app.sessions.set(app.sessions.get() - 1);
        app.counters.sessions.take(1);
        if let Some(running) = session.running {
            // The handler that has invalidated its session, or waits in one that another has, goes on to its end.
            self.spawned.borrow_mut().push(running.into_task());
        }
        for job in session.mailbox {
            self.orphaned(job);
        }
    }

    fn ended(&self, ending: Ending) {
        self.telling.endings.borrow_mut().retain(|other| *other != ending);
    }

    /// Answers what a session has not answered, and cancels what it waits for.
    fn end_transactions(&self, key: SessionKey) {
        let (open, confirmed) = {
            let mut state = self.state_mut();
            let heir = state.next_fork(key);
            if let Some(heir) = heir {
                state.bequeath(key, heir);
            }
            let Some(session) = state.sessions.get(key) else { return };
            (session.open.clone(), session.state == SessionState::Confirmed)
        };
        for (transaction, _) in open {
            let Some((role, method)) = self.state().open_of(key, transaction) else { continue };
            match role {
                TransactionRole::Undecided | TransactionRole::Uas => {
                    let timed_out = method == Method::Invite && !confirmed;
                    let status =
                        if timed_out { StatusCode::REQUEST_TIMEOUT } else { StatusCode::SERVER_INTERNAL_ERROR };
                    if let Some(response) = self.new_response(transaction, status, None) {
                        self.respond(transaction, response);
                    }
                }
                TransactionRole::Uac if method == Method::Invite => self.state_mut().cancel(transaction),
                // Its answer is for nobody.
                TransactionRole::Uac => {}
                TransactionRole::Proxy(proxy) => self.proxy_abandoned(proxy),
                // The proxy sees to its branches; what is relayed is no session's.
                TransactionRole::Branch(_) | TransactionRole::Relay => {}
            }
        }
    }
}

impl State {
    /// The request that has begun a session, which was answered: nobody can answer it once more.
    fn let_go_of_request(&mut self, session: &Session) -> Option<SipServletRequest> {
        let initial = self.transactions.get_mut(session.initial?)?;
        if initial.is_open() || !initial.is_server() {
            return None;
        }
        initial.request.take()
    }

    /// Takes a session out of everything that names it.
    fn close_session(&mut self, key: SessionKey) -> Option<Box<Session>> {
        self.unindex(key);
        let mut session = self.sessions.remove(key)?;
        self.by_number.remove(&session.facts.number);
        shrink(&mut self.by_number);
        if let Some(partner) = session.linked.and_then(|partner| self.sessions.get_mut(partner)) {
            partner.linked = partner.linked.filter(|linked| *linked != key);
        }
        if let Some(ua) = session.ua_mut() {
            self.disarm(&mut ua.timer);
            let parent = ua.derived_from.and_then(|parent| self.sessions.get_mut(parent));
            if let Some(parent) = parent.and_then(|parent| parent.ua_mut()) {
                parent.derived.retain(|fork| *fork != key);
            }
        }
        if let Some(app_session) = self.app_sessions.get_mut(session.app_session)
            && let Some(place) = app_session.sessions.iter().rposition(|other| *other == key)
        {
            app_session.sessions.remove(place);
        }
        self.unsettle(session.app_session);
        Some(session)
    }

    /// Takes an application session out of everything that names it. It has no sessions and no timers any more.
    fn close_app_session(&mut self, key: AppSessionKey) -> Option<AppSession> {
        self.forget_key(key);
        let mut session = self.remove_app_session(key)?;
        self.app_by_number.remove(&session.facts.number);
        shrink(&mut self.app_by_number);
        self.disarm(&mut session.expiry_timer);
        Some(session)
    }

    /// Lets go of an application session's key, unless another session has it by now.
    fn forget_key(&mut self, key: AppSessionKey) {
        let Some(session) = self.app_sessions.get(key) else { return };
        let Some(name) = &session.facts.key else { return };
        let name = (session.app, name.clone());
        if self.by_key.get(&name) == Some(&key) {
            self.by_key.remove(&name);
            shrink(&mut self.by_key);
        }
    }

    /// The latest session of an application session, which ends from now on.
    fn next_to_end(&mut self, key: AppSessionKey) -> Option<SessionKey> {
        let session = *self.app_sessions.get(key)?.sessions.last()?;
        self.sessions.get_mut(session)?.ending = true;
        Some(session)
    }

    /// What a transaction of a session's is that has no final response.
    fn open_of(&self, session: SessionKey, key: TransactionKey) -> Option<(TransactionRole, Method)> {
        // A fork's session counts its sibling's transaction among its own.
        let transaction = self.transactions.get(key).filter(|transaction| transaction.session == session)?;
        transaction.is_open().then(|| (transaction.role, transaction.method.clone()))
    }

    /// Takes an INVITE back whose application will not hear of the answer.
    fn cancel(&mut self, key: TransactionKey) {
        let Some(transaction) = self.transactions.get_mut(key) else { return };
        transaction.silent = true;
        if !std::mem::replace(&mut transaction.cancelled, true) {
            self.order(Order::Cancel { transaction: key, reason: None });
        }
    }

    /// The first fork of a session that stays when it ends.
    fn next_fork(&self, key: SessionKey) -> Option<SessionKey> {
        let derived = &self.sessions.get(key)?.ua.as_ref()?.derived;
        derived.iter().copied().find(|fork| self.sessions.get(*fork).is_some_and(|fork| !fork.ending))
    }

    /// Makes a fork the head of its siblings: their request goes on, and what still comes for it is theirs.
    fn bequeath(&mut self, key: SessionKey, heir: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let initial = session.initial;
        let Some(ua) = session.ua_mut() else { return };
        let (forks, terminate_forks) = (std::mem::take(&mut ua.derived), ua.terminate_forks);
        let forks: Vec<SessionKey> = forks.into_iter().filter(|fork| *fork != heir).collect();
        for fork in &forks {
            if let Some(ua) = self.sessions.get_mut(*fork).and_then(|fork| fork.ua_mut()) {
                ua.derived_from = Some(heir);
            }
        }
        if let Some(record) = self.sessions.get_mut(heir) {
            record.initial = initial;
            let ua = record.make_ua();
            ua.derived_from = None;
            ua.derived = forks;
            ua.terminate_forks = terminate_forks;
        }
        let Some(key) = initial else { return };
        let Some(transaction) = self.transactions.get_mut(key) else { return };
        transaction.session = heir;
        let (is_open, is_server) = (transaction.is_open(), transaction.is_server());
        if let Some(record) = self.sessions.get_mut(heir)
            && is_open
            && !record.open.iter().any(|(open, _)| *open == key)
        {
            record.open.push((key, is_server));
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod transactions;
