//! Responses of our own (RFC 3261 §8.2.6), and what the services read from requests.

use std::time::{Duration, Instant};

use sip_endpoint::{Endpoint, ServerId};
use sip_message::header::To;
use sip_message::{HeaderName, Headers, Method, Request, Response, StatusCode};

/// Extensions that our services act on; what a Require may name (RFC 3261 §8.2.2.3).
pub(crate) const REGISTRAR_EXTENSIONS: [&str; 3] = ["path", "gruu", "outbound"];

/// A request that is not served, and the response that says why.
pub(crate) type Refusal = Box<Response>;

/// A response to `request` without more to say.
pub(crate) fn refusal(request: &Request, status: StatusCode) -> Refusal {
    Box::new(Response::to(request, status))
}

/// A response with a reason phrase of its own.
pub(crate) fn refusal_because(request: &Request, status: StatusCode, reason: &'static str) -> Refusal {
    let mut response = Response::to(request, status);
    response.set_reason(reason).expect("the phrases are constants without a line break");
    Box::new(response)
}

/// 420 when the values of `demand` (Require or Proxy-Require) name an extension that is not in `known`.
pub(crate) fn check_extensions(request: &Request, demand: HeaderName, known: &[&str]) -> Result<(), Refusal> {
    let headers = request.headers();
    if !headers.contains(demand) {
        return Ok(());
    }
    let unknown = |tag: &&str| !known.iter().any(|known| known.eq_ignore_ascii_case(tag));
    let unsupported: Vec<&str> = headers.values(demand).filter(|tag| !tag.is_empty()).filter(unknown).collect();
    if unsupported.is_empty() {
        return Ok(());
    }
    let mut response = Response::to(request, StatusCode::BAD_EXTENSION);
    put(&mut response, HeaderName::Unsupported, unsupported.join(", "));
    Err(Box::new(response))
}

/// 503 with Retry-After.
pub(crate) fn unavailable(request: &Request, retry_after: Duration) -> Response {
    let mut response = Response::to(request, StatusCode::SERVICE_UNAVAILABLE);
    put(&mut response, HeaderName::RetryAfter, retry_after.as_secs().max(1));
    response
}

/// Adds a header whose value is ours or was read from a message, and so has no line break.
pub(crate) fn put(response: &mut Response, name: HeaderName, value: impl std::fmt::Display) {
    response.headers_mut().push(name, value).expect("a value of ours or of a parsed message has no line break");
}

/// Sends a response. That the transaction may have ended meanwhile is nobody's fault.
pub(crate) fn respond(endpoint: &mut Endpoint, now: Instant, server: ServerId, response: Response) {
    let _ = endpoint.respond(now, server, response);
}

/// Sends a response that can be made again should the request be repeated, and keeps nothing of it.
pub(crate) fn respond_once(endpoint: &mut Endpoint, now: Instant, server: ServerId, response: Response) {
    let _ = endpoint.respond_once(now, server, response);
}

/// Whether a request is within a dialog (RFC 3261 §12.2: its To has a tag).
pub(crate) fn is_in_dialog(request: &Request) -> bool {
    matches!(request.headers().get::<To>(), Some(Ok(to)) if to.tag().is_some())
}

/// Whether a busy or leaving server may refuse a request: what begins something new, and never what belongs to
/// something that is there.
pub(crate) fn begins_something(request: &Request) -> bool {
    !is_in_dialog(request)
        && !matches!(request.method(), Method::Ack | Method::Cancel | Method::Bye | Method::Prack | Method::Options)
}

/// The Call-ID, which every message has.
pub(crate) fn call_id(headers: &Headers) -> &str {
    headers.first(HeaderName::CallId).unwrap_or_default()
}

/// A header that is one number, such as Expires (RFC 3261 §20.19). A number beyond 32 bits is as good as the largest.
pub(crate) fn seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}
