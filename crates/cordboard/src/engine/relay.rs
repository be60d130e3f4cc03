//! How an account is let in by its MSRP relay: RFC 4976 §5.1, with digest as §9.1 has it. When it is asked is left to `msrp`'s
//! driver.

use std::fmt;
use std::sync::Arc;

use client::media::ChatRelay;
use client::settings::AuthSettings;
use msrp::driver::RelayPlan;
use msrp::relay::client::Challenge;
use msrp::uri::{MsrpUri, UriError};
use sip_dialog::digest::algorithm::{ClientNonce, Transcript};
use sip_dialog::digest::{Algorithm, Qop, Secret};
use sip_message::header::{self, DigestChallenge, DigestCredentials, TypedHeader as _, WwwAuthenticate};

/// RFC 4976 §8: MSRP's port.
const PORT: u16 = 2855;

/// What the driver is told of an account's relay.
pub(super) fn plan(relay: &ChatRelay) -> Result<RelayPlan, Arc<str>> {
    let uri = located(&relay.address)?;
    let (host, auth) = (uri.host().to_owned(), relay.auth.clone());
    let answer = move |challenge: Challenge<'_>| {
        // A password is its relay's and nobody else's, whoever else it leads to.
        if !challenge.host.eq_ignore_ascii_case(&host) {
            tracing::warn!(relay = %host, asks = %challenge.host, "somebody else than the relay asks for its password");
            return None;
        }
        let answered = answer(challenge, &auth, getrandom::u64().ok()?, getrandom::u64().ok()?);
        answered.inspect_err(|error| tracing::warn!(relay = %host, %error, "its challenge has no answer")).ok()
    };
    Ok(RelayPlan { uri, answer: Arc::new(answer) })
}

/// Where the relay of a setting is.
pub(super) fn located(address: &str) -> Result<MsrpUri, Arc<str>> {
    uri(address).map_err(|error| format!("msrp.relay: {address:?} is no relay: {error}").into())
}

/// `host`, `host:port`, or an MSRP URI: what names no scheme is reached by TLS, which RFC 4976 wants.
fn uri(address: &str) -> Result<MsrpUri, UriError> {
    let address = address.trim();
    let (scheme, rest) = address.split_once("://").unwrap_or(("msrps", address));
    let (authority, transport) = rest.split_once(';').unwrap_or((rest, "tcp"));
    let is_bare = authority.parse::<std::net::Ipv6Addr>().is_ok();
    let authority = if is_bare { format!("[{authority}]") } else { authority.to_owned() };
    let uri: MsrpUri = format!("{scheme}://{authority};{transport}").parse()?;
    if !uri.transport().eq_ignore_ascii_case("tcp") {
        return Err(UriError::Transport);
    }
    if uri.session_id().is_some() {
        return Err(UriError::SessionId);
    }
    match uri.port() {
        Some(_) => Ok(uri),
        None => format!("{scheme}://{authority}:{PORT};tcp").parse(),
    }
}

/// Why a challenge has no answer: what §9.1 does not allow, or who asks in another realm than the account's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unanswered {
    /// No digest challenge that can be read.
    NoDigest,
    /// Not the realm that may ask for the password.
    Realm(String),
    /// An algorithm that is not known, or of the `-sess` ones.
    Algorithm(String),
    /// `auth` is not among what is offered.
    Qop,
}

fn answer(challenge: Challenge<'_>, auth: &AuthSettings, one: u64, other: u64) -> Result<String, Unanswered> {
    let asked = read(challenge.challenge).ok_or(Unanswered::NoDigest)?;
    if auth.realm.as_ref().is_some_and(|realm| *realm != asked.realm) {
        return Err(Unanswered::Realm(asked.realm.to_string()));
    }
    let name = asked.algorithm.as_deref().unwrap_or("MD5");
    let unknown = || Unanswered::Algorithm(name.to_owned());
    let algorithm = Algorithm::parse(name).filter(|algorithm| !algorithm.session).ok_or_else(unknown)?;
    if !asked.qop_options().any(|qop| Qop::parse(qop) == Some(Qop::Auth)) {
        return Err(Unanswered::Qop);
    }
    let user = auth.username.as_deref().unwrap_or_default();
    let secret = Secret::Password(auth.password.as_str().into());
    let ha1 = secret.ha1(algorithm.hash, user, &asked.realm).ok_or_else(unknown)?;
    let cnonce = format!("{one:016x}{other:016x}");
    // Each challenge has a nonce of its own, which is used once.
    let client = Some(ClientNonce { qop: Qop::Auth, count: 1, cnonce: &cnonce });
    let Challenge { method, uri, .. } = challenge;
    let response = Transcript { algorithm, nonce: &asked.nonce, client, method, uri, body: &[] }.response(ha1);
    let credentials = DigestCredentials {
        username: user.into(),
        realm: asked.realm,
        nonce: asked.nonce,
        uri: uri.into(),
        response: response.as_str().into(),
        algorithm: asked.algorithm,
        cnonce: Some(cnonce.as_str().into()),
        opaque: asked.opaque,
        qop: Some(Qop::Auth.as_str().into()),
        nonce_count: Some(1),
        ..DigestCredentials::default()
    };
    Ok(credentials.to_string())
}

fn read(challenge: &str) -> Option<DigestChallenge<'_>> {
    match WwwAuthenticate::parse(challenge).ok()?.0 {
        header::Challenge::Digest(digest) => Some(digest),
        header::Challenge::Other(_) => None,
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::NoDigest => f.write_str("it is no digest challenge"),
            Unanswered::Realm(realm) => write!(f, "the realm {realm:?} is not the account's"),
            Unanswered::Algorithm(name) => write!(f, "the algorithm {name:?} is not used at relays"),
            Unanswered::Qop => f.write_str("qop=auth is not offered"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use sip_dialog::digest::{Asker, Authenticator, AuthenticatorSettings, Verdict};
    use sip_message::{HeaderName, Method, Request, UriBuf};

    use super::*;

    const RELAY: &str = "msrps://relay.example.com:2855;tcp";

    fn alice() -> AuthSettings {
        AuthSettings { username: Some("alice".into()), realm: None, password: "secret".into() }
    }

    fn asks(challenge: &str) -> Challenge<'_> {
        Challenge { challenge, method: "AUTH", uri: RELAY, host: "relay.example.com" }
    }

    /// RFC 4976 §9.1: the method is AUTH, the URI that of the relay.
    #[test]
    fn the_answer_is_one_that_a_relay_accepts() {
        for name in ["MD5", "SHA-256"] {
            let algorithms = vec![Algorithm::parse(name).unwrap()];
            let settings = AuthenticatorSettings {
                algorithms,
                ..AuthenticatorSettings::new(Asker::Server, "example.com", [7; 32])
            };
            let mut relay = Authenticator::new(settings);
            let now = SystemTime::now();
            let challenge = relay.challenges(now, b"", false).remove(0);
            let answered = answer(asks(&challenge), &alice(), 1, 2).unwrap();
            assert!(answered.contains("qop=auth,") && answered.contains("nc=00000001"), "{answered}");
            let mut request = Request::new(Method::parse("AUTH").unwrap(), &UriBuf::parse(RELAY).unwrap());
            request.headers_mut().push(HeaderName::Authorization, answered).unwrap();
            let secret = |user: &str| (user == "alice").then(|| Secret::Password("secret".into()));
            let verdict = relay.verify(now, &request, b"", secret);
            assert!(matches!(verdict, Verdict::Authenticated { .. }), "{name}: {verdict:?}");
        }
    }

    /// RFC 4976 §9.1.
    #[test]
    fn what_a_relay_may_not_ask_is_not_answered() {
        let of_account = AuthSettings { realm: Some("example.com".into()), ..alice() };
        for (challenge, why) in [
            ("Basic realm=\"example.com\"", Unanswered::NoDigest),
            ("Digest realm=\"example.com\"", Unanswered::NoDigest),
            ("Digest realm=\"example.com\", nonce=\"n\"", Unanswered::Qop),
            ("Digest realm=\"example.com\", nonce=\"n\", qop=\"auth-int\"", Unanswered::Qop),
            (
                "Digest realm=\"example.com\", nonce=\"n\", qop=\"auth\", algorithm=MD5-sess",
                Unanswered::Algorithm("MD5-sess".into()),
            ),
            ("Digest realm=\"elsewhere\", nonce=\"n\", qop=\"auth\"", Unanswered::Realm("elsewhere".into())),
        ] {
            assert_eq!(answer(asks(challenge), &of_account, 1, 2), Err(why), "{challenge}");
        }
    }

    #[test]
    fn the_password_goes_to_the_relay_and_to_nobody_behind_it() {
        let made = plan(&ChatRelay { address: "Relay.example.com".into(), auth: alice() }).unwrap();
        let asks = asks("Digest realm=\"relay\", nonce=\"n\", qop=\"auth\"");
        assert!((made.answer)(asks).is_some());
        assert_eq!((made.answer)(Challenge { host: "extra.example.com", ..asks }), None);
        assert!(!format!("{made:?}").contains("secret"));
    }

    #[test]
    fn a_relay_is_a_host_with_or_without_a_port_or_a_uri() {
        for (address, wanted) in [
            ("relay.example.com", RELAY),
            (" relay.example.com:2855 ", RELAY),
            ("msrps://relay.example.com", RELAY),
            ("msrp://127.0.0.1:9000;tcp", "msrp://127.0.0.1:9000;tcp"),
            ("::1", "msrps://[::1]:2855;tcp"),
            ("[::1]:9000", "msrps://[::1]:9000;tcp"),
        ] {
            assert_eq!(uri(address).unwrap().as_str(), wanted, "{address}");
        }
        for wrong in ["sip:relay.example.com", "sip://relay.example.com", "relay;ws", "relay/session", "a b", "relay:x"]
        {
            let refused = plan(&ChatRelay { address: wrong.into(), auth: alice() });
            assert!(refused.unwrap_err().starts_with("msrp.relay: "), "{wrong}");
        }
    }
}
