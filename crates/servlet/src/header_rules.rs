//! Whose a header is, what it may hold and where it may stand: the system headers of the SIP Servlet model, and the few
//! rules of RFC 3261 §20 (tables 2 and 3) and its extensions that leave no doubt.
//!
//! ```text
//!   Container    Call-ID CSeq Via Route Record-Route Path RAck RSeq          the application reads
//!   Shared       From To: all but the tag                                    the application wishes,
//!                Contact: display name, user, some parameters                merge_party, merge_contact
//!   Application  every other; Contact of REGISTER, 3xx, 485, 200 to OPTIONS  the application writes
//! ```
//!
//! Names count in their long and in their compact form, in any case. Route and Path have their own ways in: `push_route`
//! and `push_path`. Whether a message can still be changed at all is the message's business.

use sip_message::{HeaderName, Method, StatusClass, StatusCode, Uri as MessageUri};

use crate::address::Address;
use crate::uri::{SipUri, Uri};

/// The message in which a header stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderContext<'m> {
    /// A request of this method.
    Request(&'m Method),
    /// A response of this status to a request of this method.
    Response(&'m Method, StatusCode),
}

/// Who decides about a header's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderOwner {
    /// The application.
    Application,
    /// The container; an application that sets, adds or removes it makes a mistake.
    Container,
    /// The container decides about some parts, the application about the others: [`merge_party`], [`merge_contact`].
    Shared,
}

/// What names a header: [`HeaderName`], or its text in the long or compact form.
pub trait HeaderKey {
    /// The name; [`HeaderName::Extension`] when it is not known.
    fn header_name(&self) -> HeaderName;
}

/// Who decides about a header in this message.
///
/// ```
/// use servlet::{HeaderContext, HeaderOwner, header_owner};
/// use sip_message::Method;
///
/// let invite = HeaderContext::Request(&Method::Invite);
/// assert_eq!(header_owner("Subject", invite), HeaderOwner::Application);
/// assert_eq!(header_owner("v", invite), HeaderOwner::Container);
/// assert_eq!(header_owner("Contact", invite), HeaderOwner::Shared);
/// assert_eq!(header_owner("Contact", HeaderContext::Request(&Method::Register)), HeaderOwner::Application);
/// ```
pub fn header_owner(name: impl HeaderKey, context: HeaderContext<'_>) -> HeaderOwner {
    use HeaderName::*;
    match name.header_name() {
        CallId | Cseq | Via | Route | RecordRoute | Path | Rack | Rseq => HeaderOwner::Container,
        From | To => HeaderOwner::Shared,
        Contact if !contact_is_the_applications(context) => HeaderOwner::Shared,
        _ => HeaderOwner::Application,
    }
}

/// Whether a header is a system header, which an application can't set, add or remove as a whole.
pub fn is_system_header(name: impl HeaderKey, context: HeaderContext<'_>) -> bool {
    header_owner(name, context) != HeaderOwner::Application
}

/// The messages whose Contact is what they are about, and no address of a dialog: bindings, redirections, and what a
/// server tells of itself (RFC 3261 §10, §21.3, §21.4.23, §11.2).
fn contact_is_the_applications(context: HeaderContext<'_>) -> bool {
    match context {
        HeaderContext::Request(method) => *method == Method::Register,
        HeaderContext::Response(Method::Register, _) => true,
        HeaderContext::Response(Method::Options, StatusCode::OK) => true,
        HeaderContext::Response(_, status) => {
            status.class() == StatusClass::Redirection || status == StatusCode::AMBIGUOUS
        }
    }
}

/// Whether the values of a header are addresses. Of a header that nobody has defined here the value tells, so that it may.
pub fn is_address_header(name: impl HeaderKey) -> bool {
    use HeaderName::*;
    matches!(
        name.header_name(),
        From | To
            | Contact
            | Route
            | RecordRoute
            | Path
            | ServiceRoute
            | ReplyTo
            | ReferTo
            | ReferredBy
            | PAssertedIdentity
            | PPreferredIdentity
            | PAssociatedUri
            | PCalledPartyId
            | HistoryInfo
            | AlertInfo
            | CallInfo
            | ErrorInfo
            | Extension
    )
}

/// Whether the values of a header may have parameters; those of every address header may.
pub fn is_parameterable_header(name: impl HeaderKey) -> bool {
    use HeaderName::*;
    let name = name.header_name();
    let has_parameters = matches!(
        name,
        Accept
            | AcceptContact
            | AcceptEncoding
            | AcceptLanguage
            | AnswerMode
            | Authorization
            | ContentDisposition
            | ContentType
            | Event
            | FeatureCaps
            | Geolocation
            | Identity
            | InfoPackage
            | Join
            | MinSe
            | PAccessNetworkInfo
            | PVisitedNetworkId
            | PrivAnswerMode
            | ProxyAuthenticate
            | ProxyAuthorization
            | Reason
            | RecvInfo
            | ReferSub
            | RejectContact
            | Replaces
            | RetryAfter
            | SecurityClient
            | SecurityServer
            | SecurityVerify
            | SessionExpires
            | SessionId
            | SubscriptionState
            | TargetDialog
            | UserToUser
            | Via
            | WwwAuthenticate
    );
    has_parameters || is_address_header(name)
}

/// Whether a header may stand in a message of this kind. What no table forbids, may.
pub fn may_appear_in(name: impl HeaderKey, context: HeaderContext<'_>) -> bool {
    use HeaderName::*;
    match (name.header_name(), context) {
        // "R" in tables 2 and 3: requests only. RFC 3262 §7.2: RAck is PRACK's.
        (Rack, HeaderContext::Request(method)) => *method == Method::Prack,
        (
            Authorization | ProxyAuthorization | ProxyRequire | MaxForwards | Route | Subject | Priority | InReplyTo
            | Rack,
            HeaderContext::Response(..),
        ) => false,
        // "MUST NOT" beside CANCEL: no proxy could answer it (§9.1).
        (Require | ProxyRequire, HeaderContext::Request(Method::Cancel)) => false,
        // Neither makes a dialog nor refreshes its target; RFC 3428 §4 for MESSAGE.
        (Contact, HeaderContext::Request(Method::Bye | Method::Cancel | Method::Message)) => false,
        // Responses only, and only those of some codes.
        (Server | Unsupported | ErrorInfo | MinExpires | RetryAfter, HeaderContext::Request(_)) => false,
        (AuthenticationInfo | ProxyAuthenticationInfo, HeaderContext::Request(_)) => false,
        (WwwAuthenticate | ProxyAuthenticate, HeaderContext::Request(_)) => false,
        (WwwAuthenticate | ProxyAuthenticate, HeaderContext::Response(_, status)) => {
            matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED)
        }
        (Rseq, HeaderContext::Request(_)) => false,
        // RFC 3262 §7.1: reliable provisional responses; 100 is never one.
        (Rseq, HeaderContext::Response(_, status)) => status.is_provisional() && status != StatusCode::TRYING,
        _ => true,
    }
}

/// The Contact that goes out where the container owns it, when the application wishes another.
///
/// `ours` is the Contact as the container made it, without anything that an application has wished before. Of the wish
/// count the display name, the user, the URI parameters but `method`, `ttl`, `maddr`, `lr` and `transport`, and the header
/// parameters. Scheme, host, port and every parameter that `ours` has stay.
///
/// ```
/// use servlet::{Address, merge_contact};
///
/// let ours = Address::parse("<sip:192.0.2.1:5060;transport=tcp>")?;
/// let wish = Address::parse("Alice <sip:alice@wonderland.example:9;lr;x=y>;audio")?;
/// assert_eq!(merge_contact(&ours, &wish).to_string(), "Alice <sip:alice@192.0.2.1:5060;transport=tcp;x=y>;audio");
/// # Ok::<(), servlet::ServletParseError>(())
/// ```
pub fn merge_contact(ours: &Address, wish: &Address) -> Address {
    if wish.is_wildcard() || ours.is_wildcard() {
        return ours.clone();
    }
    let mut merged = ours.with_display_of(wish);
    for (name, value) in wish.parameters().filter(|(name, _)| ours.parameter(name).is_none()) {
        // Whatever was read can be set again, but for a control that stood escaped in quotes: nobody misses it.
        let _ = merged.set_parameter(&name, value.as_str());
    }
    if let (Some(Uri::Sip(uri)), Some(Uri::Sip(wish))) = (merged.uri_mut(), wish.uri()) {
        merge_contact_uri(uri, wish);
    }
    merged
}

/// The container's own, or without a meaning in a Contact (RFC 3261 §19.1.1, table 1).
const CONTACT_PARAMETERS_KEPT: [&str; 5] = ["method", "ttl", "maddr", "lr", "transport"];

fn merge_contact_uri(ours: &mut SipUri, wish: &SipUri) {
    // An escaped control in user or parameters is not taken over, as above.
    let _ = ours.set_user(wish.user().as_deref());
    for name in wish.parameter_names() {
        let kept = CONTACT_PARAMETERS_KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(&name));
        if !kept && ours.parameter(&name).is_none() {
            let _ = ours.set_parameter(&name, wish.parameter(&name).as_deref());
        }
    }
}

/// The From or To that goes out when the application wishes another: the wish, with the container's tag (RFC 4916).
///
/// ```
/// use servlet::{Address, merge_party};
///
/// let ours = Address::parse("<sip:alice@example.com>;tag=1")?;
/// let wish = Address::parse("Bob <sip:bob@example.com:5060>;tag=2;x=y")?;
/// assert_eq!(merge_party(&ours, &wish).to_string(), "Bob <sip:bob@example.com>;x=y;tag=1");
/// # Ok::<(), servlet::ServletParseError>(())
/// ```
pub fn merge_party(ours: &Address, wish: &Address) -> Address {
    if wish.is_wildcard() {
        return ours.clone();
    }
    let mut merged = party(wish);
    if let Some(tag) = ours.tag() {
        let _ = merged.set_parameter("tag", tag.as_str());
    }
    merged
}

/// An address as it may stand in the From or To of a new request: without a tag, and without the parts of the URI that
/// have no place there (RFC 3261 §19.1.1, table 1).
pub fn party(address: &Address) -> Address {
    let mut party = address.without_tag();
    if let Some(Uri::Sip(uri)) = party.uri_mut() {
        strip_for_party(uri);
    }
    party
}

fn strip_for_party(uri: &mut SipUri) {
    if uri.port().is_some() {
        uri.set_port(None);
    }
    for name in ["method", "maddr", "ttl", "transport", "lr"] {
        if uri.parameter(name).is_some() {
            uri.remove_parameter(name);
        }
    }
    if uri.as_message_uri().raw_headers().is_some() {
        let text = sip_message::UriBuf::from(uri.as_message_uri()).without_headers();
        if let MessageUri::Sip(stripped) = text.as_uri() {
            *uri = stripped.into();
        }
    }
}

impl HeaderKey for HeaderName {
    fn header_name(&self) -> HeaderName {
        *self
    }
}

impl HeaderKey for &str {
    fn header_name(&self) -> HeaderName {
        HeaderName::lookup(self)
    }
}

impl HeaderKey for &String {
    fn header_name(&self) -> HeaderName {
        HeaderName::lookup(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &Method) -> HeaderContext<'_> {
        HeaderContext::Request(method)
    }

    fn response(method: &Method, code: u16) -> HeaderContext<'_> {
        HeaderContext::Response(method, StatusCode::new(code).unwrap())
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn the_headers_that_identify_and_route_a_message_are_the_containers() {
        for name in ["Call-ID", "i", "CSeq", "VIA", "v", "Route", "Record-Route", "Path", "RAck", "RSeq"] {
            assert_eq!(header_owner(name, request(&Method::Register)), HeaderOwner::Container, "{name}");
            assert!(is_system_header(name, response(&Method::Invite, 200)), "{name}");
        }
        for name in ["From", "f", "To", "t"] {
            assert_eq!(header_owner(name, response(&Method::Register, 200)), HeaderOwner::Shared, "{name}");
        }
        for name in ["Subject", "s", "X-Anything", "Max-Forwards", "Reply-To"] {
            assert!(!is_system_header(name, request(&Method::Invite)), "{name}");
        }
    }

    #[test]
    fn a_contact_is_the_applications_where_it_is_what_the_message_is_about() {
        let theirs = [
            request(&Method::Register),
            response(&Method::Register, 200),
            response(&Method::Register, 404),
            response(&Method::Options, 200),
            response(&Method::Invite, 302),
            response(&Method::Message, 300),
            response(&Method::Invite, 485),
        ];
        for context in theirs {
            assert!(!is_system_header(HeaderName::Contact, context), "{context:?}");
            assert!(!is_system_header("m", context), "{context:?}");
        }
        let ours = [
            request(&Method::Invite),
            request(&Method::Options),
            response(&Method::Invite, 200),
            response(&Method::Invite, 180),
            response(&Method::Options, 404),
            response(&Method::Subscribe, 200),
        ];
        for context in ours {
            assert_eq!(header_owner("Contact", context), HeaderOwner::Shared, "{context:?}");
        }
    }

    #[test]
    fn every_address_header_may_have_parameters_and_not_the_other_way_round() {
        for name in
            ["From", "Contact", "m", "Route", "Reply-To", "P-Asserted-Identity", "Path", "r", "Call-Info", "X-Mine"]
        {
            assert!(is_address_header(name) && is_parameterable_header(name), "{name}");
        }
        for name in [
            "Accept",
            "Accept-Encoding",
            "Content-Disposition",
            "Content-Type",
            "c",
            "Retry-After",
            "Via",
            "o",
            "x",
            "Reason",
        ] {
            assert!(!is_address_header(name) && is_parameterable_header(name), "{name}");
        }
        for name in ["Subject", "CSeq", "Call-ID", "Max-Forwards", "Allow", "Date", "Content-Length"] {
            assert!(!is_address_header(name) && !is_parameterable_header(name), "{name}");
        }
    }

    #[test]
    fn only_what_leaves_no_doubt_is_forbidden() {
        assert!(may_appear_in("RAck", request(&Method::Prack)));
        assert!(!may_appear_in("RAck", request(&Method::Invite)));
        assert!(may_appear_in("RSeq", response(&Method::Invite, 183)));
        for status in [100, 200] {
            assert!(!may_appear_in("RSeq", response(&Method::Invite, status)));
        }
        assert!(!may_appear_in("Max-Forwards", response(&Method::Invite, 200)));
        assert!(!may_appear_in("s", response(&Method::Invite, 200)));
        assert!(!may_appear_in("Server", request(&Method::Invite)));
        assert!(!may_appear_in("Require", request(&Method::Cancel)));
        assert!(!may_appear_in("Contact", request(&Method::Message)));
        assert!(may_appear_in("WWW-Authenticate", response(&Method::Invite, 407)));
        assert!(!may_appear_in("WWW-Authenticate", response(&Method::Invite, 200)));
        for name in ["Warning", "Expires", "X-Anything", "User-Agent", "Contact", "Require"] {
            assert!(may_appear_in(name, request(&Method::Notify)), "{name}");
            assert!(may_appear_in(name, response(&Method::Invite, 420)), "{name}");
        }
    }

    #[test]
    fn a_wished_contact_changes_neither_where_it_leads_nor_what_the_container_put_there() {
        let ours = address("<sip:192.0.2.1:5060;transport=tcp;ours=1>;+sip.instance=\"<urn:x:1>\"");
        let wish = address(
            "\"A\" <sips:a%40b@evil.example:9;%6Cr;ttl=1;MADDR=192.0.2.9;method=BYE;transport=udp;ours=2;gr;x=%20?Route=b>;+SIP.instance=\"2\";q=0.5;video",
        );
        let merged = merge_contact(&ours, &wish);
        assert_eq!(
            merged.to_string(),
            "\"A\" <sip:a%40b@192.0.2.1:5060;transport=tcp;ours=1;gr;x=%20>;+sip.instance=\"<urn:x:1>\";q=0.5;video"
        );
        assert_eq!(merge_contact(&ours, &merged).to_string(), merged.to_string());
    }

    #[test]
    fn a_wish_without_a_sip_uri_changes_no_uri() {
        let ours = address("<sip:a@192.0.2.1>");
        assert_eq!(merge_contact(&ours, &address("*")).to_string(), "<sip:a@192.0.2.1>");
        assert_eq!(merge_contact(&ours, &address("B <tel:+1>;q=1")).to_string(), "B <sip:a@192.0.2.1>;q=1");
    }

    /// RFC 3261 §19.1.1, table 1.
    #[test]
    fn a_party_keeps_what_may_stand_in_from_and_to() {
        let text =
            "\"A\" <sips:a:b@h:5061;user=phone;method=BYE;maddr=h;ttl=1;transport=tcp;lr;x=y?Subject=z>;tag=1;p=q";
        assert_eq!(party(&address(text)).to_string(), "\"A\" <sips:a:b@h;user=phone;x=y>;p=q");
        assert_eq!(merge_party(&address("<sip:c@d>;tag=9"), &address(text)).tag().as_deref(), Some("9"));
        assert_eq!(merge_party(&address("<sip:c@d>"), &address(text)).tag(), None);
        assert_eq!(merge_party(&address("<sip:c@d>;tag=9"), &address("*")).to_string(), "<sip:c@d>;tag=9");
        assert_eq!(party(&address("<tel:+1;ext=5>")).to_string(), "<tel:+1;ext=5>");
    }
}
