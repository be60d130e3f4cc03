//! Streams between nodes: in order and without loss, until they are cut. TCP and TLS carry octets that their receiver
//! has to frame; a WebSocket carries whole messages (RFC 7118 §4.2).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use sip_message::{
    ConnectionId, Flow, Limits, ListenerId, Message, Refusal, StreamItem, StreamParser, Transport, parse_datagram,
};

use crate::world::NodeId;

/// All connections that are open.
#[derive(Default)]
pub(crate) struct Streams {
    last: u64,
    open: BTreeMap<u64, Connection>,
}

/// One connection; the first end has opened it.
pub(crate) struct Connection {
    pub(crate) transport: Transport,
    pub(crate) ends: [End; 2],
}

/// One end of a connection.
pub(crate) struct End {
    pub(crate) node: NodeId,
    pub(crate) listener: ListenerId,
    pub(crate) local: SocketAddr,
    parser: StreamParser,
    buffer: BytesMut,
    /// When the last octets that are on their way to this end will be there.
    pub(crate) busy_until: Instant,
}

impl End {
    pub(crate) fn new(node: NodeId, listener: ListenerId, local: SocketAddr, now: Instant) -> End {
        End {
            node,
            listener,
            local,
            parser: StreamParser::new(Limits::default()),
            buffer: BytesMut::new(),
            busy_until: now,
        }
    }
}

impl Streams {
    pub(crate) fn open(&mut self, transport: Transport, ends: [End; 2]) -> ConnectionId {
        self.last += 1;
        self.open.insert(self.last, Connection { transport, ends });
        ConnectionId(self.last)
    }

    /// Takes a connection away. What is still on its way over it goes nowhere.
    pub(crate) fn close(&mut self, id: ConnectionId) -> Option<Connection> {
        self.open.remove(&id.0)
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.open.get_mut(&id.0)
    }

    /// The connection that a node has opened to an address.
    pub(crate) fn find(&self, node: NodeId, transport: Transport, remote: SocketAddr) -> Option<ConnectionId> {
        let fits = |c: &Connection| c.transport == transport && c.ends[0].node == node && c.ends[1].local == remote;
        self.open.iter().find(|(_, connection)| fits(connection)).map(|(id, _)| ConnectionId(*id))
    }

    /// The connections between two nodes; of one node when the other is `None`.
    pub(crate) fn between(&self, one: NodeId, other: Option<NodeId>) -> Vec<ConnectionId> {
        let has = |c: &Connection, node: NodeId| c.ends.iter().any(|end| end.node == node);
        let fits = |c: &Connection| has(c, one) && other.is_none_or(|other| has(c, other));
        self.open.iter().filter(|(_, connection)| fits(connection)).map(|(id, _)| ConnectionId(*id)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

impl Connection {
    /// Which end a node has.
    pub(crate) fn end_of(&self, node: NodeId) -> Option<usize> {
        self.ends.iter().position(|end| end.node == node)
    }

    /// The flow as one of the ends knows it.
    pub(crate) fn flow(&self, id: ConnectionId, end: usize) -> Flow {
        let (here, there) = (&self.ends[end], &self.ends[1 - end]);
        Flow {
            transport: self.transport,
            listener: here.listener,
            local: here.local,
            remote: there.local,
            connection: Some(id),
        }
    }

    /// What an end reads of the octets that have come. `Err` also tells that nothing can be read any more.
    pub(crate) fn read(&mut self, end: usize, octets: &Bytes) -> Vec<Result<Message, Refusal>> {
        if matches!(self.transport, Transport::Ws | Transport::Wss) {
            return vec![parse_datagram(octets.clone(), &Limits::default())];
        }
        let end = &mut self.ends[end];
        end.buffer.extend_from_slice(octets);
        let mut messages = Vec::new();
        while let Some(item) = end.parser.next(&mut end.buffer) {
            match item {
                StreamItem::Message(message) => messages.push(Ok(message)),
                StreamItem::Refused(refusal) | StreamItem::Broken(refusal) => messages.push(Err(refusal)),
                StreamItem::Ping | StreamItem::Pong => {}
            }
        }
        messages
    }
}
