//! Nothing is told twice, and nothing out of order, whatever listeners do.

use std::time::Duration;

use servlet::spi::AppId;
use servlet::{Error, IllegalState, Minutes, SipApplication};

use crate::test_core::{Ear, Log, Subject, World, heard_by};

const INVALID: Error = Error::IllegalState(IllegalState::InvalidApplicationSession);

#[test]
fn a_listener_that_ends_what_is_above_the_session_that_ends_is_obeyed_when_that_has_ended() {
    let log = Log::default();
    let ear = Ear::that(&log, |line, subject| match subject {
        Subject::Sip(session) if line == "sip 1 destroyed" => {
            session.application_session().unwrap().invalidate().unwrap();
        }
        _ => {}
    });
    let second = Ear::new(&log).called("2: ");
    let world = World::of(second.listens_to(ear.listens_to(SipApplication::new("test"))));
    let app = world.app_session();
    let (_, two) = (world.session(&app), world.session(&app));
    log.take();
    two.invalidate().unwrap();
    assert_eq!(
        log.take(),
        [
            "sip 1 destroyed",
            "2: sip 1 destroyed",
            "sip 0 destroyed",
            "2: sip 0 destroyed",
            "app destroyed",
            "2: app destroyed",
        ]
    );
    assert!(!app.is_valid());
}

#[test]
fn all_listeners_hear_of_a_thing_before_any_hears_of_what_one_of_them_does_about_it() {
    let log = Log::default();
    let ear = Ear::that(&log, |line, subject| match (line, subject) {
        ("app created", Subject::App(app)) => app.set_attribute("a", 1_u32).unwrap(),
        ("app +a", Subject::Binding(event)) => match &event.holder {
            servlet::Holder::Application(app) => app.invalidate().unwrap(),
            servlet::Holder::Session(_) => {}
        },
        _ => {}
    });
    let second = Ear::new(&log).called("2: ");
    let world = World::of(second.listens_to(ear.listens_to(SipApplication::new("test"))));
    assert!(world.core.create_app_session(AppId(0), None).is_ok());
    assert_eq!(
        log.take(),
        [
            "app created",
            "2: app created",
            "app +a",
            "2: app +a",
            "app -a",
            "2: app -a",
            "app destroyed",
            "2: app destroyed"
        ]
    );
    assert_eq!(world.core.state().app_sessions.len(), 0);
}

#[test]
fn a_listener_that_panics_keeps_nobody_from_hearing_and_nothing_from_ending() {
    let log = Log::default();
    let ear = Ear::that(&log, |line, _| assert!(line.ends_with("created"), "this one does not like it"));
    let second = Ear::new(&log).called("2: ");
    let mut world = World::of(second.listens_to(ear.listens_to(SipApplication::new("test"))));
    let app = world.app_session();
    let session = world.session(&app);
    log.take();
    world.make_ready(&session);
    let expected = ["sip 0 ready", "sip 0 destroyed", "app ready", "app destroyed"];
    let expected: Vec<String> = expected.iter().flat_map(|line| [(*line).to_owned(), format!("2: {line}")]).collect();
    assert_eq!(log.take(), expected);
    assert_eq!(world.core.app(AppId(0)).counters.failed_handlers.get(), 4);
    assert!(!app.is_valid());
}

#[test]
fn nothing_new_comes_into_a_session_that_ends() {
    let log = Log::default();
    let log_then = log.clone();
    let ear = Ear::that(&log, move |line, subject| match subject {
        Subject::App(app) if line == "app destroyed" => {
            assert_eq!(app.set_attribute("late", ()), Err(INVALID));
            assert_eq!(app.create_timer(Duration::ZERO, ()), Err(INVALID));
            assert_eq!(app.set_expires(Minutes(5)), Err(INVALID), "it is too late to live on");
            assert_eq!(app.run(async { Ok(()) }), Err(INVALID));
            assert_eq!(app.invalidate(), Err(INVALID), "it is being invalidated");
            log_then.write("refused");
        }
        Subject::Sip(session) if line.ends_with("destroyed") => {
            assert_eq!(session.set_attribute("late", ()), Err(IllegalState::InvalidSession.into()));
            assert_eq!(session.invalidate(), Err(IllegalState::InvalidSession.into()));
            log_then.write("refused");
        }
        _ => {}
    });
    let world = World::of(heard_by(ear));
    let app = world.app_session();
    world.session(&app);
    log.take();
    app.invalidate().unwrap();
    assert_eq!(log.take(), ["sip 0 destroyed", "refused", "app destroyed", "refused"]);
}
