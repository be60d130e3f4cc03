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
//! Octets go through sans-I/O layers; only `reading` and `writing` touch the socket.

mod ending;
mod reading;
mod understanding;
mod writing;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sip_message::{ConnectionId, Flow, StreamParser, StreamState};
use smallvec::SmallVec;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::queue::WriteQueue;
use super::shared::Shared;
use crate::config::Origins;
use crate::event::{CloseReason, OpenedBy, SendError, TransportEvent};
use crate::tls;
use crate::websocket::WebSocket;

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
    Sip(Box<StreamParser>),
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
}
