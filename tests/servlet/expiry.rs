//! How application sessions end of age, and what keeps them from it (SIP Servlet 1.1 §6.1.2, §6.3).

use servlet::prelude::*;
use servlet::{Expiration, Granted};

use crate::witness::{Log, Scene, Subject, witness};
use crate::world::{World, in_dialog, one, request};

const HERE: &str = "sip:service@192.0.2.1";
const MINUTE: Duration = Duration::from_secs(60);

/// A call that was answered; the application session, and what Alice got.
fn call(scene: &mut Scene) -> (SipApplicationSession, crate::world::Sent) {
    let (invite, ok) = scene.takes_call(HERE, "e");
    (invite.application_session().unwrap(), ok)
}

fn expires_in(scene: &mut Scene, app: &SipApplicationSession) -> Duration {
    let now = scene.act(|context| context.time());
    match app.expiration_time() {
        Ok(Expiration::At(time)) => time.duration_since(now).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_in_which_nothing_happens_ends_of_age_without_a_word() {
    let mut scene = Scene::new();
    let (app, ok) = call(&mut scene);
    assert_eq!(expires_in(&mut scene, &app), 15 * MINUTE);
    scene.world.pass(15 * MINUTE - Duration::from_secs(1));
    assert_eq!(scene.log.take(), [""; 0]);
    scene.world.pass(Duration::from_secs(2));
    assert_eq!(scene.log.take(), ["app expired", "sip destroyed", "app destroyed"]);
    assert!(scene.world.sent().is_empty(), "no BYE");
    assert_eq!(one(scene.world.alice(&in_dialog("BYE", &ok, 2, ""))).status(), 481);
    scene.ends();
}

#[test]
fn a_request_that_comes_begins_the_lifetime_anew() {
    let mut scene = Scene::with(|line, subject| {
        if let ("INFO", Subject::Request(info)) = (line, subject) {
            info.create_response(StatusCode::OK)?.send()?;
        }
        Ok(())
    });
    let (app, ok) = call(&mut scene);
    for cseq in 2..6 {
        scene.world.pass(14 * MINUTE);
        scene.world.alice(&in_dialog("INFO", &ok, cseq, ""));
    }
    assert!(app.is_valid());
    assert_eq!(expires_in(&mut scene, &app), 15 * MINUTE);
    let now = scene.act(|context| context.time());
    assert_eq!(app.last_accessed_time(), now);
    scene.world.pass(16 * MINUTE);
    assert!(!app.is_valid());
}

#[test]
fn a_request_that_goes_and_a_response_that_comes_begin_the_lifetime_anew() {
    let mut scene = Scene::new();
    let app = scene.act(|context| context.sip_factory().create_application_session().unwrap());
    scene.act(|_| app.set_invalidate_when_ready(false).unwrap());
    scene.world.pass(10 * MINUTE);
    let (_, sent) = scene.sends_in(&app, Method::Invite);
    assert_eq!(expires_in(&mut scene, &app), 15 * MINUTE);
    scene.world.pass(Duration::from_secs(10));
    scene.world.all_sent();
    scene.world.answer(&sent, 180, "b", "");
    assert_eq!(expires_in(&mut scene, &app), 15 * MINUTE);
    scene.world.pass(MINUTE);
    scene.world.answer(&sent, 486, "b", "");
    assert_eq!(expires_in(&mut scene, &app), 15 * MINUTE);
    scene.act(|_| app.invalidate().unwrap());
    scene.ends();
}

#[test]
fn what_is_sent_in_session_expired_does_not_extend_the_session() {
    let mut scene = Scene::with(|line, subject| {
        if let ("app expired", Subject::App(app)) = (line, subject) {
            assert_eq!(app.expiration_time(), Ok(Expiration::Expired));
            app.sip_sessions()?[0].create_request(Method::Info)?.send()?;
            assert_eq!(app.expiration_time(), Ok(Expiration::Expired));
        }
        Ok(())
    });
    let (app, _) = call(&mut scene);
    scene.world.pass(15 * MINUTE + Duration::from_millis(100));
    assert_eq!(scene.log.take(), ["app expired", "sip destroyed", "app destroyed"]);
    assert!(!app.is_valid());
    assert_eq!(scene.world.only().method(), "INFO");
}

#[test]
fn set_expires_in_session_expired_extends_the_session_and_its_call_goes_on() {
    let mut scene = Scene::with(|line, subject| {
        match subject {
            Subject::App(app) if line == "app expired" => {
                assert_eq!(app.set_expires(Minutes(5))?, Granted::Minutes(Minutes(5)));
            }
            Subject::Request(bye) if line == "BYE" => bye.create_response(StatusCode::OK)?.send()?,
            _ => {}
        }
        Ok(())
    });
    let (app, ok) = call(&mut scene);
    scene.world.pass(16 * MINUTE);
    assert_eq!(scene.log.take(), ["app expired"]);
    assert!(app.is_valid());
    scene.world.pass(5 * MINUTE);
    assert_eq!(scene.log.take(), ["app expired"], "once more, after the five minutes");
    assert_eq!(one(scene.world.alice(&in_dialog("BYE", &ok, 2, ""))).status(), 200);
    assert_eq!(scene.log.take(), ["BYE", "sip ready", "sip destroyed", "app ready", "app destroyed"]);
    scene.ends();
}

#[test]
fn a_listener_may_end_the_call_properly_when_its_time_has_come() {
    let mut scene = Scene::with(|line, subject| {
        if let ("app expired", Subject::App(app)) = (line, subject) {
            app.set_expires(Minutes(1))?;
            app.sip_sessions()?[0].create_request(Method::Bye)?.send()?;
        }
        Ok(())
    });
    call(&mut scene);
    scene.world.pass(15 * MINUTE + Duration::from_millis(100));
    let bye = scene.world.only();
    assert_eq!(bye.method(), "BYE");
    scene.world.answer(&bye, 200, "a", "");
    let gone = ["app expired", "200 BYE", "sip ready", "sip destroyed", "app ready", "app destroyed"];
    assert_eq!(scene.log.take(), gone);
    scene.ends();
}

#[test]
fn the_applications_own_lifetime_counts_and_set_expires_replaces_it() {
    let log = Log::default();
    let application = witness(&log, |_, _| Ok(())).session_timeout(Minutes(2));
    let mut scene = Scene { world: World::new(application), log };
    let message = scene.receives(&request("MESSAGE", HERE, "e7", ""));
    let app = message.application_session().unwrap();
    assert_eq!(expires_in(&mut scene, &app), 2 * MINUTE);
    assert_eq!(scene.act(|_| app.set_expires(Minutes(10))), Ok(Granted::Minutes(Minutes(10))));
    assert_eq!(expires_in(&mut scene, &app), 10 * MINUTE);
    assert_eq!(scene.act(|_| app.set_expires(Minutes(0))), Ok(Granted::Forever));
    assert_eq!(app.expiration_time(), Ok(Expiration::Never));
    scene.answers(&message, StatusCode::OK);
    scene.ends();
}

#[test]
fn an_application_session_that_nobody_used_ends_of_age_too() {
    let mut scene = Scene::new();
    scene.act(|context| context.sip_factory().create_application_session().unwrap());
    scene.world.pass(15 * MINUTE + Duration::from_millis(100));
    assert_eq!(scene.log.take(), ["app created", "app expired", "app destroyed"]);
    scene.ends();
}
