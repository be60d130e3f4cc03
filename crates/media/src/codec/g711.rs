//! G.711: eight bits per sample, on a curve of eight segments per sign (ITU-T G.711, RFC 3551 §4.5.14).
//!
//! ```text
//!   A-law, every even bit inverted:   sign · segment (3) · step within it (4)
//!   µ-law, all bits inverted:         the same, of the magnitude plus 33
//! ```

use super::waveform::Expand;
use super::{CodecError, Encoder};

/// The µ-law of America and Japan.
#[derive(Clone, Copy, Debug, Default)]
pub struct MuLaw;

/// The A-law of the rest of the world.
#[derive(Clone, Copy, Debug, Default)]
pub struct ALaw;

impl Encoder for MuLaw {
    fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        payload.extend(pcm.iter().map(|&sample| mu_law(sample)));
        Ok(())
    }
}

impl Encoder for ALaw {
    fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        payload.extend(pcm.iter().map(|&sample| a_law(sample)));
        Ok(())
    }
}

impl Expand for MuLaw {
    fn samples_in(&self, octets: usize) -> Option<usize> {
        Some(octets)
    }

    fn expand(&mut self, payload: &[u8], pcm: &mut Vec<i16>) {
        pcm.extend(payload.iter().map(|&code| FROM_MU_LAW[usize::from(code)]));
    }
}

impl Expand for ALaw {
    fn samples_in(&self, octets: usize) -> Option<usize> {
        Some(octets)
    }

    fn expand(&mut self, payload: &[u8], pcm: &mut Vec<i16>) {
        pcm.extend(payload.iter().map(|&code| FROM_A_LAW[usize::from(code)]));
    }
}

/// The µ-law code of a sample.
pub fn mu_law(sample: i16) -> u8 {
    // The two lowest bits do not count (G.711 table 2a has 14-bit values).
    TO_MU_LAW[usize::from(sample.cast_unsigned() >> 2)]
}

/// The A-law code of a sample.
pub fn a_law(sample: i16) -> u8 {
    // Nor do the four lowest here, save where both signs round towards zero.
    TO_A_LAW[usize::from(sample.cast_unsigned() >> 4)]
}

/// The sample of a µ-law code.
pub fn from_mu_law(code: u8) -> i16 {
    FROM_MU_LAW[usize::from(code)]
}

/// The sample of an A-law code.
pub fn from_a_law(code: u8) -> i16 {
    FROM_A_LAW[usize::from(code)]
}

static TO_MU_LAW: [u8; 1 << 14] = {
    let mut table = [0; 1 << 14];
    let mut index = 0;
    while index < table.len() {
        table[index] = mu_law_code(index as u16);
        index += 1;
    }
    table
};

static TO_A_LAW: [u8; 1 << 12] = {
    let mut table = [0; 1 << 12];
    let mut index = 0;
    while index < table.len() {
        table[index] = a_law_code(index as u16);
        index += 1;
    }
    table
};

static FROM_MU_LAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        table[index] = mu_law_sample(index as u8);
        index += 1;
    }
    table
};

static FROM_A_LAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        table[index] = a_law_sample(index as u8);
        index += 1;
    }
    table
};

/// Of a value of 14 bits, in two's complement.
const fn mu_law_code(value: u16) -> u8 {
    let negative = value & (1 << 13) != 0;
    // Minus one is as near to zero as zero: the curve is symmetric in the one's complement.
    let magnitude = if negative { !value & 0x1fff } else { value };
    // The bias makes each segment twice as long as the one below and lets its number be the place of the highest bit.
    let biased = if magnitude + 33 > 0x1fff { 0x1fff } else { magnitude + 33 };
    let segment = biased.ilog2() as u16 - 5;
    let code = (segment << 4) | ((biased >> (segment + 1)) & 0xf);
    !(code as u8 | ((negative as u8) << 7))
}

const fn mu_law_sample(code: u8) -> i16 {
    let code = !code;
    let (segment, step) = ((code >> 4) & 7, (code & 0xf) as i16);
    let magnitude = ((2 * step + 33) << segment) - 33;
    (if code & 0x80 != 0 { -magnitude } else { magnitude }) * 4
}

/// Of a value of 12 bits, in two's complement.
const fn a_law_code(value: u16) -> u8 {
    let negative = value & (1 << 11) != 0;
    let magnitude = if negative { !value & 0x7ff } else { value };
    // The two lowest segments have steps of the same size.
    let segment = (magnitude | 0xf).ilog2() as u16 - 3;
    let step = if segment == 0 { magnitude } else { (magnitude >> (segment - 1)) & 0xf };
    ((segment << 4) | step) as u8 ^ 0x55 ^ ((!negative as u8) << 7)
}

const fn a_law_sample(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (segment, step) = ((code >> 4) & 7, (code & 0xf) as i16);
    // The middle of the step.
    let magnitude = if segment == 0 { 2 * step + 1 } else { (2 * step + 33) << (segment - 1) };
    (if code & 0x80 == 0 { -magnitude } else { magnitude }) * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G.711 tables 1a to 2b: the ends and the middle of both curves.
    #[test]
    fn the_codes_of_the_recommendation() {
        assert_eq!([0, -1, 32767, -32768].map(mu_law), [0xff, 0x7f, 0x80, 0x00]);
        assert_eq!([0, -1, 32767, -32768].map(a_law), [0xd5, 0x55, 0xaa, 0x2a]);
        assert_eq!([0x80, 0x00, 0xff, 0x7f].map(from_mu_law), [32124, -32124, 0, 0]);
        assert_eq!([0xaa, 0x2a, 0xd5, 0x55].map(from_a_law), [32256, -32256, 8, -8]);
    }

    #[test]
    fn a_code_decoded_and_encoded_is_the_code() {
        for code in 0..=u8::MAX {
            assert_eq!(a_law(from_a_law(code)), code);
            // Minus zero comes back as zero.
            assert_eq!(mu_law(from_mu_law(code)), if code == 0x7f { 0xff } else { code });
        }
    }
}
