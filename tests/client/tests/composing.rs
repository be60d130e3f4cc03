//! What a chat tells beside its messages: who writes (RFC 3994), what became of a message (RFC 5438), and what rooms have
//! (RFC 7701).

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::settings::ChatSettings;
use client::{ClientError, Data, Streams};
use client_world::{Person, Stage};

const ALICE: &str = "ChatStreamGotComposingIndication sip:alice@alice";

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

/// Alice and bob in a session with chat, both set up so. What was told so far is read.
fn in_chat(stage: &Stage, set_up: impl Fn(&mut ChatSettings)) -> (Person, Person) {
    let person = |name| stage.softphone_with(name, |settings, _| set_up(&mut settings.chat));
    let (alice, bob) = (person("alice"), person("bob"));
    begin(stage, &alice, &bob);
    (alice, bob)
}

fn begin(stage: &Stage, alice: &Person, bob: &Person) {
    alice.calls_with(bob, Streams::chat());
    stage.a_moment();
    bob.tries_to_accept(Streams::chat()).unwrap();
    stage.a_moment();
    alice.told();
    bob.told();
}

fn writes(who: &Person, is_active: bool) {
    who.asks(|client, now, endpoint, id| client.set_composing(now, endpoint, id, is_active)).unwrap();
}

fn has_seen(who: &Person, message_id: &str) {
    who.asks(|client, now, endpoint, id| client.message_was_displayed(now, endpoint, id, message_id)).unwrap();
}

fn sent(who: &Person) -> usize {
    who.sees(|phone| phone.media.messages.len())
}

/// RFC 3994 §3.2: told once, however many keys are pressed, and ended by the message itself.
#[test]
fn who_writes_is_told_once_and_the_message_ends_it() {
    let stage = stage();
    let (alice, bob) = in_chat(&stage, |_| ());
    for _ in 0..10 {
        writes(&alice, true);
        stage.passes(Duration::from_millis(200));
    }
    bob.is_told(&[&format!("{ALICE} active for 120 s")]);
    alice.says("hello");
    stage.a_moment();
    bob.is_told(&[&format!("{ALICE} idle"), "GotMessage text/plain hello"]);
    // Nobody waits for a report on what was not said.
    alice.is_told(&["DidDeliverMessage 200 OK"]);
    assert_eq!(sent(&alice), 2);
    stage.seconds(200);
    bob.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// "15 s" without a key, or the text is taken away.
#[test]
fn who_stops_writing_is_idle() {
    let stage = stage();
    let (alice, bob) = in_chat(&stage, |_| ());
    writes(&alice, true);
    stage.seconds(14);
    bob.is_told(&[&format!("{ALICE} active for 120 s")]);
    stage.seconds(2);
    bob.is_told(&[&format!("{ALICE} idle")]);
    writes(&alice, true);
    writes(&alice, false);
    stage.a_moment();
    bob.is_told(&[&format!("{ALICE} active for 120 s"), &format!("{ALICE} idle")]);
    alice.hangs_up();
    stage.ends();
}

/// RFC 3994 §3.3: what is not said again does not last.
#[test]
fn an_indication_holds_as_long_as_it_says() {
    let stage = stage();
    let (alice, bob) = in_chat(&stage, |settings| settings.composing_refresh = Duration::from_secs(60));
    writes(&alice, true);
    stage.a_moment();
    bob.is_told(&[&format!("{ALICE} active for 60 s")]);
    // Alice's machine has stopped: nothing comes any more.
    stage.wire().peer = client_world::Peer::Silent;
    stage.seconds(61);
    bob.is_told(&[&format!("{ALICE} idle")]);
    alice.hangs_up();
    stage.ends();
}

#[test]
fn who_does_not_want_to_be_seen_writing_is_not() {
    let stage = stage();
    let (alice, bob) = in_chat(&stage, |settings| settings.composing_indications = false);
    writes(&alice, true);
    stage.seconds(20);
    bob.is_told(&[]);
    assert_eq!(sent(&alice), 0);
    alice.hangs_up();
    stage.ends();
}

/// A peer whose accept-types don't have it is not told.
#[test]
fn a_peer_that_does_not_take_indications_gets_none() {
    let stage = stage();
    let alice = stage.softphone("alice");
    let bob = stage.softphone_with("bob", |settings, _| settings.chat.accept_types = vec!["text/plain".into()]);
    bob.does(|phone, _, _| phone.media.chat_attributes.clear());
    begin(&stage, &alice, &bob);
    writes(&alice, true);
    stage.seconds(20);
    assert_eq!(sent(&alice), 0);
    alice.hangs_up();
    stage.ends();
}

/// RFC 5438: delivery is told by the client, display by its user, if both sides like.
#[test]
fn delivery_and_display_are_told_to_who_asks() {
    let stage = stage();
    let (alice, bob) = in_chat(&stage, |settings| {
        settings.request_delivery_notices = true;
        settings.request_display_notices = true;
        settings.send_display_notices = true;
    });
    let id = alice.says("read me");
    stage.a_moment();
    bob.is_told(&["GotMessage text/plain read me"]);
    alice.is_told(&["DidDeliverMessage 200 OK", "ChatStreamGotDispositionNotification sip:bob@bob delivery delivered"]);
    let got = bob.sees(|phone| phone.notifications().last().unwrap().data.clone());
    let Data::SessionGotMessage { cpim_headers, .. } = got else { panic!("{got:?}") };
    let named = cpim_headers.iter().find(|(name, _)| &**name == "imdn.Message-ID");
    let (_, named) = named.unwrap();
    assert_eq!(*named, id);
    has_seen(&bob, named);
    // It is told once.
    has_seen(&bob, named);
    has_seen(&bob, "unknown");
    stage.a_moment();
    alice.is_told(&["ChatStreamGotDispositionNotification sip:bob@bob display displayed"]);
    let told = alice.sees(|phone| phone.notifications().last().unwrap().data.clone());
    let Data::ChatStreamGotDispositionNotification { message_id, .. } = told else { panic!("{told:?}") };
    assert_eq!(message_id, id);
    bob.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// RFC 5438 §14.2: whether something was seen is our user's affair.
#[test]
fn nothing_is_told_of_what_was_seen_unless_the_settings_say_so() {
    let stage = stage();
    let (alice, bob) = in_chat(&stage, |settings| settings.request_display_notices = true);
    let id = alice.says("read me");
    stage.a_moment();
    alice.told();
    has_seen(&bob, &id);
    stage.a_moment();
    alice.is_told(&[]);
    assert_eq!(sent(&bob), 0);
    alice.hangs_up();
    stage.ends();
}

/// A room, as a softphone plays it.
fn room(stage: &Stage, has: &'static str) -> (Person, Person) {
    let (alice, room) = (stage.softphone("alice"), stage.softphone("room"));
    room.does(|phone, _, _| phone.media.chat_attributes.push(("chatroom", has)));
    begin(stage, &alice, &room);
    (alice, room)
}

fn takes_nickname(who: &Person, nickname: &str) -> Result<(), ClientError> {
    who.asks(|client, now, endpoint, id| client.set_nickname(now, endpoint, id, nickname))
}

/// RFC 7701 §7.
#[test]
fn a_room_gives_a_nickname_or_does_not() {
    let stage = stage();
    let (alice, _) = room(&stage, "nickname private-messages");
    takes_nickname(&alice, "Alice the Great").unwrap();
    stage.a_moment();
    alice.is_told(&["ChatStreamDidSetNickname Alice the Great"]);
    alice.does(|phone, _, _| phone.media.nickname_answer = (425, "Nickname reserved"));
    takes_nickname(&alice, "Bob").unwrap();
    stage.a_moment();
    alice.is_told(&["ChatStreamDidNotSetNickname Bob 425 Nickname reserved"]);
    assert!(takes_nickname(&alice, "two\r\nlines").is_err());
    // One that has no answer when the session ends has none.
    takes_nickname(&alice, "Al").unwrap();
    alice.hangs_up();
    stage.a_moment();
    assert!(alice.told().contains(&"ChatStreamDidNotSetNickname Al 0 Stream ended".to_owned()));
    stage.ends();
}

/// RFC 7701 §6.2: only a room that says so passes them on; any other would show them to all.
#[test]
fn a_private_message_is_for_one_in_the_room() {
    for (has, told) in [
        ("nickname private-messages", "DidDeliverMessage 200 OK"),
        ("nickname", "DidNotDeliverMessage 403 The peer passes no private messages on"),
    ] {
        let stage = stage();
        let (alice, room) = room(&stage, has);
        let send = |to: &str| {
            let to = to.to_owned();
            alice.asks(|client, now, endpoint, id| {
                client.send_private_message(now, endpoint, id, &to, Bytes::from_static(b"psst"), "text/plain")
            })
        };
        send("Carol <sip:carol@c>").unwrap();
        stage.a_moment();
        alice.is_told(&[told]);
        if has.contains("private") {
            let got = room.sees(|phone| phone.notifications().last().unwrap().data.clone());
            let Data::SessionGotMessage { cpim_headers, .. } = got else { panic!("{got:?}") };
            let to: Arc<str> = "Carol <sip:carol@c>".into();
            assert!(cpim_headers.contains(&("To".into(), to)), "{cpim_headers:?}");
        }
        assert!(matches!(send("<>"), Err(ClientError::InvalidUri(_))));
        alice.hangs_up();
        stage.ends();
    }
}

#[test]
fn who_is_no_room_knows_no_nicknames() {
    let stage = stage();
    let (alice, _) = in_chat(&stage, |_| ());
    assert_eq!(takes_nickname(&alice, "Al"), Err(ClientError::InvalidMessage("the peer knows no nicknames")));
    alice.hangs_up();
    stage.ends();
}
