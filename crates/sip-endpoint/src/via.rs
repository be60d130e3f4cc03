//! What the top Via says about the way back: RFC 3261 §18.2.1 and §18.2.2, RFC 3581 (`rport`).

use std::net::{IpAddr, SocketAddr};

use sip_message::header::Via;
use sip_message::{Flow, HeaderName, Headers, Host};

/// Writes into the top Via where its message really came from: `received` when the sent-by is not that address
/// (§18.2.1), and always, with the port, when the sender asks for it by `rport` (RFC 3581 §4).
pub(crate) fn stamp(headers: &mut Headers, flow: &Flow) {
    let remote = flow.remote;
    let Some(Ok(via)) = headers.get::<Via>() else {
        return;
    };
    let asks_for_port = via.rport().is_some();
    let same = match via.host() {
        Host::V4(ip) => IpAddr::V4(ip) == unmapped(remote.ip()),
        Host::V6(ip) => unmapped(IpAddr::V6(ip)) == unmapped(remote.ip()),
        Host::Name(_) => false,
    };
    // A `received` that the sender wrote itself must not direct our answer (it would be a reflector).
    let claims = via.params().contains("received") || asks_for_port;
    if same && !claims {
        return;
    }
    let Some(text) = headers.first(HeaderName::Via) else {
        return;
    };
    let mut stamped = String::with_capacity(text.len() + 40);
    let mut parts = split_params(text);
    stamped.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let name = part.split('=').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport") {
            continue;
        }
        stamped.push(';');
        stamped.push_str(part);
    }
    stamped.push_str(";received=");
    stamped.push_str(&unmapped(remote.ip()).to_string());
    if asks_for_port {
        stamped.push_str(";rport=");
        stamped.push_str(&remote.port().to_string());
    }
    headers.replace_first(HeaderName::Via, stamped).expect("addresses and a Via that was parsed have no line break");
}

/// Where a response to a request with this top Via goes on a datagram transport (§18.2.2, RFC 3581 §4): to the source
/// address, and to the source port when it was asked for, else to the port of the sent-by. `maddr` is not followed: it
/// would let anybody aim our answers at anybody (the RFC's multicast use is long gone).
pub(crate) fn datagram_return(headers: &Headers, flow: &Flow) -> SocketAddr {
    let Some(Ok(via)) = headers.get::<Via>() else {
        return flow.remote;
    };
    if via.rport().is_some() {
        return flow.remote;
    }
    SocketAddr::new(flow.remote.ip(), via.port().unwrap_or(flow.transport.default_port()))
}

/// Where to open a connection for a response when the one that the request came on has ended (§18.2.2): the source
/// address with the port of the sent-by.
pub(crate) fn stream_return(headers: &Headers, flow: &Flow) -> Option<SocketAddr> {
    let via = headers.get::<Via>()?.ok()?;
    Some(SocketAddr::new(flow.remote.ip(), via.port().unwrap_or(flow.transport.default_port())))
}

/// The value up to the first `;`, then each parameter. No parameter of a Via that was accepted can hold a `;` but in a
/// quoted string, which only an extension may use.
fn split_params(via: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    via.split(move |c: char| {
        if escaped {
            escaped = false;
        } else if quoted && c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        }
        c == ';' && !quoted
    })
}

fn unmapped(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}
