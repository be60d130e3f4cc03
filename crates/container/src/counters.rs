//! What is counted of each application and of the whole.

use std::sync::atomic::{AtomicU64, Ordering};

use sip_message::{Method, StatusCode};

/// A number that goes up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes from it; for what goes down again.
    pub fn take(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted of one application, over all shards.
#[derive(Debug, Default)]
pub struct Counters {
    /// Application sessions that there are.
    pub sessions: Counter,
    /// Application sessions that there have been.
    pub sessions_created: Counter,
    /// Application sessions that have reached their age.
    pub sessions_expired: Counter,
    /// Initial requests that were refused for want of room.
    pub sessions_rejected: Counter,
    /// SIP sessions that there are.
    pub sip_sessions: Counter,
    /// Timers that are armed.
    pub timers: Counter,
    /// Handlers that have failed or panicked.
    pub failed_handlers: Counter,
    /// Requests that were received, by [`METHODS`].
    pub requests_in: [Counter; 15],
    /// Requests that were sent, by [`METHODS`].
    pub requests_out: [Counter; 15],
    /// Responses that were received, by the first digit of their status less one.
    pub responses_in: [Counter; 6],
    /// Responses that were sent.
    pub responses_out: [Counter; 6],
}

/// The methods that are counted apart; all others are counted together, in the last place.
pub const METHODS: [Method; 14] = Method::KNOWN;

impl Counters {
    /// Counts a request that was received.
    pub fn received(&self, method: &Method) {
        self.requests_in[place(method)].add(1);
    }

    /// Counts a request that was sent.
    pub fn sent(&self, method: &Method) {
        self.requests_out[place(method)].add(1);
    }

    /// Counts a response that was received.
    pub fn answered(&self, status: StatusCode) {
        self.responses_in[class(status)].add(1);
    }

    /// Counts a response that was sent.
    pub fn answer(&self, status: StatusCode) {
        self.responses_out[class(status)].add(1);
    }
}

fn place(method: &Method) -> usize {
    METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len())
}

fn class(status: StatusCode) -> usize {
    (usize::from(status.code() / 100).clamp(1, 6)) - 1
}
