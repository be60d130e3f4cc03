//! Telephone events (RFC 4733): digits in packets of their own beside the audio. Tones that are no digits (fax, modem,
//! line states) are read over; so is redundancy (RFC 2198), which we don't negotiate.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     event     |E|R| volume    |          duration             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//!
//!          M, t₀                     E, t₀ E, t₀ E, t₀    M, t₁
//!   ───────┬─────┬─────┬─────┬─────┬─────┬─────┬──────────┬───────►
//!          160   320   480   640   800   800   800        160     duration
//! ```
//!
//! All packets of an event have the timestamp that it began with, so each of them tells the whole story so far: one
//! that comes is enough.

mod receiver;
mod sender;
#[cfg(test)]
mod tests;

pub use receiver::{EventNews, EventReceiver};
pub use sender::{EventPacket, EventSender, EventSettings, QueueFull};

use std::time::Duration;

/// How long a press is that nobody has timed. Slow enough for old exchanges, quick enough to type.
pub const DEFAULT_DURATION: Duration = Duration::from_millis(160);
/// Shorter presses are not known by everybody (ITU-T Q.24: 40 ms).
pub const SHORTEST: Duration = Duration::from_millis(40);
/// What one packet can tell; longer events go on in segments (§2.5.1.3).
const LONGEST_SEGMENT: u16 = u16::MAX;

/// The payload of an event packet, or one event of several in it (§2.3, §2.5.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Which event: 0 to 15 are the digits.
    pub event: u8,
    /// It has ended.
    pub end: bool,
    /// How loud the tone is, in dBm0 with the sign dropped: 0 to 63.
    pub volume: u8,
    /// How long it has lasted, in units of the clock.
    pub duration: u16,
}

impl TelephoneEvent {
    /// The events of a payload; what is too short to be one is no event.
    pub fn read(payload: &[u8]) -> impl Iterator<Item = TelephoneEvent> {
        payload.as_chunks::<4>().0.iter().map(|&[event, flags, d0, d1]| TelephoneEvent {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([d0, d1]),
        })
    }

    /// The payload.
    pub fn payload(self) -> [u8; 4] {
        let [d0, d1] = self.duration.to_be_bytes();
        [self.event, if self.end { 0x80 } else { 0 } | self.volume.min(0x3f), d0, d1]
    }
}
