//! Requests to the server itself: OPTIONS (RFC 3261 §11), and what has no service here (§8.2.1).
//!
//! The 200 to an OPTIONS says what the whole server can do: what the registrar takes and what the proxy lets pass.

use sip_message::{HeaderName, Method, Request, Response, StatusCode};

use super::answer::put;

/// The methods that have a service here, for some Request-URI.
const SERVED: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER";
/// The methods that the server itself answers.
const ALLOW: &str = "OPTIONS, REGISTER";
/// RFC 3327, RFC 5626, RFC 5627.
const SUPPORTED: &str = "path, outbound, gruu";

/// Answers a request to the server itself that is neither REGISTER nor for a user.
pub(crate) fn answer(request: &Request) -> Response {
    match request.method() {
        Method::Options => capabilities(request),
        // RFC 3261 §21.4.6: a method that is known, but not here; §21.5.2: one that is known nowhere.
        Method::Other(_) => Response::to(request, StatusCode::NOT_IMPLEMENTED),
        _ => {
            let mut response = Response::to(request, StatusCode::METHOD_NOT_ALLOWED);
            put(&mut response, HeaderName::Allow, ALLOW);
            response
        }
    }
}

/// RFC 3261 §11.2.
pub(crate) fn capabilities(request: &Request) -> Response {
    let mut response = Response::to(request, StatusCode::OK);
    put(&mut response, HeaderName::Allow, SERVED);
    put(&mut response, HeaderName::Accept, "application/sdp");
    put(&mut response, HeaderName::AcceptEncoding, "identity");
    put(&mut response, HeaderName::AcceptLanguage, "en");
    put(&mut response, HeaderName::Supported, SUPPORTED);
    response
}
