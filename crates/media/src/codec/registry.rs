//! Which codecs there are, and which of them a line of SDP means.

use std::time::Duration;

use super::opus::{OpusDecoder, OpusEncoder, OpusParameters};
use super::waveform::WaveformDecoder;
use super::{Decoder, Encoder, comfort_noise, g711, g722, l16};
use crate::pcm::SampleRate;
use sdp::{Codec, PayloadType, Text, Token};

/// A codec by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodecKind {
    /// Opus (RFC 6716, RFC 7587).
    Opus,
    /// G.722 at 64 kbit/s.
    G722,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Linear samples in network byte order (RFC 3551 §4.5.11).
    L16,
    /// Comfort noise (RFC 3389): no codec to talk with, but sent beside one that has no silence of its own.
    ComfortNoise,
}

/// What the caller may choose; codecs without such a choice ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecSettings {
    /// Bits per second to aim at, unless the far end asks for less.
    pub bit_rate: u32,
    /// How much time the encoder may take, from 0 to 10. At 0 Opus is CELT alone.
    pub complexity: u8,
    /// Whether to send copies of the previous packet if the far end wants them. They cost nothing before
    /// [`Encoder::expect_loss`] has told of losses. Opus has none at complexity 0.
    pub in_band_fec: bool,
    /// Whether to send nothing in silence, if the far end likes that.
    pub discontinuous: bool,
}

impl CodecSettings {
    /// For a server: some hundred calls per core, at a small loss of quality.
    pub const MANY_CALLS: CodecSettings =
        CodecSettings { bit_rate: 32_000, complexity: 0, in_band_fec: true, discontinuous: false };
    /// For a phone: as good as it gets.
    pub const ONE_CALL: CodecSettings =
        CodecSettings { bit_rate: 32_000, complexity: 9, in_band_fec: true, discontinuous: false };
}

impl Default for CodecSettings {
    fn default() -> CodecSettings {
        CodecSettings::MANY_CALLS
    }
}

/// One codec at one clock rate.
#[derive(Debug, PartialEq, Eq)]
pub struct CodecSpec {
    /// Which it is.
    pub kind: CodecKind,
    /// Its name in SDP.
    pub encoding: &'static str,
    /// Units of the RTP timestamp per second. Not always the sample rate: G.722 says 8,000 (RFC 3551 §4.5.2).
    pub clock_rate: u32,
    /// Channels as SDP has them; what is encoded is always mono.
    pub channels: u8,
    /// The payload type of RFC 3551 §6, if it has one.
    pub payload_type: Option<u8>,
    /// The rate of the audio, where the codec has but one.
    rate: Option<SampleRate>,
}

/// All, the best first.
pub fn all() -> &'static [CodecSpec] {
    &SPECS
}

/// The codec that a peer, or an application, means.
pub fn find(codec: &Codec) -> Option<&'static CodecSpec> {
    SPECS.iter().find(|spec| {
        codec.is_named(spec.encoding)
            && codec.clock_rate == spec.clock_rate
            // Some forget the 2 of opus/48000/2, which says nothing anyway (RFC 7587 §7).
            && (codec.channels == spec.channels || spec.kind == CodecKind::Opus)
    })
}

/// What to offer when nobody says otherwise: Opus, G.722, µ-law, A-law, then comfort noise and the telephone's keys at
/// each clock rate in use.
pub fn defaults() -> Vec<Codec> {
    let number = |number| PayloadType::new(number).expect("it has seven bits");
    let mut codecs: Vec<Codec> = SPECS
        .iter()
        .filter(|spec| !matches!(spec.kind, CodecKind::L16 | CodecKind::ComfortNoise))
        .map(|spec| spec.offer(number(96)))
        .collect();
    codecs.extend(SPECS.iter().find(|spec| spec.payload_type == Some(13)).map(|noise| noise.offer(number(13))));
    codecs.push(Codec::telephone_event(number(101), 8_000));
    codecs.push(Codec::telephone_event(number(102), 48_000));
    codecs
}

impl CodecSpec {
    /// This codec as an offer has it, under its own payload type or else this one.
    pub fn offer(&self, dynamic: PayloadType) -> Codec {
        let payload_type = self.payload_type.and_then(PayloadType::new).unwrap_or(dynamic);
        let encoding = Token::new(self.encoding).expect("the names of codecs are tokens");
        let mut codec = Codec::new(payload_type, encoding, self.clock_rate);
        codec.channels = self.channels;
        if self.kind == CodecKind::Opus {
            let parameters = OpusParameters { use_in_band_fec: true, ..OpusParameters::default() };
            codec.parameters = Text::new(parameters.to_string()).ok();
        }
        codec
    }

    /// The rate of the audio that encoder and decoder work at, when this one would be liked.
    pub fn sample_rate(&self, liked: SampleRate) -> SampleRate {
        self.rate.unwrap_or(liked)
    }

    /// An encoder for a far end that described itself so. `liked` is the rate of the audio where the codec has a choice
    /// ([`CodecSpec::sample_rate`]).
    pub fn encoder(&self, far: &Codec, liked: SampleRate, settings: &CodecSettings) -> Box<dyn Encoder> {
        let rate = self.sample_rate(liked);
        match self.kind {
            CodecKind::Opus => Box::new(OpusEncoder::new(rate, &OpusParameters::of(far), settings)),
            CodecKind::G722 => Box::new(g722::G722Encoder::default()),
            CodecKind::Pcmu => Box::new(g711::MuLaw),
            CodecKind::Pcma => Box::new(g711::ALaw),
            CodecKind::L16 => Box::new(l16::L16),
            CodecKind::ComfortNoise => Box::new(comfort_noise::Analyser::new(rate)),
        }
    }

    /// A decoder.
    pub fn decoder(&self, liked: SampleRate) -> Box<dyn Decoder> {
        let rate = self.sample_rate(liked);
        match self.kind {
            CodecKind::Opus => Box::new(OpusDecoder::new(rate)),
            CodecKind::G722 => Box::new(WaveformDecoder::new(g722::G722Decoder::default(), rate)),
            CodecKind::Pcmu => Box::new(WaveformDecoder::new(g711::MuLaw, rate)),
            CodecKind::Pcma => Box::new(WaveformDecoder::new(g711::ALaw, rate)),
            CodecKind::L16 => Box::new(WaveformDecoder::new(l16::L16, rate)),
            CodecKind::ComfortNoise => Box::new(comfort_noise::Generator::new(rate)),
        }
    }

    /// The packet time nearest to the one asked for (`a=ptime`) that the codec can do: 10 to 60 ms, for Opus only 10,
    /// 20, 40 and 60 (RFC 6716 §2.1.4).
    pub fn packet_time(&self, asked: Duration) -> Duration {
        let choices: &[u64] = if self.kind == CodecKind::Opus { &[10, 20, 40, 60] } else { &[10, 20, 30, 40, 50, 60] };
        // Of two as near, the shorter.
        let nearest = choices.iter().map(|&choice| Duration::from_millis(choice)).min_by_key(|c| c.abs_diff(asked));
        nearest.expect("there are choices")
    }

    /// Units of the RTP timestamp that so many samples at this rate last.
    pub fn clock_units(&self, samples: usize, rate: SampleRate) -> u32 {
        // Truncation as the timestamp wraps.
        (samples as u64 * u64::from(self.clock_rate) / u64::from(rate.hertz())) as u32
    }

    /// The opposite: samples in so many units.
    pub fn samples(&self, clock_units: u32, rate: SampleRate) -> usize {
        (u64::from(clock_units) * u64::from(rate.hertz()) / u64::from(self.clock_rate)) as usize
    }
}

const fn spec(
    kind: CodecKind,
    encoding: &'static str,
    clock_rate: u32,
    payload_type: Option<u8>,
    rate: Option<SampleRate>,
) -> CodecSpec {
    CodecSpec { kind, encoding, clock_rate, channels: 1, payload_type, rate }
}

static SPECS: [CodecSpec; 12] = [
    CodecSpec { channels: 2, ..spec(CodecKind::Opus, "opus", 48_000, None, None) },
    spec(CodecKind::G722, "G722", 8_000, Some(9), Some(SampleRate::Wide)),
    spec(CodecKind::Pcmu, "PCMU", 8_000, Some(0), Some(SampleRate::Narrow)),
    spec(CodecKind::Pcma, "PCMA", 8_000, Some(8), Some(SampleRate::Narrow)),
    spec(CodecKind::L16, "L16", 8_000, None, Some(SampleRate::Narrow)),
    spec(CodecKind::L16, "L16", 16_000, None, Some(SampleRate::Wide)),
    spec(CodecKind::L16, "L16", 32_000, None, Some(SampleRate::SuperWide)),
    spec(CodecKind::L16, "L16", 48_000, None, Some(SampleRate::Full)),
    // The clock is that of the codec beside which the noise is sent; its audio has the rate of that codec's, so that
    // CN/8000 beside G.722 is 16,000 samples per second.
    spec(CodecKind::ComfortNoise, "CN", 8_000, Some(13), None),
    spec(CodecKind::ComfortNoise, "CN", 16_000, None, None),
    spec(CodecKind::ComfortNoise, "CN", 32_000, None, None),
    spec(CodecKind::ComfortNoise, "CN", 48_000, None, None),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_by_default_is_found_again() {
        let name = |codec: &Codec| format!("{} {}/{}", codec.payload_type, codec.encoding, codec.clock_rate);
        let names: Vec<_> = defaults().iter().map(name).collect();
        let expected = [
            "96 opus/48000",
            "9 G722/8000",
            "0 PCMU/8000",
            "8 PCMA/8000",
            "13 CN/8000",
            "101 telephone-event/8000",
            "102 telephone-event/48000",
        ];
        assert_eq!(names, expected);
        for codec in defaults().iter().filter(|codec| !codec.is_named("telephone-event")) {
            let spec = find(codec).expect("offered");
            assert!(codec.is_named(spec.encoding) && codec.clock_rate == spec.clock_rate);
        }
    }

    /// RFC 3551 §4.5.2: the clock of G.722 is an error of 1996 that everybody keeps.
    #[test]
    fn g722_has_a_clock_of_8000_and_audio_at_16000() {
        let spec = find(&Codec::g722()).expect("G.722");
        assert_eq!(spec.sample_rate(SampleRate::Full), SampleRate::Wide);
        assert_eq!(spec.clock_units(320, SampleRate::Wide), 160);
        assert_eq!(spec.samples(160, SampleRate::Wide), 320);
    }

    #[test]
    fn codecs_of_other_clocks_or_channels_are_not_ours() {
        let mut codec = Codec::pcmu();
        codec.clock_rate = 16_000;
        assert_eq!(find(&codec), None);
        let mut codec = Codec::pcmu();
        codec.channels = 2;
        assert_eq!(find(&codec), None);
        let mut codec = Codec::opus(PayloadType::new(111).unwrap());
        codec.channels = 1;
        assert_eq!(find(&codec).map(|spec| spec.kind), Some(CodecKind::Opus));
    }

    #[test]
    fn packet_times_are_brought_into_what_the_codec_can() {
        let of = |spec: &CodecSpec, milliseconds| spec.packet_time(Duration::from_millis(milliseconds)).as_millis();
        let opus = &SPECS[0];
        assert_eq!([5, 10, 20, 30, 45, 200].map(|asked| of(opus, asked)), [10, 10, 20, 20, 40, 60]);
        assert_eq!([5, 10, 20, 30, 45, 200].map(|asked| of(&SPECS[2], asked)), [10, 10, 20, 30, 40, 60]);
    }
}
