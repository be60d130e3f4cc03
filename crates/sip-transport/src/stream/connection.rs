//! One connection: TCP, perhaps TLS in it, perhaps WebSocket in that, and SIP messages (RFC 3261 §18.3) in the end.
//!
//! ```text
//!             accept                    connect
//!               │                          │
//!               │                          ▼
//!               │                     Connecting ──────────────┐ refused, too slow
//!               ▼                          │                   │
//!          Securing (TLS handshake) ◄──────┤                   │
//!               │                          │                   │
//!               ▼                          │                   │
//!          Upgrading (WebSocket, accepted) │                   │
//!               │                          │                   │
//!               ▼                          ▼                   ▼
//!             Open ──────────────────────────── failed ────► ended
//!               │  we close: flush, FIN                        ▲
//!               ▼                                              │
//!           Lingering ── the peer has closed, or too slow ─────┘
//! ```
//!
//! Octets go through sans-I/O layers; only [`State::read_once`] and [`State::write`] touch the socket.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sip_message::{ConnectionId, Flow, Refusal, StreamItem, StreamParser, StreamState, parse_datagram};
use smallvec::SmallVec;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::queue::WriteQueue;
use super::shared::Shared;
use crate::config::Origins;
use crate::event::{CloseReason, KeepAlive, OpenedBy, SendError, TransportEvent};
use crate::tls::{self, TlsError};
use crate::websocket::{Frame, Handshake, WebSocket, handshake, http_response, looks_like_http};

/// Plain octets that are handed to TLS at a time.
const TLS_WRITE: usize = 64 * 1024;

/// Reads of one connection per turn, so that one that never stops leaves others their share.
const READS: usize = 4;

pub(crate) type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

/// A connection as its shard sees it.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    shared: Rc<Shared>,
    state: RefCell<State>,
}

/// How a connection begins.
pub(crate) enum Beginning {
    Accepted(TcpStream),
    Connecting(Connecting),
}

/// What is spoken inside the connection.
pub(crate) enum Codec {
    /// SIP on the bare stream.
    Sip(StreamParser),
    /// A WebSocket whose handshake has not come.
    Upgrade(Rc<Origins>),
    /// SIP in WebSocket messages.
    WebSocket(Box<WebSocket>),
}

impl Connection {
    pub(crate) fn new(
        shared: Rc<Shared>,
        flow: Flow,
        beginning: Beginning,
        tls: Option<rustls::Connection>,
        codec: Codec,
    ) -> Rc<Self> {
        let id = flow.connection.unwrap_or(ConnectionId(0));
        let by = match &beginning {
            Beginning::Accepted(_) => OpenedBy::Peer,
            Beginning::Connecting(_) => OpenedBy::Us,
        };
        let mut state = State {
            flow,
            by,
            phase: Phase::Securing,
            socket: None,
            tls: tls.map(Box::new),
            codec,
            inbound: BytesMut::new(),
            unread: false,
            heard: false,
            message: None,
            queue: WriteQueue::default(),
            in_tls: SmallVec::new(),
            blocked: false,
            stalled: None,
            since: shared.now(),
            last_heard: shared.now(),
            idle: Some(shared.limits.idle),
            pinged: false,
            pings: 0,
            end_of_stream: None,
            closing: None,
            ended: None,
            identities: Vec::new(),
            armed: None,
            waker: None,
            shared: shared.clone(),
        };
        if let Some(tls) = &mut state.tls {
            // The queue is bounded before its octets get there.
            tls.set_buffer_limit(None);
        }
        match beginning {
            Beginning::Accepted(socket) => state.established(socket),
            Beginning::Connecting(connecting) => state.phase = Phase::Connecting(connecting),
        }
        Rc::new(Connection { id, shared, state: RefCell::new(state) })
    }

    pub(crate) fn flow(&self) -> Flow {
        self.state.borrow().flow
    }

    pub(crate) fn opened_by(&self) -> OpenedBy {
        self.state.borrow().by
    }

    /// The SIP domains that the peer has proven to be.
    pub(crate) fn identities(&self) -> Vec<Arc<str>> {
        self.state.borrow().identities.clone()
    }

    /// Whether something new may be sent over it.
    pub(crate) fn is_usable(&self) -> bool {
        self.state.borrow().is_usable()
    }

    /// Queues a message.
    pub(crate) fn send(&self, bytes: Bytes, token: u64) -> Result<(), SendError> {
        let mut state = self.state.borrow_mut();
        if !state.takes_answers() {
            return Err(SendError::NoConnection);
        }
        self.shared.count(|c| &mut c.stream_messages_out);
        state.put(bytes, token)
    }

    /// Asks the peer whether it is there: CRLF CRLF (RFC 5626 §3.5.1), or a ping frame (RFC 7118 §6).
    pub(crate) fn keep_alive(&self) -> Result<(), SendError> {
        let mut state = self.state.borrow_mut();
        if !state.is_usable() {
            return Err(SendError::NoConnection);
        }
        state.pings = state.pings.saturating_add(1);
        match &mut state.codec {
            Codec::WebSocket(socket) => {
                let _ = socket.ping();
                state.take_frames(0);
                Ok(())
            }
            _ => state.put(Bytes::from_static(b"\r\n\r\n"), 0),
        }
    }

    /// Writes what is queued, as far as the peer takes it.
    pub(crate) fn flush(&self) {
        let mut state = self.state.borrow_mut();
        if matches!(state.phase, Phase::Open) && state.ended.is_none() && !state.blocked {
            state.write();
        }
        if state.blocked || state.ended.is_some() {
            state.wake();
        }
        state.arm(self.id);
    }

    /// Closes in order: what is queued leaves first.
    pub(crate) fn close(&self, reason: CloseReason) {
        let mut state = self.state.borrow_mut();
        if state.closing.is_none() && state.ended.is_none() {
            state.closing = Some((reason, 0));
        }
        state.wake();
    }

    pub(crate) fn set_idle(&self, idle: Option<Duration>) {
        let mut state = self.state.borrow_mut();
        state.idle = idle;
        state.arm(self.id);
    }

    /// Acts on a deadline that was armed for `at`, if it still is one.
    pub(crate) fn deadline_came(&self, at: Instant) {
        let mut state = self.state.borrow_mut();
        if state.armed == Some(at) {
            state.armed = None;
        }
        if let Some((due, what)) = state.next_deadline()
            && due <= self.shared.now()
        {
            state.too_late(what);
        }
        state.arm(self.id);
    }
}

/// Carries a connection on whenever its socket is ready; done when it has ended.
pub(crate) struct Driver(pub(crate) Rc<Connection>);

impl Future for Driver {
    type Output = Rc<Connection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let connection = &self.0;
        let mut state = connection.state.borrow_mut();
        if !state.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        state.advance(cx);
        match state.ended.take() {
            Some(reason) => {
                state.finish(reason);
                Poll::Ready(connection.clone())
            }
            None => {
                state.arm(connection.id);
                Poll::Pending
            }
        }
    }
}

enum Phase {
    Connecting(Connecting),
    Securing,
    Upgrading,
    Open,
    Lingering { reason: CloseReason, since: Instant, shut: bool },
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    Connect,
    Handshake,
    Head,
    Body,
    Stalled,
    Idle,
    Ping,
    Linger,
}

struct State {
    flow: Flow,
    by: OpenedBy,
    phase: Phase,
    socket: Option<TcpStream>,
    tls: Option<Box<rustls::Connection>>,
    codec: Codec,
    /// Plain octets that are not framed yet.
    inbound: BytesMut,
    /// `inbound` may hold whole messages: the turn's budget ended before it did.
    unread: bool,
    /// Something has come at all.
    heard: bool,
    /// A message has begun and not ended: what is missing, and since when.
    message: Option<(StreamState, Instant)>,
    queue: WriteQueue,
    /// The tokens of what TLS has and the kernel hasn't.
    in_tls: SmallVec<[u64; 4]>,
    /// The kernel takes no more at present.
    blocked: bool,
    stalled: Option<Instant>,
    /// When the connection came to be: connecting, then connected.
    since: Instant,
    last_heard: Instant,
    idle: Option<Duration>,
    pinged: bool,
    /// Our keep-alives that are not answered yet.
    pings: u16,
    /// The peer has sent its last octet, noticed in this turn.
    end_of_stream: Option<u64>,
    /// We are going to close, after this turn.
    closing: Option<(CloseReason, u64)>,
    ended: Option<CloseReason>,
    identities: Vec<Arc<str>>,
    armed: Option<Instant>,
    waker: Option<Waker>,
    shared: Rc<Shared>,
}

impl State {
    fn is_usable(&self) -> bool {
        self.ended.is_none()
            && self.closing.is_none()
            && self.end_of_stream.is_none()
            && !matches!(self.phase, Phase::Lingering { .. } | Phase::Upgrading)
    }

    /// Whether something may still be sent: also after the peer's last octet or its last mistake, in the turn in which
    /// the driver learns of it.
    fn takes_answers(&self) -> bool {
        self.ended.is_none()
            && self.closing.as_ref().is_none_or(|(_, turn)| *turn != 0)
            && !matches!(self.phase, Phase::Lingering { .. } | Phase::Upgrading)
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Whatever ends a connection that we are closing already, the reason is ours.
    fn end(&mut self, reason: CloseReason) {
        let reason = match &self.phase {
            Phase::Lingering { reason, .. } => reason.clone(),
            _ => reason,
        };
        self.ended.get_or_insert(reason);
    }

    // ---- carried on by readiness

    fn advance(&mut self, cx: &mut Context<'_>) {
        if self.ended.is_some() {
            return;
        }
        if let Phase::Connecting(connecting) = &mut self.phase {
            match connecting.as_mut().poll(cx) {
                Poll::Pending if self.closing.is_none() => return,
                Poll::Pending => return self.end(CloseReason::ByUs),
                Poll::Ready(Err(error)) => {
                    self.shared.count(|c| &mut c.connect_failed);
                    return self.end(CloseReason::ConnectFailed(SendError::of(&error)));
                }
                Poll::Ready(Ok(socket)) => {
                    self.shared.count(|c| &mut c.connected);
                    self.established(socket);
                }
            }
        }
        self.close_if_it_is_time(cx);
        self.read(cx);
        self.write_when_ready(cx);
        self.shut_when_flushed();
    }

    fn established(&mut self, socket: TcpStream) {
        let _ = socket.set_nodelay(true);
        let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60));
        let _ = SockRef::from(&socket).set_tcp_keepalive(&keepalive);
        if let Ok(local) = socket.local_addr() {
            self.flow.local = local;
        }
        self.socket = Some(socket);
        self.since = self.shared.now();
        self.last_heard = self.since;
        self.phase = Phase::Securing;
        if self.tls.is_none() {
            self.secured();
        }
    }

    /// TLS is done, or there is none.
    fn secured(&mut self) {
        if let Some(tls) = &self.tls {
            let certificate = tls.peer_certificates().and_then(|chain| chain.first());
            let identities = certificate.map(|c| tls::identities(c)).unwrap_or_default();
            self.identities = identities.into_iter().map(Arc::from).collect();
        }
        match self.codec {
            Codec::Upgrade(_) => self.phase = Phase::Upgrading,
            _ => self.open(),
        }
    }

    fn open(&mut self) {
        self.phase = Phase::Open;
        self.shared.deliver(TransportEvent::Opened {
            flow: self.flow,
            by: self.by,
            identities: self.identities.clone(),
        });
    }

    // ---- reading

    fn read(&mut self, cx: &mut Context<'_>) {
        if self.unread {
            self.understand();
        }
        for _ in 0..READS {
            if self.ended.is_some() || self.closing.is_some() || self.end_of_stream.is_some() {
                return;
            }
            if self.unread || self.shared.exhausted() {
                break;
            }
            let Some(socket) = &self.socket else { return };
            match socket.poll_read_ready(cx) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => return self.end(CloseReason::Io(error.kind())),
                Poll::Ready(Ok(())) => self.read_once(),
            }
        }
        // Others first; the rest of this one in a moment.
        cx.waker().wake_by_ref();
    }

    fn read_once(&mut self) {
        let Some(socket) = &self.socket else { return };
        let shared = self.shared.clone();
        let mut scratch = shared.scratch.borrow_mut();
        let (raw, plain) = &mut *scratch;
        let mut count = 0;
        let read = socket.try_io(Interest::READABLE, || {
            count = (&*SockRef::from(socket)).read(raw)?;
            // A short read emptied the socket; see the same in `udp`.
            if count > 0 && count < raw.len() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        match read {
            Ok(()) if count == 0 => return self.stream_ended(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && count == 0 => return,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) => return self.end(CloseReason::Io(error.kind())),
            Ok(()) => {}
        }
        self.last_heard = shared.now();
        self.pinged = false;
        if matches!(self.phase, Phase::Lingering { .. }) {
            return;
        }
        let raw = &raw[..count];
        if self.tls.is_some() {
            self.decrypt(raw, plain);
        } else {
            self.heard = true;
            self.take_in(raw);
        }
        drop(scratch);
        self.understand();
    }

    fn take_in(&mut self, octets: &[u8]) {
        if self.inbound.is_empty() {
            // Exactly as large as what came, and given away with the messages in it.
            self.inbound = BytesMut::from(octets);
        } else {
            self.inbound.extend_from_slice(octets);
        }
    }

    fn decrypt(&mut self, mut raw: &[u8], plain: &mut [u8]) {
        while !raw.is_empty() && self.ended.is_none() {
            let Some(tls) = &mut self.tls else { return };
            if tls.read_tls(&mut raw).is_err() {
                return self.end(CloseReason::Tls(TlsError::Protocol));
            }
            let handshaking = tls.is_handshaking();
            let outcome = match tls.process_new_packets() {
                Ok(outcome) => outcome,
                Err(error) => return self.tls_failed(&error, handshaking),
            };
            let mut left = outcome.plaintext_bytes_to_read();
            while left > 0 {
                let Some(tls) = &mut self.tls else { return };
                let Ok(count @ 1..) = tls.reader().read(plain) else { break };
                left = left.saturating_sub(count);
                self.heard = true;
                self.take_in(&plain[..count]);
            }
            if outcome.peer_has_closed() {
                self.stream_ended();
            }
            let done = self.tls.as_ref().is_some_and(|tls| !tls.is_handshaking());
            if done && matches!(self.phase, Phase::Securing) {
                self.secured();
            }
        }
    }

    fn tls_failed(&mut self, error: &rustls::Error, handshaking: bool) {
        if handshaking {
            self.shared.count(|c| &mut c.tls_failed);
        }
        // The alert that tells the peer why.
        self.write();
        self.ended = Some(CloseReason::Tls(TlsError::of(error)));
    }

    fn stream_ended(&mut self) {
        if matches!(self.phase, Phase::Lingering { .. }) {
            return self.end(CloseReason::ByPeer);
        }
        self.end_of_stream.get_or_insert(self.shared.turn());
        self.wake();
    }

    // ---- understanding

    /// Frames what has come, as far as this turn's budget goes.
    fn understand(&mut self) {
        self.unread = false;
        if matches!(self.phase, Phase::Upgrading) {
            self.upgrade();
        }
        if self.ended.is_some() || self.closing.is_some() || !matches!(self.phase, Phase::Open) {
            return;
        }
        match self.codec {
            Codec::Sip(_) => self.frame(),
            Codec::WebSocket(_) => self.unframe(),
            Codec::Upgrade(_) => {}
        }
        if self.inbound.is_empty() {
            self.inbound = BytesMut::new();
        }
    }

    fn frame(&mut self) {
        if looks_like_http(&self.inbound) {
            return self.refuse_http(400);
        }
        let mut progress = false;
        loop {
            if self.shared.exhausted() {
                self.unread = true;
                self.message = None;
                return;
            }
            let Codec::Sip(parser) = &mut self.codec else { return };
            let Some(item) = parser.next(&mut self.inbound) else { break };
            progress = true;
            match item {
                StreamItem::Message(message) => self.received(Ok(message)),
                StreamItem::Refused(refusal) => self.received(Err(refusal)),
                StreamItem::Broken(refusal) => {
                    self.received(Err(refusal));
                    // The driver's answer leaves first.
                    self.closing = Some((CloseReason::Unintelligible, self.shared.turn()));
                    self.wake();
                    return;
                }
                StreamItem::Ping => self.pinged_by_peer(Bytes::from_static(b"\r\n")),
                StreamItem::Pong => self.ponged(),
            }
        }
        let Codec::Sip(parser) = &self.codec else { return };
        let state = parser.state(&self.inbound);
        self.message = match self.message {
            _ if state == StreamState::Idle => None,
            Some((before, since)) if before == state && !progress => Some((state, since)),
            _ => Some((state, self.shared.now())),
        };
    }

    fn unframe(&mut self) {
        loop {
            if self.shared.exhausted() {
                self.unread = true;
                return;
            }
            let Codec::WebSocket(socket) = &mut self.codec else { return };
            let frame = socket.read(&mut self.inbound);
            self.take_frames(0);
            match frame {
                Ok(None) => return,
                Ok(Some(Frame::Message(bytes))) if bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) => {
                    // JsSIP and others carry RFC 5626's line ends into WebSocket messages.
                    self.pinged_by_peer(Bytes::from_static(b"\r\n"));
                }
                Ok(Some(Frame::Message(bytes))) => {
                    let message = parse_datagram(bytes, &self.shared.message_limits);
                    self.received(message);
                }
                Ok(Some(Frame::Ping)) => self.pinged_by_peer(Bytes::new()),
                Ok(Some(Frame::Pong)) => self.ponged(),
                Ok(Some(Frame::Close)) => return self.stream_ended(),
                Err(_) => {
                    self.closing = Some((CloseReason::Unintelligible, 0));
                    self.wake();
                    return;
                }
            }
        }
    }

    fn upgrade(&mut self) {
        let Codec::Upgrade(origins) = &self.codec else { return };
        match handshake(&mut self.inbound, origins) {
            Handshake::Incomplete => {}
            Handshake::Accepted(response) => {
                let limits = &self.shared.message_limits;
                let longest = limits.message.min(limits.head + limits.body);
                self.codec = Codec::WebSocket(Box::new(WebSocket::new(longest)));
                self.queue.push(response, 0);
                self.open();
            }
            Handshake::Refused(status, response) => {
                self.shared.count(|c| &mut c.websocket_refused);
                self.queue.push(response, 0);
                self.closing = Some((CloseReason::Http(status), 0));
                self.wake();
            }
        }
    }

    fn refuse_http(&mut self, status: u16) {
        self.queue.push(http_response(status), 0);
        self.closing = Some((CloseReason::Http(status), 0));
        self.wake();
    }

    fn received(&mut self, received: Result<sip_message::Message, Refusal>) {
        self.shared.count(|c| match &received {
            Ok(_) => &mut c.stream_messages_in,
            Err(_) => &mut c.refused_messages,
        });
        let at = self.shared.now().into_std();
        self.shared.deliver(TransportEvent::Received { flow: self.flow, received, at });
    }

    fn pinged_by_peer(&mut self, answer: Bytes) {
        self.shared.count(|c| &mut c.keep_alives_in);
        if !answer.is_empty() {
            let _ = self.put(answer, 0);
        }
        self.shared.deliver(TransportEvent::KeepAlive { flow: self.flow, kind: KeepAlive::Ping });
    }

    fn ponged(&mut self) {
        if self.pings == 0 {
            // Every ping is read as a pong first, and stray line ends are to be ignored (RFC 3261 §7.5).
            return self.shared.spend();
        }
        self.pings -= 1;
        let kind = KeepAlive::Pong { mapped: None };
        self.shared.deliver(TransportEvent::KeepAlive { flow: self.flow, kind });
    }

    // ---- writing

    fn put(&mut self, bytes: Bytes, token: u64) -> Result<(), SendError> {
        if self.queue.octets() + bytes.len() > self.shared.limits.write_queue {
            self.shared.count(|c| &mut c.write_overflow);
            self.end(CloseReason::WriteOverflow);
            self.wake();
            return Err(SendError::QueueFull);
        }
        if let Codec::WebSocket(socket) = &mut self.codec {
            if socket.write(bytes).is_err() {
                self.wake();
                return Err(SendError::NoConnection);
            }
            self.take_frames(token);
        } else {
            self.queue.push(bytes, token);
        }
        Ok(())
    }

    fn take_frames(&mut self, token: u64) {
        if let Codec::WebSocket(socket) = &mut self.codec
            && let Some(octets) = socket.take_output()
        {
            self.queue.push(octets, token);
            // Pongs alone can overflow it too.
            if self.queue.octets() > 2 * self.shared.limits.write_queue {
                self.shared.count(|c| &mut c.write_overflow);
                self.end(CloseReason::WriteOverflow);
            }
        }
    }

    fn write_when_ready(&mut self, cx: &mut Context<'_>) {
        if !self.blocked {
            self.write();
        }
        while self.blocked && self.ended.is_none() {
            let Some(socket) = &self.socket else { return };
            match socket.poll_write_ready(cx) {
                Poll::Pending => return,
                Poll::Ready(_) => {
                    self.blocked = false;
                    self.write();
                }
            }
        }
    }

    /// Writes until all is gone or the kernel takes no more.
    fn write(&mut self) {
        let before = self.queue.octets();
        let written = if self.tls.is_some() { self.write_tls() } else { self.write_plain() };
        match written {
            Ok(()) => {
                self.blocked = false;
                self.stalled = None;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                let progress = self.queue.octets() < before;
                if progress || self.stalled.is_none() {
                    self.stalled = Some(self.shared.now());
                }
            }
            Err(error) => self.end(match error.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => CloseReason::ByPeer,
                kind => CloseReason::Io(kind),
            }),
        }
    }

    fn write_plain(&mut self) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        while !self.queue.is_empty() {
            let count = socket.try_write_vectored(&self.queue.slices())?;
            self.queue.advance(count);
        }
        Ok(())
    }

    fn write_tls(&mut self) -> io::Result<()> {
        let (Some(socket), Some(tls)) = (&self.socket, &mut self.tls) else { return Ok(()) };
        loop {
            while tls.wants_write() {
                tls.write_tls(&mut SocketWriter(socket))?;
            }
            self.in_tls.clear();
            if tls.is_handshaking() {
                return Ok(());
            }
            let mut handed = 0;
            while handed < TLS_WRITE
                && let Some((bytes, token)) = self.queue.pop()
            {
                tls.writer().write_all(&bytes)?;
                handed += bytes.len();
                if token != 0 {
                    self.in_tls.push(token);
                }
            }
            if handed == 0 {
                return Ok(());
            }
        }
    }

    // ---- ending

    fn close_if_it_is_time(&mut self, cx: &mut Context<'_>) {
        if let Some(turn) = self.end_of_stream {
            // What came before the end of the stream may be answered in the turn in which it was delivered.
            if turn == self.shared.turn() && !self.shared.events.borrow().is_empty() {
                return cx.waker().wake_by_ref();
            }
            if self.unread {
                return;
            }
            self.say_goodbye();
            return self.end(CloseReason::ByPeer);
        }
        let Some((_, turn)) = &self.closing else { return };
        if *turn == self.shared.turn() {
            return cx.waker().wake_by_ref();
        }
        if let Some((reason, _)) = self.closing.take() {
            let handshaking = matches!(self.phase, Phase::Securing);
            if handshaking {
                return self.end(reason);
            }
            if let Codec::WebSocket(socket) = &mut self.codec {
                socket.close();
                self.take_frames(0);
            }
            self.inbound = BytesMut::new();
            self.unread = false;
            let since = self.shared.now();
            self.phase = Phase::Lingering { reason, since, shut: false };
        }
    }

    /// After the last octet that we send: FIN. Then the peer has a moment to take them; closing at once would make the
    /// kernel reset the connection when something unread came, and our last answer would be lost with it.
    fn shut_when_flushed(&mut self) {
        if let Phase::Lingering { shut: false, .. } = self.phase
            && !self.blocked
            && self.queue.is_empty()
        {
            self.say_goodbye();
            if let Some(socket) = &self.socket {
                let _ = SockRef::from(socket).shutdown(Shutdown::Write);
            }
            if let Phase::Lingering { shut, .. } = &mut self.phase {
                *shut = true;
            }
        }
    }

    fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.write();
    }

    fn finish(&mut self, reason: CloseReason) {
        self.phase = Phase::Securing;
        self.socket = None;
        // Whoever holds the connection a little longer sees that it is over.
        self.ended = Some(reason.clone());
        let why = match &reason {
            CloseReason::ConnectFailed(error) => error.clone(),
            reason => SendError::Closed(Box::new(reason.clone())),
        };
        let tokens = self.in_tls.drain(..).chain(self.queue.tokens());
        for token in tokens {
            self.shared.report(TransportEvent::SendFailed { token, reason: why.clone() });
        }
        self.queue = WriteQueue::default();
        self.shared.report(TransportEvent::Closed { flow: self.flow, reason });
    }

    // ---- deadlines

    fn next_deadline(&self) -> Option<(Instant, Deadline)> {
        let limits = &self.shared.limits;
        let first = match &self.phase {
            Phase::Connecting(_) => return Some((self.since + limits.connect, Deadline::Connect)),
            Phase::Lingering { since, .. } => return Some((*since + limits.linger, Deadline::Linger)),
            Phase::Securing | Phase::Upgrading => true,
            Phase::Open => self.by == OpenedBy::Peer && !self.heard,
        };
        let handshake = first.then_some((self.since + limits.handshake, Deadline::Handshake));
        let message = self.message.map(|(state, since)| match state {
            StreamState::InBody => (since + limits.body, Deadline::Body),
            _ => (since + limits.head, Deadline::Head),
        });
        let stalled = self.stalled.map(|since| (since + limits.stalled, Deadline::Stalled));
        let idle = self.idle.map(|idle| (self.last_heard + idle, Deadline::Idle));
        let ping = (matches!(self.codec, Codec::WebSocket(_)) && !self.pinged)
            .then(|| (self.last_heard + limits.websocket_ping, Deadline::Ping));
        [handshake, message, stalled, idle, ping].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn too_late(&mut self, what: Deadline) {
        let (reason, slow) = match what {
            Deadline::Ping => {
                self.pinged = true;
                if let Codec::WebSocket(socket) = &mut self.codec {
                    let _ = socket.ping();
                    self.take_frames(0);
                }
                return self.wake();
            }
            Deadline::Connect => {
                self.shared.count(|c| &mut c.connect_failed);
                (CloseReason::ConnectFailed(SendError::TimedOut), false)
            }
            Deadline::Handshake => (CloseReason::HandshakeTooSlow, true),
            Deadline::Head => (CloseReason::HeadTooSlow, true),
            Deadline::Body => (CloseReason::BodyTooSlow, true),
            Deadline::Stalled => {
                self.shared.count(|c| &mut c.write_overflow);
                (CloseReason::WriteOverflow, false)
            }
            Deadline::Idle => {
                self.shared.count(|c| &mut c.idle);
                (CloseReason::Idle, false)
            }
            Deadline::Linger => (CloseReason::ByUs, false),
        };
        if slow {
            self.shared.count(|c| &mut c.too_slow);
        }
        self.end(reason);
        self.wake();
    }

    /// Has the next deadline come to our notice: once, unless an earlier one comes up.
    fn arm(&mut self, id: ConnectionId) {
        if self.ended.is_some() {
            return;
        }
        if let Some((at, _)) = self.next_deadline()
            && self.armed.is_none_or(|armed| at < armed)
        {
            self.armed = Some(at);
            self.shared.arm(at, id);
        }
    }
}

/// A socket that never blocks, for rustls.
struct SocketWriter<'a>(&'a TcpStream);

impl Write for SocketWriter<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.try_write(octets)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
