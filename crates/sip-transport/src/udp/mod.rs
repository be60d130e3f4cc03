//! UDP: RFC 3261 §18 datagrams with the keep-alives of RFC 5626 §3.5.2 (STUN) and of the field (line ends, NUL).
//! One socket per listener and shard. Whether a request is too long for a datagram (§18.1.1) is the sender's question.

mod batch;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use sip_message::{Flow, Limits, ListenerId, Transport, parse_datagram};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::config::UdpLimits;
use crate::counters::Counters;
use crate::event::{KeepAlive, SendError, TransportEvent};
use crate::resolve::unguessable;
use crate::stun::{self, Stun, TransactionId};
use batch::{BATCH, RecvBatch, SendBatch, SocketBuffer, force_buffer_size};

/// Our own STUN requests that are remembered; older ones are as good as lost.
const PINGS: usize = 64;

/// The buffers of the batched calls; all sockets of a shard share them.
pub(crate) struct Batches {
    receive: RecvBatch,
    send: SendBatch,
}

impl Batches {
    pub(crate) fn new() -> Self {
        Batches { receive: RecvBatch::new(), send: SendBatch::new() }
    }
}

/// A socket that datagrams come to and leave from.
pub(crate) struct UdpListener {
    id: ListenerId,
    local: SocketAddr,
    socket: UdpSocket,
    queue: VecDeque<Outgoing>,
    backlog: usize,
    /// The kernel's send buffer is full; the queue waits until it isn't.
    blocked: bool,
    pings: VecDeque<TransactionId>,
}

struct Outgoing {
    to: SocketAddr,
    bytes: Bytes,
    token: u64,
}

/// What a turn gives to and takes from a socket.
pub(crate) struct UdpTurn<'a> {
    pub(crate) batches: &'a mut Batches,
    pub(crate) limits: &'a Limits,
    pub(crate) events: &'a mut Vec<TransportEvent>,
    pub(crate) counters: &'a mut Counters,
    pub(crate) now: Instant,
}

impl UdpListener {
    /// Binds the socket; `shared` when other shards bind the same address.
    pub(crate) fn bind(id: ListenerId, address: SocketAddr, shared: bool, limits: &UdpLimits) -> io::Result<Self> {
        let socket =
            Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // IPv4 has its own listeners; mapped addresses would make two names of one peer.
            socket.set_only_v6(true)?;
        }
        if shared {
            socket.set_reuse_port(true)?;
        }
        grow_buffers(&socket, limits.socket_buffer);
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(UdpListener {
            id,
            local: socket.local_addr()?,
            socket,
            queue: VecDeque::new(),
            backlog: limits.backlog,
            blocked: false,
            pings: VecDeque::new(),
        })
    }

    pub(crate) fn id(&self) -> ListenerId {
        self.id
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// The way to `remote` from here.
    pub(crate) fn flow(&self, remote: SocketAddr) -> Flow {
        Flow { transport: Transport::Udp, listener: self.id, local: self.local, remote, connection: None }
    }

    /// Receives up to `batches` batches. True when there may be more.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>, batches: usize, turn: &mut UdpTurn<'_>) -> bool {
        for _ in 0..batches {
            match self.socket.poll_recv_ready(cx) {
                Poll::Pending => return false,
                Poll::Ready(Err(error)) => {
                    tracing::warn!(listener = self.id.0, %error, "UDP socket");
                    return false;
                }
                Poll::Ready(Ok(())) => self.receive_batch(turn),
            }
        }
        // Registers for the next datagram when the last batch was a short one.
        self.socket.poll_recv_ready(cx).is_ready()
    }

    fn receive_batch(&mut self, turn: &mut UdpTurn<'_>) {
        let UdpListener { id, local, socket, queue, pings, .. } = self;
        let received = socket.try_io(Interest::READABLE, || {
            let count = turn.batches.receive.receive(socket.as_fd(), |remote, bytes| {
                turn.counters.datagrams_in += 1;
                let flow = Flow { transport: Transport::Udp, listener: *id, local: *local, remote, connection: None };
                let mut sorter =
                    Sorter { limits: turn.limits, now: turn.now, pings, answers: queue, counters: turn.counters };
                turn.events.extend(sorter.sort(flow, bytes));
            })?;
            // A short batch emptied the socket: saying so saves the call that would only return EAGAIN.
            // A datagram that came since makes the socket readable anew.
            if count < BATCH {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        match received {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // An ICMP error for something sent earlier (RFC 1122 §4.1.3.3); it concerns no one else.
            Err(error) => tracing::debug!(listener = self.id.0, %error, "UDP receive"),
        }
    }

    /// Queues a datagram; it leaves with [`UdpListener::flush`].
    pub(crate) fn send(&mut self, to: SocketAddr, bytes: Bytes, token: u64) -> Result<(), SendError> {
        if to.is_ipv4() != self.local.is_ipv4() {
            return Err(SendError::NoSuchListener);
        }
        if self.blocked && self.queue.len() >= self.backlog {
            return Err(SendError::QueueFull);
        }
        self.queue.push_back(Outgoing { to, bytes, token });
        Ok(())
    }

    /// Sends a STUN binding request (RFC 5626 §4.4.2).
    pub(crate) fn ping(&mut self, to: SocketAddr) -> Result<(), SendError> {
        let mut id = TransactionId::default();
        id[..8].copy_from_slice(&unguessable().to_be_bytes());
        id[8..].copy_from_slice(&unguessable().to_be_bytes()[..4]);
        self.send(to, stun::binding_request(id), 0)?;
        if self.pings.len() == PINGS {
            self.pings.pop_front();
        }
        self.pings.push_back(id);
        Ok(())
    }

    /// See [`batch::receive_fill`].
    pub(crate) fn receive_fill(&self) -> f32 {
        batch::receive_fill(&self.socket)
    }

    /// Sends what is queued, until the kernel's buffer is full.
    pub(crate) fn flush(&mut self, batches: &mut Batches, counters: &mut Counters, events: &mut Vec<TransportEvent>) {
        if self.blocked {
            return;
        }
        while !self.queue.is_empty() {
            let result = self.socket.try_io(Interest::WRITABLE, || {
                let datagrams = self.queue.iter().map(|o| (o.to, &o.bytes));
                batches.send.send(self.socket.as_fd(), datagrams)
            });
            match result {
                Ok(sent) => {
                    counters.datagrams_out += sent as u64;
                    self.queue.drain(..sent.min(self.queue.len()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    self.shed(counters, events);
                    return;
                }
                // The error of an earlier datagram, reported late; reporting it has cleared it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => {
                    counters.datagrams_failed += 1;
                    let failed = self.queue.pop_front();
                    fail(failed, SendError::of(&error), events);
                }
            }
        }
    }

    /// When the kernel's buffer has room again, sends what waited for it.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        batches: &mut Batches,
        counters: &mut Counters,
        events: &mut Vec<TransportEvent>,
    ) {
        while self.blocked && self.socket.poll_send_ready(cx).is_ready() {
            self.blocked = false;
            self.flush(batches, counters, events);
        }
    }

    /// Drops what the bounded backlog has no room for, the newest first: the oldest are nearest to leaving.
    fn shed(&mut self, counters: &mut Counters, events: &mut Vec<TransportEvent>) {
        while self.queue.len() > self.backlog {
            counters.datagrams_dropped += 1;
            fail(self.queue.pop_back(), SendError::QueueFull, events);
        }
    }
}

fn fail(failed: Option<Outgoing>, reason: SendError, events: &mut Vec<TransportEvent>) {
    if let Some(Outgoing { token, .. }) = failed
        && token != 0
    {
        events.push(TransportEvent::SendFailed { token, reason });
    }
}

/// Tells what a datagram is.
struct Sorter<'a> {
    limits: &'a Limits,
    now: Instant,
    /// Our own requests that wait for a response.
    pings: &'a mut VecDeque<TransactionId>,
    /// Where responses to others' requests go.
    answers: &'a mut VecDeque<Outgoing>,
    counters: &'a mut Counters,
}

impl Sorter<'_> {
    fn sort(&mut self, flow: Flow, bytes: Bytes) -> Option<TransportEvent> {
        if stun::is_stun(&bytes) {
            return self.sort_stun(flow, &bytes);
        }
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | b'\0' | b' ')) {
            self.counters.keep_alives_in += 1;
            return Some(TransportEvent::KeepAlive { flow, kind: KeepAlive::Ping });
        }
        let received = parse_datagram(bytes.clone(), self.limits);
        if received.is_err() {
            if !looks_like_sip(&bytes) {
                self.counters.garbage += 1;
                return None;
            }
            self.counters.refused_messages += 1;
        }
        Some(TransportEvent::Received { flow, received, at: self.now })
    }

    fn sort_stun(&mut self, flow: Flow, bytes: &[u8]) -> Option<TransportEvent> {
        self.counters.keep_alives_in += 1;
        match stun::read(bytes, flow.remote) {
            Stun::Request { response } => {
                // Where answers wait for room, more would be of no use to anyone.
                if self.answers.len() < BATCH {
                    self.counters.stun_answered += 1;
                    self.answers.push_back(Outgoing { to: flow.remote, bytes: response, token: 0 });
                }
                Some(TransportEvent::KeepAlive { flow, kind: KeepAlive::Ping })
            }
            Stun::Response { id, mapped } => {
                let asked = self.pings.iter().position(|ping| *ping == id)?;
                self.pings.remove(asked);
                Some(TransportEvent::KeepAlive { flow, kind: KeepAlive::Pong { mapped } })
            }
            Stun::Other => {
                self.counters.garbage += 1;
                None
            }
        }
    }
}

/// Whether the first line names the protocol; what doesn't even do that gets no answer.
fn looks_like_sip(datagram: &[u8]) -> bool {
    let text = datagram.trim_ascii_start();
    let line = text.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    line.windows(4).any(|w| w.eq_ignore_ascii_case(b"SIP/"))
}

/// As much as the system grants: past its limit with the right to, up to it without.
fn grow_buffers(socket: &Socket, octets: usize) {
    let reference = SockRef::from(socket);
    if force_buffer_size(socket.as_fd(), SocketBuffer::Receive, octets).is_err()
        && let Err(error) = reference.set_recv_buffer_size(octets)
    {
        tracing::warn!(%error, octets, "UDP receive buffer stays small");
    }
    if force_buffer_size(socket.as_fd(), SocketBuffer::Send, octets).is_err()
        && let Err(error) = reference.set_send_buffer_size(octets)
    {
        tracing::warn!(%error, octets, "UDP send buffer stays small");
    }
}
