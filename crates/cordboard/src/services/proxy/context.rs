//! The response context of one forwarded request: RFC 3261 §16.7 to §16.10.
//!
//! ```text
//!                      ┌───────────────── request ──────────────────┐
//!                      ▼                                            │
//!   targets waiting ──► branches: Calling ─1xx─► Proceeding ─final─► Ended
//!         ▲                │                        │                 │
//!         │                │ Failed counts as 408   │ 1xx: forward    │ 2xx: forward, cancel the others
//!         └── recursion ◄──┴──────── 3xx ───────────┴──── 3xx–6xx: remember the best; 6xx: cancel all
//!                                                         no branch and no target left: forward the best
//! ```
//!
//! A context lives until its transactions have ended (§16.7 step 9), so that a 2xx of another branch, or the same once
//! more, still finds its way (RFC 6026 §7.1). After the final response it is a few dozen octets.

use std::collections::VecDeque;
use std::time::Instant;

use sip_endpoint::{ClientId, ServerId, TimerId};
use sip_message::{Flow, Request, Response};
use smallvec::SmallVec;

use super::best::{Best, Candidate};
use super::targets::Target;

/// See the module's text.
pub(crate) struct Context {
    pub(crate) server: ServerId,
    /// It is an INVITE: it is cancelled, has Timer C, and may have several 2xx.
    pub(crate) is_invite: bool,
    /// Its targets are ours: the location service has chosen them.
    pub(crate) responsible: bool,
    /// A final response was forwarded.
    pub(crate) answered: bool,
    /// No new branch may begin: it was cancelled, or a 6xx has come.
    pub(crate) closed: bool,
    pub(crate) branches: SmallVec<[Branch; 1]>,
    /// How many requests of ours have not ended.
    pub(crate) live: u16,
    pub(crate) timer_c: Option<TimerId>,
    /// What is needed until a final response is forwarded.
    pub(crate) open: Option<Box<Open>>,
}

/// What a context needs only as long as it has not answered.
pub(crate) struct Open {
    /// What a response of our own is made of.
    pub(crate) ours: Response,
    pub(crate) best: Option<Best>,
    /// What is needed for more branches; `None` when there will be none.
    pub(crate) forking: Option<Forking>,
}

/// What more branches are made of.
pub(crate) struct Forking {
    pub(crate) request: Request,
    /// By falling preference.
    pub(crate) waiting: VecDeque<Target>,
    /// The preference of the targets that are being tried in parallel.
    pub(crate) group: u16,
    /// Every URI that was a target: none becomes one twice (§16.5).
    pub(crate) tried: Vec<Box<str>>,
    pub(crate) from: Flow,
    pub(crate) max_forwards: u8,
    pub(crate) mark: Option<u64>,
    /// RFC 5393 §5.3.2: Incoming Max-Breadth.
    pub(crate) breadth: u32,
    /// All targets are one instance's (RFC 5627 §6.1).
    pub(crate) one_instance: bool,
    /// We may add the contacts of a 3xx (§16.5: only where the Request-URI is ours).
    pub(crate) recurses: bool,
    /// The Request-URI was a `sips` one: no other kind is recursed to (§16.7 step 4).
    pub(crate) secure: bool,
}

/// One request that was sent for the context.
pub(crate) struct Branch {
    pub(crate) client: Option<ClientId>,
    pub(crate) state: BranchState,
    /// Timer C of this branch.
    pub(crate) deadline: Instant,
    /// Its share of the breadth.
    pub(crate) breadth: u32,
    /// It went over a flow, so that its failure is the flow's (RFC 5626 §5.3.1).
    pub(crate) over_flow: bool,
    pub(crate) cancelled: bool,
    /// The instance that it leads to; empty when unknown.
    pub(crate) instance: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BranchState {
    /// Nothing has come back.
    Calling,
    /// A provisional response has.
    Proceeding,
    /// A final response has, or none ever will.
    Ended,
}

impl Context {
    /// Whether a branch still waits for its final response.
    pub(crate) fn is_waiting(&self) -> bool {
        self.branches.iter().any(|branch| branch.state != BranchState::Ended)
    }

    /// Outgoing Max-Breadth (RFC 5393 §5.3.2).
    pub(crate) fn breadth_in_use(&self) -> u32 {
        let active = self.branches.iter().filter(|branch| branch.state != BranchState::Ended);
        active.map(|branch| branch.breadth).sum()
    }

    pub(crate) fn remember(&mut self, candidate: Candidate) {
        let Some(open) = &mut self.open else { return };
        match &mut open.best {
            Some(best) => best.consider(candidate),
            best => *best = Some(Best::new(candidate)),
        }
        if open.best.as_ref().is_some_and(Best::is_global_failure) {
            self.closed = true;
        }
    }

    /// Whether a target of the same instance is being tried.
    pub(crate) fn is_trying_instance(&self, instance: &str) -> bool {
        !instance.is_empty()
            && self.branches.iter().any(|branch| {
                branch.state != BranchState::Ended
                    && crate::services::location::same_instance(&branch.instance, instance)
            })
    }
}

impl Forking {
    pub(crate) fn has_tried(&self, uri: &str) -> bool {
        self.tried.iter().any(|tried| crate::services::location::equivalent(tried, uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a call that was answered costs until its transactions have ended: the context and its three table entries.
    #[test]
    fn an_answered_call_costs_less_than_a_kibibyte() {
        let entries = size_of::<(u64, usize)>() + size_of::<(ServerId, u64)>() + size_of::<(ClientId, (u64, u16))>();
        // Tables are at least half full but for a moment, and each entry has an octet of its own.
        assert!(size_of::<Context>() + 2 * (entries + 3) < 512);
    }
}
