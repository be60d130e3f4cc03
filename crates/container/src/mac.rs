//! What the container's message authentication codes are for.

pub(crate) use sip_message::mac::Mac;

/// The key: the same on every shard and node.
pub(crate) type Secret = [u64; 2];

/// What a code is for, so that none serves as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// The user part of our Record-Route: bound to the dialog's Call-ID.
    RecordRoute = 1,
    /// The user part of our Path: bound to nothing but the flow.
    Path = 2,
    /// The parameter of our route below those of a router's: bound to the Call-ID.
    RouteBack = 6,
    /// Sets loops apart from spirals (RFC 5393 §4.2).
    Loop = 5,
}

/// Begins a code.
pub(crate) fn begin(secret: &Secret, purpose: Purpose) -> Mac {
    Mac::new(*secret, purpose as u64)
}
