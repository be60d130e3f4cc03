//! The registrar: RFC 3261 §10.3 with Path (RFC 3327), Outbound (RFC 5626 §6) and GRUU (RFC 5627 §5).
//!
//! ```text
//!   1 is the domain ours?      the application router has asked; what is not ours goes to the proxy
//!   2 Require                  420
//!   3 who is it?               401, by the container's security constraint
//!   4 may he?                  403
//!   5 address-of-record        404
//!   6 Contact *                400
//!   7 each Contact             423, 439, 403, 400; 500 out of order; all or nothing
//!   8 200 with all bindings
//! ```
//!
//! Where bindings are kept is the [location service's](crate::location) business.

mod accepted;
mod contacts;
mod outbound;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use servlet::{Method, ServletContext, SipApplication, SipFlow, SipServlet, SipServletListener, SipServletRequest};
use sip_message::header::Cseq;
use sip_message::{HeaderName, Headers, NameAddr, Request, SipUri, StatusCode, Uri};

pub(crate) use outbound::is_first_hop;

use crate::answer::{self, Refusal};
use crate::domains::{Domains, KnownUsers, OwnAddresses};
use crate::location::{Change, Gruu, News, Refused, SharedLocation};
use contacts::{Common, Wish};
use outbound::Outbound;

/// The application's name.
pub const NAME: &str = "registrar";

/// What registrations may look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrarSettings {
    /// The domains whose users register here.
    pub domains: Domains,
    /// The users of these domains.
    pub users: KnownUsers,
    /// Whether only the user himself may register his address-of-record. The container has to be told to ask him who he
    /// is: a REGISTER of nobody is refused then.
    pub authenticate: bool,
    /// Shorter registrations get 423 with Min-Expires.
    pub min_expires: Duration,
    /// Longer registrations are cut to this.
    pub max_expires: Duration,
    /// What a registration without an expiry gets.
    pub default_expires: Duration,
    /// How often a client with an outbound flow has to send a keep-alive (RFC 5626 §4.4); told by Flow-Timer.
    pub flow_timer: Duration,
    /// What a client is told to wait when the location service is full (RFC 3261 §20.33).
    pub retry_after: Duration,
}

impl Default for RegistrarSettings {
    fn default() -> RegistrarSettings {
        RegistrarSettings {
            domains: Domains::default(),
            users: KnownUsers::everybody(),
            authenticate: true,
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(24 * 3600),
            default_expires: Duration::from_secs(3600),
            flow_timer: Duration::from_secs(120),
            retry_after: Duration::from_secs(10),
        }
    }
}

/// The registrar as an application. The container needs a [`SharedLocation`] as a resource.
pub fn application(settings: RegistrarSettings) -> SipApplication {
    SipApplication::new(NAME).servlet(Registrar { settings }).servlet_listener(OtherWorkers)
}

/// Whether a request is the registrar's: a REGISTER for one of our domains, with nowhere to go on to.
pub fn wants(settings: &RegistrarSettings, request: &SipServletRequest) -> bool {
    request.method() == Method::Register && crate::routes::is_for_us(&settings.domains, request)
}

/// The servlet.
struct Registrar {
    settings: RegistrarSettings,
}

impl SipServlet for Registrar {
    async fn do_register(&self, request: SipServletRequest) -> servlet::Result {
        let context = request.application_session()?.servlet_context()?;
        let location = location_of(&context)?;
        let registration = Registration {
            settings: &self.settings,
            location: &location,
            own: request.as_message(),
            random: &|| context.random(),
            now: context.now(),
            time: context.time(),
            flow: SipFlow::of(&request),
            user: request.remote_user(),
        };
        let outcome = registration.register(&request.sip_request());
        match outcome {
            Ok(registered) => {
                let response = request.create_response(StatusCode::OK)?;
                for (name, value) in registered.headers.iter() {
                    let name = HeaderName::lookup(name);
                    response.sip_response_mut().headers_mut().push(name, value)?;
                }
                response.send()?;
                if let Some(change) = registered.change {
                    context.publish(News::Changed(change));
                }
                if registered.adds {
                    location.tell_watchers(&registered.address_of_record, true);
                }
                Ok(())
            }
            Err(refusal) => refusal.send(&request),
        }
    }
}

/// Keeps the copy of the location service true to what happens elsewhere.
struct OtherWorkers;

impl SipServletListener for OtherWorkers {
    fn published(&self, context: &ServletContext, message: &Arc<dyn Any + Send + Sync>) {
        if let (Some(news), Ok(location)) = (message.downcast_ref::<News>(), location_of(context)) {
            location.told(context.now(), news);
        }
    }

    fn flow_ended(&self, context: &ServletContext, flow: &SipFlow) {
        let Ok(location) = location_of(context) else { return };
        location.flow_ended(context.now(), flow);
        if location.table(context.now()).settings().shared {
            context.publish(News::FlowEnded(*flow));
        }
    }
}

/// The worker's location service. [`crate::MissingResource`] when the program has bound none to the container.
pub(crate) fn location_of(context: &ServletContext) -> Result<Rc<SharedLocation>, crate::MissingResource> {
    context.resource::<SharedLocation>().ok_or(crate::MissingResource("a location service"))
}

/// One REGISTER, and what it is judged by.
struct Registration<'a, O: ?Sized> {
    settings: &'a RegistrarSettings,
    location: &'a SharedLocation,
    own: &'a O,
    random: &'a dyn Fn() -> u64,
    now: Instant,
    time: SystemTime,
    /// What it came on; `None` when another application of ours has made it.
    flow: Option<SipFlow>,
    /// Whom the container has authenticated.
    user: Option<String>,
}

/// A REGISTER that was carried out.
#[derive(Debug)]
struct Registered {
    /// Those of the 200.
    headers: Headers,
    address_of_record: String,
    /// What the other workers are told.
    change: Option<Change>,
    /// Whether a binding was made or refreshed.
    adds: bool,
}

impl<O: OwnAddresses + ?Sized> Registration<'_, O> {
    /// Carries out a REGISTER for one of our domains, or says why not.
    fn register(&self, request: &Request) -> Result<Registered, Refusal> {
        answer::check_extensions(request, HeaderName::Require, &["path", "gruu", "outbound"])?;
        let to = to_uri(request)?;
        self.authorize(to)?;
        let aor = self.address_of_record(to)?;
        let common = Common {
            now: self.now,
            settings: self.settings,
            flow: self.flow,
            call_id: request.headers().first(HeaderName::CallId).unwrap_or_default(),
            cseq: cseq(request)?,
            path: path(request)?,
            outbound: Outbound::of(request),
            wants_gruu: request.headers().has_token(HeaderName::Supported, "gruu"),
            user_agent: request.headers().first(HeaderName::UserAgent).unwrap_or_default(),
        };
        let (mut change, mut adds, mut outbound) = (None, false, false);
        match contacts::read(request, &common)? {
            Wish::Query => {}
            Wish::Clear => {
                let cleared = self.location.table_mut().clear(self.now, &aor, common.call_id, common.cseq);
                change = cleared.map_err(|refused| self.refused(refused))?;
            }
            Wish::Update(drafts) => {
                for draft in drafts.iter().filter(|draft| draft.expires.is_some()) {
                    self.check_no_loop(&aor, draft.contact)?;
                    adds = true;
                }
                outbound = drafts.iter().any(|draft| draft.reg_id != 0);
                let updated = self.location.table_mut().update(self.now, &mut || (self.random)(), &aor, &drafts);
                change = updated.map_err(|refused| self.refused(refused))?;
            }
        }
        let headers = self.accepted(request, to, &aor, outbound);
        Ok(Registered { headers, address_of_record: aor, change, adds })
    }

    /// Step 4: it is the user's own address-of-record.
    fn authorize(&self, to: SipUri<'_>) -> Result<(), Refusal> {
        let may = !self.settings.authenticate
            || match (to.user(), &self.user) {
                (Some(name), Some(user)) => *name == **user,
                _ => false,
            };
        if may { Ok(()) } else { Err(Refusal::new(StatusCode::FORBIDDEN)) }
    }

    /// Step 5. Where users are known, a user that is not among them does not exist.
    fn address_of_record(&self, to: SipUri<'_>) -> Result<String, Refusal> {
        let known = self.settings.users.may_be(&to.user().unwrap_or_default());
        let aor = self.settings.domains.user_of_ours(self.own, &to).filter(|_| known);
        aor.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND))
    }

    /// RFC 5627 §5.1: a contact that leads back to its own address-of-record is a loop.
    fn check_no_loop(&self, aor: &str, contact: &str) -> Result<(), Refusal> {
        let Ok(uri) = SipUri::parse(contact) else { return Ok(()) };
        let table = self.location.table(self.now);
        let named = match Gruu::read(&table.settings().secret, &uri) {
            Gruu::Temporary(number) => table.of_gruu(self.now, number).map(|(aor, _)| aor.to_owned()),
            _ => self.settings.domains.user_of_ours(self.own, &uri),
        };
        if named.as_deref() == Some(aor) {
            return Err(Refusal::because(StatusCode::FORBIDDEN, "Contact is the address-of-record"));
        }
        Ok(())
    }

    fn refused(&self, refused: Refused) -> Refusal {
        match refused {
            Refused::OutOfOrder => Refusal::because(StatusCode::SERVER_INTERNAL_ERROR, "CSeq out of order"),
            Refused::TooManyBindings => Refusal::because(StatusCode::FORBIDDEN, "Too many bindings"),
            Refused::Full => Refusal::new(StatusCode::SERVICE_UNAVAILABLE)
                .with(HeaderName::RetryAfter, self.settings.retry_after.as_secs().max(1)),
        }
    }
}

fn to_uri(request: &Request) -> Result<SipUri<'_>, Refusal> {
    let to = request.headers().first(HeaderName::To).and_then(|to| NameAddr::parse(to).ok());
    match to.map(|to| to.uri()) {
        Some(Uri::Sip(uri)) => Ok(uri),
        // A registrar of SIP domains has no such address-of-record.
        Some(_) => Err(Refusal::new(StatusCode::NOT_FOUND)),
        None => Err(Refusal::because(StatusCode::BAD_REQUEST, "Malformed To")),
    }
}

fn cseq(request: &Request) -> Result<u32, Refusal> {
    match request.headers().get::<Cseq>() {
        Some(Ok(cseq)) => Ok(cseq.sequence),
        _ => Err(Refusal::because(StatusCode::BAD_REQUEST, "Malformed CSeq")),
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
        return Err(Refusal::because(StatusCode::BAD_REQUEST, "Malformed Path"));
    }
    if !headers.has_token(HeaderName::Supported, "path") {
        return Err(Refusal::new(StatusCode::BAD_EXTENSION).with(HeaderName::Unsupported, "path"));
    }
    Ok(if rest.is_empty() { Cow::Borrowed(first) } else { Cow::Owned(format!("{first}, {}", rest.join(", "))) })
}
