//! How an audio stream is to be made.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sdp::SessionDescription;

/// How one audio stream is to be made.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    /// Codecs, packet time, devices.
    pub audio: AudioOptions,
    /// Whether and how it is encrypted.
    pub encryption: Encryption,
    /// ICE and STUN.
    pub nat: NatTraversal,
    /// The address towards the peer's signalling: where the stream shall be bound.
    pub local: IpAddr,
    /// The peer's part when it is the offerer: its description and the m-line's index.
    pub offer: Option<(Arc<SessionDescription>, usize)>,
}

/// What is sent and received.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioOptions {
    /// Names of codecs, the most liked first: `opus`, `G722`, `PCMU`, `PCMA`, `L16`.
    pub codecs: Vec<String>,
    /// How much audio a packet carries.
    pub packet_time: Duration,
    /// Where what we say comes from: `silence`, `tone:440`, `file:…`, `pipe:…`, `sound`.
    pub input: String,
    /// Where what we hear goes to: `null`, `file:…`, `pipe:…`, `sound`.
    pub output: String,
    /// How digits are sent.
    pub dtmf: DtmfMode,
    /// Whether tones in the audio are taken for digits when the peer sends no events.
    pub detect_inband_dtmf: bool,
    /// Whether silence is not sent (comfort noise, Opus DTX).
    pub silence_suppression: bool,
    /// The longest delay of the jitter buffer.
    pub jitter_max: Duration,
    /// The bit rate of Opus, in bit/s.
    pub opus_bitrate: u32,
}

/// How digits are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtmfMode {
    /// As telephone-events (RFC 4733); as tones where the peer takes none.
    #[default]
    Rtp,
    /// In INFO requests: not by this crate. A digit that comes here all the same is sent as with [`DtmfMode::Rtp`].
    Info,
    /// As tones in the audio.
    Inband,
}

/// Whether and how media is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    Disabled,
    /// SDES keys are offered in a plain profile, and used if the peer does (RFC 4568, RFC 8643).
    #[default]
    SdesOptional,
    /// SDES or nothing.
    SdesMandatory,
    /// A fingerprint is offered in a plain profile, and used if the peer does (RFC 5763, RFC 8643).
    DtlsOptional,
    /// DTLS-SRTP or nothing.
    DtlsMandatory,
    /// Both are offered in a plain profile; DTLS wins if the peer has both.
    Opportunistic,
}

/// Getting through address translators.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NatTraversal {
    /// Whether ICE is offered.
    pub use_ice: bool,
    /// STUN servers, tried in order.
    pub stun_servers: Vec<SocketAddr>,
    /// Whether RTCP shares the port of RTP (RFC 5761) where the peer agrees.
    pub rtcp_mux: bool,
}

impl StreamPlan {
    /// The defaults, at this address.
    pub fn new(local: IpAddr) -> StreamPlan {
        StreamPlan {
            audio: AudioOptions::default(),
            encryption: Encryption::default(),
            nat: NatTraversal::default(),
            local,
            offer: None,
        }
    }
}

impl Default for AudioOptions {
    fn default() -> AudioOptions {
        AudioOptions {
            codecs: ["opus", "G722", "PCMU", "PCMA"].map(String::from).to_vec(),
            packet_time: Duration::from_millis(20),
            input: "silence".into(),
            output: "null".into(),
            dtmf: DtmfMode::Rtp,
            detect_inband_dtmf: false,
            silence_suppression: false,
            jitter_max: Duration::from_millis(300),
            opus_bitrate: 32_000,
        }
    }
}
