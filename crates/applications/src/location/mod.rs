//! The location service: which bindings an address-of-record has. RFC 3261 §10.3, RFC 5626 §6 and §7, RFC 5627 §5.
//!
//! ```text
//!   registrar ── update, clear ──► Location ◄── bindings, gruu ── proxy and others
//!      │  ▲                           │
//!      │  └── another worker's News   └──► on_registered: who waits for a user to come
//!      └── News to the other workers
//! ```
//!
//! Every worker holds a copy. A REGISTER changes the copy of the worker that it came to and becomes a [`Change`] for the
//! others, which apply it by the same order of Call-ID and CSeq, so that it does not matter which worker hears of which
//! REGISTER first.
//!
//! A binding that has expired is not seen any more, and its memory is given back by one of the next operations: each
//! looks at the few addresses-of-record that are due first. There is no timer, and never a walk through the table.
//!
//! Who may change what is the registrar's business; which binding serves which request is the proxy's.

mod addresses;
mod binding;
mod bindings;
mod change;
pub(crate) mod gruu;
mod shared;

use std::fmt;

pub use binding::Binding;
pub(crate) use binding::{Draft, equivalent, same_instance};
pub(crate) use bindings::{Bindings, Refused};
pub use change::{Change, News};
pub(crate) use gruu::Gruu;
pub use shared::{Registered, SharedLocation};

/// What a location service is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocationSettings {
    /// What keeps temporary GRUUs from being made up. The same on every worker, and over restarts if GRUUs shall outlive
    /// them.
    pub secret: Secret,
    /// Bindings of one address-of-record.
    pub max_bindings: usize,
    /// Bindings of all addresses-of-record.
    pub max_total: usize,
    /// Whether there are other workers, which have to be told of changes.
    pub shared: bool,
}

impl Default for LocationSettings {
    fn default() -> LocationSettings {
        LocationSettings { secret: Secret([0, 0]), max_bindings: 10, max_total: 1_000_000, shared: false }
    }
}

/// 128 bits that only this server knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u64; 2]);

impl fmt::Debug for Secret {
    /// No secret gets into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
