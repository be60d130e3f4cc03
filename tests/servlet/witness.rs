//! An application that writes down everything that it is told, in one list, and keeps what it gets, so that a test can do
//! with it what an application would.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use servlet::prelude::*;
use servlet::{
    Attribute, AttributeListener, BindingEvent, Holder, Replica, SipApplicationSessionListener, SipSessionListener,
    TimerListener,
};

use crate::world::{BOB, Sent, World, in_dialog, invite};

/// What was told, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// What was told since this was asked last.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// What is told of.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    App(&'a SipApplicationSession),
    Sip(&'a SipSession),
    Binding(&'a BindingEvent),
    Timer(&'a ServletTimer),
    Request(&'a SipServletRequest),
    Response(&'a SipServletResponse),
}

type Reaction = Arc<dyn Fn(&str, Subject<'_>) -> Result + Send + Sync>;

/// Servlet and listener in one. What it does about what it hears is the test's choice.
#[derive(Clone)]
pub struct Witness {
    log: Log,
    react: Reaction,
}

#[derive(Default)]
struct Kept {
    requests: RefCell<Vec<SipServletRequest>>,
}

impl Witness {
    fn hear(&self, line: &str, subject: Subject<'_>) -> Result {
        self.log.write(line);
        (self.react)(line, subject)
    }

    /// For listeners that can't fail.
    fn told(&self, line: &str, subject: Subject<'_>) {
        self.hear(line, subject).unwrap();
    }
}

/// A container with a witness in it.
pub struct Scene {
    pub world: World,
    pub log: Log,
}

/// The application of a scene.
pub fn witness(log: &Log, react: impl Fn(&str, Subject<'_>) -> Result + Send + Sync + 'static) -> SipApplication {
    let witness = Witness { log: log.clone(), react: Arc::new(react) };
    SipApplication::new("witness")
        .servlet(witness.clone())
        .application_session_listener(witness.clone())
        .session_listener(witness.clone())
        .attribute_listener(witness.clone())
        .timer_listener(witness)
}

impl Scene {
    /// One in which the application only looks on.
    pub fn new() -> Scene {
        Scene::with(|_, _| Ok(()))
    }

    /// One in which the application does this when it is told something.
    pub fn with(react: impl Fn(&str, Subject<'_>) -> Result + Send + Sync + 'static) -> Scene {
        let log = Log::default();
        Scene { world: World::new(witness(&log, react)), log }
    }

    /// Does something as the application.
    pub fn act<R>(&mut self, act: impl FnOnce(ServletContext) -> R) -> R {
        self.world.act("witness", act)
    }

    /// The request that came last.
    #[track_caller]
    pub fn request(&mut self) -> SipServletRequest {
        self.act(|context| context.local(Kept::default).requests.borrow().last().cloned()).expect("a request")
    }

    /// A request comes from Alice; gives it as the application has it.
    #[track_caller]
    pub fn receives(&mut self, text: &str) -> SipServletRequest {
        self.world.alice(text);
        self.request()
    }

    /// Answers a request, and gives what was sent, without what is none of the test's concern.
    #[track_caller]
    pub fn answers(&mut self, request: &SipServletRequest, status: StatusCode) -> Sent {
        self.act(|_| request.create_response(status).unwrap().send().unwrap());
        self.world.only()
    }

    /// A call of Alice's that is answered and acknowledged; what she got for it.
    #[track_caller]
    pub fn takes_call(&mut self, uri: &str, call_id: &str) -> (SipServletRequest, Sent) {
        let invite = self.receives(&invite(uri, call_id));
        let ok = self.answers(&invite, StatusCode::OK);
        self.world.alice(&in_dialog("ACK", &ok, 1, ""));
        self.log.take();
        (invite, ok)
    }

    /// A request to Bob in an application session of its own.
    #[track_caller]
    pub fn sends(&mut self, method: Method) -> (SipServletRequest, Sent) {
        let app = self.act(|context| context.sip_factory().create_application_session().unwrap());
        self.sends_in(&app, method)
    }

    /// A request to Bob in an application session.
    #[track_caller]
    pub fn sends_in(&mut self, app: &SipApplicationSession, method: Method) -> (SipServletRequest, Sent) {
        let request = self.act(|context| {
            let factory = context.sip_factory();
            let from = factory.create_address("<sip:service@192.0.2.1>").unwrap();
            let to = factory.create_address(&format!("<sip:bob@{BOB}>")).unwrap();
            let request = factory.create_request(app, method, &from, &to).unwrap();
            request.send().unwrap();
            request
        });
        (request, self.world.only())
    }

    /// Lets go of what was kept; nothing is left then when SIP's timers have run out.
    #[track_caller]
    pub fn ends(&mut self) {
        self.act(|context| context.local(Kept::default).requests.borrow_mut().clear());
        self.world.ends();
    }
}

impl SipServlet for Witness {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        let kept = request.session()?.servlet_context()?.local(Kept::default);
        kept.requests.borrow_mut().push(request.clone());
        self.hear(request.method().as_str(), Subject::Request(&request))
    }

    async fn do_response(&self, response: SipServletResponse) -> Result {
        let line = format!("{} {}", response.status().code(), response.method());
        self.hear(&line, Subject::Response(&response))
    }
}

impl SipApplicationSessionListener for Witness {
    fn session_created(&self, session: &SipApplicationSession) {
        self.told("app created", Subject::App(session));
    }

    async fn session_expired(&self, session: SipApplicationSession) -> Result {
        self.hear("app expired", Subject::App(&session))
    }

    fn session_ready_to_invalidate(&self, session: &SipApplicationSession) {
        self.told("app ready", Subject::App(session));
    }

    fn session_destroyed(&self, session: &SipApplicationSession) {
        assert!(session.is_valid());
        self.told("app destroyed", Subject::App(session));
    }
}

impl SipSessionListener for Witness {
    fn session_created(&self, session: &SipSession) {
        self.told("sip created", Subject::Sip(session));
    }

    fn session_ready_to_invalidate(&self, session: &SipSession) {
        self.told("sip ready", Subject::Sip(session));
    }

    fn session_destroyed(&self, session: &SipSession) {
        assert!(session.is_valid());
        self.told("sip destroyed", Subject::Sip(session));
    }
}

impl AttributeListener for Witness {
    fn attribute_added(&self, event: &BindingEvent) {
        self.told(&binding('+', event), Subject::Binding(event));
    }

    fn attribute_removed(&self, event: &BindingEvent) {
        self.told(&binding('-', event), Subject::Binding(event));
    }

    fn attribute_replaced(&self, event: &BindingEvent) {
        self.told(&binding('=', event), Subject::Binding(event));
    }
}

impl TimerListener for Witness {
    async fn timeout(&self, timer: ServletTimer) -> Result {
        let info = timer.info::<String>().map(|info| format!(" {info}")).unwrap_or_default();
        self.hear(&format!("timeout{info}"), Subject::Timer(&timer))
    }
}

fn binding(change: char, event: &BindingEvent) -> String {
    let holder = match &event.holder {
        Holder::Application(_) => "app",
        Holder::Session(_) => "sip",
    };
    format!("{holder} {change}{}", event.name)
}

/// A value that says when it is bound and unbound.
pub struct Noted(pub &'static str, pub Log);

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
