//! The server side of TLS on one listener: its certificate, read again when its files change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection};
use tokio::time::Instant;

use super::{TlsSetupError, files, provider};
use crate::config::{ClientCertificate, TlsConfig};
use crate::counters::Counters;

/// The files are looked at when a client connects, at most this often.
const CHECK_EVERY: Duration = Duration::from_secs(2);

type Stamp = Option<(SystemTime, u64)>;

/// Our certificate on a listener.
pub(crate) struct TlsServer {
    paths: TlsConfig,
    current: Arc<ServerConfig>,
    stamps: Vec<Stamp>,
    checked: Instant,
}

impl TlsServer {
    pub(crate) fn new(paths: TlsConfig, now: Instant) -> Result<Self, TlsSetupError> {
        Ok(TlsServer { stamps: stamps(&paths), current: load(&paths)?, paths, checked: now })
    }

    /// A connection with the newest usable certificate.
    pub(crate) fn connection(
        &mut self,
        now: Instant,
        counters: &mut Counters,
    ) -> Result<ServerConnection, rustls::Error> {
        if now.duration_since(self.checked) >= CHECK_EVERY {
            self.checked = now;
            self.reload_if_changed(counters);
        }
        ServerConnection::new(self.current.clone())
    }

    fn reload_if_changed(&mut self, counters: &mut Counters) {
        let stamps = stamps(&self.paths);
        if stamps == self.stamps {
            return;
        }
        // Certificate and key are written one after the other; a pair that doesn't fit yet is tried again when the
        // other file has changed too.
        self.stamps = stamps;
        match load(&self.paths) {
            Ok(config) => {
                counters.certificates_reloaded += 1;
                tracing::info!(certificate = %self.paths.certificate.display(), "certificate reloaded");
                self.current = config;
            }
            Err(error) => {
                counters.certificate_reload_failed += 1;
                tracing::warn!(%error, "the changed certificate is unusable; the previous one stays");
            }
        }
    }
}

fn stamps(paths: &TlsConfig) -> Vec<Stamp> {
    let roots: Option<&PathBuf> = match &paths.client_certificate {
        ClientCertificate::NotAsked => None,
        ClientCertificate::Optional(roots) | ClientCertificate::Required(roots) => Some(roots),
    };
    [&paths.certificate, &paths.key].into_iter().chain(roots).map(|path| files::stamp(path)).collect()
}

fn load(paths: &TlsConfig) -> Result<Arc<ServerConfig>, TlsSetupError> {
    let (chain, key) = files::identity(&paths.certificate, &paths.key)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions");
    let verifier = |roots: &PathBuf, required: bool| {
        let builder = WebPkiClientVerifier::builder_with_provider(files::roots(roots)?, provider());
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|_| TlsSetupError::NoCertificate(roots.clone()))
    };
    let builder = match &paths.client_certificate {
        ClientCertificate::NotAsked => builder.with_no_client_auth(),
        ClientCertificate::Optional(roots) => builder.with_client_cert_verifier(verifier(roots, false)?),
        ClientCertificate::Required(roots) => builder.with_client_cert_verifier(verifier(roots, true)?),
    };
    let config = builder.with_single_cert(chain, key).map_err(|_| TlsSetupError::Mismatch(paths.key.clone()))?;
    Ok(Arc::new(config))
}
