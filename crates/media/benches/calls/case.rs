//! What is measured: one row per case.

use media::pcm::SampleRate;
use sdp::CryptoSuite;

/// One row of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) system: System,
    /// As in SDP.
    pub(crate) codec: &'static str,
    /// SDES with this suite; plain RTP without.
    pub(crate) suite: Option<CryptoSuite>,
    /// How many are up, each 50 packets a second in and out.
    pub(crate) calls: usize,
    /// Whether so many have to be carried by one core.
    pub(crate) is_aim: bool,
}

/// What carries the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// A [`MediaEngine`](media::driver::MediaEngine) that mirrors each call through decoder, bridge and encoder; the
    /// bridges work at this rate.
    Bridge(SampleRate),
    /// [`Mirrors`](media::Mirrors), which send every packet back as it is: the echo application's.
    Mirror,
    /// rtpengine between two legs. Two legs are counted as two calls: so many packets come and go.
    Rtpengine,
}

pub(crate) const CASES: &[Case] = &[
    Case { name: "bridge-pcmu", calls: 1_000, is_aim: true, ..BRIDGE },
    Case { name: "bridge-pcmu-48k", system: System::Bridge(SampleRate::Full), ..BRIDGE },
    Case { name: "bridge-pcmu-sdes", suite: Some(CryptoSuite::AesCm128HmacSha1_80), ..BRIDGE },
    Case { name: "bridge-pcmu-gcm", suite: Some(CryptoSuite::AeadAes128Gcm), ..BRIDGE },
    Case { name: "bridge-opus-16k", system: System::Bridge(SampleRate::Wide), is_aim: true, ..OPUS },
    Case { name: "bridge-opus-48k", ..OPUS },
    Case { name: "relay", system: System::Mirror, ..BRIDGE },
    Case { name: "rtpengine", system: System::Rtpengine, ..BRIDGE },
];

const BRIDGE: Case = Case {
    name: "",
    system: System::Bridge(SampleRate::Narrow),
    codec: "PCMU",
    suite: None,
    calls: 1_000,
    is_aim: false,
};

const OPUS: Case = Case { system: System::Bridge(SampleRate::Full), codec: "opus", calls: 300, ..BRIDGE };

impl Case {
    /// Of those who hear what is said.
    pub(crate) fn rate(&self) -> SampleRate {
        match self.system {
            System::Bridge(rate) => rate,
            System::Mirror | System::Rtpengine => SampleRate::Narrow,
        }
    }

    pub(crate) fn needs_rtpengine(&self) -> bool {
        self.system == System::Rtpengine
    }
}
