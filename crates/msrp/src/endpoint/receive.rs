//! What comes in on a connection, RFC 4975 §7.2 to §7.3.
//!
//! ```text
//!   request ─► is its To-Path one of our sessions?  no ─► 481 (and the connection is closed if it has no session)
//!                │ yes, on another connection           ─► 506
//!                ▼
//!              SEND ─► 400, 413, 415, or its octets to their place; at its end 200, and a report when all is there
//!              REPORT ─► what has become of a message; never answered
//!              NICKNAME ─► to the room;  others ─► 501
//! ```

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::connection::{Receiving, put};
use super::incoming::{Done, Incoming, Pending, Room};
use super::session::State;
use super::types::{CommandError, ConnectionId, EndReason, MessageId, SessionEvent, SessionKey, Verdict};
use super::{Endpoint, comment};
use crate::chunk::{ByteRange, Continuation, FailureReport, Head, Method, Piece, Start, TransactionId};

/// The longest body of a request that is no SEND (§7.1).
const LONGEST_OTHER_BODY: u64 = 10_240;

impl Endpoint {
    pub(super) fn received(&mut self, now: Instant, id: ConnectionId, bytes: Bytes) {
        let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.is_closing) else {
            return;
        };
        let Some(mut framer) = connection.framer.take() else { return };
        framer.feed(bytes);
        loop {
            match framer.next() {
                Ok(Some(piece)) => self.piece(now, id, piece),
                Ok(None) => break,
                Err(_) => return self.cut_off(now, id, "the peer does not speak MSRP"),
            }
            // A piece can be the end of its connection.
            match self.connections.get(&id) {
                Some(connection) if connection.replies.len() > self.config.limits.replies => {
                    return self.cut_off(now, id, "the peer reads none of our responses");
                }
                Some(connection) if !connection.is_closing => {}
                _ => return,
            }
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.framer = Some(framer);
        }
        self.signal(id);
    }

    fn piece(&mut self, now: Instant, id: ConnectionId, piece: Piece) {
        let head = Arc::clone(&piece.head);
        if matches!(self.connections.get(&id), Some(connection) if matches!(connection.receiving, Receiving::Nothing)) {
            let receiving = match head.start() {
                Start::Response(code, comment) => {
                    if head.fault().is_none() {
                        self.response(now, id, &head, *code, comment);
                    }
                    Receiving::Skipped { left: LONGEST_OTHER_BODY }
                }
                Start::Request(_) => self.request_begins(now, id, &head),
            };
            let Some(connection) = self.connections.get_mut(&id) else { return };
            connection.receiving = receiving;
        }
        let end = piece.end;
        self.body(now, id, piece);
        if end.is_some()
            && let Some(connection) = self.connections.get_mut(&id)
        {
            connection.receiving = Receiving::Nothing;
        }
    }

    fn request_begins(&mut self, now: Instant, id: ConnectionId, head: &Arc<Head>) -> Receiving {
        let skipped = Receiving::Skipped {
            left: match head.method() {
                Some(Method::Send) => self.config.limits.overrun,
                _ => LONGEST_OTHER_BODY,
            },
        };
        if head.fault().is_some() {
            self.reply(id, None, head, 400);
            return skipped;
        }
        let key = match self.whose(now, id, head) {
            Ok(key) => key,
            Err(code) => {
                self.reply(id, None, head, code);
                // A connection that has no session gets none by guessing.
                self.release(now, id);
                return skipped;
            }
        };
        if let Some(session) = self.sessions.get_mut(&key) {
            session.keep_alive_at = self.config.timers.keep_alive.map(|span| now + span);
        }
        match head.method() {
            Some(Method::Send) => return self.send_begins(now, id, key, head).unwrap_or(skipped),
            Some(Method::Report) => self.report(now, key, head),
            Some(Method::Nickname) => self.nickname_asked(id, key, head),
            _ => self.reply(id, Some(key), head, 501),
        }
        skipped
    }

    /// The session that a request belongs to, §5.4 and §7.3; one that waits for its connection has found it.
    fn whose(&mut self, now: Instant, id: ConnectionId, head: &Head) -> Result<SessionKey, u16> {
        let to = head.to_path().map_err(|_| 400_u16)?;
        let from = head.from_path().map_err(|_| 400_u16)?;
        let connection = self.connections.get_mut(&id).ok_or(481_u16)?;
        // More than one URI is for relays.
        let [to] = to.uris() else { return Err(481) };
        let key = to.session_id().and_then(|session_id| self.by_session_id.get(session_id)).copied().ok_or(481_u16)?;
        let session = self.sessions.get_mut(&key).ok_or(481_u16)?;
        let is_meant = session.is_meant(to) && (connection.is_secure || !session.plan.is_secure);
        if !is_meant || !session.is_peer(&from) {
            return Err(481);
        }
        match session.connection {
            Some(other) if other != id => return Err(506),
            Some(_) => {}
            None if !session.is_shown(connection) => {
                // "Then the endpoint MUST tear down the media session immediately" (§14.4).
                self.end(now, key, EndReason::WrongPeer);
                return Err(481);
            }
            None => {
                session.connection = Some(id);
                connection.sessions.push(key);
                connection.idle_by = None;
                if session.state == State::Opened {
                    // Its description will tell whether this is the peer.
                    session.peer = Some(from.last().clone());
                }
            }
        }
        if session.state == State::Waiting {
            self.bound(now, key);
        }
        Ok(key)
    }

    fn send_begins(&mut self, now: Instant, id: ConnectionId, key: SessionKey, head: &Arc<Head>) -> Option<Receiving> {
        if !head.has_body() {
            if head.failure_report() == FailureReport::Yes {
                self.reply(id, Some(key), head, 200);
            }
            return None;
        }
        match self.check_send(now, key, head) {
            Ok(receiving) => Some(receiving),
            Err(code) => {
                if let (Some(message), Some(session)) = (head.message_id(), self.sessions.get_mut(&key))
                    && session.seen.get(self.hasher.hash_one(message)).is_none()
                    && code != 400
                {
                    session.seen.add(self.hasher.hash_one(message), Done::Refused(code));
                }
                self.reply(id, Some(key), head, code);
                None
            }
        }
    }

    fn check_send(&mut self, now: Instant, key: SessionKey, head: &Arc<Head>) -> Result<Receiving, u16> {
        let limits = &self.config.limits;
        let session = self.sessions.get_mut(&key).ok_or(481_u16)?;
        let message = head.message_id().ok_or(400_u16)?;
        let range = head.byte_range().map_err(|_| 400_u16)?.unwrap_or(ByteRange::UNKNOWN);
        match session.seen.get(self.hasher.hash_one(message)) {
            Some(Done::Taken) => return Ok(Receiving::Duplicate { key, left: session.plan.max_message }),
            Some(Done::Refused(code)) => return Err(code),
            Some(Done::Aborted) => return Err(413),
            None => {}
        }
        let content_type = head.content_type().ok_or(415_u16)?;
        if !session.takes(content_type) {
            return Err(415);
        }
        let most = session.plan.max_message;
        if range.total.is_some_and(|total| total > most) || range.start - 1 > most {
            self.drop_incoming(key, message);
            return Err(413);
        }
        if !session.incoming.iter().any(|incoming| incoming.id.as_str() == message) {
            if session.incoming.len() >= limits.messages || session.verdicts.len() >= limits.verdicts {
                return Err(413);
            }
            let is_streamed = session.plan.streams_incoming;
            session.incoming.push(Incoming::new(now, message.into(), content_type, head, is_streamed));
        }
        Ok(Receiving::Message { key, id: message.into(), start: range.start - 1, head: Arc::clone(head) })
    }

    fn drop_incoming(&mut self, key: SessionKey, message: &str) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if let Some(place) = session.incoming.iter().position(|incoming| incoming.id.as_str() == message) {
            let incoming = session.incoming.swap_remove(place);
            self.emit(key, SessionEvent::Aborted { id: incoming.id });
        }
    }

    fn body(&mut self, now: Instant, id: ConnectionId, piece: Piece) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let length = piece.body.len() as u64;
        match &mut connection.receiving {
            Receiving::Nothing => {}
            Receiving::Skipped { left } | Receiving::Duplicate { left, .. } if *left < length => {
                self.cut_off(now, id, "the peer goes on with what was refused");
            }
            Receiving::Skipped { left } => *left -= length,
            Receiving::Duplicate { key, left } => {
                *left -= length;
                let key = *key;
                if piece.end.is_some() {
                    self.acknowledge_again(id, key, &piece);
                }
            }
            Receiving::Message { key, id: message, start, .. } => {
                let (key, message, start) = (*key, message.clone(), *start);
                self.message_part(now, id, key, &message, start, piece);
            }
        }
    }

    /// A piece of a message, and perhaps its end.
    fn message_part(
        &mut self,
        now: Instant,
        id: ConnectionId,
        key: SessionKey,
        message: &MessageId,
        start: u64,
        piece: Piece,
    ) {
        let hash = self.hasher.hash_one(message.as_str());
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some(place) = session.incoming.iter().position(|incoming| incoming.id == *message) else { return };
        let others: usize = session.incoming.iter().map(Incoming::held).sum::<usize>() - session.incoming[place].held();
        let room = Room {
            message: session.plan.max_message,
            octets: self.config.limits.octets.saturating_sub(others),
            spans: self.config.limits.spans,
        };
        let incoming = &mut session.incoming[place];
        incoming.touched = now;
        let at = start.saturating_add(piece.offset);
        let is_whole = at == 0 && piece.end == Some(Continuation::Complete);
        let Ok(parts) = incoming.put(at, &piece.body, is_whole, &room) else {
            session.seen.add(hash, Done::Refused(413));
            self.drop_incoming(key, message.as_str());
            self.reply(id, Some(key), &piece.head, 413);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.receiving = Receiving::Skipped { left: self.config.limits.overrun };
            }
            return;
        };
        match piece.end {
            Some(Continuation::Aborted) => {
                session.seen.add(hash, Done::Aborted);
                self.drop_incoming(key, message.as_str());
                return self.answer(id, key, &piece.head);
            }
            Some(Continuation::Complete) => incoming.close_at(at + piece.body.len() as u64),
            Some(Continuation::More) | None => {}
        }
        let total = piece.end.and_then(|_| incoming.complete());
        let is_streamed = incoming.is_streamed();
        let mut events: Vec<SessionEvent> = Vec::new();
        if is_streamed {
            let last = parts.len().wrapping_sub(1);
            for (index, (at, bytes)) in parts.into_iter().enumerate() {
                events.push(incoming.data(at, bytes, total.is_some() && index == last));
            }
            if let Some(total) = total.filter(|_| events.is_empty()) {
                events.push(incoming.data(total, Bytes::new(), true));
            }
        }
        match total {
            Some(total) => {
                let incoming = session.incoming.swap_remove(place);
                session.seen.add(hash, Done::Taken);
                let asks = session.plan.asks;
                if asks {
                    let pending = Pending { id: message.clone(), head: Arc::clone(&piece.head), total };
                    session.verdicts.push_back(pending);
                }
                if !is_streamed {
                    events.push(SessionEvent::Message(incoming.into_message(total)));
                }
                if !asks {
                    self.answer(id, key, &piece.head);
                    self.report_success(key, message, &piece.head, total);
                }
            }
            None if piece.end.is_some() => self.answer(id, key, &piece.head),
            None => {}
        }
        for event in events {
            self.emit(key, event);
        }
        self.arm_session(key);
    }

    /// 200, if the sender waits for it (§7.2).
    fn answer(&mut self, id: ConnectionId, key: SessionKey, head: &Head) {
        if head.failure_report() == FailureReport::Yes {
            self.reply(id, Some(key), head, 200);
        }
    }

    /// A response, unless the sender wants none; a REPORT never gets one.
    fn reply(&mut self, id: ConnectionId, key: Option<SessionKey>, head: &Head, code: u16) {
        self.reply_with(id, key, head, code, comment(code));
    }

    fn reply_with(&mut self, id: ConnectionId, key: Option<SessionKey>, head: &Head, code: u16, comment: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let is_unwanted = match head.method() {
            Some(Method::Report) | None => true,
            _ => head.failure_report() == FailureReport::No,
        };
        if is_unwanted {
            return;
        }
        match key.and_then(|key| self.sessions.get(&key)) {
            Some(session) => connection.reply(head, session.own.as_str(), code, comment),
            // As whom we were addressed, though we are not.
            None => {
                if let Ok(to) = head.to_path() {
                    connection.reply(head, to.first().as_str(), code, comment);
                }
            }
        }
        self.signal(id);
    }

    /// The message is known; its sender doesn't know that (§5.4).
    fn acknowledge_again(&mut self, id: ConnectionId, key: SessionKey, piece: &Piece) {
        self.answer(id, key, &piece.head);
        let Some(message) = piece.head.message_id() else { return };
        let start = piece.head.byte_range().ok().flatten().unwrap_or(ByteRange::UNKNOWN).start;
        let end = (start - 1).saturating_add(piece.offset).saturating_add(piece.body.len() as u64);
        if piece.end == Some(Continuation::Complete) {
            self.report_success(key, &message.into(), &piece.head, end);
        }
    }

    /// A success report for all of a message, if its sender wants one (§7.1.3).
    fn report_success(&mut self, key: SessionKey, message: &MessageId, head: &Head, total: u64) {
        if head.success_report() {
            self.send_report(key, message, head, total, 200, comment(200));
        }
    }

    fn send_report(&mut self, key: SessionKey, message: &MessageId, head: &Head, total: u64, code: u16, comment: &str) {
        let Some(session) = self.sessions.get(&key) else { return };
        let (Some(id), Some(back)) = (session.connection, head.get("From-Path")) else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let transaction = TransactionId::random(&mut self.config.random);
        let range = ByteRange::whole(total).to_string();
        let code = format!("{code:03}");
        connection.replies.add(|out| {
            put(out, &["MSRP ", transaction.as_str(), " REPORT\r\nTo-Path: ", back]);
            put(out, &["\r\nFrom-Path: ", session.own.as_str(), "\r\nMessage-ID: ", message.as_str()]);
            put(out, &["\r\nByte-Range: ", &range, "\r\nStatus: 000 ", &code, " ", comment, "\r\n"]);
            put(out, &["-------", transaction.as_str(), "$\r\n"]);
        });
        self.signal(id);
    }

    pub(super) fn decide(
        &mut self,
        key: SessionKey,
        message: &MessageId,
        verdict: Verdict,
    ) -> Result<(), CommandError> {
        let session = self.sessions.get_mut(&key).ok_or(CommandError::NoSession)?;
        let hash = self.hasher.hash_one(message.as_str());
        let id = session.connection.ok_or(CommandError::NoConnection)?;
        if let Some(place) = session.verdicts.iter().position(|pending| pending.id == *message) {
            let pending = session.verdicts.remove(place).ok_or(CommandError::NoMessage)?;
            match verdict {
                Verdict::Deliver => {
                    self.answer(id, key, &pending.head);
                    self.report_success(key, message, &pending.head, pending.total);
                }
                Verdict::Refuse(code, reason) => {
                    session.seen.add(hash, Done::Refused(code));
                    self.reply_with(id, Some(key), &pending.head, code, &reason);
                }
            }
            return Ok(());
        }
        let place = session.incoming.iter().position(|incoming| incoming.id == *message);
        let (Some(place), Verdict::Refuse(code, reason)) = (place, verdict) else {
            // What is still coming is being taken as it is.
            return if place.is_some() { Ok(()) } else { Err(CommandError::NoMessage) };
        };
        session.incoming.swap_remove(place);
        session.seen.add(hash, Done::Refused(code));
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        // A chunk that is coming is answered at once, so that its sender can interrupt it (§10.5); later ones as they
        // begin.
        if matches!(&connection.receiving, Receiving::Message { key: of, id, .. } if *of == key && id == message) {
            let skipped = Receiving::Skipped { left: self.config.limits.overrun };
            if let Receiving::Message { head, .. } = std::mem::replace(&mut connection.receiving, skipped) {
                self.reply_with(id, Some(key), &head, code, &reason);
            }
        }
        Ok(())
    }

    fn nickname_asked(&mut self, id: ConnectionId, key: SessionKey, head: &Arc<Head>) {
        let nickname = head.get("Use-Nickname").and_then(unquote);
        let Some(session) = self.sessions.get_mut(&key) else { return };
        match nickname {
            _ if !session.plan.gives_nicknames => self.reply(id, Some(key), head, 501),
            Some(nickname) if session.nicknames.len() < 8 => {
                session.nicknames.push_back(Arc::clone(head));
                let transaction = head.transaction();
                self.emit(key, SessionEvent::Nickname { transaction, nickname: nickname.into() });
            }
            _ => self.reply(id, Some(key), head, 400),
        }
    }
}

/// The text of a quoted string.
fn unquote(value: &str) -> Option<String> {
    let inner = value.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(letters.next()?),
            '"' => return None,
            letter => text.push(letter),
        }
    }
    Some(text)
}
