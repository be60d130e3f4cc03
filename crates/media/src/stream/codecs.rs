//! The formats of a stream: what we offer, and what the numbers mean that were agreed.

use std::sync::Arc;
use std::time::Duration;

use sdp::{Codec, PayloadType, Text};

use super::plan::AudioOptions;
use crate::codec::opus::OpusParameters;
use crate::codec::{self, CodecKind, CodecSettings, CodecSpec, Decoder, Encoder};
use crate::pcm::SampleRate;
use crate::rtp::{ClockRate, Impairment};

/// The first number for codecs that have none of their own (RFC 3551 §6).
const FIRST_DYNAMIC: u8 = 96;
/// What nearly everybody takes for key presses; some gateways take nothing else.
const EVENTS: u8 = 101;
/// L16 at this rate is what `L16` alone means: wideband, in packets that still fit everywhere.
const LINEAR: u32 = 16_000;

/// A codec under an agreed number.
#[derive(Clone)]
pub(super) struct Format {
    pub(super) payload_type: PayloadType,
    pub(super) name: Arc<str>,
    /// Of timestamps.
    pub(super) clock: ClockRate,
    /// Of the audio.
    pub(super) rate: SampleRate,
    codec: Codec,
    spec: &'static CodecSpec,
}

/// What a number means.
pub(super) enum Kind {
    /// Audio.
    Audio(Format),
    /// Key presses, by that clock (RFC 4733).
    Events(ClockRate),
    /// Comfort noise, beside audio of that clock (RFC 3389).
    Noise(ClockRate, &'static CodecSpec),
}

/// What the agreed numbers mean, in the agreed order.
#[derive(Default)]
pub(super) struct Formats(Vec<(PayloadType, Kind)>);

impl Formats {
    /// What these are, less those that we do not know. Audio is wanted at a rate, where the codec has a choice.
    pub(super) fn read(codecs: &[Codec], liked: SampleRate) -> Formats {
        Formats(codecs.iter().filter_map(|codec| Some((codec.payload_type, Kind::of(codec, liked)?))).collect())
    }

    pub(super) fn kind(&self, payload_type: PayloadType) -> Option<&Kind> {
        self.0.iter().find(|(number, _)| *number == payload_type).map(|(_, kind)| kind)
    }

    pub(super) fn audio(&self, payload_type: PayloadType) -> Option<&Format> {
        match self.kind(payload_type)? {
            Kind::Audio(format) => Some(format),
            Kind::Events(_) | Kind::Noise(..) => None,
        }
    }

    pub(super) fn first_audio(&self) -> Option<&Format> {
        self.0.iter().find_map(|(_, kind)| match kind {
            Kind::Audio(format) => Some(format),
            Kind::Events(_) | Kind::Noise(..) => None,
        })
    }

    /// The number for key presses beside audio of that clock, and their own clock: the same where there is a choice
    /// (RFC 4733 §2.5.1.2), another one where the peer has no better.
    pub(super) fn events(&self, clock: ClockRate) -> Option<(PayloadType, ClockRate)> {
        let all = || {
            self.0.iter().filter_map(|(number, kind)| match kind {
                Kind::Events(clock) => Some((*number, *clock)),
                Kind::Audio(_) | Kind::Noise(..) => None,
            })
        };
        all().find(|(_, own)| *own == clock).or_else(|| all().next())
    }

    /// Comfort noise beside audio of that clock.
    pub(super) fn noise(&self, beside: ClockRate) -> Option<(PayloadType, &'static CodecSpec)> {
        self.0.iter().find_map(|(number, kind)| match kind {
            Kind::Noise(clock, spec) if *clock == beside => Some((*number, *spec)),
            _ => None,
        })
    }
}

impl Kind {
    fn of(codec: &Codec, liked: SampleRate) -> Option<Kind> {
        let clock = ClockRate::new(codec.clock_rate)?;
        if codec.is_named("telephone-event") {
            return Some(Kind::Events(clock));
        }
        let spec = codec::find(codec)?;
        if spec.kind == CodecKind::ComfortNoise {
            return Some(Kind::Noise(clock, spec));
        }
        Some(Kind::Audio(Format {
            payload_type: codec.payload_type,
            name: spec.encoding.into(),
            clock,
            rate: spec.sample_rate(liked),
            codec: codec.clone(),
            spec,
        }))
    }
}

impl Format {
    /// Whether both are the same but for the number.
    pub(super) fn same_coding(&self, other: &Format) -> bool {
        let Codec { payload_type: _, encoding, clock_rate, channels, parameters } = &self.codec;
        encoding.eq_ignore_ascii_case(&other.codec.encoding)
            && (clock_rate, channels, parameters)
                == (&other.codec.clock_rate, &other.codec.channels, &other.codec.parameters)
    }

    /// The packet time nearest to a wish that this codec can do.
    pub(super) fn packet_time(&self, wish: Duration) -> Duration {
        self.spec.packet_time(wish)
    }

    pub(super) fn encoder(&self, options: &AudioOptions, complexity: u8) -> Box<dyn Encoder> {
        let settings = CodecSettings {
            bit_rate: options.opus_bitrate,
            complexity,
            in_band_fec: true,
            discontinuous: options.silence_suppression,
        };
        self.spec.encoder(&self.codec, self.rate, &settings)
    }

    pub(super) fn decoder(&self) -> Box<dyn Decoder> {
        self.spec.decoder(self.rate)
    }

    /// What describes the noise beside it.
    pub(super) fn describer(&self, noise: &CodecSpec) -> Box<dyn Encoder> {
        noise.encoder(&self.codec, self.rate, &CodecSettings::default())
    }

    /// Whether it has a way of its own to send nothing in silence.
    pub(super) fn suppresses_silence(&self) -> bool {
        self.spec.kind == CodecKind::Opus
    }

    pub(super) fn impairment(&self) -> Impairment {
        match self.spec.kind {
            CodecKind::Opus => Impairment::OPUS_FEC,
            CodecKind::G722 => Impairment::G722,
            CodecKind::Pcmu | CodecKind::Pcma | CodecKind::L16 | CodecKind::ComfortNoise => Impairment::G711_CONCEALED,
        }
    }
}

/// The codecs of these names, the most liked first; unknown ones are left out. `L16` may be followed by its rate:
/// `L16/48000`.
pub fn codecs_named<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Codec> {
    let mut dynamic = (FIRST_DYNAMIC..EVENTS).filter_map(PayloadType::new);
    let mut codecs: Vec<Codec> = Vec::new();
    for name in names {
        let Some(spec) = spec_named(name) else { continue };
        if codecs.iter().any(|known| codec::find(known) == Some(spec)) {
            continue;
        }
        if let Some(number) = spec.payload_type.and_then(PayloadType::new).or_else(|| dynamic.next()) {
            codecs.push(spec.offer(number));
        }
    }
    codecs
}

/// What we say of ourselves (RFC 7587 §6.1): beyond our own rate there is nothing that we hear or send, which spares the
/// peer's bits and both sides' time; and who does not send silence does not want to be sent any.
fn describe_opus(opus: &mut Codec, rate: SampleRate, use_dtx: bool) {
    let (max_playback_rate, max_capture_rate) = (rate.hertz(), rate.hertz());
    let parameters = OpusParameters { max_playback_rate, max_capture_rate, use_dtx, ..OpusParameters::of(opus) };
    opus.parameters = Text::new(parameters.to_string()).ok();
}

fn spec_named(name: &str) -> Option<&'static CodecSpec> {
    let (name, rate) = match name.split_once('/') {
        Some((name, rate)) => (name, Some(rate.parse::<u32>().ok()?)),
        None => (name, None),
    };
    codec::all().iter().find(|spec| {
        let rate = rate.or((spec.kind == CodecKind::L16).then_some(LINEAR));
        spec.kind != CodecKind::ComfortNoise
            && spec.encoding.eq_ignore_ascii_case(name)
            && rate.is_none_or(|rate| rate == spec.clock_rate)
    })
}

/// All that the m-line of a stream of this rate lists: codecs, key presses by each of their clocks, comfort noise if wanted.
pub(super) fn offered(options: &AudioOptions, rate: SampleRate) -> Vec<Codec> {
    let mut codecs = codecs_named(options.codecs.iter().map(String::as_str));
    for opus in codecs.iter_mut().filter(|codec| codec.is_named("opus")) {
        describe_opus(opus, rate, options.silence_suppression);
    }
    let mut clocks: Vec<u32> = codecs.iter().map(|codec| codec.clock_rate).collect();
    // By 8,000 in any case: there are phones that do Opus and know key presses by that clock alone.
    clocks.push(ClockRate::NARROW.hertz());
    clocks.sort_unstable();
    clocks.dedup();
    let is_offered = |spec: &CodecSpec| codecs.iter().any(|codec| codec.clock_rate == spec.clock_rate);
    // Opus has a way of its own, and at the other clocks there is hardly anybody who knows it.
    let noise = codec::all().iter().find(|spec| spec.kind == CodecKind::ComfortNoise && spec.payload_type.is_some());
    let noise = noise.filter(|spec| options.silence_suppression && is_offered(spec));
    let noise = noise.and_then(|spec| Some(spec.offer(PayloadType::new(spec.payload_type?)?)));
    let numbers = (EVENTS..).filter_map(PayloadType::new);
    codecs.extend(numbers.zip(clocks).map(|(number, clock)| Codec::telephone_event(number, clock)));
    codecs.extend(noise);
    codecs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_says_beyond_what_rate_we_hear_nothing() {
        let line = |rate| {
            let codecs = offered(&AudioOptions::default(), rate);
            codecs.iter().find(|codec| codec.is_named("opus")).and_then(|opus| opus.parameters.clone()).unwrap()
        };
        assert_eq!(line(SampleRate::Full).as_str(), "useinbandfec=1");
        let wide = line(SampleRate::Wide);
        assert_eq!(wide.as_str(), "maxplaybackrate=16000;sprop-maxcapturerate=16000;useinbandfec=1");
    }
}
