//! Which application an initial request is for: `[[route]]`, `[router]`; and `[[application]]`, what a descriptor adds.

use std::path::PathBuf;

use container::routing::dar::Direction;
use container::routing::rules::Rule;
use container::routing::{Entry, SubscriberUri};
use serde::Deserialize;
use servlet::RoutingRegion;

/// `[[route]]`: an application, and which requests it is for.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RouteConfig {
    /// The application's name.
    pub application: String,
    /// Which requests; without it all.
    pub when: Option<Rule>,
    /// On which side the application acts.
    #[serde(default)]
    pub region: Region,
    /// On whose behalf.
    #[serde(default)]
    pub subscriber: SubscriberUri,
    /// Only requests that come from outside, or only those that applications begin.
    pub direction: Option<From>,
    /// What the application sends on leaves the server: no other application is asked for it.
    #[serde(default)]
    pub last: bool,
}

/// On which side an application acts.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// The caller's.
    Originating,
    /// Neither.
    #[default]
    Neutral,
    /// The callee's.
    Terminating,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// From the network.
    Inbound,
    /// From an application here.
    Outbound,
}

/// `[router]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RouterConfig {
    /// A file of the default application router (JSR 289 appendix C), which alone decides then. Read again when it
    /// changes.
    pub dar: Option<PathBuf>,
}

/// `[[application]]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DescriptorConfig {
    /// A deployment descriptor, `sip.xml`; its `app-name` says to which application it adds.
    pub descriptor: PathBuf,
}

impl RouteConfig {
    pub(crate) fn entry(&self) -> Entry {
        let region = match self.region {
            Region::Originating => RoutingRegion::ORIGINATING,
            Region::Neutral => RoutingRegion::NEUTRAL,
            Region::Terminating => RoutingRegion::TERMINATING,
        };
        let entry = Entry::new(&self.application).region(region).subscriber(self.subscriber.clone());
        let entry = match &self.when {
            Some(rule) => entry.rule(rule.clone()),
            None => entry,
        };
        let entry = if self.last { entry.last() } else { entry };
        match self.direction {
            Some(From::Inbound) => entry.direction(Direction::Inbound),
            Some(From::Outbound) => entry.direction(Direction::Outbound),
            None => entry,
        }
    }
}
