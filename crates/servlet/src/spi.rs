//! Between the handles that applications hold and the container that keeps the state behind them. Applications have no
//! business here.
//!
//! A handle is a key and a shared reference to the container; every operation that is more than reading a message is a
//! method of one of these traits, called on the owner's thread. The traits are cut as the container's modules are.

use std::any::Any;
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use sip_message::{Flow, Message, Method, Request, Response, StatusCode};

use crate::address::Address;
use crate::attribute::AttributeValue;
use crate::auth_info::AuthInfo;
use crate::b2bua::{HeaderMap, UaMode};
use crate::error::Error;
use crate::flow::SipFlow;
use crate::message::{HeaderForm, SipServletMessage};
use crate::proxy::{CancelReason, Proxy, ProxyBranch};
use crate::request::SipServletRequest;
use crate::response::SipServletResponse;
use crate::router::{RoutingDirective, RoutingRegion};
use crate::session::{SessionState, SipSession};
use crate::session_keep_alive::KeepAlivePreference;
use crate::sip_application_session::{Expiration, Granted, Minutes, SipApplicationSession};
use crate::timer::ServletTimer;
use crate::uri::{SipUri, Uri};

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            /// The place in its table.
            pub slot: u32,
            /// Which of those that have had the place; never 0.
            pub generation: u32,
        }
    )*};
}

keys! {
    /// Names an application session.
    AppSessionKey,
    /// Names a SIP session.
    SessionKey,
    /// Names a server or client transaction, on the wire or between two applications.
    TransactionKey,
    /// Names a proxy operation.
    ProxyKey,
    /// Names a branch of one.
    BranchKey,
    /// Names a timer.
    TimerKey,
}

/// Names an application; its place in the order of deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppId(pub u16);

/// Everything that a container does for handles.
pub trait Container: Contexts + AppSessions + Sessions + Messages + Proxying + B2bua + Timers {}

impl<T: Contexts + AppSessions + Sessions + Messages + Proxying + B2bua + Timers> Container for T {}

/// How a handle reaches its container.
pub type Host = Rc<dyn Container>;

/// What either kind of session is for its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HolderKey {
    /// An application session.
    Application(AppSessionKey),
    /// A SIP session.
    Session(SessionKey),
}

/// `ServletContext`, `SipFactory` and `SipSessionsUtil`.
pub trait Contexts {
    fn application_name(&self, app: AppId) -> Rc<str>;
    fn init_parameter(&self, app: AppId, name: &str) -> Option<String>;
    fn init_parameter_names(&self, app: AppId) -> Vec<String>;
    fn outbound_interfaces(&self) -> Rc<[SipUri]>;
    /// The clock: both kinds of now.
    fn now(&self) -> (std::time::Instant, SystemTime);
    fn random(&self) -> u64;
    /// What the application keeps on this shard, by its type.
    fn local(&self, app: AppId, of: std::any::TypeId, make: &mut dyn FnMut() -> Rc<dyn Any>) -> Rc<dyn Any>;
    /// What was bound to the container on this shard, by its type.
    fn resource(&self, of: std::any::TypeId) -> Option<Rc<dyn Any>>;
    /// Tells the same application on the other shards.
    fn publish(&self, app: AppId, message: std::sync::Arc<dyn Any + Send + Sync>);
    /// Runs a future of the application's by itself, outside any application session.
    fn spawn(&self, app: AppId, task: Task);

    fn create_application_session(&self, app: AppId) -> Result<SipApplicationSession, Error>;
    fn application_session_by_key(
        &self,
        app: AppId,
        key: &str,
        create: bool,
    ) -> Result<Option<SipApplicationSession>, Error>;
    fn application_session_by_id(&self, app: AppId, id: &str) -> Option<SipApplicationSession>;
    fn create_initial_request(
        &self,
        app: AppId,
        session: &SipApplicationSession,
        method: Method,
        from: &Address,
        to: &Address,
    ) -> Result<SipServletRequest, Error>;
    fn copy_initial_request(
        &self,
        app: AppId,
        original: &SipServletRequest,
        same_call_id: bool,
    ) -> Result<SipServletRequest, Error>;
    fn corresponding_session(&self, session: SessionKey, header: Correspondence) -> Option<SipSession>;
}

/// A future of an application's. It runs on its owner and need not be `Send`.
pub type Task = std::pin::Pin<Box<dyn Future<Output = crate::Result>>>;

/// The header by which one session has led to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correspondence {
    /// RFC 3911.
    Join,
    /// RFC 3891.
    Replaces,
}

/// Application sessions, and the attributes of both kinds of sessions.
pub trait AppSessions {
    fn app_session_is_valid(&self, key: AppSessionKey) -> bool;
    fn app_of(&self, key: AppSessionKey) -> Option<AppId>;
    fn expiration(&self, key: AppSessionKey) -> Result<Expiration, Error>;
    fn set_expires(&self, key: AppSessionKey, after: Minutes) -> Result<Granted, Error>;
    fn invalidate_app_session(&self, key: AppSessionKey) -> Result<(), Error>;
    fn app_session_is_ready(&self, key: AppSessionKey) -> Result<bool, Error>;
    fn app_session_invalidate_when_ready(&self, key: AppSessionKey) -> Result<bool, Error>;
    fn set_app_session_invalidate_when_ready(&self, key: AppSessionKey, when: bool) -> Result<(), Error>;
    fn sip_sessions(&self, key: AppSessionKey) -> Result<Vec<SipSession>, Error>;
    fn timers(&self, key: AppSessionKey) -> Result<Vec<ServletTimer>, Error>;
    /// Runs a future as one of the events of the application session: after those that wait, and before those to come.
    fn run_in(&self, key: AppSessionKey, task: Task) -> Result<(), Error>;

    fn attribute(&self, holder: HolderKey, name: &str) -> Result<Option<AttributeValue>, Error>;
    fn attribute_names(&self, holder: HolderKey) -> Result<Vec<String>, Error>;
    fn set_attribute(&self, holder: HolderKey, name: &str, value: AttributeValue) -> Result<(), Error>;
    fn remove_attribute(&self, holder: HolderKey, name: &str) -> Result<(), Error>;
}

/// SIP sessions.
pub trait Sessions {
    fn session_is_valid(&self, key: SessionKey) -> bool;
    fn session_state(&self, key: SessionKey) -> Result<SessionState, Error>;
    fn create_request(&self, key: SessionKey, method: Method) -> Result<SipServletRequest, Error>;
    fn app_session_of(&self, key: SessionKey) -> Option<SipApplicationSession>;
    fn invalidate_session(&self, key: SessionKey) -> Result<(), Error>;
    fn session_is_ready(&self, key: SessionKey) -> Result<bool, Error>;
    fn session_invalidate_when_ready(&self, key: SessionKey) -> Result<bool, Error>;
    fn set_session_invalidate_when_ready(&self, key: SessionKey, when: bool) -> Result<(), Error>;
    fn set_handler(&self, key: SessionKey, servlet: &str) -> Result<(), Error>;
    fn session_region(&self, key: SessionKey) -> Result<RoutingRegion, Error>;
    fn session_subscriber_uri(&self, key: SessionKey) -> Result<Option<Uri>, Error>;
    fn set_session_outbound_interface(&self, key: SessionKey, interface: Interface) -> Result<(), Error>;
    fn local_party(&self, key: SessionKey) -> Option<Address>;
    fn remote_party(&self, key: SessionKey) -> Option<Address>;
    fn session_flow(&self, key: SessionKey) -> Result<Option<SipFlow>, Error>;
    fn set_session_flow(&self, key: SessionKey, flow: Option<SipFlow>) -> Result<(), Error>;
    fn terminate_dialog(&self, key: SessionKey, reasons: &[CancelReason]) -> Result<(), Error>;
    /// The sessions that the same initial request has led to, this one among them.
    fn forked_sessions(&self, key: SessionKey) -> Result<Vec<SipSession>, Error>;
    fn create_request_on_fork(&self, key: SessionKey, method: Method) -> Result<SipServletRequest, Error>;
    fn terminate_forks(&self, key: SessionKey) -> Result<(), Error>;
    /// Requests without a final response, by who has sent them.
    fn active_requests(&self, key: SessionKey, mode: UaMode) -> Result<Vec<SipServletRequest>, Error>;
    fn unacknowledged_provisional_responses(
        &self,
        key: SessionKey,
        mode: UaMode,
    ) -> Result<Vec<SipServletResponse>, Error>;
    /// How often the session is refreshed by RFC 4028, and by whom; `None` when it is not.
    fn keep_alive(&self, key: SessionKey) -> Result<Option<crate::session_keep_alive::SessionKeepAlive>, Error>;
}

/// One of our interfaces, for what leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// By its address.
    Address(IpAddr),
    /// By address and port.
    Socket(SocketAddr),
}

/// Requests and responses, as far as they are more than text.
pub trait Messages {
    fn send_request(&self, request: &SipServletRequest) -> Result<(), Error>;
    fn send_response(&self, response: &SipServletResponse) -> Result<(), Error>;
    fn send_reliably(&self, response: &SipServletResponse) -> Result<(), Error>;
    fn create_response(
        &self,
        request: &SipServletRequest,
        status: StatusCode,
        reason: Option<&str>,
    ) -> Result<SipServletResponse, Error>;
    fn create_cancel(&self, request: &SipServletRequest) -> Result<SipServletRequest, Error>;
    fn create_ack(&self, response: &SipServletResponse) -> Result<SipServletRequest, Error>;
    fn create_prack(&self, response: &SipServletResponse) -> Result<SipServletRequest, Error>;
    fn session_of_message(&self, message: &SipServletMessage) -> Result<SipSession, Error>;
    fn app_session_of_message(&self, message: &SipServletMessage) -> Result<SipApplicationSession, Error>;
    fn set_routing_directive(
        &self,
        request: &SipServletRequest,
        directive: RoutingDirective,
        original: Option<&SipServletRequest>,
    ) -> Result<(), Error>;
    fn add_auth_header(
        &self,
        request: &SipServletRequest,
        challenge: &SipServletResponse,
        info: &AuthInfo,
    ) -> Result<(), Error>;
    /// Whether a user whom the container has authenticated has this role.
    fn is_user_in_role(&self, message: &SipServletMessage, role: &str) -> bool;
}

/// The settings of a proxy operation or of one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyOptions {
    pub parallel: bool,
    pub recurse: bool,
    pub supervised: bool,
    pub no_cancel: bool,
    pub record_route: bool,
    pub add_to_path: bool,
    pub timeout: Duration,
}

/// A proxy operation or one of its branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyPart {
    /// The operation.
    Proxy(ProxyKey),
    /// A branch.
    Branch(BranchKey),
}

/// `Proxy` and `ProxyBranch`.
pub trait Proxying {
    /// The request's proxy; made when there is none and `create` says so.
    fn proxy_of(&self, request: &SipServletRequest, create: bool) -> Result<Option<Proxy>, Error>;
    fn proxy_original_request(&self, key: ProxyKey) -> Result<SipServletRequest, Error>;
    fn create_proxy_branches(&self, key: ProxyKey, targets: &[Uri]) -> Result<Vec<ProxyBranch>, Error>;
    fn start_proxy(&self, key: ProxyKey) -> Result<(), Error>;
    fn proxy_branches(&self, key: ProxyKey) -> Vec<ProxyBranch>;
    fn proxy_options(&self, part: ProxyPart) -> Result<ProxyOptions, Error>;
    /// Takes over what differs from the present options, or refuses all of it.
    fn set_proxy_options(&self, part: ProxyPart, options: ProxyOptions) -> Result<(), Error>;
    fn cancel_proxy(&self, part: ProxyPart, reasons: &[CancelReason]) -> Result<(), Error>;
    fn record_route_uri(&self, part: ProxyPart) -> Result<SipUri, Error>;
    fn set_record_route_uri(&self, part: ProxyPart, uri: &SipUri) -> Result<(), Error>;
    fn path_uri(&self, part: ProxyPart) -> Result<SipUri, Error>;
    fn set_path_uri(&self, part: ProxyPart, uri: &SipUri) -> Result<(), Error>;
    fn set_proxy_outbound_interface(&self, part: ProxyPart, interface: Interface) -> Result<(), Error>;
    fn set_proxy_flow(&self, part: ProxyPart, flow: Option<SipFlow>) -> Result<(), Error>;
    fn branch_request(&self, key: BranchKey) -> Result<SipServletRequest, Error>;
    fn branch_response(&self, key: BranchKey) -> Option<SipServletResponse>;
    fn branch_is_started(&self, key: BranchKey) -> bool;
    fn recursed_branches(&self, key: BranchKey) -> Vec<ProxyBranch>;
    fn proxy_of_branch(&self, key: BranchKey) -> Option<Proxy>;
}

/// `B2buaHelper`.
pub trait B2bua {
    /// Makes the application a B2BUA for this request.
    fn become_b2bua(&self, request: &SipServletRequest) -> Result<(), Error>;
    fn b2bua_create_request(
        &self,
        original: &SipServletRequest,
        linked: bool,
        headers: Option<&HeaderMap>,
    ) -> Result<SipServletRequest, Error>;
    fn b2bua_create_subsequent(
        &self,
        session: SessionKey,
        original: Option<&SipServletRequest>,
        headers: Option<&HeaderMap>,
    ) -> Result<SipServletRequest, Error>;
    fn b2bua_create_cancel(&self, session: SessionKey) -> Result<SipServletRequest, Error>;
    fn b2bua_response_to_original(
        &self,
        session: SessionKey,
        status: StatusCode,
        reason: Option<&str>,
    ) -> Result<SipServletResponse, Error>;
    fn b2bua_create_response(
        &self,
        original: &SipServletRequest,
        response: &SipServletResponse,
    ) -> Result<SipServletResponse, Error>;
    fn linked_session(&self, session: SessionKey) -> Result<Option<SipSession>, Error>;
    fn linked_request(&self, request: &SipServletRequest) -> Option<SipServletRequest>;
    fn link_sessions(&self, one: SessionKey, other: SessionKey) -> Result<(), Error>;
    fn unlink_session(&self, session: SessionKey) -> Result<(), Error>;
    fn pending_messages(&self, session: SessionKey, mode: UaMode) -> Result<Vec<SipServletMessage>, Error>;
}

/// `TimerService` and `ServletTimer`.
pub trait Timers {
    fn create_timer(&self, session: AppSessionKey, schedule: Schedule) -> Result<ServletTimer, Error>;
    fn timer_is_active(&self, key: TimerKey) -> bool;
    fn timer_info(&self, key: TimerKey) -> Option<AttributeValue>;
    /// When the next firing is due, and when the last was.
    fn timer_times(&self, key: TimerKey) -> Option<TimerTimes>;
    fn cancel_timer(&self, key: TimerKey) -> bool;
}

/// When a timer fires.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub delay: Duration,
    pub repeat: Repeat,
    pub persistent: bool,
    pub info: Option<AttributeValue>,
}

/// Whether a timer fires again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It does not.
    Once,
    /// So long after the end of the firing before.
    FixedDelay(Duration),
    /// So long after the time for which the firing before was scheduled; late firings catch up.
    FixedRate(Duration),
}

/// See [`Timers::timer_times`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerTimes {
    pub remaining: Duration,
    pub last_scheduled: Option<SystemTime>,
}

/// What an application session's handles know of it even when it is no more.
#[derive(Debug)]
pub struct AppSessionFacts {
    pub application: Rc<str>,
    /// Random; part of the id.
    pub number: u64,
    pub partition: u8,
    /// What the application's key method gave.
    pub key: Option<Box<str>>,
    pub created: SystemTime,
    pub last_accessed: Cell<SystemTime>,
}

/// What a SIP session's handles know of it even when it is no more.
#[derive(Debug)]
pub struct SessionFacts {
    pub number: u64,
    pub partition: u8,
    pub call_id: Rc<str>,
    pub created: SystemTime,
    pub last_accessed: Cell<SystemTime>,
}

/// Who has made a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A peer, or another application.
    Received,
    /// This application.
    Created,
}

/// What a container knows of a message.
#[derive(Debug)]
pub struct Facts {
    pub app: AppId,
    pub direction: Direction,
    pub committed: Cell<bool>,
    /// Set while a router or key method looks at it.
    pub read_only: Cell<bool>,
    pub initial: Cell<bool>,
    pub session: Cell<Option<SessionKey>>,
    pub app_session: Cell<Option<AppSessionKey>>,
    pub transaction: Cell<Option<TransactionKey>>,
    /// A response's branch, and the request of one.
    pub branch: Cell<Option<BranchKey>>,
    /// Whether a response is an intermediate final one of a branch.
    pub is_branch_response: Cell<bool>,
    /// The path that it came on; `None` when it was made here.
    pub flow: Option<Flow>,
    /// The path that its initial request came to the container on; the same along the whole chain of applications.
    pub initial_flow: Option<Flow>,
    pub header_form: Cell<HeaderForm>,
    pub more: RefCell<More>,
}

/// What few messages have.
#[derive(Default)]
pub struct More {
    pub attributes: Vec<(Box<str>, Rc<dyn Any>)>,
    pub popped_route: Option<Address>,
    pub initial_popped_route: Option<Address>,
    pub directive: Option<RoutingDirective>,
    pub region: Option<RoutingRegion>,
    pub subscriber: Option<Uri>,
    pub principal: Option<Principal>,
    pub encoding: Option<Box<str>>,
    pub keep_alive: Option<KeepAlivePreference>,
    /// The request that a response answers.
    pub request: Option<SipServletRequest>,
    /// The container's own.
    pub routing: Option<Rc<dyn Any>>,
}

impl std::fmt::Debug for More {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("More").field("directive", &self.directive).finish_non_exhaustive()
    }
}

/// Whom the container has authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub name: Rc<str>,
    pub roles: Rc<[Box<str>]>,
}

impl Facts {
    /// Those of a message that has just been made or received.
    pub fn new(app: AppId, direction: Direction, flow: Option<Flow>) -> Facts {
        Facts {
            app,
            direction,
            committed: Cell::new(false),
            read_only: Cell::new(false),
            initial: Cell::new(false),
            session: Cell::new(None),
            app_session: Cell::new(None),
            transaction: Cell::new(None),
            branch: Cell::new(None),
            is_branch_response: Cell::new(false),
            flow,
            initial_flow: flow,
            header_form: Cell::new(HeaderForm::Default),
            more: RefCell::new(More::default()),
        }
    }
}

/// How containers make handles and look into them.
impl SipServletMessage {
    /// The host that operations of this message go to.
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// What the container knows of it.
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// The message itself.
    pub fn sip(&self) -> Ref<'_, Message> {
        self.0.sip.borrow()
    }

    /// The message itself, to be changed whether it is committed or not.
    pub fn sip_mut(&self) -> RefMut<'_, Message> {
        self.0.sip.borrow_mut()
    }
}

impl SipServletRequest {
    /// A handle to a request.
    pub fn attach(host: Host, request: Request, facts: Facts) -> SipServletRequest {
        SipServletRequest::of(SipServletMessage::attach(host, Message::Request(request), facts))
    }

    /// The request, out of its handle; a copy when others hold the handle too.
    pub fn detach(self) -> Request {
        let shared = self.into_message().0;
        let message = match Rc::try_unwrap(shared) {
            Ok(inner) => inner.sip.into_inner(),
            Err(shared) => shared.sip.borrow().clone(),
        };
        match message {
            Message::Request(request) => request,
            Message::Response(_) => unreachable!("a request handle is made of a request"),
        }
    }

    /// The request itself. Not to be held while the application runs.
    pub fn sip_request(&self) -> Ref<'_, Request> {
        Ref::map(self.sip(), |message| match message {
            Message::Request(request) => request,
            Message::Response(_) => unreachable!("a request handle is made of a request"),
        })
    }

    /// The request itself, to be changed whether it is committed or not.
    pub fn sip_request_mut(&self) -> RefMut<'_, Request> {
        RefMut::map(self.sip_mut(), |message| match message {
            Message::Request(request) => request,
            Message::Response(_) => unreachable!("a request handle is made of a request"),
        })
    }
}

impl SipServletResponse {
    /// A handle to a response.
    pub fn attach(host: Host, response: Response, facts: Facts) -> SipServletResponse {
        SipServletResponse::of(SipServletMessage::attach(host, Message::Response(response), facts))
    }

    /// The response itself. Not to be held while the application runs.
    pub fn sip_response(&self) -> Ref<'_, Response> {
        Ref::map(self.sip(), |message| match message {
            Message::Response(response) => response,
            Message::Request(_) => unreachable!("a response handle is made of a response"),
        })
    }

    /// The response itself, to be changed whether it is committed or not.
    pub fn sip_response_mut(&self) -> RefMut<'_, Response> {
        RefMut::map(self.sip_mut(), |message| match message {
            Message::Response(response) => response,
            Message::Request(_) => unreachable!("a response handle is made of a response"),
        })
    }
}
