//! Why a message was refused, and what its sender is told.

use std::fmt;

use crate::header::HeaderError;
use crate::header_name::HeaderName;
use crate::headers::Headers;
use crate::message::Response;
use crate::method::Method;
use crate::status::StatusCode;

/// What is wrong with a message; always the peer's doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The start-line is neither a Request-Line nor a Status-Line (RFC 3261 §7.1, §7.2).
    StartLine,
    /// The version is not `SIP/2.0`.
    Version,
    /// The Request-URI is not a URI.
    RequestUri,
    /// The Request-URI is longer than the limit.
    RequestUriTooLong,
    /// A carriage return or a line feed stands alone, or a NUL outside of a quoted pair.
    StrayControl,
    /// The head is not UTF-8 (RFC 3261 §7).
    NotUtf8,
    /// A header line has no colon, or what is before it is no token.
    HeaderLine,
    /// There are more header lines than the limit.
    TooManyHeaders,
    /// A line is longer than the limit.
    LineTooLong,
    /// The head is longer than the limit, or has no end.
    HeadTooLong,
    /// The datagram or the stream ended inside the head.
    HeadCutOff,
    /// The message is longer than the limit.
    MessageTooLong,
    /// The body is longer than the limit.
    BodyTooLong,
    /// The body is shorter than the Content-Length says.
    BodyCutOff,
    /// The Content-Length is not a number, or two of them differ.
    ContentLength,
    /// On a stream the Content-Length is mandatory (RFC 3261 §20.14).
    ContentLengthMissing,
    /// A header that every message has is not there (RFC 3261 §8.1.1).
    Missing(HeaderName),
    /// A header that may stand once stands twice.
    Repeated(HeaderName),
    /// A header that every message has can't be read.
    Header(HeaderError),
    /// The method of the CSeq is not the request's (RFC 3261 §8.1.1.5).
    CseqMethod,
}

impl Fault {
    /// The response that a request with this fault gets.
    pub fn status(&self) -> StatusCode {
        match self {
            Fault::Version => StatusCode::VERSION_NOT_SUPPORTED,
            Fault::RequestUriTooLong => StatusCode::REQUEST_URI_TOO_LONG,
            Fault::BodyTooLong => StatusCode::REQUEST_ENTITY_TOO_LARGE,
            Fault::MessageTooLong | Fault::HeadTooLong => StatusCode::MESSAGE_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::StartLine => f.write_str("Malformed start line"),
            Fault::Version => f.write_str("Version not supported"),
            Fault::RequestUri => f.write_str("Malformed Request-URI"),
            Fault::RequestUriTooLong => f.write_str("Request-URI too long"),
            Fault::StrayControl => f.write_str("Stray control character"),
            Fault::NotUtf8 => f.write_str("Head is not UTF-8"),
            Fault::HeaderLine => f.write_str("Malformed header line"),
            Fault::TooManyHeaders => f.write_str("Too many header lines"),
            Fault::LineTooLong => f.write_str("Header line too long"),
            Fault::HeadTooLong => f.write_str("Head too long"),
            Fault::HeadCutOff => f.write_str("Head has no end"),
            Fault::MessageTooLong => f.write_str("Message too long"),
            Fault::BodyTooLong => f.write_str("Body too long"),
            Fault::BodyCutOff => f.write_str("Body shorter than Content-Length"),
            Fault::ContentLength => f.write_str("Malformed Content-Length"),
            Fault::ContentLengthMissing => f.write_str("Content-Length missing on a stream"),
            Fault::Missing(name) => write!(f, "Missing {name}"),
            Fault::Repeated(name) => write!(f, "Repeated {name}"),
            Fault::Header(error) => write!(f, "Malformed {}", error.header()),
            Fault::CseqMethod => f.write_str("CSeq method differs"),
        }
    }
}

impl std::error::Error for Fault {}

/// A message that was not accepted.
#[derive(Clone, Debug)]
pub struct Refusal {
    fault: Fault,
    /// The fields that could be read of a request that may be answered.
    answerable: Option<Box<Headers>>,
}

impl Refusal {
    /// What is wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The response to send, without a To tag and without `received` in its Via; `None` when the message was a response
    /// or an ACK, or when its sender could not tell what is answered: that takes Via and CSeq (RFC 3261 §17.1.3). They
    /// are returned as they came, readable or not; so are From, To and Call-ID, of which RFC 4475 §3.3.1 has none.
    pub fn response(&self) -> Option<Response> {
        let headers = self.answerable.as_deref()?;
        let mut response = Response::to_headers(headers, self.fault.status());
        if self.fault.status() == StatusCode::BAD_REQUEST {
            response.set_reason(&self.fault.to_string()).expect("no fault's text has a line break");
        }
        Some(response)
    }

    pub(crate) fn unanswerable(fault: Fault) -> Refusal {
        Refusal { fault, answerable: None }
    }

    /// A refusal of a message of which `headers` were read; `method` is `None` for a response.
    pub(crate) fn of(fault: Fault, method: Option<&Method>, headers: Headers) -> Refusal {
        let answerable = method.is_some_and(|method| *method != Method::Ack)
            && headers.contains(HeaderName::Via)
            && headers.contains(HeaderName::Cseq);
        Refusal { fault, answerable: answerable.then(|| Box::new(headers)) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}
