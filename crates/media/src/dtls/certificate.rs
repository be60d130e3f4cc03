//! Certificates, and what is announced of them: RFC 5763 §5, RFC 8122 §5.

use super::DtlsError;
use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::crypto::CryptoPrivateKey;
use sdp::{Fingerprint, Token};
use sha1::{Digest, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use std::fmt;
use std::sync::Arc;

/// A self-signed certificate with its key: one for each engine is enough.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<Inner>,
}

struct Inner {
    certificate: rtc_dtls::crypto::Certificate,
    provider: Arc<dyn RTCCryptoProvider>,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// A new one (ECDSA on P-256), with randomness of the operating system. It names nobody.
    pub fn generate() -> Result<Certificate, DtlsError> {
        let failed = |_| DtlsError::Certificate;
        let provider = rtc_crypto::default_provider().map_err(|_| DtlsError::Certificate)?;
        let key = rcgen::KeyPair::generate().map_err(failed)?;
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).map_err(failed)?;
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "cordboard");
        let certificate = parameters.self_signed(&key).map_err(failed)?;
        let private_key =
            CryptoPrivateKey::from_key_pair(&key, provider.crypto()).map_err(|_| DtlsError::Certificate)?;
        let hash = Token::new(Hash::Sha256.name()).map_err(|_| DtlsError::Certificate)?;
        let fingerprint = Fingerprint { hash, octets: Hash::Sha256.of(certificate.der()) };
        let certificate = rtc_dtls::crypto::Certificate { certificate: vec![certificate.der().clone()], private_key };
        Ok(Certificate { inner: Arc::new(Inner { certificate, provider, fingerprint }) })
    }

    /// Its SHA-256 hash for the description.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.inner.fingerprint
    }

    pub(super) fn with_key(&self) -> rtc_dtls::crypto::Certificate {
        self.inner.certificate.clone()
    }

    pub(super) fn provider(&self) -> Arc<dyn RTCCryptoProvider> {
        self.inner.provider.clone()
    }
}

/// The hash functions of RFC 8122 §5 but for MD5 and MD2, the weakest first. SHA-1 is what phones of ten years announce
/// alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    const ALL: [Hash; 5] = [Hash::Sha1, Hash::Sha224, Hash::Sha256, Hash::Sha384, Hash::Sha512];

    fn name(self) -> &'static str {
        match self {
            Hash::Sha1 => "sha-1",
            Hash::Sha224 => "sha-224",
            Hash::Sha256 => "sha-256",
            Hash::Sha384 => "sha-384",
            Hash::Sha512 => "sha-512",
        }
    }

    fn named(name: &str) -> Option<Hash> {
        Hash::ALL.into_iter().find(|hash| hash.name().eq_ignore_ascii_case(name))
    }

    fn of(self, octets: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(octets).to_vec(),
            Hash::Sha224 => Sha224::digest(octets).to_vec(),
            Hash::Sha256 => Sha256::digest(octets).to_vec(),
            Hash::Sha384 => Sha384::digest(octets).to_vec(),
            Hash::Sha512 => Sha512::digest(octets).to_vec(),
        }
    }
}

/// Whether a certificate is one of those announced. Of several hash functions the strongest counts (RFC 8122 §5);
/// fingerprints by it may be several, of several certificates.
pub(super) fn is_announced(certificate: &[u8], fingerprints: &[Fingerprint]) -> bool {
    let known = || fingerprints.iter().filter_map(|print| Some((Hash::named(&print.hash)?, print)));
    let Some(strongest) = known().map(|(hash, _)| hash).max() else {
        return false;
    };
    let digest = strongest.of(certificate);
    known().any(|(hash, fingerprint)| hash == strongest && fingerprint.octets == digest)
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("fingerprint", self.fingerprint()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(hash: Hash, certificate: &[u8]) -> Fingerprint {
        Fingerprint { hash: Token::new(hash.name().to_ascii_uppercase()).unwrap(), octets: hash.of(certificate) }
    }

    #[test]
    fn every_announced_hash_function_is_checked() {
        for hash in Hash::ALL {
            assert!(is_announced(b"one", &[print(hash, b"one")]), "{hash:?}");
            assert!(!is_announced(b"other", &[print(hash, b"one")]), "{hash:?}");
        }
    }

    /// RFC 8122 §5.
    #[test]
    fn the_strongest_hash_function_counts() {
        let (weak, strong) = (print(Hash::Sha1, b"one"), print(Hash::Sha256, b"other"));
        assert!(!is_announced(b"one", &[weak.clone(), strong.clone()]));
        assert!(is_announced(b"other", &[weak, strong]));
        assert!(is_announced(b"one", &[print(Hash::Sha256, b"other"), print(Hash::Sha256, b"one")]));
    }

    #[test]
    fn nothing_usable_announced_admits_nobody() {
        let md5 = Fingerprint { hash: Token::new("md5").unwrap(), octets: vec![0; 16] };
        assert!(!is_announced(b"one", &[]));
        assert!(!is_announced(b"one", &[md5]));
    }

    #[test]
    fn two_certificates_are_never_alike() {
        let (one, other) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert_eq!(one.fingerprint().octets.len(), 32);
    }
}
