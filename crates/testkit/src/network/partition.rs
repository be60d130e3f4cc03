//! Spans of time in which nothing passes between two nodes.

use std::time::Instant;

use crate::world::NodeId;

#[derive(Clone, Debug, Default)]
pub(crate) struct Partitions {
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    between: (NodeId, NodeId),
    from: Instant,
    until: Instant,
}

impl Partitions {
    pub(crate) fn add(&mut self, one: NodeId, other: NodeId, from: Instant, until: Instant) {
        self.spans.push(Span { between: pair(one, other), from, until });
    }

    pub(crate) fn separated_until(&self, now: Instant, one: NodeId, other: NodeId) -> Option<Instant> {
        let spans = self.spans.iter().filter(|span| span.between == pair(one, other));
        spans.filter(|span| span.from <= now && now < span.until).map(|span| span.until).max()
    }
}

fn pair(one: NodeId, other: NodeId) -> (NodeId, NodeId) {
    (one.min(other), one.max(other))
}
