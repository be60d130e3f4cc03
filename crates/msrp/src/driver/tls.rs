//! TLS for MSRP, RFC 4975 §14: between peers by the fingerprints of their descriptions (§14.4, RFC 8122), towards relays
//! and servers by the names of their certificates (§14.2). The cryptography is ring's, named explicitly: no process-wide
//! default is read or set.

use std::fmt;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use sha1::{Digest as _, Sha1};
use sha2::{Sha256, Sha384, Sha512};

use crate::endpoint::Certificate;

/// Where operating systems keep the certificates they trust.
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How TLS is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Our certificate chain and its key, as PEM files; without them a certificate of the engine's own, signed by itself,
    /// which peers know by its fingerprint.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// What a server must prove whose description has no fingerprint.
    pub verification: Verification,
    /// Authorities beside the system's, as PEM.
    pub authorities: Option<PathBuf>,
}

/// What a server must prove whose description has no fingerprint. One with a fingerprint must always match that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// A chain to an authority, and the host of its URI.
    #[default]
    Name,
    /// Nothing: the connection is encrypted to whoever answered.
    None,
}

/// Why TLS can't be used as it is set. The operator's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSetupError {
    /// A file can't be read, or has not in it what it should.
    File(PathBuf, Box<str>),
    /// Key and certificate don't belong together, or no certificate could be made.
    Unusable(Box<str>),
}

impl fmt::Display for TlsSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsSetupError::File(path, why) => write!(f, "{}: {why}", path.display()),
            TlsSetupError::Unusable(why) => write!(f, "the certificate is unusable: {why}"),
        }
    }
}

impl std::error::Error for TlsSetupError {}

/// Whether those who connect are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clients {
    /// They are, and may have none: what they show is judged when it is known whose session they come for (§14.4).
    Asked,
    /// They are not.
    Unasked,
}

/// Both sides of TLS, made once for an engine.
pub(super) struct Tls {
    server: Arc<ServerConfig>,
    fingerprint: Arc<str>,
    named: Result<Arc<ClientConfig>, Box<str>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    pub(super) fn new(settings: &TlsSettings, clients: Clients) -> Result<Tls, TlsSetupError> {
        let provider = Arc::new(ring::default_provider());
        let (chain, key) = match &settings.identity {
            Some((certificate, key)) => (certificates(certificate)?, private_key(key)?),
            None => self_signed()?,
        };
        let own = chain.first().ok_or_else(|| TlsSetupError::Unusable("there is none".into()))?;
        let fingerprint = fingerprint(own).into();
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions");
        let server = match clients {
            Clients::Asked => server.with_client_cert_verifier(Arc::new(Judge::new(Wanted::Nothing, provider.clone()))),
            Clients::Unasked => server.with_no_client_auth(),
        };
        let server = server
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(|error| TlsSetupError::Unusable(error.to_string().into()))?;
        let mut tls = Tls {
            server: Arc::new(server),
            fingerprint,
            named: Err("no authority is known".into()),
            chain,
            key,
            provider,
        };
        tls.named = match settings.verification {
            Verification::None => tls.client(Arc::new(Judge::new(Wanted::Nothing, tls.provider.clone()))),
            Verification::Name => match roots(settings.authorities.as_ref())? {
                None => tls.named,
                Some(roots) => {
                    let verifier = WebPkiServerVerifier::builder_with_provider(roots, tls.provider.clone()).build();
                    let verifier = verifier.map_err(|error| TlsSetupError::Unusable(error.to_string().into()))?;
                    tls.client(verifier)
                }
            },
        };
        Ok(tls)
    }

    /// What a description says of our certificate: `sha-256 AB:CD:…`.
    pub(super) fn fingerprint(&self) -> Arc<str> {
        self.fingerprint.clone()
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// For a connection to a server whose description has this fingerprint.
    pub(super) fn to(&self, fingerprint: Option<&str>) -> Result<Arc<ClientConfig>, Box<str>> {
        let Some(text) = fingerprint else { return self.named.clone() };
        let wanted = Fingerprint::read(text).ok_or("the peer's fingerprint can't be checked")?;
        self.client(Arc::new(Judge::new(Wanted::This(wanted), self.provider.clone())))
    }

    fn client(&self, verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, Box<str>> {
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key());
        config.map(Arc::new).map_err(|error| error.to_string().into())
    }
}

/// A certificate that says nothing about anybody; who has it is known by its fingerprint.
fn self_signed() -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsSetupError> {
    let unusable = |error: rcgen::Error| TlsSetupError::Unusable(error.to_string().into());
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "msrp");
    let key = rcgen::KeyPair::generate().map_err(unusable)?;
    let certificate = params.self_signed(&key).map_err(unusable)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok((vec![certificate.der().clone()], key))
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(list) if list.is_empty() => Err(TlsSetupError::File(path.clone(), "no certificate is in it".into())),
        Ok(list) => Ok(list),
        Err(error) => Err(TlsSetupError::File(path.clone(), error.to_string().into())),
    }
}

fn private_key(path: &PathBuf) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsSetupError::File(path.clone(), error.to_string().into()))
}

/// The system's authorities and those of a file; `None` when there is nobody to trust.
fn roots(more: Option<&PathBuf>) -> Result<Option<Arc<RootCertStore>>, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    let system = SYSTEM_ROOTS.iter().find_map(|path| certificates(&PathBuf::from(path)).ok());
    roots.add_parsable_certificates(system.unwrap_or_default());
    if let Some(path) = more {
        roots.add_parsable_certificates(certificates(path)?);
    }
    Ok((!roots.is_empty()).then(|| Arc::new(roots)))
}

fn fingerprint(certificate: &[u8]) -> String {
    let mut text = "sha-256 ".to_owned();
    for (at, octet) in Sha256::digest(certificate).iter().enumerate() {
        let colon = if at == 0 { "" } else { ":" };
        let _ = write!(text, "{colon}{octet:02X}");
    }
    text
}

/// The fingerprint to go by, of those that a description has: one that can be checked, if there is one (RFC 8122 §5.1).
pub(super) fn chosen(fingerprints: &[Arc<str>]) -> Option<Arc<str>> {
    let usable = fingerprints.iter().find(|text| Fingerprint::read(text).is_some());
    usable.or(fingerprints.first()).cloned()
}

/// A fingerprint of a description (RFC 8122 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fingerprint {
    function: Function,
    octets: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Fingerprint {
    /// `None` for a function that we don't have, MD5 among them, and for what is none.
    fn read(text: &str) -> Option<Fingerprint> {
        let (function, octets) = text.trim().split_once(' ')?;
        let function = match function.to_ascii_lowercase().as_str() {
            "sha-1" => Function::Sha1,
            "sha-256" => Function::Sha256,
            "sha-384" => Function::Sha384,
            "sha-512" => Function::Sha512,
            _ => return None,
        };
        let octet = |two: &str| (two.len() == 2).then(|| u8::from_str_radix(two, 16).ok()).flatten();
        let octets = octets.trim().split(':').map(octet).collect::<Option<Vec<_>>>()?;
        Some(Fingerprint { function, octets })
    }

    fn is_of(&self, certificate: &[u8]) -> bool {
        Shown::new(certificate).hash(self.function) == &self.octets[..]
    }
}

/// Judges a certificate that no authority needs to vouch for.
#[derive(Debug)]
struct Judge {
    wanted: Wanted,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Wanted {
    /// Any certificate whose key the server holds.
    Nothing,
    /// This one.
    This(Fingerprint),
}

impl Judge {
    fn new(wanted: Wanted, provider: Arc<CryptoProvider>) -> Judge {
        Judge { wanted, provider }
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let matches = match &self.wanted {
            Wanted::Nothing => true,
            Wanted::This(fingerprint) => fingerprint.is_of(certificate),
        };
        match matches {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Judge {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}

/// A certificate that a peer has shown, as its hashes: a session may last long, and needs no more of it.
#[derive(Debug)]
pub(super) struct Shown {
    sha1: [u8; 20],
    sha256: [u8; 32],
    sha384: [u8; 48],
    sha512: [u8; 64],
}

impl Shown {
    pub(super) fn new(certificate: &[u8]) -> Shown {
        Shown {
            sha1: Sha1::digest(certificate).into(),
            sha256: Sha256::digest(certificate).into(),
            sha384: Sha384::digest(certificate).into(),
            sha512: Sha512::digest(certificate).into(),
        }
    }

    fn hash(&self, function: Function) -> &[u8] {
        match function {
            Function::Sha1 => &self.sha1,
            Function::Sha256 => &self.sha256,
            Function::Sha384 => &self.sha384,
            Function::Sha512 => &self.sha512,
        }
    }
}

impl Certificate for Shown {
    fn matches(&self, fingerprint: &str) -> bool {
        Fingerprint::read(fingerprint).is_some_and(|wanted| self.hash(wanted.function) == &wanted.octets[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8122 §5: the function's name, and octets with colons between them, in either case.
    #[test]
    fn a_fingerprint_matches_its_certificate_and_no_other() {
        let (chain, _) = self_signed().unwrap();
        let (other, _) = self_signed().unwrap();
        let text = fingerprint(&chain[0]);
        for text in [text.clone(), text.to_ascii_lowercase(), text.replacen("sha-256", "SHA-256", 1)] {
            let read = Fingerprint::read(&text).unwrap();
            assert!(read.is_of(&chain[0]) && !read.is_of(&other[0]), "{text}");
        }
    }

    #[test]
    fn what_is_no_fingerprint_is_not_taken_for_one() {
        for wrong in
            ["", "sha-256", "sha-256 ", "sha-256 0", "sha-256 0G:00", "sha-256 000:0", "md5 00:11", "sha-1 é:00"]
        {
            assert_eq!(Fingerprint::read(wrong), None, "{wrong:?}");
        }
        // Too short: read, and matched by nothing.
        assert!(!Fingerprint::read("sha-256 AB").unwrap().is_of(b""));
    }

    #[test]
    fn a_peer_whose_fingerprints_can_not_be_checked_is_not_connected_to() {
        let tls = Tls::new(&TlsSettings { verification: Verification::None, ..TlsSettings::default() }, Clients::Asked)
            .unwrap();
        assert!(tls.to(Some("md5 00:11")).is_err());
        assert!(tls.to(Some(&tls.fingerprint())).is_ok());
        assert!(tls.to(None).is_ok());
    }
}
