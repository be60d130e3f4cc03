//! All transports of a shard behind one face: [`Transports::turn`] waits and reports, [`Transports::send`] queues,
//! [`Transports::flush`] lets go. Owned by one thread; inside are no locks, no channels and no task per message.
//!
//! ```text
//!   UDP sockets ── recvmmsg ──────────────┐
//!   listeners ──── accept ─► connections ─┼─► turn() ─► events ─► the driver
//!   DNS ──────────────────────────────────┘                          │
//!   UDP sockets ◄─ sendmmsg ──┐                                      │
//!   connections ◄─ writev ────┴── flush() ◄── send() ◄───────────────┘
//! ```

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sip_message::{ConnectionId, Flow, ListenerId, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::{ListenerConfig, TransportsConfig};
use crate::counters::Counters;
use crate::event::{Destination, SendError, Transmit, TransportEvent};
use crate::resolve::{LookupError, LookupRequest, Resolver, Target};
use crate::stream::{Acceptor, Shared, Streams};
use crate::tls::{TlsClient, TlsServer, TlsSetupError};
use crate::udp::{Batches, UdpListener, UdpTurn};

/// Batches of datagrams per socket and turn.
const UDP_BATCHES: usize = 4;

/// Messages over connections per turn: as many as UDP may have, so that neither starves the other.
const STREAM_MESSAGES: usize = 256;

/// All signalling sockets of one shard.
pub struct Transports {
    bound: Vec<BoundListener>,
    udp: Vec<UdpListener>,
    /// Ports of listeners that nobody can connect to.
    reserved: Vec<Socket>,
    acceptors: Vec<Acceptor>,
    batches: Batches,
    streams: Streams,
    shared: Rc<Shared>,
    resolver: Resolver,
    lookups: FuturesUnordered<Lookup>,
    concurrent_lookups: usize,
    sleep: Pin<Box<Sleep>>,
    /// The last turn ended without waiting: the runtime has not looked at its sockets since.
    busy: bool,
}

type Lookup = Pin<Box<dyn Future<Output = (u64, Result<Vec<Target>, LookupError>)>>>;

/// A listener as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundListener {
    /// Its name.
    pub id: ListenerId,
    /// Its protocol.
    pub transport: Transport,
    /// Its address, with the port that it really got.
    pub local: SocketAddr,
}

/// Why the transports could not be bound. The operator's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindError {
    /// A listener could not be opened.
    Listener {
        /// Which.
        id: ListenerId,
        /// Its protocol.
        transport: Transport,
        /// The address that was asked for.
        bind: SocketAddr,
        /// Why.
        reason: BindFailure,
    },
    /// The roots or the certificate for outgoing TLS are unusable.
    TlsClient(TlsSetupError),
}

/// What is wrong with a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindFailure {
    /// The address is in use, is none of ours, or is not allowed to us.
    Socket(io::ErrorKind),
    /// Its certificate is unusable.
    Tls(TlsSetupError),
    /// Another listener has the same id.
    IdTaken,
    /// Port 0 would be another one in every shard.
    NoPort,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::Listener { id, transport, bind, reason } => {
                write!(f, "listener {} ({transport} {bind}): ", id.0)?;
                match reason {
                    BindFailure::Socket(kind) => write!(f, "{kind}"),
                    BindFailure::Tls(error) => write!(f, "{error}"),
                    BindFailure::IdTaken => f.write_str("its id is taken"),
                    BindFailure::NoPort => f.write_str("port 0 with several shards"),
                }
            }
            BindError::TlsClient(error) => write!(f, "outgoing TLS: {error}"),
        }
    }
}

impl std::error::Error for BindError {}

impl Transports {
    /// Opens the sockets of shard number `shard` of `shards`; with several shards, each binds the same addresses.
    /// Runs inside a current-thread runtime with I/O and time, and stays there.
    pub async fn bind(config: TransportsConfig, shard: u16, shards: u16) -> Result<Self, BindError> {
        let shared = Rc::new(Shared::new(config.streams, config.limits));
        let client = TlsClient::new(&config.tls_client).map_err(BindError::TlsClient)?;
        let mut transports = Transports {
            bound: Vec::new(),
            udp: Vec::new(),
            acceptors: Vec::new(),
            reserved: Vec::new(),
            batches: Batches::new(),
            streams: Streams::new(shared.clone(), client, shard),
            shared,
            resolver: Resolver::new(&config.lookup),
            lookups: FuturesUnordered::new(),
            concurrent_lookups: config.lookup.concurrent,
            sleep: Box::pin(sleep_until(Instant::now())),
            busy: false,
        };
        for listener in config.listeners {
            let (id, transport, bind) = (listener.id, listener.transport, listener.bind);
            transports.open(listener, shards > 1, &config.udp).map_err(|reason| BindError::Listener {
                id,
                transport,
                bind,
                reason,
            })?;
        }
        Ok(transports)
    }

    fn open(
        &mut self,
        listener: ListenerConfig,
        several: bool,
        udp: &crate::config::UdpLimits,
    ) -> Result<(), BindFailure> {
        let ListenerConfig { id, transport, bind, tls, accepts, origins } = listener;
        if self.bound.iter().any(|b| b.id == id) {
            return Err(BindFailure::IdTaken);
        }
        if several && bind.port() == 0 {
            return Err(BindFailure::NoPort);
        }
        let socket = |error: io::Error| BindFailure::Socket(error.kind());
        let local = if transport == Transport::Udp {
            let listener = UdpListener::bind(id, bind, several, udp).map_err(socket)?;
            let local = listener.local();
            self.udp.push(listener);
            local
        } else if !accepts {
            let (reserved, local) = reserve(bind).map_err(socket)?;
            self.reserved.push(reserved);
            local
        } else {
            let server = match (transport.is_secure(), tls) {
                (false, _) => None,
                (true, None) => return Err(BindFailure::Tls(TlsSetupError::NoCertificateConfigured)),
                (true, Some(tls)) => Some(TlsServer::new(tls, Instant::now()).map_err(BindFailure::Tls)?),
            };
            let acceptor = Acceptor::bind(id, transport, bind, several, server, origins).map_err(socket)?;
            let local = acceptor.local();
            self.acceptors.push(acceptor);
            local
        };
        self.bound.push(BoundListener { id, transport, local });
        Ok(())
    }

    /// The listeners, with the addresses that they have.
    pub fn listeners(&self) -> &[BoundListener] {
        &self.bound
    }

    /// Waits until something has happened or `deadline` has come, and appends what it was to `events`: a bounded number,
    /// fairly shared between datagrams and connections. What happened after a deadline has come is in the next turn.
    pub async fn turn(&mut self, deadline: Option<Instant>, events: &mut Vec<TransportEvent>) {
        self.shared.begin_turn();
        if self.busy {
            // Sockets that the driver kept us from waiting for are looked at now.
            tokio::task::yield_now().await;
        }
        self.busy = true;
        let turn = poll_fn(|cx| {
            let done = self.poll_turn(cx, deadline, events);
            if done.is_pending() {
                self.busy = false;
            }
            done
        });
        tokio::task::coop::unconstrained(turn).await;
    }

    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Option<Instant>,
        events: &mut Vec<TransportEvent>,
    ) -> Poll<()> {
        loop {
            let now = Instant::now();
            self.shared.begin_pass(now, STREAM_MESSAGES);
            let more = self.look_around(cx, now);
            if !self.shared.events.borrow().is_empty() {
                self.shared.take_events(events);
                return Poll::Ready(());
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(());
            }
            if more {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Some(wake) = self.next_wake(deadline) else { return Poll::Pending };
            if self.sleep.deadline() != wake {
                self.sleep.as_mut().reset(wake);
            }
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// One look at everything. True when something was left for the next look.
    fn look_around(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut more = false;
        {
            let mut events = self.shared.events.borrow_mut();
            let mut counters = self.shared.counters.borrow_mut();
            for listener in &mut self.udp {
                listener.poll_flush(cx, &mut self.batches, &mut counters, &mut events);
                more |= listener.poll_receive(
                    cx,
                    UDP_BATCHES,
                    &mut UdpTurn {
                        batches: &mut self.batches,
                        limits: &self.shared.message_limits,
                        events: &mut events,
                        counters: &mut counters,
                        now: now.into_std(),
                    },
                );
                // The answers to STUN requests.
                listener.flush(&mut self.batches, &mut counters, &mut events);
            }
        }
        for acceptor in &mut self.acceptors {
            more |= acceptor.poll_accept(cx, &mut self.streams);
        }
        self.streams.keep_time();
        self.streams.poll(cx);
        while let Poll::Ready(Some((id, result))) = self.lookups.poll_next_unpin(cx) {
            if result.is_err() {
                self.shared.count(|c| &mut c.lookups_failed);
            }
            self.shared.report(TransportEvent::Resolved { id, result });
        }
        more
    }

    fn next_wake(&self, deadline: Option<Instant>) -> Option<Instant> {
        let resting = self.acceptors.iter().filter_map(Acceptor::resting);
        resting.chain(deadline).chain(self.shared.next_deadline()).min()
    }

    /// Queues something to send; it leaves with [`Transports::flush`]. A failure is an event if the token isn't 0.
    pub fn send(&mut self, transmit: Transmit) {
        let Transmit { to, bytes, token } = transmit;
        let sent = match to {
            Destination::Flow(flow) => self.send_on(&flow, bytes, token),
            Destination::Target { listener, target } => self.send_to(listener, &target, bytes, token),
        };
        if let Err(reason) = sent {
            self.failed(token, reason);
        }
    }

    fn send_on(&mut self, flow: &Flow, bytes: bytes::Bytes, token: u64) -> Result<(), SendError> {
        match flow.connection {
            Some(id) => self.streams.send(id, bytes, token),
            None => self.udp_listener(flow.listener)?.send(flow.remote, bytes, token),
        }
    }

    fn send_to(
        &mut self,
        listener: ListenerId,
        target: &Target,
        bytes: bytes::Bytes,
        token: u64,
    ) -> Result<(), SendError> {
        if target.transport == Transport::Udp {
            return self.udp_listener(listener)?.send(target.addr, bytes, token);
        }
        let id = match self.streams.to(target) {
            Some(id) => id,
            None => {
                let local = self.bound.iter().find(|b| b.id == listener);
                let local = local.ok_or(SendError::NoSuchListener)?.local;
                self.streams.connect(listener, local, target)?
            }
        };
        self.streams.send(id, bytes, token)
    }

    fn udp_listener(&mut self, id: ListenerId) -> Result<&mut UdpListener, SendError> {
        let listener = self.udp.iter_mut().find(|l| l.id() == id);
        listener.ok_or(SendError::NoSuchListener)
    }

    fn failed(&mut self, token: u64, reason: SendError) {
        if token != 0 {
            self.shared.report(TransportEvent::SendFailed { token, reason });
        }
    }

    /// Ends a turn: what was queued leaves, in one batch per socket and one write per connection.
    pub fn flush(&mut self) {
        {
            let mut events = self.shared.events.borrow_mut();
            let mut counters = self.shared.counters.borrow_mut();
            for listener in &mut self.udp {
                listener.flush(&mut self.batches, &mut counters, &mut events);
            }
        }
        self.streams.flush();
    }

    /// Asks the far end of a flow whether it is there (RFC 5626 §4.4): STUN over UDP, CRLF CRLF over streams, a ping over
    /// WebSocket. The answer is an event.
    pub fn keep_alive(&mut self, flow: &Flow) -> Result<(), SendError> {
        match flow.connection {
            Some(id) => self.streams.keep_alive(id),
            None => self.udp_listener(flow.listener)?.ping(flow.remote),
        }
    }

    /// The flow over which something to `target` goes at present: over UDP always the same, over streams that of the
    /// connection which is open to it or being opened.
    pub fn flow_to(&self, listener: ListenerId, target: &Target) -> Option<Flow> {
        if target.transport == Transport::Udp {
            let listener = self.udp.iter().find(|l| l.id() == listener)?;
            return Some(listener.flow(target.addr));
        }
        self.streams.to(target).and_then(|id| self.streams.flow(id))
    }

    /// Lets requests to the peer's address and `port` go over the connection that it opened (RFC 5923 §5): called when
    /// the topmost Via of a request on it had `alias`. False if the peer has not proven to be anyone (TLS), or the
    /// connection is gone.
    pub fn alias(&mut self, connection: ConnectionId, port: u16) -> bool {
        self.streams.alias(connection, port)
    }

    /// How long the peer of a connection may be silent; `None`: for ever. For connections that carry registrations.
    pub fn set_idle(&mut self, connection: ConnectionId, idle: Option<Duration>) {
        self.streams.set_idle(connection, idle);
    }

    /// Begins a lookup, which is answered by [`TransportEvent::Resolved`] with the same `id`.
    pub fn resolve(&mut self, id: u64, request: LookupRequest) {
        self.shared.count(|c| &mut c.lookups);
        if self.lookups.len() >= self.concurrent_lookups {
            let result = Err(LookupError::TooManyLookups);
            self.shared.count(|c| &mut c.lookups_failed);
            return self.shared.report(TransportEvent::Resolved { id, result });
        }
        let resolver = self.resolver.clone();
        self.lookups.push(Box::pin(async move { (id, resolver.lookup(&request).await) }));
    }

    /// Closes a connection in order: what is queued leaves first.
    pub fn close(&mut self, connection: ConnectionId) {
        self.streams.close(connection);
    }

    /// How full the fullest of this shard's UDP receive buffers is, from 0 to 1: what waits there is not in anybody's
    /// queue, and grows old all the same. One system call for each UDP listener.
    pub fn receive_fill(&self) -> f32 {
        self.udp.iter().map(UdpListener::receive_fill).fold(0.0, f32::max)
    }

    /// Whether a connection is there to be sent on.
    pub fn is_open(&self, connection: ConnectionId) -> bool {
        self.streams.flow(connection).is_some()
    }

    /// Accepts no more connections; those that are open, and UDP, go on.
    pub fn stop_accepting(&mut self) {
        self.acceptors.clear();
    }

    /// The connections that there are at present, those being made and closed included.
    pub fn connections(&self) -> usize {
        self.streams.count()
    }

    /// What has been counted so far.
    pub fn counters(&self) -> Counters {
        *self.shared.counters.borrow()
    }
}

/// Whether an address can be bound by one socket alone. Shards share theirs (SO_REUSEPORT), and binding would not tell
/// them of a second server that shares it, too.
pub fn is_free(transport: Transport, addr: SocketAddr) -> io::Result<()> {
    match transport {
        Transport::Udp => std::net::UdpSocket::bind(addr).map(drop),
        _ => std::net::TcpListener::bind(addr).map(drop),
    }
}

/// A port that is ours and at which nobody listens.
fn reserve(addr: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    socket.bind(&addr.into())?;
    let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((socket, local))
}

/// The address that packets to `remote` leave from, by the routing table: what to write into a Via or a Contact when a
/// listener is bound to the unspecified address. Nothing is sent.
pub fn source_address(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}
