//! PUBLISH, step by step as RFC 3903 §6 has it.

use bytes::Bytes;
use servlet::{Result, SipApplicationSession, SipServletRequest, StatusCode};
use sip_message::header::{ContentType, SipIfMatch, TypedHeader};

use super::pidf::{Pidf, PidfError};
use super::publications::{NotPublished, Publications, Update};
use super::refusal::{NotDone, Refusal, event};
use super::timers::{self, Wake};
use super::xml::XmlError;
use super::{Settings, subscribe};

const ATTRIBUTE: &str = "publications";

/// Takes a PUBLISH, answers it and tells the watchers, or refuses it.
pub(super) fn publish(settings: &Settings, request: &SipServletRequest) -> Result<(), NotDone> {
    if !request.is_initial() {
        // In the dialog of a subscription (§4): nobody publishes there.
        return Err(Refusal::with(StatusCode::METHOD_NOT_ALLOWED, "Allow", "SUBSCRIBE, NOTIFY").into());
    }
    let presentity = settings.presentity(request).ok_or(StatusCode::NOT_FOUND)?;
    event(request)?;
    if !(settings.publishers.0)(request, &presentity) {
        return Err(StatusCode::FORBIDDEN.into());
    }
    let session = request.application_session()?;
    let mut publications = publications(&session)?;
    let condition = condition(&request.headers("SIP-If-Match"))?;
    if condition.as_ref().is_some_and(|entity_tag| !publications.contains(entity_tag)) {
        return Err(StatusCode::CONDITIONAL_REQUEST_FAILED.into());
    }
    let lifetime = settings.publications.grant(request.expires()).map_err(Refusal::too_brief)?;
    let document = document(request)?;
    let entity_tag = format!("{:016x}", session.servlet_context()?.random());
    let published = publications.publish(settings.limits, Update { condition, lifetime, document }, &entity_tag)?;

    session.set_attribute(ATTRIBUTE, publications)?;
    subscribe::name(&session, &presentity)?;
    let wake = Wake::Publication(published.number);
    if published.is_kept {
        timers::start(&session, wake, lifetime)?;
    } else {
        timers::stop(&session, &wake)?;
    }
    let response = request.create_response(StatusCode::OK)?;
    response.set_header("SIP-ETag", &entity_tag)?;
    response.set_expires(lifetime)?;
    response.send()?;
    if published.has_changed {
        subscribe::changed(settings, &session)?;
    }
    Ok(())
}

/// Removes a publication whose time has come.
pub(super) fn expired(settings: &Settings, session: &SipApplicationSession, number: u32) -> Result {
    let mut publications = publications(session)?;
    if publications.expire(number) {
        session.set_attribute(ATTRIBUTE, publications)?;
        subscribe::changed(settings, session)?;
    }
    Ok(())
}

/// The presence document as it is now.
pub(super) fn composed(session: &SipApplicationSession, entity: &str) -> Result<Bytes, servlet::Error> {
    let publications = session.attribute::<Publications>(ATTRIBUTE)?;
    Ok(match publications {
        Some(publications) => publications.compose(entity),
        None => super::pidf::closed(entity),
    }
    .into())
}

fn publications(session: &SipApplicationSession) -> Result<Publications, servlet::Error> {
    let publications = session.attribute::<Publications>(ATTRIBUTE)?;
    Ok(publications.map(|publications| (*publications).clone()).unwrap_or_default())
}

/// Step 3: one entity-tag or none.
fn condition(values: &[String]) -> Result<Option<String>, NotDone> {
    match values {
        [] => Ok(None),
        [value] => match SipIfMatch::parse(value) {
            Ok(condition) => Ok(Some(condition.as_str().to_owned())),
            Err(_) => Err(StatusCode::BAD_REQUEST.into()),
        },
        _ => Err(StatusCode::BAD_REQUEST.into()),
    }
}

/// Step 5.
fn document(request: &SipServletRequest) -> Result<Option<Pidf>, NotDone> {
    let body = request.raw_content();
    if body.is_empty() {
        return Ok(None);
    }
    if request.headers("Content-Encoding").iter().any(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
        return Err(Refusal::with(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Accept-Encoding", "identity").into());
    }
    if !request.content_type().is_some_and(|content_type| is_pidf(&content_type)) {
        return Err(Refusal::unsupported_type().into());
    }
    Ok(Some(Pidf::parse(&body)?))
}

/// RFC 3863 §3.1: the charset counts more than what the document says of itself, and we read UTF-8.
fn is_pidf(content_type: &str) -> bool {
    let Ok(content_type) = ContentType::parse(content_type) else {
        return false;
    };
    let media_type = content_type.media_type();
    let charset = media_type.params().unquoted("charset");
    media_type.is("application", "pidf+xml")
        && charset.is_none_or(|name| name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii"))
}

impl From<PidfError> for NotDone {
    fn from(error: PidfError) -> NotDone {
        match error {
            PidfError::Xml(XmlError::TooLong) | PidfError::TooLong => StatusCode::REQUEST_ENTITY_TOO_LARGE.into(),
            PidfError::Xml(XmlError::Encoding) => Refusal::unsupported_type().into(),
            _ => StatusCode::BAD_REQUEST.into(),
        }
    }
}

impl From<NotPublished> for NotDone {
    fn from(error: NotPublished) -> NotDone {
        match error {
            NotPublished::NoMatch => StatusCode::CONDITIONAL_REQUEST_FAILED.into(),
            NotPublished::NothingToPublish => StatusCode::BAD_REQUEST.into(),
            NotPublished::TooMany => Refusal::full().into(),
            NotPublished::TooLarge => StatusCode::REQUEST_ENTITY_TOO_LARGE.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_condition_is_one_entity_tag() {
        let condition = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            condition(&values).ok()
        };
        assert_eq!(condition(&[]), Some(None));
        assert_eq!(condition(&["dx200xyz"]), Some(Some("dx200xyz".to_owned())));
        for invalid in [&["a", "b"] as &[&str], &["a, b"], &["\"a\""], &[""]] {
            assert_eq!(condition(invalid), None, "{invalid:?}");
        }
    }

    #[test]
    fn a_body_is_pidf_in_a_character_set_that_is_utf_8() {
        for ours in ["application/pidf+xml", "Application/PIDF+XML; charset=\"UTF-8\"", "application/pidf+xml;x=y"] {
            assert!(is_pidf(ours), "{ours}");
        }
        for other in ["application/pidf-diff+xml", "text/plain", "", "application/pidf+xml;charset=utf-16"] {
            assert!(!is_pidf(other), "{other}");
        }
    }

    #[test]
    fn a_lifetime_is_told_in_seconds() {
        let refusal = Refusal::too_brief(Duration::from_secs(60));
        assert_eq!(refusal, Refusal::with(StatusCode::INTERVAL_TOO_BRIEF, "Min-Expires", "60"));
    }
}
