//! Requests that are not done.

use std::time::Duration;

use servlet::{Error, Result, SipServletRequest, StatusCode};

/// Why a request is not done.
#[derive(Debug)]
pub(super) enum NotDone {
    /// The peer has to hear of it, with what it has to know to do better.
    Refused(StatusCode, Option<(&'static str, String)>),
    /// Our own fault or the container's; the request ends with 500.
    Failed(Error),
}

impl NotDone {
    pub(super) fn with(status: StatusCode, name: &'static str, value: impl Into<String>) -> NotDone {
        NotDone::Refused(status, Some((name, value.into())))
    }

    /// RFC 6665 §4.2.1.1.
    pub(super) fn too_brief(shortest: Duration) -> NotDone {
        NotDone::with(StatusCode::INTERVAL_TOO_BRIEF, "Min-Expires", shortest.as_secs().to_string())
    }
}

impl From<StatusCode> for NotDone {
    fn from(status: StatusCode) -> NotDone {
        NotDone::Refused(status, None)
    }
}

impl From<Error> for NotDone {
    fn from(error: Error) -> NotDone {
        NotDone::Failed(error)
    }
}

/// Answers a request that was refused.
pub(super) fn answer(request: &SipServletRequest, done: Result<(), NotDone>) -> Result {
    match done {
        Ok(()) => Ok(()),
        Err(NotDone::Failed(error)) => Err(error.into()),
        Err(NotDone::Refused(status, header)) => {
            let response = request.create_response(status)?;
            if let Some((name, value)) = header {
                response.set_header(name, &value)?;
            }
            Ok(response.send()?)
        }
    }
}
