//! RTP (RFC 3550): packets, and what is remembered of the two directions of one unicast audio stream.
//!
//! ```text
//!              ┌── sender.rs: SSRC, sequence numbers, timestamps, what was sent ──► packets
//!  packet.rs ──┤
//!              └── receiver.rs: which source is heard ─► source.rs: one source's loss and jitter (A.1, A.3, A.8)
//!
//!  statistics.rs ◄─ both directions, RTCP and the jitter buffer; quality.rs makes a MOS of it
//! ```
//!
//! Reports are made in [`rtcp`](crate::rtcp), playout times in [`jitter`](crate::jitter), encryption in
//! [`srtp`](crate::srtp). Mixers and translators (§7) and header extensions (RFC 8285) are left out: CSRCs and
//! extensions are read and skipped.

mod clock;
mod collision;
#[cfg(test)]
pub(crate) mod dice;
mod packet;
mod quality;
mod receiver;
mod sender;
mod sequence;
mod source;
mod statistics;

pub use clock::ClockRate;
pub use collision::{Collisions, Conflict};
pub use packet::{Csrc, Extension, RtpError, RtpHeader, RtpPacket, Ssrc};
pub use quality::{Impairment, Rating};
pub use receiver::{Reception, RtpReceiver};
pub use sender::{Random, RtpSender};
pub use sequence::{SequenceExtender, TimestampExtender};
pub use source::Interval;
pub use statistics::{Range, Statistics};
