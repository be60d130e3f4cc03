//! RFC 3261 §12: dialogs.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::*;
use sip_dialog::{Dialog, DialogError, DialogId, DialogState, RequestFault, Role, RouteSet};
use sip_message::{HeaderName, Method, Request, Response, StatusCode, UriBuf};

/// Bob receives this through two proxies, p1 next to Alice, p2 next to Bob.
fn invite_at_bob(record_routes: &[&str]) -> Request {
    let mut request = invite(None);
    request.headers_mut().push(HeaderName::Contact, "<sip:alice@192.0.2.1:5062>").unwrap();
    for route in record_routes {
        request.headers_mut().push(HeaderName::RecordRoute, *route).unwrap();
    }
    request
}

fn response(request: &Request, code: u16, contact: &str, record_routes: &[&str]) -> Response {
    let mut response = Response::to(request, status(code));
    let to = format!("{};tag=b1", response.headers().first(HeaderName::To).unwrap());
    response.headers_mut().set(HeaderName::To, to).unwrap();
    if !contact.is_empty() {
        response.headers_mut().push(HeaderName::Contact, contact).unwrap();
    }
    for route in record_routes {
        response.headers_mut().push(HeaderName::RecordRoute, *route).unwrap();
    }
    response
}

fn uas(record_routes: &[&str]) -> Dialog {
    let request = invite_at_bob(record_routes);
    Dialog::as_uas(&request, &response(&request, 200, "", &[]), false).unwrap()
}

fn uac(record_routes: &[&str]) -> Dialog {
    let request = invite(None);
    Dialog::as_uac(&request, &response(&request, 200, "<sip:bob@192.0.2.2>", record_routes), false).unwrap()
}

fn routes(request: &Request) -> Vec<&str> {
    request.headers().values(HeaderName::Route).collect()
}

const P1: &str = "<sip:p1.example.com;lr>";
const P2: &str = "<sip:p2.example.com;lr>";

/// §12.1.1.
#[test]
fn the_uas_takes_its_dialog_from_the_request() {
    let dialog = uas(&[P2, P1]);
    assert_eq!(
        dialog.id,
        DialogId { call_id: "call-1@example.com".into(), local_tag: "b1".into(), remote_tag: "a1".into() }
    );
    assert_eq!((dialog.state, dialog.role), (DialogState::Confirmed, Role::Uas));
    assert_eq!((dialog.local_cseq, dialog.remote_cseq), (None, Some(1)));
    assert_eq!(dialog.remote_target.as_str(), "sip:alice@192.0.2.1:5062");
    assert_eq!(dialog.local.as_str(), "\"Bob\" <sip:bob@example.com>".replace('"', ""));
    assert_eq!(dialog.route_set.entries().collect::<Vec<_>>(), [P2, P1]);
}

/// §12.1.2: "taken in reverse order".
#[test]
fn the_uac_takes_its_dialog_from_the_response() {
    let dialog = uac(&[P2, P1]);
    assert_eq!(dialog.id, uas(&[]).id.reversed());
    assert_eq!((dialog.local_cseq, dialog.remote_cseq), (Some(1), None));
    assert_eq!(dialog.remote_target.as_str(), "sip:bob@192.0.2.2");
    assert_eq!(dialog.route_set.entries().collect::<Vec<_>>(), [P1, P2]);
    assert_eq!(dialog.next_hop().as_str(), "sip:p1.example.com;lr");
}

#[test]
fn a_provisional_response_makes_an_early_dialog() {
    let request = invite(None);
    let early = Dialog::as_uac(&request, &response(&request, 180, "<sip:bob@192.0.2.2>", &[]), false).unwrap();
    assert_eq!(early.state, DialogState::Early);
}

/// §12.1.1: a request to a SIPS URI over TLS makes a secure dialog, and needs a SIPS Contact.
#[test]
fn a_secure_dialog_needs_a_sips_contact() {
    let mut request = invite(None);
    request.set_uri(&UriBuf::parse("sips:bob@example.com").unwrap());
    request.headers_mut().push(HeaderName::Contact, "<sip:alice@192.0.2.1>").unwrap();
    let ok = response(&request, 200, "", &[]);
    assert_eq!(Dialog::as_uas(&request, &ok, true), Err(DialogError::BadContact));
    request.headers_mut().set(HeaderName::Contact, "<sips:alice@192.0.2.1>").unwrap();
    assert!(Dialog::as_uas(&request, &ok, true).unwrap().secure);
}

#[test]
fn what_a_dialog_can_not_be_made_of_is_the_peers_fault() {
    let ok = |request: &Request| response(request, 200, "", &[]);
    let without = |name| {
        let mut request = invite_at_bob(&[]);
        request.headers_mut().remove(name);
        Dialog::as_uas(&request, &ok(&invite_at_bob(&[])), false).unwrap_err()
    };
    assert_eq!(without(HeaderName::Contact), DialogError::BadContact);
    assert_eq!(without(HeaderName::Cseq), DialogError::BadCseq);
    assert_eq!(without(HeaderName::From), DialogError::BadFrom);
    assert_eq!(without(HeaderName::CallId), DialogError::NoCallId);
    let broken = invite_at_bob(&["<sip:p1.example.com;lr"]);
    assert_eq!(Dialog::as_uas(&broken, &ok(&broken), false), Err(DialogError::BadRecordRoute));
    for error in [DialogError::BadContact, DialogError::BadCseq, DialogError::BadRecordRoute] {
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }
}

/// §12.2.1.1.
#[test]
fn a_request_has_the_dialogs_ids_and_the_next_number() {
    let mut dialog = uac(&[]);
    for number in 2..4 {
        let request = dialog.create_request(Method::Info).unwrap();
        let headers = request.headers();
        assert_eq!(headers.first(HeaderName::Cseq), Some(&*format!("{number} INFO")));
        assert_eq!(headers.first(HeaderName::CallId), Some("call-1@example.com"));
        assert_eq!(headers.first(HeaderName::From), Some("Alice <sip:alice@example.com>;tag=a1"));
        assert_eq!(headers.first(HeaderName::To), Some("Bob <sip:bob@example.com>;tag=b1"));
        assert_eq!(headers.first(HeaderName::MaxForwards), Some("70"));
        assert_eq!(request.uri_text(), "sip:bob@192.0.2.2");
    }
    assert_eq!(dialog.create_ack(1).headers().first(HeaderName::Cseq), Some("1 ACK"));
}

#[test]
fn numbers_end_at_two_to_the_31() {
    let mut dialog = uac(&[]);
    dialog.local_cseq = Some((1 << 31) - 2);
    assert!(dialog.create_request(Method::Info).is_some());
    assert!(dialog.create_request(Method::Info).is_none());
}

/// §12.2.1.1: loose routers.
#[test]
fn a_loose_route_set_goes_into_route() {
    let request = uac(&[P2, P1]).create_request(Method::Bye).unwrap();
    assert_eq!(request.uri_text(), "sip:bob@192.0.2.2");
    assert_eq!(routes(&request), [P1, P2]);
}

/// §12.2.1.1: a first router without lr gets the request in its Request-URI, the target goes last.
#[test]
fn a_strict_router_gets_the_request_uri() {
    let strict = "<sip:strict.example.com;transport=udp?x=y>";
    let request = uac(&[P2, strict]).create_request(Method::Bye).unwrap();
    assert_eq!(request.uri_text(), "sip:strict.example.com;transport=udp");
    assert_eq!(routes(&request), [P2, "<sip:bob@192.0.2.2>"]);
}

/// §12.2.2.
#[test]
fn a_lower_number_gets_500_and_changes_nothing() {
    let mut dialog = uas(&[]);
    let mut peer = uac(&[]);
    let second = peer.create_request(Method::Info).unwrap();
    let third = peer.create_request(Method::Info).unwrap();
    assert_eq!(dialog.receive_request(&third), Ok(()));
    let before = dialog.clone();
    let fault = dialog.receive_request(&second).unwrap_err();
    assert_eq!(fault, RequestFault::OutOfOrder { highest: 3, came: 2 });
    assert_eq!(fault.status(), StatusCode::SERVER_INTERNAL_ERROR);
    assert_eq!(dialog, before);
    assert_eq!(dialog.receive_request(&third), Err(RequestFault::OutOfOrder { highest: 3, came: 3 }));
}

/// §12.2.2: "The remote sequence number […] it is possible for it to be higher by more than one."
#[test]
fn a_gap_in_the_numbers_is_no_error() {
    let mut dialog = uas(&[]);
    let mut peer = uac(&[]);
    peer.local_cseq = Some(99);
    assert_eq!(dialog.receive_request(&peer.create_request(Method::Bye).unwrap()), Ok(()));
    assert_eq!(dialog.remote_cseq, Some(100));
}

#[test]
fn an_ack_has_its_invites_number() {
    let mut dialog = uas(&[]);
    let mut peer = uac(&[]);
    dialog.receive_request(&peer.create_request(Method::Info).unwrap()).unwrap();
    assert_eq!(dialog.receive_request(&peer.create_ack(1)), Ok(()));
    assert_eq!(dialog.remote_cseq, Some(2));
}

#[test]
fn a_request_of_another_dialog_gets_481() {
    let mut dialog = uas(&[]);
    let mut peer = uac(&[]);
    let good = peer.create_request(Method::Bye).unwrap();
    for (name, value) in [
        (HeaderName::CallId, "call-2@example.com"),
        (HeaderName::From, "Alice <sip:alice@example.com>;tag=a2"),
        (HeaderName::From, "Alice <sip:alice@example.com>"),
        (HeaderName::To, "Bob <sip:bob@example.com>;tag=B1"),
        (HeaderName::To, "Bob <sip:bob@example.com>"),
    ] {
        let mut forged = good.clone();
        forged.headers_mut().set(name, value).unwrap();
        assert_eq!(dialog.receive_request(&forged), Err(RequestFault::NotOfThisDialog), "{value}");
    }
    assert_eq!(dialog.receive_request(&good), Ok(()));
    dialog.terminate();
    assert_eq!(dialog.receive_request(&good), Err(RequestFault::NotOfThisDialog));
}

/// §12.2: target refresh.
#[test]
fn a_new_contact_is_the_new_target() {
    let mut dialog = uas(&[]);
    let mut update = uac(&[]).create_request(Method::Update).unwrap();
    assert!(!dialog.refresh_target(update.headers()));
    update.headers_mut().push(HeaderName::Contact, "<sip:alice@192.0.2.77>").unwrap();
    assert!(dialog.refresh_target(update.headers()));
    assert_eq!(dialog.create_request(Method::Bye).unwrap().uri_text(), "sip:alice@192.0.2.77");
    assert!(Dialog::is_target_refresh(&Method::Update) && !Dialog::is_target_refresh(&Method::Info));
}

#[test]
fn a_dialog_is_small() {
    let dialog = uas(&[P2, P1]);
    let text = [
        &*dialog.id.call_id,
        &dialog.id.local_tag,
        &dialog.id.remote_tag,
        dialog.local.as_str(),
        dialog.remote.as_str(),
    ];
    let routes: usize = dialog.route_set.entries().map(|entry| entry.len() + size_of::<Box<str>>()).sum();
    let heap = text.iter().map(|text| text.len()).sum::<usize>() + dialog.remote_target.as_str().len() + routes;
    assert!(size_of::<Dialog>() + heap <= 1024, "{} + {heap}", size_of::<Dialog>());
}

#[test]
fn a_route_set_can_be_written_down() {
    let dialog = uac(&[P2, P1]);
    assert_eq!(RouteSet::parse(dialog.route_set.entries()), Some(dialog.route_set.clone()));
    assert_eq!(RouteSet::parse(["not a route"]), None);
}

/// §12.1.1: the tag is known before the response is made.
#[test]
fn the_uas_has_its_dialog_before_it_responds() {
    let request = invite_at_bob(&[P2, P1]);
    let mut dialog = Dialog::as_uas_with_tag(&request, "b1", false).unwrap();
    assert_eq!(dialog.state, DialogState::Early);
    dialog.state = DialogState::Confirmed;
    assert_eq!(dialog, uas(&[P2, P1]));
    for no_token in ["", "b 1", "b1\r\nX: y", "b;1", "b\""] {
        assert_eq!(Dialog::as_uas_with_tag(&request, no_token, false), Err(DialogError::NoLocalTag));
    }
}

#[test]
fn a_route_set_is_one_text_and_takes_no_line_break() {
    assert!(size_of::<RouteSet>() <= 16);
    assert!(RouteSet::parse(["<sip:p1.example.com;lr>\r\n "]).is_none());
    assert!(RouteSet::parse([]).unwrap().is_empty());
}
