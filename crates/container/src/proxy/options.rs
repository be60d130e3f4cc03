//! The settings of an operation and of its branches, and which of them can be changed when.

use std::time::Duration;

use servlet::spi::{ProxyOptions, ProxyPart};
use servlet::{Error, IllegalArgument, IllegalState};

use super::{Branch, BranchState, Open, Stage};
use crate::order::Order;
use crate::state::{Due, State};

impl State {
    pub(super) fn options_of(&self, part: ProxyPart) -> Result<ProxyOptions, Error> {
        let branch = match part {
            ProxyPart::Proxy(_) => None,
            ProxyPart::Branch(key) => Some(&**self.branches.get(key).ok_or(IllegalState::ProxyCompleted)?),
        };
        let key = match (part, branch) {
            (ProxyPart::Proxy(key), _) => key,
            (_, Some(branch)) => branch.proxy,
            (ProxyPart::Branch(_), None) => return Err(IllegalState::ProxyCompleted.into()),
        };
        let proxy = self.proxies.get(key).ok_or(IllegalState::ProxyCompleted)?;
        let open = proxy.open.as_deref();
        let of = |of_branch: fn(&Branch) -> bool, of_proxy: fn(&Open) -> bool| match branch {
            Some(branch) => of_branch(branch),
            None => open.is_some_and(of_proxy),
        };
        Ok(ProxyOptions {
            parallel: proxy.parallel,
            supervised: proxy.supervised,
            no_cancel: proxy.no_cancel,
            recurse: of(|branch| branch.recurse, |open| open.recurse),
            record_route: of(|branch| branch.record_route, |open| open.record_route),
            add_to_path: of(|branch| branch.add_to_path, |open| open.add_to_path),
            timeout: branch.map_or(proxy.timeout, |branch| branch.timeout),
        })
    }

    pub(super) fn check_options(
        &self,
        part: ProxyPart,
        before: &ProxyOptions,
        after: &ProxyOptions,
    ) -> Result<(), Error> {
        let started = match part {
            ProxyPart::Proxy(key) => self.proxies.get(key).is_some_and(|proxy| proxy.stage != Stage::New),
            ProxyPart::Branch(key) => self.branches.get(key).is_some_and(|branch| branch.state != BranchState::New),
        };
        if started && before.record_route != after.record_route {
            return Err(IllegalState::ProxyStarted.into());
        }
        if before.timeout == after.timeout {
            return Ok(());
        }
        if after.timeout.is_zero() {
            return Err(IllegalArgument::OutOfRange("timeout".into()).into());
        }
        if let ProxyPart::Branch(key) = part
            && let Some((_, proxy)) = self.proxy_of_branch(key)
            && proxy.parallel
            && after.timeout > proxy.timeout
        {
            return Err(IllegalArgument::OutOfRange("timeout: longer than that of the whole".into()).into());
        }
        Ok(())
    }

    pub(super) fn take_options(&mut self, part: ProxyPart, before: &ProxyOptions, after: &ProxyOptions) {
        let changes_time = before.timeout != after.timeout;
        match part {
            ProxyPart::Proxy(key) => {
                let Some(proxy) = self.proxies.get_mut(key) else { return };
                proxy.parallel = after.parallel;
                proxy.supervised = after.supervised;
                proxy.no_cancel = after.no_cancel;
                if let Some(open) = &mut proxy.open {
                    open.recurse = after.recurse;
                    open.record_route = after.record_route;
                    open.add_to_path = after.add_to_path;
                }
                if changes_time {
                    proxy.timeout = after.timeout;
                    if proxy.deadline.is_some() {
                        self.change_time(Due::Proxy(key), after.timeout);
                    }
                }
            }
            ProxyPart::Branch(key) => {
                let Some(branch) = self.branches.get_mut(key) else { return };
                branch.recurse = after.recurse;
                branch.record_route = after.record_route;
                branch.add_to_path = after.add_to_path;
                if changes_time {
                    branch.timeout = after.timeout;
                    if branch.is_running() {
                        self.change_time(Due::Branch(key), after.timeout);
                    }
                }
            }
        }
    }

    /// The time of what runs begins anew.
    fn change_time(&mut self, due: Due, timeout: Duration) {
        let deadline = Some(self.now + timeout);
        let Some(armed) = self.armed_of(due) else { return };
        let mut before = std::mem::take(armed);
        self.disarm(&mut before);
        // One that is only ordered would fire too late.
        self.orders.retain(|order| !matches!(order, Order::Arm { due: ordered, .. } if *ordered == due));
        let after = self.arm(due, timeout);
        if let Some(armed) = self.armed_of(due) {
            *armed = after;
        }
        match due {
            Due::Proxy(key) => drop(self.proxies.get_mut(key).map(|proxy| proxy.deadline = deadline)),
            Due::Branch(key) => drop(self.branches.get_mut(key).map(|branch| branch.deadline = deadline)),
            Due::Expiry(_) | Due::Servlet(_) | Due::Dialog(_) => {}
        }
    }
}
