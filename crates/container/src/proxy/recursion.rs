//! Redirections that are followed here: RFC 3261 §16.7 step 4 (one branch for each Contact, by preference; no URI twice;
//! from `sips` never to anything else), §8.1.3.4.

use servlet::spi::BranchKey;
use sip_message::{HeaderName, NameAddr, Response, Uri, UriBuf};

use super::BranchState;
use super::record_route::as_request_uri;
use crate::state::State;

/// No call needs more; who redirects to more wants something else.
const MOST_BRANCHES: usize = 100;

impl State {
    /// Makes branches of the contacts of a 3xx, which wait in front of all others, and gives back the contacts that are
    /// left. `None` when none could be taken.
    pub(super) fn recurse(&mut self, key: BranchKey, response: &Response) -> Option<Vec<String>> {
        let branch =
            self.branches.get(key).filter(|branch| branch.recurse && !branch.timed_out && !branch.cancelled)?;
        let proxy_key = branch.proxy;
        let proxy = self.proxies.get(proxy_key).filter(|proxy| !proxy.closed)?;
        let secure = proxy.open.as_ref()?.secure;
        let mut tried: Vec<UriBuf> = self.branches_of(proxy).filter_map(|(_, branch)| branch.target.clone()).collect();
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for value in response.headers().values(HeaderName::Contact) {
            match new_target(value, secure, &tried).filter(|_| tried.len() < MOST_BRANCHES) {
                Some((q, target)) => {
                    tried.push(target.clone());
                    taken.push((q, target));
                }
                None => left.push(value.to_owned()),
            }
        }
        if taken.is_empty() {
            return None;
        }
        // The best comes to stand at the very front.
        taken.sort_by_key(|(q, _)| *q);
        let mut children = Vec::with_capacity(taken.len());
        for (_, target) in taken {
            children.extend(self.new_branch(proxy_key, target, Some(key)));
        }
        for child in &children {
            if let Some(child) = self.branches.get_mut(*child) {
                child.state = BranchState::Waiting;
            }
        }
        let open = self.proxies.get_mut(proxy_key)?.open.as_mut()?;
        for child in children {
            open.waiting.push_front(child);
        }
        Some(left)
    }
}

/// The target that a contact of a 3xx makes, and its preference in thousandths.
fn new_target(contact: &str, secure: bool, tried: &[UriBuf]) -> Option<(u16, UriBuf)> {
    let contact = NameAddr::parse(contact).ok()?;
    let uri = contact.uri().sip().filter(|uri| uri.is_secure() || !secure)?;
    let target = as_request_uri(UriBuf::from(uri));
    let is_known = |known: &UriBuf| known.as_uri().equivalent(&target.as_uri());
    if tried.iter().any(is_known) {
        return None;
    }
    let q = contact.params().value("q").and_then(thousandths).unwrap_or(1000);
    Some((q, target))
}

/// RFC 3261 §25.1 `qvalue`.
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

/// Whether a target has to be reached safely.
pub(super) fn is_secure(uri: Uri<'_>) -> bool {
    uri.sip().is_some_and(|uri| uri.is_secure())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> UriBuf {
        UriBuf::parse(text).unwrap()
    }

    #[test]
    fn a_contact_is_tried_once_and_never_less_safely() {
        let tried = [uri("sip:a@example.com")];
        let target = |contact, secure| new_target(contact, secure, &tried).map(|(q, target)| (q, target.to_string()));
        assert_eq!(target("<sip:b@example.com>;q=0.25", false), Some((250, "sip:b@example.com".to_owned())));
        assert_eq!(target("<sip:a@EXAMPLE.com>", false), None);
        assert_eq!(target("<sip:b@example.com>", true), None);
        assert_eq!(target("<sips:b@example.com>", true), Some((1000, "sips:b@example.com".to_owned())));
        assert_eq!(target("<tel:+12015550123>", false), None);
    }

    /// RFC 3261 §19.1.1 table 1: method and headers don't stand in a Request-URI.
    #[test]
    fn what_a_request_uri_can_t_have_is_left_out() {
        let (_, target) = new_target("<sip:b@example.com;method=BYE?Subject=x>", false, &[]).unwrap();
        assert_eq!(target.as_str(), "sip:b@example.com");
    }
}
