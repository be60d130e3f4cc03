//! The ACK for a failure: RFC 3261 §17.1.1.3. The one for a 2xx is a request of its own and `sip-dialog`'s.

use bytes::Bytes;
use sip_message::{HeaderName, Response};

/// The ACK for a 3xx to 6xx `response` to `invite`, which is the request as it was sent.
///
/// Request-URI, top Via, Route, From, Call-ID, CSeq number and credentials (§22.1) are the INVITE's, To is the
/// response's. The rest of the INVITE, and its body, stay behind.
pub fn ack_for_failure(invite: &[u8], response: &Response) -> Bytes {
    let mut lines = Lines { rest: invite };
    let request_uri = lines.next().and_then(|line| line.split(|octet| *octet == b' ').nth(1)).unwrap_or_default();
    let mut via = None;
    let mut cseq = None;
    let mut copied = Vec::new();
    let mut to = None;
    for line in lines {
        let Some((name, value)) = name_and_value(line) else {
            continue;
        };
        match name {
            HeaderName::Via => via = via.or(Some(value)),
            HeaderName::Cseq => cseq = Some(value),
            HeaderName::To => to = Some(value),
            HeaderName::Route
            | HeaderName::From
            | HeaderName::CallId
            | HeaderName::Authorization
            | HeaderName::ProxyAuthorization => copied.push(line),
            _ => {}
        }
    }
    let to = response.headers().first(HeaderName::To).map(str::as_bytes).or(to);

    let mut ack = Vec::with_capacity(512);
    put(&mut ack, &[b"ACK ", request_uri, b" SIP/2.0"]);
    put(&mut ack, &[b"Via: ", first_of_list(via.unwrap_or_default())]);
    for line in copied {
        put(&mut ack, &[line]);
    }
    put(&mut ack, &[b"To: ", to.unwrap_or_default()]);
    put(&mut ack, &[b"CSeq: ", number(cseq.unwrap_or_default()), b" ACK"]);
    put(&mut ack, &[b"Max-Forwards: 70"]);
    put(&mut ack, &[b"Content-Length: 0"]);
    put(&mut ack, &[]);
    // The ACK is kept for half a minute: without the spare capacity.
    Bytes::from(ack.into_boxed_slice())
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

/// The lines of a printed head, folded ones whole.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut end = 0;
        loop {
            end += self.rest.get(end..)?.windows(2).position(|pair| pair == b"\r\n")?;
            let folded = matches!(self.rest.get(end + 2), Some(b' ' | b'\t'));
            if end == 0 {
                self.rest = &[];
                return None;
            }
            if !folded {
                let (line, rest) = self.rest.split_at(end);
                self.rest = &rest[2..];
                return Some(line);
            }
            end += 2;
        }
    }
}

fn name_and_value(line: &[u8]) -> Option<(HeaderName, &[u8])> {
    let colon = line.iter().position(|octet| *octet == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    Some((HeaderName::lookup(name.trim_end_matches([' ', '\t'])), line[colon + 1..].trim_ascii()))
}

/// What stands before the first comma that is outside of a quoted string.
fn first_of_list(value: &[u8]) -> &[u8] {
    let mut quoted = false;
    let mut escaped = false;
    for (at, octet) in value.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return value[..at].trim_ascii_end(),
            _ => {}
        }
    }
    value
}

fn number(cseq: &[u8]) -> &[u8] {
    let end = cseq.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(cseq.len());
    &cseq[..end]
}
