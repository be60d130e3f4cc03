//! AUTH at its relay, RFC 4976 §6.3.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::grants::Grant;
use super::{Relay, Timer, Verdict};
use crate::chunk::Head;
use crate::endpoint::ConnectionId;
use crate::uri::{MsrpUri, Path};

/// Who has shown the password.
struct Admitted {
    user: Arc<str>,
    info: Option<String>,
    lifetime: Duration,
}

impl Relay {
    pub(super) fn take_auth(&mut self, now: Instant, connection: ConnectionId, head: &Head, to: &Path, client: Path) {
        let us = Relay::us(to).clone();
        let Some(authorization) = head.get("Authorization") else {
            let challenge = self.authority.challenge(now);
            return self.challenge(connection, head, &us, &challenge);
        };
        // §9.1: the rightmost URI of the To-Path, which is us.
        match self.authority.check(now, authorization, "AUTH", us.as_str()) {
            Verdict::Accepted { user, info } => match self.lifetime(head) {
                Ok(lifetime) => {
                    let admitted = Admitted { user, info, lifetime };
                    self.let_in(now, connection, head, &us, client, admitted);
                }
                Err((name, bound)) => {
                    self.statistics.refused += 1;
                    if let Ok(response) = head.response(&us, 423, "Interval Out-of-Bounds") {
                        self.respond(connection, response.with(name, bound.as_secs()));
                    }
                }
            },
            Verdict::Forbidden => {
                self.statistics.refused += 1;
                self.answer(connection, head, &us, 403, "Forbidden");
                self.count_failure(connection);
            }
            Verdict::Challenge { challenge, is_stale } => {
                self.challenge(connection, head, &us, &challenge);
                if !is_stale {
                    self.statistics.refused += 1;
                    self.count_failure(connection);
                }
            }
        }
    }

    fn challenge(&mut self, connection: ConnectionId, head: &Head, us: &MsrpUri, challenge: &str) {
        if let Ok(response) = head.response(us, 401, "Unauthorized") {
            self.respond(connection, response.with("WWW-Authenticate", challenge));
        }
    }

    /// What the client asks for, or the bound that it breaks. What is no number is as if it did not ask.
    fn lifetime(&self, head: &Head) -> Result<Duration, (&'static str, Duration)> {
        let asked = head.get("Expires").and_then(|value| value.parse().ok()).map(Duration::from_secs);
        match asked.unwrap_or(self.settings.expires) {
            short if short < self.settings.min_expires => Err(("Min-Expires", self.settings.min_expires)),
            long if long > self.settings.max_expires => Err(("Max-Expires", self.settings.max_expires)),
            lifetime => Ok(lifetime),
        }
    }

    fn let_in(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        head: &Head,
        us: &MsrpUri,
        client: Path,
        Admitted { user, info, lifetime }: Admitted,
    ) {
        let expires = now + lifetime;
        // The relays before us, in the order in which the client visits them.
        let mut use_path: Vec<MsrpUri> = client.uris().iter().rev().skip(1).cloned().collect();
        let uri = match self.grants.renew(connection, &client, expires) {
            Some(grant) => Some(grant.uri.clone()),
            None => self.grant(connection, client, user, expires),
        };
        let Some(uri) = uri else {
            self.statistics.refused += 1;
            return self.answer(connection, head, us, 403, "Too many URIs");
        };
        use_path.push(uri);
        let (Ok(use_path), Ok(response)) = (Path::new(use_path), head.response(us, 200, "OK")) else { return };
        let mut response = response.with("Use-Path", use_path);
        if let Some(info) = info {
            response.push("Authentication-Info", info);
        }
        response.push("Expires", lifetime.as_secs());
        if let Some(link) = self.links.get_mut(&connection) {
            link.is_proven = true;
            link.failures = 0;
        }
        self.respond(connection, response);
    }

    /// A new URI, of 128 random bits (§6.3 wants 64).
    fn grant(&mut self, connection: ConnectionId, client: Path, user: Arc<str>, expires: Instant) -> Option<MsrpUri> {
        let limits = &self.settings.limits;
        if self.grants.of(connection) >= limits.grants || self.grants.len() >= limits.all_grants {
            return None;
        }
        let id: Arc<str> = format!("{:016x}{:016x}", (self.random)(), (self.random)()).into();
        let settings = &self.settings;
        let uri = MsrpUri::for_session(settings.is_secure, &settings.host, settings.port, &id).ok()?;
        self.grants.insert(id.clone(), Grant::new(uri.clone(), user, connection, client, expires));
        self.timers.push(Reverse((expires, Timer::Grant(id))));
        Some(uri)
    }
}
