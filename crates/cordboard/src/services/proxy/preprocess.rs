//! What the route of a request says to us: RFC 3261 §16.4, with the flow tokens of RFC 5626 §5.3.

use sip_endpoint::Endpoint;
use sip_message::{Flow, HeaderName, NameAddr, Request, SipUri, StatusCode, Uri, UriBuf};

use crate::services::answer::{self, Refusal, refusal_because};
use crate::services::config::Secret;
use crate::services::domains::Domains;
use crate::services::flow_token::{self, Scope, Token};

/// What our own Route values said before they were taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    /// One of them was a Record-Route or a Path of ours: the request has been invited to come through us.
    pub(crate) trusted: bool,
    /// The way that the request has to take from here.
    pub(crate) flow: Option<Flow>,
}

/// Takes away what in Request-URI and Route is meant for us.
pub(crate) fn preprocess(
    endpoint: &Endpoint,
    domains: &Domains,
    secret: &Secret,
    request: &mut Request,
    from: &Flow,
) -> Result<Own, Refusal> {
    let mut own = Own::default();
    undo_strict_routing(endpoint, domains, secret, request, &mut own)?;
    strip_maddr(endpoint, domains, request, from);
    pop_own_routes(endpoint, domains, secret, request, from, &mut own)?;
    Ok(own)
}

/// A strict router has put our Record-Route into the Request-URI and the Request-URI behind the Route.
fn undo_strict_routing(
    endpoint: &Endpoint,
    domains: &Domains,
    secret: &Secret,
    request: &mut Request,
    own: &mut Own,
) -> Result<(), Refusal> {
    let Uri::Sip(uri) = request.uri() else { return Ok(()) };
    let Some(user) = uri.raw_user().filter(|_| domains.cover(endpoint, &uri)) else { return Ok(()) };
    match flow_token::read(secret, Scope::Dialog(answer::call_id(request.headers())), user) {
        Token::None => return Ok(()),
        Token::Forged => return Err(forged(request)),
        Token::Valid(flow) => *own = Own { trusted: true, flow },
    }
    let last = request.headers().values(HeaderName::Route).last();
    let Some(Ok(last)) = last.map(|route| NameAddr::parse(route).map(|route| route.uri().to_buf())) else {
        // The next hop was us and nobody else: a strict router with an empty remainder has sent us its own request.
        return Err(refusal_because(request, StatusCode::BAD_REQUEST, "Route has no target"));
    };
    request.set_uri(&last);
    request.headers_mut().pop_last(HeaderName::Route);
    Ok(())
}

/// `sip:alice@example.com;maddr=us` is `sip:alice@example.com` when it came where it says.
fn strip_maddr(endpoint: &Endpoint, domains: &Domains, request: &mut Request, from: &Flow) {
    let Uri::Sip(uri) = request.uri() else { return };
    let Some(maddr) = uri.maddr() else { return };
    let Ok(named) = UriBuf::sip(None, maddr, uri.port()) else { return };
    let named = named.as_uri();
    let Some(named) = named.sip().filter(|named| domains.cover(endpoint, named)) else { return };
    let transport = uri.transport().unwrap_or(if uri.is_secure() {
        sip_message::Transport::Tls
    } else {
        sip_message::Transport::Udp
    });
    let port = named.port().unwrap_or(transport.default_port());
    if transport != from.transport || port != from.local.port() {
        return;
    }
    let stripped = UriBuf::from(uri).without_param("maddr").without_param("transport").with_port(None);
    if let Ok(stripped) = stripped {
        request.set_uri(&stripped);
    }
}

/// Takes our values from the top of the Route: one, or two when we have recorded both sides (RFC 5658), or more when the
/// request would only come back to us. The last of them faces the side that the request goes to: its flow counts.
fn pop_own_routes(
    endpoint: &Endpoint,
    domains: &Domains,
    secret: &Secret,
    request: &mut Request,
    from: &Flow,
    own: &mut Own,
) -> Result<(), Refusal> {
    let mut popped = 0;
    let mut by_path = false;
    while let Some((token, is_path)) = top_route_token(endpoint, domains, secret, request) {
        match token {
            Token::Forged => return Err(forged(request)),
            Token::None => own.flow = None,
            Token::Valid(flow) => *own = Own { trusted: true, flow },
        }
        request.headers_mut().pop_first(HeaderName::Route);
        by_path = is_path;
        popped += 1;
    }
    // RFC 5626 §5.3: a single value whose flow is the one that the request came on marks an outgoing request.
    if popped == 1 && own.flow.is_some_and(|flow| same_flow(&flow, from)) {
        // A Path is for the registrar's requests; to its own user agent it opens no way out.
        *own = Own { trusted: own.trusted && !by_path, flow: None };
    }
    Ok(())
}

/// What the topmost Route says when it is ours, and whether as a Path.
fn top_route_token(
    endpoint: &Endpoint,
    domains: &Domains,
    secret: &Secret,
    request: &Request,
) -> Option<(Token, bool)> {
    let headers = request.headers();
    let route = NameAddr::parse(headers.first(HeaderName::Route)?).ok()?;
    let uri: SipUri<'_> = route.uri().sip()?;
    if !domains.cover(endpoint, &uri) {
        return None;
    }
    let Some(user) = uri.raw_user() else { return Some((Token::None, false)) };
    match flow_token::read(secret, Scope::Dialog(answer::call_id(headers)), user) {
        Token::None => Some((flow_token::read(secret, Scope::Path, user), true)),
        token => Some((token, false)),
    }
}

/// RFC 5626 §5.3.1.
fn forged(request: &Request) -> Refusal {
    refusal_because(request, StatusCode::FORBIDDEN, "Route is not ours")
}

fn same_flow(one: &Flow, other: &Flow) -> bool {
    one.transport == other.transport && one.remote == other.remote && one.connection == other.connection
}
