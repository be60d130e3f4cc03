//! The driver: shards as threads, each with its share of the sockets, around a pure endpoint and its user.
//!
//! ```text
//!    sockets ──► Transports::turn ──► Endpoint::handle ──► TransactionUser::event
//!       ▲                                   │                      │
//!       └── Transports::flush ◄── send ◄── poll_output ◄───────────┘
//!
//!    shard ◄── notes: a message that came to the wrong shard, octets for another shard's connection,
//!              what one user tells the others, drain, stop ──► shard
//! ```
//!
//! A shard never waits for another one: notes go through bounded queues, and one that is full loses what a network may
//! lose. There is no lock on the path of a message.

mod shard;
mod stack;

pub use shard::Counters;
pub use stack::{EndpointConfig, Stack, StackConfig, StartError};
