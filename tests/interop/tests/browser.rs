//! Phones in a browser, over WebSocket (RFC 7118): their addresses are `….invalid`, so everything
//! that is for them must take the connection that they opened.

use cordboard_interop::browser::{Library, Scenario, play};
use cordboard_interop::certificates::Authority;
use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::{DOMAIN, workspace};

const PROGRAMS: [&str; 3] = ["chromium", "node", "npm"];

fn settings() -> Settings {
    Settings::default().without_message_store().websocket().user("alice", "wonderland").user("bob", "swordfish")
}

fn two_phones(library: Library, scenario: Scenario) {
    if all_present(&PROGRAMS) {
        play(&Server::start(settings()), library, scenario);
    }
}

#[test]
fn jssip_phones_exchange_options_and_messages_until_one_leaves() {
    two_phones(Library::JsSip, Scenario::Messages);
}

#[test]
fn jssip_phones_call_each_other_and_the_caller_hangs_up() {
    two_phones(Library::JsSip, Scenario::CallEndedByCaller);
}

#[test]
fn jssip_phones_call_each_other_and_the_callee_hangs_up() {
    two_phones(Library::JsSip, Scenario::CallEndedByCallee);
}

#[test]
fn jssip_phone_with_a_wrong_password_is_not_registered() {
    two_phones(Library::JsSip, Scenario::WrongPassword);
}

#[test]
fn sipjs_phones_exchange_options_and_messages_until_one_leaves() {
    two_phones(Library::SipJs, Scenario::Messages);
}

#[test]
fn sipjs_phones_call_each_other_and_the_caller_hangs_up() {
    two_phones(Library::SipJs, Scenario::CallEndedByCaller);
}

#[test]
fn sipjs_phones_call_each_other_and_the_callee_hangs_up() {
    two_phones(Library::SipJs, Scenario::CallEndedByCallee);
}

#[test]
fn sipjs_phone_with_a_wrong_password_is_not_registered() {
    two_phones(Library::SipJs, Scenario::WrongPassword);
}

#[test]
fn jssip_phones_call_each_other_over_secure_websocket() {
    if !all_present(&PROGRAMS) {
        return;
    }
    let authority = Authority::new(&workspace::run_folder());
    let identity = authority.identity("server", &[DOMAIN, "127.0.0.1"]);
    let server = Server::start(settings().tls(&identity, authority.certificate.clone()));
    play(&server, Library::JsSip, Scenario::CallEndedByCallee);
}
