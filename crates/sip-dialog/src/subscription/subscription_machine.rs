//! One subscription, at the subscriber: RFC 6665 §4.1.2.
//!
//! ```text
//!   SUBSCRIBE, REFER ──► NotifyWait ──NOTIFY pending──► Pending ──NOTIFY active──► Active
//!                            │    └───────────── NOTIFY active ────────────────────►  │
//!                            │ Timer N, failure,     │ Timer N, NOTIFY terminated,    │
//!                            ▼ NOTIFY terminated     ▼ 481 …, not refreshed           ▼
//!                        Terminated             Terminated                       Terminated
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sip_message::header::{MinExpires, SubscriptionStatus};
use sip_message::{HeaderName, Method, NameAddrBuf, Request, Response, StatusCode};

use super::{
    ClientKey, EndReason, EventId, Failure, Resubscribe, ServerKey, ends_subscription, expires_of, resubscribe,
    state_of,
};
use crate::dialog::Dialog;
use crate::fields;

/// How long the subscription of a REFER is kept whose notifier never says.
const REFER_AT_MOST: Duration = Duration::from_secs(3600);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubscriptionState {
    /// No NOTIFY has come.
    NotifyWait,
    /// It waits for somebody's permission.
    Pending,
    /// It is granted.
    Active,
    /// It is over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Debug)]
pub enum SubscriptionInput {
    /// When a NOTIFY for it arrived.
    NotifyReceived {
        /// Its transaction.
        transaction: ServerKey,
        /// The request.
        request: Request,
    },
    /// When the final response to a SUBSCRIBE arrived.
    ResponseReceived(Response),
    /// When there will be none.
    RequestFailed(Failure),
    /// When the time of [`Subscription::next_timeout`] has come.
    TimeReached,
    /// Refresh it now, for this long or for as long as before.
    Refresh(Option<Duration>),
    /// End it: a SUBSCRIBE with Expires 0, which a last NOTIFY follows.
    Unsubscribe,
    /// Send this again, which was challenged, with credentials.
    Retry(Request),
}

/// What to do.
#[derive(Clone, Debug)]
pub enum SubscriptionOutput {
    /// Send this SUBSCRIBE in a new client transaction.
    SendRequest {
        /// The name for its responses. There is one at a time.
        transaction: ClientKey,
        /// The request.
        request: Request,
    },
    /// Send this response.
    SendResponse {
        /// The transaction of the request.
        transaction: ServerKey,
        /// The response.
        response: Response,
    },
    /// Tell the user.
    Event(SubscriptionEvent),
}

/// What the user is told.
#[derive(Clone, Debug)]
pub enum SubscriptionEvent {
    /// When a NOTIFY came; it was answered 200.
    Notified {
        /// The state that it left the subscription in.
        state: SubscriptionState,
        /// The NOTIFY.
        notify: Request,
    },
    /// When a refresh succeeded.
    Refreshed,
    /// When a refresh failed, and the subscription goes on until it expires.
    RefreshFailed(StatusCode),
    /// When a SUBSCRIBE was challenged: give it back with credentials, as [`SubscriptionInput::Retry`].
    Challenged {
        /// The request.
        request: Request,
        /// The response.
        response: Response,
    },
    /// When it is over.
    Terminated(SubscriptionEnd),
}

/// Why a subscription is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionEnd {
    /// When the notifier said so.
    Notified {
        /// Why, if it gave a reason.
        reason: Option<EndReason>,
        /// When another one may be tried.
        resubscribe: Resubscribe,
    },
    /// When the request was refused with this status.
    Refused(StatusCode),
    /// When no NOTIFY came in time: Timer N.
    NotNotified,
    /// When it ran out.
    Expired,
    /// When there is none to begin with: Refer-Sub: false (RFC 4488).
    NotWanted,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Subscription {
    event: EventId,
    /// Whether a NOTIFY without `id` is meant, too: that of the first REFER in a dialog (RFC 3515 §2.4.6).
    or_without_id: bool,
    refreshes: bool,
    state: SubscriptionState,
    t1: Duration,
    contact: Option<NameAddrBuf>,
    wanted: Duration,
    timer_n: Option<Instant>,
    refresh_at: Option<Instant>,
    expires_at: Option<Instant>,
    outstanding: Option<Request>,
    enlarged: bool,
    next_key: u64,
    outputs: VecDeque<SubscriptionOutput>,
}

impl Subscription {
    /// The subscription that a SUBSCRIBE or REFER which was just sent asks for. `event`: what its NOTIFYs will say.
    /// `wanted`: its Expires. `contact`: ours, for refreshes.
    pub fn new(
        now: Instant,
        event: EventId,
        wanted: Duration,
        t1: Duration,
        contact: Option<NameAddrBuf>,
    ) -> Subscription {
        Subscription {
            event,
            or_without_id: false,
            refreshes: true,
            state: SubscriptionState::NotifyWait,
            t1,
            contact,
            wanted,
            timer_n: Some(now + t1 * 64),
            refresh_at: None,
            expires_at: None,
            outstanding: None,
            enlarged: false,
            next_key: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The subscription of a REFER with this CSeq (RFC 3515 §2.4.6), which its notifier lets run out. `first`: whether it
    /// is the first in its dialog.
    pub fn of_refer(now: Instant, cseq: u32, first: bool, t1: Duration, contact: Option<NameAddrBuf>) -> Subscription {
        let event = EventId::of_refer(cseq);
        let mut subscription = Subscription::new(now, event, Duration::ZERO, t1, contact);
        subscription.or_without_id = first;
        subscription.refreshes = false;
        subscription
    }

    /// What it is about.
    pub fn event(&self) -> &EventId {
        &self.event
    }

    /// How far it is.
    pub fn state(&self) -> SubscriptionState {
        self.state
    }

    /// When it runs out, as far as is known.
    pub fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    /// Whether a NOTIFY of its dialog is for it.
    pub fn matches(&self, event: &EventId) -> bool {
        *event == self.event || (self.or_without_id && event.id.is_none() && event.package == self.event.package)
    }

    /// Takes the next step, in the dialog that the subscription is in.
    pub fn handle(&mut self, now: Instant, dialog: &mut Dialog, input: SubscriptionInput) {
        match (self.state, input) {
            (SubscriptionState::Terminated, SubscriptionInput::NotifyReceived { transaction, request }) => {
                let response = Response::to(&request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
                self.outputs.push_back(SubscriptionOutput::SendResponse { transaction, response });
            }
            (SubscriptionState::Terminated, _) => {}
            (_, SubscriptionInput::NotifyReceived { transaction, request }) => {
                self.notify_received(now, dialog, transaction, request);
            }
            (_, SubscriptionInput::ResponseReceived(response)) => self.response_received(now, dialog, response),
            (_, SubscriptionInput::RequestFailed(failure)) => self.refused(failure.status()),
            (_, SubscriptionInput::TimeReached) => self.time_reached(now, dialog),
            (_, SubscriptionInput::Refresh(expires)) => {
                self.wanted = expires.unwrap_or(self.wanted);
                self.subscribe(now, dialog, self.wanted);
            }
            (_, SubscriptionInput::Unsubscribe) => {
                self.wanted = Duration::ZERO;
                self.subscribe(now, dialog, Duration::ZERO);
            }
            (_, SubscriptionInput::Retry(request)) => self.retry(now, dialog, request),
        }
    }

    /// The next order.
    pub fn poll_output(&mut self) -> Option<SubscriptionOutput> {
        self.outputs.pop_front()
    }

    /// When [`SubscriptionInput::TimeReached`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.timer_n, self.refresh_at, self.expires_at].into_iter().flatten().min()
    }

    /// The notifier granted this time in a 2xx.
    pub(super) fn granted(&mut self, now: Instant, response: &Response) {
        if self.state == SubscriptionState::Terminated {
            return;
        }
        let mut granted = expires_of(response.headers());
        // RFC 5839: no NOTIFY will follow a 204, which could say how long it lasts.
        if response.status() == StatusCode::NO_NOTIFICATION {
            self.timer_n = None;
            granted = granted.or(self.expires_at.is_none().then_some(self.wanted));
        }
        let Some(granted) = granted else { return };
        // "MAY shorten the interval but MUST NOT lengthen it".
        let granted = if self.refreshes { granted.min(self.wanted) } else { granted };
        // After a zero a last NOTIFY comes, or Timer N.
        if !granted.is_zero() || self.timer_n.is_none() {
            self.lasts(now, granted);
        }
    }

    /// The end, once.
    pub(super) fn end(&mut self, end: SubscriptionEnd) {
        if self.state == SubscriptionState::Terminated {
            return;
        }
        self.state = SubscriptionState::Terminated;
        self.timer_n = None;
        self.refresh_at = None;
        self.expires_at = None;
        self.outstanding = None;
        self.outputs.push_back(SubscriptionOutput::Event(SubscriptionEvent::Terminated(end)));
    }

    fn notify_received(&mut self, now: Instant, dialog: &mut Dialog, transaction: ServerKey, notify: Request) {
        let Some(state) = state_of(&notify) else {
            // "NOTIFY requests MUST contain Subscription-State header fields".
            let response = Response::to(&notify, StatusCode::BAD_REQUEST);
            return self.outputs.push_back(SubscriptionOutput::SendResponse { transaction, response });
        };
        let (status, expires) = (state.status(), state.expires());
        let reason = state.reason().map(EndReason::parse);
        let again = resubscribe(reason.as_ref(), state.retry_after());
        let response = Response::to(&notify, StatusCode::OK);
        self.outputs.push_back(SubscriptionOutput::SendResponse { transaction, response });
        dialog.refresh_target(notify.headers());
        self.timer_n = None;
        let state = match status {
            SubscriptionStatus::Pending => SubscriptionState::Pending,
            SubscriptionStatus::Terminated => SubscriptionState::Terminated,
            // A state that is not known is one that is granted all the same.
            SubscriptionStatus::Active | SubscriptionStatus::Other => SubscriptionState::Active,
        };
        if state == SubscriptionState::Terminated {
            self.outputs.push_back(SubscriptionOutput::Event(SubscriptionEvent::Notified { state, notify }));
            return self.end(SubscriptionEnd::Notified { reason, resubscribe: again });
        }
        self.state = state;
        match expires {
            Some(seconds) => self.lasts(now, Duration::from_secs(u64::from(seconds))),
            // RFC 3265 let a notifier leave it out. No 2xx may have come that says it either: what we asked for is the
            // most that it can be.
            None if self.expires_at.is_none() => {
                self.lasts(now, if self.refreshes { self.wanted } else { REFER_AT_MOST });
            }
            None => {}
        }
        self.outputs.push_back(SubscriptionOutput::Event(SubscriptionEvent::Notified { state, notify }));
    }

    fn response_received(&mut self, now: Instant, dialog: &mut Dialog, response: Response) {
        let status = response.status();
        if !status.is_final() {
            return;
        }
        let Some(request) = self.outstanding.take() else { return };
        if status.is_success() {
            dialog.refresh_target(response.headers());
            self.granted(now, &response);
            return self.outputs.push_back(SubscriptionOutput::Event(SubscriptionEvent::Refreshed));
        }
        if let Some(enlarged) = self.enlarged_interval(&response) {
            self.wanted = enlarged;
            return self.subscribe(now, dialog, enlarged);
        }
        if crate::invite::is_challenge(status) {
            let event = SubscriptionEvent::Challenged { request, response };
            return self.outputs.push_back(SubscriptionOutput::Event(event));
        }
        self.refused(status);
    }

    /// The Min-Expires of a 423 that is worth trying once.
    fn enlarged_interval(&mut self, response: &Response) -> Option<Duration> {
        if response.status() != StatusCode::INTERVAL_TOO_BRIEF || self.enlarged || self.wanted.is_zero() {
            return None;
        }
        self.enlarged = true;
        let least = response.headers().get::<MinExpires>()?.ok()?.duration();
        (least > self.wanted).then_some(least)
    }

    fn refused(&mut self, status: StatusCode) {
        self.outstanding = None;
        self.timer_n = None;
        if self.wanted.is_zero() && self.refreshes {
            // Whoever does not want it any more does not mind how it ends.
            self.end(SubscriptionEnd::Refused(status));
        } else if self.state == SubscriptionState::NotifyWait || ends_subscription(status) {
            self.end(SubscriptionEnd::Refused(status));
        } else {
            self.outputs.push_back(SubscriptionOutput::Event(SubscriptionEvent::RefreshFailed(status)));
        }
    }

    fn subscribe(&mut self, now: Instant, dialog: &mut Dialog, expires: Duration) {
        if self.outstanding.is_some() {
            return;
        }
        let Some(mut request) = dialog.create_request(Method::Subscribe) else {
            return self.end(SubscriptionEnd::Expired);
        };
        let headers = request.headers_mut();
        fields::set(headers, HeaderName::Event, &self.event);
        fields::set(headers, HeaderName::Expires, expires.as_secs());
        if let Some(contact) = &self.contact {
            fields::set(headers, HeaderName::Contact, contact);
        }
        self.send(now, request);
    }

    fn retry(&mut self, now: Instant, dialog: &mut Dialog, mut request: Request) {
        let fresh = dialog.create_request(Method::Subscribe);
        let cseq = fresh.as_ref().and_then(|fresh| fresh.headers().first(HeaderName::Cseq));
        if let (Some(cseq), None) = (cseq, &self.outstanding) {
            fields::set(request.headers_mut(), HeaderName::Cseq, cseq);
            self.send(now, request);
        }
    }

    fn send(&mut self, now: Instant, request: Request) {
        self.refresh_at = None;
        self.timer_n = Some(now + self.t1 * 64);
        self.outstanding = Some(request.clone());
        let transaction = ClientKey(self.next_key);
        self.next_key += 1;
        self.outputs.push_back(SubscriptionOutput::SendRequest { transaction, request });
    }

    fn time_reached(&mut self, now: Instant, dialog: &mut Dialog) {
        if self.timer_n.is_some_and(|at| at <= now) {
            return self.end(SubscriptionEnd::NotNotified);
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            return self.end(SubscriptionEnd::Expired);
        }
        if self.refresh_at.take_if(|at| *at <= now).is_some() {
            self.subscribe(now, dialog, self.wanted);
        }
    }

    /// The subscription lasts for this time from now on.
    fn lasts(&mut self, now: Instant, expires: Duration) {
        self.expires_at = Some(now + expires);
        let early = (expires / 10).clamp(Duration::from_secs(5), Duration::from_secs(60)).min(expires / 2);
        let refresh = self.refreshes && !self.wanted.is_zero() && self.outstanding.is_none();
        self.refresh_at = refresh.then(|| now + expires - early);
    }
}
