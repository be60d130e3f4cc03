//! Deployments: what a `sip.xml` adds to an application, and what is refused with which advice (JSR 289 §16.2, §20).

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

use container::routing::rules::Rule;
use container::routing::sip_xml::SipXml;
use container::security::{AllowedRoles, ConfiguredUsers, LoginConfig, SecurityConstraint};
use container::{Deployment, DeploymentMistake, DeploymentWarning};
use servlet::{Handlers, SipApplication, SipServlet};

struct Anything;

impl SipServlet for Anything {}

fn application(name: &str) -> SipApplication {
    SipApplication::new(name).servlet(Anything)
}

fn voicemail() -> SipApplication {
    SipApplication::new("voicemail").named_servlet("recorder", Anything).named_servlet("com.example.Player", Anything)
}

fn descriptor(elements: &str) -> SipXml {
    let text = format!("<sip-app><app-name>voicemail</app-name>{elements}</sip-app>");
    SipXml::parse(&text).unwrap_or_else(|error| panic!("{error}"))
}

const SERVLETS: &str = "
    <servlet><servlet-name>recorder</servlet-name><servlet-class>com.example.Recorder</servlet-class></servlet>
    <servlet><servlet-name>player</servlet-name><servlet-class>com.example.Player</servlet-class></servlet>";

fn described(elements: &str) -> Deployment {
    Deployment::new(voicemail()).with_descriptor(&descriptor(&format!("{SERVLETS}{elements}"))).unwrap()
}

fn mistake(deployment: impl Into<Deployment>) -> DeploymentMistake {
    deployment.into().check().unwrap_err().what
}

fn names(names: &[&str]) -> Vec<Box<str>> {
    names.iter().map(|name| Box::from(*name)).collect()
}

fn everything() -> Rule {
    Rule::Exists { var: "request.method".to_owned().try_into().unwrap() }
}

fn for_agents() -> SecurityConstraint {
    SecurityConstraint { roles: AllowedRoles::of_names(["agent"]), ..SecurityConstraint::default() }
}

#[test]
fn an_application_with_one_servlet_can_be_deployed_as_it_is() {
    assert_eq!(Deployment::new(application("echo")).check(), Ok(()));
}

#[test]
fn an_application_needs_a_name_and_a_servlet() {
    assert_eq!(mistake(application("")), DeploymentMistake::NoName);
    assert_eq!(mistake(application(" ")), DeploymentMistake::NoName);
    assert_eq!(mistake(SipApplication::new("empty")), DeploymentMistake::NoServlet);
}

#[test]
fn two_applications_of_one_name_are_refused() {
    let two = [application("a"), application("b"), application("a")].map(Deployment::from);
    let error = Deployment::check_all(&two).unwrap_err();
    assert_eq!((&*error.application, error.what), ("a", DeploymentMistake::TwoApplications));
    assert_eq!(Deployment::check_all(&two[..2]), Ok(()));
}

#[test]
fn a_mistake_of_one_application_is_found_among_many() {
    let two = [application("a"), SipApplication::new("b")].map(Deployment::from);
    assert_eq!(Deployment::check_all(&two).unwrap_err().to_string(), {
        "application `b`: it has no servlet: add one with `servlet`, or functions with `handlers`"
    });
}

#[test]
fn two_servlets_of_one_name_are_refused() {
    let twice = application("a").servlet(Anything);
    assert_eq!(mistake(twice), DeploymentMistake::TwoServlets("a".into()));
}

/// JSR 289 §16.2: with several servlets the main one or mappings have to be said.
#[test]
fn several_servlets_need_a_main_one_or_mappings() {
    let known = names(&["recorder", "com.example.Player"]);
    assert_eq!(mistake(voicemail()), DeploymentMistake::NoSelection(known));
    assert_eq!(Deployment::new(voicemail().main_servlet("recorder")).check(), Ok(()));
    assert_eq!(Deployment::new(voicemail()).main_servlet("recorder").check(), Ok(()));
    assert_eq!(Deployment::new(voicemail().servlet_mapping("recorder", |_| true)).check(), Ok(()));
    assert_eq!(Deployment::new(voicemail()).mapping(everything(), "recorder").check(), Ok(()));
}

#[test]
fn a_servlet_that_is_none_is_refused_with_those_that_there_are() {
    let known = names(&["recorder", "com.example.Player"]);
    let main = DeploymentMistake::UnknownMainServlet("recroder".into(), known.clone());
    assert_eq!(mistake(voicemail().main_servlet("recroder")), main);
    assert_eq!(mistake(Deployment::new(voicemail()).main_servlet("recroder")), main);
    let mapped = DeploymentMistake::UnknownMappedServlet("recroder".into(), known.clone());
    assert_eq!(mistake(voicemail().servlet_mapping("recroder", |_| true)), mapped);
    assert_eq!(mistake(Deployment::new(voicemail()).mapping(everything(), "recroder")), mapped);
    let constraint = SecurityConstraint { servlets: names(&["recroder"]), ..SecurityConstraint::default() };
    let protected = Deployment::new(voicemail().main_servlet("recorder")).constraint(constraint);
    assert_eq!(mistake(protected), DeploymentMistake::UnknownConstrainedServlet("recroder".into(), known));
    assert_eq!(
        Deployment::new(voicemail().main_servlet("recroder")).check().unwrap_err().to_string(),
        "application `voicemail`: the main servlet `recroder` is none: there is `recorder`, `com.example.Player`"
    );
}

#[test]
fn a_second_timer_listener_is_refused() {
    let twice = application("a").on_timer(|_| async { Ok(()) }).on_timer(|_| async { Ok(()) });
    assert_eq!(mistake(twice), DeploymentMistake::SecondTimerListener);
}

#[test]
fn two_handlers_for_the_same_messages_are_refused() {
    let handlers = Handlers::new().invite(|_| async { Ok(()) }).invite(|_| async { Ok(()) });
    let error = Deployment::new(SipApplication::new("a").handlers(handlers)).check().unwrap_err();
    assert!(matches!(error.what, DeploymentMistake::Ambiguous(_)), "{error}");
    assert!(error.to_string().contains("neither is more specific; join them"), "{error}");
}

#[test]
fn a_constraint_that_asks_for_roles_needs_a_login_and_users() {
    let constrained = Deployment::new(application("a")).constraint(for_agents());
    assert_eq!(mistake(constrained.clone()), DeploymentMistake::NoLogin);
    let with_login = constrained.login(LoginConfig::digest("example.com"));
    assert_eq!(mistake(with_login.clone()), DeploymentMistake::NoUsers);
    assert_eq!(with_login.users(ConfiguredUsers::new()).check(), Ok(()));
}

#[test]
fn a_constraint_that_asks_nobody_who_he_is_needs_neither() {
    let nobody = SecurityConstraint { roles: AllowedRoles::of_names([]), ..SecurityConstraint::default() };
    let deployment = Deployment::new(application("a")).constraint(SecurityConstraint::default()).constraint(nobody);
    assert_eq!(deployment.check(), Ok(()));
}

// ----- descriptors -----

#[test]
fn a_descriptor_is_for_the_application_of_its_name() {
    let error = Deployment::new(application("echo")).with_descriptor(&descriptor("")).unwrap_err();
    assert_eq!(error.what, DeploymentMistake::OtherName("voicemail".into()));
    assert!(Deployment::new(application("voicemail")).with_descriptor(&descriptor("")).is_ok());
}

#[test]
fn a_descriptor_names_an_application_that_has_no_name() {
    let deployment = Deployment::new(application("")).with_descriptor(&descriptor("")).unwrap();
    assert_eq!(deployment.name(), "voicemail");
    assert_eq!(deployment.check(), Ok(()));
}

#[test]
fn a_descriptor_finds_servlets_by_their_name_and_by_their_class() {
    for name in ["recorder", "player"] {
        let main = format!("<servlet-selection><main-servlet>{name}</main-servlet></servlet-selection>");
        assert_eq!(described(&main).check(), Ok(()));
    }
}

#[test]
fn the_only_servlet_of_both_is_the_same_whatever_it_is_called() {
    let xml = descriptor(
        "<servlet><servlet-name>main</servlet-name></servlet>
         <servlet-selection><main-servlet>main</main-servlet></servlet-selection>",
    );
    let deployment = Deployment::new(application("voicemail")).with_descriptor(&xml).unwrap();
    assert_eq!((deployment.check(), deployment.warnings()), (Ok(()), &[][..]));
    let two = Deployment::new(voicemail()).with_descriptor(&xml).unwrap_err();
    assert!(matches!(two.what, DeploymentMistake::UnknownMainServlet(..)));
}

#[test]
fn a_descriptor_that_refers_to_a_servlet_that_is_none_is_refused() {
    let pattern = "<pattern><exists><var>request.method</var></exists></pattern>";
    let known = names(&["recorder", "com.example.Player"]);
    for (elements, what) in [
        (
            "<servlet-selection><main-servlet>sorter</main-servlet></servlet-selection>".to_owned(),
            DeploymentMistake::UnknownMainServlet("sorter".into(), known.clone()),
        ),
        (
            format!(
                "<servlet-selection><servlet-mapping><servlet-name>sorter</servlet-name>{pattern}</servlet-mapping>\
                 </servlet-selection>"
            ),
            DeploymentMistake::UnknownMappedServlet("sorter".into(), known.clone()),
        ),
        (
            "<security-constraint><resource-collection><resource-name>all</resource-name>\
             <servlet-name>sorter</servlet-name></resource-collection></security-constraint>"
                .to_owned(),
            DeploymentMistake::UnknownConstrainedServlet("sorter".into(), known.clone()),
        ),
    ] {
        let xml = descriptor(&format!("{SERVLETS}{elements}"));
        assert_eq!(Deployment::new(voicemail()).with_descriptor(&xml).unwrap_err().what, what);
    }
}

#[test]
fn a_full_descriptor_is_taken_over_and_what_is_not_heeded_is_told() {
    let xml = SipXml::parse(include_str!("vectors/full-sip.xml")).unwrap_or_else(|error| panic!("{error}"));
    let application = SipApplication::new("voice & mail")
        .named_servlet("recorder", Anything)
        .named_servlet("com.example.Player", Anything);
    let deployment = Deployment::new(application).with_descriptor(&xml).unwrap();
    assert_eq!(mistake(deployment.clone()), DeploymentMistake::NoUsers);
    assert_eq!(deployment.clone().users(ConfiguredUsers::new()).check(), Ok(()));
    let told: Vec<String> = deployment.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        told[..3],
        [
            "listener `com.example.Sessions` is not heeded: listeners are registered in code, with SipApplication",
            "listener `com.example.Timers` is not heeded: listeners are registered in code, with SipApplication",
            "run-as `subscriber` of servlet `recorder` is not heeded: applications call nobody by role",
        ]
    );
    assert!(told[3..].iter().all(|line| line.ends_with(" is not heeded")), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("`resource-ref` in line ")), "{told:?}");
}

#[test]
fn what_a_descriptor_says_in_vain_is_told() {
    let warnings = |elements: &str| described(elements).warnings().to_vec();
    assert_eq!(warnings(""), []);
    assert_eq!(
        warnings("<servlet><servlet-name>sorter</servlet-name></servlet>"),
        [DeploymentWarning::Servlet("sorter".into())]
    );
    let constraint =
        "<security-constraint><resource-collection><resource-name>all</resource-name></resource-collection>
        <auth-constraint><role-name>agent</role-name><role-name>*</role-name></auth-constraint></security-constraint>";
    assert_eq!(warnings(constraint), [DeploymentWarning::UndeclaredRole("agent".into())]);
    let login = "<login-config><auth-method>DIGEST</auth-method><identity-assertion>
        <identity-assertion-scheme>Identity</identity-assertion-scheme></identity-assertion></login-config>";
    assert_eq!(warnings(login), [DeploymentWarning::IdentityNotVerified]);
}

#[test]
fn a_parameter_with_two_values_has_the_applications_or_that_of_the_first_servlet() {
    let servlet = |name: &str, value: &str| {
        format!(
            "<servlet><servlet-name>{name}</servlet-name><init-param><param-name>size</param-name>\
             <param-value>{value}</param-value></init-param></servlet>"
        )
    };
    let xml = |first: &str, second: &str| descriptor(&(servlet("recorder", first) + &servlet("player", second)));
    let application =
        || SipApplication::new("voicemail").named_servlet("recorder", Anything).named_servlet("player", Anything);
    let same = Deployment::new(application()).with_descriptor(&xml("1", "1")).unwrap();
    assert_eq!(same.warnings(), []);
    let other = Deployment::new(application()).with_descriptor(&xml("1", "2")).unwrap();
    let (servlet, name) = ("player".into(), "size".into());
    assert_eq!(other.warnings(), [DeploymentWarning::Parameter { servlet, name }]);
}
