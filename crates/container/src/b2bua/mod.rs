//! The application as a back-to-back user agent (RFC 3261 §6): `B2buaHelper`.
//!
//! ```text
//!    UAS leg                 UAC leg
//!   session A ── linked ── session B        one application session
//!   INVITE ───── linked ──► INVITE          another Call-ID, other tags, another Contact
//!   180, 200 ◄───────────── 180, 200        the application passes them
//!   A' ───────── linked ── B'               another fork: both legs have a session of its own, made when asked for
//! ```
//!
//! Left to [`copy`] and [`response`]: what copies are made of. To [`crate::forking`]: sessions that are derived from others. To
//! the user agents: sending. Bodies pass unread.

mod copy;
mod links;
mod pending;
mod response;

use servlet::spi::{B2bua, Direction, Facts, Messages, SessionKey};
use servlet::{
    Error, HeaderMap, IllegalArgument, IllegalState, RoutingDirective, SipServletMessage, SipServletRequest,
    SipServletResponse, SipSession, UaMode,
};
use sip_message::StatusCode;

use crate::core::Core;
use crate::transaction::TransactionRole;
use copy::Wishes;

impl B2bua for Core {
    fn become_b2bua(&self, request: &SipServletRequest) -> Result<(), Error> {
        let facts = request.facts();
        let mut state = self.state_mut();
        let session = facts.session.get().and_then(|session| state.sessions.get(session));
        if session.is_some_and(|session| session.is_proxy()) {
            return Err(IllegalState::AlreadyProxy.into());
        }
        // ACK and CANCEL have no transaction of their own, and what has ended needs no mark.
        let transaction = facts.transaction.get().and_then(|key| state.transactions.get_mut(key));
        if let Some(transaction) = transaction {
            if matches!(transaction.role, TransactionRole::Proxy(_) | TransactionRole::Branch(_)) {
                return Err(IllegalState::AlreadyProxy.into());
            }
            transaction.is_b2bua = true;
        }
        Ok(())
    }

    fn b2bua_create_request(
        &self,
        original: &SipServletRequest,
        linked: bool,
        headers: Option<&HeaderMap>,
    ) -> Result<SipServletRequest, Error> {
        if !linked {
            return self.second_leg(original, false, headers);
        }
        let leg = original.facts().session.get().ok_or(IllegalState::InvalidSession)?;
        if self.state().linked_of(leg).is_some() {
            return Err(IllegalArgument::Linked.into());
        }
        let request = self.second_leg(original, false, headers)?;
        if let Some(session) = request.facts().session.get() {
            self.state_mut().link(leg, session);
            self.link_request(session, &request, original);
        }
        Ok(request)
    }

    fn b2bua_create_subsequent(
        &self,
        session: SessionKey,
        original: Option<&SipServletRequest>,
        headers: Option<&HeaderMap>,
    ) -> Result<SipServletRequest, Error> {
        let original = original.ok_or(IllegalArgument::Request)?;
        let leg = original.facts().session.get().ok_or(IllegalState::InvalidSession)?;
        self.state().check_link(leg, session)?;
        let method = original.method();
        let wishes = Wishes::read(headers, &method, false)?;
        let hops = self.take_hop(original)?;
        let request = self.make_request(session, method)?;
        let mut copy = {
            let ours = request.sip_request();
            copy::in_dialog(&original.sip_request(), &ours, hops, &wishes)?
        };
        self.add_contact(session, &mut copy, wishes.contact.as_ref());
        *request.sip_request_mut() = copy;
        if request.is_initial() {
            continue_routing(original, &request);
        }
        self.state_mut().link(leg, session);
        self.link_request(session, &request, original);
        Ok(request)
    }

    fn b2bua_create_cancel(&self, session: SessionKey) -> Result<SipServletRequest, Error> {
        let initial = {
            let state = self.state();
            let record = state.sessions.get(session).ok_or(IllegalState::InvalidSession)?;
            let Some(initial) = record.initial else {
                let waits = record.ua.as_ref().is_some_and(|ua| !ua.unsent.is_empty());
                let why = if waits { IllegalState::NotSent } else { IllegalState::TransactionEnded };
                return Err(why.into());
            };
            state.transactions.get(initial).and_then(|transaction| transaction.request.clone())
        };
        self.create_cancel(&initial.ok_or(IllegalState::FinalResponseSent)?)
    }

    fn b2bua_response_to_original(
        &self,
        session: SessionKey,
        status: StatusCode,
        reason: Option<&str>,
    ) -> Result<SipServletResponse, Error> {
        self.response_to_original(session, status, reason)
    }

    fn b2bua_create_response(
        &self,
        original: &SipServletRequest,
        response: &SipServletResponse,
    ) -> Result<SipServletResponse, Error> {
        self.copy_response(original, response)
    }

    fn linked_session(&self, session: SessionKey) -> Result<Option<SipSession>, Error> {
        let known = {
            let state = self.state();
            state.sessions.get(session).ok_or(IllegalState::InvalidSession)?;
            state.linked_of(session)
        };
        let linked = known.or_else(|| self.link_fork(session));
        Ok(linked.and_then(|linked| self.session(linked)))
    }

    fn linked_request(&self, request: &SipServletRequest) -> Option<SipServletRequest> {
        self.other_request(request)
    }

    fn link_sessions(&self, one: SessionKey, other: SessionKey) -> Result<(), Error> {
        let mut state = self.state_mut();
        state.check_link(one, other)?;
        state.link(one, other);
        Ok(())
    }

    fn unlink_session(&self, session: SessionKey) -> Result<(), Error> {
        self.unlink(session)
    }

    fn pending_messages(&self, session: SessionKey, mode: UaMode) -> Result<Vec<SipServletMessage>, Error> {
        self.pending(session, mode)
    }
}

impl Core {
    /// A copy of an initial request, in a session of its own. It continues the original's way through the applications.
    pub(crate) fn second_leg(
        &self,
        original: &SipServletRequest,
        same_call_id: bool,
        headers: Option<&HeaderMap>,
    ) -> Result<SipServletRequest, Error> {
        if !original.is_initial() {
            return Err(IllegalArgument::Request.into());
        }
        let leg = original.facts().session.get().ok_or(IllegalState::InvalidSession)?;
        let (app_session, servlet) = {
            let state = self.state();
            let record = state.sessions.get(leg).ok_or(IllegalState::InvalidSession)?;
            let parent = state.app_sessions.get(record.app_session).filter(|parent| !parent.ending);
            parent.ok_or(IllegalState::InvalidApplicationSession)?;
            (record.app_session, record.servlet)
        };
        let method = original.method();
        let wishes = Wishes::read(headers, &method, true)?;
        let hops = self.take_hop(original)?;
        let call_id = match same_call_id {
            true => original.call_id(),
            false => self.state_mut().new_call_id(),
        };
        let tag = self.state_mut().new_tag();
        let mut copy = copy::new_leg(&original.sip_request(), (&call_id, &tag, hops), &wishes)?;
        let session = self.new_uac_session(app_session, &call_id, &tag, servlet);
        let session = session.ok_or(IllegalState::InvalidApplicationSession)?;
        self.add_contact(session, &mut copy, wishes.contact.as_ref());
        let mut facts = Facts::new(original.facts().app, Direction::Created, None);
        facts.initial_flow = original.facts().initial_flow;
        facts.initial.set(true);
        facts.session.set(Some(session));
        facts.app_session.set(Some(app_session));
        let request = SipServletRequest::attach(self.host(), copy, facts);
        continue_routing(original, &request);
        Ok(request)
    }

    /// The hops that are left to a copy. When there is none, the original is answered 483.
    fn take_hop(&self, original: &SipServletRequest) -> Result<u8, Error> {
        let left = copy::hops_left(&original.sip_request());
        if let Some(left) = left {
            return Ok(left);
        }
        if original.facts().direction == Direction::Received {
            match self.create_response(original, StatusCode::TOO_MANY_HOPS, None) {
                Ok(refusal) => self.send_response(&refusal)?,
                // It was answered before; this copy is too many all the same.
                Err(error) => tracing::debug!(%error, "483 is not sent"),
            }
        }
        Err(Error::TooManyHops)
    }
}

/// A copy goes on where the original has come to.
fn continue_routing(original: &SipServletRequest, copy: &SipServletRequest) {
    if original.facts().direction != Direction::Received {
        return;
    }
    let theirs = original.facts().more.borrow();
    let mut more = copy.facts().more.borrow_mut();
    more.directive = Some(RoutingDirective::Continue);
    more.routing = theirs.routing.clone();
    more.initial_popped_route = theirs.initial_popped_route.clone();
}
