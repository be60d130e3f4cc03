//! How an operation ends, and what is left of it: nothing, as soon as its transactions have ended (RFC 3261 §16.7 step 9,
//! §16.9).

use servlet::spi::{BranchKey, ProxyKey};
use servlet::{SipServletRequest, SipServletResponse};
use sip_message::{Response, StatusCode};
use smallvec::SmallVec;

use super::{Branch, BranchState, Open, Proxying, Sent, Stage};
use crate::core::Core;
use crate::fsm;
use crate::order::Order;
use crate::state::State;
use crate::transaction::TransactionRole;

/// What an operation has let go of. Handles among it may run code of the application's when they are dropped, which must
/// not happen while the state is borrowed.
#[derive(Default)]
pub(super) struct Remains {
    _open: Option<Box<Open>>,
    pub(super) original: Option<SipServletRequest>,
    _handles: SmallVec<[(Sent, Option<SipServletResponse>); 1]>,
    _records: (Option<Box<Proxying>>, SmallVec<[Box<Branch>; 1]>),
}

impl State {
    /// A final response goes upstream: what was kept for it is not needed any more.
    #[must_use = "to be dropped when the state is not borrowed any more"]
    pub(super) fn close_proxy(&mut self, key: ProxyKey) -> Remains {
        let mut remains = Remains::default();
        let Some(proxy) = self.proxies.get_mut(key) else { return remains };
        proxy.stage = Stage::Answered;
        proxy.closed = true;
        proxy.showing_best = false;
        proxy.deadline = None;
        remains._open = proxy.open.take();
        let mut timer = std::mem::take(&mut proxy.timer);
        let (server, branches) = (proxy.server, proxy.branches.clone());
        self.disarm(&mut timer);
        for branch in branches {
            if let Some(branch) = self.branches.get_mut(branch)
                && !branch.is_running()
            {
                branch.state = BranchState::Ended;
                branch.plan = None;
                branch.target = None;
                let request = std::mem::replace(&mut branch.request, Sent::Nothing);
                remains._handles.push((request, branch.response.take()));
            }
        }
        if let Some(server) = self.transactions.get_mut(server) {
            remains.original = server.request.take();
        }
        remains
    }
}

impl Core {
    /// Forgets an operation of which nothing is left to come.
    pub(super) fn forget_proxy_if_over(&self, key: ProxyKey) {
        let mut remains = Remains::default();
        let server = {
            let mut state = self.state_mut();
            if !state.proxies.get(key).is_some_and(|proxy| proxy.live == 0 && proxy.is_answered()) {
                return;
            }
            let Some(mut proxy) = state.proxies.remove(key) else { return };
            state.disarm(&mut proxy.timer);
            for branch in &proxy.branches {
                if let Some(mut branch) = state.branches.remove(*branch) {
                    state.disarm(&mut branch.timer);
                    remains._records.1.push(branch);
                }
            }
            let server = proxy.server;
            remains._records.0 = Some(proxy);
            server
        };
        drop(remains);
        // Behind the response that may still be on its way.
        self.state_mut().order(Order::Done(server));
    }

    /// All that belongs to a branch's request is over. One that ends without having said how counts as timed out.
    pub(crate) fn proxy_client_ended(&self, key: BranchKey) {
        let (proxy, was_running) = {
            let mut state = self.state_mut();
            let Some(branch) = state.branches.get_mut(key) else { return };
            branch.client = None;
            let (proxy, was_running) = (branch.proxy, branch.is_running());
            if let Some(proxy) = state.proxies.get_mut(proxy) {
                proxy.live = proxy.live.saturating_sub(1);
            }
            if was_running {
                state.end_branch(key);
            }
            (proxy, was_running)
        };
        if was_running {
            self.advance_later(proxy);
        }
        self.forget_proxy_if_over(proxy);
    }

    /// The request's own transaction is over. Its branches go on (RFC 3261 §16.9): a forged Via must not end a call
    /// attempt; and the application hears how they end, although nobody upstream will.
    pub(crate) fn proxy_server_ended(&self, key: ProxyKey) {
        let is_over = {
            let state = self.state();
            let Some(proxy) = state.proxies.get(key) else { return };
            !(proxy.is_answered() || proxy.supervised && state.is_running(key))
        };
        if is_over {
            self.close_unanswered(key);
        }
        self.forget_proxy_if_over(key);
    }

    /// Ends an operation whose answer nobody waits for.
    pub(super) fn close_unanswered(&self, key: ProxyKey) {
        let remains = {
            let mut state = self.state_mut();
            let Some(proxy) = state.proxies.get(key).filter(|proxy| !proxy.is_answered()) else { return };
            let (session, method) = (proxy.session, proxy.method.clone());
            if let Some(record) = state.sessions.get_mut(session) {
                fsm::sent_response(record, &method, StatusCode::REQUEST_TIMEOUT);
            }
            state.unsettle_session(session);
            state.close_proxy(key)
        };
        drop(remains);
    }

    /// A response of our own: to the original, or, when that is no more, to what was sent downstream.
    pub(super) fn local_response(&self, key: ProxyKey, status: StatusCode) -> Option<Response> {
        let server = self.state().proxies.get(key)?.server;
        if let Some(response) = self.new_response(server, status, None) {
            return Some(response);
        }
        let state = self.state();
        let mut branches = state.branches_of(state.proxies.get(key)?);
        branches.find_map(|(_, branch)| match &branch.request {
            Sent::Request(request) => Some(Response::to(request, status)),
            Sent::Handle(handle) => Some(Response::to(&handle.sip_request(), status)),
            Sent::Nothing => None,
        })
    }

    /// The session is invalidated: what runs is cancelled; answers still go back.
    pub(crate) fn proxy_abandoned(&self, key: ProxyKey) {
        {
            let mut state = self.state_mut();
            let Some(proxy) = state.proxies.get_mut(key) else { return };
            if proxy.is_answered() {
                return;
            }
            proxy.supervised = false;
            proxy.closed = true;
            proxy.cancelled = true;
            state.drop_waiting(key);
            state.cancel_running(key, None);
        }
        // The application session may be gone too: nothing is left to a job of its.
        let work = self.proxy_advance(key);
        debug_assert!(work.is_none(), "nobody is told of an operation that is not supervised");
    }

    /// An operation that was made and not started is none: the application may answer by itself. Whether it was so.
    pub(crate) fn proxy_withdrawn(&self, key: ProxyKey) -> bool {
        let mut remains = Remains::default();
        let mut state = self.state_mut();
        if !state.proxies.get(key).is_some_and(|proxy| proxy.stage == Stage::New) {
            return false;
        }
        let Some(proxy) = state.proxies.remove(key) else { return false };
        remains._records.1.extend(proxy.branches.iter().filter_map(|branch| state.branches.remove(*branch)));
        if let Some(server) = state.transactions.get_mut(proxy.server) {
            server.role = TransactionRole::Undecided;
        }
        remains._records.0 = Some(proxy);
        drop(state);
        true
    }
}
