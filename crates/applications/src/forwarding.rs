//! Call forwarding: always, when busy, when nobody answers.
//!
//! ```text
//!   INVITE ──always──► forwarded
//!      │
//!      ▼
//!   who was called ──486, 600────────────────────────► when busy
//!                  ──408, 480, 487, or time is up────► when nobody answers
//! ```
//!
//! A proxy (RFC 3261 §16) that adds a target when the response comes, before it is sent upstream. Whom a call is forwarded
//! to may forward it as well; after three diversions, here or on the way here, or when it would come back to somebody, it
//! stays where it is. Where users are is for the next application or the network to find out.

mod diversion;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use servlet::{
    Durable, Error, Method, Result, SipApplication, SipApplicationSession, SipServlet, SipServletRequest,
    SipServletResponse, StatusCode, Uri,
};

use crate::addressee::{begins_call, local_user, target, user_of_ours};
use crate::domains::{Domains, OwnAddresses};

use diversion::{Cause, Diversion};

/// What can be chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The users who forward calls.
    pub users: BTreeMap<String, Rules>,
    /// Our domains.
    pub domains: Domains,
}

/// Where the calls of one user are forwarded to: URIs, or users of the same domain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Always.
    pub always: Option<String>,
    /// When the user is busy.
    pub busy: Option<String>,
    /// When the user can't be reached, or does not answer within the time.
    pub no_answer: Option<(String, Duration)>,
}

/// The application.
pub fn application(settings: Settings) -> SipApplication {
    SipApplication::new("forwarding").servlet(Forwarding(Arc::new(settings)))
}

/// The calls to users who forward.
pub fn wants(settings: &Settings, request: &SipServletRequest) -> bool {
    begins_call(request)
        && local_user(request, &settings.domains).is_some_and(|user| settings.users.contains_key(&user))
}

struct Forwarding(Arc<Settings>);

/// How often a call may be diverted on its whole way.
const MOST: usize = 3;

/// What became of a call here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Way {
    /// Diversions before it came here.
    earlier: usize,
    diversions: Vec<Diversion>,
    /// The caller has given up.
    over: bool,
}

impl Durable for Way {
    const VERSION: u16 = 1;
}

/// The attribute that holds the [`Way`].
const WAY: &str = "forwarding.way";

impl SipServlet for Forwarding {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        match request.method() {
            Method::Invite if begins_call(&request) => self.begin(&request),
            Method::Cancel => {
                let call = request.application_session()?;
                Ok(call.set_attribute(WAY, Way { over: true, ..way(&call)? })?)
            }
            _ => Ok(()),
        }
    }

    async fn do_error_response(&self, response: SipServletResponse) -> Result {
        let Some(proxy) = response.proxy() else { return Ok(()) };
        let invite = proxy.original_request()?;
        let way = way(&response.application_session()?)?;
        // The best response may be that of a target before this one.
        let latest = proxy.proxy_branches().last().and_then(|branch| branch.response());
        let cause = latest.and_then(|latest| cause_of(latest.status()));
        let (Some(cause), false) = (cause, way.over) else { return Ok(()) };
        let at = way.diversions.last().map_or_else(|| invite.request_uri(), |diversion| diversion.to.clone());
        match self.next(invite.as_message(), &way, at, cause) {
            Some(way) => self.go_on(&invite, way),
            None => Ok(()),
        }
    }
}

impl Forwarding {
    fn begin(&self, invite: &SipServletRequest) -> Result {
        let mut way = Way { earlier: diversion::count(&invite.headers("Diversion")), ..Way::default() };
        let mut at = invite.request_uri();
        while self.rules(invite.as_message(), &at).is_some_and(|rules| rules.always.is_some()) {
            let Some(further) = self.next(invite.as_message(), &way, at, Cause::Unconditional) else {
                return Ok(invite.create_response(StatusCode::TEMPORARILY_UNAVAILABLE)?.send()?);
            };
            at = further.diversions.last().map_or_else(|| invite.request_uri(), |diversion| diversion.to.clone());
            way = further;
        }
        self.go_on(invite, way)
    }

    /// One diversion more, if there is one to make.
    fn next(&self, own: &dyn OwnAddresses, way: &Way, at: Uri, cause: Cause) -> Option<Way> {
        let rules = self.rules(own, &at)?;
        let setting = match cause {
            Cause::Unconditional => rules.always.as_ref()?,
            Cause::Busy => rules.busy.as_ref()?,
            Cause::NoAnswer => &rules.no_answer.as_ref()?.0,
        };
        let to = target(setting, &at)?;
        let was_there = to == at || way.diversions.iter().any(|before| before.from == to || before.to == to);
        let is_far = way.earlier + way.diversions.len() >= MOST;
        let mut way = way.clone();
        way.diversions.push(Diversion { from: at, to, cause });
        (!was_there && !is_far).then_some(way)
    }

    fn go_on(&self, invite: &SipServletRequest, way: Way) -> Result {
        let to = way.diversions.last().map_or_else(|| invite.request_uri(), |diversion| diversion.to.clone());
        let proxy = match invite.proxy() {
            // The container has refused the call with 483.
            Err(Error::TooManyHops) => return Ok(()),
            proxy => proxy?,
        };
        for branch in proxy.create_proxy_branches(std::slice::from_ref(&to))? {
            if !way.diversions.is_empty() {
                tell(&branch.request()?, invite, &way)?;
            }
            if let Some((_, after)) = self.rules(invite.as_message(), &to).and_then(|rules| rules.no_answer.as_ref()) {
                branch.set_proxy_branch_timeout(*after)?;
            }
        }
        invite.application_session()?.set_attribute(WAY, way)?;
        Ok(proxy.start_proxy()?)
    }

    fn rules(&self, own: &dyn OwnAddresses, uri: &Uri) -> Option<&Rules> {
        self.0.users.get(&user_of_ours(own, uri, &self.0.domains)?)
    }
}

fn way(call: &SipApplicationSession) -> Result<Way, Error> {
    Ok(call.attribute::<Way>(WAY)?.map(|way| (*way).clone()).unwrap_or_default())
}

/// Tells the next one why he is called.
fn tell(request: &SipServletRequest, invite: &SipServletRequest, way: &Way) -> Result {
    let diversion = diversion::diversion_headers(&invite.headers("Diversion"), &way.diversions);
    let history = diversion::history(&invite.headers("History-Info"), &way.diversions);
    for (name, values) in [("Diversion", diversion), ("History-Info", history)] {
        request.remove_header(name)?;
        for value in values {
            request.add_header(name, &value)?;
        }
    }
    Ok(())
}

fn cause_of(status: StatusCode) -> Option<Cause> {
    match status {
        StatusCode::BUSY_HERE | StatusCode::BUSY_EVERYWHERE => Some(Cause::Busy),
        // 487 is what is left of a branch whose time was up.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TEMPORARILY_UNAVAILABLE | StatusCode::REQUEST_TERMINATED => {
            Some(Cause::NoAnswer)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::tests::At;

    const HERE: At = At(&[]);

    fn uri(name: &str) -> Uri {
        Uri::parse(&format!("sip:{name}@example.com")).unwrap()
    }

    fn forwarding(rules: &[(&str, Rules)]) -> Forwarding {
        let users = rules.iter().map(|(user, rules)| ((*user).to_owned(), rules.clone())).collect();
        Forwarding(Arc::new(Settings { users, domains: Domains::new(["example.com"]) }))
    }

    fn busy(to: &str) -> Rules {
        Rules { busy: Some(to.to_owned()), ..Rules::default() }
    }

    /// Everybody of a way that begins here, as long as all are busy.
    fn busy_way(forwarding: &Forwarding, earlier: usize, first: &str) -> Vec<String> {
        let mut way = Way { earlier, ..Way::default() };
        let mut at = uri(first);
        while let Some(next) = forwarding.next(&HERE, &way, at.clone(), Cause::Busy) {
            at = next.diversions.last().unwrap().to.clone();
            way = next;
        }
        way.diversions.iter().map(|diversion| diversion.to.to_string()).collect()
    }

    #[test]
    fn each_rule_is_for_its_own_cause() {
        let forwarding = forwarding(&[("bob", busy("carol"))]);
        let to =
            |cause| forwarding.next(&HERE, &Way::default(), uri("bob"), cause).map(|way| way.diversions[0].to.clone());
        assert_eq!(to(Cause::Busy), Some(uri("carol")));
        assert_eq!((to(Cause::NoAnswer), to(Cause::Unconditional)), (None, None));
    }

    #[test]
    fn a_user_of_the_same_name_elsewhere_has_no_rules_here() {
        let forwarding = forwarding(&[("bob", busy("carol"))]);
        let elsewhere = Uri::parse("sip:bob@example.org").unwrap();
        assert_eq!(forwarding.next(&HERE, &Way::default(), elsewhere, Cause::Busy), None);
    }

    #[test]
    fn a_call_that_would_come_back_stays() {
        let forwarding = forwarding(&[("bob", busy("carol")), ("carol", busy("bob"))]);
        assert_eq!(busy_way(&forwarding, 0, "bob"), ["sip:carol@example.com"]);
    }

    #[test]
    fn three_diversions_are_the_most_wherever_they_were() {
        let forwarding = forwarding(&[("a", busy("b")), ("b", busy("c")), ("c", busy("d")), ("d", busy("e"))]);
        assert_eq!(busy_way(&forwarding, 0, "a").len(), 3);
        assert_eq!(busy_way(&forwarding, 2, "a").len(), 1);
        assert_eq!(busy_way(&forwarding, 3, "a").len(), 0);
    }

    #[test]
    fn what_is_neither_busy_nor_silent_is_passed_on() {
        let cause = |code| cause_of(StatusCode::new(code).unwrap());
        assert_eq!((cause(486), cause(600)), (Some(Cause::Busy), Some(Cause::Busy)));
        assert_eq!(
            (cause(408), cause(480), cause(487)),
            (Some(Cause::NoAnswer), Some(Cause::NoAnswer), Some(Cause::NoAnswer))
        );
        assert_eq!((cause(404), cause(603)), (None, None));
    }
}
