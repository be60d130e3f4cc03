//! Somebody who publishes, watches and writes messages: a user agent whose requests a test words itself, and who answers
//! at once.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use applications::domains::{Domains, KnownUsers};
use applications::location::{LocationSettings, SharedLocation};
use applications::registrar::RegistrarSettings;
use applications::{messages, presence, proxy, registrar};
use container::routing::{Entry, RuleRouter};
use container::{Clock, Container, ContainerLoad, Resources, Settings};
use sip_endpoint::{Endpoint, Event, SendTo, TransactionUser};
use sip_message::header::To;
use sip_message::{HeaderName, Headers, Method, Request, Response, StatusCode, Transport, UriBuf};
use testkit::{NodeId, Story};

/// The domain of all users.
pub const DOMAIN: &str = "example.test";

/// When every story begins: Sun, 09 Sep 2001 01:46:40 GMT.
pub const BEGINNING: Duration = Duration::from_secs(1_000_000_000);

/// What a server offers.
#[derive(Clone)]
pub struct Server {
    pub presence: presence::Settings,
    pub messages: messages::Settings,
    pub users: KnownUsers,
    /// Where messages wait; without it, in the application's own memory.
    pub store: Option<Rc<dyn messages::MessageStore>>,
    pub shards: u16,
}

impl Default for Server {
    fn default() -> Server {
        let domains = Domains::new([DOMAIN]);
        Server {
            presence: presence::Settings::new(domains.clone()),
            messages: messages::Settings::new(domains),
            users: KnownUsers::everybody(),
            store: None,
            shards: 1,
        }
    }
}

impl Server {
    /// Runs the server at the node of its domain. The node, and one for each further shard.
    pub fn at(&self, story: &Story) -> Vec<NodeId> {
        let mut nodes = vec![story.server(DOMAIN, self.container(story))];
        for _ in 1..self.shards {
            let shard = self.container(story);
            let shard = story.world_mut().shard(nodes[0], shard);
            nodes.push(shard);
        }
        nodes
    }

    fn container(&self, story: &Story) -> Container {
        let now = story.world().now();
        let domains = self.presence.domains.clone();
        let registrar = RegistrarSettings {
            domains: domains.clone(),
            users: self.users.clone(),
            authenticate: false,
            ..RegistrarSettings::default()
        };
        let proxy = proxy::ProxySettings { domains, users: self.users.clone(), ..proxy::ProxySettings::default() };
        let location = LocationSettings { shared: self.shards > 1, ..LocationSettings::default() };
        let (presence, messages) = (self.presence.clone(), self.messages.clone());
        let router = {
            let (registrar, presence, messages) = (registrar.clone(), presence.clone(), messages.clone());
            RuleRouter::new([
                Entry::new(registrar::NAME).predicate(move |request| registrar::wants(&registrar, request)),
                Entry::new(presence::NAME).predicate(move |request| presence::wants(&presence, request)),
                Entry::new(messages::NAME).predicate(move |request| messages::wants(&messages, request)),
                Entry::new(proxy::NAME),
            ])
        };
        let resources = Resources::default().with(Rc::new(SharedLocation::new(location)));
        let resources = match &self.store {
            Some(store) => resources.with(Rc::new(messages::SharedMessageStore(Rc::clone(store)))),
            None => resources,
        };
        Container::builder()
            .application(registrar::application(registrar))
            .application(presence::application(presence))
            .application(messages::application(messages))
            .application(proxy::application(proxy))
            .router(Arc::new(router.unwrap()))
            .settings(Settings { domains: vec![DOMAIN.into()], shards: self.shards, ..Settings::default() })
            .resources(resources)
            .clock(Clock::new(now, SystemTime::UNIX_EPOCH + BEGINNING))
            .build(now)
            .unwrap()
    }
}

/// See the module's text. It has one subscription at a time.
pub struct Peer {
    story: Story,
    node: NodeId,
    address: String,
}

#[derive(Default)]
struct Phone {
    /// How requests of a method are answered; others with 200, and those with `None` not at all.
    answers: BTreeMap<String, Option<u16>>,
    requests: Vec<Request>,
    responses: Vec<Response>,
    /// Whether a request is underway.
    waits: bool,
    number: u32,
    dialog: Option<Dialog>,
}

#[derive(Clone)]
struct Dialog {
    call_id: String,
    local: String,
    remote: String,
    target: String,
    cseq: u32,
}

impl Peer {
    /// Somebody of our domain, at a node of this name.
    pub fn new(story: &Story, name: &str) -> Peer {
        let node = story.server(name, Phone::default());
        Peer { story: story.clone(), node, address: format!("sip:{name}@{DOMAIN}") }
    }

    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Registers for an hour, or takes the registration back.
    #[track_caller]
    pub fn registers(&self, seconds: u32) {
        let contact = format!("<{}>", self.contact());
        let headers = [("Contact", &*contact), ("Expires", &*seconds.to_string())];
        let response = self.asks(Method::Register, &format!("sip:{DOMAIN}"), &self.address, &headers, ("", ""));
        self.story.expect_eq(response.status().code(), 200, "the answer to REGISTER");
    }

    /// Sends a request outside of dialogs and gives back its final response.
    #[track_caller]
    pub fn sends(&self, method: Method, uri: &str, headers: &[(&str, &str)], body: (&str, &str)) -> Response {
        self.asks(method, uri, uri, headers, body)
    }

    /// Writes to somebody; the status that comes back.
    #[track_caller]
    pub fn writes(&self, uri: &str, text: &str) -> u16 {
        self.sends(Method::Message, uri, &[], ("text/plain", text)).status().code()
    }

    /// Subscribes to somebody's presence.
    #[track_caller]
    pub fn subscribes(&self, uri: &str, headers: &[(&str, &str)]) -> Response {
        let contact = format!("<{}>", self.contact());
        let mut all = vec![("Contact", &*contact)];
        if !headers.iter().any(|(name, _)| *name == "Event") {
            all.push(("Event", "presence"));
        }
        all.extend(headers);
        let response = self.asks(Method::Subscribe, uri, uri, &all, ("", ""));
        if response.status().is_success() {
            let header = |name| response.headers().first(name).unwrap_or_default().to_owned();
            let dialog = Dialog {
                call_id: header(HeaderName::CallId),
                local: header(HeaderName::From),
                remote: header(HeaderName::To),
                target: inside(&header(HeaderName::Contact)),
                cseq: 1,
            };
            self.phone(|phone| phone.dialog = Some(dialog));
        }
        response
    }

    /// Sends a SUBSCRIBE in the dialog of its subscription.
    #[track_caller]
    pub fn refreshes(&self, headers: &[(&str, &str)]) -> Response {
        let mut dialog = self.phone(|phone| phone.dialog.clone()).unwrap();
        dialog.cseq += 1;
        self.phone(|phone| phone.dialog = Some(dialog.clone()));
        let contact = format!("<{}>", self.contact());
        let mut request = request(Method::Subscribe, &dialog.target, &dialog);
        put(request.headers_mut(), &[("Contact", &contact), ("Event", "presence")]);
        put(request.headers_mut(), headers);
        self.exchanges(request)
    }

    /// From now on it answers requests of this method with this status, or not at all.
    pub fn answers(&self, method: &Method, status: Option<u16>) {
        self.phone(|phone| phone.answers.insert(method.to_string(), status));
    }

    /// The requests of a method that have come, in order.
    pub fn received(&self, method: &Method) -> Vec<Request> {
        self.phone(|phone| phone.requests.iter().filter(|request| request.method() == method).cloned().collect())
    }

    /// The latest of them.
    #[track_caller]
    pub fn latest(&self, method: &Method) -> Request {
        let latest = self.received(method).pop();
        latest.unwrap_or_else(|| self.story.world().fail(None, &format!("no {method} has come")))
    }

    /// The bodies of the messages that have come, in order.
    pub fn has_read(&self) -> Vec<String> {
        self.received(&Method::Message).iter().map(|message| text(message.body())).collect()
    }

    #[track_caller]
    fn asks(&self, method: Method, uri: &str, to: &str, headers: &[(&str, &str)], body: (&str, &str)) -> Response {
        let number = self.phone(|phone| {
            phone.number += 1;
            phone.number
        });
        let tag = self.story.world_mut().with(self.node, |_: &mut Phone, _, endpoint| endpoint.new_tag());
        let dialog = Dialog {
            call_id: format!("{number}-{tag}"),
            local: format!("<{}>;tag={tag}", self.address),
            remote: format!("<{to}>"),
            target: uri.to_owned(),
            cseq: 1,
        };
        let mut request = request(method, uri, &dialog);
        put(request.headers_mut(), headers);
        if !body.1.is_empty() {
            request.set_body(body.0, body.1.to_owned()).unwrap();
        }
        self.exchanges(request)
    }

    /// Sends a request and waits for its final response.
    #[track_caller]
    fn exchanges(&self, request: Request) -> Response {
        self.story.world_mut().with(self.node, |phone: &mut Phone, now, endpoint| {
            phone.waits = true;
            endpoint.send(now, request, SendTo::NextHop, None).unwrap();
        });
        for _ in 0..200 {
            self.story.a_moment();
            if !self.phone(|phone| phone.waits) {
                return self.phone(|phone| phone.responses.last().cloned()).unwrap();
            }
        }
        self.story.world().fail(None, "there is no answer")
    }

    fn contact(&self) -> String {
        let host = self.story.world().address(self.node, Transport::Udp).unwrap();
        let user = self.address.trim_start_matches("sip:").split('@').next().unwrap_or_default().to_owned();
        format!("sip:{user}@{host}")
    }

    fn phone<R>(&self, look: impl FnOnce(&mut Phone) -> R) -> R {
        self.story.world_mut().with(self.node, |phone: &mut Phone, _, _| look(phone))
    }
}

impl TransactionUser for Phone {
    type Message = ();

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        match event {
            Event::Request { server, request, .. } => {
                let status = self.answers.get(&request.method().to_string()).copied().unwrap_or(Some(200));
                self.requests.push(request.clone());
                let Some(status) = status else { return };
                let mut response = Response::to(&request, StatusCode::new(status).unwrap());
                if request.headers().get::<To>().unwrap().unwrap().tag().is_none() {
                    let tag = endpoint.new_tag();
                    let to = format!("{};tag={tag}", request.headers().first(HeaderName::To).unwrap());
                    response.headers_mut().set(HeaderName::To, to).unwrap();
                }
                endpoint.respond(now, server, response).unwrap();
            }
            Event::Response { response, .. } if response.status().is_final() => {
                self.waits = false;
                self.responses.push(response);
            }
            Event::Failed { .. } => self.waits = false,
            _ => {}
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        !self.waits
    }
}

/// Runs the story to its end, after which servers have nothing left of it: no session, no timer.
#[track_caller]
pub fn ends(story: &Story, servers: &[NodeId]) {
    story.ends();
    for server in servers {
        let load = story.world_mut().with(*server, |container: &mut Container, _, _| container.load());
        story.expect_eq(load, ContainerLoad::default(), "what is left in the container");
    }
}

/// A header's first value; empty when there is none.
pub fn value(headers: &Headers, name: &str) -> String {
    match HeaderName::lookup(name) {
        HeaderName::Extension => headers.extension(name).next().unwrap_or_default().to_owned(),
        known => headers.first(known).unwrap_or_default().to_owned(),
    }
}

/// The text of a body.
pub fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

fn request(method: Method, uri: &str, dialog: &Dialog) -> Request {
    let mut request = Request::new(method.clone(), &UriBuf::parse(uri).unwrap());
    let headers = request.headers_mut();
    headers.set(HeaderName::MaxForwards, "70").unwrap();
    headers.set(HeaderName::From, &dialog.local).unwrap();
    headers.set(HeaderName::To, &dialog.remote).unwrap();
    headers.set(HeaderName::CallId, &dialog.call_id).unwrap();
    headers.set(HeaderName::Cseq, format!("{} {method}", dialog.cseq)).unwrap();
    request
}

fn put(headers: &mut Headers, more: &[(&str, &str)]) {
    for (name, value) in more {
        match HeaderName::lookup(name) {
            HeaderName::Extension => headers.push_extension(name, value).unwrap(),
            known => headers.push(known, value).unwrap(),
        }
    }
}

fn inside(contact: &str) -> String {
    contact.split(['<', '>']).nth(1).unwrap_or(contact).to_owned()
}
