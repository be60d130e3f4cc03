//! SUBSCRIBE and NOTIFY: the watchers of one presentity. RFC 6665 §4.2, RFC 3856 §6.
//!
//! ```text
//!   SUBSCRIBE ──► 200, NOTIFY active ──► changes: NOTIFY active … ──► Expires: 0, or the time is over:
//!                                                                     NOTIFY terminated;reason=timeout
//!                                    a NOTIFY fails: nothing more     the server leaves: …;reason=deactivated
//! ```
//!
//! There is nothing between a watcher and its subscription that waits: every NOTIFY has the whole state, so that a
//! watcher who has not answered the last one yet is sent the latest as soon as it does, and none of those between.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use servlet::{
    Durable, Error, IllegalState, Method, Result, ServletContext, SipApplicationSession, SipServletRequest,
    SipServletResponse, SipSession, StatusCode,
};
use sip_message::header::{Accept, MediaType, TypedHeader};

use super::refusal::{NotDone, Refusal, event};
use super::timers::{self, Wake};
use super::{Authorization, PACKAGE, Settings, entity, pidf, publish};

/// A subscription, in the SIP session of its dialog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Watcher {
    /// Of the Event header.
    event_id: Option<String>,
    /// Whether it is told that the presentity is closed, whatever is true.
    is_blocked: bool,
    /// In milliseconds since 1970; to be told, while a timer decides.
    expires_at: u64,
    /// Whether a NOTIFY waits for its answer.
    is_notified: bool,
    /// Whether something has changed since that NOTIFY.
    is_behind: bool,
}

impl Durable for Watcher {
    const VERSION: u16 = 1;
}

const WATCHER: &str = "watcher";
/// Of the application session: whom it is about, as `user@domain`.
const PRESENTITY: &str = "presentity";
/// Of the application session: whether something has changed that watchers were not told, for it was too soon.
const CHANGED: &str = "changed";

/// Takes a SUBSCRIBE, answers it and sends the state, or refuses it.
pub(super) fn subscribe(settings: &Settings, request: &SipServletRequest) -> Result<(), NotDone> {
    if request.is_initial() { begin(settings, request) } else { refresh(settings, request) }
}

/// Notes whom an application session is about.
pub(super) fn name(session: &SipApplicationSession, presentity: &str) -> Result<(), Error> {
    match session.attribute::<String>(PRESENTITY)? {
        Some(_) => Ok(()),
        None => session.set_attribute(PRESENTITY, presentity.to_owned()),
    }
}

fn begin(settings: &Settings, request: &SipServletRequest) -> Result<(), NotDone> {
    let presentity = settings.presentity(request).ok_or(StatusCode::NOT_FOUND)?;
    let event_id = event(request)?;
    check_accept(&request.headers("Accept"))?;
    let is_blocked = match (settings.watchers.0)(request, &presentity) {
        Authorization::Allowed => false,
        Authorization::Blocked => true,
        Authorization::Refused => return Err(StatusCode::FORBIDDEN.into()),
    };
    let lifetime = settings.subscriptions.grant(request.expires()).map_err(Refusal::too_brief)?;
    let application = request.application_session()?;
    if !lifetime.is_zero() && watchers(&application)?.len() >= settings.max_watchers {
        return Err(Refusal::full().into());
    }
    name(&application, &presentity)?;
    let watcher = Watcher { event_id, is_blocked, expires_at: 0, is_notified: false, is_behind: false };
    accept(request, &application, watcher, lifetime)?;
    if !lifetime.is_zero() {
        remember(&application)?;
    }
    Ok(())
}

fn refresh(settings: &Settings, request: &SipServletRequest) -> Result<(), NotDone> {
    let event_id = event(request)?;
    let watcher = request.session()?.attribute::<Watcher>(WATCHER)?;
    // A second subscription in a dialog is not begun (RFC 6665 §4.5.2), and one that has ended not refreshed.
    let watcher = watcher.filter(|watcher| watcher.event_id == event_id);
    let watcher = watcher.ok_or(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)?;
    check_accept(&request.headers("Accept"))?;
    let lifetime = settings.subscriptions.grant(request.expires()).map_err(Refusal::too_brief)?;
    Ok(accept(request, &request.application_session()?, (*watcher).clone(), lifetime)?)
}

/// RFC 6665 §4.2.1.2: 200, and a NOTIFY immediately.
fn accept(
    request: &SipServletRequest,
    application: &SipApplicationSession,
    mut watcher: Watcher,
    lifetime: Duration,
) -> Result<(), Error> {
    let session = request.session()?;
    let response = request.create_response(StatusCode::OK)?;
    response.set_expires(lifetime)?;
    response.send()?;
    let document = Documents::of(application)?;
    if lifetime.is_zero() {
        forget(application, &session)?;
        return say_goodbye(&session, &watcher, "terminated;reason=timeout", &document);
    }
    let now = application.servlet_context()?.time();
    watcher.expires_at = milliseconds(now).saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
    session.set_attribute(WATCHER, watcher.clone())?;
    timers::start(application, Wake::Subscription(session.id()), lifetime)?;
    tell(application, &session, watcher, &document, now)
}

/// The state of the presentity has changed: its watchers are told, now or when it is not too soon after the last time.
pub(super) fn changed(settings: &Settings, application: &SipApplicationSession) -> Result<(), Error> {
    if timers::is_running(application, &Wake::Notify)? {
        return application.set_attribute(CHANGED, true);
    }
    let now = application.servlet_context()?.time();
    let document = Documents::of(application)?;
    let watchers = watchers(application)?;
    if !watchers.is_empty() && !settings.notify_interval.is_zero() {
        timers::start(application, Wake::Notify, settings.notify_interval)?;
    }
    for (session, watcher) in watchers {
        if watcher.is_blocked {
            // Nothing ever changes for it; a NOTIFY would tell that something has.
        } else if watcher.is_notified {
            session.set_attribute(WATCHER, Watcher { is_behind: true, ..watcher })?;
        } else {
            tell(application, &session, watcher, &document, now)?;
        }
    }
    Ok(())
}

/// It is not too soon any more.
pub(super) fn may_notify(settings: &Settings, application: &SipApplicationSession) -> Result {
    if application.attribute::<bool>(CHANGED)?.is_some() {
        application.remove_attribute(CHANGED)?;
        changed(settings, application)?;
    }
    Ok(())
}

/// The time of a subscription is over (RFC 6665 §4.2.1.4).
pub(super) fn expired(application: &SipApplicationSession, session: &str) -> Result {
    let Some(session) = application.sip_session(session)? else {
        return Ok(());
    };
    end(application, &session, "terminated;reason=timeout")?;
    Ok(())
}

/// A NOTIFY has been answered.
pub(super) fn answered(response: &SipServletResponse) -> Result<(), Error> {
    let session = response.session()?;
    // The last NOTIFY of a subscription leaves none.
    let Some(watcher) = session.attribute::<Watcher>(WATCHER)? else {
        return Ok(());
    };
    let application = session.application_session()?;
    if ends_subscription(response.status()) {
        forget(&application, &session)?;
        return session.invalidate();
    }
    if watcher.is_behind && response.status().is_success() {
        let now = application.servlet_context()?.time();
        return tell(&application, &session, (*watcher).clone(), &Documents::of(&application)?, now);
    }
    session.set_attribute(WATCHER, Watcher { is_notified: false, is_behind: false, ..(*watcher).clone() })
}

/// The server leaves: whoever still wants to know shall subscribe elsewhere (RFC 6665 §4.4.2).
pub(super) fn deactivate_all(context: &ServletContext) {
    let sessions = std::mem::take(&mut *context.local(Watched::default).0.borrow_mut());
    for application in sessions.values() {
        // A session that is over has no watchers, and there is nobody to tell of another failure.
        for (session, _) in watchers(application).unwrap_or_default() {
            let _ = end(application, &session, "terminated;reason=deactivated");
        }
    }
}

/// Sends the state, and notes that it was sent. A watcher that can't be reached is none.
fn tell(
    application: &SipApplicationSession,
    session: &SipSession,
    watcher: Watcher,
    documents: &Documents,
    now: SystemTime,
) -> Result<(), Error> {
    let left = watcher.expires_at.saturating_sub(milliseconds(now)).div_ceil(1000);
    let state = format!("active;expires={left}");
    if notify(session, &watcher, &state, documents.for_watcher(&watcher)).is_err() {
        forget(application, session)?;
        return session.invalidate();
    }
    session.set_attribute(WATCHER, Watcher { is_notified: true, is_behind: false, ..watcher })
}

fn end(application: &SipApplicationSession, session: &SipSession, state: &str) -> Result<(), Error> {
    let Some(watcher) = session.attribute::<Watcher>(WATCHER)? else {
        return Ok(());
    };
    forget(application, session)?;
    say_goodbye(session, &watcher, state, &Documents::of(application)?)
}

/// The last NOTIFY; the dialog ends with it, and without it if it can't be sent.
fn say_goodbye(session: &SipSession, watcher: &Watcher, state: &str, documents: &Documents) -> Result<(), Error> {
    match notify(session, watcher, state, documents.for_watcher(watcher)) {
        Ok(()) => Ok(()),
        Err(_) => session.invalidate(),
    }
}

/// Takes the subscription out of the session of its dialog.
fn forget(application: &SipApplicationSession, session: &SipSession) -> Result<(), Error> {
    session.remove_attribute(WATCHER)?;
    timers::stop(application, &Wake::Subscription(session.id()))
}

fn notify(session: &SipSession, watcher: &Watcher, state: &str, document: &Bytes) -> Result<(), Error> {
    let notify = session.create_request(Method::Notify)?;
    match &watcher.event_id {
        Some(id) => notify.set_header("Event", &format!("{PACKAGE};id={id}"))?,
        None => notify.set_header("Event", PACKAGE)?,
    }
    notify.set_header("Subscription-State", state)?;
    notify.set_content(document.clone(), pidf::CONTENT_TYPE)?;
    notify.send()
}

/// The sessions that are subscriptions, not those of PUBLISH nor those that are ending.
fn watchers(application: &SipApplicationSession) -> Result<Vec<(SipSession, Watcher)>, Error> {
    let mut watchers = Vec::new();
    for session in application.sip_sessions()? {
        if let Some(watcher) = session.attribute::<Watcher>(WATCHER)? {
            watchers.push((session, (*watcher).clone()));
        }
    }
    Ok(watchers)
}

/// What watchers are sent.
struct Documents {
    true_one: Bytes,
    closed: Bytes,
}

impl Documents {
    fn of(application: &SipApplicationSession) -> Result<Documents, Error> {
        let presentity = application.attribute::<String>(PRESENTITY)?;
        let presentity = presentity.ok_or(IllegalState::InvalidApplicationSession)?;
        let entity = entity(&presentity);
        Ok(Documents { true_one: publish::composed(application, &entity)?, closed: pidf::closed(&entity).into() })
    }

    fn for_watcher(&self, watcher: &Watcher) -> &Bytes {
        if watcher.is_blocked { &self.closed } else { &self.true_one }
    }
}

/// The sessions of this worker that have or had watchers, by their ids; for [`deactivate_all`].
#[derive(Default)]
struct Watched(RefCell<BTreeMap<String, SipApplicationSession>>);

fn remember(application: &SipApplicationSession) -> Result<(), Error> {
    let watched = application.servlet_context()?.local(Watched::default);
    let mut watched = watched.0.borrow_mut();
    // Those that are over are let go whenever their number may have doubled.
    if watched.len() >= 64 && watched.len().is_power_of_two() {
        watched.retain(|_, session| session.is_valid());
    }
    watched.insert(application.id(), application.clone());
    Ok(())
}

/// RFC 3856 §6.5: every watcher takes PIDF, and says so if it says anything.
fn check_accept(values: &[String]) -> Result<(), NotDone> {
    let pidf = MediaType::new("application", "pidf+xml").expect("two tokens");
    let covers = |value: &String| Accept::parse(value).is_ok_and(|range| range.covers(&pidf));
    if values.is_empty() || values.iter().any(covers) {
        return Ok(());
    }
    Err(Refusal::with(StatusCode::NOT_ACCEPTABLE, "Accept", pidf::CONTENT_TYPE).into())
}

/// RFC 6665 §4.2.2; 408 is how a NOTIFY without an answer ends.
fn ends_subscription(status: StatusCode) -> bool {
    matches!(status.code(), 404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_takes_pidf_unless_it_says_otherwise() {
        let takes = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            check_accept(&values).is_ok()
        };
        assert!(takes(&[]));
        assert!(takes(&["application/cpim-pidf+xml", "application/pidf+xml;q=0.5"]));
        assert!(takes(&["*/*"]) && takes(&["application/*"]));
        for other in [&["text/plain"] as &[&str], &["application/pidf+xml;q=0"], &[""]] {
            assert!(!takes(other), "{other:?}");
        }
    }

    /// RFC 6665 §4.2.2: "a 404, 405, 410, 416, 480-485, 489, 501, or 604 response", and the expiry of Timer F.
    #[test]
    fn some_answers_to_a_notify_end_the_subscription_and_others_do_not() {
        let ends: Vec<u16> = (200..700).filter(|code| ends_subscription(StatusCode::new(*code).unwrap())).collect();
        assert_eq!(ends, [404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604]);
    }

    #[test]
    fn what_is_written_down_reads_as_itself() {
        let watcher = Watcher {
            event_id: Some("7".to_owned()),
            is_blocked: true,
            expires_at: 1_700_000_000_000,
            is_notified: true,
            is_behind: false,
        };
        let replica = servlet::Attribute::write(&watcher).unwrap();
        assert_eq!(Watcher::read(replica.version, &replica.octets), Some(watcher));
    }
}
