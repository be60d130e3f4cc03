//! What responses, failures and Timer C do to a context: RFC 3261 §16.7 to §16.10, RFC 6026 §7 (late 2xx).

use std::time::Instant;

use sip_endpoint::Endpoint;
use sip_message::{HeaderName, Response, StatusClass, StatusCode};

use super::Turn;
use super::best::{Best, Candidate};
use super::context::{BranchState, Context};
use super::fork;
use crate::services::answer;

/// RFC 3326 §2 and §3.1: why the other branches of an answered call are cancelled.
const ANSWERED_ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

impl Turn<'_> {
    /// §16.7.
    pub(super) fn response(&mut self, context: &mut Context, at: usize, mut response: Response) {
        // Step 3. A response with no Via but ours was meant for us, and there is nothing that it could tell us.
        response.headers_mut().pop_first(HeaderName::Via);
        if !response.headers().contains(HeaderName::Via) {
            return;
        }
        match response.status().class() {
            StatusClass::Provisional => self.provisional(context, at, response),
            StatusClass::Success => self.success(context, at, response),
            _ => self.failure(context, at, response),
        }
    }

    /// A request that got no final response counts as one that did (§16.7 step 6, §16.9). Over a flow it is the flow that
    /// has failed (RFC 5626 §5.3.1).
    pub(super) fn failed(&mut self, context: &mut Context, at: usize, status: StatusCode) {
        let Some(branch) = context.branches.get_mut(at) else { return };
        let flow_failed = branch.over_flow && status == StatusCode::SERVICE_UNAVAILABLE;
        let status = if flow_failed { StatusCode::FLOW_FAILED } else { status };
        self.end_branch(context, at, status, Some(Candidate::CountsAs(status)));
    }

    /// §16.8: a branch that has rung for too long is cancelled; one that has never answered counts as timed out.
    pub(super) fn timer_c(&mut self, context: &mut Context) {
        for at in 0..context.branches.len() {
            let branch = &mut context.branches[at];
            if branch.deadline > self.now || branch.cancelled {
                continue;
            }
            match (branch.state, branch.client) {
                (BranchState::Ended, _) | (_, None) => {}
                (BranchState::Proceeding, Some(client)) => {
                    branch.cancelled = true;
                    let _ = self.endpoint.cancel(self.now, client, None);
                }
                (BranchState::Calling, Some(client)) => {
                    let _ = self.endpoint.cancel(self.now, client, None);
                    let status = StatusCode::REQUEST_TIMEOUT;
                    self.end_branch(context, at, status, Some(Candidate::CountsAs(status)));
                }
            }
        }
        let waiting = context.branches.iter().filter(|branch| branch.state != BranchState::Ended && !branch.cancelled);
        if let Some(first) = waiting.map(|branch| branch.deadline).min() {
            self.arm_timer_c(context, first);
        }
    }

    /// Sends the best response back when no branch is waited for (§16.7 step 6).
    pub(super) fn finish(&mut self, context: &mut Context) {
        let Some(open) = context.open.take() else { return };
        let best = open.best.unwrap_or_else(|| Best::new(Candidate::CountsAs(StatusCode::REQUEST_TIMEOUT)));
        self.close(context);
        answer::respond(self.endpoint, self.now, context.server, best.into_response(open.ours, context.responsible));
    }

    fn provisional(&mut self, context: &mut Context, at: usize, response: Response) {
        let Some(branch) = context.branches.get_mut(at) else { return };
        if branch.state == BranchState::Ended {
            return;
        }
        branch.state = BranchState::Proceeding;
        if response.status() == StatusCode::TRYING {
            return;
        }
        // Step 2. The timer is left as it is, and finds the new deadline when it fires.
        branch.deadline = self.now + self.config.proxy.timer_c;
        // RFC 4320 §4.1: only an INVITE has other provisional responses than 100.
        if context.is_invite && !context.answered {
            answer::respond(self.endpoint, self.now, context.server, response);
        }
    }

    /// Step 5: a 2xx goes back at once, those of an INVITE all of them; step 10: the other branches are cancelled.
    fn success(&mut self, context: &mut Context, at: usize, response: Response) {
        if let Some(branch) = context.branches.get_mut(at) {
            branch.state = BranchState::Ended;
        }
        if context.answered && !context.is_invite {
            return;
        }
        let first = !context.answered;
        if first {
            self.close(context);
        }
        answer::respond(self.endpoint, self.now, context.server, response);
        if first {
            cancel_pending(self.now, self.endpoint, context, Some(ANSWERED_ELSEWHERE));
        }
    }

    /// Step 4 for 3xx to 6xx.
    fn failure(&mut self, context: &mut Context, at: usize, response: Response) {
        let status = response.status();
        let response = match status.class() {
            StatusClass::Redirection => self.recurse(context, response),
            _ => Some(response),
        };
        self.end_branch(context, at, status, response.map(Candidate::Received));
    }

    fn end_branch(&mut self, context: &mut Context, at: usize, status: StatusCode, candidate: Option<Candidate>) {
        let Some(branch) = context.branches.get_mut(at) else { return };
        if branch.state == BranchState::Ended {
            return;
        }
        branch.state = BranchState::Ended;
        let instance = std::mem::take(&mut branch.instance);
        if context.answered {
            return;
        }
        if let Some(forking) = context.open.as_mut().and_then(|open| open.forking.as_mut()) {
            fork::drop_answered_instance(forking, &instance, status);
        }
        if let Some(candidate) = candidate {
            context.remember(candidate);
        }
        if status.class() == StatusClass::GlobalFailure {
            // Step 5: the others are called off, and when they have said so the 6xx goes back.
            let reason = format!("SIP;cause={status}");
            cancel_pending(self.now, self.endpoint, context, Some(&reason));
        }
        self.advance(context);
    }

    /// A final response goes back: what was kept for it is not needed any more.
    fn close(&mut self, context: &mut Context) {
        context.answered = true;
        context.closed = true;
        context.open = None;
        if let Some(timer) = context.timer_c.take() {
            self.endpoint.cancel_timer(timer);
        }
    }
}

/// Cancels every branch that still waits (§16.7 step 10); the endpoint waits for a provisional response where none has
/// come (§9.1).
pub(super) fn cancel_pending(now: Instant, endpoint: &mut Endpoint, context: &mut Context, reason: Option<&str>) {
    if !context.is_invite {
        return;
    }
    let pending = context.branches.iter_mut().filter(|b| b.state != BranchState::Ended && !b.cancelled);
    for branch in pending {
        branch.cancelled = true;
        if let Some(client) = branch.client {
            let _ = endpoint.cancel(now, client, reason);
        }
    }
}
