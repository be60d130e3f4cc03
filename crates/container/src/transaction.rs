//! The container's side of a transaction: which session it belongs to, and who is at its other end.
//!
//! ```text
//!              app A                            app B
//!   wire ──► Server ─ proxy ─ Client ══inner══ Server ─ proxy ─ Client ──► wire
//! ```
//!
//! Between two applications of one container a transaction has no timers and no octets: both ends are entries of this
//! table that name each other.

use servlet::SipServletRequest;
use servlet::spi::{AppId, AppSessionKey, BranchKey, ProxyKey, SessionKey, TransactionKey};
use sip_endpoint::{ClientId, ServerId};
use sip_message::{Flow, Method, StatusCode};

use crate::state::State;

/// See the module's text.
pub(crate) struct Transaction {
    pub(crate) peer: Peer,
    pub(crate) app: AppId,
    pub(crate) app_session: AppSessionKey,
    pub(crate) session: SessionKey,
    pub(crate) method: Method,
    pub(crate) cseq: u32,
    pub(crate) initial: bool,
    pub(crate) role: TransactionRole,
    /// The routes of ours that were taken from it.
    pub(crate) popped: Option<Box<crate::jobs::Popped>>,
    /// The request, as long as it has no final response; of an INVITE that the application may still answer for a fork,
    /// as long as the transaction lasts.
    pub(crate) request: Option<SipServletRequest>,
    /// A provisional response above 100 was sent or has come.
    pub(crate) provisional: bool,
    pub(crate) final_status: Option<StatusCode>,
    pub(crate) cancelled: bool,
    /// The application is told of nothing any more: the container ends the dialog.
    pub(crate) silent: bool,
    /// What the same request by another way would have in common with it.
    pub(crate) merge_mark: Option<u64>,
    /// The other leg's request.
    pub(crate) linked: Option<TransactionKey>,
    /// To whom the application is a B2BUA: `getProxy` is forbidden.
    pub(crate) is_b2bua: bool,
}

/// The other end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A server transaction of the endpoint.
    Server(ServerId),
    /// A request that the endpoint has sent.
    Client(ClientId),
    /// Another application of this container.
    Inner(TransactionKey),
    /// A request that is on its way out of the application.
    Leaving,
    /// Nobody any more.
    Gone,
}

/// What the application is in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionRole {
    /// It has received the request and not said what it is.
    Undecided,
    /// It has answered the request itself.
    Uas,
    /// It has sent the request itself.
    Uac,
    /// It proxies the request.
    Proxy(ProxyKey),
    /// The request is a branch of a proxy.
    Branch(BranchKey),
    /// Nobody's application: see [`Core::relay`](crate::core::Core::relay).
    Relay,
}

impl Transaction {
    /// A transaction at its beginning.
    pub(crate) fn new(
        peer: Peer,
        role: TransactionRole,
        (app, app_session, session): (AppId, AppSessionKey, SessionKey),
        (method, cseq, initial): (Method, u32, bool),
    ) -> Transaction {
        Transaction {
            peer,
            app,
            app_session,
            session,
            method,
            cseq,
            initial,
            role,
            popped: None,
            request: None,
            provisional: false,
            final_status: None,
            cancelled: false,
            silent: false,
            merge_mark: None,
            linked: None,
            is_b2bua: false,
        }
    }

    /// The path that the request came on, as long as that is kept; `None` from another application, and on the client's
    /// side.
    pub(crate) fn flow(&self) -> Option<Flow> {
        self.request.as_ref()?.facts().flow
    }

    pub(crate) fn is_server(&self) -> bool {
        matches!(self.role, TransactionRole::Undecided | TransactionRole::Uas | TransactionRole::Proxy(_))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.final_status.is_none()
    }
}

impl State {
    /// Enters a transaction, and says so to its session.
    pub(crate) fn open_transaction(&mut self, transaction: Transaction) -> TransactionKey {
        let (peer, session) = (transaction.peer, transaction.session);
        let is_server = transaction.is_server();
        let key = self.transactions.insert(Box::new(transaction));
        match peer {
            Peer::Server(server) => drop(self.by_server.insert(server, key)),
            Peer::Client(client) => drop(self.by_client.insert(client, key)),
            Peer::Inner(_) | Peer::Leaving | Peer::Gone => {}
        }
        if let Some(session) = self.sessions.get_mut(session) {
            session.open.push((key, is_server));
        }
        key
    }

    /// Takes note of a final response: the session has one transaction less that is open.
    pub(crate) fn close_transaction(&mut self, key: TransactionKey, status: StatusCode) {
        let Some(transaction) = self.transactions.get_mut(key) else { return };
        let was_open = transaction.final_status.replace(status).is_none();
        let session = transaction.session;
        if was_open && let Some(record) = self.sessions.get_mut(session) {
            record.open.retain(|(open, _)| *open != key);
            self.unsettle_session(session);
        }
    }

    /// Forgets a transaction. The inner one at its other end loses its peer.
    pub(crate) fn forget_transaction(&mut self, key: TransactionKey) -> Option<Box<Transaction>> {
        let transaction = self.transactions.remove(key)?;
        match transaction.peer {
            Peer::Server(server) => drop(self.by_server.remove(&server)),
            Peer::Client(client) => drop(self.by_client.remove(&client)),
            Peer::Inner(other) => {
                if let Some(other) = self.transactions.get_mut(other) {
                    other.peer = Peer::Gone;
                }
            }
            Peer::Leaving | Peer::Gone => {}
        }
        if let Some(session) = self.sessions.get_mut(transaction.session) {
            session.open.retain(|(open, _)| *open != key);
            self.unsettle_session(transaction.session);
        }
        if let Some(mark) = transaction.merge_mark
            && self.merging.get(&mark) == Some(&key)
        {
            self.merging.remove(&mark);
            shrink(&mut self.merging);
        }
        shrink(&mut self.by_server);
        shrink(&mut self.by_client);
        Some(transaction)
    }
}

/// Hash tables don't shrink by themselves.
pub(crate) fn shrink<K: std::hash::Hash + Eq, V>(map: &mut hashbrown::HashMap<K, V>) {
    if map.capacity() > 256 && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}
