//! Listening sockets of stream transports: accepting within the limits, also when descriptors have run out.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use sip_message::{Flow, ListenerId, StreamParser, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::connection::Codec;
use super::{Full, Streams};
use crate::config::Origins;
use crate::tls::TlsServer;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Connections accepted per listener and turn.
const ACCEPTS: usize = 64;

/// How long a listener rests when not even refusing works.
const REST: Duration = Duration::from_millis(100);

/// A listening socket.
pub(crate) struct Acceptor {
    id: ListenerId,
    transport: Transport,
    local: SocketAddr,
    listener: TcpListener,
    tls: Option<TlsServer>,
    origins: Rc<Origins>,
    /// Given up for a moment when there is no descriptor left, so that a connection can be accepted and closed. Otherwise
    /// the peer would hang and we would be told of it forever.
    reserve: Option<File>,
    resting: Option<Instant>,
}

impl Acceptor {
    pub(crate) fn bind(
        id: ListenerId,
        transport: Transport,
        address: SocketAddr,
        shared: bool,
        tls: Option<TlsServer>,
        origins: Origins,
    ) -> io::Result<Self> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        if shared {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        Ok(Acceptor {
            id,
            transport,
            local: listener.local_addr()?,
            listener,
            tls,
            origins: Rc::new(origins),
            reserve: reserve(),
            resting: None,
        })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// When it wants to be asked again although its socket doesn't say so.
    pub(crate) fn resting(&self) -> Option<Instant> {
        self.resting
    }

    /// Accepts what is waiting. True when there may be more.
    pub(crate) fn poll_accept(&mut self, cx: &mut Context<'_>, streams: &mut Streams) -> bool {
        let now = streams.shared.now();
        if self.resting.take_if(|until| *until <= now).is_none() && self.resting.is_some() {
            return false;
        }
        for _ in 0..ACCEPTS {
            match self.listener.poll_accept(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok((socket, remote))) => self.let_in(socket, remote, streams),
                Poll::Ready(Err(error)) if out_of_descriptors(&error) => {
                    streams.shared.count(|c| &mut c.out_of_descriptors);
                    if !self.accept_and_close(cx) {
                        self.resting = Some(now + REST);
                        return false;
                    }
                }
                // The peer was gone before we came (ECONNABORTED), or the network said so: accept(2).
                Poll::Ready(Err(error)) => tracing::debug!(listener = self.id.0, %error, "accept"),
            }
        }
        true
    }

    fn let_in(&mut self, socket: TcpStream, remote: SocketAddr, streams: &mut Streams) {
        match streams.room_for(remote.ip()) {
            Ok(()) => {}
            Err(Full::Shard) => return streams.shared.count(|c| &mut c.refused_at_limit),
            Err(Full::Address) => return streams.shared.count(|c| &mut c.refused_per_address),
        }
        let tls = match &mut self.tls {
            None => None,
            Some(server) => {
                let mut counters = streams.shared.counters.borrow_mut();
                match server.connection(streams.shared.now(), &mut counters) {
                    Ok(connection) => Some(connection),
                    Err(error) => return tracing::warn!(listener = self.id.0, %error, "TLS"),
                }
            }
        };
        let codec = match self.transport {
            Transport::Ws | Transport::Wss => Codec::Upgrade(self.origins.clone()),
            _ => Codec::Sip(Box::new(StreamParser::new(streams.shared.message_limits.clone()))),
        };
        let flow = Flow { transport: self.transport, listener: self.id, local: self.local, remote, connection: None };
        streams.accept(flow, socket, tls, codec);
    }

    fn accept_and_close(&mut self, cx: &mut Context<'_>) -> bool {
        if self.reserve.take().is_none() {
            self.reserve = reserve();
            return false;
        }
        let accepted = self.listener.poll_accept(cx);
        let done = matches!(accepted, Poll::Ready(Ok(_)) | Poll::Pending);
        drop(accepted);
        self.reserve = reserve();
        done
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

fn out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
