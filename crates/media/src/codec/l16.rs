//! L16: the samples themselves, in network byte order (RFC 3551 §4.5.11). One channel.

use super::waveform::Expand;
use super::{CodecError, Encoder};

/// Linear samples, at whatever rate.
#[derive(Clone, Copy, Debug, Default)]
pub struct L16;

impl Encoder for L16 {
    fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        payload.extend(pcm.iter().flat_map(|sample| sample.to_be_bytes()));
        Ok(())
    }
}

impl Expand for L16 {
    fn samples_in(&self, octets: usize) -> Option<usize> {
        octets.is_multiple_of(2).then_some(octets / 2)
    }

    fn expand(&mut self, payload: &[u8], pcm: &mut Vec<i16>) {
        pcm.extend(payload.as_chunks().0.iter().map(|&octets| i16::from_be_bytes(octets)));
    }
}
