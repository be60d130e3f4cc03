//! Which subscriptions keep a dialog alive. It "continues to exist until the last usage is terminated" (RFC 5057 §2), so
//! whoever hears a BYE asks here whether the dialog is over. What begins and ends a subscription: RFC 6665 §4, RFC 3515.
//!
//! ```text
//!   SUBSCRIBE 2xx, REFER 2xx, NOTIFY active or pending ──► in use
//!   NOTIFY terminated, 481 … to SUBSCRIBE or NOTIFY    ──► not any more
//! ```
//!
//! It sees the messages of both directions and holds no machine: for those who pass subscriptions on, and for applications
//! that send their NOTIFYs themselves. What runs out unsaid is for them to notice.

use sip_message::header::SubscriptionStatus;
use sip_message::{Method, Request, Response};

use super::{EventId, ends_subscription, expires_of, refer, state_of};
use crate::dialog::Role;
use crate::fields;

/// How many are counted. The peer could make up any number of them.
const MOST: usize = 32;

/// The subscriptions of one dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionUses(Vec<Use>);

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Use {
    /// What we are: [`Role::Uac`] when we subscribed, [`Role::Uas`] when we notify.
    role: Role,
    event: EventId,
    /// When its last NOTIFY overtook the 2xx that would begin it.
    over: bool,
}

impl SubscriptionUses {
    /// Whether none is in use.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|one| one.over)
    }

    /// What they are about.
    pub fn events(&self) -> impl Iterator<Item = &EventId> {
        self.0.iter().filter(|one| !one.over).map(|one| &one.event)
    }

    /// When a request of the dialog is sent (`role`: [`Role::Uac`]) or was received ([`Role::Uas`]). Those that say
    /// nothing about subscriptions change nothing.
    pub fn note_request(&mut self, role: Role, request: &Request) {
        if *request.method() != Method::Notify {
            return;
        }
        let (Some(event), Some(state)) = (EventId::of(request.headers()), state_of(request)) else { return };
        let subscriber = opposite(role);
        let at = self.position(subscriber, &event);
        match (at, state.status() == SubscriptionStatus::Terminated) {
            (Some(at), true) => drop(self.0.remove(at)),
            (Some(at), false) => self.0[at].over = false,
            (None, over) => self.push(subscriber, event, over),
        }
    }

    /// When the response to a request of the dialog is sent or was received. `role`: ours in the transaction.
    pub fn note_response(&mut self, role: Role, request: &Request, response: &Response) {
        let status = response.status();
        let (subscriber, event) = match request.method() {
            Method::Subscribe => (role, EventId::of(request.headers())),
            // Its NOTIFYs have the number of the REFER as id, but for the first's (RFC 3515 §2.4.6).
            Method::Refer => (role, fields::cseq_of(request.headers(), &Method::Refer).map(EventId::of_refer)),
            Method::Notify => (opposite(role), EventId::of(request.headers())),
            _ => return,
        };
        let Some(event) = event else { return };
        if status.is_success() {
            self.granted(subscriber, event, request, response);
        } else if *request.method() != Method::Refer && ends_subscription(status) {
            self.lost(subscriber, &event);
        }
    }

    /// When a request of the dialog got no response: "If the NOTIFY request fails due to expiration of SIP Timer F
    /// (transaction timeout), the notifier SHOULD remove the subscription" (RFC 6665 §4.2.2). `role`: ours in the
    /// transaction.
    pub fn note_failure(&mut self, role: Role, request: &Request) {
        if *request.method() == Method::Notify
            && let Some(event) = EventId::of(request.headers())
        {
            self.lost(opposite(role), &event);
        }
    }

    fn granted(&mut self, subscriber: Role, event: EventId, request: &Request, response: &Response) {
        let begins = match request.method() {
            Method::Refer => !refer::declines_subscription(request, response),
            // One that ends it is over with the NOTIFY that follows, or with the one that was faster. One that asks once
            // (RFC 6665 §4.4.3) begins a dialog for the one NOTIFY.
            Method::Subscribe => {
                let ends = expires_of(request.headers()).is_some_and(|expires| expires.is_zero());
                !ends || fields::to_tag(request.headers()).is_none()
            }
            _ => return,
        };
        if !begins {
            return;
        }
        match self.position(subscriber, &event) {
            Some(at) if self.0[at].over => drop(self.0.remove(at)),
            Some(_) => {}
            None => self.push(subscriber, event, false),
        }
    }

    fn lost(&mut self, subscriber: Role, event: &EventId) {
        if let Some(at) = self.position(subscriber, event) {
            self.0.remove(at);
        }
    }

    /// That of this event; of a REFER whose id one side leaves out, the oldest.
    fn position(&self, subscriber: Role, event: &EventId) -> Option<usize> {
        let mut ours = self.0.iter().enumerate().filter(|(_, one)| one.role == subscriber);
        let exact = ours.clone().find(|(_, one)| one.event == *event);
        exact.or_else(|| ours.find(|(_, one)| one.event.is_refer_like(event))).map(|(at, _)| at)
    }

    fn push(&mut self, role: Role, event: EventId, over: bool) {
        if self.0.len() < MOST {
            self.0.push(Use { role, event, over });
        }
    }
}

impl EventId {
    /// Whether both are of a REFER, of which one side leaves out the id.
    fn is_refer_like(&self, other: &EventId) -> bool {
        &*self.package == "refer" && other.package == self.package && (self.id.is_none() || other.id.is_none())
    }
}

fn opposite(role: Role) -> Role {
    match role {
        Role::Uac => Role::Uas,
        Role::Uas => Role::Uac,
    }
}
