//! Deployment (JSR 289 §2.1.1, §20): what `sip.xml` and the deployer make of an application.

use container::routing::sip_xml::SipXml;
use container::security::ConfiguredUsers;
use container::{Container, ContainerBuilder, Deployment, DeploymentMistake, Report};
use servlet::prelude::*;
use servlet::{
    Expiration, RouterState, RoutingDirective, RoutingRegion, SipApplicationRouter, SipApplicationRouterInfo,
    SipServletListener, SipTargetedRequestInfo,
};
use sip_dialog::digest::Secret;

use crate::routing_support::{Log, answering, doing, hop};
use crate::world::{BOB, World, in_dialog, invite, one, request};

const SERVICE: &str = "sip:service@192.0.2.1";

fn message(call_id: &str, more: &str) -> String {
    request("MESSAGE", SERVICE, call_id, more)
}

fn sip_xml(elements: &str) -> SipXml {
    let text = format!("<sip-app><app-name>voicemail</app-name>{elements}</sip-app>");
    SipXml::parse(&text).unwrap_or_else(|error| panic!("{error}"))
}

struct Named(&'static str, Log);

impl SipServlet for Named {
    fn init(&self, context: &ServletContext) -> Result {
        let size = context.init_parameter("size").unwrap_or_default();
        self.1.add(format!("{} begins with {size}", self.0));
        Ok(())
    }

    async fn do_message(&self, message: SipServletRequest) -> Result {
        self.1.add(format!("{} {:?}", self.0, message.application_session()?.expiration_time()?));
        message.create_response(StatusCode::OK)?.send()?;
        Ok(())
    }
}

fn voicemail(log: &Log) -> SipApplication {
    SipApplication::new("voicemail")
        .named_servlet("recorder", Named("recorder", log.clone()))
        .named_servlet("com.example.Player", Named("player", log.clone()))
}

fn deployed(application: SipApplication, elements: &str) -> ContainerBuilder {
    let deployment = Deployment::new(application).with_descriptor(&sip_xml(elements));
    Container::builder().application(deployment.unwrap_or_else(|error| panic!("{error}")))
}

const DESCRIPTOR: &str = "
    <servlet><servlet-name>recorder</servlet-name><servlet-class>com.example.Recorder</servlet-class></servlet>
    <servlet><servlet-name>player</servlet-name><servlet-class>com.example.Player</servlet-class></servlet>
    <servlet-selection>
      <servlet-mapping><servlet-name>player</servlet-name>
        <pattern><exists><var>request.uri.param.play</var></exists></pattern></servlet-mapping>
      <servlet-mapping><servlet-name>recorder</servlet-name>
        <pattern><equal><var>request.method</var><value>MESSAGE</value></equal></pattern></servlet-mapping>
    </servlet-selection>
    <context-param><param-name>size</param-name><param-value>7</param-value></context-param>
    <session-config><session-timeout>-1</session-timeout></session-config>";

#[test]
fn the_mappings_of_a_descriptor_choose_the_servlet_and_its_parameters_and_timeouts_hold() {
    let log = Log::default();
    let mut world = World::with(deployed(voicemail(&log), DESCRIPTOR));
    assert_eq!(log.take(), ["recorder begins with 7", "player begins with 7"]);
    world.alice(&message("a1", ""));
    world.alice(&request("MESSAGE", &format!("{SERVICE};play=1"), "a2", ""));
    let never = format!("{:?}", Expiration::Never);
    assert_eq!(log.take(), [format!("recorder {never}"), format!("player {never}")]);
    assert_eq!(one(world.alice(&request("OPTIONS", SERVICE, "a3", ""))).status(), 404);
}

#[test]
fn the_main_servlet_of_a_descriptor_counts_more_than_that_of_the_code() {
    let log = Log::default();
    let main = "<servlet-selection><main-servlet>com.example.Player</main-servlet></servlet-selection>";
    let mut world = World::with(deployed(voicemail(&log).main_servlet("recorder"), main));
    log.take();
    world.alice(&message("a4", ""));
    assert!(log.take()[0].starts_with("player "));
}

#[test]
fn the_constraints_of_a_descriptor_guard_its_servlets() {
    let constraint = "
        <servlet-selection><main-servlet>recorder</main-servlet></servlet-selection>
        <security-constraint>
          <resource-collection><resource-name>messages</resource-name><servlet-name>recorder</servlet-name>
            <sip-method>MESSAGE</sip-method></resource-collection>
          <proxy-authentication/>
          <auth-constraint><role-name>subscriber</role-name></auth-constraint>
        </security-constraint>
        <login-config><auth-method>DIGEST</auth-method><realm-name>mail.example.com</realm-name></login-config>";
    let log = Log::default();
    let deployment = Deployment::new(voicemail(&log)).with_descriptor(&sip_xml(constraint)).unwrap();
    let users = ConfiguredUsers::new().with("alice", Secret::Password("secret".into()), &["subscriber"]);
    let mut world = World::with(Container::builder().application(deployment.users(users)));
    let challenge = one(world.alice(&message("a5", "")));
    assert_eq!(challenge.status(), 407);
    assert!(challenge.text.contains("realm=\"mail.example.com\""), "{}", challenge.text);
    assert_eq!(one(world.alice(&request("OPTIONS", SERVICE, "a6", ""))).status(), 500, "nobody asks here");
}

/// A `proxy-timeout` of the descriptor's is in seconds.
#[test]
fn the_proxy_timeout_of_a_descriptor_ends_a_search() {
    let log = Log::default();
    let elements = "<proxy-config><proxy-timeout>10</proxy-timeout></proxy-config>";
    let mut world = World::with(deployed(hop("voicemail", &log), elements));
    let out = one(world.alice(&invite(&format!("sip:bob@{BOB}"), "a7")));
    world.answer(&out, 180, "b", "");
    world.pass(Duration::from_millis(9_900));
    assert!(world.sent().is_empty());
    world.pass(Duration::from_millis(200));
    assert!(world.sent().iter().any(|sent| sent.method() == "CANCEL"));
}

#[test]
fn a_container_of_mistakes_is_not_built() {
    let now = std::time::Instant::now();
    let mistake = |builder: ContainerBuilder| builder.build(now).err().unwrap().what;
    let log = Log::default();
    let twice = Container::builder().application(answering("a", &log)).application(hop("a", &log));
    assert_eq!(mistake(twice), DeploymentMistake::TwoApplications);
    let none = Container::builder().application(SipApplication::new("empty"));
    assert_eq!(mistake(none), DeploymentMistake::NoServlet);
}

#[test]
fn the_deployers_limit_of_sessions_is_answered_503_with_retry_after() {
    let deployment = Deployment::new(doing("idle", |_| Ok(()))).max_sessions(1);
    let mut world = World::with(Container::builder().application(deployment));
    assert!(world.alice(&invite(SERVICE, "b1")).is_empty());
    let refused = one(world.alice(&invite(SERVICE, "b2")));
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains(sip_message::HeaderName::RetryAfter));
}

/// §2.1.1: the order of a beginning.
#[test]
fn servlets_are_initialised_in_order_and_before_the_listeners_are_told() {
    struct Beginner(Log);
    impl SipServletListener for Beginner {
        async fn servlet_initialized(&self, _context: ServletContext) -> Result {
            self.0.add("listener".to_owned());
            Ok(())
        }
    }
    let log = Log::default();
    let application = voicemail(&log).main_servlet("recorder").init_parameter("size", "1");
    drop(World::new(application.servlet_listener(Beginner(log.clone()))));
    assert_eq!(log.take(), ["recorder begins with 1", "player begins with 1", "listener"]);
}

/// What could not begin gets nothing.
#[test]
fn an_application_whose_servlet_can_not_begin_is_answered_for_with_503() {
    struct Broken;
    impl SipServlet for Broken {
        fn init(&self, _context: &ServletContext) -> Result {
            Err("no database".into())
        }
    }
    let mut world = World::new(SipApplication::new("broken").servlet(Broken));
    assert_eq!(one(world.alice(&message("b3", ""))).status(), 503);
    world.ends();
}

#[test]
fn a_stopped_application_refuses_what_begins_and_goes_on_with_what_has_begun() {
    let log = Log::default();
    let mut world = World::new(answering("a", &log));
    let answer = one(world.alice(&invite(SERVICE, "b4")));
    world.alice(&in_dialog("ACK", &answer, 1, ""));
    world.container.stop("a");
    assert_eq!(one(world.alice(&message("b5", ""))).status(), 503);
    assert_eq!(one(world.alice(&in_dialog("BYE", &answer, 2, ""))).status(), 200);
    world.ends();
}

#[test]
fn what_an_application_does_is_counted() {
    let counters = std::sync::Arc::new(container::Counters::default());
    let counted = [("a".to_owned(), counters.clone())].into();
    let mut world = World::with(Container::builder().application(answering("a", &Log::default())).counters(counted));
    let answer = one(world.alice(&invite(SERVICE, "b6")));
    let figures = || Report::of([("a", &*counters)]).whole();
    assert_eq!((figures().sessions, figures().sip_sessions), (1, 1));
    world.alice(&in_dialog("ACK", &answer, 1, ""));
    world.alice(&in_dialog("BYE", &answer, 2, ""));
    world.ends();
    let figures = figures();
    assert_eq!((figures.sessions, figures.sessions_created, figures.sip_sessions), (0, 1, 0));
    assert_eq!(figures.all_requests_in(), 3, "INVITE, ACK and BYE");
    assert_eq!(figures.responses_out[1], 2);
}

/// A router that notes what it hears of deployment.
struct Noting(Log);

impl SipApplicationRouter for Noting {
    fn application_deployed(&self, names: &[String]) {
        self.0.add(format!("deployed {}", names.join(", ")));
    }

    fn application_undeployed(&self, names: &[String]) {
        self.0.add(format!("undeployed {}", names.join(", ")));
    }

    fn next_application(
        &self,
        _request: &SipServletRequest,
        _region: Option<&RoutingRegion>,
        _directive: RoutingDirective,
        _targeted: Option<&SipTargetedRequestInfo>,
        _state: Option<&RouterState>,
    ) -> Result<SipApplicationRouterInfo, Error> {
        Ok(SipApplicationRouterInfo::default())
    }
}

#[test]
fn the_router_hears_of_what_was_deployed_what_could_not_begin_and_what_is_stopped() {
    struct CannotBegin;
    impl SipServlet for CannotBegin {
        fn init(&self, _context: &ServletContext) -> Result {
            Err("no database".into())
        }
    }
    let log = Log::default();
    let builder = Container::builder()
        .application(SipApplication::new("good").servlet(Named("good", log.clone())))
        .application(SipApplication::new("bad").servlet(CannotBegin))
        .router(std::sync::Arc::new(Noting(log.clone())));
    let mut world = World::with(builder);
    world.container.stop("good");
    world.settle();
    assert_eq!(log.take(), ["good begins with ", "deployed good", "undeployed bad", "undeployed good"]);
}
