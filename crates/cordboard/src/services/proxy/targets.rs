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

use sip_endpoint::Endpoint;
use sip_message::{Flow, HeaderName, Request, SipUri, StatusCode, Uri, UriBuf};
use smallvec::{SmallVec, smallvec};

use super::preprocess::Own;
use crate::services::answer::{Refusal, refusal};
use crate::services::config::{Relay, ServicesConfig};
use crate::services::domains::Domains;
use crate::services::gruu::{self, Gruu};
use crate::services::location::{Binding, Location, equivalent, same_instance};

/// One place to forward a request to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Target {
    /// The new Request-URI; `None` when it stays as it is.
    pub(crate) uri: Option<UriBuf>,
    /// The path vector of the binding, to be put in front of the Route.
    pub(crate) path: Box<str>,
    /// The only way there.
    pub(crate) flow: Option<Flow>,
    /// In thousandths.
    pub(crate) q: u16,
    /// The instance that it leads to; empty when unknown.
    pub(crate) instance: Box<str>,
}

/// The targets of a request, best first.
pub(crate) type TargetSet = SmallVec<[Target; 1]>;

/// What targets are looked up with.
pub(crate) struct Finder<'a> {
    pub(crate) config: &'a ServicesConfig,
    pub(crate) domains: &'a Domains,
    pub(crate) location: &'a Location,
}

/// Where to, and whose decision that was.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) targets: TargetSet,
    /// We are responsible for the Request-URI, and may replace it and add targets (§16.5).
    pub(crate) responsible: bool,
    /// All targets are one instance's, to be tried one after the other (RFC 5627 §6.1).
    pub(crate) one_instance: bool,
}

impl Finder<'_> {
    /// Finds the targets of a request whose own routes were taken away.
    pub(crate) fn find(
        &self,
        now: Instant,
        endpoint: &Endpoint,
        request: &Request,
        own: &Own,
    ) -> Result<Found, Refusal> {
        let along_route = request.headers().contains(HeaderName::Route);
        let uri = match request.uri() {
            Uri::Sip(uri) => uri,
            _ if along_route => return self.relay(request, own),
            _ => return Err(refusal(request, StatusCode::UNSUPPORTED_URI_SCHEME)),
        };
        if uri.maddr().is_some() || !self.domains.cover(endpoint, &uri) {
            return self.relay(request, own);
        }
        if along_route && !self.may_relay(own) {
            // A Route of the sender's own would take the request anywhere.
            return Err(refusal(request, StatusCode::FORBIDDEN));
        }
        self.locate(now, endpoint, request, &uri)
    }

    /// The Request-URI is the only target (§16.5).
    fn relay(&self, request: &Request, own: &Own) -> Result<Found, Refusal> {
        if !self.may_relay(own) {
            return Err(refusal(request, StatusCode::FORBIDDEN));
        }
        let target = Target { flow: own.flow, ..Target::default() };
        Ok(Found { targets: smallvec![target], responsible: false, one_instance: false })
    }

    fn may_relay(&self, own: &Own) -> bool {
        own.trusted || self.config.proxy.relay == Relay::Any
    }

    fn locate(&self, now: Instant, endpoint: &Endpoint, request: &Request, uri: &SipUri<'_>) -> Result<Found, Refusal> {
        let (aor, instance) = self.meaning(endpoint, request, uri)?;
        // RFC 5627 §6.1: in a dialog the Route leads on from here, and the path would lead in a circle.
        let use_path = !request.headers().contains(HeaderName::Route);
        let wanted = |binding: &&Binding| match &instance {
            Some(instance) => same_instance(&binding.instance, instance),
            None => true,
        };
        let mut targets: TargetSet = SmallVec::new();
        let mut bindings: SmallVec<[&Binding; 4]> = self.location.bindings(now, &aor).filter(wanted).collect();
        // By falling preference; among equals the one that was refreshed last (RFC 5626 §7, RFC 5627 §6.1).
        bindings.sort_by(|a, b| b.q.cmp(&a.q).then(b.updated.cmp(&a.updated)));
        for binding in bindings {
            let Some(mut target) = target(binding) else { continue };
            if !use_path {
                target.path = "".into();
            }
            let known = |t: &Target| {
                t.flow == target.flow
                    && matches!((&t.uri, &target.uri), (Some(a), Some(b)) if equivalent(a.as_str(), b.as_str()))
            };
            if !targets.iter().any(known) {
                targets.push(target);
            }
        }
        if targets.is_empty() {
            return Err(self.nobody(request, uri));
        }
        Ok(Found { targets, responsible: true, one_instance: instance.is_some() })
    }

    /// The address-of-record that a URI of ours means, and the instance if it is a GRUU.
    fn meaning(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        uri: &SipUri<'_>,
    ) -> Result<(String, Option<Box<str>>), Refusal> {
        let not_found = || refusal(request, StatusCode::NOT_FOUND);
        match gruu::read(&self.config.secret, uri) {
            Gruu::None => Ok((self.domains.address_of_record(endpoint, uri).ok_or_else(not_found)?, None)),
            Gruu::Public(instance) => {
                Ok((self.domains.address_of_record(endpoint, uri).ok_or_else(not_found)?, Some(instance)))
            }
            // RFC 5627 §5.3: it ends with the last registration of its instance.
            Gruu::Temporary(number) => match self.location.of_gruu(number) {
                Some((aor, instance)) => Ok((aor.to_owned(), Some(instance.into()))),
                None => Err(not_found()),
            },
            Gruu::Invalid => Err(not_found()),
        }
    }

    /// 480 for a user that exists and is not there, 404 for one that does not (§16.5). Where users are not known, one
    /// that is not registered may be either, and 480 says the less.
    fn nobody(&self, request: &Request, uri: &SipUri<'_>) -> Refusal {
        let users = &self.config.users;
        let exists = users.is_empty() || uri.user().is_some_and(|user| users.contains(&user));
        refusal(request, if exists { StatusCode::TEMPORARILY_UNAVAILABLE } else { StatusCode::NOT_FOUND })
    }
}

/// The target that a binding makes; `None` for a contact that no SIP request can be sent to.
fn target(binding: &Binding) -> Option<Target> {
    let uri = UriBuf::parse(&*binding.contact).ok()?;
    uri.as_uri().sip()?;
    Some(Target {
        uri: Some(as_request_uri(uri)),
        path: binding.path.clone(),
        flow: binding.flow,
        q: binding.q,
        instance: binding.instance.clone(),
    })
}

/// A URI without what may not stand in a Request-URI (§16.6 step 2, §19.1.1 table 1).
pub(crate) fn as_request_uri(uri: UriBuf) -> UriBuf {
    match uri.as_uri().check_request_uri() {
        Ok(()) => uri,
        Err(_) => uri.without_param("method").without_headers(),
    }
}
