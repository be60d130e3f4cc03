//! Sessions with chat alone: their beginning, their messages, their end.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::Instant;

use bytes::Bytes;
use client::session::State;
use client::settings::ChatTransport;
use client::{ClientError, Data, StreamKind, Streams};
use client_world::{Fate, Peer, Person, Stage};
use sip_message::{HeaderName, Method, StatusCode};

const CHAT: &str = "m=message 2855 TCP/MSRP *\na=path:msrp://10.0.0.9:2855/9a0acea512654f5dfcea;tcp\na=accept-types:message/cpim text/*\na=setup:passive";

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

/// Alice and bob in a session with chat. What was told so far is read.
fn in_chat(stage: &Stage) -> (Person, Person) {
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls_with(&bob, Streams::chat());
    stage.a_moment();
    bob.tries_to_accept(Streams::chat()).unwrap();
    stage.a_moment();
    alice.told();
    bob.told();
    (alice, bob)
}

/// "With chat: GotStreamUpdate([... "chat"]) comes later, when MSRP is bound (normally after DidStart)."
#[test]
fn a_chat_begins_when_its_connection_is_bound() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls_with(&bob, Streams::chat());
    stage.a_moment();
    bob.is_told(&["ChangedState NULL -> INCOMING", "NewIncoming chat"]);
    bob.tries_to_accept(Streams::chat()).unwrap();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing chat",
        "GotRingIndication",
        "GotProvisionalResponse 180 Ringing",
        "WillStart",
        "ChangedState CALLING -> ESTABLISHED",
        "DidStart",
        "GotStreamUpdate chat",
    ]);
    bob.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "WillStart",
        "ChangedState ACCEPTING -> ESTABLISHED",
        "DidStart",
        "GotStreamUpdate chat",
    ]);
    assert!(alice.info().has_chat() && !alice.info().has_audio());
    alice.hangs_up();
    stage.a_moment();
    alice.is_told(&[
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    bob.is_told(&["GotStreamUpdate none", "ChangedState ESTABLISHED -> TERMINATED", "DidEnd remote"]);
    stage.ends();
}

/// What stands in the m-line comes from the media side, and the offer is answered on the same line.
#[test]
fn the_m_line_says_path_types_and_role() {
    let stage = stage();
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.dials_with(&carol.address(), Vec::new(), Streams::chat()).unwrap();
    stage.a_moment();
    let offer = carol.last_sdp();
    for line in ["m=message 500", "a=path:msrp://", "a=accept-types:message/cpim text/*", "a=setup:actpass"] {
        assert!(offer.contains(line), "{line} in {offer}");
    }
    assert!(!offer.contains("a=sendrecv"), "{offer}");
    carol.responds(StatusCode::OK, Some(&carol.sdp(1, CHAT)));
    stage.a_moment();
    assert_eq!(alice.info().streams, Streams::chat());
    alice.hangs_up();
    stage.ends();

    let stage = self::stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    carol.calls(&bob, Some(&carol.sdp(1, &format!("m=audio 0 RTP/AVP 0\n{CHAT}"))));
    stage.a_moment();
    bob.is_told(&["ChangedState NULL -> INCOMING", "NewIncoming chat"]);
    bob.tries_to_accept(Streams::chat()).unwrap();
    stage.a_moment();
    let answer = carol.last_sdp();
    let lines: Vec<&str> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert!(lines[0].starts_with("m=audio 0 ") && lines[1].starts_with("m=message 500"), "{answer}");
    assert!(answer.contains("a=setup:active"), "{answer}");
    bob.hangs_up();
    stage.ends();
}

/// The wrapper has who writes to whom and when, with their URIs' schemes; the report tells that it has arrived.
#[test]
fn a_message_is_wrapped_and_reported() {
    let stage = stage();
    let (alice, bob) = in_chat(&stage);
    let id = alice.says("hello bob");
    stage.a_moment();
    alice.is_told(&["DidDeliverMessage 200 OK"]);
    bob.is_told(&["GotMessage text/plain hello bob"]);
    let delivered = alice.sees(|phone| phone.notifications().last().unwrap().data.clone());
    let (code, reason) = (200, "OK".into());
    assert_eq!(delivered, Data::SessionDidDeliverMessage { message_id: id, code, reason });
    let got = bob.sees(|phone| phone.notifications().last().unwrap().data.clone());
    let Data::SessionGotMessage { cpim_headers, .. } = got else { panic!("{got:?}") };
    let headers: Vec<_> = cpim_headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(headers[..2], ["From: <sip:alice@alice>", "To: <sip:bob@bob>"]);
    assert!(headers[2].starts_with("DateTime: 2026-11-21T01:53:"), "{headers:?}");
    let sent = alice.sees(|phone| phone.media.messages[0].clone());
    assert!(sent.success_report && &*sent.content_type == "message/cpim", "{sent:?}");
    alice.hangs_up();
    stage.ends();
}

/// "send_message() returns the message's id, also while the stream is not up yet".
#[test]
fn a_message_waits_until_the_stream_is_up() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls_with(&bob, Streams::chat());
    let ids = [alice.says("one"), alice.says("two")];
    assert_ne!(ids[0], ids[1]);
    stage.seconds(5);
    bob.tries_to_accept(Streams::chat()).unwrap();
    bob.says("three");
    stage.a_moment();
    let told = alice.told();
    let from = told.iter().position(|line| line == "GotStreamUpdate chat").unwrap();
    assert_eq!(
        told[from + 1..],
        ["GotMessage text/plain three", "DidDeliverMessage 200 OK", "DidDeliverMessage 200 OK"]
    );
    let got: Vec<_> = bob.told().into_iter().filter(|line| line.starts_with("GotMessage")).collect();
    assert_eq!(got, ["GotMessage text/plain one", "GotMessage text/plain two"]);
    alice.hangs_up();
    stage.ends();
}

/// Exactly one of both, also when the stream never comes up.
#[test]
fn a_message_that_never_goes_out_is_not_delivered() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls_with(&bob, Streams::chat());
    alice.says("one");
    stage.a_moment();
    alice.told();
    bob.rejects(None);
    stage.a_moment();
    alice.is_told(&[
        "DidNotDeliverMessage 0 Stream ended",
        "ChangedState CALLING -> TERMINATED",
        "DidFail remote 603 Decline",
        "DidEnd remote",
    ]);
    stage.ends();
}

/// "silence after the timeout is DidNot".
#[test]
fn a_message_that_is_refused_or_met_with_silence_is_not_delivered() {
    let stage = stage();
    let (alice, bob) = in_chat(&stage);
    stage.wire().peer = Peer::Refuses(413);
    alice.says("long");
    stage.a_moment();
    alice.is_told(&["DidNotDeliverMessage 413 Unwanted Message"]);
    stage.wire().peer = Peer::Silent;
    alice.says("is anybody there?");
    stage.seconds(31);
    alice.is_told(&["DidNotDeliverMessage 408 Request Timeout"]);
    bob.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

#[test]
fn what_has_no_report_yet_when_the_session_ends_is_not_delivered() {
    for who in [0, 1] {
        let stage = stage();
        let (alice, bob) = in_chat(&stage);
        stage.wire().peer = Peer::Silent;
        alice.says("one");
        stage.a_moment();
        [&alice, &bob][who].hangs_up();
        stage.a_moment();
        let told = alice.told();
        let lost: Vec<_> = told.iter().filter(|line| line.contains("DeliverMessage")).collect();
        assert_eq!(lost.len(), 1, "{told:?}");
        assert!(lost[0].starts_with("DidNotDeliverMessage 0 "), "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some(["DidEnd local", "DidEnd remote"][who]));
        stage.ends();
    }
}

/// A peer takes what its accept-types say, and no more.
#[test]
fn what_the_peer_does_not_take_is_not_sent() {
    let stage = stage();
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.dials_with(&carol.address(), Vec::new(), Streams::chat()).unwrap();
    stage.a_moment();
    let plain = CHAT.replace("message/cpim text/*", "text/plain").replace("a=setup", "a=max-size:10\na=setup");
    carol.responds(StatusCode::OK, Some(&carol.sdp(1, &plain)));
    stage.a_moment();
    alice.told();
    alice.says("short");
    stage.a_moment();
    alice.is_told(&["DidDeliverMessage 200 OK"]);
    let sent = alice.sees(|phone| phone.media.messages[0].clone());
    assert_eq!((&*sent.content_type, &sent.content[..]), ("text/plain", &b"short"[..]));
    alice.says("longer than ten octets");
    alice.is_told(&["DidNotDeliverMessage 413 The message is longer than the peer takes"]);
    let send = |content_type: &str| {
        alice.asks(|client, now, endpoint, id| {
            client.send_message(now, endpoint, id, Bytes::from_static(b"x"), content_type)
        })
    };
    send("image/png").unwrap();
    alice.is_told(&["DidNotDeliverMessage 415 The peer does not take this type of content"]);
    assert_eq!(send("no type"), Err(ClientError::InvalidMessage("its content type is none")));
    alice.is_told(&[]);
    alice.hangs_up();
    stage.ends();
}

/// Which of both arrives first, the end of the connection or the BYE, is chance: it is the peer that has ended the session.
#[test]
fn a_connection_that_ends_just_before_the_bye_is_no_loss() {
    let stage = stage();
    let (alice, carol) = (stage.softphone("alice"), stage.stranger("carol"));
    alice.dials_with(&carol.address(), Vec::new(), Streams::chat()).unwrap();
    stage.a_moment();
    carol.responds(StatusCode::OK, Some(&carol.sdp(1, CHAT)));
    stage.a_moment();
    alice.told();
    alice.loses_chat();
    stage.seconds(1);
    carol.sends(Method::Bye, None);
    stage.a_moment();
    alice.is_told(&["GotStreamUpdate none", "ChangedState ESTABLISHED -> TERMINATED", "DidEnd remote"]);
    stage.ends();
}

#[test]
fn a_session_whose_only_connection_is_lost_ends() {
    let stage = stage();
    let (alice, bob) = in_chat(&stage);
    stage.wire().peer = Peer::Silent;
    alice.says("one");
    alice.loses_chat();
    alice.is_told(&["DidNotDeliverMessage 0 Connection reset by peer", "GotStreamUpdate none"]);
    assert_eq!(alice.state(), State::Established);
    stage.seconds(6);
    alice.is_told(&[
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local (Connection reset by peer)",
    ]);
    assert_eq!(bob.state(), State::Terminated);
    stage.ends();
}

/// A peer that answers and is never connected to.
#[test]
fn a_chat_that_is_never_bound_ends_the_session() {
    let stage = stage();
    stage.wire().binds = false;
    let (alice, bob) = in_chat(&stage);
    alice.says("one");
    stage.seconds(20);
    alice.is_told(&[]);
    alice.loses_chat();
    stage.seconds(6);
    alice.is_told(&[
        "DidNotDeliverMessage 0 Connection reset by peer",
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local (Connection reset by peer)",
    ]);
    assert_eq!(bob.state(), State::Terminated);
    stage.ends();
}

/// "Chat-only session: a re-INVITE […] still goes out."
#[test]
fn a_chat_can_be_held() {
    let stage = stage();
    let (alice, bob) = in_chat(&stage);
    let hold = alice.holds();
    stage.a_moment();
    alice.is_told(&["GotHoldRequest local"]);
    bob.is_told(&[]);
    assert_eq!(alice.outcome(hold), Some(Ok(())));
    assert!(alice.has_sent(&bob, &Method::Invite) >= 2);
    // The connection is what it was.
    alice.says("still here");
    stage.a_moment();
    bob.is_told(&["GotMessage text/plain still here"]);
    alice.is_told(&["DidDeliverMessage 200 OK"]);
    alice.unholds();
    stage.a_moment();
    alice.is_told(&["GotUnholdRequest local"]);
    alice.hangs_up();
    stage.ends();
}

#[test]
fn a_chat_whose_transport_can_not_be_made_fails() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.does(|phone, _, _| phone.media.fate = Fate::Fails("no port is free"));
    alice.calls_with(&bob, Streams::chat());
    alice.says("one");
    stage.a_moment();
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing chat",
        "DidNotDeliverMessage 0 Stream ended",
        "ChangedState CALLING -> TERMINATED",
        "DidFail local Failed to initialize MSRP chat transport: no port is free",
        "DidEnd local",
    ]);
    stage.ends();
}

/// The caller gives up while the callee accepts.
#[test]
fn a_cancel_crosses_the_answer() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls_with(&bob, Streams::chat());
    alice.says("one");
    stage.a_moment();
    alice.told();
    bob.told();
    bob.tries_to_accept(Streams::chat()).unwrap();
    alice.hangs_up();
    stage.seconds(2);
    let told = alice.told();
    assert_eq!(told.iter().filter(|line| line.contains("DidNotDeliverMessage")).count(), 1, "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("DidEnd local"));
    assert_eq!(bob.state(), State::Terminated);
    stage.ends();
}

/// Messages in a session without chat go as MESSAGE; there nothing is asked that takes a chat.
#[test]
fn what_needs_a_chat_is_refused_without_one() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    alice.calls(&bob);
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    alice.told();
    bob.told();
    alice.says("by MESSAGE");
    stage.a_moment();
    alice.is_told(&["DidDeliverMessage 200 OK"]);
    bob.is_told(&["GotMessage text/plain by MESSAGE"]);
    let no_chat = || Err(ClientError::NoStream(StreamKind::Chat));
    alice.asks(|client, now, endpoint, id| {
        assert_eq!(client.set_composing(now, endpoint, id, true), no_chat());
        assert_eq!(client.set_nickname(now, endpoint, id, "Al"), no_chat());
        assert_eq!(client.message_was_displayed(now, endpoint, id, "1"), no_chat());
        let private = client.send_private_message(now, endpoint, id, "sip:b@b", Bytes::new(), "text/plain");
        assert_eq!(private, Err(ClientError::NoStream(StreamKind::Chat)));
        assert_eq!(client.remove_chat(now, endpoint, id), Err(ClientError::NoStream(StreamKind::Chat)));
    });
    alice.hangs_up();
    stage.ends();
    let sent = alice.tries_to_say("too late");
    assert_eq!(sent, Err(ClientError::NoSuchSession));
}

/// An m-line of MSRP without a path leads nowhere (RFC 4975 §8).
#[test]
fn a_chat_without_a_path_is_none() {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    carol.calls(&bob, Some(&carol.sdp(1, "m=message 2855 TCP/MSRP *\na=accept-types:*")));
    stage.a_moment();
    assert_eq!(carol.last_response().status(), StatusCode::NOT_ACCEPTABLE_HERE);
    assert!(carol.last_response().headers().contains(HeaderName::Warning));
    stage.ends();
}

/// "Relay per direction: `use_relay_for_inbound=True`, `use_relay_for_outbound=False`", with the account's name and password.
#[test]
fn a_relay_is_used_in_the_direction_that_the_account_says() {
    for (inbound, outbound) in [(true, false), (false, true)] {
        let stage = stage();
        let person = |name| {
            stage.softphone_with(name, |_, account| {
                account.auth.password = "secret".into();
                account.msrp.relay = Some("relay.example".into());
                account.msrp.transport = Some(ChatTransport::Tcp);
                account.msrp.use_relay_for_inbound = inbound;
                account.msrp.use_relay_for_outbound = outbound;
            })
        };
        let (alice, bob) = (person("alice"), person("bob"));
        alice.calls_with(&bob, Streams::chat());
        stage.a_moment();
        bob.tries_to_accept(Streams::chat()).unwrap();
        stage.a_moment();
        let relay = |who: &Person| who.sees(|phone| phone.media.plans[0].relay.clone());
        assert_eq!((relay(&bob).is_some(), relay(&alice).is_some()), (inbound, outbound));
        let relay = relay(&bob).or_else(|| relay(&alice)).unwrap();
        assert_eq!((&*relay.address, &*relay.auth.password), ("relay.example", "secret"));
        assert!(matches!(relay.auth.username.as_deref(), Some("alice" | "bob")));
        assert!(!format!("{relay:?}").contains("secret"));
        assert_eq!(alice.sees(|phone| phone.media.plans[0].chat.transport), ChatTransport::Tcp);
        alice.hangs_up();
        stage.ends();
    }
}

/// A wrapper is taken off a MESSAGE as well.
#[test]
fn a_message_within_the_dialog_may_be_wrapped() {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    carol.calls(&bob, Some(&carol.audio(1)));
    stage.a_moment();
    bob.accepts();
    stage.a_moment();
    bob.told();
    let body = "From: <sip:carol@carol>\n\nContent-Type: text/plain\n\nhello";
    carol.sends(Method::Message, Some(("message/cpim", body)));
    stage.a_moment();
    let got = bob.sees(|phone| phone.notifications().last().unwrap().data.clone());
    let Data::SessionGotMessage { content, content_type, cpim_headers } = got else { panic!("{got:?}") };
    assert_eq!((content.trim_ascii_end(), &*content_type, cpim_headers.len()), (&b"hello"[..], "text/plain", 1));
    bob.hangs_up();
    stage.ends();
}

/// The address of who writes has a name, and a letter that a wrapper has to hide.
#[test]
fn a_display_name_stands_in_the_wrapper() {
    let stage = stage();
    let alice = stage.softphone_with("alice", |_, account| account.display_name = Some("Älice \\ \"A\"".into()));
    let bob = stage.softphone("bob");
    alice.calls_with(&bob, Streams::chat());
    stage.a_moment();
    bob.tries_to_accept(Streams::chat()).unwrap();
    alice.says("hi");
    stage.a_moment();
    let got = bob.sees(|phone| phone.notifications().last().unwrap().data.clone());
    let Data::SessionGotMessage { cpim_headers, .. } = got else { panic!("{got:?}") };
    assert!(cpim_headers[0].1.contains("Älice") && cpim_headers[0].1.contains("<sip:alice@alice>"), "{cpim_headers:?}");
    alice.hangs_up();
    stage.ends();
}
