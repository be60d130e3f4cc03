//! Requests to the server itself: OPTIONS (RFC 3261 §11), and what has no service here (§8.2.1).
//!
//! The 200 to an OPTIONS says what the whole server can do: what the registrar takes and what the proxy lets pass.

use servlet::{Method, SipApplication, SipServlet, SipServletRequest, SipServletResponse, StatusCode};
use sip_message::Uri;

use crate::domains::Domains;
use crate::routes::is_for_us;

/// The application's name.
pub const NAME: &str = "options";

/// What the server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionsSettings {
    /// The domains whose server we are.
    pub domains: Domains,
    /// The methods that have a service here, for some Request-URI.
    pub served: Vec<Method>,
    /// The methods that the server itself answers.
    pub allowed: Vec<Method>,
    /// The extensions that somebody here supports.
    pub supported: Vec<Box<str>>,
}

impl Default for OptionsSettings {
    fn default() -> OptionsSettings {
        use Method::{Ack, Bye, Cancel, Invite, Options, Register};
        OptionsSettings {
            domains: Domains::default(),
            served: vec![Invite, Ack, Cancel, Bye, Options, Register],
            allowed: vec![Options, Register],
            // RFC 3327, RFC 5626, RFC 5627.
            supported: ["path", "outbound", "gruu"].map(Box::from).into(),
        }
    }
}

/// The server's own user agent as an application.
pub fn application(settings: OptionsSettings) -> SipApplication {
    SipApplication::new(NAME).servlet(Options { settings })
}

/// Whether a request is for the server itself: it names one of our domains and no user. A REGISTER is the registrar's.
pub fn wants(settings: &OptionsSettings, request: &SipServletRequest) -> bool {
    let names_nobody = matches!(request.sip_request().uri(), Uri::Sip(uri) if uri.raw_user().is_none());
    names_nobody && request.method() != Method::Register && is_for_us(&settings.domains, request)
}

struct Options {
    settings: OptionsSettings,
}

impl SipServlet for Options {
    async fn do_request(&self, request: SipServletRequest) -> servlet::Result {
        let response = match request.method() {
            Method::Ack | Method::Cancel => return Ok(()),
            Method::Options => capabilities(&self.settings, &request)?,
            // RFC 3261 §21.4.6: a method that is known, but not here; §21.5.2: one that is known nowhere.
            Method::Other(_) => request.create_response(StatusCode::NOT_IMPLEMENTED)?,
            _ => {
                let response = request.create_response(StatusCode::METHOD_NOT_ALLOWED)?;
                response.set_header("Allow", &list(&self.settings.allowed))?;
                response
            }
        };
        Ok(response.send()?)
    }
}

/// RFC 3261 §11.2.
pub(crate) fn capabilities(
    settings: &OptionsSettings,
    request: &SipServletRequest,
) -> Result<SipServletResponse, servlet::Error> {
    let response = request.create_response(StatusCode::OK)?;
    response.set_header("Allow", &list(&settings.served))?;
    response.set_header("Accept", "application/sdp")?;
    response.set_header("Accept-Encoding", "identity")?;
    response.set_header("Accept-Language", "en")?;
    response.set_header("Supported", &settings.supported.join(", "))?;
    Ok(response)
}

fn list(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_listed_as_in_an_allow_header() {
        assert_eq!(list(&OptionsSettings::default().served), "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER");
    }
}
