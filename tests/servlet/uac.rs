//! The application as a user agent client: requests, ACK, CANCEL, failures, and the errors of misuse.

use std::cell::RefCell;

use servlet::prelude::*;
use servlet::{IllegalArgument, IllegalState};
use sip_message::HeaderName;

use crate::world::{BOB, Sent, World, from_callee, one};

/// What an application has heard, in order.
#[derive(Default)]
pub struct Heard(pub RefCell<Vec<String>>);

fn hear(response: &SipServletResponse) -> Result {
    let state = response.session()?.state()?;
    let heard = response.session()?.servlet_context()?.local(Heard::default);
    heard.0.borrow_mut().push(format!("{} {} {state:?}", response.status().code(), response.method()));
    Ok(())
}

struct Caller;

impl SipServlet for Caller {
    async fn do_provisional_response(&self, response: SipServletResponse) -> Result {
        hear(&response)
    }

    async fn do_success_response(&self, response: SipServletResponse) -> Result {
        hear(&response)?;
        if response.method() == Method::Invite {
            response.create_ack()?.send()?;
            assert_eq!(response.create_ack().err(), Some(Error::IllegalState(IllegalState::AlreadyAcknowledged)));
        }
        Ok(())
    }

    async fn do_error_response(&self, response: SipServletResponse) -> Result {
        hear(&response)
    }

    async fn do_bye(&self, bye: SipServletRequest) -> Result {
        bye.create_response(StatusCode::OK)?.send()?;
        Ok(())
    }
}

fn world() -> World {
    World::new(SipApplication::new("caller").servlet(Caller))
}

fn call(world: &mut World, method: Method) -> (SipServletRequest, Sent) {
    let request = world.act("caller", |context| {
        let factory = context.sip_factory();
        let session = factory.create_application_session().unwrap();
        let from = factory.create_address("\"Service\" <sip:service@192.0.2.1>").unwrap();
        let to = factory.create_address(&format!("<sip:bob@{BOB}>")).unwrap();
        let request = factory.create_request(&session, method, &from, &to).unwrap();
        request.send().unwrap();
        request
    });
    (request, world.only())
}

fn heard(world: &mut World) -> Vec<String> {
    world.act("caller", |context| context.local(Heard::default).0.borrow().clone())
}

#[test]
fn a_call_of_the_applications_rings_is_answered_and_acknowledged() {
    let mut world = world();
    let (request, invite) = call(&mut world, Method::Invite);
    assert!(request.is_committed());
    assert_eq!(invite.uri(), format!("sip:bob@{BOB}"));
    assert!(invite.first(HeaderName::Contact).contains("192.0.2.1"));
    assert!(invite.to_tag().is_empty() && !invite.from_tag().is_empty());
    world.answer(&invite, 180, "b", "");
    let ack = one(world.answer(&invite, 200, "b", ""));
    assert_eq!((ack.method(), ack.uri()), ("ACK", &*format!("sip:bob@{BOB}")));
    assert_eq!(heard(&mut world), ["180 INVITE Early", "200 INVITE Confirmed"]);
    let bye = one({
        let text = from_callee("BYE", &invite, "b", 1, "");
        world.receive(&crate::world::udp(BOB), &text);
        world.sent()
    });
    assert_eq!(bye.status(), 200);
    world.ends();
}

#[test]
fn a_2xx_that_comes_again_is_acknowledged_again_and_not_told_again() {
    let mut world = world();
    let (_, invite) = call(&mut world, Method::Invite);
    assert_eq!(one(world.answer(&invite, 200, "b", "")).method(), "ACK");
    assert_eq!(one(world.answer(&invite, 200, "b", "")).method(), "ACK");
    assert_eq!(heard(&mut world), ["200 INVITE Confirmed"]);
}

#[test]
fn a_failure_brings_a_uac_back_to_initial_and_the_session_goes() {
    let mut world = world();
    let (request, invite) = call(&mut world, Method::Invite);
    world.answer(&invite, 180, "b", "");
    let ack = one(world.answer(&invite, 486, "b", ""));
    assert_eq!(ack.method(), "ACK", "the container's own");
    assert_eq!(heard(&mut world), ["180 INVITE Early", "486 INVITE Initial"]);
    assert!(request.session().is_err(), "the session was ready and was invalidated");
    world.ends();
}

#[test]
fn a_request_without_an_answer_is_answered_408_by_the_container() {
    let mut world = world();
    call(&mut world, Method::Message);
    world.pass(Duration::from_secs(33));
    assert_eq!(heard(&mut world), ["408 MESSAGE Initial"]);
    world.all_sent();
    world.ends();
}

#[test]
fn a_cancel_goes_when_a_provisional_response_has_come() {
    let mut world = world();
    let (request, invite) = call(&mut world, Method::Invite);
    world.act("caller", |_| request.create_cancel().unwrap().send().unwrap());
    assert!(world.sent().is_empty(), "RFC 3261 §9.1");
    let cancel = one(world.answer(&invite, 180, "b", ""));
    assert_eq!(cancel.method(), "CANCEL");
    world.answer(&cancel, 200, "b", "");
    world.answer(&invite, 487, "b", "");
    assert_eq!(heard(&mut world), ["180 INVITE Early", "487 INVITE Initial"]);
    world.ends();
}

#[test]
fn ack_cancel_and_prack_are_not_made_by_create_request() {
    let mut world = world();
    let (request, invite) = call(&mut world, Method::Invite);
    world.answer(&invite, 200, "b", "");
    let session = request.session().unwrap();
    for method in [Method::Ack, Method::Cancel, Method::Prack] {
        let refused = session.create_request(method.clone()).err();
        assert_eq!(refused, Some(Error::IllegalArgument(IllegalArgument::Method(method.as_str().into()))));
    }
}

#[test]
fn a_request_of_a_confirmed_session_is_one_of_its_dialog() {
    let mut world = world();
    let (request, invite) = call(&mut world, Method::Invite);
    world.answer(&invite, 200, "b", "Record-Route: <sip:proxy.invalid;lr>\n");
    let session = request.session().unwrap();
    assert_eq!(session.state().unwrap(), SessionState::Confirmed);
    let info = session.create_request(Method::Info).unwrap();
    assert!(!info.is_initial());
    let sip = info.to_string_of("Route");
    assert_eq!(sip, "<sip:proxy.invalid;lr>");
    assert_eq!(info.header("CSeq").unwrap(), "2 INFO");
}

#[test]
fn a_session_that_was_invalidated_refuses_everything_and_nothing_is_sent() {
    let mut world = world();
    let (request, invite) = call(&mut world, Method::Invite);
    world.answer(&invite, 200, "b", "");
    let session = request.session().unwrap();
    world.act("caller", |_| session.invalidate().unwrap());
    assert!(!session.is_valid());
    let gone = Some(Error::IllegalState(IllegalState::InvalidSession));
    assert_eq!(session.create_request(Method::Info).err(), gone);
    assert_eq!(session.state().err(), gone);
    assert_eq!(session.set_attribute("a", 1_u32).err(), gone);
    assert_eq!(session.invalidate().err(), gone);
    assert!(!session.id().is_empty() && session.call_id() == invite.first(HeaderName::CallId));
    assert!(world.sent().is_empty(), "no BYE");
}

#[test]
fn terminate_dialog_sends_bye_and_the_session_goes_when_it_is_answered() {
    let mut world = world();
    let (request, invite) = call(&mut world, Method::Invite);
    world.answer(&invite, 200, "b", "");
    let session = request.session().unwrap();
    world.act("caller", |_| session.terminate_dialog().unwrap());
    let bye = world.only();
    assert_eq!(bye.method(), "BYE");
    let refused = session.create_request(Method::Info).err();
    assert_eq!(refused, Some(Error::IllegalState(IllegalState::DialogTerminating)));
    world.answer(&bye, 200, "b", "");
    assert!(!session.is_valid());
    assert_eq!(heard(&mut world), ["200 INVITE Confirmed"], "the application hears nothing of the BYE");
    world.ends();
}

/// A header as text, to compare.
trait HeaderText {
    fn to_string_of(&self, name: &str) -> String;
}

impl HeaderText for SipServletRequest {
    fn to_string_of(&self, name: &str) -> String {
        self.headers(name).join(", ")
    }
}
