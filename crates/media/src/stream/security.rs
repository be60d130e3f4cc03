//! How a stream is protected: what the policy lets us write into descriptions, and what of that two descriptions have
//! settled (RFC 4568 for SDES, RFC 5763 for DTLS, RFC 8643 for both in a plain profile).
//!
//! | policy | in descriptions | nothing in common |
//! | --- | --- | --- |
//! | disabled | nothing | plain |
//! | optional, opportunistic | keys, fingerprint or both | plain |
//! | mandatory | keys or fingerprint | refused |

use sdp::{Crypto, CryptoSuite, Fingerprint, MediaDescription, Security, SessionDescription};

use super::plan::Encryption;
use crate::dtls::{Certificate, DtlsRole};
use crate::srtp::{self, KeyError, SrtpKeys};

/// What we offer, the most liked first. The first is the one that every peer has; the third is for phones that have
/// nothing else.
const SUITES: [CryptoSuite; 4] = [
    CryptoSuite::AesCm128HmacSha1_80,
    CryptoSuite::AeadAes256Gcm,
    CryptoSuite::AesCm128HmacSha1_32,
    CryptoSuite::AeadAes128Gcm,
];

/// What two descriptions have settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// Plain RTP.
    None,
    /// These keys.
    Sdes(SrtpKeys),
    /// Keys come out of a handshake.
    Dtls(Handshake),
}

/// How the handshake goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    pub(super) role: DtlsRole,
    /// One of them has to be that of the peer's certificate.
    pub(super) fingerprints: Vec<Fingerprint>,
}

/// Why nothing can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unprotected {
    /// The policy demands encryption and the descriptions have none.
    Refused,
    /// A secure profile without keys.
    NoKeys,
    /// Keys that are none.
    Keys(KeyError),
    /// A handshake is agreed and we have no certificate.
    NoCertificate,
}

/// What we write into descriptions. Made once for a stream.
#[derive(Clone, Debug)]
pub(super) struct OwnKeys {
    policy: Encryption,
    keys: Vec<Crypto>,
    fingerprint: Option<Fingerprint>,
}

impl OwnKeys {
    pub(super) fn new(
        policy: Encryption,
        certificate: Option<&Certificate>,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> OwnKeys {
        let keys = if policy == Encryption::Disabled { Vec::new() } else { srtp::fresh_keys(&SUITES, random) };
        OwnKeys { policy, keys, fingerprint: certificate.map(Certificate::fingerprint).cloned() }
    }

    /// What our m-line shall say, as an offer or as the answer to this one.
    pub(super) fn security(&self, offer: Option<(&SessionDescription, &MediaDescription)>) -> Security {
        // A peer who demands one way gets it although we would not have proposed it: better than no call.
        let demanded = offer.filter(|(_, media)| media.protocol.is_secure());
        let wants_sdes = demanded.is_some_and(|(_, media)| media.attributes.has("crypto"));
        let wants_dtls = demanded.is_some_and(|(offer, media)| offer.attribute_of::<Fingerprint>(media).is_some());
        match (self.policy, &self.fingerprint) {
            (Encryption::Disabled, _) => Security::None,
            (Encryption::SdesOptional, _) => self.optional(true, wants_dtls && !wants_sdes),
            (Encryption::DtlsOptional, _) => self.optional(wants_sdes && !wants_dtls, true),
            (Encryption::Opportunistic, _) => self.optional(true, true),
            (Encryption::SdesMandatory, _) => Security::Sdes { keys: self.keys.clone(), accept_plain: false },
            (Encryption::DtlsMandatory, Some(fingerprint)) => Security::Dtls { fingerprint: fingerprint.clone() },
            // Accepts and offers what nobody answers, so that nothing is sent in the clear.
            (Encryption::DtlsMandatory, None) => Security::Sdes { keys: Vec::new(), accept_plain: false },
        }
    }

    fn optional(&self, sdes: bool, dtls: bool) -> Security {
        let keys = if sdes { self.keys.clone() } else { Vec::new() };
        Security::Opportunistic { keys, fingerprint: self.fingerprint.clone().filter(|_| dtls) }
    }

    /// What is to be done about what was agreed.
    pub(super) fn settled(&self, agreed: &sdp::Protection) -> Result<Protection, Unprotected> {
        let mandatory = matches!(self.policy, Encryption::SdesMandatory | Encryption::DtlsMandatory);
        match agreed {
            sdp::Protection::None if mandatory => Err(Unprotected::Refused),
            sdp::Protection::None => Ok(Protection::None),
            sdp::Protection::Missing => Err(Unprotected::NoKeys),
            sdp::Protection::Sdes { local, remote } => {
                SrtpKeys::from_sdes(local, remote).map(Protection::Sdes).map_err(Unprotected::Keys)
            }
            sdp::Protection::Dtls { .. } if self.fingerprint.is_none() => Err(Unprotected::NoCertificate),
            sdp::Protection::Dtls { active, fingerprints } => Ok(Protection::Dtls(Handshake {
                role: if *active { DtlsRole::Client } else { DtlsRole::Server },
                fingerprints: fingerprints.clone(),
            })),
        }
    }
}

impl std::fmt::Display for Unprotected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unprotected::Refused => f.write_str("the peer does not encrypt as we demand"),
            Unprotected::NoKeys => f.write_str("the peer wants encryption and gave no key that we can use"),
            Unprotected::Keys(error) => write!(f, "the peer's key: {error}"),
            Unprotected::NoCertificate => f.write_str("a handshake was agreed and there is no certificate for it"),
        }
    }
}
