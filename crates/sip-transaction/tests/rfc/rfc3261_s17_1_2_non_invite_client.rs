//! RFC 3261 §17.1.2, the non-INVITE client transaction.

use bytes::Bytes;
use sip_message::Transport::{self, Tcp, Udp};
use sip_transaction::non_invite_client::{Input, NonInviteClientTransaction, State};
use sip_transaction::{Output, Reason, Timers};

use crate::harness::{TIMERS, World, show, status};

const BYE: &[u8] = b"BYE";

fn trying(transport: Transport) -> World<NonInviteClientTransaction> {
    World::new(NonInviteClientTransaction::start(Bytes::from_static(BYE), transport, &Timers::default()))
}

impl World<NonInviteClientTransaction> {
    fn receives(&mut self, code: u16) -> String {
        self.input(|machine, timers| machine.handle(Input::ResponseReceived(status(code)), timers))
    }
}

/// §17.1.2.2: "For the default values of T1 and T2, this results in intervals of 500 ms, 1 s, 2 s, 4 s, 4 s, 4 s, etc."
#[test]
fn timer_e_doubles_up_to_t2_until_timer_f_gives_up() {
    let mut alice = trying(Udp);
    alice.wait(60_000);
    assert_eq!(alice.sent(BYE), [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    assert_eq!(alice.end(), Some((32_000, Reason::Timeout)));
}

#[test]
fn a_reliable_transport_sends_once_and_gives_up_at_the_same_instant() {
    let mut alice = trying(Tcp);
    alice.wait(60_000);
    assert_eq!(alice.sent(BYE), [0]);
    assert_eq!(alice.end(), Some((32_000, Reason::Timeout)));
}

/// §17.1.2.1: "If a provisional response is received, retransmissions continue for unreliable transports, but at an
/// interval of T2."
#[test]
fn a_provisional_response_slows_retransmission_to_t2() {
    let mut alice = trying(Udp);
    alice.wait(600);
    assert_eq!(alice.receives(100), "to user");
    assert_eq!(alice.machine.state(), State::Proceeding);
    alice.wait(60_000);
    // The interval that runs when the 100 comes is not cut or stretched.
    assert_eq!(alice.sent(BYE), [0, 500, 1500, 5500, 9500, 13_500, 17_500, 21_500, 25_500, 29_500]);
    assert_eq!(alice.end(), Some((32_000, Reason::Timeout)));
}

/// §17.1.2.2: "Once the client transaction enters the Completed state, it MUST set Timer K to fire in T4 seconds for
/// unreliable transports" and "exists to buffer any additional response retransmissions".
#[test]
fn only_one_final_response_is_delivered() {
    let mut alice = trying(Udp);
    alice.wait(100);
    assert_eq!(alice.receives(200), "to user, -E, -F, +K 5s");
    alice.wait(1000);
    assert_eq!(alice.receives(200), "");
    alice.wait(60_000);
    assert_eq!(alice.when(|output| *output == Output::DeliverToUser), [100]);
    assert_eq!(alice.sent(BYE), [0]);
    assert_eq!(alice.end(), Some((5100, Reason::Finished)));
}

/// §17.1.2.2: Timer K has "zero seconds for reliable transports".
#[test]
fn a_reliable_transport_ends_with_the_final_response() {
    let mut alice = trying(Tcp);
    assert_eq!(alice.receives(100), "to user");
    assert_eq!(alice.receives(481), "to user, -F, end Finished");
}

/// The figure, whole: what is not in this table is ignored and changes nothing.
#[test]
fn every_state_knows_its_inputs_and_ignores_the_others() {
    use State::{Completed, Proceeding, Terminated, Trying};
    const TABLE: &[(State, &str, State, &str)] = &[
        (Trying, "E", Trying, "send, +E 1s"),
        (Trying, "F", Terminated, "-E, end Timeout"),
        (Trying, "100", Proceeding, "to user"),
        (Trying, "200", Completed, "to user, -E, -F, +K 5s"),
        (Trying, "503", Completed, "to user, -E, -F, +K 5s"),
        (Trying, "failed", Terminated, "-E, -F, end TransportFailed"),
        (Proceeding, "E", Proceeding, "send, +E 4s"),
        (Proceeding, "F", Terminated, "-E, end Timeout"),
        (Proceeding, "100", Proceeding, "to user"),
        (Proceeding, "200", Completed, "to user, -E, -F, +K 5s"),
        (Proceeding, "503", Completed, "to user, -E, -F, +K 5s"),
        (Proceeding, "failed", Terminated, "-E, -F, end TransportFailed"),
        (Completed, "200", Completed, ""),
        (Completed, "503", Completed, ""),
        (Completed, "K", Terminated, "end Finished"),
    ];
    let timers = Timers::default();
    let inputs =
        TIMERS.iter().map(|timer| format!("{timer:?}")).chain(["100", "200", "503", "failed"].map(str::to_owned));
    for input in inputs {
        for state in [Trying, Proceeding, Completed, Terminated] {
            let mut machine = NonInviteClientTransaction::start(Bytes::from_static(BYE), Udp, &timers).0;
            match state {
                Trying => {}
                Proceeding => drop(machine.handle(Input::ResponseReceived(status(100)), &timers)),
                Completed => drop(machine.handle(Input::ResponseReceived(status(200)), &timers)),
                Terminated => drop(machine.handle(Input::TransportFailed, &timers)),
            }
            assert_eq!(machine.state(), state);
            let timer = TIMERS.into_iter().find(|timer| format!("{timer:?}") == input);
            let orders = match (timer, input.as_str()) {
                (Some(timer), _) => machine.handle(Input::TimerFired(timer), &timers),
                (None, "failed") => machine.handle(Input::TransportFailed, &timers),
                (None, code) => machine.handle(Input::ResponseReceived(status(code.parse().unwrap())), &timers),
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
    assert!(size_of::<NonInviteClientTransaction>() <= 40);
}
