//! Opus over RTP (RFC 7587); the codec itself is a crate's (RFC 6716).
//!
//! In SDP it is always `opus/48000/2`; what is sent is mono, and what comes is made mono. The far end's parameters say
//! what it likes to receive; they are wishes, every decoder takes everything.

mod parameters;

use opus_pure::{Application, Bandwidth, OpusMode, RateControl, Signal};
pub use parameters::OpusParameters;

use super::registry::CodecSettings;
use super::{CodecError, Decoder, Encoder};
use crate::pcm::SampleRate;
use crate::resample::Resampler;

/// What decoder and encoder keep is heard for 2.5 ms at least (RFC 6716 §2.1.4); everything is a multiple of it.
const SHORTEST_FRAMES_PER_SECOND: usize = 400;

/// No packet is longer than 120 ms (RFC 6716 §3.2.5).
const LONGEST_PACKET: usize = 5_760;

/// Fewer bits per second than this are better spent by the SILK layer, whatever it takes.
const LEAST_FOR_CELT: u32 = 20_000;

/// The encoder of one stream.
///
/// Where it may take no time at all (complexity 0) it uses the CELT layer alone: that takes a third of the time of the
/// others and delays 4 ms less. It has no copies of the previous packet then.
pub struct OpusEncoder {
    codec: opus_pure::OpusEncoder,
    far: OpusParameters,
    settings: CodecSettings,
    /// Of what is handed in.
    rate: SampleRate,
    /// To the rate that the codec works at, where it is another.
    resampler: Option<Resampler>,
    resampled: Vec<i16>,
    packet: Box<[u8; opus_pure::MAX_PACKET_BYTES]>,
    discontinuous: bool,
}

/// The decoder of one stream.
pub struct OpusDecoder {
    rate: SampleRate,
    core: Core,
    scratch: Vec<i16>,
}

/// The codec's decoder and the rate it works at.
///
/// At lower rates than 48,000 the crate leaves out part of the work for the bands above half of them, and they appear
/// mirrored. So only what has no such bands, packets of the SILK layer alone, is decoded at the lower rate itself, which
/// takes half the time; the first other packet makes it go over to 48,000 and [`Resampler`] for good.
enum Core {
    Direct(opus_pure::OpusDecoder),
    Resampled(opus_pure::OpusDecoder, Resampler),
}

impl OpusEncoder {
    /// For audio of this rate, as the far end likes it and the caller can afford.
    pub fn new(rate: SampleRate, far: &OpusParameters, settings: &CodecSettings) -> OpusEncoder {
        let own = own_rate(rate, far);
        OpusEncoder {
            codec: encoder(rate, far, settings),
            far: *far,
            settings: *settings,
            rate,
            resampler: (own != rate).then(|| Resampler::new(rate, own)),
            resampled: Vec::new(),
            packet: Box::new([0; opus_pure::MAX_PACKET_BYTES]),
            discontinuous: is_discontinuous(far, settings),
        }
    }
}

impl Encoder for OpusEncoder {
    fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        let samples = pcm.len();
        let pcm = match &mut self.resampler {
            None => pcm,
            Some(resampler) => {
                self.resampled.clear();
                resampler.resample(pcm, &mut self.resampled);
                &self.resampled
            }
        };
        let octets = self
            .codec
            .encode_s16(pcm, pcm.len(), self.packet.as_mut_slice())
            .map_err(|_| CodecError::PacketTime { samples })?;
        // A packet of a single octet says "silence as before" and need not be sent (RFC 7587 §3.1.3).
        if !(self.discontinuous && octets <= 1) {
            payload.extend_from_slice(&self.packet[..octets]);
        }
        Ok(())
    }

    fn expect_loss(&mut self, fraction: f32) {
        // A cast from floating point stays within the bounds of the integer.
        self.codec.packet_loss_perc = (fraction.clamp(0.0, 1.0) * 100.0).round() as i32;
    }

    fn set_complexity(&mut self, complexity: u8) {
        let before = layers(&self.far, &self.settings);
        self.settings.complexity = complexity;
        if layers(&self.far, &self.settings) == before {
            self.codec.complexity = complexity.min(10).into();
        } else {
            // Every decoder follows from one layer to the other.
            let loss = self.codec.packet_loss_perc;
            self.codec = encoder(self.rate, &self.far, &self.settings);
            self.codec.packet_loss_perc = loss;
        }
    }
}

impl OpusDecoder {
    /// For audio of this rate.
    pub fn new(rate: SampleRate) -> OpusDecoder {
        let core = match rate {
            SampleRate::SuperWide => Core::resampled(rate),
            _ => Core::Direct(decoder(rate)),
        };
        OpusDecoder { rate, core, scratch: Vec::new() }
    }

    /// Goes over to decoding at 48,000. What the old decoder would have played on fades into the new one's beginning.
    fn widen(&mut self, payload: &[u8], pcm: &mut Vec<i16>) -> Result<(), CodecError> {
        let mut core = Core::resampled(self.rate);
        let start = pcm.len();
        core.decode(payload, self.rate, &mut self.scratch, pcm)?;
        let mut fading = Vec::new();
        self.core.conceal(self.rate.samples_per_tick() / 2, self.rate, &mut self.scratch, &mut fading);
        let length = fading.len().min(pcm.len() - start);
        for (index, (new, old)) in pcm[start..].iter_mut().zip(fading).take(length).enumerate() {
            let (index, length) = (index as i32, length as i32);
            *new = ((i32::from(*new) * index + i32::from(old) * (length - index)) / length) as i16;
        }
        self.core = core;
        Ok(())
    }
}

impl Decoder for OpusDecoder {
    fn decode(&mut self, payload: &[u8], pcm: &mut Vec<i16>) -> Result<(), CodecError> {
        let start = pcm.len();
        let is_narrower = self.rate < SampleRate::Full && matches!(self.core, Core::Direct(_));
        let decoded = if is_narrower && payload.len() > 1 && mode_of(payload) != Some(OpusMode::SilkOnly) {
            self.widen(payload, pcm)
        } else {
            self.core.decode(payload, self.rate, &mut self.scratch, pcm)
        };
        decoded.inspect_err(|_| pcm.truncate(start))
    }

    fn conceal(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<i16>) {
        let end = pcm.len() + samples;
        // What the next packet tells of the one before covers no more than the length of one of its own frames.
        let told = next.and_then(|next| frame_samples(next, self.rate)).filter(|&frame| frame <= samples);
        let untold = samples - told.unwrap_or(0);
        self.core.conceal(untold, self.rate, &mut self.scratch, pcm);
        if let (Some(next), Some(told)) = (next, told) {
            self.core.recover(next, told, self.rate, &mut self.scratch, pcm);
        }
        pcm.resize(end, 0);
    }

    fn samples_in(&self, payload: &[u8]) -> Option<usize> {
        packet_samples(payload, self.rate)
    }
}

impl Core {
    fn resampled(rate: SampleRate) -> Core {
        Core::Resampled(decoder(SampleRate::Full), Resampler::new(SampleRate::Full, rate))
    }

    fn decode(
        &mut self,
        payload: &[u8],
        rate: SampleRate,
        scratch: &mut Vec<i16>,
        pcm: &mut Vec<i16>,
    ) -> Result<(), CodecError> {
        // An empty slice would mean a lost packet to the codec.
        let samples = packet_samples(payload, self.rate(rate)).ok_or(CodecError::Payload)?;
        let run = |codec: &mut opus_pure::OpusDecoder, out: &mut [i16]| codec.decode_s16(payload, samples, out);
        self.run(samples, scratch, pcm, run)
    }

    /// What the codec makes of nothing.
    fn conceal(&mut self, samples: usize, rate: SampleRate, scratch: &mut Vec<i16>, pcm: &mut Vec<i16>) {
        let end = pcm.len() + samples;
        let own = self.rate(rate);
        // It wants multiples of 2.5 ms, and is made for the lengths of packets.
        let (shortest, longest) = (own.hertz() as usize / SHORTEST_FRAMES_PER_SECOND, own.samples_per_tick());
        while pcm.len() < end {
            let wanted = (end - pcm.len()) as u64 * u64::from(own.hertz()) / u64::from(rate.hertz());
            let length = (wanted as usize).next_multiple_of(shortest).clamp(shortest, longest);
            let run = |codec: &mut opus_pure::OpusDecoder, out: &mut [i16]| codec.decode_s16(&[], length, out);
            if self.run(length, scratch, pcm, run).is_err() {
                pcm.resize(end, 0);
            }
        }
        pcm.truncate(end);
    }

    /// What the next packet tells of the one before, or what the codec makes of nothing.
    fn recover(&mut self, next: &[u8], samples: usize, rate: SampleRate, scratch: &mut Vec<i16>, pcm: &mut Vec<i16>) {
        let Some(length) = frame_samples(next, self.rate(rate)) else { return };
        let run = |codec: &mut opus_pure::OpusDecoder, out: &mut [i16]| codec.decode_fec_s16(next, length, out);
        if self.run(length, scratch, pcm, run).is_err() {
            self.conceal(samples, rate, scratch, pcm);
        }
    }

    /// The rate at which the codec works, where the stream has this one.
    fn rate(&self, rate: SampleRate) -> SampleRate {
        match self {
            Core::Direct(_) => rate,
            Core::Resampled(..) => SampleRate::Full,
        }
    }

    /// Lets the codec write so many samples, and brings them to the stream's rate.
    fn run(
        &mut self,
        samples: usize,
        scratch: &mut Vec<i16>,
        pcm: &mut Vec<i16>,
        codec: impl FnOnce(&mut opus_pure::OpusDecoder, &mut [i16]) -> opus_pure::Result<usize>,
    ) -> Result<(), CodecError> {
        match self {
            Core::Direct(decoder) => {
                let start = pcm.len();
                pcm.resize(start + samples, 0);
                match codec(decoder, &mut pcm[start..]) {
                    Ok(written) if written == samples => Ok(()),
                    _ => {
                        pcm.truncate(start);
                        Err(CodecError::Payload)
                    }
                }
            }
            Core::Resampled(decoder, resampler) => {
                scratch.clear();
                scratch.resize(samples, 0);
                match codec(decoder, scratch) {
                    Ok(written) if written == samples => {
                        resampler.resample(scratch, pcm);
                        Ok(())
                    }
                    _ => Err(CodecError::Payload),
                }
            }
        }
    }
}

fn encoder(rate: SampleRate, far: &OpusParameters, settings: &CodecSettings) -> opus_pure::OpusEncoder {
    let own = hertz(own_rate(rate, far));
    let mut codec =
        opus_pure::OpusEncoder::new(own, 1, layers(far, settings)).expect("a rate of Opus, and one channel");
    codec.bitrate_bps = bit_rate(far, settings).cast_signed();
    codec.complexity = settings.complexity.min(10).into();
    codec.signal_type = Some(Signal::Voice);
    codec.rate_control = if far.constant_bit_rate { RateControl::Cbr } else { RateControl::ConstrainedVbr };
    codec.use_inband_fec = settings.in_band_fec && far.use_in_band_fec;
    codec.use_dtx = is_discontinuous(far, settings);
    codec.max_bandwidth = bandwidth_of(far.max_playback_rate.min(rate.hertz()));
    codec
}

/// What the far end cannot play need not be encoded.
fn own_rate(rate: SampleRate, far: &OpusParameters) -> SampleRate {
    match far.max_playback_rate {
        ..=8_000 => SampleRate::Narrow,
        8_001..=16_000 => SampleRate::Wide.min(rate),
        16_001.. => native(rate),
    }
}

fn bit_rate(far: &OpusParameters, settings: &CodecSettings) -> u32 {
    settings.bit_rate.min(far.max_average_bit_rate.unwrap_or(u32::MAX)).clamp(6_000, 510_000)
}

fn is_discontinuous(far: &OpusParameters, settings: &CodecSettings) -> bool {
    settings.discontinuous && far.use_dtx
}

/// Both layers, or CELT alone. The latter knows no silence that need not be sent.
fn layers(far: &OpusParameters, settings: &CodecSettings) -> Application {
    let in_a_hurry = settings.complexity == 0 && !is_discontinuous(far, settings);
    if in_a_hurry && bit_rate(far, settings) >= LEAST_FOR_CELT {
        Application::RestrictedLowDelay
    } else {
        Application::Voip
    }
}

/// The rate of Opus in which all of this one fits: it does not know 32,000 samples per second.
fn native(rate: SampleRate) -> SampleRate {
    if rate == SampleRate::SuperWide { SampleRate::Full } else { rate }
}

fn decoder(rate: SampleRate) -> opus_pure::OpusDecoder {
    opus_pure::OpusDecoder::new(hertz(rate), 1).expect("a rate of Opus, and one channel")
}

fn hertz(rate: SampleRate) -> i32 {
    rate.hertz().cast_signed()
}

/// The band that somebody hears who plays so many samples per second (RFC 7587 §3.1.1).
fn bandwidth_of(hertz: u32) -> Bandwidth {
    match hertz {
        ..=8_000 => Bandwidth::Narrowband,
        8_001..=12_000 => Bandwidth::Mediumband,
        12_001..=16_000 => Bandwidth::Wideband,
        16_001..=32_000 => Bandwidth::Superwideband,
        32_001.. => Bandwidth::Fullband,
    }
}

fn mode_of(payload: &[u8]) -> Option<OpusMode> {
    opus_pure::packet::mode(payload).ok()
}

/// How long a packet is; `None` if it is none.
fn packet_samples(payload: &[u8], rate: SampleRate) -> Option<usize> {
    let full = opus_pure::packet::samples_48k(payload).ok()? as usize;
    (1..=LONGEST_PACKET).contains(&full).then(|| full * rate.hertz() as usize / SampleRate::Full.hertz() as usize)
}

/// How long each of its frames is.
fn frame_samples(payload: &[u8], rate: SampleRate) -> Option<usize> {
    let frames = opus_pure::packet::frame_count(payload).ok().filter(|&frames| frames > 0)?;
    Some(packet_samples(payload, rate)? / frames)
}
