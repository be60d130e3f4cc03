//! Chats and files between phones of ours whose accounts have an MSRP relay (RFC 4976): that of our server, and Kamailio.

use std::fs;
use std::path::PathBuf;

use cordboard_interop::certificates::Authority;
use cordboard_interop::kamailio::Kamailio;
use cordboard_interop::phone::{Phone, path};
use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::{DOMAIN, workspace};

/// A server with a relay, and what phones have to be told to trust it.
struct House {
    server: Server,
    /// `--set` with its value, for each.
    general: Vec<String>,
}

impl House {
    fn new(tls: bool) -> House {
        let mut settings = Settings::default().without_message_store();
        for (name, password) in [("alice", "secret"), ("bob", "hidden"), ("carol", "quiet")] {
            settings = settings.user(name, password);
        }
        let mut general = vec![format!("chat.transport={}", if tls { "tls" } else { "tcp" })];
        if tls {
            let authority = Authority::new(&workspace::run_folder());
            let identity = authority.identity("server", &["127.0.0.1"]);
            general.push(format!("tls.ca_list={}", path(&authority.certificate)));
            settings = settings.tls(&identity, authority.certificate.clone());
        }
        House { server: Server::start(settings.msrp_relay(tls)), general }
    }

    /// A server without relay, at which nobody has to prove anything.
    fn open() -> House {
        let settings = Settings::default().without_message_store();
        House { server: Server::start(settings), general: vec!["chat.transport=tcp".to_owned()] }
    }

    /// The folder of a phone with this user's account, with further settings of it.
    fn account(&self, user: &str, password: &str, more: &[&str]) -> String {
        let scheme = if self.general.len() > 1 { "tls" } else { "tcp" };
        let folder = workspace::run_folder().join(format!("accounts-{user}-{scheme}"));
        let folder = path(&folder).to_owned();
        let address = format!("{user}@{DOMAIN}");
        let proxy = format!("sip.outbound_proxy=sip:{};lr", self.server.address());
        let password = format!("auth.password={password}");
        let mut add = vec!["accounts", "add", &address, "--config-directory", &folder];
        for setting in [&*proxy, &*password].iter().chain(more) {
            add.extend(["--set", setting]);
        }
        let (code, said) = Phone::run(&format!("{user}-account-{scheme}"), &add);
        assert_eq!(code, 0, "{said}");
        folder
    }

    /// The phone of one who takes chats and files, and says again what it hears.
    fn answers(&self, user: &str, folder: &str, received: &str, calls: u32) -> Phone {
        let calls = calls.to_string();
        let mut all = vec!["--config-directory", folder, "--chat", "--mirror", "--files", received, "--calls", &calls];
        self.general.iter().for_each(|setting| all.extend(["--set", setting]));
        let mut phone = Phone::answer(user, &all);
        phone.awaits("SIPAccountRegistrationDidSucceed", |_| true);
        phone
    }

    fn run(&self, name: &str, folder: &str, arguments: &[&str]) -> (i32, String) {
        let mut all = arguments.to_vec();
        all.extend(["--config-directory", folder, "--json"]);
        self.general.iter().for_each(|setting| all.extend(["--set", setting]));
        Phone::run(name, &all)
    }

    /// A chat in which each hears the other, and both know it.
    fn chats(&self, name: &str, folder: &str, callee: &str) {
        let callee = format!("sip:{callee}@{DOMAIN}");
        let expected = ["--expect", "delivered", "--expect", "message:Grüße"];
        let (code, said) =
            self.run(name, folder, &[&["chat", &callee, "--message", "Grüße vom Relay"], &expected[..]].concat());
        assert_eq!(code, 0, "{said}");
    }
}

/// The `a=path` lines of a trace.
fn paths(trace: &str) -> Vec<Vec<&str>> {
    let lines = trace.lines().filter_map(|line| line.trim().strip_prefix("a=path:"));
    lines.map(|path| path.split(' ').collect()).collect()
}

/// RFC 4976 §5.1: both paths begin with the relay, and so does all that is sent.
#[test]
fn two_phones_chat_and_send_a_file_through_a_relay() {
    if !all_present(&[]) {
        return;
    }
    for tls in [false, true] {
        let house = House::new(tls);
        let relay = house.server.msrp_relay();
        let setting = format!("msrp.relay={relay}");
        let alice = house.account("alice", "secret", &[&setting, "msrp.use_relay_for_outbound=true"]);
        let bob = house.account("bob", "hidden", &[&setting]);
        let received = workspace::run_folder().join(format!("received-{tls}"));
        let mut they = house.answers(&format!("bob-{tls}"), &bob, path(&received), 2);
        house.chats(&format!("alice-{tls}"), &alice, "bob");
        they.awaits("SIPSessionGotMessage", |told| told["content"] == "Grüße vom Relay");
        let file = file("song.bin", 1_500_000);
        let callee = format!("sip:bob@{DOMAIN}");
        let (code, said) = house.run(&format!("alice-file-{tls}"), &alice, &["send-file", &callee, path(&file)]);
        assert_eq!(code, 0, "{said}");
        they.awaits("FileTransferHandlerDidEnd", |told| told["error"].is_null());
        they.succeeds();
        assert!(fs::read(received.join("song.bin")).unwrap() == fs::read(&file).unwrap());

        let trace = they.trace();
        let paths = paths(&trace);
        assert!(paths.len() >= 4, "offers and answers: {trace}");
        for path in paths {
            assert!(path.len() == 2 && path[0].starts_with(&format!("{relay}/")), "{path:?}");
        }
    }
}

/// The relay connects to nobody: whoever is not behind it comes to it, whichever of the two calls.
#[test]
fn a_phone_behind_a_relay_and_one_that_is_not_chat_whoever_calls() {
    if !all_present(&[]) {
        return;
    }
    for tls in [false, true] {
        let house = House::new(tls);
        let setting = format!("msrp.relay={}", house.server.msrp_relay());
        let alice = house.account("alice", "secret", &[&setting, "msrp.use_relay_for_outbound=true"]);
        let bob = house.account("bob", "hidden", &[&setting]);
        let carol = house.account("carol", "quiet", &[]);
        let received = workspace::run_folder();
        let mut behind = house.answers(&format!("bob-{tls}"), &bob, path(&received), 1);
        house.chats(&format!("carol-{tls}"), &carol, "bob");
        behind.succeeds();
        let mut direct = house.answers(&format!("carol-answers-{tls}"), &carol, path(&received), 1);
        house.chats(&format!("alice-{tls}"), &alice, "carol");
        direct.succeeds();
        assert!(direct.trace().contains("a=setup:active"), "{}", direct.trace());
    }
}

/// A relay that we did not write: its challenges, its Use-Path, and hops from one of its URIs to the next.
#[test]
fn two_phones_chat_through_kamailio() {
    if !all_present(&["kamailio"]) || !Kamailio::has("msrp") {
        return;
    }
    let kamailio = Kamailio::msrp_relay(DOMAIN, "secret");
    let house = House::open();
    let setting = format!("msrp.relay={}", kamailio.relay());
    let alice = house.account("alice", "secret", &[&setting, "msrp.use_relay_for_outbound=true"]);
    let bob = house.account("bob", "secret", &[&setting]);
    let mut they = house.answers("bob", &bob, path(&workspace::run_folder()), 2);
    house.chats("alice", &alice, "bob");
    they.awaits("SIPSessionGotMessage", |told| told["content"] == "Grüße vom Relay");
    let wrong = house.account("carol", "guessed", &[&setting, "msrp.use_relay_for_outbound=true"]);
    let (code, said) = house.run("carol", &wrong, &["chat", &format!("sip:bob@{DOMAIN}"), "--message", "hello"]);
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("the relay does not know this user by this password"), "{said}");
    house.chats("alice-again", &alice, "bob");
    they.succeeds();
    let trace = they.trace();
    let through = paths(&trace);
    assert!(!through.is_empty() && through.iter().all(|path| path.len() == 2), "{through:?}");
    assert!(through.iter().all(|path| path[0].starts_with(&format!("{}/", kamailio.relay()))), "{through:?}");
}

#[test]
fn a_phone_that_its_relay_does_not_let_in_says_so_and_does_not_call() {
    if !all_present(&[]) {
        return;
    }
    let house = House::new(false);
    let setting = format!("msrp.relay={}", house.server.msrp_relay());
    let more = [&*setting, "msrp.use_relay_for_outbound=true", "sip.register=false"];
    let alice = house.account("alice", "guessed", &more);
    let (code, said) = house.run("alice", &alice, &["chat", &format!("sip:bob@{DOMAIN}"), "--message", "hello"]);
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("the relay does not know this user by this password"), "{said}");
    assert!(!said.contains("guessed"), "{said}");
}

/// A file whose octets don't repeat soon.
fn file(name: &str, size: u32) -> PathBuf {
    let folder = workspace::run_folder().join("sent");
    fs::create_dir_all(&folder).expect("the system does it");
    let octets: Vec<u8> = (0..size).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let file = folder.join(name);
    fs::write(&file, octets).expect("the system does it");
    file
}
