//! A media description: one m-line and what stands below it (RFC 8866 §5.14).

use crate::attribute::{Attributes, Rtpmap, TypedAttribute};
use crate::codec::{self, Codec, PayloadType};
use crate::connection::ConnectionData;
use crate::description::{Bandwidth, UnknownLine};
use crate::text::{Text, Token};
use std::fmt;

/// `m=<media> <port>[/<count>] <proto> <fmt> …` and its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaDescription {
    /// Audio, video, message, …
    pub media: MediaType,
    /// Where media is received; 0 for a stream that is rejected or removed.
    pub port: u16,
    /// How many ports, for layered encodings.
    pub port_count: Option<u16>,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The formats in order of preference: payload types for RTP.
    pub formats: Vec<Token>,
    /// `i=`
    pub title: Option<Text>,
    /// `c=`; more than one only for multicast.
    pub connections: Vec<ConnectionData>,
    /// `b=`
    pub bandwidths: Vec<Bandwidth>,
    /// `k=`, obsolete, not interpreted.
    pub key: Option<Text>,
    /// `a=`
    pub attributes: Attributes,
    /// Lines whose letter we do not know.
    pub unknown: Vec<UnknownLine>,
}

/// The first word of an m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `text`, real-time text
    Text,
    /// `application`
    Application,
    /// `message`, MSRP
    Message,
    /// `image`, fax
    Image,
    /// Any other.
    Other(Token),
}

/// The transport of an m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `RTP/AVP` (RFC 3551)
    RtpAvp,
    /// `RTP/AVPF` (RFC 4585)
    RtpAvpf,
    /// `RTP/SAVP` (RFC 3711)
    RtpSavp,
    /// `RTP/SAVPF` (RFC 5124)
    RtpSavpf,
    /// `UDP/TLS/RTP/SAVP` (RFC 5764)
    UdpTlsRtpSavp,
    /// `UDP/TLS/RTP/SAVPF` (RFC 5764)
    UdpTlsRtpSavpf,
    /// `TCP/MSRP` (RFC 4975)
    TcpMsrp,
    /// `TCP/TLS/MSRP` (RFC 4975)
    TcpTlsMsrp,
    /// Any other.
    Other(Token),
}

impl MediaDescription {
    /// An m-line without formats.
    pub fn new(media: MediaType, port: u16, protocol: Protocol) -> MediaDescription {
        MediaDescription {
            media,
            port,
            port_count: None,
            protocol,
            formats: Vec::new(),
            title: None,
            connections: Vec::new(),
            bandwidths: Vec::new(),
            key: None,
            attributes: Attributes::default(),
            unknown: Vec::new(),
        }
    }

    /// An RTP stream with the given codecs in order of preference, each with its
    /// rtpmap, static payload types too (RFC 3264 §5.1).
    pub fn rtp(media: MediaType, port: u16, protocol: Protocol, codecs: &[Codec]) -> MediaDescription {
        let mut description = MediaDescription::new(media, port, protocol);
        for codec in codecs {
            description.formats.push(codec.payload_type.to_token());
            description.attributes.push_typed(&codec.rtpmap());
            if let Some(fmtp) = codec.fmtp() {
                description.attributes.push_typed(&fmtp);
            }
        }
        description
    }

    /// The m-line of a stream that is rejected or removed: port zero, one format,
    /// no attributes (RFC 3264 §6, §8.2).
    pub fn disabled(&self) -> MediaDescription {
        let mut description = MediaDescription::new(self.media.clone(), 0, self.protocol.clone());
        let any = if self.protocol.is_rtp() { "0" } else { "*" };
        let format = self.formats.first().cloned();
        description.formats = vec![format.unwrap_or_else(|| Token::literal(any))];
        description
    }

    /// Whether the stream is rejected or removed.
    pub fn is_disabled(&self) -> bool {
        self.port == 0
    }

    /// The codecs of an RTP stream in order of preference: each payload type with
    /// its rtpmap, or what RFC 3551 says of a static one. Payload types that
    /// nothing defines are left out.
    pub fn codecs(&self) -> Vec<Codec> {
        if !self.protocol.is_rtp() {
            return Vec::new();
        }
        // One pass over the attributes, so that many formats with many
        // attributes stay linear.
        let definitions = codec::Definitions::of(&self.attributes);
        let payload_types = self.formats.iter().filter_map(|f| PayloadType::parse(f));
        payload_types.filter_map(|payload_type| definitions.codec(payload_type)).collect()
    }

    /// All well-formed rtpmaps, whether or not the m-line lists them.
    pub fn rtpmaps(&self) -> impl Iterator<Item = Rtpmap> + '_ {
        self.attributes.typed::<Rtpmap>().filter_map(Result::ok)
    }

    /// The first well-formed attribute of a kind, this level only.
    pub fn attribute<T: TypedAttribute>(&self) -> Option<T> {
        self.attributes.typed::<T>().find_map(Result::ok)
    }

    /// The URIs of an MSRP `a=path` (RFC 4975 §8), not interpreted.
    pub fn msrp_path(&self) -> Option<&str> {
        self.attributes.value("path")
    }

    /// The media types of `a=accept-types` (RFC 4975 §8.6).
    pub fn accept_types(&self) -> impl Iterator<Item = &str> {
        let types = self.attributes.value("accept-types").unwrap_or_default();
        types.split_ascii_whitespace()
    }
}

impl MediaType {
    /// Reads the first word of an m-line.
    pub fn from_token(word: Token) -> MediaType {
        match word.as_str() {
            "audio" => MediaType::Audio,
            "video" => MediaType::Video,
            "text" => MediaType::Text,
            "application" => MediaType::Application,
            "message" => MediaType::Message,
            "image" => MediaType::Image,
            _ => MediaType::Other(word),
        }
    }

    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            MediaType::Audio => "audio",
            MediaType::Video => "video",
            MediaType::Text => "text",
            MediaType::Application => "application",
            MediaType::Message => "message",
            MediaType::Image => "image",
            MediaType::Other(word) => word,
        }
    }
}

impl Protocol {
    /// Reads the third word of an m-line.
    pub fn from_token(word: Token) -> Protocol {
        match word.as_str() {
            "RTP/AVP" => Protocol::RtpAvp,
            "RTP/AVPF" => Protocol::RtpAvpf,
            "RTP/SAVP" => Protocol::RtpSavp,
            "RTP/SAVPF" => Protocol::RtpSavpf,
            "UDP/TLS/RTP/SAVP" => Protocol::UdpTlsRtpSavp,
            "UDP/TLS/RTP/SAVPF" => Protocol::UdpTlsRtpSavpf,
            "TCP/MSRP" => Protocol::TcpMsrp,
            "TCP/TLS/MSRP" => Protocol::TcpTlsMsrp,
            _ => Protocol::Other(word),
        }
    }

    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Protocol::RtpAvp => "RTP/AVP",
            Protocol::RtpAvpf => "RTP/AVPF",
            Protocol::RtpSavp => "RTP/SAVP",
            Protocol::RtpSavpf => "RTP/SAVPF",
            Protocol::UdpTlsRtpSavp => "UDP/TLS/RTP/SAVP",
            Protocol::UdpTlsRtpSavpf => "UDP/TLS/RTP/SAVPF",
            Protocol::TcpMsrp => "TCP/MSRP",
            Protocol::TcpTlsMsrp => "TCP/TLS/MSRP",
            Protocol::Other(word) => word,
        }
    }

    /// Whether the formats are RTP payload types.
    pub fn is_rtp(&self) -> bool {
        match self {
            Protocol::TcpMsrp | Protocol::TcpTlsMsrp => false,
            Protocol::Other(word) => word.split('/').any(|part| part == "RTP"),
            _ => true,
        }
    }

    /// Whether the media is encrypted by this transport.
    pub fn is_secure(&self) -> bool {
        match self {
            Protocol::RtpAvp | Protocol::RtpAvpf | Protocol::TcpMsrp => false,
            Protocol::Other(word) => word.split('/').any(|part| matches!(part, "TLS" | "DTLS" | "SAVP" | "SAVPF")),
            _ => true,
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
