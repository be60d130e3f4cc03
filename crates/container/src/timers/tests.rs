//! SIP Servlet 1.1, `TimerService`, `ServletTimer` and `TimerListener`.

use std::time::Duration;

use servlet::spi::{AppId, Repeat, Schedule, TimerKey};
use servlet::{Error, IllegalArgument, IllegalState, NodeLocal, ServletTimer, SipApplication, TimerListener};

use super::Timer;
use crate::test_core::{BEGIN, Ear, Log, Subject, World, heard_by};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_timer_fires_once_at_its_time_and_is_over_after_its_callback() {
    let log = Log::default();
    let log_then = log.clone();
    let ear = Ear::that(&log, move |_, subject| {
        if let Subject::Timer(timer) = subject {
            assert!(timer.is_active(), "it fires now");
            assert_eq!(timer.time_remaining(), Some(Duration::ZERO));
            assert_eq!(timer.scheduled_execution_time(), Some(BEGIN + 2 * SECOND));
            assert_eq!(timer.application_session().timers().unwrap(), std::slice::from_ref(timer));
            log_then.write("in its callback");
        }
    });
    let mut world = World::of(SipApplication::new("test").timer_listener(ear));
    let app = world.app_session();
    let timer = app.create_timer(2 * SECOND, "hello".to_owned()).unwrap();
    assert_eq!(timer.time_remaining(), Some(2 * SECOND));
    assert_eq!(timer.scheduled_execution_time(), None);
    assert_eq!(app.timers().unwrap(), std::slice::from_ref(&timer));
    assert_eq!(app.timer(&timer.id()).unwrap(), Some(timer.clone()));
    world.pass(SECOND);
    assert_eq!(timer.time_remaining(), Some(SECOND));
    world.pass(2 * SECOND);
    assert_eq!(log.take(), ["timeout hello", "in its callback"]);
    assert!(!timer.is_active() && !timer.cancel());
    assert_eq!((timer.time_remaining(), timer.info::<String>()), (None, None));
    assert!(!app.is_valid(), "with its last timer the session has become ready");
}

#[test]
fn a_timer_of_no_delay_fires_when_the_handler_is_done() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    log.take();
    let (own, log_then) = (app.clone(), log.clone());
    app.run(async move {
        own.create_timer(Duration::ZERO, ())?;
        log_then.write("the handler is done");
        Ok(())
    })
    .unwrap();
    world.pass(Duration::from_millis(10));
    assert_eq!(log.take(), ["the handler is done", "timeout", "app ready", "app destroyed"]);
}

#[test]
fn a_timer_with_fixed_delay_waits_from_the_end_of_its_callback() {
    struct Slow(Log);
    impl TimerListener for Slow {
        async fn timeout(&self, timer: ServletTimer) -> servlet::Result {
            let scheduled = timer.scheduled_execution_time().unwrap().duration_since(BEGIN).unwrap();
            self.0.write(format!("{}", scheduled.as_secs()));
            let mut waited = false;
            std::future::poll_fn(|_| match std::mem::replace(&mut waited, true) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            })
            .await;
            Ok(())
        }
    }
    for (repeat, expected) in [
        (Repeat::FixedDelay(10 * SECOND), ["1", "14", "27"]),
        // It is due at 11 and 21 whatever happens, and catches up.
        (Repeat::FixedRate(10 * SECOND), ["1", "11", "21"]),
    ] {
        let log = Log::default();
        let mut world = World::of(SipApplication::new("test").timer_listener(Slow(log.clone())));
        let app = world.app_session();
        app.create_timer_with(SECOND, repeat, true, ()).unwrap();
        world.pass(SECOND);
        for _ in 0..2 {
            // Each callback takes three seconds.
            world.pass(3 * SECOND);
            world.resume(&app);
            world.pass(10 * SECOND);
        }
        assert_eq!(log.take(), expected, "{repeat:?}");
    }
}

#[test]
fn a_timer_with_fixed_rate_makes_up_for_what_it_has_missed() {
    let log = Log::default();
    let log_then = log.clone();
    let ear = Ear::that(&log, move |_, subject| {
        if let Subject::Timer(timer) = subject {
            let scheduled = timer.scheduled_execution_time().unwrap().duration_since(BEGIN).unwrap();
            log_then.write(scheduled.as_secs().to_string());
        }
    });
    let mut world = World::of(SipApplication::new("test").timer_listener(ear));
    let app = world.app_session();
    let timer = app.create_timer_with(SECOND, Repeat::FixedRate(SECOND), true, ()).unwrap();
    world.turn();
    // Nothing ran for five seconds.
    world.leap(5 * SECOND);
    world.pass(Duration::from_millis(100));
    assert_eq!(log.take(), ["timeout", "1", "timeout", "2", "timeout", "3", "timeout", "4", "timeout", "5"]);
    assert!(timer.time_remaining().unwrap() <= SECOND);
    assert!(timer.is_active());
}

#[test]
fn a_repeated_timer_keeps_its_session_until_it_is_cancelled() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    let timer = app.create_timer_with(SECOND, Repeat::FixedDelay(SECOND), false, "r".to_owned()).unwrap();
    world.pass(3 * SECOND + SECOND / 2);
    log.take();
    assert!(timer.cancel());
    assert!(!timer.cancel(), "once is enough");
    world.turn();
    assert_eq!(log.take(), ["app ready", "app destroyed"]);
    world.pass(10 * SECOND);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_timer_that_is_cancelled_in_its_callback_fires_no_more() {
    let log = Log::default();
    let ear = Ear::that(&log, |_, subject| {
        if let Subject::Timer(timer) = subject {
            assert!(timer.cancel());
            assert!(!timer.is_active());
        }
    });
    let mut world = World::of(SipApplication::new("test").timer_listener(ear));
    let app = world.app_session();
    let _kept = app.create_timer(100 * SECOND, ()).unwrap();
    for repeat in [Repeat::Once, Repeat::FixedDelay(SECOND), Repeat::FixedRate(SECOND)] {
        app.create_timer_with(SECOND, repeat, true, ()).unwrap();
    }
    world.pass(10 * SECOND);
    assert_eq!(log.take(), ["timeout"; 3]);
    assert_eq!(app.timers().unwrap().len(), 1);
    assert_eq!(world.core.app(AppId(0)).counters.timers.get(), 1);
}

#[test]
fn a_timer_that_is_cancelled_between_its_firing_and_its_turn_is_not_told() {
    let log = Log::default();
    let mut world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    let timer = app.create_timer(SECOND, ()).unwrap();
    world.turn();
    log.take();
    let cancels = timer.clone();
    app.run(async move {
        cancels.cancel();
        Ok(())
    })
    .unwrap();
    world.core.due(crate::state::Due::Servlet(timer.key()));
    world.turn();
    assert_eq!(log.take(), ["app ready", "app destroyed"]);
}

#[test]
fn a_callback_that_fails_or_panics_is_contained() {
    for panics in [false, true] {
        let mut world = World::of(SipApplication::new("test").on_timer(move |_| async move {
            assert!(!panics, "this one panics");
            Err("this one fails".into())
        }));
        let app = world.app_session();
        let once = app.create_timer(SECOND, ()).unwrap();
        let again = app.create_timer_with(SECOND, Repeat::FixedRate(SECOND), true, ()).unwrap();
        world.pass(3 * SECOND + SECOND / 2);
        assert!(!once.is_active() && again.is_active() && app.is_valid());
        assert_eq!(world.core.app(AppId(0)).counters.failed_handlers.get(), 4);
    }
}

#[test]
fn a_timer_needs_a_listener() {
    let world = World::of(SipApplication::new("test"));
    let refused = world.app_session().create_timer(SECOND, ());
    assert_eq!(refused, Err(IllegalState::NoTimerListener.into()));
}

#[test]
fn a_period_is_a_millisecond_or_more() {
    let world = World::of(SipApplication::new("test").on_timer(|_| async { Ok(()) }));
    let app = world.app_session();
    for period in [Duration::ZERO, Duration::from_nanos(999_999)] {
        for repeat in [Repeat::FixedDelay(period), Repeat::FixedRate(period)] {
            let refused = app.create_timer_with(SECOND, repeat, true, ());
            assert!(matches!(refused, Err(Error::IllegalArgument(IllegalArgument::OutOfRange(_)))));
        }
    }
    assert_eq!(app.timers().unwrap(), []);
    assert!(app.create_timer_with(SECOND, Repeat::FixedRate(Duration::from_millis(1)), true, ()).is_ok());
}

#[test]
fn the_longest_delay_is_a_delay() {
    let mut world =
        World::of(SipApplication::new("test").session_timeout(servlet::Minutes(0)).on_timer(|_| async { Ok(()) }));
    let app = world.app_session();
    let timer = app.create_timer_with(Duration::MAX, Repeat::FixedDelay(Duration::MAX), true, ()).unwrap();
    world.pass(1000 * SECOND);
    assert!(timer.time_remaining().unwrap() > Duration::from_secs(500 * 365 * 86400));
}

#[test]
fn a_timer_keeps_its_info_of_any_type() {
    let world = World::of(SipApplication::new("test").on_timer(|_| async { Ok(()) }));
    let app = world.app_session();
    let unit = app.create_timer(SECOND, ()).unwrap();
    let number = app.create_timer(SECOND, 7_u32).unwrap();
    let local = app.create_timer(SECOND, NodeLocal("here")).unwrap();
    assert_eq!(unit.info::<()>().as_deref(), Some(&()));
    assert_eq!(unit.info::<u32>(), None);
    assert_eq!(number.info::<u32>().as_deref(), Some(&7));
    assert_eq!(local.info::<NodeLocal<&str>>().as_deref(), Some(&NodeLocal("here")));
}

#[test]
fn the_list_of_timers_holds_whatever_is_taken_out_of_it() {
    let world = World::of(SipApplication::new("test").on_timer(|_| async { Ok(()) }));
    let app = world.app_session();
    let all: Vec<ServletTimer> = (0..5_u32).map(|number| app.create_timer(SECOND, number).unwrap()).collect();
    for out in [[0, 2, 4, 1, 3], [4, 3, 2, 1, 0], [0, 1, 2, 3, 4], [2, 1, 3, 0, 4]] {
        let mut left: Vec<ServletTimer> = (0..5_u32).map(|number| app.create_timer(SECOND, number).unwrap()).collect();
        for number in out {
            let timer = left.iter().find(|timer| timer.info::<u32>().as_deref() == Some(&number)).cloned().unwrap();
            assert!(timer.cancel());
            left.retain(|other| *other != timer);
            let expected: Vec<ServletTimer> = all.iter().chain(&left).cloned().collect();
            assert_eq!(app.timers().unwrap(), expected, "in the order of their creation");
        }
    }
}

/// A timer's share of the table and of the endpoint's wheel, and what both may have to spare. What is apart comes on top.
#[test]
fn a_million_armed_timers_take_less_than_a_hundred_octets_each() {
    let slot = size_of::<Timer>() + size_of::<u64>();
    let wheel = 33;
    assert!((slot + wheel) * 51 / 50 <= 85, "{slot} and {wheel}");
}

#[test]
fn nothing_of_a_timer_is_apart_that_fires_once_with_a_small_number() {
    let world = World::of(SipApplication::new("test").on_timer(|_| async { Ok(()) }));
    let app = world.app_session();
    let apart = || world.core.state().timers_apart.len();
    let small = [
        app.create_timer(SECOND, ()).unwrap(),
        app.create_timer(SECOND, true).unwrap(),
        app.create_timer(SECOND, 8_u8).unwrap(),
        app.create_timer(SECOND, 16_u16).unwrap(),
        app.create_timer(SECOND, 32_u32).unwrap(),
        app.create_timer(SECOND, -32_i32).unwrap(),
    ];
    assert_eq!(apart(), 0);
    let [unit, truth, byte, short, number, negative] = &small;
    assert_eq!((unit.info(), truth.info(), byte.info()), (Some(().into()), Some(true.into()), Some(8_u8.into())));
    assert_eq!(
        (short.info(), number.info(), negative.info()),
        (Some(16_u16.into()), Some(32_u32.into()), Some((-32_i32).into()))
    );
    assert_eq!(number.info::<i32>(), None, "it is of another type");
    let apart_ones = [
        app.create_timer(SECOND, "text".to_owned()).unwrap(),
        app.create_timer_with(SECOND, Repeat::Once, false, 32_u32).unwrap(),
        app.create_timer_with(SECOND, Repeat::FixedRate(SECOND), true, ()).unwrap(),
    ];
    assert_eq!(apart(), 3);
    for timer in small.into_iter().chain(apart_ones) {
        assert!(timer.cancel());
    }
    assert_eq!(apart(), 0);
}

#[test]
fn a_million_timers_are_armed_fire_and_leave_nothing() {
    let mut world = World::of(SipApplication::new("test").on_timer(|_| async { Ok(()) }));
    let app = world.app_session();
    let schedule = Schedule {
        delay: SECOND,
        repeat: Repeat::Once,
        persistent: true,
        info: Some(servlet::AttributeValue::new(())),
    };
    for _ in 0..1_000_000 {
        let key: Option<TimerKey> = world.core.state_mut().open_timer(app.key(), schedule.clone());
        assert!(key.is_some());
        if world.core.state().orders.len() > 10_000 {
            world.turn();
        }
    }
    world.turn();
    assert_eq!(world.core.state().timers.len(), 1_000_000);
    world.core.app(AppId(0)).counters.timers.add(1_000_000);
    world.pass(2 * SECOND);
    assert_eq!(world.core.state().timers.len(), 0);
    assert_eq!(world.core.app(AppId(0)).counters.timers.get(), 0);
    assert!(!app.is_valid());
}
