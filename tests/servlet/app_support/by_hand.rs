//! A phone whose every message is written by the test: descriptions, option tags and methods that a
//! [`testkit::Phone`] does not have.

use std::cell::RefCell;
use std::time::Instant;

use sip_endpoint::{ClientId, Endpoint, Event, SendTo, ServerId, TransactionUser};
use sip_message::header::To;
use sip_message::{HeaderName, Headers, Method, Request, Response, StatusCode, UriBuf};
use testkit::{NodeId, Story};

/// What a phone has heard.
#[derive(Default)]
struct Ear {
    responses: Vec<Response>,
    requests: Vec<Request>,
    unanswered: Vec<(ServerId, Request)>,
    acks: Vec<Request>,
    cancelled: bool,
}

/// See the module's text. It has one dialog.
pub struct ByHand {
    story: Story,
    node: NodeId,
    address: String,
    dialog: RefCell<Dialog>,
}

#[derive(Default)]
struct Dialog {
    call_id: String,
    local: String,
    remote: String,
    target: String,
    route: Vec<String>,
    cseq: u32,
    invite_cseq: u32,
    invite: Option<ClientId>,
    tag: String,
    /// What we were asked in the dialog and have to say our tag to.
    is_callee: bool,
}

impl ByHand {
    /// Somebody at a node of this name: `sip:alice@alice`.
    pub fn new(story: &Story, name: &str) -> ByHand {
        ByHand::of(story, name, name)
    }

    /// Somebody of a domain, at a node of this name.
    pub fn of(story: &Story, name: &str, domain: &str) -> ByHand {
        ByHand::at(story, name, &format!("sip:{name}@{domain}"))
    }

    /// Somebody of this address, at a node of this name: one device of several.
    pub fn at(story: &Story, name: &str, address: &str) -> ByHand {
        let node = story.server(name, Ear::default());
        ByHand { story: story.clone(), node, address: address.to_owned(), dialog: RefCell::default() }
    }

    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The user in its address.
    pub fn name(&self) -> String {
        self.address.trim_start_matches("sip:").split('@').next().unwrap_or_default().to_owned()
    }

    /// Calls a URI; without a body, without an offer.
    pub fn invites(&self, uri: &str, headers: &[(&str, &str)], body: &str) {
        self.begins(uri);
        let invite = self.request(Method::Invite, headers, body);
        let client = self.sends(invite);
        self.dialog.borrow_mut().invite = Some(client);
        self.story.a_moment();
    }

    /// Sends a request outside of every dialog.
    pub fn asks(&self, method: Method, uri: &str, headers: &[(&str, &str)], body: &str) {
        self.begins(uri);
        let request = self.request(method, headers, body);
        self.sends(request);
        self.story.a_moment();
    }

    /// Sends a request in the dialog.
    pub fn says(&self, method: Method, headers: &[(&str, &str)], body: &str) {
        let request = self.request(method, headers, body);
        let client = self.sends(request);
        self.dialog.borrow_mut().invite = Some(client);
        self.story.a_moment();
    }

    /// Acknowledges the latest 2xx to its INVITE.
    pub fn acks(&self, body: &str) {
        let ack = self.request(Method::Ack, &[], body);
        self.story.world_mut().with(self.node, |_: &mut Ear, now, endpoint| {
            endpoint.send_ack(now, ack, SendTo::NextHop).unwrap();
        });
        self.story.a_moment();
    }

    /// Cancels its INVITE.
    pub fn cancels(&self) {
        let invite = self.dialog.borrow().invite.unwrap();
        self.story
            .world_mut()
            .with(self.node, |_: &mut Ear, now, endpoint| endpoint.cancel(now, invite, None))
            .unwrap();
        self.story.a_moment();
    }

    /// Answers the oldest request that has no final answer.
    #[track_caller]
    pub fn replies(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        self.replies_where(|_| true, status, headers, body);
    }

    /// Answers the oldest request of a method that has no final answer.
    #[track_caller]
    pub fn replies_to(&self, method: &Method, status: u16, headers: &[(&str, &str)], body: &str) {
        self.replies_where(|request| request.method() == method, status, headers, body);
    }

    #[track_caller]
    fn replies_where(&self, which: impl Fn(&Request) -> bool, status: u16, headers: &[(&str, &str)], body: &str) {
        let status = StatusCode::new(status).unwrap();
        let found = self.ear(|ear| {
            let place = ear.unanswered.iter().position(|(_, request)| which(request))?;
            Some(if status.is_final() { ear.unanswered.remove(place) } else { ear.unanswered[place].clone() })
        });
        let Some((server, request)) = found else { self.story.world().fail(None, "there is nothing to answer") };
        let mut response = Response::to(&request, status);
        if request.headers().get::<To>().unwrap().unwrap().tag().is_none() {
            self.is_called(&request);
            let to = format!("{};tag={}", request.headers().first(HeaderName::To).unwrap(), self.dialog.borrow().tag);
            response.headers_mut().set(HeaderName::To, to).unwrap();
        }
        response.headers_mut().copy_from(request.headers(), HeaderName::RecordRoute);
        if *request.method() != Method::Bye && *request.method() != Method::Message {
            response.headers_mut().set(HeaderName::Contact, format!("<{}>", self.contact())).unwrap();
        }
        put(response.headers_mut(), headers);
        if !body.is_empty() {
            response.set_body(kind(body), body.to_owned()).unwrap();
        }
        self.story.world_mut().with(self.node, |_: &mut Ear, now, endpoint| {
            endpoint.respond(now, server, response).unwrap();
        });
        self.story.a_moment();
    }

    /// Sends the PRACK of the latest reliable response.
    #[track_caller]
    pub fn pracks(&self, body: &str) {
        let response = self.latest_response();
        let rseq = response.headers().first(HeaderName::Rseq).unwrap().to_owned();
        let rack = format!("{rseq} {}", response.headers().first(HeaderName::Cseq).unwrap());
        self.says(Method::Prack, &[("RAck", &rack)], body);
    }

    /// All statuses that came, without 100.
    pub fn statuses(&self) -> Vec<u16> {
        self.ear(|ear| ear.responses.iter().map(|response| response.status().code()).collect())
    }

    /// The To tags of all responses that came, without 100.
    pub fn to_tags(&self) -> Vec<String> {
        let tag = |response: &Response| response.headers().get::<To>()?.ok()?.tag().map(str::to_owned);
        self.ear(|ear| ear.responses.iter().filter_map(tag).collect())
    }

    #[track_caller]
    pub fn latest_response(&self) -> Response {
        let latest = self.ear(|ear| ear.responses.last().cloned());
        latest.unwrap_or_else(|| self.story.world().fail(None, "no response has come"))
    }

    /// The methods of the requests that came, in order.
    pub fn methods(&self) -> Vec<String> {
        self.ear(|ear| ear.requests.iter().map(|request| request.method().to_string()).collect())
    }

    /// The latest request of a method.
    #[track_caller]
    pub fn latest(&self, method: &Method) -> Request {
        let latest = self.ear(|ear| ear.requests.iter().rfind(|request| request.method() == method).cloned());
        latest.unwrap_or_else(|| self.story.world().fail(None, &format!("no {method} has come")))
    }

    /// The bodies of the ACKs that came.
    pub fn ack_bodies(&self) -> Vec<String> {
        self.ear(|ear| ear.acks.iter().map(|ack| text(ack.body())).collect())
    }

    /// Whether its phone was told that the caller gave up.
    pub fn was_cancelled(&self) -> bool {
        self.ear(|ear| ear.cancelled)
    }

    fn ear<R>(&self, read: impl FnOnce(&mut Ear) -> R) -> R {
        self.story.world_mut().with(self.node, |ear: &mut Ear, _, _| read(ear))
    }

    fn contact(&self) -> String {
        let host = self.story.world().address(self.node, sip_message::Transport::Udp).unwrap();
        format!("sip:{}@{host}", self.name())
    }

    fn begins(&self, uri: &str) {
        let tag = self.story.world_mut().with(self.node, |_: &mut Ear, _, endpoint| endpoint.new_tag());
        *self.dialog.borrow_mut() = Dialog {
            call_id: format!("by-hand-{tag}"),
            local: format!("<{}>;tag={tag}", self.address),
            remote: format!("<{uri}>"),
            target: uri.to_owned(),
            tag,
            ..Dialog::default()
        };
    }

    fn is_called(&self, request: &Request) {
        let headers = request.headers();
        let value = |name| headers.first(name).unwrap_or_default().to_owned();
        if self.dialog.borrow().call_id == value(HeaderName::CallId) {
            return;
        }
        let tag = self.story.world_mut().with(self.node, |_: &mut Ear, _, endpoint| endpoint.new_tag());
        *self.dialog.borrow_mut() = Dialog {
            call_id: value(HeaderName::CallId),
            local: format!("{};tag={tag}", value(HeaderName::To)),
            remote: value(HeaderName::From),
            target: inside(&value(HeaderName::Contact)),
            route: headers.values(HeaderName::RecordRoute).map(str::to_owned).collect(),
            tag,
            is_callee: true,
            ..Dialog::default()
        };
    }

    /// Learns the dialog from what came back (RFC 3261 §12.1.2).
    fn learns(&self) {
        let Some(response) = self.ear(|ear| ear.responses.last().cloned()) else { return };
        let mut dialog = self.dialog.borrow_mut();
        let headers = response.headers();
        let is_ours = headers.first(HeaderName::CallId) == Some(&*dialog.call_id);
        if dialog.is_callee || !is_ours || headers.get::<To>().unwrap().unwrap().tag().is_none() {
            return;
        }
        dialog.remote = headers.first(HeaderName::To).unwrap().to_owned();
        if let Some(contact) = headers.first(HeaderName::Contact) {
            dialog.target = inside(contact);
        }
        dialog.route = headers.values(HeaderName::RecordRoute).map(str::to_owned).collect();
        dialog.route.reverse();
    }

    fn request(&self, method: Method, headers: &[(&str, &str)], body: &str) -> Request {
        self.learns();
        let contact = self.contact();
        let mut dialog = self.dialog.borrow_mut();
        if method != Method::Ack {
            dialog.cseq += 1;
        }
        if method == Method::Invite {
            dialog.invite_cseq = dialog.cseq;
        }
        let number = if method == Method::Ack { dialog.invite_cseq } else { dialog.cseq };
        let mut request = Request::new(method.clone(), &UriBuf::parse(&*dialog.target).unwrap());
        let target = request.headers_mut();
        for route in &dialog.route {
            target.push(HeaderName::Route, route).unwrap();
        }
        target.set(HeaderName::MaxForwards, "70").unwrap();
        target.set(HeaderName::From, &dialog.local).unwrap();
        target.set(HeaderName::To, &dialog.remote).unwrap();
        target.set(HeaderName::CallId, &dialog.call_id).unwrap();
        target.set(HeaderName::Cseq, format!("{number} {method}")).unwrap();
        if matches!(method, Method::Invite | Method::Update | Method::Refer | Method::Subscribe) {
            target.set(HeaderName::Contact, format!("<{contact}>")).unwrap();
        }
        put(target, headers);
        if !body.is_empty() {
            request.set_body(kind(body), body.to_owned()).unwrap();
        }
        request
    }

    fn sends(&self, request: Request) -> ClientId {
        self.story
            .world_mut()
            .with(self.node, |_: &mut Ear, now, endpoint| endpoint.send(now, request, SendTo::NextHop, None).unwrap())
    }
}

impl TransactionUser for Ear {
    type Message = ();

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        match event {
            Event::Request { server, request, .. } => {
                self.requests.push(request.clone());
                self.unanswered.push((server, request));
            }
            Event::Ack { request, .. } => self.acks.push(request),
            Event::Response { response, .. } if response.status() != StatusCode::TRYING => {
                self.responses.push(response)
            }
            Event::Cancelled { server, .. } => {
                self.cancelled = true;
                if let Some(at) = self.unanswered.iter().position(|(waits, _)| *waits == server) {
                    let (_, request) = self.unanswered.remove(at);
                    let mut response = Response::to(&request, StatusCode::REQUEST_TERMINATED);
                    let tag = endpoint.new_tag();
                    let to = format!("{};tag={tag}", request.headers().first(HeaderName::To).unwrap());
                    response.headers_mut().set(HeaderName::To, to).unwrap();
                    endpoint.respond(now, server, response).unwrap();
                }
            }
            _ => {}
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        self.unanswered.is_empty()
    }
}

/// The text of a body.
pub fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

/// A header's first value.
pub fn value(headers: &Headers, name: &str) -> Option<String> {
    match HeaderName::lookup(name) {
        HeaderName::Extension => headers.extension(name).next().map(str::to_owned),
        known => headers.first(known).map(str::to_owned),
    }
}

fn put(headers: &mut Headers, more: &[(&str, &str)]) {
    for (name, value) in more {
        match HeaderName::lookup(name) {
            HeaderName::Extension => headers.push_extension(name, value).unwrap(),
            known => headers.push(known, value).unwrap(),
        }
    }
}

fn kind(body: &str) -> &'static str {
    if body.starts_with("v=0") { "application/sdp" } else { "text/plain" }
}

fn inside(contact: &str) -> String {
    contact.split(['<', '>']).nth(1).unwrap_or(contact).to_owned()
}
