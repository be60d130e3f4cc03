//! Servers for stories about accounts: one that is written by hand, and a registrar with a proxy as the container has them.
#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(unreachable_pub, reason = "this is a test's own module")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use applications::domains::Domains;
use applications::location::{LocationSettings, SharedLocation};
use applications::proxy::{self, ProxySettings};
use applications::registrar::{self, RegistrarSettings};
use client::settings::{AccountSettings, Settings};
use client::{Data, Notification, Sender};
use client_world::{Person, Stage};
use container::routing::{Entry, RuleRouter};
use container::security::{AllowedRoles, ConfiguredUsers, LoginConfig, SecurityConstraint};
use container::{Clock, Container, Deployment, Resources};
use sip_dialog::digest::{Asker, Authenticator, AuthenticatorSettings, Secret, Verdict};
use sip_endpoint::{ClientId, Endpoint, Event, SendTo, TransactionUser};
use sip_message::header::{TypedHeader as _, Via};
use sip_message::{Flow, HeaderName, Method, Request, Response, StatusCode, Transport, UriBuf};
use testkit::NodeId;

/// The domain of everybody's account.
pub const DOMAIN: &str = "example.test";
/// The engine's instance on every stage.
pub const INSTANCE: &str = "urn:uuid:00000000-0000-4000-8000-000000000001";
/// The tag of a server that notifies.
const NOTIFIER: &str = "notifier";
/// Everybody's password.
pub const PASSWORD: &str = "open sesame";

/// A stage that begins now; of this instant nothing is used but that it is one.
pub fn stage(seed: u64) -> Stage {
    Stage::new(seed, Instant::now())
}

/// Seconds.
pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
pub fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

// ---- people with accounts ------------------------------------------------------------------------------------------------

/// Somebody with an account of [`DOMAIN`] that registers.
pub fn member(stage: &Stage, name: &str) -> Person {
    member_with(stage, name, |_, _| {})
}

/// The same, set up otherwise.
pub fn member_with(stage: &Stage, name: &str, set_up: impl FnOnce(&mut Settings, &mut AccountSettings)) -> Person {
    stage.softphone_with(name, |settings, account| {
        account.id = format!("{name}@{DOMAIN}");
        account.auth.password = PASSWORD.into();
        account.sip.register = true;
        account.sip.outbound = false;
        set_up(settings, account);
    })
}

/// What somebody was told of accounts, in order.
pub fn told(person: &Person) -> Vec<String> {
    person.sees(|phone| phone.notifications().iter().filter_map(line).collect())
}

/// Fails with the ladder unless somebody was told exactly this of accounts.
#[track_caller]
pub fn is_told(stage: &Stage, person: &Person, lines: &[&str]) {
    let told = told(person);
    if told != lines {
        stage.fail(&format!("told {told:#?}, expected {lines:#?}"));
    }
}

/// For how long an account that could not register waits, each time.
pub fn waits(person: &Person) -> Vec<Duration> {
    person.sees(|phone| {
        let wait = |notification: &Notification| match &notification.data {
            Data::AccountRegistrationDidFail { retry_after, .. } => *retry_after,
            _ => None,
        };
        phone.notifications().iter().filter_map(wait).collect()
    })
}

fn line(notification: &Notification) -> Option<String> {
    let Sender::Account(_) = notification.sender else { return None };
    let name = notification.name().trim_start_matches("SIPAccount").to_owned();
    let text = match &notification.data {
        Data::AccountRegistrationDidSucceed { expires, gruu, .. } => {
            let gruu = if gruu.is_some() { " gruu" } else { "" };
            format!("{}{gruu}", expires.as_secs())
        }
        Data::AccountRegistrationDidFail { code, reason, .. } => {
            let code = code.map(|code| format!("{} ", code.code())).unwrap_or_default();
            format!("{code}{reason}")
        }
        Data::AccountGotMessage { from, content, content_type } => {
            format!("{from} {content_type} {}", String::from_utf8_lossy(content))
        }
        Data::AccountDidDeliverMessage { code, .. } => code.code().to_string(),
        Data::AccountDidNotDeliverMessage { code, reason, .. } => format!("{} {reason}", code.code()),
        Data::AccountGotOptionsResponse { code, reason, .. } => format!("{} {reason}", code.code()),
        Data::AccountGotMessageSummary { messages_waiting, new, old } => format!("{messages_waiting} {new}/{old}"),
        Data::BonjourAccountDidAddNeighbour { name, uri } => format!("{name} {uri}"),
        Data::BonjourAccountDidRemoveNeighbour { uri } => uri.to_string(),
        _ => String::new(),
    };
    Some(format!("{name} {text}").trim_end().to_owned())
}

// ---- a server by hand ----------------------------------------------------------------------------------------------------

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Not at all.
    Silence,
    /// As a registrar does: a REGISTER with its bindings; anything else with 200.
    Usual,
    /// With this status and these fields.
    With(u16, Vec<(HeaderName, String)>),
    /// The same with a session description.
    Session(u16, Vec<(HeaderName, String)>, &'static str),
}

impl Answer {
    pub fn status(code: u16) -> Answer {
        Answer::With(code, Vec::new())
    }

    pub fn with(code: u16, name: HeaderName, value: &str) -> Answer {
        Answer::With(code, vec![(name, value.into())])
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When, since the story began.
    pub at: Duration,
    pub request: Request,
    pub flow: Flow,
}

impl Seen {
    pub fn first(&self, name: HeaderName) -> &str {
        self.request.headers().first(name).unwrap_or_default()
    }

    pub fn all(&self, name: HeaderName) -> Vec<String> {
        self.request.headers().values(name).map(str::to_owned).collect()
    }

    pub fn cseq(&self) -> u32 {
        self.first(HeaderName::Cseq).split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
    }
}

/// The transaction user of a server that is written by hand.
pub struct Server {
    name: String,
    epoch: Instant,
    /// The answers to the next requests, before the habit.
    next: VecDeque<Answer>,
    habit: Answer,
    /// Further fields of every 200 to a REGISTER.
    fields: Vec<(HeaderName, String)>,
    /// What is granted at most.
    grants: u64,
    /// Where it sees whoever asks, instead of where they are.
    sees_at: Option<SocketAddr>,
    /// Whether that is another port each time.
    moves: bool,
    authenticator: Option<Authenticator>,
    /// By which methods credentials are asked for.
    guards: Vec<Method>,
    seen: Vec<Seen>,
    asked: Vec<ClientId>,
    answers: Vec<Response>,
}

impl Server {
    fn new(name: &str, epoch: Instant) -> Server {
        Server {
            name: name.to_owned(),
            epoch,
            next: VecDeque::new(),
            habit: Answer::Usual,
            fields: Vec::new(),
            grants: 3600,
            sees_at: None,
            moves: false,
            authenticator: None,
            guards: vec![Method::Register],
            seen: Vec::new(),
            asked: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn answer(&mut self, now: Instant, request: &Request) -> Option<Response> {
        if let Some(challenge) = self.challenge(now, request) {
            return Some(challenge);
        }
        match self.next.pop_front().unwrap_or_else(|| self.habit.clone()) {
            Answer::Silence => None,
            Answer::With(code, fields) => Some(response_with(request, code, fields)),
            Answer::Session(code, fields, sdp) => {
                let mut response = response_with(request, code, fields);
                let sdp: String = sdp.lines().map(|line| format!("{}\r\n", line.trim())).collect();
                response.set_body("application/sdp", sdp).expect("a content type");
                Some(response)
            }
            Answer::Usual => Some(self.usual(request)),
        }
    }

    fn usual(&self, request: &Request) -> Response {
        let mut response = Response::to(request, StatusCode::OK);
        if *request.method() == Method::Subscribe {
            self.subscribed(request, &mut response);
        }
        if *request.method() != Method::Register {
            return response;
        }
        for contact in request.headers().values(HeaderName::Contact) {
            let (plain, asked) = contact.rsplit_once(";expires=").expect("each contact says for how long");
            let granted = asked.parse::<u64>().expect("a number").min(self.grants);
            if granted > 0 {
                let value = format!("{plain};expires={granted}");
                response.headers_mut().push(HeaderName::Contact, value).expect("one line");
            }
        }
        for (name, value) in &self.fields {
            response.headers_mut().push(*name, value).expect("one line");
        }
        response
    }

    /// RFC 6665 §4.2.1.1: a dialog, and for how long.
    fn subscribed(&self, request: &Request, response: &mut Response) {
        let headers = response.headers_mut();
        if request.headers().to_tag().is_none() {
            let to = request.headers().first(HeaderName::To).unwrap_or_default();
            headers.set(HeaderName::To, format!("{to};tag={NOTIFIER}")).expect("one line");
        }
        let asked = request.headers().first(HeaderName::Expires).and_then(|text| text.parse().ok()).unwrap_or(0);
        headers.push(HeaderName::Expires, self.grants.min(asked)).expect("one line");
        headers.push(HeaderName::Contact, format!("<sip:{}>", self.name)).expect("one line");
    }

    /// As if a translator stood on the way.
    fn translate(&mut self, response: &mut Response) {
        let Some(at) = &mut self.sees_at else { return };
        if self.moves {
            at.set_port(at.port() + 1);
        }
        let via = response.headers().first(HeaderName::Via).unwrap_or_default().to_owned();
        let via = Via::parse(&via).expect("a Via").with_received(at.ip()).with_rport(Some(at.port()));
        response.headers_mut().replace_first(HeaderName::Via, via.to_string()).expect("one line");
    }

    fn challenge(&mut self, now: Instant, request: &Request) -> Option<Response> {
        let time = SystemTime::UNIX_EPOCH + secs(1_000_000) + now.saturating_duration_since(self.epoch);
        let authenticator = self.authenticator.as_mut().filter(|_| self.guards.contains(request.method()))?;
        let secret = |name: &str| (name == "alice").then(|| Secret::Password(PASSWORD.into()));
        let stale = match authenticator.verify(time, request, b"", secret) {
            Verdict::Authenticated { .. } => return None,
            Verdict::NoCredentials | Verdict::Refused(_) => false,
            Verdict::Stale => true,
        };
        Some(authenticator.challenge(time, request, b"", stale).expect("a realm that can be written"))
    }
}

impl TransactionUser for Server {
    type Message = Infallible;

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<Infallible>) {
        match event {
            Event::Request { server, request, flow } => {
                let at = now.saturating_duration_since(self.epoch);
                let answer = self.answer(now, &request);
                self.seen.push(Seen { at, request, flow });
                if let Some(mut answer) = answer {
                    self.translate(&mut answer);
                    let _ = endpoint.respond(now, server, answer);
                }
            }
            Event::Response { client, response, .. }
                if self.asked.contains(&client) && response.status().is_final() =>
            {
                self.answers.push(response);
            }
            _ => {}
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, message: Infallible) {
        match message {}
    }

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        true
    }
}

fn response_with(request: &Request, code: u16, fields: Vec<(HeaderName, String)>) -> Response {
    let mut response = Response::to(request, StatusCode::new(code).expect("a status"));
    for (name, value) in fields {
        response.headers_mut().push(name, value).expect("one line");
    }
    response
}

/// Such a server at its node.
#[derive(Clone)]
pub struct Host {
    stage: Stage,
    name: String,
    pub node: NodeId,
}

/// A server by hand, at a node of this name.
pub fn host(stage: &Stage, name: &str) -> Host {
    let server = Server::new(name, epoch(stage));
    let node = stage.world_mut().node(name, server);
    Host { stage: stage.clone(), name: name.to_owned(), node }
}

/// The registrar of [`DOMAIN`], by hand.
pub fn registrar(stage: &Stage) -> Host {
    host(stage, DOMAIN)
}

fn epoch(stage: &Stage) -> Instant {
    let world = stage.world();
    world.now() - world.age()
}

impl Host {
    fn is<R>(&self, change: impl FnOnce(&mut Server) -> R) -> R {
        self.stage.world_mut().with(self.node, |server: &mut Server, _, _| change(server))
    }

    /// Answers the next requests like this.
    pub fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.is(|server| server.next.extend(answers));
    }

    /// Answers everything like this from now on.
    pub fn always(&self, answer: Answer) {
        self.is(|server| server.habit = answer);
    }

    /// Adds a field to every 200 to a REGISTER.
    pub fn says(&self, name: HeaderName, value: &str) {
        self.is(|server| server.fields.push((name, value.into())));
    }

    /// Sees whoever asks at another address than theirs.
    pub fn sees_at(&self, address: Option<&str>) {
        let address = address.map(|address| address.parse().expect("an address"));
        self.is(|server| server.sees_at = address);
    }

    /// The same, at another port each time.
    pub fn sees_at_another_port_each_time(&self, address: &str) {
        self.sees_at(Some(address));
        self.is(|server| server.moves = true);
    }

    /// Grants no more than this.
    pub fn grants(&self, seconds: u64) {
        self.is(|server| server.grants = seconds);
    }

    /// Asks alice for her password, in a realm, when she sends one of these.
    pub fn asks(&self, asker: Asker, realm: &str, guards: &[Method]) {
        self.asks_with(guards, AuthenticatorSettings::new(asker, realm, [7; 32]));
    }

    /// The same, set up otherwise.
    pub fn asks_with(&self, guards: &[Method], settings: AuthenticatorSettings) {
        self.is(|server| {
            server.authenticator = Some(Authenticator::new(settings));
            server.guards = guards.to_vec();
        });
    }

    /// What has come.
    pub fn seen(&self) -> Vec<Seen> {
        self.is(|server| server.seen.clone())
    }

    /// What has come of a method.
    pub fn seen_of(&self, method: &Method) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.request.method() == method).collect()
    }

    /// The last request that has come.
    #[track_caller]
    pub fn last(&self) -> Seen {
        match self.seen().pop() {
            Some(seen) => seen,
            None => self.stage.fail("nothing has come"),
        }
    }

    /// Sends a request over a flow, or where it is addressed to.
    pub fn sends(&self, request: Request, flow: Option<Flow>) {
        self.stage.world_mut().with(self.node, |server: &mut Server, now, endpoint| {
            let to = flow.map_or(SendTo::NextHop, SendTo::Flow);
            server.asked.push(endpoint.send(now, request, to, None).expect("it has a next hop"));
        });
    }

    /// The status of the last answer to what was sent.
    #[track_caller]
    pub fn answered(&self) -> Response {
        match self.is(|server| server.answers.pop()) {
            Some(response) => response,
            None => self.stage.fail("no answer has come"),
        }
    }

    /// A request that nobody has asked for.
    pub fn request(&self, method: &str, uri: &str) -> Request {
        let method = Method::parse(method).expect("a token");
        let (tag, call_id) = self
            .stage
            .world_mut()
            .with(self.node, |_: &mut Server, _, endpoint| (endpoint.new_tag(), format!("{:016x}", endpoint.random())));
        let mut request = Request::new(method.clone(), &UriBuf::parse(uri).expect("a URI"));
        let headers = request.headers_mut();
        let fields = [
            (HeaderName::MaxForwards, "70".to_owned()),
            (HeaderName::From, format!("<sip:bob@biloxi.example>;tag={tag}")),
            (HeaderName::To, format!("<{uri}>")),
            (HeaderName::CallId, call_id),
            (HeaderName::Cseq, format!("1 {method}")),
        ];
        for (name, value) in fields {
            headers.push(name, value).expect("one line");
        }
        request
    }

    /// Sends a NOTIFY of the subscription that a SUBSCRIBE has made.
    pub fn notifies(&self, subscribe: &Seen, cseq: u32, state: &str, body: Option<(&str, &str)>) {
        let contact = subscribe.first(HeaderName::Contact);
        let uri = contact.trim_start_matches('<').split('>').next().unwrap_or_default();
        let mut notify = Request::new(Method::Notify, &UriBuf::parse(uri).expect("a Contact"));
        let to = subscribe.first(HeaderName::To).split(";tag=").next().unwrap_or_default();
        let fields = [
            (HeaderName::MaxForwards, "70".to_owned()),
            (HeaderName::From, format!("{to};tag={NOTIFIER}")),
            (HeaderName::To, subscribe.first(HeaderName::From).to_owned()),
            (HeaderName::CallId, subscribe.first(HeaderName::CallId).to_owned()),
            (HeaderName::Cseq, format!("{cseq} NOTIFY")),
            (HeaderName::Contact, format!("<sip:{}>", self.name)),
            (HeaderName::Event, subscribe.first(HeaderName::Event).to_owned()),
            (HeaderName::SubscriptionState, state.to_owned()),
        ];
        for (name, value) in fields {
            notify.headers_mut().push(name, value).expect("one line");
        }
        if let Some((content_type, body)) = body {
            notify.set_body(content_type, body.to_owned()).expect("a content type");
        }
        self.sends(notify, None);
    }

    /// Where the node is reached by a transport.
    pub fn address(&self, transport: Transport) -> SocketAddr {
        self.stage.world().address(self.node, transport).expect("every node speaks it")
    }
}

// ---- a server as it is deployed ------------------------------------------------------------------------------------------

/// A registrar and proxy for [`DOMAIN`], as the container has them; it asks for passwords.
pub fn home(stage: &Stage) -> NodeId {
    let domains = Domains::new([DOMAIN]);
    let registering = RegistrarSettings { domains: domains.clone(), ..RegistrarSettings::default() };
    let proxying = ProxySettings { domains, ..ProxySettings::default() };
    let users = ["alice", "bob"]
        .iter()
        .fold(ConfiguredUsers::new(), |users, name| users.with(*name, Secret::Password(PASSWORD.into()), &["user"]));
    let constraint = SecurityConstraint {
        methods: vec![Method::Register],
        roles: AllowedRoles::of_names(["user"]),
        ..SecurityConstraint::default()
    };
    let deployment = Deployment::new(registrar::application(registering.clone()));
    let deployment = deployment.constraint(constraint).login(LoginConfig::digest(DOMAIN)).users(users);
    let router = RuleRouter::new([
        Entry::new(registrar::NAME).predicate(move |request| registrar::wants(&registering, request)),
        Entry::new(proxy::NAME),
    ]);
    let now = stage.world().now();
    let container = Container::builder()
        .application(deployment)
        .application(proxy::application(proxying))
        .router(Arc::new(router.expect("two rules")))
        .settings(container::Settings { domains: vec![DOMAIN.into()], ..container::Settings::default() })
        .resources(Resources::default().with(Rc::new(SharedLocation::new(LocationSettings::default()))))
        .clock(Clock::new(now, SystemTime::UNIX_EPOCH + secs(1_000_000_000)))
        .build(now);
    stage.world_mut().node(DOMAIN, container.expect("it can be built"))
}
