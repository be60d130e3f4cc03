//! The built-in services of `cordboard serve`: registrar, location service, proxy, and what a server answers itself.
//!
//! ```text
//!   Event::Request ─► own routes taken away (RFC 3261 §16.4)
//!        │
//!        ├─ draining, and it begins something ─────────► 503
//!        ├─ ours, REGISTER ────────────────────────────► registrar/   (RFC 3261 §10.3)
//!        ├─ ours, no user ─────────────────────────────► options.rs   (RFC 3261 §11)
//!        ├─ ours, user "echo" ─────────────────────────► the echo user
//!        └─ else ──────────────────────────────────────► proxy/       (RFC 3261 §16)
//! ```
//!
//! One instance sits on each shard's endpoint. It has no socket, clock or lock: it is told of events, and gives orders to
//! the endpoint. Registrations are told to the other shards.

mod answer;
mod auth;
mod calls;
mod config;
mod date;
mod domains;
pub mod echo;
mod flow_token;
mod gruu;
mod location;
mod mac;
mod options;
mod proxy;
mod registrar;
mod table;
mod timers;
mod tries;

use std::sync::Arc;
use std::time::Instant;

use sip_dialog::digest::Asker;
use sip_endpoint::{Endpoint, Event, ServerId, TransactionUser};
use sip_message::{Flow, HeaderName, Method, NameAddr, Request, StatusCode, Uri};

pub use config::{ProxyConfig, RegistrarConfig, Relay, Secret, ServicesConfig, UserSecret, Users, WallClock};
pub use location::Change;

use answer::{Refusal, refusal, respond, respond_once};
use auth::Authentication;
use calls::Calls;
use domains::Domains;
use location::Location;
use proxy::{Finder, Own, Passage, Proxy, Verdict};
use registrar::Registrar;
use timers::TimerToken;

/// The user whose calls are answered here.
const ECHO: &str = "echo";

/// The timers of a [`LocalUser`] have this bit in their tokens; no other timer has it.
pub const LOCAL_TIMER: u64 = 1 << 63;

/// A user agent that lives in this process, such as the one that answers calls to `echo`.
pub trait LocalUser {
    /// Handles an event of its own: a request to it, an ACK, and whatever follows from what it has sent.
    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event);

    /// Takes no new calls; those that are up may go on to their end.
    fn drain(&mut self);

    /// Whether it has no call.
    fn is_idle(&self) -> bool;
}

/// What the services of different shards tell each other.
#[derive(Clone, Debug)]
pub enum Message {
    /// Registrations have changed.
    Registered(Arc<Change>),
    /// A flow has ended, and so have the bindings that need it.
    FlowEnded(Flow),
    /// A call has ended; its name.
    CallEnded(u64),
}

/// The built-in services of one shard.
pub struct Services {
    config: Arc<ServicesConfig>,
    domains: Domains,
    auth: Authentication,
    location: Location,
    proxy: Proxy,
    calls: Calls,
    echo: Option<Box<dyn LocalUser>>,
    draining: bool,
}

/// How full the tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServicesLoad {
    /// Bindings of all addresses-of-record.
    pub bindings: usize,
    /// Requests that were forwarded and have not ended.
    pub contexts: usize,
    /// Calls that are up and pass through us, as far as we know.
    pub calls: usize,
}

impl Services {
    /// Services with empty tables.
    pub fn new(config: Arc<ServicesConfig>) -> Services {
        let registrar = &config.registrar;
        Services {
            domains: Domains::new(&config.domains),
            auth: Authentication::new(&config.secret),
            location: Location::new(config.secret, registrar.max_bindings, registrar.max_total, config.shared),
            proxy: Proxy::new(),
            calls: Calls::new(config.secret.0[0]),
            echo: None,
            draining: false,
            config,
        }
    }

    /// Lets `user` answer calls to `echo`, if the configuration wants them answered.
    #[must_use]
    pub fn with_echo(mut self, user: Box<dyn LocalUser>) -> Services {
        self.echo = self.config.echo.then_some(user);
        self
    }

    /// How full the tables are.
    pub fn load(&self) -> ServicesLoad {
        ServicesLoad { bindings: self.location.len(), contexts: self.proxy.len(), calls: self.calls.len() }
    }

    fn request(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        server: ServerId,
        request: Request,
        flow: Flow,
        peers: &mut Vec<Message>,
    ) {
        if self.draining && answer::begins_something(&request) {
            let response = answer::unavailable(&request, self.config.retry_after);
            return respond(endpoint, now, server, response);
        }
        if *request.method() == Method::Bye
            && let Some(call) = self.calls.left(endpoint, &request)
            && self.config.shared
        {
            peers.push(Message::CallEnded(call));
        }
        // An INVITE's failure waits for its ACK; every other refusal, a challenge above all, costs nothing to repeat and
        // is not worth keeping.
        let is_invite = *request.method() == Method::Invite;
        if let Err(refusal) = self.dispatch(now, endpoint, server, request, flow, peers) {
            if is_invite {
                respond(endpoint, now, server, *refusal);
            } else {
                respond_once(endpoint, now, server, *refusal);
            }
        }
    }

    fn dispatch(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        server: ServerId,
        mut request: Request,
        flow: Flow,
        peers: &mut Vec<Message>,
    ) -> Result<(), Refusal> {
        let mark = self.mark(endpoint, &request);
        let own = proxy::preprocess(endpoint, &self.domains, &self.config.secret, &mut request, &flow)?;
        match self.service(endpoint, &request) {
            Service::Registrar => {
                let registered = self.registrar().register(now, endpoint, &request, &flow)?;
                peers.extend(registered.change.map(Message::Registered));
                // A nonce counts: the credentials of a REGISTER that is repeated would be taken for a replay.
                if self.config.registrar.authenticate {
                    respond(endpoint, now, server, registered.response);
                } else {
                    respond_once(endpoint, now, server, registered.response);
                }
                Ok(())
            }
            Service::Server => {
                respond_once(endpoint, now, server, options::answer(&request));
                Ok(())
            }
            Service::Echo => {
                if let Some(echo) = &mut self.echo {
                    echo.event(now, endpoint, Event::Request { server, request, flow });
                }
                Ok(())
            }
            Service::Proxy => self.forward(now, endpoint, server, request, &flow, &own, mark),
        }
    }

    /// RFC 3261 §16.3 to §16.6.
    #[expect(clippy::too_many_arguments, reason = "what one request comes with")]
    fn forward(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        server: ServerId,
        request: Request,
        flow: &Flow,
        own: &Own,
        mark: Option<u64>,
    ) -> Result<(), Refusal> {
        let validated = match proxy::validate(&request, self.config.proxy.max_breadth) {
            Verdict::Pass(validated) => validated,
            Verdict::Refuse(refusal) => return Err(refusal),
            Verdict::OptionsForUs => {
                respond_once(endpoint, now, server, options::capabilities(&request));
                return Ok(());
            }
        };
        if let Some(mark) = mark {
            proxy::check_loop(&request, mark)?;
        }
        self.authenticate_caller(now, endpoint, &request, flow, own)?;
        let found = self.finder().find(now, endpoint, &request, own)?;
        let passage = Passage { config: &self.config, flow, validated, mark };
        self.proxy.forward(now, endpoint, &passage, server, request, found);
        Ok(())
    }

    /// The ACK of a 2xx goes the way of its INVITE, or is for the echo user; one that has no way is dropped (RFC 3261
    /// §17: an ACK is never answered).
    fn ack(&mut self, now: Instant, endpoint: &mut Endpoint, mut request: Request, flow: Flow) {
        let secret = &self.config.secret;
        let Ok(own) = proxy::preprocess(endpoint, &self.domains, secret, &mut request, &flow) else { return };
        match self.service(endpoint, &request) {
            Service::Echo => {
                if let Some(echo) = &mut self.echo {
                    echo.event(now, endpoint, Event::Ack { request, flow });
                }
            }
            Service::Registrar | Service::Server => {}
            Service::Proxy => {
                let verdict = proxy::validate(&request, self.config.proxy.max_breadth);
                let Verdict::Pass(validated) = verdict else { return };
                let Ok(found) = self.finder().find(now, endpoint, &request, &own) else { return };
                let passage = Passage { config: &self.config, flow: &flow, validated, mark: None };
                self.proxy.ack(now, endpoint, &passage, request, &found);
            }
        }
    }

    /// Who serves a request whose own routes were taken away.
    fn service(&self, endpoint: &Endpoint, request: &Request) -> Service {
        let Uri::Sip(uri) = request.uri() else { return Service::Proxy };
        if request.headers().contains(HeaderName::Route) || !self.domains.cover(endpoint, &uri) {
            return Service::Proxy;
        }
        match (request.method(), uri.user()) {
            (Method::Register, _) => Service::Registrar,
            (_, None) => Service::Server,
            (_, Some(user)) if user == ECHO && self.echo.is_some() => Service::Echo,
            _ => Service::Proxy,
        }
    }

    /// What tells loops (RFC 5393 §4.2), of the request as it was received. Requests that only pass by their Route or
    /// their foreign Request-URI cannot fork, and need none.
    fn mark(&self, endpoint: &Endpoint, request: &Request) -> Option<u64> {
        let Uri::Sip(uri) = request.uri() else { return None };
        self.domains.cover(endpoint, &uri).then(|| proxy::loop_mark(&self.config.secret, request))
    }

    /// RFC 3261 §16.3 step 6 and §22.3: who says to be a user of ours proves it when he begins something.
    fn authenticate_caller(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        request: &Request,
        flow: &Flow,
        own: &Own,
    ) -> Result<(), Refusal> {
        if !self.config.proxy.authenticate || own.trusted || !answer::begins_something(request) {
            return Ok(());
        }
        let from = request.headers().first(HeaderName::From).and_then(|from| NameAddr::parse(from).ok());
        let Some(from) = from.and_then(|from| from.uri().sip()).filter(|uri| self.domains.cover(endpoint, uri)) else {
            return Ok(());
        };
        let realm = self.domains.realm(Uri::Sip(from));
        let user = self.auth.authenticate(now, endpoint, &self.config, Asker::Proxy, realm, request, flow)?;
        match from.user() {
            Some(name) if *name == *user => Ok(()),
            _ => Err(refusal(request, StatusCode::FORBIDDEN)),
        }
    }

    fn registrar(&mut self) -> Registrar<'_> {
        Registrar { config: &self.config, domains: &self.domains, auth: &mut self.auth, location: &mut self.location }
    }

    fn finder(&self) -> Finder<'_> {
        Finder { config: &self.config, domains: &self.domains, location: &self.location }
    }

    fn timer_fired(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event) {
        let Event::TimerFired { timer, token } = event else { return };
        match TimerToken::read(token) {
            Some(TimerToken::Expiry(slot)) => self.location.timer_fired(now, endpoint, timer, slot),
            Some(TimerToken::Call(call)) => drop(self.calls.forget(endpoint, call)),
            Some(TimerToken::TimerC(number)) => self.proxy.timer_c(now, endpoint, &self.config, timer, number),
            None => self.tell_echo(now, endpoint, event),
        }
    }

    fn tell_echo(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event) {
        if let Some(echo) = &mut self.echo {
            echo.event(now, endpoint, event);
        }
    }
}

/// Who serves a request.
enum Service {
    Registrar,
    Server,
    Echo,
    Proxy,
}

impl TransactionUser for Services {
    type Message = Message;

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, peers: &mut Vec<Message>) {
        match event {
            Event::Request { server, request, flow } => self.request(now, endpoint, server, request, flow, peers),
            Event::Ack { request, flow } => self.ack(now, endpoint, request, flow),
            Event::Cancelled { server, ref cancel } if self.proxy.has_server(server) => {
                self.proxy.cancelled(now, endpoint, server, cancel);
            }
            Event::ServerEnded { server, .. } if self.proxy.has_server(server) => self.proxy.server_ended(server),
            Event::Response { client, response, .. } if self.proxy.has_client(client) => {
                if self.config.proxy.record_route {
                    self.calls.answered(now, endpoint, &response);
                }
                self.proxy.response(now, endpoint, &self.config, client, response);
            }
            Event::Failed { client, status } if self.proxy.has_client(client) => {
                self.proxy.failed(now, endpoint, &self.config, client, status);
            }
            Event::ClientEnded { client } if self.proxy.has_client(client) => {
                self.proxy.client_ended(now, endpoint, &self.config, client);
            }
            Event::TimerFired { .. } => self.timer_fired(now, endpoint, event),
            Event::FlowEnded { flow } => {
                self.location.flow_ended(now, endpoint, &flow);
                if self.config.shared {
                    peers.push(Message::FlowEnded(flow));
                }
                self.tell_echo(now, endpoint, Event::FlowEnded { flow });
            }
            other => self.tell_echo(now, endpoint, other),
        }
    }

    fn message(&mut self, now: Instant, endpoint: &mut Endpoint, message: Message) {
        match message {
            Message::Registered(change) => self.location.apply(now, endpoint, &change),
            Message::FlowEnded(flow) => self.location.flow_ended(now, endpoint, &flow),
            Message::CallEnded(call) => drop(self.calls.forget(endpoint, call)),
        }
    }

    /// From now on what begins something is refused with 503, so that its sender tries the next server (RFC 3263 §4.3).
    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {
        self.draining = true;
        if let Some(echo) = &mut self.echo {
            echo.drain();
        }
    }

    fn is_idle(&self) -> bool {
        self.proxy.is_idle() && self.calls.len() == 0 && self.echo.as_ref().is_none_or(|echo| echo.is_idle())
    }
}
