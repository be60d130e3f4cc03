//! The server of digest authentication: RFC 3261 §22.2 and §22.3, RFC 7616 §3.3 and §5, RFC 8760 §2.3.
//!
//! ```text
//!   request ──► verify ──► no credentials of the realm ──────────────► challenge
//!                  │
//!                  ├─ response wrong, or user unknown (one path) ────► refused: challenge
//!                  │
//!                  ├─ response right, nonce old, foreign or used ────► stale: challenge, stale=true
//!                  │
//!                  └─ response right, nonce fresh, nc above the last ► authenticated
//! ```
//!
//! A challenge costs no memory. Passwords are the caller's; so are limits on tries and what an authenticated user may do.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use sip_message::header::{Challenge, DigestChallenge, DigestCredentials};
use sip_message::{Request, Response, Uri, ValueError};

use super::Asker;
use super::algorithm::{Algorithm, ClientNonce, HashFunction, Qop, Secret, Transcript};
use super::client::credentials;
use super::nonce::{self, Nonce};
use super::replay::{Count, ReplayTable};

/// How an [`Authenticator`] is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatorSettings {
    /// Who asks.
    pub asker: Asker,
    /// The realm; printed to the user, and part of each HA1.
    pub realm: Box<str>,
    /// The key of the nonces, from a good random source; the same on all nodes that are to know each other's nonces.
    pub key: [u8; 32],
    /// What sets the nonces of this instance apart from those of others with the same key.
    pub instance: u32,
    /// The algorithms, which will be offered strongest first.
    pub algorithms: Vec<Algorithm>,
    /// Whether auth-int is offered beside auth.
    pub auth_int: bool,
    /// How long a nonce lives.
    pub nonce_lifetime: Duration,
    /// How many used nonces are remembered.
    pub replay_capacity: usize,
    /// How the digest-uri is checked.
    pub uri_check: UriCheck,
}

/// Whether the digest-uri has to be that of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriCheck {
    /// It has the user and host of the Request-URI; a proxy on the way may have changed scheme, port and parameters.
    SameUserAndHost,
    /// It is not checked: for a server behind proxies that give requests another target (RFC 3261 §22.4, item 5).
    Skipped,
}

impl AuthenticatorSettings {
    /// SHA-512-256, SHA-256 and MD5 with qop auth, nonces of 5 minutes.
    pub fn new(asker: Asker, realm: &str, key: [u8; 32]) -> AuthenticatorSettings {
        AuthenticatorSettings {
            asker,
            realm: realm.into(),
            key,
            instance: 0,
            algorithms: vec![Algorithm::SHA_512_256, Algorithm::SHA_256, Algorithm::MD5],
            auth_int: false,
            nonce_lifetime: Duration::from_secs(300),
            replay_capacity: 4096,
            uri_check: UriCheck::SameUserAndHost,
        }
    }
}

/// What the credentials of a request are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The user showed the password.
    Authenticated {
        /// The user's name.
        username: Box<str>,
    },
    /// There are no credentials for this realm: challenge.
    NoCredentials,
    /// The password is right and the nonce is not usable any more: challenge with stale=true.
    Stale,
    /// The credentials are wrong: challenge again, or 403.
    Refused(Refusal),
}

/// Why credentials were refused. For the log; the peer is told nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Wrong password, or no such user.
    WrongResponse,
    /// An algorithm or qop that was not offered.
    NotOffered,
    /// Fields that belong together and don't: qop without nc or cnonce, a user name that is hashed.
    Incomplete,
    /// The digest-uri is another resource.
    OtherUri,
}

/// Challenges requests and judges the answers.
#[derive(Clone, Debug)]
pub struct Authenticator {
    settings: AuthenticatorSettings,
    serial: u32,
    replay: ReplayTable,
}

impl Authenticator {
    /// An authenticator for one realm.
    pub fn new(mut settings: AuthenticatorSettings) -> Authenticator {
        settings.algorithms.sort_by_key(|algorithm| std::cmp::Reverse(*algorithm));
        let replay = ReplayTable::new(settings.replay_capacity);
        Authenticator { settings, serial: 0, replay }
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.settings.realm
    }

    /// The response that challenges `request`: 401 or 407 with one challenge an algorithm, the strongest first
    /// (RFC 8760 §2.3). `binding`: what the nonce is tied to, a source address, or nothing. Nothing but an unusable realm
    /// can make it fail.
    pub fn challenge(
        &mut self,
        now: SystemTime,
        request: &Request,
        binding: &[u8],
        stale: bool,
    ) -> Result<Response, ValueError> {
        let mut response = Response::to(request, self.settings.asker.status());
        for challenge in self.challenges(now, binding, stale) {
            response.headers_mut().push(self.settings.asker.challenge_header(), challenge)?;
        }
        Ok(response)
    }

    /// The values of the challenges.
    pub fn challenges(&mut self, now: SystemTime, binding: &[u8], stale: bool) -> Vec<String> {
        let serial = (u64::from(self.settings.instance) << 32) | u64::from(self.serial);
        self.serial = self.serial.wrapping_add(1);
        let AuthenticatorSettings { key, realm, algorithms, auth_int, .. } = &self.settings;
        let nonce = nonce::issue(key, now, serial, realm, binding);
        let of_algorithm = |algorithm: &Algorithm| {
            Challenge::Digest(DigestChallenge {
                realm: Cow::Borrowed(realm),
                nonce: Cow::Borrowed(&nonce),
                stale,
                algorithm: Some(Cow::Borrowed(algorithm.as_str())),
                qop: Some(Cow::Borrowed(if *auth_int { "auth,auth-int" } else { "auth" })),
                ..DigestChallenge::default()
            })
            .to_string()
        };
        algorithms.iter().map(of_algorithm).collect()
    }

    /// Judges the credentials of a request. `secret_of` gives what is kept for a user's name. It is asked exactly once,
    /// and what it does should take as long for a name that nobody has.
    pub fn verify(
        &mut self,
        now: SystemTime,
        request: &Request,
        binding: &[u8],
        secret_of: impl FnOnce(&str) -> Option<Secret>,
    ) -> Verdict {
        let all = credentials(self.settings.asker, request.headers());
        let Some(shown) = all.iter().find(|shown| *shown.realm == *self.settings.realm) else {
            return Verdict::NoCredentials;
        };
        let (algorithm, client) = match self.read(shown) {
            Ok(read) => read,
            Err(refusal) => return Verdict::Refused(refusal),
        };
        let secret = secret_of(&shown.username);
        if !self.is_right(request, shown, algorithm, client, secret) {
            return Verdict::Refused(Refusal::WrongResponse);
        }
        if !self.is_for(request, shown) {
            return Verdict::Refused(Refusal::OtherUri);
        }
        match nonce::open(&self.settings.key, &shown.nonce, &self.settings.realm, binding) {
            Some(nonce) if self.is_usable(now, nonce, client) => {
                Verdict::Authenticated { username: shown.username.as_ref().into() }
            }
            // "stale: […] the server's nonce is invalid but the digest for it is right" (RFC 7616 §3.3). So a client
            // whose nonce was made before the key changed tries again without asking for the password.
            _ => Verdict::Stale,
        }
    }

    fn read<'c>(&self, shown: &'c DigestCredentials<'_>) -> Result<(Algorithm, Option<ClientNonce<'c>>), Refusal> {
        if shown.userhash || shown.username_extended.is_some() {
            return Err(Refusal::Incomplete);
        }
        let named = shown.algorithm.as_deref().unwrap_or("MD5");
        let algorithm = Algorithm::parse(named).ok_or(Refusal::NotOffered)?;
        if !self.settings.algorithms.contains(&algorithm) {
            return Err(Refusal::NotOffered);
        }
        let client = match (&shown.qop, shown.nonce_count, &shown.cnonce) {
            (None, _, _) if algorithm.session => return Err(Refusal::Incomplete),
            (None, _, _) => None,
            (Some(qop), Some(count), Some(cnonce)) => {
                let qop = Qop::parse(qop).ok_or(Refusal::NotOffered)?;
                if qop == Qop::AuthInt && !self.settings.auth_int {
                    return Err(Refusal::NotOffered);
                }
                Some(ClientNonce { qop, count, cnonce })
            }
            _ => return Err(Refusal::Incomplete),
        };
        Ok((algorithm, client))
    }

    fn is_right(
        &self,
        request: &Request,
        shown: &DigestCredentials<'_>,
        algorithm: Algorithm,
        client: Option<ClientNonce<'_>>,
        secret: Option<Secret>,
    ) -> bool {
        let (user, realm) = (&*shown.username, &*self.settings.realm);
        // A user that does not exist has a password that nobody knows, and goes the same way from here on.
        let nobody = Secret::Password(nonce::nobodys_password(&self.settings.key, user));
        let known = secret.as_ref().and_then(|secret| secret.ha1(algorithm.hash, user, realm));
        let nobodys = nobody.ha1(algorithm.hash, user, realm);
        let Some(ha1) = known.or(nobodys) else { return false };
        let transcript = Transcript {
            algorithm,
            nonce: &shown.nonce,
            client,
            method: request.method().as_str(),
            uri: &shown.uri,
            body: request.body(),
        };
        let right = transcript.response(ha1).equals(&shown.response.to_ascii_lowercase());
        right & known.is_some()
    }

    fn is_for(&self, request: &Request, shown: &DigestCredentials<'_>) -> bool {
        if self.settings.uri_check == UriCheck::Skipped || *shown.uri == *request.uri_text() {
            return true;
        }
        let Ok(claimed) = Uri::parse(&shown.uri) else { return false };
        let target = request.uri();
        match (claimed.sip(), target.sip()) {
            (Some(claimed), Some(target)) => {
                claimed.user() == target.user()
                    && claimed.host().to_string().eq_ignore_ascii_case(&target.host().to_string())
            }
            _ => claimed.equivalent(&target),
        }
    }

    fn is_usable(&mut self, now: SystemTime, nonce: Nonce, client: Option<ClientNonce<'_>>) -> bool {
        if !nonce.is_fresh(now, self.settings.nonce_lifetime) {
            return false;
        }
        // Without qop there is no count: the nonce is good for one request.
        let count = client.map_or(u32::MAX, |client| client.count);
        self.replay.use_count(nonce.tag, nonce.issued, count) == Count::Fresh
    }
}

impl Secret {
    /// HA1 for each hash function, so that the password itself need not be kept.
    pub fn hashed(user: &str, realm: &str, password: &str) -> Secret {
        let password = Secret::Password(password.into());
        let of = |hash: HashFunction| password.ha1(hash, user, realm).map(|ha1| (hash, ha1));
        Secret::Ha1(HashFunction::STRONGEST_FIRST.into_iter().filter_map(of).collect())
    }
}
