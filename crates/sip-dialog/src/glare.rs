//! Glare: RFC 3261 §14.1, and RFC 3311 §5.1 for UPDATE. A 491 means that both sides began at once; each waits, for a time
//! that the other does not have, and then tries once more.
//!
//! ```text
//!   who made the Call-ID:  491 ──── 2.1 s … 4 s ────► once more
//!   the other:             491 ── 0 … 2 s ──► once more
//! ```

use std::time::Duration;

use crate::dialog::Role;

/// How long to wait after a 491, in units of 10 ms. `role`: ours in the dialog; the UAC of its first request made the
/// Call-ID. `random`: any number.
pub fn wait(role: Role, random: u32) -> Duration {
    let (low, high) = match role {
        Role::Uac => (210, 400),
        Role::Uas => (0, 200),
    };
    Duration::from_millis(10) * (low + random % (high - low + 1))
}
