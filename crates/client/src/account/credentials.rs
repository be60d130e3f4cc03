//! Who may ask for an account's password: digest authentication (RFC 3261 §22, RFC 8760) answered for our own realm and on
//! our own way alone.
//!
//! A digest is worth an attack on the password, and one that is made for our realm can be passed on by whoever gets it. So
//!
//! * only these realms are answered: the one that is set, else those in which the registrar has challenged us, else (nobody
//!   has) the account's domain and its proxy's host;
//! * only requests that go to our domain or our proxy first get an answer: by name, or by an address at which our own
//!   requests have been seen to arrive. A callee that we reach directly, in a dialog say, gets none, whatever it claims.

use std::net::IpAddr;

use sip_dialog::digest::{Account as Identity, Asker, DigestClient, Secret, Unanswered};
use sip_message::header::{Challenge, ProxyAuthenticate, WwwAuthenticate};
use sip_message::{Headers, Request, Response};

use crate::settings::AuthSettings;

/// How many realms of a registrar's are believed: its own and those of proxies before it.
const MAX_REALMS: usize = 4;
/// How many addresses of our own servers are known.
const MAX_HOPS: usize = 16;

/// Whence a request goes that was challenged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A REGISTER: whoever answers it is the registrar, or stands before it.
    Registrar,
    /// To our domain or our proxy first.
    Own,
    /// To somebody else.
    Foreign,
}

/// The credentials of an account.
#[derive(Debug)]
pub(super) struct Credentials {
    username: Box<str>,
    secret: Secret,
    has_password: bool,
    /// The realm that is set.
    realm: Option<Box<str>>,
    /// The domain and the proxy's host: realms while no other is known.
    hosts: Vec<Box<str>>,
    /// Those that the registrar has named.
    learnt: Vec<Box<str>>,
    digest: DigestClient,
    /// Addresses at which requests of ours have arrived that were for our domain or our proxy.
    hops: Vec<IpAddr>,
}

impl Credentials {
    pub(super) fn new(settings: &AuthSettings, user: &str, hosts: Vec<Box<str>>) -> Credentials {
        let mut credentials = Credentials {
            username: settings.username.as_deref().unwrap_or(user).into(),
            secret: Secret::Password(settings.password.as_str().into()),
            has_password: !settings.password.is_empty(),
            realm: settings.realm.as_deref().map(Box::from),
            hosts,
            learnt: Vec::new(),
            digest: DigestClient::default(),
            hops: Vec::new(),
        };
        credentials.identify();
        credentials
    }

    /// Puts into `request` what `response` (401, 407) asks for, if it may ask.
    pub(super) fn answer(
        &mut self,
        request: &mut Request,
        response: &Response,
        way: Way,
        cnonce: &str,
    ) -> Result<(), Unanswered> {
        match way {
            Way::Registrar => self.learn(response.headers()),
            Way::Own => {}
            Way::Foreign => {
                let realm = realms(response.headers()).into_iter().next().ok_or(Unanswered::NoChallenge)?;
                return Err(Unanswered::OtherWay(realm));
            }
        }
        self.digest.answer(request, response, cnonce)
    }

    /// Puts credentials for the nonces that are known into a new request that goes our own way.
    pub(super) fn authorize(&mut self, request: &mut Request, way: Way, cnonce: &str) {
        if way != Way::Foreign {
            // What can't be authorized is challenged.
            let _ = self.digest.authorize(request, cnonce);
        }
    }

    /// Takes note of a success (RFC 7616 §3.5).
    pub(super) fn succeeded(&mut self, request: &Request, response: &Response) {
        self.digest.succeeded(request, response);
    }

    /// Takes note of where a request that went our own way has arrived.
    pub(super) fn arrived_at(&mut self, ip: IpAddr) {
        let ip = ip.to_canonical();
        if !self.hops.contains(&ip) {
            if self.hops.len() == MAX_HOPS {
                self.hops.remove(0);
            }
            self.hops.push(ip);
        }
    }

    /// The addresses that are our own servers'.
    pub(super) fn hops(&self) -> &[IpAddr] {
        &self.hops
    }

    /// Believes the realms of a challenge to REGISTER, unless one is set.
    fn learn(&mut self, headers: &Headers) {
        if self.realm.is_some() {
            return;
        }
        let mut any = false;
        for realm in realms(headers) {
            if self.learnt.len() < MAX_REALMS && !self.learnt.contains(&realm) {
                self.learnt.push(realm);
                any = true;
            }
        }
        if any {
            self.identify();
        }
    }

    /// Says to the digest who we are, in each realm. Its nonces are forgotten with that; a challenge brings others.
    fn identify(&mut self) {
        let realms = match (&self.realm, self.learnt.is_empty()) {
            (Some(realm), _) => std::slice::from_ref(realm),
            (None, false) => &self.learnt[..],
            (None, true) => &self.hosts[..],
        };
        let identity = |realm: &str| Identity {
            realm: realm.into(),
            username: self.username.clone(),
            secret: self.secret.clone(),
            next_hop: None,
        };
        // Without a password there is nothing to prove.
        self.digest = DigestClient::new(realms.iter().filter(|_| self.has_password).map(|realm| identity(realm)));
    }
}

/// The realms of all Digest challenges in a response.
fn realms(headers: &Headers) -> Vec<Box<str>> {
    let mut realms: Vec<Box<str>> = Vec::new();
    for asker in Asker::ALL {
        let of_asker: Vec<Box<str>> = match asker {
            Asker::Server => headers.all::<WwwAuthenticate<'_>>().filter_map(|read| realm(&read.ok()?.0)).collect(),
            Asker::Proxy => headers.all::<ProxyAuthenticate<'_>>().filter_map(|read| realm(&read.ok()?.0)).collect(),
        };
        for realm in of_asker {
            if !realms.contains(&realm) {
                realms.push(realm);
            }
        }
    }
    realms
}

fn realm(challenge: &Challenge<'_>) -> Option<Box<str>> {
    Some(challenge.digest()?.realm.as_ref().into())
}

#[cfg(test)]
mod tests {
    use sip_message::{HeaderName, Method, StatusCode, UriBuf};

    use super::*;

    fn credentials(realm: Option<&str>) -> Credentials {
        let settings = AuthSettings { username: None, password: "secret".into(), realm: realm.map(Into::into) };
        Credentials::new(&settings, "alice", vec!["example.org".into()])
    }

    fn request() -> Request {
        Request::new(Method::Message, &UriBuf::parse("sip:bob@example.org").unwrap())
    }

    fn challenge(realm: &str) -> Response {
        let mut response = Response::to(&request(), StatusCode::UNAUTHORIZED);
        let value = format!("Digest realm=\"{realm}\", nonce=\"n-{realm}\", qop=\"auth\", algorithm=SHA-256");
        response.headers_mut().push(HeaderName::WwwAuthenticate, value).unwrap();
        response
    }

    #[test]
    fn without_a_registration_the_domain_is_the_realm_and_no_other() {
        let mut alice = credentials(None);
        let mut asked = request();
        assert_eq!(alice.answer(&mut asked, &challenge("example.org"), Way::Own, "c"), Ok(()));
        assert!(asked.headers().contains(HeaderName::Authorization));
        let refused = alice.answer(&mut request(), &challenge("evil.example"), Way::Own, "c");
        assert_eq!(refused, Err(Unanswered::NoAccount(vec!["evil.example".into()])));
    }

    #[test]
    fn the_realm_that_the_registrar_names_is_believed_and_takes_the_domains_place() {
        let mut alice = credentials(None);
        assert_eq!(alice.answer(&mut request(), &challenge("asterisk"), Way::Registrar, "c"), Ok(()));
        assert_eq!(alice.answer(&mut request(), &challenge("asterisk"), Way::Own, "c"), Ok(()));
        let domain = alice.answer(&mut request(), &challenge("example.org"), Way::Own, "c");
        assert_eq!(domain, Err(Unanswered::NoAccount(vec!["example.org".into()])));
    }

    #[test]
    fn a_realm_that_is_set_is_the_only_one_even_for_the_registrar() {
        let mut alice = credentials(Some("pbx"));
        let refused = alice.answer(&mut request(), &challenge("example.org"), Way::Registrar, "c");
        assert_eq!(refused, Err(Unanswered::NoAccount(vec!["example.org".into()])));
        assert_eq!(alice.answer(&mut request(), &challenge("pbx"), Way::Own, "c"), Ok(()));
    }

    #[test]
    fn whoever_is_not_on_our_way_gets_no_digest_even_for_our_realm() {
        let mut alice = credentials(None);
        let mut asked = request();
        let refused = alice.answer(&mut asked, &challenge("example.org"), Way::Foreign, "c");
        assert_eq!(refused, Err(Unanswered::OtherWay("example.org".into())));
        alice.answer(&mut request(), &challenge("example.org"), Way::Own, "c").unwrap();
        alice.authorize(&mut asked, Way::Foreign, "c");
        assert!(!asked.headers().contains(HeaderName::Authorization));
    }

    #[test]
    fn addresses_of_our_servers_are_few() {
        let mut alice = credentials(None);
        for last in 0..40u8 {
            alice.arrived_at(IpAddr::from([192, 0, 2, last]));
            alice.arrived_at(IpAddr::from([192, 0, 2, last]));
        }
        assert_eq!(alice.hops().len(), MAX_HOPS);
        assert!(alice.hops().contains(&IpAddr::from([192, 0, 2, 39])));
    }
}
