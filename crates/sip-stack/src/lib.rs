//! The driver: shards as threads, each with its share of the sockets, around a pure endpoint and its user.
//!
//! ```text
//!    sockets ──► Transports::turn ──► Endpoint::handle ──► TransactionUser::event
//!       ▲                                   │                      │
//!       └── Transports::flush ◄── send ◄── poll_output ◄───────────┘
//!
//!    shard ◄── notes: a message that came to the wrong shard, a request that its user hands over, octets for another
//!              shard's connection, what one user tells the others, drain, stop ──► shard
//!
//!    anything that a future of the user's waits for ── Waker ──► TransactionUser::woken
//! ```
//!
//! A shard never waits for another one: notes go through bounded queues, and one that is full loses what a network may
//! lose. There is no lock on the path of a message.
//!
//! A shard's user is called on the shard's thread and within its runtime, which is a `LocalSet` of tokio's: futures that
//! the user polls itself may use timers, sockets and `spawn_local` of tokio's, and wait for other threads. They have to
//! return soon, for they hold up every call of their shard.

mod bell;
mod shard;
mod stack;
mod tap;

pub use shard::Counters;
pub use stack::{EndpointConfig, Stack, StackConfig, StartError};
pub use tap::{Tap, Tapped, Way};
