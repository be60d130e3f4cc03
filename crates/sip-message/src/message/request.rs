//! Requests, RFC 3261 §7.1.

use std::fmt;

use bytes::Bytes;

use crate::header_name::HeaderName;
use crate::headers::{Headers, TextSpan, ValueError};
use crate::method::Method;
use crate::uri::{Uri, UriBuf};

/// A request.
#[derive(Clone)]
pub struct Request {
    method: Method,
    uri: TextSpan,
    headers: Headers,
    body: Bytes,
}

impl Request {
    /// A request without headers.
    pub fn new(method: Method, uri: &UriBuf) -> Request {
        let mut headers = Headers::new();
        let uri = headers.add_span(uri).expect("a UriBuf was checked against the grammar, which has no line break");
        Request { method, uri, headers, body: Bytes::new() }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The Request-URI.
    pub fn uri(&self) -> Uri<'_> {
        Uri::parse(self.uri_text()).expect("checked when the request was parsed or the URI was set")
    }

    /// The Request-URI as it is printed.
    pub fn uri_text(&self) -> &str {
        self.headers.text(self.uri)
    }

    /// Changes the Request-URI.
    pub fn set_uri(&mut self, uri: &UriBuf) {
        self.uri =
            self.headers.add_span(uri).expect("a UriBuf was checked against the grammar, which has no line break");
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

    /// Takes the body away.
    pub fn remove_body(&mut self) {
        self.headers.remove(HeaderName::ContentType);
        self.headers.remove(HeaderName::ContentLength);
        self.body = Bytes::new();
    }

    /// How many octets [`Request::write`] will print, or somewhat more.
    pub fn printed_len(&self) -> usize {
        self.headers.printed_len() + self.body.len()
    }

    /// The octets for the wire.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.printed_len());
        self.write(&mut out);
        Bytes::from(out)
    }

    /// Prints the request behind what is in `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.uri_text().as_bytes());
        out.extend_from_slice(b" SIP/2.0\r\n");
        super::write_head_end_and_body(&self.headers, &self.body, out);
    }

    pub(crate) fn from_parts(method: Method, uri: TextSpan, headers: Headers, body: Bytes) -> Request {
        Request { method, uri, headers, body }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("uri", &self.uri_text())
            .field("headers", &self.headers)
            .field("body", &self.body.len())
            .finish()
    }
}
