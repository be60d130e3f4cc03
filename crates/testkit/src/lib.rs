//! Whole networks of phones and servers in one thread, on virtual time, from one seed.
//!
//! Everything that speaks in such a network is the real thing: an [`sip_endpoint::Endpoint`] with a
//! [`sip_endpoint::TransactionUser`] on it, as the driver runs them on sockets. What is made up is what lies between
//! them: the [`Network`] that loses, delays, reorders, repeats, separates and cuts, the [`Zone`] of names, and the clock,
//! which only the [`World`] moves. The same seed gives the same run, so that a fault that was found once is found again.
//!
//! ```text
//!   Story, Person     sentences: alice.calls(&bob), bob.rings(), alice.hangs_up()
//!      │
//!   World             nodes, time, what happens next            World::node takes any TransactionUser
//!      ├── Phone      a telephone on an endpoint; one Record for each call
//!      ├── Network    links, partitions, streams; the Trace, drawn as a ladder when a story fails
//!      └── Zone       names
//! ```
//!
//! Every message that a node sends is read by the parser that its receiver will use, and is held against what every
//! message has to have; one that fails ends the world with the ladder of what has led there.
//!
//! Left out: sockets, TLS handshakes and certificates, and the inboxes between shards that may be full.

mod fields;
mod network;
mod phone;
mod random;
mod story;
mod wire;
mod world;
mod zone;

pub use network::{Fate, Link, Network, Trace};
pub use phone::{Action, CallId, End, Order, Outcome, Phone, Record, Script, Side, Talk};
pub use random::Random;
pub use story::{Person, Story};
pub use world::{NodeId, World};
pub use zone::Zone;
