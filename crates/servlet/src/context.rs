//! `ServletContext`, `SipFactory` and `SipSessionsUtil`: an application's view of its container.

use std::any::Any;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use sip_message::Method;

use crate::address::Address;
use crate::error::{Error, IllegalArgument, Result};
use crate::parameterable::Parameterable;
use crate::request::SipServletRequest;
use crate::session::SipSession;
use crate::sip_application_session::SipApplicationSession;
use crate::spi::{AppId, Correspondence, Host};
use crate::uri::{SipUri, Uri};

/// An application in its container, on one worker.
#[derive(Clone)]
pub struct ServletContext {
    host: Host,
    app: AppId,
}

impl ServletContext {
    /// A handle; made by containers.
    #[doc(hidden)]
    pub fn new(host: Host, app: AppId) -> ServletContext {
        ServletContext { host, app }
    }

    /// The application's name.
    pub fn application_name(&self) -> Rc<str> {
        self.host.application_name(self.app)
    }

    /// Makes requests, addresses and application sessions.
    pub fn sip_factory(&self) -> SipFactory {
        SipFactory { host: self.host.clone(), app: self.app }
    }

    /// Finds sessions.
    pub fn sip_sessions_util(&self) -> SipSessionsUtil {
        SipSessionsUtil { host: self.host.clone(), app: self.app }
    }

    /// A parameter that the application was deployed with.
    pub fn init_parameter(&self, name: &str) -> Option<String> {
        self.host.init_parameter(self.app, name)
    }

    /// The names of these parameters.
    pub fn init_parameter_names(&self) -> Vec<String> {
        self.host.init_parameter_names(self.app)
    }

    /// Our interfaces, each as the URI that names it.
    pub fn outbound_interfaces(&self) -> Vec<SipUri> {
        self.host.outbound_interfaces().to_vec()
    }

    /// The option tags that the container supports.
    pub fn supported(&self) -> &'static [&'static str] {
        &["100rel", "gruu", "join", "outbound", "path", "replaces", "timer"]
    }

    /// The RFCs that the container supports.
    pub fn supported_rfcs(&self) -> &'static [u16] {
        &[
            2976, 3261, 3262, 3263, 3311, 3326, 3327, 3428, 3515, 3581, 3841, 3891, 3903, 3911, 4028, 4916, 5626, 5627,
            6026, 6086, 6665, 8760,
        ]
    }

    /// The container's clock, for spans of time.
    pub fn now(&self) -> Instant {
        self.host.now().0
    }

    /// The container's clock, for points in time. In a simulation it is as virtual as everything.
    pub fn time(&self) -> SystemTime {
        self.host.now().1
    }

    /// A number that can't be guessed.
    pub fn random(&self) -> u64 {
        self.host.random()
    }

    /// What the application keeps on this worker, one value of each type; made at the first call. It is not replicated.
    pub fn local<T: 'static>(&self, make: impl FnOnce() -> T) -> Rc<T> {
        let mut make = Some(make);
        let value = self.host.local(self.app, std::any::TypeId::of::<T>(), &mut || match make.take() {
            Some(make) => Rc::new(make()),
            None => Rc::new(()),
        });
        value.downcast().expect("the container keeps values by their type")
    }

    /// What was bound to the container for all applications of this worker, by its type: a location service, a pool of
    /// database connections. The place that JNDI has in the Java model.
    pub fn resource<T: 'static>(&self) -> Option<Rc<T>> {
        self.host.resource(std::any::TypeId::of::<T>())?.downcast().ok()
    }

    /// Tells the instances of this application on the other workers; their
    /// [`crate::SipServletListener::published`] hears it.
    pub fn publish(&self, message: impl Any + Send + Sync) {
        self.host.publish(self.app, Arc::new(message));
    }

    /// Runs a piece of the application that belongs to no session. See [`SipApplicationSession::run`] for one that does.
    pub fn spawn(&self, task: impl Future<Output = Result> + 'static) {
        self.host.spawn(self.app, Box::pin(task));
    }
}

/// `SipFactory`.
#[derive(Clone)]
pub struct SipFactory {
    host: Host,
    app: AppId,
}

impl SipFactory {
    /// A URI of any scheme.
    pub fn create_uri(&self, text: &str) -> Result<Uri, Error> {
        Ok(Uri::parse(text)?)
    }

    /// A SIP URI; what is reserved in `user` is escaped.
    pub fn create_sip_uri(&self, user: Option<&str>, host: &str) -> Result<SipUri, Error> {
        Ok(SipUri::new(user, host)?)
    }

    /// An address from text: a header value, or `*`.
    pub fn create_address(&self, text: &str) -> Result<Address, Error> {
        Ok(Address::parse(text)?)
    }

    /// An address of a URI.
    pub fn create_address_of(&self, uri: Uri, display_name: Option<&str>) -> Result<Address, Error> {
        let mut address = Address::new(uri);
        if let Some(name) = display_name {
            address.set_display_name(Some(name))?;
        }
        Ok(address)
    }

    /// A header value with parameters.
    pub fn create_parameterable(&self, text: &str) -> Result<Parameterable, Error> {
        Ok(Parameterable::parse(text)?)
    }

    /// A request that begins a session of its own: with a new Call-ID and From tag. Parts of the URIs that From and To
    /// must not have (RFC 3261 §19.1.1) are taken away; the Request-URI is what `to` names.
    ///
    /// [`IllegalArgument::Method`] for ACK and CANCEL.
    pub fn create_request(
        &self,
        session: &SipApplicationSession,
        method: Method,
        from: &Address,
        to: &Address,
    ) -> Result<SipServletRequest, Error> {
        self.host.create_initial_request(self.app, session, method, from, to)
    }

    /// As [`SipFactory::create_request`], from text; URIs with parameters stand in angle brackets.
    pub fn create_request_from_text(
        &self,
        session: &SipApplicationSession,
        method: &str,
        from: &str,
        to: &str,
    ) -> Result<SipServletRequest, Error> {
        let method = Method::parse(method).ok_or_else(|| IllegalArgument::Method(method.into()))?;
        self.create_request(session, method, &Address::parse(from)?, &Address::parse(to)?)
    }

    /// A copy of a request that came, as the second leg of a B2BUA;
    /// [`crate::B2buaHelper::create_request`] does more.
    pub fn create_request_like(
        &self,
        original: &SipServletRequest,
        same_call_id: bool,
    ) -> Result<SipServletRequest, Error> {
        self.host.copy_initial_request(self.app, original, same_call_id)
    }

    /// An application session that no request has begun.
    pub fn create_application_session(&self) -> Result<SipApplicationSession, Error> {
        self.host.create_application_session(self.app)
    }

    /// The application session of a key; created if there is none.
    pub fn create_application_session_by_key(&self, key: &str) -> Result<SipApplicationSession, Error> {
        let session = self.host.application_session_by_key(self.app, key, true)?;
        session.ok_or_else(|| IllegalArgument::Name(key.into()).into())
    }
}

/// `SipSessionsUtil`.
#[derive(Clone)]
pub struct SipSessionsUtil {
    host: Host,
    app: AppId,
}

impl SipSessionsUtil {
    /// The application session with this id, if it is one of this application and on this worker.
    pub fn application_session_by_id(&self, id: &str) -> Option<SipApplicationSession> {
        self.host.application_session_by_id(self.app, id)
    }

    /// The application session of a key.
    pub fn application_session_by_key(&self, key: &str, create: bool) -> Result<Option<SipApplicationSession>, Error> {
        self.host.application_session_by_key(self.app, key, create)
    }

    /// The session that a Join or Replaces header in this one's initial INVITE names, and the other way round.
    pub fn corresponding_sip_session(&self, session: &SipSession, header: Correspondence) -> Option<SipSession> {
        self.host.corresponding_session(session.key(), header)
    }
}

macro_rules! shown {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.host.application_name(self.app))
            }
        }
    )*};
}

shown!(ServletContext, SipFactory, SipSessionsUtil);
