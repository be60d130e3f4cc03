//! What a shard makes of a deployment. What a deployment refuses is in `tests/deployment.rs`.

use servlet::{Handlers, SipServlet};

use super::*;
use crate::security::AllowedRoles;

struct Anything;

impl SipServlet for Anything {}

fn one() -> SipApplication {
    SipApplication::new("one").servlet(Anything)
}

fn two() -> SipApplication {
    SipApplication::new("two").named_servlet("first", Anything).named_servlet("second", Anything)
}

fn deployed(deployment: Deployment) -> Deployed {
    assert_eq!(deployment.check(), Ok(()));
    deployment.into_deployed(AppId(3), &Settings::default(), Arc::default())
}

fn invites() -> Rule {
    let var = "request.method".to_owned().try_into().unwrap();
    Rule::Equal { var, value: "INVITE".into(), ignore_case: false }
}

fn mapped(deployed: &Deployed) -> Vec<u16> {
    deployed.mappings.iter().map(|(place, _)| *place).collect()
}

/// JSR 289 §16.2.
#[test]
fn the_only_servlet_is_the_main_one() {
    assert_eq!(deployed(one().into()).main, Some(0));
    let functions = SipApplication::new("functions").handlers(Handlers::new().bye(|_| async { Ok(()) }));
    assert_eq!(deployed(functions.into()).main, Some(0));
}

#[test]
fn the_only_servlet_is_not_the_main_one_when_it_is_mapped() {
    let by_author = deployed(one().servlet_mapping("one", |_| false).into());
    assert_eq!((by_author.main, mapped(&by_author)), (None, vec![0]));
    let by_deployer = deployed(Deployment::new(one()).mapping(invites(), "one"));
    assert_eq!((by_deployer.main, mapped(&by_deployer)), (None, vec![0]));
}

#[test]
fn the_deployers_mappings_come_before_the_authors() {
    let author = two().servlet_mapping("first", |_| true).servlet_mapping("second", |_| true);
    let both = deployed(Deployment::new(author).mapping(invites(), "second"));
    assert_eq!(mapped(&both), [1, 0, 1]);
}

#[test]
fn the_deployers_choice_counts_more_than_the_authors() {
    assert_eq!(deployed(two().main_servlet("first").into()).main, Some(0));
    assert_eq!(deployed(Deployment::new(two().main_servlet("first")).main_servlet("second")).main, Some(1));
    let mappings = deployed(Deployment::new(two().main_servlet("first")).mapping(invites(), "second"));
    assert_eq!((mappings.main, mapped(&mappings)), (None, vec![1]));
}

#[test]
fn times_and_limits_are_the_deployers_then_the_authors_then_the_containers() {
    let containers = deployed(one().into());
    let settings = Settings::default();
    assert_eq!(containers.lifetime, settings.session_timeout);
    assert_eq!(containers.proxy_timeout, settings.proxy_timeout);
    assert_eq!(containers.max_sessions, settings.max_sessions);

    let application = one().session_timeout(Minutes(7)).proxy_timeout(Duration::from_secs(8)).max_sessions(9);
    let authors = deployed(application.clone().into());
    assert_eq!(authors.lifetime, Some(Duration::from_secs(420)));
    assert_eq!((authors.proxy_timeout, authors.max_sessions), (Duration::from_secs(8), 9));

    let deployers = Deployment::new(application).session_timeout(Minutes(0)).proxy_timeout(Duration::from_secs(1));
    let deployers = deployed(deployers.max_sessions(2));
    assert_eq!(deployers.lifetime, None);
    assert_eq!((deployers.proxy_timeout, deployers.max_sessions), (Duration::from_secs(1), 2));
}

#[test]
fn the_deployers_parameter_takes_the_place_of_the_authors() {
    let application = one().init_parameter("greeting", "hello").init_parameter("language", "en");
    let deployed = deployed(Deployment::new(application).init_parameter("greeting", "welcome"));
    let parameters = &deployed.application.parts.init_parameters;
    assert_eq!(parameters.get("greeting").map(String::as_str), Some("welcome"));
    assert_eq!(parameters.get("language").map(String::as_str), Some("en"));
}

#[test]
fn an_application_without_constraints_has_no_gate() {
    assert!(deployed(one().into()).security.is_none());
    let constraint = SecurityConstraint { roles: AllowedRoles::of_names([]), ..SecurityConstraint::default() };
    assert!(deployed(Deployment::new(one()).constraint(constraint)).security.is_some());
}

#[test]
fn a_deployment_serves_every_shard() {
    fn is_shared<T: Clone + Send + Sync>(_: &T) {}
    let deployment = Deployment::new(one()).users(ConfiguredUsers::new());
    is_shared(&deployment);
    let counters = Arc::new(Counters::default());
    let settings = Settings::default();
    let first = deployment.clone().into_deployed(AppId(0), &settings, Arc::clone(&counters));
    let second = deployment.into_deployed(AppId(0), &settings, Arc::clone(&counters));
    first.counters.sessions.add(1);
    second.counters.sessions.add(1);
    assert_eq!(counters.sessions.get(), 2);
}
