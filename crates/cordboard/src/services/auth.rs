//! Who sent a request: the digest server of `sip-dialog` with our users (RFC 3261 §22, RFC 8760).
//!
//! Nonces are sealed with a key that all shards share, so that a challenge may be answered to another shard; their counts
//! are kept by each shard for itself.

use std::time::{Duration, Instant, SystemTime};

use sip_dialog::digest::{
    Asker, Authenticator, AuthenticatorSettings, HashFunction, HexDigest, Secret as Known, UriCheck, Verdict,
};
use sip_endpoint::Endpoint;
use sip_message::{Flow, NameAddr, Request};

use super::answer::{Refusal, unavailable};
use super::config::{Secret, ServicesConfig, UserSecret};
use super::mac::{Mac, Purpose};
use super::tries::Tries;

/// What checks credentials, and makes the challenges of those that have none.
pub(crate) struct Authentication {
    secret: Secret,
    /// One for each realm and asker; they are made when they are needed first.
    authenticators: Vec<(Asker, Authenticator)>,
    tries: Tries,
    /// The first instant that was seen: what time is counted from where there is no clock.
    started: Option<Instant>,
}

impl Authentication {
    pub(crate) fn new(secret: &Secret) -> Authentication {
        Authentication { secret: *secret, authenticators: Vec::new(), tries: Tries::new(secret), started: None }
    }

    /// The user who has signed a request; else the 401 or 407 that asks him to (§22.2, §22.3). Who has guessed too often
    /// waits (503).
    #[expect(clippy::too_many_arguments, reason = "a request, and who asks whom")]
    pub(crate) fn authenticate(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        config: &ServicesConfig,
        asker: Asker,
        realm: &str,
        request: &Request,
        flow: &Flow,
    ) -> Result<Box<str>, Refusal> {
        let source = flow.remote.ip();
        let claimed = claimed_user(request, asker);
        if let Some(wait) = self.tries.wait(now, &claimed, source) {
            return Err(Box::new(unavailable(request, wait + Duration::from_millis(999))));
        }
        let time = self.time(now, config);
        let authenticator = self.authenticator(endpoint, config, asker, realm);
        let verdict = authenticator.verify(time, request, b"", |name| config.users.secret(name).map(known));
        let stale = verdict == Verdict::Stale;
        match verdict {
            Verdict::Authenticated { username } => return Ok(username),
            Verdict::Refused(_) => {
                let challenge = challenge(authenticator, time, request, false);
                self.tries.failed(now, &claimed, source);
                return Err(challenge);
            }
            Verdict::NoCredentials | Verdict::Stale => {}
        }
        Err(challenge(authenticator, time, request, stale))
    }

    fn authenticator(
        &mut self,
        endpoint: &mut Endpoint,
        config: &ServicesConfig,
        asker: Asker,
        realm: &str,
    ) -> &mut Authenticator {
        let known = self.authenticators.iter().position(|(of, known)| *of == asker && known.realm() == realm);
        let at = known.unwrap_or_else(|| {
            let settings = AuthenticatorSettings {
                algorithms: config.algorithms.clone(),
                instance: endpoint.random() as u32,
                uri_check: match asker {
                    // What a REGISTER changes is said by its To, which is compared with the user; some clients put
                    // the address that they send to into the digest-uri instead of the Request-URI (SIPp does).
                    Asker::Server => UriCheck::Skipped,
                    Asker::Proxy => UriCheck::SameUserAndHost,
                },
                ..AuthenticatorSettings::new(asker, realm, key(&self.secret))
            };
            self.authenticators.push((asker, Authenticator::new(settings)));
            self.authenticators.len() - 1
        });
        &mut self.authenticators[at].1
    }

    /// The wall clock's time; where there is none, a time that runs as fast.
    fn time(&mut self, now: Instant, config: &ServicesConfig) -> SystemTime {
        let started = *self.started.get_or_insert(now);
        let seconds = match config.clock.unix_seconds(now) {
            Some(seconds) => seconds,
            None => 1_000_000_000 + now.saturating_duration_since(started).as_secs(),
        };
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }
}

fn challenge(authenticator: &mut Authenticator, time: SystemTime, request: &Request, stale: bool) -> Refusal {
    let response = authenticator.challenge(time, request, b"", stale);
    Box::new(response.expect("a realm is the name of a domain, which has no line break"))
}

/// Whom a request says to come from: what tries are counted by, whatever name its credentials give.
fn claimed_user(request: &Request, asker: Asker) -> String {
    let name = match asker {
        Asker::Server => sip_message::HeaderName::To,
        Asker::Proxy => sip_message::HeaderName::From,
    };
    let address = request.headers().first(name).and_then(|value| NameAddr::parse(value).ok());
    let user = address.and_then(|address| address.uri().sip()).and_then(|uri| uri.user());
    user.map(|user| user.into_owned()).unwrap_or_default()
}

/// A user's secret as the digest server wants it.
fn known(secret: &UserSecret) -> Known {
    match secret {
        UserSecret::Password(password) => Known::Password(password.clone()),
        UserSecret::Ha1 { md5, sha256 } => {
            let kept = [(HashFunction::Md5, md5), (HashFunction::Sha256, sha256)];
            let read = |(hash, text): (HashFunction, &Option<Box<str>>)| {
                Some((hash, HexDigest::parse(hash, text.as_deref()?)?))
            };
            Known::Ha1(kept.into_iter().filter_map(read).collect())
        }
    }
}

/// The key of the nonces, made of the server's secret.
fn key(secret: &Secret) -> [u8; 32] {
    let mut key = [0; 32];
    for (part, word) in key.chunks_exact_mut(8).zip(0u8..) {
        let mut mac = Mac::new(secret, Purpose::Nonce);
        mac.write(&[word]);
        part.copy_from_slice(&mac.finish().to_be_bytes());
    }
    key
}
