//! What the route of a request says to us: RFC 3261 §16.4, with the flow tokens of RFC 5626 §5.3.
//!
//! ```text
//!   Route: <sip:~rToken@us;transport=tcp;lr;app=x;cb=0123…>, <sip:~rToken@us;lr;app=x;cb=0123…>, <sip:other>
//!                 │                          │     │
//!                 │                          │     └─ the session: its partition and its number
//!                 │                          └─ the application's own
//!                 └─ nobody else can have written it; the flow that leads on from here
//! ```
//!
//! One application's values are taken at a time: one, or two where it has recorded both of its sides (RFC 5658). The next
//! value may name another application of ours, to which the request goes on.

use std::rc::Rc;

use servlet::Address;
use sip_endpoint::Listener;
use sip_message::{Flow, HeaderName, Headers, Host, NameAddr, Request, Response, SipUri, StatusCode, Transport};
use sip_message::{Uri, UriBuf};

use crate::core::Core;
use crate::flow_token::{self, Scope, Token};
use crate::jobs::Popped;
use crate::mac::Secret;
use crate::settings::Settings;

/// The parameter by which a Record-Route of ours names a session.
pub(crate) const SESSION_PARAMETER: &str = "cb";

/// A request that goes no further, and the response that says why.
pub(crate) type Refusal = Box<Response>;

/// What our URIs are known by.
pub(crate) struct Own<'a> {
    pub(crate) listeners: &'a [Listener],
    pub(crate) domains: &'a [Box<str>],
    pub(crate) secret: &'a Secret,
}

/// A session as a Record-Route names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) partition: u8,
    pub(crate) number: u64,
}

impl Core {
    /// The other shard that has the session which the top Route of a request names: its other end has sent it, and came to
    /// us by chance. Whether the Route is really ours is looked at there.
    pub(crate) fn shard_of_route(&self, request: &Request) -> Option<u8> {
        if self.settings.shards < 2 {
            return None;
        }
        let route = NameAddr::parse(request.headers().first(HeaderName::Route)?).ok()?;
        let named = named_session(&route.uri().sip()?)?;
        let elsewhere =
            named.partition != self.state().partition() && u16::from(named.partition) < self.settings.shards;
        elsewhere.then_some(named.partition)
    }

    /// Takes away what in Request-URI and Route is meant for us, and finds the session that it names: one with the
    /// request's Call-ID. `from` is the path that the request came on.
    pub(crate) fn pop_own_routes(&self, request: &mut Request, from: Option<&Flow>) -> Result<Popped, Refusal> {
        let listeners = Rc::clone(&self.state().listeners);
        let own = Own::new(&self.settings, &listeners);
        let (mut popped, named) = own.pop(request, from)?;
        if let Some(named) = named {
            let state = self.state();
            let key = state.by_number.get(&named.number).copied();
            let call_id = call_id(request.headers());
            let fits = |key| state.sessions.get(key).is_some_and(|session| *session.facts.call_id == *call_id);
            popped.session = key.filter(|key| fits(*key));
            popped.partition = Some(named.partition);
        }
        Ok(popped)
    }
}

impl<'a> Own<'a> {
    pub(crate) fn new(settings: &'a Settings, listeners: &'a [Listener]) -> Own<'a> {
        Own { listeners, domains: &settings.domains, secret: &settings.secret }
    }

    /// See [`Core::pop_own_routes`].
    pub(crate) fn pop(&self, request: &mut Request, from: Option<&Flow>) -> Result<(Popped, Option<Named>), Refusal> {
        let (mut popped, mut named) = (Popped::default(), None);
        self.undo_strict_routing(request, &mut popped, &mut named)?;
        if let Some(from) = from {
            self.strip_maddr(request, from);
        }
        if request.headers().contains(HeaderName::Route) {
            self.pop_routes(request, from, &mut popped, &mut named)?;
        }
        Ok((popped, named))
    }

    /// Whether a URI names us: host and port are those of a listener, or the host is one of our names.
    pub(crate) fn covers(&self, uri: &SipUri<'_>) -> bool {
        let host = uri.host();
        if let Host::Name(name) = host {
            let name = name.strip_suffix('.').unwrap_or(name);
            if self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(name)) {
                return true;
            }
        }
        let port = uri.port().unwrap_or(if uri.is_secure() { 5061 } else { 5060 });
        self.listeners.iter().any(|listener| {
            let bound = listener.local.ip();
            let same_host = host.ip().is_some_and(|ip| bound == ip || bound.is_unspecified() && ip.is_loopback());
            same_host && port == listener.local.port() || listener.is_called(host, uri.port())
        })
    }

    /// A strict router has put our Record-Route into the Request-URI and the Request-URI behind the Route.
    fn undo_strict_routing(
        &self,
        request: &mut Request,
        popped: &mut Popped,
        named: &mut Option<Named>,
    ) -> Result<(), Refusal> {
        let Uri::Sip(uri) = request.uri() else { return Ok(()) };
        let Some(user) = uri.raw_user().filter(|user| user.starts_with('~') && self.covers(&uri)) else {
            return Ok(());
        };
        match flow_token::read(self.secret, Scope::Dialog(call_id(request.headers())), user) {
            Token::None => return Ok(()),
            Token::Forged => return Err(forged(request)),
            Token::Valid(flow) => {
                popped.flow = flow;
                popped.trusted = true;
                popped.route = Some(Address::new(servlet::SipUri::from(uri)));
                *named = named_session(&uri);
            }
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
    fn strip_maddr(&self, request: &mut Request, from: &Flow) {
        let Uri::Sip(uri) = request.uri() else { return };
        let Some(maddr) = uri.maddr() else { return };
        let Ok(named) = UriBuf::sip(None, maddr, uri.port()) else { return };
        let named = named.as_uri();
        let Some(named) = named.sip().filter(|named| self.covers(named)) else { return };
        let transport = uri.transport().unwrap_or(if uri.is_secure() { Transport::Tls } else { Transport::Udp });
        let port = named.port().unwrap_or(transport.default_port());
        if transport != from.transport || port != from.local.port() {
            return;
        }
        let stripped = UriBuf::from(uri).without_param("maddr").without_param("transport").with_port(None);
        if let Ok(stripped) = stripped {
            request.set_uri(&stripped);
        }
    }

    /// Takes the values of one application of ours from the top of the Route. The last of them faces the side that the
    /// request goes to: its flow counts.
    fn pop_routes(
        &self,
        request: &mut Request,
        from: Option<&Flow>,
        popped: &mut Popped,
        named: &mut Option<Named>,
    ) -> Result<(), Refusal> {
        let mut by_path = false;
        let mut count = usize::from(popped.route.is_some());
        while let Some(top) = self.top_route(request) {
            // The second of two names the same session as the first.
            if count > 0 && (top.named.is_none() || top.named != *named) {
                break;
            }
            match top.token {
                Token::Forged => return Err(forged(request)),
                Token::None => popped.flow = None,
                Token::Valid(flow) => {
                    popped.flow = flow;
                    popped.trusted = true;
                }
            }
            (popped.route, *named, by_path) = (Some(top.address), top.named, top.is_path);
            request.headers_mut().pop_first(HeaderName::Route);
            count += 1;
        }
        // RFC 5626 §5.3: a single value whose flow is the one that the request came on marks an outgoing request.
        if count == 1 && popped.flow.is_some_and(|flow| from.is_some_and(|from| same_flow(&flow, from))) {
            popped.flow = None;
            // A Path is for the registrar's requests; to its own user agent it opens no way out.
            if by_path {
                popped.trusted = false;
                popped.route = None;
            }
        }
        Ok(())
    }

    /// What the topmost Route says when it is ours.
    fn top_route(&self, request: &Request) -> Option<Top> {
        let headers = request.headers();
        let text = headers.first(HeaderName::Route)?;
        let route = NameAddr::parse(text).ok()?;
        let uri: SipUri<'_> = route.uri().sip()?;
        if !self.covers(&uri) {
            return None;
        }
        let address = Address::parse(text).ok()?;
        let of_us = |token, is_path| Top { token, is_path, named: named_session(&uri), address };
        let Some(user) = uri.raw_user().filter(|user| user.starts_with('~')) else {
            return Some(of_us(Token::None, false));
        };
        Some(match flow_token::read(self.secret, Scope::Dialog(call_id(headers)), user) {
            Token::None => match flow_token::read(self.secret, Scope::Path, user) {
                // What begins like a token and is none would pass for one where nobody can check it.
                Token::None => of_us(Token::Forged, false),
                token => of_us(token, true),
            },
            token => of_us(token, false),
        })
    }
}

/// A Route value of ours.
struct Top {
    token: Token,
    is_path: bool,
    named: Option<Named>,
    address: Address,
}

/// The session that a URI of ours names.
fn named_session(uri: &SipUri<'_>) -> Option<Named> {
    let value = uri.params().get(SESSION_PARAMETER)?.value?;
    if value.len() != 18 || !value.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let (partition, number) = value.split_at(2);
    Some(Named { partition: u8::from_str_radix(partition, 16).ok()?, number: u64::from_str_radix(number, 16).ok()? })
}

fn same_flow(one: &Flow, other: &Flow) -> bool {
    one.transport == other.transport && one.remote == other.remote && one.connection == other.connection
}

/// RFC 5626 §5.3.1.
fn forged(request: &Request) -> Refusal {
    refusal_because(request, StatusCode::FORBIDDEN, "Route is not ours")
}

fn refusal_because(request: &Request, status: StatusCode, reason: &'static str) -> Refusal {
    let mut response = Response::to(request, status);
    response.set_reason(reason).expect("the phrases are constants without a line break");
    Box::new(response)
}

/// The Call-ID, which every message has.
pub(crate) fn call_id(headers: &Headers) -> &str {
    headers.first(HeaderName::CallId).unwrap_or_default()
}

#[cfg(test)]
mod tests;
