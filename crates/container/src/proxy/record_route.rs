//! How we stay on the path: Record-Route (RFC 3261 §16.6 step 4, RFC 5658), Path (RFC 3327 §5.2, RFC 5626 §5.1), and what
//! an application may add to their URIs.
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

use servlet::spi::{Interface, SessionFacts};
use servlet::{IllegalArgument, SipUri as ServletUri};
use sip_endpoint::Listener;
use sip_message::header::Via;
use sip_message::{Flow, HeaderName, Host, Method, NameAddr, Request, SipUri, Transport, Uri, UriBuf};

use crate::flow_token::{self, Scope};
use crate::mac::Secret;
use crate::own_route::{SESSION_PARAMETER, call_id};

/// The parameters of a URI that are the container's: those of RFC 3261 §19.1.1, and the one that names the session.
const RESERVED: [&str; 7] = ["transport", "user", "method", "ttl", "maddr", "lr", SESSION_PARAMETER];

/// What is needed to write URIs of ours into a request.
pub(super) struct Recorder<'a> {
    pub(super) secret: &'a Secret,
    pub(super) listeners: &'a [Listener],
    /// The flow that the request came on; `None` from another application.
    pub(super) from: Option<&'a Flow>,
    /// The flow that it takes.
    pub(super) onward: Option<&'a Flow>,
    pub(super) interface: Option<Interface>,
    pub(super) session: &'a SessionFacts,
    /// The application's parameters.
    pub(super) parameters: &'a str,
}

impl Recorder<'_> {
    /// Adds Record-Route.
    pub(super) fn record(&self, request: &mut Request) {
        let there = self.outgoing(request);
        let here = self.from.and_then(|from| self.listener(from)).or(there);
        let (Some(here), Some(there)) = (here, there.or(here)) else { return };
        let back = self.way_back(request);
        let double = back.is_some() || self.onward.is_some() || here.id != there.id;
        let secure = must_be_secure(request);
        let mut value = String::with_capacity(160);
        self.write(here, request, back, secure && here.transport.is_secure(), &mut value);
        put_first(request, HeaderName::RecordRoute, &value);
        if double {
            value.clear();
            self.write(there, request, self.onward, secure, &mut value);
            put_first(request, HeaderName::RecordRoute, &value);
        }
    }

    /// Adds our address to the Path of a REGISTER, with the flow that leads back to its sender if we are its first hop.
    pub(super) fn add_path(&self, request: &mut Request) {
        let here = self.from.and_then(|from| self.listener(from)).or_else(|| self.listeners.first());
        let Some(here) = here else { return };
        let flow = self.from.filter(|_| is_first_hop(request));
        let token = flow_token::write(self.secret, Scope::Path, flow);
        let mut value = String::with_capacity(120);
        // Writing to a String can't fail.
        let _ = write!(value, "<sip:{token}@{}", here.sent_by);
        push_transport(here, &mut value);
        value.push_str(";lr");
        value.push_str(self.parameters);
        // RFC 5626 §5.1: the first hop says that it does outbound.
        let says_ob = self.parameters.split(';').any(|parameter| parameter.eq_ignore_ascii_case("ob"));
        if flow.is_some() && !says_ob && has_reg_id(request) {
            value.push_str(";ob");
        }
        value.push('>');
        put_first(request, HeaderName::Path, &value);
    }

    fn write(&self, listener: &Listener, request: &Request, flow: Option<&Flow>, secure: bool, value: &mut String) {
        let token = flow_token::write(self.secret, Scope::Dialog(call_id(request.headers())), flow);
        let scheme = if secure { "sips" } else { "sip" };
        // Writing to a String can't fail.
        let _ = write!(value, "<{scheme}:{token}@{}", listener.sent_by);
        push_transport(listener, value);
        let SessionFacts { partition, number, .. } = self.session;
        let _ = write!(value, ";lr{};{SESSION_PARAMETER}={partition:02x}{number:016x}>", self.parameters);
    }

    /// The flow that requests to the sender have to take, when nothing else leads there: RFC 5626 §5.3.2 (`ob`),
    /// RFC 7118 §5, a TLS connection that cannot be opened from here, or an address translator between us.
    fn way_back(&self, request: &Request) -> Option<&Flow> {
        let from = self.from.filter(|_| is_first_hop(request))?;
        let contact = contact_uri(request);
        let only = matches!(from.transport, Transport::Ws | Transport::Wss | Transport::Tls)
            || contact.is_some_and(|uri| uri.ob() || is_behind_translator(request, from, uri.host()));
        only.then_some(from)
    }

    /// The listener that a request will leave by, as far as it can be told before the next hop is looked up: by the flow,
    /// or by what the next hop's URI says of its transport. A domain whose transport only DNS knows is taken for UDP,
    /// which every element speaks (RFC 3261 §18).
    fn outgoing(&self, request: &Request) -> Option<&Listener> {
        if let Some(flow) = self.onward {
            return self.listener(flow);
        }
        let route = request.headers().first(HeaderName::Route).map(NameAddr::parse);
        let next = match &route {
            Some(Ok(route)) => route.uri().sip()?,
            Some(Err(_)) => return None,
            None => request.uri().sip()?,
        };
        outgoing_listener(self.listeners, self.interface, &next)
    }

    fn listener(&self, flow: &Flow) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.id == flow.listener)
    }
}

/// The listener that a request to this URI leaves by, one that the application has chosen before all others.
pub(super) fn outgoing_listener<'l>(
    listeners: &'l [Listener],
    interface: Option<Interface>,
    next: &SipUri<'_>,
) -> Option<&'l Listener> {
    let transport = transport_of(next);
    let is_v6 = next.maddr().unwrap_or(next.host()).ip().map(|ip| ip.is_ipv6());
    let fits = |listener: &&Listener| {
        listener.transport == transport && is_v6.is_none_or(|is_v6| listener.local.is_ipv6() == is_v6)
    };
    let chosen = |listener: &&Listener| interface.is_some_and(|interface| is_at(listener, interface));
    listeners.iter().filter(fits).find(chosen).or_else(|| listeners.iter().find(fits))
}

/// Whether a listener stands at this interface.
pub(super) fn is_at(listener: &Listener, interface: Interface) -> bool {
    let public = match SipUri::parse(&format!("sip:{}", listener.sent_by)) {
        Ok(uri) => uri.host().ip().map(|ip| (ip, uri.port().unwrap_or(listener.transport.default_port()))),
        Err(_) => None,
    };
    match interface {
        Interface::Address(ip) => listener.local.ip() == ip || public.is_some_and(|(public, _)| public == ip),
        Interface::Socket(socket) => listener.local == socket || public == Some((socket.ip(), socket.port())),
    }
}

/// Whether dialogs may begin with a request of this method (RFC 3261 §16.6 step 4: also methods that we do not know;
/// RFC 6665 §4.3: NOTIFY too). A re-INVITE is recorded like its INVITE, for an end that has lost its state.
pub(super) fn may_begin_dialog(method: &Method) -> bool {
    method.creates_dialog() || matches!(method, Method::Notify | Method::Other(_))
}

/// A URI of ours as the application sees it, with its parameters.
pub(super) fn shown_uri(listener: &Listener, parameters: &str) -> Option<ServletUri> {
    let mut text = format!("sip:{}", listener.sent_by);
    push_transport(listener, &mut text);
    text.push_str(";lr");
    text.push_str(parameters);
    ServletUri::parse(&text).ok()
}

/// The application's parameters in a URI that it has changed; `before` is what it was shown.
pub(super) fn changed_parameters(before: &ServletUri, after: &ServletUri) -> Result<Option<Box<str>>, IllegalArgument> {
    let (old, new) = (before.as_message_uri(), after.as_message_uri());
    let refuse = |why: &str| Err(IllegalArgument::Uri(why.into()));
    if old.is_secure() != new.is_secure() || old.host() != new.host() || old.port() != new.port() {
        return refuse("scheme, host and port are the container's");
    }
    if new.raw_user().is_some() || new.raw_headers().is_some() {
        return refuse("the user is the container's, and there are no headers");
    }
    for name in RESERVED {
        if old.params().get(name).map(|param| param.decoded()) != new.params().get(name).map(|param| param.decoded()) {
            return refuse(&format!("`{name}` is the container's"));
        }
    }
    let parameters = application_parameters(&new);
    Ok((!parameters.is_empty()).then(|| parameters.into()))
}

/// What of a URI's parameters is the application's, each with its semicolon.
pub(super) fn application_parameters(uri: &SipUri<'_>) -> String {
    let mut text = String::new();
    for param in uri.params().iter().filter(|param| !RESERVED.iter().any(|name| param.is_called(name))) {
        // Writing to a String can't fail.
        let _ = write!(text, ";{param}");
    }
    text
}

/// A URI without what may not stand in a Request-URI (RFC 3261 §16.6 step 2, §19.1.1 table 1).
pub(super) fn as_request_uri(uri: UriBuf) -> UriBuf {
    match uri.as_uri().check_request_uri() {
        Ok(()) => uri,
        Err(_) => uri.without_param("method").without_headers(),
    }
}

pub(super) fn put_first(request: &mut Request, name: HeaderName, value: &str) {
    request.headers_mut().push_front(name, value).expect("our own URIs and parsed ones have no line break");
}

/// UDP goes without saying (RFC 3263 §4.1). The others are named: whoever has come by one of them can go by it again.
fn push_transport(listener: &Listener, value: &mut String) {
    if listener.transport != Transport::Udp {
        value.push_str(";transport=");
        value.push_str(listener.transport.uri_param());
    }
}

/// RFC 3261 §16.6 step 4: a request to a SIPS URI is recorded with one.
fn must_be_secure(request: &Request) -> bool {
    let secure = |uri: Uri<'_>| uri.sip().is_some_and(|uri| uri.is_secure());
    let route = request.headers().first(HeaderName::Route);
    secure(request.uri()) || route.is_some_and(|route| NameAddr::parse(route).is_ok_and(|route| secure(route.uri())))
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

/// Whether the sender is a user agent and no proxy stands between (RFC 5626 §5.1: by the Via).
fn is_first_hop(request: &Request) -> bool {
    request.headers().values(HeaderName::Via).nth(1).is_none()
}

fn has_reg_id(request: &Request) -> bool {
    let mut contacts = request.headers().values(HeaderName::Contact);
    contacts.any(|contact| NameAddr::parse(contact).is_ok_and(|contact| contact.params().contains("reg-id")))
}

/// The URI of the request's only or first contact, when it is a SIP one.
fn contact_uri(request: &Request) -> Option<SipUri<'_>> {
    NameAddr::parse(request.headers().first(HeaderName::Contact)?).ok()?.uri().sip()
}

/// Whether the client names, in its Via and as `host`, an address that is not the one its packets come from.
fn is_behind_translator(request: &Request, flow: &Flow, host: Host<'_>) -> bool {
    let Some(Ok(via)) = request.headers().get::<Via>() else { return false };
    let remote = flow.remote.ip().to_canonical();
    match (host.ip(), via.host().ip()) {
        (Some(contact), Some(sent_by)) => contact == sent_by && sent_by.to_canonical() != remote,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
