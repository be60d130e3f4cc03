//! Answers the challenges to our own requests: `addAuthHeader` and `getChallengeRealms` of the SIP Servlet model, on the
//! digest client of `sip_dialog` (RFC 3261 §22.2 and §22.3, RFC 8760 §2.4).
//!
//! ```text
//!   request ──────────────────────────► 401, 407 ──► answer_challenge: the request once more, with credentials
//!                                          ▲                 │
//!                     stale=true ──────────┘                 ▼
//!   next request ──► SessionCredentials::authorize    2xx ──► SessionCredentials::succeeded: nextnonce
//! ```
//!
//! A digest is worth an attack on the password, so none leaves for who has no right to ask. Credentials belong to one
//! session (§22.3: they "MUST NOT be cached across dialogs"), to one realm and to one asker. A request within a dialog
//! that has no Route goes straight to the far end, which is no proxy of ours: it gets no Proxy-Authorization, whatever
//! realm it names. Outside a dialog nothing is sent unasked to another next hop than the one that has asked.

use std::vec::IntoIter;

use servlet::AuthInfo;
use sip_dialog::digest::{Account, Asker, DigestClient, Secret, Unanswered};
use sip_message::header::{Authorization, Challenge, ProxyAuthenticate, Route, To, TypedHeader as _, WwwAuthenticate};
use sip_message::{Headers, Request, Response};

/// How many realms a session remembers.
const MAX_REALMS: usize = 16;

/// The realms of a response's Digest challenges, each once: `getChallengeRealms`.
#[derive(Clone, Debug)]
pub struct ChallengeRealms(IntoIter<Box<str>>);

impl ChallengeRealms {
    /// Those of `response`.
    pub fn of(response: &Response) -> ChallengeRealms {
        let mut realms = realms_of(Asker::Server, response.headers());
        for realm in realms_of(Asker::Proxy, response.headers()) {
            if !realms.contains(&realm) {
                realms.push(realm);
            }
        }
        ChallengeRealms(realms.into_iter())
    }
}

impl Iterator for ChallengeRealms {
    type Item = Box<str>;

    fn next(&mut self) -> Option<Box<str>> {
        self.0.next()
    }
}

/// What an answer holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The realms that credentials were made for.
    pub realms: Vec<(Asker, Box<str>)>,
    /// The realms that got none. The next server may insist on them.
    pub unanswered: Vec<(Asker, Box<str>, Unanswered)>,
}

/// The credentials that one session has shown, and the nonces that they go with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionCredentials {
    realms: Vec<Realm>,
}

/// One realm of one asker. Each has a digest client of its own, so that the same realm may know us by another name as a
/// proxy, and a new password replaces nothing but itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Realm {
    asker: Asker,
    account: Account,
    client: DigestClient,
    /// The host that the request went to first which was answered.
    next_hop: Box<str>,
}

/// Puts into `request` what `challenge` asks for. `challenged`: the request that it is the answer to, without which a
/// password that was refused could not be told from one that was not tried. `cnonce`: a fresh random text of at least
/// 64 bits. It is enough that one realm can be answered; on an error the request is as it was.
pub fn answer_challenge(
    request: &mut Request,
    challenged: &Request,
    challenge: &Response,
    info: &AuthInfo,
    credentials: &mut SessionCredentials,
    cnonce: &str,
) -> Result<Answered, Unanswered> {
    let mut answer = request.clone();
    let mut answered = Answered::default();
    carry_credentials(challenged, &mut answer);
    for asker in Asker::ALL {
        let of_asker = without_other(challenge, asker);
        for realm in realms_of(asker, challenge.headers()) {
            match credentials.answer_realm(&mut answer, asker, &realm, &of_asker, info, cnonce) {
                Ok(()) => answered.realms.push((asker, realm)),
                Err(why) => answered.unanswered.push((asker, realm, why)),
            }
        }
    }
    if answered.realms.is_empty() {
        return Err(worst(answered.unanswered));
    }
    // Servers that were content see their nonce once more: with the next count, or it would be a replay.
    credentials.authorize_others(&mut answer, &answered, cnonce)?;
    *request = answer;
    Ok(answered)
}

/// Gives `to` the credentials of `from`: an ACK those of its INVITE (§13.2.2.4: "The ACK MUST contain the same credentials"),
/// a request that is tried again those that failed. What `to` has already stays.
pub fn carry_credentials(from: &Request, to: &mut Request) {
    for name in Asker::ALL.map(Asker::credentials_header) {
        if !to.headers().contains(name) {
            to.headers_mut().copy_from(from.headers(), name);
        }
    }
}

impl SessionCredentials {
    /// None yet.
    pub fn new() -> SessionCredentials {
        SessionCredentials::default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.realms.is_empty()
    }

    /// Puts the credentials that are known into a further request of the session, each with its next nonce count, so that
    /// no challenge is needed. Whether there were any that may go its way.
    pub fn authorize(&mut self, request: &mut Request, cnonce: &str) -> Result<bool, Unanswered> {
        let way = Way::of(request);
        let mut any = false;
        for realm in &mut self.realms {
            if way.may_carry(realm.asker, &realm.next_hop) {
                any |= realm.client.authorize(request, cnonce)?;
            }
        }
        Ok(any)
    }

    /// Renews the credentials that the request carries for realms which did not challenge.
    fn authorize_others(&mut self, request: &mut Request, answered: &Answered, cnonce: &str) -> Result<(), Unanswered> {
        for realm in &mut self.realms {
            let of = (realm.asker, &*realm.account.realm);
            let challenged = answered.realms.iter().map(|(asker, realm)| (*asker, &**realm));
            let mut challenged =
                challenged.chain(answered.unanswered.iter().map(|(asker, realm, _)| (*asker, &**realm)));
            if !challenged.any(|asked| asked == of) && carries(request, realm.asker, &realm.account.realm) {
                realm.client.authorize(request, cnonce)?;
            }
        }
        Ok(())
    }

    /// Takes note of a success, which may hold the next nonce (RFC 7616 §3.5). `request`: the one that succeeded.
    pub fn succeeded(&mut self, request: &Request, response: &Response) {
        for realm in &mut self.realms {
            realm.client.succeeded(request, response);
        }
    }

    fn answer_realm(
        &mut self,
        request: &mut Request,
        asker: Asker,
        realm: &str,
        challenge: &Response,
        info: &AuthInfo,
        cnonce: &str,
    ) -> Result<(), Unanswered> {
        let way = Way::of(request);
        if !way.may_be_asked_by(asker) {
            return Err(Unanswered::OtherWay(realm.into()));
        }
        let known = self.realms.iter().position(|known| known.asker == asker && *known.account.realm == *realm);
        let foreign = || Unanswered::NoAccount(vec![realm.into()]);
        let given = info.credentials(asker.status(), realm).ok_or_else(foreign)?;
        if given.any_realm && way.in_dialog && known.is_none() {
            return Err(foreign());
        }
        let secret = Secret::Password(given.password.into());
        let account = Account { realm: realm.into(), username: given.user.into(), secret, next_hop: None };
        let same = known.filter(|at| self.realms[*at].account == account);
        if let Some(at) = same {
            self.realms[at].client.answer(request, challenge, cnonce)?;
            self.realms[at].next_hop = way.next_hop;
            return Ok(());
        }
        let mut client = DigestClient::new([account.clone()]);
        if known.is_some() {
            // Other credentials than those that failed: the old ones say nothing about these.
            forget_realm(request, asker, realm);
        }
        client.answer(request, challenge, cnonce)?;
        let new = Realm { asker, account, client, next_hop: way.next_hop };
        match known {
            Some(at) => self.realms[at] = new,
            None if self.realms.len() < MAX_REALMS => self.realms.push(new),
            None => self.realms[0] = new,
        }
        Ok(())
    }
}

/// Where a request goes, as far as it can be seen from it.
struct Way {
    in_dialog: bool,
    has_route: bool,
    next_hop: Box<str>,
}

impl Way {
    fn of(request: &Request) -> Way {
        let to = request.headers().get::<To>();
        let route = request.headers().get::<Route>().and_then(Result::ok);
        let first = route.as_ref().map_or_else(|| request.uri(), |route| route.uri());
        Way {
            // What can't be read gets the stricter rules.
            in_dialog: to.is_none_or(|to| to.map_or(true, |to| to.tag().is_some())),
            has_route: route.is_some(),
            next_hop: first.sip().map(|uri| uri.host().to_string().to_ascii_lowercase()).unwrap_or_default().into(),
        }
    }

    fn may_be_asked_by(&self, asker: Asker) -> bool {
        asker == Asker::Server || self.has_route || !self.in_dialog
    }

    fn may_carry(&self, asker: Asker, next_hop: &str) -> bool {
        self.may_be_asked_by(asker) && (self.in_dialog || *self.next_hop == *next_hop)
    }
}

fn realms_of(asker: Asker, headers: &Headers) -> Vec<Box<str>> {
    let mut realms: Vec<Box<str>> = Vec::new();
    let mut note = |challenge: Challenge<'_>| {
        if let Some(realm) = challenge.digest().map(|digest| &*digest.realm)
            && !realms.iter().any(|known| **known == *realm)
        {
            realms.push(realm.into());
        }
    };
    match asker {
        Asker::Server => headers.all::<WwwAuthenticate>().flatten().for_each(|value| note(value.0)),
        Asker::Proxy => headers.all::<ProxyAuthenticate>().flatten().for_each(|value| note(value.0)),
    }
    realms
}

/// The realm of the Digest credentials in one header field.
fn credentials_realm(text: &str) -> Option<Box<str>> {
    // Both headers have one grammar (RFC 3261 §25.1).
    let credentials = Authorization::parse(text).ok()?;
    credentials.digest().map(|digest| (*digest.realm).into())
}

fn carries(request: &Request, asker: Asker, realm: &str) -> bool {
    let mut shown = request.headers().fields_of(asker.credentials_header()).filter_map(credentials_realm);
    shown.any(|of| *of == *realm)
}

fn forget_realm(request: &mut Request, asker: Asker, realm: &str) {
    let name = asker.credentials_header();
    let is_other = |text: &&str| credentials_realm(text).is_none_or(|of| *of != *realm);
    let others: Vec<String> = request.headers().fields_of(name).filter(is_other).map(str::to_owned).collect();
    request.headers_mut().remove(name);
    for other in others {
        request.headers_mut().push(name, other).expect("it was in a header already");
    }
}

/// The response without the challenges of the other asker, whose realms may have the same names.
fn without_other(challenge: &Response, asker: Asker) -> Response {
    let mut challenge = challenge.clone();
    for other in Asker::ALL.into_iter().filter(|other| *other != asker) {
        challenge.headers_mut().remove(other.challenge_header());
    }
    challenge
}

/// The reason that says most: a refusal before a missing account.
fn worst(unanswered: Vec<(Asker, Box<str>, Unanswered)>) -> Unanswered {
    let mut foreign = Vec::new();
    for (_, _, why) in unanswered {
        match why {
            Unanswered::NoAccount(realms) => foreign.extend(realms),
            other => return other,
        }
    }
    if foreign.is_empty() { Unanswered::NoChallenge } else { Unanswered::NoAccount(foreign) }
}
