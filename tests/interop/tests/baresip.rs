//! Calls between two baresip phones through the server, and from one to the echo user.

use cordboard_interop::baresip::{Baresip, Transport};
use cordboard_interop::certificates::Authority;
use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::{DOMAIN, workspace};

fn settings() -> Settings {
    Settings::default().user("alice", "wonderland").user("bob", "swordfish")
}

fn server_with_tls() -> (Server, Transport) {
    let authority = Authority::new(&workspace::run_folder());
    let identity = authority.identity("server", &[DOMAIN, "127.0.0.1"]);
    let server = Server::start(settings().tls(&identity, authority.certificate.clone()));
    (server, Transport::Tls(authority.certificate))
}

/// Alice calls bob, both hear something, alice holds and resumes; then one of them hangs up.
fn call(server: &Server, transport: &Transport, caller_hangs_up: bool) {
    let mut alice = Baresip::register(server, "alice", "wonderland", transport);
    let mut bob = Baresip::register(server, "bob", "swordfish", transport);

    alice.dial(&bob.address());
    bob.awaits("CALL_INCOMING");
    alice.awaits("CALL_RINGING");
    bob.accept();
    alice.awaits("CALL_ESTABLISHED");
    bob.awaits("CALL_ESTABLISHED");
    alice.awaits_sound();
    bob.awaits_sound();

    alice.hold();
    bob.awaits_trace("hold", |trace| trace.contains("a=sendonly"));
    alice.awaits_trace("answer to the hold", |trace| trace.contains("a=recvonly"));
    let before = bob.trace().len();
    alice.resume();
    bob.awaits_trace("resume", |trace| trace[before..].contains("a=sendrecv"));

    let (first, second) = if caller_hangs_up { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
    first.hang_up();
    second.awaits("CALL_CLOSED");
    assert!(second.trace().contains("BYE sip:"), "the call ended with a BYE");
}

#[test]
fn phones_call_each_other_over_udp_and_the_caller_hangs_up() {
    if !all_present(&["baresip"]) {
        return;
    }
    call(&Server::start(settings()), &Transport::Udp, true);
}

/// The call is two dialogs with the server in the middle: hold, resume and hang-up pass from one to the other.
#[test]
fn a_b2bua_bridges_phones_over_udp() {
    if !all_present(&["baresip"]) {
        return;
    }
    call(&Server::start(settings().b2bua()), &Transport::Udp, true);
}

#[test]
fn a_b2bua_bridges_phones_over_tcp() {
    if !all_present(&["baresip"]) {
        return;
    }
    call(&Server::start(settings().b2bua()), &Transport::Tcp, false);
}

#[test]
fn phones_call_each_other_over_udp_and_the_callee_hangs_up() {
    if !all_present(&["baresip"]) {
        return;
    }
    call(&Server::start(settings()), &Transport::Udp, false);
}

/// The callee is reached over the connection on which it registered.
#[test]
fn phones_call_each_other_over_tcp() {
    if !all_present(&["baresip"]) {
        return;
    }
    call(&Server::start(settings()), &Transport::Tcp, true);
}

#[test]
fn phones_call_each_other_over_tls() {
    if !all_present(&["baresip"]) {
        return;
    }
    let (server, tls) = server_with_tls();
    call(&server, &tls, false);
}

#[test]
fn caller_on_tls_reaches_a_callee_on_udp() {
    if !all_present(&["baresip"]) {
        return;
    }
    let (server, tls) = server_with_tls();
    let mut alice = Baresip::register(&server, "alice", "wonderland", &tls);
    let mut bob = Baresip::register(&server, "bob", "swordfish", &Transport::Udp);
    alice.dial(&bob.address());
    bob.awaits("CALL_INCOMING");
    bob.accept();
    alice.awaits("CALL_ESTABLISHED");
    bob.awaits("CALL_ESTABLISHED");
    bob.hang_up();
    alice.awaits("CALL_CLOSED");
}

#[test]
fn callee_may_decline() {
    if !all_present(&["baresip"]) {
        return;
    }
    let server = Server::start(settings());
    let mut alice = Baresip::register(&server, "alice", "wonderland", &Transport::Udp);
    let mut bob = Baresip::register(&server, "bob", "swordfish", &Transport::Udp);
    alice.dial(&bob.address());
    bob.awaits("CALL_INCOMING");
    bob.hang_up();
    alice.awaits("CALL_CLOSED");
    assert!(alice.trace().contains("SIP/2.0 486"), "declined as busy, the way this phone does it");
}

#[test]
fn caller_may_give_up() {
    if !all_present(&["baresip"]) {
        return;
    }
    let server = Server::start(settings());
    let mut alice = Baresip::register(&server, "alice", "wonderland", &Transport::Udp);
    let mut bob = Baresip::register(&server, "bob", "swordfish", &Transport::Udp);
    alice.dial(&bob.address());
    alice.awaits("CALL_RINGING");
    alice.hang_up();
    bob.awaits("CALL_CLOSED");
    assert!(bob.trace().contains("CANCEL sip:"));
}

#[test]
fn wrong_password_does_not_register() {
    if !all_present(&["baresip"]) {
        return;
    }
    let server = Server::start(settings());
    // It guesses the same password again and again, so that in the end it may be told to wait.
    let mut alice = Baresip::start(&server, "alice", "wrong", &Transport::Udp);
    alice.awaits_trace("refusal", |trace| {
        trace.lines().any(|line| {
            ["40", "50"].iter().any(|status| line.contains(&format!("reg: sip:alice@example.test: {status}")))
        })
    });
    assert!(!alice.trace().contains(" [1 binding]"));
}

#[test]
fn echo_user_is_heard() {
    if !all_present(&["baresip"]) {
        return;
    }
    let server = Server::start(settings());
    let mut alice = Baresip::register(&server, "alice", "wonderland", &Transport::Udp);
    alice.dial(&format!("sip:echo@{DOMAIN}"));
    alice.awaits("CALL_ESTABLISHED");
    alice.awaits_sound();
    alice.hang_up();
    alice.awaits("CALL_CLOSED");
}
