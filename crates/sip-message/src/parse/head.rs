//! The head of a message: start-line and header lines (RFC 3261 §7.1 to §7.3), in one pass over the octets.

use bytes::Bytes;
use bytestring::ByteString;
use memchr::{memchr, memmem};

use super::limits::Limits;
use super::refusal::{Fault, Refusal};
use crate::grammar;
use crate::header::{CallId, Cseq, From, To, Via};
use crate::header_name::HeaderName;
use crate::headers::{Field, Headers, Source, TextSpan};
use crate::message::{Message, Request, Response};
use crate::method::Method;
use crate::status::StatusCode;
use crate::uri::Uri;

/// Where the head ends: the offset of the empty line's CRLF CRLF, looked for from `from` on.
pub(super) fn end_of_head(octets: &[u8], from: usize) -> Option<usize> {
    memmem::find(octets.get(from..)?, b"\r\n\r\n").map(|at| from + at)
}

/// A head whose lines were read. Whether the message is valid is asked in [`Head::into_message`].
pub(super) struct Head {
    start: StartLine,
    headers: Headers,
    /// The number in the Content-Length, or why it can't be known; kept apart from `fault`, of which only the first counts.
    content_length: Result<Option<usize>, Fault>,
    /// The first fault that does not keep us from reading on, so that the message can be framed and answered.
    fault: Option<Fault>,
}

enum StartLine {
    Request { method: Method, uri: TextSpan },
    Response { status: StatusCode, reason: TextSpan },
}

impl Head {
    /// Reads the lines of `head`, which has no empty line and is not longer than the limit.
    pub(super) fn parse(head: Bytes, limits: &Limits) -> Result<Head, Refusal> {
        let Ok(head) = ByteString::try_from(head) else {
            return Err(Refusal::unanswerable(Fault::NotUtf8));
        };
        Head::of_lines(head, limits)
    }

    /// The refusal of a message that has no head within the limits: what has come of it is read so that it can be
    /// answered. A Request-URI that makes it so long is named (414).
    pub(super) fn refuse_cut_off(octets: Bytes, fault: Fault, limits: &Limits) -> Refusal {
        let lines = match end_of_head(&octets, 0) {
            Some(end) => end,
            // Only whole lines: what follows the last CRLF may be half a header.
            None => memmem::rfind(&octets, b"\r\n").unwrap_or(0),
        };
        let head =
            ByteString::try_from(octets.slice(..lines)).ok().and_then(|lines| Head::of_lines(lines, limits).ok());
        match head {
            Some(head) if head.fault == Some(Fault::RequestUriTooLong) => head.refuse(Fault::RequestUriTooLong),
            Some(head) => head.refuse(fault),
            None => Refusal::unanswerable(fault),
        }
    }

    /// The number in the Content-Length, if there is one; an error when it can't be trusted to end the message.
    pub(super) fn content_length(&self) -> Result<Option<usize>, Fault> {
        self.content_length.clone()
    }

    /// How many octets the head has, without the empty line.
    pub(super) fn len(&self) -> usize {
        self.headers.received_len()
    }

    /// The refusal of a message that `fault` keeps from being framed; what was found wrong before says more.
    pub(super) fn refuse_unframed(mut self, fault: Fault) -> Refusal {
        let fault = self.fault.take().unwrap_or(fault);
        self.refuse(fault)
    }

    pub(super) fn refuse(self, fault: Fault) -> Refusal {
        let method = match &self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        };
        Refusal::of(fault, method, self.headers)
    }

    /// Checks what every message must have (RFC 3261 §8.1.1) and joins the body to it.
    pub(super) fn into_message(mut self, body: Bytes) -> Result<Message, Refusal> {
        if let Some(fault) = self.fault.take() {
            return Err(self.refuse(fault));
        }
        if let Err(fault) = self.check() {
            return Err(self.refuse(fault));
        }
        Ok(match self.start {
            StartLine::Request { method, uri } => {
                Message::Request(Request::from_parts(method, uri, self.headers, body))
            }
            StartLine::Response { status, reason } => {
                Message::Response(Response::from_parts(status, reason, self.headers, body))
            }
        })
    }

    fn check(&self) -> Result<(), Fault> {
        let headers = &self.headers;
        let missing = |name| move || Fault::Missing(name);
        // The Vias below the top one are for those who wrote them.
        headers.get::<Via>().ok_or_else(missing(HeaderName::Via))?.map_err(Fault::Header)?;
        headers.get::<From>().ok_or_else(missing(HeaderName::From))?.map_err(Fault::Header)?;
        headers.get::<To>().ok_or_else(missing(HeaderName::To))?.map_err(Fault::Header)?;
        headers.get::<CallId>().ok_or_else(missing(HeaderName::CallId))?.map_err(Fault::Header)?;
        let cseq = headers.get::<Cseq>().ok_or_else(missing(HeaderName::Cseq))?.map_err(Fault::Header)?;
        match &self.start {
            StartLine::Request { method, .. } => {
                if cseq.method.as_str() != method.as_str() {
                    return Err(Fault::CseqMethod);
                }
                if let Some(max_forwards) = headers.get::<crate::header::MaxForwards>() {
                    max_forwards.map_err(Fault::Header)?;
                }
            }
            StartLine::Response { .. } => {}
        }
        Ok(())
    }

    fn of_lines(head: ByteString, limits: &Limits) -> Result<Head, Refusal> {
        let mut lines = Lines { octets: head.as_bytes(), at: 0 };
        let Some(first) = lines.next() else {
            return Err(Refusal::unanswerable(Fault::StartLine));
        };
        let (start_end, broken) = match first {
            Ok((_, end)) => (end, false),
            Err(at) => (at, true),
        };
        let (start, mut fault) = start_line(&head[..start_end], limits);
        if broken {
            fault = fault.or(Some(Fault::StrayControl));
        }
        let Some(start) = start else {
            return Err(Refusal::unanswerable(fault.unwrap_or(Fault::StartLine)));
        };
        let mut reader = Reader { headers: Headers::over(head.clone()), content_length: Ok(None), fault, seen: 0 };
        reader.read(&head, lines, limits);
        let Reader { headers, content_length, fault, .. } = reader;
        Ok(Head { start, headers, content_length, fault })
    }
}

/// What is gathered while the header lines are read.
struct Reader {
    headers: Headers,
    content_length: Result<Option<usize>, Fault>,
    fault: Option<Fault>,
    /// One bit a [`HeaderName`] that may stand once.
    seen: u128,
}

impl Reader {
    fn read(&mut self, head: &str, mut lines: Lines<'_>, limits: &Limits) {
        let mut count = 0;
        while let Some(line) = lines.next() {
            let (start, mut end) = match line {
                Ok(line) => line,
                Err(_) => return self.give_up(Fault::StrayControl),
            };
            let mut folded = false;
            while lines.continues() {
                let Some(Ok((_, next))) = lines.next() else {
                    return self.give_up(Fault::StrayControl);
                };
                end = next;
                folded = true;
            }
            count += 1;
            if count > limits.headers {
                return self.give_up(Fault::TooManyHeaders);
            }
            if end - start > limits.line {
                if is_content_length(&head.as_bytes()[start..end]) {
                    self.content_length = Err(Fault::LineTooLong);
                }
                self.fail(Fault::LineTooLong);
                continue;
            }
            if let Err(fault) = self.line(head, start, end, folded) {
                // "Never continue after a bad header line" as if it had not been there: the message is refused, but
                // the lines behind it may hold what its answer needs.
                self.fail(fault);
            }
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// Reads no further: a Content-Length may stand in what is left, whatever stood before it.
    fn give_up(&mut self, fault: Fault) {
        self.content_length = Err(fault.clone());
        self.fail(fault);
    }

    fn line(&mut self, head: &str, start: usize, end: usize, folded: bool) -> Result<(), Fault> {
        let octets = &head.as_bytes()[start..end];
        let name_len = grammar::token_len(octets);
        let mut at = name_len;
        while matches!(octets.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        if name_len == 0 || name_len > usize::from(u16::MAX) || octets.get(at) != Some(&b':') {
            return Err(Fault::HeaderLine);
        }
        let spaced = at != name_len;
        let mut value = at + 1;
        while matches!(octets.get(value), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            value += 1;
        }
        let mut value_end = octets.len();
        while value_end > value && matches!(octets[value_end - 1], b' ' | b'\t' | b'\r' | b'\n') {
            value_end -= 1;
        }
        let text = |from: usize, to: usize| &head[start + from..start + to];
        let name_text = text(0, name_len);
        let name = HeaderName::lookup(name_text);
        if name == HeaderName::ContentLength {
            self.take_content_length(text(value, value_end))?;
        }
        if memchr(0, &octets[value..value_end]).is_some() && !grammar::nul_is_quoted(&octets[value..value_end]) {
            return Err(Fault::StrayControl);
        }
        if name.is_single() && name != HeaderName::Extension {
            let bit = 1u128 << (name as u8);
            // Two values of a header that has one make two messages of it, one for each reader. Two equal
            // Content-Lengths still say where it ends.
            if self.seen & bit != 0 {
                return Err(Fault::Repeated(name));
            }
            self.seen |= bit;
        }
        if folded {
            let unfolded = unfold(text(value, value_end));
            self.headers.push_unfolded(name, name_text, &unfolded);
        } else {
            self.headers.push_field(Field {
                start: start as u32,
                value: (start + value) as u32,
                end: (start + value_end) as u32,
                name_len: name_len as u16,
                name,
                source: if spaced || value_end != octets.len() { Source::ReceivedValue } else { Source::Received },
            });
        }
        Ok(())
    }

    fn take_content_length(&mut self, value: &str) -> Result<(), Fault> {
        let valid = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        let length = value.parse::<usize>().ok().filter(|_| valid);
        self.content_length = match (&self.content_length, length) {
            (Ok(None), Some(length)) => Ok(Some(length)),
            (Ok(Some(other)), Some(length)) if *other == length => Ok(Some(length)),
            // Two that differ are a smuggler's trick; which of them frames the message can't be known.
            _ => Err(Fault::ContentLength),
        };
        self.content_length.clone().map(|_| ())
    }
}

/// Whether a line that is not read otherwise is a Content-Length.
fn is_content_length(line: &[u8]) -> bool {
    let name = &line[..grammar::token_len(line)];
    std::str::from_utf8(name).is_ok_and(|name| HeaderName::lookup(name) == HeaderName::ContentLength)
}

/// Lines that end in CRLF (the last one at the end of the octets). An error is the place of a lone CR or LF.
struct Lines<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Lines<'_> {
    fn next(&mut self) -> Option<Result<(usize, usize), usize>> {
        if self.at >= self.octets.len() {
            return None;
        }
        let start = self.at;
        let rest = &self.octets[start..];
        let Some(length) = memchr::memchr2(b'\r', b'\n', rest) else {
            self.at = self.octets.len();
            return Some(Ok((start, self.octets.len())));
        };
        if rest[length..].starts_with(b"\r\n") {
            self.at = start + length + 2;
            Some(Ok((start, start + length)))
        } else {
            self.at = self.octets.len();
            Some(Err(start + length))
        }
    }

    /// Whether the next line begins with white space and so continues this one (RFC 3261 §7.3.1).
    fn continues(&self) -> bool {
        matches!(self.octets.get(self.at), Some(b' ' | b'\t'))
    }
}

/// The start-line, and the fault that refuses the message although its headers can be read.
fn start_line(text: &str, limits: &Limits) -> (Option<StartLine>, Option<Fault>) {
    if text.len() > 7 && is_version(&text.as_bytes()[..7]) {
        return match status_line(text) {
            Some(start) => (Some(start), None),
            None => (None, Some(Fault::StartLine)),
        };
    }
    request_line(text, limits)
}

fn status_line(text: &str) -> Option<StartLine> {
    let rest = text.get(7..)?.strip_prefix(' ')?;
    let digits = rest.get(..3)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let status = StatusCode::new(digits.parse().ok()?)?;
    let reason = match rest.as_bytes().get(3) {
        // RFC 3261 §7.2 wants the space even before an empty phrase; peers leave it out.
        None => text.len(),
        Some(b' ') => "SIP/2.0 100 ".len(),
        Some(_) => return None,
    };
    if memchr(0, rest.as_bytes()).is_some() {
        return None;
    }
    let span = TextSpan { added: false, start: reason as u32, end: text.len() as u32 };
    Some(StartLine::Response { status, reason: span })
}

fn request_line(text: &str, limits: &Limits) -> (Option<StartLine>, Option<Fault>) {
    let Some((method, rest)) = text.split_once(' ') else {
        return (None, Some(Fault::StartLine));
    };
    let Some(method) = Method::parse(method) else {
        return (None, Some(Fault::StartLine));
    };
    // The last space, so that a Request-URI with spaces in it (RFC 4475 §3.1.2.7) is refused and not misread.
    let (uri, version) = match rest.rsplit_once(' ') {
        Some((uri, version)) if !version.is_empty() => (uri, version),
        _ => (rest.trim_end_matches(' '), ""),
    };
    let start = text.len() - rest.len();
    let span = TextSpan { added: false, start: start as u32, end: (start + uri.len()) as u32 };
    let fault = if version.is_empty() {
        Some(Fault::StartLine)
    } else if !is_version(version.as_bytes()) {
        Some(if looks_like_version(version) { Fault::Version } else { Fault::StartLine })
    } else if uri.len() > limits.uri {
        Some(Fault::RequestUriTooLong)
    } else if !is_request_uri(uri) {
        Some(Fault::RequestUri)
    } else {
        None
    };
    (Some(StartLine::Request { method, uri: span }), fault)
}

/// A URI, and without headers behind `?`: nobody may take them for headers of the request (RFC 3261 §19.1.1, RFC 4475
/// §3.1.2.11).
fn is_request_uri(text: &str) -> bool {
    Uri::parse(text).is_ok_and(|uri| uri.sip().is_none_or(|uri| uri.raw_headers().is_none()))
}

fn is_version(octets: &[u8]) -> bool {
    octets.eq_ignore_ascii_case(b"SIP/2.0")
}

/// `SIP/` digits `.` digits.
fn looks_like_version(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("SIP/"))
        && text[4..].split_once('.').is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// Joins the lines of a folded value: each line end with the white space about it becomes one space.
fn unfold(value: &str) -> String {
    let mut lines = value.split("\r\n").map(|line| line.trim_matches([' ', '\t']));
    let mut joined = lines.next().unwrap_or("").to_owned();
    for line in lines.filter(|line| !line.is_empty()) {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(line);
    }
    joined
}
