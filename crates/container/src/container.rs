//! The container as the driver sees it: a [`TransactionUser`] on an endpoint.

use std::any::Any;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use servlet::spi::AppId;
use servlet::{AnyServletListener, SipApplicationRouter, SipFlow};
use sip_endpoint::{Ended, Endpoint, Event, TransactionUser};

use crate::core::Core;
use crate::counters::Counters;
use crate::deployment::{Deployment, DeploymentError, DeploymentMistake};
use crate::jobs::{Arrived, Job, contained, poll_contained, session_of_wake};
use crate::routing::dar::Direction;
use crate::routing::{Entry, RuleRouter};
use crate::settings::{Resources, Settings};
use crate::state::{Clock, Due, State};
use crate::wakes::Wakes;

/// What an application tells its instances on the other shards.
#[derive(Clone)]
pub struct Published {
    application: Arc<str>,
    message: Arc<dyn Any + Send + Sync>,
}

/// One shard's container. A driver, or a world of the testkit, runs it on an endpoint.
pub struct Container {
    core: Rc<Core>,
    wakes: Wakes,
    /// Futures of applications that belong to no session, and wait for something.
    tasks: HashMap<u64, (AppId, servlet::spi::Task)>,
    next_task: u64,
    started: bool,
}

/// How full a container's tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerLoad {
    /// Application sessions.
    pub application_sessions: usize,
    /// SIP sessions.
    pub sip_sessions: usize,
    /// Transactions, on the wire and between applications.
    pub transactions: usize,
    /// Proxy operations.
    pub proxies: usize,
    /// Servlet timers.
    pub timers: usize,
    /// Calls that are up or ringing, as far as sessions know.
    pub calls: usize,
}

/// Puts a container together.
pub struct ContainerBuilder {
    settings: Settings,
    deployments: Vec<Deployment>,
    router: Option<Arc<dyn SipApplicationRouter>>,
    resources: Resources,
    counters: HashMap<String, Arc<Counters>>,
    clock: Option<Clock>,
}

/// A wake-up of a future that belongs to no session.
const TASK: u64 = 1 << 63;

impl Container {
    /// Begins to put a container together.
    pub fn builder() -> ContainerBuilder {
        ContainerBuilder {
            settings: Settings::default(),
            deployments: Vec::new(),
            router: None,
            resources: Resources::default(),
            counters: HashMap::new(),
            clock: None,
        }
    }

    /// How full the tables are.
    pub fn load(&self) -> ContainerLoad {
        let state = self.core.state();
        ContainerLoad {
            application_sessions: state.app_sessions.len(),
            sip_sessions: state.sessions.len(),
            transactions: state.transactions.len(),
            proxies: state.proxies.len(),
            timers: state.timers.len(),
            calls: state.app_sessions.iter().map(|(key, _)| state.calls_of(key)).sum(),
        }
    }

    /// The context of an application, to work with it from outside its sessions: in a test, or to begin a call.
    pub fn context(&self, application: &str) -> Option<servlet::ServletContext> {
        let app = self.core.apps.iter().find(|app| *app.name == *application)?;
        Some(self.core.context(app.id))
    }

    /// Takes another router for requests that come from now on.
    pub fn set_router(&self, router: Arc<dyn SipApplicationRouter>) {
        *self.core.router.borrow_mut() = router;
    }

    /// Stops an application: it takes no initial requests any more, and its sessions go on to their end.
    pub fn stop(&self, application: &str) {
        let Some(app) = self.core.apps.iter().find(|app| *app.name == *application) else { return };
        if !app.stopping.replace(true) {
            self.core.router.borrow().application_undeployed(&[app.name.to_string()]);
            self.core.tell_stopping(app.id);
        }
    }

    /// Carries out what a call from outside has led to; the driver does it after every event.
    pub fn settle(&mut self, now: Instant, endpoint: &mut Endpoint, peers: &mut Vec<Published>) {
        self.begin(now, endpoint);
        self.turn(now, endpoint, peers);
    }

    fn begin(&mut self, now: Instant, endpoint: &mut Endpoint) {
        let mut state = self.core.state_mut();
        state.now = now;
        if self.started {
            return;
        }
        self.started = true;
        state.entropy = Some(endpoint.entropy());
        state.listeners = endpoint.listeners().into();
        state.interfaces = state.interface_uris().into();
        drop(state);
        self.start_applications();
    }

    /// Servlets are initialised, the router hears of the applications, and then their listeners (SIP Servlet 1.1, §2.1.1).
    fn start_applications(&mut self) {
        let mut names = Vec::new();
        for app in &self.core.apps {
            let context = self.core.context(app.id);
            for (name, servlet) in &app.application.parts.servlets {
                match contained(|| servlet.init(&context)) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::error!(application = %app.name, servlet = %name, %error, "init has failed");
                        app.stopping.set(true);
                    }
                    Err(panic) => {
                        tracing::error!(application = %app.name, servlet = %name, %panic, "init has panicked");
                        app.stopping.set(true);
                    }
                }
            }
            if !app.stopping.get() {
                names.push(app.name.to_string());
            }
        }
        let router = self.core.router.borrow().clone();
        router.application_deployed(&names);
        let failed: Vec<String> =
            self.core.apps.iter().filter(|app| app.stopping.get()).map(|app| app.name.to_string()).collect();
        if !failed.is_empty() {
            router.application_undeployed(&failed);
        }
        for app in self.core.apps.iter().filter(|app| !app.stopping.get()) {
            for listener in &app.application.parts.servlet_listeners {
                let task = listener.clone().servlet_initialized(self.core.context(app.id));
                self.core.spawned.borrow_mut().push((app.id, task));
            }
        }
    }

    /// Lets happen what can happen: handlers, what they have ordered, and what that has led to.
    fn turn(&mut self, now: Instant, endpoint: &mut Endpoint, peers: &mut Vec<Published>) {
        loop {
            let mut any = self.core.run_jobs(&mut self.wakes);
            any |= self.core.carry_out(now, endpoint);
            any |= self.begin_tasks();
            if !any {
                break;
            }
        }
        peers.append(&mut self.core.published.borrow_mut());
    }

    fn begin_tasks(&mut self) -> bool {
        let spawned = std::mem::take(&mut *self.core.spawned.borrow_mut());
        let any = !spawned.is_empty();
        for (app, task) in spawned {
            self.next_task += 1;
            let key = TASK | self.next_task;
            self.poll_task(key, app, task);
        }
        any
    }

    fn poll_task(&mut self, key: u64, app: AppId, mut task: servlet::spi::Task) {
        let waker = self.wakes.waker(key);
        match poll_contained(task.as_mut(), &mut Context::from_waker(&waker)) {
            Ok(Poll::Pending) => drop(self.tasks.insert(key, (app, task))),
            Ok(Poll::Ready(Ok(()))) => {}
            Ok(Poll::Ready(Err(error))) => {
                tracing::warn!(application = %self.core.app(app).name, %error, "a task has failed");
            }
            Err(panic) => {
                tracing::error!(application = %self.core.app(app).name, %panic, "a task has panicked");
            }
        }
    }

    fn job_of_server(&self, server: sip_endpoint::ServerId, job: impl FnOnce(servlet::spi::TransactionKey) -> Job) {
        let found = {
            let state = self.core.state();
            let key = state.by_server.get(&server).copied();
            key.and_then(|key| Some((key, state.transactions.get(key)?.app_session)))
        };
        if let Some((key, app_session)) = found {
            self.core.submit(app_session, job(key));
        }
    }

    fn job_of_client(&self, client: sip_endpoint::ClientId, job: impl FnOnce(servlet::spi::TransactionKey) -> Job) {
        let found = {
            let state = self.core.state();
            let key = state.by_client.get(&client).copied();
            key.and_then(|key| Some((key, state.transactions.get(key)?.app_session)))
        };
        if let Some((key, app_session)) = found {
            self.core.submit(app_session, job(key));
        }
    }

    fn tell_listeners(&self, tell: impl Fn(&dyn AnyServletListener, &servlet::ServletContext)) {
        for app in &self.core.apps {
            let context = self.core.context(app.id);
            for listener in &app.application.parts.servlet_listeners {
                if let Err(panic) = contained(|| tell(&**listener, &context)) {
                    tracing::error!(application = %app.name, %panic, "a listener has panicked");
                }
            }
        }
    }
}

impl TransactionUser for Container {
    type Message = Published;

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, peers: &mut Vec<Published>) {
        self.begin(now, endpoint);
        match event {
            Event::Request { server, request, flow } => self.core.receive(now, endpoint, server, request, flow),
            Event::Ack { request, flow } => {
                if let Some((partition, request)) = self.core.receive_ack(request, Some(flow)) {
                    // An ACK that is lost is sent again with the next 2xx.
                    let _ = endpoint.hand_over_ack(*request, flow, partition);
                }
            }
            Event::Cancelled { server, cancel } => {
                self.job_of_server(server, |transaction| Job::Cancel { transaction, cancel: Box::new(cancel) });
            }
            Event::ServerEnded { server, reason } => {
                let unanswered = matches!(reason, Ended::Unanswered | Ended::TransportFailed);
                self.job_of_server(server, |transaction| Job::ServerEnded { transaction, unanswered });
            }
            Event::Response { client, response, flow } => {
                self.job_of_client(client, |transaction| {
                    Job::Response(transaction, Box::new(Arrived { response, flow: Some(flow) }))
                });
            }
            Event::Failed { client, status } => {
                self.job_of_client(client, |transaction| Job::Failed { transaction, status });
            }
            Event::ClientEnded { client } => self.job_of_client(client, Job::ClientEnded),
            Event::TimerFired { token, .. } => {
                if let Some(due) = Due::of_token(token) {
                    self.core.due(due);
                }
            }
            // Nobody here keeps flows alive: clients do.
            Event::FlowAlive { .. } => {}
            Event::FlowEnded { flow } => {
                let flow = SipFlow::from(flow);
                self.tell_listeners(|listener, context| listener.flow_ended(context, &flow));
            }
        }
        self.turn(now, endpoint, peers);
    }

    fn message(&mut self, now: Instant, endpoint: &mut Endpoint, message: Published) {
        self.begin(now, endpoint);
        for app in self.core.apps.iter().filter(|app| *app.name == *message.application) {
            let context = self.core.context(app.id);
            for listener in &app.application.parts.servlet_listeners {
                if let Err(panic) = contained(|| listener.published(&context, &message.message)) {
                    tracing::error!(application = %app.name, %panic, "a listener has panicked");
                }
            }
        }
        let mut answers = Vec::new();
        self.turn(now, endpoint, &mut answers);
    }

    fn drain(&mut self, now: Instant, endpoint: &mut Endpoint) {
        self.begin(now, endpoint);
        if !self.core.draining.replace(true) {
            self.core.state_mut().count_all_calls();
            self.tell_listeners(|listener, context| listener.stopping(context));
        }
        let mut answers = Vec::new();
        self.turn(now, endpoint, &mut answers);
    }

    fn is_idle(&self) -> bool {
        self.core.state().calls == 0
    }

    fn set_waker(&mut self, waker: Waker) {
        // The first turn is when applications that begin calls by themselves begin.
        waker.wake_by_ref();
        self.wakes.set_driver(waker);
    }

    fn woken(&mut self, now: Instant, endpoint: &mut Endpoint, peers: &mut Vec<Published>) {
        self.begin(now, endpoint);
        while let Some(key) = self.wakes.next() {
            if key & TASK == 0 {
                self.core.resume(session_of_wake(key), &mut self.wakes);
            } else if let Some((app, task)) = self.tasks.remove(&key) {
                self.poll_task(key, app, task);
            }
        }
        self.turn(now, endpoint, peers);
    }
}

impl ContainerBuilder {
    /// Deploys an application; a [`Deployment`] adds what its deployer has to say.
    #[must_use]
    pub fn application(mut self, application: impl Into<Deployment>) -> ContainerBuilder {
        self.deployments.push(application.into());
        self
    }

    /// The application router. Without one, a sole application gets every request, and of several the first that has a
    /// servlet for it.
    #[must_use]
    pub fn router(mut self, router: Arc<dyn SipApplicationRouter>) -> ContainerBuilder {
        self.router = Some(router);
        self
    }

    /// The settings.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> ContainerBuilder {
        self.settings = settings;
        self
    }

    /// What applications find by its type.
    #[must_use]
    pub fn resources(mut self, resources: Resources) -> ContainerBuilder {
        self.resources = resources;
        self
    }

    /// Counters that the shards of one server share, by the name of the application.
    #[must_use]
    pub fn counters(mut self, counters: HashMap<String, Arc<Counters>>) -> ContainerBuilder {
        self.counters = counters;
        self
    }

    /// The time of day. Without it, the container's time begins in 1970 at its first event.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> ContainerBuilder {
        self.clock = Some(clock);
        self
    }

    /// The container, or why it can't be. `now` is the driver's present.
    pub fn build(self, now: Instant) -> Result<Container, DeploymentError> {
        let ContainerBuilder { settings, deployments, router, resources, mut counters, clock } = self;
        Deployment::check_all(&deployments)?;
        let router = match router {
            Some(router) => router,
            None => {
                // What an application begins goes out, and not back to it.
                let inbound = |deployment: &Deployment| Entry::new(deployment.name()).direction(Direction::Inbound);
                let entries = deployments.iter().map(inbound);
                Arc::new(
                    RuleRouter::new(entries)
                        .map_err(|_| DeploymentError { application: "".into(), what: DeploymentMistake::TooMany })?,
                )
            }
        };
        let mut apps = Vec::with_capacity(deployments.len());
        for (deployment, id) in deployments.into_iter().zip(0..) {
            let counted = counters.entry(deployment.name().to_owned()).or_default().clone();
            apps.push(deployment.into_deployed(AppId(id), &settings, counted));
        }
        let clock = clock.unwrap_or_else(|| Clock::new(now, std::time::SystemTime::UNIX_EPOCH));
        let core = Core::new(settings, apps, router, resources, State::new(now, clock));
        Ok(Container { core, wakes: Wakes::new(), tasks: HashMap::new(), next_task: 0, started: false })
    }
}

impl Drop for Container {
    /// Handles and state name each other; what handlers hold goes first.
    fn drop(&mut self) {
        self.tasks.clear();
        for app in &self.core.apps {
            for (_, servlet) in &app.application.parts.servlets {
                let _ = contained(|| servlet.destroy());
            }
            app.locals.borrow_mut().clear();
        }
        self.core.spawned.borrow_mut().clear();
        let now = self.core.state().now;
        let clock = self.core.state().clock;
        let state = std::mem::replace(&mut *self.core.state_mut(), State::new(now, clock));
        drop(state);
    }
}

impl Published {
    pub(crate) fn new(application: &str, message: Arc<dyn Any + Send + Sync>) -> Published {
        Published { application: application.into(), message }
    }
}

impl Core {
    fn tell_stopping(&self, app: AppId) {
        let context = self.context(app);
        for listener in &self.app(app).application.parts.servlet_listeners {
            if let Err(panic) = contained(|| listener.stopping(&context)) {
                tracing::error!(application = %self.app(app).name, %panic, "a listener has panicked");
            }
        }
    }
}
