//! A telephone on an endpoint: calls and is called, in as few lines as RFC 3261 allows a user agent.
//!
//! It is a peer for tests, written against the RFC and not against our own dialogs: it places calls, answers, rejects,
//! rings or does nothing, cancels, hangs up, sends re-INVITEs, repeats its 2xx until it is acknowledged, and acknowledges
//! every 2xx, be it a copy or that of another fork. Of each call it keeps one [`Record`].
//!
//! ```text
//!   Phone ─┬─ Call ─┬─ Caller or Callee    the INVITE that began the call
//!          │        └─ Leg, Leg …          the dialogs that came of it: 2xx and ACK, re-INVITE, BYE
//!          └─ Desk                         endpoint, time, alarms
//! ```
//!
//! Left out: authentication, PRACK, session timers, real offers and answers.

mod call;
mod callee;
mod caller;
mod desk;
mod dialog;
mod leg;
mod record;
mod script;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sip_endpoint::{ClientId, Endpoint, Event, SendTo, ServerId, TransactionUser};
use sip_message::{HeaderName, Method, Request, Response, StatusCode, Transport, UriBuf};

pub use record::{CallId, End, Outcome, Record, Side, Talk};
pub use script::{Action, Script};

use crate::fields;
use call::{Call, Role};
use callee::Callee;
use caller::Caller;
use desk::{Alarms, Desk, Index};
use dialog::{Dialog, put};
use leg::{Leg, refuse};

/// A telephone. It is the transaction user of its endpoint.
pub struct Phone {
    address: UriBuf,
    transport: Transport,
    outbound: Vec<UriBuf>,
    patience: Duration,
    max_forwards: u8,
    /// What is done with calls that came without a script of their own.
    habit: Script,
    scripts: BTreeMap<String, Script>,
    contact: Option<UriBuf>,
    calls: Vec<Call>,
    by_call_id: BTreeMap<String, Vec<CallId>>,
    /// Whose requests these are that we have sent.
    clients: Index<ClientId>,
    /// Whose requests these are that have come.
    servers: Index<ServerId>,
    alarms: Alarms,
    registration: Registration,
}

/// Whom to call, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whom.
    pub to: UriBuf,
    /// The Call-ID; the phone makes one when there is none.
    pub call_id: Option<String>,
    /// What the caller does later.
    pub script: Script,
    /// Further fields of the INVITE.
    pub fields: Vec<(HeaderName, String)>,
}

impl Order {
    /// A call that is conducted by hand.
    pub fn to(to: UriBuf) -> Order {
        Order { to, call_id: None, script: Script::nothing(), fields: Vec::new() }
    }
}

#[derive(Default)]
struct Registration {
    client: Option<ClientId>,
    number: u32,
    /// Another contact than the phone itself.
    contact: Option<UriBuf>,
    /// The final response to the last REGISTER.
    status: Option<StatusCode>,
}

impl Phone {
    /// A phone with this address-of-record.
    pub fn new(address: UriBuf) -> Phone {
        Phone {
            address,
            transport: Transport::Udp,
            outbound: Vec::new(),
            patience: Duration::from_secs(240),
            max_forwards: 70,
            habit: Script::nothing(),
            scripts: BTreeMap::new(),
            contact: None,
            calls: Vec::new(),
            by_call_id: BTreeMap::new(),
            clients: Index::default(),
            servers: Index::default(),
            alarms: Alarms::default(),
            registration: Registration::default(),
        }
    }

    /// Names itself by this transport in its Contact.
    pub fn set_transport(&mut self, transport: Transport) {
        self.transport = transport;
        self.contact = None;
    }

    /// Sends requests outside of dialogs by way of these proxies (RFC 3261 §8.1.2: a pre-existing route set).
    pub fn set_outbound(&mut self, proxies: Vec<UriBuf>) {
        self.outbound = proxies;
    }

    /// After so long without an outcome the phone gives a call up, whichever side it is. Four minutes at first.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// How many hops its requests outside of dialogs may take. 70 at first, as RFC 3261 §8.1.1.6 has it.
    pub fn set_max_forwards(&mut self, hops: u8) {
        self.max_forwards = hops;
    }

    /// Registers this contact from now on instead of the phone itself.
    pub fn set_registered_contact(&mut self, contact: UriBuf) {
        self.registration.contact = Some(contact);
    }

    /// What the phone does when it is called.
    pub fn set_habit(&mut self, habit: Script) {
        self.habit = habit;
    }

    /// What the phone does when the call with this Call-ID comes.
    pub fn expect_call(&mut self, call_id: &str, script: Script) {
        self.scripts.insert(call_id.to_owned(), script);
    }

    /// The address-of-record.
    pub fn address(&self) -> &UriBuf {
        &self.address
    }

    /// What is known of every call, in the order in which they came.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.calls.iter().map(Call::to_record)
    }

    /// What is known of one call.
    pub fn record(&self, call: CallId) -> Record {
        self.calls[call.0].to_record()
    }

    /// The calls, in the order in which they came.
    pub fn calls(&self) -> impl Iterator<Item = CallId> + use<> {
        (0..self.calls.len()).map(CallId)
    }

    /// The latest call that is not over.
    pub fn current(&self) -> Option<CallId> {
        self.calls.iter().rev().find(|call| call.to_record().lasts()).map(|call| call.id)
    }

    /// The final response to the last REGISTER.
    pub fn registered(&self) -> Option<StatusCode> {
        self.registration.status
    }

    /// Calls somebody.
    pub fn call(&mut self, now: Instant, endpoint: &mut Endpoint, order: Order) -> CallId {
        let id = CallId(self.calls.len());
        let call_id = order.call_id.clone().unwrap_or_else(|| new_call_id(endpoint));
        let mut invite = self.request(endpoint, Method::Invite, &order.to, &order.to, &call_id, 1);
        for (name, value) in &order.fields {
            put(invite.headers_mut(), *name, value);
        }
        let mut desk = self.desk(now, endpoint);
        desk.furnish_request(&mut invite);
        let client = desk.send(id, invite.clone());
        let role = Role::Caller(Caller { client, invite, hung_up: false });
        let mut call = Call::new(id, role, Record::new(&call_id, Side::Caller, order.script), Vec::new());
        if client.is_none() {
            call.record.settle(Outcome::Unreachable(StatusCode::SERVICE_UNAVAILABLE));
        }
        let patience = self.patience;
        call.begin(&mut self.desk(now, endpoint), patience);
        self.keep(call);
        id
    }

    /// Does something in a call, as its person would.
    pub fn act(&mut self, now: Instant, endpoint: &mut Endpoint, call: CallId, action: Action) {
        let (calls, mut desk) = self.calls_and_desk(now, endpoint);
        if let Some(call) = calls.get_mut(call.0) {
            call.act(&mut desk, action);
        }
    }

    /// Registers at the registrar of this URI for so many seconds, with this preference (RFC 3261 §10.2). `expires` 0
    /// takes the registration back.
    pub fn register(&mut self, now: Instant, endpoint: &mut Endpoint, registrar: &UriBuf, expires: u32, q: &str) {
        self.registration.number += 1;
        let call_id = format!("registration-of-{}", self.address);
        let call_id = call_id.replace([':', '@'], "-");
        let number = self.registration.number;
        let address = self.address.clone();
        let mut request = self.request(endpoint, Method::Register, registrar, &address, &call_id, number);
        let elsewhere = self.registration.contact.clone();
        let desk = self.desk(now, endpoint);
        let contact = format!("<{}>;expires={expires};q={q}", elsewhere.as_ref().unwrap_or(desk.contact));
        put(request.headers_mut(), HeaderName::Contact, &contact);
        self.registration.status = None;
        self.registration.client = endpoint.send(now, request, SendTo::NextHop, None).ok();
    }

    /// RFC 3261 §8.1.1: a request outside of a dialog.
    fn request(
        &mut self,
        endpoint: &mut Endpoint,
        method: Method,
        uri: &UriBuf,
        to: &UriBuf,
        call_id: &str,
        number: u32,
    ) -> Request {
        let tag = endpoint.new_tag();
        let mut request = Request::new(method.clone(), uri);
        let headers = request.headers_mut();
        for proxy in &self.outbound {
            put(headers, HeaderName::Route, &format!("<{proxy}>"));
        }
        put(headers, HeaderName::MaxForwards, &self.max_forwards.to_string());
        put(headers, HeaderName::From, &format!("<{}>;tag={tag}", self.address));
        put(headers, HeaderName::To, &format!("<{to}>"));
        put(headers, HeaderName::CallId, call_id);
        put(headers, HeaderName::Cseq, &format!("{number} {method}"));
        request
    }

    fn desk<'a>(&'a mut self, now: Instant, endpoint: &'a mut Endpoint) -> Desk<'a> {
        self.calls_and_desk(now, endpoint).1
    }

    fn calls_and_desk<'a>(&'a mut self, now: Instant, endpoint: &'a mut Endpoint) -> (&'a mut Vec<Call>, Desk<'a>) {
        let contact = self.contact.get_or_insert_with(|| contact(&self.address, self.transport, endpoint));
        (&mut self.calls, Desk { now, endpoint, alarms: &mut self.alarms, clients: &mut self.clients, contact })
    }

    // ---- events -----------------------------------------------------------------------------------------------------

    fn request_came(&mut self, now: Instant, endpoint: &mut Endpoint, server: ServerId, request: Request) {
        if fields::to_tag(request.headers()).is_some() {
            let call = self.of_dialog(&request);
            if let Some(call) = call {
                self.servers.insert(server, call);
            }
            let (calls, mut desk) = self.calls_and_desk(now, endpoint);
            return match call {
                Some(call) => calls[call.0].request_came(&mut desk, server, request),
                None => refuse(&mut desk, server, &request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
            };
        }
        let merged = self.named(&request).any(|call| call.is_merged(&request));
        let status = match request.method() {
            // RFC 3261 §8.2.2.2: the same request by another way.
            Method::Invite if merged => StatusCode::LOOP_DETECTED,
            Method::Invite => return self.called(now, endpoint, server, request),
            Method::Options => StatusCode::OK,
            Method::Bye => StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
            _ => StatusCode::METHOD_NOT_ALLOWED,
        };
        refuse(&mut self.desk(now, endpoint), server, &request, status);
    }

    /// The calls with the Call-ID of a request.
    fn named(&self, request: &Request) -> impl Iterator<Item = &Call> {
        let named = self.by_call_id.get(fields::call_id(request.headers()));
        named.into_iter().flatten().map(|call| &self.calls[call.0])
    }

    fn of_dialog(&self, request: &Request) -> Option<CallId> {
        self.named(request).find(|call| call.leg_of(request).is_some()).map(|call| call.id)
    }

    fn of_client(&self, client: ClientId) -> Option<CallId> {
        self.clients.get(&client).copied()
    }

    fn keep(&mut self, call: Call) {
        self.by_call_id.entry(call.record.call_id.clone()).or_default().push(call.id);
        self.calls.push(call);
    }

    fn called(&mut self, now: Instant, endpoint: &mut Endpoint, server: ServerId, request: Request) {
        let id = CallId(self.calls.len());
        let tag = endpoint.new_tag();
        let call_id = fields::call_id(request.headers()).to_owned();
        let script = self.scripts.get(&call_id).unwrap_or(&self.habit).clone();
        let patience = self.patience;
        let mut desk = self.desk(now, endpoint);
        let Some(dialog) = Dialog::of_callee(&request, &tag) else {
            return refuse(&mut desk, server, &request, StatusCode::BAD_REQUEST);
        };
        let legs = vec![Leg::new(Side::Callee, dialog, true)];
        let role = Role::Callee(Callee { server, alive: true, invite: request, tag, answered: false });
        let mut call = Call::new(id, role, Record::new(&call_id, Side::Callee, script), legs);
        call.begin(&mut desk, patience);
        self.servers.insert(server, id);
        self.keep(call);
    }

    fn response_came(&mut self, now: Instant, endpoint: &mut Endpoint, client: ClientId, response: &Response) {
        if self.registration.client == Some(client) && response.status().is_final() {
            self.registration.status = Some(response.status());
        }
        let Some(call) = self.of_client(client) else { return };
        let (calls, mut desk) = self.calls_and_desk(now, endpoint);
        calls[call.0].response_came(&mut desk, client, response);
    }

    fn failed(&mut self, now: Instant, endpoint: &mut Endpoint, client: ClientId, status: StatusCode) {
        if self.registration.client == Some(client) {
            self.registration.status = Some(status);
        }
        let Some(call) = self.of_client(client) else { return };
        let (calls, mut desk) = self.calls_and_desk(now, endpoint);
        calls[call.0].request_failed(&mut desk, client, status);
    }

    fn alarm(&mut self, now: Instant, endpoint: &mut Endpoint, token: u64) {
        let Some((call, alarm)) = self.alarms.take(token) else { return };
        let (calls, mut desk) = self.calls_and_desk(now, endpoint);
        let Some(call) = calls.get_mut(call.0) else { return };
        call.alarm(&mut desk, alarm);
    }
}

impl TransactionUser for Phone {
    type Message = ();

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        match event {
            Event::Request { server, request, .. } => self.request_came(now, endpoint, server, request),
            Event::Ack { request, .. } => {
                let Some(call) = self.of_dialog(&request) else { return };
                let (calls, mut desk) = self.calls_and_desk(now, endpoint);
                calls[call.0].ack_came(&mut desk, &request);
            }
            Event::Cancelled { server, .. } => {
                let Some(call) = self.servers.get(&server).copied() else { return };
                let (calls, mut desk) = self.calls_and_desk(now, endpoint);
                calls[call.0].invite_cancelled(&mut desk, server);
            }
            Event::ServerEnded { server, reason } => {
                if let Some(call) = self.servers.remove(&server) {
                    self.calls[call.0].server_ended(server, reason);
                }
            }
            Event::Response { client, response, .. } => self.response_came(now, endpoint, client, &response),
            Event::Failed { client, status } => self.failed(now, endpoint, client, status),
            Event::ClientEnded { client } => {
                if let Some(call) = self.clients.remove(&client) {
                    self.calls[call.0].client_ended(client);
                }
            }
            Event::TimerFired { token, .. } => self.alarm(now, endpoint, token),
            Event::FlowAlive { .. } | Event::FlowEnded { .. } => {}
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        !self.calls.iter().any(Call::is_busy)
    }
}

fn new_call_id(endpoint: &mut Endpoint) -> String {
    format!("{:016x}", endpoint.random())
}

/// Where requests reach the phone.
fn contact(address: &UriBuf, transport: Transport, endpoint: &Endpoint) -> UriBuf {
    let listener = endpoint.listeners().iter().find(|listener| listener.transport == transport);
    let sent_by = listener.map_or("invalid", |listener| &*listener.sent_by);
    let uri = address.as_uri();
    let user = uri.sip().and_then(|uri| uri.raw_user()).unwrap_or("phone");
    let param = match transport {
        Transport::Udp => String::new(),
        other => format!(";transport={}", other.uri_param()),
    };
    UriBuf::parse(format!("sip:{user}@{sent_by}{param}")).expect("a user that was parsed, at an address")
}
