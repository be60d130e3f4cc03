//! What the Contact fields of a REGISTER ask for: RFC 3261 §10.3 steps 6 and 7, RFC 5626 §6, RFC 5627 §5.1.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use servlet::SipFlow;
use sip_message::{HeaderName, NameAddr, Param, Request, StatusCode, Uri};

use super::RegistrarSettings;
use super::outbound::{self, Outbound};
use crate::answer::{Refusal, seconds};
use crate::location::Draft;

/// What a REGISTER asks for.
#[derive(Debug)]
pub(super) enum Wish<'a> {
    /// To be told of the bindings.
    Query,
    /// That all bindings go.
    Clear,
    /// These changes.
    Update(Vec<Draft<'a>>),
}

/// What holds for every contact of one REGISTER.
pub(super) struct Common<'a> {
    pub(super) now: Instant,
    pub(super) settings: &'a RegistrarSettings,
    pub(super) flow: Option<SipFlow>,
    pub(super) call_id: &'a str,
    pub(super) cseq: u32,
    pub(super) path: Cow<'a, str>,
    pub(super) outbound: Outbound,
    pub(super) wants_gruu: bool,
    pub(super) user_agent: &'a str,
}

/// Steps 6 and 7 up to where bindings are touched.
pub(super) fn read<'a>(request: &'a Request, common: &Common<'a>) -> Result<Wish<'a>, Refusal> {
    let headers = request.headers();
    if !headers.contains(HeaderName::Contact) {
        return Ok(Wish::Query);
    }
    if headers.values(HeaderName::Contact).any(|value| value.trim() == "*") {
        return all(request);
    }
    let expires = headers.first(HeaderName::Expires).map(lenient_seconds);
    let mut drafts = Vec::new();
    for value in headers.values(HeaderName::Contact) {
        drafts.push(draft(request, value, expires, common)?);
    }
    outbound::check_single_flow(&drafts)?;
    Ok(Wish::Update(drafts))
}

/// Step 6: `*` stands alone and with an expiry of zero.
fn all(request: &Request) -> Result<Wish<'_>, Refusal> {
    let headers = request.headers();
    let alone = headers.values(HeaderName::Contact).count() == 1;
    let zero = headers.first(HeaderName::Expires).and_then(seconds) == Some(0);
    if alone && zero {
        Ok(Wish::Clear)
    } else {
        Err(Refusal::because(StatusCode::BAD_REQUEST, "Contact * needs Expires 0 and no other Contact"))
    }
}

fn draft<'a>(
    request: &Request,
    value: &'a str,
    header: Option<u32>,
    common: &Common<'a>,
) -> Result<Draft<'a>, Refusal> {
    let malformed = |_| Refusal::because(StatusCode::BAD_REQUEST, "Malformed Contact");
    let contact = NameAddr::parse(value).map_err(malformed)?;
    let params = contact.params();
    let asked = params.value("expires").map(lenient_seconds).or(header);
    let expires = interval(asked, common.settings)?;
    let instance = params.unquoted("+sip.instance").map_or(Cow::Borrowed(""), |text| Cow::Owned(text.into_owned()));
    if instance.contains(['"', '\\']) {
        // An instance-id is a URN (RFC 5626 §4.1), and is written back between quotes.
        return Err(Refusal::because(StatusCode::BAD_REQUEST, "Malformed instance"));
    }
    let is_sip = matches!(contact.uri(), Uri::Sip(_));
    if !instance.is_empty() && !expires.is_zero() && !is_sip {
        // RFC 5627 §5.1.
        return Err(Refusal::because(StatusCode::FORBIDDEN, "An instance needs a SIP contact"));
    }
    let reg_id = params.value("reg-id").and_then(seconds).unwrap_or(0);
    // RFC 5626 §6: a reg-id without an instance is ignored.
    let reg_id = if instance.is_empty() { 0 } else { common.outbound.admit(request, reg_id)? };
    let uri = contact.uri().as_str();
    let mut draft = Draft {
        contact: uri,
        params: kept(params.iter()),
        call_id: common.call_id,
        cseq: common.cseq,
        expires: (!expires.is_zero()).then(|| common.now + expires),
        q: params.value("q").and_then(thousandths).unwrap_or(1000),
        path: common.path.clone(),
        instance,
        reg_id,
        wants_gruu: common.wants_gruu,
        flow: None,
        user_agent: common.user_agent,
    };
    draft.flow = outbound::only_way(request, common.flow, &draft);
    Ok(draft)
}

/// Step 7: the expiry that a contact gets.
fn interval(asked: Option<u32>, settings: &RegistrarSettings) -> Result<Duration, Refusal> {
    const HOUR: Duration = Duration::from_secs(3600);
    let asked = asked.map_or(settings.default_expires, |seconds| Duration::from_secs(seconds.into()));
    if asked.is_zero() {
        return Ok(asked);
    }
    if asked < HOUR && asked < settings.min_expires {
        let refusal = Refusal::new(StatusCode::INTERVAL_TOO_BRIEF);
        return Err(refusal.with(HeaderName::MinExpires, settings.min_expires.as_secs()));
    }
    Ok(asked.min(settings.max_expires))
}

/// RFC 3261 §20.10 and §20.19: what is no number counts as an hour.
fn lenient_seconds(text: &str) -> u32 {
    seconds(text).unwrap_or(3600)
}

/// A preference between 0 and 1 (RFC 3261 §25.1 `qvalue`) in thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// The parameters that we keep and give back as they are; the others are ours to say.
fn kept<'p>(params: impl Iterator<Item = Param<'p>>) -> Cow<'static, str> {
    const OURS: [&str; 6] = ["expires", "q", "+sip.instance", "reg-id", "pub-gruu", "temp-gruu"];
    let mut text = String::new();
    for param in params.filter(|param| !OURS.iter().any(|name| name.eq_ignore_ascii_case(param.name))) {
        // Writing to a String can't fail.
        let _ = write!(text, ";{param}");
    }
    if text.is_empty() { Cow::Borrowed("") } else { Cow::Owned(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_read_as_the_grammar_has_it() {
        for (text, q) in [("1", 1000), ("1.0", 1000), ("0", 0), ("0.5", 500), ("0.25", 250), ("0.125", 125), ("0.", 0)]
        {
            assert_eq!(thousandths(text), Some(q), "{text}");
        }
        for text in ["", "2", "1.1", "0.1234", ".5", "-1", "0.x", "0.5.5"] {
            assert_eq!(thousandths(text), None, "{text}");
        }
    }
}
