//! One request, several dialogs: derived sessions at the client, at the server and in a B2BUA.

use servlet::IllegalState;
use servlet::prelude::*;
use sip_message::HeaderName;

use crate::keeper::{Legs, Stage, bob};
use crate::world::{ALICE, BOB, cancel, from_callee, in_dialog, invite, lines, one, request, udp};

pub fn not_now(state: IllegalState) -> Option<Error> {
    Some(Error::IllegalState(state))
}

/// A call in two legs, the second of which has rung in two places. Gives the sessions of both.
pub fn forked(stage: &mut Stage) -> (Legs, SipSession, SipSession) {
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 180, "one", "");
    let first = stage.response().session().unwrap();
    stage.world.answer(&legs.sent, 183, "two", &format!("Contact: <sip:two@{BOB}>\n"));
    let second = stage.response().session().unwrap();
    (legs, first, second)
}

// ----- client --------------------------------------------------------------------------------------------------------

#[test]
fn the_first_tag_is_the_sessions_own_and_each_further_one_makes_a_derived_session() {
    let mut stage = Stage::new();
    let (legs, first, second) = forked(&mut stage);
    assert_eq!(first, legs.b);
    assert_ne!(second, legs.b);
    assert_eq!(second.call_id(), legs.b.call_id());
    assert!(stage.created().contains(&second.id()), "listeners are told");
    assert_eq!((first.state(), second.state()), (Ok(SessionState::Early), Ok(SessionState::Early)));
    assert_eq!(second.local_party().unwrap().uri(), first.local_party().unwrap().uri());
    let all = legs.a.application_session().unwrap().sip_sessions().unwrap();
    assert!(all.contains(&first) && all.contains(&second));
    stage.all_give_up(&legs);
}

#[test]
fn a_derived_session_has_the_attributes_that_the_original_had_then() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 180, "one", "");
    legs.b.set_attribute("before", 1_u32).unwrap();
    stage.world.answer(&legs.sent, 180, "two", "");
    let derived = stage.response().session().unwrap();
    legs.b.set_attribute("after", 2_u32).unwrap();
    assert_eq!(derived.attribute::<u32>("before").unwrap().as_deref(), Some(&1));
    assert_eq!(derived.attribute_names().unwrap(), ["before"]);
}

#[test]
fn a_request_of_a_derived_session_is_one_of_its_own_dialog() {
    let mut stage = Stage::new();
    let (_, first, second) = forked(&mut stage);
    let update = stage.act(|_| second.create_request(Method::Update).unwrap());
    let sent = stage.sends(&update);
    assert_eq!((sent.uri(), sent.to_tag()), (&*format!("sip:two@{BOB}"), "two".to_owned()));
    let update = stage.act(|_| first.create_request(Method::Update).unwrap());
    let sent = stage.sends(&update);
    assert_eq!((sent.uri(), sent.to_tag()), (&*bob(), "one".to_owned()));
}

#[test]
fn a_response_with_a_known_tag_makes_no_session() {
    let mut stage = Stage::new();
    let (legs, first, second) = forked(&mut stage);
    let sessions = stage.world.load().sip_sessions;
    stage.world.answer(&legs.sent, 180, "one", "");
    assert_eq!(stage.response().session().unwrap(), first);
    stage.world.answer(&legs.sent, 180, "two", "");
    assert_eq!(stage.response().session().unwrap(), second);
    assert_eq!(stage.world.load().sip_sessions, sessions);
}

#[test]
fn a_2xx_that_comes_again_is_no_fork() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 200, "one", "");
    let (told, sessions) = (stage.responses(), stage.world.load().sip_sessions);
    let answer = stage.response();
    stage.act(|_| answer.create_ack().unwrap().send().unwrap());
    assert_eq!(stage.world.only().to_tag(), "one");
    assert_eq!(one(stage.world.answer(&legs.sent, 200, "one", "")).to_tag(), "one", "the ACK once more");
    assert_eq!((stage.responses(), stage.world.load().sip_sessions), (told, sessions));
}

/// RFC 3261 §13.2.2.4: "The UAC core MUST generate an ACK request for each 2xx".
#[test]
fn each_of_several_2xx_is_acknowledged_in_its_own_dialog() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    for tag in ["one", "two"] {
        stage.world.answer(&legs.sent, 200, tag, "");
        let answer = stage.response();
        assert_eq!(answer.session().unwrap().state(), Ok(SessionState::Confirmed));
        stage.act(|_| answer.create_ack().unwrap().send().unwrap());
        assert_eq!(stage.world.only().to_tag(), tag);
    }
    // And each is ended by itself.
    let second = stage.response().session().unwrap();
    let bye = stage.act(|_| second.create_request(Method::Bye).unwrap());
    let sent = stage.sends(&bye);
    assert_eq!(sent.to_tag(), "two");
    stage.world.answer(&sent, 200, "", "");
    assert!(!second.is_valid() && legs.b.is_valid());
}

#[test]
fn requests_of_a_peer_reach_the_session_of_its_fork() {
    let mut stage = Stage::new();
    let (legs, first, second) = forked(&mut stage);
    stage.world.receive(&udp(BOB), &from_callee("INFO", &legs.sent, "two", 5, ""));
    assert_eq!(stage.request().session().unwrap(), second);
    stage.world.receive(&udp(BOB), &from_callee("INFO", &legs.sent, "one", 9, ""));
    assert_eq!(stage.request().session().unwrap(), first);
}

#[test]
fn a_failure_ends_the_early_dialogs_of_all_forks() {
    let mut stage = Stage::new();
    let (legs, first, second) = forked(&mut stage);
    stage.world.answer(&legs.sent, 486, "one", "");
    assert!(!first.is_valid() && !second.is_valid(), "both were ready, and are gone");
    stage.gives_up();
}

#[test]
fn forks_that_never_answer_end_when_there_is_nothing_more_to_come() {
    let mut stage = Stage::new();
    let (legs, first, second) = forked(&mut stage);
    stage.world.answer(&legs.sent, 200, "two", "");
    let answer = stage.response();
    assert_eq!(answer.session().unwrap(), second);
    stage.act(|_| answer.create_ack().unwrap().send().unwrap());
    assert!(first.is_valid(), "another 2xx may come for 64·T1");
    stage.world.pass(Duration::from_secs(33));
    assert!(!first.is_valid() && second.is_valid());
}

#[test]
fn a_call_lives_on_when_the_session_that_it_was_derived_from_is_invalidated() {
    let mut stage = Stage::new();
    let (legs, first, second) = forked(&mut stage);
    stage.act(|_| first.invalidate().unwrap());
    assert!(second.is_valid());
    stage.world.answer(&legs.sent, 200, "two", "");
    let answer = stage.response();
    assert_eq!((answer.session().unwrap(), second.state()), (second.clone(), Ok(SessionState::Confirmed)));
    stage.act(|_| answer.create_ack().unwrap().send().unwrap());
    assert_eq!(stage.world.only().method(), "ACK");
    stage.world.receive(&udp(BOB), &from_callee("INFO", &legs.sent, "two", 5, ""));
    assert_eq!(stage.request().session().unwrap(), second);
    let bye = stage.act(|_| second.create_request(Method::Bye).unwrap());
    assert_eq!(stage.sends(&bye).to_tag(), "two");
}

#[test]
fn a_cancel_of_any_fork_cancels_the_request_of_all() {
    let mut stage = Stage::new();
    let (legs, _, second) = forked(&mut stage);
    let cancel = stage.act(|_| legs.helper.create_cancel(&second).unwrap());
    let sent = stage.sends(&cancel);
    assert_eq!((sent.method(), sent.first(HeaderName::Via)), ("CANCEL", legs.sent.first(HeaderName::Via)));
}

// ----- B2BUA ---------------------------------------------------------------------------------------------------------

#[test]
fn the_linked_session_of_a_derived_client_session_is_a_derived_server_session() {
    let mut stage = Stage::new();
    let (legs, first, second) = forked(&mut stage);
    assert_eq!(legs.helper.linked_session(&first), Ok(Some(legs.a.clone())));
    let other = stage.act(|_| legs.helper.linked_session(&second).unwrap().unwrap());
    assert_ne!(other, legs.a);
    assert!(stage.created().contains(&other.id()));
    assert_eq!(legs.helper.linked_session(&second), Ok(Some(other.clone())), "always the same");
    assert_eq!(legs.helper.linked_session(&other), Ok(Some(second)));
    assert_eq!(legs.helper.linked_session(&legs.a), Ok(Some(first.clone())));
    stage.all_give_up(&legs);
}

#[test]
fn each_fork_has_one_tag_upstream_for_all_its_responses() {
    let mut stage = Stage::new();
    let (legs, first, second) = forked(&mut stage);
    let mut upstream = |fork: &SipSession, status| {
        let other = stage.act(|_| legs.helper.linked_session(fork).unwrap().unwrap());
        let response = stage.act(|_| match other == legs.a {
            true => legs.original.create_response(status).unwrap(),
            false => legs.helper.create_response_to_original_request(&other, status, None).unwrap(),
        });
        assert_eq!(response.session().unwrap(), other);
        stage.answers(&response).to_tag()
    };
    let ringing = StatusCode::RINGING;
    let (one, two) = (upstream(&first, ringing), upstream(&second, ringing));
    assert_ne!(one, two);
    assert_eq!((upstream(&first, ringing), upstream(&second, ringing)), (one.clone(), two.clone()));
    assert_eq!(upstream(&second, StatusCode::OK), two);
}

#[test]
fn a_copy_of_a_forks_response_has_the_tag_of_that_fork() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    let mut upstream = |status, tag| {
        stage.world.answer(&legs.sent, status, tag, "");
        let theirs = stage.response();
        let copy = stage.act(|_| legs.helper.create_response(&legs.original, &theirs).unwrap());
        let (fork, other) = (theirs.session().unwrap(), copy.session().unwrap());
        assert_eq!(stage.act(|_| legs.helper.linked_session(&fork)), Ok(Some(other)));
        stage.answers(&copy).to_tag()
    };
    let (one, two) = (upstream(180, "one"), upstream(180, "two"));
    assert_ne!(one, two);
    assert_eq!((upstream(183, "two"), upstream(183, "one")), (two.clone(), one.clone()));
    assert_eq!((upstream(200, "two"), upstream(200, "one")), (two, one), "both 2xx pass, each in its dialog");
    let theirs = stage.response();
    let refused = legs.helper.create_response(&legs.original, &theirs).err();
    assert_eq!(refused, not_now(IllegalState::FinalResponseSent));
}

#[test]
fn a_call_is_answered_by_a_fork_and_goes_on_in_its_sessions() {
    let mut stage = Stage::new();
    let (legs, _, second) = forked(&mut stage);
    stage.world.answer(&legs.sent, 200, "two", "");
    let answer = stage.response();
    stage.act(|_| answer.create_ack().unwrap().send().unwrap());
    stage.world.sent();
    let other = stage.act(|_| legs.helper.linked_session(&second).unwrap().unwrap());
    let ok = stage.act(|_| legs.helper.create_response_to_original_request(&other, StatusCode::OK, None).unwrap());
    let ok = stage.answers(&ok);
    assert!(ok.first(HeaderName::Contact).contains("192.0.2.1"));
    assert_eq!(other.state(), Ok(SessionState::Confirmed));
    stage.world.pass(Duration::from_millis(600));
    assert_eq!(lines(&stage.world.sent()), ["SIP/2.0 200 OK"], "it is repeated until its ACK comes");
    stage.world.alice(&in_dialog("ACK", &ok, 1, ""));
    assert_eq!((stage.request().method(), stage.request().session().unwrap()), (Method::Ack, other.clone()));
    stage.world.pass(Duration::from_secs(10));
    assert!(stage.world.sent().is_empty());
    let bye = stage.receives(&in_dialog("BYE", &ok, 2, ""));
    assert_eq!(bye.session().unwrap(), other);
    let onwards = stage.act(|_| legs.helper.relay(&bye).unwrap().unwrap());
    assert_eq!(onwards.session().unwrap(), second);
    stage.act(|_| bye.create_response(StatusCode::OK).unwrap().send().unwrap());
    let sent = stage.world.sent();
    let onwards = sent.iter().find(|sent| sent.method() == "BYE").unwrap();
    assert_eq!(onwards.to_tag(), "two");
    stage.world.answer(onwards, 200, "", "");
    stage.world.ends();
}

#[test]
fn a_second_response_that_makes_a_dialog_has_a_tag_and_a_session_of_its_own() {
    let mut stage = Stage::new();
    let original = stage.receives(&invite(&bob(), "a"));
    let (helper, a) = (original.b2bua_helper().unwrap(), original.session().unwrap());
    a.set_attribute("mine", 7_u32).unwrap();
    let ring = |stage: &mut Stage| {
        let ringing = StatusCode::RINGING;
        let response = stage.act(|_| helper.create_response_to_original_request(&a, ringing, None).unwrap());
        let sent = stage.answers(&response);
        (response.session().unwrap(), sent.to_tag())
    };
    let (first, one) = ring(&mut stage);
    let (second, two) = ring(&mut stage);
    assert_eq!(first, a);
    assert!(second != a && one != two);
    assert_eq!(second.attribute::<u32>("mine").unwrap().as_deref(), Some(&7));
    let update = stage.act(|_| second.create_request(Method::Update).unwrap());
    let sent = stage.sends(&update);
    assert_eq!((sent.from_tag(), sent.uri()), (two, &*format!("sip:alice@{ALICE}")));
}

#[test]
fn a_response_that_does_not_fit_those_that_were_sent_is_refused() {
    let mut stage = Stage::new();
    let original = stage.receives(&invite(&bob(), "a"));
    let (helper, a) = (original.b2bua_helper().unwrap(), original.session().unwrap());
    let ok = stage.act(|_| helper.create_response_to_original_request(&a, StatusCode::OK, None).unwrap());
    let ok = stage.answers(&ok);
    let refused = not_now(IllegalState::FinalResponseSent);
    for status in [StatusCode::BAD_REQUEST, StatusCode::RINGING, StatusCode::MOVED_TEMPORARILY] {
        assert_eq!(helper.create_response_to_original_request(&a, status, None).err(), refused, "{status}");
    }
    // But there may be another answer, in another dialog.
    let other = stage.act(|_| helper.create_response_to_original_request(&a, StatusCode::OK, None).unwrap());
    let sent = stage.answers(&other);
    assert_ne!(sent.to_tag(), ok.to_tag());
    stage.world.alice(&in_dialog("ACK", &sent, 1, ""));
    assert_eq!(stage.request().session().unwrap(), other.session().unwrap());
    let derived = other.session().unwrap();
    assert_eq!(helper.create_response_to_original_request(&derived, StatusCode::OK, None).err(), refused);
}

#[test]
fn a_failure_is_answered_in_the_session_itself_and_ends_the_forks() {
    let mut stage = Stage::new();
    let original = stage.receives(&invite(&bob(), "a"));
    let (helper, a) = (original.b2bua_helper().unwrap(), original.session().unwrap());
    for _ in 0..2 {
        let ringing = StatusCode::RINGING;
        let ringing = stage.act(|_| helper.create_response_to_original_request(&a, ringing, None).unwrap());
        stage.answers(&ringing);
    }
    assert_eq!(stage.world.load().sip_sessions, 2);
    let busy = stage.act(|_| helper.create_response_to_original_request(&a, StatusCode::BUSY_HERE, None).unwrap());
    assert_eq!(busy.session().unwrap(), a);
    let sent = stage.answers(&busy);
    helper.create_response_to_original_request(&a, StatusCode::OK, None).unwrap_err();
    stage.world.alice(&in_dialog("ACK", &sent, 1, ""));
    assert_eq!(stage.world.load().sip_sessions, 0);
    stage.world.ends();
}

#[test]
fn a_request_that_makes_no_dialog_is_answered_in_its_session() {
    let mut stage = Stage::new();
    let original = stage.receives(&request("MESSAGE", &bob(), "a", ""));
    let (helper, a) = (original.b2bua_helper().unwrap(), original.session().unwrap());
    let ok = stage.act(|_| helper.create_response_to_original_request(&a, StatusCode::OK, None).unwrap());
    assert_eq!(ok.session().unwrap(), a);
    assert_eq!(stage.answers(&ok).status(), 200);
    stage.world.ends();
}

#[test]
fn a_cancelled_call_ends_the_sessions_of_all_forks_on_both_legs() {
    let mut stage = Stage::new();
    let (legs, _, second) = forked(&mut stage);
    let other = stage.act(|_| legs.helper.linked_session(&second).unwrap().unwrap());
    let ringing = StatusCode::RINGING;
    let ringing = stage.act(|_| legs.helper.create_response_to_original_request(&other, ringing, None).unwrap());
    stage.answers(&ringing);
    stage.world.alice(&cancel(&bob(), "a"));
    assert_eq!(stage.request().method(), Method::Cancel);
    let cancel = stage.act(|_| legs.helper.create_cancel(&legs.b).unwrap());
    let sent = stage.sends(&cancel);
    stage.world.answer(&sent, 200, "one", "");
    stage.world.answer(&legs.sent, 487, "one", "");
    stage.world.pass(Duration::from_secs(40));
    stage.world.sent();
    stage.world.ends();
}
