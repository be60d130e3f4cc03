//! G.722: 7 kHz of audio in two bands, each coded as its difference from a prediction (ITU-T G.722, mode 1 of 64 kbit/s,
//! which is what RFC 3551 §4.5.2 means by G722). Comments name the recommendation's blocks.
//!
//! ```text
//!   16,000 samples/s ─► QMF ─┬─ low, 8,000/s ──► − ──► 6 bits ─┬──► octet: high (2) · low (6)
//!                            │                   ▲             │
//!                            │              Band: predicts, from what the decoder will know
//!                            └─ high, 8,000/s ─► − ──► 2 bits ─┘
//! ```
//!
//! A received low code is taken in two depths: all six bits for the ear, the upper four for the prediction, so that a
//! network may steal the lower two. Nobody does any more.

use super::waveform::Expand;
use super::{CodecError, Encoder};

/// Samples per octet.
const PAIR: usize = 2;

/// Samples that the filters are run over at once.
const BLOCK: usize = 320;

/// The encoder.
#[derive(Clone, Debug)]
pub struct G722Encoder {
    low: Band,
    high: Band,
    filter: Filter,
}

/// The decoder.
#[derive(Clone, Debug)]
pub struct G722Decoder {
    low: Band,
    high: Band,
    filter: Filter,
}

impl Default for G722Encoder {
    fn default() -> G722Encoder {
        G722Encoder { low: Band::low(), high: Band::high(), filter: Filter::default() }
    }
}

impl Default for G722Decoder {
    fn default() -> G722Decoder {
        G722Decoder { low: Band::low(), high: Band::high(), filter: Filter::default() }
    }
}

impl Encoder for G722Encoder {
    fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        if !pcm.len().is_multiple_of(PAIR) {
            return Err(CodecError::PacketTime { samples: pcm.len() });
        }
        for block in pcm.chunks(BLOCK) {
            let window = self.filter.window(block.len(), |tail| tail.copy_from_slice(block));
            for taps in windows(window) {
                // 15 bits per band.
                let low = dot(taps, &SUM) >> 14;
                let high = dot(taps, &DIFFERENCE) >> 14;
                payload.push((self.high.code_high(high) << 6) | self.low.code_low(low));
            }
            self.filter.keep(block.len());
        }
        Ok(())
    }
}

impl Expand for G722Decoder {
    fn samples_in(&self, octets: usize) -> Option<usize> {
        octets.checked_mul(PAIR)
    }

    fn expand(&mut self, payload: &[u8], pcm: &mut Vec<i16>) {
        for block in payload.chunks(BLOCK / PAIR) {
            let (low, high) = (&mut self.low, &mut self.high);
            let window = self.filter.window(block.len() * PAIR, |tail| {
                for (pair, &octet) in tail.as_chunks_mut::<PAIR>().0.iter_mut().zip(block) {
                    let low = low.decode_low(octet & 0x3f);
                    let high = high.decode_high(octet >> 6);
                    *pair = [saturate(low + high) as i16, saturate(low - high) as i16];
                }
            });
            for taps in windows(window) {
                pcm.push(saturate(dot(taps, &ODD) >> 11) as i16);
                pcm.push(saturate(dot(taps, &EVEN) >> 11) as i16);
            }
            self.filter.keep(block.len() * PAIR);
        }
    }
}

/// One band's memory: how large its steps are (blocks 3) and what it predicts (blocks 4).
#[derive(Clone, Debug)]
struct Band {
    /// NB: the logarithm of the step size.
    logarithm: i32,
    /// DET: the step size.
    step: i32,
    /// S: what the next sample will be, from poles and zeros.
    prediction: i32,
    /// SZ: the zeros' part of it.
    zeros_part: i32,
    /// A: of the two poles.
    poles: [i32; 2],
    /// B: of the six zeros.
    zeros: [i32; 6],
    /// D: the last six differences, the newest first.
    differences: [i32; 6],
    /// P: the last two sums of difference and the zeros' part.
    partial: [i32; 2],
    /// R: the last two samples as the decoder has them.
    samples: [i32; 2],
}

impl Band {
    fn low() -> Band {
        Band::with_step(32)
    }

    fn high() -> Band {
        Band::with_step(8)
    }

    fn with_step(step: i32) -> Band {
        Band {
            logarithm: 0,
            step,
            prediction: 0,
            zeros_part: 0,
            poles: [0; 2],
            zeros: [0; 6],
            differences: [0; 6],
            partial: [0; 2],
            samples: [0; 2],
        }
    }

    /// Codes a sample of the low band in six bits.
    fn code_low(&mut self, sample: i32) -> u8 {
        let difference = saturate(sample - self.prediction);
        // QUANTL.
        let negative = difference < 0;
        let magnitude = if negative { !difference } else { difference };
        let level = LEVELS.partition_point(|&level| magnitude >= scaled(level, self.step, 12));
        let code = if negative { LOW_NEGATIVE[level] } else { LOW_POSITIVE[level] };
        self.follow_low(code);
        code
    }

    /// Codes a sample of the high band in two bits.
    fn code_high(&mut self, sample: i32) -> u8 {
        let difference = saturate(sample - self.prediction);
        // QUANTH.
        let negative = difference < 0;
        let magnitude = if negative { !difference } else { difference };
        let outer = magnitude >= scaled(564, self.step, 12);
        let code = match (negative, outer) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.follow_high(code);
        code
    }

    fn decode_low(&mut self, code: u8) -> i32 {
        // INVQBL, RECONS, LIMIT: 15 bits.
        let fine = scaled(self.step, FINE[usize::from(code & 0x3f)], 15);
        let sample = (self.prediction + fine).clamp(-16_384, 16_383);
        self.follow_low(code);
        sample
    }

    fn decode_high(&mut self, code: u8) -> i32 {
        let difference = scaled(self.step, HIGH[usize::from(code & 3)], 15);
        let sample = (self.prediction + difference).clamp(-16_384, 16_383);
        self.follow_high(code);
        sample
    }

    /// What encoder and decoder do alike after each code: adapt to it.
    fn follow_low(&mut self, code: u8) {
        let index = usize::from((code >> 2) & 0xf);
        // INVQAL.
        let difference = scaled(self.step, COARSE[index], 15);
        // LOGSCL, SCALEL.
        self.logarithm = (scaled(self.logarithm, 127, 7) + LOW_STEPS[index]).clamp(0, 18_432);
        self.step = step_of(self.logarithm, 8);
        self.predict(difference);
    }

    fn follow_high(&mut self, code: u8) {
        let index = usize::from(code & 3);
        let difference = scaled(self.step, HIGH[index], 15);
        // LOGSCH, SCALEH.
        self.logarithm = (scaled(self.logarithm, 127, 7) + HIGH_STEPS[index]).clamp(0, 22_528);
        self.step = step_of(self.logarithm, 10);
        self.predict(difference);
    }

    /// Block 4: two poles and six zeros, each drawn towards the signs of what they explain.
    fn predict(&mut self, difference: i32) {
        let sample = saturate(self.prediction + difference); // RECONS
        let partial = saturate(self.zeros_part + difference); // PARREC
        self.adapt_poles(partial);
        self.adapt_zeros(difference);

        // DELAYA.
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.partial = [partial, self.partial[0]];
        self.samples = [sample, self.samples[0]];

        // FILTEP, FILTEZ, PREDIC. Zeros are added up from the oldest, for where it saturates counts.
        let part = |factor: i32, value: i32| scaled(factor, saturate(2 * value), 15);
        let poles_part = saturate(part(self.poles[0], self.samples[0]) + part(self.poles[1], self.samples[1]));
        let zeros = self.zeros.iter().zip(&self.differences).rev();
        self.zeros_part = zeros.fold(0, |sum, (&zero, &difference)| saturate(sum + part(zero, difference)));
        self.prediction = saturate(poles_part + self.zeros_part);
    }

    fn adapt_poles(&mut self, partial: i32) {
        let alike = self.partial.map(|earlier| (earlier ^ partial) >= 0);
        let [first, second] = self.poles;
        // UPPOL2.
        let drawn = saturate(4 * first);
        let drawn = if alike[0] { saturate(-drawn) } else { drawn } >> 7;
        let nudge = if alike[1] { 128 } else { -128 };
        let second = (drawn + nudge + scaled(second, 32_512, 15)).clamp(-12_288, 12_288);
        // UPPOL1: within the triangle in which the filter is stable.
        let nudge = if alike[0] { 192 } else { -192 };
        let bound = 15_360 - second;
        let first = (nudge + scaled(first, 32_640, 15)).clamp(-bound, bound);
        self.poles = [first, second];
    }

    /// UPZERO.
    fn adapt_zeros(&mut self, difference: i32) {
        let nudge = if difference == 0 { 0 } else { 128 };
        for (zero, &earlier) in self.zeros.iter_mut().zip(&self.differences) {
            let nudge = if (earlier ^ difference) >= 0 { nudge } else { -nudge };
            *zero = saturate(nudge + scaled(*zero, 32_640, 15));
        }
    }
}

/// SCALEL and SCALEH: the step size of a logarithm whose integer part counts down from `exponent`.
fn step_of(logarithm: i32, exponent: i32) -> i32 {
    let mantissa = MANTISSAS[((logarithm >> 6) & 31) as usize];
    let shift = exponent - (logarithm >> 11);
    (if shift < 0 { mantissa << -shift } else { mantissa >> shift }) << 2
}

/// The last samples that entered the quadrature mirror filter, and room for a block of new ones.
#[derive(Clone, Debug)]
struct Filter {
    samples: [i16; HISTORY + BLOCK],
}

const TAPS: usize = 24;
const HISTORY: usize = TAPS - PAIR;

impl Default for Filter {
    fn default() -> Filter {
        Filter { samples: [0; HISTORY + BLOCK] }
    }
}

impl Filter {
    /// History and the new samples that `fill` writes.
    fn window(&mut self, length: usize, fill: impl FnOnce(&mut [i16])) -> &[i16] {
        fill(&mut self.samples[HISTORY..HISTORY + length]);
        &self.samples[..HISTORY + length]
    }

    /// Makes the end of so many new samples the history of the next.
    fn keep(&mut self, length: usize) {
        self.samples.copy_within(length..length + HISTORY, 0);
    }
}

/// The filter's taps for each pair of samples.
fn windows(samples: &[i16]) -> impl Iterator<Item = &[i16; TAPS]> {
    samples.windows(TAPS).step_by(PAIR).map(|taps| taps.try_into().expect("as long as the window"))
}

fn dot(samples: &[i16; TAPS], factors: &[i16; TAPS]) -> i32 {
    samples.iter().zip(factors).map(|(&sample, &factor)| i32::from(sample) * i32::from(factor)).sum()
}

/// A product of 16-bit numbers, of which so many low bits are dropped.
fn scaled(value: i32, factor: i32, bits: u32) -> i32 {
    (value * factor) >> bits
}

fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// Half of the symmetric filter of table 11.
const QMF: [i16; TAPS / 2] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// The filter for the sum of the polyphase halves (the low band), and for their difference (the high band).
const SUM: [i16; TAPS] = interleaved(1, 1);
const DIFFERENCE: [i16; TAPS] = interleaved(-1, 1);
/// The halves alone, for the way back.
const EVEN: [i16; TAPS] = interleaved(1, 0);
const ODD: [i16; TAPS] = interleaved(0, 1);

const fn interleaved(even: i16, odd: i16) -> [i16; TAPS] {
    let mut taps = [0; TAPS];
    let mut index = 0;
    while index < QMF.len() {
        taps[2 * index] = even * QMF[index];
        taps[2 * index + 1] = odd * QMF[QMF.len() - 1 - index];
        index += 1;
    }
    taps
}

/// Q6: where one interval of the low band's quantizer ends and the next begins.
const LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// IL of each interval: counted down, from 61 for positive and from 31 for negative ones, whose two innermost are last.
const LOW_POSITIVE: [u8; 30] = {
    let mut codes = [0; 30];
    let mut level = 0;
    while level < codes.len() {
        codes[level] = 61 - level as u8;
        level += 1;
    }
    codes
};
const LOW_NEGATIVE: [u8; 30] = {
    let mut codes = [0; 30];
    let mut level = 0;
    while level < codes.len() {
        codes[level] = if level < 2 { 63 - level as u8 } else { 33 - level as u8 };
        level += 1;
    }
    codes
};

/// QQ6: the middle of each interval, from the innermost.
const MIDDLES: [i32; 30] = [
    136, 432, 728, 1040, 1360, 1688, 2032, 2400, 2776, 3168, 3576, 4008, 4464, 4944, 5456, 6000, 6576, 7192, 7856,
    8576, 9360, 10_232, 11_192, 12_280, 13_512, 14_984, 16_704, 19_008, 21_904, 24_808,
];

/// The same by code.
const FINE: [i32; 64] = {
    // Codes 0 to 3 are never sent (§3.6.2); a decoder takes them for the innermost negative one.
    let mut middles = [-MIDDLES[0]; 64];
    let mut level = 0;
    while level < MIDDLES.len() {
        middles[LOW_POSITIVE[level] as usize] = MIDDLES[level];
        middles[LOW_NEGATIVE[level] as usize] = -MIDDLES[level];
        level += 1;
    }
    middles
};

/// QQ4 by code: the middles of the intervals of the upper four bits.
const COARSE: [i32; 16] =
    [0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288, 4_240, 2_584, 1_200, 0];

/// QQ2 by code.
const HIGH: [i32; 4] = [-7_408, -1_616, 7_408, 1_616];

/// WL by the upper four bits: outer intervals make the steps grow, inner ones shrink.
const LOW_STEPS: [i32; 16] = [-60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60];

/// WH by code.
const HIGH_STEPS: [i32; 4] = [798, -214, 798, -214];

/// ILB: 2 to the power of 11 and so many 32nds.
const MANTISSAS: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_of_samples_is_an_octet_and_half_a_pair_is_refused() {
        let (mut encoder, mut payload) = (G722Encoder::default(), Vec::new());
        assert_eq!(encoder.encode(&[0; 3], &mut payload), Err(CodecError::PacketTime { samples: 3 }));
        encoder.encode(&[0; 640], &mut payload).unwrap();
        assert_eq!(payload.len(), 320);
    }

    #[test]
    fn pieces_of_any_length_give_the_octets_of_the_whole() {
        let pcm: Vec<i16> = (0..2_000).map(|n| ((n * n * 7) % 20_011 - 10_000) as i16).collect();
        let (mut whole, mut pieces) = (Vec::new(), Vec::new());
        G722Encoder::default().encode(&pcm, &mut whole).unwrap();
        let mut encoder = G722Encoder::default();
        for piece in pcm.chunks(166) {
            encoder.encode(piece, &mut pieces).unwrap();
        }
        assert_eq!(whole, pieces);
    }
}
