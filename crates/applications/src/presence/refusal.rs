//! Answers to requests that are not done, and the checks that PUBLISH and SUBSCRIBE have in common.

use std::time::Duration;

use servlet::{Error, Result, SipServletRequest, StatusCode};

use super::{PACKAGE, our_event, pidf};

/// How a request ends that changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    /// What the peer has to know to do better.
    header: Option<(&'static str, String)>,
}

/// Why a request is not done.
#[derive(Debug)]
pub(super) enum NotDone {
    /// The peer has to hear of it.
    Refused(Refusal),
    /// Our own fault or the container's; the request ends with 500.
    Failed(Error),
}

impl From<Refusal> for NotDone {
    fn from(refusal: Refusal) -> NotDone {
        NotDone::Refused(refusal)
    }
}

impl From<StatusCode> for NotDone {
    fn from(status: StatusCode) -> NotDone {
        Refusal { status, header: None }.into()
    }
}

impl From<Error> for NotDone {
    fn from(error: Error) -> NotDone {
        NotDone::Failed(error)
    }
}

impl Refusal {
    pub(super) fn with(status: StatusCode, name: &'static str, value: impl Into<String>) -> Refusal {
        Refusal { status, header: Some((name, value.into())) }
    }

    /// RFC 3903 §6 step 4, RFC 6665 §4.2.1.1.
    pub(super) fn too_brief(shortest: Duration) -> Refusal {
        Refusal::with(StatusCode::INTERVAL_TOO_BRIEF, "Min-Expires", shortest.as_secs().to_string())
    }

    /// RFC 3261 §21.4.13.
    pub(super) fn unsupported_type() -> Refusal {
        Refusal::with(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Accept", pidf::CONTENT_TYPE)
    }

    /// There are as many as there may be.
    pub(super) fn full() -> Refusal {
        Refusal::with(StatusCode::SERVICE_UNAVAILABLE, "Retry-After", "60")
    }
}

/// Answers a request that was refused.
pub(super) fn answer(request: &SipServletRequest, done: Result<(), NotDone>) -> Result {
    match done {
        Ok(()) => Ok(()),
        Err(NotDone::Failed(error)) => Err(error.into()),
        Err(NotDone::Refused(refusal)) => {
            let response = request.create_response(refusal.status)?;
            if let Some((name, value)) = &refusal.header {
                response.set_header(name, value)?;
            }
            response.send()?;
            Ok(())
        }
    }
}

/// The `id` of the Event header, if that names our package; else 489 (RFC 3903 §6 step 2, RFC 6665 §4.2.1.1).
pub(super) fn event(request: &SipServletRequest) -> Result<Option<String>, Refusal> {
    let values = request.headers("Event");
    let ours = if let [value] = &*values { our_event(value) } else { None };
    ours.ok_or_else(|| Refusal::with(StatusCode::BAD_EVENT, "Allow-Events", PACKAGE))
}
