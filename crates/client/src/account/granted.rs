//! What the final response to a REGISTER says: for how long (RFC 3261 §10.2.4), under which GRUU (RFC 5627 §4.2), where the
//! registrar sees us (RFC 3261 §18.2.1, RFC 3581 §4), and when it wants to be asked again.

use std::net::IpAddr;
use std::time::Duration;

use sip_message::header::{Contact, Expires, RetryAfter, Via};
use sip_message::{Flow, Response, Transport, UriBuf};

/// No server makes us wait longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What a 2xx to REGISTER gives us.
#[derive(Debug, PartialEq)]
pub(super) struct Granted {
    pub(super) expires: Duration,
    pub(super) gruu: Option<UriBuf>,
}

impl Granted {
    /// RFC 3261 §10.2.4: the registrar lists all bindings, and how long each lasts. Ours is known by its instance or its URI.
    pub(super) fn read(response: &Response, contact: &UriBuf, instance: &str, wanted: Duration) -> Granted {
        let headers = response.headers();
        let common = headers.get::<Expires>().and_then(Result::ok).map(Expires::duration);
        let listed: Vec<Contact<'_>> = headers.all::<Contact<'_>>().filter_map(Result::ok).collect();
        let addresses = || listed.iter().filter_map(Contact::address);
        let ours = addresses().find(|address| {
            address.uri().equivalent(&contact.as_uri()) && address.instance().is_none_or(|told| told == instance)
        });
        // A server on the way may have written another URI into ours.
        let ours = ours.or_else(|| addresses().find(|address| address.instance().is_some_and(|told| told == instance)));
        let told = ours.and_then(|ours| ours.expires()).map(|seconds| Duration::from_secs(u64::from(seconds)));
        let gruu = ours.and_then(|ours| UriBuf::parse(ours.pub_gruu()?.into_owned()).ok());
        let gruu = gruu.filter(|gruu| gruu.as_uri().sip().is_some_and(|uri| uri.gr().is_some()));
        Granted { expires: told.or(common).unwrap_or(wanted).min(wanted.max(LONGEST_WAIT)), gruu }
    }
}

/// Where the registrar sees us: what it has put into our Via (RFC 3261 §18.2.1, RFC 3581 §4).
pub(super) fn seen_at(response: &Response, flow: &Flow) -> Option<(IpAddr, u16)> {
    let via = response.headers().get::<Via>()?.ok()?;
    let port = via.rport().flatten();
    let ip = via.received().or_else(|| via.host().ip())?.to_canonical();
    match (port, flow.connection) {
        (Some(port), None) => Some((ip, port)),
        // The port of a connection is not the one that we listen at.
        _ => None,
    }
}

/// Host and port of a URI whose host is an address.
pub(super) fn written_at(uri: &UriBuf) -> Option<(IpAddr, u16)> {
    let uri = uri.as_uri().sip()?;
    let transport = uri.transport().unwrap_or(Transport::Udp);
    Some((uri.host().ip()?.to_canonical(), uri.port().unwrap_or(transport.default_port())))
}

/// Before a binding runs out it is refreshed: a tenth of its time, at least 5 s and at most a minute.
pub(super) fn refresh_after(expires: Duration) -> Duration {
    let early = (expires / 10).clamp(Duration::from_secs(5), Duration::from_secs(60)).min(expires / 2);
    expires - early
}

pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let told = response.headers().get::<RetryAfter<'_>>()?.ok()?.seconds();
    Some(Duration::from_secs(u64::from(told)).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use sip_message::{HeaderName, Method, Request, StatusCode};

    use super::*;

    fn response(contacts: &[&str], expires: Option<u32>) -> Response {
        let request = Request::new(Method::Register, &UriBuf::parse("sip:example.org").unwrap());
        let mut response = Response::to(&request, StatusCode::OK);
        for contact in contacts {
            response.headers_mut().push(HeaderName::Contact, contact).unwrap();
        }
        if let Some(expires) = expires {
            response.headers_mut().push(HeaderName::Expires, expires).unwrap();
        }
        response
    }

    fn granted(contacts: &[&str], expires: Option<u32>) -> Granted {
        let contact = UriBuf::parse("sip:x@10.0.0.1:5060").unwrap();
        Granted::read(&response(contacts, expires), &contact, "urn:uuid:1", Duration::from_secs(600))
    }

    /// RFC 3261 §10.2.4.
    #[test]
    fn the_expiry_is_that_of_our_own_contact_then_that_of_all_then_what_was_asked_for() {
        let seconds = |granted: Granted| granted.expires.as_secs();
        let others = ["<sip:y@10.0.0.2>;expires=77", "<sip:x@10.0.0.1:5060>;expires=300"];
        assert_eq!(seconds(granted(&others, Some(900))), 300);
        assert_eq!(seconds(granted(&["<sip:x@10.0.0.1:5060>"], Some(120))), 120);
        assert_eq!(seconds(granted(&[], None)), 600);
        let rewritten = "<sip:x@192.0.2.9:1025>;+sip.instance=\"<urn:uuid:1>\";expires=60";
        assert_eq!(seconds(granted(&["<sip:y@10.0.0.2>;expires=77", rewritten], None)), 60);
        let of_another = "<sip:x@10.0.0.1:5060>;+sip.instance=\"<urn:uuid:2>\";expires=60";
        assert_eq!(seconds(granted(&[of_another], None)), 600);
    }

    /// RFC 5627 §4.2.
    #[test]
    fn the_gruu_is_that_of_our_own_contact_and_has_to_be_one() {
        let with = |gruu: &str| granted(&[&format!("<sip:x@10.0.0.1:5060>;pub-gruu=\"{gruu}\"")], None).gruu;
        let gruu = "sip:alice@example.org;gr=urn:uuid:1";
        assert_eq!(with(gruu), UriBuf::parse(gruu).ok());
        assert_eq!(with("sip:alice@example.org"), None);
        assert_eq!(with("http://example.org"), None);
        assert_eq!(granted(&[&format!("<sip:y@10.0.0.2>;pub-gruu=\"{gruu}\"")], None).gruu, None);
    }

    #[test]
    fn a_binding_is_refreshed_in_time_however_short_it_is() {
        for (expires, after) in [(600, 540), (3600, 3540), (60, 54), (20, 15), (4, 2)] {
            assert_eq!(refresh_after(Duration::from_secs(expires)), Duration::from_secs(after), "{expires}");
        }
    }
}
