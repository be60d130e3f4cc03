//! SIP Servlet 1.1 §6.1.2, §6.2.4: beginnings, readiness and ends, told in order and once.

use std::time::Duration;

use servlet::spi::AppId;
use servlet::{Error, IllegalState, Minutes, NodeLocal, SipApplication};

use crate::settings::Settings;
use crate::test_core::{Ear, Log, Noted, Subject, World, heard_by};

const INVALID: Error = Error::IllegalState(IllegalState::InvalidApplicationSession);

fn heard(log: &Log) -> Vec<String> {
    log.take()
}

#[test]
fn a_session_that_is_ready_is_told_so_and_ends_and_its_application_session_after_it() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    let session = world.session(&app);
    world.turn();
    assert_eq!(heard(&log), ["app created", "sip 0 created"]);
    world.make_ready(&session);
    assert_eq!(heard(&log), ["sip 0 ready", "sip 0 destroyed", "app ready", "app destroyed"]);
    assert!(!session.is_valid() && !app.is_valid());
}

#[test]
fn an_application_session_waits_for_its_last_session() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    let (one, two) = (world.session(&app), world.session(&app));
    heard(&log);
    world.make_ready(&one);
    assert_eq!(heard(&log), ["sip 0 ready", "sip 0 destroyed"]);
    assert!(app.is_valid());
    world.make_ready(&two);
    assert_eq!(heard(&log), ["sip 1 ready", "sip 1 destroyed", "app ready", "app destroyed"]);
}

#[test]
fn an_application_session_with_an_active_timer_is_not_ready() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    let timer = app.create_timer(Duration::from_secs(1), ()).unwrap();
    let session = world.session(&app);
    world.make_ready(&session);
    assert_eq!(app.is_ready_to_invalidate(), Ok(false));
    heard(&log);
    timer.cancel();
    assert_eq!(app.is_ready_to_invalidate(), Ok(true));
    assert!(app.is_valid(), "not within the call");
    world.turn();
    assert_eq!(heard(&log), ["app ready", "app destroyed"]);
}

#[test]
fn an_application_session_in_which_nothing_was_is_left_alone() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    app.run(async { Ok(()) }).unwrap();
    world.turn();
    assert!(app.is_valid());
}

#[test]
fn a_listener_that_clears_the_flag_keeps_the_session_as_long_as_its_application_session() {
    let log = Log::default();
    let ear = Ear::that(&log, |line, subject| match subject {
        Subject::Sip(session) if line.ends_with("ready") => session.set_invalidate_when_ready(false).unwrap(),
        _ => {}
    });
    let mut world = World::of(heard_by(ear));
    let app = world.app_session();
    let session = world.session(&app);
    heard(&log);
    world.make_ready(&session);
    // The session is ready nevertheless, and so is the application session, which has a flag of its own.
    assert_eq!(heard(&log), ["sip 0 ready", "app ready", "sip 0 destroyed", "app destroyed"]);
}

#[test]
fn the_flag_is_looked_at_again_after_the_callback_of_the_application_session_too() {
    let log = Log::default();
    let ear = Ear::that(&log, |line, subject| match subject {
        Subject::App(app) if line == "app ready" => app.set_invalidate_when_ready(false).unwrap(),
        _ => {}
    });
    let mut world = World::of(heard_by(ear));
    let app = world.app_session();
    let session = world.session(&app);
    heard(&log);
    world.make_ready(&session);
    assert_eq!(heard(&log), ["sip 0 ready", "sip 0 destroyed", "app ready"]);
    assert!(app.is_valid());
}

#[test]
fn a_session_without_the_flag_is_not_told_until_it_has_it() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    app.set_invalidate_when_ready(false).unwrap();
    let session = world.session(&app);
    session.set_invalidate_when_ready(false).unwrap();
    assert_eq!((session.invalidate_when_ready(), app.invalidate_when_ready()), (Ok(false), Ok(false)));
    heard(&log);
    world.make_ready(&session);
    assert_eq!(heard(&log), [""; 0]);
    session.set_invalidate_when_ready(true).unwrap();
    assert!(session.is_valid(), "not within the call");
    world.turn();
    assert_eq!(heard(&log), ["sip 0 ready", "sip 0 destroyed"]);
    app.set_invalidate_when_ready(true).unwrap();
    world.turn();
    assert_eq!(heard(&log), ["app ready", "app destroyed"]);
}

#[test]
fn a_listener_may_invalidate_what_is_ready_itself() {
    let log = Log::default();
    let ear = Ear::that(&log, |line, subject| match subject {
        Subject::Sip(session) if line.ends_with("ready") => session.invalidate().unwrap(),
        Subject::App(app) if line == "app ready" => app.invalidate().unwrap(),
        _ => {}
    });
    let mut world = World::of(heard_by(ear));
    let app = world.app_session();
    let session = world.session(&app);
    heard(&log);
    world.make_ready(&session);
    assert_eq!(heard(&log), ["sip 0 ready", "sip 0 destroyed", "app ready", "app destroyed"]);
}

#[test]
fn what_a_listener_begins_in_a_session_that_is_ready_keeps_it() {
    let log = Log::default();
    let ear = Ear::that(&log, |line, subject| match subject {
        Subject::App(app) if line == "app ready" => {
            app.create_timer(Duration::from_secs(1), ()).unwrap();
        }
        _ => {}
    });
    let mut world = World::of(heard_by(ear));
    let app = world.app_session();
    let session = world.session(&app);
    world.make_ready(&session);
    assert!(app.is_valid());
    heard(&log);
    world.pass(Duration::from_millis(1500));
    assert_eq!(heard(&log), ["timeout", "app ready"], "told anew when it is ready anew");
}

#[test]
fn readiness_is_not_looked_at_within_a_handler() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    let timer = app.create_timer(Duration::from_secs(1), ()).unwrap();
    heard(&log);
    let (app_then, log_then) = (app.clone(), log.clone());
    app.run(async move {
        timer.cancel();
        log_then.write(format!("valid: {}", app_then.is_valid()));
        Ok(())
    })
    .unwrap();
    world.turn();
    assert_eq!(heard(&log), ["valid: true", "app ready", "app destroyed"]);
}

#[test]
fn events_that_wait_are_dealt_with_before_an_application_session_ends() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    let timer = app.create_timer(Duration::from_secs(1), ()).unwrap();
    heard(&log);
    let log_then = log.clone();
    app.run(async move {
        timer.cancel();
        Ok(())
    })
    .unwrap();
    app.run(async move {
        log_then.write("the second event");
        Ok(())
    })
    .unwrap();
    world.turn();
    assert_eq!(heard(&log), ["the second event", "app ready", "app destroyed"]);
}

#[test]
fn an_application_session_that_is_invalidated_takes_everything_along_in_order() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    let (one, two) = (world.session(&app), world.session(&app));
    app.set_attribute("of app", Noted("A", log.clone())).unwrap();
    one.set_attribute("of one", Noted("B", log.clone())).unwrap();
    let timer = app.create_timer(Duration::from_secs(60), ()).unwrap();
    heard(&log);
    app.invalidate().unwrap();
    assert_eq!(
        heard(&log),
        [
            "sip 1 destroyed",
            "B is unbound from of one",
            "sip 0 -of one",
            "sip 0 destroyed",
            "A is unbound from of app",
            "app -of app",
            "app destroyed",
        ]
    );
    assert!(!app.is_valid() && !one.is_valid() && !two.is_valid() && !timer.is_active());
    world.pass(Duration::from_secs(3600));
    assert_eq!(heard(&log), [""; 0]);
}

#[test]
fn timers_are_cancelled_before_session_destroyed_is_told() {
    let log = Log::default();
    let ear = Ear::that(&log, |line, subject| match subject {
        Subject::App(app) if line == "app destroyed" => assert_eq!(app.timers().unwrap(), []),
        _ => {}
    });
    let world = World::of(heard_by(ear));
    let app = world.app_session();
    app.create_timer(Duration::from_secs(60), ()).unwrap();
    app.invalidate().unwrap();
    assert_eq!(world.core.app(AppId(0)).counters.failed_handlers.get(), 0);
    assert_eq!(world.core.app(AppId(0)).counters.timers.get(), 0);
}

#[test]
fn what_is_invalid_refuses_everything_but_its_facts() {
    let log = Log::default();
    let world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    let session = world.session(&app);
    let (id, session_id) = (app.id(), session.id());
    app.invalidate().unwrap();
    assert_eq!((app.id(), session.id()), (id, session_id));
    assert_eq!(app.application_name(), "test");
    assert_eq!(session.call_id(), "call");
    assert_eq!(app.creation_time(), Err(INVALID));
    assert_eq!(app.expiration_time(), Err(INVALID));
    assert_eq!(app.set_expires(Minutes(1)), Err(INVALID));
    assert_eq!(app.invalidate(), Err(INVALID));
    assert_eq!(app.is_ready_to_invalidate(), Err(INVALID));
    assert_eq!(app.invalidate_when_ready(), Err(INVALID));
    assert_eq!(app.set_invalidate_when_ready(true), Err(INVALID));
    assert_eq!(app.sip_sessions(), Err(INVALID));
    assert_eq!(app.timers(), Err(INVALID));
    assert_eq!(app.create_timer(Duration::ZERO, ()), Err(INVALID));
    assert_eq!(app.attribute_names(), Err(INVALID));
    assert_eq!(app.set_attribute("a", 1_u32), Err(INVALID));
    assert_eq!(app.remove_attribute("a"), Err(INVALID));
    assert_eq!(app.run(async { Ok(()) }), Err(INVALID));
    let invalid = Error::IllegalState(IllegalState::InvalidSession);
    assert_eq!(session.invalidate(), Err(invalid.clone()));
    assert_eq!(session.is_ready_to_invalidate(), Err(invalid.clone()));
    assert_eq!(session.invalidate_when_ready(), Err(invalid.clone()));
    assert_eq!(session.set_invalidate_when_ready(true), Err(invalid.clone()));
    assert_eq!(session.attribute_names(), Err(invalid.clone()));
    assert_eq!(session.set_attribute("a", 1_u32), Err(invalid));
}

#[test]
fn a_handler_that_invalidates_its_own_session_goes_on() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    heard(&log);
    let (own, log_then) = (app.clone(), log.clone());
    app.run(async move {
        own.invalidate()?;
        log_then.write(format!("refused: {}", own.set_attribute("a", ()).is_err()));
        yield_once().await;
        log_then.write("and goes on");
        Ok(())
    })
    .unwrap();
    world.turn();
    assert_eq!(heard(&log), ["app destroyed", "refused: true", "and goes on"]);
}

#[test]
fn a_handler_that_waits_goes_on_when_another_has_invalidated_its_session() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let (one, two) = (world.app_session(), world.app_session());
    heard(&log);
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let log_then = log.clone();
    one.run(async move {
        std::future::poll_fn(|_| match receiver.try_recv() {
            Ok(()) => std::task::Poll::Ready(()),
            Err(_) => std::task::Poll::Pending,
        })
        .await;
        log_then.write("goes on");
        Ok(())
    })
    .unwrap();
    world.turn();
    let other = one.clone();
    two.run(async move { Ok(other.invalidate()?) }).unwrap();
    world.turn();
    assert_eq!(heard(&log), ["app destroyed"]);
    sender.send(()).unwrap();
    world.turn();
    assert_eq!(heard(&log), ["goes on"]);
}

#[test]
fn what_another_application_session_takes_away_makes_this_one_ready_too() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let (one, two) = (world.app_session(), world.app_session());
    let timer = one.create_timer(Duration::from_secs(60), ()).unwrap();
    heard(&log);
    two.run(async move {
        timer.cancel();
        Ok(())
    })
    .unwrap();
    world.turn();
    assert_eq!(heard(&log), ["app ready", "app destroyed"]);
    assert!(!one.is_valid() && two.is_valid());
}

#[test]
fn there_are_as_many_application_sessions_as_container_and_application_may_have() {
    let application = SipApplication::new("test").max_sessions(2);
    for settings in [Settings { max_sessions: 2, ..Settings::default() }, Settings::default()] {
        let world = World::with(settings, application.clone());
        let (one, _two) = (world.app_session(), world.app_session());
        let full = world.core.create_app_session(AppId(0), None);
        assert_eq!(full, Err(IllegalState::LimitReached.into()));
        one.invalidate().unwrap();
        assert!(world.core.create_app_session(AppId(0), None).is_ok());
        let counters = &world.core.app(AppId(0)).counters;
        let counted = (counters.sessions.get(), counters.sessions_created.get(), counters.sessions_rejected.get());
        assert_eq!(counted, (2, 3, 1));
    }
}

#[test]
fn the_same_key_means_another_session_once_the_first_one_ends() {
    let log = Log::default();
    let world = World::of(heard_by(Ear::new(&log)));
    let first = world.core.create_app_session(AppId(0), Some("k")).unwrap();
    let find = || world.core.state().by_key.get(&(AppId(0), "k".into())).copied();
    assert_eq!(find(), Some(first));
    world.core.app_session(first).unwrap().invalidate().unwrap();
    assert_eq!(find(), None);
    let second = world.core.create_app_session(AppId(0), Some("k")).unwrap();
    assert_eq!(find(), Some(second));
    assert!(world.core.app_session(second).unwrap().id().ends_with(":k"));
}

#[test]
fn a_session_that_has_ended_is_in_no_table() {
    let world = World::of(SipApplication::new("test").on_timer(|_| async { Ok(()) }));
    for _ in 0..10 {
        let key = world.core.create_app_session(AppId(0), Some("k")).unwrap();
        let app = world.core.app_session(key).unwrap();
        let session = world.session(&app);
        world.core.state_mut().set_local_tag(session.key(), "tag".into());
        session.set_attribute("a", NodeLocal(())).unwrap();
        app.create_timer(Duration::from_secs(1), ()).unwrap();
        app.invalidate().unwrap();
    }
    let state = world.core.state();
    assert_eq!((state.app_sessions.len(), state.sessions.len(), state.timers.len()), (0, 0, 0));
    assert!(state.by_number.is_empty() && state.app_by_number.is_empty());
    assert!(state.by_key.is_empty() && state.by_dialog.is_empty());
    let counters = &world.core.app(AppId(0)).counters;
    assert_eq!((counters.sessions.get(), counters.sip_sessions.get(), counters.timers.get()), (0, 0, 0));
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
