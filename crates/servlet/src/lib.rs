//! What application authors see: the SIP Servlet model (JSR 289, and what JSR 359 added) in Rust's idiom.
//!
//! ```text
//!   SipApplication ── servlets, listeners, key method           deployed into a container
//!        │
//!        ▼ one for each call, or whatever the application takes for one
//!   SipApplicationSession ── attributes, timers
//!        │
//!        ├── SipSession ── a dialog with one peer ── SipServletRequest, SipServletResponse
//!        └── SipSession                                   │
//!                                                         ├── Proxy ── ProxyBranch
//!                                                         └── B2buaHelper
//! ```
//!
//! ```
//! use servlet::prelude::*;
//!
//! struct Hello;
//!
//! impl SipServlet for Hello {
//!     async fn do_invite(&self, invite: SipServletRequest) -> Result {
//!         invite.create_response(StatusCode::BUSY_HERE)?.send()?;
//!         Ok(())
//!     }
//! }
//!
//! let application = SipApplication::new("hello").servlet(Hello);
//! # assert_eq!(application.name(), "hello");
//! ```
//!
//! Handles are cheap to clone and stay on the thread of their session; the session's events are handled one at a time,
//! so nothing needs a lock. An operation on something that is over gives an error and changes nothing.
//!
//! Left to the container: dispatching, state, timers and everything that is sent. Left to the application: what the call
//! is about.

mod address;
mod application;
mod attribute;
mod auth_info;
mod b2bua;
mod content;
mod context;
mod error;
mod flow;
mod handlers;
mod header_rules;
mod listener;
mod message;
mod optional_text;
mod parameterable;
mod parse_error;
mod proxy;
mod request;
mod response;
mod router;
mod servlet;
mod session;
mod session_keep_alive;
mod sip_application_session;
#[doc(hidden)]
#[allow(missing_docs, reason = "the methods are the handles', which have the documentation")]
pub mod spi;
mod timer;
mod uri;

pub use address::Address;
pub use application::{KeyMethod, Predicate, SipApplication};
pub use attribute::{Attribute, AttributeValue, BindingEvent, Durable, Holder, NodeLocal, Replica};
pub use auth_info::{AuthCredentials, AuthInfo, NotAChallenge};
pub use b2bua::{B2buaHelper, HeaderMap, UaMode};
pub use context::{ServletContext, SipFactory, SipSessionsUtil};
pub use error::{Error, IllegalArgument, IllegalState, Rel100Error, Result};
pub use flow::SipFlow;
pub use handlers::Handlers;
pub use header_rules::{
    HeaderContext, HeaderKey, HeaderOwner, header_owner, is_address_header, is_parameterable_header, is_system_header,
    may_appear_in, merge_contact, merge_party, party,
};
pub use listener::{
    AnyApplicationSessionListener, AnyErrorListener, AnyServletListener, AnyTimerListener, AttributeListener,
    SipApplicationSessionListener, SipErrorListener, SipServletListener, SipSessionListener, TimerListener,
};
pub use message::{Content, HeaderForm, SipServletMessage};
pub use optional_text::OptionalText;
pub use parameterable::Parameterable;
pub use parse_error::{IllegalValue, ServletParseError};
pub use proxy::{CancelReason, Proxy, ProxyBranch};
pub use request::SipServletRequest;
pub use response::SipServletResponse;
pub use router::{
    RegionType, RouterState, RoutingDirective, RoutingRegion, SipApplicationRouter, SipApplicationRouterInfo,
    SipRouteModifier, SipTargetedRequestInfo, SipTargetedRequestType,
};
pub use servlet::{AnyServlet, SipServlet};
pub use session::{ForkingContext, SessionState, SipSession};
pub use session_keep_alive::{KeepAlivePreference, SessionKeepAlive};
pub use sip_application_session::{
    ENCODED_SESSION, Expiration, Granted, Minutes, Protocol, ProtocolSession, SipApplicationSession,
};
pub use spi::{Correspondence, Principal, Repeat};
pub use timer::ServletTimer;
pub use uri::{OtherUri, SipUri, TelUrl, Uri};

pub use sip_message::{Method, StatusClass, StatusCode, Transport};

/// What most applications use.
pub mod prelude {
    pub use crate::{
        Address, Durable, Error, Handlers, Method, Minutes, Result, ServletContext, ServletTimer, SessionState,
        SipApplication, SipApplicationSession, SipServlet, SipServletRequest, SipServletResponse, SipSession, SipUri,
        StatusCode, Uri,
    };
    pub use std::time::Duration;
}
