//! A core on an endpoint without a network, for tests: one application, whose listeners write down what they hear.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant, SystemTime};

use servlet::spi::AppId;
use servlet::{
    Attribute, AttributeListener, BindingEvent, Holder, Replica, ServletTimer, SipApplication, SipApplicationSession,
    SipApplicationSessionListener, SipSession, SipSessionListener, TimerListener,
};
use sip_endpoint::{Endpoint, Event, Input, Output};

use crate::core::Core;
use crate::deployment::Deployment;
use crate::jobs::session_of_wake;
use crate::routing::{Entry, RuleRouter};
use crate::session::{NewSession, SessionRole};
use crate::settings::{Resources, Settings};
use crate::state::{Clock, Due, State};
use crate::wakes::Wakes;

/// When every test begins, by the time of day.
pub(crate) const BEGIN: SystemTime = SystemTime::UNIX_EPOCH;

/// A core, its endpoint and its time.
pub(crate) struct World {
    pub(crate) core: Rc<Core>,
    pub(crate) endpoint: Endpoint,
    pub(crate) now: Instant,
    wakes: Wakes,
    tasks: Vec<servlet::spi::Task>,
}

impl World {
    pub(crate) fn of(application: SipApplication) -> World {
        World::with(Settings::default(), application)
    }

    pub(crate) fn with(settings: Settings, application: SipApplication) -> World {
        let now = Instant::now();
        let router = RuleRouter::new([Entry::new(application.name())]).expect("one application");
        let deployed = Deployment::new(application).into_deployed(AppId(0), &settings, Arc::default());
        let state = State::new(now, Clock::new(now, BEGIN));
        let core = Core::new(settings, vec![deployed], Arc::new(router), Resources::default(), state);
        let mut endpoint = Endpoint::new(sip_endpoint::Settings {
            listeners: Vec::new(),
            partition: 0,
            seed: 1,
            datagram_limit: 1300,
            max_pending: 100,
            timers: sip_transaction::Timers::default(),
            product: "".into(),
        });
        core.state_mut().entropy = Some(endpoint.entropy());
        World { core, endpoint, now, wakes: Wakes::new(), tasks: Vec::new() }
    }

    pub(crate) fn app_session(&self) -> SipApplicationSession {
        let key = self.core.create_app_session(AppId(0), None).expect("there is room");
        self.core.app_session(key).expect("it was just made")
    }

    /// A session in which nothing happens, as a user agent client has one.
    pub(crate) fn session(&self, of: &SipApplicationSession) -> SipSession {
        let key = self.core.state_mut().open_session(NewSession {
            app_session: of.key(),
            call_id: "call".into(),
            role: SessionRole::Uac,
            local_tag: "".into(),
            servlet: 0,
        });
        let key = key.expect("the application session is valid");
        self.core.session_created(key);
        self.core.session(key).expect("it was just made")
    }

    /// Something happens in a session, and leaves it ready to be invalidated by the rules of its role.
    pub(crate) fn make_ready(&mut self, session: &SipSession) {
        {
            let mut state = self.core.state_mut();
            state.sessions.get_mut(session.key()).expect("the session is valid").ready = true;
            state.unsettle_session(session.key());
        }
        self.turn();
    }

    /// Lets happen what can happen without the time passing.
    pub(crate) fn turn(&mut self) {
        loop {
            let mut any = self.core.run_jobs(&mut self.wakes);
            while let Some(key) = self.wakes.next() {
                self.core.resume(session_of_wake(key), &mut self.wakes);
                any = true;
            }
            any |= self.core.carry_out(self.now, &mut self.endpoint);
            let spawned = std::mem::take(&mut *self.core.spawned.borrow_mut());
            any |= !spawned.is_empty();
            self.tasks.extend(spawned.into_iter().map(|(_, task)| task));
            self.tasks.retain_mut(|task| task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            if !any {
                return;
            }
        }
    }

    /// Lets time pass, from one timer to the next.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.turn();
            let next = self.endpoint.next_timeout().map_or(until, |next| next.clamp(self.now, until));
            self.now = next;
            self.core.state_mut().now = next;
            self.endpoint.handle(next, Input::TimePassed);
            let mut fired = false;
            while let Some(output) = self.endpoint.poll_output() {
                if let Output::Event(Event::TimerFired { token, .. }) = output {
                    self.core.due(Due::of_token(token).expect("a token of ours"));
                    fired = true;
                }
            }
            self.turn();
            if next == until && !fired {
                return;
            }
        }
    }

    /// Lets time pass in which nothing runs.
    pub(crate) fn leap(&mut self, time: Duration) {
        self.now += time;
        self.core.state_mut().now = self.now;
    }

    /// Wakes the handler of a session that waits.
    pub(crate) fn resume(&mut self, app: &SipApplicationSession) {
        self.core.resume(app.key(), &mut self.wakes);
        self.turn();
    }
}

/// What listeners have heard, in the order of hearing.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn write(&self, line: impl Into<String>) {
        self.0.lock().expect("no test panics while it writes").push(line.into());
    }

    /// What was heard since this was asked last.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no test panics while it writes"))
    }
}

/// What a listener is told about.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    App(&'a SipApplicationSession),
    Sip(&'a SipSession),
    Binding(&'a BindingEvent),
    Timer(&'a ServletTimer),
}

type Reaction = Arc<dyn Fn(&str, Subject<'_>) + Send + Sync>;

/// A listener to everything, that writes down and may do something about it.
#[derive(Clone)]
pub(crate) struct Ear {
    name: &'static str,
    log: Log,
    react: Reaction,
}

impl Ear {
    pub(crate) fn new(log: &Log) -> Ear {
        Ear::that(log, |_, _| {})
    }

    /// One that does something when it hears.
    pub(crate) fn that(log: &Log, react: impl Fn(&str, Subject<'_>) + Send + Sync + 'static) -> Ear {
        Ear { name: "", log: log.clone(), react: Arc::new(react) }
    }

    /// One whose lines begin with its name.
    pub(crate) fn called(self, name: &'static str) -> Ear {
        Ear { name, ..self }
    }

    /// Listens to sessions and attributes of an application.
    pub(crate) fn listens_to(&self, application: SipApplication) -> SipApplication {
        application
            .application_session_listener(self.clone())
            .session_listener(self.clone())
            .attribute_listener(self.clone())
    }

    fn hear(&self, line: &str, subject: Subject<'_>) {
        self.log.write(format!("{}{line}", self.name));
        (self.react)(line, subject);
    }

    fn hear_of_binding(&self, what: char, event: &BindingEvent) {
        self.hear(&format!("{} {what}{}", holder(event), event.name), Subject::Binding(event));
    }
}

/// An application whose listener is this one.
pub(crate) fn heard_by(ear: Ear) -> SipApplication {
    ear.listens_to(SipApplication::new("test")).timer_listener(ear)
}

fn holder(event: &BindingEvent) -> String {
    match &event.holder {
        Holder::Application(_) => "app".to_owned(),
        Holder::Session(session) => sip(session),
    }
}

fn sip(session: &SipSession) -> String {
    format!("sip {}", session.key().slot)
}

fn validity(is_valid: bool) -> &'static str {
    if is_valid { "" } else { " (invalid)" }
}

impl SipApplicationSessionListener for Ear {
    fn session_created(&self, session: &SipApplicationSession) {
        self.hear("app created", Subject::App(session));
    }

    async fn session_expired(&self, session: SipApplicationSession) -> servlet::Result {
        self.hear("app expired", Subject::App(&session));
        Ok(())
    }

    fn session_ready_to_invalidate(&self, session: &SipApplicationSession) {
        self.hear("app ready", Subject::App(session));
    }

    fn session_destroyed(&self, session: &SipApplicationSession) {
        self.hear(&format!("app destroyed{}", validity(session.is_valid())), Subject::App(session));
    }
}

impl SipSessionListener for Ear {
    fn session_created(&self, session: &SipSession) {
        self.hear(&format!("{} created", sip(session)), Subject::Sip(session));
    }

    fn session_ready_to_invalidate(&self, session: &SipSession) {
        self.hear(&format!("{} ready", sip(session)), Subject::Sip(session));
    }

    fn session_destroyed(&self, session: &SipSession) {
        self.hear(&format!("{} destroyed{}", sip(session), validity(session.is_valid())), Subject::Sip(session));
    }
}

impl AttributeListener for Ear {
    fn attribute_added(&self, event: &BindingEvent) {
        self.hear_of_binding('+', event);
    }

    fn attribute_removed(&self, event: &BindingEvent) {
        self.hear_of_binding('-', event);
    }

    fn attribute_replaced(&self, event: &BindingEvent) {
        self.hear_of_binding('=', event);
    }
}

impl TimerListener for Ear {
    async fn timeout(&self, timer: ServletTimer) -> servlet::Result {
        let info = timer.info::<String>().map(|info| format!(" {info}")).unwrap_or_default();
        self.hear(&format!("timeout{info}"), Subject::Timer(&timer));
        Ok(())
    }
}

/// A value that says when it is bound and unbound.
pub(crate) struct Noted(pub(crate) &'static str, pub(crate) Log);

impl Attribute for Noted {
    fn write(&self) -> Option<Replica> {
        None
    }

    fn value_bound(&self, event: &BindingEvent) {
        self.1.write(format!("{} is bound to {}", self.0, event.name));
    }

    fn value_unbound(&self, event: &BindingEvent) {
        self.1.write(format!("{} is unbound from {}", self.0, event.name));
    }
}
