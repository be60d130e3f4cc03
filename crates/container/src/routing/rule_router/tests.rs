use servlet::RegionType;
use sip_message::{HeaderName, Method, Request, UriBuf};

use super::*;

fn message(to: &str) -> Request {
    let mut request = Request::new(Method::Message, &UriBuf::parse(to).unwrap());
    request.headers_mut().push(HeaderName::From, "<sip:alice@example.com>;tag=1").unwrap();
    request
}

/// An entry for requests to this host.
fn to_host(application: &str, host: &str) -> Entry {
    let var = "request.uri.host".to_owned().try_into().unwrap();
    Entry::new(application).rule(Rule::Equal { var, value: host.into(), ignore_case: false })
}

struct Walk {
    router: RuleRouter,
    request: Request,
    origin: Direction,
    region: Option<RoutingRegion>,
    state: Option<RouterState>,
}

impl Walk {
    fn of(entries: impl IntoIterator<Item = Entry>) -> Walk {
        let router = RuleRouter::new(entries).unwrap();
        let request = message("sip:bob@example.com");
        Walk { router, request, origin: Direction::Inbound, region: None, state: None }
    }

    fn asked(&mut self, directive: RoutingDirective, targeted: Option<&str>) -> SipApplicationRouterInfo {
        let (origin, region, state) = (self.origin, self.region.as_ref(), self.state.as_ref());
        let question = Question { origin, region, directive, targeted, state };
        let rule_holds = |entry: &Entry| entry.rule.as_ref().is_none_or(|rule| rule.matches(&self.request));
        let info = self.router.choose(&question, rule_holds, |subscriber| subscriber.of(&self.request));
        (self.region, self.state) = (Some(info.region.clone()), info.state.clone());
        info
    }

    fn next(&mut self, directive: RoutingDirective) -> Option<String> {
        self.asked(directive, None).next_application.map(|name| name.to_string())
    }

    /// All that a request visits from here on.
    fn all(&mut self, first: RoutingDirective) -> Vec<String> {
        let first = self.next(first);
        std::iter::successors(first, |_| self.next(RoutingDirective::Continue)).collect()
    }
}

#[test]
fn a_request_visits_the_applications_that_it_is_for_in_the_order_of_the_list() {
    let mut walk = Walk::of([
        Entry::new("screening"),
        to_host("voicemail", "example.org"),
        to_host("forwarding", "example.com"),
        Entry::new("proxy"),
    ]);
    assert_eq!(walk.all(RoutingDirective::New), ["screening", "forwarding", "proxy"]);
}

/// JSR 289 §15.4.1: a router without a further application says so by giving none.
#[test]
fn a_request_that_nobody_is_for_gets_no_application() {
    assert_eq!(Walk::of([to_host("voicemail", "example.org")]).asked(RoutingDirective::New, None), Default::default());
    assert_eq!(Walk::of([]).next(RoutingDirective::New), None);
}

#[test]
fn new_begins_with_the_first_entry_whatever_was_visited_before() {
    let mut walk = Walk::of([Entry::new("screening"), Entry::new("proxy")]);
    assert_eq!(walk.all(RoutingDirective::New).len(), 2);
    assert_eq!(walk.next(RoutingDirective::New).unwrap(), "screening");
}

#[test]
fn what_a_request_is_for_is_asked_anew_at_each_step() {
    let mut walk = Walk::of([to_host("a", "example.com"), to_host("b", "example.com"), to_host("c", "example.org")]);
    assert_eq!(walk.next(RoutingDirective::New).unwrap(), "a");
    walk.request = message("sip:bob@example.org");
    assert_eq!(walk.all(RoutingDirective::Continue), ["c"]);
}

#[test]
fn an_application_that_stands_in_the_list_twice_is_visited_once() {
    let mut walk = Walk::of([Entry::new("a"), to_host("b", "example.org"), Entry::new("a"), Entry::new("b")]);
    assert_eq!(walk.all(RoutingDirective::New), ["a", "b"]);
}

#[test]
fn a_reversed_request_visits_neither_the_one_that_asks_nor_its_side_of_the_call() {
    let mut walk = Walk::of([
        Entry::new("logger"),
        Entry::new("screening").region(RoutingRegion::ORIGINATING),
        Entry::new("callback").region(RoutingRegion::ORIGINATING),
        Entry::new("ringback").region(RoutingRegion::TERMINATING),
        Entry::new("callback").region(RoutingRegion::TERMINATING),
    ]);
    for _ in 0..3 {
        walk.next(RoutingDirective::Continue);
    }
    assert_eq!(walk.region.as_ref().unwrap().region_type(), Some(RegionType::Originating));
    assert_eq!(walk.all(RoutingDirective::Reverse), ["logger", "ringback"]);
}

#[test]
fn a_neutral_application_that_reverses_leaves_out_itself_alone() {
    let mut walk = Walk::of([Entry::new("a").region(RoutingRegion::TERMINATING), Entry::new("b")]);
    assert_eq!(walk.all(RoutingDirective::New), ["a", "b"]);
    let mut walk = Walk { state: None, ..walk };
    walk.next(RoutingDirective::New);
    assert_eq!(walk.next(RoutingDirective::Continue).unwrap(), "b");
    assert_eq!(walk.all(RoutingDirective::Reverse), ["a"]);
}

/// An application that begins a call of its own does not get it itself.
#[test]
fn an_entry_for_what_has_begun_outside_is_not_for_what_an_application_begins() {
    let mut walk = Walk::of([
        Entry::new("callback").direction(Direction::Inbound),
        Entry::new("billing").direction(Direction::Outbound),
        Entry::new("proxy").direction(Direction::Inbound),
    ]);
    assert_eq!(walk.all(RoutingDirective::New), ["callback", "proxy"]);
    walk.origin = Direction::Outbound;
    assert_eq!(walk.all(RoutingDirective::New), ["billing"]);
    walk.origin = Direction::Inbound;
    walk.next(RoutingDirective::New);
    assert_eq!(walk.all(RoutingDirective::Reverse), ["billing"]);
}

/// The other leg of a B2BUA is a request of its own, and still the same call.
#[test]
fn what_has_begun_outside_stays_so_when_an_application_goes_on_with_it() {
    let mut walk = Walk::of(["a", "b"].map(|name| Entry::new(name).direction(Direction::Inbound)));
    assert_eq!(walk.next(RoutingDirective::New).unwrap(), "a");
    walk.origin = Direction::Outbound;
    assert_eq!(walk.next(RoutingDirective::Continue).unwrap(), "b");
}

/// JSR 289 §15.11: the router is told whose session is meant.
#[test]
fn what_is_aimed_at_a_session_goes_to_its_owner_and_then_behind_it() {
    let mut walk = Walk::of([Entry::new("screening"), to_host("conference", "example.org"), Entry::new("proxy")]);
    let info = walk.asked(RoutingDirective::New, Some("conference"));
    assert_eq!(info.next_application.as_deref(), Some("conference"));
    assert_eq!(walk.all(RoutingDirective::Continue), ["proxy"]);
}

#[test]
fn an_owner_that_stands_in_no_entry_gets_what_is_aimed_at_it_and_is_the_last() {
    let mut walk = Walk::of([Entry::new("screening")]);
    assert_eq!(walk.asked(RoutingDirective::New, Some("conference")).next_application.as_deref(), Some("conference"));
    assert_eq!(walk.next(RoutingDirective::Continue), None);
}

#[test]
fn an_application_is_told_its_region_and_its_subscriber() {
    let from = SubscriberUri::header("From").unwrap();
    let mut walk = Walk::of([Entry::new("a").region(RoutingRegion::ORIGINATING).subscriber(from)]);
    let info = walk.asked(RoutingDirective::New, None);
    assert_eq!(info.region, RoutingRegion::ORIGINATING);
    assert_eq!(info.subscriber_uri.unwrap().to_string(), "sip:alice@example.com");
}

#[test]
fn a_list_is_as_long_as_its_state_can_count() {
    let entries = |count: usize| (0..count).map(|number| Entry::new(&number.to_string()));
    let mut longest = Walk::of(entries(RuleRouter::MAX_APPLICATIONS));
    assert_eq!(longest.all(RoutingDirective::New).len(), RuleRouter::MAX_APPLICATIONS);
    assert_eq!(RuleRouter::new(entries(RuleRouter::MAX_APPLICATIONS + 1)).unwrap_err(), TooManyEntries);
    let same = |count: usize| std::iter::repeat_n(Entry::new("a"), count);
    assert!(RuleRouter::new(same(RuleRouter::MAX_ENTRIES)).is_ok());
    assert_eq!(RuleRouter::new(same(RuleRouter::MAX_ENTRIES + 1)).unwrap_err(), TooManyEntries);
}

#[test]
fn a_state_of_another_list_leads_to_no_application_that_is_not_there() {
    let mut walk = Walk::of([Entry::new("a")]);
    walk.state = Some(Chain { next: 7, ..Chain::begun(Direction::Inbound) }.state());
    assert_eq!(walk.next(RoutingDirective::Continue), None);
    walk.state = Some(Chain { next: 7, ..Chain::begun(Direction::Inbound) }.state());
    assert_eq!(walk.next(RoutingDirective::Reverse).unwrap(), "a");
}

#[derive(Debug, serde::Deserialize)]
struct Routes {
    route: Vec<Entry>,
}

#[test]
fn entries_are_read_from_a_configuration_file() {
    let text = r#"
        [[route]]
        application = "forwarding"
        rule = { equal = { var = "request.method", value = "INVITE" } }
        region = "terminating"
        subscriber = "request.to"
        direction = "inbound"

        [[route]]
        application = "proxy"
    "#;
    let routes: Routes = toml::from_str(text).unwrap();
    let [forwarding, proxy] = &routes.route[..] else { panic!("{routes:?}") };
    assert_eq!(forwarding.application(), "forwarding");
    assert_eq!(
        (forwarding.region.clone(), forwarding.direction),
        (RoutingRegion::TERMINATING, Some(Direction::Inbound))
    );
    assert_eq!(forwarding.subscriber, SubscriberUri::header("To").unwrap_or_default());
    assert!(!forwarding.rule.as_ref().unwrap().matches(&message("sip:bob@example.com")));
    assert_eq!((proxy.region.clone(), proxy.direction, &proxy.rule), (RoutingRegion::NEUTRAL, None, &None));
}

#[test]
fn an_entry_with_a_mistake_in_it_is_refused() {
    for (line, told) in [
        ("application = \"\"", "needs the name"),
        ("region = \"neutral\"", "missing field `application`"),
        ("application = \"a\"\nregion = \"NEUTRAL\"", "unknown variant"),
        ("application = \"a\"\nwhen = \"later\"", "unknown field `when`"),
        ("application = \"a\"\nsubscriber = \"two words\"", "expected request.uri"),
        ("application = \"a\"\ndirection = \"sideways\"", "unknown variant"),
    ] {
        let error = toml::from_str::<Routes>(&format!("[[route]]\n{line}")).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
