//! RFC 3261 §17.1.1, the INVITE client transaction; its Accepted state is in `rfc6026.rs`.

use bytes::Bytes;
use sip_message::Transport::{self, Tcp, Udp};
use sip_message::{HeaderName, Limits, Message, Method, Request, parse_datagram};
use sip_transaction::invite_client::{Input, InviteClientTransaction, State};
use sip_transaction::{Output, Reason, Timers, ack_for_failure};

use crate::harness::{INVITE, TIMERS, World, printed, response_to_invite, show};

fn calling(transport: Transport) -> World<InviteClientTransaction> {
    World::new(InviteClientTransaction::start(printed(INVITE), transport, &Timers::default()))
}

impl World<InviteClientTransaction> {
    fn receives(&mut self, code: u16) -> String {
        let response = response_to_invite(code);
        self.input(|machine, timers| machine.handle(Input::ResponseReceived(&response), timers))
    }

    fn cancels(&mut self) -> String {
        self.input(|machine, timers| machine.handle(Input::CancelSent, timers))
    }

    fn delivered(&self) -> Vec<u64> {
        self.when(|output| *output == Output::DeliverToUser)
    }
}

/// §17.1.1.2: "the value of 64*T1 is equal to the amount of time required to send seven requests".
#[test]
fn timer_a_doubles_until_timer_b_gives_up_after_seven_sends() {
    let mut alice = calling(Udp);
    alice.wait(60_000);
    assert_eq!(alice.sent(&printed(INVITE)), [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(alice.end(), Some((32_000, Reason::Timeout)));
}

/// §17.1.1.2: "If a reliable transport is being used, the client transaction SHOULD NOT start timer A".
#[test]
fn a_reliable_transport_sends_once_and_gives_up_at_the_same_instant() {
    let mut alice = calling(Tcp);
    alice.wait(60_000);
    assert_eq!(alice.sent(&printed(INVITE)), [0]);
    assert_eq!(alice.end(), Some((32_000, Reason::Timeout)));
}

/// §17.1.1.2: "In the Proceeding state, the client transaction SHOULD NOT retransmit the request any longer."
#[test]
fn a_provisional_response_ends_retransmission_and_the_wait() {
    let mut alice = calling(Udp);
    alice.wait(2000);
    assert_eq!(alice.receives(100), "to user, -A, -B");
    alice.wait(1000);
    assert_eq!(alice.receives(180), "to user");
    alice.wait(3_600_000);
    assert_eq!(alice.sent(&printed(INVITE)), [0, 500, 1500]);
    assert_eq!(alice.delivered(), [2000, 3000]);
    assert_eq!(alice.machine.state(), State::Proceeding);
}

/// §17.1.1.2: "Any retransmissions of the final response […] MUST cause the ACK to be re-passed to the transport layer
/// […] but the newly received response MUST NOT be passed up to the TU."
#[test]
fn a_final_failure_is_acknowledged_each_time_it_comes() {
    let mut alice = calling(Udp);
    alice.wait(100);
    assert_eq!(alice.receives(486), "send, to user, -A, -B, +D 32s");
    alice.wait(500);
    assert_eq!(alice.receives(486), "send");
    alice.wait(1000);
    assert_eq!(alice.receives(486), "send");
    alice.wait(60_000);
    assert_eq!(alice.delivered(), [100]);
    let ack = ack_for_failure(&printed(INVITE), &response_to_invite(486));
    assert_eq!(alice.sent(&ack), [100, 600, 1600]);
    assert_eq!(alice.end(), Some((32_100, Reason::Finished)));
}

/// §17.1.1.2: "the client transaction MUST generate an ACK request, even if the transport is reliable", and Timer D has
/// "a value of zero seconds for reliable transports".
#[test]
fn a_reliable_transport_acknowledges_once_and_ends() {
    let mut alice = calling(Tcp);
    assert_eq!(alice.receives(180), "to user, -B");
    assert_eq!(alice.receives(603), "send, to user, end Finished");
    assert_eq!(alice.receives(603), "ignored TransactionOver");
}

/// §17.1.4.
#[test]
fn a_transport_failure_while_calling_ends_the_transaction() {
    let mut alice = calling(Udp);
    let orders = alice.input(|machine, timers| machine.handle(Input::TransportFailed, timers));
    assert_eq!(orders, "-A, -B, end TransportFailed");
}

/// §9.1: "If there is no final response for the original request in 64*T1 seconds […] the client SHOULD then consider
/// the original transaction cancelled and SHOULD destroy the client transaction handling the original request."
#[test]
fn a_cancelled_invite_without_an_answer_is_given_up() {
    let mut alice = calling(Udp);
    assert_eq!(alice.cancels(), "ignored CancelTooEarly");
    alice.receives(180);
    alice.wait(10_000);
    assert_eq!(alice.cancels(), "+Cancel 32s");
    alice.wait(5_000);
    assert_eq!(alice.cancels(), "ignored CancelledAlready");
    assert_eq!(alice.receives(180), "to user");
    alice.wait(60_000);
    assert_eq!(alice.end(), Some((42_000, Reason::CancelTimeout)));
}

#[test]
fn the_487_to_a_cancelled_invite_is_acknowledged() {
    let mut alice = calling(Udp);
    alice.receives(180);
    alice.cancels();
    assert_eq!(alice.receives(487), "send, to user, -Cancel, +D 32s");
}

/// §9.1: the CANCEL is made of the request that it cancels; after a final response there is nothing to cancel.
#[test]
fn the_invite_is_there_as_long_as_it_can_be_cancelled() {
    for code in [200, 486] {
        let mut alice = calling(Udp);
        assert_eq!(alice.machine.request(), Some(&printed(INVITE)));
        alice.receives(180);
        assert_eq!(alice.machine.request(), Some(&printed(INVITE)));
        alice.receives(code);
        assert_eq!(alice.machine.request(), None);
    }
}

/// §17.1.1.3, the example.
#[test]
fn the_ack_is_the_one_of_the_rfc() {
    let ack = ack_for_failure(&printed(INVITE), &response_to_invite(486));
    let expected = printed(
        "ACK sip:bob@biloxi.com SIP/2.0
        Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKkjshdyff
        From: Alice <sip:alice@atlanta.com>;tag=88sja8x
        Call-ID: 987asjd97y7atg
        To: Bob <sip:bob@biloxi.com>;tag=99sa0xk
        CSeq: 986759 ACK
        Max-Forwards: 70",
    );
    assert_eq!(ack, expected);
}

/// §17.1.1.3: one Via, the Route fields of the INVITE; §22.1: its credentials; no body.
#[test]
fn the_ack_takes_route_and_credentials_and_only_the_top_via() {
    let invite = Bytes::from_static(
        b"INVITE sip:bob@biloxi.com;lr SIP/2.0\r\n\
          v: SIP/2.0/UDP a.example;branch=z9hG4bK1;x=\"a,\\\"b\" , SIP/2.0/UDP b.example;branch=z9hG4bK2\r\n\
          Via: SIP/2.0/UDP c.example;branch=z9hG4bK3\r\n\
          Route: <sip:p1.example;lr>,\r\n <sip:p2.example;lr>\r\n\
          t: <sip:bob@biloxi.com>\r\n\
          f: <sip:alice@atlanta.com>;tag=1\r\n\
          i: 1@a\r\n\
          Record-Route: <sip:p0.example;lr>\r\n\
          ROUTE: <sip:p3.example;lr>\r\n\
          Proxy-Authorization: Digest realm=\"a\", nonce=\"b\"\r\n\
          Contact: <sip:alice@a.example>\r\n\
          CSeq: 7   INVITE\r\n\
          Content-Type: text/plain\r\n\
          Content-Length: 24\r\n\r\n\
          Route: <sip:body.example>",
    );
    let ack = ack_for_failure(&invite, &response_to_invite(407));
    let ack: Request = match parse_datagram(ack, &Limits::default()).unwrap() {
        Message::Request(ack) => ack,
        Message::Response(_) => panic!("an ACK is a request"),
    };
    assert_eq!(*ack.method(), Method::Ack);
    assert_eq!(ack.uri_text(), "sip:bob@biloxi.com;lr");
    let values = |name| ack.headers().values(name).collect::<Vec<_>>();
    assert_eq!(values(HeaderName::Via), ["SIP/2.0/UDP a.example;branch=z9hG4bK1;x=\"a,\\\"b\""]);
    assert_eq!(values(HeaderName::Route), ["<sip:p1.example;lr>", "<sip:p2.example;lr>", "<sip:p3.example;lr>"]);
    assert_eq!(values(HeaderName::From), ["<sip:alice@atlanta.com>;tag=1"]);
    assert_eq!(values(HeaderName::To), ["Bob <sip:bob@biloxi.com>;tag=99sa0xk"]);
    assert_eq!(values(HeaderName::CallId), ["1@a"]);
    assert_eq!(values(HeaderName::Cseq), ["7 ACK"]);
    assert_eq!(values(HeaderName::ProxyAuthorization), ["Digest realm=\"a\", nonce=\"b\""]);
    assert_eq!(values(HeaderName::MaxForwards), ["70"]);
    assert!(!ack.headers().contains(HeaderName::Contact));
    assert!(!ack.headers().contains(HeaderName::RecordRoute));
    assert!(ack.body().is_empty());
}

/// The figure, whole: what is not in this table is ignored and changes nothing.
#[test]
fn every_state_knows_its_inputs_and_ignores_the_others() {
    use State::{Accepted, Calling, Completed, Proceeding, Terminated};
    const TABLE: &[(State, &str, State, &str)] = &[
        (Calling, "A", Calling, "send, +A 1s"),
        (Calling, "B", Terminated, "-A, end Timeout"),
        (Calling, "180", Proceeding, "to user, -A, -B"),
        (Calling, "200", Accepted, "to user, -A, -B, +M 32s"),
        (Calling, "486", Completed, "send, to user, -A, -B, +D 32s"),
        (Calling, "failed", Terminated, "-A, -B, end TransportFailed"),
        (Proceeding, "180", Proceeding, "to user"),
        (Proceeding, "200", Accepted, "to user, +M 32s"),
        (Proceeding, "486", Completed, "send, to user, +D 32s"),
        (Proceeding, "cancel", Proceeding, "+Cancel 32s"),
        (Completed, "486", Completed, "send"),
        (Completed, "D", Terminated, "end Finished"),
        (Completed, "failed", Terminated, "-D, end TransportFailed"),
        (Accepted, "200", Accepted, "to user"),
        (Accepted, "M", Terminated, "end Finished"),
    ];
    let timers = Timers::default();
    let inputs = TIMERS
        .iter()
        .map(|timer| format!("{timer:?}"))
        .chain(["180", "200", "486", "cancel", "failed"].map(str::to_owned));
    for input in inputs {
        for state in [Calling, Proceeding, Completed, Accepted, Terminated] {
            let mut machine = InviteClientTransaction::start(printed(INVITE), Udp, &timers).0;
            match state {
                Calling => {}
                Proceeding => drop(machine.handle(Input::ResponseReceived(&response_to_invite(180)), &timers)),
                Completed => drop(machine.handle(Input::ResponseReceived(&response_to_invite(486)), &timers)),
                Accepted => drop(machine.handle(Input::ResponseReceived(&response_to_invite(200)), &timers)),
                Terminated => drop(machine.handle(Input::TransportFailed, &timers)),
            }
            assert_eq!(machine.state(), state);
            let timer = TIMERS.into_iter().find(|timer| format!("{timer:?}") == input);
            let orders = match (timer, input.as_str()) {
                (Some(timer), _) => machine.handle(Input::TimerFired(timer), &timers),
                (None, "cancel") => machine.handle(Input::CancelSent, &timers),
                (None, "failed") => machine.handle(Input::TransportFailed, &timers),
                (None, code) => {
                    machine.handle(Input::ResponseReceived(&response_to_invite(code.parse().unwrap())), &timers)
                }
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

/// Twenty thousand held calls leave this much room: the machine, and in Accepted no message.
#[test]
fn the_machine_is_small() {
    assert!(size_of::<InviteClientTransaction>() <= 40);
}
