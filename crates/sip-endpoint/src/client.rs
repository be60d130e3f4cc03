//! The requests that one shard has sent: their transactions, one for each target that is tried (RFC 3263 §4.3), and
//! their CANCEL (RFC 3261 §9.1).

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip_message::header::{Cseq, Via};
use sip_message::{Flow, HeaderName, Method, Request, Response, StatusCode, Transport};
use sip_transaction::{Output as Order, Outputs, Reason, Timer};

use crate::Endpoint;
use crate::api::{ClientId, Destination, Event, Listener, LookupError, Misuse, Output, SendTo, Target};
use crate::cookie::BranchCookie;
use crate::endpoint::{Core, Due, Token};
use crate::machine::{ClientInput, ClientMachine};
use crate::next_hop::{self, NextHop};
use crate::slab::{Key, Slab};
use crate::timers::Armed;

/// See the module's text.
pub(crate) struct Clients {
    entries: Slab<Box<Client>>,
}

pub(crate) struct Client {
    pub(crate) method: Method,
    /// The transaction of the current attempt; `None` while the next hop is looked up.
    pub(crate) machine: Option<ClientMachine>,
    pub(crate) armed: Armed,
    attempt: u8,
    mark: Option<u64>,
    /// Where the current attempt went.
    pub(crate) destination: Option<Destination>,
    /// What is needed for another attempt, as long as there is a target for one.
    retry: Option<Box<Retry>>,
    cancel: Cancel,
    /// A final response was told, or the failure was.
    pub(crate) answered: bool,
}

struct Retry {
    /// The request as its user gave it: without our Via.
    request: Request,
    targets: VecDeque<Target>,
    /// The domain that certificates must name instead of that which was looked up.
    named: Option<Arc<str>>,
    /// The current attempt goes over a stream because the request is long; should that be impossible, and only then,
    /// this datagram target is tried after all (RFC 3261 §18.1.1).
    datagram: Option<Target>,
}

/// Why the next target is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Because {
    /// It is the first.
    Begin,
    /// The one before has said 503 (RFC 3263 §4.3).
    Refused,
    /// The one before has said nothing.
    Silent,
    /// The one before could not be sent to.
    NotSent,
}

/// How far the CANCEL of an INVITE has come.
enum Cancel {
    NotWanted,
    /// It waits for a provisional response (§9.1); with what it says in its Reason.
    Wanted {
        reason: Option<Box<str>>,
    },
    /// It was sent, by this entry. `None` once that has ended.
    Sent(Option<Key>),
    /// This entry is itself a CANCEL, whose response nobody waits for.
    Itself {
        of: Key,
    },
}

impl Endpoint {
    /// Sends a request: puts our Via on top, finds the next hop, and tries its targets one after the other until one
    /// answers. `mark` is written into the branch behind our own value (RFC 5393 §4.2.1: what a loop is told by).
    pub fn send(&mut self, now: Instant, request: Request, to: SendTo, mark: Option<u64>) -> Result<ClientId, Misuse> {
        let (clients, core) = self.clients();
        clients.send(core, now, request, to, mark).map(ClientId)
    }

    /// Sends a request that has no transaction: the ACK of a 2xx (RFC 3261 §13.2.2.4). It is sent once; who wants it
    /// sent again sends it again.
    pub fn send_ack(&mut self, now: Instant, request: Request, to: SendTo) -> Result<(), Misuse> {
        let (clients, core) = self.clients();
        clients.send_ack(core, now, request, to)
    }

    /// Cancels an INVITE, now or as soon as a provisional response allows it (RFC 3261 §9.1). Nothing happens when it
    /// has its final response.
    pub fn cancel(&mut self, now: Instant, client: ClientId, reason: Option<&str>) -> Result<(), Misuse> {
        let (clients, core) = self.clients();
        clients.cancel(core, now, client.0, reason)
    }

    /// Where a request's current attempt went; `None` while its next hop is looked up, and once it has ended.
    pub fn destination_of(&self, client: ClientId) -> Option<&Destination> {
        self.clients_ref().entries.get(client.0)?.destination.as_ref()
    }

    /// Leaves a target that has said nothing yet and tries the next one at once, for a user with less patience than
    /// 64·T1. Whether there was one; without another target the attempt goes on.
    pub fn next_target(&mut self, now: Instant, client: ClientId) -> Result<bool, Misuse> {
        let (clients, core) = self.clients();
        clients.leave_target(core, now, client.0)
    }

    /// The listener that a request's current attempt names in its Via, if it is known.
    pub fn listener_of_client(&self, client: ClientId) -> Option<&Listener> {
        self.core.listener(match self.destination_of(client)? {
            Destination::Flow(flow) => flow.listener,
            Destination::Target { listener, .. } => *listener,
        })
    }
}

impl Clients {
    pub(crate) fn new() -> Clients {
        Clients { entries: Slab::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn receive(&mut self, core: &mut Core, now: Instant, flow: Flow, response: Response) {
        let Some(Ok(via)) = response.headers().get::<Via>() else {
            return;
        };
        let Some(cookie) = via.branch().and_then(|branch| BranchCookie::read(branch, &core.secrets)) else {
            return;
        };
        let Some(Ok(cseq)) = response.headers().get::<Cseq>() else {
            return;
        };
        let cancels = cseq.method == Method::Cancel;
        let Some(entry) = self.entries.get(cookie.key) else {
            return;
        };
        // An answer to an earlier attempt comes too late (its transaction has ended).
        if entry.attempt != cookie.attempt {
            return;
        }
        // A CANCEL has the branch of its INVITE (§9.1).
        let key = match (&entry.cancel, cancels) {
            (Cancel::Sent(Some(cancel)), true) => *cancel,
            (_, true) => return,
            (_, false) => cookie.key,
        };
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if !cancels && cseq.method != entry.method {
            return;
        }
        let status = response.status();
        if status == StatusCode::SERVICE_UNAVAILABLE && !entry.answered && entry.has_another_target() {
            // RFC 3263 §4.3. The machine still sees the response, so that an INVITE's is acknowledged.
            self.fail_over(core, now, key, &response);
            return;
        }
        self.take_response(core, now, key, flow, response);
        if status.is_provisional() {
            self.send_wanted_cancel(core, now, key);
        }
    }

    /// Leaves an attempt that was answered with 503. Its ACK goes out; copies of the 503 that still come find no
    /// transaction and are dropped, as their sender's Timer H bears.
    fn fail_over(&mut self, core: &mut Core, now: Instant, key: Key, response: &Response) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let Some(machine) = &mut entry.machine else {
            return;
        };
        let orders = machine.handle(ClientInput::Response(response), &core.settings.timers);
        let sends = orders.into_iter().filter(|order| matches!(order, Order::Send(_))).collect();
        self.obey(core, now, key, sends, None);
        self.next_attempt(core, now, key, Because::Refused, StatusCode::SERVICE_UNAVAILABLE);
    }

    pub(crate) fn timer_fired(&mut self, core: &mut Core, now: Instant, key: Key, timer: Timer) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.armed.fired(timer);
            self.step(core, now, key, ClientInput::Timer(timer));
        }
    }

    pub(crate) fn transmit_failed(&mut self, core: &mut Core, now: Instant, key: Key, attempt: u8) {
        if self.entries.get(key).is_some_and(|entry| entry.attempt & 0x7f == attempt) {
            self.step(core, now, key, ClientInput::TransportFailed);
        }
    }

    pub(crate) fn resolved(
        &mut self,
        core: &mut Core,
        now: Instant,
        token: u64,
        result: Result<Vec<Target>, LookupError>,
    ) {
        let Some(Token::Client(key, _)) = Token::read(token) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.machine.is_none()) else {
            return;
        };
        let Some(retry) = &mut entry.retry else {
            return;
        };
        let failure = match result {
            Ok(targets) => {
                retry.targets = targets.into_iter().map(|target| target.named(retry.named.as_ref())).collect();
                StatusCode::SERVICE_UNAVAILABLE
            }
            // RFC 3263 §4.3 and RFC 3261 §16.7: no server is a failure of the gateway, silence one of time.
            Err(LookupError::NotFound | LookupError::NoTransport) => StatusCode::BAD_GATEWAY,
            Err(LookupError::TimedOut) => StatusCode::SERVER_TIMEOUT,
        };
        if entry.method == Method::Ack {
            return self.ack_resolved(core, key);
        }
        if matches!(entry.cancel, Cancel::Wanted { .. }) {
            // Cancelled before it was ever sent.
            return self.fail(core, key, StatusCode::REQUEST_TERMINATED);
        }
        self.next_attempt(core, now, key, Because::Begin, failure);
    }

    fn send(
        &mut self,
        core: &mut Core,
        now: Instant,
        request: Request,
        to: SendTo,
        mark: Option<u64>,
    ) -> Result<Key, Misuse> {
        let hop = next_hop_of(&request, &to);
        let named = match &to {
            SendTo::NextHopNamed(name) => Some(name.clone()),
            _ => None,
        };
        let targets = match to {
            SendTo::Flow(flow) => {
                core.listener(flow.listener).ok_or(Misuse::NoListener(flow.transport))?;
                let key = self.insert(request.method().clone(), mark);
                self.attempt(core, now, key, request, Destination::Flow(flow));
                return Ok(key);
            }
            SendTo::Targets(targets) => VecDeque::from(targets),
            SendTo::NextHop | SendTo::NextHopNamed(_) | SendTo::RequestUri => match hop.ok_or(Misuse::NoNextHop)? {
                NextHop::Known(target) => VecDeque::from([target.named(named.as_ref())]),
                NextHop::Lookup(lookup) => {
                    let key = self.insert(request.method().clone(), mark);
                    let retry = Retry { request, targets: VecDeque::new(), named, datagram: None };
                    if let Some(entry) = self.entries.get_mut(key) {
                        entry.retry = Some(Box::new(retry));
                    }
                    core.outputs.push_back(Output::Lookup { token: Token::Client(key, 0).write(), request: lookup });
                    return Ok(key);
                }
            },
        };
        let first = targets.front().ok_or(Misuse::NoNextHop)?;
        if targets.iter().all(|target| core.listener_to(target).is_none()) {
            return Err(Misuse::NoListener(first.transport));
        }
        let key = self.insert(request.method().clone(), mark);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.retry = Some(Box::new(Retry { request, targets, named, datagram: None }));
        }
        self.next_attempt(core, now, key, Because::Begin, StatusCode::SERVICE_UNAVAILABLE);
        Ok(key)
    }

    fn send_ack(&mut self, core: &mut Core, now: Instant, request: Request, to: SendTo) -> Result<(), Misuse> {
        let hop = next_hop_of(&request, &to);
        let destination = match to {
            SendTo::Flow(flow) => Destination::Flow(flow),
            SendTo::Targets(targets) => core.destination(targets.into_iter().next().ok_or(Misuse::NoNextHop)?)?,
            SendTo::NextHop | SendTo::NextHopNamed(_) | SendTo::RequestUri => match hop.ok_or(Misuse::NoNextHop)? {
                NextHop::Known(target) => core.destination(target)?,
                NextHop::Lookup(_) => {
                    // The entry only waits for the answer; see `resolved`.
                    return self.send(core, now, request, to, None).map(|_| ());
                }
            },
        };
        core.transmit_ack(request, destination);
        Ok(())
    }

    fn ack_resolved(&mut self, core: &mut Core, key: Key) {
        let Some(mut entry) = self.entries.remove(key) else {
            return;
        };
        let Some(retry) = entry.retry.take() else {
            return;
        };
        let destination = retry.targets.into_iter().find_map(|target| core.destination(target).ok());
        if let Some(destination) = destination {
            core.transmit_ack(retry.request, destination);
        }
    }

    fn cancel(&mut self, core: &mut Core, now: Instant, key: Key, reason: Option<&str>) -> Result<(), Misuse> {
        let entry = self.entries.get_mut(key).ok_or(Misuse::Ended)?;
        if entry.answered || entry.method != Method::Invite || !matches!(entry.cancel, Cancel::NotWanted) {
            return Ok(());
        }
        entry.cancel = Cancel::Wanted { reason: reason.map(Into::into) };
        // Nobody wants it to be tried elsewhere. One that is still looked up needs its request to be told apart.
        if entry.machine.is_some() {
            entry.retry = None;
        }
        self.send_wanted_cancel(core, now, key);
        Ok(())
    }

    fn send_wanted_cancel(&mut self, core: &mut Core, now: Instant, key: Key) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let Cancel::Wanted { reason } = &mut entry.cancel else {
            return;
        };
        let (Some(machine), Some(destination)) = (&entry.machine, entry.destination.clone()) else {
            return;
        };
        let Some(invite) = machine.cancellable_invite() else {
            return;
        };
        let reason = reason.take();
        let Some(cancel) = cancel_of(&invite, reason.as_deref()) else {
            return;
        };
        let attempt = entry.attempt;
        let mut child = Client::new(Method::Cancel, None);
        child.cancel = Cancel::Itself { of: key };
        child.destination = Some(destination);
        child.attempt = attempt;
        let child_key = self.entries.insert(Box::new(child));
        if let Some(entry) = self.entries.get_mut(key) {
            entry.cancel = Cancel::Sent(Some(child_key));
            // The last branch is the one that counts: what was cancelled is not tried elsewhere.
            entry.retry = None;
        }
        self.step(core, now, key, ClientInput::CancelSent);
        let bytes = core.print(|out| cancel.write(out));
        self.begin(core, now, child_key, bytes);
    }

    fn insert(&mut self, method: Method, mark: Option<u64>) -> Key {
        self.entries.insert(Box::new(Client::new(method, mark)))
    }

    fn leave_target(&mut self, core: &mut Core, now: Instant, key: Key) -> Result<bool, Misuse> {
        let entry = self.entries.get(key).ok_or(Misuse::Ended)?;
        let can = entry.machine.is_some() && !entry.answered && entry.has_another_target();
        if can {
            self.next_attempt(core, now, key, Because::Silent, StatusCode::REQUEST_TIMEOUT);
        }
        Ok(can)
    }

    /// Tries the next target; when there is none the request has failed with `failure`.
    fn next_attempt(&mut self, core: &mut Core, now: Instant, key: Key, because: Because, failure: StatusCode) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Some(mut retry) = entry.retry.take() else { return self.fail(core, key, failure) };
        let Some(destination) = retry.next_destination(core, because) else { return self.fail(core, key, failure) };
        entry.armed.cancel_all(&mut core.wheel);
        if entry.machine.take().is_some() {
            entry.attempt = entry.attempt.wrapping_add(1);
        }
        let request = if retry.targets.is_empty() && retry.datagram.is_none() {
            retry.request
        } else {
            let request = retry.request.clone();
            entry.retry = Some(retry);
            request
        };
        self.attempt(core, now, key, request, destination);
    }

    fn attempt(&mut self, core: &mut Core, now: Instant, key: Key, mut request: Request, destination: Destination) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let cookie = BranchCookie { partition: core.settings.partition, key, attempt: entry.attempt };
        core.push_via(&mut request, &destination, cookie, entry.mark);
        entry.destination = Some(destination);
        let bytes = core.print(|out| request.write(out));
        self.begin(core, now, key, bytes);
    }

    fn begin(&mut self, core: &mut Core, now: Instant, key: Key, bytes: Bytes) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let Some(destination) = &entry.destination else {
            return;
        };
        let transport = destination.transport();
        let (machine, orders) = ClientMachine::start(&entry.method, bytes, transport, &core.settings.timers);
        entry.machine = Some(machine);
        self.obey(core, now, key, orders, None);
    }

    fn step(&mut self, core: &mut Core, now: Instant, key: Key, input: ClientInput<'_>) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let Some(machine) = &mut entry.machine else {
            return;
        };
        let orders = machine.handle(input, &core.settings.timers);
        self.obey(core, now, key, orders, None);
    }

    fn take_response(&mut self, core: &mut Core, now: Instant, key: Key, flow: Flow, response: Response) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let Some(machine) = &mut entry.machine else {
            return;
        };
        let orders = machine.handle(ClientInput::Response(&response), &core.settings.timers);
        self.obey(core, now, key, orders, Some((response, flow)));
    }

    /// Carries out what a machine has ordered.
    fn obey(
        &mut self,
        core: &mut Core,
        now: Instant,
        key: Key,
        orders: Outputs,
        mut response: Option<(Response, Flow)>,
    ) {
        let mut ended = None;
        for order in orders {
            let Some(entry) = self.entries.get_mut(key) else {
                return;
            };
            match order {
                Order::Send(bytes) => {
                    let Some(to) = entry.destination.clone() else {
                        continue;
                    };
                    core.outputs.push_back(Output::Transmit {
                        to,
                        bytes,
                        token: Token::Client(key, entry.attempt).write(),
                    });
                }
                Order::SetTimer(timer, after) => {
                    entry.armed.set(&mut core.wheel, now, timer, after, Due::Client(key, timer));
                }
                Order::CancelTimer(timer) => entry.armed.cancel(&mut core.wheel, timer),
                Order::DeliverToUser => {
                    if let Some((response, flow)) = response.take()
                        && entry.is_users()
                    {
                        if response.status().is_final() {
                            entry.answered = true;
                            entry.retry = None;
                        }
                        core.event(Event::Response { client: ClientId(key), response, flow });
                    }
                }
                Order::Terminated(reason) => ended = Some(reason),
                Order::RespondTrying | Order::ReportTransportFailure | Order::Ignored(_) => {}
            }
        }
        match ended {
            None => {}
            Some(Reason::Timeout) => self.next_attempt(core, now, key, Because::Silent, StatusCode::REQUEST_TIMEOUT),
            Some(Reason::TransportFailed) => {
                self.next_attempt(core, now, key, Because::NotSent, StatusCode::SERVICE_UNAVAILABLE);
            }
            Some(Reason::CancelTimeout) => self.fail(core, key, StatusCode::REQUEST_TERMINATED),
            Some(_) => self.end(core, key),
        }
    }

    fn fail(&mut self, core: &mut Core, key: Key, status: StatusCode) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if !entry.answered && entry.is_users() {
            entry.answered = true;
            core.event(Event::Failed { client: ClientId(key), status });
        }
        self.end(core, key);
    }

    fn end(&mut self, core: &mut Core, key: Key) {
        let Some(mut entry) = self.entries.remove(key) else {
            return;
        };
        entry.armed.cancel_all(&mut core.wheel);
        match entry.cancel {
            Cancel::Itself { of } => {
                if let Some(invite) = self.entries.get_mut(of) {
                    invite.cancel = Cancel::Sent(None);
                }
            }
            _ => core.event(Event::ClientEnded { client: ClientId(key) }),
        }
    }
}

impl Retry {
    /// Where the next attempt goes.
    fn next_destination(&mut self, core: &Core, because: Because) -> Option<Destination> {
        if let Some(datagram) = self.datagram.take()
            && because == Because::NotSent
        {
            return core.destination(datagram).ok();
        }
        while let Some(target) = self.targets.pop_front() {
            let Ok(destination) = core.destination(target.clone()) else { continue };
            if !core.is_too_long_for(&target, &self.request) {
                return Some(destination);
            }
            return Some(match core.over_stream(&target) {
                Some(stream) => {
                    self.datagram = Some(target);
                    stream
                }
                None => destination,
            });
        }
        None
    }
}

impl Client {
    fn new(method: Method, mark: Option<u64>) -> Client {
        Client {
            method,
            machine: None,
            armed: Armed::default(),
            attempt: 0,
            mark,
            destination: None,
            retry: None,
            cancel: Cancel::NotWanted,
            answered: false,
        }
    }

    fn has_another_target(&self) -> bool {
        self.retry.as_ref().is_some_and(|retry| !retry.targets.is_empty())
    }

    /// Whether the user hears of this entry's responses.
    pub(crate) fn is_users(&self) -> bool {
        !matches!(self.cancel, Cancel::Itself { .. })
    }
}

/// RFC 3261 §9.1: the CANCEL of an INVITE as it was sent. `None` can't be but for an INVITE that we printed ill.
fn cancel_of(invite: &Bytes, reason: Option<&str>) -> Option<Request> {
    let limits = sip_message::Limits::default();
    let Ok(sip_message::Message::Request(invite)) = sip_message::parse_datagram(invite.clone(), &limits) else {
        return None;
    };
    let mut cancel = Request::new(Method::Cancel, &invite.uri().to_buf());
    let headers = cancel.headers_mut();
    headers.push(HeaderName::Via, invite.headers().first(HeaderName::Via)?).ok()?;
    for name in [HeaderName::Route, HeaderName::From, HeaderName::To, HeaderName::CallId] {
        headers.copy_from(invite.headers(), name);
    }
    let cseq = invite.headers().get::<Cseq>()?.ok()?;
    headers.push(HeaderName::Cseq, format_args!("{} CANCEL", cseq.sequence)).ok()?;
    headers.push(HeaderName::MaxForwards, 70).ok()?;
    if let Some(reason) = reason {
        headers.push(HeaderName::Reason, reason).ok()?;
    }
    Some(cancel)
}

fn next_hop_of(request: &Request, to: &SendTo) -> Option<NextHop> {
    match to {
        SendTo::NextHop | SendTo::NextHopNamed(_) => next_hop::of(request),
        SendTo::RequestUri => next_hop::of_request_uri(request),
        SendTo::Flow(_) | SendTo::Targets(_) => None,
    }
}

impl Core {
    pub(crate) fn listener(&self, id: sip_message::ListenerId) -> Option<&Listener> {
        self.settings.listeners.iter().find(|listener| listener.id == id)
    }

    /// The listener that stands at our end on the way to an address: same protocol, same address family.
    pub(crate) fn listener_for(&self, transport: Transport, remote: Option<IpAddr>) -> Option<&Listener> {
        let fits = |listener: &&Listener| {
            listener.transport == transport && remote.is_none_or(|remote| listener.local.is_ipv4() == remote.is_ipv4())
        };
        // What is bound to the loopback interface reaches nobody else, and others would answer to their own loopback.
        let reaches = |listener: &&Listener| {
            let local = listener.local.ip();
            local.is_unspecified() || remote.is_none_or(|remote| local.is_loopback() == remote.is_loopback())
        };
        let mut fitting = self.settings.listeners.iter().filter(fits);
        fitting.clone().find(reaches).or_else(|| fitting.next())
    }

    fn listener_to(&self, target: &Target) -> Option<&Listener> {
        self.listener_for(target.transport, Some(target.addr.ip()))
    }

    fn destination(&self, target: Target) -> Result<Destination, Misuse> {
        let listener = self.listener_to(&target).ok_or(Misuse::NoListener(target.transport))?.id;
        Ok(Destination::Target { listener, target })
    }

    fn is_too_long_for(&self, target: &Target, request: &Request) -> bool {
        // The estimate is generous enough for the Via that is still to come.
        target.transport == Transport::Udp && request.printed_len() > self.settings.datagram_limit
    }

    fn over_stream(&self, target: &Target) -> Option<Destination> {
        self.destination(Target { transport: Transport::Tcp, ..target.clone() }).ok()
    }

    /// Puts our Via on top of a request.
    fn push_via(&self, request: &mut Request, to: &Destination, cookie: BranchCookie, mark: Option<u64>) {
        let listener = match to {
            Destination::Flow(flow) => self.listener(flow.listener),
            Destination::Target { listener, .. } => self.listener(*listener),
        };
        let Some(listener) = listener else { return };
        let transport = to.transport();
        let mut via = String::with_capacity(120);
        via.push_str("SIP/2.0/");
        via.push_str(transport.via_token());
        via.push(' ');
        via.push_str(&listener.sent_by);
        // RFC 3581 §3: ask for answers to where they can reach us through an address translator.
        via.push_str(if transport == Transport::Udp { ";rport;branch=" } else { ";branch=" });
        cookie.write(&self.secrets, mark, &mut via);
        request.headers_mut().push_front(HeaderName::Via, via).expect("a listener's sent-by has no line break");
    }

    fn transmit_ack(&mut self, mut request: Request, to: Destination) {
        // §8.1.1.7, §13.2.2.4: the ACK of a 2xx has a branch of its own, and no transaction.
        let random = self.secrets.random();
        let key = Key { slot: random as u32, generation: (random >> 32) as u32 };
        let cookie = BranchCookie { partition: self.settings.partition, key, attempt: 0 };
        self.push_via(&mut request, &to, cookie, None);
        let bytes = self.print(|out| request.write(out));
        self.outputs.push_back(Output::Transmit { to, bytes, token: 0 });
    }
}

impl Target {
    /// The same, on TLS with another domain that the certificate must name.
    fn named(self, name: Option<&Arc<str>>) -> Target {
        match name {
            Some(name) if self.transport.is_secure() => Target { server_name: Some(name.clone()), ..self },
            _ => self,
        }
    }
}

impl Destination {
    /// The protocol on this way.
    pub fn transport(&self) -> Transport {
        match self {
            Destination::Flow(flow) => flow.transport,
            Destination::Target { target, .. } => target.transport,
        }
    }
}
