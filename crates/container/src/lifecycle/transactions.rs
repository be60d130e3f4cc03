//! What becomes of a session's requests when it ends: nobody is left waiting.

use servlet::spi::{Direction, Facts, SessionKey, TransactionKey};
use servlet::{SessionState, SipApplication, SipServletRequest, SipSession};
use sip_message::{Message, Request, StatusCode};

use crate::order::Order;
use crate::session::{NewSession, SessionRole};
use crate::test_core::World;
use crate::transaction::{Peer, Transaction, TransactionRole};

fn request(method: &str) -> Request {
    let text = format!(
        "{method} sip:bob@example.org SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n\
         From: <sip:alice@example.org>;tag=a\r\n\
         To: <sip:bob@example.org>\r\n\
         Call-ID: call\r\n\
         CSeq: 1 {method}\r\n\
         Max-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n"
    );
    match sip_message::parse_datagram(text.into_bytes().into(), &sip_message::Limits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// Enters a request that is under way.
fn open(world: &World, session: &SipSession, method: &str, role: TransactionRole) -> TransactionKey {
    let request = request(method);
    let handle_facts = Facts::new(servlet::spi::AppId(0), Direction::Received, None);
    let (method, app_session) = (request.method().clone(), session.application_session().unwrap().key());
    let of = (servlet::spi::AppId(0), app_session, session.key());
    let mut transaction = Transaction::new(Peer::Gone, role, of, (method, 1, true));
    transaction.request = Some(SipServletRequest::attach(world.core.host(), request, handle_facts));
    let key = world.core.state_mut().open_transaction(transaction);
    record(world, session.key(), |record| record.initial = Some(key));
    key
}

fn record(world: &World, session: SessionKey, change: impl FnOnce(&mut crate::session::Session)) {
    change(world.core.state_mut().sessions.get_mut(session).expect("the session is valid"));
}

/// What was ordered: statuses of responses, and the requests that are cancelled.
fn ordered(world: &World) -> (Vec<StatusCode>, Vec<TransactionKey>) {
    let (mut statuses, mut cancelled) = (Vec::new(), Vec::new());
    for order in std::mem::take(&mut world.core.state_mut().orders) {
        match order {
            Order::Respond { response, .. } => statuses.push(response.status()),
            Order::Cancel { transaction, .. } => cancelled.push(transaction),
            _ => {}
        }
    }
    (statuses, cancelled)
}

fn world() -> (World, SipSession) {
    let world = World::of(SipApplication::new("test"));
    let session = world.session(&world.app_session());
    (world, session)
}

#[test]
fn an_invite_that_was_not_answered_is_answered_408() {
    let (world, session) = world();
    let invite = open(&world, &session, "INVITE", TransactionRole::Undecided);
    session.invalidate().unwrap();
    assert_eq!(ordered(&world), (vec![StatusCode::REQUEST_TIMEOUT], vec![]));
    assert_eq!(world.core.state().transactions.get(invite).unwrap().final_status, Some(StatusCode::REQUEST_TIMEOUT));
}

#[test]
fn another_request_that_was_not_answered_is_answered_500() {
    let (world, session) = world();
    open(&world, &session, "MESSAGE", TransactionRole::Uas);
    session.application_session().unwrap().invalidate().unwrap();
    assert_eq!(ordered(&world).0, [StatusCode::SERVER_INTERNAL_ERROR]);
}

#[test]
fn an_invite_within_a_dialog_that_was_not_answered_is_answered_500() {
    let (world, session) = world();
    open(&world, &session, "INVITE", TransactionRole::Uas);
    record(&world, session.key(), |record| record.state = SessionState::Confirmed);
    session.invalidate().unwrap();
    assert_eq!(ordered(&world).0, [StatusCode::SERVER_INTERNAL_ERROR]);
}

#[test]
fn what_was_answered_is_not_answered_again() {
    let (world, session) = world();
    let message = open(&world, &session, "MESSAGE", TransactionRole::Uas);
    world.core.state_mut().close_transaction(message, StatusCode::OK);
    session.invalidate().unwrap();
    assert_eq!(ordered(&world), (vec![], vec![]));
}

#[test]
fn an_invite_of_the_applications_is_cancelled_and_its_application_hears_no_more() {
    let (world, session) = world();
    let invite = open(&world, &session, "INVITE", TransactionRole::Uac);
    open(&world, &session, "OPTIONS", TransactionRole::Uac);
    session.invalidate().unwrap();
    assert_eq!(ordered(&world), (vec![], vec![invite]));
    assert!(world.core.state().transactions.get(invite).unwrap().silent);
}

#[test]
fn an_invite_that_was_cancelled_is_not_cancelled_again() {
    let (world, session) = world();
    let invite = open(&world, &session, "INVITE", TransactionRole::Uac);
    world.core.state_mut().transactions.get_mut(invite).unwrap().cancelled = true;
    session.invalidate().unwrap();
    assert_eq!(ordered(&world), (vec![], vec![]));
}

#[test]
fn a_session_with_a_request_under_way_is_not_ready() {
    let (mut world, session) = world();
    let invite = open(&world, &session, "INVITE", TransactionRole::Uac);
    world.make_ready(&session);
    assert_eq!(session.is_ready_to_invalidate(), Ok(false));
    assert!(session.is_valid());
    world.core.state_mut().close_transaction(invite, StatusCode::BUSY_HERE);
    assert_eq!(session.is_ready_to_invalidate(), Ok(true));
    world.turn();
    assert!(!session.is_valid());
}

#[test]
fn a_session_that_owes_an_ack_is_not_ready() {
    let (mut world, session) = world();
    record(&world, session.key(), |record| record.make_ua().unacknowledged.push(1));
    world.make_ready(&session);
    assert_eq!(session.is_ready_to_invalidate(), Ok(false));
    assert!(session.is_valid());
}

#[test]
fn the_request_of_a_session_goes_on_in_its_forks_when_it_ends() {
    let (world, session) = world();
    let invite = open(&world, &session, "INVITE", TransactionRole::Uac);
    let app = session.application_session().unwrap();
    let forks: Vec<SipSession> = (0..2).map(|_| fork(&world, &session)).collect();
    session.invalidate().unwrap();
    assert_eq!(ordered(&world), (vec![], vec![]), "the early dialogs of the forks live on");
    assert_eq!(world.core.state().transactions.get(invite).unwrap().session, forks[0].key());
    assert_eq!(app.sip_sessions().unwrap(), forks);
    {
        let state = world.core.state();
        let first = state.sessions.get(forks[0].key()).unwrap();
        assert_eq!(first.initial, Some(invite));
        assert_eq!(first.ua.as_ref().unwrap().derived, [forks[1].key()]);
        assert_eq!(state.sessions.get(forks[1].key()).unwrap().ua.as_ref().unwrap().derived_from, Some(forks[0].key()));
    }
    app.invalidate().unwrap();
    assert_eq!(ordered(&world), (vec![], vec![invite]), "with the last of them it is taken back");
}

fn fork(world: &World, of: &SipSession) -> SipSession {
    let app_session = of.application_session().unwrap().key();
    let mut state = world.core.state_mut();
    let new =
        NewSession { app_session, call_id: "call".into(), role: SessionRole::Uac, local_tag: "".into(), servlet: 0 };
    let fork = state.open_session(new).expect("the application session is valid");
    let record = state.sessions.get_mut(fork).expect("it was just made");
    record.make_ua().derived_from = Some(of.key());
    state.sessions.get_mut(of.key()).expect("it is valid").make_ua().derived.push(fork);
    drop(state);
    world.core.session(fork).expect("it was just made")
}

#[test]
fn a_linked_session_that_stays_is_linked_no_more() {
    let (world, session) = world();
    let app = session.application_session().unwrap();
    let other = world.session(&app);
    record(&world, session.key(), |record| record.linked = Some(other.key()));
    record(&world, other.key(), |record| record.linked = Some(session.key()));
    session.invalidate().unwrap();
    record(&world, other.key(), |record| assert_eq!(record.linked, None));
}

#[test]
fn events_that_wait_in_an_application_session_that_ends_reach_whoever_cleans_up() {
    let (mut world, session) = world();
    let message = open(&world, &session, "MESSAGE", TransactionRole::Undecided);
    let app = session.application_session().unwrap();
    world.core.submit(app.key(), crate::jobs::Job::ServerEnded { transaction: message, unanswered: true });
    app.invalidate().unwrap();
    assert!(world.core.state().transactions.get(message).is_none());
    world.turn();
    assert_eq!(world.core.state().app_sessions.len(), 0);
}
