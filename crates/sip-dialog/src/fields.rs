//! What the machines of this crate read from a message, in one place. A field that is missing and one that can't be read
//! are the same here: the peer did not say it.

use sip_message::header::{Contact, Cseq};
use sip_message::{HeaderName, Headers, Method, UriBuf};

/// The number and method of CSeq.
pub(crate) fn cseq(headers: &Headers) -> Option<Cseq> {
    headers.get::<Cseq>()?.ok()
}

/// The number of CSeq, when its method is `method`.
pub(crate) fn cseq_of(headers: &Headers, method: &Method) -> Option<u32> {
    cseq(headers).filter(|cseq| cseq.method == *method).map(|cseq| cseq.sequence)
}

/// The tag of From.
pub(crate) fn from_tag(headers: &Headers) -> Option<Box<str>> {
    headers.from_tag().map(Box::from)
}

/// The tag of To.
pub(crate) fn to_tag(headers: &Headers) -> Option<Box<str>> {
    headers.to_tag().map(Box::from)
}

/// The Call-ID.
pub(crate) fn call_id(headers: &Headers) -> Option<&str> {
    headers.first(HeaderName::CallId).map(str::trim)
}

/// The URI of the first Contact.
pub(crate) fn contact(headers: &Headers) -> Option<UriBuf> {
    let Ok(Contact::Address(address)) = headers.get::<Contact>()? else {
        return None;
    };
    Some(address.uri().to_buf())
}

/// The type of the body, without parameters; empty when it is not said.
pub(crate) fn media_type(headers: &Headers) -> &str {
    let content_type = headers.first(HeaderName::ContentType).unwrap_or("");
    content_type.split(';').next().unwrap_or("").trim()
}

/// Whether a message has a session description.
pub(crate) fn is_description(headers: &Headers, body: &[u8]) -> bool {
    !body.is_empty() && media_type(headers).eq_ignore_ascii_case("application/sdp")
}

/// Whether Supported or Require has this option tag.
pub(crate) fn supports(headers: &Headers, option: &str) -> bool {
    headers.has_token(HeaderName::Supported, option) || requires(headers, option)
}

/// Whether Require has this option tag.
pub(crate) fn requires(headers: &Headers, option: &str) -> bool {
    headers.has_token(HeaderName::Require, option)
}

/// Adds an option tag to Supported or Require, once.
pub(crate) fn add_option(headers: &mut Headers, name: HeaderName, option: &str) {
    if !headers.has_token(name, option) {
        headers.push(name, option).expect("an option tag is a token");
    }
}

/// Sets a header to a text that this crate made of tokens and numbers.
pub(crate) fn set(headers: &mut Headers, name: HeaderName, value: impl std::fmt::Display) {
    headers.set(name, value).expect("the value was made of tokens, numbers and checked URIs");
}
