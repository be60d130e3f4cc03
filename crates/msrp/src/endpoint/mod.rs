//! MSRP sessions over connections, RFC 4975 §5 and §7, with NICKNAME of RFC 7701 §7.1. Sockets, addresses and TLS are
//! left to whoever drives it, what messages say to whoever uses it, and relays to [`crate::relay`].
//!
//! ```text
//!   open ─► path for the offer or answer          Input::{Connected, Accepted, Received, Closed}
//!   bind ─► the peer's path, and who connects               │
//!   send, supply, abort, accept, close                      ▼
//!        └──────────────────────────────► ┌────────────────────────────┐
//!                                         │ sessions      connections  │ ─► Output::{Connect, Close, Transmit, Event}
//!                                         └────────────────────────────┘ ─► poll_transmit: octets, when there is room
//! ```
//!
//! Octets are pulled, so that how a long message is cut into chunks is decided at the last moment: whatever else waits
//! for the connection waits for no more than 2048 octets of it (§7.1.1).
//!
//! What becomes of a message, by what its sender asked for:
//!
//! | Success-Report | Failure-Report | delivered when | not delivered when |
//! | --- | --- | --- | --- |
//! | yes | any | reports cover all of it | an error, or 30 s of silence behind its last octet |
//! | no | yes | each chunk is answered 200 | an error, or 30 s without a response |
//! | no | partial | 30 s have brought no error | an error |
//! | no | no | it is written | – |
//!
//! A connection or session that ends before that is a failure with code 0. A failure report ends the message, not the
//! session, though §7.3.2 would have it so: peers report with it what they do not like in a message.

mod answers;
mod connection;
mod incoming;
mod outgoing;
mod receive;
mod session;
mod transmit;
mod types;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use types::{
    Certificate, CommandError, Config, ConnectionId, Content, EndReason, IncomingMessage, Input, Limits, MessageId,
    OutgoingMessage, Output, RemotePlan, Role, SessionEvent, SessionKey, SessionPlan, Timers, Verdict,
};

use crate::chunk::{Head, TransactionId};
use crate::uri::{MsrpUri, Path};
use connection::{Connection, Target};
use outgoing::{Outgoing, Source};
use session::{Session, State, Transaction};

type HashMap<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// How long a connection that has served its purpose may take to send its last octets.
const CLOSING: Duration = Duration::from_secs(5);

/// All sessions and connections of one thread.
///
/// After each call, take what [`Endpoint::poll_output`] has, and look at [`Endpoint::next_timeout`].
pub struct Endpoint {
    config: Config,
    sessions: HashMap<SessionKey, Session>,
    by_session_id: HashMap<Box<str>, SessionKey>,
    connections: HashMap<ConnectionId, Connection>,
    targets: HashMap<Arc<Target>, ConnectionId>,
    outputs: VecDeque<Output>,
    timers: BTreeSet<(Instant, Timer)>,
    next_connection: u64,
    next_request: u64,
    hasher: foldhash::fast::FixedState,
}

/// Whose moment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Session(SessionKey),
    Connection(ConnectionId),
}

/// Commands.
impl Endpoint {
    /// An endpoint without sessions.
    pub fn new(mut config: Config) -> Endpoint {
        let hasher = foldhash::fast::FixedState::with_seed((config.random)());
        Endpoint {
            config,
            sessions: HashMap::default(),
            by_session_id: HashMap::default(),
            connections: HashMap::default(),
            targets: HashMap::default(),
            outputs: VecDeque::new(),
            timers: BTreeSet::new(),
            next_connection: ConnectionId::FIRST_ASKED_FOR,
            next_request: 0,
            hasher,
        }
    }

    /// Begins a session: what comes back goes into our `path` attribute, behind our relays if we have any.
    pub fn open(&mut self, _now: Instant, key: SessionKey, plan: SessionPlan) -> Result<Path, CommandError> {
        if self.sessions.contains_key(&key) {
            return Err(CommandError::SessionExists);
        }
        // §14.1 wants at least 80 bits that cannot be guessed: these are 103.
        let session_id = random_letters(&mut self.config.random, 20);
        let own = MsrpUri::for_session(plan.is_secure, &plan.host, plan.port, &session_id)
            .map_err(|_| CommandError::BadHost)?;
        self.by_session_id.insert(session_id.into(), key);
        self.sessions.insert(key, Session::new(plan, own.clone()));
        Ok(Path::from(own))
    }

    /// Learns what the peer said of itself, and connects or waits to be connected to.
    pub fn bind(&mut self, now: Instant, key: SessionKey, remote: RemotePlan) -> Result<(), CommandError> {
        let session = self.sessions.get_mut(&key).ok_or(CommandError::NoSession)?;
        if remote.connection.is_some_and(|connection| !self.connections.contains_key(&connection)) {
            return Err(CommandError::NoConnection);
        }
        if session.state != State::Opened {
            return match session.is_peer(&remote.path) {
                true => Ok(()),
                false => Err(CommandError::BoundElsewhere),
            };
        }
        let is_expected = session.is_peer(&remote.path);
        session.set_remote(&remote.path, &remote.relays);
        session.fingerprint = remote.fingerprint.clone().filter(|_| remote.connection.is_none());
        if let Some(connection) = session.connection {
            // The peer was faster than its description.
            let is_described = self.connections.get(&connection).is_some_and(|connection| session.is_shown(connection));
            if is_expected && is_described {
                self.bound(now, key);
            } else {
                self.end(now, key, EndReason::WrongPeer);
            }
            return Ok(());
        }
        session.bind_by = Some(now + self.config.timers.bind);
        let connection = match remote.connection {
            Some(connection) => Some(connection),
            None if remote.role == Role::Active => Some(self.connection_to(&remote)),
            None => None,
        };
        let session = self.sessions.get_mut(&key).expect("it was there above");
        session.connection = connection;
        session.state = if remote.role == Role::Active { State::Connecting } else { State::Waiting };
        if let Some(connection) = connection.and_then(|connection| self.connections.get_mut(&connection)) {
            connection.sessions.push(key);
            connection.idle_by = None;
            if remote.role == Role::Active && connection.is_up {
                self.send_first(now, key);
            }
        }
        self.arm_session(key);
        Ok(())
    }

    /// Sends a message, at the latest when the session is bound. It will end in exactly one of
    /// [`SessionEvent::Delivered`] and [`SessionEvent::NotDelivered`].
    pub fn send(&mut self, _now: Instant, key: SessionKey, message: OutgoingMessage) -> Result<(), CommandError> {
        let session = self.sessions.get_mut(&key).ok_or(CommandError::NoSession)?;
        if !crate::chunk::is_ident(message.id.as_str()) {
            return Err(CommandError::BadId);
        }
        if message.content_type.is_empty() || message.content_type.contains(char::is_control) {
            return Err(CommandError::BadContentType);
        }
        if session.outgoing.contains_key(&message.id) {
            return Err(CommandError::DuplicateId);
        }
        let id = message.id.clone();
        let outgoing = Outgoing::new(session.next_number, message);
        session.next_number += 1;
        let is_bulk = outgoing.is_bulk;
        session.outgoing.insert(id.clone(), outgoing);
        if !is_bulk {
            session.lines.push_back(id.clone());
        }
        if session.state == State::Bound {
            if is_bulk { self.queue_bulk(key, &id) } else { self.queue_lines(key) }
        }
        Ok(())
    }

    /// The next octets of a streamed message, after [`SessionEvent::Wanted`]. If they are not as many as its size
    /// promised, the message is given up.
    pub fn supply(
        &mut self,
        _now: Instant,
        key: SessionKey,
        id: &MessageId,
        bytes: Bytes,
        is_last: bool,
    ) -> Result<(), CommandError> {
        let session = self.sessions.get_mut(&key).ok_or(CommandError::NoSession)?;
        let outgoing = session.outgoing.get_mut(id).ok_or(CommandError::NoMessage)?;
        match &mut outgoing.source {
            Source::Streamed { parts, buffered, is_wanted, is_last: is_over } if !*is_over => {
                *is_wanted = false;
                *is_over = is_last;
                *buffered += bytes.len();
                if !bytes.is_empty() {
                    parts.push_back(bytes);
                }
            }
            _ => return Err(CommandError::NoMessage),
        }
        if !outgoing.keeps_its_word() {
            self.fail(key, id, 0, "the content is not as long as it was said to be");
            return Ok(());
        }
        if session.state == State::Bound {
            self.queue_bulk(key, id);
        }
        Ok(())
    }

    /// Gives a message up: the peer is told if it has a part of it, and the message ends as not delivered.
    pub fn abort(&mut self, _now: Instant, key: SessionKey, id: &MessageId) -> Result<(), CommandError> {
        let session = self.sessions.get(&key).ok_or(CommandError::NoSession)?;
        if !session.outgoing.contains_key(id) {
            return Err(CommandError::NoMessage);
        }
        self.fail(key, id, 0, "given up");
        Ok(())
    }

    /// Asks a room for a name (RFC 7701 §7.1); [`SessionEvent::NicknameAnswered`] follows. An empty one gives it up.
    pub fn nickname(&mut self, now: Instant, key: SessionKey, nickname: &str) -> Result<(), CommandError> {
        let session = self.sessions.get_mut(&key).ok_or(CommandError::NoSession)?;
        let Some(connection) = session.connection.filter(|_| session.state == State::Bound) else {
            return Err(CommandError::NoConnection);
        };
        let transaction = TransactionId::random(&mut self.config.random);
        let escaped: String = nickname
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .flat_map(|letter| matches!(letter, '"' | '\\').then_some('\\').into_iter().chain([letter]))
            .collect();
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.replies.add(|out| {
                connection::put(out, &["MSRP ", transaction.as_str(), " NICKNAME\r\n", &session.paths]);
                connection::put(out, &["Use-Nickname: \"", &escaped, "\"\r\n-------", transaction.as_str(), "$\r\n"]);
            });
        }
        session.transactions.insert(transaction, Transaction::Nickname);
        session.responses_due.push_back((now + self.config.timers.response, transaction));
        self.arm_session(key);
        self.signal(connection);
        Ok(())
    }

    /// Answers [`SessionEvent::Nickname`]: 200, or 423, 425 and the like (RFC 7701 §7.2).
    pub fn answer_nickname(
        &mut self,
        _now: Instant,
        key: SessionKey,
        transaction: TransactionId,
        code: u16,
        reason: &str,
    ) -> Result<(), CommandError> {
        let session = self.sessions.get_mut(&key).ok_or(CommandError::NoSession)?;
        let place = session.nicknames.iter().position(|head| head.transaction() == transaction);
        let head = place.and_then(|place| session.nicknames.remove(place)).ok_or(CommandError::NoMessage)?;
        let connection = session.connection.ok_or(CommandError::NoConnection)?;
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.reply(&head, session.own.as_str(), code, reason);
        }
        self.signal(connection);
        Ok(())
    }

    /// Decides about a message: one that has come in a session that asks, or any that is still coming.
    pub fn accept(
        &mut self,
        _now: Instant,
        key: SessionKey,
        id: &MessageId,
        verdict: Verdict,
    ) -> Result<(), CommandError> {
        self.decide(key, id, verdict)
    }

    /// Ends a session. What it has not delivered is told as such; [`SessionEvent::Ended`] is its last event.
    pub fn close(&mut self, now: Instant, key: SessionKey) {
        self.end(now, key, EndReason::Closed);
    }
}

/// Requests beside all sessions: AUTH to a relay (RFC 4976 §5.1).
impl Endpoint {
    /// Asks for a connection that stays until [`Endpoint::disconnect`]; [`Output::Connection`] tells how it goes.
    pub fn connect(
        &mut self,
        _now: Instant,
        host: Arc<str>,
        port: u16,
        is_secure: bool,
        fingerprint: Option<Arc<str>>,
    ) -> ConnectionId {
        let target = Arc::new(Target { host, port, is_secure, fingerprint });
        let id = self.ask_for(target);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_held = true;
        }
        id
    }

    /// Sends a request without a body; [`Output::Answered`] brings its response, under the number that comes back.
    pub fn request(&mut self, now: Instant, connection: ConnectionId, head: Head) -> Result<u64, CommandError> {
        let id = connection;
        let connection = self.connections.get_mut(&id).ok_or(CommandError::NoConnection)?;
        connection.replies.add(|out| crate::chunk::Chunk::bodiless(head.clone()).write_to(out));
        let number = self.next_request;
        self.next_request += 1;
        let deadline = now + self.config.timers.response;
        connection.requests.push((head.transaction(), number, deadline));
        self.arm_connection(id);
        self.signal(id);
        Ok(number)
    }

    /// Lets a connection go that [`Endpoint::connect`] asked for; it is closed when its last session is gone.
    pub fn disconnect(&mut self, now: Instant, connection: ConnectionId) {
        if let Some(held) = self.connections.get_mut(&connection) {
            held.is_held = false;
        }
        self.release(now, connection);
    }

    /// A fresh transaction id, for [`Endpoint::request`].
    pub fn transaction_id(&mut self) -> TransactionId {
        TransactionId::random(&mut self.config.random)
    }
}

/// The three verbs.
impl Endpoint {
    /// Something has happened to a connection.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Connected { connection } => self.connected(now, connection),
            Input::Accepted { connection, is_secure, certificate } => {
                self.accepted(now, connection, is_secure, certificate);
            }
            Input::Received { connection, bytes } => self.received(now, connection, bytes),
            Input::Closed { connection, reason } => self.lost(now, connection, reason),
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, timer)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            match timer {
                Timer::Session(key) => self.session_timeout(now, key),
                Timer::Connection(id) => self.connection_timeout(now, id),
            }
        }
    }

    /// When [`Endpoint::handle_timeout`] is wanted.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|timer| timer.0)
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// What is to be done or has happened, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > 1024 {
            self.outputs = VecDeque::new();
        }
        output
    }
}

/// Sets a timer that has to go off no later than this. One that goes off too early is set again then: most deadlines
/// are met and never looked at.
fn arm(timers: &mut BTreeSet<(Instant, Timer)>, armed: &mut Option<Instant>, deadline: Option<Instant>, timer: Timer) {
    let Some(deadline) = deadline else { return };
    match *armed {
        Some(at) if at <= deadline => {}
        earlier => {
            if let Some(at) = earlier {
                timers.remove(&(at, timer));
            }
            timers.insert((deadline, timer));
            *armed = Some(deadline);
        }
    }
}

fn random_letters(random: &mut dyn FnMut() -> u64, count: usize) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut letters = String::with_capacity(count);
    let mut bits = 0;
    for index in 0..count {
        // Twelve letters are 62 of the bits.
        if index % 12 == 0 {
            bits = random();
        }
        letters.push(char::from(LETTERS[(bits % 36) as usize]));
        bits /= 36;
    }
    letters
}

/// The comment to a code of RFC 4975 §10 and RFC 7701 §7.2.
fn comment(code: u16) -> &'static str {
    match code {
        200 => "OK",
        400 => "Unintelligible",
        403 => "Forbidden",
        408 => "Timeout",
        413 => "Stop Sending",
        415 => "Media Type Not Understood",
        423 => "Out Of Bounds",
        425 => "Nickname In Use",
        481 => "No Such Session",
        501 => "Method Unknown",
        506 => "Session Bound Elsewhere",
        _ => "",
    }
}
