//! How a request is made ready for the next hop: RFC 3261 §16.6 steps 2 to 7, RFC 5393 §5.3.3 (Max-Breadth), RFC 5626
//! §5 (flow tokens), RFC 3327 §5.2 (Path), RFC 5658 (double Record-Route).
//!
//! Steps 8 to 10 (Via, Content-Length, sending) are the endpoint's. Step 1, the copy, is its caller's choice: the last
//! target gets the request itself.
//!
//! We record ourselves once when both sides of us are alike. When they are not (another transport or listener, or a flow
//! that a request has to take), we record each side by itself, so that the value that a request meets last says where it
//! goes on:
//!
//! ```text
//!              Record-Route: <callee's side>, <caller's side>
//!   caller ───────────────────► us ───────────────────► callee
//!   Route: <caller's side>, <callee's side>             Route: <callee's side>, <caller's side>
//!                            ▲ last: names the callee's flow             ▲ last: names the caller's flow
//! ```

use std::fmt::Write as _;
use std::time::Instant;

use sip_endpoint::{ClientId, Endpoint, Listener, Misuse, SendTo};
use sip_message::{Flow, HeaderName, Method, NameAddr, Request, SipUri, Transport, Uri, UriBuf};

use super::targets::Target;
use crate::services::answer;
use crate::services::config::{Secret, ServicesConfig};
use crate::services::flow_token::{self, Scope};
use crate::services::registrar::{contact_uri, is_behind_translator, is_first_hop};

/// What holds for a request wherever it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forwarding<'a> {
    pub(crate) config: &'a ServicesConfig,
    /// The flow that it came on.
    pub(crate) from: &'a Flow,
    pub(crate) max_forwards: u8,
    /// What tells loops, when the location service has chosen the targets.
    pub(crate) mark: Option<u64>,
}

impl Forwarding<'_> {
    /// Sends `request` to a target, with this share of the breadth.
    pub(crate) fn send(
        &self,
        now: Instant,
        endpoint: &mut Endpoint,
        mut request: Request,
        target: &Target,
        breadth: u32,
    ) -> Result<ClientId, Misuse> {
        if let Some(uri) = &target.uri {
            request.set_uri(uri);
        }
        write(&mut request, HeaderName::MaxForwards, self.max_forwards);
        write(&mut request, HeaderName::MaxBreadth, breadth);
        push_path(&mut request, &target.path);
        self.record(endpoint, &mut request, target);
        let to = next_hop(&mut request, target);
        endpoint.send(now, request, to, self.mark)
    }

    /// Sends the ACK of a 2xx on its way.
    pub(crate) fn send_ack(
        &self,
        now: Instant,
        endpoint: &mut Endpoint,
        mut request: Request,
        target: &Target,
    ) -> Result<(), Misuse> {
        if let Some(uri) = &target.uri {
            request.set_uri(uri);
        }
        write(&mut request, HeaderName::MaxForwards, self.max_forwards);
        push_path(&mut request, &target.path);
        let to = next_hop(&mut request, target);
        endpoint.send_ack(now, request, to)
    }

    /// Step 4, and Path for a REGISTER that passes through.
    fn record(&self, endpoint: &Endpoint, request: &mut Request, target: &Target) {
        let Some(here) = endpoint.listener_of(self.from) else { return };
        if *request.method() == Method::Register {
            self.add_path(here, request);
            return;
        }
        if !self.config.proxy.record_route || !may_begin_dialog(request.method()) {
            return;
        }
        let there = outgoing_listener(endpoint, request, target).unwrap_or(here);
        let back = self.way_back(request);
        let double = back.is_some() || target.flow.is_some() || here.id != there.id;
        let secure = must_be_secure(request);
        let mut value = String::with_capacity(160);
        write_uri(&self.config.secret, here, request, back.as_ref(), secure && here.transport.is_secure(), &mut value);
        put_first(request, HeaderName::RecordRoute, &value);
        if double {
            value.clear();
            let secret = &self.config.secret;
            write_uri(secret, there, request, target.flow.as_ref(), secure, &mut value);
            put_first(request, HeaderName::RecordRoute, &value);
        }
    }

    /// The flow that requests to the sender have to take, when nothing else leads there: RFC 5626 §5.3.2 (`ob`),
    /// RFC 7118 §5, a TLS connection that cannot be opened from here, or an address translator between us.
    fn way_back(&self, request: &Request) -> Option<Flow> {
        if !is_first_hop(request) {
            return None;
        }
        let contact = contact_uri(request);
        let only = matches!(self.from.transport, Transport::Ws | Transport::Wss | Transport::Tls)
            || contact.is_some_and(|uri| uri.ob() || is_behind_translator(request, self.from, uri.host()));
        only.then_some(*self.from)
    }

    /// RFC 5626 §5.1: a REGISTER whose first hop we are takes our address along, with its flow, to another registrar.
    fn add_path(&self, here: &Listener, request: &mut Request) {
        let headers = request.headers();
        let is_flow = headers
            .values(HeaderName::Contact)
            .any(|contact| NameAddr::parse(contact).is_ok_and(|contact| contact.params().contains("reg-id")));
        let wanted = is_flow || matches!(self.from.transport, Transport::Ws | Transport::Wss);
        if !wanted || !is_first_hop(request) || !headers.has_token(HeaderName::Supported, "path") {
            return;
        }
        let token = flow_token::write(&self.config.secret, Scope::Path, Some(self.from));
        let mut value = String::with_capacity(120);
        // Writing to a String can't fail.
        let _ = write!(value, "<sip:{token}@{}", here.sent_by);
        push_transport(here, &mut value);
        value.push_str(";lr;ob>");
        put_first(request, HeaderName::Path, &value);
    }
}

/// Whether dialogs may begin with a request of this method (RFC 3261 §16.6 step 4: also methods that we do not know;
/// RFC 6665 §4.3: NOTIFY too). A re-INVITE is recorded like its INVITE, for an end that has lost its state.
fn may_begin_dialog(method: &Method) -> bool {
    method.creates_dialog() || matches!(method, Method::Notify | Method::Other(_))
}

/// One Record-Route value: `<sip:token@us;transport=…;lr>`.
fn write_uri(
    secret: &Secret,
    listener: &Listener,
    request: &Request,
    flow: Option<&Flow>,
    secure: bool,
    value: &mut String,
) {
    let token = flow_token::write(secret, Scope::Dialog(answer::call_id(request.headers())), flow);
    let scheme = if secure { "sips" } else { "sip" };
    // Writing to a String can't fail.
    let _ = write!(value, "<{scheme}:{token}@{}", listener.sent_by);
    push_transport(listener, value);
    value.push_str(";lr>");
}

/// UDP goes without saying (RFC 3263 §4.1). The others are named: whoever has come by one of them can go by it again.
fn push_transport(listener: &Listener, value: &mut String) {
    if listener.transport != Transport::Udp {
        value.push_str(";transport=");
        value.push_str(listener.transport.uri_param());
    }
}

/// §16.6 step 4: a request to a SIPS URI is recorded with one.
fn must_be_secure(request: &Request) -> bool {
    let secure = |uri: Uri<'_>| uri.sip().is_some_and(|uri| uri.is_secure());
    let route = request.headers().first(HeaderName::Route);
    secure(request.uri()) || route.is_some_and(|route| NameAddr::parse(route).is_ok_and(|route| secure(route.uri())))
}

/// The listener that a request will leave by, as far as it can be told before the next hop is looked up: by the flow, or
/// by what the next hop's URI says of its transport. A domain whose transport only DNS knows is taken for UDP, which
/// every element speaks (RFC 3261 §18).
fn outgoing_listener<'e>(endpoint: &'e Endpoint, request: &Request, target: &Target) -> Option<&'e Listener> {
    if let Some(flow) = &target.flow {
        return endpoint.listener_of(flow);
    }
    let route = request.headers().first(HeaderName::Route).map(NameAddr::parse);
    let next: SipUri<'_> = match &route {
        Some(route) => route.as_ref().ok()?.uri().sip()?,
        None => request.uri().sip()?,
    };
    let transport = transport_of(&next);
    let is_v6 = next.maddr().unwrap_or(next.host()).ip().map(|ip| ip.is_ipv6());
    let same_family = |listener: &&Listener| is_v6.is_none_or(|is_v6| listener.local.is_ipv6() == is_v6);
    endpoint.listeners().iter().filter(same_family).find(|listener| listener.transport == transport)
}

/// RFC 3327 §5.4: the path vector goes in front of what is in the Route.
fn push_path(request: &mut Request, path: &str) {
    if !path.is_empty() {
        put_first(request, HeaderName::Route, path);
    }
}

/// Steps 6 and 7: the way that the target knows, else by the Route or the Request-URI.
fn next_hop(request: &mut Request, target: &Target) -> SendTo {
    let strict = meet_strict_router(request);
    match target.flow {
        Some(flow) => SendTo::Flow(flow),
        None if strict => SendTo::RequestUri,
        None => SendTo::NextHop,
    }
}

/// Step 6: a next hop that is a strict router wants its own URI in the request line and the target's behind the Route.
/// Whether it was one.
fn meet_strict_router(request: &mut Request) -> bool {
    let route = request.headers().first(HeaderName::Route).and_then(|route| NameAddr::parse(route).ok());
    let strict = route.and_then(|route| route.uri().sip()).filter(|uri| !uri.lr());
    let Some(next) = strict.map(UriBuf::from) else { return false };
    let last = format!("<{}>", request.uri_text());
    request.headers_mut().push(HeaderName::Route, last).expect("a URI that was parsed has no line break");
    request.headers_mut().pop_first(HeaderName::Route);
    request.set_uri(&super::targets::as_request_uri(next));
    true
}

/// The transport that a URI asks for; UDP where it leaves the choice, TLS where it has to be secure.
fn transport_of(uri: &SipUri<'_>) -> Transport {
    match (uri.transport(), uri.is_secure()) {
        (Some(Transport::Ws), true) => Transport::Wss,
        (Some(Transport::Tcp) | None, true) => Transport::Tls,
        (Some(transport), _) => transport,
        (None, false) => Transport::Udp,
    }
}

fn write(request: &mut Request, name: HeaderName, number: impl std::fmt::Display) {
    request.headers_mut().set(name, number).expect("a number has no line break");
}

fn put_first(request: &mut Request, name: HeaderName, value: &str) {
    request.headers_mut().push_front(name, value).expect("our own URIs and parsed ones have no line break");
}
