//! STUN on the SIP port: binding requests and responses, RFC 5389 §6, §15, as RFC 5626 §3.5.2 and §8 use them to keep
//! UDP flows alive. Left out: everything with credentials; this is no STUN server.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |0 0|     STUN Message Type     |         Message Length        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                         Magic Cookie                          |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                     Transaction ID (96 bits)                  |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};

const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
const HEADER: usize = 20;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_RESPONSE: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;

/// Attributes below this value must be understood (§15).
const COMPREHENSION_OPTIONAL: u16 = 0x8000;

/// A transaction ID (§6).
pub(crate) type TransactionId = [u8; 12];

/// What a datagram with the magic cookie turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stun {
    /// A binding request, and the response that goes back.
    Request { response: Bytes },
    /// An answer to one of ours, with our address as the server saw it.
    Response { id: TransactionId, mapped: Option<SocketAddr> },
    /// Something else: indications, other methods, a message cut off, a wrong fingerprint. Dropped (§7.3).
    Other,
}

/// Whether a datagram is STUN rather than SIP: two zero bits and the magic cookie (RFC 5626 §8).
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] < 4 && datagram[4..8] == MAGIC_COOKIE
}

/// Reads a datagram that [`is_stun`]; `from` is what a binding response tells the asker.
pub(crate) fn read(datagram: &[u8], from: SocketAddr) -> Stun {
    let Some(message) = StunMessage::parse(datagram) else {
        return Stun::Other;
    };
    match message.kind {
        BINDING_REQUEST => Stun::Request { response: message.binding_response(from) },
        BINDING_RESPONSE => Stun::Response { id: message.id, mapped: message.mapped },
        BINDING_ERROR => Stun::Response { id: message.id, mapped: None },
        _ => Stun::Other,
    }
}

/// A binding request to keep a flow alive (RFC 5626 §4.4.2).
pub(crate) fn binding_request(id: TransactionId) -> Bytes {
    StunWriter::new(BINDING_REQUEST, id).finish(true)
}

struct StunMessage {
    kind: u16,
    id: TransactionId,
    mapped: Option<SocketAddr>,
    /// Comprehension-required attributes that we don't know; a few are enough to say so.
    unknown: Vec<u16>,
    fingerprint: bool,
}

impl StunMessage {
    fn parse(datagram: &[u8]) -> Option<Self> {
        let (header, attributes) = datagram.split_at_checked(HEADER)?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if length != attributes.len() || !length.is_multiple_of(4) {
            return None;
        }
        let mut message = StunMessage {
            kind,
            id: header[8..HEADER].try_into().ok()?,
            mapped: None,
            unknown: Vec::new(),
            fingerprint: false,
        };
        let mut rest = attributes;
        while !rest.is_empty() {
            let at = datagram.len() - rest.len();
            let (head, behind) = rest.split_at_checked(4)?;
            let attribute = u16::from_be_bytes([head[0], head[1]]);
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let value = behind.get(..length)?;
            rest = behind.get(length.next_multiple_of(4)..)?;
            match attribute {
                XOR_MAPPED_ADDRESS => message.mapped = read_xor_address(value, &message.id),
                FINGERPRINT => {
                    // It covers what stands before it and is the last one (§15.5).
                    let right = value == fingerprint(&datagram[..at]) && rest.is_empty();
                    if !right {
                        return None;
                    }
                    message.fingerprint = true;
                }
                // USERNAME, MESSAGE-INTEGRITY, REALM and NONCE: we ask for no credentials, so they change nothing.
                0x0006 | 0x0008 | 0x0014 | 0x0015 | 0x0001 | ERROR_CODE | UNKNOWN_ATTRIBUTES => {}
                unknown if unknown < COMPREHENSION_OPTIONAL && message.unknown.len() < 8 => {
                    message.unknown.push(unknown);
                }
                _ => {}
            }
        }
        Some(message)
    }

    fn binding_response(&self, from: SocketAddr) -> Bytes {
        if self.unknown.is_empty() {
            let mut response = StunWriter::new(BINDING_RESPONSE, self.id);
            response.xor_mapped_address(from);
            return response.finish(self.fingerprint);
        }
        // §7.3.1: 420 with the list of what we don't know.
        let mut response = StunWriter::new(BINDING_ERROR, self.id);
        response.attribute(ERROR_CODE, b"\x00\x00\x04\x14Unknown Attribute");
        let list: Vec<u8> = self.unknown.iter().flat_map(|a| a.to_be_bytes()).collect();
        response.attribute(UNKNOWN_ATTRIBUTES, &list);
        response.finish(self.fingerprint)
    }
}

struct StunWriter {
    message: BytesMut,
}

impl StunWriter {
    fn new(kind: u16, id: TransactionId) -> Self {
        let mut message = BytesMut::with_capacity(96);
        message.put_u16(kind);
        message.put_u16(0);
        message.put_slice(&MAGIC_COOKIE);
        message.put_slice(&id);
        StunWriter { message }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.message.put_u16(kind);
        self.message.put_u16(value.len() as u16);
        self.message.put_slice(value);
        let padding = value.len().next_multiple_of(4) - value.len();
        self.message.put_bytes(0, padding);
    }

    fn xor_mapped_address(&mut self, address: SocketAddr) {
        let port = address.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
        let mut value = BytesMut::with_capacity(20);
        match address.ip() {
            IpAddr::V4(ip) => {
                value.put_u16(0x0001);
                value.put_u16(port);
                value.extend(ip.octets().iter().zip(MAGIC_COOKIE).map(|(a, b)| a ^ b));
            }
            IpAddr::V6(ip) => {
                value.put_u16(0x0002);
                value.put_u16(port);
                // The mask is the cookie and the transaction ID: octets 4 to 19 of the header.
                let mask = &self.message[4..HEADER];
                value.extend(ip.octets().iter().zip(mask).map(|(a, b)| a ^ b));
            }
        }
        self.attribute(XOR_MAPPED_ADDRESS, &value);
    }

    fn finish(mut self, with_fingerprint: bool) -> Bytes {
        let fingerprint_room = if with_fingerprint { 8 } else { 0 };
        let length = (self.message.len() - HEADER + fingerprint_room) as u16;
        self.message[2..4].copy_from_slice(&length.to_be_bytes());
        if with_fingerprint {
            let value = fingerprint(&self.message);
            self.attribute(FINGERPRINT, &value);
        }
        self.message.freeze()
    }
}

fn read_xor_address(value: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    let (head, address) = value.split_at_checked(4)?;
    let port = u16::from_be_bytes([head[2], head[3]]) ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
    let mask = MAGIC_COOKIE.iter().chain(id);
    let ip: IpAddr = match (head[1], address.len()) {
        (1, 4) => {
            let mut octets: [u8; 4] = address.try_into().ok()?;
            octets.iter_mut().zip(mask).for_each(|(a, b)| *a ^= b);
            Ipv4Addr::from(octets).into()
        }
        (2, 16) => {
            let mut octets: [u8; 16] = address.try_into().ok()?;
            octets.iter_mut().zip(mask).for_each(|(a, b)| *a ^= b);
            Ipv6Addr::from(octets).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// §15.5: CRC-32 of what precedes, XORed with "STUN".
fn fingerprint(message: &[u8]) -> [u8; 4] {
    (crc32(message) ^ 0x5354_554e).to_be_bytes()
}

/// CRC-32 of ITU V.42, bit by bit: a keep-alive is a hundred octets.
fn crc32(octets: &[u8]) -> u32 {
    !octets.iter().fold(u32::MAX, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| {
            let carry = 0u32.wrapping_sub(crc & 1);
            (crc >> 1) ^ (0xEDB8_8320 & carry)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TransactionId = *b"keepalive-01";

    fn answer(request: &[u8], from: &str) -> Bytes {
        assert!(is_stun(request));
        match read(request, from.parse().unwrap()) {
            Stun::Request { response } => response,
            other => panic!("{other:?}"),
        }
    }

    /// CRC-32's check value.
    #[test]
    fn the_checksum_is_the_one_of_v42() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    /// RFC 5389 §15.2.
    #[test]
    fn a_binding_response_tells_the_address_it_was_asked_from_over_both_families() {
        for from in ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"] {
            let response = answer(&binding_request(ID), from);
            let mapped = Some(from.parse().unwrap());
            let read = read(&response, "198.51.100.7:5060".parse().unwrap());
            assert_eq!(read, Stun::Response { id: ID, mapped });
        }
    }

    /// RFC 5769 §2.2: the XOR-MAPPED-ADDRESS attribute of its sample response.
    #[test]
    fn the_sample_response_of_rfc5769_is_read() {
        let id = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
        let value = [0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let address = read_xor_address(&value, &id);
        assert_eq!(address, Some("192.0.2.1:32853".parse().unwrap()));
    }

    /// RFC 5389 §7.3.1, §15.5.
    #[test]
    fn a_fingerprint_is_given_to_those_who_give_one() {
        let with = StunWriter::new(BINDING_REQUEST, ID).finish(true);
        let without = StunWriter::new(BINDING_REQUEST, ID).finish(false);
        assert_eq!(answer(&with, "127.0.0.1:1").len(), HEADER + 12 + 8);
        assert_eq!(answer(&without, "127.0.0.1:1").len(), HEADER + 12);
    }

    #[test]
    fn a_wrong_fingerprint_is_not_answered() {
        let mut request = BytesMut::from(&binding_request(ID)[..]);
        *request.last_mut().unwrap() ^= 1;
        assert_eq!(read(&request, "127.0.0.1:1".parse().unwrap()), Stun::Other);
    }

    /// RFC 5389 §7.3.1.
    #[test]
    fn an_attribute_that_must_be_understood_and_is_not_gets_420() {
        let mut request = StunWriter::new(BINDING_REQUEST, ID);
        request.attribute(0x7777, b"?");
        let response = answer(&request.finish(false), "127.0.0.1:1");
        assert_eq!(response[..2], BINDING_ERROR.to_be_bytes());
        assert!(response.windows(4).any(|w| w == [0, 0, 4, 20]));
        assert!(response.windows(2).any(|w| w == [0x77, 0x77]));
    }

    #[test]
    fn cut_off_or_lying_messages_are_dropped() {
        let whole = binding_request(ID);
        for end in HEADER..whole.len() {
            let from = "127.0.0.1:1".parse().unwrap();
            assert_eq!(read(&whole[..end], from), Stun::Other);
        }
        let mut lying = BytesMut::from(&whole[..]);
        lying[HEADER + 3] = 200;
        assert_eq!(read(&lying, "127.0.0.1:1".parse().unwrap()), Stun::Other);
    }

    #[test]
    fn sip_is_not_stun() {
        assert!(!is_stun(b"OPTIONS sip:a@b SIP/2.0\r\n"));
        assert!(!is_stun(b"\0"));
    }
}
