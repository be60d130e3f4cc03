//! A stack on loopback and a client with a plain socket.
#![allow(dead_code, reason = "every test file takes what it needs")]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sip_endpoint::{Timers, TransactionUser};
use sip_message::{HeaderName, Limits, ListenerId, Message, Request, Response, Transport, parse_datagram};
use sip_stack::{EndpointConfig, Stack, StackConfig};
use sip_transport::{ListenerConfig, TransportsConfig};

/// Serves UDP on a free port of the loopback.
pub(crate) fn start<U: TransactionUser + 'static>(
    shards: u16,
    user: impl Fn(u16) -> U + Send + Clone + 'static,
) -> (Stack, SocketAddr) {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listeners = vec![ListenerConfig::new(ListenerId(0), Transport::Udp, free)];
    let config = StackConfig {
        transports: TransportsConfig { listeners, ..TransportsConfig::default() },
        endpoint: EndpointConfig {
            public_host: None,
            seed: 1,
            datagram_limit: 1_300,
            max_pending: 10_000,
            timers: Timers::default(),
            product: "".into(),
        },
        shards,
        tap: None,
    };
    let stack = Stack::start(config, user).unwrap();
    let (_, addr) = stack.listeners()[0];
    (stack, addr)
}

/// The user part of the Request-URI: what the tests tell their users.
pub(crate) fn wish(request: &Request) -> String {
    let uri = request.uri_text();
    uri.strip_prefix("sip:").and_then(|rest| rest.split('@').next()).unwrap_or_default().to_owned()
}

/// A header that the tests' users answer in.
pub(crate) fn with_answer(mut response: Response, answer: impl std::fmt::Display) -> Response {
    response.headers_mut().push(HeaderName::Subject, answer).unwrap();
    response
}

pub(crate) fn answer(response: &Response) -> &str {
    response.headers().first(HeaderName::Subject).unwrap_or_default()
}

pub(crate) struct Client {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Client {
    pub(crate) fn new(server: SocketAddr) -> Client {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Client { socket, server }
    }

    pub(crate) fn send(&self, method: &str, wish: &str, branch: &str, to_tag: &str) {
        let here = self.socket.local_addr().unwrap();
        let text = format!(
            "{method} sip:{wish}@{} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{branch};rport\r\n\
             From: <sip:client@{here}>;tag=c\r\nTo: <sip:server@{}>{to_tag}\r\nCall-ID: {branch}@{here}\r\n\
             CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContact: <sip:client@{here}>\r\nContent-Length: 0\r\n\r\n",
            self.server, self.server
        );
        self.socket.send_to(text.as_bytes(), self.server).unwrap();
    }

    pub(crate) fn receive(&self) -> Response {
        self.receive_within(Duration::from_secs(10)).expect("an answer in time")
    }

    pub(crate) fn receive_within(&self, patience: Duration) -> Option<Response> {
        let mut buffer = [0; 4096];
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let (length, _) = self.socket.recv_from(&mut buffer).ok()?;
        Some(match parse_datagram(buffer[..length].to_vec().into(), &Limits::default()) {
            Ok(Message::Response(response)) => response,
            other => panic!("{other:?}"),
        })
    }

    /// The next response of this transaction's that is final.
    pub(crate) fn final_of(&self, branch: &str) -> Response {
        loop {
            let response = self.receive();
            let call_id = response.headers().first(HeaderName::CallId).unwrap_or_default().to_owned();
            if response.status().is_final() && call_id.starts_with(&format!("{branch}@")) {
                return response;
            }
        }
    }

    pub(crate) fn ask(&self, wish: &str, branch: &str) -> Response {
        self.send("OPTIONS", wish, branch, "");
        self.final_of(branch)
    }
}
