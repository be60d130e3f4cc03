//! How long a search takes: RFC 3261 §16.6 step 11 and §16.8 (Timer C), as the SIP Servlet model has it. A parallel search
//! has one time for the whole, and a branch one of its own when it may take less; a sequential search has one for each
//! target.
//!
//! What rings has the time from its last sign of life on: provisional responses, and PRACK and UPDATE in its early dialog.
//! A timer that is armed stays where it is; when it fires too early it is armed again.

use servlet::spi::{BranchKey, ProxyKey, SessionKey};
use sip_message::StatusCode;

use super::BranchState;
use crate::core::Core;
use crate::jobs::{Job, Work};
use crate::state::{Due, State};
use crate::transaction::TransactionRole;

impl Core {
    /// The time of a parallel search may be over.
    pub(crate) fn proxy_timeout(&self, key: ProxyKey) -> Option<Work> {
        let running = {
            let mut state = self.state_mut();
            if !state.proxy_time_is_over(key) {
                return None;
            }
            state.drop_waiting(key);
            let proxy = state.proxies.get(key)?;
            let running = state.branches_of(proxy).filter(|(_, branch)| branch.is_running()).map(|(key, _)| key);
            running.collect::<Vec<BranchKey>>()
        };
        for branch in running {
            self.time_out(branch);
        }
        self.proxy_advance(key)
    }

    /// A branch's time may be over.
    pub(crate) fn branch_timeout(&self, key: BranchKey) -> Option<Work> {
        if !self.state_mut().branch_time_is_over(key) {
            return None;
        }
        self.time_out(key);
        let proxy = self.state().branches.get(key)?.proxy;
        self.proxy_advance(proxy)
    }

    /// §16.8: a branch that has rung for too long is cancelled, and says so itself; one that has never answered counts as
    /// timed out, which is one event for each.
    fn time_out(&self, key: BranchKey) {
        let over = {
            let mut state = self.state_mut();
            let Some(branch) = state.branches.get_mut(key).filter(|branch| branch.is_running()) else { return };
            branch.timed_out = true;
            let (rings, client, proxy) = (branch.state == BranchState::Proceeding, branch.client, branch.proxy);
            state.cancel_branch(key, None);
            let Some(proxy) = state.proxies.get(proxy) else { return };
            if rings && proxy.is_invite() { None } else { client.map(|client| (proxy.app_session, client)) }
        };
        if let Some((app_session, transaction)) = over {
            self.submit(app_session, Job::Failed { transaction, status: StatusCode::REQUEST_TIMEOUT });
        }
    }
}

impl State {
    /// A branch has given a sign of life.
    pub(super) fn restart_branch_timer(&mut self, key: BranchKey) {
        let now = self.now;
        let Some(branch) = self.branches.get_mut(key) else { return };
        if branch.deadline.is_some() {
            branch.deadline = Some(now + branch.timeout);
        }
        let proxy = branch.proxy;
        if let Some(proxy) = self.proxies.get_mut(proxy)
            && proxy.deadline.is_some()
        {
            proxy.deadline = Some(now + proxy.timeout);
        }
    }

    /// A request in an early dialog that passes through: the search that has made it goes on for longer.
    pub(super) fn restart_initial_timers(&mut self, session: SessionKey) {
        let initial = self.sessions.get(session).and_then(|session| session.initial);
        let Some(TransactionRole::Proxy(key)) = initial.and_then(|key| Some(self.transactions.get(key)?.role)) else {
            return;
        };
        let Some(proxy) = self.proxies.get(key) else { return };
        let rings = |branch: &super::Branch| branch.state == BranchState::Proceeding;
        let ringing: Vec<BranchKey> =
            self.branches_of(proxy).filter(|(_, branch)| rings(branch)).map(|(key, _)| key).collect();
        for branch in ringing {
            self.restart_branch_timer(branch);
        }
    }

    fn proxy_time_is_over(&mut self, key: ProxyKey) -> bool {
        let now = self.now;
        let Some(proxy) = self.proxies.get_mut(key) else { return false };
        proxy.timer = crate::state::Armed::No;
        let Some(deadline) = proxy.deadline else { return false };
        if deadline > now {
            let armed = self.arm(Due::Proxy(key), deadline - now);
            if let Some(proxy) = self.proxies.get_mut(key) {
                proxy.timer = armed;
            }
            return false;
        }
        proxy.deadline = None;
        true
    }

    fn branch_time_is_over(&mut self, key: BranchKey) -> bool {
        let now = self.now;
        let Some(branch) = self.branches.get_mut(key) else { return false };
        branch.timer = crate::state::Armed::No;
        let Some(deadline) = branch.deadline else { return false };
        if deadline > now {
            let armed = self.arm(Due::Branch(key), deadline - now);
            if let Some(branch) = self.branches.get_mut(key) {
                branch.timer = armed;
            }
            return false;
        }
        branch.deadline = None;
        true
    }
}
