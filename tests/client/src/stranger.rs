//! Somebody who speaks SIP by hand: a call usage without offer/answer, so that a story may send what no client of ours
//! would, and sees what comes.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Instant;

use sip_dialog::invite::{
    Acknowledge, Body, ClientKey, DialogKey, Event as Told, Failure, Input, Output, Policy, ServerKey,
    SessionTimerPolicy,
};
use sip_dialog::{DialogState, InviteUsage};
use sip_endpoint::{ClientId, Endpoint, Event, SendTo, ServerId, TimerId, TransactionUser};
use sip_message::{HeaderName, Message, Method, NameAddrBuf, Request, Response, StatusCode, Transport, UriBuf};
use testkit::{NodeId, Random, World};

use crate::person::Person;

/// The transaction user of a stranger's node.
pub struct Stranger {
    name: String,
    usage: Option<InviteUsage>,
    dialog: Option<DialogKey>,
    clients: Vec<(ClientKey, ClientId)>,
    invites: Vec<ClientId>,
    servers: BTreeMap<u64, ServerId>,
    /// The requests that wait for our response, the last one last.
    asked: VecDeque<(ServerKey, Request)>,
    /// The INVITE that began the call.
    first: Option<(ServerKey, Request)>,
    last_server: u64,
    timer: Option<TimerId>,
    /// Fields for whatever is sent next.
    fields: Vec<(HeaderName, String)>,
    seen: Vec<String>,
    sdp: Option<String>,
    last_response: Option<Response>,
    last_request: Option<Request>,
    /// Says nothing but 100 to what is not in a dialog.
    pub deaf: bool,
    /// What the ACK of a 2xx with an offer says.
    pub ack: Option<String>,
    owes_ack: Option<DialogKey>,
    /// The challenge that a BYE is answered with.
    pub challenges_bye: Option<String>,
    /// What any INVITE out of a dialog is answered with at once.
    pub answers_with: Option<StatusCode>,
}

impl Stranger {
    pub(crate) fn new(name: &str) -> Stranger {
        Stranger {
            name: name.into(),
            usage: None,
            dialog: None,
            clients: Vec::new(),
            invites: Vec::new(),
            servers: BTreeMap::new(),
            asked: VecDeque::new(),
            first: None,
            last_server: 0,
            timer: None,
            fields: Vec::new(),
            seen: Vec::new(),
            sdp: None,
            last_response: None,
            last_request: None,
            deaf: false,
            ack: None,
            owes_ack: None,
            challenges_bye: None,
            answers_with: None,
        }
    }

    fn policy(&self, endpoint: &Endpoint) -> Policy {
        let sent_by = endpoint.listeners()[0].sent_by.clone();
        let contact = NameAddrBuf::parse(format!("<sip:{}@{sent_by}>", self.name)).expect("a name at an address");
        Policy {
            contact: Some(contact),
            offer_answer: false,
            acknowledge: Acknowledge::AtOnce,
            answer_refreshes: true,
            session_timer: SessionTimerPolicy { supported: false, ..SessionTimerPolicy::default() },
            ..Policy::default()
        }
    }

    fn call(&mut self, now: Instant, endpoint: &mut Endpoint, to: &str, sdp: Option<&str>) {
        let uri = UriBuf::parse(to).expect("a story writes URIs that can be read");
        let mut invite = Request::new(Method::Invite, &uri);
        let (tag, call_id) = (endpoint.new_tag(), format!("{:016x}", endpoint.random()));
        let headers = invite.headers_mut();
        put(headers, HeaderName::MaxForwards, "70");
        put(headers, HeaderName::From, &format!("<sip:{0}@{0}>;tag={tag}", self.name));
        put(headers, HeaderName::To, &format!("<{to}>"));
        put(headers, HeaderName::CallId, &call_id);
        put(headers, HeaderName::Cseq, "1 INVITE");
        self.furnish(&mut invite, sdp);
        let policy = self.policy(endpoint);
        self.forget();
        let usage = InviteUsage::call(now, invite, false, policy, endpoint.random()).expect("an INVITE");
        self.usage = Some(usage);
        self.dialog = None;
        self.carry(now, endpoint);
    }

    /// Forgets the names of the call before: those of the next one are the same.
    fn forget(&mut self) {
        self.clients.clear();
        self.invites.clear();
        self.asked.clear();
    }

    fn furnish(&mut self, request: &mut Request, sdp: Option<&str>) {
        for (name, value) in std::mem::take(&mut self.fields) {
            put(request.headers_mut(), name, &value);
        }
        if let Some(sdp) = sdp {
            request.set_body("application/sdp", crlf(sdp)).expect("a content type");
        }
    }

    fn respond(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        status: StatusCode,
        sdp: Option<&str>,
        reliably: bool,
    ) {
        let (transaction, request) = self.asked.back().cloned().expect("somebody has asked something");
        if status.is_final() {
            self.asked.pop_back();
        }
        let mut response = Response::to(&request, status);
        for (name, value) in std::mem::take(&mut self.fields) {
            put(response.headers_mut(), name, &value);
        }
        if let Some(sdp) = sdp {
            response.set_body("application/sdp", crlf(sdp)).expect("a content type");
        }
        self.step(now, endpoint, Input::Respond { transaction, response, reliably });
    }

    fn send(&mut self, now: Instant, endpoint: &mut Endpoint, method: Method, body: Option<(&str, &str)>) {
        let dialog = self.dialog.expect("there is a dialog");
        let usage = self.usage.as_mut().expect("there is a call");
        let mut request = usage.create_request(dialog, method).expect("the dialog lasts");
        for (name, value) in std::mem::take(&mut self.fields) {
            put(request.headers_mut(), name, &value);
        }
        if let Some((content_type, body)) = body {
            request.set_body(content_type, crlf(body)).expect("a content type");
        }
        self.step(now, endpoint, Input::Send { dialog, request });
    }

    fn step(&mut self, now: Instant, endpoint: &mut Endpoint, input: Input) {
        let usage = self.usage.as_mut().expect("there is a call");
        usage.handle(now, input).expect("a story asks for what can be done");
        self.carry(now, endpoint);
    }

    fn carry(&mut self, now: Instant, endpoint: &mut Endpoint) {
        while let Some(output) = self.usage.as_mut().and_then(InviteUsage::poll_output) {
            match output {
                Output::SendRequest { transaction, request } => {
                    let is_invite = *request.method() == Method::Invite;
                    let client = endpoint.send(now, request, SendTo::NextHop, None).expect("it has a next hop");
                    self.clients.push((transaction, client));
                    self.invites.extend(is_invite.then_some(client));
                }
                Output::SendAck(ack) => {
                    let _ = endpoint.send_ack(now, ack, SendTo::NextHop);
                }
                Output::CancelRequest { transaction } => {
                    if let Some((_, client)) = self.clients.iter().find(|(key, _)| *key == transaction) {
                        let _ = endpoint.cancel(now, *client, None);
                    }
                }
                Output::SendResponse { transaction, response } => {
                    if let Some(server) = self.servers.get(&transaction.0) {
                        let _ = endpoint.respond(now, *server, response);
                    }
                }
                Output::Event(event) => {
                    if matches!(event, Told::Terminated { .. }) {
                        // The answer to what is still asked was lost, perhaps, and is not repeated after a BYE.
                        for client in &self.invites {
                            let _ = endpoint.cancel(now, *client, None);
                        }
                    }
                    self.told(event);
                }
            }
        }
        if let Some(dialog) = self.owes_ack.take() {
            let body = self
                .ack
                .as_deref()
                .map(|sdp| Body { content_type: "application/sdp".into(), octets: crlf(sdp).into() });
            return self.step(now, endpoint, Input::Acknowledge { dialog, body });
        }
        if let Some(timer) = self.timer.take() {
            endpoint.cancel_timer(timer);
        }
        let due = self.usage.as_ref().and_then(InviteUsage::next_timeout);
        self.timer = due.map(|due| endpoint.set_timer(now, due.saturating_duration_since(now), 1));
    }

    fn told(&mut self, event: Told) {
        match event {
            Told::Answered { dialog, ack_owed, .. } | Told::Response { dialog, ack_owed, .. } => {
                self.dialog.get_or_insert(dialog);
                self.owes_ack = ack_owed.then_some(dialog).or(self.owes_ack);
            }
            Told::Request { transaction, request, .. } => self.asked.push_back((transaction, request)),
            Told::Provisional { dialog: Some(dialog), .. } => {
                self.dialog.get_or_insert(dialog);
            }
            _ => {}
        }
    }

    fn saw(&mut self, what: String, headers: &sip_message::Headers, body: &[u8]) {
        self.seen.push(what);
        if headers.contains(HeaderName::ContentType) && !body.is_empty() {
            self.sdp = Some(String::from_utf8_lossy(body).into_owned());
        }
    }

    fn request_came(&mut self, now: Instant, endpoint: &mut Endpoint, server: ServerId, request: Request) {
        self.saw(request.method().to_string(), request.headers(), request.body());
        self.last_request = Some(request.clone());
        let new = request.headers().to_tag().is_none();
        if new && self.deaf {
            return;
        }
        if let Some(challenge) = self.challenges_bye.as_ref().filter(|_| *request.method() == Method::Bye) {
            let mut response = Response::to(&request, StatusCode::UNAUTHORIZED);
            put(response.headers_mut(), HeaderName::WwwAuthenticate, challenge);
            let _ = endpoint.respond(now, server, response);
            return;
        }
        if let Some(status) = self.answers_with.filter(|_| new) {
            let _ = endpoint.respond(now, server, Response::to(&request, status));
            return;
        }
        self.last_server += 1;
        let transaction = ServerKey(self.last_server);
        self.servers.insert(transaction.0, server);
        if new && *request.method() == Method::Invite && !self.is_idle() {
            let _ = endpoint.respond(now, server, Response::to(&request, StatusCode::BUSY_HERE));
            return;
        }
        if new && *request.method() == Method::Invite {
            let (tag, seed) = (endpoint.new_tag(), endpoint.random());
            let usage = InviteUsage::answer(transaction, &request, &tag, false, self.policy(endpoint), seed);
            let usage = usage.expect("the INVITE is one");
            self.dialog = usage.dialogs().next().map(|(key, _)| key);
            self.usage = Some(usage);
            self.forget();
            self.first = Some((transaction, request.clone()));
            self.asked.push_back((transaction, request));
            return;
        }
        if self.usage.is_some() {
            self.step(now, endpoint, Input::RequestReceived { transaction, request });
        }
    }
}

/// What a stranger may do without being told, one of it at a time.
const WHIMS: u64 = 20;

impl Stranger {
    /// Does something or other, if it can be done now.
    fn does_something(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        random: &mut Random,
        callees: &[String],
        ip: &str,
    ) {
        let description = |random: &mut Random| {
            let version = random.below(3) + 1;
            let fragment = random.below(3);
            let with_ice =
                format!("m=audio 4000 RTP/AVP 0 8\na=ice-ufrag:of{fragment}\na=ice-pwd:a-password-of-twenty-two");
            let line: &str = random.pick::<&str>(&[
                "m=audio 4000 RTP/AVP 0 8",
                "m=audio 4000 RTP/AVP 0 8\na=sendonly",
                "m=audio 4000 RTP/AVP 0 8\na=inactive",
                "m=audio 0 RTP/AVP 0",
                "m=audio 0 RTP/AVP 0",
                "m=audio 4000 RTP/AVP 18",
                "m=audio 4000 RTP/AVP 0\nm=video 4002 RTP/AVP 31",
                "a=nothing",
                "m=message 2855 TCP/MSRP *\na=path:msrp://10.0.0.9:2855/9a0acea512654f5dfcea;tcp\na=accept-types:*",
                "m=audio 4000 RTP/AVP 0\nm=message 2855 TCP/MSRP *\na=path:msrp://10.0.0.9:2855/9a0acea512654f5dfcea;tcp\n\
                 a=accept-types:text/*\na=setup:actpass",
                "m=audio 4000 RTP/AVP 0\nm=message 0 TCP/MSRP *",
                &with_ice,
            ]);
            format!("v=0\no=- 42 {version} IN IP4 {ip}\ns=-\nc=IN IP4 {ip}\nt=0 0\n{line}\n")
        };
        if self.usage.as_ref().is_none_or(InviteUsage::is_over) {
            self.asked.clear();
            self.ack = None;
            let sdp = description(random);
            let callee = random.pick::<String>(callees);
            return self.call(now, endpoint, callee, random.chance(0.9).then_some(&*sdp));
        }
        let sdp = description(random);
        let input = if let Some((transaction, request)) = self.asked.back().cloned() {
            let status = *random.pick(&[180, 183, 200, 200, 200, 200, 200, 404, 486, 488, 491, 500, 603]);
            let status = StatusCode::new(status).expect("it is one");
            if status.is_final() {
                self.asked.pop_back();
            }
            let mut response = Response::to(&request, status);
            if matches!(*request.method(), Method::Invite | Method::Update) && random.chance(0.9) {
                response.set_body("application/sdp", crlf(&sdp)).expect("a content type");
            }
            Some(Input::Respond { transaction, response, reliably: random.chance(0.2) })
        } else {
            match random.below(WHIMS) {
                0 => Some(Input::Cancel),
                1 => self.dialog.map(Input::CancelReinvite),
                whim => {
                    self.ack = random.chance(0.5).then(|| sdp.clone());
                    let method = match whim {
                        2..=11 => Method::Invite,
                        12..=14 => Method::Update,
                        15 => Method::Message,
                        16 => Method::Bye,
                        _ => return,
                    };
                    self.whim(method, sdp)
                }
            }
        };
        if let (Some(input), Some(usage)) = (input, &mut self.usage) {
            // What can't be done now is left.
            let _ = usage.handle(now, input);
            self.carry(now, endpoint);
        }
    }

    fn whim(&mut self, method: Method, sdp: String) -> Option<Input> {
        let dialog = self.dialog?;
        let usage = self.usage.as_mut()?;
        // Who says BYE before the answer may never hear the answer, and waits for it for ever.
        let confirmed = usage.dialog(dialog).is_some_and(|dialog| dialog.state == DialogState::Confirmed);
        if method == Method::Bye && !confirmed {
            return None;
        }
        let mut request = usage.create_request(dialog, method.clone()).ok()?;
        if matches!(method, Method::Invite | Method::Update) {
            request.set_body("application/sdp", crlf(&sdp)).expect("a content type");
        }
        Some(Input::Send { dialog, request })
    }
}

impl TransactionUser for Stranger {
    type Message = Infallible;

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<Infallible>) {
        match event {
            Event::Request { server, request, .. } => self.request_came(now, endpoint, server, request),
            Event::Ack { request, .. } => {
                self.saw("ACK".into(), request.headers(), request.body());
                self.step(now, endpoint, Input::AckReceived(request));
            }
            Event::Cancelled { server, cancel } => {
                self.seen.push("CANCEL".into());
                self.last_request = Some(cancel.clone());
                let known = self.servers.values().any(|known| *known == server);
                if known {
                    self.last_server += 1;
                    let transaction = ServerKey(self.last_server);
                    self.step(now, endpoint, Input::RequestReceived { transaction, request: cancel });
                    self.asked.pop_back();
                }
            }
            Event::Response { client, response, .. } => {
                let method = response.headers().first(HeaderName::Cseq).unwrap_or_default();
                let method = method.split(' ').next_back().unwrap_or_default();
                let what = format!("{} {method}", response.status().code());
                self.saw(what, response.headers(), response.body());
                self.last_response = Some(response.clone());
                if let Some((transaction, _)) = self.clients.iter().find(|(_, known)| *known == client) {
                    let transaction = *transaction;
                    self.step(now, endpoint, Input::ResponseReceived { transaction, response });
                }
            }
            Event::Failed { client, .. } => {
                if let Some((transaction, _)) = self.clients.iter().find(|(_, known)| *known == client) {
                    let input = Input::RequestFailed { transaction: *transaction, failure: Failure::TimedOut };
                    self.step(now, endpoint, input);
                }
            }
            Event::TimerFired { .. } => {
                self.timer = None;
                self.step(now, endpoint, Input::TimeReached);
            }
            _ => {}
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, message: Infallible) {
        match message {}
    }

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        self.usage.as_ref().is_none_or(InviteUsage::is_over)
    }
}

/// A stranger, and what can be said of them.
#[derive(Clone)]
pub struct Foreigner {
    world: Rc<RefCell<World>>,
    node: NodeId,
    name: Rc<str>,
}

impl Foreigner {
    pub(crate) fn new(world: Rc<RefCell<World>>, node: NodeId, name: &str) -> Foreigner {
        Foreigner { world, node, name: name.into() }
    }

    /// Their node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// `sip:name@name`.
    pub fn address(&self) -> String {
        format!("sip:{0}@{0}", self.name)
    }

    /// A route to their node.
    pub fn route(&self) -> client::session::Route {
        let addr = self.world.borrow().address(self.node, Transport::Udp).expect("every node speaks UDP");
        client::session::Route { addr, transport: Transport::Udp, tls_name: None }
    }

    /// A description with one audio line at their address, and further lines behind.
    pub fn sdp(&self, version: u32, lines: &str) -> String {
        let ip = self.route().addr.ip();
        format!("v=0\no=- 42 {version} IN IP4 {ip}\ns=-\nc=IN IP4 {ip}\nt=0 0\n{lines}\n")
    }

    /// The audio line of most stories: G.711, both ways.
    pub fn audio(&self, version: u32) -> String {
        self.sdp(version, "m=audio 4000 RTP/AVP 0 8\na=sendrecv")
    }

    /// Changes something about them.
    pub fn is<R>(&self, change: impl FnOnce(&mut Stranger) -> R) -> R {
        self.world.borrow_mut().with(self.node, |stranger: &mut Stranger, _, _| change(stranger))
    }

    /// A field of the next message that they send.
    pub fn adds(&self, name: HeaderName, value: &str) -> &Foreigner {
        self.is(|stranger| stranger.fields.push((name, value.into())));
        self
    }

    /// Calls somebody.
    pub fn calls(&self, other: &Person, sdp: Option<&str>) {
        let to = other.address();
        self.with(|stranger, now, endpoint| stranger.call(now, endpoint, &to, sdp));
    }

    /// Calls an address.
    pub fn dials(&self, to: &str, sdp: Option<&str>) {
        self.with(|stranger, now, endpoint| stranger.call(now, endpoint, to, sdp));
    }

    /// Responds to what was asked last.
    pub fn responds(&self, status: StatusCode, sdp: Option<&str>) {
        self.with(|stranger, now, endpoint| stranger.respond(now, endpoint, status, sdp, false));
    }

    /// Responds so that it is acknowledged (RFC 3262).
    pub fn responds_reliably(&self, status: StatusCode, sdp: Option<&str>) {
        self.with(|stranger, now, endpoint| stranger.respond(now, endpoint, status, sdp, true));
    }

    /// Sends a re-INVITE.
    pub fn reinvites(&self, sdp: Option<&str>) {
        let body = sdp.map(|sdp| ("application/sdp", sdp));
        self.with(|stranger, now, endpoint| stranger.send(now, endpoint, Method::Invite, body));
    }

    /// Sends a request in the dialog.
    pub fn sends(&self, method: Method, body: Option<(&str, &str)>) {
        self.with(|stranger, now, endpoint| stranger.send(now, endpoint, method, body));
    }

    /// Responds to the INVITE that began the call as another fork of it, with a tag of its own.
    pub fn responds_as(&self, tag: &str, status: StatusCode, sdp: Option<&str>) {
        self.with(|stranger, now, endpoint| {
            let (_, invite) = stranger.first.clone().expect("there was an INVITE");
            let server = stranger.servers[&1];
            let mut response = Response::to(&invite, status);
            let to = format!("{};tag={tag}", response.headers().first(HeaderName::To).unwrap_or_default());
            response.headers_mut().set(HeaderName::To, to).expect("a tag is a token");
            let contact = stranger.policy(endpoint).contact.expect("it has one");
            put(response.headers_mut(), HeaderName::Contact, contact.as_str());
            if let Some(sdp) = sdp {
                response.set_body("application/sdp", crlf(sdp)).expect("a content type");
            }
            endpoint.respond(now, server, response).expect("the transaction lasts");
        });
    }

    /// Sends a request of this method out of any dialog.
    pub fn asks_out_of_dialog(&self, other: &Person, method: Method) {
        let to = other.address();
        self.with(|stranger, now, endpoint| {
            let uri = UriBuf::parse(&*to).expect("a story writes URIs that can be read");
            let mut request = Request::new(method.clone(), &uri);
            let (tag, call_id) = (endpoint.new_tag(), format!("{:016x}", endpoint.random()));
            let contact = stranger.policy(endpoint).contact.expect("it has one");
            let headers = request.headers_mut();
            put(headers, HeaderName::MaxForwards, "70");
            put(headers, HeaderName::From, &format!("<sip:{0}@{0}>;tag={tag}", stranger.name));
            put(headers, HeaderName::To, &format!("<{to}>"));
            put(headers, HeaderName::CallId, &call_id);
            put(headers, HeaderName::Cseq, &format!("1 {method}"));
            put(headers, HeaderName::Contact, contact.as_str());
            stranger.furnish(&mut request, None);
            endpoint.send(now, request, SendTo::NextHop, None).expect("it has a next hop");
        });
    }

    /// Does something or other, if it can be done now.
    pub fn does_something(&self, random: &mut Random, callees: &[&Person]) {
        let callees: Vec<String> = callees.iter().map(|callee| callee.address()).collect();
        let ip = self.route().addr.ip().to_string();
        self.with(|stranger, now, endpoint| stranger.does_something(now, endpoint, random, &callees, &ip));
    }

    /// Leaves whatever they are in, as far as that can be done now.
    pub fn leaves(&self) {
        self.with(|stranger, now, endpoint| {
            if let Some(usage) = &mut stranger.usage {
                let _ = usage.handle(now, Input::Cancel);
                for (transaction, request) in std::mem::take(&mut stranger.asked) {
                    let response = Response::to(&request, StatusCode::TEMPORARILY_UNAVAILABLE);
                    let _ = usage.handle(now, Input::Respond { transaction, response, reliably: false });
                }
                if let Some(bye) = stranger.whim(Method::Bye, String::new()) {
                    let usage = stranger.usage.as_mut().expect("it was there");
                    let _ = usage.handle(now, bye);
                }
                stranger.carry(now, endpoint);
            }
        });
    }

    /// Cancels the call that was begun.
    pub fn cancels(&self) {
        self.with(|stranger, now, endpoint| stranger.step(now, endpoint, Input::Cancel));
    }

    /// Cancels the call that was begun, and says why.
    pub fn cancels_because(&self, reason: &str) {
        self.with(|stranger, now, endpoint| {
            let (_, client) = *stranger.clients.first().expect("there is an INVITE");
            endpoint.cancel(now, client, Some(reason)).expect("it can be cancelled");
        });
    }

    /// Sends the INVITE once more, as if a proxy had sent it another way, too.
    pub fn repeats_by_another_way(&self, other: &Person) {
        let route = other.route();
        self.with(|stranger, now, endpoint| {
            let invite =
                stranger.usage.as_ref().and_then(InviteUsage::initial_invite).expect("there is an INVITE").clone();
            let target = sip_endpoint::Target { transport: route.transport, addr: route.addr, server_name: None };
            endpoint.send(now, invite, SendTo::Targets(vec![target]), None).expect("it has a target");
        });
    }

    /// Cancels the re-INVITE that was sent.
    pub fn cancels_reinvite(&self) {
        self.with(|stranger, now, endpoint| {
            let dialog = stranger.dialog.expect("there is a dialog");
            stranger.step(now, endpoint, Input::CancelReinvite(dialog));
        });
    }

    /// What has come since this was last asked: methods, and statuses with their methods.
    pub fn saw(&self) -> Vec<String> {
        self.is(|stranger| std::mem::take(&mut stranger.seen))
    }

    /// The last description that has come.
    #[track_caller]
    pub fn last_sdp(&self) -> String {
        self.is(|stranger| stranger.sdp.clone()).expect("a description has come")
    }

    /// The last response that has come.
    #[track_caller]
    pub fn last_response(&self) -> Response {
        self.is(|stranger| stranger.last_response.clone()).expect("a response has come")
    }

    /// The last request that has come.
    #[track_caller]
    pub fn last_request(&self) -> Request {
        self.is(|stranger| stranger.last_request.clone()).expect("a request has come")
    }

    /// Whether a message of this method has passed between two nodes.
    pub fn has_sent(&self, to: NodeId, method: &Method) -> bool {
        let world = self.world.borrow();
        world.network().trace().between(self.node, to).any(|(message, _)| match message {
            Message::Request(request) => request.method() == method,
            Message::Response(_) => false,
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Stranger, Instant, &mut Endpoint) -> R) -> R {
        self.world.borrow_mut().with(self.node, act)
    }
}

fn put(headers: &mut sip_message::Headers, name: HeaderName, value: &str) {
    headers.push(name, value).expect("a story writes values without line breaks");
}

fn crlf(text: &str) -> String {
    text.lines().map(|line| format!("{line}\r\n")).collect()
}
