//! INFO and info packages: RFC 6086; and what else the peer said about itself.

use sip_message::{HeaderName, Headers, Request, Response, StatusCode};

use super::api::{Misuse, Policy, ServerKey, Step};
use super::session::Session;
use crate::fields;

/// What the peer can and wants, from its last message that said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Whether its Allow has UPDATE.
    pub(crate) allows_update: bool,
    /// The info packages that it wants; `None`: it never said.
    pub(crate) recv_info: Option<Box<[Box<str>]>>,
}

impl Peer {
    /// Takes note of Allow and Recv-Info.
    pub(crate) fn learn(&mut self, headers: &Headers) {
        if headers.contains(HeaderName::Allow) {
            // Methods have a case, but an Allow with a wrong one is meant all the same.
            self.allows_update = headers.has_token(HeaderName::Allow, "UPDATE");
        }
        if headers.contains(HeaderName::RecvInfo) {
            self.recv_info = Some(headers.values(HeaderName::RecvInfo).filter_map(package).map(Box::from).collect());
        }
    }
}

impl Session {
    /// "If a UA receives an INFO request associated with an Info Package that the UA has not indicated willingness to
    /// receive, the UA MUST send a 469" (RFC 6086 §4.2.2). An INFO without package is one of old, the user's.
    pub(crate) fn info_received(&mut self, step: &mut Step<'_>, transaction: ServerKey, request: Request) {
        let wanted = match (&step.policy.recv_info, request.headers().first(HeaderName::InfoPackage).and_then(package))
        {
            (Some(wanted), Some(package)) => wanted.iter().any(|name| name.eq_ignore_ascii_case(package)),
            _ => true,
        };
        if wanted {
            return self.ask_user(step, transaction, request);
        }
        let mut response = Response::to(&request, StatusCode::BAD_INFO_PACKAGE);
        add_recv_info(response.headers_mut(), step.policy);
        step.respond(transaction, response);
    }

    /// Whether the peer wants the package of an INFO of ours.
    pub(crate) fn check_info(&self, request: &Request) -> Result<(), Misuse> {
        let Some(package) = request.headers().first(HeaderName::InfoPackage).and_then(package) else {
            return Ok(());
        };
        let wanted = self.peer.recv_info.iter().flatten().any(|name| name.eq_ignore_ascii_case(package));
        if wanted { Ok(()) } else { Err(Misuse::PackageNotWanted(package.into())) }
    }
}

/// Says which packages we want, in a message that has not said it.
pub(crate) fn add_recv_info(headers: &mut Headers, policy: &Policy) {
    let Some(packages) = &policy.recv_info else { return };
    if !headers.contains(HeaderName::RecvInfo) {
        // "nil" has no meaning of its own: an empty list is an empty field (RFC 6086 §4.2.2).
        fields::set(headers, HeaderName::RecvInfo, packages.join(", "));
    }
}

/// The name of a package, without its parameters.
fn package(value: &str) -> Option<&str> {
    let name = value.split(';').next().unwrap_or("").trim();
    (!name.is_empty()).then_some(name)
}
