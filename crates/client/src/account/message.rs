//! MESSAGE outside of dialogs: RFC 3428, both ways.
//!
//! Sent: exactly one of DidDeliver (any 2xx) and DidNotDeliver follows. What is too long for a datagram goes over a stream
//! (§8), which the endpoint sees to. Received: 200 and GotMessage, or 413, 415, 400.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::header::{ContentType, Cseq, MediaType};
use sip_message::{HeaderName, Request, Response, StatusCode};

use super::AccountId;
use super::exchange::Answer;
use crate::error::ClientError;
use crate::notification::{Data, Sender};

/// The longest content that is sent or taken, in octets.
pub(super) const MAX_CONTENT: usize = 64 * 1024;
/// What is taken (RFC 3428 §7).
pub(super) const ACCEPT: &str = "text/plain, text/*, message/cpim, message/imdn+xml, application/im-iscomposing+xml";
/// For so long a message that comes by another way is known to be the same (RFC 3261 §8.2.2.2): as a transaction lives.
const SAME_WITHIN: Duration = Duration::from_secs(32);
/// How many are remembered for that.
const MAX_REMEMBERED: usize = 128;

/// Puts content into a MESSAGE.
pub(super) fn fill(request: &mut Request, content_type: &str, content: bytes::Bytes) -> Result<(), ClientError> {
    if content.len() > MAX_CONTENT {
        return Err(ClientError::InvalidMessage("it is longer than 64 KiB"));
    }
    let media_type = MediaType::parse(content_type);
    let media_type = media_type.map_err(|_| ClientError::InvalidMessage("its content type is none"))?;
    let set = request.set_body(ContentType::new(media_type), content);
    set.map_err(|_| ClientError::InvalidMessage("its content type is none"))
}

/// What the application is told of the end of a message.
pub(super) fn outcome(message_id: Arc<str>, answer: &Answer<'_>) -> Data {
    match answer {
        Answer::Response(response) if response.status().is_success() => {
            Data::AccountDidDeliverMessage { message_id, code: response.status() }
        }
        Answer::Response(response) => {
            Data::AccountDidNotDeliverMessage { message_id, code: response.status(), reason: response.reason().into() }
        }
        Answer::Nothing(code, reason) => {
            Data::AccountDidNotDeliverMessage { message_id, code: *code, reason: reason.as_str().into() }
        }
    }
}

/// A MESSAGE for one of the accounts: the response, and what the application is told if it is a 200.
pub(super) fn receive(account: AccountId, request: &Request) -> (Response, Option<(Sender, Data)>) {
    match read(request) {
        Ok(data) => (Response::to(request, StatusCode::OK), Some((Sender::Account(account), data))),
        Err((status, explanation)) => {
            let mut response = Response::to(request, status);
            if let Some((name, value)) = explanation {
                response.headers_mut().push(name, value).expect("a constant has no line break");
            }
            (response, None)
        }
    }
}

type Refusal = (StatusCode, Option<(HeaderName, &'static str)>);

fn read(request: &Request) -> Result<Data, Refusal> {
    const NOT_TAKEN: Refusal = (StatusCode::UNSUPPORTED_MEDIA_TYPE, Some((HeaderName::Accept, ACCEPT)));
    const NOT_DECODED: Refusal = (StatusCode::UNSUPPORTED_MEDIA_TYPE, Some((HeaderName::AcceptEncoding, "identity")));
    const MALFORMED: Refusal = (StatusCode::BAD_REQUEST, None);
    let headers = request.headers();
    if request.body().len() > MAX_CONTENT {
        return Err((StatusCode::REQUEST_ENTITY_TOO_LARGE, None));
    }
    if headers.values(HeaderName::ContentEncoding).any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(NOT_DECODED);
    }
    let Some(from) = headers.get::<sip_message::header::From<'_>>().and_then(Result::ok) else { return Err(MALFORMED) };
    let content_type = match headers.get::<ContentType<'_>>() {
        Some(Ok(content_type)) => content_type,
        Some(Err(_)) => return Err(MALFORMED),
        // "MUST be present if the body is not empty" (RFC 3261 §20.15).
        None if request.body().is_empty() => ContentType::new(MediaType::new("text", "plain").map_err(|_| MALFORMED)?),
        None => return Err(MALFORMED),
    };
    let media_type = content_type.media_type();
    if !is_taken(media_type) {
        return Err(NOT_TAKEN);
    }
    if is_text(media_type) && std::str::from_utf8(request.body()).is_err() {
        return Err(MALFORMED);
    }
    Ok(Data::AccountGotMessage {
        from: from.uri().to_buf(),
        content: request.body().clone(),
        content_type: content_type.to_string().into(),
    })
}

fn is_taken(media_type: &MediaType<'_>) -> bool {
    let is = |main: &str, sub: &str| media_type.is(main, sub);
    if media_type.main_type().eq_ignore_ascii_case("text") {
        // RFC 3261 §7.4.1: UTF-8 is what text is in. Others are not read, and so not taken.
        let charset = media_type.params().unquoted("charset");
        return charset.is_none_or(|charset| {
            ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
        });
    }
    is("message", "cpim") || is("message", "imdn+xml") || is("application", "im-iscomposing+xml")
}

/// Whether the whole body is to be read by people. What CPIM wraps may be anything.
fn is_text(media_type: &MediaType<'_>) -> bool {
    media_type.main_type().eq_ignore_ascii_case("text")
}

/// The messages of late: one that was forked on its way comes twice, and is one all the same.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    of_late: VecDeque<(Instant, Box<str>)>,
}

impl Remembered {
    /// Whether a request is one that came before by another way (RFC 3261 §8.2.2.2); remembers it.
    pub(super) fn is_merged(&mut self, now: Instant, request: &Request) -> bool {
        let headers = request.headers();
        let (Some(call_id), Some(Ok(cseq))) = (headers.first(HeaderName::CallId), headers.get::<Cseq>()) else {
            return false;
        };
        let tag = headers.from_tag().unwrap_or_default();
        let key: Box<str> = format!("{call_id} {tag} {} {}", cseq.sequence, cseq.method).into();
        self.of_late.retain(|(at, _)| now.saturating_duration_since(*at) < SAME_WITHIN);
        if self.of_late.iter().any(|(_, known)| *known == key) {
            return true;
        }
        if self.of_late.len() == MAX_REMEMBERED {
            self.of_late.pop_front();
        }
        self.of_late.push_back((now, key));
        false
    }
}

#[cfg(test)]
mod tests {
    use sip_message::{Method, UriBuf};

    use super::*;

    fn request(content_type: Option<&str>, body: &[u8]) -> Request {
        let mut request = Request::new(Method::Message, &UriBuf::parse("sip:alice@example.org").unwrap());
        let headers = request.headers_mut();
        headers.push(HeaderName::From, "<sip:bob@biloxi.example>;tag=1").unwrap();
        headers.push(HeaderName::CallId, "c").unwrap();
        headers.push(HeaderName::Cseq, "1 MESSAGE").unwrap();
        request.set_body(content_type.unwrap_or("text/plain"), body.to_vec()).unwrap();
        if content_type.is_none() {
            request.headers_mut().remove(HeaderName::ContentType);
        }
        request
    }

    fn status(content_type: Option<&str>, body: &[u8]) -> u16 {
        receive(AccountId(1), &request(content_type, body)).0.status().code()
    }

    #[test]
    fn text_in_utf_8_and_a_few_documents_are_taken() {
        for content_type in ["text/plain", "TEXT/HTML;charset=\"UTF-8\"", "text/plain;charset=us-ascii", "message/cpim"]
        {
            assert_eq!(status(Some(content_type), "Grüße".as_bytes()), 200, "{content_type}");
        }
        assert_eq!(status(None, b""), 200);
        assert_eq!(status(Some("message/cpim"), b"\xff"), 200);
        let (_, told) = receive(AccountId(1), &request(Some("text/plain"), b"Hi"));
        let Some((_, Data::AccountGotMessage { from, content, content_type })) = told else { panic!("{told:?}") };
        assert_eq!((from.as_str(), &content[..], &*content_type), ("sip:bob@biloxi.example", &b"Hi"[..], "text/plain"));
    }

    #[test]
    fn other_content_gets_415_with_what_is_taken() {
        for content_type in ["image/png", "multipart/mixed;boundary=x", "text/plain;charset=iso-8859-1"] {
            let (response, told) = receive(AccountId(1), &request(Some(content_type), b"x"));
            assert_eq!((response.status().code(), told), (415, None), "{content_type}");
            assert!(response.headers().contains(HeaderName::Accept));
        }
        let mut encoded = request(Some("text/plain"), b"x");
        encoded.headers_mut().push(HeaderName::ContentEncoding, "gzip").unwrap();
        let (response, _) = receive(AccountId(1), &encoded);
        assert_eq!(response.status().code(), 415);
        assert_eq!(response.headers().first(HeaderName::AcceptEncoding), Some("identity"));
    }

    #[test]
    fn text_that_is_not_utf_8_or_has_no_type_or_is_too_long_is_refused() {
        assert_eq!(status(Some("text/plain"), b"\xff\xfe"), 400);
        assert_eq!(status(None, b"Hi"), 400);
        assert_eq!(status(Some("text/plain"), &vec![b'x'; MAX_CONTENT + 1]), 413);
    }

    #[test]
    fn a_message_that_comes_by_two_ways_is_one_for_as_long_as_its_transaction_lives() {
        let mut remembered = Remembered::default();
        let now = Instant::now();
        let first = request(None, b"");
        assert!(!remembered.is_merged(now, &first));
        assert!(remembered.is_merged(now + Duration::from_secs(31), &first));
        assert!(!remembered.is_merged(now + Duration::from_secs(33), &first));
        for number in 2..400 {
            let mut other = request(None, b"");
            other.headers_mut().set(HeaderName::Cseq, format_args!("{number} MESSAGE")).unwrap();
            assert!(!remembered.is_merged(now, &other));
        }
        assert!(remembered.of_late.len() <= MAX_REMEMBERED);
    }
}
