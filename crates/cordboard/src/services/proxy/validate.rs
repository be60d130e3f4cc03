//! What a request has to be to be forwarded: RFC 3261 §16.3, with the loop detection of RFC 5393 §4.2.
//!
//! Left to others: whether the message is a message at all (the parser), who sent it (`auth`), and merged requests, which
//! are no error at a proxy.

use sip_message::header::{Cseq, From, To};
use sip_message::{HeaderName, Method, NameAddr, Request, StatusCode, Uri};

use crate::services::answer::{self, Refusal, refusal, refusal_because};
use crate::services::config::Secret;
use crate::services::mac::{Mac, Purpose};

/// Extensions that a Proxy-Require may name; there are none that a proxy of ours has to act on.
const PROXY_EXTENSIONS: [&str; 0] = [];

/// What validation finds out on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validated {
    /// The Max-Forwards that the next hop gets.
    pub(crate) max_forwards: u8,
    /// How many branches there may be from here on (RFC 5393 §5.3.3).
    pub(crate) max_breadth: u32,
}

/// How a request comes through validation.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It may be forwarded.
    Pass(Validated),
    /// It ends here, and we answer it as if it were for us (§16.3 step 3).
    OptionsForUs,
    /// It is refused.
    Refuse(Refusal),
}

/// Steps 1 to 5.
pub(crate) fn validate(request: &Request, max_breadth: u32) -> Verdict {
    match check(request, max_breadth) {
        Ok(Some(validated)) => Verdict::Pass(validated),
        Ok(None) => Verdict::OptionsForUs,
        Err(refusal) => Verdict::Refuse(refusal),
    }
}

fn check(request: &Request, limit: u32) -> Result<Option<Validated>, Refusal> {
    check_syntax(request)?;
    check_scheme(request)?;
    let Some(max_forwards) = max_forwards(request)? else { return Ok(None) };
    let max_breadth = max_breadth(request, limit)?;
    answer::check_extensions(request, HeaderName::ProxyRequire, &PROXY_EXTENSIONS)?;
    Ok(Some(Validated { max_forwards, max_breadth }))
}

/// Step 1: what we use ourselves must be readable; the rest passes unread.
fn check_syntax(request: &Request) -> Result<(), Refusal> {
    let readable = |value: &str| NameAddr::parse(value).is_ok_and(|value| value.uri().sip().is_some());
    if request.headers().values(HeaderName::Route).all(readable) {
        return Ok(());
    }
    Err(refusal_because(request, StatusCode::BAD_REQUEST, "Malformed Route"))
}

/// Step 2. A number can be forwarded along a Route; where it has none, there is nobody to ask for it (§16.5).
fn check_scheme(request: &Request) -> Result<(), Refusal> {
    match request.uri() {
        Uri::Sip(_) => Ok(()),
        Uri::Tel(_) if request.headers().contains(HeaderName::Route) => Ok(()),
        _ => Err(refusal(request, StatusCode::UNSUPPORTED_URI_SCHEME)),
    }
}

/// Step 3, and §16.6 step 3: a request without the header gets 70. `None`: an OPTIONS that ends here.
fn max_forwards(request: &Request) -> Result<Option<u8>, Refusal> {
    let Some(text) = request.headers().first(HeaderName::MaxForwards) else { return Ok(Some(70)) };
    // RFC 3261 §20.22: between 0 and 255. Larger values are cut: nothing good lives that far.
    let value = answer::seconds(text)
        .ok_or_else(|| refusal_because(request, StatusCode::BAD_REQUEST, "Malformed Max-Forwards"))?;
    match value.min(255) {
        0 if *request.method() == Method::Options => Ok(None),
        0 => Err(refusal(request, StatusCode::TOO_MANY_HOPS)),
        value => Ok(Some((value - 1) as u8)),
    }
}

/// RFC 5393 §5.3.3: what is missing or too much is the limit.
fn max_breadth(request: &Request, limit: u32) -> Result<u32, Refusal> {
    let Some(text) = request.headers().first(HeaderName::MaxBreadth) else { return Ok(limit) };
    match answer::seconds(text) {
        Some(0) | None => Err(refusal_because(request, StatusCode::BAD_REQUEST, "Malformed Max-Breadth")),
        Some(value) => Ok(value.min(limit)),
    }
}

/// What tells a loop from a spiral (RFC 5393 §4.2.1): everything that the location service's answer depends on, that is
/// the Request-URI and the Route as received, and what sets this call's requests apart from others (§4.2.4): Call-ID,
/// tags and CSeq number. Never the method: CANCEL and ACK have the branch of their INVITE.
pub(crate) fn loop_mark(secret: &Secret, request: &Request) -> u64 {
    let headers = request.headers();
    let mut mac = Mac::new(secret, Purpose::Loop);
    mac.text(request.uri_text());
    for route in headers.values(HeaderName::Route) {
        mac.text(route);
    }
    mac.text(answer::call_id(headers));
    if let Some(Ok(from)) = headers.get::<From>() {
        mac.text(from.tag().unwrap_or_default());
    }
    if let Some(Ok(to)) = headers.get::<To>() {
        mac.text(to.tag().unwrap_or_default());
    }
    let cseq = match headers.get::<Cseq>() {
        Some(Ok(cseq)) => cseq.sequence,
        _ => 0,
    };
    mac.write(&cseq.to_be_bytes());
    mac.finish()
}

/// Step 4 (RFC 5393 §4.2.2): whether we have forwarded the very same request before. Our mark stands behind the dot of
/// a branch of ours; nobody else can have made one that is equal, so that the sent-by need not be looked at. What other
/// elements put into their Vias is not read.
pub(crate) fn check_loop(request: &Request, mark: u64) -> Result<(), Refusal> {
    let written = format!(".{mark:016x}");
    let looped = request.headers().values(HeaderName::Via).any(|via| {
        via.find(&*written).is_some_and(|at| {
            let behind = via.as_bytes().get(at + written.len());
            via[..at].contains("branch=") && behind.is_none_or(|c| matches!(c, b';' | b' ' | b'\t'))
        })
    });
    if looped { Err(refusal(request, StatusCode::LOOP_DETECTED)) } else { Ok(()) }
}
