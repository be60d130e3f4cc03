//! The MSRP connection of a stream is lost. The stream is over at once, the session not: a peer that removes the stream or
//! hangs up closes the connection, too, and it is chance which of both arrives first.
//!
//! ```text
//!   Failed ──► GotStreamUpdate without it ──┬── re-INVITE, BYE ──► as the peer says
//!                                           └── nothing ──┬── other streams: re-INVITE with port 0
//!                                                         └── none: BYE
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::core::Session;
use super::queue::Command;
use super::work::{Alarm, Work};
use crate::media::StreamId;
use crate::streams::StreamKind;

/// How long the peer may take to say that it was its will: a few retransmissions (RFC 3261 T1 is 500 ms).
const PATIENCE: Duration = Duration::from_secs(4);

impl Session {
    pub(super) fn connection_is_lost(&mut self, work: &mut Work<'_>, id: StreamId, kind: StreamKind, reason: Arc<str>) {
        self.drop_chat(work, id, &reason);
        self.forget_stream(work, id);
        self.tell_streams(work);
        self.lost = Some((kind, reason));
        self.set_alarm(work, Alarm::Loss, PATIENCE);
    }

    /// The peer says nothing of it.
    pub(super) fn loss_stands(&mut self, work: &mut Work<'_>) {
        let Some((kind, reason)) = self.lost.take() else { return };
        let is_replaced = self.streams.iter().any(|stream| stream.kind == kind);
        if !self.is_up() || is_replaced || !self.has_line(kind) {
            return;
        }
        if self.active_streams().is_empty() {
            self.lost = Some((kind, Arc::clone(&reason)));
            self.end(work, Some(reason));
        } else {
            self.enqueue_own(Command::Remove(kind));
        }
    }
}
