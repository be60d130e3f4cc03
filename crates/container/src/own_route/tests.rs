//! RFC 3261 §16.4, RFC 5626 §5.3, RFC 5658.

use super::*;
use sip_message::{ConnectionId, ListenerId, Method};

const SECRET: Secret = [1, 2];
const NUMBER: &str = "0a0123456789abcdef";

fn listeners() -> [Listener; 2] {
    let listener = |id, transport, local: &str, sent_by: &str| Listener {
        id: ListenerId(id),
        transport,
        local: local.parse().unwrap(),
        sent_by: sent_by.into(),
    };
    [
        listener(0, Transport::Udp, "192.0.2.1:5060", "192.0.2.1"),
        listener(1, Transport::Tls, "192.0.2.1:5061", "edge.example.com:5061"),
    ]
}

fn tls(remote: &str) -> Flow {
    Flow {
        transport: Transport::Tls,
        listener: ListenerId(1),
        local: "192.0.2.1:5061".parse().unwrap(),
        remote: remote.parse().unwrap(),
        connection: Some(ConnectionId(7)),
    }
}

fn request(uri: &str, routes: &[String]) -> Request {
    let mut request = Request::new(Method::Bye, &UriBuf::parse(uri).unwrap());
    for route in routes {
        request.headers_mut().push(HeaderName::Route, route).unwrap();
    }
    request.headers_mut().push(HeaderName::CallId, "call").unwrap();
    request
}

fn pop(request: &mut Request, from: Option<&Flow>) -> Result<(Popped, Option<Named>), u16> {
    let listeners = listeners();
    let own = Own { listeners: &listeners, domains: &["example.com".into()], secret: &SECRET };
    own.pop(request, from).map_err(|refusal| refusal.status().code())
}

fn recorded(session: &str, flow: Option<&Flow>) -> String {
    let token = flow_token::write(&SECRET, Scope::Dialog("call"), flow);
    format!("<sip:{token}@192.0.2.1;lr;app=x;cb={session}>")
}

fn routes(request: &Request) -> Vec<&str> {
    request.headers().values(HeaderName::Route).collect()
}

#[test]
fn what_names_us_is_taken_away_and_what_names_others_stays() {
    let mut bye = request("sip:bob@client.example", &[recorded(NUMBER, None), "<sip:other.example;lr>".to_owned()]);
    let (popped, named) = pop(&mut bye, None).unwrap();
    assert_eq!(named, Some(Named { partition: 0x0a, number: 0x0123_4567_89ab_cdef }));
    assert!(popped.trusted);
    assert_eq!(popped.route.unwrap().uri().unwrap().parameter("app").as_deref(), Some("x"));
    assert_eq!(routes(&bye), ["<sip:other.example;lr>"]);
    let mut foreign = request("sip:bob@client.example", &["<sip:other.example;lr>".to_owned()]);
    let (popped, named) = pop(&mut foreign, None).unwrap();
    assert!(popped.route.is_none() && named.is_none() && !popped.trusted);
}

/// RFC 5658: both sides of an application are recorded; the last one says where the request goes on.
#[test]
fn both_values_of_one_session_are_taken_and_none_of_the_next_one() {
    let callee = tls("198.51.100.7:40000");
    let other = "0b0123456789abcdef";
    let mut bye = request(
        "sip:bob@client.example",
        &[recorded(NUMBER, None), recorded(NUMBER, Some(&callee)), recorded(other, None)],
    );
    let (popped, named) = pop(&mut bye, Some(&tls("203.0.113.9:50000"))).unwrap();
    assert_eq!((popped.flow, named.unwrap().partition), (Some(callee), 0x0a));
    assert_eq!(routes(&bye), [recorded(other, None)]);
}

#[test]
fn a_route_that_an_author_has_written_is_taken_alone_and_opens_nothing() {
    let plain = "<sip:menu@example.com;lr>".to_owned();
    let mut invite = request("sip:bob@client.example", &[plain.clone(), plain.clone()]);
    let (popped, named) = pop(&mut invite, None).unwrap();
    assert!(named.is_none() && !popped.trusted);
    assert_eq!(routes(&invite), [plain]);
}

/// RFC 5626 §5.3.1: 403.
#[test]
fn a_token_of_somebody_else_s_making_is_refused() {
    let strange = flow_token::write(&[1, 3], Scope::Dialog("call"), None);
    let elsewhere = flow_token::write(&SECRET, Scope::Dialog("another call"), None);
    for user in [&*strange, &*elsewhere, "~", "~r", "~x", "~rAAAA"] {
        let mut bye = request("sip:bob@client.example", &[format!("<sip:{user}@192.0.2.1;lr>")]);
        assert_eq!(pop(&mut bye, None).map(|_| ()), Err(403), "{user}");
    }
}

/// RFC 5626 §5.3: the client's own Path brings its request out; the registrar's brings one in.
#[test]
fn a_path_leads_to_its_client_and_from_there_nowhere() {
    let client = tls("198.51.100.7:40000");
    let path = format!("<sip:{}@edge.example.com:5061;transport=tls;lr;ob>", {
        flow_token::write(&SECRET, Scope::Path, Some(&client))
    });
    let (incoming, _) =
        pop(&mut request("sip:bob@client.example", std::slice::from_ref(&path)), Some(&tls("203.0.113.9:5061")))
            .unwrap();
    assert_eq!((incoming.trusted, incoming.flow), (true, Some(client)));
    let (outgoing, _) = pop(&mut request("sip:carol@example.net", &[path]), Some(&client)).unwrap();
    assert_eq!((outgoing.trusted, outgoing.flow), (false, None));
}

/// RFC 3261 §16.4: "the proxy MUST replace the Request-URI in the request with the last value from the Route".
#[test]
fn what_a_strict_router_has_turned_round_is_turned_back() {
    let token = flow_token::write(&SECRET, Scope::Dialog("call"), None);
    let ours = format!("sip:{token}@192.0.2.1;lr;cb={NUMBER}");
    let mut bye = request(&ours, &["<sip:next.example;lr>".to_owned(), "<sip:bob@client.example>".to_owned()]);
    let (popped, named) = pop(&mut bye, None).unwrap();
    assert!(popped.trusted && named.is_some());
    assert_eq!((bye.uri_text(), routes(&bye)), ("sip:bob@client.example", vec!["<sip:next.example;lr>"]));
    assert_eq!(pop(&mut request(&ours, &[]), None).map(|_| ()), Err(400));
}

#[test]
fn an_maddr_that_is_ours_goes_when_the_request_came_there() {
    let from = Flow { transport: Transport::Udp, listener: ListenerId(0), connection: None, ..tls("203.0.113.9:5060") };
    let from = Flow { local: "192.0.2.1:5060".parse().unwrap(), ..from };
    let mut invite = request("sip:alice@example.net;maddr=192.0.2.1", &[]);
    pop(&mut invite, Some(&from)).unwrap();
    assert_eq!(invite.uri_text(), "sip:alice@example.net");
    let mut invite = request("sip:alice@example.net;maddr=192.0.2.9", &[]);
    pop(&mut invite, Some(&from)).unwrap();
    assert_eq!(invite.uri_text(), "sip:alice@example.net;maddr=192.0.2.9");
}

#[test]
fn we_are_our_addresses_our_names_and_what_our_vias_say() {
    let listeners = listeners();
    let own = Own { listeners: &listeners, domains: &["example.com".into()], secret: &SECRET };
    for (uri, ours) in [
        ("sip:192.0.2.1", true),
        ("sip:192.0.2.1:5070", false),
        ("sip:alice@EXAMPLE.com:9999", true),
        ("sip:edge.example.com:5061", true),
        ("sip:edge.example.com:5062", false),
        ("sips:192.0.2.1", true),
        ("sip:192.0.2.2", false),
        ("sip:example.com.evil.example", false),
    ] {
        assert_eq!(own.covers(&SipUri::parse(uri).unwrap()), ours, "{uri}");
    }
}
