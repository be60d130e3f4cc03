//! Wakers for the users of nodes: what a future that a user polls is woken by.
//!
//! Within the world's one thread a wake-up is one more thing that happens, at the instant at which it was called, and a
//! user that wakes itself again and again is found to turn in a circle.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Wake, Waker};

use super::{Happening, NodeId, World};

/// The bells of all nodes.
pub(super) struct Bells {
    ring: Sender<NodeId>,
    rung: Receiver<NodeId>,
    /// Whose ringing is scheduled: ringing again before it was heard is nothing new.
    waiting: BTreeSet<NodeId>,
}

struct Bell {
    node: NodeId,
    ring: Sender<NodeId>,
}

impl Default for Bells {
    fn default() -> Bells {
        let (ring, rung) = mpsc::channel();
        Bells { ring, rung, waiting: BTreeSet::new() }
    }
}

impl Bells {
    pub(super) fn waker(&self, node: NodeId) -> Waker {
        Waker::from(Arc::new(Bell { node, ring: self.ring.clone() }))
    }

    /// A node's user is about to be told: what rings from now on is new.
    pub(super) fn heard(&mut self, node: NodeId) {
        self.waiting.remove(&node);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Bell>) {
        // A waker that has outlived its world wakes nobody.
        let _ = self.ring.send(self.node);
    }
}

impl World {
    /// Schedules what has rung since this was last asked, for now.
    pub(super) fn hear(&mut self) {
        while let Ok(node) = self.bells.rung.try_recv() {
            if self.bells.waiting.insert(node) {
                self.schedule(self.now, Happening::Rung { node });
            }
        }
    }
}
