//! The application as a user agent server: responses, their dialog, ACK, BYE, CANCEL; the errors of misuse.

use servlet::prelude::*;
use servlet::{IllegalArgument, IllegalState};
use sip_message::HeaderName;

use crate::world::{World, cancel, in_dialog, invite, one, request};

/// Rings, and answers at the second; ends what the caller ends.
struct Answerer;

impl SipServlet for Answerer {
    async fn do_invite(&self, invite: SipServletRequest) -> Result {
        invite.create_response(StatusCode::RINGING)?.send()?;
        invite.create_response(StatusCode::OK)?.send()?;
        Ok(())
    }

    async fn do_bye(&self, bye: SipServletRequest) -> Result {
        bye.create_response(StatusCode::OK)?.send()?;
        Ok(())
    }
}

#[test]
fn a_call_is_answered_acknowledged_and_ended_and_leaves_nothing() {
    let mut world = World::new(SipApplication::new("answerer").servlet(Answerer));
    let sent = world.alice(&invite("sip:service@192.0.2.1", "a1"));
    assert_eq!(sent.iter().map(|sent| sent.status()).collect::<Vec<_>>(), [180, 200]);
    assert_eq!(sent[0].to_tag(), sent[1].to_tag(), "one tag for all responses of a session");
    assert!(sent[1].first(HeaderName::Contact).contains("192.0.2.1"));
    world.alice(&in_dialog("ACK", &sent[1], 1, ""));
    assert_eq!(world.load().calls, 1);
    let bye = one(world.alice(&in_dialog("BYE", &sent[1], 2, "")));
    assert_eq!(bye.status(), 200);
    world.ends();
}

#[test]
fn a_2xx_is_repeated_until_its_ack_comes() {
    let mut world = World::new(SipApplication::new("answerer").servlet(Answerer));
    let sent = world.alice(&invite("sip:service@192.0.2.1", "a2"));
    world.pass(Duration::from_millis(1_600));
    assert_eq!(world.sent().len(), 2, "at 0.5 s and at 1.5 s");
    world.alice(&in_dialog("ACK", &sent[1], 1, ""));
    world.pass(Duration::from_secs(40));
    assert!(world.sent().is_empty());
    world.alice(&in_dialog("BYE", &sent[1], 2, ""));
    world.ends();
}

#[test]
fn a_request_that_no_handler_takes_is_answered_500() {
    let mut world = World::new(SipApplication::new("answerer").servlet(Answerer));
    let sent = one(world.alice(&request("MESSAGE", "sip:service@192.0.2.1", "a3", "")));
    assert_eq!(sent.status(), 500);
    world.ends();
}

#[test]
fn a_request_of_an_unknown_dialog_is_answered_481_and_its_ack_is_dropped() {
    let mut world = World::new(SipApplication::new("answerer").servlet(Answerer));
    let sent = world.alice(&invite("sip:service@192.0.2.1", "a4"));
    let text = in_dialog("BYE", &sent[1], 2, "").replace("Call-ID: a4", "Call-ID: other");
    assert_eq!(one(world.alice(&text)).status(), 481);
    let text = in_dialog("ACK", &sent[1], 1, "").replace("Call-ID: a4", "Call-ID: other");
    assert!(world.alice(&text).is_empty());
}

#[test]
fn a_cancelled_invite_is_answered_487_and_the_application_is_told() {
    struct Ringing;
    impl SipServlet for Ringing {
        async fn do_invite(&self, invite: SipServletRequest) -> Result {
            invite.create_response(StatusCode::RINGING)?.send()?;
            Ok(())
        }

        async fn do_cancel(&self, cancel: SipServletRequest) -> Result {
            assert_eq!(cancel.session()?.state()?, SessionState::Terminated);
            cancel.application_session()?.set_attribute("cancelled", true)?;
            Ok(())
        }
    }
    let mut world = World::new(SipApplication::new("ringing").servlet(Ringing));
    world.alice(&invite("sip:service@192.0.2.1", "a5"));
    let sent = world.alice(&cancel("sip:service@192.0.2.1", "a5"));
    let mut statuses: Vec<u16> = sent.iter().map(|sent| sent.status()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 487]);
    world.alice(&in_dialog("ACK", &sent[1], 1, ""));
    world.ends();
}

#[test]
fn a_second_final_response_is_refused_and_changes_nothing() {
    struct Twice;
    impl SipServlet for Twice {
        async fn do_options(&self, options: SipServletRequest) -> Result {
            let second = options.create_response(StatusCode::BUSY_HERE)?;
            options.create_response(StatusCode::OK)?.send()?;
            assert_eq!(second.send(), Err(Error::IllegalState(IllegalState::FinalResponseSent)));
            let third = options.create_response(StatusCode::OK).err();
            assert_eq!(third, Some(Error::IllegalState(IllegalState::FinalResponseSent)));
            assert!(options.is_committed());
            Ok(())
        }
    }
    let mut world = World::new(SipApplication::new("twice").servlet(Twice));
    assert_eq!(one(world.alice(&request("OPTIONS", "sip:service@192.0.2.1", "a6", ""))).status(), 200);
    world.ends();
}

#[test]
fn a_system_header_can_not_be_set() {
    struct Setter;
    impl SipServlet for Setter {
        async fn do_options(&self, options: SipServletRequest) -> Result {
            let response = options.create_response(StatusCode::OK)?;
            for name in ["Via", "v", "Call-ID", "CSeq", "Record-Route"] {
                let refused = response.set_header(name, "x").err();
                assert_eq!(refused, Some(Error::IllegalArgument(IllegalArgument::SystemHeader(name.into()))));
            }
            response.set_header("Subject-Of-Ours", "x\r\nEvil: y").unwrap_err();
            response.set_header("X-Ours", "yes")?;
            response.send()?;
            Ok(())
        }
    }
    let mut world = World::new(SipApplication::new("setter").servlet(Setter));
    let sent = one(world.alice(&request("OPTIONS", "sip:service@192.0.2.1", "a7", "")));
    assert!(sent.text.contains("X-Ours: yes\r\n") && !sent.text.contains("Evil"));
    world.ends();
}

/// SIP Servlet 1.1, §4.1.3: display name, user and parameters of a Contact are the application's, its address is not.
#[test]
fn an_application_wishes_for_its_contact_and_the_container_decides_about_its_address() {
    struct Focus;
    impl SipServlet for Focus {
        async fn do_invite(&self, invite: SipServletRequest) -> Result {
            let wish = Address::parse("<sip:room@elsewhere.example:9;maddr=192.0.2.66>;isfocus")?;
            let received = invite.set_contact(&wish).err();
            assert_eq!(received, Some(Error::IllegalState(IllegalState::ReadOnly)));
            let response = invite.create_response(StatusCode::OK)?;
            response.set_contact(&wish)?;
            response.send()?;
            assert!(response.set_contact(&wish).is_err(), "it was sent");
            let bye = invite.session()?.create_request(Method::Bye)?;
            assert!(bye.set_contact(&wish).is_err(), "no Contact belongs there");
            Ok(())
        }
    }
    let mut world = World::new(SipApplication::new("focus").servlet(Focus));
    let sent = one(world.alice(&invite("sip:service@192.0.2.1", "a8")));
    assert_eq!(sent.first(HeaderName::Contact), "<sip:room@192.0.2.1>;isfocus");
}

#[test]
fn a_handler_that_panics_ends_its_request_with_500_and_nothing_else() {
    struct Panics;
    impl SipServlet for Panics {
        async fn do_options(&self, options: SipServletRequest) -> Result {
            if options.request_uri().to_string().contains("panic") {
                panic!("a mistake of the application's");
            }
            options.create_response(StatusCode::OK)?.send()?;
            Ok(())
        }
    }
    let mut world = World::new(SipApplication::new("panics").servlet(Panics));
    assert_eq!(one(world.alice(&request("OPTIONS", "sip:panic@192.0.2.1", "a8", ""))).status(), 500);
    assert_eq!(one(world.alice(&request("OPTIONS", "sip:fine@192.0.2.1", "a9", ""))).status(), 200);
    world.ends();
}

#[test]
fn a_request_of_a_dialog_goes_to_the_contact_when_the_connection_of_the_dialog_has_ended() {
    use crate::world::{ALICE, tcp};
    use sip_endpoint::Input;
    let mut world =
        World::new(SipApplication::new("answerer").servlet(Answerer).application_key(|_| Some("one".into())));
    world.receive(&tcp(ALICE, 7), &invite("sip:service@192.0.2.1", "t1").replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    let answer = world.sent().pop().expect("an answer");
    world.receive(&tcp(ALICE, 7), &in_dialog("ACK", &answer, 1, "").replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    let session = world.act("answerer", |context| {
        let one = context.sip_sessions_util().application_session_by_key("one", false).unwrap().unwrap();
        one.sip_sessions().unwrap().pop().unwrap()
    });
    world.act("answerer", |_| session.create_request(Method::Bye).unwrap().send().unwrap());
    let bye = world.only();
    assert_eq!(
        (bye.method(), bye.connection.is_some()),
        ("BYE", true),
        "over the connection that the call has come by"
    );
    world.input(Input::TransmitFailed { token: bye.token });
    let bye = world.only();
    assert_eq!((bye.method(), bye.connection.is_some()), ("BYE", false), "to the Contact");
    world.answer(&bye, 200, "", "");
    world.ends();
}
