//! Responses on the leg that a call came on: those to the request that has begun it, and copies of what the other leg was
//! answered.
//!
//! ```text
//!   sent before     180      200      404          each in the session itself, or in one derived for another dialog
//!   nothing         itself   itself   itself
//!   1xx             derived  derived  itself
//!   2xx             –        derived  –            INVITE only (RFC 3261 §13.3.1.4, RFC 6026 §7.1)
//!   3xx–6xx         –        –        –
//! ```

use servlet::spi::{Direction, Facts, SessionKey, TransactionKey};
use servlet::{
    Error, HeaderContext, HeaderOwner, IllegalArgument, IllegalState, SessionState, SipServletRequest,
    SipServletResponse, header_owner, may_appear_in,
};
use sip_message::{HeaderName, Method, Response, StatusCode};

use crate::core::Core;
use crate::transaction::{Transaction, TransactionRole};

impl Core {
    pub(super) fn response_to_original(
        &self,
        session: SessionKey,
        status: StatusCode,
        reason: Option<&str>,
    ) -> Result<SipServletResponse, Error> {
        let (key, request, is_fork) = self.original_request(session, status)?;
        let mut response = Response::to(&request.sip_request(), status);
        if let Some(reason) = reason {
            response.set_reason(reason).map_err(|_| IllegalArgument::HeaderValue)?;
        }
        let session = match is_fork {
            true => self.derive_server_session(session).ok_or(IllegalState::InvalidSession)?,
            false => session,
        };
        Ok(self.response_in(session, key, &request, response))
    }

    pub(super) fn copy_response(
        &self,
        original: &SipServletRequest,
        theirs: &SipServletResponse,
    ) -> Result<SipServletResponse, Error> {
        let method = original.method();
        if original.facts().direction != Direction::Received {
            return Err(IllegalState::NotOurs.into());
        }
        if matches!(method, Method::Ack | Method::Cancel) {
            return Err(IllegalState::WrongMethod.into());
        }
        let key = original.facts().transaction.get().ok_or(IllegalState::TransactionEnded)?;
        let status = theirs.status();
        let session = self.session_to_answer_in(original, key, theirs)?;
        self.check_consistent(session, key, status)?;
        let copy = copy_of(original, &method, theirs);
        Ok(self.response_in(session, key, original, copy))
    }

    /// A handle to a response of ours, which gets the tag of its session.
    fn response_in(
        &self,
        session: SessionKey,
        key: TransactionKey,
        request: &SipServletRequest,
        mut response: Response,
    ) -> SipServletResponse {
        if response.status() != StatusCode::TRYING {
            self.state_mut().add_to_tag(session, &mut response);
        }
        let facts = Facts::new(request.facts().app, Direction::Created, None);
        facts.session.set(Some(session));
        facts.app_session.set(request.facts().app_session.get());
        facts.transaction.set(Some(key));
        facts.more.borrow_mut().request = Some(request.clone());
        SipServletResponse::attach(self.host(), response, facts)
    }

    /// The request that has begun a session at the server, and whether this response to it is one of another fork.
    fn original_request(
        &self,
        session: SessionKey,
        status: StatusCode,
    ) -> Result<(TransactionKey, SipServletRequest, bool), Error> {
        let state = self.state();
        let record = state.sessions.get(session).ok_or(IllegalState::InvalidSession)?;
        let key = record.initial.ok_or(IllegalState::TransactionEnded)?;
        let transaction = state.transactions.get(key).ok_or(IllegalState::TransactionEnded)?;
        if !transaction.is_server() {
            return Err(IllegalState::NoInitialRequest.into());
        }
        if matches!(transaction.role, TransactionRole::Proxy(_)) {
            return Err(IllegalState::AlreadyProxy.into());
        }
        let is_derived = record.ua.as_ref().is_some_and(|ua| ua.is_derived);
        let confirmed_before = is_derived && record.state > SessionState::Early;
        if confirmed_before || !is_consistent(transaction, status) {
            return Err(IllegalState::FinalResponseSent.into());
        }
        let request = transaction.request.clone().ok_or(IllegalState::TransactionEnded)?;
        let has_dialog = record.state > SessionState::Initial;
        Ok((key, request, makes_dialog(&transaction.method, status) && has_dialog && !is_derived))
    }

    /// The session on this leg that belongs to the fork that a response came from.
    fn session_to_answer_in(
        &self,
        original: &SipServletRequest,
        key: TransactionKey,
        theirs: &SipServletResponse,
    ) -> Result<SessionKey, Error> {
        let own = original.facts().session.get().ok_or(IllegalState::InvalidSession)?;
        let leg = theirs.facts().session.get().ok_or(IllegalState::InvalidSession)?;
        if !original.is_initial() || !makes_dialog(&original.method(), theirs.status()) {
            return Ok(own);
        }
        let (is_fork, linked) = {
            let state = self.state();
            let record = state.sessions.get(leg).ok_or(IllegalState::InvalidSession)?;
            (record.ua.as_ref().is_some_and(|ua| ua.is_derived), state.linked_of(leg))
        };
        if !is_fork {
            return Ok(own);
        }
        let linked = linked.or_else(|| self.link_fork(leg)).ok_or(IllegalArgument::Linked)?;
        let answers_it = self.state().sessions.get(linked).is_some_and(|session| session.initial == Some(key));
        if answers_it { Ok(linked) } else { Err(IllegalArgument::Linked.into()) }
    }

    fn check_consistent(&self, session: SessionKey, key: TransactionKey, status: StatusCode) -> Result<(), Error> {
        let state = self.state();
        let record = state.sessions.get(session).ok_or(IllegalState::InvalidSession)?;
        let transaction = state.transactions.get(key).ok_or(IllegalState::TransactionEnded)?;
        let answered_here = !transaction.is_open() && record.state > SessionState::Early;
        if answered_here || !is_consistent(transaction, status) {
            return Err(IllegalState::FinalResponseSent.into());
        }
        Ok(())
    }
}

/// Whether a response can follow those that were sent.
fn is_consistent(transaction: &Transaction, status: StatusCode) -> bool {
    match transaction.final_status {
        None => true,
        Some(sent) => transaction.method == Method::Invite && sent.is_success() && status.is_success(),
    }
}

fn makes_dialog(method: &Method, status: StatusCode) -> bool {
    method.creates_dialog() && status != StatusCode::TRYING && status.code() < 300
}

/// What the other leg was answered, as an answer to this request. Contact and Record-Route are each leg's own; whether
/// this one's is reliable (RFC 3262) is said where it is sent.
fn copy_of(original: &SipServletRequest, method: &Method, theirs: &SipServletResponse) -> Response {
    let theirs = theirs.sip_response();
    let status = theirs.status();
    let mut copy = Response::to(&original.sip_request(), status);
    if copy.reason() != theirs.reason() {
        // A phrase that was received is one line.
        let _ = copy.set_reason(theirs.reason());
    }
    let context = HeaderContext::Response(method, status);
    for (text, value) in theirs.headers().iter() {
        let name = HeaderName::lookup(text);
        let is_ours = header_owner(name, context) != HeaderOwner::Application || !may_appear_in(name, context);
        if is_ours || matches!(name, HeaderName::ContentType | HeaderName::ContentLength | HeaderName::Timestamp) {
            continue;
        }
        if name == HeaderName::Require && value.to_ascii_lowercase().contains("100rel") {
            for option in value.split(',').map(str::trim).filter(|option| !option.eq_ignore_ascii_case("100rel")) {
                let _ = copy.headers_mut().push(name, option);
            }
            continue;
        }
        // A header that was received can be written.
        let _ = copy.headers_mut().push_extension(text, value);
    }
    if !theirs.body().is_empty() {
        let kind = theirs.headers().first(HeaderName::ContentType).unwrap_or("application/octet-stream");
        let _ = copy.set_body(kind, theirs.body().clone());
    }
    copy
}
