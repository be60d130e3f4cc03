//! A server that answers OPTIONS: an application of handlers, on real sockets.
//!
//! ```console
//! $ cargo run --example options_responder -- 127.0.0.1:5060
//! answering OPTIONS at udp:127.0.0.1:5060 and tcp:127.0.0.1:5060
//! ```
//!
//! An application is told of requests and answers them. What is repeated, matched, timed out and sent where is the
//! container's business; sockets, threads and the clock are the server's.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::net::SocketAddr;

use cordboard::ServeError;
use cordboard::prelude::*;

/// RFC 3261 §11.2; for other methods §21.4.6 and §21.5.2: known, but not here, or known nowhere.
pub(crate) fn application() -> SipApplication {
    let handlers = Handlers::new().options(|request| answer(request, StatusCode::OK)).any_method(|request| {
        let status = match request.method() {
            Method::Other(_) => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::METHOD_NOT_ALLOWED,
        };
        answer(request, status)
    });
    SipApplication::new("options-responder").handlers(handlers)
}

async fn answer(request: SipServletRequest, status: StatusCode) -> Result {
    // An ACK is never answered, and a CANCEL has been.
    if matches!(request.method(), Method::Ack | Method::Cancel) {
        return Ok(());
    }
    let response = request.create_response(status)?;
    response.set_header("Allow", "OPTIONS")?;
    Ok(response.send()?)
}

/// Serves UDP and TCP at an address until the server is dropped; port 0 lets the system choose, twice.
pub(crate) fn start(listen: SocketAddr) -> Result<Server, ServeError> {
    let server = Server::builder().application(application()).workers(1);
    server.listen(format!("udp:{listen}")).listen(format!("tcp:{listen}")).start()
}

fn main() -> Result {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5060".to_owned()).parse()?;
    let server = start(listen)?;
    let bound = server.listeners().iter().map(|(transport, addr)| format!("{}:{addr}", transport.uri_param()));
    println!("answering OPTIONS at {}", bound.collect::<Vec<_>>().join(" and "));
    // Until Ctrl-C ends the process.
    Ok(server.join()?)
}
