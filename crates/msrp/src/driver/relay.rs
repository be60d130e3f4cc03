//! A relay (RFC 4976) with sockets: [`crate::relay::Relay`] on a thread of its own.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::MsrpError;
use super::network::{Core, LinkId, Network, NetworkSettings, Order};
use super::opening::WebSockets;
use super::tls::{Clients, Tls, TlsSettings};
use crate::endpoint::{Certificate, ConnectionId};
use crate::relay::{Authority, Input, Output, Relay, Settings};

/// For what is still to be written when the relay ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a relay is set up.
#[derive(Clone, Debug)]
pub struct RelayEngineSettings {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What it is. Port 0 there: the one that it listens at.
    pub relay: Settings,
    /// Certificates.
    pub tls: TlsSettings,
    /// Whether browsers may connect (RFC 7977).
    pub websockets: WebSockets,
    /// Connections that are accepted at a time.
    pub max_connections: usize,
}

/// A thread with a relay. Ends when it is dropped.
#[derive(Debug)]
pub struct RelayEngine {
    address: SocketAddr,
    end: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl RelayEngine {
    /// Starts a relay; `authority` is made on its thread.
    pub fn start(
        settings: RelayEngineSettings,
        authority: impl FnOnce() -> Box<dyn Authority> + Send + 'static,
    ) -> Result<RelayEngine, MsrpError> {
        // Clients of a relay show a password. Browsers would ask their users for a certificate.
        let tls = Tls::new(&settings.tls, Clients::Unasked).map_err(MsrpError::Tls)?;
        let seed = getrandom::u64().map_err(MsrpError::NoRandomness)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(MsrpError::Io)?;
        let end = Arc::new(Notify::new());
        let ending = end.clone();
        let (told, bound) = mpsc::sync_channel(1);
        let run = move || {
            // What the system fails to give later is stirred from what it gave; URIs and transactions need no more then.
            let random = move || getrandom::u64().unwrap_or(seed);
            let RelayEngineSettings { listen, relay, websockets, max_connections, .. } = settings;
            let is_secure = relay.is_secure;
            let network = Network::new(
                RelayCore(Relay::new(relay, authority(), Box::new(random))),
                NetworkSettings {
                    ports: (listen.port(), listen.port()),
                    websockets,
                    max_connections,
                    tls: Rc::new(tls),
                    tap: None,
                },
            );
            let serve = async move {
                let address = network.listen(listen.ip(), is_secure);
                if let Ok(address) = &address {
                    network.with(|core, _| core.0.listens_at(address.port()));
                }
                let is_bound = address.is_ok();
                if told.send(address).is_ok() && is_bound {
                    tokio::task::spawn_local(network.clone().keep_time());
                    ending.notified().await;
                    network.with(|core, _| core.0.close_all());
                    network.drained(FAREWELL).await;
                }
            };
            LocalSet::new().block_on(&runtime, serve);
        };
        let thread = thread::Builder::new().name("msrp relay".to_owned()).spawn(run).map_err(MsrpError::Io)?;
        let address = match bound.recv() {
            Ok(address) => address.map_err(MsrpError::Io)?,
            Err(_) => return Err(MsrpError::Ended),
        };
        Ok(RelayEngine { address, end, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for RelayEngine {
    fn drop(&mut self) {
        self.end.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the relay's thread has panicked");
        }
    }
}

struct RelayCore(Relay);

impl Core for RelayCore {
    fn accepted(&mut self, now: Instant, link: LinkId, _is_secure: bool, _certificate: Option<Arc<dyn Certificate>>) {
        self.0.handle(now, Input::Accepted { connection: ConnectionId(link.0) });
    }

    fn connected(&mut self, now: Instant, link: LinkId) {
        self.0.handle(now, Input::Connected { connection: ConnectionId(link.0) });
    }

    fn received(&mut self, now: Instant, link: LinkId, octets: Bytes) {
        self.0.handle(now, Input::Received { connection: ConnectionId(link.0), octets });
    }

    fn closed(&mut self, now: Instant, link: LinkId, why: Arc<str>) {
        tracing::debug!(%why, "a connection of the relay is over");
        self.0.handle(now, Input::Closed { connection: ConnectionId(link.0) });
    }

    fn transmit(&mut self, now: Instant, link: LinkId, out: &mut BytesMut, _room: usize) -> bool {
        self.0.poll_transmit(now, ConnectionId(link.0), out)
    }

    fn has_room(&self, link: LinkId) -> bool {
        self.0.has_room(ConnectionId(link.0))
    }

    fn poll_order(&mut self, _now: Instant) -> Option<Order> {
        Some(match self.0.poll_output()? {
            // Relays are known by the names of their certificates (RFC 4976 §9.2), not by fingerprints.
            Output::Connect { connection, host, port, is_secure } => {
                Order::Connect { link: LinkId(connection.0), host: host.into(), port, is_secure, fingerprint: None }
            }
            Output::Close { connection } => Order::Close(LinkId(connection.0)),
            Output::Transmit { connection } => Order::Transmit(LinkId(connection.0)),
            Output::Read { connection } => Order::Read(LinkId(connection.0)),
        })
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.0.next_timeout()
    }

    fn timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
    }
}
