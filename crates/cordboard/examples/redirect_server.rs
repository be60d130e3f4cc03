//! A redirect server (RFC 3261 §8.3): tells callers where a user is, and has no part in the call.
//!
//! ```console
//! $ cargo run --example redirect_server -- 127.0.0.1:5060
//! redirecting alice and bob at 127.0.0.1:5060
//! ```
//!
//! ```text
//!   caller ──INVITE sip:alice@here──► redirect server        the table says where alice is
//!   caller ◄──302, Contact: …──────── redirect server
//!   caller ──ACK────────────────────► redirect server        the transaction takes it; we never see it
//!   caller ──INVITE sip:…───────────────────────────────────────────────► alice
//! ```
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::time::Instant;

use sip_endpoint::{Endpoint, Event, TransactionUser};
use sip_message::header::To;
use sip_message::{HeaderName, ListenerId, Method, Request, Response, StatusCode, Transport};
use sip_stack::{EndpointConfig, Stack, StackConfig, StartError};
use sip_transport::{ListenerConfig, TransportsConfig};

/// Where each user is: Contact values, the best first.
pub(crate) type Table = BTreeMap<String, Vec<String>>;

/// Redirects calls by a table.
pub(crate) struct RedirectServer {
    table: Table,
}

impl RedirectServer {
    fn answer(&self, request: &Request) -> Response {
        let in_dialog = matches!(request.headers().get::<To>(), Some(Ok(to)) if to.tag().is_some());
        match request.method() {
            // A redirect server has no dialogs (RFC 3261 §12.2.2).
            _ if in_dialog => Response::to(request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
            Method::Invite => self.redirect(request),
            Method::Options => Response::to(request, StatusCode::OK),
            _ => {
                let mut response = Response::to(request, StatusCode::METHOD_NOT_ALLOWED);
                put(&mut response, HeaderName::Allow, "INVITE, ACK, CANCEL, OPTIONS");
                response
            }
        }
    }

    fn redirect(&self, request: &Request) -> Response {
        let user = request.uri().sip().and_then(|uri| uri.user()).unwrap_or_default();
        let Some(contacts) = self.table.get(&*user) else {
            return Response::to(request, StatusCode::NOT_FOUND);
        };
        let mut response = Response::to(request, StatusCode::MOVED_TEMPORARILY);
        for contact in contacts {
            put(&mut response, HeaderName::Contact, contact);
        }
        response
    }
}

impl TransactionUser for RedirectServer {
    type Message = ();

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        if let Event::Request { server, request, .. } = event {
            // The transaction cannot have ended yet, and if it had, nobody would wait for the answer.
            let _ = endpoint.respond(now, server, self.answer(&request));
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    /// Every call is answered at once, so that there is nothing to bring to an end.
    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        true
    }
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    response.headers_mut().push(name, value).expect("the table and our constants have no line break");
}

/// Serves UDP at an address until the stack is dropped; port 0 lets the system choose.
pub(crate) fn start(listen: SocketAddr, table: Table) -> Result<Stack, StartError> {
    let config = StackConfig {
        transports: TransportsConfig {
            listeners: vec![ListenerConfig::new(ListenerId(0), Transport::Udp, listen)],
            ..TransportsConfig::default()
        },
        endpoint: EndpointConfig {
            public_host: None,
            // The standard library's hash keys come from the system's random source.
            seed: RandomState::new().hash_one("seed"),
            datagram_limit: 1_300,
            max_pending: 10_000,
            timers: sip_endpoint::Timers::default(),
            product: "redirect-server".into(),
        },
        shards: 1,
    };
    Stack::start(config, move |_shard| RedirectServer { table: table.clone() })
}

/// Alice is at her desk, or else at home; Bob has a new number.
pub(crate) fn table() -> Table {
    let entry = |user: &str, contacts: &[&str]| (user.to_owned(), contacts.iter().map(|c| (*c).to_owned()).collect());
    Table::from([
        entry("alice", &["<sip:alice@desk.example.com>;q=0.9", "<sip:alice@home.example.com>;q=0.1"]),
        entry("bob", &["<tel:+1-201-555-0123>"]),
    ])
}

fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5060".to_owned()).parse()?;
    let table = table();
    let users: Vec<&str> = table.keys().map(String::as_str).collect();
    let users = users.join(" and ");
    let stack = start(listen, table)?;
    for (_, addr) in stack.listeners() {
        println!("redirecting {users} at {addr}");
    }
    // Until Ctrl-C ends the process.
    Ok(stack.join()?)
}
