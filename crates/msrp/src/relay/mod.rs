//! The relay of RFC 4976, without sockets: it lets clients in ([`Authority`], AUTH), gives each a URI of its own, and forwards what
//! comes for such a URI, or from its client, along the paths. [`client`] is the other side of AUTH.
//!
//! ```text
//!   alice ──AUTH──► relay            Use-Path: msrps://relay/a
//!   bob   ──AUTH──► relay            Use-Path: msrps://relay/b
//!   alice ──SEND──► relay/a  relay/b ──SEND──► bob      200 from hop to hop, REPORT the whole way back
//! ```
//!
//! A message is never held as a whole: what has come of a chunk goes on as a chunk of its own (§6.4.1). What a connection cannot
//! take yet is bounded; whoever sends to it is not read from meanwhile ([`Relay::has_room`]).
//!
//! Left to others: addresses of host names, TLS, certificates of other relays. A relay in front of this one is therefore let in
//! as its client is, by digest, and its URI holds for the connection that the AUTH came by.

pub mod client;

mod auth;
mod forward;
mod grants;
mod link;
mod types;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::chunk::{Framer, FramerLimits, Head, Piece, TransactionId};
use crate::endpoint::ConnectionId;
use crate::uri::{MsrpUri, Path};
use grants::Grants;
use link::{Incoming, Link, Outgoing, Pending};
pub use types::{Authority, Input, Limits, Output, Settings, Statistics, Verdict};

/// RFC 4976 §6.1: how long a stranger has to prove that it belongs here.
const PROBATION: Duration = Duration::from_secs(30);
/// RFC 4976 §6.4.1: how long the next hop has for its response.
const RESPONSE: Duration = Duration::from_secs(30);
/// RFC 4976 §6.1, §6.3: "several".
const FAILURES: u32 = 5;

/// One relay, for one thread.
pub struct Relay {
    settings: Settings,
    authority: Box<dyn Authority>,
    random: Box<dyn FnMut() -> u64>,
    grants: Grants,
    links: HashMap<ConnectionId, Link>,
    /// Connections that we opened, by where they lead.
    next_hops: HashMap<NextHop, ConnectionId>,
    opened: u64,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    outputs: VecDeque<Output>,
    /// Connections that waited for room and may be read from again.
    resumed: VecDeque<ConnectionId>,
    statistics: Statistics,
}

/// Where a connection leads.
#[derive(Clone, PartialEq, Eq, Hash)]
struct NextHop {
    host: String,
    port: u16,
    is_secure: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A connection's oldest request is without a response.
    Responses(ConnectionId),
    /// A stranger has not proven itself.
    Probation(ConnectionId),
    /// A connection that we opened carries nothing.
    Idle(ConnectionId),
    /// A URI is over.
    Grant(Arc<str>),
}

/// What became of a piece.
enum Taken {
    Done,
    /// There is no room where it is to go.
    Blocked(ConnectionId, Piece),
}

impl Relay {
    /// A relay without connections. `random` is cryptographic: its URIs are keys.
    pub fn new(settings: Settings, authority: Box<dyn Authority>, random: Box<dyn FnMut() -> u64>) -> Relay {
        Relay {
            settings,
            authority,
            random,
            grants: Grants::default(),
            links: HashMap::new(),
            next_hops: HashMap::new(),
            opened: 0,
            timers: BinaryHeap::new(),
            outputs: VecDeque::new(),
            resumed: VecDeque::new(),
            statistics: Statistics::default(),
        }
    }

    /// The port that others reach it by, if its settings left that to the system.
    pub fn listens_at(&mut self, port: u16) {
        if self.settings.port == 0 {
            self.settings.port = port;
        }
    }

    /// Closes everything.
    pub fn close_all(&mut self) {
        let connections: Vec<ConnectionId> = self.links.keys().copied().collect();
        connections.into_iter().for_each(|connection| self.close(connection));
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Accepted { connection } => {
                self.links.insert(connection, self.new_link(now, true));
                self.timers.push(Reverse((now + PROBATION, Timer::Probation(connection))));
            }
            Input::Connected { connection } => {
                if let Some(link) = self.links.get_mut(&connection) {
                    link.is_up = true;
                    if !link.queue.is_empty() {
                        self.outputs.push_back(Output::Transmit { connection });
                    }
                }
            }
            Input::Received { connection, octets } => {
                if let Some(link) = self.links.get_mut(&connection) {
                    link.used = now;
                    link.framer.feed(octets);
                    self.read(now, connection);
                }
            }
            Input::Closed { connection } => self.forget(connection),
        }
        self.settle(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Appends the next chunk for a connection; `false` if there is none.
    pub fn poll_transmit(&mut self, now: Instant, connection: ConnectionId, out: &mut BytesMut) -> bool {
        let Some(link) = self.links.get_mut(&connection).filter(|link| link.is_up) else {
            return false;
        };
        let Some(outgoing) = link.pop() else {
            return false;
        };
        outgoing.write_to(out);
        link.used = now;
        // §6.4.1: the timer starts when the last octet has been sent.
        if link.sent(outgoing.transaction, now + RESPONSE) {
            self.timers.push(Reverse((now + RESPONSE, Timer::Responses(connection))));
        }
        self.resume_waiters(connection);
        self.settle(now);
        true
    }

    /// Whether more may be read of a connection. When it may again, [`Output::Read`] says so.
    pub fn has_room(&self, connection: ConnectionId) -> bool {
        self.links.get(&connection).is_some_and(|link| link.waits_for.is_none())
    }

    /// When to call [`Relay::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.timers.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, timer))) = self.timers.pop() else { break };
            match timer {
                Timer::Responses(connection) => self.expire_responses(now, connection),
                Timer::Probation(connection) => {
                    if self.links.get(&connection).is_some_and(|link| !link.is_proven) {
                        self.close(connection);
                    }
                }
                Timer::Idle(connection) => self.close_if_idle(now, connection),
                Timer::Grant(id) => {
                    if let Some(again) = self.grants.expire(&id, now) {
                        self.timers.push(Reverse((again, Timer::Grant(id))));
                    }
                }
            }
        }
        self.settle(now);
    }

    /// What it has done so far.
    pub fn statistics(&self) -> Statistics {
        Statistics { connections: self.links.len(), grants: self.grants.len(), ..self.statistics }
    }

    fn new_link(&self, now: Instant, is_up: bool) -> Link {
        let limits = FramerLimits { hold: self.settings.limits.piece, ..FramerLimits::default() };
        Link::new(Framer::new(limits), now, is_up)
    }

    /// Takes what has come of a connection, until there is no more of it or no room for it.
    fn read(&mut self, now: Instant, connection: ConnectionId) {
        loop {
            let Some(link) = self.links.get_mut(&connection).filter(|link| !link.is_closing) else {
                return;
            };
            if link.waits_for.is_some() {
                return;
            }
            let piece = match link.held.take().map_or_else(|| link.framer.next(), |held| Ok(Some(held))) {
                Ok(Some(piece)) => piece,
                Ok(None) => return,
                // Whatever it speaks, it is not MSRP.
                Err(_) => return self.close(connection),
            };
            if let Taken::Blocked(target, piece) = self.take(now, connection, piece) {
                self.statistics.blocked += 1;
                if let Some(link) = self.links.get_mut(&connection) {
                    link.held = Some(piece);
                    link.waits_for = Some(target);
                }
                if let Some(target) = self.links.get_mut(&target) {
                    target.waiters.push(connection);
                }
                return;
            }
        }
    }

    /// A connection can take more: whoever waited for it is read from again.
    fn resume_waiters(&mut self, connection: ConnectionId) {
        if let Some(link) = self.links.get_mut(&connection)
            && link.is_relieved(&self.settings.limits)
        {
            self.resumed.extend(link.waiters.drain(..));
        }
    }

    /// Reads what waited. This is done last, so that no connection's reading happens within another's.
    fn settle(&mut self, now: Instant) {
        while let Some(connection) = self.resumed.pop_front() {
            if let Some(link) = self.links.get_mut(&connection) {
                link.waits_for = None;
                self.read(now, connection);
                if self.has_room(connection) {
                    self.outputs.push_back(Output::Read { connection });
                }
            }
        }
    }

    fn is_full(&self, connection: ConnectionId) -> bool {
        self.links.get(&connection).is_some_and(|link| link.is_full(&self.settings.limits))
    }

    /// Queues a chunk. `pending` is what its response will mean.
    fn send(&mut self, connection: ConnectionId, outgoing: Outgoing, pending: Option<Pending>) {
        let Some(link) = self.links.get_mut(&connection).filter(|link| !link.is_closing) else {
            return;
        };
        if link.push(outgoing, pending, &self.settings.limits) && link.is_up {
            self.outputs.push_back(Output::Transmit { connection });
        }
    }

    /// A transaction id that is not in use on a connection and does not occur in a body.
    fn transaction(&mut self, connection: ConnectionId, body: &Bytes) -> TransactionId {
        loop {
            let transaction = TransactionId::random(&mut *self.random);
            let is_used = self.links.get(&connection).is_some_and(|link| link.pending.contains_key(&transaction));
            let occurs = !body.is_empty() && memchr::memmem::find(body, transaction.as_bytes()).is_some();
            if !is_used && !occurs {
                return transaction;
            }
        }
    }

    /// Whether a URI names this relay, with or without a client of it.
    fn is_ours(&self, uri: &MsrpUri) -> bool {
        let settings = &self.settings;
        let is_port = uri.port().is_none_or(|port| port == settings.port);
        let is_name = |name: &String| name.eq_ignore_ascii_case(uri.host());
        is_port
            && uri.is_secure() == settings.is_secure
            && (is_name(&settings.host) || settings.other_names.iter().any(is_name))
    }

    /// A connection to the next hop: the one there is, or a new one. `None` if there may be no more.
    fn connection_to(&mut self, now: Instant, uri: &MsrpUri) -> Option<ConnectionId> {
        let next_hop = NextHop {
            host: uri.host().to_ascii_lowercase(),
            // RFC 4975 §15.4: the port that is MSRP's.
            port: uri.port().unwrap_or(2855),
            is_secure: uri.is_secure(),
        };
        if let Some(&connection) = self.next_hops.get(&next_hop) {
            return Some(connection);
        }
        if self.next_hops.len() >= self.settings.limits.next_hops {
            return None;
        }
        let connection = ConnectionId(ConnectionId::FIRST_ASKED_FOR + self.opened);
        self.opened += 1;
        let mut link = self.new_link(now, false);
        link.is_proven = true;
        link.next_hop = Some(next_hop.clone());
        self.links.insert(connection, link);
        self.outputs.push_back(Output::Connect {
            connection,
            host: next_hop.host.clone(),
            port: next_hop.port,
            is_secure: next_hop.is_secure,
        });
        self.next_hops.insert(next_hop, connection);
        self.timers.push(Reverse((now + self.settings.idle, Timer::Idle(connection))));
        Some(connection)
    }

    fn close_if_idle(&mut self, now: Instant, connection: ConnectionId) {
        let Some(link) = self.links.get(&connection) else { return };
        let end = link.used + self.settings.idle;
        if end <= now && link.queue.is_empty() {
            self.close(connection);
        } else {
            let again = end.max(now + Duration::from_secs(1));
            self.timers.push(Reverse((again, Timer::Idle(connection))));
        }
    }

    /// Lets go of a connection once what is queued has gone out.
    fn close(&mut self, connection: ConnectionId) {
        if let Some(link) = self.links.get_mut(&connection).filter(|link| !link.is_closing) {
            link.is_closing = true;
            self.outputs.push_back(Output::Close { connection });
        }
    }

    /// A connection is gone, and with it the URIs of its clients (§6.3) and what waited for it.
    fn forget(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.remove(&connection) else { return };
        if let Some(next_hop) = link.next_hop {
            self.next_hops.remove(&next_hop);
        }
        self.grants.forget(connection);
        // A next hop that is not there is one that does not answer in time, the only failure of it that §6.4.1 has a code
        // for; and a sender treats 408 as its own timeout (RFC 4975 §10.4), where 481 would end its session.
        let comment = if link.is_up { "The next hop is gone" } else { "The next hop cannot be reached" };
        for (_, pending) in link.pending {
            self.fail(pending, 408, comment);
        }
        self.resumed.extend(link.waiters);
    }

    fn expire_responses(&mut self, now: Instant, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        if link.waits_for.is_some() {
            // Its responses may be behind what has no room yet: it is we who don't listen.
            return self.timers.push(Reverse((now + RESPONSE, Timer::Responses(connection))));
        }
        let (late, next) = link.expire(now);
        if let Some(next) = next {
            self.timers.push(Reverse((next, Timer::Responses(connection))));
        }
        for pending in late {
            self.fail(pending, 408, "The next hop is silent");
        }
        self.resume_waiters(connection);
    }

    /// The first piece of a request has said what becomes of the others.
    fn remember(&mut self, connection: ConnectionId, piece: &Piece, incoming: impl FnOnce() -> Incoming) {
        if let Some(link) = self.links.get_mut(&connection) {
            link.incoming = if piece.end.is_none() { Some(incoming()) } else { None };
        }
    }

    fn respond(&mut self, connection: ConnectionId, response: Head) {
        self.send(connection, Outgoing::bodiless(response), None);
    }

    /// The path to take back from where a request came in.
    fn us(to: &Path) -> &MsrpUri {
        to.first()
    }
}
