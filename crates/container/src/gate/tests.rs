use std::cell::Cell;
use std::task::Wake;
use std::time::{Duration, UNIX_EPOCH};

use sip_dialog::digest::{Account, DigestClient, Secret};
use sip_message::{HeaderName, ListenerId, Method, StatusCode, UriBuf};

use super::*;
use crate::security::{AllowedRoles, ConfiguredUsers, DigestSettings, LoginConfig, SecurityConstraint, SecurityPolicy};

const REALM: &str = "example.com";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn request(method: Method) -> Request {
    let cseq = format!("1 {method}");
    let mut request = Request::new(method, &UriBuf::parse("sip:bob@example.com").unwrap());
    for (name, value) in [
        (HeaderName::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
        (HeaderName::From, "<sip:alice@example.com>;tag=a1"),
        (HeaderName::To, "<sip:bob@example.com>"),
        (HeaderName::CallId, "call-1@example.com"),
        (HeaderName::Cseq, &cseq),
    ] {
        request.headers_mut().push(name, value).unwrap();
    }
    request
}

fn flow(remote: &str, transport: Transport) -> Flow {
    let local = "192.0.2.10:5060".parse().unwrap();
    Flow { transport, listener: ListenerId(0), local, remote: remote.parse().unwrap(), connection: None }
}

fn stranger() -> Flow {
    flow("192.0.2.1:5060", Transport::Udp)
}

fn configured() -> Rc<dyn UserStore> {
    Rc::new(ConfiguredUsers::new().with("alice", Secret::Password("secret".into()), &["agent", "guest"]))
}

/// A gate that agents may pass.
fn gate_with(users: Rc<dyn UserStore>, role_names: Vec<RoleName>) -> Gate {
    let constraint = SecurityConstraint { roles: AllowedRoles::of_names(["agent"]), ..SecurityConstraint::default() };
    let policy = SecurityPolicy { constraints: vec![constraint], login: Some(LoginConfig::digest(REALM)) };
    let control = AccessControl::new(policy, DigestSettings::new([3; 32], 1), TrustDomain::nobody(), Vec::new());
    Gate::new(control, users, role_names)
}

fn gate() -> Gate {
    gate_with(configured(), Vec::new())
}

/// The INVITE with alice's answer to the challenge of this gate.
fn with_password(gate: &Gate, password: &str) -> Request {
    let mut invite = request(Method::Invite);
    let challenge = refused(gate.check("main", &invite, Some(&stranger()), now()));
    assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
    let secret = Secret::Password(password.into());
    let account = Account { realm: REALM.into(), username: "alice".into(), secret, next_hop: None };
    DigestClient::new([account]).answer(&mut invite, &challenge, "0a4f113b").unwrap();
    invite
}

fn refused(check: Check) -> Box<Response> {
    match check {
        Check::Refused(response) => response,
        Check::Admitted(principal) => panic!("admitted {principal:?}"),
        Check::Pending(_) => panic!("it waits"),
    }
}

fn admitted(check: Check) -> Option<servlet::Principal> {
    match check {
        Check::Admitted(principal) => principal,
        Check::Refused(response) => panic!("refused with {}", response.status()),
        Check::Pending(_) => panic!("it waits"),
    }
}

#[test]
fn who_shows_no_credentials_is_challenged() {
    let challenge = refused(gate().check("main", &request(Method::Invite), Some(&stranger()), now()));
    assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
    assert!(challenge.headers().contains(HeaderName::WwwAuthenticate));
}

#[test]
fn a_user_of_the_configuration_passes_without_waiting_and_is_known_to_the_application() {
    let gate = gate();
    let invite = with_password(&gate, "secret");
    let alice = admitted(gate.check("main", &invite, Some(&stranger()), now())).unwrap();
    assert_eq!(&*alice.name, "alice");
    assert_eq!(*alice.roles, ["agent".into(), "guest".into()]);
}

#[test]
fn a_wrong_password_does_not_pass() {
    let gate = gate();
    let invite = with_password(&gate, "sesame");
    let challenge = refused(gate.check("main", &invite, Some(&stranger()), now()));
    assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
}

/// The application before it has let the request in.
#[test]
fn a_request_from_another_application_is_not_asked_again() {
    assert_eq!(admitted(gate().check("main", &request(Method::Invite), None, now())), None);
}

/// RFC 3261 §22.1: neither can be sent again with credentials.
#[test]
fn ack_and_cancel_are_never_refused() {
    for method in [Method::Ack, Method::Cancel] {
        assert_eq!(admitted(gate().check("main", &request(method), Some(&stranger()), now())), None);
    }
}

/// A store that answers when it is told to.
#[derive(Default)]
struct Slow {
    open: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl UserStore for Slow {
    fn find<'a>(&'a self, _realm: &'a str, user: &'a str) -> LookUp<'a> {
        Box::pin(poll_fn(move |context| {
            if self.open.get() {
                let secret = Secret::Password("secret".into());
                let roles = vec!["agent".into()];
                return Poll::Ready(Ok((user == "alice").then_some(User { secret, roles })));
            }
            self.waiting.replace(Some(context.waker().clone()));
            Poll::Pending
        }))
    }
}

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicBool);

impl Wake for Woken {
    fn wake(self: std::sync::Arc<Woken>) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn a_store_that_has_to_be_waited_for_wakes_the_one_who_waits() {
    let slow = Rc::new(Slow::default());
    let gate = gate_with(Rc::clone(&slow) as Rc<dyn UserStore>, Vec::new());
    let invite = with_password(&gate, "secret");
    let Check::Pending(mut pending) = gate.check("main", &invite, Some(&stranger()), now()) else { panic!() };
    let woken = std::sync::Arc::new(Woken::default());
    let waker = Waker::from(std::sync::Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    assert!(pending.as_mut().poll(&mut context).is_pending());
    slow.open.set(true);
    slow.waiting.take().unwrap().wake();
    assert!(woken.0.load(std::sync::atomic::Ordering::Relaxed));
    match pending.as_mut().poll(&mut context) {
        Poll::Ready(Admission::Admitted(Some(alice))) => assert_eq!(&*alice.name, "alice"),
        other => panic!("{other:?}"),
    }
}

struct Broken(bool);

impl UserStore for Broken {
    fn find<'a>(&'a self, _realm: &'a str, _user: &'a str) -> LookUp<'a> {
        let panics = self.0;
        Box::pin(async move {
            assert!(!panics, "the store is on fire");
            Err(StoreError::Unavailable("no connection".into()))
        })
    }
}

#[test]
fn a_store_that_fails_is_our_fault_and_never_lets_anybody_pass() {
    for (panics, status) in [(false, StatusCode::SERVICE_UNAVAILABLE), (true, StatusCode::SERVER_INTERNAL_ERROR)] {
        let invite = with_password(&gate(), "secret");
        let broken = gate_with(Rc::new(Broken(panics)), Vec::new());
        assert_eq!(refused(broken.check("main", &invite, Some(&stranger()), now())).status(), status);
    }
}

/// Servlet specification, `security-role-ref`: a servlet's own name for a role means the role that it is linked with.
#[test]
fn a_servlet_knows_roles_by_its_own_names() {
    let name = |servlet: &str, name: &str, role: &str| RoleName {
        servlet: servlet.into(),
        name: name.into(),
        role: role.into(),
    };
    let names = vec![name("main", "staff", "agent"), name("main", "guest", "boss"), name("other", "vip", "agent")];
    let gate = gate_with(configured(), names);
    let invite = with_password(&gate, "secret");
    let alice = admitted(gate.check("main", &invite, Some(&stranger()), now())).unwrap();
    assert_eq!(*alice.roles, ["agent".into(), "staff".into()]);
}

/// RFC 3325 §5.
#[test]
fn the_identity_that_a_stranger_claims_is_taken_away_and_that_of_a_trusted_peer_is_not() {
    let trust = TrustDomain::parse(["198.51.100.0/24"]).unwrap();
    let mut claimed = request(Method::Invite);
    claimed.headers_mut().push(HeaderName::PAssertedIdentity, "<sip:boss@example.com>").unwrap();
    assert!(!strip_untrusted(&trust, &mut claimed, &flow("198.51.100.9:5060", Transport::Udp)));
    assert!(claimed.headers().contains(HeaderName::PAssertedIdentity));
    assert!(strip_untrusted(&trust, &mut claimed, &stranger()));
    assert!(!claimed.headers().contains(HeaderName::PAssertedIdentity));
}

/// `user-data-constraint`.
#[test]
fn a_constraint_on_the_transport_is_met_by_tls_and_websockets_over_tls() {
    let constraint = SecurityConstraint {
        transport_guarantee: crate::security::TransportGuarantee::Confidential,
        ..SecurityConstraint::default()
    };
    let policy = SecurityPolicy { constraints: vec![constraint], login: None };
    let control = AccessControl::new(policy, DigestSettings::new([3; 32], 1), TrustDomain::nobody(), Vec::new());
    let gate = Gate::new(control, configured(), Vec::new());
    let check = |transport| gate.check("main", &request(Method::Invite), Some(&flow("192.0.2.1:9", transport)), now());
    for transport in [Transport::Tls, Transport::Wss] {
        assert_eq!(admitted(check(transport)), None);
    }
    for transport in [Transport::Udp, Transport::Tcp, Transport::Ws] {
        assert_eq!(refused(check(transport)).status(), StatusCode::FORBIDDEN);
    }
}
