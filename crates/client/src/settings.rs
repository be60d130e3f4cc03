//! What can be set, in general and for an account. Files are read by whoever has some; here is what is in them.
//!
//! Unknown keys are refused. What is left out has its default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The general settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The account that is used when none is named; otherwise the first.
    pub default_account: Option<String>,
    /// What we call ourselves in User-Agent and Server. Default: `Cordboard/` and the version.
    pub user_agent: Option<String>,
    /// Signalling.
    pub sip: SipSettings,
    /// Certificates.
    pub tls: TlsSettings,
    /// Media transport.
    pub rtp: RtpSettings,
    /// Sound.
    pub audio: AudioSettings,
    /// Chat streams.
    pub chat: ChatSettings,
    /// Files.
    pub file_transfer: FileTransferSettings,
    /// Calls without a server.
    pub bonjour: BonjourSettings,
}

/// Calls without a server: who is there on the same link (mDNS, RFC 6762).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BonjourSettings {
    /// Whether we tell the link of us, and are told who else is there. Off by default: whoever calls once is no
    /// neighbour.
    pub enabled: bool,
}

/// Signalling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SipSettings {
    /// Which transports are opened, the most liked first: `udp`, `tcp`, `tls`.
    pub transports: Vec<String>,
    /// The address to bind; default all.
    pub address: Option<std::net::IpAddr>,
    /// The port for UDP and TCP; 0: any.
    pub port: u16,
    /// The port for TLS; 0: any.
    pub tls_port: u16,
    /// How long a call may ring before it is cancelled.
    #[serde(with = "seconds")]
    pub invite_timeout: Duration,
    /// How long a re-INVITE that only holds or removes may take.
    #[serde(with = "seconds")]
    pub reinvite_timeout: Duration,
    /// How long a proposal may wait for an answer, ours or the peer's.
    #[serde(with = "seconds")]
    pub proposal_timeout: Duration,
    /// Whether 180 is sent when a call comes; otherwise the application does.
    pub ring_at_once: bool,
    /// The session timer (RFC 4028) that we ask for; 0: none.
    #[serde(with = "seconds")]
    pub session_expires: Duration,
    /// Whether provisional responses are acknowledged (RFC 3262).
    pub reliable_provisionals: bool,
    /// Whether a REFER of the peer's is left to the application, or refused.
    pub accept_transfers: bool,
}

/// Certificates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// Whether a server's certificate is checked.
    pub verify_server: bool,
    /// Authorities beside the system's, as PEM.
    pub ca_list: Option<PathBuf>,
    /// Our own certificate, as PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, as PEM.
    pub private_key: Option<PathBuf>,
}

/// Media transport.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RtpSettings {
    /// The first and the last port.
    pub ports: (u16, u16),
    /// After how long without a packet the stream is taken for dead; 0: never.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// Whether the session is ended then.
    pub hangup_on_timeout: bool,
}

/// Sound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioSettings {
    /// Names of codecs, the most liked first: `opus`, `G722`, `PCMU`, `PCMA`, `L16`.
    pub codecs: Vec<String>,
    /// Samples per second of bridge and recordings: 8000, 16000, 32000 or 48000.
    pub sample_rate: u32,
    /// How much audio a packet carries, in milliseconds.
    pub packet_time: u16,
    /// Where what we say comes from: `silence`, `tone:440`, `file:…`, `pipe:…`, `sound`.
    pub input: String,
    /// Where what we hear goes to: `null`, `file:…`, `pipe:…`, `sound`.
    pub output: String,
    /// Where sounds for our user go to.
    pub alert: String,
    /// The folder of recordings; default: under the XDG data folder.
    pub recordings_directory: Option<PathBuf>,
    /// After how long without audio the notice comes.
    #[serde(with = "seconds")]
    pub no_audio_after: Duration,
    /// How digits are sent: `rtp` (RFC 4733), `info`, `inband`.
    pub dtmf: DtmfMode,
    /// Whether tones in the audio are taken for digits when the peer sends no events.
    pub detect_inband_dtmf: bool,
    /// Whether silence is not sent (comfort noise, Opus DTX).
    pub silence_suppression: bool,
    /// The longest delay of the jitter buffer, in milliseconds.
    pub jitter_max: u16,
    /// The bit rate of Opus, in bit/s.
    pub opus_bitrate: u32,
}

/// How digits are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DtmfMode {
    /// As telephone-events (RFC 4733); as tones where the peer takes none.
    #[default]
    Rtp,
    /// In INFO requests (`application/dtmf-relay`).
    Info,
    /// As tones in the audio.
    Inband,
}

/// Chat streams, over MSRP (RFC 4975).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatSettings {
    /// What MSRP goes over.
    pub transport: ChatTransport,
    /// The port to listen at; 0: any.
    pub port: u16,
    /// Which media types we take: names, `text/*`, `*`.
    pub accept_types: Vec<String>,
    /// Which media types we take inside of `message/cpim`.
    pub accept_wrapped_types: Vec<String>,
    /// The longest message that is taken, in octets.
    pub max_size: u64,
    /// Whether messages are wrapped (CPIM, RFC 3862) where the peer takes that.
    pub wrap: bool,
    /// Whether the peer is told that we are writing (RFC 3994).
    pub composing_indications: bool,
    /// For how long an indication that we are writing holds.
    #[serde(with = "seconds")]
    pub composing_refresh: Duration,
    /// Whether we ask to be told when a message has reached its reader's client, beyond what MSRP reports (RFC 5438).
    pub request_delivery_notices: bool,
    /// Whether we ask to be told when a message was displayed (RFC 5438).
    pub request_display_notices: bool,
    /// Whether we tell what was displayed to our user, who asks.
    pub send_display_notices: bool,
}

/// What MSRP goes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatTransport {
    /// TCP.
    Tcp,
    /// TLS.
    #[default]
    Tls,
}

/// Files that are sent and received (RFC 5547).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileTransferSettings {
    /// The folder that received files go to; default: the user's folder of downloads.
    pub directory: Option<PathBuf>,
    /// The longest file that is taken, in octets.
    pub max_size: u64,
    /// Whether a transfer that was cut off goes on where it ended.
    pub resume: bool,
}

/// Whether and how media is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatTraversal {
    /// Whether ICE is offered.
    pub use_ice: bool,
    /// STUN servers, tried in order.
    pub stun_servers: Vec<SocketAddr>,
    /// Whether RTCP shares the port of RTP (RFC 5761) where the peer agrees.
    pub rtcp_mux: bool,
}

/// An account: an address of record and how it is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSettings {
    /// `user@domain`.
    pub id: String,
    /// Whether it is used.
    pub enabled: bool,
    /// The name beside the address.
    pub display_name: Option<String>,
    /// For digest authentication.
    pub auth: AuthSettings,
    /// Signalling.
    pub sip: AccountSipSettings,
    /// Media transport.
    pub rtp: AccountRtpSettings,
    /// Chat and files.
    pub msrp: AccountMsrpSettings,
    /// Getting through address translators.
    pub nat_traversal: NatTraversal,
    /// Message-waiting.
    pub message_summary: MessageSummarySettings,
}

/// For digest authentication.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// The name; default the user of the address.
    pub username: Option<String>,
    /// The realm that may ask for the password; default that which the registrar names, and without a registration the
    /// domain or the proxy's host. No other is ever answered, but that of the account's own MSRP relay.
    pub realm: Option<String>,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for AuthSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthSettings")
            .field("username", &self.username)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

/// Signalling of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSipSettings {
    /// Whether it registers.
    pub register: bool,
    /// For how long, in seconds.
    #[serde(with = "seconds")]
    pub register_interval: Duration,
    /// The proxy that all goes through: a SIP URI, or `host[:port][;transport=…]`.
    pub outbound_proxy: Option<String>,
    /// Whether calls to other domains go through it, too.
    pub always_use_my_proxy: bool,
    /// The name that the proxy's certificate must have; default its domain.
    pub tls_name: Option<String>,
    /// Whether flows are kept (RFC 5626).
    pub outbound: bool,
    /// Whether the Contact follows the address at which the registrar sees us (RFC 3581), where no flow is kept.
    pub rewrite_contact: bool,
}

/// Media of an account; what is left out is as the general settings say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountRtpSettings {
    /// Names of codecs.
    pub codecs: Option<Vec<String>>,
    /// Encryption.
    pub encryption: Encryption,
}

/// Chat and files of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountMsrpSettings {
    /// What MSRP goes over; default as the general settings say.
    pub transport: Option<ChatTransport>,
    /// The relay (RFC 4976): `host`, `host:port`, or an MSRP URI. Without a port it is 2855; no SRV record is looked up. It is
    /// reached by TLS and known by its certificate, unless a URI says `msrp:`; `transport` does not matter then. The account's
    /// name and password are shown to it by digest, in any realm of its own unless `auth.realm` names one.
    pub relay: Option<String>,
    /// Whether what the peer proposes goes through it. A proposal over another transport than the relay's is refused.
    pub use_relay_for_inbound: bool,
    /// Whether what we propose goes through it.
    pub use_relay_for_outbound: bool,
}

/// Message-waiting (RFC 3842).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessageSummarySettings {
    /// Whether we subscribe.
    pub enabled: bool,
}

impl Default for SipSettings {
    fn default() -> SipSettings {
        SipSettings {
            transports: ["udp", "tcp", "tls"].map(String::from).to_vec(),
            address: None,
            port: 0,
            tls_port: 0,
            invite_timeout: Duration::from_secs(90),
            reinvite_timeout: Duration::from_secs(5),
            proposal_timeout: Duration::from_secs(60),
            ring_at_once: true,
            session_expires: Duration::from_secs(1_800),
            reliable_provisionals: true,
            accept_transfers: true,
        }
    }
}

impl Default for TlsSettings {
    fn default() -> TlsSettings {
        TlsSettings { verify_server: true, ca_list: None, certificate: None, private_key: None }
    }
}

impl Default for RtpSettings {
    fn default() -> RtpSettings {
        RtpSettings { ports: (50_000, 50_500), timeout: Duration::from_secs(30), hangup_on_timeout: true }
    }
}

impl Default for AudioSettings {
    fn default() -> AudioSettings {
        AudioSettings {
            codecs: ["opus", "G722", "PCMU", "PCMA"].map(String::from).to_vec(),
            sample_rate: 48_000,
            packet_time: 20,
            input: "silence".into(),
            output: "null".into(),
            alert: "null".into(),
            recordings_directory: None,
            no_audio_after: Duration::from_secs(5),
            dtmf: DtmfMode::Rtp,
            detect_inband_dtmf: false,
            silence_suppression: false,
            jitter_max: 300,
            opus_bitrate: 32_000,
        }
    }
}

impl Default for ChatSettings {
    fn default() -> ChatSettings {
        let taken = ["text/*", "image/*", "application/im-iscomposing+xml", "message/imdn+xml"];
        ChatSettings {
            transport: ChatTransport::default(),
            port: 0,
            accept_types: ["message/cpim"].into_iter().chain(taken).map(String::from).collect(),
            accept_wrapped_types: taken.map(String::from).to_vec(),
            max_size: 4 * 1024 * 1024,
            wrap: true,
            composing_indications: true,
            composing_refresh: Duration::from_secs(120),
            request_delivery_notices: false,
            request_display_notices: false,
            send_display_notices: false,
        }
    }
}

impl Default for FileTransferSettings {
    fn default() -> FileTransferSettings {
        FileTransferSettings { directory: None, max_size: 4 * 1024 * 1024 * 1024, resume: true }
    }
}

impl Default for AccountMsrpSettings {
    fn default() -> AccountMsrpSettings {
        AccountMsrpSettings { transport: None, relay: None, use_relay_for_inbound: true, use_relay_for_outbound: false }
    }
}

impl Default for AccountSettings {
    fn default() -> AccountSettings {
        AccountSettings {
            id: String::new(),
            enabled: true,
            display_name: None,
            auth: AuthSettings::default(),
            sip: AccountSipSettings::default(),
            rtp: AccountRtpSettings::default(),
            msrp: AccountMsrpSettings::default(),
            nat_traversal: NatTraversal::default(),
            message_summary: MessageSummarySettings::default(),
        }
    }
}

impl Default for AccountSipSettings {
    fn default() -> AccountSipSettings {
        AccountSipSettings {
            register: true,
            register_interval: Duration::from_secs(600),
            outbound_proxy: None,
            always_use_my_proxy: true,
            tls_name: None,
            outbound: true,
            rewrite_contact: true,
        }
    }
}

/// Durations as whole or broken seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        if span.subsec_nanos() == 0 {
            serializer.serialize_u64(span.as_secs())
        } else {
            serializer.serialize_f64(span.as_secs_f64())
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}
