//! `B2buaHelper`: second legs, requests of both legs' dialogs, and the errors of misuse.

use std::sync::Arc;

use container::Container;
use container::routing::{Entry, RuleRouter};
use servlet::prelude::*;
use servlet::{HeaderMap, IllegalArgument, IllegalState, RoutingDirective};
use sip_message::HeaderName;

use crate::keeper::{Kept, Stage, bob, named};
use crate::world::{ALICE, BOB, World, from_callee, in_dialog, invite, request, udp};

fn map(entries: &[(&str, &str)]) -> HeaderMap {
    entries.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect()
}

fn illegal(argument: IllegalArgument) -> Option<Error> {
    Some(Error::IllegalArgument(argument))
}

fn not_now(state: IllegalState) -> Option<Error> {
    Some(Error::IllegalState(state))
}

// ----- b2bua_helper --------------------------------------------------------------------------------------------------

#[test]
fn a_request_with_a_b2bua_helper_has_no_proxy() {
    let mut stage = Stage::new();
    let request = stage.receives(&invite(&bob(), "a"));
    request.b2bua_helper().unwrap();
    assert_eq!(request.proxy().err(), not_now(IllegalState::AlreadyB2bua));
    request.b2bua_helper().unwrap();
}

#[test]
fn a_request_with_a_proxy_has_no_b2bua_helper() {
    let mut stage = Stage::new();
    let request = stage.receives(&invite(&bob(), "a"));
    request.proxy().unwrap();
    assert_eq!(request.b2bua_helper().err(), not_now(IllegalState::AlreadyProxy));
}

// ----- create_request ------------------------------------------------------------------------------------------------

#[test]
fn a_second_leg_is_another_session_of_the_same_application_session_with_another_call_id_and_tag() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    assert_ne!(legs.a, legs.b);
    assert_eq!(legs.a.application_session().unwrap(), legs.b.application_session().unwrap());
    assert_ne!(legs.sent.first(HeaderName::CallId), "a");
    assert_eq!(legs.b.call_id(), legs.sent.first(HeaderName::CallId));
    assert_ne!(legs.sent.from_tag(), legs.original.from().tag().unwrap());
    assert_eq!(legs.sent.to_tag(), "");
    assert_eq!(legs.sent.first(HeaderName::Cseq), "1 INVITE");
    assert!(stage.created().contains(&legs.b.id()));
    assert_eq!(stage.world.load().application_sessions, 1);
    stage.gives_up();
}

#[test]
fn a_second_leg_has_neither_via_nor_record_route_of_the_first_and_one_hop_less() {
    let mut stage = Stage::new();
    let more = "Record-Route: <sip:p1.invalid;lr>\nSubject: Lunch\nX-Mine: a, b\nX-Mine: c\n";
    let original = stage.receives(&request("INVITE", &bob(), "a", more));
    let helper = original.b2bua_helper().unwrap();
    let second = stage.act(|_| helper.create_request(&original, false, None).unwrap());
    let sent = stage.sends(&second);
    assert_eq!(sent.all(HeaderName::Via).len(), 1);
    assert!(sent.first(HeaderName::Via).contains("192.0.2.1"));
    assert!(sent.all(HeaderName::RecordRoute).is_empty());
    assert_eq!(sent.first(HeaderName::MaxForwards), "69");
    assert_eq!(sent.first(HeaderName::Subject), "Lunch");
    assert!(sent.text.contains("\r\nX-Mine: a, b\r\nX-Mine: c\r\n"), "{}", sent.text);
    assert_eq!(sent.uri(), bob());
}

#[test]
fn a_body_goes_over_to_the_second_leg_unread() {
    let mut stage = Stage::new();
    let text =
        invite(&bob(), "a").replace("Content-Length: 0\n\n", "Content-Type: a/b\nContent-Length: 3\n\n\u{1}\u{2}x");
    let original = stage.receives(&text);
    let helper = original.b2bua_helper().unwrap();
    let second = stage.act(|_| helper.create_request(&original, true, None).unwrap());
    let sent = stage.sends(&second);
    assert_eq!(&sent.message.body()[..], b"\x01\x02x");
    assert_eq!(sent.first(HeaderName::ContentType), "a/b");
}

#[test]
fn a_second_leg_has_a_contact_of_ours() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    assert_eq!(legs.sent.all(HeaderName::Contact), ["<sip:192.0.2.1>"]);
}

#[test]
fn a_register_keeps_its_contact_on_the_second_leg() {
    let mut stage = Stage::new();
    let original = stage.receives(&request("REGISTER", "sip:198.51.100.9", "a", ""));
    let helper = original.b2bua_helper().unwrap();
    let second = stage.act(|_| helper.create_request(&original, true, None).unwrap());
    assert_eq!(stage.sends(&second).all(HeaderName::Contact), [format!("<sip:alice@{ALICE}>")]);
}

#[test]
fn an_application_may_wish_how_its_contact_looks_and_not_where_it_leads() {
    let mut stage = Stage::new();
    let original = stage.receives(&invite(&bob(), "a"));
    let helper = original.b2bua_helper().unwrap();
    let headers = map(&[("Contact", "\"Desk\" <sip:desk@evil.invalid:9;transport=tcp;method=BYE;x=y>;audio")]);
    let second = stage.act(|_| helper.create_request(&original, true, Some(&headers)).unwrap());
    let sent = stage.sends(&second);
    assert_eq!(sent.all(HeaderName::Contact), ["\"Desk\" <sip:desk@192.0.2.1;x=y>;audio"]);
}

#[test]
fn the_map_replaces_what_would_be_copied() {
    let mut stage = Stage::new();
    let original = stage.receives(&request("INVITE", &bob(), "a", "Subject: Lunch\n"));
    let helper = original.b2bua_helper().unwrap();
    let headers = map(&[
        ("From", "<sip:pilot@example.com>;tag=ignored"),
        ("To", "<sip:desk@example.com>;tag=ignored"),
        ("Subject", "Dinner"),
        ("X-New", "yes"),
        ("Route", &format!("<sip:{BOB};lr>")),
    ]);
    let second = stage.act(|_| helper.create_request(&original, true, Some(&headers)).unwrap());
    let sent = stage.sends(&second);
    assert!(sent.first(HeaderName::From).starts_with("<sip:pilot@example.com>;tag="));
    assert_ne!(sent.from_tag(), "ignored");
    assert_eq!(sent.first(HeaderName::To), "<sip:desk@example.com>");
    assert_eq!(sent.all(HeaderName::Subject), ["Dinner"]);
    assert_eq!(sent.first(HeaderName::Route), format!("<sip:{BOB};lr>"));
    assert!(sent.text.contains("X-New: yes\r\n"));
}

#[test]
fn a_map_with_a_header_of_the_containers_is_refused_and_nothing_was_made() {
    let mut stage = Stage::new();
    let original = stage.receives(&invite(&bob(), "a"));
    let helper = original.b2bua_helper().unwrap();
    for name in ["Call-ID", "CSeq", "Via", "Record-Route", "Path"] {
        let refused = stage.act(|_| helper.create_request(&original, true, Some(&map(&[(name, "x")]))).err());
        assert_eq!(refused, illegal(IllegalArgument::SystemHeader(name.into())));
    }
    let refused = stage.act(|_| helper.create_request(&original, true, Some(&map(&[("Subject", "a\r\nb: c")]))).err());
    assert_eq!(refused, illegal(IllegalArgument::HeaderValue));
    assert_eq!(stage.world.load().sip_sessions, 1);
    assert_eq!(helper.linked_session(&original.session().unwrap()), Ok(None));
}

#[test]
fn without_a_hop_left_there_is_no_second_leg_and_483_was_sent() {
    let mut stage = Stage::new();
    let text = invite(&bob(), "a").replace("Max-Forwards: 70", "Max-Forwards: 0");
    let original = stage.receives(&text);
    let helper = original.b2bua_helper().unwrap();
    let refused = stage.act(|_| helper.create_request(&original, true, None).err());
    assert_eq!(refused, Some(Error::TooManyHops));
    assert_eq!(stage.world.only().status(), 483);
    assert_eq!(stage.world.load().sip_sessions, 0, "it was refused, and that was all");
}

#[test]
fn a_second_leg_is_made_of_an_initial_request_only() {
    let mut stage = Stage::new();
    let (legs, ok) = stage.call();
    let again = stage.receives(&in_dialog("INFO", &ok, 2, ""));
    assert!(!again.is_initial());
    let refused = stage.act(|_| legs.helper.create_request(&again, false, None).err());
    assert_eq!(refused, illegal(IllegalArgument::Request));
}

#[test]
fn a_session_that_is_linked_gets_no_other_linked_leg() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    let refused = stage.act(|_| legs.helper.create_request(&legs.original, true, None).err());
    assert_eq!(refused, illegal(IllegalArgument::Linked));
    let third = stage.act(|_| legs.helper.create_request(&legs.original, false, None).unwrap());
    assert_eq!(legs.helper.linked_session(&third.session().unwrap()), Ok(None));
    assert_eq!(legs.helper.linked_session(&legs.a), Ok(Some(legs.b)));
}

#[test]
fn a_leg_that_failed_makes_room_for_the_next() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 486, "b", "");
    assert!(!legs.b.is_valid());
    let next = stage.act(|_| legs.helper.create_request(&legs.original, true, None).unwrap());
    stage.sends(&next);
    assert_eq!(legs.helper.linked_session(&legs.a), Ok(Some(next.session().unwrap())));
    stage.gives_up();
}

#[test]
fn a_second_leg_continues_the_way_of_the_first_and_a_request_of_the_factorys_begins_anew() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    assert_eq!(legs.second.routing_directive(), Ok(RoutingDirective::Continue));
    let fresh = stage.act(|context| {
        let factory = context.sip_factory();
        let session = factory.create_application_session().unwrap();
        factory.create_request_from_text(&session, "MESSAGE", "sip:a@h", "sip:b@h").unwrap()
    });
    assert_eq!(fresh.routing_directive(), Ok(RoutingDirective::New));
}

#[test]
fn each_leg_follows_the_states_of_its_own_role() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    let states = |legs: &crate::keeper::Legs| (legs.a.state().unwrap(), legs.b.state().unwrap());
    assert_eq!(states(&legs), (SessionState::Initial, SessionState::Initial));
    stage.world.answer(&legs.sent, 180, "b", "");
    assert_eq!(states(&legs), (SessionState::Initial, SessionState::Early));
    stage.answers(&legs.original.create_response(StatusCode::RINGING).unwrap());
    assert_eq!(states(&legs), (SessionState::Early, SessionState::Early));
    stage.world.answer(&legs.sent, 200, "b", "");
    assert_eq!(states(&legs), (SessionState::Early, SessionState::Confirmed));
}

// ----- create_subsequent_request -------------------------------------------------------------------------------------

#[test]
fn a_request_of_a_call_goes_on_in_the_dialog_of_the_other_leg() {
    let mut stage = Stage::new();
    let (legs, ok) = stage.call();
    let more = "Subject: More\nX-Mine: 1\nContent-Type: text/plain\n";
    let text = in_dialog("INFO", &ok, 2, more).replace("Content-Length: 0\n\n", "Content-Length: 2\n\nhi");
    let info = stage.receives(&text);
    let other = stage.act(|_| legs.helper.create_subsequent_request(&legs.b, &info, None).unwrap());
    assert!(!other.is_initial());
    assert_eq!(legs.helper.linked_request(&info).as_ref(), Some(&other));
    let sent = stage.sends(&other);
    assert_eq!((sent.method(), sent.uri()), ("INFO", &*bob()));
    assert_eq!(sent.first(HeaderName::CallId), legs.b.call_id());
    assert_eq!((sent.from_tag(), sent.to_tag()), (legs.sent.from_tag(), "b".to_owned()));
    assert_eq!(sent.first(HeaderName::Cseq), "2 INFO");
    assert_eq!((sent.first(HeaderName::Subject), sent.all(HeaderName::Via).len()), ("More", 1));
    assert_eq!(&sent.message.body()[..], b"hi");
    assert_eq!(sent.first(HeaderName::MaxForwards), "69");
    assert!(sent.all(HeaderName::Contact).is_empty(), "INFO refreshes no target");
    assert_eq!(legs.helper.linked_request(&info).as_ref(), Some(&other));
    assert_eq!(legs.helper.linked_request(&other).as_ref(), Some(&info));
}

#[test]
fn the_route_of_a_subsequent_request_is_the_dialogs() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 200, "b", &format!("Record-Route: <sip:{BOB};lr>\n"));
    let answer = stage.response();
    stage.act(|_| answer.create_ack().unwrap().send().unwrap());
    stage.world.sent();
    let ok = stage.answers(&legs.original.create_response(StatusCode::OK).unwrap());
    stage.world.alice(&in_dialog("ACK", &ok, 1, ""));
    let update = stage.receives(&in_dialog("UPDATE", &ok, 2, ""));
    let headers = map(&[("Route", "<sip:elsewhere.invalid;lr>")]);
    let refused = stage.act(|_| legs.helper.create_subsequent_request(&legs.b, &update, Some(&headers)).err());
    assert_eq!(refused, illegal(IllegalArgument::SystemHeader("Route".into())));
    let other = stage.act(|_| legs.helper.create_subsequent_request(&legs.b, &update, None).unwrap());
    let sent = stage.sends(&other);
    assert_eq!(sent.all(HeaderName::Route), [format!("<sip:{BOB};lr>")]);
    assert_eq!(sent.all(HeaderName::Contact), ["<sip:192.0.2.1>"]);
}

#[test]
fn a_subsequent_request_links_sessions_that_were_not_linked() {
    let mut stage = Stage::new();
    let (legs, ok) = stage.call();
    stage.act(|_| legs.helper.unlink_sip_sessions(&legs.a).unwrap());
    let info = stage.receives(&in_dialog("INFO", &ok, 2, ""));
    let other = stage.act(|_| legs.helper.create_subsequent_request(&legs.b, &info, None).unwrap());
    assert_eq!(legs.helper.linked_session(&legs.a), Ok(Some(legs.b)));
    assert_eq!(legs.helper.linked_request(&info), Some(other));
}

#[test]
fn a_subsequent_request_in_a_session_of_another_call_is_refused() {
    let mut stage = Stage::new();
    let (legs, ok) = stage.call();
    let info = stage.receives(&in_dialog("INFO", &ok, 2, ""));
    let stranger = stage.act(|context| {
        let factory = context.sip_factory();
        let session = factory.create_application_session().unwrap();
        factory.create_request_from_text(&session, "MESSAGE", "sip:a@h", "sip:b@h").unwrap().session().unwrap()
    });
    let refused = stage.act(|_| legs.helper.create_subsequent_request(&stranger, &info, None).err());
    assert_eq!(refused, illegal(IllegalArgument::ForeignSession));
    let refused = stage.act(|_| legs.helper.create_subsequent_request(&legs.a, &info, None).err());
    assert_eq!(refused, illegal(IllegalArgument::Linked));
}

#[test]
fn what_comes_on_the_second_leg_goes_on_on_the_first() {
    let mut stage = Stage::new();
    let (legs, _) = stage.call();
    let text = from_callee("BYE", &legs.sent, "b", 1, "Reason: Q.850;cause=16\n");
    stage.world.receive(&udp(BOB), &text);
    let bye = stage.request();
    let other = stage.act(|_| legs.helper.create_subsequent_request(&legs.a, &bye, None).unwrap());
    let sent = stage.sends(&other);
    assert_eq!((sent.method(), sent.uri()), ("BYE", &*format!("sip:alice@{ALICE}")));
    assert_eq!(sent.first(HeaderName::CallId), "a");
    assert_eq!(sent.first(HeaderName::Reason), "Q.850;cause=16");
    stage.act(|_| bye.create_response(StatusCode::OK).unwrap().send().unwrap());
    stage.world.sent();
    stage.world.answer(&sent, 200, "", "");
    stage.world.ends();
}

// ----- composition ---------------------------------------------------------------------------------------------------

#[test]
fn a_second_leg_comes_to_the_next_application_of_the_chain() {
    let chain = Container::builder().application(named("keeper")).application(named("next"));
    let mut stage = Stage { world: World::with(chain) };
    let original = stage.receives(&invite(&bob(), "a"));
    let helper = original.b2bua_helper().unwrap();
    let second = stage.act(|_| helper.create_request(&original, true, None).unwrap());
    stage.act(|_| second.send().unwrap());
    assert!(stage.world.sent().is_empty(), "it stays within the container");
    let next = stage.world.act("next", |context| context.local(Kept::default).requests.borrow()[0].clone());
    assert_eq!((next.call_id(), next.is_initial()), (second.call_id(), true));
    assert_eq!(next.initial_remote_addr(), Some(ALICE.parse().unwrap()), "the same along the whole chain");
    assert_eq!(next.remote_addr(), None);
    // Its answer comes back to the first one's second leg.
    stage.world.act("next", |_| next.create_response(StatusCode::BUSY_HERE).unwrap().send().unwrap());
    let busy = stage.response();
    assert_eq!((busy.status(), busy.request()), (StatusCode::BUSY_HERE, Some(second)));
    let copy = stage.act(|_| helper.create_response(&original, &busy).unwrap());
    assert_eq!(stage.answers(&copy).status(), 486);
}

#[test]
fn a_request_that_is_not_a_copy_begins_the_chain_anew() {
    let router = RuleRouter::new([Entry::new("first"), Entry::new("keeper")]).unwrap();
    let chain = Container::builder().application(named("first")).application(named("keeper")).router(Arc::new(router));
    let mut stage = Stage { world: World::with(chain) };
    stage.act(|context| {
        let factory = context.sip_factory();
        let session = factory.create_application_session().unwrap();
        factory.create_request_from_text(&session, "MESSAGE", "sip:a@h", &bob()).unwrap().send().unwrap();
    });
    let sent = stage.world.sent();
    assert!(sent.is_empty(), "{sent:?}");
    let came = stage.world.act("first", |context| context.local(Kept::default).requests.borrow().len());
    assert_eq!(came, 1);
}
