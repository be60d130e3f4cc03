//! Session timers (RFC 4028): who keeps a dialog alive, and how often.

use std::time::Duration;

/// What an application wishes for a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlivePreference {
    /// Whether the container asks for, and keeps, a session timer.
    pub enabled: bool,
    /// The interval to ask for; RFC 4028 §4 recommends half an hour.
    pub interval: Duration,
    /// The shortest interval to agree to; RFC 4028 §4 has 90 seconds.
    pub min_interval: Duration,
}

impl Default for KeepAlivePreference {
    fn default() -> KeepAlivePreference {
        KeepAlivePreference {
            enabled: true,
            interval: Duration::from_secs(1800),
            min_interval: Duration::from_secs(90),
        }
    }
}

/// What was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionKeepAlive {
    /// After so long without a refresh the dialog is over.
    pub interval: Duration,
    /// Whether the container sends the refreshes.
    pub we_refresh: bool,
}
