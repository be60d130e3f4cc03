//! Which of the final responses goes back: RFC 3261 §16.7 steps 6 and 7.
//!
//! Any 6xx; else the lowest class; within 4xx what helps the caller to try again. Not the lowest number: a 408 says less
//! than a 486. A 503 is ours to keep: it would tell the caller that *we* are unavailable.

use servlet::SipServletResponse;
use sip_message::{HeaderName, Headers, Response, StatusClass, StatusCode};

/// The best failure so far, and what of the others goes along with it.
pub(super) struct Best {
    pub(super) candidate: Candidate,
    /// WWW-Authenticate, Proxy-Authenticate and Contact values of 401s, 407s and 3xx other than the candidate (step 7,
    /// and step 4 at its end).
    others: Vec<(HeaderName, Box<str>)>,
}

/// A final response of a branch, or what stands for one.
pub(super) enum Candidate {
    /// One that came.
    Received(Box<Response>),
    /// One that came or was made here, and that the application has a handle to.
    Shown(SipServletResponse, Origin),
    /// One that the application itself has sent: it goes as it is.
    Own(Box<Response>),
    /// What a branch that got none counts as (§16.7 step 6, §16.9).
    CountsAs(StatusCode),
}

/// Where a response that the application has seen is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Received,
    /// It was made here for a branch that got none.
    Local,
}

impl Best {
    pub(super) fn new(candidate: Candidate) -> Best {
        Best { candidate, others: Vec::new() }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.candidate.status()
    }

    /// Takes one more into account; gives back the one that is not the best, and whether the new one is. Among equals the
    /// first that came stays.
    pub(super) fn consider(&mut self, candidate: Candidate) -> (bool, Candidate) {
        let better = rank(candidate.status()) < rank(self.status());
        let loser = if better { std::mem::replace(&mut self.candidate, candidate) } else { candidate };
        match &loser {
            Candidate::Received(response) | Candidate::Own(response) => self.keep(response),
            Candidate::Shown(response, _) => self.keep(&response.sip_response()),
            Candidate::CountsAs(_) => {}
        }
        (better, loser)
    }

    fn keep(&mut self, loser: &Response) {
        for name in carried(loser.status()) {
            self.others.extend(loser.headers().values(*name).map(|value| (*name, value.into())));
        }
    }

    /// Adds to the best response what others like it have said.
    pub(super) fn gather(&mut self, status: StatusCode, headers: &mut Headers) {
        let carried = carried(status);
        for (name, value) in std::mem::take(&mut self.others) {
            if carried.contains(&name) && !headers.values(name).any(|known| *known == *value) {
                headers.push(name, value).expect("a parsed value has no line break");
            }
        }
    }
}

impl Candidate {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Candidate::Received(response) | Candidate::Own(response) => response.status(),
            Candidate::Shown(response, _) => response.status(),
            Candidate::CountsAs(status) => *status,
        }
    }
}

/// What goes upstream for a response of a branch; `None`: that response itself. `is_chosen`: the application has chosen
/// the flow that failed.
pub(super) fn replaced(status: StatusCode, is_local: bool, is_chosen: bool) -> Option<StatusCode> {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => Some(StatusCode::SERVER_INTERNAL_ERROR),
        // RFC 5626 §5.3.1: 430 tells the proxy that chose the flow. Where that is us, the callee is just not there.
        StatusCode::FLOW_FAILED if is_local && is_chosen => Some(StatusCode::TEMPORARILY_UNAVAILABLE),
        _ => None,
    }
}

/// The headers that are gathered from all responses of a kind.
fn carried(status: StatusCode) -> &'static [HeaderName] {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            &[HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate]
        }
        status if status.class() == StatusClass::Redirection => &[HeaderName::Contact],
        _ => &[],
    }
}

/// The lower the better: by class, then by what it tells the caller.
fn rank(status: StatusCode) -> (u8, u8) {
    let class = match status.class() {
        StatusClass::GlobalFailure => 0,
        StatusClass::Provisional | StatusClass::Success | StatusClass::Redirection => 1,
        StatusClass::RequestFailure => 2,
        StatusClass::ServerFailure => 3,
    };
    let within = match status.code() {
        // "information affecting resubmission of this request"
        401 | 407 => 0,
        415 | 420 | 484 => 1,
        // A branch that we cancelled, or that never answered, knows nothing of the callee.
        487 => 3,
        408 | 430 | 503 => 4,
        _ => 2,
    };
    (class, within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_message::{Method, Request, UriBuf};

    fn best_of(codes: &[u16]) -> u16 {
        let mut statuses = codes.iter().map(|code| Candidate::CountsAs(StatusCode::new(*code).unwrap()));
        let mut best = Best::new(statuses.next().unwrap());
        statuses.for_each(|status| drop(best.consider(status)));
        best.status().code()
    }

    fn received(code: u16, headers: &[(HeaderName, &str)]) -> Candidate {
        let request = Request::new(Method::Invite, &UriBuf::parse("sip:bob@example.com").unwrap());
        let mut response = Response::to(&request, StatusCode::new(code).unwrap());
        for (name, value) in headers {
            response.headers_mut().push(*name, value).unwrap();
        }
        Candidate::Received(Box::new(response))
    }

    fn gathered(candidates: Vec<Candidate>, name: HeaderName) -> Vec<String> {
        let mut candidates = candidates.into_iter();
        let mut best = Best::new(candidates.next().unwrap());
        candidates.for_each(|candidate| drop(best.consider(candidate)));
        let status = best.status();
        let mut headers = match &best.candidate {
            Candidate::Received(response) => response.headers().clone(),
            _ => Headers::new(),
        };
        best.gather(status, &mut headers);
        headers.values(name).map(str::to_owned).collect()
    }

    /// RFC 3261 §16.7 step 6, the example at its end.
    #[test]
    fn the_rfc_s_example_chooses_the_challenge() {
        assert_eq!(best_of(&[503, 407, 501, 404]), 407);
    }

    #[test]
    fn the_lowest_class_is_best_and_not_the_lowest_number() {
        assert_eq!(best_of(&[500, 486]), 486);
        assert_eq!(best_of(&[408, 486]), 486);
        assert_eq!(best_of(&[404, 484]), 484);
        assert_eq!(best_of(&[486, 302]), 302);
        assert_eq!(best_of(&[302, 486, 603]), 603);
        assert_eq!(best_of(&[487, 486]), 486);
        assert_eq!(best_of(&[503, 500]), 500);
        assert_eq!(best_of(&[404, 480]), 404);
    }

    /// RFC 3261 §16.7 step 7.
    #[test]
    fn the_challenges_of_all_branches_go_back_together() {
        const WWW: HeaderName = HeaderName::WwwAuthenticate;
        const PROXY: HeaderName = HeaderName::ProxyAuthenticate;
        let one = || received(407, &[(PROXY, "Digest realm=\"one\"")]);
        let two = || received(401, &[(WWW, "Digest realm=\"two\"")]);
        let busy = || received(486, &[(WWW, "Digest realm=\"never\"")]);
        assert_eq!(gathered(vec![busy(), one(), two()], WWW), ["Digest realm=\"two\""]);
        assert_eq!(gathered(vec![busy(), one(), two()], PROXY), ["Digest realm=\"one\""]);
        assert_eq!(gathered(vec![busy(), two()], WWW), ["Digest realm=\"two\""]);
        assert!(gathered(vec![received(404, &[]), two(), received(603, &[])], WWW).is_empty());
    }

    #[test]
    fn the_contacts_of_all_redirections_go_back_together_each_once() {
        let moved = |contact| received(302, &[(HeaderName::Contact, contact)]);
        let contacts = gathered(vec![moved("<sip:a@h>"), moved("<sip:b@h>"), moved("<sip:a@h>")], HeaderName::Contact);
        assert_eq!(contacts, ["<sip:a@h>", "<sip:b@h>"]);
    }

    /// RFC 3261 §16.7 step 6: "choosing a 503 … SHOULD be converted to 500".
    #[test]
    fn somebody_else_s_overload_is_not_ours() {
        assert_eq!(replaced(StatusCode::SERVICE_UNAVAILABLE, false, false), Some(StatusCode::SERVER_INTERNAL_ERROR));
        assert_eq!(replaced(StatusCode::BUSY_HERE, false, false), None);
        assert_eq!(replaced(StatusCode::FLOW_FAILED, true, true), Some(StatusCode::TEMPORARILY_UNAVAILABLE));
        assert_eq!(replaced(StatusCode::FLOW_FAILED, true, false), None);
        assert_eq!(replaced(StatusCode::FLOW_FAILED, false, true), None);
    }
}
