//! OPTIONS outside of dialogs: RFC 3261 §11, both ways. What a session description would say of us is left out (§11.2: "MAY").

use std::sync::Arc;

use sip_message::{HeaderName, Request, Response, StatusCode};

use super::exchange::Answer;
use super::{message, sending};
use crate::notification::Data;

/// The extensions that user agents of ours understand (RFC 3261 §20.37).
pub(super) const SUPPORTED: &str = "100rel, timer, replaces, norefersub, path, gruu, outbound";
/// The event packages that user agents of ours are told of (RFC 6665 §8.2.2).
pub(super) const ALLOW_EVENTS: &str = "message-summary, conference, refer";
/// The fields of an answer that are worth telling.
const TOLD: [HeaderName; 9] = [
    HeaderName::Allow,
    HeaderName::Accept,
    HeaderName::AcceptEncoding,
    HeaderName::AcceptLanguage,
    HeaderName::AllowEvents,
    HeaderName::Supported,
    HeaderName::Contact,
    HeaderName::UserAgent,
    HeaderName::Server,
];

/// The 200 to an OPTIONS (§11.2).
pub(super) fn response(request: &Request) -> Response {
    let mut response = Response::to(request, StatusCode::OK);
    let fields = [
        (HeaderName::Allow, sending::ALLOW),
        (HeaderName::Accept, "application/sdp"),
        (HeaderName::Accept, message::ACCEPT),
        (HeaderName::AcceptEncoding, "identity"),
        (HeaderName::Supported, SUPPORTED),
        (HeaderName::AllowEvents, ALLOW_EVENTS),
    ];
    for (name, value) in fields {
        response.headers_mut().push(name, value).expect("a constant has no line break");
    }
    response
}

/// What the application is told of the answer to an OPTIONS of ours.
pub(super) fn outcome(request_id: Arc<str>, answer: &Answer<'_>) -> Data {
    match answer {
        Answer::Response(response) => {
            let field = |name: HeaderName| {
                let values: Vec<&str> = response.headers().fields_of(name).collect();
                (!values.is_empty()).then(|| (Arc::from(name.as_str()), Arc::from(values.join(", "))))
            };
            Data::AccountGotOptionsResponse {
                request_id,
                code: response.status(),
                reason: response.reason().into(),
                fields: TOLD.into_iter().filter_map(field).collect(),
            }
        }
        Answer::Nothing(code, reason) => Data::AccountGotOptionsResponse {
            request_id,
            code: *code,
            reason: reason.as_str().into(),
            fields: Vec::new(),
        },
    }
}
