//! RFC 3261 §16.6 step 4, RFC 5658, RFC 3327, RFC 5626 §5.

use super::*;
use sip_message::ListenerId;
use std::cell::Cell;
use std::time::SystemTime;

const SECRET: Secret = [1, 2];

fn listeners() -> [Listener; 4] {
    let listener = |id, transport, local: &str, sent_by: &str| Listener {
        id: ListenerId(id),
        transport,
        local: local.parse().unwrap(),
        sent_by: sent_by.into(),
    };
    [
        listener(0, Transport::Udp, "192.0.2.1:5060", "192.0.2.1"),
        listener(1, Transport::Tcp, "192.0.2.1:5060", "192.0.2.1"),
        listener(2, Transport::Udp, "192.0.2.9:5060", "192.0.2.9"),
        listener(3, Transport::Tls, "192.0.2.1:5061", "192.0.2.1:5061"),
    ]
}

fn session() -> SessionFacts {
    SessionFacts {
        number: 0x0123,
        partition: 10,
        call_id: "call".into(),
        created: SystemTime::UNIX_EPOCH,
        last_accessed: Cell::new(SystemTime::UNIX_EPOCH),
    }
}

fn flow(listener: u16, transport: Transport, remote: &str) -> Flow {
    let local = listeners()[usize::from(listener)].local;
    Flow { transport, listener: ListenerId(listener), local, remote: remote.parse().unwrap(), connection: None }
}

fn request(method: Method, uri: &str, headers: &[(HeaderName, &str)]) -> Request {
    let mut request = Request::new(method, &UriBuf::parse(uri).unwrap());
    for (name, value) in headers {
        request.headers_mut().push(*name, value).unwrap();
    }
    request.headers_mut().push(HeaderName::CallId, "call").unwrap();
    request
}

const VIA: (HeaderName, &str) = (HeaderName::Via, "SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKa");

/// The values, with a dot where each token stands.
fn written(request: &Request, name: HeaderName) -> Vec<String> {
    let values = request.headers().values(name);
    let plain = values.map(|value| {
        let (scheme, rest) = value.split_once(":~").unwrap();
        format!("{scheme}:.@{}", rest.split_once('@').unwrap().1)
    });
    plain.collect()
}

fn recorder<'a>(
    listeners: &'a [Listener],
    session: &'a SessionFacts,
    from: Option<&'a Flow>,
    onward: Option<&'a Flow>,
) -> Recorder<'a> {
    Recorder { secret: &SECRET, listeners, from, onward, interface: None, session, parameters: ";app=x" }
}

const NAMED: &str = "cb=0a0000000000000123";

#[test]
fn one_value_is_enough_where_both_sides_are_alike() {
    let (listeners, session, from) = (listeners(), session(), flow(0, Transport::Udp, "203.0.113.5:5060"));
    let mut invite = request(Method::Invite, "sip:bob@198.51.100.7", &[VIA]);
    recorder(&listeners, &session, Some(&from), None).record(&mut invite);
    assert_eq!(written(&invite, HeaderName::RecordRoute), [format!("<sip:.@192.0.2.1;lr;app=x;{NAMED}>")]);
}

/// RFC 5658 §3.1: the callee meets the callee's side first.
#[test]
fn each_side_has_its_value_where_the_transports_differ_or_a_flow_is_bound() {
    let (listeners, session, from) = (listeners(), session(), flow(0, Transport::Udp, "203.0.113.5:5060"));
    let here = format!("<sip:.@192.0.2.1;lr;app=x;{NAMED}>");
    let there = format!("<sip:.@192.0.2.1;transport=tcp;lr;app=x;{NAMED}>");
    let mut invite = request(Method::Invite, "sip:bob@198.51.100.7;transport=tcp", &[VIA]);
    recorder(&listeners, &session, Some(&from), None).record(&mut invite);
    assert_eq!(written(&invite, HeaderName::RecordRoute), [there.clone(), here.clone()]);
    let onward = flow(1, Transport::Tcp, "198.51.100.7:40000");
    let mut invite = request(Method::Invite, "sip:bob@198.51.100.7", &[VIA]);
    recorder(&listeners, &session, Some(&from), Some(&onward)).record(&mut invite);
    assert_eq!(written(&invite, HeaderName::RecordRoute), [there, here.clone()]);
    // RFC 5626 §5.3.2: the caller's own Contact says that it can be reached over its flow alone.
    let contact = (HeaderName::Contact, "<sip:alice@203.0.113.5;ob>");
    let mut invite = request(Method::Invite, "sip:bob@198.51.100.7", &[VIA, contact]);
    recorder(&listeners, &session, Some(&from), None).record(&mut invite);
    assert_eq!(written(&invite, HeaderName::RecordRoute), [here.clone(), here]);
}

/// RFC 3261 §16.6 step 4.
#[test]
fn a_sips_request_is_recorded_with_sips_where_the_side_is_safe() {
    let (listeners, session, from) = (listeners(), session(), flow(3, Transport::Tls, "203.0.113.5:40000"));
    let two_hops = [VIA, VIA];
    let mut invite = request(Method::Invite, "sips:bob@198.51.100.7", &two_hops);
    recorder(&listeners, &session, Some(&from), None).record(&mut invite);
    let safe = format!("<sips:.@192.0.2.1:5061;transport=tls;lr;app=x;{NAMED}>");
    assert_eq!(written(&invite, HeaderName::RecordRoute), [safe]);
    let mut invite = request(Method::Invite, "sip:bob@198.51.100.7;transport=tls", &two_hops);
    recorder(&listeners, &session, Some(&from), None).record(&mut invite);
    assert!(written(&invite, HeaderName::RecordRoute)[0].starts_with("<sip:"));
}

#[test]
fn an_interface_that_the_application_has_chosen_is_the_one_that_is_recorded() {
    let (listeners, session, from) = (listeners(), session(), flow(0, Transport::Udp, "203.0.113.5:5060"));
    let chosen = Interface::Address("192.0.2.9".parse().unwrap());
    let mut invite = request(Method::Invite, "sip:bob@198.51.100.7", &[VIA]);
    Recorder { interface: Some(chosen), ..recorder(&listeners, &session, Some(&from), None) }.record(&mut invite);
    assert_eq!(
        written(&invite, HeaderName::RecordRoute),
        [format!("<sip:.@192.0.2.9;lr;app=x;{NAMED}>"), format!("<sip:.@192.0.2.1;lr;app=x;{NAMED}>")]
    );
    assert!(is_at(&listeners[2], chosen) && !is_at(&listeners[0], chosen));
    assert!(is_at(&listeners[0], Interface::Socket("192.0.2.1:5060".parse().unwrap())));
    assert!(!is_at(&listeners[0], Interface::Socket("192.0.2.1:5061".parse().unwrap())));
}

/// RFC 3327 §5.2, RFC 5626 §5.1.
#[test]
fn a_register_takes_our_address_along_and_a_first_hop_says_ob() {
    let (listeners, session, from) = (listeners(), session(), flow(0, Transport::Udp, "203.0.113.5:5060"));
    let own = |request: &mut Request| {
        Recorder { parameters: "", ..recorder(&listeners, &session, Some(&from), None) }.add_path(request);
        written(request, HeaderName::Path)
    };
    let contact = (HeaderName::Contact, "<sip:alice@203.0.113.5>;reg-id=1");
    assert_eq!(own(&mut request(Method::Register, "sip:example.com", &[VIA, contact])), ["<sip:.@192.0.2.1;lr;ob>"]);
    assert_eq!(own(&mut request(Method::Register, "sip:example.com", &[VIA, VIA, contact])), ["<sip:.@192.0.2.1;lr>"]);
}

#[test]
fn an_application_adds_parameters_and_changes_nothing_else() {
    let before = shown_uri(&listeners()[1], "").unwrap();
    assert_eq!(before.as_str(), "sip:192.0.2.1;transport=tcp;lr");
    let mut after = before.clone();
    after.set_parameter("app", "x y").unwrap();
    after.set_parameter("flag", "").unwrap();
    let parameters = changed_parameters(&before, &after).unwrap().unwrap();
    let shown = shown_uri(&listeners()[1], &parameters).unwrap();
    assert_eq!((shown.parameter("app").as_deref(), shown.parameter("flag").is_some()), (Some("x y"), true));
    assert_eq!(changed_parameters(&before, &before), Ok(None));
    for uri in [
        "sips:192.0.2.1;transport=tcp;lr",
        "sip:192.0.2.2;transport=tcp;lr",
        "sip:192.0.2.1:5070;transport=tcp;lr",
        "sip:192.0.2.1;transport=udp;lr",
        "sip:192.0.2.1;transport=tcp",
        "sip:192.0.2.1;transport=tcp;lr;maddr=192.0.2.2",
        "sip:192.0.2.1;transport=tcp;lr;cb=00",
        "sip:alice@192.0.2.1;transport=tcp;lr",
        "sip:192.0.2.1;transport=tcp;lr?Subject=x",
    ] {
        let refused = changed_parameters(&before, &ServletUri::parse(uri).unwrap());
        assert!(matches!(refused, Err(IllegalArgument::Uri(_))), "{uri}");
    }
}
