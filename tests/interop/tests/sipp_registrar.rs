//! The registrar seen by SIPp: digest, bindings, leaving.

use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::sipp::{Sipp, register, registration};

const BOB: &str = "sip:bob@example.test";

fn with_bob() -> Server {
    Server::start(Settings::default().user("bob", "swordfish"))
}

/// RFC 3261 §22, §10.
#[test]
fn registration_is_challenged_and_accepted_with_the_password() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = with_bob();
    let bob = registration(&server, "bob", "sip:bob@127.0.0.1:40000").run();
    let accepted = bob.received("SIP/2.0 200");
    assert!(accepted[0].contains("sip:bob@127.0.0.1:40000"), "{}", accepted[0]);
    assert_eq!(bob.received("SIP/2.0 401").len(), 1, "the credentials were good the first time");
}

#[test]
fn registration_over_tcp_is_accepted() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = with_bob();
    registration(&server, "bob", "sip:bob@127.0.0.1:40000;transport=tcp").tcp().run();
}

#[test]
fn wrong_password_does_not_register() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = with_bob();
    Sipp::new("register_refused.xml")
        .user("bob", "wrong")
        .to(server.address())
        .key("contact", "sip:bob@127.0.0.1:40000")
        .key("contact_params", "")
        .key("expires", "120")
        .run();
    Sipp::caller("uac_refused.xml", &server, BOB).expecting(480).run();
}

#[test]
fn unknown_user_is_treated_like_one_with_a_wrong_password() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = with_bob();
    Sipp::new("register_refused.xml")
        .user("mallory", "wrong")
        .to(server.address())
        .key("contact", "sip:mallory@127.0.0.1:40000")
        .key("contact_params", "")
        .key("expires", "120")
        .run();
}

/// RFC 3261 §10.2.1.1, §10.2.2, §10.2.3.
#[test]
fn bindings_are_listed_and_removed() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = with_bob();
    Sipp::new("register_and_leave.xml")
        .user("bob", "swordfish")
        .to(server.address())
        .key("contact", "sip:bob@127.0.0.1:40000")
        .key("contact_params", "")
        .key("expires", "120")
        .run();
    Sipp::caller("uac_refused.xml", &server, BOB).expecting(480).run();
}

#[test]
fn binding_is_gone_when_it_expires() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default().without_message_store().min_expires(1));
    let bob = Sipp::new("uas_message.xml").key("user", "bob");
    let contact = bob.contact("bob");
    let mut bob = bob.start();
    register(&server, "bob", &contact);
    Sipp::caller("uac_message.xml", &server, BOB).expecting(200).run();
    bob.succeeds();
    registration(&server, "bob", &contact).key("expires", "1").run();
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    Sipp::caller("uac_message.xml", &server, BOB).expecting(480).run();
}

/// RFC 3428 §7: "202 (Accepted)": the message has not reached its recipient, and will when he comes back.
#[test]
fn message_to_a_user_who_is_away_is_kept_and_delivered_when_he_registers() {
    if !all_present(&["sipp"]) {
        return;
    }
    let server = Server::start(Settings::default());
    let bob = Sipp::new("uas_message.xml").key("user", "bob");
    let contact = bob.contact("bob");
    let mut bob = bob.start();
    Sipp::caller("uac_message.xml", &server, BOB).expecting(202).run();
    register(&server, "bob", &contact);
    bob.succeeds();
}
