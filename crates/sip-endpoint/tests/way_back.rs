//! RFC 3261 §18.2.2: the way of an answer whose connection has ended.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use sip_endpoint::{Destination, Input, Load, Output, ServerId, Target};
use sip_message::{ConnectionId, Flow, HeaderName, ListenerId, Message, Request, Response, StatusCode, Transport};
use support::{Alone, begun, flow, request, sent};

/// The path of a connection that was opened from a port where nobody listens.
fn connection() -> Flow {
    Flow {
        transport: Transport::Tcp,
        listener: ListenerId(1),
        remote: "10.0.0.2:40000".parse().unwrap(),
        connection: Some(ConnectionId(1)),
        ..flow()
    }
}

/// A request that came on the [`connection`], from a sender that says it is to be found at `sent_by`.
fn asked(alone: &mut Alone, method: &str, sent_by: &str) -> (ServerId, Request) {
    let mut request = request(method, "1", "");
    let via = format!("SIP/2.0/TCP {sent_by};branch=z9hG4bK1");
    request.headers_mut().set(HeaderName::Via, via).unwrap();
    let received = Ok(Message::Request(request));
    begun(alone.tell(Input::Received { flow: connection(), received })).expect("the request begins a transaction")
}

fn answer(alone: &mut Alone, server: ServerId, request: &Request, status: StatusCode) -> Vec<Output> {
    alone.endpoint.respond(alone.now, server, Response::to(request, status)).unwrap();
    alone.outputs()
}

/// What went out, and the token of the last that did.
fn transmitted(outputs: Vec<Output>) -> (Vec<(Destination, Bytes)>, u64) {
    let mut last = 0;
    let read = |output| match output {
        Output::Transmit { to, bytes, token } => {
            last = token;
            Some((to, bytes))
        }
        _ => None,
    };
    (outputs.into_iter().filter_map(read).collect(), last)
}

fn listening(addr: &str) -> Destination {
    let target = Target { transport: Transport::Tcp, addr: addr.parse().unwrap(), server_name: None };
    Destination::Target { listener: ListenerId(1), target }
}

#[test]
fn an_answer_that_its_connection_cannot_take_goes_to_where_its_sender_listens() {
    let mut alone = Alone::new(0);
    let (server, invite) = asked(&mut alone, "INVITE", "10.0.0.2:5070");
    let (first, token) = transmitted(answer(&mut alone, server, &invite, StatusCode::OK));
    let [(to, bytes)] = first.try_into().unwrap();
    assert_eq!(to, Destination::Flow(connection()));
    let (again, _) = transmitted(alone.tell(Input::TransmitFailed { token }));
    assert_eq!(again, [(listening("10.0.0.2:5070"), bytes)]);
}

/// The 100 of RFC 4320 §4.1 finds that the connection has ended; the user has not answered yet.
#[test]
fn an_answer_after_a_100_that_found_the_connection_gone_goes_to_where_its_sender_listens() {
    let mut alone = Alone::new(0);
    let (server, options) = asked(&mut alone, "OPTIONS", "10.0.0.2:5070");
    let late = alone.pass(Duration::from_secs(5));
    assert_eq!(sent(&late), [100]);
    let (_, token) = transmitted(late);
    alone.tell(Input::TransmitFailed { token });
    let outputs = answer(&mut alone, server, &options, StatusCode::SERVER_INTERNAL_ERROR);
    assert_eq!(sent(&outputs), [500]);
    let (out, _) = transmitted(outputs);
    assert_eq!(out[0].0, listening("10.0.0.2:5070"));
    alone.pass(Duration::from_secs(32));
    assert_eq!(alone.endpoint.load(), Load::default());
}

/// Else anybody could aim our answers at anybody.
#[test]
fn the_via_chooses_the_port_of_that_way_and_never_the_host() {
    let mut alone = Alone::new(0);
    let (server, invite) = asked(&mut alone, "INVITE", "203.0.113.9:7000;received=203.0.113.9");
    let (_, token) = transmitted(answer(&mut alone, server, &invite, StatusCode::OK));
    let (again, _) = transmitted(alone.tell(Input::TransmitFailed { token }));
    assert_eq!(again[0].0, listening("10.0.0.2:7000"));
}

#[test]
fn an_answer_that_fails_on_that_way_too_is_not_sent_again() {
    let mut alone = Alone::new(0);
    let (server, invite) = asked(&mut alone, "INVITE", "10.0.0.2:5070");
    let (_, token) = transmitted(answer(&mut alone, server, &invite, StatusCode::OK));
    let (_, token) = transmitted(alone.tell(Input::TransmitFailed { token }));
    let (again, _) = transmitted(alone.tell(Input::TransmitFailed { token }));
    assert_eq!(again, []);
}
