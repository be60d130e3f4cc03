//! Digest authentication: RFC 3261 §22, RFC 7616, RFC 8760.
//!
//! [`DigestClient`] answers challenges, [`Authenticator`] makes them and judges the answers; [`algorithm`] is what both
//! compute. The header fields as data are `sip_message`'s. Basic is never spoken (RFC 3261 §22.1).

pub mod algorithm;
mod client;
mod nonce;
mod replay;
mod server;

pub use algorithm::{Algorithm, HashFunction, HexDigest, Qop, Secret};
pub use client::{Account, DigestClient, Unanswered};
pub use server::{Authenticator, AuthenticatorSettings, Refusal, UriCheck, Verdict};

pub(crate) use algorithm::constant_time_eq;

use sip_message::{HeaderName, StatusCode};

/// Who asks: the server that the request is for, or a proxy on the way. Each has its own status and headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// A user agent server or registrar: 401, WWW-Authenticate, Authorization (RFC 3261 §22.2).
    Server,
    /// A proxy: 407, Proxy-Authenticate, Proxy-Authorization (RFC 3261 §22.3).
    Proxy,
}

impl Asker {
    /// Both.
    pub const ALL: [Asker; 2] = [Asker::Server, Asker::Proxy];

    /// The status of its challenges.
    pub fn status(self) -> StatusCode {
        match self {
            Asker::Server => StatusCode::UNAUTHORIZED,
            Asker::Proxy => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        }
    }

    /// The header of its challenges.
    pub fn challenge_header(self) -> HeaderName {
        match self {
            Asker::Server => HeaderName::WwwAuthenticate,
            Asker::Proxy => HeaderName::ProxyAuthenticate,
        }
    }

    /// The header of the answers.
    pub fn credentials_header(self) -> HeaderName {
        match self {
            Asker::Server => HeaderName::Authorization,
            Asker::Proxy => HeaderName::ProxyAuthorization,
        }
    }

    /// The header behind a success (RFC 7616 §3.5).
    pub fn info_header(self) -> HeaderName {
        match self {
            Asker::Server => HeaderName::AuthenticationInfo,
            Asker::Proxy => HeaderName::ProxyAuthenticationInfo,
        }
    }
}
