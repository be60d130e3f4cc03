//! The server transactions of one shard: matching (RFC 3261 §17.2.3), the way back, CANCEL (§9.2) and shedding.

use std::time::Instant;

use bytes::Bytes;
use hashbrown::HashTable;
use sip_message::header::Via;
use sip_message::{Flow, HeaderName, ListenerId, Method, Request, Response, StatusCode};
use sip_transaction::{Output as Order, Outputs, OwnedServerKey, Reason, ServerKey, Timer};

use crate::Endpoint;
use crate::api::{Destination, Ended, Event, Misuse, Output, ServerId, Target};
use crate::endpoint::{Core, Due, Token, may_be_shed};
use crate::hand_over::{Elsewhere, HandOver, HandOverError};
use crate::machine::{ServerInput, ServerMachine};
use crate::slab::{Key, Slab};
use crate::timers::Armed;
use crate::via;

/// See the module's text.
pub(crate) struct Servers {
    entries: Slab<Box<Server>>,
    /// Slots by the hash of their keys.
    by_key: HashTable<u32>,
    hasher: foldhash::fast::FixedState,
    pending: usize,
    elsewhere: Elsewhere,
}

/// How a request has come to this shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    FromTheNetwork,
    FromAnotherShard,
}

/// A request that begins a transaction: where it came from.
struct Arrival {
    flow: Flow,
    came: Came,
    sender: via::Sender,
}

struct Server {
    machine: ServerMachine,
    key: OwnedServerKey,
    hash: u64,
    /// Where answers go.
    way: Destination,
    /// For when the connection that the request came on has ended.
    fallback: Option<Box<Fallback>>,
    /// The 100 for when the user takes its time; until anything else was sent.
    trying: Option<Box<Response>>,
    /// A final response was given.
    answered: bool,
    /// The ACK of its failure is known by the tag of the response (RFC 3261 §17.2.3).
    is_rfc2543: bool,
    came: Came,
    armed: Armed,
}

/// Another way for answers than the connection that the request came on (RFC 3261 §18.2.2).
struct Fallback {
    listener: ListenerId,
    target: Target,
    /// The last thing that was sent.
    last: Bytes,
}

impl Endpoint {
    /// Answers the request of a server transaction. A To without a tag gets one, except in a 100.
    pub fn respond(&mut self, now: Instant, server: ServerId, response: Response) -> Result<(), Misuse> {
        let (servers, core) = self.servers();
        servers.respond(core, now, server.0, response)
    }

    /// Answers a request and forgets its transaction: RFC 3261 §8.2.7, for requests that can be answered again when
    /// they are repeated, by whoever answers from what it knows anyhow. Thirty-two seconds of kept answers are the larger
    /// part of what a ping costs.
    pub fn respond_once(&mut self, now: Instant, server: ServerId, response: Response) -> Result<(), Misuse> {
        // When it is, makes no difference to anybody.
        let _ = now;
        let (servers, core) = self.servers();
        servers.respond_once(core, server.0, response)
    }

    /// Answers a request that has no transaction, and keeps nothing of it.
    pub fn respond_statelessly(&mut self, flow: &Flow, response: Response) {
        self.core.answer_statelessly(flow, response);
    }

    /// Whether a server transaction is over. One that was answered goes on for a while (RFC 3261 §17.2).
    pub fn is_ended(&self, server: ServerId) -> bool {
        self.servers_ref().entries.get(server.0).is_none()
    }

    /// Whether the server transaction is still there to be answered: it waits for its final response.
    pub fn is_answerable(&self, server: ServerId) -> bool {
        self.servers_ref().entries.get(server.0).is_some_and(|entry| !entry.answered)
    }
}

impl Servers {
    pub(crate) fn new(seed: u64) -> Servers {
        Servers {
            entries: Slab::new(),
            by_key: HashTable::new(),
            hasher: foldhash::fast::FixedState::with_seed(seed),
            pending: 0,
            elsewhere: Elsewhere::default(),
        }
    }

    pub(crate) fn handed_over(&self) -> usize {
        self.elsewhere.len()
    }

    pub(crate) fn elsewhere_ended(&mut self, core: &mut Core, kept: Key) {
        self.elsewhere.timer_fired(core, kept);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    pub(crate) fn receive(&mut self, core: &mut Core, now: Instant, flow: Flow, mut request: Request, came: Came) {
        let Some(Ok(via)) = request.headers().get::<Via>() else {
            return;
        };
        let Ok(key) = ServerKey::with_via(&request, &via) else {
            return;
        };
        let stamp = via::Stamp::of(&via, &flow);
        let hash = key.hash(&self.hasher);
        let found = self.find(&key, hash);
        if found.is_none() && !self.elsewhere.is_empty() {
            if came == Came::FromAnotherShard {
                self.elsewhere.forget(core, &key, hash);
            } else if let Some(partition) = self.whither(core, now, &key, hash, &request) {
                stamp.put(request.headers_mut(), &flow);
                return core.hand_overs.push_back(HandOver { partition, flow, request });
            }
        }
        match (request.method(), found) {
            (Method::Ack, Some(found)) => self.acknowledge(core, now, found, flow, request),
            (Method::Ack, None) => {
                stamp.put(request.headers_mut(), &flow);
                core.event(Event::Ack { request, flow });
            }
            (_, Some(found)) => self.step(core, now, found, ServerInput::Repeated),
            (_, None) if core.shedding && may_be_shed(&request) => shed(core, &flow, &mut request),
            (_, None) if self.pending >= core.settings.max_pending && may_be_shed(&request) => {
                shed(core, &flow, &mut request);
            }
            (_, None) => {
                let cancels = (*request.method() == Method::Cancel).then(|| ServerKey::of_cancelled(&request));
                let cancelled = match cancels {
                    Some(Ok(key)) => self.find(&key, key.hash(&self.hasher)),
                    _ => None,
                };
                let sender = stamp.put(request.headers_mut(), &flow);
                let server = self.begin(core, now, Arrival { flow, came, sender }, (&key, hash), &request);
                if *request.method() == Method::Cancel {
                    self.cancel(core, now, server, cancelled, request);
                } else {
                    core.event(Event::Request { server: ServerId(server), request, flow });
                }
            }
        }
    }

    pub(crate) fn timer_fired(&mut self, core: &mut Core, now: Instant, key: Key, timer: Timer) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.armed.fired(timer);
            self.step(core, now, key, ServerInput::Timer(timer));
        }
    }

    pub(crate) fn transmit_failed(&mut self, core: &mut Core, now: Instant, key: Key) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let Some(fallback) = entry.fallback.take() else {
            return self.step(core, now, key, ServerInput::TransportFailed);
        };
        // The connection has ended: from now on answers go to where the Via says that its sender listens.
        let Fallback { listener, target, last } = *fallback;
        entry.way = Destination::Target { listener, target };
        if !last.is_empty() {
            let token = Token::Server(key).write();
            core.outputs.push_back(Output::Transmit { to: entry.way.clone(), bytes: last, token });
        }
    }

    /// An ACK that matches an INVITE ends its failure's retransmission. The one for a 2xx matches only when its sender
    /// follows RFC 2543, and goes to the user.
    fn acknowledge(&mut self, core: &mut Core, now: Instant, key: Key, flow: Flow, mut request: Request) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let orders = entry.machine.handle(ServerInput::Ack, &core.settings.timers);
        if orders.contains(&Order::DeliverToUser) {
            via::stamp(request.headers_mut(), &flow);
            core.event(Event::Ack { request, flow });
        }
        self.obey(core, now, key, orders);
    }

    fn respond(&mut self, core: &mut Core, now: Instant, key: Key, response: Response) -> Result<(), Misuse> {
        let status = response.status();
        let bytes = self.answer(core, key, response)?;
        if let Some(entry) = self.entries.get_mut(key)
            && let Some(fallback) = &mut entry.fallback
        {
            fallback.last = bytes.clone();
        }
        self.step(core, now, key, ServerInput::Respond(status, bytes));
        Ok(())
    }

    /// Without the machine: there is no state that it would have to change to.
    fn respond_once(&mut self, core: &mut Core, key: Key, response: Response) -> Result<(), Misuse> {
        let bytes = self.answer(core, key, response)?;
        if let Some(entry) = self.entries.get(key) {
            core.outputs.push_back(Output::Transmit { to: entry.way.clone(), bytes, token: 0 });
        }
        self.end(core, key, Reason::Finished);
        Ok(())
    }

    /// Notes that a response is given, and prints it.
    fn answer(&mut self, core: &mut Core, key: Key, mut response: Response) -> Result<Bytes, Misuse> {
        let entry = self.entries.get_mut(key).ok_or(Misuse::Ended)?;
        let status = response.status();
        // The 2xx to an INVITE is its user's to repeat (RFC 6026 §7.1); any other final response is given once.
        let repeats_success = status.is_success() && entry.machine.is_invite();
        if entry.answered && !repeats_success {
            return Err(Misuse::AlreadyAnswered);
        }
        if status.is_final() && !entry.answered {
            entry.answered = true;
            self.pending -= 1;
        }
        entry.trying = None;
        core.add_tag(&mut response);
        if status.is_final() && entry.is_rfc2543 {
            entry.key.answered(response.headers().to_tag());
        }
        Ok(core.print(|out| response.write(out)))
    }

    fn begin(
        &mut self,
        core: &mut Core,
        now: Instant,
        Arrival { flow, came, sender }: Arrival,
        (key, hash): (&ServerKey, u64),
        request: &Request,
    ) -> Key {
        let (way, fallback) = if flow.transport.is_reliable() {
            let addr = sender.stream_return(&flow);
            let target = Target { transport: flow.transport, addr, server_name: None };
            (flow, Some(Box::new(Fallback { listener: flow.listener, target, last: Bytes::new() })))
        } else {
            (Flow { remote: sender.datagram_return(&flow), ..flow }, None)
        };
        let trying = Some(Box::new(Response::to(request, StatusCode::TRYING)));
        let (machine, orders) = ServerMachine::start(request.method(), flow.transport, &core.settings.timers);
        let entry = Server {
            machine,
            key: key.to_owned(),
            is_rfc2543: key.is_rfc2543(),
            hash,
            way: Destination::Flow(way),
            fallback,
            trying,
            answered: false,
            came,
            armed: Armed::default(),
        };
        let key = self.entries.insert(Box::new(entry));
        let entries = &self.entries;
        let rehash = |slot: &u32| entries.in_slot(*slot).map_or(0, |(_, entry)| entry.hash);
        self.by_key.insert_unique(hash, key.slot, rehash);
        self.pending += 1;
        self.obey(core, now, key, orders);
        key
    }

    /// RFC 3261 §9.2: the CANCEL is answered by itself; the INVITE's user hears of it unless it has answered.
    fn cancel(&mut self, core: &mut Core, now: Instant, server: Key, cancelled: Option<Key>, cancel: Request) {
        let status = match cancelled {
            Some(_) => StatusCode::OK,
            None => StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
        };
        let mut response = Response::to(&cancel, status);
        core.sign(&mut response);
        // The transaction began in this very call and can't have been answered.
        let _ = self.respond(core, now, server, response);
        if let Some(invite) = cancelled
            && self.entries.get(invite).is_some_and(|entry| !entry.answered)
        {
            core.event(Event::Cancelled { server: ServerId(invite), cancel });
        }
    }

    fn find(&self, key: &ServerKey, hash: u64) -> Option<Key> {
        let matches = |slot: &u32| self.entries.in_slot(*slot).is_some_and(|(_, entry)| entry.key.matches(key));
        let slot = self.by_key.find(hash, matches)?;
        self.entries.in_slot(*slot).map(|(key, _)| key)
    }

    fn step(&mut self, core: &mut Core, now: Instant, key: Key, input: ServerInput) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let orders = entry.machine.handle(input, &core.settings.timers);
        self.obey(core, now, key, orders);
    }

    /// Carries out what a machine has ordered. That a request is delivered is seen to by who began the transaction.
    fn obey(&mut self, core: &mut Core, now: Instant, key: Key, orders: Outputs) {
        for order in orders {
            let Some(entry) = self.entries.get_mut(key) else {
                return;
            };
            match order {
                Order::Send(bytes) => {
                    let token = Token::Server(key).write();
                    core.outputs.push_back(Output::Transmit { to: entry.way.clone(), bytes, token });
                }
                Order::RespondTrying => {
                    if let Some(trying) = entry.trying.take() {
                        let bytes = core.print(|out| trying.write(out));
                        self.step(core, now, key, ServerInput::Respond(StatusCode::TRYING, bytes));
                    }
                }
                Order::SetTimer(timer, after) => {
                    entry.armed.set(&mut core.wheel, now, timer, after, Due::Server(key, timer));
                }
                Order::CancelTimer(timer) => entry.armed.cancel(&mut core.wheel, timer),
                Order::Terminated(reason) => self.end(core, key, reason),
                Order::DeliverToUser | Order::ReportTransportFailure | Order::Ignored(_) => {}
            }
        }
    }

    fn end(&mut self, core: &mut Core, key: Key, reason: Reason) {
        if self.forget(core, key).is_none() {
            return;
        }
        let reason = match reason {
            Reason::AckTimeout => Ended::NoAck,
            Reason::Unanswered => Ended::Unanswered,
            Reason::TransportFailed => Ended::TransportFailed,
            Reason::Finished | Reason::Timeout | Reason::CancelTimeout => Ended::Normally,
        };
        core.event(Event::ServerEnded { server: ServerId(key), reason });
    }

    /// Takes a transaction out of the tables and its timers off the wheel.
    fn forget(&mut self, core: &mut Core, key: Key) -> Option<Box<Server>> {
        let mut entry = self.entries.remove(key)?;
        entry.armed.cancel_all(&mut core.wheel);
        if !entry.answered {
            self.pending -= 1;
        }
        if let Ok(found) = self.by_key.find_entry(entry.hash, |slot| *slot == key.slot) {
            found.remove();
        }
        let (len, capacity) = (self.by_key.len(), self.by_key.capacity());
        if capacity > 256 && len < capacity / 8 {
            let entries = &self.entries;
            self.by_key.shrink_to(len * 2, |slot| entries.in_slot(*slot).map_or(0, |(_, entry)| entry.hash));
        }
        Some(entry)
    }

    pub(crate) fn hand_over(
        &mut self,
        core: &mut Core,
        now: Instant,
        key: Key,
        method: &Method,
        to: u8,
    ) -> Result<(), HandOverError> {
        let entry = self.entries.get(key).ok_or(HandOverError::Ended)?;
        if entry.answered {
            return Err(HandOverError::AlreadyAnswered);
        }
        if entry.came == Came::FromAnotherShard {
            return Err(HandOverError::HandedOverToUs);
        }
        if self.elsewhere.is_full(core) {
            return Err(HandOverError::TooMany);
        }
        let entry = self.forget(core, key).ok_or(HandOverError::Ended)?;
        self.elsewhere.keep(core, now, (entry.key, entry.hash), method, to);
        Ok(())
    }

    /// The partition that a request without a transaction here goes to, if its transaction, or the INVITE that it cancels,
    /// was handed over.
    fn whither(&mut self, core: &mut Core, now: Instant, key: &ServerKey, hash: u64, request: &Request) -> Option<u8> {
        let method = request.method();
        if *method == Method::Cancel
            && let Ok(invite) = ServerKey::of_cancelled(request)
        {
            let hash = invite.hash(&self.hasher);
            return self.elsewhere.whither(core, now, (&invite, hash), method);
        }
        self.elsewhere.whither(core, now, (key, hash), method)
    }
}

/// Refuses a request without keeping anything of it, so that it costs next to nothing (RFC 3261 §21.5.4).
fn shed(core: &mut Core, flow: &Flow, request: &mut Request) {
    via::stamp(request.headers_mut(), flow);
    let mut response = Response::to(request, StatusCode::SERVICE_UNAVAILABLE);
    core.sign(&mut response);
    // Spread over some seconds, so that those who were refused together don't come back together.
    let seconds = 2 + core.secrets.random() % 8;
    response.headers_mut().push(HeaderName::RetryAfter, seconds).expect("a number has no line break");
    core.answer_statelessly(flow, response);
}
