//! Reliable provisional responses: RFC 3262, as server and as client.

use std::cell::RefCell;

use servlet::prelude::*;
use servlet::{IllegalState, Rel100Error, SipErrorListener, UaMode};
use sip_message::HeaderName;

use crate::dialogs::calls;
use crate::keeper::{Stage, bob, keeper};
use crate::world::{Sent, World, cancel, in_dialog, invite, one, request};

const HERE: &str = "sip:service@192.0.2.1";
const SDP: &str = "v=0\r\n";

fn not(error: Rel100Error) -> Option<Error> {
    Some(Error::Rel100(error))
}

fn supporting(call_id: &str) -> String {
    request("INVITE", HERE, call_id, "Supported: 100rel\n")
}

/// A 183 that the application sends reliably.
#[track_caller]
fn progresses(stage: &mut Stage, invite: &SipServletRequest, described: bool) -> Sent {
    stage.act(|_| {
        let response = invite.create_response(StatusCode::SESSION_PROGRESS).unwrap();
        if described {
            response.set_content(SDP, "application/sdp").unwrap();
        }
        response.send_reliably().unwrap();
    });
    stage.world.only()
}

/// Alice's PRACK of a response.
fn prack(response: &Sent, cseq: u32) -> String {
    let rack = format!("RAck: {} {}\n", response.first(HeaderName::Rseq), response.first(HeaderName::Cseq));
    in_dialog("PRACK", response, cseq, &rack)
}

/// The application answers a PRACK.
#[track_caller]
fn acknowledges(stage: &mut Stage, response: &Sent, cseq: u32) -> Vec<Sent> {
    stage.world.alice(&prack(response, cseq));
    let came = stage.request();
    assert_eq!(came.method(), Method::Prack);
    stage.act(|_| came.create_response(StatusCode::OK).unwrap().send().unwrap());
    stage.world.sent()
}

fn rseq(sent: &Sent) -> u32 {
    sent.first(HeaderName::Rseq).parse().unwrap()
}

// ----- server --------------------------------------------------------------------------------------------------------

#[test]
fn only_101_to_199_to_an_invite_of_a_peer_who_supports_it_are_sent_reliably() {
    let mut stage = Stage::new();
    let came = stage.receives(&supporting("r1"));
    let send = |request: &SipServletRequest, status| request.create_response(status).unwrap().send_reliably().err();
    assert_eq!(send(&came, StatusCode::TRYING), not(Rel100Error::Not1xx));
    assert_eq!(send(&came, StatusCode::OK), not(Rel100Error::Not1xx));
    let options = stage.receives(&request("OPTIONS", HERE, "r2", "Supported: 100rel\n"));
    assert_eq!(send(&options, StatusCode::RINGING), not(Rel100Error::NotInvite));
    let simple = stage.receives(&invite(HERE, "r3"));
    assert_eq!(send(&simple, StatusCode::RINGING), not(Rel100Error::NoRequestSupport));
    assert!(stage.world.sent().is_empty());
    let required = stage.receives(&request("INVITE", HERE, "r4", "Require: 100rel\n"));
    stage.act(|_| assert_eq!(send(&required, StatusCode::RINGING), None));
    assert_eq!(stage.world.only().status(), 180);
}

#[test]
fn require_and_rseq_stand_there_once_and_rseq_counts_by_one() {
    let mut stage = Stage::new();
    let came = stage.receives(&supporting("r5"));
    stage.act(|_| {
        let response = came.create_response(StatusCode::SESSION_PROGRESS).unwrap();
        response.set_header("Require", "100rel").unwrap();
        response.send_reliably().unwrap();
    });
    let first = stage.world.only();
    assert_eq!((first.all(HeaderName::Require), first.all(HeaderName::Rseq).len()), (vec!["100rel"], 1));
    assert!(first.first(HeaderName::Contact).contains("192.0.2.1"));
    let answer = one(acknowledges(&mut stage, &first, 2));
    assert_eq!((answer.status(), answer.first(HeaderName::Cseq)), (200, "2 PRACK"));
    assert_eq!(rseq(&progresses(&mut stage, &came, false)), rseq(&first) + 1);
}

#[test]
fn it_is_repeated_until_its_prack_comes_which_the_application_answers() {
    let mut stage = Stage::new();
    let came = stage.receives(&supporting("r6"));
    let first = progresses(&mut stage, &came, false);
    stage.world.pass(Duration::from_millis(1_600));
    let again = stage.world.sent();
    assert_eq!(again.len(), 2, "at 0.5 s and at 1.5 s");
    assert!(again.iter().all(|again| again.text == first.text));
    let mode = UaMode::Uas;
    let session = came.session().unwrap();
    assert_eq!(session.unacknowledged_provisional_responses(mode).unwrap().len(), 1);
    assert_eq!(one(acknowledges(&mut stage, &first, 2)).status(), 200);
    assert!(session.unacknowledged_provisional_responses(mode).unwrap().is_empty());
    stage.world.pass(Duration::from_secs(20));
    assert!(stage.world.sent().is_empty());
    drop((came, session));
    gives_up(stage, "r6");
}

#[test]
fn a_prack_that_fits_nothing_is_answered_481_and_not_told() {
    let mut stage = Stage::new();
    let came = stage.receives(&supporting("r7"));
    let first = progresses(&mut stage, &came, false);
    for (cseq, rack) in [(2, format!("{} 1 INVITE", rseq(&first) + 1)), (3, format!("{} 9 INVITE", rseq(&first)))] {
        let text = in_dialog("PRACK", &first, cseq, &format!("RAck: {rack}\n"));
        assert_eq!(one(stage.world.alice(&text)).status(), 481, "{rack}");
    }
    assert_eq!(one(stage.world.alice(&in_dialog("PRACK", &first, 4, ""))).status(), 400, "without RAck");
    assert_eq!(stage.request().method(), Method::Invite);
    assert_eq!(one(acknowledges(&mut stage, &first, 5)).status(), 200);
    assert_eq!(one(stage.world.alice(&prack(&first, 6))).status(), 481, "it was acknowledged before");
}

#[test]
fn a_prack_that_was_overtaken_is_told_all_the_same() {
    let mut stage = Stage::new();
    let came = stage.receives(&supporting("r8"));
    let first = progresses(&mut stage, &came, false);
    let update = stage.receives(&in_dialog("UPDATE", &first, 3, ""));
    stage.answers(&update.create_response(StatusCode::OK).unwrap());
    assert_eq!(one(acknowledges(&mut stage, &first, 2)).status(), 200);
}

/// RFC 3262 §3: "The UAS MUST NOT send a second reliable provisional response until the first is acknowledged."
#[test]
fn the_next_one_waits_for_the_prack_of_the_one_before() {
    let mut stage = Stage::new();
    let came = stage.receives(&supporting("r9"));
    let first = progresses(&mut stage, &came, false);
    stage.act(|_| came.create_response(StatusCode::RINGING).unwrap().send_reliably().unwrap());
    assert!(stage.world.sent().is_empty());
    let sent = stage.world.alice(&prack(&first, 2));
    let second = one(sent);
    assert_eq!((second.status(), rseq(&second)), (180, rseq(&first) + 1));
}

#[test]
fn a_2xx_waits_for_the_prack_of_an_answer_and_only_of_that() {
    let mut stage = Stage::new();
    let came = stage.receives(&supporting("r10"));
    let first = progresses(&mut stage, &came, true);
    let ok = came.create_response(StatusCode::OK).unwrap();
    stage.act(|_| ok.send().unwrap());
    assert!(stage.world.sent().is_empty(), "it is held");
    assert!(ok.is_committed());
    let second = came.create_response(StatusCode::BUSY_HERE).and_then(|busy| busy.send()).err();
    assert_eq!(second, Some(Error::IllegalState(IllegalState::FinalResponseSent)));
    let sent = stage.world.alice(&prack(&first, 2));
    assert_eq!(one(sent).first(HeaderName::Cseq), "1 INVITE");
    let undescribed = stage.receives(&supporting("r11"));
    let first = progresses(&mut stage, &undescribed, false);
    stage.act(|_| undescribed.create_response(StatusCode::OK).unwrap().send().unwrap());
    assert_eq!(stage.world.only().status(), 200, "it goes at once");
    assert_eq!(
        one(acknowledges(&mut stage, &first, 2)).status(),
        200,
        "a PRACK that comes after it is one all the same"
    );
}

#[test]
fn a_failure_waits_for_no_prack_and_nothing_is_repeated_after_it() {
    let mut stage = Stage::new();
    let came = stage.receives(&supporting("r12"));
    let first = progresses(&mut stage, &came, true);
    stage.answers(&came.create_response(StatusCode::BUSY_HERE).unwrap());
    stage.world.alice(&in_dialog("ACK", &first, 1, "").replace("dialog-ACK", "dialog-INVITE"));
    stage.world.pass(Duration::from_secs(40));
    assert!(stage.world.sent().iter().all(|sent| sent.status() == 486));
}

/// What a listener has heard.
#[derive(Default)]
struct Missed(RefCell<Vec<u16>>);

struct Impatient;

impl SipErrorListener for Impatient {
    async fn no_prack_received(&self, request: SipServletRequest, response: SipServletResponse) -> Result {
        assert!(response.is_committed());
        let missed = request.session()?.servlet_context()?.local(Missed::default);
        missed.0.borrow_mut().push(response.status().code());
        if request.header("Subject").is_some() {
            request.create_response(StatusCode::SERVER_INTERNAL_ERROR)?.send()?;
        }
        Ok(())
    }
}

/// RFC 3262 §3: "If a reliable provisional response is retransmitted for 64*T1 seconds without reception of a corresponding
/// PRACK, the UAS SHOULD reject the original request with a 5xx response."
#[test]
fn without_a_prack_for_64_t1_the_application_is_told_and_the_invite_is_rejected() {
    for (subject, status) in [("", 504), ("Subject: mine\n", 500)] {
        let mut stage = Stage { world: World::new(keeper().error_listener(Impatient)) };
        let came = stage.receives(&request("INVITE", HERE, "r13", &format!("Supported: 100rel\n{subject}")));
        progresses(&mut stage, &came, false);
        stage.world.pass(Duration::from_secs(31));
        assert!(stage.world.sent().iter().all(|sent| sent.status() == 183));
        stage.world.pass(Duration::from_millis(1_100));
        let last = stage.world.sent().into_iter().find(|sent| sent.status() > 199).expect("a final response");
        assert_eq!(last.status(), status);
        let missed = stage.act(|context| context.local(Missed::default).0.borrow().clone());
        assert_eq!(missed, [183]);
        let ack = in_dialog("ACK", &last, 1, "").replace("z9hG4bK-dialog-ACK-1-", "z9hG4bK-r13-INVITE#");
        let ack = ack.split_once('#').map(|(head, rest)| format!("{head}\n{}", rest.split_once('\n').unwrap().1));
        assert!(stage.world.alice(&ack.unwrap()).is_empty());
        drop(came);
        stage.forgets();
        stage.world.ends();
    }
}

/// Each early dialog counts by itself: its client knows nothing of the others.
#[test]
fn the_early_dialogs_of_several_forks_have_numbers_and_pracks_of_their_own() {
    let mut stage = Stage::new();
    let original = stage.receives(&request("INVITE", &bob(), "a", "Supported: 100rel\n"));
    let helper = original.b2bua_helper().unwrap();
    let second = stage.act(|_| helper.create_request(&original, true, None).unwrap());
    let invite = stage.sends(&second);
    let mut rings = Vec::new();
    for tag in ["one", "two"] {
        stage.world.answer(&invite, 180, tag, "");
        let fork = stage.response().session().unwrap();
        let session = stage.act(|_| helper.linked_session(&fork).unwrap().unwrap());
        stage.act(|_| {
            let ringing = helper.create_response_to_original_request(&session, StatusCode::RINGING, None).unwrap();
            ringing.send_reliably().unwrap();
        });
        rings.push((session, stage.world.only()));
    }
    assert_ne!(rings[0].1.to_tag(), rings[1].1.to_tag());
    let waits = |session: &SipSession| session.unacknowledged_provisional_responses(UaMode::Uas).unwrap().len();
    assert_eq!((waits(&rings[0].0), waits(&rings[1].0)), (1, 1));
    assert_eq!(one(acknowledges(&mut stage, &rings[1].1, 2)).status(), 200);
    assert_eq!(stage.request().session().unwrap(), rings[1].0, "the PRACK is of the second dialog");
    assert_eq!((waits(&rings[0].0), waits(&rings[1].0)), (1, 0));
    stage.world.pass(Duration::from_millis(600));
    let again = stage.world.only();
    assert_eq!(again.to_tag(), rings[0].1.to_tag(), "the other one is repeated");
    let session = rings[1].0.clone();
    stage.act(|_| {
        let progress = StatusCode::SESSION_PROGRESS;
        helper.create_response_to_original_request(&session, progress, None).unwrap().send_reliably().unwrap();
    });
    let next = stage.world.only();
    assert_eq!((next.to_tag(), rseq(&next)), (rings[1].1.to_tag(), rseq(&rings[1].1) + 1));
    assert_eq!((rings[0].0.state(), rings[1].0.state()), (Ok(SessionState::Early), Ok(SessionState::Early)));
}

// ----- client --------------------------------------------------------------------------------------------------------

fn reliable(number: u32) -> String {
    format!("Require: 100rel\nRSeq: {number}\n")
}

#[test]
fn a_prack_names_what_it_acknowledges_and_is_made_once() {
    let mut stage = Stage::new();
    let (request, invite) = calls(&mut stage, Method::Invite);
    stage.world.answer(&invite, 183, "b", &reliable(7));
    let progress = stage.response();
    let session = request.session().unwrap();
    let waiting = session.unacknowledged_provisional_responses(UaMode::Uac).unwrap();
    assert_eq!(waiting, std::slice::from_ref(&progress));
    let prack = stage.act(|_| progress.create_prack().unwrap());
    assert_eq!(progress.create_prack().err(), Some(Error::IllegalState(IllegalState::AlreadyAcknowledged)));
    assert!(session.unacknowledged_provisional_responses(UaMode::Uac).unwrap().is_empty());
    let sent = stage.sends(&prack);
    assert_eq!((sent.first(HeaderName::Rack), sent.first(HeaderName::Cseq)), ("7 1 INVITE", "2 PRACK"));
    assert_eq!(sent.to_tag(), "b");
    stage.world.answer(&sent, 200, "b", "");
    assert_eq!(stage.response().method(), Method::Prack);
    assert_eq!(session.state(), Ok(SessionState::Early));
}

#[test]
fn what_was_not_sent_reliably_has_no_prack() {
    let mut stage = Stage::new();
    let (_, invite) = calls(&mut stage, Method::Invite);
    stage.world.answer(&invite, 180, "b", "");
    assert_eq!(stage.response().create_prack().err(), not(Rel100Error::Not100Rel));
    stage.world.answer(&invite, 200, "b", "");
    assert_eq!(stage.response().create_prack().err(), not(Rel100Error::Not100Rel));
    let (_, message) = calls(&mut stage, Method::Message);
    stage.world.answer(&message, 200, "b", "");
    assert_eq!(stage.response().create_prack().err(), not(Rel100Error::NotInvite));
}

/// RFC 3262 §4.
#[test]
fn what_comes_again_or_out_of_order_is_not_told() {
    let mut stage = Stage::new();
    let (_, invite) = calls(&mut stage, Method::Invite);
    let mut told = |number, tag| {
        stage.world.answer(&invite, 183, tag, &reliable(number));
        stage.responses()
    };
    assert_eq!(told(7, "b"), 1);
    assert_eq!(told(7, "b"), 1, "again");
    assert_eq!(told(9, "b"), 1, "one is missing");
    assert_eq!(told(8, "b"), 2);
    assert_eq!(told(9, "b"), 3);
    assert_eq!(told(8, "b"), 3, "an old one");
    assert_eq!(told(20, "c"), 4, "another fork counts by itself");
    assert_eq!(told(21, "c"), 5);
}

/// Alice gives up, and nothing is left.
#[track_caller]
fn gives_up(mut stage: Stage, call_id: &str) {
    let sent = stage.world.alice(&cancel(HERE, call_id));
    assert!(sent.iter().any(|sent| sent.status() == 487));
    stage.forgets();
    stage.world.ends();
}
