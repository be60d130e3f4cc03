//! Keeping a flow alive: RFC 5626 §4.4. A translator on the way forgets what is silent, and a far end that is gone does not
//! say so.
//!
//! ```text
//!   Resting ──the interval is over──► Asked ──answer──────────────────► Resting
//!                                      │  └──no answer in time──► again, over UDP
//!                                      ▼ no answer to the last
//!                                     lost: register again
//! ```
//!
//! The octets (STUN over UDP, line ends over streams) are the transport's.

use std::net::SocketAddr;
use std::time::Duration;

use sip_endpoint::TimerId;
use sip_message::Flow;

use super::sending::{Bench, Owner};

/// How long an answer may take (§4.4.1).
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Over UDP a question or its answer may be lost: so often it is asked, within the same time.
const QUESTIONS: u8 = 4;
/// "keepalives … between 24 and 29 seconds" (§4.4.2), which the usual translator bears.
const OVER_DATAGRAMS: (Duration, Duration) = (Duration::from_secs(24), Duration::from_secs(29));
/// "between 95 and 120 seconds" (§4.4.1), and the answer is back before a connection that has been idle for two minutes is
/// closed by either end.
const OVER_STREAMS: (Duration, Duration) = (Duration::from_secs(95), Duration::from_secs(115));

/// Who keeps a flow.
#[derive(Debug)]
pub(super) struct Keeper {
    flow: Flow,
    owner: Owner,
    interval: (Duration, Duration),
    /// Whether the far end has promised to answer (`Require: outbound`), so that silence means something.
    promised: bool,
    timer: Option<TimerId>,
    /// How often it was asked since the last answer.
    asked: u8,
    /// Our address as the far end sees it.
    mapped: Option<SocketAddr>,
}

/// What became of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is there, as far as is known.
    Alive,
    /// Its far end does not answer.
    Silent,
    /// A translator on the way gives us another address now: what was registered is not ours any more (§4.4.2).
    Moved,
}

impl Keeper {
    /// Keeps this flow from now on. `flow_timer`: what the registrar has said (§4.4: "between 80% and 100%").
    pub(super) fn begin(
        bench: &mut Bench<'_, '_>,
        owner: Owner,
        flow: Flow,
        flow_timer: Option<Duration>,
        promised: bool,
    ) -> Keeper {
        let usual = if flow.connection.is_some() { OVER_STREAMS } else { OVER_DATAGRAMS };
        let interval = match flow_timer.filter(|told| !told.is_zero()) {
            Some(told) => (usual.0.min(told * 4 / 5), usual.1.min(told)),
            None => usual,
        };
        let mut keeper = Keeper { flow, owner, interval, promised, timer: None, asked: 0, mapped: None };
        keeper.rest(bench);
        keeper
    }

    pub(super) fn flow(&self) -> &Flow {
        &self.flow
    }

    pub(super) fn end(&mut self, bench: &mut Bench<'_, '_>) {
        bench.cancel_timer(self.timer.take());
    }

    /// When a timer of the owner's fires; `None` when it was another's.
    pub(super) fn timer_fired(&mut self, bench: &mut Bench<'_, '_>, timer: TimerId) -> Option<Kept> {
        if self.timer != Some(timer) {
            return None;
        }
        self.timer = None;
        let questions = if self.flow.connection.is_some() { 1 } else { QUESTIONS };
        if !self.promised {
            // It keeps the translator awake; who does not answer may never have heard of such questions.
            bench.desk.endpoint.keep_alive(self.flow);
            self.rest(bench);
        } else if self.asked == questions {
            return Some(Kept::Silent);
        } else {
            self.asked += 1;
            bench.desk.endpoint.keep_alive(self.flow);
            self.timer = Some(bench.set_timer(self.owner, ANSWER_WITHIN / u32::from(questions)));
        }
        Some(Kept::Alive)
    }

    /// When the far end of a flow has answered.
    pub(super) fn answered(&mut self, bench: &mut Bench<'_, '_>, flow: &Flow, mapped: Option<SocketAddr>) -> Kept {
        if *flow != self.flow {
            return Kept::Alive;
        }
        if self.asked > 0 {
            self.asked = 0;
            self.rest(bench);
        }
        match (self.mapped, mapped) {
            (Some(before), Some(now)) if before != now => Kept::Moved,
            (_, Some(now)) => {
                self.mapped = Some(now);
                Kept::Alive
            }
            _ => Kept::Alive,
        }
    }

    fn rest(&mut self, bench: &mut Bench<'_, '_>) {
        bench.cancel_timer(self.timer.take());
        let after = bench.between(self.interval.0, self.interval.1);
        self.timer = Some(bench.set_timer(self.owner, after));
    }
}
