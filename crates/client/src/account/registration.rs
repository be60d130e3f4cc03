//! Registration: RFC 3261 §10.2, with Outbound (RFC 5626 §4), GRUU (RFC 5627 §4), Path (RFC 3327 §5.1), Service-Route
//! (RFC 3608) and the correction of the Contact that RFC 3581 makes possible.
//!
//! ```text
//!            register                    2xx
//!   Idle ───────────────► Registering ─────────────► Registered
//!    ▲                     ▲  ▲  │  ▲                 │      │
//!    │                     │  │  │  └── due again ────┘      │ flow lost
//!    │                     │  │  └─ failure ─► Waiting ◄─────┘
//!    │                     │  └──── over ─────────┘ │
//!    │      401, 407, 423, 439: at once             │ unregister
//!    │                                              ▼
//!    └────────── any final, or nothing ──────── Unregistering ◄── unregister ── Registered
//! ```
//!
//! | failure | tried again after |
//! | --- | --- |
//! | none of the targets answers within 30 s | 1 s to 30 s, doubled each time, and up to twice as much by chance |
//! | the credentials are refused, the interval is and no better one is named | 60 s to 120 s |
//! | any other final response | 15 s to 40 s, or what Retry-After says |

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_dialog::Attempt;
use sip_endpoint::{ClientId, SendTo, TimerId};
use sip_message::header::{FlowTimer, MinExpires};
use sip_message::{Flow, HeaderName, Host, Method, NameAddrBuf, Request, Response, StatusCode, Transport, UriBuf};

use super::account::{Account, Reach};
use super::granted::{Granted, refresh_after, retry_after, seen_at, written_at};
use super::keeper::{Keeper, Kept};
use super::sending::{self, Bench, NotAgain, Owner, Sent, put};
use super::{is_challenge, routing};
use crate::notification::{Data, Sender};

/// All targets are tried within this time.
const WITHIN: Duration = Duration::from_secs(30);
/// So long an engine that stops waits for the registrar.
const FAREWELL: Duration = Duration::from_secs(5);
/// The first wait after nobody has answered, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The wait after credentials or an interval were refused.
const REFUSED_CREDENTIALS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(120));
/// The wait after another final response.
const REFUSED: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(40));
/// No registrar makes us ask for longer than this.
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3_600);
/// How often in a row the Contact follows what the registrar sees: some translators give another port each time.
const MAX_CORRECTIONS: u8 = 3;

/// The registration of one account.
#[derive(Debug)]
pub(super) struct Registration {
    owner: Owner,
    attempt: Attempt,
    phase: Phase,
    /// Whether it is to be kept up.
    wanted: bool,
    /// What is asked for: the setting, or what a 423 has made of it.
    interval: Duration,
    enlarged: bool,
    /// Whether the flow is asked to be kept; no longer after a 439.
    with_flow: bool,
    /// By which transport the registrar was reached, where that is not the one that was expected.
    seen_transport: Option<Transport>,
    corrections: u8,
    /// A contact that the next REGISTER takes away.
    obsolete: Option<UriBuf>,
    binding: Option<Binding>,
    keeper: Option<Keeper>,
    /// How often nobody has answered in a row.
    failures: u32,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Registering { sent: Box<Sent>, deadline: TimerId, contact: UriBuf },
    Registered { refresh: TimerId },
    Waiting { over: TimerId },
    Unregistering { sent: Box<Sent>, deadline: TimerId },
}

/// What the registrar holds.
#[derive(Clone, Debug)]
struct Binding {
    contact: UriBuf,
    expires_at: Instant,
    flow: Flow,
    /// Whether it keeps to the flow (RFC 5626 §6: `Require: outbound`).
    confirmed: bool,
}

/// What the owner of the registration has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Nothing,
    Registered,
    Ended,
}

/// What kind of failure it is, for the wait.
enum Because {
    NobodyAnswered,
    Credentials,
    Refused(Option<Duration>),
}

impl Registration {
    pub(super) fn new(bench: &mut Bench<'_, '_>, account: &Account) -> Registration {
        let identity = NameAddrBuf::new(account.address());
        let contact = account.address();
        Registration {
            owner: Owner::Registration(account.id),
            attempt: Attempt {
                call_id: (bench.desk.random_text() + &bench.desk.random_text()).into(),
                local_tag: bench.desk.endpoint.new_tag().into(),
                local_cseq: None,
                local: account.identity(contact),
                remote: identity,
            },
            phase: Phase::Idle,
            wanted: false,
            interval: account.settings.sip.register_interval,
            enlarged: false,
            with_flow: account.settings.sip.outbound,
            seen_transport: None,
            corrections: 0,
            obsolete: None,
            binding: None,
            keeper: None,
            failures: 0,
        }
    }

    /// Whether the registrar has a binding of ours that lasts.
    pub(super) fn is_registered(&self, now: Instant) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.expires_at > now)
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    // ---- wishes -----------------------------------------------------------------------------------------------------

    /// Registers, now or again now.
    pub(super) fn register(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) {
        self.wanted = true;
        match &self.phase {
            Phase::Idle => self.send(bench, account),
            Phase::Registered { refresh: timer } | Phase::Waiting { over: timer } => {
                bench.cancel_timer(Some(*timer));
                self.send(bench, account);
            }
            // What is on its way will do; what says goodbye is answered first (RFC 3261 §10.2).
            Phase::Registering { .. } | Phase::Unregistering { .. } => {}
        }
    }

    /// Takes the registration back.
    pub(super) fn unregister(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) -> News {
        self.wanted = false;
        match &mut self.phase {
            Phase::Idle | Phase::Unregistering { .. } => News::Nothing,
            Phase::Registering { deadline, .. } => {
                let deadline = std::mem::replace(deadline, bench.set_timer(self.owner, FAREWELL));
                bench.cancel_timer(Some(deadline));
                News::Nothing
            }
            Phase::Registered { refresh: timer } | Phase::Waiting { over: timer } => {
                bench.cancel_timer(Some(*timer));
                self.farewell(bench, account)
            }
        }
    }

    /// What is asked for is set otherwise, from the next REGISTER on.
    pub(super) fn settings_changed(&mut self, account: &Account) {
        self.interval = account.settings.sip.register_interval;
        self.enlarged = false;
        self.with_flow = account.settings.sip.outbound;
        self.attempt.local = account.identity(account.address());
        self.failures = 0;
    }

    /// The network is another: flows are gone, and what a translator has told us is past.
    pub(super) fn network_changed(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) {
        let flow = self.binding.as_ref().map(|binding| binding.flow);
        self.lose_flow(bench, account);
        if let Some(flow) = flow {
            bench.desk.endpoint.close(flow);
        }
        self.seen_transport = None;
        self.corrections = 0;
        self.failures = 0;
        let timer = match &mut self.phase {
            Phase::Idle | Phase::Unregistering { .. } => return,
            Phase::Registering { sent, deadline, .. } => {
                sent.rest(bench);
                *deadline
            }
            Phase::Registered { refresh: timer } | Phase::Waiting { over: timer } => *timer,
        };
        bench.cancel_timer(Some(timer));
        if self.wanted {
            self.send(bench, account);
        } else {
            let _ = self.farewell(bench, account);
        }
    }

    // ---- events -----------------------------------------------------------------------------------------------------

    /// When a response came for a request of the registration's.
    pub(super) fn response(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        client: ClientId,
        response: &Response,
        flow: &Flow,
    ) -> News {
        let Some(sent) = self.sent_by(client) else { return News::Nothing };
        let request = sent.request.clone();
        sent.rest(bench);
        sending::note_answer(bench.desk, account, client, &request, response, flow);
        if !response.status().is_final() {
            return News::Nothing;
        }
        if is_challenge(response.status()) {
            return self.challenged(bench, account, response);
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Registering { deadline, contact, .. } => {
                bench.cancel_timer(Some(deadline));
                self.answered(bench, account, contact, response, flow)
            }
            Phase::Unregistering { deadline, .. } => {
                bench.cancel_timer(Some(deadline));
                self.end(bench, account)
            }
            other => {
                self.phase = other;
                News::Nothing
            }
        }
    }

    /// When a request of the registration's will get no response.
    pub(super) fn failed(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        client: ClientId,
        status: StatusCode,
    ) -> News {
        if self.sent_by(client).is_none() {
            return News::Nothing;
        }
        let reason = match status {
            StatusCode::REQUEST_TIMEOUT => "No answer",
            StatusCode::BAD_GATEWAY => "No such server",
            StatusCode::SERVER_TIMEOUT => "The name server does not answer",
            _ => "The server can't be reached",
        };
        self.unanswered(bench, account, reason)
    }

    pub(super) fn timer_fired(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account, timer: TimerId) -> News {
        if let Some(kept) = self.keeper.as_mut().and_then(|keeper| keeper.timer_fired(bench, timer)) {
            return self.kept(bench, account, kept);
        }
        match &mut self.phase {
            Phase::Registered { refresh } if *refresh == timer => self.send(bench, account),
            Phase::Waiting { over } if *over == timer => self.send(bench, account),
            Phase::Registering { deadline, .. } if *deadline == timer => {
                return self.unanswered(bench, account, "No answer");
            }
            Phase::Unregistering { deadline, .. } if *deadline == timer => {
                return self.unanswered(bench, account, "No answer");
            }
            Phase::Registering { sent, .. } | Phase::Unregistering { sent, .. } => {
                sent.timer_fired(bench, timer);
            }
            Phase::Idle | Phase::Registered { .. } | Phase::Waiting { .. } => {}
        }
        News::Nothing
    }

    /// When the far end of a flow has answered a keep-alive.
    pub(super) fn flow_alive(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        flow: &Flow,
        mapped: Option<std::net::SocketAddr>,
    ) -> News {
        let Some(kept) = self.keeper.as_mut().map(|keeper| keeper.answered(bench, flow, mapped)) else {
            return News::Nothing;
        };
        self.kept(bench, account, kept)
    }

    /// When a connection has ended.
    pub(super) fn flow_ended(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account, flow: &Flow) {
        let is_ours = self.binding.as_ref().is_some_and(|binding| binding.flow == *flow);
        // A registrar that does not keep to flows calls us back at the Contact.
        if is_ours && account.settings.sip.outbound {
            self.flow_lost(bench, account);
        }
    }

    // ---- what is done -----------------------------------------------------------------------------------------------

    /// Sends a REGISTER for as long as is wanted.
    fn send(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) {
        let contact = self.contact(bench, account);
        let obsolete = self.obsolete.take().filter(|old| *old != contact);
        match self.send_register(bench, account, &contact, self.interval, obsolete) {
            Ok(sent) => {
                let deadline = bench.set_timer(self.owner, WITHIN);
                self.phase = Phase::Registering { sent: Box::new(sent), deadline, contact };
            }
            Err(why) => {
                self.fail(bench, account, None, &why, &Because::NobodyAnswered);
            }
        }
    }

    /// Sends a REGISTER that takes the binding back; without one there is nothing to take back.
    fn farewell(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) -> News {
        if let Some(keeper) = &mut self.keeper {
            keeper.end(bench);
        }
        let Some(contact) = self.binding.as_ref().map(|binding| binding.contact.clone()) else {
            return self.end(bench, account);
        };
        match self.send_register(bench, account, &contact, Duration::ZERO, None) {
            Ok(sent) => {
                let deadline = bench.set_timer(self.owner, FAREWELL);
                self.phase = Phase::Unregistering { sent: Box::new(sent), deadline };
                News::Nothing
            }
            Err(_) => self.end(bench, account),
        }
    }

    fn end(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) -> News {
        self.lose_flow(bench, account);
        self.binding = None;
        account.reach = Reach::default();
        account.routing.forget_service_route();
        self.phase = Phase::Idle;
        bench.desk.post(Sender::Account(account.id), Data::AccountRegistrationDidEnd);
        if self.wanted {
            self.send(bench, account);
        }
        News::Ended
    }

    fn send_register(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        contact: &UriBuf,
        expires: Duration,
        obsolete: Option<UriBuf>,
    ) -> Result<Sent, String> {
        let domain = Host::parse(account.domain()).and_then(|host| UriBuf::sip(None, host, None));
        let domain = domain.map_err(|error| error.to_string())?;
        let request = self.attempt.create_request(Method::Register, &domain);
        let mut request = request.ok_or_else(|| "the CSeq numbers are used up".to_owned())?;
        routing::put_route(&mut request, &account.routing.route_set(&Method::Register, &domain, false));
        let value = account.register_contact(contact, &bench.common.instance, self.with_flow);
        put(&mut request, HeaderName::Contact, format_args!("{};expires={}", value.as_str(), expires.as_secs()));
        if let Some(old) = obsolete {
            put(&mut request, HeaderName::Contact, format_args!("<{old}>;expires=0"));
        }
        put(&mut request, HeaderName::Expires, expires.as_secs());
        put(&mut request, HeaderName::Supported, if self.with_flow { "path, gruu, outbound" } else { "path, gruu" });
        put(&mut request, HeaderName::Allow, sending::ALLOW);
        sending::sign(&mut request, bench.common);
        account.reach.hop = routing::first_host(&request).unwrap_or_default();
        // "the UA … sends the REGISTER over the same flow" (RFC 5626 §4.2.1); a lost flow is none any more.
        let to = match &account.reach.flow {
            Some(flow) => SendTo::Flow(*flow),
            None => account.routing.send_to(bench.desk.endpoint, &request, &[]),
        };
        Sent::send(bench, account, self.owner, request, to).map_err(|misuse| misuse.to_string())
    }

    /// The URI at which the registrar shall find us.
    fn contact(&self, bench: &Bench<'_, '_>, account: &Account) -> UriBuf {
        let proxy = account.routing.route_set(&Method::Register, account.address(), false);
        let hop = proxy.first().map_or_else(|| account.address().clone(), |proxy| proxy.uri().to_buf());
        let probe = Request::new(Method::Register, &hop);
        let (transport, ip) = routing::way_of(bench.desk.endpoint, &probe, &[]);
        let ip = ip.or_else(|| self.binding.as_ref().map(|binding| binding.flow.remote.ip()));
        account.contact_uri(bench.desk.endpoint, self.seen_transport.unwrap_or(transport), ip)
    }

    fn challenged(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account, response: &Response) -> News {
        let (Phase::Registering { sent, .. } | Phase::Unregistering { sent, .. }) = &mut self.phase else {
            return News::Nothing;
        };
        let again = sent.again(bench, account, response);
        self.attempt.local_cseq = sent.cseq().or(self.attempt.local_cseq);
        match again {
            Ok(()) => News::Nothing,
            Err(NotAgain::NotSent(misuse)) => self.unanswered(bench, account, &misuse.to_string()),
            Err(why) => {
                let reason = why.reason(response);
                self.over(bench, account, Some(response.status()), &reason, &Because::Credentials)
            }
        }
    }

    /// When the registrar has said something final that is no challenge.
    fn answered(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        contact: UriBuf,
        response: &Response,
        flow: &Flow,
    ) -> News {
        let status = response.status();
        if status.is_success() {
            return self.registered(bench, account, contact, response, flow);
        }
        if status == StatusCode::FIRST_HOP_LACKS_OUTBOUND_SUPPORT && self.with_flow {
            self.with_flow = false;
            return self.once_more(bench, account);
        }
        if status == StatusCode::INTERVAL_TOO_BRIEF {
            let least = response.headers().get::<MinExpires>().and_then(Result::ok).map(MinExpires::duration);
            let is_usable = |least: &Duration| *least > self.interval && *least <= LONGEST_INTERVAL && !self.enlarged;
            if let Some(least) = least.filter(is_usable) {
                self.interval = least;
                self.enlarged = true;
                return self.once_more(bench, account);
            }
            return self.over(bench, account, Some(status), response.reason(), &Because::Credentials);
        }
        self.over(bench, account, Some(status), response.reason(), &Because::Refused(retry_after(response)))
    }

    fn once_more(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) -> News {
        if self.wanted {
            self.send(bench, account);
            return News::Nothing;
        }
        self.farewell(bench, account)
    }

    fn registered(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        contact: UriBuf,
        response: &Response,
        flow: &Flow,
    ) -> News {
        let now = bench.desk.now;
        let granted = Granted::read(response, &contact, &bench.common.instance, self.interval);
        if granted.expires.is_zero() {
            return self.over(bench, account, Some(response.status()), "No binding was made", &Because::Refused(None));
        }
        let confirmed = self.with_flow && response.headers().has_token(HeaderName::Require, "outbound");
        let binding = Binding { contact, expires_at: now + granted.expires, flow: *flow, confirmed };
        account.reach.flow = confirmed.then_some(*flow);
        account.reach.gruu = granted.gruu;
        account.routing.set_service_route(response.headers());
        let seen = seen_at(response, flow);
        let moved = self.correct(account, &binding, seen, flow);
        self.obsolete = moved.then(|| binding.contact.clone());
        let is_translated = seen.is_some_and(|seen| written_at(&binding.contact).is_some_and(|at| at != seen));
        self.binding = Some(binding);
        self.failures = 0;
        if !self.wanted {
            return self.farewell(bench, account);
        }
        if moved {
            self.send(bench, account);
            return News::Nothing;
        }
        self.corrections = 0;
        self.keep(bench, account, response, flow, confirmed, is_translated);
        let refresh = bench.set_timer(self.owner, refresh_after(granted.expires));
        self.phase = Phase::Registered { refresh };
        let contact =
            self.binding.as_ref().map(|binding| binding.contact.clone()).unwrap_or_else(|| account.address().clone());
        let data =
            Data::AccountRegistrationDidSucceed { contact, gruu: account.reach.gruu.clone(), expires: granted.expires };
        bench.desk.post(Sender::Account(account.id), data);
        News::Registered
    }

    /// Whether the Contact was wrong: it names another transport than the registrar was reached by, or another address than
    /// it sees us at. A registrar that keeps to the flow does not mind.
    fn correct(&mut self, account: &mut Account, binding: &Binding, seen: Option<(IpAddr, u16)>, flow: &Flow) -> bool {
        if binding.confirmed || !account.settings.sip.rewrite_contact || self.corrections >= MAX_CORRECTIONS {
            return false;
        }
        let of_contact = binding.contact.as_uri().sip().and_then(|uri| uri.transport()).unwrap_or(Transport::Udp);
        // RFC 7118 has one word for both.
        let same = of_contact.uri_param() == flow.transport.uri_param();
        if !same {
            self.seen_transport = Some(flow.transport);
        }
        let elsewhere = seen.filter(|seen| written_at(&binding.contact).is_some_and(|at| at != *seen));
        if let Some((ip, port)) = elsewhere {
            account.reach.public = Some((flow.transport, ip, port));
        }
        let moved = !same || elsewhere.is_some();
        self.corrections += u8::from(moved);
        moved
    }

    /// Sees to the flow being kept.
    fn keep(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &Account,
        response: &Response,
        flow: &Flow,
        confirmed: bool,
        is_translated: bool,
    ) {
        // A translator that was found out before still stands there.
        let is_translated = is_translated || account.reach.public.is_some();
        let wanted = account.settings.sip.outbound && (confirmed || is_translated || flow.connection.is_some());
        if self.keeper.as_ref().is_some_and(|keeper| wanted && keeper.flow() == flow) {
            return;
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.end(bench);
        }
        let told = response.headers().get::<FlowTimer>().and_then(Result::ok).map(FlowTimer::duration);
        self.keeper = wanted.then(|| Keeper::begin(bench, self.owner, *flow, told, confirmed));
    }

    fn kept(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account, kept: Kept) -> News {
        match kept {
            Kept::Alive => {}
            Kept::Silent => {
                let flow = self.keeper.as_ref().map(|keeper| *keeper.flow());
                self.flow_lost(bench, account);
                if let Some(flow) = flow {
                    bench.desk.endpoint.close(flow);
                }
            }
            Kept::Moved => self.flow_lost(bench, account),
        }
        News::Nothing
    }

    /// RFC 5626 §4.4: a flow that has failed is replaced, after a while that grows (§4.5).
    fn flow_lost(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) {
        self.lose_flow(bench, account);
        if let Phase::Registered { refresh } = &self.phase {
            bench.cancel_timer(Some(*refresh));
            let after = self.back_off(bench);
            self.phase = Phase::Waiting { over: bench.set_timer(self.owner, after) };
        }
    }

    fn lose_flow(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account) {
        if let Some(mut keeper) = self.keeper.take() {
            keeper.end(bench);
        }
        account.reach.flow = None;
        account.reach.public = None;
    }

    /// When nobody has answered.
    fn unanswered(&mut self, bench: &mut Bench<'_, '_>, account: &mut Account, reason: &str) -> News {
        let had_flow = account.reach.flow.is_some();
        self.lose_flow(bench, account);
        if let Some(binding) = &self.binding {
            // A connection whose far end is silent would be used again, and again in vain.
            bench.desk.endpoint.close(binding.flow);
        }
        if had_flow && self.wanted && matches!(self.phase, Phase::Registering { .. }) {
            // The flow it was: the registrar may be there all the same.
            self.stop_sent(bench);
            self.send(bench, account);
            return News::Nothing;
        }
        self.over(bench, account, None, reason, &Because::NobodyAnswered)
    }

    /// The round is over without success.
    fn over(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        code: Option<StatusCode>,
        reason: &str,
        because: &Because,
    ) -> News {
        let leaving = matches!(self.phase, Phase::Unregistering { .. });
        self.stop_sent(bench);
        if leaving {
            return self.end(bench, account);
        }
        if !self.wanted {
            return self.farewell(bench, account);
        }
        self.fail(bench, account, code, reason, because);
        News::Nothing
    }

    fn fail(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        code: Option<StatusCode>,
        reason: &str,
        because: &Because,
    ) {
        let after = match because {
            Because::NobodyAnswered => self.back_off(bench),
            Because::Credentials => bench.between(REFUSED_CREDENTIALS.0, REFUSED_CREDENTIALS.1),
            Because::Refused(told) => bench.between(REFUSED.0, REFUSED.1).max(told.unwrap_or_default()),
        };
        self.enlarged = false;
        if !self.is_registered(bench.desk.now) {
            self.binding = None;
            account.reach.gruu = None;
            account.routing.forget_service_route();
        }
        self.phase = Phase::Waiting { over: bench.set_timer(self.owner, after) };
        let data = Data::AccountRegistrationDidFail { code, reason: Arc::from(reason), retry_after: Some(after) };
        bench.desk.post(Sender::Account(account.id), data);
    }

    fn back_off(&mut self, bench: &mut Bench<'_, '_>) -> Duration {
        let wait = (BACK_OFF.0 * 2u32.saturating_pow(self.failures)).min(BACK_OFF.1);
        self.failures = (self.failures + 1).min(8);
        bench.between(wait, wait * 2)
    }

    /// Forgets the request that is on its way.
    fn stop_sent(&mut self, bench: &mut Bench<'_, '_>) {
        if let Phase::Registering { sent, deadline, .. } | Phase::Unregistering { sent, deadline } = &mut self.phase {
            sent.rest(bench);
            bench.cancel_timer(Some(*deadline));
            self.phase = Phase::Idle;
        }
    }

    fn sent_by(&mut self, client: ClientId) -> Option<&mut Sent> {
        match &mut self.phase {
            Phase::Registering { sent, .. } | Phase::Unregistering { sent, .. } if sent.client == client => Some(sent),
            _ => None,
        }
    }
}
