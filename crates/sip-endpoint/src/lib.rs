//! The pure core put together, one shard's worth: the transactions of RFC 3261 §17 with their keys and timers, the next
//! hop and its failover (RFC 3263 §4), and the way back (RFC 3261 §18.2.2).
//!
//! ```text
//!                     events                                   commands
//!                  ┌─────────────► TransactionUser ─────────────────┐
//!                  │                                                ▼
//!   Input ──► Endpoint::handle                       respond, send, send_ack, cancel, set_timer
//!                  │                                                │
//!                  └──────────► Endpoint::poll_output ◄─────────────┘
//!                                     │
//!                         Transmit, Lookup, Event
//! ```
//!
//! The contract is one sentence: after every call drain [`Endpoint::poll_output`], and call
//! [`Endpoint::handle`] with [`Input::TimePassed`] when [`Endpoint::next_timeout`] has come. There is no socket, clock,
//! task or lock in here; the random choices come from the seed in [`Settings`]. Whoever drives several endpoints of one
//! server also carries what [`Endpoint::poll_hand_over`] gives from one to another.
//!
//! What is left to others: sockets and DNS (`sip-transport`), what a request means (the [`TransactionUser`]).

mod api;
mod client;
mod cookie;
mod endpoint;
mod entropy;
mod hand_over;
mod machine;
mod next_hop;
mod own_address;
mod server;
pub mod slab;
mod timers;
mod user;
mod via;
mod wheel;

pub use api::{
    ClientId, Destination, Ended, Event, Input, Listener, LookupError, LookupRequest, Misuse, Output, SendTo, ServerId,
    Settings, Target, TimerId,
};
pub use cookie::partition_of_tag;
pub use endpoint::{Endpoint, Load, partition_of};
pub use entropy::Entropy;
pub use hand_over::{HandOver, HandOverError};
pub use sip_transaction::Timers;
pub use user::TransactionUser;
