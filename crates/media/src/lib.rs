//! Media sockets. For now one thing: a [`Mirror`], which sends every RTP packet back to where it came from.
//!
//! It has RTP's ports and RTP's caution: it learns one source, within what was signalled, and is deaf to all others
//! (RFC 3550 §8.2 and what RTP bleed has taught).

mod lock;
mod mirror;

pub use lock::{SourceLock, Verdict};
pub use mirror::{Mirror, MirrorError, Mirrors};
