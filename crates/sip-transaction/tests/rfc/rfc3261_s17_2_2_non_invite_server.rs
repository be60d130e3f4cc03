//! RFC 3261 §17.2.2, the non-INVITE server transaction; when it may send what is in `rfc4320.rs`.

use bytes::Bytes;
use sip_message::Transport::{self, Tcp, Udp};
use sip_transaction::non_invite_server::{Input, NonInviteServerTransaction, State};
use sip_transaction::{Output, Reason, Timers};

use crate::harness::{TIMERS, World, show, status};

pub(crate) fn trying(transport: Transport) -> World<NonInviteServerTransaction> {
    World::new(NonInviteServerTransaction::start(transport, &Timers::default()))
}

impl World<NonInviteServerTransaction> {
    pub(crate) fn request(&mut self) -> String {
        self.input(|machine, timers| machine.handle(Input::RequestReceived, timers))
    }

    /// The user responds; the octets are the code.
    pub(crate) fn respond(&mut self, code: u16) -> String {
        self.input(|machine, timers| {
            machine.handle(Input::Respond(status(code), Bytes::from(code.to_string())), timers)
        })
    }
}

/// §17.2.2: "Once in the Trying state, any further request retransmissions are discarded."
#[test]
fn copies_of_the_request_are_absorbed_until_there_is_a_response() {
    let mut bob = trying(Udp);
    bob.wait(500);
    assert_eq!(bob.request(), "");
    assert_eq!(bob.when(|output| *output == Output::DeliverToUser), [0]);
}

/// §17.2.2: "the most recently sent provisional response MUST be passed to the transport layer for retransmission".
#[test]
fn a_copy_of_the_request_gets_the_100() {
    let mut bob = trying(Tcp);
    assert_eq!(bob.respond(100), "send, -Trying100");
    bob.wait(500);
    assert_eq!(bob.request(), "send");
    assert_eq!(bob.respond(100), "send");
    assert_eq!(bob.sent(b"100"), [0, 500, 500]);
    assert_eq!(bob.machine.state(), State::Proceeding);
}

/// §17.2.2: Timer J is "64*T1 seconds for unreliable transports"; "Any other final responses passed by the TU to the
/// server transaction MUST be discarded while in the Completed state."
#[test]
fn a_copy_of_the_request_gets_the_final_response_until_timer_j() {
    let mut bob = trying(Udp);
    bob.wait(100);
    assert_eq!(bob.respond(200), "send, -Trying100, -Expiry, +J 32s");
    bob.wait(400);
    assert_eq!(bob.request(), "send");
    assert_eq!(bob.respond(500), "ignored AnsweredAlready");
    bob.wait(1000);
    assert_eq!(bob.request(), "send");
    bob.wait(60_000);
    assert_eq!(bob.sent(b"200"), [100, 500, 1500]);
    assert_eq!(bob.end(), Some((32_100, Reason::Finished)));
}

/// §17.2.2: Timer J has "zero seconds for reliable transports".
#[test]
fn a_reliable_transport_ends_with_the_final_response() {
    let mut bob = trying(Tcp);
    assert_eq!(bob.respond(200), "send, -Trying100, -Expiry, end Finished");
    assert_eq!(bob.request(), "ignored TransactionOver");
}

/// RFC 6026 §8.8 in place of §17.2.4: the transaction informs its user "and MUST remain in the current state".
#[test]
fn a_transport_failure_is_reported_and_the_transaction_goes_on() {
    let mut bob = trying(Udp);
    bob.respond(200);
    assert_eq!(bob.input(|machine, timers| machine.handle(Input::TransportFailed, timers)), "report failure");
    assert_eq!(bob.request(), "send");
}

/// The figure, whole: what is not in this table is ignored and changes nothing.
#[test]
fn every_state_knows_its_inputs_and_ignores_the_others() {
    use State::{Completed, Proceeding, Terminated, Trying};
    const TABLE: &[(State, &str, State, &str)] = &[
        (Trying, "Trying100", Trying, "respond 100"),
        (Trying, "Expiry", Terminated, "-Trying100, end Unanswered"),
        (Trying, "request", Trying, ""),
        (Trying, "200", Completed, "send, -Trying100, -Expiry, +J 32s"),
        (Trying, "503", Completed, "send, -Trying100, -Expiry, +J 32s"),
        (Proceeding, "Expiry", Terminated, "end Unanswered"),
        (Proceeding, "request", Proceeding, "send"),
        (Proceeding, "100", Proceeding, "send"),
        (Proceeding, "200", Completed, "send, -Expiry, +J 32s"),
        (Proceeding, "503", Completed, "send, -Expiry, +J 32s"),
        (Proceeding, "failed", Proceeding, "report failure"),
        (Completed, "request", Completed, "send"),
        (Completed, "J", Terminated, "end Finished"),
        (Completed, "failed", Completed, "report failure"),
    ];
    let timers = Timers::default();
    let octets = || Bytes::from_static(b"response");
    let inputs = TIMERS
        .iter()
        .map(|timer| format!("{timer:?}"))
        .chain(["request", "100", "180", "200", "408", "503", "failed"].map(str::to_owned));
    for input in inputs {
        for state in [Trying, Proceeding, Completed, Terminated] {
            let mut machine = NonInviteServerTransaction::start(Udp, &timers).0;
            match state {
                Trying => {}
                Proceeding => {
                    machine.handle(Input::TimerFired(sip_transaction::Timer::Trying100), &timers);
                    machine.handle(Input::Respond(status(100), octets()), &timers);
                }
                Completed => drop(machine.handle(Input::Respond(status(200), octets()), &timers)),
                Terminated => drop(machine.handle(Input::TimerFired(sip_transaction::Timer::Expiry), &timers)),
            }
            assert_eq!(machine.state(), state);
            let timer = TIMERS.into_iter().find(|timer| format!("{timer:?}") == input);
            let orders = match (timer, input.as_str()) {
                (Some(timer), _) => machine.handle(Input::TimerFired(timer), &timers),
                (None, "request") => machine.handle(Input::RequestReceived, &timers),
                (None, "failed") => machine.handle(Input::TransportFailed, &timers),
                (None, code) => machine.handle(Input::Respond(status(code.parse().unwrap()), octets()), &timers),
            };
            match TABLE.iter().find(|row| row.0 == state && row.1 == input) {
                Some(row) => assert_eq!((machine.state(), show(&orders).as_str()), (row.2, row.3), "{state:?} {input}"),
                None => {
                    assert!(matches!(orders[..], [Output::Ignored(_)]), "{state:?} {input}: {}", show(&orders));
                    assert_eq!(machine.state(), state, "{input}");
                }
            }
        }
    }
}

#[test]
fn the_machine_is_small() {
    assert!(size_of::<NonInviteServerTransaction>() <= 40);
}
