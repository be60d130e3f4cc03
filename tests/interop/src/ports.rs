//! Free loopback ports.
//!
//! Tests run side by side in processes of their own, so "bind to 0, close, use it later" would hand
//! one port to two of them. Each process takes its ports from a block that its process id chooses,
//! below the range from which the kernel gives ports to outgoing connections.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 16_000;
const BLOCK: u16 = 100;
const BLOCKS: u16 = 160;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// A port that nobody has bound over UDP or TCP, on either loopback address.
pub fn free() -> u16 {
    let block = u16::try_from(std::process::id() % u32::from(BLOCKS)).expect("less than BLOCKS");
    for _ in 0..BLOCKS * BLOCK {
        let offset = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (block * BLOCK + offset) % (BLOCKS * BLOCK);
        if is_free(port) {
            return port;
        }
    }
    panic!("no free loopback port");
}

/// The first of this many free ports in a row; it is even, as RTP wants it.
pub fn free_row(count: u16) -> u16 {
    loop {
        let first = free();
        if first.is_multiple_of(2) && (1..count).all(|next| free() == first + next) {
            return first;
        }
    }
}

fn is_free(port: u16) -> bool {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    [v4, v6].iter().all(|address| UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok())
}

/// Whether some process receives on this port.
///
/// Reads the kernel's socket tables, because trying the port would take it from its owner.
pub fn is_bound(port: u16, tcp: bool) -> bool {
    const LISTEN: &str = "0A";
    let tables = if tcp { ["/proc/net/tcp", "/proc/net/tcp6"] } else { ["/proc/net/udp", "/proc/net/udp6"] };
    let wanted = format!(":{port:04X}");
    tables.iter().filter_map(|table| fs::read_to_string(table).ok()).any(|table| {
        table.lines().skip(1).any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, _remote, state) = (fields.next(), fields.next(), fields.next());
            local.is_some_and(|local| local.ends_with(&wanted)) && (!tcp || state == Some(LISTEN))
        })
    })
}
