//! What the location service's message authentication codes are for.

pub(crate) use sip_message::mac::Mac;

use crate::location::Secret;

/// What a code is for, so that none serves as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// Hides what a temporary GRUU names.
    TemporaryGruuMask = 3,
    /// Keeps a temporary GRUU from being made up.
    TemporaryGruu = 4,
    /// Spreads addresses-of-record over their table.
    AddressOfRecord = 6,
}

/// Begins a code.
pub(crate) fn begin(secret: &Secret, purpose: Purpose) -> Mac {
    Mac::new(secret.0, purpose as u64)
}
