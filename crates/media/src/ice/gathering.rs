//! How our sockets look from outside: Binding requests to STUN servers (RFC 8489; RFC 8445 §5.1.1).
//!
//! ```text
//!   request ──► at once, after 0.5 s, after 1.5 s (RFC 8489 §6.2.1) ── no answer after 2 s: given up
//! ```
//!
//! Only what gathering needs: no authentication, no TURN. The checks between the peers have their own STUN.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How long a call waits for servers. Section 6.2.1 would try for 39.5 s.
const LIMIT: Duration = Duration::from_secs(2);

/// RTO of RFC 8489 §6.2.1, doubled with each transmission.
const RETRANSMISSION: Duration = Duration::from_millis(500);

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const MAPPED_ADDRESS: u16 = 0x0001;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const HEADER: usize = 20;

type TransactionId = [u8; 12];

/// The requests that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    requests: Vec<Request>,
    until: Option<Instant>,
}

#[derive(Debug)]
struct Request {
    local: SocketAddr,
    server: SocketAddr,
    id: TransactionId,
    /// When it is to be sent next, and how long to wait then.
    due: Instant,
    interval: Duration,
}

/// What a server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reflexive {
    /// The socket that asked.
    pub(super) base: SocketAddr,
    /// As the server sees it.
    pub(super) mapped: SocketAddr,
}

impl Gathering {
    /// Asks every server from every socket of its family.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        sockets: &[SocketAddr],
        servers: &[SocketAddr],
        random: &mut dyn FnMut(&mut [u8]),
    ) {
        let routable = sockets.iter().filter(|socket| !socket.ip().is_loopback());
        let pairs = routable.flat_map(|socket| servers.iter().map(|server| (*socket, *server)));
        let requests = pairs.filter(|(local, server)| local.is_ipv4() == server.is_ipv4()).map(|(local, server)| {
            let mut id = TransactionId::default();
            random(&mut id);
            Request { local, server, id, due: now, interval: RETRANSMISSION }
        });
        self.requests = requests.collect();
        self.until = Some(now + LIMIT);
    }

    /// Whether nothing is to be waited for any more.
    pub(super) fn is_over(&self) -> bool {
        self.until.is_some() && self.requests.is_empty()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let due = self.requests.iter().map(|request| request.due).min()?;
        Some(self.until.map_or(due, |until| due.min(until)))
    }

    /// The requests that are due: from where, to where, what.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        if self.until.is_some_and(|until| until <= now) {
            self.requests.clear();
        }
        let due = self.requests.iter_mut().filter(|request| request.due <= now);
        due.map(|request| {
            request.due = now + request.interval;
            request.interval *= 2;
            (request.local, request.server, binding_request(request.id))
        })
        .collect()
    }

    /// Reads an answer. `None` if the datagram is none to our requests; then it may be a check of the peer.
    pub(super) fn handle(
        &mut self,
        local: SocketAddr,
        source: SocketAddr,
        datagram: &[u8],
    ) -> Option<Option<Reflexive>> {
        let answer = Answer::read(datagram)?;
        let is_asked = |request: &Request| (request.local, request.server, request.id) == (local, source, answer.id);
        let at = self.requests.iter().position(is_asked)?;
        let Request { local: base, .. } = self.requests.swap_remove(at);
        Some(answer.mapped.map(|mapped| Reflexive { base, mapped }))
    }
}

/// RFC 8489 §5: a header without attributes.
fn binding_request(id: TransactionId) -> Vec<u8> {
    [&BINDING_REQUEST.to_be_bytes()[..], &[0, 0], &MAGIC_COOKIE, &id].concat()
}

/// The answer of a server.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    id: TransactionId,
    /// None, if the server refused.
    mapped: Option<SocketAddr>,
}

impl Answer {
    fn read(datagram: &[u8]) -> Option<Answer> {
        let (header, attributes) = datagram.split_first_chunk::<HEADER>()?;
        let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        if header[4..8] != MAGIC_COOKIE || usize::from(number(2)) != attributes.len() {
            return None;
        }
        let id = *header.last_chunk()?;
        match number(0) {
            BINDING_ERROR => Some(Answer { id, mapped: None }),
            BINDING_SUCCESS => Some(Answer { id, mapped: mapped_address(attributes, id) }),
            _ => None,
        }
    }
}

/// The address that translators on the way cannot have rewritten, else the one of old servers (RFC 8489 §14.1, §14.2).
fn mapped_address(mut attributes: &[u8], id: TransactionId) -> Option<SocketAddr> {
    let mut plain = None;
    while let Some((header, rest)) = attributes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let value = rest.get(..length)?;
        match u16::from_be_bytes([header[0], header[1]]) {
            XOR_MAPPED_ADDRESS => return address(value, Some(id)),
            MAPPED_ADDRESS => plain = address(value, None),
            _ => {}
        }
        // Attributes are padded to whole words.
        attributes = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    plain
}

fn address(value: &[u8], xor: Option<TransactionId>) -> Option<SocketAddr> {
    let mut mask = [0; 16];
    if let Some(id) = xor {
        mask[..4].copy_from_slice(&MAGIC_COOKIE);
        mask[4..].copy_from_slice(&id);
    }
    let (&[_, family, port @ ..], octets) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes(port) ^ u16::from_be_bytes([mask[0], mask[1]]);
    let ip: IpAddr = match family {
        1 => Ipv4Addr::from_bits(u32::from_be_bytes(*octets.as_array()?) ^ u32::from_be_bytes(*mask.first_chunk()?))
            .into(),
        2 => Ipv6Addr::from_bits(u128::from_be_bytes(*octets.as_array()?) ^ u128::from_be_bytes(mask)).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TransactionId = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn answer(message_type: u16, attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(attributes.len()).unwrap();
        [&message_type.to_be_bytes()[..], &length.to_be_bytes(), &MAGIC_COOKIE, &ID, attributes].concat()
    }

    /// RFC 5769 §2.2, §2.3: the addresses of the sample responses.
    #[test]
    fn the_address_of_a_response_is_that_of_the_rfc() {
        let ipv4 = b"\0\x20\0\x08\0\x01\xa1\x47\xe1\x12\xa6\x43";
        let mapped = Answer::read(&answer(BINDING_SUCCESS, ipv4)).unwrap().mapped;
        assert_eq!(mapped, Some("192.0.2.1:32853".parse().unwrap()));
        let ipv6 = b"\0\x20\0\x14\0\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";
        let mapped = Answer::read(&answer(BINDING_SUCCESS, ipv6)).unwrap().mapped;
        assert_eq!(mapped, Some("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap()));
    }

    #[test]
    fn an_old_server_writes_the_address_as_it_is() {
        let software = b"\x80\x22\0\x03old\0";
        let plain = b"\0\x01\0\x08\0\x01\x80\x55\xc0\0\x02\x01";
        let mapped = Answer::read(&answer(BINDING_SUCCESS, &[&software[..], plain].concat())).unwrap().mapped;
        assert_eq!(mapped, Some("192.0.2.1:32853".parse().unwrap()));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for octets in [&b""[..], &[1; 20], &answer(BINDING_REQUEST, &[]), &answer(BINDING_SUCCESS, &[0; 4])[..22]] {
            assert_eq!(Answer::read(octets), None);
        }
        for attributes in [&b""[..], b"\0\x20\0\xff", b"\0\x20\0\x04\0\x01\0\0", b"\0\x20\0\x04\0\x09\0\0", b"\0"] {
            assert_eq!(Answer::read(&answer(BINDING_SUCCESS, attributes)).unwrap().mapped, None);
        }
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn a_server_is_asked_three_times_and_then_given_up() {
        let mut gathering = Gathering::default();
        let start = Instant::now();
        let sockets = [at("10.0.0.1:1000"), at("[2001:db8::1]:1000"), at("127.0.0.1:1000")];
        gathering.begin(start, &sockets, &[at("192.0.2.1:3478")], &mut |octets| octets.copy_from_slice(&ID));
        let mut sent = Vec::new();
        while let Some(now) = gathering.next_timeout() {
            for (local, server, request) in gathering.handle_timeout(now) {
                assert_eq!((local, server), (sockets[0], at("192.0.2.1:3478")));
                assert_eq!(request[8..], ID);
                sent.push((now - start).as_millis());
            }
        }
        assert_eq!(sent, [0, 500, 1_500]);
        assert!(gathering.is_over());
    }

    #[test]
    fn only_the_server_that_was_asked_is_heard() {
        let mut gathering = Gathering::default();
        let (socket, server) = (at("10.0.0.1:1000"), at("192.0.2.1:3478"));
        let mut random = |octets: &mut [u8]| octets.copy_from_slice(&ID);
        gathering.begin(Instant::now(), &[socket], &[server], &mut random);
        let reply = answer(BINDING_SUCCESS, b"\0\x20\0\x08\0\x01\xa1\x47\xe1\x12\xa6\x43");
        assert_eq!(gathering.handle(socket, at("192.0.2.9:3478"), &reply), None);
        let mut other = reply.clone();
        other[19] ^= 1;
        assert_eq!(gathering.handle(socket, server, &other), None);
        let reflexive = Reflexive { base: socket, mapped: at("192.0.2.1:32853") };
        assert_eq!(gathering.handle(socket, server, &reply), Some(Some(reflexive)));
        assert!(gathering.is_over());
        assert_eq!(gathering.handle(socket, server, &reply), None, "again");
    }
}
