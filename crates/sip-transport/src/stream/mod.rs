//! Connections: RFC 3261 §18, RFC 5923 (which of them may be used for what), RFC 5626 §3.5.1 (keep-alives).
//! One table per shard. A slow or lying peer costs what [`StreamLimits`](crate::StreamLimits) says, and hurts only
//! itself.

mod accept;
mod connection;
mod queue;
mod shared;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hashbrown::HashMap;
use sip_message::{ConnectionId, Flow, ListenerId, StreamParser, Transport};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::event::{CloseReason, LocalError, OpenedBy, SendError};
use crate::resolve::Target;
use crate::tls::TlsClient;
pub(crate) use accept::Acceptor;
use connection::{Beginning, Codec, Connecting, Connection, Driver};
pub(crate) use shared::Shared;

/// The upper 16 bits of a [`ConnectionId`] are its shard's.
const SHARD_SHIFT: u32 = 48;

/// What a connection to somebody is looked up by: never only by address, lest one domain's connection be used for
/// another's requests (CVE-2020-15260).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Peer {
    transport: Transport,
    addr: SocketAddr,
    /// In lower case.
    domain: Option<Arc<str>>,
}

/// All connections of a shard.
pub(crate) struct Streams {
    shared: Rc<Shared>,
    client: TlsClient,
    shard: u16,
    last_id: u64,
    table: HashMap<ConnectionId, Entry>,
    drivers: FuturesUnordered<Driver>,
    by_peer: HashMap<Peer, ConnectionId>,
    per_address: HashMap<IpAddr, usize>,
    accepted: usize,
    opened: usize,
    /// Those with something queued since the last flush.
    dirty: Vec<Rc<Connection>>,
}

struct Entry {
    connection: Rc<Connection>,
    /// Under which it stands in `by_peer`.
    peers: Vec<Peer>,
}

impl Streams {
    pub(crate) fn new(shared: Rc<Shared>, client: TlsClient, shard: u16) -> Self {
        Streams {
            shared,
            client,
            shard,
            last_id: 0,
            table: HashMap::new(),
            drivers: FuturesUnordered::new(),
            by_peer: HashMap::new(),
            per_address: HashMap::new(),
            accepted: 0,
            opened: 0,
            dirty: Vec::new(),
        }
    }

    /// Carries on whatever is ready.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(connection)) = self.drivers.poll_next_unpin(cx) {
            self.forget(&connection);
        }
    }

    /// Acts on the deadlines that have come.
    pub(crate) fn keep_time(&mut self) {
        while let Some((at, id)) = self.shared.due() {
            if let Some(entry) = self.table.get(&id) {
                entry.connection.deadline_came(at);
            }
        }
    }

    pub(crate) fn send(&mut self, id: ConnectionId, bytes: bytes::Bytes, token: u64) -> Result<(), SendError> {
        let entry = self.table.get(&id).ok_or(SendError::NoConnection)?;
        entry.connection.send(bytes, token)?;
        self.dirty.push(entry.connection.clone());
        Ok(())
    }

    pub(crate) fn keep_alive(&mut self, id: ConnectionId) -> Result<(), SendError> {
        let entry = self.table.get(&id).ok_or(SendError::NoConnection)?;
        entry.connection.keep_alive()?;
        self.dirty.push(entry.connection.clone());
        Ok(())
    }

    pub(crate) fn flush(&mut self) {
        for connection in self.dirty.drain(..) {
            connection.flush();
        }
    }

    pub(crate) fn close(&mut self, id: ConnectionId) {
        if let Some(entry) = self.table.get(&id) {
            entry.connection.close(CloseReason::ByUs);
        }
    }

    pub(crate) fn set_idle(&mut self, id: ConnectionId, idle: Option<std::time::Duration>) {
        if let Some(entry) = self.table.get(&id) {
            entry.connection.set_idle(idle);
        }
    }

    pub(crate) fn flow(&self, id: ConnectionId) -> Option<Flow> {
        self.table.get(&id).map(|entry| entry.connection.flow())
    }

    /// The open connection that a request to `target` would go over.
    pub(crate) fn to(&self, target: &Target) -> Option<ConnectionId> {
        let id = self.by_peer.get(&peer(target))?;
        self.table.get(id).is_some_and(|e| e.connection.is_usable()).then_some(*id)
    }

    /// Opens a connection from `local`, an address of one of our listeners.
    pub(crate) fn connect(
        &mut self,
        listener: ListenerId,
        local: SocketAddr,
        target: &Target,
    ) -> Result<ConnectionId, SendError> {
        if !matches!(target.transport, Transport::Tcp | Transport::Tls) {
            return Err(SendError::NotConnectable(target.transport));
        }
        if local.is_ipv4() != target.addr.is_ipv4() {
            return Err(SendError::NoSuchListener);
        }
        if self.opened >= self.shared.limits.outgoing {
            return Err(SendError::Local(LocalError::ConnectionLimit));
        }
        let tls = match target.transport {
            Transport::Tls => Some(self.client.connection(target.server_name.as_deref())?.into()),
            _ => None,
        };
        let connecting = connect_from(local.ip(), target.addr).map_err(|_| SendError::Local(LocalError::NoSocket))?;
        let id = self.next_id();
        let flow = Flow { transport: target.transport, listener, local, remote: target.addr, connection: Some(id) };
        self.shared.set_now(Instant::now());
        let codec = Codec::Sip(Box::new(StreamParser::new(self.shared.message_limits.clone())));
        let beginning = Beginning::Connecting(connecting);
        self.opened += 1;
        self.begin(Connection::new(self.shared.clone(), flow, beginning, tls, codec));
        self.name(id, peer(target));
        Ok(id)
    }

    /// RFC 5923 §5: requests to the address that the peer has in its Via go over the connection that it opened.
    /// Over TLS only for the domains that it has proven to be (§5, §8.3); false if it has proven none.
    pub(crate) fn alias(&mut self, id: ConnectionId, port: u16) -> bool {
        let Some(entry) = self.table.get(&id) else { return false };
        let flow = entry.connection.flow();
        let addr = SocketAddr::new(flow.remote.ip(), port);
        let domains: Vec<Option<Arc<str>>> = match flow.transport {
            Transport::Tcp => vec![None],
            Transport::Tls => entry.connection.identities().into_iter().map(Some).collect(),
            _ => return false,
        };
        let named = !domains.is_empty();
        for domain in domains {
            let transport = flow.transport;
            self.name(id, Peer { transport, addr, domain });
        }
        named
    }

    /// Whether one more connection from `ip` may be accepted.
    fn room_for(&self, ip: IpAddr) -> Result<(), Full> {
        if self.accepted >= self.shared.limits.connections {
            return Err(Full::Shard);
        }
        let from_there = self.per_address.get(&ip).copied().unwrap_or(0);
        if from_there >= self.shared.limits.connections_per_address {
            return Err(Full::Address);
        }
        Ok(())
    }

    fn accept(&mut self, mut flow: Flow, socket: TcpStream, tls: Option<rustls::ServerConnection>, codec: Codec) {
        flow.connection = Some(self.next_id());
        self.accepted += 1;
        *self.per_address.entry(flow.remote.ip()).or_insert(0) += 1;
        self.shared.count(|c| &mut c.accepted);
        let beginning = Beginning::Accepted(socket);
        let tls = tls.map(rustls::Connection::from);
        self.begin(Connection::new(self.shared.clone(), flow, beginning, tls, codec));
    }

    fn begin(&mut self, connection: Rc<Connection>) {
        let entry = Entry { connection: connection.clone(), peers: Vec::new() };
        self.table.insert(connection.id, entry);
        self.drivers.push(Driver(connection));
    }

    fn name(&mut self, id: ConnectionId, peer: Peer) {
        if let Some(entry) = self.table.get_mut(&id) {
            // A peer that names many ports of its own names the last of them.
            if entry.peers.len() >= 8 {
                let oldest = entry.peers.remove(0);
                if self.by_peer.get(&oldest) == Some(&id) {
                    self.by_peer.remove(&oldest);
                }
            }
            if !entry.peers.contains(&peer) {
                entry.peers.push(peer.clone());
            }
            self.by_peer.insert(peer, id);
        }
    }

    fn forget(&mut self, connection: &Connection) {
        let Some(entry) = self.table.remove(&connection.id) else { return };
        for peer in entry.peers {
            // Another connection may have taken the name over.
            if self.by_peer.get(&peer) == Some(&connection.id) {
                self.by_peer.remove(&peer);
            }
        }
        match connection.opened_by() {
            OpenedBy::Us => self.opened -= 1,
            OpenedBy::Peer => {
                self.accepted -= 1;
                let ip = connection.flow().remote.ip();
                if let Some(count) = self.per_address.get_mut(&ip) {
                    *count -= 1;
                    if *count == 0 {
                        self.per_address.remove(&ip);
                    }
                }
            }
        }
    }

    fn next_id(&mut self) -> ConnectionId {
        self.last_id += 1;
        ConnectionId((u64::from(self.shard) << SHARD_SHIFT) | self.last_id)
    }

    pub(crate) fn count(&self) -> usize {
        self.table.len()
    }
}

/// Why a connection is not let in.
enum Full {
    Shard,
    Address,
}

fn peer(target: &Target) -> Peer {
    let domain = target.server_name.as_ref().filter(|_| target.transport.is_secure());
    Peer {
        transport: target.transport,
        addr: target.addr,
        domain: domain.map(|name| match name.bytes().any(|b| b.is_ascii_uppercase()) {
            true => name.to_ascii_lowercase().into(),
            false => name.clone(),
        }),
    }
}

fn connect_from(local: IpAddr, remote: SocketAddr) -> io::Result<Connecting> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if !local.is_unspecified() {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    Ok(Box::pin(socket.connect(remote)))
}
