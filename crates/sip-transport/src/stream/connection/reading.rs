//! From the socket to plain octets: reads, and TLS where there is TLS.

use std::io::{self, Read};
use std::task::{Context, Poll};

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::Interest;

use super::{Phase, State};
use crate::event::CloseReason;
use crate::stream::shared::Scratch;
use crate::tls::TlsError;

/// Reads of one connection per turn, so that one that never stops leaves others their share.
const READS: usize = 4;

impl State {
    pub(super) fn read(&mut self, cx: &mut Context<'_>) {
        if self.unread {
            self.understand();
        }
        for _ in 0..READS {
            if self.ended.is_some() || self.closing.is_some() {
                return;
            }
            if self.end_of_stream.is_some() {
                // Nothing more comes; what is there is delivered first, turn by turn.
                break;
            }
            if self.unread || self.shared.exhausted() {
                break;
            }
            let Some(socket) = &self.socket else { return };
            match socket.poll_read_ready(cx) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => return self.end(CloseReason::Io(error.kind())),
                Poll::Ready(Ok(())) => self.read_once(),
            }
        }
        // Others first; the rest of this one in a moment.
        cx.waker().wake_by_ref();
    }

    pub(super) fn read_once(&mut self) {
        let Some(socket) = &self.socket else { return };
        let shared = self.shared.clone();
        let mut scratch = shared.scratch.borrow_mut();
        let Scratch { raw, plain } = &mut *scratch;
        let mut count = 0;
        let read = socket.try_io(Interest::READABLE, || {
            count = (&*SockRef::from(socket)).read(raw)?;
            // A short read emptied the socket; see the same in `udp`.
            if count > 0 && count < raw.len() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        match read {
            Ok(()) if count == 0 => return self.stream_ended(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && count == 0 => return,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) => return self.end(CloseReason::Io(error.kind())),
            Ok(()) => {}
        }
        self.last_heard = shared.now();
        self.pinged = false;
        if matches!(self.phase, Phase::Lingering { .. }) {
            return;
        }
        let raw = &raw[..count];
        if self.tls.is_some() {
            self.decrypt(raw, plain);
        } else {
            self.heard = true;
            self.take_in(raw);
        }
        drop(scratch);
        self.understand();
    }

    pub(super) fn take_in(&mut self, octets: &[u8]) {
        if self.inbound.is_empty() {
            // Exactly as large as what came, and given away with the messages in it.
            self.inbound = BytesMut::from(octets);
        } else {
            self.inbound.extend_from_slice(octets);
        }
    }

    pub(super) fn decrypt(&mut self, mut raw: &[u8], plain: &mut [u8]) {
        while !raw.is_empty() && self.ended.is_none() {
            let Some(tls) = &mut self.tls else { return };
            if tls.read_tls(&mut raw).is_err() {
                return self.end(CloseReason::Tls(TlsError::Protocol));
            }
            let handshaking = tls.is_handshaking();
            let outcome = match tls.process_new_packets() {
                Ok(outcome) => outcome,
                Err(error) => return self.tls_failed(&error, handshaking),
            };
            let mut left = outcome.plaintext_bytes_to_read();
            while left > 0 {
                let Some(tls) = &mut self.tls else { return };
                let Ok(count @ 1..) = tls.reader().read(plain) else { break };
                left = left.saturating_sub(count);
                self.heard = true;
                self.take_in(&plain[..count]);
            }
            if outcome.peer_has_closed() {
                self.stream_ended();
            }
            let done = self.tls.as_ref().is_some_and(|tls| !tls.is_handshaking());
            if done && matches!(self.phase, Phase::Securing) {
                self.secured();
            }
        }
    }

    pub(super) fn tls_failed(&mut self, error: &rustls::Error, handshaking: bool) {
        if handshaking {
            self.shared.count(|c| &mut c.tls_failed);
        }
        // The alert that tells the peer why.
        self.write();
        self.ended = Some(CloseReason::Tls(TlsError::of(error)));
    }

    pub(super) fn stream_ended(&mut self) {
        if matches!(self.phase, Phase::Lingering { .. }) {
            return self.end(CloseReason::ByPeer);
        }
        self.end_of_stream.get_or_insert(self.shared.turn());
        self.wake();
    }
}
