//! An initial SUBSCRIBE or REFER outside a dialog, and the subscriptions that come of it: RFC 6665 §4.1.2.4 and §4.4.1.
//! Every notifier that a forking proxy found answers with a NOTIFY; each NOTIFY makes a dialog with a subscription of its
//! own, whether it comes before or after the one 2xx that arrives.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use sip_message::{HeaderName, Method, NameAddrBuf, Request, Response, StatusCode};

use super::subscription_machine::{
    Subscription, SubscriptionEnd, SubscriptionEvent, SubscriptionInput, SubscriptionOutput,
};
use super::{ClientKey, EventId, Failure, ServerKey, expires_of, refer};
use crate::dialog::{Dialog, DialogId};
use crate::fields;

/// How many forks are followed.
const MAX_FORKS: usize = 64;

/// One dialog of a subscriber: the first is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ForkKey(pub u32);

/// What can happen.
#[derive(Clone, Debug)]
pub enum SubscriberInput {
    /// When a NOTIFY arrived that the initial request or a dialog of it is the reason of.
    NotifyReceived {
        /// Its transaction.
        transaction: ServerKey,
        /// The request.
        request: Request,
    },
    /// When a response arrived.
    ResponseReceived {
        /// The transaction of the request.
        transaction: ClientKey,
        /// The response.
        response: Response,
    },
    /// When a request will get no response.
    RequestFailed {
        /// Its transaction.
        transaction: ClientKey,
        /// Why.
        failure: Failure,
    },
    /// When the time of [`Subscriber::next_timeout`] has come.
    TimeReached,
    /// Send the initial request again, changed: with credentials, say.
    Again(Request),
    /// A wish of the user's for one subscription: Refresh, Unsubscribe, Retry.
    Wish(ForkKey, SubscriptionInput),
}

/// What the user asked for and can't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriberMisuse {
    /// The request is neither SUBSCRIBE nor REFER, or lacks From tag, Call-ID, CSeq or (in a SUBSCRIBE) Event.
    BadRequest,
    /// The initial request has no final response yet.
    InProgress,
    /// There is no such fork.
    NoSuchFork,
}

impl fmt::Display for SubscriberMisuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubscriberMisuse::BadRequest => "not a complete SUBSCRIBE or REFER",
            SubscriberMisuse::InProgress => "the initial request is in progress",
            SubscriberMisuse::NoSuchFork => "no such fork",
        })
    }
}

impl std::error::Error for SubscriberMisuse {}

#[derive(Clone, Debug)]
struct Fork {
    key: ForkKey,
    dialog: Dialog,
    subscription: Subscription,
    /// The transaction of its SUBSCRIBE in progress.
    transaction: Option<ClientKey>,
}

/// An initial request with the subscriptions that came of it.
#[derive(Clone, Debug)]
pub struct Subscriber {
    request: Request,
    secure_transport: bool,
    contact: Option<NameAddrBuf>,
    t1: Duration,
    /// The initial request's transaction; `None` when it has its final response.
    transaction: Option<ClientKey>,
    /// Until when NOTIFYs create forks: Timer N.
    timer_n: Option<Instant>,
    forks: Vec<Fork>,
    next_fork: u32,
    next_key: u64,
    outputs: VecDeque<(Option<ForkKey>, SubscriptionOutput)>,
}

impl Subscriber {
    /// Sends an initial SUBSCRIBE or REFER: with From and its tag, To, Call-ID, CSeq, Contact, and Event or Refer-To.
    pub fn subscribe(
        now: Instant,
        request: Request,
        secure_transport: bool,
        t1: Duration,
        contact: Option<NameAddrBuf>,
    ) -> Result<Subscriber, SubscriberMisuse> {
        let headers = request.headers();
        let complete = fields::from_tag(headers).is_some()
            && fields::call_id(headers).is_some()
            && fields::cseq_of(headers, request.method()).is_some()
            && match request.method() {
                Method::Subscribe => EventId::of(headers).is_some(),
                Method::Refer => headers.contains(HeaderName::ReferTo),
                _ => false,
            };
        if !complete {
            return Err(SubscriberMisuse::BadRequest);
        }
        let mut subscriber = Subscriber {
            request,
            secure_transport,
            contact,
            t1,
            transaction: None,
            timer_n: None,
            forks: Vec::new(),
            next_fork: 0,
            next_key: 0,
            outputs: VecDeque::new(),
        };
        subscriber.send_initial(now);
        Ok(subscriber)
    }

    /// Takes the next step.
    pub fn handle(&mut self, now: Instant, input: SubscriberInput) -> Result<(), SubscriberMisuse> {
        match input {
            SubscriberInput::NotifyReceived { transaction, request } => self.notify_received(now, transaction, request),
            SubscriberInput::ResponseReceived { transaction, response } => {
                self.response_received(now, transaction, response);
            }
            SubscriberInput::RequestFailed { transaction, failure } => self.request_failed(now, transaction, failure),
            SubscriberInput::TimeReached => self.time_reached(now),
            SubscriberInput::Again(request) => return self.again(now, request),
            SubscriberInput::Wish(key, wish) => {
                let fork = self.forks.iter_mut().find(|fork| fork.key == key).ok_or(SubscriberMisuse::NoSuchFork)?;
                fork.subscription.handle(now, &mut fork.dialog, wish);
            }
        }
        self.collect();
        Ok(())
    }

    /// The next order, and which fork it is of; `None` for the initial request and its failure.
    pub fn poll_output(&mut self) -> Option<(Option<ForkKey>, SubscriptionOutput)> {
        self.outputs.pop_front()
    }

    /// When [`SubscriberInput::TimeReached`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.forks.iter().filter_map(|fork| fork.subscription.next_timeout()).chain(self.timer_n).min()
    }

    /// Whether nothing is left of it.
    pub fn is_over(&self) -> bool {
        self.forks.is_empty() && self.transaction.is_none() && self.timer_n.is_none() && self.outputs.is_empty()
    }

    /// The dialogs and their subscriptions.
    pub fn forks(&self) -> impl Iterator<Item = (ForkKey, &Dialog, &Subscription)> {
        self.forks.iter().map(|fork| (fork.key, &fork.dialog, &fork.subscription))
    }

    /// The initial request as it was sent last.
    pub fn initial_request(&self) -> &Request {
        &self.request
    }

    fn send_initial(&mut self, now: Instant) {
        let transaction = self.fresh_key();
        self.transaction = Some(transaction);
        self.timer_n = Some(now + self.t1 * 64);
        let request = self.request.clone();
        self.outputs.push_back((None, SubscriptionOutput::SendRequest { transaction, request }));
    }

    fn again(&mut self, now: Instant, mut request: Request) -> Result<(), SubscriberMisuse> {
        if self.transaction.is_some() || !self.forks.is_empty() {
            return Err(SubscriberMisuse::InProgress);
        }
        let method = self.request.method().clone();
        let last = fields::cseq_of(self.request.headers(), &method).unwrap_or_default();
        let next = last.checked_add(1).filter(|_| *request.method() == method).ok_or(SubscriberMisuse::BadRequest)?;
        fields::set(request.headers_mut(), HeaderName::Cseq, format_args!("{next} {method}"));
        self.request = request;
        self.send_initial(now);
        Ok(())
    }

    fn notify_received(&mut self, now: Instant, transaction: ServerKey, notify: Request) {
        let id = DialogId::of_received_request(notify.headers());
        let known = self.forks.iter().position(|fork| id.as_ref().is_some_and(|id| id.matches(&fork.dialog.id)));
        let place = match known {
            Some(place) => Some(place),
            None => self.fork_of_notify(now, id.as_ref(), &notify),
        };
        let Some(fork) = place.and_then(|place| self.forks.get_mut(place)) else {
            return self.respond(transaction, &notify, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
        };
        if known.is_some()
            && let Err(fault) = fork.dialog.receive_request(&notify)
        {
            return self.respond(transaction, &notify, fault.status());
        }
        let is_for_it = EventId::of(notify.headers()).is_some_and(|event| fork.subscription.matches(&event));
        if !is_for_it {
            return self.respond(transaction, &notify, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
        }
        let input = SubscriptionInput::NotifyReceived { transaction, request: notify };
        fork.subscription.handle(now, &mut fork.dialog, input);
    }

    /// The dialog that a NOTIFY creates, while Timer N runs.
    fn fork_of_notify(&mut self, now: Instant, id: Option<&DialogId>, notify: &Request) -> Option<usize> {
        let id = id?;
        let ours = fields::from_tag(self.request.headers())?;
        let is_ours = Some(&*id.call_id) == fields::call_id(self.request.headers()) && id.local_tag == ours;
        let event = EventId::of(notify.headers())?;
        if self.timer_n.is_none() || !is_ours || !self.subscription(now).matches(&event) {
            return None;
        }
        let dialog = Dialog::from_notify(&self.request, notify, self.secure_transport).ok()?;
        self.add_fork(now, dialog)
    }

    fn response_received(&mut self, now: Instant, transaction: ClientKey, response: Response) {
        if self.transaction == Some(transaction) {
            return self.initial_response(now, response);
        }
        if let Some(fork) = self.forks.iter_mut().find(|fork| fork.transaction == Some(transaction)) {
            fork.subscription.handle(now, &mut fork.dialog, SubscriptionInput::ResponseReceived(response));
        }
    }

    fn initial_response(&mut self, now: Instant, response: Response) {
        let status = response.status();
        if !status.is_final() {
            return;
        }
        self.transaction = None;
        if !status.is_success() {
            return self.initial_failed(status, Some(response));
        }
        let id = DialogId::of_received_response(response.headers());
        let known = self.forks.iter().position(|fork| id.as_ref().is_some_and(|id| id.matches(&fork.dialog.id)));
        let place = match known {
            Some(place) => Some(place),
            None => Dialog::as_uac(&self.request, &response, self.secure_transport)
                .ok()
                .and_then(|dialog| self.add_fork(now, dialog)),
        };
        let declined = refer::declines_subscription(&self.request, &response);
        if declined {
            self.timer_n = None;
        }
        if let Some(fork) = place.and_then(|place| self.forks.get_mut(place)) {
            if declined {
                fork.subscription.end(SubscriptionEnd::NotWanted);
            } else {
                fork.subscription.granted(now, &response);
            }
        }
    }

    fn initial_failed(&mut self, status: StatusCode, response: Option<Response>) {
        // "Non-200-class final responses indicate that no subscription or new dialog usage has been created".
        self.timer_n = None;
        let challenged = response.filter(|_| crate::invite::is_challenge(status));
        let event = match challenged {
            Some(response) => SubscriptionEvent::Challenged { request: self.request.clone(), response },
            None => SubscriptionEvent::Terminated(SubscriptionEnd::Refused(status)),
        };
        self.outputs.push_back((None, SubscriptionOutput::Event(event)));
    }

    fn request_failed(&mut self, now: Instant, transaction: ClientKey, failure: Failure) {
        if self.transaction == Some(transaction) {
            self.transaction = None;
            // A NOTIFY says as much as the 2xx that was lost.
            if self.forks.is_empty() {
                self.initial_failed(failure.status(), None);
            }
        } else if let Some(fork) = self.forks.iter_mut().find(|fork| fork.transaction == Some(transaction)) {
            fork.subscription.handle(now, &mut fork.dialog, SubscriptionInput::RequestFailed(failure));
        }
    }

    fn time_reached(&mut self, now: Instant) {
        if self.timer_n.take_if(|at| *at <= now).is_some() && self.forks.is_empty() {
            self.transaction = None;
            let event = SubscriptionEvent::Terminated(SubscriptionEnd::NotNotified);
            self.outputs.push_back((None, SubscriptionOutput::Event(event)));
        }
        for fork in &mut self.forks {
            fork.subscription.handle(now, &mut fork.dialog, SubscriptionInput::TimeReached);
        }
    }

    fn add_fork(&mut self, now: Instant, dialog: Dialog) -> Option<usize> {
        if self.forks.len() >= MAX_FORKS {
            return None;
        }
        let key = ForkKey(self.next_fork);
        self.next_fork += 1;
        let subscription = self.subscription(now);
        self.forks.push(Fork { key, dialog, subscription, transaction: None });
        Some(self.forks.len() - 1)
    }

    fn subscription(&self, now: Instant) -> Subscription {
        let headers = self.request.headers();
        let contact = self.contact.clone();
        if *self.request.method() == Method::Refer {
            let cseq = fields::cseq_of(headers, &Method::Refer).unwrap_or_default();
            return Subscription::of_refer(now, cseq, true, self.t1, contact);
        }
        let event = EventId::of(headers).unwrap_or_else(|| EventId::new(""));
        let wanted = expires_of(headers).unwrap_or(Duration::from_secs(3600));
        Subscription::new(now, event, wanted, self.t1, contact)
    }

    fn respond(&mut self, transaction: ServerKey, request: &Request, status: StatusCode) {
        let response = Response::to(request, status);
        self.outputs.push_back((None, SubscriptionOutput::SendResponse { transaction, response }));
    }

    /// Moves the forks' orders into one queue, under transaction names of this subscriber; drops forks that are over.
    fn collect(&mut self) {
        for at in 0..self.forks.len() {
            while let Some(output) = self.forks[at].subscription.poll_output() {
                let output = match output {
                    SubscriptionOutput::SendRequest { request, .. } => {
                        let transaction = self.fresh_key();
                        self.forks[at].transaction = Some(transaction);
                        SubscriptionOutput::SendRequest { transaction, request }
                    }
                    other => other,
                };
                self.outputs.push_back((Some(self.forks[at].key), output));
            }
        }
        self.forks.retain(|fork| fork.subscription.state() != super::SubscriptionState::Terminated);
    }

    fn fresh_key(&mut self) -> ClientKey {
        self.next_key += 1;
        ClientKey(self.next_key - 1)
    }
}
