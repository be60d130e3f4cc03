//! Those who want to know who is in the room: SUBSCRIBE and NOTIFY (RFC 6665) of the event package `conference`
//! (RFC 4575), for participants.
//!
//! ```text
//!   SUBSCRIBE ──► 200, NOTIFY full ──► changes: NOTIFY partial … ──► Expires: 0, or the time is over: …;reason=timeout
//!                                                                    he has left the room:  …;reason=rejected
//!                                                                    the room is no more:   …;reason=noresource
//! ```
//!
//! A subscriber who has not answered yet, or was told less than five seconds ago (RFC 4575 §3.9), is told everything that
//! has changed in between at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use servlet::{
    Error, Method, NodeLocal, Result, ServletTimer, SipApplicationSession, SipServletRequest, SipServletResponse,
    SipSession, StatusCode,
};
use sip_message::header::{Accept, Event, MediaType, TypedHeader};

use super::conference_info::{self, CONTENT_TYPE};
use super::focus;
use super::identity::Who;
use super::joining::{caller, focus_contact, say_focus};
use super::refusal::NotDone;
use super::room::Room;
use super::{PACKAGE, Settings};

/// All subscriptions to one room, by the ids of their SIP sessions.
#[derive(Default)]
pub(super) struct Subscriptions {
    all: BTreeMap<String, Subscription>,
    /// Whether somebody was told something a moment ago.
    is_quiet: bool,
}

struct Subscription {
    session: SipSession,
    who: Who,
    /// Of the Event header.
    event_id: Option<String>,
    expires_at: SystemTime,
    expiry: Option<ServletTimer>,
    /// RFC 4575 §5.1.2: "MUST be increased by one" with each notification.
    version: u32,
    /// Whether a NOTIFY waits for its answer.
    is_notified: bool,
    /// The users of whom something has changed since the last one.
    changed: BTreeSet<String>,
}

/// What a timer is for.
enum Wake {
    Expiry(String),
    Notify,
}

/// Takes a SUBSCRIBE.
pub(super) fn subscribe(settings: &Settings, request: &SipServletRequest) -> Result<(), NotDone> {
    let event_id = event(request)?;
    check_accept(&request.headers("Accept"))?;
    let application = request.application_session()?;
    let absent = match request.is_initial() {
        true => StatusCode::NOT_FOUND,
        false => StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
    };
    let held = focus::of(&application)?.ok_or(absent)?;
    let focus = &mut *held.0.borrow_mut();
    if focus.room.is_empty() {
        return Err(absent.into());
    }
    let session = request.session()?;
    let known = focus.subscriptions.all.remove(&session.id());
    let mut subscription = match (request.is_initial(), known) {
        (true, _) => {
            let (who, _) = caller(request)?;
            if !focus.knows(&who) {
                return Err(StatusCode::FORBIDDEN.into());
            }
            if focus.subscriptions.all.len() >= 2 * focus.room.policy().max_participants {
                return Err(NotDone::with(StatusCode::SERVICE_UNAVAILABLE, "Retry-After", "60"));
            }
            Subscription::new(session, who, event_id)
        }
        (false, Some(known)) if known.event_id == event_id => known,
        (false, known) => {
            // A second subscription in a dialog is not begun (RFC 6665 §4.5.2).
            focus.subscriptions.all.extend(known.map(|known| (session.id(), known)));
            return Err(absent.into());
        }
    };
    let lifetime = match settings.grant(request.expires()) {
        Ok(lifetime) => lifetime,
        Err(shortest) => {
            if !request.is_initial() {
                focus.subscriptions.all.insert(subscription.session.id(), subscription);
            }
            return Err(NotDone::too_brief(shortest));
        }
    };
    let response = request.create_response(StatusCode::OK)?;
    response.set_expires(lifetime)?;
    say_focus(&response, request)?;
    response.send()?;
    subscription.cancel_expiry();
    subscription.changed.clear();
    subscription.version += 1;
    let document = conference_info::full(&focus.uri, subscription.version, &focus.room);
    if lifetime.is_zero() {
        subscription.say_goodbye("timeout", document)?;
        return Ok(());
    }
    let id = subscription.session.id();
    let now = application.servlet_context()?.time();
    subscription.expires_at = now + lifetime;
    subscription.expiry = Some(application.create_timer(lifetime, NodeLocal(Wake::Expiry(id.clone())))?);
    if subscription.notify_active(now, document)? {
        focus.subscriptions.all.insert(id, subscription);
    }
    Ok(())
}

/// A NOTIFY was answered.
pub(super) fn answered(settings: &Settings, response: &SipServletResponse) -> Result {
    let session = response.session()?;
    let application = session.application_session()?;
    let Some(held) = focus::of(&application)? else { return Ok(()) };
    let focus = &mut *held.0.borrow_mut();
    if ends_subscription(response.status()) {
        if focus.subscriptions.forget(&session) {
            session.invalidate()?;
        }
        return Ok(());
    }
    if let Some(subscription) = focus.subscriptions.all.get_mut(&session.id()) {
        subscription.is_notified = false;
    }
    Ok(focus.settle(settings, &application)?)
}

/// A timer has fired.
pub(super) fn fired(settings: &Settings, timer: &ServletTimer) -> Result {
    let application = timer.application_session();
    let (Some(wake), Some(held)) = (timer.info::<NodeLocal<Wake>>(), focus::of(application)?) else { return Ok(()) };
    let focus = &mut *held.0.borrow_mut();
    match &wake.0 {
        Wake::Notify => focus.subscriptions.is_quiet = false,
        Wake::Expiry(id) => {
            if let Some(mut subscription) = focus.subscriptions.all.remove(id) {
                subscription.version += 1;
                let document = conference_info::full(&focus.uri, subscription.version, &focus.room);
                subscription.say_goodbye("timeout", document)?;
            }
        }
    }
    Ok(focus.settle(settings, application)?)
}

impl Subscriptions {
    /// Something has changed of a user.
    pub(super) fn changed(&mut self, user: &str) {
        for subscription in self.all.values_mut() {
            subscription.changed.insert(user.to_owned());
        }
    }

    /// Tells everybody who can be told now.
    pub(super) fn flush(
        &mut self,
        settings: &Settings,
        application: &SipApplicationSession,
        uri: &str,
        room: &Room,
    ) -> Result<(), Error> {
        let is_due = |subscription: &Subscription| !subscription.is_notified && !subscription.changed.is_empty();
        if self.is_quiet || !self.all.values().any(is_due) {
            return Ok(());
        }
        let now = application.servlet_context()?.time();
        let mut lost = Vec::new();
        for (id, subscription) in self.all.iter_mut().filter(|(_, subscription)| is_due(subscription)) {
            subscription.version += 1;
            let changed = std::mem::take(&mut subscription.changed);
            let document = conference_info::partial(uri, subscription.version, room, &changed);
            if !subscription.notify_active(now, document)? {
                lost.push(id.clone());
            }
        }
        lost.iter().for_each(|id| drop(self.all.remove(id)));
        if !settings.notify_interval.is_zero() {
            application.create_timer(settings.notify_interval, NodeLocal(Wake::Notify))?;
            self.is_quiet = true;
        }
        Ok(())
    }

    /// Lets go of what ended with its session. Whether there was something.
    pub(super) fn forget(&mut self, session: &SipSession) -> bool {
        let gone = self.all.remove(&session.id());
        gone.as_ref().map(Subscription::cancel_expiry).is_some()
    }

    /// Ends the subscriptions of those who are not in the room any more (RFC 6665 §4.1.3, `rejected`).
    pub(super) fn keep(&mut self, uri: &str, is_there: impl Fn(&Who) -> bool) -> Result<(), Error> {
        let gone = self.all.extract_if(.., |_, subscription| !is_there(&subscription.who)).collect::<Vec<_>>();
        for (_, subscription) in gone {
            subscription.end("rejected", uri)?;
        }
        Ok(())
    }

    /// The room is no more (RFC 4575 §3.3).
    pub(super) fn end_all(&mut self, uri: &str) -> Result<(), Error> {
        for subscription in std::mem::take(&mut self.all).into_values() {
            subscription.end("noresource", uri)?;
        }
        Ok(())
    }
}

impl Subscription {
    fn new(session: SipSession, who: Who, event_id: Option<String>) -> Subscription {
        Subscription {
            session,
            who,
            event_id,
            expires_at: SystemTime::UNIX_EPOCH,
            expiry: None,
            version: 0,
            is_notified: false,
            changed: BTreeSet::new(),
        }
    }

    /// Sends a document. Whether its reader can be reached; one who can't is no subscriber.
    fn notify_active(&mut self, now: SystemTime, document: String) -> Result<bool, Error> {
        let left = self.expires_at.duration_since(now).unwrap_or_default();
        let left = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        if self.notify(&format!("active;expires={left}"), document).is_err() {
            self.cancel_expiry();
            self.session.invalidate()?;
            return Ok(false);
        }
        self.is_notified = true;
        Ok(true)
    }

    fn end(mut self, reason: &str, uri: &str) -> Result<(), Error> {
        self.version += 1;
        let document = conference_info::deleted(uri, self.version);
        self.say_goodbye(reason, document)
    }

    /// The last NOTIFY; the dialog ends with it, and without it if it can't be sent.
    fn say_goodbye(self, reason: &str, document: String) -> Result<(), Error> {
        self.cancel_expiry();
        match self.notify(&format!("terminated;reason={reason}"), document) {
            Ok(()) => Ok(()),
            Err(_) if self.session.is_valid() => self.session.invalidate(),
            Err(_) => Ok(()),
        }
    }

    fn notify(&self, state: &str, document: String) -> Result<(), Error> {
        let notify = self.session.create_request(Method::Notify)?;
        match &self.event_id {
            Some(id) => notify.set_header("Event", &format!("{PACKAGE};id={id}"))?,
            None => notify.set_header("Event", PACKAGE)?,
        }
        notify.set_header("Subscription-State", state)?;
        notify.set_contact(&focus_contact(&notify.from().uri().cloned())?)?;
        notify.set_content(document, CONTENT_TYPE)?;
        notify.send()
    }

    fn cancel_expiry(&self) {
        if let Some(timer) = &self.expiry {
            timer.cancel();
        }
    }
}

impl Settings {
    /// The time that a subscription gets; the error is the shortest that one may have (RFC 6665 §4.2.1.1).
    fn grant(&self, requested: Option<Duration>) -> Result<Duration, Duration> {
        let (shortest, longest) = (Duration::from_secs(60), self.longest_subscription);
        match requested.unwrap_or(Duration::from_secs(3600)).min(longest) {
            granted if granted < shortest.min(longest) && !granted.is_zero() => Err(shortest),
            granted => Ok(granted),
        }
    }
}

/// Whether a request is about our event package.
pub(super) fn event(request: &SipServletRequest) -> Result<Option<String>, NotDone> {
    let values = request.headers("Event");
    let event = if let [value] = &*values { Event::parse(value).ok() } else { None };
    match event.filter(|event| event.package() == PACKAGE) {
        Some(event) => Ok(event.id().map(str::to_owned)),
        None => Err(NotDone::with(StatusCode::BAD_EVENT, "Allow-Events", PACKAGE)),
    }
}

/// RFC 4575 §3.4: every subscriber takes this type, and says so if it says anything.
fn check_accept(values: &[String]) -> Result<(), NotDone> {
    let document = MediaType::new("application", "conference-info+xml").expect("two tokens");
    let covers = |value: &String| Accept::parse(value).is_ok_and(|range| range.covers(&document));
    if values.is_empty() || values.iter().any(covers) {
        return Ok(());
    }
    Err(NotDone::with(StatusCode::NOT_ACCEPTABLE, "Accept", CONTENT_TYPE))
}

/// RFC 6665 §4.2.2; 408 is how a NOTIFY without an answer ends.
fn ends_subscription(status: StatusCode) -> bool {
    matches!(status.code(), 404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}
