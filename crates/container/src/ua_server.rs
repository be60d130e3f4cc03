//! The application as a user agent server: responses, with the To tag, the Contact and the dialog that they make; 2xx that
//! are repeated (RFC 3261 §13.3.1.4), and reliable provisional responses (RFC 3262).

use std::rc::Rc;

use servlet::spi::{Direction, Facts, SessionKey, TransactionKey};
use servlet::{
    Error, HeaderContext, IllegalState, KeepAlivePreference, SessionState, SipServletRequest, SipServletResponse,
};
use sip_dialog::{Dialog, DialogState, Role};
use sip_message::{HeaderName, Headers, Method, Response, StatusCode};

use crate::contact;
use crate::core::Core;
use crate::fsm;
use crate::order::Order;
use crate::session::{Dialogue, SessionRole, Success};
use crate::state::State;
use crate::transaction::{Peer, Transaction, TransactionRole};

impl Core {
    /// A response to a transaction's request, with our To tag; without Contact.
    pub(crate) fn new_response(
        &self,
        key: TransactionKey,
        status: StatusCode,
        reason: Option<&str>,
    ) -> Option<Response> {
        let (request, session) = {
            let state = self.state();
            let transaction = state.transactions.get(key)?;
            (transaction.request.clone()?, transaction.session)
        };
        let mut response = Response::to(&request.sip_request(), status);
        if let Some(reason) = reason {
            response.set_reason(reason).ok()?;
        }
        if status != StatusCode::TRYING {
            self.state_mut().add_to_tag(session, &mut response);
        }
        Some(response)
    }

    /// `SipServletRequest.createResponse`.
    pub(crate) fn make_response(
        &self,
        request: &SipServletRequest,
        status: StatusCode,
        reason: Option<&str>,
    ) -> Result<SipServletResponse, Error> {
        let facts = request.facts();
        if facts.direction != Direction::Received {
            return Err(IllegalState::NotOurs.into());
        }
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return Err(IllegalState::WrongMethod.into());
        }
        let key = facts.transaction.get().ok_or(IllegalState::TransactionEnded)?;
        {
            let state = self.state();
            let transaction = state.transactions.get(key).ok_or(IllegalState::TransactionEnded)?;
            if !transaction.is_open() {
                return Err(IllegalState::FinalResponseSent.into());
            }
            if state.sessions.get(transaction.session).is_none() {
                return Err(IllegalState::InvalidSession.into());
            }
        }
        let mut response = Response::to(&request.sip_request(), status);
        if let Some(reason) = reason
            && response.set_reason(reason).is_err()
        {
            return Err(servlet::IllegalArgument::HeaderValue.into());
        }
        let session = facts.session.get();
        if status != StatusCode::TRYING
            && let Some(session) = session
        {
            self.state_mut().add_to_tag(session, &mut response);
        }
        let made = Facts::new(facts.app, Direction::Created, None);
        made.session.set(session);
        made.app_session.set(facts.app_session.get());
        made.transaction.set(Some(key));
        made.more.borrow_mut().request = Some(request.clone());
        Ok(SipServletResponse::attach(self.host(), response, made))
    }

    /// `SipServletResponse.send`.
    pub(crate) fn send_made_response(&self, response: &SipServletResponse) -> Result<(), Error> {
        let (key, session) = self.check_response(response)?;
        let status = response.status();
        let role = {
            let state = self.state();
            state.transactions.get(key).ok_or(IllegalState::TransactionEnded)?.role
        };
        let mut sip = response.sip_response().clone();
        if let TransactionRole::Proxy(proxy) = role {
            response.facts().committed.set(true);
            if status.is_final() {
                self.application_answered(proxy, sip);
            } else {
                self.respond(key, sip);
            }
            return Ok(());
        }
        let wish = response.session_keep_alive_preference();
        if status.is_success()
            && let Some(request) = response.request()
            && let Some(refused) = self.refuse_keep_alive(session, wish, &request.sip_request())
            && let Some(mut refusal) = self.new_response(key, refused.status, None)
        {
            refused.say(&mut refusal);
            response.facts().committed.set(true);
            request.facts().committed.set(true);
            self.send_as_uas(key, session, refusal);
            return Ok(());
        }
        self.complete_response(key, session, wish, &mut sip)?;
        response.facts().committed.set(true);
        self.commit_request(response, status);
        let now = if status.is_success() { self.state_mut().hold_success(key, session, sip) } else { Some(sip) };
        if let Some(sip) = now {
            self.send_as_uas(key, session, sip);
        }
        Ok(())
    }

    /// The transaction and the session of a response that can be sent.
    pub(crate) fn check_response(&self, response: &SipServletResponse) -> Result<(TransactionKey, SessionKey), Error> {
        if response.is_committed() {
            return Err(IllegalState::Committed.into());
        }
        let key = response.facts().transaction.get().ok_or(IllegalState::TransactionEnded)?;
        let state = self.state();
        let transaction = state.transactions.get(key).ok_or(IllegalState::TransactionEnded)?;
        // That of another fork, when the response is one of its own.
        let key_of_session = response.facts().session.get().unwrap_or(transaction.session);
        let session = state.sessions.get(key_of_session).ok_or(IllegalState::InvalidSession)?;
        // RFC 3261 §13.3.1.4: each dialog has a 2xx of its own.
        let of_another_dialog = transaction.method == Method::Invite
            && transaction.final_status.is_some_and(|sent| sent.is_success())
            && response.status().is_success()
            && session.state <= SessionState::Early;
        if (!transaction.is_open() && !of_another_dialog) || session.holds_success() {
            return Err(IllegalState::FinalResponseSent.into());
        }
        if session.ua.as_ref().is_some_and(|ua| ua.terminating) {
            return Err(IllegalState::DialogTerminating.into());
        }
        Ok((key, key_of_session))
    }

    /// What the container adds to a response of the application's: Contact, Record-Route, the session timer; and the
    /// dialog that it makes.
    pub(crate) fn complete_response(
        &self,
        key: TransactionKey,
        session: SessionKey,
        wish: Option<KeepAlivePreference>,
        sip: &mut Response,
    ) -> Result<(), Error> {
        let status = sip.status();
        let (request, flow) = {
            let state = self.state();
            let transaction = state.transactions.get(key).ok_or(IllegalState::TransactionEnded)?;
            (transaction.request.clone().ok_or(IllegalState::TransactionEnded)?, transaction.flow())
        };
        let request = request.sip_request();
        let method = request.method().clone();
        if contact::belongs_in(HeaderContext::Response(&method, status)) {
            let contact = sip.headers().first(HeaderName::Contact).and_then(|text| servlet::Address::parse(text).ok());
            let contact = self.contact_for(session, flow.as_ref(), None, contact.as_ref());
            // An address has no line break.
            let _ = sip.headers_mut().set(HeaderName::Contact, &contact);
        }
        self.grant_keep_alive(session, wish, &request, sip);
        let makes_dialog = method.creates_dialog() && status != StatusCode::TRYING && status.code() < 300;
        if !makes_dialog {
            return Ok(());
        }
        if has_to_tag(request.headers()) {
            return Ok(());
        }
        sip.headers_mut().copy_from(request.headers(), HeaderName::RecordRoute);
        let mut state = self.state_mut();
        let record = state.sessions.get_mut(session).ok_or(IllegalState::InvalidSession)?;
        if record.dialog().is_none() {
            let tag = record.local_tag.clone();
            let secure = flow.is_some_and(|flow| flow.transport.is_secure());
            match Dialog::as_uas_with_tag(&request, &tag, secure) {
                Ok(dialog) => record.dialog = Dialogue::Ua(Box::new(dialog)),
                Err(error) => {
                    tracing::debug!(%error, "a dialog can't be made");
                    return Err(Error::Transport(error.to_string().into()));
                }
            }
            // RFC 3261 §18: who has come by a connection, with nobody in between, is reached by it.
            let is_direct = record.dialog().is_some_and(|dialog| dialog.route_set.is_empty());
            if let Some(flow) = flow.filter(|flow| is_direct && flow.connection.is_some()) {
                record.make_ua().flow = Some(flow);
            }
        }
        Ok(())
    }

    fn commit_request(&self, response: &SipServletResponse, status: StatusCode) {
        if status.is_final()
            && let Some(request) = response.request()
        {
            request.facts().committed.set(true);
        }
    }

    /// Sends what is complete, and moves the session.
    pub(crate) fn send_as_uas(&self, key: TransactionKey, session: SessionKey, sip: Response) {
        let status = sip.status();
        let method;
        {
            let mut state = self.state_mut();
            let (now, timers) = (state.now, state.timers_of_sip);
            let Some(transaction) = state.transactions.get_mut(key) else { return };
            if transaction.role == TransactionRole::Undecided {
                transaction.role = TransactionRole::Uas;
            }
            method = transaction.method.clone();
            let (cseq, request) = (transaction.cseq, transaction.request.clone());
            if status.is_final() && method == Method::Invite {
                state.finish_reliable(key, session);
            }
            if let Some(record) = state.sessions.get_mut(session) {
                if record.role == SessionRole::Undecided {
                    record.role = SessionRole::Uas;
                }
                if status.is_success()
                    && let Some(dialog) = record.dialog_mut()
                {
                    dialog.state = DialogState::Confirmed;
                }
                if !status.is_success() && status.is_final() && record.state <= SessionState::Early {
                    // A dialog that was early is no more, if this was what made it.
                    if method.creates_dialog() {
                        record.dialog = Dialogue::None;
                    }
                }
                if method == Method::Invite && status.is_success() {
                    let success = Success { transaction: key, response: Rc::new(sip.clone()) };
                    record.make_ua().successes.sent(now, &timers, cseq, success);
                }
                fsm::sent_response(record, &method, status);
                if let Some(request) = request
                    && status.is_final()
                    && matches!(method, Method::Subscribe | Method::Refer | Method::Notify)
                {
                    let ua = record.make_ua();
                    ua.subscriptions.note_response(Role::Uas, &request.sip_request(), &sip);
                    if method == Method::Notify {
                        ua.subscriptions.note_request(Role::Uas, &request.sip_request());
                    }
                    fsm::subscriptions_changed(record);
                }
            }
            if status.is_success() && method == Method::Invite {
                state.rearm_dialog(session);
            }
            if status.is_final() && !status.is_success() {
                state.end_early_dialogs(key);
            }
        }
        let ends_call = method == Method::Bye && status.is_success();
        self.respond(key, sip);
        if ends_call {
            self.end_pending_invites(session);
        }
    }

    /// RFC 3261 §15.1.2: a BYE ends what waits for an answer, and "it is RECOMMENDED that a 487 (Request Terminated)
    /// response be generated to those pending requests".
    fn end_pending_invites(&self, session: SessionKey) {
        let pending: Vec<TransactionKey> = {
            let state = self.state();
            let open = state.sessions.get(session).into_iter().flat_map(|record| record.open.iter());
            let is_invite = |key: &TransactionKey| {
                state.transactions.get(*key).is_some_and(|open| open.method == Method::Invite && open.is_open())
            };
            open.filter(|(_, as_server)| *as_server).map(|(key, _)| *key).filter(is_invite).collect()
        };
        for invite in pending {
            if let Some(response) = self.new_response(invite, StatusCode::REQUEST_TERMINATED, None) {
                self.send_as_uas(invite, session, response);
            }
        }
    }

    /// The one way up: to the peer, or to the application that has sent the request.
    pub(crate) fn respond(&self, key: TransactionKey, response: Response) {
        let status = response.status();
        let (app, gone) = {
            let mut state = self.state_mut();
            let Some(transaction) = state.transactions.get_mut(key) else { return };
            let app = transaction.app;
            // What can make another dialog may be answered once more for that (RFC 3261 §13.3.1.4).
            let is_over = status.is_final() && !transaction.method.creates_dialog();
            let gone = if is_over { transaction.request.take() } else { None };
            if status != StatusCode::TRYING && status.is_provisional() {
                transaction.provisional = true;
            }
            if status.is_final() {
                state.close_transaction(key, status);
            }
            state.order(Order::Respond { transaction: key, response: Box::new(response), once: false });
            (app, gone)
        };
        // With the last handle to a request the application's own values go.
        drop(gone);
        self.app(app).counters.answer(status);
    }

    /// A server transaction has nothing more to say: an inner one ends for both sides.
    pub(crate) fn server_done(&self, key: TransactionKey) {
        let mut state = self.state_mut();
        let Some(Transaction { peer: Peer::Inner(client), .. }) = state.transactions.get(key).map(|t| &**t) else {
            return;
        };
        let client = *client;
        state.end_early_dialogs(key);
        let ended = state.forget_transaction(key);
        drop(state);
        // With the last handle to a request the application's own values go.
        drop(ended);
        let state = self.state();
        let Some(client_session) = state.transactions.get(client).map(|client| client.app_session) else { return };
        drop(state);
        self.submit(client_session, crate::jobs::Job::ClientEnded(client));
    }
}

impl State {
    /// Puts the session's tag into a To that has none.
    pub(crate) fn add_to_tag(&mut self, session: SessionKey, response: &mut Response) {
        if has_to_tag(response.headers()) {
            return;
        }
        let Some(to) = response.headers().first(HeaderName::To).map(str::to_owned) else { return };
        let tag = match self.sessions.get(session) {
            Some(record) if !record.local_tag.is_empty() => record.local_tag.clone(),
            Some(_) => {
                let tag: Box<str> = self.new_tag().into();
                self.set_local_tag(session, tag.clone());
                tag
            }
            None => self.new_tag().into(),
        };
        // A To that was parsed and a tag of ours have no line break.
        let _ = response.headers_mut().replace_first(HeaderName::To, format_args!("{to};tag={tag}"));
    }
}

/// Whether a message is one of a dialog, or answers within one.
pub(crate) fn has_to_tag(headers: &Headers) -> bool {
    headers.to_tag().is_some()
}
