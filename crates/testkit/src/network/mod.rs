//! What lies between the nodes of a world: links that lose, delay, reorder and repeat datagrams, streams that can be
//! cut, and partitions. Every chance comes from the world's seed.

mod partition;
mod stream;
mod trace;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(crate) use stream::{End, Streams};
pub use trace::{Fate, Trace};

use crate::random::Random;
use crate::world::NodeId;
use partition::Partitions;

/// How one direction between two nodes treats what is sent over it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// How many of a hundred datagrams are lost, as a fraction: 0.0 to 1.0.
    pub loss: f64,
    /// How many datagrams come twice, as a fraction.
    pub duplication: f64,
    /// What every message takes.
    pub delay: Duration,
    /// What a message may take longer. Every datagram draws its own delay, so that whatever is sent within this time
    /// may change its order.
    pub jitter: Duration,
}

impl Link {
    /// Ten milliseconds, always.
    pub const PERFECT: Link = Link::with_delay(Duration::from_millis(10));

    /// A link without faults that takes its time.
    pub const fn with_delay(delay: Duration) -> Link {
        Link { loss: 0.0, duplication: 0.0, delay, jitter: Duration::ZERO }
    }

    /// The same with so much loss.
    pub const fn with_loss(self, loss: f64) -> Link {
        Link { loss, ..self }
    }

    /// The same with so many copies.
    pub const fn with_duplication(self, duplication: f64) -> Link {
        Link { duplication, ..self }
    }

    /// The same with so much jitter, and the reordering that comes of it.
    pub const fn with_jitter(self, jitter: Duration) -> Link {
        Link { jitter, ..self }
    }
}

impl Default for Link {
    fn default() -> Link {
        Link::PERFECT
    }
}

/// Links, partitions and streams of a world.
pub struct Network {
    random: Random,
    everywhere: Link,
    links: BTreeMap<(NodeId, NodeId), Link>,
    partitions: Partitions,
    /// How many of the next datagrams of a direction are lost, whatever the link says.
    to_be_lost: BTreeMap<(NodeId, NodeId), u32>,
    pub(crate) streams: Streams,
    trace: Trace,
}

impl Network {
    pub(crate) fn new(random: Random, epoch: Instant) -> Network {
        Network {
            random,
            everywhere: Link::PERFECT,
            links: BTreeMap::new(),
            partitions: Partitions::default(),
            to_be_lost: BTreeMap::new(),
            streams: Streams::default(),
            trace: Trace::new(epoch),
        }
    }

    /// Sets the link between all nodes that have none of their own.
    pub fn set_everywhere(&mut self, link: Link) {
        self.everywhere = link;
    }

    /// Sets the link between two nodes, in both directions.
    pub fn set_between(&mut self, one: NodeId, other: NodeId, link: Link) {
        self.set_from_to(one, other, link);
        self.set_from_to(other, one, link);
    }

    /// Sets one direction of the link between two nodes.
    pub fn set_from_to(&mut self, from: NodeId, to: NodeId, link: Link) {
        self.links.insert((from, to), link);
    }

    /// The link from a node to another.
    pub fn link(&self, from: NodeId, to: NodeId) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or(self.everywhere)
    }

    /// Nothing passes between two nodes in this span. Datagrams are lost; streams wait for its end, or break.
    pub fn partition(&mut self, one: NodeId, other: NodeId, from: Instant, until: Instant) {
        self.partitions.add(one, other, from, until);
    }

    /// The next `count` datagrams from one node to the other are lost.
    pub fn lose_next(&mut self, from: NodeId, to: NodeId, count: u32) {
        *self.to_be_lost.entry((from, to)).or_default() += count;
    }

    /// What was sent so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    pub(crate) fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// When the partition that separates two nodes now will end.
    pub(crate) fn separated_until(&self, now: Instant, one: NodeId, other: NodeId) -> Option<Instant> {
        self.partitions.separated_until(now, one, other)
    }

    /// What happens to a datagram, and when it arrives: never, once, or twice.
    pub(crate) fn carry_datagram(&mut self, now: Instant, from: NodeId, to: NodeId) -> (Fate, Vec<Instant>) {
        if self.separated_until(now, from, to).is_some() {
            return (Fate::Partitioned, Vec::new());
        }
        if let Some(count) = self.to_be_lost.get_mut(&(from, to)).filter(|count| **count > 0) {
            *count -= 1;
            return (Fate::Lost, Vec::new());
        }
        let link = self.link(from, to);
        if self.random.chance(link.loss) {
            return (Fate::Lost, Vec::new());
        }
        let mut arrivals = vec![now + self.delay(&link)];
        if self.random.chance(link.duplication) {
            arrivals.push(now + self.delay(&link));
            return (Fate::Duplicated, arrivals);
        }
        (Fate::Delivered, arrivals)
    }

    /// What a segment of a stream takes.
    pub(crate) fn stream_delay(&mut self, from: NodeId, to: NodeId) -> Duration {
        let link = self.link(from, to);
        let mut delay = self.delay(&link);
        // What would be lost as a datagram is repeated by the stream, and comes later.
        while self.random.chance(link.loss.min(0.9)) {
            delay += Duration::from_millis(200);
        }
        delay
    }

    /// Where octets of a stream are cut in two on their way, if they are.
    pub(crate) fn cut_point(&mut self, len: usize) -> Option<usize> {
        (len > 1 && self.random.chance(0.25)).then(|| self.random.between(1, len as u64 - 1) as usize)
    }

    fn delay(&mut self, link: &Link) -> Duration {
        link.delay + self.random.duration(Duration::ZERO, link.jitter)
    }
}
