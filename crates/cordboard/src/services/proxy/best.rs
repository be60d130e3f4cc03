//! Which of the final responses goes back: RFC 3261 §16.7 steps 6 and 7.
//!
//! Any 6xx; else the lowest class; within 4xx what helps the caller to try again. Not the lowest number: a 408 says less
//! than a 486. A 503 is ours to keep: it would tell the caller that *we* are unavailable.

use sip_message::{HeaderName, Response, StatusClass, StatusCode};

/// The best failure so far, and the challenges of all.
#[derive(Debug)]
pub(crate) struct Best {
    candidate: Candidate,
    /// WWW-Authenticate and Proxy-Authenticate values of 401s and 407s other than the candidate (step 7).
    challenges: Vec<(HeaderName, Box<str>)>,
}

/// A final response of a branch, or what stands for one.
#[derive(Debug)]
pub(crate) enum Candidate {
    /// A response that came; without our Via.
    Received(Response),
    /// What a branch that got none counts as (§16.7 step 6, §16.9).
    CountsAs(StatusCode),
}

impl Best {
    pub(crate) fn new(candidate: Candidate) -> Best {
        Best { candidate, challenges: Vec::new() }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.candidate.status()
    }

    /// Whether a 6xx has come, so that no new branch may begin.
    pub(crate) fn is_global_failure(&self) -> bool {
        self.status().class() == StatusClass::GlobalFailure
    }

    /// Takes one more into account.
    pub(crate) fn consider(&mut self, candidate: Candidate) {
        let better = rank(candidate.status()) < rank(self.status());
        let loser = if better { std::mem::replace(&mut self.candidate, candidate) } else { candidate };
        if let Candidate::Received(response) = loser
            && is_challenge(response.status())
        {
            for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate] {
                self.challenges.extend(response.headers().values(name).map(|value| (name, value.into())));
            }
        }
    }

    /// The response to forward. `ours` is made into it where none was received. `responsible`: the targets were ours.
    pub(crate) fn into_response(self, mut ours: Response, responsible: bool) -> Response {
        let mut response = match self.candidate {
            Candidate::Received(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => response,
            Candidate::Received(_) => {
                ours.set_status(StatusCode::SERVER_INTERNAL_ERROR);
                ours
            }
            Candidate::CountsAs(StatusCode::SERVICE_UNAVAILABLE) => {
                ours.set_status(StatusCode::SERVER_INTERNAL_ERROR);
                ours
            }
            // RFC 5626 §5.3.1: 430 tells the proxy that chose the flow. Where that is us, the callee is just not there.
            Candidate::CountsAs(StatusCode::FLOW_FAILED) if responsible => {
                ours.set_status(StatusCode::TEMPORARILY_UNAVAILABLE);
                ours
            }
            Candidate::CountsAs(status) => {
                ours.set_status(status);
                ours
            }
        };
        if is_challenge(response.status()) {
            for (name, value) in self.challenges {
                response.headers_mut().push(name, value).expect("a parsed value has no line break");
            }
        }
        response
    }
}

impl Candidate {
    fn status(&self) -> StatusCode {
        match self {
            Candidate::Received(response) => response.status(),
            Candidate::CountsAs(status) => *status,
        }
    }
}

fn is_challenge(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED)
}

/// The lower the better: by class, then by what it tells the caller. Among equals the first that came stays.
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

    fn best_of(codes: &[u16]) -> u16 {
        let mut statuses = codes.iter().map(|code| Candidate::CountsAs(StatusCode::new(*code).unwrap()));
        let mut best = Best::new(statuses.next().unwrap());
        statuses.for_each(|status| best.consider(status));
        best.status().code()
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
}
