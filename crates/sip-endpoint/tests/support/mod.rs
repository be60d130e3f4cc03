//! An endpoint, a clock that moves by hand, and messages as text.
#![allow(dead_code, reason = "every test file takes what it needs")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip_endpoint::{Endpoint, Event, Input, Listener, Output, ServerId, Settings, Timers};
use sip_message::{Flow, Limits, ListenerId, Message, Request, Transport, parse_datagram};

pub(crate) const HERE: &str = "10.0.0.1:5060";
pub(crate) const THERE: &str = "10.0.0.2:5060";

pub(crate) fn settings(partition: u8) -> Settings {
    let listener = |id, transport, port| {
        let local: SocketAddr = format!("10.0.0.1:{port}").parse().unwrap();
        Listener { id: ListenerId(id), transport, local, sent_by: local.to_string().into() }
    };
    Settings {
        listeners: vec![listener(0, Transport::Udp, 5060), listener(1, Transport::Tcp, 5060)],
        partition,
        seed: 7,
        datagram_limit: 1_300,
        max_pending: 1_000,
        timers: Timers::default(),
        product: "".into(),
    }
}

pub(crate) fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        listener: ListenerId(0),
        local: HERE.parse().unwrap(),
        remote: THERE.parse().unwrap(),
        connection: None,
    }
}

/// A request from [`THERE`]; `to` is what stands behind its To.
pub(crate) fn request(method: &str, branch: &str, to: &str) -> Request {
    let text = format!(
        "{method} sip:bob@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {THERE};branch=z9hG4bK{branch};rport\r\n\
         From: <sip:alice@10.0.0.2>;tag=a\r\nTo: <sip:bob@10.0.0.1>{to}\r\nCall-ID: {branch}\r\nCSeq: 1 {method}\r\n\
         Max-Forwards: 70\r\nContact: <sip:alice@{THERE}>\r\nContent-Length: 0\r\n\r\n"
    );
    match parse_datagram(text.into_bytes().into(), &Limits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// One endpoint and its time.
pub(crate) struct Alone {
    pub(crate) endpoint: Endpoint,
    pub(crate) now: Instant,
}

impl Alone {
    pub(crate) fn new(partition: u8) -> Alone {
        Alone { endpoint: Endpoint::new(settings(partition)), now: Instant::now() }
    }

    pub(crate) fn receive(&mut self, request: Request) -> Vec<Output> {
        self.tell(Input::Received { flow: flow(), received: Ok(Message::Request(request)) })
    }

    /// Receives a request that begins a transaction.
    pub(crate) fn begins(&mut self, request: Request) -> (ServerId, Request) {
        begun(self.receive(request)).expect("the request begins a transaction")
    }

    pub(crate) fn tell(&mut self, input: Input) -> Vec<Output> {
        self.endpoint.handle(self.now, input);
        self.outputs()
    }

    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.endpoint.poll_output()).collect()
    }

    /// Lets time pass until nothing is due within `span`.
    pub(crate) fn pass(&mut self, span: Duration) -> Vec<Output> {
        let until = self.now + span;
        let mut outputs = Vec::new();
        while let Some(next) = self.endpoint.next_timeout().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            outputs.extend(self.tell(Input::TimePassed));
        }
        self.now = until;
        outputs
    }
}

pub(crate) fn begun(outputs: Vec<Output>) -> Option<(ServerId, Request)> {
    outputs.into_iter().find_map(|output| match output {
        Output::Event(Event::Request { server, request, .. }) => Some((server, request)),
        _ => None,
    })
}

/// The status codes that were sent.
pub(crate) fn sent(outputs: &[Output]) -> Vec<u16> {
    let read = |output: &Output| match output {
        Output::Transmit { bytes, .. } => match parse_datagram(bytes.clone(), &Limits::default()) {
            Ok(Message::Response(response)) => Some(response.status().code()),
            _ => None,
        },
        _ => None,
    };
    outputs.iter().filter_map(read).collect()
}
