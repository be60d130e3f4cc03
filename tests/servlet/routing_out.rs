//! Requests that the router sends out and back (JSR 289 §15.4.1: ROUTE, ROUTE_BACK), and those that are aimed at a
//! session (§15.11).

use container::Container;
use servlet::RoutingDirective::{Continue, New};
use servlet::prelude::*;
use servlet::{RouterState, RoutingRegion, SipRouteModifier, SipTargetedRequestType};
use sip_message::HeaderName;

use crate::routing_support::{Log, Script, answering, doing, hop, marked, routed, to};
use crate::world::{BOB, Sent, World, cancel, invite, one, request, udp};

const SERVICE: &str = "sip:service@192.0.2.1";
const ELSEWHERE: &str = "198.51.100.20:5060";
const ROUTE: &str = "<sip:198.51.100.20;lr>";

fn to_bob() -> String {
    format!("sip:bob@{BOB}")
}

fn message(uri: &str, call_id: &str) -> String {
    request("MESSAGE", uri, call_id, "")
}

/// The request as the server elsewhere sends it on: to the next route, with its own Via on top.
fn sent_on(out: &Sent) -> String {
    let text = out.text.replacen("Route: <sip:198.51.100.20;lr>\r\n", "", 1);
    let via = format!("Via: SIP/2.0/UDP {ELSEWHERE};branch=z9hG4bK-elsewhere\r\n");
    text.replacen("Via: ", &(via + "Via: "), 1)
}

// ----- ROUTE_BACK -----

#[test]
fn a_request_that_comes_back_goes_on_where_it_left_with_region_and_state() {
    let mut away = routed(None, SipRouteModifier::RouteBack, &[ROUTE]);
    (away.region, away.state) = (RoutingRegion::TERMINATING, Some(RouterState::Number(42)));
    let script = Script::new([to("a"), away, to("b")]);
    let log = Log::default();
    let builder = Container::builder().application(hop("a", &log)).application(answering("b", &log));
    let mut world = World::with(builder.router(script.clone()));
    let out = one(world.alice(&message(SERVICE, "o1")));
    assert_eq!(out.to.to_string(), ELSEWHERE);
    script.asked();

    world.receive(&udp(ELSEWHERE), &sent_on(&out));
    let answer = world.only();
    assert_eq!((answer.status(), answer.to.to_string().as_str()), (200, ELSEWHERE));
    let asked = script.asked();
    assert_eq!((asked[0].directive, &asked[0].region), (Continue, &Some(RoutingRegion::TERMINATING)));
    assert_eq!(asked[0].state, Some(RouterState::Number(42)));
    assert_eq!(log.take(), ["a MESSAGE", "b MESSAGE"]);
}

#[test]
fn a_way_back_that_was_forged_or_belongs_to_another_call_begins_anew() {
    let mut away = routed(None, SipRouteModifier::RouteBack, &[ROUTE]);
    away.state = Some(RouterState::Number(42));
    let script = Script::new([to("a"), away]);
    let builder = Container::builder().application(hop("a", &Log::default()));
    let mut world = World::with(builder.router(script.clone()));
    let out = one(world.alice(&message(SERVICE, "o2")));
    script.asked();
    for (text, what) in [
        (sent_on(&out).replace("Call-ID: o2", "Call-ID: other"), "another call"),
        (sent_on(&out).replace("cbar=", "cbar=00").replace("Call-ID: o2", "Call-ID: third"), "nobody's"),
    ] {
        world.receive(&udp(ELSEWHERE), &text);
        let asked = script.asked();
        assert_eq!((asked[0].directive, &asked[0].region, &asked[0].state), (New, &None, &None), "{what}");
    }
}

// ----- before any application -----

#[test]
fn a_request_that_the_router_sends_elsewhere_at_once_is_forwarded_by_no_application() {
    let script = Script::new([routed(None, SipRouteModifier::Route, &[ROUTE, "<sip:198.51.100.21>"])]);
    let log = Log::default();
    let mut world = World::with(Container::builder().application(answering("a", &log)).router(script));
    let out = one(world.alice(&message(&to_bob(), "o3")));
    assert_eq!(out.all(HeaderName::Route), [ROUTE, "<sip:198.51.100.21;lr>"]);
    assert_eq!((out.uri(), out.first(HeaderName::MaxForwards)), (&*to_bob(), "69"));
    assert_eq!(out.all(HeaderName::Via).len(), 2);
    let answer = one(world.answer(&out, 200, "b", ""));
    assert_eq!((answer.status(), answer.all(HeaderName::Via).len()), (200, 1));
    assert!(log.take().is_empty());
    world.ends();
}

#[test]
fn what_was_sent_elsewhere_at_once_can_be_cancelled() {
    let script = Script::new([routed(None, SipRouteModifier::Route, &[ROUTE])]);
    let mut world = World::with(Container::builder().application(answering("a", &Log::default())).router(script));
    let out = one(world.alice(&invite(&to_bob(), "o4")));
    assert_eq!(one(world.answer(&out, 180, "b", "")).status(), 180);
    let sent = world.alice(&cancel(&to_bob(), "o4"));
    let methods: Vec<&str> = sent.iter().map(Sent::method).filter(|method| !method.is_empty()).collect();
    assert_eq!(methods, ["CANCEL"]);
    let refused = world.answer(&out, 487, "b", "");
    assert!(refused.iter().any(|sent| sent.status() == 487));
}

#[test]
fn what_was_sent_elsewhere_at_once_and_finds_nobody_there_is_answered() {
    let script = Script::new([routed(None, SipRouteModifier::Route, &["<sip:nobody.example;lr>"])]);
    let mut world = World::with(Container::builder().application(answering("a", &Log::default())).router(script));
    let refused = one(world.alice(&invite(&to_bob(), "o5")));
    assert_eq!(refused.status(), 502);
    assert!(!refused.to_tag().is_empty());
}

// ----- aimed at a session -----

/// §15.11.4: the router is told whose session is meant, and the session gets the request.
#[test]
fn a_request_to_an_encoded_uri_is_told_to_the_router_as_aimed_at_the_owner_of_the_session() {
    let log = Log::default();
    let seen = log.clone();
    let owner = doing("owner", move |request| {
        seen.add(request.application_session()?.id());
        request.create_response(StatusCode::OK)?.send()?;
        Ok(())
    });
    let script = Script::new([to("owner")]);
    let builder = Container::builder().application(answering("other", &log)).application(owner);
    let mut world = World::with(builder.router(script.clone()));
    let (id, uri) = world.act("owner", |context| {
        let call = context.sip_factory().create_application_session().unwrap();
        let mut uri = context.sip_factory().create_sip_uri(Some("service"), "192.0.2.1").unwrap();
        call.encode_uri(&mut uri).unwrap();
        (call.id(), uri.to_string())
    });
    assert_eq!(one(world.alice(&message(&uri, "o6"))).status(), 200);
    let asked = script.asked();
    let targeted = asked[0].targeted.as_ref().unwrap();
    assert_eq!((targeted.kind, &*targeted.application_name), (SipTargetedRequestType::EncodedUri, "owner"));
    assert_eq!(log.take(), [id]);
}

#[test]
fn a_router_that_chooses_another_than_the_owner_makes_a_session_of_its_own() {
    let log = Log::default();
    let seen = log.clone();
    let other = doing("other", move |request| {
        seen.add(request.application_session()?.id());
        Ok(())
    });
    let script = Script::new([marked("other", RoutingRegion::NEUTRAL, 1)]);
    let builder = Container::builder().application(other).application(answering("owner", &log));
    let mut world = World::with(builder.router(script));
    let (id, uri) = world.act("owner", |context| {
        let call = context.sip_factory().create_application_session().unwrap();
        let mut uri = context.sip_factory().create_sip_uri(Some("service"), "192.0.2.1").unwrap();
        call.encode_uri(&mut uri).unwrap();
        (call.id(), uri.to_string())
    });
    assert!(world.alice(&message(&uri, "o7")).is_empty());
    assert_ne!(log.take(), [id]);
    assert_eq!(world.load().application_sessions, 2);
}

#[test]
fn a_request_to_a_session_that_is_no_more_is_aimed_at_nobody() {
    let script = Script::new([to("a")]);
    let mut world =
        World::with(Container::builder().application(answering("a", &Log::default())).router(script.clone()));
    let uri = world.act("a", |context| {
        let call = context.sip_factory().create_application_session().unwrap();
        let mut uri = context.sip_factory().create_sip_uri(Some("service"), "192.0.2.1").unwrap();
        call.encode_uri(&mut uri).unwrap();
        call.invalidate().unwrap();
        uri.to_string()
    });
    assert_eq!(one(world.alice(&message(&uri, "o8"))).status(), 200);
    assert_eq!(script.asked()[0].targeted, None);
}
