//! What every message on the wire has to be, whoever sent it: RFC 3261 §8.1.1, §8.2.6, §12.1.1, §20.

use bytes::{Bytes, BytesMut};
use sip_message::header::{Cseq, Via};
use sip_message::{
    HeaderName, Limits, Message, Method, Refusal, Request, Response, StatusCode, StreamItem, StreamParser, Transport,
    parse_datagram,
};

use crate::fields;

/// Reads what a node has sent, as its receiver will: on a stream by the framer, else as one datagram.
pub(crate) fn read(transport: Transport, octets: &Bytes) -> Result<Message, Refusal> {
    if !matches!(transport, Transport::Tcp | Transport::Tls) {
        return parse_datagram(octets.clone(), &Limits::default());
    }
    let mut buffer = BytesMut::from(&octets[..]);
    match StreamParser::new(Limits::default()).next(&mut buffer) {
        Some(StreamItem::Message(message)) if buffer.is_empty() => Ok(message),
        Some(StreamItem::Refused(refusal) | StreamItem::Broken(refusal)) => Err(refusal),
        // Let the other parser say what is wrong; a stream that holds less or more than one message is never right.
        _ => parse_datagram(octets.clone(), &Limits::default()),
    }
}

/// What is wrong with a message that could be read; `None` when nothing is.
pub(crate) fn complaint(message: &Message) -> Option<String> {
    let headers = message.headers();
    match headers.get::<Via>() {
        Some(Ok(via)) if !via.has_unique_branch() => return Some("its top Via has no unique branch".into()),
        Some(Ok(_)) => {}
        _ => return Some("it has no readable Via".into()),
    }
    if fields::from_tag(headers).is_none() {
        return Some("its From has no tag (RFC 3261 §8.1.1.3)".into());
    }
    match message {
        Message::Request(request) => complaint_about_request(request),
        Message::Response(response) => complaint_about_response(response),
    }
}

fn complaint_about_request(request: &Request) -> Option<String> {
    let headers = request.headers();
    if !headers.contains(HeaderName::MaxForwards) {
        return Some("it has no Max-Forwards (RFC 3261 §8.1.1.6)".into());
    }
    if *request.method() == Method::Invite && headers.values(HeaderName::Contact).count() != 1 {
        return Some("it is an INVITE without one Contact (RFC 3261 §8.1.1.8)".into());
    }
    if let Err(error) = request.uri().check_request_uri() {
        return Some(format!("its Request-URI has what may not stand there: {error:?} (RFC 3261 §19.1.1)"));
    }
    None
}

fn complaint_about_response(response: &Response) -> Option<String> {
    let headers = response.headers();
    let invite = headers.get::<Cseq>().and_then(Result::ok).is_some_and(|cseq| cseq.method == Method::Invite);
    if response.status() != StatusCode::TRYING && fields::to_tag(headers).is_none() {
        return Some("its To has no tag (RFC 3261 §8.2.6.2)".into());
    }
    if invite && response.status().is_success() && headers.values(HeaderName::Contact).count() != 1 {
        return Some("it is a 2xx to an INVITE without one Contact (RFC 3261 §12.1.1)".into());
    }
    None
}
