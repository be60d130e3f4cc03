//! The URIs that a relay has handed out, RFC 4976 §6.3.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::endpoint::ConnectionId;
use crate::uri::{MsrpUri, Path};

/// A URI of a client.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) uri: MsrpUri,
    pub(super) user: Arc<str>,
    /// §6.3: the URI holds for this connection and no other.
    pub(super) connection: ConnectionId,
    /// The way back to the client: the From-Path of its AUTH.
    pub(super) client: Path,
    pub(super) expires: Instant,
    /// Who has sent to it, by which connection: the way back to those, who may be where nobody can connect to.
    peers: Vec<(MsrpUri, ConnectionId)>,
}

/// Peers of one URI; each is meant for one session.
const PEERS: usize = 4;

impl Grant {
    pub(super) fn new(uri: MsrpUri, user: Arc<str>, connection: ConnectionId, client: Path, expires: Instant) -> Grant {
        Grant { uri, user, connection, client, expires, peers: Vec::new() }
    }

    /// The connection by which this peer has sent.
    pub(super) fn peer(&self, uri: &MsrpUri) -> Option<ConnectionId> {
        self.peers.iter().find(|(known, _)| known.matches(uri)).map(|(_, connection)| *connection)
    }
}

#[derive(Default)]
pub(super) struct Grants {
    by_id: HashMap<Arc<str>, Grant>,
    by_connection: HashMap<ConnectionId, Vec<Arc<str>>>,
}

impl Grants {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many URIs a connection has.
    pub(super) fn of(&self, connection: ConnectionId) -> usize {
        self.by_connection.get(&connection).map_or(0, Vec::len)
    }

    /// The URI with this session id, if it still holds.
    pub(super) fn get(&self, id: &str, now: Instant) -> Option<&Grant> {
        self.by_id.get(id).filter(|grant| grant.expires > now)
    }

    /// The URI that this client has already on this connection: who asks again, keeps it.
    pub(super) fn renew(&mut self, connection: ConnectionId, client: &Path, expires: Instant) -> Option<&Grant> {
        let ids = self.by_connection.get(&connection)?;
        let id = ids.iter().find(|id| self.by_id.get(*id).is_some_and(|grant| grant.client.matches(client)))?;
        let grant = self.by_id.get_mut(id)?;
        grant.expires = expires;
        Some(grant)
    }

    /// Somebody who knows the URI has sent to it. Whoever came first stays: nobody takes over a peer's name.
    pub(super) fn learn(
        &mut self,
        id: &str,
        peer: &MsrpUri,
        connection: ConnectionId,
        is_alive: impl Fn(ConnectionId) -> bool,
    ) {
        let Some(grant) = self.by_id.get_mut(id) else { return };
        grant.peers.retain(|(_, connection)| is_alive(*connection));
        if grant.peer(peer).is_none() && grant.peers.len() < PEERS {
            grant.peers.push((peer.clone(), connection));
        }
    }

    pub(super) fn insert(&mut self, id: Arc<str>, grant: Grant) {
        self.by_connection.entry(grant.connection).or_default().push(id.clone());
        self.by_id.insert(id, grant);
    }

    /// Ends a URI whose time has come; says when to look again at one that was renewed.
    pub(super) fn expire(&mut self, id: &Arc<str>, now: Instant) -> Option<Instant> {
        let grant = self.by_id.get(id)?;
        if grant.expires > now {
            return Some(grant.expires);
        }
        let connection = grant.connection;
        self.by_id.remove(id);
        if let Some(ids) = self.by_connection.get_mut(&connection) {
            ids.retain(|other| other != id);
            if ids.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
        None
    }

    /// Ends the URIs of a connection that is gone.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        for id in self.by_connection.remove(&connection).unwrap_or_default() {
            self.by_id.remove(&id);
        }
    }
}
