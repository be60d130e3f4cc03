//! Whom a request is for, and whom a setting names.

use servlet::{Method, SipServletRequest, SipUri, Uri};

use crate::domains::{Domains, OwnAddresses};

/// Whether this is the beginning of a call.
pub(crate) fn begins_call(request: &SipServletRequest) -> bool {
    request.method() == Method::Invite && request.is_initial()
}

/// The user of ours whom a request is for.
pub(crate) fn local_user(request: &SipServletRequest, domains: &Domains) -> Option<String> {
    user_of_ours(request.as_message(), &request.request_uri(), domains)
}

/// Who sends a request: whom the container has authenticated, else the user in From, which anybody can claim to be.
pub(crate) fn caller(request: &SipServletRequest) -> Option<String> {
    request.remote_user().or_else(|| request.from().uri()?.as_sip()?.user())
}

/// Whom a setting names: a URI, or the name of a user who has the same domain as `beside`.
pub(crate) fn target(setting: &str, beside: &Uri) -> Option<Uri> {
    if setting.contains(':') { Uri::parse(setting).ok() } else { neighbour(setting, beside) }
}

/// The user of this name who has the same domain as `beside`. What else that URI has (parameters, headers) is left out.
pub(crate) fn neighbour(user: &str, beside: &Uri) -> Option<Uri> {
    let domain = beside.as_sip()?;
    let mut uri = SipUri::new(user, &domain.host()).ok()?;
    uri.set_secure(domain.secure());
    uri.set_port(domain.port());
    Some(uri.into())
}

/// The user in a URI that is ours.
pub(crate) fn user_of_ours(own: &dyn OwnAddresses, uri: &Uri, domains: &Domains) -> Option<String> {
    let uri = uri.as_sip()?;
    uri.user().filter(|_| domains.is_ours(own, &uri.as_message_uri()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::tests::At;

    fn uri(text: &str) -> Uri {
        Uri::parse(text).unwrap()
    }

    #[test]
    fn a_user_of_another_domain_is_not_ours() {
        let user = |text: &str| user_of_ours(&At(&["sip:192.0.2.1"]), &uri(text), &Domains::new(["example.com"]));
        assert_eq!(user("sip:bob@example.COM:5070;x=y").as_deref(), Some("bob"));
        assert_eq!(user("sip:bob@192.0.2.1").as_deref(), Some("bob"));
        assert_eq!((user("sip:bob@example.org"), user("tel:+4930123")), (None, None));
    }

    #[test]
    fn a_name_alone_is_a_user_in_the_domain_of_the_request() {
        let beside = uri("sip:sales@example.com:5070;transport=tcp");
        assert_eq!(target("bob", &beside).unwrap().as_str(), "sip:bob@example.com:5070");
        assert_eq!(target("sips:bob@example.org", &beside).unwrap().as_str(), "sips:bob@example.org");
        assert_eq!(target("no host", &uri("tel:+4930123")), None);
    }

    #[test]
    fn a_user_part_that_looks_like_a_uri_names_a_user_all_the_same() {
        let beside = uri("sip:callback@example.com;maddr=192.0.2.66?Route=x");
        let neighbour = neighbour("sip:bob@example.org", &beside).unwrap();
        assert_eq!(neighbour.as_str(), "sip:sip%3Abob%40example.org@example.com");
    }
}
