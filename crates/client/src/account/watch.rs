//! A subscription that is kept up: message-waiting of an account (RFC 3842), the roster of a conference (RFC 4575). The
//! machine is [`Subscriber`] (RFC 6665); here are its requests on their way, its credentials, and when it is tried again.
//!
//! ```text
//!   begin ──► Subscriber ──NOTIFY──► the application is told
//!     ▲           │ over
//!     │           ▼
//!     └──── a while later, unless the notifier has said never
//! ```

use std::time::Duration;

use sip_dialog::subscription::{
    ClientKey, Failure, ForkKey, Resubscribe, ServerKey, Subscriber, SubscriberInput, SubscriptionEnd,
    SubscriptionEvent, SubscriptionInput, SubscriptionOutput, SubscriptionState,
};
use sip_endpoint::{ClientId, SendTo, ServerId, TimerId, Timers};
use sip_message::header::ContentType;
use sip_message::{Flow, HeaderName, Method, NameAddrBuf, Request, Response, StatusCode, UriBuf};

use super::account::Account;
use super::conference::{self, Roster, Update};
use super::message_summary::{self, Summary};
use super::sending::{self, Bench, Owner, put};
use super::{AccountId, routing};
use crate::notification::{Data, Sender};
use crate::session::SessionId;

/// For how long is subscribed.
const INTERVAL: Duration = Duration::from_secs(3600);
/// The first wait after a failure, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The wait after the credentials were refused, or the account was.
const REFUSED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(120));
/// The wait after a server has said that it does not have such a thing.
const UNKNOWN: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(4000));
/// So long the last NOTIFY is waited for.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often one request is sent again with other credentials.
const MAX_CHALLENGES: u8 = 6;

/// What is watched.
#[derive(Debug)]
pub(super) enum What {
    /// The mailbox of the account.
    Summary,
    /// The conference that a session is with.
    Conference { session: SessionId, roster: Roster },
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) account: AccountId,
    pub(super) what: What,
    owner: Owner,
    target: UriBuf,
    wanted: bool,
    subscriber: Option<Subscriber>,
    sent: Vec<Sent>,
    /// When the subscriber has something to do.
    due: Option<TimerId>,
    /// When it is tried again, or given up.
    later: Option<TimerId>,
    failures: u32,
    challenges: u8,
    /// The dialogs that were told goodbye.
    left: Vec<ForkKey>,
}

/// A request on its way.
#[derive(Debug)]
struct Sent {
    client: ClientId,
    key: ClientKey,
    request: Request,
}

/// What a step of the subscriber came from.
#[derive(Default)]
struct Cause {
    /// The NOTIFY that is to be answered.
    server: Option<ServerId>,
    /// The request that was challenged, as it was sent.
    challenged: Option<Request>,
}

impl Watch {
    pub(super) fn begin(
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        owner: Owner,
        what: What,
        target: UriBuf,
    ) -> Watch {
        let mut watch = Watch {
            account: account.id,
            what,
            owner,
            target,
            wanted: true,
            subscriber: None,
            sent: Vec::new(),
            due: None,
            later: None,
            failures: 0,
            challenges: 0,
            left: Vec::new(),
        };
        watch.subscribe(bench, account);
        watch
    }

    /// Whether nothing is left of it.
    pub(super) fn is_over(&self) -> bool {
        !self.wanted && self.subscriber.is_none()
    }

    /// Whether a NOTIFY may be of this subscription.
    pub(super) fn has_call_id(&self, call_id: &str) -> bool {
        let initial = self.subscriber.as_ref().map(Subscriber::initial_request);
        initial.and_then(|request| request.headers().first(HeaderName::CallId)) == Some(call_id)
    }

    /// Ends it.
    pub(super) fn end(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) {
        self.wanted = false;
        bench.cancel_timer(self.later.take());
        if self.subscriber.is_some() {
            self.later = Some(bench.set_timer(self.owner, FAREWELL));
            self.carry_out(bench, account, &mut Cause::default());
        }
    }

    /// Begins anew: the network is another.
    pub(super) fn begin_anew(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) {
        if self.wanted {
            self.forget(bench);
            bench.cancel_timer(self.later.take());
            self.failures = 0;
            self.subscribe(bench, account);
        }
    }

    // ---- events -----------------------------------------------------------------------------------------------------

    pub(super) fn response(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        client: ClientId,
        response: Response,
        flow: &Flow,
    ) {
        let Some(at) = self.sent.iter().position(|sent| sent.client == client) else { return };
        sending::note_answer(bench.desk, account, client, &self.sent[at].request, &response, flow);
        if !response.status().is_final() {
            return;
        }
        let Sent { key, request, .. } = self.sent.remove(at);
        if response.status().is_success() {
            self.challenges = 0;
        }
        let mut cause = Cause { challenged: Some(request), ..Cause::default() };
        self.tell(bench, SubscriberInput::ResponseReceived { transaction: key, response });
        self.carry_out(bench, account, &mut cause);
    }

    pub(super) fn failed(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        client: ClientId,
        status: StatusCode,
    ) {
        let Some(at) = self.sent.iter().position(|sent| sent.client == client) else { return };
        let Sent { key, .. } = self.sent.remove(at);
        let failure = if status == StatusCode::REQUEST_TIMEOUT { Failure::TimedOut } else { Failure::NotSent };
        self.tell(bench, SubscriberInput::RequestFailed { transaction: key, failure });
        self.carry_out(bench, account, &mut Cause::default());
    }

    /// When a NOTIFY came that may be of this subscription. It is answered.
    pub(super) fn notify(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        server: ServerId,
        request: Request,
    ) {
        self.tell(bench, SubscriberInput::NotifyReceived { transaction: ServerKey(0), request });
        self.carry_out(bench, account, &mut Cause { server: Some(server), ..Cause::default() });
    }

    pub(super) fn timer_fired(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account, timer: TimerId) {
        if self.due == Some(timer) {
            self.due = None;
            self.tell(bench, SubscriberInput::TimeReached);
            self.carry_out(bench, account, &mut Cause::default());
        } else if self.later == Some(timer) {
            self.later = None;
            if self.wanted {
                self.subscribe(bench, account);
            } else {
                self.forget(bench);
            }
        }
    }

    // ---- what is done -----------------------------------------------------------------------------------------------

    fn subscribe(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) {
        let (package, accept) = match &mut self.what {
            What::Summary => (message_summary::PACKAGE, message_summary::ACCEPT),
            What::Conference { roster, .. } => {
                roster.begin_anew();
                (conference::PACKAGE, conference::ACCEPT)
            }
        };
        let request = sending::create_request(bench.desk, bench.common, account, Method::Subscribe, &self.target, &[]);
        let Ok(mut request) = request else { return self.try_later(bench, UNKNOWN) };
        put(&mut request, HeaderName::Event, package);
        put(&mut request, HeaderName::Accept, accept);
        put(&mut request, HeaderName::Expires, INTERVAL.as_secs());
        let contact = request.headers().first(HeaderName::Contact).and_then(|text| NameAddrBuf::parse(text).ok());
        let (transport, _) = routing::way_of(bench.desk.endpoint, &request, &[]);
        let t1 = Timers::default().t1();
        self.left.clear();
        self.challenges = 0;
        // It has everything that a SUBSCRIBE needs.
        self.subscriber = Subscriber::subscribe(bench.desk.now, request, transport.is_secure(), t1, contact).ok();
        self.carry_out(bench, account, &mut Cause::default());
    }

    fn tell(&mut self, bench: &Bench<'_, '_>, input: SubscriberInput) {
        if let Some(subscriber) = &mut self.subscriber {
            // What it can't take any more, because it has gone on in the meantime, is past.
            let _ = subscriber.handle(bench.desk.now, input);
        }
    }

    /// Does what the subscriber orders, until it orders nothing.
    fn carry_out(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account, cause: &mut Cause) {
        loop {
            self.say_goodbye(bench);
            let Some((fork, output)) = self.subscriber.as_mut().and_then(Subscriber::poll_output) else { break };
            match output {
                SubscriptionOutput::SendRequest { transaction, request } => {
                    self.send(bench, account, transaction, request);
                }
                SubscriptionOutput::SendResponse { response, .. } => {
                    if let Some(server) = cause.server.take() {
                        // A transaction that has ended is one whose peer does not wait any more.
                        let _ = bench.desk.endpoint.respond(bench.desk.now, server, response);
                    }
                }
                SubscriptionOutput::Event(event) => self.event(bench, account, cause, fork, event),
            }
        }
        if self.subscriber.as_ref().is_some_and(Subscriber::is_over) {
            self.forget(bench);
            if !self.wanted {
                bench.cancel_timer(self.later.take());
            }
        }
        bench.cancel_timer(self.due.take());
        let next = self.subscriber.as_ref().and_then(Subscriber::next_timeout);
        if let Some(next) = next {
            let after = next.saturating_duration_since(bench.desk.now);
            self.due = Some(bench.set_timer(self.owner, after));
        }
    }

    /// Leaves the dialogs that there are, when it is not wanted any more.
    fn say_goodbye(&mut self, bench: &Bench<'_, '_>) {
        let Some(subscriber) = self.subscriber.as_mut().filter(|_| !self.wanted) else { return };
        let forks: Vec<ForkKey> = subscriber.forks().map(|(key, ..)| key).collect();
        for fork in forks {
            if !self.left.contains(&fork) {
                self.left.push(fork);
                // The fork is one of its own.
                let _ = subscriber.handle(bench.desk.now, SubscriberInput::Wish(fork, SubscriptionInput::Unsubscribe));
            }
        }
    }

    fn send(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account, key: ClientKey, mut request: Request) {
        let is_initial = request.headers().to_tag().is_none();
        if !request.headers().contains(HeaderName::UserAgent) {
            sending::sign(&mut request, bench.common);
        }
        let is_authorized = [HeaderName::Authorization, HeaderName::ProxyAuthorization]
            .iter()
            .any(|name| request.headers().contains(*name));
        if !is_authorized {
            let way = sending::way(account, &request);
            let cnonce = bench.desk.random_text();
            account.credentials.authorize(&mut request, way, &cnonce);
        }
        let to =
            if is_initial { sending::send_to(bench.desk, account, &request, &[]) } else { self.next_hop(&request) };
        match bench.send(self.owner, request.clone(), to) {
            Ok(client) => self.sent.push(Sent { client, key, request }),
            Err(_) => {
                self.tell(bench, SubscriberInput::RequestFailed { transaction: key, failure: Failure::NotSent });
            }
        }
    }

    fn next_hop(&self, request: &Request) -> SendTo {
        let tag = request.headers().to_tag();
        let mut dialogs = self.subscriber.iter().flat_map(|subscriber| subscriber.forks().map(|(_, dialog, _)| dialog));
        match dialogs.find(|dialog| tag == Some(&*dialog.id.remote_tag)) {
            Some(dialog) if dialog.route_set.is_strict() => SendTo::RequestUri,
            _ => SendTo::NextHop,
        }
    }

    fn event(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        cause: &mut Cause,
        fork: Option<ForkKey>,
        event: SubscriptionEvent,
    ) {
        match event {
            SubscriptionEvent::Notified { notify, .. } => {
                self.failures = 0;
                self.notified(bench, fork, &notify);
            }
            SubscriptionEvent::Refreshed | SubscriptionEvent::RefreshFailed(_) => {}
            SubscriptionEvent::Challenged { request, response } => {
                let request = cause.challenged.take().unwrap_or(request);
                self.challenged(bench, account, fork, request, &response);
            }
            SubscriptionEvent::Terminated(end) => self.terminated(bench, &end),
        }
    }

    fn challenged(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        fork: Option<ForkKey>,
        mut request: Request,
        response: &Response,
    ) {
        self.challenges += 1;
        let answered = self.challenges <= MAX_CHALLENGES
            && sending::answer_challenge(bench.desk, account, &mut request, response).is_ok();
        match (answered, fork) {
            (true, None) => self.tell(bench, SubscriberInput::Again(request)),
            (true, Some(fork)) => self.tell(bench, SubscriberInput::Wish(fork, SubscriptionInput::Retry(request))),
            (false, None) => self.terminated(bench, &SubscriptionEnd::Refused(response.status())),
            // It lasts until it runs out, and then begins anew.
            (false, Some(_)) => {}
        }
    }

    fn notified(&mut self, bench: &mut Bench<'_, '_>, fork: Option<ForkKey>, notify: &Request) {
        match &mut self.what {
            What::Summary => {
                if let Some(summary) = Summary::of(notify.headers(), notify.body()) {
                    bench.desk.post(Sender::Account(self.account), summary.to_data());
                }
            }
            What::Conference { session, roster } => {
                let is_roster = matches!(notify.headers().get::<ContentType<'_>>(),
                    Some(Ok(content_type)) if content_type.is("application", "conference-info+xml"));
                if !is_roster {
                    return;
                }
                match roster.take(notify.body()) {
                    Ok(Update::Changed) => {
                        let data = Data::SessionGotConferenceInfo { users: roster.users() };
                        bench.desk.post(Sender::Session(*session), data);
                    }
                    Ok(Update::Old) => {}
                    Ok(Update::Missed) => {
                        // A refresh brings the whole (RFC 4575 §4.5).
                        if let Some(fork) = fork {
                            self.tell(bench, SubscriberInput::Wish(fork, SubscriptionInput::Refresh(None)));
                        }
                    }
                    Err(why) => tracing::debug!(%why, "a roster that can't be read"),
                }
            }
        }
    }

    fn terminated(&mut self, bench: &mut Bench<'_, '_>, end: &SubscriptionEnd) {
        // Other forks go on.
        let others = self.subscriber.as_ref().is_some_and(|subscriber| {
            subscriber.forks().any(|(_, _, subscription)| subscription.state() != SubscriptionState::Terminated)
        });
        if others {
            return;
        }
        // Nor are any waited for that might still come: one that has ended says that they are all about to.
        self.forget(bench);
        if !self.wanted {
            return bench.cancel_timer(self.later.take());
        }
        match end {
            SubscriptionEnd::NotWanted | SubscriptionEnd::Notified { resubscribe: Resubscribe::Never, .. } => {
                self.wanted = false;
            }
            SubscriptionEnd::Notified { resubscribe: Resubscribe::After(after), .. } => {
                self.try_later(bench, (*after, *after));
            }
            SubscriptionEnd::Refused(status) => match status.code() {
                401 | 403 | 407 => self.try_later(bench, REFUSED),
                400 | 404 | 405 | 410 | 416 | 481 | 489 | 501 | 604 => match self.what {
                    What::Summary => self.try_later(bench, UNKNOWN),
                    // A session does not last long enough for it to become another server.
                    What::Conference { .. } => self.wanted = false,
                },
                _ => self.back_off(bench),
            },
            SubscriptionEnd::NotNotified
            | SubscriptionEnd::Expired
            | SubscriptionEnd::Notified { resubscribe: Resubscribe::AtOnce, .. } => self.back_off(bench),
        }
    }

    fn back_off(&mut self, bench: &mut Bench<'_, '_>) {
        let wait = (BACK_OFF.0 * 2u32.saturating_pow(self.failures)).min(BACK_OFF.1);
        self.failures = (self.failures + 1).min(8);
        self.try_later(bench, (wait, wait * 2));
    }

    fn try_later(&mut self, bench: &mut Bench<'_, '_>, between: (Duration, Duration)) {
        bench.cancel_timer(self.later.take());
        let after = bench.between(between.0, between.1);
        self.later = Some(bench.set_timer(self.owner, after));
    }

    /// Drops the subscriber with all that is on its way.
    fn forget(&mut self, bench: &mut Bench<'_, '_>) {
        self.subscriber = None;
        self.sent.clear();
        bench.cancel_timer(self.due.take());
    }
}
