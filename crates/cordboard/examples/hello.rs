//! Answers every call: `cargo run --example hello`, and point a phone at sip:anybody@127.0.0.1.

use cordboard::prelude::*;

struct Hello;

impl SipServlet for Hello {
    async fn do_invite(&self, invite: SipServletRequest) -> Result {
        Ok(invite.create_response_with_reason(StatusCode::BUSY_HERE, "Hello, world")?.send()?)
    }
}

pub(crate) fn application() -> SipApplication {
    SipApplication::new("hello").servlet(Hello)
}

fn main() -> Result {
    Ok(Server::builder().application(application()).listen("udp:127.0.0.1:5060").run()?)
}
