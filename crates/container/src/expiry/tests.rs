//! SIP Servlet 1.1 §6.1.2, §6.3: lifetimes, what begins them anew, and what happens at their end.

use std::time::Duration;

use servlet::spi::AppId;
use servlet::{Expiration, Granted, Minutes, SipApplication, SipApplicationSession, SipApplicationSessionListener};

use crate::order::Order;
use crate::settings::Settings;
use crate::state::Due;
use crate::test_core::{BEGIN, Ear, Log, Subject, World, heard_by};

const MINUTE: Duration = Duration::from_secs(60);

fn at(minutes: u32) -> Result<Expiration, servlet::Error> {
    Ok(Expiration::At(BEGIN + minutes * MINUTE))
}

/// A request or response goes through the session.
fn traffic(world: &World, app: &SipApplicationSession) {
    world.core.state_mut().touch(app.key());
}

#[test]
fn a_session_lives_fifteen_minutes_unless_somebody_says_otherwise() {
    let (plain, own) = (SipApplication::new("test"), SipApplication::new("test").session_timeout(Minutes(3)));
    assert_eq!(World::of(plain.clone()).app_session().expiration_time(), at(15));
    assert_eq!(World::of(own.clone()).app_session().expiration_time(), at(3));
    let settings = Settings { session_timeout: Some(7 * MINUTE), ..Settings::default() };
    assert_eq!(World::with(settings.clone(), plain).app_session().expiration_time(), at(7));
    assert_eq!(World::with(settings, own).app_session().expiration_time(), at(3));
    let for_ever = SipApplication::new("test").session_timeout(Minutes(0));
    assert_eq!(World::of(for_ever).app_session().expiration_time(), Ok(Expiration::Never));
}

#[test]
fn a_session_whose_time_has_come_is_told_so_and_ends() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    world.session(&app);
    log.take();
    world.pass(15 * MINUTE - Duration::from_millis(10));
    assert_eq!(log.take(), [""; 0]);
    world.pass(Duration::from_millis(20));
    assert_eq!(log.take(), ["app expired", "sip 0 destroyed", "app destroyed"]);
    assert!(!app.is_valid());
    let counters = &world.core.app(AppId(0)).counters;
    assert_eq!((counters.sessions.get(), counters.sessions_expired.get()), (0, 1));
}

#[test]
fn a_session_without_listeners_ends_as_well() {
    let mut world = World::of(SipApplication::new("test"));
    let app = world.app_session();
    world.pass(16 * MINUTE);
    assert!(!app.is_valid());
}

#[test]
fn a_session_that_never_expires_does_not() {
    let mut world = World::of(SipApplication::new("test").session_timeout(Minutes(0)));
    let app = world.app_session();
    world.pass(100_000 * MINUTE);
    assert!(app.is_valid());
}

#[test]
fn traffic_begins_the_lifetime_anew() {
    let mut world = World::of(SipApplication::new("test"));
    let app = world.app_session();
    world.pass(10 * MINUTE);
    traffic(&world, &app);
    assert_eq!(app.expiration_time(), at(25));
    assert_eq!(app.last_accessed_time(), BEGIN + 10 * MINUTE);
    world.pass(14 * MINUTE);
    assert!(app.is_valid());
    world.pass(2 * MINUTE);
    assert!(!app.is_valid());
}

#[test]
fn attributes_and_timers_are_no_traffic() {
    let mut world = World::of(SipApplication::new("test").on_timer(|_| async { Ok(()) }));
    let app = world.app_session();
    world.pass(MINUTE);
    app.set_attribute("a", 1_u32).unwrap();
    app.attribute::<u32>("a").unwrap();
    app.create_timer(MINUTE, ()).unwrap();
    assert_eq!(app.last_accessed_time(), BEGIN);
    assert_eq!(app.expiration_time(), at(15));
}

#[test]
fn traffic_arms_no_timer() {
    let mut world = World::of(SipApplication::new("test"));
    let app = world.app_session();
    world.turn();
    for _ in 0..1000 {
        traffic(&world, &app);
    }
    let state = world.core.state();
    let armed = state.orders.iter().filter(|order| matches!(order, Order::Arm { due: Due::Expiry(_), .. })).count();
    assert_eq!(armed, 0);
}

#[test]
fn set_expires_counts_from_now_and_stays_the_lifetime() {
    let mut world = World::of(SipApplication::new("test"));
    let app = world.app_session();
    world.pass(5 * MINUTE);
    assert_eq!(app.set_expires(Minutes(30)), Ok(Granted::Minutes(Minutes(30))));
    assert_eq!(app.expiration_time(), at(35));
    world.pass(10 * MINUTE);
    traffic(&world, &app);
    assert_eq!(app.expiration_time(), at(45));
    world.pass(29 * MINUTE);
    assert!(app.is_valid());
    world.pass(2 * MINUTE);
    assert!(!app.is_valid());
}

#[test]
fn set_expires_may_shorten_the_lifetime() {
    let mut world = World::of(SipApplication::new("test"));
    let app = world.app_session();
    // The timer of the whole lifetime is in the queue of orders at first, and on the wheel later.
    app.set_expires(Minutes(10)).unwrap();
    world.pass(MINUTE);
    app.set_expires(Minutes(1)).unwrap();
    world.pass(MINUTE + Duration::from_secs(1));
    assert!(!app.is_valid());
}

#[test]
fn set_expires_of_nothing_is_for_ever_and_can_be_taken_back() {
    let mut world = World::of(SipApplication::new("test"));
    let app = world.app_session();
    world.turn();
    assert_eq!(app.set_expires(Minutes(0)), Ok(Granted::Forever));
    assert_eq!(app.expiration_time(), Ok(Expiration::Never));
    world.pass(1000 * MINUTE);
    assert!(app.is_valid());
    assert_eq!(app.set_expires(Minutes(u32::MAX)), Ok(Granted::Minutes(Minutes(u32::MAX))));
    assert_eq!(app.set_expires(Minutes(1)), Ok(Granted::Minutes(Minutes(1))));
    world.pass(2 * MINUTE);
    assert!(!app.is_valid());
}

#[test]
fn a_listener_gives_a_session_more_time() {
    let log = Log::default();
    let log_then = log.clone();
    let ear = Ear::that(&log, move |line, subject| match subject {
        Subject::App(app) if line == "app expired" => {
            assert_eq!(app.expiration_time(), Ok(Expiration::Expired));
            if app.attribute::<u32>("extended").unwrap().is_none() {
                app.set_expires(Minutes(5)).unwrap();
                app.set_attribute("extended", 1_u32).unwrap();
                log_then.write(format!("{:?}", app.expiration_time().unwrap() != Expiration::Expired));
            }
        }
        _ => {}
    });
    let mut world = World::of(SipApplication::new("test").application_session_listener(ear));
    let app = world.app_session();
    log.take();
    world.pass(16 * MINUTE);
    assert_eq!(log.take(), ["app expired", "true"]);
    assert!(app.is_valid());
    world.pass(5 * MINUTE);
    assert_eq!(log.take(), ["app expired", "app destroyed"]);
}

#[test]
fn what_is_sent_within_the_callback_gives_no_more_time() {
    struct Sends;
    impl SipApplicationSessionListener for Sends {
        async fn session_expired(&self, session: SipApplicationSession) -> servlet::Result {
            // Whoever sends something has the session touched; here by the test, while the callback waits.
            let mut waited = false;
            std::future::poll_fn(|_| match std::mem::replace(&mut waited, true) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            })
            .await;
            assert_eq!(session.expiration_time(), Ok(Expiration::Expired));
            Ok(())
        }
    }
    let mut world = World::of(SipApplication::new("test").application_session_listener(Sends));
    let app = world.app_session();
    world.pass(16 * MINUTE);
    assert!(app.is_valid(), "its listener is being told");
    traffic(&world, &app);
    world.resume(&app);
    assert!(!app.is_valid());
}

#[test]
fn traffic_that_waits_before_the_expiry_comes_before_it() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    world.turn();
    log.take();
    world.leap(15 * MINUTE);
    let (core, key) = (std::rc::Rc::downgrade(&world.core), app.key());
    app.run(async move {
        core.upgrade().expect("the world lasts").state_mut().touch(key);
        Ok(())
    })
    .unwrap();
    world.core.due(Due::Expiry(key));
    world.turn();
    assert_eq!(log.take(), [""; 0]);
    assert_eq!(app.expiration_time(), at(30));
}

#[test]
fn every_listener_is_told_also_when_one_fails_or_panics() {
    struct Fails(bool);
    impl SipApplicationSessionListener for Fails {
        async fn session_expired(&self, _session: SipApplicationSession) -> servlet::Result {
            assert!(self.0, "this one panics");
            Err("this one fails".into())
        }
    }
    let log = Log::default();
    let application = SipApplication::new("test")
        .application_session_listener(Fails(false))
        .application_session_listener(Fails(true))
        .application_session_listener(Ear::new(&log));
    let mut world = World::of(application);
    let app = world.app_session();
    log.take();
    world.pass(16 * MINUTE);
    assert_eq!(log.take(), ["app expired", "app destroyed"]);
    assert!(!app.is_valid());
    assert_eq!(world.core.app(AppId(0)).counters.failed_handlers.get(), 1);
}

#[test]
fn nobody_is_told_of_the_expiry_of_a_session_that_a_listener_has_invalidated() {
    let log = Log::default();
    let ear = Ear::that(&log, |line, subject| match subject {
        Subject::App(app) if line == "app expired" => app.invalidate().unwrap(),
        _ => {}
    });
    let second = Ear::new(&log).called("2: ");
    let mut world = World::of(second.listens_to(ear.listens_to(SipApplication::new("test"))));
    world.app_session();
    log.take();
    world.pass(16 * MINUTE);
    assert_eq!(log.take(), ["app expired", "app destroyed", "2: app destroyed"]);
}
