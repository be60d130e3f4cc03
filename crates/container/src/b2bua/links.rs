//! What belongs together on two legs: sessions, and requests.
//!
//! ```text
//!   session A ◄──── linked ────► session B
//!       │                            │ unsent: (request, A's transaction)     until it is sent
//!   transaction ◄── linked ──► transaction                                    afterwards
//! ```
//!
//! A key that finds nothing is no link: what is over needs no untying.

use servlet::spi::{SessionKey, TransactionKey};
use servlet::{Error, IllegalArgument, IllegalState, SessionState, SipServletRequest};

use crate::core::Core;
use crate::session::{Session, Unsent};
use crate::state::State;

impl Core {
    /// A request was sent in a transaction: if it was made for another leg's, the two belong together from now on.
    pub(crate) fn b2bua_request_sent(&self, request: &SipServletRequest, key: TransactionKey) {
        let mut state = self.state_mut();
        let session = request.facts().session.get().and_then(|session| state.sessions.get_mut(session));
        let Some(ua) = session.and_then(|session| session.ua_mut()) else { return };
        let Some(place) = ua.unsent.iter().position(|unsent| unsent.request == *request) else { return };
        let original = ua.unsent.remove(place).original;
        if let Some(first) = state.transactions.get_mut(original) {
            first.linked = Some(key);
            if let Some(second) = state.transactions.get_mut(key) {
                second.linked = Some(original);
            }
        }
    }

    /// Links what was just made for another leg's request.
    pub(super) fn link_request(&self, session: SessionKey, request: &SipServletRequest, original: &SipServletRequest) {
        let Some(original) = original.facts().transaction.get() else { return };
        let replaced = {
            let mut state = self.state_mut();
            let Some(session) = state.sessions.get_mut(session) else { return };
            let unsent = &mut session.make_ua().unsent;
            let old = unsent.iter().position(|unsent| unsent.original == original);
            let replaced = old.map(|old| unsent.remove(old));
            unsent.push(Unsent { request: request.clone(), original });
            replaced
        };
        // With it may go attributes of the application's, which do what they like when they are dropped.
        drop(replaced);
    }

    /// The other leg's request.
    pub(super) fn other_request(&self, request: &SipServletRequest) -> Option<SipServletRequest> {
        let state = self.state();
        let session = state.sessions.get(request.facts().session.get()?);
        let Some(key) = request.facts().transaction.get() else {
            // It was not sent: its session knows what it was made for.
            let unsent = session?.ua.as_ref()?.unsent.iter().find(|unsent| unsent.request == *request)?;
            return state.transactions.get(unsent.original)?.request.clone();
        };
        let of_key = |unsent: &&Unsent| unsent.original == key;
        let other = session.and_then(|session| state.sessions.get(session.linked?));
        if let Some(unsent) = other.and_then(|other| other.ua.as_ref()?.unsent.iter().find(of_key)) {
            return Some(unsent.request.clone());
        }
        state.transactions.get(state.transactions.get(key)?.linked?)?.request.clone()
    }

    /// Takes two sessions and their requests apart.
    pub(super) fn unlink(&self, key: SessionKey) -> Result<(), Error> {
        let unsent = {
            let mut state = self.state_mut();
            state.sessions.get(key).ok_or(IllegalState::InvalidSession)?;
            let other = state.linked_of(key).ok_or(IllegalArgument::Linked)?;
            [state.untie(key), state.untie(other)]
        };
        drop(unsent);
        Ok(())
    }
}

impl State {
    /// The session that this one is linked with, if there is one still.
    pub(crate) fn linked_of(&self, key: SessionKey) -> Option<SessionKey> {
        self.sessions.get(key)?.linked.filter(|other| self.sessions.get(*other).is_some())
    }

    /// Whether two sessions can be linked, or are.
    pub(super) fn check_link(&self, one: SessionKey, other: SessionKey) -> Result<(), Error> {
        let find = |key| self.sessions.get(key).ok_or(IllegalState::InvalidSession);
        let (first, second) = (find(one)?, find(other)?);
        if first.app_session != second.app_session {
            return Err(IllegalArgument::ForeignSession.into());
        }
        if one == other {
            return Err(IllegalArgument::Linked.into());
        }
        match (self.linked_of(one), self.linked_of(other)) {
            (Some(a), Some(b)) if a == other && b == one => Ok(()),
            (None, None) => {
                let is_over = |session: &Session| session.state == SessionState::Terminated;
                if is_over(first) || is_over(second) { Err(IllegalState::Terminated.into()) } else { Ok(()) }
            }
            _ => Err(IllegalArgument::Linked.into()),
        }
    }

    pub(crate) fn link(&mut self, one: SessionKey, other: SessionKey) {
        for (from, to) in [(one, other), (other, one)] {
            if let Some(session) = self.sessions.get_mut(from) {
                session.linked = Some(to);
            }
        }
    }

    /// Takes away what ties a session to another. What was not sent is to be dropped by the caller.
    #[must_use = "may not be dropped while the state is borrowed"]
    fn untie(&mut self, key: SessionKey) -> impl Sized + use<> {
        let Some(session) = self.sessions.get_mut(key) else { return Default::default() };
        session.linked = None;
        let unsent = session.ua_mut().map(|ua| std::mem::take(&mut ua.unsent)).unwrap_or_default();
        let open: Vec<TransactionKey> = session.open.iter().map(|(key, _)| *key).collect();
        for key in open {
            let linked = self.transactions.get_mut(key).and_then(|transaction| transaction.linked.take());
            if let Some(other) = linked.and_then(|linked| self.transactions.get_mut(linked)) {
                other.linked = None;
            }
        }
        unsent
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use servlet::spi::{AppId, AppSessionKey};

    use super::*;
    use crate::session::{NewSession, SessionRole};
    use crate::state::Clock;

    fn state() -> (State, AppSessionKey) {
        let now = Instant::now();
        let mut state = State::new(now, Clock::new(now, SystemTime::UNIX_EPOCH));
        let app_session = state.open_app_session(AppId(0), "app".into(), None, None);
        (state, app_session)
    }

    fn session(state: &mut State, app_session: AppSessionKey) -> SessionKey {
        let call_id = "1@h".into();
        let new = NewSession { app_session, call_id, role: SessionRole::Uac, local_tag: "".into(), servlet: 0 };
        state.open_session(new).unwrap()
    }

    #[test]
    fn sessions_are_linked_in_pairs_and_the_same_pair_again_is_no_mistake() {
        let (mut state, parent) = state();
        let [a, b, c] = std::array::from_fn(|_| session(&mut state, parent));
        assert_eq!(state.check_link(a, b), Ok(()));
        state.link(a, b);
        assert_eq!((state.linked_of(a), state.linked_of(b)), (Some(b), Some(a)));
        assert_eq!((state.check_link(a, b), state.check_link(b, a)), (Ok(()), Ok(())));
        assert_eq!(state.check_link(a, c), Err(IllegalArgument::Linked.into()));
        assert_eq!(state.check_link(c, b), Err(IllegalArgument::Linked.into()));
        assert_eq!(state.check_link(c, c), Err(IllegalArgument::Linked.into()));
    }

    #[test]
    fn sessions_of_two_application_sessions_are_not_linked() {
        let (mut state, parent) = state();
        let other = state.open_app_session(AppId(0), "app".into(), None, None);
        let (a, b) = (session(&mut state, parent), session(&mut state, other));
        assert_eq!(state.check_link(a, b), Err(IllegalArgument::ForeignSession.into()));
    }

    #[test]
    fn a_session_that_is_over_is_not_linked_any_more_but_stays_linked() {
        let (mut state, parent) = state();
        let (a, b) = (session(&mut state, parent), session(&mut state, parent));
        state.sessions.get_mut(b).unwrap().state = SessionState::Terminated;
        assert_eq!(state.check_link(a, b), Err(IllegalState::Terminated.into()));
        state.link(a, b);
        assert_eq!(state.check_link(a, b), Ok(()));
    }

    #[test]
    fn a_session_whose_partner_was_invalidated_can_be_linked_again() {
        let (mut state, parent) = state();
        let [a, b, c] = std::array::from_fn(|_| session(&mut state, parent));
        state.link(a, b);
        drop(state.sessions.remove(b));
        assert_eq!(state.linked_of(a), None);
        assert_eq!(state.check_link(a, c), Ok(()));
        assert_eq!(state.check_link(a, b), Err(IllegalState::InvalidSession.into()));
    }
}
