//! Starting branches: RFC 3261 §16.6 (parallel and serial search by preference), RFC 5393 §5.3 (the breadth that branches
//! share), RFC 5626 §7 and RFC 5627 §6.1 (one branch at a time for each instance).

use std::time::Instant;

use sip_endpoint::Misuse;
use sip_message::{HeaderName, NameAddr, Request, Response, StatusCode};

use super::best::Candidate;
use super::context::{Branch, BranchState, Context, Forking};
use super::forward::Forwarding;
use super::targets::{Target, as_request_uri};
use super::{Turn, targets_limit};
use crate::services::location::same_instance;
use crate::services::registrar::thousandths;
use crate::services::timers::TimerToken;

impl Turn<'_> {
    /// Starts what may be started; when nothing is waited for any more, sends the best answer back.
    pub(super) fn advance(&mut self, context: &mut Context) {
        while let Some((request, target, forwarding, breadth)) = self.next(context) {
            let forwarding = forwarding.as_forwarding(self.config);
            self.branch(context, &forwarding, request, &target, breadth);
        }
        if !context.is_waiting() {
            self.finish(context);
        }
    }

    /// Sends the request to one target.
    pub(super) fn branch(
        &mut self,
        context: &mut Context,
        forwarding: &Forwarding<'_>,
        request: Request,
        target: &Target,
        breadth: u32,
    ) {
        let deadline = self.now + self.config.proxy.timer_c;
        let mut branch = Branch {
            client: None,
            state: BranchState::Calling,
            deadline,
            breadth,
            over_flow: target.flow.is_some(),
            cancelled: false,
            instance: target.instance.clone(),
        };
        match forwarding.send(self.now, self.endpoint, request, target, breadth) {
            Ok(client) => {
                branch.client = Some(client);
                context.live += 1;
                self.by_client.insert(client, (self.number, context.branches.len() as u16));
                context.branches.push(branch);
                self.arm_timer_c(context, deadline);
            }
            Err(misuse) => {
                branch.state = BranchState::Ended;
                context.branches.push(branch);
                context.remember(Candidate::CountsAs(counts_as(misuse)));
            }
        }
    }

    /// §16.6 step 11. One timer serves all branches: it is set for the first deadline and set again when it fires.
    pub(super) fn arm_timer_c(&mut self, context: &mut Context, deadline: Instant) {
        if context.is_invite && context.timer_c.is_none() {
            let after = deadline.saturating_duration_since(self.now);
            context.timer_c = Some(self.endpoint.set_timer(self.now, after, TimerToken::TimerC(self.number).write()));
        }
    }

    /// The next target that may be tried now, with the request for it and its share of the breadth.
    fn next(&self, context: &mut Context) -> Option<(Request, Target, Kept, u32)> {
        if context.closed || context.answered {
            return None;
        }
        let waits = context.is_waiting();
        let in_use = context.breadth_in_use();
        if !waits {
            // The next group (§16.6): equal preference in parallel, the groups one after the other.
            let forking = context.open.as_mut()?.forking.as_mut()?;
            forking.group = forking.waiting.front()?.q;
        }
        let forking = context.open.as_ref()?.forking.as_ref()?;
        if waits && forking.one_instance {
            return None;
        }
        let eligible = |target: &Target| target.q == forking.group && !context.is_trying_instance(&target.instance);
        let at = forking.waiting.iter().position(eligible)?;
        let available = forking.breadth.saturating_sub(in_use);
        if available == 0 {
            // What is left of the group waits until a branch gives its share back (RFC 5393 §5.3.3.1).
            return None;
        }
        let rivals = if forking.one_instance { 1 } else { distinct(forking, eligible) };
        let breadth = (available / rivals).max(1);
        let open = context.open.as_mut()?;
        let forking = open.forking.as_mut()?;
        let target = forking.waiting.remove(at)?;
        let kept = Kept { from: forking.from, max_forwards: forking.max_forwards, mark: forking.mark };
        if forking.waiting.is_empty() && !forking.recurses {
            let forking = open.forking.take()?;
            return Some((forking.request, target, kept, breadth));
        }
        Some((forking.request.clone(), target, kept, breadth))
    }

    /// Makes targets of the contacts of a 3xx (§16.7 step 4), and gives back what is left of the response: nothing when
    /// every contact was taken.
    pub(super) fn recurse(&self, context: &mut Context, mut response: Response) -> Option<Response> {
        let limit = targets_limit(&self.config.proxy);
        let forking = context.open.as_mut().and_then(|open| open.forking.as_mut()).filter(|f| f.recurses);
        let Some(forking) = forking.filter(|_| !context.closed) else { return Some(response) };
        let mut taken: Vec<Target> = Vec::new();
        let mut left: Vec<String> = Vec::new();
        for value in response.headers().values(HeaderName::Contact) {
            match new_target(forking, value).filter(|_| forking.tried.len() < limit) {
                Some(target) => {
                    forking.tried.extend(target.uri.as_ref().map(|uri| uri.as_str().into()));
                    taken.push(target);
                }
                None => left.push(value.to_owned()),
            }
        }
        if taken.is_empty() {
            return Some(response);
        }
        taken.sort_by_key(|target| target.q);
        for target in taken {
            forking.waiting.push_front(target);
        }
        if left.is_empty() {
            return None;
        }
        response.headers_mut().remove(HeaderName::Contact);
        for value in left {
            response.headers_mut().push(HeaderName::Contact, value).expect("a parsed value has no line break");
        }
        Some(response)
    }
}

/// What of a forking is needed to send one more request.
struct Kept {
    from: sip_message::Flow,
    max_forwards: u8,
    mark: Option<u64>,
}

impl Kept {
    fn as_forwarding<'a>(&'a self, config: &'a crate::services::config::ServicesConfig) -> Forwarding<'a> {
        Forwarding { config, from: &self.from, max_forwards: self.max_forwards, mark: self.mark }
    }
}

/// Takes away what must not be tried any more because its instance has answered (RFC 5626 §7): only 408 and 430 speak
/// for the way and not for the instance.
pub(super) fn drop_answered_instance(forking: &mut Forking, instance: &str, status: StatusCode) {
    let way_failed = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::FLOW_FAILED);
    if !way_failed && !instance.is_empty() {
        forking.waiting.retain(|target| !same_instance(&target.instance, instance));
    }
}

/// How many branches the waiting targets of a group make at the same time: one for each instance.
fn distinct(forking: &Forking, eligible: impl Fn(&Target) -> bool) -> u32 {
    let mut seen: Vec<&str> = Vec::new();
    let mut count = 0;
    for target in forking.waiting.iter().filter(|target| eligible(target)) {
        let instance = &*target.instance;
        if instance.is_empty() {
            count += 1;
        } else if !seen.iter().any(|other| same_instance(other, instance)) {
            seen.push(instance);
            count += 1;
        }
    }
    count.max(1)
}

/// The target that a contact of a 3xx makes: a SIP URI that was not tried before, and a secure one where the request
/// was secure.
fn new_target(forking: &Forking, contact: &str) -> Option<Target> {
    let contact = NameAddr::parse(contact).ok()?;
    let uri = contact.uri().sip().filter(|uri| uri.is_secure() || !forking.secure)?;
    if forking.has_tried(uri.as_str()) {
        return None;
    }
    let q = contact.params().value("q").and_then(thousandths).unwrap_or(1000);
    Some(Target { uri: Some(as_request_uri(uri.into())), q, ..Target::default() })
}

/// The response that a request counts as which could not even be begun.
fn counts_as(misuse: Misuse) -> StatusCode {
    match misuse {
        Misuse::NoNextHop => StatusCode::UNSUPPORTED_URI_SCHEME,
        Misuse::NoListener(_) | Misuse::Ended | Misuse::AlreadyAnswered => StatusCode::BAD_GATEWAY,
    }
}
