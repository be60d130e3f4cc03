//! The registrar: RFC 3261 §10.3 with Path (RFC 3327), Outbound (RFC 5626 §6), GRUU (RFC 5627 §5) and digest
//! authentication (RFC 3261 §22, RFC 8760).
//!
//! ```text
//!   1 is the domain ours?      the dispatcher asks; what is not ours goes to the proxy
//!   2 Require                  420
//!   3 who is it?               401
//!   4 may he?                  403
//!   5 address-of-record        404
//!   6 Contact *                400
//!   7 each Contact             423, 439, 403, 400; 500 out of order; all or nothing
//!   8 200 with all bindings
//! ```
//!
//! Where bindings are kept is the location service's business.

mod accepted;
mod contacts;
mod outbound;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use sip_dialog::digest::Asker;
use sip_endpoint::Endpoint;
use sip_message::header::Cseq;
use sip_message::{Flow, HeaderName, NameAddr, Request, Response, SipUri, StatusCode, Uri};

pub(crate) use contacts::thousandths;
pub(crate) use outbound::{contact_uri, is_behind_translator, is_first_hop};

use super::answer::{self, REGISTRAR_EXTENSIONS, Refusal, refusal, refusal_because};
use super::auth::Authentication;
use super::config::ServicesConfig;
use super::domains::Domains;
use super::gruu::{self, Gruu};
use super::location::{Change, Location, Refused};
use contacts::{Common, Wish};
use outbound::Outbound;

/// What a registrar works with.
pub(crate) struct Registrar<'a> {
    pub(crate) config: &'a ServicesConfig,
    pub(crate) domains: &'a Domains,
    pub(crate) auth: &'a mut Authentication,
    pub(crate) location: &'a mut Location,
}

/// A REGISTER that was carried out.
pub(crate) struct Registered {
    /// What the client is told.
    pub(crate) response: Response,
    /// What the other shards are told.
    pub(crate) change: Option<Arc<Change>>,
}

impl Registrar<'_> {
    /// Carries out a REGISTER for one of our domains, or says why not.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        request: &Request,
        flow: &Flow,
    ) -> Result<Registered, Refusal> {
        answer::check_extensions(request, HeaderName::Require, &REGISTRAR_EXTENSIONS)?;
        let to = to_uri(request)?;
        self.authorize(now, endpoint, request, flow, to)?;
        let aor = self.address_of_record(endpoint, request, to)?;
        let path = path(request)?;
        let common = Common {
            now,
            config: &self.config.registrar,
            flow,
            call_id: answer::call_id(request.headers()),
            cseq: cseq(request)?,
            path,
            outbound: Outbound::of(request),
            wants_gruu: request.headers().has_token(HeaderName::Supported, "gruu"),
            user_agent: request.headers().first(HeaderName::UserAgent).unwrap_or_default(),
        };
        let (change, outbound_applied) = match contacts::read(request, &common)? {
            Wish::Query => (None, false),
            Wish::Clear => {
                let cleared = self.location.clear(now, endpoint, &aor, common.call_id, common.cseq);
                (cleared.map_err(|refused| self.refused(request, refused))?, false)
            }
            Wish::Update(drafts) => {
                for draft in drafts.iter().filter(|draft| draft.expires.is_some()) {
                    self.check_no_loop(endpoint, request, &aor, draft.contact)?;
                }
                let flows = drafts.iter().any(|draft| draft.reg_id != 0);
                let updated = self.location.update(now, endpoint, &aor, &drafts);
                (updated.map_err(|refused| self.refused(request, refused))?, flows)
            }
        };
        let response = self.accept(now, endpoint, request, to, &aor, outbound_applied);
        Ok(Registered { response, change })
    }

    /// Steps 3 and 4: whoever sends this is who he says, and it is his own address-of-record.
    fn authorize(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        request: &Request,
        flow: &Flow,
        to: SipUri<'_>,
    ) -> Result<(), Refusal> {
        if !self.config.registrar.authenticate {
            return Ok(());
        }
        let realm = self.domains.realm(Uri::Sip(to));
        let user = self.auth.authenticate(now, endpoint, self.config, Asker::Server, realm, request, flow)?;
        match to.user() {
            Some(name) if *name == *user => Ok(()),
            _ => Err(refusal(request, StatusCode::FORBIDDEN)),
        }
    }

    /// Step 5. Where users are known, a user that is not among them does not exist.
    fn address_of_record(&self, endpoint: &Endpoint, request: &Request, to: SipUri<'_>) -> Result<String, Refusal> {
        let not_found = || refusal(request, StatusCode::NOT_FOUND);
        let aor = self.domains.address_of_record(endpoint, &to).ok_or_else(not_found)?;
        let user = to.user().unwrap_or_default();
        if !self.config.users.is_empty() && !self.config.users.contains(&user) {
            return Err(not_found());
        }
        Ok(aor)
    }

    /// RFC 5627 §5.1: a contact that leads back to its own address-of-record is a loop.
    fn check_no_loop(&self, endpoint: &Endpoint, request: &Request, aor: &str, contact: &str) -> Result<(), Refusal> {
        let Ok(uri) = SipUri::parse(contact) else { return Ok(()) };
        let named = match gruu::read(&self.config.secret, &uri) {
            Gruu::Temporary(number) => self.location.of_gruu(number).map(|(aor, _)| aor.to_owned()),
            _ => self.domains.address_of_record(endpoint, &uri),
        };
        if named.as_deref() == Some(aor) {
            return Err(refusal_because(request, StatusCode::FORBIDDEN, "Contact is the address-of-record"));
        }
        Ok(())
    }

    fn refused(&self, request: &Request, refused: Refused) -> Refusal {
        match refused {
            Refused::OutOfOrder => refusal_because(request, StatusCode::SERVER_INTERNAL_ERROR, "CSeq out of order"),
            Refused::TooManyBindings => refusal_because(request, StatusCode::FORBIDDEN, "Too many bindings"),
            Refused::Full => Box::new(answer::unavailable(request, self.config.retry_after)),
        }
    }
}

fn to_uri(request: &Request) -> Result<SipUri<'_>, Refusal> {
    let to = request.headers().first(HeaderName::To).and_then(|to| NameAddr::parse(to).ok());
    match to.map(|to| to.uri()) {
        Some(Uri::Sip(uri)) => Ok(uri),
        // A registrar of SIP domains has no such address-of-record.
        Some(_) => Err(refusal(request, StatusCode::NOT_FOUND)),
        None => Err(refusal_because(request, StatusCode::BAD_REQUEST, "Malformed To")),
    }
}

fn cseq(request: &Request) -> Result<u32, Refusal> {
    match request.headers().get::<Cseq>() {
        Some(Ok(cseq)) => Ok(cseq.sequence),
        _ => Err(refusal_because(request, StatusCode::BAD_REQUEST, "Malformed CSeq")),
    }
}

/// RFC 3327 §5.3: the path vector. A client that does not know of it gets the 420 that the RFC recommends, so that it
/// learns who has come between.
fn path(request: &Request) -> Result<Cow<'_, str>, Refusal> {
    let headers = request.headers();
    let mut values = headers.values(HeaderName::Path);
    let Some(first) = values.next() else { return Ok(Cow::Borrowed("")) };
    let rest: Vec<&str> = values.collect();
    let is_loose = |value: &str| NameAddr::parse(value).is_ok_and(|path| path.uri().sip().is_some_and(|uri| uri.lr()));
    if !is_loose(first) || !rest.iter().all(|value| is_loose(value)) {
        return Err(refusal_because(request, StatusCode::BAD_REQUEST, "Malformed Path"));
    }
    if !headers.has_token(HeaderName::Supported, "path") {
        let mut response = refusal(request, StatusCode::BAD_EXTENSION);
        answer::put(&mut response, HeaderName::Unsupported, "path");
        return Err(response);
    }
    Ok(if rest.is_empty() { Cow::Borrowed(first) } else { Cow::Owned(format!("{first}, {}", rest.join(", "))) })
}
