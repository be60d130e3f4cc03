//! The proxy: stateful, record-routing, forking. RFC 3261 §16 with RFC 5393 (loops and breadth), RFC 6026 (late 2xx),
//! RFC 3327 and RFC 5626 (Path, flows), as the SIP Servlet model has it.
//!
//! ```text
//!   request.proxy() ──► Proxying ── create_proxy_branches ──► Branch: New
//!                          │                                    │ start_proxy
//!                          │                      search        ▼
//!                          │        Waiting ───────────────► Calling ──1xx──► Proceeding
//!                          │           ▲                        │                 │
//!                          │           └──── recursion ◄──3xx───┴───── final ─────┘
//!                          │                                    ▼
//!                          │                 Ended: 2xx goes upstream at once, all of them; else it is a candidate
//!                          ▼
//!           no branch runs or waits: the best candidate is shown to the application, and goes upstream
//! ```
//!
//! A request of a dialog that passes through goes the same way with one branch, and its response straight back
//! ([`Stage::Relaying`]). What is sent is sent by the endpoint's transactions or to another application of this container;
//! nothing is repeated here. After the final response a proxy operation is a few dozen octets, and after its transactions
//! nothing: requests of the dialog find their session by our Record-Route.

mod best;
mod branch;
mod cancel;
mod ending;
mod hops;
mod options;
mod record_route;
mod recursion;
mod response;
mod search;
mod spi;
mod subsequent;
mod timeouts;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use servlet::spi::{AppId, AppSessionKey, BranchKey, Interface, ProxyKey, SessionKey, TransactionKey};
use servlet::{SipServletRequest, SipServletResponse};
use sip_message::{Flow, Method, Request, Response, UriBuf};
use smallvec::SmallVec;

use crate::state::{Armed, State};
use best::Best;
use hops::Hops;

/// RFC 3261 §16.6 step 11: more than three minutes.
const TIMER_C: Duration = Duration::from_secs(181);

/// The proxy operation of one request.
pub(crate) struct Proxying {
    /// The request's transaction.
    server: TransactionKey,
    session: SessionKey,
    app: AppId,
    app_session: AppSessionKey,
    method: Method,
    stage: Stage,
    parallel: bool,
    supervised: bool,
    no_cancel: bool,
    /// No new branch may begin: it was cancelled by the caller, or a 6xx has come.
    closed: bool,
    /// The caller has given up.
    cancelled: bool,
    /// A 2xx has come and is on its way upstream.
    succeeded: bool,
    /// The application is being told of the best response.
    showing_best: bool,
    /// How many client transactions have not ended.
    live: u16,
    timeout: Duration,
    deadline: Option<Instant>,
    pub(crate) timer: Armed,
    /// All of them, also those of redirections.
    branches: SmallVec<[BranchKey; 1]>,
    /// What is needed until a final response has gone upstream.
    open: Option<Box<Open>>,
}

/// How far a proxy operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent.
    New,
    /// Branches are tried.
    Searching,
    /// It is a request of a dialog, which goes where its Route leads.
    Relaying,
    /// A final response has gone upstream.
    Answered,
}

/// What a proxy operation has only as long as it has not answered.
struct Open {
    /// What branches begin with.
    plan: Plan,
    recurse: bool,
    record_route: bool,
    add_to_path: bool,
    hops: Hops,
    /// The Request-URI was a `sips` one: no other kind is recursed to (RFC 3261 §16.7 step 4).
    secure: bool,
    /// Branches that were started and wait for their turn.
    waiting: VecDeque<BranchKey>,
    best: Option<Best>,
    /// What the application itself has answered when it was told of the best response.
    replacement: Option<Box<Response>>,
}

/// How a branch's request is to leave.
#[derive(Clone, Debug, Default)]
struct Plan {
    flow: Option<Flow>,
    /// The application has chosen the flow, and not the request's Route.
    flow_is_chosen: bool,
    interface: Option<Interface>,
    /// The application's parameters of the URI in Record-Route, each with its semicolon.
    record_route: Option<Box<str>>,
    /// Those of the URI in the Path.
    path: Option<Box<str>>,
}

/// One target.
pub(crate) struct Branch {
    proxy: ProxyKey,
    /// The branch whose redirection has made this one.
    parent: Option<BranchKey>,
    client: Option<TransactionKey>,
    state: BranchState,
    recurse: bool,
    record_route: bool,
    add_to_path: bool,
    cancelled: bool,
    timed_out: bool,
    /// It went over a flow, so that its failure is the flow's (RFC 5626 §5.3.1).
    over_flow: bool,
    /// The application has chosen that flow.
    over_chosen_flow: bool,
    /// Its share of the breadth (RFC 5393 §5.3).
    breadth: u32,
    timeout: Duration,
    deadline: Option<Instant>,
    pub(crate) timer: Armed,
    /// Until it has left.
    plan: Option<Box<Plan>>,
    target: Option<UriBuf>,
    request: Sent,
    /// The last one, where the application is told of responses.
    response: Option<SipServletResponse>,
    /// The 2xx that have come, by a hash of the To tag: the same one again is none of the application's business.
    successes: SmallVec<[u32; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum BranchState {
    New,
    /// Started, and in the queue.
    Waiting,
    /// Nothing has come back.
    Calling,
    /// A provisional response has.
    Proceeding,
    /// A final response has, or none ever will.
    Ended,
}

/// A branch's request.
enum Sent {
    /// It can be made of the original.
    Nothing,
    /// As it has left; a handle is made when somebody asks.
    Request(Box<Request>),
    Handle(SipServletRequest),
}

/// What a proxy does when the application was told of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The branch's last response goes upstream.
    Forward(BranchKey),
    /// A branch has failed: the search goes on.
    Failed(ProxyKey),
    /// The best response goes upstream, unless the application has had another idea.
    Best(ProxyKey),
}

impl Branch {
    fn new(proxy: ProxyKey, target: Option<UriBuf>, timeout: Duration) -> Branch {
        Branch {
            proxy,
            parent: None,
            client: None,
            state: BranchState::New,
            recurse: false,
            record_route: false,
            add_to_path: false,
            cancelled: false,
            timed_out: false,
            over_flow: false,
            over_chosen_flow: false,
            breadth: 0,
            timeout,
            deadline: None,
            timer: Armed::No,
            plan: None,
            target,
            request: Sent::Nothing,
            response: None,
            successes: SmallVec::new(),
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.state, BranchState::Calling | BranchState::Proceeding)
    }

    fn is_started(&self) -> bool {
        self.state > BranchState::Waiting
    }
}

impl Proxying {
    fn is_invite(&self) -> bool {
        self.method == Method::Invite
    }

    fn is_answered(&self) -> bool {
        self.stage == Stage::Answered
    }
}

impl State {
    fn branches_of<'s>(&'s self, proxy: &'s Proxying) -> impl Iterator<Item = (BranchKey, &'s Branch)> {
        proxy.branches.iter().filter_map(|key| Some((*key, &**self.branches.get(*key)?)))
    }

    /// Whether a branch of this operation waits for its final response.
    fn is_running(&self, key: ProxyKey) -> bool {
        self.proxies.get(key).is_some_and(|proxy| self.branches_of(proxy).any(|(_, branch)| branch.is_running()))
    }

    fn proxy_of_branch(&self, key: BranchKey) -> Option<(ProxyKey, &Proxying)> {
        let key = self.branches.get(key)?.proxy;
        Some((key, self.proxies.get(key)?))
    }

    /// A branch waits for nothing any more.
    fn end_branch(&mut self, key: BranchKey) {
        let Some(branch) = self.branches.get_mut(key) else { return };
        branch.state = BranchState::Ended;
        branch.plan = None;
        branch.deadline = None;
        let mut timer = std::mem::take(&mut branch.timer);
        self.disarm(&mut timer);
    }

    /// The application session that an operation is part of.
    pub(crate) fn proxy_owner(&self, key: ProxyKey) -> Option<AppSessionKey> {
        Some(self.proxies.get(key)?.app_session)
    }

    /// The application session that a branch is part of.
    pub(crate) fn branch_owner(&self, key: BranchKey) -> Option<AppSessionKey> {
        self.proxy_owner(self.branches.get(key)?.proxy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an answered call costs until its transactions have ended.
    #[test]
    fn an_answered_call_costs_less_than_half_a_kibibyte() {
        assert!(size_of::<Proxying>() + size_of::<Branch>() < 512);
    }
}
