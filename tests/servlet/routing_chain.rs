//! Chains of applications (JSR 289 §15.4, §15.8, §16.2, appendices B and C): the way there, the way back, and which
//! servlet of an application.

use std::sync::Arc;

use container::routing::dar::Direction;
use container::routing::{DefaultApplicationRouter, Entry, RuleRouter};
use container::{Container, Deployment};
use servlet::RoutingRegion;
use servlet::prelude::*;
use sip_message::HeaderName;

use crate::routing_support::{Log, Script, answering, doing, hop, recording_hop, to};
use crate::world::{BOB, World, in_dialog, invite, one, request};

const SERVICE: &str = "sip:service@192.0.2.1";

fn to_bob() -> String {
    format!("sip:bob@{BOB}")
}

fn message(uri: &str, call_id: &str) -> String {
    request("MESSAGE", uri, call_id, "")
}

fn dar(file: &str) -> Arc<DefaultApplicationRouter> {
    Arc::new(DefaultApplicationRouter::read(file).unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn responses_go_back_the_way_of_the_request_application_by_application() {
    let log = Log::default();
    let builder = Container::builder().application(hop("a", &log)).application(hop("b", &log));
    let mut world = World::with(builder);
    let out = one(world.alice(&invite(&to_bob(), "c1")));
    assert_eq!(log.take(), ["a INVITE", "b INVITE"]);
    let ringing = one(world.answer(&out, 180, "b", ""));
    assert_eq!(ringing.all(HeaderName::Via).len(), 1, "{}", ringing.text);
    world.answer(&out, 200, "b", "");
    assert_eq!(log.take(), ["b 180", "a 180", "b 200", "a 200"]);
}

#[test]
fn requests_of_the_dialog_visit_the_applications_that_have_recorded_themselves() {
    let log = Log::default();
    let builder = Container::builder()
        .application(recording_hop("a", &log))
        .application(hop("b", &log))
        .application(recording_hop("c", &log));
    let mut world = World::with(builder);
    let out = one(world.alice(&invite(&to_bob(), "c2")));
    let answer = one(world.answer(&out, 200, "b", ""));
    log.take();
    let ack = one(world.alice(&in_dialog("ACK", &answer, 1, "")));
    assert_eq!((ack.method(), ack.uri()), ("ACK", &*to_bob()));
    assert!(!ack.headers().contains(HeaderName::Route));
    assert_eq!(log.take(), ["a ACK", "c ACK"]);
    let bye = one(world.alice(&in_dialog("BYE", &answer, 2, "")));
    assert_eq!(one(world.answer(&bye, 200, "b", "")).status(), 200);
    assert_eq!(log.take(), ["a BYE", "c BYE", "c 200", "a 200"]);
    world.ends();
}

#[test]
fn an_application_in_the_middle_may_answer_itself() {
    let log = Log::default();
    let builder =
        Container::builder().application(hop("a", &log)).application(answering("b", &log)).application(hop("c", &log));
    let mut world = World::with(builder);
    assert_eq!(one(world.alice(&message(&to_bob(), "c3"))).status(), 200);
    assert_eq!(log.take(), ["a MESSAGE", "b MESSAGE", "a 200"]);
    world.ends();
}

/// §15.8.
#[test]
fn a_route_to_the_container_is_popped_and_the_first_one_is_shown_to_the_whole_chain() {
    fn look(request: &SipServletRequest) -> Result {
        let first = request.initial_popped_route().map(|route| route.to_string());
        assert_eq!(first.as_deref(), Some("<sip:192.0.2.1;lr;mode=loud>"));
        assert_eq!(request.header("Route"), None);
        Ok(())
    }
    let first = doing("first", |request| {
        look(&request)?;
        assert_eq!(request.popped_route(), request.initial_popped_route());
        assert_eq!(request.parameter("mode").as_deref(), Some("loud"));
        request.proxy()?.proxy_to(&request.request_uri())?;
        Ok(())
    });
    let second = doing("second", |request| {
        look(&request)?;
        assert_eq!(request.popped_route(), None, "nothing was popped between the two");
        request.create_response(StatusCode::OK)?.send()?;
        Ok(())
    });
    let mut world = World::with(Container::builder().application(first).application(second));
    let text = request("MESSAGE", &to_bob(), "c4", "Route: <sip:192.0.2.1;lr;mode=loud>\n");
    assert_eq!(one(world.alice(&text)).status(), 200);
    world.ends();
}

#[test]
fn a_route_to_somebody_else_stays_and_is_where_the_request_goes() {
    let mut world = World::with(Container::builder().application(hop("a", &Log::default())));
    let text = request("MESSAGE", SERVICE, "c5", "Route: <sip:192.0.2.1;lr>, <sip:198.51.100.30;lr>\n");
    let out = one(world.alice(&text));
    assert_eq!(out.all(HeaderName::Route), ["<sip:198.51.100.30;lr>"]);
    assert_eq!(out.to.to_string(), "198.51.100.30:5060");
}

// ----- which requests are initial: appendix B -----

#[test]
fn a_request_with_a_tag_of_no_dialog_is_answered_481_and_no_application_sees_it() {
    let (script, log) = (Script::new([to("a")]), Log::default());
    let mut world = World::with(Container::builder().application(answering("a", &log)).router(script.clone()));
    let text = message(SERVICE, "c6").replace(&format!("To: <{SERVICE}>"), &format!("To: <{SERVICE}>;tag=gone"));
    assert_eq!(one(world.alice(&text)).status(), 481);
    assert_eq!((script.asked().len(), log.take().len()), (0, 0));
    world.ends();
}

#[test]
fn bye_and_prack_begin_nothing() {
    let (script, log) = (Script::new([to("a")]), Log::default());
    let mut world = World::with(Container::builder().application(answering("a", &log)).router(script.clone()));
    for (method, more) in [("BYE", ""), ("PRACK", "RAck: 1 1 INVITE\n")] {
        let sent = one(world.alice(&request(method, SERVICE, &format!("c7-{method}"), more)));
        assert_eq!(sent.status(), 481, "{method}");
    }
    assert!(script.asked().is_empty());
    world.ends();
}

/// RFC 3261 §8.2.2.2.
#[test]
fn a_request_that_comes_a_second_time_by_another_way_is_answered_482() {
    let mut world = World::with(Container::builder().application(doing("a", |_| Ok(()))));
    assert!(world.alice(&invite(SERVICE, "c8")).is_empty());
    let merged = invite(SERVICE, "c8").replace("branch=z9hG4bK-", "branch=z9hG4bK-other-");
    assert_eq!(one(world.alice(&merged)).status(), 482);
}

// ----- routers that come with the container -----

/// Appendix C.
#[test]
fn the_default_application_router_leads_a_request_through_the_rows_of_its_method() {
    let log = Log::default();
    let router = dar("INVITE: (\"b\", \"DAR:To\", \"TERMINATING\", \"\", \"NO_ROUTE\", \"1\"), \
                              (\"a\", \"DAR:From\", \"ORIGINATING\", \"\", \"NO_ROUTE\", \"0\")\n\
                      ALL: (\"c\", \"DAR:From\", \"NEUTRAL\", \"\", \"NO_ROUTE\", \"0\")");
    let builder =
        Container::builder().application(hop("a", &log)).application(hop("b", &log)).application(answering("c", &log));
    let mut world = World::with(builder.router(router));
    world.alice(&invite(&to_bob(), "c9"));
    assert_eq!(log.take(), ["a INVITE", "b INVITE", "c INVITE", "b 200", "a 200"]);
    world.alice(&message(&to_bob(), "c10"));
    assert_eq!(log.take(), ["c MESSAGE"]);
}

#[test]
fn a_row_of_an_application_that_is_not_deployed_is_answered_for_with_500() {
    let router = dar("ALL: (\"missing\", \"DAR:From\", \"NEUTRAL\", \"\", \"NO_ROUTE\", \"0\")");
    let builder = Container::builder().application(answering("a", &Log::default())).router(router);
    assert_eq!(one(World::with(builder).alice(&message(SERVICE, "c11"))).status(), 500);
}

#[test]
fn a_new_router_counts_from_the_next_request_on() {
    let row = |name: &str| dar(&format!("ALL: (\"{name}\", \"DAR:From\", \"NEUTRAL\", \"\", \"NO_ROUTE\", \"0\")"));
    let log = Log::default();
    let builder = Container::builder().application(answering("a", &log)).application(answering("b", &log));
    let mut world = World::with(builder.router(row("a")));
    world.alice(&message(SERVICE, "c12"));
    world.container.set_router(row("b"));
    world.alice(&message(SERVICE, "c13"));
    assert_eq!(log.take(), ["a MESSAGE", "b MESSAGE"]);
}

#[test]
fn a_rule_router_leads_a_request_through_the_applications_whose_conditions_hold() {
    let log = Log::default();
    let router = RuleRouter::new([
        Entry::new("loud").predicate(|request| request.header("Subject").is_some()),
        Entry::new("outgoing").direction(Direction::Outbound),
        Entry::new("all").region(RoutingRegion::TERMINATING),
    ]);
    let builder = Container::builder()
        .application(answering("all", &log))
        .application(hop("loud", &log))
        .application(hop("outgoing", &log));
    let mut world = World::with(builder.router(Arc::new(router.unwrap())));
    world.alice(&message(SERVICE, "c14"));
    assert_eq!(log.take(), ["all MESSAGE"]);
    world.alice(&request("MESSAGE", SERVICE, "c15", "Subject: hello\n"));
    assert_eq!(log.take(), ["loud MESSAGE", "all MESSAGE", "loud 200"]);
    world.ends();
}

#[test]
fn without_a_router_a_request_visits_all_applications_in_the_order_of_deployment() {
    let log = Log::default();
    let builder =
        ["a", "b", "c"].iter().fold(Container::builder(), |builder, name| builder.application(hop(name, &log)));
    one(World::with(builder).alice(&message(&to_bob(), "c16")));
    assert_eq!(log.take(), ["a MESSAGE", "b MESSAGE", "c MESSAGE"]);
}

#[test]
fn without_a_router_what_an_application_begins_does_not_come_back_to_it() {
    let log = Log::default();
    let mut world = World::with(Container::builder().application(answering("a", &log)));
    world.act("a", |context| {
        let factory = context.sip_factory();
        let call = factory.create_application_session().unwrap();
        let to = format!("<{}>", to_bob());
        factory.create_request_from_text(&call, "MESSAGE", "<sip:a@192.0.2.1>", &to).unwrap().send().unwrap();
    });
    assert_eq!(one(world.sent()).uri(), to_bob());
    assert!(log.take().is_empty());
}

// ----- which servlet: §16.2 -----

struct Named(&'static str, Log);

impl SipServlet for Named {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        self.1.add(format!("{} {}", self.0, request.method()));
        if request.header("Subject").is_some() {
            request.session()?.set_handler("third")?;
        }
        if request.method() != Method::Ack {
            request.create_response(StatusCode::OK)?.send()?;
        }
        Ok(())
    }
}

fn three(log: &Log) -> SipApplication {
    ["first", "second", "third"]
        .into_iter()
        .fold(SipApplication::new("three"), |three, name| three.named_servlet(name, Named(name, log.clone())))
}

#[test]
fn the_main_servlet_gets_all_initial_requests() {
    let log = Log::default();
    let application = three(&log).main_servlet("second").servlet_mapping("first", |_| true);
    let mut world = World::new(application);
    world.alice(&message(SERVICE, "d1"));
    assert_eq!(log.take(), ["second MESSAGE"]);
}

#[test]
fn the_first_mapping_that_holds_counts_and_without_one_it_is_404() {
    let log = Log::default();
    let application = three(&log)
        .servlet_mapping("third", |request| request.method() == Method::Options)
        .servlet_mapping("second", |request| request.method() != Method::Message)
        .servlet_mapping("first", |request| request.method() != Method::Message);
    let mut world = World::new(application);
    for (method, status) in [("OPTIONS", 200), ("INFO", 200), ("MESSAGE", 404)] {
        assert_eq!(one(world.alice(&request(method, SERVICE, method, ""))).status(), status);
    }
    assert_eq!(log.take(), ["third OPTIONS", "second INFO"]);
}

#[test]
fn a_mapping_that_panics_is_answered_for_with_500() {
    let application = three(&Log::default()).servlet_mapping("first", |_| panic!("a mistake"));
    assert_eq!(one(World::new(application).alice(&message(SERVICE, "d2"))).status(), 500);
}

#[test]
fn the_handler_of_a_session_counts_more_than_the_main_servlet() {
    let log = Log::default();
    let mut world = World::with(Container::builder().application(Deployment::new(three(&log)).main_servlet("first")));
    let answer = one(world.alice(&request("INVITE", SERVICE, "d3", "Subject: third, please\n")));
    world.alice(&in_dialog("ACK", &answer, 1, ""));
    world.alice(&in_dialog("BYE", &answer, 2, ""));
    assert_eq!(log.take(), ["first INVITE", "third ACK", "third BYE"]);
    world.ends();
}
