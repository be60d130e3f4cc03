//! SIGTERM: calls that are up go on and end, new ones are refused, the program leaves in time.

use std::time::Duration;

use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::sipp::{Sipp, register};

const ECHO: &str = "sip:echo@example.test";
const BOB: &str = "sip:bob@example.test";
const LEAVES: Duration = Duration::from_secs(15);

fn draining_server() -> Server {
    Server::start(Settings::default().drain(10))
}

#[test]
fn calls_that_are_up_end_normally_and_new_ones_are_refused() {
    if !all_present(&["sipp"]) {
        return;
    }
    let mut server = draining_server();
    let mut callers = Sipp::caller("uac_echo.xml", &server, ECHO)
        .key("rtp_port", "40000")
        .calls(20)
        .rate(100)
        .hold(Duration::from_secs(3))
        .start();
    callers.awaits_many("SIP/2.0 200", 20);
    server.drain();
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.is_alive(), "it left while calls were up");
    let refused = Sipp::caller("uac_refused.xml", &server, ECHO).expecting(503).run();
    assert!(refused.received("SIP/2.0 503")[0].contains("Retry-After:"), "when should the caller try again?");
    callers.succeeds();
    let status = server.wait(LEAVES).expect("it leaves when the last call has ended");
    assert!(status.success(), "{status}");
}

#[test]
fn call_that_rings_may_still_be_answered() {
    if !all_present(&["sipp"]) {
        return;
    }
    let mut server = draining_server();
    let bob = Sipp::new("uas_call_late.xml").key("user", "bob");
    let contact = bob.contact("bob");
    let mut bob = bob.start();
    register(&server, "bob", &contact);
    let mut caller = Sipp::caller("uac_call.xml", &server, BOB).start();
    caller.awaits("SIP/2.0 180");
    server.drain();
    caller.succeeds();
    bob.succeeds();
    assert!(server.wait(LEAVES).expect("it leaves").success());
}

#[test]
fn idle_server_leaves_at_once() {
    if !all_present(&[]) {
        return;
    }
    let mut server = draining_server();
    server.drain();
    let status = server.wait(Duration::from_secs(3)).expect("nothing is left to wait for");
    assert!(status.success(), "{status}");
}

#[test]
fn call_that_never_ends_does_not_keep_the_server() {
    if !all_present(&["sipp"]) {
        return;
    }
    let mut server = Server::start(Settings::default().drain(2));
    let mut caller =
        Sipp::caller("uac_echo.xml", &server, ECHO).key("rtp_port", "40000").hold(Duration::from_secs(60)).start();
    caller.awaits("SIP/2.0 200");
    server.drain();
    let status = server.wait(Duration::from_secs(6)).expect("the drain has a deadline");
    assert!(status.success(), "{status}");
}
