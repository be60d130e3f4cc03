//! The answers that the endpoint gives by itself: to CANCEL, to what cannot be read, and when it refuses what is new.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod support;

use sip_endpoint::{Endpoint, Input, Output};
use sip_message::{HeaderName, Limits, Message, Response, StatusCode, parse_datagram};
use support::{Alone, flow, request, settings};

fn alone(product: &str) -> Alone {
    let mut alone = Alone::new(0);
    let settings = sip_endpoint::Settings { product: product.into(), ..settings(0) };
    alone.endpoint = Endpoint::new(settings);
    alone
}

/// Status and Server of each response that goes out.
fn signed(outputs: Vec<Output>) -> Vec<(u16, Option<String>)> {
    let read = |output| match output {
        Output::Transmit { bytes, .. } => match parse_datagram(bytes, &Limits::default()) {
            Ok(Message::Response(response)) => {
                let server = response.headers().first(HeaderName::Server).map(str::to_owned);
                Some((response.status().code(), server))
            }
            _ => None,
        },
        _ => None,
    };
    outputs.into_iter().filter_map(read).collect()
}

/// All of them, in one go.
fn answers(alone: &mut Alone) -> Vec<(u16, Option<String>)> {
    let mut answers = signed(alone.receive(request("CANCEL", "stray", "")));
    let ill = request("OPTIONS", "ill", "").to_bytes();
    let ill = String::from_utf8_lossy(&ill).replace("Content-Length: 0", "Content-Length: 99");
    let received = parse_datagram(ill.into_bytes().into(), &Limits::default());
    assert!(received.is_err());
    answers.extend(signed(alone.tell(Input::Received { flow: flow(), received })));
    alone.endpoint.set_shedding(true);
    answers.extend(signed(alone.receive(request("INVITE", "new", ""))));
    answers
}

/// RFC 3261 §20.35.
#[test]
fn they_say_who_answers_when_the_endpoint_has_a_name() {
    let name = Some("Product/1.0".to_owned());
    let expected = [(481, name.clone()), (400, name.clone()), (503, name)];
    assert_eq!(answers(&mut alone("Product/1.0")), expected);
}

#[test]
fn they_say_nothing_of_it_when_it_has_none_or_one_that_no_header_can_hold() {
    for name in ["", "Product\r\nEvil: yes"] {
        assert_eq!(answers(&mut alone(name)), [(481, None), (400, None), (503, None)]);
    }
}

#[test]
fn the_answers_of_the_user_are_left_as_they_are() {
    let mut alone = alone("Product/1.0");
    let (server, options) = alone.begins(request("OPTIONS", "1", ""));
    alone.endpoint.respond(alone.now, server, Response::to(&options, StatusCode::OK)).unwrap();
    assert_eq!(signed(alone.outputs()), [(200, None)]);
}
