//! `[operations]` and `[log]`: what operators look at.

use std::net::SocketAddr;

use serde::Deserialize;

use super::ConfigError;

/// `[operations]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OperationsConfig {
    /// Where `/metrics`, `/healthz` and `/readyz` are served; without it nowhere. A loopback address: whoever reaches it
    /// can stop applications.
    pub listen: Option<SocketAddr>,
}

impl OperationsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.listen {
            Some(addr) if !addr.ip().is_loopback() => Err(ConfigError::new(format!(
                "`listen` in [operations] is {addr}: only loopback addresses, whoever reaches it can stop applications"
            ))),
            _ => Ok(()),
        }
    }
}

/// `[log]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogConfig {
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
