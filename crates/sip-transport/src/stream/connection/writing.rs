//! From messages to the socket: framing, the queue, TLS, vectored writes.

use std::io::{self, Write};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::net::TcpStream;

use super::{Codec, State};
use crate::event::{CloseReason, SendError};

/// Plain octets that are handed to TLS at a time.
const TLS_WRITE: usize = 64 * 1024;

impl State {
    pub(super) fn put(&mut self, bytes: Bytes, token: u64) -> Result<(), SendError> {
        if self.queue.octets() + bytes.len() > self.shared.limits.write_queue {
            self.shared.count(|c| &mut c.write_overflow);
            self.end(CloseReason::WriteOverflow);
            self.wake();
            return Err(SendError::QueueFull);
        }
        if let Codec::WebSocket(socket) = &mut self.codec {
            if socket.write(bytes).is_err() {
                self.wake();
                return Err(SendError::NoConnection);
            }
            self.take_frames(token);
        } else {
            self.queue.push(bytes, token);
        }
        Ok(())
    }

    pub(super) fn take_frames(&mut self, token: u64) {
        if let Codec::WebSocket(socket) = &mut self.codec
            && let Some(octets) = socket.take_output()
        {
            self.queue.push(octets, token);
            // Pongs alone can overflow it too.
            if self.queue.octets() > 2 * self.shared.limits.write_queue {
                self.shared.count(|c| &mut c.write_overflow);
                self.end(CloseReason::WriteOverflow);
            }
        }
    }

    pub(super) fn write_when_ready(&mut self, cx: &mut Context<'_>) {
        if !self.blocked {
            self.write();
        }
        while self.blocked && self.ended.is_none() {
            let Some(socket) = &self.socket else { return };
            match socket.poll_write_ready(cx) {
                Poll::Pending => return,
                Poll::Ready(_) => {
                    self.blocked = false;
                    self.write();
                }
            }
        }
    }

    /// Writes until all is gone or the kernel takes no more.
    pub(super) fn write(&mut self) {
        let before = self.queue.octets();
        let written = if self.tls.is_some() { self.write_tls() } else { self.write_plain() };
        match written {
            Ok(()) => {
                self.blocked = false;
                self.stalled = None;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                let progress = self.queue.octets() < before;
                if progress || self.stalled.is_none() {
                    self.stalled = Some(self.shared.now());
                }
            }
            Err(error) => self.end(match error.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => CloseReason::ByPeer,
                kind => CloseReason::Io(kind),
            }),
        }
    }

    pub(super) fn write_plain(&mut self) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        while !self.queue.is_empty() {
            let count = socket.try_write_vectored(&self.queue.slices())?;
            self.queue.advance(count);
        }
        Ok(())
    }

    pub(super) fn write_tls(&mut self) -> io::Result<()> {
        let (Some(socket), Some(tls)) = (&self.socket, &mut self.tls) else { return Ok(()) };
        loop {
            while tls.wants_write() {
                tls.write_tls(&mut SocketWriter(socket))?;
            }
            self.in_tls.clear();
            if tls.is_handshaking() {
                return Ok(());
            }
            let mut handed = 0;
            while handed < TLS_WRITE
                && let Some((bytes, token)) = self.queue.pop()
            {
                tls.writer().write_all(&bytes)?;
                handed += bytes.len();
                if token != 0 {
                    self.in_tls.push(token);
                }
            }
            if handed == 0 {
                return Ok(());
            }
        }
    }
}

/// A socket that never blocks, for rustls.
struct SocketWriter<'a>(&'a TcpStream);

impl Write for SocketWriter<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.try_write(octets)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
