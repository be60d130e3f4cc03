//! The user part of the URIs by which we stay on the path: Record-Route (RFC 3261 §16.6 step 4) and Path (RFC 3327,
//! RFC 5626 §5.2). It says which flow a request has to take from here, and nobody else can make one, so that a request
//! that comes back with one may be forwarded anywhere without making us an open relay.
//!
//! ```text
//!   "~r" or "~p", then in base64url (RFC 4648 §5):
//!     kind (1)  transport (1)  listener (2)  local  remote  [connection (8)]      absent without a flow
//!     code (8): SipHash over the above, and over the Call-ID in a Record-Route
//! ```
//!
//! There is no host identity beyond the flow's own, and no table: any shard can read what another has written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sip_message::{ConnectionId, Flow, ListenerId, Transport};

use crate::mac::{self, Purpose, Secret};

/// What a token is good for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'a> {
    /// The dialog with this Call-ID.
    Dialog(&'a str),
    /// Whatever comes from the registrar that the REGISTER went to.
    Path,
}

/// What a user part says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// It is not a token.
    None,
    /// It looks like a token of ours, but we did not make it for this.
    Forged,
    /// It is ours; the request shall take this flow, if any.
    Valid(Option<Flow>),
}

/// Writes a token.
pub(crate) fn write(secret: &Secret, scope: Scope<'_>, flow: Option<&Flow>) -> String {
    let mut payload = Payload::new();
    match flow {
        None => {
            payload.push(&[kind(None)]);
        }
        Some(flow) => {
            payload.push(&[kind(Some(flow)), transport_code(flow.transport)]);
            payload.push(&flow.listener.0.to_be_bytes());
            payload.push_addr(flow.local);
            payload.push_addr(flow.remote);
            if let Some(connection) = flow.connection {
                payload.push(&connection.0.to_be_bytes());
            }
        }
    }
    let code = code(secret, scope, payload.octets());
    payload.push(&code.to_be_bytes());
    let mut token = String::with_capacity(2 + payload.len * 4 / 3 + 1);
    token.push_str(prefix(scope));
    base64url(payload.octets(), &mut token);
    token
}

/// Reads a token.
pub(crate) fn read(secret: &Secret, scope: Scope<'_>, user: &str) -> Token {
    let Some(text) = user.strip_prefix(prefix(scope)) else { return Token::None };
    let mut payload = Payload::new();
    if !unbase64url(text, &mut payload) {
        return Token::None;
    }
    let Some((said, claimed)) = payload.octets().split_last_chunk::<8>() else { return Token::None };
    // Both sides are 64-bit words: the comparison takes the same time wherever they differ.
    if code(secret, scope, said) != u64::from_be_bytes(*claimed) {
        return Token::Forged;
    }
    match flow(said) {
        Some(flow) => Token::Valid(flow),
        None => Token::Forged,
    }
}

fn prefix(scope: Scope<'_>) -> &'static str {
    match scope {
        Scope::Dialog(_) => "~r",
        Scope::Path => "~p",
    }
}

fn code(secret: &Secret, scope: Scope<'_>, payload: &[u8]) -> u64 {
    let (purpose, call_id) = match scope {
        Scope::Dialog(call_id) => (Purpose::RecordRoute, call_id),
        Scope::Path => (Purpose::Path, ""),
    };
    let mut mac = mac::begin(secret, purpose);
    mac.text(call_id);
    mac.write(payload);
    mac.finish()
}

/// Bit 0: there is a flow; bit 1: its local address is IPv6; bit 2: its remote one is; bit 3: it is a connection.
fn kind(flow: Option<&Flow>) -> u8 {
    match flow {
        None => 0,
        Some(flow) => {
            1 | u8::from(flow.local.is_ipv6()) << 1
                | u8::from(flow.remote.is_ipv6()) << 2
                | u8::from(flow.connection.is_some()) << 3
        }
    }
}

/// The flow in a payload that was found to be ours.
fn flow(payload: &[u8]) -> Option<Option<Flow>> {
    let (&kind, rest) = payload.split_first()?;
    if kind & 1 == 0 {
        return rest.is_empty().then_some(None);
    }
    let (&transport, rest) = rest.split_first()?;
    let (listener, rest) = rest.split_first_chunk::<2>()?;
    let (local, rest) = addr(kind & 2 != 0, rest)?;
    let (remote, rest) = addr(kind & 4 != 0, rest)?;
    let connection = match kind & 8 {
        0 => None,
        _ => Some(ConnectionId(u64::from_be_bytes(rest.try_into().ok()?))),
    };
    let listener = ListenerId(u16::from_be_bytes(*listener));
    Some(Some(Flow { transport: transport_of(transport)?, listener, local, remote, connection }))
}

fn addr(v6: bool, octets: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (ip, rest) = if v6 {
        let (ip, rest) = octets.split_first_chunk::<16>()?;
        (IpAddr::V6(Ipv6Addr::from(*ip)), rest)
    } else {
        let (ip, rest) = octets.split_first_chunk::<4>()?;
        (IpAddr::V4(Ipv4Addr::from(*ip)), rest)
    };
    let (port, rest) = rest.split_first_chunk::<2>()?;
    Some((SocketAddr::new(ip, u16::from_be_bytes(*port)), rest))
}

const TRANSPORTS: [Transport; 5] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];

fn transport_code(transport: Transport) -> u8 {
    TRANSPORTS.iter().position(|t| *t == transport).unwrap_or_default() as u8
}

fn transport_of(code: u8) -> Option<Transport> {
    TRANSPORTS.get(usize::from(code)).copied()
}

/// Room for the longest payload: 1 + 1 + 2 + 18 + 18 + 8 + 8.
struct Payload {
    octets: [u8; 56],
    len: usize,
}

impl Payload {
    fn new() -> Payload {
        Payload { octets: [0; 56], len: 0 }
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    /// Adds octets; whether there was room.
    fn push(&mut self, octets: &[u8]) -> bool {
        let Some(room) = self.octets.get_mut(self.len..self.len + octets.len()) else { return false };
        room.copy_from_slice(octets);
        self.len += octets.len();
        true
    }

    fn push_addr(&mut self, addr: SocketAddr) {
        match addr.ip() {
            IpAddr::V4(ip) => self.push(&ip.octets()),
            IpAddr::V6(ip) => self.push(&ip.octets()),
        };
        self.push(&addr.port().to_be_bytes());
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64url(octets: &[u8], out: &mut String) {
    for three in octets.chunks(3) {
        let word = three.iter().fold(0u32, |word, octet| word << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            out.push(char::from(ALPHABET[(word >> (18 - 6 * place) & 0x3f) as usize]));
        }
    }
}

fn unbase64url(text: &str, out: &mut Payload) -> bool {
    text.as_bytes().chunks(4).all(|four| {
        let mut word = 0u32;
        for digit in four {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return false,
            };
            word = word << 6 | u32::from(value);
        }
        word <<= 6 * (4 - four.len());
        four.len() > 1 && out.push(&word.to_be_bytes()[1..four.len()])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Secret = [1, 2];

    fn flows() -> Vec<Option<Flow>> {
        let udp = Flow {
            transport: Transport::Udp,
            listener: ListenerId(3),
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "198.51.100.7:40000".parse().unwrap(),
            connection: None,
        };
        let wss = Flow {
            transport: Transport::Wss,
            listener: ListenerId(0x1234),
            local: "[2001:db8::1]:443".parse().unwrap(),
            remote: "[2001:db8::2]:55555".parse().unwrap(),
            connection: Some(ConnectionId(0x0001_0000_0000_0042)),
        };
        vec![None, Some(udp), Some(wss)]
    }

    #[test]
    fn a_token_is_read_back_where_it_belongs() {
        for flow in flows() {
            for scope in [Scope::Dialog("a84b4c76e66710@pc33"), Scope::Path] {
                let token = write(&SECRET, scope, flow.as_ref());
                assert_eq!(read(&SECRET, scope, &token), Token::Valid(flow));
            }
        }
    }

    #[test]
    fn a_token_of_another_dialog_or_server_is_forged() {
        for flow in flows() {
            let token = write(&SECRET, Scope::Dialog("one"), flow.as_ref());
            assert_eq!(read(&SECRET, Scope::Dialog("two"), &token), Token::Forged);
            assert_eq!(read(&[1, 3], Scope::Dialog("one"), &token), Token::Forged);
            assert_eq!(read(&SECRET, Scope::Path, &token.replacen("~r", "~p", 1)), Token::Forged);
        }
    }

    /// The last digit has bits that no octet uses; all others count.
    #[test]
    fn a_token_that_was_tampered_with_is_never_valid_with_another_meaning() {
        for flow in flows() {
            let token = write(&SECRET, Scope::Path, flow.as_ref());
            for at in 2..token.len() - 1 {
                let mut other = token.clone().into_bytes();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                let other = String::from_utf8(other).unwrap();
                assert_eq!(read(&SECRET, Scope::Path, &other), Token::Forged);
            }
        }
    }

    #[test]
    fn a_user_s_name_is_no_token() {
        for user in ["", "alice", "~r", "~rAAAA", "~ralice.smith", "~p?", &"~pAAAAAAAA".repeat(40)] {
            assert_eq!(read(&SECRET, Scope::Dialog("one"), user), Token::None, "{user}");
        }
    }
}
