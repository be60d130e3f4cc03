//! What an endpoint knows of one session.
//!
//! ```text
//!                     bind (active)  ┌────────────┐ connected   ┌─────────┐ 200 to the first SEND
//!            ┌─────────────────────► │ Connecting │ ──────────► │ Binding │ ──────────┐
//!   open ┌───┴────┐                  └────────────┘             └─────────┘           ▼
//!   ───► │ Opened │                                                               ┌───────┐
//!        └───┬────┘                  ┌─────────┐ a request that names the session  │ Bound │
//!            └─────────────────────► │ Waiting │ ────────────────────────────────► └───────┘
//!                     bind (passive) └─────────┘
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Instant;

use super::HashMap;
use super::connection::{self, Connection, Receiving};
use super::incoming::{Done, Incoming, Pending, Seen};
use super::outgoing::{Fate, Outgoing};
use super::types::{ConnectionId, EndReason, MessageId, Output, SessionEvent, SessionKey, SessionPlan};
use super::{Endpoint, Timer, arm};
use crate::chunk::{Head, TransactionId};
use crate::uri::{MsrpUri, Path};

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The peer's path isn't known.
    Opened,
    /// Our connection isn't there.
    Connecting,
    /// The first SEND isn't answered.
    Binding,
    /// The peer hasn't come.
    Waiting,
    /// Both ends know their connection.
    Bound,
}

pub(super) struct Session {
    pub(super) plan: SessionPlan,
    pub(super) own: MsrpUri,
    pub(super) state: State,
    /// The peer's own URI: from its description, or, before that has come, from its first request.
    pub(super) peer: Option<MsrpUri>,
    /// Lines of To-Path and From-Path, as every request has them.
    pub(super) paths: Box<str>,
    pub(super) connection: Option<ConnectionId>,
    /// What the peer's certificate is known by, if it is the peer that connects.
    pub(super) fingerprint: Option<Arc<str>>,
    /// For becoming bound.
    pub(super) bind_by: Option<Instant>,
    pub(super) keep_alive_at: Option<Instant>,

    /// What has been sent and isn't settled, and what waits to be sent.
    pub(super) outgoing: HashMap<MessageId, Outgoing>,
    pub(super) next_number: u64,
    /// Messages that are sent in their order.
    pub(super) lines: VecDeque<MessageId>,
    /// Whether the connection's turn of lines has this session.
    pub(super) has_turn: bool,
    pub(super) transactions: HashMap<TransactionId, Transaction>,
    /// In the order of their deadlines; those that were answered are skipped.
    pub(super) responses_due: VecDeque<(Instant, TransactionId)>,
    pub(super) reports_due: BTreeSet<(Instant, MessageId)>,

    pub(super) incoming: Vec<Incoming>,
    pub(super) verdicts: VecDeque<Pending>,
    pub(super) seen: Seen,
    pub(super) nicknames: VecDeque<Arc<Head>>,

    pub(super) armed: Option<Instant>,
}

/// A request of ours that may be answered.
#[derive(Clone, Debug)]
pub(super) enum Transaction {
    /// The first SEND, which binds.
    Bind,
    /// An empty SEND, which keeps.
    KeepAlive,
    /// A chunk: of this message, from this octet on, up to that one once it has been written.
    Chunk { id: MessageId, start: u64, end: Option<u64>, must_be_answered: bool, is_answered: bool },
    /// A name that was asked for.
    Nickname,
}

impl Session {
    pub(super) fn new(plan: SessionPlan, own: MsrpUri) -> Session {
        Session {
            plan,
            own,
            state: State::Opened,
            peer: None,
            paths: Box::default(),
            connection: None,
            fingerprint: None,
            bind_by: None,
            keep_alive_at: None,
            outgoing: HashMap::default(),
            next_number: 0,
            lines: VecDeque::new(),
            has_turn: false,
            transactions: HashMap::default(),
            responses_due: VecDeque::new(),
            reports_due: BTreeSet::new(),
            incoming: Vec::new(),
            verdicts: VecDeque::new(),
            seen: Seen::default(),
            nicknames: VecDeque::new(),
            armed: None,
        }
    }

    /// Learns where its requests go: through our relays, then along the peer's path.
    pub(super) fn set_remote(&mut self, path: &Path, relays: &[MsrpUri]) {
        use std::fmt::Write;
        self.peer = Some(path.last().clone());
        let mut text = String::from("To-Path:");
        for uri in relays.iter().chain(path.uris()) {
            let _ = write!(text, " {uri}");
        }
        let _ = write!(text, "\r\nFrom-Path: {}\r\n", self.own);
        self.paths = text.into();
    }

    /// Whether a request comes from whom this session is with.
    pub(super) fn is_peer(&self, from: &Path) -> bool {
        self.peer.as_ref().is_none_or(|peer| self.same(peer, from.last()))
    }

    /// Whether a connection was made by whom this session is with, as far as certificates tell (§14.4). One of ours was judged
    /// when it was made.
    pub(super) fn is_shown(&self, connection: &Connection) -> bool {
        let accepted_by_tls = connection.is_secure && connection.target.is_none();
        let Some(fingerprint) = self.fingerprint.as_deref().filter(|_| accepted_by_tls) else { return true };
        connection.certificate.as_ref().is_some_and(|certificate| certificate.matches(fingerprint))
    }

    /// Whether a request is meant for this session.
    pub(super) fn is_meant(&self, to: &MsrpUri) -> bool {
        self.same(&self.own, to)
    }

    fn same(&self, known: &MsrpUri, said: &MsrpUri) -> bool {
        known.matches(said) || (self.plan.by_session_id_only && known.matches_session_id(said))
    }

    /// Whether a media type is among those that the session takes.
    pub(super) fn takes(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let Some((kind, subtype)) = essence.split_once('/') else { return false };
        let is_token = |part: &str| !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_graphic());
        if !is_token(kind) || !is_token(subtype) {
            return false;
        }
        let types = &self.plan.accept_types;
        types.is_empty()
            || types.iter().any(|entry| {
                let entry = entry.split(';').next().unwrap_or_default().trim();
                entry == "*"
                    || entry.eq_ignore_ascii_case(essence)
                    || entry.strip_suffix("/*").is_some_and(|entry| entry.eq_ignore_ascii_case(kind))
            })
    }

    /// The next moment at which something is due.
    pub(super) fn deadline(&mut self, reassembly: std::time::Duration) -> Option<Instant> {
        while let Some((_, transaction)) = self.responses_due.front()
            && !self.transactions.contains_key(transaction)
        {
            self.responses_due.pop_front();
        }
        let response = self.responses_due.front().map(|due| due.0);
        let report = self.reports_due.first().map(|due| due.0);
        let chunk = self.incoming.iter().map(|incoming| incoming.touched + reassembly).min();
        [self.bind_by, self.keep_alive_at, response, report, chunk].into_iter().flatten().min()
    }
}

/// From being bound to the end.
impl Endpoint {
    pub(super) fn emit(&mut self, key: SessionKey, event: SessionEvent) {
        self.outputs.push_back(Output::Event { key, event });
    }

    /// Both ends know their connection.
    pub(super) fn bound(&mut self, now: Instant, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.state = State::Bound;
        session.bind_by = None;
        session.keep_alive_at = self.config.timers.keep_alive.map(|span| now + span);
        let mut bulk: Vec<(u64, MessageId)> = session
            .outgoing
            .iter()
            .filter(|(_, outgoing)| outgoing.is_bulk)
            .map(|(id, outgoing)| (outgoing.number, id.clone()))
            .collect();
        bulk.sort_unstable();
        self.emit(key, SessionEvent::Bound);
        for (_, id) in bulk {
            self.queue_bulk(key, &id);
        }
        self.queue_lines(key);
        self.arm_session(key);
    }

    /// The active end's first SEND, which has no body (§5.4).
    pub(super) fn send_first(&mut self, now: Instant, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(&key) {
            session.state = State::Binding;
        }
        self.send_empty(now, key, Transaction::Bind);
    }

    pub(super) fn send_empty(&mut self, now: Instant, key: SessionKey, kind: Transaction) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some(id) = session.connection else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let transaction = TransactionId::random(&mut self.config.random);
        let message = MessageId::random(&mut self.config.random);
        connection.replies.add(|out| {
            connection::put(out, &["MSRP ", transaction.as_str(), " SEND\r\n", &session.paths]);
            connection::put(out, &["Message-ID: ", message.as_str(), "\r\nByte-Range: 1-0/0\r\n"]);
            connection::put(out, &["-------", transaction.as_str(), "$\r\n"]);
        });
        session.transactions.insert(transaction, kind);
        session.responses_due.push_back((now + self.config.timers.response, transaction));
        self.arm_session(key);
        self.signal(id);
    }

    /// A message has not arrived, and no more of it is sent.
    pub(super) fn fail(&mut self, key: SessionKey, id: &MessageId, code: u16, reason: &str) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some(outgoing) = session.outgoing.remove(id) else { return };
        if let Some(due) = outgoing.due {
            session.reports_due.remove(&(due, id.clone()));
        }
        let is_half_sent = outgoing.has_begun && !outgoing.is_written;
        if let Some(connection) = session.connection.filter(|_| is_half_sent) {
            self.give_up(connection, key, id, &outgoing);
        }
        self.emit(key, SessionEvent::NotDelivered { id: id.clone(), code, reason: reason.into() });
    }

    /// Looks whether a message has arrived by what its sender wanted to know.
    pub(super) fn settle(&mut self, key: SessionKey, id: &MessageId, code: u16, reason: &str) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if session.outgoing.get(id).is_some_and(|outgoing| outgoing.fate() == Fate::Delivered) {
            self.delivered(key, id, code, reason);
        }
    }

    pub(super) fn delivered(&mut self, key: SessionKey, id: &MessageId, code: u16, reason: &str) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some(outgoing) = session.outgoing.remove(id) else { return };
        if let Some(due) = outgoing.due {
            session.reports_due.remove(&(due, id.clone()));
        }
        self.emit(key, SessionEvent::Delivered { id: id.clone(), code, reason: reason.into() });
    }

    /// A session is over: nothing of it stays, and everything of it is told.
    pub(super) fn end(&mut self, now: Instant, key: SessionKey, reason: EndReason) {
        let Some(session) = self.sessions.remove(&key) else { return };
        if let Some(session_id) = session.own.session_id() {
            self.by_session_id.remove(session_id);
        }
        if let Some(armed) = session.armed {
            self.timers.remove(&(armed, Timer::Session(key)));
        }
        let said: Arc<str> = reason.to_string().into();
        let mut open: Vec<(u64, MessageId)> =
            session.outgoing.iter().map(|(id, outgoing)| (outgoing.number, id.clone())).collect();
        open.sort_unstable();
        for (_, id) in open {
            self.emit(key, SessionEvent::NotDelivered { id, code: 0, reason: Arc::clone(&said) });
        }
        if session.transactions.values().any(|transaction| matches!(transaction, Transaction::Nickname)) {
            self.emit(key, SessionEvent::NicknameAnswered { code: 0, reason: Arc::clone(&said) });
        }
        for incoming in session.incoming {
            self.emit(key, SessionEvent::Aborted { id: incoming.id });
        }
        self.emit(key, SessionEvent::Ended { reason });
        if let Some(id) = session.connection
            && let Some(connection) = self.connections.get_mut(&id)
        {
            connection.sessions.retain(|other| *other != key);
            if let Some(writing) = connection.writing.as_mut().filter(|writing| writing.key == key) {
                writing.is_aborted = true;
            }
            match connection.receiving {
                Receiving::Message { key: of, .. } | Receiving::Duplicate { key: of, .. } if of == key => {
                    connection.receiving = Receiving::Skipped { left: self.config.limits.overrun };
                }
                _ => {}
            }
            self.release(now, id);
        }
    }

    pub(super) fn session_timeout(&mut self, now: Instant, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.armed = None;
        if session.bind_by.is_some_and(|at| at <= now) {
            return self.end(now, key, EndReason::TimedOut);
        }
        while let Some(session) = self.sessions.get_mut(&key)
            && let Some(&(at, transaction)) = session.responses_due.front()
            && at <= now
        {
            session.responses_due.pop_front();
            match session.transactions.remove(&transaction) {
                Some(Transaction::Bind) => return self.end(now, key, EndReason::TimedOut),
                Some(Transaction::KeepAlive) => {
                    return self.end(now, key, EndReason::ConnectionLost("nobody answers".into()));
                }
                Some(Transaction::Nickname) => {
                    self.emit(key, SessionEvent::NicknameAnswered { code: 408, reason: SILENCE.into() });
                }
                Some(Transaction::Chunk { id, must_be_answered: true, .. }) => self.fail(key, &id, 408, SILENCE),
                Some(Transaction::Chunk { .. }) | None => {}
            }
        }
        while let Some(session) = self.sessions.get_mut(&key)
            && let Some((at, id)) = session.reports_due.first().cloned()
            && at <= now
        {
            session.reports_due.pop_first();
            match session.outgoing.get(&id) {
                Some(outgoing) if outgoing.silence_is_consent() => self.delivered(key, &id, 200, "no error"),
                _ => self.fail(key, &id, 408, SILENCE),
            }
        }
        self.forget_stale_messages(now, key);
        if let Some(session) = self.sessions.get_mut(&key)
            && session.keep_alive_at.is_some_and(|at| at <= now)
        {
            session.keep_alive_at = self.config.timers.keep_alive.map(|span| now + span);
            self.send_empty(now, key, Transaction::KeepAlive);
        }
        self.arm_session(key);
    }

    pub(super) fn forget_stale_messages(&mut self, now: Instant, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let patience = self.config.timers.reassembly;
        let stale: Vec<MessageId> = session
            .incoming
            .iter()
            .filter(|incoming| incoming.touched + patience <= now)
            .map(|incoming| incoming.id.clone())
            .collect();
        for id in stale {
            session.seen.add(self.hasher.hash_one(id.as_str()), Done::Aborted);
            session.incoming.retain(|incoming| incoming.id != id);
            self.outputs.push_back(Output::Event { key, event: SessionEvent::Aborted { id } });
        }
    }

    pub(super) fn arm_session(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let deadline = session.deadline(self.config.timers.reassembly);
        arm(&mut self.timers, &mut session.armed, deadline, Timer::Session(key));
    }
}

const SILENCE: &str = "nothing was heard in time";
