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

mod callee;
mod caller;
mod desk;
mod dialog;
mod leg;
mod record;
mod script;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sip_endpoint::{ClientId, Endpoint, Event, ServerId, TransactionUser};
use sip_message::{HeaderName, Method, Request, Response, StatusCode, Transport, UriBuf};

pub use record::{CallId, End, Outcome, Record, Side, Talk};
pub use script::{Action, Script};

use crate::fields;
use callee::Callee;
use caller::Caller;
use desk::{Alarm, Alarms, Desk};
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

struct Call {
    id: CallId,
    role: Role,
    record: Record,
    legs: Vec<Leg>,
}

enum Role {
    Caller(Caller),
    Callee(Callee),
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
        let client = desk.send(invite.clone());
        let mut call = Call {
            id,
            role: Role::Caller(Caller { client, invite, hung_up: false }),
            record: Record::new(&call_id, Side::Caller, order.script),
            legs: Vec::new(),
        };
        if client.is_none() {
            call.record.settle(Outcome::Unreachable(StatusCode::SERVICE_UNAVAILABLE));
        }
        let patience = self.patience;
        call.begin(&mut self.desk(now, endpoint), patience);
        self.calls.push(call);
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
        self.registration.client = self.desk(now, endpoint).send(request);
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
        (&mut self.calls, Desk { now, endpoint, alarms: &mut self.alarms, contact })
    }

    // ---- events -----------------------------------------------------------------------------------------------------

    fn request_came(&mut self, now: Instant, endpoint: &mut Endpoint, server: ServerId, request: Request) {
        let (calls, mut desk) = self.calls_and_desk(now, endpoint);
        if fields::to_tag(request.headers()).is_some() {
            let found = calls.iter_mut().find(|call| call.leg_of(&request).is_some());
            return match found {
                Some(call) => call.request_came(&mut desk, server, request),
                None => refuse(&mut desk, server, &request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
            };
        }
        match request.method() {
            // RFC 3261 §8.2.2.2: the same request by another way.
            Method::Invite if calls.iter().any(|call| call.is_merged(&request)) => {
                refuse(&mut desk, server, &request, StatusCode::LOOP_DETECTED);
            }
            Method::Invite => self.called(now, endpoint, server, request),
            Method::Options => refuse(&mut desk, server, &request, StatusCode::OK),
            Method::Bye => {
                refuse(&mut desk, server, &request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
            }
            _ => refuse(&mut desk, server, &request, StatusCode::METHOD_NOT_ALLOWED),
        }
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
        let mut call = Call {
            id,
            role: Role::Callee(Callee { server, alive: true, invite: request, tag, answered: false }),
            record: Record::new(&call_id, Side::Callee, script),
            legs: vec![Leg::new(Side::Callee, dialog, true)],
        };
        call.begin(&mut desk, patience);
        self.calls.push(call);
    }

    fn response_came(&mut self, now: Instant, endpoint: &mut Endpoint, client: ClientId, response: &Response) {
        if self.registration.client == Some(client) && response.status().is_final() {
            self.registration.status = Some(response.status());
        }
        let (calls, mut desk) = self.calls_and_desk(now, endpoint);
        for call in calls.iter_mut() {
            if call.caller().is_some_and(|caller| caller.client == Some(client)) {
                return call.invite_response(&mut desk, response);
            }
            let id = call.id;
            if let Some(at) = call.legs.iter().position(|leg| leg.has_client(client)) {
                return call.legs[at].response(&mut desk, id, at, client, response);
            }
        }
    }

    fn failed(&mut self, now: Instant, endpoint: &mut Endpoint, client: ClientId, status: StatusCode) {
        if self.registration.client == Some(client) {
            self.registration.status = Some(status);
        }
        let (calls, mut desk) = self.calls_and_desk(now, endpoint);
        for call in calls.iter_mut() {
            if call.caller().is_some_and(|caller| caller.client == Some(client)) {
                return call.invite_failed(status);
            }
            if let Some(leg) = call.legs.iter_mut().find(|leg| leg.has_client(client)) {
                return leg.failed(&mut desk, client);
            }
        }
    }

    fn alarm(&mut self, now: Instant, endpoint: &mut Endpoint, token: u64) {
        let Some((call, alarm)) = self.alarms.take(token) else { return };
        let (calls, mut desk) = self.calls_and_desk(now, endpoint);
        let Some(call) = calls.get_mut(call.0) else { return };
        call.alarm(&mut desk, alarm);
    }
}

impl Call {
    fn begin(&mut self, desk: &mut Desk<'_>, patience: Duration) {
        for (after, action) in &self.record.script.from_start {
            desk.alarm(self.id, *after, Alarm::Act(*action));
        }
        desk.alarm(self.id, patience, Alarm::Patience);
    }

    fn follow_script_from_answer(&mut self, desk: &mut Desk<'_>) {
        for (after, action) in &self.record.script.from_answer {
            desk.alarm(self.id, *after, Alarm::Act(*action));
        }
    }

    fn caller(&self) -> Option<&Caller> {
        match &self.role {
            Role::Caller(caller) => Some(caller),
            Role::Callee(_) => None,
        }
    }

    fn caller_mut(&mut self) -> Option<&mut Caller> {
        match &mut self.role {
            Role::Caller(caller) => Some(caller),
            Role::Callee(_) => None,
        }
    }

    fn callee(&self) -> Option<&Callee> {
        match &self.role {
            Role::Callee(callee) => Some(callee),
            Role::Caller(_) => None,
        }
    }

    fn callee_mut(&mut self) -> Option<&mut Callee> {
        match &mut self.role {
            Role::Callee(callee) => Some(callee),
            Role::Caller(_) => None,
        }
    }

    fn to_record(&self) -> Record {
        let talks = self.legs.iter().filter(|leg| !leg.early).map(|leg| leg.talk.clone()).collect();
        Record { talks, ..self.record.clone() }
    }

    fn is_busy(&self) -> bool {
        self.record.outcome.is_none() || self.legs.iter().any(Leg::is_busy)
    }

    fn is_merged(&self, request: &Request) -> bool {
        let Some(callee) = self.callee().filter(|callee| callee.alive) else { return false };
        let (one, other) = (callee.invite.headers(), request.headers());
        fields::call_id(one) == fields::call_id(other)
            && fields::from_tag(one) == fields::from_tag(other)
            && fields::cseq(one) == fields::cseq(other)
    }

    fn leg_of(&self, request: &Request) -> Option<usize> {
        self.legs.iter().position(|leg| leg.dialog.has(request.headers()))
    }

    fn request_came(&mut self, desk: &mut Desk<'_>, server: ServerId, request: Request) {
        let Some(at) = self.leg_of(&request) else { return };
        if self.legs[at].early {
            return refuse(desk, server, &request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
        }
        let news = self.legs[at].request(desk, self.id, server, request);
        self.learn(desk, news);
    }

    fn act(&mut self, desk: &mut Desk<'_>, action: Action) {
        match action {
            Action::Ring => self.ring(desk),
            Action::Reject(status) => self.reject(desk, status),
            Action::Answer if self.callee().is_some_and(|callee| !callee.answered) => self.answer(desk),
            Action::Answer => {
                let id = self.id;
                for (at, leg) in self.legs.iter_mut().enumerate() {
                    leg.accept_reinvite(desk, id, at);
                }
            }
            Action::Reinvite => {
                let id = self.id;
                let talk = self.legs.iter_mut().enumerate().find(|(_, leg)| !leg.early && !leg.talk.surplus);
                if let Some((at, leg)) = talk {
                    leg.reinvite(desk, id, at);
                }
            }
            Action::HangUp => self.hang_up(desk),
        }
    }

    fn hang_up(&mut self, desk: &mut Desk<'_>) {
        match &self.role {
            Role::Caller(_) if self.record.outcome.is_none() => return self.cancel(desk),
            Role::Callee(callee) if !callee.answered => return self.reject(desk, StatusCode::DECLINE),
            _ => {}
        }
        for leg in &mut self.legs {
            leg.hang_up(desk);
        }
    }

    fn alarm(&mut self, desk: &mut Desk<'_>, alarm: Alarm) {
        let id = self.id;
        match alarm {
            Alarm::Act(action) => self.act(desk, action),
            Alarm::Patience if self.record.outcome.is_some() => {}
            Alarm::Patience => match &self.role {
                Role::Caller(_) => self.cancel(desk),
                Role::Callee(_) => self.reject(desk, StatusCode::TEMPORARILY_UNAVAILABLE),
            },
            Alarm::RepeatAnswer { leg, cseq, sent } => {
                let Some(found) = self.legs.get_mut(leg) else { return };
                let news = found.repeat_answer(desk, id, leg, cseq, sent);
                self.learn(desk, news);
            }
            Alarm::Retry { leg } => {
                if let Some(found) = self.legs.get_mut(leg) {
                    found.reinvite(desk, id, leg);
                }
            }
            Alarm::GiveUpReinvite { leg, client } => {
                if let Some(leg) = self.legs.get_mut(leg) {
                    leg.give_up_reinvite(desk, client);
                }
            }
        }
    }
}

impl TransactionUser for Phone {
    type Message = ();

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        match event {
            Event::Request { server, request, .. } => self.request_came(now, endpoint, server, request),
            Event::Ack { request, .. } => {
                let (calls, mut desk) = self.calls_and_desk(now, endpoint);
                for call in calls.iter_mut() {
                    if let Some(at) = call.leg_of(&request) {
                        let news = call.legs[at].ack(&mut desk, &request);
                        return call.learn(&mut desk, news);
                    }
                }
            }
            Event::Cancelled { server, .. } => {
                let (calls, mut desk) = self.calls_and_desk(now, endpoint);
                for call in calls.iter_mut() {
                    if call.callee().is_some_and(|callee| callee.server == server) {
                        return call.cancelled(&mut desk);
                    }
                    if let Some(leg) = call.legs.iter_mut().find(|leg| leg.has_asked(server)) {
                        return leg.reinvite_cancelled(&mut desk);
                    }
                }
            }
            Event::ServerEnded { server, reason } => {
                let fits = |call: &&mut Call| call.callee().is_some_and(|callee| callee.server == server);
                if let Some(call) = self.calls.iter_mut().find(fits) {
                    call.invite_server_ended(reason);
                }
            }
            Event::Response { client, response, .. } => self.response_came(now, endpoint, client, &response),
            Event::Failed { client, status } => self.failed(now, endpoint, client, status),
            Event::ClientEnded { client } => {
                for call in &mut self.calls {
                    if let Some(caller) = call.caller_mut().filter(|caller| caller.client == Some(client)) {
                        caller.client = None;
                    }
                }
            }
            Event::TimerFired { token, .. } => self.alarm(now, endpoint, token),
            Event::FlowEnded { .. } => {}
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
