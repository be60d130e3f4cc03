//! Files (RFC 5547): a session of its own for each, that its sender begins and ends.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::Instant;

use client::media::{ChatPurpose, FileDescription, MediaEvent};
use client::session::State;
use client::{ClientError, StreamKind, Streams};
use client_world::{Person, Stage};
use sip_message::StatusCode;

const OFFER: &str = "m=message 2855 TCP/MSRP *\na=path:msrp://10.0.0.9:2855/9a0acea512654f5dfcea;tcp\na=accept-types:*\n\
    a=sendonly\na=file-transfer-id:abc\n\
    a=file-selector:name:\"../../My cool picture.jpg\" type:image/jpeg size:32349 \
    hash:sha-1:72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E";

fn stage() -> Stage {
    Stage::new(1, Instant::now())
}

fn sends_file(who: &Person, to: &Person) {
    let file = FileDescription { name: "notes.txt".into(), size: Some(1_000), ..FileDescription::default() };
    who.does(|phone, now, endpoint| {
        let account = phone.account();
        phone.client.send_file(now, endpoint, account, &to.address(), Vec::new(), file, "/home/alice/notes.txt".into())
    })
    .unwrap();
}

fn hears(who: &Person, event: impl FnOnce(client::media::StreamId) -> MediaEvent) {
    who.does(|phone, now, endpoint| {
        let stream = phone.media.chats().last().expect("there is a stream");
        phone.media_event(now, endpoint, event(stream));
    });
}

fn progress(who: &Person, transferred: u64) {
    hears(who, |stream| MediaEvent::FileProgress { stream, transferred, total: Some(1_000) });
}

fn ended(who: &Person, file_name: Option<&str>, error: Option<&str>) {
    let (file_name, error) = (file_name.map(Into::into), error.map(Into::into));
    hears(who, |stream| MediaEvent::FileEnded { stream, file_name, error });
}

/// Alice sends bob a file, who takes it. What was told so far is read.
fn in_transfer(stage: &Stage) -> (Person, Person) {
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    sends_file(&alice, &bob);
    stage.a_moment();
    bob.tries_to_accept(Streams::file()).unwrap();
    stage.a_moment();
    alice.told();
    bob.told();
    (alice, bob)
}

#[test]
fn a_file_is_sent_and_its_sender_ends_the_session() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    sends_file(&alice, &bob);
    stage.a_moment();
    bob.is_told(&["ChangedState NULL -> INCOMING", "NewIncoming file-transfer"]);
    let file = bob.info().file.unwrap();
    assert_eq!((&*file.name, file.size, file.content_type.as_deref()), ("notes.txt", Some(1_000), Some("text/plain")));
    assert_eq!(file.transfer_id.len(), 32);
    bob.tries_to_accept(Streams::file()).unwrap();
    stage.a_moment();
    progress(&alice, 500);
    progress(&bob, 400);
    ended(&bob, Some("/home/bob/Downloads/notes.txt"), None);
    assert_eq!(bob.state(), State::Established);
    ended(&alice, Some("/home/alice/notes.txt"), None);
    stage.a_moment();
    alice.is_told(&[
        "ChangedState NULL -> CALLING",
        "NewOutgoing file-transfer",
        "GotRingIndication",
        "GotProvisionalResponse 180 Ringing",
        "WillStart",
        "ChangedState CALLING -> ESTABLISHED",
        "DidStart",
        "GotStreamUpdate file-transfer",
        "FileTransferHandlerProgress 500/1000",
        "FileTransferHandlerDidEnd /home/alice/notes.txt",
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local",
    ]);
    bob.is_told(&[
        "ChangedState INCOMING -> ACCEPTING",
        "WillStart",
        "ChangedState ACCEPTING -> ESTABLISHED",
        "DidStart",
        "GotStreamUpdate file-transfer",
        "FileTransferHandlerProgress 400/1000",
        "FileTransferHandlerDidEnd /home/bob/Downloads/notes.txt",
        "GotStreamUpdate none",
        "ChangedState ESTABLISHED -> TERMINATED",
        "DidEnd remote",
    ]);
    stage.ends();
}

/// The folder is that of the settings, and the name no path, whatever the peer says.
#[test]
fn a_file_goes_to_the_folder_of_the_settings() {
    let stage = stage();
    let bob = stage.softphone_with("bob", |settings, _| settings.file_transfer.directory = Some("/files".into()));
    let carol = stage.stranger("carol");
    carol.calls(&bob, Some(&carol.sdp(1, OFFER)));
    stage.a_moment();
    let file = bob.info().file.unwrap();
    assert_eq!(&*file.name, "My cool picture.jpg");
    assert_eq!(file.hash.as_deref(), Some("sha-1:72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E"));
    bob.tries_to_accept(Streams::file()).unwrap();
    stage.a_moment();
    let purposes = bob.sees(|phone| phone.media.plans.iter().map(|plan| plan.purpose.clone()).collect::<Vec<_>>());
    let [ChatPurpose::ReceiveFile { file: received, folder }] = &purposes[..] else { panic!("{purposes:?}") };
    assert_eq!((received, folder.to_str()), (&file, Some("/files")));
    assert!(carol.last_sdp().contains("a=recvonly"), "{}", carol.last_sdp());
    bob.hangs_up();
    stage.a_moment();
    let told = bob.told();
    assert!(told.contains(&"FileTransferHandlerDidEnd (Session ended)".to_owned()), "{told:?}");
    stage.ends();
}

#[test]
fn a_file_that_is_not_wanted_is_not_sent() {
    let stage = stage();
    let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
    sends_file(&alice, &bob);
    stage.a_moment();
    assert_eq!(bob.tries_to_accept(Streams::chat()), Err(ClientError::NotProposed(StreamKind::Chat)));
    alice.told();
    bob.rejects(None);
    stage.a_moment();
    alice.is_told(&[
        "FileTransferHandlerDidEnd (Decline)",
        "ChangedState CALLING -> TERMINATED",
        "DidFail remote 603 Decline",
        "DidEnd remote",
    ]);
    stage.ends();
}

/// Whose hash is not right is no file.
#[test]
fn a_file_that_arrives_broken_ends_the_session() {
    let stage = stage();
    let (alice, bob) = in_transfer(&stage);
    ended(&bob, None, Some("the hash is not that of the file"));
    stage.a_moment();
    bob.is_told(&[
        "FileTransferHandlerDidEnd (the hash is not that of the file)",
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "GotStreamUpdate none",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local (the hash is not that of the file)",
    ]);
    alice.is_told(&[
        "FileTransferHandlerDidEnd (the hash is not that of the file)",
        "GotStreamUpdate none",
        "ChangedState ESTABLISHED -> TERMINATED",
        "DidEnd remote (the hash is not that of the file)",
    ]);
    stage.ends();
}

#[test]
fn a_connection_that_is_lost_ends_file_and_session() {
    let stage = stage();
    let (alice, bob) = in_transfer(&stage);
    progress(&alice, 10);
    alice.loses_chat();
    stage.seconds(6);
    alice.is_told(&[
        "FileTransferHandlerProgress 10/1000",
        "GotStreamUpdate none",
        "ChangedState ESTABLISHED -> TERMINATING",
        "WillEnd",
        "FileTransferHandlerDidEnd (Connection reset by peer)",
        "ChangedState TERMINATING -> TERMINATED",
        "DidEnd local (Connection reset by peer)",
    ]);
    assert_eq!(bob.state(), State::Terminated);
    stage.ends();
}

/// A sender that stays after its file has come is left.
#[test]
fn a_session_does_not_outlast_its_file() {
    let stage = stage();
    let (alice, bob) = in_transfer(&stage);
    ended(&bob, Some("/home/bob/Downloads/notes.txt"), None);
    stage.seconds(9);
    assert_eq!(bob.state(), State::Established);
    stage.seconds(2);
    assert_eq!((bob.state(), alice.state()), (State::Terminated, State::Terminated));
    stage.ends();
}

/// What somebody would have of us is our user's to give: a pull is refused.
#[test]
fn nobody_takes_a_file_from_us() {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    carol.calls(&bob, Some(&carol.sdp(1, &OFFER.replace("sendonly", "recvonly"))));
    stage.a_moment();
    assert_eq!(carol.last_response().status(), StatusCode::NOT_ACCEPTABLE_HERE);
    stage.ends();
}

/// A file beside other streams is left with port zero: it has a session of its own.
#[test]
fn a_file_beside_a_chat_is_left() {
    let stage = stage();
    let (bob, carol) = (stage.softphone("bob"), stage.stranger("carol"));
    let chat = "m=message 2855 TCP/MSRP *\na=path:msrp://10.0.0.9:2855/8b0acea512654f5dfcea;tcp\na=accept-types:*";
    carol.calls(&bob, Some(&carol.sdp(1, &format!("{OFFER}\n{chat}"))));
    stage.a_moment();
    bob.is_told(&["ChangedState NULL -> INCOMING", "NewIncoming chat"]);
    bob.tries_to_accept(Streams::chat()).unwrap();
    stage.a_moment();
    let answer = carol.last_sdp();
    let lines: Vec<&str> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert!(lines[0].starts_with("m=message 0 ") && lines[1].starts_with("m=message 50"), "{answer}");
    let add = bob.asks(|client, now, endpoint, id| {
        client.connect(now, endpoint, bob_account(), "x@y", Vec::new(), Streams::file()).map(|_| id)
    });
    assert_eq!(add, Err(ClientError::Unsupported(StreamKind::File)));
    bob.hangs_up();
    stage.ends();
}

fn bob_account() -> client::account::AccountId {
    client::account::AccountId(1)
}
