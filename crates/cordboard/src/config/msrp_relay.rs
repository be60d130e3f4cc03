//! `[msrp-relay]`: a relay for chats and files (RFC 4976), for the `[[user]]`s.

use std::net::SocketAddr;

use serde::Deserialize;

use super::{Config, ConfigError, Relay};

/// `[msrp-relay]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MsrpRelayConfig {
    /// Where it listens; without it there is no relay. 2855 is MSRP's port.
    pub listen: Option<SocketAddr>,
    /// Its name as it stands in its URIs; without it `public-host`, or else the address.
    pub host: Option<String>,
    /// Whether clients come by TLS, with the certificate of `[tls]`. RFC 4976 wants it.
    pub tls: bool,
    /// Whether browsers may come by WebSocket (RFC 7977).
    pub websocket: bool,
    /// What it connects to for its clients: nothing, so that they reach each other and those who come to it, or anything.
    pub relay: Relay,
    /// How long a client's URI holds if it does not say, in seconds.
    pub expires: u64,
    /// The shortest that a client may ask for, in seconds.
    pub min_expires: u64,
    /// The longest, in seconds.
    pub max_expires: u64,
    /// Connections in all.
    pub connections: usize,
}

impl Default for MsrpRelayConfig {
    fn default() -> MsrpRelayConfig {
        MsrpRelayConfig {
            listen: None,
            host: None,
            tls: true,
            websocket: false,
            relay: Relay::None,
            expires: 900,
            min_expires: 60,
            max_expires: 3_600,
            connections: 20_000,
        }
    }
}

impl MsrpRelayConfig {
    pub(super) fn check(&self, config: &Config) -> Result<(), ConfigError> {
        if self.listen.is_none() {
            return Ok(());
        }
        if self.tls && (config.tls.certificate.is_none() || config.tls.key.is_none()) {
            return Err(ConfigError::new("[msrp-relay] needs `certificate` and `key` in [tls], or `tls = false`"));
        }
        if config.user.is_empty() {
            return Err(ConfigError::new("[msrp-relay] lets in [[user]]s only, and there is none"));
        }
        if self.min_expires > self.expires || self.expires > self.max_expires {
            return Err(ConfigError::new("`expires` in [msrp-relay] is not between `min-expires` and `max-expires`"));
        }
        Ok(())
    }

    /// The name in its URIs.
    pub(crate) fn host(&self, config: &Config) -> String {
        let address = || self.listen.map(|listen| listen.ip().to_string());
        self.host.clone().or_else(|| config.public_host.clone()).or_else(address).unwrap_or_default()
    }
}
