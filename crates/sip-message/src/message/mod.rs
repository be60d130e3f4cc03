//! Requests and responses, RFC 3261 §7.

mod request;
mod response;

use bytes::Bytes;

pub use request::Request;
pub use response::Response;

use crate::header_name::HeaderName;
use crate::headers::Headers;

/// A request or a response.
#[derive(Clone, Debug)]
pub enum Message {
    /// RFC 3261 §7.1.
    Request(Request),
    /// RFC 3261 §7.2.
    Response(Response),
}

impl Message {
    /// The header fields.
    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => request.headers(),
            Message::Response(response) => response.headers(),
        }
    }

    /// The header fields, to change them.
    pub fn headers_mut(&mut self) -> &mut Headers {
        match self {
            Message::Request(request) => request.headers_mut(),
            Message::Response(response) => response.headers_mut(),
        }
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        match self {
            Message::Request(request) => request.body(),
            Message::Response(response) => response.body(),
        }
    }

    /// The octets for the wire.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Message::Request(request) => request.to_bytes(),
            Message::Response(response) => response.to_bytes(),
        }
    }
}

/// Ends the head. A Content-Length that does not say the body's length, whoever put it there, is replaced (RFC 3261
/// §20.14): it would make two messages of one.
fn write_head_end_and_body(headers: &Headers, body: &[u8], out: &mut Vec<u8>) {
    let mut lengths = headers.fields_of(HeaderName::ContentLength);
    let said = lengths.next().map(str::parse::<usize>);
    if said == Some(Ok(body.len())) && lengths.next().is_none() {
        headers.write(out);
    } else {
        headers.write_without(HeaderName::ContentLength, out);
        out.extend_from_slice(b"Content-Length: ");
        write_decimal(body.len(), out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

fn write_decimal(mut number: usize, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
