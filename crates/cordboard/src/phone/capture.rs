//! A capture of calls as .pcapng (draft-ietf-opsawg-pcapng): what Wireshark and its kin read.
//!
//! Signalling is written in clear, also where it went over TLS: over UDP as the packets that it was, over streams as
//! exported PDUs, which name their dissector. Media is written as it was on the wire; the keys of encrypted streams stand
//! beside it, in the form of an SDES line (RFC 4568), as a comment on the packet that follows.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use media::driver::{TappedKeys, Way as MediaWay};
use sip_message::Transport;
use sip_stack::Way;

/// Packets without a link layer: IPv4 or IPv6 (LINKTYPE_RAW).
const RAW: (u32, u16) = (0, 101);
/// PDUs with a tag for their protocol (LINKTYPE_WIRESHARK_UPPER_PDU).
const EXPORTED: (u32, u16) = (1, 252);

/// A capture that is being written. Whatever can't be written is lost and the calls go on; the first failure is told.
#[derive(Debug)]
pub(super) struct Capture {
    file: Mutex<Writing>,
}

struct Writing {
    out: BufWriter<File>,
    comment: Option<String>,
    failed: Option<io::Error>,
}

impl std::fmt::Debug for Writing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writing").finish_non_exhaustive()
    }
}

impl Capture {
    /// Begins a file that only its owner can read: it has keys in it.
    pub(super) fn create(path: &Path) -> io::Result<Capture> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut out = BufWriter::new(file);
        out.write_all(&section_header())?;
        for (_, link) in [RAW, EXPORTED] {
            out.write_all(&interface(link))?;
        }
        Ok(Capture { file: Mutex::new(Writing { out, comment: None, failed: None }) })
    }

    /// Writes down what is still on its way, and says why something is missing.
    pub(super) fn finish(&self) -> io::Result<()> {
        let mut writing = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match writing.failed.take() {
            Some(error) => Err(error),
            None => writing.out.flush(),
        }
    }

    fn write(&self, interface: u32, packet: &[u8]) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let mut writing = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.failed.is_some() {
            return;
        }
        let comment = writing.comment.take();
        let block = packet_block(interface, micros, packet, comment.as_deref());
        if let Err(error) = writing.out.write_all(&block) {
            writing.failed = Some(error);
        }
    }
}

impl sip_stack::Tap for Capture {
    fn message(&self, tapped: sip_stack::Tapped<'_>) {
        let (from, to) = match tapped.way {
            Way::Sent => (tapped.local, tapped.remote),
            Way::Received => (tapped.remote, tapped.local),
        };
        match tapped.transport {
            Transport::Udp => self.write(RAW.0, &udp(from, to, tapped.octets)),
            _ => self.write(EXPORTED.0, &exported(from, to, tapped.octets)),
        }
    }
}

impl media::driver::Tap for Capture {
    fn packet(&self, tapped: media::driver::Tapped<'_>) {
        let (from, to) = match tapped.way {
            MediaWay::Sent => (tapped.local, tapped.remote),
            MediaWay::Received => (tapped.remote, tapped.local),
        };
        self.write(RAW.0, &udp(from, to, tapped.octets));
    }

    fn keys(&self, keys: TappedKeys<'_>) {
        let way = match keys.way {
            MediaWay::Sent => "sent",
            MediaWay::Received => "received",
        };
        let line = format!("{way}: {} inline:{}", keys.suite, STANDARD.encode(keys.key_and_salt));
        let mut writing = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        writing.comment = Some(match writing.comment.take() {
            Some(before) => format!("{before}\n{line}"),
            None => line,
        });
    }
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = body.len().next_multiple_of(4) - body.len();
    let len = u32::try_from(body.len() + padding + 12).expect("a packet has at most 64 KiB");
    let mut block = Vec::with_capacity(len as usize);
    block.extend(kind.to_le_bytes());
    block.extend(len.to_le_bytes());
    block.extend(body);
    block.resize(block.len() + padding, 0);
    block.extend(len.to_le_bytes());
    block
}

fn option(code: u16, value: &[u8], into: &mut Vec<u8>) {
    let value = &value[..value.len().min(usize::from(u16::MAX - 4))];
    into.extend(code.to_le_bytes());
    into.extend((value.len() as u16).to_le_bytes());
    into.extend(value);
    into.resize(into.len().next_multiple_of(4), 0);
}

fn section_header() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(0x1a2b_3c4d_u32.to_le_bytes());
    body.extend(1u16.to_le_bytes());
    body.extend(0u16.to_le_bytes());
    // The length of the section is not known.
    body.extend((-1i64).to_le_bytes());
    option(4, concat!("Cordboard/", env!("CARGO_PKG_VERSION")).as_bytes(), &mut body);
    option(0, &[], &mut body);
    block(0x0a0d_0d0a, &body)
}

fn interface(link: u16) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(link.to_le_bytes());
    body.extend(0u16.to_le_bytes());
    body.extend(0u32.to_le_bytes());
    block(1, &body)
}

/// An enhanced packet block; times are in microseconds, which is the default resolution.
fn packet_block(interface: u32, micros: u64, packet: &[u8], comment: Option<&str>) -> Vec<u8> {
    let len = u32::try_from(packet.len()).expect("a packet has at most 64 KiB");
    let mut body = Vec::with_capacity(packet.len() + 32);
    body.extend(interface.to_le_bytes());
    body.extend(((micros >> 32) as u32).to_le_bytes());
    body.extend((micros as u32).to_le_bytes());
    body.extend(len.to_le_bytes());
    body.extend(len.to_le_bytes());
    body.extend(packet);
    body.resize(body.len().next_multiple_of(4), 0);
    if let Some(comment) = comment {
        option(1, comment.as_bytes(), &mut body);
        option(0, &[], &mut body);
    }
    block(6, &body)
}

/// A datagram with the headers that it had (RFC 768, RFC 791, RFC 8200); the checksum of IPv4 is right, that of UDP is not
/// given.
fn udp(from: SocketAddr, to: SocketAddr, octets: &[u8]) -> Vec<u8> {
    let octets = &octets[..octets.len().min(65_000)];
    let udp_len = (octets.len() + 8) as u16;
    let mut packet = Vec::with_capacity(octets.len() + 48);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet.extend([0x45, 0]);
            packet.extend((udp_len + 20).to_be_bytes());
            packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
            let words = packet.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
            let mut sum: u32 = words.sum();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        }
        (source, destination) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(udp_len.to_be_bytes());
            packet.extend([17, 64]);
            packet.extend(as_v6(source));
            packet.extend(as_v6(destination));
        }
    }
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend(udp_len.to_be_bytes());
    packet.extend(0u16.to_be_bytes());
    packet.extend(octets);
    packet
}

fn as_v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Wireshark's exported PDU: tags in network order, then the octets.
fn exported(from: SocketAddr, to: SocketAddr, octets: &[u8]) -> Vec<u8> {
    fn tag(code: u16, value: &[u8], into: &mut Vec<u8>) {
        into.extend(code.to_be_bytes());
        into.extend((value.len() as u16).to_be_bytes());
        into.extend(value);
    }
    let mut pdu = Vec::with_capacity(octets.len() + 80);
    tag(12, b"sip\0", &mut pdu);
    for (address, v4, v6) in [(from.ip(), 20, 22), (to.ip(), 21, 23)] {
        match address {
            IpAddr::V4(address) => tag(v4, &address.octets(), &mut pdu),
            IpAddr::V6(address) => tag(v6, &address.octets(), &mut pdu),
        }
    }
    // The type of the ports: TCP.
    tag(24, &2u32.to_be_bytes(), &mut pdu);
    tag(25, &u32::from(from.port()).to_be_bytes(), &mut pdu);
    tag(26, &u32::from(to.port()).to_be_bytes(), &mut pdu);
    tag(0, &[], &mut pdu);
    pdu.extend(&octets[..octets.len().min(65_000)]);
    pdu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_has_the_headers_that_it_had() {
        let packet = udp("192.0.2.1:5060".parse().unwrap(), "192.0.2.2:5070".parse().unwrap(), b"SIP");
        assert_eq!(packet.len(), 31);
        let sum: u32 = packet[..20].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the checksum of RFC 791");
        assert_eq!(&packet[20..24], &[0x13, 0xc4, 0x13, 0xce]);
    }

    #[test]
    fn every_block_says_its_length_at_both_ends() {
        let written = [section_header(), interface(101), packet_block(0, 1, b"abcde", Some("a comment"))].concat();
        let mut rest = &written[..];
        let mut kinds = Vec::new();
        while !rest.is_empty() {
            let len = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
            assert_eq!(rest[4..8], rest[len - 4..len]);
            kinds.push(u32::from_le_bytes(rest[..4].try_into().unwrap()));
            rest = &rest[len..];
        }
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6]);
    }
}
