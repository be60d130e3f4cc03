//! Codecs that carry the waveform sample by sample: all they lack as a [`Decoder`] is what to play for a lost packet.

use super::concealment::Concealment;
use super::{CodecError, Decoder};
use crate::pcm::SampleRate;

/// What such a codec does with a payload.
pub(super) trait Expand: Send {
    /// Samples in a payload of this many octets, unless it cannot have so many.
    fn samples_in(&self, octets: usize) -> Option<usize>;

    /// Appends the samples of a payload that `samples_in` has counted.
    fn expand(&mut self, payload: &[u8], pcm: &mut Vec<i16>);
}

/// Such a codec with [`Concealment`].
#[derive(Debug)]
pub(super) struct WaveformDecoder<E> {
    codec: E,
    concealment: Concealment,
}

impl<E: Expand> WaveformDecoder<E> {
    pub(super) fn new(codec: E, rate: SampleRate) -> WaveformDecoder<E> {
        WaveformDecoder { codec, concealment: Concealment::new(rate) }
    }
}

impl<E: Expand> Decoder for WaveformDecoder<E> {
    fn decode(&mut self, payload: &[u8], pcm: &mut Vec<i16>) -> Result<(), CodecError> {
        self.samples_in(payload).ok_or(CodecError::Payload)?;
        let start = pcm.len();
        self.codec.expand(payload, pcm);
        self.concealment.heard(&mut pcm[start..]);
        Ok(())
    }

    fn conceal(&mut self, samples: usize, _next: Option<&[u8]>, pcm: &mut Vec<i16>) {
        self.concealment.fill(samples, pcm);
    }

    fn samples_in(&self, payload: &[u8]) -> Option<usize> {
        self.codec.samples_in(payload.len()).filter(|&samples| samples > 0)
    }
}
