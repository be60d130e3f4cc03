//! What each event does to its session, which handler it leads to, and what comes after the handler.

use servlet::spi::{AppSessionKey, Direction, Facts, SessionKey, TransactionKey};
use servlet::{SessionState, SipServletRequest, SipServletResponse};
use sip_dialog::{Dialog, RequestFault};
use sip_message::header::Rack;
use sip_message::{HeaderName, Method, Request, Response, StatusCode};

use crate::core::Core;
use crate::jobs::{Ack, Arrived, Job, Then, Work};
use crate::session::Dialogue;
use crate::state::{Due, State};
use crate::transaction::TransactionRole;

impl Core {
    /// Lets an event happen. `None`: no handler is to be called, and everything is done.
    pub(crate) fn begin(&self, key: AppSessionKey, job: Job) -> Option<Work> {
        match job {
            Job::Request(transaction) => self.request_due(transaction),
            Job::Ack(session, ack) => self.ack_due(session, *ack),
            Job::Cancel { transaction, cancel } => self.cancel_due(transaction, *cancel),
            Job::Response(transaction, arrived) => self.response_due(transaction, *arrived),
            Job::Failed { transaction, status } => self.failure_due(transaction, status),
            Job::ServerEnded { transaction, unanswered } => {
                let work = self.never_acknowledged(transaction);
                self.server_ended(transaction, unanswered);
                work
            }
            Job::ClientEnded(transaction) => {
                self.client_ended(transaction);
                None
            }
            Job::Timer(timer) => self.timer_due(timer),
            Job::Expiry => self.expiry_due(key),
            Job::Dialog(session) => self.dialog_due(session),
            Job::ProxyTimeout(proxy) => self.proxy_timeout(proxy),
            Job::BranchTimeout(branch) => self.branch_timeout(branch),
            Job::ProxyAdvance(proxy) => self.proxy_advance(proxy),
            Job::Settle => None,
            Job::Handler(work) => Some(work),
            Job::Run(app, future) => Some(Work { app, future, then: Then::Nothing }),
        }
    }

    /// What follows a handler. `None`: nothing that is the application's.
    pub(crate) fn after(&self, key: AppSessionKey, then: Then, failed: bool) -> Option<Work> {
        match then {
            Then::Nothing => None,
            Then::Requested(transaction) => {
                if failed {
                    self.end_with(transaction, StatusCode::SERVER_INTERNAL_ERROR);
                }
                None
            }
            Then::Proxied(transaction) => {
                if self.state().transactions.get(transaction).is_some_and(|open| open.is_open()) {
                    self.proxy_subsequent(transaction);
                }
                None
            }
            Then::AckProxied(session, ack) => {
                let (request, popped) = *ack;
                self.proxy_ack(session, request, &popped);
                None
            }
            Then::Proxy(then) => self.proxy_after(then, failed),
            Then::TimerFired(timer) => {
                self.timer_done(timer);
                None
            }
            Then::Expired => {
                self.expiry_done(key);
                None
            }
            Then::NoPrack(transaction) => {
                self.end_with(transaction, StatusCode::SERVER_TIMEOUT);
                None
            }
        }
    }

    /// An event of an application session that is no more: what a peer waits for, it gets.
    pub(crate) fn orphaned(&self, job: Job) {
        match job {
            Job::Request(transaction) => self.refuse_transaction(transaction),
            Job::Response(transaction, arrived) => drop(self.response_due(transaction, *arrived)),
            Job::Cancel { transaction, cancel } => self.orphan_cancelled(transaction, &cancel),
            Job::ServerEnded { transaction, unanswered } => self.server_ended(transaction, unanswered),
            Job::ClientEnded(transaction) => self.client_ended(transaction),
            Job::Failed { transaction, status } => drop(self.failure_due(transaction, status)),
            _ => {}
        }
    }

    // ----- handlers -----

    /// The handler of a transaction's request.
    pub(crate) fn request_work(&self, transaction: TransactionKey, then: Then) -> Option<Work> {
        let (app, place, request) = {
            let state = self.state();
            let of = state.transactions.get(transaction)?;
            (of.app, state.sessions.get(of.session)?.servlet, of.request.clone()?)
        };
        let servlet = self.app(app).servlet(place)?.clone();
        Some(Work { app, future: servlet.request(request), then })
    }

    /// The handler of a response.
    pub(crate) fn response_work(&self, session: SessionKey, response: SipServletResponse, then: Then) -> Option<Work> {
        let (app, place) = {
            let state = self.state();
            let record = state.sessions.get(session)?;
            (record.app, record.servlet)
        };
        let servlet = self.app(app).servlet(place)?.clone();
        Some(Work { app, future: servlet.response(response), then })
    }

    fn message_work(&self, session: SessionKey, request: SipServletRequest, then: Then) -> Option<Work> {
        let (app, place) = {
            let state = self.state();
            let record = state.sessions.get(session)?;
            (record.app, record.servlet)
        };
        let servlet = self.app(app).servlet(place)?.clone();
        Some(Work { app, future: servlet.request(request), then })
    }

    // ----- requests -----

    fn request_due(&self, key: TransactionKey) -> Option<Work> {
        let (session, initial, method, request) = {
            let mut state = self.state_mut();
            let of = state.transactions.get(key)?;
            let (session, app_session, initial, method) = (of.session, of.app_session, of.initial, of.method.clone());
            let request = of.request.clone()?;
            state.touch(app_session);
            let time = state.time();
            if let Some(record) = state.sessions.get(session) {
                record.facts.last_accessed.set(time);
            }
            (session, initial, method, request)
        };
        let (is_proxy, terminating) = {
            let state = self.state();
            match state.sessions.get(session) {
                // The session was invalidated while the request waited.
                None => {
                    drop(state);
                    self.refuse_transaction(key);
                    return None;
                }
                Some(record) => (record.is_proxy(), record.ua.as_ref().is_some_and(|ua| ua.terminating)),
            }
        };
        if initial {
            return self.request_work(key, Then::Requested(key));
        }
        if is_proxy {
            return self.request_work(key, Then::Proxied(key));
        }
        if terminating {
            self.answer_silently(key, session, &method);
            return None;
        }
        let session = self.session_of_notify(session, key, &request);
        if let Err(refused) = self.take_request(session, key, &request) {
            if let Some(mut response) = self.new_response(key, refused.status, None) {
                refused.say(&mut response);
                self.respond(key, response);
            }
            return None;
        }
        self.request_work(key, Then::Requested(key))
    }

    /// A user agent's dialog takes note of a request (RFC 3261 §12.2.2, §14.2). An error: the answer.
    fn take_request(
        &self,
        session: SessionKey,
        key: TransactionKey,
        handle: &SipServletRequest,
    ) -> Result<(), Refused> {
        let request = handle.sip_request();
        let method = request.method();
        {
            let mut state = self.state_mut();
            if *method == Method::Notify {
                state.dialog_of_notify(session, &request);
            }
            // RFC 3261 §14.2 says it of INVITE, RFC 3311 §5.2 of UPDATE.
            let negotiates = matches!(method, Method::Invite | Method::Update);
            let crosses = *method == Method::Invite && state.has_open(session, key, method, false);
            let waits = negotiates && state.has_open(session, key, method, true);
            let retry_after = state.random() % 11;
            let record = state.sessions.get_mut(session).ok_or(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)?;
            let dialog = record.dialog_mut().ok_or(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)?;
            match dialog.receive_request(&request) {
                Ok(()) => {}
                // The same request by another way (RFC 3261 §8.2.2.2).
                Err(RequestFault::OutOfOrder { highest, came }) if highest == came => {
                    return Err(StatusCode::LOOP_DETECTED.into());
                }
                // One that was overtaken is none the worse: its RAck says what it is for.
                Err(RequestFault::OutOfOrder { .. }) if *method == Method::Prack => {}
                Err(fault) => return Err(fault.status().into()),
            }
            if crosses {
                return Err(StatusCode::REQUEST_PENDING.into());
            }
            if waits {
                // "with a randomly chosen value of between 0 and 10 seconds".
                let status = StatusCode::SERVER_INTERNAL_ERROR;
                return Err(Refused { status, because: Some((HeaderName::RetryAfter, retry_after)) });
            }
            if Dialog::is_target_refresh(method) {
                dialog.refresh_target(request.headers());
            }
            if let Some(least) = record.interval_too_small(None, &request) {
                return Err(least);
            }
        }
        if *method == Method::Prack {
            let rack = request.headers().get::<Rack>();
            let Some(Ok(rack)) = rack else { return Err(StatusCode::BAD_REQUEST.into()) };
            self.prack_received(session, &rack)?;
        }
        Ok(())
    }

    /// A request whose session is no more.
    fn refuse_transaction(&self, key: TransactionKey) {
        let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
        if let Some(response) = self.new_response(key, status, None) {
            self.respond(key, response);
        }
    }

    /// Ends a request that the application has left without a final response.
    pub(crate) fn end_with(&self, key: TransactionKey, status: StatusCode) {
        let (session, role) = {
            let state = self.state();
            let Some(of) = state.transactions.get(key).filter(|of| of.is_open() && of.is_server()) else { return };
            (of.session, of.role)
        };
        let Some(response) = self.new_response(key, status, None) else { return };
        match role {
            TransactionRole::Proxy(proxy) => self.application_answered(proxy, response),
            _ => self.send_as_uas(key, session, response),
        }
    }

    fn ack_due(&self, session: SessionKey, ack: Ack) -> Option<Work> {
        let Ack { request, flow, popped } = ack;
        let (is_proxy, app, app_session) = {
            let mut state = self.state_mut();
            let record = state.sessions.get(session)?;
            let of = (record.is_proxy(), record.app, record.app_session);
            state.touch(of.2);
            of
        };
        self.app(app).counters.received(&Method::Ack);
        let handle = |request: Request| {
            let facts = Facts::new(app, Direction::Received, flow);
            facts.session.set(Some(session));
            facts.app_session.set(Some(app_session));
            facts.more.borrow_mut().popped_route = popped.route.clone();
            SipServletRequest::attach(self.host(), request, facts)
        };
        if is_proxy {
            let ack = handle(request.clone());
            return self.message_work(session, ack, Then::AckProxied(session, Box::new((request, popped))));
        }
        // The copy of an ACK acknowledges nothing.
        let transaction = self.acknowledged(session, &request)?;
        self.state_mut().rearm_dialog(session);
        if self.bye_was_due(session) {
            self.server_done(transaction);
            return None;
        }
        let ack = handle(request);
        ack.facts().committed.set(true);
        let work = self.message_work(session, ack, Then::Nothing);
        self.server_done(transaction);
        work
    }

    fn cancel_due(&self, key: TransactionKey, cancel: Request) -> Option<Work> {
        let (app, session, app_session, role, flow) = {
            let mut state = self.state_mut();
            let of = state.transactions.get_mut(key).filter(|of| of.is_open() && !of.cancelled)?;
            of.cancelled = true;
            let found = (of.app, of.session, of.app_session, of.role, of.flow());
            state.touch(found.2);
            found
        };
        self.app(app).counters.received(&Method::Cancel);
        match role {
            TransactionRole::Proxy(proxy) => self.proxy_cancelled(proxy, &cancel),
            _ => {
                if let Some(response) = self.new_response(key, StatusCode::REQUEST_TERMINATED, None) {
                    self.send_as_uas(key, session, response);
                }
            }
        }
        if self.state().sessions.get(session)?.ua.as_ref().is_some_and(|ua| ua.terminating) {
            return None;
        }
        let facts = Facts::new(app, Direction::Received, flow);
        facts.session.set(Some(session));
        facts.app_session.set(Some(app_session));
        facts.transaction.set(Some(key));
        facts.committed.set(true);
        let handle = SipServletRequest::attach(self.host(), cancel, facts);
        self.message_work(session, handle, Then::Nothing)
    }

    // ----- responses -----

    fn response_due(&self, key: TransactionKey, Arrived { response, flow }: Arrived) -> Option<Work> {
        let role = self.state().transactions.get(key)?.role;
        match role {
            TransactionRole::Branch(branch) => self.proxy_response(branch, response, flow),
            TransactionRole::Relay => {
                self.orphan_response(key, response);
                None
            }
            _ => self.uac_response(key, response, flow),
        }
    }

    fn failure_due(&self, key: TransactionKey, status: StatusCode) -> Option<Work> {
        let role = self.state().transactions.get(key)?.role;
        match role {
            TransactionRole::Branch(branch) => self.proxy_failed(branch, status),
            TransactionRole::Relay => {
                self.orphan_failed(key, status);
                None
            }
            _ => self.uac_failed(key, status),
        }
    }

    // ----- ends -----

    fn server_ended(&self, key: TransactionKey, unanswered: bool) {
        self.state_mut().end_early_dialogs(key);
        let Some(ended) = self.state_mut().forget_transaction(key) else { return };
        if let TransactionRole::Proxy(proxy) = ended.role {
            self.proxy_server_ended(proxy);
        }
        let mut state = self.state_mut();
        if unanswered && let Some(record) = state.sessions.get_mut(ended.session) {
            // Nobody waits for the answer any more.
            if record.state == SessionState::Initial && ended.initial {
                record.ready = true;
            }
        }
    }

    fn client_ended(&self, key: TransactionKey) {
        self.state_mut().end_early_dialogs(key);
        let Some(ended) = self.state_mut().forget_transaction(key) else { return };
        if let TransactionRole::Branch(branch) = ended.role {
            self.proxy_client_ended(branch);
        }
    }

    /// A timer of the endpoint's has fired.
    pub(crate) fn due(&self, due: Due) {
        let (app_session, job) = {
            let state = self.state();
            match due {
                Due::Expiry(key) => (Some(key), Job::Expiry),
                Due::Servlet(key) => (state.owner_of_timer(key), Job::Timer(key)),
                Due::Dialog(key) => (state.sessions.get(key).map(|record| record.app_session), Job::Dialog(key)),
                Due::Proxy(key) => (state.proxy_owner(key), Job::ProxyTimeout(key)),
                Due::Branch(key) => (state.branch_owner(key), Job::BranchTimeout(key)),
            }
        };
        if let Some(app_session) = app_session {
            self.submit(app_session, job);
        }
    }
}

/// Why a request of a dialog is not told, as its answer says it.
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// A header of the answer, and its number.
    pub(crate) because: Option<(HeaderName, u64)>,
}

impl Refused {
    pub(crate) fn say(&self, response: &mut Response) {
        if let Some((name, number)) = self.because {
            // A number has no line break.
            let _ = response.headers_mut().set(name, number);
        }
    }
}

impl From<StatusCode> for Refused {
    fn from(status: StatusCode) -> Refused {
        Refused { status, because: None }
    }
}

impl State {
    /// Whether another request of this method waits for its answer: for ours (`as_server`), or for the peer's.
    fn has_open(&self, session: SessionKey, but: TransactionKey, method: &Method, as_server: bool) -> bool {
        let Some(record) = self.sessions.get(session) else { return false };
        record.open.iter().any(|(open, is_server)| {
            *is_server == as_server
                && *open != but
                && self.transactions.get(*open).is_some_and(|of| of.method == *method)
        })
    }

    /// A NOTIFY can overtake the 2xx of its SUBSCRIBE, and makes the dialog then (RFC 6665 §4.1.4).
    fn dialog_of_notify(&mut self, session: SessionKey, notify: &Request) {
        let Some(record) = self.sessions.get(session).filter(|record| record.dialog().is_none()) else { return };
        let Some(initial) = record.initial.and_then(|key| self.transactions.get(key)) else { return };
        let Some(request) = initial.request.clone() else { return };
        let Ok(mut dialog) = Dialog::from_notify(&request.sip_request(), notify, false) else { return };
        // It takes note of the NOTIFY itself like of every request.
        dialog.remote_cseq = None;
        if let Some(record) = self.sessions.get_mut(session) {
            record.dialog = Dialogue::Ua(Box::new(dialog));
            record.state = SessionState::Confirmed;
        }
    }
}
