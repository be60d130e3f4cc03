//! Our phone and our server, as the README has them.

use std::time::Duration;

use cordboard_interop::phone::{Phone, path};
use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::{sound, workspace};

#[test]
fn the_echo_sends_back_what_is_said() {
    if !all_present(&[]) {
        return;
    }
    let server = Server::start(Settings::default());
    for codec in ["opus", "G722", "PCMU", "PCMA"] {
        let heard = workspace::run_folder().join(format!("heard-{codec}.wav"));
        let output = format!("file:{}", path(&heard));
        let expected = format!("codec:{codec}");
        let uri = format!("sip:echo@{}", server.address());
        let arguments = [
            "--codecs",
            codec,
            "--input",
            "tone:520",
            "--output",
            &output,
            "--duration",
            "3",
            "--expect",
            &expected,
            "--expect",
            "tone:520",
            "--expect",
            "mos:3.5",
        ];
        Phone::call(codec, &uri, &arguments).succeeds();
        sound::listen(&heard).assert_is_tone(520.0, Duration::from_secs(2));
    }
}

#[test]
fn an_account_registers_with_its_password_and_not_with_another() {
    if !all_present(&[]) {
        return;
    }
    let server = Server::start(Settings::default().user("alice", "wonderland"));
    for (password, code) in [("wonderland", 0), ("looking-glass", 3)] {
        let folder = workspace::run_folder().join(format!("settings-{password}"));
        let proxy = format!("sip.outbound_proxy=sip:{}", server.address());
        let secret = format!("auth.password={password}");
        let address = format!("alice@{}", cordboard_interop::DOMAIN);
        let folder = path(&folder);
        let add = ["accounts", "add", &address, "--set", &proxy, "--set", &secret, "--config-directory", folder];
        assert_eq!(Phone::run("add", &add).0, 0);
        let (ended, said) = Phone::run("register", &["register", "--config-directory", folder]);
        assert_eq!(ended, code, "{password}: {said}");
    }
}

#[test]
fn options_tell_what_the_server_can_do() {
    if !all_present(&[]) {
        return;
    }
    let server = Server::start(Settings::default());
    let (code, said) = Phone::run("options", &["options", &format!("sip:{}", server.address())]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("200"), "{said}");
}

#[test]
fn two_of_our_phones_speak_through_our_server_and_one_is_recorded() {
    if !all_present(&[]) {
        return;
    }
    let recorded = workspace::run_folder().join("recorded.wav");
    let mut bob = Phone::answer("bob", &["--mirror", "--calls", "1", "--record", path(&recorded)]);
    let mut alice = Phone::call(
        "alice",
        &bob.address(),
        &["--input", "tone:800", "--duration", "3", "--expect", "tone:800", "--expect", "encrypted"],
    );
    alice.succeeds();
    bob.succeeds();
    assert!(sound::listen(&recorded).loud >= Duration::from_secs(2));
}

#[test]
fn nobody_at_the_other_end_is_said_by_the_exit_code() {
    if all_present(&[]) {
        assert_eq!(Phone::call("alice", "sip:nobody@127.0.0.1:9", &["--ring", "2"]).ends(), 4);
    }
}

/// The example of twenty-four lines, as `cargo build --examples` makes it.
#[test]
fn the_example_calls_plays_a_file_and_records_the_answer() {
    if !all_present(&[]) {
        return;
    }
    let example = workspace::target().join("debug/examples/call_and_record");
    if !example.is_file() {
        let message = "NOT TESTED: the example call_and_record is not built";
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("\n*** {message} ***\n");
        return;
    }
    let server = Server::start(Settings::default());
    let (played, recorded) = (workspace::run_folder().join("played.wav"), workspace::run_folder().join("recorded.wav"));
    sound::write_tone(&played, 16_000, 1, 650.0, Duration::from_secs(3));
    let callee = format!("sip:echo@{}", server.address());
    let ended = std::process::Command::new(example).arg(callee).args([&played, &recorded]).status();
    assert!(ended.expect("the example is a program").success());
    let heard = sound::listen(&recorded);
    assert!((heard.hertz - 650.0).abs() < 5.0 && heard.loud >= Duration::from_secs(2), "{heard:?}");
}
