//! Requests of an account on their way: the parts that all of them have (RFC 3261 §8.1.1), the targets that are tried one
//! after the other (RFC 3263 §4.3), and the repetition with credentials (RFC 3261 §22.2, §8.1.3.5).
//!
//! ```text
//!   create ──► Sent::send ──► 401, 407 ──► Sent::again: CSeq + 1, credentials ──► final response
//!                   │ silence for a while, and another target: it is tried
//!                   └──► Failed: none has answered
//! ```

use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashMap;
use sip_dialog::digest::Unanswered;
use sip_endpoint::{ClientId, Destination, Misuse, SendTo, TimerId};
use sip_message::header::{Cseq, PPreferredIdentity};
use sip_message::{Flow, HeaderName, Method, NameAddrBuf, Request, Response, StatusCode, Transport, UriBuf};

use super::account::Account;
use super::credentials::Way;
use super::routing;
use super::{AccountId, TIMER_BIT};
use crate::desk::Desk;
use crate::error::ClientError;
use crate::session::Route;

/// After so long a target that has said nothing is left for the next one, if there is one: five are tried in 30 s.
const PATIENCE: Duration = Duration::from_secs(6);
/// How often one request is sent again with other credentials.
const MAX_CHALLENGES: u8 = 6;

/// What user agents of ours understand (RFC 3261 §20.5).
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, INFO, PRACK, UPDATE, REFER, NOTIFY";

/// What all accounts of an engine share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) user_agent: Box<str>,
    /// `urn:uuid:…`, the engine's (RFC 5626 §4.1).
    pub(super) instance: Box<str>,
}

/// Whose a client transaction or a timer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// An account's registration.
    Registration(AccountId),
    /// A MESSAGE or an OPTIONS, by its number.
    Exchange(u32),
    /// A subscription, by its number.
    Watch(u32),
}

impl Owner {
    const KIND: u32 = 56;

    /// The token of a timer.
    fn token(self) -> u64 {
        let (kind, number) = match self {
            Owner::Registration(account) => (0, account.0),
            Owner::Exchange(number) => (1, number),
            Owner::Watch(number) => (2, number),
        };
        TIMER_BIT | kind << Owner::KIND | u64::from(number)
    }

    pub(super) fn of_token(token: u64) -> Option<Owner> {
        let number = token as u32;
        match (token & TIMER_BIT != 0, token >> Owner::KIND & 0x7f) {
            (false, _) => None,
            (true, 0) => Some(Owner::Registration(AccountId(number))),
            (true, 1) => Some(Owner::Exchange(number)),
            (true, 2) => Some(Owner::Watch(number)),
            (true, _) => None,
        }
    }
}

/// Whose requests are on their way.
pub(super) type Owners = HashMap<ClientId, Owner>;

/// What a step of an account's part is taken with.
pub(super) struct Bench<'a, 'd> {
    pub(super) desk: &'a mut Desk<'d>,
    pub(super) owners: &'a mut Owners,
    pub(super) common: &'a Common,
}

impl Bench<'_, '_> {
    pub(super) fn set_timer(&mut self, owner: Owner, after: Duration) -> TimerId {
        self.desk.endpoint.set_timer(self.desk.now, after, owner.token())
    }

    pub(super) fn cancel_timer(&mut self, timer: Option<TimerId>) {
        if let Some(timer) = timer {
            self.desk.endpoint.cancel_timer(timer);
        }
    }

    /// A time between two, by the endpoint's chance.
    pub(super) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_millis() as u64;
        least + Duration::from_millis(self.desk.endpoint.random() % (span + 1))
    }

    /// Hands a request to the endpoint.
    pub(super) fn send(&mut self, owner: Owner, request: Request, to: SendTo) -> Result<ClientId, Misuse> {
        let client = self.desk.endpoint.send(self.desk.now, request, to, None)?;
        self.owners.insert(client, owner);
        Ok(client)
    }
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) client: ClientId,
    /// As it was given to the endpoint last: without our Via.
    pub(super) request: Request,
    to: SendTo,
    owner: Owner,
    /// When the next target is tried.
    patience: Option<TimerId>,
    challenges: u8,
}

impl Sent {
    /// Sends a request, with credentials if a nonce is known.
    pub(super) fn send(
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        owner: Owner,
        mut request: Request,
        to: SendTo,
    ) -> Result<Sent, Misuse> {
        let way = way(account, &request);
        let cnonce = bench.desk.random_text();
        account.credentials.authorize(&mut request, way, &cnonce);
        let client = bench.send(owner, request.clone(), to.clone())?;
        let patience = tries_others(&to).then(|| bench.set_timer(owner, PATIENCE));
        Ok(Sent { client, request, to, owner, patience, challenges: 0 })
    }

    /// Sends it again with the credentials that a challenge asks for.
    pub(super) fn again(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        response: &Response,
    ) -> Result<(), NotAgain> {
        self.challenges += 1;
        if self.challenges > MAX_CHALLENGES {
            return Err(NotAgain::TooOften);
        }
        answer_challenge(bench.desk, account, &mut self.request, response).map_err(NotAgain::Unanswered)?;
        next_cseq(&mut self.request).ok_or(NotAgain::TooOften)?;
        self.repeat(bench)
    }

    /// Sends the request again as it is now.
    pub(super) fn repeat(&mut self, bench: &mut Bench<'_, '_>) -> Result<(), NotAgain> {
        self.client = bench.send(self.owner, self.request.clone(), self.to.clone()).map_err(NotAgain::NotSent)?;
        self.rest(bench);
        self.patience = tries_others(&self.to).then(|| bench.set_timer(self.owner, PATIENCE));
        Ok(())
    }

    /// When a timer of the owner's fires: whether it was this request's.
    pub(super) fn timer_fired(&mut self, bench: &mut Bench<'_, '_>, timer: TimerId) -> bool {
        if self.patience != Some(timer) {
            return false;
        }
        self.patience = None;
        // Without another target the one that is silent may still answer. Before the lookup is answered there is none.
        let waits = bench.desk.endpoint.destination_of(self.client).is_none();
        let left = bench.desk.endpoint.next_target(bench.desk.now, self.client);
        if waits || left == Ok(true) {
            self.patience = Some(bench.set_timer(self.owner, PATIENCE));
        }
        true
    }

    /// A response came, or nothing will: it is not impatient any more.
    pub(super) fn rest(&mut self, bench: &mut Bench<'_, '_>) {
        bench.cancel_timer(self.patience.take());
    }

    /// The CSeq of the last try.
    pub(super) fn cseq(&self) -> Option<u32> {
        Some(self.request.headers().get::<Cseq>()?.ok()?.sequence)
    }
}

/// Why a request is not sent again after a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotAgain {
    /// The challenge has no answer.
    Unanswered(Unanswered),
    /// It was challenged again and again.
    TooOften,
    /// The endpoint has refused it.
    NotSent(Misuse),
}

impl NotAgain {
    /// What the application is told, beside the status of the challenge.
    pub(super) fn reason(&self, response: &Response) -> String {
        match self {
            NotAgain::Unanswered(Unanswered::Refused(_)) => "Authentication failed".into(),
            NotAgain::Unanswered(why) => format!("{} ({why})", response.reason()),
            NotAgain::TooOften => format!("{} (asked too often)", response.reason()),
            NotAgain::NotSent(misuse) => misuse.to_string(),
        }
    }
}

/// Whether an order to send may have several targets.
fn tries_others(to: &SendTo) -> bool {
    match to {
        SendTo::Flow(_) => false,
        SendTo::Targets(targets) => targets.len() > 1,
        SendTo::NextHop | SendTo::NextHopNamed(_) | SendTo::RequestUri => true,
    }
}

/// Whence a request of the account's goes.
pub(super) fn way(account: &Account, request: &Request) -> Way {
    if account.is_bonjour() {
        Way::Foreign
    } else if *request.method() == Method::Register {
        Way::Registrar
    } else if account.routing.is_own_way(request, account.credentials.hops()) {
        Way::Own
    } else {
        Way::Foreign
    }
}

/// Puts credentials into a request that was challenged. Its CSeq is the caller's.
pub(super) fn answer_challenge(
    desk: &mut Desk<'_>,
    account: &mut Account,
    request: &mut Request,
    response: &Response,
) -> Result<(), Unanswered> {
    let way = way(account, request);
    let cnonce = desk.random_text();
    account.credentials.answer(request, response, way, &cnonce)
}

/// Takes note of what the response to a request of the account's teaches: the next nonce, and the address of our proxy.
pub(super) fn note_answer(
    desk: &mut Desk<'_>,
    account: &mut Account,
    client: ClientId,
    request: &Request,
    response: &Response,
    flow: &Flow,
) {
    let way = way(account, request);
    if way == Way::Foreign {
        return;
    }
    // On a connection the sender is who we have connected to. A datagram could come from anybody who has seen the request
    // further on: there only the address counts that we have sent to.
    let ip = match (flow.connection, desk.endpoint.destination_of(client)) {
        (Some(_), _) => Some(flow.remote.ip()),
        (None, Some(Destination::Target { target, .. })) => Some(target.addr.ip()),
        (None, Some(Destination::Flow(flow))) => Some(flow.remote.ip()),
        (None, None) => None,
    };
    if let Some(ip) = ip.filter(|_| response.status() != StatusCode::TRYING) {
        account.credentials.arrived_at(ip);
    }
    if response.status().is_success() {
        account.credentials.succeeded(request, response);
    }
}

/// A request outside of dialogs, without its body: everything that RFC 3261 §8.1.1 wants but the Via.
pub(super) fn create_request(
    desk: &mut Desk<'_>,
    common: &Common,
    account: &Account,
    method: Method,
    target: &UriBuf,
    routes: &[Route],
) -> Result<Request, ClientError> {
    let tag = desk.endpoint.new_tag();
    let call_id = desk.random_text() + &desk.random_text();
    let request_uri = target.clone().without_headers();
    let mut request = Request::new(method.clone(), &request_uri);
    routing::put_route(&mut request, &account.routing.route_set(&method, target, !routes.is_empty()));
    let way_out = routing::way_of(desk.endpoint, &request, routes);
    let contact = account.contact_uri(desk.endpoint, way_out.0, way_out.1);
    let identity = account.identity(&contact);
    let from = identity.clone().with_param("tag", &tag).map_err(|_| ClientError::InvalidUri(account.name().into()))?;
    put(&mut request, HeaderName::MaxForwards, 70);
    put(&mut request, HeaderName::From, from.as_str());
    put(&mut request, HeaderName::To, NameAddrBuf::new(&request_uri).as_str());
    put(&mut request, HeaderName::CallId, call_id);
    put(&mut request, HeaderName::Cseq, format_args!("1 {method}"));
    if matches!(method, Method::Invite | Method::Subscribe | Method::Refer) {
        put(&mut request, HeaderName::Contact, account.dialog_contact(desk.endpoint, way_out).as_str());
    } else if method == Method::Options {
        put(&mut request, HeaderName::Contact, format_args!("<{contact}>"));
    }
    if method == Method::Invite || method == Method::Options {
        put(&mut request, HeaderName::Allow, ALLOW);
    }
    if way(account, &request) == Way::Own {
        put(&mut request, HeaderName::PPreferredIdentity, PPreferredIdentity::from(identity.as_name_addr()));
    }
    sign(&mut request, common);
    Ok(request)
}

/// Where a request outside of dialogs is sent.
pub(super) fn send_to(desk: &Desk<'_>, account: &Account, request: &Request, routes: &[Route]) -> SendTo {
    // "a UA that has registered over a flow sends its requests over it" (RFC 5626 §4.3), where it is the way.
    if routes.is_empty()
        && let Some(flow) = account.reach.flow
        && way(account, request) != Way::Foreign
        && account.is_over_flow(request)
    {
        return SendTo::Flow(flow);
    }
    account.routing.send_to(desk.endpoint, request, routes)
}

/// Our Contact in a dialog that began with a request over this flow, or will with one to nowhere yet.
pub(super) fn contact(desk: &Desk<'_>, account: &Account, flow: Option<&Flow>) -> NameAddrBuf {
    let way: (Transport, Option<IpAddr>) = match flow {
        Some(flow) => (flow.transport, Some(flow.remote.ip())),
        None => {
            let listener = desk.endpoint.listeners().first();
            (listener.map_or(Transport::Udp, |listener| listener.transport), None)
        }
    };
    account.dialog_contact(desk.endpoint, way)
}

/// Says who we are.
pub(super) fn sign(request: &mut Request, common: &Common) {
    if !common.user_agent.is_empty() {
        // A product that no header can hold is left out.
        let _ = request.headers_mut().push(HeaderName::UserAgent, &common.user_agent);
    }
}

/// Adds a field of ours.
pub(super) fn put(request: &mut Request, name: HeaderName, value: impl std::fmt::Display) {
    request.headers_mut().push(name, value).expect("a value of ours, or of checked settings, has no line break");
}

/// The next number (RFC 3261 §8.1.3.5); `None` when they are used up.
pub(super) fn next_cseq(request: &mut Request) -> Option<u32> {
    let cseq = request.headers().get::<Cseq>()?.ok()?;
    let next = cseq.sequence.checked_add(1).filter(|next| *next < 1 << 31)?;
    let method = request.method().clone();
    let set = request.headers_mut().set(HeaderName::Cseq, format_args!("{next} {method}"));
    set.expect("a number and a token have no line break");
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timers_token_says_whose_it_is_and_no_other_bit_63_is_ours() {
        for owner in [Owner::Registration(AccountId(7)), Owner::Exchange(u32::MAX), Owner::Watch(0)] {
            assert_eq!(Owner::of_token(owner.token()), Some(owner));
            assert_eq!(Owner::of_token(owner.token() & !TIMER_BIT), None);
        }
    }
}
