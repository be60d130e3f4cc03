//! What goes out next on a connection, RFC 4975 §5.1 and §7.1.1.
//!
//! ```text
//!   1. responses, reports, requests without content: as soon as the open chunk may be interrupted
//!   2. lines: short messages, of each session in their order, the sessions in turn
//!   3. bulk: long messages in turn, in chunks that are interrupted (`+`) when 1. or 2. have something
//! ```
//!
//! A bulk chunk has `*` for its end. It is interrupted after 2048 octets if something of 1. or 2. waits, after 64 KiB if
//! other bulk waits, and after 1 MiB anyway, so that responses tell how far it has come.

use std::time::Instant;

use bytes::BytesMut;
use memchr::memmem;

use super::Endpoint;
use super::connection::{Connection, Writing, put};
use super::outgoing::{Outgoing, Source};
use super::session::{Session, State, Transaction};
use super::types::{ConnectionId, MessageId, Output, SessionEvent, SessionKey};
use crate::chunk::{Continuation, FailureReport, TransactionId};

/// The longest chunk that needs not be interruptible, and the shortest that is interrupted.
const UNINTERRUPTED: u64 = 2048;
/// A turn of bulk where other bulk waits.
const TURN: u64 = 65_536;
/// The longest chunk.
const LONGEST: u64 = 1 << 20;
/// Octets of lines after which bulk has a turn all the same.
const LINES: usize = 32_768;

/// Where a pull may end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Anywhere,
    AfterChunk,
}

/// How far a pull has come.
enum Step {
    /// Something was written or done; look again.
    On,
    /// There is no room left.
    Full,
    /// There is nothing that could be written.
    Dry,
}

impl Endpoint {
    /// Appends what goes out next on a connection, about `room` octets, and says whether there is more at once.
    ///
    /// A connection that has served its purpose is closed by the pull that takes its last octets: look at
    /// [`Endpoint::poll_output`] afterwards.
    pub fn poll_transmit(&mut self, now: Instant, id: ConnectionId, out: &mut BytesMut, room: usize) -> bool {
        self.pull(now, id, out, room, Cut::Anywhere)
    }

    /// As [`Endpoint::poll_transmit`], but one whole chunk and no more, its body about `room` octets at most: what a
    /// WebSocket message carries (RFC 7977 §5.1).
    pub fn poll_chunk(&mut self, now: Instant, id: ConnectionId, out: &mut BytesMut, room: usize) -> bool {
        self.pull(now, id, out, room, Cut::AfterChunk)
    }

    fn pull(&mut self, now: Instant, id: ConnectionId, out: &mut BytesMut, room: usize, cut: Cut) -> bool {
        let begin = out.len();
        let mut done = Vec::new();
        let more = loop {
            if cut == Cut::AfterChunk && out.len() > begin {
                match self.connections.get(&id) {
                    Some(connection) if connection.writing.is_none() => break connection.has_something(),
                    _ => {}
                }
            }
            let left = match cut {
                Cut::Anywhere => room.saturating_sub(out.len() - begin),
                // Of one chunk the body counts, whatever its head takes.
                Cut::AfterChunk => room.max(UNINTERRUPTED as usize),
            };
            match self.transmit_step(now, id, out, left, cut, &mut done) {
                Step::On => {}
                Step::Full => break true,
                Step::Dry => break false,
            }
        };
        for (key, message) in done {
            self.settle(key, &message, 200, "sent");
        }
        if !more && let Some(connection) = self.connections.get_mut(&id) {
            connection.is_signalled = false;
            if connection.is_closing {
                self.forget(id);
                self.outputs.push_back(Output::Close { connection: id });
            }
        }
        more
    }

    fn transmit_step(
        &mut self,
        now: Instant,
        id: ConnectionId,
        out: &mut BytesMut,
        left: usize,
        cut: Cut,
        done: &mut Vec<(SessionKey, MessageId)>,
    ) -> Step {
        let Some(connection) = self.connections.get_mut(&id).filter(|connection| connection.is_up) else {
            return Step::Dry;
        };
        if left == 0 {
            return if connection.has_something() { Step::Full } else { Step::Dry };
        }
        if connection.writing.is_some() {
            return self.write_on(now, id, out, left, cut, done);
        }
        if !connection.replies.is_empty() {
            match cut {
                // Nothing else goes out before the last of these octets, so they may be cut anywhere.
                Cut::Anywhere => connection.replies.take(left, out),
                Cut::AfterChunk => connection.replies.take_one(out),
            }
            return Step::On;
        }
        let bulk_is_due = connection.line_octets > LINES && !connection.bulk.is_empty();
        if !bulk_is_due && let Some(key) = connection.lines.pop_front() {
            return self.write_line(now, id, key, out, done);
        }
        if let Some((key, message)) = connection.bulk.pop_front() {
            connection.line_octets = 0;
            return self.begin_bulk(id, key, message, out);
        }
        Step::Dry
    }

    /// The next short message of a session, all of it, or the beginning of a middling one.
    fn write_line(
        &mut self,
        now: Instant,
        id: ConnectionId,
        key: SessionKey,
        out: &mut BytesMut,
        done: &mut Vec<(SessionKey, MessageId)>,
    ) -> Step {
        let Endpoint { sessions, connections, config, .. } = self;
        let (Some(session), Some(connection)) = (sessions.get_mut(&key), connections.get_mut(&id)) else {
            return Step::On;
        };
        // Its key may have been given to another session meanwhile.
        if session.connection != Some(id) || session.state != State::Bound {
            return Step::On;
        }
        session.has_turn = false;
        let before = out.len();
        while let Some(message) = session.lines.front().cloned() {
            let Some(outgoing) = session.outgoing.get_mut(&message) else {
                session.lines.pop_front();
                continue;
            };
            let total = outgoing.total.unwrap_or_default();
            let Source::Whole(content) = &outgoing.source else { unreachable!("a streamed message is bulk") };
            let mut transaction = TransactionId::random(&mut config.random);
            if outgoing.next > 0 || total > UNINTERRUPTED {
                begin_chunk(session, connection, key, message, transaction, out);
                break;
            }
            while memmem::find(content, transaction.as_bytes()).is_some() {
                transaction = TransactionId::random(&mut config.random);
            }
            let range = format_range(1, Some(total), Some(total));
            let content = content.clone();
            write_head(out, &session.paths, &message, outgoing, transaction, &range);
            out.extend_from_slice(&content);
            out.extend_from_slice(b"\r\n");
            outgoing.next = total;
            session.lines.pop_front();
            register(session, &message, transaction, 0);
            if close_chunk(now, &config.timers, session, &message, transaction, Continuation::Complete, out) {
                done.push((key, message));
            }
            break;
        }
        connection.line_octets = connection.line_octets.saturating_add(out.len() - before);
        if !session.lines.is_empty() && connection.writing.is_none() {
            session.has_turn = true;
            connection.lines.push_back(key);
        }
        self.arm_session(key);
        Step::On
    }

    fn begin_bulk(&mut self, id: ConnectionId, key: SessionKey, message: MessageId, out: &mut BytesMut) -> Step {
        let Endpoint { sessions, connections, config, .. } = self;
        let (Some(session), Some(connection)) = (sessions.get_mut(&key), connections.get_mut(&id)) else {
            return Step::On;
        };
        let is_its = session.connection == Some(id) && session.state == State::Bound;
        if let Some(outgoing) = session.outgoing.get_mut(&message).filter(|outgoing| is_its && outgoing.has_turn) {
            outgoing.has_turn = false;
            let transaction = TransactionId::random(&mut config.random);
            begin_chunk(session, connection, key, message, transaction, out);
        }
        Step::On
    }

    /// More of the open chunk, or its end.
    fn write_on(
        &mut self,
        now: Instant,
        id: ConnectionId,
        out: &mut BytesMut,
        left: usize,
        cut: Cut,
        done: &mut Vec<(SessionKey, MessageId)>,
    ) -> Step {
        let Endpoint { sessions, connections, config, .. } = self;
        let Some(connection) = connections.get_mut(&id) else { return Step::Dry };
        let Some(mut writing) = connection.writing.take() else { return Step::On };
        let is_aborted = writing.is_aborted;
        let session = sessions.get_mut(&writing.key).filter(|_| !is_aborted);
        let Some(session) = session.filter(|session| session.outgoing.contains_key(&writing.id)) else {
            out.extend_from_slice(b"\r\n");
            Continuation::Aborted.write_to(out, writing.transaction);
            // Whoever waited behind it has its turn.
            self.queue_lines(writing.key);
            return Step::On;
        };
        let outgoing = session.outgoing.get_mut(&writing.id).expect("it was there a line ago");
        let turn = match cut {
            Cut::Anywhere => writing.turn(connection),
            Cut::AfterChunk => writing.turn(connection).min(left as u64),
        };
        let mut flag = None;
        if outgoing.is_exhausted() {
            flag = Some(Continuation::Complete);
        } else if writing.written >= turn {
            flag = Some(Continuation::More);
        } else {
            match outgoing.available() {
                None if connection.has_something() || cut == Cut::AfterChunk => flag = Some(Continuation::More),
                None => {
                    connection.writing = Some(writing);
                    return Step::Dry;
                }
                Some(octets) => {
                    let most = octets.len().min(left).min((turn - writing.written) as usize);
                    let (count, is_cut) = writing.clear(&octets[..most]);
                    writing.write(&octets[..count], out);
                    outgoing.advance(count);
                    if is_cut {
                        flag = Some(Continuation::More);
                    }
                }
            }
        }
        let (key, message) = (writing.key, writing.id.clone());
        let Some(flag) = flag else {
            connection.writing = Some(writing);
            self.ask_for_more(key, &message);
            return Step::On;
        };
        out.extend_from_slice(b"\r\n");
        let is_bulk = writing.is_bulk;
        if close_chunk(now, &config.timers, session, &message, writing.transaction, flag, out) {
            done.push((key, message.clone()));
        }
        if is_bulk {
            self.queue_bulk(key, &message);
        } else {
            if flag == Continuation::Complete {
                session.lines.pop_front();
            }
            if !session.lines.is_empty() {
                // What it has begun comes before what others begin.
                session.has_turn = true;
                connection.lines.push_front(key);
            }
        }
        self.arm_session(key);
        Step::On
    }

    /// Gives a session's lines their turn.
    pub(super) fn queue_lines(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key).filter(|session| session.state == State::Bound) else { return };
        let Some(id) = session.connection.filter(|_| !session.has_turn && !session.lines.is_empty()) else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        // One that is half written brings the rest with it.
        let is_open = connection.writing.as_ref().is_some_and(|writing| writing.key == key && !writing.is_bulk);
        if !is_open {
            session.has_turn = true;
            connection.lines.push_back(key);
        }
        self.signal(id);
    }

    /// Gives a long message its turn, if it has octets to be written; and asks for more of them.
    pub(super) fn queue_bulk(&mut self, key: SessionKey, message: &MessageId) {
        let Some(session) = self.sessions.get_mut(&key).filter(|session| session.state == State::Bound) else { return };
        let Some(outgoing) = session.outgoing.get_mut(message).filter(|outgoing| !outgoing.is_written) else { return };
        let Some(id) = session.connection else { return };
        if let Some(connection) = self.connections.get_mut(&id) {
            let is_open = connection.writing.as_ref().is_some_and(|w| w.key == key && w.id == *message);
            if !outgoing.has_turn && !is_open && outgoing.available().is_some() {
                outgoing.has_turn = true;
                connection.bulk.push_back((key, message.clone()));
            }
        }
        self.ask_for_more(key, message);
        self.signal(id);
    }

    /// Asks for octets of a streamed message while there is still something left to send.
    fn ask_for_more(&mut self, key: SessionKey, message: &MessageId) {
        let ahead = self.config.limits.ahead;
        let Some(outgoing) = self.sessions.get_mut(&key).and_then(|session| session.outgoing.get_mut(message)) else {
            return;
        };
        let (next, total) = (outgoing.next, outgoing.total);
        let Source::Streamed { buffered, is_wanted, is_last, .. } = &mut outgoing.source else { return };
        if *is_wanted || *is_last || *buffered > ahead / 2 {
            return;
        }
        let at = next + *buffered as u64;
        let rest = total.map_or(u64::MAX, |total| total.saturating_sub(at));
        let up_to = usize::try_from(rest).unwrap_or(usize::MAX).min(ahead - *buffered);
        if up_to > 0 {
            *is_wanted = true;
            self.emit(key, SessionEvent::Wanted { id: message.clone(), at, up_to });
        }
    }

    /// Tells the receiver of a message's beginning that there will be no end.
    pub(super) fn give_up(&mut self, id: ConnectionId, key: SessionKey, message: &MessageId, outgoing: &Outgoing) {
        let (Some(session), Some(connection)) = (self.sessions.get_mut(&key), self.connections.get_mut(&id)) else {
            return;
        };
        match &mut connection.writing {
            Some(writing) if writing.key == key && writing.id == *message => writing.is_aborted = true,
            _ => {
                let transaction = TransactionId::random(&mut self.config.random);
                let range = format_range(outgoing.next + 1, Some(outgoing.next), outgoing.total);
                connection.replies.add(|out| {
                    write_head(out, &session.paths, message, outgoing, transaction, &range);
                    out.extend_from_slice(b"\r\n");
                    Continuation::Aborted.write_to(out, transaction);
                });
            }
        }
        self.signal(id);
    }
}

impl Writing {
    /// How long the chunk may become, by what else waits.
    fn turn(&self, connection: &Connection) -> u64 {
        if !connection.replies.is_empty() || (self.is_bulk && !connection.lines.is_empty()) {
            UNINTERRUPTED
        } else if self.is_bulk && !connection.bulk.is_empty() {
            TURN
        } else {
            LONGEST
        }
    }

    /// How many of these octets can be written without an end-line appearing in the body, and whether that is fewer
    /// than all: then the chunk is interrupted there, as §7.1 suggests.
    fn clear(&self, octets: &[u8]) -> (usize, bool) {
        let mut mark = [b'-'; 7 + 32];
        let id = self.transaction.as_bytes();
        mark[7..7 + id.len()].copy_from_slice(id);
        let mark = &mark[..7 + id.len()];
        let mut joined = self.tail.clone();
        joined.extend_from_slice(&octets[..octets.len().min(mark.len() - 1)]);
        let across = memmem::find(&joined, mark).map(|at| at + mark.len() - 1 - self.tail.len());
        let within = || memmem::find(octets, mark).map(|at| at + mark.len() - 1);
        match across.or_else(within) {
            Some(count) => (count, true),
            None => (octets.len(), false),
        }
    }

    fn write(&mut self, octets: &[u8], out: &mut BytesMut) {
        out.extend_from_slice(octets);
        self.written += octets.len() as u64;
        let most = 6 + self.transaction.as_bytes().len();
        if octets.len() >= most {
            self.tail.clear();
        } else {
            let surplus = (self.tail.len() + octets.len()).saturating_sub(most);
            self.tail.drain(..surplus);
        }
        self.tail.extend_from_slice(&octets[octets.len().saturating_sub(most)..]);
    }
}

/// Opens a chunk that can be interrupted.
fn begin_chunk(
    session: &mut Session,
    connection: &mut Connection,
    key: SessionKey,
    message: MessageId,
    transaction: TransactionId,
    out: &mut BytesMut,
) {
    let Some(outgoing) = session.outgoing.get_mut(&message) else { return };
    let start = outgoing.next;
    let range = format_range(start + 1, None, outgoing.total);
    write_head(out, &session.paths, &message, outgoing, transaction, &range);
    let is_bulk = outgoing.is_bulk;
    register(session, &message, transaction, start);
    let tail = Vec::with_capacity(48);
    connection.writing = Some(Writing { key, id: message, transaction, written: 0, is_bulk, is_aborted: false, tail });
}

/// Remembers a chunk whose response may come.
fn register(session: &mut Session, message: &MessageId, transaction: TransactionId, start: u64) {
    let Some(outgoing) = session.outgoing.get_mut(message) else { return };
    outgoing.has_begun = true;
    if outgoing.failure_report == FailureReport::No {
        return;
    }
    let must_be_answered = outgoing.failure_report == FailureReport::Yes;
    outgoing.unanswered += u32::from(must_be_answered);
    let chunk = Transaction::Chunk { id: message.clone(), start, end: None, must_be_answered, is_answered: false };
    session.transactions.insert(transaction, chunk);
}

/// Prints the end-line and starts the clocks. Whether the message may be settled by this alone.
fn close_chunk(
    now: Instant,
    timers: &super::Timers,
    session: &mut Session,
    message: &MessageId,
    transaction: TransactionId,
    flag: Continuation,
    out: &mut BytesMut,
) -> bool {
    flag.write_to(out, transaction);
    let Some(outgoing) = session.outgoing.get_mut(message) else { return false };
    match session.transactions.get_mut(&transaction) {
        Some(Transaction::Chunk { start, is_answered: true, .. }) => {
            outgoing.answered.add(*start, outgoing.next);
            session.transactions.remove(&transaction);
        }
        Some(Transaction::Chunk { end, .. }) => {
            *end = Some(outgoing.next);
            session.responses_due.push_back((now + timers.response, transaction));
        }
        _ => {}
    }
    if flag != Continuation::Complete {
        return false;
    }
    outgoing.is_written = true;
    outgoing.total = Some(outgoing.next);
    outgoing.source = Source::Whole(bytes::Bytes::new());
    if outgoing.success_report || outgoing.silence_is_consent() {
        let due = now + timers.report;
        outgoing.due = Some(due);
        session.reports_due.insert((due, message.clone()));
    }
    outgoing.fate() == super::outgoing::Fate::Delivered
}

/// Start line and fields of a SEND, and the empty line before its body.
fn write_head(
    out: &mut BytesMut,
    paths: &str,
    message: &MessageId,
    outgoing: &Outgoing,
    transaction: TransactionId,
    range: &str,
) {
    out.reserve(paths.len() + 256);
    put(out, &["MSRP ", transaction.as_str(), " SEND\r\n", paths, "Message-ID: ", message.as_str()]);
    put(out, &["\r\nByte-Range: ", range, "\r\n"]);
    if outgoing.success_report {
        put(out, &["Success-Report: yes\r\n"]);
    }
    if outgoing.failure_report != FailureReport::Yes {
        put(out, &["Failure-Report: ", outgoing.failure_report.as_str(), "\r\n"]);
    }
    put(out, &["Content-Type: ", &outgoing.content_type, "\r\n\r\n"]);
}

fn format_range(start: u64, end: Option<u64>, total: Option<u64>) -> String {
    // §7.1.1: where there is nothing, the start is 1 all the same.
    crate::chunk::ByteRange { start, end, total }.to_string()
}
