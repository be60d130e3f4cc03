//! When sessions of both kinds are ready to be invalidated, and what they are (SIP Servlet 1.1 §6.1.2, §6.2.4).

use servlet::prelude::*;
use servlet::{IllegalState, Protocol};
use sip_message::HeaderName;

use crate::witness::{Log, Scene, Subject, witness};
use crate::world::{BOB, World, in_dialog, invite, one, request};

pub const HERE: &str = "sip:service@192.0.2.1";
/// What is told when the last session of an application session is ready.
pub const GONE: [&str; 4] = ["sip ready", "sip destroyed", "app ready", "app destroyed"];

#[test]
fn a_uas_that_refuses_is_ready_when_it_has() {
    let mut scene = Scene::new();
    let invite = scene.receives(&invite(HERE, "l1"));
    assert_eq!(scene.log.take(), ["app created", "sip created", "INVITE"]);
    let session = invite.session().unwrap();
    assert_eq!(session.is_ready_to_invalidate(), Ok(false));
    let refusal = scene.answers(&invite, StatusCode::BUSY_HERE);
    scene.world.alice(&in_dialog("ACK", &refusal, 1, ""));
    assert_eq!(scene.log.take(), GONE);
    assert!(!session.is_valid());
    scene.ends();
}

#[test]
fn a_call_is_ready_when_its_bye_was_answered() {
    let mut scene = Scene::with(|line, subject| {
        if let ("BYE", Subject::Request(bye)) = (line, subject) {
            let session = bye.session()?;
            bye.create_response(StatusCode::OK)?.send()?;
            assert_eq!(session.state(), Ok(SessionState::Terminated));
            assert_eq!(session.is_ready_to_invalidate(), Ok(true));
            assert!(session.is_valid(), "not within the callback");
        }
        Ok(())
    });
    let (invite, ok) = scene.takes_call(HERE, "l2");
    let app = invite.application_session().unwrap();
    assert_eq!(app.is_ready_to_invalidate(), Ok(false));
    assert_eq!(one(scene.world.alice(&in_dialog("BYE", &ok, 2, ""))).status(), 200);
    assert_eq!(scene.log.take(), ["BYE", "sip ready", "sip destroyed", "app ready", "app destroyed"]);
    scene.ends();
}

#[test]
fn a_request_that_makes_no_dialog_leaves_a_session_that_is_ready() {
    let mut scene = Scene::new();
    let message = scene.receives(&request("MESSAGE", HERE, "l3", ""));
    scene.log.take();
    scene.answers(&message, StatusCode::OK);
    assert_eq!(scene.log.take(), GONE);
    let (options, sent) = scene.sends(Method::Options);
    scene.log.take();
    assert!(options.session().unwrap().is_valid());
    scene.world.answer(&sent, 200, "b", "");
    assert_eq!(scene.log.take(), [&["200 OPTIONS"], &GONE[..]].concat());
    scene.ends();
}

#[test]
fn a_uac_is_ready_when_a_failure_has_brought_it_back_to_initial() {
    let mut scene = Scene::new();
    let (_, invite) = scene.sends(Method::Invite);
    scene.world.answer(&invite, 180, "b", "");
    scene.log.take();
    scene.world.answer(&invite, 404, "b", "");
    assert_eq!(scene.log.take(), [&["404 INVITE"], &GONE[..]].concat());
    scene.ends();
}

#[test]
fn a_uac_that_tries_again_in_its_callback_is_not_ready() {
    let mut scene = Scene::with(|line, subject| {
        if let ("404 INVITE", Subject::Response(response)) = (line, subject) {
            let session = response.session()?;
            assert_eq!(session.state(), Ok(SessionState::Initial));
            session.create_request(Method::Invite)?.send()?;
        }
        Ok(())
    });
    let (_, first) = scene.sends(Method::Invite);
    scene.log.take();
    let sent = scene.world.answer(&first, 404, "b", "");
    let second = sent.iter().find(|sent| sent.method() == "INVITE").expect("another INVITE").clone();
    assert_eq!(second.first(HeaderName::CallId), first.first(HeaderName::CallId));
    assert_eq!((second.from_tag(), second.to_tag()), (first.from_tag(), String::new()));
    assert_eq!(second.first(HeaderName::Cseq), "2 INVITE");
    assert_eq!(scene.log.take(), ["404 INVITE"]);
    scene.world.answer(&second, 486, "b", "");
    assert_eq!(scene.log.take(), [&["486 INVITE"], &GONE[..]].concat());
    scene.ends();
}

#[test]
fn a_challenge_leaves_a_session_that_may_try_again() {
    let mut scene = Scene::new();
    let (register, sent) = scene.sends(Method::Register);
    scene.world.answer(&sent, 401, "b", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\n");
    let session = register.session().unwrap();
    assert_eq!(session.is_ready_to_invalidate(), Ok(false));
    let again = scene.act(|_| session.create_request(Method::Register).unwrap());
    scene.act(|_| again.send().unwrap());
    let sent = scene.world.only();
    scene.world.answer(&sent, 200, "b", "");
    assert!(!session.is_valid());
    scene.ends();
}

#[test]
fn who_refreshes_a_registration_clears_the_flags_of_both_sessions() {
    let mut scene = Scene::with(|line, subject| {
        match subject {
            Subject::Sip(session) if line == "sip ready" => session.set_invalidate_when_ready(false)?,
            Subject::App(app) if line == "app ready" => app.set_invalidate_when_ready(false)?,
            _ => {}
        }
        Ok(())
    });
    let (register, sent) = scene.sends(Method::Register);
    scene.log.take();
    scene.world.answer(&sent, 200, "b", "");
    assert_eq!(scene.log.take(), ["200 REGISTER", "sip ready", "app ready"]);
    let session = register.session().unwrap();
    let again = scene.act(|_| session.create_request(Method::Register).unwrap());
    scene.act(|_| again.send().unwrap());
    let sent = scene.world.only();
    assert_eq!(sent.first(HeaderName::Cseq), "2 REGISTER");
    scene.world.answer(&sent, 200, "b", "");
    assert_eq!(scene.log.take(), ["200 REGISTER"], "nobody observes it any more");
    scene.act(|_| {
        session.set_invalidate_when_ready(true).unwrap();
        session.application_session().unwrap().set_invalidate_when_ready(true).unwrap();
    });
    // The listener still says no.
    assert_eq!(scene.log.take(), ["sip ready", "app ready"]);
    scene.act(|_| session.application_session().unwrap().invalidate().unwrap());
    scene.ends();
}

#[test]
fn a_proxy_that_does_not_record_route_is_ready_with_the_2xx() {
    for (record_route, expected) in [(false, [&["200 INVITE"], &GONE[..]].concat()), (true, vec!["200 INVITE"])] {
        let mut scene = Scene::with(move |line, subject| {
            if let ("INVITE", Subject::Request(invite)) = (line, subject) {
                let proxy = invite.proxy()?;
                proxy.set_record_route(record_route)?;
                proxy.proxy_to(&invite.request_uri())?;
            }
            Ok(())
        });
        let sent = one(scene.world.alice(&invite(&format!("sip:bob@{BOB}"), "l8")));
        scene.log.take();
        scene.world.answer(&sent, 200, "b", "");
        assert_eq!(scene.log.take(), expected);
    }
}

#[test]
fn a_proxy_whose_targets_have_all_refused_is_ready() {
    let mut scene = Scene::with(|line, subject| {
        if let ("INVITE", Subject::Request(invite)) = (line, subject) {
            invite.proxy()?.proxy_to(&invite.request_uri())?;
        }
        Ok(())
    });
    let sent = one(scene.world.alice(&invite(&format!("sip:bob@{BOB}"), "l9")));
    scene.log.take();
    scene.world.answer(&sent, 486, "b", "");
    assert_eq!(scene.log.take(), [&["486 INVITE"], &GONE[..]].concat());
    scene.ends();
}

#[test]
fn an_application_session_is_ready_with_its_last_session_only() {
    let mut scene = Scene::new();
    let app = scene.act(|context| context.sip_factory().create_application_session().unwrap());
    let (_, one) = scene.sends_in(&app, Method::Options);
    let (_, two) = scene.sends_in(&app, Method::Options);
    scene.log.take();
    scene.world.answer(&one, 200, "b", "");
    assert_eq!(scene.log.take(), ["200 OPTIONS", "sip ready", "sip destroyed"]);
    scene.world.answer(&two, 200, "b", "");
    assert_eq!(scene.log.take(), [&["200 OPTIONS"], &GONE[..]].concat());
    scene.ends();
}

#[test]
fn a_listener_may_keep_a_session_that_is_over_and_look_at_it() {
    let mut scene = Scene::with(|line, subject| {
        match subject {
            Subject::Sip(session) if line == "sip ready" => session.set_invalidate_when_ready(false)?,
            Subject::App(app) if line == "app ready" => app.set_invalidate_when_ready(false)?,
            _ => {}
        }
        Ok(())
    });
    let invite = scene.receives(&invite(HERE, "l10"));
    let refusal = scene.answers(&invite, StatusCode::BUSY_HERE);
    scene.world.alice(&in_dialog("ACK", &refusal, 1, ""));
    let session = invite.session().unwrap();
    assert_eq!((session.state(), session.is_ready_to_invalidate()), (Ok(SessionState::Terminated), Ok(true)));
    let refused = session.create_request(Method::Info).err();
    assert_eq!(refused, Some(Error::IllegalState(IllegalState::Terminated)));
    scene.act(|_| session.application_session().unwrap().invalidate().unwrap());
    scene.ends();
}

// ----- limits and facts -----

#[test]
fn an_initial_request_beyond_the_limit_is_answered_503_with_retry_after() {
    let log = Log::default();
    let mut scene = Scene { world: World::new(witness(&log, |_, _| Ok(())).max_sessions(1)), log };
    let first = scene.receives(&request("MESSAGE", HERE, "l22", ""));
    let refused = one(scene.world.alice(&request("MESSAGE", HERE, "l23", "")));
    assert_eq!(refused.status(), 503);
    assert!(!refused.first(HeaderName::RetryAfter).is_empty());
    scene.answers(&first, StatusCode::OK);
    let second = scene.receives(&request("MESSAGE", HERE, "l24", ""));
    assert_eq!(scene.answers(&second, StatusCode::OK).status(), 200);
    scene.ends();
}

#[test]
fn an_application_session_knows_its_application_its_sessions_and_its_key() {
    let log = Log::default();
    let application = witness(&log, |_, _| Ok(()))
        .application_key(|request| request.request_uri().as_sip()?.user().map(|user| user.to_string()));
    let mut scene = Scene { world: World::new(application), log };
    let one = scene.receives(&request("MESSAGE", "sip:room@192.0.2.1", "l25", ""));
    let two = scene.receives(&request("MESSAGE", "sip:room@192.0.2.1", "l26", ""));
    let other = scene.receives(&request("MESSAGE", "sip:hall@192.0.2.1", "l27", ""));
    let app = one.application_session().unwrap();
    assert_eq!(app, two.application_session().unwrap(), "one key, one session");
    assert_ne!(app, other.application_session().unwrap());
    assert_eq!(app.application_name(), "witness");
    assert!(app.id().contains("room"));
    let sessions = [one.session().unwrap(), two.session().unwrap()];
    assert_eq!(app.sip_sessions().unwrap(), sessions);
    assert_eq!(app.session(&sessions[1].id(), Protocol::Sip).unwrap(), app.sessions().unwrap().pop());
    assert_eq!(app.sip_session("nobody").unwrap(), None);
    scene.answers(&one, StatusCode::OK);
    assert_eq!(app.sip_sessions().unwrap(), sessions[1..], "the valid ones");
    scene.answers(&two, StatusCode::OK);
    assert!(!app.is_valid());
    scene.answers(&other, StatusCode::OK);
    scene.ends();
}
