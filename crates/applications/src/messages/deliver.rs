//! The way out of the store: one MESSAGE at a time to one recipient (RFC 3428 §8), by the way that every MESSAGE takes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use servlet::{Durable, Error, Method, SipApplicationSession, SipServletRequest, SipServletResponse, SipUri};
use sip_message::header::{RetryAfter, TypedHeader};

use super::Settings;
use super::keep::moment;
use super::queue::{Outcome, Queue};
use super::store::StoredMessage;
use crate::location::SharedLocation;

const ATTRIBUTE: &str = "queue";

/// What every timer of such a session is for: to look what is to be done.
#[derive(Serialize, Deserialize)]
struct Wake;

impl Durable for Wake {
    const VERSION: u16 = 1;
}

/// The queue of a recipient's session.
pub(super) fn queue(session: &SipApplicationSession) -> Result<Queue, Error> {
    let queue = session.attribute::<Queue>(ATTRIBUTE)?;
    Ok(queue.map(|queue| (*queue).clone()).unwrap_or_default())
}

/// Writes the queue down, and wakes up when something is to be done.
pub(super) fn set_queue(session: &SipApplicationSession, queue: Queue) -> Result<(), Error> {
    for timer in session.timers()? {
        timer.cancel();
    }
    let now = moment(session.servlet_context()?.time());
    match queue.wake_after(now) {
        Some(delay) => {
            session.set_attribute(ATTRIBUTE, queue)?;
            session.create_timer(delay, Wake)?;
            Ok(())
        }
        // Nothing waits, and nothing keeps the session.
        None => session.remove_attribute(ATTRIBUTE),
    }
}

/// Whether a MESSAGE is one of ours on its way to its recipient.
pub(super) fn is_ours(message: &SipServletRequest) -> Result<bool, Error> {
    let queue = message.application_session()?.attribute::<Queue>(ATTRIBUTE)?;
    Ok(queue.is_some_and(|queue| queue.is_underway(&message.call_id())))
}

/// The recipient has registered.
pub(super) fn recipient_is_there(settings: &Settings, session: &SipApplicationSession) -> Result<(), Error> {
    let mut queue = queue(session)?;
    if !queue.is_empty() {
        let now = moment(session.servlet_context()?.time());
        queue.registered(now + settings.after_registration);
        set_queue(session, queue)?;
    }
    Ok(())
}

/// Does what is due: lets go what has expired, and sends the next message if its time has come.
pub(super) fn deliver(settings: &Settings, session: &SipApplicationSession) -> Result<(), Error> {
    let context = session.servlet_context()?;
    let store = settings.store(&context).0;
    let now = moment(context.time());
    let mut queue = queue(session)?;
    for expired in queue.time_passed(&settings.limits, now) {
        store.forget(expired);
    }
    while let Some(id) = queue.next(now) {
        let Some(message) = store.message(id) else {
            queue.drop_first();
            continue;
        };
        let is_away = context.resource::<SharedLocation>().is_some_and(|location| {
            // Nobody has to be asked what is known.
            !location.is_registered(context.now(), &message.recipient)
        });
        if is_away {
            queue.missed(&settings.limits, now);
            break;
        }
        let Ok(request) = request(session, &message) else {
            // What can't be said now can't be said later.
            store.forget(id);
            queue.drop_first();
            continue;
        };
        // The request comes by here again, and is known by its Call-ID.
        queue.begun(now, &request.call_id());
        set_queue(session, queue.clone())?;
        if request.send().is_ok() {
            return Ok(());
        }
        queue.missed(&settings.limits, now);
    }
    set_queue(session, queue)
}

/// A message that we have sent has its final response.
pub(super) fn answered(settings: &Settings, response: &SipServletResponse) -> Result<(), Error> {
    let session = response.application_session()?;
    let context = session.servlet_context()?;
    let mut queue = queue(&session)?;
    let now = moment(context.time());
    let outcome = Outcome::of(response.status());
    let done = queue.answered(&settings.limits, now, &response.call_id(), outcome, retry_after(response));
    if let Some(id) = done {
        settings.store(&context).0.forget(id);
    }
    set_queue(&session, queue)?;
    deliver(settings, &session)
}

/// The message as it goes out: from the original sender, at the original date.
fn request(session: &SipApplicationSession, message: &StoredMessage) -> Result<SipServletRequest, Error> {
    let factory = session.servlet_context()?.sip_factory();
    let (from, to) = (factory.create_address(&message.from)?, factory.create_address(&message.to)?);
    let request = factory.create_request(session, Method::Message, &from, &to)?;
    request.set_request_uri(&SipUri::parse(&message.uri)?.into())?;
    request.set_max_forwards(message.max_forwards)?;
    for (name, value) in &message.headers {
        request.add_header(name, value)?;
    }
    if !message.content_type.is_empty() {
        request.set_content(message.content(), &message.content_type)?;
    }
    Ok(request)
}

fn retry_after(response: &SipServletResponse) -> Option<Duration> {
    let value = response.header("Retry-After")?;
    Some(Duration::from_secs(RetryAfter::parse(&value).ok()?.seconds().into()))
}
