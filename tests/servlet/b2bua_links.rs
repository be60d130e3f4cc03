//! `B2buaHelper`: links between sessions and requests, what waits for the application, and what is answered.

use servlet::prelude::*;
use servlet::{IllegalArgument, IllegalState, UaMode};
use sip_message::HeaderName;

use crate::keeper::{Legs, Stage, bob};
use crate::world::{BOB, answer_text, in_dialog, invite, one, request, udp};

fn illegal(argument: IllegalArgument) -> Option<Error> {
    Some(Error::IllegalArgument(argument))
}

fn not_now(state: IllegalState) -> Option<Error> {
    Some(Error::IllegalState(state))
}

// ----- linked requests -----------------------------------------------------------------------------------------------

#[test]
fn linked_requests_find_each_other_before_and_after_the_second_was_sent() {
    let mut stage = Stage::new();
    let original = stage.receives(&invite(&bob(), "a"));
    let helper = original.b2bua_helper().unwrap();
    let second = stage.act(|_| helper.create_request(&original, true, None).unwrap());
    assert_eq!(helper.linked_request(&original).as_ref(), Some(&second));
    assert_eq!(helper.linked_request(&second).as_ref(), Some(&original));
    stage.sends(&second);
    assert_eq!(helper.linked_request(&original).as_ref(), Some(&second));
    assert_eq!(helper.linked_request(&second).as_ref(), Some(&original));
    stage.gives_up();
}

#[test]
fn a_request_finds_the_other_when_its_final_response_comes() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 486, "b", "");
    let response = stage.response();
    let sent = response.request().unwrap();
    assert_eq!(sent, legs.second);
    assert_eq!(legs.helper.linked_request(&sent), Some(legs.original));
    stage.gives_up();
}

#[test]
fn requests_that_were_not_to_be_linked_are_not() {
    let mut stage = Stage::new();
    let original = stage.receives(&invite(&bob(), "a"));
    let helper = original.b2bua_helper().unwrap();
    let second = stage.act(|_| helper.create_request(&original, false, None).unwrap());
    assert_eq!((helper.linked_request(&original), helper.linked_request(&second)), (None, None));
    stage.sends(&second);
    assert_eq!((helper.linked_request(&original), helper.linked_request(&second)), (None, None));
}

// ----- link, unlink --------------------------------------------------------------------------------------------------

#[test]
fn linking_is_one_to_one_and_the_same_pair_again_is_no_mistake() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    let third = stage.act(|_| legs.helper.create_request(&legs.original, false, None).unwrap().session().unwrap());
    assert_eq!(legs.helper.link_sip_sessions(&legs.a, &legs.b), Ok(()));
    assert_eq!(legs.helper.link_sip_sessions(&legs.b, &legs.a), Ok(()));
    assert_eq!(legs.helper.link_sip_sessions(&legs.a, &third).err(), illegal(IllegalArgument::Linked));
    assert_eq!(legs.helper.link_sip_sessions(&third, &third).err(), illegal(IllegalArgument::Linked));
    stage.act(|_| legs.helper.unlink_sip_sessions(&legs.b).unwrap());
    assert_eq!(legs.helper.link_sip_sessions(&legs.a, &third), Ok(()));
    assert_eq!(legs.helper.linked_session(&third), Ok(Some(legs.a)));
    assert_eq!(legs.helper.linked_session(&legs.b), Ok(None));
}

#[test]
fn sessions_of_different_application_sessions_can_not_be_linked() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    let stranger = stage.receives(&invite(&bob(), "other")).session().unwrap();
    assert_eq!(legs.helper.link_sip_sessions(&legs.a, &stranger).err(), illegal(IllegalArgument::ForeignSession));
}

#[test]
fn unlinking_takes_the_requests_apart_too() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.act(|_| legs.helper.unlink_sip_sessions(&legs.a).unwrap());
    assert_eq!(legs.helper.linked_session(&legs.a), Ok(None));
    assert_eq!(legs.helper.linked_session(&legs.b), Ok(None));
    assert_eq!(legs.helper.linked_request(&legs.original), None);
    assert_eq!(legs.helper.linked_request(&legs.second), None);
    stage.gives_up();
}

#[test]
fn unlinking_what_is_not_linked_is_a_mistake() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.act(|_| legs.helper.unlink_sip_sessions(&legs.a).unwrap());
    assert_eq!(legs.helper.unlink_sip_sessions(&legs.a).err(), illegal(IllegalArgument::Linked));
    assert_eq!(legs.helper.unlink_sip_sessions(&legs.b).err(), illegal(IllegalArgument::Linked));
}

#[test]
fn an_invalid_session_is_linked_with_nobody_and_can_not_be() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.act(|_| legs.b.invalidate().unwrap());
    assert_eq!(legs.helper.linked_session(&legs.a), Ok(None));
    let gone = not_now(IllegalState::InvalidSession);
    assert_eq!(legs.helper.linked_session(&legs.b).err(), gone);
    assert_eq!(legs.helper.link_sip_sessions(&legs.a, &legs.b).err(), gone);
    assert_eq!(legs.helper.unlink_sip_sessions(&legs.b).err(), gone);
    assert_eq!(legs.helper.pending_messages(&legs.b, UaMode::Uac).err(), gone);
    assert_eq!(legs.helper.create_cancel(&legs.b).err(), gone);
    let refused = legs.helper.create_response_to_original_request(&legs.b, StatusCode::OK, None).err();
    assert_eq!(refused, gone);
}

// ----- pending messages ----------------------------------------------------------------------------------------------

#[test]
fn what_was_received_and_not_answered_is_pending_in_the_order_of_cseq() {
    let mut stage = Stage::new();
    let (legs, ok) = stage.call();
    for (method, cseq) in [("INFO", 2), ("MESSAGE", 3), ("UPDATE", 4)] {
        stage.receives(&in_dialog(method, &ok, cseq, ""));
    }
    let pending = |legs: &Legs| {
        let pending = legs.helper.pending_messages(&legs.a, UaMode::Uas).unwrap();
        pending.iter().map(|message| message.method().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(pending(&legs), ["INFO", "MESSAGE", "UPDATE"]);
    let update = stage.request();
    stage.answers(&update.create_response(StatusCode::OK).unwrap());
    assert_eq!(pending(&legs), ["INFO", "MESSAGE"], "what was answered is committed");
    assert!(legs.helper.pending_messages(&legs.a, UaMode::Uac).unwrap().is_empty());
}

#[test]
fn a_2xx_is_pending_until_its_ack_was_made() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 180, "b", "");
    assert!(legs.helper.pending_messages(&legs.b, UaMode::Uac).unwrap().is_empty(), "a plain 1xx waits for nothing");
    stage.world.answer(&legs.sent, 200, "b", "");
    let answer = stage.response();
    let pending = legs.helper.pending_messages(&legs.b, UaMode::Uac).unwrap();
    assert_eq!(pending, [answer.as_message().clone()]);
    stage.act(|_| answer.create_ack().unwrap().send().unwrap());
    assert!(legs.helper.pending_messages(&legs.b, UaMode::Uac).unwrap().is_empty());
}

#[test]
fn a_reliable_provisional_response_is_pending_until_its_prack_was_made() {
    let mut stage = Stage::new();
    let original = stage.receives(&request("INVITE", &bob(), "a", "Supported: 100rel\n"));
    let helper = original.b2bua_helper().unwrap();
    let second = stage.act(|_| helper.create_request(&original, true, None).unwrap());
    let sent = stage.sends(&second);
    stage.world.answer(&sent, 183, "b", "Require: 100rel\nRSeq: 7\n");
    let reliable = stage.response();
    let b = second.session().unwrap();
    assert_eq!(helper.pending_messages(&b, UaMode::Uac).unwrap(), [reliable.as_message().clone()]);
    assert_eq!(b.unacknowledged_provisional_responses(UaMode::Uac), Ok(vec![reliable.clone()]));
    stage.act(|_| reliable.create_prack().unwrap().send().unwrap());
    assert_eq!(stage.world.only().first(HeaderName::Rack), "7 1 INVITE");
    assert!(helper.pending_messages(&b, UaMode::Uac).unwrap().is_empty());
}

#[test]
fn a_second_request_that_was_not_sent_is_pending() {
    let mut stage = Stage::new();
    let original = stage.receives(&invite(&bob(), "a"));
    let helper = original.b2bua_helper().unwrap();
    let second = stage.act(|_| helper.create_request(&original, true, None).unwrap());
    let b = second.session().unwrap();
    assert_eq!(helper.pending_messages(&b, UaMode::Uac).unwrap(), [second.as_message().clone()]);
    stage.sends(&second);
    assert!(helper.pending_messages(&b, UaMode::Uac).unwrap().is_empty());
    let a = original.session().unwrap();
    assert_eq!(helper.pending_messages(&a, UaMode::Uas).unwrap(), [original.as_message().clone()]);
}

// ----- create_cancel, create_response_to_original_request ------------------------------------------------------------

#[test]
fn a_sessions_invite_is_cancelled() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 180, "b", "");
    let cancel = stage.act(|_| legs.helper.create_cancel(&legs.b).unwrap());
    let sent = stage.sends(&cancel);
    assert_eq!((sent.method(), sent.uri()), ("CANCEL", legs.sent.uri()));
    assert_eq!(sent.first(HeaderName::Via), legs.sent.first(HeaderName::Via));
    stage.world.answer(&sent, 200, "b", "");
    stage.world.answer(&legs.sent, 487, "b", "");
    assert_eq!(stage.response().status(), StatusCode::REQUEST_TERMINATED);
    stage.gives_up();
}

#[test]
fn what_is_answered_or_was_not_sent_can_not_be_cancelled() {
    let mut stage = Stage::new();
    let original = stage.receives(&invite(&bob(), "a"));
    let helper = original.b2bua_helper().unwrap();
    let second = stage.act(|_| helper.create_request(&original, true, None).unwrap());
    let b = second.session().unwrap();
    assert_eq!(helper.create_cancel(&b).err(), not_now(IllegalState::NotSent));
    let sent = stage.sends(&second);
    stage.world.answer(&sent, 200, "b", "");
    assert_eq!(helper.create_cancel(&b).err(), not_now(IllegalState::FinalResponseSent));
    assert_eq!(helper.create_cancel(&original.session().unwrap()).err(), not_now(IllegalState::NotOurs));
}

#[test]
fn the_original_request_is_answered_by_its_session_alone() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    let refused = legs.helper.create_response_to_original_request(&legs.b, StatusCode::OK, None).err();
    assert_eq!(refused, not_now(IllegalState::NoInitialRequest), "nothing came on the second leg");
    let response = legs.helper.create_response_to_original_request(&legs.a, StatusCode::RINGING, Some("Ding")).unwrap();
    assert_eq!(response.session().unwrap(), legs.a);
    assert_eq!(response.request().as_ref(), Some(&legs.original));
    let sent = stage.answers(&response);
    assert_eq!(sent.start_line(), "SIP/2.0 180 Ding");
    assert!(!sent.to_tag().is_empty());
    stage.gives_up();
}

// ----- create_response -----------------------------------------------------------------------------------------------

#[test]
fn a_response_goes_over_with_its_phrase_its_body_and_all_headers_that_are_not_a_legs_own() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    let more =
        "Record-Route: <sip:p2.invalid;lr>\nServer: Bob's\nX-Mine: a, b\nX-Mine: c\nRetry-After: 5\nc: text/plain\n";
    let text = answer_text(&legs.sent, 183, "b", more);
    let text = text.replace(" Text", " In a moment").replace("Content-Length: 0\n\n", "l: 2\n\nhi");
    stage.world.receive(&udp(BOB), &text);
    let theirs = stage.response();
    let response = stage.act(|_| legs.helper.create_response(&legs.original, &theirs).unwrap());
    assert_eq!(response.session().unwrap(), legs.a);
    assert_eq!(response.request().as_ref(), Some(&legs.original));
    let sent = stage.answers(&response);
    assert_eq!(sent.start_line(), "SIP/2.0 183 In a moment");
    assert_eq!((sent.all(HeaderName::Via).len(), sent.first(HeaderName::CallId)), (1, "a"));
    assert_eq!(sent.first(HeaderName::Cseq), "1 INVITE");
    assert!(sent.to_tag() != "b" && !sent.to_tag().is_empty());
    assert_eq!(sent.all(HeaderName::Contact), ["<sip:192.0.2.1>"]);
    assert!(sent.all(HeaderName::RecordRoute).is_empty());
    assert!(sent.text.contains("Server: Bob's\r\nX-Mine: a, b\r\nX-Mine: c\r\nRetry-After: 5\r\n"), "{}", sent.text);
    assert_eq!((sent.first(HeaderName::ContentType), &sent.message.body()[..]), ("text/plain", &b"hi"[..]));
    stage.all_give_up(&legs);
}

#[test]
fn whether_a_response_is_reliable_is_said_where_it_is_sent() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 183, "b", "Require: 100rel, x-other\nRSeq: 9\n");
    let theirs = stage.response();
    let response = stage.act(|_| legs.helper.create_response(&legs.original, &theirs).unwrap());
    let sent = stage.answers(&response);
    assert_eq!(sent.all(HeaderName::Require), ["x-other"]);
    assert!(sent.all(HeaderName::Rseq).is_empty());
}

#[test]
fn a_redirection_goes_over_with_its_contacts() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 302, "b", "Contact: <sip:new@h>;q=1, <sip:other@h>\n");
    let theirs = stage.response();
    let response = stage.act(|_| legs.helper.create_response(&legs.original, &theirs).unwrap());
    let sent = stage.answers(&response);
    assert_eq!(sent.all(HeaderName::Contact), ["<sip:new@h>;q=1", "<sip:other@h>"]);
}

#[test]
fn a_request_that_was_answered_gets_no_copy_of_another_answer() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 180, "b", "");
    let theirs = stage.response();
    let refused = legs.helper.create_response(&legs.second, &theirs).err();
    assert_eq!(refused, not_now(IllegalState::NotOurs), "it was sent and not received");
    stage.answers(&legs.original.create_response(StatusCode::BUSY_HERE).unwrap());
    let refused = legs.helper.create_response(&legs.original, &theirs).err();
    assert_eq!(refused, not_now(IllegalState::InvalidSession), "the session went with it");
}

#[test]
fn a_request_of_a_call_is_answered_as_the_other_leg_answers() {
    let mut stage = Stage::new();
    let (legs, ok) = stage.call();
    let info = stage.receives(&in_dialog("INFO", &ok, 2, ""));
    let other = stage.act(|_| legs.helper.relay(&info).unwrap().unwrap());
    let sent = stage.world.only();
    stage.world.answer(&sent, 415, "", "Accept: text/plain\n");
    let theirs = stage.response();
    assert_eq!(theirs.request().as_ref(), Some(&other));
    let response = stage.act(|_| legs.helper.create_response(&info, &theirs).unwrap());
    let sent = stage.answers(&response);
    assert_eq!((sent.status(), sent.first(HeaderName::Accept), sent.to_tag()), (415, "text/plain", ok.to_tag()));
}

#[test]
fn a_call_is_relayed_by_the_helper_and_leaves_nothing() {
    let mut stage = Stage::new();
    let (legs, ok) = stage.call();
    let bye = stage.receives(&in_dialog("BYE", &ok, 2, ""));
    let other = stage.act(|_| legs.helper.relay(&bye).unwrap().unwrap());
    assert_eq!(legs.helper.linked_request(&bye), Some(other));
    let sent = stage.world.only();
    assert_eq!(sent.method(), "BYE");
    stage.act(|_| bye.create_response(StatusCode::OK).unwrap().send().unwrap());
    assert_eq!(one(stage.world.sent()).status(), 200);
    stage.world.answer(&sent, 200, "b", "");
    stage.world.ends();
}
