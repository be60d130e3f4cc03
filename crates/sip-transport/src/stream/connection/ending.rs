//! How a connection ends: in order, or because something took too long.

use std::net::Shutdown;
use std::task::Context;

use bytes::BytesMut;
use sip_message::{ConnectionId, StreamState};
use socket2::SockRef;
use tokio::time::Instant;

use super::{Codec, Phase, State};
use crate::event::{CloseReason, OpenedBy, SendError, TransportEvent};
use crate::stream::queue::WriteQueue;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    Connect,
    Handshake,
    Head,
    Body,
    Stalled,
    Idle,
    Ping,
    Linger,
}

impl State {
    pub(super) fn close_if_it_is_time(&mut self, cx: &mut Context<'_>) {
        if let Some(turn) = self.end_of_stream {
            // What came before the end of the stream may be answered in the turn in which it was delivered.
            if turn == self.shared.turn() && !self.shared.events.borrow().is_empty() {
                return cx.waker().wake_by_ref();
            }
            if self.unread {
                return;
            }
            self.say_goodbye();
            return self.end(CloseReason::ByPeer);
        }
        let Some((_, turn)) = &self.closing else { return };
        if *turn == self.shared.turn() {
            return cx.waker().wake_by_ref();
        }
        if let Some((reason, _)) = self.closing.take() {
            let handshaking = matches!(self.phase, Phase::Securing);
            if handshaking {
                return self.end(reason);
            }
            if let Codec::WebSocket(socket) = &mut self.codec {
                socket.close();
                self.take_frames(0);
            }
            self.inbound = BytesMut::new();
            self.unread = false;
            let since = self.shared.now();
            self.phase = Phase::Lingering { reason, since, shut: false };
        }
    }

    /// After the last octet that we send: FIN. Then the peer has a moment to take them; closing at once would make the
    /// kernel reset the connection when something unread came, and our last answer would be lost with it.
    pub(super) fn shut_when_flushed(&mut self) {
        if let Phase::Lingering { shut: false, .. } = self.phase
            && !self.blocked
            && self.queue.is_empty()
        {
            self.say_goodbye();
            if let Some(socket) = &self.socket {
                let _ = SockRef::from(socket).shutdown(Shutdown::Write);
            }
            if let Phase::Lingering { shut, .. } = &mut self.phase {
                *shut = true;
            }
        }
    }

    pub(super) fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.write();
    }

    pub(super) fn finish(&mut self, reason: CloseReason) {
        self.phase = Phase::Securing;
        self.socket = None;
        // Whoever holds the connection a little longer sees that it is over.
        self.ended = Some(reason.clone());
        let why = match &reason {
            CloseReason::ConnectFailed(error) => error.clone(),
            reason => SendError::Closed(Box::new(reason.clone())),
        };
        let tokens = self.in_tls.drain(..).chain(self.queue.tokens());
        for token in tokens {
            self.shared.report(TransportEvent::SendFailed { token, reason: why.clone() });
        }
        self.queue = WriteQueue::default();
        self.shared.report(TransportEvent::Closed { flow: self.flow, reason });
    }

    pub(super) fn next_deadline(&self) -> Option<(Instant, Deadline)> {
        let limits = &self.shared.limits;
        let first = match &self.phase {
            Phase::Connecting(_) => return Some((self.since + limits.connect, Deadline::Connect)),
            Phase::Lingering { since, .. } => return Some((*since + limits.linger, Deadline::Linger)),
            Phase::Securing | Phase::Upgrading => true,
            Phase::Open => self.by == OpenedBy::Peer && !self.heard,
        };
        let handshake = first.then_some((self.since + limits.handshake, Deadline::Handshake));
        let message = self.message.map(|(state, since)| match state {
            StreamState::InBody => (since + limits.body, Deadline::Body),
            _ => (since + limits.head, Deadline::Head),
        });
        let stalled = self.stalled.map(|since| (since + limits.stalled, Deadline::Stalled));
        let idle = self.idle.map(|idle| (self.last_heard + idle, Deadline::Idle));
        let ping = (matches!(self.codec, Codec::WebSocket(_)) && !self.pinged)
            .then(|| (self.last_heard + limits.websocket_ping, Deadline::Ping));
        [handshake, message, stalled, idle, ping].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    pub(super) fn too_late(&mut self, what: Deadline) {
        let (reason, slow) = match what {
            Deadline::Ping => {
                self.pinged = true;
                if let Codec::WebSocket(socket) = &mut self.codec {
                    let _ = socket.ping();
                    self.take_frames(0);
                }
                return self.wake();
            }
            Deadline::Connect => {
                self.shared.count(|c| &mut c.connect_failed);
                (CloseReason::ConnectFailed(SendError::TimedOut), false)
            }
            Deadline::Handshake => (CloseReason::HandshakeTooSlow, true),
            Deadline::Head => (CloseReason::HeadTooSlow, true),
            Deadline::Body => (CloseReason::BodyTooSlow, true),
            Deadline::Stalled => {
                self.shared.count(|c| &mut c.write_overflow);
                (CloseReason::WriteOverflow, false)
            }
            Deadline::Idle => {
                self.shared.count(|c| &mut c.idle);
                (CloseReason::Idle, false)
            }
            Deadline::Linger => (CloseReason::ByUs, false),
        };
        if slow {
            self.shared.count(|c| &mut c.too_slow);
        }
        self.end(reason);
        self.wake();
    }

    /// Has the next deadline come to our notice: once, unless an earlier one comes up.
    pub(super) fn arm(&mut self, id: ConnectionId) {
        if self.ended.is_some() {
            return;
        }
        if let Some((at, _)) = self.next_deadline()
            && self.armed.is_none_or(|armed| at < armed)
        {
            self.armed = Some(at);
            self.shared.arm(at, id);
        }
    }
}
