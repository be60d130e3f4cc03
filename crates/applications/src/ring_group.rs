//! Ring groups: a call to the group rings at every member, at once or one after the other; whoever answers first has it.
//!
//! A proxy (RFC 3261 §16) with the members as its target set. Where they are is for the next application or the network
//! to find out. The best response of all decides when nobody answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use servlet::{Error, Result, SipApplication, SipServlet, SipServletRequest, StatusCode, Uri};

use crate::addressee::{begins_call, local_user, target};
use crate::domains::Domains;

/// What can be chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The groups, by the user that is called.
    pub groups: BTreeMap<String, Group>,
    /// Our domains.
    pub domains: Domains,
}

/// One group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// URIs, or users of the domain that is called; in the order in which they ring.
    pub members: Vec<String>,
    /// How they ring.
    pub order: Order,
    /// Whether we stay in the path of the call.
    pub record_route: bool,
}

/// How the members of a group ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// All at once.
    #[default]
    AtOnce,
    /// One after the other, each for so long.
    InTurn(Duration),
}

/// The application.
pub fn application(settings: Settings) -> SipApplication {
    SipApplication::new("ring-group").servlet(RingGroup(Arc::new(settings)))
}

/// The calls to a group.
pub fn wants(settings: &Settings, request: &SipServletRequest) -> bool {
    begins_call(request) && group(settings, request).is_some()
}

fn group<'s>(settings: &'s Settings, request: &SipServletRequest) -> Option<&'s Group> {
    settings.groups.get(&local_user(request, &settings.domains)?)
}

struct RingGroup(Arc<Settings>);

impl SipServlet for RingGroup {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        if begins_call(&request) { self.ring(&request) } else { Ok(()) }
    }
}

impl RingGroup {
    fn ring(&self, invite: &SipServletRequest) -> Result {
        let group = group(&self.0, invite);
        let from = invite.from();
        let targets = group.map(|group| members(group, &invite.request_uri(), from.uri())).unwrap_or_default();
        let Some(group) = group.filter(|_| !targets.is_empty()) else {
            return Ok(invite.create_response(StatusCode::TEMPORARILY_UNAVAILABLE)?.send()?);
        };
        let proxy = match invite.proxy() {
            // The container has refused the call with 483.
            Err(Error::TooManyHops) => return Ok(()),
            proxy => proxy?,
        };
        proxy.set_supervised(false)?;
        proxy.set_record_route(group.record_route)?;
        if let Order::InTurn(each) = group.order {
            proxy.set_parallel(false)?;
            proxy.set_proxy_timeout(each)?;
        }
        Ok(proxy.proxy_to_all(&targets)?)
    }
}

/// Where a call rings. Nobody is called by himself, nor twice.
fn members(group: &Group, called: &Uri, caller: Option<&Uri>) -> Vec<Uri> {
    let mut targets: Vec<Uri> = Vec::new();
    for member in group.members.iter().filter_map(|member| target(member, called)) {
        let is_caller = caller.is_some_and(|caller| caller.address_of_record() == member.address_of_record());
        if !is_caller && member != *called && !targets.contains(&member) {
            targets.push(member);
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text).unwrap()
    }

    fn ringing(names: &[&str]) -> Vec<String> {
        let group = Group { members: names.iter().map(|name| (*name).to_owned()).collect(), ..Group::default() };
        let targets = members(&group, &uri("sip:sales@example.com"), Some(&uri("sip:alice@example.com")));
        targets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn members_ring_in_the_order_of_the_settings() {
        assert_eq!(ringing(&["carol", "sip:bob@example.org"]), ["sip:carol@example.com", "sip:bob@example.org"]);
    }

    #[test]
    fn the_caller_is_not_called_and_nobody_is_called_twice() {
        assert_eq!(ringing(&["alice", "bob", "sip:bob@example.com"]), ["sip:bob@example.com"]);
    }

    #[test]
    fn a_group_that_is_its_own_member_does_not_call_itself() {
        assert_eq!(ringing(&["sales"]), [""; 0]);
    }
}
