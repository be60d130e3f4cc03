//! Answers to what we sent: responses and reports, RFC 4975 §7.1.1 and §7.3.2.
//!
//! ```text
//!   response ─► which transaction of ours? ─► Bind ─► Bound, or the session is over
//!                                             Chunk ─► 200: so much is there; else the message has not arrived
//!   REPORT   ─► which message of ours?     ─► so much has arrived; or the message has not
//! ```

use std::time::Instant;

use super::Endpoint;
use super::session::Transaction;
use super::types::{ConnectionId, EndReason, MessageId, Output, SessionEvent, SessionKey};
use crate::chunk::Head;

impl Endpoint {
    pub(super) fn response(&mut self, now: Instant, id: ConnectionId, head: &Head, code: u16, reason: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let transaction = head.transaction();
        if let Some(place) = connection.requests.iter().position(|request| request.0 == transaction) {
            let (_, request, _) = connection.requests.swap_remove(place);
            let head = Some(Box::new(head.clone()));
            self.outputs.push_back(Output::Answered { connection: id, request, head });
            return;
        }
        let Ok(to) = head.to_path() else { return };
        let Some(&key) = to.last().session_id().and_then(|session_id| self.by_session_id.get(session_id)) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&key).filter(|session| session.connection == Some(id)) else {
            return;
        };
        if !session.is_meant(to.last()) {
            return;
        }
        let is_success = (200..300).contains(&code);
        match session.transactions.get_mut(&transaction) {
            None => {}
            Some(Transaction::Chunk { end: None, is_answered, must_be_answered, id: message, .. }) if is_success => {
                // Before its end: counts when that has gone out.
                if !std::mem::replace(is_answered, true)
                    && std::mem::replace(must_be_answered, false)
                    && let Some(outgoing) = session.outgoing.get_mut(message)
                {
                    outgoing.unanswered = outgoing.unanswered.saturating_sub(1);
                }
            }
            Some(_) => {
                let Some(transaction) = session.transactions.remove(&transaction) else { return };
                self.answered(now, key, transaction, code, reason);
            }
        }
        self.arm_session(key);
    }

    fn answered(&mut self, now: Instant, key: SessionKey, transaction: Transaction, code: u16, reason: &str) {
        let is_success = (200..300).contains(&code);
        match transaction {
            Transaction::Bind if is_success => self.bound(now, key),
            Transaction::Bind => self.end(now, key, EndReason::Refused(code, reason.into())),
            Transaction::KeepAlive => {
                if code == 481 || code == 506 || code == 408 {
                    self.end(now, key, EndReason::Refused(code, reason.into()));
                }
            }
            Transaction::Nickname => self.emit(key, SessionEvent::NicknameAnswered { code, reason: reason.into() }),
            Transaction::Chunk { id, start, end, must_be_answered, .. } if is_success => {
                let Some(session) = self.sessions.get_mut(&key) else { return };
                let Some(outgoing) = session.outgoing.get_mut(&id) else { return };
                outgoing.unanswered = outgoing.unanswered.saturating_sub(u32::from(must_be_answered));
                outgoing.answered.add(start, end.unwrap_or(start));
                self.heard_of(now, key, &id);
                self.settle(key, &id, code, reason);
            }
            Transaction::Chunk { id, .. } => {
                self.fail(key, &id, code, reason);
                // §10.8, §10.10: there is no session to go on with.
                if code == 481 || code == 506 {
                    self.end(now, key, EndReason::Refused(code, reason.into()));
                }
            }
        }
    }

    /// A sign of a message's receiver: the wait for its report begins anew, and progress is told.
    fn heard_of(&mut self, now: Instant, key: SessionKey, id: &MessageId) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some(outgoing) = session.outgoing.get_mut(id) else { return };
        if let Some(due) = outgoing.due.filter(|_| !outgoing.silence_is_consent()) {
            session.reports_due.remove(&(due, id.clone()));
            let due = now + self.config.timers.report;
            outgoing.due = Some(due);
            session.reports_due.insert((due, id.clone()));
        }
        if outgoing.is_bulk {
            let acknowledged = outgoing.acknowledged();
            self.emit(key, SessionEvent::Progress { id: id.clone(), acknowledged });
        }
    }

    /// A report, §7.3.2. One for a message that isn't known is ignored.
    pub(super) fn report(&mut self, now: Instant, key: SessionKey, head: &Head) {
        let (Some(message), Some(status)) = (head.message_id(), head.status()) else { return };
        let Ok(range) = head.byte_range() else { return };
        let id = MessageId::from(message);
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some(outgoing) = session.outgoing.get_mut(&id) else { return };
        if status.namespace != 0 || !outgoing.has_begun {
            return;
        }
        if !(200..300).contains(&status.code) {
            return self.fail(key, &id, status.code, &status.comment);
        }
        let written = outgoing.next;
        let (start, end) = match range {
            // Nobody has more than was written.
            Some(range) => (range.start - 1, range.end.unwrap_or(written).min(written)),
            None => (0, written),
        };
        outgoing.reported.add(start, end);
        // A report of the whole says that all chunks have come, whether or not their responses have.
        self.heard_of(now, key, &id);
        self.settle(key, &id, status.code, &status.comment);
        self.arm_session(key);
    }
}
