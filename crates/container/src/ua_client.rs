//! The application as a user agent client: requests, the dialogs that their responses make, ACK and PRACK.

use servlet::SipServletResponse;
use servlet::spi::{AppSessionKey, Direction, Facts, SessionKey, TransactionKey};
use servlet::{Error, HeaderContext, IllegalArgument, IllegalState, Rel100Error, SessionState, SipServletRequest};
use sip_dialog::reliable::rack_of;
use sip_dialog::{Attempt, Role};
use sip_endpoint::SendTo;
use sip_message::header::{Cseq, From, To};
use sip_message::{HeaderName, Headers, Method, Request, Uri, UriBuf};

use crate::contact;
use crate::core::Core;
use crate::order::Order;
use crate::session::{Dialogue, NewSession, SessionRole};
use crate::state::State;
use crate::transaction::{Peer, Transaction, TransactionRole};

impl Core {
    // ----- making requests -----

    /// A session of the application's own making.
    pub(crate) fn new_uac_session(
        &self,
        app_session: AppSessionKey,
        call_id: &str,
        local_tag: &str,
        servlet: u16,
    ) -> Option<SessionKey> {
        let key = self.state_mut().open_session(NewSession {
            app_session,
            call_id: call_id.into(),
            role: SessionRole::Uac,
            local_tag: local_tag.into(),
            servlet,
        })?;
        self.session_created(key);
        Some(key)
    }

    /// A handle to a request that is to be sent in a session.
    pub(crate) fn new_request_handle(&self, session: SessionKey, request: Request, initial: bool) -> SipServletRequest {
        let (app, app_session) = {
            let state = self.state();
            match state.sessions.get(session) {
                Some(record) => (record.app, Some(record.app_session)),
                None => (servlet::spi::AppId(0), None),
            }
        };
        let facts = Facts::new(app, Direction::Created, None);
        facts.initial.set(initial);
        facts.session.set(Some(session));
        facts.app_session.set(app_session);
        SipServletRequest::attach(self.host(), request, facts)
    }

    /// `SipSession.createRequest`.
    pub(crate) fn make_request(&self, key: SessionKey, method: Method) -> Result<SipServletRequest, Error> {
        if matches!(method, Method::Ack | Method::Cancel | Method::Prack) {
            return Err(IllegalArgument::Method(method.as_str().into()).into());
        }
        let (request, initial) = {
            let mut state = self.state_mut();
            let record = state.sessions.get(key).ok_or(IllegalState::InvalidSession)?;
            if record.is_proxy() {
                return Err(IllegalState::ProxySession.into());
            }
            if record.state == SessionState::Terminated {
                return Err(IllegalState::Terminated.into());
            }
            if record.ua.as_ref().is_some_and(|ua| ua.terminating) {
                return Err(IllegalState::DialogTerminating.into());
            }
            let waits = record.open.iter().any(|(_, is_server)| !is_server);
            if record.state == SessionState::Initial && waits {
                return Err(IllegalState::OngoingTransaction.into());
            }
            state.next_request(key, method)?
        };
        Ok(self.new_request_handle(key, request, initial))
    }

    /// `SipServletRequest.send`.
    pub(crate) fn send_made_request(&self, handle: &SipServletRequest) -> Result<(), Error> {
        if handle.is_committed() {
            return Err(IllegalState::Committed.into());
        }
        let facts = handle.facts();
        let session = facts.session.get().ok_or(IllegalState::InvalidSession)?;
        let method = handle.method();
        match method {
            Method::Ack => return self.send_made_ack(handle, session),
            Method::Cancel => return self.send_made_cancel(handle, session),
            _ => {}
        }
        {
            let state = self.state();
            let record = state.sessions.get(session).ok_or(IllegalState::InvalidSession)?;
            if record.state == SessionState::Terminated {
                return Err(IllegalState::Terminated.into());
            }
            if record.ua.as_ref().is_some_and(|ua| ua.terminating) {
                return Err(IllegalState::DialogTerminating.into());
            }
        }
        self.put_contact(handle, session, &method);
        self.keep_alive_asked(handle, session);
        let request = handle.sip_request().clone();
        if next_hop_uri(&request).is_none() {
            return Err(Error::Transport("its next hop is not a SIP URI".into()));
        }
        let initial = facts.initial.get();
        let key =
            self.open_client(session, TransactionRole::Uac, &request, initial).ok_or(IllegalState::InvalidSession)?;
        facts.transaction.set(Some(key));
        facts.committed.set(true);
        {
            let mut state = self.state_mut();
            if let Some(transaction) = state.transactions.get_mut(key) {
                transaction.request = Some(handle.clone());
            }
            if let Some(record) = state.sessions.get_mut(session) {
                record.ready = false;
                if record.role == SessionRole::Undecided {
                    record.role = SessionRole::Uac;
                }
                if initial {
                    record.initial = Some(key);
                }
                if matches!(record.dialog, Dialogue::None)
                    && let Ok(attempt) = Attempt::of_request(&request)
                {
                    record.dialog = Dialogue::Attempt(Box::new(attempt));
                }
                if method == Method::Notify {
                    record.make_ua().subscriptions.note_request(Role::Uac, &request);
                }
            }
        }
        self.b2bua_request_sent(handle, key);
        if initial {
            self.route(key, request);
        } else {
            let to = self.state().way_of(session, &request);
            self.send(key, request, to, None);
        }
        Ok(())
    }

    /// Enters a client transaction of a request that leaves.
    pub(crate) fn open_client(
        &self,
        session: SessionKey,
        role: TransactionRole,
        request: &Request,
        initial: bool,
    ) -> Option<TransactionKey> {
        let cseq = request.headers().get::<Cseq>()?.ok()?.sequence;
        let mut state = self.state_mut();
        let record = state.sessions.get(session)?;
        let (app, app_session) = (record.app, record.app_session);
        let method = request.method().clone();
        self.app(app).counters.sent(&method);
        state.touch(app_session);
        let of = (app, app_session, session);
        Some(state.open_transaction(Transaction::new(Peer::Leaving, role, of, (method, cseq, initial))))
    }

    /// Lets the router decide where an initial request goes.
    pub(crate) fn route(&self, transaction: TransactionKey, request: Request) {
        self.state_mut().order(Order::Route { transaction, request: Box::new(request) });
    }

    /// Sends a request of a dialog.
    pub(crate) fn send(&self, transaction: TransactionKey, request: Request, to: SendTo, mark: Option<u64>) {
        self.state_mut().order(Order::Send { transaction, request: Box::new(request), to, mark });
    }

    fn put_contact(&self, handle: &SipServletRequest, session: SessionKey, method: &Method) {
        if !contact::belongs_in(HeaderContext::Request(method)) {
            return;
        }
        let contact = {
            let request = handle.sip_request();
            let wish = request.headers().first(HeaderName::Contact).and_then(|text| servlet::Address::parse(text).ok());
            let next = next_hop_uri(&request);
            let flow = self.state().sessions.get(session).and_then(|record| record.ua.as_ref()?.flow);
            let next = next.as_ref().map(UriBuf::as_uri);
            self.contact_for(session, flow.as_ref(), next.as_ref(), wish.as_ref())
        };
        // An address has no line break.
        let _ = handle.sip_request_mut().headers_mut().set(HeaderName::Contact, &contact);
    }

    // ----- ACK, PRACK, CANCEL -----

    /// `SipServletResponse.createAck`.
    pub(crate) fn make_ack(&self, response: &SipServletResponse) -> Result<SipServletRequest, Error> {
        if response.facts().direction != Direction::Received || response.method() != Method::Invite {
            return Err(IllegalState::WrongMethod.into());
        }
        if !response.status().is_success() {
            return Err(IllegalState::WrongStatus.into());
        }
        if response.facts().branch.get().is_some() {
            return Err(IllegalState::ProxySession.into());
        }
        let session = response.facts().session.get().ok_or(IllegalState::InvalidSession)?;
        let cseq = cseq_of(response.sip_response().headers()).ok_or(IllegalState::WrongMethod)?;
        let ack = {
            let mut state = self.state_mut();
            let record = state.sessions.get_mut(session).ok_or(IllegalState::InvalidSession)?;
            let ua = record.make_ua();
            let owed = ua.unacknowledged.iter().position(|owed| *owed == cseq);
            let owed = owed.ok_or(IllegalState::AlreadyAcknowledged)?;
            ua.unacknowledged.remove(owed);
            state.unsettle_session(session);
            let record = state.sessions.get(session).ok_or(IllegalState::InvalidSession)?;
            let dialog = record.dialog().ok_or(IllegalState::NoDialog)?;
            let mut ack = dialog.create_ack(cseq);
            if let Some(request) = response.request() {
                crate::security::carry_credentials(&request.sip_request(), &mut ack);
            }
            ack
        };
        // "INVITE final response with ACK generated."
        response.facts().committed.set(true);
        self.response_acknowledged(session, response);
        Ok(self.new_request_handle(session, ack, false))
    }

    fn send_made_ack(&self, handle: &SipServletRequest, session: SessionKey) -> Result<(), Error> {
        let request = handle.sip_request().clone();
        let cseq = cseq_of(request.headers()).ok_or(IllegalState::WrongMethod)?;
        let mut state = self.state_mut();
        let (now, timers) = (state.now, state.timers_of_sip);
        let to = state.way_of(session, &request);
        let record = state.sessions.get_mut(session).ok_or(IllegalState::InvalidSession)?;
        let ua = record.make_ua();
        ua.acks.sent(now, &timers, cseq, request.clone());
        if ua.keep_alive.is_some() {
            ua.refresh.note_description(request.headers(), request.body());
        }
        let (app, app_session) = (record.app, record.app_session);
        state.touch(app_session);
        state.rearm_dialog(session);
        state.order(Order::Ack { request: Box::new(request), to });
        drop(state);
        handle.facts().committed.set(true);
        self.app(app).counters.sent(&Method::Ack);
        Ok(())
    }

    /// `SipServletResponse.createPrack`.
    pub(crate) fn make_prack(&self, response: &SipServletResponse) -> Result<SipServletRequest, Error> {
        if response.method() != Method::Invite || response.facts().direction != Direction::Received {
            return Err(Rel100Error::NotInvite.into());
        }
        let rack = rack_of(&response.sip_response()).ok_or(Rel100Error::Not100Rel)?;
        if response.is_committed() {
            return Err(IllegalState::AlreadyAcknowledged.into());
        }
        let session = response.facts().session.get().ok_or(IllegalState::InvalidSession)?;
        let prack = {
            let mut state = self.state_mut();
            let record = state.sessions.get_mut(session).ok_or(IllegalState::InvalidSession)?;
            let dialog = record.dialog_mut().ok_or(IllegalState::NoDialog)?;
            let mut prack = dialog.create_request(Method::Prack).ok_or(IllegalState::LimitReached)?;
            // A RAck is numbers and a method.
            let _ = prack.headers_mut().set(HeaderName::Rack, &rack);
            prack
        };
        response.facts().committed.set(true);
        self.response_acknowledged(session, response);
        Ok(self.new_request_handle(session, prack, false))
    }

    /// `SipServletRequest.createCancel`.
    pub(crate) fn make_cancel(&self, handle: &SipServletRequest) -> Result<SipServletRequest, Error> {
        if handle.facts().direction != Direction::Created || handle.facts().branch.get().is_some() {
            return Err(IllegalState::NotOurs.into());
        }
        let key = handle.facts().transaction.get().ok_or(IllegalState::NotSent)?;
        let state = self.state();
        let transaction = state.transactions.get(key).ok_or(IllegalState::TransactionEnded)?;
        if transaction.method != Method::Invite {
            return Err(IllegalState::WrongMethod.into());
        }
        if !transaction.is_open() {
            return Err(IllegalState::FinalResponseSent.into());
        }
        let session = transaction.session;
        drop(state);
        let cancel = crate::carrying::cancel_of(&handle.sip_request(), None);
        let cancel = self.new_request_handle(session, cancel, false);
        cancel.facts().transaction.set(Some(key));
        Ok(cancel)
    }

    fn send_made_cancel(&self, handle: &SipServletRequest, session: SessionKey) -> Result<(), Error> {
        let key = handle.facts().transaction.get().ok_or(IllegalState::NotSent)?;
        let reason = handle.header("Reason").map(Box::from);
        let mut state = self.state_mut();
        let app = state.sessions.get(session).ok_or(IllegalState::InvalidSession)?.app;
        let transaction = state.transactions.get_mut(key).ok_or(IllegalState::TransactionEnded)?;
        transaction.cancelled = true;
        state.order(Order::Cancel { transaction: key, reason });
        drop(state);
        handle.facts().committed.set(true);
        self.app(app).counters.sent(&Method::Cancel);
        Ok(())
    }
}

impl State {
    /// The next request of a session, and whether it is one that begins something.
    fn next_request(&mut self, key: SessionKey, method: Method) -> Result<(Request, bool), Error> {
        let initial = self.sessions.get(key).and_then(|record| record.initial);
        let handle = initial.and_then(|key| self.transactions.get(key)).and_then(|begun| begun.request.clone());
        let tag = match self.sessions.get(key) {
            Some(record) if record.local_tag.is_empty() => {
                let tag: Box<str> = self.new_tag().into();
                self.set_local_tag(key, tag.clone());
                tag
            }
            Some(record) => record.local_tag.clone(),
            None => return Err(IllegalState::InvalidSession.into()),
        };
        let record = self.sessions.get_mut(key).ok_or(IllegalState::InvalidSession)?;
        match &mut record.dialog {
            Dialogue::Ua(dialog) => {
                let request = dialog.create_request(method).ok_or(IllegalState::LimitReached)?;
                Ok((request, false))
            }
            Dialogue::Attempt(attempt) => {
                let target = handle.map(|handle| handle.request_uri().to_uri_buf());
                let target = target.unwrap_or_else(|| attempt.remote.uri().to_buf());
                let request = attempt.create_request(method, &target).ok_or(IllegalState::LimitReached)?;
                Ok((request, true))
            }
            Dialogue::None => {
                // What has begun the session was received, and has made no dialog: we are its To, the peer its From.
                let handle = handle.ok_or(IllegalState::NoDialog)?;
                let received = handle.sip_request();
                let (local, remote, target) = reversed(&received).ok_or(IllegalState::NoDialog)?;
                let mut attempt = Attempt {
                    call_id: record.facts.call_id.as_ref().into(),
                    local_tag: tag,
                    local_cseq: None,
                    local,
                    remote,
                };
                let request = attempt.create_request(method, &target).ok_or(IllegalState::LimitReached)?;
                record.dialog = Dialogue::Attempt(Box::new(attempt));
                Ok((request, true))
            }
        }
    }

    /// Where a request of a session's dialog goes: over the flow that the session has, or by its Route.
    pub(crate) fn way_of(&self, session: SessionKey, request: &Request) -> SendTo {
        let record = self.sessions.get(session);
        let flow = record.and_then(|record| record.ua.as_ref()?.flow);
        match flow {
            Some(flow) if !request.headers().contains(HeaderName::Route) => SendTo::Flow(flow),
            _ if record.and_then(|record| record.dialog()).is_some_and(|dialog| dialog.route_set.is_strict()) => {
                SendTo::RequestUri
            }
            _ => SendTo::NextHop,
        }
    }
}

/// Where a request goes next by its headers; `None` when that is no SIP URI.
pub(crate) fn next_hop_uri(request: &Request) -> Option<UriBuf> {
    let route = request.headers().first(HeaderName::Route).map(sip_message::NameAddr::parse);
    let uri = match &route {
        Some(Ok(route)) => route.uri().to_buf(),
        Some(Err(_)) => return None,
        None => request.uri().to_buf(),
    };
    matches!(uri.as_uri(), Uri::Sip(_)).then_some(uri)
}

/// The parties of a received request as ours, and where the peer is.
fn reversed(request: &Request) -> Option<(sip_message::NameAddrBuf, sip_message::NameAddrBuf, UriBuf)> {
    let headers = request.headers();
    let to = headers.get::<To>()?.ok()?.without_tag().to_buf();
    let from = headers.get::<From>()?.ok()?.without_tag().to_buf();
    let contact = headers.first(HeaderName::Contact).and_then(|text| sip_message::NameAddr::parse(text).ok());
    let target = contact.map_or_else(|| from.uri().to_buf(), |contact| contact.uri().to_buf());
    Some((to, from, target))
}

pub(crate) fn cseq_of(headers: &Headers) -> Option<u32> {
    headers.get::<Cseq>()?.ok().map(|cseq| cseq.sequence)
}
