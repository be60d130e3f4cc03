//! Sessions that are derived from others.

use std::time::{Instant, SystemTime};

use servlet::spi::AppId;
use servlet::{AttributeValue, NodeLocal};
use sip_dialog::{DialogId, Role, RouteSet};
use sip_message::{NameAddrBuf, UriBuf};

use super::*;
use crate::state::Clock;
use crate::transaction::{Peer, Transaction, TransactionRole};

fn state() -> State {
    let now = Instant::now();
    State::new(now, Clock::new(now, SystemTime::UNIX_EPOCH))
}

fn session(state: &mut State, role: SessionRole) -> SessionKey {
    let app_session = state.open_app_session(AppId(0), "app".into(), None, None);
    let new = NewSession { app_session, call_id: "1@h".into(), role, local_tag: "ours".into(), servlet: 3 };
    state.open_session(new).unwrap()
}

fn dialog(remote_tag: &str, role: Role) -> Dialog {
    Dialog {
        id: DialogId { call_id: "1@h".into(), local_tag: "ours".into(), remote_tag: remote_tag.into() },
        state: DialogState::Early,
        role,
        local_cseq: Some(7),
        remote_cseq: Some(9),
        local: NameAddrBuf::parse("<sip:us@h>").unwrap(),
        remote: NameAddrBuf::parse("<sip:them@h>").unwrap(),
        remote_target: UriBuf::parse("sip:them@192.0.2.1").unwrap(),
        secure: false,
        route_set: RouteSet::empty(),
    }
}

fn derive(state: &mut State, original: SessionKey, remote_tag: &str) -> SessionKey {
    let dialog = Dialogue::Ua(Box::new(dialog(remote_tag, Role::Uac)));
    state.open_derived(original, "ours".into(), dialog).unwrap()
}

fn begin(state: &mut State, session: SessionKey, role: TransactionRole) -> TransactionKey {
    let record = state.sessions.get(session).unwrap();
    let of = (record.app, record.app_session, session);
    let key = state.open_transaction(Transaction::new(Peer::Leaving, role, of, (Method::Invite, 5, true)));
    state.sessions.get_mut(session).unwrap().initial = Some(key);
    key
}

#[test]
fn a_derived_session_has_the_attributes_and_the_handler_and_a_dialog_of_its_own() {
    let mut state = state();
    let original = session(&mut state, SessionRole::Uac);
    let record = state.sessions.get_mut(original).unwrap();
    record.dialog = Dialogue::Ua(Box::new(dialog("one", Role::Uac)));
    record.attributes.set("a", AttributeValue::new(NodeLocal(1_u8)));
    record.servlet = 4;
    record.invalidate_when_ready = false;
    let derived = derive(&mut state, original, "two");
    state.sessions.get_mut(original).unwrap().attributes.set("later", AttributeValue::new(NodeLocal(2_u8)));
    let record = state.sessions.get(derived).unwrap();
    assert_eq!(record.attributes.names(), ["a"]);
    assert_eq!((record.servlet, record.invalidate_when_ready, record.state), (4, false, SessionState::Initial));
    assert_eq!(&*record.dialog().unwrap().id.remote_tag, "two");
    assert_eq!(&*state.sessions.get(original).unwrap().dialog().unwrap().id.remote_tag, "one");
    assert_eq!(state.find_dialog("1@h", "ours", "two", false), Some(derived));
    assert_eq!(record.linked, None);
}

#[test]
fn whatever_a_session_is_derived_from_all_forks_of_a_request_are_one_family() {
    let mut state = state();
    let first = session(&mut state, SessionRole::Uac);
    let second = derive(&mut state, first, "two");
    let third = derive(&mut state, second, "three");
    let stranger = {
        let app_session = state.sessions.get(first).unwrap().app_session;
        let role = SessionRole::Uac;
        let new = NewSession { app_session, call_id: "2@h".into(), role, local_tag: "x".into(), servlet: 0 };
        state.open_session(new).unwrap()
    };
    for member in [first, second, third] {
        assert_eq!(state.fork_members(member).unwrap(), [first, second, third]);
    }
    assert_eq!(state.fork_members(stranger).unwrap(), [stranger]);
}

#[test]
fn another_dialog_at_the_server_begins_with_the_numbers_of_the_request_and_none_of_ours() {
    let mut state = state();
    let first = session(&mut state, SessionRole::Uas);
    begin(&mut state, first, TransactionRole::Uas);
    state.sessions.get_mut(first).unwrap().dialog = Dialogue::Ua(Box::new(dialog("peer", Role::Uas)));
    let other = state.other_server_dialog(first, "fork").unwrap();
    assert_eq!((&*other.id.local_tag, &*other.id.remote_tag), ("fork", "peer"));
    assert_eq!((other.local_cseq, other.remote_cseq, other.state), (None, Some(5), DialogState::Early));
}

#[test]
fn a_call_whose_invite_is_over_has_no_other_dialog_and_a_subscription_may() {
    let mut state = state();
    let first = session(&mut state, SessionRole::Uas);
    state.sessions.get_mut(first).unwrap().dialog = Dialogue::Ua(Box::new(dialog("peer", Role::Uas)));
    assert!(state.other_server_dialog(first, "fork").is_some());
    state.sessions.get_mut(first).unwrap().make_ua().has_call = true;
    assert!(state.other_server_dialog(first, "fork").is_none());
}

#[test]
fn a_session_that_has_received_nothing_has_no_other_dialog() {
    let mut state = state();
    let first = session(&mut state, SessionRole::Uac);
    begin(&mut state, first, TransactionRole::Uac);
    state.sessions.get_mut(first).unwrap().dialog = Dialogue::Ua(Box::new(dialog("one", Role::Uac)));
    assert!(state.other_server_dialog(first, "fork").is_none());
}

/// RFC 3261 §12.3: early dialogs end "when a non-2xx final response is received".
#[test]
fn early_dialogs_of_a_request_end_with_it_and_confirmed_ones_stay() {
    let mut state = state();
    let first = session(&mut state, SessionRole::Uac);
    let key = begin(&mut state, first, TransactionRole::Uac);
    state.sessions.get_mut(first).unwrap().state = SessionState::Early;
    state.sessions.get_mut(first).unwrap().dialog = Dialogue::Ua(Box::new(dialog("one", Role::Uac)));
    let (early, confirmed) = (derive(&mut state, first, "two"), derive(&mut state, first, "three"));
    state.sessions.get_mut(early).unwrap().open.push((key, false));
    state.sessions.get_mut(early).unwrap().state = SessionState::Early;
    state.sessions.get_mut(confirmed).unwrap().state = SessionState::Confirmed;
    state.end_early_dialogs(key);
    let of = |key| {
        let session = state.sessions.get(key).unwrap();
        (session.state, session.ready, session.open.is_empty())
    };
    assert_eq!(of(early), (SessionState::Terminated, true, true));
    assert_eq!(of(confirmed), (SessionState::Confirmed, false, true));
    // The client may try again with the same Call-ID (RFC 3261 §8.1.3.5).
    assert_eq!((of(first).0, of(first).1), (SessionState::Initial, true));
    assert!(matches!(state.sessions.get(first).unwrap().dialog, Dialogue::Attempt(_)));
}

#[test]
fn a_fork_of_a_request_that_was_given_up_is_given_up_too() {
    let mut state = state();
    let first = session(&mut state, SessionRole::Uac);
    state.sessions.get_mut(first).unwrap().make_ua().terminating = true;
    let derived = derive(&mut state, first, "two");
    assert!(state.sessions.get(derived).unwrap().ua.as_ref().unwrap().terminating);
    // But one dialog that is ended ends no other.
    let other = session(&mut state, SessionRole::Uac);
    state.sessions.get_mut(other).unwrap().make_ua().terminating = true;
    state.sessions.get_mut(other).unwrap().state = SessionState::Confirmed;
    let derived = derive(&mut state, other, "two");
    assert!(!state.sessions.get(derived).unwrap().ua.as_ref().unwrap().terminating);
}

#[test]
fn a_request_makes_no_more_sessions_than_there_may_be() {
    let mut state = state();
    let first = session(&mut state, SessionRole::Uac);
    for fork in 0..MOST_FORKS {
        derive(&mut state, first, &fork.to_string());
    }
    let dialog = Dialogue::Ua(Box::new(dialog("one more", Role::Uac)));
    assert!(state.open_derived(first, "ours".into(), dialog).is_none());
}

#[test]
fn nothing_is_derived_in_an_application_session_that_ends() {
    let mut state = state();
    let first = session(&mut state, SessionRole::Uac);
    let app_session = state.sessions.get(first).unwrap().app_session;
    state.app_sessions.get_mut(app_session).unwrap().ending = true;
    let dialog = Dialogue::Ua(Box::new(dialog("two", Role::Uac)));
    assert!(state.open_derived(first, "ours".into(), dialog).is_none());
}
