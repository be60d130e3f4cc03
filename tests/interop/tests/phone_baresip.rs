//! Calls between our phone and baresip, without a server between them.

use std::time::Duration;

use cordboard_interop::baresip::{Baresip, Codec, Encryption, TONE};
use cordboard_interop::phone::{Phone, path};
use cordboard_interop::presence::all_present;
use cordboard_interop::{sound, workspace};

const OURS: f64 = 700.0;
const LONG: Duration = Duration::from_millis(2_500);

/// We call; both hear the other's tone.
fn we_call(codec: Codec, name: &str, theirs: Encryption, ours: &str) {
    let mut they = Baresip::alone("bob", codec, theirs);
    let heard = workspace::run_folder().join("we-heard.wav");
    let (input, output) = (format!("tone:{OURS}"), format!("file:{}", path(&heard)));
    let codec = format!("codec:{name}");
    let mut arguments =
        vec!["--input", &input, "--output", &output, "--duration", "4", "--encryption", ours, "--expect", &codec];
    if theirs != Encryption::None {
        arguments.extend(["--expect", "encrypted"]);
    }
    let mut we = Phone::call("alice", &they.contact(), &arguments);
    they.awaits("CALL_INCOMING");
    they.accept();
    they.awaits("CALL_ESTABLISHED");
    they.awaits("CALL_CLOSED");
    we.succeeds();
    sound::listen(&heard).assert_is_tone(TONE, LONG);
    sound::listen(&they.heard()).assert_is_tone(OURS, LONG);
}

#[test]
fn we_call_in_g711() {
    if all_present(&["baresip"]) {
        we_call(Codec::Pcmu, "PCMU", Encryption::None, "disabled");
    }
}

#[test]
fn we_call_in_g722() {
    if all_present(&["baresip"]) {
        we_call(Codec::G722, "G722", Encryption::None, "disabled");
    }
}

#[test]
fn we_call_in_opus() {
    if all_present(&["baresip"]) {
        we_call(Codec::Opus, "opus", Encryption::None, "disabled");
    }
}

#[test]
fn we_call_encrypted_by_sdes() {
    if all_present(&["baresip"]) {
        we_call(Codec::Pcmu, "PCMU", Encryption::Sdes, "sdes-optional");
    }
}

#[test]
fn we_call_encrypted_by_sdes_in_a_secure_profile() {
    if all_present(&["baresip"]) {
        we_call(Codec::Pcmu, "PCMU", Encryption::SdesMandatory, "sdes-mandatory");
    }
}

#[test]
fn we_call_encrypted_by_dtls() {
    if all_present(&["baresip"]) {
        we_call(Codec::Opus, "opus", Encryption::Dtls, "dtls-mandatory");
    }
}

/// They call, encrypted by DTLS; who answers is passive or active as the offer lets it be.
#[test]
fn we_are_called_encrypted_by_dtls() {
    if all_present(&["baresip"]) {
        we_are_called(Codec::Opus, Encryption::Dtls, "dtls-mandatory");
    }
}

#[test]
fn we_are_called_in_opus() {
    if all_present(&["baresip"]) {
        we_are_called(Codec::Opus, Encryption::None, "disabled");
    }
}

fn we_are_called(codec: Codec, theirs: Encryption, ours: &str) {
    let heard = workspace::run_folder().join("we-heard.wav");
    let (input, output) = (format!("tone:{OURS}"), format!("file:{}", path(&heard)));
    let mut arguments = vec![
        "--input",
        &input,
        "--output",
        &output,
        "--calls",
        "1",
        "--encryption",
        ours,
        "--expect",
        "ended-by:remote",
    ];
    if theirs != Encryption::None {
        arguments.extend(["--expect", "encrypted"]);
    }
    let mut we = Phone::answer("alice", &arguments);
    let mut they = Baresip::alone("bob", codec, theirs);
    they.dial(&we.address());
    they.awaits("CALL_ESTABLISHED");
    std::thread::sleep(Duration::from_secs(4));
    they.hang_up();
    we.succeeds();
    sound::listen(&heard).assert_is_tone(TONE, LONG);
    they.awaits("CALL_CLOSED");
    sound::listen(&they.heard()).assert_is_tone(OURS, LONG);
}

#[test]
fn each_side_holds_and_resumes_and_digits_go_both_ways() {
    if !all_present(&["baresip"]) {
        return;
    }
    let mut they = Baresip::alone("bob", Codec::Pcmu, Encryption::None);
    let mut we = Phone::call(
        "alice",
        &they.contact(),
        &["--dtmf", ",,12#", "--expect", "dtmf:79", "--expect", "ended-by:remote"],
    );
    they.awaits("CALL_INCOMING");
    they.accept();
    we.awaits("SIPSessionDidStart", |_| true);
    for digit in ["1", "2", "#"] {
        let event = they.awaits("CALL_DTMF_START");
        assert_eq!(event["param"], digit, "{event}");
    }
    they.press('7');
    they.press('9');
    we.awaits("SIPSessionGotDTMF", |told| told["digit"] == "9");
    they.hold();
    we.awaits("SIPSessionGotHoldRequest", |told| told["originator"] == "remote");
    they.resume();
    we.awaits("SIPSessionGotUnholdRequest", |told| told["originator"] == "remote");
    they.hang_up();
    we.succeeds();
}
