//! `SipSession`: a point-to-point relation between the application and one peer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::SystemTime;

use sip_message::Method;

use crate::address::Address;
use crate::attribute::{Attribute, AttributeValue};
use crate::b2bua::UaMode;
use crate::context::ServletContext;
use crate::error::{Error, IllegalState};
use crate::flow::SipFlow;
use crate::proxy::CancelReason;
use crate::request::SipServletRequest;
use crate::response::SipServletResponse;
use crate::router::RoutingRegion;
use crate::session_keep_alive::SessionKeepAlive;
use crate::sip_application_session::SipApplicationSession;
use crate::spi::{HolderKey, Host, Interface, SessionFacts, SessionKey};
use crate::uri::Uri;

/// A relation between the application and one peer: a dialog, one that may become a dialog, or a single transaction.
///
/// Cheap to clone; clones are the same session. An operation on a session that was invalidated gives
/// [`IllegalState::InvalidSession`] and changes nothing.
#[derive(Clone)]
pub struct SipSession {
    host: Host,
    key: SessionKey,
    facts: Rc<SessionFacts>,
}

/// How far a session is.
///
/// ```text
///              1xx               2xx              BYE answered
///   INITIAL ─────────► EARLY ─────────► CONFIRMED ─────────► TERMINATED
///      ▲ │               │
///      │ └─ 2xx ─► …     │  a failure: back to INITIAL at a UAC and a proxy that may try again,
///      └─────────────────┘  TERMINATED at a UAS and once it went upstream
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionState {
    /// No dialog.
    Initial,
    /// A dialog that a provisional response has made.
    Early,
    /// A dialog.
    Confirmed,
    /// A dialog that was, or a request that was refused.
    Terminated,
}

impl SipSession {
    /// A handle; made by containers.
    #[doc(hidden)]
    pub fn new(host: Host, key: SessionKey, facts: Rc<SessionFacts>) -> SipSession {
        SipSession { host, key, facts }
    }

    /// What the container calls it.
    #[doc(hidden)]
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// The id, unique among all sessions of all nodes, also after this one has become invalid.
    pub fn id(&self) -> String {
        format!("{:02x}{:016x}", self.facts.partition, self.facts.number)
    }

    /// The Call-ID.
    pub fn call_id(&self) -> &str {
        &self.facts.call_id
    }

    /// When the session was created.
    pub fn creation_time(&self) -> SystemTime {
        self.facts.created
    }

    /// When the peer's last request came.
    pub fn last_accessed_time(&self) -> SystemTime {
        self.facts.last_accessed.get()
    }

    /// The application session that it belongs to.
    pub fn application_session(&self) -> Result<SipApplicationSession, Error> {
        self.host.app_session_of(self.key).ok_or(Error::IllegalState(IllegalState::InvalidSession))
    }

    /// The application.
    pub fn servlet_context(&self) -> Result<ServletContext, Error> {
        self.application_session()?.servlet_context()
    }

    /// We, as the From of requests from here names us; `None` when the session is no more.
    pub fn local_party(&self) -> Option<Address> {
        self.host.local_party(self.key)
    }

    /// The peer, as the To of requests from here names it.
    pub fn remote_party(&self) -> Option<Address> {
        self.host.remote_party(self.key)
    }

    /// How far the session is. It has changed already when the application is told of the message that changes it.
    pub fn state(&self) -> Result<SessionState, Error> {
        self.host.session_state(self.key)
    }

    /// A request to the peer: in the dialog if there is one, else with the same Call-ID and From tag.
    ///
    /// [`crate::IllegalArgument::Method`] for ACK, CANCEL and PRACK, which are made from the message that they belong
    /// to. [`IllegalState`] when the session is terminated, or a proxy's, or is in INITIAL and waits for an answer.
    pub fn create_request(&self, method: Method) -> Result<SipServletRequest, Error> {
        self.host.create_request(self.key, method)
    }

    /// Whether the session can be used.
    pub fn is_valid(&self) -> bool {
        self.host.session_is_valid(self.key)
    }

    /// Ends the session. Nothing is sent for it; later requests of its dialog are answered 481.
    pub fn invalidate(&self) -> Result<(), Error> {
        self.host.invalidate_session(self.key)
    }

    /// Whether the container may invalidate the session.
    pub fn is_ready_to_invalidate(&self) -> Result<bool, Error> {
        self.host.session_is_ready(self.key)
    }

    /// Whether the container invalidates the session when it is ready. By default it does.
    pub fn invalidate_when_ready(&self) -> Result<bool, Error> {
        self.host.session_invalidate_when_ready(self.key)
    }

    /// Chooses whether the container invalidates the session when it is ready.
    pub fn set_invalidate_when_ready(&self, when: bool) -> Result<(), Error> {
        self.host.set_session_invalidate_when_ready(self.key, when)
    }

    /// Chooses the servlet that handles what comes in this session from now on.
    pub fn set_handler(&self, servlet: &str) -> Result<(), Error> {
        self.host.set_handler(self.key, servlet)
    }

    /// The region of the router's choice. [`IllegalState::NoInitialRequest`] when the session did not begin with a
    /// request that was received.
    pub fn region(&self) -> Result<RoutingRegion, Error> {
        self.host.session_region(self.key)
    }

    /// The subscriber of the router's choice.
    pub fn subscriber_uri(&self) -> Result<Option<Uri>, Error> {
        self.host.session_subscriber_uri(self.key)
    }

    /// Sends from this address of ours.
    pub fn set_outbound_address(&self, address: IpAddr) -> Result<(), Error> {
        self.host.set_session_outbound_interface(self.key, Interface::Address(address))
    }

    /// Sends from this address of ours, and from this port if possible.
    pub fn set_outbound_interface(&self, interface: SocketAddr) -> Result<(), Error> {
        self.host.set_session_outbound_interface(self.key, Interface::Socket(interface))
    }

    /// The flow (RFC 5626) that requests of this session go over.
    pub fn flow(&self) -> Result<Option<SipFlow>, Error> {
        self.host.session_flow(self.key)
    }

    /// Sends requests of this session over a flow.
    pub fn set_flow(&self, flow: Option<SipFlow>) -> Result<(), Error> {
        self.host.set_session_flow(self.key, flow)
    }

    /// Lets the container end the dialog: it sends CANCEL, BYE or a final response as the state requires, and goes on
    /// until the dialog is over. The application is not told of the messages of this end; at last comes
    /// `session_ready_to_invalidate`. Nothing happens when there is no dialog.
    pub fn terminate_dialog(&self) -> Result<(), Error> {
        self.terminate_dialog_because(&[])
    }

    /// As [`SipSession::terminate_dialog`], with Reason headers.
    pub fn terminate_dialog_because(&self, reasons: &[CancelReason]) -> Result<(), Error> {
        self.host.terminate_dialog(self.key, reasons)
    }

    /// This session and those that forking has derived from the same request.
    pub fn forking_context(&self) -> ForkingContext {
        ForkingContext { session: self.clone() }
    }

    /// The INVITE without a final response, if there is one.
    pub fn active_invite(&self, mode: UaMode) -> Result<Option<SipServletRequest>, Error> {
        Ok(self.active_requests(mode)?.into_iter().find(|request| request.method() == Method::Invite))
    }

    /// The requests without a final response, in the order of their CSeq.
    pub fn active_requests(&self, mode: UaMode) -> Result<Vec<SipServletRequest>, Error> {
        self.host.active_requests(self.key, mode)
    }

    /// The reliable provisional responses without PRACK.
    pub fn unacknowledged_provisional_responses(&self, mode: UaMode) -> Result<Vec<SipServletResponse>, Error> {
        self.host.unacknowledged_provisional_responses(self.key, mode)
    }

    /// How the session is kept alive by RFC 4028; `None` when it is not.
    pub fn keep_alive(&self) -> Result<Option<SessionKeepAlive>, Error> {
        self.host.keep_alive(self.key)
    }

    /// The attribute of this name. `None` when there is none, or it is of another type.
    pub fn attribute<T: Attribute>(&self, name: &str) -> Result<Option<Rc<T>>, Error> {
        Ok(self.host.attribute(HolderKey::Session(self.key), name)?.and_then(|value| value.get()))
    }

    /// The names of the attributes.
    pub fn attribute_names(&self) -> Result<Vec<String>, Error> {
        self.host.attribute_names(HolderKey::Session(self.key))
    }

    /// Binds a value to a name; one that was bound before is replaced.
    pub fn set_attribute(&self, name: &str, value: impl Attribute) -> Result<(), Error> {
        self.host.set_attribute(HolderKey::Session(self.key), name, AttributeValue::new(value))
    }

    /// Unbinds a value; nothing happens when there is none.
    pub fn remove_attribute(&self, name: &str) -> Result<(), Error> {
        self.host.remove_attribute(HolderKey::Session(self.key), name)
    }
}

/// The dialogs that one request has made where it was forked (RFC 3261 §13.2.2.4). Lives as long as one of its sessions.
#[derive(Clone, Debug)]
pub struct ForkingContext {
    session: SipSession,
}

impl ForkingContext {
    /// The valid sessions, the first one first.
    pub fn sessions(&self) -> Result<Vec<SipSession>, Error> {
        self.session.host.forked_sessions(self.session.key)
    }

    /// A request with the same Call-ID and local party in a dialog of its own; such as another NOTIFY of a forked
    /// subscription (RFC 6665 §4.4.1).
    pub fn create_request(&self, method: Method) -> Result<SipServletRequest, Error> {
        self.session.host.create_request_on_fork(self.session.key, method)
    }

    /// Terminates every dialog, also those that are made later.
    pub fn terminate_dialogs(&self) -> Result<(), Error> {
        self.session.host.terminate_forks(self.session.key)
    }
}

impl PartialEq for SipSession {
    fn eq(&self, other: &SipSession) -> bool {
        self.key == other.key
    }
}

impl Eq for SipSession {}

impl fmt::Debug for SipSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SipSession({})", self.id())
    }
}
