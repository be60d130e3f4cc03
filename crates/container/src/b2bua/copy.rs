//! A request as its second leg has it: what is copied, what is replaced, and what an application may say about it.
//!
//! ```text
//!                       new session                        in a session
//!   From, To            as they came, with tags of ours    the dialog's
//!   Call-ID, CSeq       new, 1                             the dialog's
//!   Route               as it came                         the dialog's
//!   Via, Record-Route   not copied                         not copied
//!   Contact             ours; as it came in a REGISTER     ours
//!   Max-Forwards        one less                           one less
//!   all other, body     as they came                       as they came
//! ```
//!
//! What is copied are spans of the received octets; nothing but the headers that change is read.

use servlet::{Address, Error, HeaderContext, HeaderMap, HeaderOwner, IllegalArgument, header_owner, may_appear_in};
use servlet::{merge_party, party};
use sip_message::header::{From, To};
use sip_message::{HeaderName, Headers, Method, Request, ValueError};

/// What an application wants to be different.
#[derive(Debug, Default)]
pub(super) struct Wishes<'m> {
    from: Option<Address>,
    to: Option<Address>,
    /// Where the Contact is ours: what it shall look like.
    pub(super) contact: Option<Address>,
    fields: Vec<(HeaderName, &'m str, &'m [String])>,
}

impl<'m> Wishes<'m> {
    /// Reads them. `new_session`: whether the request begins one, so that it has no route yet.
    pub(super) fn read(map: Option<&'m HeaderMap>, method: &Method, new_session: bool) -> Result<Wishes<'m>, Error> {
        let mut wishes = Wishes::default();
        let context = HeaderContext::Request(method);
        for (text, values) in map.into_iter().flatten() {
            let name = HeaderName::lookup(text);
            let illegal = || Error::from(IllegalArgument::Header(text.as_str().into()));
            if !may_appear_in(name, context) {
                return Err(illegal());
            }
            match (name, header_owner(name, context)) {
                (HeaderName::From, _) => wishes.from = Some(one_address(text, values)?),
                (HeaderName::To, _) => wishes.to = Some(one_address(text, values)?),
                (HeaderName::Contact, HeaderOwner::Shared) => wishes.contact = Some(one_address(text, values)?),
                (HeaderName::Route, _) if new_session => {
                    for value in values {
                        let route = Address::parse(value)?;
                        if route.uri().is_none_or(|uri| !uri.is_sip_uri()) {
                            return Err(illegal());
                        }
                    }
                    wishes.fields.push((name, text, values));
                }
                (_, HeaderOwner::Application) => {
                    if values.len() > 1 && name.is_single() {
                        return Err(illegal());
                    }
                    wishes.fields.push((name, text, values));
                }
                _ => return Err(IllegalArgument::SystemHeader(text.as_str().into()).into()),
            }
        }
        Ok(wishes)
    }

    fn apply(&self, headers: &mut Headers) -> Result<(), Error> {
        for (name, text, values) in &self.fields {
            let is_known = *name != HeaderName::Extension;
            let removed = if is_known { headers.remove(*name) } else { headers.remove_extension(text) };
            let _ = removed;
            for value in *values {
                let added = if is_known { headers.push(*name, value) } else { headers.push_extension(text, value) };
                added.map_err(|error| illegal_value(text, error))?;
            }
        }
        Ok(())
    }
}

fn one_address(name: &str, values: &[String]) -> Result<Address, Error> {
    let illegal = || Error::from(IllegalArgument::Header(name.into()));
    let [value] = values else { return Err(illegal()) };
    let address = Address::parse(value)?;
    if address.is_wildcard() { Err(illegal()) } else { Ok(address) }
}

fn illegal_value(name: &str, error: ValueError) -> Error {
    match error {
        ValueError::LineBreakOrNul => IllegalArgument::HeaderValue.into(),
        ValueError::NameIsNotAToken | ValueError::NoSuchField(_) => IllegalArgument::Header(name.into()).into(),
    }
}

/// The hops that are left to a copy of a request (RFC 3261 §16.3 step 3, §16.6 step 3). `None`: there is none.
pub(super) fn hops_left(original: &Request) -> Option<u8> {
    let hops = original.headers().get::<sip_message::header::MaxForwards>();
    match hops.and_then(Result::ok) {
        Some(hops) => hops.0.checked_sub(1),
        None => Some(70),
    }
}

/// A request that begins the second leg; its Contact is still to come.
pub(super) fn new_leg(
    original: &Request,
    (call_id, tag, hops): (&str, &str, u8),
    wishes: &Wishes<'_>,
) -> Result<Request, Error> {
    let theirs = original.headers();
    let mut request = original.clone();
    let cseq = format!("1 {}", original.method());
    let headers = request.headers_mut();
    headers.remove(HeaderName::Via);
    headers.remove(HeaderName::RecordRoute);
    if *original.method() != Method::Register {
        headers.remove(HeaderName::Contact);
    }
    match &wishes.from {
        Some(wish) => set(headers, HeaderName::From, format_args!("{};tag={tag}", party(wish)))?,
        None => {
            let from = theirs.get::<From<'_>>().and_then(Result::ok).ok_or(IllegalArgument::Request)?;
            let from = from.with_tag(tag).map_err(|_| IllegalArgument::Request)?;
            set(headers, HeaderName::From, from)?;
        }
    }
    match &wishes.to {
        Some(wish) => set(headers, HeaderName::To, party(wish))?,
        None => {
            let to = theirs.get::<To<'_>>().and_then(Result::ok).ok_or(IllegalArgument::Request)?;
            if to.tag().is_some() {
                set(headers, HeaderName::To, to.without_tag())?;
            }
        }
    }
    set(headers, HeaderName::CallId, call_id)?;
    set(headers, HeaderName::Cseq, cseq)?;
    set(headers, HeaderName::MaxForwards, hops)?;
    wishes.apply(headers)?;
    Ok(request)
}

/// `original` as a request of another dialog, whose next request is `ours`; its Contact is still to come.
pub(super) fn in_dialog(original: &Request, ours: &Request, hops: u8, wishes: &Wishes<'_>) -> Result<Request, Error> {
    let mut request = original.clone();
    request.set_uri(&ours.uri().to_buf());
    let headers = request.headers_mut();
    for name in [HeaderName::Via, HeaderName::RecordRoute, HeaderName::Contact, HeaderName::Route, HeaderName::Path] {
        headers.remove(name);
    }
    let theirs = ours.headers();
    for name in [HeaderName::CallId, HeaderName::Cseq] {
        set(headers, name, theirs.first(name).unwrap_or_default())?;
    }
    for (name, wish) in [(HeaderName::From, &wishes.from), (HeaderName::To, &wishes.to)] {
        let dialogs = theirs.first(name).unwrap_or_default();
        match wish {
            Some(wish) => set(headers, name, merge_party(&Address::parse(dialogs)?, wish))?,
            None => set(headers, name, dialogs)?,
        }
    }
    headers.copy_from(theirs, HeaderName::Route);
    set(headers, HeaderName::MaxForwards, hops)?;
    wishes.apply(headers)?;
    Ok(request)
}

fn set(headers: &mut Headers, name: HeaderName, value: impl std::fmt::Display) -> Result<(), Error> {
    headers.set(name, value).map_err(|error| illegal_value(name.as_str(), error))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sip_message::{Limits, Message};

    use super::*;

    fn request(text: &str) -> Request {
        let text = text.replace('\n', "\r\n");
        match sip_message::parse_datagram(Bytes::from(text), &Limits::default()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a response"),
        }
    }

    fn invite() -> Request {
        request(
            "INVITE sip:bob@example.net SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1
Record-Route: <sip:p1.example.com;lr>
Route: <sip:next.example.net;lr>
Max-Forwards: 20
f: Alice <sip:alice@example.com>;tag=a1;x=y
t: Bob <sip:bob@example.net>
i: abc@192.0.2.7
CSeq: 77 INVITE
m: <sip:alice@192.0.2.7>
X-Unknown:   as it   came
Subject: Lunch
c: application/sdp
l: 5

v=0\n",
        )
    }

    fn map(entries: &[(&str, &[&str])]) -> HeaderMap {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        entries.iter().map(|(name, values)| ((*name).to_owned(), owned(values))).collect()
    }

    fn leg(headers: &HeaderMap) -> Result<Request, Error> {
        let original = invite();
        let wishes = Wishes::read(Some(headers), original.method(), true)?;
        new_leg(&original, ("new@h", "b2", 19), &wishes)
    }

    fn value(request: &Request, name: HeaderName) -> Vec<&str> {
        request.headers().values(name).collect()
    }

    #[test]
    fn a_second_leg_has_identifiers_of_its_own_and_neither_via_nor_record_route_nor_contact() {
        let copy = leg(&HeaderMap::new()).unwrap();
        assert_eq!(value(&copy, HeaderName::CallId), ["new@h"]);
        assert_eq!(value(&copy, HeaderName::Cseq), ["1 INVITE"]);
        assert_eq!(value(&copy, HeaderName::MaxForwards), ["19"]);
        let from = From::parse_value(&copy);
        assert_eq!((from.tag(), from.params().value("x")), (Some("b2"), Some("y")));
        assert_eq!(value(&copy, HeaderName::To), ["Bob <sip:bob@example.net>"]);
        for name in [HeaderName::Via, HeaderName::RecordRoute, HeaderName::Contact] {
            assert!(!copy.headers().contains(name), "{name}");
        }
    }

    #[test]
    fn everything_else_is_copied_as_it_came() {
        let copy = leg(&HeaderMap::new()).unwrap();
        assert_eq!(copy.uri_text(), "sip:bob@example.net");
        assert_eq!(value(&copy, HeaderName::Route), ["<sip:next.example.net;lr>"]);
        let printed = String::from_utf8(copy.to_bytes().to_vec()).unwrap();
        assert!(
            printed.contains("\r\nX-Unknown:   as it   came\r\nSubject: Lunch\r\nc: application/sdp\r\n"),
            "{printed}"
        );
        assert!(printed.ends_with("\r\n\r\nv=0\r\n"), "{printed}");
    }

    #[test]
    fn a_register_keeps_its_contact() {
        let text = String::from_utf8(invite().to_bytes().to_vec()).unwrap().replace("INVITE", "REGISTER");
        let original = request(&text.replace("\r\n", "\n"));
        let wishes = Wishes::read(None, original.method(), true).unwrap();
        let copy = new_leg(&original, ("new@h", "b2", 19), &wishes).unwrap();
        assert_eq!(value(&copy, HeaderName::Contact), ["<sip:alice@192.0.2.7>"]);
        assert_eq!(value(&copy, HeaderName::Cseq), ["1 REGISTER"]);
    }

    #[test]
    fn values_of_the_map_replace_those_that_would_be_copied() {
        let headers = map(&[
            ("Subject", &["Dinner"]),
            ("x-unknown", &["one", "two"]),
            ("Route", &["<sip:edge.example.org;lr>", "<sip:core.example.org;lr>"]),
            ("Priority", &["urgent"]),
            ("c", &[]),
        ]);
        let copy = leg(&headers).unwrap();
        assert_eq!(value(&copy, HeaderName::Subject), ["Dinner"]);
        assert_eq!(copy.headers().extension("X-Unknown").collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(value(&copy, HeaderName::Route), ["<sip:edge.example.org;lr>", "<sip:core.example.org;lr>"]);
        assert_eq!(value(&copy, HeaderName::Priority), ["urgent"]);
        assert!(!copy.headers().contains(HeaderName::ContentType));
    }

    #[test]
    fn a_tag_in_the_maps_from_and_to_is_ignored() {
        let headers =
            map(&[("From", &["<sip:pilot@example.com:5070>;tag=evil"]), ("t", &["<sip:desk@d.example>;tag=evil"])]);
        let copy = leg(&headers).unwrap();
        assert_eq!(value(&copy, HeaderName::From), ["<sip:pilot@example.com>;tag=b2"]);
        assert_eq!(value(&copy, HeaderName::To), ["<sip:desk@d.example>"]);
    }

    #[test]
    fn what_identifies_and_routes_a_message_is_refused_in_the_map() {
        for name in ["Call-ID", "i", "CSeq", "Via", "v", "Record-Route", "Path", "RAck", "RSeq"] {
            let error = leg(&map(&[(name, &["1"])])).unwrap_err();
            let expected: Error = match HeaderName::lookup(name) {
                // Neither may stand in an INVITE at all.
                HeaderName::Rack | HeaderName::Rseq => IllegalArgument::Header(name.into()).into(),
                _ => IllegalArgument::SystemHeader(name.into()).into(),
            };
            assert_eq!(error, expected, "{name}");
        }
    }

    #[test]
    fn a_map_that_makes_no_message_is_refused() {
        let header = |name: &str| Error::from(IllegalArgument::Header(name.into()));
        assert_eq!(leg(&map(&[("From", &[])])).unwrap_err(), header("From"));
        assert_eq!(leg(&map(&[("To", &["*"])])).unwrap_err(), header("To"));
        assert_eq!(leg(&map(&[("Subject", &["a", "b"])])).unwrap_err(), header("Subject"));
        assert_eq!(leg(&map(&[("Route", &["<tel:+1>"])])).unwrap_err(), header("Route"));
        assert_eq!(leg(&map(&[("Not a token", &["x"])])).unwrap_err(), header("Not a token"));
        assert_eq!(leg(&map(&[("Server", &["x"])])).unwrap_err(), header("Server"));
        let split = leg(&map(&[("Subject", &["a\r\nEvil: yes"])])).unwrap_err();
        assert_eq!(split, IllegalArgument::HeaderValue.into());
        assert!(matches!(leg(&map(&[("Contact", &["<:>"])])), Err(Error::Parse(_))));
    }

    #[test]
    fn a_request_of_a_dialog_takes_over_what_the_dialog_says_and_copies_the_rest() {
        let ours = request(
            "INVITE sip:bob@192.0.2.9 SIP/2.0
Via: SIP/2.0/UDP h;branch=z9hG4bK2
Max-Forwards: 70
From: <sip:us@h>;tag=b2
To: <sip:bob@example.net>;tag=b3
Call-ID: other@h
CSeq: 5 INVITE
Route: <sip:r1@h;lr>
Route: <sip:r2@h;lr>
Content-Length: 0

",
        );
        let headers = map(&[("From", &["\"New\" <sip:new@h>;tag=x"])]);
        let wishes = Wishes::read(Some(&headers), ours.method(), false).unwrap();
        let copy = in_dialog(&invite(), &ours, 19, &wishes).unwrap();
        assert_eq!(copy.uri_text(), "sip:bob@192.0.2.9");
        assert_eq!(value(&copy, HeaderName::From), ["\"New\" <sip:new@h>;tag=b2"]);
        assert_eq!(value(&copy, HeaderName::To), ["<sip:bob@example.net>;tag=b3"]);
        assert_eq!(value(&copy, HeaderName::CallId), ["other@h"]);
        assert_eq!(value(&copy, HeaderName::Cseq), ["5 INVITE"]);
        assert_eq!(value(&copy, HeaderName::Route), ["<sip:r1@h;lr>", "<sip:r2@h;lr>"]);
        assert_eq!(value(&copy, HeaderName::Subject), ["Lunch"]);
        assert_eq!(&copy.body()[..], b"v=0\r\n");
        assert!(!copy.headers().contains(HeaderName::Contact) && !copy.headers().contains(HeaderName::Via));
    }

    #[test]
    fn the_route_of_a_dialog_is_not_the_applications() {
        let headers = map(&[("Route", &["<sip:edge.example.org;lr>"])]);
        let error = Wishes::read(Some(&headers), &Method::Info, false).unwrap_err();
        assert_eq!(error, IllegalArgument::SystemHeader("Route".into()).into());
    }

    /// RFC 3261 §16.3 step 3: "If the request contains a Max-Forwards header field with a field value of zero (0), the
    /// element MUST NOT forward the request."
    #[test]
    fn a_request_without_a_hop_left_has_no_copy() {
        let with = |hops: &str| {
            let text = String::from_utf8(invite().to_bytes().to_vec()).unwrap();
            hops_left(&request(&text.replace("Max-Forwards: 20\r\n", hops).replace("\r\n", "\n")))
        };
        assert_eq!(with("Max-Forwards: 20\n"), Some(19));
        assert_eq!(with("Max-Forwards: 1\n"), Some(0));
        assert_eq!(with("Max-Forwards: 0\n"), None);
        assert_eq!(with(""), Some(70));
    }

    trait ParseValue<'a>: Sized {
        fn parse_value(request: &'a Request) -> Self;
    }

    impl<'a> ParseValue<'a> for From<'a> {
        fn parse_value(request: &'a Request) -> From<'a> {
            request.headers().get::<From<'a>>().unwrap().unwrap()
        }
    }
}
