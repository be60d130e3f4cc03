//! Requests that are not served: the response that says why (RFC 3261 §8.2), as data until it is sent.

use servlet::{SipServletRequest, SipServletResponse};
use sip_message::{HeaderName, Method, Request, StatusCode};

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// In words of our own; else in the usual ones.
    pub(crate) reason: Option<&'static str>,
    /// The header that goes with it.
    pub(crate) header: Option<(HeaderName, String)>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode) -> Refusal {
        Refusal { status, reason: None, header: None }
    }

    pub(crate) fn because(status: StatusCode, reason: &'static str) -> Refusal {
        Refusal { reason: Some(reason), ..Refusal::new(status) }
    }

    pub(crate) fn with(self, name: HeaderName, value: impl ToString) -> Refusal {
        Refusal { header: Some((name, value.to_string())), ..self }
    }

    /// Sends it. An ACK is never answered.
    pub(crate) fn send(self, request: &SipServletRequest) -> servlet::Result {
        if request.method() != Method::Ack {
            self.response(request)?.send()?;
        }
        Ok(())
    }

    fn response(&self, request: &SipServletRequest) -> Result<SipServletResponse, servlet::Error> {
        let response = match self.reason {
            Some(reason) => request.create_response_with_reason(self.status, reason)?,
            None => request.create_response(self.status)?,
        };
        if let Some((name, value)) = &self.header {
            response.set_header(name.as_str(), value)?;
        }
        Ok(response)
    }
}

/// 420 when the values of `demand` (Require or Proxy-Require) name an extension that is not in `known`.
pub(crate) fn check_extensions(request: &Request, demand: HeaderName, known: &[&str]) -> Result<(), Refusal> {
    let headers = request.headers();
    let unknown = |tag: &&str| !known.iter().any(|known| known.eq_ignore_ascii_case(tag));
    let unsupported: Vec<&str> = headers.values(demand).filter(|tag| !tag.is_empty()).filter(unknown).collect();
    if unsupported.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::BAD_EXTENSION).with(HeaderName::Unsupported, unsupported.join(", ")))
}

/// Whether a request begins something new, and does not belong to something that is there.
pub(crate) fn begins_something(request: &Request) -> bool {
    let in_dialog = request.headers().to_tag().is_some();
    !in_dialog
        && !matches!(request.method(), Method::Ack | Method::Cancel | Method::Bye | Method::Prack | Method::Options)
}

/// A header that is one number, such as Expires (RFC 3261 §20.19). A number beyond 32 bits is as good as the largest.
pub(crate) fn seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}
