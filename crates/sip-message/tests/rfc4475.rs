//! The torture messages of RFC 4475, as the octets of its appendix A.
//!
//! What happens to an accepted message that only a proxy, registrar or user agent refuses (420, 415, 483 …) is theirs
//! to prove; here it is proven that they can read what they need for it.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::{files, message, parse, refusal, request, response, status};
use sip_message::header::*;
use sip_message::{Fault, HeaderName, Headers, Host, Message, Method, Transport, Uri};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Accepted; every typed header in it can be read.
    Valid,
    /// Accepted, because the fault is in a header that only some who get the message read: they refuse these headers.
    Soft(&'static [HeaderName]),
    /// Refused with this status.
    Refused(u16),
    /// Refused without an answer.
    Dropped,
}

use Verdict::{Dropped, Refused, Soft, Valid};

/// File, section of the RFC, verdict.
const CORPUS: &[(&str, &str, Verdict)] = &[
    ("wsinv", "3.1.1.1", Valid),
    ("intmeth", "3.1.1.2", Valid),
    ("esc01", "3.1.1.3", Valid),
    ("escnull", "3.1.1.4", Valid),
    ("esc02", "3.1.1.5", Valid),
    ("lwsdisp", "3.1.1.6", Valid),
    ("longreq", "3.1.1.7", Valid),
    ("dblreq", "3.1.1.8", Valid),
    ("semiuri", "3.1.1.9", Valid),
    ("transports", "3.1.1.10", Valid),
    ("mpart01", "3.1.1.11", Valid),
    ("unreason", "3.1.1.12", Valid),
    ("noreason", "3.1.1.13", Valid),
    ("badinv01", "3.1.2.1", Refused(400)),
    ("clerr", "3.1.2.2", Refused(400)),
    ("ncl", "3.1.2.3", Refused(400)),
    ("scalar02", "3.1.2.4", Refused(400)),
    ("scalarlg", "3.1.2.5", Dropped),
    ("quotbal", "3.1.2.6", Refused(400)),
    ("ltgtruri", "3.1.2.7", Refused(400)),
    ("lwsruri", "3.1.2.8", Refused(400)),
    ("lwsstart", "3.1.2.9", Refused(400)),
    ("trws", "3.1.2.10", Refused(400)),
    ("escruri", "3.1.2.11", Refused(400)),
    // "An element shouldn't [refuse it] unless the contents of the Date header field were actually important".
    ("baddate", "3.1.2.12", Soft(&[HeaderName::Date])),
    // A proxy that passes the REGISTER on has no business with its Contact.
    ("regbadct", "3.1.2.13", Soft(&[HeaderName::Contact])),
    ("badaspec", "3.1.2.14", Refused(400)),
    ("baddn", "3.1.2.15", Refused(400)),
    ("badvers", "3.1.2.16", Refused(505)),
    ("mismatch01", "3.1.2.17", Refused(400)),
    // 501 is the RFC's first choice, but which methods there are is not known where messages are read.
    ("mismatch02", "3.1.2.18", Refused(400)),
    ("bigcode", "3.1.2.19", Dropped),
    ("badbranch", "3.2.1", Valid),
    ("insuf", "3.3.1", Refused(400)),
    ("unkscm", "3.3.2", Valid),
    ("novelsc", "3.3.3", Valid),
    ("unksm2", "3.3.4", Valid),
    ("bext01", "3.3.5", Valid),
    ("invut", "3.3.6", Valid),
    ("regaut01", "3.3.7", Valid),
    ("multi01", "3.3.8", Refused(400)),
    ("mcl01", "3.3.9", Refused(400)),
    ("bcast", "3.3.10", Valid),
    ("zeromf", "3.3.11", Valid),
    ("cparam01", "3.3.12", Valid),
    ("cparam02", "3.3.13", Valid),
    ("regescrt", "3.3.14", Valid),
    ("sdp01", "3.3.15", Valid),
    ("inv2543", "3.4.1", Valid),
    // In the archive, but not in the RFC's text: no version in the start-line, no Via, a line without a colon.
    ("test", "", Dropped),
];

fn file(name: &str) -> Option<bytes::Bytes> {
    files("rfc4475", "dat").remove(name)
}

fn get<'a, H: TypedHeader<'a>>(headers: &'a Headers) -> H {
    headers.get::<H>().expect("the header is there").expect("it can be read")
}

/// Every value of a known header that its type refuses.
fn unreadable(message: &Message) -> Vec<HeaderName> {
    let known = HeaderName::ALL.iter().copied();
    known.filter(|name| message.headers().values(*name).any(|value| parse_any(*name, value).is_err())).collect()
}

#[test]
fn corpus_is_completely_classified() {
    let files = files("rfc4475", "dat");
    if files.is_empty() {
        return;
    }
    let mut named: Vec<&str> = CORPUS.iter().map(|(name, ..)| *name).collect();
    named.sort_unstable();
    assert_eq!(named, files.keys().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn every_message_gets_its_verdict() {
    let files = files("rfc4475", "dat");
    for (name, section, expected) in CORPUS {
        let Some(octets) = files.get(*name) else { continue };
        let verdict = match parse(octets) {
            Ok(message) => match unreadable(&message) {
                unreadable if unreadable.is_empty() => Valid,
                unreadable => Soft(unreadable.leak()),
            },
            Err(refusal) => status(&refusal).map_or(Dropped, Refused),
        };
        assert_eq!(verdict, *expected, "{name}, section {section}");
    }
}

mod valid_messages_have_the_fields_that_the_rfc_names {
    use super::*;

    /// §3.1.1.1
    #[test]
    fn wsinv_a_short_tortuous_invite() {
        let Some(octets) = file("wsinv") else { return };
        let invite = request(&octets);
        assert_eq!(*invite.method(), Method::Invite);
        assert!(invite.uri().sip().unwrap().params().get("unknownparam").unwrap().value.is_none());
        let headers = invite.headers();
        assert_eq!(get::<To>(headers).tag(), Some("1918181833n"));
        assert_eq!(get::<To>(headers).uri().as_str(), "sip:vivekg@chair-dnrc.example.com");
        let from = get::<From>(headers);
        assert_eq!((from.display_name().unwrap().as_ref(), from.tag()), ("J Rosenberg \\\"", Some("98asjd8")));
        assert_eq!(get::<MaxForwards>(headers), MaxForwards(68));
        assert_eq!(get::<Cseq>(headers), Cseq::new(9, Method::Invite));
        assert_eq!(get::<ContentLength>(headers), ContentLength(150));
        assert_eq!(headers.first(HeaderName::Subject), Some(""));
        let vias: Vec<Via> = headers.all().map(Result::unwrap).collect();
        let hosts: Vec<String> = vias.iter().map(|via| via.host().to_string()).collect();
        assert_eq!(hosts, ["192.0.2.2", "spindle.example.com", "192.168.255.111"]);
        let transports: Vec<_> = vias.iter().map(|via| via.transport().unwrap()).collect();
        assert_eq!(transports, [Transport::Udp, Transport::Tcp, Transport::Udp]);
        let branches: Vec<_> = vias.iter().map(|via| via.branch().unwrap()).collect();
        assert_eq!(branches, ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]);
        assert!(!vias[0].has_unique_branch() && vias[1].has_unique_branch());
        let route = get::<Route>(headers);
        assert!(route.is_loose());
        assert_eq!(route.uri().sip().unwrap().params().value("unknownwith").as_deref(), Some("value"));
        let contact = get::<Contact>(headers);
        let contact = contact.address().unwrap();
        assert_eq!(contact.display_name().as_deref(), Some("Quoted string \"\""));
        assert_eq!(contact.params().value("newparam"), Some("newvalue"));
        assert!(contact.params().get("secondparam").unwrap().value.is_none());
        assert_eq!(contact.params().value("q"), Some("0.33"));
        let folded: Vec<_> = headers.extension("newfangledheader").collect();
        assert_eq!(folded, ["newfangled value continued newfangled value"]);
        let unusual: Vec<_> = headers.extension("UnknownHeaderWithUnusualValue").collect();
        assert_eq!(unusual, [";;,,;;,;"]);
        assert_eq!(invite.body().len(), 150);
    }

    /// §3.1.1.2
    #[test]
    fn intmeth_a_wide_range_of_valid_characters() {
        let Some(octets) = file("intmeth") else { return };
        let unusual = request(&octets);
        let method = "!interesting-Method0123456789_*+`.%indeed'~";
        assert_eq!(*unusual.method(), Method::Other(method.into()));
        let uri = unusual.uri().sip().unwrap();
        assert_eq!(uri.user().as_deref(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
        assert_eq!(uri.raw_password(), Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
        assert_eq!(uri.host(), Host::Name("example.com"));
        let headers = unusual.headers();
        assert_eq!(get::<Via>(headers).branch(), Some("z9hG4bK-.!%66*_+`'~"));
        let to = get::<To>(headers);
        assert_eq!(to.display_name().as_deref(), Some("BEL:\x07 NUL:\0 DEL:\x7f"));
        assert_eq!(to.uri().sip().unwrap().raw_user(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
        let from = get::<From>(headers);
        assert_eq!(from.display_name().as_deref(), Some("token1~` token2'+_ token3*%!.-"));
        assert_eq!(from.params().unquoted("fromParam''~+*_!.-%").as_deref(), Some("работающий"));
        assert_eq!(from.tag(), Some("_token~1'+`*%!-."));
        assert_eq!(get::<CallId>(headers).as_str(), "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
        assert_eq!(get::<Cseq>(headers), Cseq::new(139_122_385, Method::Other(method.into())));
        assert_eq!(get::<MaxForwards>(headers), MaxForwards(255));
        let extension: Vec<_> = headers.extension("extensionHeader-!.%*+_`'~").collect();
        assert_eq!(extension, ["\u{feff}大停電"]);
    }

    /// §3.1.1.3: "unescaping URI components is never performed recursively".
    #[test]
    fn esc01_valid_use_of_the_escaping_mechanism() {
        let Some(octets) = file("esc01") else { return };
        let invite = request(&octets);
        let uri = invite.uri().sip().unwrap();
        assert_eq!(uri.user().as_deref(), Some("sips:user@example.com"));
        assert_eq!(uri.host(), Host::Name("example.net"));
        let headers = invite.headers();
        let to = get::<To>(headers);
        assert!(to.uri().equivalent(&Uri::parse("sip:user@example.com").unwrap()));
        assert_eq!(get::<From>(headers).uri().sip().unwrap().user().as_deref(), Some("I have spaces"));
        let contact = get::<Contact>(headers);
        let contact = contact.uri().unwrap().sip().unwrap();
        assert_eq!(contact.user().as_deref(), Some("caller"));
        assert!(contact.params().contains("lr"));
        assert_eq!(contact.params().value("name").as_deref(), Some("value%41"));
        assert_eq!(get::<CallId>(headers).as_str(), "esc01.239409asdfakjkn23onasd0-3234");
        assert!(get::<ContentType>(headers).is("application", "sdp"));
    }

    /// §3.1.1.4: "This request registers two distinct contact URIs."
    #[test]
    fn escnull_escaped_nulls_in_uris() {
        let Some(octets) = file("escnull") else { return };
        let register = request(&octets);
        let to = get::<To>(register.headers());
        assert_eq!(to.uri().sip().unwrap().user().as_deref(), Some("null-\0-null"));
        let contacts: Vec<Contact> = register.headers().all().map(Result::unwrap).collect();
        let users: Vec<_> = contacts.iter().map(|one| one.uri().unwrap().sip().unwrap().user().unwrap()).collect();
        assert_eq!(users, ["\0", "\0\0"]);
        assert!(!contacts[0].uri().unwrap().equivalent(&contacts[1].uri().unwrap()));
    }

    /// §3.1.1.5: "NOT equivalent to REGISTER"; "two Contact header field values, not three".
    #[test]
    fn esc02_percent_when_it_is_no_escape() {
        let Some(octets) = file("esc02") else { return };
        let unknown = request(&octets);
        assert_eq!(*unknown.method(), Method::Other("RE%47IST%45R".into()));
        let headers = unknown.headers();
        assert_eq!(get::<To>(headers).display_name().as_deref(), Some("%Z%45"));
        assert_eq!(get::<From>(headers).display_name().as_deref(), Some("%Z%45"));
        let contacts: Vec<_> = headers.values(HeaderName::Contact).collect();
        assert_eq!(contacts, ["<sip:alias1@host1.example.com>", "<sip:alias3@host3.example.com>"]);
        let unknown: Vec<_> = headers.extension("C%6Fntact").collect();
        assert_eq!(unknown, ["<sip:alias2@host2.example.com>"]);
    }

    /// §3.1.1.6
    #[test]
    fn lwsdisp_no_white_space_between_display_name_and_bracket() {
        let Some(octets) = file("lwsdisp") else { return };
        let options = request(&octets);
        let from = get::<From>(options.headers());
        assert_eq!((from.display_name().as_deref(), from.tag()), (Some("caller"), Some("323")));
    }

    /// §3.1.1.7
    #[test]
    fn longreq_long_values() {
        let Some(octets) = file("longreq") else { return };
        let invite = request(&octets);
        let headers = invite.headers();
        let to = get::<To>(headers);
        let name = format!("I have a user name of {} proportion", "extreme".repeat(10));
        assert_eq!(to.display_name().as_deref(), Some(&*name));
        let uri = to.uri().sip().unwrap();
        assert_eq!(uri.port(), Some(6000));
        let value = format!("very{}value", "long".repeat(20));
        assert_eq!(uri.params().value("unknownparam1").as_deref(), Some(&*value));
        assert!(uri.params().contains(&format!("very{}ParameterNameWithNoValue", "long".repeat(25))));
        let from = get::<From>(headers);
        assert_eq!(from.tag(), Some(&*format!("12{}424", "982".repeat(50))));
        assert!(from.params().contains(&format!("unknownValueless{}", "paramname".repeat(10))));
        let call_id = format!("longreq.one{}longcallid", "really".repeat(20));
        assert_eq!(get::<CallId>(headers).as_str(), call_id);
        let vias: Vec<Via> = headers.all().map(Result::unwrap).collect();
        assert_eq!(vias.len(), 34);
        let hosts = (1..=33).rev().map(|n| format!("sip{n}.example.com")).chain(["host.example.com".to_owned()]);
        assert!(vias.iter().map(|via| via.host().to_string()).eq(hosts));
        assert_eq!(vias[33].branch(), Some(&*format!("very{}branchvalue", "long".repeat(50))));
        assert_eq!(vias[33].received(), Some([192, 0, 2, 5].into()));
        assert_eq!(invite.body().len(), 150);
    }

    /// §3.1.1.8: the octets behind the REGISTER "are just spurious noise that must be ignored".
    #[test]
    fn dblreq_extra_trailing_octets_in_a_datagram() {
        let Some(octets) = file("dblreq") else { return };
        let register = message(&octets);
        assert!(matches!(&register, Message::Request(request) if *request.method() == Method::Register));
        assert!(register.body().is_empty());
        let printed = register.to_bytes();
        assert!(memchr::memmem::find(&printed, b"INVITE").is_none());
    }

    /// §3.1.1.9
    #[test]
    fn semiuri_semicolon_in_the_user() {
        let Some(octets) = file("semiuri") else { return };
        let options = request(&octets);
        let uri = options.uri().sip().unwrap();
        assert_eq!(uri.user().as_deref(), Some("user;par=u@example.net"));
        assert_eq!(uri.host(), Host::Name("example.com"));
        assert!(uri.params().is_empty());
        assert_eq!(options.headers().all::<Accept>().filter(|accept| accept.is_ok()).count(), 6);
    }

    /// §3.1.1.10
    #[test]
    fn transports_varied_and_unknown() {
        let Some(octets) = file("transports") else { return };
        let options = request(&octets);
        let vias: Vec<Via> = options.headers().all().map(Result::unwrap).collect();
        let tokens: Vec<_> = vias.iter().map(Via::transport_token).collect();
        assert_eq!(tokens, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
        assert_eq!(vias[0].transport(), Some(Transport::Udp));
        assert_eq!(vias[3].transport(), None);
    }

    /// §3.1.1.11: "Receivers must take care to frame the received message properly."
    #[test]
    fn mpart01_a_binary_body() {
        let Some(octets) = file("mpart01") else { return };
        let text = request(&octets);
        assert_eq!(*text.method(), Method::Message);
        assert_eq!(text.body().len(), 553);
        assert!(text.body().starts_with(b"--7a9cbec02ceef655\r\n"));
        assert!(text.body().ends_with(b"--7a9cbec02ceef655--\r\n"));
        assert_eq!(text.body().iter().filter(|octet| **octet == 0).count(), 2);
        let headers = text.headers();
        assert_eq!(get::<ContentType>(headers).boundary().as_deref(), Some("7a9cbec02ceef655"));
        assert_eq!(get::<Date>(headers).to_string(), "Sat, 15 Oct 2005 04:44:56 GMT");
        assert_eq!(get::<Via>(headers).rport(), Some(None));
        assert_eq!(headers.first(HeaderName::Identity).unwrap().len(), 172);
    }

    /// §3.1.1.12
    #[test]
    fn unreason_an_unusual_reason_phrase() {
        let Some(octets) = file("unreason") else { return };
        let ok = response(&octets);
        assert_eq!(ok.status().code(), 200);
        assert_eq!(ok.reason(), "= 2**3 * 5**2 но сто девяносто девять - простое");
    }

    /// §3.1.1.13; and without the space "a liberal receiver would accept it anyway".
    #[test]
    fn noreason_an_empty_reason_phrase() {
        let Some(octets) = file("noreason") else { return };
        let trying = response(&octets);
        assert_eq!((trying.status().code(), trying.reason()), (100, ""));
        let without_space = String::from_utf8_lossy(&octets).replace("100 \r", "100\r");
        assert_eq!(response(without_space.as_bytes()).reason(), "");
    }

    /// §3.2.1: the branch has the cookie and nothing behind it; RFC 2543's rule matches it.
    #[test]
    fn badbranch_a_missing_transaction_identifier() {
        let Some(octets) = file("badbranch") else { return };
        let options = request(&octets);
        let via = get::<Via>(options.headers());
        assert_eq!((via.branch(), via.has_unique_branch()), (Some("z9hG4bK"), false));
    }

    /// §3.3.2 to §3.3.4: "A parser must accept this as a well-formed SIP request."
    #[test]
    fn unkscm_novelsc_unksm2_other_schemes() {
        let Some(octets) = file("unkscm") else { return };
        assert_eq!(request(&octets).uri().scheme(), "nobodyKnowsThisScheme");
        assert_eq!(request(&file("novelsc").unwrap()).uri_text(), "soap.beep://192.0.2.103:3002");
        let register = request(&file("unksm2").unwrap());
        assert_eq!(get::<To>(register.headers()).uri().as_str(), "isbn:2983792873");
        assert_eq!(get::<From>(register.headers()).uri().scheme(), "http");
        assert_eq!(get::<Contact>(register.headers()).uri().unwrap().as_str(), "name:John_Smith");
    }

    /// §3.3.5: what a 420 must list.
    #[test]
    fn bext01_required_extensions() {
        let Some(octets) = file("bext01") else { return };
        let options = request(&octets);
        let required: Vec<_> = options.headers().values(HeaderName::Require).collect();
        assert_eq!(required, ["nothingSupportsThis", "nothingSupportsThisEither"]);
        let required: Vec<_> = options.headers().values(HeaderName::ProxyRequire).collect();
        assert_eq!(required, ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"]);
    }

    /// §3.3.6, §3.3.7, §3.3.11, §3.3.15: what a 415, 401, 483 and 406 are told from.
    #[test]
    fn invut_regaut01_zeromf_sdp01_can_be_refused_by_those_who_must() {
        let Some(octets) = file("invut") else { return };
        assert!(get::<ContentType>(request(&octets).headers()).is("application", "unknownformat"));
        let register = request(&file("regaut01").unwrap());
        let authorization = get::<Authorization>(register.headers());
        assert!(authorization.digest().is_none());
        assert_eq!(authorization.to_string(), "NoOneKnowsThisScheme opaque-data=here");
        assert_eq!(get::<MaxForwards>(request(&file("zeromf").unwrap()).headers()), MaxForwards(0));
        let invite = request(&file("sdp01").unwrap());
        assert!(!get::<Accept>(invite.headers()).covers(&MediaType::parse("application/sdp").unwrap()));
    }

    /// §3.3.10: the second Via is what a proxy must not send to.
    #[test]
    fn bcast_a_broadcast_address_below_the_top_via() {
        let Some(octets) = file("bcast") else { return };
        let mut ok = response(&octets);
        ok.headers_mut().pop_first(HeaderName::Via);
        assert_eq!(get::<Via>(ok.headers()).host(), Host::V4([255, 255, 255, 255].into()));
    }

    /// §3.3.12 to §3.3.14
    #[test]
    fn cparam01_cparam02_regescrt_parameters_and_headers_of_a_contact_stay_where_they_are() {
        let Some(octets) = file("cparam01") else { return };
        let register = request(&octets);
        let contact = get::<Contact>(register.headers());
        assert!(contact.address().unwrap().params().contains("unknownparam"));
        assert_eq!(contact.to_string(), "<sip:+19725552222@gw1.example.net>;unknownparam");
        let register = request(&file("cparam02").unwrap());
        let contact = get::<Contact>(register.headers());
        assert!(contact.address().unwrap().params().is_empty());
        assert_eq!(contact.to_string(), "<sip:+19725552222@gw1.example.net;unknownparam>");
        let register = request(&file("regescrt").unwrap());
        let contact = get::<Contact>(register.headers());
        let headers: Vec<_> = contact.uri().unwrap().sip().unwrap().headers().collect();
        assert_eq!(headers, [("Route".into(), "<sip:sip.example.com>".into())]);
        assert!(!register.headers().contains(HeaderName::Route));
    }

    /// §3.4.1: no branch, no From tag, no Max-Forwards; "The body is assumed to be all octets […] after the null-line."
    #[test]
    fn inv2543_rfc_2543_syntax() {
        let Some(octets) = file("inv2543") else { return };
        let invite = request(&octets);
        let headers = invite.headers();
        assert_eq!(get::<Via>(headers).branch(), None);
        assert_eq!(get::<From>(headers).tag(), None);
        assert!(!headers.contains(HeaderName::MaxForwards) && !headers.contains(HeaderName::ContentLength));
        assert!(invite.body().starts_with(b"v=0\r\n") && invite.body().ends_with(b"RTP/AVP 0\r\n"));
    }
}

/// The status of each is in [`CORPUS`]; here, that it is refused for what the RFC says is wrong with it.
#[test]
fn invalid_messages_are_refused_for_the_fault_that_the_rfc_names() {
    let files = files("rfc4475", "dat");
    let faults = [
        ("badinv01", "Malformed Via"),
        ("clerr", "Body shorter than Content-Length"),
        ("ncl", "Malformed Content-Length"),
        ("scalar02", "Malformed CSeq"),
        ("scalarlg", "Malformed CSeq"),
        ("quotbal", "Malformed To"),
        ("ltgtruri", "Malformed Request-URI"),
        ("lwsruri", "Malformed Request-URI"),
        ("lwsstart", "Malformed Request-URI"),
        ("trws", "Malformed start line"),
        ("escruri", "Malformed Request-URI"),
        ("badaspec", "Malformed To"),
        ("badvers", "Version not supported"),
        ("mismatch01", "CSeq method differs"),
        ("mismatch02", "CSeq method differs"),
        ("bigcode", "Malformed start line"),
        ("insuf", "Missing From"),
        ("multi01", "Repeated CSeq"),
        ("mcl01", "Malformed Content-Length"),
        ("test", "Malformed start line"),
    ];
    for (name, fault) in faults {
        let Some(octets) = files.get(name) else { continue };
        assert_eq!(refusal(octets).to_string(), fault, "{name}");
    }
}

#[test]
fn invalid_messages_get_the_response_that_the_rfc_names() {
    let files = files("rfc4475", "dat");
    for (name, section, verdict) in CORPUS {
        let Some(octets) = files.get(*name) else { continue };
        let Refused(code) = verdict else { continue };
        let response = refusal(octets).response().unwrap_or_else(|| panic!("{name}, section {section}: no answer"));
        assert_eq!(response.status().code(), *code);
        // What RFC 3261 §8.2.6.2 takes over is taken over, of repeated headers the first.
        let printed = String::from_utf8(response.to_bytes().to_vec()).unwrap();
        assert!(printed.starts_with(&format!("SIP/2.0 {code} ")), "{name}: {printed}");
        assert_eq!(response.headers().fields_of(HeaderName::Cseq).count(), 1, "{name}: {printed}");
        assert!(response.headers().contains(HeaderName::Via), "{name}: {printed}");
        let expected = usize::from(*name != "insuf");
        for header in [HeaderName::From, HeaderName::To, HeaderName::CallId] {
            assert_eq!(response.headers().fields_of(header).count(), expected, "{name}: {printed}");
        }
    }
}

/// The archive's baddn ends behind its last header; with the empty line of the RFC's text the display name is the fault.
#[test]
fn baddn_is_refused_with_and_without_its_empty_line() {
    let Some(octets) = file("baddn") else { return };
    assert_eq!(*refusal(&octets).fault(), Fault::HeadCutOff);
    let whole = refusal(&[&octets[..], b"\r\n"].concat());
    assert!(matches!(whole.fault(), Fault::Header(error) if error.header() == HeaderName::From), "{whole}");
    assert_eq!(status(&whole), Some(400));
}

/// §3.1.2.4: with a CSeq in its range, the others are for those who use them.
#[test]
fn scalar02_without_its_cseq_is_still_refused_for_its_max_forwards() {
    let Some(octets) = file("scalar02") else { return };
    let text = String::from_utf8(octets.to_vec()).unwrap().replace("36893488147419103232", "1");
    let refusal = refusal(text.as_bytes());
    assert!(matches!(refusal.fault(), Fault::Header(error) if error.header() == HeaderName::MaxForwards));
    let accepted = request(text.replace("300", "30").as_bytes());
    assert!(accepted.headers().get::<Expires>().unwrap().is_err());
    assert!(accepted.headers().get::<Contact>().unwrap().is_err());
}

#[test]
fn valid_messages_reach_a_serialisation_fixed_point() {
    let files = files("rfc4475", "dat");
    for (name, _, verdict) in CORPUS {
        let Some(octets) = files.get(*name) else { continue };
        if !matches!(verdict, Valid | Soft(_)) {
            continue;
        }
        let first = message(octets);
        let printed = first.to_bytes();
        let second = message(&printed);
        assert_eq!(second.to_bytes(), printed, "{name}");
        assert_eq!(second.body(), first.body(), "{name}");
        for header in HeaderName::ALL {
            let of = |message: &Message| message.headers().values(*header).map(str::to_owned).collect::<Vec<_>>();
            let given = *header == HeaderName::ContentLength && of(&first).is_empty();
            assert!(given || of(&first) == of(&second), "{name}: {header}");
        }
    }
}

/// What is printed is what came, but for folding: a proxy that changes nothing forwards the octets.
#[test]
fn what_is_not_folded_is_printed_octet_for_octet() {
    let files = files("rfc4475", "dat");
    for name in ["intmeth", "esc02", "lwsdisp", "transports", "mpart01", "unreason", "noreason", "cparam01", "regaut01"]
    {
        let Some(octets) = files.get(name) else { continue };
        assert_eq!(message(octets).to_bytes(), octets, "{name}");
    }
}

#[test]
fn no_message_panics_at_any_truncation() {
    for (name, octets) in files("rfc4475", "dat") {
        for end in 0..octets.len() {
            let Ok(message) = parse(&octets[..end]) else { continue };
            // A head that is whole without Content-Length has its body cut.
            assert!(!message.headers().contains(HeaderName::ContentLength) || name == "dblreq", "{name} up to {end}");
        }
    }
}
