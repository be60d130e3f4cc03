//! The search for somebody who answers: which branch is tried when (RFC 3261 §16.6, §16.7 step 5 and 6), the breadth that
//! branches share (RFC 5393 §5.3), and the best response at its end.

use servlet::spi::{BranchKey, Direction, Facts, ProxyKey, SessionKey, TransactionKey};
use servlet::{Error, IllegalState, SipServletResponse};
use sip_message::{Response, StatusClass, StatusCode};

use super::best::{Best, Candidate, Origin, replaced};
use super::cancel::ANSWERED_ELSEWHERE;
use super::{BranchState, Stage, Then};
use crate::core::Core;
use crate::fsm;
use crate::jobs::{Job, Work};
use crate::session::SessionRole;
use crate::state::{Due, State};
use crate::transaction::Peer;

impl Core {
    /// `Proxy.startProxy`.
    pub(super) fn begin_search(&self, key: ProxyKey) -> Result<(), Error> {
        let says_trying = {
            let mut state = self.state_mut();
            let proxy = state.proxies.get(key).ok_or(IllegalState::ProxyCompleted)?;
            match proxy.stage {
                Stage::Answered => return Err(IllegalState::ProxyCompleted.into()),
                Stage::Relaying => return Err(IllegalState::NotInitial.into()),
                Stage::New | Stage::Searching if proxy.closed => return Err(IllegalState::ProxyCompleted.into()),
                Stage::New | Stage::Searching => {}
            }
            let new = |(key, branch): (BranchKey, &super::Branch)| (branch.state == BranchState::New).then_some(key);
            let fresh: Vec<BranchKey> = state.branches_of(proxy).filter_map(new).collect();
            if fresh.is_empty() {
                return Err(IllegalState::NoBranches.into());
            }
            for branch in &fresh {
                if let Some(branch) = state.branches.get_mut(*branch) {
                    branch.state = BranchState::Waiting;
                }
            }
            let proxy = state.proxies.get_mut(key).ok_or(IllegalState::ProxyCompleted)?;
            if let Some(open) = &mut proxy.open {
                open.waiting.extend(fresh);
            }
            let is_first = proxy.stage == Stage::New;
            is_first && state.start_search(key)
        };
        if says_trying {
            self.say_trying(key);
        }
        self.launch(key);
        if !self.state().is_running(key) {
            self.advance_later(key);
        }
        Ok(())
    }

    /// §16.2 and the SIP Servlet model: exactly one 100, unless the wait for the application has brought it about.
    fn say_trying(&self, key: ProxyKey) {
        let Some(server) = self.state().proxies.get(key).map(|proxy| proxy.server) else { return };
        if let Some(response) = self.new_response(server, StatusCode::TRYING, None) {
            self.respond(server, response);
        }
    }

    /// Starts what may be started now.
    pub(super) fn launch(&self, key: ProxyKey) {
        loop {
            let next = self.state_mut().next_waiting(key);
            let Some((branch, breadth)) = next else { return };
            if !self.start_branch(branch, breadth) {
                self.branch_not_begun(branch);
            }
        }
    }

    /// The same as [`Core::proxy_advance`], when the application's code runs.
    pub(super) fn advance_later(&self, key: ProxyKey) {
        let Some(owner) = self.state().proxy_owner(key) else { return };
        self.submit(owner, Job::ProxyAdvance(key));
    }

    /// Goes on with the search, or ends it.
    pub(crate) fn proxy_advance(&self, key: ProxyKey) -> Option<Work> {
        self.launch(key);
        let ends = {
            let state = self.state();
            let proxy = state.proxies.get(key)?;
            let goes_on = match proxy.stage {
                Stage::New => !proxy.cancelled,
                Stage::Searching => state.is_running(key) || proxy.showing_best || proxy.succeeded,
                Stage::Relaying | Stage::Answered => true,
            };
            let waits = proxy.open.as_ref().is_some_and(|open| !open.waiting.is_empty());
            !goes_on && !waits
        };
        if ends { self.end_search(key) } else { None }
    }

    /// Step 6: the best response, shown to the application first.
    fn end_search(&self, key: ProxyKey) -> Option<Work> {
        let (best, supervised, session, default) = {
            let mut state = self.state_mut();
            let proxy = state.proxies.get_mut(key)?;
            let default = if proxy.cancelled { StatusCode::REQUEST_TERMINATED } else { StatusCode::REQUEST_TIMEOUT };
            let best = proxy.open.as_mut()?.best.take();
            (best, proxy.supervised && proxy.stage == Stage::Searching, proxy.session, default)
        };
        let mut best = best.unwrap_or_else(|| Best::new(Candidate::CountsAs(default)));
        let status = best.status();
        let (handle, origin) = match std::mem::replace(&mut best.candidate, Candidate::CountsAs(status)) {
            Candidate::Shown(handle, origin) => (Some(handle), origin),
            Candidate::Own(response) => {
                self.forward_final(key, *response);
                return None;
            }
            Candidate::Received(mut response) => {
                best.gather(status, response.headers_mut());
                if !supervised {
                    self.forward_best(key, *response, Origin::Received, false);
                    return None;
                }
                (self.attach_response(key, None, *response, None), Origin::Received)
            }
            Candidate::CountsAs(status) => {
                let Some(response) = self.local_response(key, status) else {
                    self.close_unanswered(key);
                    self.forget_proxy_if_over(key);
                    return None;
                };
                if !supervised {
                    let chosen = self.state().flow_was_chosen(key);
                    self.forward_best(key, response, Origin::Local, chosen);
                    return None;
                }
                (self.attach_response(key, None, response, None), Origin::Local)
            }
        };
        let Some(handle) = handle else {
            self.close_unanswered(key);
            return None;
        };
        best.gather(status, handle.sip_response_mut().headers_mut());
        handle.facts().is_branch_response.set(false);
        best.candidate = Candidate::Shown(handle.clone(), origin);
        {
            let mut state = self.state_mut();
            let proxy = state.proxies.get_mut(key)?;
            proxy.showing_best = true;
            proxy.open.as_mut()?.best = Some(best);
        }
        let then = Then::Best(key);
        let work = if supervised { self.response_work(session, handle, crate::jobs::Then::Proxy(then)) } else { None };
        work.or_else(|| self.proxy_after(then, false))
    }

    /// The application has seen the best response. It goes upstream, unless the application has begun new branches, or
    /// has answered itself.
    pub(super) fn best_was_shown(&self, key: ProxyKey) -> Option<Work> {
        let (replacement, best) = {
            let mut state = self.state_mut();
            let proxy = state.proxies.get_mut(key)?;
            proxy.showing_best = false;
            if proxy.is_answered() {
                return None;
            }
            let open = proxy.open.as_mut()?;
            let goes_on = !open.waiting.is_empty();
            let replacement = open.replacement.take();
            if replacement.is_none() && (goes_on || state.is_running(key)) {
                return None;
            }
            let best = state.proxies.get_mut(key)?.open.as_mut()?.best.take();
            (replacement, best)
        };
        if let Some(response) = replacement {
            drop(best);
            self.forward_final(key, *response);
            return None;
        }
        match best.map(|best| best.candidate) {
            Some(Candidate::Shown(handle, origin)) => {
                let response = handle.sip_response().clone();
                handle.facts().committed.set(true);
                let chosen = self.state().flow_was_chosen(key);
                self.forward_best(key, response, origin, chosen);
            }
            Some(Candidate::Received(response)) => self.forward_best(key, *response, Origin::Received, false),
            Some(Candidate::Own(response)) => self.forward_final(key, *response),
            Some(Candidate::CountsAs(_)) | None => {
                if let Some(response) = self.local_response(key, StatusCode::REQUEST_TIMEOUT) {
                    self.forward_final(key, response);
                }
            }
        }
        None
    }

    /// Step 6 at its end: what is nobody else's business is told otherwise.
    fn forward_best(&self, key: ProxyKey, response: Response, origin: Origin, flow_was_chosen: bool) {
        let instead = replaced(response.status(), origin == Origin::Local, flow_was_chosen);
        let Some(instead) = instead else { return self.forward_final(key, response) };
        if let Some(response) = self.local_response(key, instead) {
            self.forward_final(key, response);
        }
    }

    /// Sends the final response upstream (steps 8 and 9).
    pub(super) fn forward_final(&self, key: ProxyKey, response: Response) {
        let (remains, server) = {
            let mut state = self.state_mut();
            let Some(proxy) = state.proxies.get(key) else { return };
            let (server, session, method) = (proxy.server, proxy.session, proxy.method.clone());
            let first = !proxy.is_answered();
            if let Some(session) = state.sessions.get_mut(session) {
                fsm::sent_response(session, &method, response.status());
            }
            (first.then(|| state.close_proxy(key)), server)
        };
        if let Some(original) = remains.as_ref().and_then(|remains| remains.original.as_ref()) {
            original.facts().committed.set(true);
        }
        drop(remains);
        self.respond(server, response);
        self.forget_proxy_if_over(key);
    }

    /// The application has itself answered a request that it proxies: a virtual branch. A 2xx goes back at once, as does
    /// the answer to being told of the best response; everything else competes.
    pub(crate) fn application_answered(&self, key: ProxyKey, response: Response) {
        let (server, session) = match self.state().proxies.get(key) {
            Some(proxy) => (proxy.server, proxy.session),
            None => return,
        };
        if self.proxy_withdrawn(key) {
            return self.answer_as_uas(server, session, response);
        }
        let status = response.status();
        if self.state().proxies.get(key).is_some_and(|proxy| proxy.stage == Stage::Relaying) {
            return self.forward_final(key, response);
        }
        if status.is_success() {
            return self.succeed_alone(key, response);
        }
        let mut state = self.state_mut();
        let Some(proxy) = state.proxies.get_mut(key) else { return };
        if proxy.showing_best {
            if let Some(open) = &mut proxy.open {
                open.replacement = Some(Box::new(response));
            }
            return;
        }
        if status.class() == StatusClass::GlobalFailure {
            proxy.closed = true;
            state.drop_waiting(key);
            state.cancel_others(key, Some(status));
        }
        let loser = state.remember(key, Candidate::Own(Box::new(response)));
        drop(state);
        drop(loser);
        self.advance_later(key);
    }

    /// The application has taken the request itself: it is the user agent of whatever dialog that makes.
    fn succeed_alone(&self, key: ProxyKey, response: Response) {
        let (server, session) = {
            let mut state = self.state_mut();
            state.drop_waiting(key);
            let Some(proxy) = state.proxies.get(key) else { return };
            let (server, session, no_cancel) = (proxy.server, proxy.session, proxy.no_cancel);
            if !no_cancel {
                state.cancel_running(key, Some(ANSWERED_ELSEWHERE));
            }
            if let Some(session) = state.sessions.get_mut(session) {
                session.role = SessionRole::Uas;
            }
            (server, session)
        };
        self.answer_as_uas(server, session, response);
        let remains = self.state_mut().close_proxy(key);
        drop(remains);
        self.forget_proxy_if_over(key);
    }

    fn answer_as_uas(&self, server: TransactionKey, session: SessionKey, mut response: Response) {
        // A request that can make no dialog makes none.
        let _ = self.complete_response(server, session, None, &mut response);
        self.send_as_uas(server, session, response);
    }

    /// A handle to a response for the application; of a branch, or made here.
    pub(super) fn attach_response(
        &self,
        key: ProxyKey,
        branch: Option<BranchKey>,
        response: Response,
        flow: Option<sip_message::Flow>,
    ) -> Option<SipServletResponse> {
        let facts = {
            let state = self.state();
            let proxy = state.proxies.get(key)?;
            let facts = Facts::new(proxy.app, Direction::Received, flow);
            facts.session.set(Some(proxy.session));
            facts.app_session.set(Some(proxy.app_session));
            facts.transaction.set(branch.and_then(|branch| state.branches.get(branch)?.client).or(Some(proxy.server)));
            facts.branch.set(branch.or_else(|| proxy.branches.last().copied()));
            let original = state.transactions.get(proxy.server).and_then(|server| server.request.clone());
            facts.more.borrow_mut().request = original;
            facts
        };
        if let Some(branch) = branch {
            facts.more.borrow_mut().request = self.branch_handle(branch).ok();
        }
        Some(SipServletResponse::attach(self.host(), response, facts))
    }
}

impl State {
    /// The search begins. Whether a 100 is to be sent.
    fn start_search(&mut self, key: ProxyKey) -> bool {
        let (now, time) = (self.now, self.time());
        let trying = self.timers_of_sip.invite_trying();
        let timeout = self.timers_of_sip.timeout();
        let Some(proxy) = self.proxies.get_mut(key) else { return false };
        proxy.stage = Stage::Searching;
        let (server, session, is_invite) = (proxy.server, proxy.session, proxy.is_invite());
        if proxy.parallel && (is_invite || proxy.timeout < timeout) {
            let after = proxy.timeout;
            proxy.deadline = Some(now + after);
            let armed = self.arm(Due::Proxy(key), after);
            if let Some(proxy) = self.proxies.get_mut(key) {
                proxy.timer = armed;
            }
        }
        let Some(session) = self.sessions.get_mut(session) else { return false };
        session.role = SessionRole::Proxy { record_routing: false };
        let Some(server) = self.transactions.get(server) else { return false };
        // The transaction says 100 by itself when nobody has said anything for this long (RFC 3261 §17.2.1).
        let waited = time.duration_since(session.facts.created).unwrap_or_default();
        is_invite && matches!(server.peer, Peer::Server(_)) && !server.provisional && waited < trying
    }

    /// The next branch that may be tried now, with its share of the breadth.
    fn next_waiting(&mut self, key: ProxyKey) -> Option<(BranchKey, u32)> {
        let proxy = self.proxies.get(key)?;
        if proxy.closed || proxy.stage != Stage::Searching {
            return None;
        }
        let open = proxy.open.as_ref()?;
        let (waiting, all) = (u32::try_from(open.waiting.len()).unwrap_or(u32::MAX), open.hops.breadth);
        let mut used = 0;
        // Who has had his time does not keep the next one from having his.
        for (_, branch) in self.branches_of(proxy).filter(|(_, branch)| branch.is_running() && !branch.timed_out) {
            if !proxy.parallel {
                return None;
            }
            used += branch.breadth;
        }
        let available = all.saturating_sub(used);
        if waiting == 0 || available == 0 && used > 0 {
            // What is left waits until a branch gives its share back (RFC 5393 §5.3.3.1).
            return None;
        }
        // Something is left for those that redirections and the application may add.
        let more_may_come = u32::from(proxy.supervised || open.recurse);
        let share = if proxy.parallel { available / waiting.saturating_add(more_may_come) } else { available }.max(1);
        let next = self.proxies.get_mut(key)?.open.as_mut()?.waiting.pop_front()?;
        Some((next, share))
    }

    /// Takes a final response into account: whether it is the best now, and the one that nobody needs any more, to be
    /// dropped when the state is not borrowed.
    pub(super) fn remember(&mut self, key: ProxyKey, candidate: Candidate) -> (bool, Option<Candidate>) {
        let open = self.proxies.get_mut(key).and_then(|proxy| proxy.open.as_mut());
        let Some(open) = open else { return (false, Some(candidate)) };
        match &mut open.best {
            Some(best) => {
                let (is_best, loser) = best.consider(candidate);
                (is_best, Some(loser))
            }
            none => {
                *none = Some(Best::new(candidate));
                (true, None)
            }
        }
    }

    /// What waits is not tried.
    pub(super) fn drop_waiting(&mut self, key: ProxyKey) {
        let Some(open) = self.proxies.get_mut(key).and_then(|proxy| proxy.open.as_mut()) else { return };
        for branch in std::mem::take(&mut open.waiting) {
            self.end_branch(branch);
        }
    }

    /// Whether the application has chosen the flow of the branches that have failed.
    fn flow_was_chosen(&self, key: ProxyKey) -> bool {
        let Some(proxy) = self.proxies.get(key) else { return false };
        self.branches_of(proxy).any(|(_, branch)| branch.over_chosen_flow)
    }
}
