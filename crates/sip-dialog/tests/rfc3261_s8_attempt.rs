//! RFC 3261 §8.1.3.5, §22.2: requests that try again without being in a dialog.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::*;
use sip_dialog::{Attempt, Dialog, DialogError};
use sip_message::header::{From, TypedHeader as _};
use sip_message::{HeaderName, Method, Request, Response, UriBuf};

fn target() -> UriBuf {
    UriBuf::parse("sip:bob@elsewhere.example.com").unwrap()
}

fn value(request: &Request, name: HeaderName) -> &str {
    request.headers().first(name).unwrap()
}

/// "the same value of the Call-ID, To, and From of the previous request, but the CSeq should contain a new sequence number
/// that is one higher".
#[test]
fn another_try_has_the_same_call_id_and_from_tag_and_the_next_number() {
    let first = invite(None);
    let again = Attempt::of_request(&first).unwrap().create_request(Method::Invite, &target()).unwrap();
    assert_eq!(again.uri_text(), "sip:bob@elsewhere.example.com");
    assert_eq!(value(&again, HeaderName::CallId), value(&first, HeaderName::CallId));
    assert_eq!(value(&again, HeaderName::Cseq), "2 INVITE");
    let tag = |request| From::parse(value(request, HeaderName::From)).unwrap().tag().unwrap().to_owned();
    assert_eq!(tag(&again), tag(&first));
    assert!(!value(&again, HeaderName::To).contains(";tag="));
}

#[test]
fn after_an_early_dialog_that_came_to_nothing_its_tag_is_forgotten_and_its_numbers_go_on() {
    let first = invite(None);
    let mut ringing = Response::to(&first, status(180));
    ringing.headers_mut().set(HeaderName::To, "<sip:bob@example.com>;tag=b1").unwrap();
    let mut dialog = Dialog::as_uac(&first, &ringing, false).unwrap();
    dialog.create_request(Method::Prack).unwrap();
    let mut attempt = Attempt::after(dialog);
    let again = attempt.create_request(Method::Invite, &target()).unwrap();
    assert_eq!((value(&again, HeaderName::Cseq), value(&again, HeaderName::To)), ("3 INVITE", "<sip:bob@example.com>"));
    assert_eq!(attempt.local_cseq, Some(3));
    assert!(Dialog::as_uac(&again, &ringing, false).is_ok(), "and the next dialog can be made of it");
}

#[test]
fn a_request_that_names_no_one_is_no_attempt() {
    for (name, error) in [
        (HeaderName::CallId, DialogError::NoCallId),
        (HeaderName::From, DialogError::BadFrom),
        (HeaderName::Cseq, DialogError::BadCseq),
        (HeaderName::To, DialogError::BadTo),
    ] {
        let mut request = invite(None);
        request.headers_mut().remove(name);
        assert_eq!(Attempt::of_request(&request), Err(error));
    }
}

#[test]
fn the_numbers_end_at_2_31() {
    let mut attempt = Attempt::of_request(&invite(None)).unwrap();
    attempt.local_cseq = Some((1 << 31) - 2);
    assert!(attempt.create_request(Method::Invite, &target()).is_some());
    assert!(attempt.create_request(Method::Invite, &target()).is_none());
}
