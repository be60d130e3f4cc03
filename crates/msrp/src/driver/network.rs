//! Sockets for a core that has none: connections, each a task of one thread, and the core between them.
//!
//! ```text
//!   listener ──► opening ──► link ──received──► core ──orders──► connect, close, "there is something to send"
//!                              ▲                  │
//!                              └────transmit──────┘   octets are pulled when the socket has room, a chunk at a time
//! ```
//!
//! A link reads only while its core wants to be read to, and holds at most [`ROOM`] octets that the socket has not taken:
//! what else waits, waits in the core, which decides at the last moment what goes out next.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future as _, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::spawn_local;

use super::link::Link;
use super::opening::{self, WebSockets};
use super::tap::{Tap, Tapped, Way};
use super::tls::Tls;
use crate::endpoint::Certificate;

/// Octets that wait for a socket.
const ROOM: usize = 256 * 1024;
/// Reads and writes of a connection before the others have their turn.
const TURNS: usize = 8;
/// To connect, with all handshakes (RFC 4975 leaves it open; what others wait).
const CONNECTING: Duration = Duration::from_secs(30);
/// For the handshakes of a connection that was accepted, and for its first octet.
const ACCEPTING: Duration = Duration::from_secs(30);
/// With something to send and a peer that takes nothing.
const STALLED: Duration = Duration::from_secs(60);
/// For the last octets of a connection that we close.
const LINGER: Duration = Duration::from_secs(1);

/// A connection of this network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LinkId(pub(super) u64);

/// What speaks the protocol.
pub(super) trait Core: 'static {
    fn accepted(&mut self, now: Instant, link: LinkId, is_secure: bool, certificate: Option<Arc<dyn Certificate>>);
    fn connected(&mut self, now: Instant, link: LinkId);
    fn received(&mut self, now: Instant, link: LinkId, octets: Bytes);
    fn closed(&mut self, now: Instant, link: LinkId, why: Arc<str>);
    /// Appends about `room` octets at most, and says whether there is more.
    fn transmit(&mut self, now: Instant, link: LinkId, out: &mut BytesMut, room: usize) -> bool;
    /// Appends one whole chunk, and says whether there is more: for what carries chunks as messages.
    fn transmit_chunk(&mut self, now: Instant, link: LinkId, out: &mut BytesMut, room: usize) -> bool {
        self.transmit(now, link, out, room)
    }
    /// Whether more may be read of it.
    fn has_room(&self, link: LinkId) -> bool;
    fn poll_order(&mut self, now: Instant) -> Option<Order>;
    fn next_timeout(&self) -> Option<Instant>;
    fn timeout(&mut self, now: Instant);
}

/// What a core wants of its network.
#[derive(Debug)]
pub(super) enum Order {
    Connect {
        link: LinkId,
        host: Arc<str>,
        port: u16,
        is_secure: bool,
        fingerprint: Option<Arc<str>>,
    },
    /// What it still has to send goes out before.
    Close(LinkId),
    /// There is something to pull.
    Transmit(LinkId),
    /// There is room again.
    Read(LinkId),
}

/// How a network is set up.
pub(super) struct NetworkSettings {
    /// The first and the last port that listeners may take; 0: any.
    pub(super) ports: (u16, u16),
    pub(super) websockets: WebSockets,
    /// Accepted connections.
    pub(super) max_connections: usize,
    pub(super) tls: Rc<Tls>,
    pub(super) tap: Option<Arc<dyn Tap>>,
}

/// See the module's text. Cheap to clone; lives on one thread, within a `LocalSet`.
pub(super) struct Network<C>(Rc<Shared<C>>);

impl<C> Clone for Network<C> {
    fn clone(&self) -> Network<C> {
        Network(self.0.clone())
    }
}

struct Shared<C> {
    core: RefCell<C>,
    settings: NetworkSettings,
    links: RefCell<HashMap<LinkId, Entry>>,
    listeners: RefCell<HashMap<(IpAddr, bool), SocketAddr>>,
    /// Read into by whichever link reads.
    scratch: RefCell<BytesMut>,
    next: Cell<u64>,
    accepted: Cell<usize>,
    /// Rung when the core may have another timeout.
    changed: Notify,
    armed: Cell<Option<Instant>>,
}

#[derive(Default)]
struct Entry {
    waker: Option<Waker>,
    has_output: bool,
    is_closing: bool,
}

impl<C: Core> Network<C> {
    pub(super) fn new(core: C, settings: NetworkSettings) -> Network<C> {
        Network(Rc::new(Shared {
            core: RefCell::new(core),
            settings,
            links: RefCell::default(),
            listeners: RefCell::default(),
            scratch: RefCell::default(),
            next: Cell::new(1),
            accepted: Cell::new(0),
            changed: Notify::new(),
            armed: Cell::new(None),
        }))
    }

    /// Where others reach us at this address; listens there from now on.
    pub(super) fn listen(&self, address: IpAddr, is_secure: bool) -> io::Result<SocketAddr> {
        if let Some(bound) = self.0.listeners.borrow().get(&(address, is_secure)) {
            return Ok(*bound);
        }
        let listener = bind(address, self.0.settings.ports)?;
        let bound = listener.local_addr()?;
        self.0.listeners.borrow_mut().insert((address, is_secure), bound);
        spawn_local(self.clone().accept(listener, is_secure));
        Ok(bound)
    }

    pub(super) fn fingerprint(&self) -> Arc<str> {
        self.0.settings.tls.fingerprint()
    }

    /// Does something with the core, and carries out what it orders then.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut C, Instant) -> R) -> R {
        let now = Instant::now();
        let result = act(&mut self.0.core.borrow_mut(), now);
        self.settle(now);
        result
    }

    /// Lets time pass for the core, for ever.
    pub(super) async fn keep_time(self) {
        loop {
            let next = self.0.core.borrow().next_timeout();
            self.0.armed.set(next);
            let sleep = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => self.with(|core, now| core.timeout(now)),
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// Waits until all connections are over, at most so long.
    pub(super) async fn drained(&self, within: Duration) {
        let end = deadline(within);
        while !self.0.links.borrow().is_empty() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn settle(&self, now: Instant) {
        loop {
            let order = self.0.core.borrow_mut().poll_order(now);
            match order {
                Some(Order::Connect { link, host, port, is_secure, fingerprint }) => {
                    // From now on: it may be closed before its task has had its first turn.
                    self.0.links.borrow_mut().insert(link, Entry::default());
                    spawn_local(self.clone().connect(link, host, port, is_secure.then_some(fingerprint)));
                }
                Some(Order::Transmit(link)) => self.wake(link, |entry| entry.has_output = true),
                Some(Order::Read(link)) => self.wake(link, |_| {}),
                Some(Order::Close(link)) => self.wake(link, |entry| entry.is_closing = true),
                None => break,
            }
        }
        if self.0.core.borrow().next_timeout() != self.0.armed.get() {
            self.0.changed.notify_one();
        }
    }

    fn wake(&self, link: LinkId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.0.links.borrow_mut().get_mut(&link) {
            change(entry);
            if let Some(waker) = &entry.waker {
                waker.wake_by_ref();
            }
        }
    }

    async fn accept(self, listener: TcpListener, is_secure: bool) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) if self.0.accepted.get() < self.0.settings.max_connections => {
                    self.0.accepted.set(self.0.accepted.get() + 1);
                    let network = self.clone();
                    spawn_local(async move {
                        network.take(stream, is_secure).await;
                        network.0.accepted.set(network.0.accepted.get() - 1);
                    });
                }
                // At a limit we refuse, and never cut off who is there already.
                Ok((stream, _)) => drop(stream),
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn take(&self, stream: TcpStream, is_secure: bool) {
        let tls = is_secure.then(|| self.0.settings.tls.server());
        match opening::accept(stream, tls, self.0.settings.websockets, ACCEPTING).await {
            Ok(link) => {
                let id = LinkId(self.0.next.get());
                self.0.next.set(id.0 + 1);
                self.0.links.borrow_mut().insert(id, Entry::default());
                let certificate = link.certificate();
                self.with(|core, now| core.accepted(now, id, link.is_secure, certificate));
                self.run(id, link, Some(ACCEPTING)).await;
            }
            Err(error) => tracing::debug!(%error, "a connection did not come about"),
        }
    }

    async fn connect(self, id: LinkId, host: Arc<str>, port: u16, secure: Option<Option<Arc<str>>>) {
        let tls = secure.as_ref().map(|fingerprint| (&*self.0.settings.tls, fingerprint.as_deref()));
        let mut connecting = pin!(opening::connect(&host, port, tls, CONNECTING));
        let opened = poll_fn(|cx| match self.register(cx, id) {
            Some(false) => connecting.as_mut().poll(cx),
            // Nothing can have been sent that would have to go out before.
            Some(true) | None => Poll::Ready(Err("closed by us".to_owned())),
        });
        match opened.await {
            Ok(link) => {
                self.with(|core, now| core.connected(now, id));
                self.run(id, link, None).await;
            }
            Err(why) => {
                self.0.links.borrow_mut().remove(&id);
                let why = format!("{host}:{port}: {why}").into();
                self.with(|core, now| core.closed(now, id, why));
            }
        }
    }

    /// Runs a link until it is over.
    async fn run(&self, id: LinkId, mut link: Link, first_octet: Option<Duration>) {
        let mut state = State { silent_until: first_octet.map(deadline), ..State::default() };
        let why = poll_fn(|cx| match self.turn(cx, id, &mut link, &mut state) {
            Poll::Ready(why) => Poll::Ready(why),
            Poll::Pending => state.poll_overdue(cx),
        })
        .await;
        self.0.links.borrow_mut().remove(&id);
        self.with(|core, now| core.closed(now, id, why));
        let _ = tokio::time::timeout(LINGER, poll_fn(|cx| link.poll_close(cx))).await;
    }

    /// Writes and reads what goes at once; ready when the link is over, with why.
    fn turn(&self, cx: &mut Context<'_>, id: LinkId, link: &mut Link, state: &mut State) -> Poll<Arc<str>> {
        for _ in 0..TURNS {
            let Some(is_closing) = self.register(cx, id) else { return Poll::Ready("closed".into()) };
            let wrote = match self.write(cx, id, link, state) {
                Ok(wrote) => wrote,
                Err(error) => return Poll::Ready(error.to_string().into()),
            };
            if is_closing && state.is_clean() && !self.has_output(id) {
                return Poll::Ready("closed by us".into());
            }
            let read = if self.0.core.borrow().has_room(id) {
                let octets = link.poll_read(cx, &mut self.0.scratch.borrow_mut());
                match octets {
                    Poll::Ready(Ok(octets)) if octets.is_empty() => return Poll::Ready("closed by the peer".into()),
                    Poll::Ready(Ok(octets)) => {
                        state.silent_until = None;
                        self.tap(Way::In, link, &octets);
                        self.with(|core, now| core.received(now, id, octets));
                        true
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(error.to_string().into()),
                    Poll::Pending => false,
                }
            } else {
                false
            };
            if !wrote && !read {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// `None` when the link is not wanted any more; else whether it is to be closed.
    fn register(&self, cx: &mut Context<'_>, id: LinkId) -> Option<bool> {
        let mut links = self.0.links.borrow_mut();
        let entry = links.get_mut(&id)?;
        match &mut entry.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Some(entry.is_closing)
    }

    fn has_output(&self, id: LinkId) -> bool {
        self.0.links.borrow().get(&id).is_some_and(|entry| entry.has_output)
    }

    /// Whether something went out.
    fn write(&self, cx: &mut Context<'_>, id: LinkId, link: &mut Link, state: &mut State) -> io::Result<bool> {
        self.pull(id, link, state);
        let mut wrote = false;
        if !state.out.is_empty() {
            match link.poll_write(cx, &mut state.out) {
                Poll::Ready(Ok(_)) => {
                    (wrote, state.is_unflushed, state.stalled_until) = (true, true, None);
                    if state.out.is_empty() {
                        // An idle connection holds no memory.
                        state.out = BytesMut::new();
                    }
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => state.stalled_until = state.stalled_until.or_else(|| Some(deadline(STALLED))),
            }
        }
        if state.is_unflushed && state.out.is_empty() {
            match link.poll_flush(cx) {
                Poll::Ready(Ok(())) => state.is_unflushed = false,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
        }
        Ok(wrote)
    }

    /// Takes from the core what there is room for.
    fn pull(&self, id: LinkId, link: &Link, state: &mut State) {
        while self.has_output(id) && state.out.len() < ROOM {
            if link.is_of_messages() && !state.out.is_empty() {
                return;
            }
            let (room, before) = (ROOM - state.out.len(), state.out.len());
            if let Some(entry) = self.0.links.borrow_mut().get_mut(&id) {
                entry.has_output = false;
            }
            let more = self.with(|core, now| match link.is_of_messages() {
                true => core.transmit_chunk(now, id, &mut state.out, room),
                false => core.transmit(now, id, &mut state.out, room),
            });
            if more && let Some(entry) = self.0.links.borrow_mut().get_mut(&id) {
                entry.has_output = true;
            }
            if state.out.len() == before {
                return;
            }
            self.tap(Way::Out, link, &state.out[before..]);
        }
    }

    fn tap(&self, way: Way, link: &Link, octets: &[u8]) {
        if let Some(tap) = &self.0.settings.tap {
            let Link { local, remote, is_secure, .. } = *link;
            tap.octets(Tapped { way, local, remote, is_secure, octets });
        }
    }
}

/// What a link's task knows.
#[derive(Default)]
struct State {
    /// Pulled, and not taken by the socket.
    out: BytesMut,
    is_unflushed: bool,
    silent_until: Option<Instant>,
    stalled_until: Option<Instant>,
    alarm: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl State {
    fn is_clean(&self) -> bool {
        self.out.is_empty() && !self.is_unflushed
    }

    /// Ready when the peer has been given up.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<Arc<str>> {
        let (at, why) = match (self.stalled_until, self.silent_until) {
            (Some(at), _) => (at, "the peer takes nothing"),
            (None, Some(at)) => (at, "the peer says nothing"),
            (None, None) => {
                self.alarm = None;
                return Poll::Pending;
            }
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at.into())));
        if alarm.deadline() != at.into() {
            alarm.as_mut().reset(at.into());
        }
        alarm.as_mut().poll(cx).map(|()| why.into())
    }
}

fn deadline(after: Duration) -> Instant {
    Instant::now() + after
}

/// The first free port of the range.
fn bind(address: IpAddr, (first, last): (u16, u16)) -> io::Result<TcpListener> {
    let mut failed = io::Error::from(io::ErrorKind::AddrInUse);
    for port in first..=last.max(first) {
        match std::net::TcpListener::bind((address, port)) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return TcpListener::from_std(listener);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::Read as _;
    use std::net::Ipv4Addr;

    use tokio::task::LocalSet;

    use super::super::tls::{Clients, TlsSettings, Verification};
    use super::*;

    /// A core that orders what it was told to, and remembers what it hears.
    #[derive(Default)]
    struct Script {
        orders: VecDeque<Order>,
        heard: Vec<&'static str>,
    }

    impl Core for Script {
        fn accepted(&mut self, _: Instant, _: LinkId, _: bool, _: Option<Arc<dyn Certificate>>) {
            self.heard.push("accepted");
        }
        fn connected(&mut self, _: Instant, _: LinkId) {
            self.heard.push("connected");
        }
        fn received(&mut self, _: Instant, _: LinkId, _: Bytes) {
            self.heard.push("received");
        }
        fn closed(&mut self, _: Instant, _: LinkId, _: Arc<str>) {
            self.heard.push("closed");
        }
        fn transmit(&mut self, _: Instant, _: LinkId, _: &mut BytesMut, _: usize) -> bool {
            false
        }
        fn has_room(&self, _: LinkId) -> bool {
            true
        }
        fn poll_order(&mut self, _: Instant) -> Option<Order> {
            self.orders.pop_front()
        }
        fn next_timeout(&self) -> Option<Instant> {
            None
        }
        fn timeout(&mut self, _: Instant) {}
    }

    fn connect_to(port: u16, is_secure: bool) -> Order {
        Order::Connect { link: LinkId(1), host: "127.0.0.1".into(), port, is_secure, fingerprint: None }
    }

    /// Carries out these orders, lets the links run for so long, and then those; what the core has heard, and how many
    /// links there are.
    fn play(first: Vec<Order>, pause: Duration, then: Vec<Order>) -> (Vec<&'static str>, usize) {
        let tls = TlsSettings { verification: Verification::None, ..TlsSettings::default() };
        let settings = NetworkSettings {
            ports: (0, 0),
            websockets: WebSockets::Never,
            max_connections: 1,
            tls: Rc::new(Tls::new(&tls, Clients::Unasked).unwrap()),
            tap: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let network = Network::new(Script::default(), settings);
            network.with(|core, _| core.orders.extend(first));
            tokio::time::sleep(pause).await;
            network.with(|core, _| core.orders.extend(then));
            network.drained(Duration::from_secs(5)).await;
            let links = network.0.links.borrow().len();
            (network.0.core.borrow().heard.clone(), links)
        })
    }

    #[test]
    fn a_link_that_is_closed_before_its_first_turn_is_not_made() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let orders = vec![connect_to(port, false), Order::Close(LinkId(1))];
        assert_eq!(play(orders, Duration::ZERO, Vec::new()), (vec!["closed"], 0));
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody was bothered");
    }

    /// The other side takes the connection, and says nothing in the handshake of TLS.
    #[test]
    fn a_link_that_is_closed_while_it_connects_is_given_up() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (pause, close) = (Duration::from_millis(200), vec![Order::Close(LinkId(1))]);
        assert_eq!(play(vec![connect_to(port, true)], pause, close), (vec!["closed"], 0));
        let mut peer = listener.accept().unwrap().0;
        let mut hello = Vec::new();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        peer.read_to_end(&mut hello).unwrap();
        assert!(!hello.is_empty(), "it had begun");
    }

    #[test]
    fn a_link_that_is_closed_when_it_is_there_is_over_for_both() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (pause, close) = (Duration::from_millis(200), vec![Order::Close(LinkId(1))]);
        let heard = play(vec![connect_to(port, false)], pause, close);
        assert_eq!(heard, (vec!["connected", "closed"], 0));
        let mut peer = listener.accept().unwrap().0;
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    }
}
