//! One connection's octets: TCP, TLS, and a WebSocket over either (RFC 7977 §5.1: a chunk is a message).

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::tls::Shown;
use crate::endpoint::Certificate;

/// Octets read at once.
const PIECE: usize = 128 * 1024;
/// Fewer octets than these are copied out of where they were read into.
const FEW: usize = PIECE / 4;

/// What octets go over.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn is_secure(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }
}

/// A connection that chunks go over.
pub(super) struct Link {
    kind: Kind,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) is_secure: bool,
    /// What came with the handshake.
    early: Bytes,
}

enum Kind {
    Octets(Stream),
    Messages(Box<WebSocketStream<Stream>>),
}

impl Link {
    pub(super) fn octets(stream: Stream, early: Bytes) -> io::Result<Link> {
        let (local, remote) = (stream.tcp().local_addr()?, stream.tcp().peer_addr()?);
        Ok(Link { local, remote, is_secure: stream.is_secure(), kind: Kind::Octets(stream), early })
    }

    pub(super) fn messages(socket: WebSocketStream<Stream>) -> io::Result<Link> {
        let stream = socket.get_ref();
        let (local, remote) = (stream.tcp().local_addr()?, stream.tcp().peer_addr()?);
        let is_secure = stream.is_secure();
        Ok(Link { local, remote, is_secure, kind: Kind::Messages(Box::new(socket)), early: Bytes::new() })
    }

    /// What the peer that has connected has shown of itself.
    pub(super) fn certificate(&self) -> Option<Arc<dyn Certificate>> {
        let stream = match &self.kind {
            Kind::Octets(stream) => stream,
            Kind::Messages(socket) => socket.get_ref(),
        };
        let Stream::Tls(stream) = stream else { return None };
        let chain = stream.get_ref().1.peer_certificates()?;
        Some(Arc::new(Shown::new(chain.first()?)))
    }

    /// Whether what is written must be one chunk at a time.
    pub(super) fn is_of_messages(&self) -> bool {
        matches!(self.kind, Kind::Messages(_))
    }

    /// The next octets; none when the peer has finished. `scratch` is shared by all links of the thread, so that an idle
    /// one holds no memory.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut BytesMut) -> Poll<io::Result<Bytes>> {
        if !self.early.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.early)));
        }
        match &mut self.kind {
            Kind::Octets(stream) => {
                scratch.reserve(PIECE);
                ready!(pin!(stream.read_buf(scratch)).poll(cx))?;
                Poll::Ready(Ok(match scratch.len() {
                    // As much memory as it has octets, whoever keeps it; and the room is there for the next ones.
                    few if few < FEW => {
                        let octets = Bytes::copy_from_slice(scratch);
                        scratch.clear();
                        octets
                    }
                    _ => scratch.split().freeze(),
                }))
            }
            Kind::Messages(socket) => loop {
                return Poll::Ready(match ready!(Pin::new(&mut **socket).poll_next(cx)) {
                    Some(Ok(Message::Binary(bytes))) if bytes.is_empty() => continue,
                    Some(Ok(Message::Text(text))) if text.is_empty() => continue,
                    Some(Ok(Message::Binary(bytes))) => Ok(bytes),
                    Some(Ok(Message::Text(text))) => Ok(text.into()),
                    // tungstenite answers pings itself.
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                    Some(Ok(Message::Close(_))) | None => Ok(Bytes::new()),
                    Some(Err(error)) => Err(failure(error)),
                });
            },
        }
    }

    /// Writes as much as there is room for, and takes it out of `octets`.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, octets: &mut BytesMut) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Octets(stream) => {
                let written = ready!(Pin::new(stream).poll_write(cx, octets))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                octets.advance(written);
                Poll::Ready(Ok(written))
            }
            Kind::Messages(socket) => {
                let mut socket = Pin::new(&mut **socket);
                ready!(socket.as_mut().poll_ready(cx)).map_err(failure)?;
                let message = octets.split().freeze();
                let length = message.len();
                socket.start_send(Message::Binary(message)).map_err(failure)?;
                Poll::Ready(Ok(length))
            }
        }
    }

    /// Sees what was written on its way: TLS and WebSocket hold octets back.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Octets(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Messages(socket) => Sink::poll_flush(Pin::new(&mut **socket), cx).map_err(failure),
        }
    }

    /// Says that nothing more comes.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Octets(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Messages(socket) => Sink::poll_close(Pin::new(&mut **socket), cx).map_err(failure),
        }
    }
}

fn failure(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::ConnectionAborted.into(),
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
