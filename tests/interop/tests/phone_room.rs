//! A chat room in `cordboard serve` as its users have it: two or three phones of ours, which type lines and read what they are
//! told.

use std::time::Duration;

use cordboard_interop::phone::{Phone, path};
use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::{DOMAIN, workspace};
use serde_json::Value;

#[path = "phone_room/talker.rs"]
mod talker;

use talker::Talker;

/// The room tells of changes every five seconds at most.
const ROSTER: Duration = Duration::from_secs(12);

fn room() -> String {
    format!("sip:chat@{DOMAIN}")
}

/// Somebody with an account at the server, in the room.
fn guest(name: &str, server: &Server) -> Talker {
    guest_with(name, server, &["--json"])
}

fn guest_with(name: &str, server: &Server, arguments: &[&str]) -> Talker {
    let folder = workspace::run_folder().join(format!("accounts-{name}"));
    let folder = path(&folder).to_owned();
    let (address, proxy) = (format!("{name}@{DOMAIN}"), format!("sip.outbound_proxy=sip:{};lr", server.address()));
    let display_name = format!("display_name={}{}", name[..1].to_uppercase(), &name[1..]);
    let add = ["accounts", "add", &address, "--no-password", "--set", &proxy, "--set", &display_name];
    let (code, said) = Phone::run(&format!("{name}-account"), &[&add[..], &["--config-directory", &folder]].concat());
    assert_eq!(code, 0, "{said}");
    let room = room();
    Talker::start(name, &[&["chat", &room, "--config-directory", &folder], arguments].concat())
}

fn is_there(guest: &Talker) {
    guest.awaits("SIPSessionDidStart", |_| true);
    guest.awaits("SIPSessionGotStreamUpdate", |told| told["streams"] == serde_json::json!(["chat"]));
}

fn says(text: &str) -> impl Fn(&Value) -> bool + '_ {
    move |told| told["content"] == text
}

/// The value of a header of the wrapper.
fn wrapper<'t>(told: &'t Value, name: &str) -> &'t str {
    let headers = told["cpim_headers"].as_array().expect("there is a wrapper");
    let header = headers.iter().find(|header| header[0] == name).unwrap_or_else(|| panic!("no {name} in {told}"));
    header[1].as_str().expect("it is a text")
}

/// RFC 7701 §6.1: everybody hears it with the name of who has said it, who knows that it has arrived.
#[test]
fn what_one_types_the_others_read_with_the_name_of_the_writer() {
    if !all_present(&[]) {
        return;
    }
    let server = Server::start(Settings::default());
    let mut alice = guest("alice", &server);
    is_there(&alice);
    alice.types("is anybody there?");
    alice.awaits("SIPSessionDidDeliverMessage", |_| true);
    let mut bob = guest("bob", &server);
    let before = bob.awaits("SIPSessionGotMessage", says("is anybody there?"));
    assert!(wrapper(&before, "From").contains(&format!("sip:alice@{DOMAIN}")), "{before}");
    let carol = guest("carol", &server);
    carol.awaits("SIPSessionGotMessage", says("is anybody there?"));

    bob.types("Grüße aus Köln");
    for other in [&alice, &carol] {
        let told = other.awaits("SIPSessionGotMessage", says("Grüße aus Köln"));
        assert_eq!(wrapper(&told, "From"), format!("Bob <sip:bob@{DOMAIN}>"));
    }
    bob.awaits("SIPSessionDidDeliverMessage", |_| true);
    bob.types("/quit");
    assert_eq!(bob.ends(), 0);
    alice.types("bye, Bob");
    carol.awaits("SIPSessionGotMessage", says("bye, Bob"));
    assert!(bob.told().iter().all(|told| told["content"] != "bye, Bob"));
}

/// RFC 7701 §7.1, RFC 8266: case and width do not make another name.
#[test]
fn a_nickname_is_had_by_one() {
    if !all_present(&[]) {
        return;
    }
    let server = Server::start(Settings::default());
    let (mut alice, mut bob) = (guest("alice", &server), guest("bob", &server));
    is_there(&alice);
    is_there(&bob);
    alice.types("/nick Wonder Woman");
    alice.awaits("ChatStreamDidSetNickname", |told| told["nickname"] == "Wonder Woman");
    bob.types("/nick ＷＯＮＤＥＲ  woman");
    bob.awaits("ChatStreamDidNotSetNickname", |told| told["code"] == 425);
    bob.types("/nick \u{200b}");
    bob.awaits("ChatStreamDidNotSetNickname", |told| told["code"] == 424);
    let by_nickname = |told: &Value| told["users"].to_string().contains("Wonder Woman");
    bob.awaits_for(ROSTER, "SIPSessionGotConferenceInfo", by_nickname);
    alice.types("/nick");
    alice.awaits("ChatStreamDidSetNickname", |told| told["nickname"] == "");
    bob.types("/nick wonder woman");
    bob.awaits("ChatStreamDidSetNickname", |_| true);
}

/// RFC 7701 §6.2.
#[test]
fn what_is_for_one_alone_the_others_do_not_read() {
    if !all_present(&[]) {
        return;
    }
    let server = Server::start(Settings::default());
    let (mut alice, bob, carol) = (guest("alice", &server), guest("bob", &server), guest("carol", &server));
    [&alice, &bob, &carol].into_iter().for_each(is_there);
    alice.types(&format!("/to sip:bob@{DOMAIN} psst"));
    let told = bob.awaits("SIPSessionGotMessage", says("psst"));
    assert!(wrapper(&told, "To").contains(&format!("sip:bob@{DOMAIN}")), "{told}");
    alice.awaits("SIPSessionDidDeliverMessage", |_| true);
    alice.types(&format!("/to sip:nobody@{DOMAIN} psst"));
    alice.awaits("SIPSessionDidNotDeliverMessage", |told| told["code"] == 404);
    alice.types("for all");
    carol.awaits("SIPSessionGotMessage", says("for all"));
    assert!(carol.told().iter().all(|told| told["content"] != "psst"));
}

/// Lines for people, where there is no screen.
#[test]
fn a_phone_says_who_comes_and_goes_and_keeps_wrong_orders_to_itself() {
    if !all_present(&[]) {
        return;
    }
    let server = Server::start(Settings::default());
    let mut alice = guest_with("alice", &server, &["--no-tui"]);
    alice.reads("Here: Alice (you)");
    let mut bob = guest("bob", &server);
    is_there(&bob);
    alice.reads_for(ROSTER, "Bob has come");
    alice.types("/who");
    alice.reads("Here: Alice (you), Bob");
    alice.types("/whois bob");
    alice.reads("There is no order /whois");
    alice.types("/help");
    alice.reads("/nick NAME");
    alice.types("//help is a word");
    bob.awaits("SIPSessionGotMessage", says("/help is a word"));
    alice.reads("delivered: /help is a word");
    alice.types("/to bob only you");
    bob.awaits("SIPSessionGotMessage", says("only you"));
    bob.types("two\twords");
    alice.reads("Bob: two words");
    assert_eq!(bob.told().iter().filter(|told| told["name"] == "SIPSessionGotMessage").count(), 2, "and no order");
    bob.types("/quit");
    assert_eq!(bob.ends(), 0);
    alice.reads_for(ROSTER, "Bob has gone");
    alice.types("/quit");
    assert_eq!(alice.ends(), 0);
    alice.reads("Ended after ");
}

#[test]
fn a_full_room_and_one_that_is_gone_are_told() {
    if !all_present(&[]) {
        return;
    }
    let limited = Settings::default().section("[applications.chat-room]\nmax-participants = 1");
    let server = Server::start(limited);
    let alice = guest("alice", &server);
    is_there(&alice);
    let mut bob = guest_with("bob", &server, &["--no-tui"]);
    bob.reads("Failed: 486 Busy Here");
    assert_eq!(bob.ends(), 3);
    assert!(!bob.text().contains("Ended by the other side"), "{}", bob.text());
}
