//! What an application sees of its container: `ServletContext`, `SipFactory` and `SipSessionsUtil`.
//!
//! A request that the factory makes begins a session of its own (RFC 3261 §8.1.1): a new Call-ID and From tag, a To
//! without a tag, and of the parties only what may stand there (§19.1.1, table 1).

use std::any::{Any, TypeId};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use servlet::spi::{AppId, Contexts, Correspondence, SessionKey, Task};
use servlet::{
    Address, Error, HeaderContext, IllegalArgument, IllegalState, SipApplicationSession, SipServletRequest, SipSession,
    SipUri, party,
};
use sip_message::{HeaderName, Method, Request};

use crate::contact;
use crate::core::Core;
use crate::state::State;
use crate::ua_client::next_hop_uri;

impl Contexts for Core {
    fn application_name(&self, app: AppId) -> Rc<str> {
        Rc::clone(&self.app(app).name)
    }

    fn init_parameter(&self, app: AppId, name: &str) -> Option<String> {
        self.app(app).application.parts.init_parameters.get(name).cloned()
    }

    fn init_parameter_names(&self, app: AppId) -> Vec<String> {
        self.app(app).application.parts.init_parameters.keys().cloned().collect()
    }

    fn outbound_interfaces(&self) -> Rc<[SipUri]> {
        Rc::clone(&self.state().interfaces)
    }

    fn now(&self) -> (Instant, SystemTime) {
        let state = self.state();
        (state.now, state.time())
    }

    fn random(&self) -> u64 {
        self.state_mut().random()
    }

    fn local(&self, app: AppId, of: TypeId, make: &mut dyn FnMut() -> Rc<dyn Any>) -> Rc<dyn Any> {
        let locals = &self.app(app).locals;
        let known = locals.borrow().get(&of).cloned();
        if let Some(known) = known {
            return known;
        }
        // It is the application that makes it, and it may ask for other values while it does.
        let made = make();
        Rc::clone(locals.borrow_mut().entry(of).or_insert(made))
    }

    fn resource(&self, of: TypeId) -> Option<Rc<dyn Any>> {
        self.resources.get(of)
    }

    fn publish(&self, app: AppId, message: Arc<dyn Any + Send + Sync>) {
        self.published.borrow_mut().push(crate::Published::new(&self.app(app).name, message));
    }

    fn spawn(&self, app: AppId, task: Task) {
        self.spawned.borrow_mut().push((app, task));
    }

    fn create_application_session(&self, app: AppId) -> Result<SipApplicationSession, Error> {
        let key = self.create_app_session(app, None)?;
        self.app_session(key).ok_or(Error::IllegalState(IllegalState::InvalidApplicationSession))
    }

    fn application_session_by_key(
        &self,
        app: AppId,
        key: &str,
        create: bool,
    ) -> Result<Option<SipApplicationSession>, Error> {
        if key.is_empty() {
            return Err(IllegalArgument::Name(key.into()).into());
        }
        let known = self.state().by_key.get(&(app, key.into())).copied();
        let session = match known {
            Some(known) => known,
            None if create => self.create_app_session(app, Some(key))?,
            None => return Ok(None),
        };
        Ok(self.app_session(session))
    }

    fn application_session_by_id(&self, app: AppId, id: &str) -> Option<SipApplicationSession> {
        let number = u64::from_str_radix(id.get(2..18)?, 16).ok()?;
        let key = *self.state().app_by_number.get(&number)?;
        let session = self.app_session(key)?;
        let is_own = self.state().app_sessions.get(key)?.app == app;
        // The partition and the application's key are a part of it too.
        (is_own && session.id() == id).then_some(session)
    }

    fn create_initial_request(
        &self,
        app: AppId,
        session: &SipApplicationSession,
        method: Method,
        from: &Address,
        to: &Address,
    ) -> Result<SipServletRequest, Error> {
        if !begins_a_session(&method) {
            return Err(IllegalArgument::Method(method.as_str().into()).into());
        }
        let Some(target) = to.uri().filter(|_| !from.is_wildcard()) else {
            return Err(IllegalArgument::Uri("`*` is no party".into()).into());
        };
        // RFC 3261 §19.1.1, table 1: neither method nor headers in a Request-URI.
        let target = target.to_uri_buf().without_headers().without_param("method");
        let app_session = session.key();
        let (call_id, tag) = {
            let mut state = self.state_mut();
            let record = state.app_sessions.get(app_session).filter(|record| !record.ending);
            let record = record.ok_or(IllegalState::InvalidApplicationSession)?;
            if record.app != app {
                return Err(IllegalArgument::ForeignSession.into());
            }
            (state.new_call_id(), state.new_tag())
        };
        let (mut from, to) = (party(from), party(to));
        from.set_parameter("tag", tag.as_str())?;
        let mut request = Request::new(method, &target);
        let cseq = format!("1 {}", request.method());
        let headers = request.headers_mut();
        let fields: [(HeaderName, &dyn std::fmt::Display); 5] = [
            (HeaderName::MaxForwards, &70),
            (HeaderName::From, &from),
            (HeaderName::To, &to),
            (HeaderName::CallId, &call_id),
            (HeaderName::Cseq, &cseq),
        ];
        for (name, value) in fields {
            headers.push(name, value).map_err(|_| IllegalArgument::HeaderValue)?;
        }
        let servlet = self.app(app).main.unwrap_or(0);
        let session = self.new_uac_session(app_session, &call_id, &tag, servlet);
        let session = session.ok_or(IllegalState::InvalidApplicationSession)?;
        self.add_contact(session, &mut request, None);
        Ok(self.new_request_handle(session, request, true))
    }

    fn copy_initial_request(
        &self,
        _app: AppId,
        original: &SipServletRequest,
        same_call_id: bool,
    ) -> Result<SipServletRequest, Error> {
        self.second_leg(original, same_call_id, None)
    }

    fn corresponding_session(&self, session: SessionKey, header: Correspondence) -> Option<SipSession> {
        let (by, other) = self.state().sessions.get(session)?.ua.as_ref()?.corresponding?;
        self.session(other).filter(|_| by == header)
    }
}

impl Core {
    /// Gives a request of ours its Contact, where it needs one.
    pub(crate) fn add_contact(&self, session: SessionKey, request: &mut Request, wish: Option<&Address>) {
        if wish.is_none() && !contact::belongs_in(HeaderContext::Request(request.method())) {
            return;
        }
        let contact = {
            let next = next_hop_uri(request);
            self.contact_for(session, None, next.as_ref().map(|next| next.as_uri()).as_ref(), wish)
        };
        // An address has no line break.
        let _ = request.headers_mut().set(HeaderName::Contact, &contact);
    }
}

impl State {
    /// A Call-ID that nobody has (RFC 3261 §8.1.1.4).
    pub(crate) fn new_call_id(&mut self) -> String {
        let (one, other) = (self.random(), self.random());
        format!("{one:016x}{other:016x}@{}", self.own_host())
    }
}

/// Requests that only make sense beside another one are made from that.
fn begins_a_session(method: &Method) -> bool {
    let beside = matches!(method, Method::Ack | Method::Cancel | Method::Prack);
    !beside && Method::parse(method.as_str()).is_some()
}
