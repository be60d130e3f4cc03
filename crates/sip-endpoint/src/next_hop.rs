//! Where a request goes next: RFC 3261 §8.1.2 and §16.6 step 7; which transport: RFC 3263 §4.1 and RFC 3261 §18.1.1.

use std::net::{IpAddr, SocketAddr};

use sip_message::header::Route;
use sip_message::{Host, Request, SipUri, Transport, Uri};

use crate::api::{LookupRequest, Target};

/// The answer to "where is the next hop?", as far as it can be given without asking anybody.
#[derive(Debug, PartialEq)]
pub(crate) enum NextHop {
    /// The URI names an address.
    Known(Target),
    /// The URI names a domain.
    Lookup(LookupRequest),
}

/// The next hop of a request: its topmost Route, else its Request-URI. `None` when that is no SIP URI.
pub(crate) fn of(request: &Request) -> Option<NextHop> {
    let Some(route) = request.headers().get::<Route>() else { return of_request_uri(request) };
    let Uri::Sip(next) = route.ok()?.uri() else { return None };
    // RFC 3261 §16.6 step 7: a SIPS Request-URI makes every hop one, whatever the Route says.
    let secure = next.is_secure() || matches!(request.uri(), Uri::Sip(target) if target.is_secure());
    Some(of_uri(&next, secure))
}

/// The next hop of a request whose next element routes strictly and so stands in the Request-URI (§16.6 step 6).
pub(crate) fn of_request_uri(request: &Request) -> Option<NextHop> {
    match request.uri() {
        Uri::Sip(uri) => Some(of_uri(&uri, uri.is_secure())),
        _ => None,
    }
}

fn of_uri(uri: &SipUri<'_>, secure: bool) -> NextHop {
    let transport = uri.transport().map(|transport| match (transport, secure) {
        // A sips URI with transport=tcp means TLS over TCP (RFC 3261 §26.2.2), ws means wss (RFC 7118 §5.4).
        (Transport::Tcp, true) => Transport::Tls,
        (Transport::Ws, true) => Transport::Wss,
        (transport, _) => transport,
    });
    let host = uri.maddr().unwrap_or_else(|| uri.host());
    let ip = match host {
        Host::V4(ip) => IpAddr::V4(ip),
        Host::V6(ip) => IpAddr::V6(ip),
        Host::Name(_) => {
            return NextHop::Lookup(LookupRequest::new(host, uri.port(), transport, secure));
        }
    };
    let transport = transport.unwrap_or(if secure { Transport::Tls } else { Transport::Udp });
    let server_name = transport.is_secure().then(|| host.to_string().into());
    NextHop::Known(Target {
        transport,
        addr: SocketAddr::new(ip, uri.port().unwrap_or(transport.default_port())),
        server_name,
    })
}
