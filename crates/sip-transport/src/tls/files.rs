//! Certificates and keys from PEM files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsSetupError;

/// Where operating systems keep the certificates they trust.
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A certificate chain and its key.
pub(super) fn identity(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsSetupError> {
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| explain(error, key, TlsSetupError::NoKey))?;
    Ok((chain, key))
}

/// The roots of a file, which must have at least one.
pub(super) fn roots(path: &Path) -> Result<Arc<RootCertStore>, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(certificates(path)?);
    if usable == 0 {
        return Err(TlsSetupError::NoCertificate(path.to_path_buf()));
    }
    Ok(Arc::new(roots))
}

/// The operating system's roots.
pub(super) fn system_roots() -> Option<Arc<RootCertStore>> {
    SYSTEM_ROOTS.iter().find_map(|path| roots(Path::new(path)).ok())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let list = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| explain(error, path, TlsSetupError::NoCertificate))?;
    if list.is_empty() {
        return Err(TlsSetupError::NoCertificate(path.to_path_buf()));
    }
    Ok(list)
}

fn explain(error: Error, path: &Path, otherwise: fn(PathBuf) -> TlsSetupError) -> TlsSetupError {
    match error {
        Error::Io(error) => TlsSetupError::File(path.to_path_buf(), error.kind()),
        _ => otherwise(path.to_path_buf()),
    }
}

/// What tells that a file has changed; `None` when it can't be looked at.
pub(super) fn stamp(path: &Path) -> Option<(std::time::SystemTime, u64)> {
    let metadata: io::Result<_> = std::fs::metadata(path);
    let metadata = metadata.ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
