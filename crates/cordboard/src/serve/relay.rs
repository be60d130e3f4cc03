//! The MSRP relay of `cordboard serve`: `msrp`'s relay, with digest of `sip-dialog` at its door (RFC 4976 §9.1).

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use msrp::driver::{MsrpError, RelayEngine, RelayEngineSettings, TlsSettings, Verification, WebSockets};
use msrp::relay::{Authority, Settings, Verdict};
use msrp::uri::MsrpUri;
use sip_dialog::digest::algorithm::{ClientNonce, Transcript};
use sip_dialog::digest::{self, Algorithm, Asker, Authenticator, AuthenticatorSettings, Qop, Secret};
use sip_message::header::{Authorization, DigestCredentials, DigestInfo};
use sip_message::{HeaderName, Method, Request, UriBuf};

use crate::config::{Config, Relay};

/// Starts the relay, if there is to be one.
pub(super) fn start(config: &Config, key: [u8; 32]) -> Result<Option<RelayEngine>, MsrpError> {
    let relay = &config.msrp_relay;
    let Some(listen) = relay.listen else { return Ok(None) };
    let identity = config.tls.certificate.clone().zip(config.tls.key.clone());
    let websockets = match (relay.websocket, relay.tls) {
        (false, _) => WebSockets::Never,
        (true, true) => WebSockets::Secure,
        (true, false) => WebSockets::Always,
    };
    let host = relay.host(config);
    let settings = RelayEngineSettings {
        listen,
        relay: Settings {
            other_names: vec![listen.ip().to_string()],
            expires: Duration::from_secs(relay.expires),
            min_expires: Duration::from_secs(relay.min_expires),
            max_expires: Duration::from_secs(relay.max_expires),
            ..Settings::new(&host, listen.port(), relay.tls)
        },
        tls: TlsSettings { identity, verification: Verification::Name, authorities: config.tls.ca.clone() },
        websockets,
        max_connections: relay.connections,
    };
    let users = Users::new(config, &host, key);
    RelayEngine::start(settings, move || Box::new(users)).map(Some)
}

/// The `[[user]]`s, who show their password.
struct Users {
    secrets: HashMap<String, Secret>,
    authenticator: Authenticator,
    connects: bool,
}

impl Users {
    /// "It is not unreasonable to always use the relay's hostname as the realm" (RFC 4976 §5.1). Users who are known by a hash of
    /// their password are known in one realm: their domain, as for the registrar.
    fn new(config: &Config, host: &str, key: [u8; 32]) -> Users {
        let realm = config.domains.first().map_or(host, String::as_str);
        let first = config.registrar.algorithms.iter().find_map(|name| Algorithm::parse(name));
        let settings = AuthenticatorSettings {
            // §9.1 has one challenge, and forbids the -sess variants.
            algorithms: vec![Algorithm { session: false, ..first.unwrap_or(Algorithm::MD5) }],
            ..AuthenticatorSettings::new(Asker::Server, realm, key)
        };
        Users {
            secrets: config.user.iter().map(|user| (user.name.clone(), user.secret())).collect(),
            authenticator: Authenticator::new(settings),
            connects: config.msrp_relay.relay == Relay::Any,
        }
    }

    fn challenge(&mut self, is_stale: bool) -> Verdict {
        let challenge = self.authenticator.challenges(SystemTime::now(), b"", is_stale).into_iter().next();
        Verdict::Challenge { challenge: challenge.unwrap_or_default(), is_stale }
    }

    /// §9.1: "Relays MUST include rspauth, cnonce, nc, and qop".
    fn info(&self, user: &str, shown: &DigestCredentials<'_>) -> Option<String> {
        let algorithm = Algorithm::parse(shown.algorithm.as_deref().unwrap_or("MD5"))?;
        let ha1 = self.secrets.get(user)?.ha1(algorithm.hash, user, self.authenticator.realm())?;
        let (cnonce, count) = (shown.cnonce.as_deref()?, shown.nonce_count?);
        let client = Some(ClientNonce { qop: Qop::Auth, count, cnonce });
        let transcript = Transcript { algorithm, nonce: &shown.nonce, client, method: "", uri: &shown.uri, body: &[] };
        let rspauth = transcript.rspauth(ha1);
        let info = DigestInfo {
            qop: Some("auth".into()),
            rspauth: Some(rspauth.as_str().into()),
            cnonce: Some(cnonce.into()),
            nonce_count: Some(count),
            ..DigestInfo::default()
        };
        Some(info.to_string())
    }
}

impl Authority for Users {
    fn challenge(&mut self, _now: Instant) -> String {
        match Users::challenge(self, false) {
            Verdict::Challenge { challenge, .. } => challenge,
            Verdict::Accepted { .. } | Verdict::Forbidden => String::new(),
        }
    }

    fn check(&mut self, _now: Instant, authorization: &str, method: &str, uri: &str) -> Verdict {
        let Some(request) = as_request(authorization, method, uri) else {
            return Users::challenge(self, false);
        };
        let secrets = &self.secrets;
        let verdict = self.authenticator.verify(SystemTime::now(), &request, b"", |user| secrets.get(user).cloned());
        let shown = request.headers().get::<Authorization<'_>>();
        match (verdict, shown.as_ref()) {
            (digest::Verdict::Authenticated { username }, Some(Ok(shown))) => {
                let info = shown.0.digest().and_then(|shown| self.info(&username, shown));
                Verdict::Accepted { user: username.as_ref().into(), info }
            }
            (digest::Verdict::Stale, _) => Users::challenge(self, true),
            _ => Users::challenge(self, false),
        }
    }

    fn allows(&mut self, _user: &str, _next_hop: &MsrpUri) -> bool {
        self.connects
    }
}

/// The credentials as those of a SIP request, which is what digest knows. RFC 4976's grammar has no digest-uri, since it is
/// always the relay's: it is put where it is missing.
fn as_request(authorization: &str, method: &str, uri: &str) -> Option<Request> {
    let has_uri = authorization.split(',').any(|field| field.trim().to_ascii_lowercase().starts_with("uri="));
    let authorization = if has_uri { authorization.to_owned() } else { format!("{authorization}, uri=\"{uri}\"") };
    let mut request = Request::new(Method::parse(method)?, &UriBuf::parse(uri).ok()?);
    request.headers_mut().push(HeaderName::Authorization, authorization).ok()?;
    Some(request)
}
