//! Digits: as telephone events in RTP (RFC 4733), in the bodies of INFO, and as tones in the audio.

mod digit;
pub mod event;
pub mod info;
pub mod tone_detector;

pub use digit::{Digit, NotADigit};
