//! One subscription, at the notifier: RFC 6665 §4.2.
//!
//! ```text
//!   SUBSCRIBE, REFER ──► 2xx, NOTIFY ──► Pending ──granted──► Active
//!                                           │ expired, NOTIFY failed, unsubscribed, ended by policy
//!                                           └──────────► Terminated ◄──────┘   (with a last NOTIFY)
//! ```
//!
//! One NOTIFY is on the way at a time; of what changes meanwhile only the latest is kept, so that a slow subscriber costs
//! no more than one body.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sip_message::{HeaderName, Method, NameAddrBuf, Request, Response, StatusCode};

use super::{Body, ClientKey, EndReason, EventId, Failure, ServerKey, ends_subscription, expires_of, tagged};
use crate::dialog::{Dialog, DialogState};
use crate::fields;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotifierState {
    /// It waits for somebody's permission.
    Pending,
    /// It is granted.
    Active,
    /// It is over; the last NOTIFY may still be on its way.
    Terminated,
}

/// What a notifier grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifierPolicy {
    /// For whoever names no time; the event package says how long.
    pub default_expires: Duration,
    /// The least time; what is shorter, and shorter than an hour, gets 423.
    pub min_expires: Duration,
    /// The longest time.
    pub max_expires: Duration,
    /// Our Contact.
    pub contact: Option<NameAddrBuf>,
}

impl Default for NotifierPolicy {
    fn default() -> NotifierPolicy {
        NotifierPolicy {
            default_expires: Duration::from_secs(3600),
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(86_400),
            contact: None,
        }
    }
}

/// What can happen to it.
#[derive(Clone, Debug)]
pub enum NotifierInput {
    /// When a SUBSCRIBE for it arrived: a refresh, a poll or the end.
    SubscribeReceived {
        /// Its transaction.
        transaction: ServerKey,
        /// The request.
        request: Request,
    },
    /// When the final response to a NOTIFY arrived.
    ResponseReceived(Response),
    /// When there will be none.
    RequestFailed(Failure),
    /// When the time of [`Notifier::next_timeout`] has come.
    TimeReached,
    /// Grant it, and notify.
    Activate(Option<Body>),
    /// Notify: the state has changed.
    Notify(Option<Body>),
    /// End it.
    Terminate {
        /// Why.
        reason: EndReason,
        /// When the subscriber may come back.
        retry_after: Option<Duration>,
        /// The last body.
        body: Option<Body>,
    },
    /// Send this NOTIFY again, which was challenged, with credentials.
    Retry(Request),
}

/// What to do.
#[derive(Clone, Debug)]
pub enum NotifierOutput {
    /// Send this NOTIFY in a new client transaction.
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
    Event(NotifierEvent),
}

/// What the user is told.
#[expect(clippy::large_enum_variant, reason = "it is moved once, from the machine to its user")]
#[derive(Clone, Debug)]
pub enum NotifierEvent {
    /// When the subscriber has refreshed: it was notified of the last body again.
    Refreshed,
    /// When a NOTIFY was challenged: give it back with credentials, as [`NotifierInput::Retry`].
    Challenged {
        /// The request.
        request: Request,
        /// The response.
        response: Response,
    },
    /// When it is over.
    Terminated(EndReason),
    /// When the subscriber can't be notified any more; this is the end, too.
    Lost(StatusCode),
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Notifier {
    event: EventId,
    policy: NotifierPolicy,
    state: NotifierState,
    /// What the last NOTIFY says of the end.
    end: Option<(EndReason, Option<Duration>)>,
    expires_at: Option<Instant>,
    body: Option<Body>,
    outstanding: Option<Request>,
    /// Whether something has changed since the NOTIFY that is on its way.
    again: bool,
    next_key: u64,
    outputs: VecDeque<NotifierOutput>,
}

impl Notifier {
    /// Accepts an initial SUBSCRIBE: the response and the first NOTIFY are ordered, and the dialog is given. The error is
    /// the response that refuses it. `state`: Pending while nobody has decided.
    #[expect(clippy::too_many_arguments, reason = "what a request comes with, and what the first NOTIFY says")]
    pub fn accept(
        now: Instant,
        transaction: ServerKey,
        request: &Request,
        local_tag: &str,
        secure_transport: bool,
        policy: NotifierPolicy,
        state: NotifierState,
        body: Option<Body>,
    ) -> Result<(Dialog, Notifier), Box<Response>> {
        let refuse = |status| Box::new(tagged(request, status, local_tag));
        let mut response = tagged(request, StatusCode::OK, local_tag);
        let dialog = Dialog::as_uas(request, &response, secure_transport);
        let mut dialog = dialog.map_err(|error| refuse(error.status()))?;
        dialog.state = DialogState::Confirmed;
        let event = EventId::of(request.headers()).ok_or_else(|| refuse(StatusCode::BAD_EVENT))?;
        let mut notifier = Notifier::new(event, policy, state, body);
        let too_brief = |least| Box::new(too_brief(*refuse(StatusCode::INTERVAL_TOO_BRIEF), least));
        let expires = notifier.grant(request).map_err(too_brief)?;
        response.headers_mut().copy_from(request.headers(), HeaderName::RecordRoute);
        notifier.accept_with(now, &mut dialog, transaction, response, expires);
        Ok((dialog, notifier))
    }

    /// Accepts a SUBSCRIBE to something else within a dialog that there is, which has checked it.
    pub fn accept_in_dialog(
        now: Instant,
        transaction: ServerKey,
        request: &Request,
        dialog: &mut Dialog,
        policy: NotifierPolicy,
        state: NotifierState,
        body: Option<Body>,
    ) -> Result<Notifier, Box<Response>> {
        let event = EventId::of(request.headers());
        let event = event.ok_or_else(|| Box::new(Response::to(request, StatusCode::BAD_EVENT)))?;
        let mut notifier = Notifier::new(event, policy, state, body);
        let too_brief = |least| Box::new(too_brief(Response::to(request, StatusCode::INTERVAL_TOO_BRIEF), least));
        let expires = notifier.grant(request).map_err(too_brief)?;
        notifier.accept_with(now, dialog, transaction, Response::to(request, StatusCode::OK), expires);
        Ok(notifier)
    }

    pub(super) fn new(event: EventId, policy: NotifierPolicy, state: NotifierState, body: Option<Body>) -> Notifier {
        Notifier {
            event,
            policy,
            state,
            end: None,
            expires_at: None,
            body,
            outstanding: None,
            again: false,
            next_key: 0,
            outputs: VecDeque::new(),
        }
    }

    /// What it is about.
    pub fn event(&self) -> &EventId {
        &self.event
    }

    /// How far it is.
    pub fn state(&self) -> NotifierState {
        self.state
    }

    /// Whether nothing is left of it.
    pub fn is_over(&self) -> bool {
        self.state == NotifierState::Terminated && self.outstanding.is_none() && !self.again && self.outputs.is_empty()
    }

    /// Whether a SUBSCRIBE of its dialog is for it.
    pub fn matches(&self, event: &EventId) -> bool {
        *event == self.event
    }

    /// The next order.
    pub fn poll_output(&mut self) -> Option<NotifierOutput> {
        self.outputs.pop_front()
    }

    /// When [`NotifierInput::TimeReached`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.expires_at
    }

    /// Takes the next step, in the dialog that the subscription is in.
    pub fn handle(&mut self, now: Instant, dialog: &mut Dialog, input: NotifierInput) {
        match (self.state, input) {
            (_, NotifierInput::ResponseReceived(response)) => self.response_received(now, dialog, response),
            (_, NotifierInput::RequestFailed(failure)) => self.lose(failure.status()),
            (_, NotifierInput::Retry(request)) => self.retry(dialog, request),
            (NotifierState::Terminated, NotifierInput::SubscribeReceived { transaction, request }) => {
                let response = Response::to(&request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
                self.outputs.push_back(NotifierOutput::SendResponse { transaction, response });
            }
            (NotifierState::Terminated, _) => {}
            (_, NotifierInput::SubscribeReceived { transaction, request }) => {
                self.subscribe_received(now, dialog, transaction, &request);
            }
            (_, NotifierInput::TimeReached) => {
                if self.expires_at.is_some_and(|at| at <= now) {
                    self.terminate(now, dialog, EndReason::Timeout, None);
                }
            }
            (_, NotifierInput::Activate(body)) => {
                self.state = NotifierState::Active;
                self.body = body;
                self.notify(now, dialog);
            }
            (_, NotifierInput::Notify(body)) => {
                self.body = body;
                self.notify(now, dialog);
            }
            (_, NotifierInput::Terminate { reason, retry_after, body }) => {
                self.body = body;
                self.terminate(now, dialog, reason, retry_after);
            }
        }
    }

    /// Responds, and sends the NOTIFY that must follow (RFC 6665 §4.2.1.2).
    pub(super) fn accept_with(
        &mut self,
        now: Instant,
        dialog: &mut Dialog,
        transaction: ServerKey,
        mut response: Response,
        expires: Duration,
    ) {
        fields::set(response.headers_mut(), HeaderName::Expires, expires.as_secs());
        if let Some(contact) = &self.policy.contact {
            fields::set(response.headers_mut(), HeaderName::Contact, contact);
        }
        self.outputs.push_back(NotifierOutput::SendResponse { transaction, response });
        if expires.is_zero() {
            // A poll, or the end: one NOTIFY, which is the last (RFC 6665 §4.4.3).
            return self.terminate(now, dialog, EndReason::Timeout, None);
        }
        self.expires_at = Some(now + expires);
        self.notify(now, dialog);
    }

    fn subscribe_received(&mut self, now: Instant, dialog: &mut Dialog, transaction: ServerKey, request: &Request) {
        match self.grant(request) {
            Ok(expires) => {
                dialog.refresh_target(request.headers());
                self.accept_with(now, dialog, transaction, Response::to(request, StatusCode::OK), expires);
                if self.state != NotifierState::Terminated {
                    self.outputs.push_back(NotifierOutput::Event(NotifierEvent::Refreshed));
                }
            }
            Err(least) => {
                let response = too_brief(Response::to(request, StatusCode::INTERVAL_TOO_BRIEF), least);
                self.outputs.push_back(NotifierOutput::SendResponse { transaction, response });
            }
        }
    }

    /// How long a SUBSCRIBE gets; the error is the least time.
    fn grant(&self, request: &Request) -> Result<Duration, Duration> {
        let wanted = expires_of(request.headers()).unwrap_or(self.policy.default_expires);
        // "If and only if the expiration interval is greater than zero AND smaller than one hour AND less than a
        // notifier-configured minimum".
        if !wanted.is_zero() && wanted < Duration::from_secs(3600) && wanted < self.policy.min_expires {
            return Err(self.policy.min_expires);
        }
        Ok(wanted.min(self.policy.max_expires))
    }

    fn terminate(&mut self, now: Instant, dialog: &mut Dialog, reason: EndReason, retry_after: Option<Duration>) {
        self.state = NotifierState::Terminated;
        self.end = Some((reason.clone(), retry_after));
        self.expires_at = None;
        self.notify(now, dialog);
        self.outputs.push_back(NotifierOutput::Event(NotifierEvent::Terminated(reason)));
    }

    fn notify(&mut self, now: Instant, dialog: &mut Dialog) {
        if self.outstanding.is_some() {
            self.again = true;
            return;
        }
        let Some(mut request) = dialog.create_request(Method::Notify) else {
            return self.lose(StatusCode::SERVER_INTERNAL_ERROR);
        };
        let headers = request.headers_mut();
        fields::set(headers, HeaderName::Event, &self.event);
        let state = self.state_text(now);
        // A reason of the user's that is no token leaves a state without reason.
        if headers.set(HeaderName::SubscriptionState, state).is_err() {
            fields::set(headers, HeaderName::SubscriptionState, "terminated");
        }
        if let Some(contact) = &self.policy.contact {
            fields::set(headers, HeaderName::Contact, contact);
        }
        if let Some(body) = &self.body {
            // A content type with a line break is the user's fault: the NOTIFY goes without the body.
            let _ = request.set_body(&body.content_type, body.octets.clone());
        }
        self.send(request);
    }

    fn state_text(&self, now: Instant) -> String {
        let left = self.expires_at.map_or(0, |at| at.saturating_duration_since(now).as_secs());
        match (self.state, &self.end) {
            (NotifierState::Pending, _) => format!("pending;expires={left}"),
            (NotifierState::Active, _) => format!("active;expires={left}"),
            (NotifierState::Terminated, None) => "terminated".into(),
            (NotifierState::Terminated, Some((reason, None))) => format!("terminated;reason={}", reason.as_str()),
            (NotifierState::Terminated, Some((reason, Some(after)))) => {
                format!("terminated;reason={};retry-after={}", reason.as_str(), after.as_secs())
            }
        }
    }

    fn send(&mut self, request: Request) {
        self.outstanding = Some(request.clone());
        let transaction = ClientKey(self.next_key);
        self.next_key += 1;
        self.outputs.push_back(NotifierOutput::SendRequest { transaction, request });
    }

    fn retry(&mut self, dialog: &mut Dialog, mut request: Request) {
        let fresh = dialog.create_request(Method::Notify);
        let cseq = fresh.as_ref().and_then(|fresh| fresh.headers().first(HeaderName::Cseq));
        if let (Some(cseq), None) = (cseq, &self.outstanding) {
            fields::set(request.headers_mut(), HeaderName::Cseq, cseq);
            self.send(request);
        }
    }

    fn response_received(&mut self, now: Instant, dialog: &mut Dialog, response: Response) {
        let status = response.status();
        if !status.is_final() {
            return;
        }
        let Some(request) = self.outstanding.take() else { return };
        if status.is_success() {
            dialog.refresh_target(response.headers());
        } else if crate::invite::is_challenge(status) {
            let event = NotifierEvent::Challenged { request, response };
            return self.outputs.push_back(NotifierOutput::Event(event));
        } else if ends_subscription(status) || status == StatusCode::REQUEST_TIMEOUT {
            return self.lose(status);
        }
        if std::mem::take(&mut self.again) {
            self.notify(now, dialog);
        }
    }

    /// The subscriber is gone (RFC 6665 §4.2.2).
    fn lose(&mut self, status: StatusCode) {
        let was_over = self.state == NotifierState::Terminated;
        self.state = NotifierState::Terminated;
        self.outstanding = None;
        self.again = false;
        self.expires_at = None;
        if !was_over {
            self.outputs.push_back(NotifierOutput::Event(NotifierEvent::Lost(status)));
        }
    }
}

/// The 423 with the least time.
fn too_brief(mut response: Response, least: Duration) -> Response {
    fields::set(response.headers_mut(), HeaderName::MinExpires, least.as_secs());
    response
}
