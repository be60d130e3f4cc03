//! Signalling sockets: batched UDP, TCP, TLS, WebSocket, and DNS.
//! RFC 3261 §18, 3263, 5389 (binding), 5626 (flows, keep-alives), 5922, 5923, 7118.
//!
//! One [`Transports`] per shard, owned by the shard's thread and polled by nobody else. It knows octets, connections and
//! where messages begin and end; what a message means, which address a response goes to and what to do when sending
//! fails is left to the protocol core above it.
//!
//! | file | concept |
//! | --- | --- |
//! | `transports.rs` | the face: turn, send, flush |
//! | `udp/` | sockets for datagrams; `batch.rs` is the project's only unsafe code |
//! | `stun.rs` | keep-alives over UDP |
//! | `stream/` | the table of connections, one connection, its write queue, listening |
//! | `tls/` | certificates: ours from files, theirs by RFC 5922 |
//! | `websocket.rs` | handshake and frames |
//! | `resolve/` | RFC 3263 as a function over abstract records, and the real DNS below it |

mod config;
mod counters;
mod event;
mod local;
pub mod resolve;
mod stream;
mod stun;
mod tls;
mod transports;
mod udp;
mod websocket;

pub use config::{
    ClientCertificate, ListenerConfig, Origins, Roots, ServerVerification, StreamLimits, TlsClientConfig, TlsConfig,
    TransportsConfig, UdpLimits,
};
pub use counters::Counters;
pub use event::{CloseReason, Destination, KeepAlive, LocalError, OpenedBy, SendError, Transmit, TransportEvent};
pub use local::local_addresses;
pub use resolve::{Families, LookupConfig, LookupError, LookupRequest, Target, TransportSet};
pub use tls::{CertificateFault, TlsError, TlsSetupError};
pub use transports::{BindError, BindFailure, BoundListener, Transports, is_free, source_address};
