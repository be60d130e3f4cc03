//! What MSRP goes over between the media sides of a stage: a session is bound when both ends name each other's path, and
//! what one sends the other has a moment later. A path that nobody here has is that of a peer who takes everything.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use client::media::{ChatMessage, MediaEvent, StreamId};
use testkit::{NodeId, World};

use crate::softphone::Softphone;

/// How long anything takes from one end to the other.
const DELAY: Duration = Duration::from_millis(20);
/// How often somebody looks whether it has arrived.
const LOOK: Duration = Duration::from_millis(10);

/// What is at one end of a session.
#[derive(Debug)]
struct End {
    node: NodeId,
    stream: StreamId,
    peer: Option<String>,
    bound: bool,
}

/// What a peer does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It takes them.
    Takes,
    /// It refuses them with this status.
    Refuses(u16),
    /// It says nothing.
    Silent,
}

/// See the module's text.
#[derive(Debug)]
pub struct Wire {
    ends: BTreeMap<String, End>,
    due: Vec<(Instant, NodeId, MediaEvent)>,
    carries: bool,
    /// What becomes of messages.
    pub peer: Peer,
    /// Whether sessions are ever bound.
    pub binds: bool,
}

impl Default for Wire {
    fn default() -> Wire {
        Wire { ends: BTreeMap::new(), due: Vec::new(), carries: false, peer: Peer::Takes, binds: true }
    }
}

impl Wire {
    /// An end with this path is there.
    pub(crate) fn open(&mut self, path: &str, node: NodeId, stream: StreamId) {
        self.ends.insert(path.to_owned(), End { node, stream, peer: None, bound: false });
    }

    /// An end learns its peer's path.
    pub(crate) fn join(&mut self, now: Instant, path: &str, peer: &str) {
        let Some(end) = self.ends.get_mut(path) else { return };
        end.peer = Some(peer.to_owned());
        if !self.binds {
            return;
        }
        let is_foreign = !self.ends.contains_key(peer);
        let is_mutual = self.ends.get(peer).is_some_and(|end| end.peer.as_deref() == Some(path));
        if is_foreign || is_mutual {
            for path in [path, peer] {
                let Some(end) = self.ends.get_mut(path).filter(|end| !end.bound) else { continue };
                end.bound = true;
                self.due.push((now + DELAY, end.node, MediaEvent::ChatBound { stream: end.stream }));
            }
        }
    }

    /// One end sends a message.
    pub(crate) fn send(&mut self, now: Instant, path: &str, message: ChatMessage) {
        let Some(end) = self.ends.get(path) else { return };
        let (node, stream, id) = (end.node, end.stream, message.id.clone());
        let there = now + DELAY;
        let taken = (200, "OK");
        let answer = match self.peer {
            Peer::Takes => Some(taken),
            Peer::Refuses(code) => Some((code, "Unwanted Message")),
            Peer::Silent => None,
        };
        if answer == Some(taken)
            && let Some(other) = end.peer.as_ref().and_then(|peer| self.ends.get(peer))
        {
            let got = MediaEvent::ChatGot { stream: other.stream, message: Box::new(message) };
            self.due.push((there, other.node, got));
        }
        let (wait, event) = match answer {
            Some((200, reason)) => (DELAY, MediaEvent::ChatDelivered { stream, id, code: 200, reason: reason.into() }),
            Some((code, reason)) => (DELAY, MediaEvent::ChatNotDelivered { stream, id, code, reason: reason.into() }),
            None => {
                let reason = "Request Timeout".into();
                (Duration::from_secs(30), MediaEvent::ChatNotDelivered { stream, id, code: 408, reason })
            }
        };
        self.due.push((there + wait, node, event));
    }

    /// One end is closed; the other sees its connection end.
    pub(crate) fn close(&mut self, now: Instant, path: &str) {
        let Some(end) = self.ends.remove(path) else { return };
        self.due.retain(|(_, node, event)| *node != end.node || stream_of(event) != Some(end.stream));
        let other = end.peer.filter(|_| end.bound).and_then(|peer| self.ends.get(&peer));
        if let Some(other) = other.filter(|other| other.bound) {
            let failed = MediaEvent::Failed { stream: other.stream, reason: "Connection lost".into() };
            self.due.push((now + DELAY, other.node, failed));
        }
    }

    /// Lets what is on its way arrive, from now on until nobody is there any more.
    pub(crate) fn carry(wire: &Rc<RefCell<Wire>>, world: &mut World) {
        {
            let mut wire = wire.borrow_mut();
            if wire.carries || wire.ends.is_empty() && wire.due.is_empty() {
                return;
            }
            wire.carries = true;
        }
        look(Rc::clone(wire), world);
    }
}

fn look(wire: Rc<RefCell<Wire>>, world: &mut World) {
    let now = world.now();
    let mut arrived: Vec<_> = wire.borrow_mut().due.extract_if(.., |(at, ..)| *at <= now).collect();
    arrived.sort_by_key(|(at, ..)| *at);
    for (_, node, event) in arrived {
        world.with(node, |phone: &mut Softphone, now, endpoint| {
            // It may have been closed by what came just before.
            if stream_of(&event).is_none_or(|stream| phone.media.has(stream)) {
                phone.media_event(now, endpoint, event);
            }
        });
    }
    let goes_on = {
        let wire = wire.borrow();
        !wire.ends.is_empty() || !wire.due.is_empty()
    };
    wire.borrow_mut().carries = goes_on;
    if goes_on {
        world.after(LOOK, move |world| look(wire, world));
    }
}

fn stream_of(event: &MediaEvent) -> Option<StreamId> {
    match event {
        MediaEvent::ChatBound { stream }
        | MediaEvent::ChatGot { stream, .. }
        | MediaEvent::ChatDelivered { stream, .. }
        | MediaEvent::ChatNotDelivered { stream, .. }
        | MediaEvent::Failed { stream, .. } => Some(*stream),
        _ => None,
    }
}
