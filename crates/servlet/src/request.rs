//! `SipServletRequest`.

use std::ops::Deref;

use sip_message::header::MaxForwards;
use sip_message::{HeaderName, Message, Method, StatusCode};

use crate::address::Address;
use crate::auth_info::AuthInfo;
use crate::b2bua::B2buaHelper;
use crate::error::{Error, IllegalArgument, IllegalState};
use crate::message::{SipServletMessage, illegal_value};
use crate::proxy::Proxy;
use crate::response::SipServletResponse;
use crate::router::{RoutingDirective, RoutingRegion};
use crate::spi::Direction;
use crate::uri::{SipUri, Uri};

/// A request: one that came, or one that the application makes.
///
/// Has the methods of [`SipServletMessage`] too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipServletRequest(SipServletMessage);

impl Deref for SipServletRequest {
    type Target = SipServletMessage;

    fn deref(&self) -> &SipServletMessage {
        &self.0
    }
}

impl SipServletRequest {
    pub(crate) fn of(message: SipServletMessage) -> SipServletRequest {
        SipServletRequest(message)
    }

    pub(crate) fn into_message(self) -> SipServletMessage {
        self.0
    }

    /// The same message, without knowing that it is a request.
    pub fn as_message(&self) -> &SipServletMessage {
        &self.0
    }

    /// The Request-URI.
    pub fn request_uri(&self) -> Uri {
        Uri::from(self.sip_request().uri())
    }

    /// Changes the Request-URI.
    pub fn set_request_uri(&self, uri: &Uri) -> Result<(), Error> {
        let wanted = uri.to_uri_buf();
        wanted.as_uri().check_request_uri().map_err(|error| IllegalArgument::Uri(format!("{error:?}").into()))?;
        match &mut *self.edit()? {
            Message::Request(request) => request.set_uri(&wanted),
            Message::Response(_) => {}
        }
        Ok(())
    }

    /// Puts a route on top of those that are there. It is made loose (`lr`). [`IllegalState::NotInitial`] on requests of a
    /// dialog, whose route is the dialog's.
    pub fn push_route(&self, route: &SipUri) -> Result<(), Error> {
        let mut route = route.clone();
        route.set_lr_param(true);
        self.push_route_address(&Address::new(route))
    }

    /// As [`SipServletRequest::push_route`]; [`IllegalArgument::Scheme`] when the address is none of a SIP server.
    pub fn push_route_address(&self, route: &Address) -> Result<(), Error> {
        if !self.facts().initial.get() {
            return Err(IllegalState::NotInitial.into());
        }
        let Some(Uri::Sip(uri)) = route.uri().cloned() else {
            return Err(IllegalArgument::Scheme("not sip or sips".into()).into());
        };
        let mut loose = uri;
        loose.set_lr_param(true);
        let mut route = route.clone();
        route.set_uri(loose);
        let pushed = self.edit()?.headers_mut().push_front(HeaderName::Route, &route);
        pushed.map_err(|error| illegal_value("Route", &error))
    }

    /// Puts an address on top of the Path of a REGISTER (RFC 3327).
    pub fn push_path(&self, path: &Address) -> Result<(), Error> {
        if self.method() != Method::Register {
            return Err(IllegalState::WrongMethod.into());
        }
        let pushed = self.edit()?.headers_mut().push_front(HeaderName::Path, path);
        pushed.map_err(|error| illegal_value("Path", &error))
    }

    /// How many more hops the request may take; `None` when it does not say.
    pub fn max_forwards(&self) -> Option<u8> {
        Some(self.headers_ref().get::<MaxForwards>()?.ok()?.0)
    }

    /// Sets how many more hops the request may take.
    pub fn set_max_forwards(&self, hops: u8) -> Result<(), Error> {
        self.set_header("Max-Forwards", &hops.to_string())
    }

    /// Whether the container chose the application for this request by its router, and not because a dialog led here.
    pub fn is_initial(&self) -> bool {
        self.facts().initial.get()
    }

    /// The proxy of this request; made by the first call. It is the same for the whole transaction.
    ///
    /// [`Error::TooManyHops`] when Max-Forwards is 0; the container has sent 483 then. [`IllegalState::AlreadyB2bua`]
    /// after [`SipServletRequest::b2bua_helper`], [`IllegalState::FinalResponseSent`] after a final response.
    pub fn proxy(&self) -> Result<Proxy, Error> {
        self.host().proxy_of(self, true)?.ok_or(Error::IllegalState(IllegalState::TransactionEnded))
    }

    /// The proxy of this request if there is one.
    pub fn existing_proxy(&self) -> Option<Proxy> {
        self.host().proxy_of(self, false).ok().flatten()
    }

    /// Makes the application a B2BUA for this request. [`IllegalState::AlreadyProxy`] after
    /// [`SipServletRequest::proxy`].
    pub fn b2bua_helper(&self) -> Result<B2buaHelper, Error> {
        self.host().become_b2bua(self)?;
        Ok(B2buaHelper::new(self.host().clone()))
    }

    /// A response with the usual phrase. [`IllegalState::FinalResponseSent`] when a final response was sent.
    pub fn create_response(&self, status: StatusCode) -> Result<SipServletResponse, Error> {
        self.host().create_response(self, status, None)
    }

    /// A response with a phrase of the application's.
    pub fn create_response_with_reason(&self, status: StatusCode, reason: &str) -> Result<SipServletResponse, Error> {
        self.host().create_response(self, status, Some(reason))
    }

    /// The CANCEL of an INVITE that was sent and has no final response. A proxy cancels by [`Proxy::cancel`].
    pub fn create_cancel(&self) -> Result<SipServletRequest, Error> {
        self.host().create_cancel(self)
    }

    /// Sends a request that the application has made.
    ///
    /// [`IllegalState::Committed`] when it was sent before; [`Error::Transport`] when it can't leave. What goes wrong
    /// later comes as a response that the container makes: 408 after a timeout, 503 after a transport failure.
    pub fn send(&self) -> Result<(), Error> {
        if self.facts().direction == Direction::Received {
            return Err(IllegalState::NotOurs.into());
        }
        self.host().send_request(self)
    }

    /// The top Route, which named this container and was taken away.
    pub fn popped_route(&self) -> Option<Address> {
        self.facts().more.borrow().popped_route.clone()
    }

    /// The Route that was taken away when the request came to the container; the same for the whole chain of
    /// applications.
    pub fn initial_popped_route(&self) -> Option<Address> {
        self.facts().more.borrow().initial_popped_route.clone()
    }

    /// A parameter of the URI of the popped route: what this application put into its Record-Route comes back here. When
    /// no route was popped, of the Request-URI.
    pub fn parameter(&self, name: &str) -> Option<String> {
        match self.popped_route().as_ref().and_then(Address::uri) {
            Some(uri) => uri.parameter(name),
            None => self.request_uri().parameter(name),
        }
    }

    /// Tells the application router in which relation this new request is to one that came.
    ///
    /// [`IllegalState`] unless the request was not sent, begins a session, and, for
    /// [`RoutingDirective::Continue`] and [`RoutingDirective::Reverse`], `original` is an initial request that this
    /// application has received.
    pub fn set_routing_directive(
        &self,
        directive: RoutingDirective,
        original: Option<&SipServletRequest>,
    ) -> Result<(), Error> {
        self.host().set_routing_directive(self, directive, original)
    }

    /// The relation that was set, or that follows from how the request was made.
    pub fn routing_directive(&self) -> Result<RoutingDirective, Error> {
        if !self.is_initial() {
            return Err(IllegalState::NotInitial.into());
        }
        Ok(self.facts().more.borrow().directive.unwrap_or(RoutingDirective::New))
    }

    /// The region that the router chose the application in.
    pub fn region(&self) -> Result<RoutingRegion, Error> {
        if !self.is_initial() {
            return Err(IllegalState::NotInitial.into());
        }
        Ok(self.facts().more.borrow().region.clone().unwrap_or(RoutingRegion::NEUTRAL))
    }

    /// The subscriber on whose behalf the router chose the application.
    pub fn subscriber_uri(&self) -> Result<Option<Uri>, Error> {
        if !self.is_initial() {
            return Err(IllegalState::NotInitial.into());
        }
        Ok(self.facts().more.borrow().subscriber.clone())
    }

    /// Answers the challenges of a 401 or 407 with the credentials for their realms.
    pub fn add_auth_header(&self, challenge: &SipServletResponse, info: &AuthInfo) -> Result<(), Error> {
        self.host().add_auth_header(self, challenge, info)
    }

    /// As [`SipServletRequest::add_auth_header`], with one user for all realms.
    pub fn add_auth_header_for(&self, challenge: &SipServletResponse, user: &str, password: &str) -> Result<(), Error> {
        let mut info = AuthInfo::new();
        for realm in challenge.challenge_realms() {
            // A proxy that has forked gathers the challenges of both kinds in one response (RFC 3261 §16.7 step 7).
            for asker in [challenge.status(), StatusCode::UNAUTHORIZED, StatusCode::PROXY_AUTHENTICATION_REQUIRED] {
                let added = info.add_auth_info(asker, realm.as_str(), user, password);
                added.map_err(|error| IllegalArgument::Authentication(error.to_string().into()))?;
            }
        }
        self.add_auth_header(challenge, &info)
    }
}
