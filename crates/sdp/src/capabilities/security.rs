//! How RTP is protected: whether we insist, what we offer for it, and what we answer.
//!
//! | | [`Security::None`] | [`Security::Opportunistic`] | [`Security::Sdes`] | [`Security::Dtls`] |
//! | --- | --- | --- | --- | --- |
//! | offered | `RTP/AVP` | `RTP/AVP` with `a=crypto`, `a=fingerprint` or both | `RTP/SAVP` with `a=crypto` | `UDP/TLS/RTP/SAVP` with `a=fingerprint` |
//! | answer without keys | plain | plain | refused | refused |
//! | offer of `RTP/AVP` | plain | plain | refused | refused |
//! | offer of `RTP/AVP` with keys | plain | protected | protected | protected |
//! | offer of a secure transport | refused | protected | protected | protected |
//!
//! "Protected" where the keys are of a kind that we have, else refused, or plain where the transport is plain and we do
//! not insist. [`Security::Opportunistic`] is RFC 8643, and with `a=crypto` alone what phones did before that RFC. An
//! answer that takes up neither attribute leaves the stream plain; that is its meaning, and why it is no protection
//! against who can change the signalling.

use super::StreamRefusal;
use crate::attribute::{Crypto, Fingerprint, Setup};
use crate::description::SessionDescription;
use crate::media::{MediaDescription, Protocol};

/// How RTP is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    #[default]
    None,
    /// By keys in the description (RFC 4568), always.
    Sdes {
        /// Our keys, one for each suite that we support, in order of preference.
        keys: Vec<Crypto>,
        /// Whether an offer of plain RTP is accepted too. Ours is always secure.
        accept_plain: bool,
    },
    /// By DTLS (RFC 5763, RFC 5764), always.
    Dtls {
        /// Of our certificate.
        fingerprint: Fingerprint,
    },
    /// If the peer can (RFC 8643). Either means may be missing; an answer to an offer with both prefers the handshake,
    /// whose keys nobody can read in the signalling.
    Opportunistic {
        /// Our keys, one for each suite that we support, in order of preference.
        keys: Vec<Crypto>,
        /// Of our certificate.
        fingerprint: Option<Fingerprint>,
    },
}

/// The three families of RTP transport.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Plain,
    Srtp,
    DtlsSrtp,
}

impl Security {
    fn keys(&self) -> &[Crypto] {
        match self {
            Security::None | Security::Dtls { .. } => &[],
            Security::Sdes { keys, .. } | Security::Opportunistic { keys, .. } => keys,
        }
    }

    fn fingerprint(&self) -> Option<&Fingerprint> {
        match self {
            Security::None | Security::Sdes { .. } => None,
            Security::Dtls { fingerprint } => Some(fingerprint),
            Security::Opportunistic { fingerprint, .. } => fingerprint.as_ref(),
        }
    }

    /// The transport of a first offer.
    pub(super) fn offered_protocol(&self) -> Protocol {
        match self {
            Security::None | Security::Opportunistic { .. } => Protocol::RtpAvp,
            Security::Sdes { .. } => Protocol::RtpSavp,
            Security::Dtls { .. } => Protocol::UdpTlsRtpSavp,
        }
    }

    /// Whether this transport can be offered or accepted, as far as its name says.
    pub(super) fn accepts(&self, protocol: &Protocol) -> bool {
        match Family::of(protocol) {
            None => false,
            Some(Family::Plain) => self.accepts_plain(),
            // RTP/SAVPF with a fingerprint is what browsers said before RFC 5764.
            Some(Family::Srtp) => !self.keys().is_empty() || self.fingerprint().is_some(),
            Some(Family::DtlsSrtp) => self.fingerprint().is_some(),
        }
    }

    fn accepts_plain(&self) -> bool {
        match self {
            Security::None | Security::Opportunistic { .. } => true,
            Security::Sdes { accept_plain, .. } => *accept_plain,
            Security::Dtls { .. } => false,
        }
    }

    /// Whether an offer has keys for us, whatever its transport is.
    pub(super) fn finds_keys_in(&self, offer: &SessionDescription, offered: &MediaDescription) -> bool {
        Family::of(&offered.protocol).is_some()
            && (choose_key(self.keys(), offered).is_some() || self.shares_fingerprints(offer, offered))
    }

    fn shares_fingerprints(&self, offer: &SessionDescription, offered: &MediaDescription) -> bool {
        self.fingerprint().is_some() && offer.attribute_of::<Fingerprint>(offered).is_some()
    }

    /// Writes keys and fingerprint into an m-line that we offer.
    pub(super) fn write_offer(&self, media: &mut MediaDescription) {
        let Some(family) = Family::of(&media.protocol) else {
            return;
        };
        if family != Family::DtlsSrtp {
            for key in self.keys() {
                media.attributes.push_typed(key);
            }
        }
        // SRTP keyed by its description says so alone; both together confuse peers that look for one.
        let is_keyed = family == Family::Srtp && !self.keys().is_empty();
        if let Some(fingerprint) = self.fingerprint().filter(|_| !is_keyed) {
            media.attributes.push_typed(fingerprint);
            // RFC 5763 §5: the offerer leaves the choice to the answerer.
            media.attributes.push_typed(&Setup::Actpass);
        }
    }

    /// Writes key or fingerprint into an m-line that we answer; `role` is ours in an association that exists. RTP in
    /// the clear never answers an offer of a secure transport: the transport of the answer is that of the offer.
    pub(super) fn write_answer(
        &self,
        media: &mut MediaDescription,
        offer: &SessionDescription,
        offered: &MediaDescription,
        role: Option<Setup>,
    ) -> Result<(), StreamRefusal> {
        let family = Family::of(&offered.protocol);
        if let Some(fingerprint) = self.fingerprint().filter(|_| self.shares_fingerprints(offer, offered)) {
            media.attributes.push_typed(fingerprint);
            media.attributes.push_typed(&answered_setup(offer, offered, role));
            return Ok(());
        }
        if let Some(key) = choose_key(self.keys(), offered).filter(|_| family != Some(Family::DtlsSrtp)) {
            media.attributes.push_typed(&key);
            return Ok(());
        }
        let is_plain = match family {
            Some(family) => family == Family::Plain && self.accepts_plain(),
            // Transports that we do not know are accepted as they are, if that is what we offer ourselves.
            None => *self == Security::None,
        };
        is_plain.then_some(()).ok_or(StreamRefusal::Security)
    }
}

/// RFC 4145 §4.1: without the attribute the offerer is active. RFC 8842 §5.5: roles are kept where we may choose.
fn answered_setup(offer: &SessionDescription, offered: &MediaDescription, role: Option<Setup>) -> Setup {
    let setup = offer.attribute_of::<Setup>(offered).unwrap_or(Setup::Active);
    match role {
        Some(role @ (Setup::Active | Setup::Passive)) if setup == Setup::Actpass => role,
        _ => setup.answer(),
    }
}

/// The first offered line whose suite is ours, with its tag and our key (RFC 4568
/// §5.1.2). Malformed lines are not acceptable, the others still may be.
fn choose_key(keys: &[Crypto], offered: &MediaDescription) -> Option<Crypto> {
    let lines = offered.attributes.typed::<Crypto>().flatten();
    let mut usable = lines.filter(Crypto::has_only_ignorable_parameters);
    usable.find_map(|line| {
        let ours = keys.iter().find(|key| key.suite == line.suite)?;
        Some(Crypto { tag: line.tag, ..ours.clone() })
    })
}

impl Family {
    fn of(protocol: &Protocol) -> Option<Family> {
        match protocol {
            Protocol::RtpAvp | Protocol::RtpAvpf => Some(Family::Plain),
            Protocol::RtpSavp | Protocol::RtpSavpf => Some(Family::Srtp),
            Protocol::UdpTlsRtpSavp | Protocol::UdpTlsRtpSavpf => Some(Family::DtlsSrtp),
            Protocol::TcpMsrp | Protocol::TcpTlsMsrp | Protocol::Other(_) => None,
        }
    }
}
