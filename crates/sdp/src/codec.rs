//! Codecs as offer/answer sees them: a payload type, an encoding and its
//! parameters (RFC 3264 §5.1, §6.1), with the static payload types of RFC 3551 §6.
//!
//! Encoding and decoding are the media layer's.

use crate::attribute::{Attributes, Fmtp, Rtpmap};
use crate::text::{Text, Token, composed};
use std::collections::HashMap;
use std::fmt;

/// The seven bits that name a codec in RTP packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadType(u8);

/// One format of an RTP stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    /// Its number in this stream.
    pub payload_type: PayloadType,
    /// Its name; letter case does not matter.
    pub encoding: Token,
    /// The rate of the RTP clock, in Hertz. G.722 says 8000 although it samples at
    /// 16000 (RFC 3551 §4.5.2).
    pub clock_rate: u32,
    /// Audio channels; 1 where the rtpmap is silent.
    pub channels: u8,
    /// The parameters of its `a=fmtp`.
    pub parameters: Option<Text>,
}

impl PayloadType {
    /// A payload type, unless it has more than seven bits.
    pub fn new(number: u8) -> Option<PayloadType> {
        (number < 128).then_some(PayloadType(number))
    }

    /// Reads a format of an RTP m-line.
    pub fn parse(text: &str) -> Option<PayloadType> {
        PayloadType::new(text.parse().ok()?)
    }

    /// The number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Whether the number has no fixed meaning (RFC 3551 §6): 96 to 127, and what
    /// is unassigned below when those do not suffice.
    pub fn is_dynamic(self) -> bool {
        matches!(self.0, 35..=63 | 96..=127)
    }

    /// All dynamic payload types, the usual range first. 64 to 95 are left out
    /// because they collide with RTCP on a shared port (RFC 5761 §4).
    pub(crate) fn dynamic() -> impl Iterator<Item = PayloadType> {
        (96..=127).chain(35..=63).map(PayloadType)
    }

    pub(crate) fn to_token(self) -> Token {
        Token::literal(self.0.to_string())
    }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Codec {
    /// A codec with one channel and no parameters.
    pub fn new(payload_type: PayloadType, encoding: Token, clock_rate: u32) -> Codec {
        Codec { payload_type, encoding, clock_rate, channels: 1, parameters: None }
    }

    /// G.711 µ-law, payload type 0.
    pub fn pcmu() -> Codec {
        Codec::new(PayloadType(0), Token::literal("PCMU"), 8000)
    }

    /// G.711 A-law, payload type 8.
    pub fn pcma() -> Codec {
        Codec::new(PayloadType(8), Token::literal("PCMA"), 8000)
    }

    /// G.722, payload type 9.
    pub fn g722() -> Codec {
        Codec::new(PayloadType(9), Token::literal("G722"), 8000)
    }

    /// Opus (RFC 7587), always `opus/48000/2`.
    pub fn opus(payload_type: PayloadType) -> Codec {
        let mut codec = Codec::new(payload_type, Token::literal("opus"), 48000);
        codec.channels = 2;
        codec
    }

    /// Telephone events 0 to 15, the keys of a telephone (RFC 4733 §2.4.1).
    pub fn telephone_event(payload_type: PayloadType, clock_rate: u32) -> Codec {
        let mut codec = Codec::new(payload_type, Token::literal("telephone-event"), clock_rate);
        codec.parameters = Some(composed("0-15"));
        codec
    }

    /// The same codec with other parameters.
    pub fn with_parameters(mut self, parameters: Text) -> Codec {
        self.parameters = Some(parameters);
        self
    }

    /// The same codec under another number.
    pub fn with_payload_type(mut self, payload_type: PayloadType) -> Codec {
        self.payload_type = payload_type;
        self
    }

    /// Whether both are the same codec, whatever their numbers: name, clock rate,
    /// channels, and those parameters that make a configuration of its own
    /// (RFC 3264 §6.1).
    pub fn is_compatible(&self, other: &Codec) -> bool {
        self.same_mapping(other) && self.same_configuration(other)
    }

    /// Whether an rtpmap would say the same of both.
    pub fn same_mapping(&self, other: &Codec) -> bool {
        self.encoding.eq_ignore_ascii_case(&other.encoding)
            && self.clock_rate == other.clock_rate
            // RFC 7587 §7 wants opus/48000/2 of everybody, some forget the 2.
            && (self.channels == other.channels || self.is_named("opus"))
    }

    fn same_configuration(&self, other: &Codec) -> bool {
        // Encoding, parameter, its default: unequal values cannot talk.
        const CONFIGURATIONS: [(&str, &str, &str); 4] = [
            ("H264", "packetization-mode", "0"), // RFC 6184 §8.2.2
            ("AMR", "octet-align", "0"),         // RFC 4867 §8.3.1
            ("AMR-WB", "octet-align", "0"),
            ("G7221", "bitrate", ""), // RFC 5577 §6.1.1
        ];
        CONFIGURATIONS.iter().filter(|(encoding, ..)| self.is_named(encoding)).all(|(_, name, default)| {
            self.parameter(name).unwrap_or(default) == other.parameter(name).unwrap_or(default)
        })
    }

    /// Whether this carries key presses, comfort noise, redundancy or repair: not
    /// something to hold a conversation with alone.
    pub fn is_auxiliary(&self) -> bool {
        ["telephone-event", "tone", "CN", "red", "ulpfec", "flexfec-03", "rtx"].iter().any(|name| self.is_named(name))
    }

    /// Whether this is the encoding of that name.
    pub fn is_named(&self, encoding: &str) -> bool {
        self.encoding.eq_ignore_ascii_case(encoding)
    }

    /// One of the parameters.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        crate::attribute::parameter(self.parameters.as_deref()?, name)
    }

    /// Its rtpmap.
    pub fn rtpmap(&self) -> Rtpmap {
        Rtpmap {
            payload_type: self.payload_type,
            encoding: self.encoding.clone(),
            clock_rate: self.clock_rate,
            channels: (self.channels != 1).then_some(self.channels),
        }
    }

    /// Its fmtp, if it has parameters.
    pub fn fmtp(&self) -> Option<Fmtp> {
        Some(Fmtp { format: self.payload_type.to_token(), parameters: self.parameters.clone()? })
    }

    /// What RFC 3551 §6 (tables 4 and 5) says of a static payload type.
    pub fn of_static(payload_type: PayloadType) -> Option<Codec> {
        let (encoding, clock_rate, channels) = match payload_type.0 {
            0 => ("PCMU", 8_000, 1),
            3 => ("GSM", 8_000, 1),
            4 => ("G723", 8_000, 1),
            5 => ("DVI4", 8_000, 1),
            6 => ("DVI4", 16_000, 1),
            7 => ("LPC", 8_000, 1),
            8 => ("PCMA", 8_000, 1),
            9 => ("G722", 8_000, 1),
            10 => ("L16", 44_100, 2),
            11 => ("L16", 44_100, 1),
            12 => ("QCELP", 8_000, 1),
            13 => ("CN", 8_000, 1),
            14 => ("MPA", 90_000, 1),
            15 => ("G728", 8_000, 1),
            16 => ("DVI4", 11_025, 1),
            17 => ("DVI4", 22_050, 1),
            18 => ("G729", 8_000, 1),
            25 => ("CelB", 90_000, 1),
            26 => ("JPEG", 90_000, 1),
            28 => ("nv", 90_000, 1),
            31 => ("H261", 90_000, 1),
            32 => ("MPV", 90_000, 1),
            33 => ("MP2T", 90_000, 1),
            34 => ("H263", 90_000, 1),
            _ => return None,
        };
        let mut codec = Codec::new(payload_type, Token::literal(encoding), clock_rate);
        codec.channels = channels;
        Some(codec)
    }
}

/// The rtpmaps and fmtps of one m-line, read once.
pub(crate) struct Definitions {
    rtpmaps: HashMap<PayloadType, Rtpmap>,
    parameters: HashMap<PayloadType, Text>,
}

impl Definitions {
    /// Where a payload type is defined twice, the first counts.
    pub(crate) fn of(attributes: &Attributes) -> Definitions {
        let mut definitions = Definitions { rtpmaps: HashMap::new(), parameters: HashMap::new() };
        for rtpmap in attributes.typed::<Rtpmap>().flatten() {
            definitions.rtpmaps.entry(rtpmap.payload_type).or_insert(rtpmap);
        }
        for Fmtp { format, parameters } in attributes.typed::<Fmtp>().flatten() {
            if let Some(payload_type) = PayloadType::parse(&format) {
                definitions.parameters.entry(payload_type).or_insert(parameters);
            }
        }
        definitions
    }

    pub(crate) fn codec(&self, payload_type: PayloadType) -> Option<Codec> {
        let mut codec = match self.rtpmaps.get(&payload_type) {
            Some(rtpmap) => Codec {
                payload_type,
                encoding: rtpmap.encoding.clone(),
                clock_rate: rtpmap.clock_rate,
                channels: rtpmap.channels.unwrap_or(1),
                parameters: None,
            },
            None => Codec::of_static(payload_type)?,
        };
        codec.parameters = self.parameters.get(&payload_type).cloned();
        Some(codec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::TypedAttribute;

    fn codec(rtpmap: &str, parameters: Option<&str>) -> Codec {
        let mut attributes = Attributes::default();
        let rtpmap = Rtpmap::parse(rtpmap).unwrap();
        attributes.push_typed(&rtpmap);
        let mut codec = Definitions::of(&attributes).codec(rtpmap.payload_type).unwrap();
        codec.parameters = parameters.map(|p| Text::new(p).unwrap());
        codec
    }

    #[test]
    fn codecs_are_compared_by_mapping_not_by_number() {
        assert!(codec("97 iLBC/8000", None).is_compatible(&codec("99 ilbc/8000/1", None)));
        assert!(!codec("97 L16/8000", None).is_compatible(&codec("97 L16/16000", None)));
        assert!(!codec("97 L16/8000", None).is_compatible(&codec("97 L16/8000/2", None)));
        assert!(codec("97 opus/48000", None).is_compatible(&codec("98 opus/48000/2", None)));
    }

    #[test]
    fn a_configuration_parameter_makes_another_codec() {
        let plain = codec("97 H264/90000", None);
        let zero = codec("97 H264/90000", Some("packetization-mode=0"));
        let one = codec("97 H264/90000", Some("packetization-mode=1"));
        assert!(plain.is_compatible(&zero));
        assert!(!plain.is_compatible(&one));
    }

    /// RFC 3551 §6.
    #[test]
    fn a_static_payload_type_needs_no_rtpmap() {
        let definitions = Definitions::of(&Attributes::default());
        let number = |n| PayloadType::new(n).unwrap();
        assert_eq!(definitions.codec(number(8)), Some(Codec::pcma()));
        assert_eq!(definitions.codec(number(96)), None);
        assert_eq!(PayloadType::parse("128"), None);
    }
}
