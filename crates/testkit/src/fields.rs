//! The few header fields that a peer reads of every message.

use sip_message::header::{Cseq, From, To};
use sip_message::{HeaderName, Headers};

pub(crate) fn call_id(headers: &Headers) -> &str {
    headers.first(HeaderName::CallId).unwrap_or_default()
}

pub(crate) fn from_tag(headers: &Headers) -> Option<String> {
    headers.get::<From>()?.ok()?.tag().map(str::to_owned)
}

pub(crate) fn to_tag(headers: &Headers) -> Option<String> {
    headers.get::<To>()?.ok()?.tag().map(str::to_owned)
}

pub(crate) fn cseq(headers: &Headers) -> Option<u32> {
    Some(headers.get::<Cseq>()?.ok()?.sequence)
}
