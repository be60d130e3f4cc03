//! One shard: a thread that owns its sockets, its endpoint and its endpoint's user.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_endpoint::{Destination, Endpoint, Event, HandOver, Input, Output, Target, TransactionUser, partition_of};
use sip_message::{ConnectionId, Flow, Message, Request, Transport};
use sip_transport::{
    BoundListener, Families, KeepAlive, LookupRequest, Transmit, TransportEvent, TransportSet, Transports,
};
use tokio::sync::mpsc;

use crate::bell::Bell;
use crate::stack::{StackConfig, StartError};
use crate::tap::{Tap, Tapped, Way};

/// What one shard is told by another, or by the stack.
pub(crate) enum Note<M> {
    /// A message whose branch or tag names this shard.
    Received { flow: Flow, message: Message },
    /// A request that another shard's user takes for this shard's.
    HandedOver { flow: Flow, request: Request },
    /// Octets for a connection that this shard owns.
    Transmit { flow: Flow, bytes: Bytes, token: u64, from: u16 },
    /// Such octets could not be sent.
    TransmitFailed { token: u64 },
    /// What another shard's user says.
    User(M),
    /// Take nothing new; end when idle or at this time.
    Drain(Instant),
    /// End now.
    Stop,
}

/// What a shard counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages that were received and understood.
    pub received: AtomicU64,
    /// Messages that were refused.
    pub refused: AtomicU64,
    /// Messages that were sent.
    pub sent: AtomicU64,
    /// Notes to another shard that found its inbox full.
    pub lost_notes: AtomicU64,
    /// Times that the shard began to shed new calls.
    pub overloads: AtomicU64,
}

pub(crate) struct Shard<M> {
    pub(crate) index: u16,
    pub(crate) shards: u16,
    pub(crate) config: StackConfig,
    pub(crate) inbox: mpsc::Receiver<Note<M>>,
    pub(crate) peers: Vec<mpsc::Sender<Note<M>>>,
    pub(crate) counters: Arc<Counters>,
}

type Bound = Result<Vec<(Transport, std::net::SocketAddr)>, StartError>;

/// How full the kernel's buffer must be for the shard to shed new calls, and how empty for it to stop.
const SHED_ABOVE: f32 = 0.5;
const SHED_UNTIL: f32 = 0.1;
/// A turn with so many events may have left some behind.
const FULL_TURN: usize = 64;

impl<M: Clone + Send + 'static> Shard<M> {
    /// The thread's life. Tells what was bound, or why nothing was.
    pub(crate) fn run<U: TransactionUser<Message = M>>(self, user: impl FnOnce() -> U, tell: &Sender<Bound>) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = tell.send(Err(StartError::System(error)));
                return;
            }
        };
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, self.serve(user, tell));
    }

    async fn serve<U: TransactionUser<Message = M>>(self, user: impl FnOnce() -> U, tell: &Sender<Bound>) {
        let transports = match Transports::bind(self.config.transports.clone(), self.index, self.shards).await {
            Ok(transports) => transports,
            Err(error) => {
                let _ = tell.send(Err(StartError::Bind(error)));
                return;
            }
        };
        let bound = transports.listeners();
        let settings = self.config.endpoint.settings(self.index, bound);
        let addresses = bound.iter().map(|bound| (bound.transport, bound.local)).collect();
        let _ = tell.send(Ok(addresses));
        let bell = Arc::new(Bell::default());
        let mut user = user();
        user.set_waker(bell.waker());
        let running = Running {
            index: self.index,
            supported: bound.iter().map(|bound| bound.transport).collect(),
            families: families(bound),
            transports,
            endpoint: Endpoint::new(settings),
            user,
            bell,
            peers: self.peers,
            said: Vec::new(),
            counters: self.counters,
            tap: self.config.tap,
            shedding: false,
            drain: None,
            stopped: false,
        };
        running.turns(self.inbox).await;
    }
}

/// A shard that serves.
struct Running<U: TransactionUser> {
    index: u16,
    /// What our listeners speak, for lookups.
    supported: TransportSet,
    families: Families,
    transports: Transports,
    endpoint: Endpoint,
    user: U,
    /// Is rung when one of the user's futures can go on.
    bell: Arc<Bell>,
    peers: Vec<mpsc::Sender<Note<U::Message>>>,
    /// What the user has said to the others in this turn.
    said: Vec<U::Message>,
    counters: Arc<Counters>,
    tap: Option<Arc<dyn Tap>>,
    shedding: bool,
    drain: Option<Instant>,
    stopped: bool,
}

impl<U: TransactionUser> Running<U> {
    async fn turns(mut self, mut inbox: mpsc::Receiver<Note<U::Message>>) {
        let mut events = Vec::with_capacity(2 * FULL_TURN);
        while !self.stopped {
            let mut note = None;
            if self.bell.is_rung() || !inbox.is_empty() {
                // Something is to be done already, so the sockets are only looked at. That look must not race with what is
                // to be done: whoever always has something to say would always win.
                self.transports.turn(Some(Instant::now().into()), &mut events).await;
            } else {
                let deadline = self.endpoint.next_timeout().into_iter().chain(self.drain).min();
                tokio::select! {
                    biased;
                    () = self.transports.turn(deadline.map(Into::into), &mut events) => {}
                    received = inbox.recv() => note = received,
                    () = self.bell.rings() => {}
                }
            }
            let now = Instant::now();
            let full = events.len() >= FULL_TURN;
            for event in events.drain(..) {
                self.take(now, event);
                self.pump(now);
            }
            self.watch_load(full);
            for _ in 0..FULL_TURN {
                let Some(next) = note.take().or_else(|| inbox.try_recv().ok()) else {
                    break;
                };
                self.take_note(now, next);
                self.pump(now);
            }
            if self.endpoint.next_timeout().is_some_and(|at| at <= now) {
                self.endpoint.handle(now, Input::TimePassed);
                self.pump(now);
            }
            // Once in a turn: a user that wakes itself goes on after the next look at the sockets.
            if self.bell.take() {
                self.user.woken(now, &mut self.endpoint, &mut self.said);
                self.pump(now);
            }
            self.transports.flush();
            self.end_drain(now);
        }
        // What was ordered last still goes out.
        self.transports.flush();
        let grace = Instant::now() + Duration::from_millis(50);
        self.transports.turn(Some(grace.into()), &mut events).await;
    }

    fn take(&mut self, now: Instant, event: TransportEvent) {
        match event {
            TransportEvent::Received { flow, received, .. } => {
                match &received {
                    Ok(message) => {
                        if let Some(tap) = &self.tap {
                            self.listen_in(&**tap, Way::Received, &flow, &message.to_bytes());
                        }
                        self.counters.received.fetch_add(1, Ordering::Relaxed);
                        if let Some(owner) = self.other_owner(message) {
                            let Ok(message) = received else { return };
                            self.note(owner, Note::Received { flow, message });
                            return;
                        }
                    }
                    Err(refusal) => {
                        self.counters.refused.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!(remote = %flow.remote, transport = %flow.transport, %refusal, "refused");
                    }
                }
                self.endpoint.handle(now, Input::Received { flow, received });
            }
            TransportEvent::SendFailed { token, reason } => {
                tracing::debug!(%reason, "not sent");
                self.endpoint.handle(now, Input::TransmitFailed { token });
            }
            TransportEvent::Closed { flow, reason } => {
                tracing::debug!(remote = %flow.remote, transport = %flow.transport, %reason, "closed");
                self.endpoint.handle(now, Input::ConnectionClosed { flow });
            }
            TransportEvent::Resolved { id, result } => {
                let result = result.map(|targets| targets.into_iter().map(from_transport).collect());
                let result = result.map_err(|error| {
                    tracing::debug!(%error, "not found");
                    from_lookup_error(&error)
                });
                self.endpoint.handle(now, Input::Resolved { token: id, result });
            }
            TransportEvent::KeepAlive { flow, kind: KeepAlive::Pong { mapped } } => {
                self.endpoint.handle(now, Input::KeptAlive { flow, mapped });
            }
            TransportEvent::Opened { .. } | TransportEvent::KeepAlive { .. } => {}
        }
    }

    fn take_note(&mut self, now: Instant, note: Note<U::Message>) {
        match note {
            Note::Received { flow, message } => {
                self.endpoint.handle(now, Input::Received { flow, received: Ok(message) });
            }
            Note::HandedOver { flow, request } => self.endpoint.handle(now, Input::HandedOver { flow, request }),
            Note::Transmit { flow, bytes, token, from } => {
                // Whether it failed is told by the connection's end; a connection that has ended is told now.
                let to = sip_transport::Destination::Flow(flow);
                if flow.connection.is_some_and(|connection| self.transports.is_open(connection)) {
                    self.transports.send(Transmit { to, bytes, token: 0 });
                } else if token != 0 {
                    self.note(from, Note::TransmitFailed { token });
                }
            }
            Note::TransmitFailed { token } => self.endpoint.handle(now, Input::TransmitFailed { token }),
            Note::User(message) => self.user.message(now, &mut self.endpoint, message),
            Note::Drain(deadline) => {
                tracing::info!(shard = self.index, "draining");
                self.drain = Some(deadline);
                self.endpoint.set_shedding(true);
                self.user.drain(now, &mut self.endpoint);
            }
            Note::Stop => self.stopped = true,
        }
    }

    /// Carries the endpoint's outputs to the sockets, to its user and to the other shards, until there are none.
    fn pump(&mut self, now: Instant) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { to, bytes, token } => self.transmit(to, bytes, token),
                Output::KeepAlive { flow } => {
                    // A flow that is gone is told of by its end; over UDP the silence tells.
                    let _ = self.transports.keep_alive(&flow);
                }
                Output::Close { flow } => {
                    if let Some(connection) = flow.connection {
                        self.transports.close(connection);
                    }
                }
                Output::Lookup { token, request } => {
                    let request = LookupRequest {
                        host: request.host.into(),
                        port: request.port,
                        transport: request.transport,
                        secure: request.secure,
                        supported: self.supported,
                        families: self.families,
                    };
                    self.transports.resolve(token, request);
                }
                Output::Event(event) => {
                    if let Event::FlowEnded { flow } = &event {
                        tracing::trace!(remote = %flow.remote, "flow ended");
                    }
                    self.user.event(now, &mut self.endpoint, event, &mut self.said);
                }
            }
        }
        while let Some(HandOver { partition, flow, request }) = self.endpoint.poll_hand_over() {
            self.note(u16::from(partition), Note::HandedOver { flow, request });
        }
        for message in std::mem::take(&mut self.said) {
            for peer in (0..self.peers.len() as u16).filter(|peer| *peer != self.index) {
                self.note(peer, Note::User(message.clone()));
            }
        }
    }

    fn transmit(&mut self, to: Destination, bytes: Bytes, token: u64) {
        self.counters.sent.fetch_add(1, Ordering::Relaxed);
        if let Some(tap) = &self.tap {
            self.listen_in_to(&**tap, &to, &bytes);
        }
        let to = match to {
            Destination::Flow(flow) => {
                if let Some(owner) = flow.connection.map(owner_of).filter(|owner| *owner != self.index) {
                    return self.note(owner, Note::Transmit { flow, bytes, token, from: self.index });
                }
                sip_transport::Destination::Flow(flow)
            }
            Destination::Target { listener, target } => {
                sip_transport::Destination::Target { listener, target: to_transport(target) }
            }
        };
        self.transports.send(Transmit { to, bytes, token });
    }

    fn listen_in(&self, tap: &dyn Tap, way: Way, flow: &Flow, octets: &[u8]) {
        let local = self.endpoint.listener_of(flow).map(|listener| listener.local);
        let local = local.unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
        tap.message(Tapped { way, transport: flow.transport, local, remote: flow.remote, octets });
    }

    fn listen_in_to(&self, tap: &dyn Tap, to: &Destination, octets: &[u8]) {
        match to {
            Destination::Flow(flow) => self.listen_in(tap, Way::Sent, flow, octets),
            Destination::Target { listener, target } => {
                let local = self.endpoint.listeners().iter().find(|known| known.id == *listener);
                let local = local.map_or_else(|| ([0, 0, 0, 0], 0).into(), |known| known.local);
                tap.message(Tapped { way: Way::Sent, transport: target.transport, local, remote: target.addr, octets });
            }
        }
    }

    /// The shard that a message belongs to, when that is another one.
    fn other_owner(&self, message: &Message) -> Option<u16> {
        if self.peers.len() == 1 {
            return None;
        }
        let owner = u16::from(partition_of(message)?);
        (owner != self.index && usize::from(owner) < self.peers.len()).then_some(owner)
    }

    fn note(&self, to: u16, note: Note<U::Message>) {
        let sent = self.peers.get(usize::from(to)).is_some_and(|peer| peer.try_send(note).is_ok());
        if !sent {
            self.counters.lost_notes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sheds new calls while the kernel's buffer fills up: what waits too long in it is retransmitted, and the
    /// retransmissions are load that answers nobody.
    fn watch_load(&mut self, full_turn: bool) {
        if self.drain.is_some() || !full_turn && !self.shedding {
            return;
        }
        let fill = self.transports.receive_fill();
        let shed = if self.shedding { fill > SHED_UNTIL } else { fill > SHED_ABOVE };
        if shed != self.shedding {
            self.shedding = shed;
            self.endpoint.set_shedding(shed);
            if shed {
                self.counters.overloads.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn end_drain(&mut self, now: Instant) {
        let Some(deadline) = self.drain else { return };
        let idle = self.user.is_idle() && self.endpoint.load().pending == 0;
        if idle || now >= deadline {
            if !idle {
                tracing::warn!(shard = self.index, load = ?self.endpoint.load(), "ended before everything was done");
            }
            self.stopped = true;
        }
    }
}

/// The upper 16 bits of a connection's id name the shard that owns it.
fn owner_of(connection: ConnectionId) -> u16 {
    (connection.0 >> 48) as u16
}

fn families(bound: &[BoundListener]) -> Families {
    let (v4, v6) = (bound.iter().any(|b| b.local.is_ipv4()), bound.iter().any(|b| b.local.is_ipv6()));
    match (v4, v6) {
        (true, true) => Families::V4First,
        (false, true) => Families::V6,
        _ => Families::V4,
    }
}

fn to_transport(target: Target) -> sip_transport::Target {
    sip_transport::Target { transport: target.transport, addr: target.addr, server_name: target.server_name }
}

fn from_transport(target: sip_transport::Target) -> Target {
    Target { transport: target.transport, addr: target.addr, server_name: target.server_name }
}

fn from_lookup_error(error: &sip_transport::LookupError) -> sip_endpoint::LookupError {
    use sip_transport::LookupError as Theirs;
    match error {
        Theirs::TimedOut => sip_endpoint::LookupError::TimedOut,
        Theirs::NoCommonTransport => sip_endpoint::LookupError::NoTransport,
        Theirs::NoSuchHost | Theirs::NotAName | Theirs::NoServers => sip_endpoint::LookupError::NotFound,
        Theirs::ServerFailure | Theirs::TooManyLookups => sip_endpoint::LookupError::TimedOut,
    }
}
