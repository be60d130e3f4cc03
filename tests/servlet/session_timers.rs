//! Session timers: RFC 4028, by a [`KeepAlivePreference`] of the application's.

use servlet::prelude::*;
use servlet::{KeepAlivePreference, SessionKeepAlive};
use sip_message::HeaderName;

use crate::dialogs::{calls, hangs_up};
use crate::keeper::{Stage, bob};
use crate::world::{BOB, Sent, from_callee, in_dialog, one, request, udp};

const HERE: &str = "sip:service@192.0.2.1";
const SDP: &str = "Content-Type: application/sdp\n";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn wish(interval: u64, least: u64) -> KeepAlivePreference {
    KeepAlivePreference { enabled: true, interval: seconds(interval), min_interval: seconds(least) }
}

/// A call to Bob whose INVITE wishes for this, and describes a session.
fn calls_wishing(stage: &mut Stage, preference: KeepAlivePreference) -> (SipServletRequest, Sent) {
    let request = stage.act(|context| {
        let factory = context.sip_factory();
        let session = factory.create_application_session().unwrap();
        let from = factory.create_address(&format!("<{HERE}>")).unwrap();
        let to = factory.create_address(&format!("<{}>", bob())).unwrap();
        let request = factory.create_request(&session, Method::Invite, &from, &to).unwrap();
        request.set_session_keep_alive(preference).unwrap();
        request.set_content("v=0\r\no=ours", "application/sdp").unwrap();
        request
    });
    let sent = stage.sends(&request);
    (request, sent)
}

/// Bob answers 200, which is acknowledged.
fn answers(stage: &mut Stage, invite: &Sent, more: &str) {
    stage.world.answer(invite, 200, "b", more);
    let ok = stage.response();
    stage.act(|_| ok.create_ack().unwrap().send().unwrap());
    assert_eq!(stage.world.only().method(), "ACK");
}

/// A call of Alice's that is answered with a wish.
fn is_called(stage: &mut Stage, more: &str, preference: KeepAlivePreference) -> (SipSession, Sent) {
    let call_id = format!("call{}", more.len());
    let invite = stage.receives(&request("INVITE", HERE, &call_id, more));
    let session = invite.session().unwrap();
    let ok = stage.act(|_| {
        let ok = invite.create_response(StatusCode::OK).unwrap();
        ok.set_session_keep_alive(preference).unwrap();
        ok.send().unwrap();
        ok
    });
    drop(ok);
    let ok = stage.world.only();
    if ok.status() == 200 {
        stage.world.alice(&in_dialog("ACK", &ok, 1, ""));
    }
    (session, ok)
}

// ----- client --------------------------------------------------------------------------------------------------------

#[test]
fn a_caller_who_wishes_for_a_timer_asks_for_it_and_the_2xx_says_what_holds() {
    let mut stage = Stage::new();
    let (request, sent) = calls_wishing(&mut stage, wish(1800, 120));
    assert_eq!((sent.first(HeaderName::SessionExpires), sent.first(HeaderName::MinSe)), ("1800", "120"));
    assert!(sent.headers().has_token(HeaderName::Supported, "timer"));
    let session = request.session().unwrap();
    assert_eq!(session.keep_alive(), Ok(None));
    answers(&mut stage, &sent, "Require: timer\nSession-Expires: 600;refresher=uas\n");
    assert_eq!(session.keep_alive(), Ok(Some(SessionKeepAlive { interval: seconds(600), we_refresh: false })));
    let (plain, sent) = calls(&mut stage, Method::Invite);
    assert!(!sent.headers().contains(HeaderName::SessionExpires), "who does not wish does not ask");
    assert_eq!(plain.session().unwrap().keep_alive(), Ok(None));
}

/// RFC 4028 §7.3. The application tries again, as after a challenge.
#[test]
fn a_422_is_told_and_the_next_request_of_the_session_asks_for_enough() {
    let mut stage = Stage::new();
    let (request, sent) = calls_wishing(&mut stage, wish(300, 90));
    let session = request.session().unwrap();
    request.application_session().unwrap().set_invalidate_when_ready(false).unwrap();
    session.set_invalidate_when_ready(false).unwrap();
    stage.world.answer(&sent, 422, "b", "Min-SE: 900\n");
    assert_eq!(stage.response().status().code(), 422);
    let again = stage.act(|_| session.create_request(Method::Invite).unwrap());
    let sent = stage.sends(&again);
    assert_eq!((sent.first(HeaderName::SessionExpires), sent.first(HeaderName::MinSe)), ("900", "900"));
    assert_eq!((sent.to_tag(), sent.first(HeaderName::Cseq)), (String::new(), "2 INVITE"));
}

#[test]
fn who_has_to_refresh_sends_an_update_at_half_of_the_interval_of_which_the_application_hears_nothing() {
    let mut stage = Stage::new();
    let (request, sent) = calls_wishing(&mut stage, wish(600, 90));
    answers(&mut stage, &sent, "Require: timer\nSession-Expires: 600;refresher=uac\n");
    let session = request.session().unwrap();
    assert_eq!(session.keep_alive(), Ok(Some(SessionKeepAlive { interval: seconds(600), we_refresh: true })));
    let heard = stage.responses();
    for _ in 0..3 {
        stage.world.pass(seconds(299));
        assert!(stage.world.sent().is_empty());
        stage.world.pass(seconds(1));
        let update = stage.world.only();
        assert_eq!((update.method(), update.first(HeaderName::SessionExpires)), ("UPDATE", "600;refresher=uac"));
        assert!(update.first(HeaderName::Contact).contains("192.0.2.1"));
        stage.world.answer(&update, 200, "", "Require: timer\nSession-Expires: 600;refresher=uac\n");
    }
    assert_eq!(stage.responses(), heard);
    assert_eq!(session.state(), Ok(SessionState::Confirmed));
}

#[test]
fn a_refresh_that_wants_too_little_is_sent_again_at_once() {
    let mut stage = Stage::new();
    let (request, sent) = calls_wishing(&mut stage, wish(600, 90));
    answers(&mut stage, &sent, "Require: timer\nSession-Expires: 600;refresher=uac\n");
    stage.world.pass(seconds(300));
    let update = stage.world.only();
    let again = one(stage.world.answer(&update, 422, "", "Min-SE: 1200\n"));
    assert_eq!((again.method(), again.first(HeaderName::SessionExpires)), ("UPDATE", "1200;refresher=uac"));
    stage.world.answer(&again, 200, "", "Require: timer\nSession-Expires: 1200;refresher=uac\n");
    assert_eq!(request.session().unwrap().keep_alive().unwrap().unwrap().interval, seconds(1200));
}

/// RFC 4028 §7.4: the offer is the one that holds.
#[test]
fn a_peer_without_update_is_refreshed_by_an_invite_with_what_was_described_last() {
    for knows in [true, false] {
        let mut stage = Stage::new();
        let (_, sent) = calls_wishing(&mut stage, wish(600, 90));
        let allow = if knows { "Allow: INVITE, ACK, BYE\n" } else { "" };
        answers(&mut stage, &sent, &format!("{allow}Require: timer\nSession-Expires: 600;refresher=uac\n"));
        let heard = stage.responses();
        stage.world.pass(seconds(300));
        let mut refresh = stage.world.only();
        if !knows {
            assert_eq!(refresh.method(), "UPDATE");
            refresh = one(stage.world.answer(&refresh, 405, "", ""));
        }
        assert_eq!(refresh.method(), "INVITE");
        assert!(refresh.text.ends_with("v=0\r\no=ours"), "{}", refresh.text);
        let granted = "Require: timer\nSession-Expires: 600;refresher=uac\n";
        let ack = one(stage.world.answer(&refresh, 200, "", granted));
        assert_eq!((ack.method(), ack.first(HeaderName::ContentLength)), ("ACK", "0"));
        assert_eq!(one(stage.world.answer(&refresh, 200, "", granted)).method(), "ACK", "it comes again");
        assert_eq!(stage.responses(), heard);
        stage.world.pass(seconds(300));
        assert_eq!(stage.world.only().method(), "INVITE", "it is known now");
    }
}

/// RFC 4028 §10.
#[test]
fn a_session_that_is_not_refreshed_ends_with_a_bye_before_its_interval_is_over() {
    let mut stage = Stage::new();
    let (request, sent) = calls_wishing(&mut stage, wish(600, 90));
    answers(&mut stage, &sent, "Require: timer\nSession-Expires: 600;refresher=uas\n");
    let session = request.session().unwrap();
    stage.world.pass(seconds(567));
    assert!(stage.world.sent().is_empty());
    stage.world.pass(Duration::from_millis(1_100));
    let bye = stage.world.only();
    assert_eq!(bye.method(), "BYE");
    stage.world.answer(&bye, 200, "", "");
    assert!(!session.is_valid(), "it was ready to be invalidated");
    drop((request, session));
    stage.forgets();
    stage.world.ends();
}

#[test]
fn a_refresh_that_is_answered_481_ends_the_session() {
    let mut stage = Stage::new();
    let (request, sent) = calls_wishing(&mut stage, wish(600, 90));
    answers(&mut stage, &sent, "Require: timer\nSession-Expires: 600;refresher=uac\n");
    stage.world.pass(seconds(300));
    let update = stage.world.only();
    stage.world.answer(&update, 481, "", "");
    assert!(request.session().is_err());
    drop(request);
    stage.forgets();
    stage.world.ends();
}

#[test]
fn a_call_that_was_hung_up_is_not_refreshed_though_its_session_is_kept() {
    let mut stage = Stage::new();
    let (request, sent) = calls_wishing(&mut stage, wish(600, 90));
    answers(&mut stage, &sent, "Require: timer\nSession-Expires: 600;refresher=uac\n");
    let session = request.session().unwrap();
    request.application_session().unwrap().set_invalidate_when_ready(false).unwrap();
    session.set_invalidate_when_ready(false).unwrap();
    stage.world.receive(&udp(BOB), &from_callee("BYE", &sent, "b", 1, ""));
    let bye = stage.request();
    stage.answers(&bye.create_response(StatusCode::OK).unwrap());
    assert_eq!((session.state(), session.keep_alive()), (Ok(SessionState::Terminated), Ok(None)));
    stage.world.pass(seconds(800));
    assert!(stage.world.sent().is_empty());
}

// ----- server --------------------------------------------------------------------------------------------------------

#[test]
fn a_callee_who_wishes_for_a_timer_grants_what_was_asked_and_leaves_the_refreshes_to_the_caller() {
    let mut stage = Stage::new();
    let asks = "Supported: timer\nSession-Expires: 300\n";
    let (session, ok) = is_called(&mut stage, asks, wish(1800, 90));
    assert_eq!(ok.first(HeaderName::SessionExpires), "300;refresher=uac");
    assert!(ok.headers().has_token(HeaderName::Require, "timer"));
    assert_eq!(session.keep_alive(), Ok(Some(SessionKeepAlive { interval: seconds(300), we_refresh: false })));
    stage.world.pass(seconds(200));
    let update = stage.receives(&in_dialog("UPDATE", &ok, 2, "Supported: timer\nSession-Expires: 300;refresher=uac\n"));
    let granted = stage.answers(&update.create_response(StatusCode::OK).unwrap());
    assert_eq!(granted.first(HeaderName::SessionExpires), "300;refresher=uac");
    stage.world.pass(seconds(200));
    assert!(stage.world.sent().is_empty(), "the interval has begun anew");
    drop((update, session));
    hangs_up(stage, &ok, 3);
}

#[test]
fn a_callee_refreshes_for_a_caller_who_knows_no_timer() {
    let mut stage = Stage::new();
    let (session, ok) = is_called(&mut stage, "", wish(600, 90));
    assert_eq!(ok.first(HeaderName::SessionExpires), "600;refresher=uas");
    assert!(!ok.headers().has_token(HeaderName::Require, "timer"));
    assert!(session.keep_alive().unwrap().unwrap().we_refresh);
    stage.world.pass(seconds(300));
    assert_eq!(stage.world.only().method(), "UPDATE");
}

#[test]
fn a_callee_without_a_wish_grants_nothing() {
    let mut stage = Stage::new();
    let invite = stage.receives(&request("INVITE", HERE, "st", "Supported: timer\nSession-Expires: 300\n"));
    let ok = stage.answers(&invite.create_response(StatusCode::OK).unwrap());
    assert!(!ok.headers().contains(HeaderName::SessionExpires));
}

/// RFC 4028 §9. What the application has granted when it answers is known only then.
#[test]
fn an_interval_below_what_the_application_grants_is_answered_422_in_the_place_of_the_2xx() {
    let mut stage = Stage::new();
    let asks = "Supported: timer\nSession-Expires: 100\n";
    let (session, refused) = is_called(&mut stage, asks, wish(1800, 600));
    assert_eq!((refused.status(), refused.first(HeaderName::MinSe)), (422, "600"));
    assert!(!session.is_valid());
    let (session, ok) = is_called(&mut stage, "Session-Expires: 100\n", wish(1800, 600));
    assert_eq!(ok.status(), 200, "who does not know the extension would not understand a 422");
    assert!(session.is_valid());
}

#[test]
fn a_refresh_below_what_the_application_grants_is_answered_422_and_not_told() {
    let mut stage = Stage::new();
    let asks = "Supported: timer\nSession-Expires: 900\n";
    let (session, ok) = is_called(&mut stage, asks, wish(1800, 600));
    let asks = format!("{SDP}Supported: timer\nSession-Expires: 100\n");
    let refused = one(stage.world.alice(&in_dialog("INVITE", &ok, 2, &asks)));
    assert_eq!((refused.status(), refused.first(HeaderName::MinSe)), (422, "600"));
    assert_eq!(stage.request().method(), Method::Ack);
    assert_eq!(session.state(), Ok(SessionState::Confirmed));
    assert_eq!(session.keep_alive().unwrap().unwrap().interval, seconds(900));
}
