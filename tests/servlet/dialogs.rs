//! What is in a dialog: numbers, crossing requests, its target, its end; and what may be changed of a message when.

use servlet::prelude::*;
use servlet::{CancelReason, IllegalArgument, IllegalState};
use sip_message::HeaderName;

use crate::keeper::{Stage, bob};
use crate::world::{ALICE, Sent, in_dialog, invite, lines, one, request};

const HERE: &str = "sip:service@192.0.2.1";

fn refused(state: IllegalState) -> Option<Error> {
    Some(Error::IllegalState(state))
}

/// A call from Alice that was answered and acknowledged.
#[track_caller]
pub fn answered(stage: &mut Stage, call_id: &str) -> (SipServletRequest, Sent) {
    let invite = stage.receives(&invite(HERE, call_id));
    let ok = stage.answers(&invite.create_response(StatusCode::OK).unwrap());
    stage.world.alice(&in_dialog("ACK", &ok, 1, ""));
    (invite, ok)
}

/// A request of the application's to Bob.
#[track_caller]
pub fn calls(stage: &mut Stage, method: Method) -> (SipServletRequest, Sent) {
    let request = stage.act(|context| {
        let factory = context.sip_factory();
        let session = factory.create_application_session().unwrap();
        let from = factory.create_address(&format!("<{HERE}>")).unwrap();
        let to = factory.create_address(&format!("<{}>", bob())).unwrap();
        factory.create_request(&session, method, &from, &to).unwrap()
    });
    let sent = stage.sends(&request);
    (request, sent)
}

/// Alice hangs up, the application says yes, and nothing is left.
#[track_caller]
pub fn hangs_up(mut stage: Stage, ok: &Sent, cseq: u32) {
    let bye = stage.receives(&in_dialog("BYE", ok, cseq, ""));
    assert_eq!(stage.answers(&bye.create_response(StatusCode::OK).unwrap()).status(), 200);
    drop(bye);
    stage.forgets();
    stage.world.ends();
}

// ----- numbers (RFC 3261 §12.2.2) ------------------------------------------------------------------------------------

#[test]
fn a_lower_cseq_is_answered_500_and_not_told() {
    let mut stage = Stage::new();
    let (_, ok) = answered(&mut stage, "d1");
    let info = stage.receives(&in_dialog("INFO", &ok, 7, ""));
    stage.answers(&info.create_response(StatusCode::OK).unwrap());
    assert_eq!(one(stage.world.alice(&in_dialog("INFO", &ok, 5, ""))).status(), 500);
    assert_eq!(stage.request().header("CSeq").unwrap(), "7 INFO");
    hangs_up(stage, &ok, 8);
}

#[test]
fn an_equal_cseq_by_another_way_is_answered_482_and_the_same_again_is_a_repetition() {
    let mut stage = Stage::new();
    let (_, ok) = answered(&mut stage, "d2");
    let text = in_dialog("INFO", &ok, 7, "");
    let info = stage.receives(&text);
    assert!(stage.world.alice(&text).is_empty(), "the first has no answer yet");
    assert_eq!(one(stage.world.alice(&text.replace("z9hG4bK-dialog", "z9hG4bK-other"))).status(), 482);
    stage.answers(&info.create_response(StatusCode::OK).unwrap());
    assert_eq!(one(stage.world.alice(&text)).status(), 200);
    hangs_up(stage, &ok, 8);
}

// ----- requests that cross (RFC 3261 §14.2, RFC 3311 §5.2) -----------------------------------------------------------

#[test]
fn an_invite_that_crosses_one_of_ours_is_answered_491() {
    let mut stage = Stage::new();
    let (first, ok) = answered(&mut stage, "d3");
    let session = first.session().unwrap();
    let ours = stage.act(|_| session.create_request(Method::Invite).unwrap());
    let sent = stage.sends(&ours);
    assert_eq!(one(stage.world.alice(&in_dialog("INVITE", &ok, 2, ""))).status(), 491);
    assert_eq!(stage.request().method(), Method::Ack, "the application has not seen it");
    assert_eq!(one(stage.world.answer(&sent, 491, "", "")).method(), "ACK");
    assert_eq!(session.state(), Ok(SessionState::Confirmed));
    stage.world.alice(&in_dialog("ACK", &ok, 2, "").replace("dialog-ACK", "dialog-INVITE"));
    hangs_up(stage, &ok, 3);
}

#[test]
fn a_second_invite_before_the_first_was_answered_is_500_with_a_retry_after_of_ten_seconds_at_most() {
    for method in ["INVITE", "UPDATE"] {
        let mut stage = Stage::new();
        let (_, ok) = answered(&mut stage, "d4");
        let first = stage.receives(&in_dialog(method, &ok, 2, ""));
        let moves = in_dialog(method, &ok, 3, "").replace(&format!("sip:alice@{ALICE}"), "sip:moved@198.51.100.20");
        let refused = one(stage.world.alice(&moves));
        assert_eq!(refused.status(), 500);
        assert!(refused.first(HeaderName::RetryAfter).parse::<u32>().unwrap() <= 10);
        let ok2 = stage.answers(&first.create_response(StatusCode::OK).unwrap());
        assert_eq!(ok2.status(), 200);
        let info = stage.act(|_| first.session().unwrap().create_request(Method::Info).unwrap());
        assert_eq!(info.request_uri().to_string(), format!("sip:alice@{ALICE}"), "what was refused moves nothing");
    }
}

// ----- the target (RFC 3261 §12.2) -----------------------------------------------------------------------------------

#[test]
fn a_re_invite_and_an_update_change_the_target_and_an_info_does_not() {
    let mut stage = Stage::new();
    let (first, ok) = answered(&mut stage, "d5");
    let session = first.session().unwrap();
    for (cseq, method, moves) in [(2, "INFO", false), (3, "UPDATE", true), (4, "INVITE", true)] {
        let place = format!("sip:place{cseq}@198.51.100.20");
        let text = in_dialog(method, &ok, cseq, "").replace(&format!("sip:alice@{ALICE}"), &place);
        let came = stage.receives(&text);
        stage.answers(&came.create_response(StatusCode::OK).unwrap());
        let next = stage.act(|_| session.create_request(Method::Info).unwrap());
        assert_eq!(next.request_uri().to_string() == place, moves, "{method}");
    }
}

#[test]
fn the_2xx_of_a_re_invite_changes_the_target() {
    let mut stage = Stage::new();
    let (first, ok) = answered(&mut stage, "d6");
    let session = first.session().unwrap();
    let ours = stage.act(|_| session.create_request(Method::Invite).unwrap());
    let sent = stage.sends(&ours);
    stage.world.answer(&sent, 200, "", "Contact: <sip:moved@198.51.100.20>\n");
    let response = stage.response();
    let ack = stage.act(|_| response.create_ack().unwrap());
    assert_eq!(ack.request_uri().to_string(), "sip:moved@198.51.100.20");
    assert_eq!(stage.sends(&ack).uri(), "sip:moved@198.51.100.20");
    hangs_up(stage, &ok, 2);
}

// ----- hops and routes -----------------------------------------------------------------------------------------------

#[test]
fn a_missing_max_forwards_is_none_to_the_application_and_70_to_the_next_hop() {
    let mut stage = Stage::new();
    let text = invite(&bob(), "d7").replace("Max-Forwards: 70\n", "");
    let original = stage.receives(&text);
    assert_eq!(original.max_forwards(), None);
    let helper = original.b2bua_helper().unwrap();
    let second = stage.act(|_| helper.create_request(&original, true, None).unwrap());
    assert_eq!(stage.sends(&second).first(HeaderName::MaxForwards), "70");
    let proxied = stage.receives(&invite(&bob(), "d8").replace("Max-Forwards: 70\n", ""));
    stage.act(|_| proxied.proxy().unwrap().proxy_to(&proxied.request_uri()).unwrap());
    assert_eq!(stage.world.only().first(HeaderName::MaxForwards), "70");
}

#[test]
fn a_request_without_a_hop_left_is_no_worse_for_who_answers_it() {
    let mut stage = Stage::new();
    let options = stage.receives(&request("OPTIONS", HERE, "d9", "").replace("Max-Forwards: 70", "Max-Forwards: 0"));
    assert_eq!(options.max_forwards(), Some(0));
    assert_eq!(stage.answers(&options.create_response(StatusCode::OK).unwrap()).status(), 200);
}

#[test]
fn a_route_is_pushed_onto_an_initial_request_and_leads_to_a_sip_server() {
    let mut stage = Stage::new();
    let (first, _) = answered(&mut stage, "d10");
    let session = first.session().unwrap();
    stage.act(|context| {
        let factory = context.sip_factory();
        let route = factory.create_sip_uri(None, "proxy.invalid").unwrap();
        let info = session.create_request(Method::Info).unwrap();
        assert_eq!(info.push_route(&route).err(), refused(IllegalState::NotInitial));
    });
    let initial = stage.receives(&invite(&bob(), "d22"));
    stage.act(|context| {
        let factory = context.sip_factory();
        let tel = factory.create_address("<tel:+1-212-555-0100>").unwrap();
        let refused = initial.push_route_address(&tel).err();
        assert!(matches!(refused, Some(Error::IllegalArgument(IllegalArgument::Scheme(_)))), "{refused:?}");
        initial.push_route(&factory.create_sip_uri(None, "198.51.100.30").unwrap()).unwrap();
        initial.proxy().unwrap().proxy_to(&initial.request_uri()).unwrap();
    });
    let sent = stage.world.only();
    assert_eq!(
        (sent.first(HeaderName::Route), &*sent.to.to_string()),
        ("<sip:198.51.100.30;lr>", "198.51.100.30:5060")
    );
}

// ----- what is committed ---------------------------------------------------------------------------------------------

#[test]
fn a_request_that_was_answered_is_committed_and_can_not_be_changed() {
    let mut stage = Stage::new();
    let invite = stage.receives(&invite(HERE, "d11"));
    stage.answers(&invite.create_response(StatusCode::RINGING).unwrap());
    assert!(!invite.is_committed(), "a provisional response settles nothing");
    stage.answers(&invite.create_response(StatusCode::OK).unwrap());
    assert!(invite.is_committed());
    assert_eq!(invite.set_header("X-Late", "yes").err(), refused(IllegalState::Committed));
}

#[test]
fn a_message_that_was_sent_is_committed_and_can_neither_be_changed_nor_sent_again() {
    let mut stage = Stage::new();
    let (invite, _) = calls(&mut stage, Method::Invite);
    assert!(invite.is_committed());
    assert_eq!(invite.set_header("X-Late", "yes").err(), refused(IllegalState::Committed));
    assert_eq!(invite.set_content("late", "text/plain").err(), refused(IllegalState::Committed));
    assert_eq!(invite.send().err(), refused(IllegalState::Committed));
    let came = stage.receives(&request("OPTIONS", HERE, "d12", ""));
    let ok = came.create_response(StatusCode::OK).unwrap();
    assert!(!ok.is_committed());
    stage.answers(&ok);
    assert!(ok.is_committed());
    assert_eq!(ok.set_header("X-Late", "yes").err(), refused(IllegalState::Committed));
    assert_eq!(ok.send().err(), refused(IllegalState::Committed));
}

#[test]
fn a_response_that_has_come_is_committed_unless_something_of_it_is_to_be_acknowledged() {
    let mut stage = Stage::new();
    let (_, invite) = calls(&mut stage, Method::Invite);
    stage.world.answer(&invite, 180, "b", "");
    assert!(stage.response().is_committed(), "an unreliable 1xx");
    assert_eq!(stage.response().send().err(), refused(IllegalState::NotOurs));
    stage.world.answer(&invite, 183, "b", "Require: 100rel\nRSeq: 7\n");
    let reliable = stage.response();
    assert!(!reliable.is_committed());
    let prack = stage.act(|_| reliable.create_prack().unwrap());
    assert!(reliable.is_committed());
    let prack = stage.sends(&prack);
    stage.world.answer(&prack, 200, "b", "");
    assert!(stage.response().is_committed(), "a final response to another request than INVITE");
    stage.world.answer(&invite, 200, "b", "");
    let ok = stage.response();
    assert!(!ok.is_committed());
    stage.act(|_| ok.create_ack().unwrap().send().unwrap());
    assert!(ok.is_committed());
}

#[test]
fn a_request_that_was_answered_408_by_the_container_is_committed() {
    let mut stage = Stage::new();
    let (message, _) = calls(&mut stage, Method::Message);
    stage.world.pass(Duration::from_secs(33));
    assert_eq!(stage.response().status().code(), 408);
    assert!(message.is_committed() && stage.response().is_committed());
}

#[test]
fn a_response_that_is_forwarded_upstream_is_committed() {
    let mut stage = Stage::new();
    let invite = stage.receives(&invite(&bob(), "d13"));
    stage.act(|_| invite.proxy().unwrap().proxy_to(&invite.request_uri()).unwrap());
    let sent = stage.world.only();
    stage.world.answer(&sent, 404, "b", "");
    assert!(stage.response().is_committed());
}

/// RFC 4916: the parties of a dialog may change, its tags may not.
#[test]
fn from_of_a_request_of_a_dialog_may_change_and_its_tag_may_not() {
    let mut stage = Stage::new();
    let (first, ok) = answered(&mut stage, "d14");
    let session = first.session().unwrap();
    let update = stage.act(|context| {
        let update = session.create_request(Method::Update).unwrap();
        let agent = context.sip_factory().create_address("\"Agent 7\" <sip:agent7@192.0.2.1>;tag=forged").unwrap();
        update.set_from(&agent).unwrap();
        update
    });
    let sent = stage.sends(&update);
    assert!(sent.first(HeaderName::From).starts_with("\"Agent 7\" <sip:agent7@192.0.2.1>"));
    assert_eq!(sent.from_tag(), ok.to_tag());
    assert_eq!(update.set_from(&update.to()).err(), refused(IllegalState::Committed));
    stage.world.answer(&sent, 200, "", "");
    let text = in_dialog("INFO", &ok, 2, "").replace("sip:alice@elsewhere.example", "sip:bob@elsewhere.example");
    let info = stage.receives(&text);
    assert_eq!(info.session().unwrap(), session, "tags alone lead to a dialog");
    stage.answers(&info.create_response(StatusCode::OK).unwrap());
    hangs_up(stage, &ok, 3);
}

// ----- the session ---------------------------------------------------------------------------------------------------

#[test]
fn a_handler_has_to_be_a_servlet_of_the_application() {
    let mut stage = Stage::new();
    let (first, ok) = answered(&mut stage, "d15");
    let session = first.session().unwrap();
    assert_eq!(session.set_handler("nobody").err(), Some(Error::NoSuchServlet("nobody".into())));
    let info = stage.receives(&in_dialog("INFO", &ok, 2, ""));
    assert_eq!(info.method(), Method::Info, "the handler is the one that it was");
}

#[test]
fn an_outbound_interface_is_one_of_ours() {
    let mut stage = Stage::new();
    let (first, _) = answered(&mut stage, "d16");
    let session = first.session().unwrap();
    let foreign = Some(Error::IllegalArgument(IllegalArgument::NotAnInterface));
    for address in ["203.0.113.1", "0.0.0.0", "192.0.2.2", "::1"] {
        assert_eq!(session.set_outbound_address(address.parse().unwrap()).err(), foreign, "{address}");
    }
    assert_eq!(session.set_outbound_interface("203.0.113.1:5060".parse().unwrap()).err(), foreign);
    session.set_outbound_address("192.0.2.1".parse().unwrap()).unwrap();
    session.set_outbound_interface("192.0.2.1:5060".parse().unwrap()).unwrap();
}

#[test]
fn a_failure_of_a_re_invite_leaves_the_dialog_confirmed() {
    let mut stage = Stage::new();
    let (first, ok) = answered(&mut stage, "d17");
    let session = first.session().unwrap();
    for status in [487, 488, 500] {
        let ours = stage.act(|_| session.create_request(Method::Invite).unwrap());
        let sent = stage.sends(&ours);
        stage.world.answer(&sent, status, "", "");
        assert_eq!((session.state(), stage.response().status().code()), (Ok(SessionState::Confirmed), status));
    }
    let theirs = stage.receives(&in_dialog("INVITE", &ok, 2, ""));
    let text = in_dialog("INVITE", &ok, 2, "").replacen("INVITE", "CANCEL", 1).replace("2 INVITE", "2 CANCEL");
    let sent = stage.world.alice(&text);
    assert!(sent.iter().any(|sent| sent.status() == 487), "{:?}", lines(&sent));
    assert_eq!(session.state(), Ok(SessionState::Confirmed));
    drop(theirs);
    stage.world.alice(&in_dialog("ACK", &ok, 2, "").replace("dialog-ACK", "dialog-INVITE"));
    hangs_up(stage, &ok, 3);
}

/// RFC 3261 §15.1.2: "The UAS MUST still respond to any pending requests received for that dialog. It is RECOMMENDED that
/// a 487 (Request Terminated) response be generated".
#[test]
fn a_bye_in_an_early_dialog_ends_its_invite_with_487() {
    let mut stage = Stage::new();
    let invite = stage.receives(&invite(HERE, "d18"));
    let ringing = stage.answers(&invite.create_response(StatusCode::RINGING).unwrap());
    let bye = stage.receives(&in_dialog("BYE", &ringing, 2, ""));
    stage.act(|_| bye.create_response(StatusCode::OK).unwrap().send().unwrap());
    let mut statuses: Vec<u16> = stage.world.sent().iter().map(Sent::status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 487]);
    assert!(!invite.session().is_ok_and(|session| session.is_valid()));
    drop((invite, bye));
    stage.forgets();
    stage.world.alice(&in_dialog("ACK", &ringing, 1, ""));
    stage.world.ends();
}

/// RFC 5057 §4.1.
#[test]
fn a_subscription_keeps_the_dialog_after_the_bye_until_it_is_terminated() {
    let mut stage = Stage::new();
    let (first, ok) = answered(&mut stage, "d19");
    let session = first.session().unwrap();
    let subscribe = stage.receives(&in_dialog("SUBSCRIBE", &ok, 2, "Event: dialog\nExpires: 600\n"));
    let accepted = subscribe.create_response(StatusCode::OK).unwrap();
    accepted.set_header("Expires", "600").unwrap();
    stage.answers(&accepted);
    let notify = |stage: &mut Stage, state: &str| {
        let notify = stage.act(|_| session.create_request(Method::Notify).unwrap());
        notify.set_header("Event", "dialog").unwrap();
        notify.set_header("Subscription-State", state).unwrap();
        let sent = stage.sends(&notify);
        stage.world.answer(&sent, 200, "", "");
    };
    notify(&mut stage, "active;expires=600");
    let bye = stage.receives(&in_dialog("BYE", &ok, 3, ""));
    stage.answers(&bye.create_response(StatusCode::OK).unwrap());
    assert_eq!(session.state(), Ok(SessionState::Confirmed));
    notify(&mut stage, "active;expires=300");
    notify(&mut stage, "terminated;reason=timeout");
    assert!(!session.is_valid());
    drop((first, subscribe, accepted, bye, session));
    stage.forgets();
    stage.world.ends();
}

/// RFC 4320 §4.2: nobody waits for an answer that late.
#[test]
fn a_request_that_the_application_never_answers_leaves_nothing() {
    let mut stage = Stage::new();
    let message = stage.receives(&request("MESSAGE", HERE, "d20", ""));
    assert!(message.session().unwrap().is_valid());
    drop(message);
    stage.forgets();
    stage.world.ends();
    assert!(stage.world.sent().is_empty(), "no 408");
}

#[test]
fn a_request_of_a_dialog_that_is_never_answered_leaves_the_dialog_as_it_was() {
    let mut stage = Stage::new();
    let (first, ok) = answered(&mut stage, "d21");
    let info = stage.receives(&in_dialog("INFO", &ok, 2, ""));
    stage.world.pass(Duration::from_secs(64));
    assert!(stage.world.sent().is_empty());
    assert_eq!(first.session().unwrap().state(), Ok(SessionState::Confirmed));
    let late = info.create_response(StatusCode::OK).err();
    assert_eq!(late, refused(IllegalState::TransactionEnded));
    drop((first, info));
    hangs_up(stage, &ok, 3);
}

// ----- SipSession.terminateDialog ------------------------------------------------------------------------------------

#[test]
fn terminate_dialog_of_a_callee_that_rings_refuses_the_call() {
    let mut stage = Stage::new();
    let invite = stage.receives(&invite(HERE, "t1"));
    let ringing = stage.answers(&invite.create_response(StatusCode::RINGING).unwrap());
    let session = invite.session().unwrap();
    stage.act(|_| session.terminate_dialog().unwrap());
    assert_eq!(one(stage.world.sent()).status(), 487);
    assert!(!session.is_valid());
    drop((invite, session));
    stage.forgets();
    stage.world.alice(&in_dialog("ACK", &ringing, 1, "").replace("dialog-ACK", "dialog-INVITE"));
    stage.world.ends();
}

#[test]
fn terminate_dialog_of_a_callee_says_bye_with_the_reason() {
    let mut stage = Stage::new();
    let (invite, _) = answered(&mut stage, "t2");
    let session = invite.session().unwrap();
    let reason = CancelReason { protocol: "Q.850".into(), cause: 16, text: Some("Credit is \"gone\"".into()) };
    stage.act(|_| session.terminate_dialog_because(&[reason]).unwrap());
    let bye = stage.world.only();
    assert_eq!((bye.method(), bye.uri()), ("BYE", &*format!("sip:alice@{ALICE}")));
    assert_eq!(bye.first(HeaderName::Reason), "Q.850;cause=16;text=\"Credit is \\\"gone\\\"\"");
    stage.world.answer(&bye, 200, "", "");
    assert!(!session.is_valid());
}

/// RFC 3261 §15.
#[test]
fn terminate_dialog_of_a_callee_whose_2xx_has_no_ack_waits_for_the_ack_with_the_bye() {
    let mut stage = Stage::new();
    let invite = stage.receives(&invite(HERE, "t3"));
    let ok = stage.answers(&invite.create_response(StatusCode::OK).unwrap());
    let session = invite.session().unwrap();
    stage.act(|_| session.terminate_dialog().unwrap());
    assert!(stage.world.sent().is_empty());
    let bye = one(stage.world.alice(&in_dialog("ACK", &ok, 1, "")));
    assert_eq!(bye.method(), "BYE");
    assert_eq!(stage.request().method(), Method::Invite, "the application is not told of the ACK");
    stage.world.answer(&bye, 200, "", "");
    drop((invite, session));
    stage.forgets();
    stage.world.ends();
}

#[test]
fn terminate_dialog_of_a_callee_whose_2xx_is_never_acknowledged_says_bye_after_32_seconds() {
    let mut stage = Stage::new();
    let invite = stage.receives(&invite(HERE, "t4"));
    stage.answers(&invite.create_response(StatusCode::OK).unwrap());
    let session = invite.session().unwrap();
    stage.act(|_| session.terminate_dialog().unwrap());
    stage.world.pass(Duration::from_secs(33));
    let sent = stage.world.sent();
    let bye = sent.iter().find(|sent| sent.method() == "BYE").expect("a BYE").clone();
    stage.world.answer(&bye, 200, "", "");
    drop((invite, session));
    stage.forgets();
    stage.world.ends();
}

#[test]
fn terminate_dialog_of_a_caller_cancels_what_rings() {
    let mut stage = Stage::new();
    let (invite, sent) = calls(&mut stage, Method::Invite);
    stage.world.answer(&sent, 180, "b", "");
    let session = invite.session().unwrap();
    let heard = stage.responses();
    stage.act(|_| session.terminate_dialog().unwrap());
    let cancel = stage.world.only();
    assert_eq!(cancel.method(), "CANCEL");
    stage.world.answer(&cancel, 200, "b", "");
    assert_eq!(one(stage.world.answer(&sent, 487, "b", "")).method(), "ACK");
    assert!(!session.is_valid());
    assert_eq!(stage.responses(), heard, "the application hears nothing more");
    drop((invite, session));
    stage.forgets();
    stage.world.ends();
}

#[test]
fn terminate_dialog_of_a_caller_acknowledges_a_2xx_that_crosses_and_hangs_up() {
    let mut stage = Stage::new();
    let (invite, sent) = calls(&mut stage, Method::Invite);
    stage.world.answer(&sent, 180, "b", "");
    let session = invite.session().unwrap();
    stage.act(|_| session.terminate_dialog().unwrap());
    let cancel = stage.world.only();
    let sent = stage.world.answer(&sent, 200, "b", "");
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["ACK", "BYE"]);
    stage.world.answer(&cancel, 481, "b", "");
    stage.world.answer(&sent[1], 200, "b", "");
    assert!(!session.is_valid());
    drop((invite, session));
    stage.forgets();
    stage.world.ends();
}

#[test]
fn terminate_dialog_is_refused_to_a_proxy_and_does_nothing_twice() {
    let mut stage = Stage::new();
    let proxied = stage.receives(&invite(&bob(), "t5"));
    stage.act(|_| {
        let proxy = proxied.proxy().unwrap();
        proxy.set_record_route(true).unwrap();
        proxy.proxy_to(&proxied.request_uri()).unwrap();
    });
    let sent = stage.world.only();
    stage.world.answer(&sent, 180, "b", "");
    let session = proxied.session().unwrap();
    assert_eq!(session.terminate_dialog().err(), refused(IllegalState::ProxySession));
    let (invite, _) = answered(&mut stage, "t6");
    let session = invite.session().unwrap();
    stage.act(|_| session.terminate_dialog().unwrap());
    assert_eq!(stage.world.only().method(), "BYE");
    assert_eq!(session.create_request(Method::Info).err(), refused(IllegalState::DialogTerminating));
}
