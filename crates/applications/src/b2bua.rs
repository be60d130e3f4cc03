//! A back-to-back user agent and nothing more: two legs for each call, each hidden from the other.
//!
//! The callee is reached as the Request-URI says, by the next application or the network, or by a next hop of the
//! settings. Left to [`crate::two_legs`]: everything that is said in a call.

use servlet::{
    Minutes, Result, SipApplication, SipApplicationSession, SipApplicationSessionListener, SipErrorListener,
    SipServlet, SipServletRequest, SipServletResponse, SipUri, StatusCode,
};

use crate::addressee::begins_call;
use crate::two_legs::{self, UNCHANGED};

/// What can be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where calls go first, if not where their Request-URI says.
    pub next_hop: Option<SipUri>,
    /// A call in which nothing was sent for so long is ended. Ends that use session timers (RFC 4028) never let it come
    /// to that.
    pub longest_silence: Minutes,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { next_hop: None, longest_silence: Minutes(12 * 60) }
    }
}

/// The application.
pub fn application(settings: Settings) -> SipApplication {
    SipApplication::new("b2bua")
        .session_timeout(settings.longest_silence)
        .servlet(B2bua { next_hop: settings.next_hop })
        .error_listener(EndsBoth)
        .application_session_listener(EndsBoth)
}

/// Every call.
pub fn wants(_settings: &Settings, request: &SipServletRequest) -> bool {
    begins_call(request)
}

struct B2bua {
    next_hop: Option<SipUri>,
}

impl SipServlet for B2bua {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        if begins_call(&request) {
            // A call that could not be placed was refused, which ends it.
            two_legs::place(&request, self.next_hop.as_ref()).map(drop)
        } else {
            two_legs::request(&request, UNCHANGED).map(drop)
        }
    }

    async fn do_response(&self, response: SipServletResponse) -> Result {
        two_legs::response(&response, UNCHANGED).map(drop)
    }
}

/// The attribute of a call that has expired and is being ended.
const ENDING: &str = "b2bua.ending";

/// Ends both legs when one of them fails in a way that no message tells.
pub(crate) struct EndsBoth;

impl SipErrorListener for EndsBoth {
    async fn no_ack_received(&self, request: SipServletRequest, _response: SipServletResponse) -> Result {
        two_legs::end(&request.application_session()?, &[])
    }

    async fn no_prack_received(&self, request: SipServletRequest, _response: SipServletResponse) -> Result {
        // RFC 3262 §3: "the UAS SHOULD reject the original request with a 5xx response".
        request.create_response(StatusCode::SERVER_TIMEOUT)?.send()?;
        two_legs::end(&request.application_session()?, &[])
    }
}

impl SipApplicationSessionListener for EndsBoth {
    async fn session_expired(&self, call: SipApplicationSession) -> Result {
        if call.attribute::<bool>(ENDING)?.is_some() {
            // Nobody has answered the BYEs; what is left goes with the session.
            return Ok(());
        }
        call.set_attribute(ENDING, true)?;
        call.set_expires(Minutes(1))?;
        two_legs::end(&call, &[])
    }
}
