//! The default application router, JSR 289 appendix C and §15.4.1: whom a request visits next.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

use container::routing::dar::{DarMistake, Direction};
use container::routing::{DefaultApplicationRouter, Overlooked, OverlookedPart, Reload, Reloaded};
use servlet::RoutingDirective::{Continue, New, Reverse};
use servlet::{
    RouterState, RoutingDirective, RoutingRegion, SipApplicationRouterInfo, SipRouteModifier, SipTargetedRequestInfo,
    SipTargetedRequestType,
};
use sip_message::{HeaderName, Method, Request, UriBuf};

/// A row that says no more than it must.
fn row(application: &str, region: &str, order: u32) -> String {
    format!("(\"{application}\", \"DAR:From\", \"{region}\", \"\", \"NO_ROUTE\", \"{order}\")")
}

fn request(method: Method) -> Request {
    let mut request = Request::new(method, &UriBuf::parse("sip:bob@example.com").unwrap());
    request.headers_mut().push(HeaderName::From, "\"Alice\" <sip:alice@example.com>;tag=1").unwrap();
    request.headers_mut().push(HeaderName::To, "<sip:bob@example.com>").unwrap();
    request
}

/// A request on its way through the applications.
struct Walk {
    router: DefaultApplicationRouter,
    method: Method,
    origin: Direction,
    region: Option<RoutingRegion>,
    state: Option<RouterState>,
}

impl Walk {
    fn of(file: &str) -> Walk {
        let router = DefaultApplicationRouter::read(file).unwrap_or_else(|error| panic!("{error}"));
        Walk { router, method: Method::Invite, origin: Direction::Inbound, region: None, state: None }
    }

    fn asked(&mut self, directive: RoutingDirective, target: Option<&str>) -> SipApplicationRouterInfo {
        let targeted = target.map(|name| SipTargetedRequestInfo {
            kind: SipTargetedRequestType::EncodedUri,
            application_name: name.to_owned(),
        });
        let (request, region, state) = (request(self.method.clone()), self.region.as_ref(), self.state.as_ref());
        let info = self.router.choose(&request, self.origin, region, directive, targeted.as_ref(), state);
        (self.region, self.state) = (Some(info.region.clone()), info.state.clone());
        info
    }

    fn next(&mut self, directive: RoutingDirective) -> Option<String> {
        self.asked(directive, None).next_application.map(|name| name.to_string())
    }

    fn all(&mut self, first: RoutingDirective) -> Vec<String> {
        let first = self.next(first);
        std::iter::successors(first, |_| self.next(Continue)).collect()
    }
}

#[test]
fn a_request_visits_the_rows_of_its_method_by_their_order_and_then_those_for_any() {
    let invite = [row("second", "NEUTRAL", 2), row("first", "NEUTRAL", 1)].join(",");
    let mut walk = Walk::of(&format!("INVITE: {invite}\nALL: {}", row("logger", "NEUTRAL", 0)));
    assert_eq!(walk.all(New), ["first", "second", "logger"]);
    walk.method = Method::Message;
    assert_eq!(walk.all(New), ["logger"]);
}

#[test]
fn a_request_of_a_method_without_rows_visits_nobody() {
    let mut walk = Walk::of(&format!("INVITE: {}", row("a", "NEUTRAL", 0)));
    walk.method = Method::Register;
    assert_eq!(walk.asked(New, None), SipApplicationRouterInfo::default());
}

#[test]
fn an_application_may_be_visited_for_the_caller_and_for_the_callee() {
    let rows = [row("a", "ORIGINATING", 0), row("b", "ORIGINATING", 1), row("a", "TERMINATING", 2)].join(",");
    let mut walk = Walk::of(&format!("INVITE: {rows}"));
    assert_eq!(walk.all(New), ["a", "b", "a"]);
}

#[test]
fn an_application_is_told_region_subscriber_route_and_modifier_of_its_row() {
    let mut walk = Walk::of(
        "INVITE: (\"a\", \"DAR:To\", \"TERMINATING\", \"sip:border.example.com;lr\", \"ROUTE_BACK\", \"0\"),\
                 (\"b\", \"sip:shop@example.com\", \"NEUTRAL\", \"\", \"NO_ROUTE\", \"1\")",
    );
    let a = walk.asked(New, None);
    assert_eq!(a.region, RoutingRegion::TERMINATING);
    assert_eq!(a.subscriber_uri.unwrap().to_string(), "sip:bob@example.com");
    assert_eq!(a.route_modifier, SipRouteModifier::RouteBack);
    assert_eq!(a.routes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["<sip:border.example.com;lr>"]);
    let b = walk.asked(Continue, None);
    assert_eq!(b.subscriber_uri.unwrap().to_string(), "sip:shop@example.com");
    assert_eq!((b.routes.len(), b.route_modifier), (0, SipRouteModifier::NoRoute));
}

/// An addition of an existing container, as the rest of the seventh string.
#[test]
fn a_direction_keeps_a_row_to_requests_from_outside_or_from_inside() {
    let with = |application: &str, option: &str| {
        format!("(\"{application}\", \"DAR:From\", \"NEUTRAL\", \"\", \"NO_ROUTE\", \"0\", \"{option}\")")
    };
    let rows = [with("in", "DIRECTION=INBOUND"), with("out", "DIRECTION=OUTBOUND"), row("both", "NEUTRAL", 1)];
    let mut walk = Walk::of(&format!("INVITE: {}", rows.join(",")));
    assert_eq!(walk.all(New), ["in", "both"]);
    walk.origin = Direction::Outbound;
    assert_eq!(walk.all(New), ["out", "both"]);
}

/// The other leg of a B2BUA is a request of its own, and still the same call.
#[test]
fn what_has_come_from_outside_stays_so_when_an_application_goes_on_with_it() {
    let with = |application: &str, order: u32| {
        format!("(\"{application}\", \"\", \"NEUTRAL\", \"\", \"NO_ROUTE\", \"{order}\", \"DIRECTION=INBOUND\")")
    };
    let mut walk = Walk::of(&format!("INVITE: {}, {}", with("a", 0), with("b", 1)));
    assert_eq!(walk.next(New).unwrap(), "a");
    walk.origin = Direction::Outbound;
    assert_eq!(walk.next(Continue).unwrap(), "b");
}

#[test]
fn new_begins_with_the_first_row_whatever_was_visited_before() {
    let mut walk = Walk::of(&format!("INVITE: {}, {}", row("a", "NEUTRAL", 0), row("b", "NEUTRAL", 1)));
    assert_eq!(walk.all(New), ["a", "b"]);
    assert_eq!(walk.next(New).unwrap(), "a");
}

#[test]
fn a_reversed_request_visits_neither_the_one_that_asks_nor_its_side_of_the_call() {
    let rows = [
        row("logger", "NEUTRAL", 0),
        row("screening", "ORIGINATING", 1),
        row("callback", "ORIGINATING", 2),
        row("callback", "TERMINATING", 3),
        row("ringback", "TERMINATING", 4),
        row("voicemail", "TERMINATING", 5),
    ];
    let mut walk = Walk::of(&format!("INVITE: {}", rows.join(",")));
    for _ in 0..3 {
        walk.next(Continue);
    }
    assert_eq!(walk.all(Reverse), ["logger", "ringback", "voicemail"]);
}

#[test]
fn a_reversed_request_of_another_method_does_not_come_back_to_the_one_that_asks() {
    let invite = format!("INVITE: {}", row("callback", "NEUTRAL", 0));
    let message = [row("filter", "NEUTRAL", 0), row("callback", "NEUTRAL", 1)].join(",");
    let mut walk = Walk::of(&format!("{invite}\nMESSAGE: {message}"));
    assert_eq!(walk.next(New).unwrap(), "callback");
    walk.method = Method::Message;
    assert_eq!(walk.all(Reverse), ["filter"]);
}

#[test]
fn a_request_that_goes_on_with_another_method_goes_on_behind_the_one_that_asks() {
    let invite = format!("INVITE: {}, {}", row("a", "NEUTRAL", 0), row("b", "NEUTRAL", 1));
    let message = [row("b", "NEUTRAL", 0), row("a", "NEUTRAL", 1), row("c", "NEUTRAL", 2)].join(",");
    let mut walk = Walk::of(&format!("{invite}\nMESSAGE: {message}\nINFO: {}", row("d", "NEUTRAL", 0)));
    assert_eq!(walk.next(New).unwrap(), "a");
    let state = walk.state.clone();
    walk.method = Method::Message;
    assert_eq!(walk.all(Continue), ["c"]);
    (walk.method, walk.state) = (Method::Info, state);
    assert_eq!(walk.all(Continue), ["d"]);
}

/// JSR 289 §15.11: the router is told whose session is meant.
#[test]
fn what_is_aimed_at_a_session_goes_to_its_owner_and_then_behind_its_row() {
    let rows = [row("a", "NEUTRAL", 0), row("b", "TERMINATING", 1), row("c", "NEUTRAL", 2)].join(",");
    let mut walk = Walk::of(&format!("INVITE: {rows}"));
    let info = walk.asked(New, Some("b"));
    assert_eq!((info.next_application.as_deref(), info.region), (Some("b"), RoutingRegion::TERMINATING));
    assert_eq!(walk.all(Continue), ["c"]);
    assert_eq!(walk.asked(New, Some("stranger")).next_application.as_deref(), Some("stranger"));
    assert_eq!(walk.next(Continue), None);
}

#[test]
fn a_state_that_this_router_has_not_written_leads_to_no_row_that_is_not_there() {
    let mut walk = Walk::of(&format!("INVITE: {}", row("a", "NEUTRAL", 0)));
    walk.state = Some(RouterState::Number(u64::MAX));
    assert!(walk.all(Continue).len() <= 1);
    walk.state = Some(RouterState::Octets(vec![1, 2, 3].into()));
    assert!(walk.all(Reverse).len() <= 1);
}

/// §15.4.1: the container answers 500 then.
#[test]
fn applications_that_are_not_deployed_are_chosen_and_can_be_told_before() {
    let mut walk = Walk::of(&format!("INVITE: {}\nALL: {}", row("a", "NEUTRAL", 0), row("b", "NEUTRAL", 0)));
    assert_eq!(walk.next(New).unwrap(), "a");
    assert_eq!(walk.router.missing(&["b"]), ["a"]);
    assert_eq!(walk.router.missing(&[]), ["a", "b"]);
    assert!(walk.router.missing(&["b", "a", "c"]).is_empty());
}

#[test]
fn what_is_not_heeded_is_told_once_with_its_line() {
    let router = DefaultApplicationRouter::read(
        "INVITE: (\"a\", \"Alice\", \"NEUTRAL\", \"\", \"NO_ROUTE\", \"0\")\n\
         MESSAGE: (\"a\", \"\", \"NEUTRAL\", \"\", \"NO_ROUTE\", \"0\")\n\
         ALL: (\"a\", \"DAR:From\", \"NEUTRAL\", \"\", \"NO_ROUTE\", \"0\", \"REGEX=From:.*\")",
    )
    .unwrap();
    let option = OverlookedPart::Option { key: "REGEX".into(), value: "From:.*".into() };
    assert_eq!(
        router.overlooked(),
        [
            Overlooked { line: 1, what: OverlookedPart::Subscriber("Alice".into()) },
            Overlooked { line: 3, what: option },
        ]
    );
}

// ----- the file is read again -----

fn file(application: &str) -> String {
    format!("INVITE: {}", row(application, "NEUTRAL", 0))
}

#[test]
fn a_file_that_has_changed_gives_a_router_of_its_own() {
    let mut reload = Reload::new(file("a")).unwrap();
    assert!(matches!(reload.again(file("a")), Reloaded::Unchanged));
    let Reloaded::Changed(router) = reload.again(file("b")) else { panic!() };
    assert_eq!(router.missing(&[]), ["b"]);
    assert_eq!(reload.router().missing(&[]), ["b"]);
}

#[test]
fn a_file_with_a_mistake_leaves_the_router_that_is_there_and_is_told_once() {
    let mut reload = Reload::new(file("a")).unwrap();
    let Reloaded::Refused(mistake) = reload.again("INVTE: ()".into()) else { panic!() };
    assert!(matches!(mistake.what, DarMistake::Method(_) | DarMistake::Expected { .. }), "{mistake}");
    assert_eq!(reload.mistake(), Some(&mistake));
    assert_eq!(reload.router().missing(&[]), ["a"]);
    assert!(matches!(reload.again("INVTE: ()".into()), Reloaded::Unchanged));
    assert!(matches!(reload.again(file("a")), Reloaded::Changed(_)));
    assert_eq!(reload.mistake(), None);
}

#[test]
fn the_first_file_has_to_be_right() {
    assert!(Reload::new("INVITE:".into()).is_err());
}

#[test]
fn a_request_on_its_way_finds_its_place_in_a_changed_file() {
    let mut walk = Walk::of(&format!("INVITE: {}, {}", row("a", "NEUTRAL", 0), row("b", "NEUTRAL", 1)));
    assert_eq!(walk.next(New).unwrap(), "a");
    let rows = [row("first", "NEUTRAL", 0), row("a", "NEUTRAL", 1), row("c", "NEUTRAL", 2)].join(",");
    walk.router = DefaultApplicationRouter::read(&format!("INVITE: {rows}")).unwrap();
    assert_eq!(walk.all(Continue), ["c"]);
}
