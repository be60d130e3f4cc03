//! Timers of application sessions (SIP Servlet 1.1, `TimerService`, `ServletTimer`, `TimerListener`).

use std::cell::RefCell;

use servlet::prelude::*;
use servlet::{IllegalState, Repeat};

use crate::witness::{Log, Scene, Subject};
use crate::world::{World, in_dialog, invite, lines, one};

const HERE: &str = "sip:service@192.0.2.1";
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_timer_answers_a_call_later() {
    let mut scene = Scene::with(|line, subject| {
        match subject {
            Subject::Request(invite) if line == "INVITE" => {
                invite.create_response(StatusCode::RINGING)?.send()?;
                invite.application_session()?.create_timer(2 * SECOND, "answer".to_owned())?;
            }
            Subject::Timer(timer) => {
                let session = &timer.application_session().sip_sessions()?[0];
                let invite = session.active_invite(servlet::UaMode::Uas)?.expect("it rings");
                invite.create_response(StatusCode::OK)?.send()?;
            }
            Subject::Request(bye) if line == "BYE" => bye.create_response(StatusCode::OK)?.send()?,
            _ => {}
        }
        Ok(())
    });
    assert_eq!(lines(&scene.world.alice(&invite(HERE, "t1"))), ["SIP/2.0 180 Ringing"]);
    scene.world.pass(2 * SECOND - Duration::from_millis(1));
    assert!(scene.world.sent().is_empty());
    scene.world.pass(Duration::from_millis(10));
    let ok = scene.world.only();
    assert_eq!(ok.status(), 200);
    scene.world.alice(&in_dialog("ACK", &ok, 1, ""));
    scene.world.alice(&in_dialog("BYE", &ok, 2, ""));
    scene.ends();
}

#[test]
fn a_firing_is_one_of_the_sessions_events_and_waits_for_its_handler() {
    struct Slow(Log);
    impl SipServlet for Slow {
        async fn do_invite(&self, invite: SipServletRequest) -> Result {
            invite.application_session()?.create_timer(SECOND, ())?;
            self.0.write("the handler waits");
            let context = invite.session()?.servlet_context()?;
            std::future::poll_fn(|task| {
                let gate = context.local(Gate::default);
                match gate.0.replace(Some(task.waker().clone())) {
                    None => std::task::Poll::Pending,
                    Some(_) => std::task::Poll::Ready(()),
                }
            })
            .await;
            self.0.write("the handler is done");
            invite.create_response(StatusCode::BUSY_HERE)?.send()?;
            Ok(())
        }
    }
    #[derive(Default)]
    struct Gate(RefCell<Option<std::task::Waker>>);

    let log = Log::default();
    let log_then = log.clone();
    let application = SipApplication::new("slow").servlet(Slow(log.clone())).on_timer(move |_| {
        let log = log_then.clone();
        async move {
            log.write("timeout");
            Ok(())
        }
    });
    let mut world = World::new(application);
    world.alice(&invite(HERE, "t2"));
    world.pass(10 * SECOND);
    assert_eq!(log.take(), ["the handler waits"]);
    world.act("slow", |context| context.local(Gate::default).0.borrow().as_ref().unwrap().wake_by_ref());
    world.pass(Duration::from_millis(10));
    assert_eq!(log.take(), ["the handler is done", "timeout"]);
}

#[test]
fn a_session_with_a_timer_stays_after_its_call_until_the_timer_is_over() {
    let mut scene = Scene::with(|line, subject| {
        if let ("INVITE", Subject::Request(invite)) = (line, subject) {
            invite.application_session()?.create_timer(60 * SECOND, "after".to_owned())?;
            invite.create_response(StatusCode::BUSY_HERE)?.send()?;
        }
        Ok(())
    });
    let refusal = one(scene.world.alice(&invite(HERE, "t3")));
    scene.world.alice(&in_dialog("ACK", &refusal, 1, ""));
    assert_eq!(scene.log.take(), ["app created", "sip created", "INVITE", "sip ready", "sip destroyed"]);
    scene.world.pass(61 * SECOND);
    assert_eq!(scene.log.take(), ["timeout after", "app ready", "app destroyed"]);
    scene.ends();
}

#[test]
fn a_session_that_is_invalidated_takes_its_timers_along() {
    let mut scene = Scene::new();
    let app = scene.act(|context| context.sip_factory().create_application_session().unwrap());
    let timers = scene.act(|_| {
        let once = app.create_timer(SECOND, ()).unwrap();
        let again = app.create_timer_with(SECOND, Repeat::FixedRate(SECOND), false, ()).unwrap();
        [once, again]
    });
    assert_eq!(app.timers().unwrap(), timers);
    assert_eq!(scene.world.load().timers, 2);
    scene.act(|_| app.invalidate().unwrap());
    assert!(timers.iter().all(|timer| !timer.is_active() && !timer.cancel()));
    assert_eq!(app.create_timer(SECOND, ()), Err(IllegalState::InvalidApplicationSession.into()));
    scene.log.take();
    scene.world.pass(10 * SECOND);
    assert_eq!(scene.log.take(), [""; 0]);
    scene.ends();
}

#[test]
fn a_repeated_timer_fires_at_its_rate_until_it_is_cancelled_in_its_callback() {
    let mut scene = Scene::with(|_, subject| {
        if let Subject::Timer(timer) = subject {
            let app = timer.application_session();
            let count = app.attribute::<u32>("count")?.map_or(1, |count| *count + 1);
            app.set_attribute("count", count)?;
            if count == 3 {
                timer.cancel();
            }
        }
        Ok(())
    });
    let app = scene.act(|context| context.sip_factory().create_application_session().unwrap());
    scene.act(|_| app.create_timer_with(10 * SECOND, Repeat::FixedRate(SECOND), true, ()).unwrap());
    scene.log.take();
    scene.world.pass(30 * SECOND);
    let told = ["timeout", "app +count", "timeout", "app =count", "timeout", "app =count"];
    assert_eq!(scene.log.take(), [&told[..], &["app ready", "app -count", "app destroyed"]].concat());
    scene.ends();
}

#[test]
fn a_callback_that_fails_leaves_everything_else_as_it_is() {
    let mut scene = Scene::with(|line, _| match line {
        "timeout bad" => Err("no".into()),
        "timeout worse" => panic!("no"),
        _ => Ok(()),
    });
    let app = scene.act(|context| context.sip_factory().create_application_session().unwrap());
    scene.act(|_| {
        for (after, what) in [(1, "bad"), (2, "worse"), (3, "good")] {
            app.create_timer(after * SECOND, what.to_owned()).unwrap();
        }
    });
    scene.log.take();
    scene.world.pass(4 * SECOND);
    assert_eq!(scene.log.take(), ["timeout bad", "timeout worse", "timeout good", "app ready", "app destroyed"]);
    scene.ends();
}

#[test]
fn an_application_without_a_timer_listener_has_no_timers() {
    let mut world = World::new(SipApplication::new("plain").handlers(Handlers::new()));
    let refused = world.act("plain", |context| {
        let app = context.sip_factory().create_application_session().unwrap();
        app.create_timer(SECOND, ())
    });
    assert_eq!(refused, Err(Error::IllegalState(IllegalState::NoTimerListener)));
}

#[test]
fn a_hundred_thousand_timers_fire_within_one_second_and_leave_nothing() {
    #[derive(Default)]
    struct Fired(std::cell::Cell<u32>);

    let application = SipApplication::new("many").handlers(Handlers::new()).on_timer(|timer| async move {
        let fired = timer.application_session().servlet_context()?.local(Fired::default);
        fired.0.set(fired.0.get() + 1);
        Ok(())
    });
    let mut world = World::new(application);
    world.act("many", |context| {
        for _ in 0..100 {
            let app = context.sip_factory().create_application_session().unwrap();
            for number in 0..1_000 {
                app.create_timer(SECOND + number * Duration::from_millis(1), ()).unwrap();
            }
        }
    });
    assert_eq!(world.load().timers, 100_000);
    world.pass(SECOND);
    world.pass(SECOND + Duration::from_millis(10));
    assert_eq!(world.act("many", |context| context.local(Fired::default).0.get()), 100_000);
    world.ends();
}
