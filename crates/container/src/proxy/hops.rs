//! How far a request may still go: Max-Forwards (RFC 3261 §16.3 step 3, §16.6 step 3), loops (RFC 5393 §4.2) and
//! breadth (RFC 5393 §5.3).

use servlet::spi::Facts;
use sip_message::header::{Cseq, MaxForwards};
use sip_message::{HeaderName, Headers, Request, StatusCode};

use crate::mac::{self, Purpose, Secret};
use crate::own_route::call_id;

/// What a request may have from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hops {
    /// The Max-Forwards that the next hop gets.
    pub(super) max_forwards: u8,
    /// How many branches there may be (Incoming Max-Breadth).
    pub(super) breadth: u32,
    /// What tells a loop.
    pub(super) mark: u64,
}

impl Hops {
    /// Those of a request that was received. Otherwise the status that it gets: 483, 482 or 400.
    pub(super) fn of(secret: &Secret, breadth: u32, request: &Request, facts: &Facts) -> Result<Hops, StatusCode> {
        let max_forwards = next_max_forwards(request.headers()).ok_or(StatusCode::TOO_MANY_HOPS)?;
        let said = request.headers().first(HeaderName::MaxBreadth).and_then(|text| text.trim().parse().ok());
        if said == Some(0) {
            // RFC 5393 §5.3.3.1: no request has a breadth of 0.
            return Err(StatusCode::BAD_REQUEST);
        }
        let breadth = said.map_or(breadth, |said: u32| said.clamp(1, breadth.max(1)));
        let mark = mark(secret, request, facts);
        if is_looped(request.headers(), mark) {
            return Err(StatusCode::LOOP_DETECTED);
        }
        Ok(Hops { max_forwards, breadth, mark })
    }
}

/// The Max-Forwards of the next hop: one less, and 70 where there is none that can be read. `None`: there is no next hop.
pub(super) fn next_max_forwards(headers: &Headers) -> Option<u8> {
    match headers.get::<MaxForwards>() {
        Some(Ok(MaxForwards(hops))) => hops.checked_sub(1),
        Some(Err(_)) | None => Some(70),
    }
}

/// What tells a loop from a spiral (RFC 5393 §4.2.1): everything that an application's choice may depend on, that is the
/// Request-URI and the Route as received, and what sets this call's requests apart from others (§4.2.4): Call-ID, tags
/// and CSeq number. Never the method: CANCEL and ACK have the branch of their INVITE.
fn mark(secret: &Secret, request: &Request, facts: &Facts) -> u64 {
    let headers = request.headers();
    let mut mac = mac::begin(secret, Purpose::Loop);
    // Applications of one container may send a request to one another, and that is no loop.
    mac.write(&facts.app.0.to_be_bytes());
    mac.text(request.uri_text());
    if let Some(route) = &facts.more.borrow().popped_route {
        mac.text(&route.to_string());
    }
    for route in headers.values(HeaderName::Route) {
        mac.text(route);
    }
    mac.text(call_id(headers));
    mac.text(headers.from_tag().unwrap_or_default());
    mac.text(headers.to_tag().unwrap_or_default());
    let cseq = match headers.get::<Cseq>() {
        Some(Ok(cseq)) => cseq.sequence,
        _ => 0,
    };
    mac.write(&cseq.to_be_bytes());
    mac.finish()
}

/// Whether we have forwarded the very same request before (RFC 5393 §4.2.2). Our mark stands behind the dot of a branch
/// of ours; nobody else can have made one that is equal, so that the sent-by need not be looked at. What other elements
/// put into their Vias is not read.
fn is_looped(headers: &Headers, mark: u64) -> bool {
    // A request that has come round has our Via and that of its sender.
    if headers.values(HeaderName::Via).nth(1).is_none() {
        return false;
    }
    let written = format!(".{mark:016x}");
    headers.values(HeaderName::Via).any(|via| {
        via.find(&*written).is_some_and(|at| {
            let behind = via.as_bytes().get(at + written.len());
            via[..at].contains("branch=") && behind.is_none_or(|c| matches!(c, b';' | b' ' | b'\t'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use servlet::spi::{AppId, Direction};
    use sip_message::{Method, UriBuf};

    const SECRET: Secret = [1, 2];

    fn request(uri: &str, headers: &[(HeaderName, &str)]) -> Request {
        let mut request = Request::new(Method::Invite, &UriBuf::parse(uri).unwrap());
        let common = [
            (HeaderName::Via, "SIP/2.0/UDP alice.example;branch=z9hG4bKa"),
            (HeaderName::From, "<sip:alice@example.com>;tag=a"),
            (HeaderName::To, "<sip:bob@example.com>"),
            (HeaderName::CallId, "call"),
            (HeaderName::Cseq, "1 INVITE"),
        ];
        for (name, value) in headers.iter().copied().chain(common) {
            request.headers_mut().push(name, value).unwrap();
        }
        request
    }

    fn hops(request: &Request) -> Result<Hops, StatusCode> {
        Hops::of(&SECRET, 60, request, &Facts::new(AppId(0), Direction::Received, None))
    }

    #[test]
    fn each_hop_takes_one_and_the_last_one_takes_none() {
        let with = |hops: &str| request("sip:bob@example.com", &[(HeaderName::MaxForwards, hops)]);
        assert_eq!(hops(&with("70")).map(|hops| hops.max_forwards), Ok(69));
        assert_eq!(hops(&with("1")).map(|hops| hops.max_forwards), Ok(0));
        assert_eq!(hops(&with("0")), Err(StatusCode::TOO_MANY_HOPS));
        assert_eq!(hops(&request("sip:bob@example.com", &[])).map(|hops| hops.max_forwards), Ok(70));
    }

    /// RFC 5393 §5.3.3.
    #[test]
    fn the_breadth_is_what_the_request_says_and_never_more_than_ours() {
        let with = |breadth: &str| hops(&request("sip:bob@h", &[(HeaderName::MaxBreadth, breadth)])).unwrap().breadth;
        assert_eq!((with("7"), with("500"), with("many")), (7, 60, 60));
        assert_eq!(hops(&request("sip:bob@h", &[(HeaderName::MaxBreadth, "0")])), Err(StatusCode::BAD_REQUEST));
    }

    /// RFC 5393 §4.2.
    #[test]
    fn a_request_that_comes_back_unchanged_is_a_loop_and_a_changed_one_a_spiral() {
        let mark = hops(&request("sip:bob@example.com", &[])).unwrap().mark;
        let via = format!("SIP/2.0/UDP us.example;branch=z9hG4bKcookie.{mark:016x};received=192.0.2.1");
        let again = |uri: &str| hops(&request(uri, &[(HeaderName::Via, &via)])).map(|_| ());
        assert_eq!(again("sip:bob@example.com"), Err(StatusCode::LOOP_DETECTED));
        assert_eq!(again("sip:robert@example.com"), Ok(()));
        let other = Facts::new(AppId(1), Direction::Received, None);
        assert!(Hops::of(&SECRET, 60, &request("sip:bob@example.com", &[(HeaderName::Via, &via)]), &other).is_ok());
    }
}
