//! What is stored of a MESSAGE that has found nobody, and which ones are not: RFC 3428 §7.

use std::time::{Duration, SystemTime};

use servlet::{Error, SipServletMessage, SipServletRequest};
use sip_message::header::{ContentType, Date, TypedHeader};

use super::Settings;
use super::deliver;
use super::queue::{Arrival, Moment, NotQueued};
use super::store::{MessageId, StoredMessage};

/// What belongs to the message; the rest belongs to its way, to its sender's phone, or is made anew.
const HEADERS: [&str; 11] = [
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Expires",
    "In-Reply-To",
    "MIME-Version",
    "Organization",
    "Priority",
    "Privacy",
    "Reply-To",
    "Subject",
];

/// The longest that a header may be of those that are kept: they count against no other bound.
const MAX_HEADER_OCTETS: usize = 8 * 1024;

/// Stores a message. `false` when it is not to be stored or can't be, so that its sender hears what has happened.
pub(super) fn keep(settings: &Settings, message: &SipServletRequest) -> Result<bool, Error> {
    let session = message.application_session()?;
    let mut queue = deliver::queue(&session)?;
    if queue.is_underway(&message.call_id()) {
        return Ok(false);
    }
    let context = session.servlet_context()?;
    let now = context.time();
    let Some(stored) = stored(settings, message, now) else {
        return Ok(false);
    };
    let expires_at = expiry(settings, message, now);
    let now = moment(now);
    if expires_at <= now {
        return Ok(false);
    }
    let (original, sender) = (fingerprint(message), sender(message));
    match queue.check(&settings.limits, &original, &sender) {
        Ok(()) => {}
        // Its sender has not heard that it waits.
        Err(NotQueued::Known) => return Ok(true),
        Err(NotQueued::Full) => return Ok(false),
    }
    let id = MessageId(context.random());
    if settings.store(&context).0.keep(id, stored).is_err() {
        return Ok(false);
    }
    let queued = queue.add(&settings.limits, now, Arrival { id, original, sender, expires_at });
    deliver::set_queue(&session, queue)?;
    Ok(queued.is_ok())
}

/// What a message is delivered with; `None` for one that is not stored.
fn stored(settings: &Settings, message: &SipServletRequest, now: SystemTime) -> Option<StoredMessage> {
    let body = message.raw_content();
    let content_type = message.content_type().unwrap_or_default();
    let max_forwards = message.max_forwards().unwrap_or(70).checked_sub(1).filter(|hops| *hops > 0)?;
    // Nobody may take for read what it requires in words that we don't know.
    let requires = !message.headers("Require").is_empty();
    if body.len() > settings.max_octets || is_passing(&content_type) || requires {
        return None;
    }
    let mut headers = vec![("Date".to_owned(), Date::from_unix_seconds(seconds(sent_at(message, now))).to_string())];
    for name in HEADERS {
        headers.extend(message.headers(name).into_iter().map(|value| (name.to_owned(), value)));
    }
    if headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_HEADER_OCTETS {
        return None;
    }
    Some(StoredMessage {
        recipient: settings.recipient(message)?,
        uri: message.request_uri().to_string(),
        from: message.from().without_tag().to_string(),
        to: message.to().without_tag().to_string(),
        max_forwards,
        headers,
        content_type,
        body: body.to_vec(),
    })
}

/// RFC 3994: that somebody was typing is of no interest later.
fn is_passing(content_type: &str) -> bool {
    ContentType::parse(content_type)
        .is_ok_and(|content_type| content_type.media_type().is("application", "im-iscomposing+xml"))
}

/// RFC 3428 §7: from Date on, if there is one, else from now on.
fn expiry(settings: &Settings, message: &SipServletRequest, now: SystemTime) -> Moment {
    let latest = moment(now) + settings.longest_wait;
    match message.expires() {
        Some(lifetime) => (moment(sent_at(message, now)) + lifetime).min(latest),
        None => latest,
    }
}

fn sent_at(message: &SipServletMessage, now: SystemTime) -> SystemTime {
    let date = message.header("Date").and_then(|value| Some(Date::parse(&value).ok()?.unix_seconds()));
    let date = date.and_then(|seconds| u64::try_from(seconds).ok());
    let date = date.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    date.unwrap_or(now)
}

/// What a repetition has in common with the request that it repeats, and with no other.
fn fingerprint(message: &SipServletRequest) -> String {
    let cseq = message.header("CSeq").unwrap_or_default();
    format!("{} {} {}", message.call_id(), message.from().tag().unwrap_or_default(), cseq)
}

/// Whom the container knows, else who it claims to be.
fn sender(message: &SipServletRequest) -> String {
    let claimed = || message.from().uri().map(servlet::Uri::address_of_record).unwrap_or_default();
    message.remote_user().unwrap_or_else(claimed)
}

/// A time as queues have it.
pub(super) fn moment(time: SystemTime) -> Moment {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn seconds(time: SystemTime) -> i64 {
    i64::try_from(moment(time).0 / 1000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_somebody_is_typing_is_not_stored() {
        assert!(is_passing("application/im-iscomposing+xml") && is_passing("Application/IM-isComposing+XML;x=y"));
        assert!(!is_passing("text/plain") && !is_passing("message/imdn+xml") && !is_passing(""));
    }

    #[test]
    fn times_before_1970_are_1970() {
        assert_eq!(moment(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), Moment(0));
        assert_eq!(moment(SystemTime::UNIX_EPOCH + Duration::from_millis(1500)), Moment(1500));
        assert_eq!(seconds(SystemTime::UNIX_EPOCH + Duration::from_millis(1500)), 1);
    }
}
