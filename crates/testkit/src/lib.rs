//! Whole networks of phones and servers in one thread, on virtual time, from one seed.
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
