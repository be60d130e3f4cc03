//! An application router for those who write no router of their own: a list of applications, each with the requests that
//! it is for. A request visits those that it is for, in the order of the list (JSR 289 §15.1.6, §15.4.1).
//!
//! ```text
//!   NEW ────► screening ──► forwarding ──► proxy        from the first on
//!   CONTINUE ─────────────► forwarding ──► proxy        behind the one that was chosen last
//!   REVERSE ──────────────► forwarding ──► proxy        from the first on: without the one that asks,
//!                                                       and without those that act on its side of the call
//! ```
//!
//! An application that stands in the list more than once is visited once: the first of its entries that fits counts.
//!
//! In a configuration file an entry is a table:
//!
//! ```toml
//! [[route]]
//! application = "forwarding"
//! rule = { equal = { var = "request.method", value = "INVITE" } }
//! region = "terminating"
//! subscriber = "request.to"
//! direction = "inbound"
//! ```

use std::fmt;
use std::sync::Arc;

use servlet::{
    Error, Predicate, RouterState, RoutingDirective, RoutingRegion, SipApplicationRouter, SipApplicationRouterInfo,
    SipServletRequest, SipTargetedRequestInfo, Uri,
};

use super::chain::Chain;
use super::dar::Direction;
use super::rules::Rule;
use super::subscriber::SubscriberUri;

/// An application, and which requests it is for.
#[derive(Clone, serde::Deserialize)]
#[serde(try_from = "EntryTable")]
pub struct Entry {
    application: Arc<str>,
    rule: Option<Rule>,
    predicate: Option<Predicate>,
    direction: Option<Direction>,
    region: RoutingRegion,
    subscriber: SubscriberUri,
    is_last: bool,
}

impl Entry {
    /// This application, for all requests and in the neutral region.
    pub fn new(application: &str) -> Entry {
        Entry {
            application: application.into(),
            rule: None,
            predicate: None,
            direction: None,
            region: RoutingRegion::NEUTRAL,
            subscriber: SubscriberUri::None,
            is_last: false,
        }
    }

    /// What the application sends on leaves the container: no application further down the list is asked for it.
    #[must_use]
    pub fn last(mut self) -> Entry {
        self.is_last = true;
        self
    }

    /// Only for requests that the rule holds for.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Entry {
        self.rule = Some(rule);
        self
    }

    /// Only for requests that this holds for; with a rule, those for which both do. It must not change the request.
    #[must_use]
    pub fn predicate(mut self, holds: impl Fn(&SipServletRequest) -> bool + Send + Sync + 'static) -> Entry {
        self.predicate = Some(Arc::new(holds));
        self
    }

    /// Only for requests that have begun outside of the container, or only for those that its applications have begun: not
    /// by going on with another, but anew or by sending one back.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Entry {
        self.direction = Some(direction);
        self
    }

    /// On which side the application acts.
    #[must_use]
    pub fn region(mut self, region: RoutingRegion) -> Entry {
        self.region = region;
        self
    }

    /// On whose behalf it acts.
    #[must_use]
    pub fn subscriber(mut self, subscriber: SubscriberUri) -> Entry {
        self.subscriber = subscriber;
        self
    }

    /// The application's name.
    pub fn application(&self) -> &str {
        &self.application
    }

    fn is_for(&self, request: &SipServletRequest) -> bool {
        self.rule.as_ref().is_none_or(|rule| rule.matches(&request.sip_request()))
            && self.predicate.as_ref().is_none_or(|holds| holds(request))
    }
}

/// Whether a request has come to the container or was begun by one of its applications.
pub(super) fn origin_of(request: &SipServletRequest) -> Direction {
    match request.facts().initial_flow {
        Some(_) => Direction::Inbound,
        None => Direction::Outbound,
    }
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct RuleRouter {
    /// With each entry the place of its application among all.
    entries: Vec<(Entry, u32)>,
}

impl RuleRouter {
    /// How many different applications a list may have.
    pub const MAX_APPLICATIONS: usize = Chain::OWN_BITS as usize;

    /// How many entries.
    pub const MAX_ENTRIES: usize = u16::MAX as usize;

    /// A router of these entries, in their order.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Result<RuleRouter, TooManyEntries> {
        let mut router = RuleRouter::default();
        let mut applications = 0;
        for entry in entries {
            let known = router.entries.iter().find(|(other, _)| other.application == entry.application);
            let place = known.map_or(applications, |(_, place)| *place);
            applications = applications.max(place + 1);
            if applications > Chain::OWN_BITS || router.entries.len() == RuleRouter::MAX_ENTRIES {
                return Err(TooManyEntries);
            }
            router.entries.push((entry, place));
        }
        Ok(router)
    }

    /// The names of all applications, each as often as it stands in the list.
    pub fn applications(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(entry, _)| entry.application())
    }

    /// What is next. In [`Chain::own`] there is a bit for each application that was visited.
    fn choose(
        &self,
        question: &Question<'_>,
        is_for: impl Fn(&Entry) -> bool,
        subscriber: impl Fn(&SubscriberUri) -> Option<Uri>,
    ) -> SipApplicationRouterInfo {
        let target = question.targeted.filter(|_| question.directive == RoutingDirective::New);
        let chain = match question.directive {
            RoutingDirective::New => Chain::begun(question.origin),
            RoutingDirective::Continue => Chain::of(question.state).unwrap_or(Chain::begun(question.origin)),
            RoutingDirective::Reverse => Chain::reversed(question.region, self.asking(question.state)),
        };
        let is_next = |entry: &Entry, application: u32| match target {
            Some(name) => *name == *entry.application,
            None => {
                chain.own & 1 << application == 0
                    && !chain.leaves_out(&entry.region)
                    && entry.direction.is_none_or(|wanted| wanted == chain.origin)
                    && is_for(entry)
            }
        };
        let mut rest = self.entries.iter().enumerate().skip(chain.next.into());
        let chosen = rest.find(|(_, (entry, application))| is_next(entry, *application));
        match (chosen, target) {
            (Some((place, (entry, application))), _) => {
                // There are no more entries than places.
                let next = if entry.is_last { u16::MAX } else { u16::try_from(place + 1).unwrap_or(u16::MAX) };
                SipApplicationRouterInfo {
                    next_application: Some(Arc::clone(&entry.application)),
                    region: entry.region.clone(),
                    subscriber_uri: subscriber(&entry.subscriber),
                    state: Some(Chain { next, own: chain.own | 1 << application, ..chain }.state()),
                    ..SipApplicationRouterInfo::default()
                }
            }
            // A session's owner gets what is aimed at it, whether it stands in the list or not; then the way is over.
            (None, Some(name)) => SipApplicationRouterInfo {
                next_application: Some(name.into()),
                state: Some(Chain::over(chain.origin).state()),
                ..SipApplicationRouterInfo::default()
            },
            (None, None) => SipApplicationRouterInfo::default(),
        }
    }

    /// The application that sends a request back counts as visited.
    fn asking(&self, state: Option<&RouterState>) -> u64 {
        let last = Chain::of(state).and_then(|chain| usize::from(chain.next).checked_sub(1));
        let asking = last.and_then(|place| self.entries.get(place));
        asking.map_or(0, |(_, application)| 1 << application)
    }
}

/// What the container asks, apart from the request.
struct Question<'q> {
    origin: Direction,
    region: Option<&'q RoutingRegion>,
    directive: RoutingDirective,
    targeted: Option<&'q str>,
    state: Option<&'q RouterState>,
}

impl SipApplicationRouter for RuleRouter {
    fn next_application(
        &self,
        request: &SipServletRequest,
        region: Option<&RoutingRegion>,
        directive: RoutingDirective,
        targeted: Option<&SipTargetedRequestInfo>,
        state: Option<&RouterState>,
    ) -> Result<SipApplicationRouterInfo, Error> {
        let targeted = targeted.map(|targeted| targeted.application_name.as_str());
        let question = Question { origin: origin_of(request), region, directive, targeted, state };
        let subscriber = |subscriber: &SubscriberUri| subscriber.of(&request.sip_request());
        Ok(self.choose(&question, |entry| entry.is_for(request), subscriber))
    }
}

/// A list is longer than a router keeps count of: [`RuleRouter::MAX_APPLICATIONS`], [`RuleRouter::MAX_ENTRIES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyEntries;

impl fmt::Display for TooManyEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (applications, entries) = (RuleRouter::MAX_APPLICATIONS, RuleRouter::MAX_ENTRIES);
        write!(f, "a list of routes has at most {applications} different applications and {entries} entries")
    }
}

impl std::error::Error for TooManyEntries {}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("application", &self.application)
            .field("rule", &self.rule)
            .field("predicate", &self.predicate.is_some())
            .field("direction", &self.direction)
            .field("region", &self.region)
            .field("subscriber", &self.subscriber)
            .finish()
    }
}

/// What an entry is in a configuration file.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryTable {
    application: String,
    rule: Option<Rule>,
    #[serde(default)]
    region: RegionText,
    #[serde(default)]
    subscriber: SubscriberUri,
    direction: Option<DirectionText>,
    #[serde(default)]
    last: bool,
}

#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum RegionText {
    Originating,
    #[default]
    Neutral,
    Terminating,
}

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum DirectionText {
    Inbound,
    Outbound,
}

impl TryFrom<EntryTable> for Entry {
    type Error = &'static str;

    fn try_from(table: EntryTable) -> Result<Entry, &'static str> {
        if table.application.trim().is_empty() {
            return Err("a route needs the name of an application");
        }
        let region = match table.region {
            RegionText::Originating => RoutingRegion::ORIGINATING,
            RegionText::Neutral => RoutingRegion::NEUTRAL,
            RegionText::Terminating => RoutingRegion::TERMINATING,
        };
        let direction = table.direction.map(|direction| match direction {
            DirectionText::Inbound => Direction::Inbound,
            DirectionText::Outbound => Direction::Outbound,
        });
        let entry = Entry::new(&table.application).region(region).subscriber(table.subscriber);
        Ok(Entry { rule: table.rule, direction, is_last: table.last, ..entry })
    }
}

#[cfg(test)]
mod tests;
