//! How a stream is doing.

use std::sync::Arc;
use std::time::Duration;

/// How a stream is doing; asked for by whoever shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudioStatistics {
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// Packets lost on the way to us.
    pub lost: u64,
    /// Which share of what the peer sent was lost lately, 0 to 1.
    pub loss: f32,
    /// Which share of what we sent the peer has lost lately (its reports), 0 to 1.
    pub remote_loss: Option<f32>,
    /// Interarrival jitter (RFC 3550 §6.4.1).
    pub jitter: Duration,
    /// There and back, if reports tell.
    pub round_trip: Option<Duration>,
    /// How long the jitter buffer holds back what came.
    pub buffered: Duration,
    /// Mean opinion score that the E-model expects, 1 to 4.5.
    pub mos: f32,
    /// How loud the peer is, in dBFS.
    pub level_in: f32,
    /// How loud we are, in dBFS.
    pub level_out: f32,
    /// The codec's name, and its rate in samples per second.
    pub codec: Option<(Arc<str>, u32)>,
}
