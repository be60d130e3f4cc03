//! Chats and files between two phones of ours: directly, through our server, over TCP and TLS, and cut off.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cordboard_interop::phone::{Phone, path};
use cordboard_interop::presence::all_present;
use cordboard_interop::server::{self, Server, Settings};
use cordboard_interop::{ports, workspace};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(15);

fn transport(name: &str) -> String {
    format!("chat.transport={name}")
}

#[test]
fn two_phones_chat_and_each_knows_that_it_was_heard() {
    if !all_present(&[]) {
        return;
    }
    for name in ["tcp", "tls"] {
        let mut they = Phone::answer(&format!("bob-{name}"), &["--chat", "--mirror", "--calls", "1"]);
        let arguments = [
            "chat",
            &they.address(),
            "--json",
            "--set",
            &transport(name),
            "--message",
            "Grüße aus Köln",
            "--message",
            "bis bald",
            "--expect",
            "delivered",
            "--expect",
            "message:Köln",
            "--expect",
            "message:bald",
        ];
        let (code, said) = Phone::run(&format!("alice-{name}"), &arguments);
        assert_eq!(code, 0, "{said}");
        they.awaits("SIPSessionGotMessage", |told| told["content"] == "Grüße aus Köln");
        they.awaits("SIPSessionGotMessage", |told| told["content"] == "bis bald");
        they.awaits("SIPSessionDidDeliverMessage", |_| true);
        they.succeeds();
        let secure = they.trace().contains("m=message") && they.trace().contains("TCP/TLS/MSRP");
        assert_eq!(secure, name == "tls");
    }
}

/// The example of the manual: a program of our own chats with a phone.
#[test]
fn the_example_chat_sends_a_line_and_prints_the_reply() {
    if !all_present(&[]) {
        return;
    }
    let example = workspace::target().join("debug/examples/chat");
    if !example.is_file() {
        let message = "NOT TESTED: the example chat is not built";
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("\n*** {message} ***\n");
        return;
    }
    let mut they = Phone::answer("bob", &["--chat", "--mirror", "--calls", "1"]);
    let said = Command::new(example).args([&they.address(), "Dinner at eight?"]).output().expect("it is a program");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(String::from_utf8_lossy(&said.stdout), "Dinner at eight?\n");
    they.succeeds();
}

/// A whole chat before anybody speaks: whoever doesn't take chats refuses it.
#[test]
fn a_phone_that_takes_no_chats_refuses_them() {
    if !all_present(&[]) {
        return;
    }
    let they = Phone::answer("bob", &[]);
    let (code, said) = Phone::run("alice", &["chat", &they.address(), "--json", "--message", "hello"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("\"code\":488"), "{said}");
}

#[test]
fn chats_and_files_go_through_our_server() {
    if !all_present(&[]) {
        return;
    }
    let server = Server::start(Settings::default().without_message_store());
    let route = server.address().to_string();
    let received = workspace::run_folder().join("received");
    let mut they = registered("bob", &route, &["--chat", "--mirror", "--files", path(&received), "--calls", "3"]);
    let callee = format!("sip:bob@{}", cordboard_interop::DOMAIN);
    let chat = ["chat", &callee, "--route", &route, "--json", "--message", "hello", "--expect", "message:hello"];
    let (code, said) = Phone::run("alice", &chat);
    assert_eq!(code, 0, "{said}");
    let message = ["message", &callee, "over a chat", "--msrp", "--route", &route, "--json"];
    let (code, said) = Phone::run("carol", &message);
    assert_eq!(code, 0, "{said}");
    they.awaits("SIPSessionGotMessage", |told| told["content"] == "over a chat");
    let file = file("song.bin", 1_500_000);
    let (code, said) = Phone::run("dave", &["send-file", &callee, path(&file), "--route", &route, "--json"]);
    assert_eq!(code, 0, "{said}");
    they.awaits("FileTransferHandlerDidEnd", |told| told["error"].is_null());
    assert!(fs::read(received.join("song.bin")).unwrap() == fs::read(&file).unwrap());
    they.succeeds();
}

/// RFC 5547: offered with its hash, checked by it, stored beside what was there.
#[test]
fn a_file_arrives_and_overwrites_nothing() {
    if !all_present(&[]) {
        return;
    }
    let received = workspace::run_folder().join("received");
    fs::create_dir_all(&received).unwrap();
    fs::write(received.join("song.bin"), "mine").unwrap();
    let mut they = Phone::answer("bob", &["--files", path(&received), "--calls", "2"]);
    let file = file("song.bin", 3_000_000);
    for name in ["tcp", "tls"] {
        let arguments = ["send-file", &they.address(), path(&file), "--json", "--set", &transport(name)];
        let (code, said) = Phone::run(&format!("alice-{name}"), &arguments);
        assert_eq!(code, 0, "{said}");
    }
    they.succeeds();
    assert!(they.trace().contains("hash:sha-1:"));
    assert_eq!(fs::read(received.join("song.bin")).unwrap(), b"mine");
    for name in ["song (1).bin", "song (2).bin"] {
        assert!(fs::read(received.join(name)).unwrap() == fs::read(&file).unwrap(), "{name}");
    }
}

/// RFC 5547 §8.5.
#[test]
fn a_file_goes_on_where_it_broke_off() {
    if !all_present(&[]) {
        return;
    }
    let received = workspace::run_folder().join("received");
    fs::create_dir_all(&received).unwrap();
    let file = file("song.bin", 800_000);
    fs::write(received.join("song.bin.part"), &fs::read(&file).unwrap()[..300_000]).unwrap();
    let mut they = Phone::answer("bob", &["--files", path(&received), "--calls", "1"]);
    let (code, said) = Phone::run("alice", &["send-file", &they.address(), path(&file), "--json"]);
    assert_eq!(code, 0, "{said}");
    they.succeeds();
    assert!(they.trace().contains("a=file-range:300001-*"), "{}", they.trace());
    assert!(fs::read(received.join("song.bin")).unwrap() == fs::read(&file).unwrap());
}

/// What was said into a connection that dies is told not to have arrived, also by the exit code.
#[test]
fn a_message_that_is_cut_off_is_told_not_to_have_arrived() {
    if !all_present(&[]) {
        return;
    }
    let port = ports::free();
    let they = Talker::start("bob", &["answer", "--auto-answer", "--chat", "--port", &port.to_string()]);
    they.awaits("SIPEngineDidStart");
    let mut we = Talker::start("alice", &["chat", &format!("sip:bob@127.0.0.1:{port}")]);
    we.says("one");
    we.awaits("SIPSessionDidDeliverMessage");
    they.signal("STOP");
    we.says("two");
    std::thread::sleep(Duration::from_millis(300));
    they.signal("KILL");
    let told = we.awaits("SIPSessionDidNotDeliverMessage");
    assert_eq!(told["code"], 0, "{told}");
    assert_eq!(we.ends(), 5);
}

fn registered(name: &str, route: &str, arguments: &[&str]) -> Phone {
    let folder = workspace::run_folder().join(format!("accounts-{name}"));
    let address = format!("{name}@{}", cordboard_interop::DOMAIN);
    let folder = path(&folder).to_owned();
    let proxy = format!("sip.outbound_proxy=sip:{route};lr");
    let add = ["accounts", "add", &address, "--no-password", "--set", &proxy, "--config-directory", &folder];
    let (code, said) = Phone::run(&format!("{name}-account"), &add);
    assert_eq!(code, 0, "{said}");
    let mut all = vec!["--config-directory", &folder];
    all.extend(arguments);
    let mut phone = Phone::answer(name, &all);
    phone.awaits("SIPAccountRegistrationDidSucceed", |_| true);
    phone
}

/// A file whose octets don't repeat soon.
fn file(name: &str, size: usize) -> PathBuf {
    let folder = workspace::run_folder().join("sent");
    fs::create_dir_all(&folder).expect("the system does it");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let octets: Vec<u8> = (0..size)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect();
    let file = folder.join(name);
    fs::write(&file, octets).expect("the system does it");
    file
}

/// A phone whose standard input is ours.
struct Talker {
    child: Child,
    input: Option<ChildStdin>,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Talker {
    fn start(name: &str, arguments: &[&str]) -> Talker {
        let folder = workspace::run_folder().join(format!("talker-{name}"));
        fs::create_dir_all(&folder).expect("the system does it");
        let mut command = Command::new(server::program().expect("the test asked whether it is there"));
        command.args(arguments).args(["--json", "--config-directory", path(&folder)]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the system does it");
        let output = BufReader::new(child.stdout.take().expect("the system does it"));
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = told.clone();
        std::thread::spawn(move || {
            let read = output.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
            read.for_each(|line| telling.lock().expect("nobody panics with it").push(line));
        });
        let input = child.stdin.take();
        Talker { child, input, told }
    }

    fn says(&mut self, line: &str) {
        writeln!(self.input.as_mut().expect("the system does it"), "{line}").expect("the system does it");
    }

    fn awaits(&self, name: &str) -> Value {
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            let found =
                self.told.lock().expect("nobody panics with it").iter().find(|told| told["name"] == name).cloned();
            if let Some(found) = found {
                return found;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no {name} in {:#?}", self.told.lock().expect("nobody panics with it"));
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("the system does it").success());
    }

    fn ends(&mut self) -> i32 {
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("the system does it") {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end: {:#?}", self.told.lock().expect("nobody panics with it"));
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
