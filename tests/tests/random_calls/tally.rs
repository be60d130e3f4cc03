//! What has happened in all worlds together; a random test that never sees a case does not test it.

use std::fmt;

use testkit::{End, Outcome};

use crate::verdict::Sides;

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub calls: usize,
    pub messages: usize,
    answered: usize,
    rejected: usize,
    cancelled: usize,
    crossed: usize,
    timed_out: usize,
    unreachable: usize,
    unacknowledged: usize,
    second_answers: usize,
    reinvites: usize,
    glares: usize,
    gone: usize,
}

impl Tally {
    pub fn count(&mut self, sides: &Sides) {
        self.calls += 1;
        match sides.caller.outcome {
            Some(Outcome::Answered) => {
                self.answered += 1;
                self.second_answers += sides.caller.talks.iter().filter(|talk| talk.surplus).count();
            }
            Some(Outcome::Rejected(_)) => self.rejected += 1,
            Some(Outcome::Cancelled) => {
                self.cancelled += 1;
                self.crossed += sides.caller.talks.len();
            }
            Some(Outcome::TimedOut) => self.timed_out += 1,
            Some(Outcome::Unreachable(_)) => self.unreachable += 1,
            _ => {}
        }
        let lost = |outcome| outcome == Some(Outcome::Unacknowledged);
        self.unacknowledged += sides.callees.iter().filter(|callee| lost(callee.outcome)).count();
        for talk in sides.callees.iter().flat_map(|callee| &callee.talks).chain(&sides.caller.talks) {
            self.reinvites += talk.reinvites as usize;
            self.glares += talk.glares as usize;
            self.gone += usize::from(talk.end == Some(End::Gone));
        }
    }

    pub fn must_have_seen_everything(&self) {
        let seen = [
            self.answered,
            self.rejected,
            self.cancelled,
            self.crossed,
            self.timed_out,
            self.unacknowledged,
            self.second_answers,
            self.reinvites,
            self.glares,
        ];
        assert!(seen.iter().all(|count| *count >= 5), "some cases hardly happen: {self:?}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
