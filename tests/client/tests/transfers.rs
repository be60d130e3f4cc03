//! Transfer in both forms and both roles (RFC 5589), and Replaces (RFC 3891).

use std::time::Instant;

use client::session::{SessionId, State};
use client::{ClientError, Data};
use client_world::{Person, Stage};
use sip_message::{HeaderName, Method, StatusCode};

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

fn call(stage: &Stage, caller: &Person, callee: &Person) -> (SessionId, SessionId) {
    caller.calls(callee);
    stage.a_moment();
    callee.accepts();
    stage.a_moment();
    caller.told();
    callee.told();
    (caller.session(), callee.session())
}

fn transfer(person: &Person, id: SessionId, target: &str, replaced: Option<SessionId>) -> Result<(), ClientError> {
    person.does(|phone, now, endpoint| phone.client.transfer(now, endpoint, id, target, replaced))
}

fn accept_transfer(person: &Person) {
    person.asks(|client, now, endpoint, id| client.accept_transfer(now, endpoint, id)).expect("it can be accepted");
}

/// Blind: alice sends bob to carol, and leaves.
#[test]
fn a_peer_is_transferred() {
    let stage = stage();
    let (alice, bob, carol) = (stage.softphone("alice"), stage.softphone("bob"), stage.softphone("carol"));
    let (by_alice, by_bob) = call(&stage, &alice, &bob);
    transfer(&alice, by_alice, "carol@carol", None).unwrap();
    stage.a_moment();
    alice.is_told(&["TransferNewOutgoing sip:carol@carol"]);
    bob.is_told(&["TransferNewIncoming sip:carol@carol"]);
    accept_transfer(&bob);
    stage.a_moment();
    bob.is_told(&[
        "TransferDidStart",
        "ChangedState NULL -> CALLING",
        "NewOutgoing audio",
        "GotRingIndication",
        "GotProvisionalResponse 180 Ringing",
        "TransferGotProgress 180 Ringing",
    ]);
    alice.is_told(&["TransferDidStart", "TransferGotProgress 100 Trying", "TransferGotProgress 180 Ringing"]);
    carol.accepts();
    stage.a_moment();
    alice.is_told(&[
        "TransferDidEnd",
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local (Call transferred)",
    ]);
    bob.is_told(&[
        "WillStart",
        "GotStreamUpdate audio",
        "ChangedState CALLING -> ESTABLISHED",
        "DidStart",
        "TransferDidEnd",
        "GotStreamUpdate none",
        "ChangedState ESTABLISHED -> TERMINATED",
        "DidEnd remote (Call transferred)",
    ]);
    let over = bob.sees(|phone| phone.client.session(by_bob)).unwrap();
    assert_eq!((over.state, bob.state(), carol.state()), (State::Terminated, State::Established, State::Established));
    bob.hangs_up();
    stage.ends();
}

/// Attended: alice talks to bob and to carol, and brings them together. Carol is not asked: it is the same conversation.
#[test]
fn a_peer_is_transferred_to_another_session() {
    let stage = stage();
    let (alice, bob, carol) = (stage.softphone("alice"), stage.softphone("bob"), stage.softphone("carol"));
    let (to_bob, _) = call(&stage, &alice, &bob);
    let (to_carol, by_carol) = call(&stage, &alice, &carol);
    transfer(&alice, to_bob, "", Some(to_carol)).unwrap();
    stage.a_moment();
    let told = bob.told();
    assert!(told[0].starts_with("TransferNewIncoming sip:") && told[0].ends_with(" replacing"), "{told:?}");
    accept_transfer(&bob);
    stage.seconds(1);
    assert_eq!(bob.state(), State::Established);
    assert_ne!(carol.session(), by_carol);
    carol.is_told(&[
        "ChangedState NULL -> INCOMING",
        "NewIncoming audio",
        "ChangedState INCOMING -> ACCEPTING",
        "GotStreamUpdate audio",
        "WillStart",
        "ChangedState ACCEPTING -> ESTABLISHED",
        "DidStart",
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local (Replaced)",
    ]);
    assert!(alice.sees(|phone| phone.client.sessions().is_empty()));
    let of_bob = alice.told_of(to_bob);
    assert!(of_bob.contains(&"TransferDidEnd".to_owned()), "{of_bob:?}");
    assert_eq!(alice.told_of(to_carol).last().map(String::as_str), Some("DidEnd remote (Replaced)"));
    bob.hangs_up();
    stage.ends();
}

/// The target rejects: all stay with whom they were.
#[test]
fn a_transfer_that_comes_to_nothing_leaves_the_session() {
    let stage = stage();
    let (alice, bob, carol) = (stage.softphone("alice"), stage.softphone("bob"), stage.softphone("carol"));
    let (by_alice, by_bob) = call(&stage, &alice, &bob);
    transfer(&alice, by_alice, "carol@carol", None).unwrap();
    stage.a_moment();
    accept_transfer(&bob);
    stage.a_moment();
    alice.told();
    bob.told();
    carol.rejects(Some(StatusCode::BUSY_HERE));
    stage.a_moment();
    alice.is_told(&["TransferDidFail 486 Busy Here"]);
    bob.is_told(&[
        "ChangedState CALLING -> TERMINATED",
        "DidFail remote 486 Busy Here",
        "DidEnd remote",
        "TransferDidFail 486 Busy Here",
    ]);
    let lasts = bob.sees(|phone| phone.client.session(by_bob)).unwrap();
    assert_eq!((alice.state(), lasts.state), (State::Established, State::Established));
    // It may be tried again.
    transfer(&alice, by_alice, "carol@carol", None).unwrap();
    stage.a_moment();
    alice.hangs_up();
    stage.ends();
}

#[test]
fn a_transfer_is_rejected_or_not_answered() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    let (by_alice, _) = call(&stage, &alice, &bob);
    transfer(&alice, by_alice, "carol@carol", None).unwrap();
    stage.a_moment();
    bob.asks(|client, now, endpoint, id| client.reject_transfer(now, endpoint, id, None)).unwrap();
    stage.a_moment();
    alice.is_told(&["TransferNewOutgoing sip:carol@carol", "TransferDidFail 603 Decline"]);
    bob.is_told(&["TransferNewIncoming sip:carol@carol"]);
    transfer(&alice, by_alice, "carol@carol", None).unwrap();
    stage.seconds(30);
    alice.is_told(&["TransferNewOutgoing sip:carol@carol", "TransferDidFail 603 Decline"]);
    bob.is_told(&["TransferNewIncoming sip:carol@carol", "TransferDidFail 603 Nobody has answered in time"]);
    assert_eq!((alice.state(), bob.state()), (State::Established, State::Established));
    alice.hangs_up();
    stage.ends();
}

/// `sip.accept_transfers`.
#[test]
fn transfers_may_be_refused_for_all() {
    let stage = stage();
    let alice = stage.softphone("alice");
    let bob = stage.softphone_with("bob", |settings, _| settings.sip.accept_transfers = false);
    let (by_alice, _) = call(&stage, &alice, &bob);
    transfer(&alice, by_alice, "carol@carol", None).unwrap();
    stage.a_moment();
    alice.is_told(&["TransferNewOutgoing sip:carol@carol", "TransferDidFail 603 Decline"]);
    bob.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// The session ends while the transfer is under way.
#[test]
fn a_transfer_ends_with_its_session() {
    let stage = stage();
    let (alice, bob, carol) = (stage.softphone("alice"), stage.softphone("bob"), stage.softphone("carol"));
    let (by_alice, by_bob) = call(&stage, &alice, &bob);
    transfer(&alice, by_alice, "carol@carol", None).unwrap();
    stage.a_moment();
    accept_transfer(&bob);
    stage.a_moment();
    alice.told();
    bob.told();
    alice.hangs_up();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "TransferDidFail Session ended",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    assert_eq!(bob.told_of(by_bob).last().map(String::as_str), Some("DidEnd remote"));
    // The call that was begun goes on.
    carol.accepts();
    stage.a_moment();
    assert_eq!((bob.state(), carol.state()), (State::Established, State::Established));
    bob.hangs_up();
    stage.ends();
}

/// Of what a Refer-To carries behind its `?`, nothing but Replaces becomes a header (security); what can't be done is
/// refused with its own status.
#[test]
fn a_refer_is_read_with_suspicion() {
    let stage = stage();
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    let dave = stage.stranger("dave");
    alice.dials(&carol.address(), Vec::new()).unwrap();
    stage.a_moment();
    carol.responds(StatusCode::OK, Some(&carol.audio(1)));
    stage.a_moment();
    alice.told();
    carol.saw();
    for (refer_to, answer) in [
        ("<http://example.test>", "416 REFER"),
        ("<sip:dave@dave;method=BYE>", "501 REFER"),
        ("<sip:dave@dave?Replaces=nonsense%20here>", "400 REFER"),
    ] {
        carol.adds(HeaderName::ReferTo, refer_to).sends(Method::Refer, None);
        stage.a_moment();
        assert_eq!(carol.saw(), [answer], "{refer_to}");
    }
    alice.is_told(&[]);
    let evil = "<sip:dave@dave?Route=%3Csip:evil%3E&Subject=x%0D%0AEvil:%20yes>";
    carol.adds(HeaderName::ReferTo, evil).sends(Method::Refer, None);
    stage.a_moment();
    alice.is_told(&["TransferNewIncoming sip:dave@dave"]);
    accept_transfer(&alice);
    stage.a_moment();
    assert_eq!(dave.saw(), ["INVITE"]);
    let invite = dave.last_request();
    assert!(!invite.headers().contains(HeaderName::Route) && !invite.headers().contains(HeaderName::Subject));
    assert_eq!(invite.headers().extension("Evil").count(), 0);
    alice.hangs_up();
    carol.sends(Method::Bye, None);
    stage.seconds(70);
}

/// REFER without a session: nobody sends us anywhere.
#[test]
fn a_refer_out_of_a_session_is_forbidden() {
    let stage = stage();
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    carol.asks_out_of_dialog(&alice, Method::Refer);
    stage.a_moment();
    assert_eq!(carol.saw(), ["403 REFER"]);
    alice.is_told(&[]);
    stage.ends();
}

/// RFC 3891 §3: a Replaces without its dialog is 481; with a wrong tag, too.
#[test]
fn a_replaces_without_its_dialog_is_refused() {
    let stage = stage();
    let (alice, bob, carol) = (stage.softphone("alice"), stage.softphone("bob"), stage.stranger("carol"));
    let (_, by_bob) = call(&stage, &alice, &bob);
    let call_id = bob.sees(|phone| phone.client.session(by_bob)).and_then(|info| info.call_id).unwrap();
    let (one, two) = (format!("{call_id};to-tag=a;from-tag=b"), "nobody;to-tag=a;from-tag=b".to_owned());
    for replaces in [&one, &two] {
        carol.adds(HeaderName::Replaces, replaces).calls(&bob, Some(&carol.audio(1)));
        stage.a_moment();
        assert_eq!(carol.saw(), ["481 INVITE"]);
    }
    bob.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// The names are the reference's, or follow it.
#[test]
fn transfers_are_told_by_their_names() {
    assert_eq!(Data::SessionTransferDidStart.name(), "SIPSessionTransferDidStart");
    assert_eq!(Data::SessionTransferDidEnd.name(), "SIPSessionTransferDidEnd");
}
