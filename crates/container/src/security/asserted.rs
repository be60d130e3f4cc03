//! P-Asserted-Identity: RFC 3325 §5 (what to do with that of a stranger), §7 (privacy), §9.1 (which values there may be).
//!
//! What a user is called in our realm is decided here: `sip:alice@example.com` is `alice` when `example.com` is ours, and
//! `alice@example.org` is nobody of ours, however trusted the network that vouches for him. A `tel:` URI is its number.

use sip_message::header::{PAssertedIdentity, Privacy};
use sip_message::{HeaderName, Headers, Request, Uri};

/// Removes the identity that a stranger claims: "if the proxy received the message from an element that it does not trust
/// […] the proxy MUST replace that […] URI […] or remove this header field" (§5). Of requests and responses. Whether
/// there was any.
pub fn strip_untrusted_identity(headers: &mut Headers) -> bool {
    headers.remove(HeaderName::PAssertedIdentity)
}

/// Removes the identity from a message that leaves the trust domain, if the user wants it kept private (§7), and the hint
/// that was for our side only (§6). Whether there was any.
pub fn withhold_private_identity(headers: &mut Headers) -> bool {
    let hint = headers.remove(HeaderName::PPreferredIdentity);
    // A Privacy that can't be read may have been meant to say so.
    let is_private = headers.get::<Privacy>().is_some_and(|privacy| privacy.map_or(true, |words| words.contains("id")));
    let asserted = is_private && headers.remove(HeaderName::PAssertedIdentity);
    hint || asserted
}

/// The user whom the request's P-Asserted-Identity names. `None` when there is none, or when the values are not what
/// §9.1 allows: then nobody can say who is meant.
pub(super) fn asserted_user(request: &Request, is_ours: impl Fn(&str) -> bool) -> Option<Box<str>> {
    let (mut sip, mut tel) = (None, None);
    for value in request.headers().all::<PAssertedIdentity>() {
        let value = value.ok()?;
        let place = match value.uri() {
            Uri::Sip(_) => &mut sip,
            Uri::Tel(_) => &mut tel,
            Uri::Absolute(_) => return None,
        };
        if place.replace(value.uri()).is_some() {
            return None;
        }
    }
    user_name(sip.or(tel)?, is_ours)
}

/// What the user of that URI is called in our realm. A global number is unique by itself; a local one keeps its context
/// (RFC 3966 §5.1.5).
pub(super) fn user_name(uri: Uri<'_>, is_ours: impl Fn(&str) -> bool) -> Option<Box<str>> {
    if let Some(sip) = uri.sip() {
        let user = sip.user().filter(|user| !user.is_empty())?;
        // An escaped @ would make one of us look like somebody from elsewhere.
        if user.contains('@') {
            return None;
        }
        if is_ours(&sip.host().to_string()) {
            return Some(user.into());
        }
    } else if uri.tel().is_none() {
        return None;
    }
    let address = uri.address_of_record();
    address.split_once(':').map(|(_, address)| address.into())
}
