//! Responses, RFC 3261 §7.2 and §8.2.6.

use std::fmt;

use bytes::Bytes;

use super::Request;
use crate::header_name::HeaderName;
use crate::headers::{Headers, TextSpan, ValueError};
use crate::status::StatusCode;

/// A response.
#[derive(Clone)]
pub struct Response {
    status: StatusCode,
    /// `None`: the phrase that the code's RFC suggests.
    reason: Option<TextSpan>,
    headers: Headers,
    body: Bytes,
}

impl Response {
    /// A response to `request` with the headers that RFC 3261 §8.2.6.2 takes over: Via, From, To, Call-ID, CSeq, and in
    /// a 100 the Timestamp. The To tag is the caller's to add.
    pub fn to(request: &Request, status: StatusCode) -> Response {
        let mut response = Response::to_headers(request.headers(), status);
        if status == StatusCode::TRYING {
            response.headers.copy_from(request.headers(), HeaderName::Timestamp);
        }
        response
    }

    /// As [`Response::to`], from the headers of a request alone.
    pub(crate) fn to_headers(request: &Headers, status: StatusCode) -> Response {
        let mut headers = Headers::sharing(request);
        for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::Cseq] {
            headers.copy_from(request, name);
        }
        Response { status, reason: None, headers, body: Bytes::new() }
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The reason phrase.
    pub fn reason(&self) -> &str {
        match self.reason {
            Some(span) => self.headers.text(span),
            None => self.status.reason_phrase(),
        }
    }

    /// Changes the code and takes its usual phrase.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = status;
        self.reason = None;
    }

    /// Changes the phrase.
    pub fn set_reason(&mut self, reason: &str) -> Result<(), ValueError> {
        self.reason = Some(self.headers.add_span(reason)?);
        Ok(())
    }

    /// The header fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The header fields, to change them.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Changes the body and its Content-Type. The Content-Length follows.
    pub fn set_body(&mut self, content_type: impl fmt::Display, body: impl Into<Bytes>) -> Result<(), ValueError> {
        self.headers.set(HeaderName::ContentType, content_type)?;
        self.body = body.into();
        self.headers.remove(HeaderName::ContentLength);
        Ok(())
    }

    /// The octets for the wire.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.headers.printed_len() + self.body.len());
        self.write(&mut out);
        Bytes::from(out)
    }

    /// Prints the response behind what is in `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SIP/2.0 ");
        super::write_decimal(usize::from(self.status.code()), out);
        out.push(b' ');
        out.extend_from_slice(self.reason().as_bytes());
        out.extend_from_slice(b"\r\n");
        super::write_head_end_and_body(&self.headers, &self.body, out);
    }

    pub(crate) fn from_parts(status: StatusCode, reason: TextSpan, headers: Headers, body: Bytes) -> Response {
        Response { status, reason: Some(reason), headers, body }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &self.body.len())
            .finish()
    }
}
