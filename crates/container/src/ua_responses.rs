//! Responses to the requests of a user agent client: the dialogs that they make, forks, repetitions, and answers to nobody.

use servlet::spi::{Direction, Facts, SessionKey, TransactionKey};
use servlet::{Error, IllegalState, SessionState, SipServletRequest};
use servlet::{SipServletResponse, SipSession};
use sip_dialog::reliable::{ReceivedProvisional, ReliableReceiver, rseq_of};
use sip_dialog::{Attempt, Dialog, DialogState, Role};
use sip_endpoint::SendTo;
use sip_message::{Flow, Method, Response, StatusCode};

use crate::core::Core;
use crate::fsm;
use crate::jobs::{Then, Work};
use crate::order::Order;
use crate::session::Dialogue;
use crate::state::State;
use crate::transaction::{Peer, Transaction, TransactionRole};
use crate::ua_server::has_to_tag;

use crate::ua_client::cseq_of;

impl Core {
    /// A response to a request of the application's own.
    pub(crate) fn uac_response(&self, key: TransactionKey, response: Response, flow: Option<Flow>) -> Option<Work> {
        let status = response.status();
        let (root, app, method, cseq, request, silent) = {
            let state = self.state();
            let transaction = state.transactions.get(key)?;
            let request = transaction.request.clone();
            let method = transaction.method.clone();
            (transaction.session, transaction.app, method, transaction.cseq, request, transaction.silent)
        };
        self.app(app).counters.answered(status);
        if status == StatusCode::TRYING {
            return None;
        }
        let Some(session) = self.session_of_response(key, root, &method, request.as_ref(), &response, flow.as_ref())
        else {
            self.absorb(key, request.as_ref(), &response);
            return None;
        };
        if self.is_repetition(session, &method, cseq, &response) {
            return None;
        }
        {
            let mut state = self.state_mut();
            if status.is_final() {
                state.close_transaction(key, status);
            } else if let Some(transaction) = state.transactions.get_mut(key) {
                transaction.provisional = true;
            }
            let app_session = state.transactions.get(key)?.app_session;
            state.touch(app_session);
            state.unsettle_session(session);
            let record = state.sessions.get_mut(session)?;
            if method == Method::Invite && status.is_success() {
                record.make_ua().unacknowledged.push(cseq);
            }
            if let Some(request) = &request
                && status.is_final()
                && matches!(method, Method::Subscribe | Method::Refer | Method::Notify)
            {
                record.make_ua().subscriptions.note_response(Role::Uac, &request.sip_request(), &response);
            }
            fsm::received_response(record, &method, status);
            fsm::subscriptions_changed(record);
            if status.is_final() && !status.is_success() && record.state == SessionState::Initial {
                record.give_up_dialog();
            }
            if status.is_success()
                && Dialog::is_target_refresh(&method)
                && let Some(dialog) = record.dialog_mut()
            {
                dialog.refresh_target(response.headers());
            }
            if status.is_final() && !status.is_success() {
                state.end_early_dialogs(key);
            }
        }
        self.keep_alive_learned(session, request.as_ref(), &response);
        let terminating = {
            let state = self.state();
            let ua = state.sessions.get(session)?.ua.as_deref();
            silent || ua.is_some_and(|ua| ua.terminating)
        };
        if terminating {
            self.terminated_response(session, &method, status);
            return None;
        }
        let handle = self.response_handle(session, key, response, flow, request);
        self.keep_unacknowledged(session, &handle);
        self.response_work(session, handle, Then::Nothing)
    }

    /// There will be no response: the request is answered here (RFC 3261 §8.1.3.1).
    pub(crate) fn uac_failed(&self, key: TransactionKey, status: StatusCode) -> Option<Work> {
        if status != StatusCode::REQUEST_TIMEOUT && self.goes_another_way(key) {
            return None;
        }
        let response = {
            let state = self.state();
            let transaction = state.transactions.get(key).filter(|transaction| transaction.is_open())?;
            let request = transaction.request.as_ref()?;
            if transaction.method == Method::Notify {
                let session = transaction.session;
                let request = request.sip_request().clone();
                drop(state);
                if let Some(record) = self.state_mut().sessions.get_mut(session) {
                    record.make_ua().subscriptions.note_failure(Role::Uac, &request);
                    fsm::subscriptions_changed(record);
                }
                Response::to(&request, status)
            } else {
                Response::to(&request.sip_request(), status)
            }
        };
        let request = self.state().transactions.get(key).and_then(|transaction| transaction.request.clone());
        if let Some(request) = request {
            request.facts().committed.set(true);
        }
        self.uac_response(key, response, None)
    }

    /// The connection that a dialog has come by has ended: its requests go to the peer's Contact from now on, this one
    /// first.
    fn goes_another_way(&self, key: TransactionKey) -> bool {
        let mut state = self.state_mut();
        let Some((session, request)) =
            state.transactions.get(key).and_then(|of| Some((of.session, of.request.clone()?)))
        else {
            return false;
        };
        let request = request.sip_request().clone();
        let over_flow = matches!(state.way_of(session, &request), SendTo::Flow(_));
        let Some(ua) = state.sessions.get_mut(session).and_then(|record| record.ua_mut()).filter(|_| over_flow) else {
            return false;
        };
        ua.flow = None;
        let Some(transaction) = state.transactions.get_mut(key) else { return false };
        if let Peer::Client(client) = std::mem::replace(&mut transaction.peer, Peer::Leaving) {
            state.by_client.remove(&client);
        }
        state.order(Order::Send { transaction: key, request: Box::new(request), to: SendTo::NextHop, mark: None });
        true
    }

    /// A handle to a response that has come.
    pub(crate) fn response_handle(
        &self,
        session: SessionKey,
        key: TransactionKey,
        response: Response,
        flow: Option<Flow>,
        request: Option<SipServletRequest>,
    ) -> SipServletResponse {
        let status = response.status();
        let is_invite = request.as_ref().is_some_and(|request| request.method() == Method::Invite);
        let reliable = rseq_of(response.headers()).is_some();
        let (app, app_session) = match self.state().sessions.get(session) {
            Some(record) => (record.app, Some(record.app_session)),
            None => (servlet::spi::AppId(0), None),
        };
        let facts = Facts::new(app, Direction::Received, flow);
        facts.session.set(Some(session));
        facts.app_session.set(app_session);
        facts.transaction.set(Some(key));
        facts.committed.set(status.is_provisional() && !reliable || status.is_final() && !is_invite);
        facts.more.borrow_mut().request = request;
        SipServletResponse::attach(self.host(), response, facts)
    }

    /// The session that a response belongs to: the one that has sent the request, or one that is derived from it when
    /// the response comes from another fork.
    fn session_of_response(
        &self,
        key: TransactionKey,
        root: SessionKey,
        method: &Method,
        request: Option<&SipServletRequest>,
        response: &Response,
        flow: Option<&Flow>,
    ) -> Option<SessionKey> {
        let status = response.status();
        let initial = {
            let state = self.state();
            state.sessions.get(root)?;
            state.transactions.get(key)?.initial
        };
        let makes_dialog = initial && method.creates_dialog() && status.code() < 300 && has_to_tag(response.headers());
        let Some(request) = request.filter(|_| makes_dialog) else {
            // A failure ends the attempt of all forks; what is in a dialog belongs to its session.
            return Some(root);
        };
        let secure = flow.is_some_and(|flow| flow.transport.is_secure());
        let dialog = match Dialog::as_uac(&request.sip_request(), response, secure) {
            Ok(dialog) => dialog,
            Err(error) => {
                tracing::debug!(%error, "a response makes no dialog");
                return None;
            }
        };
        let known = self.state().find_fork(root, &dialog.id.remote_tag);
        if let Some(known) = known {
            let mut state = self.state_mut();
            if let Some(present) = state.sessions.get_mut(known)?.dialog_mut()
                && status.is_success()
                && present.state == DialogState::Early
            {
                // An answer that can't be read leaves the early dialog's way.
                let _ = present.confirm(response);
            }
            return Some(known);
        }
        let mut state = self.state_mut();
        let record = state.sessions.get_mut(root)?;
        if record.dialog().is_none() && record.state <= SessionState::Early {
            let is_direct = dialog.route_set.is_empty();
            record.dialog = Dialogue::Ua(Box::new(dialog));
            if let Some(flow) = flow.filter(|flow| is_direct && flow.connection.is_some()) {
                record.make_ua().flow = Some(*flow);
            }
            return Some(root);
        }
        drop(state);
        let derived = self.derive_session(root, dialog)?;
        let mut state = self.state_mut();
        if let Some(transaction) = state.transactions.get(key)
            && transaction.is_open()
            && let Some(record) = state.sessions.get_mut(derived)
        {
            record.open.push((key, false));
        }
        Some(derived)
    }

    /// Whether a response tells nothing new: a 2xx once more, whose ACK goes once more, or a reliable 1xx that came
    /// before or too early (RFC 3262 §4).
    fn is_repetition(&self, session: SessionKey, method: &Method, cseq: u32, response: &Response) -> bool {
        if *method != Method::Invite {
            return false;
        }
        let status = response.status();
        let mut state = self.state_mut();
        if status.is_success() {
            let Some(record) = state.sessions.get_mut(session) else { return false };
            let ua = record.make_ua();
            let again = ua.acks.repeated_2xx(cseq).cloned();
            let waits = ua.unacknowledged.contains(&cseq);
            if let Some(ack) = again {
                let to = state.way_of(session, &ack);
                state.order(Order::Ack { request: Box::new(ack), to });
                return true;
            }
            return waits;
        }
        let Some(rseq) = rseq_of(response.headers()).filter(|_| status.is_provisional()) else { return false };
        let Some(record) = state.sessions.get_mut(session) else { return false };
        let ua = record.make_ua();
        let receiver = match &mut ua.provisionals {
            Some((of, receiver)) if *of == cseq => receiver,
            other => &mut other.insert((cseq, ReliableReceiver::default())).1,
        };
        receiver.received(rseq) != ReceivedProvisional::New
    }

    /// A 2xx for a session that is no more: it is acknowledged, and the call that nobody wants is ended.
    fn absorb(&self, key: TransactionKey, request: Option<&SipServletRequest>, response: &Response) {
        let Some(request) = request.filter(|request| request.method() == Method::Invite) else { return };
        if !response.status().is_success() {
            return;
        }
        let Ok(mut dialog) = Dialog::as_uac(&request.sip_request(), response, false) else { return };
        let cseq = cseq_of(response.headers()).unwrap_or_default();
        let ack = dialog.create_ack(cseq);
        let bye = dialog.create_request(Method::Bye);
        let mut state = self.state_mut();
        state.order(Order::Ack { request: Box::new(ack), to: SendTo::NextHop });
        let Some(bye) = bye else { return };
        let Some(of) = state.transactions.get(key) else { return };
        let of = (of.app, of.app_session, of.session);
        let mut leaving = Transaction::new(Peer::Leaving, TransactionRole::Uac, of, (Method::Bye, cseq + 1, false));
        leaving.silent = true;
        let bye_key = state.open_transaction(leaving);
        state.order(Order::Send { transaction: bye_key, request: Box::new(bye), to: SendTo::NextHop, mark: None });
    }

    /// A handle to the session of a message.
    pub(crate) fn session_handle(&self, key: Option<SessionKey>) -> Result<SipSession, Error> {
        key.and_then(|key| self.session(key)).ok_or(Error::IllegalState(IllegalState::InvalidSession))
    }
}

impl State {
    /// The session of the fork with this tag, among a session and those that are derived from it.
    pub(crate) fn find_fork(&self, root: SessionKey, remote_tag: &str) -> Option<SessionKey> {
        let record = self.sessions.get(root)?;
        let has_tag = |key: &SessionKey| {
            let dialog = self.sessions.get(*key).and_then(|record| record.dialog());
            dialog.is_some_and(|dialog| *dialog.id.remote_tag == *remote_tag)
        };
        let derived = record.ua.iter().flat_map(|ua| ua.derived.iter().copied());
        std::iter::once(root).chain(derived).find(has_tag)
    }
}

impl crate::session::Session {
    /// A UAC's early dialog is no more; requests with the same Call-ID and tag can follow (RFC 3261 §8.1.3.5).
    pub(crate) fn give_up_dialog(&mut self) {
        if !matches!(self.dialog, Dialogue::Ua(_)) {
            return;
        }
        if let Dialogue::Ua(dialog) = std::mem::replace(&mut self.dialog, Dialogue::None) {
            self.dialog = Dialogue::Attempt(Box::new(Attempt::after(*dialog)));
        }
    }
}
