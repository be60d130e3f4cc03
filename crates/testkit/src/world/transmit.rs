//! From a node's order to transmit to what arrives at another.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_endpoint::{Destination, Target};
use sip_message::{ConnectionId, Flow, ListenerId, Transport};

use super::{Happening, NodeId, World, listener};
use crate::fields;
use crate::network::{End, Fate};
use crate::wire;

/// How long a node tries to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a partition may hold up an open connection before both ends give it up.
const STREAM_PATIENCE: Duration = Duration::from_secs(20);

/// Who has ordered a transmission, and what it calls it.
#[derive(Clone, Copy)]
struct Order {
    shard: NodeId,
    token: u64,
}

impl World {
    pub(super) fn transmit(&mut self, shard: NodeId, to: Destination, bytes: Bytes, token: u64) {
        let from = self.home(shard);
        let order = Order { shard, token };
        let transport = to.transport();
        let message = wire::read(transport, &bytes);
        match &message {
            Err(refusal) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.fail(None, &format!("{} sent what can't be read: {refusal}\n{text}", self.name(from)));
            }
            Ok(message) => {
                if let Some(complaint) = wire::complaint(message) {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let call_id = fields::call_id(message.headers()).to_owned();
                    let why = format!("{} sent a message that is wrong: {complaint}\n{text}", self.name(from));
                    self.fail(Some(&call_id), &why);
                }
            }
        }
        if self.nodes[from.index()].down {
            return;
        }
        match to {
            Destination::Flow(Flow { connection: Some(connection), .. }) => {
                self.send_over(from, connection, bytes, order);
            }
            Destination::Flow(Flow { listener, remote, .. }) => {
                self.send_datagram(from, listener, remote, bytes, message);
            }
            Destination::Target { listener, target: Target { transport: Transport::Udp, addr, .. } } => {
                self.send_datagram(from, listener, addr, bytes, message);
            }
            Destination::Target { listener, target } => self.send_to_stream(from, listener, target, bytes, order),
        }
    }

    fn send_datagram(
        &mut self,
        from: NodeId,
        from_listener: ListenerId,
        remote: SocketAddr,
        bytes: Bytes,
        message: Result<sip_message::Message, sip_message::Refusal>,
    ) {
        let now = self.now;
        let source = self.nodes[from.index()].endpoint.listeners().iter().find(|l| l.id == from_listener);
        let source = source.map(|listener| listener.local);
        let to = self.by_address.get(&remote.ip()).copied().filter(|to| !self.nodes[to.index()].down);
        let arrives_at = to.and_then(|to| {
            let listener = listener(&self.nodes[to.index()], Transport::Udp, Some(remote.port()))?;
            Some((to, listener.id, listener.local))
        });
        let (Some(source), Some((to, listener, local))) = (source, arrives_at) else {
            self.network.trace_mut().sent(now, from, to, Transport::Udp, bytes, Fate::Nobody);
            return;
        };
        let (fate, arrivals) = self.network.carry_datagram(now, from, to);
        self.network.trace_mut().sent(now, from, Some(to), Transport::Udp, bytes, fate);
        for at in arrivals {
            let flow = Flow { transport: Transport::Udp, listener, local, remote: source, connection: None };
            self.schedule(at, Happening::Arrives { node: to, flow, message: Box::new(message.clone()) });
        }
    }

    fn send_to_stream(&mut self, from: NodeId, from_listener: ListenerId, target: Target, bytes: Bytes, order: Order) {
        let open = self.network.streams.find(from, target.transport, target.addr);
        let connection = match open {
            Some(connection) => connection,
            None => match self.connect(from, from_listener, &target) {
                Ok(connection) => connection,
                Err((to, takes)) => {
                    self.network.trace_mut().sent(self.now, from, to, target.transport, bytes, Fate::Nobody);
                    return self.tell_of_failure(order, takes);
                }
            },
        };
        self.send_over(from, connection, bytes, order);
    }

    /// Opens a connection; what is written to it at once arrives behind its handshake. Else how long it takes to know
    /// that there is none.
    fn connect(
        &mut self,
        from: NodeId,
        from_listener: ListenerId,
        target: &Target,
    ) -> Result<ConnectionId, (Option<NodeId>, Duration)> {
        let now = self.now;
        let to = self.by_address.get(&target.addr.ip()).copied();
        let Some(to) = to.filter(|to| !self.nodes[to.index()].down) else { return Err((to, CONNECT_PATIENCE)) };
        let delay = self.network.stream_delay(from, to);
        let Some(accepts) = listener(&self.nodes[to.index()], target.transport, Some(target.addr.port())) else {
            return Err((Some(to), delay * 2));
        };
        let accepts = accepts.id;
        let healed = self.network.separated_until(now, from, to);
        if healed.is_some_and(|healed| healed.saturating_duration_since(now) > CONNECT_PATIENCE) {
            return Err((Some(to), CONNECT_PATIENCE));
        }
        let local_ip = self.nodes[from.index()].endpoint.listeners().iter().find(|l| l.id == from_listener);
        let Some(local_ip) = local_ip.map(|listener| listener.local.ip()) else {
            return Err((Some(to), Duration::ZERO));
        };
        self.ports = self.ports.wrapping_add(1);
        let local = SocketAddr::new(local_ip, 20_000 + self.ports % 40_000);
        let mut accepting = End::new(to, accepts, target.addr, now);
        accepting.busy_until = healed.unwrap_or(now) + delay * 2;
        let ends = [End::new(from, from_listener, local, now), accepting];
        Ok(self.network.streams.open(target.transport, ends))
    }

    fn send_over(&mut self, from: NodeId, connection: ConnectionId, bytes: Bytes, order: Order) {
        let now = self.now;
        let found = self.network.streams.get_mut(connection);
        let found = found.and_then(|open| Some((open.transport, open.end_of(from)?, open)));
        let Some((transport, end, open)) = found else {
            // The connection has ended: whoever holds a flow of it is told so.
            let fails = Duration::ZERO;
            self.network.trace_mut().sent(now, from, None, Transport::Tcp, bytes, Fate::Nobody);
            return self.tell_of_failure(order, fails);
        };
        let there = 1 - end;
        let (to, busy_until) = (open.ends[there].node, open.ends[there].busy_until);
        let mut starts = now;
        if let Some(healed) = self.network.separated_until(now, from, to) {
            if healed.saturating_duration_since(now) > STREAM_PATIENCE {
                self.network.trace_mut().sent(now, from, Some(to), transport, bytes, Fate::Partitioned);
                self.tell_of_failure(order, STREAM_PATIENCE);
                return self.after(STREAM_PATIENCE, move |world| world.cut(connection));
            }
            starts = healed;
        }
        self.network.trace_mut().sent(now, from, Some(to), transport, bytes.clone(), Fate::Delivered);
        let delay = self.network.stream_delay(from, to);
        let at = (starts + delay).max(busy_until);
        let whole_messages = matches!(transport, Transport::Ws | Transport::Wss);
        let cut = self.network.cut_point(bytes.len()).filter(|_| !whole_messages);
        let mut last = at;
        match cut {
            None => self.schedule(at, Happening::StreamArrives { connection, end: there, octets: bytes }),
            Some(cut) => {
                last = at + Duration::from_millis(1);
                let (first, second) = (bytes.slice(..cut), bytes.slice(cut..));
                self.schedule(at, Happening::StreamArrives { connection, end: there, octets: first });
                self.schedule(last, Happening::StreamArrives { connection, end: there, octets: second });
            }
        }
        if let Some(open) = self.network.streams.get_mut(connection) {
            open.ends[there].busy_until = last;
        }
    }

    /// Asks the far end of a flow whether it is there, as the driver does: whoever is up answers, and over UDP the answer
    /// says where the question came from. What is lost is lost.
    pub(super) fn keep_alive(&mut self, shard: NodeId, flow: Flow) {
        let now = self.now;
        let from = self.home(shard);
        if self.nodes[from.index()].down {
            return;
        }
        let there_and_back = match flow.connection {
            Some(connection) => self.ping_stream(from, connection),
            None => self.ping_datagram(from, flow.remote),
        };
        let Some(takes) = there_and_back else {
            return self.note(Some(from), "keeps a flow alive, and is not answered");
        };
        self.note(Some(from), "keeps a flow alive");
        let mapped = flow.connection.is_none().then_some(flow.local);
        self.schedule(now + takes, Happening::KeptAlive { node: shard, flow, mapped });
    }

    fn ping_datagram(&mut self, from: NodeId, remote: SocketAddr) -> Option<Duration> {
        let now = self.now;
        let to = self.by_address.get(&remote.ip()).copied().filter(|to| !self.nodes[to.index()].down)?;
        listener(&self.nodes[to.index()], Transport::Udp, Some(remote.port()))?;
        let there = self.network.carry_datagram(now, from, to).1.into_iter().next()?;
        let back = self.network.carry_datagram(there, to, from).1.into_iter().next()?;
        Some(back.saturating_duration_since(now))
    }

    fn ping_stream(&mut self, from: NodeId, connection: ConnectionId) -> Option<Duration> {
        let now = self.now;
        let open = self.network.streams.get_mut(connection)?;
        let to = open.ends[1 - open.end_of(from)?].node;
        let starts = self.network.separated_until(now, from, to).unwrap_or(now);
        let takes = self.network.stream_delay(from, to) + self.network.stream_delay(to, from);
        Some(starts.saturating_duration_since(now) + takes)
    }

    pub(super) fn stream_arrives(&mut self, connection: ConnectionId, end: usize, octets: &Bytes) {
        let Some(open) = self.network.streams.get_mut(connection) else { return };
        let (node, flow) = (open.ends[end].node, open.flow(connection, end));
        for received in open.read(end, octets) {
            self.schedule(self.now, Happening::Arrives { node, flow, message: Box::new(received) });
        }
    }

    /// Ends a connection; both ends are told.
    pub(super) fn cut(&mut self, id: ConnectionId) {
        let Some(closed) = self.network.streams.close(id) else { return };
        let names = [0, 1].map(|end| self.name(closed.ends[end].node).to_owned());
        self.note(Some(closed.ends[0].node), format!("the connection of {} and {} is cut", names[0], names[1]));
        for end in [0, 1] {
            let (node, flow) = (closed.ends[end].node, closed.flow(id, end));
            self.schedule(self.now, Happening::StreamEnds { node, flow });
        }
    }

    fn tell_of_failure(&mut self, Order { shard: node, token }: Order, after: Duration) {
        if token != 0 {
            let at: Instant = self.now + after;
            self.schedule(at, Happening::TransmitFails { node, token });
        }
    }
}
