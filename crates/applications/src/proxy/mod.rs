//! The proxy: forwards calls to where users of our domains have registered, and, where that is wanted, to anywhere.
//! RFC 3261 §16.3 and §16.5, with RFC 3327, RFC 3841, RFC 5626 and RFC 5627 where targets are concerned.
//!
//! ```text
//!   request ──► members or guests ──► validate §16.3 ──► targets §16.5 ──► branches of the container's proxy
//!                     │                    │                 │                   │ one has failed
//!                     └───────── 4xx ◄─────┴─────────────────┘                   ▼
//!                                                                  search: the next targets, or the best response
//! ```
//!
//! Two servlets do the same; the container can be told to ask those who claim to be users of ours who they are, and
//! nobody else. Left to the container: everything that is sent (§16.6), which response is the best (§16.7), CANCEL and
//! Timer C, requests of dialogs that pass through us, loops and breadth (RFC 5393), flow tokens in Record-Route and Path.

mod disposition;
mod search;
mod targets;
#[cfg(test)]
mod tests;
mod validate;

use std::cell::RefCell;
use std::time::Duration;

use servlet::{
    Address, Error, IllegalState, Method, Proxy, ProxyBranch, SipApplication, SipFlow, SipServlet, SipServletRequest,
    SipServletResponse, StatusCode, Transport, Uri,
};
use sip_message::{HeaderName, Headers, NameAddr, Request};

use crate::answer::{Refusal, begins_something};
use crate::domains::{Domains, KnownUsers};
use crate::options::{self, OptionsSettings};
use crate::registrar::{is_first_hop, location_of};
use disposition::Disposition;
use search::Search;
use targets::{Finder, Found, Target, TargetSet};
use validate::Validated;

/// The application's name.
pub const NAME: &str = "proxy";
/// The servlet that gets requests which begin something and claim to come from a user of ours. A security constraint
/// with proxy authentication belongs here.
pub const MEMBERS: &str = "members";
/// The servlet that gets all others.
pub const GUESTS: &str = "guests";

/// To whom the proxy forwards what is not for a user of our domains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relay {
    /// To nobody, except what is in a dialog that passes through us.
    #[default]
    None,
    /// To any Request-URI.
    Any,
}

/// How requests are forwarded (RFC 3261 §16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// The domains that we are responsible for.
    pub domains: Domains,
    /// The users of these domains.
    pub users: KnownUsers,
    /// To whom.
    pub relay: Relay,
    /// Whether we stay on the path of dialogs.
    pub record_route: bool,
    /// Whether the contacts of a 3xx are tried here instead of by the caller (RFC 3261 §16.7 step 4).
    pub recurse: bool,
    /// Timer C of each branch: more than three minutes (RFC 3261 §16.6 step 11).
    pub timer_c: Duration,
    /// How many of a user's bindings one request is sent to.
    pub max_targets: usize,
    /// What an OPTIONS is told that has no hop left.
    pub options: OptionsSettings,
}

impl Default for ProxySettings {
    fn default() -> ProxySettings {
        ProxySettings {
            domains: Domains::default(),
            users: KnownUsers::everybody(),
            relay: Relay::None,
            record_route: true,
            recurse: false,
            timer_c: Duration::from_secs(181),
            max_targets: 70,
            options: OptionsSettings::default(),
        }
    }
}

/// The proxy as an application. The container needs a [`crate::location::SharedLocation`] as a resource.
pub fn application(settings: ProxySettings) -> SipApplication {
    let domains = settings.domains.clone();
    SipApplication::new(NAME)
        .proxy_timeout(settings.timer_c)
        .named_servlet(MEMBERS, Forwarder { settings: settings.clone() })
        .named_servlet(GUESTS, Forwarder { settings })
        .servlet_mapping(MEMBERS, move |request| is_a_member_s(&domains, request))
        .servlet_mapping(GUESTS, |_| true)
}

/// Whether a request begins something and claims to come from a user of ours (RFC 3261 §16.3 step 6, §22.3).
fn is_a_member_s(domains: &Domains, request: &SipServletRequest) -> bool {
    let sip = request.sip_request();
    let from = sip.headers().first(HeaderName::From).and_then(|from| NameAddr::parse(from).ok());
    begins_something(&sip)
        && !is_invited(request)
        && from.and_then(|from| from.uri().sip()).is_some_and(|uri| domains.cover(request.as_message(), &uri))
}

/// Whether a request came along a Record-Route or a Path of ours, which nobody else can have made. The container has
/// checked the token in the user part, and refused what only looks like one.
fn is_invited(request: &SipServletRequest) -> bool {
    let route = request.popped_route().or_else(|| request.initial_popped_route());
    let uri = route.as_ref().and_then(Address::uri).and_then(Uri::as_sip);
    uri.is_some_and(|uri| uri.as_message_uri().raw_user().is_some_and(|user| user.starts_with('~')))
}

/// Both servlets.
struct Forwarder {
    settings: ProxySettings,
}

/// The search that goes on behind a request, as an attribute of it.
const SEARCH: &str = "search";
type Running = RefCell<Search<ProxyBranch>>;

impl SipServlet for Forwarder {
    async fn do_request(&self, request: SipServletRequest) -> servlet::Result {
        // What belongs to a dialog or a transaction the container takes along by itself.
        if !request.is_initial() || request.method() == Method::Cancel {
            return Ok(());
        }
        match self.forward(&request) {
            Ok(()) | Err(Stop::Answered) => Ok(()),
            Err(Stop::Refused(refusal)) => refusal.send(&request),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// Some branch has failed, and others run.
    async fn do_branch_response(&self, response: SipServletResponse) -> servlet::Result {
        self.go_on(&response, false)
    }

    /// The best response: no branch runs any more, unless it is a success.
    async fn do_response(&self, response: SipServletResponse) -> servlet::Result {
        if response.status().is_final() { self.go_on(&response, true) } else { Ok(()) }
    }
}

/// Why a request is not forwarded.
enum Stop {
    Refused(Refusal),
    /// Somebody has answered already.
    Answered,
    Failed(Box<dyn std::error::Error>),
}

impl Forwarder {
    fn forward(&self, request: &SipServletRequest) -> Result<(), Stop> {
        let validated = validate::validate(&request.sip_request())?;
        if validated == Validated::OptionsForUs {
            options::capabilities(&self.settings.options, request)?.send()?;
            return Err(Stop::Answered);
        }
        self.check_sender(request)?;
        let found = self.find(request)?;
        let proxy = request.proxy().map_err(|error| match error {
            // The container has sent 483 or the like.
            Error::TooManyHops | Error::IllegalState(IllegalState::FinalResponseSent) => Stop::Answered,
            error => error.into(),
        })?;
        self.set_up(&proxy, request)?;
        match found {
            Found::AsItSays => {
                proxy.set_supervised(false)?;
                proxy.set_recurse(false)?;
                proxy.proxy_to(&request.request_uri())?;
            }
            Found::Located(targets) => self.search(&proxy, request, targets)?,
        }
        Ok(())
    }

    /// Whoever was asked who he is, is who he claims to be.
    fn check_sender(&self, request: &SipServletRequest) -> Result<(), Refusal> {
        let Some(user) = request.remote_user() else { return Ok(()) };
        if !is_a_member_s(&self.settings.domains, request) {
            return Ok(());
        }
        let name = request.from().uri().and_then(Uri::as_sip).and_then(|uri| uri.user());
        if name.as_deref() == Some(&*user) { Ok(()) } else { Err(Refusal::new(StatusCode::FORBIDDEN)) }
    }

    fn find(&self, request: &SipServletRequest) -> Result<Found, Stop> {
        let context = request.application_session()?.servlet_context()?;
        let now = context.now();
        let location = location_of(&context).map_err(|error| Stop::Failed(error.into()))?;
        let table = location.table(now);
        let invited = is_invited(request);
        let finder = Finder { settings: &self.settings, location: &table, own: request.as_message(), invited };
        Ok(finder.find(now, &request.sip_request())?)
    }

    /// What holds for all branches.
    fn set_up(&self, proxy: &Proxy, request: &SipServletRequest) -> Result<(), Error> {
        let method = request.method();
        if self.settings.record_route && may_begin_dialog(&method) {
            proxy.set_record_route(true)?;
        }
        if wants_path(&request.sip_request(), SipFlow::of(request)) {
            proxy.set_add_to_path(true)?;
            // RFC 5626 §5.1: the first hop says that it does outbound.
            let mut path = proxy.path_uri()?;
            path.set_parameter("ob", "")?;
            proxy.set_path_uri(&path)?;
        }
        Ok(())
    }

    /// Starts the best targets, and keeps the others for later.
    fn search(&self, proxy: &Proxy, request: &SipServletRequest, targets: TargetSet) -> Result<(), Error> {
        let disposition = Disposition::of(&request.sip_request());
        proxy.set_recurse(self.settings.recurse && !disposition.no_recurse)?;
        if disposition.no_cancel {
            proxy.set_no_cancel(true)?;
        }
        if targets.len() == 1 {
            proxy.set_supervised(false)?;
            return self.start(proxy, targets, None);
        }
        let all = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        let mut search = Search::new(targets, disposition);
        let first = search.next();
        if search.is_exhausted() {
            proxy.set_supervised(false)?;
            return self.start(proxy, first, None);
        }
        // The whole of the search; each branch has its own Timer C.
        proxy.set_proxy_timeout(self.settings.timer_c.saturating_mul(all))?;
        self.start(proxy, first, Some(&mut search))?;
        request.set_attribute(SEARCH, RefCell::new(search));
        Ok(())
    }

    /// Starts a branch to each target. A search hears of those that are its.
    fn start(
        &self,
        proxy: &Proxy,
        targets: TargetSet,
        mut search: Option<&mut Search<ProxyBranch>>,
    ) -> Result<(), Error> {
        for target in targets {
            let Some(branch) = self.branch(proxy, &target)? else { continue };
            if let Some(search) = &mut search {
                branch.set_proxy_branch_timeout(self.settings.timer_c)?;
                search.started(branch, target.instance);
            }
        }
        proxy.start_proxy()
    }

    fn branch(&self, proxy: &Proxy, target: &Target) -> Result<Option<ProxyBranch>, Error> {
        let uri = Uri::from(&target.uri);
        let Some(branch) = proxy.create_proxy_branches(std::slice::from_ref(&uri))?.pop() else { return Ok(None) };
        if target.flow.is_some() {
            branch.set_flow(target.flow)?;
        }
        if !target.path.is_empty() {
            let request = branch.request()?;
            for route in routes(&target.path).iter().rev() {
                request.push_route_address(route)?;
            }
        }
        Ok(Some(branch))
    }

    /// A branch has failed: the search goes on, if there is one.
    fn go_on(&self, response: &SipServletResponse, is_last: bool) -> servlet::Result {
        let Some(proxy) = response.proxy() else { return Ok(()) };
        let Some(search) = proxy.original_request()?.attribute::<Running>(SEARCH) else { return Ok(()) };
        let mut search = search.borrow_mut();
        if let Some(branch) = response.proxy_branch() {
            search.ended(&branch, response.status());
        }
        if is_last && !response.status().is_success() {
            // Whoever was not told of has failed too, by its own response or by none.
            let unheard: Vec<ProxyBranch> = search.running().cloned().collect();
            for branch in unheard {
                let status = branch.response().map(|response| response.status()).filter(|status| status.is_final());
                search.ended(&branch, status.unwrap_or(StatusCode::REQUEST_TIMEOUT));
            }
        }
        let next = search.next();
        if next.is_empty() {
            return Ok(());
        }
        match self.start(&proxy, next, Some(&mut search)) {
            // It was cancelled meanwhile: the best response goes back.
            Err(Error::IllegalState(_)) => Ok(()),
            other => Ok(other?),
        }
    }
}

/// Whether dialogs may begin with a request of this method (RFC 3261 §16.6 step 4: also methods that we do not know;
/// RFC 6665 §4.3: NOTIFY too).
fn may_begin_dialog(method: &Method) -> bool {
    method.creates_dialog() || matches!(method, Method::Notify | Method::Other(_))
}

/// RFC 5626 §5.1, RFC 7118: whether a REGISTER on its way to another registrar has to take our address along: its first
/// hop we are, and its client can be reached over nothing but the flow that it came on.
fn wants_path(request: &Request, flow: Option<SipFlow>) -> bool {
    let headers = request.headers();
    let is_flow = || {
        let mut contacts = headers.values(HeaderName::Contact);
        contacts.any(|contact| NameAddr::parse(contact).is_ok_and(|contact| contact.params().contains("reg-id")))
    };
    let Some(flow) = flow.filter(|_| *request.method() == Method::Register) else { return false };
    is_first_hop(request)
        && headers.has_token(HeaderName::Supported, "path")
        && (matches!(flow.as_flow().transport, Transport::Ws | Transport::Wss) || is_flow())
}

/// The values of a path vector that is kept as one list (RFC 3327 §5.3).
fn routes(path: &str) -> Vec<Address> {
    let mut list = Headers::new();
    if list.push(HeaderName::Route, path).is_err() {
        return Vec::new();
    }
    list.values(HeaderName::Route).filter_map(|value| Address::parse(value).ok()).collect()
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error.into())
    }
}
