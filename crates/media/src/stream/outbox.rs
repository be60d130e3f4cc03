//! Datagrams that wait to be sent, in buffers that are used again.

use std::collections::VecDeque;
use std::net::SocketAddr;

/// Which of a stream's two sockets (RFC 3550 §11); with rtcp-mux or ICE all goes over the first (RFC 5761).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// RTP, and what shares its port.
    Rtp,
    /// RTCP on a port of its own.
    Rtcp,
}

/// Whence and whither a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From which socket.
    pub component: Component,
    /// To where.
    pub to: SocketAddr,
}

/// Buffers that are kept for the next datagrams: a tick makes one or two.
const SPARE: usize = 4;
/// A driver that never fetches what is to be sent does not make us grow.
const LIMIT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<(Transmit, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
}

impl Outbox {
    /// An empty buffer to write a datagram into.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes a buffer back that is not to be sent.
    pub(super) fn discard(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    pub(super) fn push(&mut self, component: Component, to: SocketAddr, datagram: Vec<u8>) {
        if self.waiting.len() < LIMIT {
            self.waiting.push_back((Transmit { component, to }, datagram));
        }
    }

    /// The next one, put into `datagram` in exchange for what it held.
    pub(super) fn pop(&mut self, datagram: &mut Vec<u8>) -> Option<Transmit> {
        let (transmit, mut buffer) = self.waiting.pop_front()?;
        std::mem::swap(datagram, &mut buffer);
        self.discard(buffer);
        Some(transmit)
    }
}
