//! A server that answers OPTIONS: the smallest transaction user there is, on real sockets.
//!
//! ```console
//! $ cargo run --example options_responder -- 127.0.0.1:5060
//! answering OPTIONS at udp:127.0.0.1:5060 and tcp:127.0.0.1:5060
//! ```
//!
//! A transaction user is told of requests and answers them. What is repeated, matched, timed out and sent where is the
//! endpoint's business; sockets, threads and the clock are the stack's.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::time::Instant;

use sip_endpoint::{Endpoint, Event, TransactionUser};
use sip_message::{HeaderName, ListenerId, Method, Request, Response, StatusCode, Transport};
use sip_stack::{EndpointConfig, Stack, StackConfig, StartError};
use sip_transport::{ListenerConfig, TransportsConfig};

/// Answers OPTIONS, and tells everybody else that it does nothing else.
pub(crate) struct OptionsResponder;

impl TransactionUser for OptionsResponder {
    /// What the users of several shards tell each other: nothing.
    type Message = ();

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        // An ACK is never answered, and a CANCEL has been: only requests want something of us.
        if let Event::Request { server, request, .. } = event {
            // The transaction cannot have ended yet, and if it had, nobody would wait for the answer.
            let _ = endpoint.respond(now, server, answer(&request));
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    /// Every request is answered at once, so that there is nothing to bring to an end.
    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        true
    }
}

/// RFC 3261 §11.2; for other methods §21.4.6 and §21.5.2: known, but not here, or known nowhere.
fn answer(request: &Request) -> Response {
    let status = match request.method() {
        Method::Options => StatusCode::OK,
        Method::Other(_) => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    };
    let mut response = Response::to(request, status);
    response.headers_mut().set(HeaderName::Allow, Method::Options).expect("a method has no line break");
    response
}

/// Serves UDP and TCP at an address until the stack is dropped; port 0 lets the system choose, twice.
pub(crate) fn start(listen: SocketAddr) -> Result<Stack, StartError> {
    let transports = [Transport::Udp, Transport::Tcp];
    let listeners = (0..).zip(transports).map(|(id, transport)| ListenerConfig::new(ListenerId(id), transport, listen));
    let config = StackConfig {
        transports: TransportsConfig { listeners: listeners.collect(), ..TransportsConfig::default() },
        endpoint: EndpointConfig {
            public_host: None,
            // The standard library's hash keys come from the system's random source.
            seed: RandomState::new().hash_one("seed"),
            datagram_limit: 1_300,
            max_pending: 10_000,
            timers: sip_endpoint::Timers::default(),
            product: "options-responder".into(),
        },
        shards: 1,
    };
    Stack::start(config, |_shard| OptionsResponder)
}

fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5060".to_owned()).parse()?;
    let stack = start(listen)?;
    let bound = stack.listeners().iter().map(|(transport, addr)| format!("{}:{addr}", transport.uri_param()));
    println!("answering OPTIONS at {}", bound.collect::<Vec<_>>().join(" and "));
    // Until Ctrl-C ends the process.
    Ok(stack.join()?)
}
