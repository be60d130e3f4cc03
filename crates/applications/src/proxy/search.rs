//! In which order the targets of a request are tried: RFC 3261 §16.6 (by preference), RFC 5626 §7 and RFC 5627 §6.1 (one
//! branch at a time for each instance of a user agent).
//!
//! ```text
//!   waiting targets ── next ──► start these ── started ──► running branches
//!        ▲                                                      │
//!        └── the others of its instance are dropped ◄── ended ──┘   unless it was the way that failed: 408, 430
//! ```
//!
//! Left to the container: the branches themselves, redirections, the breadth that they share (RFC 5393), which response
//! is the best.

use std::collections::VecDeque;

use sip_message::{StatusClass, StatusCode};

use super::disposition::{Disposition, Order};
use super::targets::{Target, TargetSet};
use crate::location::same_instance;

/// A search that goes on when a branch has failed. `B` names branches.
#[derive(Debug)]
pub(super) struct Search<B> {
    /// By falling preference.
    waiting: VecDeque<Target>,
    /// Branches that have no final response, each with its instance: empty when it is unknown.
    running: Vec<(B, Box<str>)>,
    /// The preference of the targets that are being tried.
    group: u16,
    /// A 2xx or 6xx has come: no new branch may begin (RFC 3261 §16.7 step 5).
    over: bool,
}

impl<B: PartialEq> Search<B> {
    /// A search among targets that stand in the order of their preference.
    pub(super) fn new(mut targets: TargetSet, disposition: Disposition) -> Search<B> {
        if disposition.no_fork {
            keep_best(&mut targets);
        }
        match disposition.order {
            Order::ByPreference => {}
            Order::Parallel => targets.iter_mut().for_each(|target| target.q = 0),
            Order::Sequential => {
                // The order alone counts, and no two are equal.
                for (target, q) in targets.iter_mut().rev().zip(0..) {
                    target.q = q;
                }
            }
        }
        Search { waiting: targets.into_iter().collect(), running: Vec::new(), group: 0, over: false }
    }

    /// The targets that may be tried now. When branches run, only those of the same preference; else the next group.
    pub(super) fn next(&mut self) -> TargetSet {
        let mut batch = TargetSet::new();
        if self.over {
            return batch;
        }
        if self.running.is_empty() {
            self.group = self.waiting.front().map_or(0, |target| target.q);
        }
        let mut at = 0;
        while let Some(target) = self.waiting.get(at) {
            let is_busy = |other: &str| !other.is_empty() && same_instance(other, &target.instance);
            let busy = self.running.iter().any(|(_, instance)| is_busy(instance))
                || batch.iter().any(|other| is_busy(&other.instance));
            if target.q != self.group || busy {
                at += 1;
            } else {
                batch.extend(self.waiting.remove(at));
            }
        }
        batch
    }

    /// Whether there is nothing that could be tried later.
    pub(super) fn is_exhausted(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The branch of a target has begun.
    pub(super) fn started(&mut self, branch: B, instance: Box<str>) {
        self.running.push((branch, instance));
    }

    /// The branches that run, as far as we know.
    pub(super) fn running(&self) -> impl Iterator<Item = &B> {
        self.running.iter().map(|(branch, _)| branch)
    }

    /// A branch has its final response. One that we have not begun is a redirection's, and speaks for no instance.
    pub(super) fn ended(&mut self, branch: &B, status: StatusCode) {
        if matches!(status.class(), StatusClass::Success | StatusClass::GlobalFailure) {
            self.over = true;
        }
        let Some(at) = self.running.iter().position(|(running, _)| running == branch) else { return };
        let (_, instance) = self.running.swap_remove(at);
        // "a final response … other than a 408 (Request Timeout) or a 430 (Flow Failed)": the instance has spoken.
        let way_failed = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::FLOW_FAILED);
        if !way_failed && !instance.is_empty() {
            self.waiting.retain(|target| !same_instance(&target.instance, &instance));
        }
    }
}

/// Keeps the best target, and the other ways to its instance, which are tried one at a time: no fork.
fn keep_best(targets: &mut TargetSet) {
    let Some(best) = targets.first().map(|target| target.instance.clone()) else { return };
    let mut is_best = true;
    targets.retain(|target| std::mem::take(&mut is_best) || !best.is_empty() && same_instance(&target.instance, &best));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target's contact, preference in thousandths and instance.
    fn search(targets: &[(&str, u16, &str)], disposition: Disposition) -> Search<String> {
        let target = |(uri, q, instance): &(&str, u16, &str)| Target {
            q: *q,
            instance: (*instance).into(),
            ..Target::new(sip_message::UriBuf::parse(format!("sip:{uri}@h")).unwrap())
        };
        Search::new(targets.iter().map(target).collect(), disposition)
    }

    /// Starts what may be started.
    fn go(search: &mut Search<String>) -> String {
        let batch = search.next();
        let mut names = Vec::new();
        for target in batch {
            let name = target.uri.as_uri().sip().unwrap().user().unwrap().into_owned();
            search.started(name.clone(), target.instance);
            names.push(name);
        }
        names.join(" ")
    }

    fn ended(search: &mut Search<String>, branch: &str, status: u16) -> String {
        search.ended(&branch.to_owned(), StatusCode::new(status).unwrap());
        go(search)
    }

    const PHONES: [(&str, u16, &str); 4] = [("a", 1000, ""), ("b", 1000, ""), ("c", 500, ""), ("d", 0, "")];

    /// §16.6: "Targets are processed from highest qvalue to lowest. Targets with equal qvalues may be processed in
    /// parallel."
    #[test]
    fn equal_preferences_are_tried_at_once_and_lower_ones_after_all_of_them() {
        let mut search = search(&PHONES, Disposition::default());
        assert_eq!(go(&mut search), "a b");
        assert_eq!(ended(&mut search, "b", 486), "");
        assert_eq!(ended(&mut search, "a", 404), "c");
        assert!(!search.is_exhausted());
        assert_eq!(ended(&mut search, "c", 503), "d");
        assert!(search.is_exhausted());
        assert_eq!(ended(&mut search, "d", 480), "");
    }

    #[test]
    fn after_a_success_or_a_global_failure_nothing_is_tried() {
        for status in [200, 603] {
            let mut search = search(&PHONES, Disposition::default());
            go(&mut search);
            assert_eq!(ended(&mut search, "a", status), "");
            assert_eq!(ended(&mut search, "b", 487), "");
        }
    }

    /// RFC 5626 §7: "MUST NOT populate the target set with more than one contact with the same AOR and instance-id at a
    /// time"; 430: "replace the failed branch with another target".
    #[test]
    fn an_instance_has_one_branch_and_another_way_when_that_fails() {
        let flows = [("1", 1000, "<urn:x>"), ("2", 1000, "<URN:X>"), ("desk", 1000, "")];
        for status in [430, 408] {
            let mut search = search(&flows, Disposition::default());
            assert_eq!(go(&mut search), "1 desk");
            assert_eq!(ended(&mut search, "1", status), "2");
        }
        let mut search = search(&flows, Disposition::default());
        go(&mut search);
        assert_eq!(ended(&mut search, "1", 486), "");
        assert!(search.is_exhausted());
    }

    /// An instance that has spoken is not asked again by a contact of a lower preference.
    #[test]
    fn an_instance_that_has_answered_is_not_asked_again() {
        let mut search =
            search(&[("1", 1000, "<urn:x>"), ("2", 500, "<urn:x>"), ("3", 500, "")], Disposition::default());
        assert_eq!(go(&mut search), "1");
        assert_eq!(ended(&mut search, "1", 486), "3");
    }

    #[test]
    fn who_does_not_want_to_fork_gets_the_best_target() {
        let no_fork = Disposition { no_fork: true, ..Disposition::default() };
        let mut one = search(&PHONES, no_fork);
        assert_eq!(go(&mut one), "a");
        assert!(one.is_exhausted());
        let mut flows = search(&[("1", 900, "<urn:x>"), ("desk", 900, ""), ("2", 800, "<urn:x>")], no_fork);
        assert_eq!(go(&mut flows), "1");
        assert_eq!(ended(&mut flows, "1", 430), "2");
    }

    #[test]
    fn who_wants_all_at_once_or_one_after_the_other_gets_that() {
        let order = |order| Disposition { order, ..Disposition::default() };
        assert_eq!(go(&mut search(&PHONES, order(Order::Parallel))), "a b c d");
        let mut search = search(&PHONES, order(Order::Sequential));
        assert_eq!(go(&mut search), "a");
        assert_eq!(ended(&mut search, "a", 486), "b");
        assert_eq!(ended(&mut search, "b", 486), "c");
    }

    /// The branch of a redirection ends: nothing is known of its instance.
    #[test]
    fn a_branch_that_we_have_not_begun_takes_nothing_away() {
        let mut search = search(&[("1", 1000, "<urn:x>"), ("2", 1000, "<urn:x>")], Disposition::default());
        go(&mut search);
        assert_eq!(ended(&mut search, "elsewhere", 404), "");
        assert!(!search.is_exhausted());
    }

    /// RFC 3841 §9.1.
    #[test]
    fn directives_are_read_in_any_case_and_form() {
        let text = "MESSAGE sip:a@h SIP/2.0\r\nd: No-Fork, no-cancel\r\nRequest-Disposition: sequential, magic\r\n\r\n";
        let disposition = Disposition::of(&crate::testing::request(text));
        let no_fork = Disposition { no_fork: true, no_cancel: true, order: Order::Sequential, no_recurse: false };
        assert_eq!(disposition, no_fork);
    }
}
