//! Calling off: RFC 3261 §16.10, §9; the reasons that are said for it (RFC 3326); `no-cancel` (RFC 3841 §9.1).
//!
//! The endpoint keeps a CANCEL back until a provisional response has come (§9.1).

use std::fmt::Write as _;

use servlet::spi::{BranchKey, ProxyKey, ProxyPart};
use servlet::{CancelReason, Error, IllegalState};
use sip_message::{HeaderName, Request, StatusCode};

use crate::core::Core;
use crate::order::Order;
use crate::state::State;

/// RFC 3326 §2 and §3.1: why the other branches of an answered call are cancelled.
pub(super) const ANSWERED_ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

impl Core {
    /// The caller has given up: every branch is cancelled, with the reasons that he gave, and none begins.
    pub(crate) fn proxy_cancelled(&self, key: ProxyKey, cancel: &Request) {
        let reasons: Vec<&str> = cancel.headers().fields_of(HeaderName::Reason).collect();
        let reasons = (!reasons.is_empty()).then(|| reasons.join(", "));
        {
            let mut state = self.state_mut();
            let Some(proxy) = state.proxies.get_mut(key).filter(|proxy| !proxy.is_answered()) else { return };
            proxy.closed = true;
            proxy.cancelled = true;
            state.drop_waiting(key);
            state.cancel_running(key, reasons.as_deref());
        }
        if !self.state().is_running(key) {
            self.advance_later(key);
        }
    }

    /// `Proxy.cancel` and `ProxyBranch.cancel`.
    pub(super) fn call_off(&self, part: ProxyPart, reasons: &[CancelReason]) -> Result<(), Error> {
        let text = reason_text(reasons)?;
        let reason = (!text.is_empty()).then_some(&*text);
        let key = {
            let mut state = self.state_mut();
            let completed = Error::from(IllegalState::ProxyCompleted);
            match part {
                ProxyPart::Proxy(key) => {
                    let proxy = state.proxies.get(key).ok_or(completed.clone())?;
                    // After an answer only those are left that the application did not want to be cancelled.
                    if proxy.is_answered() && !state.is_running(key) {
                        return Err(completed);
                    }
                    state.drop_waiting(key);
                    state.cancel_running(key, reason);
                    key
                }
                ProxyPart::Branch(branch) => {
                    let key = state.branches.get(branch).ok_or(completed.clone())?.proxy;
                    let family = state.family(key, branch);
                    let is_live = |branch: &BranchKey| {
                        state.branches.get(*branch).is_some_and(|branch| branch.state != super::BranchState::Ended)
                    };
                    if !family.iter().any(is_live) {
                        return Err(completed);
                    }
                    for branch in family {
                        state.cancel_or_drop(key, branch, reason);
                    }
                    key
                }
            }
        };
        self.advance_later(key);
        Ok(())
    }
}

impl State {
    /// Cancels every branch that still waits for its final response.
    pub(super) fn cancel_running(&mut self, key: ProxyKey, reason: Option<&str>) {
        let Some(proxy) = self.proxies.get(key) else { return };
        let running: Vec<BranchKey> =
            self.branches_of(proxy).filter(|(_, branch)| branch.is_running()).map(|(key, _)| key).collect();
        for branch in running {
            self.cancel_branch(branch, reason);
        }
    }

    /// A branch has answered for all (§16.7 step 10): with a 2xx, or with this 6xx.
    pub(super) fn cancel_others(&mut self, key: ProxyKey, with: Option<StatusCode>) {
        let Some(proxy) = self.proxies.get(key) else { return };
        if proxy.no_cancel || proxy.live < 2 && with.is_none() && proxy.branches.len() < 2 {
            return;
        }
        match with {
            None => self.cancel_running(key, Some(ANSWERED_ELSEWHERE)),
            Some(status) => {
                let reason = format!("SIP;cause={}", status.code());
                self.cancel_running(key, Some(&reason));
            }
        }
    }

    /// Cancels a branch that runs; nothing but an INVITE is cancelled (§9.1).
    pub(super) fn cancel_branch(&mut self, key: BranchKey, reason: Option<&str>) {
        let Some(branch) = self.branches.get_mut(key).filter(|branch| !branch.cancelled) else { return };
        branch.cancelled = true;
        let Some(client) = branch.client else { return };
        if !self.proxy_of_branch(key).is_some_and(|(_, proxy)| proxy.is_invite()) {
            return;
        }
        if let Some(transaction) = self.transactions.get_mut(client) {
            transaction.cancelled = true;
        }
        self.order(Order::Cancel { transaction: client, reason: reason.map(Into::into) });
    }

    fn cancel_or_drop(&mut self, key: ProxyKey, branch: BranchKey, reason: Option<&str>) {
        if self.branches.get(branch).is_some_and(|branch| branch.is_running()) {
            return self.cancel_branch(branch, reason);
        }
        if let Some(open) = self.proxies.get_mut(key).and_then(|proxy| proxy.open.as_mut()) {
            open.waiting.retain(|waiting| *waiting != branch);
        }
        self.end_branch(branch);
    }

    /// A branch and all that redirections have made of it.
    fn family(&self, key: ProxyKey, branch: BranchKey) -> Vec<BranchKey> {
        let mut family = vec![branch];
        let Some(proxy) = self.proxies.get(key) else { return family };
        // Children stand behind their parents.
        for (key, child) in self.branches_of(proxy) {
            if child.parent.is_some_and(|parent| family.contains(&parent)) {
                family.push(key);
            }
        }
        family
    }
}

/// The values of Reason, in one line.
fn reason_text(reasons: &[CancelReason]) -> Result<String, Error> {
    let mut text = String::new();
    for CancelReason { protocol, cause, text: words } in reasons {
        let is_token =
            !protocol.is_empty() && protocol.bytes().all(|c| c.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&c));
        if !is_token || words.as_ref().is_some_and(|words| words.contains(['\r', '\n', '\0'])) {
            return Err(servlet::IllegalArgument::HeaderValue.into());
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        // Writing to a String can't fail.
        let _ = write!(text, "{protocol};cause={cause}");
        if let Some(words) = words {
            let words = words.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = write!(text, ";text=\"{words}\"");
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3326 §2.
    #[test]
    fn reasons_stand_in_one_line_and_can_t_leave_it() {
        let reasons = [
            CancelReason::new("Q.850", 16),
            CancelReason { text: Some("said \"no\"".to_owned()), ..CancelReason::new("SIP", 600) },
        ];
        assert_eq!(reason_text(&reasons).unwrap(), r#"Q.850;cause=16, SIP;cause=600;text="said \"no\"""#);
        assert!(reason_text(&[CancelReason::new("SIP\r\nX: y", 1)]).is_err());
        let broken = CancelReason { text: Some("a\r\nb".to_owned()), ..CancelReason::new("SIP", 1) };
        assert!(reason_text(&[broken]).is_err());
    }
}
