//! What responses and failures do: RFC 3261 §16.7 and §16.9, RFC 6026 §7 (late 2xx), RFC 4320.
//!
//! ```text
//!   100          nobody is told
//!   101–199      shown, forwarded
//!   2xx          the search is over: the others are cancelled; shown, forwarded; every further 2xx too
//!   3xx          its contacts become branches, or it is a candidate
//!   4xx–6xx      a candidate; after a 6xx no branch begins, and those that run are cancelled
//! ```

use std::hash::{BuildHasher, BuildHasherDefault};

use servlet::SipServletResponse;
use servlet::spi::{AppId, BranchKey, ProxyKey, TransactionKey};
use sip_message::{Flow, HeaderName, Headers, Response, StatusClass, StatusCode};

use super::best::{Candidate, Origin};
use super::{BranchState, Sent, Stage, Then};
use crate::core::Core;
use crate::fsm;
use crate::jobs::Work;
use crate::state::State;
use crate::transaction::Peer;

/// A response that has come, and what it came to.
struct Arrival {
    proxy: ProxyKey,
    app: AppId,
    server: TransactionKey,
    stage: Stage,
    is_invite: bool,
    supervised: bool,
    /// The branch waited for it.
    was_running: bool,
}

impl Core {
    /// A response to a branch's request.
    pub(crate) fn proxy_response(&self, key: BranchKey, mut response: Response, flow: Option<Flow>) -> Option<Work> {
        let arrival = self.state_mut().take_response(key, &mut response)?;
        self.app(arrival.app).counters.answered(response.status());
        if arrival.stage == Stage::Relaying {
            return self.relayed_response(key, arrival.proxy, response, flow);
        }
        match response.status().class() {
            StatusClass::Provisional => self.provisional(key, &arrival, response, flow),
            StatusClass::Success => self.success(key, &arrival, response, flow),
            _ if !arrival.was_running => None,
            _ => self.failure(key, &arrival, response, flow),
        }
    }

    /// A branch that will get no response, and the one that it counts as.
    pub(crate) fn proxy_failed(&self, key: BranchKey, status: StatusCode) -> Option<Work> {
        let (proxy, status, relays) = {
            let mut state = self.state_mut();
            let branch = state.branches.get(key).filter(|branch| branch.is_running())?;
            let (proxy, client, over_flow, timed_out) =
                (branch.proxy, branch.client, branch.over_flow, branch.timed_out);
            let (cancelled, relays) =
                state.proxies.get(proxy).map(|proxy| (proxy.cancelled, proxy.stage == Stage::Relaying))?;
            let status = match status {
                // The flow has failed, and not the server (RFC 5626 §5.3.1).
                StatusCode::SERVICE_UNAVAILABLE if over_flow => StatusCode::FLOW_FAILED,
                StatusCode::REQUEST_TERMINATED if timed_out => StatusCode::REQUEST_TIMEOUT,
                // It was called off before anybody could say so.
                StatusCode::REQUEST_TIMEOUT if cancelled => StatusCode::REQUEST_TERMINATED,
                status => status,
            };
            if let Some(client) = client {
                state.close_transaction(client, status);
            }
            (proxy, status, relays)
        };
        if relays {
            return self.relay_failed(key, proxy, status);
        }
        self.branch_failed(key, proxy, Candidate::CountsAs(status), None)
    }

    /// What was decided before the application was told.
    pub(crate) fn proxy_after(&self, then: Then, _failed: bool) -> Option<Work> {
        match then {
            Then::Forward(branch) => {
                let response = self.state().branches.get(branch).and_then(|branch| branch.response.clone());
                if let Some(response) = response {
                    let sip = response.sip_response().clone();
                    response.facts().committed.set(true);
                    drop(response);
                    self.forward(branch, sip);
                }
                None
            }
            Then::Failed(proxy) => self.proxy_advance(proxy),
            Then::Best(proxy) => self.best_was_shown(proxy),
        }
    }

    fn provisional(&self, key: BranchKey, arrival: &Arrival, response: Response, flow: Option<Flow>) -> Option<Work> {
        // RFC 4320 §4.1: only an INVITE has other provisional responses than 100.
        if !arrival.was_running || response.status() == StatusCode::TRYING || !arrival.is_invite {
            return None;
        }
        self.state_mut().restart_branch_timer(key);
        if arrival.stage == Stage::Answered {
            return None;
        }
        self.state_mut().session_received(arrival.proxy, response.status());
        self.show_and_forward(key, arrival, response, flow)
    }

    fn success(&self, key: BranchKey, arrival: &Arrival, response: Response, flow: Option<Flow>) -> Option<Work> {
        {
            let mut state = self.state_mut();
            state.end_branch(key);
            let tag = tag_of(response.headers());
            let branch = state.branches.get_mut(key)?;
            let is_copy = branch.successes.contains(&tag);
            if is_copy {
                drop(state);
                // The callee waits for the ACK still, and the application knows all of it.
                if arrival.is_invite {
                    self.respond(arrival.server, response);
                }
                return None;
            }
            branch.successes.push(tag);
            if arrival.stage == Stage::Answered && !arrival.is_invite {
                return None;
            }
            state.session_received(arrival.proxy, response.status());
            if arrival.stage != Stage::Answered {
                if let Some(proxy) = state.proxies.get_mut(arrival.proxy) {
                    proxy.succeeded = true;
                    proxy.closed = true;
                }
                state.drop_waiting(arrival.proxy);
                state.cancel_others(arrival.proxy, None);
            }
        }
        self.show_and_forward(key, arrival, response, flow)
    }

    /// §16.7 step 4 for 3xx to 6xx.
    fn failure(&self, key: BranchKey, arrival: &Arrival, response: Response, flow: Option<Flow>) -> Option<Work> {
        if arrival.stage == Stage::Answered {
            self.state_mut().end_branch(key);
            self.forget_proxy_if_over(arrival.proxy);
            return None;
        }
        let timed_out = self.state().branches.get(key).is_some_and(|branch| branch.timed_out);
        let candidate = match response.status() {
            StatusCode::REQUEST_TERMINATED if timed_out => Candidate::CountsAs(StatusCode::REQUEST_TIMEOUT),
            status if status.class() == StatusClass::Redirection => {
                return self.redirected(key, arrival.proxy, response, flow);
            }
            _ => Candidate::Received(Box::new(response)),
        };
        self.branch_failed(key, arrival.proxy, candidate, flow)
    }

    /// A 3xx: its contacts become branches where they may (step 4).
    fn redirected(&self, key: BranchKey, proxy: ProxyKey, response: Response, flow: Option<Flow>) -> Option<Work> {
        let left = self.state_mut().recurse(key, &response);
        let Some(left) = left else {
            return self.branch_failed(key, proxy, Candidate::Received(Box::new(response)), flow);
        };
        if left.is_empty() {
            // Nothing of it is left to be said upstream; the application hears of it.
            let supervised = self.state().proxies.get(proxy).is_some_and(|proxy| proxy.supervised);
            let handle = supervised.then(|| self.attach_response(proxy, Some(key), response, flow)).flatten();
            self.state_mut().end_branch(key);
            return self.show_failure(key, proxy, handle);
        }
        let mut rest = response;
        rest.headers_mut().remove(HeaderName::Contact);
        for value in left {
            rest.headers_mut().push(HeaderName::Contact, value).expect("a parsed value has no line break");
        }
        self.branch_failed(key, proxy, Candidate::Received(Box::new(rest)), flow)
    }

    /// A branch has ended without success.
    pub(super) fn branch_failed(
        &self,
        key: BranchKey,
        proxy: ProxyKey,
        candidate: Candidate,
        flow: Option<Flow>,
    ) -> Option<Work> {
        let status = candidate.status();
        let (supervised, answered) = {
            let mut state = self.state_mut();
            state.end_branch(key);
            let record = state.proxies.get_mut(proxy)?;
            let facts = (record.supervised, record.is_answered());
            if status.class() == StatusClass::GlobalFailure && !facts.1 {
                // Step 5: the others are called off, and when they have said so the 6xx goes back.
                record.closed = true;
                state.drop_waiting(proxy);
                state.cancel_others(proxy, Some(status));
            }
            if !facts.1 && !state.is_running(proxy) {
                state.session_received(proxy, status);
            }
            facts
        };
        if answered {
            self.forget_proxy_if_over(proxy);
            return None;
        }
        if !supervised {
            let loser = self.state_mut().remember(proxy, candidate);
            drop(loser);
            return self.proxy_advance(proxy);
        }
        let (handle, origin) = match candidate {
            Candidate::Received(response) => {
                (self.attach_response(proxy, Some(key), *response, flow), Origin::Received)
            }
            _ => {
                let response = self.local_response(proxy, status);
                let made = response.and_then(|response| self.attach_response(proxy, Some(key), response, None));
                (made, Origin::Local)
            }
        };
        let Some(handle) = handle else { return self.proxy_advance(proxy) };
        let (is_best, loser) = self.state_mut().remember(proxy, Candidate::Shown(handle.clone(), origin));
        drop(loser);
        let is_last = {
            let state = self.state();
            let waits = state.proxies.get(proxy).and_then(|proxy| proxy.open.as_ref());
            !state.is_running(proxy) && waits.is_some_and(|open| open.waiting.is_empty())
        };
        if is_last && is_best {
            self.keep_response(key, handle);
            return self.proxy_advance(proxy);
        }
        self.show_failure(key, proxy, Some(handle))
    }

    /// Tells the application of a final response that is not the one that goes upstream.
    fn show_failure(&self, key: BranchKey, proxy: ProxyKey, handle: Option<SipServletResponse>) -> Option<Work> {
        let session = self.state().proxies.get(proxy).map(|proxy| proxy.session)?;
        let work = handle.and_then(|handle| {
            handle.facts().is_branch_response.set(true);
            self.keep_response(key, handle.clone());
            self.response_work(session, handle, crate::jobs::Then::Proxy(Then::Failed(proxy)))
        });
        match work {
            Some(work) => Some(work),
            None => self.proxy_advance(proxy),
        }
    }

    /// Shows a response that goes upstream in any case, and forwards it.
    fn show_and_forward(
        &self,
        key: BranchKey,
        arrival: &Arrival,
        response: Response,
        flow: Option<Flow>,
    ) -> Option<Work> {
        if arrival.supervised {
            let session = self.state().proxies.get(arrival.proxy).map(|proxy| proxy.session)?;
            if self.state().sessions.get(session).is_some() {
                let handle = self.attach_response(arrival.proxy, Some(key), response, flow)?;
                self.keep_response(key, handle.clone());
                let then = Then::Forward(key);
                let work = self.response_work(session, handle, crate::jobs::Then::Proxy(then));
                return work.or_else(|| self.proxy_after(then, false));
            }
        }
        self.forward(key, response);
        None
    }

    /// The branch's last response, for the application to ask for.
    pub(super) fn keep_response(&self, key: BranchKey, handle: SipServletResponse) {
        let before = match self.state_mut().branches.get_mut(key) {
            Some(branch) => branch.response.replace(handle),
            None => Some(handle),
        };
        drop(before);
    }

    /// Sends a branch's response upstream.
    pub(super) fn forward(&self, key: BranchKey, response: Response) {
        let (proxy, server) = {
            let state = self.state();
            let Some((key, proxy)) = state.proxy_of_branch(key) else { return };
            (key, proxy.server)
        };
        if response.status().is_provisional() {
            if !self.state().proxies.get(proxy).is_some_and(|proxy| proxy.is_answered()) {
                self.respond(server, response);
            }
        } else {
            self.forward_final(proxy, response);
            self.let_go(key);
        }
    }

    /// After an answer nothing is kept of what was sent and received.
    fn let_go(&self, key: BranchKey) {
        let gone = {
            let mut state = self.state_mut();
            let Some(branch) = state.branches.get_mut(key) else { return };
            branch.target = None;
            (std::mem::replace(&mut branch.request, Sent::Nothing), branch.response.take())
        };
        drop(gone);
    }
}

impl State {
    /// §16.7 steps 1 to 3: takes note of a response and takes our Via from it. `None`: nobody is told.
    fn take_response(&mut self, key: BranchKey, response: &mut Response) -> Option<Arrival> {
        let branch = self.branches.get_mut(key)?;
        let (client, was_running, proxy) = (branch.client, branch.is_running(), branch.proxy);
        let status = response.status();
        if status.is_provisional() && was_running {
            branch.state = BranchState::Proceeding;
        }
        if let Some(client) = client {
            // Between two applications there is no Via.
            if matches!(self.transactions.get(client)?.peer, Peer::Client(_)) {
                response.headers_mut().pop_first(HeaderName::Via);
                // A response with no Via but ours was meant for us, and there is nothing that it could tell us. Only what an
                // application of ours has begun had none when it came to the proxy.
                let server = self.proxies.get(proxy)?.server;
                if matches!(self.transactions.get(server)?.peer, Peer::Server(_)) {
                    response.headers().first(HeaderName::Via)?;
                }
            }
            if status.is_final() {
                self.close_transaction(client, status);
            } else if status != StatusCode::TRYING
                && let Some(client) = self.transactions.get_mut(client)
            {
                client.provisional = true;
            }
        }
        let record = self.proxies.get(proxy)?;
        let arrival = Arrival {
            proxy,
            app: record.app,
            server: record.server,
            stage: record.stage,
            is_invite: record.is_invite(),
            supervised: record.supervised,
            was_running,
        };
        let app_session = record.app_session;
        self.touch(app_session);
        Some(arrival)
    }

    /// A response moves the session before the application is told of it.
    pub(super) fn session_received(&mut self, key: ProxyKey, status: StatusCode) {
        let Some(proxy) = self.proxies.get(key) else { return };
        let (session, method) = (proxy.session, proxy.method.clone());
        if let Some(session) = self.sessions.get_mut(session) {
            fsm::received_response(session, &method, status);
        }
    }
}

/// What tells the 2xx of one fork from that of another.
pub(super) fn tag_of(headers: &Headers) -> u32 {
    let tag = headers.to_tag().unwrap_or_default();
    BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(tag) as u32
}
