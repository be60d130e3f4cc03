//! Why a request is refused, and the response that says so.

use sip_message::header::RetryAfter;
use sip_message::{HeaderName, Request, Response, StatusCode};

use super::users::StoreError;

/// A refusal: what the peer is told, and what the log is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The status of the response.
    pub status: StatusCode,
    /// The headers to put into it.
    pub headers: Vec<(HeaderName, String)>,
    /// For the log. The peer learns no more than the status tells.
    pub reason: DenialReason,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// The peer: TLS is asked for, and this hop has none.
    InsecureTransport,
    /// The descriptor: nobody may send this.
    NobodyMay,
    /// The descriptor: it asks for a role and says not how to log in.
    NoLogin,
    /// The peer: no identity where one is required.
    NoIdentity,
    /// The peer: an identity whose signature nobody could check.
    UnverifiedIdentity,
    /// The peer: no credentials yet.
    NoCredentials,
    /// The peer: credentials that can't be read, or are not what was offered.
    UnusableCredentials,
    /// The peer: a wrong password, or a user that does not exist.
    WrongCredentials,
    /// The peer: the password is right, and the nonce is old, foreign, or was used with this count.
    StaleNonce,
    /// The peer: too many wrong passwords; the answer was not looked at.
    TooManyTries,
    /// The peer: this user is in no role that may.
    NotInRole(Box<str>),
    /// We: the store of the users has failed.
    Store(StoreError),
}

impl Denial {
    pub(super) fn new(status: StatusCode, reason: DenialReason) -> Denial {
        Denial { status, headers: Vec::new(), reason }
    }

    pub(super) fn forbidden(reason: DenialReason) -> Denial {
        Denial::new(StatusCode::FORBIDDEN, reason)
    }

    /// Our own failure (RFC 3261 §21.5.1, §21.5.4).
    pub(super) fn store(error: StoreError) -> Denial {
        let status = match error {
            StoreError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            StoreError::Broken(_) => StatusCode::SERVER_INTERNAL_ERROR,
        };
        Denial::new(status, DenialReason::Store(error))
    }

    pub(super) fn later(seconds: u32) -> Denial {
        let headers = vec![(HeaderName::RetryAfter, RetryAfter::new(seconds).to_string())];
        Denial { headers, ..Denial::new(StatusCode::SERVICE_UNAVAILABLE, DenialReason::TooManyTries) }
    }

    /// The response to the refused request. The To tag is the caller's to add.
    pub fn response(&self, request: &Request) -> Response {
        let mut response = Response::to(request, self.status);
        for (name, value) in &self.headers {
            // Only a realm of the configuration could hold a line break, and then no challenge can be made at all.
            let _ = response.headers_mut().push(*name, value);
        }
        response
    }
}
