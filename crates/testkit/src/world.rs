//! A world: nodes with their endpoints, the network between them, and one clock that only the world moves.
//!
//! ```text
//!      ┌── node ──────────────┐                                  ┌── node ──────────────┐
//!      │ user ◄──► Endpoint   │──Transmit──► Network ──Received─►│ Endpoint ◄──► user   │
//!      └──────────────────────┘              loss, delay, …      └──────────────────────┘
//!                  └── Lookup ──► Zone ──Resolved──┘
//! ```
//!
//! It does what the driver does with sockets, in one thread and from one seed: the same seed gives the same run. Every
//! message that a node sends is read as its receiver will read it; one that can't be read ends the world with the ladder
//! of what was sent.
//!
//! A node may have several shards ([`World::shard`]). They share its address, its name and its connections; each has its
//! own endpoint and user and, so that stories can name it, a [`NodeId`] of its own.

mod bell;
mod shards;
mod tenant;
mod transmit;

use std::any::Any;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_endpoint::{Endpoint, Input, Listener, LookupError, Output, Settings, Target, TransactionUser};
use sip_message::{ConnectionId, Flow, Limits, ListenerId, Message, Refusal, Request, Transport, parse_datagram};

use crate::network::Network;
use crate::random::Random;
use crate::zone::Zone;
use bell::Bells;
use tenant::Tenant;

/// A node of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    pub(crate) fn at(index: usize) -> NodeId {
        NodeId(index as u32)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Nodes, network, names and time.
pub struct World {
    epoch: Instant,
    now: Instant,
    random: Random,
    nodes: Vec<Node>,
    by_address: BTreeMap<IpAddr, NodeId>,
    network: Network,
    zone: Zone,
    lookup_time: Duration,
    queue: BinaryHeap<Scheduled>,
    scheduled: u64,
    /// How many things have happened at this very instant.
    at_once: u32,
    ports: u16,
    bells: Bells,
}

struct Node {
    name: Box<str>,
    settings: Settings,
    endpoint: Endpoint,
    user: Box<dyn Tenant>,
    /// For when the endpoint's next timeout is scheduled.
    wake: Option<Instant>,
    down: bool,
    /// The first shard: the one whose id is the node's.
    home: NodeId,
    /// All shards, by their partitions; at the first one only.
    shards: Vec<NodeId>,
}

/// Something that will happen.
enum Happening {
    Arrives {
        node: NodeId,
        flow: Flow,
        message: Box<Result<Message, Refusal>>,
    },
    StreamArrives {
        connection: ConnectionId,
        end: usize,
        octets: Bytes,
    },
    StreamEnds {
        node: NodeId,
        flow: Flow,
    },
    /// The answer to a keep-alive arrives.
    KeptAlive {
        node: NodeId,
        flow: Flow,
        mapped: Option<SocketAddr>,
    },
    TransmitFails {
        node: NodeId,
        token: u64,
    },
    Resolved {
        node: NodeId,
        token: u64,
        result: Result<Vec<Target>, LookupError>,
    },
    Wakes {
        node: NodeId,
    },
    /// A future of a user's can go on.
    Rung {
        node: NodeId,
    },
    HandedOver {
        node: NodeId,
        flow: Flow,
        request: Box<Request>,
    },
    /// What one shard's user tells another's.
    Told {
        node: NodeId,
        message: Rc<dyn Any>,
    },
    Scripted(Box<dyn FnOnce(&mut World)>),
}

/// Ordered so that the heap gives the earliest first, and of several at once the one that was scheduled first.
struct Scheduled {
    at: Instant,
    order: u64,
    what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.order == other.order
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// Past so many happenings at one instant the world is taken to turn in a circle.
const TOO_MANY_AT_ONCE: u32 = 200_000;

impl World {
    /// An empty world. `epoch` is the origin of its time, of which nothing else is made: any instant will do.
    pub fn new(seed: u64, epoch: Instant) -> World {
        let mut random = Random::new(seed);
        World {
            epoch,
            now: epoch,
            network: Network::new(random.split(), epoch),
            random,
            nodes: Vec::new(),
            by_address: BTreeMap::new(),
            zone: Zone::default(),
            lookup_time: Duration::from_millis(5),
            queue: BinaryHeap::new(),
            scheduled: 0,
            at_once: 0,
            ports: 0,
            bells: Bells::default(),
        }
    }

    /// A node at an address of its own that speaks UDP and TCP on port 5060 and TLS on port 5061. Its name resolves.
    pub fn node(&mut self, name: &str, user: impl TransactionUser + 'static) -> NodeId {
        let settings = self.settings();
        self.node_with(name, settings, user)
    }

    /// The settings that the next [`World::node`] gets, to be changed for [`World::node_with`]. The addresses of the
    /// listeners have to stay.
    pub fn settings(&mut self) -> Settings {
        let number = self.nodes.len() as u16 + 1;
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, (number >> 8) as u8, number as u8));
        let listener = |id, transport: Transport, port| {
            let local = SocketAddr::new(ip, port);
            Listener { id: ListenerId(id), transport, local, sent_by: local.to_string().into() }
        };
        Settings {
            listeners: vec![
                listener(0, Transport::Udp, 5060),
                listener(1, Transport::Tcp, 5060),
                listener(2, Transport::Tls, 5061),
            ],
            partition: 0,
            seed: self.random.draw(),
            datagram_limit: 1300,
            max_pending: 100_000,
            timers: sip_transaction::Timers::default(),
            product: "".into(),
        }
    }

    /// A node with these settings.
    pub fn node_with(&mut self, name: &str, settings: Settings, user: impl TransactionUser + 'static) -> NodeId {
        let id = NodeId::at(self.nodes.len());
        for listener in &settings.listeners {
            self.by_address.insert(listener.local.ip(), id);
        }
        let address = settings.listeners.first().map(|listener| listener.local.ip());
        if let Some(address) = address {
            self.zone.address(name, address);
        }
        self.add(name.into(), settings, user, id);
        id
    }

    fn add(&mut self, name: Box<str>, settings: Settings, mut user: impl TransactionUser + 'static, home: NodeId) {
        let id = NodeId::at(self.nodes.len());
        user.set_waker(self.bells.waker(id));
        let endpoint = Endpoint::new(settings.clone());
        let user = Box::new(user);
        self.nodes.push(Node { name, settings, endpoint, user, wake: None, down: false, home, shards: Vec::new() });
        self.nodes[home.index()].shards.push(id);
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How old the world is.
    pub fn age(&self) -> Duration {
        self.now.saturating_duration_since(self.epoch)
    }

    /// The world's chance, for what a story draws.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// What lies between the nodes.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What lies between the nodes, to change it.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// The names.
    pub fn zone_mut(&mut self) -> &mut Zone {
        &mut self.zone
    }

    /// The nodes, in the order in which they were made.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId::at)
    }

    /// What a node is called.
    pub fn name(&self, node: NodeId) -> &str {
        &self.nodes[node.index()].name
    }

    /// A node's endpoint.
    pub fn endpoint(&self, node: NodeId) -> &Endpoint {
        &self.nodes[node.index()].endpoint
    }

    /// Where a node is reached by a transport.
    pub fn address(&self, node: NodeId, transport: Transport) -> Option<SocketAddr> {
        let listeners = self.endpoint(node).listeners();
        listeners.iter().find(|listener| listener.transport == transport).map(|listener| listener.local)
    }

    /// A node's user. Panics when it is of another type: the story's mistake.
    pub fn user<U: TransactionUser + 'static>(&self, node: NodeId) -> &U {
        let user = self.nodes[node.index()].user.as_any();
        user.downcast_ref().expect("the node has a user of the type that the story names")
    }

    /// Lets a node's user do something, as an application would that calls it from outside.
    pub fn with<U: TransactionUser + 'static, R>(
        &mut self,
        node: NodeId,
        act: impl FnOnce(&mut U, Instant, &mut Endpoint) -> R,
    ) -> R {
        let now = self.now;
        let Node { endpoint, user, .. } = &mut self.nodes[node.index()];
        let user = user.as_any_mut().downcast_mut().expect("the node has a user of the type that the story names");
        let result = act(user, now, endpoint);
        self.settle(node);
        result
    }

    /// Tells a node to take nothing new.
    pub fn drain(&mut self, node: NodeId) {
        let now = self.now;
        let Node { endpoint, user, .. } = &mut self.nodes[node.index()];
        user.drain(now, endpoint);
        self.settle(node);
    }

    /// Takes a node from the network, and lets it come back: datagrams to it are lost, connections to it are refused, and
    /// those that it has end.
    pub fn set_down(&mut self, node: NodeId, down: bool) {
        let node = self.home(node);
        self.nodes[node.index()].down = down;
        if down {
            for connection in self.network.streams.between(node, None) {
                self.cut(connection);
            }
        }
    }

    /// Cuts every connection between two nodes.
    pub fn cut_connections(&mut self, one: NodeId, other: NodeId) {
        for connection in self.network.streams.between(one, Some(other)) {
            self.cut(connection);
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.network.streams.len()
    }

    /// Nothing passes between two nodes from now on for so long.
    pub fn partition(&mut self, one: NodeId, other: NodeId, span: Duration) {
        let text = format!("{} and {} are separated for {span:?}", self.name(one), self.name(other));
        self.note(None, text);
        self.network.partition(one, other, self.now, self.now + span);
    }

    /// Delivers octets to a node as a datagram from anywhere.
    pub fn inject(&mut self, node: NodeId, from: SocketAddr, octets: impl Into<Bytes>) {
        let Some(listener) = listener(&self.nodes[node.index()], Transport::Udp, None) else { return };
        let flow = Flow {
            transport: Transport::Udp,
            listener: listener.id,
            local: listener.local,
            remote: from,
            connection: None,
        };
        let message = Box::new(parse_datagram(octets.into(), &Limits::default()));
        self.schedule(self.now, Happening::Arrives { node, flow, message });
    }

    /// Does something after a while.
    pub fn after(&mut self, wait: Duration, act: impl FnOnce(&mut World) + 'static) {
        self.schedule(self.now + wait, Happening::Scripted(Box::new(act)));
    }

    /// Writes a line into the ladder.
    pub fn note(&mut self, by: Option<NodeId>, text: impl Into<String>) {
        self.network.trace_mut().note(self.now, by, text.into());
    }

    /// Lets the next thing happen. Whether there was one.
    pub fn step(&mut self) -> bool {
        self.hear();
        let Some(next) = self.queue.pop() else { return false };
        self.at_once = if next.at > self.now { 0 } else { self.at_once + 1 };
        if self.at_once > TOO_MANY_AT_ONCE {
            self.fail(None, "the world turns in a circle: too much happens at one instant");
        }
        self.now = self.now.max(next.at);
        self.happen(next.what, next.at);
        true
    }

    /// Lets happen what happens within this time.
    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        self.hear();
        while self.queue.peek().is_some_and(|next| next.at <= until) {
            self.step();
            self.hear();
        }
        self.now = until;
        self.at_once = 0;
    }

    /// Runs until nothing is left to happen; everything that has a timer is over then. Fails after a day.
    pub fn run_until_idle(&mut self) {
        let end = self.now + Duration::from_secs(24 * 3600 + 3600);
        while self.step() {
            if self.now > end {
                self.fail(None, "the world does not come to rest");
            }
        }
    }

    /// What is left in the tables of endpoints and users: nothing, when the world is at rest.
    pub fn leftovers(&self) -> Vec<String> {
        let mut leftovers = Vec::new();
        for node in &self.nodes {
            let load = node.endpoint.load();
            if load != sip_endpoint::Load::default() {
                leftovers.push(format!("{}: {load:?}", node.name));
            }
            if !node.user.is_idle() {
                leftovers.push(format!("{}: its user is not idle", node.name));
            }
        }
        leftovers
    }

    /// What was sent, as a ladder: of one call, or everything.
    pub fn ladder(&self, call_id: Option<&str>) -> String {
        let names: Vec<&str> = self.nodes.iter().map(|node| &*node.name).collect();
        self.network.trace().ladder(call_id, &names)
    }

    /// Fails the story, unless `holds`.
    #[track_caller]
    pub fn expect(&self, holds: bool, claim: &str) {
        if !holds {
            self.fail(None, claim);
        }
    }

    /// Ends the story with the ladder of what has led here.
    #[track_caller]
    pub fn fail(&self, call_id: Option<&str>, why: &str) -> ! {
        panic!("{why}\n{}", self.ladder(call_id));
    }

    fn schedule(&mut self, at: Instant, what: Happening) {
        self.scheduled += 1;
        self.queue.push(Scheduled { at: at.max(self.now), order: self.scheduled, what });
    }

    fn happen(&mut self, what: Happening, at: Instant) {
        match what {
            Happening::Arrives { node, flow, message } => {
                let node = self.shard_for(node, &flow, &message);
                self.hand_in(node, Input::Received { flow, received: *message });
            }
            Happening::StreamArrives { connection, end, octets } => self.stream_arrives(connection, end, &octets),
            Happening::StreamEnds { node, flow } => {
                let node = self.shard_of_flow(node, &flow);
                self.hand_in(node, Input::ConnectionClosed { flow });
            }
            Happening::KeptAlive { node, flow, mapped } => self.hand_in(node, Input::KeptAlive { flow, mapped }),
            Happening::TransmitFails { node, token } => self.hand_in(node, Input::TransmitFailed { token }),
            Happening::Resolved { node, token, result } => self.hand_in(node, Input::Resolved { token, result }),
            Happening::Wakes { node } => {
                let woken = &mut self.nodes[node.index()];
                // A later wish has taken the place of this one.
                if woken.wake == Some(at) {
                    woken.wake = None;
                    self.hand_in(node, Input::TimePassed);
                }
            }
            Happening::Rung { node } => {
                self.bells.heard(node);
                self.turn_to(node, |now, endpoint, user, said| user.woken(now, endpoint, said));
            }
            Happening::HandedOver { node, flow, request } => {
                self.hand_in(node, Input::HandedOver { flow, request: *request });
            }
            Happening::Told { node, message } => {
                self.turn_to(node, |now, endpoint, user, _| user.message(now, endpoint, &*message));
            }
            Happening::Scripted(act) => act(self),
        }
    }

    fn hand_in(&mut self, node: NodeId, input: Input) {
        let now = self.now;
        let received = matches!(input, Input::Received { .. });
        if received && self.nodes[self.home(node).index()].down {
            return;
        }
        self.nodes[node.index()].endpoint.handle(now, input);
        self.settle(node);
    }

    /// Lets a user do something outside of an event.
    fn turn_to(
        &mut self,
        id: NodeId,
        act: impl FnOnce(Instant, &mut Endpoint, &mut dyn Tenant, &mut Vec<Rc<dyn Any>>),
    ) {
        let now = self.now;
        let mut said = Vec::new();
        let Node { endpoint, user, .. } = &mut self.nodes[id.index()];
        act(now, endpoint, &mut **user, &mut said);
        self.tell_siblings(id, said);
        self.settle(id);
    }

    /// Carries out everything that a node orders, and sees to its being woken.
    fn settle(&mut self, id: NodeId) {
        let now = self.now;
        let mut said = Vec::new();
        loop {
            let Node { endpoint, user, .. } = &mut self.nodes[id.index()];
            match endpoint.poll_output() {
                None => break,
                Some(Output::Event(event)) => user.event(now, endpoint, event, &mut said),
                Some(Output::Transmit { to, bytes, token }) => self.transmit(id, to, bytes, token),
                Some(Output::KeepAlive { flow }) => self.keep_alive(id, flow),
                Some(Output::Close { flow }) => {
                    if let Some(connection) = flow.connection {
                        self.cut(connection);
                    }
                }
                Some(Output::Lookup { token, request }) => {
                    let result = self.zone.answer(&request);
                    let takes = match result {
                        Err(LookupError::TimedOut) => Duration::from_secs(10),
                        _ => self.lookup_time,
                    };
                    self.schedule(now + takes, Happening::Resolved { node: id, token, result });
                }
            }
        }
        self.tell_siblings(id, said);
        self.carry_hand_overs(id);
        let node = &mut self.nodes[id.index()];
        let next = node.endpoint.next_timeout().map(|next| next.max(now));
        if next != node.wake {
            node.wake = next;
            if let Some(next) = next {
                self.schedule(next, Happening::Wakes { node: id });
            }
        }
    }
}

/// The listener of a node for a transport, at a port or at any.
fn listener(node: &Node, transport: Transport, port: Option<u16>) -> Option<&Listener> {
    let fits =
        |listener: &&Listener| listener.transport == transport && port.is_none_or(|port| port == listener.local.port());
    node.endpoint.listeners().iter().find(fits)
}
