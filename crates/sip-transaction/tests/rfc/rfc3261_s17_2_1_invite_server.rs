//! RFC 3261 §17.2.1, the INVITE server transaction; its Accepted state and its transport errors are in `rfc6026.rs`.

use bytes::Bytes;
use sip_message::Transport::{self, Tcp, Udp};
use sip_transaction::invite_server::{Input, InviteServerTransaction, State};
use sip_transaction::{Output, Reason, Timers};

use crate::harness::{TIMERS, World, show, status};

pub(crate) fn proceeding(transport: Transport) -> World<InviteServerTransaction> {
    World::new(InviteServerTransaction::start(transport, &Timers::default()))
}

impl World<InviteServerTransaction> {
    pub(crate) fn invite(&mut self) -> String {
        self.input(|machine, timers| machine.handle(Input::InviteReceived, timers))
    }

    pub(crate) fn ack(&mut self) -> String {
        self.input(|machine, timers| machine.handle(Input::AckReceived, timers))
    }

    /// The user responds; the octets are the code.
    pub(crate) fn respond(&mut self, code: u16) -> String {
        self.input(|machine, timers| {
            machine.handle(Input::Respond(status(code), Bytes::from(code.to_string())), timers)
        })
    }
}

/// §17.2.1: "MUST generate a 100 (Trying) response unless it knows that the TU will generate a provisional or final
/// response within 200 ms".
#[test]
fn a_silent_user_makes_a_100_due_after_200_milliseconds() {
    let mut bob = proceeding(Udp);
    bob.wait(10_000);
    assert_eq!(bob.when(|output| *output == Output::RespondTrying), [200]);
}

#[test]
fn a_user_who_answers_in_time_sends_no_100() {
    for code in [100, 180, 200, 486] {
        let mut bob = proceeding(Udp);
        bob.wait(199);
        assert!(bob.respond(code).starts_with("send, -Trying100"), "{code}");
        bob.wait(10_000);
        assert_eq!(bob.when(|output| *output == Output::RespondTrying), [0u64; 0]);
    }
}

/// §17.2.1: "the most recent provisional response that was received from the TU MUST be passed to the transport layer".
#[test]
fn a_copy_of_the_invite_gets_the_last_provisional_response() {
    let mut bob = proceeding(Udp);
    assert_eq!(bob.invite(), "");
    bob.wait(500);
    bob.respond(100);
    bob.respond(180);
    bob.wait(500);
    assert_eq!(bob.invite(), "send");
    bob.respond(183);
    bob.wait(500);
    assert_eq!(bob.invite(), "send");
    assert_eq!(bob.sent(b"180"), [500, 1000]);
    assert_eq!(bob.sent(b"183"), [1000, 1500]);
    assert_eq!(bob.when(|output| *output == Output::DeliverToUser), [0]);
}

/// §17.2.1: Timer G starts at T1, doubles, and is capped at T2; "Timer H determines when the server transaction abandons
/// retransmitting the response", and "MUST indicate to the TU that a transaction failure has occurred".
#[test]
fn timer_g_doubles_up_to_t2_until_timer_h_gives_the_ack_up() {
    let mut bob = proceeding(Udp);
    assert_eq!(bob.respond(486), "send, -Trying100, +G 500ms, +H 32s");
    bob.wait(60_000);
    assert_eq!(bob.sent(b"486"), [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    assert_eq!(bob.end(), Some((32_000, Reason::AckTimeout)));
}

/// §17.2.1: Timer G "is not set to fire for reliable transports", Timer H is set "for all transports".
#[test]
fn a_reliable_transport_sends_a_failure_once_and_waits_as_long() {
    let mut bob = proceeding(Tcp);
    assert_eq!(bob.respond(486), "send, -Trying100, +H 32s");
    bob.wait(60_000);
    assert_eq!(bob.sent(b"486"), [0]);
    assert_eq!(bob.end(), Some((32_000, Reason::AckTimeout)));
}

#[test]
fn a_copy_of_the_invite_gets_the_failure() {
    let mut bob = proceeding(Udp);
    bob.respond(486);
    bob.wait(200);
    assert_eq!(bob.invite(), "send");
    bob.wait(400);
    // Timer G is not moved by it.
    assert_eq!(bob.sent(b"486"), [0, 200, 500]);
}

/// §17.2.1: the Confirmed state is there "to absorb any additional ACK messages", for T4.
#[test]
fn an_ack_ends_retransmission_and_its_copies_are_absorbed() {
    let mut bob = proceeding(Udp);
    bob.respond(486);
    bob.wait(600);
    assert_eq!(bob.ack(), "-G, -H, +I 5s");
    bob.wait(100);
    assert_eq!(bob.ack(), "");
    bob.wait(60_000);
    assert_eq!(bob.sent(b"486"), [0, 500]);
    assert_eq!(bob.when(|output| *output == Output::DeliverToUser), [0]);
    assert_eq!(bob.end(), Some((5600, Reason::Finished)));
}

/// §17.2.1: Timer I has "zero seconds for reliable transports".
#[test]
fn a_reliable_transport_ends_with_the_ack() {
    let mut bob = proceeding(Tcp);
    bob.respond(486);
    assert_eq!(bob.ack(), "-H, end Finished");
}

/// The figure, whole: what is not in this table is ignored and changes nothing.
#[test]
fn every_state_knows_its_inputs_and_ignores_the_others() {
    use State::{Accepted, Completed, Confirmed, Proceeding, Terminated};
    const TABLE: &[(State, &str, State, &str)] = &[
        (Proceeding, "Trying100", Proceeding, "respond 100"),
        (Proceeding, "invite", Proceeding, ""),
        (Proceeding, "180", Proceeding, "send, -Trying100"),
        (Proceeding, "200", Accepted, "send, -Trying100, +L 32s"),
        (Proceeding, "486", Completed, "send, -Trying100, +G 500ms, +H 32s"),
        (Proceeding, "failed", Proceeding, "report failure"),
        (Completed, "invite", Completed, "send"),
        (Completed, "G", Completed, "send, +G 1s"),
        (Completed, "H", Terminated, "-G, end AckTimeout"),
        (Completed, "ack", Confirmed, "-G, -H, +I 5s"),
        (Completed, "failed", Completed, "report failure"),
        (Confirmed, "ack", Confirmed, ""),
        (Confirmed, "I", Terminated, "end Finished"),
        (Accepted, "invite", Accepted, ""),
        (Accepted, "ack", Accepted, "to user"),
        (Accepted, "200", Accepted, "send"),
        (Accepted, "L", Terminated, "end Finished"),
        (Accepted, "failed", Accepted, "report failure"),
    ];
    let timers = Timers::default();
    let octets = || Bytes::from_static(b"response");
    let inputs = TIMERS
        .iter()
        .map(|timer| format!("{timer:?}"))
        .chain(["invite", "ack", "180", "200", "486", "failed"].map(str::to_owned));
    for input in inputs {
        for state in [Proceeding, Completed, Confirmed, Accepted, Terminated] {
            let mut machine = InviteServerTransaction::start(Udp, &timers).0;
            match state {
                Proceeding => {}
                Accepted => drop(machine.handle(Input::Respond(status(200), octets()), &timers)),
                Completed => drop(machine.handle(Input::Respond(status(486), octets()), &timers)),
                Confirmed => {
                    machine.handle(Input::Respond(status(486), octets()), &timers);
                    machine.handle(Input::AckReceived, &timers);
                }
                Terminated => {
                    machine.handle(Input::Respond(status(200), octets()), &timers);
                    machine.handle(Input::TimerFired(sip_transaction::Timer::L), &timers);
                }
            }
            assert_eq!(machine.state(), state);
            let timer = TIMERS.into_iter().find(|timer| format!("{timer:?}") == input);
            let orders = match (timer, input.as_str()) {
                (Some(timer), _) => machine.handle(Input::TimerFired(timer), &timers),
                (None, "invite") => machine.handle(Input::InviteReceived, &timers),
                (None, "ack") => machine.handle(Input::AckReceived, &timers),
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
    assert!(size_of::<InviteServerTransaction>() <= 40);
}
