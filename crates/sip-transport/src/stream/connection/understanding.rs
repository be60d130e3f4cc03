//! From plain octets to messages: SIP on the stream (RFC 3261 §18.3), the WebSocket handshake, SIP in WebSocket
//! messages (RFC 7118), and keep-alives between them (RFC 5626 §3.5.1).

use bytes::{Bytes, BytesMut};
use sip_message::{Refusal, StreamItem, StreamState, parse_datagram};

use super::{Codec, Phase, State};
use crate::event::{CloseReason, KeepAlive, TransportEvent};
use crate::websocket::{Frame, Handshake, WebSocket, handshake, http_response, looks_like_http};

impl State {
    /// Frames what has come, as far as this turn's budget goes.
    pub(super) fn understand(&mut self) {
        self.unread = false;
        if matches!(self.phase, Phase::Upgrading) {
            self.upgrade();
        }
        if self.ended.is_some() || self.closing.is_some() || !matches!(self.phase, Phase::Open) {
            return;
        }
        match self.codec {
            Codec::Sip(_) => self.frame(),
            Codec::WebSocket(_) => self.unframe(),
            Codec::Upgrade(_) => {}
        }
        if self.inbound.is_empty() {
            self.inbound = BytesMut::new();
        }
    }

    pub(super) fn frame(&mut self) {
        if looks_like_http(&self.inbound) {
            return self.refuse_http(400);
        }
        let mut progress = false;
        loop {
            if self.shared.exhausted() {
                self.unread = true;
                self.message = None;
                return;
            }
            let Codec::Sip(parser) = &mut self.codec else { return };
            let Some(item) = parser.next(&mut self.inbound) else { break };
            progress = true;
            match item {
                StreamItem::Message(message) => self.received(Ok(message)),
                StreamItem::Refused(refusal) => self.received(Err(refusal)),
                StreamItem::Broken(refusal) => {
                    self.received(Err(refusal));
                    // The driver's answer leaves first.
                    self.closing = Some((CloseReason::Unintelligible, self.shared.turn()));
                    self.wake();
                    return;
                }
                // The answer to our second ping in a row follows the answer to the first, as the halves of a ping do.
                StreamItem::Ping if self.pings > 0 => self.ponged(),
                StreamItem::Ping => self.pinged_by_peer(Bytes::from_static(b"\r\n")),
                StreamItem::Pong => self.ponged(),
            }
        }
        let Codec::Sip(parser) = &self.codec else { return };
        let state = parser.state(&self.inbound);
        self.message = match self.message {
            _ if state == StreamState::Idle => None,
            Some((before, since)) if before == state && !progress => Some((state, since)),
            _ => Some((state, self.shared.now())),
        };
    }

    pub(super) fn unframe(&mut self) {
        loop {
            if self.shared.exhausted() {
                self.unread = true;
                return;
            }
            let Codec::WebSocket(socket) = &mut self.codec else { return };
            let frame = socket.read(&mut self.inbound);
            self.take_frames(0);
            match frame {
                Ok(None) => return,
                Ok(Some(Frame::Message(bytes))) if bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) => {
                    // JsSIP and others carry RFC 5626's line ends into WebSocket messages.
                    self.pinged_by_peer(Bytes::from_static(b"\r\n"));
                }
                Ok(Some(Frame::Message(bytes))) => {
                    let message = parse_datagram(bytes, &self.shared.message_limits);
                    self.received(message);
                }
                Ok(Some(Frame::Ping)) => self.pinged_by_peer(Bytes::new()),
                Ok(Some(Frame::Pong)) => self.ponged(),
                Ok(Some(Frame::Close)) => return self.stream_ended(),
                Err(_) => {
                    self.closing = Some((CloseReason::Unintelligible, 0));
                    self.wake();
                    return;
                }
            }
        }
    }

    pub(super) fn upgrade(&mut self) {
        let Codec::Upgrade(origins) = &self.codec else { return };
        match handshake(&mut self.inbound, origins) {
            Handshake::Incomplete => {}
            Handshake::Accepted(response) => {
                let limits = &self.shared.message_limits;
                let longest = limits.message.min(limits.head + limits.body);
                self.codec = Codec::WebSocket(Box::new(WebSocket::new(longest)));
                self.queue.push(response, 0);
                self.open();
            }
            Handshake::Refused(status, response) => {
                self.shared.count(|c| &mut c.websocket_refused);
                self.queue.push(response, 0);
                self.closing = Some((CloseReason::Http(status), 0));
                self.wake();
            }
        }
    }

    pub(super) fn refuse_http(&mut self, status: u16) {
        self.queue.push(http_response(status), 0);
        self.closing = Some((CloseReason::Http(status), 0));
        self.wake();
    }

    pub(super) fn received(&mut self, received: Result<sip_message::Message, Refusal>) {
        self.shared.count(|c| match &received {
            Ok(_) => &mut c.stream_messages_in,
            Err(_) => &mut c.refused_messages,
        });
        let at = self.shared.now().into_std();
        self.shared.deliver(TransportEvent::Received { flow: self.flow, received, at });
    }

    pub(super) fn pinged_by_peer(&mut self, answer: Bytes) {
        self.shared.count(|c| &mut c.keep_alives_in);
        if !answer.is_empty() {
            let _ = self.put(answer, 0);
        }
        self.shared.deliver(TransportEvent::KeepAlive { flow: self.flow, kind: KeepAlive::Ping });
    }

    pub(super) fn ponged(&mut self) {
        if self.pings == 0 {
            // Every ping is read as a pong first, and stray line ends are to be ignored (RFC 3261 §7.5).
            return self.shared.spend();
        }
        self.pings -= 1;
        let kind = KeepAlive::Pong { mapped: None };
        self.shared.deliver(TransportEvent::KeepAlive { flow: self.flow, kind });
    }
}
