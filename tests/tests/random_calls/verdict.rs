//! Which ends of a call fit together.
//!
//! In every network:
//!
//! - every side that the call reached has one outcome, and every talk has an end;
//! - the caller was Answered: exactly one talk is no surplus, and it is with a callee that has answered;
//! - the caller hung up: whatever talk there was is surplus (CANCEL and 2xx have crossed: ACK and BYE);
//! - any other outcome of the caller: nobody was talked to, and no callee believes that he was heard;
//! - every talk of the caller is one with a callee that answered under that tag, and every callee that was acknowledged
//!   is one that the caller has a talk with;
//! - who says that the other side has hung up is right.
//!
//! A network that loses messages may also leave: a callee whose 2xx was never acknowledged (within 64·T1), a caller or a
//! callee whose messages got nowhere, a talk whose end the other side was not told (481 when it hangs up itself), and a
//! rejection that a proxy made for want of an answer. None of these is legal in a network that only delays, reorders and
//! repeats; there a call with one callee also has the very outcome that was planned.

use std::time::Duration;

use sip_message::StatusCode;
use testkit::{End, Outcome, Record};

use crate::plan::{CallPlan, Decision, Plan};

/// What all phones have noted about one call.
#[derive(Clone)]
pub struct Sides {
    pub caller: Record,
    pub callees: Vec<Record>,
    /// Which of the called phones they are of.
    pub numbers: Vec<usize>,
}

impl Sides {
    /// What does not fit; `None` when everything does.
    pub fn contradiction(&self, plan: &Plan, call: &CallPlan) -> Option<String> {
        self.one_outcome_each()
            .or_else(|| self.talks_match())
            .or_else(|| self.outcomes_match())
            .or_else(|| self.ends_match())
            .or_else(|| if plan.may_lose() { None } else { self.nothing_was_lost(plan) })
            .or_else(|| if plan.may_lose() { None } else { self.nobody_waits_for_ever(plan, call) })
            .or_else(|| if plan.may_lose() || plan.callees > 1 { None } else { self.as_planned(plan, call) })
    }

    fn all(&self) -> impl Iterator<Item = &Record> {
        std::iter::once(&self.caller).chain(&self.callees)
    }

    fn one_outcome_each(&self) -> Option<String> {
        for record in self.all() {
            if record.outcome.is_none() {
                return Some(format!("a side has no outcome: {record:?}"));
            }
            if !record.contradictions.is_empty() {
                return Some(format!("a side has several outcomes: {record:?}"));
            }
            if record.talks.iter().any(|talk| talk.end.is_none()) {
                return Some(format!("a talk has no end: {record:?}"));
            }
        }
        None
    }

    /// The callee that has this tag.
    fn callee(&self, tag: &str) -> Option<&Record> {
        self.callees.iter().find(|callee| callee.talks.iter().any(|talk| talk.local_tag == tag))
    }

    fn talks_match(&self) -> Option<String> {
        for talk in &self.caller.talks {
            match self.callee(&talk.remote_tag).map(|callee| callee.outcome) {
                Some(Some(Outcome::Answered | Outcome::Unacknowledged)) => {}
                other => return Some(format!("the caller talks to one who says {other:?}")),
            }
        }
        for callee in self.callees.iter().filter(|callee| callee.outcome == Some(Outcome::Answered)) {
            let heard = |tag: &str| self.caller.talks.iter().any(|talk| talk.remote_tag == tag);
            if !callee.talks.iter().any(|talk| heard(&talk.local_tag)) {
                return Some("a callee was acknowledged by nobody".into());
            }
        }
        None
    }

    fn outcomes_match(&self) -> Option<String> {
        let real = self.caller.talks.iter().filter(|talk| !talk.surplus).count();
        match self.caller.outcome {
            Some(Outcome::Answered) if real != 1 => Some(format!("the caller was answered and has {real} talks")),
            Some(Outcome::Answered) => None,
            Some(Outcome::Cancelled) if real != 0 => Some("the caller has cancelled and talks".into()),
            Some(Outcome::Cancelled) => None,
            _ if !self.caller.talks.is_empty() => Some("the caller talks though it was not answered".into()),
            _ => None,
        }
    }

    fn ends_match(&self) -> Option<String> {
        for talk in &self.caller.talks {
            let callee = self.callee(&talk.remote_tag)?;
            let theirs = callee.talks.iter().find(|theirs| theirs.local_tag == talk.remote_tag)?;
            if matches!((talk.end, theirs.end), (Some(End::PeerHungUp), Some(end)) if end != End::HungUp)
                || matches!((talk.end, theirs.end), (Some(end), Some(End::PeerHungUp)) if end != End::HungUp)
            {
                return Some(format!("the talk ended by {:?} and {:?}", talk.end, theirs.end));
            }
        }
        None
    }

    fn nothing_was_lost(&self, plan: &Plan) -> Option<String> {
        let rejections = self.callees.iter().filter_map(|callee| match callee.outcome {
            Some(Outcome::Rejected(status)) => Some(through_proxies(plan, status)),
            _ => None,
        });
        let rejections: Vec<_> = rejections.collect();
        // Timer C ends with 408, or with the 487 of the one who was cancelled (RFC 3261 §16.8).
        let of_proxy = [StatusCode::REQUEST_TIMEOUT, StatusCode::REQUEST_TERMINATED];
        match self.caller.outcome {
            Some(Outcome::Rejected(status)) if !rejections.contains(&status) && !of_proxy.contains(&status) => {
                return Some(format!("nobody has said {}", status.code()));
            }
            Some(Outcome::TimedOut | Outcome::Unreachable(_)) => return Some("the caller got no answer".into()),
            _ => {}
        }
        if let Some(callee) = self.callees.iter().find(|callee| callee.no_ack) {
            return Some(format!("a rejection was not acknowledged: {callee:?}"));
        }
        let lost = [Outcome::Unacknowledged, Outcome::Undeliverable];
        if let Some(callee) = self.callees.iter().find(|callee| lost.map(Some).contains(&callee.outcome)) {
            return Some(format!("a callee was not heard: {callee:?}"));
        }
        // A re-INVITE may meet the BYE that is on its way; but somebody has hung up.
        let hung_up = |tag: &str, end| {
            let talks = || self.all().flat_map(|record| &record.talks);
            end == Some(End::HungUp) || talks().any(|talk| talk.remote_tag == tag && talk.end == Some(End::HungUp))
        };
        let talks = self.all().flat_map(|record| &record.talks);
        let forgotten = talks.filter(|talk| !hung_up(&talk.local_tag, talk.end)).count();
        (forgotten > 0).then(|| "a talk has ended though nobody has hung up".to_owned())
    }

    /// A phone that only rings is released: by an answer elsewhere, by the caller, or by Timer C (RFC 3261 §16.7 step 10,
    /// §16.8), before it loses its own patience.
    fn nobody_waits_for_ever(&self, plan: &Plan, call: &CallPlan) -> Option<String> {
        let mut waiting = self.callees.iter().zip(&self.numbers).filter(|(callee, number)| {
            let waits = call.callees[**number].decision == Decision::Waits;
            waits && plan.proxies > 0 && callee.outcome != Some(Outcome::Cancelled)
        });
        waiting.next().map(|(callee, _)| format!("a callee was left to ring: {callee:?}"))
    }

    /// One callee, and nothing is lost: what was planned happens.
    fn as_planned(&self, plan: &Plan, call: &CallPlan) -> Option<String> {
        let slack = Duration::from_secs(25);
        let wanted = match (call.callees.first()?.decision, call.cancels_at) {
            (Decision::Answers(_), None) => Outcome::Answered,
            (Decision::Rejects(_, status), None) => Outcome::Rejected(through_proxies(plan, status)),
            (Decision::Answers(at) | Decision::Rejects(at, _), Some(cancel)) if cancel + slack < at => {
                Outcome::Cancelled
            }
            (Decision::Answers(at), Some(cancel)) if at + slack < cancel => Outcome::Answered,
            (Decision::Waits, Some(_)) => Outcome::Cancelled,
            (Decision::Waits, None) if plan.proxies == 0 => Outcome::Rejected(StatusCode::TEMPORARILY_UNAVAILABLE),
            _ => return None,
        };
        // Who gives up first after four minutes, caller or callee, is a matter of chance.
        let patience = wanted == Outcome::Rejected(StatusCode::TEMPORARILY_UNAVAILABLE)
            && self.caller.outcome == Some(Outcome::Cancelled);
        if self.caller.outcome == Some(wanted) || patience {
            return None;
        }
        Some(format!("planned was {wanted:?}, the caller has {:?}", self.caller.outcome))
    }
}

/// What the caller hears when a callee rejects: 503 is a matter between neighbours (RFC 3261 §16.7 step 6).
fn through_proxies(plan: &Plan, status: StatusCode) -> StatusCode {
    match status {
        StatusCode::SERVICE_UNAVAILABLE if plan.proxies > 0 => StatusCode::SERVER_INTERNAL_ERROR,
        status => status,
    }
}
