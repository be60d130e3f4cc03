//! RFC 4320: what a server may not send to a request other than INVITE, and when.

use sip_message::Transport::{Tcp, Udp};
use sip_transaction::{Output, Reason};

use crate::rfc3261_s17_2_2_non_invite_server::trying;

/// §4.1: "An SIP element MUST NOT send any provisional response with a Status-Code other than 100 to a non-INVITE
/// request."
#[test]
fn no_provisional_response_but_100_is_sent() {
    for transport in [Udp, Tcp] {
        let mut bob = trying(transport);
        for code in [101, 180, 183, 199] {
            assert_eq!(bob.respond(code), "ignored ProvisionalToNonInvite");
        }
        assert_eq!(bob.when(|output| matches!(output, Output::Send(_))), [0u64; 0]);
    }
}

/// §4.1: no 100 "over any unreliable transport, such as UDP, before the amount of time it takes a client transaction's
/// Timer E to be reset to T2".
#[test]
fn over_udp_a_100_waits_until_timer_e_reaches_t2() {
    let mut bob = trying(Udp);
    bob.wait(3499);
    assert_eq!(bob.respond(100), "ignored TryingTooEarly");
    bob.wait(1);
    assert_eq!(bob.when(|output| *output == Output::RespondTrying), [3500]);
    assert_eq!(bob.respond(100), "send");
}

/// §4.1: "MAY respond to a non-INVITE request with a Status-Code of 100 over a reliable transport at any time", and
/// "without regard to transport […] MUST respond […] with a Status-Code of 100 if it has not otherwise responded".
#[test]
fn over_tcp_a_100_may_be_sent_at_once_and_is_due_at_the_same_time() {
    let mut bob = trying(Tcp);
    assert_eq!(bob.respond(100), "send, -Trying100");
    let mut bob = trying(Tcp);
    bob.wait(10_000);
    assert_eq!(bob.when(|output| *output == Output::RespondTrying), [3500]);
}

#[test]
fn a_user_who_answers_in_time_sends_no_100() {
    let mut bob = trying(Udp);
    bob.wait(3000);
    bob.respond(200);
    bob.wait(1000);
    assert_eq!(bob.when(|output| *output == Output::RespondTrying), [0u64; 0]);
}

/// §4.2: "MUST NOT send a response with Status-Code of 408 to a non-INVITE request".
#[test]
fn no_408_is_sent() {
    let mut bob = trying(Udp);
    assert_eq!(bob.respond(408), "ignored RequestTimeoutToNonInvite");
    bob.wait(5000);
    bob.respond(100);
    assert_eq!(bob.respond(408), "ignored RequestTimeoutToNonInvite");
    assert_eq!(bob.respond(480), "send, -Expiry, +J 32s");
}

/// §4.2: "an element that cannot respond before the transaction expires will not send a final response at all".
#[test]
fn a_final_response_after_64_t1_is_dropped() {
    for transport in [Udp, Tcp] {
        let mut bob = trying(transport);
        bob.wait(5000);
        bob.respond(100);
        bob.wait(60_000);
        assert_eq!(bob.end(), Some((32_000, Reason::Unanswered)));
        assert_eq!(bob.respond(200), "ignored TransactionOver");
        assert_eq!(bob.sent(b"200"), [0u64; 0]);
    }
}
