//! RFC 6026: the Accepted states, and transport errors that end no INVITE server transaction.

use sip_message::Transport::{Tcp, Udp};
use sip_transaction::invite_client::{self, InviteClientTransaction};
use sip_transaction::{Output, Reason, Timers, invite_server};

use crate::harness::{INVITE, World, printed, response_to_invite};
use crate::rfc3261_s17_2_1_invite_server::proceeding;

/// §7.2: "A 2xx response received while in the Accepted state MUST be passed to the TU and the machine remains in the
/// Accepted state. The client transaction MUST NOT generate an ACK."
#[test]
fn every_2xx_goes_to_the_user_of_the_client_until_timer_m() {
    for transport in [Udp, Tcp] {
        let mut alice = World::new(InviteClientTransaction::start(printed(INVITE), transport, &Timers::default()));
        let ok = response_to_invite(200);
        let mut receives = |milliseconds| {
            alice.wait(milliseconds);
            alice.input(|machine, timers| machine.handle(invite_client::Input::ResponseReceived(&ok), timers));
        };
        receives(100);
        receives(500);
        receives(31_499);
        assert_eq!(alice.machine.state(), invite_client::State::Accepted);
        alice.wait(60_000);
        assert_eq!(alice.when(|output| *output == Output::DeliverToUser), [100, 600, 32_099]);
        assert_eq!(alice.when(|output| matches!(output, Output::Send(_))), [0]);
        assert_eq!(alice.end(), Some((32_100, Reason::Finished)));
    }
}

/// §7.1: "any retransmissions of the INVITE received will match this transaction state machine and will be absorbed by
/// the machine without changing its state. These retransmissions are not passed onto the TU."
#[test]
fn an_accepted_invite_absorbs_its_copies_until_timer_l() {
    for transport in [Udp, Tcp] {
        let mut bob = proceeding(transport);
        bob.wait(100);
        assert_eq!(bob.respond(200), "send, -Trying100, +L 32s");
        bob.wait(10_000);
        assert_eq!(bob.invite(), "");
        bob.wait(60_000);
        assert_eq!(bob.when(|output| *output == Output::DeliverToUser), [0]);
        assert_eq!(bob.end(), Some((32_100, Reason::Finished)));
    }
}

/// §7.1: "The server transaction MUST NOT generate 2xx retransmissions on its own. Any retransmission of the 2xx response
/// passed from the TU to the transaction while in the Accepted state MUST be passed to the transport layer."
#[test]
fn the_2xx_is_sent_as_often_as_the_user_hands_it_in() {
    let mut bob = proceeding(Udp);
    bob.respond(200);
    bob.wait(500);
    bob.respond(200);
    bob.wait(1000);
    bob.respond(202);
    bob.wait(60_000);
    assert_eq!((bob.sent(b"200"), bob.sent(b"202")), (vec![0, 500], vec![1500]));
}

/// §7.1: "Any ACKs received from the network while in the Accepted state MUST be passed directly to the TU".
#[test]
fn an_ack_in_the_accepted_state_goes_to_the_user() {
    let mut bob = proceeding(Udp);
    bob.respond(200);
    assert_eq!(bob.ack(), "to user");
    assert_eq!(bob.ack(), "to user");
    assert_eq!(bob.machine.state(), invite_server::State::Accepted);
}

/// After the 2xx there is only the 2xx.
#[test]
fn no_other_response_follows_a_2xx() {
    let mut bob = proceeding(Udp);
    bob.respond(200);
    assert_eq!(bob.respond(180), "ignored AnsweredAlready");
    assert_eq!(bob.respond(486), "ignored AnsweredAlready");
}

/// §7.1: "A server transaction MUST NOT discard transaction state based only on encountering a non-recoverable transport
/// error when sending a response. […] This allows retransmissions of the INVITE to be absorbed".
#[test]
fn a_transport_failure_is_reported_and_the_state_stays() {
    for (code, then) in [(180, "send"), (486, "send"), (200, "")] {
        let mut bob = proceeding(Udp);
        bob.respond(code);
        let state = bob.machine.state();
        let orders = bob.input(|machine, timers| machine.handle(invite_server::Input::TransportFailed, timers));
        assert_eq!(orders, "report failure");
        assert_eq!(bob.machine.state(), state);
        assert_eq!(bob.invite(), then);
    }
}
