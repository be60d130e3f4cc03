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
use std::net::SocketAddr;

use cordboard::ServeError;
use cordboard::prelude::*;

/// Where each user is: Contact values, the best first.
pub(crate) type Table = BTreeMap<String, Vec<String>>;

/// Redirects calls by a table.
pub(crate) struct RedirectServer {
    table: Table,
}

impl SipServlet for RedirectServer {
    async fn do_invite(&self, invite: SipServletRequest) -> Result {
        let uri = invite.request_uri();
        let user = uri.as_sip().and_then(SipUri::user).unwrap_or_default();
        let Some(contacts) = self.table.get(&user) else {
            return Ok(invite.create_response(StatusCode::NOT_FOUND)?.send()?);
        };
        let response = invite.create_response(StatusCode::MOVED_TEMPORARILY)?;
        for contact in contacts {
            response.add_header("Contact", contact)?;
        }
        Ok(response.send()?)
    }

    async fn do_options(&self, options: SipServletRequest) -> Result {
        Ok(options.create_response(StatusCode::OK)?.send()?)
    }
}

pub(crate) fn application(table: Table) -> SipApplication {
    SipApplication::new("redirect-server").servlet(RedirectServer { table })
}

/// Serves UDP at an address until the server is dropped; port 0 lets the system choose.
pub(crate) fn start(listen: SocketAddr, table: Table) -> Result<Server, ServeError> {
    Server::builder().application(application(table)).listen(format!("udp:{listen}")).workers(1).start()
}

/// Alice is at her desk, or else at home; Bob has a new number.
pub(crate) fn table() -> Table {
    let entry = |user: &str, contacts: &[&str]| (user.to_owned(), contacts.iter().map(|c| (*c).to_owned()).collect());
    Table::from([
        entry("alice", &["<sip:alice@desk.example.com>;q=0.9", "<sip:alice@home.example.com>;q=0.1"]),
        entry("bob", &["<tel:+1-201-555-0123>"]),
    ])
}

fn main() -> Result {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5060".to_owned()).parse()?;
    let table = table();
    let users: Vec<&str> = table.keys().map(String::as_str).collect();
    let users = users.join(" and ");
    let server = start(listen, table)?;
    for (_, addr) in server.listeners() {
        println!("redirecting {users} at {addr}");
    }
    // Until Ctrl-C ends the process.
    Ok(server.join()?)
}
