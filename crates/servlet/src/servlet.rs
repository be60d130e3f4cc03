//! `SipServlet`: where requests and responses come in.

use std::sync::Arc;

use sip_message::{Method, StatusClass, StatusCode};

use crate::context::ServletContext;
use crate::error::Result;
use crate::listener::LocalFuture;
use crate::request::SipServletRequest;
use crate::response::SipServletResponse;

/// An application's code. One instance serves every session; what a session has to remember is an attribute of it.
///
/// Handlers run on the owner of the application session, one at a time for each session, and may wait for anything; no
/// lock is held meanwhile, and other sessions go on. A handler that fails or panics ends its request with 500 and harms
/// nothing else.
///
/// A request that no handler takes is answered 500, but for ACK and CANCEL, which have no answer of the application's.
///
/// ```
/// use servlet::prelude::*;
///
/// struct Greeting;
///
/// impl SipServlet for Greeting {
///     async fn do_message(&self, message: SipServletRequest) -> Result {
///         message.create_response(StatusCode::OK)?.send()?;
///         Ok(())
///     }
/// }
/// ```
#[expect(async_fn_in_trait, reason = "handlers run on the owner of the session; their futures need not be Send")]
pub trait SipServlet: Send + Sync + 'static {
    /// Before anything else is told; once on every worker.
    fn init(&self, _context: &ServletContext) -> Result {
        Ok(())
    }

    /// When the application has ended.
    fn destroy(&self) {}

    /// Every request; by default handed to the handler of its method.
    async fn do_request(&self, request: SipServletRequest) -> Result {
        match request.method() {
            Method::Invite => self.do_invite(request).await,
            Method::Ack => self.do_ack(request).await,
            Method::Options => self.do_options(request).await,
            Method::Bye => self.do_bye(request).await,
            Method::Cancel => self.do_cancel(request).await,
            Method::Register => self.do_register(request).await,
            Method::Subscribe => self.do_subscribe(request).await,
            Method::Notify => self.do_notify(request).await,
            Method::Message => self.do_message(request).await,
            Method::Info => self.do_info(request).await,
            Method::Prack => self.do_prack(request).await,
            Method::Update => self.do_update(request).await,
            Method::Refer => self.do_refer(request).await,
            Method::Publish => self.do_publish(request).await,
            Method::Other(_) => not_handled(&request),
        }
    }

    /// An INVITE.
    async fn do_invite(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// The ACK of a 2xx. Those of other final responses never come.
    async fn do_ack(&self, _request: SipServletRequest) -> Result {
        Ok(())
    }

    /// An OPTIONS.
    async fn do_options(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// A BYE.
    async fn do_bye(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// A CANCEL. The container has answered it, and has answered the INVITE with 487 or cancelled the branches.
    async fn do_cancel(&self, _request: SipServletRequest) -> Result {
        Ok(())
    }

    /// A REGISTER.
    async fn do_register(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// A SUBSCRIBE.
    async fn do_subscribe(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// A NOTIFY.
    async fn do_notify(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// A MESSAGE.
    async fn do_message(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// An INFO.
    async fn do_info(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// A PRACK.
    async fn do_prack(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// An UPDATE.
    async fn do_update(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// A REFER.
    async fn do_refer(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// A PUBLISH.
    async fn do_publish(&self, request: SipServletRequest) -> Result {
        not_handled(&request)
    }

    /// Every response; by default handed to the handler of its class. 100 never comes.
    async fn do_response(&self, response: SipServletResponse) -> Result {
        match response.status().class() {
            StatusClass::Provisional => self.do_provisional_response(response).await,
            StatusClass::Success => self.do_success_response(response).await,
            StatusClass::Redirection => self.do_redirect_response(response).await,
            _ => self.do_error_response(response).await,
        }
    }

    /// A 1xx.
    async fn do_provisional_response(&self, _response: SipServletResponse) -> Result {
        Ok(())
    }

    /// A 2xx.
    async fn do_success_response(&self, _response: SipServletResponse) -> Result {
        Ok(())
    }

    /// A 3xx.
    async fn do_redirect_response(&self, _response: SipServletResponse) -> Result {
        Ok(())
    }

    /// A 4xx, 5xx or 6xx.
    async fn do_error_response(&self, _response: SipServletResponse) -> Result {
        Ok(())
    }

    /// The final response of one branch of a proxy, while others run; never the one that goes upstream.
    async fn do_branch_response(&self, _response: SipServletResponse) -> Result {
        Ok(())
    }
}

/// What an application that does not know a request says.
pub(crate) fn not_handled(request: &SipServletRequest) -> Result {
    if !request.is_committed() {
        request.create_response(StatusCode::SERVER_INTERNAL_ERROR)?.send()?;
    }
    Ok(())
}

/// A [`SipServlet`] whose type is forgotten; for containers.
pub trait AnyServlet: Send + Sync {
    /// See [`SipServlet::init`].
    fn init(&self, context: &ServletContext) -> Result;
    /// See [`SipServlet::destroy`].
    fn destroy(&self);
    /// See [`SipServlet::do_request`].
    fn request(self: Arc<Self>, request: SipServletRequest) -> LocalFuture;
    /// See [`SipServlet::do_response`] and [`SipServlet::do_branch_response`].
    fn response(self: Arc<Self>, response: SipServletResponse) -> LocalFuture;
}

impl<T: SipServlet> AnyServlet for T {
    fn init(&self, context: &ServletContext) -> Result {
        SipServlet::init(self, context)
    }

    fn destroy(&self) {
        SipServlet::destroy(self);
    }

    fn request(self: Arc<Self>, request: SipServletRequest) -> LocalFuture {
        Box::pin(async move { self.do_request(request).await })
    }

    fn response(self: Arc<Self>, response: SipServletResponse) -> LocalFuture {
        if response.is_branch_response() {
            Box::pin(async move { self.do_branch_response(response).await })
        } else {
            Box::pin(async move { self.do_response(response).await })
        }
    }
}
