//! The subscription usage of dialogs: RFC 6665, tolerant of peers of RFC 3265; the implicit subscription of REFER
//! (RFC 3515, RFC 4488).
//!
//! | type | what it is |
//! | --- | --- |
//! | [`Subscriber`] | an initial SUBSCRIBE or REFER outside a dialog, with all its forks |
//! | [`Subscription`] | the subscriber's machine: one subscription in one dialog |
//! | [`Notifier`] | the notifier's machine: one subscription in one dialog |
//! | [`refer`] | what is special about REFER |
//! | [`SubscriptionUses`] | which subscriptions keep a dialog alive, for those who run none of the machines |
//!
//! [`Subscription`] and [`Notifier`] borrow their dialog in each step, because it may be shared: a REFER within a call
//! subscribes in the call's dialog. Who owns the dialog has checked the CSeq of what arrives.
//!
//! What is left to others: event packages and their bodies, who may subscribe to what.

mod notifier;
pub mod refer;
mod subscriber;
mod subscription_machine;
mod uses;

use std::fmt;
use std::time::Duration;

use sip_message::header::{Event as EventHeader, SubscriptionState as StateHeader, TypedHeader as _};
use sip_message::{HeaderName, Headers, Request, Response, StatusCode};

pub use crate::invite::{Body, ClientKey, Failure, ServerKey};
pub use notifier::{Notifier, NotifierEvent, NotifierInput, NotifierOutput, NotifierPolicy, NotifierState};
pub use subscriber::{ForkKey, Subscriber, SubscriberInput, SubscriberMisuse};
pub use subscription_machine::{
    Subscription, SubscriptionEnd, SubscriptionEvent, SubscriptionInput, SubscriptionOutput, SubscriptionState,
};

pub use uses::SubscriptionUses;

/// What a subscription is about: event package and `id` (RFC 6665 §8.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The event package, with templates.
    pub package: Box<str>,
    /// What tells two subscriptions of a dialog to one package apart.
    pub id: Option<Box<str>>,
}

impl EventId {
    /// A package without id.
    pub fn new(package: &str) -> EventId {
        EventId { package: package.into(), id: None }
    }

    /// The Event of a message; `None` when there is none that can be read.
    pub fn of(headers: &Headers) -> Option<EventId> {
        let event = EventHeader::parse(headers.first(HeaderName::Event)?).ok()?;
        Some(EventId { package: event.package().into(), id: event.id().map(Box::from) })
    }

    /// That of the REFER with this CSeq (RFC 3515 §2.4.6).
    fn of_refer(cseq: u32) -> EventId {
        EventId { package: "refer".into(), id: Some(cseq.to_string().into()) }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{};id={id}", self.package),
            None => f.write_str(&self.package),
        }
    }
}

/// Why a notifier ended a subscription (RFC 6665 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// To be tried again at once: it moves to another node.
    Deactivated,
    /// To be tried again later.
    Probation,
    /// Not authorized any more.
    Rejected,
    /// Not refreshed in time, or unsubscribed.
    Timeout,
    /// Authorization did not come in time.
    GiveUp,
    /// What was watched is no more.
    NoResource,
    /// What is watched will not change.
    Invariant,
    /// Another word, which allows trying again at any time.
    Other(Box<str>),
}

impl EndReason {
    /// The word as it stands in Subscription-State.
    pub fn as_str(&self) -> &str {
        match self {
            EndReason::Deactivated => "deactivated",
            EndReason::Probation => "probation",
            EndReason::Rejected => "rejected",
            EndReason::Timeout => "timeout",
            EndReason::GiveUp => "giveup",
            EndReason::NoResource => "noresource",
            EndReason::Invariant => "invariant",
            EndReason::Other(word) => word,
        }
    }

    fn parse(word: &str) -> EndReason {
        const KNOWN: [EndReason; 7] = [
            EndReason::Deactivated,
            EndReason::Probation,
            EndReason::Rejected,
            EndReason::Timeout,
            EndReason::GiveUp,
            EndReason::NoResource,
            EndReason::Invariant,
        ];
        let known = KNOWN.into_iter().find(|reason| reason.as_str().eq_ignore_ascii_case(word));
        known.unwrap_or_else(|| EndReason::Other(word.into()))
    }
}

/// When a subscriber may subscribe again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resubscribe {
    /// At once.
    AtOnce,
    /// After this time.
    After(Duration),
    /// It should not.
    Never,
}

/// What the end of a subscription says about another one.
fn resubscribe(reason: Option<&EndReason>, retry_after: Option<u32>) -> Resubscribe {
    let after = retry_after.map(|seconds| Resubscribe::After(Duration::from_secs(u64::from(seconds))));
    match reason {
        Some(EndReason::Deactivated | EndReason::Timeout) => Resubscribe::AtOnce,
        Some(EndReason::Rejected | EndReason::NoResource | EndReason::Invariant) => Resubscribe::Never,
        // "SHOULD retry at some later time" without a number: a while that does no harm.
        Some(EndReason::Probation) => after.unwrap_or(Resubscribe::After(Duration::from_secs(60))),
        Some(EndReason::GiveUp | EndReason::Other(_)) | None => after.unwrap_or(Resubscribe::AtOnce),
    }
}

/// The responses to SUBSCRIBE and NOTIFY that end the subscription (RFC 6665 §4.1.2.2, §4.2.2).
fn ends_subscription(status: StatusCode) -> bool {
    matches!(status.code(), 404 | 405 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}

/// The Subscription-State of a NOTIFY.
fn state_of(notify: &Request) -> Option<StateHeader<'_>> {
    StateHeader::parse(notify.headers().first(HeaderName::SubscriptionState)?).ok()
}

/// The seconds of Expires.
fn expires_of(headers: &Headers) -> Option<Duration> {
    headers.get::<sip_message::header::Expires>()?.ok().map(|expires| expires.duration())
}

/// A response with a To tag.
fn tagged(request: &Request, status: StatusCode, local_tag: &str) -> Response {
    let mut response = Response::to(request, status);
    if crate::fields::to_tag(response.headers()).is_none() {
        let to = format!("{};tag={local_tag}", response.headers().first(HeaderName::To).unwrap_or_default());
        // A tag that is no token is the caller's fault and shows at once: no dialog can be made of it.
        let _ = response.headers_mut().set(HeaderName::To, to);
    }
    response
}
