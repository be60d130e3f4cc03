//! What was sent in a world, and how it is shown when a story fails: a ladder.
//!
//! ```text
//!     seconds   alice            proxy            bob
//!       0.000     |----INVITE----->|                |
//!       0.010     |                |----INVITE----->|
//!       0.010     |<-----100-------|                |
//!       0.020     |                |  <lost>--180---|
//! ```

use std::fmt::Write as _;
use std::time::Instant;

use bytes::Bytes;
use sip_message::header::Cseq;
use sip_message::{HeaderName, Limits, Message, Transport, parse_datagram};

use crate::fields;
use crate::world::NodeId;

/// What became of a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived.
    Delivered,
    /// It arrived twice.
    Duplicated,
    /// The link lost it.
    Lost,
    /// It met a partition.
    Partitioned,
    /// There is nobody at that address, or nobody listens.
    Nobody,
}

/// Everything that was sent in a world, in order.
pub struct Trace {
    epoch: Instant,
    lines: Vec<Line>,
}

struct Line {
    at: Instant,
    what: What,
}

enum What {
    Sent { from: NodeId, to: Option<NodeId>, transport: Transport, bytes: Bytes, fate: Fate },
    Noted { by: Option<NodeId>, text: String },
}

/// How wide the column of a node is.
const COLUMN: usize = 18;

impl Trace {
    pub(crate) fn new(epoch: Instant) -> Trace {
        Trace { epoch, lines: Vec::new() }
    }

    pub(crate) fn sent(
        &mut self,
        at: Instant,
        from: NodeId,
        to: Option<NodeId>,
        transport: Transport,
        bytes: Bytes,
        fate: Fate,
    ) {
        self.lines.push(Line { at, what: What::Sent { from, to, transport, bytes, fate } });
    }

    pub(crate) fn note(&mut self, at: Instant, by: Option<NodeId>, text: String) {
        self.lines.push(Line { at, what: What::Noted { by, text } });
    }

    /// How many messages were sent.
    pub fn len(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line.what, What::Sent { .. })).count()
    }

    /// Whether no message was sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The messages from one node to another, in order, with what became of them.
    pub fn between(&self, from: NodeId, to: NodeId) -> impl Iterator<Item = (Message, Fate)> {
        self.lines.iter().filter_map(move |line| match &line.what {
            What::Sent { from: f, to: Some(t), bytes, fate, .. } if *f == from && *t == to => {
                Some((parse_datagram(bytes.clone(), &Limits::default()).ok()?, *fate))
            }
            _ => None,
        })
    }

    /// The ladder of one call, or of everything. `names`: those of the nodes, by their ids.
    pub fn ladder(&self, call_id: Option<&str>, names: &[&str]) -> String {
        let lines: Vec<(&Line, String)> =
            self.lines.iter().filter_map(|line| Some((line, shown(&line.what, call_id)?))).collect();
        let columns = columns(&lines, names.len());
        let mut out = String::new();
        let _ = write!(out, "\n  {:>9}  ", "seconds");
        for node in &columns {
            let _ = write!(out, "{:<COLUMN$}", names.get(node.index()).unwrap_or(&"?"));
        }
        for (line, text) in &lines {
            let _ = write!(out, "\n  {:>9.3}  ", line.at.saturating_duration_since(self.epoch).as_secs_f64());
            draw(&mut out, &columns, &line.what, text);
        }
        out.push('\n');
        out
    }
}

/// What a line says; `None` when it is of another call.
fn shown(what: &What, call_id: Option<&str>) -> Option<String> {
    let (bytes, transport) = match what {
        What::Sent { bytes, transport, .. } => (bytes, transport),
        What::Noted { text, .. } => return Some(text.clone()),
    };
    let stream = if *transport == Transport::Udp { "" } else { "*" };
    let Ok(message) = parse_datagram(bytes.clone(), &Limits::default()) else {
        return Some(format!("malformed{stream}"));
    };
    if call_id.is_some() && message.headers().first(HeaderName::CallId) != call_id {
        return None;
    }
    let cseq = message.headers().get::<Cseq>().and_then(Result::ok);
    let number = cseq.as_ref().map_or(0, |cseq| cseq.sequence);
    Some(match &message {
        Message::Request(request) => {
            let again = if fields::to_tag(message.headers()).is_some() { "'" } else { "" };
            format!("{}{again} {number}{stream}", request.method())
        }
        Message::Response(response) => {
            let method = cseq.map_or(String::new(), |cseq| cseq.method.to_string());
            format!("{} {}{stream}", response.status().code(), method.get(..3).unwrap_or(&method))
        }
    })
}

/// The nodes that take part, in the order in which they were made; more than fit are left out.
fn columns(lines: &[(&Line, String)], count: usize) -> Vec<NodeId> {
    let takes_part = |node: NodeId| {
        lines.iter().any(|(line, _)| match &line.what {
            What::Sent { from, to, .. } => *from == node || *to == Some(node),
            What::Noted { by, .. } => *by == Some(node),
        })
    };
    (0..count).map(NodeId::at).filter(|node| takes_part(*node)).collect()
}

fn draw(out: &mut String, columns: &[NodeId], what: &What, text: &str) {
    let place = |node: &NodeId| columns.iter().position(|column| column == node);
    let (from, to, fate) = match what {
        What::Noted { by, .. } => {
            let indent = by.as_ref().and_then(place).unwrap_or(0) * COLUMN;
            let _ = write!(out, "{:indent$}* {text}", "");
            return;
        }
        What::Sent { from, to, fate, .. } => (place(from), to.as_ref().and_then(place), *fate),
    };
    let Some(from) = from else { return };
    let to = to.unwrap_or(if from == 0 { 1 } else { from - 1 });
    let (left, right) = (from.min(to), from.max(to));
    let fate = match fate {
        Fate::Delivered => "",
        Fate::Duplicated => " x2",
        Fate::Lost => " LOST",
        Fate::Partitioned => " CUT",
        Fate::Nobody => " NOBODY",
    };
    for column in 0..columns.len().max(right + 1) {
        let inner = COLUMN - 1;
        if column < left || column > right || left == right {
            let _ = write!(out, "|{:inner$}", "");
        } else if column < right {
            let label = if column == left { format!("{text}{fate}") } else { String::new() };
            let (open, close) = match (from < to, column == left, column + 1 == right) {
                (true, _, true) => ('-', '>'),
                (false, true, _) => ('<', '-'),
                _ => ('-', '-'),
            };
            let _ = write!(out, "|{open}{label:-^width$}{close}", width = inner - 2);
        } else {
            let _ = write!(out, "|{:inner$}", "");
        }
    }
}
