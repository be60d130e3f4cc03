//! Judges requests before an application sees them: digest of RFC 3261 §22 and RFC 7616, asserted identity of RFC 3325,
//! and who is in which role. The figure is at the [module](super).
//!
//! ACK and CANCEL are never refused: neither can be sent again with credentials (RFC 3261 §22.1). Requests within a dialog
//! are judged like those that began it; so is PRACK, which is "authenticated as any other request" (RFC 3262 §9).
//!
//! There is one of these for each application and shard. Nonces are good for all that share a key; which counts were
//! used is known by each for itself, so that one set of credentials may serve several applications that a request passes.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use sip_dialog::digest::{self, Algorithm, Asker, Authenticator, AuthenticatorSettings, UriCheck};
use sip_message::{Method, Request, StatusCode};

use super::asserted::{asserted_user, user_name};
use super::constraint::{
    AllowedRoles, IdentityScheme, IdentitySupport, LoginConfig, SecurityConstraint, SecurityPolicy,
};
use super::denial::{Denial, DenialReason};
use super::tries::Tries;
use super::trust::{FlowFacts, TrustDomain};
use super::users::{LookUp, Principal, Proof, StoreError, User, UserStore, look_up};

/// What a descriptor leaves to the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestSettings {
    /// The key of the nonces, from a good random source; the same on all shards and nodes that are to know each other's.
    pub key: [u8; 32],
    /// What sets the nonces of this shard apart from those of others with the same key.
    pub instance: u32,
    /// What is offered. Users of whom only an HA1 is kept need one for each: a client takes the strongest.
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce lives.
    pub nonce_lifetime: Duration,
    /// Whether the digest-uri of an Authorization is compared with the Request-URI. Proxies, and applications before this
    /// one, may have changed the latter (RFC 3261 §22.4, item 5). That of a Proxy-Authorization always is.
    pub server_uri_check: UriCheck,
}

impl DigestSettings {
    /// SHA-256 and MD5, nonces of five minutes.
    pub fn new(key: [u8; 32], instance: u32) -> DigestSettings {
        DigestSettings {
            key,
            instance,
            algorithms: vec![Algorithm::SHA_256, Algorithm::MD5],
            nonce_lifetime: Duration::from_secs(300),
            server_uri_check: UriCheck::Skipped,
        }
    }
}

/// What is known after looking at a request.
#[derive(Clone, Debug)]
pub enum Step {
    /// It is decided.
    Decided(Verdict),
    /// Look this user up, then call [`AccessControl::verify`].
    NeedsUser(PendingLogin),
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The application gets it; the user is known, or nobody asked.
    Admitted(Option<Principal>),
    /// The application does not get it.
    Refused(Denial),
}

/// A request that waits for what is kept of a user.
#[derive(Clone, Debug)]
pub struct PendingLogin {
    realm: Box<str>,
    user: Box<str>,
    proof: Claim,
    roles: AllowedRoles,
    source: IpAddr,
}

/// How the user claims to be that user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// Credentials, to be checked.
    Credentials(Asker),
    /// Somebody whom we believe says so.
    Vouched(Proof),
}

impl PendingLogin {
    /// The realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The name of the user; it is what the peer wrote, and may be anything.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The look-up that is asked for.
    pub fn look_up(&self, store: &Rc<dyn UserStore>) -> LookUp<'static> {
        look_up(Rc::clone(store), self.realm.clone(), self.user.clone())
    }
}

/// The guard at the door of one application.
#[derive(Clone, Debug)]
pub struct AccessControl {
    policy: SecurityPolicy,
    settings: DigestSettings,
    trust: TrustDomain,
    local_domains: Vec<Box<str>>,
    /// Made when they are needed first: each has a table of the nonces that were used.
    server: Option<Authenticator>,
    proxy: Option<Authenticator>,
    tries: Tries,
}

impl AccessControl {
    /// A guard with the descriptor's rules. `trust`: whose word on an identity is taken. `local_domains`: whose users are
    /// called by their user part alone when somebody vouches for them, beside the realm's own name.
    pub fn new(
        policy: SecurityPolicy,
        settings: DigestSettings,
        trust: TrustDomain,
        local_domains: Vec<Box<str>>,
    ) -> AccessControl {
        let mut seed = [0; 8];
        seed.copy_from_slice(&settings.key[..8]);
        let tries = Tries::new(u64::from_le_bytes(seed));
        AccessControl { policy, settings, trust, local_domains, server: None, proxy: None, tries }
    }

    /// The rules.
    pub fn constraints(&self) -> &[SecurityConstraint] {
        &self.policy.constraints
    }

    /// Whether the far end belongs to the trust domain; else its P-Asserted-Identity has to be
    /// [stripped](super::strip_untrusted_identity).
    pub fn trusts(&self, facts: &FlowFacts<'_>) -> bool {
        self.trust.trusts(facts)
    }

    /// Looks at a request for one servlet.
    pub fn begin(&mut self, servlet: &str, request: &Request, facts: &FlowFacts<'_>, now: SystemTime) -> Step {
        let vouched = self.vouched(request, facts);
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return admitted(self.unasked(vouched));
        }
        let Some(demand) = self.policy.demand(servlet, request.method()) else {
            return admitted(self.unasked(vouched));
        };
        if demand.secure && !facts.secure {
            return refused(Denial::forbidden(DenialReason::InsecureTransport));
        }
        if demand.roles == AllowedRoles::Everybody {
            return admitted(self.unasked(vouched));
        }
        if demand.roles.is_nobody() {
            return refused(Denial::forbidden(DenialReason::NobodyMay));
        }
        let Some(login) = &self.policy.login else {
            return refused(Denial::forbidden(DenialReason::NoLogin));
        };
        let realm = login.realm.clone();
        if let Some((user, proof)) = vouched {
            let proof = Claim::Vouched(proof);
            return Step::NeedsUser(PendingLogin { realm, user, proof, roles: demand.roles, source: facts.remote });
        }
        if let Some(denial) = missing_identity(login, request) {
            return refused(denial);
        }
        let asker = if demand.proxy_authentication { Asker::Proxy } else { Asker::Server };
        self.begin_digest(asker, realm, demand.roles, request, facts.remote, now)
    }

    /// Judges a request with what the store had of its user.
    pub fn verify(
        &mut self,
        pending: PendingLogin,
        found: Result<Option<User>, StoreError>,
        request: &Request,
        now: SystemTime,
    ) -> Verdict {
        let user = match found {
            Ok(user) => user,
            Err(error) => return Verdict::Refused(Denial::store(error)),
        };
        let proof = match pending.proof {
            Claim::Vouched(proof) => proof,
            Claim::Credentials(asker) => match self.check(asker, &pending, user.as_ref(), request, now) {
                Ok(()) => Proof::Digest,
                Err(denial) => return Verdict::Refused(denial),
            },
        };
        let roles = user.map(|user| user.roles).unwrap_or_default();
        if !pending.roles.admits(&roles) {
            return Verdict::Refused(Denial::forbidden(DenialReason::NotInRole(pending.user)));
        }
        Verdict::Admitted(Some(Principal { name: pending.user, realm: pending.realm, proof, roles }))
    }

    /// Whom somebody vouches for that we believe.
    fn vouched(&self, request: &Request, facts: &FlowFacts<'_>) -> Option<(Box<str>, Proof)> {
        let login = self.policy.login.as_ref()?;
        let is_ours = |host: &str| {
            host.eq_ignore_ascii_case(&login.realm) || self.local_domains.iter().any(|d| d.eq_ignore_ascii_case(host))
        };
        match login.identity_assertion?.scheme {
            IdentityScheme::PAssertedIdentity if self.trust.trusts(facts) => {
                Some((asserted_user(request, is_ours)?, Proof::Asserted))
            }
            IdentityScheme::PAssertedIdentity => None,
            IdentityScheme::Identity => Some((user_name(facts.verified_identity?, is_ours)?, Proof::Signed)),
        }
    }

    /// The principal of a request that nothing is asked of: his roles are not looked up.
    fn unasked(&self, vouched: Option<(Box<str>, Proof)>) -> Option<Principal> {
        let ((name, proof), login) = (vouched?, self.policy.login.as_ref()?);
        Some(Principal { name, realm: login.realm.clone(), proof, roles: Vec::new() })
    }

    fn begin_digest(
        &mut self,
        asker: Asker,
        realm: Box<str>,
        roles: AllowedRoles,
        request: &Request,
        source: IpAddr,
        now: SystemTime,
    ) -> Step {
        // The digest server says which user it will ask for: nobody has any password yet, so nothing can be right.
        let mut claimed = None;
        let authenticator = self.authenticator(asker, &realm);
        let first_look = authenticator.verify(now, request, binding(asker), |user| {
            claimed = Some(Box::from(user));
            None
        });
        let Some(user) = claimed else {
            let reason = match first_look {
                digest::Verdict::NoCredentials => DenialReason::NoCredentials,
                _ => DenialReason::UnusableCredentials,
            };
            return refused(self.challenge(asker, &realm, now, reason));
        };
        if let Some(denial) = self.too_many(now, &user, source) {
            return refused(denial);
        }
        Step::NeedsUser(PendingLogin { realm, user, proof: Claim::Credentials(asker), roles, source })
    }

    fn check(
        &mut self,
        asker: Asker,
        pending: &PendingLogin,
        user: Option<&User>,
        request: &Request,
        now: SystemTime,
    ) -> Result<(), Denial> {
        // Many may have been on their way to the store together.
        if let Some(denial) = self.too_many(now, &pending.user, pending.source) {
            return Err(denial);
        }
        let authenticator = self.authenticator(asker, &pending.realm);
        let secret = |name: &str| user.filter(|_| *name == *pending.user).map(|user| user.secret.clone());
        let reason = match authenticator.verify(now, request, binding(asker), secret) {
            digest::Verdict::Authenticated { .. } => return Ok(()),
            digest::Verdict::NoCredentials => DenialReason::NoCredentials,
            digest::Verdict::Stale => DenialReason::StaleNonce,
            digest::Verdict::Refused(digest::Refusal::WrongResponse) => {
                self.tries.failed(now, &pending.user, pending.source);
                DenialReason::WrongCredentials
            }
            digest::Verdict::Refused(_) => DenialReason::UnusableCredentials,
        };
        Err(self.challenge(asker, &pending.realm, now, reason))
    }

    fn too_many(&self, now: SystemTime, user: &str, source: IpAddr) -> Option<Denial> {
        let wait = self.tries.wait(now, user, source)?;
        Some(Denial::later(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1)))
    }

    fn challenge(&mut self, asker: Asker, realm: &str, now: SystemTime, reason: DenialReason) -> Denial {
        let stale = reason == DenialReason::StaleNonce;
        let challenges = self.authenticator(asker, realm).challenges(now, binding(asker), stale);
        let headers = challenges.into_iter().map(|challenge| (asker.challenge_header(), challenge)).collect();
        Denial { status: asker.status(), headers, reason }
    }

    fn authenticator(&mut self, asker: Asker, realm: &str) -> &mut Authenticator {
        let (place, uri_check) = match asker {
            Asker::Server => (&mut self.server, self.settings.server_uri_check),
            Asker::Proxy => (&mut self.proxy, UriCheck::SameUserAndHost),
        };
        let settings = &self.settings;
        place.get_or_insert_with(|| {
            Authenticator::new(AuthenticatorSettings {
                instance: settings.instance,
                algorithms: settings.algorithms.clone(),
                nonce_lifetime: settings.nonce_lifetime,
                uri_check,
                ..AuthenticatorSettings::new(asker, realm, settings.key)
            })
        })
    }
}

/// Nonces are tied to who asked, so that what was shown with Authorization is no good as Proxy-Authorization. They are not
/// tied to the source's address, which changes under a phone that moves.
fn binding(asker: Asker) -> &'static [u8] {
    match asker {
        Asker::Server => b"server",
        Asker::Proxy => b"proxy",
    }
}

/// The refusal of a request for which nobody vouches, where somebody has to.
fn missing_identity(login: &LoginConfig, request: &Request) -> Option<Denial> {
    let assertion = login.identity_assertion.filter(|assertion| assertion.support == IdentitySupport::Required)?;
    let is_there = request.headers().contains(sip_message::HeaderName::Identity);
    Some(match assertion.scheme {
        // RFC 8224 §6.2.2: the header is there, and its signature means nothing to us.
        IdentityScheme::Identity if is_there => Denial::new(unsupported_credential(), DenialReason::UnverifiedIdentity),
        _ => Denial::new(StatusCode::USE_IDENTITY_HEADER, DenialReason::NoIdentity),
    })
}

/// 437 Unsupported Credential.
fn unsupported_credential() -> StatusCode {
    StatusCode::new(437).expect("437 is between 100 and 699")
}

fn admitted(principal: Option<Principal>) -> Step {
    Step::Decided(Verdict::Admitted(principal))
}

fn refused(denial: Denial) -> Step {
    Step::Decided(Verdict::Refused(denial))
}
