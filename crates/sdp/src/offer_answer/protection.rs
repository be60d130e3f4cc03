//! What an offer and its answer together say about keys: RFC 4568 §5.1, RFC 5763 §5, RFC 8643 §3.

use super::Side;
use super::agreement::Agreement;
use crate::attribute::{Crypto, Fingerprint, Setup};
use crate::description::SessionDescription;
use crate::media::{MediaDescription, Protocol};

/// How the media of a stream is protected, as agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not at all.
    None,
    /// By keys in the descriptions.
    Sdes {
        /// The line with the key that we send with.
        local: Crypto,
        /// The line with the key that the peer sends with.
        remote: Crypto,
    },
    /// By keys of a DTLS handshake.
    Dtls {
        /// Whether we begin the handshake (are `active`, the client).
        active: bool,
        /// The peer's certificate has to match one of them.
        fingerprints: Vec<Fingerprint>,
    },
    /// The transport demands keys and there are none that fit: nothing may be sent, and nothing that comes is to be
    /// trusted.
    Missing,
}

impl Agreement {
    /// Our role in the DTLS handshake, if there is one.
    pub(crate) fn local_setup(&self, index: usize) -> Option<Setup> {
        match self.protection(self.local.media.get(index)?, self.remote.media.get(index)?) {
            Protection::Dtls { active: true, .. } => Some(Setup::Active),
            Protection::Dtls { active: false, .. } => Some(Setup::Passive),
            Protection::None | Protection::Sdes { .. } | Protection::Missing => None,
        }
    }

    pub(super) fn protection(&self, local: &MediaDescription, remote: &MediaDescription) -> Protection {
        if !local.protocol.is_rtp() {
            return Protection::None;
        }
        let by_handshake = matches!(local.protocol, Protocol::UdpTlsRtpSavp | Protocol::UdpTlsRtpSavpf);
        let sdes = || self.sdes(local, remote).filter(|_| !by_handshake);
        match self.dtls(local, remote).or_else(sdes) {
            Some(protection) => protection,
            None if matches!(local.protocol, Protocol::RtpAvp | Protocol::RtpAvpf) => Protection::None,
            None if local.protocol.is_secure() => Protection::Missing,
            None => Protection::None,
        }
    }

    /// The answer's line and the one of the offer that it chose.
    fn sdes(&self, local: &MediaDescription, remote: &MediaDescription) -> Option<Protection> {
        let (offered, answered) = match self.offerer {
            Side::Local => (local, remote),
            Side::Remote => (remote, local),
        };
        let (offered, answered) = chosen_line(offered, answered)?;
        Some(match self.offerer {
            Side::Local => Protection::Sdes { local: offered, remote: answered },
            Side::Remote => Protection::Sdes { local: answered, remote: offered },
        })
    }

    fn dtls(&self, local: &MediaDescription, remote: &MediaDescription) -> Option<Protection> {
        let fingerprints = fingerprints(&self.remote, remote);
        if fingerprints.is_empty() || self::fingerprints(&self.local, local).is_empty() {
            return None;
        }
        let ours = self.local.attribute_of::<Setup>(local);
        let theirs = self.remote.attribute_of::<Setup>(remote);
        let active = match self.offerer {
            Side::Local => !answerer_is_active(ours, theirs),
            Side::Remote => answerer_is_active(theirs, ours),
        };
        Some(Protection::Dtls { active, fingerprints })
    }
}

/// The line of the answer, and that of the offer with its tag and suite; if there is none, with its suite: one phone
/// counts the tags of its answers from one whatever was offered.
pub(super) fn chosen_line(offered: &MediaDescription, answered: &MediaDescription) -> Option<(Crypto, Crypto)> {
    let offered: Vec<Crypto> = offered.attributes.typed::<Crypto>().flatten().collect();
    let mut answered = answered.attributes.typed::<Crypto>().flatten().filter(Crypto::has_only_ignorable_parameters);
    answered.find_map(|answered| {
        let fits = |line: &&Crypto| line.suite == answered.suite;
        let exactly = offered.iter().find(|line| fits(line) && line.tag == answered.tag);
        let line = exactly.or_else(|| offered.iter().find(fits))?;
        Some((line.clone(), answered))
    })
}

/// RFC 4145 §4.1, RFC 5763 §5. What does not fit is read as what its writer most probably does.
fn answerer_is_active(offered: Option<Setup>, answered: Option<Setup>) -> bool {
    match (offered, answered) {
        (_, Some(Setup::Active)) => true,
        (_, Some(Setup::Passive)) => false,
        (offered, _) => offered.unwrap_or(Setup::Active) != Setup::Active,
    }
}

/// Those of the m-line, else those of the session.
fn fingerprints(description: &SessionDescription, media: &MediaDescription) -> Vec<Fingerprint> {
    let own: Vec<Fingerprint> = media.attributes.typed().flatten().collect();
    if own.is_empty() { description.attributes.typed().flatten().collect() } else { own }
}
