//! One request, several dialogs (RFC 3261 §12.1, §13.2.2.4): sessions that are derived from the one that has sent or
//! received it.
//!
//! ```text
//!                  ┌── 180, 200  To: …;tag=1 ──  session B      the first to answer
//!   INVITE ────────┤
//!                  ├── 183       To: …;tag=2 ──  session B'     derived: attributes and handler as B has them then,
//!                  └── 200       To: …;tag=3 ──  session B''    a dialog of its own
//! ```
//!
//! A derived session lives by itself: when the one that it came from is invalidated, the next one takes the place of that.

use servlet::spi::{SessionKey, TransactionKey};
use servlet::{Error, IllegalArgument, IllegalState, SessionState, SipServletRequest, SipSession};
use sip_dialog::{Attempt, Dialog, DialogState, RouteSet};
use sip_message::header::{Contact, From};
use sip_message::{Method, Request};

use crate::core::Core;
use crate::session::{Dialogue, NewSession, Session, SessionRole, Ua};
use crate::state::State;

/// How many sessions one request can make: whoever answers has their number in hand.
const MOST_FORKS: usize = 64;

impl Core {
    /// A session for another dialog of the same request. `None` when the original or its application session is no more, or
    /// has made as many as there may be.
    pub(crate) fn derive_session(&self, original: SessionKey, dialog: Dialog) -> Option<SessionKey> {
        let tag = dialog.id.local_tag.clone();
        self.derive(original, tag, Dialogue::Ua(Box::new(dialog)))
    }

    /// A session at the server with a tag of its own, for another dialog of the request that has begun `original`.
    pub(crate) fn derive_server_session(&self, original: SessionKey) -> Option<SessionKey> {
        let dialog = {
            let mut state = self.state_mut();
            let tag = state.new_tag();
            state.other_server_dialog(original, &tag)?
        };
        self.derive_session(original, dialog)
    }

    fn derive(&self, original: SessionKey, tag: Box<str>, dialog: Dialogue) -> Option<SessionKey> {
        let derived = self.state_mut().open_derived(original, tag, dialog)?;
        self.session_created(derived);
        Some(derived)
    }

    /// The other leg's session for a fork: derived there as well.
    pub(crate) fn link_fork(&self, session: SessionKey) -> Option<SessionKey> {
        let peer = self.state().sessions.get(session)?.ua.as_ref()?.peer_of_origin?;
        let derived = self.derive_server_session(peer)?;
        self.state_mut().link(session, derived);
        Some(derived)
    }

    /// The session that a NOTIFY belongs to: it may come from another fork of the SUBSCRIBE than the first one, and makes
    /// a dialog of its own then (RFC 6665 §4.1.4).
    pub(crate) fn session_of_notify(
        &self,
        found: SessionKey,
        key: TransactionKey,
        notify: &SipServletRequest,
    ) -> SessionKey {
        if notify.method() != Method::Notify {
            return found;
        }
        let dialog = self.state().dialog_of_forked_notify(found, &notify.sip_request());
        let derived = dialog.and_then(|dialog| self.derive_session(found, dialog));
        let Some(derived) = derived else { return found };
        let mut state = self.state_mut();
        state.confirm_by_notify(derived);
        state.move_transaction(key, found, derived);
        notify.facts().session.set(Some(derived));
        derived
    }

    /// `ForkingContext`: the sessions that the same request has made, the first one first.
    pub(crate) fn fork_sessions(&self, session: SessionKey) -> Result<Vec<SipSession>, Error> {
        let members = self.state().fork_members(session)?;
        Ok(members.into_iter().filter_map(|member| self.session(member)).collect())
    }

    /// `ForkingContext.createRequest`: a request for another dialog beside those that there are.
    pub(crate) fn fork_request(&self, session: SessionKey, method: Method) -> Result<SipServletRequest, Error> {
        if matches!(method, Method::Ack | Method::Cancel | Method::Prack) {
            return Err(IllegalArgument::Method(method.as_str().into()).into());
        }
        let attempt = {
            let state = self.state();
            let record = state.sessions.get(session).ok_or(IllegalState::InvalidSession)?;
            if record.ua.as_ref().is_some_and(|ua| ua.terminate_forks) {
                return Err(IllegalState::DialogTerminating.into());
            }
            match record.role {
                SessionRole::Proxy { .. } => return Err(IllegalState::ProxySession.into()),
                SessionRole::Undecided | SessionRole::Uas => None,
                SessionRole::Uac => match &record.dialog {
                    Dialogue::Ua(dialog) => Some(Attempt::after(Dialog::clone(dialog))),
                    Dialogue::Attempt(attempt) => Some(Attempt::clone(attempt)),
                    Dialogue::None => return Err(IllegalState::NoDialog.into()),
                },
            }
        };
        let derived = match attempt {
            Some(attempt) => {
                let tag = attempt.local_tag.clone();
                self.derive(session, tag, Dialogue::Attempt(Box::new(attempt)))
            }
            None => self.derive_server_session(session),
        };
        let derived = derived.ok_or(IllegalState::NoDialog)?;
        if method == Method::Notify {
            self.state_mut().confirm_by_notify(derived);
        }
        self.make_request(derived, method)
    }

    /// `ForkingContext.terminateDialogs`: ends all dialogs, and those to come.
    pub(crate) fn fork_terminate(&self, session: SessionKey) -> Result<(), Error> {
        let members = {
            let mut state = self.state_mut();
            let members = state.fork_members(session)?;
            for member in &members {
                if let Some(record) = state.sessions.get_mut(*member) {
                    record.make_ua().terminate_forks = true;
                }
            }
            members
        };
        for member in members {
            match self.end_dialog(member, &[]) {
                // Some have none any more.
                Ok(()) | Err(Error::IllegalState(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl State {
    /// The sessions that the request of this one has made, in the order in which they were made.
    pub(crate) fn fork_members(&self, key: SessionKey) -> Result<Vec<SessionKey>, Error> {
        let session = self.sessions.get(key).ok_or(IllegalState::InvalidSession)?;
        let first = session.first_of_forks(key);
        Ok(std::iter::once(first).chain(self.derived_of(first)).collect())
    }

    /// The sessions that are derived from the first one of a request.
    fn derived_of(&self, first: SessionKey) -> Vec<SessionKey> {
        let session = self.sessions.get(first);
        session.and_then(|session| session.ua.as_ref()).map(|ua| ua.derived.clone()).unwrap_or_default()
    }

    fn open_derived(&mut self, key: SessionKey, local_tag: Box<str>, dialog: Dialogue) -> Option<SessionKey> {
        let original = self.sessions.get(key)?;
        let first = original.first_of_forks(key);
        if self.derived_of(first).len() >= MOST_FORKS {
            return None;
        }
        let peer_of_origin = match original.role {
            SessionRole::Uac => original.linked.or_else(|| original.ua.as_ref()?.peer_of_origin),
            _ => None,
        };
        let mut ua = Box::new(Ua { derived_from: Some(first), is_derived: true, peer_of_origin, ..Ua::default() });
        if let Some(of) = original.ua.as_deref() {
            ua.keep_alive = of.keep_alive;
            ua.interface = of.interface;
            ua.terminate_forks = of.terminate_forks;
            // What has given up the request has given up all its dialogs; what has ended a dialog has ended that one.
            ua.terminating = of.terminate_forks || of.terminating && original.state <= SessionState::Early;
        }
        let (attributes, routed, initial) = (original.attributes.clone(), original.routed.clone(), original.initial);
        let invalidate_when_ready = original.invalidate_when_ready;
        let new = NewSession {
            app_session: original.app_session,
            call_id: original.facts.call_id.clone(),
            role: original.role,
            local_tag,
            servlet: original.servlet,
        };
        self.app_sessions.get(new.app_session).filter(|app_session| !app_session.ending)?;
        let derived = self.open_session(new)?;
        let session = self.sessions.get_mut(derived)?;
        session.attributes = attributes;
        session.routed = routed;
        session.initial = initial;
        session.invalidate_when_ready = invalidate_when_ready;
        session.dialog = dialog;
        session.ua = Some(ua);
        if let Some(first) = self.sessions.get_mut(first) {
            first.make_ua().derived.push(derived);
        }
        Some(derived)
    }

    /// The dialog that a response with another tag makes to the request that has begun a session.
    fn other_server_dialog(&self, key: SessionKey, tag: &str) -> Option<Dialog> {
        let session = self.sessions.get(key)?;
        if !matches!(session.role, SessionRole::Undecided | SessionRole::Uas) {
            return None;
        }
        let transaction = session.initial.and_then(|initial| self.transactions.get(initial));
        let is_call = session.ua.as_ref().is_some_and(|ua| ua.has_call);
        if transaction.is_none() && is_call {
            // Nobody waits for an answer any more. A subscription is another matter: its dialogs are made by NOTIFY.
            return None;
        }
        if let Some(known) = session.dialog() {
            let mut dialog = known.clone();
            dialog.id.local_tag = tag.into();
            dialog.state = DialogState::Early;
            dialog.local_cseq = None;
            // What came later came in the other dialog.
            dialog.remote_cseq = transaction.map(|transaction| transaction.cseq).or(dialog.remote_cseq);
            return Some(dialog);
        }
        let transaction = transaction.filter(|transaction| transaction.is_server())?;
        let secure = transaction.flow().is_some_and(|flow| flow.transport.is_secure());
        Dialog::as_uas_with_tag(&transaction.request.as_ref()?.sip_request(), tag, secure).ok()
    }

    /// The dialog that a NOTIFY makes beside that of the subscription that it is found by.
    fn dialog_of_forked_notify(&self, key: SessionKey, notify: &Request) -> Option<Dialog> {
        let session = self.sessions.get(key).filter(|session| session.role == SessionRole::Uac)?;
        let known = session.dialog()?;
        let headers = notify.headers();
        let from = headers.get::<From<'_>>()?.ok()?;
        let tag = from.tag().filter(|tag| **tag != *known.id.remote_tag)?;
        // Timer N, which runs for 64·T1 from the SUBSCRIBE: later forks are too late (RFC 6665 §4.1.2.4).
        let age = self.time().duration_since(session.facts.created).unwrap_or_default();
        let has_subscription = session.ua.as_ref().is_some_and(|ua| !ua.subscriptions.is_empty());
        if !has_subscription || age > self.timers_of_sip.timeout() {
            return None;
        }
        let Ok(Contact::Address(target)) = headers.get::<Contact<'_>>()? else { return None };
        let mut dialog = known.clone();
        dialog.id.remote_tag = tag.into();
        dialog.remote = from.clone().without_tag().to_buf();
        dialog.remote_target = target.uri().to_buf();
        dialog.route_set = RouteSet::of_request(headers)?;
        dialog.remote_cseq = None;
        Some(dialog)
    }

    /// Gives a transaction at the server to another session.
    fn move_transaction(&mut self, key: TransactionKey, from: SessionKey, to: SessionKey) {
        let Some(transaction) = self.transactions.get_mut(key) else { return };
        transaction.session = to;
        if let Some(session) = self.sessions.get_mut(from) {
            session.open.retain(|(open, _)| *open != key);
        }
        if let Some(session) = self.sessions.get_mut(to) {
            session.open.push((key, true));
        }
    }

    /// RFC 6665 §4.4.1: "the dialog usage is established by the NOTIFY request".
    fn confirm_by_notify(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.state = SessionState::Confirmed;
        if let Some(dialog) = session.dialog_mut() {
            dialog.state = DialogState::Confirmed;
        }
    }

    /// The request that has made these dialogs has failed, or has nothing more to come: those that are early are no more
    /// (RFC 3261 §12.3, §13.2.2.4).
    pub(crate) fn end_early_dialogs(&mut self, key: TransactionKey) {
        let Some(transaction) = self.transactions.get(key).filter(|transaction| transaction.initial) else { return };
        let (own, makes_dialog) = (transaction.session, transaction.method.creates_dialog());
        for member in std::iter::once(own).chain(self.derived_of(own)) {
            let Some(session) = self.sessions.get_mut(member).filter(|session| session.initial == Some(key)) else {
                continue;
            };
            if member != own {
                session.open.retain(|(open, _)| *open != key);
            }
            if session.is_proxy() || !makes_dialog || session.state > SessionState::Early {
                continue;
            }
            if member == own && session.role == SessionRole::Uac {
                if session.state == SessionState::Initial {
                    continue;
                }
                session.state = SessionState::Initial;
                session.give_up_dialog();
            } else {
                session.state = SessionState::Terminated;
                if let Some(dialog) = session.dialog_mut() {
                    dialog.terminate();
                }
            }
            session.ready = true;
            self.unsettle_session(member);
        }
    }
}

impl Session {
    /// The first session of those that the same request has made.
    fn first_of_forks(&self, own: SessionKey) -> SessionKey {
        self.ua.as_ref().and_then(|ua| ua.derived_from).unwrap_or(own)
    }
}

#[cfg(test)]
mod tests;
