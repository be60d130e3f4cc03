//! What an endpoint knows of one connection: what is half received, what is half sent, and whose turn it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::session::State;
use super::types::{Certificate, ConnectionId, EndReason, MessageId, Output, RemotePlan, SessionKey};
use super::{CLOSING, Endpoint, Timer, arm};
use crate::chunk::{Framer, FramerLimits, Head, TransactionId};

pub(super) struct Connection {
    pub(super) is_up: bool,
    pub(super) is_secure: bool,
    /// What the peer that has connected to us has shown of itself.
    pub(super) certificate: Option<Arc<dyn Certificate>>,
    /// Where it goes, if we asked for it.
    pub(super) target: Option<Arc<Target>>,
    /// Asked for by itself, not for a session: stays until it is let go.
    pub(super) is_held: bool,
    /// To be closed when all is sent.
    pub(super) is_closing: bool,
    pub(super) sessions: Vec<SessionKey>,
    /// A connection without a session is closed then.
    pub(super) idle_by: Option<Instant>,
    pub(super) armed: Option<Instant>,

    pub(super) framer: Option<Framer>,
    pub(super) receiving: Receiving,

    /// Responses, reports and whatever else goes first, each whole.
    pub(super) replies: Replies,
    /// The chunk that is half written.
    pub(super) writing: Option<Writing>,
    /// Sessions with messages that keep their order.
    pub(super) lines: VecDeque<SessionKey>,
    /// Long messages.
    pub(super) bulk: VecDeque<(SessionKey, MessageId)>,
    /// Octets of lines since the last turn of a long message.
    pub(super) line_octets: usize,
    /// [`super::Output::Transmit`] was said, and not all has been pulled since.
    pub(super) is_signalled: bool,
    /// Requests that belong to no session: their numbers and deadlines.
    pub(super) requests: Vec<(TransactionId, u64, Instant)>,
}

/// Connections with the same target can be shared (RFC 4975 §5.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    pub(super) is_secure: bool,
    pub(super) fingerprint: Option<Arc<str>>,
}

/// What the chunk belongs to that is being received.
pub(super) enum Receiving {
    Nothing,
    /// A part of a message that begins at this octet.
    Message {
        key: SessionKey,
        id: MessageId,
        start: u64,
        head: Arc<Head>,
    },
    /// Nobody's concern; but no more than so many octets of it.
    Skipped {
        left: u64,
    },
    /// A message that was delivered before: to be acknowledged again.
    Duplicate {
        key: SessionKey,
        left: u64,
    },
}

/// A chunk that is half written.
pub(super) struct Writing {
    pub(super) key: SessionKey,
    pub(super) id: MessageId,
    pub(super) transaction: TransactionId,
    /// Octets of its body.
    pub(super) written: u64,
    pub(super) is_bulk: bool,
    /// Its message is given up: to be closed with `#`.
    pub(super) is_aborted: bool,
    /// The last octets that were written, fewer than an end-line has.
    pub(super) tail: Vec<u8>,
}

impl Connection {
    pub(super) fn new(is_secure: bool, target: Option<Arc<Target>>, head: usize) -> Connection {
        Connection {
            is_up: target.is_none(),
            is_secure,
            certificate: None,
            target,
            is_held: false,
            is_closing: false,
            sessions: Vec::new(),
            idle_by: None,
            armed: None,
            framer: Some(Framer::new(FramerLimits { head, ..FramerLimits::default() })),
            receiving: Receiving::Nothing,
            replies: Replies::default(),
            writing: None,
            lines: VecDeque::new(),
            bulk: VecDeque::new(),
            line_octets: 0,
            is_signalled: false,
            requests: Vec::new(),
        }
    }

    /// Answers a request, RFC 4975 §7.2. One whose From-Path makes no sense cannot be answered.
    pub(super) fn reply(&mut self, head: &Head, own: &str, code: u16, comment: &str) {
        use crate::chunk::Method;
        let Some(from) = head.get("From-Path").filter(|_| head.from_path().is_ok()) else { return };
        let to = match head.method() {
            Some(Method::Send) => from.trim_start().split(' ').next().unwrap_or_default(),
            _ => from,
        };
        let transaction = head.transaction();
        let code = [b'0' + (code / 100 % 10) as u8, b'0' + (code / 10 % 10) as u8, b'0' + (code % 10) as u8];
        let comment = if comment.contains(char::is_control) { "" } else { comment };
        self.replies.add(|out| {
            put(out, &["MSRP ", transaction.as_str(), " "]);
            out.extend_from_slice(&code);
            put(out, &[" ", comment, "\r\nTo-Path: ", to, "\r\nFrom-Path: ", own, "\r\n"]);
            put(out, &["-------", transaction.as_str(), "$\r\n"]);
        });
    }

    /// Whether something waits to be pulled.
    pub(super) fn has_something(&self) -> bool {
        !self.replies.is_empty() || self.writing.is_some() || !self.lines.is_empty() || !self.bulk.is_empty()
    }
}

/// From being asked for, or accepted, to being gone.
impl Endpoint {
    /// One to the peer's first hop: one that is there, or a new one.
    pub(super) fn connection_to(&mut self, remote: &RemotePlan) -> ConnectionId {
        let first = remote.relays.first().unwrap_or(remote.path.first());
        let (host, port) = match &remote.next_hop {
            Some((host, port)) => (Arc::clone(host), *port),
            // 2855 is MSRP's port, though a URI of a session always names one.
            None => (first.host().into(), first.port().unwrap_or(2855)),
        };
        let is_secure = first.is_secure();
        self.ask_for(Arc::new(Target { host, port, is_secure, fingerprint: remote.fingerprint.clone() }))
    }

    pub(super) fn ask_for(&mut self, target: Arc<Target>) -> ConnectionId {
        if let Some(id) = self.targets.get(&target) {
            return *id;
        }
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.outputs.push_back(Output::Connect {
            connection: id,
            host: Arc::clone(&target.host),
            port: target.port,
            is_secure: target.is_secure,
            fingerprint: target.fingerprint.clone(),
        });
        self.targets.insert(Arc::clone(&target), id);
        let head = self.config.limits.head;
        self.connections.insert(id, Connection::new(target.is_secure, Some(target), head));
        id
    }

    pub(super) fn connected(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if std::mem::replace(&mut connection.is_up, true) {
            return;
        }
        let is_held = connection.is_held;
        for key in connection.sessions.clone() {
            if self.sessions.get(&key).is_some_and(|session| session.state == State::Connecting) {
                self.send_first(now, key);
            }
        }
        if is_held {
            self.outputs.push_back(Output::Connection { connection: id, gone: None });
        }
        self.signal(id);
    }

    pub(super) fn accepted(
        &mut self,
        now: Instant,
        id: ConnectionId,
        is_secure: bool,
        certificate: Option<Arc<dyn Certificate>>,
    ) {
        let mut connection = Connection::new(is_secure, None, self.config.limits.head);
        connection.certificate = certificate;
        connection.idle_by = Some(now + self.config.timers.bind);
        self.connections.insert(id, connection);
        self.arm_connection(id);
    }

    /// A connection is gone, and with it its sessions (§5.4).
    pub(super) fn lost(&mut self, now: Instant, id: ConnectionId, reason: Arc<str>) {
        let Some(connection) = self.forget(id) else { return };
        for key in connection.sessions {
            if let Some(session) = self.sessions.get_mut(&key) {
                session.connection = None;
            }
            self.end(now, key, EndReason::ConnectionLost(Arc::clone(&reason)));
        }
        for (_, request, _) in connection.requests {
            self.outputs.push_back(Output::Answered { connection: id, request, head: None });
        }
        if connection.is_held {
            self.outputs.push_back(Output::Connection { connection: id, gone: Some(reason) });
        }
    }

    /// Closes a connection, because of what its peer does.
    pub(super) fn cut_off(&mut self, now: Instant, id: ConnectionId, reason: &str) {
        if self.connections.contains_key(&id) {
            self.outputs.push_back(Output::Close { connection: id });
            self.lost(now, id, reason.into());
        }
    }

    /// Closes a connection that has no session any more, as soon as it has said all.
    pub(super) fn release(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.sessions.is_empty() || connection.is_held || connection.is_closing {
            return;
        }
        if let Some(target) = connection.target.take() {
            self.targets.remove(&target);
        }
        if connection.is_up && connection.has_something() {
            connection.is_closing = true;
            connection.idle_by = Some(now + CLOSING);
            self.arm_connection(id);
            self.signal(id);
        } else {
            self.forget(id);
            self.outputs.push_back(Output::Close { connection: id });
        }
    }

    pub(super) fn forget(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        if let Some(target) = &connection.target {
            self.targets.remove(target);
        }
        if let Some(armed) = connection.armed {
            self.timers.remove(&(armed, Timer::Connection(id)));
        }
        Some(connection)
    }

    pub(super) fn connection_timeout(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.armed = None;
        let due: Vec<u64> = connection.requests.iter().filter(|due| due.2 <= now).map(|due| due.1).collect();
        connection.requests.retain(|request| request.2 > now);
        let is_over = connection.idle_by.is_some_and(|at| at <= now);
        for request in due {
            self.outputs.push_back(Output::Answered { connection: id, request, head: None });
        }
        if is_over {
            self.cut_off(now, id, "nobody has said which session this is");
        }
        self.arm_connection(id);
    }

    pub(super) fn arm_connection(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let request = connection.requests.iter().map(|request| request.2).min();
        let deadline = [connection.idle_by, request].into_iter().flatten().min();
        arm(&mut self.timers, &mut connection.armed, deadline, Timer::Connection(id));
    }

    /// Says that there is something to pull, if that isn't known.
    pub(super) fn signal(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_up && !connection.is_signalled && connection.has_something() {
            connection.is_signalled = true;
            self.outputs.push_back(Output::Transmit { connection: id });
        }
    }
}

/// Whole requests and responses that wait to be sent.
#[derive(Default)]
pub(super) struct Replies {
    octets: BytesMut,
    /// How long each of them is; of the first one, what is left of it.
    lengths: VecDeque<usize>,
}

impl Replies {
    /// Adds what is printed.
    pub(super) fn add(&mut self, print: impl FnOnce(&mut BytesMut)) {
        let before = self.octets.len();
        print(&mut self.octets);
        self.lengths.push_back(self.octets.len() - before);
    }

    /// Takes so many octets at most.
    pub(super) fn take(&mut self, most: usize, out: &mut BytesMut) {
        let mut left = most;
        while let Some(first) = self.lengths.front_mut().filter(|_| left > 0) {
            let count = left.min(*first);
            out.extend_from_slice(&self.octets.split_to(count));
            left -= count;
            *first -= count;
            if *first == 0 {
                self.lengths.pop_front();
            }
        }
        if self.octets.is_empty() {
            // An idle connection holds no memory.
            *self = Replies::default();
        }
    }

    /// Takes the first one.
    pub(super) fn take_one(&mut self, out: &mut BytesMut) {
        let length = self.lengths.front().copied().unwrap_or_default();
        self.take(length, out);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.octets.len()
    }
}

/// Appends texts.
pub(super) fn put(out: &mut BytesMut, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}
