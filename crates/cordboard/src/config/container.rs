//! `[container]`: what holds for all applications that do not say it themselves.

use std::time::Duration;

use container::security::TrustDomain;
use serde::Deserialize;

use super::ConfigError;

/// `[container]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ContainerConfig {
    /// How long an application session lives in which nothing happens, in minutes; 0: for ever.
    pub session_timeout_minutes: u32,
    /// How long a proxy operation takes at most, in seconds.
    pub proxy_timeout_seconds: u64,
    /// Application sessions of one application in one shard; initial requests beyond get 503.
    pub max_sessions: usize,
    /// Events that wait for one session's handler; initial requests beyond get 503.
    pub max_waiting: usize,
    /// What Retry-After says in a 503.
    pub retry_after_seconds: u64,
    /// How many branches one request may have at a time, here and downstream (RFC 5393 §5.3.3).
    pub max_breadth: u32,
    /// Whose P-Asserted-Identity is believed (RFC 3325): networks such as `192.0.2.0/24`.
    pub trust: Vec<String>,
}

impl Default for ContainerConfig {
    fn default() -> ContainerConfig {
        ContainerConfig {
            session_timeout_minutes: 15,
            proxy_timeout_seconds: 180,
            max_sessions: 1_000_000,
            max_waiting: 1_000,
            retry_after_seconds: 10,
            max_breadth: 60,
            trust: Vec::new(),
        }
    }
}

impl ContainerConfig {
    pub(crate) fn session_timeout(&self) -> Option<Duration> {
        let minutes = u64::from(self.session_timeout_minutes);
        (minutes > 0).then(|| Duration::from_secs(minutes * 60))
    }

    pub(crate) fn trust_domain(&self) -> Result<TrustDomain, ConfigError> {
        let domain = TrustDomain::parse(self.trust.iter().map(String::as_str));
        domain.map_err(|error| ConfigError::new(format!("`trust` in [container]: {error}")))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.trust_domain().map(drop)
    }
}
