//! Who may use an application (`security-constraint`, `login-config` of SIP Servlet 1.1; RFC 3261 §22, RFC 8760,
//! RFC 3325), and credentials of the application's own (`addAuthHeader`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use container::security::{
    AllowedRoles, ConfiguredUsers, IdentityAssertion, IdentityScheme, IdentitySupport, LoginConfig, LookUp,
    SecurityConstraint, StoreError, TransportGuarantee, TrustDomain, User, UserStore,
};
use container::{Container, ContainerBuilder, Deployment, Settings};
use servlet::prelude::*;
use sip_dialog::digest::{Account, DigestClient, Secret};
use sip_message::{HeaderName, Limits, Message, parse_datagram};

use crate::routing_support::{Log, answering, doing, hop};
use crate::world::{BOB, Sent, World, cancel, in_dialog, invite, one, request, udp};

const SERVICE: &str = "sip:service@192.0.2.1";
const REALM: &str = "example.com";
/// A peer whose word is taken.
const EDGE: &str = "203.0.113.5:5060";

fn users() -> ConfiguredUsers {
    let password = |text: &str| Secret::Password(text.into());
    ConfiguredUsers::new().with("alice", password("open sesame"), &["agent", "guest"]).with(
        "carol",
        password("secret"),
        &["guest"],
    )
}

fn for_agents() -> SecurityConstraint {
    SecurityConstraint { roles: AllowedRoles::of_names(["agent"]), ..SecurityConstraint::default() }
}

/// The application with this constraint, a digest login and the users above.
fn guarded(application: SipApplication, constraint: SecurityConstraint) -> Deployment {
    Deployment::new(application).constraint(constraint).login(LoginConfig::digest(REALM)).users(users())
}

fn world(deployment: Deployment) -> World {
    World::with(Container::builder().application(deployment))
}

/// Tells who is there.
fn greeter(log: &Log) -> SipApplication {
    let log = log.clone();
    doing("greeter", move |request| {
        let roles = ["agent", "guest", "boss"].map(|role| request.is_user_in_role(role));
        log.add(format!("{} {:?} {roles:?}", request.method(), request.remote_user().unwrap_or_default()));
        assert_eq!(request.user_principal().map(|known| known.name.to_string()), request.remote_user());
        if request.method() != Method::Ack {
            request.create_response(StatusCode::OK)?.send()?;
        }
        Ok(())
    })
}

/// The same request once more, with credentials.
fn signed(text: &str, challenge: &Sent, user: &str, password: &str) -> String {
    let cseq: u32 = text.split("CSeq: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let again = text
        .replace(&format!("CSeq: {cseq} "), &format!("CSeq: {} ", cseq + 1))
        .replace("branch=z9hG4bK-", &format!("branch=z9hG4bK-{}-", cseq + 1));
    let octets = Bytes::from(again.replace('\n', "\r\n"));
    let Ok(Message::Request(mut request)) = parse_datagram(octets, &Limits::default()) else { panic!("{again}") };
    let secret = Secret::Password(password.into());
    let account = Account { realm: REALM.into(), username: user.into(), secret, next_hop: None };
    DigestClient::new([account]).answer(&mut request, challenge.response().unwrap(), "0a4f113b5c6d7e8f").unwrap();
    let headers = request.headers();
    let (name, value) = match headers.first(HeaderName::Authorization) {
        Some(_) => ("Authorization", headers.fields_of(HeaderName::Authorization).next()),
        None => ("Proxy-Authorization", headers.fields_of(HeaderName::ProxyAuthorization).next()),
    };
    again.replacen("Content-Length", &format!("{name}: {}\nContent-Length", value.unwrap()), 1)
}

fn message(call_id: &str) -> String {
    request("MESSAGE", SERVICE, call_id, "")
}

// ----- passwords -----

#[test]
fn who_shows_no_credentials_is_challenged_and_the_application_sees_nothing() {
    let log = Log::default();
    let mut world = world(guarded(greeter(&log), for_agents()));
    let challenge = one(world.alice(&message("a1")));
    assert_eq!(challenge.status(), 401);
    assert!(!challenge.to_tag().is_empty());
    assert!(challenge.headers().fields_of(HeaderName::WwwAuthenticate).all(|value| value.contains(REALM)));
    assert_eq!(world.load().application_sessions, 0, "and there is no session for it");
    assert!(log.take().is_empty());
    world.ends();
}

/// RFC 8760 §2.4: the strongest first.
#[test]
fn sha_256_is_offered_before_md5() {
    let mut world = world(guarded(greeter(&Log::default()), for_agents()));
    let challenge = one(world.alice(&message("a2")));
    let offered: Vec<&str> = challenge.headers().fields_of(HeaderName::WwwAuthenticate).collect();
    assert_eq!(offered.len(), 2);
    assert!(offered[0].contains("SHA-256") && offered[1].contains("MD5"), "{offered:?}");
}

#[test]
fn who_knows_the_password_is_known_to_the_application_with_his_roles() {
    let log = Log::default();
    let mut world = world(guarded(greeter(&log), for_agents()));
    let challenge = one(world.alice(&message("a3")));
    let passed = one(world.alice(&signed(&message("a3"), &challenge, "alice", "open sesame")));
    assert_eq!(passed.status(), 200);
    assert_eq!(log.take(), ["MESSAGE \"alice\" [true, true, false]"]);
    world.ends();
}

#[test]
fn a_wrong_password_and_a_user_who_does_not_exist_get_the_same_answer() {
    let mut world = world(guarded(greeter(&Log::default()), for_agents()));
    for (call_id, user) in [("a4", "alice"), ("a5", "mallory")] {
        let challenge = one(world.alice(&message(call_id)));
        let refused = one(world.alice(&signed(&message(call_id), &challenge, user, "wrong")));
        assert_eq!(refused.status(), 401, "{user}");
    }
    world.ends();
}

#[test]
fn a_user_who_is_not_in_the_role_is_forbidden() {
    let log = Log::default();
    let mut world = world(guarded(greeter(&log), for_agents()));
    let challenge = one(world.alice(&message("a6")));
    let refused = one(world.alice(&signed(&message("a6"), &challenge, "carol", "secret")));
    assert_eq!(refused.status(), 403);
    assert!(log.take().is_empty());
    world.ends();
}

/// `proxy-authentication`.
#[test]
fn a_constraint_may_ask_as_a_proxy_does() {
    let constraint = SecurityConstraint { proxy_authentication: true, ..for_agents() };
    let log = Log::default();
    let mut world = world(guarded(greeter(&log), constraint));
    let challenge = one(world.alice(&message("a7")));
    assert_eq!(challenge.status(), 407);
    assert!(challenge.headers().contains(HeaderName::ProxyAuthenticate));
    assert_eq!(one(world.alice(&signed(&message("a7"), &challenge, "alice", "open sesame"))).status(), 200);
    world.ends();
}

/// RFC 7616 §3.3: a nonce count is good once.
#[test]
fn credentials_that_were_shown_before_are_not_taken_again() {
    let log = Log::default();
    let mut world = world(guarded(greeter(&log), for_agents()));
    let challenge = one(world.alice(&message("a8")));
    let credentials = signed(&message("a8"), &challenge, "alice", "open sesame");
    assert_eq!(one(world.alice(&credentials)).status(), 200);
    let replayed = credentials.replace("branch=z9hG4bK-", "branch=z9hG4bK-replayed-").replace("CSeq: 2", "CSeq: 3");
    let refused = one(world.alice(&replayed));
    assert_eq!(refused.status(), 401);
    assert_eq!(log.take().len(), 1);
}

#[test]
fn a_constraint_is_for_its_methods_and_servlets() {
    let log = Log::default();
    let servlets = ["open", "closed"].into_iter().fold(SipApplication::new("a"), |application, name| {
        let (log, name) = (log.clone(), name.to_owned());
        let heard = name.clone();
        application.named_servlet(
            &name,
            Handlers::new().any_method(move |request: SipServletRequest| {
                log.add(format!("{heard} {}", request.method()));
                async move {
                    request.create_response(StatusCode::OK)?.send()?;
                    Ok(())
                }
            }),
        )
    });
    let application = servlets
        .servlet_mapping("closed", |request| request.header("Subject").is_some())
        .servlet_mapping("open", |_| true);
    let constraint =
        SecurityConstraint { servlets: vec!["closed".into()], methods: vec![Method::Message], ..for_agents() };
    let mut world = world(guarded(application, constraint));
    assert_eq!(one(world.alice(&message("a9"))).status(), 200);
    assert_eq!(one(world.alice(&request("OPTIONS", SERVICE, "a10", "Subject: x\n"))).status(), 200);
    assert_eq!(one(world.alice(&request("MESSAGE", SERVICE, "a11", "Subject: x\n"))).status(), 401);
    assert_eq!(log.take(), ["open MESSAGE", "closed OPTIONS"]);
    world.ends();
}

/// RFC 3261 §22.1: ACK and CANCEL can't be sent again with credentials; all others can.
#[test]
fn requests_of_a_dialog_are_asked_too_and_ack_and_cancel_never() {
    let log = Log::default();
    let mut world = world(guarded(greeter(&log), for_agents()));
    let challenge = one(world.alice(&invite(SERVICE, "a12")));
    let answer = one(world.alice(&signed(&invite(SERVICE, "a12"), &challenge, "alice", "open sesame")));
    assert_eq!(answer.status(), 200);
    world.alice(&in_dialog("ACK", &answer, 2, ""));
    assert_eq!(log.take(), ["INVITE \"alice\" [true, true, false]", "ACK \"\" [false, false, false]"]);
    let bye = in_dialog("BYE", &answer, 3, "");
    let challenge = one(world.alice(&bye));
    assert_eq!(challenge.status(), 401);
    assert_eq!(one(world.alice(&signed(&bye, &challenge, "alice", "open sesame"))).status(), 200);
    assert_eq!(log.take(), ["BYE \"alice\" [true, true, false]"]);
    world.ends();
}

#[test]
fn a_cancel_of_who_was_let_in_needs_no_password() {
    let mut world = world(guarded(doing("ringing", |_| Ok(())), for_agents()));
    let challenge = one(world.alice(&invite(SERVICE, "a13")));
    let text = signed(&invite(SERVICE, "a13"), &challenge, "alice", "open sesame");
    assert!(world.alice(&text).is_empty());
    let cancelled =
        cancel(SERVICE, "a13").replace("branch=z9hG4bK-", "branch=z9hG4bK-2-").replace("CSeq: 1", "CSeq: 2");
    let mut statuses: Vec<u16> = world.alice(&cancelled).iter().map(Sent::status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 487]);
}

#[test]
fn a_constraint_that_names_no_role_admits_nobody() {
    let nobody = SecurityConstraint { roles: AllowedRoles::of_names([]), ..SecurityConstraint::default() };
    let mut world = world(guarded(greeter(&Log::default()), nobody));
    assert_eq!(one(world.alice(&message("a14"))).status(), 403);
    world.ends();
}

/// `transport-guarantee`.
#[test]
fn a_confidential_resource_is_not_for_udp() {
    let constraint =
        SecurityConstraint { transport_guarantee: TransportGuarantee::Confidential, ..SecurityConstraint::default() };
    let mut world = world(guarded(greeter(&Log::default()), constraint));
    assert_eq!(one(world.alice(&message("a15"))).status(), 403);
    world.ends();
}

#[test]
fn the_next_application_of_the_chain_does_not_ask_again() {
    let log = Log::default();
    let builder = Container::builder()
        .application(guarded(hop("first", &log), for_agents()))
        .application(guarded(greeter(&log), for_agents()));
    let mut world = World::with(builder);
    let challenge = one(world.alice(&message("a16")));
    assert_eq!(one(world.alice(&signed(&message("a16"), &challenge, "alice", "open sesame"))).status(), 200);
    world.ends();
}

// ----- a store that takes its time -----

/// Knows everybody, once the gate is open.
#[derive(Clone, Default)]
struct Slow(Rc<(Cell<bool>, RefCell<Vec<Waker>>)>);

impl UserStore for Slow {
    fn find<'a>(&'a self, _realm: &'a str, _user: &'a str) -> LookUp<'a> {
        Box::pin(std::future::poll_fn(|context| {
            if self.0.0.get() {
                let secret = Secret::Password("open sesame".into());
                return Poll::Ready(Ok(Some(User { secret, roles: vec!["agent".into()] })));
            }
            self.0.1.borrow_mut().push(context.waker().clone());
            Poll::Pending
        }))
    }
}

thread_local! {
    static SLOW: Slow = Slow::default();
}

fn slow() -> Slow {
    SLOW.with(Clone::clone)
}

#[test]
fn a_request_waits_for_the_users_store_and_others_do_not_wait_for_it() {
    let log = Log::default();
    let deployment = Deployment::new(greeter(&log))
        .constraint(SecurityConstraint { methods: vec![Method::Message], ..for_agents() })
        .login(LoginConfig::digest(REALM))
        .user_store(|| Rc::new(slow()));
    let mut world = world(deployment);
    let challenge = one(world.alice(&message("b1")));
    assert!(world.alice(&signed(&message("b1"), &challenge, "alice", "open sesame")).is_empty());
    assert_eq!(one(world.alice(&request("OPTIONS", SERVICE, "b2", ""))).status(), 200);
    slow().0.0.set(true);
    slow().0.1.take().into_iter().for_each(Waker::wake);
    world.settle();
    assert_eq!(one(world.sent()).status(), 200);
    assert_eq!(log.take(), ["OPTIONS \"\" [false, false, false]", "MESSAGE \"alice\" [true, false, false]"]);
    world.ends();
}

#[test]
fn who_waits_for_the_users_store_and_has_the_wrong_password_is_refused() {
    let deployment = guarded(greeter(&Log::default()), for_agents()).user_store(|| Rc::new(slow()));
    let mut world = world(deployment);
    let challenge = one(world.alice(&message("b3")));
    assert!(world.alice(&signed(&message("b3"), &challenge, "alice", "wrong")).is_empty());
    slow().0.0.set(true);
    slow().0.1.take().into_iter().for_each(Waker::wake);
    world.settle();
    let refused = one(world.sent());
    assert_eq!(refused.status(), 401);
    assert!(!refused.to_tag().is_empty());
    world.ends();
}

#[test]
fn a_store_that_fails_lets_nobody_in() {
    struct Down;
    impl UserStore for Down {
        fn find<'a>(&'a self, _realm: &'a str, _user: &'a str) -> LookUp<'a> {
            Box::pin(async { Err(StoreError::Unavailable("no connection".into())) })
        }
    }
    let mut world = world(guarded(greeter(&Log::default()), for_agents()).user_store(|| Rc::new(Down)));
    let challenge = one(world.alice(&message("b4")));
    assert_eq!(one(world.alice(&signed(&message("b4"), &challenge, "alice", "open sesame"))).status(), 503);
    world.ends();
}

// ----- whom others vouch for -----

fn with_trust(deployment: Deployment) -> ContainerBuilder {
    let trust = TrustDomain::parse(["203.0.113.0/24"]).unwrap();
    Container::builder().application(deployment).settings(Settings { trust, ..Settings::default() })
}

fn vouched(support: IdentitySupport) -> LoginConfig {
    let identity_assertion = Some(IdentityAssertion { scheme: IdentityScheme::PAssertedIdentity, support });
    LoginConfig { identity_assertion, ..LoginConfig::digest(REALM) }
}

fn asserting(call_id: &str) -> String {
    request("MESSAGE", SERVICE, call_id, "P-Asserted-Identity: <sip:alice@example.com>\n")
}

#[test]
fn who_is_vouched_for_by_a_trusted_peer_needs_no_password() {
    let log = Log::default();
    let deployment = guarded(greeter(&log), for_agents()).login(vouched(IdentitySupport::Supported));
    let mut world = World::with(with_trust(deployment));
    world.receive(&udp(EDGE), &asserting("c1"));
    assert_eq!(world.only().status(), 200);
    assert_eq!(log.take(), ["MESSAGE \"alice\" [true, true, false]"]);
    assert_eq!(one(world.alice(&asserting("c2"))).status(), 401, "a stranger may say what he wants");
    world.ends();
}

/// `identity-assertion-support` REQUIRED.
#[test]
fn who_has_to_be_vouched_for_and_is_not_is_answered_428() {
    let deployment = guarded(greeter(&Log::default()), for_agents()).login(vouched(IdentitySupport::Required));
    let mut world = World::with(with_trust(deployment));
    assert_eq!(one(world.alice(&message("c3"))).status(), 428);
    world.ends();
}

/// RFC 3325 §5; for applications without a constraint, too.
#[test]
fn no_application_sees_an_identity_that_a_stranger_claims() {
    let log = Log::default();
    let seen = log.clone();
    let application = doing("plain", move |request| {
        seen.add(request.header("P-Asserted-Identity").unwrap_or_default());
        request.create_response(StatusCode::OK)?.send()?;
        Ok(())
    });
    let mut world = World::with(with_trust(application.into()));
    world.alice(&asserting("c4"));
    world.receive(&udp(EDGE), &asserting("c5"));
    assert_eq!(log.take(), ["", "<sip:alice@example.com>"]);
    world.ends();
}

// ----- the application's own credentials -----

/// A 401 and a 407 with a challenge of this realm.
fn challenges(first: &str, second: &str) -> String {
    format!(
        "WWW-Authenticate: Digest realm=\"{first}\", nonce=\"n1\", qop=\"auth\"\n\
         Proxy-Authenticate: Digest realm=\"{second}\", nonce=\"n2\", qop=\"auth\"\n"
    )
}

#[test]
fn the_challenges_of_server_and_proxy_are_answered_together_with_a_new_cseq() {
    struct Caller(Log);
    impl SipServlet for Caller {
        async fn do_error_response(&self, response: SipServletResponse) -> Result {
            self.0.add(response.challenge_realms().join(" "));
            let again = response.session()?.create_request(Method::Message)?;
            again.add_auth_header_for(&response, "service", "secret")?;
            again.send()?;
            Ok(())
        }
    }
    let log = Log::default();
    let mut world = World::new(SipApplication::new("caller").servlet(Caller(log.clone())));
    world.act("caller", |context| {
        let factory = context.sip_factory();
        let call = factory.create_application_session().unwrap();
        let to = format!("<sip:bob@{BOB}>");
        factory.create_request_from_text(&call, "MESSAGE", "<sip:a@192.0.2.1>", &to).unwrap().send().unwrap();
    });
    let first = world.only();
    let again = one(world.answer(&first, 401, "b", &challenges("home", "border")));
    assert_eq!(log.take(), ["home border"]);
    assert_eq!(again.first(HeaderName::CallId), first.first(HeaderName::CallId));
    assert_eq!((first.first(HeaderName::Cseq), again.first(HeaderName::Cseq)), ("1 MESSAGE", "2 MESSAGE"));
    let credentials = |name| again.headers().fields_of(name).next().unwrap_or_default().to_owned();
    assert!(credentials(HeaderName::Authorization).contains("realm=\"home\""), "{}", again.text);
    assert!(credentials(HeaderName::ProxyAuthorization).contains("realm=\"border\""), "{}", again.text);
    assert!(world.answer(&again, 200, "b", "").is_empty());
    world.ends();
}

#[test]
fn a_challenge_for_which_there_are_no_credentials_can_not_be_answered() {
    struct Caller(Log);
    impl SipServlet for Caller {
        async fn do_error_response(&self, response: SipServletResponse) -> Result {
            let again = response.session()?.create_request(Method::Message)?;
            let mut info = servlet::AuthInfo::new();
            info.add_auth_info(StatusCode::UNAUTHORIZED, "another realm", "service", "secret")?;
            self.0.add(format!("{:?}", again.add_auth_header(&response, &info).is_err()));
            Ok(())
        }
    }
    let log = Log::default();
    let builder = Container::builder().application(SipApplication::new("caller").servlet(Caller(log.clone())));
    let mut world = World::with(builder.application(answering("other", &log)));
    world.act("caller", |context| {
        let factory = context.sip_factory();
        let call = factory.create_application_session().unwrap();
        let to = format!("<sip:bob@{BOB}>");
        factory.create_request_from_text(&call, "MESSAGE", "<sip:a@192.0.2.1>", &to).unwrap().send().unwrap();
    });
    let first = world.only();
    let challenge = "WWW-Authenticate: Digest realm=\"home\", nonce=\"n1\", qop=\"auth\"\n";
    assert!(world.answer(&first, 401, "b", challenge).is_empty());
    assert_eq!(log.take(), ["true"]);
}
