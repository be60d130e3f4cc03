//! TLS for SIP, RFC 3261 §26.3 with the identities of RFC 5922. rustls does the protocol, without sockets: connections
//! feed it octets. The cryptography is ring's, named explicitly: no process-wide default is read or set.

mod files;
mod identity;
mod server;
mod verifier;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection, Error};

use crate::config::{Roots, ServerVerification, TlsClientConfig};
use crate::event::{LocalError, SendError};
pub(crate) use identity::identities;
pub(crate) use server::TlsServer;
use verifier::{AnyServer, DomainVerifier};

/// Why a TLS connection did not come about, or broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The peer's certificate is not accepted.
    Certificate(CertificateFault),
    /// The peer told us why it gave up, by an alert: usually that it does not accept ours.
    Alert(u8),
    /// No version, cipher or key exchange in common.
    NothingInCommon,
    /// The peer does not speak TLS, or speaks it wrongly.
    Protocol,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// It is for other domains than the one asked for (RFC 5922 §7.2).
    WrongDomain,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Nobody we trust vouches for it.
    UnknownIssuer,
    /// None was shown.
    Missing,
    /// It is unreadable, wrongly signed, revoked, or for another purpose.
    Unusable,
}

impl TlsError {
    pub(crate) fn of(error: &Error) -> TlsError {
        match error {
            Error::InvalidCertificate(fault) => TlsError::Certificate(match fault {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    CertificateFault::WrongDomain
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    CertificateFault::NotYetValid
                }
                CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
                _ => CertificateFault::Unusable,
            }),
            Error::NoCertificatesPresented => TlsError::Certificate(CertificateFault::Missing),
            Error::AlertReceived(alert) => TlsError::Alert(u8::from(*alert)),
            Error::PeerIncompatible(_) => TlsError::NothingInCommon,
            _ => TlsError::Protocol,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Certificate(fault) => f.write_str(match fault {
                CertificateFault::WrongDomain => "the certificate is for another domain",
                CertificateFault::Expired => "the certificate has expired",
                CertificateFault::NotYetValid => "the certificate is not valid yet",
                CertificateFault::UnknownIssuer => "the certificate's issuer is unknown",
                CertificateFault::Missing => "no certificate",
                CertificateFault::Unusable => "the certificate is unusable",
            }),
            TlsError::Alert(number) => write!(f, "the peer sent alert {number}"),
            TlsError::NothingInCommon => f.write_str("nothing in common with the peer"),
            TlsError::Protocol => f.write_str("the peer does not speak TLS"),
        }
    }
}

/// Why TLS can't be used as configured. The operator's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSetupError {
    /// A listener for TLS or WSS has no certificate configured.
    NoCertificateConfigured,
    /// A file can't be read.
    File(PathBuf, std::io::ErrorKind),
    /// A file has no certificate in it, or a broken one.
    NoCertificate(PathBuf),
    /// A file has no private key in it, or a broken one.
    NoKey(PathBuf),
    /// Key and certificate don't belong together, or are of an unsupported kind.
    Mismatch(PathBuf),
}

impl fmt::Display for TlsSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsSetupError::NoCertificateConfigured => f.write_str("no certificate is configured"),
            TlsSetupError::File(path, kind) => write!(f, "{}: {kind}", path.display()),
            TlsSetupError::NoCertificate(path) => write!(f, "{}: no certificate in it", path.display()),
            TlsSetupError::NoKey(path) => write!(f, "{}: no private key in it", path.display()),
            TlsSetupError::Mismatch(path) => {
                write!(f, "{}: the key does not belong to the certificate", path.display())
            }
        }
    }
}

impl std::error::Error for TlsSetupError {}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The client side, shared by all connections that a shard opens.
pub(crate) struct TlsClient {
    config: Option<Arc<ClientConfig>>,
}

impl TlsClient {
    /// Without usable roots there is no TLS to others, which is no reason not to start.
    pub(crate) fn new(config: &TlsClientConfig) -> Result<Self, TlsSetupError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions");
        let dangerous = builder.dangerous();
        let builder = match config.verification {
            ServerVerification::None => dangerous.with_custom_certificate_verifier(Arc::new(AnyServer::new(provider))),
            ServerVerification::Domain => {
                let roots = match &config.roots {
                    Roots::File(path) => files::roots(path)?,
                    Roots::System => match files::system_roots() {
                        Some(roots) => roots,
                        None => {
                            tracing::warn!("no system certificates found: no outgoing TLS");
                            return Ok(TlsClient { config: None });
                        }
                    },
                };
                let verifier = DomainVerifier::new(roots, provider);
                dangerous.with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let config = match &config.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let (chain, private) = files::identity(certificate, key)?;
                builder.with_client_auth_cert(chain, private).map_err(|_| TlsSetupError::Mismatch(key.clone()))?
            }
        };
        Ok(TlsClient { config: Some(Arc::new(config)) })
    }

    /// A connection to a server whose certificate must name `domain`.
    pub(crate) fn connection(&self, domain: Option<&str>) -> Result<ClientConnection, SendError> {
        let config = self.config.clone();
        let config = config.ok_or(SendError::Local(LocalError::TlsNotConfigured))?;
        let name = domain.and_then(|d| ServerName::try_from(d.to_string()).ok());
        let name = name.ok_or(SendError::Local(LocalError::NoServerName))?;
        ClientConnection::new(config, name).map_err(|_| SendError::Local(LocalError::TlsNotConfigured))
    }
}
