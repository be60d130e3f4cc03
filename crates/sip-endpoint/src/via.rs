//! What the top Via says about the way back: RFC 3261 §18.2.1 and §18.2.2, RFC 3581 (`rport`).

use std::net::{IpAddr, SocketAddr};

use sip_message::header::Via;
use sip_message::{Flow, HeaderName, Headers, Host};

/// What the top Via says of its sender, as far as the way back depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sender {
    /// The port of the sent-by.
    port: Option<u16>,
    /// It wants answers at the port that it sends from (RFC 3581).
    asks_for_port: bool,
}

impl Sender {
    /// Reads the top Via; what cannot be read asks for nothing.
    pub(crate) fn of(headers: &Headers) -> Sender {
        match headers.get::<Via>() {
            Some(Ok(via)) => Sender { port: via.port(), asks_for_port: via.rport().is_some() },
            _ => Sender::default(),
        }
    }

    /// Where a response goes on a datagram transport (§18.2.2, RFC 3581 §4): to the source address, and to the source
    /// port when it was asked for, else to the port of the sent-by. `maddr` is not followed: it would let anybody aim our
    /// answers at anybody (the RFC's multicast use is long gone).
    pub(crate) fn datagram_return(self, flow: &Flow) -> SocketAddr {
        if self.asks_for_port { flow.remote } else { self.stream_return(flow) }
    }

    /// Where to open a connection for a response when the one that the request came on has ended (§18.2.2): the source
    /// address with the port of the sent-by.
    pub(crate) fn stream_return(self, flow: &Flow) -> SocketAddr {
        SocketAddr::new(flow.remote.ip(), self.port.unwrap_or(flow.transport.default_port()))
    }
}

/// What has to be written into the top Via of a message: where that really came from, when the sent-by is not that address
/// (RFC 3261 §18.2.1), and always, with the port, when the sender asks for it by `rport` (RFC 3581 §4).
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    sender: Sender,
    is_due: bool,
}

impl Stamp {
    /// For a message with this top Via.
    pub(crate) fn of(via: &Via<'_>, flow: &Flow) -> Stamp {
        let remote = flow.remote;
        let sender = Sender { port: via.port(), asks_for_port: via.rport().is_some() };
        let same = match via.host() {
            Host::V4(ip) => IpAddr::V4(ip) == unmapped(remote.ip()),
            Host::V6(ip) => unmapped(IpAddr::V6(ip)) == unmapped(remote.ip()),
            Host::Name(_) => false,
        };
        // A `received` that the sender wrote itself must not direct our answer (it would be a reflector).
        let is_due = !same || sender.asks_for_port || via.params().contains("received");
        Stamp { sender, is_due }
    }

    /// Writes it, and tells what the Via says of the way back.
    pub(crate) fn put(self, headers: &mut Headers, flow: &Flow) -> Sender {
        if self.is_due
            && let Some(text) = headers.first(HeaderName::Via)
        {
            let stamped = stamped(text, flow.remote, self.sender.asks_for_port);
            let put = headers.replace_first(HeaderName::Via, stamped);
            put.expect("addresses and a Via that was parsed have no line break");
        }
        self.sender
    }
}

/// Stamps a message whose Via was not read yet; one that can't be read stays as it is.
pub(crate) fn stamp(headers: &mut Headers, flow: &Flow) {
    if let Some(Ok(via)) = headers.get::<Via>() {
        let stamp = Stamp::of(&via, flow);
        stamp.put(headers, flow);
    }
}

fn stamped(via: &str, remote: SocketAddr, with_port: bool) -> String {
    let mut stamped = String::with_capacity(via.len() + 72);
    let mut add = |part: &str| {
        let name = part.split_once('=').map_or(part, |(name, _)| name).trim_ascii();
        if !name.eq_ignore_ascii_case("received") && !name.eq_ignore_ascii_case("rport") {
            if !stamped.is_empty() {
                stamped.push(';');
            }
            stamped.push_str(part);
        }
    };
    // Only an extension may use a quoted string, and only in one can a `;` be anything but the end of a parameter.
    if via.contains('"') {
        split_params(via).for_each(&mut add)
    } else {
        via.split(';').for_each(&mut add)
    }
    stamped.push_str(";received=");
    match unmapped(remote.ip()) {
        IpAddr::V4(ip) => {
            let [first, rest @ ..] = ip.octets();
            push_number(&mut stamped, u16::from(first));
            for octet in rest {
                stamped.push('.');
                push_number(&mut stamped, u16::from(octet));
            }
        }
        IpAddr::V6(ip) => stamped.push_str(&ip.to_string()),
    }
    if with_port {
        stamped.push_str(";rport=");
        push_number(&mut stamped, remote.port());
    }
    stamped
}

/// As `{number}` prints it, without the machinery: every request over UDP has its source address printed.
fn push_number(out: &mut String, number: u16) {
    let mut place = 10_000;
    while place > 1 && number < place {
        place /= 10;
    }
    while place > 0 {
        out.push(char::from(b'0' + (number / place % 10) as u8));
        place /= 10;
    }
}

/// The value up to the first `;`, then each parameter.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_printed_as_everybody_prints_them() {
        for number in 0..=u16::MAX {
            let mut printed = String::new();
            push_number(&mut printed, number);
            assert_eq!(printed, number.to_string());
        }
        let via = "SIP/2.0/UDP host;Rport;branch=z9hG4bKx ; received = 9.9.9.9;rports=1";
        let stamped = |remote: &str| super::stamped(via, remote.parse().unwrap(), true);
        assert_eq!(
            stamped("10.0.203.7:5099"),
            "SIP/2.0/UDP host;branch=z9hG4bKx ;rports=1;received=10.0.203.7;rport=5099"
        );
        assert_eq!(
            stamped("[::ffff:10.0.0.1]:5060"),
            "SIP/2.0/UDP host;branch=z9hG4bKx ;rports=1;received=10.0.0.1;rport=5060"
        );
        assert_eq!(stamped("[fd00::1]:5060"), "SIP/2.0/UDP host;branch=z9hG4bKx ;rports=1;received=fd00::1;rport=5060");
    }

    #[test]
    fn a_semicolon_in_a_quoted_string_ends_no_parameter() {
        let via = "SIP/2.0/UDP host;x=\"a;rport;\\\";received=1\";rport";
        let stamped = stamped(via, "10.0.0.1:5060".parse().unwrap(), false);
        assert_eq!(stamped, "SIP/2.0/UDP host;x=\"a;rport;\\\";received=1\";received=10.0.0.1");
    }
}
