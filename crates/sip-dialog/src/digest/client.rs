//! The client of digest authentication: RFC 3261 §22.2 and §22.3, RFC 7616 §3.4, RFC 8760 §2.4.
//!
//! ```text
//!   401, 407 ──► for each realm that has an account: the strongest challenge that its secret can answer
//!                  │ not tried yet, or stale=true with another nonce          │ tried, and not stale
//!                  ▼                                                          ▼
//!                credentials in the request                                 Unanswered::Refused
//! ```
//!
//! A digest is worth an attack on the password: none is made for a realm that has no account, or for a request that goes
//! another way than the account's. Sending the request again, with the next CSeq, is the caller's.

use std::borrow::Cow;
use std::fmt;

use sip_message::header::{AuthenticationInfo, ProxyAuthenticationInfo};
use sip_message::header::{
    Authorization, Challenge, Credentials, DigestChallenge, DigestCredentials, ProxyAuthenticate, ProxyAuthorization,
    Route, TypedHeader as _, WwwAuthenticate,
};
use sip_message::{Headers, Request, Response, Uri};

use super::Asker;
use super::algorithm::{Algorithm, ClientNonce, HashFunction, Qop, Secret, Transcript};

/// How often a server may call our nonce stale for one request.
const STALE_ROUNDS: u8 = 3;
/// How many realms' nonces are remembered.
const MAX_NONCES: usize = 16;

/// Who we are in one realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The realm, as the challenge says it.
    pub realm: Box<str>,
    /// The user's name.
    pub username: Box<str>,
    /// The password, or what replaces it.
    pub secret: Secret,
    /// Where requests with these credentials may go first: the host of the first Route, or else of the Request-URI.
    /// `None`: anywhere.
    pub next_hop: Option<Box<str>>,
}

/// Why a challenge has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The response has no Digest challenge that can be read.
    NoChallenge,
    /// There is no account for any of these realms.
    NoAccount(Vec<Box<str>>),
    /// The request does not go where the account's requests go.
    OtherWay(Box<str>),
    /// No challenge of the realm has an algorithm and qop that are known and that the secret can be used with.
    NoAlgorithm(Box<str>),
    /// The realm has seen our credentials and refused them.
    Refused(Box<str>),
    /// The request holds a character that a header can't, in the cnonce or the user's name.
    BadText,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::NoChallenge => f.write_str("no digest challenge in the response"),
            Unanswered::NoAccount(realms) => write!(f, "no account for realm {}", realms.join(", ")),
            Unanswered::OtherWay(realm) => write!(f, "the request does not go the way of the account in realm {realm}"),
            Unanswered::NoAlgorithm(realm) => write!(f, "realm {realm} asks for an algorithm that can't be used"),
            Unanswered::Refused(realm) => write!(f, "realm {realm} refused the credentials"),
            Unanswered::BadText => f.write_str("a value of the credentials can't stand in a header"),
        }
    }
}

impl std::error::Error for Unanswered {}

/// A server's nonce, which further requests may use again (RFC 7616 §3.6).
#[derive(Clone, Debug, PartialEq, Eq)]
struct KnownNonce {
    asker: Asker,
    realm: Box<str>,
    nonce: Box<str>,
    opaque: Option<Box<str>>,
    algorithm: Algorithm,
    /// Whether the server named the algorithm; RFC 2617 peers that did not may not know the parameter.
    algorithm_named: bool,
    qop: Option<Qop>,
    /// How often it was used.
    count: u32,
    stale_rounds: u8,
}

/// The accounts, and the nonces that their servers gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestClient {
    accounts: Vec<Account>,
    nonces: Vec<KnownNonce>,
}

impl DigestClient {
    /// A client with these accounts.
    pub fn new(accounts: impl IntoIterator<Item = Account>) -> DigestClient {
        DigestClient { accounts: accounts.into_iter().collect(), nonces: Vec::new() }
    }

    /// Puts into `request` what `response` (401, 407) asks for. It is enough that one realm can be answered. `cnonce`:
    /// a fresh random text of at least 64 bits.
    pub fn answer(&mut self, request: &mut Request, response: &Response, cnonce: &str) -> Result<(), Unanswered> {
        let mut answered = false;
        let mut why = Unanswered::NoChallenge;
        let mut foreign = Vec::new();
        for asker in Asker::ALL {
            let challenges = challenges(asker, response.headers());
            let mut realms: Vec<Cow<'_, str>> = Vec::new();
            for challenge in &challenges {
                if !realms.contains(&challenge.realm) {
                    realms.push(challenge.realm.clone());
                }
            }
            for realm in realms {
                let of_realm = challenges.iter().filter(|challenge| challenge.realm == realm);
                match self.answer_realm(request, asker, &realm, of_realm, cnonce) {
                    Ok(()) => answered = true,
                    Err(Unanswered::NoAccount(realms)) => foreign.extend(realms),
                    Err(other) => why = other,
                }
            }
        }
        match (answered, why) {
            (true, _) => Ok(()),
            (false, Unanswered::NoChallenge) if !foreign.is_empty() => Err(Unanswered::NoAccount(foreign)),
            (false, why) => Err(why),
        }
    }

    /// Puts credentials into a new request for every nonce that is known, so that no challenge is needed
    /// (RFC 3261 §22.2, §22.3). Whether there was any.
    pub fn authorize(&mut self, request: &mut Request, cnonce: &str) -> Result<bool, Unanswered> {
        let mut any = false;
        for at in 0..self.nonces.len() {
            let (asker, realm) = (self.nonces[at].asker, self.nonces[at].realm.clone());
            let Ok(account) = self.account(&realm, request) else {
                continue;
            };
            let account = account.clone();
            // A new request begins anew with being told that its nonce is stale.
            self.nonces[at].stale_rounds = 0;
            put_credentials(request, asker, &account, &mut self.nonces[at], cnonce)?;
            any = true;
        }
        Ok(any)
    }

    /// Takes note of a success: its Authentication-Info may hold the next nonce (RFC 7616 §3.5). `request` is the one
    /// that succeeded.
    pub fn succeeded(&mut self, request: &Request, response: &Response) {
        for asker in Asker::ALL {
            let Some(next) = next_nonce(asker, response.headers()) else { continue };
            // The header names no realm: it is that of the credentials, if they are of one only.
            let sent = credentials(asker, request.headers());
            let [sent] = &sent[..] else { continue };
            let known = self.nonces.iter_mut().find(|known| known.asker == asker && *known.realm == *sent.realm);
            if let Some(known) = known {
                known.nonce = next;
                known.count = 0;
            }
        }
    }

    fn answer_realm<'c>(
        &mut self,
        request: &mut Request,
        asker: Asker,
        realm: &str,
        challenges: impl Iterator<Item = &'c DigestChallenge<'c>>,
        cnonce: &str,
    ) -> Result<(), Unanswered> {
        let account = self.account(realm, request)?.clone();
        let choice = challenges.filter_map(|challenge| choose(challenge, &account)).max_by_key(Choice::strength);
        let choice = choice.ok_or_else(|| Unanswered::NoAlgorithm(realm.into()))?;
        let place = self.nonces.iter().position(|known| known.asker == asker && *known.realm == *realm);
        let before = place.map(|at| &self.nonces[at]);
        let stale_rounds = rounds(request, asker, realm, before, &choice)?;
        let mut known = KnownNonce {
            asker,
            realm: realm.into(),
            nonce: choice.challenge.nonce.as_ref().into(),
            opaque: choice.challenge.opaque.as_deref().map(Box::from),
            algorithm: choice.algorithm,
            algorithm_named: choice.challenge.algorithm.is_some(),
            qop: choice.qop,
            count: 0,
            stale_rounds,
        };
        put_credentials(request, asker, &account, &mut known, cnonce)?;
        match place {
            Some(at) => self.nonces[at] = known,
            None if self.nonces.len() < MAX_NONCES => self.nonces.push(known),
            None => self.nonces[0] = known,
        }
        Ok(())
    }

    fn account(&self, realm: &str, request: &Request) -> Result<&Account, Unanswered> {
        let mut of_realm = self.accounts.iter().filter(|account| *account.realm == *realm).peekable();
        if of_realm.peek().is_none() {
            return Err(Unanswered::NoAccount(vec![realm.into()]));
        }
        let goes_there = |account: &&Account| account.next_hop.as_deref().is_none_or(|host| goes_to(request, host));
        of_realm.find(goes_there).ok_or_else(|| Unanswered::OtherWay(realm.into()))
    }
}

/// A challenge that can be answered, and how.
struct Choice<'c> {
    challenge: &'c DigestChallenge<'c>,
    algorithm: Algorithm,
    qop: Option<Qop>,
}

impl Choice<'_> {
    /// RFC 8760 §2.4 takes the topmost challenge that is known; we take the strongest, so that nobody on the way can put
    /// a weak one on top.
    fn strength(&self) -> (HashFunction, bool, bool) {
        (self.algorithm.hash, self.qop.is_some(), self.algorithm.session)
    }
}

fn choose<'c>(challenge: &'c DigestChallenge<'c>, account: &Account) -> Option<Choice<'c>> {
    let algorithm = Algorithm::parse(challenge.algorithm.as_deref().unwrap_or("MD5"))?;
    account.secret.ha1(algorithm.hash, &account.username, &account.realm)?;
    let qop = match &challenge.qop {
        None => None,
        Some(_) => {
            let offered: Vec<Qop> = challenge.qop_options().filter_map(Qop::parse).collect();
            // auth-int fails when a hop touches the body; it is used where nothing else is offered.
            Some(*offered.iter().find(|qop| **qop == Qop::Auth).or(offered.first())?)
        }
    };
    Some(Choice { challenge, algorithm, qop })
}

/// How many rounds the realm has called our nonces stale, this one included; an error when it refuses our credentials.
fn rounds(
    request: &Request,
    asker: Asker,
    realm: &str,
    before: Option<&KnownNonce>,
    choice: &Choice<'_>,
) -> Result<u8, Unanswered> {
    let sent = credentials(asker, request.headers()).into_iter().find(|sent| sent.realm == realm);
    let Some(sent) = sent else { return Ok(0) };
    let refused = || Unanswered::Refused(realm.into());
    if sent.nonce == choice.challenge.nonce {
        return Err(refused());
    }
    if choice.challenge.stale {
        let rounds = before.map_or(0, |known| known.stale_rounds) + 1;
        return if rounds <= STALE_ROUNDS { Ok(rounds) } else { Err(refused()) };
    }
    // Credentials that were sent without being asked for may be refused without a word about staleness.
    if sent.nonce_count.is_some_and(|count| count > 1) { Ok(0) } else { Err(refused()) }
}

fn put_credentials(
    request: &mut Request,
    asker: Asker,
    account: &Account,
    known: &mut KnownNonce,
    cnonce: &str,
) -> Result<(), Unanswered> {
    let no_algorithm = || Unanswered::NoAlgorithm(known.realm.clone());
    let ha1 = account.secret.ha1(known.algorithm.hash, &account.username, &account.realm).ok_or_else(no_algorithm)?;
    let count = known.count.saturating_add(1);
    let transcript = Transcript {
        algorithm: known.algorithm,
        nonce: &known.nonce,
        client: known.qop.map(|qop| ClientNonce { qop, count, cnonce }),
        method: request.method().as_str(),
        uri: request.uri_text(),
        body: request.body(),
    };
    let response = transcript.response(ha1);
    let with_qop = known.qop.is_some();
    let value = DigestCredentials {
        username: Cow::Borrowed(&account.username),
        realm: Cow::Borrowed(&known.realm),
        nonce: Cow::Borrowed(&known.nonce),
        uri: Cow::Borrowed(request.uri_text()),
        response: Cow::Borrowed(response.as_str()),
        algorithm: known.algorithm_named.then(|| Cow::Borrowed(known.algorithm.as_str())),
        cnonce: with_qop.then_some(Cow::Borrowed(cnonce)),
        opaque: known.opaque.as_deref().map(Cow::Borrowed),
        qop: known.qop.map(|qop| Cow::Borrowed(qop.as_str())),
        nonce_count: with_qop.then_some(count),
        ..DigestCredentials::default()
    };
    let value = Credentials::Digest(value).to_string();
    replace_credentials(request.headers_mut(), asker, &known.realm, &value)?;
    known.count = count;
    Ok(())
}

/// Puts the credentials of one realm in the place of its former ones; those of other realms stay.
fn replace_credentials(headers: &mut Headers, asker: Asker, realm: &str, value: &str) -> Result<(), Unanswered> {
    let name = asker.credentials_header();
    let of_realm = |text: &str| read_credentials(asker, text).is_some_and(|sent| sent.realm == realm);
    let others: Vec<String> = headers.fields_of(name).filter(|text| !of_realm(text)).map(str::to_owned).collect();
    headers.remove(name);
    for other in others {
        headers.push(name, other).map_err(|_| Unanswered::BadText)?;
    }
    headers.push(name, value).map_err(|_| Unanswered::BadText)
}

fn challenges(asker: Asker, headers: &Headers) -> Vec<DigestChallenge<'_>> {
    let digest = |challenge: Challenge<'_>| match challenge {
        Challenge::Digest(digest) => Some(into_owned(digest)),
        Challenge::Other(_) => None,
    };
    match asker {
        Asker::Server => headers.all::<WwwAuthenticate>().filter_map(|read| digest(read.ok()?.0)).collect(),
        Asker::Proxy => headers.all::<ProxyAuthenticate>().filter_map(|read| digest(read.ok()?.0)).collect(),
    }
}

/// What is needed of a challenge, apart from the message.
fn into_owned(challenge: DigestChallenge<'_>) -> DigestChallenge<'static> {
    let owned = |value: Cow<'_, str>| Cow::Owned(value.into_owned());
    DigestChallenge {
        realm: owned(challenge.realm),
        nonce: owned(challenge.nonce),
        opaque: challenge.opaque.map(owned),
        stale: challenge.stale,
        algorithm: challenge.algorithm.map(owned),
        qop: challenge.qop.map(owned),
        ..DigestChallenge::default()
    }
}

/// The Digest credentials in a request for servers or for proxies.
pub(super) fn credentials(asker: Asker, headers: &Headers) -> Vec<DigestCredentials<'_>> {
    headers.fields_of(asker.credentials_header()).filter_map(|text| read_credentials(asker, text)).collect()
}

fn read_credentials(asker: Asker, text: &str) -> Option<DigestCredentials<'_>> {
    let read = match asker {
        Asker::Server => Authorization::parse(text).ok()?.0,
        Asker::Proxy => ProxyAuthorization::parse(text).ok()?.0,
    };
    match read {
        Credentials::Digest(digest) => Some(digest),
        Credentials::Other(_) => None,
    }
}

fn next_nonce(asker: Asker, headers: &Headers) -> Option<Box<str>> {
    let info = match asker {
        Asker::Server => headers.get::<AuthenticationInfo>()?.ok()?.0,
        Asker::Proxy => headers.get::<ProxyAuthenticationInfo>()?.ok()?.0,
    };
    info.nextnonce.map(|nonce| nonce.as_ref().into())
}

/// Whether the request goes to `host` first.
fn goes_to(request: &Request, host: &str) -> bool {
    let is_host = |uri: Uri<'_>| uri.sip().is_some_and(|uri| uri.host().to_string().eq_ignore_ascii_case(host));
    match request.headers().get::<Route>() {
        Some(Ok(route)) => is_host(route.uri()),
        Some(Err(_)) => false,
        None => is_host(request.uri()),
    }
}
