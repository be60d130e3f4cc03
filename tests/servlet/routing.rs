//! Application routing (JSR 289 §15.1, §15.4): what the router is asked, and what becomes of its answers.

use container::Container;
use servlet::RoutingDirective::{Continue, New, Reverse};
use servlet::prelude::*;
use servlet::{IllegalState, RouterState, RoutingRegion, SipRouteModifier, SipServletListener};
use sip_message::HeaderName;

use crate::routing_support::{Asked, Log, Script, answering, doing, hop, marked, routed, to};
use crate::world::{BOB, World, invite, one, request};

const SERVICE: &str = "sip:service@192.0.2.1";

fn to_bob() -> String {
    format!("sip:bob@{BOB}")
}

fn message(uri: &str, call_id: &str) -> String {
    request("MESSAGE", uri, call_id, "")
}

// ----- what the router is asked -----

#[test]
fn a_request_from_outside_is_asked_about_without_region_and_state() {
    let script = Script::new([to("a")]);
    let mut world =
        World::with(Container::builder().application(answering("a", &Log::default())).router(script.clone()));
    assert_eq!(one(world.alice(&message(SERVICE, "r1"))).status(), 200);
    let line = format!("MESSAGE {SERVICE}");
    assert_eq!(script.asked(), [Asked { line, region: None, directive: New, targeted: None, state: None }]);
    world.ends();
}

#[test]
fn a_request_that_an_application_proxies_goes_on_with_region_and_state() {
    let script = Script::new([marked("a", RoutingRegion::ORIGINATING, 7), marked("b", RoutingRegion::TERMINATING, 8)]);
    let log = Log::default();
    let builder = Container::builder().application(hop("a", &log)).application(answering("b", &log));
    let mut world = World::with(builder.router(script.clone()));
    assert_eq!(one(world.alice(&message(SERVICE, "r2"))).status(), 200);
    let asked = script.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!((asked[1].directive, &asked[1].region), (Continue, &Some(RoutingRegion::ORIGINATING)));
    assert_eq!(asked[1].state, Some(RouterState::Number(7)));
    world.ends();
}

#[test]
fn the_other_leg_of_a_b2bua_goes_on_with_region_and_state() {
    let script = Script::new([marked("a", RoutingRegion::ORIGINATING, 7)]);
    let application = doing("a", |request| {
        let leg = request.b2bua_helper()?.create_request(&request, true, None)?;
        leg.set_request_uri(&Uri::parse(&format!("sip:bob@{BOB}"))?)?;
        assert_eq!(leg.routing_directive()?, Continue);
        leg.send()?;
        Ok(())
    });
    let mut world = World::with(Container::builder().application(application).router(script.clone()));
    let leg = one(world.alice(&invite(SERVICE, "r3")));
    assert_eq!(leg.uri(), to_bob());
    let asked = script.asked();
    assert_eq!((asked[1].directive, &asked[1].region), (Continue, &Some(RoutingRegion::ORIGINATING)));
    assert_eq!(asked[1].state, Some(RouterState::Number(7)));
}

/// A request of the application `a`, made while it handles one.
fn making(directive: Option<servlet::RoutingDirective>) -> SipApplication {
    doing("a", move |request| {
        request.create_response(StatusCode::OK)?.send()?;
        let call = request.application_session()?;
        let factory = call.servlet_context()?.sip_factory();
        let made =
            factory.create_request_from_text(&call, "MESSAGE", "<sip:a@192.0.2.1>", &format!("<sip:bob@{BOB}>"))?;
        if let Some(directive) = directive {
            made.set_routing_directive(directive, Some(&request))?;
            assert_eq!(made.routing_directive()?, directive);
        }
        made.send()?;
        Ok(())
    })
}

#[test]
fn a_request_of_the_factory_begins_anew() {
    let script = Script::new([marked("a", RoutingRegion::ORIGINATING, 7)]);
    let mut world = World::with(Container::builder().application(making(None)).router(script.clone()));
    world.alice(&message(SERVICE, "r4"));
    let asked = script.asked();
    assert_eq!((asked[1].directive, &asked[1].region, &asked[1].state), (New, &None, &None));
}

#[test]
fn a_request_that_is_set_to_go_on_or_back_is_asked_about_with_what_the_original_had() {
    for directive in [Continue, Reverse] {
        let script = Script::new([marked("a", RoutingRegion::TERMINATING, 9)]);
        let builder = Container::builder().application(making(Some(directive)));
        let mut world = World::with(builder.router(script.clone()));
        world.alice(&message(SERVICE, "r5"));
        let asked = script.asked();
        assert_eq!((asked[1].directive, &asked[1].region), (directive, &Some(RoutingRegion::TERMINATING)));
        assert_eq!(asked[1].state, Some(RouterState::Number(9)));
    }
}

/// "IllegalStateException if … the request is not initial, the origRequest is not initial, or was sent already".
#[test]
fn a_directive_is_for_new_requests_and_refers_to_a_request_that_has_begun_a_session() {
    let application = doing("a", |request| {
        let not_initial = Err(Error::IllegalState(IllegalState::NotInitial));
        assert_eq!(request.set_routing_directive(New, None), not_initial, "it came from somebody else");
        let call = request.application_session()?;
        let factory = call.servlet_context()?.sip_factory();
        let made =
            factory.create_request_from_text(&call, "MESSAGE", "<sip:a@192.0.2.1>", &format!("<sip:bob@{BOB}>"))?;
        assert_eq!(made.set_routing_directive(Continue, None), not_initial);
        assert_eq!(made.set_routing_directive(Reverse, Some(&made)), not_initial, "it was not received");
        assert_eq!(made.routing_directive()?, New, "what was refused has changed nothing");
        made.set_routing_directive(Continue, Some(&request))?;
        made.send()?;
        let committed = Err(Error::IllegalState(IllegalState::Committed));
        assert_eq!(made.set_routing_directive(New, None), committed);
        request.create_response(StatusCode::OK)?.send()?;
        Ok(())
    });
    let script = Script::new([to("a")]);
    let mut world = World::with(Container::builder().application(application).router(script.clone()));
    let sent = world.alice(&message(SERVICE, "r6"));
    assert_eq!(sent.iter().filter(|sent| sent.status() == 200).count(), 1);
    assert_eq!(script.directives(), [New, Continue]);
}

#[test]
fn a_request_of_a_dialog_is_not_the_routers_business() {
    let script = Script::new([to("a")]);
    let mut world =
        World::with(Container::builder().application(answering("a", &Log::default())).router(script.clone()));
    let answer = one(world.alice(&invite(SERVICE, "r7")));
    world.alice(&crate::world::in_dialog("ACK", &answer, 1, ""));
    assert_eq!(one(world.alice(&crate::world::in_dialog("BYE", &answer, 2, ""))).status(), 200);
    assert_eq!(script.asked().len(), 1);
    world.ends();
}

/// "The request object … MUST NOT be modified by the AR".
#[test]
fn the_router_may_only_read_a_request() {
    let script = Script::looking("a", |request| {
        assert_eq!(request.set_header("Subject", "hello"), Err(Error::IllegalState(IllegalState::ReadOnly)));
        assert!(request.set_request_uri(&request.request_uri()).is_err());
        assert!(request.is_initial());
    });
    let log = Log::default();
    let mut world = World::with(Container::builder().application(answering("a", &log)).router(script));
    assert_eq!(one(world.alice(&message(SERVICE, "r8"))).status(), 200);
    world.ends();
}

/// Deployment (§2.1.1): servlets are initialised, the router is told, and then the applications.
#[test]
fn the_router_hears_of_the_applications_before_they_may_begin() {
    struct Broken;
    impl SipServlet for Broken {
        fn init(&self, _context: &ServletContext) -> Result {
            Err("no database".into())
        }
    }
    struct Beginner(Log);
    impl SipServletListener for Beginner {
        async fn servlet_initialized(&self, _context: ServletContext) -> Result {
            self.0.add("begun".to_owned());
            Ok(())
        }
    }
    let (script, log) = (Script::new([]), Log::default());
    let broken = SipApplication::new("broken").servlet(Broken);
    let builder = Container::builder()
        .application(answering("a", &log).servlet_listener(Beginner(log.clone())))
        .application(broken.servlet_listener(Beginner(log.clone())));
    let world = World::with(builder.router(script.clone()));
    assert_eq!(*script.deployed.lock().unwrap(), ["a"], "what could not be initialised is not deployed");
    assert_eq!(log.take(), ["begun"]);
    drop(world);
}

// ----- what becomes of an answer -----

#[test]
fn a_router_that_fails_is_answered_for_with_500() {
    let script = Script::failing(Error::IllegalState(IllegalState::Router));
    let mut world = World::with(Container::builder().application(answering("a", &Log::default())).router(script));
    assert_eq!(one(world.alice(&message(SERVICE, "s1"))).status(), 500);
    world.ends();
}

#[test]
fn a_router_that_panics_is_answered_for_with_500_and_others_go_on() {
    let script = Script::looking("a", |request| assert!(!request.call_id().contains("bad"), "a mistake"));
    let mut world = World::with(Container::builder().application(answering("a", &Log::default())).router(script));
    assert_eq!(one(world.alice(&message(SERVICE, "bad"))).status(), 500);
    assert_eq!(one(world.alice(&message(SERVICE, "good"))).status(), 200);
    world.ends();
}

#[test]
fn an_application_that_is_not_deployed_is_answered_for_with_500() {
    let script = Script::new([to("elsewhere")]);
    let mut world = World::with(Container::builder().application(answering("a", &Log::default())).router(script));
    assert_eq!(one(world.alice(&message(SERVICE, "s2"))).status(), 500);
    world.ends();
}

/// Nobody may use a container as an open relay, hence for foreign Request-URIs too.
#[test]
fn a_request_from_outside_that_no_application_is_for_is_answered_404_without_retry_after() {
    let builder = Container::builder().application(answering("a", &Log::default())).router(Script::new([]));
    let mut world = World::with(builder);
    for (uri, call_id) in [(SERVICE.to_owned(), "s3"), (to_bob(), "s4")] {
        let refused = one(world.alice(&message(&uri, call_id)));
        assert_eq!(refused.status(), 404);
        assert!(!refused.headers().contains(HeaderName::RetryAfter));
    }
    world.ends();
}

#[test]
fn a_request_of_an_application_that_no_further_one_is_for_goes_out() {
    let script = Script::new([to("a")]);
    let log = Log::default();
    let mut world = World::with(Container::builder().application(hop("a", &log)).router(script.clone()));
    let out = one(world.alice(&message(&to_bob(), "s5")));
    assert_eq!((out.method(), out.uri()), ("MESSAGE", &*to_bob()));
    assert_eq!(script.directives(), [New, Continue]);
    assert_eq!(one(world.answer(&out, 200, "b", "")).status(), 200);
    world.ends();
}

#[test]
fn a_request_that_an_application_begins_for_this_container_and_that_nobody_is_for_gets_404() {
    let log = Log::default();
    let mut world = World::with(Container::builder().application(hop("a", &log)).router(Script::new([])));
    world.act("a", |context| {
        let factory = context.sip_factory();
        let call = factory.create_application_session().unwrap();
        let to = format!("<{SERVICE}>");
        factory.create_request_from_text(&call, "MESSAGE", "<sip:a@192.0.2.1>", &to).unwrap().send().unwrap();
    });
    assert!(world.sent().is_empty());
    assert_eq!(log.take(), ["a 404"]);
    world.ends();
}

/// Contacts may name the container itself; whether that is a spiral or a loop is told by the Via (RFC 5393 §4.2).
#[test]
fn a_request_that_an_application_proxies_to_this_container_comes_back_by_the_network() {
    let log = Log::default();
    let mut world = World::with(Container::builder().application(hop("a", &log)).router(Script::new([to("a")])));
    let out = one(world.alice(&message(SERVICE, "s6")));
    assert_eq!((out.to.to_string().as_str(), out.uri()), ("192.0.2.1:5060", SERVICE));
}

#[test]
fn an_application_that_does_nothing_with_a_request_has_it_all_the_same() {
    let script = Script::new([to("idle"), to("b")]);
    let log = Log::default();
    let builder = Container::builder().application(doing("idle", |_| Ok(()))).application(answering("b", &log));
    let mut world = World::with(builder.router(script.clone()));
    assert!(world.alice(&message(&to_bob(), "s7")).is_empty());
    assert_eq!((script.directives(), log.take()), (vec![New], vec![]));
}

#[test]
fn region_and_subscriber_are_told_to_the_application_and_kept_by_its_session() {
    let application = doing("a", |request| {
        let alice = Some(Uri::parse("sip:alice@elsewhere.example")?);
        assert_eq!(request.region()?, RoutingRegion::ORIGINATING);
        assert_eq!(request.subscriber_uri()?, alice);
        let session = request.session()?;
        assert_eq!((session.region()?, session.subscriber_uri()?), (RoutingRegion::ORIGINATING, alice));
        request.create_response(StatusCode::OK)?.send()?;
        Ok(())
    });
    let mut info = marked("a", RoutingRegion::ORIGINATING, 0);
    info.subscriber_uri = Some(Uri::parse("sip:alice@elsewhere.example").unwrap());
    let mut world = World::with(Container::builder().application(application).router(Script::new([info])));
    assert_eq!(one(world.alice(&message(SERVICE, "s8"))).status(), 200);
    world.ends();
}

// ----- routes of the router's -----

#[test]
fn external_routes_are_pushed_so_that_the_first_is_on_top_and_the_request_leaves() {
    let routes = ["<sip:198.51.100.20:5070>", "<sip:198.51.100.21>"];
    let script = Script::new([to("a"), routed(Some("b"), SipRouteModifier::Route, &routes)]);
    let log = Log::default();
    let builder = Container::builder().application(hop("a", &log)).application(answering("b", &log));
    let mut world = World::with(builder.router(script));
    let out = one(world.alice(&message(&to_bob(), "t1")));
    assert_eq!(out.all(HeaderName::Route), ["<sip:198.51.100.20:5070;lr>", "<sip:198.51.100.21;lr>"]);
    assert_eq!((out.to.to_string().as_str(), out.uri()), ("198.51.100.20:5070", &*to_bob()));
    assert_eq!(log.take(), ["a MESSAGE"], "the next application is not asked");
}

#[test]
fn a_request_that_is_to_come_back_has_the_containers_route_below_the_external_ones() {
    let routes = ["<sip:198.51.100.20;lr>"];
    let script = Script::new([to("a"), routed(None, SipRouteModifier::RouteBack, &routes)]);
    let log = Log::default();
    let mut world = World::with(Container::builder().application(hop("a", &log)).router(script));
    let out = one(world.alice(&message(&to_bob(), "t2")));
    let all = out.all(HeaderName::Route);
    assert_eq!((all.len(), all[0]), (2, "<sip:198.51.100.20;lr>"));
    assert!(all[1].contains("192.0.2.1") && all[1].contains(";lr"), "{}", all[1]);
}

#[test]
fn routes_without_a_modifier_are_nothing() {
    let script = Script::new([to("a"), routed(None, SipRouteModifier::NoRoute, &["<sip:198.51.100.20;lr>"])]);
    let mut world = World::with(Container::builder().application(hop("a", &Log::default())).router(script));
    let out = one(world.alice(&message(&to_bob(), "t3")));
    assert!(!out.headers().contains(HeaderName::Route));
}

#[test]
fn an_internal_route_is_shown_to_the_next_application_as_popped_and_the_rest_is_nothing() {
    let application = doing("a", |request| {
        let popped = request.popped_route().map(|route| route.to_string());
        assert_eq!(popped.as_deref(), Some("<sip:mode-7@192.0.2.1;lr>"));
        assert_eq!(request.initial_popped_route(), None);
        assert_eq!(request.header("Route"), None);
        request.create_response(StatusCode::OK)?.send()?;
        Ok(())
    });
    let routes = ["<sip:mode-7@192.0.2.1;lr>", "<sip:198.51.100.20;lr>"];
    let script = Script::new([routed(Some("a"), SipRouteModifier::Route, &routes)]);
    let mut world = World::with(Container::builder().application(application).router(script));
    assert_eq!(one(world.alice(&message(SERVICE, "t4"))).status(), 200);
    world.ends();
}
