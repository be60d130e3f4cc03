//! Where a request may go: RFC 3261 §16.5, RFC 3327 §5.4, RFC 5626 §7, RFC 5627 §6.1, and who may send whom where.
//!
//! ```text
//!   invited through us by our own Record-Route or Path ───────────► along the Route, over the flow that it names
//!   Route to elsewhere, maddr, foreign domain ── relay: any ──────► along the Route, to the Request-URI
//!                                             └─ relay: none ─────► 403
//!   one of our domains ── location service ── bindings ───────────► their contacts, by falling preference
//!                                          ├─ none ───────────────► 480
//!                                          └─ no such user ───────► 404
//! ```

use std::time::Instant;

use servlet::SipFlow;
use sip_message::{HeaderName, Request, SipUri, StatusCode, Uri, UriBuf};
use smallvec::SmallVec;

use super::{ProxySettings, Relay};
use crate::answer::Refusal;
use crate::domains::OwnAddresses;
use crate::location::{Binding, Bindings, Gruu, equivalent, same_instance};

/// One place to forward a request to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    /// The new Request-URI.
    pub(super) uri: UriBuf,
    /// The path vector of the binding, to be put in front of the Route.
    pub(super) path: Box<str>,
    /// The only way there.
    pub(super) flow: Option<SipFlow>,
    /// In thousandths.
    pub(super) q: u16,
    /// The instance that it leads to; empty when unknown.
    pub(super) instance: Box<str>,
}

/// The targets of a request, best first.
pub(super) type TargetSet = SmallVec<[Target; 1]>;

/// Where to, and whose decision that was.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Where the request itself says: along its Route, or to its Request-URI.
    AsItSays,
    /// We are responsible for the Request-URI, and these take its place.
    Located(TargetSet),
}

/// What targets are looked up with.
pub(super) struct Finder<'a, O: ?Sized> {
    pub(super) settings: &'a ProxySettings,
    pub(super) location: &'a Bindings,
    pub(super) own: &'a O,
    /// The request came along a Record-Route or a Path of ours.
    pub(super) invited: bool,
}

impl Target {
    pub(super) fn new(uri: UriBuf) -> Target {
        Target { uri, path: "".into(), flow: None, q: 1000, instance: "".into() }
    }

    /// The target that a binding makes; `None` for a contact that no SIP request can be sent to.
    fn of(binding: &Binding) -> Option<Target> {
        let uri = UriBuf::parse(&*binding.contact).ok()?;
        uri.as_uri().sip()?;
        Some(Target {
            path: binding.path.clone(),
            flow: binding.flow,
            q: binding.q,
            instance: binding.instance.clone(),
            ..Target::new(as_request_uri(uri))
        })
    }
}

impl<O: OwnAddresses + ?Sized> Finder<'_, O> {
    /// Finds the targets of a request whose own routes were taken away.
    pub(super) fn find(&self, now: Instant, request: &Request) -> Result<Found, Refusal> {
        let along_route = request.headers().contains(HeaderName::Route);
        let uri = match request.uri() {
            Uri::Sip(uri) => uri,
            _ if along_route => return self.relay(),
            _ => return Err(Refusal::new(StatusCode::UNSUPPORTED_URI_SCHEME)),
        };
        if uri.maddr().is_some() || !self.settings.domains.is_ours(self.own, &uri) {
            return self.relay();
        }
        if along_route && !self.may_relay() {
            // A Route of the sender's own would take the request anywhere.
            return Err(Refusal::new(StatusCode::FORBIDDEN));
        }
        self.locate(now, &uri, !along_route)
    }

    /// The Request-URI is the only target (§16.5).
    fn relay(&self) -> Result<Found, Refusal> {
        if self.may_relay() { Ok(Found::AsItSays) } else { Err(Refusal::new(StatusCode::FORBIDDEN)) }
    }

    fn may_relay(&self) -> bool {
        self.invited || self.settings.relay == Relay::Any
    }

    /// In a dialog the Route leads on from here, and the path would lead in a circle (RFC 5627 §6.1).
    fn locate(&self, now: Instant, uri: &SipUri<'_>, use_path: bool) -> Result<Found, Refusal> {
        let (aor, instance) = self.meaning(now, uri)?;
        let wanted = |binding: &&Binding| match &instance {
            Some(instance) => same_instance(&binding.instance, instance),
            None => true,
        };
        let mut targets = TargetSet::new();
        let mut bindings: SmallVec<[&Binding; 4]> = self.location.of(now, &aor).filter(wanted).collect();
        // By falling preference; among equals the one that was refreshed last (RFC 5626 §7, RFC 5627 §6.1).
        bindings.sort_by(|a, b| b.q.cmp(&a.q).then(b.updated.cmp(&a.updated)));
        for mut target in bindings.into_iter().filter_map(Target::of) {
            if !use_path {
                target.path = "".into();
            }
            let same = |t: &Target| t.flow == target.flow && equivalent(t.uri.as_str(), target.uri.as_str());
            if targets.len() < self.settings.max_targets.max(1) && !targets.iter().any(same) {
                targets.push(target);
            }
        }
        if targets.is_empty() { Err(self.nobody(uri)) } else { Ok(Found::Located(targets)) }
    }

    /// The address-of-record that a URI of ours means, and the instance if it is a GRUU.
    fn meaning(&self, now: Instant, uri: &SipUri<'_>) -> Result<(String, Option<Box<str>>), Refusal> {
        let not_found = || Refusal::new(StatusCode::NOT_FOUND);
        let user = || self.settings.domains.user_of_ours(self.own, uri).ok_or_else(not_found);
        match Gruu::read(&self.location.settings().secret, uri) {
            Gruu::None => Ok((user()?, None)),
            Gruu::Public(instance) => Ok((user()?, Some(instance))),
            // RFC 5627 §5.3: it ends with the last registration of its instance.
            Gruu::Temporary(number) => match self.location.of_gruu(now, number) {
                Some((aor, instance)) => Ok((aor.to_owned(), Some(instance.into()))),
                None => Err(not_found()),
            },
            Gruu::Invalid => Err(not_found()),
        }
    }

    /// 480 for a user that exists and is not there, 404 for one that does not (§16.5). Where users are not known, one
    /// that is not registered may be either, and 480 says the less.
    fn nobody(&self, uri: &SipUri<'_>) -> Refusal {
        let exists = self.settings.users.may_be(&uri.user().unwrap_or_default());
        Refusal::new(if exists { StatusCode::TEMPORARILY_UNAVAILABLE } else { StatusCode::NOT_FOUND })
    }
}

/// A URI without what may not stand in a Request-URI (§16.6 step 2, §19.1.1 table 1).
fn as_request_uri(uri: UriBuf) -> UriBuf {
    match uri.as_uri().check_request_uri() {
        Ok(()) => uri,
        Err(_) => uri.without_param("method").without_headers(),
    }
}
