//! Calls between SIPp and SIPp with a B2BUA between them: what one leg says, the other hears.

use std::time::Duration;

use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::sipp::{RunningSipp, Sipp, register};

const BOB: &str = "sip:bob@example.test";

/// A server that bridges every call, with bob registered at a SIPp that plays this scenario so many times.
fn bob_plays(scenario: &str, calls: u32) -> (Server, RunningSipp) {
    bob_of(Settings::default().b2bua(), scenario, calls)
}

fn bob_of(settings: Settings, scenario: &str, calls: u32) -> (Server, RunningSipp) {
    let server = Server::start(settings);
    let bob = Sipp::new(scenario).key("user", "bob").calls(calls);
    let contact = bob.contact("bob");
    let bob = bob.start();
    register(&server, "bob", &contact);
    (server, bob)
}

#[test]
fn two_hundred_calls_are_bridged_and_ended_by_their_callers() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_call.xml", 200);
    Sipp::caller("uac_call.xml", &server, BOB).calls(200).rate(100).run();
    bob.succeeds();
}

/// RFC 7092 §3: the legs are dialogs of their own.
#[test]
fn the_callee_sees_nothing_of_the_callers_address() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_call.xml", 1);
    let caller = Sipp::caller("uac_call.xml", &server, BOB);
    let address = caller.address().to_string();
    caller.run();
    bob.succeeds();
    let invites = bob.received("INVITE");
    let invite = invites.first().expect("an INVITE came");
    assert!(!invite.contains(&address), "the caller's address is told:\n{invite}");
}

#[test]
fn a_call_that_the_callee_ends_is_ended_for_the_caller() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_call_ends.xml", 1);
    Sipp::caller("uac_call_callee_ends.xml", &server, BOB).run();
    bob.succeeds();
}

#[test]
fn a_busy_callee_is_busy_for_the_caller() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_busy.xml", 1);
    Sipp::caller("uac_refused.xml", &server, BOB).expecting(486).run();
    bob.succeeds();
}

#[test]
fn a_caller_that_gives_up_stops_the_ringing() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_cancelled.xml", 1);
    Sipp::caller("uac_cancel.xml", &server, BOB).run();
    bob.succeeds();
}

/// RFC 3262: the PRACK of one leg is that of the other.
#[test]
fn a_reliable_provisional_response_is_acknowledged_end_to_end() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_100rel.xml", 1);
    Sipp::caller("uac_100rel.xml", &server, BOB).run();
    bob.succeeds();
}

/// RFC 3261 §14: the re-INVITE of one leg is that of the other.
#[test]
fn a_call_is_held_and_resumed_across_the_legs() {
    if !all_present(&["sipp"]) {
        return;
    }
    let (server, mut bob) = bob_plays("uas_hold.xml", 1);
    Sipp::caller("uac_hold.xml", &server, BOB).hold(Duration::from_millis(200)).run();
    bob.succeeds();
}

/// The prepaid application: when the balance is used up, both sides get a BYE.
#[test]
fn a_prepaid_call_is_cut_off_for_both_sides_when_the_balance_is_used_up() {
    if !all_present(&["sipp"]) {
        return;
    }
    let prepaid = "[[route]]\napplication = \"prepaid\"\nwhen = { equal = { var = \"request.method\", value = \"INVITE\" } }\n\
                   [applications.prepaid.balances]\nalice = 2";
    let (server, mut bob) = bob_of(Settings::default().section(prepaid), "uas_call.xml", 1);
    Sipp::caller("uac_call_callee_ends.xml", &server, BOB).run();
    bob.succeeds();
}
