//! The presence server: who is there, and who is told of it. RFC 3903 (PUBLISH), RFC 6665 (SUBSCRIBE, NOTIFY), RFC 3856
//! (the event package `presence`), RFC 3863 (its documents).
//!
//! ```text
//!   PUBLISH ──► publications ──compose──► document ──► NOTIFY to every watcher
//!               (entity-tags)                ▲
//!   SUBSCRIBE ──► watchers ──────────────────┘ at once
//! ```
//!
//! Everything about one presentity belongs to one application session, whose key is its address-of-record: the
//! publications are an attribute of it, each subscription is a SIP session in it with an attribute of its own. It lives
//! as long as one of their timers runs, and is over by itself.
//!
//! | file | what |
//! | --- | --- |
//! | `publish.rs` | PUBLISH |
//! | `subscribe.rs` | SUBSCRIBE, NOTIFY and the watchers |
//! | `publications.rs` | the compositor's state |
//! | `pidf.rs`, `xml.rs` | documents |
//! | `timers.rs` | what waits |
//!
//! Not here: partial publication and notification (RFC 5264, 5263), filters (RFC 4660), watcher information (RFC 3857),
//! lists (RFC 4662). Who a sender really is, is for the container's security to find out before.

pub mod pidf;
pub mod publications;
mod publish;
mod refusal;
mod subscribe;
mod timers;
mod xml;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use servlet::{
    Method, Result, ServletContext, ServletTimer, SipApplication, SipServlet, SipServletListener, SipServletRequest,
    SipServletResponse, SipUri, TimerListener,
};
use sip_message::header::{Event, TypedHeader};

use crate::domains::Domains;
use crate::routes::is_for_us;
use publications::Limits;
use timers::Wake;
pub use xml::XmlError;

/// The name that [`application`] has.
pub const NAME: &str = "presence";

/// The event package.
const PACKAGE: &str = "presence";

/// How the server is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose presence it serves.
    pub domains: Domains,
    /// How long publications live.
    pub publications: Lifetimes,
    /// How long subscriptions live.
    pub subscriptions: Lifetimes,
    /// How much may be published for one presentity.
    pub limits: Limits,
    /// How many watchers one presentity may have; more are answered 503.
    pub max_watchers: usize,
    /// How many presentities each worker may have; more are answered 503.
    pub max_presentities: usize,
    /// The watchers of a presentity are told of changes this often at most. RFC 3856 §6.10 asks for five seconds; what
    /// answers a SUBSCRIBE is told at once.
    pub notify_interval: Duration,
    /// Who may publish.
    pub publishers: PublisherPolicy,
    /// Who may watch.
    pub watchers: WatcherPolicy,
    /// Whether subscriptions end with the server, so that watchers subscribe anew and elsewhere. To be switched off
    /// where sessions outlive the server.
    pub deactivate: bool,
}

/// The times that are granted: at most what was asked for, and never more than `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Shorter ones are refused with 423 and Min-Expires. Counts as one hour if it is longer (RFC 6665 §4.2.1.1).
    pub shortest: Duration,
    /// Where nothing is asked for.
    pub usual: Duration,
    /// Longer ones are cut.
    pub longest: Duration,
}

/// What a watcher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Everything.
    Allowed,
    /// That the presentity is closed, whether it is or not: polite blocking (RFC 3856 §6.6.2).
    Blocked,
    /// Nothing: 403.
    Refused,
}

/// Decides who may watch.
#[derive(Clone)]
pub struct WatcherPolicy(Arc<Decision<Authorization>>);

/// Decides who may publish.
#[derive(Clone)]
pub struct PublisherPolicy(Arc<Decision<bool>>);

type Decision<T> = dyn Fn(&SipServletRequest, &str) -> T + Send + Sync;

/// The presence server.
pub fn application(settings: Settings) -> SipApplication {
    let server = Arc::new(settings);
    let keys = Arc::clone(&server);
    SipApplication::new(NAME)
        .max_sessions(server.max_presentities)
        .session_timeout(servlet::Minutes(0))
        .application_key(move |request| keys.presentity(request))
        .servlet(Presence(Arc::clone(&server)))
        .timer_listener(Presence(Arc::clone(&server)))
        .servlet_listener(Presence(server))
}

/// Whether a request is for this server: a PUBLISH or SUBSCRIBE of presence for a user of our domains.
pub fn wants(settings: &Settings, request: &SipServletRequest) -> bool {
    matches!(request.method(), Method::Publish | Method::Subscribe)
        && refusal::event(request).is_ok()
        && is_for_us(&settings.domains, request)
        && settings.presentity(request).is_some()
}

struct Presence(Arc<Settings>);

impl SipServlet for Presence {
    async fn do_publish(&self, request: SipServletRequest) -> Result {
        refusal::answer(&request, publish::publish(&self.0, &request))
    }

    async fn do_subscribe(&self, request: SipServletRequest) -> Result {
        refusal::answer(&request, subscribe::subscribe(&self.0, &request))
    }

    async fn do_response(&self, response: SipServletResponse) -> Result {
        if response.method() == Method::Notify && response.status().is_final() {
            subscribe::answered(&response)?;
        }
        Ok(())
    }
}

impl TimerListener for Presence {
    async fn timeout(&self, timer: ServletTimer) -> Result {
        let session = timer.application_session();
        match timers::fired(&timer)? {
            Some(Wake::Publication(number)) => publish::expired(&self.0, session, number),
            Some(Wake::Subscription(id)) => subscribe::expired(session, &id),
            Some(Wake::Notify) => subscribe::may_notify(&self.0, session),
            None => Ok(()),
        }
    }
}

impl SipServletListener for Presence {
    fn stopping(&self, context: &ServletContext) {
        if self.0.deactivate {
            subscribe::deactivate_all(context);
        }
    }
}

impl Settings {
    /// With the times and limits of RFC 3856, for these domains.
    pub fn new(domains: Domains) -> Settings {
        let minute = Duration::from_secs(60);
        let hour = 60 * minute;
        Settings {
            publishers: PublisherPolicy::own_presence(domains.clone()),
            domains,
            publications: Lifetimes { shortest: minute, usual: hour, longest: hour },
            subscriptions: Lifetimes { shortest: minute, usual: hour, longest: 24 * hour },
            limits: Limits { publications: 16, octets: xml::MAX_LENGTH },
            max_watchers: 1000,
            max_presentities: 100_000,
            notify_interval: Duration::from_secs(5),
            watchers: WatcherPolicy::everybody(),
            deactivate: true,
        }
    }

    /// Whom a request is about, as `user@domain`; `None` when it is nobody of ours.
    fn presentity(&self, request: &SipServletRequest) -> Option<String> {
        let uri = request.request_uri();
        self.domains.address_of_record(request.as_message(), &uri.as_sip()?.as_message_uri())
    }
}

impl Lifetimes {
    /// The time that is granted; the error is the shortest that would be.
    fn grant(&self, requested: Option<Duration>) -> Result<Duration, Duration> {
        let shortest = self.shortest.min(Duration::from_secs(3600));
        match requested.unwrap_or(self.usual).min(self.longest) {
            granted if granted < shortest && !granted.is_zero() => Err(shortest),
            granted => Ok(granted),
        }
    }
}

impl WatcherPolicy {
    /// A policy that takes the SUBSCRIBE and the presentity as `user@domain`.
    pub fn new(decide: impl Fn(&SipServletRequest, &str) -> Authorization + Send + Sync + 'static) -> WatcherPolicy {
        WatcherPolicy(Arc::new(decide))
    }

    /// Whoever the container lets through.
    pub fn everybody() -> WatcherPolicy {
        WatcherPolicy::new(|_, _| Authorization::Allowed)
    }
}

impl PublisherPolicy {
    /// A policy that takes the PUBLISH and the presentity as `user@domain`.
    pub fn new(decide: impl Fn(&SipServletRequest, &str) -> bool + Send + Sync + 'static) -> PublisherPolicy {
        PublisherPolicy(Arc::new(decide))
    }

    /// The presentity itself: its address in From, and its name where the container has authenticated the sender.
    pub fn own_presence(domains: Domains) -> PublisherPolicy {
        PublisherPolicy::new(move |request, presentity| {
            let from = request.from();
            let from = from.uri().and_then(|uri| uri.as_sip());
            let from = from.and_then(|uri| domains.address_of_record(request.as_message(), &uri.as_message_uri()));
            let user = presentity.rsplit_once('@').map_or(presentity, |(user, _)| user);
            from.as_deref() == Some(presentity)
                && request.remote_user().is_none_or(|name| name == user || name == presentity)
        })
    }
}

/// The URI that a presentity is named by in documents.
fn entity(presentity: &str) -> String {
    let (user, domain) = presentity.rsplit_once('@').unwrap_or((presentity, "localhost"));
    SipUri::new(user, domain).map_or_else(|_| format!("sip:{domain}"), |uri| uri.to_string())
}

impl fmt::Debug for WatcherPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatcherPolicy")
    }
}

impl fmt::Debug for PublisherPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublisherPolicy")
    }
}

/// The Event header's `id`, if the header names our package.
fn our_event(value: &str) -> Option<Option<String>> {
    let event = Event::parse(value).ok()?;
    (event.package() == PACKAGE).then(|| event.id().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// RFC 3903 §6 step 4, RFC 6665 §4.2.1.1.
    #[test]
    fn a_lifetime_is_never_longer_than_asked_for_and_never_too_short() {
        let lifetimes = Lifetimes { shortest: 60 * SECOND, usual: 600 * SECOND, longest: 3600 * SECOND };
        let seconds = |requested: Option<u32>| lifetimes.grant(requested.map(|n| n * SECOND));
        assert_eq!(seconds(None), Ok(600 * SECOND));
        assert_eq!(seconds(Some(60)), Ok(60 * SECOND));
        assert_eq!(seconds(Some(4000)), Ok(3600 * SECOND));
        assert_eq!(seconds(Some(59)), Err(60 * SECOND));
        assert_eq!(seconds(Some(0)), Ok(Duration::ZERO));
        let day = Lifetimes { shortest: 86400 * SECOND, usual: 86400 * SECOND, longest: 86400 * SECOND };
        assert_eq!(day.grant(Some(3600 * SECOND)), Ok(3600 * SECOND), "only what is shorter than an hour is refused");
    }

    #[test]
    fn events_of_other_packages_and_templates_are_not_ours() {
        assert_eq!(our_event("presence"), Some(None));
        assert_eq!(our_event("presence;id=7;x=y"), Some(Some("7".to_owned())));
        for other in ["presence.winfo", "Presence", "dialog", "", "presence, dialog"] {
            assert_eq!(our_event(other), None, "{other}");
        }
    }

    #[test]
    fn a_presentity_is_named_by_its_address() {
        assert_eq!(entity("alice@example.com"), "sip:alice@example.com");
        assert_eq!(entity("a b@example.com"), "sip:a%20b@example.com");
    }
}
