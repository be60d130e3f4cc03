//! How sessions end that are invalidated, and what that leaves to their peers: nobody waits, and nothing is said (SIP Servlet
//! 1.1 §6.1.2.2, §6.2.4.1).

use servlet::IllegalState;
use servlet::prelude::*;

use crate::lifecycle::{GONE, HERE};
use crate::witness::{Log, Scene, Subject, witness};
use crate::world::{BOB, World, from_callee, in_dialog, invite, lines, one, request, udp};

fn gone() -> Error {
    Error::IllegalState(IllegalState::InvalidSession)
}

fn bob_says(world: &mut World, text: &str) -> Vec<crate::world::Sent> {
    world.receive(&udp(BOB), text);
    world.sent()
}

#[test]
fn a_session_may_be_invalidated_in_any_state_and_says_nothing_to_its_peer() {
    let mut scene = Scene::new();
    let (invite, ok) = scene.takes_call(HERE, "l11");
    let session = invite.session().unwrap();
    assert_eq!(session.state(), Ok(SessionState::Confirmed));
    scene.act(|_| session.invalidate().unwrap());
    assert_eq!(scene.log.take(), ["sip destroyed", "app ready", "app destroyed"]);
    assert!(scene.world.sent().is_empty(), "no BYE");
    assert_eq!(one(scene.world.alice(&in_dialog("BYE", &ok, 2, ""))).status(), 481);
    assert_eq!(one(scene.world.alice(&in_dialog("INVITE", &ok, 3, ""))).status(), 481);
    assert!(scene.world.alice(&in_dialog("ACK", &ok, 3, "")).is_empty());
    assert_eq!(session.invalidate().err(), Some(gone()));
    scene.ends();
}

#[test]
fn an_invite_that_was_not_answered_when_its_session_is_invalidated_is_answered_408() {
    let mut scene = Scene::new();
    let invite = scene.receives(&invite(HERE, "l12"));
    scene.answers(&invite, StatusCode::RINGING);
    scene.act(|_| invite.session().unwrap().invalidate().unwrap());
    let refusal = scene.world.only();
    assert_eq!(refusal.status(), 408);
    scene.world.alice(&in_dialog("ACK", &refusal, 1, ""));
    assert!(invite.create_response(StatusCode::OK).is_err());
    scene.ends();
}

#[test]
fn another_request_that_was_not_answered_when_its_session_is_invalidated_is_answered_500() {
    let mut scene = Scene::new();
    let message = scene.receives(&request("MESSAGE", HERE, "l13", ""));
    scene.act(|_| message.application_session().unwrap().invalidate().unwrap());
    assert_eq!(scene.world.only().status(), 500);
    scene.ends();
}

#[test]
fn a_call_of_the_applications_is_cancelled_when_its_session_is_invalidated() {
    let mut scene = Scene::new();
    let (request, sent) = scene.sends(Method::Invite);
    scene.world.answer(&sent, 180, "b", "");
    scene.log.take();
    scene.act(|_| request.session().unwrap().invalidate().unwrap());
    let cancel = scene.world.only();
    assert_eq!(cancel.method(), "CANCEL");
    scene.world.answer(&cancel, 200, "b", "");
    let ack = one(scene.world.answer(&sent, 487, "b", ""));
    assert_eq!(ack.method(), "ACK");
    assert_eq!(scene.log.take(), ["sip destroyed", "app ready", "app destroyed"], "and hears nothing of it");
    scene.ends();
}

#[test]
fn a_2xx_that_crosses_the_cancel_of_an_invalidated_session_is_acknowledged_and_hung_up_on() {
    let mut scene = Scene::new();
    let (request, sent) = scene.sends(Method::Invite);
    scene.world.answer(&sent, 180, "b", "");
    scene.act(|_| request.application_session().unwrap().invalidate().unwrap());
    let cancel = scene.world.only();
    let sent = scene.world.answer(&sent, 200, "b", "");
    assert_eq!(sent.iter().map(|sent| sent.method()).collect::<Vec<_>>(), ["ACK", "BYE"]);
    scene.world.answer(&cancel, 200, "b", "");
    scene.world.answer(&sent[1], 200, "b", "");
    scene.ends();
}

#[test]
fn a_request_that_was_sent_before_its_session_was_invalidated_has_been_sent() {
    let mut scene = Scene::with(|line, subject| {
        if let ("MESSAGE", Subject::Request(message)) = (line, subject) {
            message.create_response(StatusCode::OK)?.send()?;
            let app = message.application_session()?;
            let factory = app.servlet_context()?.sip_factory();
            let to = factory.create_address(&format!("<sip:bob@{BOB}>"))?;
            factory
                .create_request(&app, Method::Message, &factory.create_address("<sip:me@192.0.2.1>")?, &to)?
                .send()?;
            app.invalidate()?;
        }
        Ok(())
    });
    let sent = scene.world.alice(&request("MESSAGE", HERE, "l16", ""));
    assert_eq!(lines(&sent), ["SIP/2.0 200 OK", &format!("MESSAGE sip:bob@{BOB} SIP/2.0")]);
    scene.world.answer(&sent[1], 200, "b", "");
    scene.ends();
}

#[test]
fn the_branches_of_a_proxy_are_cancelled_when_its_session_is_invalidated() {
    let mut scene = Scene::with(|line, subject| {
        if let ("INVITE", Subject::Request(invite)) = (line, subject) {
            invite.proxy()?.proxy_to(&invite.request_uri())?;
        }
        Ok(())
    });
    let sent = one(scene.world.alice(&invite(&format!("sip:bob@{BOB}"), "l17")));
    scene.world.answer(&sent, 180, "b", "");
    let request = scene.request();
    scene.act(|_| request.application_session().unwrap().invalidate().unwrap());
    let cancel = scene.world.sent().into_iter().find(|sent| sent.method() == "CANCEL").expect("a CANCEL");
    scene.world.answer(&cancel, 200, "b", "");
    let sent = scene.world.answer(&sent, 487, "b", "");
    let upstream = sent.iter().find(|sent| sent.status() > 0).expect("Alice is answered");
    assert!(upstream.status() >= 400);
    scene.world.alice(&in_dialog("ACK", upstream, 1, ""));
    scene.ends();
}

#[test]
fn a_handler_that_invalidates_its_own_session_goes_on_and_is_refused_what_it_asks() {
    let mut scene = Scene::with(|line, subject| {
        if let ("INVITE", Subject::Request(invite)) = (line, subject) {
            let (session, app) = (invite.session()?, invite.application_session()?);
            app.invalidate()?;
            assert!(!session.is_valid() && !app.is_valid());
            assert!(invite.create_response(StatusCode::OK).is_err());
            assert_eq!(session.create_request(Method::Info).err(), Some(gone()));
            assert_eq!(app.set_attribute("a", 1_u32), Err(IllegalState::InvalidApplicationSession.into()));
            assert!(invite.session().is_err() && invite.application_session().is_err());
        }
        Ok(())
    });
    let refusal = one(scene.world.alice(&invite(HERE, "l18")));
    assert_eq!(refusal.status(), 408, "answered once");
    scene.world.alice(&in_dialog("ACK", &refusal, 1, ""));
    assert_eq!(scene.log.take(), ["app created", "sip created", "INVITE", "sip destroyed", "app destroyed"]);
    scene.ends();
}

#[test]
fn what_comes_again_for_a_session_that_is_gone_is_answered_as_before() {
    let mut scene = Scene::new();
    let text = request("MESSAGE", HERE, "l19", "");
    let message = scene.receives(&text);
    scene.answers(&message, StatusCode::ACCEPTED);
    scene.log.take();
    assert_eq!(one(scene.world.alice(&text)).status(), 202);
    assert_eq!(scene.log.take(), [""; 0]);
    scene.ends();
}

#[test]
fn a_listener_of_one_leg_that_ends_the_application_session_ends_the_other_leg() {
    let mut scene = Scene::with(|line, subject| {
        if let ("sip destroyed", Subject::Sip(session)) = (line, subject) {
            // The second one finds that it has been done.
            let _ = session.application_session()?.invalidate();
        }
        Ok(())
    });
    let app = scene.act(|context| context.sip_factory().create_application_session().unwrap());
    let (_, first) = scene.sends_in(&app, Method::Options);
    let (second, sent) = scene.sends_in(&app, Method::Invite);
    scene.world.answer(&sent, 180, "b", "");
    scene.log.take();
    let sent = scene.world.answer(&first, 200, "b", "");
    assert_eq!(scene.log.take(), ["200 OPTIONS", "sip ready", "sip destroyed", "sip destroyed", "app destroyed"]);
    assert!(second.session().is_err());
    assert_eq!(one(sent).method(), "CANCEL");
}

#[test]
fn a_subsequent_request_of_the_callee_finds_no_session_after_its_end() {
    let mut scene = Scene::with(|line, subject| {
        if let ("200 INVITE", Subject::Response(response)) = (line, subject) {
            response.create_ack()?.send()?;
            response.session()?.invalidate()?;
        }
        Ok(())
    });
    let (_, sent) = scene.sends(Method::Invite);
    let ack = one(scene.world.answer(&sent, 200, "b", ""));
    assert_eq!(ack.method(), "ACK", "it was sent before");
    let bye = from_callee("BYE", &sent, "b", 1, "");
    assert_eq!(one(bob_says(&mut scene.world, &bye)).status(), 481);
    scene.ends();
}

#[test]
fn an_application_behind_another_one_that_invalidates_its_session_leaves_nothing_between_them() {
    for (method, status) in [("INVITE", 408), ("MESSAGE", 500)] {
        let log = Log::default();
        let first = SipApplication::new("first").handlers(Handlers::new().any_method(|request| async move {
            request.proxy()?.proxy_to(&request.request_uri())?;
            Ok(())
        }));
        let second = witness(&log, |_, subject| {
            if let Subject::Request(request) = subject {
                request.application_session()?.invalidate()?;
            }
            Ok(())
        });
        let builder = container::Container::builder().application(first).application(second);
        let mut world = World::with(builder);
        let refusal = one(world.alice(&request(method, HERE, "l28", "")));
        assert_eq!(refusal.status(), status);
        if method == "INVITE" {
            world.alice(&in_dialog("ACK", &refusal, 1, ""));
        }
        assert_eq!(log.take(), ["app created", "sip created", method, "sip destroyed", "app destroyed"]);
        world.ends();
    }
}

#[test]
fn an_application_before_another_one_that_invalidates_its_session_takes_its_request_back() {
    let log = Log::default();
    let first = SipApplication::new("first").handlers(Handlers::new().any_method(|request| async move {
        request.proxy()?.proxy_to(&request.request_uri())?;
        request.application_session()?.create_timer(Duration::from_secs(5), ())?;
        Ok(())
    }));
    let first = first.on_timer(|timer| async move { Ok(timer.application_session().invalidate()?) });
    let second = witness(&log, |_, _| Ok(()));
    let mut world = World::with(container::Container::builder().application(first).application(second));
    world.alice(&invite(HERE, "l29"));
    log.take();
    world.pass(Duration::from_millis(5_100));
    let refusal = one(world.sent());
    assert!(refusal.status() >= 400);
    world.alice(&in_dialog("ACK", &refusal, 1, ""));
    assert_eq!(log.take(), [&["CANCEL"], &GONE[..]].concat());
    world.ends();
}
