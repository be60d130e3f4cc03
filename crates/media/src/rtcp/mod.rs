//! RTCP (RFC 3550 §6) between two parties: reports in both directions, who the peer is, and that he has left.
//!
//! ```text
//!   session.rs ── when (interval.rs) and what ──► write.rs ──► compound packets
//!       ▲
//!       └── packet.rs (SR, RR, SDES, BYE), extended.rs (XR, RFC 3611) ◄── compound or reduced-size packets (RFC 5506)
//! ```
//!
//! Feedback messages (RFC 4585) and application-defined packets are read over. Timer reconsideration is left out, as
//! §6.3 allows where only two take part.

mod extended;
mod interval;
mod ntp;
mod packet;
mod session;
mod write;

pub use extended::VoipMetrics;
pub use ntp::{NtpClock, NtpTime};
pub use packet::{Chunk, Chunks, Compound, Item, Items, Packet, ReportBlock, ReportBlocks, RtcpError, SenderInfo};
pub use session::{RtcpNews, RtcpSession, RtcpSettings};
