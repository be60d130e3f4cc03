//! Calls between our phone and PJSUA2, directly and through our server.

use std::time::Duration;

use cordboard_interop::phone::{Phone, path};
use cordboard_interop::pjsua2::{Options, Pjsua2};
use cordboard_interop::presence::pjsua2_is_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::{sound, workspace};
use serde_json::json;

const OURS: f64 = 600.0;
const THEIRS: f64 = 900.0;
const LONG: Duration = Duration::from_millis(2_500);
/// For calls that end while the sound still comes.
const SHORT: Duration = Duration::from_millis(2_000);

/// We call; each side plays its tone and records the other's. PJSUA2's G.722 is half as loud as what it is given, and takes
/// what it hears for half as loud as it is: with it only frequency and purity are compared.
fn we_call(codec: &'static str, name: &str, srtp: u8, encryption: &str, expectations: &[&str]) {
    let mut they =
        Pjsua2::start("bob", THEIRS, &Options { codec: Some(codec), srtp, answer: Some(200), ..Options::default() });
    let heard = workspace::run_folder().join("we-heard.wav");
    let output = format!("file:{}", path(&heard));
    let input = format!("tone:{OURS}");
    let mut arguments = vec!["--input", &input, "--output", &output, "--duration", "4", "--encryption", encryption];
    for expectation in expectations {
        arguments.extend(["--expect", expectation]);
    }
    let codec = format!("codec:{name}");
    arguments.extend(["--expect", "answered", "--expect", &codec, "--expect", "ended-by:local"]);
    let mut we = Phone::call("alice", &they.address(), &arguments);
    they.awaits("stream", |_| true);
    they.awaits("state", |event| event["state"] == "CONFIRMED");
    they.awaits("state", |event| event["state"] == "DISCONNECTED");
    we.succeeds();
    assert_eq!(they.is_encrypted(), srtp > 0);
    let (here, there) = (sound::listen(&heard), sound::listen(&they.heard()));
    if codec == "codec:G722" {
        here.assert_is_clean_tone(THEIRS, LONG);
        there.assert_is_clean_tone(OURS, LONG);
    } else {
        here.assert_is_tone(THEIRS, LONG);
        there.assert_is_tone(OURS, LONG);
    }
}

#[test]
fn we_call_in_g711() {
    if pjsua2_is_present() {
        we_call("PCMU", "PCMU", 0, "disabled", &[]);
    }
}

#[test]
fn we_call_in_g722() {
    if pjsua2_is_present() {
        we_call("G722", "G722", 0, "disabled", &[]);
    }
}

#[test]
fn we_call_encrypted_by_sdes_where_both_may_do_without() {
    if pjsua2_is_present() {
        we_call("PCMA", "PCMA", 1, "sdes-optional", &["encrypted"]);
    }
}

#[test]
fn we_call_encrypted_by_sdes_where_both_insist() {
    if pjsua2_is_present() {
        we_call("PCMA", "PCMA", 2, "sdes-mandatory", &["encrypted"]);
    }
}

#[test]
fn we_are_called_and_both_hear_the_other() {
    if !pjsua2_is_present() {
        return;
    }
    let recorded = workspace::run_folder().join("recorded.wav");
    let heard = workspace::run_folder().join("we-heard.wav");
    let (input, output) = (format!("tone:{OURS}"), format!("file:{}", path(&heard)));
    let mut we = Phone::answer(
        "alice",
        &[
            "--input",
            &input,
            "--output",
            &output,
            "--record",
            path(&recorded),
            "--calls",
            "1",
            "--expect",
            "ended-by:remote",
        ],
    );
    let mut they = Pjsua2::start("bob", THEIRS, &Options { codec: Some("G722"), ..Options::default() });
    they.call(&we.address());
    they.awaits("state", |event| event["state"] == "CONFIRMED");
    std::thread::sleep(Duration::from_secs(4));
    they.hang_up();
    we.succeeds();
    sound::listen(&heard).assert_is_clean_tone(THEIRS, SHORT);
    sound::listen(&they.heard()).assert_is_clean_tone(OURS, SHORT);
    // The recording has both voices.
    assert!(sound::listen(&recorded).loud >= SHORT, "{:?}", sound::listen(&recorded));
}

#[test]
fn digits_go_both_ways() {
    if !pjsua2_is_present() {
        return;
    }
    let mut they = Pjsua2::start("bob", THEIRS, &Options { answer: Some(200), ..Options::default() });
    let mut we =
        Phone::call("alice", &they.address(), &["--dtmf", "159*#D", "--duration", "6", "--expect", "dtmf:12#"]);
    they.awaits("state", |event| event["state"] == "CONFIRMED");
    they.order(&json!({ "order": "digits", "digits": "12#" }));
    for digit in "159*#D".chars() {
        they.awaits("digit", |event| event["digit"] == digit.to_string());
    }
    we.succeeds();
}

#[test]
fn the_other_side_holds_resumes_and_changes_the_codec() {
    if !pjsua2_is_present() {
        return;
    }
    let heard = workspace::run_folder().join("we-heard.wav");
    let (input, output) = (format!("tone:{OURS}"), format!("file:{}", path(&heard)));
    let mut they =
        Pjsua2::start("bob", THEIRS, &Options { codec: Some("PCMU"), answer: Some(200), ..Options::default() });
    let mut we = Phone::call(
        "alice",
        &they.address(),
        &["--input", &input, "--output", &output, "--expect", "ended-by:remote", "--expect", "codec:G722"],
    );
    we.awaits("SIPSessionDidStart", |_| true);
    they.order(&json!({ "order": "hold" }));
    we.awaits("SIPSessionGotHoldRequest", |told| told["originator"] == "remote");
    they.order(&json!({ "order": "unhold" }));
    we.awaits("SIPSessionGotUnholdRequest", |told| told["originator"] == "remote");
    they.awaits("stream", |event| event["codec"] == "PCMU");
    they.order(&json!({ "order": "codec", "codec": "G722" }));
    they.order(&json!({ "order": "reinvite" }));
    they.awaits("stream", |event| event["codec"] == "G722");
    std::thread::sleep(LONG);
    they.hang_up();
    we.succeeds();
    sound::listen(&heard).assert_is_clean_tone(THEIRS, SHORT);
    sound::listen(&they.heard()).assert_is_clean_tone(OURS, SHORT);
}

#[test]
fn a_busy_phone_is_told_by_the_exit_code_and_expected_as_such() {
    if !pjsua2_is_present() {
        return;
    }
    let they = Pjsua2::start("bob", THEIRS, &Options { answer: Some(486), ..Options::default() });
    assert_eq!(Phone::call("refused", &they.address(), &[]).ends(), 3);
    Phone::call("expected", &they.address(), &["--expect", "busy"]).succeeds();
    assert_eq!(Phone::call("unexpected", &they.address(), &["--expect", "answered"]).ends(), 6);
}

#[test]
fn calls_go_through_our_server_to_a_registered_phone() {
    if !pjsua2_is_present() {
        return;
    }
    let server = Server::start(Settings::default().user("alice", "wonderland").user("bob", "swordfish"));
    let registrar = format!("sip:{}", server.address());
    let mut they = Pjsua2::start(
        "bob",
        THEIRS,
        &Options {
            codec: Some("PCMU"),
            answer: Some(200),
            registrar: Some((registrar, "swordfish")),
            ..Options::default()
        },
    );
    they.awaits("registration", |event| event["status"] == 200);
    let heard = workspace::run_folder().join("we-heard.wav");
    let (input, output) = (format!("tone:{OURS}"), format!("file:{}", path(&heard)));
    let route = server.address().to_string();
    let callee = format!("sip:bob@{}", cordboard_interop::DOMAIN);
    let arguments =
        ["--route", &route, "--input", &input, "--output", &output, "--duration", "4", "--expect", "answered"];
    let mut we = Phone::call("alice", &callee, &arguments);
    they.awaits("state", |event| event["state"] == "DISCONNECTED");
    we.succeeds();
    sound::listen(&heard).assert_is_tone(THEIRS, LONG);
    sound::listen(&they.heard()).assert_is_tone(OURS, LONG);
}

#[test]
fn a_message_is_taken_by_a_phone() {
    if !pjsua2_is_present() {
        return;
    }
    let mut they = Pjsua2::start("bob", THEIRS, &Options::default());
    let (code, said) = Phone::run("alice", &["message", &they.address(), "on my way"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(they.awaits("message", |_| true)["text"], "on my way");
}
