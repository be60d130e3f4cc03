//! Who sent a request: the digest server of `sip-dialog` with our users (RFC 3261 §22, RFC 8760).

use std::time::Instant;

use sip_endpoint::Endpoint;
use sip_message::{HeaderName, Request, StatusCode};

use super::answer::{Refusal, put, refusal};
use super::config::{Secret, Users};

/// What checks credentials, and makes the challenges of those that have none.
pub(crate) struct Authentication {}

impl Authentication {
    pub(crate) fn new(_secret: &Secret) -> Authentication {
        Authentication {}
    }

    /// The user who has signed a request to us; else the 401 (§22.2).
    pub(crate) fn as_user_agent_server(
        &mut self,
        _now: Instant,
        _endpoint: &mut Endpoint,
        _users: &Users,
        realm: &str,
        request: &Request,
    ) -> Result<String, Refusal> {
        let mut response = refusal(request, StatusCode::UNAUTHORIZED);
        put(&mut response, HeaderName::WwwAuthenticate, format_args!("Digest realm=\"{realm}\", nonce=\"0\""));
        Err(response)
    }

    /// The user who has signed a request that passes; else the 407 (§22.3).
    pub(crate) fn as_proxy(
        &mut self,
        _now: Instant,
        _endpoint: &mut Endpoint,
        _users: &Users,
        realm: &str,
        request: &Request,
    ) -> Result<String, Refusal> {
        let mut response = refusal(request, StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        put(&mut response, HeaderName::ProxyAuthenticate, format_args!("Digest realm=\"{realm}\", nonce=\"0\""));
        Err(response)
    }
}
