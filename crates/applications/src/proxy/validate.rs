//! What a request has to be to be forwarded: RFC 3261 §16.3.
//!
//! Left to the container: whether the message is a message at all, Max-Forwards at zero (483), loops and Max-Breadth
//! (RFC 5393), who sent it. Merged requests are no error at a proxy.

use sip_message::header::MaxForwards;
use sip_message::{HeaderName, Method, NameAddr, Request, StatusCode, Uri};

use crate::answer::{self, Refusal};

/// Extensions that a Proxy-Require may name; there are none that this proxy has to act on.
const PROXY_EXTENSIONS: [&str; 0] = [];

/// How a request comes through validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validated {
    /// It may be forwarded.
    Pass,
    /// An OPTIONS that ends here, and is answered as if it were for us (§16.3 step 3).
    OptionsForUs,
}

/// Steps 1 to 3 and 5.
pub(super) fn validate(request: &Request) -> Result<Validated, Refusal> {
    check_syntax(request)?;
    check_scheme(request)?;
    let is_last_hop = matches!(request.headers().get::<MaxForwards>(), Some(Ok(MaxForwards(0))));
    if is_last_hop && *request.method() == Method::Options {
        return Ok(Validated::OptionsForUs);
    }
    answer::check_extensions(request, HeaderName::ProxyRequire, &PROXY_EXTENSIONS)?;
    Ok(Validated::Pass)
}

/// Step 1: what we use ourselves must be readable; the rest passes unread.
fn check_syntax(request: &Request) -> Result<(), Refusal> {
    let readable = |value: &str| NameAddr::parse(value).is_ok_and(|value| value.uri().sip().is_some());
    if request.headers().values(HeaderName::Route).all(readable) {
        return Ok(());
    }
    Err(Refusal::because(StatusCode::BAD_REQUEST, "Malformed Route"))
}

/// Step 2. A number can be forwarded along a Route; where it has none, there is nobody to ask for it (§16.5).
fn check_scheme(request: &Request) -> Result<(), Refusal> {
    match request.uri() {
        Uri::Sip(_) => Ok(()),
        Uri::Tel(_) if request.headers().contains(HeaderName::Route) => Ok(()),
        _ => Err(Refusal::new(StatusCode::UNSUPPORTED_URI_SCHEME)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::request;

    fn status(text: &str) -> Option<u16> {
        validate(&request(text)).err().map(|refusal| refusal.status.code())
    }

    #[test]
    fn what_the_proxy_reads_has_to_be_readable() {
        assert_eq!(status("INVITE sip:bob@example.com SIP/2.0\nRoute: <sip:p;lr"), Some(400));
        assert_eq!(status("INVITE sip:bob@example.com SIP/2.0\nRoute: <tel:+1>"), Some(400));
        assert_eq!(status("INVITE sip:bob@example.com SIP/2.0\nMax-Forwards: -\nX: (("), None);
    }

    #[test]
    fn a_scheme_that_nobody_knows_is_refused() {
        assert_eq!(status("INVITE urn:service:sos SIP/2.0"), Some(416));
        assert_eq!(status("INVITE tel:+12015550123 SIP/2.0"), Some(416));
        assert_eq!(status("INVITE tel:+12015550123 SIP/2.0\nRoute: <sip:gateway.example.net;lr>"), None);
    }

    /// "The response MUST include an Unsupported … listing those option-tags the element did not understand."
    #[test]
    fn what_is_asked_of_a_proxy_and_unknown_is_named() {
        let refusal = validate(&request("INVITE sip:b@h SIP/2.0\nProxy-Require: teleport, time-travel")).unwrap_err();
        assert_eq!(refusal.status, StatusCode::BAD_EXTENSION);
        assert_eq!(refusal.header, Some((HeaderName::Unsupported, "teleport, time-travel".to_owned())));
        assert_eq!(status("INVITE sip:b@h SIP/2.0\nRequire: teleport"), None);
    }

    #[test]
    fn an_options_that_ends_here_is_answered_as_ours() {
        let ends = |text: &str| validate(&request(text)) == Ok(Validated::OptionsForUs);
        assert!(ends("OPTIONS sip:b@h SIP/2.0\nMax-Forwards: 0"));
        assert!(!ends("OPTIONS sip:b@h SIP/2.0\nMax-Forwards: 1"));
        assert!(!ends("INVITE sip:b@h SIP/2.0\nMax-Forwards: 0"));
    }
}
