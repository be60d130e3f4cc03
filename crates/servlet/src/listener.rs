//! Listeners. Every method has an empty default.
//!
//! What the container tells on its own account (a timer, an expiry, a missing ACK) is told as an event of the session and
//! may wait for something. What follows from a call of the application's (a session that was created, an attribute that
//! was set) is told within that call, and may not.

use std::pin::Pin;
use std::sync::Arc;

use crate::attribute::BindingEvent;
use crate::context::ServletContext;
use crate::error::Result;
use crate::request::SipServletRequest;
use crate::response::SipServletResponse;
use crate::session::SipSession;
use crate::sip_application_session::SipApplicationSession;
use crate::timer::ServletTimer;

/// A future that runs on its owner.
pub(crate) type LocalFuture = Pin<Box<dyn Future<Output = Result>>>;

/// Hears of application sessions.
#[expect(async_fn_in_trait, reason = "listeners run on the owner of the session; their futures need not be Send")]
pub trait SipApplicationSessionListener: Send + Sync + 'static {
    /// After a session was created.
    fn session_created(&self, _session: &SipApplicationSession) {}

    /// When a session's time has come. [`SipApplicationSession::set_expires`] gives it more; else it is invalidated.
    async fn session_expired(&self, _session: SipApplicationSession) -> Result {
        Ok(())
    }

    /// When every session is ready and no timer is active. The container invalidates the session afterwards, unless the
    /// listener has called `set_invalidate_when_ready(false)`.
    fn session_ready_to_invalidate(&self, _session: &SipApplicationSession) {}

    /// When a session is invalidated; its sessions, attributes and timers are gone already. It can't be kept.
    fn session_destroyed(&self, _session: &SipApplicationSession) {}
}

/// Hears of SIP sessions.
pub trait SipSessionListener: Send + Sync + 'static {
    /// After a session was created.
    fn session_created(&self, _session: &SipSession) {}

    /// When a session is ready. The container invalidates it afterwards, unless the listener has called
    /// `set_invalidate_when_ready(false)`.
    fn session_ready_to_invalidate(&self, _session: &SipSession) {}

    /// When a session is invalidated; its attributes are gone already.
    fn session_destroyed(&self, _session: &SipSession) {}
}

/// Hears of attributes of sessions of both kinds, after the change.
pub trait AttributeListener: Send + Sync + 'static {
    /// After a value was bound to a name that had none.
    fn attribute_added(&self, _event: &BindingEvent) {}

    /// After a value was unbound.
    fn attribute_removed(&self, _event: &BindingEvent) {}

    /// After another value was bound to a name.
    fn attribute_replaced(&self, _event: &BindingEvent) {}
}

/// Hears of timers. An application has at most one such listener.
#[expect(async_fn_in_trait, reason = "listeners run on the owner of the session; their futures need not be Send")]
pub trait TimerListener: Send + Sync + 'static {
    /// When a timer fires.
    async fn timeout(&self, timer: ServletTimer) -> Result;
}

/// Hears of peers that do not acknowledge.
#[expect(async_fn_in_trait, reason = "listeners run on the owner of the session; their futures need not be Send")]
pub trait SipErrorListener: Send + Sync + 'static {
    /// When no ACK came for a 2xx for 64·T1 (RFC 3261 §13.3.1.4). The dialog is there; a BYE is in order.
    async fn no_ack_received(&self, _request: SipServletRequest, _response: SipServletResponse) -> Result {
        Ok(())
    }

    /// When no PRACK came for a reliable provisional response for 64·T1 (RFC 3262 §3). The INVITE is to be rejected with
    /// a 5xx.
    async fn no_prack_received(&self, _request: SipServletRequest, _response: SipServletResponse) -> Result {
        Ok(())
    }
}

/// Hears of the application itself.
#[expect(async_fn_in_trait, reason = "listeners run on the owner of the session; their futures need not be Send")]
pub trait SipServletListener: Send + Sync + 'static {
    /// When everything is ready: sockets are bound, routers know the application. From now on it may send.
    ///
    /// Is told once on every worker of the server, with that worker's context.
    async fn servlet_initialized(&self, _context: ServletContext) -> Result {
        Ok(())
    }

    /// When another worker's instance of the application has published something.
    fn published(&self, _context: &ServletContext, _message: &Arc<dyn std::any::Any + Send + Sync>) {}

    /// When a flow has ended (RFC 5626): what was bound to it can't be reached any more.
    fn flow_ended(&self, _context: &ServletContext, _flow: &crate::SipFlow) {}

    /// When the application is being stopped: no new sessions come.
    fn stopping(&self, _context: &ServletContext) {}
}

macro_rules! erased {
    ($(#[$doc:meta])* $name:ident for $trait:ident { $($method:ident($($argument:ident: $of:ty),*);)* } sync { $($told:ident($($about:ident: $kind:ty),*);)* }) => {
        $(#[$doc])*
        pub trait $name: Send + Sync {
            $(#[doc = concat!("See [`", stringify!($trait), "::", stringify!($method), "`].")]
            fn $method(self: Arc<Self>, $($argument: $of),*) -> LocalFuture;)*
            $(#[doc = concat!("See [`", stringify!($trait), "::", stringify!($told), "`].")]
            fn $told(&self, $($about: $kind),*);)*
        }

        impl<T: $trait> $name for T {
            $(fn $method(self: Arc<Self>, $($argument: $of),*) -> LocalFuture {
                Box::pin(async move { $trait::$method(&*self, $($argument),*).await })
            })*
            $(fn $told(&self, $($about: $kind),*) {
                $trait::$told(self, $($about),*);
            })*
        }
    };
}

erased! {
    /// A [`SipApplicationSessionListener`] whose type is forgotten; for containers.
    AnyApplicationSessionListener for SipApplicationSessionListener {
        session_expired(session: SipApplicationSession);
    } sync {
        session_created(session: &SipApplicationSession);
        session_ready_to_invalidate(session: &SipApplicationSession);
        session_destroyed(session: &SipApplicationSession);
    }
}

erased! {
    /// A [`TimerListener`] whose type is forgotten; for containers.
    AnyTimerListener for TimerListener {
        timeout(timer: ServletTimer);
    } sync {}
}

erased! {
    /// A [`SipErrorListener`] whose type is forgotten; for containers.
    AnyErrorListener for SipErrorListener {
        no_ack_received(request: SipServletRequest, response: SipServletResponse);
        no_prack_received(request: SipServletRequest, response: SipServletResponse);
    } sync {}
}

erased! {
    /// A [`SipServletListener`] whose type is forgotten; for containers.
    AnyServletListener for SipServletListener {
        servlet_initialized(context: ServletContext);
    } sync {
        published(context: &ServletContext, message: &Arc<dyn std::any::Any + Send + Sync>);
        flow_ended(context: &ServletContext, flow: &crate::SipFlow);
        stopping(context: &ServletContext);
    }
}
