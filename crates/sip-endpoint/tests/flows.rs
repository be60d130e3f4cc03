//! What a client asks of flows and targets: keep-alives (RFC 5626 §4.4), leaving a silent target early (RFC 3263 §4.3), and
//! the domain that a certificate must name (RFC 5922 §4).

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod support;

use std::sync::Arc;

use sip_endpoint::{Destination, Endpoint, Event, Input, Listener, Misuse, Output, SendTo, Target};
use sip_message::{ConnectionId, Flow, ListenerId, StatusCode, Transport};
use support::{Alone, flow, request, settings};

fn connection() -> Flow {
    Flow { transport: Transport::Tcp, listener: ListenerId(1), connection: Some(ConnectionId(9)), ..flow() }
}

fn target(port: u16) -> Target {
    Target { transport: Transport::Udp, addr: ([10, 0, 0, 2], port).into(), server_name: None }
}

/// Where requests went.
fn addressees(outputs: &[Output]) -> Vec<Destination> {
    let to = |output: &Output| match output {
        Output::Transmit { to, .. } => Some(to.clone()),
        _ => None,
    };
    outputs.iter().filter_map(to).collect()
}

fn ports(outputs: &[Output]) -> Vec<u16> {
    let port = |to: Destination| match to {
        Destination::Target { target, .. } => target.addr.port(),
        Destination::Flow(flow) => flow.remote.port(),
    };
    addressees(outputs).into_iter().map(port).collect()
}

fn is_failure(outputs: &[Output], status: StatusCode) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Event(Event::Failed { status: told, .. }) if *told == status))
}

#[test]
fn a_keep_alive_goes_out_on_its_flow_and_its_answer_is_told() {
    let mut alone = Alone::new(0);
    alone.endpoint.keep_alive(connection());
    assert!(matches!(&alone.outputs()[..], [Output::KeepAlive { flow }] if *flow == connection()));
    let mapped = Some(([203, 0, 113, 9], 4711).into());
    let told = alone.tell(Input::KeptAlive { flow: flow(), mapped });
    let [Output::Event(Event::FlowAlive { flow: of, mapped: at })] = &told[..] else { panic!("{told:?}") };
    assert_eq!((*of, *at), (flow(), mapped));
}

#[test]
fn a_connection_can_be_closed_and_a_datagram_flow_has_nothing_to_close() {
    let mut alone = Alone::new(0);
    alone.endpoint.close(flow());
    assert!(alone.outputs().is_empty());
    alone.endpoint.close(connection());
    assert!(matches!(&alone.outputs()[..], [Output::Close { flow }] if *flow == connection()));
}

#[test]
fn a_silent_target_is_left_for_the_next_one_and_the_last_one_is_waited_for() {
    let mut alone = Alone::new(0);
    let to = SendTo::Targets(vec![target(1), target(2)]);
    let client = alone.endpoint.send(alone.now, request("OPTIONS", "1", ""), to, None).unwrap();
    assert_eq!(ports(&alone.outputs()), [1]);
    assert_eq!(alone.endpoint.next_target(alone.now, client), Ok(true));
    assert_eq!(ports(&alone.outputs()), [2]);
    assert_eq!(alone.endpoint.next_target(alone.now, client), Ok(false));
    assert!(alone.outputs().is_empty());
    // The first is not repeated any more.
    let later = alone.pass(std::time::Duration::from_secs(40));
    assert!(ports(&later).iter().all(|port| *port == 2));
    assert!(is_failure(&later, StatusCode::REQUEST_TIMEOUT));
    assert_eq!(alone.endpoint.next_target(alone.now, client), Err(Misuse::Ended));
    assert_eq!(alone.endpoint.load(), sip_endpoint::Load::default());
}

#[test]
fn a_request_that_is_still_looked_up_has_no_target_to_leave() {
    let mut alone = Alone::new(0);
    let mut options = request("OPTIONS", "1", "");
    options.set_uri(&"sip:bob@example.test".parse().unwrap());
    let client = alone.endpoint.send(alone.now, options, SendTo::NextHop, None).unwrap();
    let [Output::Lookup { token, .. }] = alone.outputs()[..] else { panic!("a name is looked up") };
    assert_eq!(alone.endpoint.next_target(alone.now, client), Ok(false));
    let found = alone.tell(Input::Resolved { token, result: Ok(vec![target(1), target(2)]) });
    assert_eq!(ports(&found), [1]);
    assert_eq!(alone.endpoint.next_target(alone.now, client), Ok(true));
    assert_eq!(ports(&alone.outputs()), [2]);
}

#[test]
fn a_certificate_has_to_name_the_domain_that_the_sender_says() {
    let mut settings = settings(0);
    let listener = Listener { id: ListenerId(2), transport: Transport::Tls, ..settings.listeners[1].clone() };
    settings.listeners.push(listener);
    let mut alone = Alone { endpoint: Endpoint::new(settings), now: std::time::Instant::now() };
    let named: Arc<str> = "pbx.example.test".into();
    let name = |outputs: &[Output]| match addressees(outputs).pop() {
        Some(Destination::Target { target, .. }) => target.server_name,
        _ => None,
    };
    let mut sent = |uri: &str, to: SendTo| {
        let mut options = request("OPTIONS", "1", "");
        options.set_uri(&uri.parse().unwrap());
        alone.endpoint.send(alone.now, options, to, None).unwrap();
        let mut outputs = alone.outputs();
        if let [Output::Lookup { token, .. }] = outputs[..] {
            let found = |transport| Target { transport, server_name: Some("example.test".into()), ..target(5061) };
            outputs = alone.tell(Input::Resolved { token, result: Ok(vec![found(Transport::Tls)]) });
        }
        name(&outputs)
    };
    let by_name = || SendTo::NextHopNamed(named.clone());
    assert_eq!(sent("sips:bob@example.test", by_name()), Some(named.clone()));
    assert_eq!(sent("sip:bob@10.0.0.2;transport=tls", by_name()), Some(named.clone()));
    assert_eq!(sent("sip:bob@10.0.0.2;transport=tls", SendTo::NextHop), Some("10.0.0.2".into()));
    assert_eq!(sent("sip:bob@10.0.0.2", by_name()), None);
}
