//! Codecs: from linear audio to the payload of an RTP packet and back (RFC 3551, RFC 3389, RFC 7587).
//!
//! ```text
//!   sdp::Codec ──find──► CodecSpec ──encoder──► Encoder: pcm ─► payload
//!                                  └─decoder──► Decoder: payload ─► pcm, and a fill where a packet is missing
//! ```
//!
//! Which codec is used is offer/answer's decision; headers and lost packets are [`rtp`](crate::rtp)'s and
//! [`jitter`](crate::jitter)'s; key presses are [`dtmf`](crate::dtmf)'s.
//!
//! ```
//! use media::codec::{self, CodecSettings};
//! use media::pcm::SampleRate;
//!
//! let far = sdp::Codec::pcma();
//! let spec = codec::find(&far).expect("G.711 is there");
//! let mut encoder = spec.encoder(&far, SampleRate::Wide, &CodecSettings::default());
//! let mut payload = Vec::new();
//! // G.711 has no choice but 8,000 samples per second.
//! encoder.encode(&[0; 160], &mut payload)?;
//! assert_eq!(payload.len(), 160);
//! # Ok::<(), codec::CodecError>(())
//! ```

pub mod comfort_noise;
pub mod concealment;
pub mod g711;
pub mod g722;
pub mod l16;
pub mod opus;
mod registry;
mod waveform;

#[cfg(test)]
mod tests;

pub use registry::{CodecKind, CodecSettings, CodecSpec, all, defaults, find};

use std::fmt;

/// Turns linear audio into payloads of one stream. Holds what the codec remembers from packet to packet.
pub trait Encoder: Send {
    /// Encodes one packet's audio and appends its payload. Appends nothing when there is nothing worth sending: the
    /// codec transmits discontinuously and this is silence. The timestamp advances all the same.
    fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Tells how much the far end loses, from 0 to 1 (RTCP's fraction lost). Codecs that can protect themselves do.
    fn expect_loss(&mut self, fraction: f32) {
        let _ = fraction;
    }

    /// Changes how much time it may take, from 0 to 10, because there are more calls now, or fewer.
    fn set_complexity(&mut self, complexity: u8) {
        let _ = complexity;
    }
}

/// Turns the payloads of one stream into linear audio.
pub trait Decoder: Send {
    /// Decodes one payload and appends its audio. After an error nothing was appended; [`Decoder::conceal`] fills.
    fn decode(&mut self, payload: &[u8], pcm: &mut Vec<i16>) -> Result<(), CodecError>;

    /// Appends exactly `samples` for packets that are missing. `next` is the payload that follows the gap directly, when
    /// it is there already: some codecs carry a coarse copy of the previous packet in it.
    fn conceal(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<i16>);

    /// How many samples [`Decoder::decode`] would append, without decoding; `None` for what it would refuse.
    fn samples_in(&self, payload: &[u8]) -> Option<usize>;
}

/// Why a codec did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// The caller's: so many samples make no packet of this codec.
    PacketTime {
        /// What was given.
        samples: usize,
    },
    /// The peer's: the payload is not one of this codec.
    Payload,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodecError::PacketTime { samples } => write!(f, "{samples} samples make no packet of this codec"),
            CodecError::Payload => f.write_str("the payload is not one of this codec"),
        }
    }
}

impl std::error::Error for CodecError {}
