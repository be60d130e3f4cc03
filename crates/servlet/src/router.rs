//! The application router: which application is next.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::address::Address;
use crate::error::Error;
use crate::request::SipServletRequest;
use crate::uri::Uri;

/// Chooses applications for initial requests: `javax.servlet.sip.ar.SipApplicationRouter`.
///
/// One instance serves all workers, so it is shared; it looks at requests and must not change them.
pub trait SipApplicationRouter: Send + Sync + 'static {
    /// After these applications were deployed and initialised.
    fn application_deployed(&self, _names: &[String]) {}

    /// After these applications were taken away, or could not be initialised.
    fn application_undeployed(&self, _names: &[String]) {}

    /// The next application for a request. The first question has no region and no state; the next ones have what the
    /// answer before gave.
    ///
    /// An error ends the request with 500.
    fn next_application(
        &self,
        request: &SipServletRequest,
        region: Option<&RoutingRegion>,
        directive: RoutingDirective,
        targeted: Option<&SipTargetedRequestInfo>,
        state: Option<&RouterState>,
    ) -> Result<SipApplicationRouterInfo, Error>;
}

/// What a router decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SipApplicationRouterInfo {
    /// The application; `None` when there is no further one.
    pub next_application: Option<Arc<str>>,
    /// In which region it acts.
    pub region: RoutingRegion,
    /// On whose behalf.
    pub subscriber_uri: Option<Uri>,
    /// Routes; what they are for is said by the modifier.
    pub routes: Vec<Address>,
    /// What the routes are for.
    pub route_modifier: SipRouteModifier,
    /// What the router wants to hear again at the next question about this request.
    pub state: Option<RouterState>,
}

/// A router's own memory of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouterState {
    /// A number: a place in a list, mostly.
    Number(u64),
    /// Anything else, written down.
    Octets(Bytes),
}

/// What the routes of a decision are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SipRouteModifier {
    /// Nothing; there are none that count.
    #[default]
    NoRoute,
    /// The request goes to them; or, when the first names this container, the application sees it as popped.
    Route,
    /// The request goes to them, and comes back to this container afterwards.
    RouteBack,
}

/// In which relation a new request is to one that came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RoutingDirective {
    /// None: routing begins anew.
    #[default]
    New,
    /// It is the same call, going on: the next application of the chain.
    Continue,
    /// It goes the other way round, on behalf of the other party.
    Reverse,
}

/// On which side an application acts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoutingRegion {
    label: Cow<'static, str>,
    kind: Option<RegionType>,
}

/// The kinds of regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegionType {
    /// For the caller.
    Originating,
    /// For nobody in particular.
    Neutral,
    /// For the callee.
    Terminating,
}

impl RoutingRegion {
    /// For the caller.
    pub const ORIGINATING: RoutingRegion =
        RoutingRegion { label: Cow::Borrowed("ORIGINATING"), kind: Some(RegionType::Originating) };
    /// For nobody in particular.
    pub const NEUTRAL: RoutingRegion =
        RoutingRegion { label: Cow::Borrowed("NEUTRAL"), kind: Some(RegionType::Neutral) };
    /// For the callee.
    pub const TERMINATING: RoutingRegion =
        RoutingRegion { label: Cow::Borrowed("TERMINATING"), kind: Some(RegionType::Terminating) };

    /// A region of a router's own.
    pub fn new(label: &str, kind: Option<RegionType>) -> RoutingRegion {
        RoutingRegion { label: Cow::Owned(label.to_owned()), kind }
    }

    /// Its name.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its kind.
    pub fn region_type(&self) -> Option<RegionType> {
        self.kind
    }
}

impl Default for RoutingRegion {
    fn default() -> RoutingRegion {
        RoutingRegion::NEUTRAL
    }
}

impl fmt::Display for RoutingRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

/// That a request is aimed at a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipTargetedRequestInfo {
    /// How.
    pub kind: SipTargetedRequestType,
    /// Whose session it is.
    pub application_name: String,
}

/// How a request is aimed at a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SipTargetedRequestType {
    /// By an encoded URI.
    EncodedUri,
    /// By a Join header (RFC 3911).
    Join,
    /// By a Replaces header (RFC 3891).
    Replaces,
}
