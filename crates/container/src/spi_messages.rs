//! `servlet::spi::Messages` and `Sessions`: what handles to messages and SIP sessions ask for.

use servlet::spi::{Direction, Interface, Messages, SessionKey, Sessions};
use servlet::{
    Address, AuthInfo, CancelReason, Error, IllegalArgument, IllegalState, Method, RoutingDirective, RoutingRegion,
    SessionKeepAlive, SessionState, SipApplicationSession, SipFlow, SipServletMessage, SipServletRequest,
    SipServletResponse, SipSession, StatusCode, UaMode, Uri,
};

use crate::core::Core;
use crate::session::Dialogue;
use crate::state::State;

impl Messages for Core {
    fn send_request(&self, request: &SipServletRequest) -> Result<(), Error> {
        self.send_made_request(request)
    }

    fn send_response(&self, response: &SipServletResponse) -> Result<(), Error> {
        self.send_made_response(response)
    }

    fn send_reliably(&self, response: &SipServletResponse) -> Result<(), Error> {
        self.send_made_reliably(response)
    }

    fn create_response(
        &self,
        request: &SipServletRequest,
        status: StatusCode,
        reason: Option<&str>,
    ) -> Result<SipServletResponse, Error> {
        self.make_response(request, status, reason)
    }

    fn create_cancel(&self, request: &SipServletRequest) -> Result<SipServletRequest, Error> {
        self.make_cancel(request)
    }

    fn create_ack(&self, response: &SipServletResponse) -> Result<SipServletRequest, Error> {
        self.make_ack(response)
    }

    fn create_prack(&self, response: &SipServletResponse) -> Result<SipServletRequest, Error> {
        self.make_prack(response)
    }

    fn session_of_message(&self, message: &SipServletMessage) -> Result<SipSession, Error> {
        self.session_handle(message.facts().session.get())
    }

    fn app_session_of_message(&self, message: &SipServletMessage) -> Result<SipApplicationSession, Error> {
        let key = message.facts().app_session.get();
        let session = key.and_then(|key| self.app_session(key));
        session.ok_or(Error::IllegalState(IllegalState::InvalidApplicationSession))
    }

    fn set_routing_directive(
        &self,
        request: &SipServletRequest,
        directive: RoutingDirective,
        original: Option<&SipServletRequest>,
    ) -> Result<(), Error> {
        let facts = request.facts();
        if facts.direction != Direction::Created || !facts.initial.get() {
            return Err(IllegalState::NotInitial.into());
        }
        if request.is_committed() {
            return Err(IllegalState::Committed.into());
        }
        let routed = if directive == RoutingDirective::New {
            None
        } else {
            let original = original.ok_or(IllegalState::NotInitial)?;
            let theirs = original.facts();
            if theirs.direction != Direction::Received || !theirs.initial.get() || theirs.app != facts.app {
                return Err(IllegalState::NotInitial.into());
            }
            theirs.more.borrow().routing.clone()
        };
        let mut more = facts.more.borrow_mut();
        more.directive = Some(directive);
        more.routing = routed;
        Ok(())
    }

    fn add_auth_header(
        &self,
        request: &SipServletRequest,
        challenge: &SipServletResponse,
        info: &AuthInfo,
    ) -> Result<(), Error> {
        if request.is_committed() {
            return Err(IllegalState::Committed.into());
        }
        let challenged = challenge.request().ok_or(IllegalState::NotSent)?;
        let session = request.facts().session.get().ok_or(IllegalState::InvalidSession)?;
        let mut state = self.state_mut();
        let cnonce = format!("{:016x}", state.random());
        let record = state.sessions.get_mut(session).ok_or(IllegalState::InvalidSession)?;
        let credentials = &mut record.make_ua().credentials;
        let answered = crate::security::answer_challenge(
            &mut request.sip_request_mut(),
            &challenged.sip_request(),
            &challenge.sip_response(),
            info,
            credentials,
            &cnonce,
        );
        answered.map(drop).map_err(|error| IllegalArgument::Authentication(error.to_string().into()).into())
    }

    fn is_user_in_role(&self, message: &SipServletMessage, role: &str) -> bool {
        let more = message.facts().more.borrow();
        more.principal.as_ref().is_some_and(|principal| principal.roles.iter().any(|known| **known == *role))
    }
}

impl State {
    fn session(&self, key: SessionKey) -> Result<&crate::session::Session, Error> {
        let record = self.sessions.get(key);
        record.map(|record| &**record).ok_or(Error::IllegalState(IllegalState::InvalidSession))
    }

    fn session_mut(&mut self, key: SessionKey) -> Result<&mut crate::session::Session, Error> {
        let record = self.sessions.get_mut(key);
        record.map(|record| &mut **record).ok_or(Error::IllegalState(IllegalState::InvalidSession))
    }
}

impl Sessions for Core {
    fn session_is_valid(&self, key: SessionKey) -> bool {
        self.state().sessions.get(key).is_some()
    }

    fn session_state(&self, key: SessionKey) -> Result<SessionState, Error> {
        Ok(self.state().session(key)?.state)
    }

    fn create_request(&self, key: SessionKey, method: Method) -> Result<SipServletRequest, Error> {
        self.make_request(key, method)
    }

    fn app_session_of(&self, key: SessionKey) -> Option<SipApplicationSession> {
        let app_session = self.state().sessions.get(key)?.app_session;
        self.app_session(app_session)
    }

    fn invalidate_session(&self, key: SessionKey) -> Result<(), Error> {
        Core::invalidate_session(self, key)
    }

    fn session_is_ready(&self, key: SessionKey) -> Result<bool, Error> {
        self.session_is_ready_now(key)
    }

    fn session_invalidate_when_ready(&self, key: SessionKey) -> Result<bool, Error> {
        Ok(self.state().session(key)?.invalidate_when_ready)
    }

    fn set_session_invalidate_when_ready(&self, key: SessionKey, when: bool) -> Result<(), Error> {
        self.watch_session(key, when)
    }

    fn set_handler(&self, key: SessionKey, servlet: &str) -> Result<(), Error> {
        let app = self.state().session(key)?.app;
        let place = self.app(app).servlet_place(servlet).ok_or_else(|| Error::NoSuchServlet(servlet.into()))?;
        self.state_mut().session_mut(key)?.servlet = place;
        Ok(())
    }

    fn session_region(&self, key: SessionKey) -> Result<RoutingRegion, Error> {
        let state = self.state();
        let routed = state.session(key)?.routed.as_ref().ok_or(IllegalState::NoInitialRequest)?;
        Ok(routed.region.clone())
    }

    fn session_subscriber_uri(&self, key: SessionKey) -> Result<Option<Uri>, Error> {
        let state = self.state();
        let routed = state.session(key)?.routed.as_ref().ok_or(IllegalState::NoInitialRequest)?;
        Ok(routed.subscriber.clone())
    }

    fn set_session_outbound_interface(&self, key: SessionKey, interface: Interface) -> Result<(), Error> {
        let mut state = self.state_mut();
        let is_ours = state.listeners.iter().any(|listener| match interface {
            Interface::Address(ip) => listener.local.ip() == ip,
            Interface::Socket(socket) => listener.local.ip() == socket.ip(),
        });
        let record = state.session_mut(key)?;
        if !is_ours {
            return Err(IllegalArgument::NotAnInterface.into());
        }
        record.make_ua().interface = Some(interface);
        Ok(())
    }

    fn local_party(&self, key: SessionKey) -> Option<Address> {
        self.state().parties(key).map(|(local, _)| local)
    }

    fn remote_party(&self, key: SessionKey) -> Option<Address> {
        self.state().parties(key).map(|(_, remote)| remote)
    }

    fn session_flow(&self, key: SessionKey) -> Result<Option<SipFlow>, Error> {
        Ok(self.state().session(key)?.ua.as_ref().and_then(|ua| ua.flow).map(SipFlow::from))
    }

    fn set_session_flow(&self, key: SessionKey, flow: Option<SipFlow>) -> Result<(), Error> {
        self.state_mut().session_mut(key)?.make_ua().flow = flow.map(|flow| *flow.as_flow());
        Ok(())
    }

    fn terminate_dialog(&self, key: SessionKey, reasons: &[CancelReason]) -> Result<(), Error> {
        self.end_dialog(key, reasons)
    }

    fn forked_sessions(&self, key: SessionKey) -> Result<Vec<SipSession>, Error> {
        self.fork_sessions(key)
    }

    fn create_request_on_fork(&self, key: SessionKey, method: Method) -> Result<SipServletRequest, Error> {
        self.fork_request(key, method)
    }

    fn terminate_forks(&self, key: SessionKey) -> Result<(), Error> {
        self.fork_terminate(key)
    }

    fn active_requests(&self, key: SessionKey, mode: UaMode) -> Result<Vec<SipServletRequest>, Error> {
        let state = self.state();
        let wanted = mode == UaMode::Uas;
        let open = state.session(key)?.open.iter().filter(|(_, is_server)| *is_server == wanted);
        let mut active: Vec<_> = open.filter_map(|(open, _)| state.transactions.get(*open)).collect();
        active.sort_by_key(|transaction| transaction.cseq);
        Ok(active.into_iter().filter_map(|transaction| transaction.request.clone()).collect())
    }

    fn unacknowledged_provisional_responses(
        &self,
        key: SessionKey,
        mode: UaMode,
    ) -> Result<Vec<SipServletResponse>, Error> {
        if mode == UaMode::Uac {
            let mut waiting = self.unacknowledged_responses(key)?;
            waiting.retain(|response| response.status().is_provisional());
            return Ok(waiting);
        }
        let waiting = {
            let state = self.state();
            let reliable = state.session(key)?.ua.as_ref().and_then(|ua| ua.reliable.as_ref());
            reliable.and_then(|reliable| {
                let response = reliable.sender.unacknowledged()?.clone();
                let request = state.transactions.get(reliable.transaction)?.request.clone();
                Some((reliable.transaction, response, request))
            })
        };
        let handle = waiting.map(|(open, response, request)| {
            let handle = self.response_handle(key, open, response, None, request);
            handle.facts().committed.set(true);
            handle
        });
        Ok(handle.into_iter().collect())
    }

    fn keep_alive(&self, key: SessionKey) -> Result<Option<SessionKeepAlive>, Error> {
        let state = self.state();
        let ua = state.session(key)?.ua.as_deref();
        Ok(ua.and_then(|ua| {
            let interval = ua.session_timer.interval()?;
            Some(SessionKeepAlive { interval, we_refresh: ua.session_timer.we_refresh() })
        }))
    }
}

impl State {
    /// Who is who in a session, as requests from here would name both.
    fn parties(&self, key: SessionKey) -> Option<(Address, Address)> {
        let record = self.sessions.get(key)?;
        match &record.dialog {
            Dialogue::Ua(dialog) => Some((Address::from(&dialog.local), Address::from(&dialog.remote))),
            Dialogue::Attempt(attempt) => Some((Address::from(&attempt.local), Address::from(&attempt.remote))),
            Dialogue::None => {
                let request = self.transactions.get(record.initial?)?.request.clone()?;
                Some(match request.facts().direction {
                    Direction::Received => (request.to(), request.from()),
                    Direction::Created => (request.from(), request.to()),
                })
            }
        }
    }
}
